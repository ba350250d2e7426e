/* SPDX-License-Identifier: BSD-2-Clause */
/* When to spill and when to take back: the two marks, and what lies between them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "include/barostat/spill.h"
#include "tests/unit/thread_support.h"
#include "user/common/cleanup.h"
#include "user/common/units.h"

static struct baro_spill fresh(void)
{
	struct baro_spill s;

	assert_int_equal(baro_spill_init(&s, NULL), 0);
	return s;
}

static struct baro_spill_counts counts(const struct baro_spill *s)
{
	struct baro_spill_counts c;

	baro_spill_read(s, &c);
	return c;
}

static void spilling_begins_at_90_and_ends_at_75_percent(void **state)
{
	static const struct {
		uint64_t used;
		uint32_t expected;
	} step[] = {
		{ 0, BARO_SPILL_BACK },   { 750, BARO_SPILL_BACK }, { 751, BARO_SPILL_HOLD },
		{ 899, BARO_SPILL_HOLD }, { 900, BARO_SPILL_OUT },  { 899, BARO_SPILL_OUT },
		{ 1200, BARO_SPILL_OUT }, { 751, BARO_SPILL_OUT },  { 750, BARO_SPILL_BACK },
		{ 800, BARO_SPILL_HOLD }, { 750, BARO_SPILL_BACK }, { 900, BARO_SPILL_OUT },
		{ 0, BARO_SPILL_BACK },   { 899, BARO_SPILL_HOLD }, { 751, BARO_SPILL_HOLD },
	};
	struct baro_spill s = fresh();

	for (size_t i = 0; i < ARRAY_SIZE(step); i++)
		if (baro_spill_by_use(&s, step[i].used, 1000) != step[i].expected)
			fail_msg("step %zu, used %llu: %u", i, (unsigned long long)step[i].used,
				 s.state);
	assert_int_equal(counts(&s).begins, 2);
	assert_int_equal(counts(&s).restores, 2);
	assert_int_equal(counts(&s).state, BARO_SPILL_HOLD);
}

/* Against plain arithmetic: any use, any budget, in any order. */
static void the_marks_are_exact_for_every_budget(void **state)
{
	struct baro_spill s = fresh();
	uint32_t expected = BARO_SPILL_BACK;
	uint64_t x = 88172645463325252ull, budget = 1;

	for (int i = 0; i < 2000000; i++) {
		uint64_t used;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (i % 7 == 0)
			budget = (x >> 40) >> (x % 24);
		if (i % 1001 == 0)
			budget = x;
		/* around the marks more often than elsewhere */
		used = x % 3 == 0 ? (x >> 8) % (budget / 4 * 5 + 2)
		       : x % 3 == 1
			   ? (uint64_t)((unsigned __int128)budget * 9 / 10) + (x >> 5) % 3 - 1
			   : (uint64_t)((unsigned __int128)budget * 3 / 4) + (x >> 5) % 3 - 1;
		if ((unsigned __int128)used * 10 >= (unsigned __int128)budget * 9)
			expected = BARO_SPILL_OUT;
		else if ((unsigned __int128)used * 4 <= (unsigned __int128)budget * 3)
			expected = BARO_SPILL_BACK;
		else if (expected == BARO_SPILL_BACK)
			expected = BARO_SPILL_HOLD;
		if (baro_spill_by_use(&s, used, budget) != expected)
			fail_msg("used %llu of %llu: %u, not %u", (unsigned long long)used,
				 (unsigned long long)budget, s.state, expected);
	}
	assert_true(counts(&s).begins > 1000);
}

static void against_no_budget_everything_spills_and_against_no_limit_nothing(void **state)
{
	struct baro_spill s = fresh();

	assert_int_equal(baro_spill_by_use(&s, 0, 0), BARO_SPILL_OUT);
	assert_int_equal(baro_spill_by_use(&s, UINT64_MAX, 0), BARO_SPILL_OUT);
	assert_int_equal(baro_spill_by_use(&s, UINT64_MAX / 2, BARO_PAGE_NONE), BARO_SPILL_BACK);
	assert_int_equal(baro_spill_by_use(&s, 0, 0), BARO_SPILL_OUT);
	s = fresh();
	assert_int_equal(baro_spill_by_use(&s, 0, 0), BARO_SPILL_OUT);
}

static void a_budget_that_shrinks_begins_spilling_by_itself(void **state)
{
	struct baro_spill s = fresh();

	assert_int_equal(baro_spill_by_use(&s, 500 * MIB, GIB), BARO_SPILL_BACK);
	assert_int_equal(baro_spill_by_use(&s, 500 * MIB, 512 * MIB), BARO_SPILL_OUT);
	/* and one that grows ends it only below its lower mark */
	assert_int_equal(baro_spill_by_use(&s, 500 * MIB, 600 * MIB), BARO_SPILL_OUT);
	assert_int_equal(baro_spill_by_use(&s, 500 * MIB, GIB), BARO_SPILL_BACK);
}

static void excess_and_room_lead_to_the_lower_mark(void **state)
{
	struct baro_spill s = fresh();

	(void)baro_spill_by_use(&s, 950, 1000);
	assert_int_equal(baro_spill_excess(&s, 950), 200);
	assert_int_equal(baro_spill_room(&s, 950), 0);
	(void)baro_spill_by_use(&s, 950 - 200, 1000);
	assert_int_equal(s.state, BARO_SPILL_BACK);
	assert_int_equal(baro_spill_excess(&s, 750), 0);
	(void)baro_spill_by_use(&s, 700, 1000);
	assert_int_equal(baro_spill_room(&s, 700), 50);
	(void)baro_spill_by_use(&s, 700 + 50, 1000);
	assert_int_equal(baro_spill_room(&s, 750), 0);
	(void)baro_spill_by_use(&s, 800, 1000);
	assert_int_equal(s.state, BARO_SPILL_HOLD);
	assert_int_equal(baro_spill_excess(&s, 800), 0);
	assert_int_equal(baro_spill_room(&s, 800), 0);
}

static void the_page_s_score_is_taken_for_a_use(void **state)
{
	struct baro_spill s = fresh();

	assert_int_equal(baro_spill_by_score(&s, 899999), BARO_SPILL_HOLD);
	assert_int_equal(baro_spill_by_score(&s, 900000), BARO_SPILL_OUT);
	assert_int_equal(baro_spill_by_score(&s, 750001), BARO_SPILL_OUT);
	assert_int_equal(baro_spill_by_score(&s, 750000), BARO_SPILL_BACK);
}

static void levels_have_the_same_hysteresis(void **state)
{
	struct baro_spill s = fresh();

	assert_int_equal(baro_spill_by_level(&s, BARO_LEVEL_WARNING), BARO_SPILL_HOLD);
	assert_int_equal(baro_spill_by_level(&s, BARO_LEVEL_CRITICAL), BARO_SPILL_OUT);
	assert_int_equal(baro_spill_by_level(&s, BARO_LEVEL_WARNING), BARO_SPILL_OUT);
	/* nobody knows: as it was */
	assert_int_equal(baro_spill_by_level(&s, BARO_LEVEL_UNKNOWN), BARO_SPILL_OUT);
	assert_int_equal(baro_spill_by_level(&s, BARO_LEVEL_NORMAL), BARO_SPILL_BACK);
	assert_int_equal(baro_spill_by_level(&s, BARO_LEVEL_UNKNOWN), BARO_SPILL_BACK);
	assert_int_equal(baro_spill_by_level(&s, BARO_LEVEL_WARNING), BARO_SPILL_HOLD);
	/* a level of a later version is above all of ours */
	assert_int_equal(baro_spill_by_level(&s, 9), BARO_SPILL_OUT);
	assert_int_equal(counts(&s).begins, 2);
	assert_int_equal(counts(&s).restores, 1);
}

static void marks_and_levels_can_be_set_and_are_checked(void **state)
{
	struct baro_spill s = fresh(), before = s;
	static const struct baro_spill_options bad[] = {
		{ .size = 4 },
		{ .size = sizeof(bad[0]), .begin_ppm = 1000001 },
		{ .size = sizeof(bad[0]), .begin_ppm = 500000, .restore_ppm = 500000 },
		{ .size = sizeof(bad[0]), .begin_ppm = 700000 }, /* below the default of restore */
		{ .size = sizeof(bad[0]), .restore_ppm = 950000 },
		{ .size = sizeof(bad[0]), .begin_level = BARO_LEVEL_EMERGENCY + 1 },
		{ .size = sizeof(bad[0]), .begin_level = BARO_LEVEL_NORMAL },
		{ .size = sizeof(bad[0]), .restore_level = BARO_LEVEL_CRITICAL },
	};
	const struct baro_spill_options good = { .size = sizeof(good),
						 .begin_ppm = 1000000,
						 .restore_ppm = 1,
						 .begin_level = BARO_LEVEL_EMERGENCY,
						 .restore_level = BARO_LEVEL_CRITICAL };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (baro_spill_init(&s, &bad[i]) != -EINVAL)
			fail_msg("options %zu were taken", i);
	assert_memory_equal(&s, &before, sizeof(s));
	assert_int_equal(baro_spill_init(&s, &good), 0);
	assert_int_equal(baro_spill_by_use(&s, 999999, 1000000), BARO_SPILL_HOLD);
	assert_int_equal(baro_spill_by_use(&s, 1000000, 1000000), BARO_SPILL_OUT);
	assert_int_equal(baro_spill_by_use(&s, 2, 1000000), BARO_SPILL_OUT);
	assert_int_equal(baro_spill_by_use(&s, 1, 1000000), BARO_SPILL_BACK);
	assert_int_equal(baro_spill_by_level(&s, BARO_LEVEL_EMERGENCY), BARO_SPILL_OUT);
	assert_int_equal(baro_spill_by_level(&s, BARO_LEVEL_CRITICAL), BARO_SPILL_BACK);
}

static void options_of_a_newer_caller_are_taken_unless_they_ask_for_more(void **state)
{
	struct {
		struct baro_spill_options known;
		uint64_t news;
	} o = { .known = { .size = sizeof(o) } };
	struct baro_spill s;

	assert_int_equal(baro_spill_init(&s, &o.known), 0);
	o.news = 1;
	assert_int_equal(baro_spill_init(&s, &o.known), -EINVAL);
}

static struct baro_spill shared;
static bool stop;

static void *own(void *arg)
{
	struct baro_spill_counts c;

	for (uint64_t i = 0; i < 200000; i++) {
		(void)baro_spill_by_use(&shared, i % 2 ? 990 : 10, 1000);
		if (shared.state == BARO_SPILL_OUT)
			baro_spill_note_spilled(&shared, 3);
		else
			baro_spill_note_restored(&shared, 2);
	}
	baro_spill_read(&shared, &c);
	must(c.begins == 100000 && c.restores == 99999 + (c.state != BARO_SPILL_OUT));
	must(c.spilled_bytes == 300000 && c.restored_bytes == 200000);
	set_flag(&stop);
	return NULL;
}

static void *look(void *arg)
{
	struct baro_spill_counts c, before = { 0 };

	while (!is_set(&stop)) {
		baro_spill_read(&shared, &c);
		must(c.begins >= before.begins && c.spilled_bytes >= before.spilled_bytes);
		must(c.spilled_bytes % 3 == 0 && c.state <= BARO_SPILL_BACK);
		before = c;
	}
	return NULL;
}

static void counts_can_be_read_while_the_owner_goes_on(void **state)
{
	void *(*const bodies[])(void *) = { own, look };

	shared = fresh();
	run_together(bodies, ARRAY_SIZE(bodies), NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spilling_begins_at_90_and_ends_at_75_percent),
		cmocka_unit_test(the_marks_are_exact_for_every_budget),
		cmocka_unit_test(against_no_budget_everything_spills_and_against_no_limit_nothing),
		cmocka_unit_test(a_budget_that_shrinks_begins_spilling_by_itself),
		cmocka_unit_test(excess_and_room_lead_to_the_lower_mark),
		cmocka_unit_test(the_page_s_score_is_taken_for_a_use),
		cmocka_unit_test(levels_have_the_same_hysteresis),
		cmocka_unit_test(marks_and_levels_can_be_set_and_are_checked),
		cmocka_unit_test(options_of_a_newer_caller_are_taken_unless_they_ask_for_more),
		cmocka_unit_test(counts_can_be_read_while_the_owner_goes_on),
	};

	return cmocka_run_group_tests_name("spill", tests, NULL, NULL);
}
