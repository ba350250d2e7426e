/* SPDX-License-Identifier: BSD-2-Clause */
/* Arithmetic that stops at the ends of its range instead of wrapping. Never installed. */
#ifndef BAROSTAT_LIB_ARITH_H
#define BAROSTAT_LIB_ARITH_H

#include <stdint.h>

static inline uint64_t lib_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t lib_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t lib_add(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

static inline uint64_t lib_less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* a x ppm / 1000000; ppm at most 1000000, so that it fits. */
static inline uint64_t lib_part_ppm(uint64_t a, uint64_t ppm)
{
	return a / 1000000 * ppm + a % 1000000 * ppm / 1000000;
}

#endif
