/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host in miniature for the control law: engines with LRU caches or anonymous heaps under one
 * ceiling, sensed as the daemon senses them, steered by the law's own object files. Deterministic
 * for a seed. Sizes in pages unless a name says otherwise, times in ns of simulated time.
 *
 * What it leaves out: eviction costs no time, file pages are clean, LRU is exact, engines do not
 * share a disk.
 */
#ifndef BAROSTAT_SIM_SIM_H
#define BAROSTAT_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/daemon/law.h"

#define SIM_ENGINES_MAX   8
#define SIM_THREADS_MAX   4
#define SIM_PARTS_MAX     2
#define SIM_CEILING_PAGES 16384u
#define SIM_HIT_NS        10000u
#define SIM_NOISE_FACTOR  20.0 /* between the heaviest and the lightest load */
#define SIM_NOISE_UNIT_NS 150000 /* think time is this x (factor - 1) */
#define SIM_SAMPLE_SHIFT  4
#define SIM_GHOST_WAYS    4
#define SIM_GHOST_SETS    (2 * SIM_CEILING_PAGES / (1 << SIM_SAMPLE_SHIFT) / SIM_GHOST_WAYS)
#define SIM_S             1000000000ull
#define SIM_MS            1000000ull

struct sim_rng {
	uint64_t state;
};

uint64_t sim_random(struct sim_rng *r);
double sim_uniform(struct sim_rng *r); /* [0, 1) */
uint32_t sim_below(struct sim_rng *r, uint32_t end);

/* -- what an engine does -- */

enum sim_pattern { SIM_NOTHING, SIM_ZIPF, SIM_UNIFORM, SIM_LOOP, SIM_STREAM };

struct sim_part {
	enum sim_pattern pattern;
	double size; /* part of the ceiling */
	double skew; /* zipf exponent */
	double share; /* of the accesses; 0 counts as 1 */
	double other_size; /* the size in odd phases; 0: the same */
};

enum sim_change {
	SIM_STEADY,
	SIM_PHASES, /* parts take other_size in every second period */
	SIM_PHASES_OPPOSITE, /* the same, the other way round */
	SIM_IDLE_IN_TURN, /* idle in every `turns`-th period, at `turn` */
	SIM_IDLE,
	SIM_LOAD_NOISE, /* think time redrawn about every second */
	SIM_JOIN, /* starts at period_s */
};

enum sim_anon { SIM_NO_ANON, SIM_ANON_BURSTS, SIM_ANON_SINE, SIM_ANON_RAMP };

struct sim_spec {
	struct sim_part part[SIM_PARTS_MAX];
	uint32_t threads; /* 0 counts as 2 */
	uint32_t miss_us; /* 0 counts as 150 */
	uint32_t think_us;
	uint32_t stream_us; /* cost of a stream's page instead of a miss */
	uint32_t readahead; /* pages read along on a miss */
	enum sim_change change;
	double period_s;
	uint32_t turn, turns;
	enum sim_anon anon; /* instead of parts */
	double anon_base, anon_low, anon_high; /* parts of the ceiling */
	double burst_s, burst_every_s;
	bool retains; /* gives memory back only when it is pushed */
	uint32_t weight; /* 0 counts as 100 */
};

struct sim_scenario {
	const char *name;
	double seconds, measured_from_s;
	bool changing;
	uint32_t engines;
	struct sim_spec engine[SIM_ENGINES_MAX];
};

extern const struct sim_scenario sim_scenarios[];
extern const size_t sim_scenarios_count;
const struct sim_scenario *sim_scenario_find(const char *name);

/* -- a cache with its ghosts -- */

struct sim_ghost {
	uint32_t key;
	uint64_t stamp;
};

struct sim_cache {
	uint32_t keys;
	uint32_t *prev, *next; /* [keys + 1], the last is the list's head */
	uint8_t *seen; /* 0 never, 1 resident, 2 evicted */
	uint32_t usage;
	uint64_t evictions;
	struct sim_ghost *ghost; /* [SIM_GHOST_SETS][SIM_GHOST_WAYS] */
	uint64_t ghost_refaults, ghost_unknown;
	uint64_t distance[DISTANCE_BINS];
};

int sim_cache_init(struct sim_cache *c, uint32_t keys);
void sim_cache_fini(struct sim_cache *c);
/* Whether the key is resident; it is then the most recently used. */
bool sim_cache_touch(struct sim_cache *c, uint32_t key);
/* Brings in a key that is not resident; true when it had been evicted before (a refault). */
bool sim_cache_insert(struct sim_cache *c, uint32_t key);
/* Evicts the least recently used page; false when there is none. */
bool sim_cache_evict(struct sim_cache *c);

/* -- an engine at work -- */

struct sim_host;

struct sim_engine {
	const struct sim_spec *spec;
	struct sim_rng rng;
	struct sim_cache cache;
	struct sim_host *host; /* asked for pages */
	uint32_t index;
	uint64_t thread_ns[SIM_THREADS_MAX]; /* when it is free again */
	uint32_t base_key[SIM_PARTS_MAX], keys[SIM_PARTS_MAX], cursor[SIM_PARTS_MAX];
	const struct sim_alias *alias[SIM_PARTS_MAX];
	uint64_t think_ns, noise_until_ns;
	uint64_t burst_from_ns, burst_until_ns;
	double burst_size;
	uint32_t heap; /* anonymous pages */
	uint64_t pushed_ns; /* since when a retaining heap is pushed */
	bool starved; /* the heap stood at its limit in the last slice */
	int held_phase; /* for the oracle: -1 none */
	/* results and sensors, cumulative */
	uint64_t ops, cpu_ns, stall_ns, refaults, limit_hits, blocked_ns;
	double ideal_ops; /* what it would have done alone */
};

int sim_engine_init(struct sim_engine *e, const struct sim_spec *spec, uint64_t seed);
void sim_engine_fini(struct sim_engine *e);
void sim_engine_run(struct sim_engine *e, uint64_t from_ns, uint64_t to_ns);
uint32_t sim_engine_usage(const struct sim_engine *e);
/* 0 or 1 for engines that have phases; which one is it at that time. */
int sim_engine_phase(const struct sim_spec *spec, uint64_t now_ns);
bool sim_engine_present(const struct sim_spec *spec, uint64_t now_ns);
uint32_t sim_threads(const struct sim_spec *spec);
uint32_t sim_heap_demand(struct sim_engine *e, uint64_t now_ns);
/* A retaining heap above its limit lets go of what it does not need, slowly. */
void sim_heap_push(struct sim_engine *e, uint32_t limit, uint64_t now_ns);
void sim_alias_free(void);

/* -- the host -- */

enum sim_actuator {
	SIM_NO_LIMITS, /* a cgroup each, only the common ceiling */
	SIM_HARD, /* targets are limits */
	SIM_PROTECT, /* targets are protection, with a loose cap */
};

enum sim_control { SIM_LAW, SIM_FIXED };

struct sim_options {
	enum sim_actuator actuator;
	enum sim_control control;
	uint32_t fixed_pages[SIM_ENGINES_MAX]; /* SIM_FIXED */
	enum law_policy policy;
	uint32_t valid; /* enum law_valid; 0: everything */
	uint64_t tick_ns; /* 0: 250 ms */
	uint64_t seed;
	uint32_t gamma_ppm;
	double reserve; /* part of the ceiling */
	double ceiling; /* parts of SIM_CEILING_PAGES; 0: 1 */
	uint32_t trace_every; /* ticks between printed lines; 0: none */
};

struct sim_result {
	double score; /* mean of n[] */
	double n[SIM_ENGINES_MAX]; /* ops / ops alone */
	double reversals_per_min, moved_per_min; /* moved: in ceilings */
	double over_ceiling_ticks; /* usage above the ceiling at a tick's end */
	double target_over; /* ticks whose targets exceeded what may be given */
	double target_end[SIM_ENGINES_MAX]; /* parts of the ceiling */
	double blocked_s; /* heaps that got nothing at all */
};

int sim_run(const struct sim_scenario *scenario, const struct sim_options *options,
	    struct sim_result *ret);

/* The host's side of an engine's page fault. False: there is no page to be had. */
bool sim_host_page(struct sim_host *h, struct sim_engine *e);

/* -- the best fixed split -- */

#define SIM_ORACLE_STEPS 32

/* Score and split (pages) of the best static allocation, by dynamic programming. */
int sim_oracle(const struct sim_scenario *scenario, double ceiling, double *ret_score,
	       uint32_t ret_pages[SIM_ENGINES_MAX]);
/* ops/s of an engine held in a phase with so many pages; cached. */
double sim_throughput(const struct sim_spec *spec, int phase, uint32_t pages);
/* The same under another load than the middle one that SIM_LOAD_NOISE engines are measured at. */
double sim_loaded(const struct sim_spec *spec, double ops_per_s, double factor);
void sim_oracle_free(void);

#endif
