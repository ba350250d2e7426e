/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/chart.h"

#include "user/common/units.h"

/* value of scale in 0..steps, rounded to the nearest; something is never shown as nothing. */
static int steps_of(uint64_t value, uint64_t scale, int steps)
{
	uint64_t n;

	if (!scale || !value)
		return 0;
	if (value >= scale)
		return steps;
	n = mul_div_u64(value, 2 * (uint64_t)steps, scale);
	n = (n + 1) / 2;
	return n ? (int)n : 1;
}

/* A cell filled from the left by n of 8. */
static wchar_t part_of_row(const struct canvas *c, int n)
{
	static const wchar_t parts[] = L" ▏▎▍▌▋▊▉█";

	return c->utf8 ? parts[n] : n >= 4 ? L'#' : L'.';
}

/* A cell filled from below by n of 8. */
static wchar_t part_of_column(const struct canvas *c, int n)
{
	static const wchar_t parts[] = L" ▁▂▃▄▅▆▇█";
	static const wchar_t ascii[] = L" ._-:=+*#";

	return c->utf8 ? parts[n] : ascii[n];
}

static int clamp8(int n)
{
	return n < 0 ? 0 : n > 8 ? 8 : n;
}

static void mark(struct canvas *c, int row, int column, int columns, uint64_t value, uint64_t scale,
		 enum style style, wchar_t what)
{
	int at;

	if (!value || value == CHART_NONE || value > scale)
		return;
	at = steps_of(value, scale, columns);
	canvas_put(c, row, column + (at ? at - 1 : 0), style, what);
}

void chart_bar(struct canvas *c, int row, int column, int columns, const struct chart_bar *bar)
{
	int filled = steps_of(bar->usage, bar->scale, 8 * columns);

	for (int i = 0; i < columns; i++) {
		int part = clamp8(filled - 8 * i);

		if (part)
			canvas_put(c, row, column + i, bar->style, part_of_row(c, part));
		else
			canvas_put(c, row, column + i, STYLE_DIM, c->utf8 ? L'·' : L'.');
	}
	mark(c, row, column, columns, bar->limit, bar->scale, STYLE_LIMIT, c->utf8 ? L'▐' : L']');
	mark(c, row, column, columns, bar->target, bar->scale, STYLE_TARGET, c->utf8 ? L'┃' : L'|');
}

/* The value for column i of `columns`, the newest at the right; false where there is none. */
static bool series_at(const struct chart_series *s, int i, int columns, uint64_t *ret)
{
	int from_end = columns - 1 - i;

	if (!s || from_end < 0 || (unsigned int)from_end >= s->count)
		return false;
	*ret = s->value[s->count - 1 - (unsigned int)from_end];
	return true;
}

void chart_spark(struct canvas *c, int row, int column, int columns, enum style style,
		 const struct chart_series *series, uint64_t scale)
{
	uint64_t v;

	for (int i = 0; i < columns; i++)
		if (series_at(series, i, columns, &v))
			canvas_put(c, row, column + i, style,
				   part_of_column(c, steps_of(v, scale, 8)));
}

void chart_graph(struct canvas *c, int row, int column, int rows, int columns, enum style style,
		 const struct chart_series *series, const struct chart_series *line, uint64_t scale)
{
	uint64_t v;

	for (int i = 0; i < columns; i++) {
		int filled = 0;

		if (series_at(series, i, columns, &v))
			filled = steps_of(v, scale, 8 * rows);
		for (int j = 0; j < rows; j++) {
			int part = clamp8(filled - 8 * (rows - 1 - j));

			if (part)
				canvas_put(c, row + j, column + i, style, part_of_column(c, part));
		}
		if (series_at(line, i, columns, &v)) {
			int at = steps_of(v, scale, rows);

			canvas_put(c, row + rows - (at ? at : 1), column + i, STYLE_TARGET,
				   c->utf8 ? L'─' : L'-');
		}
	}
}
