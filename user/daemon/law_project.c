/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The projection: whatever a policy wants, what leaves here keeps every bound. Sizes in pages.
 *
 *   engine:  lo <= target <= hi, where lo = max(min, unreclaimable) and hi = max (hi wins)
 *   group:   sum of its targets within [min, max] as far as its engines' bounds allow
 *   host:    sum of all targets <= available
 *
 * What exceeds a bound is cut from the parts above lo, in proportion. When the lo alone do not fit,
 * guarantees are cut down towards what cannot be reclaimed, and nothing grows.
 * All ratios round down, so sums never exceed what they are cut to.
 */
#include "user/daemon/law_internal.h"

static void clamp_engines(struct law_workspace *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		struct plan_engine *e = &w->engine[i];

		if (!e->active || e->manual)
			continue;
		if (e->target < e->lo)
			e->clamps |= e->fixed >= e->min ? LAW_CLAMP_UNRECLAIMABLE : LAW_CLAMP_MIN;
		if (e->target > e->hi)
			e->clamps |= e->wanted ? LAW_CLAMP_WANTED : LAW_CLAMP_MAX;
		e->target = law_clamp(e->target, e->lo, e->hi);
	}
}

static void sum_groups(const struct plan *p)
{
	struct law_workspace *w = p->w;

	for (uint32_t g = 0; g < LAW_GROUPS_MAX; g++)
		w->group_sum[g] = w->group_lo[g] = w->group_gap[g] = 0;
	for (uint32_t i = 0; i < w->n; i++) {
		const struct plan_engine *e = &w->engine[i];
		uint32_t g = p->engine[i].group % LAW_GROUPS_MAX;

		if (!e->active || e->manual)
			continue;
		w->group_sum[g] += e->target;
		w->group_lo[g] += e->lo;
		w->group_gap[g] += e->hi - e->target;
	}
}

/* Brings every group to group_want[], which lies between group_lo[] and group_sum[]. */
static void cut_groups(const struct plan *p, uint32_t clamp)
{
	struct law_workspace *w = p->w;

	for (uint32_t g = 0; g < LAW_GROUPS_MAX; g++)
		w->group_ratio[g] = law_ratio_32(law_less(w->group_want[g], w->group_lo[g]),
						 w->group_sum[g] - w->group_lo[g]);
	for (uint32_t i = 0; i < w->n; i++) {
		struct plan_engine *e = &w->engine[i];
		uint32_t g = p->engine[i].group % LAW_GROUPS_MAX;

		if (!e->active || e->manual || w->group_want[g] >= w->group_sum[g])
			continue;
		e->target = e->lo + law_part(e->target - e->lo, w->group_ratio[g]);
		e->clamps |= clamp;
	}
}

static void raise_groups(const struct plan *p)
{
	struct law_workspace *w = p->w;

	for (uint32_t g = 0; g < LAW_GROUPS_MAX; g++)
		w->group_ratio[g] =
		    law_ratio_32(law_less(w->group_want[g], w->group_sum[g]), w->group_gap[g]);
	for (uint32_t i = 0; i < w->n; i++) {
		struct plan_engine *e = &w->engine[i];
		uint32_t g = p->engine[i].group % LAW_GROUPS_MAX;

		if (!e->active || e->manual || w->group_want[g] <= w->group_sum[g])
			continue;
		e->target += law_part(e->hi - e->target, w->group_ratio[g]);
		e->clamps |= LAW_CLAMP_GROUP_MIN;
	}
}

uint64_t law_group_min(const struct plan *p, uint32_t g)
{
	return g < p->params->groups && g < LAW_GROUPS_MAX
		   ? law_pages_up(p->params->group[g].min_bytes)
		   : 0;
}

uint64_t law_group_max(const struct plan *p, uint32_t g)
{
	return g < p->params->groups && g < LAW_GROUPS_MAX
		   ? law_pages(p->params->group[g].max_bytes)
		   : law_pages(LAW_BYTES_CAP);
}

static void bound_groups(const struct plan *p)
{
	struct law_workspace *w = p->w;
	bool cut = false, raise = false;

	sum_groups(p);
	for (uint32_t g = 0; g < LAW_GROUPS_MAX; g++) {
		uint64_t max = law_max(law_group_max(p, g), w->group_lo[g]);

		w->group_want[g] = law_min(w->group_sum[g], max);
		cut |= w->group_want[g] < w->group_sum[g];
	}
	if (cut) {
		cut_groups(p, LAW_CLAMP_GROUP_MAX);
		sum_groups(p);
	}
	for (uint32_t g = 0; g < LAW_GROUPS_MAX; g++) {
		w->group_want[g] =
		    law_max(w->group_sum[g], law_min(law_group_min(p, g), law_group_max(p, g)));
		raise |= w->group_want[g] > w->group_sum[g] && w->group_gap[g] > 0;
	}
	if (raise) {
		raise_groups(p);
		sum_groups(p);
	}
}

/* Sum over groups of min(sum, max(lo, guarantee)): what a cut to the ceiling spares. */
static uint64_t spared(const struct plan *p, uint32_t g)
{
	const struct law_workspace *w = p->w;

	return law_min(w->group_sum[g], law_max(w->group_lo[g], law_group_min(p, g)));
}

static void fit_ceiling(const struct plan *p, uint64_t sum, uint64_t lo)
{
	struct law_workspace *w = p->w;
	uint64_t kept = 0, ratio;

	for (uint32_t g = 0; g < LAW_GROUPS_MAX; g++)
		kept += spared(p, g);
	if (kept <= w->available)
		ratio = law_ratio_32(w->available - kept, sum - kept);
	else
		ratio = law_ratio_32(w->available - lo, kept - lo);
	for (uint32_t g = 0; g < LAW_GROUPS_MAX; g++) {
		uint64_t s = spared(p, g);

		if (kept <= w->available)
			w->group_want[g] = s + law_part(w->group_sum[g] - s, ratio);
		else
			w->group_want[g] = w->group_lo[g] + law_part(s - w->group_lo[g], ratio);
	}
	cut_groups(p, LAW_CLAMP_CEILING);
}

/* Floors and unreclaimable memory alone do not fit: nothing grows. */
static void overcommitted(struct law_workspace *w)
{
	uint64_t fixed = 0, lo = 0, ratio;

	for (uint32_t i = 0; i < w->n; i++) {
		const struct plan_engine *e = &w->engine[i];

		if (!e->active || e->manual)
			continue;
		fixed += law_min(e->fixed, e->hi);
		lo += e->lo;
	}
	ratio = law_ratio_32(law_less(w->available, fixed), lo - fixed);
	if (lo == fixed)
		ratio = 0;
	for (uint32_t i = 0; i < w->n; i++) {
		struct plan_engine *e = &w->engine[i];
		uint64_t base = law_min(e->fixed, e->hi);

		if (!e->active || e->manual)
			continue;
		e->target = base + law_part(e->lo - base, ratio);
		if (e->before > 0)
			e->target = law_min(e->target, e->before);
		e->reason = LAW_REASON_OVERCOMMITTED;
		e->clamps |= LAW_CLAMP_CEILING;
	}
}

void law_project(const struct plan *p)
{
	struct law_workspace *w = p->w;
	uint64_t sum = 0, lo = 0;

	for (uint32_t i = 0; i < w->n; i++)
		w->engine[i].want = w->engine[i].target;
	clamp_engines(w);
	bound_groups(p);
	for (uint32_t g = 0; g < LAW_GROUPS_MAX; g++) {
		sum += w->group_sum[g];
		lo += w->group_lo[g];
	}
	if (lo > w->available)
		overcommitted(w);
	else if (sum > w->available)
		fit_ceiling(p, sum, lo);
}
