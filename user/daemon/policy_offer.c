/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the planner chooses from: the donors whose memory is worth least and what each next slice of
 * it would cost, the receivers whose stalls more memory would end and what each amount would bring.
 * All in weighted law_cost(). Few of each are looked at, however many engines there are.
 */
#include "user/daemon/law_internal.h"

#define HYSTERESIS_10      256 /* gain must exceed 1.25 x loss, in 1/1024 */
#define HYSTERESIS_SEEN_10 60 /* 1.06 where the loss is seen and not remembered */
#define MARGIN_SEEN_PART   32 /* of its size, and a bucket */
#define TARGET_RANK        64 /* stall above a target counts so many times */

uint64_t law_stall_of(const struct law_estimate *est)
{
	if (est->memory.heap || (est->memory.distances_known && !est->memory.reuse_known))
		return law_stall_per_work(est->memory.refault_stall);
	return (est->memory.outside * est->memory.kappa) >> LAW_ONE_SHIFT;
}

/* What exceeds a stall target outranks what does not. */
static uint64_t ranked(const struct plan *p, uint32_t i, uint64_t cost)
{
	uint64_t over = law_less(cost, p->w->engine[i].allowed);

	return cost - over + TARGET_RANK * over;
}

static uint64_t cost_of(const struct plan *p, uint32_t i, uint64_t stall)
{
	return ranked(p, i, law_cost_of(&p->estimate[i].memory, stall, p->params->gamma_ppm));
}

/* What it costs to have so many pages, where short phases are judged together. */
static uint64_t mean_cost_of(const struct plan *p, uint32_t i, uint64_t pages)
{
	return ranked(p, i, law_phases_cost(&p->estimate[i], pages));
}

bool law_above_target(const struct plan *p, uint32_t i)
{
	return law_cost(law_stall_of(&p->estimate[i]), p->params->gamma_ppm) >
	       p->w->engine[i].allowed;
}

/* The factor by which an engine's margin counts when candidates are chosen. */
static uint64_t rank_of(const struct plan *p, uint32_t i)
{
	return law_above_target(p, i) ? TARGET_RANK : 1;
}

static uint32_t curve_at(const struct law_estimate *est, uint64_t bucket)
{
	return bucket < LAW_BUCKETS ? est->curve[bucket] : 0;
}

/* A value between that of the bucket and the next, by where in the bucket the size stands. */
static uint64_t between(uint64_t first, uint64_t second, uint64_t part, uint64_t bucket)
{
	return (first * (bucket - part) + second * part) / bucket;
}

/* How much dearer a donor is that has just been given something, in 1/1024. */
static uint64_t reluctance_10(const struct plan *p, uint32_t i)
{
	const struct law_engine_state *s = &p->state->engine[i];
	const struct law_estimate *est = &p->estimate[i];
	uint64_t hysteresis = est->memory.reuse_known ? HYSTERESIS_SEEN_10 : HYSTERESIS_10;

	if (s->direction > 0)
		hysteresis = hysteresis *
			     law_clamp(s->hysteresis_ppm, LAW_PPM, law_reluctance_max(est)) /
			     LAW_PPM;
	return 1024 + hysteresis;
}

/* -- donors -- */

/*
 * A set that is seen may be a little larger than it looks, for its pages are sampled: where a miss
 * costs a hundred hits, a few per cent of it too little are most of its work. In buckets.
 */
static uint64_t seen_margin(const struct law_workspace *w, uint64_t at)
{
	return 1 + law_min(at / w->bucket, LAW_BUCKETS) / MARGIN_SEEN_PART;
}

/* Stall per work that giving one bucket, below `at` pages, would begin. */
static uint64_t loss_below(const struct law_workspace *w, const struct law_estimate *est,
			   uint64_t at)
{
	uint64_t size = at / w->bucket, part = at % w->bucket;
	uint64_t margin = est->memory.reuse_known ? seen_margin(w, at) : 0;
	uint64_t index = law_less(size, margin);
	uint64_t upper = law_max(curve_at(est, index), est->memory.boundary);
	uint64_t lower =
	    index == 0 ? upper : law_max(curve_at(est, index - 1), est->memory.boundary);

	return (between(lower, upper, part, w->bucket) * est->memory.kappa) >> LAW_ONE_SHIFT;
}

static uint64_t donor_floor(const struct law_workspace *w, const struct plan_engine *e)
{
	if (!e->anon)
		return e->floor;
	return law_max(e->floor, e->fixed + law_margin(e->fixed, w->bucket / 2));
}

static bool may_donate(const struct law_workspace *w, const struct plan_engine *e)
{
	return e->active && !e->manual && e->moved <= 0 && e->before > 0 &&
	       e->target > donor_floor(w, e);
}

/* What has been weighed so that it exceeds the loss by as much as that may be an error. */
static uint64_t reluctantly(const struct plan *p, uint32_t i, uint64_t cost)
{
	return p->w->engine[i].worth * reluctance_10(p, i) / 16 * cost / 64;
}

/* What giving so many pages costs in the mean of all phases, where it costs most within the margin. */
static uint64_t mean_loss(const struct plan *p, uint32_t i, uint64_t gone)
{
	const struct law_workspace *w = p->w;
	uint64_t target = w->engine[i].target, margin = seen_margin(w, target), loss = 0;

	for (uint64_t m = 0; m <= margin; m++) {
		uint64_t at = law_less(target, m * w->bucket);

		loss = law_max(
		    loss, law_less(mean_cost_of(p, i, law_less(at, gone)), mean_cost_of(p, i, at)));
	}
	return loss;
}

static void price_by_phases(const struct plan *p, struct plan_donor *d)
{
	uint64_t bucket = p->w->bucket;

	for (uint32_t k = 1; k <= d->slices + 1; k++) {
		uint64_t gone = k > d->slices ? d->slices * bucket + d->rest : k * bucket;

		d->loss[k] = reluctantly(p, d->engine, mean_loss(p, d->engine, gone));
		d->loss[k] = law_max(d->loss[k], d->loss[k - 1]);
	}
}

static void price_by_stall(const struct plan *p, struct plan_donor *d)
{
	const struct law_workspace *w = p->w;
	const struct law_estimate *est = &p->estimate[d->engine];
	uint64_t stall = law_stall_of(est), before = cost_of(p, d->engine, stall), lost;
	uint64_t at = w->engine[d->engine].target;

	for (uint32_t k = 1; k <= d->slices + 1; k++) {
		lost = loss_below(w, est, at);
		if (k > d->slices)
			lost = d->rest == 0 ? 0 : law_part(lost, law_ratio_32(d->rest, w->bucket));
		if (lost == 0) {
			d->loss[k] = d->loss[k - 1];
		} else {
			stall += lost;
			d->loss[k] =
			    reluctantly(p, d->engine, cost_of(p, d->engine, stall) - before);
			d->loss[k] = law_max(d->loss[k], d->loss[k - 1]);
		}
		at -= law_min(at, w->bucket);
	}
}

void law_donor_price(const struct plan *p, struct plan_donor *d)
{
	const struct law_workspace *w = p->w;
	const struct plan_engine *e = &w->engine[d->engine];
	uint64_t spare = law_less(e->target, donor_floor(w, e)), slices = spare / w->bucket;

	d->closed = !may_donate(w, e);
	d->slices = (uint32_t)law_min(slices, LAW_BUCKETS);
	d->rest = slices <= LAW_BUCKETS ? spare % w->bucket : 0;
	d->loss[0] = 0;
	if (law_phases_short(&p->estimate[d->engine]))
		price_by_phases(p, d);
	else
		price_by_stall(p, d);
}

/* Cheapest first; among equals the one with more to give. */
static bool cheaper(uint64_t score_a, uint64_t spare_a, uint64_t score_b, uint64_t spare_b)
{
	return score_a != score_b ? score_a < score_b : spare_a > spare_b;
}

/* What its next bucket costs, for the order of donors. */
static uint64_t donor_score(const struct plan *p, uint32_t i)
{
	const struct law_workspace *w = p->w;
	const struct plan_engine *e = &w->engine[i];
	const struct law_estimate *est = &p->estimate[i];
	uint64_t stall = LAW_ONE + law_stall_of(est), s;

	if (law_phases_short(est))
		return e->worth * mean_loss(p, i, w->bucket);
	s = rank_of(p, i) * e->worth * loss_below(w, est, e->target);
	if (s == 0)
		return 0;
	return (law_min(s, UINT64_MAX >> 12) << 12) / ((stall * stall) >> (2 * LAW_ONE_SHIFT - 12));
}

void law_choose_donors(const struct plan *p, uint32_t except)
{
	struct law_workspace *w = p->w;
	uint64_t score[LAW_DONORS_MAX], spare[LAW_DONORS_MAX];

	w->donors = 0;
	for (uint32_t i = 0; i < w->n; i++) {
		const struct plan_engine *e = &w->engine[i];
		uint64_t s, left;
		uint32_t k;

		if (!may_donate(w, e) || i == except)
			continue;
		s = donor_score(p, i);
		left = e->target - donor_floor(w, e);
		k = w->donors;
		if (k == LAW_DONORS_MAX && !cheaper(s, left, score[k - 1], spare[k - 1]))
			continue;
		k -= k == LAW_DONORS_MAX;
		for (; k > 0 && cheaper(s, left, score[k - 1], spare[k - 1]); k--) {
			score[k] = score[k - 1];
			spare[k] = spare[k - 1];
			w->donor[k].engine = w->donor[k - 1].engine;
		}
		score[k] = s;
		spare[k] = left;
		w->donor[k].engine = i;
		if (w->donors < LAW_DONORS_MAX)
			w->donors++;
	}
	for (uint32_t d = 0; d < w->donors; d++)
		law_donor_price(p, &w->donor[d]);
}

/* Merges all donors' slices, always the cheapest next one. */
void law_collect_offers(struct law_workspace *w, uint64_t pages)
{
	uint32_t given[LAW_DONORS_MAX] = { 0 };

	w->offers = 0;
	while (w->offers < LAW_OFFERS_MAX && pages > 0) {
		uint32_t best = LAW_DONORS_MAX;
		uint64_t best_loss = UINT64_MAX, size;

		for (uint32_t d = 0; d < w->donors; d++) {
			const struct plan_donor *donor = &w->donor[d];
			uint32_t k = given[d];
			uint64_t loss;

			if (donor->closed || k > donor->slices ||
			    (k == donor->slices && donor->rest == 0))
				continue;
			loss = donor->loss[k + 1] - donor->loss[k];
			if (loss < best_loss) {
				best_loss = loss;
				best = d;
			}
		}
		if (best == LAW_DONORS_MAX)
			break;
		size = given[best] < w->donor[best].slices ? w->bucket : w->donor[best].rest;
		w->offer[w->offers++] = (struct plan_offer){ best, size, best_loss };
		given[best]++;
		pages = law_less(pages, size);
	}
}

/* -- receivers -- */

static bool may_receive(const struct plan *p, uint32_t i)
{
	const struct plan_engine *e = &p->w->engine[i];
	const struct law_estimate *est = &p->estimate[i];

	return e->active && !e->manual && e->moved >= 0 && e->before > 0 && e->target < e->hi &&
	       est->memory.hull > 0 && est->memory.refault_stall > 0;
}

static void receiver_price(const struct plan *p, struct plan_receiver *r)
{
	const struct law_workspace *w = p->w;
	const struct plan_engine *e = &w->engine[r->engine];
	const struct law_estimate *est = &p->estimate[r->engine];
	uint64_t stall = law_stall_of(est), cured = 0;
	bool phases = law_phases_short(est);
	uint64_t before =
	    phases ? mean_cost_of(p, r->engine, e->target) : cost_of(p, r->engine, stall);
	uint64_t index = e->target / w->bucket, part = e->target % w->bucket;
	uint64_t room = (e->hi - e->target + w->bucket - 1) / w->bucket;

	r->reach = est->memory.top > index ? (uint32_t)(est->memory.top - index) : 0;
	r->reach = (uint32_t)law_min(r->reach, room);
	r->gain[0] = r->cured[0] = 0;
	for (uint32_t k = 1; k <= r->reach; k++) {
		uint64_t more = between(curve_at(est, index + k - 1), curve_at(est, index + k),
					part, w->bucket);
		uint64_t after;

		cured += (more * est->memory.kappa) >> LAW_ONE_SHIFT;
		r->cured[k] = law_min(cured, stall);
		after = phases ? mean_cost_of(p, r->engine, e->target + k * w->bucket)
			       : cost_of(p, r->engine, stall - r->cured[k]);
		r->gain[k] = e->worth * law_less(before, after);
		r->gain[k] = law_max(r->gain[k], r->gain[k - 1]);
	}
}

void law_choose_receivers(const struct plan *p)
{
	struct law_workspace *w = p->w;
	uint64_t score[LAW_RECEIVERS_MAX];

	w->receivers = 0;
	for (uint32_t i = 0; i < w->n; i++) {
		const struct law_estimate *est = &p->estimate[i];
		uint64_t s, stall;
		uint32_t k = w->receivers;

		if (!may_receive(p, i))
			continue;
		if (!plan_full(w, &w->engine[i])) {
			/* below its target by what it has just been given is another thing */
			if (w->engine[i].moved == 0)
				w->engine[i].reason = LAW_REASON_FILLING;
			continue;
		}
		stall = LAW_ONE + law_stall_of(est);
		s = rank_of(p, i) * w->engine[i].worth *
		    ((uint64_t)est->memory.hull * est->memory.kappa >> 16);
		s /= law_max((stall * stall) >> (2 * LAW_ONE_SHIFT - 10), 1);
		if (k == LAW_RECEIVERS_MAX && s <= score[k - 1])
			continue;
		k -= k == LAW_RECEIVERS_MAX;
		for (; k > 0 && s > score[k - 1]; k--) {
			score[k] = score[k - 1];
			w->receiver[k].engine = w->receiver[k - 1].engine;
		}
		score[k] = s;
		w->receiver[k].engine = i;
		if (w->receivers < LAW_RECEIVERS_MAX)
			w->receivers++;
	}
	for (uint32_t r = 0; r < w->receivers; r++) {
		struct plan_engine *e = &w->engine[w->receiver[r].engine];

		if (e->moved == 0 && law_phases_short(&p->estimate[w->receiver[r].engine]))
			e->reason = LAW_REASON_PHASES;
		w->receiver[r].done = false;
		receiver_price(p, &w->receiver[r]);
	}
}
