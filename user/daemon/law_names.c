/* SPDX-License-Identifier: BSD-2-Clause */
/* The words operators read: policies and reasons. */
#include <stddef.h>
#include <string.h>

#include "user/daemon/law.h"

static const char *const policies[LAW_POLICY_COUNT] = {
	[LAW_POLICY_MARGINAL] = "marginal",         [LAW_POLICY_STATIC] = "static",
	[LAW_POLICY_PROPORTIONAL] = "proportional", [LAW_POLICY_SENPAI] = "senpai",
	[LAW_POLICY_IDLE_TAX] = "idle-tax",         [LAW_POLICY_PSI] = "psi",
};

static const char *const reasons[LAW_REASON_COUNT] = {
	[LAW_REASON_NONE] = "none",
	[LAW_REASON_START] = "start",
	[LAW_REASON_GAIN] = "gain",
	[LAW_REASON_DONATE] = "donate",
	[LAW_REASON_IDLE] = "idle",
	[LAW_REASON_BURST] = "burst",
	[LAW_REASON_STREAM] = "stream",
	[LAW_REASON_FLOOR] = "floor",
	[LAW_REASON_CEILING] = "ceiling",
	[LAW_REASON_FILLING] = "filling",
	[LAW_REASON_HYSTERESIS] = "hysteresis",
	[LAW_REASON_NOISE] = "noise",
	[LAW_REASON_MANUAL] = "manual",
	[LAW_REASON_OVERCOMMITTED] = "overcommitted",
	[LAW_REASON_POLICY] = "policy",
	[LAW_REASON_INACTIVE] = "inactive",
	[LAW_REASON_TARGET] = "target",
	[LAW_REASON_ASK] = "ask",
	[LAW_REASON_TRIAL] = "trial",
	[LAW_REASON_PHASES] = "phases",
};

const char *policy_name(enum law_policy policy)
{
	return (unsigned int)policy < LAW_POLICY_COUNT ? policies[policy] : "unknown";
}

int policy_from_name(const char *name)
{
	for (int i = 0; i < LAW_POLICY_COUNT; i++)
		if (strcmp(name, policies[i]) == 0)
			return i;
	return -1;
}

const char *policy_reason_name(enum law_reason reason)
{
	return (unsigned int)reason < LAW_REASON_COUNT ? reasons[reason] : "unknown";
}
