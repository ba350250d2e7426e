/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the law promises for ANY input, tried on random hosts: bounds, determinism, rest when
 * nothing happens, who may receive and how much.
 * PROPERTY_RUNS=n tries n random snapshots for each.
 */
#include "tests/unit/law_host.h"

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
	       reason == LAW_REASON_HYSTERESIS || reason == LAW_REASON_NOISE ||
	       reason == LAW_REASON_PHASES;
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

static void bounds_hold_on_plausible_hosts(void **state)
{
	try_hosts(1, hosts_of(400, 60), false, 60);
}

static void bounds_hold_on_absurd_input(void **state)
{
	try_hosts(1000001, hosts_of(800, 40), true, 40);
}

static void the_same_input_gives_the_same_output_bit_for_bit(void **state)
{
	for (uint64_t seed = 1; seed <= hosts_of(60, 60); seed++) {
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
	for (uint64_t seed = 1; seed <= hosts_of(60, 460); seed++) {
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

static bool is_heap(const struct host *h, uint32_t i)
{
	return h->sample[i].unreclaimable_bytes > h->sample[i].usage_bytes / 2;
}

static bool received_by_plan(const struct host *h, uint32_t i)
{
	enum law_reason reason = h->decision[i].reason;

	return reason == LAW_REASON_GAIN || reason == LAW_REASON_TARGET;
}

/* Who gains has used what it had, has evidence for it, and gets no more than a step. */
static void receivers_are_full_sure_and_patient(void **state)
{
	for (uint64_t seed = 1; seed <= hosts_of(60, 60); seed++) {
		struct host *h = host_new(seed, false);
		uint64_t dt_ns = 250 * MS, planned_ns = h->now_ns;

		h->params.policy = LAW_POLICY_MARGINAL;
		for (int t = 0; t < 60; t++) {
			uint64_t bucket;

			host_sample(h);
			host_estimate(h);
			host_decide(h);
			dt_ns = min_of(h->now_ns - planned_ns, 1000 * MS);
			planned_ns = h->state.planned_ns;
			bucket = (up(h->params.ceiling_bytes) + 127) / 128 * LAW_PAGE_BYTES;
			for (uint32_t i = 0; i < h->n; i++) {
				const struct law_decision *d = &h->decision[i];
				uint64_t margin = min_of(2 * bucket, d->before_bytes / 4);
				uint64_t most = h->params.ceiling_bytes /
						(h->estimate[i].memory.reuse_known ? 5 : 16);
				uint64_t step = max_of(2 * most, most * (dt_ns / MS) / 250);

				if (!received_by_plan(h, i) || d->clamps || is_heap(h, i) ||
				    h->estimate[i].memory.heap)
					continue;
				if (h->sample[i].valid & LAW_VALID_USAGE)
					assert_true(h->sample[i].usage_bytes + margin +
							LAW_PAGE_BYTES >=
						    d->before_bytes);
				assert_true(h->estimate[i].memory.samples_per_s_8 * 4 > 9 * 256);
				assert_true(d->target_bytes - d->before_bytes <=
					    max_of(step, bucket) + LAW_PAGE_BYTES);
			}
			h->now_ns += 100 * MS + below(h, 300 * MS);
		}
		host_free(h);
	}
}

/* What comes back from farther away than the ceiling is no reason to move anything. */
static void refaults_beyond_the_ceiling_change_nothing(void **state)
{
	for (uint64_t seed = 1; seed <= hosts_of(30, 60); seed++) {
		struct host *a = host_new(seed, false), *b = host_new(seed, false);

		for (int t = 0; t < 30; t++) {
			host_sample(a);
			host_sample(b);
			for (uint32_t i = 0; i < b->n; i++) /* 2^32 pages and more */
				b->sample[i].distance[DISTANCE_BINS - 1 - i % 4] += 1000;
			host_estimate(a);
			host_estimate(b);
			host_decide(a);
			host_decide(b);
			assert_memory_equal(a->decision, b->decision, sizeof(a->decision));
			host_advance(a);
			host_advance(b);
		}
		host_free(a);
		host_free(b);
	}
}

/* Engines that stall and evict, of whose refaults nothing is known: nobody gains. */
static void without_known_refaults_no_cache_gains(void **state)
{
	for (uint64_t seed = 1; seed <= hosts_of(60, 30); seed++) {
		struct host *h = host_new(seed, false);

		for (int t = 0; t < 30; t++) {
			uint64_t unknown[HOST_ENGINES_MAX];

			for (uint32_t i = 0; i < h->n; i++)
				unknown[i] = h->sample[i].ghost_unknown + below(h, 500);
			host_sample(h);
			for (uint32_t i = 0; i < h->n; i++) {
				struct law_sample *s = &h->sample[i];

				s->valid = 0x1ff;
				s->unreclaimable_bytes = s->anon_bytes = 0;
				s->file_bytes = s->usage_bytes;
				s->ghost_refaults = 0;
				memset(s->distance, 0, sizeof(s->distance));
				s->ghost_unknown = unknown[i];
			}
			host_estimate(h);
			host_decide(h);
			for (uint32_t i = 0; i < h->n; i++)
				assert_false(received_by_plan(h, i));
			host_advance(h);
		}
		host_free(h);
	}
}

/* -- the same host told in another way -- */

/* Caches that fill what they have; all that there is has been given to them. Distances are known.
 */
static struct host *caches_new(uint64_t seed)
{
	struct host *h = host_new(seed, false);
	uint64_t available, left;

	memset(&h->params, 0, sizeof(h->params));
	memset(h->engine, 0, sizeof(h->engine));
	memset(&h->state, 0, sizeof(h->state));
	h->urgent = LAW_NO_ENGINE;
	h->n = h->n < 2 ? 2 : h->n;
	free(h->workspace);
	h->workspace = malloc(law_workspace_bytes(h->n));
	assert_non_null(h->workspace);
	h->params.ceiling_bytes = (1 + below(h, 64)) * 64 * MIB;
	h->params.gamma_ppm = one_in(h, 2) ? 1000000 : (uint32_t)below(h, 1000001);
	available = left = h->params.ceiling_bytes;
	for (uint32_t i = 0; i < h->n; i++) {
		uint64_t share =
		    i + 1 == h->n ? left : available / h->n / 2 + pages_of(h, left / 4);

		h->engine[i] = (struct law_engine){ .max_bytes = available,
						    .weight = 16 * (1 + (uint32_t)below(h, 20)),
						    .active = true };
		h->state.engine[i].target_bytes = min_of(share, left);
		left -= h->state.engine[i].target_bytes;
		h->sample[i].valid = 0x1ff;
		h->sample[i].ghost_sample_shift = 4;
	}
	return h;
}

/* A quarter of a second of reading back, at distances of up to a ceiling, each cache in its way. */
static void caches_run(struct host *h)
{
	for (uint32_t i = 0; i < h->n; i++) {
		struct law_sample *s = &h->sample[i];
		uint64_t samples = 20 + below(h, 100);

		s->usage_bytes = s->file_bytes = h->state.engine[i].target_bytes;
		s->refault_file += 16 * samples;
		s->evictions += 16 * samples + 4096;
		s->pgsteal = s->evictions;
		s->ghost_refaults += samples;
		s->distance[32 + (i * 7 + below(h, 8)) % 32] += samples;
		s->stall_ns[STALL_REFAULT] += (5 + i * 17 + below(h, 20)) * MS;
		s->cpu_ns += (30 + below(h, 20)) * MS;
	}
	h->now_ns += 250 * MS;
}

static void caches_decide(struct host *h)
{
	host_estimate(h);
	host_decide(h);
}

/* Who comes first is nobody's advantage. */
static void the_order_of_engines_does_not_matter(void **state)
{
	uint64_t moves = 0;

	for (uint64_t seed = 1; seed <= hosts_of(100, 40); seed++) {
		struct host *a = caches_new(seed), *b = caches_new(seed);

		for (uint32_t i = 0; i < a->n; i++) {
			b->engine[a->n - 1 - i] = a->engine[i];
			b->state.engine[a->n - 1 - i] = a->state.engine[i];
		}
		for (int t = 0; t < 40; t++) {
			caches_run(a);
			b->now_ns = a->now_ns;
			for (uint32_t i = 0; i < a->n; i++)
				b->sample[a->n - 1 - i] = a->sample[i];
			caches_decide(a);
			caches_decide(b);
			for (uint32_t i = 0; i < a->n; i++) {
				const struct law_decision *x = &a->decision[i];
				const struct law_decision *y = &b->decision[a->n - 1 - i];

				assert_int_equal(x->target_bytes, y->target_bytes);
				assert_int_equal(x->reason, y->reason);
				moves += x->target_bytes != x->before_bytes;
			}
		}
		host_free(a);
		host_free(b);
	}
	assert_true(moves > 100);
}

/*
 * Everything twice as large is divided in the same way, to a bucket. Not where rounding has left a
 * page free: that is a page for nobody, or one for each of two, who then stand aside for a tick.
 */
static void twice_the_sizes_are_twice_the_targets(void **state)
{
	uint64_t moves = 0;

	for (uint64_t seed = 1; seed <= hosts_of(100, 40); seed++) {
		struct host *a = caches_new(seed), *b = caches_new(seed);
		uint64_t bucket = (up(a->params.ceiling_bytes) + 127) / 128 * LAW_PAGE_BYTES;
		uint64_t free_bytes;

		b->params.ceiling_bytes *= 2;
		for (uint32_t i = 0; i < a->n; i++) {
			b->engine[i].max_bytes *= 2;
			b->state.engine[i].target_bytes *= 2;
		}
		for (int t = 0; t < 40; t++) {
			caches_run(a);
			b->now_ns = a->now_ns;
			for (uint32_t i = 0; i < a->n; i++) {
				struct law_sample *s = &b->sample[i];

				*s = a->sample[i];
				s->usage_bytes *= 2;
				s->file_bytes *= 2;
				s->evictions *= 2;
				s->pgsteal *= 2;
				/* an octave farther away */
				memset(s->distance, 0, DISTANCE_SUB_BINS * sizeof(*s->distance));
				memcpy(s->distance + DISTANCE_SUB_BINS, a->sample[i].distance,
				       sizeof(s->distance) -
					   DISTANCE_SUB_BINS * sizeof(*s->distance));
			}
			host_estimate(a);
			host_estimate(b);
			/* decided from the same state, or the rounding of one tick is the next's */
			free_bytes = a->params.ceiling_bytes;
			for (uint32_t i = 0; i < a->n; i++) {
				free_bytes -= a->state.engine[i].target_bytes;
				b->state.engine[i] = a->state.engine[i];
				b->state.engine[i].target_bytes *= 2;
				b->state.engine[i].step_bytes *= 2;
			}
			host_decide(a);
			host_decide(b);
			for (uint32_t i = 0; i < a->n && free_bytes == 0; i++) {
				uint64_t x = 2 * a->decision[i].target_bytes;
				uint64_t y = b->decision[i].target_bytes;

				assert_true(max_of(x, y) - min_of(x, y) <= 2 * bucket);
				moves += a->decision[i].target_bytes != a->decision[i].before_bytes;
			}
		}
		host_free(a);
		host_free(b);
	}
	assert_true(moves > 100);
}

/* Weights are of each other: all of them times three is what it was. */
static void three_times_all_weights_is_the_same_plan(void **state)
{
	for (uint64_t seed = 1; seed <= hosts_of(100, 40); seed++) {
		struct host *a = caches_new(seed), *b = caches_new(seed);

		for (uint32_t i = 0; i < a->n; i++)
			b->engine[i].weight *= 3;
		for (int t = 0; t < 40; t++) {
			caches_run(a);
			caches_run(b);
			caches_decide(a);
			caches_decide(b);
			for (uint32_t i = 0; i < a->n; i++)
				assert_int_equal(a->decision[i].target_bytes,
						 b->decision[i].target_bytes);
		}
		host_free(a);
		host_free(b);
	}
}

/* 1 when the last tick gave it memory, -1 when it took some. */
static int way_of(const struct host *h, uint32_t i)
{
	const struct law_decision *d = &h->decision[i];

	return (d->target_bytes > d->before_bytes) - (d->target_bytes < d->before_bytes);
}

/*
 * More weight never makes a receiver stand or a donor of who stood. How much is moved may become
 * less for a tick: the amount that pays best per page may be a nearer one.
 */
static void more_weight_never_turns_an_engine_down(void **state)
{
	struct law_state *before = malloc(sizeof(*before));
	uint64_t more = 0;

	assert_non_null(before);
	for (uint64_t seed = 1; seed <= hosts_of(100, 40); seed++) {
		struct host *h = caches_new(seed);

		for (int t = 0; t < 40; t++) {
			uint32_t i = (uint32_t)below(h, h->n), weight = h->engine[i].weight;
			int way;

			caches_run(h);
			host_estimate(h);
			*before = h->state;
			h->engine[i].weight = weight * (2 + (uint32_t)below(h, 8));
			host_decide(h);
			way = way_of(h, i);
			h->engine[i].weight = weight;
			h->state = *before;
			host_decide(h);
			assert_true(way >= way_of(h, i));
			more += way > way_of(h, i);
		}
		host_free(h);
	}
	free(before);
	assert_true(more > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds_hold_on_plausible_hosts),
		cmocka_unit_test(bounds_hold_on_absurd_input),
		cmocka_unit_test(the_same_input_gives_the_same_output_bit_for_bit),
		cmocka_unit_test(nothing_moves_when_nothing_happens),
		cmocka_unit_test(receivers_are_full_sure_and_patient),
		cmocka_unit_test(refaults_beyond_the_ceiling_change_nothing),
		cmocka_unit_test(without_known_refaults_no_cache_gains),
		cmocka_unit_test(the_order_of_engines_does_not_matter),
		cmocka_unit_test(twice_the_sizes_are_twice_the_targets),
		cmocka_unit_test(three_times_all_weights_is_the_same_plan),
		cmocka_unit_test(more_weight_never_turns_an_engine_down),
	};

	/* with PROPERTY_RUNS: only those whose name matches, bounds_* for instance */
	if (getenv("PROPERTY_TESTS"))
		cmocka_set_test_filter(getenv("PROPERTY_TESTS"));
	return cmocka_run_group_tests_name("law properties", tests, NULL, NULL);
}
