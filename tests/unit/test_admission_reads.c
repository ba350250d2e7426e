// SPDX-License-Identifier: BSD-2-Clause
/* Readers and writers: what is slow, how much of their time writes keep, and how they give way. */
#include "tests/unit/admission_support.h"

/* ---- the share, without time ----------------------------------------------------------------- */

static void a_slow_read_halves_the_share_and_good_ones_bring_it_back(void **state)
{
	struct pace p = { .share_ppm = PPM, .share_min_ppm = 10000 };

	pace_adjust(&p, 10, 1);
	assert_in_range(p.share_ppm, 500000, 520000);
	pace_adjust(&p, 10, 2);
	assert_in_range(p.share_ppm, 125000, 140000);
	/* slow reads come in bursts of one cause: three halvings at a time */
	pace_adjust(&p, 100, 100);
	assert_in_range(p.share_ppm, 15000, 18000);
	for (int i = 0; i < 100; i++)
		pace_adjust(&p, 100, 100);
	assert_int_equal(p.share_ppm, 10000);
	/* 200 good ones are worth one that was slow */
	pace_adjust(&p, 200, 0);
	assert_in_range(p.share_ppm, 16000, 21000);
	for (int i = 0; i < 100; i++)
		pace_adjust(&p, 1000, 0);
	assert_int_equal(p.share_ppm, PPM);
}

static void the_share_stays_within_its_bounds_and_is_never_stuck(void **state)
{
	uint64_t seed = 1;

	for (int i = 0; i < 100000; i++) {
		struct pace p = { .share_min_ppm = (uint32_t)(next_random(&seed) % PPM) };
		uint64_t reads = next_random(&seed) >> next_random(&seed) % 53;
		uint32_t before;

		p.share_ppm = (uint32_t)most(next_random(&seed) % PPM, p.share_min_ppm);
		before = p.share_ppm;
		pace_adjust(&p, reads, next_random(&seed) % (reads + 1));
		assert_in_range(p.share_ppm, p.share_min_ppm, PPM);
		p.share_ppm = before;
		pace_adjust(&p, reads + 1, 0);
		assert_true(p.share_ppm > before || p.share_ppm == PPM);
		p.share_ppm = before;
		pace_relax(&p);
		assert_true(p.share_ppm > before || p.share_ppm == PPM);
	}
}

/* Readers that are slow the more often the more is written: a share is found at which no more than
 * 1 % of them are, and not much less is written than would do no harm. */
static void the_share_settles_where_one_read_in_200_is_slow(void **state)
{
	static const uint32_t harmless_ppm[] = { 30000, 100000, 400000 };

	for (size_t k = 0; k < 3; k++) {
		struct pace p = { .share_ppm = PPM, .share_min_ppm = 1000 };
		uint64_t seed = 17 + k, slow_sum = 0, share_sum = 0;

		for (int i = 0; i < 40000; i++) {
			/* the part of slow reads grows with the square of the share */
			double x = (double)p.share_ppm / harmless_ppm[k];
			uint64_t slow = 0;

			for (int r = 0; r < 10; r++)
				slow += (double)(next_random(&seed) % PPM) < 5000 * x * x;
			pace_adjust(&p, 10, slow);
			if (i >= 10000) {
				slow_sum += slow;
				share_sum += p.share_ppm;
			}
		}
		assert_in_range(slow_sum, 300000 * 3 / 1000, 300000 * 8 / 1000);
		assert_in_range(share_sum / 30000, harmless_ppm[k] / 2, harmless_ppm[k] * 2);
	}
}

static void a_pause_is_as_long_as_the_share_wants(void **state)
{
	struct pace p = { .share_ppm = 250000 };

	pace_charge(&p, 1000, 5000000);
	assert_int_equal(p.until_ns, 5003000);
	/* and adds up */
	pace_charge(&p, 2000, 5001000);
	assert_int_equal(p.until_ns, 5009000);
	/* but not beyond a second */
	pace_charge(&p, UINT64_MAX, 6000000);
	assert_int_equal(p.until_ns, 6000000 + NS_PER_S);
	p = (struct pace){ .share_ppm = PPM };
	pace_charge(&p, 1000, 5000000);
	assert_int_equal(p.until_ns, 0);
	p.share_ppm = 0;
	pace_charge(&p, 1000, 5000000);
	assert_int_equal(p.until_ns, 5000000 + NS_PER_S);
}

/* ---- what is slow ---------------------------------------------------------------------------- */

static const struct baro_job insert = { .payload_bytes = 10 };

static struct baro_admission *protecting(uint64_t read_p99_ns, uint32_t slowdown_ppm)
{
	struct baro_admission_limits limits = wide_limits();

	limits.read_p99_ns = read_p99_ns;
	limits.read_slowdown_ppm = slowdown_ppm;
	return open_with(&limits);
}

static void reads_of(struct baro_admission *a, int count, uint64_t latency_ns)
{
	for (int i = 0; i < count; i++) {
		baro_admission_read_begin(a);
		baro_admission_read_end(a, true, latency_ns);
	}
}

/* Looks at the readers now, however lately it was done. */
static void look_now(struct baro_admission *a)
{
	a->tend_ns = a->bound_due_ns = 0;
	admission_tend(a, lib_now_ns());
}

static void readers_are_counted_and_their_latencies_kept_apart(void **state)
{
	struct baro_admission *a = protecting(0, 1250000);
	struct baro_collection *c = open_collection(a);
	struct baro_admission_stats s;
	struct baro_permit p;

	reads_of(a, 1000, 5000);
	baro_admission_read_begin(a);
	baro_admission_read_begin(a);
	s = stats_of(a);
	assert_int_equal(s.readers, 2);
	assert_int_equal(s.read_quiet_ns.count, 1000);
	assert_in_range(s.read_quiet_ns.p99, 4650, 5350);
	assert_int_equal(s.read_during_writes_ns.count, 0);
	p = acquire(c, &insert);
	baro_admission_read_end(a, true, 80000);
	baro_admission_read_end(a, true, 0);
	/* one that only reports */
	baro_admission_read_end(a, false, 90000);
	s = stats_of(a);
	assert_int_equal(s.readers, 0);
	assert_int_equal(s.read_quiet_ns.count, 1000);
	assert_int_equal(s.read_during_writes_ns.count, 2);
	assert_int_equal(s.read_during_writes_ns.mean, 85000);
	baro_permit_release(&p);
	baro_admission_close(a);
}

static void what_is_slow_is_known_from_quiet_times(void **state)
{
	struct baro_admission *a = protecting(0, 1250000);
	struct baro_collection *c = open_collection(a);
	struct baro_permit p;

	/* 98 % at 5 us, 2 % at 40 us: p99 is 40 us */
	for (int i = 0; i < 50; i++) {
		reads_of(a, 98, 5000);
		reads_of(a, 2, 40000);
	}
	look_now(a);
	assert_in_range(stats_of(a).read_p99_bound_ns, 46500, 53500);
	/* reads beside writes do not move it */
	p = acquire(c, &insert);
	reads_of(a, 100000, NS_PER_MS);
	look_now(a);
	assert_in_range(stats_of(a).read_p99_bound_ns, 46500, 53500);
	baro_permit_release(&p);
	baro_admission_close(a);
}

static void a_bound_in_time_is_taken_as_it_is(void **state)
{
	struct baro_admission *a = protecting(12345, 1250000);

	reads_of(a, 1000, 5000);
	look_now(a);
	assert_int_equal(stats_of(a).read_p99_bound_ns, 12345);
	baro_admission_close(a);
}

static void before_quiet_times_are_known_the_median_must_do(void **state)
{
	struct baro_admission *a = protecting(0, 1250000);
	struct baro_collection *c = open_collection(a);
	struct baro_permit p = acquire(c, &insert);

	reads_of(a, 100, 5000);
	look_now(a);
	assert_int_equal(stats_of(a).read_p99_bound_ns, 0);
	reads_of(a, 200, 5000);
	reads_of(a, 50, NS_PER_MS);
	look_now(a);
	assert_in_range(stats_of(a).read_p99_bound_ns, 37200, 42800);
	baro_permit_release(&p);
	baro_admission_close(a);
}

static void it_is_quiet_again_when_nothing_was_admitted_for_a_second(void **state)
{
	struct baro_admission *a = protecting(0, 1250000);
	struct baro_collection *c = open_collection(a);
	uint64_t until = lib_now_ns() + GIVE_UP;
	struct baro_permit p;

	reads_of(a, 10, 1000);
	p = acquire(c, &insert);
	reads_of(a, 1000, 1000);
	/* one that runs is not quiet, however long nothing new is admitted */
	a->idle_since_ns = 1;
	reads_of(a, 1000, 1000);
	assert_int_equal(stats_of(a).read_quiet_ns.count, 10);
	baro_permit_release(&p);
	while (stats_of(a).read_quiet_ns.count == 10) {
		assert_true(lib_now_ns() < until);
		reads_of(a, 100, 1000);
	}
	p = acquire(c, &insert);
	assert_true(a->busy);
	baro_permit_release(&p);
	baro_admission_close(a);
}

/* ---- giving way ------------------------------------------------------------------------------ */

static void owe_until(struct baro_admission *a, uint64_t until_ns)
{
	lock_take(&a->lock);
	set(&a->pace.until_ns, until_ns);
	admission_note_careful(a);
	lock_give(&a->lock);
}

static void slow_reads_throttle_writes_and_quiet_ones_let_them_go(void **state)
{
	struct baro_admission *a = protecting(10000, 1250000);
	struct baro_collection *c = open_collection(a);
	struct baro_admission_refusal why;
	struct baro_permit p, q;
	uint64_t before;

	reads_of(a, 100, 5000);
	look_now(a);
	assert_int_equal(stats_of(a).write_share_ppm, PPM);
	for (int i = 0; i < 10; i++) {
		reads_of(a, 100, 50000);
		look_now(a);
	}
	assert_int_equal(stats_of(a).write_share_ppm, 1000);
	/* what writes took, they owe a thousand times */
	before = lib_now_ns();
	p = acquire(c, &insert);
	while (lib_now_ns() < before + NS_PER_MS)
		;
	baro_permit_release(&p);
	assert_true(a->pace.until_ns > before + 100 * NS_PER_MS);
	owe_until(a, lib_now_ns() + GIVE_UP);
	assert_int_equal(baro_permit_acquire(c, &insert, &q, &why), -EAGAIN);
	assert_int_equal(why.layer, BARO_LAYER_READERS);
	assert_int_equal(why.resource, BARO_RESOURCE_TIME);
	assert_in_range(why.retry_after_ns, 1, GIVE_UP);
	/* but what is essential */
	p = acquire(c, &(struct baro_job){ .flags = BARO_JOB_ESSENTIAL });
	baro_permit_release(&p);
	/* and who may wait, waits until it may begin; readers have gone meanwhile */
	owe_until(a, lib_now_ns() + 10 * NS_PER_MS);
	p = acquire(c, &(struct baro_job){ .deadline_ns = BARO_PAGE_NONE });
	baro_permit_release(&p);
	assert_int_equal(stats_of(a).refused_throttled, 1);
	assert_true(stats_of(a).throttled >= 2);
	a->readers_until_ns = 0;
	for (int i = 0; i < 20; i++)
		look_now(a);
	assert_int_equal(stats_of(a).write_share_ppm, PPM);
	p = acquire(c, &insert);
	baro_permit_release(&p);
	assert_idle(a);
	baro_admission_close(a);
}

static void writes_that_are_not_to_care_do_not(void **state)
{
	struct baro_admission *a = protecting(0, BARO_READS_UNPROTECTED);
	struct baro_collection *c = open_collection(a);
	struct baro_permit p;

	reads_of(a, 1000, 1000);
	p = acquire(c, &insert);
	for (int i = 0; i < 20; i++) {
		reads_of(a, 100, NS_PER_S);
		look_now(a);
	}
	baro_permit_release(&p);
	assert_int_equal(stats_of(a).write_share_ppm, PPM);
	assert_int_equal(stats_of(a).read_p99_bound_ns, 0);
	baro_admission_close(a);
}

struct stepper {
	struct baro_permit permit;
	bool once;
	int result;
	pthread_t thread;
};

static void *step_until_told(void *arg)
{
	struct stepper *me = arg;

	/* long chunks: what each owes is more than a second */
	do
		me->result = baro_permit_step(&me->permit, 10, NS_PER_S);
	while (me->result >= 0 && !me->once);
	return NULL;
}

/* Starts a step, and comes back when it has given way. */
static void start_step(struct stepper *me, struct baro_admission *a)
{
	uint64_t until = lib_now_ns() + GIVE_UP, before = stats_of(a).throttled;

	assert_int_equal(pthread_create(&me->thread, NULL, step_until_told, me), 0);
	while (stats_of(a).throttled == before) {
		assert_true(lib_now_ns() < until);
		sched_yield();
	}
}

static int step_result(struct stepper *me)
{
	pthread_join(me->thread, NULL);
	return me->result;
}

static struct baro_admission *throttled(void)
{
	struct baro_admission *a = protecting(10000, 1250000);

	for (int i = 0; i < 10; i++) {
		reads_of(a, 100, 50000);
		look_now(a);
	}
	assert_int_equal(stats_of(a).write_share_ppm, 1000);
	return a;
}

static void a_worker_gives_way_between_chunks_for_a_second_at_most(void **state)
{
	struct baro_admission *a = throttled();
	struct baro_collection *c = open_collection(a);
	const struct baro_job job = { .kind = BARO_JOB_STREAM, .records = 1000 };
	struct stepper worker = { .permit = acquire(c, &job), .once = true };

	start_step(&worker, a);
	assert_true(step_result(&worker) >= 0);
	/* it holds its permit all the time, and does not stand in the queue of those who ask */
	assert_int_equal(stats_of(a).writes, 1);
	assert_int_equal(stats_of(a).queued_peak, 0);
	baro_permit_release(&worker.permit);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_worker_that_gives_way_can_be_cancelled_and_stopped(void **state)
{
	struct baro_cancel cancel = { 0 };
	const struct baro_job job = { .kind = BARO_JOB_STREAM, .records = 1000, .cancel = &cancel };
	struct baro_admission *a = throttled();
	struct baro_collection *c = open_collection(a);
	struct stepper worker = { .permit = acquire(c, &job) };

	start_step(&worker, a);
	baro_admission_cancel(a, &cancel);
	assert_int_equal(step_result(&worker), -ECANCELED);
	cancel.fired = 0;
	start_step(&worker, a);
	baro_admission_stop(a);
	assert_int_equal(step_result(&worker), -ESHUTDOWN);
	assert_int_equal(baro_permit_fail(&worker.permit), 0);
	assert_idle(a);
	baro_admission_close(a);
}

static void a_mode_without_readers_frees_who_gives_way(void **state)
{
	const struct baro_job job = { .kind = BARO_JOB_STREAM, .records = 1000 };
	struct baro_admission *a = throttled();
	struct baro_collection *c = open_collection(a);
	struct stepper worker = { .permit = acquire(c, &job), .once = true };
	struct baro_job patient = insert;
	struct asker waiter;

	patient.deadline_ns = BARO_PAGE_NONE;
	start_step(&worker, a);
	queue_up(&waiter, c, &patient);
	assert_int_equal(baro_admission_set_mode(a, BARO_MODE_BULK_INGEST), 0);
	assert_true(step_result(&worker) >= 0);
	assert_int_equal(answer(&waiter), 0);
	baro_permit_release(&waiter.permit);
	baro_permit_release(&worker.permit);
	assert_idle(a);
	baro_admission_close(a);
}

static void writes_that_come_among_readers_begin_with_the_least(void **state)
{
	struct baro_admission *a = protecting(10000, 1250000);
	struct baro_collection *c = open_collection(a);
	struct baro_permit p;

	reads_of(a, 10, 1000);
	p = acquire(c, &insert);
	assert_in_range(stats_of(a).write_share_ppm, 1000, 1050);
	baro_permit_release(&p);
	/* only the first after a quiet time */
	reads_of(a, 100, 1000);
	look_now(a);
	assert_in_range(stats_of(a).write_share_ppm, 1200, 1500);
	p = acquire(c, &(struct baro_job){ .deadline_ns = BARO_PAGE_NONE });
	assert_true(stats_of(a).write_share_ppm >= 1200);
	baro_permit_release(&p);
	baro_admission_close(a);

	/* and not where nobody reads */
	a = protecting(10000, 1250000);
	c = open_collection(a);
	p = acquire(c, &insert);
	assert_int_equal(stats_of(a).write_share_ppm, PPM);
	baro_permit_release(&p);
	baro_admission_close(a);
}

static void beside_readers_batches_have_fewer_workers(void **state)
{
	struct baro_admission_limits limits = wide_limits(), now;
	struct baro_admission *a;

	limits.workers_max = 16;
	limits.workers_beside_reads = 3;
	a = open_with(&limits);
	baro_admission_limits_now(a, &now);
	assert_int_equal(now.workers_max, 16);
	reads_of(a, 1, 1000);
	look_now(a);
	baro_admission_limits_now(a, &now);
	assert_int_equal(now.workers_max, 3);
	/* a long one is there, too, while nothing is reported */
	a->readers_until_ns = 0;
	baro_admission_read_begin(a);
	look_now(a);
	baro_admission_limits_now(a, &now);
	assert_int_equal(now.workers_max, 3);
	baro_admission_read_end(a, true, 0);
	a->readers_until_ns = 0;
	look_now(a);
	baro_admission_limits_now(a, &now);
	assert_int_equal(now.workers_max, 16);
	baro_admission_close(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slow_read_halves_the_share_and_good_ones_bring_it_back),
		cmocka_unit_test(the_share_stays_within_its_bounds_and_is_never_stuck),
		cmocka_unit_test(the_share_settles_where_one_read_in_200_is_slow),
		cmocka_unit_test(a_pause_is_as_long_as_the_share_wants),
		cmocka_unit_test(readers_are_counted_and_their_latencies_kept_apart),
		cmocka_unit_test(what_is_slow_is_known_from_quiet_times),
		cmocka_unit_test(a_bound_in_time_is_taken_as_it_is),
		cmocka_unit_test(before_quiet_times_are_known_the_median_must_do),
		cmocka_unit_test(it_is_quiet_again_when_nothing_was_admitted_for_a_second),
		cmocka_unit_test(slow_reads_throttle_writes_and_quiet_ones_let_them_go),
		cmocka_unit_test(writes_that_are_not_to_care_do_not),
		cmocka_unit_test(a_worker_gives_way_between_chunks_for_a_second_at_most),
		cmocka_unit_test(a_worker_that_gives_way_can_be_cancelled_and_stopped),
		cmocka_unit_test(a_mode_without_readers_frees_who_gives_way),
		cmocka_unit_test(writes_that_come_among_readers_begin_with_the_least),
		cmocka_unit_test(beside_readers_batches_have_fewer_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
