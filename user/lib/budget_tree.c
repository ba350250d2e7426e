// SPDX-License-Identifier: BSD-2-Clause
/* The tree of budgets: opening, closing, moving limits. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/budget_internal.h"

#define NODE_DIR "/sys/devices/system/node"
#define FLAGS    (BARO_BUDGET_EXACT | BARO_BUDGET_PER_NODE)

/* ---- limits and levels, with the lock held --------------------------------------------------- */

/* From how much of `base` a percentage is reached; of nothing, from the first byte. */
static int64_t level_mark(int64_t base, int64_t percent)
{
	int64_t mark = base / 100 * percent + (base % 100 * percent + 99) / 100;

	return mark ? mark : 1;
}

static int64_t at_least_one(int64_t mark)
{
	return mark > 1 ? mark : 1;
}

static void move_marks(struct baro_budget *b)
{
	int64_t base = b->level_base ? b->level_base : b->limit;
	int64_t untracked = b->drift > 0 ? b->drift : 0, overcounted = b->drift < 0 ? -b->drift : 0;

	if (base >= BUDGET_BYTES_MAX) {
		for (int i = 0; i < 3; i++)
			BUDGET_STORE(b->level_from[i], INT64_MAX);
		return;
	}
	BUDGET_STORE(b->level_from[0], at_least_one(level_mark(base, 70) - untracked));
	BUDGET_STORE(b->level_from[1], at_least_one(level_mark(base, 85) - untracked));
	BUDGET_STORE(b->level_from[2], level_mark(base, 95) + overcounted);
}

/* What a node's shard of `b` holds before others are asked. */
static void move_shares(struct baro_budget *b)
{
	const struct nodes *n = b->tree->nodes;
	uint64_t all = 0;

	if (!b->shard)
		return;
	for (uint32_t i = 0; i < n->count; i++)
		all += n->bytes[i];
	for (uint32_t i = 0; i < n->count; i++) {
		unsigned __int128 share = (unsigned __int128)b->limit * n->bytes[i] / all;

		BUDGET_STORE(b->shard[i]->share, (int64_t)share);
	}
}

static void move_limit(struct baro_budget *b, int64_t limit, int64_t level_base, int64_t drift)
{
	/* How much credit may be out follows from the limit. */
	if (limit < b->limit)
		budget_collect(b);
	budget_write_begin(b->tree);
	BUDGET_STORE(b->room, b->room + (limit - b->limit));
	BUDGET_STORE(b->limit, limit);
	b->level_base = level_base;
	b->drift = drift;
	move_marks(b);
	move_shares(b);
	budget_write_end(b->tree);
	budget_note_levels(b, b->limit - b->room);
}

void budget_move_limit(struct baro_budget *b, int64_t limit)
{
	if (limit != b->limit)
		move_limit(b, limit, b->level_base, b->drift);
}

void budget_move_ceiling(struct baro_budget *b, int64_t limit, int64_t level_base, int64_t drift)
{
	if (limit != b->limit || level_base != b->level_base || drift != b->drift)
		move_limit(b, limit, level_base, drift);
}

int baro_budget_set_limit(struct baro_budget *b, uint64_t limit_bytes)
{
	int pending;

	budget_lock(b->tree);
	budget_move_limit(b, budget_limit_of(limit_bytes));
	pending = budget_used_locked(b) > b->limit;
	budget_unlock(b->tree);
	return pending;
}

void budget_take_recent(struct baro_budget *b, struct budget_recent *ret)
{
	ret->drawn = b->limit - b->room;
	ret->peak = b->recent_peak;
	ret->wanted = __atomic_exchange_n(&b->wanted, 0, __ATOMIC_RELAXED);
	b->recent_peak = ret->drawn;
}

/* ---- a budget -------------------------------------------------------------------------------- */

static struct baro_budget *budget_new(struct budget_tree *t)
{
	struct baro_budget *b = t->spare;
	size_t bytes = sizeof(*b) + t->stripes * sizeof(struct stripe);

	if (b) {
		t->spare = b->sibling;
		return b;
	}
	return aligned_alloc(STRIPE_BYTES, bytes);
}

static void budget_init(struct baro_budget *b, struct budget_tree *t, struct baro_budget *parent,
			const char *name, int64_t limit, uint32_t flags)
{
	memset(b, 0, sizeof(*b));
	stripes_init(&b->stripes, b->stripe, t->stripes, t->percpu);
	b->tree = t;
	b->parent = parent;
	b->limit = b->room = limit;
	b->wanted_max = UINT64_MAX;
	b->depth = parent ? parent->depth + 1 : 0;
	b->flags = flags | (parent ? parent->flags & BARO_BUDGET_EXACT : 0);
	b->node = BARO_NODE_NONE;
	memcpy(b->name, name, strlen(name));
	move_marks(b);
}

static void link_child(struct baro_budget *b)
{
	struct baro_budget **link = &b->parent->child;

	while (*link)
		link = &(*link)->sibling;
	*link = b;
}

/* Back to where budget_new() finds it. */
static void unlink_child(struct baro_budget *b)
{
	struct baro_budget **link = &b->parent->child;

	while (*link != b)
		link = &(*link)->sibling;
	*link = b->sibling;
	free(b->shard);
	b->shard = NULL;
	b->sibling = b->tree->spare;
	b->tree->spare = b;
}

static int check_name(const char *name)
{
	if (!name || !*name)
		return -EINVAL;
	if (strlen(name) >= BARO_BUDGET_NAME_MAX)
		return -ENAMETOOLONG;
	for (const char *c = name; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return -EINVAL;
	return 0;
}

static bool has_child(const struct baro_budget *parent, const char *name)
{
	for (const struct baro_budget *b = parent->child; b; b = b->sibling)
		if (!strcmp(b->name, name))
			return true;
	return false;
}

/* ---- shards by node, with the lock held ------------------------------------------------------ */

static void drop_shards(struct baro_budget *b)
{
	while (b->child)
		unlink_child(b->child);
	free(b->shard);
	b->shard = NULL;
}

static int add_shards(struct baro_budget *b)
{
	const struct nodes *n = b->tree->nodes;
	struct baro_budget **shard;

	if (n->count < 2)
		return 0;
	if (b->depth + 2 > BARO_BUDGET_LAYERS_MAX)
		return -E2BIG;
	shard = calloc(n->count, sizeof(struct baro_budget *));
	if (!shard)
		return -ENOMEM;
	for (uint32_t i = 0; i < n->count; i++) {
		char name[BARO_BUDGET_NAME_MAX];

		shard[i] = budget_new(b->tree);
		if (!shard[i]) {
			drop_shards(b);
			free(shard);
			return -ENOMEM;
		}
		snprintf(name, sizeof(name), "node%u", n->id[i]);
		budget_init(shard[i], b->tree, b, name, BUDGET_BYTES_MAX, 0);
		shard[i]->node = n->id[i];
		link_child(shard[i]);
	}
	b->shard = shard;
	move_shares(b);
	return 0;
}

/* The machine's nodes, once for a tree. */
static int find_nodes(struct budget_tree *t)
{
	return t->nodes ? 0 : nodes_read(NODE_DIR, "/proc/self/status", &t->nodes);
}

static int shard_by_node(struct baro_budget *b)
{
	int r = find_nodes(b->tree);

	return r < 0 ? r : add_shards(b);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void tree_free(struct budget_tree *t)
{
	while (t->spare) {
		struct baro_budget *b = t->spare;

		t->spare = b->sibling;
		free(b);
	}
	if (t->root)
		free(t->root->shard);
	free(t->root);
	free(t->nodes);
	free(t);
}

int budget_open_tree(const char *name, uint64_t limit_bytes, uint32_t flags,
		     const struct budget_setup *setup, struct baro_budget **ret_budget)
{
	struct budget_tree *t;
	int r = flags & ~(uint32_t)FLAGS ? -EINVAL : check_name(name);

	if (r < 0)
		return r;
	t = aligned_alloc(STRIPE_BYTES, sizeof(*t));
	if (!t)
		return -ENOMEM;
	memset(t, 0, sizeof(*t));
	t->stripes = setup->stripes ? setup->stripes : stripes_wanted();
	t->hot_ops = setup->eager ? 1 : BUDGET_HOT_OPS;
	t->percpu = !setup->portable && stripes_percpu_usable();
	t->root = budget_new(t);
	if (!t->root) {
		tree_free(t);
		return -ENOMEM;
	}
	budget_init(t->root, t, NULL, name, budget_limit_of(limit_bytes), flags);
	t->nodes = setup->nodes;
	r = flags & BARO_BUDGET_PER_NODE ? shard_by_node(t->root) : 0;
	if (r < 0) {
		t->nodes = t->nodes == setup->nodes ? NULL : t->nodes;
		tree_free(t);
		return r;
	}
	*ret_budget = t->root;
	return 0;
}

static int open_child(struct baro_budget *parent, const char *name, int64_t limit, uint32_t flags,
		      struct baro_budget **ret_budget)
{
	struct baro_budget *b;
	int r = 0;

	if (parent->depth + 2 > BARO_BUDGET_LAYERS_MAX)
		return -E2BIG;
	if (has_child(parent, name))
		return -EEXIST;
	b = budget_new(parent->tree);
	if (!b)
		return -ENOMEM;
	budget_init(b, parent->tree, parent, name, limit, flags);
	link_child(b);
	if (flags & BARO_BUDGET_PER_NODE)
		r = shard_by_node(b);
	if (r < 0)
		unlink_child(b);
	else
		*ret_budget = b;
	return r;
}

int baro_budget_open(struct baro_budget *parent, const char *name, uint64_t limit_bytes,
		     uint32_t flags, struct baro_budget **ret_budget)
{
	static const struct budget_setup setup;
	int r;

	if (!parent)
		return budget_open_tree(name, limit_bytes, flags, &setup, ret_budget);
	r = flags & ~(uint32_t)FLAGS ? -EINVAL : check_name(name);
	/* What is counted by node has no budgets below it but the nodes'. */
	if (!r && (parent->shard || parent->node != BARO_NODE_NONE))
		r = -EINVAL;
	if (r < 0)
		return r;
	budget_lock(parent->tree);
	r = open_child(parent, name, budget_limit_of(limit_bytes), flags, ret_budget);
	budget_unlock(parent->tree);
	return r;
}

/* ---- closing --------------------------------------------------------------------------------- */

/* Nothing is reserved, no credit is out, and only its own shards are below it. */
static bool is_idle(struct baro_budget *b)
{
	if (b->child && !b->shard)
		return false;
	budget_collect_unused(b);
	return b->room == b->limit;
}

int budget_close_tree(struct baro_budget *top)
{
	struct budget_tree *t = top->tree;

	budget_lock(t);
	budget_collect_unused(top);
	if (top->room != top->limit) {
		budget_unlock(t);
		return -EBUSY;
	}
	while (top->child) {
		struct baro_budget *b = top;

		while (b->child)
			b = b->child;
		unlink_child(b);
	}
	budget_unlock(t);
	tree_free(t);
	return 0;
}

int baro_budget_close(struct baro_budget *b)
{
	struct budget_tree *t;

	if (!b)
		return 0;
	t = b->tree;
	budget_lock(t);
	if (!is_idle(b)) {
		budget_unlock(t);
		return -EBUSY;
	}
	drop_shards(b);
	if (b->parent) {
		unlink_child(b);
		budget_unlock(t);
		return 0;
	}
	budget_unlock(t);
	tree_free(t);
	return 0;
}
