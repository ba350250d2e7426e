// SPDX-License-Identifier: BSD-2-Clause
/* The governor's law alone: who gets what, in figures, and what holds for any figures. */
#include "tests/unit/budget_support.h"

#include "user/lib/governor_law.h"

#define ENGINES_MAX 12
#define CEILING     1000000u
#define NOW         (1000 * NS_PER_S)

static struct law_engine engine(uint64_t min, uint64_t own, uint64_t limit, uint64_t used)
{
	return (struct law_engine){ .min_bytes = min,
				    .own_bytes = own,
				    .max_bytes = NONE,
				    .limit_bytes = limit,
				    .used_bytes = used,
				    .peak_bytes = used };
}

static uint64_t in_force(const struct law_engine *e, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += e[i].limit_bytes > e[i].used_bytes ? e[i].limit_bytes : e[i].used_bytes;
	return sum;
}

static bool same_limits(const struct law_engine *a, const struct law_engine *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].limit_bytes != b[i].limit_bytes)
			return false;
	return true;
}

/* Calls once a second until nothing moves any more; returns the time. */
static uint64_t settle(struct law_engine *e, size_t n, uint64_t now)
{
	struct law_engine before[ENGINES_MAX];
	int calm = 0;

	for (int i = 0; i < 300 && calm < 10; i++, now += NS_PER_S) {
		memcpy(before, e, n * sizeof(*e));
		law_rebalance(e, n, CEILING, now);
		assert_true(in_force(e, n) <= CEILING);
		calm = same_limits(before, e, n) ? calm + 1 : 0;
	}
	assert_int_equal(calm, 10);
	return now;
}

/* ---- fitting --------------------------------------------------------------------------------- */

static void limits_that_fit_stay(void **state)
{
	struct law_engine e[] = { engine(0, 600000, 600000, 1), engine(0, 400000, 400000, 1) };

	(void)state;
	law_fit(e, 2, CEILING);
	assert_int_equal(e[0].limit_bytes, 600000);
	assert_int_equal(e[1].limit_bytes, 400000);
	law_fit(e, 0, CEILING);
}

static void a_fallen_ceiling_takes_what_is_lent_first(void **state)
{
	struct law_engine e[] = { engine(0, 300000, 500000, 0), engine(0, 500000, 500000, 0) };

	(void)state;
	law_fit(e, 2, 900000);
	assert_int_equal(e[0].limit_bytes, 400000);
	assert_int_equal(e[1].limit_bytes, 500000);
}

static void then_what_is_not_used_in_proportion(void **state)
{
	struct law_engine e[] = { engine(0, 500000, 500000, 100000),
				  engine(300000, 500000, 500000, 100000) };

	(void)state;
	/* 400000 and 200000 are above used and minimum: 2 to 1. */
	law_fit(e, 2, 700000);
	assert_int_equal(e[0].limit_bytes, 300000);
	assert_int_equal(e[1].limit_bytes, 400000);
}

static void and_at_last_goes_below_what_is_used_down_to_the_minima(void **state)
{
	struct law_engine e[] = { engine(100000, 500000, 500000, 500000),
				  engine(300000, 500000, 500000, 500000) };

	(void)state;
	law_fit(e, 2, 700000);
	assert_int_equal(e[0].limit_bytes, 300000);
	assert_int_equal(e[1].limit_bytes, 400000);
	law_fit(e, 2, 1);
	assert_int_equal(e[0].limit_bytes, 100000);
	assert_int_equal(e[1].limit_bytes, 300000);
}

/* ---- rebalancing ----------------------------------------------------------------------------- */

static void nobody_hungry_nothing_moves(void **state)
{
	struct law_engine e[] = { engine(0, 500000, 500000, 1000),
				  engine(0, 500000, 500000, 440000) };
	struct law_engine before[2];

	(void)state;
	memcpy(before, e, sizeof(e));
	for (int i = 0; i < 100; i++)
		law_rebalance(e, 2, CEILING, NOW + (uint64_t)i * NS_PER_S);
	assert_true(same_limits(before, e, 2));
}

static void the_idle_lend_to_the_hungry(void **state)
{
	struct law_engine e[] = { engine(200000, 500000, 500000, 30000),
				  engine(0, 500000, 500000, 500000) };

	(void)state;
	/* Not at once: it must have been idle for a while. */
	law_rebalance(e, 2, CEILING, NOW);
	law_rebalance(e, 2, CEILING, NOW + NS_PER_S);
	assert_int_equal(e[1].limit_bytes, 500000);
	law_rebalance(e, 2, CEILING, NOW + 2 * NS_PER_S);
	assert_true(e[1].limit_bytes > 500000);
	assert_true(e[1].limit_bytes <= 625000); /* a step */
	assert_int_equal(e[0].limit_bytes + e[1].limit_bytes, CEILING);
	/* In the end all but the donor's minimum. */
	for (int i = 3; i < 60; i++) {
		e[1].used_bytes = e[1].peak_bytes = e[1].limit_bytes;
		law_rebalance(e, 2, CEILING, NOW + (uint64_t)i * NS_PER_S);
	}
	assert_int_equal(e[0].limit_bytes, 200000);
	assert_int_equal(e[1].limit_bytes, 800000);
}

static void a_donor_keeps_its_peak_and_a_third(void **state)
{
	struct law_engine e[] = { engine(0, 500000, 500000, 10000),
				  engine(0, 500000, 500000, 500000) };

	(void)state;
	e[0].peak_bytes = 210000;
	e[1].wanted_bytes = 400000;
	for (int i = 0; i < 60; i++)
		law_rebalance(e, 2, CEILING, NOW + (uint64_t)i * NS_PER_S);
	assert_true(e[0].limit_bytes >= 280000);
	assert_true(e[0].limit_bytes <= 350000); /* no longer idle below */
}

static void what_nobody_has_goes_to_the_hungry_at_once(void **state)
{
	struct law_engine e[] = { engine(0, 200000, 200000, 200000),
				  engine(0, 300000, 300000, 100000) };

	(void)state;
	e[0].wanted_bytes = 300000;
	law_rebalance(e, 2, CEILING, NOW);
	/* It gets what it was refused, in one step. */
	assert_int_equal(e[0].limit_bytes, 500000);
	assert_int_equal(e[1].limit_bytes, 300000);
}

static void a_maximum_is_not_exceeded(void **state)
{
	struct law_engine e[] = { engine(0, 200000, 200000, 200000) };

	(void)state;
	e[0].max_bytes = 250000;
	e[0].wanted_bytes = 300000;
	settle(e, 1, NOW);
	assert_int_equal(e[0].limit_bytes, 250000);
}

static void its_own_share_comes_back_at_once_from_what_is_not_used(void **state)
{
	struct law_engine e[] = { engine(0, 500000, 100000, 100000),
				  engine(0, 500000, 900000, 500000) };

	(void)state;
	e[0].wanted_bytes = 350000;
	law_rebalance(e, 2, CEILING, NOW);
	assert_int_equal(e[0].limit_bytes, 450000);
	assert_int_equal(e[1].limit_bytes, 550000);
}

static void lent_memory_in_use_is_called_back_and_comes_as_it_is_released(void **state)
{
	struct law_engine e[] = { engine(0, 500000, 100000, 100000),
				  engine(0, 500000, 900000, 900000) };

	(void)state;
	e[0].wanted_bytes = 400000;
	law_rebalance(e, 2, CEILING, NOW);
	/* Nothing is free yet, but the borrower gets nothing more. */
	assert_int_equal(e[0].limit_bytes, 100000);
	assert_int_equal(e[1].limit_bytes, 500000);
	e[1].used_bytes = 700000;
	e[1].wanted_bytes = 50000;
	law_rebalance(e, 2, CEILING, NOW + NS_PER_S);
	assert_int_equal(e[0].limit_bytes, 300000);
	assert_int_equal(e[1].limit_bytes, 500000);
	e[0].used_bytes = e[0].peak_bytes = 300000;
	e[0].wanted_bytes = 200000;
	e[1].used_bytes = 500000;
	e[1].wanted_bytes = 0;
	law_rebalance(e, 2, CEILING, NOW + 2 * NS_PER_S);
	assert_int_equal(e[0].limit_bytes, 500000);
	assert_int_equal(e[1].limit_bytes, 500000);
}

static void what_is_on_its_way_is_not_called_back_twice(void **state)
{
	struct law_engine e[] = { engine(0, 600000, 100000, 100000),
				  engine(0, 100000, 450000, 450000),
				  engine(0, 100000, 450000, 450000) };

	(void)state;
	e[0].wanted_bytes = 100000;
	for (uint64_t s = 0; s < 5; s++) {
		law_rebalance(e, 3, CEILING, NOW + s * NS_PER_S);
		assert_int_equal(e[0].limit_bytes, 100000);
		assert_int_equal(e[1].limit_bytes, 400000);
		assert_int_equal(e[2].limit_bytes, 400000);
	}
}

static void who_got_something_keeps_it_for_a_while(void **state)
{
	struct law_engine e[] = { engine(0, 100000, 100000, 100000),
				  engine(0, 500000, 500000, 400000) };

	(void)state;
	e[0].wanted_bytes = 400000;
	law_rebalance(e, 2, CEILING, NOW);
	assert_int_equal(e[0].limit_bytes, 500000);
	/* It was done sooner than it thought, and the other is hungry. */
	e[0].used_bytes = e[0].peak_bytes = 1000;
	e[0].wanted_bytes = 0;
	e[1].wanted_bytes = 100000;
	for (uint64_t s = 1; s < 5; s++)
		law_rebalance(e, 2, CEILING, NOW + s * NS_PER_S);
	assert_int_equal(e[0].limit_bytes, 500000);
	law_rebalance(e, 2, CEILING, NOW + 5 * NS_PER_S);
	assert_true(e[0].limit_bytes < 500000);
}

/* High usage alone is no reason to take from somebody who uses it. */
static void nothing_is_called_back_for_one_that_was_refused_nothing(void **state)
{
	struct law_engine e[] = { engine(0, 500000, 100000, 95000),
				  engine(0, 500000, 900000, 800000) };

	(void)state;
	law_rebalance(e, 2, CEILING, NOW);
	assert_int_equal(e[1].limit_bytes, 900000);
}

static void a_ceiling_that_rises_again_restores_the_shares(void **state)
{
	struct law_engine e[] = { engine(0, 600000, 600000, 10000),
				  engine(0, 400000, 400000, 10000) };

	(void)state;
	law_fit(e, 2, 500000);
	assert_int_equal(e[0].limit_bytes + e[1].limit_bytes, 500000);
	law_rebalance(e, 2, CEILING, NOW);
	assert_int_equal(e[0].limit_bytes, 600000);
	assert_int_equal(e[1].limit_bytes, 400000);
}

static void who_regrets_a_gift_gives_less_readily(void **state)
{
	struct law_engine e[] = { engine(0, 500000, 500000, 500000),
				  engine(0, 500000, 500000, 500000) };
	unsigned int moves = 0, early = 0;
	uint64_t now = NOW;

	(void)state;
	/* The first wakes every 4 s, and then is idle again. */
	for (int s = 0; s < 600; s++, now += NS_PER_S) {
		uint64_t before = e[0].limit_bytes;
		bool awake = s % 4 == 0;

		e[0].used_bytes = e[0].peak_bytes = awake ? e[0].limit_bytes : 1000;
		e[0].wanted_bytes = awake && e[0].limit_bytes < 400000 ? 100000 : 0;
		e[1].used_bytes = e[1].peak_bytes = 480000;
		e[1].wanted_bytes = 50000;
		law_rebalance(e, 2, CEILING, now);
		moves += e[0].limit_bytes != before;
		early += s < 60 && e[0].limit_bytes != before;
	}
	assert_true(early > 0);
	assert_true(moves <= 2 * early + 20);
}

/* ---- whatever the figures -------------------------------------------------------------------- */

static uint64_t figure(uint64_t *random)
{
	uint64_t r = next_random(random);

	switch (r % 8) {
	case 0:
		return 0;
	case 1:
		return next_random(random);
	case 2:
		return NONE;
	default:
		return next_random(random) % (2 * CEILING);
	}
}

static struct law_engine any_engine(uint64_t *random)
{
	struct law_engine e = { .min_bytes = figure(random) % CEILING,
				.used_bytes = figure(random),
				.wanted_bytes = next_random(random) % 2 ? figure(random) : 0,
				.limit_bytes = figure(random),
				.idle = next_random(random) % 2,
				.gave = next_random(random) % 2,
				.got = next_random(random) % 2,
				.reluctance = (uint32_t)(next_random(random) % 7),
				.idle_since_ns = figure(random),
				.gave_ns = figure(random),
				.got_ns = figure(random) };
	uint64_t own = figure(random), max = figure(random);

	e.own_bytes = own > e.min_bytes ? own : e.min_bytes;
	e.max_bytes = max > e.own_bytes ? max : e.own_bytes;
	e.peak_bytes = figure(random);
	if (e.peak_bytes < e.used_bytes)
		e.peak_bytes = e.used_bytes;
	return e;
}

static void check_any(const struct law_engine *before, const struct law_engine *after, size_t n,
		      uint64_t ceiling)
{
	uint64_t cap = ceiling < LAW_BYTES_MAX ? ceiling : LAW_BYTES_MAX, minima = 0;
	struct law_engine fitted[ENGINES_MAX];

	memcpy(fitted, before, n * sizeof(*before));
	law_fit(fitted, n, ceiling);
	for (size_t i = 0; i < n; i++) {
		assert_true(after[i].limit_bytes >= after[i].min_bytes);
		assert_true(after[i].limit_bytes <= after[i].max_bytes);
		/* Nobody idle is lowered below what it uses. */
		if (after[i].limit_bytes < fitted[i].limit_bytes &&
		    after[i].limit_bytes < after[i].used_bytes)
			assert_true(after[i].limit_bytes >= after[i].own_bytes);
		minima += after[i].min_bytes;
	}
	/* Within the ceiling; or not further above it than fitting leaves it. */
	assert_true(in_force(after, n) <= cap || in_force(after, n) <= in_force(fitted, n));
	if (in_force(fitted, n) > cap) {
		uint64_t limits = 0;

		/* Then nothing is given, and limits go as far down as minima allow. */
		for (size_t i = 0; i < n; i++)
			limits += fitted[i].limit_bytes;
		assert_true(limits <= cap || limits == minima);
	}
}

static void the_invariants_hold_for_any_figures(void **state)
{
	uint64_t random = 42;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		struct law_engine e[ENGINES_MAX], before[ENGINES_MAX], again[ENGINES_MAX];
		size_t n = next_random(&random) % (ENGINES_MAX + 1);
		uint64_t ceiling = figure(&random), now = figure(&random);

		for (size_t i = 0; i < ENGINES_MAX; i++)
			e[i] = any_engine(&random);
		memcpy(before, e, sizeof(e));
		memcpy(again, e, sizeof(e));
		law_rebalance(e, n, ceiling, now);
		check_any(before, e, n, ceiling);
		/* The same input, the same output. */
		law_rebalance(again, n, ceiling, now);
		assert_true(same_limits(e, again, n));
	}
}

/* Engines that work at random, for hours: usage never above the ceiling, minima always kept. */
static void engines_at_random_work_stay_within_the_ceiling(void **state)
{
	uint64_t random = 7, now = NOW;
	struct law_engine e[7];
	uint64_t moves = 0;

	(void)state;
	for (size_t i = 0; i < 7; i++)
		e[i] = engine(50000, CEILING / 7, CEILING / 7, 0);
	for (int s = 0; s < 20000; s++, now += NS_PER_S) {
		struct law_engine before[7];

		for (size_t i = 0; i < 7; i++) {
			uint64_t aim = next_random(&random) % 20 ? e[i].used_bytes
								 : next_random(&random) % CEILING;

			e[i].peak_bytes = e[i].used_bytes;
			e[i].wanted_bytes = 0;
			if (aim > e[i].limit_bytes && aim > e[i].used_bytes) {
				e[i].wanted_bytes = aim - e[i].limit_bytes;
				aim = e[i].limit_bytes > e[i].used_bytes ? e[i].limit_bytes
									 : e[i].used_bytes;
			}
			e[i].used_bytes = aim;
			if (aim > e[i].peak_bytes)
				e[i].peak_bytes = aim;
		}
		memcpy(before, e, sizeof(e));
		law_rebalance(e, 7, CEILING, now);
		assert_true(in_force(e, 7) <= CEILING);
		moves += !same_limits(before, e, 7);
	}
	assert_true(moves > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_that_fit_stay),
		cmocka_unit_test(a_fallen_ceiling_takes_what_is_lent_first),
		cmocka_unit_test(then_what_is_not_used_in_proportion),
		cmocka_unit_test(and_at_last_goes_below_what_is_used_down_to_the_minima),
		cmocka_unit_test(nobody_hungry_nothing_moves),
		cmocka_unit_test(the_idle_lend_to_the_hungry),
		cmocka_unit_test(a_donor_keeps_its_peak_and_a_third),
		cmocka_unit_test(what_nobody_has_goes_to_the_hungry_at_once),
		cmocka_unit_test(a_maximum_is_not_exceeded),
		cmocka_unit_test(its_own_share_comes_back_at_once_from_what_is_not_used),
		cmocka_unit_test(lent_memory_in_use_is_called_back_and_comes_as_it_is_released),
		cmocka_unit_test(what_is_on_its_way_is_not_called_back_twice),
		cmocka_unit_test(who_got_something_keeps_it_for_a_while),
		cmocka_unit_test(nothing_is_called_back_for_one_that_was_refused_nothing),
		cmocka_unit_test(a_ceiling_that_rises_again_restores_the_shares),
		cmocka_unit_test(who_regrets_a_gift_gives_less_readily),
		cmocka_unit_test(the_invariants_hold_for_any_figures),
		cmocka_unit_test(engines_at_random_work_stay_within_the_ceiling),
	};

	return cmocka_run_group_tests_name("governor law", tests, NULL, NULL);
}
