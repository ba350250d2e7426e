/* SPDX-License-Identifier: BSD-2-Clause */
/* Where reuse times draw the whole curve: what is moved, how far, and what it has to pay for. */
#include "tests/unit/policy_host.h"

#define HALF (LAW_BUCKETS / 2)

/* Engines, each with its whole curve seen and its part of the host; none wants anything. */
static struct host *host_that_sees_many(uint32_t n)
{
	struct host *h = host_new(n);
	uint64_t part = LAW_BUCKETS / n * BUCKET;

	for (uint32_t i = 0; i < n; i++) {
		struct law_memory *m = &h->estimate[i].memory;

		h->state.engine[i].target_bytes = part;
		h->sample[i].usage_bytes = h->sample[i].file_bytes = part;
		m->reuse_known = m->distances_known = true;
		m->kappa = m->duty = LAW_ONE;
		m->duty_age_ns = 60 * LAW_S;
		m->samples_per_s_8 = 1ull << 20;
		h->estimate[i].refault_cost_ns = 100000;
		h->estimate[i].updated_ns = h->now_ns;
	}
	return h;
}

static struct host *host_that_sees(void)
{
	return host_that_sees_many(2);
}

/* Engine i reads a set of so many buckets evenly; without any of it, it would stall so long per time
 * it works. */
static void reads(struct host *h, uint32_t i, uint32_t buckets, uint64_t stall_per_work)
{
	struct law_estimate *est = &h->estimate[i];
	uint64_t has = h->state.engine[i].target_bytes / BUCKET;

	memset(est->curve, 0, sizeof(est->curve));
	for (uint32_t b = 0; b < buckets; b++)
		est->curve[b] = (uint32_t)(stall_per_work / buckets);
	est->memory.top = buckets;
	est->memory.outside = 0;
	for (uint64_t b = has; b < buckets; b++)
		est->memory.outside += est->curve[b];
	est->memory.hull = has < buckets ? est->curve[0] : 0;
	est->memory.refault_stall = has < buckets ? LAW_ONE / 2 : 0;
}

/* The second fits, the first would with half as much again. */
static struct host *host_with_a_need(void)
{
	struct host *h = host_that_sees();

	reads(h, 0, HALF * 3 / 2, 4 * LAW_ONE);
	reads(h, 1, HALF / 4, 4 * LAW_ONE);
	return h;
}

/* Half a way that is worth going may lead to where going back looks better. */
static void the_whole_way_is_gone_at_once(void **state)
{
	struct host *h = host_with_a_need();

	decide(h);
	assert_int_equal(target(h, 0), HALF * 3 / 2 * BUCKET);
	assert_int_equal(target(h, 1), HALF / 2 * BUCKET);
	assert_int_equal(h->decision[0].reason, LAW_REASON_GAIN);
	assert_int_equal(h->decision[0].clamps & LAW_CLAMP_STEP, 0);
	host_free(h);
}

static void it_is_not_where_a_donor_is_not_seen(void **state)
{
	struct host *h = host_with_a_need();

	h->estimate[1].memory.reuse_known = false;
	decide(h);
	assert_in_range(target(h, 0), HALF * BUCKET + 1, HALF * BUCKET + CEILING / 16);
	assert_int_equal(h->decision[0].clamps & LAW_CLAMP_STEP, LAW_CLAMP_STEP);
	host_free(h);
}

/* Whether the first gets anything; the end of the host. */
static bool moves(struct host *h)
{
	bool moved;

	decide(h);
	moved = target(h, 0) > HALF * BUCKET;
	host_free(h);
	return moved;
}

static bool moves_when_memory_stayed(uint64_t stayed_ns, uint64_t turned_ago_ns)
{
	struct host *h = host_with_a_need();

	h->state.engine[0].direction = 1;
	h->state.engine[0].stayed_ns = stayed_ns;
	h->state.engine[0].turned_ns = h->now_ns - turned_ago_ns;
	return moves(h);
}

/* How long moves stay is in what they cost: who has turned round is not made to pay for that twice. */
static void who_turned_round_is_not_reluctant_where_all_is_seen(void **state)
{
	struct host *h = host_with_a_need();

	(void)state;
	/* what would be lost is nine tenths of what would be gained */
	reads(h, 1, HALF, LAW_ONE * 81 / 50);
	h->state.engine[0].direction = -1;
	h->state.engine[0].hysteresis_ppm = 4 * LAW_PPM;
	assert_true(moves(h));
	h = host_with_a_need();
	reads(h, 1, HALF, 3 * LAW_ONE);
	assert_false(moves(h));
}

/* A bucket is 2048 pages here, so reading it in takes 0.2 s, and it must be read in twice. */
static void memory_that_never_stays_must_pay_for_its_way(void **state)
{
	assert_true(moves_when_memory_stayed(0, 0)); /* it never turned */
	assert_true(moves_when_memory_stayed(60 * LAW_S, LAW_S));
	assert_false(moves_when_memory_stayed(18 * LAW_S, LAW_S));
	assert_true(moves_when_memory_stayed(18 * LAW_S, 60 * LAW_S));
}

static bool moves_when_stalls_surge(uint64_t period_ns, uint64_t surge_ago_ns)
{
	struct host *h = host_with_a_need();

	h->state.engine[0].period_ns = period_ns;
	h->state.engine[0].surge_ns = h->now_ns - surge_ago_ns;
	return moves(h);
}

static void what_is_wanted_for_a_moment_is_not_followed(void **state)
{
	assert_true(moves_when_stalls_surge(0, 0));
	assert_true(moves_when_stalls_surge(120 * LAW_S, LAW_S));
	assert_false(moves_when_stalls_surge(20 * LAW_S, LAW_S));
	assert_true(moves_when_stalls_surge(20 * LAW_S, 120 * LAW_S));
}

/* However cheap it is to read in: much comes late, a little sooner. */
static void a_gain_that_comes_too_late_is_none(void **state)
{
	for (int brief = 0; brief < 2; brief++) {
		struct host *h = host_with_a_need();

		h->estimate[0].refault_cost_ns = 1;
		h->state.engine[0].stayed_ns = brief ? LAW_S : 30 * LAW_S;
		h->state.engine[0].turned_ns = h->now_ns;
		decide(h);
		if (brief)
			assert_in_range(target(h, 0), (HALF + 1) * BUCKET, (HALF + 8) * BUCKET);
		else
			assert_int_equal(target(h, 0), HALF * 3 / 2 * BUCKET);
		host_free(h);
	}
}

/* Another wants two buckets of an engine that is seen to need all but so many. */
static uint64_t gives(uint32_t all_but)
{
	struct host *h = host_that_sees();
	uint64_t gave;

	reads(h, 0, HALF + 2, LAW_ONE);
	reads(h, 1, HALF - all_but, 20 * LAW_ONE);
	decide(h);
	gave = HALF * BUCKET - target(h, 1);
	host_free(h);
	return gave / BUCKET;
}

static void a_set_may_be_a_little_larger_than_it_looks(void **state)
{
	assert_int_equal(gives(1), 0);
	assert_int_equal(gives(2), 0);
	assert_int_equal(gives(6), 2);
}

static void the_time_between_surges_is_learnt(void **state)
{
	struct host *h = host_that_sees();
	struct law_memory *m = &h->estimate[0].memory;

	m->stall_usual = LAW_ONE / 4;
	for (int t = 0; t < 200; t++) {
		m->stall_now = t % 40 < 10 ? LAW_ONE * 9 / 10 : 0;
		decide(h);
	}
	near(h->state.engine[0].period_ns, 4 * LAW_S, LAW_S / 10);
	assert_int_equal(h->state.engine[1].period_ns, 0);
	host_free(h);
}

/* Its set comes and goes; in the mean it costs a half to have none of so many buckets, and nothing
 * to have them all. */
static void comes_and_goes(struct host *h, uint32_t i, uint32_t buckets)
{
	struct law_phases *ph = &h->estimate[i].memory.phases;

	h->estimate[i].bucket_bytes = BUCKET;
	ph->period_ns = 6 * LAW_S;
	ph->since_ns = LAW_S;
	for (uint32_t b = 0; b <= LAW_BUCKETS; b++)
		ph->cost[b] = b < buckets ? (uint32_t)(LAW_ONE / 2 / buckets * (buckets - b)) : 0;
}

/* What the second keeps, in buckets, where the first has a small need. */
static uint64_t keeps(uint32_t needs_now, uint32_t needs_in_the_mean)
{
	struct host *h = host_that_sees();
	uint64_t has;

	reads(h, 0, HALF * 3 / 2, LAW_ONE / 2);
	reads(h, 1, needs_now, 60 * LAW_ONE);
	if (needs_in_the_mean > 0)
		comes_and_goes(h, 1, needs_in_the_mean);
	decide(h);
	has = target(h, 1) / BUCKET;
	host_free(h);
	return has;
}

/* What it does not need now it will need again before it could have it back. */
static void who_comes_and_goes_keeps_what_it_needs_in_the_mean(void **state)
{
	assert_true(keeps(HALF / 4, 0) < HALF);
	assert_int_equal(keeps(HALF / 4, HALF), HALF);
	assert_in_range(keeps(HALF / 4, HALF * 3 / 4), HALF * 3 / 4, HALF * 7 / 8);
	/* and where this phase is hopeless, what it needs in the other */
	assert_true(keeps(LAW_BUCKETS - 1, 0) != HALF);
	assert_int_equal(keeps(LAW_BUCKETS - 1, HALF), HALF);
}

static void who_comes_and_goes_is_given_what_it_needs_in_the_mean(void **state)
{
	struct host *h = host_with_a_need();

	(void)state;
	comes_and_goes(h, 0, HALF);
	decide(h);
	assert_int_equal(target(h, 0), HALF * BUCKET);
	assert_int_equal(h->decision[0].reason, LAW_REASON_PHASES);
	assert_int_equal(h->decision[1].reason, LAW_REASON_NONE);
	host_free(h);
	h = host_with_a_need();
	comes_and_goes(h, 0, HALF + 4);
	/* that will be of use to it for longer than its phases last */
	h->state.engine[0].direction = 1;
	h->state.engine[0].stayed_ns = h->state.engine[0].period_ns = 3 * LAW_S;
	h->state.engine[0].turned_ns = h->state.engine[0].surge_ns = h->now_ns;
	decide(h);
	assert_in_range(target(h, 0), (HALF + 1) * BUCKET, (HALF + 4) * BUCKET);
	host_free(h);
}

/* A sample may see a little less in the mean, too. */
static void a_set_may_be_larger_than_it_looks_in_the_mean(void **state)
{
	for (uint32_t all_but = 1; all_but < 12; all_but++) {
		struct host *h = host_that_sees();

		reads(h, 0, HALF + 2, LAW_ONE);
		reads(h, 1, 4, LAW_ONE);
		comes_and_goes(h, 1, HALF - all_but);
		/* the first page too little costs all there is */
		for (uint32_t b = 0; b < HALF - all_but; b++)
			h->estimate[1].memory.phases.cost[b] = LAW_ONE;
		decide(h);
		assert_int_equal(target(h, 1) == HALF * BUCKET, all_but < 4);
		assert_true(target(h, 1) + 2 * BUCKET >= HALF * BUCKET);
		host_free(h);
	}
}

/* The ceiling has become a small part of what it was; this ends, too. */
static void a_target_beyond_all_bounds_is_weighed_in_the_mean(void **state)
{
	struct host *h = host_with_a_need();

	(void)state;
	comes_and_goes(h, 1, HALF);
	h->state.engine[1].target_bytes = 1ull << 55;
	h->sample[1].usage_bytes = h->sample[1].file_bytes = 1ull << 55;
	decide(h);
	assert_true(total(h) <= CEILING);
	host_free(h);
}

static void a_stall_target_holds_in_the_mean(void **state)
{
	for (int missed = 0; missed < 2; missed++) {
		struct host *h = host_that_sees();

		reads(h, 0, LAW_BUCKETS - 1, 20 * LAW_ONE);
		comes_and_goes(h, 0, HALF * 3 / 2);
		reads(h, 1, HALF, 4 * LAW_ONE);
		h->engine[0].stall_target_ppm = missed ? 20000 : 0;
		decide(h);
		assert_int_equal(target(h, 0) > HALF * BUCKET, missed);
		host_free(h);
	}
}

/* What it costs in the mean is what it costs, however little it works in this phase. */
static void a_calm_phase_does_not_make_the_mean_cheap(void **state)
{
	struct host *h = host_that_sees();

	(void)state;
	reads(h, 0, HALF * 3 / 2, LAW_ONE / 2);
	reads(h, 1, HALF / 4, 60 * LAW_ONE);
	comes_and_goes(h, 1, HALF * 3 / 2);
	h->estimate[1].memory.kappa = LAW_ONE / 40;
	decide(h);
	assert_int_equal(target(h, 1), HALF * BUCKET);
	host_free(h);
}

/* Many who need nothing just now do not keep one from being looked at that needs nothing at all. */
static void the_cheapest_donors_are_the_cheapest_in_the_mean(void **state)
{
	struct host *h = host_that_sees_many(LAW_DONORS_MAX + 2);
	uint32_t last = h->n - 1;

	(void)state;
	h->params.reserve_bytes = LAW_BUCKETS % h->n * BUCKET;
	reads(h, 0, 8, LAW_ONE / 4);
	for (uint32_t i = 1; i < last; i++) {
		reads(h, i, 1, LAW_ONE);
		comes_and_goes(h, i, 8);
	}
	reads(h, last, 4, LAW_ONE / 64);
	decide(h);
	assert_true(target(h, 0) > h->sample[0].usage_bytes);
	assert_int_equal(h->decision[0].peer, last);
	host_free(h);
}

/* Each would be best served with all; the first has it. Returns who has most afterwards. */
static uint32_t keeps_it_beside(uint64_t duty)
{
	struct host *h = host_that_sees();
	uint32_t most;

	h->state.engine[0].target_bytes = h->sample[0].usage_bytes = (LAW_BUCKETS - 4) * BUCKET;
	h->state.engine[1].target_bytes = h->sample[1].usage_bytes = 4 * BUCKET;
	reads(h, 0, LAW_BUCKETS - 4, 20 * LAW_ONE);
	reads(h, 1, LAW_BUCKETS - 4, 20 * LAW_ONE);
	h->estimate[1].memory.duty = duty;
	decide(h);
	most = target(h, 1) > target(h, 0);
	host_free(h);
	return most;
}

static void who_sleeps_half_its_time_counts_for_two_while_it_is_awake(void **state)
{
	assert_int_equal(keeps_it_beside(LAW_ONE), 0);
	assert_int_equal(keeps_it_beside(LAW_ONE / 2), 1);
	assert_int_equal(keeps_it_beside(LAW_ONE * 95 / 100), 0);
}

/* Its curve is as steep as ever, and multiplied by how little it works still great. */
static void who_hardly_works_has_little_to_lose(void **state)
{
	for (int idle = 0; idle < 2; idle++) {
		struct host *h = host_that_sees();

		reads(h, 0, LAW_BUCKETS - 4, LAW_ONE);
		reads(h, 1, HALF, 60 * LAW_ONE);
		h->estimate[1].memory.kappa = idle ? LAW_ONE / 100 : LAW_ONE;
		decide(h);
		assert_int_equal(target(h, 1) < HALF * BUCKET, idle);
		host_free(h);
	}
}

/* Given a moment ago for what it was seen to miss, and not read in yet: that is no idle memory. */
static void what_is_being_filled_is_not_idle(void **state)
{
	for (int filling = 0; filling < 2; filling++) {
		struct host *h = host_that_sees();

		h->sample[1].usage_bytes = h->sample[1].file_bytes = 8 * BUCKET;
		h->state.engine[1].direction = 1;
		h->state.engine[1].last_move_ns = h->now_ns - (filling ? 1 : 10) * LAW_S;
		h->urgent = 0;
		decide(h);
		assert_int_equal(target(h, 0) == HALF * BUCKET, filling);
		host_free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_way_is_gone_at_once),
		cmocka_unit_test(it_is_not_where_a_donor_is_not_seen),
		cmocka_unit_test(who_turned_round_is_not_reluctant_where_all_is_seen),
		cmocka_unit_test(memory_that_never_stays_must_pay_for_its_way),
		cmocka_unit_test(what_is_wanted_for_a_moment_is_not_followed),
		cmocka_unit_test(a_gain_that_comes_too_late_is_none),
		cmocka_unit_test(a_set_may_be_a_little_larger_than_it_looks),
		cmocka_unit_test(the_time_between_surges_is_learnt),
		cmocka_unit_test(who_comes_and_goes_keeps_what_it_needs_in_the_mean),
		cmocka_unit_test(who_comes_and_goes_is_given_what_it_needs_in_the_mean),
		cmocka_unit_test(a_set_may_be_larger_than_it_looks_in_the_mean),
		cmocka_unit_test(a_target_beyond_all_bounds_is_weighed_in_the_mean),
		cmocka_unit_test(a_stall_target_holds_in_the_mean),
		cmocka_unit_test(a_calm_phase_does_not_make_the_mean_cheap),
		cmocka_unit_test(the_cheapest_donors_are_the_cheapest_in_the_mean),
		cmocka_unit_test(who_sleeps_half_its_time_counts_for_two_while_it_is_awake),
		cmocka_unit_test(who_hardly_works_has_little_to_lose),
		cmocka_unit_test(what_is_being_filled_is_not_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
