/* SPDX-License-Identifier: BSD-2-Clause */
/* Which pages of a region are taken: against a plain list, in every order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "user/lib/extents.h"

#define PAGES 1000 /* not a multiple of 64 */

static uint64_t take(struct extents *x, uint64_t pages, uint64_t within)
{
	uint64_t page = extents_take(x, pages, within);

	if (page != EXTENTS_NONE)
		extents_begin(x, page);
	return page;
}

static void the_lowest_run_that_fits_is_taken(void **state)
{
	struct extents x;

	assert_int_equal(extents_init(&x, PAGES), 0);
	assert_int_equal(take(&x, 3, PAGES), 0);
	assert_int_equal(take(&x, 2, PAGES), 3);
	assert_int_equal(take(&x, 70, PAGES), 5);
	assert_int_equal(extents_end(&x, 3), 2);
	extents_give(&x, 3, 2);
	assert_int_equal(take(&x, 3, PAGES), 75);
	assert_int_equal(take(&x, 1, PAGES), 3);
	assert_int_equal(take(&x, 1, PAGES), 4);
	extents_fini(&x);
}

static void nothing_reaches_beyond_what_there_is(void **state)
{
	struct extents x;

	assert_int_equal(extents_init(&x, PAGES), 0);
	assert_int_equal(take(&x, 65, 64), EXTENTS_NONE);
	assert_int_equal(take(&x, PAGES + 1, PAGES), EXTENTS_NONE);
	assert_int_equal(take(&x, UINT64_MAX, PAGES), EXTENTS_NONE);
	assert_int_equal(take(&x, 64, 64), 0);
	assert_int_equal(take(&x, 1, 64), EXTENTS_NONE);
	assert_int_equal(take(&x, PAGES - 64, PAGES), 64);
	assert_int_equal(take(&x, 1, PAGES), EXTENTS_NONE);
	assert_int_equal(extents_length(&x, 64), PAGES - 64);
	assert_int_equal(extents_length(&x, PAGES), 0);
	assert_int_equal(extents_length(&x, EXTENTS_NONE), 0);
	extents_fini(&x);
}

static void only_an_allocation_that_has_begun_can_be_ended_and_once(void **state)
{
	struct extents x;

	assert_int_equal(extents_init(&x, PAGES), 0);
	assert_int_equal(extents_take(&x, 4, PAGES), 0);
	assert_int_equal(extents_end(&x, 0), 0);
	extents_begin(&x, 0);
	assert_int_equal(extents_end(&x, 1), 0);
	assert_int_equal(extents_end(&x, 0), 4);
	assert_int_equal(extents_end(&x, 0), 0);
	/* not free before it is given */
	assert_int_equal(take(&x, 4, PAGES), 4);
	extents_give(&x, 0, 4);
	assert_int_equal(take(&x, 4, PAGES), 0);
	/* and one that is ending does not make its neighbour longer */
	assert_int_equal(extents_end(&x, 4), 4);
	assert_int_equal(extents_length(&x, 0), 4);
	extents_fini(&x);
}

/* The same with a byte a page. */
struct list {
	unsigned char taken[PAGES];
	uint64_t length[PAGES]; /* at the first page of an allocation */
};

static uint64_t list_take(struct list *l, uint64_t pages)
{
	for (uint64_t i = 0; i + pages <= PAGES; i++) {
		if (memchr(l->taken + i, 1, pages))
			continue;
		memset(l->taken + i, 1, pages);
		l->length[i] = pages;
		return i;
	}
	return EXTENTS_NONE;
}

static void any_order_gives_what_a_list_gives(void **state)
{
	struct list *l = calloc(1, sizeof(*l));
	struct extents x;

	srandom(11);
	assert_non_null(l);
	assert_int_equal(extents_init(&x, PAGES), 0);
	for (int i = 0; i < 200000; i++) {
		uint64_t pages = 1 + (uint64_t)random() % (random() % 4 ? 8 : 200);
		uint64_t page = (uint64_t)random() % PAGES;

		if (random() % 3 == 0) {
			assert_int_equal(take(&x, pages, PAGES), list_take(l, pages));
			continue;
		}
		assert_int_equal(extents_end(&x, page), l->length[page]);
		if (l->length[page]) {
			extents_give(&x, page, l->length[page]);
			memset(l->taken + page, 0, l->length[page]);
			l->length[page] = 0;
		}
	}
	extents_fini(&x);
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lowest_run_that_fits_is_taken),
		cmocka_unit_test(nothing_reaches_beyond_what_there_is),
		cmocka_unit_test(only_an_allocation_that_has_begun_can_be_ended_and_once),
		cmocka_unit_test(any_order_gives_what_a_list_gives),
	};

	return cmocka_run_group_tests_name("extents", tests, NULL, NULL);
}
