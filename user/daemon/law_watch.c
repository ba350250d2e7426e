/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When reuse times are worth what counting them costs the engines: while somebody is stalled by what
 * memory would cure, or by what his curve does not tell, and memory still moves. Who has what he
 * needs, or could never have it, is left alone, but for a look now and then: his neighbours' needs,
 * and his own, may have become less. Where somebody lacks memory and it has come to rest, as on a
 * host that is always short of it, looks are more frequent.
 */
#include "user/daemon/law_internal.h"

#define WATCH_STALL     (LAW_ONE / 200) /* of time: less is not worth a look */
#define WATCH_CURE      (LAW_ONE / 100) /* stall per work that memory would end */
#define WATCH_ERROR     2 /* times what the curve tells, stalled: it tells of another load */
#define WATCH_NEW_NS    (10 * LAW_S) /* after an engine came */
#define WATCH_LINGER_NS (2 * LAW_S) /* after the last need */
#define WATCH_REST_NS   (15 * LAW_S) /* then at most, until ... */
#define WATCH_LOOK_NS   LAW_S /* ... a look of so long */
#define SETTLED_NS      (5 * LAW_S) /* after the last move, and since somebody lacks memory */
#define UNSEEN_NS       (60 * LAW_S) /* the same, for whom there is no curve, or a wrong one */
#define SETTLED_JUMP    (LAW_ONE / 20) /* of time; or a quarter of what it is stalled usually */
#define SETTLED_REST_NS (4 * LAW_S) /* of rest where somebody lacks memory */

static bool curve_errs(const struct law_estimate *est)
{
	return !est->memory.reuse_known ||
	       law_stall_per_work(est->memory.refault_stall) > WATCH_ERROR * law_stall_of(est);
}

static bool needs_watching(const struct law_estimate *est)
{
	const struct law_memory *m = &est->memory;
	uint64_t cure = (law_less(m->outside, m->far) * m->kappa) >> LAW_ONE_SHIFT;

	return m->refault_stall >= WATCH_STALL && (cure > WATCH_CURE || curve_errs(est));
}

/* It is as it was, though somebody has lacked memory for so long: more would not be seen. */
static bool is_settled(const struct law_estimate *est, const struct law_engine_state *s,
		       uint64_t lacked_ns, uint64_t now_ns)
{
	const struct law_memory *m = &est->memory;
	uint64_t most = law_max(m->stall_now, m->stall_usual);
	uint64_t jump = most - law_min(m->stall_now, m->stall_usual);

	return lacked_ns >= (curve_errs(est) ? UNSEEN_NS : SETTLED_NS) &&
	       jump <= law_max(SETTLED_JUMP, m->stall_usual / 4) && !law_phases_short(est) &&
	       law_less(now_ns, s->last_move_ns) >= SETTLED_NS;
}

bool law_watch(struct law_watch_state *state, const struct law_engine_state *moves,
	       const struct law_engine *engine, const struct law_estimate *estimate, uint32_t n,
	       uint64_t now_ns)
{
	uint64_t lacked_ns = state->needed_ns > 0 ? law_less(now_ns, state->needed_ns) : 0;
	bool needed = false, settled = true;
	uint64_t rest_ns;
	uint32_t active = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!engine[i].active || estimate[i].updates == 0)
			continue;
		active++;
		if (!needs_watching(&estimate[i]))
			continue;
		needed = true;
		settled &= is_settled(&estimate[i], &moves[i], lacked_ns, now_ns);
	}
	if (active > state->active)
		state->until_ns = law_max(state->until_ns, now_ns + WATCH_NEW_NS);
	state->active = active;
	if (!needed)
		state->needed_ns = 0;
	else if (state->needed_ns == 0)
		state->needed_ns = law_max(now_ns, 1);
	rest_ns = needed ? SETTLED_REST_NS : WATCH_REST_NS;
	if (needed && !settled)
		state->until_ns = law_max(state->until_ns, now_ns + WATCH_LINGER_NS);
	else if (law_less(now_ns, state->until_ns) >= rest_ns)
		state->until_ns = now_ns + WATCH_LOOK_NS;
	return now_ns < state->until_ns;
}
