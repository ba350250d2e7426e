/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools under one budget: when shares move, when memory is released, and when nothing happens. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/registry_support.h"
#include "tests/unit/thread_support.h"
#include "user/common/cleanup.h"
#include "user/lib/pool_internal.h"

#define MIB    (UINT64_C(1) << 20)
#define BUDGET (1000 * MIB)
#define T0     (100 * NS_PER_S)
#define TICK   (5 * NS_PER_S)

static uint64_t now;

static struct baro_pools *open_with(struct baro_pools_options o)
{
	struct baro_pools *p = NULL;

	o.size = sizeof(o);
	if (!o.budget_bytes)
		o.budget_bytes = BUDGET;
	assert_int_equal(baro_pools_open(&o, &p), 0);
	now = T0;
	return p;
}

static struct baro_pools *open_two(void)
{
	return open_with((struct baro_pools_options){ 0 });
}

static struct baro_pools_state state_of(struct baro_pools *p)
{
	struct baro_pools_state s;

	baro_pools_read(p, &s);
	return s;
}

static uint32_t share(struct baro_pools *p, uint32_t i)
{
	return state_of(p).pool[i].share_ppm;
}

/* An interval later, with so many percent of each of the two budgets used. */
static struct baro_pools_action tick(struct baro_pools *p, unsigned int cache, unsigned int mmap)
{
	const struct baro_pool_usage usage[] = { { baro_pools_budget(p, 0) / 100 * cache, 0 },
						 { baro_pools_budget(p, 1) / 100 * mmap, 0 } };
	struct baro_pools_action act;

	baro_pools_tick(p, now += TICK, usage, NULL, &act);
	return act;
}

#define assert_nothing(act, why)                                                                   \
	do {                                                                                       \
		const struct baro_pools_action act_ = (act);                                       \
		assert_string_equal(baro_pools_reason_name(act_.reason),                           \
				    baro_pools_reason_name(why));                                  \
		assert_int_equal(act_.verb, BARO_POOLS_NOTHING);                                   \
		assert_int_equal(act_.release_bytes, 0);                                           \
		assert_int_equal(act_.moved_ppm, 0);                                               \
		assert_int_equal(act_.from, BARO_POOLS_NO_POOL);                                   \
		assert_int_equal(act_.to, BARO_POOLS_NO_POOL);                                     \
	} while (0)

#define assert_moved(act, from_, to_, ppm)                                                         \
	do {                                                                                       \
		const struct baro_pools_action act_ = (act);                                       \
		assert_string_equal(baro_pools_reason_name(act_.reason), "pressed");               \
		assert_int_equal(act_.verb, BARO_POOLS_MOVED);                                     \
		assert_int_equal(act_.from, from_);                                                \
		assert_int_equal(act_.to, to_);                                                    \
		assert_int_equal(act_.moved_ppm, ppm);                                             \
		assert_int_equal(act_.release_bytes, 0);                                           \
	} while (0)

/* ---- shares ---------------------------------------------------------------------------------- */

static void by_default_there_are_cache_and_mmap_at_40_and_60(void **state)
{
	struct baro_pools *p = open_two();

	assert_int_equal(state_of(p).pools, 2);
	assert_string_equal(state_of(p).pool[BARO_POOL_CACHE].name, "cache");
	assert_string_equal(state_of(p).pool[BARO_POOL_MMAP].name, "mmap");
	assert_int_equal(baro_pools_budget(p, BARO_POOL_CACHE), 400 * MIB);
	assert_int_equal(baro_pools_budget(p, BARO_POOL_MMAP), 600 * MIB);
	assert_int_equal(baro_pools_budget(p, 2), 0);
	baro_pools_close(p);
	baro_pools_close(NULL);
}

static void weights_are_normalised_and_kept_within_20_and_80_percent(void **state)
{
	static const struct {
		uint32_t weight[2], ppm[2];
	} cases[] = {
		{ { 1, 1 }, { 500000, 500000 } },
		{ { 4, 6 }, { 400000, 600000 } },
		{ { UINT32_MAX, UINT32_MAX }, { 500000, 500000 } },
		{ { 1, 100 }, { 200000, 800000 } },
		{ { 100, 1 }, { 800000, 200000 } },
		{ { 0, 1 }, { 200000, 800000 } },
		{ { 0, 0 }, { 500000, 500000 } },
		{ { 199999, 800001 }, { 200000, 800000 } },
		{ { 1, 2 }, { 333333, 666667 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t ppm[2];

		pool_shares(cases[i].weight, 2, ppm);
		assert_int_equal(ppm[0], cases[i].ppm[0]);
		assert_int_equal(ppm[1], cases[i].ppm[1]);
	}
}

static void any_number_of_pools_shares_all_of_it(void **state)
{
	for (int round = 0; round < 20000; round++) {
		uint32_t n = (uint32_t)random() % BARO_POOLS_MAX + 1, weight[BARO_POOLS_MAX];
		uint32_t ppm[BARO_POOLS_MAX], sum = 0;

		for (uint32_t i = 0; i < n; i++)
			weight[i] = ((uint32_t)random() << 1) >> random() % 32;
		pool_shares(weight, n, ppm);
		for (uint32_t i = 0; i < n; i++) {
			sum += ppm[i];
			assert_true(ppm[i] >= pool_share_min(n));
			/* more weight is no less share */
			for (uint32_t k = 0; k < n; k++)
				assert_true(weight[i] <= weight[k] || ppm[i] + n >= ppm[k]);
		}
		assert_int_equal(sum, 1000000);
	}
	assert_int_equal(pool_share_min(2), 200000);
	assert_int_equal(pool_share_min(4), 100000);
	assert_int_equal(pool_share_min(1), 1000000);
}

static void budgets_add_up_to_the_byte(void **state)
{
	const struct baro_pool_spec spec[] = { { "a", 1, { 0 } },
					       { "b", 1, { 0 } },
					       { "c", 1, { 0 } } };
	struct baro_pools *p = open_with((struct baro_pools_options){
	    .pool = spec, .pools = 3, .budget_bytes = UINT64_MAX / 2 });

	assert_true(baro_pools_budget(p, 0) + baro_pools_budget(p, 1) + baro_pools_budget(p, 2) ==
		    UINT64_MAX / 2);
	baro_pools_close(p);
}

/* ---- moves ----------------------------------------------------------------------------------- */

static void exactly_one_pressured_gets_five_points(void **state)
{
	struct baro_pools *p = open_two();

	assert_moved(tick(p, 81, 50), 1, 0, 50000);
	assert_int_equal(baro_pools_budget(p, 0), 450 * MIB);
	assert_int_equal(baro_pools_budget(p, 1), 550 * MIB);
	assert_moved(tick(p, 90, 50), 1, 0, 50000);
	assert_int_equal(baro_pools_budget(p, 0), 500 * MIB);
	assert_int_equal(state_of(p).moves, 2);
	assert_int_equal(state_of(p).reversals, 0);
	baro_pools_close(p);
}

static void neither_pressured_is_left_alone(void **state)
{
	struct baro_pools *p = open_two();

	assert_nothing(tick(p, 80, 80), BARO_POOLS_CALM);
	assert_nothing(tick(p, 0, 0), BARO_POOLS_CALM);
	assert_int_equal(share(p, 0), 400000);
	baro_pools_close(p);
}

static void both_pressured_release_a_tenth_and_keep_their_shares(void **state)
{
	struct baro_pools *p = open_two();
	struct baro_pools_action act = tick(p, 95, 81);

	assert_int_equal(act.verb, BARO_POOLS_RELEASE);
	assert_int_equal(act.reason, BARO_POOLS_FULL);
	assert_int_equal(act.release_bytes, BUDGET / 10);
	assert_int_equal(share(p, 0), 400000);
	assert_int_equal(state_of(p).releases, 1);
	baro_pools_close(p);
}

/* The seed unloaded everything for a byte, and said that it had freed none. */
static void what_full_pools_want_back_is_unloaded_coldest_first(void **state)
{
	struct baro_pools *p = open_two();
	struct baro_pool_usage usage[] = { { 400 * MIB, 0 }, { 0, 0 } };
	struct baro_pools_action act;
	struct baro_pin pin;
	uint64_t id[15], freed = 0;
	struct shelf s;

	/* 15 maps of 40 MiB fill theirs; the coldest is in use */
	shelf_open(&s, 0);
	for (uint64_t i = 0; i < 15; i++) {
		char name[] = { (char)('a' + i), '\0' };

		id[i] = shelf_add(&s, name, 40 * MIB / KIB);
		assert_int_equal(shelf_use(&s, id[i], 100 - i), 0);
	}
	assert_int_equal(baro_registry_get(s.registry, id[14], 1, &pin), 0);
	usage[1].used_bytes = shelf_count(&s).loaded_bytes;
	assert_int_equal(usage[1].used_bytes, 600 * MIB);
	baro_pools_tick(p, now += TICK, usage, NULL, &act);
	assert_int_equal(act.verb, BARO_POOLS_RELEASE);
	assert_int_equal(baro_registry_unload_cold(s.registry, act.release_bytes, &freed), 3);
	assert_int_equal(freed, 120 * MIB);
	for (int i = 0; i < 15; i++)
		assert_int_equal(shelf_info(&s, id[i]).state,
				 i < 11 || i == 14 ? BARO_INDEX_LOADED : BARO_INDEX_REGISTERED);
	assert_int_equal(share(p, 0), 400000);
	assert_int_equal(share(p, 1), 600000);
	/* it was enough: nothing is asked for again, and memory is not taken from the cache */
	usage[1].used_bytes = shelf_count(&s).loaded_bytes;
	assert_int_equal(usage[1].used_bytes, 480 * MIB);
	baro_pools_tick(p, now += TICK, usage, NULL, &act);
	assert_int_equal(act.release_bytes, 0);
	assert_true(share(p, 0) >= 400000);
	assert_int_equal(state_of(p).releases, 1);
	baro_pin_release(&pin);
	shelf_close(&s);
	baro_pools_close(p);
}

static void nothing_happens_twice_within_five_seconds(void **state)
{
	struct baro_pools *p = open_two();
	const struct baro_pool_usage full[] = { { 400 * MIB, 0 }, { 0, 0 } };
	struct baro_pools_action act;

	assert_moved(tick(p, 100, 10), 1, 0, 50000);
	for (uint64_t t = 1; t < 50; t++) {
		baro_pools_tick(p, now + t * NS_PER_S / 10, full, NULL, &act);
		assert_nothing(act, BARO_POOLS_EARLY);
	}
	/* nor when the clock is behind */
	baro_pools_tick(p, 0, full, NULL, &act);
	assert_nothing(act, BARO_POOLS_EARLY);
	baro_pools_tick(p, now + TICK, full, NULL, NULL);
	assert_int_equal(state_of(p).moves, 2);
	baro_pools_close(p);
}

static void shares_stop_at_20_and_80_percent(void **state)
{
	struct baro_pools *p = open_two();

	for (int i = 0; i < 8; i++)
		assert_moved(tick(p, 90, 1), 1, 0, 50000);
	assert_nothing(tick(p, 90, 1), BARO_POOLS_BOUND);
	assert_int_equal(share(p, 0), 800000);
	baro_pools_close(p);
	p = open_two();
	for (int i = 0; i < 4; i++)
		assert_moved(tick(p, 1, 90), 0, 1, 50000);
	assert_nothing(tick(p, 1, 90), BARO_POOLS_BOUND);
	assert_int_equal(share(p, 0), 200000);
	baro_pools_close(p);
}

static void evictions_add_to_the_pressure(void **state)
{
	static const struct {
		uint64_t evictions;
		uint32_t pressure_ppm;
	} cases[] = {
		{ 0, 500000 },   { 100, 500000 },  { 101, 601000 },  { 300, 800000 },
		{ 301, 801000 }, { 500, 1000000 }, { 900, 1000000 }, { UINT64_MAX, 1000000 }
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct baro_pools *p = open_two();
		struct baro_pool_usage usage[] = { { 200 * MIB, 1000 }, { 0, 0 } };
		struct baro_pools_action act;

		/* what was evicted before the first tick does not count */
		baro_pools_tick(p, now += TICK, usage, NULL, &act);
		assert_nothing(act, BARO_POOLS_CALM);
		usage[0].evictions += cases[i].evictions;
		if (cases[i].evictions == UINT64_MAX)
			usage[0].evictions = UINT64_MAX;
		/* looking at it meanwhile changes nothing */
		baro_pools_tick(p, now + 1, usage, NULL, NULL);
		baro_pools_tick(p, now += TICK, usage, NULL, &act);
		assert_int_equal(state_of(p).pool[0].pressure_ppm, cases[i].pressure_ppm);
		assert_int_equal(act.verb, cases[i].pressure_ppm > 800000);
		baro_pools_close(p);
	}
}

static void evictions_count_by_interval_however_long_it_was(void **state)
{
	struct baro_pools *p = open_two();
	struct baro_pool_usage usage[] = { { 200 * MIB, 5000 }, { 0, 0 } };

	baro_pools_tick(p, now, usage, NULL, NULL);
	usage[0].evictions += 4000;
	baro_pools_tick(p, now += 20 * TICK, usage, NULL, NULL);
	assert_int_equal(state_of(p).pool[0].pressure_ppm, 700000);
	/* a counter that begins anew */
	usage[0].evictions = 150;
	baro_pools_tick(p, now += TICK, usage, NULL, NULL);
	assert_int_equal(state_of(p).pool[0].pressure_ppm, 650000);
	baro_pools_close(p);
}

/* ---- hysteresis and cooldown ----------------------------------------------------------------- */

static void a_donor_gives_no_more_than_leaves_it_unpressured(void **state)
{
	struct baro_pools *p = open_two();
	struct baro_pools_action act = tick(p, 90, 76);

	/* 456 of 600 MiB: at 80 % with a share of 57 */
	assert_int_equal(act.verb, BARO_POOLS_MOVED);
	assert_in_range(act.moved_ppm, 29990, 30000);
	assert_nothing(tick(p, 90, 80), BARO_POOLS_HYSTERESIS);
	baro_pools_close(p);
}

static void a_reversal_is_followed_by_a_pause_that_doubles(void **state)
{
	struct baro_pools *p = open_two();
	uint64_t pause = 30 * NS_PER_S;

	assert_moved(tick(p, 90, 10), 1, 0, 50000);
	for (int i = 0; i < 7; i++) {
		bool back = i % 2 == 0;
		uint64_t until_ns;

		assert_moved(back ? tick(p, 10, 90) : tick(p, 90, 10), back ? 0 : 1, back ? 1 : 0,
			     50000);
		assert_int_equal(state_of(p).reversals, i + 1);
		until_ns = now + pause;
		assert_int_equal(state_of(p).cooldown_until_ns, until_ns);
		while (now + TICK < until_ns)
			assert_nothing(back ? tick(p, 90, 10) : tick(p, 10, 90),
				       BARO_POOLS_COOLDOWN);
		if (i < 4)
			pause *= 2;
	}
	/* After five minutes of calm the next one pauses for as long as the first. */
	now += 480 * NS_PER_S;
	assert_moved(tick(p, 10, 90), 0, 1, 50000);
	now += 300 * NS_PER_S;
	assert_moved(tick(p, 90, 10), 1, 0, 50000);
	assert_int_equal(state_of(p).cooldown_until_ns, now + 30 * NS_PER_S);
	baro_pools_close(p);
}

static void a_release_does_not_wait_for_the_pause(void **state)
{
	struct baro_pools *p = open_two();

	tick(p, 90, 10);
	tick(p, 10, 90);
	assert_nothing(tick(p, 90, 10), BARO_POOLS_COOLDOWN);
	assert_int_equal(tick(p, 90, 90).verb, BARO_POOLS_RELEASE);
	baro_pools_close(p);
}

static void a_move_long_ago_is_not_reversed(void **state)
{
	struct baro_pools *p = open_two();

	tick(p, 90, 10);
	now += 20 * 30 * NS_PER_S;
	assert_moved(tick(p, 10, 90), 0, 1, 50000);
	assert_int_equal(state_of(p).reversals, 0);
	baro_pools_close(p);
}

/* A load that swings faster than the pools could follow, for an hour: without hysteresis and pauses
 * 720 moves. */
static void a_swinging_load_is_not_chased(void **state)
{
	struct baro_pools *p = open_two();

	for (int i = 0; i < 720; i++)
		tick(p, i % 2 ? 90 : 10, i % 2 ? 10 : 90);
	assert_in_range(state_of(p).moves, 1, 30);
	baro_pools_close(p);
}

/* ---- hints ----------------------------------------------------------------------------------- */

static void hints_put_the_shares_where_the_table_says(void **state)
{
	static const uint32_t cache_ppm[BARO_POOLS_HINTS] = {
		[BARO_HINT_AUTO] = 400000,
		[BARO_HINT_BULK_INGEST] = 300000,
		[BARO_HINT_QUERY_HEAVY] = 600000,
		[BARO_HINT_MIXED] = 500000,
		[BARO_HINT_MEMORY_CONSTRAINED] = 250000,
	};
	struct baro_pools *p = open_two();

	for (uint32_t hint = 0; hint < BARO_POOLS_HINTS; hint++) {
		assert_int_equal(baro_pools_set_hint(p, hint), 0);
		assert_int_equal(share(p, 0), cache_ppm[hint]);
		assert_int_equal(share(p, 1), 1000000 - cache_ppm[hint]);
		assert_int_equal(state_of(p).hint, hint);
	}
	assert_int_equal(baro_pools_set_hint(p, BARO_POOLS_HINTS), -EINVAL);
	assert_int_equal(state_of(p).hint, BARO_HINT_MEMORY_CONSTRAINED);
	baro_pools_close(p);
}

static void a_hint_freezes_moves_but_not_releases(void **state)
{
	struct baro_pools *p = open_two();

	assert_int_equal(baro_pools_set_hint(p, BARO_HINT_MIXED), 0);
	assert_nothing(tick(p, 95, 10), BARO_POOLS_HINTED);
	assert_int_equal(share(p, 0), 500000);
	assert_int_equal(tick(p, 95, 95).verb, BARO_POOLS_RELEASE);
	baro_pools_close(p);
}

/* The seed stayed where the hint had put it. */
static void back_to_auto_restores_what_was_before(void **state)
{
	struct baro_pools *p = open_two();

	assert_moved(tick(p, 90, 10), 1, 0, 50000);
	assert_int_equal(baro_pools_set_hint(p, BARO_HINT_BULK_INGEST), 0);
	assert_int_equal(baro_pools_set_hint(p, BARO_HINT_QUERY_HEAVY), 0);
	assert_int_equal(share(p, 0), 600000);
	assert_int_equal(baro_pools_set_hint(p, BARO_HINT_AUTO), 0);
	assert_int_equal(share(p, 0), 450000);
	/* once more is nothing */
	assert_int_equal(baro_pools_set_hint(p, BARO_HINT_AUTO), 0);
	assert_int_equal(share(p, 0), 450000);
	assert_moved(tick(p, 90, 10), 1, 0, 50000);
	baro_pools_close(p);
}

/* ---- the cgroup and the daemon --------------------------------------------------------------- */

/* The seed knew nothing of it: pools that look empty, in a cgroup that is out of memory. */
static void a_cgroup_under_pressure_releases_however_empty_the_pools_are(void **state)
{
	struct baro_pools *p = open_two();
	const struct baro_pool_usage usage[] = { { 380 * MIB, 0 }, { 0, 0 } };
	const struct baro_pressure level = { .status = BARO_LEVEL_CRITICAL },
				   score = { .score_ppm = 850000 },
				   calm = { .status = BARO_LEVEL_WARNING, .score_ppm = 849999 };
	struct baro_pools_action act;

	baro_pools_tick(p, now += TICK, usage, &level, &act);
	assert_int_equal(act.verb, BARO_POOLS_RELEASE);
	assert_int_equal(act.reason, BARO_POOLS_CGROUP);
	assert_int_equal(act.release_bytes, BUDGET / 10);
	baro_pools_tick(p, now += TICK, usage, &score, &act);
	assert_int_equal(act.reason, BARO_POOLS_CGROUP);
	baro_pools_tick(p, now += TICK, usage, &calm, &act);
	assert_moved(act, 1, 0, 50000);
	baro_pools_close(p);
}

static void the_budget_follows_the_daemon_s(void **state)
{
	struct baro_pools *p = open_with((struct baro_pools_options){ .follow_ppm = 500000 });
	const struct baro_pool_usage usage[] = { { 0, 0 }, { 0, 0 } };
	struct baro_pressure pressure = { .budget_bytes = 4000 * MIB };

	baro_pools_tick(p, now, usage, &pressure, NULL);
	assert_int_equal(baro_pools_budget(p, 0), 800 * MIB);
	/* at once, not once an interval */
	pressure.budget_bytes = 1000 * MIB;
	baro_pools_tick(p, now + 1, usage, &pressure, NULL);
	assert_int_equal(baro_pools_budget(p, 0), 200 * MIB);
	assert_int_equal(baro_pools_budget(p, 1), 300 * MIB);
	/* what is set meanwhile counts when there is no daemon to follow */
	assert_int_equal(baro_pools_set_budget(p, 100 * MIB), 0);
	assert_int_equal(state_of(p).budget_bytes, 500 * MIB);
	baro_pools_tick(p, now + 2, usage, NULL, NULL);
	assert_int_equal(state_of(p).budget_bytes, 500 * MIB);
	pressure.budget_bytes = BARO_PAGE_NONE;
	baro_pools_tick(p, now + 3, usage, &pressure, NULL);
	assert_int_equal(state_of(p).budget_bytes, 100 * MIB);
	baro_pools_close(p);
}

static void what_is_asked_back_is_not_budget(void **state)
{
	struct baro_pools *p = open_with((struct baro_pools_options){ .follow_ppm = 500000 });
	const struct baro_pool_usage usage[] = { { 0, 0 }, { 0, 0 } };
	struct baro_pressure pressure = { .budget_bytes = 1000 * MIB,
					  .usage_bytes = 800 * MIB,
					  .release_bytes = 200 * MIB };

	/* the budget stays until it has come */
	baro_pools_tick(p, now, usage, &pressure, NULL);
	assert_int_equal(state_of(p).budget_bytes, 300 * MIB);
	/* some of it has */
	pressure.usage_bytes = 700 * MIB;
	pressure.release_bytes = 100 * MIB;
	baro_pools_tick(p, now + 1, usage, &pressure, NULL);
	assert_int_equal(state_of(p).budget_bytes, 300 * MIB);
	/* in a transfer the budget is lower already, and counts */
	pressure.budget_bytes = 500 * MIB;
	baro_pools_tick(p, now + 2, usage, &pressure, NULL);
	assert_int_equal(state_of(p).budget_bytes, 250 * MIB);
	/* more than there is: nothing is left, which is not the same as no budget */
	pressure.release_bytes = 2000 * MIB;
	baro_pools_tick(p, now + 3, usage, &pressure, NULL);
	assert_true(state_of(p).budget_bytes < MIB);
	pressure.release_bytes = 0;
	baro_pools_tick(p, now + 4, usage, &pressure, NULL);
	assert_int_equal(state_of(p).budget_bytes, 250 * MIB);
	baro_pools_close(p);
}

static void a_budget_that_is_not_followed_stays(void **state)
{
	struct baro_pools *p = open_two();
	const struct baro_pool_usage usage[] = { { 0, 0 }, { 0, 0 } };
	const struct baro_pressure pressure = { .budget_bytes = 4000 * MIB };

	baro_pools_tick(p, now, usage, &pressure, NULL);
	assert_int_equal(state_of(p).budget_bytes, BUDGET);
	assert_int_equal(baro_pools_set_budget(p, 500 * MIB), 0);
	assert_int_equal(baro_pools_budget(p, 1), 300 * MIB);
	assert_int_equal(baro_pools_set_budget(p, MIB - 1), -ERANGE);
	assert_int_equal(baro_pools_budget(p, 1), 300 * MIB);
	baro_pools_close(p);
}

/* The seed limited a cache that nobody used, and the real one grew on. */
static void a_cache_that_obeys_stays_within_and_one_that_does_not_is_seen(void **state)
{
	struct baro_pools *p = open_two();
	struct baro_pool_usage usage[] = { { 0, 0 }, { 0, 0 } };
	uint64_t cached = 0;

	for (int i = 0; i < 1000; i++) {
		uint64_t limit = baro_pools_budget(p, BARO_POOL_CACHE);

		cached += 3 * MIB;
		if (cached > limit) {
			usage[0].evictions += cached - limit;
			cached = limit;
		}
		usage[0].used_bytes = cached;
		baro_pools_tick(p, now += NS_PER_S, usage, NULL, NULL);
		assert_int_equal(state_of(p).pool[0].over_bytes, 0);
	}
	usage[0].used_bytes = baro_pools_budget(p, 0) + 77;
	baro_pools_tick(p, now += 1, usage, NULL, NULL);
	assert_int_equal(state_of(p).pool[0].over_bytes, 77);
	baro_pools_close(p);
}

/* ---- more or fewer than two ------------------------------------------------------------------ */

static void among_several_the_least_pressured_gives_to_the_most(void **state)
{
	const struct baro_pool_spec spec[] = {
		{ "a", 1, { 0 } }, { "b", 1, { 0 } }, { "c", 1, { 0 } }, { "d", 1, { 0 } }
	};
	struct baro_pools *p = open_with((struct baro_pools_options){ .pool = spec, .pools = 4 });
	struct baro_pool_usage usage[] = {
		{ 230 * MIB, 0 }, { 245 * MIB, 0 }, { 100 * MIB, 0 }, { 60 * MIB, 0 }
	};
	struct baro_pools_action act;

	baro_pools_tick(p, now += TICK, usage, NULL, &act);
	assert_moved(act, 3, 1, 50000);
	/* one is pressured: the least pressured has become c */
	usage[1].used_bytes = 10 * MIB;
	usage[3].used_bytes = 150 * MIB;
	usage[2].used_bytes = 5 * MIB;
	baro_pools_tick(p, now += TICK, usage, NULL, &act);
	assert_moved(act, 2, 0, 50000);
	/* all of them */
	for (int i = 0; i < 4; i++)
		usage[i].used_bytes = 300 * MIB;
	baro_pools_tick(p, now += TICK, usage, NULL, &act);
	assert_int_equal(act.reason, BARO_POOLS_FULL);
	baro_pools_close(p);
}

static void a_single_pool_has_all_and_releases(void **state)
{
	const struct baro_pool_spec spec = { "all", 0, { 0 } };
	struct baro_pools *p = open_with((struct baro_pools_options){ .pool = &spec, .pools = 1 });
	const struct baro_pool_usage usage = { 900 * MIB, 0 };
	struct baro_pools_action act;

	assert_int_equal(baro_pools_budget(p, 0), BUDGET);
	baro_pools_tick(p, now, &usage, NULL, &act);
	assert_int_equal(act.reason, BARO_POOLS_FULL);
	baro_pools_close(p);
}

static void hints_of_their_own_are_taken_and_none_keeps_the_shares(void **state)
{
	const struct baro_pool_spec spec[] = { { "a", 1, { 9, 3, 0, 0, 0 } },
					       { "b", 1, { 9, 1, 0, 0, 0 } },
					       { "c", 1, { 9, 1, 0, 0, 0 } } };
	struct baro_pools *p = open_with((struct baro_pools_options){ .pool = spec, .pools = 3 });

	assert_int_equal(baro_pools_set_hint(p, BARO_HINT_BULK_INGEST), 0);
	assert_int_equal(share(p, 0), 600000);
	assert_int_equal(baro_pools_set_hint(p, BARO_HINT_MIXED), 0);
	assert_int_equal(share(p, 0), 600000);
	assert_int_equal(baro_pools_set_hint(p, BARO_HINT_AUTO), 0);
	assert_int_equal(share(p, 0), 333334);
	baro_pools_close(p);
}

static void options_that_make_no_sense_are_refused(void **state)
{
	const struct baro_pool_spec good = { "a", 1, { 0 } }, nameless = { "", 1, { 0 } },
				    none = { NULL, 1, { 0 } },
				    wordy = { "a-name-of-more-than-thirty-one-x", 1, { 0 } };
	const struct {
		struct baro_pools_options o;
		int error;
	} bad[] = {
		{ { .size = 8 }, -EINVAL },
		{ { .size = sizeof(bad[0].o) }, -ERANGE },
		{ { .size = sizeof(bad[0].o), .budget_bytes = MIB - 1 }, -ERANGE },
		{ { .size = sizeof(bad[0].o), .budget_bytes = MIB, .pools = 2 }, -EINVAL },
		{ { .size = sizeof(bad[0].o), .budget_bytes = MIB, .pool = &good }, -EINVAL },
		{ { .size = sizeof(bad[0].o), .budget_bytes = MIB, .pool = &good, .pools = 17 },
		  -EINVAL },
		{ { .size = sizeof(bad[0].o), .budget_bytes = MIB, .pool = &nameless, .pools = 1 },
		  -EINVAL },
		{ { .size = sizeof(bad[0].o), .budget_bytes = MIB, .pool = &none, .pools = 1 },
		  -EINVAL },
		{ { .size = sizeof(bad[0].o), .budget_bytes = MIB, .pool = &wordy, .pools = 1 },
		  -EINVAL },
		{ { .size = sizeof(bad[0].o), .budget_bytes = MIB, .follow_ppm = 1000001 },
		  -EINVAL },
		{ { .size = sizeof(bad[0].o), .budget_bytes = MIB, .cache_ppm = 1000001 },
		  -EINVAL },
	};
	struct baro_pools *p = (void *)&p;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(baro_pools_open(&bad[i].o, &p), bad[i].error);
		assert_ptr_equal(p, &p);
	}
}

static void reasons_have_names(void **state)
{
	for (uint32_t i = 0; i <= BARO_POOLS_HYSTERESIS; i++)
		assert_string_not_equal(baro_pools_reason_name(i), "?");
	assert_string_equal(baro_pools_reason_name(BARO_POOLS_HYSTERESIS + 1), "?");
}

/* ---- many threads ---------------------------------------------------------------------------- */

struct crowd {
	struct baro_pools *pools;
	uint64_t clock_ns;
};

static void *disturb(void *arg)
{
	struct crowd *c = arg;
	unsigned int seed = (unsigned int)(uintptr_t)&c;

	for (int i = 0; i < 20000; i++) {
		uint64_t used = (uint64_t)rand_r(&seed) % (2 * BUDGET);
		const struct baro_pool_usage usage[] = { { used, used }, { BUDGET - used / 2, 0 } };
		struct baro_pressure p = { .budget_bytes = BUDGET + used,
					   .score_ppm = (uint32_t)rand_r(&seed) % 1000000 };
		struct baro_pools_state s;

		baro_pools_tick(c->pools, __atomic_add_fetch(&c->clock_ns, TICK, __ATOMIC_RELAXED),
				usage, &p, NULL);
		if (i % 16 == 0)
			must(baro_pools_set_hint(c->pools, (uint32_t)i / 16 % 5) == 0);
		baro_pools_read(c->pools, &s);
		must(s.pool[0].share_ppm + s.pool[1].share_ppm == 1000000);
		must(s.pool[0].share_ppm >= 200000 && s.pool[1].share_ppm >= 200000);
		must(s.pool[0].budget_bytes + s.pool[1].budget_bytes == s.budget_bytes);
		must(baro_pools_budget(c->pools, 0) <= 3 * BUDGET);
	}
	return NULL;
}

static void threads_may_do_everything_at_once(void **state)
{
	static void *(*const bodies[])(void *) = { disturb, disturb, disturb };
	struct crowd c = { .pools =
			       open_with((struct baro_pools_options){ .follow_ppm = 1000000 }) };

	run_together(bodies, 3, &c);
	baro_pools_close(c.pools);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_default_there_are_cache_and_mmap_at_40_and_60),
		cmocka_unit_test(weights_are_normalised_and_kept_within_20_and_80_percent),
		cmocka_unit_test(any_number_of_pools_shares_all_of_it),
		cmocka_unit_test(budgets_add_up_to_the_byte),
		cmocka_unit_test(exactly_one_pressured_gets_five_points),
		cmocka_unit_test(neither_pressured_is_left_alone),
		cmocka_unit_test(both_pressured_release_a_tenth_and_keep_their_shares),
		cmocka_unit_test(what_full_pools_want_back_is_unloaded_coldest_first),
		cmocka_unit_test(nothing_happens_twice_within_five_seconds),
		cmocka_unit_test(shares_stop_at_20_and_80_percent),
		cmocka_unit_test(evictions_add_to_the_pressure),
		cmocka_unit_test(evictions_count_by_interval_however_long_it_was),
		cmocka_unit_test(a_donor_gives_no_more_than_leaves_it_unpressured),
		cmocka_unit_test(a_reversal_is_followed_by_a_pause_that_doubles),
		cmocka_unit_test(a_release_does_not_wait_for_the_pause),
		cmocka_unit_test(a_move_long_ago_is_not_reversed),
		cmocka_unit_test(a_swinging_load_is_not_chased),
		cmocka_unit_test(hints_put_the_shares_where_the_table_says),
		cmocka_unit_test(a_hint_freezes_moves_but_not_releases),
		cmocka_unit_test(back_to_auto_restores_what_was_before),
		cmocka_unit_test(a_cgroup_under_pressure_releases_however_empty_the_pools_are),
		cmocka_unit_test(the_budget_follows_the_daemon_s),
		cmocka_unit_test(what_is_asked_back_is_not_budget),
		cmocka_unit_test(a_budget_that_is_not_followed_stays),
		cmocka_unit_test(a_cache_that_obeys_stays_within_and_one_that_does_not_is_seen),
		cmocka_unit_test(among_several_the_least_pressured_gives_to_the_most),
		cmocka_unit_test(a_single_pool_has_all_and_releases),
		cmocka_unit_test(hints_of_their_own_are_taken_and_none_keeps_the_shares),
		cmocka_unit_test(options_that_make_no_sense_are_refused),
		cmocka_unit_test(reasons_have_names),
		cmocka_unit_test(threads_may_do_everything_at_once),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
