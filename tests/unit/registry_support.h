/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the registry share: indexes that are counted, and can be made to fail. */
#ifndef BAROSTAT_TESTS_REGISTRY_SUPPORT_H
#define BAROSTAT_TESTS_REGISTRY_SUPPORT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/thread_support.h"
#include "user/common/cleanup.h"
#include "user/lib/registry_internal.h"

#define KIB UINT64_C(1024)

/* An engine with indexes whose tag says what they take in KiB. */
struct shelf {
	struct baro_registry *registry;
	uint64_t loads, unloads, live; /* atomic */
	int fail; /* what load returns */
	bool nothing_said; /* load does not say what it takes */
	/* what load and unload do besides */
	int (*in_load)(struct shelf *s, const struct baro_index *index);
	void (*in_unload)(struct shelf *s, const struct baro_index *index);
	char last_name[BARO_INDEX_NAME_MAX], last_path[BARO_INDEX_PATH_MAX];
	uint64_t got; /* for in_load */
};

/* What is loaded: it must not be touched when it is gone. */
struct book {
	uint64_t id;
	uint64_t alive;
};

#define BOOK_ALIVE UINT64_C(0xa11fea11fea11fe5)

static inline int shelf_load(void *arg, const struct baro_index *index, void **ret_object,
			     uint64_t *ret_bytes)
{
	struct shelf *s = arg;
	struct book *book;
	int r = s->in_load ? s->in_load(s, index) : s->fail;

	if (r < 0)
		return r;
	book = malloc(sizeof(*book));
	must(book != NULL);
	*book = (struct book){ index->id, BOOK_ALIVE };
	if (!s->nothing_said)
		*ret_bytes = (index->tag ? index->tag : 1) * KIB;
	*ret_object = book;
	__atomic_fetch_add(&s->loads, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&s->live, 1, __ATOMIC_RELAXED);
	return 0;
}

static inline void shelf_unload(void *arg, const struct baro_index *index, void *object)
{
	struct shelf *s = arg;
	struct book *book = object;

	if (s->in_unload)
		s->in_unload(s, index);
	must(book->alive == BOOK_ALIVE);
	must(book->id == index->id);
	book->alive = 0;
	free(book);
	__atomic_fetch_add(&s->unloads, 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&s->live, 1, __ATOMIC_RELAXED);
}

static inline void shelf_open(struct shelf *s, uint32_t indexes_max)
{
	const struct baro_registry_options options = { .size = sizeof(options),
						       .load = shelf_load,
						       .unload = shelf_unload,
						       .arg = s,
						       .indexes_max = indexes_max };

	*s = (struct shelf){ 0 };
	assert_int_equal(baro_registry_open(&options, &s->registry), 0);
}

static inline void shelf_close(struct shelf *s)
{
	assert_int_equal(baro_registry_close(s->registry), 0);
	assert_int_equal(s->live, 0);
	assert_int_equal(s->loads, s->unloads);
}

static inline uint64_t shelf_add(struct shelf *s, const char *name, uint64_t kib)
{
	const struct baro_index_spec spec = { .name = name, .bytes = 7, .tag = kib };
	uint64_t id = 0;

	assert_int_equal(baro_registry_add(s->registry, &spec, &id), 0);
	return id;
}

/* Gets it and gives it back. */
static inline int shelf_use(struct shelf *s, uint64_t id, uint64_t now_ns)
{
	struct baro_pin pin;
	int r = baro_registry_get(s->registry, id, now_ns, &pin);

	if (r < 0)
		return r;
	must(((struct book *)pin.object)->alive == BOOK_ALIVE);
	must(((struct book *)pin.object)->id == id);
	baro_pin_release(&pin);
	return 0;
}

static inline struct baro_index_info shelf_info(struct shelf *s, uint64_t id)
{
	struct baro_index_info info;

	assert_int_equal(baro_registry_info(s->registry, id, &info), 0);
	return info;
}

static inline struct baro_registry_counts shelf_count(struct shelf *s)
{
	struct baro_registry_counts counts;

	baro_registry_count(s->registry, &counts);
	return counts;
}

#endif
