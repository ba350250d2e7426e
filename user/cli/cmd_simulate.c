/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * simulate: runs scenario files on a host in miniature, with the law's own object code, and says
 * how near it comes to the best fixed split. Needs no daemon and no rights.
 */
#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

#include "user/cli/simulate.h"
#include "user/common/clock.h"
#include "user/common/units.h"
#include "user/sim/plot.h"

#define SEEDS_MAX 1000u

/* A file, or the name of one that came with barostat: installed beside it, or in the tree. */
static const char *find_scenario(const char *name, char *buf, size_t size)
{
	const char *end = strstr(name, ".ini") ? "" : ".ini";
	ssize_t n;

	if (strchr(name, '/') || access(name, F_OK) == 0)
		return name;
	n = readlink("/proc/self/exe", buf, size - 1);
	if (n > 0 && (size_t)n < size - 1) {
		buf[n] = 0;
		n = (ssize_t)strlen(dirname(dirname(buf))); /* in place: the path is absolute */
		snprintf(buf + n, size - (size_t)n, "/share/barostat/scenarios/%s%s", name, end);
		if (access(buf, R_OK) == 0)
			return buf;
	}
	snprintf(buf, size, "scenarios/%s%s", name, end);
	return access(buf, R_OK) == 0 ? buf : name;
}

/* The options that have a key of the same name. CLI_OK, or it said what is wrong. */
static int apply_options(const struct cli *cli, struct sim_scenario *scenario,
			 struct sim_options *options)
{
	struct sim_complaints to = { .out = stderr };

	for (int i = 0; i < cli->command->options; i++) {
		const char *name = cli->command->option[i].name, *value = cli->value[i];
		const struct sim_key *key = sim_key_find(SIM_OPTION, name);

		if (!key || !value)
			continue;
		to.where = "barostat: simulate";
		sim_key_set(key, scenario, options, value, 0, &to);
		for (uint32_t k = 0; k < scenario->expects && !to.count; k++)
			sim_key_set(key, scenario, &scenario->expect[k].options, value, 0, &to);
	}
	to.where = "barostat: simulate --set";
	if (!to.count && cli_value(cli, "set"))
		sim_set(scenario, options, cli_value(cli, "set"), &to);
	return to.count ? CLI_USAGE : CLI_OK;
}

static int run_one(struct simulate *s, const struct sim_scenario *scenario, const char *label,
		   const struct sim_options *options, bool with_best, struct sim_outcome *ret,
		   struct sim_series *ret_series)
{
	uint64_t begin_ns = clock_now_ns(), middle_ns;
	uint32_t best[SIM_ENGINES_MAX];
	double score;
	int rc = 0;

	if (with_best) /* sim_try will find its parts known */
		rc = sim_oracle(scenario, options->ceiling, options->grain, &score, best);
	middle_ns = clock_now_ns();
	if (rc == 0)
		rc = sim_try(scenario, options, s->seeds, with_best, ret, ret_series);
	if (rc != 0)
		return cli_fail(CLI_FAILED, "%s: %s", scenario->name, strerror(-rc));
	s->best_ns += middle_ns - begin_ns;
	s->run_ns += clock_now_ns() - middle_ns;
	s->simulated_s += ret->simulated_s;
	simulate_add(s, scenario, label, options, ret);
	return CLI_OK;
}

/* Each [expect] is a run of its own; a scenario without one must still break no invariant. */
static int check_scenario(struct simulate *s, const struct sim_scenario *scenario,
			  const struct sim_options *options, const char *path)
{
	struct sim_expect plain = scenario->expect[0];
	struct sim_outcome outcome;
	char where[512];
	int r = CLI_OK;

	if (!scenario->expects)
		sim_expect_nothing(&plain, options);
	for (uint32_t i = 0; i < (scenario->expects ? scenario->expects : 1) && r == CLI_OK; i++) {
		const struct sim_expect *e = scenario->expects ? &scenario->expect[i] : &plain;

		r = run_one(s, scenario, *e->name ? e->name : "expect", &e->options,
			    e->share != SIM_UNSAID, &outcome, NULL);
		if (r)
			break;
		snprintf(where, sizeof(where), "%s:%u: [expect%s%s]", path, e->line,
			 *e->name ? " " : "", e->name);
		s->broken += sim_check(scenario, e, &outcome, where, stderr);
	}
	return r;
}

static const char *policy_label(const struct sim_options *options)
{
	return options->best ? "best" : policy_name(options->policy);
}

static int write_plot(const char *path, const struct sim_scenario *scenario,
		      const struct sim_plot_run *run, uint32_t runs)
{
	_cleanup_fclose_ FILE *out = fopen(path, "we");

	if (!out)
		return cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
	sim_plot(scenario, run, runs, out);
	if (fflush(out) || ferror(out))
		return cli_fail(CLI_FAILED, "%s: cannot write the plot", path);
	return CLI_OK;
}

static int run_scenario(struct simulate *s, const struct cli *cli,
			const struct sim_scenario *scenario, const struct sim_options *options)
{
	const char *against = cli_value(cli, "against"), *plot = cli_value(cli, "plot");
	struct sim_options each[2] = { *options, *options };
	struct sim_outcome outcome[2];
	struct sim_series series[2] = { 0 };
	struct sim_plot_run run[2];
	uint32_t runs = against ? 2 : 1;
	int r = CLI_OK;

	if (against) {
		struct sim_complaints to = { .out = stderr,
					     .where = "barostat: simulate --against" };

		sim_key_set(sim_key_find(SIM_OPTION, "policy"), scenario, &each[1], against, 0,
			    &to);
		if (to.count)
			return CLI_USAGE;
	}
	for (uint32_t k = 0; k < runs && r == CLI_OK; k++) {
		r = run_one(s, scenario, policy_label(&each[k]), &each[k], true, &outcome[k],
			    plot ? &series[k] : NULL);
		run[k] = (struct sim_plot_run){ policy_label(&each[k]), &series[k], &outcome[k] };
	}
	if (r == CLI_OK && plot)
		r = write_plot(plot, scenario, run, runs);
	sim_series_fini(&series[0]);
	sim_series_fini(&series[1]);
	return r;
}

static int simulate_file(struct simulate *s, const struct cli *cli, const char *name)
{
	struct sim_complaints to = { .out = stderr };
	_cleanup_free_ struct sim_scenario *scenario = calloc(1, sizeof(*scenario));
	struct sim_options options = SIM_OPTIONS;
	char path[4096];
	int r;

	if (!scenario)
		return cli_fail(CLI_FAILED, "%s", strerror(ENOMEM));
	to.where = find_scenario(name, path, sizeof(path));
	if (!sim_scenario_read(to.where, &to, scenario))
		return CLI_FAILED;
	r = apply_options(cli, scenario, &options);
	if (r)
		return r;
	if (!sim_traces_load(scenario, to.where, &to))
		return CLI_FAILED;
	return s->check ? check_scenario(s, scenario, &options, to.where)
			: run_scenario(s, cli, scenario, &options);
}

static int read_seeds(const struct cli *cli, uint32_t *ret_seeds)
{
	const char *text = cli_value(cli, "seeds");
	uint64_t seeds = 1;

	if (text && (units_parse_u64(text, &seeds) < 0 || !seeds || seeds > SEEDS_MAX))
		return cli_fail_usage(cli->command,
				      "--seeds %s is no number of seeds; allowed: 1 to %u", text,
				      SEEDS_MAX);
	*ret_seeds = (uint32_t)seeds;
	return CLI_OK;
}

int cmd_simulate(const struct cli *cli)
{
	struct simulate s = { .check = cli_value(cli, "check") };
	int r = read_seeds(cli, &s.seeds);

	if (!r && s.check && (cli_value(cli, "against") || cli_value(cli, "plot")))
		r = cli_fail_usage(cli->command, "--check goes with neither --against nor --plot");
	if (!r && cli_value(cli, "plot") && cli->args > 1)
		r = cli_fail_usage(cli->command, "--plot takes one scenario, but got %d",
				   cli->args);
	if (!r)
		r = simulate_begin(&s);
	for (int i = 0; i < cli->args && !r; i++)
		r = simulate_file(&s, cli, cli->arg[i]);
	if (!r)
		r = simulate_print(&s, cli->json);
	simulate_end(&s);
	sim_oracle_free();
	sim_alias_free();
	sim_trace_free();
	return r ? r : s.broken ? CLI_FAILED : CLI_OK;
}
