// SPDX-License-Identifier: BSD-2-Clause
/*
 * Threads that ask, wait, step, cancel, give up and change limits in orders nobody chose. What must
 * hold at every instant is checked by the holders themselves; in the end everything came back.
 */
#include <stdatomic.h>

#include "tests/unit/admission_support.h"

enum { THREADS = 8, ROUNDS = 3000, RECORDS_MAX = 40 };

/* cmocka's own may only fail in the thread that runs the tests. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct arena {
	struct baro_admission *a;
	struct baro_collection *c[2];
	_Atomic int64_t writes, batches, ordered[2];
	_Atomic uint64_t bytes, granted, released;
	_Atomic int live; /* threads */
	int64_t writes_max, batches_max;
	uint64_t bytes_max;
	_Atomic uint8_t *seen[2]; /* order numbers that were handed out */
	uint64_t seen_max;
	struct baro_cancel cancel[4];
};

/* Lets others in, at a place nobody chose. */
static void jitter(uint64_t *seed)
{
	switch (next_random(seed) % 16) {
	case 0:
		sched_yield();
		break;
	case 1:
		usleep((useconds_t)(next_random(seed) % 50));
		break;
	default:
		break;
	}
}

static struct baro_job any_job(uint64_t *seed, struct arena *r)
{
	struct baro_job job = {
		.kind = (uint32_t)(next_random(seed) % BARO_JOB_KINDS),
		.records = 1 + next_random(seed) % RECORDS_MAX,
		.payload_bytes = next_random(seed) % 4000,
		.workers_max = 1 + (uint32_t)(next_random(seed) % 3),
	};
	uint64_t wait = next_random(seed) % 8;

	if (next_random(seed) % 4 == 0)
		job.flags |= BARO_JOB_ORDERED;
	if (next_random(seed) % 8 == 0)
		job.flags |= BARO_JOB_ESSENTIAL;
	if (wait < 4)
		job.deadline_ns = lib_now_ns() + GIVE_UP;
	else if (wait < 7)
		job.deadline_ns = lib_now_ns() + next_random(seed) % 200000;
	if (next_random(seed) % 4 == 0)
		job.cancel = &r->cancel[next_random(seed) % 4];
	return job;
}

static bool is_batch_kind(uint32_t kind)
{
	return kind >= BARO_JOB_INSERT_BATCH && kind <= BARO_JOB_STREAM;
}

static void note_orders(struct arena *r, unsigned int which, const struct baro_permit *p,
			uint64_t records)
{
	for (uint64_t i = p->order; i < p->order + records; i++) {
		must(i < r->seen_max);
		/* no number twice */
		must(r->seen[which][i]++ == 0);
	}
}

/* What is true while a permit is held. */
static void hold(struct arena *r, unsigned int which, const struct baro_job *job,
		 struct baro_permit *p, uint64_t *seed)
{
	bool batch = is_batch_kind(job->kind), ordered = job->flags & BARO_JOB_ORDERED;
	uint64_t bytes;

	must(++r->writes <= r->writes_max);
	if (batch)
		must(++r->batches <= r->batches_max);
	if (ordered)
		must(++r->ordered[which] == 1);
	bytes = atomic_fetch_add(&r->bytes, p->bytes) + p->bytes;
	must(bytes <= r->bytes_max);
	jitter(seed);
	r->bytes -= p->bytes;
	if (ordered)
		r->ordered[which]--;
	if (batch)
		r->batches--;
	r->writes--;
}

static void one_job(struct arena *r, uint64_t *seed)
{
	unsigned int which = (unsigned int)(next_random(seed) % 2);
	struct baro_job job = any_job(seed, r);
	struct baro_admission_refusal why;
	struct baro_permit p;
	int result = baro_permit_acquire(r->c[which], &job, &p, &why);

	if (result < 0) {
		must(result == -EBUSY || result == -EDQUOT || result == -ENOBUFS ||
		     result == -ETIMEDOUT || result == -ECANCELED);
		must(why.error == result);
		return;
	}
	r->granted++;
	note_orders(r, which, &p, job.records);
	hold(r, which, &job, &p, seed);
	if (next_random(seed) % 2)
		result = baro_permit_release(&p);
	else
		result = baro_permit_fail(&p);
	must(result == 0);
	r->released++;
	/* twice, as often as anybody likes */
	if (next_random(seed) % 8 == 0)
		must(baro_permit_release(&p) == -EALREADY);
}

struct worker {
	struct arena *arena;
	uint64_t seed;
	pthread_t thread;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < ROUNDS; i++) {
		one_job(w->arena, &w->seed);
		jitter(&w->seed);
	}
	w->arena->live--;
	return NULL;
}

/* Fires tokens, and makes them anew when nobody uses them: which is never known, so they are only
 * put back; who asks meanwhile is cancelled or is not. */
static void *fire(void *arg)
{
	struct worker *w = arg;
	struct arena *r = w->arena;

	while (r->live) {
		struct baro_cancel *c = &r->cancel[next_random(&w->seed) % 4];

		baro_admission_cancel(r->a, c);
		jitter(&w->seed);
		__atomic_store_n(&c->fired, 0, __ATOMIC_RELEASE);
		usleep((useconds_t)(next_random(&w->seed) % 300));
	}
	return NULL;
}

static void *read_signals(void *arg)
{
	struct worker *w = arg;
	struct arena *r = w->arena;

	while (r->live) {
		struct baro_admission_stats s = stats_of(r->a);

		must(s.writes <= r->writes_max);
		must(s.batches <= r->batches_max);
		must(s.reserved_bytes <= r->bytes_max);
		baro_admission_read_begin(r->a);
		baro_admission_read_end(r->a, true, 1 + next_random(&w->seed) % 100000);
		jitter(&w->seed);
	}
	return NULL;
}

static void assert_no_gap(struct arena *r)
{
	for (int k = 0; k < 2; k++) {
		struct baro_collection_stats s;

		baro_collection_stats_read(r->c[k], &s);
		for (uint64_t i = 1; i < s.next_order; i++)
			assert_int_equal(r->seen[k][i], 1);
	}
}

static void limits_hold_and_nothing_is_lost_among_threads(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct arena r = {
		.writes_max = 4, .batches_max = 2, .bytes_max = 150000, .live = THREADS
	};
	struct worker w[THREADS + 2];
	struct baro_admission_stats s;

	limits.writes_max = 4;
	limits.batches_max = 2;
	limits.queue_max = 5;
	limits.workers_max = 4;
	limits.memory_bytes = r.bytes_max;
	r.a = open_with(&limits);
	r.seen_max = (uint64_t)THREADS * ROUNDS * RECORDS_MAX + 2;
	for (int i = 0; i < 2; i++) {
		r.c[i] = open_collection(r.a);
		r.seen[i] = calloc(r.seen_max, sizeof(*r.seen[i]));
		assert_non_null(r.seen[i]);
	}
	for (int i = 0; i < THREADS + 2; i++) {
		void *(*main_of)(void *) = i < THREADS ? work : i == THREADS ? fire : read_signals;

		w[i] = (struct worker){ .arena = &r, .seed = 1234567 + (uint64_t)i * 7919 };
		assert_int_equal(pthread_create(&w[i].thread, NULL, main_of, &w[i]), 0);
	}
	for (int i = 0; i < THREADS + 2; i++)
		pthread_join(w[i].thread, NULL);
	s = stats_of(r.a);
	assert_int_equal(r.granted, r.released);
	assert_int_equal(s.wait_ns.count, r.granted);
	assert_int_equal(s.done[BARO_MODE_BALANCED].jobs + s.done[BARO_MODE_BALANCED].failed,
			 r.released);
	assert_no_gap(&r);
	assert_idle(r.a);
	free((void *)r.seen[0]);
	free((void *)r.seen[1]);
	baro_admission_close(r.a);
}

/* ---- the same permit from many threads ------------------------------------------------------- */

struct race {
	struct baro_permit permit;
	pthread_barrier_t start;
	_Atomic int zeros, again;
};

static void *release_it(void *arg)
{
	struct race *r = arg;

	for (int i = 0; i < 2000; i++) {
		int result;

		pthread_barrier_wait(&r->start);
		result = baro_permit_release(&r->permit);
		if (result == 0)
			r->zeros++;
		else if (result == -EALREADY)
			r->again++;
		pthread_barrier_wait(&r->start);
	}
	return NULL;
}

static void a_permit_is_released_once_whoever_does_it(void **state)
{
	enum { RACERS = 4 };
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a);
	struct race r = { .zeros = 0 };
	pthread_t thread[RACERS];

	pthread_barrier_init(&r.start, NULL, RACERS + 1);
	for (int i = 0; i < RACERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, release_it, &r), 0);
	for (int i = 0; i < 2000; i++) {
		r.permit = acquire(c, &(struct baro_job){ .payload_bytes = 10 });
		pthread_barrier_wait(&r.start);
		pthread_barrier_wait(&r.start);
	}
	for (int i = 0; i < RACERS; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&r.start);
	assert_int_equal(r.zeros, 2000);
	assert_int_equal(r.again, 2000 * (RACERS - 1));
	assert_int_equal(stats_of(a).released_again, 2000 * (RACERS - 1));
	assert_idle(a);
	baro_admission_close(a);
}

/* ---- the instant in which a permit is handed over, and the wait ends otherwise --------------- */

static void a_permit_handed_over_as_the_wait_ends_is_never_lost(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_collection *c;
	struct baro_admission *a;
	uint64_t seed = 77;
	int admitted = 0;

	limits.writes_max = 1;
	a = open_with(&limits);
	c = open_collection(a);
	for (int i = 0; i < 3000; i++) {
		struct baro_permit p = acquire(c, &(struct baro_job){ .payload_bytes = 1 });
		struct baro_cancel cancel = { 0 };
		struct baro_job job = { .payload_bytes = 1, .cancel = &cancel };
		uint64_t spin = next_random(&seed) % 60000, until;
		struct asker waiter;
		int result;

		/* it ends by deadline, or by cancelling, at about the time of the release */
		job.deadline_ns = lib_now_ns() + (i % 2 ? GIVE_UP : 40000 + spin);
		start_asking(&waiter, c, &job);
		until = lib_now_ns() + 30000 + next_random(&seed) % 60000;
		while (lib_now_ns() < until)
			;
		if (i % 4 == 1)
			baro_admission_cancel(a, &cancel);
		baro_permit_release(&p);
		if (i % 4 == 3)
			baro_admission_cancel(a, &cancel);
		result = answer(&waiter);
		if (result == 0) {
			admitted++;
			assert_int_equal(baro_permit_release(&waiter.permit), 0);
		} else {
			assert_true(result == -ETIMEDOUT || result == -ECANCELED);
		}
		assert_idle(a);
	}
	assert_true(admitted > 0);
	baro_admission_close(a);
}

/* ---- batches with workers of their own ------------------------------------------------------- */

struct batch {
	struct arena *arena;
	struct baro_permit permit;
	_Atomic int64_t left; /* records */
	_Atomic int workers, started;
	pthread_t thread[4096];
};

static _Atomic int64_t batches_now;

struct hand {
	struct batch *batch;
	struct baro_permit permit;
};

static void start_hand(struct batch *b, const struct baro_permit *permit);

static void *hand(void *arg)
{
	struct hand me = *(struct hand *)arg;
	struct batch *b = me.batch;
	int step = BARO_STEP_ON;

	free(arg);
	while (step != BARO_STEP_END) {
		int64_t chunk = me.permit.chunk_records;
		int64_t left = atomic_fetch_sub(&b->left, chunk) - chunk;

		if (left <= 0)
			break;
		step = baro_permit_step(&me.permit, (uint64_t)chunk, 1000);
		must(step >= 0);
		if (step == BARO_STEP_MORE)
			start_hand(b, &me.permit);
		sched_yield();
	}
	/* where the work is done, its share stays with the permit */
	return NULL;
}

static void start_hand(struct batch *b, const struct baro_permit *permit)
{
	struct hand *h = malloc(sizeof(*h));
	int index = b->started++;

	must(h);
	must(index < 4096);
	*h = (struct hand){ b, *permit };
	must(pthread_create(&b->thread[index], NULL, hand, h) == 0);
}

static void *run_batches(void *arg)
{
	struct worker *w = arg;
	struct arena *r = w->arena;

	for (int i = 0; i < 30; i++) {
		struct baro_job job = { .kind = BARO_JOB_STREAM,
					.flags = BARO_JOB_SOURCED,
					.records = 500 + next_random(&w->seed) % 5000,
					.payload_bytes = 100000,
					.deadline_ns = BARO_PAGE_NONE };
		struct batch *b = calloc(1, sizeof(*b));
		int64_t running;

		must(b);
		b->arena = r;
		must(baro_permit_acquire(r->c[0], &job, &b->permit, NULL) == 0);
		running = ++batches_now;
		must(running <= r->batches_max);
		b->left = (int64_t)job.records;
		for (uint32_t k = 0; k < b->permit.workers; k++)
			start_hand(b, &b->permit);
		for (int k = 0; k < b->started; k++)
			pthread_join(b->thread[k], NULL);
		batches_now--;
		must(baro_permit_release(&b->permit) == 0);
		free(b);
	}
	return NULL;
}

static void batches_share_workers_among_threads_and_end(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct arena r = { .batches_max = 3 };
	struct worker w[5];

	limits.batches_max = 3;
	limits.workers_max = 6;
	limits.memory_bytes = 2 * MIB;
	r.a = open_with(&limits);
	r.c[0] = open_collection(r.a);
	for (int i = 0; i < 5; i++) {
		w[i] = (struct worker){ .arena = &r, .seed = 99 + (uint64_t)i };
		assert_int_equal(pthread_create(&w[i].thread, NULL, run_batches, &w[i]), 0);
	}
	for (int i = 0; i < 5; i++)
		pthread_join(w[i].thread, NULL);
	assert_true(stats_of(r.a).batch_workers.max <= 6);
	assert_idle(r.a);
	baro_admission_close(r.a);
}

/* ---- limits, modes and pressure that move under those who wait ------------------------------- */

static void *change_everything(void *arg)
{
	struct worker *w = arg;
	struct arena *r = w->arena;

	while (r->live) {
		struct baro_admission_limits limits = wide_limits();
		struct baro_pressure p =
		    pressure_of(1 + (uint32_t)(next_random(&w->seed) % 4),
				(uint32_t)(next_random(&w->seed) % PPM), BARO_PAGE_NONE);

		switch (next_random(&w->seed) % 3) {
		case 0:
			limits.writes_max = 1 + (uint32_t)(next_random(&w->seed) % 4);
			limits.workers_max = 1 + (uint32_t)(next_random(&w->seed) % 4);
			baro_admission_set_limits(r->a, &limits);
			break;
		case 1:
			must(baro_admission_set_mode(
				 r->a, (uint32_t)(next_random(&w->seed) % BARO_MODES)) == 0);
			break;
		default:
			baro_admission_observe(r->a, &p);
			break;
		}
		usleep((useconds_t)(next_random(&w->seed) % 500));
	}
	return NULL;
}

static void *ask_patiently(void *arg)
{
	struct worker *w = arg;
	struct arena *r = w->arena;

	for (int i = 0; i < 400; i++) {
		struct baro_job job = any_job(&w->seed, r);
		struct baro_permit p;

		job.cancel = NULL;
		job.deadline_ns = BARO_PAGE_NONE;
		/* nobody is forgotten, whatever moved meanwhile */
		must(baro_permit_acquire(r->c[0], &job, &p, NULL) == 0);
		jitter(&w->seed);
		baro_permit_step(&p, 1, next_random(&w->seed) % 20000);
		must(baro_permit_release(&p) == 0);
	}
	r->live--;
	return NULL;
}

static void nobody_is_forgotten_while_everything_moves(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct arena r = { .live = 6 };
	struct worker w[8];

	r.a = open_with(&limits);
	r.c[0] = open_collection(r.a);
	r.writes_max = r.batches_max = 1000;
	r.bytes_max = UINT64_MAX;
	for (int i = 0; i < 8; i++) {
		void *(*main_of)(void *) = i < 6    ? ask_patiently
					   : i == 6 ? change_everything
						    : read_signals;

		w[i] = (struct worker){ .arena = &r, .seed = 4321 + (uint64_t)i };
		assert_int_equal(pthread_create(&w[i].thread, NULL, main_of, &w[i]), 0);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(w[i].thread, NULL);
	assert_idle(r.a);
	baro_admission_close(r.a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_hold_and_nothing_is_lost_among_threads),
		cmocka_unit_test(a_permit_is_released_once_whoever_does_it),
		cmocka_unit_test(a_permit_handed_over_as_the_wait_ends_is_never_lost),
		cmocka_unit_test(batches_share_workers_among_threads_and_end),
		cmocka_unit_test(nobody_is_forgotten_while_everything_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
