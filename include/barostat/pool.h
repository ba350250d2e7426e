/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One memory budget divided among pools: a cache of the engine's own and what it maps from files,
 * or any others up to 16. Shares move slowly to where memory is short.
 *
 *	struct baro_pools *pools;
 *	struct baro_pools_options options = { .size = sizeof(options), .budget_bytes = 8ull << 30 };
 *	struct baro_pools_action act;
 *	char why[BARO_POOLS_WHY_MAX];
 *
 *	if (baro_pools_env(&options, why, sizeof(why)) < 0)	// BAROSTAT_MEMORY_BUDGET, ...
 *		die(why);
 *	baro_pools_open(&options, &pools);			// cache 40 %, mmap 60 %
 *	...
 *	struct baro_pool_usage usage[] = { { cache_bytes(), cache_evictions() }, { mapped(), 0 } };
 *
 *	baro_client_read(client, &now);				// once a second or so
 *	baro_pools_tick(pools, now_ns, usage, &now, &act);
 *	cache_limit(baro_pools_budget(pools, BARO_POOL_CACHE));	// the cache itself obeys
 *	if (act.release_bytes)
 *		baro_registry_unload_cold(indexes, act.release_bytes, NULL);
 *
 * What a tick does, at most once in interval_ns (5 s):
 *
 * - A pool is pressured when its pressure is above 80 %: used / budget, and with more than 100
 *   evictions per interval evictions / 1000 besides; at most 1.
 * - Exactly one is pressured: 5 % of the whole budget move to it from the one with the least
 *   pressure. With more than two pools, and some pressured: to the one with the most.
 * - All are pressured, or the engine's cgroup is (level critical): a tenth of the budget is to be
 *   released, and the shares stay.
 * - None: nothing.
 *
 * A donor gives no more than leaves it at 80 % itself. A move against the one before it is followed
 * by a pause (cooldown_ns, 30 s), which doubles with every further one up to 16 times. Shares are
 * kept within 20 .. 80 %; with n pools each has at least 40 % / n.
 *
 * The numbers are those of XTree's memory coordinator. What is to be released comes back as an
 * action, nothing is called.
 *
 * Units: bytes, ppm, ns of CLOCK_MONOTONIC. Time is what the caller passes.
 *
 * Threads: everything but open and close may be called from any number of threads at once;
 * baro_pools_budget() is a load.
 *
 * Errors: 0 or -errno; outputs are untouched on failure. Only open allocates memory.
 */
#ifndef BAROSTAT_POOL_H
#define BAROSTAT_POOL_H

#include <stddef.h>
#include <stdint.h>

#include <barostat/demand.h>
#include <barostat/page.h>

#ifdef __cplusplus
extern "C" {
#endif

struct baro_metrics;

#define BARO_POOLS_MAX       16
#define BARO_POOLS_HINTS     5 /* enum baro_hint: 0 to 4 */
#define BARO_POOL_NAME_MAX   32 /* with the NUL */
#define BARO_POOLS_WHY_MAX   256 /* enough for the words of baro_pools_env() */
#define BARO_POOL_CACHE      0 /* of the two pools there are by default */
#define BARO_POOL_MMAP       1
#define BARO_POOLS_NO_POOL   UINT32_MAX
#define BARO_POOLS_BYTES_MIN UINT64_C(1048576)

struct baro_pools;

/* A pool. Shares are weights: only their proportion counts. */
struct baro_pool_spec {
	const char *name; /* copied */
	uint32_t share;
	/* Under each hint (enum baro_hint; that of BARO_HINT_AUTO does not count). A hint that is 0
	 * for all pools leaves the shares as they are. */
	uint32_t hint_share[BARO_POOLS_HINTS];
};

/* 0 in a field means its default. */
struct baro_pools_options {
	size_t size; /* sizeof(struct baro_pools_options) */
	uint64_t budget_bytes; /* of all pools; at least BARO_POOLS_BYTES_MIN; no default */
	/* NULL: cache and mmap, 40 : 60; under the hints bulk_ingest 30 : 70, query_heavy 60 : 40,
	 * mixed 50 : 50, memory_constrained 25 : 75. */
	const struct baro_pool_spec *pool;
	uint32_t pools;
	uint32_t cache_ppm; /* without `pool`: another share for the cache */
	/* Follow the daemon: the budget is so much of the engine's (struct baro_pressure,
	 * budget_bytes) whenever that is known, and budget_bytes otherwise. While the engine is
	 * asked to release, of what it uses less what it is asked for, if that is lower. 0: it
	 * stays. */
	uint32_t follow_ppm;
	uint32_t reserved0;
	uint64_t interval_ns; /* 5 s */
	uint64_t cooldown_ns; /* 30 s */
};

struct baro_pool_usage {
	uint64_t used_bytes;
	uint64_t evictions; /* since ever */
};

enum baro_pools_verb {
	BARO_POOLS_NOTHING = 0,
	BARO_POOLS_MOVED = 1, /* budgets have changed: pass them on */
	BARO_POOLS_RELEASE = 2, /* release_bytes should be given back, by whatever is coldest */
};

enum baro_pools_reason {
	BARO_POOLS_CALM = 0, /* no pool is pressured */
	BARO_POOLS_EARLY = 1, /* the interval is not over */
	BARO_POOLS_PRESSED = 2, /* moved to a pool that was pressured */
	BARO_POOLS_FULL = 3, /* all are pressured: release */
	BARO_POOLS_CGROUP = 4, /* the engine's cgroup is: release */
	BARO_POOLS_HINTED = 5, /* a hint other than auto holds the shares */
	BARO_POOLS_COOLDOWN = 6, /* the last moves went back and forth */
	BARO_POOLS_BOUND = 7, /* shares are at their bounds */
	BARO_POOLS_HYSTERESIS = 8, /* whoever gave would be pressured itself */
};

struct baro_pools_action {
	uint32_t verb; /* enum baro_pools_verb */
	uint32_t reason; /* enum baro_pools_reason */
	uint32_t from, to; /* pools; BARO_POOLS_NO_POOL */
	uint32_t moved_ppm; /* of the whole budget */
	uint32_t reserved0;
	uint64_t release_bytes;
};

struct baro_pool_state {
	char name[BARO_POOL_NAME_MAX];
	uint64_t budget_bytes;
	uint64_t used_bytes; /* at the last tick */
	uint64_t over_bytes; /* used beyond the budget: somebody does not obey */
	uint32_t share_ppm;
	uint32_t pressure_ppm; /* at the last tick that was not early */
};

struct baro_pools_state {
	uint64_t budget_bytes;
	uint64_t moves;
	uint64_t reversals; /* moves against the one before */
	uint64_t releases;
	uint64_t cooldown_until_ns; /* 0: none */
	uint32_t hint;
	uint32_t pools;
	struct baro_pool_state pool[BARO_POOLS_MAX];
};

/*
 *  -EINVAL	a size that is none of ours, too many pools, a name that is missing or too long,
 *		follow_ppm or cache_ppm above 1000000
 *  -ERANGE	a budget below BARO_POOLS_BYTES_MIN
 *  -ENOMEM
 */
BARO_API int baro_pools_open(const struct baro_pools_options *options,
			     struct baro_pools **ret_pools);

/* NULL is fine. */
BARO_API void baro_pools_close(struct baro_pools *pools);

/*
 * Takes budget_bytes from BAROSTAT_MEMORY_BUDGET (512M, 8G, 1.5T; K M G T P, of 1024) and cache_ppm
 * from BAROSTAT_CACHE_RATIO (0.4 or 40%), each if it is set and not empty. Like every share, a
 * ratio is kept within 20 .. 80 %.
 *  -EINVAL	one of them is no size, or no ratio
 *  -ERANGE	it is, but out of range
 * Then *options is as it was, and ret_why (unless why_bytes is 0) a sentence for the operator.
 */
BARO_API int baro_pools_env(struct baro_pools_options *options, char *ret_why, size_t why_bytes);

/* What a pool may use now. 0 for a pool that there is not. */
BARO_API uint64_t baro_pools_budget(const struct baro_pools *pools, uint32_t pool);

/* The budget of all, from now on, unless the daemon's is followed. -ERANGE as above. */
BARO_API int baro_pools_set_budget(struct baro_pools *pools, uint64_t budget_bytes);

/*
 * What the engine does, enum baro_hint. Any but auto puts the shares where they should be for it,
 * at once, and keeps them there; auto goes back to the shares of before the first hint.
 *  -EINVAL	no such hint
 */
BARO_API int baro_pools_set_hint(struct baro_pools *pools, uint32_t hint);

/* See above. `usage` has one entry per pool; `pressure` and ret_action may be NULL. */
BARO_API void baro_pools_tick(struct baro_pools *pools, uint64_t now_ns,
			      const struct baro_pool_usage *usage,
			      const struct baro_pressure *pressure,
			      struct baro_pools_action *ret_action);

/* A consistent snapshot, as of the last tick. */
BARO_API void baro_pools_read(struct baro_pools *pools, struct baro_pools_state *ret_state);

/* "calm", "early", "pressed" ...; "?" for unknown ones. */
BARO_API const char *baro_pools_reason_name(uint32_t reason);

/*
 * Registers the counts (docs/metrics.md) of all pools under a label, and of each pool under its name,
 * after the label if there is one; NULL: none. Their owner is what holds the pools:
 * baro_metrics_remove(metrics, pools) before it goes. All or none: the errors of baro_metrics_add().
 */
BARO_API int baro_pools_add_metrics(struct baro_pools *pools, struct baro_metrics *metrics,
				    const char *label);

#ifdef __cplusplus
}
#endif

#endif
