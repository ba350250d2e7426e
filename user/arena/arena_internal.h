/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the arenas share; never installed. */
#ifndef BAROSTAT_ARENA_INTERNAL_H
#define BAROSTAT_ARENA_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <jemalloc/jemalloc.h>

#include "include/barostat/arena.h"

#define NODES_MAX 1024 /* that the kernel can be built for */

/* Where memory is to be. */
struct placement {
	uint32_t node; /* BARO_ARENA_NO_NODE: anywhere */
	int policy; /* of mbind(2) */
	unsigned long mask[NODES_MAX / (8 * sizeof(unsigned long))];
};

struct baro_arena {
	extent_hooks_t hooks; /* of the arena: first what is placed, then what jemalloc would do */
	extent_hooks_t *own; /* jemalloc's */
	struct placement placement;
	unsigned int index; /* of the arena */
	unsigned int cache; /* of the owner's cache */
	bool shared; /* it has none */
	pthread_t owner;
	uint64_t extents, misplaced;
};

/*
 * What the options say about nodes, for the calling thread.
 *  -EINVAL, -ENODEV	as baro_arena_open()
 */
int placement_choose(const struct baro_arena_options *options, struct placement *ret);
/* Sets the policy of fresh memory. False: it stays where the kernel would put it. */
bool placement_apply(const struct placement *p, void *memory, size_t bytes);
/* Keeps the calling thread on the node's processors. */
int placement_pin(const struct placement *p);

/* jemalloc's error numbers are positive. */
static inline int control(const char *name, void *ret, size_t *ret_size, void *set, size_t size)
{
	return -mallctl(name, ret, ret_size, set, size);
}

#endif
