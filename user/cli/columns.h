/* SPDX-License-Identifier: BSD-2-Clause */
/* Plain aligned columns, and colour where a terminal wants it. */
#ifndef BAROSTAT_CLI_COLUMNS_H
#define BAROSTAT_CLI_COLUMNS_H

#include <stdbool.h>
#include <stdio.h>

enum style {
	STYLE_PLAIN,
	STYLE_DIM,
	STYLE_BOLD,
	STYLE_GOOD,
	STYLE_WARNING,
	STYLE_CRITICAL,
	STYLE_EMERGENCY,
	STYLE_HEAD, /* heads of columns in top */
	STYLE_TARGET, /* the mark of a target */
	STYLE_LIMIT, /* the mark of a limit */
	STYLE_COUNT
};

/* Does stdout want colour: a terminal, not dumb, and NO_COLOR unset or empty. */
bool style_wanted(void);
/* The sequence that begins a style, and ends all; "" where colour is not wanted. */
const char *style_begin(enum style style);
const char *style_end(enum style style);
enum style style_of_level(const char *level);

struct columns;

/* `heads` is NULL-terminated; a head that starts with '>' is aligned to the right. */
struct columns *columns_new(const char *const *heads);
void columns_free(struct columns *c);
/* The next cell, row by row. Control characters become '?'. */
void columns_add(struct columns *c, enum style style, const char *text);
void columns_print(const struct columns *c, FILE *out);

static inline void cleanup_columns(struct columns **c)
{
	columns_free(*c);
}
#define _cleanup_columns_ __attribute__((cleanup(cleanup_columns)))

#endif
