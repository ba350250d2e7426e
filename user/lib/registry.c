// SPDX-License-Identifier: BSD-2-Clause
/* The registry of indexes: opening, getting, looking. How it is laid out: registry_internal.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "user/lib/arith.h"
#include "user/lib/options.h"
#include "user/lib/registry_internal.h"

_Static_assert(sizeof(struct registry_entry) == 64, "one line per index");
_Static_assert(sizeof(struct registry_lane) == 32, "two lanes of one processor per line");
_Static_assert(BARO_REGISTRY_MAX <= (1u << 28), "blocks have 29 bits of a word");

/* ---- opening --------------------------------------------------------------------------------- */

static void free_all(struct baro_registry *r)
{
	registry_free_names(r);
	for (size_t i = 0; r->chunk && i < r->indexes_max / ENTRY_CHUNK + 1; i++)
		free(r->chunk[i]);
	for (size_t i = 0; r->slab && i < r->indexes_max / BLOCK_SLAB + 1; i++)
		free(r->slab[i]);
	for (uint32_t i = 0; i < r->dirs; i++)
		free(r->dir[i]);
	free(r->dir);
	free(r->chunk);
	free(r->slab);
	percpu_fini(&r->accesses);
	free(r);
}

static int allocate(struct baro_registry *r)
{
	/* of these only what is used takes memory */
	r->chunk = calloc(r->indexes_max / ENTRY_CHUNK + 1, sizeof(void *));
	r->slab = calloc(r->indexes_max / BLOCK_SLAB + 1, sizeof(void *));
	if (!r->chunk || !r->slab || registry_reserve_buckets(r, 0) < 0)
		return -ENOMEM;
	return percpu_init(&r->accesses, false);
}

int baro_registry_open(const struct baro_registry_options *options,
		       struct baro_registry **ret_registry)
{
	struct baro_registry_options o;
	struct baro_registry *r;
	int status = options_take(&o, sizeof(o), sizeof(o), options);

	if (status < 0)
		return status;
	if (!o.load || !o.unload || o.indexes_max > BARO_REGISTRY_MAX)
		return -EINVAL;
	r = aligned_alloc(64, (sizeof(*r) + 63) / 64 * 64);
	if (!r)
		return -ENOMEM;
	memset(r, 0, sizeof(*r));
	r->options = o;
	r->indexes_max = o.indexes_max ? o.indexes_max : INDEXES_MAX;
	r->lanes = percpu_lines_wanted(LANES_MAX);
	if (getrandom(&r->seed, sizeof(r->seed), GRND_NONBLOCK) != sizeof(r->seed))
		r->seed = (uint64_t)(uintptr_t)r; /* at boot, before there is any */
	status = allocate(r);
	if (status < 0) {
		free_all(r);
		return status;
	}
	pthread_mutex_init(&r->lock, NULL);
	for (uint32_t i = 0; i < TURNS; i++)
		pthread_cond_init(&r->turn[i], NULL);
	*ret_registry = r;
	return 0;
}

/* With the lock held. The callback lets it go: nobody else is there any more. */
static int unload_all(struct baro_registry *r)
{
	uint64_t bytes;

	for (uint32_t i = 0; i < r->entries; i++) {
		uint32_t state = word_state(entry_at(r, i)->word);

		if (state == BARO_INDEX_LOADING || state == BARO_INDEX_UNLOADING)
			return -EBUSY;
		if (state == BARO_INDEX_LOADED &&
		    registry_pins(r, word_block(entry_at(r, i)->word)))
			return -EBUSY;
	}
	for (uint32_t i = 0; i < r->entries; i++)
		if (word_state(entry_at(r, i)->word) == BARO_INDEX_LOADED &&
		    registry_unload_entry(r, i, &bytes) < 0)
			return -EBUSY;
	return 0;
}

int baro_registry_close(struct baro_registry *r)
{
	int status;

	if (!r)
		return 0;
	pthread_mutex_lock(&r->lock);
	status = unload_all(r);
	pthread_mutex_unlock(&r->lock);
	if (status < 0)
		return status;
	pthread_mutex_destroy(&r->lock);
	for (uint32_t i = 0; i < TURNS; i++)
		pthread_cond_destroy(&r->turn[i]);
	free_all(r);
	return 0;
}

/* ---- registering ----------------------------------------------------------------------------- */

int baro_registry_add(struct baro_registry *r, const struct baro_index_spec *spec, uint64_t *ret_id)
{
	struct registry_item item = {
		.name = spec->name, .path = spec->path, .bytes = spec->bytes, .tag = spec->tag
	};
	struct baro_registry_report report = { 0 };
	size_t name_bytes = spec->name ? strlen(spec->name) : 0;
	size_t path_bytes = spec->path ? strlen(spec->path) : 0;
	int status = registry_check_name(spec->name, name_bytes);

	if (!status && path_bytes)
		status = registry_check_path(spec->path, path_bytes);
	if (status < 0)
		return status;
	item.name_bytes = (uint32_t)name_bytes;
	item.path_bytes = (uint32_t)path_bytes;
	status = registry_commit(r, &item, 1, &report, ret_id);
	return status < 0 ? status : report.known ? -EEXIST : 0;
}

struct registry_entry *registry_entry_of(const struct baro_registry *r, uint64_t id)
{
	struct registry_entry *e = entry_at(r, (uint32_t)id);
	uint64_t word = e ? entry_word(e) : WORD_FREE;

	return word_state(word) == WORD_FREE || word_generation(word) != id >> 32 ? NULL : e;
}

int baro_registry_remove(struct baro_registry *r, uint64_t id)
{
	struct registry_entry *e;
	uint64_t bytes;
	int status = 0;

	pthread_mutex_lock(&r->lock);
	e = registry_entry_of(r, id);
	if (e && word_state(e->word) == BARO_INDEX_LOADED)
		status = registry_unload_entry(r, (uint32_t)id, &bytes);
	/* It may have been loaded again meanwhile, or removed. */
	e = registry_entry_of(r, id);
	if (!e)
		status = -ENOENT;
	else if (word_state(e->word) != BARO_INDEX_REGISTERED &&
		 word_state(e->word) != BARO_INDEX_FAILED)
		status = -EBUSY;
	if (!status)
		registry_forget(r, (uint32_t)id);
	pthread_mutex_unlock(&r->lock);
	return status;
}

int baro_registry_find(struct baro_registry *r, const char *name, uint64_t *ret_id)
{
	return registry_find(r, name, strlen(name), ret_id);
}

/* ---- getting --------------------------------------------------------------------------------- */

/* 0: pinned. -EAGAIN: not loaded just now. */
static inline int try_get(struct baro_registry *r, uint64_t id, uint64_t now_ns,
			  struct baro_pin *ret_pin)
{
	const struct registry_entry *e = entry_at(r, (uint32_t)id);
	uint64_t word;

	if (!e)
		return -ENOENT;
	do {
		word = entry_word(e);
		if (word_generation(word) != id >> 32 || word_state(word) == WORD_FREE)
			return -ENOENT;
		if (word_state(word) != BARO_INDEX_LOADED)
			return -EAGAIN;
	} while (!registry_pin(r, e, word, now_ns, ret_pin));
	return 0;
}

int baro_registry_get_loaded(struct baro_registry *r, uint64_t id, uint64_t now_ns,
			     struct baro_pin *ret_pin)
{
	return try_get(r, id, now_ns, ret_pin);
}

int baro_registry_get(struct baro_registry *r, uint64_t id, uint64_t now_ns,
		      struct baro_pin *ret_pin)
{
	int status;

	do {
		status = try_get(r, id, now_ns, ret_pin);
		if (status == -EAGAIN)
			status = registry_load(r, id, now_ns, ret_pin);
	} while (status > 0);
	return status;
}

int baro_registry_get_named(struct baro_registry *r, const char *name, uint64_t now_ns,
			    struct baro_pin *ret_pin)
{
	uint64_t id;
	int status = baro_registry_find(r, name, &id);

	return status < 0 ? status : baro_registry_get(r, id, now_ns, ret_pin);
}

void baro_pin_release(struct baro_pin *pin)
{
	struct registry_lane *lane = pin->lane;

	if (!lane)
		return;
	pin->object = pin->lane = NULL;
	__atomic_fetch_add(&lane->puts, 1, __ATOMIC_SEQ_CST);
}

int baro_registry_set_bytes(struct baro_registry *r, uint64_t id, uint64_t bytes)
{
	struct registry_entry *e;
	int status = 0;

	pthread_mutex_lock(&r->lock);
	e = registry_entry_of(r, id);
	if (!e) {
		status = -ENOENT;
	} else if (word_state(e->word) != BARO_INDEX_LOADED) {
		status = -EAGAIN;
	} else {
		struct registry_block *b = block_at(r, word_block(e->word));

		bytes = lib_max(bytes, 1);
		count_add(&r->loaded_bytes, bytes - b->bytes);
		b->bytes = bytes;
	}
	pthread_mutex_unlock(&r->lock);
	return status;
}

/* ---- looking --------------------------------------------------------------------------------- */

static uint64_t counted(const uint64_t *count)
{
	return __atomic_load_n(count, __ATOMIC_RELAXED);
}

void baro_registry_count(struct baro_registry *r, struct baro_registry_counts *ret_counts)
{
	struct baro_registry_counts c = { .indexes = counted(&r->indexes),
					  .loaded_bytes = counted(&r->loaded_bytes),
					  .loads = counted(&r->loads),
					  .load_failures = counted(&r->load_failures),
					  .unloads = counted(&r->unloads),
					  .accesses = percpu_sum(&r->accesses),
					  .waits = counted(&r->waits) };

	for (uint32_t i = 0; i < BARO_INDEX_STATES; i++)
		c.by_state[i] = counted(&r->by_state[i]);
	*ret_counts = c;
}

static void describe(const struct baro_registry *r, const struct registry_entry *e,
		     struct baro_index_info *ret_info)
{
	uint32_t state = word_state(e->word);
	struct baro_index_info info = { .name = registry_name_of(e),
					.bytes = e->bytes,
					.tag = e->tag,
					.loads = e->loads,
					.accesses = e->accesses,
					.last_ns = e->last_ns,
					.state = state,
					.error = e->error };

	if (state == BARO_INDEX_LOADED || state == BARO_INDEX_UNLOADING) {
		uint32_t block = word_block(e->word);
		const struct registry_block *b = block_at(r, block);

		info.bytes = b->bytes;
		info.accesses += lib_less(registry_gets(r, block), b->puts_before);
		info.pins = registry_pins(r, block);
		info.last_ns = registry_last_ns(r, block);
	} else if (state == BARO_INDEX_REGISTERED) {
		info.warm = word_is_warm(e->word);
	}
	*ret_info = info;
}

int baro_registry_info(struct baro_registry *r, uint64_t id, struct baro_index_info *ret_info)
{
	const struct registry_entry *e;

	pthread_mutex_lock(&r->lock);
	e = registry_entry_of(r, id);
	if (e)
		describe(r, e, ret_info);
	pthread_mutex_unlock(&r->lock);
	return e ? 0 : -ENOENT;
}

int baro_registry_next(struct baro_registry *r, uint64_t id, uint64_t *ret_id)
{
	int status = -ENOENT;

	pthread_mutex_lock(&r->lock);
	for (uint64_t i = id ? (uint64_t)(uint32_t)id + 1 : 0; i < r->entries && status; i++) {
		uint64_t word = entry_at(r, (uint32_t)i)->word;

		if (word_state(word) == WORD_FREE)
			continue;
		*ret_id = entry_id(word, (uint32_t)i);
		status = 0;
	}
	pthread_mutex_unlock(&r->lock);
	return status;
}

const char *baro_index_state_name(uint32_t state)
{
	static const char *const names[BARO_INDEX_STATES] = { "registered", "loading", "loaded",
							      "unloading", "failed" };

	return state < BARO_INDEX_STATES ? names[state] : "?";
}
