/* SPDX-License-Identifier: BSD-2-Clause */
/* The one table of what a scenario can say. */
#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "user/common/suggest.h"
#include "user/sim/values.h"

#define FIELD(type, f)  .offset = offsetof(struct type, f)
#define KIND(kind)      .parse = sim_parse_##kind
#define BETWEEN(lo, hi) .least = (lo), .most = (hi)
#define OF(...)                                                                                    \
	.words = (const char *const[])                                                             \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

#define ALLOWED_ENGINES                                                                            \
	"engines, each with a percentage from 0% to 1000%, like 'reader 95%, stream 10%'"

static const struct sim_key scenario_keys[] = {
	{ "length", "a time from 1s to 1h", KIND(seconds), FIELD(sim_scenario, seconds),
	  BETWEEN(1, 3600) },
	{ "measured_from", "a time from 0 to 1h, below the length", KIND(seconds),
	  FIELD(sim_scenario, measured_from_s), BETWEEN(0, 3600) },
};

static const struct sim_key engine_keys[] = {
	{ "kind", "cache, bursts, sine or ramp", KIND(word), FIELD(sim_spec, kind),
	  OF("cache", "bursts", "sine", "ramp") },
	{ "reads",
	  "up to 4 of 'zipf SKEW SIZE', 'uniform SIZE', 'loop SIZE', 'stream' and 'trace FILE' "
	  "with commas between, each with its share before it when there are several ('80% zipf 0.9 60%, 20% "
	  "stream'); SIZE a percentage of the ceiling from 0.1% to 400%, or two with '/' between "
	  "(uniform and loop): in even and in odd periods; FILE below 128 bytes, without blank or "
	  "comma",
	  KIND(reads), FIELD(sim_spec, part) },
	{ "threads", "a whole number from 1 to 16", KIND(count), FIELD(sim_spec, threads),
	  BETWEEN(1, SIM_THREADS_MAX) },
	{ "miss", "a time from 1us to 1s", KIND(ns), FIELD(sim_spec, miss_ns), BETWEEN(1e3, 1e9) },
	{ "stream_page", "a time from 1us to 1s", KIND(ns), FIELD(sim_spec, stream_ns),
	  BETWEEN(1e3, 1e9) },
	{ "think", "a time from 0 to 1s", KIND(ns), FIELD(sim_spec, think_ns), BETWEEN(0, 1e9) },
	{ "readahead", "a whole number of pages from 0 to 64", KIND(count),
	  FIELD(sim_spec, readahead), BETWEEN(0, 64) },
	{ "change", "steady, phases, opposite-phases, idle-in-turn, idle, noise or join",
	  KIND(word), FIELD(sim_spec, change),
	  OF("steady", "phases", "opposite-phases", "idle-in-turn", "idle", "noise", "join") },
	{ "period", "a time from 100ms to 1h", KIND(seconds), FIELD(sim_spec, period_s),
	  BETWEEN(.1, 3600) },
	{ "turn", "'1 of 3' and the like, at most 16", KIND(turn), FIELD(sim_spec, turn) },
	{ "base", "a percentage of the ceiling from 0% to 100%", KIND(share), FIELD(sim_spec, base),
	  BETWEEN(0, 1) },
	{ "low", "a percentage of the ceiling from 0% to 100%", KIND(share), FIELD(sim_spec, low),
	  BETWEEN(0, 1) },
	{ "high", "a percentage of the ceiling from 0% to 100%", KIND(share), FIELD(sim_spec, high),
	  BETWEEN(0, 1) },
	{ "burst", "a time from 10ms to 1h", KIND(seconds), FIELD(sim_spec, burst_s),
	  BETWEEN(.01, 3600) },
	{ "every", "a time from 10ms to 1h", KIND(seconds), FIELD(sim_spec, burst_every_s),
	  BETWEEN(.01, 3600) },
	{ "retains", "yes or no", KIND(flag), FIELD(sim_spec, retains), OF("no", "yes") },
	{ "listens", "yes or no", KIND(flag), FIELD(sim_spec, listens), OF("no", "yes") },
	{ "weight", "a whole number from 1 to 10000", KIND(count), FIELD(sim_spec, weight),
	  BETWEEN(1, 10000) },
	{ "min", "a percentage of the ceiling from 0% to 100%", KIND(share), FIELD(sim_spec, min),
	  BETWEEN(0, 1) },
	{ "max", "a percentage of the ceiling from 1% to 100%", KIND(share), FIELD(sim_spec, max),
	  BETWEEN(.01, 1) },
	{ "stall_target", "a percentage of time from 0% to 100%", KIND(ppm),
	  FIELD(sim_spec, stall_target_ppm), BETWEEN(0, 1e6) },
};

static const struct sim_key expect_keys[] = {
	{ "share", "a percentage of the best fixed split's score from 0% to 1000%", KIND(share),
	  FIELD(sim_expect, share), BETWEEN(0, 10) },
	{ "worst", "a percentage from 0% to 1000%", KIND(share), FIELD(sim_expect, worst),
	  BETWEEN(0, 10) },
	{ "alone", ALLOWED_ENGINES, KIND(engines), FIELD(sim_expect, alone), BETWEEN(0, 10) },
	{ "alone_below", ALLOWED_ENGINES, KIND(engines), FIELD(sim_expect, alone_below),
	  BETWEEN(0, 10) },
	{ "target_below", ALLOWED_ENGINES, KIND(engines), FIELD(sim_expect, target_below),
	  BETWEEN(0, 10) },
	{ "reversals", "a number from 0 to 1000", KIND(number), FIELD(sim_expect, reversals),
	  BETWEEN(0, 1000) },
	{ "moved", "a number of ceilings from 0 to 1000", KIND(number), FIELD(sim_expect, moved),
	  BETWEEN(0, 1000) },
	{ "settled", "a time from 0 to 1h", KIND(seconds), FIELD(sim_expect, settled_s),
	  BETWEEN(0, 3600) },
	{ "overshoot", "a percentage of the ceiling from 0% to 100%", KIND(share),
	  FIELD(sim_expect, overshoot), BETWEEN(0, 1) },
	{ "blocked", "a time from 0 to 1h", KIND(seconds), FIELD(sim_expect, blocked_s),
	  BETWEEN(0, 3600) },
};

static const struct sim_key option_keys[] = {
	{ "policy", NULL, KIND(policy) },
	{ "actuator", "protect, hard or none", KIND(word), FIELD(sim_options, actuator),
	  OF("protect", "hard", "none") },
	{ "sensors", "all, ghosts or files", KIND(word), FIELD(sim_options, sensors),
	  OF("all", "ghosts", "files") },
	{ "tick", "whole milliseconds from 1ms to 60s", KIND(tick), FIELD(sim_options, tick_ns),
	  BETWEEN(1e6, 6e10) },
	{ "seed", "a whole number", KIND(seed), FIELD(sim_options, seed) },
	{ "gamma", "a percentage from 0% (proportional fairness) to 100% (throughput)", KIND(ppm),
	  FIELD(sim_options, gamma_ppm), BETWEEN(0, 1e6) },
	{ "ceiling", "a percentage from 10% to 200%", KIND(share), FIELD(sim_options, ceiling),
	  BETWEEN(.1, 2) },
	{ "grain", "1, 2, 4, 8 or 16", KIND(grain), FIELD(sim_options, grain) },
	{ "reserve", "a percentage of the ceiling from 0% to 50%", KIND(share),
	  FIELD(sim_options, reserve), BETWEEN(0, .5) },
	{ "burst", "a percentage of the ceiling from 0% to 40%", KIND(share),
	  FIELD(sim_options, burst), BETWEEN(0, .4) },
};

#define TABLE(t) (t), sizeof(t) / sizeof((t)[0])

const struct sim_keys sim_keys[SIM_SECTIONS] = {
	[SIM_SCENARIO] = { "scenario", TABLE(scenario_keys) },
	[SIM_ENGINE] = { "engine", TABLE(engine_keys) },
	[SIM_EXPECT] = { "expect", TABLE(expect_keys) },
	[SIM_OPTION] = { "options", TABLE(option_keys) },
};

const struct sim_key *sim_key_find(enum sim_section section, const char *name)
{
	const struct sim_keys *s = &sim_keys[section];

	for (size_t i = 0; i < s->keys; i++)
		if (!strcmp(s->key[i].name, name))
			return &s->key[i];
	return NULL;
}

/* "marginal, static, proportional or best", however many there are. */
static void list_policies(char *buf, size_t size)
{
	size_t n = 0;

	for (int i = 0; i < LAW_POLICY_COUNT && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? ", " : "",
				      policy_name((enum law_policy)i));
	if (n < size)
		snprintf(buf + n, size - n, " or best");
}

void sim_key_set(const struct sim_key *key, const struct sim_scenario *scenario, void *object,
		 const char *text, uint32_t line, struct sim_complaints *to)
{
	const char *why = NULL;
	char policies[256];

	if (key->parse(key, scenario, text, (char *)object + key->offset, &why) == 0)
		return;
	list_policies(policies, sizeof(policies));
	sim_complain(to, line, "%s = %.80s%s %s; allowed: %s", key->name, text,
		     strlen(text) > 80 ? "..." : "", why, key->allowed ? key->allowed : policies);
}

void sim_key_unknown(enum sim_section section, const char *name, uint32_t line,
		     struct sim_complaints *to)
{
	unsigned int distance = suggest_limit(name) + 1;
	const char *best = NULL;
	char allowed[512] = "";
	size_t n = 0;

	for (int s = 0; s < SIM_SECTIONS; s++) {
		if (s != (int)section && !(section == SIM_EXPECT && s == SIM_OPTION))
			continue;
		for (size_t i = 0; i < sim_keys[s].keys && n < sizeof(allowed); i++) {
			const char *known = sim_keys[s].key[i].name;

			suggest_consider(name, known, &best, &distance);
			n += (size_t)snprintf(allowed + n, sizeof(allowed) - n, "%s%s",
					      n ? ", " : "", known);
		}
	}
	sim_complain(to, line, "unknown key '%.40s'%s%s%s; allowed: %s", name,
		     best ? ", did you mean '" : "", best ? best : "", best ? "'?" : "", allowed);
}

bool sim_name_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= SIM_NAME_MAX || !isalpha((unsigned char)*name))
		return false;
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p > 127 ||
		    (!isalnum((unsigned char)*p) && *p != '_' && *p != '-'))
			return false;
	return true;
}

int sim_engine_find(const struct sim_scenario *scenario, const char *name)
{
	for (uint32_t i = 0; i < scenario->engines; i++)
		if (!strcmp(scenario->engine[i].name, name))
			return (int)i;
	return -1;
}
