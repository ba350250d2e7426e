/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/waits.h"

#include "user/common/units.h"

static uint64_t quantile_ns(const uint64_t *bins, uint64_t count, uint32_t percent)
{
	/* the rank of the one looked for, from 1 */
	uint64_t rank = mul_div_u64(count, percent, 100), below = 0;

	if (rank < 1)
		rank = 1;
	for (uint32_t b = 0; b < LATENCY_BINS; b++) {
		if (below + bins[b] >= rank)
			return (1ull << b) + mul_div_u64(1ull << b, rank - below, bins[b]);
		below += bins[b];
	}
	return 0;
}

void waits_from_bins(const uint64_t *bins, struct waits *ret)
{
	struct waits w = { .count = 0 };

	for (uint32_t b = 0; b < LATENCY_BINS; b++)
		w.count += bins[b];
	if (w.count) {
		w.p50_ns = quantile_ns(bins, w.count, 50);
		w.p99_ns = quantile_ns(bins, w.count, 99);
	}
	*ret = w;
}
