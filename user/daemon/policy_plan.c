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

#define ROUNDS_MAX     6
#define GATE_Z         3 /* standard errors of the number of samples */
#define GATE_WINDOW_NS (4 * LAW_S)

/*
 * What remains of a gain once the noise is taken off: 1 - z / sqrt(samples that speak for it),
 * in 1/1024.
 */
static uint64_t trust_10(const struct plan *p, const struct plan_receiver *r, uint32_t k)
{
	const struct law_estimate *est = &p->estimate[r->engine];
	uint64_t samples_8 =
	    law_min(est->memory.samples_per_s_8, 1ull << 40) * (GATE_WINDOW_NS / LAW_S);
	uint64_t part = law_ratio_32(r->cured[k], law_max(law_stall_of(est), 1));
	uint64_t root_8;

	if (est->memory.heap)
		return 1024;
	samples_8 = law_part(samples_8, part);
	root_8 = law_sqrt(samples_8 << 8); /* sqrt(n) in 1/256 */
	return root_8 <= GATE_Z * 256 ? 0 : 1024 - GATE_Z * 256 * 1024 / root_8;
}

uint64_t law_trusted_gain(const struct plan *p, const struct plan_receiver *r, uint32_t k)
{
	return k == 0 ? 0 : (r->gain[k] * trust_10(p, r, k)) >> 10;
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

/* Between groups memory flows only within both groups' bounds. */
static bool may_flow(const struct plan *p, uint32_t from, uint32_t to)
{
	return law_flow(p, from, to, 1) > 0;
}

uint64_t law_flow(const struct plan *p, uint32_t from, uint32_t to, uint64_t pages)
{
	uint32_t a = from < p->n ? p->engine[from].group % LAW_GROUPS_MAX : LAW_GROUPS_MAX;
	uint32_t b = to < p->n ? p->engine[to].group % LAW_GROUPS_MAX : LAW_GROUPS_MAX;

	if (a == b)
		return pages;
	if (a < LAW_GROUPS_MAX)
		pages = law_min(pages, p->w->group_down[a]);
	return b < LAW_GROUPS_MAX ? law_min(pages, p->w->group_up[b]) : pages;
}

void law_flowed(const struct plan *p, uint32_t from, uint32_t to, uint64_t pages)
{
	struct law_workspace *w = p->w;

	if (from < p->n) {
		uint32_t a = p->engine[from].group % LAW_GROUPS_MAX;

		w->group_up[a] += pages;
		w->group_down[a] = law_less(w->group_down[a], pages);
	}
	if (to < p->n) {
		uint32_t b = p->engine[to].group % LAW_GROUPS_MAX;

		w->group_up[b] = law_less(w->group_up[b], pages);
		w->group_down[b] += pages;
	}
}

void law_bound_flows(const struct plan *p)
{
	struct law_workspace *w = p->w;

	for (uint32_t g = 0; g < LAW_GROUPS_MAX; g++)
		w->group_sum[g] = 0;
	for (uint32_t i = 0; i < w->n; i++)
		if (w->engine[i].active && !w->engine[i].manual)
			w->group_sum[p->engine[i].group % LAW_GROUPS_MAX] += w->engine[i].target;
	for (uint32_t g = 0; g < LAW_GROUPS_MAX; g++) {
		w->group_up[g] = law_less(law_group_max(p, g), w->group_sum[g]);
		w->group_down[g] = law_less(w->group_sum[g], law_group_min(p, g));
	}
}

/* The loss of k buckets, the part of them that is free costing nothing. */
struct supply {
	uint64_t got, loss;
	uint32_t next; /* offer */
	uint64_t left; /* pages of that offer not used yet */
};

static bool may_supply(const struct plan *p, uint32_t donor, uint32_t to)
{
	return p->w->donor[donor].engine != to && may_flow(p, p->w->donor[donor].engine, to);
}

static bool supply_until(const struct plan *p, struct supply *s, uint64_t pages, uint32_t to)
{
	const struct law_workspace *w = p->w;

	while (s->got < pages) {
		const struct plan_offer *o = &w->offer[s->next];
		uint64_t use;

		if (s->next >= w->offers)
			return false;
		if (s->left == 0 || !may_supply(p, o->donor, to)) {
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

/* The one donor that gives so much for less than *loss, if there is one. */
static uint32_t cheapest_single(const struct plan *p, const struct singles *s, uint32_t buckets,
				uint32_t to, uint64_t *loss)
{
	if (buckets == 0)
		return LAW_DONORS_MAX;
	if (s->donor[buckets] < LAW_DONORS_MAX && may_supply(p, s->donor[buckets], to)) {
		if (s->loss[buckets] >= *loss)
			return LAW_DONORS_MAX;
		*loss = s->loss[buckets];
		return s->donor[buckets];
	}
	if (s->second_donor[buckets] < LAW_DONORS_MAX && s->second[buckets] < *loss &&
	    may_supply(p, s->second_donor[buckets], to)) {
		*loss = s->second[buckets];
		return s->second_donor[buckets];
	}
	return LAW_DONORS_MAX;
}

static void weigh(const struct plan *p, uint32_t index, const struct singles *singles,
		  uint64_t free_pages, struct candidate *best)
{
	const struct law_workspace *w = p->w;
	const struct plan_receiver *r = &w->receiver[index];
	const struct law_engine_state *state = &p->state->engine[r->engine];
	uint64_t most = law_reluctance_max(&p->estimate[r->engine]);
	uint64_t hm = law_clamp(state->hysteresis_ppm, LAW_PPM, most);
	struct supply s = { .got = free_pages, .left = w->offers > 0 ? w->offer[0].pages : 0 };
	uint64_t refused = 0, refused_trusted = 0, refused_loss = 0;
	uint64_t stays_ns = law_stays_ns(p, r->engine);
	uint64_t each = w->engine[r->engine].worth * law_move_cost(p, r->engine, stays_ns);

	for (uint32_t k = 1; k <= r->reach; k++) {
		bool enough = supply_until(p, &s, k * w->bucket, r->engine);
		uint64_t need = law_less(k * w->bucket, free_pages) + w->bucket - 1;
		uint32_t single = (uint32_t)(need / w->bucket), donor;
		uint64_t loss = enough ? s.loss : UINT64_MAX, gain = r->gain[k], net, cost;

		donor = cheapest_single(p, singles, single, r->engine, &loss);
		if (loss == UINT64_MAX)
			break;
		cost = loss + each * k;
		if (gain <= cost ||
		    (best->buckets > 0 && (gain - cost) * best->buckets <= best->net * k)) {
			if (best->buckets == 0 && gain > refused) {
				refused = refused_trusted = gain;
				refused_loss = loss;
			}
			continue;
		}
		gain = law_part(law_trusted_gain(p, r, k), law_in_time_32(stays_ns, k));
		/* where all is seen, how long moves stay is in the cost already */
		if (state->direction < 0 && !p->estimate[r->engine].memory.reuse_known)
			gain = law_part(gain, law_ratio_32(8 * LAW_PPM, 7 * LAW_PPM + hm));
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
static uint64_t assign(const struct plan *p, const struct candidate *c, uint64_t pages)
{
	struct law_workspace *w = p->w;
	uint32_t to = w->receiver[c->receiver].engine;
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

		if (!may_supply(p, o->donor, to))
			continue;
		w->donor[o->donor].taken += use;
		left -= use;
	}
	return pages - left;
}

static uint32_t ppm_of(uint64_t weighted)
{
	return (uint32_t)law_min(((weighted >> 8) * (LAW_PPM / 100)) >> (LAW_ONE_SHIFT - 8),
				 UINT32_MAX);
}

/* Takes `pages` from a donor for `to`, as far as their groups allow; returns what it got. */
static uint64_t draw(const struct plan *p, struct plan_donor *d, uint64_t pages, uint32_t to)
{
	struct law_workspace *w = p->w;
	struct plan_engine *e = &w->engine[d->engine];

	pages = law_flow(p, d->engine, to, pages);
	if (pages == 0)
		return 0;
	e->reason = LAW_REASON_DONATE;
	if (p->estimate[d->engine].streaming)
		e->reason = LAW_REASON_STREAM;
	else if (!e->anon && !plan_full(w, e))
		e->reason = LAW_REASON_IDLE;
	e->target -= pages;
	e->moved = -1;
	e->peer = to;
	law_flowed(p, d->engine, to, pages);
	law_donor_price(p, d);
	return pages;
}

/* Whether the receiver's curve and those of all it takes from are measured: no step is a question. */
static bool all_seen(const struct plan *p, uint32_t to)
{
	const struct law_workspace *w = p->w;

	for (uint32_t d = 0; d < w->donors; d++)
		if (w->donor[d].taken > 0 && !p->estimate[w->donor[d].engine].memory.reuse_known)
			return false;
	return p->estimate[to].memory.reuse_known;
}

static void perform(const struct plan *p, const struct candidate *c)
{
	struct law_workspace *w = p->w;
	uint32_t to = w->receiver[c->receiver].engine;
	struct plan_engine *r = &w->engine[to];
	uint64_t want = law_min(c->buckets * w->bucket, r->hi - r->target);
	uint64_t room = law_less(law_free_pages(w), w->burst);
	uint64_t take = assign(p, c, law_less(c->buckets * w->bucket, room));
	uint64_t step = law_step_pages(p, to, all_seen(p, to));
	uint64_t got, ratio, most = 0;
	bool held = step < want;

	want = law_min(want, step);
	got = law_flow(p, LAW_NO_ENGINE, to, law_min(room, want));
	law_flowed(p, LAW_NO_ENGINE, to, got);
	ratio = law_ratio_32(want - got, take);
	for (uint32_t i = 0; i < w->donors && take > 0; i++) {
		struct plan_donor *d = &w->donor[i];
		uint64_t part = draw(p, d, law_part(d->taken, ratio), to);

		if (part > 0) {
			w->engine[d->engine].gain_ppm = ppm_of(c->gain);
			w->engine[d->engine].loss_ppm = ppm_of(c->loss);
		}
		got += part;
		if (part > most) {
			most = part;
			r->peer = d->engine;
		}
	}
	w->receiver[c->receiver].done = true;
	if (got == 0)
		return;
	r->target += got;
	r->moved = 1;
	if (held)
		r->clamps |= LAW_CLAMP_STEP;
	r->reason = law_above_target(p, to) ? LAW_REASON_TARGET : LAW_REASON_GAIN;
	r->gain_ppm = ppm_of(c->gain);
	r->loss_ppm = ppm_of(c->loss);
	for (uint32_t d = 0; d < w->donors; d++)
		w->donor[d].closed |= w->donor[d].engine == to;
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
	law_collect_offers(w, 2 * (uint64_t)reach * w->bucket);
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

	law_choose_receivers(p);
	if (p->w->receivers > 0) {
		law_bound_flows(p);
		law_choose_donors(p, LAW_NO_ENGINE);
		for (uint32_t round = 0; round < ROUNDS_MAX; round++)
			if (!plan_round(p, &singles))
				break;
		law_try_donors(p);
	}
	law_remember_moves(p);
}

uint64_t law_plan_take(const struct plan *p, uint64_t pages, uint32_t to)
{
	struct law_workspace *w = p->w;
	uint64_t got = 0, most = 0;

	law_choose_donors(p, to);
	for (uint32_t d = 0; d < w->donors; d++)
		w->donor[d].taken = 0;
	law_collect_offers(w, pages);
	for (uint32_t i = 0; i < w->offers && got < pages; i++) {
		struct plan_donor *donor = &w->donor[w->offer[i].donor];
		struct plan_engine *from = &w->engine[donor->engine];
		uint64_t use = law_min(w->offer[i].pages, pages - got);

		from->target -= use;
		from->moved = -1;
		from->reason = LAW_REASON_DONATE;
		from->peer = to;
		donor->taken += use;
		if (donor->taken > most) {
			most = donor->taken;
			w->engine[to].peer = donor->engine;
		}
		got += use;
	}
	return got;
}
