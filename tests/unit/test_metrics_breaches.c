// SPDX-License-Identifier: BSD-2-Clause
/*
 * One breach of each kind, as it is exported. Every count has another value than all others, so
 * that a metric that reads the wrong one is found.
 */
#include <sys/resource.h>

#include "include/barostat/barostat.h"
#include "tests/unit/admission_support.h"
#include "tests/unit/metrics_support.h"
#include "tests/unit/page_support.h"

#define GIB          (1024 * MIB)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct baro_metrics *open_metrics(void)
{
	struct baro_metrics *m = NULL;

	assert_int_equal(baro_metrics_new(&m), 0);
	return m;
}

static void reserve_and_release(struct baro_budget *b, uint64_t bytes, int times)
{
	struct baro_reservation held;

	for (int i = 0; i < times; i++) {
		assert_int_equal(baro_budget_reserve(b, bytes, &held, NULL), 0);
		assert_int_equal(baro_reservation_release(&held), 0);
	}
}

static void refuse(struct baro_budget *b, uint64_t bytes, int times)
{
	struct baro_reservation held;

	for (int i = 0; i < times; i++)
		assert_int_equal(baro_budget_reserve(b, bytes, &held, NULL), -ENOMEM);
}

/* ---- budgets and the governor ---------------------------------------------------------------- */

static void breaches_of_a_budget_are_exported(void **state)
{
	struct baro_metrics *m = open_metrics();
	struct baro_reservation held, gone;
	struct baro_budget *b;

	assert_int_equal(baro_budget_open(NULL, "b", 1000, BARO_BUDGET_EXACT, &b), 0);
	assert_int_equal(baro_budget_add_metrics(b, m, NULL), 0);
	reserve_and_release(b, 960, 6);
	reserve_and_release(b, 860, 1);
	reserve_and_release(b, 710, 1);
	assert_int_equal(baro_budget_reserve(b, 1, &gone, NULL), 0);
	assert_int_equal(baro_reservation_release(&gone), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(baro_reservation_release(&gone), -EALREADY);
	assert_int_equal(baro_budget_reserve(b, 855, &held, NULL), 0);
	refuse(b, 146, 4);

	const struct metrics_row row[] = {
		{ "baro_budget_used_bytes{name=\"b\"}", 855 },
		{ "baro_budget_limit_bytes{name=\"b\"}", 1000 },
		{ "baro_budget_peak_bytes{name=\"b\"}", 960 },
		{ "baro_budget_rejections_total{name=\"b\"}", 4 },
		{ "baro_budget_over_releases_total{name=\"b\"}", 5 },
		{ "baro_budget_level{name=\"b\"}", BARO_LEVEL_CRITICAL },
		{ "baro_budget_warnings_total{name=\"b\"}", 9 },
		{ "baro_budget_criticals_total{name=\"b\"}", 8 },
		{ "baro_budget_emergencies_total{name=\"b\"}", 6 },
	};

	assert_exported(m, row, COUNT(row));
	assert_int_equal(baro_reservation_release(&held), 0);
	baro_metrics_free(m);
	assert_int_equal(baro_budget_close(b), 0);
}

/* Resident and reserved drift apart, agree, and drift apart again: two events. */
static uint64_t drift_twice(struct baro_governor *g, uint64_t now_ns)
{
	static const uint64_t rss[] = { 512, 512, 0, 0, 0, 0, 0, 512, 512, 512 };

	for (size_t i = 0; i < COUNT(rss); i++)
		(void)baro_governor_reconcile(g, rss[i] * MIB, now_ns += 5 * NS_PER_S);
	return now_ns;
}

static void breaches_of_the_governor_are_exported(void **state)
{
	struct baro_metrics *m = open_metrics();
	struct baro_budget *vector, *ingest;
	struct baro_governor_stats s;
	struct baro_reservation held;
	struct baro_governor *g;
	uint64_t now_ns;

	assert_int_equal(baro_governor_open(GIB, &g), 0);
	assert_int_equal(baro_governor_add_metrics(g, m, NULL), 0);
	assert_int_equal(baro_governor_add(g, NULL, "vector", 0, 0, 256 * MIB, GIB, &vector), 0);
	assert_int_equal(baro_governor_add(g, NULL, "ingest", 0, 0, 256 * MIB, GIB, &ingest), 0);
	reserve_and_release(baro_governor_top(g), 980 * MIB, 30);
	reserve_and_release(baro_governor_top(g), 900 * MIB, 10);
	reserve_and_release(baro_governor_top(g), 730 * MIB, 5);
	now_ns = drift_twice(g, NS_PER_S);
	assert_int_equal(baro_budget_reserve(vector, 100 * MIB, &held, NULL), 0);
	for (int i = 0; i < 4; i++) {
		refuse(vector, 950 * MIB, 1);
		assert_true(baro_governor_rebalance(g, now_ns += NS_PER_S) >= 0);
		(void)baro_governor_reconcile(g, 511 * MIB, now_ns);
	}
	baro_governor_read(g, &s);
	assert_int_equal(s.warnings, 45);
	assert_int_equal(s.criticals, 40);
	assert_int_equal(s.emergencies, 30);
	assert_int_equal(s.drift_events, 2);
	assert_int_equal(s.rss_bytes, 511 * MIB);
	assert_int_equal(s.used_bytes, 100 * MIB);
	assert_in_range(s.withheld_bytes, 100 * MIB, 512 * MIB);
	assert_int_equal(s.limit_bytes, GIB - s.withheld_bytes);
	assert_true(s.moves > BARO_LEVEL_EMERGENCY && s.moved_bytes > MIB);

	const struct metrics_row row[] = {
		{ "baro_governor_limit_bytes", s.limit_bytes },
		{ "baro_governor_used_bytes", s.used_bytes },
		{ "baro_governor_rss_bytes", s.rss_bytes },
		{ "baro_governor_withheld_bytes", s.withheld_bytes },
		{ "baro_governor_drift_events_total", s.drift_events },
		{ "baro_governor_moves_total", s.moves },
		{ "baro_governor_moved_bytes_total", s.moved_bytes },
		{ "baro_governor_level", BARO_LEVEL_NORMAL },
		{ "baro_governor_warnings_total", s.warnings },
		{ "baro_governor_criticals_total", s.criticals },
		{ "baro_governor_emergencies_total", s.emergencies },
	};

	assert_exported(m, row, COUNT(row));
	assert_true(metrics_say(m, "baro_budget_rejections_total{name=\"vector\"} 4"));
	assert_true(metrics_say(m, "baro_budget_used_bytes{name=\"ingest\"} 0"));
	assert_int_equal(baro_reservation_release(&held), 0);
	assert_true(baro_metrics_remove(m, g) > 11);
	assert_string_equal(metrics_text(m), "");
	assert_int_equal(baro_governor_close(g), 0);
	baro_metrics_free(m);
}

/* ---- admission ------------------------------------------------------------------------------- */

static const struct baro_job insert = { .cost_bytes = 10 };
static const struct baro_job batch = {
	.kind = BARO_JOB_INSERT_BATCH, .records = 1000, .workers_max = 2, .chunk_records_max = 10
};

static void refused(struct baro_collection *c, const struct baro_job *job, int error, int times)
{
	struct baro_permit p;

	for (int i = 0; i < times; i++)
		assert_int_equal(baro_permit_acquire(c, job, &p, NULL), error);
}

/* So many wait for the one place there is, and get it one after another. */
static void wait_and_go(struct baro_collection *c, struct asker *waiter, int count)
{
	struct baro_permit p = acquire(c, &insert);
	struct baro_job patient = insert;

	patient.deadline_ns = BARO_PAGE_NONE;
	for (int i = 0; i < count; i++)
		queue_up(&waiter[i], c, &patient);
	if (count == 12) /* the queue is as long as this */
		refused(c, &patient, -ENOBUFS, 1);
	baro_permit_release(&p);
	for (int i = 0; i < count; i++) {
		assert_int_equal(answer(&waiter[i]), 0);
		baro_permit_release(&waiter[i].permit);
	}
}

static void wait_in_vain(struct baro_admission *a, struct baro_collection *c, struct asker *waiter)
{
	struct baro_permit p = acquire(c, &insert);
	struct baro_job late = insert, patient = insert;
	struct baro_cancel cancel = { 0 };

	late.deadline_ns = 1;
	refused(c, &late, -ETIMEDOUT, 7);
	patient.deadline_ns = BARO_PAGE_NONE;
	patient.cancel = &cancel;
	for (int i = 0; i < 8; i++)
		queue_up(&waiter[i], c, &patient);
	baro_admission_cancel(a, &cancel);
	for (int i = 0; i < 8; i++)
		assert_int_equal(answer(&waiter[i]), -ECANCELED);
	refused(c, &insert, -EBUSY, 5);
	baro_permit_release(&p);
	for (int i = 0; i < 9; i++)
		assert_int_equal(baro_permit_release(&p), -EALREADY);
}

/* Levels come and go; in the first emergency 3 are refused, and one waits until it is over. */
static void press(struct baro_admission *a, struct baro_collection *c, struct asker *waiter)
{
	static const struct {
		uint32_t level, score_ppm;
		int times;
	} of[] = { { BARO_LEVEL_EMERGENCY, 990000, 14 },
		   { BARO_LEVEL_CRITICAL, 900000, 1 },
		   { BARO_LEVEL_WARNING, 750000, 1 } };
	const struct baro_pressure calm = pressure_of(BARO_LEVEL_NORMAL, 100000, BARO_PAGE_NONE);
	struct baro_job patient = insert;

	patient.deadline_ns = BARO_PAGE_NONE;
	for (size_t i = 0; i < COUNT(of); i++)
		for (int n = 0; n < of[i].times; n++) {
			struct baro_pressure p =
			    pressure_of(of[i].level, of[i].score_ppm, BARO_PAGE_NONE);

			baro_admission_observe(a, &p);
			if (!i && !n) {
				refused(c, &insert, -EAGAIN, 3);
				queue_up(waiter, c, &patient);
			}
			baro_admission_observe(a, &calm);
			if (!i && !n) {
				assert_int_equal(answer(waiter), 0);
				baro_permit_release(&waiter->permit);
			}
		}
}

/* Memory for one job of half of it and a little: two are refused, ten batches are cut. */
static void run_short_of_memory(struct baro_collection *c)
{
	const struct baro_job half = { .cost_bytes = 50000 }, rest = { .cost_bytes = 48000 };
	const struct baro_job large = { .kind = BARO_JOB_INSERT_BATCH,
					.records = 1000,
					.workers_max = 1 };
	struct baro_permit p = acquire(c, &half), q = acquire(c, &rest);

	refused(c, &half, -EDQUOT, 2);
	for (int i = 0; i < 10; i++) {
		struct baro_permit cut = acquire(c, &large);

		assert_in_range(cut.chunk_records, 10, 99);
		baro_permit_release(&cut);
	}
	baro_permit_release(&p);
	baro_permit_release(&q);
	refused(c, &(struct baro_job){ .cost_bytes = 100001 }, -E2BIG, 6);
}

static void breaches_of_admission_are_exported(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_permit held[40];
	struct baro_metrics *m = open_metrics();
	struct baro_admission_stats s;
	struct baro_cancel cancel = { 0 };
	struct asker waiter[20];
	struct baro_collection *c;
	struct baro_admission *a;
	int n = 0;

	limits.writes_max = 1;
	limits.queue_max = 12;
	limits.memory_bytes = 100000;
	a = open_with(&limits);
	c = open_collection(a);
	assert_int_equal(baro_admission_add_metrics(a, m, NULL), 0);
	wait_and_go(c, waiter, 12);
	wait_in_vain(a, c, waiter);
	press(a, c, waiter);
	limits.writes_max = 22;
	limits.queue_max = 64;
	baro_admission_set_limits(a, &limits);
	run_short_of_memory(c);
	for (int i = 0; i < 17; i++)
		held[n++] = acquire(c, &batch);
	while (n < 22)
		held[n++] = acquire(c, &insert);
	for (int i = 0; i < 20; i++)
		queue_up(&waiter[i], c,
			 &(struct baro_job){ .deadline_ns = BARO_PAGE_NONE, .cancel = &cancel });
	for (int i = 0; i < 18; i++)
		baro_admission_read_begin(a);
	s = stats_of(a);

	const struct metrics_row row[] = {
		{ "baro_admission_refused_queue_full_total", 1 },
		{ "baro_admission_refused_memory_total", 2 },
		{ "baro_admission_refused_throttled_total", 3 },
		{ "baro_admission_throttled_total", 4 },
		{ "baro_admission_refused_limit_total", 5 },
		{ "baro_admission_refused_final_total", 6 },
		{ "baro_admission_timed_out_total", 7 },
		{ "baro_admission_cancelled_total", 8 },
		{ "baro_admission_released_again_total", 9 },
		{ "baro_admission_cut_total", 10 },
		{ "baro_admission_waited_total", 13 },
		{ "baro_admission_emergencies_total", 14 },
		{ "baro_admission_criticals_total", 15 },
		{ "baro_admission_warnings_total", 16 },
		{ "baro_admission_batches", 17 },
		{ "baro_admission_readers", 18 },
		{ "baro_admission_queued", 20 },
		{ "baro_admission_writes", 22 },
		{ "baro_admission_workers", s.workers },
		{ "baro_admission_granted_total",
		  s.granted[BARO_JOB_INSERT] + s.granted[BARO_JOB_INSERT_BATCH] },
		{ "baro_admission_reserved_bytes", s.reserved_bytes },
		{ "baro_admission_reserved_peak_bytes", s.reserved_peak_bytes },
		{ "baro_admission_write_share_ratio", s.write_share_ppm },
	};

	assert_true(s.workers > 22);
	assert_true(s.reserved_bytes > 1000 && s.reserved_peak_bytes >= 98000);
	assert_exported(m, row, COUNT(row));
	baro_admission_cancel(a, &cancel);
	for (int i = 0; i < 20; i++)
		assert_int_equal(answer(&waiter[i]), -ECANCELED);
	while (n > 0)
		baro_permit_release(&held[--n]);
	for (int i = 0; i < 18; i++)
		baro_admission_read_end(a, true, 1);
	assert_idle(a);
	baro_metrics_free(m);
	baro_admission_close(a);
}

static void waits_for_admission_are_exported_in_seconds(void **state)
{
	const struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_metrics *m = open_metrics();
	struct baro_admission_stats s;

	assert_int_equal(baro_admission_add_metrics(a, m, NULL), 0);
	for (int i = 0; i < 100; i++)
		spread_add(&a->wait, i < 60 ? NS_PER_MS : i < 99 ? NS_PER_S : 10 * NS_PER_S);
	s = stats_of(a);

	const struct metrics_row row[] = {
		{ "baro_admission_wait_p50_seconds", s.wait_ns.p50 },
		{ "baro_admission_wait_p99_seconds", s.wait_ns.p99 },
		{ "baro_admission_granted_total", 0 },
	};

	/* within 7 % */
	assert_in_range(s.wait_ns.p50, 930000, 1070000);
	assert_in_range(s.wait_ns.p99, 930000000, 1070000000);
	assert_true(s.wait_ns.max > 9 * NS_PER_S);
	assert_exported(m, row, COUNT(row));
	baro_metrics_free(m);
	baro_admission_close(a);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void breaches_of_the_overflow_region_are_exported(void **state)
{
	struct page_dir *d = *state;
	const struct baro_overflow_options options = { .size = sizeof(options),
						       .dir = d->dir,
						       .initial_bytes = 64 * KIB,
						       .max_bytes = 2048 * KIB,
						       .flags = BARO_OVERFLOW_ALLOW_MEMORY };
	struct baro_metrics *m = open_metrics();
	struct baro_overflow_counts counts;
	struct baro_overflow *region;
	struct rlimit before, little;
	void *p, *q;

	assert_int_equal(baro_overflow_open(&options, &region), 0);
	assert_int_equal(baro_overflow_add_metrics(region, m, NULL), 0);
	/* it doubles once, for the one that stays */
	assert_int_equal(baro_overflow_alloc(region, 100 * KIB, &q), 0);
	assert_int_equal(baro_overflow_alloc(region, 8 * KIB, &p), 0);
	assert_true(baro_overflow_free(region, p) > 0);
	assert_true(metrics_say(m, "baro_overflow_capacity_bytes 131072"));
	for (int i = 0; i < 10; i++)
		assert_int_equal(baro_overflow_alloc(region, 3000 * KIB, &p), -ENOBUFS);
	for (int i = 0; i < 7; i++)
		assert_true(baro_overflow_free(region, &little) < 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	little = (struct rlimit){ .rlim_cur = 4 * KIB, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(baro_overflow_alloc(region, 120 * KIB, &p), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	for (int i = 0; i < 7; i++)
		assert_int_equal(baro_overflow_alloc(region, 4 * KIB, &p), 0);
	baro_overflow_read(region, &counts);

	const struct metrics_row row[] = {
		{ "baro_overflow_refused_full_total", 10 },
		{ "baro_overflow_refused_disk_total", 6 },
		{ "baro_overflow_bad_frees_total", 7 },
		{ "baro_overflow_allocations_total", 9 },
		{ "baro_overflow_frees_total", 1 },
		{ "baro_overflow_live", 8 },
		{ "baro_overflow_grown_total", counts.grown },
		{ "baro_overflow_used_bytes", 128 * KIB },
		{ "baro_overflow_max_bytes", 2048 * KIB },
	};

	assert_exported(m, row, COUNT(row));
	baro_metrics_free(m);
	baro_overflow_close(region);
}

static void what_tables_hold_beyond_their_budget_is_exported(void **state)
{
	const struct baro_memtable_options options = { .size = sizeof(options) };
	struct baro_metrics *m = open_metrics();
	struct baro_memtable_group_stats s;
	struct baro_memtable_group *g;
	struct baro_memtable *table[2];
	uint64_t now_ns = NS_PER_S;

	assert_int_equal(baro_memtable_group_open(12 * MIB, &g), 0);
	assert_int_equal(baro_memtable_group_add_metrics(g, m, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(baro_memtable_open(&options, g, &table[i]), 0);
	(void)baro_memtable_group_update(g, now_ns, NULL);
	baro_memtable_record_write(table[0], 10 * MIB);
	baro_memtable_record_write(table[1], 7 * MIB);
	baro_memtable_rotate(table[0]);
	(void)baro_memtable_group_update(g, now_ns += NS_PER_S, NULL);
	baro_memtable_group_read(g, &s);

	const struct metrics_row row[] = {
		{ "baro_memtable_group_over_bytes", 5 * MIB },
		{ "baro_memtable_group_sealed_bytes", 10 * MIB },
		{ "baro_memtable_group_held_bytes", 7 * MIB },
		{ "baro_memtable_group_budget_bytes", 12 * MIB },
		{ "baro_memtable_group_tables", 2 },
		{ "baro_memtable_group_target_bytes", s.target_bytes },
		{ "baro_memtable_group_wanted_bytes", s.wanted_bytes },
	};

	assert_exported(m, row, COUNT(row));
	baro_metrics_free(m);
	for (int i = 0; i < 2; i++)
		baro_memtable_close(table[i]);
	assert_int_equal(baro_memtable_group_close(g), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(breaches_of_a_budget_are_exported),
		cmocka_unit_test(breaches_of_the_governor_are_exported),
		cmocka_unit_test(breaches_of_admission_are_exported),
		cmocka_unit_test(waits_for_admission_are_exported_in_seconds),
		cmocka_unit_test_setup_teardown(breaches_of_the_overflow_region_are_exported,
						page_dir_setup, page_dir_teardown),
		cmocka_unit_test(what_tables_hold_beyond_their_budget_is_exported),
	};

	return cmocka_run_group_tests_name("breaches", tests, NULL, NULL);
}
