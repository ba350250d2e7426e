/* SPDX-License-Identifier: BSD-2-Clause */
/* Sizes, times and percentages as people write them. */
#ifndef BAROSTAT_COMMON_UNITS_H
#define BAROSTAT_COMMON_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define KIB                (1ull << 10)
#define MIB                (1ull << 20)
#define GIB                (1ull << 30)
#define PPM                1000000ull
#define BYTES_NO_LIMIT     UINT64_MAX
#define UNITS_SIZE_ALLOWED "a size like 4096, 512K, 64M, 8G or 1T"
#define UNITS_TIME_ALLOWED "a time like 50us, 100ms, 5s or 2m"

/*
 * "512M" -> 536870912. Suffixes K, M, G, T, P (powers of 1024; lower case and a trailing "B" or
 * "iB" are accepted), none means bytes; a fraction is accepted with a suffix ("1.5G").
 * 0; -EINVAL: not a size; -ERANGE: does not fit 64 bits.
 */
int units_parse_size(const char *text, uint64_t *ret_bytes);

/* "80%" or "12.5%" -> ppm (800000). 0; -EINVAL; -ERANGE: above 100 %. */
int units_parse_percent(const char *text, uint64_t *ret_ppm);

/* "100ms" -> nanoseconds. Units ns, us, ms, s, m, h; a bare number is refused (except 0). */
int units_parse_time(const char *text, uint64_t *ret_ns);

/* A decimal unsigned integer, nothing else around it. 0; -EINVAL; -ERANGE. */
int units_parse_u64(const char *text, uint64_t *ret_value);

/* "512M", "1.5G", "none" for BYTES_NO_LIMIT: at most 4 digits. Returns buf. 16 bytes are enough. */
char *units_format_size(uint64_t bytes, char *buf, size_t size);

/* "1.5ms", "12s". Returns buf. 16 bytes are enough. */
char *units_format_time(uint64_t ns, char *buf, size_t size);

/* a * b / c without overflow in between; saturates at UINT64_MAX; c == 0 gives UINT64_MAX. */
static inline uint64_t mul_div_u64(uint64_t a, uint64_t b, uint64_t c)
{
	unsigned __int128 p = (unsigned __int128)a * b;

	if (!c)
		return UINT64_MAX;
	p /= c;
	return p > UINT64_MAX ? UINT64_MAX : (uint64_t)p;
}

static inline uint64_t sat_add_u64(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

static inline uint64_t sat_sub_u64(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t clamp_u64(uint64_t v, uint64_t lo, uint64_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

#endif
