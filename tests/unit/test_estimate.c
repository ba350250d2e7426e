/* SPDX-License-Identifier: BSD-2-Clause */
/* What the estimate makes of counters: rates, stall share, curve, streams, odd clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "user/daemon/law_internal.h"

#define MIB     (1024ull * 1024)
#define CEILING (1024 * MIB)
#define BUCKET  (CEILING / LAW_BUCKETS)
#define START   (1000 * LAW_S)

static const struct law_params params = { .ceiling_bytes = CEILING, .gamma_ppm = 1000000 };
static const struct law_engine engine = { .max_bytes = CEILING, .weight = 100, .active = true };

struct bench {
	struct law_estimate e;
	struct law_sample s;
	uint64_t limit_bytes;
	uint64_t now_ns;
};

static struct bench begin(uint32_t valid, uint64_t usage_bytes)
{
	struct bench b = { .limit_bytes = usage_bytes, .now_ns = START };

	b.s.valid = valid;
	b.s.usage_bytes = b.s.file_bytes = usage_bytes;
	estimate_update(&b.e, &params, &engine, &b.s, b.limit_bytes, b.now_ns);
	return b;
}

static void tick(struct bench *b, uint64_t dt_ns)
{
	b->now_ns += dt_ns;
	estimate_update(&b->e, &params, &engine, &b->s, b->limit_bytes, b->now_ns);
}

static unsigned int bin_of(uint64_t pages)
{
	unsigned int e = 63 - (unsigned int)__builtin_clzll(pages);

	return (e - 1) * DISTANCE_SUB_BINS + (unsigned int)((pages >> (e - 2)) & 3);
}

/* `seconds` of refaults at one distance, each costing 100 us, half of the time of one task. */
static void refault(struct bench *b, uint64_t distance_pages, unsigned int seconds, uint64_t dt_ns)
{
	for (uint64_t t = 0; t < seconds * LAW_S; t += dt_ns) {
		uint64_t n = 5000 * (dt_ns / LAW_MS) / 1000;

		b->s.refault_file += n;
		b->s.evictions += n;
		b->s.pgsteal += n;
		b->s.ghost_refaults += n;
		b->s.distance[bin_of(distance_pages)] += n;
		b->s.stall_ns[STALL_REFAULT] += dt_ns / 2;
		b->s.cpu_ns += dt_ns / 2;
		tick(b, dt_ns);
	}
}

static uint64_t sum(const struct law_estimate *e, unsigned int from, unsigned int to)
{
	uint64_t total = 0;

	for (unsigned int i = from; i < to; i++)
		total += e->curve[i];
	return total;
}

static void near(uint64_t value, uint64_t expected, uint64_t percent)
{
	assert_in_range(value, expected - expected * percent / 100,
			expected + expected * percent / 100);
}

#define ALL ((1u << 9) - 1)
#define FILES                                                                                      \
	(LAW_VALID_USAGE | LAW_VALID_KINDS | LAW_VALID_REFAULTS | LAW_VALID_PSI_MEMORY |           \
	 LAW_VALID_PSI_IO | LAW_VALID_FAULTS)

static void rates_do_not_depend_on_how_often_one_looks(void **state)
{
	static const uint64_t intervals[] = { 10 * LAW_MS, 100 * LAW_MS, 250 * LAW_MS, LAW_S };

	for (size_t i = 0; i < 4; i++) {
		struct bench b = begin(ALL, 256 * MIB);

		refault(&b, 1000, 30, intervals[i]);
		near(b.e.refaults_per_s, 5000, 2);
		near(b.e.evictions_per_s, 5000, 2);
		near(b.e.stall_avg_ppm, 500000, 2);
		near(b.e.refault_cost_ns, 100000, 5);
		/* half of the time stalled: one second of stall per second of work */
		near(sum(&b.e, 0, LAW_BUCKETS), LAW_ONE, 10);
	}
}

static void a_counter_that_goes_back_counts_as_nothing(void **state)
{
	struct bench b = begin(ALL, 256 * MIB);
	uint64_t before;

	b.s.refault_file = 1000000;
	tick(&b, 100 * LAW_MS);
	before = b.e.refaults_per_s;
	assert_true(before > 0);
	b.s.refault_file = 5;
	tick(&b, 100 * LAW_MS);
	assert_true(b.e.refaults_per_s < before);
}

static void the_same_instant_twice_changes_nothing(void **state)
{
	struct bench b = begin(ALL, 256 * MIB);
	struct law_estimate before;

	refault(&b, 1000, 2, 100 * LAW_MS);
	before = b.e;
	b.s.refault_file += 1000;
	tick(&b, 0);
	assert_memory_equal(&before, &b.e, sizeof(before));
}

static void a_clock_that_goes_back_starts_anew(void **state)
{
	struct bench b = begin(ALL, 256 * MIB);

	refault(&b, 1000, 2, 100 * LAW_MS);
	b.now_ns -= 10 * LAW_S;
	estimate_update(&b.e, &params, &engine, &b.s, b.limit_bytes, b.now_ns);
	assert_int_equal(b.e.updates, 1);
	assert_int_equal(b.e.refaults_per_s, 0);
	refault(&b, 1000, 20, 100 * LAW_MS);
	near(b.e.refaults_per_s, 5000, 2);
}

static void pressure_that_comes_in_lumps_is_spread(void **state)
{
	struct bench b = begin(ALL & ~(LAW_VALID_LEDGER | LAW_VALID_DISTANCES), 256 * MIB);

	for (int i = 0; i < 200; i++) {
		b.s.refault_file += 500;
		b.s.pgsteal += 500;
		if (i % 20 == 19) { /* totals are brought up to date every 2 s only */
			b.s.psi_io_some_ns += LAW_S;
			b.s.psi_io_full_ns += LAW_S;
		}
		tick(&b, 100 * LAW_MS);
	}
	near(b.e.memory.refault_stall, LAW_ONE / 2, 35);
}

static void reading_for_the_first_time_is_not_a_need_for_memory(void **state)
{
	struct bench b = begin(FILES, 64 * MIB);

	for (int i = 0; i < 100; i++) {
		b.s.psi_io_some_ns += 80 * LAW_MS;
		b.s.psi_io_full_ns += 80 * LAW_MS;
		b.s.pgmajfault += 500;
		b.s.pgsteal += 500;
		tick(&b, 100 * LAW_MS);
	}
	assert_int_equal(b.e.memory.refault_stall, 0);
	assert_int_equal(sum(&b.e, 0, LAW_BUCKETS), 0);
}

static void thrash_shows_without_bpf_though_memory_pressure_is_small(void **state)
{
	struct bench b = begin(FILES, 256 * MIB);

	for (int i = 0; i < 100; i++) {
		b.s.psi_io_some_ns += 57 * LAW_MS;
		b.s.psi_io_full_ns += 57 * LAW_MS;
		b.s.psi_memory_some_ns += 2 * LAW_MS;
		b.s.refault_file += 1800;
		b.s.pgmajfault += 1800;
		b.s.limit_hits += 1500; /* v1: evictions are not counted there */
		tick(&b, 100 * LAW_MS);
	}
	near(b.e.memory.refault_stall, LAW_ONE * 57 / 100, 5);
	assert_true(sum(&b.e, 32, LAW_BUCKETS) > LAW_ONE);
	assert_false(b.e.streaming);
}

static void failed_charges_do_not_pass_for_evictions(void **state)
{
	struct bench b = begin(FILES, 256 * MIB);

	for (int i = 0; i < 150; i++) {
		b.s.psi_io_some_ns += 50 * LAW_MS;
		b.s.psi_io_full_ns += 50 * LAW_MS;
		b.s.refault_file += 100;
		b.s.limit_hits += 10000;
		tick(&b, 100 * LAW_MS);
	}
	near(b.e.memory.refault_stall, LAW_ONE / 2, 5);
}

static void a_stall_is_a_share_of_the_tasks_there_are(void **state)
{
	struct bench b = begin(ALL, 256 * MIB);

	for (int i = 0; i < 100; i++) { /* four tasks, each stalled a quarter of its time */
		b.s.stall_ns[STALL_REFAULT] += 100 * LAW_MS;
		b.s.cpu_ns += 300 * LAW_MS;
		b.s.refault_file += 1000;
		b.s.evictions += 1000;
		tick(&b, 100 * LAW_MS);
	}
	near(b.e.memory.refault_stall, LAW_ONE / 4, 3);
	near(b.e.stall_ns_per_s, LAW_S, 3);
}

static void a_refault_distance_says_where_memory_would_help(void **state)
{
	/* base is bucket 32; 24 buckets farther pages come back */
	uint64_t distance = 24 * BUCKET / LAW_PAGE_BYTES;
	struct bench b = begin(ALL, 32 * BUCKET);

	refault(&b, distance, 20, 100 * LAW_MS);
	assert_int_equal(sum(&b.e, 0, 32 + 20), 0);
	assert_true(sum(&b.e, 32 + 20, 32 + 32) > LAW_ONE * 8 / 10);
	assert_int_equal(sum(&b.e, 32 + 33, LAW_BUCKETS), 0);
	assert_true(b.e.working_set_bytes > 50 * BUCKET);
	assert_true(b.e.confidence_ppm > 900000);
}

static void distances_beyond_the_ceiling_say_nothing(void **state)
{
	struct bench b = begin(ALL, 64 * BUCKET);

	refault(&b, 80 * BUCKET / LAW_PAGE_BYTES, 20, 100 * LAW_MS);
	assert_int_equal(sum(&b.e, 0, LAW_BUCKETS), 0);
	assert_true(b.e.streaming); /* a loop too large to fit, as good as a stream */
}

static void an_idle_engine_forgets_nothing(void **state)
{
	struct bench b = begin(ALL, 32 * BUCKET);
	uint32_t before[LAW_BUCKETS];

	refault(&b, 4 * BUCKET / LAW_PAGE_BYTES, 20, 100 * LAW_MS);
	/* it grew past what it needed: the curve is inside now, remembered */
	b.s.usage_bytes = b.limit_bytes = 48 * BUCKET;
	b.s.evictions++;
	tick(&b, 100 * LAW_MS);
	assert_int_equal(b.e.base_bytes, 48 * BUCKET);
	memcpy(before, b.e.curve, sizeof(before));
	for (int i = 0; i < 3600; i++)
		tick(&b, LAW_S);
	assert_true(sum(&b.e, 0, 48) > 0);
	assert_memory_equal(before, b.e.curve, sizeof(before));
	assert_true(b.e.busy_ppm < 10000);
	assert_true(b.e.idle_bytes >= 31 * BUCKET);
}

static void a_busy_engine_that_hits_forgets_by_halves(void **state)
{
	struct bench b = begin(ALL, 32 * BUCKET);
	uint64_t before, half_life_s;

	refault(&b, 4 * BUCKET / LAW_PAGE_BYTES, 20, 100 * LAW_MS);
	b.s.usage_bytes = b.limit_bytes = 48 * BUCKET;
	tick(&b, 100 * LAW_MS);
	before = sum(&b.e, 0, LAW_BUCKETS);
	/* four times what filling the ceiling takes at the fastest rate seen */
	half_life_s = 4 * (CEILING / LAW_PAGE_BYTES) / b.e.memory.inflow_peak_per_s;
	half_life_s = half_life_s < 11 ? 11 : half_life_s;
	for (uint64_t i = 0; i < half_life_s * 10; i++) {
		b.s.cpu_ns += 100 * LAW_MS;
		tick(&b, 100 * LAW_MS);
	}
	near(sum(&b.e, 0, LAW_BUCKETS), before / 2, 15);
}

static void evictions_without_reuse_are_a_stream(void **state)
{
	struct bench b = begin(ALL, 128 * MIB);

	for (int i = 0; i < 45; i++) {
		b.s.evictions += 2000;
		b.s.pgsteal += 2000;
		b.s.cpu_ns += 50 * LAW_MS;
		b.s.stall_ns[STALL_DIRECT_RECLAIM] += 40 * LAW_MS;
		tick(&b, 100 * LAW_MS);
		if (i == 10)
			assert_false(b.e.streaming);
	}
	assert_true(b.e.streaming);
	assert_int_equal(b.e.memory.refault_stall, 0); /* it waits, but not for want of memory */
	assert_true(b.e.stall_avg_ppm > 0);
	/* it finds something to come back to: no stream any more, soon */
	refault(&b, 1000, 5, 100 * LAW_MS);
	assert_false(b.e.streaming);
}

/* What turns over by the minute is a set that drifts, or a cache that is a little too small. */
static void a_slow_turnover_is_no_stream(void **state)
{
	struct bench b = begin(ALL, 512 * MIB);

	for (int i = 0; i < 200; i++) {
		b.s.evictions += 200;
		b.s.pgsteal += 200;
		b.s.cpu_ns += 50 * LAW_MS;
		tick(&b, 100 * LAW_MS);
		assert_false(b.e.streaming);
	}
}

/* One task for so many ticks of 100 ms: refaults, waits and CPU time of each tick. */
static void works(struct bench *b, int count, uint64_t refaults, uint64_t wait_ms, uint64_t cpu_ms,
		  uint64_t system_ms)
{
	for (int i = 0; i < count; i++) {
		b->s.refault_file += refaults;
		b->s.evictions += refaults;
		b->s.pgsteal += refaults;
		b->s.stall_ns[STALL_REFAULT] += wait_ms * LAW_MS;
		b->s.cpu_ns += cpu_ms * LAW_MS;
		b->s.cpu_system_ns += system_ms * LAW_MS;
		tick(b, 100 * LAW_MS);
	}
}

/*
 * One task whose misses wait for a fifth of its time and spend seven tenths of it in the kernel:
 * nine tenths are lost. What the engine does there when it does not miss counts for nothing.
 */
static void kernel_time_of_misses_is_a_stall_too(void **state)
{
	struct bench b = begin(ALL, 256 * MIB);

	works(&b, 200, 0, 0, 100, 30);
	assert_int_equal(b.e.memory.refault_stall, 0);
	works(&b, 200, 2000, 20, 80, 73); /* 3 of them as ever */
	near(b.e.memory.refault_stall, LAW_ONE * 9 / 10, 2);
	near(b.e.refault_cost_ns, 45000, 3);
	near(b.e.memory.kappa, LAW_ONE, 5);
	/* it may do more there of its own accord, but a miss takes only so long */
	works(&b, 200, 100, 0, 100, 100);
	assert_in_range(b.e.memory.refault_stall, 0, LAW_ONE * 6 / 100);
}

/* What misses cost when there were few is not what each costs of very many: it wakes, and waits or
 * works all the time, though by what was learnt its misses alone would have taken all of its CPU. */
static void who_waits_nearly_all_the_time_is_not_idle(void **state)
{
	struct bench b = begin(ALL, 256 * MIB);

	works(&b, 100, 0, 0, 100, 10);
	works(&b, 100, 1500, 50, 50, 45);
	near(b.e.memory.miss_cpu_ns, 29600, 3); /* 45, less 0.6 as ever */
	works(&b, 50, 0, 0, 0, 0);
	assert_in_range(b.e.memory.kappa, 0, LAW_ONE / 100);
	works(&b, 2, 3000, 60, 40, 36);
	assert_in_range(b.e.memory.miss_cpu_ns, 0, 40 * LAW_MS / 3000);
	works(&b, 3, 3000, 60, 40, 36);
	assert_true(b.e.memory.kappa > LAW_ONE / 2);
	works(&b, 100, 3000, 60, 40, 36);
	near(b.e.memory.kappa, LAW_ONE, 10);
	/* and who pauses between its misses is idle as far as it pauses: 4 works, 40 pause */
	works(&b, 100, 2000, 36, 24, 20);
	assert_in_range(b.e.memory.kappa, 0, LAW_ONE / 6);
}

static void the_part_of_the_time_that_an_engine_is_awake_is_learnt(void **state)
{
	struct bench b = begin(ALL, 256 * MIB);

	works(&b, 50, 0, 0, 100, 10);
	near(b.e.memory.duty, LAW_ONE, 2);
	for (int i = 0; i < 20; i++) {
		works(&b, 20, 0, 0, 100, 10);
		works(&b, 60, 0, 0, 0, 0);
	}
	near(b.e.memory.duty, LAW_ONE / 4, 30);
}

/* `ms` of a heap at `mib`, in ticks of 100 ms. */
static void hold(struct bench *b, uint64_t mib, int ms)
{
	for (; ms > 0; ms -= 100) {
		b->s.usage_bytes = b->s.anon_bytes = b->s.unreclaimable_bytes = mib * MIB;
		b->s.file_bytes = 0;
		tick(b, 100 * LAW_MS);
	}
}

static void a_heap_that_comes_and_goes_is_expected_back(void **state)
{
	struct bench b = begin(ALL, 0);

	hold(&b, 100, 500);
	hold(&b, 5, 300);
	assert_int_equal(law_burst_expected(&b.e.memory), 0); /* it has gone, for all we know */
	for (int i = 0; i < 5; i++) {
		hold(&b, 100, 200);
		hold(&b, 5, 300);
		near(law_burst_expected(&b.e.memory), 100 * MIB, 5);
	}
	/* four times as long as before, it is not coming */
	hold(&b, 5, 1000);
	assert_int_equal(law_burst_expected(&b.e.memory), 0);
	/* nor is one waited for that stays away for seconds */
	hold(&b, 100, 200);
	hold(&b, 5, 100);
	assert_int_equal(law_burst_expected(&b.e.memory), 0);
}

static void a_heap_that_grows_does_not_come_and_go(void **state)
{
	struct bench b = begin(ALL, 0);

	for (int i = 0; i < 5; i++) {
		hold(&b, 100, 200);
		hold(&b, 5, 300);
	}
	for (uint64_t mib = 100; mib <= 200; mib += 10)
		hold(&b, mib, 100);
	assert_int_equal(law_burst_expected(&b.e.memory), 0);
}

static void a_starved_heap_asks_for_more_and_more(void **state)
{
	struct bench b = begin(ALL, 128 * MIB);
	uint64_t first;

	b.s.file_bytes = 0;
	b.s.anon_bytes = b.s.unreclaimable_bytes = b.s.usage_bytes;
	b.s.stall_ns[STALL_HIGH_THROTTLE] += 80 * LAW_MS;
	tick(&b, 100 * LAW_MS);
	first = b.e.memory.anon_step_bytes;
	assert_true(b.e.memory.hull > 0);
	for (int i = 0; i < 3; i++) {
		b.s.stall_ns[STALL_HIGH_THROTTLE] += 80 * LAW_MS;
		tick(&b, 100 * LAW_MS);
	}
	assert_true(b.e.memory.anon_step_bytes > first);
	assert_true(b.e.memory.anon_step_bytes <= CEILING / 4);
}

/* Grown beyond a need that was seen from outside, then cut: does it come back for what was taken? */
static struct bench cut_below_a_remembered_need(bool comes_back)
{
	struct bench b = begin(ALL, 32 * BUCKET);

	refault(&b, 24 * BUCKET / LAW_PAGE_BYTES, 20, 100 * LAW_MS);
	b.s.usage_bytes = b.s.file_bytes = b.limit_bytes = 70 * BUCKET;
	refault(&b, 2 * BUCKET / LAW_PAGE_BYTES, 1, 100 * LAW_MS);
	for (int i = 0; i < 50; i++) {
		b.s.cpu_ns += 100 * LAW_MS;
		tick(&b, 100 * LAW_MS);
	}
	b.s.usage_bytes = b.s.file_bytes = b.limit_bytes = 50 * BUCKET;
	for (int i = 0; i < 10; i++) {
		b.s.cpu_ns += 50 * LAW_MS;
		b.s.evictions += 100;
		b.s.pgsteal += 100;
		if (comes_back) {
			b.s.refault_file += 400;
			b.s.ghost_refaults += 400;
			b.s.distance[bin_of(4 * BUCKET / LAW_PAGE_BYTES)] += 400;
			b.s.stall_ns[STALL_REFAULT] += 40 * LAW_MS;
		}
		tick(&b, 100 * LAW_MS);
	}
	return b;
}

static void what_nobody_comes_back_for_is_not_believed(void **state)
{
	struct bench b = cut_below_a_remembered_need(false);

	assert_true(b.e.memory.doubts > 0);
	assert_true(sum(&b.e, 0, LAW_BUCKETS) < LAW_ONE / 8);
	b = cut_below_a_remembered_need(true);
	assert_int_equal(b.e.memory.doubts, 0);
	assert_true(sum(&b.e, 50, LAW_BUCKETS) > LAW_ONE / 4);
}

/* What a refault costs is not forgotten with the last of them. */
static void a_cost_outlives_the_refaults(void **state)
{
	struct bench b = begin(ALL, 256 * MIB);

	refault(&b, 1000, 20, 100 * LAW_MS);
	for (int i = 0; i < 600; i++) {
		b.s.cpu_ns += 100 * LAW_MS;
		tick(&b, 100 * LAW_MS);
		near(b.e.refault_cost_ns, 100000, 25);
	}
}

/*
 * One task that works all the time. Its CPU time is read each second, and once in between on a tick
 * that came early: a second of it within milliseconds is not a hundred tasks, and none for nine
 * ticks is no rest.
 */
static void cpu_time_that_is_read_rarely_counts_for_the_time_since(void **state)
{
	struct bench b = begin(ALL, 256 * MIB);
	uint64_t cpu_ns = 0;

	b.s.cpu_at_ns = b.e.last.cpu_at_ns = b.now_ns;
	for (int i = 1; i <= 200; i++) {
		if (i % 10 == 5) {
			b.s.cpu_ns = cpu_ns + 15 * LAW_MS;
			b.s.cpu_at_ns = b.now_ns + 15 * LAW_MS;
			tick(&b, 15 * LAW_MS);
			cpu_ns += 15 * LAW_MS;
		}
		cpu_ns += 100 * LAW_MS;
		if (i % 10 == 0) {
			b.s.cpu_ns = cpu_ns;
			b.s.cpu_at_ns = b.now_ns + 100 * LAW_MS;
		}
		tick(&b, 100 * LAW_MS);
		if (i < 10)
			continue;
		near(b.e.memory.parallelism_16, 1 << 16, 5);
		near(b.e.memory.kappa, LAW_ONE, 5);
	}
}

/* The kernel accounts CPU time by its clock tick: what comes within a millisecond says nothing. */
static void cpu_time_is_not_judged_by_milliseconds(void **state)
{
	struct bench b = begin(ALL, 256 * MIB);

	for (uint64_t ms = 1; ms <= 5000; ms++) {
		b.s.cpu_ns += ms % 4 == 0 ? 4 * LAW_MS : 0;
		tick(&b, LAW_MS);
	}
	near(b.e.memory.parallelism_16, 1 << 16, 5);
	near(b.e.memory.kappa, LAW_ONE, 5);
}

static void shared_buffers_do_not_hide_the_page_cache(void **state)
{
	struct bench b = begin(ALL, 256 * MIB);

	b.s.file_bytes = 64 * MIB;
	b.s.shmem_bytes = b.s.unreclaimable_bytes = 192 * MIB;
	for (int i = 0; i < 100; i++) { /* a scan that comes back to nothing: no need for memory */
		b.s.evictions += 2000;
		b.s.pgsteal += 2000;
		b.s.cpu_ns += 50 * LAW_MS;
		b.s.stall_ns[STALL_DIRECT_RECLAIM] += 30 * LAW_MS;
		b.s.psi_memory_some_ns += 30 * LAW_MS;
		tick(&b, 100 * LAW_MS);
	}
	assert_true(b.e.memory.refault_stall < LAW_ONE / 100);
	assert_true(b.e.memory.hull < LAW_ONE / 1000);
	/* and one that would fit with 4 buckets more */
	refault(&b, 4 * BUCKET / LAW_PAGE_BYTES, 20, 100 * LAW_MS);
	assert_true(sum(&b.e, 32, 40) > LAW_ONE / 2);
	assert_int_equal(sum(&b.e, 41, LAW_BUCKETS), 0);
}

static void growth_towards_the_limit_is_told_in_time(void **state)
{
	struct bench b = begin(ALL, 64 * MIB);

	b.limit_bytes = 640 * MIB;
	for (int i = 0; i < 200; i++) {
		b.s.usage_bytes += MIB;
		tick(&b, 100 * LAW_MS);
	}
	near((uint64_t)b.e.usage_velocity_bytes_per_s, 10 * MIB, 3);
	near(b.e.time_to_ceiling_ns, (640 - 264) * LAW_S / 10, 3);
	assert_true(b.e.filling);
	assert_false(b.e.at_limit);
	b.s.usage_bytes = 640 * MIB;
	tick(&b, 100 * LAW_MS);
	assert_true(b.e.at_limit);
	assert_int_equal(b.e.time_to_ceiling_ns, 0);
}

static void another_ceiling_starts_the_curve_anew(void **state)
{
	struct law_params other = params;
	struct bench b = begin(ALL, 32 * BUCKET);

	refault(&b, 1000, 5, 100 * LAW_MS);
	other.ceiling_bytes *= 2;
	estimate_update(&b.e, &other, &engine, &b.s, b.limit_bytes, b.now_ns + LAW_S);
	assert_int_equal(b.e.bucket_bytes, 2 * BUCKET);
	assert_int_equal(sum(&b.e, 0, LAW_BUCKETS), 0);
}

static void arithmetic_keeps_its_promises(void **state)
{
	assert_int_equal(law_sqrt(0), 0);
	for (uint64_t x = 1; x < 1ull << 62; x = x * 3 + 1) {
		uint64_t r = law_sqrt(x);

		assert_true(r * r <= x && (r + 1) * (r + 1) > x);
	}
	assert_int_equal(law_log1p(0), 0);
	near(law_log1p(LAW_ONE), 726817, 1); /* ln 2 */
	near(law_log1p(9 * LAW_ONE), 2414435, 1); /* ln 10 */
	assert_int_equal(law_ratio_32(5, 0), 1ull << 32);
	assert_int_equal(law_part(1000, law_ratio_32(1, 4)), 250);
	for (uint64_t den = 3; den < 1ull << 60; den = den * 7 + 1)
		assert_true(law_part(1ull << 40, law_ratio_32(den / 3, den)) <=
			    (1ull << 40) / 3 + 1);
	assert_int_equal(law_cost(0, 1000000), 0);
	assert_int_equal(law_cost(LAW_ONE, 1000000), LAW_ONE / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_do_not_depend_on_how_often_one_looks),
		cmocka_unit_test(a_counter_that_goes_back_counts_as_nothing),
		cmocka_unit_test(the_same_instant_twice_changes_nothing),
		cmocka_unit_test(a_clock_that_goes_back_starts_anew),
		cmocka_unit_test(pressure_that_comes_in_lumps_is_spread),
		cmocka_unit_test(reading_for_the_first_time_is_not_a_need_for_memory),
		cmocka_unit_test(thrash_shows_without_bpf_though_memory_pressure_is_small),
		cmocka_unit_test(failed_charges_do_not_pass_for_evictions),
		cmocka_unit_test(a_stall_is_a_share_of_the_tasks_there_are),
		cmocka_unit_test(a_refault_distance_says_where_memory_would_help),
		cmocka_unit_test(distances_beyond_the_ceiling_say_nothing),
		cmocka_unit_test(an_idle_engine_forgets_nothing),
		cmocka_unit_test(a_busy_engine_that_hits_forgets_by_halves),
		cmocka_unit_test(evictions_without_reuse_are_a_stream),
		cmocka_unit_test(a_slow_turnover_is_no_stream),
		cmocka_unit_test(kernel_time_of_misses_is_a_stall_too),
		cmocka_unit_test(who_waits_nearly_all_the_time_is_not_idle),
		cmocka_unit_test(the_part_of_the_time_that_an_engine_is_awake_is_learnt),
		cmocka_unit_test(a_heap_that_comes_and_goes_is_expected_back),
		cmocka_unit_test(a_heap_that_grows_does_not_come_and_go),
		cmocka_unit_test(a_starved_heap_asks_for_more_and_more),
		cmocka_unit_test(what_nobody_comes_back_for_is_not_believed),
		cmocka_unit_test(a_cost_outlives_the_refaults),
		cmocka_unit_test(cpu_time_that_is_read_rarely_counts_for_the_time_since),
		cmocka_unit_test(cpu_time_is_not_judged_by_milliseconds),
		cmocka_unit_test(shared_buffers_do_not_hide_the_page_cache),
		cmocka_unit_test(growth_towards_the_limit_is_told_in_time),
		cmocka_unit_test(another_ceiling_starts_the_curve_anew),
		cmocka_unit_test(arithmetic_keeps_its_promises),
	};

	return cmocka_run_group_tests_name("estimate", tests, NULL, NULL);
}
