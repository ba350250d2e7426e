/* SPDX-License-Identifier: BSD-2-Clause */
/* Bars, sparklines and graphs on a canvas: eighths of blocks, or ASCII. */
#ifndef BAROSTAT_CLI_CHART_H
#define BAROSTAT_CLI_CHART_H

#include "user/cli/canvas.h"

#define CHART_NONE UINT64_MAX /* a mark that is not there */

/* Usage with two marks on one scale, `columns` wide. */
struct chart_bar {
	uint64_t scale, usage, target, limit;
	enum style style; /* of the usage */
};

/* The last values of a ring, oldest first. */
struct chart_series {
	const uint64_t *value;
	unsigned int count;
};

void chart_bar(struct canvas *c, int row, int column, int columns, const struct chart_bar *bar);
/* The newest at the right; one row. Values from 0 to `scale`. */
void chart_spark(struct canvas *c, int row, int column, int columns, enum style style,
		 const struct chart_series *series, uint64_t scale);
/* Several rows high; `line` (may be empty) is drawn over it where the ground is free. */
void chart_graph(struct canvas *c, int row, int column, int rows, int columns, enum style style,
		 const struct chart_series *series, const struct chart_series *line,
		 uint64_t scale);

#endif
