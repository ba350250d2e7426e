// SPDX-License-Identifier: BSD-2-Clause
/* NUMA nodes: which one, whether there is a choice, and the policy of memory. */
#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <string.h>

#include "user/arena/arena_internal.h"

#define BITS (8 * sizeof(unsigned long))

/* The nodes this process may have memory on. Not by libnuma, which ends the process when it has no
 * memory for the answer. */
struct allowed {
	unsigned long mask[NODES_MAX / BITS];
};

/* False: a kernel without nodes, or one that does not let us ask (and then not place either). */
static bool read_allowed(struct allowed *ret)
{
	memset(ret, 0, sizeof(*ret));
	return get_mempolicy(NULL, ret->mask, NODES_MAX, NULL, MPOL_F_MEMS_ALLOWED) == 0;
}

static bool is_allowed(const struct allowed *a, uint32_t node)
{
	return node < NODES_MAX && a->mask[node / BITS] >> node % BITS & 1;
}

/* More than one; otherwise there is nothing to place. */
static bool has_choice(const struct allowed *a)
{
	int nodes = 0;

	for (size_t i = 0; i < NODES_MAX / BITS; i++)
		nodes += __builtin_popcountl(a->mask[i]);
	return nodes > 1;
}

static uint32_t node_here(void)
{
	unsigned int node;

	return getcpu(NULL, &node) < 0 ? 0 : node;
}

int placement_choose(const struct baro_arena_options *options, struct placement *ret)
{
	const bool named = options->flags & BARO_ARENA_NODE;
	struct placement p = { .node = BARO_ARENA_NO_NODE };
	struct allowed allowed;
	uint32_t node;

	if (options->flags & BARO_ARENA_UNBOUND) {
		*ret = p;
		return 0;
	}
	if (!read_allowed(&allowed)) { /* it has memory all the same */
		if (named && options->node)
			return -ENODEV;
		*ret = p;
		return 0;
	}
	node = named ? options->node : node_here();
	if (is_allowed(&allowed, node))
		p.node = node;
	else if (named) /* a processor's node may have no memory, or none for us */
		return -ENODEV;
	if (p.node != BARO_ARENA_NO_NODE && has_choice(&allowed)) {
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
	if (p->node == BARO_ARENA_NO_NODE || numa_available() < 0)
		return 0;
	return numa_run_on_node((int)p->node) < 0 ? -errno : 0;
}
