/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenario files, what follows from a run's series, and what is said about broken bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "user/common/cleanup.h"
#include "user/sim/scenario.h"

#define PAGE "docs/man/barostat-scenario.5"

#define HEAD       "[scenario]\nlength = 40s\nmeasured_from = 5s\n"
#define ONE        "[engine a]\nreads = uniform 66%\n"
#define SIXTY_FOUR "0123456789012345678901234567890123456789012345678901234567890123"

static char complaints[8192];
static struct sim_scenario scenario;

static bool parse(const char *text)
{
	FILE *out = fmemopen(complaints, sizeof(complaints), "w");
	struct sim_complaints to = { .out = out, .where = "s" };
	bool ok;

	memset(complaints, 0, sizeof(complaints));
	ok = sim_scenario_parse("s", text, strlen(text), &to, &scenario);
	fclose(out);
	assert_int_equal(ok, to.count == 0);
	return ok;
}

static void accept(const char *text)
{
	if (!parse(text))
		fail_msg("refused: %s", complaints);
}

static void refuse(const char *text, const char *complaint)
{
	assert_false(parse(text));
	if (!strstr(complaints, complaint))
		fail_msg("'%s' is not in: %s", complaint, complaints);
}

static void a_file_says_what_is_run(void **state)
{
	const struct sim_spec *e;

	accept(HEAD "[engine a]\n"
		    "reads = 80% zipf 0.9 60%, 15% loop 300%/5%, 5% stream ; a comment\n"
		    "threads = 3\nmiss = 80us\nthink = 30us\nreadahead = 7\nweight = 250\n"
		    "change = opposite-phases\nperiod = 20s\nmin = 5%\nmax = 60%\n"
		    "stall_target = 2%\n"
		    "[engine b]\nkind = ramp\nbase = 8%\nhigh = 88%\nperiod = 80s\nretains = yes\n"
		    "listens = yes\n"
		    "[expect]\nshare = 95%\nalone = b 90%, a 10%\nsettled = 10s\n"
		    "[expect files]\nsensors = files\nactuator = hard\ntick = 50ms\npolicy = best\n"
		    "gamma = 0%\nceiling = 75%\nreserve = 0%\nseed = 7\nreversals = 1.5\n");
	assert_string_equal(scenario.name, "s");
	assert_true(scenario.seconds == 40 && scenario.measured_from_s == 5);
	assert_int_equal(scenario.engines, 2);
	e = &scenario.engine[0];
	assert_int_equal(e->part[0].pattern, SIM_ZIPF);
	assert_true(e->part[0].skew == .9 && e->part[0].size == .6 && e->part[0].share == .8);
	assert_true(e->part[1].size == 3 && e->part[1].other_size == .05);
	assert_int_equal(e->part[2].pattern, SIM_STREAM);
	assert_int_equal(e->part[3].pattern, SIM_NOTHING);
	assert_int_equal(e->threads, 3);
	assert_int_equal(e->miss_ns, 80000);
	assert_int_equal(e->change, SIM_PHASES_OPPOSITE);
	assert_int_equal(e->stall_target_ppm, 20000);
	assert_true(e->min == .05 && e->max == .6 && e->weight == 250);
	assert_int_equal(scenario.engine[1].kind, SIM_HEAP_RAMP);
	assert_true(scenario.engine[1].retains && scenario.engine[1].listens);
	assert_true(scenario.engine[1].period_s == 80);
	assert_int_equal(scenario.expects, 2);
	assert_true(scenario.expect[0].alone[1] == .9 && scenario.expect[0].alone[0] == .1);
	assert_true(scenario.expect[0].worst == SIM_UNSAID);
	assert_int_equal(scenario.expect[0].options.tick_ns, 250 * SIM_MS);
	assert_true(scenario.expect[1].options.sensors == SIM_SENSORS_FILES &&
		    scenario.expect[1].options.best);
	assert_int_equal(scenario.expect[1].options.actuator, SIM_HARD);
	assert_int_equal(scenario.expect[1].options.gamma_ppm, 0);
	assert_true(scenario.expect[1].reversals == 1.5);
	accept(HEAD "[engine a]\nreads = 30% trace ../b.txt.gz, 70% uniform 5%\n");
	assert_int_equal(scenario.engine[0].part[0].pattern, SIM_TRACE);
	assert_string_equal(scenario.engine[0].part[0].file, "../b.txt.gz");
	assert_null(scenario.engine[0].part[0].trace); /* parsing opens nothing */
}

static void what_is_wrong_is_said_with_its_line(void **state)
{
	refuse("length = 5s\n", "s:1: 'length' before any section; allowed: [scenario], ");
	refuse("[scenario]\nlength = 40\n",
	       "s:2: length = 40 is not a time; allowed: a time from 1s to 1h\n");
	refuse("[scenario]\nlength = 2h\n", "s:2: length = 2h is out of range; ");
	refuse("[scenario]\n[scenario]\n", "s:2: [scenario] again, first at line 1; allowed: once");
	refuse("[scenario]\nlength = 5s\nlength = 6s\n", "s:3: length again, first at line 2; ");
	refuse("[engines]\n", "s:1: unknown section [engines]; allowed: [scenario], [engine NAME]");
	refuse("[engine 1]\n", "s:1: [engine 1] is not a name; allowed: 1 to 31 letters");
	refuse("[engine a]\n[engine a]\n", "s:2: [engine a] again; allowed: each name once");
	refuse("[engine a]\nthread = 2\n", "s:2: unknown key 'thread', did you mean 'threads'?; ");
	refuse("[engine a]\nthreads = 0\n", "s:2: threads = 0 is out of range; ");
	refuse("[engine a]\nturn = 4 of 3\n", "s:2: turn = 4 of 3 is not a turn; ");
	refuse("[engine a]\nreads = zipf 0.9\n", "s:2: reads = zipf 0.9 cannot be understood; ");
	refuse("[engine a]\nreads = uniform 5%, loop 5%\n", "does not say the share of each part");
	refuse("[engine a]\nreads = 50% uniform 5%, 40% loop 5%\n", "do not make 100%");
	refuse("[engine a]\nreads = uniform 500%\n", "cannot be understood");
	refuse("[engine a]\nreads = uniform -5%\n", "cannot be understood");
	refuse("[engine a]\nreads = uniform nan%\n", "cannot be understood");
	refuse("[engine a]\nreads = trace\n", "s:2: reads = trace cannot be understood; ");
	refuse("[engine a]\nreads = trace a b\n", "cannot be understood; allowed: up to 4 of ");
	refuse("[engine a]\nreads = trace 66% b\n", "cannot be understood");
	refuse("[engine a]\nreads = trace " SIXTY_FOUR SIXTY_FOUR "\n", "cannot be understood");
	refuse(ONE "[expect]\nalone = b 5%\n", "s:4: alone = b 5% names an engine that no section");
	refuse(ONE "[expect]\ntick = 1.5ms\n", "s:4: tick = 1.5ms is not whole milliseconds; ");
	refuse(ONE "[expect]\npolicy = oracle\n",
	       "s:4: policy = oracle is not known; allowed: marginal, static, proportional");
	refuse(ONE "[expect x]\n[expect x]\n", "s:4: [expect x] again, first at line 3; ");
}

static void what_does_not_go_together_is_refused(void **state)
{
	refuse(ONE, "s: there is no length; allowed: length = TIME in [scenario]");
	refuse("[scenario]\nlength = 5s\nmeasured_from = 5s\n" ONE, "s: measured_from is not ");
	refuse(HEAD, "s: there is no engine; allowed: 1 to 16 [engine NAME] sections");
	refuse(HEAD "[engine a]\n", "s:4: [engine a] has no reads; ");
	refuse(HEAD "[engine a]\nreads = uniform 5%/6%\n", "has a second size but no phases");
	refuse(HEAD ONE "change = phases\nperiod = 5s\n", "has phases but no second size");
	refuse(HEAD ONE "change = join\n", "[engine a] has no period; ");
	refuse(HEAD ONE "change = idle-in-turn\nperiod = 5s\n", "[engine a] has no turn; ");
	refuse(HEAD ONE "kind = sine\nperiod = 5s\n", "[engine a] is a heap with reads; ");
	refuse(HEAD "[engine a]\nkind = bursts\nburst = 1s\n", "has no burst or no every; ");
	refuse(HEAD "[engine a]\nkind = sine\n", "[engine a] has no period; ");
	refuse(HEAD ONE "min = 60%\nmax = 50%\n", "[engine a] has min above max; ");
	refuse(HEAD ONE "min = 60%\n[engine b]\nreads = loop 5%\nmin = 50%\n",
	       "s: the minima come to 110%; allowed: at most 100%");
}

static void settings_reach_options_engines_and_expectations(void **state)
{
	struct sim_complaints to = { .where = "--set" };
	struct sim_options options = SIM_OPTIONS;

	accept(HEAD ONE "[expect]\nactuator = hard\n");
	sim_set(&scenario, &options, "a.min=20%,tick=50ms,policy=static", &to);
	assert_int_equal(to.count, 0);
	assert_true(scenario.engine[0].min == .2);
	assert_int_equal(options.tick_ns, 50 * SIM_MS);
	assert_int_equal(options.policy, LAW_POLICY_STATIC);
	assert_int_equal(scenario.expect[0].options.policy, LAW_POLICY_STATIC);
	assert_int_equal(scenario.expect[0].options.actuator, SIM_HARD);
	sim_set(&scenario, &options, "b.min=20%", &to);
	sim_set(&scenario, &options, "a.mine=20%", &to);
	sim_set(&scenario, &options, "tick", &to);
	sim_set(&scenario, &options, "", &to);
	assert_int_equal(to.count, 4);
	to.count = 0;
	sim_set(&scenario, &options, "a.max=10%", &to); /* below its minimum now */
	assert_int_equal(to.count, 1);
}

static void the_manual_explains_every_key(void **state)
{
	_cleanup_fclose_ FILE *f = fopen(PAGE, "re");
	_cleanup_free_ char *text = calloc(1, 1 << 16);
	char item[64];

	if (!f || !text || fread(text, 1, (1 << 16) - 1, f) == 0) {
		fail_msg("%s cannot be read (run from the top of the tree)", PAGE);
		return;
	}
	for (int s = 0; s < SIM_SECTIONS; s++)
		for (size_t i = 0; i < sim_keys[s].keys; i++) {
			snprintf(item, sizeof(item), "\n.It Cm %s\n", sim_keys[s].key[i].name);
			if (!strstr(text, item))
				fail_msg("%s does not explain %s", PAGE, sim_keys[s].key[i].name);
		}
}

/* -- judging -- */

#define TICKS 160 /* of 250 ms: the 40 s of HEAD */

static struct sim_point points[TICKS];

static struct sim_result judge_points(void)
{
	struct sim_series series = { 1, TICKS, .25, points };
	struct sim_result r = { 0 };

	sim_judge(&scenario, &series, &r);
	return r;
}

static void turning_round_counts_beyond_one_percent(void **state)
{
	accept(HEAD ONE);
	for (int t = 0; t < TICKS; t++)
		points[t] = (struct sim_point){ .target = t % 2 ? .5 : .508, .n = 1 };
	assert_true(judge_points().reversals_per_min == 0);
	for (int t = 0; t < TICKS; t++)
		points[t].target = t % 40 < 20 ? .5 : .55;
	/* up and down every 5 s, 7 moves in 40 s, the first of which turns nothing round */
	assert_true(fabs(judge_points().reversals_per_min - 6 * 1.5) < 1e-9);
	assert_true(fabs(judge_points().moved_per_min - 7 * .05 / 2 * 1.5) < 1e-9);
}

static void settling_and_overshoot_are_seen(void **state)
{
	struct sim_result r;

	accept(HEAD ONE);
	for (int t = 0; t < TICKS; t++)
		points[t] = (struct sim_point){ .target = t < 20   ? .2
							  : t < 60 ? .7
								   : .6,
						.n = t < 40 ? .5 : 1 };
	r = judge_points();
	/* the last second with a mean below 0.9 ends three ticks after the 40 bad ones */
	assert_true(fabs(r.settled_s - 10.75) < 1e-9);
	assert_true(fabs(r.overshoot - .1) < 1e-9);
	assert_true(r.target_end[0] == .6);
	/* a phase is judged by itself: here it is settled after a second in each */
	accept(HEAD "[engine a]\nreads = uniform 60%/20%\nchange = phases\nperiod = 10s\n");
	for (int t = 0; t < TICKS; t++)
		points[t] =
		    (struct sim_point){ .target = t / 40 % 2 ? .2 : .6, .n = t % 40 < 4 ? .5 : 1 };
	assert_true(fabs(judge_points().settled_s - 1.75) < 1e-9);
	accept(HEAD ONE "change = noise\n");
	assert_true(isnan(judge_points().settled_s) && isnan(judge_points().overshoot));
}

static int broken_bounds(const struct sim_expect *e, const struct sim_outcome *o, const char *said)
{
	FILE *out = fmemopen(complaints, sizeof(complaints), "w");
	int count;

	memset(complaints, 0, sizeof(complaints));
	count = sim_check(&scenario, e, o, "s:9: [expect]", out);
	fclose(out);
	if (!strstr(complaints, said))
		fail_msg("'%s' is not in: %s", said, complaints);
	return count;
}

static void every_bound_can_break(void **state)
{
	const struct sim_result good = { .worst = .5,
					 .n = { .5 },
					 .reversals_per_min = 2,
					 .moved_per_min = 1,
					 .settled_s = 10,
					 .overshoot = .1,
					 .target_end = { .3 },
					 .blocked_s = 1 };
	const struct sim_outcome o = { .share = .9, .result = good };
	struct sim_outcome bad = o;
	struct sim_expect met, e;
	const struct sim_options options = SIM_OPTIONS;

	accept(HEAD ONE);
	sim_expect_nothing(&met, &options);
	assert_int_equal(broken_bounds(&met, &o, ""), 0);
	met.share = .9;
	met.worst = met.alone[0] = met.alone_below[0] = .5;
	met.target_below[0] = .3;
	met.reversals = 2;
	met.moved = 1;
	met.settled_s = 10;
	met.overshoot = .1;
	met.blocked_s = 1;
	assert_int_equal(broken_bounds(&met, &o, ""), 0);
#define BREAK(field, value, said)                                                                  \
	do {                                                                                       \
		e = met;                                                                           \
		e.field = (value);                                                                 \
		assert_int_equal(broken_bounds(&e, &o, "s:9: [expect]: " said), 1);                \
	} while (0)
	BREAK(share, .91, "90.0% of the best fixed split, at least 91.0% expected\n");
	BREAK(worst, .51, "the worst engine did 50.0% of what it does alone, at least 51.0%");
	BREAK(alone[0], .51, "a did 50.0% of what it does alone, at least 51.0% expected");
	BREAK(alone_below[0], .49, "a did 50.0% of what it does alone, at most 49.0% expected");
	BREAK(target_below[0], .29, "the target of a ended at 30.0% of the ceiling, at most");
	BREAK(reversals, 1.9, "2.0 reversals a minute and engine, at most 1.9 expected");
	BREAK(moved, .9, "moved 1.00 ceilings a minute, at most 0.90 expected");
	BREAK(settled_s, 9, "settled after 10.0 s, at most 9.0 s expected");
	BREAK(overshoot, .09, "overshot by 10.0% of the ceiling, at most 9.0% expected");
	BREAK(blocked_s, .5, "heaps got nothing for 1.00 s, at most 0.50 s expected");
	bad.result.settled_s = NAN; /* no figure keeps no bound */
	assert_int_equal(broken_bounds(&met, &bad, "settled after nan s"), 1);
	bad = o;
	bad.result.over_ceiling = bad.result.over_given = bad.result.below_min = 1;
	assert_int_equal(broken_bounds(&met, &bad, "usage was above the ceiling at 1 ticks"), 3);
}

/* -- runs -- */

static void the_same_seed_gives_the_same_run(void **state)
{
	struct sim_options options = SIM_OPTIONS;
	struct sim_result a, b;

	accept("[scenario]\nlength = 5s\n[engine a]\nreads = uniform 66%\n[engine b]\n"
	       "reads = zipf 0.9 100%\n");
	assert_int_equal(sim_run(&scenario, &options, NULL, &a, NULL), 0);
	assert_int_equal(sim_run(&scenario, &options, NULL, &b, NULL), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	options.seed = 2;
	assert_int_equal(sim_run(&scenario, &options, NULL, &b, NULL), 0);
	assert_memory_not_equal(&a, &b, sizeof(a));
}

static void bounds_of_the_operator_hold_at_every_tick(void **state)
{
	struct sim_options options = SIM_OPTIONS;
	struct sim_series series;
	struct sim_result r;

	accept("[scenario]\nlength = 5s\n[engine a]\nreads = stream\nmin = 30%\n[engine b]\n"
	       "reads = uniform 90%\nmax = 40%\n");
	assert_int_equal(sim_run(&scenario, &options, NULL, &r, &series), 0);
	assert_int_equal(series.ticks, 20);
	for (uint32_t t = 0; t < series.ticks; t++) {
		assert_true(series.point[2 * t].target >= .2999);
		assert_true(series.point[2 * t + 1].target <= .4001);
	}
	assert_true(r.below_min == 0 && r.over_given == 0 && r.over_ceiling == 0);
	sim_series_fini(&series);
}

static void who_joins_late_is_measured_too(void **state)
{
	accept("[scenario]\nlength = 30m\n[engine a]\nreads = uniform 66%\nchange = join\n"
	       "period = 20m\n");
	assert_true(sim_throughput(&scenario.engine[0], 0, SIM_CEILING_PAGES, 1) > 100000);
}

static int teardown(void **state)
{
	sim_oracle_free();
	sim_alias_free();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_says_what_is_run),
		cmocka_unit_test(what_is_wrong_is_said_with_its_line),
		cmocka_unit_test(what_does_not_go_together_is_refused),
		cmocka_unit_test(settings_reach_options_engines_and_expectations),
		cmocka_unit_test(the_manual_explains_every_key),
		cmocka_unit_test(turning_round_counts_beyond_one_percent),
		cmocka_unit_test(settling_and_overshoot_are_seen),
		cmocka_unit_test(every_bound_can_break),
		cmocka_unit_test(the_same_seed_gives_the_same_run),
		cmocka_unit_test(bounds_of_the_operator_hold_at_every_tick),
		cmocka_unit_test(who_joins_late_is_measured_too),
	};

	return cmocka_run_group_tests_name("scenarios", tests, NULL, teardown);
}
