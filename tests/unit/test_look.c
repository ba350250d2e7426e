/* SPDX-License-Identifier: BSD-2-Clause */
/* When an engine's files are looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "user/common/clock.h"
#include "user/daemon/look.h"

#define TICK_NS (100 * NS_PER_MS)
#define START   (1000 * NS_PER_S)

/* A tick, and the look if one is due. */
static bool looks(struct look *l, const struct look_news *news, uint64_t *now_ns, uint64_t tick_ns)
{
	bool due = look_due(l, news, *now_ns += tick_ns);

	if (due)
		look_done(l, *now_ns);
	return due;
}

/* Ticks until one looks, from a look on; at most `most`. */
static unsigned int ticks_until_look(struct look *l, const struct look_news *news, uint64_t *now_ns,
				     unsigned int most)
{
	for (unsigned int i = 1; i <= most; i++)
		if (looks(l, news, now_ns, TICK_NS))
			return i;
	return most + 1;
}

static void what_does_nothing_is_looked_at_every_second(void **state)
{
	struct look l = { 0 };
	struct look_news news = { .known = true };
	uint64_t now_ns = START;

	(void)state;
	assert_int_equal(ticks_until_look(&l, &news, &now_ns, 20), 1);
	assert_int_equal(ticks_until_look(&l, &news, &now_ns, 20), 10);
	/* hits do nothing to memory, however busy */
	news.reads = true;
	news.busy_ppm = 1000000;
	assert_int_equal(ticks_until_look(&l, &news, &now_ns, 20), 10);
}

static void what_is_not_known_or_moves_is_looked_at(void **state)
{
	struct look l = { 0 };
	struct look_news unknown = { 0 }, moves = { .known = true, .moved = true };
	uint64_t now_ns = START;

	(void)state;
	look_done(&l, now_ns);
	assert_int_equal(ticks_until_look(&l, &unknown, &now_ns, 20), 1);
	assert_int_equal(ticks_until_look(&l, &moves, &now_ns, 20), 1);
}

/* So that what it holds goes to others at once, and not in a second. */
static void who_falls_asleep_is_looked_at_until_that_is_known(void **state)
{
	struct look l = { 0 };
	struct look_news news = { .known = true };
	uint64_t now_ns = START;

	(void)state;
	look_done(&l, now_ns);
	look_at_cpu(&l, TICK_NS / 2, TICK_NS);
	news.busy_ppm = 900000;
	assert_int_equal(ticks_until_look(&l, &news, &now_ns, 20), 10);
	look_at_cpu(&l, TICK_NS / 200, TICK_NS);
	assert_int_equal(ticks_until_look(&l, &news, &now_ns, 20), 1);
	news.busy_ppm = 20000;
	assert_int_equal(ticks_until_look(&l, &news, &now_ns, 20), 1);
	news.busy_ppm = 5000;
	assert_int_equal(ticks_until_look(&l, &news, &now_ns, 20), 10);
}

/* Reads for two seconds, and has then been looked at. */
static void reads_on(struct look *l, struct look_news *news, uint64_t *now_ns)
{
	news->reads = true;
	for (int i = 0; i < 20; i++)
		looks(l, news, now_ns, TICK_NS);
	look_done(l, *now_ns);
	news->reads = false;
}

/* Who only reads what is there shows by reading no more that there may be news: three looks, whose
 * CPU time begins when the reads end, however far apart ticks are. */
static void who_reads_no_more_is_looked_at(void **state)
{
	(void)state;
	for (uint64_t tick_ns = TICK_NS; tick_ns <= 4 * TICK_NS; tick_ns *= 2) {
		struct look l = { 0 };
		struct look_news news = { .known = true, .counted = true, .busy_ppm = 900000 };
		uint64_t now_ns = START;

		reads_on(&l, &news, &now_ns);
		for (int i = 0; i < 3; i++)
			assert_true(looks(&l, &news, &now_ns, tick_ns));
		assert_false(looks(&l, &news, &now_ns, tick_ns));
	}
}

static void who_pauses_is_not(void **state)
{
	struct look l = { 0 };
	struct look_news news = { .known = true, .counted = true, .busy_ppm = 900000 };
	uint64_t now_ns = START;
	unsigned int n = 0;

	(void)state;
	reads_on(&l, &news, &now_ns);
	assert_true(looks(&l, &news, &now_ns, TICK_NS));
	news.reads = true;
	assert_false(looks(&l, &news, &now_ns, TICK_NS));
	/* nor who reads in one tick of four */
	for (int i = 0; i < 400; i++) {
		news.reads = i % 4 == 0;
		n += looks(&l, &news, &now_ns, TICK_NS);
	}
	assert_in_range(n, 38, 42);
}

/* A sensor that rests is no engine that sleeps. */
static void who_is_not_counted_has_not_stopped(void **state)
{
	struct look l = { 0 };
	struct look_news news = { .known = true, .counted = true, .busy_ppm = 900000 };
	uint64_t now_ns = START;

	(void)state;
	reads_on(&l, &news, &now_ns);
	news.counted = false;
	assert_false(looks(&l, &news, &now_ns, TICK_NS));
	news.counted = true;
	assert_false(looks(&l, &news, &now_ns, TICK_NS));
}

/* Who reads a little now and then holds nothing that another look would free. */
static void who_hardly_worked_may_stop_reading(void **state)
{
	struct look l = { 0 };
	struct look_news news = { .known = true, .counted = true, .busy_ppm = 100000 };
	uint64_t now_ns = START;

	(void)state;
	reads_on(&l, &news, &now_ns);
	assert_false(looks(&l, &news, &now_ns, TICK_NS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_does_nothing_is_looked_at_every_second),
		cmocka_unit_test(what_is_not_known_or_moves_is_looked_at),
		cmocka_unit_test(who_falls_asleep_is_looked_at_until_that_is_known),
		cmocka_unit_test(who_reads_no_more_is_looked_at),
		cmocka_unit_test(who_pauses_is_not),
		cmocka_unit_test(who_is_not_counted_has_not_stopped),
		cmocka_unit_test(who_hardly_worked_may_stop_reading),
	};

	return cmocka_run_group_tests_name("look", tests, NULL, NULL);
}
