// SPDX-License-Identifier: BSD-2-Clause
/* NUMA nodes: which one, whether there is a choice, and the policy of memory. */
#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "user/arena/arena_internal.h"

#define BITS (8 * sizeof(unsigned long))

/* More than one node this process may have memory on; otherwise there is nothing to place. */
static bool has_choice(void)
{
	struct bitmask *allowed = numa_get_mems_allowed();
	unsigned int nodes = allowed ? numa_bitmask_weight(allowed) : 0;

	if (allowed)
		numa_bitmask_free(allowed);
	return nodes > 1;
}

static bool is_allowed(uint32_t node)
{
	struct bitmask *allowed = numa_get_mems_allowed();
	bool yes = allowed && node < allowed->size && numa_bitmask_isbitset(allowed, node);

	if (allowed)
		numa_bitmask_free(allowed);
	return yes;
}

int placement_choose(const struct baro_arena_options *options, struct placement *ret)
{
	struct placement p = { .node = BARO_ARENA_NO_NODE };
	int here;

	if (options->flags & BARO_ARENA_UNBOUND) {
		*ret = p;
		return 0;
	}
	if (numa_available() < 0) { /* a kernel without nodes has memory all the same */
		if (options->flags & BARO_ARENA_NODE && options->node)
			return -ENODEV;
		*ret = p;
		return 0;
	}
	if (options->flags & BARO_ARENA_NODE) {
		p.node = options->node;
	} else {
		here = numa_node_of_cpu(sched_getcpu());
		p.node = here < 0 ? 0 : (uint32_t)here;
	}
	if (p.node >= NODES_MAX || !is_allowed(p.node)) {
		/* a processor's node may have no memory, or none for us */
		if (options->flags & BARO_ARENA_NODE)
			return -ENODEV;
		p.node = BARO_ARENA_NO_NODE;
		*ret = p;
		return 0;
	}
	if (has_choice()) {
		p.policy = options->flags & BARO_ARENA_STRICT ? MPOL_BIND : MPOL_PREFERRED;
		p.mask[p.node / BITS] = 1ul << (p.node % BITS);
	}
	*ret = p;
	return 0;
}

bool placement_apply(const struct placement *p, void *memory, size_t bytes)
{
	/* MPOL_DEFAULT (0): there is no choice */
	return !p->policy || mbind(memory, bytes, p->policy, p->mask, NODES_MAX, 0) == 0;
}

int placement_pin(const struct placement *p)
{
	if (p->node == BARO_ARENA_NO_NODE)
		return 0;
	return numa_run_on_node((int)p->node) < 0 ? -errno : 0;
}
