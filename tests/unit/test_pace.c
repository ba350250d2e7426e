/* SPDX-License-Identifier: BSD-2-Clause */
/* How soon the loop looks again, and that a growing heap is given room before it meets its limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "user/daemon/law_internal.h"

#define MIB     (1024ull * 1024)
#define CEILING (4096 * MIB)

static const struct law_pace_bounds bounds = { .least_ns = 25 * LAW_MS,
					       .regular_ns = 100 * LAW_MS,
					       .most_ns = 400 * LAW_MS };

/* A heap under a hard limit beside a cache, ticked at the law's own pace. */
struct host {
	struct law_params params;
	struct law_engine engine[2];
	struct law_sample sample[2];
	struct law_estimate estimate[2];
	struct law_decision decision[2];
	struct law_state state;
	struct law_pace_state pace;
	struct law_workspace *workspace;
	uint64_t now_ns, pace_ns;
	uint64_t growth_per_s; /* of the heap */
	uint64_t stalled_ns; /* the heap stood at its limit */
};

static struct host *host_new(uint64_t heap_bytes)
{
	struct host *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	h->params = (struct law_params){ .ceiling_bytes = CEILING, .gamma_ppm = LAW_PPM };
	h->workspace = malloc(law_workspace_bytes(2));
	assert_non_null(h->workspace);
	h->now_ns = 1000 * LAW_S;
	h->pace_ns = bounds.regular_ns;
	for (int i = 0; i < 2; i++) {
		h->engine[i] =
		    (struct law_engine){ .max_bytes = CEILING, .weight = 100, .active = true };
		h->sample[i].valid = (1u << 9) - 1;
	}
	h->engine[0].hard = true;
	h->sample[0].usage_bytes = heap_bytes;
	h->sample[1].usage_bytes = h->sample[1].file_bytes = CEILING / 2;
	h->state.engine[0].target_bytes = heap_bytes + heap_bytes / 16;
	h->state.engine[1].target_bytes = CEILING - h->state.engine[0].target_bytes;
	return h;
}

static void host_free(struct host *h)
{
	free(h->workspace);
	free(h);
}

static void heap_grow(struct host *h)
{
	struct law_sample *s = &h->sample[0];
	uint64_t room = h->state.engine[0].target_bytes - s->usage_bytes;
	uint64_t want = h->growth_per_s / 1000 * (h->pace_ns / LAW_MS);

	if (want > room) {
		uint64_t stall_ns = (want - room) / (h->growth_per_s / 1000) * LAW_MS;

		h->stalled_ns += stall_ns;
		s->stall_ns[STALL_DIRECT_RECLAIM] += stall_ns;
		s->psi_memory_some_ns += stall_ns;
		want = room;
	}
	s->usage_bytes += want / LAW_PAGE_BYTES * LAW_PAGE_BYTES;
	s->anon_bytes = s->unreclaimable_bytes = s->usage_bytes;
	s->cpu_ns += h->pace_ns / 2;
}

static void tick(struct host *h)
{
	h->now_ns += h->pace_ns;
	heap_grow(h);
	for (uint32_t i = 0; i < 2; i++)
		estimate_update(&h->estimate[i], &h->params, &h->engine[i], &h->sample[i],
				h->state.engine[i].target_bytes, h->now_ns);
	policy_decide(&h->state, &h->params, h->engine, h->sample, h->estimate, 2, LAW_NO_ENGINE,
		      h->now_ns, h->workspace, h->decision);
	h->pace_ns = law_pace(&h->pace, &bounds, h->engine, h->estimate, h->decision, 2, h->now_ns);
}

static void ticks_for(struct host *h, uint64_t ns)
{
	uint64_t end_ns = h->now_ns + ns;

	while (h->now_ns < end_ns)
		tick(h);
}

static void the_pace_slackens_when_nothing_happens_for_five_seconds(void **state)
{
	struct host *h = host_new(512 * MIB);
	uint64_t start_ns;

	ticks_for(h, 2 * LAW_S); /* the first targets are something that happens */
	start_ns = h->pace.calm_since_ns;
	while (h->now_ns < start_ns + 5 * LAW_S - bounds.regular_ns) {
		assert_int_equal(h->pace_ns, bounds.regular_ns);
		tick(h);
	}
	tick(h);
	tick(h);
	assert_int_equal(h->pace_ns, bounds.most_ns);
	host_free(h);
}

static void a_stall_ends_the_calm_at_once(void **state)
{
	struct host *h = host_new(512 * MIB);

	ticks_for(h, 12 * LAW_S);
	assert_int_equal(h->pace_ns, bounds.most_ns);
	h->sample[1].stall_ns[STALL_REFAULT] += 40 * LAW_MS;
	tick(h);
	assert_int_equal(h->pace_ns, bounds.regular_ns);
	host_free(h);
}

static void a_heap_near_its_limit_is_looked_at_four_times_before_it(void **state)
{
	struct law_engine engine = { .max_bytes = CEILING, .active = true };
	struct law_decision decision = { .target_bytes = 512 * MIB, .before_bytes = 512 * MIB };
	struct law_estimate est = { .updates = 1,
				    .bucket_bytes = MIB,
				    .usage_velocity_bytes_per_s = 100 * MIB,
				    .last = { .usage_bytes = 488 * MIB } };
	struct law_pace_state pace = { 0 };

	/* a cache may well fill up: that is what it is for */
	assert_int_equal(law_pace(&pace, &bounds, &engine, &est, &decision, 1, LAW_S),
			 bounds.regular_ns);
	est.memory.heap = true;
	assert_int_equal(law_pace(&pace, &bounds, &engine, &est, &decision, 1, LAW_S), 60 * LAW_MS);
	est.last.usage_bytes = 511 * MIB;
	assert_int_equal(law_pace(&pace, &bounds, &engine, &est, &decision, 1, LAW_S),
			 bounds.least_ns);
	/* where no more may be given there is no hurry */
	engine.max_bytes = 512 * MIB;
	assert_int_equal(law_pace(&pace, &bounds, &engine, &est, &decision, 1, LAW_S),
			 bounds.regular_ns);
}

static void a_growing_heap_has_room_before_its_first_reclaim(void **state)
{
	struct host *h = host_new(1024 * MIB);

	ticks_for(h, 2 * LAW_S);
	h->growth_per_s = 400 * MIB;
	ticks_for(h, 4 * LAW_S);
	assert_true(h->sample[0].usage_bytes > 2400 * MIB);
	assert_int_equal(h->stalled_ns, 0);
	host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pace_slackens_when_nothing_happens_for_five_seconds),
		cmocka_unit_test(a_stall_ends_the_calm_at_once),
		cmocka_unit_test(a_heap_near_its_limit_is_looked_at_four_times_before_it),
		cmocka_unit_test(a_growing_heap_has_room_before_its_first_reclaim),
	};

	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
