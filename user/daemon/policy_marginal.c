/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The default policy, in the order of urgency: what must be (first targets, unreclaimable memory),
 * what costs nobody anything (free memory to who meets its limit), what pays (policy_plan.c), and
 * the burst reserve filled up again from what lies idle.
 */
#include "user/daemon/law_internal.h"

#define HEADROOM_PART      64 /* of unreclaimable memory, kept above it */
#define HEADROOM_AHEAD_NS  (500 * LAW_MS) /* growth looked ahead for */
#define HEADROOM_MAX_PART  10 /* of the ceiling ... */
#define HEADROOM_HARD_PART 4 /* ... and at a hard limit, where too little kills */
#define GRANT_PART         8 /* of usage, at once to who meets its limit */
#define FILLING_NS         (2 * LAW_S) /* after it was given memory an engine is reading it in */
#define IDLE_AHEAD_NS      (2 * LAW_S) /* what an engine will fill in this time is not idle */
#define PLAN_NS            (90 * LAW_MS)

static bool divides(const struct plan_engine *e)
{
	return e->active && !e->manual;
}

static bool newcomer(const struct plan_engine *e)
{
	return divides(e) && e->before == 0;
}

/* What does not fit is cut from the newcomers, not from those who are at work. */
static void fit_newcomers(struct law_workspace *w, uint64_t room)
{
	uint64_t sum = 0, ratio;

	for (uint32_t i = 0; i < w->n; i++)
		if (newcomer(&w->engine[i]))
			sum += w->engine[i].target;
	ratio = law_ratio_32(room, sum);
	for (uint32_t i = 0; i < w->n; i++)
		if (newcomer(&w->engine[i]))
			w->engine[i].target = law_part(w->engine[i].target, ratio);
}

/*
 * First targets. An engine's share is half what it uses, half its weight says: a running host is
 * not turned over by the start, nor is a stampeded engine left with what it was beaten down to.
 */
void law_first_targets(const struct plan *p)
{
	struct law_workspace *w = p->w;
	uint64_t used = 0, taken = 0, newcomers = 0, room, left;

	for (uint32_t i = 0; i < w->n; i++) {
		const struct plan_engine *e = &w->engine[i];

		if (newcomer(e)) {
			used += e->usage;
			newcomers += 1;
		} else if (divides(e)) {
			taken += e->target;
		}
	}
	if (newcomers == 0)
		return;
	room = law_less(law_less(w->available, taken), w->burst);
	left = law_less(room, used);
	for (uint32_t i = 0; i < w->n; i++) {
		struct plan_engine *e = &w->engine[i];
		uint64_t share, by_use;

		if (!newcomer(e))
			continue;
		/* beside engines that have theirs, a newcomer claims its weight's part of it all */
		share =
		    law_part(law_less(w->available, w->burst), law_ratio_32(e->weight, w->weights));
		by_use = law_part(e->usage, law_ratio_32(room, law_max(used, 1))) +
			 law_part(left, law_ratio_32(e->weight, w->weights));
		e->target = (share + by_use) / 2;
		e->reason = LAW_REASON_START;
	}
	fit_newcomers(w, room);
}

/* What an engine must have now, and what it will need within moments as it grows. */
static uint64_t demand_of(const struct plan *p, uint32_t i)
{
	const struct plan_engine *e = &p->w->engine[i];
	int64_t velocity = p->estimate[i].usage_velocity_bytes_per_s;
	uint64_t headroom = e->fixed / HEADROOM_PART;
	uint64_t again = law_pages_up(law_burst_expected(&p->estimate[i].memory));

	if (e->fixed == 0 && again == 0)
		return e->lo;
	/* it is not growing, it comes and goes; where that is an error, it must not be a deadly one */
	if (again >= e->fixed && !p->engine[i].hard)
		return law_clamp(again + again / HEADROOM_PART, e->lo, e->hi);
	if (e->anon && velocity > 0)
		headroom += law_pages((uint64_t)velocity) / (LAW_S / HEADROOM_AHEAD_NS);
	headroom = law_min(headroom, p->w->available / (p->engine[i].hard ? HEADROOM_HARD_PART
									  : HEADROOM_MAX_PART));
	return law_clamp(law_max(again, e->fixed + headroom), e->lo, e->hi);
}

static bool wants_more_than(const struct plan *p, uint32_t i, uint64_t pages)
{
	return law_min(law_pages(p->sample[i].demand.wanted_bytes), p->w->engine[i].hi) > pages;
}

/*
 * What a heap is about to fill is not for others, or it would go back and forth. At a hard limit
 * it would also be killed before any tick, so there it keeps what it lately used, until forgotten.
 */
static void raise_heap_floors(const struct plan *p)
{
	for (uint32_t i = 0; i < p->w->n; i++) {
		struct plan_engine *e = &p->w->engine[i];
		uint64_t keep = demand_of(p, i);
		bool expected = law_burst_expected(&p->estimate[i].memory) > 0;

		if (!divides(e) || (!e->anon && !expected))
			continue;
		/* who listens shrinks before it is killed, and what it gave back must move on */
		if (p->engine[i].hard && p->sample[i].demand.clients == 0)
			keep = law_max(law_max(keep, law_held(e->usage, e->fixed)),
				       law_pages(p->estimate[i].memory.anon_peak_bytes));
		e->floor = law_min(law_max(e->floor, keep), e->hi);
	}
}

/* It was given memory a moment ago, for what it had been seen to miss. */
static bool is_filling(const struct plan *p, uint32_t i)
{
	const struct law_engine_state *s = &p->state->engine[i];

	return s->direction > 0 && p->estimate[i].memory.reuse_known &&
	       law_less(p->now_ns, s->last_move_ns) < FILLING_NS;
}

/*
 * What an engine has been given and does not use, nor is about to: one that is filling would have
 * to win back at the price of its stalls what a faster neighbour was lent.
 */
static uint64_t idle_of(const struct plan *p, uint32_t i)
{
	const struct law_workspace *w = p->w;
	const struct plan_engine *e = &w->engine[i];
	int64_t velocity = p->estimate[i].usage_velocity_bytes_per_s;
	uint64_t keep = law_max(e->floor, e->usage + law_margin(e->target, w->bucket));

	if (velocity > 0)
		keep += law_pages((uint64_t)velocity) * (IDLE_AHEAD_NS / LAW_MS) / (LAW_S / LAW_MS);
	if (!divides(e) || e->before == 0 || e->moved > 0 || is_filling(p, i))
		return 0;
	/* usage is of this moment; how much of it is unreclaimable may be a sample older */
	if (e->anon && !wants_more_than(p, i, e->usage))
		keep = law_max(e->floor, e->usage + law_less(demand_of(p, i), e->fixed));
	return law_less(e->target, keep);
}

/*
 * Memory that is given and not used costs nobody anything: taken from all who have it, evenly, for
 * engine `to` (LAW_NO_ENGINE: to be free).
 */
static uint64_t take_idle(const struct plan *p, uint64_t pages, uint32_t to)
{
	struct law_workspace *w = p->w;
	uint64_t idle = 0, got = 0, ratio;

	for (uint32_t i = 0; i < w->n && pages > 0; i++)
		idle += i == to ? 0 : law_flow(p, i, to, idle_of(p, i));
	if (idle == 0)
		return 0;
	ratio = law_ratio_32(pages, idle);
	for (uint32_t i = 0; i < w->n; i++) {
		uint64_t part = i == to ? 0 : law_part(idle_of(p, i), ratio);

		part = law_min(law_flow(p, i, to, part), pages - got);
		if (part == 0)
			continue;
		law_flowed(p, i, to, part);
		w->engine[i].target -= part;
		w->engine[i].moved = -1;
		w->engine[i].reason = LAW_REASON_IDLE;
		w->engine[i].peer = to;
		got += part;
	}
	return got;
}

/* Free memory for an engine, as far as its group may have more. */
static uint64_t take_free(const struct plan *p, uint64_t pages, uint32_t to)
{
	uint64_t got = law_flow(p, LAW_NO_ENGINE, to, pages);

	law_flowed(p, LAW_NO_ENGINE, to, got);
	return got;
}

static void give(struct plan_engine *e, uint64_t pages, enum law_reason reason)
{
	if (pages == 0)
		return;
	e->target += pages;
	e->moved = 1;
	if (e->before > 0)
		e->reason = reason;
}

/* Unreclaimable memory and its growth: never waits for evidence. */
static void charge(const struct plan *p)
{
	struct law_workspace *w = p->w;
	uint64_t room = law_free_pages(w);

	for (uint32_t i = 0; i < w->n; i++) {
		struct plan_engine *e = &w->engine[i];
		uint64_t demand, must, got;

		if (!divides(e) || e->moved < 0)
			continue;
		must = law_less(e->lo, e->target);
		demand = law_less(demand_of(p, i), e->target);
		if (newcomer(e) && e->target < e->floor)
			must = demand = law_max(demand, e->floor - e->target);
		if (demand == 0)
			continue;
		got = law_min(demand, room);
		room -= got;
		if (got < demand)
			got += take_idle(p, demand - got, i);
		/* a heap cannot wait for evidence: at a hard limit it is killed, not slowed down */
		if (e->anon)
			must = demand;
		if (got < must)
			got += law_plan_take(p, must - got, i);
		give(e, got, e->target < e->lo ? LAW_REASON_FLOOR : LAW_REASON_BURST);
	}
}

/* It says that what it must have is enough. */
static bool is_content(const struct plan *p, uint32_t i)
{
	return p->sample[i].demand.hint == LAW_HINT_MEMORY_CONSTRAINED;
}

static bool meets_limit(const struct plan *p, uint32_t i)
{
	const struct law_estimate *est = &p->estimate[i];
	const struct plan_engine *e = &p->w->engine[i];

	if (!divides(e) || e->moved < 0 || e->before == 0 || est->streaming || e->target >= e->hi)
		return false;
	if (!plan_full(p->w, e) || is_content(p, i))
		return false;
	return p->sample[i].limit_hits > p->state->engine[i].limit_hits ||
	       est->evictions_per_s > 0 ||
	       est->usage_velocity_bytes_per_s > (int64_t)LAW_PAGE_BYTES;
}

static uint64_t grant_of(const struct plan *p, uint32_t i)
{
	const struct plan_engine *e = &p->w->engine[i];

	return law_min(law_max(e->usage / GRANT_PART, 2 * p->w->bucket), e->hi - e->target);
}

static uint64_t take_stream(struct plan_engine *e, uint64_t pages, uint32_t to)
{
	uint64_t part = law_min(pages, law_less(e->target, e->floor));

	if (!divides(e) || e->before == 0 || e->moved > 0 || part == 0)
		return 0;
	e->target -= part;
	e->moved = -1;
	e->reason = LAW_REASON_STREAM;
	e->peer = to;
	return part;
}

/* What streams hold above their floors earns nothing there. To LAW_NO_ENGINE: it is free then. */
static uint64_t take_streams(const struct plan *p, uint64_t pages, uint32_t to)
{
	struct law_workspace *w = p->w;
	uint64_t got = 0, most = 0, part;

	for (uint32_t i = 0; i < w->n && got < pages; i++) {
		if (!p->estimate[i].streaming)
			continue;
		part = take_stream(&w->engine[i], pages - got, to);
		got += part;
		if (part > most && to < w->n) {
			most = part;
			w->engine[to].peer = i;
		}
	}
	return got;
}

/* Free memory goes at once to who meets its limit, evenly among those. */
static void grant_free(const struct plan *p)
{
	struct law_workspace *w = p->w;
	uint64_t room = law_less(law_free_pages(w), w->burst);
	uint64_t grants = 0;

	if (room == 0)
		return;
	for (uint32_t i = 0; i < w->n; i++)
		grants += meets_limit(p, i);
	for (uint32_t i = 0; i < w->n && grants > 0; i++)
		if (meets_limit(p, i))
			give(&w->engine[i], take_free(p, law_min(grant_of(p, i), room / grants), i),
			     LAW_REASON_BURST);
}

/*
 * Who says that it could use more, and uses what it has, gets it before its first reclaim: from
 * what is free, and from what others leave idle; never so much that it would itself be called idle.
 */
static void grant_wanted(const struct plan *p)
{
	struct law_workspace *w = p->w;

	for (uint32_t i = 0; i < w->n; i++) {
		struct plan_engine *e = &w->engine[i];
		uint64_t wanted = law_min(law_pages(p->sample[i].demand.wanted_bytes), e->hi);
		uint64_t ask, got;

		if (!divides(e) || e->moved != 0 || e->before == 0 || wanted <= e->target ||
		    p->estimate[i].streaming || is_content(p, i))
			continue;
		ask = law_less(e->usage + law_margin(e->target, w->bucket), e->target);
		ask = law_min(ask, wanted - e->target);
		got = take_free(p, law_min(ask, law_less(law_free_pages(w), w->burst)), i);
		got += take_idle(p, ask - got, i);
		give(e, got, LAW_REASON_BURST);
	}
}

/*
 * The loop was woken by a stall: what is free, idle or streamed through goes to that engine, and to
 * one that cannot be reclaimed the cheapest cache too.
 */
static void grant_urgent(const struct plan *p)
{
	struct law_workspace *w = p->w;
	struct plan_engine *e = &w->engine[p->urgent];
	uint64_t ask, got;

	if (!divides(e) || e->target >= e->hi || p->estimate[p->urgent].streaming ||
	    !plan_full(w, e))
		return;
	if (is_content(p, p->urgent) && !e->anon) /* a heap must have it */
		return;
	ask = grant_of(p, p->urgent);
	got = take_free(p, law_min(ask, law_free_pages(w)), p->urgent);
	got += take_idle(p, ask - got, p->urgent);
	if (got < ask)
		got += take_streams(p, ask - got, p->urgent);
	/* a neighbour's cache can be read again, a heap that finds no page is killed */
	if (got < ask && e->anon)
		got += law_plan_take(p, ask - got, p->urgent);
	give(e, got, LAW_REASON_BURST);
}

/* The reserve that a burst has used up comes back from idle memory and from streams, by and by. */
static void refill_burst(const struct plan *p)
{
	struct law_workspace *w = p->w;
	uint64_t lacking = law_less(w->burst, law_free_pages(w));
	uint64_t bite = law_min(lacking, w->bucket);

	/* Crumbs are not worth a decision each. */
	if (lacking <= w->burst / 2)
		return;
	bite -= take_idle(p, bite, LAW_NO_ENGINE);
	take_streams(p, bite, LAW_NO_ENGINE);
}

void law_marginal(const struct plan *p)
{
	law_first_targets(p);
	law_bound_flows(p);
	raise_heap_floors(p);
	if (p->urgent < p->n) {
		law_ask_continue(p);
		grant_urgent(p);
		return;
	}
	charge(p);
	grant_free(p);
	grant_wanted(p);
	if (p->state->planned_ns == 0 || law_less(p->now_ns, p->state->planned_ns) >= PLAN_NS) {
		law_plan_moves(p);
		refill_burst(p);
		law_ask(p);
		p->state->planned_ns = law_max(p->now_ns, 1);
	} else {
		law_ask_continue(p);
	}
}
