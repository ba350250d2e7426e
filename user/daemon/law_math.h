/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Integer arithmetic of the control law. Everything saturates or rounds in a stated direction, and
 * nothing here can overflow or divide by zero for any argument within the stated range.
 */
#ifndef BAROSTAT_DAEMON_LAW_MATH_H
#define BAROSTAT_DAEMON_LAW_MATH_H

#include <stdint.h>

#include "user/daemon/law.h"

#define LAW_ONE_SHIFT 20
#define LAW_ONE       (1ull << LAW_ONE_SHIFT) /* 1.0 of fractions and curves */
#define LAW_PPM       1000000ull
#define LAW_MS        1000000ull
#define LAW_S         1000000000ull
/* No machine is larger; with it 4096 sizes add up without overflow. 2^56 bytes. */
#define LAW_BYTES_CAP (1ull << 56)
/* Rates and counts are cut off here, so that products with 16-bit factors fit. */
#define LAW_COUNT_CAP (1ull << 46)

static inline uint64_t law_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t law_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* lo wins when lo > hi never happens: hi is raised to lo first by the callers that care. */
static inline uint64_t law_clamp(uint64_t x, uint64_t lo, uint64_t hi)
{
	return x < lo ? lo : x > hi ? hi : x;
}

/* a - b, 0 at least. */
static inline uint64_t law_less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* Growth of a cumulative counter; one that went back was reset and counts as 0. */
static inline uint64_t law_delta(uint64_t now, uint64_t before)
{
	return law_min(law_less(now, before), LAW_COUNT_CAP);
}

static inline uint64_t law_pages(uint64_t bytes)
{
	return law_min(bytes, LAW_BYTES_CAP) / LAW_PAGE_BYTES;
}

static inline uint64_t law_pages_up(uint64_t bytes)
{
	return (law_min(bytes, LAW_BYTES_CAP) + LAW_PAGE_BYTES - 1) / LAW_PAGE_BYTES;
}

/* num / den in 1/2^32, rounded down, at most 1.0; 1.0 when den is 0. */
static inline uint64_t law_ratio_32(uint64_t num, uint64_t den)
{
	if (num >= den)
		return 1ull << 32;
	while (den >= 1ull << 31) {
		den = (den >> 1) + 1;
		num >>= 1;
	}
	return (num << 32) / den;
}

/* floor(x * ratio_32 / 2^32) for ratio_32 <= 2^32. */
static inline uint64_t law_part(uint64_t x, uint64_t ratio_32)
{
	return (uint64_t)(((unsigned __int128)x * ratio_32) >> 32);
}

/* x / y in 1/2^20, at most 2^12 (so it fits 32 bits); the maximum when y is 0. */
static inline uint64_t law_fraction(uint64_t x, uint64_t y)
{
	while (x >= 1ull << 43) {
		x >>= 1;
		y >>= 1;
	}
	if (y == 0)
		return x == 0 ? 0 : 0xffffffffull;
	return law_min((x << LAW_ONE_SHIFT) / y, 0xffffffffull);
}

/* Weight of an interval dt in an EWMA of time constant tau, in 1/2^16: dt / (dt + tau). */
static inline uint64_t law_alpha(uint64_t dt_ns, uint64_t tau_ns)
{
	dt_ns = law_min(dt_ns, 1000 * LAW_S);
	if (dt_ns + tau_ns == 0)
		return 0;
	return (dt_ns << 16) / (dt_ns + tau_ns);
}

/* old + (new - old) * alpha; reaches new from above, so that what fades out ends at 0. */
static inline uint64_t law_ewma(uint64_t old, uint64_t new, uint64_t alpha_16)
{
	if (new >= old)
		return old + (uint64_t)(((unsigned __int128)(new - old) * alpha_16) >> 16);
	return old - (uint64_t)(((unsigned __int128)(old - new) * alpha_16 + 0xffff) >> 16);
}

/* Integer square root, rounded down. */
static inline uint64_t law_sqrt(uint64_t x)
{
	uint64_t r, next;

	if (x < 2)
		return x;
	r = 1ull << ((65 - __builtin_clzll(x)) / 2);
	for (;;) {
		next = (r + x / r) / 2;
		if (next >= r)
			return r;
		r = next;
	}
}

/* ln(1 + s) for s in 1/2^20, result in 1/2^20. Error below 1/2^14. */
uint64_t law_log1p(uint64_t s);

/*
 * What it costs, per unit of weight, to be stalled s seconds per busy second (1/2^20). gamma 1:
 * s / (1 + s), the lost share of throughput in a closed loop; gamma 0: ln(1 + s), whose sum is
 * least where the product of throughputs is greatest (proportional fairness).
 */
static inline uint64_t law_cost(uint64_t s, uint32_t gamma_ppm)
{
	uint64_t lost = LAW_ONE - (LAW_ONE * LAW_ONE) / (LAW_ONE + s);

	if (gamma_ppm >= LAW_PPM)
		return lost;
	return (lost * gamma_ppm + law_log1p(s) * (LAW_PPM - gamma_ppm)) / LAW_PPM;
}

#endif
