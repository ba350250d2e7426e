/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a run was worth, from its series of targets.
 *
 * Reversal: a target that had moved one way turned round by more than 1 % of the ceiling.
 * Settled: how long after the start, or after the scheduled change that took longest, throughput
 * (mean of n over a second) was still below 90 % of what it came to in the last quarter of that
 * phase. Overshoot: how far beyond where it stayed in that quarter a target went that moved there.
 * Neither exists where something changes all the time.
 */
#include <math.h>
#include <stdlib.h>

#include "user/sim/sim.h"

#define REVERSAL_PART 0.01
#define SETTLED_PART  0.9
#define SETTLED_S     1

void sim_series_fini(struct sim_series *series)
{
	free(series->point);
	*series = (struct sim_series){ 0 };
}

static double target_at(const struct sim_series *s, uint32_t tick, uint32_t i)
{
	return s->point[(size_t)tick * s->engines + i].target;
}

/* -- moves -- */

static double count_reversals(const struct sim_series *s, uint32_t i)
{
	double turning_point = 0, count = 0;
	int way = 0;

	for (uint32_t t = 1; t < s->ticks; t++) {
		double now = target_at(s, t, i);

		if ((way > 0 && now > turning_point) || (way < 0 && now < turning_point))
			turning_point = now;
		if (fabs(now - turning_point) > REVERSAL_PART) {
			count += way != 0;
			way = now > turning_point ? 1 : -1;
			turning_point = now;
		}
	}
	return count;
}

static double sum_of_moves(const struct sim_series *s)
{
	double sum = 0;

	for (uint32_t t = 1; t < s->ticks; t++)
		for (uint32_t i = 0; i < s->engines; i++)
			sum += fabs(target_at(s, t, i) - target_at(s, t - 1, i)) / 2;
	return sum;
}

/* -- settling -- */

bool sim_scenario_changes(const struct sim_scenario *scenario)
{
	for (uint32_t i = 0; i < scenario->engines; i++) {
		const struct sim_spec *spec = &scenario->engine[i];

		if (sim_is_heap(spec) || (spec->change != SIM_STEADY && spec->change != SIM_IDLE))
			return true;
	}
	return false;
}

static bool never_settles(const struct sim_scenario *scenario)
{
	for (uint32_t i = 0; i < scenario->engines; i++)
		if (sim_is_heap(&scenario->engine[i]) ||
		    scenario->engine[i].change == SIM_LOAD_NOISE)
			return true;
	return false;
}

/* When the next scheduled change after this time is, at most `end_s`. */
static double next_change_s(const struct sim_scenario *scenario, double after_s, double end_s)
{
	double next_s = end_s;

	for (uint32_t i = 0; i < scenario->engines; i++) {
		const struct sim_spec *spec = &scenario->engine[i];
		double at_s;

		if (spec->change == SIM_STEADY || spec->change == SIM_IDLE)
			continue;
		at_s = spec->period_s;
		if (spec->change != SIM_JOIN)
			at_s *= floor(after_s / spec->period_s + 1e-6) + 1;
		if (at_s > after_s)
			next_s = fmin(next_s, at_s);
	}
	return next_s;
}

/* Throughput of all engines over the ticks before `to`. */
static double mean_n(const struct sim_series *s, uint32_t from, uint32_t to)
{
	double sum = 0;

	for (uint32_t t = from; t < to; t++)
		for (uint32_t i = 0; i < s->engines; i++)
			sum += s->point[(size_t)t * s->engines + i].n;
	return sum / s->engines / (to - from);
}

static double settled_after_s(const struct sim_series *s, uint32_t from, uint32_t to, uint32_t last)
{
	uint32_t window = (uint32_t)ceil(SETTLED_S / s->tick_s);
	double enough = SETTLED_PART * mean_n(s, last, to);

	for (uint32_t end = to; end >= from + window; end--)
		if (mean_n(s, end - window, end) < enough)
			return (end - from) * s->tick_s;
	return 0;
}

static double overshot(const struct sim_series *s, uint32_t from, uint32_t to, uint32_t last)
{
	double most = 0;

	for (uint32_t i = 0; i < s->engines; i++) {
		double stayed = 0, begin = target_at(s, from, i);

		for (uint32_t t = last; t < to; t++)
			stayed += target_at(s, t, i) / (to - last);
		for (uint32_t t = from; t < to; t++) {
			double beyond = target_at(s, t, i) - stayed;

			most = fmax(most, begin < stayed ? beyond : -beyond);
		}
	}
	return most;
}

static void judge_settling(const struct sim_scenario *scenario, const struct sim_series *s,
			   struct sim_result *r)
{
	double end_s = s->ticks * s->tick_s, from_s = 0, to_s;

	if (never_settles(scenario)) {
		r->settled_s = r->overshoot = NAN;
		return;
	}
	for (; from_s < end_s; from_s = to_s) {
		uint32_t from, to, last;

		to_s = next_change_s(scenario, from_s, end_s);
		from = (uint32_t)(from_s / s->tick_s);
		to = (uint32_t)(to_s / s->tick_s);
		/* the last phase may have been cut short by the end */
		if (to <= from || (from > 0 && to_s >= end_s))
			continue;
		last = to - (to - from) / 4 - 1;
		r->settled_s = fmax(r->settled_s, settled_after_s(s, from, to, last));
		r->overshoot = fmax(r->overshoot, overshot(s, from, to, last));
	}
}

void sim_judge(const struct sim_scenario *scenario, const struct sim_series *series,
	       struct sim_result *r)
{
	double minutes = series->ticks * series->tick_s / 60;

	r->reversals_per_min = 0;
	for (uint32_t i = 0; i < series->engines; i++) {
		r->reversals[i] = count_reversals(series, i) / minutes;
		r->reversals_per_min += r->reversals[i] / series->engines;
		r->target_end[i] = target_at(series, series->ticks - 1, i);
	}
	r->moved_per_min = sum_of_moves(series) / minutes;
	r->settled_s = r->overshoot = 0;
	judge_settling(scenario, series, r);
}
