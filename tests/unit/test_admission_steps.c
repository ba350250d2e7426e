// SPDX-License-Identifier: BSD-2-Clause
/* Inside a batch: workers and chunks follow what there is, from chunk to chunk. */
#include "tests/unit/admission_support.h"

static const struct baro_job batch = { .kind = BARO_JOB_INSERT_BATCH,
				       .records = 100000,
				       .payload_bytes = 100000 };

static struct baro_admission_limits with_workers(uint32_t workers)
{
	struct baro_admission_limits limits = wide_limits();

	limits.workers_max = workers;
	return limits;
}

/* What each worker of a batch has in its hand. */
struct crew {
	struct baro_permit permit[64];
	uint32_t count;
};

static struct crew crew_of(struct baro_collection *c, const struct baro_job *job)
{
	struct crew w = { .count = 0 };
	struct baro_permit p = acquire(c, job);

	while (w.count < p.workers)
		w.permit[w.count++] = p;
	return w;
}

/* Every worker has done a chunk. */
static void round_of(struct crew *w)
{
	for (uint32_t i = 0; i < w->count; i++) {
		switch (baro_permit_step(&w->permit[i], w->permit[i].chunk_records, 1000)) {
		case BARO_STEP_ON:
			break;
		case BARO_STEP_END:
			w->permit[i--] = w->permit[--w->count];
			break;
		case BARO_STEP_MORE:
			w->permit[w->count] = w->permit[i];
			w->count++;
			break;
		default:
			fail();
		}
	}
}

static void a_batch_alone_uses_all_workers_and_shares_them_with_who_comes(void **state)
{
	struct baro_admission_limits limits = with_workers(12);
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a);
	struct crew first = crew_of(c, &batch), second, third;
	struct baro_job patient = batch;
	struct asker waiter;

	assert_int_equal(first.count, 12);
	/* no worker is left: the second waits until the first has come to the end of a chunk */
	patient.deadline_ns = BARO_PAGE_NONE;
	queue_up(&waiter, c, &patient);
	round_of(&first);
	assert_int_equal(answer(&waiter), 0);
	second = (struct crew){ .count = waiter.permit.workers };
	for (uint32_t i = 0; i < second.count; i++)
		second.permit[i] = waiter.permit;
	round_of(&first);
	round_of(&second);
	round_of(&first);
	round_of(&second);
	assert_int_equal(first.count, 6);
	assert_int_equal(second.count, 6);
	queue_up(&waiter, c, &patient);
	round_of(&first);
	assert_int_equal(answer(&waiter), 0);
	third = (struct crew){ .permit = { waiter.permit }, .count = 1 };
	assert_int_equal(waiter.permit.workers, 1);
	for (int i = 0; i < 3; i++) {
		round_of(&first);
		round_of(&second);
		round_of(&third);
	}
	assert_int_equal(first.count, 4);
	assert_int_equal(second.count, 4);
	assert_int_equal(third.count, 4);
	assert_int_equal(stats_of(a).workers, 12);
	/* one ends, the others take its place */
	baro_permit_release(&first.permit[0]);
	for (int i = 0; i < 5; i++) {
		round_of(&second);
		round_of(&third);
	}
	assert_int_equal(second.count, 6);
	assert_int_equal(third.count, 6);
	baro_permit_release(&second.permit[0]);
	baro_permit_release(&third.permit[0]);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_callers_workers_and_chunk_are_never_exceeded(void **state)
{
	struct baro_admission_limits limits = with_workers(12);
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a);
	struct baro_job job = batch;
	struct crew crew;

	job.workers_max = 3;
	job.chunk_records_max = 7;
	crew = crew_of(c, &job);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(crew.count, 3);
		for (uint32_t k = 0; k < crew.count; k++)
			assert_int_equal(crew.permit[k].chunk_records, 7);
		round_of(&crew);
	}
	baro_permit_release(&crew.permit[0]);
	assert_idle(a);
	baro_admission_close(a);
}

static void there_are_no_more_workers_than_chunks(void **state)
{
	struct baro_admission_limits limits = with_workers(12);
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a);
	struct baro_job job = batch;
	struct baro_permit p;

	job.records = 350;
	p = acquire(c, &job);
	assert_int_equal(p.chunk_records, 100);
	assert_int_equal(p.workers, 3);
	baro_permit_release(&p);
	job.records = 1;
	p = acquire(c, &job);
	assert_int_equal(p.workers, 1);
	assert_int_equal(p.chunk_records, 1);
	baro_permit_release(&p);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_fixed_batch_leaves_room_for_others_and_never_changes(void **state)
{
	struct baro_admission_limits limits = with_workers(12);
	struct baro_job job = batch;
	struct baro_admission *a;
	struct baro_collection *c;
	struct baro_permit p[3];

	limits.batches_max = 3;
	a = open_with(&limits);
	c = open_collection(a);
	job.flags = BARO_JOB_FIXED;
	for (int i = 0; i < 3; i++) {
		p[i] = acquire(c, &job);
		assert_int_equal(p[i].workers, 4);
	}
	for (int i = 0; i < 5; i++)
		assert_int_equal(baro_permit_step(&p[0], 100, 1000), BARO_STEP_ON);
	assert_int_equal(p[0].workers, 4);
	assert_int_equal(p[0].chunk_records, 100);
	for (int i = 0; i < 3; i++)
		baro_permit_release(&p[i]);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_chunk_takes_as_long_as_it_should(void **state)
{
	struct baro_admission_limits limits = with_workers(1);
	struct baro_admission *a;
	struct baro_collection *c;
	struct baro_permit p;

	limits.chunk_target_ns = 20000;
	limits.chunk_records = 1000;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &batch);
	/* nothing is known yet */
	assert_int_equal(p.chunk_records, 1000);
	/* records of 1 us: 20 of them */
	for (int i = 0; i < 60; i++)
		assert_int_equal(baro_permit_step(&p, p.chunk_records, p.chunk_records * 1000ull),
				 BARO_STEP_ON);
	assert_int_equal(p.chunk_records, 20);
	/* they become slow: not below the smallest */
	for (int i = 0; i < 60; i++)
		assert_int_equal(baro_permit_step(&p, p.chunk_records, p.chunk_records * 50000ull),
				 BARO_STEP_ON);
	assert_int_equal(p.chunk_records, 10);
	/* and fast */
	for (int i = 0; i < 60; i++)
		assert_int_equal(baro_permit_step(&p, p.chunk_records, p.chunk_records * 100ull),
				 BARO_STEP_ON);
	assert_in_range(p.chunk_records, 150, 200);
	baro_permit_release(&p);
	/* the next batch of the collection begins where this one ended */
	p = acquire(c, &batch);
	assert_in_range(p.chunk_records, 150, 200);
	baro_permit_release(&p);
	assert_idle(a);
	baro_admission_close(a);
}

static void memory_short_cuts_chunks_first_then_workers_then_it_waits(void **state)
{
	struct baro_admission_options o = { .size = sizeof(o), .cpus = 4, .limits = wide_limits() };
	struct baro_job job = { .kind = BARO_JOB_INSERT_BATCH,
				.flags = BARO_JOB_SOURCED,
				.records = 100000 };
	struct baro_admission_refusal why;
	struct baro_permit rest, p;
	struct baro_admission *a;
	struct baro_collection *c;

	/* a record in a chunk is a byte: 4 workers with chunks of 100 want 400 */
	o.model = simple_model();
	o.limits.workers_max = 4;
	o.limits.memory_bytes = 1000;
	assert_int_equal(baro_admission_open(&o, &a), 0);
	c = open_collection(a);
	p = acquire(c, &job);
	assert_int_equal(p.workers, 4);
	assert_int_equal(p.chunk_records, 100);
	assert_int_equal(p.bytes, 400);
	baro_permit_release(&p);
	assert_int_equal(stats_of(a).cut, 0);

	rest = acquire(c, &(struct baro_job){ .cost_bytes = 900 });
	p = acquire(c, &job); /* 100 left */
	assert_int_equal(p.workers, 4);
	assert_int_equal(p.chunk_records, 25);
	assert_int_equal(p.bytes, 100);
	baro_permit_release(&p);
	baro_permit_release(&rest);

	rest = acquire(c, &(struct baro_job){ .cost_bytes = 975 });
	p = acquire(c, &job); /* 25 left: the smallest chunk is 10 */
	assert_int_equal(p.workers, 2);
	assert_int_equal(p.chunk_records, 12);
	baro_permit_release(&p);
	baro_permit_release(&rest);
	assert_int_equal(stats_of(a).cut, 2);

	rest = acquire(c, &(struct baro_job){ .cost_bytes = 991 });
	assert_int_equal(baro_permit_acquire(c, &job, &p, &why), -EDQUOT);
	assert_int_equal(why.asked, 10);
	assert_int_equal(why.held, 991);
	assert_int_equal(why.limit, 1000);
	baro_permit_release(&rest);
	assert_idle(a);
	baro_admission_close(a);
}

static void chunks_shrink_when_memory_has_become_short_and_grow_again(void **state)
{
	struct baro_admission_options o = { .size = sizeof(o), .cpus = 4, .limits = wide_limits() };
	struct baro_job job = { .kind = BARO_JOB_STREAM,
				.flags = BARO_JOB_SOURCED,
				.records = 100000 };
	struct baro_pressure high = pressure_of(BARO_LEVEL_CRITICAL, 900000, 1000);
	struct baro_pressure none = pressure_of(BARO_LEVEL_NORMAL, 100000, 100000);
	struct baro_admission *a;
	struct baro_collection *c;
	struct crew crew;

	o.model = simple_model();
	o.limits.workers_max = 4;
	o.limits.memory_bytes = 1000;
	assert_int_equal(baro_admission_open(&o, &a), 0);
	c = open_collection(a);
	crew = crew_of(c, &job);
	assert_int_equal(crew.permit[0].bytes, 400);
	baro_admission_observe(a, &high);
	for (int i = 0; i < 5; i++)
		round_of(&crew);
	/* 100 bytes are left of the budget, and one of four workers */
	assert_true(stats_of(a).reserved_bytes <= 100);
	assert_int_equal(crew.count, 1);
	baro_admission_observe(a, &none);
	for (int i = 0; i < 10; i++)
		round_of(&crew);
	assert_int_equal(crew.count, 4);
	assert_int_equal(stats_of(a).reserved_bytes, 400);
	baro_permit_release(&crew.permit[0]);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_batch_does_not_grow_over_the_head_of_who_waits_for_memory(void **state)
{
	struct baro_admission_options o = { .size = sizeof(o), .cpus = 4, .limits = wide_limits() };
	struct baro_job job = { .kind = BARO_JOB_STREAM,
				.flags = BARO_JOB_SOURCED,
				.records = 100000 };
	const struct baro_job large = { .cost_bytes = 970, .deadline_ns = BARO_PAGE_NONE };
	struct baro_admission *a;
	struct baro_collection *c;
	struct baro_permit rest;
	struct asker waiter;
	struct crew crew;

	o.model = simple_model();
	o.limits.workers_max = 4;
	o.limits.memory_bytes = 1000;
	assert_int_equal(baro_admission_open(&o, &a), 0);
	c = open_collection(a);
	rest = acquire(c, &(struct baro_job){ .cost_bytes = 960 });
	crew = crew_of(c, &job);
	assert_int_equal(stats_of(a).reserved_bytes, 1000);
	queue_up(&waiter, c, &large);
	/* 960 are free now: not enough for who waits, and not there for who could grow */
	baro_permit_release(&rest);
	for (int i = 0; i < 5; i++)
		round_of(&crew);
	assert_int_equal(stats_of(a).queued, 1);
	assert_int_equal(stats_of(a).reserved_bytes, 40);
	baro_permit_release(&crew.permit[0]);
	assert_int_equal(answer(&waiter), 0);
	baro_permit_release(&waiter.permit);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_step_tells_who_was_cancelled(void **state)
{
	struct baro_admission_limits limits = with_workers(2);
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a);
	struct baro_cancel cancel = { 0 };
	struct baro_job job = batch;
	struct baro_permit p;

	job.cancel = &cancel;
	p = acquire(c, &job);
	assert_int_equal(baro_permit_step(&p, 10, 10), BARO_STEP_ON);
	baro_admission_cancel(a, &cancel);
	assert_int_equal(baro_permit_step(&p, 10, 10), -ECANCELED);
	/* it is still to be given back */
	assert_int_equal(stats_of(a).writes, 1);
	assert_int_equal(baro_permit_fail(&p), 0);
	assert_int_equal(baro_permit_step(&p, 10, 10), -EALREADY);
	assert_idle(a);
	baro_admission_close(a);
}

static void single_jobs_may_step_too(void **state)
{
	struct baro_admission_limits limits = with_workers(2);
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a);

	for (int i = 0; i < 130; i++) {
		struct baro_permit p = acquire(c, &(struct baro_job){ .payload_bytes = 10 });

		assert_int_equal(baro_permit_step(&p, 1, 0), BARO_STEP_ON);
		assert_int_equal(baro_permit_step(&p, 1, 1000), BARO_STEP_ON);
		assert_int_equal(baro_permit_release(&p), 0);
	}
	assert_idle(a);
	baro_admission_close(a);
}

/* Batches come, step and go in any order, under limits that move, with copies that lie. */
static void whatever_steps_are_taken_the_sums_are_right(void **state)
{
	enum { CREWS = 6 };
	struct baro_admission_limits limits = with_workers(8);
	struct baro_admission *a;
	struct baro_collection *c;
	struct crew crew[CREWS] = { 0 };
	uint64_t seed = 8;

	limits.memory_bytes = 2 * MIB;
	a = open_with(&limits);
	c = open_collection(a);
	for (int i = 0; i < 100000; i++) {
		struct crew *w = &crew[next_random(&seed) % CREWS];
		uint64_t bytes = 0, what = next_random(&seed) % 100;
		uint32_t workers = 0;

		if (!w->count) {
			struct baro_job job = { .kind = BARO_JOB_INSERT_BATCH,
						.flags =
						    next_random(&seed) % 2 ? BARO_JOB_SOURCED : 0,
						.records = 1 + next_random(&seed) % 5000,
						.payload_bytes = next_random(&seed) % 300000 };
			struct baro_permit p;

			if (baro_permit_acquire(c, &job, &p, NULL) == 0)
				for (w->count = 0; w->count < p.workers;)
					w->permit[w->count++] = p;
		} else if (what < 80) {
			if (what < 3)
				w->permit[0].chunk_records = (uint32_t)next_random(&seed);
			round_of(w);
		} else if (what < 95) {
			assert_int_equal(baro_permit_release(&w->permit[0]), 0);
			w->count = 0;
		} else {
			limits.workers_max = 1 + (uint32_t)(next_random(&seed) % 8);
			limits.memory_bytes = 500 * KIB + next_random(&seed) % (2 * MIB);
			baro_admission_set_limits(a, &limits);
		}
		for (int k = 0; k < CREWS; k++)
			if (crew[k].count) {
				const struct slot *s = permit_slot(a, crew[k].permit[0].id);

				assert_int_equal(s->workers, crew[k].count);
				bytes += s->bytes;
				workers += s->workers;
			}
		assert_int_equal(a->all.used_bytes, bytes);
		assert_int_equal(c->own.used_bytes, bytes);
		assert_int_equal(a->workers, workers);
	}
	for (int k = 0; k < CREWS; k++)
		if (crew[k].count)
			baro_permit_release(&crew[k].permit[0]);
	assert_idle(a);
	baro_admission_close(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_alone_uses_all_workers_and_shares_them_with_who_comes),
		cmocka_unit_test(a_callers_workers_and_chunk_are_never_exceeded),
		cmocka_unit_test(there_are_no_more_workers_than_chunks),
		cmocka_unit_test(a_fixed_batch_leaves_room_for_others_and_never_changes),
		cmocka_unit_test(a_chunk_takes_as_long_as_it_should),
		cmocka_unit_test(memory_short_cuts_chunks_first_then_workers_then_it_waits),
		cmocka_unit_test(chunks_shrink_when_memory_has_become_short_and_grow_again),
		cmocka_unit_test(a_batch_does_not_grow_over_the_head_of_who_waits_for_memory),
		cmocka_unit_test(a_step_tells_who_was_cancelled),
		cmocka_unit_test(single_jobs_may_step_too),
		cmocka_unit_test(whatever_steps_are_taken_the_sums_are_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
