/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asking an engine to give back what it declared it can: a heap that reclaim cannot touch beside a
 * cache that needs more. What an honest engine gives, and what is done to one that does not answer,
 * lies or dies: nothing.
 */
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
#define TICK_NS (100 * LAW_MS)
#define HEAP    0
#define CACHE   1
#define ENGINES 2
#define ALL     ((1u << 9) - 1)

enum answer { IGNORES, GIVES, GIVES_HALF, ONLY_SAYS, GROWS };

struct host {
	struct law_params params;
	struct law_engine engine[ENGINES];
	struct law_sample sample[ENGINES];
	struct law_estimate estimate[ENGINES];
	struct law_decision decision[ENGINES];
	struct law_state state;
	enum answer answer;
	uint64_t now_ns;
	uint64_t epoch;
	uint32_t urgent;
	uint64_t needs_pages; /* refault distance of the cache; 0: it is content */
	uint64_t most_asked_bytes;
	unsigned int requests;
	struct law_workspace *workspace;
};

static struct host *host_new(uint64_t heap_bytes, uint64_t reclaimable_bytes)
{
	struct host *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	h->params =
	    (struct law_params){ .ceiling_bytes = CEILING, .gamma_ppm = 1000000, .groups = 1 };
	h->params.group[0] = (struct law_group){ .max_bytes = CEILING, .weight = 100 };
	h->workspace = malloc(law_workspace_bytes(ENGINES));
	assert_non_null(h->workspace);
	h->now_ns = 1000 * LAW_S;
	h->urgent = LAW_NO_ENGINE;
	h->needs_pages = 200 * MIB / LAW_PAGE_BYTES;
	for (uint32_t i = 0; i < ENGINES; i++) {
		h->engine[i] =
		    (struct law_engine){ .max_bytes = CEILING, .weight = 100, .active = true };
		h->sample[i].valid = ALL;
	}
	h->sample[HEAP].usage_bytes = heap_bytes;
	h->sample[HEAP].demand =
	    (struct law_demand){ .clients = 1, .reclaimable_bytes = reclaimable_bytes };
	return h;
}

static void host_free(struct host *h)
{
	free(h->workspace);
	free(h);
}

static unsigned int bin_of(uint64_t pages)
{
	unsigned int e = 63 - (unsigned int)__builtin_clzll(pages);

	return (e - 1) * DISTANCE_SUB_BINS + (unsigned int)((pages >> (e - 2)) & 3);
}

static void run_cache(struct host *h)
{
	struct law_sample *s = &h->sample[CACHE];
	uint64_t n = 400;

	s->usage_bytes = s->file_bytes = h->state.engine[CACHE].target_bytes;
	s->cpu_ns += TICK_NS / 2;
	if (!h->needs_pages)
		return;
	s->evictions += n;
	s->pgsteal += n;
	s->refault_file += n;
	s->ghost_refaults += n;
	s->distance[bin_of(h->needs_pages)] += n;
	s->stall_ns[STALL_REFAULT] += TICK_NS / 2;
}

/* Acts on what it was told in the tick before. */
static void run_heap(struct host *h)
{
	struct law_sample *s = &h->sample[HEAP];
	struct law_demand *demand = &s->demand;
	uint64_t asked = h->decision[HEAP].release_bytes, give = 0;

	if (asked && h->answer == GIVES)
		give = asked;
	if (asked && h->answer == GIVES_HALF)
		give = asked / 2;
	if (asked && h->answer == GROWS)
		s->usage_bytes += MIB;
	s->usage_bytes -= law_min(give, s->usage_bytes);
	demand->reclaimable_bytes -= law_min(give, demand->reclaimable_bytes);
	if (asked && h->answer != IGNORES && h->answer != GROWS)
		demand->ack_epoch = h->epoch;
	s->anon_bytes = s->unreclaimable_bytes = s->usage_bytes;
	s->cpu_ns += TICK_NS / 2;
}

static void tick(struct host *h)
{
	uint64_t before = h->decision[HEAP].release_bytes, sum = 0;

	h->now_ns += TICK_NS;
	run_heap(h);
	run_cache(h);
	for (uint32_t i = 0; i < ENGINES; i++) {
		h->sample[i].demand.grant_epoch = h->epoch;
		estimate_update(&h->estimate[i], &h->params, &h->engine[i], &h->sample[i],
				h->state.engine[i].target_bytes, h->now_ns);
	}
	policy_decide(&h->state, &h->params, h->engine, h->sample, h->estimate, ENGINES, h->urgent,
		      h->now_ns, h->workspace, h->decision);
	if (h->decision[HEAP].release_bytes && !before) {
		h->requests++;
		h->epoch++;
	}
	h->most_asked_bytes = law_max(h->most_asked_bytes, h->decision[HEAP].release_bytes);
	/* Whatever it answers: nothing is taken that it has not given. */
	assert_true(h->decision[HEAP].target_bytes >= h->sample[HEAP].unreclaimable_bytes);
	for (uint32_t i = 0; i < ENGINES; i++)
		sum += h->decision[i].target_bytes;
	assert_true(sum <= CEILING);
	assert_int_equal(h->decision[CACHE].release_bytes, 0);
}

static void ticks(struct host *h, int count)
{
	for (int i = 0; i < count; i++)
		tick(h);
}

/* Until a request is under way, or is over. */
static void until(struct host *h, bool asked)
{
	for (int t = 0; t < 1000; t++) {
		if ((h->decision[HEAP].release_bytes > 0) == asked)
			return;
		tick(h);
	}
	fail_msg("a request never %s", asked ? "came" : "ended");
}

static void until_asked(struct host *h)
{
	until(h, true);
}

static void gives_and_gets(bool hard)
{
	struct host *h = host_new(600 * MIB, 300 * MIB);
	uint64_t cache;

	h->engine[HEAP].hard = h->engine[CACHE].hard = hard;
	h->answer = GIVES;
	until_asked(h);
	assert_int_equal(h->decision[HEAP].reason, LAW_REASON_ASK);
	assert_int_equal(h->decision[HEAP].peer, CACHE);
	assert_true(h->decision[HEAP].release_by_ns > h->now_ns);
	cache = h->decision[CACHE].target_bytes;
	ticks(h, 300);
	/* All it needs, but not all that was declared: what is over stays with its owner. */
	assert_true(h->sample[HEAP].usage_bytes < 500 * MIB);
	assert_true(h->sample[HEAP].usage_bytes >= 300 * MIB);
	assert_true(h->decision[CACHE].target_bytes > cache + 100 * MIB);
	host_free(h);
}

static void an_honest_engine_gives_and_the_cache_gets_it(void **state)
{
	gives_and_gets(false);
	gives_and_gets(true);
}

static void nothing_is_promised_before_it_is_there(void **state)
{
	struct host *h = host_new(600 * MIB, 300 * MIB);
	uint64_t target, cache;

	until_asked(h);
	target = h->decision[HEAP].target_bytes;
	cache = h->decision[CACHE].target_bytes;
	ticks(h, 5);
	assert_true(h->decision[HEAP].release_bytes > 0);
	assert_int_equal(h->decision[HEAP].target_bytes, target);
	assert_true(h->decision[CACHE].target_bytes <= cache + BUCKET);
	host_free(h);
}

static void who_does_not_answer_is_left_alone_for_longer_each_time(void **state)
{
	struct host *h = host_new(600 * MIB, 300 * MIB);
	uint64_t ended_ns = 0, pause_ns[3] = { 0 };

	until_asked(h);
	for (int n = 0; n < 3; n++) {
		uint64_t asked_ns = h->now_ns;

		until(h, false);
		/* The deadline is kept. */
		assert_in_range(h->now_ns - asked_ns, 19 * TICK_NS, 22 * TICK_NS);
		ended_ns = h->now_ns;
		until(h, true);
		pause_ns[n] = h->now_ns - ended_ns;
	}
	assert_in_range(pause_ns[0], 9 * LAW_S, 11 * LAW_S);
	assert_in_range(pause_ns[1], 19 * LAW_S, 21 * LAW_S);
	assert_in_range(pause_ns[2], 39 * LAW_S, 41 * LAW_S);
	host_free(h);
}

static void saying_yes_and_keeping_it_is_no_answer(void **state)
{
	struct host *h = host_new(600 * MIB, 300 * MIB);

	h->answer = ONLY_SAYS;
	until_asked(h);
	ticks(h, 3);
	assert_int_equal(h->decision[HEAP].release_bytes, 0);
	ticks(h, 80);
	assert_int_equal(h->requests, 1);
	host_free(h);
}

static void half_is_an_answer_and_the_rest_is_asked_again(void **state)
{
	struct host *h = host_new(600 * MIB, 300 * MIB);

	h->answer = GIVES_HALF;
	until_asked(h);
	ticks(h, 60);
	assert_true(h->requests >= 2);
	host_free(h);
}

static void nobody_is_asked_for_more_than_was_declared(void **state)
{
	struct host *h = host_new(600 * MIB, 32 * MIB);

	h->answer = GIVES;
	ticks(h, 300);
	assert_true(h->requests > 0);
	assert_true(h->most_asked_bytes <= 32 * MIB);
	assert_true(h->sample[HEAP].usage_bytes >= 568 * MIB);
	host_free(h);
}

static void a_minimum_is_not_asked_for(void **state)
{
	struct host *h = host_new(600 * MIB, 600 * MIB);

	h->engine[HEAP].min_bytes = 550 * MIB;
	h->answer = GIVES;
	ticks(h, 300);
	assert_true(h->decision[HEAP].target_bytes >= 550 * MIB);
	assert_true(h->sample[HEAP].usage_bytes >= 540 * MIB);
	host_free(h);
}

static void nobody_is_asked_without_need(void **state)
{
	struct host *h = host_new(600 * MIB, 300 * MIB);

	h->needs_pages = 0;
	ticks(h, 300);
	assert_int_equal(h->requests, 0);
	host_free(h);
}

static void nobody_is_asked_who_does_not_listen(void **state)
{
	struct host *h = host_new(600 * MIB, 300 * MIB);

	h->sample[HEAP].demand = (struct law_demand){ 0 };
	ticks(h, 300);
	assert_int_equal(h->requests, 0);
	host_free(h);
}

static void an_engine_that_dies_while_asked_is_asked_no_more(void **state)
{
	struct host *h = host_new(600 * MIB, 300 * MIB);

	until_asked(h);
	h->sample[HEAP].demand = (struct law_demand){ 0 };
	tick(h);
	assert_int_equal(h->decision[HEAP].release_bytes, 0);
	host_free(h);
}

static void an_engine_that_grows_when_asked_keeps_what_it_has(void **state)
{
	struct host *h = host_new(600 * MIB, 300 * MIB);

	h->answer = GROWS;
	until_asked(h);
	ticks(h, 40); /* tick() looks at what is taken from it */
	assert_int_equal(h->requests, 1);
	host_free(h);
}

/* ---- wanted and hints ------------------------------------------------------------------------ */

static void an_engine_gets_no_more_than_it_wants(void **state)
{
	struct host *h = host_new(200 * MIB, 0);

	h->sample[CACHE].demand = (struct law_demand){ .clients = 1, .wanted_bytes = 300 * MIB };
	ticks(h, 100);
	assert_int_equal(h->decision[CACHE].target_bytes, 300 * MIB);
	h->sample[CACHE].demand.wanted_bytes = 250 * MIB;
	tick(h);
	assert_int_equal(h->decision[CACHE].target_bytes, 250 * MIB);
	assert_true(h->decision[CACHE].clamps & LAW_CLAMP_WANTED);
	/* and no less than it must have */
	h->sample[HEAP].demand.wanted_bytes = MIB;
	ticks(h, 10);
	host_free(h);
}

static void what_is_wanted_is_granted_before_it_is_needed(void **state)
{
	struct host *h = host_new(200 * MIB, 0);
	uint64_t before;

	h->needs_pages = 0; /* full, and nothing that would show */
	h->sample[CACHE].demand = (struct law_demand){ .clients = 1, .wanted_bytes = 300 * MIB };
	ticks(h, 50);
	before = h->decision[CACHE].target_bytes;
	assert_int_equal(before, 300 * MIB);
	h->sample[CACHE].demand.wanted_bytes = 600 * MIB;
	ticks(h, 100);
	assert_in_range(h->decision[CACHE].target_bytes, 599 * MIB, 600 * MIB);
	host_free(h);
}

static void a_grant_that_is_not_taken_up_comes_back(void **state)
{
	struct host *h = host_new(200 * MIB, 0);
	uint64_t granted;

	/* The heap wants much, is granted some, and never uses it. */
	h->sample[HEAP].demand.wanted_bytes = 700 * MIB;
	h->needs_pages = 0;
	ticks(h, 50);
	granted = h->decision[HEAP].target_bytes;
	assert_true(granted > 200 * MIB);
	h->needs_pages = 300 * MIB / LAW_PAGE_BYTES;
	ticks(h, 300);
	assert_true(h->decision[HEAP].target_bytes < 300 * MIB);
	assert_true(h->decision[CACHE].target_bytes > 700 * MIB);
	host_free(h);
}

/* A cache beside free memory that meets its limit, says that it wants more, or stalls. */
static void the_content_get_nothing_beyond_their_needs(void **state)
{
	enum { MEETS, WANTS, STALLS, WAYS };

	for (int way = 0; way < WAYS; way++) {
		struct host *h[2] = { host_new(100 * MIB, 0), host_new(100 * MIB, 0) };

		for (int i = 0; i < 2; i++) {
			h[i]->state.engine[CACHE].target_bytes = 100 * MIB;
			h[i]->state.engine[HEAP].target_bytes = 110 * MIB;
			h[i]->needs_pages = 0;
			h[i]->urgent = way == STALLS ? CACHE : LAW_NO_ENGINE;
			h[i]->sample[CACHE].demand = (struct law_demand){
				.clients = 1,
				.hint = i == 0 ? LAW_HINT_MEMORY_CONSTRAINED : LAW_HINT_AUTO,
				.wanted_bytes = way == WANTS ? 700 * MIB : 0,
			};
			for (int t = 0; t < 100; t++) {
				h[i]->sample[CACHE].limit_hits += way == MEETS;
				tick(h[i]);
			}
		}
		assert_int_equal(h[0]->decision[CACHE].target_bytes, 100 * MIB);
		assert_true(h[1]->decision[CACHE].target_bytes > 200 * MIB);
		host_free(h[0]);
		host_free(h[1]);
	}
}

/* What it grows by it must have, or it is killed. */
static void a_content_heap_is_given_what_it_meets_its_limit_for(void **state)
{
	struct host *h = host_new(100 * MIB, 0);
	uint64_t before;

	h->needs_pages = 0;
	h->state.engine[CACHE].target_bytes = 100 * MIB;
	h->state.engine[HEAP].target_bytes = 110 * MIB;
	h->sample[HEAP].demand.hint = LAW_HINT_MEMORY_CONSTRAINED;
	ticks(h, 5);
	before = h->decision[HEAP].target_bytes;
	h->sample[HEAP].usage_bytes = before;
	h->urgent = HEAP;
	tick(h);
	assert_true(h->decision[HEAP].target_bytes > before + BUCKET);
	host_free(h);
}

static void hints_correct_what_looks_like_a_stream(void **state)
{
	struct host *h = host_new(100 * MIB, 0);

	/* Evicts and never comes back. */
	h->needs_pages = 0;
	h->sample[CACHE].demand.clients = 1;
	h->sample[CACHE].demand.hint = LAW_HINT_BULK_INGEST;
	h->sample[CACHE].evictions += 4000;
	ticks(h, 2);
	assert_true(h->decision[CACHE].stream);
	h->sample[CACHE].demand.hint = LAW_HINT_QUERY_HEAVY;
	for (int t = 0; t < 100; t++) {
		h->sample[CACHE].evictions += 4000;
		tick(h);
		assert_false(h->decision[CACHE].stream);
	}
	h->sample[CACHE].demand.hint = LAW_HINT_AUTO;
	h->sample[CACHE].evictions += 4000;
	tick(h);
	assert_true(h->decision[CACHE].stream);
	host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_honest_engine_gives_and_the_cache_gets_it),
		cmocka_unit_test(nothing_is_promised_before_it_is_there),
		cmocka_unit_test(who_does_not_answer_is_left_alone_for_longer_each_time),
		cmocka_unit_test(saying_yes_and_keeping_it_is_no_answer),
		cmocka_unit_test(half_is_an_answer_and_the_rest_is_asked_again),
		cmocka_unit_test(nobody_is_asked_for_more_than_was_declared),
		cmocka_unit_test(a_minimum_is_not_asked_for),
		cmocka_unit_test(nobody_is_asked_without_need),
		cmocka_unit_test(nobody_is_asked_who_does_not_listen),
		cmocka_unit_test(an_engine_that_dies_while_asked_is_asked_no_more),
		cmocka_unit_test(an_engine_that_grows_when_asked_keeps_what_it_has),
		cmocka_unit_test(an_engine_gets_no_more_than_it_wants),
		cmocka_unit_test(what_is_wanted_is_granted_before_it_is_needed),
		cmocka_unit_test(a_grant_that_is_not_taken_up_comes_back),
		cmocka_unit_test(the_content_get_nothing_beyond_their_needs),
		cmocka_unit_test(a_content_heap_is_given_what_it_meets_its_limit_for),
		cmocka_unit_test(hints_correct_what_looks_like_a_stream),
	};

	return cmocka_run_group_tests_name("asking", tests, NULL, NULL);
}
