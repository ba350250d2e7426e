/* SPDX-License-Identifier: BSD-2-Clause */
/* Engines: closed loops of threads over a cache, and heaps that grow and shrink. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "user/common/cleanup.h"
#include "user/sim/sim.h"

#define RELEASE_AFTER_NS (300 * SIM_MS)
#define RELEASE_PAGES    512
#define STARVED_COST     8 /* an operation of a heap at its limit takes this much longer */
#define IDLE_THINK_NS    (50 * SIM_MS)

uint64_t sim_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

uint64_t sim_random(struct sim_rng *r)
{
	return sim_mix(r->state += 0x9e3779b97f4a7c15ull);
}

double sim_uniform(struct sim_rng *r)
{
	return (double)(sim_random(r) >> 11) / 9007199254740992.0;
}

uint32_t sim_below(struct sim_rng *r, uint32_t end)
{
	return (uint32_t)(((sim_random(r) >> 32) * (uint64_t)end) >> 32);
}

/* -- zipf by Walker's alias method, tables shared between engines -- */

struct sim_alias {
	struct sim_alias *next;
	uint32_t keys;
	double skew;
	struct sim_alias_slot {
		uint32_t threshold, other;
	} slot[]; /* together: a draw touches one cache line */
};

static struct sim_alias *aliases;

void sim_alias_free(void)
{
	while (aliases) {
		struct sim_alias *a = aliases;

		aliases = a->next;
		free(a);
	}
}

static void alias_fill(struct sim_alias *a, double *weight, uint32_t *stack)
{
	uint32_t n = a->keys, low = 0, high = n;
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += weight[i] = pow(i + 1, -a->skew);
	for (uint32_t i = 0; i < n; i++) {
		weight[i] *= n / sum;
		if (weight[i] < 1)
			stack[low++] = i;
		else
			stack[--high] = i;
		a->slot[i].threshold = UINT32_MAX;
		a->slot[i].other = i;
	}
	while (low > 0 && high < n) {
		uint32_t s = stack[--low], b = stack[high];

		a->slot[s].threshold = (uint32_t)(weight[s] * UINT32_MAX);
		a->slot[s].other = b;
		weight[b] -= 1 - weight[s];
		if (weight[b] < 1) {
			high++;
			stack[low++] = b;
		}
	}
}

static const struct sim_alias *alias_get(uint32_t keys, double skew)
{
	_cleanup_free_ double *weight = NULL;
	_cleanup_free_ uint32_t *stack = NULL;
	struct sim_alias *a;

	for (a = aliases; a; a = a->next)
		if (a->keys == keys && a->skew == skew)
			return a;
	weight = calloc(keys, sizeof(*weight));
	stack = calloc(keys, sizeof(*stack));
	a = calloc(1, sizeof(*a) + keys * sizeof(*a->slot));
	if (!weight || !stack || !a) {
		free(a);
		return NULL;
	}
	a->keys = keys;
	a->skew = skew;
	alias_fill(a, weight, stack);
	a->next = aliases;
	aliases = a;
	return a;
}

static uint32_t alias_draw(const struct sim_alias *a, struct sim_rng *r)
{
	uint64_t x = sim_random(r);
	uint32_t i = (uint32_t)(((x >> 32) * (uint64_t)a->keys) >> 32);

	return (uint32_t)x < a->slot[i].threshold ? i : a->slot[i].other;
}

/* -- schedule -- */

bool sim_engine_present(const struct sim_spec *spec, uint64_t now_ns)
{
	return spec->change != SIM_JOIN || now_ns >= (uint64_t)(spec->period_s * SIM_S);
}

int sim_engine_phase(const struct sim_spec *spec, uint64_t now_ns)
{
	uint64_t period = (uint64_t)(spec->period_s * SIM_S);
	uint64_t count = period ? now_ns / period : 0;

	switch (spec->change) {
	case SIM_PHASES:
		return count % 2;
	case SIM_PHASES_OPPOSITE:
		return 1 - count % 2;
	case SIM_IDLE_IN_TURN:
		return count % spec->turns == spec->turn;
	case SIM_IDLE:
		return 1;
	default:
		return 0;
	}
}

static int phase_now(const struct sim_engine *e, uint64_t now_ns)
{
	return e->held_phase >= 0 ? e->held_phase : sim_engine_phase(e->spec, now_ns);
}

static void think_update(struct sim_engine *e, uint64_t now_ns)
{
	const struct sim_spec *spec = e->spec;

	e->think_ns = spec->think_ns * e->grain;
	if ((spec->change == SIM_IDLE_IN_TURN || spec->change == SIM_IDLE) && phase_now(e, now_ns))
		e->think_ns = IDLE_THINK_NS * e->grain;
	if (spec->change == SIM_LOAD_NOISE) {
		double factor = e->held_phase >= 0 ? sqrt(SIM_NOISE_FACTOR) : 0;

		if (factor == 0 && now_ns < e->noise_until_ns)
			factor = e->burst_size;
		else if (factor == 0)
			factor = exp(sim_uniform(&e->rng) * log(SIM_NOISE_FACTOR));
		if (e->held_phase < 0 && now_ns >= e->noise_until_ns)
			e->noise_until_ns =
			    now_ns + (uint64_t)(-log(1 - sim_uniform(&e->rng)) * SIM_S);
		e->burst_size = factor;
		e->think_ns = (uint64_t)(SIM_NOISE_UNIT_NS * (factor - 1)) * e->grain;
	}
}

/* -- caches -- */

int sim_engine_init(struct sim_engine *e, const struct sim_spec *spec, uint32_t grain,
		    uint64_t seed)
{
	uint32_t keys = 0;

	memset(e, 0, sizeof(*e));
	e->spec = spec;
	e->rng.state = seed * 0x2545f4914f6cdd1dull + 99;
	e->held_phase = -1;
	e->keeps = UINT32_MAX;
	e->ops_end = UINT64_MAX;
	e->grain = grain;
	for (int i = 0; i < SIM_PARTS_MAX; i++) {
		const struct sim_part *part = &spec->part[i];

		e->base_key[i] = keys;
		e->keys[i] = part->pattern == SIM_STREAM
				 ? 3 * SIM_CEILING_PAGES / grain
				 : sim_pages(fmax(part->size, part->other_size), grain);
		if (part->pattern == SIM_NOTHING)
			e->keys[i] = 0;
		if (part->pattern == SIM_TRACE) {
			if (!part->trace)
				return -ENOENT;
			e->trace[i] = sim_trace_coarse(part->trace, grain);
			if (!e->trace[i])
				return -ENOMEM;
			e->keys[i] = e->trace[i]->pages;
		}
		keys += e->keys[i];
		if (part->pattern == SIM_ZIPF) {
			e->alias[i] = alias_get(e->keys[i], part->skew);
			if (!e->alias[i])
				return -ENOMEM;
		}
	}
	return sim_cache_init(&e->cache, keys);
}

void sim_engine_fini(struct sim_engine *e)
{
	sim_cache_fini(&e->cache);
}

uint64_t sim_engine_pass(const struct sim_engine *e)
{
	double ops = 0;

	for (int i = 0; i < SIM_PARTS_MAX; i++)
		if (e->trace[i])
			ops = fmax(ops, e->trace[i]->accesses / e->spec->part[i].share);
	return (uint64_t)ops;
}

uint32_t sim_engine_usage(const struct sim_engine *e)
{
	return e->heap + e->cache.usage;
}

static uint32_t draw_key(struct sim_engine *e, int i, int phase)
{
	const struct sim_part *part = &e->spec->part[i];
	uint32_t keys = e->keys[i], key;

	if (part->other_size > 0)
		keys = sim_pages(phase ? part->other_size : part->size, e->grain);
	switch (part->pattern) {
	case SIM_ZIPF:
		key = alias_draw(e->alias[i], &e->rng);
		break;
	case SIM_TRACE:
		key = e->trace[i]->key[e->cursor[i]++];
		if (e->cursor[i] == e->trace[i]->accesses)
			e->cursor[i] = 0;
		break;
	case SIM_UNIFORM:
		key = sim_below(&e->rng, keys);
		break;
	default:
		key = e->cursor[i]++;
		if (e->cursor[i] >= keys)
			e->cursor[i] = 0;
		break;
	}
	return e->base_key[i] + key;
}

static bool bring_in(struct sim_engine *e, uint32_t key)
{
	bool refault;

	if (!sim_host_page(e->host, e))
		return false;
	refault = sim_cache_insert(&e->cache, key);
	e->refaults += refault;
	return refault;
}

/* Reads a page; returns how long that took. */
static uint64_t access_page(struct sim_engine *e, int i, uint32_t key)
{
	const struct sim_spec *spec = e->spec;
	uint64_t hit_ns = SIM_HIT_NS * e->grain, miss_ns = spec->miss_ns * e->grain;
	/* what is next to a page of a trace is not known */
	uint32_t behind = spec->part[i].pattern == SIM_TRACE ? 0 : spec->readahead;
	uint32_t end = e->base_key[i] + e->keys[i];

	if (spec->part[i].pattern == SIM_STREAM) {
		sim_cache_forget(&e->cache, key); /* it is never read again */
		if (!sim_cache_touch(&e->cache, key))
			bring_in(e, key);
		sim_cache_accessed(&e->cache, key);
		return hit_ns + spec->stream_ns * e->grain;
	}
	if (sim_cache_touch(&e->cache, key)) {
		sim_cache_accessed(&e->cache, key);
		return hit_ns;
	}
	miss_ns = miss_ns / 2 + (uint64_t)(sim_uniform(&e->rng) * (double)miss_ns);
	if (bring_in(e, key))
		e->stall_ns += miss_ns;
	sim_cache_accessed(&e->cache, key);
	for (uint32_t k = key + 1; k <= key + behind && k < end; k++)
		if (e->cache.seen[k] != 1)
			bring_in(e, k);
	return hit_ns + miss_ns;
}

/* Which part the next access goes to; draws only where there is a choice. */
static int draw_part(struct sim_engine *e)
{
	const struct sim_part *part = e->spec->part;
	double x, sum = 0;
	int i = 0;

	if (part[1].pattern == SIM_NOTHING)
		return 0;
	x = sim_uniform(&e->rng);
	while (i + 1 < SIM_PARTS_MAX && part[i + 1].pattern != SIM_NOTHING &&
	       x >= (sum += part[i].share))
		i++;
	return i;
}

static void run_cache(struct sim_engine *e, uint64_t to_ns)
{
	uint32_t threads = e->spec->threads;

	for (;;) {
		uint32_t t = 0;
		uint64_t now;
		int i;

		for (uint32_t j = 1; j < threads; j++)
			if (e->thread_ns[j] < e->thread_ns[t])
				t = j;
		now = e->thread_ns[t];
		if (now >= to_ns || e->ops == e->ops_end)
			return;
		i = draw_part(e);
		e->thread_ns[t] += access_page(e, i, draw_key(e, i, phase_now(e, now)));
		e->thread_ns[t] += e->think_ns;
		e->cpu_ns += SIM_HIT_NS * e->grain;
		e->ops++;
	}
}

/* -- heaps -- */

uint32_t sim_heap_demand(struct sim_engine *e, uint64_t now_ns)
{
	const struct sim_spec *spec = e->spec;
	double t = (double)now_ns / SIM_S;

	switch (spec->kind) {
	case SIM_HEAP_SINE:
		return sim_pages(spec->base +
				     spec->high * (1 - cos(2 * M_PI * t / spec->period_s)) / 2,
				 e->grain);
	case SIM_HEAP_RAMP:
		t = fmod(t, spec->period_s) / spec->period_s;
		return sim_pages(spec->base +
				     (spec->high - spec->base) * (t < .5 ? 2 * t : 2 - 2 * t),
				 e->grain);
	default:
		break;
	}
	if (now_ns >= e->burst_until_ns) {
		e->burst_from_ns =
		    now_ns + (uint64_t)(spec->burst_every_s * SIM_S * (.5 + sim_uniform(&e->rng)));
		e->burst_until_ns = e->burst_from_ns + (uint64_t)(spec->burst_s * SIM_S);
		e->burst_size = spec->low + sim_uniform(&e->rng) * (spec->high - spec->low);
	}
	return sim_pages(spec->base + (now_ns >= e->burst_from_ns ? e->burst_size : 0), e->grain);
}

static void run_heap(struct sim_engine *e, uint64_t from_ns, uint64_t to_ns)
{
	uint32_t demand = sim_heap_demand(e, from_ns);
	uint64_t task_ns = (to_ns - from_ns) * e->spec->threads;

	while (e->heap < demand && sim_host_page(e->host, e))
		e->heap++;
	if (e->heap > demand && !e->spec->retains)
		e->heap = demand;
	e->starved = e->heap < demand;
	if (e->starved) {
		e->stall_ns += task_ns - task_ns / STARVED_COST;
		task_ns /= STARVED_COST;
	}
	e->cpu_ns += task_ns;
	e->ops += task_ns / SIM_HIT_NS / e->grain;
}

void sim_heap_push(struct sim_engine *e, uint32_t limit, uint64_t now_ns)
{
	uint32_t demand = sim_heap_demand(e, now_ns);

	if (e->heap <= limit || e->heap <= demand) {
		e->pushed_ns = 0;
		e->answered = e->asked;
		return;
	}
	if (e->pushed_ns == 0)
		e->pushed_ns = now_ns;
	if (now_ns - e->pushed_ns < RELEASE_AFTER_NS)
		return;
	for (int i = 0; i < RELEASE_PAGES / (int)e->grain && e->heap > limit && e->heap > demand;
	     i++)
		e->heap--;
}

void sim_engine_run(struct sim_engine *e, uint64_t from_ns, uint64_t to_ns)
{
	if (!sim_engine_present(e->spec, from_ns)) {
		for (uint32_t t = 0; t < SIM_THREADS_MAX; t++)
			e->thread_ns[t] = to_ns;
		return;
	}
	think_update(e, from_ns);
	if (sim_is_heap(e->spec))
		run_heap(e, from_ns, to_ns);
	else
		run_cache(e, to_ns);
}
