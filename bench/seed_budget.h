/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the memory governors of database engines count: a compare-and-swap on a counter, another for
 * its peak, a subtraction to release; once per layer; and for a ceiling over engines, the sum of all
 * counters. Written anew, to be measured beside ours. It knows no reservations: whoever releases
 * says how much.
 */
#ifndef BAROSTAT_BENCH_SEED_BUDGET_H
#define BAROSTAT_BENCH_SEED_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "include/barostat/page.h"

#define SEED_ENGINES 7
#define SEED_LAYERS  4

struct seed_budget {
	uint64_t used, peak, limit, rejections;
} __attribute__((aligned(128)));

static __attribute__((noinline)) bool seed_reserve(struct seed_budget *a, uint64_t bytes)
{
	uint64_t used = __atomic_load_n(&a->used, __ATOMIC_RELAXED), peak;

	do {
		if (used + bytes > a->limit) {
			__atomic_fetch_add(&a->rejections, 1, __ATOMIC_RELAXED);
			return false;
		}
	} while (!__atomic_compare_exchange_n(&a->used, &used, used + bytes, true, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	peak = __atomic_load_n(&a->peak, __ATOMIC_RELAXED);
	while (used + bytes > peak &&
	       !__atomic_compare_exchange_n(&a->peak, &peak, used + bytes, true, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
	return true;
}

static __attribute__((noinline)) void seed_release(struct seed_budget *a, uint64_t bytes)
{
	__atomic_fetch_sub(&a->used, bytes, __ATOMIC_ACQ_REL);
}

static __attribute__((noinline)) uint32_t seed_level(const struct seed_budget *a)
{
	uint64_t used = __atomic_load_n(&a->used, __ATOMIC_RELAXED);
	uint64_t percent = a->limit ? used * 100 / a->limit : 100;

	return BARO_LEVEL_NORMAL + (percent >= 70) + (percent >= 85) + (percent >= 95);
}

/* The engine's own, and then the ceiling over the sum of all. */
static __attribute__((noinline)) bool
seed_governor_reserve(struct seed_budget *engine, unsigned int i, uint64_t bytes, uint64_t ceiling)
{
	uint64_t sum = 0;

	if (!seed_reserve(&engine[i], bytes))
		return false;
	for (unsigned int k = 0; k < SEED_ENGINES; k++)
		sum += __atomic_load_n(&engine[k].used, __ATOMIC_RELAXED);
	if (sum <= ceiling)
		return true;
	seed_release(&engine[i], bytes);
	return false;
}

static __attribute__((noinline)) bool seed_layers_reserve(struct seed_budget *layer, uint64_t bytes)
{
	for (int i = 0; i < SEED_LAYERS; i++) {
		if (seed_reserve(&layer[i], bytes))
			continue;
		while (i--)
			seed_release(&layer[i], bytes);
		return false;
	}
	return true;
}

static __attribute__((noinline)) void seed_layers_release(struct seed_budget *layer, uint64_t bytes)
{
	for (int i = SEED_LAYERS; i--;)
		seed_release(&layer[i], bytes);
}

#endif
