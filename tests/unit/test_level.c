/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "user/common/clock.h"
#include "user/common/cleanup.h"
#include "user/common/units.h"
#include "user/daemon/level.h"

static void edges_are_inclusive(void **state)
{
	static const struct {
		uint32_t util_ppm;
		enum level level;
	} cases[] = { { 0, LEVEL_NORMAL },         { 699999, LEVEL_NORMAL },
		      { 700000, LEVEL_WARNING },   { 849999, LEVEL_WARNING },
		      { 850000, LEVEL_CRITICAL },  { 949999, LEVEL_CRITICAL },
		      { 950000, LEVEL_EMERGENCY }, { UINT32_MAX, LEVEL_EMERGENCY } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct level_state s = { 0 };

		level_update(&s, cases[i].util_ppm, 0, 1);
		assert_int_equal(s.level, cases[i].level);
	}
}

static void stall_alone_raises_the_level(void **state)
{
	struct level_state s = { 0 };

	level_update(&s, 0, 49999, 1);
	assert_int_equal(s.level, LEVEL_NORMAL);
	level_update(&s, 0, 50000, 2);
	assert_int_equal(s.level, LEVEL_WARNING);
	level_update(&s, 0, 200000, 3);
	assert_int_equal(s.level, LEVEL_CRITICAL);
	level_update(&s, 0, 500000, 4);
	assert_int_equal(s.level, LEVEL_EMERGENCY);
	assert_int_equal(level_score_of_stall(1000000), 1000000);
	assert_int_equal(level_score_of_stall(UINT32_MAX), 1000000);
	for (uint32_t stall = 1000; stall <= 1000000; stall += 1000)
		assert_true(level_score_of_stall(stall) >= level_score_of_stall(stall - 1000));
}

static void a_level_is_left_only_below_its_edge_and_after_a_second(void **state)
{
	struct level_state s = { 0 };
	uint64_t t = 1;

	level_update(&s, 860000, 0, t);
	assert_int_equal(s.level, LEVEL_CRITICAL);
	/* Just below the edge: stays for ever. */
	level_update(&s, 801000, 0, t += 10 * NS_PER_S);
	level_update(&s, 801000, 0, t += 10 * NS_PER_S);
	assert_int_equal(s.level, LEVEL_CRITICAL);
	/* Far below: one level a second. */
	level_update(&s, 100000, 0, t += NS_PER_MS);
	level_update(&s, 100000, 0, t += NS_PER_S - 1);
	assert_int_equal(s.level, LEVEL_CRITICAL);
	level_update(&s, 100000, 0, t += 1);
	assert_int_equal(s.level, LEVEL_WARNING);
	/* A relapse in between starts the second anew. */
	level_update(&s, 660000, 0, t += NS_PER_S / 2);
	level_update(&s, 100000, 0, t += NS_PER_S);
	assert_int_equal(s.level, LEVEL_WARNING);
	level_update(&s, 100000, 0, t += NS_PER_S);
	assert_int_equal(s.level, LEVEL_NORMAL);
}

static void pressure_is_a_share_of_the_window(void **state)
{
	struct pressure_window w;
	uint64_t t = 5 * NS_PER_S, some = 7 * NS_PER_S;

	memset(&w, 0, sizeof(w));
	/* 30 % some, 10 % full, read every 100 ms for 15 s. */
	for (int i = 0; i <= 150; i++)
		pressure_window_add(&w, some + (uint64_t)i * 30 * NS_PER_MS,
				    (uint64_t)i * 10 * NS_PER_MS,
				    t + (uint64_t)i * 100 * NS_PER_MS);
	assert_in_range(w.some_1s_ppm, 299000, 301000);
	assert_in_range(w.full_10s_ppm, 99000, 101000);
	/* Then it is quiet: the short window sees it first. */
	for (int i = 151; i <= 170; i++)
		pressure_window_add(&w, some + 4500 * NS_PER_MS, 1500 * NS_PER_MS,
				    t + (uint64_t)i * 100 * NS_PER_MS);
	assert_int_equal(w.some_1s_ppm, 0);
	assert_in_range(w.some_10s_ppm, 200000, 260000);
	/* Counters that start again are not a negative share. */
	pressure_window_add(&w, 0, 0, t + 172 * 100 * NS_PER_MS);
	assert_in_range(w.some_1s_ppm, 0, 1000000);
}

static void the_watchdog_lifts_within_half_a_second_and_spares(void **state)
{
	struct freeze_watch f = { 0 };
	uint64_t t = NS_PER_S;
	int ticks = 0;

	while (!freeze_watch_update(&f, true, t)) {
		t += 100 * NS_PER_MS;
		assert_true(++ticks <= 5);
	}
	assert_true(f.spare_until_ns > t);
	assert_int_equal(f.lifts, 1);
	/* Held on and off is not frozen. */
	for (int i = 0; i < 20; i++)
		assert_false(freeze_watch_update(&f, i % 3 != 0, t += 100 * NS_PER_MS));
}

static void an_engine_is_held_where_nothing_can_be_reclaimed(void **state)
{
	struct freeze_watch f = { 0 };
	struct freeze_look look = { .sample = 1,
				    .high_bytes = 128 * MIB,
				    .usage_bytes = 128 * MIB,
				    .unreclaimable_bytes = 127 * MIB,
				    .high_events = 1 };

	/* what it has is known to be unreclaimable */
	assert_true(freeze_watch_held(&f, &look));
	/* not throttled since */
	look.sample++;
	assert_false(freeze_watch_held(&f, &look));
	look.stall_ppm = 900000;
	assert_true(freeze_watch_held(&f, &look));
	look.usage_bytes = 120 * MIB;
	assert_false(freeze_watch_held(&f, &look));
	look.usage_bytes = 128 * MIB;
	look.high_bytes = BYTES_NO_LIMIT;
	assert_false(freeze_watch_held(&f, &look));
}

static void what_reclaim_cannot_free_is_held_whatever_its_kind(void **state)
{
	struct freeze_watch f = { 0 };
	struct freeze_look look = { .high_bytes = 128 * MIB,
				    .usage_bytes = 128 * MIB,
				    .unreclaimable_bytes = 16 * MIB,
				    .stall_ppm = 900000 };

	/* a stream at its cap: it waits, but something comes free all the time */
	for (look.sample = 1; look.sample < 20; look.sample++) {
		look.reclaimed_pages += 32;
		assert_false(freeze_watch_held(&f, &look));
		/* an early tick has no newer count */
		assert_false(freeze_watch_held(&f, &look));
	}
	/* nothing comes free any more */
	assert_true(freeze_watch_held(&f, &look));
	look.sample++;
	assert_true(freeze_watch_held(&f, &look));
	look.sample++;
	look.reclaimed_pages += 1;
	assert_false(freeze_watch_held(&f, &look));
}

/* The daemon looks again whenever a lowering ended or another engine is in need. */
static void looking_again_without_news_changes_nothing(void **state)
{
	struct freeze_watch f = { 0 };
	struct freeze_look look = { .high_bytes = 128 * MIB,
				    .usage_bytes = 128 * MIB,
				    .unreclaimable_bytes = 127 * MIB };
	uint64_t t = NS_PER_S;
	bool lifted = false;

	for (look.sample = 1; look.sample < 6 && !lifted; look.sample++) {
		look.high_events++;
		for (int i = 0; i < 4 && !lifted; i++)
			lifted = freeze_watch_update(&f, freeze_watch_held(&f, &look),
						     t += 25 * NS_PER_MS);
	}
	assert_true(lifted);
	/* what an early tick has seen is not forgotten by the regular one that follows */
	look.sample++;
	assert_false(freeze_watch_held(&f, &look));
	look.high_events++;
	assert_true(freeze_watch_held(&f, &look));
	look.sample++;
	assert_true(freeze_watch_held(&f, &look));
	look.sample++;
	assert_false(freeze_watch_held(&f, &look));
	assert_false(freeze_watch_held(&f, &look));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edges_are_inclusive),
		cmocka_unit_test(stall_alone_raises_the_level),
		cmocka_unit_test(a_level_is_left_only_below_its_edge_and_after_a_second),
		cmocka_unit_test(pressure_is_a_share_of_the_window),
		cmocka_unit_test(an_engine_is_held_where_nothing_can_be_reclaimed),
		cmocka_unit_test(what_reclaim_cannot_free_is_held_whatever_its_kind),
		cmocka_unit_test(looking_again_without_news_changes_nothing),
		cmocka_unit_test(the_watchdog_lifts_within_half_a_second_and_spares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
