/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines. libinih splits them into keys and values; this file feeds it line by line, because by
 * itself it cuts section names at 49 bytes and lines at 199, joins indented lines to the value
 * above, and reports only the first line it could not read.
 */
#include <errno.h>
#include <ini.h>
#include <string.h>

#include "user/common/suggest.h"
#include "user/common/units.h"
#include "user/daemon/config_internal.h"

/* Room for the longest legal value, its key and a comment. */
#define LINE_BYTES_MAX 1023

struct reader {
	struct config *config;
	struct config_complaints *to;
	const char *text, *end; /* what is not read yet */
	struct config_where where; /* of the line last handed out */
	bool expects_key; /* that line was neither blank, comment nor section */
	bool in_section; /* some section was opened, maybe one that is ignored */
	bool ignored; /* it was wrong: its keys cannot be judged */
	enum config_section section;
	char name[CONFIG_NAME_MAX];
	uint32_t index; /* of the group or engine */
	uint32_t said[CONFIG_KEYS_MAX]; /* line of each key in this section */
};

static void *section_object(struct reader *r)
{
	switch (r->section) {
	case CONFIG_GROUP:
		return &r->config->group[r->index];
	case CONFIG_ENGINE:
		return &r->config->engine[r->index];
	default:
		return r->config;
	}
}

/* The section is open in r->section and r->index; was it opened before in this file? */
static void note_section(struct reader *r, struct config_where *opened)
{
	if (opened->line && opened->file == r->where.file)
		config_complain(r->to, r->where,
				"[%s%s%s] again, first at line %u; allowed: each section once in "
				"a file",
				config_sections[r->section].header, *r->name ? " " : "", r->name,
				opened->line);
	*opened = r->where;
}

static void open_group(struct reader *r)
{
	struct config_group *g = config_group_find(r->config, r->name);

	if (!g && r->config->groups == CONFIG_GROUPS_MAX) {
		config_complain(r->to, r->where,
				"[group %s] is one group too many; allowed: at most %u groups",
				r->name, CONFIG_GROUPS_MAX - 1);
		r->ignored = true;
		return;
	}
	if (!g)
		g = config_group_add(r->config, r->name);
	if (!g) {
		config_complain(r->to, r->where, "%s", strerror(ENOMEM));
		r->ignored = true;
		return;
	}
	r->index = (uint32_t)(g - r->config->group);
	note_section(r, &g->where);
}

static void open_engine(struct reader *r)
{
	int i = config_find_engine(r->config, r->name);
	struct config_engine *e;

	if (i < 0 && r->config->engines == CONFIG_ENGINES_MAX) {
		config_complain(r->to, r->where,
				"[engine %s] is one engine too many; allowed: at most %u engines",
				r->name, CONFIG_ENGINES_MAX);
		r->ignored = true;
		return;
	}
	e = i < 0 ? config_engine_add(r->config, r->name) : &r->config->engine[i];
	if (!e) {
		config_complain(r->to, r->where, "%s", strerror(ENOMEM));
		r->ignored = true;
		return;
	}
	r->index = (uint32_t)(e - r->config->engine);
	note_section(r, &e->where);
}

static void unknown_section(struct reader *r, const char *header, const char *kind)
{
	unsigned int distance = suggest_limit(kind) + 1;
	const char *best = NULL;

	for (int i = 0; i < CONFIG_SECTIONS; i++)
		suggest_consider(kind, config_sections[i].header, &best, &distance);
	config_complain(r->to, r->where,
			"unknown section [%.80s]%s%s%s; allowed: [daemon], "
			"[group NAME] and [engine NAME]",
			header, best ? ", did you mean '" : "", best ? best : "", best ? "'?" : "");
}

/* `header` is what stands between the brackets, trimmed. */
static void open_section(struct reader *r, char *header)
{
	char kind[16] = "";
	size_t n = strcspn(header, " \t");
	const char *name = header + n + strspn(header + n, " \t");

	r->in_section = true;
	r->ignored = true;
	memset(r->said, 0, sizeof(r->said));
	snprintf(kind, sizeof(kind), "%.*s", (int)(n < sizeof(kind) ? n : 0), header);
	for (r->section = 0; r->section < CONFIG_SECTIONS; r->section++)
		if (!strcmp(kind, config_sections[r->section].header))
			break;
	if (r->section == CONFIG_SECTIONS) {
		unknown_section(r, header, kind);
		return;
	}
	if (r->section == CONFIG_DAEMON ? *name != 0 : !config_name_valid(name)) {
		config_complain(
		    r->to, r->where, "[%.80s]: '%.80s' is not a name; allowed: %s", header, name,
		    r->section == CONFIG_DAEMON ? "[daemon] without a name" : CONFIG_NAME_ALLOWED);
		return;
	}
	r->ignored = false;
	memcpy(r->name, name, strlen(name) + 1);
	if (r->section == CONFIG_DAEMON)
		note_section(r, &r->config->where);
	else if (r->section == CONFIG_GROUP)
		open_group(r);
	else
		open_engine(r);
}

/* Looks at a line before libinih does: opens sections, notes whether a key must follow from it. */
static void look_at(struct reader *r, char *line)
{
	char *p = line + strspn(line, " \t\r\n"), *close;
	const char *rest;

	r->expects_key = *p && *p != ';' && *p != '#' && *p != '[';
	if (*p != '[')
		return;
	close = strchr(p, ']');
	if (!close) {
		config_complain(r->to, r->where,
				"a section header without ']'; allowed: [daemon], "
				"[group NAME] and [engine NAME]");
		r->in_section = r->ignored = true;
		return;
	}
	rest = close + 1 + strspn(close + 1, " \t\r\n");
	if (*rest && *rest != ';' && *rest != '#')
		config_complain(r->to, r->where,
				"'%.*s' after a section header; allowed: only a comment after ';'",
				(int)min_u64(strcspn(rest, "\r\n"), 40), rest);
	*close = 0;
	p += 1 + strspn(p + 1, " \t");
	for (char *q = close; q > p && (q[-1] == ' ' || q[-1] == '\t'); q--)
		q[-1] = 0;
	open_section(r, p);
	/* libinih need not know: it would cut the name. */
	line[0] = '\n';
	line[1] = 0;
}

/* NULL when the line can be read, else what is wrong with it. */
static const char *line_fault(const char *line, size_t n)
{
	if (n > LINE_BYTES_MAX)
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

static void complain_no_key(struct reader *r)
{
	config_complain(r->to, r->where,
			"neither a section nor a key with a value; allowed: [SECTION], KEY = VALUE "
			"or a comment after ';' or '#'");
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
	r->where.line++;
	/* The library's buffer has room for the longest line, if it took our options. */
	fault = n + 2 > (size_t)size ? "the line is too long; allowed: at most 1023 bytes"
				     : line_fault(r->text, n);
	if (fault) {
		config_complain(r->to, r->where, "%s", fault);
		n = 0;
	}
	memcpy(buf, r->text, n);
	memcpy(buf + n, "\n", 2);
	r->text = eol ? eol + 1 : r->end;
	look_at(r, buf);
	return buf;
}

static void unknown_key(struct reader *r, const char *name)
{
	const struct config_section_keys *s = &config_sections[r->section];
	unsigned int distance = suggest_limit(name) + 1;
	const char *best = NULL, *other = NULL;
	char allowed[256] = "";
	size_t n = 0;

	for (size_t i = 0; i < s->keys; i++) {
		suggest_consider(name, s->key[i].name, &best, &distance);
		n += (size_t)snprintf(allowed + n, sizeof(allowed) - n, "%s%s",
				      !i                 ? ""
				      : i + 1 == s->keys ? " and "
							 : ", ",
				      s->key[i].name);
	}
	for (int i = 0; !best && i < CONFIG_SECTIONS; i++)
		if (config_key_find((enum config_section)i, name))
			other = config_sections[i].header;
	config_complain(r->to, r->where, "[%s%s%s] unknown key '%.80s'%s%s%s%s%s; allowed: %s",
			s->header, *r->name ? " " : "", r->name, name,
			best ? ", did you mean '" : "", best ? best : "", best ? "'?" : "",
			other ? ", it belongs to " : "", other ? other : "", allowed);
}

/* ini_handler: one key and its value. */
static int take_key(void *user, const char *section, const char *name, const char *value)
{
	struct reader *r = user;
	const struct config_key *key;
	uint32_t *said;

	if (!*name) {
		complain_no_key(r);
		r->expects_key = false;
		return 1;
	}
	r->expects_key = false;
	if (!r->in_section) {
		config_complain(r->to, r->where,
				"'%.80s' before any section; allowed: [daemon], "
				"[group NAME] or [engine NAME] first",
				name);
		return 1;
	}
	if (r->ignored)
		return 1;
	key = config_key_find(r->section, name);
	if (!key) {
		unknown_key(r, name);
		return 1;
	}
	said = &r->said[key - config_sections[r->section].key];
	if (*said)
		config_complain(r->to, r->where,
				"[%s%s%s] %s again, first at line %u; allowed: each key once in a "
				"section",
				config_sections[r->section].header, *r->name ? " " : "", r->name,
				key->name, *said);
	*said = r->where.line;
	config_key_set(key, r->section, section_object(r), r->name, value, r->where, r->to);
	return 1;
}

int config_read_lines(struct config *c, uint16_t file, const char *text, size_t bytes,
		      struct config_complaints *to)
{
	static const char bom[] = "\xEF\xBB\xBF";
	struct reader r = { .config = c, .to = to, .where.file = file };

	r.text = text;
	r.end = text + bytes;
	if (bytes >= 3 && !memcmp(text, bom, 3))
		r.text += 3;
	/* Run-time options of the library; nobody else in the process uses it. */
	ini_use_stack = false;
	ini_allow_realloc = false;
	ini_initial_alloc = ini_max_line = LINE_BYTES_MAX + 3;
	ini_allow_multiline = false;
	ini_stop_on_first_error = false;
	if (ini_parse_stream(next_line, &r, take_key, &r) == -2) {
		config_complain(to, r.where, "cannot be read: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	return 0;
}
