/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How large a memtable should grow before it is flushed: large where writes come fast, small where
 * memory presses, and for many of them within one write budget.
 *
 *	struct baro_memtable *table;
 *
 *	baro_memtable_open(NULL, NULL, &table);		// alone, 1 .. 16 MiB
 *	...
 *	baro_memtable_record_write(table, length);		// in every write, any thread
 *	if (baro_memtable_should_flush(table, skiplist_bytes())) {	// one load
 *		uint64_t sealed = baro_memtable_rotate(table);
 *
 *		flush_to_disk();
 *		baro_memtable_flushed(table, sealed);		// its memory is free again
 *	}
 *	...
 *	baro_client_read(client, &now);			// about ten times a second, any thread
 *	baro_memtable_update(table, now_ns, &now);
 *
 * The target of one table:
 *
 *	target = clamp(rate x buffer x damping(p), min, max)
 *
 * - rate is what is written per second while the engine writes, smoothed over time: an exponential
 *   average with the time constant tau, so that it does not matter how often update is called.
 *   Intervals without a write for buffer_ns or longer do not count: an engine that was idle goes on
 *   with the target it had, instead of flushing tiny tables until its rate is known again.
 * - buffer is the time the table should take to fill, 1 s.
 * - p is the pressure of the engine's own slot, 0 .. 1 (struct baro_pressure, score_ppm; without a
 *   daemon baro_client_read() gives how much of the limit is used).
 * - damping is 1 - p^2, or with BARO_DAMPING_KNEE 1 - (p - 0.7)^2 above p = 0.7.
 *
 * Both curves, the buffer of one second and alpha = 0.1 are those of SochDB's adaptive sizer, whose
 * document states the first curve and whose code has the second.
 *
 * A group shares one write budget. The sum of its targets is never above it; where the tables want
 * more, each gets its minimum and a share of the rest by its rate, and none more than it wants. A
 * table may use what the others leave. When the group is over its budget, one of those over their
 * targets is to be flushed, the largest first.
 *
 * Units: bytes, ns of CLOCK_MONOTONIC, ppm. Time is what the caller passes; it never reads a clock.
 *
 * Threads: everything but open and close may be called from any number of threads at once. Updates
 * exclude each other: who comes while another is at it, or with a time before the last one's,
 * changes nothing, and the bytes wait for the next. record_write touches no memory that another
 * processor writes, and is not for signal handlers. A plug-in that links the static library must
 * not be unloaded (-z nodelete).
 *
 * Errors: 0 or -errno; outputs are untouched on failure. Only open allocates memory.
 */
#ifndef BAROSTAT_MEMTABLE_H
#define BAROSTAT_MEMTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <barostat/page.h>

#ifdef __cplusplus
extern "C" {
#endif

struct baro_metrics;

#define BARO_MEMTABLE_BASE_BYTES UINT64_C(4194304)
#define BARO_MEMTABLE_BUFFER_NS  UINT64_C(1000000000)
/* alpha = 0.1 every 100 ms: -0.1 s / ln(1 - 0.1) */
#define BARO_MEMTABLE_TAU_NS UINT64_C(949122158)

struct baro_memtable;
struct baro_memtable_group;

/* What pressure makes of the target. */
enum baro_damping {
	BARO_DAMPING_SQUARE = 0, /* 1 - p^2: at 0.9 the target is 0.190 of what it would be */
	BARO_DAMPING_KNEE = 1, /* 1 - (p - 0.7)^2 above 0.7: at 0.9 it is 0.960 */
};

/* 0 in a field means its default. */
struct baro_memtable_options {
	size_t size; /* sizeof(struct baro_memtable_options) */
	uint64_t base_bytes; /* what a new table begins with; 4 MiB */
	uint64_t min_bytes; /* base / 4 */
	uint64_t max_bytes; /* base x 4 */
	uint64_t buffer_ns; /* 1 s */
	uint64_t tau_ns; /* time constant of the rate; BARO_MEMTABLE_TAU_NS */
	uint32_t damping; /* enum baro_damping */
	uint32_t reserved0;
	void *arg; /* the engine's own; baro_memtable_arg() */
};

struct baro_memtable_stats {
	uint64_t written_bytes; /* since it was opened */
	uint64_t held_bytes; /* written since the last rotation */
	uint64_t sealed_bytes; /* rotated, not yet flushed */
	uint64_t rate_bytes_per_s; /* while it writes */
	uint64_t wanted_bytes; /* the formula above */
	uint64_t target_bytes; /* of that, what the group's budget gives */
	uint64_t flush_at_bytes; /* what baro_memtable_should_flush() compares with */
	uint64_t rotations;
	uint32_t pressure_ppm; /* at the last update */
	uint32_t idle; /* 1: nothing written for buffer_ns */
	uint64_t reserved0[4];
};

struct baro_memtable_group_stats {
	uint64_t budget_bytes; /* BARO_PAGE_NONE: none */
	uint64_t target_bytes; /* of all tables: at most the budget */
	uint64_t wanted_bytes; /* what they would have without it */
	uint64_t held_bytes;
	uint64_t sealed_bytes;
	uint64_t over_bytes; /* held and sealed beyond the budget: a reason to push writers back */
	uint64_t updates; /* that counted */
	uint64_t updates_skipped; /* another was at it, or its time was not after the last one's */
	uint32_t tables;
	uint32_t reserved0;
	uint64_t reserved1[4];
};

/*
 * Opens a table, in `group` or alone (NULL). NULL as options means all defaults.
 *  -EINVAL	a size that is none of ours, min > max, base outside of them, an unknown damping,
 *		buffer_ns beyond an hour
 *  -ENOMEM
 */
BARO_API int baro_memtable_open(const struct baro_memtable_options *options,
				struct baro_memtable_group *group,
				struct baro_memtable **ret_table);

/* Its last call; what it holds is no longer counted. NULL is fine. */
BARO_API void baro_memtable_close(struct baro_memtable *table);

/* So many bytes have gone into the table, with what they cost there. About 2 ns. */
BARO_API void baro_memtable_record_write(struct baro_memtable *table, uint64_t bytes);

/*
 * Whether a table that holds `held_bytes` should be flushed: one load. `held_bytes` is what the
 * engine counts itself; without a count of its own, baro_memtable_held().
 */
static inline bool baro_memtable_should_flush(const struct baro_memtable *table,
					      uint64_t held_bytes)
{
	/* The first word of a table is flush_at_bytes. */
	return held_bytes >=
	       __atomic_load_n((const uint64_t *)(const void *)table, __ATOMIC_RELAXED);
}

/* What was recorded since the last rotation. */
BARO_API uint64_t baro_memtable_held(const struct baro_memtable *table);

/* The table is sealed and a new one begun: what was held is returned, and stays counted in its
 * group until baro_memtable_flushed() says that so much of it is gone. */
BARO_API uint64_t baro_memtable_rotate(struct baro_memtable *table);

/* So much of what was sealed is flushed and its memory free; more than was sealed is not counted.
 */
BARO_API void baro_memtable_flushed(struct baro_memtable *table, uint64_t bytes);

/*
 * Takes stock of what was written until now_ns and sets the target anew, from five times a second
 * to as often as one likes; returns it. In a group it does so for all of it, like
 * baro_memtable_group_update(). `pressure` may be NULL: none. After more than ten buffer_ns without
 * an update the rate is not believed to have fallen: nobody knows when the bytes came.
 */
BARO_API uint64_t baro_memtable_update(struct baro_memtable *table, uint64_t now_ns,
				       const struct baro_pressure *pressure);

/* Each value is right by itself: writers go on. */
BARO_API void baro_memtable_read(struct baro_memtable *table,
				 struct baro_memtable_stats *ret_stats);

/* What the engine gave in its options. */
BARO_API void *baro_memtable_arg(const struct baro_memtable *table);

/* Opens a group of no tables. budget_bytes: what they may hold together; BARO_PAGE_NONE: any
 * amount. -EINVAL: 0. -ENOMEM */
BARO_API int baro_memtable_group_open(uint64_t budget_bytes,
				      struct baro_memtable_group **ret_group);

/* -EBUSY: it has tables. NULL is fine. */
BARO_API int baro_memtable_group_close(struct baro_memtable_group *group);

/* Moves the budget, for instance with budget_bytes of the pressure page; it counts from the next
 * update. -EINVAL: 0 */
BARO_API int baro_memtable_group_set_budget(struct baro_memtable_group *group,
					    uint64_t budget_bytes);

/*
 * baro_memtable_update() for every table of the group, and the shares of the budget. Returns the
 * table to flush because the group is over its budget, or NULL: for engines whose flushes have a
 * thread of their own. baro_memtable_should_flush() says the same of it.
 *
 * Over means that what is held and sealed together exceeds the budget, and that not enough is
 * being flushed already (less is sealed than held).
 */
BARO_API struct baro_memtable *baro_memtable_group_update(struct baro_memtable_group *group,
							  uint64_t now_ns,
							  const struct baro_pressure *pressure);

/* The sums of its tables, and what the last update made of the budget. */
BARO_API void baro_memtable_group_read(struct baro_memtable_group *group,
				       struct baro_memtable_group_stats *ret_stats);

/* What is left of a target at a pressure: 1000000 is all of it. Unknown curves: the first. */
BARO_API uint32_t baro_damping_ppm(uint32_t damping, uint32_t pressure_ppm);

/*
 * Registers the counts (docs/metrics.md) under a label, which tells several groups apart; NULL: none.
 * Their owner is the group: baro_metrics_remove(metrics, group) before it goes. All or none: the
 * errors of baro_metrics_add().
 */
BARO_API int baro_memtable_group_add_metrics(struct baro_memtable_group *group,
					     struct baro_metrics *metrics, const char *label);

#ifdef __cplusplus
}
#endif

#endif
