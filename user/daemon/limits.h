/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From targets to cgroup limits: pure. Three modes per engine.
 *
 * soft (v2, under the common parent whose memory.max is the ceiling): the target is memory.low,
 * memory.high a loose cap for file engines (a quarter above it, or by what nobody uses if that is
 * more) and the target itself for streams, memory.max a backstop that makes a leaking engine meet
 * its own limit before the parent's.
 * hard (hybrid, `limit = hard`, engines without a common parent): the target is the limit; under
 * the common parent with what nobody uses on top, see limits_lend().
 * backstop (hybrid, under the common parent, an engine that cannot be reclaimed): a limit at the
 * target could only kill it. Its limit is the same backstop as in soft mode; when it grows past its
 * target the parent's limit holds, and takes back its neighbours' cache until the law has caught
 * up.
 */
#ifndef BAROSTAT_DAEMON_LIMITS_H
#define BAROSTAT_DAEMON_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "cgroup/cgroup.h"

/* What is kept above memory that cannot be reclaimed, so that a limit never throttles or kills
 * for a few pages of growth between two ticks: 1/32 of it, at least 2 MiB. */
uint64_t limits_headroom(uint64_t unreclaimable_bytes);

enum limits_mode { LIMITS_HARD, LIMITS_SOFT, LIMITS_BACKSTOP };

/* "min", "low", "high", "max" */
const char *limits_name(enum cg_limit which);

struct limits_input {
	enum limits_mode mode;
	bool stream; /* the law caps it at its target */
	bool spare_high; /* the freeze watchdog lifted memory.high */
	uint64_t target_bytes, min_bytes, max_bytes; /* of the law and the operator */
	uint64_t lent_bytes; /* hard, soft: see limits_lend() */
	uint64_t unreclaimable_bytes, usage_bytes, anon_bytes, dirty_bytes;
	uint64_t ceiling_bytes; /* in force, of the parent */
	uint64_t others_floor_bytes; /* sum over the other engines of max(min, unreclaimable) */
	uint64_t engines; /* active ones */
	struct cg_limits origin; /* left as it was where we set nothing */
};

/*
 * The limits an engine should have. Always: min <= low <= high <= max; high and max not below
 * unreclaimable + headroom; whole pages.
 */
void limits_want(const struct limits_input *in, struct cg_limits *ret);

/*
 * Whether a limit could do little but kill: reclaim could take less than half of what the engine
 * uses, or less than 1/32 of the ceiling. For one that was not such a heap so far: less than 1/8 of
 * what it uses, or it has hardly begun; or else a small cache would be let go, limited and cut down
 * in turn. One that stands above its target by a 64th of the ceiling is none any more when half of
 * what could be reclaimed is more than that: what nothing holds down is missing elsewhere.
 */
bool limits_is_heap(bool was, uint64_t reclaimable_bytes, uint64_t usage_bytes,
		    uint64_t target_bytes, uint64_t ceiling_bytes);

/* What an engine holds of the ceiling while `actual` is in force: its protection (soft), its limit
 * (hard), or the larger of its target and what it uses (backstop). A manual engine without a limit
 * holds what it uses. */
uint64_t limits_claim(enum limits_mode mode, bool manual, const struct cg_limits *actual,
		      uint64_t target_bytes, uint64_t usage_bytes, uint64_t lent_bytes);

/* What was given to an engine, as the law is to know it: a limit without what is lent, as far as it
 * is lent; where targets are protection, the target and not the loose cap. */
uint64_t limits_given(enum limits_mode mode, const struct cg_limits *actual, uint64_t target_bytes,
		      uint64_t lent_bytes, uint64_t ceiling_bytes);

/*
 * What nobody uses of what is given or held back, and who is limited or capped may have on top of
 * its target where the parent's limit holds the sum: `unused` rises at once and falls with a time
 * constant of 2 s, for what heaps leave and come back to is not worth a reclaim each time, but no
 * slower than others come to use what is theirs: they leave `room`. To the byte: were it rounded
 * down, it would fall by looking often.
 */
uint64_t limits_lend(uint64_t lent_bytes, uint64_t unused_bytes, uint64_t room_bytes,
		     uint64_t dt_ns);

/* What is not lent of the reserve: ceiling / 64, at most half of it. Who allocates while the parent is
 * full reclaims there, be it the one engine that has nothing to give. */
uint64_t limits_clearance(uint64_t reserve_bytes, uint64_t ceiling_bytes);

/* Whether an engine uses what it was given to within a step of limits_loan(). Only who does is lent
 * more, and loans on top of limits are parts of what is lent: with what others use of their own they
 * then stay within the ceiling, and nobody loses pages to a neighbour's loan. */
bool limits_presses(uint64_t usage_bytes, uint64_t target_bytes, uint64_t ceiling_bytes);

/*
 * How much of it an engine that `had` some may have now: in steps of ceiling / 128, at least a MiB,
 * and no less before half a step is missing, so that limits are not written on every tick.
 */
uint64_t limits_loan(uint64_t had_bytes, uint64_t lent_bytes, uint64_t ceiling_bytes);

/* The lowest limit in force, BYTES_NO_LIMIT where there is none. */
uint64_t limits_in_force(const struct cg_limits *actual);

/* Until usage that grows at this velocity meets the limit; UINT64_MAX: never. */
uint64_t limits_time_to(uint64_t limit_bytes, uint64_t usage_bytes, int64_t bytes_per_s);

/* How much more may be handed out now: ceiling - reserve - claims, 0 when nothing. */
uint64_t limits_room(uint64_t ceiling_bytes, uint64_t reserve_bytes, uint64_t claims_bytes);

#endif
