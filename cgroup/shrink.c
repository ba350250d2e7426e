/* SPDX-License-Identifier: BSD-2-Clause */
/* Taking memory away in bites that end soon, whatever the owner of the cgroup does meanwhile. */
#include "cgroup/ops.h"

#include <errno.h>

#include "user/common/units.h"

static uint64_t page_ceil(uint64_t bytes)
{
	return cg_page_floor(sat_add_u64(bytes, (uint64_t)sysconf(_SC_PAGESIZE) - 1));
}

/* Frees what is above `next`; *ret_limit is the lowest limit that has nothing left to reclaim. */
static int free_above(struct cg_node *n, uint64_t usage, uint64_t next, uint64_t *ret_limit)
{
	uint64_t freed, after;
	int r;

	r = n->backend->ops->reclaim(n, usage - next, &freed);
	if (r < 0)
		return r;
	r = cg_node_read_u64(n, CG_FILE_USAGE, &after);
	if (r < 0)
		return r;
	*ret_limit = max_u64(next, page_ceil(after));
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
		r = free_above(n, usage, next, &next);
		if (r < 0 && r != -EOPNOTSUPP)
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
