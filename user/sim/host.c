/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host: engines run in turn, the sampler sees what the daemon's would see, the law decides, the
 * actuator does what the kernel would do with it.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "user/common/cleanup.h"
#include "user/common/units.h"
#include "user/sim/sim.h"

#define SLICE_NS SIM_MS
#define START_NS (1000 * SIM_S) /* the host has been up for a while */
#define LEND_NS  (2 * SIM_S) /* as limits_lend() of the daemon: what nobody uses is lent */

struct done {
	uint64_t ops, stall_ns;
	double ideal_ops;
};

struct sim_host {
	const struct sim_scenario *scenario;
	const struct sim_options *options;
	uint32_t n;
	uint32_t ceiling; /* pages */
	uint32_t used;
	uint64_t slice_ns; /* engines run in turn, one for so long */
	struct sim_engine engine[SIM_ENGINES_MAX];
	uint32_t low[SIM_ENGINES_MAX], cap[SIM_ENGINES_MAX];
	uint32_t lent; /* pages above a target, under the loose cap */
	struct sim_rng rng;
	/* the law's */
	struct law_params params;
	struct law_engine law_engine[SIM_ENGINES_MAX];
	struct law_sample sample[SIM_ENGINES_MAX];
	struct law_estimate estimate[SIM_ENGINES_MAX];
	struct law_decision decision[SIM_ENGINES_MAX];
	struct law_state *state;
	struct law_workspace *workspace;
	struct law_watch_state watch;
	uint64_t stall_before[SIM_ENGINES_MAX];
	const uint32_t *fixed; /* pages, instead of what the law says */
	/* what the engines had done when the tick, and when measuring began */
	struct done tick_begin[SIM_ENGINES_MAX], measure_begin[SIM_ENGINES_MAX];
	struct sim_series series;
	struct sim_result result;
};

/* -- the kernel's side -- */

static bool evict_from(struct sim_host *h, struct sim_engine *e)
{
	if (!sim_cache_evict(&e->cache))
		return false;
	h->used--;
	return true;
}

/* The part of a cgroup above its protection is what reclaim sees; below it, a second pass only. */
static double reclaimable(const struct sim_host *h, uint32_t i, bool low_pass)
{
	const struct sim_engine *e = &h->engine[i];
	double usage = sim_engine_usage(e), file = e->cache.usage;

	if (low_pass || h->low[i] == 0)
		return file;
	return usage <= h->low[i] ? 0 : file * (1 - h->low[i] / usage);
}

static bool evict_someone(struct sim_host *h)
{
	for (int pass = 0; pass < 2; pass++) {
		double weight[SIM_ENGINES_MAX] = { 0 }, sum = 0, x;

		for (uint32_t i = 0; i < h->n; i++)
			sum += weight[i] = reclaimable(h, i, pass);
		x = sim_uniform(&h->rng) * sum;
		for (uint32_t i = 0; i < h->n && sum > 0; i++) {
			if (x < weight[i])
				return evict_from(h, &h->engine[i]);
			x -= weight[i];
		}
	}
	return false;
}

bool sim_host_page(struct sim_host *h, struct sim_engine *e)
{
	uint32_t i = e->index;

	if (!h) /* alone: its own cap only */
		return e->cache.usage < e->alone_pages || sim_cache_evict(&e->cache);
	if (sim_engine_usage(e) >= h->cap[i]) {
		e->limit_hits++;
		if (!evict_from(h, e))
			return false;
	}
	if (h->used >= h->ceiling && !evict_someone(h))
		return false;
	h->used++;
	return true;
}

static uint32_t target_of(const struct sim_host *h, uint32_t i)
{
	return (uint32_t)(h->decision[i].target_bytes / LAW_PAGE_BYTES);
}

/* The reserve and what heaps leave; less of it by and by, or as others come to use what is theirs.
 * Only our own law lends. */
static void lend(struct sim_host *h, uint64_t tick_ns)
{
	uint64_t unused = h->params.reserve_bytes / LAW_PAGE_BYTES, used = 0, lent = h->lent;

	if (h->fixed || h->params.policy != LAW_POLICY_MARGINAL)
		return;
	for (uint32_t i = 0; i < h->n; i++) {
		uint32_t usage = sim_engine_usage(&h->engine[i]);

		used += min_u64(usage, target_of(h, i));
		if (sim_is_heap(h->engine[i].spec))
			unused += sat_sub_u64(target_of(h, i), usage);
	}
	lent -= mul_div_u64(sat_sub_u64(lent, unused), min_u64(tick_ns, LEND_NS), LEND_NS);
	lent = min_u64(lent, sat_sub_u64(h->ceiling, used));
	h->lent = (uint32_t)max_u64(lent, unused);
}

/* What the engine's page says: a new request is a new epoch, one under way keeps its end. */
static void ask(struct sim_host *h)
{
	for (uint32_t i = 0; i < h->n; i++) {
		struct sim_engine *e = &h->engine[i];
		uint32_t release = (uint32_t)(h->decision[i].release_bytes / LAW_PAGE_BYTES);

		if (!e->spec->listens || release == 0) {
			e->keeps = UINT32_MAX;
			continue;
		}
		e->asked += e->keeps == UINT32_MAX;
		e->keeps = (uint32_t)sat_sub_u64(e->heap, release);
	}
}

static void apply_targets(struct sim_host *h, uint64_t tick_ns)
{
	uint32_t bucket = h->ceiling / LAW_BUCKETS, slack;

	lend(h, tick_ns);
	ask(h);
	for (uint32_t i = 0; i < h->n; i++) {
		struct sim_engine *e = &h->engine[i];
		uint32_t target = target_of(h, i);
		bool heap = e->heap > sim_engine_usage(e) / 2;

		if (h->options->actuator == SIM_HARD) {
			h->low[i] = 0;
			h->cap[i] = target;
		} else {
			h->low[i] = target;
			slack = (uint32_t)max_u64(max_u64(target / 4, 2 * bucket), h->lent);
			h->cap[i] = target + (h->decision[i].stream ? 0 : slack);
			if (heap || sim_is_heap(e->spec))
				h->cap[i] = UINT32_MAX;
		}
		while (sim_engine_usage(e) > h->cap[i] && e->cache.usage > 0)
			evict_from(h, e);
	}
}

static void run_slice(struct sim_host *h, uint64_t from_ns, uint64_t to_ns)
{
	for (uint32_t k = 0; k < h->n; k++) {
		struct sim_engine *e = &h->engine[(k + from_ns / h->slice_ns) % h->n];
		uint32_t before = e->heap;

		sim_engine_run(e, from_ns, to_ns);
		if (sim_is_heap(e->spec)) {
			if (e->heap < before)
				h->used -= before - e->heap;
			before = e->heap;
			sim_heap_push(e, (uint32_t)min_u64(h->cap[e->index], e->keeps), to_ns);
			h->used -= before - e->heap;
			if (e->starved && e->heap < h->cap[e->index])
				e->blocked_ns += to_ns - from_ns;
		}
	}
}

/* -- the daemon's side -- */

static void sense_psi(struct sim_host *h, uint32_t i, uint64_t tick_ns)
{
	const struct sim_engine *e = &h->engine[i];
	struct law_sample *s = &h->sample[i];
	uint32_t threads = e->spec->threads;
	double f = (double)(e->stall_ns - h->stall_before[i]) / (double)(tick_ns * threads);
	uint64_t some, full;

	f = fmin(f, 1);
	some = (uint64_t)((1 - pow(1 - f, threads)) * (double)tick_ns);
	full = (uint64_t)(pow(f, threads) * (double)tick_ns);
	h->stall_before[i] = e->stall_ns;
	if (sim_is_heap(e->spec)) {
		s->psi_memory_some_ns += some;
		s->psi_memory_full_ns += full;
	} else {
		s->psi_io_some_ns += some;
		s->psi_io_full_ns += full;
		s->psi_memory_some_ns += some / 25; /* what kernels show of cache thrash */
	}
}

static void sense_demand(struct sim_engine *e, uint64_t now_ns, struct law_demand *d)
{
	uint32_t needs = sim_heap_demand(e, now_ns);

	*d = (struct law_demand){
		.clients = 1,
		.accounted_bytes = e->heap * LAW_PAGE_BYTES,
		.reclaimable_bytes = sat_sub_u64(e->heap, needs) * LAW_PAGE_BYTES,
		.grant_epoch = e->asked,
		.ack_epoch = e->answered,
	};
}

static void sense(struct sim_host *h, uint32_t i, uint64_t tick_ns)
{
	const struct sim_engine *e = &h->engine[i];
	struct law_sample *s = &h->sample[i];
	bool heap = sim_is_heap(e->spec);
	static const uint32_t valid[SIM_SENSORS_COUNT] = {
		[SIM_SENSORS_ALL] = SIM_FILES_RUNG | SIM_GHOSTS_RUNG | LAW_VALID_REUSE,
		[SIM_SENSORS_GHOSTS] = SIM_FILES_RUNG | SIM_GHOSTS_RUNG,
		[SIM_SENSORS_FILES] = SIM_FILES_RUNG,
	};

	s->valid = valid[h->options->sensors];
	s->usage_bytes = sim_engine_usage(e) * LAW_PAGE_BYTES;
	s->file_bytes = e->cache.usage * LAW_PAGE_BYTES;
	s->anon_bytes = s->unreclaimable_bytes = e->heap * LAW_PAGE_BYTES;
	s->refault_file = e->refaults;
	s->limit_hits = e->limit_hits;
	s->cpu_ns = e->cpu_ns;
	s->stall_ns[heap ? STALL_DIRECT_RECLAIM : STALL_REFAULT] = e->stall_ns;
	sim_cache_sample(&e->cache, s);
	sense_psi(h, i, tick_ns);
	if (!(s->valid & LAW_VALID_LEDGER))
		memset(s->stall_ns, 0, sizeof(s->stall_ns));
	if (!(s->valid & LAW_VALID_DISTANCES)) {
		s->ghost_refaults = s->ghost_unknown = s->evictions = 0;
		memset(s->distance, 0, sizeof(s->distance));
	}
	if (!(s->valid & LAW_VALID_CPU))
		s->cpu_ns = 0;
}

static void decide_fixed(struct sim_host *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		h->decision[i].target_bytes = h->fixed[i] * LAW_PAGE_BYTES;
}

static void decide(struct sim_host *h, uint64_t now_ns, uint64_t tick_ns)
{
	bool watched;

	for (uint32_t i = 0; i < h->n; i++) {
		bool present = sim_engine_present(h->engine[i].spec, now_ns);

		sense(h, i, tick_ns);
		if (sim_is_heap(h->engine[i].spec) && h->engine[i].spec->listens)
			sense_demand(&h->engine[i], now_ns, &h->sample[i].demand);
		if (present && !h->law_engine[i].active)
			memset(&h->estimate[i], 0, sizeof(h->estimate[i]));
		h->law_engine[i].active = present;
		if (present)
			estimate_update(&h->estimate[i], &h->params, &h->law_engine[i],
					&h->sample[i], h->state->engine[i].target_bytes,
					START_NS + now_ns);
	}
	if (h->fixed)
		decide_fixed(h);
	else
		policy_decide(h->state, &h->params, h->law_engine, h->sample, h->estimate, h->n,
			      LAW_NO_ENGINE, START_NS + now_ns, h->workspace, h->decision);
	watched = law_watch(&h->watch, h->state->engine, h->law_engine, h->estimate, h->n,
			    START_NS + now_ns);
	for (uint32_t i = 0; i < h->n; i++)
		sim_cache_rest(&h->engine[i].cache, !watched);
}

/* -- judging -- */

static struct done done_by(const struct sim_engine *e)
{
	return (struct done){ e->ops, e->stall_ns, e->ideal_ops };
}

/* Operations since then, of those it would have done alone. */
static double done_since(const struct sim_engine *e, const struct done *begin)
{
	return (double)(e->ops - begin->ops) / fmax(e->ideal_ops - begin->ideal_ops, 1);
}

/* The tick is over: what it was like goes into the series. */
static void note_tick(struct sim_host *h, uint32_t tick)
{
	uint64_t sum = 0, give = h->params.ceiling_bytes - h->params.reserve_bytes;

	for (uint32_t i = 0; i < h->n; i++) {
		const struct sim_engine *e = &h->engine[i];
		struct sim_point *p = &h->series.point[(size_t)tick * h->n + i];
		uint64_t target = h->decision[i].target_bytes;

		p->target = (double)target / (double)h->params.ceiling_bytes;
		p->usage = (double)sim_engine_usage(e) / h->ceiling;
		p->stall = (double)(e->stall_ns - h->tick_begin[i].stall_ns) /
			   (double)(h->options->tick_ns * e->spec->threads);
		p->n = done_since(e, &h->tick_begin[i]);
		sum += target;
		h->result.below_min +=
		    h->law_engine[i].active && target < h->law_engine[i].min_bytes;
	}
	h->result.over_given += sum > give;
	h->result.over_ceiling += h->used > h->ceiling;
	h->series.ticks = tick + 1;
}

static void judge_ideal(struct sim_host *h, uint64_t now_ns, uint64_t span_ns, bool noisy)
{
	for (uint32_t i = 0; i < h->n; i++) {
		struct sim_engine *e = &h->engine[i];
		int phase = sim_engine_phase(e->spec, now_ns);
		double ops_per_s;

		if (noisy != (e->spec->change == SIM_LOAD_NOISE) ||
		    !sim_engine_present(e->spec, now_ns))
			continue;
		ops_per_s = sim_throughput(e->spec, phase, h->ceiling, e->grain);
		if (noisy)
			ops_per_s = sim_loaded(e->spec, e->grain, ops_per_s, e->burst_size);
		e->ideal_ops += ops_per_s * (double)span_ns / SIM_S;
	}
}

static void judge_end(struct sim_host *h)
{
	struct sim_result *r = &h->result;

	r->worst = INFINITY;
	for (uint32_t i = 0; i < h->n; i++) {
		struct sim_engine *e = &h->engine[i];

		r->n[i] = done_since(e, &h->measure_begin[i]);
		r->score += r->n[i] / h->n;
		r->worst = fmin(r->worst, r->n[i]);
		r->blocked_s += (double)e->blocked_ns / SIM_S;
	}
	sim_judge(h->scenario, &h->series, r);
}

/* -- the run -- */

static void set_law(struct sim_host *h)
{
	const struct sim_options *o = h->options;

	h->params.policy = o->policy;
	h->params.ceiling_bytes = h->ceiling * LAW_PAGE_BYTES;
	h->params.reserve_bytes = (uint64_t)(o->reserve * h->ceiling) * LAW_PAGE_BYTES;
	h->params.burst_bytes = (uint64_t)(o->burst * h->ceiling) * LAW_PAGE_BYTES;
	h->params.gamma_ppm = (uint32_t)o->gamma_ppm;
	for (uint32_t i = 0; i < h->n; i++) {
		const struct sim_spec *spec = &h->scenario->engine[i];
		struct law_engine *e = &h->law_engine[i];

		e->max_bytes = sim_pages(spec->max, o->grain) * LAW_PAGE_BYTES;
		if (e->max_bytes > h->params.ceiling_bytes)
			e->max_bytes = h->params.ceiling_bytes;
		e->min_bytes = sim_pages(spec->min, o->grain) * LAW_PAGE_BYTES;
		if (e->min_bytes > e->max_bytes)
			e->min_bytes = e->max_bytes;
		e->weight = spec->weight;
		e->stall_target_ppm = (uint32_t)spec->stall_target_ppm;
		e->hard = o->actuator == SIM_HARD;
	}
}

static int host_init(struct sim_host *h)
{
	const struct sim_options *o = h->options;
	double ticks = h->scenario->seconds * (double)SIM_S / (double)o->tick_ns;
	int rc;

	h->n = h->scenario->engines;
	h->ceiling = sim_pages(o->ceiling, o->grain);
	h->slice_ns = o->grain > 2 ? o->grain / 2 * SIM_MS : SIM_MS;
	h->rng.state = o->seed;
	h->state = calloc(1, sizeof(*h->state));
	h->workspace = calloc(1, law_workspace_bytes(h->n));
	h->series.engines = h->n;
	h->series.tick_s = (double)o->tick_ns / SIM_S;
	h->series.point = calloc((size_t)(ticks + 1) * h->n, sizeof(*h->series.point));
	if (!h->state || !h->workspace || !h->series.point)
		return -ENOMEM;
	set_law(h);
	for (uint32_t i = 0; i < h->n; i++) {
		rc = sim_engine_init(&h->engine[i], &h->scenario->engine[i], o->grain,
				     o->seed * 16 + i);
		if (rc < 0)
			return rc;
		h->engine[i].index = i;
		h->engine[i].host = h;
		h->cap[i] = UINT32_MAX;
	}
	return 0;
}

static void host_fini(struct sim_host *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		sim_engine_fini(&h->engine[i]);
	sim_series_fini(&h->series);
	free(h->state);
	free(h->workspace);
	free(h);
}

static void run_tick(struct sim_host *h, uint64_t now_ns)
{
	uint64_t tick_ns = h->options->tick_ns;

	for (uint32_t i = 0; i < h->n; i++)
		h->tick_begin[i] = done_by(&h->engine[i]);
	decide(h, now_ns, tick_ns);
	if (h->options->actuator != SIM_NO_LIMITS)
		apply_targets(h, tick_ns);
	for (uint64_t s = now_ns, end; s < now_ns + tick_ns; s = end) {
		end = s + h->slice_ns < now_ns + tick_ns ? s + h->slice_ns : now_ns + tick_ns;
		run_slice(h, s, end);
		judge_ideal(h, s, end - s, true);
	}
	judge_ideal(h, now_ns, tick_ns, false);
}

static void host_run(struct sim_host *h)
{
	uint64_t tick_ns = h->options->tick_ns;
	uint64_t end_ns = (uint64_t)(h->scenario->seconds * SIM_S);
	uint64_t from_ns = (uint64_t)(h->scenario->measured_from_s * SIM_S);
	bool measuring = false;

	for (uint64_t t = 0; t < end_ns; t += tick_ns) {
		if (!measuring && t >= from_ns) {
			measuring = true;
			for (uint32_t i = 0; i < h->n; i++)
				h->measure_begin[i] = done_by(&h->engine[i]);
		}
		run_tick(h, t);
		note_tick(h, (uint32_t)(t / tick_ns));
	}
	judge_end(h);
}

int sim_run(const struct sim_scenario *scenario, const struct sim_options *options,
	    const uint32_t *fixed, struct sim_result *ret, struct sim_series *ret_series)
{
	struct sim_host *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return -ENOMEM;
	h->scenario = scenario;
	h->options = options;
	h->fixed = fixed;
	rc = host_init(h);
	if (rc == 0) {
		host_run(h);
		*ret = h->result;
	}
	if (rc == 0 && ret_series)
		*ret_series = (struct sim_series){ .engines = h->n,
						   .ticks = h->series.ticks,
						   .tick_s = h->series.tick_s,
						   .point = TAKE_PTR(h->series.point) };
	host_fini(h);
	return rc;
}
