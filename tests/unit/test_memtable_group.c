/* SPDX-License-Identifier: BSD-2-Clause */
/* Many memtables under one write budget. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/lib/memtable_internal.h"

#define MIB   (UINT64_C(1) << 20)
#define T0    (1000 * NS_PER_S)
#define TICK  (100 * NS_PER_MS)
#define MOST  40
#define TRIES 20000

static struct baro_memtable_group *group_open(uint64_t budget_bytes)
{
	struct baro_memtable_group *g = NULL;

	assert_int_equal(baro_memtable_group_open(budget_bytes, &g), 0);
	return g;
}

static struct baro_memtable *join(struct baro_memtable_group *g)
{
	struct baro_memtable *m = NULL;

	assert_int_equal(baro_memtable_open(NULL, g, &m), 0);
	return m;
}

static struct baro_memtable_stats of(struct baro_memtable *m)
{
	struct baro_memtable_stats s;

	baro_memtable_read(m, &s);
	return s;
}

static struct baro_memtable_group_stats all(struct baro_memtable_group *g)
{
	struct baro_memtable_group_stats s;

	baro_memtable_group_read(g, &s);
	return s;
}

/* Gives each its rate, then empties all of them. */
static uint64_t settle(struct baro_memtable_group *g, struct baro_memtable **m, size_t n,
		       const uint64_t *per_s)
{
	uint64_t t = T0;

	baro_memtable_group_update(g, t, NULL);
	for (int i = 0; i < 10; i++) {
		for (size_t k = 0; k < n; k++)
			baro_memtable_record_write(m[k], per_s[k] / 10);
		baro_memtable_group_update(g, t += TICK, NULL);
	}
	for (size_t k = 0; k < n; k++)
		baro_memtable_flushed(m[k], baro_memtable_rotate(m[k]));
	baro_memtable_group_update(g, ++t, NULL);
	return t;
}

static void close_all(struct baro_memtable_group *g, struct baro_memtable **m, size_t n)
{
	for (size_t k = 0; k < n; k++)
		baro_memtable_close(m[k]);
	assert_int_equal(baro_memtable_group_close(g), 0);
}

/* ---- shares ---------------------------------------------------------------------------------- */

static void within_the_budget_each_has_what_it_wants(void **state)
{
	struct baro_memtable_group *g = group_open(64 * MIB);
	struct baro_memtable *m[3] = { join(g), join(g), join(g) };
	static const uint64_t per_s[] = { 2000000, 8000000, 40000000 };

	settle(g, m, 3, per_s);
	assert_in_range(of(m[0]).target_bytes, 1999990, 2000010);
	assert_in_range(of(m[1]).target_bytes, 7999990, 8000010);
	assert_int_equal(of(m[2]).target_bytes, 16 * MIB);
	assert_int_equal(all(g).target_bytes, all(g).wanted_bytes);
	close_all(g, m, 3);
}

static void beyond_it_the_rest_after_the_minima_goes_by_rate(void **state)
{
	struct baro_memtable_group *g = group_open(15 * MIB);
	struct baro_memtable *m[3] = { join(g), join(g), join(g) };
	static const uint64_t per_s[] = { 12 * MIB, 12 * MIB, 6 * MIB };

	settle(g, m, 3, per_s);
	/* 1 each, and 12 in the proportion 2 : 2 : 1 */
	assert_in_range(of(m[0]).target_bytes, 58 * MIB / 10 - 9, 58 * MIB / 10 + 9);
	assert_in_range(of(m[1]).target_bytes, 58 * MIB / 10 - 9, 58 * MIB / 10 + 9);
	assert_in_range(of(m[2]).target_bytes, 34 * MIB / 10 - 9, 34 * MIB / 10 + 9);
	assert_true(all(g).target_bytes <= 15 * MIB);
	close_all(g, m, 3);
}

static void what_one_does_not_want_is_the_others(void **state)
{
	struct baro_memtable_group *g = group_open(15 * MIB);
	struct baro_memtable *m[3] = { join(g), join(g), join(g) };
	static const uint64_t per_s[] = { 16 * MIB, 16 * MIB, 3 * MIB / 2 };

	settle(g, m, 3, per_s);
	/* by rate alone it would have 1.54 of 15 */
	assert_in_range(of(m[2]).target_bytes, 3 * MIB / 2 - 9, 3 * MIB / 2 + 9);
	assert_in_range(of(m[0]).target_bytes, 675 * MIB / 100 - 9, 675 * MIB / 100 + 9);
	close_all(g, m, 3);
}

static void minima_that_do_not_fit_are_cut_alike(void **state)
{
	struct baro_memtable_group *g = group_open(MIB);
	struct baro_memtable *m[4] = { join(g), join(g), join(g), join(g) };
	static const uint64_t per_s[] = { 16 * MIB, MIB, MIB, 1 };

	settle(g, m, 4, per_s);
	for (int i = 0; i < 4; i++)
		assert_int_equal(of(m[i]).target_bytes, MIB / 4);
	close_all(g, m, 4);
}

static void an_idle_table_keeps_its_minimum_and_lends_the_rest(void **state)
{
	struct baro_memtable_group *g = group_open(12 * MIB);
	struct baro_memtable *m[2] = { join(g), join(g) };
	static const uint64_t per_s[] = { 16 * MIB, 16 * MIB };
	uint64_t t = settle(g, m, 2, per_s);

	assert_in_range(of(m[1]).target_bytes, 6 * MIB - 9, 6 * MIB);
	for (int i = 0; i < 20; i++) {
		baro_memtable_record_write(m[0], per_s[0] / 10);
		baro_memtable_group_update(g, t += TICK, NULL);
	}
	assert_int_equal(of(m[1]).idle, 1);
	assert_int_equal(of(m[1]).target_bytes, MIB);
	assert_in_range(of(m[0]).target_bytes, 11 * MIB - 9, 11 * MIB);
	/* When it writes again it has its half at once: its rate was not forgotten. */
	baro_memtable_record_write(m[0], per_s[0] / 10);
	baro_memtable_record_write(m[1], per_s[1] / 10);
	baro_memtable_group_update(g, t += TICK, NULL);
	assert_in_range(of(m[1]).target_bytes, 6 * MIB - 9, 6 * MIB);
	close_all(g, m, 2);
}

static void idle_tables_have_what_the_others_do_not_want(void **state)
{
	struct baro_memtable_group *g = group_open(24 * MIB);
	struct baro_memtable *m[2] = { join(g), join(g) };
	static const uint64_t per_s[] = { 20 * MIB, 20 * MIB };
	uint64_t t = settle(g, m, 2, per_s);

	for (int i = 0; i < 20; i++) {
		baro_memtable_record_write(m[0], per_s[0] / 10);
		baro_memtable_group_update(g, t += TICK, NULL);
	}
	assert_int_equal(of(m[0]).target_bytes, 16 * MIB);
	assert_in_range(of(m[1]).target_bytes, 8 * MIB - 9, 8 * MIB);
	close_all(g, m, 2);
}

static uint64_t random_bits(void)
{
	return (uint64_t)random() << 33 ^ (uint64_t)random() << 11 ^ (uint64_t)random();
}

/* Of any size from none to all bits. */
static uint64_t random_size(void)
{
	return random_bits() >> random() % 64;
}

static void random_shares(struct memtable_share *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		s[i] = (struct memtable_share){ .rate = (double)random_size() / 3,
						.idle = random() % 3 == 0,
						.wanted_bytes = random_size(),
						.min_bytes = random_size() };
		if (random() % 8 == 0)
			s[i].rate = 0;
		if (s[i].min_bytes > s[i].wanted_bytes)
			s[i].min_bytes = s[i].wanted_bytes;
	}
}

static void targets_are_within_the_budget_for_any_input(void **state)
{
	for (int i = 0; i < TRIES; i++) {
		struct memtable_share s[MOST];
		size_t n = (size_t)random() % MOST + 1;
		uint64_t budget = random_size();
		unsigned __int128 sum = 0, minima = 0, wanted = 0;

		random_shares(s, n);
		memtable_share_budget(s, n, budget);
		for (size_t k = 0; k < n; k++) {
			assert_true(s[k].target_bytes <= s[k].wanted_bytes);
			sum += s[k].target_bytes;
			minima += s[k].min_bytes;
			wanted += s[k].wanted_bytes;
		}
		assert_true(sum <= budget || wanted <= budget);
		for (size_t k = 0; k < n && minima <= budget; k++)
			assert_true(s[k].target_bytes >= s[k].min_bytes);
		/* and hardly anything of it is left over */
		if (wanted > budget && minima <= budget)
			assert_true(sum + MOST + (budget >> 48) >= budget);
	}
}

/* ---- turns ----------------------------------------------------------------------------------- */

static void a_table_may_use_what_the_others_leave(void **state)
{
	struct baro_memtable_group *g = group_open(12 * MIB);
	struct baro_memtable *m[3] = { join(g), join(g), join(g) };
	static const uint64_t per_s[] = { 16 * MIB, 16 * MIB, 16 * MIB };
	uint64_t t = settle(g, m, 3, per_s);

	assert_in_range(of(m[0]).target_bytes, 4 * MIB - 9, 4 * MIB);
	/* It grows beyond its target, half a mebibyte at a time; the minima of the others are not
	 * lent, what is held all together never exceeds the budget. */
	for (int i = 0; i < 18; i++) {
		baro_memtable_record_write(m[0], MIB / 2);
		assert_false(baro_memtable_should_flush(m[0], baro_memtable_held(m[0])));
		assert_null(baro_memtable_group_update(g, t += 30 * NS_PER_MS, NULL));
	}
	assert_int_equal(of(m[0]).held_bytes, 9 * MIB);
	assert_true(of(m[0]).held_bytes > 2 * of(m[0]).target_bytes);
	assert_int_equal(all(g).over_bytes, 0);
	close_all(g, m, 3);
}

static void the_largest_over_its_target_is_flushed_first(void **state)
{
	struct baro_memtable_group *g = group_open(12 * MIB);
	struct baro_memtable *m[3] = { join(g), join(g), join(g) };
	static const uint64_t per_s[] = { 16 * MIB, 16 * MIB, 16 * MIB };
	uint64_t t = settle(g, m, 3, per_s);

	baro_memtable_record_write(m[0], 5 * MIB);
	baro_memtable_record_write(m[1], 6 * MIB);
	baro_memtable_record_write(m[2], 3 * MIB);
	assert_ptr_equal(baro_memtable_group_update(g, t += TICK, NULL), m[1]);
	assert_int_equal(all(g).over_bytes, 2 * MIB);
	/* also for who only asks should_flush; the others may go on for now */
	assert_false(baro_memtable_should_flush(m[0], 5 * MIB));
	assert_true(baro_memtable_should_flush(m[1], 6 * MIB));
	assert_false(baro_memtable_should_flush(m[2], 3 * MIB));
	/* It is flushed; what is left is within the budget, and nobody else is asked. */
	assert_int_equal(baro_memtable_rotate(m[1]), 6 * MIB);
	baro_memtable_flushed(m[1], 6 * MIB);
	assert_null(baro_memtable_group_update(g, t += TICK, NULL));
	assert_false(baro_memtable_should_flush(m[0], 5 * MIB));
	close_all(g, m, 3);
}

static void what_is_being_flushed_already_is_waited_for(void **state)
{
	struct baro_memtable_group *g = group_open(12 * MIB);
	struct baro_memtable *m[2] = { join(g), join(g) };
	static const uint64_t per_s[] = { 16 * MIB, 16 * MIB };
	uint64_t t = settle(g, m, 2, per_s);

	baro_memtable_record_write(m[0], 10 * MIB);
	baro_memtable_record_write(m[1], 7 * MIB);
	assert_ptr_equal(baro_memtable_group_update(g, t += TICK, NULL), m[0]);
	baro_memtable_rotate(m[0]);
	/* 10 sealed, 7 held: over, but more is going than staying */
	assert_null(baro_memtable_group_update(g, t += TICK, NULL));
	assert_int_equal(all(g).over_bytes, 5 * MIB);
	baro_memtable_record_write(m[1], 4 * MIB);
	assert_ptr_equal(baro_memtable_group_update(g, t += TICK, NULL), m[1]);
	baro_memtable_rotate(m[1]);
	baro_memtable_flushed(m[0], 10 * MIB);
	baro_memtable_flushed(m[1], 11 * MIB);
	assert_null(baro_memtable_group_update(g, t += TICK, NULL));
	assert_int_equal(all(g).over_bytes, 0);
	close_all(g, m, 2);
}

static void a_table_at_its_own_size_is_flushed_whatever_the_group_has(void **state)
{
	struct baro_memtable_group *g = group_open(640 * MIB);
	struct baro_memtable *m = join(g);
	static const uint64_t per_s[] = { 4000000 };

	settle(g, &m, 1, per_s);
	assert_false(baro_memtable_should_flush(m, 3999900));
	assert_true(baro_memtable_should_flush(m, 4000100));
	close_all(g, &m, 1);
}

static void nobody_over_its_target_is_nobody_to_flush(void **state)
{
	struct baro_memtable_group *g = group_open(12 * MIB);
	struct baro_memtable *m[2] = { join(g), join(g) };
	static const uint64_t per_s[] = { 16 * MIB, 16 * MIB };
	uint64_t t = settle(g, m, 2, per_s);

	/* Over because of a flush that is slow: new tables are not flushed for it. */
	baro_memtable_record_write(m[0], 5 * MIB);
	baro_memtable_rotate(m[0]);
	baro_memtable_record_write(m[0], 5 * MIB);
	baro_memtable_record_write(m[1], 5 * MIB);
	assert_null(baro_memtable_group_update(g, t += TICK, NULL));
	assert_int_equal(all(g).over_bytes, 3 * MIB);
	assert_false(baro_memtable_should_flush(m[0], 5 * MIB));
	close_all(g, m, 2);
}

static void a_budget_that_goes_down_is_followed(void **state)
{
	struct baro_memtable_group *g = group_open(64 * MIB);
	struct baro_memtable *m[2] = { join(g), join(g) };
	static const uint64_t per_s[] = { 16 * MIB, 16 * MIB };
	uint64_t t = settle(g, m, 2, per_s);

	baro_memtable_record_write(m[0], 15 * MIB);
	assert_null(baro_memtable_group_update(g, t += TICK, NULL));
	assert_int_equal(baro_memtable_group_set_budget(g, 0), -EINVAL);
	assert_int_equal(baro_memtable_group_set_budget(g, 8 * MIB), 0);
	assert_ptr_equal(baro_memtable_group_update(g, t += TICK, NULL), m[0]);
	assert_true(all(g).target_bytes <= 8 * MIB);
	close_all(g, m, 2);
}

static void who_leaves_takes_its_share_along(void **state)
{
	struct baro_memtable_group *g = group_open(12 * MIB);
	struct baro_memtable *m[3] = { join(g), join(g), join(g) };
	static const uint64_t per_s[] = { 16 * MIB, 16 * MIB, 16 * MIB };

	settle(g, m, 3, per_s);
	assert_int_equal(baro_memtable_group_close(g), -EBUSY);
	baro_memtable_record_write(m[1], 5 * MIB);
	baro_memtable_close(m[1]);
	assert_int_equal(all(g).tables, 2);
	assert_int_equal(all(g).held_bytes, 0);
	assert_in_range(of(m[0]).target_bytes, 6 * MIB - 9, 6 * MIB);
	baro_memtable_close(m[0]);
	baro_memtable_close(m[2]);
	assert_int_equal(all(g).target_bytes, 0);
	assert_null(baro_memtable_group_update(g, T0 + 100 * NS_PER_S, NULL));
	assert_int_equal(baro_memtable_group_close(g), 0);
	assert_int_equal(baro_memtable_group_close(NULL), 0);
	assert_int_equal(baro_memtable_group_open(0, &g), -EINVAL);
}

/*
 * An engine that obeys: it flushes what should be flushed, and a flush takes three updates. What is
 * held stays within the budget and the minima, however the rates move.
 */
static void an_engine_that_obeys_stays_within_the_budget(void **state)
{
	enum { N = 8 };
	struct baro_memtable_group *g = group_open(48 * MIB);
	struct baro_memtable *m[N];
	uint64_t sealed[N][3] = { 0 }, t = T0, rate[N], flushes = 0, worst = 0, small = 0;

	for (int k = 0; k < N; k++)
		m[k] = join(g);
	for (int round = 0; round < 5000; round++) {
		if (round % 200 == 0)
			for (int k = 0; k < N; k++)
				rate[k] = random() % 3 ? (uint64_t)random() % (12 * MIB) : 0;
		for (int k = 0; k < N; k++) {
			baro_memtable_flushed(m[k], sealed[k][0]);
			sealed[k][0] = sealed[k][1];
			sealed[k][1] = sealed[k][2];
			sealed[k][2] = 0;
			baro_memtable_record_write(m[k], rate[k] / 10);
			if (!baro_memtable_should_flush(m[k], baro_memtable_held(m[k])))
				continue;
			sealed[k][2] = baro_memtable_rotate(m[k]);
			flushes++;
			small += sealed[k][2] < MIB;
		}
		baro_memtable_group_update(g, t += TICK, NULL);
		if (all(g).held_bytes > worst)
			worst = all(g).held_bytes;
	}
	assert_true(flushes > 500);
	assert_int_equal(small, 0);
	assert_true(worst <= 48 * MIB + N * MIB);
	close_all(g, m, N);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(within_the_budget_each_has_what_it_wants),
		cmocka_unit_test(beyond_it_the_rest_after_the_minima_goes_by_rate),
		cmocka_unit_test(what_one_does_not_want_is_the_others),
		cmocka_unit_test(minima_that_do_not_fit_are_cut_alike),
		cmocka_unit_test(an_idle_table_keeps_its_minimum_and_lends_the_rest),
		cmocka_unit_test(idle_tables_have_what_the_others_do_not_want),
		cmocka_unit_test(targets_are_within_the_budget_for_any_input),
		cmocka_unit_test(a_table_may_use_what_the_others_leave),
		cmocka_unit_test(the_largest_over_its_target_is_flushed_first),
		cmocka_unit_test(what_is_being_flushed_already_is_waited_for),
		cmocka_unit_test(a_table_at_its_own_size_is_flushed_whatever_the_group_has),
		cmocka_unit_test(nobody_over_its_target_is_nobody_to_flush),
		cmocka_unit_test(a_budget_that_goes_down_is_followed),
		cmocka_unit_test(who_leaves_takes_its_share_along),
		cmocka_unit_test(an_engine_that_obeys_stays_within_the_budget),
	};

	return cmocka_run_group_tests_name("memtable_group", tests, NULL, NULL);
}
