/* SPDX-License-Identifier: BSD-2-Clause */
/* The hosts the law is judged on. Sizes are parts of the ceiling. */
#include <string.h>

#include "user/sim/sim.h"

#define ZIPF(s, sz)                                                                                \
	{                                                                                          \
		.pattern = SIM_ZIPF, .skew = (s), .size = (sz)                                     \
	}
#define UNIFORM(sz)                                                                                \
	{                                                                                          \
		.pattern = SIM_UNIFORM, .size = (sz)                                               \
	}
#define LOOP(sz)                                                                                   \
	{                                                                                          \
		.pattern = SIM_LOOP, .size = (sz)                                                  \
	}
#define STREAM                                                                                     \
	{                                                                                          \
		.pattern = SIM_STREAM                                                              \
	}
#define ENGINE(...)                                                                                \
	{                                                                                          \
		.part = { __VA_ARGS__ }                                                            \
	}
#define COLD_STREAM(n)                                                                             \
	{                                                                                          \
		.part = { STREAM }, .threads = (n), .stream_us = 12                                \
	}

const struct sim_scenario sim_scenarios[] = {
	{ .name = "zipf4",
	  .seconds = 75,
	  .measured_from_s = 15,
	  .engines = 4,
	  .engine = { ENGINE(ZIPF(.6, 1.0)), ENGINE(ZIPF(.8, 1.0)), ENGINE(ZIPF(.9, .8)),
		      ENGINE(ZIPF(1.1, .5)) } },
	{ .name = "hotsets",
	  .seconds = 75,
	  .measured_from_s = 15,
	  .engines = 4,
	  .engine = { ENGINE(UNIFORM(.15)),
		      ENGINE(UNIFORM(.30)),
		      { .part = { UNIFORM(.50) }, .threads = 1, .think_us = 100 },
		      { .part = { UNIFORM(.40) }, .threads = 1, .think_us = 30 } } },
	{ .name = "streams",
	  .seconds = 75,
	  .measured_from_s = 15,
	  .engines = 4,
	  .engine = { ENGINE(ZIPF(.9, 1.0)), COLD_STREAM(1), ENGINE(UNIFORM(.40)),
		      COLD_STREAM(1) } },
	{ .name = "misscost",
	  .seconds = 75,
	  .measured_from_s = 15,
	  .engines = 3,
	  .engine = { { .part = { ZIPF(.7, 1.0) }, .miss_us = 80 },
		      { .part = { ZIPF(.7, 1.0) }, .miss_us = 600 },
		      ENGINE(UNIFORM(.3)) } },
	{ .name = "cliff_fit",
	  .seconds = 75,
	  .measured_from_s = 15,
	  .engines = 3,
	  .engine = { { .part = { LOOP(.55) }, .threads = 1, .miss_us = 75 },
		      ENGINE(ZIPF(.9, 1.0)),
		      ENGINE(UNIFORM(.18)) } },
	{ .name = "cliff_huge",
	  .seconds = 75,
	  .measured_from_s = 15,
	  .engines = 3,
	  .engine = { ENGINE(LOOP(1.6)), ENGINE(ZIPF(.9, 1.0)), ENGINE(ZIPF(.8, .7)) } },
	{ .name = "multicliff",
	  .seconds = 75,
	  .measured_from_s = 15,
	  .engines = 4,
	  .engine = { ENGINE(LOOP(.30)), ENGINE(LOOP(.45)), ENGINE(LOOP(.60)),
		      ENGINE(ZIPF(.9, .4)) } },
	{ .name = "readahead",
	  .seconds = 75,
	  .measured_from_s = 15,
	  .engines = 3,
	  .engine = { { .part = { UNIFORM(2.0) }, .readahead = 7 },
		      ENGINE(ZIPF(.9, 1.0)),
		      ENGINE(UNIFORM(.35)) } },
	{ .name = "scanmix",
	  .seconds = 75,
	  .measured_from_s = 15,
	  .engines = 3,
	  .engine = { { .part = { { .pattern = SIM_ZIPF, .skew = .9, .size = .6, .share = .8 },
				  LOOP(3.0) } },
		      ENGINE(ZIPF(.7, 1.0)),
		      { .part = { { .pattern = SIM_UNIFORM, .size = .2, .share = .7 },
				  STREAM } } } },
	{ .name = "swap20",
	  .seconds = 105,
	  .measured_from_s = 10,
	  .changing = true,
	  .engines = 3,
	  .engine = { { .part = { { .pattern = SIM_UNIFORM, .size = .55, .other_size = .12 } },
			.change = SIM_PHASES,
			.period_s = 20 },
		      { .part = { { .pattern = SIM_UNIFORM, .size = .55, .other_size = .12 } },
			.change = SIM_PHASES_OPPOSITE,
			.period_s = 20 },
		      ENGINE(ZIPF(.9, .7)) } },
	{ .name = "swap3",
	  .seconds = 75,
	  .measured_from_s = 15,
	  .changing = true,
	  .engines = 3,
	  .engine = { { .part = { { .pattern = SIM_UNIFORM, .size = .55, .other_size = .12 } },
			.change = SIM_PHASES,
			.period_s = 3 },
		      { .part = { { .pattern = SIM_UNIFORM, .size = .55, .other_size = .12 } },
			.change = SIM_PHASES_OPPOSITE,
			.period_s = 3 },
		      ENGINE(ZIPF(.9, .7)) } },
	{ .name = "idle_rot",
	  .seconds = 105,
	  .measured_from_s = 15,
	  .changing = true,
	  .engines = 3,
	  .engine = { { .part = { ZIPF(.7, .8) },
			.change = SIM_IDLE_IN_TURN,
			.period_s = 15,
			.turn = 0,
			.turns = 3 },
		      { .part = { ZIPF(.7, .8) },
			.change = SIM_IDLE_IN_TURN,
			.period_s = 15,
			.turn = 1,
			.turns = 3 },
		      { .part = { ZIPF(.7, .8) },
			.change = SIM_IDLE_IN_TURN,
			.period_s = 15,
			.turn = 2,
			.turns = 3 } } },
	{ .name = "burst",
	  .seconds = 105,
	  .measured_from_s = 15,
	  .changing = true,
	  .engines = 4,
	  .engine = { ENGINE(ZIPF(.9, 1.0)),
		      ENGINE(UNIFORM(.30)),
		      { .anon = SIM_ANON_BURSTS,
			.anon_base = .03,
			.anon_low = .15,
			.anon_high = .30,
			.burst_s = 2,
			.burst_every_s = 12 },
		      { .anon = SIM_ANON_BURSTS,
			.anon_base = .03,
			.anon_low = .10,
			.anon_high = .20,
			.burst_s = 1,
			.burst_every_s = 9 } } },
	{ .name = "heapsine",
	  .seconds = 105,
	  .measured_from_s = 15,
	  .changing = true,
	  .engines = 3,
	  .engine = { ENGINE(ZIPF(.8, 1.0)),
		      ENGINE(UNIFORM(.35)),
		      { .anon = SIM_ANON_SINE,
			.anon_base = .08,
			.anon_high = .4,
			.period_s = 40,
			.retains = true } } },
	{ .name = "noise",
	  .seconds = 75,
	  .measured_from_s = 15,
	  .changing = true,
	  .engines = 4,
	  .engine = { { .part = { ZIPF(.6, 1.0) }, .change = SIM_LOAD_NOISE },
		      { .part = { ZIPF(.8, 1.0) }, .change = SIM_LOAD_NOISE },
		      { .part = { ZIPF(.9, .8) }, .change = SIM_LOAD_NOISE },
		      { .part = { ZIPF(1.1, .5) }, .change = SIM_LOAD_NOISE } } },
	{ .name = "eight",
	  .seconds = 105,
	  .measured_from_s = 10,
	  .changing = true,
	  .engines = 8,
	  .engine = { ENGINE(ZIPF(.9, 1.0)),
		      COLD_STREAM(1),
		      ENGINE(LOOP(.2)),
		      { .part = { UNIFORM(.3) }, .change = SIM_IDLE },
		      { .anon = SIM_ANON_BURSTS,
			.anon_base = .02,
			.anon_low = .12,
			.anon_high = .12,
			.burst_s = 2,
			.burst_every_s = 10 },
		      { .part = { UNIFORM(.15) }, .miss_us = 300 },
		      { .part = { { .pattern = SIM_UNIFORM, .size = .3, .other_size = .06 } },
			.change = SIM_PHASES,
			.period_s = 25 },
		      { .part = { { .pattern = SIM_UNIFORM, .size = .3, .other_size = .06 } },
			.change = SIM_PHASES_OPPOSITE,
			.period_s = 25 } } },
	{ .name = "join",
	  .seconds = 90,
	  .measured_from_s = 15,
	  .changing = true,
	  .engines = 3,
	  .engine = { ENGINE(ZIPF(.8, 1.0)),
		      ENGINE(ZIPF(.8, .8)),
		      { .part = { UNIFORM(.35) }, .change = SIM_JOIN, .period_s = 40 } } },
	/* a reader whose set fits beside a stream that would take everything */
	{ .name = "stampede",
	  .seconds = 40,
	  .measured_from_s = 5,
	  .engines = 2,
	  .engine = { ENGINE(UNIFORM(.66)), COLD_STREAM(4) } },
};

const size_t sim_scenarios_count = sizeof(sim_scenarios) / sizeof(sim_scenarios[0]);

const struct sim_scenario *sim_scenario_find(const char *name)
{
	for (size_t i = 0; i < sim_scenarios_count; i++)
		if (strcmp(sim_scenarios[i].name, name) == 0)
			return &sim_scenarios[i];
	return NULL;
}
