/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The common parent of the engines: its limit is the ceiling, so that usage stays below it whatever
 * the daemon does, also when it is dead.
 */
#include <errno.h>
#include <string.h>

#include "user/common/clock.h"
#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/daemon.h"

#define PARENT_BITE_BYTES    (8 * MIB)
#define PARENT_SHRINK_MAX_NS (5 * NS_PER_S)

/* What no reclaim brings below the ceiling: an attempt would cost everybody's cache, or kill. */
static bool parent_cannot(const struct daemon *d, uint64_t ceiling_bytes)
{
	uint64_t stays = 0;

	for_each_engine (d, e)
		if (e->status == ENGINE_ACTIVE && engine_is_below_parent(d, e))
			stays = sat_add_u64(stays, d->sample[e->slot].unreclaimable_bytes);
	return stays > ceiling_bytes;
}

/* v2: memory.max below what cannot be reclaimed kills: bring the usage down first. */
static int parent_make_room(struct daemon *d, uint64_t ceiling_bytes)
{
	uint64_t until_ns = clock_now_ns() + PARENT_SHRINK_MAX_NS;
	uint64_t usage, freed;

	if (parent_cannot(d, ceiling_bytes))
		return -EBUSY;
	if (d->abilities->kind != CG_KIND_V2)
		return 0;
	while (cg_node_usage(d->parent, &usage) == 0 && usage > ceiling_bytes) {
		if (clock_now_ns() > until_ns ||
		    cg_node_reclaim(d->parent, min_u64(usage - ceiling_bytes, PARENT_BITE_BYTES),
				    &freed) < 0 ||
		    !freed)
			return -EBUSY;
	}
	return 0;
}

/* Where the parent's limit does not hold the ceiling, the sum of the engines' must. */
static void parent_holds(struct daemon *d, bool holds)
{
	bool before = d->parent_ceiling;

	d->parent_ceiling = holds;
	if (holds == before)
		return;
	for_each_engine (d, e)
		if (e->status == ENGINE_ACTIVE)
			engine_follow_settings(d, e);
}

static void parent_set_ceiling(struct daemon *d)
{
	uint64_t ceiling = d->config->ceiling_bytes, goal, actual;
	struct cg_limits now;
	char a[16], b[16];
	int r;

	d->ceiling_bytes = ceiling;
	r = cg_node_limits(d->parent, &now);
	if (r < 0)
		return;
	if (origin_is_of(&d->parent_origin, cg_node_id(d->parent))) {
		d->state_dirty |= !d->parent_origin.cgroup_id;
		d->parent_origin.cgroup_id = cg_node_id(d->parent);
	} else {
		d->parent_origin = (struct engine_origin){ .known = true,
							   .cgroup_id = cg_node_id(d->parent),
							   .limits = now };
		d->state_dirty = true;
	}
	/* Its own limit from before us, where it is lower: by restarts and reloads, too. */
	goal = min_u64(
	    ceiling, max_u64(now.bytes[CG_LIMIT_MAX], d->parent_origin.limits.bytes[CG_LIMIT_MAX]));
	d->parent_manual = goal < ceiling;
	d->ceiling_bytes = goal;
	units_format_size(goal, a, sizeof(a));
	if (d->parent_manual)
		log_warn("event=ceiling_lowered parent=%s limit=%s config=%s detail=\"the "
			 "parent's own limit is respected\"",
			 cg_node_path(d->parent), a, units_format_size(ceiling, b, sizeof(b)));
	if (now.bytes[CG_LIMIT_MAX] > goal)
		r = parent_make_room(d, goal);
	if (r == 0 && now.bytes[CG_LIMIT_MAX] != goal)
		r = cg_node_set_limit(d->parent, CG_LIMIT_MAX, goal, &actual);
	if (r == 0)
		d->parent_set_bytes = goal;
	d->parent_due = r < 0;
	parent_holds(d, r == 0);
	if (r < 0)
		log_warn("event=ceiling_not_set parent=%s ceiling=%s error=\"%s\" detail=\"usage "
			 "below it cannot be brought under the ceiling: targets are hard limits\"",
			 cg_node_path(d->parent), a, strerror(-r));
}

int parent_open(struct daemon *d)
{
	const char *path = d->config->parent;
	bool created, needed = false;
	int r = 0;

	d->ceiling_bytes = d->config->ceiling_bytes;
	for (uint32_t i = 0; i < d->config->engines; i++)
		needed |= engine_path_is_below(d->config->engine[i].cgroup, path);
	if (!path[0] || !needed)
		return 0;
	if (!d->parent) {
		if (!cg_exists(d->backend, path))
			r = d->dry_run || !d->abilities->writable
				? -ENOENT
				: cg_create(d->backend, path, &created);
		if (r == 0)
			r = cg_node_open(d->backend, path, &d->parent);
		if (r < 0) {
			log_warn("event=no_parent parent=%s error=\"%s\", ignoring", path,
				 strerror(-r));
			return r;
		}
	}
	parent_set_ceiling(d);
	return 0;
}

/* A ceiling that could not be set then is set when what is used has come below it. */
static bool parent_caught_up(struct daemon *d)
{
	uint64_t usage;

	if (!d->parent_due || cg_node_usage(d->parent, &usage) < 0 || usage > d->ceiling_bytes)
		return false;
	parent_set_ceiling(d);
	if (d->parent_ceiling)
		log_info("event=ceiling_set parent=%s", cg_node_path(d->parent));
	return true;
}

/*
 * Somebody else moved the parent's limit, and it is left where it is. A lower one is the ceiling
 * from now on; a higher one does not hold the ceiling, so that the engines' limits do.
 */
void parent_verify(struct daemon *d)
{
	struct cg_limits now;
	uint64_t ceiling = d->config->ceiling_bytes, limit;
	char a[16], b[16];

	if (!d->parent || d->dry_run || parent_caught_up(d) || cg_node_limits(d->parent, &now) < 0)
		return;
	limit = now.bytes[CG_LIMIT_MAX];
	if (min_u64(limit, ceiling) == d->ceiling_bytes && (limit <= ceiling) == d->parent_ceiling)
		return;
	units_format_size(limit, a, sizeof(a));
	units_format_size(ceiling, b, sizeof(b));
	if (limit > ceiling)
		log_warn("event=ceiling_not_held parent=%s limit=%s ceiling=%s detail=\"somebody "
			 "else raised it: targets are hard limits until it is back, or a reload\"",
			 cg_node_path(d->parent), a, b);
	else if (limit < ceiling)
		log_warn("event=ceiling_changed parent=%s limit=%s detail=\"somebody else set it: "
			 "the lower of it and the configured ceiling holds\"",
			 cg_node_path(d->parent), a);
	else
		log_info("event=ceiling_held parent=%s limit=%s", cg_node_path(d->parent), a);
	d->parent_manual = limit != ceiling;
	d->parent_due = false;
	d->ceiling_bytes = min_u64(ceiling, limit);
	parent_holds(d, limit <= ceiling);
	engines_refresh_law(d);
}

/* What stands there is ours, not somebody else's: then it goes back to what it was. */
void parent_restore(struct daemon *d)
{
	struct cg_limits now;
	uint64_t actual;

	if (!d->parent)
		return;
	if (d->parent_origin.known && !d->dry_run && d->parent_set_bytes &&
	    cg_node_limits(d->parent, &now) == 0 &&
	    now.bytes[CG_LIMIT_MAX] == d->parent_set_bytes &&
	    d->parent_origin.limits.bytes[CG_LIMIT_MAX] > d->parent_set_bytes)
		cg_node_raise_limit(d->parent, CG_LIMIT_MAX,
				    d->parent_origin.limits.bytes[CG_LIMIT_MAX], &actual);
	cg_node_close(d->parent);
	d->parent = NULL;
	if (d->parent_origin.created && !d->dry_run)
		(void)cg_delete(d->backend, d->config->parent); /* stays when it is in use */
}
