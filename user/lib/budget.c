// SPDX-License-Identifier: BSD-2-Clause
/*
 * Drawing from budgets and giving back: what happens when the stripes cannot do it alone. All of it
 * is with the tree's lock held, so that a reservation looks at every layer and commits in all of
 * them in one step, and nobody sees bytes that are taken only to be given back.
 */
#include <errno.h>
#include <string.h>

#include "user/lib/budget_internal.h"

/* Below this a threshold can be reached anew: what goes to and fro at one is one excursion. */
#define REARMED(threshold) ((threshold) - (threshold) / 32)

void budget_write_begin(struct budget_tree *t)
{
	__atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

void budget_write_end(struct budget_tree *t)
{
	__atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELEASE);
}

/* ---- credit ---------------------------------------------------------------------------------- */

static void add_room(struct baro_budget *b, int64_t bytes)
{
	for (; b; b = b->parent)
		BUDGET_STORE(b->room, b->room + bytes);
}

static void add_credit_max(struct baro_budget *b, int64_t bytes)
{
	b->own_credit_max += bytes;
	for (; b; b = b->parent)
		BUDGET_STORE(b->credit_max, b->credit_max + bytes);
}

/* Shuts what was barred, and sweeps it. */
static void sweep_below(struct budget_tree *t, const struct baro_budget *top)
{
	struct baro_budget **link = &t->credited;

	budget_write_begin(t);
	while (*link) {
		struct baro_budget *b = *link;

		if (!budget_is_below(b, top)) {
			link = &b->next_credited;
			continue;
		}
		*link = b->next_credited;
		add_room(b, (int64_t)stripes_sweep(&b->stripes));
		add_credit_max(b, -b->own_credit_max);
		b->heat = 0;
	}
	budget_write_end(t);
}

bool budget_collect(struct baro_budget *top)
{
	struct budget_tree *t = top->tree;

	if (!top->credit_max)
		return true;
	for (struct baro_budget *b = t->credited; b; b = b->next_credited)
		if (budget_is_below(b, top))
			stripes_bar(&b->stripes);
	/* What is barred and not swept stays barred: nobody may take credit above a new limit. */
	t->unfenced = !stripes_fence(&top->stripes);
	if (t->unfenced)
		return false;
	sweep_below(t, top);
	return true;
}

void budget_collect_unused(struct baro_budget *top)
{
	/* Where nobody takes or puts, nobody is in the middle of it. */
	if (!budget_collect(top))
		sweep_below(top->tree, top);
}

/* How much a stripe of `b` may hold; 0: its limits are too small to bother. */
static int64_t credit_of(const struct baro_budget *b)
{
	int64_t least = BUDGET_BYTES_MAX, cap;

	for (const struct baro_budget *l = b; l; l = l->parent)
		least = l->limit < least ? l->limit : least;
	cap = least / BUDGET_CREDIT_SHARE / b->stripes.count;
	return cap < BUDGET_CREDIT_MAX_BYTES ? cap : BUDGET_CREDIT_MAX_BYTES;
}

static bool has_room_for_credit(const struct baro_budget *b, int64_t credit)
{
	for (; b; b = b->parent)
		if (b->room / BUDGET_ROOM_PER_CREDIT < b->credit_max + credit)
			return false;
	return true;
}

/* Hands out credit once a budget is used much, by small reservations, and far from any limit. */
static void warm(struct baro_budget *b, int64_t bytes)
{
	struct budget_tree *t = b->tree;
	int64_t cap, all;

	if (b->own_credit_max || (b->flags & BARO_BUDGET_EXACT) || t->unfenced ||
	    ++b->heat < t->hot_ops)
		return;
	b->heat = 0;
	cap = credit_of(b);
	/* A stripe that is refilled holds half its cap more than it did, while none may be lost. */
	all = cap * (b->stripes.count + 1);
	if (cap / 4 < bytes || !cap || !has_room_for_credit(b, all))
		return;
	budget_write_begin(t);
	add_credit_max(b, all);
	budget_write_end(t);
	b->next_credited = t->credited;
	t->credited = b;
	stripes_open(&b->stripes, (uint64_t)cap);
}

/* ---- drawing --------------------------------------------------------------------------------- */

static struct baro_budget *short_of(struct baro_budget *b, int64_t bytes)
{
	while (b && b->room >= bytes)
		b = b->parent;
	return b;
}

void budget_note_levels(struct baro_budget *b, int64_t before)
{
	int64_t drawn = b->limit - b->room;

	while (b->reached && before < REARMED(b->level_from[b->reached - 1]))
		b->reached--;
	while (b->reached < 3 && drawn >= b->level_from[b->reached])
		b->excursions[b->reached++]++;
}

static void draw(struct baro_budget *b, int64_t bytes)
{
	for (; b; b = b->parent) {
		int64_t drawn;

		BUDGET_STORE(b->room, b->room - bytes);
		drawn = b->limit - b->room;
		if (drawn > b->peak)
			b->peak = drawn;
		if (drawn > b->recent_peak)
			b->recent_peak = drawn;
		if (b->reached || drawn >= b->level_from[0])
			budget_note_levels(b, drawn - bytes);
	}
}

/* Half a stripe's cap beside what is asked, where everybody has it. */
static void refill(struct baro_budget *b)
{
	int64_t credit = (int64_t)stripes_cap_bytes(&b->stripes) / 2;

	if (!credit || short_of(b, credit))
		return;
	draw(b, credit);
	if (!stripe_put(&b->stripes, (uint64_t)credit))
		add_room(b, credit);
}

int budget_refuse(const struct baro_budget *asked, const struct budget_no *no, uint64_t bytes,
		  struct baro_refusal *ret)
{
	struct baro_budget *layer = no->layer;
	uint64_t wanted = BUDGET_LOAD(layer->wanted);

	stripe_reject(&layer->stripes);
	while (bytes > wanted && bytes <= BUDGET_LOAD(layer->wanted_max) &&
	       !__atomic_compare_exchange_n(&layer->wanted, &wanted, bytes, true, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
	if (!ret)
		return -ENOMEM;
	ret->requested_bytes = bytes;
	ret->left_bytes = no->left > 0 ? (uint64_t)no->left : 0;
	ret->used_bytes = (uint64_t)(no->limit - no->left);
	ret->limit_bytes = budget_limit_shown(no->limit);
	ret->depth = layer->depth;
	ret->reserved0 = 0;
	memcpy(ret->layer, layer->name, BARO_BUDGET_NAME_MAX);
	memcpy(ret->asked, asked->name, BARO_BUDGET_NAME_MAX);
	return -ENOMEM;
}

/* The lowest layer that refuses, once all credit that could help has been called in; or NULL. */
static struct baro_budget *refusing(struct baro_budget *b, int64_t bytes)
{
	for (struct baro_budget *l = b; l; l = l->parent) {
		if (l->room < bytes && l->room + l->credit_max >= bytes)
			budget_collect(l);
		if (l->room < bytes)
			return l;
	}
	return NULL;
}

static int draw_locked(struct baro_budget *b, uint64_t bytes, struct baro_refusal *ret_refusal)
{
	int64_t need = budget_need_of(bytes);
	struct budget_no no = { .layer = refusing(b, need) };

	if (no.layer) {
		no.limit = no.layer->limit;
		no.left = no.limit - budget_used_locked(no.layer);
		return budget_refuse(b, &no, bytes, ret_refusal);
	}
	draw(b, need);
	warm(b, need);
	refill(b);
	return 0;
}

int budget_draw(struct baro_budget *b, uint64_t bytes, struct baro_refusal *ret_refusal)
{
	int r;

	if (!bytes || stripe_take(&b->stripes, bytes))
		return 0;
	budget_lock(b->tree);
	r = draw_locked(b, bytes, ret_refusal);
	budget_unlock(b->tree);
	return r;
}

int budget_return(struct baro_budget *b, uint64_t bytes)
{
	int64_t credit;

	if (stripe_put(&b->stripes, bytes))
		return 0;
	budget_lock(b->tree);
	/* The stripe was full: half of it goes with the rest. */
	credit = (int64_t)stripes_cap_bytes(&b->stripes) / 2;
	if (!credit || !stripe_take(&b->stripes, (uint64_t)credit))
		credit = 0;
	add_room(b, (int64_t)bytes + credit);
	budget_unlock(b->tree);
	return 0;
}
