/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trials: a set that has become smaller looks from outside like one that fits, and what its memory
 * was worth is only remembered. Where somebody waits for memory, a little of such memory is given
 * away to see. If nobody comes back for it, the rest is not believed either (curve_doubt()) and
 * flows on like anything that is worth little; if somebody does, it is won back by the ordinary
 * rules, and the next trial of this engine is long in coming.
 *
 * When somebody's stall jumps, the host is not what it was, and every engine may be tried again at
 * once; not when that happens again and again, for then following costs more than it brings.
 */
#include "user/daemon/law_internal.h"

#define TRIAL_BUCKETS     2 /* of what it uses */
#define TRIAL_RISK        3 /* times what is remembered of a bucket, at most that gain */
#define TRIAL_GAIN_PART   8 /* whoever waits gains this part of its work at least */
#define TRIAL_CALM_STALL  (LAW_ONE / 50) /* an engine stalled for more is known without a trial */
#define TRIAL_BUSY        (LAW_ONE / 20) /* of an engine at rest nothing would be seen */
#define TRIAL_WAIT_NS     LAW_S /* after a jump */
#define TRIAL_FIRST_NS    (16 * LAW_S) /* without one */
#define TRIAL_GOOD_NS     (8 * LAW_S) /* after a trial that showed something */
#define TRIAL_BACKOFF     16 /* times, after each that did not ... */
#define TRIAL_WAIT_MAX_NS (256 * LAW_S) /* ... up to this */
#define JUMPS_APART_NS    (6 * LAW_S) /* trials on their account */
#define JUMP_OWN_NS       (5 * LAW_S) /* what the law took so long ago explains a stall */

/* Fits in what it has, and only memory says that it still needs it. */
static bool is_unproven(const struct plan *p, uint32_t i, uint64_t gain)
{
	const struct law_workspace *w = p->w;
	const struct plan_engine *e = &w->engine[i];
	const struct law_memory *m = &p->estimate[i].memory;
	uint64_t in_use = law_min(e->target, e->usage), bucket, remembered;

	if (!e->active || e->manual || e->moved != 0 || e->before == 0 || e->anon || m->heap ||
	    !m->distances_known || m->reuse_known || p->engine[i].stall_target_ppm > 0 ||
	    in_use < e->floor + w->bucket)
		return false;
	bucket = law_min(in_use / w->bucket, LAW_BUCKETS) - 1;
	remembered = (p->estimate[i].curve[bucket] * m->kappa) >> LAW_ONE_SHIFT;
	return p->estimate[i].curve[bucket] > 0 && m->refault_stall < TRIAL_CALM_STALL &&
	       m->kappa > TRIAL_BUSY && TRIAL_RISK * e->worth * remembered < gain;
}

static bool is_due(const struct plan *p, uint32_t i)
{
	struct law_trial_state *t = &p->state->engine[i].trial;

	if (t->at_ns == 0) {
		t->at_ns = p->now_ns;
		t->wait_ns = TRIAL_FIRST_NS;
	}
	if (t->doubts != p->estimate[i].memory.doubts)
		t->wait_ns = TRIAL_GOOD_NS;
	return law_less(p->now_ns, t->at_ns) >= law_max(t->wait_ns, TRIAL_WAIT_NS);
}

/* The one with most to give. */
static uint32_t choose(const struct plan *p, uint32_t to, uint64_t gain)
{
	uint32_t best = LAW_NO_ENGINE;
	uint64_t most = 0;

	for (uint32_t i = 0; i < p->w->n; i++) {
		const struct plan_engine *e = &p->w->engine[i];
		uint64_t spare = law_less(e->target, e->floor);

		if (i == to || spare <= most || !is_unproven(p, i, gain) || !is_due(p, i) ||
		    law_flow(p, i, to, 1) == 0)
			continue;
		most = spare;
		best = i;
	}
	return best;
}

/* What it does not use, and then a little of what it does. */
static uint64_t bite_of(const struct plan *p, uint32_t i)
{
	const struct plan_engine *e = &p->w->engine[i];
	uint64_t in_use = law_min(e->usage, law_pages(p->estimate[i].base_bytes));

	return law_min(law_less(e->target, in_use) + TRIAL_BUCKETS * p->w->bucket,
		       law_less(e->target, e->floor));
}

static void try_one(const struct plan *p, uint32_t from, uint32_t to)
{
	struct plan_engine *donor = &p->w->engine[from], *e = &p->w->engine[to];
	struct law_trial_state *t = &p->state->engine[from].trial;
	uint64_t pages = law_flow(p, from, to, bite_of(p, from));

	if (pages == 0 || pages > e->hi - e->target)
		return;
	t->at_ns = p->now_ns;
	t->doubts = p->estimate[from].memory.doubts;
	t->wait_ns = law_min(TRIAL_BACKOFF * law_max(t->wait_ns, TRIAL_WAIT_NS), TRIAL_WAIT_MAX_NS);
	law_flowed(p, from, to, pages);
	donor->target -= pages;
	donor->moved = -1;
	donor->reason = LAW_REASON_TRIAL;
	donor->peer = to;
	e->target += pages;
	e->moved = 1;
	e->reason = LAW_REASON_TRIAL;
	e->peer = from;
}

/* More stalled than it was, and not because of what was just taken from it. */
static bool jumped(const struct plan *p, uint32_t i)
{
	const struct law_memory *m = &p->estimate[i].memory;
	const struct law_engine_state *s = &p->state->engine[i];

	if (m->stall_now <= m->stall_usual + LAW_JUMP || p->w->engine[i].moved < 0)
		return false;
	return s->direction >= 0 || law_less(p->now_ns, s->last_move_ns) >= JUMP_OWN_NS;
}

static void note_jumps(const struct plan *p)
{
	bool any = false;

	/* a host that has just begun does nothing but jump */
	for (uint32_t i = 0; i < p->w->n && !any; i++)
		any = p->state->jump_ns == 0 || jumped(p, i);
	if (!any || law_less(p->now_ns, p->state->jump_ns) <= JUMPS_APART_NS)
		return;
	if (p->state->jump_ns > 0)
		for (uint32_t i = 0; i < p->w->n; i++) {
			struct law_trial_state *t = &p->state->engine[i].trial;

			t->wait_ns = 0;
			t->at_ns = law_max(t->at_ns, 1);
		}
	p->state->jump_ns = p->now_ns;
}

void law_try_donors(const struct plan *p)
{
	const struct law_workspace *w = p->w;
	uint32_t to = LAW_NO_ENGINE, from;
	uint64_t most = 0;

	note_jumps(p);
	for (uint32_t r = 0; r < w->receivers; r++) {
		const struct plan_receiver *is = &w->receiver[r];
		const struct plan_engine *e = &w->engine[is->engine];
		uint64_t gain = law_trusted_gain(p, is, is->reach);

		if (e->moved < 0 || gain < e->worth * (LAW_ONE / TRIAL_GAIN_PART) || gain <= most)
			continue;
		most = gain;
		to = is->engine;
	}
	if (to == LAW_NO_ENGINE)
		return;
	from = choose(p, to, most);
	if (from != LAW_NO_ENGINE)
		try_one(p, from, to);
}
