/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of budgets share; never installed.
 *
 * The truth about a budget is one word, `room`: its limit less what was drawn from it. A change of
 * the limit is an addition to room, so that a check against it and the commit cannot come apart.
 * What is drawn is used, or lies as credit in stripes below. room is stored with the tree's lock
 * held, and read by anyone. It is negative while the limit is below what is drawn.
 *
 *	room + drawn = limit		drawn = used + credit in the stripes of it and below it
 *
 * Credit that is out at some budget never exceeds its credit_max, so without the lock
 *	room < n and credit_max == 0	the request is refused, finally
 *	room < n <= room + credit_max	it may fit: the credit has to be called in
 */
#ifndef BAROSTAT_LIB_BUDGET_INTERNAL_H
#define BAROSTAT_LIB_BUDGET_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/barostat/budget.h"
#include "user/lib/lock.h"
#include "user/lib/nodes.h"
#include "user/lib/stripe.h"

#ifndef __SIZEOF_INT128__
#error "budgets are for 64-bit machines"
#endif

#define BUDGET_BYTES_MAX (INT64_C(1) << 62) /* what "no limit" is inside */
#define BUDGET_HOT_OPS   64u /* reservations with the lock before credit is handed out */
/* Credit out, of the smallest limit on the way up; and per stripe at most. */
#define BUDGET_CREDIT_SHARE     64
#define BUDGET_CREDIT_MAX_BYTES (INT64_C(1) << 20)
/* Room that there must be, in credit, before credit is handed out. */
#define BUDGET_ROOM_PER_CREDIT 4

struct budget_tree {
	/* Changes of limits, thresholds, and of who has credit: odd in between. */
	uint32_t seq;
	uint32_t stripes;
	uint32_t hot_ops;
	bool percpu;
	bool unfenced; /* the last time credit was called in, the kernel did not let us */
	struct nodes *nodes; /* NULL until a budget wants it */
	struct lock lock __attribute__((aligned(STRIPE_BYTES)));
	struct baro_budget *root;
	struct baro_budget *credited; /* those with open stripes */
	/* Closed budgets. Their memory stays budgets', so that a second release finds one. */
	struct baro_budget *spare;
};

struct baro_budget {
	/* Read by every reservation, written rarely. */
	struct stripes stripes;
	struct baro_budget **shard; /* one per node, or NULL */
	struct baro_budget *parent;
	struct budget_tree *tree;

	/* Read for levels, written within tree->seq. */
	int64_t limit __attribute__((aligned(64)));
	int64_t credit_max; /* of it and all below it */
	int64_t level_from[3]; /* drawn bytes from which on: warning, critical, emergency */
	/* What the levels are of; see budget_move_ceiling(). */
	int64_t level_base;
	int64_t drift;

	/* Written with the lock held. */
	int64_t room __attribute__((aligned(STRIPE_BYTES)));
	int64_t peak; /* the most ever drawn */
	int64_t recent_peak; /* the same, since somebody looked */
	uint32_t heat;
	uint32_t reached; /* of level_from, how many count as reached: they fall back late */
	uint64_t excursions[3]; /* how often each was reached from below */

	/* Written without it. */
	uint64_t over_releases __attribute__((aligned(STRIPE_BYTES)));
	uint64_t wanted; /* the largest reservation refused here since somebody looked ... */
	uint64_t wanted_max; /* ... not counting larger ones, which no limit would ever allow */

	/* Written when the tree changes. */
	int64_t own_credit_max; /* of its own stripes; 0: they are shut */
	int64_t share; /* of a shard: how much before other nodes are asked */
	struct baro_budget *next_credited, *child, *sibling;
	uint32_t depth, flags, node;
	char name[BARO_BUDGET_NAME_MAX];

	struct stripe stripe[];
};

/* How a tree is set up; zeros are what baro_budget_open() uses. Tests want more. */
struct budget_setup {
	bool portable; /* no rseq */
	bool eager; /* credit from the first reservation on */
	uint32_t stripes;
	struct nodes *nodes; /* taken over on success */
};
int budget_open_tree(const char *name, uint64_t limit_bytes, uint32_t flags,
		     const struct budget_setup *setup, struct baro_budget **ret_budget);

/* Closes a whole tree. -EBUSY: something is reserved. */
int budget_close_tree(struct baro_budget *top);

/*
 * A reservation whose holder keeps nothing but where the bytes were taken, a budget or its part on
 * a node: for those who see to it themselves that each is given back once.
 */
int budget_hold(struct baro_budget *b, uint64_t bytes, struct baro_budget **ret_from);
void budget_unhold(struct baro_budget *from, uint64_t bytes);

/* ---- with the tree's lock held ---- */

static inline void budget_lock(struct budget_tree *t)
{
	lock_take(&t->lock);
}

static inline void budget_unlock(struct budget_tree *t)
{
	lock_give(&t->lock);
}

/* Around changes of limit, level_from and credit_max. */
void budget_write_begin(struct budget_tree *t);
void budget_write_end(struct budget_tree *t);

/*
 * Calls in all credit of `b` and below it. False: the kernel did not let us, and what was credit
 * stays out, where nobody can take it until the next time. No more is handed out meanwhile.
 */
bool budget_collect(struct baro_budget *b);
/* The same where the caller knows that nobody reserves or releases there: it cannot fail. */
void budget_collect_unused(struct baro_budget *b);

/* What is used: drawn less the credit that lies about. */
int64_t budget_used_locked(const struct baro_budget *b);

/* Counts the levels reached on the way from `before` drawn bytes to those now. */
void budget_note_levels(struct baro_budget *b, int64_t before);

static inline bool budget_is_below(const struct baro_budget *b, const struct baro_budget *top)
{
	while (b && b != top)
		b = b->parent;
	return b;
}

/* A new limit, at most BUDGET_BYTES_MAX. */
void budget_move_limit(struct baro_budget *b, int64_t limit);

/*
 * The same of a ceiling, whose levels are of `level_base` bytes (0: of the limit), and of what is
 * used corrected by `drift`. See <barostat/governor.h> for the rules.
 */
void budget_move_ceiling(struct baro_budget *b, int64_t limit, int64_t level_base, int64_t drift);

/* What is, and what was since the last call: the most drawn, and the largest reservation refused.
 */
struct budget_recent {
	int64_t drawn, peak;
	uint64_t wanted;
};
void budget_take_recent(struct baro_budget *b, struct budget_recent *ret);

/* The next budget below `top`, parents first; NULL after the last. */
struct baro_budget *budget_next(const struct baro_budget *top, struct baro_budget *b);

/* ---- without ---- */

/* A limit as callers give it. */
static inline int64_t budget_limit_of(uint64_t bytes)
{
	return bytes >= (uint64_t)BUDGET_BYTES_MAX ? BUDGET_BYTES_MAX : (int64_t)bytes;
}

static inline uint64_t budget_limit_shown(int64_t limit)
{
	return limit >= BUDGET_BYTES_MAX ? BARO_PAGE_NONE : (uint64_t)limit;
}

/* Takes bytes from `b` and all above it, when its stripe has too little. -ENOMEM. */
int budget_draw(struct baro_budget *b, uint64_t bytes, struct baro_refusal *ret_refusal);
/* Gives bytes back, when its stripe is full. 0, so that the last call of a release can be it. */
int budget_return(struct baro_budget *b, uint64_t bytes);

/* Reads and stores of words that others read or store meanwhile. */
#define BUDGET_LOAD(word)     __atomic_load_n(&(word), __ATOMIC_RELAXED)
#define BUDGET_STORE(word, v) __atomic_store_n(&(word), (v), __ATOMIC_RELAXED)

/* What a reader without the lock begins with; false: something changes just now. */
static inline bool budget_read_begin(const struct budget_tree *t, uint32_t *ret_seq)
{
	*ret_seq = __atomic_load_n(&t->seq, __ATOMIC_ACQUIRE);
	return !(*ret_seq & 1);
}

/* Whether what it read belongs together. */
static inline bool budget_read_holds(const struct budget_tree *t, uint32_t seq)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return BUDGET_LOAD(t->seq) == seq;
}

/* More than any limit is the same as any other request that is refused. */
static inline int64_t budget_need_of(uint64_t bytes)
{
	return bytes > (uint64_t)BUDGET_BYTES_MAX ? BUDGET_BYTES_MAX + 1 : (int64_t)bytes;
}

/* A layer that refuses, and what it had. */
struct budget_no {
	struct baro_budget *layer;
	int64_t limit, left;
};

/*
 * Whether a request is refused for sure: a layer has no credit out and too little room, and every
 * layer below it has enough. One word says so, and no lock is needed. False: it may fit, or
 * something changes just now.
 */
static inline bool budget_is_full(struct baro_budget *b, int64_t need, struct budget_no *ret)
{
	uint32_t seq;

	if (!budget_read_begin(b->tree, &seq))
		return false;
	while (b && (ret->left = BUDGET_LOAD(b->room)) >= need)
		b = b->parent;
	if (!b || !need || BUDGET_LOAD(b->credit_max))
		return false;
	ret->layer = b;
	ret->limit = BUDGET_LOAD(b->limit);
	return budget_read_holds(b->tree, seq);
}

/* Counts and tells a refusal. -ENOMEM. */
int budget_refuse(const struct baro_budget *asked, const struct budget_no *no, uint64_t bytes,
		  struct baro_refusal *ret_refusal);

#endif
