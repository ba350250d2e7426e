/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/law_math.h"

#define LN2_20        726817ull /* ln 2 in 1/2^20 */
#define LOG_STEP_BITS 5

/* log2(1 + i/32) in 1/2^20. */
static const uint32_t log2_table[(1 << LOG_STEP_BITS) + 1] = {
	0,      46551,  91711,  135563, 178179, 219628, 259971, 299266, 337566,  374920,  411375,
	446971, 481749, 515745, 548995, 581529, 613378, 644570, 675132, 705089,  734464,  763280,
	791557, 819315, 846573, 873348, 899658, 925518, 950944, 975949, 1000547, 1024752, 1048576,
};

uint64_t law_log1p(uint64_t s)
{
	uint64_t x = LAW_ONE + law_min(s, 1ull << 40);
	unsigned int exponent = 63 - (unsigned int)__builtin_clzll(x);
	/* mantissa in [1, 2) as 1/2^32, without its leading one */
	uint64_t mantissa = exponent <= 32 ? (x << (32 - exponent)) : (x >> (exponent - 32));
	uint32_t fraction = (uint32_t)mantissa;
	uint32_t i = fraction >> (32 - LOG_STEP_BITS);
	uint64_t rest = fraction & ((1u << (32 - LOG_STEP_BITS)) - 1);
	uint64_t log2 =
	    log2_table[i] + (((log2_table[i + 1] - log2_table[i]) * rest) >> (32 - LOG_STEP_BITS));

	log2 += (uint64_t)(exponent - LAW_ONE_SHIFT) << LAW_ONE_SHIFT;
	return (log2 * LN2_20) >> LAW_ONE_SHIFT;
}

uint32_t law_histogram_bin(uint64_t n, uint32_t sub_bins, uint32_t bins)
{
	uint32_t shift = (uint32_t)__builtin_ctz(sub_bins), e, bin;

	if (n < sub_bins)
		return (uint32_t)n;
	e = 63 - (uint32_t)__builtin_clzll(n) - shift;
	bin = (e + 1) * sub_bins + (uint32_t)((n >> e) & (sub_bins - 1));
	return bin < bins ? bin : bins - 1;
}
