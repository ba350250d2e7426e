// SPDX-License-Identifier: BSD-2-Clause
/* Reading budgets: levels without the lock where they are certain, the rest with it; words. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "user/lib/budget_internal.h"

/* ---- with the lock held ---------------------------------------------------------------------- */

int64_t budget_used_locked(const struct baro_budget *top)
{
	int64_t used = top->limit - top->room;

	if (!top->credit_max)
		return used;
	for (const struct baro_budget *b = top->tree->credited; b; b = b->next_credited)
		if (budget_is_below(b, top))
			used -= (int64_t)stripes_sum(&b->stripes);
	/* Stripes are not of one instant while others work on them. */
	return used > 0 ? used : 0;
}

struct baro_budget *budget_next(const struct baro_budget *top, struct baro_budget *b)
{
	if (b->child)
		return b->child;
	while (b != top && !b->sibling)
		b = b->parent;
	return b == top ? NULL : b->sibling;
}

static uint32_t grade(const int64_t from[3], int64_t used)
{
	return BARO_LEVEL_NORMAL + (used >= from[0]) + (used >= from[1]) + (used >= from[2]);
}

static uint64_t left_locked(const struct baro_budget *b)
{
	int64_t left = BUDGET_BYTES_MAX;

	for (; b; b = b->parent) {
		int64_t here = b->limit - budget_used_locked(b);

		left = here < left ? here : left;
	}
	return left > 0 ? (uint64_t)left : 0;
}

static void read_locked(const struct baro_budget *b, struct baro_budget_stats *ret)
{
	int64_t used = budget_used_locked(b);
	bool pending = used > b->limit;

	*ret = (struct baro_budget_stats){
		.depth = b->depth,
		.level = grade(b->level_from, used),
		.node = b->node,
		.limit_bytes = pending ? (uint64_t)used : budget_limit_shown(b->limit),
		.wanted_limit_bytes = budget_limit_shown(b->limit),
		.used_bytes = (uint64_t)used,
		.left_bytes = left_locked(b),
		.peak_bytes = (uint64_t)b->peak,
		.slack_bytes = (uint64_t)b->credit_max,
		.rejections = stripes_rejections(&b->stripes),
		.over_releases = BUDGET_LOAD(b->over_releases),
		.warnings = b->excursions[0],
		.criticals = b->excursions[1],
		.emergencies = b->excursions[2],
	};
	memcpy(ret->name, b->name, sizeof(ret->name));
}

/* ---- the calls ------------------------------------------------------------------------------- */

void baro_budget_read(struct baro_budget *b, struct baro_budget_stats *ret_stats)
{
	budget_lock(b->tree);
	read_locked(b, ret_stats);
	budget_unlock(b->tree);
}

size_t baro_budget_list(struct baro_budget *top, struct baro_budget_stats *ret_stats, size_t count)
{
	size_t n = 0;

	budget_lock(top->tree);
	for (struct baro_budget *b = top; b; b = budget_next(top, b), n++)
		if (n < count)
			read_locked(b, &ret_stats[n]);
	budget_unlock(top->tree);
	return n;
}

uint64_t baro_budget_used(struct baro_budget *b)
{
	int64_t used;

	budget_lock(b->tree);
	used = budget_used_locked(b);
	budget_unlock(b->tree);
	return (uint64_t)used;
}

/*
 * Credit that is out only matters near a threshold: when the level is the same with and without
 * it, it is certain. False: not certain, or something changes just now.
 */
static bool read_level(const struct baro_budget *b, uint32_t *ret_level)
{
	int64_t drawn, credit, from[3];
	uint32_t seq, level;

	if (!budget_read_begin(b->tree, &seq))
		return false;
	drawn = BUDGET_LOAD(b->limit) - BUDGET_LOAD(b->room);
	from[0] = BUDGET_LOAD(b->level_from[0]);
	if (drawn < from[0]) {
		*ret_level = BARO_LEVEL_NORMAL;
		return budget_read_holds(b->tree, seq);
	}
	from[1] = BUDGET_LOAD(b->level_from[1]);
	from[2] = BUDGET_LOAD(b->level_from[2]);
	credit = BUDGET_LOAD(b->credit_max);
	if (!budget_read_holds(b->tree, seq))
		return false;
	level = grade(from, drawn);
	if (credit && level != grade(from, drawn > credit ? drawn - credit : 0))
		return false;
	*ret_level = level;
	return true;
}

uint32_t baro_budget_level(struct baro_budget *b)
{
	uint32_t level;

	if (read_level(b, &level))
		return level;
	budget_lock(b->tree);
	level = grade(b->level_from, budget_used_locked(b));
	budget_unlock(b->tree);
	return level;
}

uint32_t baro_budget_pressure(struct baro_budget *b)
{
	uint32_t worst = BARO_LEVEL_UNKNOWN;

	for (; b; b = b->parent) {
		uint32_t level = baro_budget_level(b);

		worst = level > worst ? level : worst;
	}
	return worst;
}

const char *baro_refusal_words(const struct baro_refusal *r, char *words, size_t words_bytes)
{
	char limit[32] = "no limit";

	if (!words_bytes)
		return words;
	if (r->limit_bytes != BARO_PAGE_NONE)
		snprintf(limit, sizeof(limit), "%" PRIu64, r->limit_bytes);
	if (r->used_bytes > r->limit_bytes)
		snprintf(words, words_bytes,
			 "%s: %" PRIu64 " bytes refused: %s uses %" PRIu64
			 " and is going down to %s",
			 r->asked, r->requested_bytes, r->layer, r->used_bytes, limit);
	else
		snprintf(words, words_bytes,
			 "%s: %" PRIu64 " bytes refused: %s has %" PRIu64 " left of %s", r->asked,
			 r->requested_bytes, r->layer, r->left_bytes, limit);
	return words;
}
