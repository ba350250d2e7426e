// SPDX-License-Identifier: BSD-2-Clause
/* The governor: engines under a ceiling, what it follows, and what it makes of drift. */
#include "tests/unit/budget_support.h"

#include <pthread.h>
#include <stdatomic.h>

#include "include/barostat/governor.h"
#include "user/lib/governor_internal.h"

#define NOW (1000 * NS_PER_S)

static struct baro_governor *open_governor(uint64_t ceiling)
{
	struct baro_governor *g = NULL;

	assert_int_equal(baro_governor_open(ceiling, &g), 0);
	assert_non_null(g);
	return g;
}

static struct baro_budget *add(struct baro_governor *g, const char *name, uint64_t min,
			       uint64_t own, uint64_t max)
{
	struct baro_budget *b = NULL;

	assert_int_equal(baro_governor_add(g, NULL, name, 0, min, own, max, &b), 0);
	assert_non_null(b);
	return b;
}

static struct baro_governor_stats stats_of_all(struct baro_governor *g)
{
	struct baro_governor_stats s;

	baro_governor_read(g, &s);
	return s;
}

static uint64_t limit_of(struct baro_budget *b)
{
	return stats_of(b).wanted_limit_bytes;
}

static uint64_t limits_in_force(struct baro_governor *g)
{
	struct baro_budget_stats s[64];
	size_t n = baro_budget_list(baro_governor_top(g), s, 64);
	uint64_t sum = 0;

	for (size_t i = 1; i < n; i++)
		sum += s[i].depth == 1 ? s[i].limit_bytes : 0;
	return sum;
}

/* ---- engines --------------------------------------------------------------------------------- */

static void engines_are_added_found_and_removed(void **state)
{
	struct baro_governor *g = open_governor(GIB);
	struct baro_budget *a = add(g, "a", 0, 256 * MIB, NONE);
	struct baro_budget *b = add(g, "b", MIB, 256 * MIB, 512 * MIB), *no = NULL;
	struct baro_engine_stats s[3];
	struct baro_reservation r;

	(void)state;
	assert_ptr_equal(baro_governor_find(g, "a"), a);
	assert_ptr_equal(baro_governor_find(g, "b"), b);
	assert_null(baro_governor_find(g, "c"));
	assert_int_equal(baro_governor_add(g, NULL, "a", 0, 0, 1, 1, &no), -EEXIST);
	assert_int_equal(baro_governor_add(g, NULL, "", 0, 0, 1, 1, &no), -EINVAL);
	assert_int_equal(baro_governor_add(g, NULL, NULL, 0, 0, 1, 1, &no), -EINVAL);
	assert_int_equal(baro_governor_add(g, NULL, "c", 99, 0, 1, 1, &no), -EINVAL);
	assert_int_equal(baro_governor_add(g, NULL, "c", 0, 2, 1, 1, &no), -EINVAL);
	assert_int_equal(baro_governor_add(g, NULL, "c", 0, 0, 2, 1, &no), -EINVAL);
	assert_null(no);
	assert_int_equal(baro_governor_list(g, s, 3), 2);
	assert_string_equal(s[0].name, "a");
	assert_int_equal(s[1].min_bytes, MIB);
	assert_int_equal(s[1].max_bytes, 512 * MIB);
	assert_int_equal(s[1].limit_bytes, 256 * MIB);
	assert_int_equal(s[1].lent_bytes, 0);
	assert_int_equal(baro_budget_reserve(a, 1, &r, NULL), 0);
	assert_int_equal(baro_governor_remove(g, a), -EBUSY);
	assert_int_equal(baro_governor_close(g), -EBUSY);
	baro_reservation_release(&r);
	assert_int_equal(baro_governor_remove(g, a), 0);
	assert_int_equal(baro_governor_remove(g, a), -ENOENT);
	assert_int_equal(baro_governor_list(g, NULL, 0), 1);
	assert_ptr_equal(baro_governor_find(g, "b"), b);
	assert_int_equal(baro_governor_close(g), 0);
	assert_int_equal(baro_governor_close(NULL), 0);
}

static void a_refusal_names_engine_or_ceiling(void **state)
{
	struct baro_governor *g = open_governor(1000);
	struct baro_budget *a = add(g, "a", 0, 600, 600), *b = add(g, "b", 0, 400, 400);
	struct baro_reservation ra, rb, no;
	struct baro_refusal why;

	(void)state;
	assert_int_equal(baro_budget_reserve(a, 601, &no, &why), -ENOMEM);
	assert_string_equal(why.layer, "a");
	assert_int_equal(baro_budget_reserve(a, 600, &ra, &why), 0);
	assert_int_equal(baro_governor_set_ceiling(g, 900), 0);
	/* Both limits gave way, and still the ceiling has the last word. */
	assert_int_equal(limit_of(a) + limit_of(b), 900);
	assert_int_equal(baro_budget_set_limit(b, 400), 0);
	assert_int_equal(baro_budget_reserve(b, 301, &rb, &why), -ENOMEM);
	assert_string_equal(why.layer, "ceiling");
	assert_int_equal(why.left_bytes, 300);
	assert_int_equal(why.limit_bytes, 900);
	baro_reservation_release(&ra);
	assert_int_equal(baro_governor_close(g), 0);
}

static void no_layer_guarantees_more_than_it_has(void **state)
{
	struct baro_governor *g = open_governor(1000);
	struct baro_budget *tenant = open_below(baro_governor_top(g), "tenant", 500);
	struct baro_budget *a = add(g, "a", 600, 600, NONE), *b = NULL, *other;

	(void)state;
	assert_int_equal(baro_governor_add(g, NULL, "b", 0, 401, 401, NONE, &b), -ERANGE);
	assert_int_equal(baro_governor_add(g, tenant, "b", 0, 501, 501, NONE, &b), -ERANGE);
	assert_int_equal(baro_governor_add(g, tenant, "b", 0, 401, 401, NONE, &b), -ERANGE);
	assert_int_equal(baro_governor_add(g, tenant, "b", 0, 400, 400, NONE, &b), 0);
	assert_int_equal(baro_governor_set_engine(g, a, 601, 700, NONE), -ERANGE);
	assert_int_equal(baro_governor_set_engine(g, a, 600, 700, NONE), 0);
	assert_int_equal(baro_governor_set_engine(g, a, 2, 1, NONE), -EINVAL);
	assert_int_equal(baro_governor_set_engine(g, tenant, 0, 1, NONE), -ENOENT);
	/* An engine is no layer; nor is what belongs to another tree. */
	other = NULL;
	assert_int_equal(baro_governor_add(g, a, "c", 0, 0, 0, NONE, &other), -EINVAL);
	other = open_top(&ways[0], "other", 10, 0);
	assert_int_equal(baro_governor_add(g, other, "c", 0, 0, 0, NONE, &b), -EINVAL);
	close_all(other);
	assert_int_equal(baro_governor_close(g), 0);
}

static void engines_are_limited_in_number(void **state)
{
	struct baro_governor *g = open_governor(NONE);
	struct baro_budget *b = NULL;
	char name[16];

	(void)state;
	for (int i = 0; i < BARO_GOVERNOR_ENGINES_MAX; i++) {
		snprintf(name, sizeof(name), "e%d", i);
		(void)add(g, name, 0, 0, NONE);
	}
	assert_int_equal(baro_governor_add(g, NULL, "more", 0, 0, 0, NONE, &b), -ENOSPC);
	assert_int_equal(baro_governor_rebalance(g, NOW), 0);
	assert_int_equal(baro_governor_close(g), 0);
}

/* ---- rebalancing ----------------------------------------------------------------------------- */

static void memory_moves_from_the_idle_to_the_hungry_and_back(void **state)
{
	struct baro_governor *g = open_governor(1000 * MIB);
	struct baro_budget *a = add(g, "a", 100 * MIB, 500 * MIB, NONE);
	struct baro_budget *b = add(g, "b", 100 * MIB, 500 * MIB, NONE);
	struct baro_reservation ra, rb, rc;
	struct baro_engine_stats s[2];
	uint64_t now = NOW;

	(void)state;
	assert_int_equal(baro_budget_reserve(a, 10 * MIB, &ra, NULL), 0);
	assert_int_equal(baro_budget_reserve(b, 500 * MIB, &rb, NULL), 0);
	assert_int_equal(baro_budget_reserve(b, 200 * MIB, &rc, NULL), -ENOMEM);
	for (int i = 0; i < 60; i++, now += NS_PER_S) {
		baro_governor_rebalance(g, now);
		assert_true(limits_in_force(g) <= 1000 * MIB);
		if (baro_reservation_resize(&rb, 850 * MIB, NULL) == 0)
			break;
	}
	assert_int_equal(baro_reservation_bytes(&rb), 850 * MIB);
	assert_true(limit_of(a) >= 100 * MIB && limit_of(a) <= 150 * MIB);
	assert_int_equal(baro_governor_list(g, s, 2), 2);
	assert_true(s[0].lent_bytes >= (int64_t)(350 * MIB));
	assert_int_equal(s[0].lent_bytes, -s[1].lent_bytes);
	assert_true(s[0].moves > 0 && stats_of_all(g).moves >= s[0].moves);
	assert_true(stats_of_all(g).moved_bytes >= 350 * MIB);
	/* a wakes: what is lent comes back as b releases it, not a byte before. */
	assert_int_equal(baro_reservation_resize(&ra, 400 * MIB, NULL), -ENOMEM);
	baro_governor_rebalance(g, now += NS_PER_S);
	assert_true(limit_of(b) < 850 * MIB);
	assert_true(stats_of(b).limit_bytes == 850 * MIB);
	assert_true(limits_in_force(g) <= 1000 * MIB);
	assert_int_equal(baro_reservation_resize(&ra, 400 * MIB, NULL), -ENOMEM);
	assert_int_equal(baro_reservation_resize(&rb, 500 * MIB, NULL), 0);
	baro_governor_rebalance(g, now += NS_PER_S);
	assert_int_equal(baro_reservation_resize(&ra, 400 * MIB, NULL), 0);
	assert_true(limits_in_force(g) <= 1000 * MIB);
	baro_reservation_release(&ra);
	baro_reservation_release(&rb);
	assert_int_equal(baro_governor_close(g), 0);
}

static void a_request_that_no_limit_would_allow_moves_nothing(void **state)
{
	struct baro_governor *g = open_governor(1000 * MIB);
	struct baro_budget *a = add(g, "a", 0, 500 * MIB, 600 * MIB);
	struct baro_reservation no;

	(void)state;
	(void)add(g, "b", 0, 500 * MIB, NONE);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(baro_budget_reserve(a, 601 * MIB, &no, NULL), -ENOMEM);
		assert_int_equal(baro_governor_rebalance(g, NOW + (uint64_t)i * NS_PER_S), 0);
	}
	assert_int_equal(baro_budget_reserve(a, 510 * MIB, &no, NULL), -ENOMEM);
	assert_true(baro_governor_rebalance(g, NOW + 30 * NS_PER_S) > 0);
	assert_true(limit_of(a) >= 510 * MIB && limit_of(a) <= 600 * MIB);
	assert_int_equal(baro_governor_close(g), 0);
}

static void what_was_used_in_between_counts_too(void **state)
{
	struct baro_governor *g = open_governor(1000 * MIB);
	struct baro_budget *a = add(g, "a", 0, 500 * MIB, NONE);
	struct baro_budget *b = add(g, "b", 0, 500 * MIB, NONE);
	struct baro_reservation r, held, no;
	uint64_t now = NOW;

	(void)state;
	assert_int_equal(baro_budget_reserve(b, 500 * MIB, &held, NULL), 0);
	for (int i = 0; i < 40; i++, now += NS_PER_S) {
		/* Whenever somebody looks, a has nothing in use. */
		if (i < 20) {
			assert_int_equal(baro_budget_reserve(a, 400 * MIB, &r, NULL), 0);
			baro_reservation_release(&r);
			assert_int_equal(limit_of(a), 500 * MIB);
		}
		assert_int_equal(baro_budget_reserve(b, 600 * MIB, &no, NULL), -ENOMEM);
		baro_governor_rebalance(g, now);
	}
	assert_true(limit_of(a) < 250 * MIB);
	baro_reservation_release(&held);
	assert_int_equal(baro_governor_close(g), 0);
}

static void memory_moves_between_engines_of_one_parent(void **state)
{
	struct baro_governor *g = open_governor(1000 * MIB);
	struct baro_budget *t1 = open_below(baro_governor_top(g), "t1", 600 * MIB);
	struct baro_budget *t2 = open_below(baro_governor_top(g), "t2", 600 * MIB);
	struct baro_budget *a, *b, *c;
	struct baro_reservation r, no;

	(void)state;
	assert_int_equal(baro_governor_add(g, t1, "a", 0, 0, 300 * MIB, NONE, &a), 0);
	assert_int_equal(baro_governor_add(g, t1, "b", 0, 0, 300 * MIB, NONE, &b), 0);
	assert_int_equal(baro_governor_add(g, t2, "c", 0, 0, 300 * MIB, NONE, &c), 0);
	assert_int_equal(baro_budget_reserve(a, 300 * MIB, &r, NULL), 0);
	for (int i = 0; i < 60; i++) {
		assert_int_equal(baro_budget_reserve(a, 400 * MIB, &no, NULL), -ENOMEM);
		baro_governor_rebalance(g, NOW + (uint64_t)i * NS_PER_S);
		assert_true(limit_of(a) + limit_of(b) <= 600 * MIB);
	}
	assert_true(limit_of(a) > 500 * MIB);
	assert_int_equal(limit_of(c), 300 * MIB);
	baro_reservation_release(&r);
	assert_int_equal(baro_governor_close(g), 0);
}

static void a_new_engine_is_made_room_for(void **state)
{
	struct baro_governor *g = open_governor(1000 * MIB);
	struct baro_budget *a = add(g, "a", 0, 1000 * MIB, NONE), *b;
	struct baro_reservation r;

	(void)state;
	assert_int_equal(baro_budget_reserve(a, 700 * MIB, &r, NULL), 0);
	b = add(g, "b", 200 * MIB, 400 * MIB, NONE);
	assert_true(limit_of(b) >= 200 * MIB);
	assert_true(limit_of(a) >= 700 * MIB);
	assert_true(limits_in_force(g) <= 1000 * MIB);
	assert_int_equal(baro_governor_set_engine(g, a, 0, 100 * MIB, 500 * MIB), 0);
	assert_int_equal(limit_of(a), 500 * MIB);
	assert_int_equal(stats_of(a).limit_bytes, 700 * MIB);
	baro_reservation_release(&r);
	assert_int_equal(baro_governor_close(g), 0);
}

/* ---- ceilings that move ---------------------------------------------------------------------- */

static struct baro_pressure pressure(uint32_t level, uint32_t slot_state, uint64_t budget)
{
	return (struct baro_pressure){ .status = level | (uint64_t)slot_state << 8,
				       .budget_bytes = budget };
}

static void a_ceiling_goes_down_as_memory_is_released(void **state)
{
	struct baro_governor *g = open_governor(1000);
	struct baro_budget *a = add(g, "a", 0, 1000, NONE);
	struct baro_reservation r, no;

	(void)state;
	assert_int_equal(baro_budget_reserve(a, 900, &r, NULL), 0);
	assert_int_equal(baro_governor_set_ceiling(g, 600), 1);
	assert_int_equal(stats_of(baro_governor_top(g)).limit_bytes, 900);
	assert_int_equal(limit_of(a), 600);
	assert_int_equal(baro_budget_reserve(a, 1, &no, NULL), -ENOMEM);
	assert_int_equal(baro_reservation_resize(&r, 550, NULL), 0);
	assert_int_equal(stats_of(baro_governor_top(g)).limit_bytes, 600);
	assert_int_equal(baro_governor_set_ceiling(g, NONE), 0);
	assert_int_equal(baro_governor_rebalance(g, NOW), 1);
	assert_int_equal(limit_of(a), 1000);
	assert_int_equal(stats_of_all(g).ceiling_bytes, NONE);
	baro_reservation_release(&r);
	assert_int_equal(baro_governor_close(g), 0);
}

static void the_daemon_s_budget_bounds_the_ceiling(void **state)
{
	struct baro_governor *g = open_governor(1000);
	struct baro_budget *a = add(g, "a", 0, 1000, NONE);
	struct baro_pressure p = pressure(BARO_LEVEL_WARNING, BARO_SLOT_ACTIVE, 700);
	struct baro_reservation r, no;

	(void)state;
	assert_int_equal(baro_governor_follow(g, &p), 0);
	assert_int_equal(stats_of_all(g).followed_bytes, 700);
	assert_int_equal(stats_of_all(g).limit_bytes, 700);
	assert_int_equal(stats_of_all(g).ceiling_bytes, 1000);
	assert_int_equal(baro_budget_reserve(a, 701, &no, NULL), -ENOMEM);
	assert_int_equal(baro_governor_level(g), BARO_LEVEL_WARNING);
	assert_int_equal(baro_budget_reserve(a, 690, &r, NULL), 0);
	/* The higher of the two levels. */
	assert_int_equal(baro_governor_level(g), BARO_LEVEL_EMERGENCY);
	p = pressure(BARO_LEVEL_NORMAL, BARO_SLOT_MANUAL, 500);
	assert_int_equal(baro_governor_follow(g, &p), 1);
	/* More than the owner allows is not taken. */
	p.budget_bytes = 5000;
	assert_int_equal(baro_governor_follow(g, &p), 0);
	assert_int_equal(stats_of_all(g).limit_bytes, 1000);
	assert_int_equal(baro_governor_level(g), BARO_LEVEL_NORMAL);
	baro_reservation_release(&r);
	assert_int_equal(baro_governor_close(g), 0);
}

static void what_knows_nothing_bounds_nothing(void **state)
{
	struct baro_pressure useless[] = {
		pressure(BARO_LEVEL_EMERGENCY, BARO_SLOT_GONE, 10),
		pressure(BARO_LEVEL_EMERGENCY, BARO_SLOT_WAITING, 10),
		pressure(BARO_LEVEL_EMERGENCY, BARO_SLOT_FREE, 10),
		pressure(BARO_LEVEL_NORMAL, BARO_SLOT_ACTIVE, 0),
		pressure(BARO_LEVEL_NORMAL, BARO_SLOT_ACTIVE, NONE),
	};
	struct baro_pressure p = pressure(BARO_LEVEL_CRITICAL, BARO_SLOT_ACTIVE, 10);
	struct baro_governor *g = open_governor(1000);

	(void)state;
	for (size_t i = 0; i < sizeof(useless) / sizeof(useless[0]); i++) {
		assert_int_equal(baro_governor_follow(g, &p), 0);
		assert_int_equal(stats_of_all(g).limit_bytes, 10);
		assert_int_equal(baro_governor_follow(g, &useless[i]), 0);
		assert_int_equal(stats_of_all(g).limit_bytes, 1000);
		assert_int_equal(stats_of_all(g).followed_bytes, NONE);
		assert_int_equal(baro_governor_level(g), BARO_LEVEL_NORMAL);
	}
	assert_int_equal(baro_governor_follow(g, &p), 0);
	assert_int_equal(baro_governor_follow(g, NULL), 0);
	assert_int_equal(stats_of_all(g).limit_bytes, 1000);
	assert_int_equal(stats_of_all(g).followed_level, BARO_LEVEL_UNKNOWN);
	assert_int_equal(baro_governor_close(g), 0);
}

static void a_process_may_have_a_share_of_what_it_follows(void **state)
{
	struct baro_pressure p = pressure(BARO_LEVEL_NORMAL, BARO_SLOT_ACTIVE, 4000);
	struct baro_governor *g = open_governor(NONE);

	(void)state;
	assert_int_equal(baro_governor_set_share(g, 1000001), -EINVAL);
	assert_int_equal(baro_governor_set_share(g, 250000), 0);
	assert_int_equal(baro_governor_follow(g, &p), 0);
	assert_int_equal(stats_of_all(g).limit_bytes, 1000);
	assert_int_equal(baro_governor_close(g), 0);
}

static void a_request_to_release_is_answered_once(void **state)
{
	struct baro_governor *g = open_governor(1000);
	struct baro_budget *a = add(g, "a", 0, 1000, NONE);
	struct baro_pressure p = pressure(BARO_LEVEL_NORMAL, BARO_SLOT_ACTIVE, 1000);
	struct baro_reservation r, no;

	(void)state;
	assert_int_equal(baro_budget_reserve(a, 600, &r, NULL), 0);
	p.release_bytes = 200;
	p.grant_epoch = 5;
	assert_int_equal(baro_governor_follow(g, &p), 1);
	assert_int_equal(stats_of_all(g).limit_bytes, 400);
	/* The level is of what may be used, not of what is asked for. */
	assert_int_equal(baro_governor_level(g), BARO_LEVEL_NORMAL);
	assert_int_equal(baro_reservation_resize(&r, 500, NULL), 0);
	/* Asked again, the same request: 400, not 300. */
	assert_int_equal(baro_governor_follow(g, &p), 1);
	assert_int_equal(stats_of_all(g).limit_bytes, 400);
	assert_int_equal(baro_reservation_resize(&r, 400, NULL), 0);
	assert_int_equal(baro_governor_follow(g, &p), 0);
	assert_int_equal(baro_budget_reserve(a, 1, &no, NULL), -ENOMEM);
	/* Another one. */
	p.grant_epoch = 6;
	p.release_bytes = 100;
	assert_int_equal(baro_governor_follow(g, &p), 1);
	assert_int_equal(stats_of_all(g).limit_bytes, 300);
	/* More than there is. */
	p.release_bytes = NONE;
	assert_int_equal(baro_governor_follow(g, &p), 1);
	assert_int_equal(stats_of_all(g).limit_bytes, 0);
	p.release_bytes = 0;
	assert_int_equal(baro_governor_follow(g, &p), 0);
	assert_int_equal(stats_of_all(g).limit_bytes, 1000);
	baro_reservation_release(&r);
	assert_int_equal(baro_governor_close(g), 0);
}

/* ---- drift ----------------------------------------------------------------------------------- */

static uint64_t reconcile_for(struct baro_governor *g, uint64_t rss, uint64_t seconds, uint64_t now)
{
	for (uint64_t s = 0; s < seconds; s++) {
		baro_governor_reconcile(g, rss, now += NS_PER_S);
		baro_governor_rebalance(g, now);
	}
	return now;
}

static void untracked_memory_is_withheld_and_makes_no_emergency(void **state)
{
	struct baro_governor *g = open_governor(1000 * MIB);
	struct baro_budget *a = add(g, "a", 0, 1000 * MIB, NONE);
	struct baro_reservation r, no;
	struct baro_governor_stats s;
	struct baro_refusal why;
	uint64_t now;

	(void)state;
	assert_int_equal(baro_budget_reserve(a, 600 * MIB, &r, NULL), 0);
	assert_int_equal(baro_governor_level(g), BARO_LEVEL_NORMAL);
	/* 300 MiB that nobody reserved: of 1000, 900 are really taken, and 2 % is tolerated. */
	now = reconcile_for(g, 900 * MIB, 120, NOW);
	s = stats_of_all(g);
	assert_int_equal(s.drift, BARO_DRIFT_UNTRACKED);
	assert_int_equal(s.drift_now_bytes, 300 * MIB);
	assert_true(s.drift_bytes > (int64_t)(299 * MIB));
	assert_int_equal(s.rss_bytes, 900 * MIB);
	assert_true(s.withheld_bytes >= 279 * MIB && s.withheld_bytes <= 285 * MIB);
	/* No false headroom ... */
	assert_int_equal(baro_budget_reserve(a, 130 * MIB, &no, &why), -ENOMEM);
	/* ... and what is left may be reserved to the last byte without an emergency. */
	assert_int_equal(baro_governor_level(g), BARO_LEVEL_CRITICAL);
	assert_int_equal(baro_reservation_resize(&r, s.limit_bytes, NULL), 0);
	assert_int_equal(baro_governor_level(g), BARO_LEVEL_CRITICAL);
	assert_int_equal(baro_reservation_resize(&r, s.limit_bytes + 1, NULL), -ENOMEM);
	/* The kernel's word counts. */
	assert_int_equal(
	    baro_governor_follow(g, &(struct baro_pressure){ .status = BARO_LEVEL_EMERGENCY |
								       BARO_SLOT_ACTIVE << 8 }),
	    0);
	assert_int_equal(baro_governor_level(g), BARO_LEVEL_EMERGENCY);
	baro_governor_follow(g, NULL);
	/* Half of the ceiling at most, whatever is claimed. */
	now = reconcile_for(g, NONE, 200, now);
	assert_int_equal(stats_of_all(g).withheld_bytes, 500 * MIB);
	/* Nobody confirms it any more. */
	baro_governor_rebalance(g, now + 31 * NS_PER_S);
	s = stats_of_all(g);
	assert_int_equal(s.drift, BARO_DRIFT_NONE);
	assert_int_equal(s.withheld_bytes, 0);
	assert_int_equal(s.rss_bytes, 0);
	assert_int_equal(s.limit_bytes, 1000 * MIB);
	baro_reservation_release(&r);
	assert_int_equal(baro_governor_close(g), 0);
}

static void minima_are_not_withheld(void **state)
{
	struct baro_governor *g = open_governor(1000 * MIB);
	struct baro_budget *a = add(g, "a", 900 * MIB, 1000 * MIB, NONE);
	struct baro_reservation r;

	(void)state;
	(void)reconcile_for(g, 900 * MIB, 120, NOW);
	assert_int_equal(stats_of_all(g).withheld_bytes, 100 * MIB);
	assert_int_equal(baro_budget_reserve(a, 900 * MIB, &r, NULL), 0);
	baro_reservation_release(&r);
	assert_int_equal(baro_governor_close(g), 0);
}

static void overcounted_memory_makes_no_false_emergency_and_admits_nothing(void **state)
{
	struct baro_governor *g = open_governor(1000 * MIB);
	struct baro_budget *a = add(g, "a", 0, 1000 * MIB, NONE);
	struct baro_reservation leaked, no;
	uint64_t now;

	(void)state;
	/* An error path dropped it; the memory is long gone. */
	assert_int_equal(baro_budget_reserve(a, 960 * MIB, &leaked, NULL), 0);
	assert_int_equal(baro_governor_level(g), BARO_LEVEL_EMERGENCY);
	now = reconcile_for(g, 200 * MIB, 60, NOW);
	assert_int_equal(stats_of_all(g).drift, BARO_DRIFT_OVERCOUNTED);
	assert_int_equal(baro_governor_level(g), BARO_LEVEL_CRITICAL);
	/* It may still be touched. */
	assert_int_equal(stats_of_all(g).withheld_bytes, 0);
	assert_int_equal(baro_budget_reserve(a, 41 * MIB, &no, NULL), -ENOMEM);
	/* It is touched: an emergency of both. */
	(void)reconcile_for(g, 960 * MIB, 60, now);
	assert_int_equal(stats_of_all(g).drift, BARO_DRIFT_NONE);
	assert_int_equal(baro_governor_level(g), BARO_LEVEL_EMERGENCY);
	baro_reservation_release(&leaked);
	assert_int_equal(baro_governor_close(g), 0);
}

static void a_short_excursion_changes_nothing(void **state)
{
	struct baro_governor *g = open_governor(1000 * MIB);
	struct baro_budget *a = add(g, "a", 0, 1000 * MIB, NONE);
	struct baro_reservation r;
	uint64_t now;

	(void)state;
	assert_int_equal(baro_budget_reserve(a, 500 * MIB, &r, NULL), 0);
	now = reconcile_for(g, 500 * MIB, 20, NOW);
	/* One wild figure, and a second of it. */
	assert_int_equal(baro_governor_reconcile(g, 0, now + NS_PER_S / 100), BARO_DRIFT_NONE);
	assert_int_equal(stats_of_all(g).withheld_bytes, 0);
	assert_int_equal(baro_governor_level(g), BARO_LEVEL_NORMAL);
	assert_int_equal(baro_governor_reconcile(g, 600 * MIB, now + NS_PER_S), BARO_DRIFT_NONE);
	assert_int_equal(stats_of_all(g).withheld_bytes, 0);
	baro_reservation_release(&r);
	assert_int_equal(baro_governor_close(g), 0);
}

/* Releasing twice is what once made drift of this kind. */
static void over_releases_make_no_drift(void **state)
{
	struct baro_governor *g = open_governor(1000 * MIB);
	struct baro_budget *a = add(g, "a", 0, 1000 * MIB, NONE);
	struct baro_reservation live, r[100];

	(void)state;
	assert_int_equal(baro_budget_reserve(a, 500 * MIB, &live, NULL), 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(baro_budget_reserve(a, MIB, &r[i], NULL), 0);
		assert_int_equal(baro_reservation_release(&r[i]), 0);
		assert_int_equal(baro_reservation_release(&r[i]), -EALREADY);
	}
	(void)reconcile_for(g, 500 * MIB, 60, NOW);
	assert_int_equal(stats_of_all(g).drift_bytes, 0);
	assert_int_equal(stats_of_all(g).used_bytes, 500 * MIB);
	assert_int_equal(stats_of(a).over_releases, 100);
	baro_reservation_release(&live);
	assert_int_equal(baro_governor_close(g), 0);
}

static void drift_has_names(void **state)
{
	(void)state;
	assert_string_equal(baro_drift_name(BARO_DRIFT_NONE), "none");
	assert_string_equal(baro_drift_name(BARO_DRIFT_UNTRACKED), "untracked");
	assert_string_equal(baro_drift_name(BARO_DRIFT_OVERCOUNTED), "overcounted");
	assert_string_equal(baro_drift_name(3), "?");
}

/* ---- threads --------------------------------------------------------------------------------- */

struct crew {
	struct baro_governor *g;
	struct baro_budget *engine[4];
	_Atomic uint64_t held, wrong;
	_Atomic int done;
};

struct hand {
	struct crew *crew;
	pthread_t thread;
	uint64_t random;
	int index;
};

#define CEILING_MAX (64 * MIB)

static void *work(void *arg)
{
	struct hand *h = arg;
	struct crew *c = h->crew;
	struct baro_reservation r[32];
	uint64_t bytes[32] = { 0 };

	for (int i = 0; i < 20000; i++) {
		int at = (int)(next_random(&h->random) % 32);
		uint64_t want = 1 + next_random(&h->random) % (MIB / 2);

		if (bytes[at]) {
			c->held -= bytes[at];
			if (baro_reservation_release(&r[at]))
				c->wrong++;
			bytes[at] = 0;
		} else if (baro_budget_reserve(c->engine[h->index], want, &r[at], NULL) == 0) {
			if (atomic_fetch_add(&c->held, want) + want > CEILING_MAX)
				c->wrong++;
			bytes[at] = want;
		}
	}
	for (int at = 0; at < 32; at++)
		if (bytes[at] && baro_reservation_release(&r[at]))
			c->wrong++;
	c->done++;
	return NULL;
}

static void engines_work_while_the_governor_governs(void **state)
{
	static const char *const name[] = { "a", "b", "c", "d" };
	struct crew c = { .g = open_governor(CEILING_MAX) };
	struct hand hand[4];
	uint64_t now = NOW, random = 9;

	(void)state;
	for (int i = 0; i < 4; i++)
		c.engine[i] = add(c.g, name[i], MIB, CEILING_MAX / 4, NONE);
	for (int i = 0; i < 4; i++) {
		hand[i] = (struct hand){ .crew = &c, .index = i, .random = 77 + (uint64_t)i };
		assert_int_equal(pthread_create(&hand[i].thread, NULL, work, &hand[i]), 0);
	}
	while (c.done < 4) {
		struct baro_pressure p =
		    pressure(BARO_LEVEL_NORMAL, BARO_SLOT_ACTIVE,
			     next_random(&random) % 4
				 ? NONE
				 : CEILING_MAX / 2 + next_random(&random) % CEILING_MAX);

		now += NS_PER_S;
		baro_governor_follow(c.g, &p);
		baro_governor_reconcile(c.g, c.held + next_random(&random) % (8 * MIB), now);
		baro_governor_rebalance(c.g, now);
		if (baro_governor_level(c.g) > BARO_LEVEL_EMERGENCY)
			c.wrong++;
	}
	for (int i = 0; i < 4; i++)
		pthread_join(hand[i].thread, NULL);
	assert_int_equal(c.wrong, 0);
	assert_int_equal(baro_budget_used(baro_governor_top(c.g)), 0);
	assert_true(stats_of(baro_governor_top(c.g)).peak_bytes <= CEILING_MAX);
	assert_int_equal(baro_governor_close(c.g), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engines_are_added_found_and_removed),
		cmocka_unit_test(a_refusal_names_engine_or_ceiling),
		cmocka_unit_test(no_layer_guarantees_more_than_it_has),
		cmocka_unit_test(engines_are_limited_in_number),
		cmocka_unit_test(memory_moves_from_the_idle_to_the_hungry_and_back),
		cmocka_unit_test(a_request_that_no_limit_would_allow_moves_nothing),
		cmocka_unit_test(what_was_used_in_between_counts_too),
		cmocka_unit_test(memory_moves_between_engines_of_one_parent),
		cmocka_unit_test(a_new_engine_is_made_room_for),
		cmocka_unit_test(a_ceiling_goes_down_as_memory_is_released),
		cmocka_unit_test(the_daemon_s_budget_bounds_the_ceiling),
		cmocka_unit_test(what_knows_nothing_bounds_nothing),
		cmocka_unit_test(a_process_may_have_a_share_of_what_it_follows),
		cmocka_unit_test(a_request_to_release_is_answered_once),
		cmocka_unit_test(untracked_memory_is_withheld_and_makes_no_emergency),
		cmocka_unit_test(minima_are_not_withheld),
		cmocka_unit_test(overcounted_memory_makes_no_false_emergency_and_admits_nothing),
		cmocka_unit_test(a_short_excursion_changes_nothing),
		cmocka_unit_test(over_releases_make_no_drift),
		cmocka_unit_test(drift_has_names),
		cmocka_unit_test(engines_work_while_the_governor_governs),
	};

	return cmocka_run_group_tests_name("governor", tests, NULL, NULL);
}
