// SPDX-License-Identifier: BSD-2-Clause
/* Permits and their limits: once only, in order, refused with a reason and a hint. */
#include "tests/unit/admission_support.h"

static const struct baro_job insert = { .kind = BARO_JOB_INSERT, .payload_bytes = 1000 };
static const struct baro_job batch = { .kind = BARO_JOB_INSERT_BATCH,
				       .records = 1000,
				       .payload_bytes = 1000000 };

/* ---- once only ------------------------------------------------------------------------------- */

static void a_permit_released_twice_does_not_raise_the_limit(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a;
	struct baro_collection *c;
	struct baro_permit first, second, third;

	limits.writes_max = 2;
	a = open_with(&limits);
	c = open_collection(a);
	first = acquire(c, &insert);
	second = acquire(c, &insert);
	assert_int_equal(baro_permit_release(&first), 0);
	assert_int_equal(baro_permit_release(&first), -EALREADY);
	assert_int_equal(baro_permit_release(&first), -EALREADY);
	/* two may run, not three or four */
	third = acquire(c, &insert);
	assert_int_equal(baro_permit_acquire(c, &insert, &first, NULL), -EBUSY);
	assert_int_equal(stats_of(a).writes, 2);
	assert_int_equal(stats_of(a).released_again, 2);
	baro_permit_release(&second);
	baro_permit_release(&third);
	assert_idle(a);
	baro_admission_close(a);
}

static void copies_are_one_permit_whoever_has_its_place_by_now(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a);
	struct baro_permit one = acquire(c, &insert), copy = one, other;

	assert_int_equal(baro_permit_release(&copy), 0);
	/* the entry in the table is taken again, by another permit */
	other = acquire(c, &insert);
	assert_int_equal(baro_permit_release(&one), -EALREADY);
	assert_int_equal(baro_permit_fail(&one), -EALREADY);
	assert_int_equal(baro_permit_step(&one, 1, 1), -EALREADY);
	assert_int_equal(stats_of(a).writes, 1);
	assert_int_equal(baro_permit_release(&other), 0);
	assert_idle(a);
	baro_admission_close(a);
}

static void no_permit_may_be_released_too(void **state)
{
	struct baro_permit none = { 0 };

	assert_int_equal(baro_permit_release(NULL), 0);
	assert_int_equal(baro_permit_release(&none), 0);
	assert_int_equal(baro_permit_fail(&none), 0);
}

static void an_id_that_was_never_given_is_not_believed(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_permit forged = { .admission = a, .id = UINT64_MAX };

	assert_int_equal(baro_permit_release(&forged), -EALREADY);
	forged.id = 1;
	assert_int_equal(baro_permit_release(&forged), -EALREADY);
	assert_idle(a);
	baro_admission_close(a);
}

static void failed_work_gives_back_the_same_and_counts_as_failed(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a);
	struct baro_permit p = acquire(c, &batch), q = acquire(c, &insert);
	struct baro_admission_stats s;

	assert_int_equal(baro_permit_fail(&p), 0);
	assert_int_equal(baro_permit_release(&q), 0);
	assert_idle(a);
	s = stats_of(a);
	assert_int_equal(s.done[BARO_MODE_BALANCED].failed, 1);
	assert_int_equal(s.done[BARO_MODE_BALANCED].jobs, 1);
	assert_int_equal(s.done[BARO_MODE_BALANCED].records, 1);
	assert_int_equal(s.done[BARO_MODE_BALANCED].payload_bytes, 1000);
	baro_admission_close(a);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void every_limit_refuses_what_is_beyond_it_and_names_itself(void **state)
{
	static const struct {
		struct baro_admission_limits lower; /* than wide */
		struct baro_job job;
		uint32_t admitted;
		int error;
		uint32_t resource;
	} row[] = {
		{ { .writes_max = 3 },
		  { .kind = BARO_JOB_DELETE },
		  3,
		  -EBUSY,
		  BARO_RESOURCE_WRITES },
		{ { .writes_max = 2 },
		  { .kind = BARO_JOB_STREAM, .records = 10 },
		  2,
		  -EBUSY,
		  BARO_RESOURCE_WRITES },
		{ { .batches_max = 2 },
		  { .kind = BARO_JOB_UPDATE_BATCH, .records = 10 },
		  2,
		  -EBUSY,
		  BARO_RESOURCE_BATCHES },
		{ { .batches_max = 1 },
		  { .kind = BARO_JOB_STREAM, .records = 10 },
		  1,
		  -EBUSY,
		  BARO_RESOURCE_BATCHES },
		{ { .index_max = 4 },
		  { .kind = BARO_JOB_INSERT, .flags = BARO_JOB_INDEXED },
		  4,
		  -EBUSY,
		  BARO_RESOURCE_INDEX },
		{ { .index_max = 1 },
		  { .kind = BARO_JOB_INDEX_BUILD, .records = 10 },
		  1,
		  -EBUSY,
		  BARO_RESOURCE_INDEX },
		{ { .workers_max = 3 },
		  { .kind = BARO_JOB_INSERT_BATCH, .records = 10, .workers_max = 1 },
		  3,
		  -EBUSY,
		  BARO_RESOURCE_WORKERS },
		{ { .memory_bytes = 1000 },
		  { .kind = BARO_JOB_INSERT, .cost_bytes = 300 },
		  3,
		  -EDQUOT,
		  BARO_RESOURCE_MEMORY },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct baro_admission_limits limits = wide_limits();
		const struct baro_admission_limits *l = &row[i].lower;
		struct baro_admission_refusal why = { 0 };
		struct baro_permit p[8], none = { .order = 99 };
		struct baro_collection *c;
		struct baro_admission *a;

		limits.writes_max = l->writes_max ? l->writes_max : limits.writes_max;
		limits.batches_max = l->batches_max ? l->batches_max : limits.batches_max;
		limits.index_max = l->index_max ? l->index_max : limits.index_max;
		limits.workers_max = l->workers_max ? l->workers_max : limits.workers_max;
		limits.memory_bytes = l->memory_bytes ? l->memory_bytes : limits.memory_bytes;
		a = open_with(&limits);
		c = open_collection(a);
		for (uint32_t n = 0; n < row[i].admitted; n++)
			p[n] = acquire(c, &row[i].job);
		assert_int_equal(baro_permit_acquire(c, &row[i].job, &none, &why), row[i].error);
		assert_int_equal(baro_permit_acquire(c, &row[i].job, &none, NULL), row[i].error);
		assert_int_equal(none.order, 99);
		assert_int_equal(why.error, row[i].error);
		assert_int_equal(why.resource, row[i].resource);
		assert_int_equal(why.layer, BARO_LAYER_DATABASE);
		assert_int_equal(why.retryable, 1);
		assert_true(why.retry_after_ns > 0);
		assert_true(why.held + why.asked > why.limit);
		/* one back, one more */
		assert_int_equal(baro_permit_release(&p[0]), 0);
		p[0] = acquire(c, &row[i].job);
		for (uint32_t n = 0; n < row[i].admitted; n++)
			assert_int_equal(baro_permit_release(&p[n]), 0);
		assert_idle(a);
		baro_admission_close(a);
	}
}

static void a_collections_limits_are_its_own_and_the_databases_bound_them_all(void **state)
{
	struct baro_collection_options o = { .size = sizeof(o),
					     .writes_max = 2,
					     .memory_bytes = 5000 };
	const struct baro_job small = { .kind = BARO_JOB_INSERT };
	const struct baro_job large = { .kind = BARO_JOB_INSERT, .cost_bytes = 3000 };
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission_refusal why;
	struct baro_collection *c[3];
	struct baro_permit p[4];
	struct baro_admission *a;

	limits.writes_max = 3;
	a = open_with(&limits);
	for (int i = 0; i < 3; i++)
		assert_int_equal(baro_collection_open(a, "docs", &o, &c[i]), 0);
	p[0] = acquire(c[0], &small);
	p[1] = acquire(c[0], &small);
	assert_int_equal(baro_permit_acquire(c[0], &small, &p[3], &why), -EBUSY);
	assert_int_equal(why.layer, BARO_LAYER_COLLECTION);
	assert_int_equal(why.held, 2);
	assert_int_equal(why.limit, 2);
	p[2] = acquire(c[1], &large);
	assert_int_equal(baro_permit_acquire(c[2], &small, &p[3], &why), -EBUSY);
	assert_int_equal(why.layer, BARO_LAYER_DATABASE);
	baro_permit_release(&p[0]);
	assert_int_equal(baro_permit_acquire(c[1], &large, &p[0], &why), -EDQUOT);
	assert_int_equal(why.layer, BARO_LAYER_COLLECTION);
	assert_int_equal(why.asked, 3000);
	assert_int_equal(why.held, 3000);
	assert_int_equal(why.limit, 5000);
	baro_permit_release(&p[1]);
	baro_permit_release(&p[2]);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_living_collection_takes_other_limits(void **state)
{
	struct baro_collection_options own = { .size = sizeof(own), .writes_max = 1 };
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_job write = { .kind = BARO_JOB_INSERT };
	struct baro_collection *c;
	struct asker waiter;
	struct baro_permit p, q;

	assert_int_equal(baro_collection_open(a, "docs", &own, &c), 0);
	p = acquire(c, &write);
	assert_int_equal(baro_permit_acquire(c, &write, &q, NULL), -EBUSY);
	/* a higher one lets in who waits, without anything being released */
	write.deadline_ns = BARO_PAGE_NONE;
	queue_up(&waiter, c, &write);
	own.writes_max = 2;
	assert_int_equal(baro_collection_set_limits(c, &own), 0);
	assert_int_equal(answer(&waiter), 0);
	/* what is held beyond a lower one stays, and nothing comes beside it */
	own.writes_max = 1;
	assert_int_equal(baro_collection_set_limits(c, &own), 0);
	write.deadline_ns = 0;
	assert_int_equal(baro_permit_release(&p), 0);
	assert_int_equal(baro_permit_acquire(c, &write, &q, NULL), -EBUSY);
	assert_int_equal(baro_permit_release(&waiter.permit), 0);
	q = acquire(c, &write);
	own.size = 1;
	assert_int_equal(baro_collection_set_limits(c, &own), -EINVAL);
	assert_int_equal(baro_permit_release(&q), 0);
	assert_idle(a);
	baro_admission_close(a);
}

static void bytes_are_counted_for_every_job_and_given_back_to_the_byte(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a);
	struct baro_collection_stats own;
	uint64_t sum = 0, seed = 5;
	struct baro_permit p[64];

	for (int i = 0; i < 64; i++) {
		struct baro_job job = { .kind = i % 5 ? BARO_JOB_INSERT : BARO_JOB_INSERT_BATCH,
					.records = i % 5 ? 1 : 50,
					.payload_bytes = next_random(&seed) % 100000,
					.workers_max = 2 };

		p[i] = acquire(c, &job);
		sum += p[i].bytes;
		assert_true(p[i].bytes > job.payload_bytes);
		assert_int_equal(stats_of(a).reserved_bytes, sum);
	}
	baro_collection_stats_read(c, &own);
	assert_int_equal(own.reserved_bytes, sum);
	for (int i = 0; i < 64; i++) {
		baro_permit_release(&p[i]);
		sum -= p[i].bytes;
		assert_int_equal(stats_of(a).reserved_bytes, sum);
	}
	assert_idle(a);
	assert_true(stats_of(a).reserved_peak_bytes > 0);
	baro_admission_close(a);
}

static void the_short_way_and_the_long_way_cost_the_same(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a);

	/* one in some goes the long way, whatever it is */
	for (uint64_t i = 0; i < 640; i++) {
		const struct baro_job job = { .kind = BARO_JOB_INSERT,
					      .flags = i & 1 ? BARO_JOB_INDEXED : 0,
					      .payload_bytes = i / 2 };
		struct baro_permit p = acquire(c, &job);
		struct baro_cost cost;

		baro_cost_estimate(&a->model, &job, 1, 1, &cost);
		assert_int_equal(p.bytes, cost.total_bytes);
		assert_int_equal(p.order, i + 1);
		assert_int_equal(p.workers, 1);
		assert_int_equal(p.chunk_records, 1);
		baro_permit_release(&p);
	}
	assert_idle(a);
	baro_admission_close(a);
}

static void a_job_that_can_never_fit_gets_a_final_error(void **state)
{
	static const struct baro_job never[] = {
		{ .kind = BARO_JOB_INSERT, .payload_bytes = 2 * MIB },
		{ .kind = BARO_JOB_INSERT, .payload_bytes = UINT64_MAX },
		{ .kind = BARO_JOB_INSERT_BATCH, .records = 100, .payload_bytes = 2 * MIB },
		{ .kind = BARO_JOB_INSERT, .cost_bytes = MIB + 1 },
	};
	const struct baro_job source = { .kind = BARO_JOB_STREAM,
					 .flags = BARO_JOB_SOURCED,
					 .records = 1000,
					 .payload_bytes = 2 * MIB };
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission_refusal why;
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p;

	limits.memory_bytes = MIB;
	limits.writes_max = 1;
	a = open_with(&limits);
	c = open_collection(a);
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		struct baro_job job = never[i];

		/* waiting would not help, and so it does not wait */
		job.deadline_ns = BARO_PAGE_NONE;
		assert_int_equal(baro_permit_acquire(c, &job, &p, &why), -E2BIG);
		assert_int_equal(why.retryable, 0);
		assert_int_equal(why.retry_after_ns, 0);
		assert_int_equal(why.resource, BARO_RESOURCE_MEMORY);
		assert_int_equal(why.limit, MIB);
		assert_true(why.asked > MIB);
	}
	/* the same is final while everything is full, too */
	p = acquire(c, &source);
	assert_true(p.bytes <= MIB);
	assert_int_equal(baro_permit_acquire(c, &never[0], &p, NULL), -E2BIG);
	assert_int_equal(baro_permit_acquire(c, &insert, &p, NULL), -EBUSY);
	baro_permit_release(&p);
	assert_int_equal(stats_of(a).refused_never_fits, 5);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_huge_request_does_not_wrap(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_job huge = { .kind = BARO_JOB_INSERT };
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p, q;

	limits.memory_bytes = UINT64_MAX - 10;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &insert);
	for (unsigned int shift = 0; shift < 64; shift++) {
		huge.cost_bytes = UINT64_MAX >> shift;
		if (baro_permit_acquire(c, &huge, &q, NULL) == 0)
			baro_permit_release(&q);
		huge.payload_bytes = UINT64_MAX >> shift;
		huge.cost_bytes = 0;
		if (baro_permit_acquire(c, &huge, &q, NULL) == 0)
			baro_permit_release(&q);
		assert_int_equal(stats_of(a).reserved_bytes, p.bytes);
	}
	baro_permit_release(&p);
	assert_idle(a);
	baro_admission_close(a);
}

static void there_are_no_more_permits_than_the_table_has(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission_options o = { .size = sizeof(o), .permits_max = 3 };
	struct baro_admission_limits now;
	struct baro_permit p[4];
	struct baro_collection *c;
	struct baro_admission *a;

	o.limits = limits;
	assert_int_equal(baro_admission_open(&o, &a), 0);
	c = open_collection(a);
	baro_admission_limits_now(a, &now);
	assert_int_equal(now.writes_max, 3);
	for (int i = 0; i < 3; i++)
		p[i] = acquire(c, &insert);
	assert_int_equal(baro_permit_acquire(c, &insert, &p[3], NULL), -EBUSY);
	for (int i = 0; i < 3; i++)
		baro_permit_release(&p[i]);
	assert_idle(a);
	baro_admission_close(a);
}

/* ---- order ----------------------------------------------------------------------------------- */

static void order_numbers_go_on_by_records_and_are_each_collections_own(void **state)
{
	struct baro_collection_options o = { .size = sizeof(o), .first_order = 1000 };
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a), *reopened;
	struct baro_permit p[4];

	assert_int_equal(baro_collection_open(a, "reopened", &o, &reopened), 0);
	p[0] = acquire(c, &insert);
	p[1] = acquire(c, &batch);
	p[2] = acquire(c, &insert);
	p[3] = acquire(reopened, &insert);
	assert_int_equal(p[0].order, 1);
	assert_int_equal(p[1].order, 2);
	assert_int_equal(p[2].order, 1002);
	assert_int_equal(p[3].order, 1000);
	for (int i = 0; i < 4; i++)
		baro_permit_release(&p[i]);
	baro_admission_close(a);
}

static void order_numbers_end_with_an_error(void **state)
{
	struct baro_collection_options o = { .size = sizeof(o), .first_order = UINT64_C(1) << 62 };
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c;
	struct baro_permit p;

	assert_int_equal(baro_collection_open(a, "old", &o, &c), 0);
	assert_int_equal(baro_permit_acquire(c, &insert, &p, NULL), -EOVERFLOW);
	assert_int_equal(baro_permit_acquire(c, &batch, &p, NULL), -EOVERFLOW);
	o.first_order++;
	assert_int_equal(baro_collection_open(a, "older", &o, &c), -EINVAL);
	baro_admission_close(a);
}

static void ordered_jobs_of_a_collection_run_one_at_a_time(void **state)
{
	const struct baro_job ordered = { .kind = BARO_JOB_STREAM,
					  .flags = BARO_JOB_ORDERED,
					  .records = 10 };
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a), *d = open_collection(a);
	struct baro_admission_refusal why;
	struct baro_permit p[4];

	p[0] = acquire(c, &ordered);
	assert_int_equal(baro_permit_acquire(c, &ordered, &p[3], &why), -EBUSY);
	assert_int_equal(why.resource, BARO_RESOURCE_ORDER);
	assert_int_equal(why.layer, BARO_LAYER_COLLECTION);
	/* others are free to go, and so is another collection */
	p[1] = acquire(c, &insert);
	p[2] = acquire(d, &ordered);
	baro_permit_release(&p[0]);
	p[0] = acquire(c, &ordered);
	assert_int_equal(p[0].order, 12);
	for (int i = 0; i < 3; i++)
		baro_permit_release(&p[i]);
	assert_idle(a);
	baro_admission_close(a);
}

/* ---- words and signals ----------------------------------------------------------------------- */

static void refusals_are_worded(void **state)
{
	static const struct {
		struct baro_admission_refusal refusal;
		const char *words;
	} row[] = {
		{ { -ENOBUFS, BARO_LAYER_DATABASE, BARO_RESOURCE_QUEUE, 1, 1, 32, 32, 3000000 },
		  "the queue is full: 32 of 32 waiting jobs, limit of the database; try again in "
		  "3000 us" },
		{ { -EDQUOT, BARO_LAYER_COLLECTION, BARO_RESOURCE_MEMORY, 1, 12 << 20, 60 << 20,
		    64 << 20, 20000000 },
		  "the memory budget is exceeded: 12 MiB asked, 60 MiB of 64 MiB held, limit of "
		  "the collection; try again in 20 ms" },
		{ { -EAGAIN, BARO_LAYER_READERS, BARO_RESOURCE_TIME, 1, 1, 0, 0, 500 },
		  "ingestion is throttled: by the readers; try again in 500 ns" },
		{ { -EAGAIN, BARO_LAYER_HOST, BARO_RESOURCE_TIME, 1, 1, 0, 0, 100000000 },
		  "ingestion is throttled: by the host's pressure; try again in 100 ms" },
		{ { -EBUSY, BARO_LAYER_DATABASE, BARO_RESOURCE_BATCHES, 1, 1, 2, 2, 1000 },
		  "the concurrency limit is reached: 2 of 2 batches, limit of the database; try "
		  "again in 1000 ns" },
		{ { -E2BIG, BARO_LAYER_DATABASE, BARO_RESOURCE_MEMORY, 0, UINT64_MAX, 0, 100, 0 },
		  "the job can never fit the memory budget: 17179869183 GiB asked, 0 bytes of 100 "
		  "bytes held, limit of the database" },
		{ { -ESHUTDOWN, 0, 0, 0, 0, 0, 0, 0 }, "the database stops" },
	};
	char text[256];

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		int n = baro_admission_refusal_format(&row[i].refusal, text, sizeof(text));

		assert_string_equal(text, row[i].words);
		assert_int_equal(n, strlen(text));
	}
	assert_int_equal(baro_admission_refusal_format(&row[0].refusal, NULL, 0),
			 strlen(row[0].words));
}

static void every_error_has_words_of_its_own(void **state)
{
	static const int error[] = { 0,       -ENOBUFS,   -EDQUOT,    -EAGAIN,    -EBUSY,
				     -E2BIG,  -ETIMEDOUT, -ECANCELED, -ESHUTDOWN, -EALREADY,
				     -EINVAL, -EOVERFLOW, -ENOMEM,    -EXDEV };
	const size_t count = sizeof(error) / sizeof(error[0]);

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(baro_admission_strerror(error[i]),
						baro_admission_strerror(error[j]));
	assert_string_equal(baro_admission_strerror(EBUSY), baro_admission_strerror(-EBUSY));
}

static void signals_tell_what_happened(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission_stats s;
	struct baro_collection_stats own;
	struct baro_permit p, q, r;
	struct baro_collection *c;
	struct baro_admission *a;

	limits.writes_max = 2;
	limits.workers_max = 4;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &batch);
	q = acquire(c, &insert);
	assert_int_equal(baro_permit_acquire(c, &insert, &r, NULL), -EBUSY);
	assert_int_equal(baro_permit_acquire(c, &batch, &r, NULL), -EBUSY);
	s = stats_of(a);
	assert_int_equal(s.mode, BARO_MODE_BALANCED);
	assert_int_equal(s.writes, 2);
	assert_int_equal(s.batches, 1);
	assert_int_equal(s.workers, p.workers);
	assert_int_equal(s.reserved_bytes, p.bytes + q.bytes);
	assert_int_equal(s.granted[BARO_JOB_INSERT], 1);
	assert_int_equal(s.granted[BARO_JOB_INSERT_BATCH], 1);
	assert_int_equal(s.refused_concurrency, 2);
	assert_int_equal(s.write_share_ppm, PPM);
	assert_int_equal(s.batch_workers.count, 1);
	assert_int_equal(s.batch_workers.max, p.workers);
	assert_int_equal(s.batch_chunk.mean, p.chunk_records);
	assert_int_equal(s.wait_ns.count, 2);
	assert_int_equal(s.wait_ns.p99, 0);
	baro_collection_stats_read(c, &own);
	assert_int_equal(own.writes, 2);
	assert_int_equal(own.granted, 2);
	assert_int_equal(own.refused, 2);
	assert_int_equal(own.next_order, 1002);
	/* throughput is counted by the mode in which it was admitted */
	assert_int_equal(baro_admission_set_mode(a, BARO_MODE_BULK_INGEST), 0);
	baro_permit_release(&p);
	baro_permit_release(&q);
	p = acquire(c, &insert);
	baro_permit_release(&p);
	s = stats_of(a);
	assert_int_equal(s.done[BARO_MODE_BALANCED].jobs, 2);
	assert_int_equal(s.done[BARO_MODE_BALANCED].records, 1001);
	assert_int_equal(s.done[BARO_MODE_BULK_INGEST].jobs, 1);
	assert_true(s.done[BARO_MODE_BALANCED].ns > 0);
	assert_int_equal(s.done[BARO_MODE_LATENCY].ns, 0);
	baro_admission_close(a);
}

static void what_a_closed_collection_refused_is_not_forgotten(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_collection *c, *d;
	struct baro_admission *a;
	struct baro_permit p, q;

	limits.writes_max = 1;
	a = open_with(&limits);
	c = open_collection(a);
	d = open_collection(a);
	p = acquire(d, &insert);
	assert_int_equal(baro_permit_acquire(c, &insert, &q, NULL), -EBUSY);
	assert_int_equal(baro_collection_close(d), -EBUSY);
	assert_int_equal(baro_collection_close(c), 0);
	assert_int_equal(stats_of(a).refused_concurrency, 1);
	baro_permit_release(&p);
	assert_int_equal(baro_collection_close(d), 0);
	baro_admission_close(a);
}

static void options_are_checked(void **state)
{
	struct baro_admission_options o = { .size = sizeof(o) - 1 };
	struct baro_collection_options co = { .size = 3 };
	struct baro_admission *a = (struct baro_admission *)&o;
	struct baro_collection *c = NULL;

	assert_int_equal(baro_admission_open(&o, &a), -EINVAL);
	o.size = sizeof(o);
	o.mode = BARO_MODES;
	assert_int_equal(baro_admission_open(&o, &a), -EINVAL);
	o.mode = 0;
	o.permits_max = 65537;
	assert_int_equal(baro_admission_open(&o, &a), -EINVAL);
	assert_ptr_equal(a, &o);
	assert_int_equal(baro_admission_open(NULL, &a), 0);
	assert_int_equal(baro_collection_open(a, "docs", &co, &c), -EINVAL);
	assert_int_equal(baro_collection_open(a, NULL, NULL, &c), -EINVAL);
	assert_null(c);
	assert_int_equal(baro_admission_set_mode(a, BARO_MODES), -EINVAL);
	baro_admission_close(a);
	baro_admission_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_permit_released_twice_does_not_raise_the_limit),
		cmocka_unit_test(copies_are_one_permit_whoever_has_its_place_by_now),
		cmocka_unit_test(no_permit_may_be_released_too),
		cmocka_unit_test(an_id_that_was_never_given_is_not_believed),
		cmocka_unit_test(failed_work_gives_back_the_same_and_counts_as_failed),
		cmocka_unit_test(every_limit_refuses_what_is_beyond_it_and_names_itself),
		cmocka_unit_test(a_collections_limits_are_its_own_and_the_databases_bound_them_all),
		cmocka_unit_test(a_living_collection_takes_other_limits),
		cmocka_unit_test(bytes_are_counted_for_every_job_and_given_back_to_the_byte),
		cmocka_unit_test(the_short_way_and_the_long_way_cost_the_same),
		cmocka_unit_test(a_job_that_can_never_fit_gets_a_final_error),
		cmocka_unit_test(a_huge_request_does_not_wrap),
		cmocka_unit_test(there_are_no_more_permits_than_the_table_has),
		cmocka_unit_test(order_numbers_go_on_by_records_and_are_each_collections_own),
		cmocka_unit_test(order_numbers_end_with_an_error),
		cmocka_unit_test(ordered_jobs_of_a_collection_run_one_at_a_time),
		cmocka_unit_test(refusals_are_worded),
		cmocka_unit_test(every_error_has_words_of_its_own),
		cmocka_unit_test(signals_tell_what_happened),
		cmocka_unit_test(what_a_closed_collection_refused_is_not_forgotten),
		cmocka_unit_test(options_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
