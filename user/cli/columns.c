/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/columns.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS_MAX 16

struct cell {
	char *text;
	enum style style;
};

struct columns {
	const char *const *head;
	int count;
	size_t width[COLUMNS_MAX];
	struct cell *cell;
	size_t cells, room;
	bool failed; /* out of memory */
};

bool style_wanted(void)
{
	static int wanted = -1;
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (wanted < 0)
		wanted = isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
	return wanted;
}

const char *style_begin(enum style style)
{
	static const char *const sequence[STYLE_COUNT] = {
		[STYLE_PLAIN] = "",
		[STYLE_DIM] = "\033[2m",
		[STYLE_BOLD] = "\033[1m",
		[STYLE_GOOD] = "\033[32m",
		[STYLE_WARNING] = "\033[33m",
		[STYLE_CRITICAL] = "\033[31m",
		[STYLE_EMERGENCY] = "\033[1;41;97m",
		[STYLE_HEAD] = "\033[1;4m",
		[STYLE_TARGET] = "\033[1;36m",
		[STYLE_LIMIT] = "\033[1;35m",
	};

	return style_wanted() ? sequence[style] : "";
}

const char *style_end(enum style style)
{
	return style != STYLE_PLAIN && style_wanted() ? "\033[0m" : "";
}

enum style style_of_level(const char *level)
{
	if (!strcmp(level, "normal"))
		return STYLE_GOOD;
	if (!strcmp(level, "warning"))
		return STYLE_WARNING;
	if (!strcmp(level, "critical"))
		return STYLE_CRITICAL;
	if (!strcmp(level, "emergency"))
		return STYLE_EMERGENCY;
	return STYLE_DIM;
}

struct columns *columns_new(const char *const *heads)
{
	struct columns *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->head = heads;
	for (; heads[c->count] && c->count < COLUMNS_MAX; c->count++)
		c->width[c->count] = strlen(heads[c->count]) - (*heads[c->count] == '>');
	return c;
}

void columns_free(struct columns *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->cells; i++)
		free(c->cell[i].text);
	free(c->cell);
	free(c);
}

void columns_add(struct columns *c, enum style style, const char *text)
{
	struct cell *cell;
	size_t n, column = c->cells % (size_t)c->count;

	if (c->cells == c->room) {
		size_t room = c->room ? 2 * c->room : 64;

		cell = reallocarray(c->cell, room, sizeof(*cell));
		c->failed |= !cell;
		if (!cell)
			return;
		c->cell = cell;
		c->room = room;
	}
	cell = &c->cell[c->cells];
	cell->style = style;
	cell->text = strdup(text);
	c->failed |= !cell->text;
	if (!cell->text)
		return;
	c->cells++;
	for (char *p = cell->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	n = strlen(text);
	if (n > c->width[column])
		c->width[column] = n;
}

static void print_cell(const struct columns *c, int column, const char *text, enum style style,
		       FILE *out)
{
	bool right = *c->head[column] == '>', last = column + 1 == c->count;
	int pad = (int)(c->width[column] - strlen(text));

	fprintf(out, "%*s%s%s%s%*s%s", right ? pad : 0, "", style_begin(style), text,
		style_end(style), right || last ? 0 : pad, "", last ? "\n" : "  ");
}

void columns_print(const struct columns *c, FILE *out)
{
	if (c->failed) {
		fputs("(out of memory)\n", out);
		return;
	}
	for (int i = 0; i < c->count; i++)
		print_cell(c, i, c->head[i] + (*c->head[i] == '>'), STYLE_BOLD, out);
	for (size_t i = 0; i < c->cells; i++)
		print_cell(c, (int)(i % (size_t)c->count), c->cell[i].text, c->cell[i].style, out);
}
