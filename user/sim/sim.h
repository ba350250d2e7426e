/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host in miniature for the control law: engines with LRU caches or anonymous heaps under one
 * ceiling, sensed as the daemon senses them, steered by the law's own object files. Deterministic
 * for a seed. Sizes in pages unless a name says otherwise, times in ns of simulated time.
 *
 * Not thread-safe: zipf tables, recorded accesses and measured throughputs are kept between runs,
 * until sim_alias_free(), sim_trace_free() and sim_oracle_free() (always the last two together).
 *
 * What it leaves out: eviction costs no time, file pages are clean, LRU is exact, engines do not
 * share a disk.
 */
#ifndef BAROSTAT_SIM_SIM_H
#define BAROSTAT_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "user/daemon/law.h"

#define SIM_ENGINES_MAX        16
#define SIM_THREADS_MAX        16
#define SIM_PARTS_MAX          4
#define SIM_EXPECTS_MAX        8
#define SIM_NAME_MAX           32
#define SIM_TRACE_FILE_MAX     128
#define SIM_TRACE_ACCESSES_MAX (1u << 24)
#define SIM_TRACE_PAGES_MAX    (1u << 22)
#define SIM_CEILING_PAGES      16384u
#define SIM_HIT_NS             10000u
#define SIM_NOISE_FACTOR       20.0 /* between the heaviest and the lightest load */
#define SIM_NOISE_UNIT_NS      150000 /* think time is this x (factor - 1) */
#define SIM_GRAIN_MAX          16
#define SIM_GHOST_WAYS         4
#define SIM_READ_IN            1ull
#define SIM_FILES_RUNG                                                                             \
	(LAW_VALID_USAGE | LAW_VALID_KINDS | LAW_VALID_REFAULTS | LAW_VALID_PSI_MEMORY |           \
	 LAW_VALID_PSI_IO | LAW_VALID_FAULTS)
#define SIM_GHOSTS_RUNG (LAW_VALID_LEDGER | LAW_VALID_DISTANCES | LAW_VALID_CPU)
#define SIM_GHOST_SETS  (2 * SIM_CEILING_PAGES / SIM_GHOST_WAYS)
#define SIM_S           1000000000ull
#define SIM_MS          1000000ull

struct sim_rng {
	uint64_t state;
};

uint64_t sim_mix(uint64_t x); /* the finaliser of splitmix64 */
uint64_t sim_random(struct sim_rng *r);
double sim_uniform(struct sim_rng *r); /* [0, 1) */
uint32_t sim_below(struct sim_rng *r, uint32_t end);

/* -- what an engine does -- */

enum sim_pattern { SIM_NOTHING, SIM_ZIPF, SIM_UNIFORM, SIM_LOOP, SIM_STREAM, SIM_TRACE };

struct sim_part {
	enum sim_pattern pattern;
	double size; /* part of the ceiling */
	double skew; /* zipf exponent */
	double share; /* of the accesses, less than 1 for all but the last part */
	double other_size; /* the size in odd phases; 0: the same */
	char file[SIM_TRACE_FILE_MAX]; /* of a trace, as it is said; rest zeroed */
	const struct sim_trace *trace; /* what is in it, once sim_traces_load() was called */
};

/* Recorded accesses, replayed in order over and over. */
struct sim_trace {
	struct sim_trace *next;
	char *path;
	uint32_t grain;
	uint32_t accesses, pages;
	uint32_t *key; /* [accesses], below pages */
};

/* The same for a coarser grain; NULL: no memory. Kept until sim_trace_free(). */
const struct sim_trace *sim_trace_coarse(const struct sim_trace *trace, uint32_t grain);
void sim_trace_free(void);

enum sim_change {
	SIM_STEADY,
	SIM_PHASES, /* parts take other_size in every second period */
	SIM_PHASES_OPPOSITE, /* the same, the other way round */
	SIM_IDLE_IN_TURN, /* idle in every `turns`-th period, at `turn` */
	SIM_IDLE,
	SIM_LOAD_NOISE, /* think time redrawn about every second */
	SIM_JOIN, /* starts at period_s */
	SIM_CHANGES
};

enum sim_kind { SIM_CACHE, SIM_HEAP_BURSTS, SIM_HEAP_SINE, SIM_HEAP_RAMP, SIM_KINDS };

struct sim_spec {
	char name[SIM_NAME_MAX];
	enum sim_kind kind;
	struct sim_part part[SIM_PARTS_MAX]; /* of a cache; the rest are SIM_NOTHING */
	uint32_t threads;
	uint32_t readahead; /* pages read along on a miss */
	uint64_t miss_ns, think_ns;
	uint64_t stream_ns; /* cost of a stream's page instead of a miss */
	enum sim_change change;
	double period_s;
	uint32_t turn, turns; /* turn < turns */
	double base, low, high; /* of a heap: parts of the ceiling */
	double burst_s, burst_every_s;
	bool retains; /* the heap gives memory back only when it is pushed */
	bool listens; /* or asked: it has the client library */
	/* what the operator would say */
	uint32_t weight;
	double min, max; /* parts of the ceiling */
	uint64_t stall_target_ppm;
};

static inline bool sim_is_heap(const struct sim_spec *spec)
{
	return spec->kind != SIM_CACHE;
}

enum sim_actuator {
	SIM_PROTECT, /* targets are protection, with a loose cap */
	SIM_HARD, /* targets are limits */
	SIM_NO_LIMITS, /* a cgroup each, only the common ceiling */
	SIM_ACTUATORS
};

enum sim_sensors {
	SIM_SENSORS_ALL,
	SIM_SENSORS_GHOSTS, /* no reuse times */
	SIM_SENSORS_FILES, /* no BPF: neither ledger nor distances nor CPU time */
	SIM_SENSORS_COUNT
};

/* How a scenario is run. Start from SIM_OPTIONS. */
struct sim_options {
	enum sim_actuator actuator;
	enum law_policy policy;
	bool best; /* instead of a policy: the best fixed split, which knows the future */
	enum sim_sensors sensors;
	uint64_t tick_ns;
	uint64_t seed;
	uint64_t gamma_ppm;
	double ceiling; /* parts of SIM_CEILING_PAGES */
	uint32_t grain; /* a power of 2, up to SIM_GRAIN_MAX: see sim_pages() */
	double reserve, burst; /* parts of the ceiling */
};

#define SIM_OPTIONS                                                                                \
	((struct sim_options){ .tick_ns = 250 * SIM_MS,                                            \
			       .seed = 1,                                                          \
			       .gamma_ppm = 1000000,                                               \
			       .ceiling = 1,                                                       \
			       .grain = 1,                                                         \
			       .reserve = .02 })

#define SIM_UNSAID (-1.0)

/* Bounds on a run of the scenario; SIM_UNSAID: none. Shares are of 1. */
struct sim_expect {
	char name[SIM_NAME_MAX];
	uint32_t line;
	struct sim_options options;
	double share; /* at least: of the best fixed split's score */
	double worst; /* at least: n[] of the engine that does worst */
	double alone[SIM_ENGINES_MAX]; /* at least: n[] */
	double alone_below[SIM_ENGINES_MAX]; /* at most: n[] */
	double target_below[SIM_ENGINES_MAX]; /* at most: the target at the end */
	double reversals; /* at most: per minute and engine */
	double moved; /* at most: ceilings per minute */
	double settled_s; /* at most */
	double overshoot; /* at most: parts of the ceiling */
	double blocked_s; /* at most */
};

struct sim_scenario {
	char name[SIM_NAME_MAX];
	double seconds, measured_from_s;
	uint32_t engines, expects;
	struct sim_spec engine[SIM_ENGINES_MAX];
	uint32_t engine_line[SIM_ENGINES_MAX]; /* of the file */
	struct sim_expect expect[SIM_EXPECTS_MAX];
};

/* Something in it goes on changing: no fixed split is best all the time. */
bool sim_scenario_changes(const struct sim_scenario *scenario);

/*
 * A grain of g makes pages so many times larger and everything done with one so many times longer:
 * the same host in larger pieces, simulated about g times faster. Caches fill as fast as before,
 * and as many refaults are sampled.
 */
static inline uint32_t sim_pages(double part, uint32_t grain)
{
	return (uint32_t)(part * SIM_CEILING_PAGES / grain);
}

/* -- a cache with its ghosts; every page is followed -- */

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
	uint64_t *accessed; /* [keys]: the clock then, << 1, and SIM_READ_IN since */
	uint64_t accesses; /* the clock */
	uint64_t woken; /* the clock when the sensor began again to count */
	bool rests; /* the sensor does */
	uint64_t first_accesses, reused[REUSE_BINS], missed[REUSE_BINS];
	struct reuse_beyond beyond;
};

int sim_cache_init(struct sim_cache *c, uint32_t keys);
void sim_cache_fini(struct sim_cache *c);
/* Whether the key is resident; it is then the most recently used. */
bool sim_cache_touch(struct sim_cache *c, uint32_t key);
/* Brings in a key that is not resident; true when it had been evicted before (a refault). */
bool sim_cache_insert(struct sim_cache *c, uint32_t key);
/* What the reuse sensor sees of an access. */
void sim_cache_accessed(struct sim_cache *c, uint32_t key);
/* The sensor rests, or goes on. */
void sim_cache_rest(struct sim_cache *c, bool rest);
/* What sensors and the kernel have counted, into a sample. */
void sim_cache_sample(const struct sim_cache *c, struct law_sample *s);
/* What is read under this key from now on is another page, if the last has been evicted. */
void sim_cache_forget(struct sim_cache *c, uint32_t key);
/* Evicts the least recently used page; false when there is none. */
bool sim_cache_evict(struct sim_cache *c);

/* -- an engine at work -- */

struct sim_host;

struct sim_engine {
	const struct sim_spec *spec;
	struct sim_rng rng;
	struct sim_cache cache;
	struct sim_host *host; /* asked for pages */
	uint32_t grain;
	uint32_t index;
	uint64_t thread_ns[SIM_THREADS_MAX]; /* when it is free again */
	uint32_t base_key[SIM_PARTS_MAX], keys[SIM_PARTS_MAX], cursor[SIM_PARTS_MAX];
	const struct sim_alias *alias[SIM_PARTS_MAX];
	const struct sim_trace *trace[SIM_PARTS_MAX];
	uint64_t think_ns, noise_until_ns;
	uint64_t burst_from_ns, burst_until_ns;
	double burst_size;
	uint32_t heap; /* anonymous pages */
	uint64_t pushed_ns; /* since when a retaining heap is pushed */
	uint32_t keeps; /* pages it was asked to come down to; UINT32_MAX: nothing is asked */
	uint64_t asked, answered; /* requests, and the last that it has done what it can for */
	bool starved; /* the heap stood at its limit in the last slice */
	int held_phase; /* for the oracle: -1 none */
	uint64_t ops_end; /* for the oracle: a cache stops after so many */
	/* results and sensors, cumulative */
	uint64_t ops, cpu_ns, stall_ns, refaults, limit_hits, blocked_ns;
	uint32_t alone_pages; /* without a host: all it may have */
	double ideal_ops; /* what it would have done alone */
};

/* 0, -ENOMEM, or -ENOENT: a trace was not loaded. */
int sim_engine_init(struct sim_engine *e, const struct sim_spec *spec, uint32_t grain,
		    uint64_t seed);
void sim_engine_fini(struct sim_engine *e);
/* Reads after which its traces have been replayed once, in the mean; 0: it has none. */
uint64_t sim_engine_pass(const struct sim_engine *e);
void sim_engine_run(struct sim_engine *e, uint64_t from_ns, uint64_t to_ns);
uint32_t sim_engine_usage(const struct sim_engine *e);
/* 0 or 1: which phase an engine that has phases is in. */
int sim_engine_phase(const struct sim_spec *spec, uint64_t now_ns);
bool sim_engine_present(const struct sim_spec *spec, uint64_t now_ns);
uint32_t sim_heap_demand(struct sim_engine *e, uint64_t now_ns);
/* A retaining heap above its limit lets go of what it does not need, slowly. */
void sim_heap_push(struct sim_engine *e, uint32_t limit, uint64_t now_ns);
void sim_alias_free(void);

/* -- the host -- */

struct sim_point {
	double target, usage; /* parts of the ceiling */
	double stall; /* part of its threads' time */
	double n; /* ops / ops alone; 0 while it is not present */
};

/* What was seen in every tick; targets are what was decided at its begin, usage is at its end. */
struct sim_series {
	uint32_t engines, ticks;
	double tick_s;
	struct sim_point *point; /* [ticks][engines] */
};

void sim_series_fini(struct sim_series *series);

struct sim_result {
	double score; /* mean of n[] */
	double worst; /* least of n[] */
	double n[SIM_ENGINES_MAX]; /* ops / ops alone, while it was measured */
	double reversals[SIM_ENGINES_MAX]; /* per minute: turned round by more than 1 % */
	double reversals_per_min; /* mean of reversals[] */
	double moved_per_min; /* ceilings */
	double settled_s; /* see judge.c; NAN where nothing can settle */
	double overshoot; /* parts of the ceiling; NAN like settled_s */
	double target_end[SIM_ENGINES_MAX]; /* parts of the ceiling */
	double blocked_s; /* heaps that got nothing at all */
	/* ticks; anything but 0 is a broken law or a broken simulator */
	double over_ceiling; /* usage above the ceiling at its end */
	double over_given; /* the sum of targets exceeded ceiling less reserve */
	double below_min; /* a target below the engine's minimum */
};

/*
 * Runs the scenario once. `fixed` is NULL, or the pages each engine has for good instead of what
 * the law says. ret_series may be NULL; else the caller owns what it gets. 0, or as
 * sim_engine_init().
 */
int sim_run(const struct sim_scenario *scenario, const struct sim_options *options,
	    const uint32_t *fixed, struct sim_result *ret, struct sim_series *ret_series);

/* Fills in what follows from the series alone: reversals, moved, settled, overshoot, target_end. */
void sim_judge(const struct sim_scenario *scenario, const struct sim_series *series,
	       struct sim_result *r);

/* The host's side of an engine's page fault. False: there is no page to be had. */
bool sim_host_page(struct sim_host *h, struct sim_engine *e);

/* -- the best fixed split -- */

#define SIM_ORACLE_STEPS 32

/* Score and split (pages) of the best static allocation, by dynamic programming. `ceiling` is parts
 * of SIM_CEILING_PAGES. 0 or -ENOMEM. */
int sim_oracle(const struct sim_scenario *scenario, double ceiling, uint32_t grain,
	       double *ret_score, uint32_t ret_pages[SIM_ENGINES_MAX]);
/* ops/s of an engine held in a phase with so many pages; cached. */
double sim_throughput(const struct sim_spec *spec, int phase, uint32_t pages, uint32_t grain);
/* The same under another load than the middle one that SIM_LOAD_NOISE engines are measured at. */
double sim_loaded(const struct sim_spec *spec, uint32_t grain, double ops_per_s, double factor);
void sim_oracle_free(void);

/* -- several runs -- */

struct sim_outcome {
	double best; /* score of the best fixed split; NAN: not looked for */
	uint32_t best_pages[SIM_ENGINES_MAX];
	double share; /* result.score / best */
	struct sim_result result; /* mean over the seeds; the worst of what must not be */
	double simulated_s; /* not counting what the best fixed split took */
};

/*
 * Runs with seeds options->seed and following. The best fixed split is dear and looked for when
 * `with_best` is set, or when it is what should run. ret_series, if not NULL, is of the first run.
 */
int sim_try(const struct sim_scenario *scenario, const struct sim_options *options, uint32_t seeds,
	    bool with_best, struct sim_outcome *ret, struct sim_series *ret_series);
/*
 * Writes one line to `out` for every bound that is broken, and for what no run may do; `where`
 * begins each. Returns how many.
 */
int sim_check(const struct sim_scenario *scenario, const struct sim_expect *expect,
	      const struct sim_outcome *outcome, const char *where, FILE *out);

#endif
