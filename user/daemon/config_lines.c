/* SPDX-License-Identifier: BSD-2-Clause */
/* What each section and key of a file means; ini_lines.c splits the text. */
#include <errno.h>
#include <string.h>

#include "user/common/ini_lines.h"
#include "user/common/suggest.h"
#include "user/daemon/config_internal.h"

#define SECTIONS "[daemon], [group NAME] and [engine NAME]"

struct reader {
	struct config *config;
	struct config_complaints *to;
	struct config_where where; /* of the line last handed out */
	bool ignored; /* the section was wrong: its keys cannot be judged */
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
	config_complain(r->to, r->where, "unknown section [%.80s]%s%s%s; allowed: " SECTIONS,
			header, best ? ", did you mean '" : "", best ? best : "", best ? "'?" : "");
}

static void open_section(void *arg, uint32_t line, char *header)
{
	struct reader *r = arg;
	char kind[16] = "";
	size_t n = strcspn(header, " \t");
	const char *name = header + n + strspn(header + n, " \t");

	r->where.line = line;
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

static void take_key(void *arg, uint32_t line, const char *name, const char *value)
{
	struct reader *r = arg;
	const struct config_key *key;
	uint32_t *said;

	r->where.line = line;
	if (r->ignored)
		return;
	key = config_key_find(r->section, name);
	if (!key) {
		unknown_key(r, name);
		return;
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
}

static void complain(void *arg, uint32_t line, const char *what)
{
	struct reader *r = arg;

	r->where.line = line;
	config_complain(r->to, r->where, "%s", what);
}

int config_read_lines(struct config *c, uint16_t file, const char *text, size_t bytes,
		      struct config_complaints *to)
{
	struct reader r = { .config = c, .to = to, .where.file = file };
	const struct ini_events events = { .sections = SECTIONS,
					   .section_first =
					       "[daemon], [group NAME] or [engine NAME] first",
					   .section = open_section,
					   .key = take_key,
					   .complain = complain,
					   .arg = &r };
	int err = ini_read_lines(&events, text, bytes);

	if (err < 0)
		config_complain(to, r.where, "cannot be read: %s", strerror(-err));
	return err;
}
