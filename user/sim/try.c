/* SPDX-License-Identifier: BSD-2-Clause */
/* A scenario over several seeds, beside the best fixed split, and what is demanded of it. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "user/sim/sim.h"

static void add(struct sim_result *sum, const struct sim_result *r, uint32_t engines, double part)
{
	sum->score += r->score * part;
	sum->worst += r->worst * part;
	sum->reversals_per_min += r->reversals_per_min * part;
	sum->moved_per_min += r->moved_per_min * part;
	sum->settled_s += r->settled_s * part;
	sum->overshoot += r->overshoot * part;
	sum->blocked_s += r->blocked_s * part;
	for (uint32_t i = 0; i < engines; i++) {
		sum->n[i] += r->n[i] * part;
		sum->reversals[i] += r->reversals[i] * part;
		sum->target_end[i] += r->target_end[i] * part;
	}
	/* of these none is one too many */
	sum->over_ceiling += r->over_ceiling;
	sum->over_given += r->over_given;
	sum->below_min += r->below_min;
}

int sim_try(const struct sim_scenario *scenario, const struct sim_options *options, uint32_t seeds,
	    bool with_best, struct sim_outcome *ret, struct sim_series *ret_series)
{
	struct sim_options o = *options;
	struct sim_outcome outcome = { .best = NAN };
	uint32_t fixed[SIM_ENGINES_MAX];
	struct sim_result r;
	int rc = 0;

	if (ret_series)
		*ret_series = (struct sim_series){ 0 };
	if (with_best || o.best)
		rc = sim_oracle(scenario, o.ceiling, o.grain, &outcome.best, outcome.best_pages);
	for (uint32_t i = 0; i < scenario->engines; i++)
		fixed[i] = (uint32_t)(outcome.best_pages[i] * (1 - o.reserve));
	for (uint32_t k = 0; rc == 0 && k < seeds; k++) {
		o.seed = options->seed + k;
		rc = sim_run(scenario, &o, o.best ? fixed : NULL, &r, k == 0 ? ret_series : NULL);
		if (rc == 0)
			add(&outcome.result, &r, scenario->engines, 1.0 / seeds);
	}
	if (rc < 0) {
		if (ret_series)
			sim_series_fini(ret_series);
		return rc;
	}
	outcome.share = outcome.result.score / outcome.best;
	outcome.simulated_s = scenario->seconds * seeds;
	*ret = outcome;
	return 0;
}

/* -- bounds -- */

struct complaints {
	FILE *out;
	const char *where;
	int count;
};

static void broken(struct complaints *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void broken(struct complaints *c, const char *fmt, ...)
{
	va_list args;

	c->count++;
	fprintf(c->out, "%s: ", c->where);
	va_start(args, fmt);
	vfprintf(c->out, fmt, args);
	va_end(args);
	fputc('\n', c->out);
}

static bool below(double value, double bound)
{
	return bound != SIM_UNSAID && !(value >= bound);
}

static bool above(double value, double bound)
{
	return bound != SIM_UNSAID && !(value <= bound);
}

static void check_invariants(const struct sim_result *r, struct complaints *c)
{
	if (r->over_ceiling > 0)
		broken(c, "usage was above the ceiling at %.0f ticks", r->over_ceiling);
	if (r->over_given > 0)
		broken(c, "targets came to more than ceiling less reserve at %.0f ticks",
		       r->over_given);
	if (r->below_min > 0)
		broken(c, "a target was below its engine's minimum at %.0f ticks", r->below_min);
}

static void check_engines(const struct sim_scenario *scenario, const struct sim_expect *e,
			  const struct sim_result *r, struct complaints *c)
{
	for (uint32_t i = 0; i < scenario->engines; i++) {
		const char *name = scenario->engine[i].name;

		if (below(r->n[i], e->alone[i]))
			broken(c, "%s did %.1f%% of what it does alone, at least %.1f%% expected",
			       name, 100 * r->n[i], 100 * e->alone[i]);
		if (above(r->n[i], e->alone_below[i]))
			broken(c, "%s did %.1f%% of what it does alone, at most %.1f%% expected",
			       name, 100 * r->n[i], 100 * e->alone_below[i]);
		if (above(r->target_end[i], e->target_below[i]))
			broken(c,
			       "the target of %s ended at %.1f%% of the ceiling, at most "
			       "%.1f%% expected",
			       name, 100 * r->target_end[i], 100 * e->target_below[i]);
	}
}

int sim_check(const struct sim_scenario *scenario, const struct sim_expect *e,
	      const struct sim_outcome *outcome, const char *where, FILE *out)
{
	const struct sim_result *r = &outcome->result;
	struct complaints c = { .out = out, .where = where };

	check_invariants(r, &c);
	if (below(outcome->share, e->share))
		broken(&c, "%.1f%% of the best fixed split, at least %.1f%% expected",
		       100 * outcome->share, 100 * e->share);
	if (below(r->worst, e->worst))
		broken(&c,
		       "the worst engine did %.1f%% of what it does alone, at least %.1f%% "
		       "expected",
		       100 * r->worst, 100 * e->worst);
	check_engines(scenario, e, r, &c);
	if (above(r->reversals_per_min, e->reversals))
		broken(&c, "%.1f reversals a minute and engine, at most %.1f expected",
		       r->reversals_per_min, e->reversals);
	if (above(r->moved_per_min, e->moved))
		broken(&c, "moved %.2f ceilings a minute, at most %.2f expected", r->moved_per_min,
		       e->moved);
	if (above(r->settled_s, e->settled_s))
		broken(&c, "settled after %.1f s, at most %.1f s expected", r->settled_s,
		       e->settled_s);
	if (above(r->overshoot, e->overshoot))
		broken(&c, "overshot by %.1f%% of the ceiling, at most %.1f%% expected",
		       100 * r->overshoot, 100 * e->overshoot);
	if (above(r->blocked_s, e->blocked_s))
		broken(&c, "heaps got nothing for %.2f s, at most %.2f s expected", r->blocked_s,
		       e->blocked_s);
	return c.count;
}
