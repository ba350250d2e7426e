/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/limits.h"

#include "user/common/clock.h"
#include "user/common/units.h"
#include "user/daemon/law.h"

#define CAP_SLACK_SHIFT 2 /* a file engine may stand 1/4 above its target */
#define CAP_SLACK_MIN   (8 * MIB)
#define LITTLE_SHARE    32
#define BEGUN_SHARE     64
#define ABOVE_SHARE     64
#define LEND_NS         (2 * NS_PER_S)
#define LOAN_STEPS      128
#define CLEAR_SHARE     64 /* of the ceiling: stays free, so that nobody reclaims at the parent */
#define FLOOR_SHARE     4 /* memory.min in all at most ceiling / 4 */

const char *limits_name(enum cg_limit which)
{
	static const char *const names[CG_LIMIT_COUNT] = { "min", "low", "high", "max" };

	return names[which];
}

static uint64_t page_down(uint64_t bytes)
{
	return bytes == BYTES_NO_LIMIT ? bytes : bytes & ~(LAW_PAGE_BYTES - 1);
}

static uint64_t page_up(uint64_t bytes)
{
	return bytes > BYTES_NO_LIMIT - LAW_PAGE_BYTES ? BYTES_NO_LIMIT
						       : page_down(bytes + LAW_PAGE_BYTES - 1);
}

uint64_t limits_headroom(uint64_t unreclaimable_bytes)
{
	return max_u64(2 * MIB, page_up(unreclaimable_bytes / 32));
}

static uint64_t least_limit(const struct limits_input *in)
{
	return page_up(
	    sat_add_u64(in->unreclaimable_bytes, limits_headroom(in->unreclaimable_bytes)));
}

/* The loose cap: streams at their target, file engines 5/4 of it or what is lent on top of it, if
 * that is more, anonymous ones none. */
static uint64_t cap_of(const struct limits_input *in)
{
	uint64_t slack;

	if (in->spare_high)
		return BYTES_NO_LIMIT;
	if (in->stream)
		return in->target_bytes;
	if (in->anon_bytes > in->usage_bytes / 2)
		return BYTES_NO_LIMIT;
	slack = max_u64(in->target_bytes >> CAP_SLACK_SHIFT, CAP_SLACK_MIN);
	return sat_add_u64(in->target_bytes, max_u64(slack, in->lent_bytes));
}

/* A leaking engine meets this before the parent's limit, and is the one that is killed. In whole
 * MiB, so that it does not follow every page of the others. */
static uint64_t backstop_of(const struct limits_input *in)
{
	uint64_t backstop = sat_sub_u64(in->ceiling_bytes, in->others_floor_bytes);

	backstop = (backstop - backstop / 100) & ~(MIB - 1);
	return max_u64(page_down(min_u64(backstop, in->max_bytes)), least_limit(in));
}

static void want_soft(const struct limits_input *in, struct cg_limits *ret)
{
	uint64_t least = least_limit(in);
	uint64_t share = in->ceiling_bytes / FLOOR_SHARE / max_u64(in->engines, 1);

	ret->bytes[CG_LIMIT_MIN] = page_down(min_u64(in->min_bytes, share));
	ret->bytes[CG_LIMIT_LOW] = page_down(in->target_bytes);
	ret->bytes[CG_LIMIT_MAX] = backstop_of(in);
	ret->bytes[CG_LIMIT_HIGH] = max_u64(page_down(cap_of(in)), least);
	/* A cap above the backstop caps nothing. */
	if (ret->bytes[CG_LIMIT_HIGH] > ret->bytes[CG_LIMIT_MAX])
		ret->bytes[CG_LIMIT_HIGH] = BYTES_NO_LIMIT;
	ret->bytes[CG_LIMIT_LOW] = min_u64(
	    ret->bytes[CG_LIMIT_LOW], min_u64(ret->bytes[CG_LIMIT_HIGH], ret->bytes[CG_LIMIT_MAX]));
	ret->bytes[CG_LIMIT_MIN] = min_u64(ret->bytes[CG_LIMIT_MIN], ret->bytes[CG_LIMIT_LOW]);
}

static uint64_t hard_limit_of(const struct limits_input *in)
{
	uint64_t limit = sat_add_u64(in->target_bytes, in->lent_bytes);

	limit = max_u64(in->target_bytes, min_u64(limit, in->max_bytes));
	return max_u64(page_down(limit), least_limit(in));
}

void limits_want(const struct limits_input *in, struct cg_limits *ret)
{
	if (in->mode == LIMITS_SOFT) {
		want_soft(in, ret);
		return;
	}
	*ret = in->origin;
	ret->bytes[CG_LIMIT_MAX] =
	    in->mode == LIMITS_BACKSTOP ? backstop_of(in) : hard_limit_of(in);
}

bool limits_is_heap(bool was, uint64_t reclaimable_bytes, uint64_t usage_bytes,
		    uint64_t target_bytes, uint64_t ceiling_bytes)
{
	uint64_t above = sat_sub_u64(usage_bytes, target_bytes);

	if (!was)
		return reclaimable_bytes < usage_bytes / 8 ||
		       usage_bytes < ceiling_bytes / BEGUN_SHARE;
	if (above > ceiling_bytes / ABOVE_SHARE && reclaimable_bytes / 2 > above)
		return false;
	return reclaimable_bytes < usage_bytes / 2 ||
	       reclaimable_bytes < ceiling_bytes / LITTLE_SHARE;
}

uint64_t limits_claim(enum limits_mode mode, bool manual, const struct cg_limits *actual,
		      uint64_t target_bytes, uint64_t usage_bytes, uint64_t lent_bytes)
{
	if (mode == LIMITS_SOFT)
		return actual->bytes[CG_LIMIT_LOW];
	if (manual)
		return min_u64(actual->bytes[CG_LIMIT_MAX], max_u64(usage_bytes, LAW_PAGE_BYTES));
	if (mode == LIMITS_BACKSTOP)
		return max_u64(target_bytes, usage_bytes);
	return max_u64(sat_sub_u64(actual->bytes[CG_LIMIT_MAX], lent_bytes),
		       min_u64(actual->bytes[CG_LIMIT_MAX], target_bytes));
}

uint64_t limits_given(enum limits_mode mode, const struct cg_limits *actual, uint64_t target_bytes,
		      uint64_t lent_bytes, uint64_t ceiling_bytes)
{
	if (mode != LIMITS_HARD)
		return target_bytes;
	return min_u64(limits_claim(mode, false, actual, target_bytes, 0, lent_bytes),
		       ceiling_bytes);
}

static uint64_t loan_step(uint64_t ceiling_bytes)
{
	return max_u64(MIB, ceiling_bytes / LOAN_STEPS & ~(MIB - 1));
}

uint64_t limits_lend(uint64_t lent_bytes, uint64_t unused_bytes, uint64_t room_bytes,
		     uint64_t dt_ns)
{
	lent_bytes -=
	    mul_div_u64(sat_sub_u64(lent_bytes, unused_bytes), min_u64(dt_ns, LEND_NS), LEND_NS);
	return max_u64(min_u64(lent_bytes, room_bytes), unused_bytes);
}

uint64_t limits_clearance(uint64_t reserve_bytes, uint64_t ceiling_bytes)
{
	return min_u64(reserve_bytes / 2, ceiling_bytes / CLEAR_SHARE);
}

bool limits_presses(uint64_t usage_bytes, uint64_t target_bytes, uint64_t ceiling_bytes)
{
	return sat_add_u64(usage_bytes, loan_step(ceiling_bytes)) >= target_bytes;
}

uint64_t limits_loan(uint64_t had_bytes, uint64_t lent_bytes, uint64_t ceiling_bytes)
{
	uint64_t step = loan_step(ceiling_bytes);
	uint64_t loan = lent_bytes - lent_bytes % step;

	return loan < had_bytes && sat_add_u64(lent_bytes, step / 2) > had_bytes ? had_bytes : loan;
}

uint64_t limits_in_force(const struct cg_limits *actual)
{
	return min_u64(actual->bytes[CG_LIMIT_HIGH], actual->bytes[CG_LIMIT_MAX]);
}

uint64_t limits_time_to(uint64_t limit_bytes, uint64_t usage_bytes, int64_t bytes_per_s)
{
	if (limit_bytes == BYTES_NO_LIMIT)
		return UINT64_MAX;
	if (usage_bytes >= limit_bytes)
		return 0;
	if (bytes_per_s <= 0)
		return UINT64_MAX;
	return mul_div_u64(limit_bytes - usage_bytes, NS_PER_S, (uint64_t)bytes_per_s);
}

uint64_t limits_room(uint64_t ceiling_bytes, uint64_t reserve_bytes, uint64_t claims_bytes)
{
	return sat_sub_u64(sat_sub_u64(ceiling_bytes, reserve_bytes), claims_bytes);
}
