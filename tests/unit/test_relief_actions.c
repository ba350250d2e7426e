/* SPDX-License-Identifier: BSD-2-Clause */
/* Actions of the relief: registering them, what they are good for, and threads. */
#include "tests/unit/relief_support.h"

/* ---- what is declared ------------------------------------------------------------------------ */

static void reclaimable_is_what_could_answer_a_request(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { 0 }, b = { 0 }, c = { .name = "c", .held_bytes = 7 },
		     d = { .name = "d", .held_bytes = 9 };
	struct baro_relief_action slow = action_of(&c, BARO_LEVEL_WARNING, 3), unknown;
	struct baro_pressure p = request(2, NOW_NS + NS_PER_S, NOW_NS);

	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 1, 5);
	add_thing(r, &b, "b", BARO_LEVEL_EMERGENCY, 2, 6);
	slow.typical_ns = BARO_RELIEF_WITHIN_NS + 1;
	add(r, &c, &slow);
	unknown = action_of(&d, BARO_LEVEL_WARNING, 4);
	unknown.available = NULL;
	add(r, &d, &unknown);
	assert_int_equal(run(r, &p, NOW_NS).reclaimable_bytes, 3);
	baro_relief_free(r);
}

static void an_action_that_does_not_know_what_it_has_is_asked_for_all(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing t = { .name = "t", .held_bytes = 3 };
	struct baro_relief_action a = action_of(&t, BARO_RELIEF_ON_REQUEST, 1);
	struct baro_pressure p = request(100, NOW_NS + NS_PER_S, NOW_NS);

	a.available = NULL;
	add(r, &t, &a);
	assert_int_equal(run(r, &p, NOW_NS).freed_bytes, 3);
	assert_int_equal(t.wanted_bytes, 100);
	baro_relief_free(r);
}

static void amounts_at_the_end_of_their_range_do_not_wrap(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { .chunk_bytes = INT64_MAX }, b = { .chunk_bytes = INT64_MAX };
	struct baro_pressure p = request(UINT64_MAX, UINT64_MAX, NOW_NS);
	struct baro_relief_outcome o;

	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 1, UINT64_MAX);
	add_thing(r, &b, "b", BARO_LEVEL_WARNING, 2, UINT64_MAX);
	for (int i = 0; i < 3; i++) {
		p.release_bytes = UINT64_MAX;
		p.release_by_ns = UINT64_MAX - (uint64_t)i;
		p.updated_ns++;
		o = run(r, &p, NOW_NS);
		assert_int_equal(o.freed_bytes, UINT64_MAX - 1);
		assert_int_equal(o.reclaimable_bytes, UINT64_MAX); /* of 2^63 and 2^63 */
		a.held_bytes = b.held_bytes = UINT64_MAX;
	}
	assert_int_equal(counts(r).freed_bytes, UINT64_MAX);
	assert_int_equal(counts_of(&a).freed_bytes, UINT64_MAX);
	baro_relief_free(r);
}

/* ---- registering ----------------------------------------------------------------------------- */

static void what_makes_no_sense_is_refused(void **state)
{
	struct baro_relief_options options = { .size = sizeof(options) - 1 };
	struct baro_relief *r = NULL;
	struct thing t = { .name = "t" };
	struct baro_relief_action good = action_of(&t, BARO_LEVEL_WARNING, 1), a;
	static const char *const names[] = {
		"", "A", "1a", "a-b", "a b", "_a", "a23456789012345678901234567890123"
	};

	assert_int_equal(baro_relief_new(&options, &r), -EINVAL);
	assert_null(r);
	baro_relief_free(NULL);
	r = new_relief();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		a = good;
		a.name = names[i];
		assert_int_equal(baro_relief_add(r, &a, NULL), -EINVAL);
	}
	a = good;
	a.name = NULL;
	assert_int_equal(baro_relief_add(r, &a, NULL), -EINVAL);
	a = good;
	a.from_level = BARO_LEVEL_NORMAL;
	assert_int_equal(baro_relief_add(r, &a, NULL), -EINVAL);
	a.from_level = BARO_LEVEL_EMERGENCY + 1;
	assert_int_equal(baro_relief_add(r, &a, NULL), -EINVAL);
	a = good;
	a.release = NULL;
	assert_int_equal(baro_relief_add(r, &a, NULL), -EINVAL);
	a = good;
	a.size = 8;
	assert_int_equal(baro_relief_add(r, &a, NULL), -EINVAL);
	assert_int_equal(baro_relief_add(r, &good, NULL), 0);
	assert_int_equal(baro_relief_add(r, &good, NULL), -EEXIST);
	assert_int_equal(baro_relief_remove(r, 99), -ENOENT);
	assert_int_equal(baro_relief_read_action(r, 99, NULL), -ENOENT);
	assert_int_equal(baro_relief_follow(r, 0, NULL), -EINVAL);
	baro_relief_free(r);
}

static void there_are_so_many_actions_and_no_more(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing t[BARO_RELIEF_ACTIONS_MAX + 1];
	struct baro_pressure p = request(1000, NOW_NS + NS_PER_S, NOW_NS);
	struct baro_relief_action a;

	memset(t, 0, sizeof(t));
	for (uint32_t i = 0; i < BARO_RELIEF_ACTIONS_MAX; i++) {
		char name[8];

		snprintf(name, sizeof(name), "a%u", i);
		add_thing(r, &t[i], name, BARO_RELIEF_ON_REQUEST, 1000 - i, 1);
	}
	a = action_of(&t[BARO_RELIEF_ACTIONS_MAX], BARO_RELIEF_ON_REQUEST, 0);
	a.name = "more";
	assert_int_equal(baro_relief_add(r, &a, NULL), -ENOSPC);
	assert_int_equal(run(r, &p, NOW_NS).calls, BARO_RELIEF_ACTIONS_MAX);
	assert_int_equal(baro_relief_remove(r, t[3].id), 0);
	assert_int_equal(baro_relief_add(r, &a, NULL), 0);
	baro_relief_free(r);
}

/* ---- callbacks that call back, and threads --------------------------------------------------- */

static struct thing late_comer = { .name = "z", .held_bytes = 100 };

static int64_t release_and_meddle(void *arg, uint64_t want_bytes, uint64_t deadline_ns)
{
	struct thing *t = arg;
	struct baro_relief_action a = action_of(&late_comer, BARO_RELIEF_ON_REQUEST, 99);
	struct baro_pressure p = request(1, 1, 1);
	struct baro_relief_counts c;

	note('+', t);
	baro_relief_read(t->relief, &c);
	assert_int_equal(baro_relief_run(t->relief, &p, NOW_NS, NULL), -EBUSY);
	late_comer.relief = t->relief;
	assert_int_equal(baro_relief_add(t->relief, &a, &late_comer.id), 0);
	assert_int_equal(baro_relief_remove(t->relief, t->id), 0);
	return 10;
}

static void a_callback_may_add_and_remove_actions_itself_too(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { .name = "a" }, b = { 0 };
	struct baro_relief_action meddler = action_of(&a, BARO_RELIEF_ON_REQUEST, 1);
	struct baro_pressure p = request(60, NOW_NS + NS_PER_S, NOW_NS);

	meddler.available = NULL;
	meddler.release = release_and_meddle;
	add(r, &a, &meddler);
	add_thing(r, &b, "b", BARO_RELIEF_ON_REQUEST, 2, 20);
	assert_int_equal(run(r, &p, NOW_NS).freed_bytes, 60);
	assert_string_equal(log_text, "+a +b +z ");
	assert_int_equal(baro_relief_read_action(r, a.id, NULL), -ENOENT);
	baro_relief_free(r);
}

struct slow {
	struct baro_relief *relief;
	uint32_t id;
	bool inside, go, removed;
};

static int64_t release_slowly(void *arg, uint64_t want_bytes, uint64_t deadline_ns)
{
	struct slow *s = arg;

	set_flag(&s->inside);
	until(is_set(&s->go));
	must(!is_set(&s->removed));
	return (int64_t)want_bytes;
}

static void *run_once(void *arg)
{
	struct slow *s = arg;
	struct baro_pressure p = request(60, NOW_NS + NS_PER_S, NOW_NS);

	must(baro_relief_run(s->relief, &p, NOW_NS, NULL) == 0);
	return NULL;
}

static void *remove_once(void *arg)
{
	struct slow *s = arg;

	must(baro_relief_remove(s->relief, s->id) == 0);
	set_flag(&s->removed);
	return NULL;
}

static void removing_an_action_waits_for_its_callback(void **state)
{
	struct slow s = { .relief = new_relief() };
	const struct baro_relief_action a = {
		.size = sizeof(a), .name = "slow", .release = release_slowly, .arg = &s
	};
	struct baro_pressure p = request(60, NOW_NS + NS_PER_S, NOW_NS);
	struct baro_relief_action_counts c;
	pthread_t runner, remover;

	assert_int_equal(baro_relief_add(s.relief, &a, &s.id), 0);
	assert_int_equal(pthread_create(&runner, NULL, run_once, &s), 0);
	until(is_set(&s.inside));
	assert_int_equal(baro_relief_run(s.relief, &p, NOW_NS, NULL), -EBUSY);
	assert_int_equal(pthread_create(&remover, NULL, remove_once, &s), 0);
	/* It is forgotten at once, and the call returns when the callback has. */
	until(baro_relief_read_action(s.relief, s.id, &c) == -ENOENT);
	set_flag(&s.go);
	pthread_join(runner, NULL);
	pthread_join(remover, NULL);
	assert_true(s.removed);
	baro_relief_free(s.relief);
}

#define ROUNDS 2000

static void *come_and_go(void *arg)
{
	struct baro_relief *r = arg;
	struct thing t = { .name = "guest", .held_bytes = UINT64_MAX };
	struct baro_relief_action a = action_of(&t, BARO_LEVEL_EMERGENCY, 0);

	for (uint32_t i = 0; i < ROUNDS; i++) {
		a.cost = i % 5;
		must(baro_relief_add(r, &a, &t.id) == 0);
		sched_yield();
		must(baro_relief_remove(r, t.id) == 0);
	}
	return NULL;
}

static int64_t release_count(void *arg, uint64_t want_bytes, uint64_t deadline_ns)
{
	*(uint64_t *)arg += want_bytes; /* no lock: one run at a time */
	return (int64_t)want_bytes;
}

static void *run_often(void *arg)
{
	struct baro_relief *r = arg;

	for (uint64_t i = 0; i < ROUNDS; i++) {
		struct baro_pressure p = request(1, NOW_NS + NS_PER_S + i, NOW_NS + i);
		int error = baro_relief_run(r, &p, NOW_NS + i, NULL);

		must(error == 0 || error == -EBUSY);
	}
	return NULL;
}

static void runs_exclude_each_other_while_actions_come_and_go(void **state)
{
	struct baro_relief *r = new_relief();
	uint64_t freed = 0;
	const struct baro_relief_action a = {
		.size = sizeof(a), .name = "own", .cost = 2, .release = release_count, .arg = &freed
	};
	void *(*const bodies[])(void *) = { run_often, run_often, come_and_go };

	assert_int_equal(baro_relief_add(r, &a, NULL), 0);
	run_together(bodies, ARRAY_SIZE(bodies), r);
	assert_true(freed > 0);
	assert_int_equal(counts(r).freed_bytes, freed);
	baro_relief_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reclaimable_is_what_could_answer_a_request),
		cmocka_unit_test(an_action_that_does_not_know_what_it_has_is_asked_for_all),
		cmocka_unit_test(amounts_at_the_end_of_their_range_do_not_wrap),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(there_are_so_many_actions_and_no_more),
		cmocka_unit_test(a_callback_may_add_and_remove_actions_itself_too),
		cmocka_unit_test(removing_an_action_waits_for_its_callback),
		cmocka_unit_test(runs_exclude_each_other_while_actions_come_and_go),
	};

	return cmocka_run_group_tests_name("relief actions", tests, NULL, NULL);
}
