/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random hosts for the law's property tests: plausible ones, and absurd ones whose every number may
 * be anything. Seeds are fixed.
 */
#ifndef BAROSTAT_TESTS_UNIT_LAW_HOST_H
#define BAROSTAT_TESTS_UNIT_LAW_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "user/daemon/law.h"

#define HOST_ENGINES_MAX 12
#define MIB              (1024ull * 1024)
#define MS               1000000ull
#define CAP              (1ull << 56)

struct host {
	struct law_params params;
	uint32_t n;
	struct law_engine engine[HOST_ENGINES_MAX];
	struct law_sample sample[HOST_ENGINES_MAX];
	struct law_estimate estimate[HOST_ENGINES_MAX];
	struct law_decision decision[HOST_ENGINES_MAX];
	struct law_state state;
	struct law_workspace *workspace;
	uint32_t urgent;
	uint64_t now_ns;
	uint64_t rng;
	bool absurd;
};

static uint64_t rnd(struct host *h)
{
	uint64_t x = h->rng += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static uint64_t below(struct host *h, uint64_t end)
{
	return end == 0 ? 0 : rnd(h) % end;
}

static bool one_in(struct host *h, uint64_t n)
{
	return below(h, n) == 0;
}

/* Now and then anything at all, where the host is absurd. */
static uint64_t any(struct host *h, uint64_t sane)
{
	static const uint64_t extremes[] = {
		0,          1,         4095, 1ull << 31, 1ull << 32, 1ull << 56, (1ull << 63) - 1,
		1ull << 63, UINT64_MAX
	};

	if (!h->absurd || !one_in(h, 6))
		return sane;
	if (one_in(h, 3))
		return rnd(h);
	return extremes[below(h, sizeof(extremes) / sizeof(extremes[0]))];
}

static uint64_t pages_of(struct host *h, uint64_t bytes)
{
	return below(h, bytes / LAW_PAGE_BYTES + 1) * LAW_PAGE_BYTES;
}

static void host_configure(struct host *h)
{
	uint64_t ceiling = (1 + below(h, 4096)) * MIB, left;

	h->params.policy =
	    one_in(h, 3) ? (enum law_policy)below(h, LAW_POLICY_COUNT) : LAW_POLICY_MARGINAL;
	h->params.ceiling_bytes = any(h, ceiling);
	h->params.reserve_bytes = any(h, pages_of(h, ceiling / 16));
	h->params.burst_bytes = any(h, one_in(h, 2) ? 0 : pages_of(h, ceiling / 8));
	h->params.gamma_ppm = (uint32_t)any(h, one_in(h, 2) ? 1000000 : below(h, 1000001));
	h->params.groups = (uint32_t)any(h, below(h, 4));
	left = ceiling - ceiling / 16;
	for (uint32_t g = 0; g < 4; g++) {
		struct law_group *group = &h->params.group[g];

		group->min_bytes = any(h, one_in(h, 2) ? 0 : pages_of(h, left / 4));
		group->max_bytes =
		    any(h, one_in(h, 2) ? ceiling : group->min_bytes + pages_of(h, ceiling / 2));
		group->weight = (uint32_t)any(h, 1 + below(h, 300));
	}
	for (uint32_t i = 0; i < h->n; i++) {
		struct law_engine *e = &h->engine[i];

		e->min_bytes = any(h, one_in(h, 2) ? 0 : pages_of(h, left / (2 * h->n)));
		e->max_bytes =
		    any(h, one_in(h, 2) ? ceiling : e->min_bytes + pages_of(h, ceiling / 2));
		e->weight = (uint32_t)any(h, 1 + below(h, 300));
		e->group = (uint32_t)any(h, below(h, 4));
		e->stall_target_ppm = (uint32_t)any(h, one_in(h, 2) ? 0 : below(h, 1000001));
		e->active = !one_in(h, 10);
		e->manual = one_in(h, 10);
		e->manual_bytes = any(h, pages_of(h, ceiling / 8));
		e->hard = one_in(h, 2);
		if (one_in(h, 3))
			h->state.engine[i].target_bytes = any(h, pages_of(h, ceiling / 4));
	}
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* What an engine says; absurd hosts have engines that say anything. */
static void host_demand(struct host *h, uint32_t i)
{
	struct law_sample *s = &h->sample[i];

	if (one_in(h, 2)) {
		s->demand = (struct law_demand){ 0 };
		return;
	}
	s->demand.clients = (uint32_t)any(h, 1);
	s->demand.hint = (uint32_t)any(h, below(h, LAW_HINT_COUNT));
	s->demand.reclaimable_bytes = any(h, pages_of(h, 64 * MIB));
	s->demand.wanted_bytes = any(h, one_in(h, 2) ? 0 : pages_of(h, 1024 * MIB));
	s->demand.grant_epoch = any(h, s->demand.grant_epoch + below(h, 2));
	s->demand.ack_epoch = any(h, less(s->demand.grant_epoch, below(h, 3)));
}

/* Some bins at random, some of what is in them missed, and what is seen the first time. */
static void host_reuse(struct host *h, struct law_sample *s, uint64_t pages)
{
	s->reuse_sample_shift = (uint32_t)any(h, 4);
	s->first_accesses += any(h, one_in(h, 4) ? pages / 8 : 0);
	s->beyond.accesses += any(h, one_in(h, 4) ? pages / 8 : 0);
	s->beyond.missed += any(h, one_in(h, 4) ? pages / 16 : 0);
	s->beyond.looked += any(h, pages * pages);
	for (int i = 0; i < 3; i++) {
		uint64_t bin = below(h, REUSE_BINS), n = below(h, pages + 1);

		s->reused[bin] += any(h, n);
		s->missed[bin] += any(h, below(h, n + 1));
	}
}

/* Plausible activity: counters that grow, usage near the target. */
static void host_sample(struct host *h)
{
	for (uint32_t i = 0; i < h->n; i++) {
		struct law_sample *s = &h->sample[i];
		uint64_t target = h->state.engine[i].target_bytes;
		uint64_t dt = 250 * MS, pages = below(h, 3000);

		s->valid = one_in(h, 4) ? (uint32_t)rnd(h) : one_in(h, 2) ? 0x3ff : 0x1ff;
		s->ghost_sample_shift = (uint32_t)any(h, 4);
		s->usage_bytes = any(h, target - (target > 64 * MIB ? pages_of(h, 64 * MIB) : 0));
		s->file_bytes = s->usage_bytes / 2;
		s->anon_bytes = s->usage_bytes / 2;
		if (one_in(h, 3))
			s->unreclaimable_bytes =
			    any(h, pages_of(h, h->params.ceiling_bytes % CAP / (2 * h->n)));
		if (one_in(h, 2)) /* all the rest is cache: then reuse times may speak for it */
			s->file_bytes = less(s->usage_bytes, s->unreclaimable_bytes);
		s->file_mapped_bytes = any(h, one_in(h, 4) ? s->file_bytes / 2 : 0);
		host_reuse(h, s, pages);
		host_demand(h, i);
		s->limit_hits += any(h, below(h, 3));
		s->pgsteal += pages * below(h, 3);
		s->evictions += pages;
		s->refault_file = any(h, s->refault_file + (one_in(h, 2) ? pages / 2 : 0));
		s->ghost_refaults += pages / 32;
		s->distance[below(h, DISTANCE_BINS)] += any(h, pages / 32);
		s->stall_ns[STALL_REFAULT] += any(h, below(h, dt));
		s->stall_ns[below(h, STALL_CAUSES)] += any(h, below(h, dt / 4));
		s->psi_memory_some_ns += any(h, below(h, dt / 10));
		s->psi_io_some_ns += any(h, below(h, dt));
		s->psi_io_full_ns += any(h, below(h, dt / 2));
		s->cpu_ns += any(h, below(h, dt));
		s->pgfault += pages;
	}
}

static void host_estimate(struct host *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		estimate_update(&h->estimate[i], &h->params, &h->engine[i], &h->sample[i],
				h->state.engine[i].target_bytes, h->now_ns);
}

static void host_decide(struct host *h)
{
	policy_decide(&h->state, &h->params, h->engine, h->sample, h->estimate, h->n, h->urgent,
		      h->now_ns, h->workspace, h->decision);
}

static void host_advance(struct host *h)
{
	h->now_ns += any(h, 10 * MS + below(h, 500 * MS));
	h->urgent = one_in(h, 8) ? (uint32_t)any(h, below(h, h->n)) : LAW_NO_ENGINE;
}

static struct host *host_new(uint64_t seed, bool absurd)
{
	struct host *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	h->rng = seed * 77777 + 5;
	h->absurd = absurd;
	h->n = 1 + (uint32_t)below(h, HOST_ENGINES_MAX);
	h->now_ns = 1000 * MS + below(h, 1000000 * MS);
	h->urgent = LAW_NO_ENGINE;
	h->workspace = malloc(law_workspace_bytes(h->n));
	assert_non_null(h->workspace);
	host_configure(h);
	return h;
}

static void host_free(struct host *h)
{
	free(h->workspace);
	free(h);
}

/*
 * How many hosts to try for so many ticks each: `base`, or as many as make PROPERTY_RUNS random
 * snapshots.
 */
static uint64_t hosts_of(uint64_t base, uint64_t ticks)
{
	const char *runs = getenv("PROPERTY_RUNS");
	uint64_t hosts = runs ? strtoull(runs, NULL, 10) / ticks : base;

	return hosts > 0 ? hosts : 1;
}

#endif
