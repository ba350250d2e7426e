// SPDX-License-Identifier: BSD-2-Clause
#include "user/lib/arith.h"
#include "user/lib/metrics_internal.h"

/* The least bucket whose bound is not below the value. */
static uint32_t bucket_of(const struct baro_histogram *h, uint64_t value)
{
	uint32_t bits = value <= 1 ? 0 : 64 - (uint32_t)__builtin_clzll(value - 1);
	uint32_t shift = (uint32_t)lib_min(h->shift, BARO_HISTOGRAM_SHIFT_MAX);

	return bits <= shift ? 0 : (uint32_t)lib_min(bits - shift, BARO_HISTOGRAM_BUCKETS - 1);
}

void baro_histogram_add(struct baro_histogram *h, uint64_t value)
{
	__atomic_fetch_add(&h->bucket[bucket_of(h, value)], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&h->sum, value, __ATOMIC_RELAXED);
}

uint64_t histogram_bound(const struct baro_histogram *h, uint32_t bucket)
{
	uint32_t shift = (uint32_t)lib_min(h->shift, BARO_HISTOGRAM_SHIFT_MAX);

	return bucket < BARO_HISTOGRAM_BUCKETS - 1 ? UINT64_C(1) << (shift + bucket) : UINT64_MAX;
}

uint64_t histogram_look(const struct baro_histogram *h, uint64_t ret_bucket[BARO_HISTOGRAM_BUCKETS],
			uint64_t *ret_sum)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < BARO_HISTOGRAM_BUCKETS; i++) {
		ret_bucket[i] = __atomic_load_n(&h->bucket[i], __ATOMIC_RELAXED);
		count = lib_add(count, ret_bucket[i]);
	}
	*ret_sum = __atomic_load_n(&h->sum, __ATOMIC_RELAXED);
	return count;
}

uint64_t histogram_quantile(const struct baro_histogram *h,
			    const uint64_t bucket[BARO_HISTOGRAM_BUCKETS], uint64_t count,
			    uint32_t ppm)
{
	uint64_t rank, below = 0, low, high;
	uint32_t i = 0;

	if (!count)
		return 0;
	rank = count - lib_part_ppm(count, 1000000 - lib_min(ppm, 1000000)); /* rounded up */
	rank = lib_max(rank, 1);
	while (i < BARO_HISTOGRAM_BUCKETS - 1 && lib_add(below, bucket[i]) < rank)
		below += bucket[i++];
	low = i ? histogram_bound(h, i - 1) : 0;
	/* nobody knows how far the last one reaches: what is said is that it is beyond its begin */
	high = i < BARO_HISTOGRAM_BUCKETS - 1 ? histogram_bound(h, i) : low;
	if (!bucket[i]) /* it changed under us */
		return low;
	return low + (uint64_t)((unsigned __int128)(high - low) * (rank - below) / bucket[i]);
}

uint64_t baro_histogram_quantile(const struct baro_histogram *histogram, uint32_t ppm)
{
	uint64_t bucket[BARO_HISTOGRAM_BUCKETS], sum;
	uint64_t count = histogram_look(histogram, bucket, &sum);

	return histogram_quantile(histogram, bucket, count, ppm);
}
