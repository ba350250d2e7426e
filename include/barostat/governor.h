/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The governor: the engines of one process, each with a budget, under one ceiling. It moves limits
 * from idle engines to those that want more, follows what the daemon (or the cgroup) allows, and
 * compares what is accounted with what is resident.
 *
 *	struct baro_governor *gov;
 *	struct baro_budget *vector, *ingest;
 *	struct baro_pressure now;
 *	uint64_t rss;
 *
 *	baro_governor_open(8ull << 30, &gov);
 *	baro_governor_add(gov, NULL, "vector", 0, 1ull << 30, 4ull << 30, BARO_PAGE_NONE, &vector);
 *	baro_governor_add(gov, NULL, "ingest", 0, 1ull << 28, 4ull << 30, BARO_PAGE_NONE, &ingest);
 *	while (work_to_do()) {		// once a second or so; budgets are used meanwhile
 *		if (baro_client_read(client, &now) == 0)
 *			baro_governor_follow(gov, &now);
 *		if (baro_rss_read(&rss) == 0)
 *			baro_governor_reconcile(gov, rss, now_ns);
 *		baro_governor_rebalance(gov, now_ns);
 *	}
 *
 * Everything is optional: a governor that follows nothing and reconciles nothing goes by what is
 * reserved. Engines reserve from their budgets, see <barostat/budget.h>.
 *
 * Units: bytes, ns of CLOCK_MONOTONIC. BARO_PAGE_NONE as a limit means none.
 *
 * Threads: everything but close may be called from any number of threads at once.
 *
 * Errors: 0 (or a count) or -errno; outputs are untouched on failure. Only open, add and set
 * allocate memory.
 *
 * Rebalancing. Every engine has a minimum, an own share and a maximum. An engine is hungry when it
 * was refused something since the last call, or used at least 90 % of its limit; it is idle when it
 * used at most 60 %. The hungry get, in this order: what nobody has, what engines that have been
 * idle for 2 s have too much (they keep their peak and a third, and their minimum), and, if they
 * are below their own share and were refused, what others have beyond theirs. A limit is never set
 * below a minimum, and never below what is used, with two exceptions, where it goes down as memory
 * is released: a ceiling that fell, and lent memory that its owner needs. Against flapping: an
 * engine gives or gets at most a quarter of its limit in one call, or what it was refused; nothing
 * below 1/1024 of all limits moves; who got something gives nothing for 5 s; who took back within
 * 30 s what it had given gives only after twice as much idleness as before, up to 128 s. The limits
 * in force never sum up to more than the ceiling, unless what is used does.
 *
 * Drift. Resident less accounted bytes, as a moving average with a half-life of 5 s of elapsed
 * time; one sample never counts more than all before it, and without a sample for 30 s it is
 * forgotten. 2 % of the ceiling (at least 1 MiB) is what allocators do, and is taken off. Then
 *  - untracked memory (more resident than accounted) is withheld: the ceiling admits so much less,
 *    though at most half of itself, and never less than the minima. No false headroom. It also
 *    raises the level of the ceiling to at most critical: an emergency by drift alone is none. A
 *    true one is seen by the kernel, and comes in by baro_governor_follow().
 *  - overcounted memory (more accounted than resident: reserved and not yet touched, swapped, or a
 *    dropped reservation) admits nothing more, because it may be touched at any time. But an
 *    emergency must be one of what is resident too, else it is shown as critical.
 *  - either is shown from 5 % of the ceiling on, until it is below 2.5 %.
 */
#ifndef BAROSTAT_GOVERNOR_H
#define BAROSTAT_GOVERNOR_H

#include <barostat/budget.h>

#ifdef __cplusplus
extern "C" {
#endif

struct baro_metrics;

#define BARO_GOVERNOR_ENGINES_MAX 1024

struct baro_governor;

enum baro_drift {
	BARO_DRIFT_NONE = 0, /* accounted and resident agree, or nothing is known */
	BARO_DRIFT_UNTRACKED = 1, /* resident memory that nobody has reserved */
	BARO_DRIFT_OVERCOUNTED = 2, /* reserved memory that is not resident */
};

/* Everything about the ceiling. */
struct baro_governor_stats {
	uint64_t ceiling_bytes; /* as the owner set it */
	uint64_t followed_bytes; /* what the daemon or the cgroup allows; BARO_PAGE_NONE: nothing */
	uint64_t withheld_bytes; /* not admitted, because of untracked memory */
	uint64_t limit_bytes; /* what is admitted: the least of the above, less what is withheld */
	uint64_t used_bytes; /* reserved, of all engines */
	uint64_t rss_bytes; /* of the last baro_governor_reconcile(); 0: none, or forgotten */
	int64_t drift_now_bytes; /* resident less reserved, then */
	int64_t drift_bytes; /* smoothed */
	uint64_t drift_since_ns; /* of drift */
	uint64_t drift_events; /* how often one was found */
	uint64_t moves; /* of limits, by rebalancing */
	uint64_t moved_bytes; /* that engines got by them */
	uint32_t drift; /* enum baro_drift */
	uint32_t level; /* enum baro_level, as baro_governor_level() */
	uint32_t followed_level; /* of the daemon or the cgroup; BARO_LEVEL_UNKNOWN: none */
	uint32_t engines;
	/* Of the ceiling's budget, by its usage and drift; not of what is followed. */
	uint64_t warnings, criticals, emergencies;
	uint64_t reserved0[1];
};

/* Everything about an engine's place; baro_budget_read() has what it uses. */
struct baro_engine_stats {
	char name[BARO_BUDGET_NAME_MAX];
	uint64_t min_bytes, own_bytes, max_bytes;
	uint64_t limit_bytes; /* wanted by the governor; in force: see baro_budget_read() */
	uint64_t used_bytes;
	int64_t lent_bytes; /* own less limit: to others; negative: of others to it */
	uint64_t moves; /* of its limit, by rebalancing */
	uint32_t hungry; /* at the last rebalancing: 1 */
	uint32_t idle; /* at the last rebalancing: 1 */
	uint64_t reserved0[4];
};

/* Opens a governor of a ceiling and no engines. -ENOMEM. */
BARO_API int baro_governor_open(uint64_t ceiling_bytes, struct baro_governor **ret_governor);

/* Closes it with every budget below its ceiling. NULL is fine. -EBUSY: something is still reserved;
 * then nothing is closed. */
BARO_API int baro_governor_close(struct baro_governor *governor);

/* The ceiling's budget, "ceiling": where layers (databases, tenants) are opened below. Its limit is
 * the governor's. */
BARO_API struct baro_budget *baro_governor_top(struct baro_governor *governor);

/*
 * Adds an engine: its budget, below `parent` (NULL: the ceiling itself). Memory moves between
 * engines with the same parent, within the parent's limit. `flags` are of enum baro_budget_flag.
 *  -EINVAL	min > own or own > max; a parent of another tree, or within an engine; and as
 *		baro_budget_open()
 *  -EEXIST	the governor has an engine of that name, or the parent a budget
 *  -ERANGE	some layer would guarantee more than its limit
 *  -ENOSPC	BARO_GOVERNOR_ENGINES_MAX engines
 *  -ENAMETOOLONG, -E2BIG, -ENOMEM	as baro_budget_open()
 * Where the governor has metrics the engine gets its own, or is not added: the errors of
 * baro_metrics_add().
 */
BARO_API int baro_governor_add(struct baro_governor *governor, struct baro_budget *parent,
			       const char *name, uint32_t flags, uint64_t min_bytes,
			       uint64_t own_bytes, uint64_t max_bytes,
			       struct baro_budget **ret_engine);

/* Removes an engine and closes its budget. -EBUSY: something is reserved. -ENOENT */
BARO_API int baro_governor_remove(struct baro_governor *governor, struct baro_budget *engine);

/* The budget of the engine of that name, or NULL. */
BARO_API struct baro_budget *baro_governor_find(struct baro_governor *governor, const char *name);

/* Gives an engine other bounds, at once; what is held stays held. -EINVAL, -ERANGE as above,
 * -ENOENT */
BARO_API int baro_governor_set_engine(struct baro_governor *governor, struct baro_budget *engine,
				      uint64_t min_bytes, uint64_t own_bytes, uint64_t max_bytes);

/* Moves the ceiling; engines' limits are made to fit at once. 0: in force. 1: going down as memory
 * is released. */
BARO_API int baro_governor_set_ceiling(struct baro_governor *governor, uint64_t ceiling_bytes);

/* How much of what is followed is this process's, where several share a cgroup. 1000000 (all of it)
 * until it is said. -EINVAL: more than that. */
BARO_API int baro_governor_set_share(struct baro_governor *governor, uint32_t share_ppm);

/*
 * Follows what baro_client_read() or baro_page_read() says: the budget bounds the ceiling, a
 * request to release bounds it by what is used now less what is asked for until the request is
 * over, the level raises that of the ceiling. A slot that is not active, or knows no budget, bounds
 * nothing. NULL: there is nothing to follow any more. 0, or 1 as baro_governor_set_ceiling().
 */
BARO_API int baro_governor_follow(struct baro_governor *governor,
				  const struct baro_pressure *pressure);

/*
 * Compares with what is resident: `rss_bytes` of the kind of memory that is reserved for, say of
 * baro_rss_read(). See "Drift" above. Returns enum baro_drift.
 */
BARO_API int baro_governor_reconcile(struct baro_governor *governor, uint64_t rss_bytes,
				     uint64_t now_ns);

/* Moves memory to where it is wanted; see "Rebalancing" above. To be called about once a second.
 * Returns how many limits moved. */
BARO_API int baro_governor_rebalance(struct baro_governor *governor, uint64_t now_ns);

/* enum baro_level of the ceiling: by usage, corrected as under "Drift", and at least what is
 * followed. Some nanoseconds. An engine acts on the higher of this and baro_budget_pressure(). */
BARO_API uint32_t baro_governor_level(struct baro_governor *governor);

/* A consistent snapshot. */
BARO_API void baro_governor_read(struct baro_governor *governor,
				 struct baro_governor_stats *ret_stats);

/* All engines, in the order in which they were added. Fills at most `count` and returns how many
 * there are. */
BARO_API size_t baro_governor_list(struct baro_governor *governor,
				   struct baro_engine_stats *ret_stats, size_t count);

/* Resident bytes of this process that no file backs: RssAnon and RssShmem of /proc/self/status. A
 * system call or three. -ENODATA: it does not say; or as open(2) and read(2). */
BARO_API int baro_rss_read(uint64_t *ret_rss_bytes);

/* "none", "untracked", "overcounted"; "?" for unknown ones. */
BARO_API const char *baro_drift_name(uint32_t drift);

/*
 * Registers the counts (docs/metrics.md) under a label, which tells several governors apart; NULL:
 * none. The budgets of its engines are registered with them, under the engine's name ("label.name"
 * with a label): those that are there, those that are added later, until they are removed. So they
 * are not to be registered by hand under that name; layers between are, and the first bytes of the
 * names, BARO_METRIC_LABEL_BYTES with the label and the NUL, have to differ. The owner of all is
 * the governor: baro_metrics_remove(metrics, governor) before it goes. All or none: the errors of
 * baro_metrics_add().
 */
BARO_API int baro_governor_add_metrics(struct baro_governor *governor, struct baro_metrics *metrics,
				       const char *label);

#ifdef __cplusplus
}
#endif

#endif
