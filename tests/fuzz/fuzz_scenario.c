/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a scenario: it is refused with complaints, or every figure is one that can be run.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/sim/scenario.h"

static void require(int truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

static int between(double value, double least, double most)
{
	return value >= least && value <= most;
}

static void check_reads(const struct sim_spec *e)
{
	bool ended = false;
	double sum = 0;

	for (int i = 0; i < SIM_PARTS_MAX; i++) {
		const struct sim_part *p = &e->part[i];

		require(!ended || p->pattern == SIM_NOTHING, "nothing behind the last part");
		ended = p->pattern == SIM_NOTHING;
		if (ended)
			continue;
		sum += p->share;
		require(between(p->share, 0, 1) && between(p->skew, 0, 4), "share and skew");
		require((p->pattern == SIM_TRACE) == (*p->file != 0) && !p->trace &&
			    memchr(p->file, 0, sizeof(p->file)),
			"a file for a trace, not opened");
		require(p->pattern >= SIM_STREAM || between(p->size, .001, 4), "size");
		require(p->other_size == 0 || between(p->other_size, .001, 4), "second size");
	}
	require(sim_is_heap(e) ? sum == 0 : fabs(sum - 1) < 1e-5, "shares make one");
}

static void check_engine(const struct sim_spec *e)
{
	require(sim_name_valid(e->name), "name");
	require(e->kind < SIM_KINDS && e->change < SIM_CHANGES, "words");
	require(e->threads >= 1 && e->threads <= SIM_THREADS_MAX && e->readahead <= 64, "counts");
	require(e->miss_ns >= 1000 && e->miss_ns <= SIM_S && e->stream_ns >= 1000 &&
		    e->stream_ns <= SIM_S && e->think_ns <= SIM_S,
		"times");
	require(between(e->period_s, 0, 3600) && between(e->burst_s, 0, 3600), "periods");
	require(e->change != SIM_IDLE_IN_TURN || (e->turn < e->turns && e->period_s > 0), "turn");
	require(between(e->base, 0, 1) && between(e->low, 0, e->kind ? e->high : 1), "heap");
	require(between(e->min, 0, e->max) && between(e->max, 0, 1), "bounds");
	require(e->weight >= 1 && e->weight <= 10000 && e->stall_target_ppm <= 1000000, "weight");
	check_reads(e);
}

static void check_options(const struct sim_options *o)
{
	require(o->actuator < SIM_ACTUATORS && o->policy < LAW_POLICY_COUNT, "words of options");
	require(o->tick_ns >= SIM_MS && o->tick_ns <= 60 * SIM_S && o->tick_ns % SIM_MS == 0,
		"tick");
	require(o->grain >= 1 && o->grain <= SIM_GRAIN_MAX && !(o->grain & (o->grain - 1)),
		"grain");
	require(between(o->ceiling, .1, 2) && between(o->reserve, 0, .5) &&
		    between(o->burst, 0, .4) && o->gamma_ppm <= 1000000,
		"parts");
	require(sim_pages(o->ceiling, o->grain) >= 100, "a ceiling worth dividing");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct sim_scenario s;
	struct sim_complaints to = { .where = "fuzz" };
	bool ok = sim_scenario_parse("fuzz", (const char *)data, n, &to, &s);

	require(ok == (to.count == 0), "refused means complained about");
	if (!ok)
		return 0;
	require(between(s.seconds, 1, 3600) && between(s.measured_from_s, 0, s.seconds), "length");
	require(s.engines >= 1 && s.engines <= SIM_ENGINES_MAX && s.expects <= SIM_EXPECTS_MAX,
		"sections");
	for (uint32_t i = 0; i < s.engines; i++)
		check_engine(&s.engine[i]);
	for (uint32_t i = 0; i < s.expects; i++)
		check_options(&s.expect[i].options);
	sim_scenario_check(&s, &to);
	require(to.count == 0, "what was accepted holds together");
	return 0;
}
