/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the law promises for ANY input, tried on random hosts: bounds, determinism, rest when
 * nothing happens, indifference to the order and to the scale of things. Seeds are fixed;
 * BAROSTAT_ROUNDS multiplies the number of hosts tried.
 */
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
	h->params.gamma_ppm = (uint32_t)any(h, below(h, 3) * 500000);
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

/* Plausible activity: counters that grow, usage near the target. */
static void host_sample(struct host *h)
{
	for (uint32_t i = 0; i < h->n; i++) {
		struct law_sample *s = &h->sample[i];
		uint64_t target = h->state.engine[i].target_bytes;
		uint64_t dt = 250 * MS, pages = below(h, 3000);

		s->valid = one_in(h, 4) ? (uint32_t)rnd(h) : 0x1ff;
		s->ghost_sample_shift = (uint32_t)any(h, 4);
		s->usage_bytes = any(h, target - (target > 64 * MIB ? pages_of(h, 64 * MIB) : 0));
		s->file_bytes = s->usage_bytes / 2;
		s->anon_bytes = s->usage_bytes / 2;
		if (one_in(h, 3))
			s->unreclaimable_bytes =
			    any(h, pages_of(h, h->params.ceiling_bytes % CAP / (2 * h->n)));
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

/* -- the bounds, computed here from law.h alone -- */

static uint64_t down(uint64_t bytes)
{
	return (bytes < CAP ? bytes : CAP) / LAW_PAGE_BYTES;
}

static uint64_t up(uint64_t bytes)
{
	return ((bytes < CAP ? bytes : CAP) + LAW_PAGE_BYTES - 1) / LAW_PAGE_BYTES;
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

struct bounds {
	uint64_t lo, hi, fixed;
};

static struct bounds bounds_of(const struct host *h, uint32_t i)
{
	uint64_t ceiling = down(h->params.ceiling_bytes);
	struct bounds b = { .hi = min_of(down(h->engine[i].max_bytes), ceiling) };

	if (h->sample[i].valid & LAW_VALID_KINDS)
		b.fixed = min_of(up(h->sample[i].unreclaimable_bytes), ceiling);
	b.fixed = min_of(b.fixed, b.hi);
	b.lo = min_of(max_of(up(h->engine[i].min_bytes), b.fixed), b.hi);
	return b;
}

static bool divides(const struct host *h, uint32_t i)
{
	return h->engine[i].active && !h->engine[i].manual;
}

/* Only who listens is asked, for whole pages, and by when. */
static void check_requests(const struct host *h)
{
	for (uint32_t i = 0; i < h->n; i++) {
		const struct law_decision *d = &h->decision[i];

		assert_int_equal(d->release_bytes % LAW_PAGE_BYTES, 0);
		assert_int_equal(d->release_bytes > 0, d->release_by_ns > 0);
		if (!divides(h, i) || !h->sample[i].demand.clients)
			assert_int_equal(d->release_bytes, 0);
	}
}

static void check_groups(const struct host *h, uint64_t available)
{
	uint64_t slack = 64 + (available >> 28);

	for (uint32_t g = 0; g < 4 && g < h->params.groups; g++) {
		uint64_t sum = 0, lo = 0, hi = 0, needed = 0;
		uint64_t min = up(h->params.group[g].min_bytes);
		uint64_t max = down(h->params.group[g].max_bytes);

		for (uint32_t i = 0; i < h->n; i++) {
			struct bounds b = bounds_of(h, i);

			if (!divides(h, i))
				continue;
			needed += b.lo;
			if (h->engine[i].group % LAW_GROUPS_MAX != g)
				continue;
			sum += h->decision[i].target_bytes / LAW_PAGE_BYTES;
			lo += b.lo;
			/* who wants less is no reason to give it more */
			hi += h->sample[i].demand.clients ? b.lo : b.hi;
		}
		assert_true(sum <= max_of(max, lo));
		/* its minimum, where nobody's floors stand in the way of it */
		min = min_of(min_of(min, max), hi);
		if (h->params.groups == 1 && needed - lo + max_of(lo, min) <= available)
			assert_true(sum + slack >= min);
	}
}

static void check_bounds(const struct host *h, const struct law_state *before)
{
	uint64_t available = less(down(h->params.ceiling_bytes), up(h->params.reserve_bytes));
	uint64_t manual = 0, lo = 0, fixed = 0, sum = 0;

	for (uint32_t i = 0; i < h->n; i++) {
		struct bounds b = bounds_of(h, i);

		if (!h->engine[i].active) {
			assert_int_equal(h->decision[i].target_bytes, 0);
			assert_int_equal(h->decision[i].reason, LAW_REASON_INACTIVE);
			continue;
		}
		assert_int_equal(h->decision[i].target_bytes % LAW_PAGE_BYTES, 0);
		assert_int_equal(h->state.engine[i].target_bytes, h->decision[i].target_bytes);
		assert_int_equal(h->decision[i].before_bytes, before->engine[i].target_bytes);
		if (h->engine[i].manual) {
			uint64_t pages =
			    min_of(down(h->engine[i].manual_bytes), down(h->params.ceiling_bytes));

			assert_int_equal(h->decision[i].target_bytes, pages * LAW_PAGE_BYTES);
			manual += pages;
			continue;
		}
		lo += b.lo;
		fixed += b.fixed;
		sum += h->decision[i].target_bytes / LAW_PAGE_BYTES;
	}
	available = less(available, manual);
	if (fixed <= available)
		assert_true(sum <= available);
	for (uint32_t i = 0; i < h->n; i++) {
		uint64_t pages = h->decision[i].target_bytes / LAW_PAGE_BYTES;
		uint64_t was = before->engine[i].target_bytes;
		struct bounds b = bounds_of(h, i);

		if (!divides(h, i))
			continue;
		assert_true(pages <= b.hi);
		if (lo <= available) {
			assert_true(pages >= b.lo);
			assert_int_not_equal(h->decision[i].reason, LAW_REASON_OVERCOMMITTED);
		} else {
			assert_int_equal(h->decision[i].reason, LAW_REASON_OVERCOMMITTED);
			if (was >= LAW_PAGE_BYTES)
				assert_true(pages <= down(was));
		}
	}
	check_requests(h);
	if (lo <= available)
		check_groups(h, available);
}

/* A reason of standing still. */
static bool stands(enum law_reason reason)
{
	return reason == LAW_REASON_NONE || reason == LAW_REASON_FILLING ||
	       reason == LAW_REASON_HYSTERESIS || reason == LAW_REASON_NOISE;
}

/* A receiver's donor gave, and a donor's receiver took; nobody did both. */
static void check_moves(const struct host *h)
{
	for (uint32_t i = 0; i < h->n; i++) {
		const struct law_decision *d = &h->decision[i];

		if (!divides(h, i))
			continue;
		assert_true(d->reason < LAW_REASON_COUNT);
		assert_true(d->peer == LAW_NO_ENGINE || d->peer < h->n);
		if (d->clamps)
			continue;
		/* whatever moved a target is said, not what the planner thought afterwards */
		if (d->target_bytes != d->before_bytes / LAW_PAGE_BYTES * LAW_PAGE_BYTES)
			assert_false(stands(d->reason));
		if (d->reason == LAW_REASON_GAIN || d->reason == LAW_REASON_BURST)
			assert_true(d->target_bytes > d->before_bytes);
		if (d->reason == LAW_REASON_DONATE || d->reason == LAW_REASON_IDLE)
			assert_true(d->target_bytes < d->before_bytes);
	}
}

static void try_hosts(uint64_t first, uint64_t count, bool absurd, int ticks)
{
	struct law_state *before = malloc(sizeof(*before));

	assert_non_null(before);
	for (uint64_t seed = first; seed < first + count; seed++) {
		struct host *h = host_new(seed, absurd);

		for (int t = 0; t < ticks; t++) {
			host_sample(h);
			host_estimate(h);
			*before = h->state;
			host_decide(h);
			check_bounds(h, before);
			check_moves(h);
			host_advance(h);
			if (one_in(h, 10))
				host_configure(h);
		}
		host_free(h);
	}
	free(before);
}

static uint64_t rounds(uint64_t base)
{
	const char *factor = getenv("BAROSTAT_ROUNDS");

	return base * (factor ? strtoull(factor, NULL, 10) : 1);
}

static void bounds_hold_on_plausible_hosts(void **state)
{
	try_hosts(1, rounds(400), false, 60);
}

static void bounds_hold_on_absurd_input(void **state)
{
	try_hosts(1000001, rounds(800), true, 40);
}

static void the_same_input_gives_the_same_output_bit_for_bit(void **state)
{
	for (uint64_t seed = 1; seed <= rounds(60); seed++) {
		struct host *a = host_new(seed, seed % 2), *b = host_new(seed, seed % 2);

		for (int t = 0; t < 30; t++) {
			host_sample(a);
			host_estimate(a);
			host_decide(a);
			host_advance(a);
			/* a workspace is scratch: what was in it before must not matter */
			memset(b->workspace, 0xa5, law_workspace_bytes(b->n));
			host_sample(b);
			host_estimate(b);
			host_decide(b);
			host_advance(b);
			assert_memory_equal(a->decision, b->decision, sizeof(a->decision));
			assert_memory_equal(&a->state, &b->state, sizeof(a->state));
			assert_memory_equal(a->estimate, b->estimate, sizeof(a->estimate));
		}
		host_free(a);
		host_free(b);
	}
}

/* Counters stand still: after the averages have faded no target changes any more. */
static void nothing_moves_when_nothing_happens(void **state)
{
	for (uint64_t seed = 1; seed <= rounds(60); seed++) {
		struct host *h = host_new(seed, false);

		for (int t = 0; t < 20; t++) {
			host_sample(h);
			host_estimate(h);
			host_decide(h);
			h->now_ns += 250 * MS;
		}
		for (int t = 0; t < 440; t++) {
			host_estimate(h);
			host_decide(h);
			h->now_ns += 250 * MS;
			for (uint32_t i = 0; i < h->n && t >= 400; i++)
				if (divides(h, i) && h->params.policy == LAW_POLICY_MARGINAL)
					assert_int_equal(h->decision[i].target_bytes,
							 h->decision[i].before_bytes);
		}
		host_free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds_hold_on_plausible_hosts),
		cmocka_unit_test(bounds_hold_on_absurd_input),
		cmocka_unit_test(the_same_input_gives_the_same_output_bit_for_bit),
		cmocka_unit_test(nothing_moves_when_nothing_happens),
	};

	return cmocka_run_group_tests_name("law properties", tests, NULL, NULL);
}
