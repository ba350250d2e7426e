/* SPDX-License-Identifier: BSD-2-Clause */
/* When reuse times are counted (law_watch.c), and what is made of them where they are not always. */
#include "tests/unit/reuse_bench.h"

static void begin_watch(struct bench *b, uint32_t pages, reads next)
{
	begin(b, pages);
	b->may_rest = true;
	run(b, next, 20 * LAW_S);
	b->ticks = b->watched = 0;
}

static void run_until(struct bench *b, reads next, bool rests)
{
	while (b->cache.rests != rests)
		run(b, next, TICK_NS);
}

static void assert_watched(const struct bench *b, uint32_t least_percent, uint32_t most_percent)
{
	uint32_t percent = 100 * b->watched / b->ticks;

	if (percent < least_percent || percent > most_percent)
		fail_msg("watched %u %% of the time, not %u to %u", percent, least_percent,
			 most_percent);
}

/* A second in sixteen. */
static void who_has_what_he_needs_is_hardly_watched(void **state)
{
	struct bench b;

	(void)state;
	begin_watch(&b, 4224, uniform_4000);
	run(&b, uniform_4000, 64 * LAW_S);
	assert_watched(&b, 5, 8);
	assert_close(predicted(&b.e, 2048), measured(uniform_4000, 2048));
	assert_close(predicted(&b.e, 4224), 0);
	end(&b);
}

static void who_could_never_have_it_is_hardly_watched(void **state)
{
	struct bench b;

	(void)state;
	begin_watch(&b, 4096, loop_30000);
	run(&b, loop_30000, 64 * LAW_S);
	assert_watched(&b, 5, 8);
	assert_close(predicted(&b.e, 16384), 15);
	end(&b);
}

static void who_could_use_more_is_watched_while_memory_moves(void **state)
{
	struct bench b;

	(void)state;
	begin_watch(&b, 3500, uniform_4000);
	b.moving = true;
	run(&b, uniform_4000, 64 * LAW_S);
	assert_watched(&b, 100, 100);
	end(&b);
}

static void who_gets_no_more_is_watched_for_a_second_in_five(void **state)
{
	struct bench b;

	(void)state;
	begin_watch(&b, 3500, uniform_4000);
	run(&b, uniform_4000, 60 * LAW_S);
	assert_watched(&b, 18, 24);
	b.ticks = b.watched = 0;
	b.moving = true;
	run(&b, uniform_4000, 2 * LAW_S);
	assert_watched(&b, 100, 100);
	end(&b);
}

/* Of a look at so few it is known to some per cent. */
static void assert_as_before(double is, double was)
{
	if (is < .7 * was || is > 1.3 * was)
		fail_msg("%.3f, and %.3f before the sensor rested", is, was);
}

static uint64_t sum(const uint64_t bins[REUSE_BINS])
{
	uint64_t all = 0;

	for (int i = 0; i < REUSE_BINS; i++)
		all += bins[i];
	return all;
}

static double missed_share(const struct law_reuse *r)
{
	return (double)sum(r->missed) / (double)sum(r->times);
}

/* Its pages are read once in a part of the time that a look takes, or in about as long: what was last
 * read before the rest must not count as if it were read as often as what is read twice in a look. */
static void a_look_does_not_take_long_reuse_times_for_short_ones(void **state)
{
	static const uint64_t think_ns[] = { 0, 50000, 200000 };
	struct bench b;
	double within, beyond, missed, mean;

	(void)state;
	for (int i = 0; i < 3; i++) {
		begin(&b, 3000);
		b.think_ns = think_ns[i];
		run(&b, uniform_4000, 20 * LAW_S);
		within = predicted(&b.e, 2048);
		beyond = predicted(&b.e, 3520);
		missed = missed_share(&b.e.memory.reuse);
		b.may_rest = true;
		run(&b, uniform_4000, 10 * LAW_S);
		b.ticks = b.watched = 0;
		mean = 0;
		for (int t = 0; t < 200; t++) {
			run(&b, uniform_4000, TICK_NS);
			assert_as_before(predicted(&b.e, 2048), within);
			assert_as_before(predicted(&b.e, 3520), beyond);
			assert_as_before(missed_share(&b.e.memory.reuse), missed);
			mean += predicted(&b.e, 3520) / 200;
		}
		assert_close(mean / beyond, 1);
		assert_watched(&b, 18, 24);
		end(&b);
	}
}

/* Half of a set is gone when the sensor wakes: it was read in order, so it misses where it is longest. */
static void misses_that_are_new_after_a_rest_are_the_longest(void **state)
{
	struct bench b;
	struct law_reuse *r = &b.e.memory.reuse;
	uint64_t before, after;

	(void)state;
	begin_watch(&b, 8600, hot_and_cold);
	b.think_ns = LAW_MS;
	run_until(&b, hot_and_cold, true);
	memset(r->missed, 0, sizeof(r->missed));
	resize(&b, 4000);
	run_until(&b, hot_and_cold, false);
	before = sum(r->times);
	run(&b, hot_and_cold, LAW_S / 2);
	after = sum(r->missed);
	assert_true(before > 0 && after > 0);
	for (int i = 0; i < REUSE_SUB_BINS * 8; i++) /* 1024 */
		after -= r->missed[i];
	assert_true((double)after > .9 * (double)sum(r->missed));
	end(&b);
}

/* Nothing longer than the look is known: it is taken to be as long. */
static void what_is_seen_first_after_a_rest_counts(void **state)
{
	struct bench b;

	(void)state;
	begin_watch(&b, 5600, loop_6000);
	b.think_ns = LAW_MS;
	run_until(&b, loop_6000, true);
	memset(&b.e.memory.reuse, 0, sizeof(b.e.memory.reuse));
	run_until(&b, loop_6000, false);
	run(&b, loop_6000, LAW_S);
	assert_true(sum(b.e.memory.reuse.times) > 0);
	assert_close(missed_share(&b.e.memory.reuse), 1);
	end(&b);
}

static void who_begins_to_need_more_is_watched_at_once(void **state)
{
	struct bench b;

	(void)state;
	begin_watch(&b, 3000, uniform_1000);
	run(&b, uniform_1000, 20 * LAW_S);
	b.ticks = b.watched = 0;
	run(&b, uniform_4000, 6 * LAW_S);
	assert_watched(&b, 98, 100);
	assert_close(predicted(&b.e, 2048), measured(uniform_4000, 2048));
	end(&b);
}

/* A look is too short for the reuse times of who reads a thousand pages a second. */
static void a_look_does_not_see_less_than_there_is(void **state)
{
	struct bench b;

	(void)state;
	begin_watch(&b, 6300, loop_6000);
	b.think_ns = LAW_MS;
	run(&b, loop_6000, 200 * LAW_S);
	assert_watched(&b, 5, 8);
	assert_close(predicted(&b.e, 6272), 0);
	assert_close(predicted(&b.e, 5504) / predicted(&b.e, 0), 1);
	end(&b);
}

/* Engines that come are looked at, one by one. */
static void who_comes_is_watched(void **state)
{
	struct law_watch_state w = { 0 };
	struct law_engine_state moves[2] = { 0 };
	struct law_engine engines[2] = { engine, engine };
	struct law_estimate e[2] = { { .updates = 1 }, { .updates = 1 } };
	uint64_t now_ns = START;

	(void)state;
	engines[1].active = false;
	assert_true(law_watch(&w, moves, engines, e, 2, now_ns));
	assert_true(law_watch(&w, moves, engines, e, 2, now_ns += 9 * LAW_S));
	assert_false(law_watch(&w, moves, engines, e, 2, now_ns += 2 * LAW_S));
	engines[1].active = true;
	assert_true(law_watch(&w, moves, engines, e, 2, now_ns += LAW_S));
	assert_true(law_watch(&w, moves, engines, e, 2, now_ns += 9 * LAW_S));
	assert_false(law_watch(&w, moves, engines, e, 2, now_ns += 2 * LAW_S));
	engines[0].active = false;
	assert_false(law_watch(&w, moves, engines, e, 2, now_ns += LAW_S));
}

/* Whose reuse times are not known may need what others have. */
static void who_is_stalled_and_not_seen_makes_the_others_watched(void **state)
{
	struct law_watch_state w = { 0 };
	struct law_engine_state moves[2] = { 0 };
	struct law_estimate e = { .updates = 1 };
	uint64_t now_ns = START;

	(void)state;
	law_watch(&w, moves, &engine, &e, 1, now_ns);
	assert_false(law_watch(&w, moves, &engine, &e, 1, now_ns += 12 * LAW_S));
	e.memory.refault_stall = LAW_ONE / 100;
	assert_true(law_watch(&w, moves, &engine, &e, 1, now_ns += 100 * LAW_MS));
	e.memory.refault_stall = LAW_ONE / 1000;
	assert_true(law_watch(&w, moves, &engine, &e, 1, now_ns += 100 * LAW_MS));
	assert_false(law_watch(&w, moves, &engine, &e, 1, now_ns += 3 * LAW_S));
}

/* Who lacks memory and is not what he was is watched on. */
static void who_is_not_settled_is_watched(void **state)
{
	const struct law_estimate still = { .updates = 1,
					    .memory = { .reuse_known = true,
							.kappa = LAW_ONE,
							.outside = LAW_ONE,
							.refault_stall = LAW_ONE / 2,
							.stall_now = LAW_ONE / 2,
							.stall_usual = LAW_ONE / 2 } };
	struct law_estimate other[] = { still, still, still, still, still, still, still };
	bool watched[] = { false, true, true, true, true, true, false };
	enum { NO_CURVE = 3 };

	(void)state;
	other[1].memory.stall_usual = LAW_ONE / 5;
	other[2].memory.phases.period_ns = 6 * LAW_S;
	other[NO_CURVE].memory.reuse_known = false;
	other[4].memory.refault_stall = LAW_ONE / 10 * 9; /* nine times the curve's */
	other[5].memory.stall_usual = 0;
	other[5].memory.stall_now = LAW_ONE / 16;
	other[6].memory.stall_now = LAW_ONE / 10 * 6;
	for (int i = 0; i < 7; i++) {
		struct law_watch_state w = { 0 };
		struct law_engine_state moves = { .last_move_ns = START };
		struct law_estimate e = still;
		uint64_t now_ns = START;

		assert_true(law_watch(&w, &moves, &engine, &e, 1, now_ns));
		assert_true(law_watch(&w, &moves, &engine, &e, 1, now_ns += 4 * LAW_S));
		assert_true(law_watch(&w, &moves, &engine, &e, 1, now_ns += 5 * LAW_S));
		assert_false(law_watch(&w, &moves, &engine, &e, 1, now_ns += 2 * LAW_S));
		assert_int_equal(law_watch(&w, &moves, &engine, &other[i], 1, now_ns += LAW_S),
				 watched[i]);
		if (i != NO_CURVE)
			continue;
		/* who is not seen after a minute will not be: a look, and it rests */
		law_watch(&w, &moves, &engine, &other[i], 1, now_ns += 51 * LAW_S);
		assert_false(law_watch(&w, &moves, &engine, &other[i], 1, now_ns += 2 * LAW_S));
	}
}

static void who_has_just_come_to_lack_memory_is_watched(void **state)
{
	struct law_watch_state w = { 0 };
	struct law_engine_state moves = { 0 };
	struct law_estimate e = { .updates = 1,
				  .memory = { .reuse_known = true, .kappa = LAW_ONE } };
	uint64_t now_ns = START;

	(void)state;
	law_watch(&w, &moves, &engine, &e, 1, now_ns);
	assert_false(law_watch(&w, &moves, &engine, &e, 1, now_ns += 12 * LAW_S));
	e.memory.refault_stall = LAW_ONE / 10;
	e.memory.outside = LAW_ONE / 10;
	assert_true(law_watch(&w, &moves, &engine, &e, 1, now_ns += LAW_S));
	assert_true(law_watch(&w, &moves, &engine, &e, 1, now_ns += 4 * LAW_S));
	assert_true(law_watch(&w, &moves, &engine, &e, 1, now_ns += LAW_S));
	assert_false(law_watch(&w, &moves, &engine, &e, 1, now_ns += 2 * LAW_S));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_what_he_needs_is_hardly_watched),
		cmocka_unit_test(who_could_never_have_it_is_hardly_watched),
		cmocka_unit_test(who_could_use_more_is_watched_while_memory_moves),
		cmocka_unit_test(who_gets_no_more_is_watched_for_a_second_in_five),
		cmocka_unit_test(a_look_does_not_take_long_reuse_times_for_short_ones),
		cmocka_unit_test(who_begins_to_need_more_is_watched_at_once),
		cmocka_unit_test(a_look_does_not_see_less_than_there_is),
		cmocka_unit_test(what_is_seen_first_after_a_rest_counts),
		cmocka_unit_test(misses_that_are_new_after_a_rest_are_the_longest),
		cmocka_unit_test(who_comes_is_watched),
		cmocka_unit_test(who_is_not_settled_is_watched),
		cmocka_unit_test(who_has_just_come_to_lack_memory_is_watched),
		cmocka_unit_test(who_is_stalled_and_not_seen_makes_the_others_watched),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
