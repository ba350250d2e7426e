/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counts of values, eight bins to the octave: what a value was is known within 7 %. Anybody may
 * add at any time; who reads sees what has been added up to about now.
 */
#ifndef BAROSTAT_LIB_SPREAD_H
#define BAROSTAT_LIB_SPREAD_H

#include <stdint.h>

#define SPREAD_BINS 496 /* 64 bits: eight single values, then 61 octaves of eight */

struct spread {
	uint64_t bin[SPREAD_BINS];
	uint64_t sum;
};

static inline unsigned int spread_bin(uint64_t value)
{
	unsigned int octave;

	if (value < 8)
		return (unsigned int)value;
	octave = 63u - (unsigned int)__builtin_clzll(value);
	return (octave - 2) * 8 + (unsigned int)((value >> (octave - 3)) & 7);
}

/* The middle of a bin. */
static inline uint64_t spread_value(unsigned int bin)
{
	unsigned int shift = bin / 8 - 1;

	if (bin < 8)
		return bin;
	return ((UINT64_C(8) + bin % 8) << shift) + (shift ? UINT64_C(1) << (shift - 1) : 0);
}

static inline void spread_add(struct spread *s, uint64_t value)
{
	__atomic_fetch_add(&s->bin[spread_bin(value)], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&s->sum, value, __ATOMIC_RELAXED);
}

/* Adds the counts of another. */
void spread_merge(struct spread *into, const struct spread *from);

uint64_t spread_count(const struct spread *s);

/* What `ppm` of the values do not exceed; 0 when there are none. */
uint64_t spread_quantile(const struct spread *s, uint32_t ppm);

uint64_t spread_max(const struct spread *s);

/* Forgets half of every count, so that what is new weighs more. */
void spread_halve(struct spread *s);

#endif
