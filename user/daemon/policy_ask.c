/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asking: memory that reclaim cannot take, but that its engine declared it can give back.
 *
 * Two phases. First the law publishes what an engine is to give back and by when; its target stays.
 * What it then frees is target that it does not use, and moves on by the ordinary rules, so nothing
 * is promised to anyone before it is there. An acknowledgement or the deadline ends the request.
 * Who gave less than a part of it is left alone, each time for twice as long; nothing is ever
 * forced.
 */
#include "user/daemon/law_internal.h"

#define ASK_CALM_NS      (2 * LAW_S) /* neither stalled nor grown for so long, before it is asked */
#define ASK_WITHIN_NS    (2 * LAW_S) /* the deadline */
#define ASK_QUIET_NS     (2 * LAW_S) /* between two requests that were granted */
#define ASK_BACKOFF_NS   (10 * LAW_S) /* after one that was not, doubled each time ... */
#define ASK_BACKOFFS_MAX 6 /* ... so many times */
#define ASK_GRANTED_PART 4 /* this part of what was asked counts as granted */
#define ASK_STALL_MIN    (LAW_ONE / 20) /* per work, of whom it is for */
#define ASK_MAX_PART     4 /* of what there is to divide, at once */
#define ASK_CALM_PPM     (LAW_PPM / 100)

static bool listens(const struct plan *p, uint32_t i)
{
	const struct plan_engine *e = &p->w->engine[i];

	return e->active && !e->manual && e->before > 0 && p->sample[i].demand.clients > 0 &&
	       (p->sample[i].valid & LAW_VALID_KINDS);
}

/* What it has given back of what it was asked for, in pages. */
static uint64_t freed_of(const struct law_ask_state *a, const struct plan_engine *e)
{
	return law_less(law_pages(a->base_bytes), e->fixed);
}

static void end(struct law_ask_state *a, const struct plan *p, const struct plan_engine *e)
{
	uint32_t times = (uint32_t)law_min(a->refusals, ASK_BACKOFFS_MAX);

	if (freed_of(a, e) >= law_pages(a->bytes) / ASK_GRANTED_PART) {
		a->refusals = 0;
		a->quiet_until_ns = p->now_ns + ASK_QUIET_NS;
	} else {
		a->refusals = times + 1;
		a->quiet_until_ns = p->now_ns + (ASK_BACKOFF_NS << times);
	}
	a->since_ns = a->bytes = 0;
}

/* A request under way: told again with what is left of it, or ended. */
static void follow(const struct plan *p, uint32_t i)
{
	struct law_ask_state *a = &p->state->engine[i].ask;
	struct plan_engine *e = &p->w->engine[i];
	uint64_t left = law_less(law_pages(a->bytes), freed_of(a, e));

	if (!listens(p, i) || left == 0 || p->sample[i].demand.ack_epoch > a->epoch ||
	    law_less(p->now_ns, a->since_ns) >= ASK_WITHIN_NS) {
		end(a, p, e);
		return;
	}
	e->release = left;
	e->release_by_ns = a->since_ns + ASK_WITHIN_NS;
	if (e->reason == LAW_REASON_NONE)
		e->reason = LAW_REASON_ASK;
}

static void note_calm(const struct plan *p, uint32_t i)
{
	struct law_ask_state *a = &p->state->engine[i].ask;
	bool calm = p->estimate[i].stall_ppm < ASK_CALM_PPM && p->w->engine[i].moved <= 0;

	if (!calm || a->calm_since_ns == 0 || a->calm_since_ns > p->now_ns)
		a->calm_since_ns = law_max(p->now_ns, 1);
}

/* How many pages could be asked of it now, of those that are needed; 0: none. */
static uint64_t askable(const struct plan *p, uint32_t i, uint64_t need)
{
	const struct law_ask_state *a = &p->state->engine[i].ask;
	const struct law_workspace *w = p->w;
	const struct plan_engine *e = &w->engine[i];
	uint64_t most;

	if (!listens(p, i) || a->since_ns != 0 || p->now_ns < a->quiet_until_ns ||
	    law_less(p->now_ns, a->calm_since_ns) < ASK_CALM_NS || e->moved > 0)
		return 0;
	/* What its target holds above that can be had without asking. */
	most = law_min(need - law_min(need, law_less(e->target, e->fixed)),
		       w->available / ASK_MAX_PART);
	most = law_min(most, law_pages(p->sample[i].demand.reclaimable_bytes));
	most = law_min(most, law_less(e->fixed, law_max(e->min, w->bucket)));
	return most >= w->bucket ? most : 0;
}

static bool lacks(const struct plan_engine *e)
{
	return e->moved == 0 && (e->reason == LAW_REASON_NONE || e->reason == LAW_REASON_PHASES);
}

/*
 * The pages that would help most now: for a cache that is full, and that the planner gave nothing
 * though it would pay, because nobody has enough that may be taken.
 */
static uint64_t needed(const struct plan *p, uint32_t *ret_receiver)
{
	const struct law_workspace *w = p->w;
	uint64_t best = 0;

	for (uint32_t k = 0; k < w->receivers; k++) {
		const struct plan_receiver *r = &w->receiver[k];
		uint64_t gain = r->gain[r->reach];

		if (!lacks(&w->engine[r->engine]) || gain <= best ||
		    law_stall_of(&p->estimate[r->engine]) < ASK_STALL_MIN)
			continue;
		best = gain;
		*ret_receiver = k;
	}
	return best == 0 ? 0 : w->receiver[*ret_receiver].reach * w->bucket;
}

void law_ask(const struct plan *p)
{
	struct law_workspace *w = p->w;
	uint32_t from = LAW_NO_ENGINE, receiver = 0;
	uint64_t need, offer = 0, best = 0;
	struct law_ask_state *a;

	for (uint32_t i = 0; i < w->n; i++) {
		note_calm(p, i);
		if (p->state->engine[i].ask.since_ns != 0)
			follow(p, i);
	}
	need = needed(p, &receiver);
	for (uint32_t i = 0; i < w->n && need > 0; i++) {
		uint64_t pages = i == w->receiver[receiver].engine ? 0 : askable(p, i, need);
		uint64_t cheap = pages / law_max(w->engine[i].weight / 100, 1);

		if (cheap > best) {
			best = cheap;
			offer = pages;
			from = i;
		}
	}
	if (from == LAW_NO_ENGINE)
		return;
	a = &p->state->engine[from].ask;
	a->since_ns = law_max(p->now_ns, 1);
	a->bytes = offer * LAW_PAGE_BYTES;
	a->base_bytes = w->engine[from].fixed * LAW_PAGE_BYTES;
	a->epoch = p->sample[from].demand.grant_epoch;
	w->engine[from].peer = w->receiver[receiver].engine;
	follow(p, from);
}

void law_ask_continue(const struct plan *p)
{
	for (uint32_t i = 0; i < p->w->n; i++)
		if (p->state->engine[i].ask.since_ns != 0)
			follow(p, i);
}
