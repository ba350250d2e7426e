/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How far what is accounted is from what is resident: measured, smoothed by time, and judged. Plain
 * data, no clock, no lock.
 */
#ifndef BAROSTAT_LIB_DRIFT_H
#define BAROSTAT_LIB_DRIFT_H

#include <stdbool.h>
#include <stdint.h>

struct drift {
	bool known; /* there is a sample that is not too old */
	uint32_t state; /* enum baro_drift */
	int64_t now_bytes; /* resident less accounted, at the last sample */
	int64_t smooth_bytes;
	uint64_t at_ns; /* of the last sample */
	uint64_t since_ns; /* of the state */
	uint64_t events; /* how often it left BARO_DRIFT_NONE */
};

/* A sample. `scale_bytes` is what is large: the ceiling, or what is in use when there is none. */
void drift_sample(struct drift *d, uint64_t rss_bytes, uint64_t accounted_bytes,
		  uint64_t scale_bytes, uint64_t now_ns);

/* Forgets a drift of which nothing was heard for long. True when it did. */
bool drift_expire(struct drift *d, uint64_t now_ns);

/* What of it is acted upon: beyond what allocators do anyway. */
int64_t drift_effective(const struct drift *d, uint64_t scale_bytes);

#endif
