/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Budgets: how many bytes may be in use, in layers (host > database > tenant > engine, or any
 * other). What is reserved in a layer is reserved in every layer above it, or not at all, and then
 * the caller is told which layer refused, and what it has left.
 *
 *	struct baro_budget *global, *engine;
 *	struct baro_reservation held;
 *	struct baro_refusal why;
 *	char words[BARO_REFUSAL_WORDS_MAX];
 *
 *	baro_budget_open(NULL, "global", 8ull << 30, 0, &global);
 *	baro_budget_open(global, "vector", 1ull << 30, 0, &engine);
 *	if (baro_budget_reserve(engine, bytes, &held, &why) < 0)
 *		return give_up(baro_refusal_words(&why, words, sizeof(words)));
 *	buffer = malloc(bytes);			// the reservation lives as long as the memory
 *	...
 *	free(buffer);
 *	baro_reservation_release(&held);	// once; a second time is refused and counted
 *
 * Exactness. A reservation is granted if and only if it fits what is really reserved at every
 * layer, and checking and committing are one step: no order of reservations, releases and changes
 * of limits ends above a limit. Budgets that are used much, and are far from every limit, keep
 * credit per processor, so that a reservation touches no shared memory; that credit is called in
 * before anything is refused for want of it, and while it is out it is not counted as used. What
 * is read is exact whenever nobody reserves or releases meanwhile. Calling it in takes
 * membarrier(2): a process that forbids itself that later, with budgets in use, may be refused what
 * fits, by as much as was out as credit then (about a 64th of its smallest limit for each budget).
 * It is never granted what does not fit.
 *
 * Units: bytes. BARO_PAGE_NONE as limit means none.
 *
 * Threads: everything but close may be called from any number of threads at once; nothing here may
 * be called from a signal handler. A reservation belongs to one thread at a time, like the memory
 * it stands for; who takes it over may release it. After fork() only one of the two processes may
 * go on with a tree of budgets.
 *
 * Errors: 0 (or a count) or -errno; outputs are untouched on failure unless said otherwise. Nothing
 * but open allocates memory.
 */
#ifndef BAROSTAT_BUDGET_H
#define BAROSTAT_BUDGET_H

#include <stddef.h>
#include <stdint.h>

#include <barostat/page.h>

#ifdef __cplusplus
extern "C" {
#endif

struct baro_metrics;

#define BARO_BUDGET_NAME_MAX   64 /* with the NUL */
#define BARO_BUDGET_LAYERS_MAX 16 /* from the top to the deepest budget */
#define BARO_REFUSAL_WORDS_MAX 320 /* enough for baro_refusal_words() */
#define BARO_NODE_LOCAL        UINT32_MAX /* the memory node of the processor the caller runs on */
#define BARO_NODE_NONE         UINT32_MAX /* not counted by node */

struct baro_budget;

enum baro_budget_flag {
	/* No credit per processor, in all budgets below it either: usage and peak are exact at
	 * every instant. Every reservation then takes the lock of the tree. */
	BARO_BUDGET_EXACT = 1,
	/* Usage is also counted by memory node, in budgets below it, named "node0" and so on; the
	 * caller can open none there. See baro_budget_reserve_on(). Nothing on a machine with one
	 * node. */
	BARO_BUDGET_PER_NODE = 2,
};

/*
 * What a caller holds. Fields are private. It is tied to where it lies: a copy (memcpy, assignment,
 * realloc) cannot be released; hand it on with baro_reservation_move().
 */
struct baro_reservation {
	struct baro_budget *budget;
	uint64_t bytes;
	void *seal;
};

/* Why a reservation was refused. */
struct baro_refusal {
	uint64_t requested_bytes;
	uint64_t left_bytes; /* what the layer could still have given */
	uint64_t used_bytes; /* of the layer */
	uint64_t limit_bytes; /* of the layer, as baro_budget_set_limit() wants it */
	uint32_t depth; /* of the layer: 0 is the top */
	uint32_t reserved0;
	char layer[BARO_BUDGET_NAME_MAX]; /* the layer that refused; the lowest, where several would
					   */
	char asked[BARO_BUDGET_NAME_MAX]; /* the budget that was asked */
};

/* Everything about one budget. */
struct baro_budget_stats {
	char name[BARO_BUDGET_NAME_MAX];
	uint32_t depth; /* 0 is the top */
	uint32_t level; /* enum baro_level, of this layer alone */
	uint32_t node; /* the memory node it counts, or BARO_NODE_NONE */
	uint32_t reserved0;
	uint64_t limit_bytes; /* in force: the wanted one, or what is used while that is more */
	uint64_t wanted_limit_bytes; /* what baro_budget_set_limit() asked for */
	uint64_t used_bytes;
	uint64_t left_bytes; /* until a layer refuses, this one or one above it */
	/* The most that was ever used. Never less than that; more by at most the credit that was
	 * out then, as slack_bytes bounds it. Exact as long as none ever was, and with
	 * BARO_BUDGET_EXACT. */
	uint64_t peak_bytes;
	uint64_t slack_bytes; /* how much credit may be out, at most; 0: none */
	uint64_t rejections; /* reservations that this layer refused */
	uint64_t over_releases; /* releases of what was not held: each is a bug of the caller */
	/* How often the level was reached from below, by what was drawn (credit that was out
	 * included) or by a limit that came down. Counted again only after usage was a 32nd of the
	 * threshold below it. */
	uint64_t warnings, criticals, emergencies;
	uint64_t reserved1[1];
};

/*
 * Opens a budget under `parent`; NULL begins a tree of its own. The limit may exceed the parent's,
 * which holds all the same. `flags` are of enum baro_budget_flag.
 *  -EINVAL		no name, control characters in it, unknown flags, a parent counted by node
 *  -ENAMETOOLONG
 *  -EEXIST		the parent has a budget of that name
 *  -E2BIG		more than BARO_BUDGET_LAYERS_MAX layers
 *  -ENOMEM
 *  -EMFILE, -ENFILE, -EIO, ...	the nodes could not be read, with BARO_BUDGET_PER_NODE
 */
BARO_API int baro_budget_open(struct baro_budget *parent, const char *name, uint64_t limit_bytes,
			      uint32_t flags, struct baro_budget **ret_budget);

/*
 * Closes it; NULL is fine. A budget with something still reserved stays as it is: somebody dropped
 * a reservation, or will still use it.
 *  -EBUSY	budgets below it, or bytes reserved
 */
BARO_API int baro_budget_close(struct baro_budget *budget);

/*
 * Moves the limit while everything goes on; what is held stays held and counted. A limit below
 * what is used admits nothing more, and goes down with every release until it is where it was
 * wanted. 0: it is in force. 1: it is still going down.
 */
BARO_API int baro_budget_set_limit(struct baro_budget *budget, uint64_t limit_bytes);

/*
 * Reserves bytes in the budget and every layer above it. `ret_refusal` may be NULL. 0 bytes always
 * fit.
 *  -ENOMEM	refused; *ret_refusal, and nothing else, is filled
 */
BARO_API int baro_budget_reserve(struct baro_budget *budget, uint64_t bytes,
				 struct baro_reservation *ret_reservation,
				 struct baro_refusal *ret_refusal);

/*
 * The same, for memory on a certain node (the number in /sys/devices/system/node). A budget of
 * BARO_BUDGET_PER_NODE gives each node a share of its limit in proportion to the node's memory.
 * BARO_NODE_LOCAL, which is what baro_budget_reserve() does, means the caller's node while its
 * share lasts, then the nearest with some left, then the caller's: baro_reservation_node() says
 * where to allocate. Shares steer, they do not refuse: only limits do. Other budgets ignore the
 * node.
 *  -ENODEV	no such node, or none that this process may use
 */
BARO_API int baro_budget_reserve_on(struct baro_budget *budget, uint32_t node, uint64_t bytes,
				    struct baro_reservation *ret_reservation,
				    struct baro_refusal *ret_refusal);

/*
 * Gives back all of it: free the memory first. Afterwards the reservation is empty. Whatever else
 * comes here changes no usage, and is counted where the bytes once were:
 *  -EALREADY	released, moved or merged before, or somebody works on it right now
 *  -EINVAL	a copy; or never reserved (all zeros)
 * Harmless while the tree is open, also when the budget itself was closed.
 */
BARO_API int baro_reservation_release(struct baro_reservation *reservation);

/* Grows or shrinks it, in place. -ENOMEM as above, and then it is as before; -EALREADY, -EINVAL as
 * above. */
BARO_API int baro_reservation_resize(struct baro_reservation *reservation, uint64_t bytes,
				     struct baro_refusal *ret_refusal);

/* Takes `bytes` out of it into one of its own. -ERANGE: it has less. -EALREADY, -EINVAL as above.
 */
BARO_API int baro_reservation_split(struct baro_reservation *reservation, uint64_t bytes,
				    struct baro_reservation *ret_part);

/* Adds `part` to it, which is empty then. -EXDEV: of another budget (or node), or the same one.
 * -EALREADY, -EINVAL: one of the two is not what it should be. */
BARO_API int baro_reservation_merge(struct baro_reservation *reservation,
				    struct baro_reservation *part);

/* To another place in memory; `from` is empty then. -EALREADY, -EINVAL as above. */
BARO_API int baro_reservation_move(struct baro_reservation *from, struct baro_reservation *ret_to);

/* How many bytes it holds; 0 when it holds nothing (any more). */
BARO_API uint64_t baro_reservation_bytes(const struct baro_reservation *reservation);

/* Of BARO_BUDGET_PER_NODE: on which node its bytes are counted; else BARO_NODE_NONE. */
BARO_API uint32_t baro_reservation_node(const struct baro_reservation *reservation);

/*
 * enum baro_level of this layer alone: from 70, 85 and 95 % of the limit, each inclusive. Some
 * nanoseconds, no lock unless usage lies within the credit that is out of such a threshold.
 */
BARO_API uint32_t baro_budget_level(struct baro_budget *budget);

/* The highest level of this layer and all above it: what an engine acts on. */
BARO_API uint32_t baro_budget_pressure(struct baro_budget *budget);

/* What is reserved in it and below it. */
BARO_API uint64_t baro_budget_used(struct baro_budget *budget);

/* Everything about it, of one instant. */
BARO_API void baro_budget_read(struct baro_budget *budget, struct baro_budget_stats *ret_stats);

/* The same of it and all below it, of one instant: parents first, children in the order in which
 * they were opened. Fills at most `count` and returns how many there are. */
BARO_API size_t baro_budget_list(struct baro_budget *budget, struct baro_budget_stats *ret_stats,
				 size_t count);

/* "vector: 4096 bytes refused: tenant has 1024 left of 65536". Returns `words`. */
BARO_API const char *baro_refusal_words(const struct baro_refusal *refusal, char *words,
					size_t words_bytes);

/*
 * Registers the counts (docs/metrics.md) under a label, which tells several layers apart; NULL: the
 * name of the layer. Their owner is the budget: baro_metrics_remove(metrics, budget) before it goes.
 * All or none: the errors of baro_metrics_add().
 */
BARO_API int baro_budget_add_metrics(struct baro_budget *budget, struct baro_metrics *metrics,
				     const char *label);

#ifdef __cplusplus
}
#endif

#endif
