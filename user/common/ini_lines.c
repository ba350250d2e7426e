/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/common/ini_lines.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct reader {
	const struct ini_events *events;
	const char *text, *end; /* what is not read yet */
	uint32_t line; /* last handed out */
	bool expects_key; /* that line was neither blank, comment nor section */
	bool in_section; /* some header was met */
	bool unreadable; /* it was no header: its keys belong nowhere */
};

static void complain(const struct reader *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void complain(const struct reader *r, const char *fmt, ...)
{
	char what[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	r->events->complain(r->events->arg, r->line, what);
}

static void complain_no_key(const struct reader *r)
{
	complain(r, "neither a section nor a key with a value; allowed: [SECTION], KEY = VALUE "
		    "or a comment after ';' or '#'");
}

/* Looks at a line before libinih does: opens sections, notes whether a key must follow from it. */
static void look_at(struct reader *r, char *line)
{
	char *p = line + strspn(line, " \t\r\n"), *close;
	const char *rest;
	size_t n;

	r->expects_key = *p && *p != ';' && *p != '#' && *p != '[';
	if (*p != '[')
		return;
	r->in_section = true;
	close = strchr(p, ']');
	r->unreadable = !close;
	if (!close) {
		complain(r, "a section header without ']'; allowed: %s", r->events->sections);
		return;
	}
	rest = close + 1 + strspn(close + 1, " \t\r\n");
	n = strcspn(rest, "\r\n");
	if (*rest && *rest != ';' && *rest != '#')
		complain(r, "'%.*s' after a section header; allowed: only a comment after ';'",
			 (int)(n < 40 ? n : 40), rest);
	*close = 0;
	p += 1 + strspn(p + 1, " \t");
	for (char *q = close; q > p && (q[-1] == ' ' || q[-1] == '\t'); q--)
		q[-1] = 0;
	r->events->section(r->events->arg, r->line, p);
	/* libinih need not know: it would cut the name. */
	line[0] = '\n';
	line[1] = 0;
}

/* NULL when the line can be read, else what is wrong with it. */
static const char *line_fault(const char *line, size_t n)
{
	if (n > INI_LINE_BYTES_MAX)
		return "the line is too long; allowed: at most 1023 bytes";
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)line[i];

		if (!c)
			return "the line contains a NUL byte; allowed: text";
		if ((c < ' ' && c != '\t' && !(c == '\r' && i + 1 == n)) || c == 127)
			return "the line contains a control character; allowed: text";
	}
	return NULL;
}

/* ini_reader: hands out the next line. Lines that cannot be read are complained about and blank. */
static char *next_line(char *buf, int size, void *stream)
{
	struct reader *r = stream;
	const char *fault, *eol;
	size_t n;

	if (r->expects_key)
		complain_no_key(r);
	r->expects_key = false;
	if (r->text == r->end)
		return NULL;
	eol = memchr(r->text, '\n', (size_t)(r->end - r->text));
	n = (size_t)((eol ? eol : r->end) - r->text);
	r->line++;
	/* The library's buffer has room for the longest line, if it took our options. */
	fault = n + 2 > (size_t)size ? "the line is too long; allowed: at most 1023 bytes"
				     : line_fault(r->text, n);
	if (fault) {
		complain(r, "%s", fault);
		n = 0;
	}
	memcpy(buf, r->text, n);
	memcpy(buf + n, "\n", 2);
	r->text = eol ? eol + 1 : r->end;
	look_at(r, buf);
	return buf;
}

/* ini_handler: one key and its value. */
static int take_key(void *user, const char *section, const char *name, const char *value)
{
	struct reader *r = user;

	if (!*name)
		complain_no_key(r);
	else if (!r->in_section)
		complain(r, "'%.80s' before any section; allowed: %s", name,
			 r->events->section_first);
	else if (!r->unreadable)
		r->events->key(r->events->arg, r->line, name, value);
	r->expects_key = false;
	return 1;
}

int ini_read_lines(const struct ini_events *events, const char *text, size_t bytes)
{
	static const char bom[] = "\xEF\xBB\xBF";
	struct reader r = { .events = events, .text = text, .end = text + bytes };

	if (bytes >= 3 && !memcmp(text, bom, 3))
		r.text += 3;
	/* Run-time options of the library; nobody else in the process uses it. */
	ini_use_stack = false;
	ini_allow_realloc = false;
	ini_initial_alloc = ini_max_line = INI_LINE_BYTES_MAX + 3;
	ini_allow_multiline = false;
	ini_stop_on_first_error = false;
	return ini_parse_stream(next_line, &r, take_key, &r) == -2 ? -ENOMEM : 0;
}
