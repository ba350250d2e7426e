/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The best fixed split: throughput of every engine at every size, measured alone and held in each
 * of its phases, then dynamic programming over the sizes. It ignores the price of filling a cache,
 * where that takes no longer than a quarter of a minute.
 * A trace differs from place to place: it is warmed up with, and measured over, the whole of it.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "user/sim/sim.h"

#define WARM_NS     (4 * SIM_S) /* and again, as long as the cache grows meanwhile, ... */
#define WARM_PART   256 /* ... by this part of its pages */
#define WARM_MAX_NS (15 * SIM_S) /* as most scenarios, which are measured over a minute then */
#define MEASURE_NS  (4 * SIM_S)
#define GROWING_NS  (60 * SIM_S)
#define PRESENT_NS  (3600 * SIM_S) /* the latest that an engine may join */
#define CACHE_SLOTS 8192

struct point {
	struct sim_spec spec;
	int phase;
	uint32_t pages, grain;
	double ops_per_s;
	bool used;
};

static struct point *points;
static uint32_t points_used;

void sim_oracle_free(void)
{
	free(points);
	points = NULL;
	points_used = 0;
}

/* Runs for so long, and on to the end of its traces. Returns when that was. */
static uint64_t run_whole(struct sim_engine *e, uint64_t from_ns, uint64_t for_ns)
{
	uint64_t pass = sim_engine_pass(e), begin = e->ops, end_ns = from_ns + for_ns;

	e->ops_end = UINT64_MAX;
	sim_engine_run(e, PRESENT_NS, end_ns);
	if (!pass)
		return end_ns;
	e->ops_end = begin + (e->ops - begin + pass - 1) / pass * pass;
	sim_engine_run(e, PRESENT_NS, UINT64_MAX);
	end_ns = e->thread_ns[0];
	for (uint32_t t = 1; t < e->spec->threads; t++)
		if (e->thread_ns[t] < end_ns)
			end_ns = e->thread_ns[t];
	return end_ns;
}

/* Until its cache no longer grows. True: it still does, for it reads little or waits long. */
static bool warm_up(struct sim_engine *e, uint64_t *ret_end_ns)
{
	uint64_t end_ns = 0;
	uint32_t usage;
	bool grows;

	do {
		usage = e->cache.usage;
		end_ns = run_whole(e, end_ns, WARM_NS);
		grows = e->cache.usage > usage + e->alone_pages / WARM_PART;
	} while (grows && end_ns < WARM_MAX_NS);
	*ret_end_ns = end_ns;
	return grows;
}

static double measure(const struct sim_spec *spec, int phase, uint32_t pages, uint32_t grain)
{
	struct sim_engine e;
	uint64_t ops, begin_ns, end_ns;
	double result = 0;
	bool grows;

	if (sim_engine_init(&e, spec, grain, 7) < 0)
		return 0;
	e.held_phase = phase;
	e.alone_pages = pages;
	grows = warm_up(&e, &begin_ns);
	ops = e.ops;
	end_ns = run_whole(&e, begin_ns, grows ? GROWING_NS : MEASURE_NS);
	result = (double)(e.ops - ops) / ((double)(end_ns - begin_ns) / SIM_S);
	sim_engine_fini(&e);
	return result;
}

static double heap_throughput(const struct sim_spec *spec, uint32_t pages, uint32_t grain)
{
	struct sim_engine e = { .spec = spec, .grain = grain, .rng = { 4711 }, .held_phase = -1 };
	double sum = 0;
	int steps = 20000;

	/* the average over its demand; a retaining heap demands no more than another */
	for (int i = 0; i < steps; i++)
		sum += sim_heap_demand(&e, (uint64_t)i * 100 * SIM_MS) <= pages ? 1 : 1.0 / 8;
	return sum / steps * spec->threads * SIM_S / SIM_HIT_NS / grain;
}

/* What does not matter to an engine that is alone is left out of the key. */
static struct sim_spec key_of(const struct sim_spec *spec)
{
	struct sim_spec key = *spec;

	memset(key.name, 0, sizeof(key.name));
	key.turn = key.weight = 0;
	key.min = key.max = 0;
	key.stall_target_ppm = 0;
	if (key.change == SIM_PHASES_OPPOSITE)
		key.change = SIM_PHASES;
	return key;
}

double sim_throughput(const struct sim_spec *spec, int phase, uint32_t pages, uint32_t grain)
{
	struct sim_spec key = key_of(spec);
	struct point *p;
	uint64_t hash = 1469598103934665603ull, word;

	if (!points || points_used > CACHE_SLOTS * 3 / 4) {
		sim_oracle_free();
		points = calloc(CACHE_SLOTS, sizeof(*points));
	}
	if (!points)
		return 0;
	for (size_t i = 0; i < sizeof(key) / sizeof(word); i++) {
		memcpy(&word, (const uint8_t *)&key + i * sizeof(word), sizeof(word));
		hash = (hash ^ word) * 1099511628211ull;
		hash ^= hash >> 32;
	}
	hash =
	    (hash ^ pages ^ ((uint64_t)phase << 40) ^ ((uint64_t)grain << 32)) * 1099511628211ull;
	for (uint32_t i = (uint32_t)(hash >> 20) % CACHE_SLOTS;; i = (i + 1) % CACHE_SLOTS) {
		p = &points[i];
		if (!p->used)
			break;
		if (p->phase == phase && p->pages == pages && p->grain == grain &&
		    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): zeroed */
		    memcmp(&p->spec, &key, sizeof(key)) == 0)
			return p->ops_per_s;
	}
	p->ops_per_s = sim_is_heap(spec) ? heap_throughput(spec, pages, grain)
					 : measure(&key, phase, pages, grain);
	p->spec = key;
	p->phase = phase;
	p->pages = pages;
	p->grain = grain;
	p->used = true;
	points_used++;
	return p->ops_per_s;
}

double sim_loaded(const struct sim_spec *spec, uint32_t grain, double ops_per_s, double factor)
{
	double threads = spec->threads, unit_s = (double)SIM_NOISE_UNIT_NS * grain / SIM_S;
	double busy_s = threads / ops_per_s - (sqrt(SIM_NOISE_FACTOR) - 1) * unit_s;

	return threads / (busy_s + (factor - 1) * unit_s);
}

/* Mean over all loads. */
static double noisy(const struct sim_spec *spec, uint32_t grain, double ops_per_s)
{
	double sum = 0;

	for (int i = 0; i < 16; i++)
		sum +=
		    sim_loaded(spec, grain, ops_per_s, pow(SIM_NOISE_FACTOR, (i + .5) / 16)) / 16;
	return sum;
}

/* Normalised throughput over the measured time of a fixed size. */
static double worth(const struct sim_scenario *s, const struct sim_spec *spec, uint32_t pages,
		    uint32_t ceiling, uint32_t grain)
{
	double ops = 0, ideal = 0;

	for (double t = s->measured_from_s; t < s->seconds; t += .5) {
		uint64_t now = (uint64_t)(t * SIM_S);
		int phase = sim_engine_phase(spec, now);

		if (!sim_engine_present(spec, now))
			continue;
		if (spec->change == SIM_LOAD_NOISE) {
			ops += noisy(spec, grain, sim_throughput(spec, phase, pages, grain));
			ideal += noisy(spec, grain, sim_throughput(spec, phase, ceiling, grain));
			continue;
		}
		ops += sim_throughput(spec, phase, pages, grain);
		ideal += sim_throughput(spec, phase, ceiling, grain);
	}
	return ideal > 0 ? ops / ideal : 0;
}

/* The steps an engine's bounds leave it. */
static void bounds(const struct sim_spec *spec, double part, int *ret_least, int *ret_most)
{
	*ret_least = (int)fmin(SIM_ORACLE_STEPS, floor(spec->min / part * SIM_ORACLE_STEPS));
	*ret_most = (int)fmin(SIM_ORACLE_STEPS, ceil(spec->max / part * SIM_ORACLE_STEPS));
	if (*ret_most < *ret_least)
		*ret_most = *ret_least;
}

int sim_oracle(const struct sim_scenario *scenario, double part, uint32_t grain, double *ret_score,
	       uint32_t ret_pages[SIM_ENGINES_MAX])
{
	uint32_t ceiling = sim_pages(part, grain);
	double best[SIM_ORACLE_STEPS + 1] = { 0 }, next[SIM_ORACLE_STEPS + 1];
	uint8_t choice[SIM_ENGINES_MAX][SIM_ORACLE_STEPS + 1];
	uint32_t n = scenario->engines;
	int left = SIM_ORACLE_STEPS;

	for (uint32_t i = 0; i < n; i++) {
		double value[SIM_ORACLE_STEPS + 1] = { 0 };
		int least, most;

		bounds(&scenario->engine[i], part, &least, &most);
		for (uint32_t k = 1; k <= SIM_ORACLE_STEPS; k++)
			value[k] = worth(scenario, &scenario->engine[i],
					 ceiling * k / SIM_ORACLE_STEPS, ceiling, grain);
		value[0] = value[1] / 2; /* a floor, not nothing */
		for (int c = 0; c <= SIM_ORACLE_STEPS; c++) {
			next[c] = -INFINITY;
			choice[i][c] = 0;
			for (int k = least; k <= c && k <= most; k++) {
				if (best[c - k] + value[k] <= next[c])
					continue;
				next[c] = best[c - k] + value[k];
				choice[i][c] = (uint8_t)k;
			}
		}
		memcpy(best, next, sizeof(best));
	}
	for (uint32_t i = n; i-- > 0;) {
		ret_pages[i] = ceiling * choice[i][left] / SIM_ORACLE_STEPS;
		left -= choice[i][left];
	}
	*ret_score = best[SIM_ORACLE_STEPS] / n;
	return points ? 0 : -ENOMEM;
}
