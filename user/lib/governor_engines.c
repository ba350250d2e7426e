// SPDX-License-Identifier: BSD-2-Clause
/* The governor's engines: coming, going, bounds, and what is shown of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/budget_internal.h"
#include "user/lib/governor_internal.h"

/* ---- a governor ------------------------------------------------------------------------------ */

int baro_governor_open(uint64_t ceiling_bytes, struct baro_governor **ret_governor)
{
	struct baro_governor *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	r = baro_budget_open(NULL, "ceiling", ceiling_bytes, 0, &g->top);
	if (r < 0) {
		free(g);
		return r;
	}
	pthread_mutex_init(&g->lock, NULL);
	g->ceiling_bytes = budget_limit_shown(budget_limit_of(ceiling_bytes));
	g->followed_bytes = g->asked_limit_bytes = BARO_PAGE_NONE;
	g->share_ppm = 1000000;
	*ret_governor = g;
	return 0;
}

int baro_governor_close(struct baro_governor *g)
{
	int r = g ? budget_close_tree(g->top) : 0;

	if (!g || r < 0)
		return r;
	governor_unexport(g);
	pthread_mutex_destroy(&g->lock);
	free(g->engine);
	free(g->work);
	free(g);
	return 0;
}

struct baro_budget *baro_governor_top(struct baro_governor *g)
{
	return g->top;
}

/* ---- engines: with the lock held ------------------------------------------------------------- */

static struct engine *engine_of(struct baro_governor *g, const struct baro_budget *budget)
{
	for (size_t i = 0; i < g->count; i++)
		if (g->engine[i].budget == budget)
			return &g->engine[i];
	return NULL;
}

static struct engine *engine_named(struct baro_governor *g, const char *name)
{
	for (size_t i = 0; i < g->count; i++)
		if (!strcmp(g->engine[i].budget->name, name))
			return &g->engine[i];
	return NULL;
}

/* A place for one more. */
static int make_room(struct baro_governor *g)
{
	size_t room = g->room ? 2 * g->room : 8;
	struct law_engine *work;
	struct engine *engine;

	if (g->count < g->room)
		return 0;
	if (g->count >= BARO_GOVERNOR_ENGINES_MAX)
		return -ENOSPC;
	engine = realloc(g->engine, room * sizeof(*engine));
	if (!engine)
		return -ENOMEM;
	g->engine = engine;
	work = realloc(g->work, room * sizeof(*work));
	if (!work)
		return -ENOMEM;
	g->work = work;
	g->room = room;
	return 0;
}

/*
 * Whether every layer from `parent` upwards can guarantee `min_bytes` beside what it guarantees to
 * the engines below it other than `except`. Of the ceiling it is the owner's that counts: what is
 * followed comes and goes.
 */
static bool can_guarantee(const struct baro_governor *g, const struct baro_budget *parent,
			  const struct engine *except, uint64_t min_bytes)
{
	for (; parent; parent = parent->parent) {
		uint64_t limit =
		    parent == g->top ? g->ceiling_bytes : budget_limit_shown(parent->limit);

		if (min_bytes > limit)
			return false;
		limit -= min_bytes;
		for (size_t i = 0; i < g->count; i++) {
			const struct engine *e = &g->engine[i];

			if (e == except || !budget_is_below(e->budget, parent))
				continue;
			if (e->law.min_bytes > limit)
				return false;
			limit -= e->law.min_bytes;
		}
	}
	return true;
}

/* An engine's, or one below it: memory moves between engines, not within one. */
static bool is_within_an_engine(struct baro_governor *g, const struct baro_budget *budget)
{
	for (; budget; budget = budget->parent)
		if (engine_of(g, budget))
			return true;
	return false;
}

static void set_bounds(struct engine *e, uint64_t min_bytes, uint64_t own_bytes, uint64_t max_bytes)
{
	e->law.min_bytes = min_bytes;
	e->law.own_bytes = own_bytes;
	e->law.max_bytes = max_bytes;
	BUDGET_STORE(e->budget->wanted_max, max_bytes);
}

static int add(struct baro_governor *g, struct baro_budget *parent, const char *name,
	       uint32_t flags, const uint64_t bounds[3], struct baro_budget **ret_engine)
{
	struct baro_budget *b = NULL;
	int r;

	if (parent->tree != g->top->tree || is_within_an_engine(g, parent))
		return -EINVAL;
	if (name && engine_named(g, name))
		return -EEXIST;
	if (!can_guarantee(g, parent, NULL, bounds[0]))
		return -ERANGE;
	r = make_room(g);
	if (!r)
		r = baro_budget_open(parent, name, bounds[1], flags, &b);
	if (r < 0)
		return r;
	r = governor_export_engine(g, b);
	if (r < 0) {
		(void)baro_budget_close(b);
		return r;
	}
	g->engine[g->count] = (struct engine){ .budget = b };
	set_bounds(&g->engine[g->count++], bounds[0], bounds[1], bounds[2]);
	(void)governor_apply(g);
	*ret_engine = b;
	return 0;
}

/* ---- the calls ------------------------------------------------------------------------------- */

int baro_governor_add(struct baro_governor *g, struct baro_budget *parent, const char *name,
		      uint32_t flags, uint64_t min_bytes, uint64_t own_bytes, uint64_t max_bytes,
		      struct baro_budget **ret_engine)
{
	const uint64_t bounds[3] = { min_bytes, own_bytes, max_bytes };
	int r;

	if (min_bytes > own_bytes || own_bytes > max_bytes)
		return -EINVAL;
	pthread_mutex_lock(&g->lock);
	r = add(g, parent ? parent : g->top, name, flags, bounds, ret_engine);
	pthread_mutex_unlock(&g->lock);
	return r;
}

int baro_governor_remove(struct baro_governor *g, struct baro_budget *budget)
{
	struct engine *e;
	int r = -ENOENT;

	pthread_mutex_lock(&g->lock);
	e = engine_of(g, budget);
	if (e)
		r = baro_budget_close(budget);
	if (!r) {
		governor_unexport_engine(g, budget);
		g->count--;
		memmove(e, e + 1, (size_t)(&g->engine[g->count] - e) * sizeof(*e));
	}
	pthread_mutex_unlock(&g->lock);
	return r;
}

struct baro_budget *baro_governor_find(struct baro_governor *g, const char *name)
{
	struct engine *e;
	struct baro_budget *b;

	pthread_mutex_lock(&g->lock);
	e = engine_named(g, name);
	b = e ? e->budget : NULL;
	pthread_mutex_unlock(&g->lock);
	return b;
}

static int set_engine(struct baro_governor *g, struct engine *e, uint64_t min_bytes,
		      uint64_t own_bytes, uint64_t max_bytes)
{
	if (!can_guarantee(g, e->budget->parent, e, min_bytes))
		return -ERANGE;
	set_bounds(e, min_bytes, own_bytes, max_bytes);
	(void)governor_apply(g);
	return 0;
}

int baro_governor_set_engine(struct baro_governor *g, struct baro_budget *budget,
			     uint64_t min_bytes, uint64_t own_bytes, uint64_t max_bytes)
{
	struct engine *e;
	int r = -ENOENT;

	if (min_bytes > own_bytes || own_bytes > max_bytes)
		return -EINVAL;
	pthread_mutex_lock(&g->lock);
	e = engine_of(g, budget);
	if (e)
		r = set_engine(g, e, min_bytes, own_bytes, max_bytes);
	pthread_mutex_unlock(&g->lock);
	return r;
}

/* ---- what is shown --------------------------------------------------------------------------- */

void baro_governor_read(struct baro_governor *g, struct baro_governor_stats *ret_stats)
{
	struct baro_budget_stats top;

	pthread_mutex_lock(&g->lock);
	baro_budget_read(g->top, &top);
	*ret_stats = (struct baro_governor_stats){
		.ceiling_bytes = g->ceiling_bytes,
		.followed_bytes = g->followed_bytes,
		.withheld_bytes = g->withheld_bytes,
		.limit_bytes = top.wanted_limit_bytes,
		.used_bytes = top.used_bytes,
		.rss_bytes = g->rss_bytes,
		.drift_now_bytes = g->drift.now_bytes,
		.drift_bytes = g->drift.smooth_bytes,
		.drift_since_ns = g->drift.since_ns,
		.drift_events = g->drift.events,
		.moves = g->moves,
		.moved_bytes = g->moved_bytes,
		.drift = g->drift.state,
		.level = baro_governor_level(g),
		.followed_level = g->followed_level,
		.engines = (uint32_t)g->count,
		.warnings = top.warnings,
		.criticals = top.criticals,
		.emergencies = top.emergencies,
	};
	pthread_mutex_unlock(&g->lock);
}

static void read_engine(const struct engine *e, struct baro_engine_stats *ret)
{
	uint64_t limit = budget_limit_shown(e->budget->limit), own = e->law.own_bytes;

	*ret = (struct baro_engine_stats){
		.min_bytes = e->law.min_bytes,
		.own_bytes = own,
		.max_bytes = e->law.max_bytes,
		.limit_bytes = limit,
		.used_bytes = (uint64_t)budget_used_locked(e->budget),
		.lent_bytes = own == BARO_PAGE_NONE ? 0 : (int64_t)(own - limit),
		.moves = e->moves,
		.hungry = e->law.hungry,
		.idle = e->law.idle,
	};
	memcpy(ret->name, e->budget->name, sizeof(ret->name));
}

size_t baro_governor_list(struct baro_governor *g, struct baro_engine_stats *ret_stats,
			  size_t count)
{
	size_t n;

	pthread_mutex_lock(&g->lock);
	budget_lock(g->top->tree);
	for (n = 0; n < g->count && n < count; n++)
		read_engine(&g->engine[n], &ret_stats[n]);
	n = g->count;
	budget_unlock(g->top->tree);
	pthread_mutex_unlock(&g->lock);
	return n;
}

const char *baro_drift_name(uint32_t drift)
{
	static const char *const names[] = { "none", "untracked", "overcounted" };

	return drift < sizeof(names) / sizeof(names[0]) ? names[drift] : "?";
}
