/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From pressure to action: the engine registers what it can do when memory presses, and one call
 * does as much of it as is needed, cheapest first.
 *
 *	int64_t shrink(void *cache, uint64_t want_bytes, uint64_t deadline_ns);
 *	uint64_t held(void *cache);
 *	struct baro_relief_action a = { .size = sizeof(a), .name = "cache", .cost = 10,
 *					.from_level = BARO_LEVEL_WARNING, .available = held,
 *					.release = shrink, .arg = cache };
 *
 *	if (baro_relief_new(&options, &relief) == 0 &&	// .size and .client are set in options
 *	    baro_relief_add(relief, &a, NULL) == 0)
 *		while (running)				// a thread of the engine's
 *			baro_relief_follow(relief, BARO_PAGE_NONE, NULL);
 *
 * What is done, and how much of it:
 *
 * - A request of the daemon (release_bytes until release_by_ns) is answered by the actions that
 *   free bytes, in the order of their costs, until so much is freed. Those of level EMERGENCY
 *   answer it only in an emergency; those that would not be done in time do not answer it. What
 *   was done for a request is not done again for it, whatever the page goes on to show; only what
 *   it grows by is asked for anew. When what was freed has landed, the epoch is acknowledged.
 * - From a level on (from_level) an action frees what is needed to leave that level: budget x
 *   (score - (edge - 5 %)) with the page's edges of 70, 85 and 95 % (see docs/page-protocol.md);
 *   where there is no score, the level's edge stands for it. So costly actions, which begin at high
 *   levels, free only what it takes to come down to where cheaper ones suffice. After such a pass
 *   the page must have been written anew and settle_ns must have gone by before there is another;
 *   passes that the usage does not show (the allocator keeps what it gets) follow more slowly, up
 *   to 8 x settle_ns. A higher level than the last pass's is answered at once. A request that is
 *   overdue is treated like a level.
 * - An action may also, or only, engage at its level (refuse large jobs, stop growing) and be told
 *   when the level changes. It relaxes when the level has been below for relax_after_ns.
 *
 * Units: bytes, ns of CLOCK_MONOTONIC.
 *
 * Threads: all functions but baro_relief_free() may be called from any thread; runs exclude each
 * other. Callbacks are called by the thread that runs, under no lock, one at a time: they may call
 * everything here but baro_relief_run(), baro_relief_follow() and baro_relief_free().
 *
 * Errors: 0 or -errno; outputs are untouched on failure. Nothing here starts a thread.
 */
#ifndef BAROSTAT_RELIEF_H
#define BAROSTAT_RELIEF_H

#include <stddef.h>
#include <stdint.h>

#include <barostat/client.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BARO_RELIEF_ACTIONS_MAX 64
#define BARO_RELIEF_NAME_BYTES  20 /* of an action, with the NUL */
#define BARO_RELIEF_ON_REQUEST  0 /* from_level of an action that only answers requests */
/* How long the daemon gives an engine: an action that takes longer does not count as reclaimable.
 */
#define BARO_RELIEF_WITHIN_NS UINT64_C(2000000000)

struct baro_metrics;
struct baro_relief;

struct baro_relief_options {
	size_t size; /* sizeof(struct baro_relief_options) */
	struct baro_client *client; /* told what is reclaimable and done; NULL: nobody is */
	uint64_t settle_ns; /* between two passes for a level; 0: 1 s */
	uint64_t relax_after_ns; /* how long a level must have been left; 0: 1 s */
	uint64_t hold_ns; /* how long after a request baro_relief_budget() holds; 0: 3 s */
};

/* What an engine can do. At least one of release and engage is there. */
struct baro_relief_action {
	size_t size; /* sizeof(struct baro_relief_action) */
	const char *name; /* a-z 0-9 _, from a letter on; copied */
	uint32_t cost; /* lower goes first; among equals who was registered first */
	uint32_t from_level; /* BARO_LEVEL_WARNING, _CRITICAL, _EMERGENCY; BARO_RELIEF_ON_REQUEST */
	uint64_t typical_ns; /* how long release takes as a rule */
	uint64_t landing_ns; /* how much later its bytes are really free; 0: when it returns */

	/* What release could free now. NULL: nobody knows; it is then asked for all that is needed,
	 * and nothing of it is declared as reclaimable. */
	uint64_t (*available)(void *arg);
	/*
	 * Frees about want_bytes, to the kernel and not only to a free list, and returns how many
	 * it freed or has on the way; more than was wanted is fine. -EAGAIN: not now, try again in
	 * a moment; any other -errno: it failed. deadline_ns: BARO_PAGE_NONE when there is none.
	 */
	int64_t (*release)(void *arg, uint64_t want_bytes, uint64_t deadline_ns);
	/* The level has reached from_level, or has changed above it: enum baro_level. */
	void (*engage)(void *arg, uint32_t level);
	/* The level is below from_level again; also after release. NULL: nothing to undo. */
	void (*relax)(void *arg, uint32_t level);
	void *arg;
};

/* What one run did. */
struct baro_relief_outcome {
	uint64_t wanted_bytes; /* the most that was needed: by the request or for the level */
	uint64_t freed_bytes;
	uint64_t reclaimable_bytes; /* what the actions could still free on request */
	uint64_t again_ns; /* run again by then, news or not; BARO_PAGE_NONE: only on news */
	uint64_t ack_epoch; /* acknowledged with this run; 0: nothing */
	uint32_t calls; /* of release */
	uint32_t engaged; /* actions that are engaged now */
};

struct baro_relief_counts {
	uint64_t runs;
	uint64_t requests; /* of the daemon, each once */
	uint64_t requests_met,
	    requests_short; /* how they ended; the rest is open or was withdrawn */
	uint64_t passes; /* for a level or an overdue request */
	uint64_t passes_unseen; /* whose bytes the usage did not show */
	uint64_t acknowledged;
	uint64_t freed_bytes;
};

struct baro_relief_action_counts {
	uint64_t calls; /* of release */
	uint64_t wanted_bytes, freed_bytes; /* what these asked for and got */
	uint64_t failed, busy; /* of the calls: -errno, and -EAGAIN */
	uint64_t late; /* requests it did not answer because it would not have been in time */
	uint64_t overran; /* calls that took more than typical_ns */
	uint64_t engagements, relaxations;
	uint64_t spent_ns, longest_ns; /* in release */
	uint32_t engaged; /* 1: it is */
	uint32_t reserved0;
};

/* -EINVAL: options of no known size. -ENOMEM. */
BARO_API int baro_relief_new(const struct baro_relief_options *options,
			     struct baro_relief **ret_relief);

/* The last call, when no other thread is in one. Nothing is relaxed. NULL is fine. */
BARO_API void baro_relief_free(struct baro_relief *relief);

/*
 * Registers an action; *ret_id (may be NULL) is its number, never 0. Whoever adds one from a
 * callback may find it called in the same run.
 *  -EINVAL	no such level, a bad name, or neither release nor engage
 *  -EEXIST	an action of that name is there
 *  -ENOSPC	there are BARO_RELIEF_ACTIONS_MAX
 */
BARO_API int baro_relief_add(struct baro_relief *relief, const struct baro_relief_action *action,
			     uint32_t *ret_id);

/*
 * Forgets an action. When it returns none of its callbacks runs any more, unless it was called by
 * one of them. It is not relaxed. -ENOENT.
 */
BARO_API int baro_relief_remove(struct baro_relief *relief, uint32_t id);

/*
 * Does what the pressure asks for, and returns when it is done: as long as the callbacks take.
 * `now_ns` is the time, CLOCK_MONOTONIC. *ret_outcome may be NULL. A pressure of level UNKNOWN (no
 * daemon, no limits) relaxes everything.
 *  -EBUSY	another thread runs, or a callback called this
 */
BARO_API int baro_relief_run(struct baro_relief *relief, const struct baro_pressure *pressure,
			     uint64_t now_ns, struct baro_relief_outcome *ret_outcome);

/*
 * One turn of the engine's own thread: waits for news of the client, or until something is to be
 * done again, but at most timeout_ns (BARO_PAGE_NONE: for ever), then reads the pressure and runs.
 *  -ETIMEDOUT	nothing was to be done in time
 *  -EINTR	a signal came
 *  -EINVAL	there is no client
 *  -EBUSY, and the errors of baro_client_read()
 */
BARO_API int baro_relief_follow(struct baro_relief *relief, uint64_t timeout_ns,
				struct baro_relief_outcome *ret_outcome);

/*
 * What the engine may fill now: its budget, but while a request is open and hold_ns longer no more
 * than what it used when it was asked, less what it was asked for. What was given back is then not
 * filled again before it has gone to whom it was for. BARO_PAGE_NONE: no limit is known. The
 * pressure is the latest, now_ns the time, CLOCK_MONOTONIC. A few nanoseconds, from any thread.
 */
BARO_API uint64_t baro_relief_budget(struct baro_relief *relief,
				     const struct baro_pressure *pressure, uint64_t now_ns);

/* The counts since it was made. */
BARO_API void baro_relief_read(struct baro_relief *relief, struct baro_relief_counts *ret_counts);

/* -ENOENT: no such action. */
BARO_API int baro_relief_read_action(struct baro_relief *relief, uint32_t id,
				     struct baro_relief_action_counts *ret_counts);

/*
 * Registers the counts (docs/metrics.md) under a label, which tells several reliefs apart; NULL:
 * none. Their owner is the relief: baro_metrics_remove(metrics, relief) before it goes. All or
 * none: the errors of baro_metrics_add(). Of the actions, those that are there; their labels are
 * their names.
 */
BARO_API int baro_relief_add_metrics(struct baro_relief *relief, struct baro_metrics *metrics,
				     const char *label);

#ifdef __cplusplus
}
#endif

#endif
