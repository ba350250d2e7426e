/* SPDX-License-Identifier: BSD-2-Clause */
/* The curve drawn from reuse times, against what an LRU of each size does with the same reads. */
#include "tests/unit/reuse_bench.h"

/* The same, by trying. */
static void assert_below(double is, double end)
{
	if (is >= end)
		fail_msg("%.3f stall per work predicted, not below %.3f", is, end);
}

/* Inside as well as outside of what it has, and wherever it stands. */
static void assert_curve(reads next, const uint32_t *sizes, int n)
{
	for (int at = 0; at < n; at++) {
		struct bench b;

		begin(&b, sizes[at]);
		run(&b, next, 20 * LAW_S);
		for (int i = 0; i < n; i++)
			assert_close(predicted(&b.e, sizes[i]), measured(next, sizes[i]));
		end(&b);
	}
}

static void a_uniform_set_is_a_straight_line(void **state)
{
	static const uint32_t sizes[] = { 1024, 2048, 3072, 4224 };

	(void)state;
	assert_curve(uniform_4000, sizes, 4);
}

static void two_sets_are_two_slopes(void **state)
{
	static const uint32_t sizes[] = { 256, 1024, 4096, 8704 };

	(void)state;
	assert_curve(hot_and_cold, sizes, 4);
}

static void a_loop_is_a_cliff_where_it_fits(void **state)
{
	static const uint32_t sizes[] = { 1024, 4096, 6144 };

	(void)state;
	assert_curve(loop_6000, sizes, 3);
}

/* A bin is a twelfth of 6000 pages wide: which side of the cliff it is on is seen by what missed. */
static void a_cliff_is_found_beside_the_size_it_stands_at(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 5900);
	run(&b, loop_6000, 26 * LAW_S / 10); /* before it has been read over and over */
	assert_true(predicted(&b.e, 5888) > 14);
	assert_close(predicted(&b.e, 7000), 0);
	end(&b);
	begin(&b, 6100);
	run(&b, loop_6000, 20 * LAW_S);
	assert_close(predicted(&b.e, 5000), 15);
	assert_close(predicted(&b.e, 6144), 0);
	end(&b);
}

static void gets(struct bench *b, uint32_t pages)
{
	b->pages = pages;
	while (b->cache.usage > pages)
		sim_cache_evict(&b->cache);
}

/* What has been too little is known to be, from any size, until that is long ago. */
static void what_a_loop_did_not_fit_into_is_remembered(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 2000);
	run(&b, loop_6000, 20 * LAW_S);
	assert_below(predicted(&b.e, 5760), 9);
	gets(&b, 5800);
	run(&b, loop_6000, LAW_S); /* not once round */
	gets(&b, 2000);
	run(&b, loop_6000, 10 * LAW_S);
	assert_below(predicted(&b.e, 5760), 9);
	gets(&b, 5800);
	run(&b, loop_6000, 5 * LAW_S);
	gets(&b, 2000);
	run(&b, loop_6000, 250 * LAW_S);
	assert_close(predicted(&b.e, 5760), 15);
	assert_close(predicted(&b.e, 6500), 0);
	run(&b, loop_6000, 60 * LAW_S);
	assert_below(predicted(&b.e, 5760), 9);
	end(&b);
}

/* Only what memory never fell below while all was read has been too little. */
static void what_was_held_for_a_moment_is_not_remembered(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 2000);
	run(&b, loop_6000, 20 * LAW_S);
	gets(&b, 5800);
	run(&b, loop_6000, LAW_S);
	gets(&b, 5650);
	run(&b, loop_6000, 5 * LAW_S);
	assert_below(predicted(&b.e, 5760), 13);
	end(&b);
}

/* A loop that has become shorter fits where it did not. */
static void what_fits_is_not_remembered_as_too_little(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 5800);
	run(&b, loop_6000, 20 * LAW_S);
	run(&b, loop_5700, 20 * LAW_S);
	gets(&b, 2000);
	run(&b, loop_5700, 20 * LAW_S);
	assert_below(predicted(&b.e, 5760), 9);
	end(&b);
}

static void what_no_size_ends_lies_beyond(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 4096);
	run(&b, loop_30000, 40 * LAW_S);
	assert_close(predicted(&b.e, 16384), 15);
	assert_close(predicted(&b.e, 0), 15);
	end(&b);
}

/* A cache that has more than it needs is full all the same; what of it is idle is seen. */
static void more_than_is_needed_is_idle(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 12000);
	for (uint32_t key = 4000; key < 12000; key++)
		access(&b, key);
	run(&b, uniform_4000, 20 * LAW_S);
	assert_int_equal(b.s.usage_bytes / LAW_PAGE_BYTES, 12000);
	assert_in_range(b.e.working_set_bytes / LAW_PAGE_BYTES, 3800, 4300);
	assert_in_range(b.e.idle_bytes / LAW_PAGE_BYTES, 12000 - 4300, 12000 - 3800);
	end(&b);
}

/* It turns over, and all that it reads again is in memory: it is no stream. */
static void who_hits_is_no_stream(void **state)
{
	struct bench b;
	uint32_t next = 8000;

	(void)state;
	begin(&b, 8000);
	for (int t = 0; t < 100; t++) {
		for (int i = 0; i < 3000; i++) {
			access(&b, uniform_1000(&b.rng, &b.cursor));
			if (i % 4 == 0) { /* and pages that it does not read again */
				sim_cache_forget(&b.cache, next);
				access(&b, next);
				next = next + 1 == KEYS ? 8000 : next + 1;
			}
		}
		sample(&b);
	}
	assert_true(b.e.evictions_per_s > 100);
	assert_false(b.e.streaming);
	/* without what it hits it is one */
	for (int t = 0; t < 100; t++) {
		for (int i = 0; i < 1000; i++) {
			sim_cache_forget(&b.cache, next);
			access(&b, next);
			access(&b, next); /* in pieces */
			next = next + 1 == KEYS ? 8000 : next + 1;
		}
		sample(&b);
	}
	assert_true(b.e.streaming);
	end(&b);
}

static void a_smaller_set_is_seen_within_a_second(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 4224);
	run(&b, uniform_4000, 20 * LAW_S);
	assert_true(predicted(&b.e, 1024) > 10);
	run(&b, uniform_1000, 1500 * LAW_MS);
	assert_true(predicted(&b.e, 1152) < .5);
	assert_true(predicted(&b.e, 0) > 13);
	end(&b);
}

/* Ten reads in each interval: what one of them says is little, what a minute says is all there is. */
static void who_reads_slowly_is_seen_too(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 2048);
	b.think_ns = 10 * LAW_MS;
	run(&b, uniform_4000, 240 * LAW_S);
	assert_false(b.e.streaming);
	assert_true(b.e.memory.hull > 0);
	assert_true(fabs(predicted(&b.e, 2048) / predicted(&b.e, 0) - .5) < .15);
	end(&b);
}

/* The work between reads is work: a burst of them each second is no more than as many, evenly. */
static void who_reads_in_bursts_works_in_between(void **state)
{
	double stall[2];

	(void)state;
	for (int even = 0; even < 2; even++) {
		struct bench b;

		begin(&b, 2048);
		for (int tick = 0; tick < 1200; tick++) {
			uint64_t until_ns = b.now_ns + TICK_NS;

			for (int i = 0; i < (even ? 20 : tick % 10 ? 0 : 200); i++)
				access(&b, uniform_4000(&b.rng, &b.cursor));
			b.s.cpu_ns += law_less(until_ns, b.now_ns);
			b.now_ns = law_max(until_ns, b.now_ns);
			sample(&b);
		}
		stall[even] = predicted(&b.e, 0);
		end(&b);
	}
	assert_true(stall[1] > .01);
	assert_true(stall[0] < 1.5 * stall[1]);
	assert_true(stall[0] > stall[1] / 1.5);
}

static void an_idle_engine_forgets_nothing(void **state)
{
	struct bench b;
	double before;

	(void)state;
	begin(&b, 4224);
	run(&b, uniform_4000, 20 * LAW_S);
	before = predicted(&b.e, 2048);
	assert_true(before > 5);
	for (int t = 0; t < 600; t++) {
		b.now_ns += LAW_S;
		sample(&b);
	}
	assert_close(predicted(&b.e, 2048), before);
	/* nor soon when it reads a page now and then */
	for (int t = 0; t < 8; t++) {
		for (uint32_t k = 0; k < 50; k++)
			access(&b, k);
		b.now_ns += LAW_S;
		sample(&b);
	}
	assert_true(predicted(&b.e, 2048) > before / 2);
	end(&b);
}

/* One in eight pages followed: an eighth of the counts, at an eighth of the distance. */
static void sampling_does_not_change_the_curve(void **state)
{
	struct law_estimate e[2];
	struct law_sample s = { .valid = ALL };

	(void)state;
	for (uint32_t k = 0; k < 2; k++) {
		uint64_t now_ns = START, n = k ? 4096 : 32768;

		s = (struct law_sample){ .valid = ALL, .reuse_sample_shift = k ? 3 : 0 };
		s.usage_bytes = s.file_bytes = 1024 * LAW_PAGE_BYTES;
		memset(&e[k], 0, sizeof(e[k]));
		for (int t = 0; t < 200; t++) {
			/* 8 sub-bins to an octave; 4096 pages are the first bin of theirs */
			s.reused[(k ? 9 - 2 : 12 - 2) * REUSE_SUB_BINS] += n;
			s.missed[(k ? 9 - 2 : 12 - 2) * REUSE_SUB_BINS] += n;
			s.refault_file += 1000;
			s.evictions += 1000;
			s.stall_ns[STALL_REFAULT] += TICK_NS / 2;
			s.cpu_ns += TICK_NS / 2;
			now_ns += TICK_NS;
			estimate_update(&e[k], &params, &engine, &s, s.usage_bytes, now_ns);
		}
		assert_true(e[k].curve[4096 / BUCKET] > LAW_ONE / 100);
		assert_int_equal(e[k].curve[1024 / BUCKET], 0);
	}
	for (int b = 0; b < LAW_BUCKETS; b++)
		assert_in_range(e[1].curve[b] + LAW_ONE / 1000, e[0].curve[b],
				e[0].curve[b] + LAW_ONE / 500);
}

/* Mapped pages are touched without the kernel, swapped ones are no file's. */
static void reuse_times_are_silent_where_they_see_half(void **state)
{
	struct law_sample s = { .valid = ALL, .usage_bytes = 1000, .file_bytes = 900 };

	(void)state;
	assert_true(law_reuse_speaks(&s));
	s.file_mapped_bytes = 300;
	assert_false(law_reuse_speaks(&s));
	s.shmem_bytes = 200; /* of what is mapped, too: 100 of 700 are left */
	s.unreclaimable_bytes = 200;
	assert_true(law_reuse_speaks(&s));
	s = (struct law_sample){ .valid = ALL, .usage_bytes = 1000, .file_bytes = 500 };
	s.anon_bytes = 500;
	assert_false(law_reuse_speaks(&s));
	s.unreclaimable_bytes = 500; /* there is no swap */
	assert_true(law_reuse_speaks(&s));
	s.valid &= ~(uint32_t)LAW_VALID_REUSE;
	assert_false(law_reuse_speaks(&s));
	s.valid = LAW_VALID_REUSE;
	assert_false(law_reuse_speaks(&s));
	s = (struct law_sample){ .valid = ALL, .usage_bytes = 1000 };
	assert_false(law_reuse_speaks(&s));
}

/* What it read as a cache says nothing of a heap. */
static void a_heap_is_not_seen(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 2048);
	run(&b, uniform_1000, 5 * LAW_S);
	assert_true(b.e.memory.reuse_known);
	b.s.unreclaimable_bytes = b.s.anon_bytes = 2048 * LAW_PAGE_BYTES;
	run(&b, uniform_1000, LAW_S);
	assert_true(b.e.memory.heap);
	assert_false(b.e.memory.reuse_known);
	b.s.unreclaimable_bytes = b.s.anon_bytes = 0;
	run(&b, uniform_1000, 5 * LAW_S);
	assert_true(b.e.memory.reuse_known);
	assert_close(predicted(&b.e, 0), 15);
	end(&b);
}

/* Ghosts go on from where reuse times end, and the other way round: nothing is counted twice. */
static void what_was_counted_before_is_not_counted(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 2048);
	run(&b, uniform_4000, 5 * LAW_S);
	assert_int_not_equal(b.e.memory.phases.age_ns, 0);
	b.s.valid = ALL & ~(uint32_t)LAW_VALID_REUSE;
	run(&b, uniform_4000, 20 * LAW_S);
	assert_false(b.e.memory.reuse_known);
	b.s.valid = ALL;
	for (int t = 0; t < 3; t++) { /* nothing is read */
		b.now_ns += TICK_NS;
		sample(&b);
	}
	assert_true(b.e.memory.reuse_known);
	assert_int_equal(b.e.memory.reuse.first, 0);
	assert_int_equal(b.e.memory.phases.age_ns, 0);
	for (int i = 0; i < REUSE_BINS; i++)
		assert_int_equal(b.e.memory.reuse.times[i], 0);
	end(&b);
}

/* -- what misses though it should fit -- */

/* Of 5000 pages 1500 are kept for nothing: 4000 should fit, and do not. */
static void who_misses_what_should_fit_needs_some_more(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 3500);
	run(&b, uniform_1000, 20 * LAW_S);
	b.stale = 1500;
	run(&b, uniform_4000, LAW_S);
	assert_close(predicted(&b.e, 5120), 0);
	run(&b, uniform_4000, 10 * LAW_S);
	assert_close(predicted(&b.e, 4992), measured(uniform_4000, 3500));
	assert_close(predicted(&b.e, 5760), 0);
	/* more has not helped: nor would still more */
	b.stale = 2300;
	run(&b, uniform_4000, 10 * LAW_S);
	assert_close(predicted(&b.e, 5760), 0);
	/* but it is asked again after a minute */
	run(&b, uniform_1000, 70 * LAW_S);
	run(&b, uniform_4000, 10 * LAW_S);
	assert_close(predicted(&b.e, 5760), measured(uniform_4000, 3500));
	end(&b);
}

static void what_was_enough_for_it_is_kept_in_mind(void **state)
{
	struct bench b;
	double stall = measured(uniform_4000, 3500);

	(void)state;
	begin(&b, 3500);
	b.stale = 1500;
	run(&b, uniform_4000, 20 * LAW_S);
	assert_close(predicted(&b.e, 4992), stall);
	resize(&b, 4100);
	run(&b, uniform_4000, 10 * LAW_S);
	assert_true(predicted(&b.e, 4992) > .7 * stall);
	assert_close(predicted(&b.e, 5632), 0);
	/* in less it is asked for from there */
	resize(&b, 3200);
	run(&b, uniform_4000, 10 * LAW_S);
	assert_close(predicted(&b.e, 4608), measured(uniform_4000, 3200));
	assert_close(predicted(&b.e, 5504), 0);
	/* not for ever */
	resize(&b, 4100);
	run(&b, uniform_4000, 70 * LAW_S);
	assert_close(predicted(&b.e, 4608), 0);
	end(&b);
}

/* As many hit that should miss: it is only that the kernel does not keep what was read last. */
static void what_hits_though_it_should_miss_makes_up_for_it(void **state)
{
	struct bench b;
	uint64_t step = 250;

	(void)state;
	begin(&b, 3000);
	run(&b, uniform_4000, 20 * LAW_S);
	for (int i = 0; i < 100; i++) {
		b.cache.reused[REUSE_SUB_BINS * 6] += step; /* 256 pages */
		b.cache.missed[REUSE_SUB_BINS * 6] += step / 2;
		b.cache.reused[REUSE_SUB_BINS * 12] += step; /* 16384 */
		b.cache.first_accesses += step;
		b.cache.evictions += step / 2;
		b.s.cpu_ns += 3 * step * HIT_NS;
		b.now_ns += TICK_NS;
		sample(&b);
	}
	assert_true(b.e.memory.reuse_known);
	assert_close(predicted(&b.e, 0), 2 * 15 / 3);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_uniform_set_is_a_straight_line),
		cmocka_unit_test(two_sets_are_two_slopes),
		cmocka_unit_test(a_loop_is_a_cliff_where_it_fits),
		cmocka_unit_test(a_cliff_is_found_beside_the_size_it_stands_at),
		cmocka_unit_test(what_a_loop_did_not_fit_into_is_remembered),
		cmocka_unit_test(what_was_held_for_a_moment_is_not_remembered),
		cmocka_unit_test(what_fits_is_not_remembered_as_too_little),
		cmocka_unit_test(what_no_size_ends_lies_beyond),
		cmocka_unit_test(more_than_is_needed_is_idle),
		cmocka_unit_test(who_hits_is_no_stream),
		cmocka_unit_test(a_smaller_set_is_seen_within_a_second),
		cmocka_unit_test(who_reads_slowly_is_seen_too),
		cmocka_unit_test(who_reads_in_bursts_works_in_between),
		cmocka_unit_test(an_idle_engine_forgets_nothing),
		cmocka_unit_test(sampling_does_not_change_the_curve),
		cmocka_unit_test(reuse_times_are_silent_where_they_see_half),
		cmocka_unit_test(a_heap_is_not_seen),
		cmocka_unit_test(what_was_counted_before_is_not_counted),
		cmocka_unit_test(who_misses_what_should_fit_needs_some_more),
		cmocka_unit_test(what_was_enough_for_it_is_kept_in_mind),
		cmocka_unit_test(what_hits_though_it_should_miss_makes_up_for_it),
	};

	return cmocka_run_group_tests_name("reuse", tests, NULL, NULL);
}
