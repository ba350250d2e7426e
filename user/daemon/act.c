/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stage 4, act: targets become limits, shrinks before grows.
 *
 * A grow is paid only from room that exists in the kernel now: the ceiling less the reserve less
 * what every engine's limits, as last read back, still claim. So the sum of claims stays within the
 * ceiling at every instant, also while a shrink is under way, after it failed, and after a crash.
 *
 * What is lent is no claim: others may grow into it before the borrowers' limits have come down.
 * Until then limits add up to more than the ceiling, and the parent's limit, which is the ceiling,
 * holds the sum of what is used. Hence lend(): only where all engines are below that parent.
 */
#include <errno.h>
#include <string.h>

#include "user/common/clock.h"
#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/actuator.h"
#include "user/daemon/daemon.h"

#define VERIFY_EVERY_NS   NS_PER_S
#define LEARNED_FLOOR_NS  (10 * NS_PER_S)
#define RELEASE_WITHIN_NS NS_PER_S

void act_take_result(struct daemon *d, struct engine *e, struct actuator_result *ret)
{
	actuator_result(d->actuator, e->slot, ret);
	for (int w = 0; w < CG_LIMIT_COUNT; w++) {
		if (!ret->touched[w])
			continue;
		e->actual.bytes[w] = ret->actual[w];
		e->failing.lower[w] = (struct backoff){ 0 };
	}
}

/* `b` says when it is tried again: what fails is neither tried nor said in every tick. */
static void failed(struct daemon *d, struct engine *e, struct backoff *b, const char *what,
		   enum cg_limit which, int r, uint64_t now_ns)
{
	if (r == -ENODEV || r == -ENOENT) {
		engine_lost(d, e);
		return;
	}
	backoff_failed(b, r, now_ns);
	log_warn("engine=%s event=%s_failed limit=%s wanted=%llu error=\"%s\" again_s=%llu, "
		 "ignoring",
		 e->name, what, limits_name(which), (unsigned long long)e->wanted.bytes[which],
		 strerror(-r), (unsigned long long)(b->wait_ns / NS_PER_S));
}

static void collect(struct daemon *d, struct engine *e, uint64_t now_ns)
{
	struct actuator_result result;

	act_take_result(d, e, &result);
	if (result.busy || !result.error)
		return;
	if (result.error != -EBUSY) {
		failed(d, e, &e->failing.lower[result.refused], "shrink", result.refused,
		       result.error, now_ns);
		return;
	}
	if (now_ns >= e->learned_until_ns) {
		log_limited(LOG_LEVEL_WARN,
			    "engine=%s event=shrink_refused wanted=%llu usage=%llu error=\"%s\" "
			    "detail=\"what is there cannot be reclaimed: taken as its floor for "
			    "10 s\"",
			    e->name, (unsigned long long)e->wanted.bytes[result.refused],
			    (unsigned long long)d->sample[e->slot].usage_bytes,
			    strerror(-result.error));
		e->learned_floor_bytes = d->sample[e->slot].usage_bytes;
		e->learned_until_ns = now_ns + LEARNED_FLOOR_NS;
	}
}

/* Once a second, and before it is changed: does the kernel still hold what we wrote? */
static void verify(struct daemon *d, struct engine *e, uint64_t now_ns)
{
	struct cg_limits now;
	bool busy;
	int r;

	if (now_ns < e->verify_due_ns)
		return;
	e->verify_due_ns = now_ns + VERIFY_EVERY_NS;
	/* A lowering may have ended since the last look, and in vain. Asked in this order, or what
	 * one that ends in between has written would be a stranger's. */
	busy = actuator_busy(d->actuator, e->slot);
	collect(d, e, now_ns);
	if (busy || e->status != ENGINE_ACTIVE)
		return;
	r = cg_node_limits(e->node, &now);
	if (r == -ENODEV) {
		engine_lost(d, e);
		return;
	}
	if (r < 0)
		return;
	for (int w = 0; w < CG_LIMIT_COUNT; w++) {
		if (now.bytes[w] == e->actual.bytes[w])
			continue;
		e->actual.bytes[w] = now.bytes[w];
		/* Or a lowering that is taken back would put it where it was before the stranger. */
		actuator_found(d->actuator, e->slot, (enum cg_limit)w, now.bytes[w]);
		if (!d->dry_run)
			engine_mark_manual(d, e, (enum cg_limit)w, now.bytes[w]);
	}
}

/* memory.high without swap may hold an engine for ever: see level.h. */
static void watch_freeze(struct daemon *d, struct engine *e, uint64_t now_ns)
{
	const struct law_sample *s = &d->sample[e->slot];
	uint64_t high = e->actual.bytes[CG_LIMIT_HIGH], actual;
	const struct freeze_look look = {
		.sample = d->samples,
		.high_bytes = high,
		.usage_bytes = s->usage_bytes,
		.unreclaimable_bytes = s->unreclaimable_bytes,
		.high_events = s->limit_hits,
		.reclaimed_pages = s->pgsteal,
		.stall_ppm = d->estimate[e->slot].stall_ppm,
	};
	bool held = freeze_watch_held(&e->freeze, &look);

	if (!freeze_watch_update(&e->freeze, held, now_ns) || e->manual)
		return;
	log_warn("engine=%s event=freeze_lifted high=%llu usage=%llu", e->name,
		 (unsigned long long)high, (unsigned long long)s->usage_bytes);
	if (actuator_raise(d->actuator, e->slot, CG_LIMIT_HIGH, BYTES_NO_LIMIT, &actual) == 0)
		e->actual.bytes[CG_LIMIT_HIGH] = actual;
}

static void plan(struct daemon *d, struct engine *e, uint64_t floors_bytes, uint64_t active,
		 uint64_t now_ns)
{
	const struct law_sample *s = &d->sample[e->slot];
	const struct law_engine *l = &d->law_engine[e->slot];
	uint64_t own_floor = max_u64(l->min_bytes, s->unreclaimable_bytes);
	struct limits_input in = {
		.mode = engine_mode(e),
		.stream = d->decision[e->slot].stream,
		.spare_high = now_ns < e->freeze.spare_until_ns,
		.target_bytes = d->decision[e->slot].target_bytes,
		.lent_bytes = e->lent_bytes,
		.min_bytes = l->min_bytes,
		.max_bytes = l->max_bytes,
		.unreclaimable_bytes = s->unreclaimable_bytes,
		.usage_bytes = s->usage_bytes,
		.anon_bytes = s->anon_bytes + s->shmem_bytes,
		.dirty_bytes = s->dirty_bytes,
		.ceiling_bytes = d->ceiling_bytes,
		.others_floor_bytes = sat_sub_u64(floors_bytes, own_floor),
		.engines = active,
		.origin = e->origin.limits,
	};

	limits_want(&in, &e->wanted);
}

/* Sets one limit now, without reclaim: protection in either direction, limits upwards. */
static void set_now(struct daemon *d, struct engine *e, enum cg_limit which, uint64_t bytes,
		    uint64_t now_ns)
{
	struct backoff *b = &e->failing.set[which];
	uint64_t actual;
	int r;

	if (backoff_holds(b, now_ns))
		return;
	r = actuator_raise(d->actuator, e->slot, which, bytes, &actual);
	if (r < 0) {
		failed(d, e, b, "limit", which, r, now_ns);
		return;
	}
	e->actual.bytes[which] = actual;
	*b = (struct backoff){ 0 };
}

static void shrink(struct daemon *d, struct engine *e, uint64_t now_ns)
{
	static const enum cg_limit slow[] = { CG_LIMIT_HIGH, CG_LIMIT_MAX };

	/* What could not be reclaimed then, the engine has given back by itself since. */
	if (d->sample[e->slot].usage_bytes < e->learned_floor_bytes / 16 * 15)
		e->learned_until_ns = 0;
	/* Protection down first: what is no longer protected can be reclaimed. */
	for (int w = CG_LIMIT_MIN; w <= CG_LIMIT_LOW; w++)
		if (e->wanted.bytes[w] < e->actual.bytes[w])
			set_now(d, e, (enum cg_limit)w, e->wanted.bytes[w], now_ns);
	for (size_t i = 0; i < ARRAY_SIZE(slow) && e->status == ENGINE_ACTIVE; i++) {
		enum cg_limit w = slow[i];
		int r;

		if (e->wanted.bytes[w] >= e->actual.bytes[w]) {
			actuator_withdraw(d->actuator, e->slot, w);
			continue;
		}
		if (now_ns < e->learned_until_ns || backoff_holds(&e->failing.lower[w], now_ns))
			continue;
		/* The protection could not be written: the limit stays above it. */
		if (e->soft && e->wanted.bytes[w] < e->actual.bytes[CG_LIMIT_LOW])
			continue;
		r = actuator_lower(d->actuator, e->slot, w, e->wanted.bytes[w]);
		if (r < 0)
			failed(d, e, &e->failing.lower[w], "shrink", w, r, now_ns);
	}
}

static uint64_t engine_claim(const struct daemon *d, const struct engine *e)
{
	return limits_claim(engine_mode(e), e->manual, &e->actual,
			    d->decision[e->slot].target_bytes, d->sample[e->slot].usage_bytes,
			    e->lent_bytes);
}

/* `room` is what the others leave of the ceiling; returns what is left of it. */
static uint64_t grow(struct daemon *d, struct engine *e, uint64_t room, uint64_t now_ns)
{
	enum cg_limit key = e->soft ? CG_LIMIT_LOW : CG_LIMIT_MAX;
	uint64_t want = e->wanted.bytes[key], have = e->actual.bytes[key];
	uint64_t lent = e->soft ? 0 : e->lent_bytes; /* of what `key` is for */
	uint64_t held, grant;

	/* Limits first, then protection: low <= high <= max at every instant. */
	for (int w = CG_LIMIT_MAX; w >= CG_LIMIT_HIGH; w--) {
		/* Whoever writes memory.high reclaims down to it, be it higher than it was: the
		 * loop waits until those who are held there have done that. */
		if (w == CG_LIMIT_HIGH && d->sample[e->slot].usage_bytes > e->wanted.bytes[w])
			continue;
		if ((e->soft || w == CG_LIMIT_HIGH) && e->wanted.bytes[w] > e->actual.bytes[w])
			set_now(d, e, (enum cg_limit)w, e->wanted.bytes[w], now_ns);
	}
	/* As they are, not as they were to be: a write may have failed. */
	if (e->soft)
		want = min_u64(
		    want, min_u64(e->actual.bytes[CG_LIMIT_HIGH], e->actual.bytes[CG_LIMIT_MAX]));
	if (e->status != ENGINE_ACTIVE || want <= have)
		return room;
	if (engine_mode(e) == LIMITS_BACKSTOP) { /* held by the parent: it takes no room */
		set_now(d, e, key, want, now_ns);
		return room;
	}
	held = engine_claim(d, e);
	grant =
	    min_u64(sat_sub_u64(want - min_u64(want, lent), held), room) & ~(LAW_PAGE_BYTES - 1);
	want = min_u64(want, sat_add_u64(held + grant, lent));
	if (want <= have)
		return room;
	set_now(d, e, key, want, now_ns);
	return room - grant;
}

/* Protection up, as far as grow() has not: memory.min, which takes no room of its own below
 * memory.low, and both where targets are limits and they are to be as they were before us. */
static void protect(struct daemon *d, struct engine *e, uint64_t now_ns)
{
	for (int w = e->soft ? CG_LIMIT_MIN : CG_LIMIT_LOW; w >= CG_LIMIT_MIN; w--) {
		uint64_t want = e->wanted.bytes[w];

		if (e->soft)
			want = min_u64(want, e->actual.bytes[CG_LIMIT_LOW]);
		if (e->status == ENGINE_ACTIVE && want > e->actual.bytes[w])
			set_now(d, e, (enum cg_limit)w, want, now_ns);
	}
}

static bool steered(const struct daemon *d, const struct engine *e)
{
	return e->status == ENGINE_ACTIVE && !e->manual &&
	       d->decision[e->slot].target_bytes > 0; /* not before its first decision */
}

/* Before anything is changed: what somebody else has set since the last look is not written over. */
static void look_again(struct daemon *d, struct engine *e, uint64_t now_ns)
{
	if (!memcmp(&e->wanted, &e->actual, sizeof(e->wanted)))
		return;
	e->verify_due_ns = now_ns;
	verify(d, e, now_ns);
}

/*
 * What the engine is to give back, and by when: what the law asks of it, or what is left above its
 * target in a transfer. A new request is a new epoch, so that the answer can be told from the one
 * before.
 */
static void set_release(struct daemon *d, struct engine *e, uint64_t now_ns)
{
	const struct law_decision *dec = &d->decision[e->slot];
	const struct law_sample *s = &d->sample[e->slot];
	uint64_t target = dec->target_bytes;
	uint64_t release = engine_mode(e) != LIMITS_HARD
			       ? sat_sub_u64(s->unreclaimable_bytes, target)
			       : sat_sub_u64(s->usage_bytes, target + e->lent_bytes);

	if (release && !e->release_bytes)
		e->release_deadline_ns = now_ns + RELEASE_WITHIN_NS;
	if (dec->release_bytes > release) {
		release = dec->release_bytes;
		e->release_deadline_ns = dec->release_by_ns;
	}
	if (!release)
		e->release_deadline_ns = 0;
	if (release && !e->release_bytes)
		e->grant_epoch++;
	e->release_bytes = release;
}

/* What is known to be reclaimable: while an engine grows, its usage runs ahead of its kinds. */
static uint64_t reclaimable_of(const struct daemon *d, const struct engine *e)
{
	const struct law_sample *s = &d->sample[e->slot];
	uint64_t rest = sat_sub_u64(s->usage_bytes, s->unreclaimable_bytes);

	return d->abilities->has_swap ? rest : min_u64(rest, s->file_bytes);
}

static bool borrows(const struct daemon *d, const struct engine *e)
{
	return e->status == ENGINE_ACTIVE && (e->soft || e->held_by_parent) && !e->heap &&
	       !e->manual && !d->decision[e->slot].stream &&
	       d->params.policy == LAW_POLICY_MARGINAL;
}

/* It has a target that is a limit, is close to it or beyond, and may have more. */
static bool presses(const struct daemon *d, const struct engine *e)
{
	uint64_t target = d->decision[e->slot].target_bytes;

	return !e->soft && borrows(d, e) && target < d->law_engine[e->slot].max_bytes &&
	       limits_presses(d->sample[e->slot].usage_bytes, target, d->ceiling_bytes);
}

/*
 * How much of what is lent an engine may have. Who is tried is to miss what it is tried for: only
 * what it has taken of it already stays, until the trial is over.
 */
static uint64_t loan_of(const struct daemon *d, struct engine *e, uint64_t lent_bytes,
			uint64_t now_ns)
{
	const struct law_decision *dec = &d->decision[e->slot];
	uint64_t used = sat_sub_u64(d->sample[e->slot].usage_bytes, dec->before_bytes);
	uint64_t loan = limits_loan(e->lent_bytes, lent_bytes, d->ceiling_bytes);

	if (dec->reason == LAW_REASON_TRIAL && dec->target_bytes < dec->before_bytes) {
		e->tried_until_ns = now_ns + LAW_CLAIM_NS;
		e->lent_bytes = min_u64(e->lent_bytes, used & ~(LAW_PAGE_BYTES - 1));
	}
	return now_ns < e->tried_until_ns ? min_u64(e->lent_bytes, loan) : loan;
}

/* No cgroup holds a group: what its maximum leaves above its targets is divided evenly. */
static void keep_to_groups(struct daemon *d)
{
	uint64_t targets[LAW_GROUPS_MAX] = { 0 }, engines[LAW_GROUPS_MAX] = { 0 };
	uint64_t all = sat_sub_u64(d->ceiling_bytes, d->params.reserve_bytes);

	for_each_engine (d, e) {
		uint32_t g = d->law_engine[e->slot].group % LAW_GROUPS_MAX;

		if (e->status != ENGINE_ACTIVE)
			continue;
		targets[g] = sat_add_u64(targets[g], d->decision[e->slot].target_bytes);
		engines[g]++;
	}
	for_each_engine (d, e) {
		uint32_t g = d->law_engine[e->slot].group % LAW_GROUPS_MAX;
		uint64_t max = d->params.group[g].max_bytes, left;

		/* A group without one has all but the reserve, in whole pages. */
		if (e->status != ENGINE_ACTIVE || max + LAW_PAGE_BYTES > all)
			continue;
		left = sat_sub_u64(max, targets[g]) / engines[g];
		e->lent_bytes = min_u64(e->lent_bytes, left & ~(LAW_PAGE_BYTES - 1));
	}
}

/*
 * What nobody uses is lent to whom a limit or a cap holds: the parent's limit holds them all. An
 * engine beside it has its part of the ceiling, which the parent's limit knows nothing of: as long
 * as there is one, nothing is lent.
 */
static void lend(struct daemon *d, uint64_t now_ns)
{
	uint64_t clear = limits_clearance(d->params.reserve_bytes, d->ceiling_bytes);
	uint64_t unused = d->params.reserve_bytes - clear, used = clear, borrowers = 0;
	bool held = true;

	for_each_engine (d, e) {
		if (e->status != ENGINE_ACTIVE)
			continue;
		held &= e->below_ceiling;
		used = sat_add_u64(used, min_u64(d->sample[e->slot].usage_bytes,
						 d->decision[e->slot].target_bytes));
		if (e->heap)
			unused = sat_add_u64(unused, sat_sub_u64(d->decision[e->slot].target_bytes,
								 d->sample[e->slot].usage_bytes));
	}
	d->lent_bytes = held ? limits_lend(d->lent_bytes, unused,
					   sat_sub_u64(d->ceiling_bytes, used), now_ns - d->lent_ns)
			     : 0;
	d->lent_ns = now_ns;
	for_each_engine (d, e)
		borrowers += presses(d, e);
	/* all loans together fit beside what is used; under protection nobody loses to them anyway */
	for_each_engine (d, e) {
		if (presses(d, e))
			e->lent_bytes = loan_of(d, e, d->lent_bytes / borrowers, now_ns);
		else if (e->soft && borrows(d, e))
			e->lent_bytes = loan_of(d, e, d->lent_bytes, now_ns);
		else
			e->lent_bytes = 0;
	}
	keep_to_groups(d);
}

void act_all(struct daemon *d, uint64_t now_ns)
{
	uint64_t floors = 0, active = 0, claims = 0, room;
	uint32_t n = d->slots_used, first = n ? (uint32_t)(d->samples % n) : 0;

	for_each_engine (d, e) {
		if (e->status == ENGINE_ACTIVE)
			collect(d, e, now_ns);
		if (e->status == ENGINE_ACTIVE)
			verify(d, e, now_ns);
		if (e->status != ENGINE_ACTIVE)
			continue;
		if (e->soft)
			watch_freeze(d, e, now_ns);
		e->heap =
		    (e->soft || e->held_by_parent) &&
		    limits_is_heap(e->heap, reclaimable_of(d, e), d->sample[e->slot].usage_bytes,
				   d->decision[e->slot].target_bytes, d->ceiling_bytes);
		floors += max_u64(d->law_engine[e->slot].min_bytes,
				  d->sample[e->slot].unreclaimable_bytes);
		active++;
		set_release(d, e, now_ns);
	}
	lend(d, now_ns);
	for_each_engine (d, e) {
		if (!steered(d, e))
			continue;
		plan(d, e, floors, active, now_ns);
		look_again(d, e, now_ns);
		if (steered(d, e))
			shrink(d, e, now_ns);
	}
	for_each_engine (d, e)
		if (e->status == ENGINE_ACTIVE)
			claims = sat_add_u64(claims, engine_claim(d, e));
	room = limits_room(d->ceiling_bytes, d->params.reserve_bytes, claims);
	/* Begin with another one each time, so that scarce room goes round. */
	for (uint32_t i = 0; i < n; i++) {
		struct engine *e = &d->engine[(first + i) % n];

		if (!steered(d, e))
			continue;
		room = grow(d, e, room, now_ns);
		protect(d, e, now_ns);
	}
}
