/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The laws of others, to compare with: Meta's senpai, the idle-memory tax of VMware's ESX, and
 * moving memory from the lowest to the highest pressure. Each sees the samples the default law sees
 * and is bounded by the same projection; docs/law.md says what of the originals is missing here.
 */
#include "user/daemon/law_internal.h"

#define PEER_PERIOD_NS       (240 * LAW_MS) /* idle-tax, psi: at least this between two moves */
#define PEER_STEP_PART       50 /* of what is divided, per move */
#define SENPAI_TICK_NS       (990 * LAW_MS) /* senpai looks once a second ... */
#define SENPAI_INTERVAL_NS   (5990 * LAW_MS) /* ... and tightens when all was calm so long */
#define SENPAI_PRESSURE_NS   (10 * LAW_MS) /* of stall that it aims at in an interval */
#define SENPAI_PROBE_PART    100 /* of the limit, the largest cut; reached when the stall is ... */
#define SENPAI_COEFF_PROBE   10 /* ... a tenth of what is aimed at */
#define SENPAI_COEFF_BACKOFF 20 /* so many times the pressure doubles the limit */
#define TAX_FACTOR           4 /* 1 / (1 - 75 %): what an idle page costs, one in use costing 1 */

static bool divides(const struct plan_engine *e)
{
	return e->active && !e->manual;
}

/* -- pressure -- */

/* Adds up what an engine has waited: the larger of memory's and io's "some", tick by tick. */
static void pressure_collect(const struct plan *p, uint32_t i)
{
	struct law_peer_state *s = &p->state->engine[i].peer;
	const struct law_sample *sample = &p->sample[i];
	uint64_t memory = 0, io = 0;

	if (sample->valid & LAW_VALID_PSI_MEMORY)
		memory = sample->psi_memory_some_ns;
	if (sample->valid & LAW_VALID_PSI_IO)
		io = sample->psi_io_some_ns;
	if (s->acted_ns == 0)
		s->acted_ns = law_max(p->now_ns, 1);
	else
		s->stalled_ns +=
		    law_max(law_delta(memory, s->psi_memory_ns), law_delta(io, s->psi_io_ns));
	s->stalled_ns = law_min(s->stalled_ns, LAW_COUNT_CAP);
	s->psi_memory_ns = memory;
	s->psi_io_ns = io;
}

static bool period_is_over(const struct plan *p)
{
	if (p->state->planned_ns != 0 && law_less(p->now_ns, p->state->planned_ns) < PEER_PERIOD_NS)
		return false;
	p->state->planned_ns = law_max(p->now_ns, 1);
	return true;
}

/* What is free first, then the donor's down to its floor. */
static void move_step(const struct plan *p, uint32_t from, uint32_t to)
{
	struct law_workspace *w = p->w;
	struct plan_engine *donor = &w->engine[from], *receiver = &w->engine[to];
	uint64_t step = law_max(w->available / PEER_STEP_PART, 1);
	uint64_t pages = law_min(step, law_less(receiver->hi, receiver->target));
	uint64_t room = law_less(law_free_pages(w), w->burst);
	uint64_t free_pages = law_flow(p, LAW_NO_ENGINE, to, law_min(pages, room)), taken;

	law_flowed(p, LAW_NO_ENGINE, to, free_pages);
	taken = law_min(pages - free_pages, law_less(donor->target, donor->floor));
	taken = law_flow(p, from, to, taken);
	law_flowed(p, from, to, taken);
	donor->target -= taken;
	receiver->target += free_pages + taken;
	if (taken > 0)
		receiver->peer = from;
	donor->peer = to;
}

static void mark_moves(struct law_workspace *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		struct plan_engine *e = &w->engine[i];

		if (!divides(e) || e->before == 0 || e->target == e->before)
			continue;
		e->reason = LAW_REASON_POLICY;
		e->moved = e->target > e->before ? 1 : -1;
	}
}

/* -- senpai -- */

/*
 * Above the pressure it aims at the limit is relaxed, with the square of the excess, at most
 * doubled; after a calm interval it is tightened, the more the calmer it was. It knows one engine
 * at a time and no ceiling: what does not fit is cut by the projection.
 */
static void senpai_engine(const struct plan *p, uint32_t i)
{
	struct law_peer_state *s = &p->state->engine[i].peer;
	struct plan_engine *e = &p->w->engine[i];
	uint64_t since_ns = law_less(p->now_ns, s->acted_ns), root;

	if (s->stalled_ns > SENPAI_PRESSURE_NS && since_ns >= SENPAI_TICK_NS) {
		root = law_ratio_32(s->stalled_ns, SENPAI_COEFF_BACKOFF * SENPAI_PRESSURE_NS);
		e->target = law_min(e->target + law_part(e->target, law_part(root, root)), e->hi);
	} else if (since_ns >= SENPAI_INTERVAL_NS) {
		root = law_ratio_32(SENPAI_PRESSURE_NS, SENPAI_COEFF_PROBE * s->stalled_ns);
		e->target -= law_part(e->target, law_part(root, root) / SENPAI_PROBE_PART);
		e->target = law_max(e->target, law_min(e->floor, e->before));
	} else {
		return;
	}
	s->stalled_ns = 0;
	s->acted_ns = law_max(p->now_ns, 1);
}

void law_peer_senpai(const struct plan *p)
{
	law_first_targets(p);
	for (uint32_t i = 0; i < p->w->n; i++) {
		if (!divides(&p->w->engine[i]))
			continue;
		pressure_collect(p, i);
		if (p->w->engine[i].before > 0)
			senpai_engine(p, i);
	}
	mark_moves(p->w);
}

/* -- the idle-memory tax -- */

/* What an engine pays for its memory, in pages, the idle ones dearer. */
static uint64_t taxed_pages(const struct plan *p, uint32_t i)
{
	const struct plan_engine *e = &p->w->engine[i];
	uint64_t active = law_min(law_pages(p->estimate[i].working_set_bytes), e->usage);

	active = law_min(active, e->target);
	return active + TAX_FACTOR * (e->target - active);
}

/* Whether a has more shares per taxed page than b would have after paying `less` pages less. */
static bool richer(const struct plan *p, uint32_t a, uint32_t b, uint64_t step)
{
	const struct plan_engine *e = p->w->engine;
	unsigned __int128 of_a = e[b].weight, of_b = e[a].weight;

	of_a *= taxed_pages(p, a) + step;
	of_b *= law_less(taxed_pages(p, b), step);
	return of_a < of_b;
}

/* It would take more: full, and turning over. */
static bool claims(const struct plan *p, uint32_t i)
{
	const struct plan_engine *e = &p->w->engine[i];

	if (!divides(e) || e->before == 0 || e->target >= e->hi || !plan_full(p->w, e))
		return false;
	return p->sample[i].limit_hits > p->state->engine[i].limit_hits ||
	       p->estimate[i].evictions_per_s > 0;
}

static bool may_give(const struct plan_engine *e)
{
	return divides(e) && e->before > 0 && e->target > e->floor;
}

/* Min-funding revocation: who pays the least per taxed page gives to the claimant who pays most. */
void law_peer_idle_tax(const struct plan *p)
{
	struct law_workspace *w = p->w;
	uint32_t from = LAW_NO_ENGINE, to = LAW_NO_ENGINE;

	law_first_targets(p);
	law_bound_flows(p);
	if (p->urgent < p->n || !period_is_over(p))
		return;
	for (uint32_t i = 0; i < w->n; i++)
		if (claims(p, i) && (to == LAW_NO_ENGINE || richer(p, i, to, 0)))
			to = i;
	for (uint32_t i = 0; i < w->n; i++)
		if (i != to && may_give(&w->engine[i]) &&
		    (from == LAW_NO_ENGINE || richer(p, from, i, 0)))
			from = i;
	if (to == LAW_NO_ENGINE || from == LAW_NO_ENGINE)
		return;
	/* a step that would only turn the two round is not made */
	if (richer(p, to, from, w->available / PEER_STEP_PART))
		move_step(p, from, to);
	mark_moves(w);
}

/* -- equal pressure -- */

void law_peer_psi(const struct plan *p)
{
	struct law_workspace *w = p->w;
	uint32_t from = LAW_NO_ENGINE, to = LAW_NO_ENGINE;
	uint64_t least = UINT64_MAX, most = 0;

	law_first_targets(p);
	law_bound_flows(p);
	for (uint32_t i = 0; i < w->n; i++)
		if (divides(&w->engine[i]))
			pressure_collect(p, i);
	if (p->urgent < p->n || !period_is_over(p))
		return;
	for (uint32_t i = 0; i < w->n; i++) {
		const struct plan_engine *e = &w->engine[i];
		uint64_t stalled_ns = p->state->engine[i].peer.stalled_ns;

		p->state->engine[i].peer.stalled_ns = 0;
		if (!divides(e) || e->before == 0)
			continue;
		if (stalled_ns > most && e->target < e->hi) {
			most = stalled_ns;
			to = i;
		}
		if (stalled_ns < least && may_give(e)) {
			least = stalled_ns;
			from = i;
		}
	}
	if (to == LAW_NO_ENGINE || from == LAW_NO_ENGINE || least >= most)
		return;
	move_step(p, from, to);
	mark_moves(w);
}
