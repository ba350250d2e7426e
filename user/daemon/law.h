/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control law: two pure functions. estimate_update() turns what was sampled of one engine into
 * what memory is worth to it; policy_decide() turns all estimates into targets with reasons.
 *
 * Pure means: integers only, no allocation, no clock, no errno, no log, no statics that change, no
 * input but the arguments. The same object files are linked into the daemon, the simulator, the
 * property tests and replay; `scripts/check-pure` keeps it so. Any input is legal, also absurd ones
 * (counters that go back, 2^63, dt 0): the bounds documented here hold all the same.
 *
 * Sizes are bytes, times ns of CLOCK_MONOTONIC, ratios ppm. State is caller-owned plain memory, all
 * zeros at first, valid to copy at any tick (replay does).
 */
#ifndef BAROSTAT_DAEMON_LAW_H
#define BAROSTAT_DAEMON_LAW_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/wire.h"

#define LAW_ENGINES_MAX 4096
#define LAW_GROUPS_MAX  256
#define LAW_BUCKETS     128
#define LAW_NO_ENGINE   UINT32_MAX
#define LAW_PAGE_BYTES  4096ull
#define LAW_CLAIM_NS    4000000000ull /* for so long is it watched what was taken */

enum law_policy {
	LAW_POLICY_MARGINAL,
	LAW_POLICY_STATIC, /* weights split the ceiling once; never moves */
	LAW_POLICY_PROPORTIONAL, /* shares in proportion to weight x recent demand */
	/* what others do, to compare with: policy_peers.c */
	LAW_POLICY_SENPAI, /* each shrinks until it stalls a little */
	LAW_POLICY_IDLE_TAX, /* shares per page, idle pages counted four times */
	LAW_POLICY_PSI, /* from the lowest pressure to the highest */
	LAW_POLICY_COUNT
};

/* Which fields of a sample are measured; the rest are 0 and must not be believed. */
enum law_valid {
	LAW_VALID_USAGE = 1u << 0,
	LAW_VALID_KINDS = 1u << 1, /* anon, file, shmem, kernel, unreclaimable, dirty */
	LAW_VALID_REFAULTS = 1u << 2, /* kernel refault counters */
	LAW_VALID_PSI_MEMORY = 1u << 3,
	LAW_VALID_PSI_IO = 1u << 4,
	LAW_VALID_LEDGER = 1u << 5, /* stall_ns by cause, from BPF */
	LAW_VALID_DISTANCES = 1u << 6, /* refault-distance histogram, from BPF */
	LAW_VALID_CPU = 1u << 7,
	LAW_VALID_FAULTS = 1u << 8,
	LAW_VALID_REUSE = 1u << 9, /* reuse times, from BPF */
};

/* What an engine says it is doing; the same numbers as enum baro_hint. */
enum law_hint {
	LAW_HINT_AUTO,
	LAW_HINT_BULK_INGEST, /* writes and does not read back */
	LAW_HINT_QUERY_HEAVY, /* reads again what it read */
	LAW_HINT_MIXED,
	LAW_HINT_MEMORY_CONSTRAINED, /* content with what it must have */
	LAW_HINT_COUNT
};

/*
 * What an engine declares, checked and summed over its clients (demand.h): a lie within these
 * bounds is still possible and must harm nobody but the liar.
 */
struct law_demand {
	uint32_t clients; /* that speak for it; 0: none, and the rest is 0 */
	uint32_t hint; /* enum law_hint; clients that disagree make it mixed */
	uint64_t accounted_bytes; /* what it counts itself as using; <= usage */
	uint64_t reclaimable_bytes; /* what it can give back on request; <= usage */
	uint64_t wanted_bytes; /* what it can make use of in all; <= max; 0: not said */
	uint64_t ack_epoch; /* the last grant epoch that all clients have acted on; 0: none */
	uint64_t grant_epoch; /* that its page showed when this was read */
};

/* One engine at one instant. Counters are cumulative and may reset (then the delta counts as 0). */
struct law_sample {
	uint32_t valid; /* enum law_valid */
	uint32_t ghost_sample_shift, reuse_sample_shift;
	uint32_t reuse_rests; /* not 0: reuse times have not been counted since the sample before */
	uint64_t usage_bytes;
	uint64_t anon_bytes, file_bytes, shmem_bytes, kernel_bytes, dirty_bytes;
	uint64_t file_mapped_bytes; /* includes mapped shmem */
	uint64_t unreclaimable_bytes; /* anon without swap + shmem + kernel + locked */
	uint64_t refault_file, refault_anon; /* pages */
	uint64_t pgfault, pgmajfault, pgscan, pgsteal;
	uint64_t psi_memory_some_ns, psi_memory_full_ns, psi_io_some_ns, psi_io_full_ns;
	uint64_t stall_ns[STALL_CAUSES], stall_count[STALL_CAUSES];
	uint64_t majfault_ns, majfault_count;
	uint64_t evictions, ghost_refaults, ghost_unknown; /* see bpf/wire.h */
	uint64_t distance[DISTANCE_BINS];
	uint64_t first_accesses, reused[REUSE_BINS], missed[REUSE_BINS]; /* see bpf/wire.h */
	struct reuse_beyond beyond;
	uint64_t cpu_ns; /* CPU time of the engine's tasks */
	uint64_t cpu_system_ns; /* the part of it that was spent in the kernel */
	uint64_t cpu_at_ns; /* when these were read; 0: with the rest of the sample */
	uint64_t limit_hits; /* memory.events high + max, v1 failcnt */
	uint64_t oom_kills;
	struct law_demand demand;
};

/* What the operator said about an engine. */
struct law_engine {
	uint64_t min_bytes, max_bytes; /* min <= max <= ceiling, page multiples */
	uint32_t weight; /* 1..10000, 100 = normal */
	uint32_t group; /* index into law_params.groups */
	uint32_t stall_target_ppm; /* of time, by what memory would cure; 0: none */
	bool active; /* has a cgroup now; an inactive engine is given nothing */
	bool manual; /* somebody else set its limit: it keeps manual_bytes, the rest adapts */
	uint64_t manual_bytes;
	bool hard; /* targets are limits (hybrid, limit = hard), not protection */
};

struct law_group {
	uint64_t min_bytes, max_bytes;
	uint32_t weight;
};

struct law_params {
	enum law_policy policy;
	uint64_t ceiling_bytes;
	uint64_t reserve_bytes; /* never handed out; sum of targets <= ceiling - reserve */
	uint64_t burst_bytes; /* part of the rest kept free for engines whose demand jumps */
	uint32_t gamma_ppm; /* objective: 1000000 total throughput, 0 proportional fairness */
	uint32_t groups;
	struct law_group group[LAW_GROUPS_MAX];
};

/* How often the engine reads again, by how many of its accesses lie in between: decayed counts with
 * 8 fractional bits, and the work in which they were counted (law_reuse.c). */
struct law_reuse {
	uint64_t times[REUSE_BINS], missed[REUSE_BINS];
	uint64_t first;
	uint64_t work_ns;
	uint64_t new_ns, new_work_ns; /* the time since the last fold in which they were counted */
	/* so many sampled accesses in a row the engine has had no less than this */
	uint64_t held_accesses, held_pages;
	/* in so many pages every access with a reuse time of `short_bin` missed, `short_age_ns` ago;
	 * 0: nothing is known to be too little */
	uint64_t short_pages, short_age_ns;
	uint32_t short_bin;
	/* for so long it has now missed what should fit; and in so many pages, stalled by so much,
	 * it last did so for long, `misfit_age_ns` ago; 0 pages: not lately */
	uint64_t misfit_ns, misfit_pages, misfit_stall, misfit_age_ns;
};

/* Its set, the memory that what it reads again takes, and whether it comes and goes; see
 * law_phases.c. */
struct law_phases {
	uint64_t age_ns; /* counted for so long, up to where means forget as fast as they learn */
	uint64_t set_mean; /* buckets, with 12 fractional bits */
	uint64_t since_ns; /* it last became large */
	uint64_t period_ns; /* EWMA of the times between; 0: it was not seen to come and go */
	uint32_t cost[LAW_BUCKETS + 1]; /* [b]: law_cost() with b buckets, mean */
	bool large; /* larger than in the mean */
	bool risen; /* it has become large before: since_ns is a part of a period */
	uint8_t spare[2];
};

/*
 * What the estimate remembers between samples, private to the law. Fractions are in 1/2^20
 * (LAW_ONE of law_math.h).
 */
struct law_memory {
	uint64_t folded_ns; /* the curve was last updated then */
	uint64_t fold_refaults; /* since then */
	uint64_t fold_samples; /* those whose distance is known, or as good as */
	uint64_t fold_stall; /* a stall was seen since then */
	uint64_t fold_evictions; /* pages evicted since then */
	uint64_t fold_cure_ns; /* of the time since then, what memory would have cured */
	uint64_t parallelism_16; /* tasks that run or wait for memory at once, 16.16, >= 1 */
	uint64_t refault_stall; /* EWMA: share of task time that waits for what memory would cure */
	uint64_t interval_stall; /* the same, last interval */
	uint64_t stall_now, stall_usual; /* the same, sooner and later forgotten */
	uint64_t kappa; /* busy_ppm with more digits */
	uint64_t kappa_now; /* when CPU time was last read */
	uint64_t duty, duty_age_ns; /* part of the time it is awake, and of how much time */
	/* since then: time, CPU time, time waited by all tasks, and what of dt memory would cure */
	uint64_t work_dt_ns, work_cpu_ns, work_wait_ns, work_cure_ns;
	uint64_t work_system_ns, work_refaults;
	uint64_t system_share; /* of CPU time, where nothing refaults */
	uint64_t miss_cpu_ns; /* CPU time of a refault in the kernel, EWMA */
	uint64_t psi_carry_memory_ns,
	    psi_carry_io_ns; /* PSI totals come in lumps; see estimate.c */
	uint64_t samples_per_s_8; /* EWMA of sampled refaults, 24.8 */
	uint64_t inflow_peak_per_s; /* pages, slowly forgotten: how fast this engine can fill */
	/* EWMAs per second with 12 fractional bits, so that short intervals lose nothing */
	uint64_t refaults_12, evictions_12, majfaults_12;
	uint64_t known_evictions_12; /* counted ones only, no guesses */
	uint64_t forget_ns; /* busy time not yet taken off the remembered side */
	uint64_t stream_ns; /* for how long it has looked like a stream (up) or not (down) */
	uint64_t reach_bytes; /* without distances: how far the curve is spread */
	uint64_t anchor_base_bytes, anchor_stall, anchor_ns; /* where the reach was last judged */
	uint64_t anon_step_bytes, anon_peak_bytes;
	/* a heap that comes and goes: its height, that when it last came, for how long it has been
	   far below, and for how long it is waited for; 0: it is not one */
	uint64_t burst_bytes, burst_was_bytes, burst_below_ns, burst_wait_ns;
	uint32_t hull; /* steepest mean slope of the curve above the target, per bucket */
	uint32_t
	    boundary; /* mean density just outside: what a page just inside is worth at least */
	/* with reuse times, or without distances: stall per work that no size within the ceiling ends */
	uint32_t far;
	uint32_t outside; /* that and the sum of the curve above the target */
	uint32_t above; /* sum of the curve above base */
	uint32_t top; /* buckets at and above are zero */
	bool heap; /* nothing of it is being evicted nor can be: it asks by stalling */
	bool distances_known; /* last.distance is of this engine's last fold */
	bool reuse_known; /* so are last.reused and missed, and the curve is drawn from them */
	uint32_t base_bucket; /* at the last fold */
	uint32_t claim_top; /* buckets from there to here lay inside a moment ago */
	uint32_t doubts; /* how often what was remembered did not prove true */
	uint64_t claim_ns; /* when the last of these was taken */
	/* refaults that they should have seen by now, and all that there were; with 4 fractional bits */
	uint64_t claim_expected_4, claim_seen_4;
	struct law_reuse reuse;
	struct law_phases phases;
};

/*
 * Rates and estimates of one engine; written by estimate_update() only. Rates are EWMAs.
 */
struct law_estimate {
	uint64_t updated_ns; /* 0: never */
	uint64_t dt_ns; /* between the last two samples */
	struct law_sample last; /* to take deltas against */
	uint32_t updates;

	uint32_t stall_ppm; /* stalled share of time, this interval: max of ledger, PSI memory, PSI
			       io of refaults */
	uint32_t stall_avg_ppm; /* EWMA */
	uint64_t stall_ns_per_s; /* by the ledger (sum over tasks; may exceed 1e9) */
	uint64_t stall_cause_ns_per_s[STALL_CAUSES]; /* the same by enum stall_cause */
	uint64_t refaults_per_s, faults_per_s, majfaults_per_s, evictions_per_s;
	uint64_t refault_cost_ns; /* measured stall per refault, EWMA */
	int64_t usage_velocity_bytes_per_s; /* signed EWMA of d usage / dt */
	uint64_t time_to_ceiling_ns; /* until usage meets limit_bytes at this velocity; UINT64_MAX:
					never */
	uint64_t
	    working_set_bytes; /* best guess: usage that is reused + what refaults would need */
	uint64_t idle_bytes; /* usage that nothing was stalled for lately */
	uint32_t confidence_ppm; /* in the curve, by the number of samples behind it */
	bool streaming; /* evicts much, refaults nothing: more memory earns nothing */
	bool at_limit; /* usage within one step of limit_bytes; published is the limit in force */
	bool filling; /* usage well below what it was given: gets no more yet */

	/* curve: stall saved per busy second if memory reached through bucket b (see estimate.c) */
	uint64_t bucket_bytes;
	uint32_t curve[LAW_BUCKETS];
	uint64_t base_bytes; /* usage at the last eviction */
	uint64_t busy_ppm; /* kappa of the law: how busy it is when it is not stalled */
	struct law_memory memory; /* private to the law */
};

/* Why a target is what it is. One word each in policy_reason_name(). */
enum law_reason {
	LAW_REASON_NONE, /* nothing changed: no pressure worth moving memory for */
	LAW_REASON_START, /* first target */
	LAW_REASON_GAIN, /* received: stalls here cost more than at the donor */
	LAW_REASON_DONATE, /* gave: its memory was worth less than the receiver's stall; or, with no
			      gain in the decision, the receiver could not wait */
	LAW_REASON_IDLE, /* gave memory it does not use */
	LAW_REASON_BURST, /* received at once: unreclaimable demand or usage at the limit; memory
			     was free or idle, or was taken from the peer */
	LAW_REASON_STREAM, /* kept small: reads without reuse */
	LAW_REASON_FLOOR, /* raised to its minimum or to what cannot be reclaimed */
	LAW_REASON_CEILING, /* scaled down: the sum did not fit */
	LAW_REASON_FILLING, /* wants, but has not yet used what it has */
	LAW_REASON_HYSTERESIS, /* wants, but the gain does not clearly exceed the loss */
	LAW_REASON_NOISE, /* wants, but too few samples speak for it */
	LAW_REASON_MANUAL, /* somebody else's limit is respected */
	LAW_REASON_OVERCOMMITTED, /* floors and unreclaimable memory exceed the ceiling: nothing
				     grows */
	LAW_REASON_POLICY, /* what another policy than marginal gave */
	LAW_REASON_INACTIVE,
	LAW_REASON_TARGET, /* received: it is stalled more than its stall target allows */
	LAW_REASON_ASK, /* asked to give back what it declared reclaimable; its target stays */
	LAW_REASON_TRIAL, /* gave, or got, a little to see whether it is still needed */
	LAW_REASON_PHASES, /* wants, but its need comes and goes too fast to be followed, and what
			      it has is worth most in the mean */
	LAW_REASON_COUNT
};

enum law_clamp {
	LAW_CLAMP_MIN = 1u << 0,
	LAW_CLAMP_MAX = 1u << 1,
	LAW_CLAMP_UNRECLAIMABLE = 1u << 2,
	LAW_CLAMP_GROUP_MIN = 1u << 3,
	LAW_CLAMP_GROUP_MAX = 1u << 4,
	LAW_CLAMP_CEILING = 1u << 5,
	LAW_CLAMP_STEP = 1u << 6,
	LAW_CLAMP_WANTED = 1u << 7, /* what the engine says it can make use of */
};

struct law_decision {
	uint64_t target_bytes; /* page multiple; the memory this engine should have */
	uint64_t before_bytes; /* target of the tick before */
	enum law_reason reason;
	uint32_t clamps; /* enum law_clamp */
	uint32_t peer; /* main donor, but of idle memory, or receiver; LAW_NO_ENGINE: none */
	/* stalled time expected to end at the receiver and to begin at the donor, weighted; what
	   exceeds a stall target counts 64 times */
	uint32_t gain_ppm, loss_ppm;
	bool stream; /* cap it at the target */
	/* to give back on its own, and by when; 0: nothing. The target does not wait for it. */
	uint64_t release_bytes, release_by_ns;
};

/* What the peers' policies remember of an engine. */
struct law_peer_state {
	uint64_t psi_memory_ns, psi_io_ns; /* "some" totals when last looked at */
	uint64_t stalled_ns; /* since acted_ns */
	uint64_t acted_ns; /* senpai: last change; 0: never looked */
};

/* A request to give memory back (policy_ask.c). */
struct law_ask_state {
	uint64_t since_ns; /* 0: nothing is asked */
	uint64_t bytes; /* asked for */
	uint64_t base_bytes; /* what could not be reclaimed then */
	uint64_t epoch; /* grant epoch then: an acknowledgement is a later one */
	uint64_t quiet_until_ns; /* not asked again before */
	uint64_t calm_since_ns; /* neither stalled nor grown since */
	uint32_t refusals; /* in a row */
	uint32_t spare;
};

/* Whether memory is still needed that is only remembered to be (policy_trial.c). */
struct law_trial_state {
	uint64_t at_ns; /* the last trial; 0: none was thought of */
	uint64_t wait_ns; /* until the next */
	uint32_t doubts; /* of the estimate, then */
	uint32_t spare;
};

/* Per engine memory of policy_decide(). target_bytes is set by the daemon on adoption. */
struct law_engine_state {
	uint64_t target_bytes; /* 0: none yet */
	uint64_t step_bytes;
	uint64_t last_move_ns;
	int32_t direction; /* sign of the last move */
	uint32_t hysteresis_ppm; /* multiplier, 1000000 = none yet; 0 counts as that */
	uint64_t limit_hits; /* of the last sample */
	uint64_t granted_ns; /* last grant from free memory */
	uint64_t turned_ns; /* it last began to move the other way */
	uint64_t stayed_ns; /* EWMA of the times between two such turns; 0: there was none */
	uint64_t surge_ns, period_ns; /* its stall last surged, and EWMA of the times between */
	bool surging;
	struct law_peer_state peer;
	struct law_ask_state ask;
	struct law_trial_state trial;
};

struct law_state {
	uint64_t ticks;
	uint64_t planned_ns; /* the planner last ran then */
	uint64_t decided_ns;
	uint64_t jump_ns; /* somebody's stall last jumped */
	uint64_t spare[12];
	struct law_engine_state engine[LAW_ENGINES_MAX];
};

/* The bin of n in a histogram of bpf/wire.h: `sub_bins` of them, a power of two, to the octave. */
uint32_t law_histogram_bin(uint64_t n, uint32_t sub_bins, uint32_t bins);

/* Working memory of policy_decide(), so that it neither allocates nor needs a large stack. */
struct law_workspace;
uint64_t law_workspace_bytes(uint32_t engines);

/*
 * Folds one sample into the estimate. `limit_bytes` is what the engine was given at that time (its
 * target). O(DISTANCE_BINS).
 */
void estimate_update(struct law_estimate *e, const struct law_params *params,
		     const struct law_engine *engine, const struct law_sample *sample,
		     uint64_t limit_bytes, uint64_t now_ns);

/*
 * New targets for all n engines. For ANY input:
 *   - sum of targets of active engines <= ceiling - reserve, unless floors and unreclaimable memory
 *     alone exceed it; then no target grows and the reason says OVERCOMMITTED;
 *   - min <= target <= max for active, non-manual engines (in the same exception scaled down
 *     towards unreclaimable memory, in proportion);
 *   - a group's sum keeps to the group's bounds where its engines' own bounds allow it;
 *   - a target is a whole number of pages; no engine gives and receives in one tick;
 *   - nothing stalls, refaults, grows or changes => no target changes;
 *   - same input, same output, bit for bit.
 * `urgent` is the engine whose stall onset woke the loop early, LAW_NO_ENGINE on a regular tick:
 * then only memory that is free, idle or held by streams is granted, to that engine, at once.
 */
void policy_decide(struct law_state *state, const struct law_params *params,
		   const struct law_engine *engine, const struct law_sample *sample,
		   const struct law_estimate *estimate, uint32_t n, uint32_t urgent,
		   uint64_t now_ns, struct law_workspace *workspace,
		   struct law_decision *ret_decision);

struct law_watch_state {
	uint64_t until_ns; /* reuse times are counted until then */
	uint64_t needed_ns; /* somebody lacks memory since; 0: nobody */
	uint32_t active; /* engines, last time */
};

/* Whether reuse times should be counted from now on; after every tick. All zero at first. `moves` are
 * the engines of law_state. */
bool law_watch(struct law_watch_state *state, const struct law_engine_state *moves,
	       const struct law_engine *engine, const struct law_estimate *estimate, uint32_t n,
	       uint64_t now_ns);

/* The pace of the loop: regular, at most when nothing happens, at least when a limit is near. */
struct law_pace_bounds {
	uint64_t least_ns, regular_ns, most_ns;
};

struct law_pace_state {
	uint64_t calm_since_ns; /* nothing has happened since then; 0: not known */
};

/* Time until the next regular tick, given what the last one saw and decided. */
uint64_t law_pace(struct law_pace_state *state, const struct law_pace_bounds *bounds,
		  const struct law_engine *engine, const struct law_estimate *estimate,
		  const struct law_decision *decision, uint32_t n, uint64_t now_ns);

const char *policy_name(enum law_policy policy); /* "marginal" */
/* -1 when there is no such policy. */
int policy_from_name(const char *name);
const char *policy_reason_name(enum law_reason reason); /* "gain" */

#endif
