/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How an engine's past moves bear on the next: steps grow while it keeps going one way and shrink
 * when it turns, who turns round becomes reluctant, and memory that never stays becomes dear.
 */
#include "user/daemon/law_internal.h"

#define STEP_WINDOW_NS    (250 * LAW_MS) /* steps are per this time */
#define STEP_FIRST        2 /* buckets */
#define STEP_GROW_NS      (500 * LAW_MS) /* the same way: doubles in this time */
#define STEP_MAX_PART     16 /* of the ceiling per STEP_WINDOW_NS */
#define ANON_STEP_PERCENT 30 /* of the ceiling per tick */
#define REVERSAL_NS       (15 * LAW_S)
#define CALM_NS           (40 * LAW_S) /* the reluctance of who has turned round fades */
#define CALM_BLIND_NS     (16 * LAW_S) /* the same without distances */
#define MOVE_COST         (LAW_ONE / 2000) /* per bucket: what a move must earn at least */
#define MOVE_FILLS        2 /* times what is moved is read in until it is back */
#define MOVE_LATE_NS      (7 * LAW_S / 4) /* until so much that is wanted is seen and is there */
#define MOVE_LATE_BUCKETS (LAW_BUCKETS / 8)

uint64_t law_step_pages(const struct plan *p, uint32_t i, bool seen)
{
	const struct law_workspace *w = p->w;
	uint64_t bucket = w->bucket;
	uint64_t most = law_max(w->available / STEP_MAX_PART, bucket);
	uint64_t step = law_pages(p->state->engine[i].step_bytes);

	if (p->estimate[i].memory.heap)
		return law_max(w->available * ANON_STEP_PERCENT / 100, bucket);
	/* half a way that is worth going may lead to where going back looks better */
	if (seen)
		return w->available;
	if (step == 0)
		step = STEP_FIRST * bucket;
	step = law_min(step, most) * (w->window_ns / LAW_MS) / (STEP_WINDOW_NS / LAW_MS);
	return law_clamp(step, law_max(bucket / 4, 1), 2 * most);
}

/*
 * For how long what is moved to an engine may be expected to stay: as long as its memory has stayed
 * before it turned round, or has already now, and no longer than half the time from one surge of its
 * stalls to the next. Where the curve is only remembered, turning round is how the law learns.
 */
uint64_t law_stays_ns(const struct plan *p, uint32_t i)
{
	const struct law_engine_state *s = &p->state->engine[i];
	uint64_t stays = UINT64_MAX;

	/* what is judged by all its phases is not moved for one of them */
	if (!p->estimate[i].memory.reuse_known || law_phases_short(&p->estimate[i]))
		return stays;
	if (s->stayed_ns > 0)
		stays = law_max(s->stayed_ns, law_less(p->now_ns, s->turned_ns));
	if (s->period_ns > 0)
		stays = law_min(stays, law_max(s->period_ns, law_less(p->now_ns, s->surge_ns)) / 2);
	return stays;
}

/* It must be read in here, and there when it goes back: that is to be paid for until then. */
uint64_t law_move_cost(const struct plan *p, uint32_t i, uint64_t stays_ns)
{
	const struct law_estimate *est = &p->estimate[i];
	uint64_t tasks_16 = law_max(est->memory.parallelism_16, 1 << 16);
	uint64_t cost_ns = (law_min(est->refault_cost_ns, LAW_S) << 16) / tasks_16; /* a page */
	uint64_t fill_ns = p->w->bucket * cost_ns;

	return law_clamp(law_fraction(MOVE_FILLS * fill_ns, stays_ns), MOVE_COST, LAW_ONE);
}

uint64_t law_in_time_32(uint64_t stays_ns, uint32_t buckets)
{
	uint64_t late = MOVE_LATE_NS * law_min(buckets, MOVE_LATE_BUCKETS) / MOVE_LATE_BUCKETS;

	return law_ratio_32(law_less(stays_ns, late), stays_ns);
}

/* Of times between two of a kind: the last counts for half. 0: there was none. */
static uint64_t with_interval(uint64_t mean_ns, uint64_t ns)
{
	return mean_ns == 0 ? ns : mean_ns / 2 + ns / 2;
}

static void remember_turn(struct law_engine_state *s, uint64_t now_ns)
{
	uint64_t stayed = law_max(law_less(now_ns, s->turned_ns), 1);

	if (s->direction != 0)
		s->stayed_ns = with_interval(s->stayed_ns, stayed);
	s->turned_ns = now_ns;
}

/* Memory that does not follow its engine does not turn round, but the stalls still come and go. */
static void remember_surge(const struct law_memory *m, struct law_engine_state *s, uint64_t now_ns)
{
	bool surging = m->stall_now > m->stall_usual + (s->surging ? 0 : LAW_JUMP);
	uint64_t since = law_max(law_less(now_ns, s->surge_ns), 1);

	if (surging && !s->surging) {
		if (s->surge_ns > 0)
			s->period_ns = with_interval(s->period_ns, since);
		s->surge_ns = law_max(now_ns, 1);
	}
	s->surging = surging;
}

void law_remember_moves(const struct plan *p)
{
	struct law_workspace *w = p->w;
	uint64_t most = law_max(w->available / STEP_MAX_PART, w->bucket) * LAW_PAGE_BYTES;
	uint64_t least = w->bucket * LAW_PAGE_BYTES;

	for (uint32_t i = 0; i < w->n; i++) {
		struct law_engine_state *s = &p->state->engine[i];
		int moved = w->engine[i].target > w->engine[i].before   ? 1
			    : w->engine[i].target < w->engine[i].before ? -1
									: 0;
		uint64_t step =
		    s->step_bytes == 0 ? STEP_FIRST * least : law_min(s->step_bytes, LAW_BYTES_CAP);
		const struct law_estimate *est = &p->estimate[i];
		uint64_t dearest = law_reluctance_max(est);
		uint64_t hm = law_clamp(s->hysteresis_ppm, LAW_PPM, dearest);
		uint64_t calm_ns = est->memory.distances_known ? CALM_NS : CALM_BLIND_NS;

		remember_surge(&est->memory, s, p->now_ns);
		s->hysteresis_ppm =
		    (uint32_t)law_ewma(hm, LAW_PPM, law_alpha(w->window_ns, calm_ns));
		if (moved == 0 || w->engine[i].before == 0 || w->engine[i].moved == 0)
			continue;
		if (s->direction == -moved && law_less(p->now_ns, s->last_move_ns) < REVERSAL_NS) {
			step /= 2;
			s->hysteresis_ppm = (uint32_t)law_min(2 * hm, dearest);
		} else {
			step += step * (w->window_ns / LAW_MS) / (STEP_GROW_NS / LAW_MS);
		}
		s->step_bytes = law_clamp(step, least, most);
		if (s->direction != moved)
			remember_turn(s, p->now_ns);
		s->direction = moved;
		s->last_move_ns = p->now_ns;
	}
}
