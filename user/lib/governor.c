// SPDX-License-Identifier: BSD-2-Clause
/*
 * The governor: engines and their places, the ceiling and what bounds it. Two locks: the governor's
 * own, and within it the tree's, under which usage is read, the law decides and limits move, so
 * that nothing is reserved in between.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/arith.h"
#include "user/lib/budget_internal.h"
#include "user/lib/governor_internal.h"

#define PPM           1000000u
#define WITHHELD_STEP 256 /* of the ceiling: by so much what is withheld changes at least */

/* ---- groups: engines with one parent; with both locks held ----------------------------------- */

static uint64_t ceiling_of(const struct baro_budget *parent)
{
	uint64_t ceiling = BARO_PAGE_NONE;

	for (; parent; parent = parent->parent)
		ceiling = lib_min(ceiling, budget_limit_shown(parent->limit));
	return ceiling;
}

static bool is_first_of_group(const struct baro_governor *g, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (g->engine[i].budget->parent == g->engine[at].budget->parent)
			return false;
	return true;
}

/* Copies the engines below `parent` into g->work; returns how many. */
static size_t gather(struct baro_governor *g, const struct baro_budget *parent)
{
	size_t n = 0;

	for (size_t i = 0; i < g->count; i++)
		if (g->engine[i].budget->parent == parent)
			g->work[n++] = g->engine[i].law;
	return n;
}

/* What the law moved; the bounds it cut to what it can add up stay as they were said. */
static void take_over(struct engine *e, const struct law_engine *law)
{
	uint64_t min = e->law.min_bytes, own = e->law.own_bytes, max = e->law.max_bytes;

	e->law = *law;
	e->law.min_bytes = min;
	e->law.own_bytes = own;
	e->law.max_bytes = max;
}

/* And back; moves the limits, what goes down first. Returns how many moved. */
static int scatter(struct baro_governor *g, const struct baro_budget *parent, bool count_moves)
{
	int moved = 0;

	for (int up = 0; up < 2; up++) {
		size_t n = 0;

		for (size_t i = 0; i < g->count; i++) {
			struct engine *e = &g->engine[i];
			int64_t limit;

			if (e->budget->parent != parent)
				continue;
			take_over(e, &g->work[n++]);
			limit = e->law.limit_bytes < LAW_BYTES_MAX ? (int64_t)e->law.limit_bytes
								   : BUDGET_BYTES_MAX;
			if (limit == e->budget->limit || (limit > e->budget->limit) != up)
				continue;
			if (count_moves) {
				e->moves++;
				g->moves++;
				g->moved_bytes += up ? (uint64_t)(limit - e->budget->limit) : 0;
			}
			budget_move_limit(e->budget, limit);
			moved++;
		}
	}
	return moved;
}

/* What engines use now. */
static void look_at_usage(struct baro_governor *g)
{
	for (size_t i = 0; i < g->count; i++) {
		struct engine *e = &g->engine[i];

		e->law.used_bytes = (uint64_t)(e->budget->limit - e->budget->room);
		e->law.limit_bytes = budget_limit_shown(e->budget->limit);
	}
}

/* And what they did since the last look. */
static void look_at_recent(struct baro_governor *g)
{
	for (size_t i = 0; i < g->count; i++) {
		struct budget_recent recent;

		budget_take_recent(g->engine[i].budget, &recent);
		g->engine[i].law.peak_bytes = (uint64_t)recent.peak;
		g->engine[i].law.wanted_bytes = recent.wanted;
	}
}

static void fit_all(struct baro_governor *g)
{
	look_at_usage(g);
	for (size_t i = 0; i < g->count; i++) {
		const struct baro_budget *parent = g->engine[i].budget->parent;

		if (!is_first_of_group(g, i))
			continue;
		law_fit(g->work, gather(g, parent), ceiling_of(parent));
		(void)scatter(g, parent, false);
	}
}

/* ---- the ceiling: with the governor's lock held ---------------------------------------------- */

static uint64_t minima(const struct baro_governor *g)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < g->count; i++)
		sum += g->engine[i].law.min_bytes;
	return sum;
}

/* What is the most that may be resident. */
static uint64_t bound_of(const struct baro_governor *g)
{
	return lib_min(g->ceiling_bytes, g->followed_bytes);
}

/* What large is, for a drift. */
static uint64_t scale_of(const struct baro_governor *g, uint64_t used_bytes)
{
	uint64_t bound = bound_of(g);

	return bound == BARO_PAGE_NONE ? used_bytes : bound;
}

/* How much of `bound` untracked memory takes, in steps: every change calls in the credit. */
static uint64_t withheld_of(const struct baro_governor *g, uint64_t bound, int64_t drift)
{
	uint64_t step = bound / WITHHELD_STEP + 1, floor = minima(g), most;
	uint64_t untracked = drift > 0 ? (uint64_t)drift : 0;

	if (bound == BARO_PAGE_NONE)
		return 0;
	most = lib_min(bound / 2, bound > floor ? bound - floor : 0);
	return lib_min((untracked + step - 1) / step * step, most);
}

/* Brings the ceiling and the engines' limits to what bounds them now. 1: it is still going down. */
int governor_apply(struct baro_governor *g)
{
	struct budget_tree *t = g->top->tree;
	uint64_t bound = bound_of(g);
	int64_t drift, limit;
	int pending;

	budget_lock(t);
	drift = drift_effective(&g->drift, scale_of(g, (uint64_t)budget_used_locked(g->top)));
	g->withheld_bytes = withheld_of(g, bound, drift);
	limit = budget_limit_of(bound == BARO_PAGE_NONE ? bound : bound - g->withheld_bytes);
	if (limit > budget_limit_of(g->asked_limit_bytes))
		limit = budget_limit_of(g->asked_limit_bytes);
	budget_move_ceiling(g->top, limit, budget_limit_of(bound), drift);
	fit_all(g);
	pending = budget_used_locked(g->top) > limit;
	budget_unlock(t);
	return pending;
}

int baro_governor_set_ceiling(struct baro_governor *g, uint64_t ceiling_bytes)
{
	int r;

	pthread_mutex_lock(&g->lock);
	g->ceiling_bytes = budget_limit_shown(budget_limit_of(ceiling_bytes));
	r = governor_apply(g);
	pthread_mutex_unlock(&g->lock);
	return r;
}

int baro_governor_set_share(struct baro_governor *g, uint32_t share_ppm)
{
	if (share_ppm > PPM)
		return -EINVAL;
	pthread_mutex_lock(&g->lock);
	g->share_ppm = share_ppm;
	pthread_mutex_unlock(&g->lock);
	return 0;
}

static uint64_t share_of(const struct baro_governor *g, uint64_t bytes)
{
	return lib_part_ppm(bytes, g->share_ppm);
}

/* A request is answered once: what it leaves is counted from when it came, or grew. */
static void take_request(struct baro_governor *g, const struct baro_pressure *p)
{
	uint64_t used, release = share_of(g, p->release_bytes);

	if (!p->release_bytes) {
		g->asked_limit_bytes = BARO_PAGE_NONE;
		g->asked_bytes = 0;
		return;
	}
	if (g->asked_bytes >= p->release_bytes && g->asked_epoch == p->grant_epoch)
		return;
	used = baro_budget_used(g->top);
	g->asked_limit_bytes = used > release ? used - release : 0;
	g->asked_bytes = p->release_bytes;
	g->asked_epoch = p->grant_epoch;
}

static bool is_known(const struct baro_pressure *p)
{
	uint32_t state = p ? BARO_STATUS_STATE(p->status) : (uint32_t)BARO_SLOT_FREE;

	return state == BARO_SLOT_ACTIVE || state == BARO_SLOT_MANUAL;
}

int baro_governor_follow(struct baro_governor *g, const struct baro_pressure *p)
{
	static const struct baro_pressure nothing;
	bool known = is_known(p);
	int r;

	pthread_mutex_lock(&g->lock);
	g->followed_bytes = BARO_PAGE_NONE;
	if (known && p->budget_bytes && p->budget_bytes != BARO_PAGE_NONE)
		g->followed_bytes = share_of(g, p->budget_bytes);
	take_request(g, known ? p : &nothing);
	BUDGET_STORE(g->followed_level,
		     known ? BARO_STATUS_LEVEL(p->status) : (uint32_t)BARO_LEVEL_UNKNOWN);
	r = governor_apply(g);
	pthread_mutex_unlock(&g->lock);
	return r;
}

int baro_governor_reconcile(struct baro_governor *g, uint64_t rss_bytes, uint64_t now_ns)
{
	uint64_t used = baro_budget_used(g->top);
	int state;

	pthread_mutex_lock(&g->lock);
	drift_sample(&g->drift, rss_bytes, used, scale_of(g, used), now_ns);
	g->rss_bytes = rss_bytes;
	(void)governor_apply(g);
	state = (int)g->drift.state;
	pthread_mutex_unlock(&g->lock);
	return state;
}

int baro_governor_rebalance(struct baro_governor *g, uint64_t now_ns)
{
	int moved = 0;

	pthread_mutex_lock(&g->lock);
	if (drift_expire(&g->drift, now_ns)) {
		g->rss_bytes = 0;
		(void)governor_apply(g);
	}
	budget_lock(g->top->tree);
	look_at_usage(g);
	look_at_recent(g);
	for (size_t i = 0; i < g->count; i++) {
		const struct baro_budget *parent = g->engine[i].budget->parent;

		if (!is_first_of_group(g, i))
			continue;
		law_rebalance(g->work, gather(g, parent), ceiling_of(parent), now_ns);
		moved += scatter(g, parent, true);
	}
	budget_unlock(g->top->tree);
	pthread_mutex_unlock(&g->lock);
	return moved;
}

uint32_t baro_governor_level(struct baro_governor *g)
{
	uint32_t level = baro_budget_level(g->top), followed = BUDGET_LOAD(g->followed_level);

	return followed > level ? followed : level;
}
