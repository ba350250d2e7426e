/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Engines whose need comes and goes faster than memory can follow. What an engine reads again, and
 * so how much memory that takes, is in its curve whatever it has now (law_reuse.c): where that size
 * rises and falls with a short period, memory which follows it arrives late, costs two fills, and in
 * between is given away for the phase in which it is worth little. Such an engine is judged by what
 * each size costs in the mean of its phases. The mean is that of law_cost(), not of stalls: a phase
 * in which memory is hopeless must not drown the one in which a little of it is all that is needed.
 */
#include "user/daemon/law_internal.h"

#define TAU_PHASES_NS   (16 * LAW_S) /* of what sizes cost, and how large the set is, in the mean */
#define PHASES_SHORT_NS (12 * LAW_S) /* from one large set to the next */
#define PHASES_SEEN_NS  (4 * LAW_S) /* before, its first set is read in */
#define SET_BEYOND_PART 8 /* of all that it would stall for lies outside its set */
#define SET_LARGE       (LAW_BUCKETS / 16) /* buckets more than in the mean: a phase begins */
#define SET_SHIFT       12 /* fractional bits of the mean */

/* How much memory what it reads again takes, whether it has it or not; 0: nothing is read again. */
static uint32_t set_of(const struct law_estimate *e)
{
	uint64_t all = e->memory.far, beyond = e->memory.far;
	uint32_t b = LAW_BUCKETS;

	for (uint32_t i = 0; i < LAW_BUCKETS; i++)
		all += e->curve[i];
	for (; b > 0; b--) {
		beyond += e->curve[b - 1];
		if (beyond * SET_BEYOND_PART >= all)
			break;
	}
	return all == 0 ? 0 : b;
}

static void period_update(struct law_phases *ph, uint32_t set, uint64_t alpha)
{
	uint64_t size = (uint64_t)set << SET_SHIFT;
	bool large = size > ph->set_mean + (ph->large ? 0 : (uint64_t)SET_LARGE << SET_SHIFT);

	ph->set_mean = law_ewma(ph->set_mean, size, alpha);
	if (large && !ph->large && ph->age_ns >= PHASES_SEEN_NS) {
		if (ph->period_ns > 0)
			ph->period_ns = (ph->period_ns + ph->since_ns) / 2;
		else if (ph->risen)
			ph->period_ns = law_max(ph->since_ns, 1);
		ph->risen = true;
		ph->since_ns = 0;
	}
	ph->large = large;
}

void law_phases_pass(struct law_phases *ph, uint64_t window_ns)
{
	ph->since_ns = law_min(ph->since_ns + window_ns, 1000 * LAW_S);
}

void law_phases_fold(struct law_estimate *e, uint32_t gamma_ppm, uint64_t window_ns)
{
	struct law_phases *ph = &e->memory.phases;
	uint64_t alpha = law_alpha(window_ns, ph->age_ns);
	uint64_t stall = e->memory.far;

	period_update(ph, set_of(e), alpha);
	ph->age_ns = law_min(ph->age_ns + window_ns, TAU_PHASES_NS);
	for (uint32_t b = LAW_BUCKETS + 1; b-- > 0;) {
		uint64_t busy = (stall * e->memory.kappa) >> LAW_ONE_SHIFT;
		uint64_t cost = law_cost_of(&e->memory, busy, gamma_ppm);

		ph->cost[b] = (uint32_t)law_ewma(ph->cost[b], law_min(cost, UINT32_MAX), alpha);
		stall += b > 0 ? e->curve[b - 1] : 0;
	}
}

bool law_phases_short(const struct law_estimate *e)
{
	const struct law_phases *ph = &e->memory.phases;

	return e->memory.reuse_known && ph->period_ns > 0 &&
	       law_max(ph->period_ns, ph->since_ns) < PHASES_SHORT_NS;
}

uint64_t law_phases_cost(const struct law_estimate *e, uint64_t pages)
{
	uint64_t bucket = law_max(e->bucket_bytes / LAW_PAGE_BYTES, 1);
	uint64_t size = pages / bucket, part = pages % bucket;
	const uint32_t *cost = e->memory.phases.cost;

	if (size >= LAW_BUCKETS)
		return cost[LAW_BUCKETS];
	return (cost[size] * (bucket - part) + cost[size + 1] * part) / bucket;
}
