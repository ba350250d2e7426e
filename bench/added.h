/* SPDX-License-Identifier: BSD-2-Clause */
/* What something adds to the cost of an operation: CPU time, in rounds of shuffled cells; differences
 * taken round by round, then medians. */
#ifndef BAROSTAT_BENCH_ADDED_H
#define BAROSTAT_BENCH_ADDED_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "user/common/clock.h"

#define ADDED_ROUNDS_MAX 1000

/* Time this thread was on a CPU: other load on the machine is in caches only, not in waits. */
static inline uint64_t added_cpu_time_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* The order of the cells of a round. */
static inline void added_shuffle(size_t *order, size_t n)
{
	for (size_t i = n - 1; i > 0; i--) {
		size_t j = (size_t)rand() % (i + 1), c = order[i];

		order[i] = order[j];
		order[j] = c;
	}
}

struct added {
	double ns, added_ns, added_low_ns, added_high_ns, ratio;
};

static inline int added_by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Quartile q (1, 2, 3) of n values. */
static inline int64_t added_quartile(const int64_t *values, unsigned int n, unsigned int q)
{
	int64_t sorted[ADDED_ROUNDS_MAX];

	memcpy(sorted, values, n * sizeof(*values));
	qsort(sorted, n, sizeof(*sorted), added_by_value);
	return sorted[n * q / 4 < n ? n * q / 4 : n - 1];
}

/* Both in ns x 1000, one per round. */
static inline struct added added_of(const uint64_t *with, const uint64_t *without,
				    unsigned int rounds)
{
	int64_t own[ADDED_ROUNDS_MAX], added[ADDED_ROUNDS_MAX], none[ADDED_ROUNDS_MAX];
	struct added a;

	for (unsigned int i = 0; i < rounds; i++) {
		own[i] = (int64_t)with[i];
		none[i] = (int64_t)without[i];
		added[i] = own[i] - none[i];
	}
	a.ns = (double)added_quartile(own, rounds, 2) / 1e3;
	a.added_ns = (double)added_quartile(added, rounds, 2) / 1e3;
	a.added_low_ns = (double)added_quartile(added, rounds, 1) / 1e3;
	a.added_high_ns = (double)added_quartile(added, rounds, 3) / 1e3;
	a.ratio = 1 + a.added_ns / ((double)added_quartile(none, rounds, 2) / 1e3);
	return a;
}

#endif
