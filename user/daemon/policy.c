/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * policy_decide(): puts every engine on the bench, lets the policy say what it wants, projects
 * that onto the bounds, and writes the decisions with their reasons.
 */
#include "user/daemon/law_internal.h"

#define AWAKE_MAX           2 /* times the weight, of who sleeps half its time or more */
#define SMALL_SHARE         64 /* an engine without a minimum is left this part of the ceiling ... */
#define SMALL_SHARE_OF_FAIR 4 /* ... or this part of an equal share, when there are many */

uint64_t law_workspace_bytes(uint32_t engines)
{
	return sizeof(struct law_workspace) +
	       law_min(engines, LAW_ENGINES_MAX) * sizeof(struct plan_engine);
}

uint64_t law_free_pages(const struct law_workspace *w)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < w->n; i++)
		if (w->engine[i].active && !w->engine[i].manual)
			sum += w->engine[i].target;
	return law_less(w->available, sum);
}

static uint64_t weight_of(const struct law_params *params, const struct law_engine *engine)
{
	uint64_t weight = law_clamp(engine->weight, 1, 10000);
	uint64_t group = 100;

	if (engine->group < params->groups && engine->group < LAW_GROUPS_MAX)
		group = law_clamp(params->group[engine->group].weight, 1, 10000);
	return law_max(weight * group / 100, 1);
}

/*
 * Who is awake for a part of its time has only that part to do its work in: while it works, a second
 * of it counts for more than one of an engine that always does.
 */
static uint64_t worth_of(const struct law_memory *m, uint64_t weight)
{
	if (m->duty_age_ns == 0)
		return weight;
	return weight * LAW_ONE / law_max(m->duty, LAW_ONE / AWAKE_MAX);
}

/* It gets no more than it says it can make use of, whatever its curve promises. */
static void bench_demand(const struct law_demand *demand, struct plan_engine *e)
{
	uint64_t wanted = law_max(law_pages_up(demand->wanted_bytes), e->lo);

	if (!demand->clients || !demand->wanted_bytes || wanted >= e->hi)
		return;
	e->hi = wanted;
	e->wanted = true;
}

static void bench_engine(const struct plan *p, uint32_t i, uint64_t ceiling)
{
	const struct law_engine *engine = &p->engine[i];
	const struct law_sample *sample = &p->sample[i];
	struct plan_engine *e = &p->w->engine[i];

	*e = (struct plan_engine){ .peer = LAW_NO_ENGINE, .active = engine->active };
	if (!engine->active) {
		e->reason = LAW_REASON_INACTIVE;
		return;
	}
	e->before = law_pages(p->state->engine[i].target_bytes);
	if (e->before > ceiling) { /* the ceiling came down, or a restart adopted too much */
		e->before = ceiling;
		e->clamps = LAW_CLAMP_CEILING;
	}
	e->target = e->before;
	e->usage = law_min(law_pages(sample->usage_bytes), ceiling);
	if (!(sample->valid & LAW_VALID_USAGE))
		e->usage = e->before;
	e->hi = law_min(law_pages(engine->max_bytes), ceiling);
	e->min = law_pages_up(engine->min_bytes);
	if (sample->valid & LAW_VALID_KINDS)
		e->fixed = law_min(law_pages_up(sample->unreclaimable_bytes), ceiling);
	e->anon = (sample->valid & LAW_VALID_KINDS) && law_mostly_anon(sample);
	e->lo = law_min(law_max(e->min, e->fixed), e->hi);
	bench_demand(&sample->demand, e);
	e->weight = weight_of(p->params, engine);
	e->worth = worth_of(&p->estimate[i].memory, e->weight);
	e->allowed = UINT64_MAX;
	if (engine->stall_target_ppm > 0)
		e->allowed =
		    law_cost(law_stall_per_work(law_fraction(engine->stall_target_ppm, LAW_PPM)),
			     p->params->gamma_ppm);
	if (engine->manual) {
		e->manual = true;
		e->target = law_min(law_pages(engine->manual_bytes), ceiling);
		e->reason = LAW_REASON_MANUAL;
	}
}

static void bench_floors(const struct plan *p)
{
	struct law_workspace *w = p->w;
	uint64_t active = 0, small;

	for (uint32_t i = 0; i < w->n; i++)
		active += w->engine[i].active;
	small = w->available / law_max(SMALL_SHARE, SMALL_SHARE_OF_FAIR * active);
	for (uint32_t i = 0; i < w->n; i++) {
		struct plan_engine *e = &w->engine[i];

		e->floor = law_min(law_max(e->lo, small), e->hi);
	}
}

static void bench_setup(const struct plan *p)
{
	struct law_workspace *w = p->w;
	uint64_t ceiling = law_pages(p->params->ceiling_bytes);
	uint64_t manual = 0;

	w->n = p->n;
	w->weights = 0;
	for (uint32_t i = 0; i < p->n; i++) {
		bench_engine(p, i, ceiling);
		if (w->engine[i].manual)
			manual += w->engine[i].target;
		else
			w->weights += w->engine[i].weight;
	}
	w->available = law_less(law_less(ceiling, law_pages_up(p->params->reserve_bytes)), manual);
	w->burst = law_min(law_pages(p->params->burst_bytes), w->available);
	w->bucket = law_bucket_bytes(p->params->ceiling_bytes) / LAW_PAGE_BYTES;
	w->window_ns = law_min(law_less(p->now_ns, p->state->planned_ns), LAW_S);
	if (p->state->planned_ns == 0)
		w->window_ns = 100 * LAW_MS;
	bench_floors(p);
}

/* What the projection did to an engine outranks what the policy had in mind. */
static enum law_reason final_reason(const struct plan_engine *e)
{
	if (e->reason == LAW_REASON_OVERCOMMITTED || e->manual || !e->active || e->before == 0)
		return e->reason;
	if (e->target == e->before &&
	    (e->reason == LAW_REASON_GAIN || e->reason == LAW_REASON_TARGET ||
	     e->reason == LAW_REASON_DONATE || e->reason == LAW_REASON_BURST ||
	     e->reason == LAW_REASON_IDLE || e->reason == LAW_REASON_STREAM ||
	     e->reason == LAW_REASON_FLOOR))
		return LAW_REASON_NONE;
	if (e->target < e->want && (e->clamps & LAW_CLAMP_CEILING) && e->target < e->before)
		return LAW_REASON_CEILING;
	if (e->target > e->want && e->target > e->before)
		return LAW_REASON_FLOOR;
	return e->reason;
}

static void write_decisions(const struct plan *p, struct law_decision *decision)
{
	for (uint32_t i = 0; i < p->n; i++) {
		struct plan_engine *e = &p->w->engine[i];
		struct law_engine_state *s = &p->state->engine[i];

		e->reason = final_reason(e);
		decision[i] = (struct law_decision){
			.target_bytes = e->target * LAW_PAGE_BYTES,
			.before_bytes = s->target_bytes,
			.reason = e->reason,
			.clamps = e->clamps,
			.peer = e->peer,
			.gain_ppm = e->gain_ppm,
			.loss_ppm = e->loss_ppm,
			.stream = e->active && p->estimate[i].streaming,
			.release_bytes = e->release * LAW_PAGE_BYTES,
			.release_by_ns = e->release_by_ns,
		};
		if (!e->active) {
			*s = (struct law_engine_state){ 0 };
			continue;
		}
		s->target_bytes = e->target * LAW_PAGE_BYTES;
		s->limit_hits = p->sample[i].limit_hits;
	}
}

void policy_decide(struct law_state *state, const struct law_params *params,
		   const struct law_engine *engine, const struct law_sample *sample,
		   const struct law_estimate *estimate, uint32_t n, uint32_t urgent,
		   uint64_t now_ns, struct law_workspace *workspace,
		   struct law_decision *ret_decision)
{
	struct plan p = {
		.state = state,
		.params = params,
		.engine = engine,
		.sample = sample,
		.estimate = estimate,
		.n = (uint32_t)law_min(n, LAW_ENGINES_MAX),
		.urgent = urgent,
		.now_ns = now_ns,
		.w = workspace,
	};

	bench_setup(&p);
	switch (params->policy) {
	case LAW_POLICY_STATIC:
		law_share_static(&p);
		break;
	case LAW_POLICY_PROPORTIONAL:
		law_share_proportional(&p);
		break;
	case LAW_POLICY_SENPAI:
		law_peer_senpai(&p);
		break;
	case LAW_POLICY_IDLE_TAX:
		law_peer_idle_tax(&p);
		break;
	case LAW_POLICY_PSI:
		law_peer_psi(&p);
		break;
	default:
		law_marginal(&p);
		break;
	}
	law_project(&p);
	write_decisions(&p, ret_decision);
	state->decided_ns = now_ns;
	state->ticks++;
}
