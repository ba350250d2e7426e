/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs the law on the simulated hosts and prints how near it comes to the best fixed split. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/sim/sim.h"

#define FILES_RUNG                                                                                 \
	(LAW_VALID_USAGE | LAW_VALID_KINDS | LAW_VALID_REFAULTS | LAW_VALID_PSI_MEMORY |           \
	 LAW_VALID_PSI_IO | LAW_VALID_FAULTS)

struct command {
	const char *only;
	bool equal, oracle;
	uint64_t seeds;
	struct sim_options options;
};

static void usage(void)
{
	printf("usage: simulate [--scenario NAME] [--actuator hard|protect|none] [--policy NAME]\n"
	       "                [--equal|--oracle] [--files] [--seeds N] [--seed N] [--tick MS]\n"
	       "                [--gamma PPM] [--ceiling PART] [--reserve PART] [--trace TICKS]\n");
}

static int parse(int argc, char **argv, struct command *c)
{
	static const struct option longs[] = {
		{ "scenario", required_argument, NULL, 's' },
		{ "actuator", required_argument, NULL, 'a' },
		{ "policy", required_argument, NULL, 'p' },
		{ "equal", no_argument, NULL, 'e' },
		{ "oracle", no_argument, NULL, 'o' },
		{ "files", no_argument, NULL, 'f' },
		{ "seeds", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 'S' },
		{ "tick", required_argument, NULL, 't' },
		{ "gamma", required_argument, NULL, 'g' },
		{ "ceiling", required_argument, NULL, 'c' },
		{ "reserve", required_argument, NULL, 'r' },
		{ "trace", required_argument, NULL, 'T' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int o, policy;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (o) {
		case 's':
			c->only = optarg;
			break;
		case 'a':
			c->options.actuator = *optarg == 'h'   ? SIM_HARD
					      : *optarg == 'p' ? SIM_PROTECT
							       : SIM_NO_LIMITS;
			break;
		case 'p':
			policy = policy_from_name(optarg);
			if (policy < 0)
				return -1;
			c->options.policy = (enum law_policy)policy;
			break;
		case 'e':
			c->equal = true;
			break;
		case 'o':
			c->oracle = true;
			break;
		case 'f':
			c->options.valid = FILES_RUNG;
			break;
		case 'n':
			c->seeds = strtoull(optarg, NULL, 10);
			break;
		case 'S':
			c->options.seed = strtoull(optarg, NULL, 10);
			break;
		case 't':
			c->options.tick_ns = strtoull(optarg, NULL, 10) * SIM_MS;
			break;
		case 'g':
			c->options.gamma_ppm = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'c':
			c->options.ceiling = strtod(optarg, NULL);
			break;
		case 'r':
			c->options.reserve = strtod(optarg, NULL);
			break;
		case 'T':
			c->options.trace_every = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		default:
			return -1;
		}
	}
	return 0;
}

static void fix_targets(struct command *c, const struct sim_scenario *s,
			const uint32_t best[SIM_ENGINES_MAX])
{
	double ceiling = (c->options.ceiling > 0 ? c->options.ceiling : 1) * SIM_CEILING_PAGES;

	if (!c->equal && !c->oracle)
		return;
	c->options.control = SIM_FIXED;
	for (uint32_t i = 0; i < s->engines; i++)
		c->options.fixed_pages[i] = c->oracle ? best[i] : (uint32_t)(ceiling / s->engines);
}

int main(int argc, char **argv)
{
	struct command c = { .seeds = 1,
			     .options = { .actuator = SIM_HARD, .seed = 1, .gamma_ppm = 1000000 } };
	double ratio_sum[2] = { 0 }, worst = 10, reversals = 0, moved = 0;
	int count[2] = { 0 };

	if (parse(argc, argv, &c) < 0) {
		usage();
		return 2;
	}
	printf(
	    "%-11s %6s %6s %6s %6s %6s %5s  N of each engine | targets at the end (best fixed)\n",
	    "scenario", "best", "score", "ratio", "rev/m", "C/m", "over");
	for (size_t i = 0; i < sim_scenarios_count; i++) {
		const struct sim_scenario *s = &sim_scenarios[i];
		uint32_t best[SIM_ENGINES_MAX];
		struct sim_result mean = { 0 }, r;
		double oracle, ratio;
		uint64_t first = c.options.seed;

		if (c.only && strcmp(c.only, s->name) != 0)
			continue;
		if (sim_oracle(s, c.options.ceiling, &oracle, best) < 0)
			return 1;
		fix_targets(&c, s, best);
		for (uint64_t k = 0; k < c.seeds; k++) {
			c.options.seed = first + k;
			if (sim_run(s, &c.options, &r) < 0)
				return 1;
			mean.score += r.score / (double)c.seeds;
			mean.reversals_per_min += r.reversals_per_min / (double)c.seeds;
			mean.moved_per_min += r.moved_per_min / (double)c.seeds;
			mean.over_ceiling_ticks += r.over_ceiling_ticks + r.target_over;
		}
		c.options.seed = first;
		ratio = mean.score / oracle;
		printf("%-11s %6.3f %6.3f %6.3f %6.1f %6.2f %5.0f ", s->name, oracle, mean.score,
		       ratio, mean.reversals_per_min, mean.moved_per_min, mean.over_ceiling_ticks);
		for (uint32_t e = 0; e < s->engines; e++)
			printf(" %.2f", r.n[e]);
		printf(" |");
		for (uint32_t e = 0; e < s->engines; e++)
			printf(" %.2f(%.2f)", r.target_end[e], (double)best[e] / SIM_CEILING_PAGES);
		printf("\n");
		fflush(stdout);
		if (strcmp(s->name, "stampede") == 0)
			continue;
		ratio_sum[s->changing] += ratio;
		count[s->changing]++;
		worst = fmin(worst, ratio);
		reversals += mean.reversals_per_min;
		moved += mean.moved_per_min;
	}
	if (count[0] + count[1] > 1)
		printf(
		    "mean ratio %.3f (stationary %.3f, changing %.3f), worst %.3f, reversals/min "
		    "%.1f, moved C/min %.2f\n",
		    (ratio_sum[0] + ratio_sum[1]) / (count[0] + count[1]),
		    ratio_sum[0] / fmax(count[0], 1), ratio_sum[1] / fmax(count[1], 1), worst,
		    reversals / (count[0] + count[1]), moved / (count[0] + count[1]));
	sim_oracle_free();
	sim_alias_free();
	return 0;
}
