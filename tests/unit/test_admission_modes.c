// SPDX-License-Identifier: BSD-2-Clause
/* What modes give, what options change, and what pressure takes away. */
#include "tests/unit/admission_support.h"

static const struct baro_job insert = { .kind = BARO_JOB_INSERT, .payload_bytes = 100 };

static void assert_limits(const struct baro_admission_limits *a,
			  const struct baro_admission_limits *b)
{
	assert_int_equal(a->writes_max, b->writes_max);
	assert_int_equal(a->batches_max, b->batches_max);
	assert_int_equal(a->index_max, b->index_max);
	assert_int_equal(a->workers_max, b->workers_max);
	assert_int_equal(a->queue_max, b->queue_max);
	assert_int_equal(a->chunk_records, b->chunk_records);
	assert_int_equal(a->chunk_records_min, b->chunk_records_min);
	assert_int_equal(a->workers_beside_reads, b->workers_beside_reads);
	assert_int_equal(a->memory_bytes, b->memory_bytes);
	assert_int_equal(a->chunk_target_ns, b->chunk_target_ns);
	assert_int_equal(a->read_p99_ns, b->read_p99_ns);
	assert_int_equal(a->read_slowdown_ppm, b->read_slowdown_ppm);
	assert_int_equal(a->write_share_min_ppm, b->write_share_min_ppm);
}

static void modes_give_what_is_documented(void **state)
{
	static const struct {
		uint32_t mode, cpus;
		uint64_t budget;
		struct baro_admission_limits limits;
	} row[] = {
		{ BARO_MODE_LATENCY,
		  1,
		  0,
		  { 4, 1, 1, 1, 32, 64, 8, 1, 64 * MIB, NS_PER_MS, 0, 1250000, 10000 } },
		{ BARO_MODE_LATENCY,
		  16,
		  1600 * MIB,
		  { 32, 1, 1, 4, 32, 64, 8, 1, 100 * MIB, NS_PER_MS, 0, 1250000, 10000 } },
		{ BARO_MODE_BALANCED,
		  1,
		  0,
		  { 8, 2, 1, 1, 128, 512, 32, 1, 128 * MIB, 10 * NS_PER_MS, 0, 2000000, 200000 } },
		{ BARO_MODE_BALANCED,
		  16,
		  1600 * MIB,
		  { 64, 8, 8, 8, 128, 512, 32, 4, 200 * MIB, 10 * NS_PER_MS, 0, 2000000, 200000 } },
		{ BARO_MODE_BULK_INGEST,
		  1,
		  0,
		  { 16, 4, 1, 2, 512, 4096, 256, 2, 256 * MIB, 50 * NS_PER_MS, 0,
		    BARO_READS_UNPROTECTED, PPM } },
		{ BARO_MODE_BULK_INGEST,
		  16,
		  1600 * MIB,
		  { 128, 32, 16, 32, 512, 4096, 256, 32, 400 * MIB, 50 * NS_PER_MS, 0,
		    BARO_READS_UNPROTECTED, PPM } },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct baro_admission_limits limits;

		baro_admission_limits_of(row[i].mode, row[i].cpus, row[i].budget, &limits);
		assert_limits(&limits, &row[i].limits);
	}
}

static void bulk_ingest_allows_most_and_latency_least(void **state)
{
	for (uint32_t cpus = 0; cpus < 300; cpus++) {
		struct baro_admission_limits l, b, i;

		baro_admission_limits_of(BARO_MODE_LATENCY, cpus, 0, &l);
		baro_admission_limits_of(BARO_MODE_BALANCED, cpus, 0, &b);
		baro_admission_limits_of(BARO_MODE_BULK_INGEST, cpus, 0, &i);
#define RISES(field) assert_true(l.field >= 1 && l.field <= b.field && b.field <= i.field)
		RISES(writes_max);
		RISES(batches_max);
		RISES(index_max);
		RISES(workers_max);
		RISES(queue_max);
		RISES(chunk_records);
		RISES(chunk_records_min);
		RISES(workers_beside_reads);
		RISES(memory_bytes);
		RISES(chunk_target_ns);
		RISES(read_slowdown_ppm);
		RISES(write_share_min_ppm);
#undef RISES
	}
}

static void modes_have_names(void **state)
{
	uint32_t mode = 77;

	for (uint32_t i = 0; i < BARO_MODES; i++) {
		assert_int_equal(baro_admission_mode_parse(baro_admission_mode_name(i), &mode), 0);
		assert_int_equal(mode, i);
	}
	assert_int_equal(baro_admission_mode_parse("fast", &mode), -EINVAL);
	assert_int_equal(mode, BARO_MODES - 1);
	assert_string_equal(baro_admission_mode_name(BARO_MODES), "?");
}

static void options_override_single_limits_in_every_mode(void **state)
{
	struct baro_admission_options o = { .size = sizeof(o),
					    .cpus = 8,
					    .budget_bytes = 1024 * MIB,
					    .limits = { .batches_max = 5, .queue_max = 3 } };
	struct baro_admission_limits now, given;
	struct baro_admission *a;

	assert_int_equal(baro_admission_open(&o, &a), 0);
	for (uint32_t mode = 0; mode < BARO_MODES; mode++) {
		assert_int_equal(baro_admission_set_mode(a, mode), 0);
		baro_admission_limits_of(mode, 8, 1024 * MIB, &given);
		given.batches_max = 5;
		given.queue_max = 3;
		baro_admission_limits_now(a, &now);
		assert_limits(&now, &given);
		assert_int_equal(stats_of(a).mode, mode);
	}
	baro_admission_close(a);
}

static void a_collection_gets_half_unless_told_otherwise(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a;
	struct baro_collection *c;

	limits.batches_max = 1;
	limits.index_max = 6;
	a = open_with(&limits);
	assert_int_equal(baro_collection_open(a, "docs", NULL, &c), 0);
	assert_int_equal(c->own.limit[WRITES], limits.writes_max);
	assert_int_equal(c->own.limit[BATCHES], 1);
	assert_int_equal(c->own.limit[INDEXES], 3);
	assert_int_equal(c->own.max_bytes, limits.memory_bytes / 2);
	/* also of what comes later */
	limits.memory_bytes = 100 * MIB;
	baro_admission_set_limits(a, &limits);
	assert_int_equal(c->own.max_bytes, 50 * MIB);
	baro_admission_close(a);
}

/* ---- pressure -------------------------------------------------------------------------------- */

static void the_scale_falls_from_warning_to_emergency(void **state)
{
	static const uint32_t row[][2] = {
		{ 0, PPM },         { 699999, PPM },    { 700000, PPM },    { 775000, 737500 },
		{ 825000, 562500 }, { 949999, 125004 }, { 950000, 125000 }, { 1000000, 125000 },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		assert_int_equal(pressure_scale_ppm(row[i][0]), row[i][1]);
	for (uint32_t s = 1; s <= PPM; s++)
		assert_true(pressure_scale_ppm(s) <= pressure_scale_ppm(s - 1));
}

static void pressure_lowers_what_is_in_force_never_below_one(void **state)
{
	static const struct {
		uint32_t level, score;
		uint64_t budget;
		uint32_t writes, batches, workers, chunk;
		uint64_t memory;
	} row[] = {
		/* wide: 64 writes, 32 batches, 64 workers, chunks of 100 (10 at least), 1 GiB */
		{ BARO_LEVEL_NORMAL, 300000, BARO_PAGE_NONE, 64, 32, 64, 100, 1024 * MIB },
		{ BARO_LEVEL_WARNING, 825000, BARO_PAGE_NONE, 36, 18, 36, 56, 576 * MIB },
		/* a source without a score: the edge of its level */
		{ BARO_LEVEL_WARNING, 0, BARO_PAGE_NONE, 64, 32, 64, 100, 1024 * MIB },
		{ BARO_LEVEL_CRITICAL, 0, BARO_PAGE_NONE, 30, 1, 30, 47, 510027367 },
		{ BARO_LEVEL_EMERGENCY, 0, BARO_PAGE_NONE, 8, 1, 8, 12, 128 * MIB },
		{ BARO_LEVEL_EMERGENCY, 1000000, BARO_PAGE_NONE, 8, 1, 8, 12, 128 * MIB },
		/* the page's budget bounds: what is not pressed for, shared by two */
		{ BARO_LEVEL_NORMAL, 500000, 1000 * MIB, 64, 32, 64, 100, 250 * MIB },
		{ BARO_LEVEL_NORMAL, 600000, 100 * MIB, 64, 32, 64, 100, 20 * MIB },
		{ BARO_LEVEL_EMERGENCY, 1000000, 1000 * MIB, 8, 1, 8, 12, 0 },
	};
	struct baro_admission_options o = {
		.size = sizeof(o), .cpus = 4, .sharers = 2, .limits = wide_limits()
	};
	struct baro_admission_limits now;
	struct baro_admission *a;

	assert_int_equal(baro_admission_open(&o, &a), 0);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct baro_pressure p = pressure_of(row[i].level, row[i].score, row[i].budget);

		baro_admission_observe(a, &p);
		baro_admission_limits_now(a, &now);
		assert_int_equal(now.writes_max, row[i].writes);
		assert_int_equal(now.batches_max, row[i].batches);
		assert_int_equal(now.workers_max, row[i].workers);
		assert_int_equal(now.chunk_records, row[i].chunk);
		assert_int_equal(now.memory_bytes, row[i].memory);
	}
	baro_admission_close(a);
}

static void processes_that_share_a_cgroup_stay_within_its_budget_together(void **state)
{
	uint64_t seed = 3;

	for (int i = 0; i < 2000; i++) {
		struct baro_admission_options o = {
			.size = sizeof(o),
			.sharers = 1 + (uint32_t)(next_random(&seed) % 8),
			.permits_max = 4,
		};
		uint64_t budget = next_random(&seed) % (64 << 20) * KIB;
		uint32_t score = (uint32_t)(next_random(&seed) % (PPM + 1));
		uint32_t level = 1 + (uint32_t)(next_random(&seed) % 4);
		struct baro_pressure p = pressure_of(level, score, budget);
		struct baro_admission_limits now;
		struct baro_admission *a;

		o.limits.memory_bytes = next_random(&seed);
		assert_int_equal(baro_admission_open(&o, &a), 0);
		baro_admission_observe(a, &p);
		baro_admission_limits_now(a, &now);
		/* a budget of zero is none that is known */
		if (budget)
			assert_true(now.memory_bytes * o.sharers <=
				    budget - (uint64_t)((double)budget * score / PPM) + 9);
		baro_admission_close(a);
	}
}

static void large_work_may_run_alone_until_memory_is_critical(void **state)
{
	const struct baro_job large = { .kind = BARO_JOB_INSERT, .cost_bytes = 900 * MIB };
	struct baro_pressure warning = pressure_of(BARO_LEVEL_WARNING, 825000, BARO_PAGE_NONE);
	struct baro_pressure critical = pressure_of(BARO_LEVEL_CRITICAL, 870000, BARO_PAGE_NONE);
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a);
	struct baro_admission_refusal why;
	struct baro_permit p, q;

	baro_admission_observe(a, &warning);
	p = acquire(c, &large);
	assert_int_equal(baro_permit_acquire(c, &insert, &q, &why), -EDQUOT);
	assert_int_equal(why.layer, BARO_LAYER_HOST);
	baro_permit_release(&p);
	p = acquire(c, &insert);
	assert_int_equal(baro_permit_acquire(c, &large, &q, &why), -EDQUOT);
	baro_permit_release(&p);
	baro_admission_observe(a, &critical);
	assert_int_equal(baro_permit_acquire(c, &large, &q, &why), -EDQUOT);
	assert_int_equal(why.layer, BARO_LAYER_HOST);
	assert_int_equal(why.retryable, 1);
	p = acquire(c, &insert);
	baro_permit_release(&p);
	assert_idle(a);
	baro_admission_close(a);
}

static void an_emergency_admits_only_what_is_essential(void **state)
{
	/* nothing of the budget is left: what is essential may go on all the same, one at a time */
	struct baro_pressure emergency = pressure_of(BARO_LEVEL_EMERGENCY, 1000000, 100 * MIB);
	struct baro_pressure normal = pressure_of(BARO_LEVEL_NORMAL, 100000, BARO_PAGE_NONE);
	struct baro_job essential = insert, patient = insert;
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a);
	struct baro_admission_refusal why;
	struct baro_permit p, q;
	struct asker waiter;

	essential.flags = BARO_JOB_ESSENTIAL;
	patient.deadline_ns = BARO_PAGE_NONE;
	baro_admission_observe(a, &emergency);
	assert_int_equal(baro_permit_acquire(c, &insert, &p, &why), -EAGAIN);
	assert_int_equal(why.layer, BARO_LAYER_HOST);
	assert_int_equal(why.resource, BARO_RESOURCE_TIME);
	assert_true(why.retry_after_ns > 0);
	queue_up(&waiter, c, &patient);
	/* nobody is overtaken here who could go: however many there are */
	for (int i = 0; i < 200; i++) {
		p = acquire(c, &essential);
		assert_int_equal(baro_permit_acquire(c, &essential, &q, NULL), -EDQUOT);
		baro_permit_release(&p);
	}
	assert_int_equal(stats_of(a).queued, 1);
	baro_admission_observe(a, &normal);
	assert_int_equal(answer(&waiter), 0);
	baro_permit_release(&waiter.permit);
	assert_int_equal(stats_of(a).refused_throttled, 1);
	assert_int_equal(stats_of(a).throttled, 2);
	assert_idle(a);
	baro_admission_close(a);
}

struct told {
	int times;
	uint32_t before, level;
	uint64_t excursions;
	struct baro_admission *admission;
};

static void note_level(void *ctx, uint32_t before, uint32_t level, uint64_t excursions)
{
	struct told *t = ctx;

	t->times++;
	t->before = before;
	t->level = level;
	t->excursions = excursions;
	/* under no lock: this would never return */
	assert_int_equal(stats_of(t->admission).level, level);
}

static void a_second_excursion_to_the_same_level_is_not_silent(void **state)
{
	struct told told = { 0 };
	struct baro_admission_options o = { .size = sizeof(o),
					    .on_level = note_level,
					    .level_ctx = &told };
	struct baro_pressure normal = pressure_of(BARO_LEVEL_NORMAL, 100000, BARO_PAGE_NONE);
	struct baro_pressure high = pressure_of(BARO_LEVEL_CRITICAL, 900000, BARO_PAGE_NONE);
	struct baro_admission *a;

	assert_int_equal(baro_admission_open(&o, &a), 0);
	told.admission = a;
	baro_admission_observe(a, &normal);
	for (uint64_t i = 1; i <= 3; i++) {
		told.times = 0;
		baro_admission_observe(a, &high);
		assert_int_equal(told.times, 1);
		assert_int_equal(told.before, BARO_LEVEL_NORMAL);
		assert_int_equal(told.level, BARO_LEVEL_CRITICAL);
		assert_int_equal(told.excursions, i);
		/* seen again is no news */
		baro_admission_observe(a, &high);
		assert_int_equal(told.times, 1);
		baro_admission_observe(a, &normal);
		assert_int_equal(told.times, 2);
		assert_int_equal(told.level, BARO_LEVEL_NORMAL);
		assert_int_equal(stats_of(a).excursions[BARO_LEVEL_CRITICAL], i);
		assert_int_equal(stats_of(a).excursions[BARO_LEVEL_WARNING], i);
		assert_int_equal(stats_of(a).excursions[BARO_LEVEL_EMERGENCY], 0);
	}
	assert_int_equal(stats_of(a).observed, 10);
	baro_admission_close(a);
}

static void pressure_that_nobody_renews_is_forgotten(void **state)
{
	struct baro_pressure emergency = pressure_of(BARO_LEVEL_EMERGENCY, 960000, 10 * MIB);
	struct told told = { 0 };
	struct baro_admission_options o = { .size = sizeof(o),
					    .pressure_ttl_ns = 50 * NS_PER_MS,
					    .on_level = note_level,
					    .level_ctx = &told };
	struct baro_job patient = insert;
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p;

	assert_int_equal(baro_admission_open(&o, &a), 0);
	told.admission = a;
	c = open_collection(a);
	baro_admission_observe(a, &emergency);
	/* the waiter itself sees that the time is over */
	patient.deadline_ns = lib_now_ns() + GIVE_UP;
	p = acquire(c, &patient);
	baro_permit_release(&p);
	assert_int_equal(told.times, 2);
	assert_int_equal(told.level, BARO_LEVEL_UNKNOWN);
	assert_int_equal(stats_of(a).level, BARO_LEVEL_UNKNOWN);
	baro_admission_close(a);
}

static void an_unknown_level_and_a_nonsense_score_do_no_harm(void **state)
{
	struct baro_pressure p = pressure_of(200, UINT32_MAX, BARO_PAGE_NONE);
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);

	baro_admission_observe(a, &p);
	assert_int_equal(stats_of(a).level, BARO_LEVEL_EMERGENCY);
	p = pressure_of(BARO_LEVEL_NORMAL, 0, 0);
	baro_admission_observe(a, &p);
	baro_admission_limits_now(a, &limits);
	assert_int_equal(limits.memory_bytes, 1024 * MIB);
	baro_admission_close(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes_give_what_is_documented),
		cmocka_unit_test(bulk_ingest_allows_most_and_latency_least),
		cmocka_unit_test(modes_have_names),
		cmocka_unit_test(options_override_single_limits_in_every_mode),
		cmocka_unit_test(a_collection_gets_half_unless_told_otherwise),
		cmocka_unit_test(the_scale_falls_from_warning_to_emergency),
		cmocka_unit_test(pressure_lowers_what_is_in_force_never_below_one),
		cmocka_unit_test(processes_that_share_a_cgroup_stay_within_its_budget_together),
		cmocka_unit_test(large_work_may_run_alone_until_memory_is_critical),
		cmocka_unit_test(an_emergency_admits_only_what_is_essential),
		cmocka_unit_test(a_second_excursion_to_the_same_level_is_not_silent),
		cmocka_unit_test(pressure_that_nobody_renews_is_forgotten),
		cmocka_unit_test(an_unknown_level_and_a_nonsense_score_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
