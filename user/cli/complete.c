/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bash completion's other half: `barostat __complete INDEX WORD...` prints candidates for word
 * INDEX (0 is "barostat"), one per line, from the command table and, for engines, from the page.
 * A first line ":files", ":users" or ":program" asks the shell to add its own.
 */
#include <stdlib.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/cli/page_view.h"
#include "user/common/cleanup.h"
#include "user/daemon/law.h"

struct words {
	char **word;
	int count, index;
	const char *page_path;
	const struct cli_command *command; /* NULL before it */
	int position; /* which argument of the command the word at the index would be */
	bool rest; /* behind run's command or behind "--" */
};

static const struct cli_option *find_option(const struct cli_command *command, const char *word)
{
	for (int i = 0; command && i < command->options; i++) {
		const struct cli_option *o = &command->option[i];

		if ((!strncmp(word, "--", 2) && !strcmp(word + 2, o->name)) ||
		    (word[0] == '-' && word[1] && word[1] == o->letter && !word[2]))
			return o;
	}
	for (int i = 0; i < cli_globals_count; i++)
		if (!strncmp(word, "--", 2) && !strcmp(word + 2, cli_globals[i].name))
			return &cli_globals[i];
	return NULL;
}

/* Walks to the word; the option whose value it is, NULL when it is none's. */
static const struct cli_option *walk(struct words *w)
{
	for (int i = 1; i < w->index && i < w->count; i++) {
		const char *word = w->word[i];
		const struct cli_option *o;

		if (w->rest)
			continue;
		if (!strcmp(word, "--")) {
			w->rest = true;
		} else if (*word == '-') {
			o = find_option(w->command, word);
			if (!o || !o->value)
				continue;
			if (++i == w->index)
				return o;
			if (!strcmp(o->name, "page") && i < w->count)
				w->page_path = w->word[i];
		} else if (!w->command) {
			w->command = cli_command_find(word);
			if (!w->command)
				w->rest = true;
		} else {
			w->position++;
			w->rest = w->command->word[0] == CLI_WORD_PROGRAM;
		}
	}
	return NULL;
}

static void offer(const char *prefix, const char *candidate)
{
	if (!strncmp(candidate, prefix, strlen(prefix)))
		puts(candidate);
}

static void offer_engines(const struct words *w, const char *prefix)
{
	_cleanup_(page_view_close) struct page_view view = { 0 };
	struct baro_slot_ref ref;
	struct baro_slot slot;

	if (page_view_open(w->page_path, &view) < 0)
		return;
	for (uint32_t i = 0; i < baro_page_slots(view.page); i++)
		if (!baro_page_slot(view.page, i, &ref) && !baro_page_read_slot(&ref, &slot))
			offer(prefix, slot.name);
}

static void offer_list(const char *prefix, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		offer(prefix, list[i]);
}

static void offer_words(const struct words *w, enum cli_word kind, const char *prefix)
{
	static const char *const settings[] = { "min=",          "max=",       "weight=",
						"stall_target=", "limit=soft", "limit=hard" };
	static const char *const sorts[] = { "config", "name",  "usage",
					     "target", "stall", "refaults" };

	static const char *const actuators[] = { "protect", "hard", "none" };
	static const char *const sensors[] = { "all", "ghosts", "files" };

	switch (kind) {
	case CLI_WORD_ENGINE:
		offer_engines(w, prefix);
		break;
	case CLI_WORD_SETTING:
		offer_list(prefix, settings, ARRAY_SIZE(settings));
		break;
	case CLI_WORD_SORT:
		offer_list(prefix, sorts, ARRAY_SIZE(sorts));
		break;
	case CLI_WORD_POLICY_OR_BEST:
		offer(prefix, "best");
		/* fallthrough */
	case CLI_WORD_POLICY:
		for (int i = 0; i < LAW_POLICY_COUNT; i++)
			offer(prefix, policy_name((enum law_policy)i));
		break;
	case CLI_WORD_ACTUATOR:
		offer_list(prefix, actuators, ARRAY_SIZE(actuators));
		break;
	case CLI_WORD_SENSORS:
		offer_list(prefix, sensors, ARRAY_SIZE(sensors));
		break;
	case CLI_WORD_COMMAND:
		for (int i = 0; i < cli_commands_count; i++)
			offer(prefix, cli_commands[i].name);
		break;
	case CLI_WORD_FILE:
		puts(":files");
		break;
	case CLI_WORD_USER:
		puts(":users");
		break;
	case CLI_WORD_PROGRAM:
		puts(":program");
		break;
	case CLI_WORD_PID:
	case CLI_WORD_NONE:
		break;
	}
}

static void offer_options(const struct words *w, const char *prefix)
{
	char text[64];

	for (int i = 0; w->command && i < w->command->options; i++) {
		snprintf(text, sizeof(text), "--%s", w->command->option[i].name);
		offer(prefix, text);
	}
	for (int i = 0; i < cli_globals_count; i++) {
		snprintf(text, sizeof(text), "--%s", cli_globals[i].name);
		offer(prefix, text);
	}
}

int cli_complete(int argc, char **argv)
{
	struct words w = { .word = argv + 1, .count = argc - 1 };
	const struct cli_option *option;
	const char *prefix;

	if (argc < 1)
		return CLI_USAGE;
	w.index = atoi(argv[0]);
	if (w.index < 1 || w.index > w.count)
		return CLI_USAGE;
	prefix = w.index < w.count ? w.word[w.index] : "";
	option = walk(&w);
	if (option)
		offer_words(&w, option->word, prefix);
	else if (*prefix == '-' && !w.rest)
		offer_options(&w, prefix);
	else if (!w.command && !w.rest)
		offer_words(&w, CLI_WORD_COMMAND, prefix);
	else if (w.command)
		offer_words(&w, w.command->word[w.position ? 1 : 0], prefix);
	return CLI_OK;
}
