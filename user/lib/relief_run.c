// SPDX-License-Identifier: BSD-2-Clause
/*
 * One run: engage, free, relax, declare, acknowledge. Only the running thread is in here, so what
 * belongs to it needs no lock; the lock is taken for what others read.
 */
#include <errno.h>
#include <string.h>

#include "user/lib/arith.h"
#include "user/lib/clock.h"
#include "user/lib/relief_internal.h"

/* The page's edges, and how far below one the score must fall to leave its level. */
static const uint32_t edge_ppm[] = {
	[BARO_LEVEL_WARNING] = 700000,
	[BARO_LEVEL_CRITICAL] = 850000,
	[BARO_LEVEL_EMERGENCY] = 950000,
};
#define LEAVE_PPM     50000
#define SLOWED_MAX    3 /* settle_ns is doubled so often at most */
#define UNSEEN_PART   4 /* usage must fall by this part of what was freed */
#define BUSY_AGAIN_NS (LIB_NS_PER_S / 50)

struct run {
	struct baro_relief *relief;
	const struct baro_pressure *p;
	uint32_t level;
	uint64_t now_ns; /* the caller's time when the run began ... */
	uint64_t clock_ns; /* ... and the clock's */
	bool in_time; /* there is an open request, and it is not overdue */
	bool pass; /* and now is the time for a pass */
	bool busy; /* an action that was asked could not now */
	uint64_t pass_freed_bytes; /* by passes, in this run */
	uint64_t landing_ns; /* of what this run freed */
	struct baro_relief_outcome out;
	struct baro_relief_counts counts; /* of this run alone */
};

/* The caller's time, moved on by what the callbacks took. */
static uint64_t time_of(const struct run *run)
{
	return lib_add(run->now_ns, lib_less(lib_now_ns(), run->clock_ns));
}

static void visit(struct run *run, bool backwards, void (*one)(struct run *, struct action *))
{
	struct relief_place place = { .backwards = backwards };
	struct action a;

	while (relief_enter(run->relief, &place, &a)) {
		one(run, &a);
		relief_leave(run->relief, &a);
	}
}

/* ---- what is needed -------------------------------------------------------------------------- */

static uint32_t score_of(const struct run *run)
{
	uint32_t score = run->p->score_ppm;

	if (!score && run->level >= BARO_LEVEL_WARNING)
		score = edge_ppm[run->level];
	return score < 1000000 ? score : 1000000;
}

/* What it takes to leave the level of an action. */
static uint64_t level_need(const struct run *run, uint32_t from_level)
{
	const struct baro_pressure *p = run->p;
	uint64_t bytes;

	if (from_level < BARO_LEVEL_WARNING || run->level < from_level ||
	    p->budget_bytes == BARO_PAGE_NONE)
		return 0;
	bytes = lib_part_ppm(p->budget_bytes,
			     lib_less(score_of(run), edge_ppm[from_level] - LEAVE_PPM));
	return lib_min(bytes, p->usage_bytes);
}

/* A request may be answered by whatever an engine does short of an emergency. */
static bool answers_requests(const struct run *run, const struct action *a)
{
	return a->does.release &&
	       (a->does.from_level < BARO_LEVEL_EMERGENCY || run->level >= BARO_LEVEL_EMERGENCY);
}

static bool is_overdue(const struct run *run)
{
	return run->p->release_bytes && run->now_ns >= run->p->release_by_ns;
}

static uint64_t request_left(const struct run *run)
{
	const struct request *q = &run->relief->request;

	return run->in_time
		   ? lib_min(lib_less(q->asked_bytes, q->freed_bytes), run->p->release_bytes)
		   : 0;
}

static uint64_t pass_left(const struct run *run, const struct action *a)
{
	uint64_t need;

	if (!run->pass)
		return 0;
	need = level_need(run, a->does.from_level);
	if (is_overdue(run) && answers_requests(run, a))
		need = lib_max(need, run->p->release_bytes);
	return lib_less(need, run->pass_freed_bytes);
}

/* ---- requests and passes --------------------------------------------------------------------- */

/* A request is known by its deadline. What it grows by is news, what it shrinks by is what we, or
 * others, have freed of it. */
static void look_at_request(struct run *run)
{
	struct request *q = &run->relief->request;
	const struct baro_pressure *p = run->p;

	if (!p->release_bytes) {
		q->by_ns = q->shown_bytes = 0;
		q->open = false;
		return;
	}
	if (is_overdue(run)) { /* a matter of passes from now on */
		run->counts.requests_short += q->open;
		q->open = false;
	} else if (!q->by_ns || q->by_ns != p->release_by_ns) {
		q->number++;
		q->asked_bytes = p->release_bytes;
		q->freed_bytes = 0;
		q->open = true;
		run->counts.requests++;
	} else if (p->release_bytes > q->shown_bytes) {
		q->number++;
		q->asked_bytes = lib_add(q->asked_bytes, p->release_bytes - q->shown_bytes);
		q->open = true;
	}
	q->by_ns = p->release_by_ns;
	q->shown_bytes = p->release_bytes;
	run->in_time = q->open;
}

/* Whether the last pass can be seen in what the engine uses. */
static void judge_last_pass(struct run *run)
{
	struct pass *last = &run->relief->pass;

	if (last->judged)
		return;
	last->judged = true;
	if (lib_less(last->usage_bytes, run->p->usage_bytes) >= last->freed_bytes / UNSEEN_PART) {
		last->slowed = 0;
		return;
	}
	run->counts.passes_unseen++;
	if (last->slowed < SLOWED_MAX)
		last->slowed++;
}

static void look_at_pass(struct run *run)
{
	struct pass *last = &run->relief->pass;

	if (run->level < BARO_LEVEL_WARNING && !is_overdue(run)) {
		*last = (struct pass){ .judged = true };
		return;
	}
	if (last->at_ns && run->p->updated_ns <= last->at_ns)
		return; /* the page does not know of it yet */
	if (last->at_ns && run->level <= last->level && run->now_ns < last->due_ns)
		return;
	judge_last_pass(run);
	run->pass = true;
}

static void end_pass(struct run *run)
{
	struct pass *last = &run->relief->pass;
	uint64_t now_ns = time_of(run);

	if (!run->pass || !run->pass_freed_bytes)
		return;
	run->counts.passes++;
	*last = (struct pass){
		.at_ns = now_ns,
		.due_ns = lib_add(lib_max(now_ns, run->landing_ns),
				  run->relief->settle_ns << last->slowed),
		.usage_bytes = run->p->usage_bytes,
		.freed_bytes = run->pass_freed_bytes,
		.level = run->level,
		.slowed = last->slowed,
	};
}

static void end_request(struct run *run)
{
	struct request *q = &run->relief->request;

	if (!run->in_time)
		return;
	if (!request_left(run))
		run->counts.requests_met++;
	else if (!run->busy)
		run->counts.requests_short++;
	else
		return;
	q->open = false;
}

/* ---- the phases ------------------------------------------------------------------------------ */

static void engage_one(struct run *run, struct action *a)
{
	if (!a->does.engage || a->does.from_level < BARO_LEVEL_WARNING ||
	    run->level < a->does.from_level || a->engaged_level == run->level)
		return;
	a->counts.engagements += !a->engaged_level;
	a->counts.engaged = 1;
	a->engaged_level = run->level;
	a->does.engage(a->does.arg, run->level);
}

/* Whether the daemon's request is one for this action, now. */
static bool is_asked(struct run *run, struct action *a)
{
	if (!run->in_time || !answers_requests(run, a) || a->served == run->relief->request.number)
		return false;
	if (lib_add(time_of(run), lib_add(a->does.typical_ns, a->does.landing_ns)) <=
	    run->p->release_by_ns)
		return true;
	a->served = run->relief->request.number;
	a->counts.late++;
	return false;
}

static void note_call(struct run *run, struct action *a, uint64_t want_bytes, uint64_t took_ns)
{
	a->counts.calls++;
	a->counts.wanted_bytes = lib_add(a->counts.wanted_bytes, want_bytes);
	a->counts.spent_ns = lib_add(a->counts.spent_ns, took_ns);
	a->counts.longest_ns = lib_max(a->counts.longest_ns, took_ns);
	a->counts.overran += took_ns > a->does.typical_ns;
	run->out.calls++;
}

static void note_freed(struct run *run, struct action *a, uint64_t got_bytes)
{
	struct request *q = &run->relief->request;

	a->used_ns = lib_max(time_of(run), 1);
	a->counts.freed_bytes = lib_add(a->counts.freed_bytes, got_bytes);
	run->out.freed_bytes = lib_add(run->out.freed_bytes, got_bytes);
	run->pass_freed_bytes = lib_add(run->pass_freed_bytes, got_bytes);
	if (run->in_time)
		q->freed_bytes = lib_add(q->freed_bytes, got_bytes);
	run->landing_ns = lib_max(run->landing_ns, lib_add(time_of(run), a->does.landing_ns));
}

static void free_one(struct run *run, struct action *a)
{
	bool asked = a->does.release && request_left(run) && is_asked(run, a);
	uint64_t want, begin_ns;
	int64_t got;

	if (!a->does.release)
		return;
	want = lib_max(asked ? request_left(run) : 0, pass_left(run, a));
	run->out.wanted_bytes = lib_max(run->out.wanted_bytes, lib_add(want, run->out.freed_bytes));
	if (want && a->does.available)
		want = lib_min(want, a->does.available(a->does.arg));
	if (!want)
		return;
	begin_ns = lib_now_ns();
	got = a->does.release(a->does.arg, want, asked ? run->p->release_by_ns : BARO_PAGE_NONE);
	note_call(run, a, want, lib_less(lib_now_ns(), begin_ns));
	if (got == -EAGAIN) {
		a->counts.busy++;
		run->busy |= asked;
		return;
	}
	if (asked)
		a->served = run->relief->request.number;
	if (got < 0)
		a->counts.failed++;
	else if (got > 0)
		note_freed(run, a, (uint64_t)got);
}

/* When an action may be undone; BARO_PAGE_NONE: not as things are. */
static uint64_t relax_due_ns(const struct run *run, const struct action *a)
{
	uint32_t level = a->does.from_level ? a->does.from_level : BARO_LEVEL_WARNING;
	uint64_t since_ns = run->relief->below_since_ns[level];

	if (!since_ns || run->relief->request.open || is_overdue(run))
		return BARO_PAGE_NONE;
	return lib_add(lib_max(since_ns, a->used_ns), run->relief->relax_after_ns);
}

static void relax_one(struct run *run, struct action *a)
{
	uint64_t due_ns;

	if (a->engaged_level || a->used_ns) {
		due_ns = relax_due_ns(run, a);
		if (time_of(run) < due_ns) {
			run->out.again_ns = lib_min(run->out.again_ns, due_ns);
		} else {
			a->engaged_level = 0;
			a->used_ns = 0;
			a->counts.engaged = 0;
			a->counts.relaxations++;
			if (a->does.relax)
				a->does.relax(a->does.arg, run->level);
		}
	}
	run->out.engaged += a->counts.engaged;
}

static void declare_one(struct run *run, struct action *a)
{
	if (a->does.release && a->does.available && a->does.from_level < BARO_LEVEL_EMERGENCY &&
	    lib_add(a->does.typical_ns, a->does.landing_ns) <= BARO_RELIEF_WITHIN_NS)
		run->out.reclaimable_bytes =
		    lib_add(run->out.reclaimable_bytes, a->does.available(a->does.arg));
}

/* ---- what the daemon hears ------------------------------------------------------------------- */

/* An epoch is acknowledged once all that was freed for it is really free: the daemon looks then. */
static void acknowledge(struct run *run)
{
	struct baro_relief *r = run->relief;
	uint64_t epoch = run->p->grant_epoch;

	if (r->client)
		baro_client_set_reclaimable(r->client, run->out.reclaimable_bytes);
	r->landing_ns = lib_max(r->landing_ns, run->landing_ns);
	if (!epoch || epoch == r->acked_epoch || r->request.open)
		return;
	if (time_of(run) < r->landing_ns) {
		run->out.again_ns = lib_min(run->out.again_ns, r->landing_ns);
		return;
	}
	r->acked_epoch = epoch;
	run->out.ack_epoch = epoch;
	run->counts.acknowledged++;
	if (r->client)
		baro_client_acknowledge(r->client, epoch);
}

/* When to look again though nothing new comes from the page. */
static void note_again(struct run *run)
{
	const struct baro_relief *r = run->relief;
	uint64_t now_ns = time_of(run), again_ns = BARO_PAGE_NONE;

	if (run->busy)
		again_ns = lib_add(now_ns, BUSY_AGAIN_NS);
	if (run->level >= BARO_LEVEL_WARNING || is_overdue(run))
		again_ns =
		    lib_min(again_ns, r->pass.due_ns > now_ns ? r->pass.due_ns
							      : lib_add(now_ns, r->settle_ns));
	run->out.again_ns = lib_min(run->out.again_ns, again_ns);
}

/* ---- runs ------------------------------------------------------------------------------------ */

static int begin(struct baro_relief *r)
{
	int error = 0;

	pthread_mutex_lock(&r->lock);
	if (r->running)
		error = -EBUSY;
	r->running = true;
	if (!error)
		r->runner = pthread_self();
	pthread_mutex_unlock(&r->lock);
	return error;
}

static void finish(struct baro_relief *r, const struct run *run)
{
	const struct baro_relief_counts *c = &run->counts;

	pthread_mutex_lock(&r->lock);
	r->counts.runs++;
	r->counts.requests += c->requests;
	r->counts.requests_met += c->requests_met;
	r->counts.requests_short += c->requests_short;
	r->counts.passes += c->passes;
	r->counts.passes_unseen += c->passes_unseen;
	r->counts.acknowledged += c->acknowledged;
	r->counts.freed_bytes = lib_add(r->counts.freed_bytes, run->out.freed_bytes);
	r->again_ns = run->out.again_ns;
	r->running = false;
	pthread_mutex_unlock(&r->lock);
}

static void note_level(struct run *run)
{
	uint64_t *since_ns = run->relief->below_since_ns;

	for (uint32_t l = BARO_LEVEL_WARNING; l <= BARO_LEVEL_EMERGENCY; l++)
		if (run->level >= l)
			since_ns[l] = 0;
		else if (!since_ns[l])
			since_ns[l] = lib_max(run->now_ns, 1);
}

int baro_relief_run(struct baro_relief *r, const struct baro_pressure *pressure, uint64_t now_ns,
		    struct baro_relief_outcome *ret_outcome)
{
	const struct baro_pressure p = *pressure; /* a callback may well write to the caller's */
	uint32_t level = BARO_STATUS_LEVEL(p.status);
	struct run run = {
		.relief = r,
		.p = &p,
		.level = level < BARO_LEVEL_EMERGENCY ? level : BARO_LEVEL_EMERGENCY,
		.now_ns = now_ns,
		.clock_ns = lib_now_ns(),
		.out = { .again_ns = BARO_PAGE_NONE },
	};
	int error = begin(r);

	if (error < 0)
		return error;
	note_level(&run);
	look_at_request(&run);
	look_at_pass(&run);
	visit(&run, false, engage_one);
	visit(&run, false, free_one);
	end_request(&run);
	end_pass(&run);
	visit(&run, true, relax_one);
	visit(&run, false, declare_one);
	acknowledge(&run);
	note_again(&run);
	finish(r, &run);
	if (ret_outcome)
		*ret_outcome = run.out;
	return 0;
}
