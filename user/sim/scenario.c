/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenario files: sections, and what must hold between keys. */
#include "user/sim/scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "user/common/cleanup.h"
#include "user/common/ini_lines.h"
#include "user/common/io.h"

#define KEYS_MAX 32
#define SECTIONS "[scenario], [engine NAME], [expect] and [expect NAME]"

struct reader {
	struct sim_scenario *scenario;
	struct sim_complaints *to;
	enum sim_section section;
	void *object; /* of the section; NULL: it was wrong, its keys cannot be judged */
	uint32_t scenario_line;
	uint32_t said[SIM_SECTIONS][KEYS_MAX]; /* line of each key in this section */
};

void sim_complain(struct sim_complaints *to, uint32_t line, const char *fmt, ...)
{
	va_list args;

	to->count++;
	if (!to->out)
		return;
	if (line)
		fprintf(to->out, "%s:%u: ", to->where, line);
	else
		fprintf(to->out, "%s: ", to->where);
	va_start(args, fmt);
	vfprintf(to->out, fmt, args);
	va_end(args);
	fputc('\n', to->out);
}

static void open_scenario(struct reader *r, uint32_t line, const char *name)
{
	if (*name)
		sim_complain(r->to, line, "[scenario %.40s]; allowed: [scenario] without a name",
			     name);
	else if (r->scenario_line)
		sim_complain(r->to, line, "[scenario] again, first at line %u; allowed: once",
			     r->scenario_line);
	else
		r->object = r->scenario;
	r->scenario_line = line;
}

static void open_engine(struct reader *r, uint32_t line, const char *name)
{
	struct sim_scenario *s = r->scenario;
	struct sim_spec *e = &s->engine[s->engines];

	if (!sim_name_valid(name)) {
		sim_complain(r->to, line,
			     "[engine %.40s] is not a name; allowed: 1 to 31 letters, digits, "
			     "'_' and '-', the first a letter",
			     name);
		return;
	}
	if (sim_engine_find(s, name) >= 0 || s->engines == SIM_ENGINES_MAX) {
		sim_complain(r->to, line, "[engine %s] %s; allowed: %s", name,
			     s->engines == SIM_ENGINES_MAX ? "is one engine too many" : "again",
			     s->engines == SIM_ENGINES_MAX ? "at most 16" : "each name once");
		return;
	}
	*e = (struct sim_spec){
		.threads = 2, .miss_ns = 150000, .stream_ns = 12000, .weight = 100, .max = 1
	};
	memcpy(e->name, name, strlen(name) + 1);
	s->engine_line[s->engines++] = line;
	r->object = e;
}

void sim_expect_nothing(struct sim_expect *e, const struct sim_options *options)
{
	*e = (struct sim_expect){ .options = *options,
				  .share = SIM_UNSAID,
				  .worst = SIM_UNSAID,
				  .reversals = SIM_UNSAID,
				  .moved = SIM_UNSAID,
				  .settled_s = SIM_UNSAID,
				  .overshoot = SIM_UNSAID,
				  .blocked_s = SIM_UNSAID };
	for (int i = 0; i < SIM_ENGINES_MAX; i++)
		e->alone[i] = e->alone_below[i] = e->target_below[i] = SIM_UNSAID;
}

static void open_expect(struct reader *r, uint32_t line, const char *name)
{
	struct sim_scenario *s = r->scenario;
	struct sim_expect *e = &s->expect[s->expects];

	if (*name && !sim_name_valid(name)) {
		sim_complain(r->to, line,
			     "[expect %.40s] is not a name; allowed: 1 to 31 letters, digits, "
			     "'_' and '-', the first a letter",
			     name);
		return;
	}
	for (uint32_t i = 0; i < s->expects; i++) {
		if (strcmp(s->expect[i].name, name) != 0)
			continue;
		sim_complain(r->to, line, "[expect%s%s] again, first at line %u; allowed: once",
			     *name ? " " : "", name, s->expect[i].line);
		return;
	}
	if (s->expects == SIM_EXPECTS_MAX) {
		sim_complain(r->to, line, "one [expect] too many; allowed: at most %u",
			     SIM_EXPECTS_MAX);
		return;
	}
	sim_expect_nothing(e, &SIM_OPTIONS);
	e->line = line;
	memcpy(e->name, name, strlen(name) + 1);
	s->expects++;
	r->object = e;
}

static void open_section(void *arg, uint32_t line, char *header)
{
	struct reader *r = arg;
	size_t n = strcspn(header, " \t");
	const char *name = header + n + strspn(header + n, " \t");

	r->object = NULL;
	memset(r->said, 0, sizeof(r->said));
	header[n] = 0;
	if (!strcmp(header, "scenario")) {
		r->section = SIM_SCENARIO;
		open_scenario(r, line, name);
	} else if (!strcmp(header, "engine")) {
		r->section = SIM_ENGINE;
		open_engine(r, line, name);
	} else if (!strcmp(header, "expect")) {
		r->section = SIM_EXPECT;
		open_expect(r, line, name);
	} else {
		sim_complain(r->to, line, "unknown section [%.40s]; allowed: " SECTIONS, header);
	}
}

static void take_key(void *arg, uint32_t line, const char *name, const char *value)
{
	struct reader *r = arg;
	enum sim_section section = r->section;
	void *object = r->object;
	const struct sim_key *key;
	uint32_t *said;

	if (!object)
		return;
	key = sim_key_find(section, name);
	if (!key && section == SIM_EXPECT) {
		section = SIM_OPTION;
		object = &((struct sim_expect *)object)->options;
		key = sim_key_find(section, name);
	}
	if (!key) {
		sim_key_unknown(r->section, name, line, r->to);
		return;
	}
	said = &r->said[section][key - sim_keys[section].key];
	if (*said)
		sim_complain(r->to, line,
			     "%s again, first at line %u; allowed: each key once in a section",
			     name, *said);
	*said = line;
	sim_key_set(key, r->scenario, object, value, line, r->to);
}

static void complain(void *arg, uint32_t line, const char *what)
{
	struct reader *r = arg;

	sim_complain(r->to, line, "%s", what);
}

/* -- what must hold -- */

static void check_cache(const struct sim_spec *e, uint32_t line, struct sim_complaints *to)
{
	bool phases = e->change == SIM_PHASES || e->change == SIM_PHASES_OPPOSITE, two = false;

	if (e->part[0].pattern == SIM_NOTHING)
		sim_complain(to, line, "[engine %s] has no reads; allowed: reads = ... for a cache",
			     e->name);
	for (int i = 0; i < SIM_PARTS_MAX; i++)
		two = two || e->part[i].other_size > 0;
	if (phases != two)
		sim_complain(to, line,
			     "[engine %s] %s; allowed: two sizes with change = phases or "
			     "opposite-phases",
			     e->name,
			     phases ? "has phases but no second size"
				    : "has a second size but no phases");
	if (e->change == SIM_IDLE_IN_TURN && !e->turns)
		sim_complain(to, line, "[engine %s] has no turn; allowed: turn = 1 of 3", e->name);
	if (e->change != SIM_STEADY && e->change != SIM_IDLE && e->change != SIM_LOAD_NOISE &&
	    e->period_s <= 0)
		sim_complain(to, line, "[engine %s] has no period; allowed: period = TIME",
			     e->name);
}

static void check_heap(const struct sim_spec *e, uint32_t line, struct sim_complaints *to)
{
	if (e->part[0].pattern != SIM_NOTHING)
		sim_complain(to, line, "[engine %s] is a heap with reads; allowed: kind = cache",
			     e->name);
	if (e->change != SIM_STEADY)
		sim_complain(to, line,
			     "[engine %s] is a heap that changes; allowed: change = steady",
			     e->name);
	if (e->kind == SIM_HEAP_BURSTS && (e->burst_s <= 0 || e->burst_every_s <= 0))
		sim_complain(to, line,
			     "[engine %s] has no burst or no every; allowed: burst = TIME and "
			     "every = TIME",
			     e->name);
	if (e->kind != SIM_HEAP_BURSTS && e->period_s <= 0)
		sim_complain(to, line, "[engine %s] has no period; allowed: period = TIME",
			     e->name);
	if (e->low > e->high)
		sim_complain(to, line, "[engine %s] has low above high; allowed: low <= high",
			     e->name);
}

void sim_scenario_check(const struct sim_scenario *s, struct sim_complaints *to)
{
	double minima = 0;

	if (s->seconds <= 0)
		sim_complain(to, 0, "there is no length; allowed: length = TIME in [scenario]");
	else if (s->measured_from_s >= s->seconds)
		sim_complain(to, 0,
			     "measured_from is not before the end; allowed: below the length");
	if (s->engines == 0)
		sim_complain(to, 0, "there is no engine; allowed: 1 to %u [engine NAME] sections",
			     SIM_ENGINES_MAX);
	for (uint32_t i = 0; i < s->engines; i++) {
		const struct sim_spec *e = &s->engine[i];

		if (sim_is_heap(e))
			check_heap(e, s->engine_line[i], to);
		else
			check_cache(e, s->engine_line[i], to);
		if (e->min > e->max)
			sim_complain(to, s->engine_line[i],
				     "[engine %s] has min above max; allowed: min <= max", e->name);
		minima += e->min;
	}
	if (minima > 1)
		sim_complain(to, 0, "the minima come to %.0f%%; allowed: at most 100%%",
			     100 * minima);
}

bool sim_scenario_parse(const char *name, const char *text, size_t bytes, struct sim_complaints *to,
			struct sim_scenario *ret)
{
	_cleanup_free_ struct sim_scenario *s = calloc(1, sizeof(*s));
	struct reader r = { .scenario = s, .to = to };
	const struct ini_events events = {
		.sections = SECTIONS,
		.section_first = "[scenario], [engine NAME] or [expect NAME] first",
		.section = open_section,
		.key = take_key,
		.complain = complain,
		.arg = &r,
	};
	unsigned int before = to->count;

	if (!s || ini_read_lines(&events, text, bytes) < 0) {
		sim_complain(to, 0, "%s", strerror(ENOMEM));
		return false;
	}
	/* what follows from a line already complained about is not worth another line */
	if (to->count == before)
		sim_scenario_check(s, to);
	if (to->count != before)
		return false;
	snprintf(s->name, sizeof(s->name), "%s", name);
	*ret = *s;
	return true;
}

bool sim_scenario_read(const char *path, struct sim_complaints *to, struct sim_scenario *ret)
{
	_cleanup_free_ char *text = malloc(SIM_FILE_BYTES_MAX);
	const char *base = strrchr(path, '/');
	char name[SIM_NAME_MAX];
	ssize_t n = text ? io_read_file_at(AT_FDCWD, path, text, SIM_FILE_BYTES_MAX) : -ENOMEM;
	size_t length;

	if (n < 0) {
		sim_complain(to, 0, "cannot be read: %s; allowed: a readable file below 64K",
			     strerror((int)-n));
		return false;
	}
	base = base ? base + 1 : path;
	length = strlen(base);
	if (length > 4 && !strcmp(base + length - 4, ".ini"))
		length -= 4;
	snprintf(name, sizeof(name), "%.*s", (int)length, base);
	return sim_scenario_parse(name, text, (size_t)n, to, ret);
}

/* -- changes from outside -- */

static void set_one(struct sim_scenario *s, struct sim_options *options, char *setting,
		    struct sim_complaints *to)
{
	char *value = strchr(setting, '='), *dot = strchr(setting, '.');
	enum sim_section section = SIM_OPTION;
	const struct sim_key *key;
	const char *name = setting;
	int engine = -1;

	if (!value) {
		sim_complain(to, 0,
			     "'%.80s' is no setting; allowed: KEY=VALUE or "
			     "ENGINE.KEY=VALUE, with ',' between several",
			     setting);
		return;
	}
	*value++ = 0;
	if (dot && dot < value) {
		*dot = 0;
		engine = sim_engine_find(s, setting);
		if (engine < 0) {
			sim_complain(to, 0, "%s has no engine '%.40s'", s->name, setting);
			return;
		}
		section = SIM_ENGINE;
		name = dot + 1;
	}
	key = sim_key_find(section, name);
	if (!key) {
		sim_key_unknown(section, name, 0, to);
		return;
	}
	if (engine >= 0) {
		sim_key_set(key, s, &s->engine[engine], value, 0, to);
		return;
	}
	sim_key_set(key, s, options, value, 0, to);
	for (uint32_t i = 0; i < s->expects && !to->count; i++)
		sim_key_set(key, s, &s->expect[i].options, value, 0, to);
}

void sim_set(struct sim_scenario *s, struct sim_options *options, const char *settings,
	     struct sim_complaints *to)
{
	_cleanup_free_ char *text = strdup(settings);
	char *rest = text, *one;

	if (!text) {
		sim_complain(to, 0, "%s", strerror(ENOMEM));
		return;
	}
	while ((one = strsep(&rest, ",")))
		set_one(s, options, one, to);
	if (!to->count)
		sim_scenario_check(s, to);
}
