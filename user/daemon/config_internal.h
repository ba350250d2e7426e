/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the files of the configuration alone: config.c (the public functions), config_read.c
 * (files), config_lines.c (sections), config_keys.c and config_values.c (what each key takes),
 * config_check.c (what must hold together).
 */
#ifndef BAROSTAT_DAEMON_CONFIG_INTERNAL_H
#define BAROSTAT_DAEMON_CONFIG_INTERNAL_H

#include "user/daemon/config.h"

#define CONFIG_COMPLAINTS_MAX 100
#define CONFIG_KEYS_MAX       32 /* of one section */
#define CONFIG_NO_FILE        UINT16_MAX /* in a config_where: the text names the place itself */

/* Where complaints go. `out` may be NULL: then they are only counted. */
struct config_complaints {
	FILE *out;
	const struct config *config; /* for file names; NULL: without "FILE:LINE: " */
	unsigned int count;
};

void config_complain(struct config_complaints *to, struct config_where where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What was left out after CONFIG_COMPLAINTS_MAX, in one line. */
void config_complain_end(struct config_complaints *to);

enum config_section { CONFIG_DAEMON, CONFIG_GROUP, CONFIG_ENGINE, CONFIG_SECTIONS };

struct config_key {
	const char *name;
	const char *fallback; /* what holds when it is not said, in words */
	const char *allowed;
	/* Stores `text` in `field`. 0, or -errno with *ret_why = what is wrong with it ("is not a
	 * size"); the field is untouched then. */
	int (*parse)(const struct config_key *key, const char *text, void *field,
		     const char **ret_why);
	/* Writes the field so that parse() reads the same; NULL text form: nothing to say. */
	void (*print)(const struct config_key *key, const void *field, FILE *out);
	size_t offset; /* of the field in the section's struct */
	size_t given; /* of a bool that says the operator said it; 0: none */
	size_t where; /* of a struct config_where; 0: none */
	uint64_t least, most; /* bounds of numbers and times */
};

struct config_section_keys {
	const char *header; /* "daemon", "group NAME" */
	const struct config_key *key;
	size_t keys;
};

extern const struct config_section_keys config_sections[CONFIG_SECTIONS];

/* NULL when the section has no such key. */
const struct config_key *config_key_find(enum config_section section, const char *name);

/* Parses `text` into `object` (struct config, config_group or config_engine); complains. */
int config_key_set(const struct config_key *key, enum config_section section, void *object,
		   const char *object_name, const char *text, struct config_where where,
		   struct config_complaints *to);

/* [A-Za-z0-9._-], not starting with '.' or '-', shorter than CONFIG_NAME_MAX. */
bool config_name_valid(const char *name);
#define CONFIG_NAME_ALLOWED                                                                        \
	"1 to 63 letters, digits, '.', '_' and '-', the first a letter, a digit or '_'"

/* With every default; NULL when there is no memory. */
struct config *config_new(void);
struct config_group *config_group_add(struct config *c, const char *name);
struct config_engine *config_engine_add(struct config *c, const char *name);
struct config_group *config_group_find(const struct config *c, const char *name);

/* Reads the text of file number `file` into c; -ENOMEM. */
int config_read_lines(struct config *c, uint16_t file, const char *text, size_t bytes,
		      struct config_complaints *to);
/* Reads one file into c. 0 also when it complained; -errno when it could not be read at all (then
 * it complained, too). */
int config_read_file(struct config *c, const char *path, struct config_complaints *to);
/* The .conf files of conf.d beside the main file, in name order; none at all is fine. */
int config_read_drop_ins(struct config *c, const char *main_path, struct config_complaints *to);

/* What must hold for the daemon's own section; resolves the ceiling. */
void config_check_daemon(struct config *c, uint64_t ram_bytes, struct config_complaints *to);
/* What must hold between ceiling, groups and engines; resolves their sizes. */
void config_check_shares(struct config *c, struct config_complaints *to);

#endif
