/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of budgets share: trees in every way there is to keep credit. */
#ifndef BAROSTAT_TESTS_BUDGET_SUPPORT_H
#define BAROSTAT_TESTS_BUDGET_SUPPORT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "include/barostat/budget.h"
#include "user/common/clock.h"
#include "user/common/units.h"
#include "user/lib/budget_internal.h"

#define NONE       BARO_PAGE_NONE
#define GIVE_UP_NS (60 * NS_PER_S)

/* With rseq where this build and machine have it, and without; credit late, and from the first
 * reservation on. */
static const struct budget_setup ways[] = {
	{ 0 },
	{ .portable = true },
	{ .eager = true },
	{ .portable = true, .eager = true },
};

#define IN_EVERY_WAY(f)                                                                            \
	{ #f, f, NULL, NULL, (void *)&ways[0] },                                                   \
	    { #f ", without rseq", f, NULL, NULL, (void *)&ways[1] },                              \
	    { #f ", credit at once", f, NULL, NULL, (void *)&ways[2] },                            \
	{                                                                                          \
#f ", credit at once, without rseq", f, NULL, NULL, (void *)&ways[3]               \
	}

static inline struct baro_budget *open_top(const struct budget_setup *way, const char *name,
					   uint64_t limit, uint32_t flags)
{
	struct baro_budget *b = NULL;

	assert_int_equal(budget_open_tree(name, limit, flags, way, &b), 0);
	assert_non_null(b);
	return b;
}

static inline struct baro_budget *open_below(struct baro_budget *parent, const char *name,
					     uint64_t limit)
{
	struct baro_budget *b = NULL;

	assert_int_equal(baro_budget_open(parent, name, limit, 0, &b), 0);
	assert_non_null(b);
	return b;
}

static inline void close_all(struct baro_budget *b)
{
	assert_int_equal(baro_budget_close(b), 0);
}

static inline struct baro_budget_stats stats_of(struct baro_budget *b)
{
	struct baro_budget_stats s;

	baro_budget_read(b, &s);
	return s;
}

/* A state of its own for every thread and test: xorshift. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
