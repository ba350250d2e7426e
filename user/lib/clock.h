/* SPDX-License-Identifier: BSD-2-Clause */
/* CLOCK_MONOTONIC in nanoseconds. Never installed. */
#ifndef BAROSTAT_LIB_CLOCK_H
#define BAROSTAT_LIB_CLOCK_H

#include <stdint.h>
#include <time.h>

#define LIB_NS_PER_S UINT64_C(1000000000)

static inline uint64_t lib_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * LIB_NS_PER_S + (uint64_t)ts.tv_nsec;
}

#endif
