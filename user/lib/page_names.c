// SPDX-License-Identifier: BSD-2-Clause
/* Words for the page's codes and for what opening it may say. */
#include <errno.h>
#include <stddef.h>

#include "user/lib/page_internal.h"

#define NAME_OF(names, code)                                                                       \
	((code) < sizeof(names) / sizeof((names)[0]) && (names)[code] ? (names)[code] : "?")

static const char *const level_names[] = {
	[BARO_LEVEL_UNKNOWN] = "unknown",     [BARO_LEVEL_NORMAL] = "normal",
	[BARO_LEVEL_WARNING] = "warning",     [BARO_LEVEL_CRITICAL] = "critical",
	[BARO_LEVEL_EMERGENCY] = "emergency",
};

static const char *const state_names[] = {
	[BARO_SLOT_FREE] = "free", [BARO_SLOT_ACTIVE] = "active", [BARO_SLOT_WAITING] = "waiting",
	[BARO_SLOT_GONE] = "gone", [BARO_SLOT_MANUAL] = "manual",
};

static const char *const reason_names[] = {
	[BARO_REASON_NONE] = "none",
	[BARO_REASON_START] = "start",
	[BARO_REASON_GAIN] = "gain",
	[BARO_REASON_DONATE] = "donate",
	[BARO_REASON_IDLE] = "idle",
	[BARO_REASON_BURST] = "burst",
	[BARO_REASON_STREAM] = "stream",
	[BARO_REASON_FLOOR] = "floor",
	[BARO_REASON_CEILING] = "ceiling",
	[BARO_REASON_FILLING] = "filling",
	[BARO_REASON_HYSTERESIS] = "hysteresis",
	[BARO_REASON_NOISE] = "noise",
	[BARO_REASON_MANUAL] = "manual",
	[BARO_REASON_OVERCOMMITTED] = "overcommitted",
	[BARO_REASON_POLICY] = "policy",
	[BARO_REASON_INACTIVE] = "inactive",
	[BARO_REASON_TARGET] = "target",
	[BARO_REASON_ASK] = "ask",
	[BARO_REASON_TRIAL] = "trial",
	[BARO_REASON_PHASES] = "phases",
};

static const char *const rung_names[] = {
	[BARO_RUNG_UNKNOWN] = "unknown",
	[BARO_RUNG_FULL] = "full",
	[BARO_RUNG_TRACEPOINTS] = "tracepoints",
	[BARO_RUNG_HYBRID] = "hybrid",
	[BARO_RUNG_FILES] = "files",
	[BARO_RUNG_OBSERVE] = "observe",
};

static const char *const cause_names[] = {
	[BARO_STALL_DIRECT_RECLAIM] = "direct_reclaim",
	[BARO_STALL_HIGH_THROTTLE] = "high_throttle",
	[BARO_STALL_REFAULT] = "refault",
	[BARO_STALL_SWAP_IN] = "swap_in",
};

const char *baro_level_name(uint32_t level)
{
	return NAME_OF(level_names, level);
}

const char *baro_slot_state_name(uint32_t state)
{
	return NAME_OF(state_names, state);
}

const char *baro_reason_name(uint32_t reason)
{
	return NAME_OF(reason_names, reason);
}

const char *baro_rung_name(uint32_t rung)
{
	return NAME_OF(rung_names, rung);
}

const char *baro_stall_cause_name(uint32_t cause)
{
	return NAME_OF(cause_names, cause);
}

const char *baro_page_strerror(int err)
{
	switch (err < 0 ? -err : err) {
	case 0:
		return "no error";
	case ENOENT:
		return "there is no pressure page: barostatd has not run here";
	case EACCES:
		return "reading the pressure page is not allowed";
	case EINVAL:
		return "the pressure page is not a regular file";
	case EPERM:
		return "the pressure page could be written by someone else than root";
	case EBADMSG:
		return "the file is not a pressure page";
	case EPROTONOSUPPORT:
		return "the pressure page is of another major version";
	case EPROTO:
		return "the sizes in the pressure page make no sense";
	case ENODATA:
		return "the pressure page is truncated";
	case ESTALE:
		return "the pressure page's lease has run out: barostatd is gone";
	case EAGAIN:
		return "the pressure page was left in the middle of a write";
	case ENOMEM:
		return "out of memory";
	default:
		return "the pressure page cannot be opened";
	}
}
