/* SPDX-License-Identifier: BSD-2-Clause */
/* Things an engine can do about its memory, and what was done to them, for the tests of the relief.
 */
#ifndef BAROSTAT_TESTS_RELIEF_SUPPORT_H
#define BAROSTAT_TESTS_RELIEF_SUPPORT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "include/barostat/relief.h"
#include "tests/unit/thread_support.h"
#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/common/units.h"

#define NOW_NS (1000 * NS_PER_S) /* the time of the tests, which is not the clock's */

/* Something an engine can do, and what was done to it. */
struct thing {
	struct baro_relief *relief;
	char name[8];
	uint64_t held_bytes; /* what it can free */
	uint64_t chunk_bytes; /* at once; 0: all that is wanted */
	int error; /* what release returns instead */
	uint32_t id, from_level, cost;
	unsigned int calls, engaged, relaxed;
	uint64_t wanted_bytes, deadline_ns;
	uint32_t level;
};

static char log_text[256]; /* in order: "+a" freed, "!a" engaged, "-a" relaxed */

static inline void note(char what, const struct thing *t)
{
	size_t n = strlen(log_text);

	snprintf(log_text + n, sizeof(log_text) - n, "%c%s ", what, t->name);
}

static inline uint64_t thing_available(void *arg)
{
	return ((struct thing *)arg)->held_bytes;
}

static inline int64_t thing_release(void *arg, uint64_t want_bytes, uint64_t deadline_ns)
{
	struct thing *t = arg;
	uint64_t bytes = min_u64(want_bytes, t->held_bytes);

	note('+', t);
	t->calls++;
	t->wanted_bytes = want_bytes;
	t->deadline_ns = deadline_ns;
	if (t->error)
		return t->error;
	if (t->chunk_bytes)
		bytes = min_u64(t->held_bytes, t->chunk_bytes);
	t->held_bytes -= bytes;
	return (int64_t)bytes;
}

static inline void thing_engage(void *arg, uint32_t level)
{
	struct thing *t = arg;

	note('!', t);
	t->engaged++;
	t->level = level;
}

static inline void thing_relax(void *arg, uint32_t level)
{
	struct thing *t = arg;

	note('-', t);
	t->relaxed++;
	t->level = level;
}

static inline struct baro_relief_action action_of(struct thing *t, uint32_t from_level,
						  uint32_t cost)
{
	return (struct baro_relief_action){
		.size = sizeof(struct baro_relief_action),
		.name = t->name,
		.cost = cost,
		.from_level = from_level,
		.available = thing_available,
		.release = thing_release,
		.relax = thing_relax,
		.arg = t,
	};
}

static inline void add(struct baro_relief *r, struct thing *t, const struct baro_relief_action *a)
{
	t->relief = r;
	assert_int_equal(baro_relief_add(r, a, &t->id), 0);
	assert_int_not_equal(t->id, 0);
}

/* Adds a thing of so many bytes under a one-letter name. */
static inline void add_thing(struct baro_relief *r, struct thing *t, const char *name,
			     uint32_t from_level, uint32_t cost, uint64_t bytes)
{
	struct baro_relief_action a;

	snprintf(t->name, sizeof(t->name), "%s", name);
	t->held_bytes = bytes;
	a = action_of(t, from_level, cost);
	add(r, t, &a);
}

static inline struct baro_relief *new_relief(void)
{
	const struct baro_relief_options options = { .size = sizeof(options) };
	struct baro_relief *r = NULL;

	log_text[0] = '\0';
	assert_int_equal(baro_relief_new(&options, &r), 0);
	return r;
}

/* 1 GiB of budget, all of it used. */
static inline struct baro_pressure pressure(uint32_t level, uint32_t score_ppm, uint64_t now_ns)
{
	return (struct baro_pressure){
		.status = level | (uint64_t)BARO_SLOT_ACTIVE << 8,
		.score_ppm = score_ppm,
		.updated_ns = now_ns,
		.budget_bytes = GIB,
		.target_bytes = GIB,
		.limit_bytes = GIB,
		.usage_bytes = GIB,
		.grant_epoch = 1,
		.time_to_ceiling_ns = BARO_PAGE_NONE,
	};
}

static inline struct baro_pressure request(uint64_t bytes, uint64_t by_ns, uint64_t now_ns)
{
	struct baro_pressure p = pressure(BARO_LEVEL_NORMAL, 0, now_ns);

	p.release_bytes = bytes;
	p.release_by_ns = by_ns;
	p.grant_epoch = 2;
	return p;
}

static inline struct baro_relief_outcome run(struct baro_relief *r, const struct baro_pressure *p,
					     uint64_t now_ns)
{
	struct baro_relief_outcome o;

	assert_int_equal(baro_relief_run(r, p, now_ns, &o), 0);
	return o;
}

static inline struct baro_relief_counts counts(struct baro_relief *r)
{
	struct baro_relief_counts c;

	baro_relief_read(r, &c);
	return c;
}

static inline struct baro_relief_action_counts counts_of(const struct thing *t)
{
	struct baro_relief_action_counts c;

	assert_int_equal(baro_relief_read_action(t->relief, t->id, &c), 0);
	return c;
}

#endif
