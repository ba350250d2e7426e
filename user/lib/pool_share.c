// SPDX-License-Identifier: BSD-2-Clause
/* How shares follow from weights. Pure. */
#include <stdbool.h>

#include "user/lib/pool_internal.h"

uint32_t pool_share_min(uint32_t n)
{
	return n > 1 ? 400000 / n : POOL_PPM;
}

void pool_shares(const uint32_t *weight, uint32_t n, uint32_t *ret_ppm)
{
	uint32_t least = pool_share_min(n), left = POOL_PPM, rest = POOL_PPM, largest = 0;
	bool least_only[BARO_POOLS_MAX] = { false }, changed = true;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += weight[i];
	/* Who would have less than the least has that; the others share what is left. */
	while (changed && sum) {
		changed = false;
		for (uint32_t i = 0; i < n; i++) {
			if (least_only[i] || (uint64_t)weight[i] * left >= (uint64_t)least * sum)
				continue;
			least_only[i] = changed = true;
			left -= least;
			sum -= weight[i];
			break; /* proportions are others now */
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		if (!sum)
			ret_ppm[i] = POOL_PPM / n;
		else if (least_only[i])
			ret_ppm[i] = least;
		else
			ret_ppm[i] = (uint32_t)((uint64_t)weight[i] * left / sum);
		rest -= ret_ppm[i];
		if (ret_ppm[i] > ret_ppm[largest])
			largest = i;
	}
	ret_ppm[largest] += rest; /* what rounding left over */
}
