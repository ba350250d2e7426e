// SPDX-License-Identifier: BSD-2-Clause
/* See governor_law.h; the rules in words are in <barostat/governor.h>. */
#include "user/lib/governor_law.h"

#include "user/lib/arith.h"
#include "user/lib/clock.h"

#define HUNGRY_PERCENT 90 /* of its limit was used: it may soon want more */
#define IDLE_PERCENT   60 /* no more than this was used: it has something to give */
/* What a donor keeps: its peak and a third, so that it is neither idle nor hungry afterwards. */
#define KEEP_OF_PEAK(peak) ((peak) + (peak) / 3)
#define STEP_SHARE                                                                                 \
	4 /* of its limit an engine gives or gets at most in one call, or what it asked for */
#define MOVE_SHARE     1024 /* of all limits, at most the ceiling: nothing smaller moves */
#define IDLE_NS        (2 * LIB_NS_PER_S) /* so long before it gives ... */
#define RELUCTANCE_MAX 6 /* ... doubled each time it regretted it */
#define REGRET_NS      (30 * LIB_NS_PER_S)
#define CALM_NS        (300 * LIB_NS_PER_S)
#define COOLDOWN_NS    (5 * LIB_NS_PER_S) /* who got something does not give so soon */

/* a * b / c, rounded down, with b <= c. */
static uint64_t part(uint64_t a, uint64_t b, uint64_t c)
{
	return c ? (uint64_t)((unsigned __int128)a * b / c) : 0;
}

static uint64_t part_up(uint64_t a, uint64_t b, uint64_t c)
{
	return c ? (uint64_t)(((unsigned __int128)a * b + c - 1) / c) : 0;
}

static bool reached(uint64_t value, uint64_t of, uint64_t percent)
{
	return (unsigned __int128)value * 100 >= (unsigned __int128)of * percent;
}

static uint64_t in_force(const struct law_engine *e)
{
	return lib_max(e->limit_bytes, e->used_bytes);
}

/* ---- fitting --------------------------------------------------------------------------------- */

static uint64_t floor_own(const struct law_engine *e)
{
	return lib_max(lib_max(e->own_bytes, e->min_bytes), e->used_bytes);
}

static uint64_t floor_used(const struct law_engine *e)
{
	return lib_max(e->min_bytes, e->used_bytes);
}

static uint64_t floor_min(const struct law_engine *e)
{
	return e->min_bytes;
}

static uint64_t sum_of(const struct law_engine *engine, size_t count,
		       uint64_t (*value)(const struct law_engine *))
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += value(&engine[i]);
	return sum;
}

static uint64_t limit_of(const struct law_engine *e)
{
	return e->limit_bytes;
}

/* Takes `over` bytes off the limits, in proportion to what they are above their floors; all of that
 * when it is not enough. Returns how much that was. */
static uint64_t lower(struct law_engine *engine, size_t count, uint64_t over,
		      uint64_t (*floor)(const struct law_engine *))
{
	uint64_t all = 0, taken = 0;

	for (size_t i = 0; i < count; i++)
		all += lib_less(engine[i].limit_bytes, floor(&engine[i]));
	over = lib_min(over, all);
	for (size_t i = 0; i < count && taken < over; i++) {
		uint64_t above = lib_less(engine[i].limit_bytes, floor(&engine[i]));
		uint64_t share = lib_min(lib_min(part_up(over, above, all), above), over - taken);

		engine[i].limit_bytes -= share;
		taken += share;
	}
	return taken;
}

static void bound(uint64_t *bytes)
{
	*bytes = lib_min(*bytes, LAW_BYTES_MAX);
}

static void bound_all(struct law_engine *e)
{
	bound(&e->min_bytes);
	bound(&e->own_bytes);
	bound(&e->max_bytes);
	bound(&e->used_bytes);
	bound(&e->peak_bytes);
	bound(&e->wanted_bytes);
	e->limit_bytes = lib_min(lib_max(e->limit_bytes, e->min_bytes), e->max_bytes);
}

void law_fit(struct law_engine *engine, size_t count, uint64_t ceiling_bytes)
{
	uint64_t over;

	bound(&ceiling_bytes);
	for (size_t i = 0; i < count; i++)
		bound_all(&engine[i]);
	over = lib_less(sum_of(engine, count, in_force), ceiling_bytes);
	over -= lower(engine, count, over, floor_own);
	(void)lower(engine, count, over, floor_used);
	over = lib_less(sum_of(engine, count, limit_of), ceiling_bytes);
	(void)lower(engine, count, over, floor_min);
}

/* ---- who wants, who has ---------------------------------------------------------------------- */

static bool is_hungry(const struct law_engine *e)
{
	return e->wanted_bytes ||
	       (e->peak_bytes && reached(e->peak_bytes, e->limit_bytes, HUNGRY_PERCENT));
}

static uint64_t want_of(const struct law_engine *e, uint64_t move_bytes)
{
	uint64_t step = lib_max(lib_max(e->limit_bytes / STEP_SHARE, e->wanted_bytes), move_bytes);
	uint64_t need = e->limit_bytes + lib_max(e->limit_bytes / (2 * STEP_SHARE), move_bytes);

	if (e->wanted_bytes)
		need = lib_max(need, e->used_bytes + e->wanted_bytes);
	need = lib_min(lib_max(need, e->peak_bytes + e->peak_bytes / 4), e->max_bytes);
	return lib_min(lib_less(need, e->limit_bytes), step);
}

static uint64_t elapsed(uint64_t since_ns, uint64_t now_ns)
{
	return lib_less(now_ns, since_ns);
}

static uint64_t surplus_of(const struct law_engine *e, uint64_t move_bytes, uint64_t now_ns)
{
	uint64_t keep = lib_max(lib_max(e->min_bytes, e->used_bytes), KEEP_OF_PEAK(e->peak_bytes));
	uint64_t surplus = lib_min(lib_less(e->limit_bytes, keep),
				   lib_max(e->limit_bytes / STEP_SHARE, move_bytes));

	if (!e->idle || elapsed(e->idle_since_ns, now_ns) < IDLE_NS << e->reluctance ||
	    (e->got && elapsed(e->got_ns, now_ns) < COOLDOWN_NS))
		return 0;
	return surplus >= move_bytes ? surplus : 0;
}

static void look(struct law_engine *e, uint64_t move_bytes, uint64_t now_ns)
{
	bool idle = !e->wanted_bytes && e->limit_bytes &&
		    (unsigned __int128)e->peak_bytes * 100 <=
			(unsigned __int128)e->limit_bytes * IDLE_PERCENT;

	if (idle && !e->idle)
		e->idle_since_ns = now_ns;
	e->idle = idle;
	e->hungry = is_hungry(e);
	e->want_bytes = e->hungry ? want_of(e, move_bytes) : 0;
	e->surplus_bytes = surplus_of(e, move_bytes, now_ns);
}

/* ---- moving ---------------------------------------------------------------------------------- */

/* What an engine below its own share calls back. */
static uint64_t claim_of(const struct law_engine *e)
{
	return lib_min(e->want_bytes, lib_less(e->own_bytes, e->limit_bytes));
}

static uint64_t want_of_any(const struct law_engine *e)
{
	return e->want_bytes;
}

/* Up to its own share, when there is room that nobody wants. */
static uint64_t lack_of(const struct law_engine *e)
{
	return lib_less(lib_min(e->own_bytes, e->max_bytes), e->limit_bytes);
}

static void note_got(struct law_engine *e, uint64_t now_ns)
{
	if (e->gave && elapsed(e->gave_ns, now_ns) < REGRET_NS && e->reluctance < RELUCTANCE_MAX)
		e->reluctance++;
	e->gave = false;
	e->got = true;
	e->got_ns = now_ns;
}

static void note_gave(struct law_engine *e, uint64_t now_ns)
{
	if (!e->got || elapsed(e->got_ns, now_ns) > CALM_NS)
		e->reluctance = 0;
	e->gave = true;
	e->gave_ns = now_ns;
}

/* Hands out up to `supply` bytes in proportion to what is asked; returns how much. */
static uint64_t hand_out(struct law_engine *engine, size_t count, uint64_t supply,
			 uint64_t (*asks)(const struct law_engine *), uint64_t now_ns)
{
	uint64_t asked = sum_of(engine, count, asks), given = 0;

	supply = lib_min(supply, asked);
	for (size_t i = 0; i < count; i++) {
		struct law_engine *e = &engine[i];
		uint64_t share = part(supply, asks(e), asked);

		if (!share)
			continue;
		if (e->want_bytes)
			note_got(e, now_ns);
		e->limit_bytes += share;
		e->want_bytes = lib_less(e->want_bytes, share);
		given += share;
	}
	return given;
}

/* Takes up to `bytes` of what idle engines have to give; returns how much. */
static uint64_t take_surplus(struct law_engine *engine, size_t count, uint64_t bytes,
			     uint64_t now_ns)
{
	uint64_t all = 0, taken = 0;

	for (size_t i = 0; i < count; i++)
		all += engine[i].surplus_bytes;
	bytes = lib_min(bytes, all);
	for (size_t i = 0; i < count; i++) {
		struct law_engine *e = &engine[i];
		uint64_t share = part(bytes, e->surplus_bytes, all);

		if (!share)
			continue;
		e->limit_bytes -= share;
		e->surplus_bytes -= share;
		note_gave(e, now_ns);
		taken += share;
	}
	return taken;
}

/*
 * Calls back up to `bytes` of what is lent, for those who asked and were refused: limits of
 * borrowers go down to their own share, also below what they use. Returns what that sets free at
 * once; the rest comes as they release, and they get nothing meanwhile.
 */
static uint64_t call_back(struct law_engine *engine, size_t count, uint64_t bytes)
{
	uint64_t all = 0, before = sum_of(engine, count, in_force);

	for (size_t i = 0; i < count; i++)
		all += lib_less(engine[i].limit_bytes, engine[i].own_bytes);
	bytes = lib_min(bytes, all);
	for (size_t i = 0; i < count; i++) {
		struct law_engine *e = &engine[i];
		uint64_t share = part(bytes, lib_less(e->limit_bytes, e->own_bytes), all);

		e->limit_bytes -= share;
	}
	return before - sum_of(engine, count, in_force);
}

/* Of the claims, those of engines that were really refused something, less what was called back
 * before and is on its way. */
static uint64_t urgent_claims(const struct law_engine *engine, size_t count)
{
	uint64_t sum = 0, pending = 0;

	for (size_t i = 0; i < count; i++) {
		if (engine[i].wanted_bytes)
			sum += claim_of(&engine[i]);
		pending += lib_less(engine[i].used_bytes, engine[i].limit_bytes);
	}
	return lib_less(sum, pending);
}

void law_rebalance(struct law_engine *engine, size_t count, uint64_t ceiling_bytes, uint64_t now_ns)
{
	uint64_t move, free_bytes, claims, wants;

	bound(&ceiling_bytes);
	law_fit(engine, count, ceiling_bytes);
	move = lib_max(lib_min(ceiling_bytes, sum_of(engine, count, in_force)) / MOVE_SHARE, 1);
	for (size_t i = 0; i < count; i++)
		look(&engine[i], move, now_ns);
	free_bytes = lib_less(ceiling_bytes, sum_of(engine, count, in_force));

	claims = sum_of(engine, count, claim_of);
	free_bytes += take_surplus(engine, count, lib_less(claims, free_bytes), now_ns);
	if (free_bytes < claims)
		free_bytes +=
		    call_back(engine, count, lib_less(urgent_claims(engine, count), free_bytes));
	free_bytes -= hand_out(engine, count, free_bytes, claim_of, now_ns);

	wants = sum_of(engine, count, want_of_any);
	free_bytes += take_surplus(engine, count, lib_less(wants, free_bytes), now_ns);
	free_bytes -= hand_out(engine, count, free_bytes, want_of_any, now_ns);

	(void)hand_out(engine, count, free_bytes, lack_of, now_ns);
}
