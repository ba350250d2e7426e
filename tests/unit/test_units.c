/* SPDX-License-Identifier: BSD-2-Clause */
/* Sizes, times and percentages as people write them, and the arithmetic around them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "user/common/cleanup.h"
#include "user/common/units.h"

#define UNTOUCHED 42

struct parse_case {
	const char *text;
	int r;
	uint64_t value;
};

static void check(int (*parse)(const char *, uint64_t *), const struct parse_case *cases,
		  size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t v = UNTOUCHED, want = cases[i].r ? UNTOUCHED : cases[i].value;
		int r = parse(cases[i].text, &v);

		if (r != cases[i].r || v != want)
			fail_msg("\"%s\": returned %d, value %llu; expected %d, %llu",
				 cases[i].text, r, (unsigned long long)v, cases[i].r,
				 (unsigned long long)want);
	}
}

static void sizes(void **state)
{
	static const struct parse_case cases[] = {
		{ "0", 0, 0 },
		{ "4096", 0, 4096 },
		{ "1B", 0, 1 },
		{ "512K", 0, 512 * KIB },
		{ "512k", 0, 512 * KIB },
		{ "64M", 0, 64 * MIB },
		{ "64MB", 0, 64 * MIB },
		{ "64MiB", 0, 64 * MIB },
		{ "64mib", 0, 64 * MIB },
		{ "8G", 0, 8 * GIB },
		{ "1T", 0, 1024 * GIB },
		{ "1P", 0, MIB * GIB },
		{ "1.5G", 0, 1536 * MIB },
		{ "0.5K", 0, 512 },
		{ ".5K", 0, 512 },
		{ "5.K", 0, 5 * KIB },
		{ "1.0", 0, 1 },
		{ "16383P", 0, 16383ull << 50 },
		{ "18446744073709551614", 0, UINT64_MAX - 1 },
		/* the largest number stands for "no limit" */
		{ "18446744073709551615", -ERANGE, 0 },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "16384P", -ERANGE, 0 },
		{ "99999999999999999999999999999999999999999999", -ERANGE, 0 },
		{ "18446744073709551615P", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ ".", -EINVAL, 0 },
		{ "M", -EINVAL, 0 },
		{ ".M", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "1 M", -EINVAL, 0 },
		{ "1.5", -EINVAL, 0 },
		{ "1.5B", -EINVAL, 0 },
		{ "1.5.5G", -EINVAL, 0 },
		{ "1MM", -EINVAL, 0 },
		{ "1Mi", -EINVAL, 0 },
		{ "1E", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "1e3", -EINVAL, 0 },
		{ "80%", -EINVAL, 0 },
		{ "max", -EINVAL, 0 },
	};

	check(units_parse_size, cases, ARRAY_SIZE(cases));
}

static void percentages(void **state)
{
	static const struct parse_case cases[] = {
		{ "0%", 0, 0 },
		{ "80%", 0, 800000 },
		{ "12.5%", 0, 125000 },
		{ "0.0001%", 0, 1 },
		{ "100%", 0, PPM },
		{ "100.0%", 0, PPM },
		{ "100.0001%", -ERANGE, 0 },
		{ "101%", -ERANGE, 0 },
		{ "99999999999999999999999%", -ERANGE, 0 },
		{ "80", -EINVAL, 0 },
		{ "%", -EINVAL, 0 },
		{ "-1%", -EINVAL, 0 },
		{ "80%%", -EINVAL, 0 },
		{ "80 %", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	check(units_parse_percent, cases, ARRAY_SIZE(cases));
}

static void times(void **state)
{
	static const struct parse_case cases[] = {
		{ "0", 0, 0 },
		{ "1ns", 0, 1 },
		{ "50us", 0, 50000 },
		{ "100ms", 0, 100000000 },
		{ "1.5ms", 0, 1500000 },
		{ "5s", 0, 5000000000 },
		{ "5sec", 0, 5000000000 },
		{ "2m", 0, 120000000000 },
		{ "2min", 0, 120000000000 },
		{ "1h", 0, 3600000000000 },
		{ "0s", 0, 0 },
		{ "5124095h", 0, 5124095ull * 3600000000000ull },
		{ "5124096h", -ERANGE, 0 },
		{ "99999999999999999999s", -ERANGE, 0 },
		{ "5", -EINVAL, 0 },
		{ "0.5", -EINVAL, 0 },
		{ "5S", -EINVAL, 0 },
		{ "5 s", -EINVAL, 0 },
		{ "5d", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },
		{ "-5s", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	check(units_parse_time, cases, ARRAY_SIZE(cases));
}

static void integers(void **state)
{
	static const struct parse_case cases[] = {
		{ "0", 0, 0 },
		{ "007", 0, 7 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "1.0", -EINVAL, 0 },
		{ "1K", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1\n", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	check(units_parse_u64, cases, ARRAY_SIZE(cases));
}

static void sizes_are_shown_short(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0B" },
		{ 1, "1B" },
		{ 1023, "1023B" },
		{ KIB, "1K" },
		{ 1536, "1.5K" },
		{ 512 * MIB, "512M" },
		{ 1536 * MIB, "1.5G" },
		{ 10 * GIB + 1, "10.0G" },
		{ 100 * GIB + 1, "100G" },
		{ 1023 * MIB + 1023 * KIB, "1023M" },
		{ 1ull << 60, "1E" },
		{ UINT64_MAX - 1, "15.9E" },
		{ BYTES_NO_LIMIT, "none" },
	};
	char buf[16];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(units_format_size(cases[i].bytes, buf, sizeof(buf)),
				    cases[i].text);
}

/* What is shown without rounding is read back as the same. */
static void shown_sizes_can_be_read(void **state)
{
	char buf[16];
	uint64_t v;

	for (unsigned int shift = 0; shift < 60; shift++) {
		for (uint64_t factor = 1; factor < 8; factor += 2) {
			uint64_t bytes = factor << shift;

			if (bytes >> shift != factor || bytes >= 1ull << 60)
				continue;
			units_format_size(bytes, buf, sizeof(buf));
			assert_int_equal(units_parse_size(buf, &v), 0);
			assert_true(v <= bytes && v >= bytes - bytes / 10);
		}
	}
}

static void times_are_shown_short(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{ 0, "0ns" },
		{ 999, "999ns" },
		{ 1000, "1us" },
		{ 1500, "1.5us" },
		{ 1500000, "1.5ms" },
		{ 12000000000, "12s" },
		{ 123456789012, "123s" },
		{ UINT64_MAX, "18446744073s" },
	};
	char buf[16];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(units_format_time(cases[i].ns, buf, sizeof(buf)),
				    cases[i].text);
}

static void arithmetic_saturates(void **state)
{
	assert_int_equal(mul_div_u64(7, 3, 2), 10);
	assert_true(mul_div_u64(UINT64_MAX, UINT64_MAX, UINT64_MAX) == UINT64_MAX);
	assert_true(mul_div_u64(UINT64_MAX, 2, 1) == UINT64_MAX);
	assert_true(mul_div_u64(UINT64_MAX, 1000000, 1000000) == UINT64_MAX);
	assert_true(mul_div_u64(1, 1, 0) == UINT64_MAX);
	assert_int_equal(mul_div_u64(0, 5, 3), 0);
	assert_true(sat_add_u64(UINT64_MAX, 1) == UINT64_MAX);
	assert_true(sat_add_u64(UINT64_MAX - 1, 1) == UINT64_MAX);
	assert_int_equal(sat_add_u64(1, 2), 3);
	assert_int_equal(sat_sub_u64(1, 2), 0);
	assert_int_equal(sat_sub_u64(3, 2), 1);
	assert_int_equal(min_u64(1, 2), 1);
	assert_int_equal(max_u64(1, 2), 2);
	assert_int_equal(clamp_u64(5, 1, 3), 3);
	assert_int_equal(clamp_u64(0, 1, 3), 1);
	assert_int_equal(clamp_u64(2, 1, 3), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(percentages),
		cmocka_unit_test(times),
		cmocka_unit_test(integers),
		cmocka_unit_test(sizes_are_shown_short),
		cmocka_unit_test(shown_sizes_can_be_read),
		cmocka_unit_test(times_are_shown_short),
		cmocka_unit_test(arithmetic_saturates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
