/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/canvas.h"

#include <errno.h>
#include <langinfo.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int canvas_resize(struct canvas *c, int rows, int columns)
{
	size_t n = (size_t)rows * (size_t)columns;

	if (rows != c->rows || columns != c->columns || !c->cell) {
		struct canvas_cell *cell = reallocarray(c->cell, n ? n : 1, sizeof(*cell));

		if (!cell)
			return -ENOMEM;
		c->cell = cell;
		c->rows = rows;
		c->columns = columns;
	}
	for (size_t i = 0; i < n; i++)
		c->cell[i] = (struct canvas_cell){ .c = L' ' };
	return 0;
}

void canvas_free(struct canvas *c)
{
	free(c->cell);
	c->cell = NULL;
}

struct canvas_cell *canvas_at(struct canvas *c, int row, int column)
{
	if (row < 0 || row >= c->rows || column < 0 || column >= c->columns)
		return NULL;
	return &c->cell[row * c->columns + column];
}

void canvas_put(struct canvas *c, int row, int column, enum style style, wchar_t what)
{
	struct canvas_cell *cell = canvas_at(c, row, column);

	if (!cell)
		return;
	cell->c = what;
	cell->style = (uint8_t)style;
}

int canvas_text(struct canvas *c, int row, int column, enum style style, const char *fmt, ...)
{
	char text[512];
	va_list args;
	mbstate_t state = { 0 };
	const char *p = text, *end;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	end = text + strlen(text);
	while (p < end) {
		wchar_t what = L'?';
		size_t n = mbrtowc(&what, p, (size_t)(end - p), &state);

		if (n == (size_t)-1 || n == (size_t)-2 || !n) {
			memset(&state, 0, sizeof(state));
			what = L'?';
			n = 1;
		}
		if (wcwidth(what) != 1)
			what = L'?';
		canvas_put(c, row, column++, style, what);
		p += n;
	}
	return column;
}

void canvas_right(struct canvas *c, int row, int end, enum style style, const char *text)
{
	canvas_text(c, row, end - (int)strlen(text), style, "%s", text);
}

void canvas_clear_row(struct canvas *c, int row)
{
	for (int i = 0; i < c->columns; i++)
		canvas_put(c, row, i, STYLE_PLAIN, L' ');
}

void canvas_reverse_row(struct canvas *c, int row)
{
	for (int i = 0; i < c->columns; i++) {
		struct canvas_cell *cell = canvas_at(c, row, i);

		if (cell)
			cell->reverse = true;
	}
}

static void print_row(const struct canvas_cell *cell, int n, FILE *out)
{
	enum style now = STYLE_PLAIN;
	mbstate_t state = { 0 };
	char text[MB_LEN_MAX];

	for (int i = 0; i < n; i++) {
		size_t bytes = wcrtomb(text, cell[i].c, &state);

		if (cell[i].style != now) {
			fprintf(out, "%s%s", style_end(now), style_begin(cell[i].style));
			now = cell[i].style;
		}
		if (bytes == (size_t)-1)
			fputc('?', out);
		else
			fwrite(text, 1, bytes, out);
	}
	fprintf(out, "%s\n", style_end(now));
}

void canvas_print(const struct canvas *c, FILE *out)
{
	for (int row = 0; row < c->rows; row++) {
		const struct canvas_cell *cell = &c->cell[(size_t)row * (size_t)c->columns];
		int n = c->columns;

		while (n && cell[n - 1].c == L' ')
			n--;
		print_row(cell, n, out);
	}
}

bool canvas_utf8_locale(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}
