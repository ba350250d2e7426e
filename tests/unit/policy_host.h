/* SPDX-License-Identifier: BSD-2-Clause */
/* A small host for tests of the policies: engines that keep doing the same thing. */
#ifndef TESTS_POLICY_HOST_H
#define TESTS_POLICY_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "user/daemon/law_internal.h"

#define MIB     (1024ull * 1024)
#define CEILING (1024 * MIB)
#define BUCKET  (CEILING / LAW_BUCKETS)
#define N_MAX   32
#define ALL     ((1u << 9) - 1)

/* A host whose engines keep doing the same thing: thrash at a distance, stream, idle, hold a heap.
 */
struct host {
	struct law_params params;
	uint32_t n;
	struct law_engine engine[N_MAX];
	struct law_sample sample[N_MAX];
	struct law_estimate estimate[N_MAX];
	struct law_decision decision[N_MAX];
	struct law_state state;
	uint64_t thrash_pages[N_MAX]; /* refault distance; 0: none */
	unsigned int near_and_far[N_MAX]; /* that many distances up to thrash_pages, evenly */
	uint64_t refaults_per_s[N_MAX];
	bool streams[N_MAX], idles[N_MAX], fills[N_MAX], heap[N_MAX];
	uint32_t urgent;
	uint64_t now_ns;
	struct law_workspace *workspace;
};

static inline struct host *host_new(uint32_t n)
{
	struct host *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	h->n = n;
	h->params =
	    (struct law_params){ .ceiling_bytes = CEILING, .gamma_ppm = 1000000, .groups = 1 };
	h->params.group[0] = (struct law_group){ .max_bytes = CEILING, .weight = 100 };
	h->workspace = malloc(law_workspace_bytes(n));
	assert_non_null(h->workspace);
	h->now_ns = 1000 * LAW_S;
	h->urgent = LAW_NO_ENGINE;
	for (uint32_t i = 0; i < n; i++) {
		h->engine[i] =
		    (struct law_engine){ .max_bytes = CEILING, .weight = 100, .active = true };
		h->sample[i].valid = ALL;
		h->refaults_per_s[i] = 4000;
	}
	return h;
}

static inline void host_free(struct host *h)
{
	free(h->workspace);
	free(h);
}

static inline unsigned int bin_of(uint64_t pages)
{
	unsigned int e = 63 - (unsigned int)__builtin_clzll(pages);

	return (e - 1) * DISTANCE_SUB_BINS + (unsigned int)((pages >> (e - 2)) & 3);
}

static inline void act(struct host *h, uint32_t i, uint64_t dt_ns)
{
	struct law_sample *s = &h->sample[i];
	uint64_t n = h->refaults_per_s[i] * (dt_ns / LAW_MS) / 1000;

	if (!h->heap[i] && !h->fills[i])
		s->usage_bytes = s->file_bytes = h->state.engine[i].target_bytes;
	if (h->heap[i])
		s->anon_bytes = s->unreclaimable_bytes = s->usage_bytes;
	if (!h->idles[i])
		s->cpu_ns += dt_ns / 2;
	if (h->thrash_pages[i]) {
		s->refault_file += n;
		s->ghost_refaults += n;
		for (unsigned int k = 0; k <= h->near_and_far[i]; k++)
			s->distance[bin_of(h->thrash_pages[i] * (k + 1) /
					   (h->near_and_far[i] + 1))] +=
			    n / (h->near_and_far[i] + 1);
		s->stall_ns[STALL_REFAULT] += dt_ns / 2;
	}
	if (h->thrash_pages[i] || h->streams[i]) {
		s->evictions += n;
		s->pgsteal += n;
	}
}

static inline void decide_now(struct host *h)
{
	policy_decide(&h->state, &h->params, h->engine, h->sample, h->estimate, h->n, h->urgent,
		      h->now_ns, h->workspace, h->decision);
}

/* The next tick's decision, by what is estimated already. */
static inline void decide(struct host *h)
{
	h->now_ns += 100 * LAW_MS;
	decide_now(h);
}

static inline void tick(struct host *h)
{
	uint64_t dt_ns = 100 * LAW_MS;

	h->now_ns += dt_ns;
	for (uint32_t i = 0; i < h->n; i++) {
		act(h, i, dt_ns);
		estimate_update(&h->estimate[i], &h->params, &h->engine[i], &h->sample[i],
				h->state.engine[i].target_bytes, h->now_ns);
	}
	decide_now(h);
}

static inline void ticks(struct host *h, int count)
{
	for (int i = 0; i < count; i++)
		tick(h);
}

static inline uint64_t target(const struct host *h, uint32_t i)
{
	return h->decision[i].target_bytes;
}

static inline uint64_t total(const struct host *h)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < h->n; i++)
		sum += target(h, i);
	return sum;
}

static inline void near(uint64_t value, uint64_t expected, uint64_t slack)
{
	assert_in_range(value, expected > slack ? expected - slack : 0, expected + slack);
}

/* Ticks until engine i's decision has this reason; fails after ten simulated seconds. */
static inline void until(struct host *h, uint32_t i, enum law_reason reason)
{
	for (int t = 0; t < 100; t++) {
		tick(h);
		if (h->decision[i].reason == reason)
			return;
	}
	fail_msg("engine %u never said %s", i, policy_reason_name(reason));
}

#endif
