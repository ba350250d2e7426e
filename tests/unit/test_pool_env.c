/* SPDX-License-Identifier: BSD-2-Clause */
/* The environment of the pools: what is taken, and what an operator is told who got it wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "user/common/cleanup.h"
#include "user/lib/pool_internal.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static void set(const char *budget, const char *ratio)
{
	if (budget)
		assert_int_equal(setenv("BAROSTAT_MEMORY_BUDGET", budget, 1), 0);
	else
		unsetenv("BAROSTAT_MEMORY_BUDGET");
	if (ratio)
		assert_int_equal(setenv("BAROSTAT_CACHE_RATIO", ratio, 1), 0);
	else
		unsetenv("BAROSTAT_CACHE_RATIO");
}

static void sizes_are_read(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{ "512M", 512 * MIB },
		{ "8G", 8 * GIB },
		{ "8g", 8 * GIB },
		{ "8GB", 8 * GIB },
		{ "8GiB", 8 * GIB },
		{ "1.5G", GIB + GIB / 2 },
		{ ".5G", GIB / 2 },
		{ "2.T", 2048 * GIB },
		{ "1048576", MIB },
		{ "1048576B", MIB },
		{ "2048K", 2048 * KIB },
		{ "1P", GIB << 20 },
		{ "0000000000000000001G", GIB },
		{ "8191P", UINT64_C(8191) << 50 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t bytes = 0;

		assert_int_equal(pool_parse_bytes(cases[i].text, &bytes), 0);
		assert_int_equal(bytes, cases[i].bytes);
	}
}

static void what_is_no_size_is_refused(void **state)
{
	static const char *const not_sizes[] = { "",    "G",    "eight", "8X",     "8GG",  "8 G",
						 " 8G", "8G ",  "-8G",   "+8G",    "0x8G", "8GiBs",
						 "1e9", "8,5G", ".G",    "1.2.3G", "nan",  "50%" };
	static const char *const out_of_range[] = {
		"0",
		"0G",
		"512",
		"1023K",
		"8192P",
		"99999999999999999999",
		"18446744073709551616P",
		"18446744073709551615P",
		"340282366920938463463374607431768211456K",
	};
	uint64_t bytes = 77;

	for (size_t i = 0; i < ARRAY_SIZE(not_sizes); i++)
		assert_int_equal(pool_parse_bytes(not_sizes[i], &bytes), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(out_of_range); i++)
		assert_int_equal(pool_parse_bytes(out_of_range[i], &bytes), -ERANGE);
	assert_int_equal(bytes, 77);
}

static void ratios_are_read(void **state)
{
	static const struct {
		const char *text;
		uint32_t ppm;
	} good[] = { { "0.4", 400000 },
		     { "40%", 400000 },
		     { "1", 1000000 },
		     { "100%", 1000000 },
		     { "0", 0 },
		     { ".25", 250000 },
		     { "33.3333%", 333333 },
		     { "0.4000009", 400000 } };
	static const struct {
		const char *text;
		int error;
	} bad[] = { { "40", -ERANGE },   { "1.01", -ERANGE }, { "101%", -ERANGE },
		    { "-0.1", -EINVAL }, { "half", -EINVAL }, { "", -EINVAL },
		    { "0.4 ", -EINVAL }, { "%", -EINVAL },    { "40%%", -EINVAL },
		    { "0,4", -EINVAL } };
	uint32_t ppm;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(pool_parse_ratio(good[i].text, &ppm), 0);
		assert_int_equal(ppm, good[i].ppm);
	}
	ppm = 7;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(pool_parse_ratio(bad[i].text, &ppm), bad[i].error);
	assert_int_equal(ppm, 7);
}

static void what_is_set_becomes_options(void **state)
{
	struct baro_pools_options o = { .size = sizeof(o), .budget_bytes = MIB, .cache_ppm = 5 };
	char why[BARO_POOLS_WHY_MAX] = "untouched";
	struct baro_pools *p;

	set(NULL, NULL);
	assert_int_equal(baro_pools_env(&o, why, sizeof(why)), 0);
	set("", "");
	assert_int_equal(baro_pools_env(&o, why, sizeof(why)), 0);
	assert_int_equal(o.budget_bytes, MIB);
	assert_int_equal(o.cache_ppm, 5);
	set("8G", "55%");
	assert_int_equal(baro_pools_env(&o, why, sizeof(why)), 0);
	assert_string_equal(why, "untouched");
	assert_int_equal(baro_pools_open(&o, &p), 0);
	assert_int_equal(baro_pools_budget(p, 0), (uint64_t)((double)(8 * GIB) * 0.55) + 1);
	baro_pools_close(p);
	/* none for the cache is as little as there can be */
	set("1G", "0");
	assert_int_equal(baro_pools_env(&o, why, sizeof(why)), 0);
	assert_int_equal(baro_pools_open(&o, &p), 0);
	assert_in_range(baro_pools_budget(p, 0), GIB / 5, GIB / 5 + 1);
	baro_pools_close(p);
}

static void a_bad_value_is_told_with_its_reason(void **state)
{
	static const struct {
		const char *budget, *ratio;
		int error;
		const char *why;
	} cases[] = {
		{ "8 gigs", NULL, -EINVAL,
		  "BAROSTAT_MEMORY_BUDGET=\"8 gigs\" is no size; say for instance 512M or 8G "
		  "(K M G T P, of 1024)" },
		{ "512", NULL, -ERANGE,
		  "BAROSTAT_MEMORY_BUDGET=\"512\" is out of range, which is 1M to 8191P; is a "
		  "suffix missing, as in 512M?" },
		{ "9999P", "0.4", -ERANGE,
		  "BAROSTAT_MEMORY_BUDGET=\"9999P\" is out of range, which is 1M to 8191P" },
		{ "8G", "half", -EINVAL,
		  "BAROSTAT_CACHE_RATIO=\"half\" is no ratio; say for instance 0.4 or 40%" },
		{ "8G", "40", -ERANGE,
		  "BAROSTAT_CACHE_RATIO=\"40\" is more than all; for 40 percent say 0.4 or 40%" },
		{ "\033[2Jrm -rf", NULL, -EINVAL,
		  "BAROSTAT_MEMORY_BUDGET=\"?[2Jrm -rf\" is no size; say for instance 512M or 8G "
		  "(K M G T P, of 1024)" },
		{ "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", NULL, -EINVAL,
		  "BAROSTAT_MEMORY_BUDGET=\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" is no "
		  "size; say for instance 512M or 8G (K M G T P, of 1024)" },
	};
	struct baro_pools_options o = { .size = sizeof(o), .budget_bytes = MIB, .cache_ppm = 5 };
	char why[BARO_POOLS_WHY_MAX], cut[10];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		set(cases[i].budget, cases[i].ratio);
		assert_int_equal(baro_pools_env(&o, why, sizeof(why)), cases[i].error);
		assert_string_equal(why, cases[i].why);
		/* and neither of the two is taken */
		assert_int_equal(o.budget_bytes, MIB);
		assert_int_equal(o.cache_ppm, 5);
	}
	set("no", NULL);
	assert_int_equal(baro_pools_env(&o, cut, sizeof(cut)), -EINVAL);
	assert_string_equal(cut, "BAROSTAT_");
	assert_int_equal(baro_pools_env(&o, NULL, 0), -EINVAL);
	set(NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_read),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(ratios_are_read),
		cmocka_unit_test(what_is_set_becomes_options),
		cmocka_unit_test(a_bad_value_is_told_with_its_reason),
	};

	return cmocka_run_group_tests_name("pool_env", tests, NULL, NULL);
}
