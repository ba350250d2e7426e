// SPDX-License-Identifier: BSD-2-Clause
/* Waiting: who is next, who may pass whom, and every way in which a wait ends. */
#include "tests/unit/admission_support.h"

static const struct baro_job insert = { .kind = BARO_JOB_INSERT,
					.payload_bytes = 100,
					.deadline_ns = BARO_PAGE_NONE };
static const struct baro_job batch = { .kind = BARO_JOB_INSERT_BATCH,
				       .records = 100,
				       .payload_bytes = 100,
				       .deadline_ns = BARO_PAGE_NONE };

static struct baro_job held(uint64_t bytes)
{
	return (struct baro_job){ .cost_bytes = bytes, .deadline_ns = BARO_PAGE_NONE };
}

static void who_waits_gets_what_is_given_back(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p;
	struct asker waiter;

	limits.writes_max = 1;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &insert);
	queue_up(&waiter, c, &insert);
	assert_int_equal(baro_permit_release(&p), 0);
	assert_int_equal(answer(&waiter), 0);
	assert_int_equal(waiter.permit.order, 2);
	assert_int_equal(stats_of(a).waited, 1);
	assert_int_equal(stats_of(a).wait_ns.count, 2);
	assert_true(stats_of(a).wait_ns.max > 0);
	baro_permit_release(&waiter.permit);
	assert_idle(a);
	baro_admission_close(a);
}

static void waiters_are_admitted_in_the_order_of_their_asking(void **state)
{
	enum { WAITERS = 16 };
	struct baro_admission_limits limits = wide_limits();
	struct asker waiter[WAITERS];
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p;

	limits.writes_max = 1;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &insert);
	for (int i = 0; i < WAITERS; i++)
		queue_up(&waiter[i], c, &insert);
	baro_permit_release(&p);
	for (int i = 0; i < WAITERS; i++) {
		assert_int_equal(answer(&waiter[i]), 0);
		assert_int_equal(waiter[i].permit.order, 2 + i);
		/* nobody else was admitted meanwhile */
		assert_int_equal(stats_of(a).writes, 1);
		assert_int_equal(stats_of(a).queued, WAITERS - 1 - i);
		baro_permit_release(&waiter[i].permit);
	}
	assert_idle(a);
	baro_admission_close(a);
}

static void a_newcomer_does_not_overtake_who_waits_for_the_same(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	const struct baro_job large = held(800), small = { .cost_bytes = 100 };
	struct baro_admission_refusal why;
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p, q;
	struct asker waiter;

	limits.memory_bytes = 1000;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &(struct baro_job){ .cost_bytes = 300 });
	queue_up(&waiter, c, &large);
	/* 600 are left, and 100 would fit; but they are saved up for who came first */
	assert_int_equal(baro_permit_acquire(c, &small, &q, &why), -EDQUOT);
	assert_int_equal(why.resource, BARO_RESOURCE_MEMORY);
	baro_permit_release(&p);
	assert_int_equal(answer(&waiter), 0);
	q = acquire(c, &small);
	baro_permit_release(&q);
	baro_permit_release(&waiter.permit);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_batch_that_waits_for_batches_does_not_hold_up_inserts(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p, q;
	struct asker waiter;
	struct baro_job now;

	limits.batches_max = 1;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &batch);
	queue_up(&waiter, c, &batch);
	now = insert;
	now.deadline_ns = 0;
	q = acquire(c, &now);
	baro_permit_release(&q);
	/* but another batch would overtake */
	baro_permit_release(&p);
	assert_int_equal(answer(&waiter), 0);
	baro_permit_release(&waiter.permit);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_long_wait_for_a_batch_holds_up_no_insert_however_many_there_are(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_job now = insert;
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p, q;
	struct asker waiter;

	limits.batches_max = 1;
	a = open_with(&limits);
	c = open_collection(a);
	now.deadline_ns = 0;
	p = acquire(c, &batch);
	queue_up(&waiter, c, &batch);
	for (int i = 0; i < 1000; i++) {
		q = acquire(c, &now);
		baro_permit_release(&q);
	}
	baro_permit_release(&p);
	assert_int_equal(answer(&waiter), 0);
	baro_permit_release(&waiter.permit);
	assert_idle(a);
	baro_admission_close(a);
}

static void who_misses_its_turn_again_and_again_gets_it_in_the_end(void **state)
{
	const struct baro_job other_batch = { .kind = BARO_JOB_UPDATE_BATCH, .records = 10 };
	const struct baro_job indexed = { .flags = BARO_JOB_INDEXED };
	struct baro_admission_limits limits = wide_limits();
	struct baro_job both = batch;
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p, q;
	struct asker waiter;
	int missed = 0;

	limits.batches_max = 1;
	limits.index_max = 1;
	a = open_with(&limits);
	c = open_collection(a);
	both.flags = BARO_JOB_INDEXED;
	p = acquire(c, &other_batch);
	queue_up(&waiter, c, &both);
	/* it waits for a batch, and the index goes to another; then the other way round */
	for (;; missed++) {
		if (baro_permit_acquire(c, missed % 2 ? &other_batch : &indexed, &q, NULL) < 0)
			break;
		baro_permit_release(&p);
		p = q;
		assert_true(missed < 100);
	}
	assert_int_equal(stats_of(a).queued, 1);
	assert_in_range(missed, MISSED_MAX - 1, MISSED_MAX + 1);
	baro_permit_release(&p);
	assert_int_equal(answer(&waiter), 0);
	baro_permit_release(&waiter.permit);
	assert_idle(a);
	baro_admission_close(a);
}

static void crumbs_pass_who_waits_for_a_lot_of_memory_unless_they_are_in_its_way(void **state)
{
	const struct baro_job crumb = { .cost_bytes = 10 }, small = { .cost_bytes = 2000 };
	struct baro_admission_limits limits = wide_limits();
	struct baro_job large = held(900000);
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p, q, r;
	struct asker waiter;

	limits.memory_bytes = 1024000; /* a crumb is 1000 */
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &(struct baro_job){ .cost_bytes = 500000 });
	queue_up(&waiter, c, &large);
	for (int i = 0; i < 200; i++) {
		q = acquire(c, &crumb);
		baro_permit_release(&q);
	}
	assert_int_equal(baro_permit_acquire(c, &small, &q, NULL), -EDQUOT);
	q = acquire(c, &crumb);
	baro_permit_release(&p);
	assert_int_equal(answer(&waiter), 0);
	baro_permit_release(&waiter.permit);
	/* one that needs all of it: nothing but a crumb is in its way, and no more may come */
	large.cost_bytes = 1024000;
	queue_up(&waiter, c, &large);
	assert_int_equal(baro_permit_acquire(c, &crumb, &r, NULL), -EDQUOT);
	baro_permit_release(&q);
	assert_int_equal(answer(&waiter), 0);
	baro_permit_release(&waiter.permit);
	assert_idle(a);
	assert_int_equal(a->all.crumb_bytes, 0);
	assert_int_equal(c->own.crumb_bytes, 0);
	baro_admission_close(a);
}

static void collections_do_not_wait_for_each_others_limits(void **state)
{
	struct baro_collection_options o = { .size = sizeof(o), .writes_max = 1 };
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_job now = insert;
	struct baro_collection *c[2];
	struct baro_permit p, q;
	struct asker waiter;

	now.deadline_ns = 0;
	for (int i = 0; i < 2; i++)
		assert_int_equal(baro_collection_open(a, "docs", &o, &c[i]), 0);
	p = acquire(c[0], &insert);
	queue_up(&waiter, c[0], &insert);
	q = acquire(c[1], &now);
	baro_permit_release(&q);
	assert_int_equal(baro_permit_acquire(c[0], &now, &q, NULL), -EBUSY);
	assert_int_equal(baro_collection_close(c[0]), -EBUSY);
	baro_permit_release(&p);
	assert_int_equal(answer(&waiter), 0);
	baro_permit_release(&waiter.permit);
	assert_int_equal(baro_collection_close(c[0]), 0);
	assert_idle(a);
	baro_admission_close(a);
}

static void ordered_jobs_are_numbered_in_the_order_of_their_asking(void **state)
{
	enum { JOBS = 12 };
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission *a = open_with(&limits);
	struct baro_collection *c = open_collection(a);
	struct baro_job job = batch;
	struct asker waiter[JOBS];
	struct baro_permit p;

	job.flags = BARO_JOB_ORDERED;
	p = acquire(c, &job);
	for (int i = 0; i < JOBS; i++)
		queue_up(&waiter[i], c, &job);
	baro_permit_release(&p);
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(answer(&waiter[i]), 0);
		assert_int_equal(waiter[i].permit.order, 101 + 100 * i);
		assert_int_equal(stats_of(a).writes, 1);
		baro_permit_release(&waiter[i].permit);
	}
	assert_idle(a);
	baro_admission_close(a);
}

/* What the clock says around it bounds it from above, what it was held for from below. */
static void a_wait_is_shown_in_nanoseconds(void **state)
{
	const uint64_t held_ns = 20 * NS_PER_MS;
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission_stats s;
	struct baro_collection *c;
	struct baro_admission *a;
	struct asker waiter;
	struct baro_permit p;
	uint64_t before, queued, elapsed;

	limits.writes_max = 1;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &insert);
	before = lib_now_ns();
	queue_up(&waiter, c, &insert);
	queued = lib_now_ns();
	while (lib_now_ns() < queued + held_ns)
		usleep(1000);
	baro_permit_release(&p);
	assert_int_equal(answer(&waiter), 0);
	elapsed = lib_now_ns() - before;
	s = stats_of(a);
	/* one of the two did not wait; values are within 7 % */
	assert_int_equal(s.waited, 1);
	assert_int_equal(s.wait_ns.count, 2);
	assert_int_equal(s.wait_ns.p50, 0);
	assert_in_range(s.wait_ns.mean, held_ns / 2, elapsed / 2);
	assert_in_range(s.wait_ns.p99, held_ns - held_ns * 7 / 100, elapsed + elapsed * 7 / 100);
	assert_in_range(s.wait_ns.max, held_ns - held_ns * 7 / 100, elapsed + elapsed * 7 / 100);
	baro_permit_release(&waiter.permit);
	assert_idle(a);
	baro_admission_close(a);
}

/* ---- ends of a wait -------------------------------------------------------------------------- */

static void the_queue_is_bounded(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission_refusal why;
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p, q;
	struct asker waiter[2];

	limits.writes_max = 1;
	limits.queue_max = 2;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &insert);
	for (int i = 0; i < 2; i++)
		queue_up(&waiter[i], c, &insert);
	assert_int_equal(baro_permit_acquire(c, &insert, &q, &why), -ENOBUFS);
	assert_int_equal(why.resource, BARO_RESOURCE_QUEUE);
	assert_int_equal(why.held, 2);
	assert_int_equal(why.limit, 2);
	assert_int_equal(why.retryable, 1);
	assert_true(why.retry_after_ns > 0);
	assert_int_equal(stats_of(a).refused_queue_full, 1);
	assert_int_equal(stats_of(a).queued_peak, 2);
	baro_permit_release(&p);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(answer(&waiter[i]), 0);
		baro_permit_release(&waiter[i].permit);
	}
	limits.queue_max = BARO_QUEUE_NONE;
	baro_admission_set_limits(a, &limits);
	p = acquire(c, &insert);
	assert_int_equal(baro_permit_acquire(c, &insert, &q, &why), -ENOBUFS);
	baro_permit_release(&p);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_deadline_ends_the_wait_and_says_for_what_it_was(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission_refusal why = { 0 };
	struct baro_job job = insert;
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p, q = { .order = 5 };
	uint64_t before;

	limits.writes_max = 1;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &insert);
	before = lib_now_ns();
	job.deadline_ns = before + 20 * NS_PER_MS;
	assert_int_equal(baro_permit_acquire(c, &job, &q, &why), -ETIMEDOUT);
	assert_true(lib_now_ns() >= job.deadline_ns);
	assert_int_equal(why.resource, BARO_RESOURCE_WRITES);
	assert_int_equal(why.retryable, 1);
	/* one that has passed already */
	job.deadline_ns = 1;
	assert_int_equal(baro_permit_acquire(c, &job, &q, &why), -ETIMEDOUT);
	assert_int_equal(q.order, 5);
	assert_int_equal(stats_of(a).timed_out, 2);
	assert_int_equal(stats_of(a).queued, 0);
	baro_permit_release(&p);
	/* and it is no matter where there is nothing to wait for */
	q = acquire(c, &job);
	baro_permit_release(&q);
	assert_idle(a);
	baro_admission_close(a);
}

static void who_is_told_off_makes_way_for_who_waits_behind(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_job large = held(900), small = held(100);
	struct baro_cancel cancel = { 0 };
	struct asker first, second;
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p;

	limits.memory_bytes = 1000;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &(struct baro_job){ .cost_bytes = 500 });
	large.cancel = &cancel;
	queue_up(&first, c, &large);
	queue_up(&second, c, &small);
	/* nothing is given back: it is the one in front who goes */
	baro_admission_cancel(a, &cancel);
	assert_int_equal(answer(&first), -ECANCELED);
	assert_int_equal(answer(&second), 0);
	baro_permit_release(&second.permit);
	baro_permit_release(&p);
	assert_idle(a);
	baro_admission_close(a);
}

static void so_does_who_has_waited_too_long(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_job large = held(900), small = held(100);
	struct asker first, second;
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p;

	limits.memory_bytes = 1000;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &(struct baro_job){ .cost_bytes = 500 });
	large.deadline_ns = lib_now_ns() + NS_PER_S;
	start_asking(&first, c, &large);
	start_asking(&second, c, &small);
	assert_int_equal(answer(&first), -ETIMEDOUT);
	assert_int_equal(answer(&second), 0);
	baro_permit_release(&second.permit);
	baro_permit_release(&p);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_token_cancels_all_who_name_it_and_nobody_else(void **state)
{
	struct baro_cancel one = { 0 }, other = { 0 };
	struct baro_admission_limits limits = wide_limits();
	struct baro_admission_refusal why;
	struct baro_job job = insert;
	struct baro_collection *c;
	struct asker waiter[40];
	struct baro_admission *a;
	struct baro_permit p, q;

	limits.writes_max = 1;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &insert);
	for (int i = 0; i < 40; i++) {
		job.cancel = i % 2 ? &one : &other;
		queue_up(&waiter[i], c, &job);
	}
	baro_admission_cancel(a, &one);
	for (int i = 1; i < 40; i += 2) {
		assert_int_equal(answer(&waiter[i]), -ECANCELED);
		assert_int_equal(waiter[i].why.error, -ECANCELED);
		assert_int_equal(waiter[i].why.retryable, 0);
	}
	assert_int_equal(stats_of(a).queued, 20);
	assert_int_equal(stats_of(a).cancelled, 20);
	/* what is fired stays fired: who comes too late to be found does not wait either */
	job.cancel = &one;
	assert_int_equal(baro_permit_acquire(c, &job, &q, &why), -ECANCELED);
	baro_permit_release(&p);
	for (int i = 0; i < 40; i += 2) {
		assert_int_equal(answer(&waiter[i]), 0);
		baro_permit_release(&waiter[i].permit);
	}
	assert_idle(a);
	baro_admission_close(a);
}

static void stopping_ends_every_wait(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_collection *c;
	struct asker waiter[20];
	struct baro_admission *a;
	struct baro_permit p, q;

	limits.writes_max = 1;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &batch);
	for (int i = 0; i < 20; i++)
		queue_up(&waiter[i], c, &insert);
	baro_admission_stop(a);
	for (int i = 0; i < 20; i++)
		assert_int_equal(answer(&waiter[i]), -ESHUTDOWN);
	assert_int_equal(baro_permit_acquire(c, &insert, &q, NULL), -ESHUTDOWN);
	assert_int_equal(baro_permit_step(&p, 1, 1), -ESHUTDOWN);
	assert_int_equal(baro_permit_release(&p), 0);
	assert_int_equal(baro_permit_acquire(c, &insert, &q, NULL), -ESHUTDOWN);
	assert_idle(a);
	baro_admission_close(a);
}

static void higher_limits_admit_who_waits(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_collection *c;
	struct asker waiter[20];
	struct baro_admission *a;
	struct baro_permit p;

	limits.writes_max = 1;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &insert);
	for (int i = 0; i < 20; i++)
		queue_up(&waiter[i], c, &insert);
	/* more than are woken at a time */
	limits.writes_max = 64;
	baro_admission_set_limits(a, &limits);
	/* all of them, with nothing given back */
	for (int i = 0; i < 20; i++)
		assert_int_equal(answer(&waiter[i]), 0);
	for (int i = 0; i < 20; i++)
		baro_permit_release(&waiter[i].permit);
	baro_permit_release(&p);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_limit_too_low_for_who_waits_tells_him_so(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	const struct baro_job large = held(900), small = held(300);
	struct asker first, second;
	struct baro_collection *c;
	struct baro_admission *a;
	struct baro_permit p;

	limits.memory_bytes = 1000;
	a = open_with(&limits);
	c = open_collection(a);
	p = acquire(c, &(struct baro_job){ .cost_bytes = 500 });
	queue_up(&first, c, &large);
	queue_up(&second, c, &small);
	limits.memory_bytes = 800;
	baro_admission_set_limits(a, &limits);
	/* it would wait for ever, and keep the other from what is there */
	assert_int_equal(answer(&first), -E2BIG);
	assert_int_equal(first.why.retryable, 0);
	assert_int_equal(answer(&second), 0);
	baro_permit_release(&second.permit);
	baro_permit_release(&p);
	assert_idle(a);
	baro_admission_close(a);
}

/* ---- any order of events, without threads ---------------------------------------------------- */

enum { PLAYERS = 24, OUT = 64 };

struct player {
	struct waiter waiter;
	struct demand demand;
	struct baro_permit permit;
	bool waits;
};

struct game {
	struct baro_admission *a;
	struct baro_collection *c[3];
	struct player player[PLAYERS];
	struct baro_permit out[OUT];
	uint32_t outs;
	uint64_t asked; /* in this order */
	uint64_t seed;
};

static void collect(struct game *g)
{
	for (int i = 0; i < PLAYERS; i++) {
		struct player *p = &g->player[i];

		if (!p->waits || p->waiter.state < ADMITTED)
			continue;
		if (p->waiter.state == ADMITTED) {
			assert_true(g->outs < OUT);
			g->out[g->outs++] = p->permit;
		}
		p->waits = false;
	}
}

static struct baro_job any_job(struct game *g)
{
	struct baro_job job = { .kind = (uint32_t)(next_random(&g->seed) % BARO_JOB_KINDS),
				.records = 1 + next_random(&g->seed) % 50,
				.payload_bytes = next_random(&g->seed) % 400,
				.workers_max = (uint32_t)(next_random(&g->seed) % 4) };

	if (next_random(&g->seed) % 3 == 0)
		job.flags |= BARO_JOB_INDEXED;
	if (next_random(&g->seed) % 4 == 0)
		job.flags |= BARO_JOB_ORDERED;
	return job;
}

/* As a thread would: it asks, and stands in the queue when it must. */
static void play_ask(struct game *g)
{
	struct baro_collection *c = g->c[next_random(&g->seed) % 3];
	struct baro_admission *a = g->a;
	const struct baro_job job = any_job(g);
	struct lack lack, ahead = { 0, 0 };
	struct player *p = NULL;
	struct wakes wakes;

	for (int i = 0; i < PLAYERS && !p; i++)
		p = g->player[i].waits ? NULL : &g->player[i];
	if (!p || g->outs > OUT - PLAYERS)
		return;
	assert_int_equal(demand_of(&a->model, &job, a->chunk_min, a->crumb_max_bytes, &p->demand),
			 0);
	if (p->demand.floor_bytes > least(a->all.max_bytes, c->own.max_bytes))
		return;
	lack = queue_lack(a, c, &p->demand);
	if (a->first)
		ahead = queue_ahead(a, c, p->demand.need);
	if (!(lack.all | lack.own | ahead.all | ahead.own)) {
		permit_grant(a, c, &p->demand, &g->out[g->outs++]);
		return;
	}
	p->waiter = (struct waiter){ .collection = c, .demand = &p->demand, .permit = &p->permit };
	p->waits = true;
	wakes_init(&wakes);
	queue_join(a, &p->waiter);
	queue_look(a, &wakes);
	admission_unlock(a, &wakes);
	collect(g);
	lock_take(&a->lock);
}

static void play_give_back(struct game *g)
{
	uint32_t i;

	if (!g->outs)
		return;
	i = (uint32_t)(next_random(&g->seed) % g->outs);
	lock_give(&g->a->lock);
	assert_int_equal(baro_permit_release(&g->out[i]), 0);
	lock_take(&g->a->lock);
	g->out[i] = g->out[--g->outs];
	collect(g);
}

static void play_leave(struct game *g)
{
	struct player *p = &g->player[next_random(&g->seed) % PLAYERS];
	struct wakes wakes;

	if (!p->waits)
		return;
	wakes_init(&wakes);
	queue_leave(g->a, &p->waiter);
	p->waits = false;
	queue_look(g->a, &wakes);
	admission_unlock(g->a, &wakes);
	lock_take(&g->a->lock);
	collect(g);
}

static void play_limits(struct game *g)
{
	struct baro_admission_limits limits = wide_limits();

	/* now and then so much that more are admitted than are woken at a time */
	if (next_random(&g->seed) % 4) {
		limits.writes_max = 1 + (uint32_t)(next_random(&g->seed) % 8);
		limits.batches_max = 1 + (uint32_t)(next_random(&g->seed) % 4);
		limits.index_max = 1 + (uint32_t)(next_random(&g->seed) % 3);
		limits.workers_max = 1 + (uint32_t)(next_random(&g->seed) % 6);
		limits.memory_bytes = 70000 + next_random(&g->seed) % 20000;
	}
	lock_give(&g->a->lock);
	baro_admission_set_limits(g->a, &limits);
	lock_take(&g->a->lock);
	collect(g);
}

/* What must hold whatever happened. */
static void check(struct game *g)
{
	struct baro_admission *a = g->a;
	uint64_t bytes = 0, seen = 0;
	uint32_t workers = 0;

	for (uint32_t i = 0; i < g->outs; i++) {
		const struct slot *s = permit_slot(a, g->out[i].id);

		assert_non_null(s);
		assert_true(s->bytes == g->out[i].bytes);
		bytes += s->bytes;
		workers += s->workers;
	}
	assert_int_equal(a->all.used[WRITES], g->outs);
	assert_true(a->all.used_bytes == bytes);
	assert_int_equal(a->workers, workers);
	assert_true(a->all.crumb_bytes <= bytes);
	assert_int_equal(a->all.used_bytes, g->c[0]->own.used_bytes + g->c[1]->own.used_bytes +
						g->c[2]->own.used_bytes);
	/* nobody is forgotten: who waits lacks something, or somebody before him does who needs
	 * the same */
	for (const struct waiter *w = a->first; w; w = w->after, seen++) {
		struct lack lack = queue_lack(a, w->collection, w->demand);
		struct lack ahead = queue_ahead(a, w->collection, w->demand->need);

		assert_true(lack.all | lack.own | ahead.all | ahead.own);
		if (w == a->first)
			assert_true(lack.all | lack.own);
	}
	assert_int_equal(seen, a->queued);
	if (!a->first)
		assert_int_equal(a->all.waited_for, 0);
}

static void nobody_is_forgotten_whatever_happens(void **state)
{
	struct baro_admission_limits limits = wide_limits();
	struct baro_collection_options o = { .size = sizeof(o),
					     .writes_max = 3,
					     .batches_max = 2,
					     .index_max = 1,
					     .memory_bytes = 60000 };
	struct game g = { .seed = 20 };

	limits.memory_bytes = 90000;
	g.a = open_with(&limits);
	assert_int_equal(baro_collection_open(g.a, "narrow", &o, &g.c[0]), 0);
	for (int i = 1; i < 3; i++)
		g.c[i] = open_collection(g.a);
	lock_take(&g.a->lock);
	for (int i = 0; i < 200000; i++) {
		uint64_t what = next_random(&g.seed) % 100;

		if (what < 50)
			play_ask(&g);
		else if (what < 90)
			play_give_back(&g);
		else if (what < 97)
			play_leave(&g);
		else
			play_limits(&g);
		check(&g);
	}
	/* and in the end all get what they wait for */
	while (g.outs)
		play_give_back(&g);
	assert_null(g.a->first);
	lock_give(&g.a->lock);
	assert_idle(g.a);
	baro_admission_close(g.a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_waits_gets_what_is_given_back),
		cmocka_unit_test(waiters_are_admitted_in_the_order_of_their_asking),
		cmocka_unit_test(a_newcomer_does_not_overtake_who_waits_for_the_same),
		cmocka_unit_test(a_batch_that_waits_for_batches_does_not_hold_up_inserts),
		cmocka_unit_test(a_long_wait_for_a_batch_holds_up_no_insert_however_many_there_are),
		cmocka_unit_test(who_misses_its_turn_again_and_again_gets_it_in_the_end),
		cmocka_unit_test(
		    crumbs_pass_who_waits_for_a_lot_of_memory_unless_they_are_in_its_way),
		cmocka_unit_test(collections_do_not_wait_for_each_others_limits),
		cmocka_unit_test(ordered_jobs_are_numbered_in_the_order_of_their_asking),
		cmocka_unit_test(a_wait_is_shown_in_nanoseconds),
		cmocka_unit_test(the_queue_is_bounded),
		cmocka_unit_test(a_deadline_ends_the_wait_and_says_for_what_it_was),
		cmocka_unit_test(who_is_told_off_makes_way_for_who_waits_behind),
		cmocka_unit_test(so_does_who_has_waited_too_long),
		cmocka_unit_test(a_token_cancels_all_who_name_it_and_nobody_else),
		cmocka_unit_test(stopping_ends_every_wait),
		cmocka_unit_test(higher_limits_admit_who_waits),
		cmocka_unit_test(a_limit_too_low_for_who_waits_tells_him_so),
		cmocka_unit_test(nobody_is_forgotten_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
