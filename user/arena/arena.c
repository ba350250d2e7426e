// SPDX-License-Identifier: BSD-2-Clause
/*
 * Arenas of a jemalloc that nobody else sees. Each has extent hooks that are jemalloc's own but for
 * one: what comes from the kernel gets the policy of the arena's node before anybody touches it.
 * The owner's allocations go through a cache of the arena's own, so that none of another arena's
 * memory can be in it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/arena/arena_internal.h"
#include "user/lib/options.h"

#define NAME_BYTES 64

/* What jemalloc does for itself needs one arena and no caches. A MALLOC_CONF may say otherwise. */
extern const char *malloc_conf;
const char *malloc_conf = "narenas:1,tcache:false";

/* ---- jemalloc's controls --------------------------------------------------------------------- */

/* "arena.7.purge" */
static const char *name_of(char buf[NAME_BYTES], const struct baro_arena *a, const char *what)
{
	snprintf(buf, NAME_BYTES, "arena.%u.%s", a->index, what);
	return buf;
}

static int set_decay(const struct baro_arena *a, int64_t decay_ms)
{
	char name[NAME_BYTES];
	ssize_t ms = (ssize_t)decay_ms;
	int error = control(name_of(name, a, "dirty_decay_ms"), NULL, NULL, &ms, sizeof(ms));

	if (!error)
		error = control(name_of(name, a, "muzzy_decay_ms"), NULL, NULL, &ms, sizeof(ms));
	return error == -EFAULT ? -EINVAL : error; /* longer than it can count */
}

static bool owns(const struct baro_arena *a)
{
	return !a->shared && pthread_equal(a->owner, pthread_self());
}

/* ---- extents --------------------------------------------------------------------------------- */

/* Called by jemalloc with locks of its own held: none of its controls can be used here. */
static void *extent_alloc(extent_hooks_t *hooks, void *at, size_t bytes, size_t alignment,
			  bool *zero, bool *commit, unsigned int index)
{
	struct baro_arena *a =
	    (struct baro_arena *)((char *)hooks - offsetof(struct baro_arena, hooks));
	void *memory = a->own->alloc(a->own, at, bytes, alignment, zero, commit, index);

	if (!memory)
		return NULL;
	__atomic_add_fetch(&a->extents, 1, __ATOMIC_RELAXED);
	if (!placement_apply(&a->placement, memory, bytes))
		__atomic_add_fetch(&a->misplaced, 1, __ATOMIC_RELAXED);
	return memory;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int take_options(struct baro_arena_options *o, const struct baro_arena_options *given)
{
	const uint32_t known = BARO_ARENA_NODE | BARO_ARENA_UNBOUND | BARO_ARENA_STRICT |
			       BARO_ARENA_PIN | BARO_ARENA_SHARED;
	int error = 0;

	*o = (struct baro_arena_options){ .size = sizeof(*o) };
	if (given)
		error = options_take(o, sizeof(*o), sizeof(*o), given);
	if (error < 0)
		return error;
	if (o->flags & ~known || o->decay_ms < -1 ||
	    (o->flags & BARO_ARENA_UNBOUND &&
	     o->flags & (BARO_ARENA_NODE | BARO_ARENA_STRICT | BARO_ARENA_PIN)))
		return -EINVAL;
	return 0;
}

static void destroy_arena(struct baro_arena *a)
{
	char name[NAME_BYTES];

	(void)control(name_of(name, a, "destroy"), NULL, NULL, NULL, 0);
}

static int make_arena(struct baro_arena *a, int64_t decay_ms)
{
	void *hooks = &a->hooks; /* what is set and got is a pointer */
	size_t size = sizeof(hooks);
	int error = control("arena.0.extent_hooks", (void *)&a->own, &size, NULL, 0);

	if (error)
		return -ENOMEM;
	a->hooks = *a->own;
	a->hooks.alloc = extent_alloc;
	size = sizeof(a->index);
	error = control("arenas.create", &a->index, &size, &hooks, sizeof(hooks));
	if (error)
		return error == -EAGAIN ? -EAGAIN : -ENOMEM;
	error = decay_ms ? set_decay(a, decay_ms) : 0;
	if (error)
		destroy_arena(a);
	return error;
}

static int make_cache(struct baro_arena *a)
{
	size_t size = sizeof(a->cache);
	int error = a->shared ? 0 : control("tcache.create", &a->cache, &size, NULL, 0);

	return error == -EFAULT ? -EAGAIN : error;
}

static void cache_control(struct baro_arena *a, const char *name)
{
	if (!a->shared)
		(void)control(name, NULL, NULL, &a->cache, sizeof(a->cache));
}

int baro_arena_open(const struct baro_arena_options *options, struct baro_arena **ret_arena)
{
	struct baro_arena_options o;
	struct baro_arena *a;
	int error = take_options(&o, options);

	if (error < 0)
		return error;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->owner = pthread_self();
	a->shared = o.flags & BARO_ARENA_SHARED;
	error = placement_choose(&o, &a->placement);
	if (!error)
		error = make_arena(a, o.decay_ms);
	if (error) {
		free(a);
		return error;
	}
	error = make_cache(a);
	if (error) {
		destroy_arena(a);
		free(a);
		return error;
	}
	/* at last: a thread stays where it was when there is no arena for it */
	if (o.flags & BARO_ARENA_PIN)
		error = placement_pin(&a->placement);
	if (error) {
		baro_arena_close(a);
		return error;
	}
	*ret_arena = a;
	return 0;
}

void baro_arena_close(struct baro_arena *a)
{
	if (!a)
		return;
	cache_control(a, "tcache.destroy");
	destroy_arena(a);
	free(a);
}

int baro_arena_reset(struct baro_arena *a)
{
	char name[NAME_BYTES];

	cache_control(a, "tcache.flush");
	return control(name_of(name, a, "reset"), NULL, NULL, NULL, 0);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int flags_of(const struct baro_arena *a)
{
	return MALLOCX_ARENA((int)a->index) |
	       (a->shared ? MALLOCX_TCACHE_NONE : MALLOCX_TCACHE((int)a->cache));
}

/* 0 bytes are undefined to jemalloc. */
static size_t at_least_one(size_t bytes)
{
	return bytes + !bytes;
}

void *baro_arena_alloc(struct baro_arena *a, size_t bytes)
{
	return mallocx(at_least_one(bytes), flags_of(a));
}

void *baro_arena_alloc_zero(struct baro_arena *a, size_t bytes)
{
	return mallocx(at_least_one(bytes), flags_of(a) | MALLOCX_ZERO);
}

void *baro_arena_alloc_aligned(struct baro_arena *a, size_t bytes, size_t alignment)
{
	if (!alignment || alignment & (alignment - 1))
		return NULL;
	return mallocx(at_least_one(bytes), flags_of(a) | MALLOCX_ALIGN(alignment));
}

void *baro_arena_realloc(struct baro_arena *a, void *memory, size_t bytes)
{
	if (!memory)
		return baro_arena_alloc(a, bytes);
	return rallocx(memory, at_least_one(bytes), flags_of(a));
}

void baro_arena_free(struct baro_arena *a, void *memory)
{
	if (memory)
		dallocx(memory, a->shared ? MALLOCX_TCACHE_NONE : MALLOCX_TCACHE((int)a->cache));
}

void baro_arena_free_any(void *memory)
{
	if (memory)
		dallocx(memory, MALLOCX_TCACHE_NONE);
}

/* ---- looking --------------------------------------------------------------------------------- */

/* What is read after this is of now. */
static int refresh(void)
{
	uint64_t epoch = 1;

	return control("epoch", NULL, NULL, &epoch, sizeof(epoch));
}

/* A number of an arena, or of all. jemalloc knows no such number: 0. */
static uint64_t stat_of(unsigned int index, const char *what)
{
	char name[NAME_BYTES];
	size_t value = 0, size = sizeof(value);

	snprintf(name, sizeof(name), "stats.arenas.%u.%s", index, what);
	return control(name, &value, &size, NULL, 0) ? 0 : value;
}

static void read_arena(unsigned int index, struct baro_arena_counts *c)
{
	size_t page_bytes = 0, size = sizeof(page_bytes);

	(void)control("arenas.page", &page_bytes, &size, NULL, 0);
	c->allocated_bytes = stat_of(index, "small.allocated") + stat_of(index, "large.allocated");
	c->active_bytes = stat_of(index, "pactive") * page_bytes;
	c->dirty_bytes = (stat_of(index, "pdirty") + stat_of(index, "pmuzzy")) * page_bytes;
	c->resident_bytes = stat_of(index, "resident");
	c->mapped_bytes = stat_of(index, "mapped");
	c->metadata_bytes = stat_of(index, "base") + stat_of(index, "internal");
}

int baro_arena_read(struct baro_arena *a, struct baro_arena_counts *ret_counts)
{
	struct baro_arena_counts c = { .node = a->placement.node };
	int error = refresh();

	if (error)
		return error;
	read_arena(a->index, &c);
	c.extents = __atomic_load_n(&a->extents, __ATOMIC_RELAXED);
	c.misplaced = __atomic_load_n(&a->misplaced, __ATOMIC_RELAXED);
	*ret_counts = c;
	return 0;
}

int baro_arena_read_all(struct baro_arena_counts *ret_counts)
{
	struct baro_arena_counts c = { .node = BARO_ARENA_NO_NODE };
	int error = refresh();

	if (error)
		return error;
	read_arena(MALLCTL_ARENAS_ALL, &c);
	*ret_counts = c;
	return 0;
}

static uint64_t resident(const struct baro_arena *a)
{
	return refresh() ? 0 : stat_of(a->index, "resident");
}

int64_t baro_arena_purge(struct baro_arena *a)
{
	uint64_t before = resident(a), after;
	char name[NAME_BYTES];
	int error;

	if (owns(a))
		cache_control(a, "tcache.flush");
	error = control(name_of(name, a, "purge"), NULL, NULL, NULL, 0);
	if (error)
		return error;
	after = resident(a);
	return before > after ? (int64_t)(before - after) : 0;
}
