/* SPDX-License-Identifier: BSD-2-Clause */
/* Needs that come and go, and what sizes cost in the mean of them. */
#include "tests/unit/reuse_bench.h"

static void alternate_with(struct bench *b, reads large, uint64_t each_ns, uint64_t ns)
{
	for (uint64_t t = 0; t < ns; t += 2 * each_ns) {
		run(b, uniform_1000, each_ns);
		run(b, large, each_ns);
	}
}

static void alternate(struct bench *b, uint64_t each_ns, uint64_t ns)
{
	alternate_with(b, uniform_4000, each_ns, ns);
}

/* One that no memory holds is as large as all there is. */
static void a_set_beyond_the_ceiling_is_large(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 2500);
	alternate_with(&b, loop_30000, 3 * LAW_S, 48 * LAW_S);
	assert_true(law_phases_short(&b.e));
	assert_in_range(b.e.memory.phases.set_mean >> 12, LAW_BUCKETS * 2 / 5, LAW_BUCKETS * 3 / 4);
	end(&b);
}

/* In the small set's memory, between the two, and with all it ever needs. */
static void a_set_that_comes_and_goes_is_seen_at_any_size(void **state)
{
	static const uint32_t sizes[] = { 1100, 2500, 4500 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct bench b;

		begin(&b, sizes[i]);
		alternate(&b, 3 * LAW_S, 18 * LAW_S);
		assert_true(law_phases_short(&b.e));
		alternate(&b, 3 * LAW_S, 24 * LAW_S);
		assert_true(law_phases_short(&b.e));
		assert_in_range(b.e.memory.phases.period_ns, 5 * LAW_S, 7 * LAW_S);
		end(&b);
	}
}

static void a_set_that_stays_is_no_phase(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 2500);
	alternate(&b, 20 * LAW_S, 160 * LAW_S);
	assert_false(law_phases_short(&b.e));
	assert_in_range(b.e.memory.phases.period_ns, 35 * LAW_S, 45 * LAW_S);
	end(&b);
	/* nor is what chance makes of one */
	begin(&b, 2500);
	run(&b, hot_and_cold, 60 * LAW_S);
	assert_false(law_phases_short(&b.e));
	end(&b);
	/* nor is a load that comes and goes, though its stalls do */
	begin(&b, 2500);
	for (int i = 0; i < 12; i++) {
		b.think_ns = i % 2 ? 0 : 10 * LAW_MS;
		run(&b, uniform_4000, 3 * LAW_S);
	}
	assert_false(law_phases_short(&b.e));
	end(&b);
}

/* Nor is one that has only grown. */
static void a_set_that_grows_once_is_no_phase(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 2500);
	run(&b, uniform_1000, 8 * LAW_S);
	run(&b, uniform_4000, 5 * LAW_S);
	assert_false(law_phases_short(&b.e));
	end(&b);
}

/* The time in which nothing is read, or counted, is a part of the period, too. */
static void long_phases_of_few_reads_are_long(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 2500);
	for (int i = 0; i < 320; i++) {
		run(&b, i / 40 % 2 ? uniform_4000 : uniform_1000, 100 * LAW_MS);
		for (int t = 0; t < 9; t++) {
			b.now_ns += TICK_NS;
			sample(&b);
		}
	}
	assert_in_range(b.e.memory.phases.period_ns, 60 * LAW_S, 100 * LAW_S);
	end(&b);
	begin(&b, 4500);
	b.may_rest = true;
	alternate(&b, 30 * LAW_S, 240 * LAW_S);
	assert_true(b.watched < b.ticks / 2);
	assert_false(law_phases_short(&b.e));
	end(&b);
}

static void phases_that_have_ended_are_over(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 2500);
	alternate(&b, 3 * LAW_S, 24 * LAW_S);
	assert_true(law_phases_short(&b.e));
	run(&b, uniform_1000, 14 * LAW_S);
	assert_false(law_phases_short(&b.e));
	end(&b);
	/* also for who has slept since */
	begin(&b, 2500);
	alternate(&b, 3 * LAW_S, 24 * LAW_S);
	for (int t = 0; t < 14; t++) {
		b.now_ns += LAW_S;
		sample(&b);
	}
	assert_false(law_phases_short(&b.e));
	end(&b);
}

static double mean_cost(const struct bench *b, uint32_t pages)
{
	return (double)law_phases_cost(&b->e, pages) / (double)LAW_ONE;
}

/* The mean of what each phase costs: a miss takes 15 times what a hit takes. */
static void sizes_cost_what_they_do_in_the_mean_of_phases(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 1500);
	alternate(&b, 3 * LAW_S, 48 * LAW_S);
	assert_true(fabs(mean_cost(&b, 0) - 15. / 16) < .06);
	/* the small set costs nothing, three quarters of the large one missed 15 * 3/4 */
	assert_true(fabs(mean_cost(&b, 1152) - (11.25 / 12.25) / 2) < .12);
	/* the first round of a phase, of pages read last before the other, looks larger than it is */
	assert_true(mean_cost(&b, 4480) < .25);
	/* between two buckets, and beyond the last */
	assert_true(mean_cost(&b, 448) < mean_cost(&b, 384));
	assert_true(mean_cost(&b, 448) > mean_cost(&b, 512));
	assert_true(mean_cost(&b, UINT32_MAX) < .25);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_that_comes_and_goes_is_seen_at_any_size),
		cmocka_unit_test(a_set_beyond_the_ceiling_is_large),
		cmocka_unit_test(a_set_that_stays_is_no_phase),
		cmocka_unit_test(a_set_that_grows_once_is_no_phase),
		cmocka_unit_test(long_phases_of_few_reads_are_long),
		cmocka_unit_test(phases_that_have_ended_are_over),
		cmocka_unit_test(sizes_cost_what_they_do_in_the_mean_of_phases),
	};

	return cmocka_run_group_tests_name("phases", tests, NULL, NULL);
}
