// SPDX-License-Identifier: BSD-2-Clause
/* What a job is taken to cost, and how it is cut to what there is. */
#include "tests/unit/admission_support.h"

static const struct baro_cost_model model = {
	.buffer_ppm = 1500000,
	.write_path_ppm = 2000000,
	.quantise_ppm = 250000,
	.record_bytes = 10,
	.index_record_bytes = 100,
	.index_worker_bytes = 1000,
	.quantise_worker_bytes = 5000,
};

static void the_estimate_is_the_documented_sum(void **state)
{
	static const struct {
		struct baro_job job;
		uint32_t workers;
		uint64_t chunk;
		struct baro_cost cost;
	} row[] = {
		/* one record of 1000 bytes */
		{ { .kind = BARO_JOB_INSERT, .payload_bytes = 1000 },
		  0,
		  0,
		  { 1000, 1510, 0, 2000, 0, 4510 } },
		{ { .kind = BARO_JOB_INSERT, .flags = BARO_JOB_INDEXED, .payload_bytes = 1000 },
		  1,
		  1,
		  { 1000, 1510, 1100, 2000, 0, 5610 } },
		{ { .kind = BARO_JOB_UPDATE, .flags = BARO_JOB_QUANTISED, .payload_bytes = 1000 },
		  1,
		  1,
		  { 1000, 1510, 0, 2000, 5250, 9760 } },
		{ { .kind = BARO_JOB_DELETE }, 1, 1, { 0, 10, 0, 0, 0, 10 } },
		/* 100 of 1000 bytes, by 2 workers in chunks of 10 */
		{ { .kind = BARO_JOB_INSERT_BATCH, .records = 100, .payload_bytes = 100000 },
		  2,
		  10,
		  { 100000, 30200, 0, 40000, 0, 170200 } },
		{ { .kind = BARO_JOB_STREAM,
		    .flags = BARO_JOB_SOURCED,
		    .records = 100,
		    .payload_bytes = 100000 },
		  2,
		  10,
		  { 0, 30200, 0, 40000, 0, 70200 } },
		{ { .kind = BARO_JOB_INDEX_BUILD, .records = 100, .payload_bytes = 100000 },
		  2,
		  10,
		  { 100000, 30200, 4000, 40000, 0, 174200 } },
		/* a payload that is no multiple of its records is rounded up for each */
		{ { .kind = BARO_JOB_INSERT_BATCH, .records = 3, .payload_bytes = 10 },
		  1,
		  3,
		  { 10, 48, 0, 24, 0, 82 } },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct baro_cost cost;

		baro_cost_estimate(&model, &row[i].job, row[i].workers, row[i].chunk, &cost);
		assert_int_equal(cost.payload_bytes, row[i].cost.payload_bytes);
		assert_int_equal(cost.buffer_bytes, row[i].cost.buffer_bytes);
		assert_int_equal(cost.index_bytes, row[i].cost.index_bytes);
		assert_int_equal(cost.write_path_bytes, row[i].cost.write_path_bytes);
		assert_int_equal(cost.quantise_bytes, row[i].cost.quantise_bytes);
		assert_int_equal(cost.total_bytes, row[i].cost.total_bytes);
	}
}

static void an_estimate_beyond_64_bits_saturates(void **state)
{
	const struct baro_job job = { .kind = BARO_JOB_INSERT_BATCH,
				      .records = UINT64_C(1) << 40,
				      .payload_bytes = UINT64_MAX };
	struct baro_cost cost;

	baro_cost_estimate(&model, &job, UINT32_MAX, UINT64_MAX, &cost);
	assert_true(cost.total_bytes == UINT64_MAX);
	assert_true(cost.buffer_bytes == UINT64_MAX);
}

/* Records, payloads and models of every size, also absurd ones. */
static struct baro_job random_job(uint64_t *seed)
{
	struct baro_job job = {
		.kind = (uint32_t)(next_random(seed) % BARO_JOB_KINDS),
		.flags = (uint32_t)(next_random(seed) % 64),
		.records = next_random(seed) >> (20 + next_random(seed) % 33),
		.payload_bytes = next_random(seed) << 11 >> next_random(seed) % 60,
		.workers_max = (uint32_t)(next_random(seed) % 20),
		.chunk_records_max = (uint32_t)(next_random(seed) % 300),
	};

	if (job.kind < BARO_JOB_INSERT_BATCH)
		job.records %= 100;
	return job;
}

static void what_is_reserved_is_what_is_estimated(void **state)
{
	struct baro_cost_model m = model;
	uint64_t seed = 4711;

	for (int i = 0; i < 200000; i++) {
		struct baro_job job = random_job(&seed);
		uint64_t workers = 1 + next_random(&seed) % 16;
		struct baro_cost cost;
		struct demand d;
		uint64_t chunk;

		m.buffer_ppm = (uint32_t)(next_random(&seed) % 4000000);
		m.write_path_ppm = (uint32_t)(next_random(&seed) % 4000000);
		assert_int_equal(demand_of(&m, &job, 16, 0, &d), 0);
		assert_true(d.chunk_min >= 1 && d.chunk_min <= d.chunk_max);
		chunk = d.chunk_min + next_random(&seed) % (d.chunk_max - d.chunk_min + 1ull);
		if (d.workers_max == 1)
			workers = 1;
		baro_cost_estimate(&m, &job, (uint32_t)workers, chunk, &cost);
		assert_true(demand_bytes(&d, workers, chunk) == cost.total_bytes);
		assert_true(d.floor_bytes <= demand_bytes(&d, workers, chunk));
	}
}

static void a_callers_bounds_are_upper_bounds(void **state)
{
	struct baro_job job = { .kind = BARO_JOB_INSERT_BATCH,
				.records = 1000,
				.payload_bytes = 1000,
				.workers_max = 3,
				.chunk_records_max = 7 };
	struct demand d;

	assert_int_equal(demand_of(&model, &job, 32, 0, &d), 0);
	assert_int_equal(d.workers_max, 3);
	/* below what the mode has for its smallest */
	assert_int_equal(d.chunk_max, 7);
	assert_int_equal(d.chunk_min, 7);
	job.chunk_records_max = 0;
	job.workers_max = 0;
	assert_int_equal(demand_of(&model, &job, 32, 0, &d), 0);
	assert_int_equal(d.workers_max, UINT32_MAX);
	assert_int_equal(d.chunk_max, 1000);
	assert_int_equal(d.chunk_min, 32);
	job.records = 5;
	assert_int_equal(demand_of(&model, &job, 32, 0, &d), 0);
	assert_int_equal(d.chunk_max, 5);
	assert_int_equal(d.chunk_min, 5);
}

static void what_the_caller_knows_better_is_taken_as_it_is(void **state)
{
	const struct baro_job job = { .kind = BARO_JOB_INSERT_BATCH,
				      .flags = BARO_JOB_INDEXED | BARO_JOB_QUANTISED,
				      .records = 1000,
				      .payload_bytes = 123456789,
				      .cost_bytes = 42 };
	struct demand d;

	assert_int_equal(demand_of(&model, &job, 32, 0, &d), 0);
	assert_int_equal(demand_bytes(&d, 7, 32), 42);
	assert_int_equal(d.floor_bytes, 42);
}

static void nonsense_is_refused(void **state)
{
	static const struct baro_job bad[] = {
		{ .kind = BARO_JOB_KINDS },
		{ .kind = UINT32_MAX },
		{ .flags = 64 },
		{ .kind = BARO_JOB_INSERT, .records = UINT64_C(1) << 32 },
		{ .kind = BARO_JOB_INSERT_BATCH, .records = (UINT64_C(1) << 40) + 1 },
	};
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a);
	struct baro_permit p = { .order = 77 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(baro_permit_acquire(c, &bad[i], &p, NULL), -EINVAL);
	assert_int_equal(p.order, 77);
	assert_idle(a);
	baro_admission_close(a);
}

/* ---- cutting --------------------------------------------------------------------------------- */

static void memory_cuts_the_chunk_first_and_then_workers(void **state)
{
	/* held 1000; a worker 100; a record 10; chunks of 10 to 100 */
	const struct demand d = {
		.held_bytes = 1000, .worker_bytes = 100, .record_bytes = 10, .chunk_min = 10
	};
	static const struct {
		uint64_t available;
		uint32_t workers, chunk;
		bool fits;
	} row[] = {
		{ 1000 + 4 * 1100, 4, 100, true },
		{ UINT64_MAX, 4, 100, true },
		{ 1000 + 4 * 1100 - 1, 4, 99, true },
		{ 1000 + 4 * 600, 4, 50, true },
		{ 1000 + 4 * 200, 4, 10, true },
		{ 1000 + 4 * 200 - 1, 3, 16, true },
		{ 1000 + 2 * 200, 2, 10, true },
		{ 1000 + 399, 1, 29, true },
		{ 1000 + 200, 1, 10, true },
		{ 1000 + 199, 1, 10, false },
		{ 999, 1, 10, false },
		{ 0, 1, 10, false },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		uint32_t workers = 0, chunk = 0;

		assert_int_equal(demand_fit(&d, row[i].available, 4, 100, &workers, &chunk),
				 row[i].fits);
		assert_int_equal(workers, row[i].workers);
		assert_int_equal(chunk, row[i].chunk);
	}
}

static void a_cut_always_fits_and_is_never_more_than_the_wish(void **state)
{
	uint64_t seed = 99;

	for (int i = 0; i < 300000; i++) {
		struct baro_job job = random_job(&seed);
		uint64_t available = next_random(&seed) << 11 >> next_random(&seed) % 60;
		uint32_t wish_workers, wish_chunk, workers = 0, chunk = 0;
		struct demand d;
		bool fits;

		assert_int_equal(demand_of(&model, &job, 16, 0, &d), 0);
		wish_workers = (uint32_t)least(1 + next_random(&seed) % 64, d.workers_max);
		wish_chunk = (uint32_t)(d.chunk_min + next_random(&seed) % 4096);
		fits = demand_fit(&d, available, wish_workers, wish_chunk, &workers, &chunk);
		assert_true(workers >= 1 && workers <= wish_workers);
		assert_true(chunk >= d.chunk_min && chunk <= wish_chunk);
		assert_int_equal(fits, d.floor_bytes <= available);
		if (!fits) {
			assert_true(demand_bytes(&d, workers, chunk) == d.floor_bytes);
			continue;
		}
		assert_true(demand_bytes(&d, workers, chunk) <= available);
		/* and it is the most there is: neither a record nor a worker more would do */
		if (chunk < wish_chunk)
			assert_true(demand_bytes(&d, workers, chunk + 1ull) > available);
		if (workers < wish_workers)
			assert_true(demand_bytes(&d, workers + 1ull, d.chunk_min) > available);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_estimate_is_the_documented_sum),
		cmocka_unit_test(an_estimate_beyond_64_bits_saturates),
		cmocka_unit_test(what_is_reserved_is_what_is_estimated),
		cmocka_unit_test(a_callers_bounds_are_upper_bounds),
		cmocka_unit_test(what_the_caller_knows_better_is_taken_as_it_is),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(memory_cuts_the_chunk_first_and_then_workers),
		cmocka_unit_test(a_cut_always_fits_and_is_never_more_than_the_wish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
