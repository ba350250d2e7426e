// SPDX-License-Identifier: BSD-2-Clause
/*
 * Budgets under many threads. Whatever the order: never above a limit, nothing refused that fits,
 * nothing left over, and a reservation released once. Threads pause at random places, so that every
 * run is another schedule.
 */
#include "tests/unit/budget_support.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define THREADS_MAX 8
#define UNIT        UINT64_C(4096)

struct crew;

struct hand {
	struct crew *crew;
	pthread_t thread;
	uint64_t random;
	uint32_t index;
};

/* What the threads of a run share. */
struct crew {
	void (*work)(struct hand *);
	uint32_t count;
	pthread_barrier_t start;
	struct baro_budget *top, *leaf[THREADS_MAX];
	_Atomic uint64_t held; /* bytes known to be reserved: at most what really is */
	_Atomic uint64_t ceiling; /* no more than this may be held */
	_Atomic uint64_t granted, refused, wrong, successes;
	_Atomic bool done;
	uint64_t limit[2];
	uint32_t level;
	uint64_t steps;
	struct baro_reservation *shared;
	pthread_mutex_t lock;
};

static void *hand_main(void *arg)
{
	struct hand *h = arg;

	pthread_barrier_wait(&h->crew->start);
	h->crew->work(h);
	return NULL;
}

/* Runs work(0) .. work(count - 1) at once. */
static void run_crew(struct crew *c, uint32_t count, uint64_t seed, void (*work)(struct hand *))
{
	struct hand hand[THREADS_MAX];

	c->work = work;
	c->count = count;
	pthread_barrier_init(&c->start, NULL, count);
	for (uint32_t i = 0; i < count; i++) {
		hand[i] = (struct hand){ .crew = c,
					 .random = (seed * 64 + i + 1) * 0x9e3779b97f4a7c15u,
					 .index = i };
		assert_int_equal(pthread_create(&hand[i].thread, NULL, hand_main, &hand[i]), 0);
	}
	for (uint32_t i = 0; i < count; i++)
		pthread_join(hand[i].thread, NULL);
	pthread_barrier_destroy(&c->start);
}

/* Now and then somebody else's turn. */
static void pause_maybe(struct hand *h)
{
	uint64_t r = next_random(&h->random);

	if (r % 64 == 0)
		sched_yield();
	for (volatile uint64_t i = r % 128; i; i--)
		;
}

/* Counted after it is granted, and no more before it is given back: a lower bound. */
static void hold(struct crew *c, uint64_t bytes)
{
	if (atomic_fetch_add(&c->held, bytes) + bytes > c->ceiling)
		c->wrong++;
	c->granted++;
}

static void let_go(struct crew *c, struct baro_reservation *r)
{
	c->held -= baro_reservation_bytes(r);
	if (baro_reservation_release(r))
		c->wrong++;
}

/* ---- the ceiling ----------------------------------------------------------------------------- */

#define HELD 64

static void churn(struct hand *h)
{
	struct crew *c = h->crew;
	struct baro_reservation held[HELD];
	bool is_held[HELD] = { false };

	for (uint64_t i = 0; i < c->steps; i++) {
		uint32_t at = (uint32_t)(next_random(&h->random) % HELD);
		struct baro_budget *b = c->leaf[next_random(&h->random) % THREADS_MAX];
		uint64_t bytes = 1 + next_random(&h->random) % (2 * UNIT);

		if (is_held[at]) {
			let_go(c, &held[at]);
			is_held[at] = false;
		} else if (baro_budget_reserve(b, bytes, &held[at], NULL) == 0) {
			hold(c, bytes);
			is_held[at] = true;
		} else {
			c->refused++;
		}
		pause_maybe(h);
	}
	for (int i = 0; i < HELD; i++)
		if (is_held[i])
			let_go(c, &held[i]);
}

static void open_leaves(struct crew *c, const void *way, uint64_t ceiling, uint64_t leaf)
{
	struct baro_budget *middle;

	c->top = open_top(way, "top", ceiling, 0);
	middle = open_below(c->top, "middle", NONE);
	c->ceiling = ceiling;
	for (int i = 0; i < THREADS_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "leaf%d", i);
		c->leaf[i] = open_below(middle, name, leaf);
	}
}

static void close_leaves(struct crew *c)
{
	struct baro_budget *middle = c->leaf[0]->parent;

	for (int i = 0; i < THREADS_MAX; i++) {
		assert_int_equal(baro_budget_used(c->leaf[i]), 0);
		close_all(c->leaf[i]);
	}
	assert_int_equal(baro_budget_used(c->top), 0);
	close_all(middle);
	close_all(c->top);
}

static void no_schedule_ends_above_a_ceiling(void **state)
{
	/* Tight: refusals all the time. Loose: credit all the time, and sometimes none. */
	static const uint64_t ceilings[] = { 40 * UNIT, 400 * UNIT, 64 * MIB };
	uint64_t granted = 0, refused = 0;

	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct crew c = { .steps = 6000 };

		open_leaves(&c, *state, ceilings[seed % 3], ceilings[seed % 3] / 2);
		run_crew(&c, 2 + (uint32_t)seed % 7, seed, churn);
		assert_int_equal(c.wrong, 0);
		granted += c.granted;
		refused += c.refused;
		assert_true(stats_of(c.top).peak_bytes <= c.ceiling);
		close_leaves(&c);
	}
	assert_true(granted > 1000);
	assert_true(refused > 1000);
}

/* ---- exactness ------------------------------------------------------------------------------- */

/* Takes until nothing is left, all threads at once. */
static void fill_up(struct hand *h)
{
	struct crew *c = h->crew;
	struct baro_reservation r;

	/* Credit lies about everywhere first. */
	for (int i = 0; i < 200; i++)
		if (baro_budget_reserve(c->leaf[h->index], UNIT, &r, NULL) == 0)
			baro_reservation_release(&r);
	while (baro_budget_reserve(c->leaf[h->index], UNIT, &r, NULL) == 0) {
		c->granted++; /* dropped on purpose: the budget is thrown away */
		pause_maybe(h);
	}
}

static void what_fits_is_granted_to_the_last_byte(void **state)
{
	for (uint64_t seed = 1; seed <= 8; seed++) {
		uint64_t ceiling = UNIT * (1000 + seed * 777) + seed * 100;
		struct crew c = { 0 };
		struct baro_reservation rest;

		open_leaves(&c, *state, ceiling, NONE);
		run_crew(&c, 2 + (uint32_t)seed % 7, seed, fill_up);
		assert_int_equal(c.granted, ceiling / UNIT);
		assert_int_equal(baro_budget_used(c.top), c.granted * UNIT);
		assert_int_equal(baro_budget_reserve(c.leaf[7], ceiling % UNIT, &rest, NULL), 0);
		/* What was dropped on purpose, so that it can be closed. */
		for (int i = 0; i < THREADS_MAX; i++)
			budget_return(c.leaf[i], baro_budget_used(c.leaf[i]));
		close_leaves(&c);
	}
}

/* ---- limits that move ------------------------------------------------------------------------ */

/* Hand 0 lowers the ceiling in the middle of it; the others only take. */
static void take_while_it_sinks(struct hand *h)
{
	struct crew *c = h->crew;
	struct baro_budget_stats s;
	struct baro_reservation r;

	if (h->index) {
		for (uint64_t i = 0; i < c->steps; i++) {
			if (baro_budget_reserve(c->leaf[h->index], 1 + i % UNIT, &r, NULL) == 0)
				c->held += 1 + i % UNIT;
			pause_maybe(h);
		}
		return;
	}
	for (uint64_t spin = next_random(&h->random) % 2000; spin; spin--)
		pause_maybe(h);
	baro_budget_set_limit(c->top, c->ceiling / 2);
	baro_budget_read(c->top, &s);
	/* What may be used from here on, for ever. */
	c->ceiling = s.limit_bytes;
}

/* The seed's ended above it in 10 of 3000. */
static void a_ceiling_that_sinks_is_not_overtaken(void **state)
{
	for (uint64_t seed = 1; seed <= 150; seed++) {
		struct crew c = { .steps = 60 };

		open_leaves(&c, *state, 100 * UNIT, NONE);
		run_crew(&c, 3, seed, take_while_it_sinks);
		assert_true(c.ceiling >= 50 * UNIT);
		assert_int_equal(baro_budget_used(c.top), c.held);
		assert_true(c.held <= c.ceiling);
		for (int i = 0; i < THREADS_MAX; i++)
			budget_return(c.leaf[i], baro_budget_used(c.leaf[i]));
		close_leaves(&c);
	}
}

static void swing(struct hand *h)
{
	struct crew *c = h->crew;
	struct baro_budget_stats s[16];

	if (h->index > 1) {
		churn(h);
		c->successes++;
		return;
	}
	for (uint64_t i = 0; c->successes < c->count - 2; i++) {
		struct baro_budget *leaf = c->leaf[i % THREADS_MAX];

		if (h->index) {
			/* No limit is ever above the first ceiling. */
			size_t n = baro_budget_list(c->top, s, 16);

			for (size_t k = 0; k < n; k++)
				if (s[k].used_bytes > c->ceiling || s[k].peak_bytes > c->ceiling)
					c->wrong++;
			if (baro_budget_pressure(leaf) > BARO_LEVEL_EMERGENCY)
				c->wrong++;
		} else {
			baro_budget_set_limit(i % 2 ? c->top : leaf,
					      (1 + next_random(&h->random) % 64) * MIB);
		}
		sched_yield();
	}
}

static void usage_survives_limits_that_swing(void **state)
{
	struct crew c = { .steps = 20000 };

	open_leaves(&c, *state, 64 * MIB, 64 * MIB);
	run_crew(&c, 5, 1, swing);
	assert_int_equal(c.wrong, 0);
	close_leaves(&c);
}

/* The limit is one of two, and the level the same with both: a reader that mixed old and new would
 * see another. */
static void watch_level(struct hand *h)
{
	struct crew *c = h->crew;

	if (h->index) {
		while (!c->done)
			if (baro_budget_level(c->top) != c->level)
				c->wrong++;
		return;
	}
	for (uint64_t i = 0; i < c->steps; i++)
		baro_budget_set_limit(c->top, c->limit[i % 2]);
	c->done = true;
}

static void watch_limits(const void *way, uint64_t one, uint64_t other, uint32_t level)
{
	struct crew c = { .steps = 20000, .limit = { one, other }, .level = level };
	struct baro_reservation r;

	c.top = open_top(way, "top", 2 * GIB, 0);
	assert_int_equal(baro_budget_reserve(c.top, GIB, &r, NULL), 0);
	baro_budget_set_limit(c.top, other);
	run_crew(&c, 3, 1, watch_level);
	assert_int_equal(c.wrong, 0);
	baro_reservation_release(&r);
	close_all(c.top);
}

static void a_moving_limit_makes_no_false_emergency(void **state)
{
	watch_limits(*state, 2 * GIB, 200 * GIB, BARO_LEVEL_NORMAL);
}

static void a_moving_limit_makes_no_false_calm(void **state)
{
	watch_limits(*state, 64 * MIB, GIB + 32 * MIB, BARO_LEVEL_EMERGENCY);
}

/* ---- reservations between threads ------------------------------------------------------------ */

static void release_shared(struct hand *h)
{
	struct crew *c = h->crew;

	for (uint64_t i = 0; i < c->steps; i++) {
		if (baro_reservation_release(&c->shared[i]) == 0)
			c->successes++;
		else
			c->refused++;
	}
}

static void of_two_that_release_the_same_one_only_one_succeeds(void **state)
{
	struct crew c = { .steps = 20000 };
	struct baro_reservation live;

	c.top = open_top(*state, "top", GIB, 0);
	c.shared = calloc(c.steps, sizeof(*c.shared));
	assert_non_null(c.shared);
	assert_int_equal(baro_budget_reserve(c.top, 12345, &live, NULL), 0);
	for (uint64_t i = 0; i < c.steps; i++)
		assert_int_equal(baro_budget_reserve(c.top, 100, &c.shared[i], NULL), 0);
	run_crew(&c, 4, 1, release_shared);
	assert_int_equal(c.successes, c.steps);
	assert_int_equal(c.refused, 3 * c.steps);
	assert_int_equal(stats_of(c.top).over_releases, 3 * c.steps);
	assert_int_equal(baro_budget_used(c.top), 12345);
	baro_reservation_release(&live);
	close_all(c.top);
	free(c.shared);
}

/* One reserves, another releases: credit wanders. */
static void pass_on(struct hand *h)
{
	struct crew *c = h->crew;

	for (uint64_t i = 0; i < c->steps && !c->wrong;) {
		pthread_mutex_lock(&c->lock);
		if (h->index % 2 && c->refused) {
			c->refused--;
			let_go(c, &c->shared[c->refused]);
			i++;
		} else if (h->index % 2 == 0 && c->refused < HELD) {
			if (baro_budget_reserve(c->leaf[h->index], UNIT, &c->shared[c->refused],
						NULL))
				c->wrong++;
			hold(c, UNIT);
			c->refused++;
			i++;
		}
		pthread_mutex_unlock(&c->lock);
		pause_maybe(h);
	}
}

static void another_thread_may_release(void **state)
{
	struct baro_reservation shared[HELD];
	struct crew c = { .steps = 10000, .shared = shared, .lock = PTHREAD_MUTEX_INITIALIZER };

	open_leaves(&c, *state, 64 * MIB, NONE);
	run_crew(&c, 4, 1, pass_on);
	assert_int_equal(c.wrong, 0);
	assert_int_equal(c.refused, 0);
	close_leaves(&c);
}

/* ---- the tree -------------------------------------------------------------------------------- */

static void come_and_go(struct hand *h)
{
	struct crew *c = h->crew;
	struct baro_reservation r;
	char name[16];

	snprintf(name, sizeof(name), "guest%u", h->index);
	for (uint64_t i = 0; i < c->steps; i++) {
		struct baro_budget *b;

		if (baro_budget_open(c->leaf[h->index], name, GIB, 0, &b)) {
			c->wrong++;
			return;
		}
		for (int k = 0; k < 100; k++) {
			c->wrong += baro_budget_reserve(b, UNIT, &r, NULL) != 0;
			c->wrong += k == 50 && baro_budget_close(b) != -EBUSY;
			c->wrong += baro_reservation_release(&r) != 0;
		}
		if (baro_budget_close(b))
			c->wrong++;
	}
}

static void budgets_come_and_go_beside_each_other(void **state)
{
	struct crew c = { .steps = 300 };

	open_leaves(&c, *state, 64 * GIB, NONE);
	run_crew(&c, 4, 1, come_and_go);
	assert_int_equal(c.wrong, 0);
	close_leaves(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_EVERY_WAY(no_schedule_ends_above_a_ceiling),
		IN_EVERY_WAY(what_fits_is_granted_to_the_last_byte),
		IN_EVERY_WAY(a_ceiling_that_sinks_is_not_overtaken),
		IN_EVERY_WAY(usage_survives_limits_that_swing),
		IN_EVERY_WAY(a_moving_limit_makes_no_false_emergency),
		IN_EVERY_WAY(a_moving_limit_makes_no_false_calm),
		IN_EVERY_WAY(of_two_that_release_the_same_one_only_one_succeeds),
		IN_EVERY_WAY(another_thread_may_release),
		IN_EVERY_WAY(budgets_come_and_go_beside_each_other),
	};

	return cmocka_run_group_tests_name("budget threads", tests, NULL, NULL);
}
