/* SPDX-License-Identifier: BSD-2-Clause */
/* What `barostat simulate` prints. */
#include <math.h>

#include "user/cli/fields.h"
#include "user/cli/simulate.h"
#include "user/common/clock.h"

int simulate_begin(struct simulate *s)
{
	static const char *const heads[] = { "SCENARIO", "RUN",       ">BEST",    ">SCORE",
					     ">SHARE",   ">WORST",    ">REV/MIN", ">MOVED/MIN",
					     ">SETTLED", ">OVERSHOT", "ALONE",    NULL };

	s->rows = columns_new(heads);
	s->runs = json_array();
	if (!s->rows || !s->runs)
		return cli_fail(CLI_FAILED, "out of memory");
	return CLI_OK;
}

void simulate_end(struct simulate *s)
{
	columns_free(s->rows);
	json_decref(s->runs);
}

static void add_cell(struct simulate *s, const char *fmt, double value)
{
	char buf[FIELD_BYTES];

	if (isnan(value))
		snprintf(buf, sizeof(buf), "-");
	else
		snprintf(buf, sizeof(buf), fmt, value);
	columns_add(s->rows, STYLE_PLAIN, buf);
}

static void add_row(struct simulate *s, const struct sim_scenario *scenario, const char *label,
		    const struct sim_outcome *o)
{
	char alone[SIM_ENGINES_MAX * (SIM_NAME_MAX + 8)];
	size_t n = 0;

	for (uint32_t i = 0; i < scenario->engines && n < sizeof(alone); i++)
		n += (size_t)snprintf(alone + n, sizeof(alone) - n, "%s%s %.2f", i ? ", " : "",
				      scenario->engine[i].name, o->result.n[i]);
	columns_add(s->rows, STYLE_BOLD, scenario->name);
	columns_add(s->rows, STYLE_PLAIN, label);
	add_cell(s, "%.3f", o->best);
	add_cell(s, "%.3f", o->result.score);
	add_cell(s, "%.1f%%", 100 * o->share);
	add_cell(s, "%.2f", o->result.worst);
	add_cell(s, "%.1f", o->result.reversals_per_min);
	add_cell(s, "%.2f", o->result.moved_per_min);
	add_cell(s, "%.1fs", o->result.settled_s);
	add_cell(s, "%.1f%%", 100 * o->result.overshoot);
	columns_add(s->rows, STYLE_PLAIN, alone);
}

static json_t *real_or_null(double value)
{
	return isnan(value) ? json_null() : json_real(value);
}

static void add_json(struct simulate *s, const struct sim_scenario *scenario, const char *label,
		     const struct sim_options *options, const struct sim_outcome *o)
{
	const struct sim_result *r = &o->result;
	json_t *engines = json_array();

	for (uint32_t i = 0; i < scenario->engines; i++)
		json_array_append_new(
		    engines,
		    json_pack("{s:s, s:f, s:f, s:f, s:f}", "name", scenario->engine[i].name,
			      "alone", r->n[i], "target", r->target_end[i], "best",
			      (double)o->best_pages[i] / sim_pages(1, options->grain),
			      "reversals_per_min", r->reversals[i]));
	json_array_append_new(
	    s->runs,
	    json_pack("{s:s, s:s, s:s, s:I, s:i, s:o, s:f, s:o, s:f, s:f, s:f, s:o, s:o, s:f, s:o}",
		      "scenario", scenario->name, "run", label, "policy",
		      options->best ? "best" : policy_name(options->policy), "seed",
		      (json_int_t)options->seed, "seeds", (int)s->seeds, "best_score",
		      real_or_null(o->best), "score", r->score, "share", real_or_null(o->share),
		      "worst", r->worst, "reversals_per_min", r->reversals_per_min, "moved_per_min",
		      r->moved_per_min, "settled_s", real_or_null(r->settled_s), "overshoot",
		      real_or_null(r->overshoot), "blocked_s", r->blocked_s, "engines", engines));
}

void simulate_add(struct simulate *s, const struct sim_scenario *scenario, const char *label,
		  const struct sim_options *options, const struct sim_outcome *outcome)
{
	bool changes = sim_scenario_changes(scenario);

	add_row(s, scenario, label, outcome);
	add_json(s, scenario, label, options, outcome);
	s->least = s->count[0] + s->count[1] ? fmin(s->least, outcome->share) : outcome->share;
	s->share[changes] += outcome->share;
	s->count[changes]++;
}

/* Rates are of this machine and this moment. */
static double per_second(double simulated_s, uint64_t ns)
{
	return ns ? simulated_s / ((double)ns / NS_PER_S) : 0;
}

static void print_summary(const struct simulate *s)
{
	uint32_t runs = s->count[0] + s->count[1];

	putchar('\n');
	if (runs > 1 && !s->check) {
		printf("mean share of the best fixed split %.3f",
		       (s->share[0] + s->share[1]) / runs);
		if (s->count[0] && s->count[1])
			printf(" (where nothing changes %.3f, where something does %.3f)",
			       s->share[0] / s->count[0], s->share[1] / s->count[1]);
		printf(", least %.3f\n", s->least);
	}
	printf("%.0f s simulated in %.2f s: %.0f simulated seconds a second; best fixed splits "
	       "took %.2f s\n",
	       s->simulated_s, (double)s->run_ns / NS_PER_S, per_second(s->simulated_s, s->run_ns),
	       (double)s->best_ns / NS_PER_S);
	if (s->check)
		printf("%u runs, %d bounds broken\n", runs, s->broken);
}

int simulate_print(const struct simulate *s, bool json)
{
	json_t *report;

	if (!json) {
		columns_print(s->rows, stdout);
		print_summary(s);
		return CLI_OK;
	}
	report =
	    json_pack("{s:O, s:i, s:f, s:f}", "runs", s->runs, "broken", s->broken, "simulated_s",
		      s->simulated_s, "simulated_s_per_s", per_second(s->simulated_s, s->run_ns));
	if (!report)
		return cli_fail(CLI_FAILED, "out of memory");
	if (print_json(report)) {
		json_decref(report);
		return CLI_FAILED;
	}
	json_decref(report);
	return CLI_OK;
}
