/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When reuse times are worth what counting them costs the engines: while somebody is stalled by what
 * memory would cure, or by what his curve does not tell. Who has what he needs, or could never have
 * it, is left alone, but for a look now and then: his neighbours' needs, and his own, may have
 * become less.
 */
#include "user/daemon/law_internal.h"

#define WATCH_STALL     (LAW_ONE / 200) /* of time: less is not worth a look */
#define WATCH_CURE      (LAW_ONE / 100) /* stall per work that memory would end */
#define WATCH_ERROR     2 /* times what the curve tells, stalled: it tells of another load */
#define WATCH_NEW_NS    (10 * LAW_S) /* after an engine came */
#define WATCH_LINGER_NS (2 * LAW_S) /* after the last need */
#define WATCH_REST_NS   (15 * LAW_S) /* then at most, until ... */
#define WATCH_LOOK_NS   LAW_S /* ... a look of so long */

static bool needs_watching(const struct law_estimate *est)
{
	const struct law_memory *m = &est->memory;
	uint64_t cure = (law_less(m->outside, m->far) * m->kappa) >> LAW_ONE_SHIFT;

	if (m->refault_stall < WATCH_STALL)
		return false;
	if (!m->reuse_known)
		return true;
	return cure > WATCH_CURE ||
	       law_stall_per_work(m->refault_stall) > WATCH_ERROR * law_stall_of(est);
}

bool law_watch(struct law_watch_state *state, const struct law_engine *engine,
	       const struct law_estimate *estimate, uint32_t n, uint64_t now_ns)
{
	bool needed = false;
	uint32_t active = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!engine[i].active || estimate[i].updates == 0)
			continue;
		active++;
		needed |= needs_watching(&estimate[i]);
	}
	if (active > state->active)
		state->until_ns = law_max(state->until_ns, now_ns + WATCH_NEW_NS);
	state->active = active;
	if (needed)
		state->until_ns = law_max(state->until_ns, now_ns + WATCH_LINGER_NS);
	else if (law_less(now_ns, state->until_ns) >= WATCH_REST_NS)
		state->until_ns = now_ns + WATCH_LOOK_NS;
	return now_ns < state->until_ns;
}
