/* SPDX-License-Identifier: BSD-2-Clause */
/* The one table of what can be configured. */
#include <assert.h>
#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "user/common/cleanup.h"
#include "user/common/units.h"
#include "user/daemon/config_endpoint.h"
#include "user/daemon/config_values.h"

#define KIND(kind)     .parse = config_parse_##kind, .print = config_print_##kind
#define FIELD(type, f) .offset = offsetof(struct type, f)
#define GIVEN(type, f) .given = offsetof(struct type, f)
#define WHERE(type, f) .where = offsetof(struct type, f)
#define SIZE(type, f)                                                                              \
	KIND(size), FIELD(type, f), GIVEN(type, f.set), .where = offsetof(struct type, f.where)

#define ALLOWED_SHARE  UNITS_SIZE_ALLOWED ", or a percentage of the ceiling like 25%"
#define ALLOWED_WEIGHT "a whole number from 1 to 10000"
#define ALLOWED_CGROUP                                                                             \
	"a path below the cgroup root without leading '/' and without '.', '..' or ';', at most "  \
	"511 bytes"
#define ALLOWED_FILE "an absolute path without '.', '..' or ';', at most 511 bytes"

static const struct config_key daemon_keys[] = {
	{ "ceiling", "80% of RAM", UNITS_SIZE_ALLOWED ", or a percentage of RAM like 80%",
	  SIZE(config, ceiling) },
	{ "reserve", "5% of the ceiling", ALLOWED_SHARE, SIZE(config, reserve) },
	{ "burst", "2% of the ceiling", ALLOWED_SHARE, SIZE(config, burst) },
	{ "interval", "100ms", "a time from 10ms to 60s", KIND(time), FIELD(config, interval_ns),
	  .least = 10000000, .most = 60000000000 },
	{ "interval_min", "a quarter of the interval, at least 10ms",
	  "a time from 10ms to 60s, at most the interval", KIND(time),
	  FIELD(config, interval_min_ns), WHERE(config, interval_min_where), .least = 10000000,
	  .most = 60000000000 },
	{ "interval_max", "4 times the interval, at most 400ms",
	  "a time from 10ms to 60s, at least the interval, at most half the lease", KIND(time),
	  FIELD(config, interval_max_ns), WHERE(config, interval_max_where), .least = 10000000,
	  .most = 60000000000 },
	{ "lease", "10 times the interval, at least 1s",
	  "a time from 1s to 1h, at least twice the interval", KIND(time), FIELD(config, lease_ns),
	  WHERE(config, lease_where), .least = 1000000000, .most = 3600000000000 },
	{ "parent", "barostat", ALLOWED_CGROUP, KIND(cgroup), FIELD(config, parent) },
	{ "page", "/run/barostat/pressure", ALLOWED_FILE, KIND(path), FIELD(config, page),
	  WHERE(config, page_where) },
	{ "socket", "/run/barostat/control.sock",
	  "an absolute path without '.', '..' or ';', at most 107 bytes", KIND(path),
	  FIELD(config, socket), WHERE(config, socket_where), .most = 107 },
	{ "engine_socket", "engine.sock beside the control socket",
	  "an absolute path without '.', '..' or ';', at most 107 bytes", KIND(path),
	  FIELD(config, engine_socket), WHERE(config, engine_socket_where), .most = 107 },
	{ "state", "/run/barostat/state.json", ALLOWED_FILE, KIND(path), FIELD(config, state),
	  WHERE(config, state_where) },
	{ "metrics", ENDPOINT_OFF, ENDPOINT_ALLOWED, KIND(endpoint), FIELD(config, metrics),
	  WHERE(config, metrics_where), .most = 107 },
	{ "metrics_remote", "no", "yes or no", KIND(bool), FIELD(config, metrics_remote) },
	{ "page_mode", "0644", "an octal mode like 0644, 0640 or 0600", KIND(octal),
	  FIELD(config, page_mode), .most = 0644 },
	{ "policy", "marginal", "marginal, static, proportional, senpai, idle-tax or psi",
	  KIND(policy), FIELD(config, policy) },
	{ "gamma", "100%", "a percentage from 0% (proportional fairness) to 100% (throughput)",
	  KIND(percent32), FIELD(config, gamma_ppm) },
	{ "bpf", "yes", "yes or no", KIND(bool), FIELD(config, bpf) },
	{ "reuse", "yes", "yes or no", KIND(bool), FIELD(config, reuse) },
	{ "log_level", "info", "error, warning, info or debug", KIND(log_level),
	  FIELD(config, log_level) },
};

static const struct config_key group_keys[] = {
	{ "weight", "100", ALLOWED_WEIGHT, KIND(weight), FIELD(config_group, weight), .least = 1,
	  .most = 10000 },
	{ "min", "0", ALLOWED_SHARE, SIZE(config_group, min) },
	{ "max", "100%", ALLOWED_SHARE, SIZE(config_group, max) },
};

static const struct config_key engine_keys[] = {
	{ "group", "none", "the name of a [group NAME] section", KIND(name),
	  FIELD(config_engine, group_name), WHERE(config_engine, group_where) },
	{ "cgroup", "PARENT/NAME", ALLOWED_CGROUP, KIND(cgroup), FIELD(config_engine, cgroup),
	  GIVEN(config_engine, cgroup_given), WHERE(config_engine, cgroup_where) },
	{ "min", "0", ALLOWED_SHARE, SIZE(config_engine, min) },
	{ "max", "100%", ALLOWED_SHARE, SIZE(config_engine, max) },
	{ "initial", "half by what is used, half by weight", ALLOWED_SHARE,
	  SIZE(config_engine, initial) },
	{ "weight", "100", ALLOWED_WEIGHT, KIND(weight), FIELD(config_engine, weight), .least = 1,
	  .most = 10000 },
	{ "stall_target", "0%", "a percentage of time from 0% to 100%", KIND(percent64),
	  FIELD(config_engine, stall_target_ppm) },
	{ "limit", "soft", "soft or hard", KIND(limit), FIELD(config_engine, limit),
	  GIVEN(config_engine, limit_given) },
	{ "user", "root", "the name of a user: " CONFIG_NAME_ALLOWED, KIND(name),
	  FIELD(config_engine, user) },
};

const struct config_section_keys config_sections[CONFIG_SECTIONS] = {
	[CONFIG_DAEMON] = { "daemon", daemon_keys, ARRAY_SIZE(daemon_keys) },
	[CONFIG_GROUP] = { "group", group_keys, ARRAY_SIZE(group_keys) },
	[CONFIG_ENGINE] = { "engine", engine_keys, ARRAY_SIZE(engine_keys) },
};

static_assert(ARRAY_SIZE(daemon_keys) <= CONFIG_KEYS_MAX, "the reader remembers one line per key");
static_assert(ARRAY_SIZE(engine_keys) <= CONFIG_KEYS_MAX, "the reader remembers one line per key");

const struct config_key *config_key_find(enum config_section section, const char *name)
{
	const struct config_section_keys *s = &config_sections[section];

	for (size_t i = 0; i < s->keys; i++)
		if (!strcmp(s->key[i].name, name))
			return &s->key[i];
	return NULL;
}

int config_key_set(const struct config_key *key, enum config_section section, void *object,
		   const char *object_name, const char *text, struct config_where where,
		   struct config_complaints *to)
{
	const char *why = NULL;
	int r = key->parse(key, text, (char *)object + key->offset, &why);

	if (r < 0) {
		config_complain(to, where, "[%s%s%s] %s = %.80s%s %s; allowed: %s",
				config_sections[section].header, *object_name ? " " : "",
				object_name, key->name, text, strlen(text) > 80 ? "..." : "", why,
				key->allowed);
		return r;
	}
	if (key->given)
		*(bool *)((char *)object + key->given) = true;
	if (key->where)
		*(struct config_where *)((char *)object + key->where) = where;
	return 0;
}

bool config_name_valid(const char *name)
{
	size_t n = strlen(name);

	if (!n || n >= CONFIG_NAME_MAX || *name == '.' || *name == '-')
		return false;
	for (const char *p = name; *p; p++)
		if (!(isalnum((unsigned char)*p) && (unsigned char)*p < 128) && *p != '.' &&
		    *p != '_' && *p != '-')
			return false;
	return true;
}

static void print_section(enum config_section section, const char *name, const void *object,
			  FILE *out)
{
	const struct config_section_keys *s = &config_sections[section];

	fprintf(out, "[%s%s%s]\n", s->header, *name ? " " : "", name);
	for (size_t i = 0; i < s->keys; i++) {
		const struct config_key *key = &s->key[i];
		const char *field = (const char *)object + key->offset;

		/* What is derived unless it was said, and names that are empty, stay unsaid. */
		if (key->given && key->print != config_print_size &&
		    !*(const bool *)((const char *)object + key->given))
			continue;
		if (key->print == config_print_name && !*field)
			continue;
		if (!strcmp(key->name, "initial") && !((const struct config_size *)field)->set)
			continue;
		fprintf(out, "%s = ", key->name);
		key->print(key, field, out);
		fputc('\n', out);
	}
	fputc('\n', out);
}

void config_print(const struct config *c, FILE *out)
{
	print_section(CONFIG_DAEMON, "", c, out);
	for (uint32_t i = 1; i < c->groups; i++)
		print_section(CONFIG_GROUP, c->group[i].name, &c->group[i], out);
	for (uint32_t i = 0; i < c->engines; i++)
		print_section(CONFIG_ENGINE, c->engine[i].name, &c->engine[i], out);
}

void config_print_keys(FILE *out)
{
	for (int s = 0; s < CONFIG_SECTIONS; s++)
		for (size_t i = 0; i < config_sections[s].keys; i++)
			fprintf(out, "%s\t%s\t%s\t%s\n", config_sections[s].header,
				config_sections[s].key[i].name, config_sections[s].key[i].fallback,
				config_sections[s].key[i].allowed);
}
