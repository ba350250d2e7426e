/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A grid of characters with styles. top draws into it; it is then shown on the terminal through
 * ncurses or printed as lines, so both look the same. Drawing outside is cut off silently.
 */
#ifndef BAROSTAT_CLI_CANVAS_H
#define BAROSTAT_CLI_CANVAS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <wchar.h>

#include "user/cli/columns.h"

struct canvas_cell {
	wchar_t c;
	uint8_t style; /* enum style */
	bool reverse;
};

struct canvas {
	int rows, columns;
	bool utf8; /* may use more than ASCII */
	struct canvas_cell *cell;
};

/* Clears it, too. -ENOMEM. */
int canvas_resize(struct canvas *c, int rows, int columns);
void canvas_free(struct canvas *c);
struct canvas_cell *canvas_at(struct canvas *c, int row, int column); /* NULL outside */
void canvas_put(struct canvas *c, int row, int column, enum style style, wchar_t what);
/* Returns the column behind the text. */
int canvas_text(struct canvas *c, int row, int column, enum style style, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Aligned to the right, ending before `end`. */
void canvas_right(struct canvas *c, int row, int end, enum style style, const char *text);
void canvas_clear_row(struct canvas *c, int row);
void canvas_reverse_row(struct canvas *c, int row);
/* Without blanks at line ends. */
void canvas_print(const struct canvas *c, FILE *out);

/* Is the locale UTF-8? */
bool canvas_utf8_locale(void);

#endif
