/* SPDX-License-Identifier: BSD-2-Clause */
/* Quantiles of waits from their histograms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "user/daemon/waits.h"

static void no_waits_have_no_latency(void **state)
{
	uint64_t bins[LATENCY_BINS] = { 0 };
	struct waits w = { 1, 1, 1 };

	waits_from_bins(bins, &w);
	assert_int_equal(w.count, 0);
	assert_int_equal(w.p50_ns, 0);
	assert_int_equal(w.p99_ns, 0);
}

static void quantiles_lie_within_the_bins_of_their_ranks(void **state)
{
	uint64_t bins[LATENCY_BINS] = { [10] = 90, [20] = 10 };
	struct waits w;

	waits_from_bins(bins, &w);
	assert_int_equal(w.count, 100);
	assert_in_range(w.p50_ns, 1 << 10, 1 << 11);
	assert_in_range(w.p99_ns, 1 << 20, 1 << 21);
	/* half way up the lower bin: the 50th of 90 */
	assert_int_equal(w.p50_ns, 1024 + 1024 * 50 / 90);
	/* one wait alone is all of its quantiles */
	bins[10] = 0;
	bins[20] = 0;
	bins[5] = 1;
	waits_from_bins(bins, &w);
	assert_int_equal(w.p50_ns, 64);
	assert_int_equal(w.p99_ns, 64);
}

static void the_last_bin_and_huge_counts_do_not_overflow(void **state)
{
	uint64_t bins[LATENCY_BINS] = { [LATENCY_BINS - 1] = UINT64_MAX / 2 };
	struct waits w;

	waits_from_bins(bins, &w);
	assert_int_equal(w.count, UINT64_MAX / 2);
	assert_in_range(w.p99_ns, 1ull << 31, 1ull << 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_waits_have_no_latency),
		cmocka_unit_test(quantiles_lie_within_the_bins_of_their_ranks),
		cmocka_unit_test(the_last_bin_and_huge_counts_do_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
