/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arenas: memory of one thread, on one NUMA node, that can be looked at, trimmed and dropped as a
 * whole. In a library of its own (libbarostat-arena), which has a jemalloc inside.
 *
 *	struct baro_arena *arena;	// of this thread
 *	struct baro_arena_counts now;
 *
 *	if (baro_arena_open(NULL, &arena) == 0) {
 *		row = baro_arena_alloc(arena, row_bytes);
 *		...
 *		baro_arena_free(arena, row);
 *		baro_arena_purge(arena);		// what is free goes back to the kernel
 *		baro_arena_read(arena, &now);		// now.resident_bytes, now.allocated_bytes
 *		baro_arena_close(arena);		// and everything in it
 *	}
 *
 * The jemalloc is hidden: malloc() of the program, and whatever allocator it links, stay what they
 * are, and a program may have a jemalloc of its own beside it. It reads MALLOC_CONF as any other
 * does. Because its thread-local storage is static, the library must be linked or preloaded: a
 * plugin that is loaded with dlopen() can use it only if the program has it already.
 *
 * Memory is placed by policy (mbind(2)) as the arena gets it from the kernel, so it does not matter
 * which thread touches it first. Preferred: when the node is full, pages come from others; with
 * BARO_ARENA_STRICT the kernel looks nowhere else, and kills when there is none. On a machine of
 * one node there is nothing to place.
 *
 * Threads: an arena belongs to the thread that opened it, which alone may allocate from it and
 * free into it, in some tens of nanoseconds. Any thread may call baro_arena_free_any(), _purge(),
 * _read() and, when the owner does nothing with it any more, _close(). A shared arena
 * (BARO_ARENA_SHARED) takes all calls from all threads, with a lock for each.
 *
 * Errors: 0 (or a count) or -errno, NULL for memory; outputs are untouched on failure.
 */
#ifndef BAROSTAT_ARENA_H
#define BAROSTAT_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include <barostat/page.h>

#ifdef __cplusplus
extern "C" {
#endif

struct baro_arena;
struct baro_metrics;

#define BARO_ARENA_NO_NODE UINT32_MAX /* bound to none */

enum baro_arena_flag {
	BARO_ARENA_NODE =
	    1, /* on options.node; otherwise on that of the calling thread's processor */
	BARO_ARENA_UNBOUND = 2, /* on no node in particular */
	BARO_ARENA_STRICT = 4, /* on that node, or not at all */
	BARO_ARENA_PIN = 8, /* the calling thread stays on the node's processors from now on */
	BARO_ARENA_SHARED = 16, /* for all threads, without a cache */
};

struct baro_arena_options {
	size_t size; /* sizeof(struct baro_arena_options) */
	uint32_t flags; /* enum baro_arena_flag */
	uint32_t node;
	/* How long what is free is kept for the next allocation, in steps, before it goes back to
	 * the kernel. 0: 10 s; -1: until it is purged. 1 is as good as at once. */
	int64_t decay_ms;
};

struct baro_arena_counts {
	uint64_t allocated_bytes; /* handed out, as it was asked for or a little more */
	uint64_t active_bytes; /* in pages that hold some of it */
	uint64_t resident_bytes; /* of all its pages, those that take memory: the arena's RSS */
	uint64_t mapped_bytes; /* address space */
	uint64_t dirty_bytes; /* free, and not yet given back */
	uint64_t metadata_bytes;
	uint64_t extents; /* got from the kernel, ever */
	uint64_t misplaced; /* of them, those whose policy could not be set */
	uint32_t node; /* or BARO_ARENA_NO_NODE */
	uint32_t reserved0;
};

/*
 * NULL as options: an arena for the calling thread, on its node.
 *  -EINVAL	flags that contradict each other, or are unknown; decay_ms is below -1, or centuries
 *  -ENODEV	no such node, or this process may not use it
 *  -EAGAIN	there are as many arenas as there can be, some 4000
 *  -ENOMEM
 * With BARO_ARENA_PIN also the errors of sched_setaffinity(2), and those of open(2) and read(2) where
 * the node's processors cannot be read. The thread is pinned only when there is an arena for it.
 */
BARO_API int baro_arena_open(const struct baro_arena_options *options,
			     struct baro_arena **ret_arena);

/* Frees everything in it, and the arena. NULL is fine. */
BARO_API void baro_arena_close(struct baro_arena *arena);

/* Frees everything in it; it can be used again. */
BARO_API int baro_arena_reset(struct baro_arena *arena);

/* NULL: no memory. What is in there is undefined; with `zero` it is zeros. */
BARO_API void *baro_arena_alloc(struct baro_arena *arena, size_t bytes);
BARO_API void *baro_arena_alloc_zero(struct baro_arena *arena, size_t bytes);
/* `alignment` is a power of two. */
BARO_API void *baro_arena_alloc_aligned(struct baro_arena *arena, size_t bytes, size_t alignment);
/* As realloc(3), but that 0 bytes are one. */
BARO_API void *baro_arena_realloc(struct baro_arena *arena, void *memory, size_t bytes);
/* Only what came from this arena. NULL is fine. */
BARO_API void baro_arena_free(struct baro_arena *arena, void *memory);
/* The same from another thread, into whichever arena it came from. */
BARO_API void baro_arena_free_any(void *memory);

/* Gives what is free back to the kernel, and returns how many bytes less are resident. What the
 * owner's cache holds is among it only when it is the owner who calls. */
BARO_API int64_t baro_arena_purge(struct baro_arena *arena);

/* Costs some microseconds: it is for looking, not for accounting. */
BARO_API int baro_arena_read(struct baro_arena *arena, struct baro_arena_counts *ret_counts);
/* All arenas together, and what the library needs itself; node is BARO_ARENA_NO_NODE. */
BARO_API int baro_arena_read_all(struct baro_arena_counts *ret_counts);

/*
 * Registers the counts (docs/metrics.md) under a label, which tells several arenas apart; NULL:
 * none. Their owner is the arena: baro_metrics_remove(metrics, arena) before it goes. All or none:
 * the errors of baro_metrics_add().
 */
BARO_API int baro_arena_add_metrics(struct baro_arena *arena, struct baro_metrics *metrics,
				    const char *label);

#ifdef __cplusplus
}
#endif

#endif
