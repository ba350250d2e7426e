/* SPDX-License-Identifier: BSD-2-Clause */
/* How densely pages are followed, and how much memory that takes, over all ceilings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "user/daemon/sensors_ghosts.h"

#define PAGE 4096u
#define MIB  (1ull << 20)
#define GIB  (1ull << 30)

static void the_documented_rates_are_those_of_the_plan(void **state)
{
	static const struct {
		uint64_t ceiling_bytes;
		uint32_t shift;
	} want[] = {
		{ 64 * MIB, 0 }, { 128 * MIB, 1 }, { GIB, 4 },      { 4 * GIB, 4 },
		{ 16 * GIB, 4 }, { 32 * GIB, 5 },  { 64 * GIB, 6 }, { 256 * GIB, 8 },
	};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(ghosts_plan(want[i].ceiling_bytes, 0, PAGE).sample_shift,
				 want[i].shift);
}

static void accesses_are_followed_of_fewer_pages(void **state)
{
	static const struct {
		uint64_t ceiling_bytes;
		uint32_t shift, sets;
	} want[] = {
		{ 16 * MIB, 0, 2048 }, { 64 * MIB, 2, 2048 }, { 192 * MIB, 4, 2048 },
		{ GIB, 4, 8192 },      { 4 * GIB, 4, 32768 }, { 64 * GIB, 6, 131072 },
	};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct ghost_plan plan = reuse_plan(want[i].ceiling_bytes, 0, PAGE);

		assert_int_equal(plan.sample_shift, want[i].shift);
		assert_int_equal(plan.sets, want[i].sets);
	}
}

static void the_table_remembers_twice_the_ceiling(void **state)
{
	for (uint64_t ceiling = 8 * MIB; ceiling <= 1024 * GIB; ceiling = ceiling * 5 / 4) {
		struct ghost_plan plan = ghosts_plan(ceiling, 0, PAGE);
		uint64_t ghosts = (uint64_t)plan.sets * GHOST_WAYS;

		assert_true(ghosts << plan.sample_shift >=
			    2 * (ceiling / PAGE) - (1 << plan.sample_shift) * GHOST_WAYS);
		assert_true(ghosts <= GHOSTS_DEFAULT);
	}
}

static void sets_are_a_power_of_two_within_bounds_for_any_input(void **state)
{
	static const uint32_t entries[] = { 0, 1, 100, 4096, 5000, 1u << 22, UINT32_MAX };

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		for (uint32_t bit = 0; bit < 64; bit++) {
			struct ghost_plan plan = ghosts_plan((1ull << bit) + bit, entries[i], PAGE);

			assert_int_equal(plan.sets & (plan.sets - 1), 0);
			assert_in_range(plan.sets, GHOST_SETS_MIN, GHOST_SETS_MAX);
			assert_in_range(plan.sample_shift, 0, GHOST_SHIFT_MAX);
		}
	}
}

static void a_size_asked_for_is_used_to_the_full(void **state)
{
	struct ghost_plan plan = ghosts_plan(64 * MIB, 4096, PAGE);

	assert_int_equal(plan.sets, 1024);
	assert_int_equal(plan.sample_shift, 3);
	assert_int_equal(ghosts_plan(64 * MIB, 1u << 20, PAGE).sample_shift, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_documented_rates_are_those_of_the_plan),
		cmocka_unit_test(accesses_are_followed_of_fewer_pages),
		cmocka_unit_test(the_table_remembers_twice_the_ceiling),
		cmocka_unit_test(sets_are_a_power_of_two_within_bounds_for_any_input),
		cmocka_unit_test(a_size_asked_for_is_used_to_the_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
