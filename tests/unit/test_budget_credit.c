// SPDX-License-Identifier: BSD-2-Clause
/* Credit by processor: it makes reservations cheap, and nothing else may come of it. */
#include "tests/unit/budget_support.h"

#include <pthread.h>
#include <sched.h>

#define UNIT  UINT64_C(4096)
#define LIMIT (UINT64_C(1) << 30)

/* Reserves and releases until credit is out. */
static void heat(struct baro_budget *b, unsigned int times)
{
	struct baro_reservation r;

	for (unsigned int i = 0; i < times; i++) {
		assert_int_equal(baro_budget_reserve(b, UNIT, &r, NULL), 0);
		assert_int_equal(baro_reservation_release(&r), 0);
	}
}

static uint64_t credit_out(const struct baro_budget *b)
{
	return stripes_sum(&b->stripes);
}

static void credit_is_handed_out_once_a_budget_is_used_much(void **state)
{
	const struct budget_setup *way = *state;
	struct baro_budget *top = open_top(way, "top", LIMIT, 0);
	struct baro_budget *b = open_below(top, "b", LIMIT);

	heat(b, way->eager ? 0 : BUDGET_HOT_OPS - 1);
	assert_int_equal(stats_of(b).slack_bytes, 0);
	assert_int_equal(credit_out(b), 0);
	heat(b, 1);
	assert_true(stats_of(b).slack_bytes > 0);
	assert_int_equal(stats_of(b).slack_bytes, stats_of(top).slack_bytes);
	assert_true(credit_out(b) > 0);
	assert_true(credit_out(b) <= stats_of(b).slack_bytes);
	/* It is nobody's yet. */
	assert_int_equal(baro_budget_used(b), 0);
	assert_int_equal(baro_budget_used(top), 0);
	assert_int_equal(stats_of(b).left_bytes, LIMIT);
	close_all(b);
	close_all(top);
}

static void credit_is_a_small_share_of_the_smallest_limit(void **state)
{
	struct baro_budget *top = open_top(*state, "top", 32 * MIB, 0);
	struct baro_budget *b = open_below(top, "b", NONE);

	heat(b, 200);
	assert_true(stats_of(b).slack_bytes > 0 || b->stripes.count > 31);
	assert_true(stats_of(b).slack_bytes <= 2 * 32 * MIB / BUDGET_CREDIT_SHARE);
	close_all(b);
	close_all(top);
}

static void no_credit_where_it_is_not_wanted(void **state)
{
	struct baro_budget *exact = open_top(*state, "exact", LIMIT, BARO_BUDGET_EXACT);
	struct baro_budget *below = open_below(exact, "below", LIMIT);
	struct baro_budget *tiny = open_top(*state, "tiny", 10 * UNIT, 0);
	struct baro_reservation r;

	heat(exact, 1000);
	heat(below, 1000);
	heat(tiny, 1000);
	assert_int_equal(stats_of(exact).slack_bytes, 0);
	assert_int_equal(stats_of(exact).peak_bytes, UNIT);
	assert_int_equal(stats_of(tiny).slack_bytes, 0);
	assert_int_equal(stats_of(tiny).peak_bytes, UNIT);
	/* Near the limit there is none to spare. */
	assert_int_equal(baro_budget_set_limit(below, NONE), 0);
	close_all(below);
	assert_int_equal(baro_budget_reserve(exact, LIMIT - UNIT, &r, NULL), 0);
	heat(exact, 100);
	baro_reservation_release(&r);
	close_all(exact);
	close_all(tiny);
}

static void what_fits_is_granted_whoever_has_the_credit(void **state)
{
	struct baro_budget *top = open_top(*state, "top", LIMIT, 0);
	struct baro_budget *a = open_below(top, "a", LIMIT), *b = open_below(top, "b", LIMIT);
	struct baro_reservation all, no;
	struct baro_refusal why;

	heat(a, 200);
	heat(b, 200);
	assert_true(credit_out(a) && credit_out(b));
	assert_int_equal(baro_budget_reserve(b, LIMIT + 1, &no, &why), -ENOMEM);
	assert_string_equal(why.layer, "b");
	assert_int_equal(why.left_bytes, LIMIT);
	assert_int_equal(why.used_bytes, 0);
	assert_int_equal(baro_budget_reserve(b, LIMIT, &all, NULL), 0);
	assert_int_equal(credit_out(a), 0);
	assert_int_equal(credit_out(b), 0);
	assert_int_equal(stats_of(top).slack_bytes, 0);
	assert_int_equal(baro_budget_reserve(a, 1, &no, &why), -ENOMEM);
	assert_string_equal(why.layer, "top");
	assert_int_equal(why.left_bytes, 0);
	baro_reservation_release(&all);
	/* And it is handed out again. */
	heat(a, 200);
	assert_true(credit_out(a) > 0);
	close_all(a);
	close_all(b);
	close_all(top);
}

static void credit_elsewhere_in_the_tree_stays_where_it_is(void **state)
{
	struct baro_budget *top = open_top(*state, "top", 4 * LIMIT, 0);
	struct baro_budget *a = open_below(top, "a", LIMIT), *b = open_below(top, "b", LIMIT);
	struct baro_reservation all;

	heat(a, 200);
	heat(b, 200);
	assert_int_equal(baro_budget_reserve(b, LIMIT, &all, NULL), 0);
	assert_int_equal(credit_out(b), 0);
	assert_true(credit_out(a) > 0);
	assert_int_equal(stats_of(top).slack_bytes, stats_of(a).slack_bytes);
	baro_reservation_release(&all);
	close_all(a);
	close_all(b);
	close_all(top);
}

static void levels_are_exact_with_credit_out(void **state)
{
	struct baro_budget *top = open_top(*state, "top", LIMIT, 0);
	struct baro_budget *b = open_below(top, "b", LIMIT);
	const uint64_t marks[] = { LIMIT / 100 * 70 + (LIMIT % 100 * 70 + 99) / 100,
				   LIMIT / 100 * 85 + (LIMIT % 100 * 85 + 99) / 100,
				   LIMIT / 100 * 95 + (LIMIT % 100 * 95 + 99) / 100 };
	struct baro_reservation big;

	for (uint32_t i = 0; i < 3; i++) {
		struct baro_reservation held;

		assert_int_equal(baro_budget_reserve(b, marks[i] - 1, &big, NULL), 0);
		heat(b, 200);
		/* The last needs more room for credit than there is. */
		assert_true(stats_of(b).slack_bytes || stats_of(b).left_bytes < LIMIT / 16);
		assert_int_equal(baro_budget_level(b), BARO_LEVEL_NORMAL + i);
		assert_int_equal(baro_budget_pressure(b), BARO_LEVEL_NORMAL + i);
		assert_int_equal(baro_budget_reserve(b, 1, &held, NULL), 0);
		assert_int_equal(baro_budget_level(b), BARO_LEVEL_WARNING + i);
		assert_int_equal(baro_budget_level(top), BARO_LEVEL_WARNING + i);
		baro_reservation_release(&held);
		baro_reservation_release(&big);
	}
	close_all(b);
	close_all(top);
}

static void the_peak_errs_upwards_by_credit_at_most(void **state)
{
	struct baro_budget *b = open_top(*state, "b", LIMIT, 0);
	struct baro_reservation r[100];

	heat(b, 200);
	for (int i = 0; i < 100; i++)
		assert_int_equal(baro_budget_reserve(b, UNIT, &r[i], NULL), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(baro_reservation_release(&r[i]), 0);
	assert_true(stats_of(b).peak_bytes >= 100 * UNIT);
	assert_true(stats_of(b).peak_bytes <= 100 * UNIT + stats_of(b).slack_bytes);
	close_all(b);
}

static void a_lowered_limit_takes_the_credit_with_it(void **state)
{
	struct baro_budget *top = open_top(*state, "top", LIMIT, 0);
	struct baro_budget *b = open_below(top, "b", LIMIT);
	struct baro_reservation r, no;

	heat(b, 200);
	assert_int_equal(baro_budget_reserve(b, UNIT, &r, NULL), 0);
	assert_int_equal(baro_budget_set_limit(top, UNIT), 0);
	assert_int_equal(credit_out(b), 0);
	assert_int_equal(baro_budget_reserve(b, 1, &no, NULL), -ENOMEM);
	assert_int_equal(baro_reservation_release(&r), 0);
	assert_int_equal(baro_budget_reserve(b, UNIT, &r, NULL), 0);
	assert_int_equal(baro_reservation_release(&r), 0);
	close_all(b);
	close_all(top);
}

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* Not every processor may be ours; then this test proves less. */
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* What one processor reserves another may release, for ever. */
static void bytes_may_wander_between_processors(void **state)
{
	struct baro_budget *b = open_top(*state, "b", LIMIT, 0);
	struct baro_reservation r[500];
	cpu_set_t before;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	for (int round = 0; round < 20; round++) {
		run_on(0);
		for (int i = 0; i < 500; i++)
			assert_int_equal(baro_budget_reserve(b, UNIT, &r[i], NULL), 0);
		run_on(1);
		assert_int_equal(baro_budget_used(b), 500 * UNIT);
		for (int i = 0; i < 500; i++)
			assert_int_equal(baro_reservation_release(&r[i]), 0);
		assert_int_equal(baro_budget_used(b), 0);
		assert_true(credit_out(b) <= stats_of(b).slack_bytes);
	}
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	close_all(b);
}

static void rseq_is_used_where_it_is_there(void **state)
{
	struct baro_budget *b = open_top(*state, "b", LIMIT, 0);
	const struct budget_setup *way = *state;

	assert_int_equal(b->tree->percpu, !way->portable && stripes_percpu_usable());
#ifndef LIB_RSEQ
	assert_false(b->tree->percpu);
#endif
	assert_true(stripes_wanted() >= 1 && stripes_wanted() <= STRIPES_MAX);
	close_all(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_EVERY_WAY(credit_is_handed_out_once_a_budget_is_used_much),
		IN_EVERY_WAY(credit_is_a_small_share_of_the_smallest_limit),
		IN_EVERY_WAY(no_credit_where_it_is_not_wanted),
		IN_EVERY_WAY(what_fits_is_granted_whoever_has_the_credit),
		IN_EVERY_WAY(credit_elsewhere_in_the_tree_stays_where_it_is),
		IN_EVERY_WAY(levels_are_exact_with_credit_out),
		IN_EVERY_WAY(the_peak_errs_upwards_by_credit_at_most),
		IN_EVERY_WAY(a_lowered_limit_takes_the_credit_with_it),
		IN_EVERY_WAY(bytes_may_wander_between_processors),
		IN_EVERY_WAY(rseq_is_used_where_it_is_there),
	};

	return cmocka_run_group_tests_name("budget credit", tests, NULL, NULL);
}
