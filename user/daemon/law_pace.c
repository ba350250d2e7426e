/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When to look again: sooner when a heap is about to meet its limit, so that it is given more
 * before its first reclaim; less often when nothing has happened for a while.
 */
#include "user/daemon/law_internal.h"

#define PACE_LOOKS   4 /* before a growing heap meets its limit */
#define PACE_CALM_NS (5 * LAW_S) /* of nothing, before the pace slackens */
#define PACE_STALL   1000 /* ppm; less is not worth a look */

/* Nobody is stalled, grows, or was given another target. */
static bool is_calm(const struct law_estimate *est, const struct law_decision *decision)
{
	return est->stall_avg_ppm < PACE_STALL && est->stall_ppm < PACE_STALL &&
	       est->usage_velocity_bytes_per_s < (int64_t)est->bucket_bytes &&
	       decision->target_bytes == decision->before_bytes;
}

/* By what it has just been given. */
static uint64_t time_to_limit_ns(const struct law_estimate *est,
				 const struct law_decision *decision)
{
	uint64_t room = law_less(decision->target_bytes, est->last.usage_bytes);

	return law_time(room, (uint64_t)est->usage_velocity_bytes_per_s);
}

uint64_t law_pace(struct law_pace_state *state, const struct law_pace_bounds *bounds,
		  const struct law_engine *engine, const struct law_estimate *estimate,
		  const struct law_decision *decision, uint32_t n, uint64_t now_ns)
{
	uint64_t least_ns = law_min(bounds->least_ns, bounds->regular_ns);
	uint64_t soonest_ns = UINT64_MAX;
	bool calm = true;

	for (uint32_t i = 0; i < n; i++) {
		const struct law_estimate *est = &estimate[i];

		if (!engine[i].active || est->updates == 0)
			continue;
		calm &= is_calm(est, &decision[i]);
		if (est->memory.heap && est->usage_velocity_bytes_per_s > 0 && !engine[i].manual &&
		    decision[i].target_bytes < engine[i].max_bytes)
			soonest_ns = law_min(soonest_ns, time_to_limit_ns(est, &decision[i]));
	}
	if (!calm || state->calm_since_ns == 0 || state->calm_since_ns > now_ns)
		state->calm_since_ns = law_max(now_ns, 1);
	if (calm && now_ns - state->calm_since_ns >= PACE_CALM_NS)
		return law_max(bounds->most_ns, bounds->regular_ns);
	return law_clamp(soonest_ns / PACE_LOOKS, least_ns, bounds->regular_ns);
}
