/* SPDX-License-Identifier: BSD-2-Clause */
/* One memtable: its rate, its target, when it is flushed. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/lib/memtable_internal.h"

#define MIB  (UINT64_C(1) << 20)
#define T0   (1000 * NS_PER_S)
#define TICK (100 * NS_PER_MS)

static struct baro_memtable *table_open(const struct baro_memtable_options *options)
{
	struct baro_memtable *m = NULL;

	assert_int_equal(baro_memtable_open(options, NULL, &m), 0);
	return m;
}

static struct baro_memtable_stats stats_of(struct baro_memtable *m)
{
	struct baro_memtable_stats s;

	baro_memtable_read(m, &s);
	return s;
}

/* Writes so many bytes a second for `ns`, with an update every `every_ns`. Returns when it ended.
 */
static uint64_t write_for(struct baro_memtable *m, uint64_t from_ns, uint64_t ns, uint64_t every_ns,
			  uint64_t bytes_per_s)
{
	uint64_t done = 0;

	for (uint64_t t = every_ns; t <= ns; t += every_ns) {
		uint64_t due = (uint64_t)((unsigned __int128)bytes_per_s * t / NS_PER_S);

		baro_memtable_record_write(m, due - done);
		done = due;
		baro_memtable_update(m, from_ns + t, NULL);
	}
	return from_ns + ns;
}

/* ---- damping --------------------------------------------------------------------------------- */

static void both_curves_are_what_the_table_says(void **state)
{
	static const struct {
		uint32_t pressure_ppm, square_ppm, knee_ppm;
	} cases[] = {
		{ 0, 1000000, 1000000 },     { 100000, 990000, 1000000 },
		{ 300000, 910000, 1000000 }, { 500000, 750000, 1000000 },
		{ 700000, 510000, 1000000 }, { 700001, 509999, 1000000 },
		{ 800000, 360000, 990000 },  { 900000, 190000, 960000 },
		{ 950000, 97500, 937500 },   { 1000000, 0, 910000 },
		{ UINT32_MAX, 0, 910000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(baro_damping_ppm(BARO_DAMPING_SQUARE, cases[i].pressure_ppm),
				 cases[i].square_ppm);
		assert_int_equal(baro_damping_ppm(BARO_DAMPING_KNEE, cases[i].pressure_ppm),
				 cases[i].knee_ppm);
	}
	assert_int_equal(baro_damping_ppm(77, 900000), 190000);
}

static void the_curve_is_the_first_unless_the_other_is_asked_for(void **state)
{
	struct baro_memtable_options knee = { .size = sizeof(knee), .damping = BARO_DAMPING_KNEE };
	struct baro_memtable *a = table_open(NULL), *b = table_open(&knee);
	const struct baro_pressure p = { .score_ppm = 900000 };

	/* 15 MB/s: x 0.190 and x 0.960 */
	write_for(a, T0, NS_PER_S, TICK, 15000000);
	write_for(b, T0, NS_PER_S, TICK, 15000000);
	baro_memtable_update(a, T0 + NS_PER_S + 1, &p);
	baro_memtable_update(b, T0 + NS_PER_S + 1, &p);
	assert_in_range(stats_of(a).target_bytes, 2849990, 2850010);
	assert_in_range(stats_of(b).target_bytes, 14399990, 14400010);
	assert_int_equal(stats_of(a).pressure_ppm, 900000);
	baro_memtable_close(a);
	baro_memtable_close(b);
}

/* ---- rate ------------------------------------------------------------------------------------ */

static void the_exponential_is_the_mathematical_one(void **state)
{
	for (double x = 1e-12; x < 60; x *= 1.07)
		assert_true(fabs(memtable_one_minus_exp(x) + expm1(-x)) < 1e-12);
	assert_true(memtable_one_minus_exp(0) == 0);
	assert_true(memtable_one_minus_exp(1e300) == 1);
}

static void alpha_is_a_tenth_every_hundred_milliseconds(void **state)
{
	struct memtable_rate r = { 0 };
	const double per_tau = 1 / (double)BARO_MEMTABLE_TAU_NS;
	uint64_t total = 0, now = T0;

	for (int i = 0; i < 2000; i++, total += 1000)
		memtable_rate_update(&r, total, now += TICK, per_tau, NS_PER_S);
	assert_true(fabs(r.per_s - 10000) < 1e-6);
	memtable_rate_update(&r, total + 1000, now += TICK, per_tau, NS_PER_S);
	/* one interval at twice the rate: a tenth of the way */
	assert_true(fabs(r.per_s - 11000) < 1e-3);
}

static void a_constant_rate_is_known_from_the_first_interval(void **state)
{
	struct baro_memtable *m = table_open(NULL);

	assert_int_equal(stats_of(m).target_bytes, 4 * MIB);
	baro_memtable_update(m, T0, NULL);
	assert_int_equal(stats_of(m).target_bytes, 4 * MIB);
	baro_memtable_record_write(m, 800000);
	assert_in_range(baro_memtable_update(m, T0 + TICK, NULL), 7999999, 8000001);
	assert_in_range(stats_of(m).rate_bytes_per_s, 7999999, 8000001);
	baro_memtable_close(m);
}

/* The seed's average moved by a tenth with every call. */
static void the_rate_does_not_depend_on_how_often_it_is_updated(void **state)
{
	static const uint64_t every_ns[] = { NS_PER_MS / 10, NS_PER_MS, 7 * NS_PER_MS, TICK,
					     NS_PER_S };
	uint64_t first = 0;

	for (size_t i = 0; i < ARRAY_SIZE(every_ns); i++) {
		struct baro_memtable *m = table_open(NULL);
		uint64_t t = write_for(m, T0, 7 * NS_PER_S, every_ns[i], 3000000), rate;

		write_for(m, t, 7 * NS_PER_S / 10, every_ns[i] < TICK ? every_ns[i] : TICK,
			  12000000);
		rate = stats_of(m).rate_bytes_per_s;
		if (!i)
			first = rate;
		/* 3 + 9 x (1 - 0.9^7) MB/s, whatever the pace */
		assert_in_range(rate, 7695000, 7715000);
		assert_true(llabs((long long)(rate - first)) < 10000);
		baro_memtable_close(m);
	}
}

/* A writer with pauses: updates that fall into them must not count as pauses of their own. */
static void updates_between_two_writes_change_nothing(void **state)
{
	uint64_t rates[2];

	for (int often = 0; often < 2; often++) {
		struct baro_memtable *m = table_open(NULL);
		uint64_t step = often ? 10 * NS_PER_MS : TICK;

		baro_memtable_update(m, T0, NULL);
		for (uint64_t t = step; t <= 10 * NS_PER_S; t += step) {
			if (t % TICK == 0)
				baro_memtable_record_write(m, 300000);
			baro_memtable_update(m, T0 + t, NULL);
		}
		rates[often] = stats_of(m).rate_bytes_per_s;
		baro_memtable_close(m);
	}
	assert_in_range(rates[0], 2999999, 3000001);
	assert_in_range(rates[1], 2999999, 3000001);
}

/* ---- idle ------------------------------------------------------------------------------------ */

/* The seed's rate decayed to nothing, and the first writes were flushed as tiny tables. */
static void an_idle_engine_keeps_its_target(void **state)
{
	struct baro_memtable *m = table_open(NULL);
	uint64_t t = write_for(m, T0, 5 * NS_PER_S, TICK, 8000000);

	assert_int_equal(stats_of(m).idle, 0);
	baro_memtable_rotate(m);
	for (int i = 0; i < 36000; i++)
		baro_memtable_update(m, t += TICK, NULL);
	assert_int_equal(stats_of(m).idle, 1);
	assert_in_range(stats_of(m).target_bytes, 7999990, 8000010);
	/* It wakes: nothing below what it wrote before is flushed, from the first byte on. */
	for (uint64_t held = 0; held < 7900000; held += 80000) {
		assert_false(baro_memtable_should_flush(m, held));
		baro_memtable_record_write(m, 80000);
		baro_memtable_update(m, t += 10 * NS_PER_MS, NULL);
	}
	assert_int_equal(stats_of(m).idle, 0);
	assert_in_range(stats_of(m).target_bytes, 7900000, 8100000);
	baro_memtable_close(m);
}

static void an_engine_that_nobody_updated_while_it_was_idle_keeps_its_target_too(void **state)
{
	struct baro_memtable *m = table_open(NULL);
	uint64_t t = write_for(m, T0, 5 * NS_PER_S, TICK, 8000000);

	baro_memtable_record_write(m, 800000);
	assert_in_range(baro_memtable_update(m, t + 3600 * NS_PER_S, NULL), 7999990, 8000010);
	/* but more than the rate that is known is believed */
	baro_memtable_record_write(m, 400 * MIB);
	assert_in_range(baro_memtable_update(m, t + 3620 * NS_PER_S, NULL), 16 * MIB, 16 * MIB);
	baro_memtable_close(m);
}

static void a_slow_writer_is_not_idle(void **state)
{
	struct baro_memtable *m = table_open(NULL);
	uint64_t t = write_for(m, T0, 5 * NS_PER_S, TICK, 8000000);

	write_for(m, t, 60 * NS_PER_S, TICK, 100000);
	assert_in_range(stats_of(m).rate_bytes_per_s, 99990, 100010);
	assert_int_equal(stats_of(m).target_bytes, 1 * MIB);
	baro_memtable_close(m);
}

static void a_burst_after_an_idle_time_counts_the_same_at_any_pace(void **state)
{
	uint64_t rates[2];

	for (int often = 0; often < 2; often++) {
		struct baro_memtable *m = table_open(NULL);
		uint64_t step = often ? NS_PER_MS : TICK;

		baro_memtable_update(m, T0, NULL);
		for (uint64_t t = step; t <= 40 * NS_PER_S; t += step) {
			if (t % (4 * NS_PER_S) == 0)
				baro_memtable_record_write(m, 500000);
			baro_memtable_update(m, T0 + t, NULL);
		}
		rates[often] = stats_of(m).rate_bytes_per_s;
		baro_memtable_close(m);
	}
	assert_in_range(rates[0], 4999990, 5000010);
	assert_in_range(rates[1], 4999990, 5000010);
}

/* ---- target ---------------------------------------------------------------------------------- */

static void
the_target_is_one_second_of_writes_within_a_quarter_and_four_times_the_base(void **state)
{
	static const struct {
		uint64_t per_s, target;
	} cases[] = { { 1, MIB },
		      { 900000, MIB },
		      { 2000000, 2000000 },
		      { 16000000, 16000000 },
		      { 17000000, 16 * MIB },
		      { UINT64_C(4000000000000), 16 * MIB } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct baro_memtable *m = table_open(NULL);

		write_for(m, T0, 10 * NS_PER_S, NS_PER_S, cases[i].per_s);
		assert_in_range(stats_of(m).target_bytes, cases[i].target - 1, cases[i].target + 1);
		baro_memtable_close(m);
	}
}

static void all_pressure_leaves_the_minimum(void **state)
{
	struct baro_memtable *m = table_open(NULL);
	struct baro_pressure p = { .score_ppm = UINT32_MAX };
	uint64_t t = write_for(m, T0, NS_PER_S, TICK, 15000000);

	assert_int_equal(baro_memtable_update(m, t + 1, &p), MIB);
	assert_int_equal(stats_of(m).pressure_ppm, 1000000);
	p.score_ppm = 0;
	assert_in_range(baro_memtable_update(m, t + 2, &p), 14999990, 15000010);
	baro_memtable_close(m);
}

static void should_flush_from_the_target_on(void **state)
{
	struct baro_memtable *m = table_open(NULL);

	write_for(m, T0, NS_PER_S, TICK, 2000000);
	assert_false(baro_memtable_should_flush(m, stats_of(m).target_bytes - 1));
	assert_true(baro_memtable_should_flush(m, stats_of(m).target_bytes));
	assert_true(baro_memtable_should_flush(m, UINT64_MAX));
	assert_int_equal(stats_of(m).flush_at_bytes, stats_of(m).target_bytes);
	baro_memtable_close(m);
}

static void a_time_that_is_not_later_changes_nothing(void **state)
{
	struct baro_memtable *m = table_open(NULL);
	struct baro_memtable_group_stats g;
	uint64_t t = write_for(m, T0, NS_PER_S, TICK, 2000000);
	uint64_t target = stats_of(m).target_bytes;

	baro_memtable_record_write(m, 5000000);
	assert_int_equal(baro_memtable_update(m, t, NULL), target);
	assert_int_equal(baro_memtable_update(m, t - 1, NULL), target);
	assert_int_equal(baro_memtable_update(m, 0, NULL), target);
	baro_memtable_group_read(m->group, &g);
	assert_int_equal(g.updates_skipped, 3);
	assert_int_equal(g.updates, 10);
	/* and loses nothing: 2 MB/s, then a second of 5 */
	baro_memtable_update(m, t + NS_PER_S, NULL);
	assert_in_range(stats_of(m).rate_bytes_per_s, 3500000, 4500000);
	assert_int_equal(stats_of(m).written_bytes, 7000000);
	baro_memtable_close(m);
}

static void what_is_sealed_counts_until_it_is_flushed(void **state)
{
	struct baro_memtable *m = table_open(NULL);

	baro_memtable_record_write(m, 1000);
	assert_int_equal(baro_memtable_held(m), 1000);
	assert_int_equal(baro_memtable_rotate(m), 1000);
	baro_memtable_record_write(m, 10);
	assert_int_equal(baro_memtable_held(m), 10);
	assert_int_equal(stats_of(m).sealed_bytes, 1000);
	assert_int_equal(stats_of(m).rotations, 1);
	baro_memtable_flushed(m, 600);
	assert_int_equal(stats_of(m).sealed_bytes, 400);
	/* more than there is */
	baro_memtable_flushed(m, 600);
	assert_int_equal(stats_of(m).sealed_bytes, 0);
	assert_int_equal(stats_of(m).written_bytes, 1010);
	baro_memtable_close(m);
}

/* ---- options --------------------------------------------------------------------------------- */

static void options_that_make_no_sense_are_refused(void **state)
{
	const size_t size = sizeof(struct baro_memtable_options);
	const struct baro_memtable_options bad[] = {
		{ .size = 0 },
		{ .size = size - 8 },
		{ .size = size, .min_bytes = 5 * MIB },
		{ .size = size, .max_bytes = 3 * MIB },
		{ .size = size, .base_bytes = MIB, .min_bytes = 8 * MIB, .max_bytes = 2 * MIB },
		{ .size = size, .damping = 2 },
		{ .size = size, .buffer_ns = 3601 * NS_PER_S },
	};
	struct baro_memtable *m = (void *)&m;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(baro_memtable_open(&bad[i], NULL, &m), -EINVAL);
		assert_ptr_equal(m, &m);
	}
}

static void options_are_what_they_say(void **state)
{
	struct baro_memtable_options o = { .size = sizeof(o),
					   .base_bytes = UINT64_MAX / 2,
					   .buffer_ns = 10 * NS_PER_S,
					   .arg = &o };
	struct baro_memtable *m = table_open(&o);

	/* four times the base would not fit */
	assert_true(m->options.max_bytes == UINT64_MAX);
	assert_ptr_equal(baro_memtable_arg(m), &o);
	baro_memtable_close(m);
	o.base_bytes = 100;
	m = table_open(&o);
	assert_int_equal(m->options.min_bytes, 25);
	write_for(m, T0, NS_PER_S, TICK, 30);
	/* ten seconds of it */
	assert_in_range(stats_of(m).target_bytes, 299, 300);
	baro_memtable_close(m);
	/* The smallest table is flushed when it holds something, not before. */
	o.base_bytes = 1;
	m = table_open(&o);
	assert_false(baro_memtable_should_flush(m, 0));
	baro_memtable_close(m);
	baro_memtable_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_curves_are_what_the_table_says),
		cmocka_unit_test(the_curve_is_the_first_unless_the_other_is_asked_for),
		cmocka_unit_test(the_exponential_is_the_mathematical_one),
		cmocka_unit_test(alpha_is_a_tenth_every_hundred_milliseconds),
		cmocka_unit_test(a_constant_rate_is_known_from_the_first_interval),
		cmocka_unit_test(the_rate_does_not_depend_on_how_often_it_is_updated),
		cmocka_unit_test(updates_between_two_writes_change_nothing),
		cmocka_unit_test(an_idle_engine_keeps_its_target),
		cmocka_unit_test(
		    an_engine_that_nobody_updated_while_it_was_idle_keeps_its_target_too),
		cmocka_unit_test(a_slow_writer_is_not_idle),
		cmocka_unit_test(a_burst_after_an_idle_time_counts_the_same_at_any_pace),
		cmocka_unit_test(
		    the_target_is_one_second_of_writes_within_a_quarter_and_four_times_the_base),
		cmocka_unit_test(all_pressure_leaves_the_minimum),
		cmocka_unit_test(should_flush_from_the_target_on),
		cmocka_unit_test(a_time_that_is_not_later_changes_nothing),
		cmocka_unit_test(what_is_sealed_counts_until_it_is_flushed),
		cmocka_unit_test(options_that_make_no_sense_are_refused),
		cmocka_unit_test(options_are_what_they_say),
	};

	return cmocka_run_group_tests_name("memtable", tests, NULL, NULL);
}
