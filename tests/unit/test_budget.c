// SPDX-License-Identifier: BSD-2-Clause
/* Budgets and reservations, one thread: what is granted, what is refused and what is said. */
#include "tests/unit/budget_support.h"

#define LAYERS 4

struct stack {
	struct baro_budget *layer[LAYERS]; /* global, database, tenant, engine */
};

static struct stack open_stack(const void *way, const uint64_t limit[LAYERS])
{
	static const char *const name[] = { "global", "database", "tenant", "engine" };
	struct stack s;

	s.layer[0] = open_top(way, name[0], limit[0], 0);
	for (int i = 1; i < LAYERS; i++)
		s.layer[i] = open_below(s.layer[i - 1], name[i], limit[i]);
	return s;
}

static void close_stack(struct stack *s)
{
	for (int i = LAYERS; i--;)
		close_all(s->layer[i]);
}

static void assert_used(const struct stack *s, uint64_t used)
{
	for (int i = 0; i < LAYERS; i++) {
		assert_int_equal(stats_of(s->layer[i]).used_bytes, used);
		assert_int_equal(baro_budget_used(s->layer[i]), used);
	}
}

/* ---- layers ---------------------------------------------------------------------------------- */

static void a_reservation_counts_in_every_layer_above(void **state)
{
	const uint64_t limit[] = { 4000, 3000, 2000, 1000 };
	struct stack s = open_stack(*state, limit);
	struct baro_budget *sibling = open_below(s.layer[2], "other", 1500);
	struct baro_reservation a, b;

	assert_int_equal(baro_budget_reserve(s.layer[3], 700, &a, NULL), 0);
	assert_used(&s, 700);
	assert_int_equal(baro_budget_reserve(sibling, 1300, &b, NULL), 0);
	assert_int_equal(stats_of(s.layer[0]).used_bytes, 2000);
	assert_int_equal(stats_of(s.layer[2]).used_bytes, 2000);
	assert_int_equal(stats_of(s.layer[3]).used_bytes, 700);
	assert_int_equal(stats_of(s.layer[3]).left_bytes, 0); /* the tenant is full */
	assert_int_equal(baro_reservation_release(&a), 0);
	assert_int_equal(stats_of(s.layer[3]).left_bytes, 700);
	assert_int_equal(baro_reservation_release(&b), 0);
	assert_used(&s, 0);
	close_all(sibling);
	close_stack(&s);
}

static void a_middle_layer_may_be_drawn_from(void **state)
{
	const uint64_t limit[] = { 4000, 3000, 2000, 1000 };
	struct stack s = open_stack(*state, limit);
	struct baro_reservation own, below;

	assert_int_equal(baro_budget_reserve(s.layer[1], 2500, &own, NULL), 0);
	assert_int_equal(baro_budget_reserve(s.layer[3], 501, &below, NULL), -ENOMEM);
	assert_int_equal(baro_budget_reserve(s.layer[3], 500, &below, NULL), 0);
	assert_int_equal(stats_of(s.layer[1]).used_bytes, 3000);
	assert_int_equal(stats_of(s.layer[2]).used_bytes, 500);
	baro_reservation_release(&own);
	baro_reservation_release(&below);
	close_stack(&s);
}

static void a_refusal_names_layer_request_rest_and_limit(void **state)
{
	static const char *const name[] = { "global", "database", "tenant", "engine" };

	for (uint32_t tight = 0; tight < LAYERS; tight++) {
		uint64_t limit[LAYERS] = { 9000, 9000, 9000, 9000 };
		struct baro_reservation held, no;
		struct baro_refusal why;
		struct stack s;

		limit[tight] = 1000;
		s = open_stack(*state, limit);
		assert_int_equal(baro_budget_reserve(s.layer[3], 400, &held, &why), 0);
		memset(&no, 0x5a, sizeof(no));
		assert_int_equal(baro_budget_reserve(s.layer[3], 601, &no, &why), -ENOMEM);
		assert_string_equal(why.layer, name[tight]);
		assert_string_equal(why.asked, "engine");
		assert_int_equal(why.depth, tight);
		assert_int_equal(why.requested_bytes, 601);
		assert_int_equal(why.left_bytes, 600);
		assert_int_equal(why.used_bytes, 400);
		assert_int_equal(why.limit_bytes, 1000);
		/* All or nothing, outputs included. */
		assert_used(&s, 400);
		for (size_t i = 0; i < sizeof(no); i++)
			assert_int_equal(((unsigned char *)&no)[i], 0x5a);
		/* Counted where it was refused, and nowhere else. */
		for (uint32_t i = 0; i < LAYERS; i++)
			assert_int_equal(stats_of(s.layer[i]).rejections, i == tight);
		assert_int_equal(baro_budget_reserve(s.layer[3], 600, &no, NULL), 0);
		baro_reservation_release(&no);
		baro_reservation_release(&held);
		close_stack(&s);
	}
}

static void the_lowest_of_several_that_refuse_is_named(void **state)
{
	const uint64_t limit[] = { 100, 5000, 100, 5000 };
	struct stack s = open_stack(*state, limit);
	struct baro_reservation no;
	struct baro_refusal why;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(baro_budget_reserve(s.layer[3], 101, &no, &why), -ENOMEM);
		assert_string_equal(why.layer, "tenant");
	}
	assert_int_equal(stats_of(s.layer[2]).rejections, 3);
	assert_int_equal(stats_of(s.layer[0]).rejections, 0);
	close_stack(&s);
}

static void a_refusal_is_told_in_words(void **state)
{
	const uint64_t limit[] = { NONE, 5000, 1000, NONE };
	struct stack s = open_stack(*state, limit);
	char words[BARO_REFUSAL_WORDS_MAX];
	struct baro_reservation held, no;
	struct baro_refusal why;

	assert_int_equal(baro_budget_reserve(s.layer[3], 400, &held, NULL), 0);
	assert_int_equal(baro_budget_reserve(s.layer[3], 601, &no, &why), -ENOMEM);
	assert_string_equal(baro_refusal_words(&why, words, sizeof(words)),
			    "engine: 601 bytes refused: tenant has 600 left of 1000");
	baro_budget_set_limit(s.layer[2], 300);
	assert_int_equal(baro_budget_reserve(s.layer[3], 1, &no, &why), -ENOMEM);
	assert_string_equal(baro_refusal_words(&why, words, sizeof(words)),
			    "engine: 1 bytes refused: tenant uses 400 and is going down to 300");
	baro_refusal_words(&why, words, 9);
	assert_string_equal(words, "engine: ");
	baro_reservation_release(&held);
	close_stack(&s);
}

/* ---- what no seed may admit ------------------------------------------------------------------ */

static void a_huge_request_does_not_wrap(void **state)
{
	static const uint64_t huge[] = {
		UINT64_MAX,        UINT64_MAX - 1,          UINT64_MAX - 4096 + 1,
		UINT64_C(1) << 63, (UINT64_C(1) << 63) - 1, (UINT64_C(1) << 62) + 1
	};

	for (uint64_t limit = 4096; limit; limit = limit == 4096 ? NONE : 0) {
		struct baro_budget *top = open_top(*state, "top", limit, 0);
		struct baro_budget *b = open_below(top, "engine", NONE);
		struct baro_reservation held, no;
		struct baro_refusal why;

		assert_int_equal(baro_budget_reserve(b, 4096, &held, NULL), 0);
		for (size_t i = 0; i < sizeof(huge) / sizeof(huge[0]); i++) {
			assert_int_equal(baro_budget_reserve(b, huge[i], &no, &why), -ENOMEM);
			assert_int_equal(why.requested_bytes, huge[i]);
			assert_int_equal(baro_reservation_resize(&held, huge[i], &why), -ENOMEM);
			assert_int_equal(baro_reservation_bytes(&held), 4096);
		}
		assert_int_equal(baro_budget_used(top), 4096);
		assert_int_equal(baro_reservation_release(&held), 0);
		assert_int_equal(baro_budget_used(top), 0);
		close_all(b);
		close_all(top);
	}
}

static void a_second_release_frees_nothing_and_is_counted(void **state)
{
	struct baro_budget *b = open_top(*state, "b", 1000, 0);
	struct baro_reservation twice, live, no;

	assert_int_equal(baro_budget_reserve(b, 600, &twice, NULL), 0);
	assert_int_equal(baro_budget_reserve(b, 400, &live, NULL), 0);
	assert_int_equal(baro_reservation_release(&twice), 0);
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(baro_reservation_release(&twice), -EALREADY);
		assert_int_equal(stats_of(b).over_releases, i);
	}
	/* The live bytes are still counted: nothing is admitted in their place. */
	assert_int_equal(baro_budget_used(b), 400);
	assert_int_equal(baro_budget_reserve(b, 601, &no, NULL), -ENOMEM);
	assert_int_equal(baro_reservation_resize(&twice, 5, NULL), -EALREADY);
	assert_int_equal(baro_reservation_split(&twice, 0, &no), -EALREADY);
	assert_int_equal(baro_reservation_move(&twice, &no), -EALREADY);
	assert_int_equal(baro_reservation_bytes(&twice), 0);
	assert_int_equal(baro_budget_used(b), 400);
	assert_int_equal(baro_reservation_release(&live), 0);
	close_all(b);
}

static void a_copy_of_a_reservation_cannot_be_released(void **state)
{
	struct baro_budget *b = open_top(*state, "b", 1000, 0);
	struct baro_reservation one, copy, never = { NULL, 0, NULL };

	assert_int_equal(baro_budget_reserve(b, 600, &one, NULL), 0);
	copy = one;
	assert_int_equal(baro_reservation_bytes(&copy), 0);
	assert_int_equal(baro_reservation_release(&copy), -EINVAL);
	assert_int_equal(stats_of(b).over_releases, 1);
	assert_int_equal(baro_budget_used(b), 600);
	assert_int_equal(baro_reservation_release(&one), 0);
	assert_int_equal(baro_reservation_release(&copy), -EALREADY);
	assert_int_equal(stats_of(b).over_releases, 2);
	assert_int_equal(baro_reservation_release(&never), -EINVAL);
	assert_int_equal(stats_of(b).over_releases, 2);
	close_all(b);
}

static void a_second_release_is_harmless_after_the_budget_closed(void **state)
{
	struct baro_budget *top = open_top(*state, "top", 1000, 0);
	struct baro_budget *b = open_below(top, "b", 1000), *later;
	struct baro_reservation r, live;

	assert_int_equal(baro_budget_reserve(b, 10, &r, NULL), 0);
	assert_int_equal(baro_reservation_release(&r), 0);
	close_all(b);
	assert_int_equal(baro_reservation_release(&r), -EALREADY);
	/* Also when another budget now lies there. */
	later = open_below(top, "later", 1000);
	assert_int_equal(baro_budget_reserve(later, 10, &live, NULL), 0);
	assert_int_equal(baro_reservation_release(&r), -EALREADY);
	assert_int_equal(baro_budget_used(top), 10);
	baro_reservation_release(&live);
	close_all(later);
	close_all(top);
}

static void a_dropped_reservation_is_not_forgotten(void **state)
{
	struct baro_budget *top = open_top(*state, "top", 1000, 0);
	struct baro_budget *b = open_below(top, "b", 1000);
	struct baro_reservation dropped;

	assert_int_equal(baro_budget_reserve(b, 10, &dropped, NULL), 0);
	assert_int_equal(baro_budget_close(b), -EBUSY);
	assert_int_equal(baro_budget_close(top), -EBUSY);
	assert_int_equal(baro_budget_used(b), 10);
	assert_int_equal(baro_reservation_release(&dropped), 0);
	close_all(b);
	close_all(top);
	assert_int_equal(baro_budget_close(NULL), 0);
}

/* ---- reservations ---------------------------------------------------------------------------- */

static void a_reservation_grows_and_shrinks_in_place(void **state)
{
	const uint64_t limit[] = { 4000, 3000, 2000, 1000 };
	struct stack s = open_stack(*state, limit);
	struct baro_reservation r;
	struct baro_refusal why;

	assert_int_equal(baro_budget_reserve(s.layer[3], 100, &r, NULL), 0);
	assert_int_equal(baro_reservation_resize(&r, 1000, &why), 0);
	assert_used(&s, 1000);
	assert_int_equal(baro_reservation_resize(&r, 1001, &why), -ENOMEM);
	assert_int_equal(why.requested_bytes, 1);
	assert_int_equal(why.left_bytes, 0);
	assert_int_equal(baro_reservation_bytes(&r), 1000);
	assert_int_equal(baro_reservation_resize(&r, 30, NULL), 0);
	assert_used(&s, 30);
	assert_int_equal(baro_reservation_resize(&r, 30, NULL), 0);
	assert_int_equal(baro_reservation_resize(&r, 0, NULL), 0);
	assert_used(&s, 0);
	assert_int_equal(baro_reservation_resize(&r, 7, NULL), 0);
	assert_int_equal(baro_reservation_release(&r), 0);
	assert_used(&s, 0);
	close_stack(&s);
}

static void a_reservation_is_split_and_merged(void **state)
{
	struct baro_budget *top = open_top(*state, "top", 1000, 0);
	struct baro_budget *a = open_below(top, "a", 1000), *b = open_below(top, "b", 1000);
	struct baro_reservation whole, part, other;

	assert_int_equal(baro_budget_reserve(a, 100, &whole, NULL), 0);
	assert_int_equal(baro_budget_reserve(b, 5, &other, NULL), 0);
	assert_int_equal(baro_reservation_split(&whole, 101, &part), -ERANGE);
	assert_int_equal(baro_reservation_split(&whole, 10, &whole), -EINVAL);
	assert_int_equal(baro_reservation_split(&whole, 30, &part), 0);
	assert_int_equal(baro_reservation_bytes(&whole), 70);
	assert_int_equal(baro_reservation_bytes(&part), 30);
	assert_int_equal(baro_budget_used(a), 100);
	/* Each is its own once. */
	assert_int_equal(baro_reservation_merge(&whole, &other), -EXDEV);
	assert_int_equal(baro_reservation_merge(&whole, &whole), -EXDEV);
	assert_int_equal(baro_reservation_bytes(&other), 5);
	assert_int_equal(baro_reservation_merge(&whole, &part), 0);
	assert_int_equal(baro_reservation_merge(&whole, &part), -EALREADY);
	assert_int_equal(baro_reservation_bytes(&whole), 100);
	assert_int_equal(baro_reservation_release(&part), -EALREADY);
	assert_int_equal(baro_budget_used(a), 100);
	assert_int_equal(baro_reservation_release(&whole), 0);
	assert_int_equal(baro_reservation_release(&other), 0);
	assert_int_equal(baro_budget_used(top), 0);
	close_all(a);
	close_all(b);
	close_all(top);
}

static void a_reservation_is_moved_with_its_bytes(void **state)
{
	struct baro_budget *b = open_top(*state, "b", 1000, 0);
	struct baro_reservation from, to;

	assert_int_equal(baro_budget_reserve(b, 100, &from, NULL), 0);
	assert_int_equal(baro_reservation_move(&from, &from), 0);
	assert_int_equal(baro_reservation_bytes(&from), 100);
	assert_int_equal(baro_reservation_move(&from, &to), 0);
	assert_int_equal(baro_reservation_bytes(&from), 0);
	assert_int_equal(baro_reservation_bytes(&to), 100);
	assert_int_equal(baro_reservation_node(&to), BARO_NODE_NONE);
	assert_int_equal(baro_reservation_release(&from), -EALREADY);
	assert_int_equal(baro_budget_used(b), 100);
	assert_int_equal(baro_reservation_release(&to), 0);
	close_all(b);
}

static void nothing_always_fits(void **state)
{
	struct baro_budget *b = open_top(*state, "b", 0, 0);
	struct baro_reservation r, held, no;

	assert_int_equal(baro_budget_level(b), BARO_LEVEL_NORMAL);
	assert_int_equal(baro_budget_reserve(b, 0, &r, NULL), 0);
	assert_int_equal(baro_budget_reserve(b, 1, &no, NULL), -ENOMEM);
	assert_int_equal(baro_reservation_release(&r), 0);
	assert_int_equal(baro_reservation_release(&r), -EALREADY);
	/* Also where a limit is still going down. */
	assert_int_equal(baro_budget_set_limit(b, 10), 0);
	assert_int_equal(baro_budget_reserve(b, 10, &held, NULL), 0);
	assert_int_equal(baro_budget_set_limit(b, 5), 1);
	assert_int_equal(baro_budget_reserve(b, 0, &r, NULL), 0);
	assert_int_equal(baro_reservation_release(&r), 0);
	assert_int_equal(baro_reservation_release(&held), 0);
	close_all(b);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void a_lowered_limit_goes_down_as_memory_is_released(void **state)
{
	struct baro_budget *b = open_top(*state, "b", 1000, 0);
	struct baro_reservation a, c, no;
	struct baro_refusal why;

	assert_int_equal(baro_budget_reserve(b, 500, &a, NULL), 0);
	assert_int_equal(baro_budget_reserve(b, 300, &c, NULL), 0);
	assert_int_equal(baro_budget_set_limit(b, 800), 0);
	assert_int_equal(baro_budget_set_limit(b, 400), 1);
	assert_int_equal(stats_of(b).used_bytes, 800);
	assert_int_equal(stats_of(b).limit_bytes, 800);
	assert_int_equal(stats_of(b).wanted_limit_bytes, 400);
	assert_int_equal(baro_budget_level(b), BARO_LEVEL_EMERGENCY);
	assert_int_equal(baro_budget_reserve(b, 1, &no, &why), -ENOMEM);
	assert_int_equal(why.left_bytes, 0);
	assert_int_equal(why.used_bytes, 800);
	/* What goes does not come back. */
	assert_int_equal(baro_reservation_resize(&a, 200, NULL), 0);
	assert_int_equal(stats_of(b).limit_bytes, 500);
	assert_int_equal(baro_budget_reserve(b, 1, &no, NULL), -ENOMEM);
	assert_int_equal(baro_reservation_resize(&a, 50, NULL), 0);
	assert_int_equal(stats_of(b).limit_bytes, 400);
	assert_int_equal(baro_budget_reserve(b, 51, &no, NULL), -ENOMEM);
	assert_int_equal(baro_budget_reserve(b, 50, &no, NULL), 0);
	baro_reservation_release(&a);
	baro_reservation_release(&c);
	baro_reservation_release(&no);
	close_all(b);
}

static void held_bytes_stay_counted_while_limits_move(void **state)
{
	const uint64_t limit[] = { 4000, 3000, 2000, 1000 };
	struct stack s = open_stack(*state, limit);
	struct baro_reservation r;
	uint64_t random = 7;

	assert_int_equal(baro_budget_reserve(s.layer[3], 900, &r, NULL), 0);
	for (int i = 0; i < 1000; i++) {
		uint64_t to = i % 10 ? next_random(&random) % 5000 : NONE;

		(void)baro_budget_set_limit(s.layer[i % LAYERS], to);
		assert_used(&s, 900);
	}
	assert_int_equal(baro_reservation_release(&r), 0);
	assert_used(&s, 0);
	close_stack(&s);
}

static void levels_begin_at_70_85_and_95_percent_inclusive(void **state)
{
	static const uint64_t limits[] = { 1, 2, 3, 19, 20, 99, 100, 101, 1000, 4096, 65537 };

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct baro_budget *b = open_top(*state, "b", limits[i], 0);
		struct baro_reservation r;

		assert_int_equal(baro_budget_reserve(b, 0, &r, NULL), 0);
		for (uint64_t used = 0; used <= limits[i]; used++) {
			uint64_t scaled = used * 100;
			uint32_t level = BARO_LEVEL_NORMAL + (scaled >= 70 * limits[i]) +
					 (scaled >= 85 * limits[i]) + (scaled >= 95 * limits[i]);

			assert_int_equal(baro_reservation_resize(&r, used, NULL), 0);
			assert_int_equal(baro_budget_level(b), level);
		}
		assert_int_equal(stats_of(b).level, BARO_LEVEL_EMERGENCY);
		baro_reservation_release(&r);
		close_all(b);
	}
}

static void the_worst_layer_is_the_pressure(void **state)
{
	const uint64_t limit[] = { 1000, NONE, 500, 10000 };
	struct stack s = open_stack(*state, limit);
	struct baro_reservation r;

	assert_int_equal(baro_budget_reserve(s.layer[3], 349, &r, NULL), 0);
	assert_int_equal(baro_budget_pressure(s.layer[3]), BARO_LEVEL_NORMAL);
	assert_int_equal(baro_reservation_resize(&r, 425, NULL), 0);
	assert_int_equal(baro_budget_level(s.layer[3]), BARO_LEVEL_NORMAL);
	assert_int_equal(baro_budget_pressure(s.layer[3]), BARO_LEVEL_CRITICAL);
	assert_int_equal(baro_budget_pressure(s.layer[1]), BARO_LEVEL_NORMAL);
	assert_int_equal(baro_budget_set_limit(s.layer[0], 425), 0);
	assert_int_equal(baro_budget_pressure(s.layer[3]), BARO_LEVEL_EMERGENCY);
	baro_reservation_release(&r);
	close_stack(&s);
}

/* ---- what is shown --------------------------------------------------------------------------- */

static void the_peak_is_kept(void **state)
{
	const uint64_t limit[] = { 4000, 3000, 2000, 1000 };
	struct stack s = open_stack(*state, limit);
	struct baro_reservation a, b, no;

	assert_int_equal(baro_budget_reserve(s.layer[3], 300, &a, NULL), 0);
	assert_int_equal(baro_budget_reserve(s.layer[3], 200, &b, NULL), 0);
	assert_int_equal(baro_budget_reserve(s.layer[3], 501, &no, NULL), -ENOMEM);
	baro_reservation_release(&a);
	assert_int_equal(baro_budget_reserve(s.layer[1], 250, &a, NULL), 0);
	for (int i = 0; i < LAYERS; i++)
		assert_int_equal(stats_of(s.layer[i]).peak_bytes, 500);
	baro_reservation_release(&a);
	baro_reservation_release(&b);
	close_stack(&s);
}

static void all_layers_are_listed_parents_first(void **state)
{
	static const char *const order[] = { "top", "a", "a1", "a2", "b", "b1", "c" };
	struct baro_budget *top = open_top(*state, "top", 700, 0);
	struct baro_budget *a = open_below(top, "a", 600), *b = open_below(top, "b", 500);
	struct baro_budget *c = open_below(top, "c", 400), *a1 = open_below(a, "a1", NONE);
	struct baro_budget *a2 = open_below(a, "a2", 200), *b1 = open_below(b, "b1", 100);
	struct baro_budget_stats s[8];
	struct baro_reservation r;

	assert_int_equal(baro_budget_reserve(a1, 50, &r, NULL), 0);
	assert_int_equal(baro_budget_list(top, NULL, 0), 7);
	assert_int_equal(baro_budget_list(top, s, 8), 7);
	for (int i = 0; i < 7; i++)
		assert_string_equal(s[i].name, order[i]);
	assert_int_equal(s[2].depth, 2);
	assert_int_equal(s[2].limit_bytes, NONE);
	assert_int_equal(s[2].left_bytes, 550);
	assert_int_equal(s[0].used_bytes, 50);
	assert_int_equal(s[0].node, BARO_NODE_NONE);
	assert_int_equal(baro_budget_list(a, s, 2), 3);
	assert_string_equal(s[0].name, "a");
	assert_string_equal(s[1].name, "a1");
	assert_int_equal(baro_budget_list(c, s, 8), 1);
	baro_reservation_release(&r);
	assert_int_equal(baro_budget_close(a), -EBUSY);
	close_all(a1);
	close_all(b1);
	close_all(b);
	assert_int_equal(baro_budget_list(top, s, 8), 4);
	close_all(a2);
	close_all(a);
	close_all(c);
	close_all(top);
}

static void names_and_depth_are_checked(void **state)
{
	char name[BARO_BUDGET_NAME_MAX + 1];
	struct baro_budget *b = (void *)name, *chain[BARO_BUDGET_LAYERS_MAX];

	memset(name, 'x', sizeof(name));
	name[BARO_BUDGET_NAME_MAX] = '\0';
	assert_int_equal(baro_budget_open(NULL, NULL, 1, 0, &b), -EINVAL);
	assert_int_equal(baro_budget_open(NULL, "", 1, 0, &b), -EINVAL);
	assert_int_equal(baro_budget_open(NULL, "a\nb", 1, 0, &b), -EINVAL);
	assert_int_equal(baro_budget_open(NULL, "a", 1, 4, &b), -EINVAL);
	assert_int_equal(baro_budget_open(NULL, name, 1, 0, &b), -ENAMETOOLONG);
	assert_ptr_equal(b, name);
	name[BARO_BUDGET_NAME_MAX - 1] = '\0';
	chain[0] = open_top(*state, name, 10, 0);
	assert_string_equal(stats_of(chain[0]).name, name);
	for (int i = 1; i < BARO_BUDGET_LAYERS_MAX; i++)
		chain[i] = open_below(chain[i - 1], "below", 10);
	assert_int_equal(baro_budget_open(chain[BARO_BUDGET_LAYERS_MAX - 1], "deeper", 1, 0, &b),
			 -E2BIG);
	assert_int_equal(baro_budget_open(chain[0], "below", 1, 0, &b), -EEXIST);
	assert_int_equal(baro_budget_open(chain[0], "", 1, 0, &b), -EINVAL);
	assert_int_equal(baro_budget_open(chain[0], "x", 1, 8, &b), -EINVAL);
	for (int i = BARO_BUDGET_LAYERS_MAX; i--;)
		close_all(chain[i]);
}

/* ---- levels that are reached ----------------------------------------------------------------- */

static void assert_excursions(struct baro_budget *b, uint64_t warnings, uint64_t criticals,
			      uint64_t emergencies)
{
	struct baro_budget_stats s;

	baro_budget_read(b, &s);
	assert_int_equal(s.warnings, warnings);
	assert_int_equal(s.criticals, criticals);
	assert_int_equal(s.emergencies, emergencies);
}

static void a_level_is_counted_once_for_each_time_it_is_reached(void **state)
{
	struct baro_budget *top = NULL, *b = NULL;
	struct baro_reservation most, some;

	assert_int_equal(baro_budget_open(NULL, "top", 2000, BARO_BUDGET_EXACT, &top), 0);
	assert_int_equal(baro_budget_open(top, "b", 1000, 0, &b), 0);
	assert_int_equal(baro_budget_reserve(b, 699, &most, NULL), 0);
	assert_excursions(b, 0, 0, 0);
	/* to and fro at the threshold is one excursion */
	for (int i = 0; i < 10; i++) {
		assert_int_equal(baro_budget_reserve(b, 1, &some, NULL), 0);
		assert_int_equal(baro_reservation_release(&some), 0);
		assert_excursions(b, 1, 0, 0);
	}
	/* and one from further below is another, whatever is passed on the way */
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(baro_reservation_resize(&most, 600, NULL), 0);
		assert_int_equal(baro_reservation_resize(&most, 950, NULL), 0);
		assert_excursions(b, 1 + i, i, i);
	}
	assert_int_equal(baro_reservation_resize(&most, 900, NULL), 0);
	assert_int_equal(baro_reservation_resize(&most, 960, NULL), 0);
	assert_excursions(b, 4, 3, 4);
	/* in small steps as in a large one */
	for (uint64_t bytes = 100; bytes <= 750; bytes += 10)
		assert_int_equal(baro_reservation_resize(&most, bytes, NULL), 0);
	assert_excursions(b, 5, 3, 4);
	assert_int_equal(baro_reservation_resize(&most, 960, NULL), 0);
	assert_excursions(b, 5, 4, 5);
	/* of the layer alone */
	assert_excursions(top, 0, 0, 0);
	assert_int_equal(baro_budget_set_limit(top, 1100), 0);
	assert_excursions(top, 1, 1, 0);
	assert_int_equal(baro_budget_set_limit(top, 2000), 0);
	assert_int_equal(baro_budget_set_limit(top, 1100), 0);
	assert_excursions(top, 2, 2, 0);
	assert_int_equal(baro_reservation_release(&most), 0);
	assert_int_equal(baro_budget_close(b), 0);
	assert_int_equal(baro_budget_close(top), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_EVERY_WAY(a_reservation_counts_in_every_layer_above),
		IN_EVERY_WAY(a_middle_layer_may_be_drawn_from),
		IN_EVERY_WAY(a_refusal_names_layer_request_rest_and_limit),
		IN_EVERY_WAY(the_lowest_of_several_that_refuse_is_named),
		IN_EVERY_WAY(a_refusal_is_told_in_words),
		IN_EVERY_WAY(a_huge_request_does_not_wrap),
		IN_EVERY_WAY(a_second_release_frees_nothing_and_is_counted),
		IN_EVERY_WAY(a_copy_of_a_reservation_cannot_be_released),
		IN_EVERY_WAY(a_second_release_is_harmless_after_the_budget_closed),
		IN_EVERY_WAY(a_dropped_reservation_is_not_forgotten),
		IN_EVERY_WAY(a_reservation_grows_and_shrinks_in_place),
		IN_EVERY_WAY(a_reservation_is_split_and_merged),
		IN_EVERY_WAY(a_reservation_is_moved_with_its_bytes),
		IN_EVERY_WAY(nothing_always_fits),
		IN_EVERY_WAY(a_lowered_limit_goes_down_as_memory_is_released),
		IN_EVERY_WAY(held_bytes_stay_counted_while_limits_move),
		IN_EVERY_WAY(levels_begin_at_70_85_and_95_percent_inclusive),
		IN_EVERY_WAY(the_worst_layer_is_the_pressure),
		IN_EVERY_WAY(the_peak_is_kept),
		IN_EVERY_WAY(all_layers_are_listed_parents_first),
		IN_EVERY_WAY(names_and_depth_are_checked),
		cmocka_unit_test(a_level_is_counted_once_for_each_time_it_is_reached),
	};

	return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
