/* SPDX-License-Identifier: BSD-2-Clause */
/* The invariants of limits.h over random inputs, and the rows of its table by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "user/common/clock.h"
#include "user/common/units.h"
#include "user/daemon/law.h"
#include "user/daemon/limits.h"

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Sizes of every magnitude, absurd ones too. */
static uint64_t random_bytes(void)
{
	uint64_t r = next_random();

	if (r % 50 == 0)
		return UINT64_MAX;
	return next_random() >> (r % 64);
}

static void check_order(const struct limits_input *in, const struct cg_limits *l)
{
	uint64_t least = in->unreclaimable_bytes;

	for (int w = 0; w < CG_LIMIT_COUNT; w++)
		if (l->bytes[w] != BYTES_NO_LIMIT && (in->mode == LIMITS_SOFT || w == CG_LIMIT_MAX))
			assert_int_equal(l->bytes[w] % LAW_PAGE_BYTES, 0);
	if (in->mode == LIMITS_SOFT) {
		assert_true(l->bytes[CG_LIMIT_MIN] <= l->bytes[CG_LIMIT_LOW]);
		assert_true(l->bytes[CG_LIMIT_LOW] <= l->bytes[CG_LIMIT_HIGH]);
		assert_true(l->bytes[CG_LIMIT_LOW] <= l->bytes[CG_LIMIT_MAX]);
		assert_true(l->bytes[CG_LIMIT_HIGH] == BYTES_NO_LIMIT ||
			    l->bytes[CG_LIMIT_HIGH] <= l->bytes[CG_LIMIT_MAX]);
		assert_true(l->bytes[CG_LIMIT_HIGH] >= least);
	}
	assert_true(l->bytes[CG_LIMIT_MAX] >= least);
}

static void limits_are_ordered_whatever_comes_in(void **state)
{
	for (int i = 0; i < 2000000; i++) {
		struct limits_input in = {
			.mode = (enum limits_mode)(next_random() % 3),
			.stream = next_random() & 1,
			.spare_high = next_random() % 8 == 0,
			.target_bytes = random_bytes(),
			.lent_bytes = random_bytes(),
			.min_bytes = random_bytes(),
			.max_bytes = random_bytes(),
			.unreclaimable_bytes = random_bytes(),
			.usage_bytes = random_bytes(),
			.anon_bytes = random_bytes(),
			.ceiling_bytes = random_bytes(),
			.others_floor_bytes = random_bytes(),
			.engines = next_random() % 5000,
			.origin = { { 0, 0, BYTES_NO_LIMIT, BYTES_NO_LIMIT } },
		};
		struct cg_limits l;

		limits_want(&in, &l);
		check_order(&in, &l);
	}
}

static struct limits_input reader(void)
{
	return (struct limits_input){ .mode = LIMITS_SOFT,
				      .target_bytes = 400 * MIB,
				      .min_bytes = 16 * MIB,
				      .max_bytes = 900 * MIB,
				      .unreclaimable_bytes = 10 * MIB,
				      .usage_bytes = 380 * MIB,
				      .anon_bytes = 8 * MIB,
				      .ceiling_bytes = 1000 * MIB,
				      .others_floor_bytes = 200 * MIB,
				      .engines = 2,
				      .origin = { { 0, 0, BYTES_NO_LIMIT, BYTES_NO_LIMIT } } };
}

static void a_file_engine_is_protected_and_loosely_capped(void **state)
{
	struct limits_input in = reader();
	struct cg_limits l;

	limits_want(&in, &l);
	assert_int_equal(l.bytes[CG_LIMIT_MIN], 16 * MIB);
	assert_int_equal(l.bytes[CG_LIMIT_LOW], 400 * MIB);
	assert_int_equal(l.bytes[CG_LIMIT_HIGH], 500 * MIB);
	assert_int_equal(l.bytes[CG_LIMIT_MAX], 792 * MIB);
	/* what nobody uses, if that is more than a quarter */
	in.lent_bytes = 99 * MIB;
	limits_want(&in, &l);
	assert_int_equal(l.bytes[CG_LIMIT_HIGH], 500 * MIB);
	in.lent_bytes = 120 * MIB;
	limits_want(&in, &l);
	assert_int_equal(l.bytes[CG_LIMIT_LOW], 400 * MIB);
	assert_int_equal(l.bytes[CG_LIMIT_HIGH], 520 * MIB);
	assert_int_equal(l.bytes[CG_LIMIT_MAX], 792 * MIB);
}

static void a_stream_is_capped_at_its_target(void **state)
{
	struct limits_input in = reader();
	struct cg_limits l;

	in.stream = true;
	in.lent_bytes = 120 * MIB;
	limits_want(&in, &l);
	assert_int_equal(l.bytes[CG_LIMIT_HIGH], 400 * MIB);
}

static void an_anonymous_engine_has_no_high(void **state)
{
	struct limits_input in = reader();
	struct cg_limits l;

	in.anon_bytes = in.unreclaimable_bytes = 300 * MIB;
	limits_want(&in, &l);
	assert_int_equal(l.bytes[CG_LIMIT_HIGH], BYTES_NO_LIMIT);
	assert_true(l.bytes[CG_LIMIT_MAX] < in.ceiling_bytes);
}

static void a_hard_target_is_the_limit_and_nothing_else_is_touched(void **state)
{
	struct limits_input in = reader();
	struct cg_limits l;

	in.mode = LIMITS_HARD;
	in.origin.bytes[CG_LIMIT_LOW] = 3 * MIB;
	limits_want(&in, &l);
	assert_int_equal(l.bytes[CG_LIMIT_MAX], 400 * MIB);
	assert_int_equal(l.bytes[CG_LIMIT_LOW], 3 * MIB);
	assert_int_equal(l.bytes[CG_LIMIT_HIGH], BYTES_NO_LIMIT);
	in.unreclaimable_bytes = 500 * MIB;
	limits_want(&in, &l);
	assert_true(l.bytes[CG_LIMIT_MAX] >= 500 * MIB + limits_headroom(500 * MIB));
}

static void what_cannot_be_reclaimed_gets_a_backstop_not_its_target(void **state)
{
	struct limits_input in = reader();
	struct cg_limits l;

	in.mode = LIMITS_BACKSTOP;
	in.unreclaimable_bytes = 380 * MIB;
	limits_want(&in, &l);
	assert_int_equal(l.bytes[CG_LIMIT_MAX], 792 * MIB);
	in.max_bytes = 600 * MIB;
	limits_want(&in, &l);
	assert_int_equal(l.bytes[CG_LIMIT_MAX], 600 * MIB);
}

static void a_small_cache_is_not_now_a_heap_and_now_none(void **state)
{
	const uint64_t ceiling = 1024 * MIB;

	/* what it takes to become one */
	assert_true(limits_is_heap(false, 0, 0, 0, ceiling)); /* about to begin */
	assert_true(limits_is_heap(false, 12 * MIB, 100 * MIB, 100 * MIB, ceiling));
	assert_false(limits_is_heap(false, 13 * MIB, 100 * MIB, 100 * MIB, ceiling));
	assert_false(limits_is_heap(false, 16 * MIB, 16 * MIB, 16 * MIB, ceiling));
	/* and to be one no more */
	assert_true(limits_is_heap(true, 49 * MIB, 100 * MIB, 100 * MIB, ceiling));
	assert_false(limits_is_heap(true, 50 * MIB, 100 * MIB, 100 * MIB, ceiling));
	assert_true(limits_is_heap(true, 31 * MIB, 31 * MIB, 31 * MIB, ceiling));
	assert_false(limits_is_heap(true, 32 * MIB, 32 * MIB, 32 * MIB, ceiling));
}

static void what_stands_above_its_target_is_limited_when_it_can_be(void **state)
{
	const uint64_t ceiling = 1024 * MIB;

	/* as much as the target, or hardly more */
	assert_true(limits_is_heap(true, 45 * MIB, 100 * MIB, 100 * MIB, ceiling));
	assert_true(limits_is_heap(true, 45 * MIB, 100 * MIB, 84 * MIB, ceiling));
	assert_false(limits_is_heap(true, 45 * MIB, 100 * MIB, 83 * MIB, ceiling));
	/* there must be enough to reclaim, not only for once */
	assert_false(limits_is_heap(true, 45 * MIB, 100 * MIB, 78 * MIB, ceiling));
	assert_true(limits_is_heap(true, 45 * MIB, 100 * MIB, 77 * MIB, ceiling));
	assert_true(limits_is_heap(true, 4 * MIB, 100 * MIB, 60 * MIB, ceiling));
}

static void claims_and_room(void **state)
{
	struct cg_limits l = { { 1 * MIB, 50 * MIB, BYTES_NO_LIMIT, BYTES_NO_LIMIT } };

	assert_int_equal(limits_claim(LIMITS_SOFT, false, &l, 60 * MIB, 80 * MIB, 0), 50 * MIB);
	assert_int_equal(limits_claim(LIMITS_HARD, false, &l, 60 * MIB, 80 * MIB, 0),
			 BYTES_NO_LIMIT);
	assert_int_equal(limits_claim(LIMITS_HARD, true, &l, 60 * MIB, 80 * MIB, 0), 80 * MIB);
	assert_int_equal(limits_claim(LIMITS_BACKSTOP, false, &l, 60 * MIB, 80 * MIB, 0), 80 * MIB);
	assert_int_equal(limits_claim(LIMITS_BACKSTOP, false, &l, 90 * MIB, 80 * MIB, 0), 90 * MIB);
	assert_int_equal(limits_room(100 * MIB, 5 * MIB, 50 * MIB), 45 * MIB);
	assert_int_equal(limits_room(100 * MIB, 5 * MIB, BYTES_NO_LIMIT), 0);
	assert_int_equal(limits_room(4 * MIB, 5 * MIB, 0), 0);
}

static void what_is_lent_is_on_top_of_a_target_and_within_the_maximum(void **state)
{
	struct limits_input in = reader();
	struct cg_limits l;

	in.mode = LIMITS_HARD;
	in.target_bytes = 100 * MIB;
	in.max_bytes = 1000 * MIB;
	in.lent_bytes = 30 * MIB;
	limits_want(&in, &l);
	assert_int_equal(l.bytes[CG_LIMIT_MAX], 130 * MIB);
	in.max_bytes = 120 * MIB;
	limits_want(&in, &l);
	assert_int_equal(l.bytes[CG_LIMIT_MAX], 120 * MIB);
	in.max_bytes = 90 * MIB; /* it came down, and the target has not followed yet */
	limits_want(&in, &l);
	assert_int_equal(l.bytes[CG_LIMIT_MAX], 100 * MIB);
}

/* It is not the engine's own: others may be given it. */
static void what_is_lent_is_not_claimed(void **state)
{
	struct cg_limits l = { { 0, 0, BYTES_NO_LIMIT, 130 * MIB } };

	assert_int_equal(limits_claim(LIMITS_HARD, false, &l, 100 * MIB, 0, 30 * MIB), 100 * MIB);
	/* a shrink that has not landed is claimed, and a target that is not in force yet is not */
	assert_int_equal(limits_claim(LIMITS_HARD, false, &l, 70 * MIB, 0, 30 * MIB), 100 * MIB);
	assert_int_equal(limits_claim(LIMITS_HARD, false, &l, 200 * MIB, 0, 30 * MIB), 130 * MIB);
	/* nor is what has been lent and not yet set taken off the target */
	assert_int_equal(limits_claim(LIMITS_HARD, false, &l, 120 * MIB, 0, 60 * MIB), 120 * MIB);
}

static void what_was_given_is_without_what_was_lent(void **state)
{
	struct cg_limits l = { { 0, 0, BYTES_NO_LIMIT, 130 * MIB } };
	const uint64_t ceiling = 400 * MIB;

	assert_int_equal(limits_given(LIMITS_HARD, &l, 100 * MIB, 30 * MIB, ceiling), 100 * MIB);
	assert_int_equal(limits_given(LIMITS_SOFT, &l, 90 * MIB, 30 * MIB, ceiling), 90 * MIB);
	assert_int_equal(limits_given(LIMITS_BACKSTOP, &l, 90 * MIB, 0, ceiling), 90 * MIB);
	/* its maximum leaves no room for a loan, or for a part of it only */
	assert_int_equal(limits_given(LIMITS_HARD, &l, 130 * MIB, 218 * MIB, ceiling), 130 * MIB);
	assert_int_equal(limits_given(LIMITS_HARD, &l, 120 * MIB, 30 * MIB, ceiling), 120 * MIB);
	l.bytes[CG_LIMIT_MAX] = BYTES_NO_LIMIT;
	assert_int_equal(limits_given(LIMITS_HARD, &l, 100 * MIB, 0, ceiling), ceiling);
}

static void lending_begins_at_once_and_ends_by_and_by(void **state)
{
	uint64_t lent = limits_lend(0, 100 * MIB, UINT64_MAX, 100 * NS_PER_MS);

	assert_int_equal(lent, 100 * MIB);
	lent = limits_lend(lent, 20 * MIB, UINT64_MAX, 200 * NS_PER_MS);
	assert_int_equal(lent, 92 * MIB);
	assert_int_equal(limits_lend(lent, 95 * MIB, UINT64_MAX, 200 * NS_PER_MS), 95 * MIB);
	for (int i = 0; i < 100; i++)
		lent = limits_lend(lent, 20 * MIB, UINT64_MAX, 100 * NS_PER_MS);
	assert_in_range(lent, 20 * MIB, 20 * MIB + MIB);
	assert_int_equal(limits_lend(100 * MIB, 0, UINT64_MAX, 10 * NS_PER_S), 0);
}

static void lending_ends_as_fast_as_others_use_what_is_theirs(void **state)
{
	assert_int_equal(limits_lend(100 * MIB, 20 * MIB, 50 * MIB, 200 * NS_PER_MS), 50 * MIB);
	assert_int_equal(limits_lend(100 * MIB, 20 * MIB, 99 * MIB, 200 * NS_PER_MS), 92 * MIB);
	assert_int_equal(limits_lend(100 * MIB, 20 * MIB, 0, 200 * NS_PER_MS), 20 * MIB);
}

static void a_part_of_the_reserve_stays_clear(void **state)
{
	assert_int_equal(limits_clearance(100 * MIB, 1024 * MIB), 16 * MIB);
	assert_int_equal(limits_clearance(20 * MIB, 1024 * MIB), 10 * MIB);
	assert_int_equal(limits_clearance(0, 1024 * MIB), 0);
}

static void who_uses_what_it_has_to_within_a_step_presses(void **state)
{
	assert_false(limits_presses(91 * MIB, 100 * MIB, 1024 * MIB));
	assert_true(limits_presses(92 * MIB, 100 * MIB, 1024 * MIB));
	assert_true(limits_presses(120 * MIB, 100 * MIB, 1024 * MIB));
	assert_true(limits_presses(0, 0, 1024 * MIB));
}

static void the_limit_that_is_met_is_the_lowest_in_force(void **state)
{
	struct cg_limits l = { { 0, 100 * MIB, 125 * MIB, 800 * MIB } };
	uint64_t limit = limits_in_force(&l);

	assert_int_equal(limit, 125 * MIB); /* protection is no limit */
	assert_int_equal(limits_time_to(limit, 110 * MIB, 0), UINT64_MAX);
	assert_int_equal(limits_time_to(limit, 110 * MIB, -5 * (int64_t)MIB), UINT64_MAX);
	assert_int_equal(limits_time_to(limit, 110 * MIB, 5 * MIB), 3 * NS_PER_S);
	assert_int_equal(limits_time_to(limit, 125 * MIB, 0), 0);
	assert_int_equal(limits_time_to(limit, 130 * MIB, -1), 0);
	assert_int_equal(limits_time_to(limit, 0, INT64_MAX), 0);
	l.bytes[CG_LIMIT_HIGH] = BYTES_NO_LIMIT;
	assert_int_equal(limits_in_force(&l), 800 * MIB);
	l.bytes[CG_LIMIT_MAX] = BYTES_NO_LIMIT;
	limit = limits_in_force(&l);
	assert_int_equal(limit, BYTES_NO_LIMIT);
	assert_int_equal(limits_time_to(limit, 110 * MIB, INT64_MAX), UINT64_MAX);
}

/* A lowering that has ended makes the daemon look again at once, and may cause the next one. */
static void how_often_it_is_looked_at_does_not_hurry_the_end(void **state)
{
	uint64_t often = 100 * MIB, seldom = often;

	for (int i = 0; i < 1000; i++)
		often = limits_lend(often, 0, UINT64_MAX, NS_PER_MS);
	for (int i = 0; i < 10; i++)
		seldom = limits_lend(seldom, 0, UINT64_MAX, 100 * NS_PER_MS);
	assert_in_range(often, 60 * MIB, 61 * MIB);
	assert_in_range(seldom, 59 * MIB, 60 * MIB);
	for (int i = 0; i < 1000; i++)
		often = limits_lend(often, 0, UINT64_MAX, 1);
	assert_true(often >= 60 * MIB);
}

static void a_loan_moves_in_steps_and_not_to_and_fro(void **state)
{
	const uint64_t ceiling = 1024 * MIB;
	uint64_t loan = 0, lent = 100 * MIB, moves = 0;

	assert_int_equal(limits_loan(0, 103 * MIB, ceiling), 96 * MIB);
	assert_int_equal(limits_loan(96 * MIB, 104 * MIB, ceiling), 104 * MIB);
	assert_int_equal(limits_loan(104 * MIB, 103 * MIB, ceiling), 104 * MIB);
	assert_int_equal(limits_loan(104 * MIB, 100 * MIB, ceiling), 96 * MIB);
	assert_int_equal(limits_loan(104 * MIB, 3 * MIB, ceiling), 0);
	assert_int_equal(limits_loan(0, 5 * MIB + 1, 64 * MIB), 5 * MIB);
	/* what an engine on trial had is no whole number of steps */
	assert_int_equal(limits_loan(9 * MIB + 4096, 9 * MIB, ceiling), 9 * MIB + 4096);
	/* a heap that comes and goes by a little less than half a step */
	for (int i = 0; i < 1000; i++) {
		uint64_t had = loan;

		lent =
		    limits_lend(lent, i % 2 ? 104 * MIB : 100 * MIB, UINT64_MAX, 100 * NS_PER_MS);
		loan = limits_loan(loan, lent, ceiling);
		moves += loan != had;
	}
	assert_in_range(moves, 1, 2);
	/* and the end of it all, a step at a time */
	for (int i = 0; i < 20000; i++) {
		uint64_t had = loan;

		lent = limits_lend(lent, 0, UINT64_MAX, NS_PER_MS);
		loan = limits_loan(loan, lent, ceiling);
		assert_true(loan <= had && had - loan <= 8 * MIB);
		assert_true(loan <= lent + 4 * MIB);
	}
	assert_int_equal(loan, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_ordered_whatever_comes_in),
		cmocka_unit_test(a_file_engine_is_protected_and_loosely_capped),
		cmocka_unit_test(a_stream_is_capped_at_its_target),
		cmocka_unit_test(an_anonymous_engine_has_no_high),
		cmocka_unit_test(a_hard_target_is_the_limit_and_nothing_else_is_touched),
		cmocka_unit_test(what_cannot_be_reclaimed_gets_a_backstop_not_its_target),
		cmocka_unit_test(a_small_cache_is_not_now_a_heap_and_now_none),
		cmocka_unit_test(what_stands_above_its_target_is_limited_when_it_can_be),
		cmocka_unit_test(claims_and_room),
		cmocka_unit_test(what_is_lent_is_on_top_of_a_target_and_within_the_maximum),
		cmocka_unit_test(what_is_lent_is_not_claimed),
		cmocka_unit_test(what_was_given_is_without_what_was_lent),
		cmocka_unit_test(lending_begins_at_once_and_ends_by_and_by),
		cmocka_unit_test(lending_ends_as_fast_as_others_use_what_is_theirs),
		cmocka_unit_test(a_part_of_the_reserve_stays_clear),
		cmocka_unit_test(who_uses_what_it_has_to_within_a_step_presses),
		cmocka_unit_test(the_limit_that_is_met_is_the_lowest_in_force),
		cmocka_unit_test(how_often_it_is_looked_at_does_not_hurry_the_end),
		cmocka_unit_test(a_loan_moves_in_steps_and_not_to_and_fro),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
