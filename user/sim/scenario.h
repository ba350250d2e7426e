/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenario files: INI with [scenario], [engine NAME] and [expect NAME] sections, described in
 * barostat-scenario(5). One table of keys says what each section takes; files, `--set` and the
 * check of the man page read it.
 */
#ifndef BAROSTAT_SIM_SCENARIO_H
#define BAROSTAT_SIM_SCENARIO_H

#include "user/sim/sim.h"

#define SIM_FILE_BYTES_MAX (64u << 10)

/* Where complaints go, one line each: what is wrong, and what is allowed. */
struct sim_complaints {
	FILE *out; /* NULL: they are only counted */
	const char *where; /* begins each line: a path, or "--set" */
	unsigned int count;
};

void sim_complain(struct sim_complaints *to, uint32_t line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

enum sim_section { SIM_SCENARIO, SIM_ENGINE, SIM_EXPECT, SIM_OPTION, SIM_SECTIONS };

struct sim_key {
	const char *name;
	const char *allowed; /* NULL: the names of the policies */
	/* 0, or -1 with *ret_why = what is wrong ("is not a time"); the field is untouched then. */
	int (*parse)(const struct sim_key *key, const struct sim_scenario *scenario,
		     const char *text, void *field, const char **ret_why);
	size_t offset; /* of the field in the section's struct */
	double least, most; /* bounds, in the unit of the field */
	const char *const *words; /* of an enumeration, NULL-terminated */
};

struct sim_keys {
	const char *header; /* "engine" */
	const struct sim_key *key;
	size_t keys;
};

/* The keys of SIM_OPTION may stand in [expect], too. */
extern const struct sim_keys sim_keys[SIM_SECTIONS];

const struct sim_key *sim_key_find(enum sim_section section, const char *name);
/* Parses into the section's struct (scenario, spec, expect, options); complains. */
void sim_key_set(const struct sim_key *key, const struct sim_scenario *scenario, void *object,
		 const char *text, uint32_t line, struct sim_complaints *to);
/* An unknown key, what it may have meant, and what there is. */
void sim_key_unknown(enum sim_section section, const char *name, uint32_t line,
		     struct sim_complaints *to);

/* 1 to 31 letters, digits, '_' and '-', the first a letter. */
bool sim_name_valid(const char *name);
/* The engine's index, -1 when there is none of that name. */
int sim_engine_find(const struct sim_scenario *scenario, const char *name);

/* The text of a scenario; `name` is what it will be called. False when it complained. */
bool sim_scenario_parse(const char *name, const char *text, size_t bytes, struct sim_complaints *to,
			struct sim_scenario *ret);
/* The same from a file; its name is the file's without directory and ".ini". */
bool sim_scenario_read(const char *path, struct sim_complaints *to, struct sim_scenario *ret);
/*
 * Loads the files that engines replay, relative to the scenario file's directory; needed before a
 * scenario with such engines is run, and again when some were changed. False when it complained.
 */
bool sim_traces_load(struct sim_scenario *scenario, const char *scenario_path,
		     struct sim_complaints *to);
/* No bound but what no run may ever do. */
void sim_expect_nothing(struct sim_expect *e, const struct sim_options *options);
/* What must hold between keys; to be called again when some were changed. */
void sim_scenario_check(const struct sim_scenario *scenario, struct sim_complaints *to);

/*
 * "KEY=VALUE,KEY=VALUE": options, or ENGINE.KEY of an engine. Changes `options`, the scenario's
 * engines and, where an option is said, all its expectations' options.
 */
void sim_set(struct sim_scenario *scenario, struct sim_options *options, const char *settings,
	     struct sim_complaints *to);

#endif
