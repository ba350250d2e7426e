/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the files of the control law: what estimate, curve, planner and projection share. */
#ifndef BAROSTAT_DAEMON_LAW_INTERNAL_H
#define BAROSTAT_DAEMON_LAW_INTERNAL_H

#include <stddef.h>
#include <string.h>

#include "user/daemon/law.h"
#include "user/daemon/law_math.h"

/* Shorter than the shortest useful interval, so that a tick a little early is not skipped. */
#define LAW_FOLD_NS (90 * LAW_MS)

/* -- estimate -- */

/* Count per second, at most LAW_COUNT_CAP. */
static inline uint64_t law_rate(uint64_t count, uint64_t dt_ns)
{
	if (dt_ns == 0)
		return 0;
	if (count < UINT64_MAX / LAW_S)
		return law_min(count * LAW_S / dt_ns, LAW_COUNT_CAP);
	return law_min(count / law_max(dt_ns / LAW_S, 1), LAW_COUNT_CAP);
}

/* Nanoseconds until `count` has gone by at a rate per second above 0. */
static inline uint64_t law_time(uint64_t count, uint64_t per_s)
{
	uint64_t seconds = count / per_s;

	return seconds > UINT64_MAX / LAW_S / 2
		   ? UINT64_MAX
		   : seconds * LAW_S + count % per_s * 1000 / per_s * LAW_MS;
}

/* One bucket of every curve under this ceiling: a 128th of it, whole pages. */
static inline uint64_t law_bucket_bytes(uint64_t ceiling_bytes)
{
	uint64_t pages = law_pages_up(ceiling_bytes);

	return law_max((pages + LAW_BUCKETS - 1) / LAW_BUCKETS, 1) * LAW_PAGE_BYTES;
}

/* How far below its target an engine may stand and still be called full. */
static inline uint64_t law_margin(uint64_t target, uint64_t bucket)
{
	return law_min(2 * bucket, target / 4);
}

/* An engine whose memory cannot be taken by reclaim: it has a floor, not a curve. */
static inline bool law_mostly_anon(const struct law_sample *s)
{
	return s->unreclaimable_bytes > s->usage_bytes / 2;
}

/*
 * What of an engine's memory stays whatever is done. Usage is of this moment, what cannot be
 * reclaimed may be a sample older: where that is nearly all, it is all.
 */
static inline uint64_t law_held(uint64_t usage, uint64_t unreclaimable)
{
	return unreclaimable >= usage - usage / 8 ? usage : unreclaimable;
}

/* What a heap that comes and goes is about to have again; 0: nothing is expected. */
static inline uint64_t law_burst_expected(const struct law_memory *m)
{
	return m->burst_below_ns < m->burst_wait_ns ? m->burst_bytes : 0;
}

/* The histograms stay what they were at the last fold; law_curve.c takes its own deltas. */
static inline void law_copy_but_histograms(struct law_sample *to, const struct law_sample *from)
{
	memcpy(to, from, offsetof(struct law_sample, distance));
	memcpy(&to->cpu_ns, &from->cpu_ns, sizeof(*to) - offsetof(struct law_sample, cpu_ns));
}

static inline void law_copy_reuse(struct law_sample *to, const struct law_sample *from)
{
	to->first_accesses = from->first_accesses;
	to->beyond = from->beyond;
	memcpy(to->reused, from->reused, sizeof(to->reused));
	memcpy(to->missed, from->missed, sizeof(to->missed));
}

/* What an interval says of the engine's work; see law_work.c. */
struct law_work {
	uint64_t dt_ns, wait_ns; /* wait: task time, all causes */
	uint64_t cpu_ns, system_ns;
	uint64_t refaults;
	bool known; /* CPU time is */
	bool read; /* and it is news, not the last sample's */
};

/*
 * Adds an interval to what is known since CPU time was last read. True: there is enough to tell how
 * busy the engine is; the parallelism is up to date then, and the rest after law_work_update(),
 * which comes when interval_stall is known.
 */
bool law_work_gather(struct law_memory *m, const struct law_work *work);
void law_work_update(struct law_estimate *e, const struct law_work *work, bool enough);

/* What an interval is in time of all tasks that run or wait at once: dt * T. */
static inline uint64_t law_task_ns(const struct law_memory *m, uint64_t dt_ns)
{
	return ((law_min(dt_ns, 1ull << 40) >> 8) * m->parallelism_16) >> 8;
}

/* CPU time that so many refaults take in the kernel. */
static inline uint64_t law_miss_ns(const struct law_memory *m, uint64_t refaults)
{
	return law_min(refaults, 1ull << 32) * m->miss_cpu_ns;
}

/* Folds what was observed since the last fold into the curve; nothing before LAW_FOLD_NS. */
void law_curve_update(struct law_estimate *e, const struct law_params *params,
		      const struct law_sample *sample, uint64_t limit_bytes, uint64_t now_ns);

/*
 * Spreads `amount` evenly over the sizes [from, to) in pages, to > from; what lies past the ceiling
 * is lost. Returns the first bucket that got nothing of it, at most LAW_BUCKETS.
 */
uint64_t law_spread(uint64_t curve[LAW_BUCKETS], uint64_t bucket_pages, uint64_t from, uint64_t to,
		    uint64_t amount);

#define LAW_STALL_MAX (64 * LAW_ONE) /* more stall per work is not told apart */

/* -- reuse times; see law_reuse.c -- */

/* Whether reuse times tell of nearly all that the engine's memory is used for. */
bool law_reuse_speaks(const struct law_sample *sample);
/* Counting begins here. */
void law_reuse_start(struct law_estimate *e, const struct law_sample *sample);
/* Adds an interval and the work done in it; takes what was counted since the last fold when that is
 * enough. Returns the time it was counted in, 0 when it goes on waiting. */
uint64_t law_reuse_fold(struct law_estimate *e, const struct law_sample *sample, uint64_t window_ns,
			uint64_t work_ns);
/* The stall per work that it has or would have with next to nothing: nobody reuses as little as a
 * stream does. */
uint64_t law_reuse_worth(const struct law_estimate *e);
/* The size from which on no more than a hundredth of its work would be stalled. */
uint64_t law_reuse_needs(const struct law_estimate *e);
/* Draws the whole curve of an engine that stands at `base_pages`. */
void law_reuse_curve(struct law_estimate *e, const struct law_sample *is, uint64_t base_pages,
		     uint64_t window_ns);

/* -- phases, where reuse times are known; see law_phases.c -- */

/* Time goes by, whether anything is read or counted in it or not. */
void law_phases_pass(struct law_phases *phases, uint64_t window_ns);
/* After law_reuse_curve(): what its sizes cost now becomes part of what they cost in the mean. */
void law_phases_fold(struct law_estimate *e, uint32_t gamma_ppm, uint64_t window_ns);
/* Whether what it needs comes and goes faster than memory should follow. */
bool law_phases_short(const struct law_estimate *e);
/* law_cost() of having so many pages, in the mean of its phases. */
uint64_t law_phases_cost(const struct law_estimate *e, uint64_t pages);

/* -- policy -- */

#define LAW_RELUCTANCE_MAX   4 /* times the hysteresis, of who has turned round again and again */
#define LAW_RELUCTANCE_BLIND 2 /* the same without distances: it must swing to find its way */

#define LAW_JUMP (LAW_ONE / 4) /* of time stalled, above the usual */

#define LAW_RECEIVERS_MAX 12 /* considered per plan, the most stalled by what memory would cure */
#define LAW_DONORS_MAX    24 /* considered per plan, the cheapest */
#define LAW_OFFERS_MAX    256

/* One engine on the bench of policy_decide(). Sizes in pages. */
struct plan_engine {
	uint64_t target, before; /* before: 0 none yet */
	uint64_t min, fixed; /* what the operator guarantees; what cannot be reclaimed */
	uint64_t lo, hi; /* bounds of the projection: lo = max(min, fixed) within hi */
	uint64_t floor; /* what the planner leaves at least */
	uint64_t usage;
	uint64_t weight; /* the engine's times the group's / 100 */
	uint64_t worth; /* that of its stalls, for as long as it is awake */
	uint64_t allowed; /* law_cost() of its stall target; UINT64_MAX: it has none */
	uint64_t want; /* what it was going to have before the projection cut it */
	int moved; /* sign of this tick's move */
	uint64_t release, release_by_ns; /* asked of it: pages */
	bool active, manual; /* manual implies active */
	bool wanted; /* hi is what it wants, not what it may have */
	bool anon; /* mostly unreclaimable */
	enum law_reason reason;
	uint32_t clamps, peer, gain_ppm, loss_ppm;
};

/* A slice of a donor's memory, cheapest first. */
struct plan_offer {
	uint32_t donor; /* index into donor[] */
	uint64_t pages;
	uint64_t loss;
};

struct plan_donor {
	uint32_t engine;
	bool closed; /* has received, so gives nothing */
	uint32_t slices; /* full buckets above the floor */
	uint64_t rest; /* pages of the last, partial one */
	uint64_t taken; /* pages, of the candidate being weighed */
	uint64_t loss[LAW_BUCKETS + 2]; /* [k]: of giving k buckets; last: with the rest */
};

struct plan_receiver {
	uint32_t engine;
	bool done;
	uint32_t reach; /* buckets worth asking for */
	uint64_t gain[LAW_BUCKETS + 1]; /* [k]: weighted stall that ends with k buckets more */
	uint64_t cured[LAW_BUCKETS + 1]; /* [k]: the same in stall per work, for the noise gate */
};

struct law_workspace {
	uint32_t n;
	uint64_t available; /* pages to divide: ceiling - reserve - manual */
	uint64_t bucket; /* pages */
	uint64_t burst; /* pages kept free */
	uint64_t weights; /* sum over active engines that are not manual */
	uint64_t window_ns; /* since the planner last ran */
	uint64_t group_sum[LAW_GROUPS_MAX], group_lo[LAW_GROUPS_MAX], group_gap[LAW_GROUPS_MAX];
	uint64_t group_want[LAW_GROUPS_MAX], group_ratio[LAW_GROUPS_MAX];
	uint64_t group_up[LAW_GROUPS_MAX], group_down[LAW_GROUPS_MAX]; /* room to its bounds */
	uint32_t donors, receivers, offers;
	struct plan_donor donor[LAW_DONORS_MAX];
	struct plan_receiver receiver[LAW_RECEIVERS_MAX];
	struct plan_offer offer[LAW_OFFERS_MAX];
	struct plan_engine engine[]; /* n */
};

/* Everything policy_decide() was called with, for the functions below. */
struct plan {
	struct law_state *state;
	const struct law_params *params;
	const struct law_engine *engine;
	const struct law_sample *sample;
	const struct law_estimate *estimate;
	uint32_t n;
	uint32_t urgent;
	uint64_t now_ns;
	struct law_workspace *w;
};

static inline bool plan_full(const struct law_workspace *w, const struct plan_engine *e)
{
	return e->usage + law_margin(e->target, w->bucket) >= e->target;
}

/* The most that a reversal makes an engine's moves dearer, in ppm of the hysteresis. */
static inline uint64_t law_reluctance_max(const struct law_estimate *est)
{
	return LAW_PPM * (est->memory.distances_known ? LAW_RELUCTANCE_MAX : LAW_RELUCTANCE_BLIND);
}

/* Pages that are nobody's target. */
uint64_t law_free_pages(const struct law_workspace *w);

uint64_t law_group_min(const struct plan *p, uint32_t group);
uint64_t law_group_max(const struct plan *p, uint32_t group);

/* Sets every target within bounds; marks what it changed. Needs only w and the groups' bounds. */
void law_project(const struct plan *p);

void law_share_static(const struct plan *p);
void law_share_proportional(const struct plan *p);
void law_marginal(const struct plan *p);
/* Requests to give memory back: looked after, and a new one when it would help. After the planner,
 * whose receivers it reads; law_ask_continue() only looks after what is under way. */
void law_ask(const struct plan *p);
void law_ask_continue(const struct plan *p);
void law_peer_senpai(const struct plan *p);
void law_peer_idle_tax(const struct plan *p);
void law_peer_psi(const struct plan *p);
/* Targets for engines that have none yet, for every policy that goes on from what it finds. */
void law_first_targets(const struct plan *p);

/* -- planner -- */

/* How far every group is from its bounds: group_up, group_down. */
void law_bound_flows(const struct plan *p);
/*
 * How much of `pages` may go from one engine to another, LAW_NO_ENGINE being free memory, without
 * leaving the bounds of a group; and the note that it went. Need law_bound_flows().
 */
uint64_t law_flow(const struct plan *p, uint32_t from, uint32_t to, uint64_t pages);
void law_flowed(const struct plan *p, uint32_t from, uint32_t to, uint64_t pages);
/*
 * Stalled seconds per second of work at its target, and that of a stalled share of time. The first
 * is measured; without distances it is what the curve says, for there the curve is drawn from the
 * stall and lags behind it, and what a move ends or begins must be a part of the whole.
 */
uint64_t law_stall_of(const struct law_estimate *est);
uint64_t law_stall_per_work(uint64_t share);
/* What it costs to be stalled so much: what works little of its time has little to lose. */
uint64_t law_cost_of(const struct law_memory *m, uint64_t stall, uint32_t gamma_ppm);
/* Whether an engine is stalled more than its stall target allows. */
bool law_above_target(const struct plan *p, uint32_t i);
/* Fills w->donor and w->receiver, w->offer from the donors; see policy_offer.c. */
void law_choose_donors(const struct plan *p, uint32_t except);
void law_choose_receivers(const struct plan *p);
void law_collect_offers(struct law_workspace *w, uint64_t pages);
/* After its target has changed. */
void law_donor_price(const struct plan *p, struct plan_donor *d);
/* What k buckets more would bring, less the noise in it. */
uint64_t law_trusted_gain(const struct plan *p, const struct plan_receiver *r, uint32_t k);
/* After the planner's moves; see policy_trial.c. */
void law_try_donors(const struct plan *p);
/* See policy_moves.c: pages that may be moved to an engine this time; for how long they may be
 * expected to stay, UINT64_MAX when nothing is known of that, or all phases were weighed; what the
 * move must earn then, per bucket and weight; the part of the gain of so many buckets that comes in
 * time; and the note of what this tick has moved. */
uint64_t law_step_pages(const struct plan *p, uint32_t i, bool seen);
uint64_t law_stays_ns(const struct plan *p, uint32_t i);
uint64_t law_move_cost(const struct plan *p, uint32_t i, uint64_t stays_ns);
uint64_t law_in_time_32(uint64_t stays_ns, uint32_t buckets);
void law_remember_moves(const struct plan *p);
/* Moves memory from where it is worth little to where it ends stalls. */
void law_plan_moves(const struct plan *p);
/*
 * Takes `pages` for engine `to`, which cannot wait until it is weighed what they are worth to it:
 * from the cheapest donors, with no gain in the decisions and each other as peers. Returns what it
 * got.
 */
uint64_t law_plan_take(const struct plan *p, uint64_t pages, uint32_t to);

#endif
