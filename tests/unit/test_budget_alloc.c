// SPDX-License-Identifier: BSD-2-Clause
/*
 * Every allocation of budgets and the governor fails once: nothing is left behind (the address
 * sanitizer looks), the tree is as it was, and the next attempt works.
 */
#include "tests/unit/budget_support.h"

#include "include/barostat/governor.h"

static long until_failure; /* allocations that still succeed; negative: all */

static bool fails(void)
{
	return until_failure >= 0 && until_failure-- == 0;
}

static void *try_malloc(size_t size)
{
	return fails() ? NULL : malloc(size);
}

static void *try_calloc(size_t n, size_t size)
{
	return fails() ? NULL : calloc(n, size);
}

static void *try_realloc(void *p, size_t size)
{
	return fails() ? NULL : realloc(p, size);
}

static void *try_aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : aligned_alloc(alignment, size);
}

#define malloc(size)           try_malloc(size)
#define calloc(n, size)        try_calloc(n, size)
#define realloc(p, size)       try_realloc(p, size)
#define aligned_alloc(a, size) try_aligned_alloc(a, size)
#include "user/lib/budget_tree.c" /* NOLINT(bugprone-suspicious-include) */
#include "user/lib/governor_engines.c" /* NOLINT(bugprone-suspicious-include) */
#include "user/lib/nodes.c" /* NOLINT(bugprone-suspicious-include) */
#undef malloc
#undef calloc
#undef realloc
#undef aligned_alloc

/* Two nodes, for the shards; belongs to whoever opens a tree with it. */
static struct nodes *two_nodes(void)
{
	struct nodes *n = calloc(1, sizeof(*n));

	assert_non_null(n);
	*n = (struct nodes){
		.count = 2, .id = { 0, 1 }, .bytes = { 1, 1 }, .near = { { 0, 1 }, { 1, 0 } }
	};
	return n;
}

static void a_tree_opens_whole_or_not_at_all(void **state)
{
	for (uint32_t flags = 0; flags <= BARO_BUDGET_PER_NODE; flags += BARO_BUDGET_PER_NODE) {
		struct budget_setup setup = *(const struct budget_setup *)*state;
		struct baro_budget *b = NULL;
		long failures = 0;
		int r;

		setup.nodes = two_nodes();
		do {
			until_failure = failures;
			r = budget_open_tree("b", 10, flags, &setup, &b);
			assert_true(r == 0 || r == -ENOMEM);
			assert_true(r == 0 || !b);
		} while (r && ++failures < 100);
		until_failure = -1;
		assert_int_equal(failures, flags ? 5 : 2);
		close_all(b);
	}
}

static void a_budget_that_cannot_be_opened_leaves_the_tree_as_it_was(void **state)
{
	struct budget_setup setup = *(const struct budget_setup *)*state;
	struct baro_budget *top = NULL, *b = NULL;
	long failures = 0;
	int r;

	setup.nodes = two_nodes();
	assert_int_equal(budget_open_tree("top", 10, 0, &setup, &top), 0);
	do {
		until_failure = failures;
		r = baro_budget_open(top, "b", 10, BARO_BUDGET_PER_NODE, &b);
		until_failure = -1;
		assert_true(r == 0 || r == -ENOMEM);
		if (r)
			assert_int_equal(baro_budget_list(top, NULL, 0), 1);
	} while (r && ++failures < 100);
	/* What was had before a failure is kept for the next attempt. */
	assert_true(failures >= 3);
	assert_int_equal(baro_budget_list(top, NULL, 0), 4);
	close_all(b);
	close_all(top);
}

static void reading_the_nodes_fails_whole(void **state)
{
	struct nodes *n = NULL;

	(void)state;
	for (until_failure = 0; until_failure < 2;) {
		long next = until_failure + 1;

		assert_int_equal(nodes_read("/sys/devices/system/node", "/proc/self/status", &n),
				 -ENOMEM);
		assert_null(n);
		until_failure = next;
	}
	until_failure = -1;
}

static void an_engine_that_cannot_be_added_leaves_the_governor_as_it_was(void **state)
{
	struct baro_governor *g = NULL;
	struct baro_budget *b = NULL;
	long failures = 0;
	char name[16];

	(void)state;
	do {
		until_failure = failures;
	} while (baro_governor_open(1000, &g) == -ENOMEM && ++failures < 100);
	assert_int_equal(failures, 3);
	if (!g) {
		fail();
		return;
	}
	/* The eighth place is the last before there must be more. */
	for (int i = 0; i < 9; i++) {
		snprintf(name, sizeof(name), "e%d", i);
		for (failures = 0; failures < 100; failures++) {
			until_failure = failures;
			if (!baro_governor_add(g, NULL, name, 0, 10, 100, NONE, &b))
				break;
			until_failure = -1;
			assert_int_equal(baro_governor_list(g, NULL, 0), i);
			assert_int_equal(baro_budget_list(baro_governor_top(g), NULL, 0), 1 + i);
			assert_null(baro_governor_find(g, name));
		}
		until_failure = -1;
		assert_int_equal(failures, i % 8 ? 1 : 3);
	}
	assert_int_equal(baro_governor_close(g), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_EVERY_WAY(a_tree_opens_whole_or_not_at_all),
		IN_EVERY_WAY(a_budget_that_cannot_be_opened_leaves_the_tree_as_it_was),
		cmocka_unit_test(reading_the_nodes_fails_whole),
		cmocka_unit_test(an_engine_that_cannot_be_added_leaves_the_governor_as_it_was),
	};

	return cmocka_run_group_tests_name("budget allocations", tests, NULL, NULL);
}
