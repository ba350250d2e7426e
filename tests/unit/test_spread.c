// SPDX-License-Identifier: BSD-2-Clause
/* Counts in eight bins to the octave: what comes out is what went in, within 7 %. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "user/lib/spread.h"

static void every_value_is_known_within_seven_percent(void **state)
{
	for (uint64_t v = 0; v < 16; v++)
		assert_int_equal(spread_value(spread_bin(v)), v);
	for (uint64_t v = 16; v < UINT64_MAX / 3 * 2; v += v / 50 + 1) {
		uint64_t shown = spread_value(spread_bin(v));
		uint64_t off = shown > v ? shown - v : v - shown;

		assert_true(off <= v / 14);
	}
	assert_int_equal(spread_bin(UINT64_MAX), SPREAD_BINS - 1);
	for (unsigned int i = 0; i < SPREAD_BINS; i++)
		assert_int_equal(spread_bin(spread_value(i)), i);
}

static void quantiles_are_those_of_the_values(void **state)
{
	static struct spread s;

	memset(&s, 0, sizeof(s));
	assert_int_equal(spread_quantile(&s, 990000), 0);
	assert_int_equal(spread_max(&s), 0);
	for (int i = 0; i < 985; i++)
		spread_add(&s, 3);
	for (int i = 0; i < 15; i++)
		spread_add(&s, 1000);
	assert_int_equal(spread_count(&s), 1000);
	assert_int_equal(s.sum, 985 * 3 + 15000);
	assert_int_equal(spread_quantile(&s, 0), 3);
	assert_int_equal(spread_quantile(&s, 500000), 3);
	assert_int_equal(spread_quantile(&s, 985000), 3);
	assert_in_range(spread_quantile(&s, 985001), 940, 1060);
	assert_in_range(spread_quantile(&s, 1000000), 940, 1060);
	assert_in_range(spread_max(&s), 940, 1060);
	spread_halve(&s);
	assert_int_equal(spread_count(&s), 493 + 8);
}

static void sums_of_spreads_are_spreads_of_sums(void **state)
{
	static struct spread a, b, both;

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	memset(&both, 0, sizeof(both));
	for (uint64_t i = 0; i < 1000; i++) {
		spread_add(i % 3 ? &a : &b, i * i);
		spread_add(&both, i * i);
	}
	spread_merge(&a, &b);
	assert_memory_equal(&a, &both, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_is_known_within_seven_percent),
		cmocka_unit_test(quantiles_are_those_of_the_values),
		cmocka_unit_test(sums_of_spreads_are_spreads_of_sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
