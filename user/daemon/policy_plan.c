/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The planner: moves memory to the engine whose stalls it ends, from the engines whose stalls it
 * begins least, when the first clearly exceeds the second.
 *
 * Every engine has a curve (law_curve.c). The value of an allocation is the weighted sum of
 * law_cost(stall per work): removing a stall lets an engine meet more stalls, which law_cost()
 * knows. A receiver is judged by its best mean gain over ANY amount (so it sees across cliffs: a
 * loop that gains nothing until it fits), a donor by what its next buckets are remembered to be
 * worth, at least by what is seen just outside its present size. What is moved is only a step of
 * the amount; the rest follows on later ticks, if it is still worth it.
 *
 * Work is bounded whatever the number of engines: a few receivers and a few donors are looked at.
 */
#include "user/daemon/law_internal.h"

#define ROUNDS_MAX        6
#define STEP_WINDOW_NS    (250 * LAW_MS) /* steps are per this time */
#define STEP_FIRST        2 /* buckets */
#define STEP_GROW_NS      (500 * LAW_MS) /* the same way: doubles in this time */
#define STEP_MAX_PART     16 /* of the ceiling per STEP_WINDOW_NS */
#define ANON_STEP_PERCENT 30 /* of the ceiling per tick */
#define REVERSAL_NS       (15 * LAW_S)
#define HYSTERESIS_10     256 /* gain must exceed 1.25 x loss, in 1/1024 */
#define CALM_NS           (16 * LAW_S) /* the doubled hysteresis of who reversed fades */
#define MOVE_COST         (LAW_ONE / 2000) /* per bucket and weight: what a move must earn */
#define GATE_Z            3 /* standard errors of the number of samples */
#define GATE_WINDOW_NS    (4 * LAW_S)

static uint64_t stall_of(const struct law_estimate *est)
{
	uint64_t share = law_min(est->memory.refault_stall, LAW_ONE);

	return law_fraction(share, law_max(LAW_ONE - share, LAW_ONE / 50));
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
static uint64_t reluctance_10(const struct law_engine_state *s)
{
	uint64_t hm =
	    s->direction > 0 ? law_clamp(s->hysteresis_ppm, LAW_PPM, 2 * LAW_PPM) : LAW_PPM;

	return 1024 + HYSTERESIS_10 * hm / LAW_PPM;
}

/* -- donors -- */

/* Stall per work that giving one bucket, below `at` pages, would begin. */
static uint64_t loss_below(const struct law_workspace *w, const struct law_estimate *est,
			   uint64_t at)
{
	uint64_t index = at / w->bucket, part = at % w->bucket;
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

static void donor_price(const struct plan *p, struct plan_donor *d)
{
	const struct law_workspace *w = p->w;
	const struct plan_engine *e = &w->engine[d->engine];
	const struct law_estimate *est = &p->estimate[d->engine];
	uint64_t reluctance = reluctance_10(&p->state->engine[d->engine]);
	uint64_t stall = stall_of(est);
	uint64_t before = law_cost(stall, p->params->gamma_ppm);
	uint64_t spare = law_less(e->target, donor_floor(w, e));
	uint64_t at = e->target, slices = spare / w->bucket, lost;

	d->closed = !may_donate(w, e);
	d->slices = (uint32_t)law_min(slices, LAW_BUCKETS);
	d->rest = slices <= LAW_BUCKETS ? spare % w->bucket : 0;
	d->loss[0] = 0;
	for (uint32_t k = 1; k <= d->slices + 1; k++) {
		lost = loss_below(w, est, at);
		if (k > d->slices)
			lost = d->rest == 0 ? 0 : law_part(lost, law_ratio_32(d->rest, w->bucket));
		if (lost == 0) {
			d->loss[k] = d->loss[k - 1];
		} else {
			stall += lost;
			d->loss[k] = e->weight * reluctance / 16 *
				     (law_cost(stall, p->params->gamma_ppm) - before) / 64;
			d->loss[k] = law_max(d->loss[k], d->loss[k - 1]);
		}
		at -= law_min(at, w->bucket);
	}
}

/* Cheapest first; among equals the one with more to give. */
static bool cheaper(uint64_t score_a, uint64_t spare_a, uint64_t score_b, uint64_t spare_b)
{
	return score_a != score_b ? score_a < score_b : spare_a > spare_b;
}

static void choose_donors(const struct plan *p, uint32_t except)
{
	struct law_workspace *w = p->w;
	uint64_t score[LAW_DONORS_MAX], spare[LAW_DONORS_MAX];

	w->donors = 0;
	for (uint32_t i = 0; i < w->n; i++) {
		const struct plan_engine *e = &w->engine[i];
		const struct law_estimate *est = &p->estimate[i];
		uint64_t stall, s, left;
		uint32_t k;

		if (!may_donate(w, e) || i == except)
			continue;
		s = e->weight * loss_below(w, est, e->target);
		if (s > 0) {
			stall = LAW_ONE + stall_of(est);
			s = (s << 12) / ((stall * stall) >> (2 * LAW_ONE_SHIFT - 12));
		}
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
		donor_price(p, &w->donor[d]);
}

/* Merges all donors' slices, always the cheapest next one. */
static void collect_offers(struct law_workspace *w, uint64_t pages)
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
	uint64_t stall = stall_of(est), cured = 0;
	uint64_t before = law_cost(stall, p->params->gamma_ppm);
	uint64_t index = e->target / w->bucket, part = e->target % w->bucket;
	uint64_t room = (e->hi - e->target + w->bucket - 1) / w->bucket;

	r->reach = est->memory.top > index ? (uint32_t)(est->memory.top - index) : 0;
	r->reach = (uint32_t)law_min(r->reach, room);
	r->gain[0] = r->cured[0] = 0;
	for (uint32_t k = 1; k <= r->reach; k++) {
		uint64_t more = between(curve_at(est, index + k - 1), curve_at(est, index + k),
					part, w->bucket);

		cured += (more * est->memory.kappa) >> LAW_ONE_SHIFT;
		r->cured[k] = law_min(cured, stall);
		r->gain[k] =
		    e->weight * (before - law_cost(stall - r->cured[k], p->params->gamma_ppm));
		r->gain[k] = law_max(r->gain[k], r->gain[k - 1]);
	}
}

static void choose_receivers(const struct plan *p)
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
			w->engine[i].reason = LAW_REASON_FILLING;
			continue;
		}
		stall = LAW_ONE + stall_of(est);
		s = w->engine[i].weight * ((uint64_t)est->memory.hull * est->memory.kappa >> 10);
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
		w->receiver[r].done = false;
		receiver_price(p, &w->receiver[r]);
	}
}

/*
 * What remains of a gain once the noise is taken off: 1 - z / sqrt(samples that speak for it),
 * in 1/1024.
 */
static uint64_t trust_10(const struct plan *p, const struct plan_receiver *r, uint32_t k)
{
	const struct law_estimate *est = &p->estimate[r->engine];
	uint64_t samples_8 =
	    law_min(est->memory.samples_per_s_8, 1ull << 40) * (GATE_WINDOW_NS / LAW_S);
	uint64_t part = law_ratio_32(r->cured[k], law_max(stall_of(est), 1));
	uint64_t root_8;

	if (p->w->engine[r->engine].anon)
		return 1024;
	samples_8 = law_part(samples_8, part);
	root_8 = law_sqrt(samples_8 << 8); /* sqrt(n) in 1/256 */
	return root_8 <= GATE_Z * 256 ? 0 : 1024 - GATE_Z * 256 * 1024 / root_8;
}

/* -- the match -- */

struct candidate {
	uint32_t receiver; /* index, LAW_RECEIVERS_MAX: none */
	uint32_t buckets;
	uint32_t donor; /* index of the single donor, LAW_DONORS_MAX: all by their offers */
	uint64_t net, gain, loss;
};

/* Cheapest single donors of k buckets; giving much at once can cost one less than several. */
struct singles {
	uint64_t loss[LAW_BUCKETS + 1];
	uint64_t second[LAW_BUCKETS + 1];
	uint8_t donor[LAW_BUCKETS + 1], second_donor[LAW_BUCKETS + 1];
};

static void find_singles(const struct law_workspace *w, uint32_t reach, struct singles *s)
{
	for (uint32_t k = 0; k <= reach; k++) {
		s->loss[k] = s->second[k] = UINT64_MAX;
		s->donor[k] = s->second_donor[k] = LAW_DONORS_MAX;
	}
	for (uint32_t d = 0; d < w->donors; d++) {
		const struct plan_donor *donor = &w->donor[d];

		if (donor->closed)
			continue;
		for (uint32_t k = 1; k <= law_min(donor->slices, reach); k++) {
			if (donor->loss[k] < s->loss[k]) {
				s->second[k] = s->loss[k];
				s->second_donor[k] = s->donor[k];
				s->loss[k] = donor->loss[k];
				s->donor[k] = (uint8_t)d;
			} else if (donor->loss[k] < s->second[k]) {
				s->second[k] = donor->loss[k];
				s->second_donor[k] = (uint8_t)d;
			}
		}
	}
}

/* The loss of k buckets, the part of them that is free costing nothing. */
struct supply {
	uint64_t got, loss;
	uint32_t next; /* offer */
	uint64_t left; /* pages of that offer not used yet */
};

static bool supply_until(const struct law_workspace *w, struct supply *s, uint64_t pages,
			 uint32_t except)
{
	while (s->got < pages) {
		const struct plan_offer *o = &w->offer[s->next];
		uint64_t use;

		if (s->next >= w->offers)
			return false;
		if (w->donor[o->donor].engine == except || s->left == 0) {
			s->next++;
			s->left = s->next < w->offers ? w->offer[s->next].pages : 0;
			continue;
		}
		use = law_min(s->left, pages - s->got);
		s->loss +=
		    use == o->pages ? o->loss : law_part(o->loss, law_ratio_32(use, o->pages));
		s->got += use;
		s->left -= use;
	}
	return true;
}

/* The engine's reason when nothing comes of its wish. */
static void note_refusal(struct plan_engine *e, uint64_t gain, uint64_t trusted, uint64_t loss)
{
	if (e->moved != 0 || gain == 0)
		return;
	if (trusted == 0)
		e->reason = LAW_REASON_NOISE;
	else if (trusted > loss - loss / 5)
		e->reason = LAW_REASON_HYSTERESIS;
}

static void weigh(const struct plan *p, uint32_t index, const struct singles *singles,
		  uint64_t free_pages, struct candidate *best)
{
	const struct law_workspace *w = p->w;
	const struct plan_receiver *r = &w->receiver[index];
	const struct law_engine_state *state = &p->state->engine[r->engine];
	uint64_t hm = law_clamp(state->hysteresis_ppm, LAW_PPM, 2 * LAW_PPM);
	uint64_t weight = w->engine[r->engine].weight;
	struct supply s = { .got = free_pages, .left = w->offers > 0 ? w->offer[0].pages : 0 };
	uint64_t refused = 0, refused_trusted = 0, refused_loss = 0;

	for (uint32_t k = 1; k <= r->reach; k++) {
		bool enough = supply_until(w, &s, k * w->bucket, r->engine);
		uint64_t need = law_less(k * w->bucket, free_pages) + w->bucket - 1;
		uint32_t single = (uint32_t)(need / w->bucket), donor = LAW_DONORS_MAX;
		uint64_t loss = enough ? s.loss : UINT64_MAX, gain = r->gain[k], net, cost;

		if (single > 0 && singles->donor[single] < LAW_DONORS_MAX) {
			bool own = w->donor[singles->donor[single]].engine == r->engine;
			uint64_t alone = own ? singles->second[single] : singles->loss[single];

			if (alone < loss) {
				loss = alone;
				donor =
				    own ? singles->second_donor[single] : singles->donor[single];
			}
		}
		if (loss == UINT64_MAX)
			break;
		cost = loss + weight * MOVE_COST * k;
		if (gain <= cost ||
		    (best->buckets > 0 && (gain - cost) * best->buckets <= best->net * k)) {
			if (best->buckets == 0 && gain > refused) {
				refused = refused_trusted = gain;
				refused_loss = loss;
			}
			continue;
		}
		gain = (gain * trust_10(p, r, k)) >> 10;
		if (state->direction < 0)
			gain = gain * 8 * LAW_PPM / (8 * LAW_PPM + (hm - LAW_PPM));
		if (gain <= cost) {
			refused = r->gain[k];
			refused_trusted = gain;
			refused_loss = loss;
			continue;
		}
		net = gain - cost;
		if (best->buckets == 0 || net * best->buckets > best->net * k)
			*best = (struct candidate){ index, k, donor, net, gain, loss };
	}
	if (best->buckets == 0 || best->receiver != index)
		note_refusal(&p->w->engine[r->engine], refused, refused_trusted, refused_loss);
}

/* Sets donor[].taken to what the candidate takes of each, `pages` in all or what there is. */
static uint64_t assign(struct law_workspace *w, const struct candidate *c, uint64_t pages)
{
	uint32_t except = w->receiver[c->receiver].engine;
	uint64_t left = pages;

	for (uint32_t d = 0; d < w->donors; d++)
		w->donor[d].taken = 0;
	if (c->donor < LAW_DONORS_MAX) {
		struct plan_donor *d = &w->donor[c->donor];

		d->taken = law_min(pages, d->slices * w->bucket + d->rest);
		return d->taken;
	}
	for (uint32_t i = 0; i < w->offers && left > 0; i++) {
		const struct plan_offer *o = &w->offer[i];
		uint64_t use = law_min(left, o->pages);

		if (w->donor[o->donor].engine == except)
			continue;
		w->donor[o->donor].taken += use;
		left -= use;
	}
	return pages - left;
}

static uint64_t step_pages(const struct plan *p, uint32_t i)
{
	const struct law_workspace *w = p->w;
	uint64_t bucket = w->bucket;
	uint64_t most = law_max(w->available / STEP_MAX_PART, bucket);
	uint64_t step = law_pages(p->state->engine[i].step_bytes);

	if (w->engine[i].anon)
		return law_max(w->available * ANON_STEP_PERCENT / 100, bucket);
	if (step == 0)
		step = STEP_FIRST * bucket;
	step = law_min(step, most) * (w->window_ns / LAW_MS) / (STEP_WINDOW_NS / LAW_MS);
	return law_clamp(step, law_max(bucket / 4, 1), 2 * most);
}

static uint32_t ppm_of(uint64_t weighted)
{
	return (uint32_t)law_min(((weighted >> 8) * (LAW_PPM / 100)) >> (LAW_ONE_SHIFT - 8),
				 UINT32_MAX);
}

static void perform(const struct plan *p, const struct candidate *c)
{
	struct law_workspace *w = p->w;
	uint32_t to = w->receiver[c->receiver].engine;
	struct plan_engine *r = &w->engine[to];
	uint64_t want = law_min(c->buckets * w->bucket, step_pages(p, to));
	uint64_t room = law_less(law_free_pages(w), w->burst);
	uint64_t take = c->buckets * w->bucket, got, ratio, most = 0;

	want = law_min(want, r->hi - r->target);
	got = law_min(room, want);
	take = assign(w, c, law_less(take, room));
	ratio = law_ratio_32(want - got, take);
	for (uint32_t d = 0; d < w->donors && take > 0; d++) {
		struct plan_engine *e = &w->engine[w->donor[d].engine];
		uint64_t part = law_part(w->donor[d].taken, ratio);

		if (part == 0)
			continue;
		e->target -= part;
		e->moved = -1;
		e->reason = p->estimate[w->donor[d].engine].streaming ? LAW_REASON_STREAM
			    : !plan_full(w, e) && !e->anon            ? LAW_REASON_IDLE
								      : LAW_REASON_DONATE;
		e->peer = to;
		e->loss_ppm = ppm_of(c->loss);
		got += part;
		if (part > most) {
			most = part;
			r->peer = w->donor[d].engine;
		}
		donor_price(p, &w->donor[d]);
	}
	w->receiver[c->receiver].done = true;
	if (got == 0)
		return;
	r->target += got;
	r->moved = 1;
	r->reason = LAW_REASON_GAIN;
	r->gain_ppm = ppm_of(c->gain);
	r->loss_ppm = ppm_of(c->loss);
	for (uint32_t d = 0; d < w->donors; d++)
		w->donor[d].closed |= w->donor[d].engine == to;
}

/* Steps grow while an engine keeps going one way, and shrink when it turns. */
static void remember_moves(const struct plan *p)
{
	struct law_workspace *w = p->w;
	uint64_t most = law_max(w->available / STEP_MAX_PART, w->bucket) * LAW_PAGE_BYTES;
	uint64_t least = w->bucket * LAW_PAGE_BYTES;
	uint64_t calm = law_alpha(w->window_ns, CALM_NS);

	for (uint32_t i = 0; i < w->n; i++) {
		struct law_engine_state *s = &p->state->engine[i];
		int moved = w->engine[i].target > w->engine[i].before   ? 1
			    : w->engine[i].target < w->engine[i].before ? -1
									: 0;
		uint64_t step =
		    s->step_bytes == 0 ? STEP_FIRST * least : law_min(s->step_bytes, LAW_BYTES_CAP);
		uint64_t hm = law_clamp(s->hysteresis_ppm, LAW_PPM, 2 * LAW_PPM);

		s->hysteresis_ppm = (uint32_t)law_ewma(hm, LAW_PPM, calm);
		if (moved == 0 || w->engine[i].before == 0 || w->engine[i].moved == 0)
			continue;
		if (s->direction == -moved && law_less(p->now_ns, s->last_move_ns) < REVERSAL_NS) {
			step /= 2;
			s->hysteresis_ppm = (uint32_t)law_min(2 * hm, 2 * LAW_PPM);
		} else {
			step += step * (w->window_ns / LAW_MS) / (STEP_GROW_NS / LAW_MS);
		}
		s->step_bytes = law_clamp(step, least, most);
		s->direction = moved;
		s->last_move_ns = p->now_ns;
	}
}

static bool plan_round(const struct plan *p, struct singles *singles)
{
	struct law_workspace *w = p->w;
	uint64_t room = law_less(law_free_pages(w), w->burst);
	struct candidate best = { .receiver = LAW_RECEIVERS_MAX };
	uint32_t reach = 0;

	for (uint32_t r = 0; r < w->receivers; r++)
		if (!w->receiver[r].done)
			reach = (uint32_t)law_max(reach, w->receiver[r].reach);
	collect_offers(w, 2 * (uint64_t)reach * w->bucket);
	find_singles(w, reach, singles);
	for (uint32_t r = 0; r < w->receivers; r++)
		if (!w->receiver[r].done && w->engine[w->receiver[r].engine].moved >= 0)
			weigh(p, r, singles, room, &best);
	if (best.buckets == 0)
		return false;
	perform(p, &best);
	return true;
}

void law_plan_moves(const struct plan *p)
{
	struct singles singles;

	choose_receivers(p);
	if (p->w->receivers > 0) {
		choose_donors(p, LAW_NO_ENGINE);
		for (uint32_t round = 0; round < ROUNDS_MAX; round++)
			if (!plan_round(p, &singles))
				break;
	}
	remember_moves(p);
}

uint64_t law_plan_take(const struct plan *p, uint64_t pages, uint32_t except)
{
	struct law_workspace *w = p->w;
	uint64_t got = 0;

	choose_donors(p, except);
	collect_offers(w, pages);
	for (uint32_t i = 0; i < w->offers && got < pages; i++) {
		uint32_t from = w->donor[w->offer[i].donor].engine;
		uint64_t use = law_min(w->offer[i].pages, pages - got);

		w->engine[from].target -= use;
		w->engine[from].moved = -1;
		w->engine[from].reason = LAW_REASON_DONATE;
		w->engine[from].peer = except;
		got += use;
	}
	return got;
}
