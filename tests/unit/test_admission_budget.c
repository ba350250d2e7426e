// SPDX-License-Identifier: BSD-2-Clause
/* An outer budget beside the own accounting: asked outside the lock, paid back once. */
#include "include/barostat/budget.h"
#include "tests/unit/admission_support.h"

struct purse {
	pthread_mutex_t lock;
	uint64_t limit, held, asked, refused;
	uint64_t cookies; /* given out and not come back, as a sum */
	struct baro_admission *admission; /* its lock must be free while we are asked */
};

static int purse_reserve(void *ctx, uint64_t bytes, uint64_t *ret_cookie)
{
	struct purse *p = ctx;
	int r = 0;

	stats_of(p->admission);
	pthread_mutex_lock(&p->lock);
	p->asked++;
	if (bytes > p->limit - p->held) {
		p->refused++;
		r = -ENOMEM;
	} else {
		p->held += bytes;
		*ret_cookie = bytes ^ 0xabcd;
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

static void purse_release(void *ctx, uint64_t bytes, uint64_t cookie)
{
	struct purse *p = ctx;

	stats_of(p->admission);
	pthread_mutex_lock(&p->lock);
	assert_true(cookie == (bytes ^ 0xabcd));
	assert_true(bytes <= p->held);
	p->held -= bytes;
	pthread_mutex_unlock(&p->lock);
}

static struct baro_admission *open_on(struct purse *p, uint64_t limit)
{
	struct baro_admission_options o = {
		.size = sizeof(o),
		.limits = wide_limits(),
		.model = simple_model(),
		.budget = { purse_reserve, purse_release, p },
	};

	*p = (struct purse){ .lock = PTHREAD_MUTEX_INITIALIZER, .limit = limit };
	assert_int_equal(baro_admission_open(&o, &p->admission), 0);
	return p->admission;
}

static const struct baro_job cheap = { .cost_bytes = 100 };

static void what_is_admitted_is_reserved_outside_and_paid_back_once(void **state)
{
	struct purse purse;
	struct baro_admission *a = open_on(&purse, 1000);
	struct baro_collection *c = open_collection(a);
	struct baro_permit p = acquire(c, &cheap), q = acquire(c, &cheap);

	assert_int_equal(purse.held, 200);
	assert_int_equal(p.order, 1);
	assert_int_equal(q.order, 2);
	assert_int_equal(baro_permit_release(&p), 0);
	assert_int_equal(baro_permit_release(&p), -EALREADY);
	assert_int_equal(purse.held, 100);
	assert_int_equal(baro_permit_fail(&q), 0);
	assert_int_equal(purse.held, 0);
	assert_idle(a);
	baro_admission_close(a);
}

static void what_is_refused_outside_leaves_nothing_behind(void **state)
{
	struct purse purse;
	struct baro_admission *a = open_on(&purse, 150);
	struct baro_collection *c = open_collection(a);
	struct baro_admission_refusal why;
	struct baro_permit p = acquire(c, &cheap), q = { .order = 9 };

	assert_int_equal(baro_permit_acquire(c, &cheap, &q, &why), -EDQUOT);
	assert_int_equal(q.order, 9);
	assert_int_equal(why.layer, BARO_LAYER_BUDGET);
	assert_int_equal(why.asked, 100);
	assert_int_equal(why.retryable, 1);
	assert_true(why.retry_after_ns > 0);
	assert_int_equal(stats_of(a).writes, 1);
	assert_int_equal(stats_of(a).reserved_bytes, 100);
	assert_int_equal(stats_of(a).refused_memory, 1);
	baro_permit_release(&p);
	/* and the numbers have no gap */
	q = acquire(c, &cheap);
	assert_int_equal(q.order, 2);
	baro_permit_release(&q);
	assert_int_equal(purse.held, 0);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_batch_is_cut_before_it_is_refused_outside(void **state)
{
	const struct baro_job job = { .kind = BARO_JOB_STREAM,
				      .flags = BARO_JOB_SOURCED,
				      .records = 100000,
				      .workers_max = 4 };
	struct purse purse;
	struct baro_admission *a = open_on(&purse, 150);
	struct baro_collection *c = open_collection(a);
	struct baro_permit p = acquire(c, &job);

	/* 4 workers with chunks of 100 would be 400 bytes: the least is one with 10 */
	assert_int_equal(p.workers, 1);
	assert_int_equal(p.chunk_records, 10);
	assert_int_equal(p.bytes, 10);
	assert_int_equal(purse.held, 10);
	assert_int_equal(stats_of(a).workers, 1);
	assert_int_equal(stats_of(a).cut, 1);
	/* it grows no further than what it has outside */
	for (int i = 0; i < 5; i++)
		assert_int_equal(baro_permit_step(&p, 10, 1000), BARO_STEP_ON);
	assert_int_equal(p.bytes, 10);
	baro_permit_release(&p);
	assert_int_equal(purse.held, 0);
	assert_idle(a);
	baro_admission_close(a);
}

static void who_waits_for_room_outside_keeps_its_place(void **state)
{
	enum { WAITERS = 6 };
	struct purse purse;
	struct baro_admission *a = open_on(&purse, 100);
	struct baro_collection *c = open_collection(a);
	struct baro_job patient = cheap;
	struct asker waiter[WAITERS];
	struct baro_permit p = acquire(c, &cheap);
	uint64_t until = lib_now_ns() + GIVE_UP;

	patient.deadline_ns = BARO_PAGE_NONE;
	for (uint32_t i = 0; i < WAITERS; i++) {
		start_asking(&waiter[i], c, &patient);
		/* who asks outside just now is not there to be counted */
		until_queued(a, i + 1);
	}
	/* they have asked in vain, and look again from time to time */
	while (stats_of(a).queued != WAITERS || purse.refused < 3)
		assert_true(lib_now_ns() < until);
	baro_permit_release(&p);
	for (int i = 0; i < WAITERS; i++) {
		assert_int_equal(answer(&waiter[i]), 0);
		assert_int_equal(waiter[i].permit.order, 2 + i);
		baro_permit_release(&waiter[i].permit);
	}
	/* what was refused outside in the meantime was not granted */
	assert_int_equal(stats_of(a).granted[BARO_JOB_INSERT], 1 + WAITERS);
	assert_int_equal(purse.held, 0);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_kick_makes_who_waits_look_again(void **state)
{
	struct purse purse;
	struct baro_admission *a = open_on(&purse, 0);
	struct baro_collection *c = open_collection(a);
	struct baro_job patient = cheap;
	struct asker waiter;
	bool waits;

	patient.deadline_ns = BARO_PAGE_NONE;
	queue_up(&waiter, c, &patient);
	/* it would not look again by itself before this test gives up */
	do {
		lock_take(&a->lock);
		waits = !a->asking_outside;
		if (waits)
			a->budget_until_ns = lib_now_ns() + GIVE_UP;
		lock_give(&a->lock);
	} while (!waits);
	pthread_mutex_lock(&purse.lock);
	purse.limit = 100;
	pthread_mutex_unlock(&purse.lock);
	baro_admission_kick(a);
	assert_int_equal(answer(&waiter), 0);
	baro_permit_release(&waiter.permit);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_newcomer_does_not_ask_outside_before_who_waits(void **state)
{
	for (int i = 0; i < 50; i++) {
		struct purse purse;
		struct baro_admission *a = open_on(&purse, 0);
		struct baro_collection *c = open_collection(a);
		struct baro_job patient = cheap;
		struct asker waiter;
		struct baro_permit p;

		patient.deadline_ns = BARO_PAGE_NONE;
		queue_up(&waiter, c, &patient);
		pthread_mutex_lock(&purse.lock);
		purse.limit = 100;
		pthread_mutex_unlock(&purse.lock);
		/* it is time to look again; who waits has not noticed yet, perhaps */
		lock_take(&a->lock);
		a->budget_until_ns = a->budget_until_ns ? 1 : 0;
		lock_give(&a->lock);
		assert_int_equal(baro_permit_acquire(c, &cheap, &p, NULL), -EDQUOT);
		baro_admission_kick(a);
		assert_int_equal(answer(&waiter), 0);
		baro_permit_release(&waiter.permit);
		assert_idle(a);
		baro_admission_close(a);
	}
}

static void a_deadline_holds_for_room_outside_too(void **state)
{
	struct purse purse;
	struct baro_admission *a = open_on(&purse, 0);
	struct baro_collection *c = open_collection(a);
	struct baro_job job = cheap;
	struct baro_admission_refusal why;
	struct baro_permit p;

	job.deadline_ns = lib_now_ns() + 20 * NS_PER_MS;
	assert_int_equal(baro_permit_acquire(c, &job, &p, &why), -ETIMEDOUT);
	assert_int_equal(why.layer, BARO_LAYER_BUDGET);
	assert_idle(a);
	baro_admission_close(a);
}

static void half_a_budget_is_no_budget(void **state)
{
	struct baro_admission_options o = { .size = sizeof(o),
					    .budget = { purse_reserve, NULL, NULL } };
	struct baro_admission *a = NULL;

	assert_int_equal(baro_admission_open(&o, &a), -EINVAL);
	assert_null(a);
}

/* One of ours, two layers deep: every layer holds it, each refuses, and all of it comes back. */
static void a_budget_of_ours_is_held_at_every_layer(void **state)
{
	struct baro_admission_options o = {
		.size = sizeof(o),
		.limits = wide_limits(),
		.model = simple_model(),
	};
	struct baro_budget *database, *engine, *other;
	struct baro_reservation taken;
	struct baro_admission *a;
	struct baro_collection *c;
	struct baro_permit p, q;

	assert_int_equal(baro_budget_open(NULL, "database", 250, 0, &database), 0);
	assert_int_equal(baro_budget_open(database, "writes", 200, 0, &engine), 0);
	assert_int_equal(baro_budget_open(database, "other", 200, 0, &other), 0);
	o.budget = baro_admission_budget_of(engine);
	assert_int_equal(baro_admission_open(&o, &a), 0);
	c = open_collection(a);
	p = acquire(c, &cheap);
	assert_int_equal(baro_budget_used(engine), 100);
	assert_int_equal(baro_budget_used(database), 100);
	/* room in its own layer, none in the one above */
	assert_int_equal(baro_budget_reserve(other, 100, &taken, NULL), 0);
	assert_int_equal(baro_permit_acquire(c, &cheap, &q, NULL), -EDQUOT);
	assert_int_equal(baro_reservation_release(&taken), 0);
	q = acquire(c, &cheap);
	assert_int_equal(baro_budget_used(engine), 200);
	/* and none in its own */
	assert_int_equal(baro_permit_acquire(c, &cheap, &(struct baro_permit){ .order = 0 }, NULL),
			 -EDQUOT);
	assert_int_equal(baro_budget_close(engine), -EBUSY);
	assert_int_equal(baro_permit_release(&p), 0);
	assert_int_equal(baro_permit_release(&p), -EALREADY);
	assert_int_equal(baro_budget_used(engine), 100);
	assert_int_equal(baro_permit_fail(&q), 0);
	assert_int_equal(baro_budget_used(database), 0);
	baro_admission_close(a);
	assert_int_equal(baro_budget_close(engine), 0);
	assert_int_equal(baro_budget_close(other), 0);
	assert_int_equal(baro_budget_close(database), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_admitted_is_reserved_outside_and_paid_back_once),
		cmocka_unit_test(what_is_refused_outside_leaves_nothing_behind),
		cmocka_unit_test(a_batch_is_cut_before_it_is_refused_outside),
		cmocka_unit_test(who_waits_for_room_outside_keeps_its_place),
		cmocka_unit_test(a_kick_makes_who_waits_look_again),
		cmocka_unit_test(a_newcomer_does_not_ask_outside_before_who_waits),
		cmocka_unit_test(a_deadline_holds_for_room_outside_too),
		cmocka_unit_test(a_budget_of_ours_is_held_at_every_layer),
		cmocka_unit_test(half_a_budget_is_no_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
