/* SPDX-License-Identifier: BSD-2-Clause */
/* What the policies decide on small hosts, each case by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/policy_host.h"

static void names_go_both_ways(void **state)
{
	for (int i = 0; i < LAW_POLICY_COUNT; i++)
		assert_int_equal(policy_from_name(policy_name((enum law_policy)i)), i);
	assert_int_equal(policy_from_name("best"), -1);
	for (int i = 0; i < LAW_REASON_COUNT; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(policy_reason_name((enum law_reason)i),
						policy_reason_name((enum law_reason)j));
	assert_string_equal(policy_reason_name(LAW_REASON_COUNT), "unknown");
}

static void a_cold_host_is_divided_by_weight(void **state)
{
	struct host *h = host_new(2);

	h->engine[1].weight = 300;
	tick(h);
	near(target(h, 0), CEILING / 4, MIB);
	near(target(h, 1), CEILING * 3 / 4, MIB);
	assert_int_equal(h->decision[0].reason, LAW_REASON_START);
	host_free(h);
}

static void the_weight_of_a_group_counts_for_its_engines(void **state)
{
	struct host *h = host_new(2);

	h->params.groups = 2;
	h->params.group[0] = (struct law_group){ .max_bytes = CEILING, .weight = 100 };
	h->params.group[1] = (struct law_group){ .max_bytes = CEILING, .weight = 300 };
	h->engine[1].group = 1;
	tick(h);
	near(target(h, 0), CEILING / 4, MIB);
	near(target(h, 1), CEILING * 3 / 4, MIB);
	host_free(h);
}

static void a_restart_goes_on_with_the_targets_it_finds(void **state)
{
	struct host *h = host_new(2);

	h->state.engine[0].target_bytes = 700 * MIB;
	h->state.engine[1].target_bytes = 300 * MIB;
	tick(h);
	assert_int_equal(target(h, 0), 700 * MIB);
	assert_int_equal(target(h, 1), 300 * MIB);
	host_free(h);
}

static void memory_goes_to_who_stalls_from_who_does_not(void **state)
{
	struct host *h = host_new(2);

	h->thrash_pages[0] = 8 * BUCKET / LAW_PAGE_BYTES;
	until(h, 0, LAW_REASON_GAIN);
	assert_int_equal(h->decision[1].reason, LAW_REASON_DONATE);
	assert_int_equal(h->decision[0].peer, 1);
	assert_int_equal(h->decision[1].peer, 0);
	assert_true(h->decision[0].gain_ppm > h->decision[1].loss_ppm);
	assert_int_equal(h->decision[1].gain_ppm, h->decision[0].gain_ppm);
	assert_int_equal(h->decision[1].loss_ppm, h->decision[0].loss_ppm);
	/* all of it would have come at once, but for the step */
	assert_int_equal(h->decision[0].clamps, LAW_CLAMP_STEP);
	assert_int_equal(h->decision[1].clamps, 0);
	ticks(h, 10);
	assert_true(target(h, 0) > CEILING / 2);
	assert_true(total(h) <= CEILING);
	host_free(h);
}

static void a_step_is_never_more_than_a_sixteenth_per_quarter_second(void **state)
{
	struct host *h = host_new(2);

	h->thrash_pages[0] = 40 * BUCKET / LAW_PAGE_BYTES;
	for (int t = 0; t < 100; t++) {
		uint64_t before = t ? target(h, 0) : 0;

		tick(h);
		if (before)
			assert_true(target(h, 0) <= before + CEILING / 16 * 100 / 250 + MIB);
	}
	assert_true(target(h, 0) > CEILING * 3 / 4);
	host_free(h);
}

static void a_stream_gives_down_to_its_floor(void **state)
{
	struct host *h = host_new(3);

	h->streams[1] = true;
	h->thrash_pages[0] = 24 * BUCKET / LAW_PAGE_BYTES;
	h->thrash_pages[2] = 24 * BUCKET / LAW_PAGE_BYTES;
	ticks(h, 300);
	assert_true(h->decision[1].stream);
	near(target(h, 1), CEILING / 64, 2 * BUCKET);
	host_free(h);
}

static void a_donor_without_a_minimum_keeps_a_small_share(void **state)
{
	struct host *h = host_new(2);

	for (int t = 0; t < 600; t++) {
		/* a need without end beside an engine that has none */
		h->thrash_pages[0] = (8 + t % 40) * BUCKET / LAW_PAGE_BYTES;
		tick(h);
		assert_true(target(h, 1) >= CEILING / 64 / LAW_PAGE_BYTES * LAW_PAGE_BYTES);
	}
	assert_true(target(h, 1) < CEILING / 32);
	host_free(h);
}

static void a_minimum_holds_against_any_need(void **state)
{
	struct host *h = host_new(2);

	h->engine[1].min_bytes = 400 * MIB;
	h->thrash_pages[0] = 8 * BUCKET / LAW_PAGE_BYTES;
	ticks(h, 300);
	/* what is left above it is nearer than what engine 0 would need to gain anything */
	assert_in_range(target(h, 1), 400 * MIB, 400 * MIB + 8 * BUCKET);
	host_free(h);
}

static void a_maximum_holds_and_the_rest_is_not_wasted(void **state)
{
	struct host *h = host_new(2);

	h->engine[0].max_bytes = 200 * MIB;
	h->thrash_pages[0] = h->thrash_pages[1] = 30 * BUCKET / LAW_PAGE_BYTES;
	ticks(h, 100);
	assert_true(target(h, 0) <= 200 * MIB);
	assert_true(total(h) >= CEILING - 2 * BUCKET);
	host_free(h);
}

static void a_growing_heap_takes_file_cache_at_once(void **state)
{
	struct host *h = host_new(2);

	h->heap[1] = true;
	h->sample[1].usage_bytes = 100 * MIB;
	ticks(h, 20);
	h->sample[1].usage_bytes = 700 * MIB;
	tick(h);
	assert_true(target(h, 1) >= 700 * MIB);
	assert_true(h->decision[1].reason == LAW_REASON_FLOOR ||
		    h->decision[1].reason == LAW_REASON_BURST);
	assert_true(total(h) <= CEILING);
	host_free(h);
}

static void floors_that_do_not_fit_let_nothing_grow(void **state)
{
	struct host *h = host_new(2);

	h->heap[0] = h->heap[1] = true;
	h->sample[0].usage_bytes = h->sample[1].usage_bytes = 400 * MIB;
	ticks(h, 20);
	h->sample[0].usage_bytes = h->sample[1].usage_bytes = 700 * MIB;
	tick(h);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(h->decision[i].reason, LAW_REASON_OVERCOMMITTED);
		assert_true(target(h, i) <= h->decision[i].before_bytes);
	}
	host_free(h);
}

static void an_urgent_wake_grants_idle_memory_to_that_engine_alone(void **state)
{
	struct host *h = host_new(3);
	uint64_t before;

	h->fills[1] = h->fills[2] = true;
	h->sample[1].usage_bytes = 10 * MIB;
	h->sample[2].usage_bytes = 10 * MIB;
	ticks(h, 5);
	before = target(h, 0);
	h->urgent = 0;
	tick(h);
	assert_true(target(h, 0) > before);
	assert_int_equal(h->decision[0].reason, LAW_REASON_BURST);
	assert_int_equal(h->decision[1].reason, LAW_REASON_IDLE);
	for (uint32_t i = 0; i < 3; i++) /* what one got, the others gave: nothing to cut */
		assert_int_equal(h->decision[i].clamps, 0);
	assert_int_equal(h->decision[0].peer, LAW_NO_ENGINE); /* nobody's cache was taken */
	assert_true(total(h) <= CEILING);
	host_free(h);
}

static void an_urgent_wake_takes_nothing_that_is_in_use(void **state)
{
	struct host *h = host_new(2);

	h->thrash_pages[0] = 30 * BUCKET / LAW_PAGE_BYTES;
	tick(h); /* targets are set, and usage follows them from the next tick on */
	h->urgent = 0;
	ticks(h, 20);
	assert_int_equal(h->decision[1].target_bytes, h->decision[1].before_bytes);
	assert_int_equal(target(h, 1), CEILING / 2);
	host_free(h);
}

/* A heap beside an engine whose cache takes all there is, and would take more. */
static struct host *heap_beside_cache(void)
{
	struct host *h = host_new(2);

	h->heap[0] = true;
	h->sample[0].usage_bytes = 100 * MIB;
	h->thrash_pages[1] = 8 * BUCKET / LAW_PAGE_BYTES;
	ticks(h, 200);
	assert_true(target(h, 1) > CEILING - 110 * MIB);
	return h;
}

static void a_growing_heap_takes_a_neighbours_cache_before_it_meets_its_limit(void **state)
{
	struct host *h = heap_beside_cache();

	for (uint64_t i = 1; i < 30; i++) {
		uint64_t grown = h->sample[0].usage_bytes + law_min(i, 10) * MIB;

		assert_true(grown <= target(h, 0)); /* it would be killed here */
		h->sample[0].usage_bytes = grown;
		tick(h);
		assert_true(total(h) <= CEILING);
	}
	host_free(h);
}

static void what_a_heap_grew_towards_does_not_go_back_and_forth(void **state)
{
	struct host *h = heap_beside_cache();
	uint64_t before;
	int rises = 0;

	for (int i = 0; i < 10; i++) {
		h->sample[0].usage_bytes += 10 * MIB;
		tick(h);
	}
	for (int i = 0; i < 50; i++) {
		before = target(h, 0);
		tick(h);
		rises += target(h, 0) > before;
	}
	assert_int_equal(rises, 0);
	host_free(h);
}

static void a_heap_at_a_hard_limit_keeps_what_it_lately_used_for_a_while(void **state)
{
	for (int hard = 0; hard < 2; hard++) {
		struct host *h = heap_beside_cache();

		h->engine[0].hard = hard;
		for (int i = 0; i < 20; i++) {
			h->sample[0].usage_bytes += 10 * MIB;
			tick(h);
		}
		h->sample[0].usage_bytes = 100 * MIB;
		ticks(h, 50);
		if (hard) /* it may be back at 300 MiB within a tick */
			assert_true(target(h, 0) > 250 * MIB);
		ticks(h, 2000);
		assert_true(target(h, 0) < 150 * MIB);
		host_free(h);
	}
}

/* What it leaves for moments is not lent out: that would cost a neighbour more than it brings. */
static void what_a_heap_is_back_for_within_moments_does_not_go_back_and_forth(void **state)
{
	struct host *h = heap_beside_cache();
	uint64_t moved = 0;

	for (int i = 0; i < 200; i++) {
		bool there = i % 4 < 2;

		/* what is left of it is mostly the program */
		h->heap[0] = there;
		h->fills[0] = !there;
		h->sample[0].usage_bytes = (there ? 300 : 20) * MIB;
		h->sample[0].anon_bytes = h->sample[0].unreclaimable_bytes = 5 * MIB;
		tick(h);
		if (i >= 20)
			moved += law_less(target(h, 1), h->decision[1].before_bytes);
	}
	assert_true(moved <= 4 * BUCKET);
	/* for seconds, it is */
	h->sample[0].usage_bytes = 20 * MIB;
	ticks(h, 100);
	assert_true(target(h, 1) > CEILING - 100 * MIB);
	host_free(h);
}

/* At a hard limit it is killed at once where it goes a little higher than before. */
static void a_heap_that_comes_and_goes_may_go_higher_at_a_hard_limit(void **state)
{
	struct host *h = heap_beside_cache();
	uint64_t grown;

	h->engine[0].hard = true;
	for (int i = 0; i < 40; i++) {
		h->sample[0].usage_bytes = (i % 4 < 2 ? 300 : 20) * MIB;
		tick(h);
	}
	h->sample[0].usage_bytes = 300 * MIB;
	tick(h);
	assert_true(law_burst_expected(&h->estimate[0].memory) > 0);
	for (uint64_t i = 1; i < 12; i++) {
		grown = h->sample[0].usage_bytes + law_min(2 * i, 10) * MIB;
		assert_true(grown <= target(h, 0));
		h->sample[0].usage_bytes = grown;
		tick(h);
	}
	host_free(h);
}

/* A database whose shared buffers are most of what it has: the page cache beside them is a cache. */
static void a_cache_beside_shared_buffers_is_not_held_at_a_hard_limit(void **state)
{
	struct host *h = host_new(2);

	h->engine[0].hard = h->engine[1].hard = true;
	h->thrash_pages[1] = 8 * BUCKET / LAW_PAGE_BYTES;
	for (int i = 0; i < 300; i++) {
		h->sample[0].usage_bytes = target(h, 0) == 0 ? 500 * MIB : target(h, 0);
		h->fills[0] = true;
		h->sample[0].shmem_bytes = h->sample[0].unreclaimable_bytes = 260 * MIB;
		h->sample[0].file_bytes = h->sample[0].usage_bytes;
		tick(h);
	}
	assert_true(target(h, 0) >= 260 * MIB);
	assert_true(target(h, 0) < 330 * MIB);
	host_free(h);
}

static void an_urgent_wake_gives_a_heap_the_cheapest_cache(void **state)
{
	struct host *h = heap_beside_cache();
	uint64_t before;

	h->sample[0].usage_bytes = target(h, 0);
	before = target(h, 1);
	h->urgent = 0;
	tick(h);
	assert_true(target(h, 0) > h->decision[0].before_bytes);
	assert_true(target(h, 1) < before);
	assert_int_equal(h->decision[1].reason, LAW_REASON_DONATE);
	assert_int_equal(h->decision[0].peer, 1);
	assert_int_equal(h->decision[1].peer, 0);
	assert_int_equal(h->decision[1].gain_ppm, 0); /* it was not weighed */
	assert_true(total(h) <= CEILING);
	host_free(h);
}

static void an_urgent_wake_names_the_stream_it_takes_from(void **state)
{
	struct host *h = host_new(3);

	h->streams[1] = true;
	ticks(h, 60);
	assert_true(h->decision[1].stream);
	h->urgent = 0;
	tick(h);
	assert_true(target(h, 0) > h->decision[0].before_bytes);
	assert_int_equal(h->decision[1].reason, LAW_REASON_STREAM);
	assert_int_equal(h->decision[0].peer, 1);
	assert_int_equal(h->decision[1].peer, 0);
	host_free(h);
}

static void a_foreign_limit_is_kept_and_the_rest_adapts(void **state)
{
	struct host *h = host_new(3);

	h->engine[1].manual = true;
	h->engine[1].manual_bytes = 600 * MIB;
	h->thrash_pages[0] = 8 * BUCKET / LAW_PAGE_BYTES;
	ticks(h, 100);
	assert_int_equal(target(h, 1), 600 * MIB);
	assert_int_equal(h->decision[1].reason, LAW_REASON_MANUAL);
	assert_true(target(h, 0) + target(h, 2) <= 424 * MIB);
	assert_true(target(h, 0) > 300 * MIB);
	host_free(h);
}

static void who_has_not_used_what_it_has_gets_no_more(void **state)
{
	struct host *h = host_new(2);
	uint64_t before;

	h->thrash_pages[0] = 40 * BUCKET / LAW_PAGE_BYTES;
	h->fills[0] = true;
	h->sample[0].usage_bytes = h->sample[0].file_bytes = 300 * MIB;
	until(h, 0, LAW_REASON_FILLING);
	before = target(h, 0);
	assert_true(before > h->sample[0].usage_bytes);
	ticks(h, 50);
	assert_int_equal(target(h, 0), before);
	host_free(h);
}

/* The grant puts it below its target, which is no reason to say that it waited. */
static void a_grant_is_called_a_grant(void **state)
{
	struct host *h = host_new(2);

	h->thrash_pages[0] = 40 * BUCKET / LAW_PAGE_BYTES;
	h->idles[1] = true;
	h->engine[1].min_bytes = 500 * MIB;
	ticks(h, 50);
	h->engine[1].active = false;
	tick(h);
	assert_true(target(h, 0) > h->decision[0].before_bytes + 2 * BUCKET);
	assert_int_equal(h->decision[0].reason, LAW_REASON_BURST);
	host_free(h);
}

static void a_handful_of_samples_moves_nothing(void **state)
{
	struct host *h = host_new(2);

	h->thrash_pages[0] = 8 * BUCKET / LAW_PAGE_BYTES;
	h->refaults_per_s[0] = 0;
	ticks(h, 20);
	h->sample[0].refault_file += 5;
	h->sample[0].ghost_refaults += 5;
	h->sample[0].distance[bin_of(h->thrash_pages[0])] += 5;
	tick(h);
	assert_int_equal(h->decision[0].reason, LAW_REASON_NOISE);
	ticks(h, 50);
	assert_int_equal(target(h, 0), CEILING / 2);
	host_free(h);
}

static void without_distances_growth_finds_its_own_end(void **state)
{
	struct host *h = host_new(2);

	for (uint32_t i = 0; i < 2; i++)
		h->sample[i].valid = ALL & ~(LAW_VALID_DISTANCES | LAW_VALID_LEDGER);
	for (int t = 0; t < 200; t++) {
		h->sample[0].refault_file += 400;
		h->sample[0].pgsteal += 400;
		h->sample[0].psi_io_some_ns += 60 * LAW_MS;
		h->sample[0].psi_io_full_ns += 60 * LAW_MS;
		tick(h);
	}
	assert_true(target(h, 0) > CEILING * 3 / 4);
	host_free(h);
}

static void a_small_gain_does_not_pay_for_a_great_loss(void **state)
{
	struct host *h = host_new(2);

	h->thrash_pages[0] = h->thrash_pages[1] = 4 * BUCKET / LAW_PAGE_BYTES;
	h->near_and_far[0] = h->near_and_far[1] = 7;
	h->engine[0].weight = 10;
	h->engine[1].max_bytes = 960 * MIB; /* what it has: it wants more, and may not have it */
	h->state.engine[0].target_bytes = 64 * MIB;
	h->state.engine[1].target_bytes = 960 * MIB;
	for (int t = 0; t < 400; t++) {
		tick(h);
		assert_int_equal(target(h, 1), 960 * MIB);
	}
	host_free(h);
}

/* Engine 0 is worth a tenth of engine 1, whose need is as great. */
static struct host *light_beside_heavy(void)
{
	struct host *h = host_new(2);

	h->thrash_pages[0] = h->thrash_pages[1] = 4 * BUCKET / LAW_PAGE_BYTES;
	h->near_and_far[0] = h->near_and_far[1] = 7;
	h->engine[0].weight = 10;
	h->engine[1].max_bytes = 960 * MIB;
	h->state.engine[0].target_bytes = 64 * MIB;
	h->state.engine[1].target_bytes = 960 * MIB;
	return h;
}

static void a_stall_target_that_is_missed_outranks_gain(void **state)
{
	struct host *h = light_beside_heavy();

	h->engine[0].stall_target_ppm = 100000; /* it is stalled half of the time */
	until(h, 0, LAW_REASON_TARGET);
	assert_true(target(h, 0) > 64 * MIB);
	assert_int_equal(h->decision[0].peer, 1);
	ticks(h, 100);
	assert_true(target(h, 0) > 300 * MIB);
	host_free(h);
}

static void a_stall_target_that_is_met_is_worth_nothing(void **state)
{
	struct host *h = light_beside_heavy();

	h->engine[0].stall_target_ppm = 600000;
	ticks(h, 200);
	assert_int_equal(target(h, 1), 960 * MIB);
	host_free(h);
}

static void who_misses_its_stall_target_gives_nothing_to_who_has_none(void **state)
{
	uint64_t left[2];

	for (int has = 0; has < 2; has++) {
		struct host *h = light_beside_heavy();

		h->engine[0].weight = 3000;
		h->engine[1].stall_target_ppm = has ? 100000 : 0;
		ticks(h, 200);
		left[has] = target(h, 1);
		host_free(h);
	}
	assert_true(left[0] < 700 * MIB);
	assert_int_equal(left[1], 960 * MIB);
}

static void weight_buys_memory(void **state)
{
	uint64_t got
	    [2]; /* by the second, which is the one that comes too late when both weigh the same */

	for (int heavy = 0; heavy < 2; heavy++) {
		struct host *h = host_new(2);

		h->engine[1].weight = heavy ? 1000 : 100;
		h->state.engine[0].target_bytes = h->state.engine[1].target_bytes = CEILING / 2;
		for (int t = 0; t < 200; t++) {
			/* equal engines whose need for more is endless */
			h->thrash_pages[0] = h->thrash_pages[1] =
			    (8 + t % 40) * BUCKET / LAW_PAGE_BYTES;
			tick(h);
		}
		got[heavy] = target(h, 1);
		host_free(h);
	}
	assert_true(got[1] > got[0] + CEILING / 16);
}

static void groups_keep_to_their_bounds_and_trade_inside(void **state)
{
	struct host *h = host_new(4);

	h->params.groups = 2;
	h->params.group[0] = (struct law_group){ .max_bytes = 400 * MIB, .weight = 100 };
	h->params.group[1] = (struct law_group){ .max_bytes = CEILING, .weight = 100 };
	h->engine[2].group = h->engine[3].group = 1;
	h->thrash_pages[0] = 8 * BUCKET / LAW_PAGE_BYTES;
	ticks(h, 200);
	assert_true(target(h, 0) + target(h, 1) <= 400 * MIB);
	assert_true(target(h, 0) + target(h, 1) >= 390 * MIB);
	assert_true(target(h, 0) > 300 * MIB); /* from its own group's other engine */
	host_free(h);
}

static void a_group_at_its_maximum_does_not_churn(void **state)
{
	struct host *h = host_new(4);

	h->params.groups = 2;
	h->params.group[0] = (struct law_group){ .max_bytes = 256 * MIB, .weight = 100 };
	h->params.group[1] = (struct law_group){ .max_bytes = CEILING, .weight = 100 };
	h->engine[2].group = h->engine[3].group = 1;
	h->thrash_pages[0] = h->thrash_pages[1] = 40 * BUCKET / LAW_PAGE_BYTES;
	ticks(h, 100);
	for (int t = 0; t < 100; t++) {
		tick(h);
		near(target(h, 0), h->decision[0].before_bytes, LAW_PAGE_BYTES);
		near(target(h, 2), h->decision[2].before_bytes, LAW_PAGE_BYTES);
	}
	host_free(h);
}

static void a_group_minimum_is_filled(void **state)
{
	struct host *h = host_new(4);

	h->params.groups = 2;
	h->params.group[0] = (struct law_group){ .max_bytes = CEILING, .weight = 100 };
	h->params.group[1] =
	    (struct law_group){ .min_bytes = 600 * MIB, .max_bytes = CEILING, .weight = 100 };
	h->engine[2].group = h->engine[3].group = 1;
	h->thrash_pages[0] = h->thrash_pages[1] = 40 * BUCKET / LAW_PAGE_BYTES;
	ticks(h, 200);
	assert_true(target(h, 2) + target(h, 3) + 64 * LAW_PAGE_BYTES >= 600 * MIB);
	host_free(h);
}

static void a_used_burst_reserve_comes_back_from_idle_memory(void **state)
{
	struct host *h = host_new(3);
	uint64_t burst = 128 * MIB;

	h->params.burst_bytes = burst;
	h->heap[0] = true;
	h->sample[0].usage_bytes = 100 * MIB;
	h->fills[1] = true;
	h->sample[1].usage_bytes = h->sample[1].file_bytes = 50 * MIB;
	ticks(h, 5);
	assert_true(total(h) <= CEILING - burst);
	h->sample[0].usage_bytes = target(h, 0) + 90 * MIB;
	tick(h);
	assert_true(target(h, 0) >= h->sample[0].usage_bytes);
	assert_true(total(h) > CEILING - burst / 2);
	ticks(h, 100); /* up to half of it is not worth a decision */
	assert_true(total(h) <= CEILING - burst / 2);
	host_free(h);
}

static void a_newcomer_does_not_turn_the_host_over(void **state)
{
	struct host *h = host_new(3);

	h->engine[2].active = false;
	h->thrash_pages[0] = 20 * BUCKET / LAW_PAGE_BYTES;
	ticks(h, 50);
	h->engine[2].active = true;
	tick(h);
	assert_int_equal(h->decision[2].reason, LAW_REASON_START);
	assert_true(target(h, 2) >= CEILING / 64 - MIB);
	assert_true(target(h, 2) <= CEILING / 8);
	assert_true(target(h, 0) + 2 * BUCKET >= h->decision[0].before_bytes);
	host_free(h);
}

static void who_leaves_gives_back_everything(void **state)
{
	struct host *h = host_new(2);

	ticks(h, 10);
	h->engine[1].active = false;
	h->thrash_pages[0] = 60 * BUCKET / LAW_PAGE_BYTES;
	ticks(h, 100);
	assert_int_equal(target(h, 1), 0);
	assert_int_equal(h->decision[1].reason, LAW_REASON_INACTIVE);
	assert_true(target(h, 0) >= CEILING - 2 * BUCKET);
	host_free(h);
}

static void static_shares_follow_weights_of_engine_and_group(void **state)
{
	struct host *h = host_new(4);

	h->params.policy = LAW_POLICY_STATIC;
	h->params.groups = 2;
	h->params.group[0] = (struct law_group){ .max_bytes = CEILING, .weight = 100 };
	h->params.group[1] = (struct law_group){ .max_bytes = CEILING, .weight = 300 };
	h->engine[1].group = h->engine[2].group = h->engine[3].group = 1;
	h->engine[3].weight = 200;
	h->thrash_pages[0] = 40 * BUCKET / LAW_PAGE_BYTES;
	ticks(h, 50);
	near(target(h, 0), 256 * MIB, MIB);
	near(target(h, 1), 192 * MIB, MIB);
	near(target(h, 3), 384 * MIB, MIB);
	host_free(h);
}

static void proportional_shares_follow_usage(void **state)
{
	struct host *h = host_new(2);

	h->params.policy = LAW_POLICY_PROPORTIONAL;
	h->fills[0] = h->fills[1] = true;
	h->sample[0].usage_bytes = 300 * MIB;
	h->sample[1].usage_bytes = 100 * MIB;
	ticks(h, 1000);
	near(target(h, 0), CEILING * 3 / 4, 2 * MIB);
	near(target(h, 1), CEILING / 4, 2 * MIB);
	host_free(h);
}

/* A group's minimum leaves one that holds much idle memory little to give: what is lacking in the
 * reserve still comes bucket by bucket. */
static void the_reserve_is_filled_up_by_and_by(void **state)
{
	static const uint64_t targets[] = { 64 * BUCKET, 40 * BUCKET, 20 * BUCKET };
	struct host *h = host_new(3);

	(void)state;
	h->params.groups = 2;
	h->params.burst_bytes = 32 * BUCKET;
	h->params.group[1] = (struct law_group){ .max_bytes = CEILING,
						 .weight = 100,
						 .min_bytes = 62 * BUCKET + BUCKET / 2 };
	h->engine[0].group = 1;
	for (int i = 0; i < 3; i++) {
		h->state.engine[i].target_bytes = targets[i];
		h->sample[i].usage_bytes = h->sample[i].file_bytes =
		    i == 0 ? 8 * BUCKET : targets[i];
		h->estimate[i].updated_ns = h->now_ns;
	}
	h->estimate[1].streaming = true;
	decide(h);
	assert_int_equal(total(h), 123 * BUCKET);
	assert_true(target(h, 1) >= 39 * BUCKET);
	host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_go_both_ways),
		cmocka_unit_test(a_cold_host_is_divided_by_weight),
		cmocka_unit_test(the_weight_of_a_group_counts_for_its_engines),
		cmocka_unit_test(a_restart_goes_on_with_the_targets_it_finds),
		cmocka_unit_test(memory_goes_to_who_stalls_from_who_does_not),
		cmocka_unit_test(a_step_is_never_more_than_a_sixteenth_per_quarter_second),
		cmocka_unit_test(a_stream_gives_down_to_its_floor),
		cmocka_unit_test(a_donor_without_a_minimum_keeps_a_small_share),
		cmocka_unit_test(a_minimum_holds_against_any_need),
		cmocka_unit_test(a_maximum_holds_and_the_rest_is_not_wasted),
		cmocka_unit_test(a_growing_heap_takes_file_cache_at_once),
		cmocka_unit_test(floors_that_do_not_fit_let_nothing_grow),
		cmocka_unit_test(an_urgent_wake_grants_idle_memory_to_that_engine_alone),
		cmocka_unit_test(an_urgent_wake_takes_nothing_that_is_in_use),
		cmocka_unit_test(a_heap_that_comes_and_goes_may_go_higher_at_a_hard_limit),
		cmocka_unit_test(a_cache_beside_shared_buffers_is_not_held_at_a_hard_limit),
		cmocka_unit_test(an_urgent_wake_gives_a_heap_the_cheapest_cache),
		cmocka_unit_test(an_urgent_wake_names_the_stream_it_takes_from),
		cmocka_unit_test(a_heap_at_a_hard_limit_keeps_what_it_lately_used_for_a_while),
		cmocka_unit_test(a_growing_heap_takes_a_neighbours_cache_before_it_meets_its_limit),
		cmocka_unit_test(what_a_heap_grew_towards_does_not_go_back_and_forth),
		cmocka_unit_test(what_a_heap_is_back_for_within_moments_does_not_go_back_and_forth),
		cmocka_unit_test(a_foreign_limit_is_kept_and_the_rest_adapts),
		cmocka_unit_test(who_has_not_used_what_it_has_gets_no_more),
		cmocka_unit_test(a_grant_is_called_a_grant),
		cmocka_unit_test(a_handful_of_samples_moves_nothing),
		cmocka_unit_test(without_distances_growth_finds_its_own_end),
		cmocka_unit_test(a_small_gain_does_not_pay_for_a_great_loss),
		cmocka_unit_test(a_stall_target_that_is_missed_outranks_gain),
		cmocka_unit_test(a_stall_target_that_is_met_is_worth_nothing),
		cmocka_unit_test(who_misses_its_stall_target_gives_nothing_to_who_has_none),
		cmocka_unit_test(weight_buys_memory),
		cmocka_unit_test(groups_keep_to_their_bounds_and_trade_inside),
		cmocka_unit_test(a_group_at_its_maximum_does_not_churn),
		cmocka_unit_test(a_group_minimum_is_filled),
		cmocka_unit_test(a_used_burst_reserve_comes_back_from_idle_memory),
		cmocka_unit_test(a_newcomer_does_not_turn_the_host_over),
		cmocka_unit_test(who_leaves_gives_back_everything),
		cmocka_unit_test(static_shares_follow_weights_of_engine_and_group),
		cmocka_unit_test(proportional_shares_follow_usage),
		cmocka_unit_test(the_reserve_is_filled_up_by_and_by),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
