/* SPDX-License-Identifier: BSD-2-Clause */
/* Taking memory away in bites that end soon, whatever the owner of the cgroup does meanwhile. */
#include "cgroup/ops.h"

#include <errno.h>

#include "user/common/units.h"

#define GROWTH_BYTES MIB /* what an owner may allocate between our look and our write */

static uint64_t page_ceil(uint64_t bytes)
{
	return cg_page_floor(sat_add_u64(bytes, (uint64_t)sysconf(_SC_PAGESIZE) - 1));
}

/* Frees what is above `next`; then usage is what it is, and `next` not below it. */
static int free_above(struct cg_node *n, uint64_t *inout_usage, uint64_t *inout_next)
{
	uint64_t freed;
	int r;

	r = n->backend->ops->reclaim(n, *inout_usage - *inout_next, &freed);
	if (r < 0)
		return r;
	r = cg_node_read_u64(n, CG_FILE_USAGE, inout_usage);
	if (r < 0)
		return r;
	*inout_next = max_u64(*inout_next, page_ceil(*inout_usage));
	return 0;
}

/*
 * The caller's floor is as old as its last look, and the owner may have grown since. v2 would kill
 * it for that, or freeze it under memory.high; v1 refuses, but drops its whole cache before.
 */
static int keep_above_unreclaimable(struct cg_node *n, uint64_t *inout_bytes)
{
	struct cg_stat stat;
	uint64_t least;
	int r = n->backend->ops->stat(n, &stat);

	if (r < 0)
		return r;
	/* Locked pages are anonymous ones for the most part: the larger counts, not the sum. */
	least = n->backend->abilities.has_swap
		    ? 0
		    : sat_add_u64(stat.value[CG_STAT_ANON], stat.value[CG_STAT_SHMEM]);
	least = max_u64(least, stat.value[CG_STAT_UNEVICTABLE]);
	*inout_bytes = max_u64(*inout_bytes, page_ceil(sat_add_u64(least, GROWTH_BYTES)));
	return 0;
}

static int shrink_limit(struct cg_node *n, enum cg_limit which, uint64_t present, uint64_t goal,
			uint64_t bite_bytes, uint64_t *ret_actual)
{
	const struct cg_backend *b = n->backend;
	uint64_t usage, next;
	int r;

	r = cg_node_read_u64(n, CG_FILE_USAGE, &usage);
	if (r < 0)
		return r;
	/* Down to usage costs nothing; the bite counts from there. */
	next = max_u64(goal, page_ceil(sat_sub_u64(min_u64(present, usage), bite_bytes)));
	/* A dry run takes it that the memory would have come free. */
	if (usage > next && !b->beneath) {
		r = free_above(n, &usage, &next);
		if (r < 0 && r != -EOPNOTSUPP)
			return r;
	}
	if (sat_add_u64(usage, GROWTH_BYTES) > next) {
		r = keep_above_unreclaimable(n, &next);
		if (r < 0)
			return r;
	}
	if (next >= present)
		return -EBUSY;
	return b->ops->set_limit(n, which, CG_FILE_WRITE, next, ret_actual);
}

int cg_node_shrink_step(struct cg_node *n, enum cg_limit which, uint64_t target_bytes,
			uint64_t bite_bytes, uint64_t floor_bytes, uint64_t *ret_actual)
{
	bool protection = which == CG_LIMIT_MIN || which == CG_LIMIT_LOW;
	const struct cg_ops *ops = n->backend->ops;
	uint64_t present, goal;
	int r;

	if (bite_bytes < (uint64_t)sysconf(_SC_PAGESIZE))
		return -EINVAL;
	r = ops->limit(n, which, CG_FILE_WRITE, &present);
	if (r < 0)
		return r;
	goal = page_ceil(protection ? target_bytes : max_u64(target_bytes, floor_bytes));
	if (present <= goal) {
		*ret_actual = present;
		return 0;
	}
	if (protection)
		return ops->set_limit(n, which, CG_FILE_WRITE, goal, ret_actual);
	return shrink_limit(n, which, present, goal, bite_bytes, ret_actual);
}
