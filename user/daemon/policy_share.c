/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simple policies: fixed shares by weight, and shares by recent demand. Both are water-filling:
 * who cannot take its share (max) or must have more (floor) is set aside and the rest is divided
 * again among the others.
 */
#include "user/daemon/law_internal.h"

#define ROUNDS               8
#define PROPORTIONAL_STEP_NS (10 * LAW_S) /* how fast shares follow demand */

/* engine[].want holds each one's claim (any unit); targets are set to shares within lo and hi. */
static void divide(struct law_workspace *w, uint64_t pages)
{
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t claims = 0, left = pages;
		bool settled = true;

		for (uint32_t i = 0; i < w->n; i++) {
			const struct plan_engine *e = &w->engine[i];

			if (!e->active || e->manual)
				continue;
			if (e->moved)
				left = law_less(left, e->target);
			else
				claims += e->want;
		}
		for (uint32_t i = 0; i < w->n; i++) {
			struct plan_engine *e = &w->engine[i];
			uint64_t share;

			if (!e->active || e->manual || e->moved)
				continue;
			share = claims == 0 ? 0 : law_part(left, law_ratio_32(e->want, claims));
			e->target = law_clamp(share, e->lo, e->hi);
			if (e->target != share)
				settled = false;
		}
		if (settled)
			break;
		for (uint32_t i = 0; i < w->n; i++) {
			struct plan_engine *e = &w->engine[i];

			if (e->active && !e->manual && (e->target == e->lo || e->target == e->hi))
				e->moved = 1;
		}
	}
}

static void claim_weights(const struct plan *p)
{
	struct law_workspace *w = p->w;
	/* a group's weight is its whole share, however many engines are in it */
	for (uint32_t g = 0; g < LAW_GROUPS_MAX; g++)
		w->group_sum[g] = 0;
	for (uint32_t i = 0; i < w->n; i++)
		if (w->engine[i].active && !w->engine[i].manual)
			w->group_sum[p->engine[i].group % LAW_GROUPS_MAX] +=
			    law_clamp(p->engine[i].weight, 1, 10000);
	for (uint32_t i = 0; i < w->n; i++) {
		struct plan_engine *e = &w->engine[i];
		uint32_t g = p->engine[i].group % LAW_GROUPS_MAX;
		uint64_t group = 100;

		if (p->engine[i].group < p->params->groups && p->engine[i].group < LAW_GROUPS_MAX)
			group = law_clamp(p->params->group[g].weight, 1, 10000);
		if (e->active && !e->manual)
			e->want = (group * law_clamp(p->engine[i].weight, 1, 10000) << 20) /
				  w->group_sum[g];
	}
}

static void mark_policy(struct law_workspace *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		struct plan_engine *e = &w->engine[i];

		e->moved = 0;
		if (e->active && !e->manual)
			e->reason = e->before == 0 ? LAW_REASON_START : LAW_REASON_POLICY;
	}
}

void law_share_static(const struct plan *p)
{
	claim_weights(p);
	divide(p->w, p->w->available);
	mark_policy(p->w);
}

/*
 * Claim = weight x (memory in use + memory that would end the stall, as far as stalls tell).
 * Targets move a part of the way on every tick, so that a spike does not turn everything over.
 */
void law_share_proportional(const struct plan *p)
{
	struct law_workspace *w = p->w;
	uint64_t alpha = law_alpha(law_less(p->now_ns, p->state->decided_ns), PROPORTIONAL_STEP_NS);

	for (uint32_t i = 0; i < w->n; i++) {
		struct plan_engine *e = &w->engine[i];
		uint64_t stall = law_min(p->estimate[i].stall_avg_ppm, LAW_PPM);
		uint64_t demand = law_max(e->usage, w->bucket);

		if (!e->active || e->manual)
			continue;
		demand += law_part(e->usage, law_ratio_32(stall, LAW_PPM));
		e->want = law_min(demand, 1ull << 30) * e->weight;
	}
	divide(w, w->available);
	for (uint32_t i = 0; i < w->n; i++) {
		struct plan_engine *e = &w->engine[i];

		if (e->active && !e->manual && e->before > 0 && p->state->ticks > 0)
			e->target = law_ewma(e->before, e->target, alpha);
	}
	mark_policy(w);
}
