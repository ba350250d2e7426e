/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading the command line by the table. */
#include <assert.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/common/suggest.h"

int cli_fail(enum cli_exit code, const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("barostat: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

int cli_fail_usage(const struct cli_command *command, const char *fmt, ...)
{
	va_list args;

	fputs("barostat: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\nTry: barostat %s%s--help\n", command ? command->name : "",
		command ? " " : "");
	return CLI_USAGE;
}

/* Everything one pass of getopt_long may meet: the command's options first, then the global ones.
 */
struct options {
	const struct cli_command *command; /* NULL before it is known */
	struct option longs[2 * CLI_OPTIONS_MAX + 1];
	char shorts[4 * CLI_OPTIONS_MAX + 4];
};

#define FIRST_CODE 256

static const struct cli_option *option_at(const struct options *o, int i)
{
	int own = o->command ? o->command->options : 0;

	assert(i >= 0 && i < own + cli_globals_count);
	return i < own ? &o->command->option[i] : &cli_globals[i - own];
}

static int options_count(const struct options *o)
{
	return (o->command ? o->command->options : 0) + cli_globals_count;
}

static void options_build(struct options *o)
{
	char *p = o->shorts;

	/* '+': the first word that is no option ends them; ':': tell a missing value apart. */
	*p++ = '+';
	*p++ = ':';
	for (int i = 0; i < options_count(o); i++) {
		const struct cli_option *option = option_at(o, i);

		o->longs[i] =
		    (struct option){ option->name, option->value ? 1 : 0, NULL, FIRST_CODE + i };
		if (!option->letter)
			continue;
		*p++ = option->letter;
		if (option->value)
			*p++ = ':';
	}
	*p = 0;
}

static int option_index(const struct options *o, int code)
{
	if (code >= FIRST_CODE)
		return code - FIRST_CODE;
	for (int i = 0; i < options_count(o); i++)
		if (option_at(o, i)->letter == code)
			return i;
	return -1;
}

static int unknown_option(const struct options *o, const char *word, int letter)
{
	char given[64];
	const char *best = NULL;
	unsigned int distance;

	if (letter && letter < FIRST_CODE && strncmp(word, "--", 2) != 0)
		return cli_fail_usage(o->command, "there is no option '-%c'", letter);
	snprintf(given, sizeof(given), "%.*s", (int)strcspn(word, "="), word);
	distance = suggest_limit(given + 2) + 1;
	for (int i = 0; i < options_count(o); i++)
		suggest_consider(given + 2, option_at(o, i)->name, &best, &distance);
	return cli_fail_usage(o->command, "there is no option '%s'%s%s%s", given,
			      best ? ", did you mean '--" : "", best ? best : "", best ? "'?" : "");
}

static int answer_help(const struct options *o)
{
	if (o->command)
		cli_print_command_usage(o->command, stdout);
	else
		cli_print_usage(stdout);
	return CLI_OK;
}

/* Stores one option. -1 to go on, else the exit status. */
static int take_option(struct cli *cli, const struct options *o, int i, const char *value)
{
	int own = o->command ? o->command->options : 0;
	const char *name = option_at(o, i)->name;

	if (i < own)
		cli->value[i] = value ? value : "";
	else if (!strcmp(name, "socket"))
		cli->socket_path = value;
	else if (!strcmp(name, "page"))
		cli->page_path = value;
	else if (!strcmp(name, "json"))
		cli->json = true;
	else if (!strcmp(name, "help"))
		return answer_help(o);
	else if (!strcmp(name, "version"))
		return printf("barostat %s\n", BAROSTAT_VERSION) < 0 ? CLI_FAILED : CLI_OK;
	return -1;
}

/* Reads options up to the first word that is none; *ret_next is its index. */
static int read_options(struct cli *cli, struct options *o, int argc, char **argv, int *ret_next)
{
	options_build(o);
	optind = 0;
	opterr = 0;
	for (;;) {
		int at = optind ? optind : 1, r;
		int code = getopt_long(argc, argv, o->shorts, o->longs, NULL);

		if (code == -1)
			break;
		if (code == ':')
			return cli_fail_usage(o->command, "option '%s' needs a value",
					      argv[optind - 1]);
		if (code == '?')
			return unknown_option(o, argv[at], optopt);
		r = take_option(cli, o, option_index(o, code), optarg);
		if (r >= 0)
			return r;
	}
	*ret_next = optind;
	return -1;
}

static int unknown_command(const char *name)
{
	unsigned int distance = suggest_limit(name) + 1;
	const char *best = NULL;

	for (int i = 0; i < cli_commands_count; i++)
		suggest_consider(name, cli_commands[i].name, &best, &distance);
	return cli_fail_usage(NULL, "there is no command '%s'%s%s%s", name,
			      best ? ", did you mean '" : "", best ? best : "", best ? "'?" : "");
}

static int check_arguments(const struct cli *cli)
{
	const struct cli_command *c = cli->command;

	if (cli->args >= c->least && (c->most < 0 || cli->args <= c->most))
		return -1;
	if (cli->args < c->least)
		return cli_fail_usage(c, "%s needs %s", c->name, c->synopsis);
	if (!c->most)
		return cli_fail_usage(c, "%s takes no argument, but got '%s'", c->name,
				      cli->arg[0]);
	return cli_fail_usage(c, "%s takes only %s, but got '%s' more", c->name, c->synopsis,
			      cli->arg[c->most]);
}

/* Options may stand between and after arguments, too, but for `run`, whose rest is not ours. */
static int read_command(struct cli *cli, int argc, char **argv)
{
	struct options o = { .command = cli->command };
	int next = argc, r, kept = 0;
	char **at = argv;
	int left = argc;

	for (;;) {
		r = read_options(cli, &o, left, at, &next);
		if (r >= 0)
			return r;
		if (next >= left)
			break;
		if (!strcmp(at[next - 1], "--") || cli->command->word[0] == CLI_WORD_PROGRAM) {
			for (; next < left; next++)
				cli->arg[kept++] = at[next];
			break;
		}
		cli->arg[kept++] = at[next];
		/* The word stands in for the program's name in the next round. */
		left -= next;
		at += next;
	}
	cli->arg[kept] = NULL;
	cli->args = kept;
	return check_arguments(cli);
}

int cli_parse(int argc, char **argv, struct cli *ret_cli)
{
	struct options o = { 0 };
	struct cli cli = { .socket_path = CLI_SOCKET };
	int next = argc, r;

	r = read_options(&cli, &o, argc, argv, &next);
	if (r >= 0)
		return r;
	cli.command = next < argc ? cli_command_find(argv[next]) : &cli_commands[0];
	if (!cli.command)
		return unknown_command(argv[next]);
	cli.arg = calloc((size_t)argc + 1, sizeof(*cli.arg));
	if (!cli.arg)
		return cli_fail(CLI_FAILED, "out of memory");
	r = next < argc ? read_command(&cli, argc - next, argv + next) : -1;
	if (r >= 0)
		free(cli.arg);
	else
		*ret_cli = cli;
	return r;
}
