/* SPDX-License-Identifier: BSD-2-Clause */
/* Every command and option there is. */
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/common/cleanup.h"

#define OPTIONS(o) .option = (o), .options = ARRAY_SIZE(o)

const struct cli_option cli_globals[] = {
	{ "socket", 0, "PATH", CLI_WORD_FILE, "the daemon's control socket (" CLI_SOCKET ")" },
	{ "page", 0, "PATH", CLI_WORD_FILE,
	  "the pressure page ($BAROSTAT_PAGE, or "
	  "/run/barostat/pressure)" },
	{ "json", 'j', NULL, CLI_WORD_NONE, "print facts as JSON" },
	{ "help", 'h', NULL, CLI_WORD_NONE, "print this help, or a command's" },
	{ "version", 0, NULL, CLI_WORD_NONE, "print the version" },
};
const int cli_globals_count = ARRAY_SIZE(cli_globals);

static const struct cli_option top_options[] = {
	{ "delay", 'd', "TIME", CLI_WORD_NONE, "between two looks (500ms)" },
	{ "sort", 's', "KEY", CLI_WORD_SORT, "config, name, usage, target, stall or refaults" },
	{ "engine", 'e', "NAME", CLI_WORD_ENGINE, "show one engine in detail" },
	{ "once", '1', NULL, CLI_WORD_NONE, "print one frame and exit" },
	{ "batch", 'b', "N", CLI_WORD_NONE, "print N frames and exit" },
	{ "ascii", 0, NULL, CLI_WORD_NONE, "draw with ASCII characters only" },
};

static const struct cli_option run_options[] = {
	{ "engine", 'e', "NAME", CLI_WORD_ENGINE, "the engine to run in" },
	{ "user", 'u', "USER", CLI_WORD_USER, "become this user before the command starts" },
};

static const struct cli_option simulate_options[] = {
	{ "policy", 'p', "NAME", CLI_WORD_POLICY_OR_BEST, "the law to run (marginal)" },
	{ "against", 'a', "NAME", CLI_WORD_POLICY_OR_BEST, "run a second one beside it" },
	{ "actuator", 0, "NAME", CLI_WORD_ACTUATOR, "protect, hard or none (protect)" },
	{ "sensors", 0, "NAME", CLI_WORD_SENSORS,
	  "all, ghosts: no reuse times, or files: no BPF (all)" },
	{ "tick", 't', "TIME", CLI_WORD_NONE, "between two decisions (250ms)" },
	{ "seed", 0, "N", CLI_WORD_NONE, "the first seed (1)" },
	{ "seeds", 'n', "N", CLI_WORD_NONE, "how many seeds; figures are means (1)" },
	{ "gamma", 0, "PERCENT", CLI_WORD_NONE, "throughput 100%, fairness 0% (100%)" },
	{ "ceiling", 0, "PERCENT", CLI_WORD_NONE, "of the scenario's ceiling (100%)" },
	{ "grain", 'g', "N", CLI_WORD_NONE, "pages N times larger, N times faster (1)" },
	{ "reserve", 0, "PERCENT", CLI_WORD_NONE, "of the ceiling, never handed out (2%)" },
	{ "set", 's', "KEY=VALUE", CLI_WORD_NONE,
	  "any option, or ENGINE.KEY; ',' between several" },
	{ "check", 'c', NULL, CLI_WORD_NONE, "run what [expect] sections say; 1 if one is broken" },
	{ "plot", 0, "FILE", CLI_WORD_FILE, "draw targets, usage and stalls as SVG" },
};

static const struct cli_option record_options[] = {
	{ "seconds", 0, "N", CLI_WORD_NONE, "end after so many; else when interrupted" },
};

static const struct cli_option replay_options[] = {
	{ "policy", 'p', "NAME", CLI_WORD_POLICY, "decide by another policy, too" },
	{ "set", 's', "KEY=VALUE", CLI_WORD_NONE,
	  "gamma, ceiling, reserve, burst or ENGINE.KEY; ',' between several" },
	{ "engine", 'e', "NAME", CLI_WORD_NONE, "tell the decisions on this engine in words" },
	{ "plot", 0, "FILE", CLI_WORD_FILE, "draw usage and targets as SVG" },
};

const struct cli_command cli_commands[] = {
	{ "status",
	  "",
	  { 0 },
	  0,
	  0,
	  "the host and every engine at a glance (the default)",
	  .run = cmd_status },
	{ "list", "", { 0 }, 0, 0, "engines: their groups, bounds and cgroups", .run = cmd_list },
	{ "top", "", { 0 }, 0, 0, "watch engines live", OPTIONS(top_options), .run = cmd_top },
	{ "explain",
	  "ENGINE",
	  { CLI_WORD_ENGINE },
	  1,
	  1,
	  "why an engine has the memory it has, in words and numbers",
	  .run = cmd_explain },
	{ "doctor",
	  "",
	  { 0 },
	  0,
	  0,
	  "what this kernel offers, what is missing, what would bring it",
	  .run = cmd_doctor },
	{ "page",
	  "[ENGINE]",
	  { CLI_WORD_ENGINE },
	  0,
	  1,
	  "the shared pressure page, as engines read it",
	  .run = cmd_page },
	{ "run",
	  "-- COMMAND [ARGUMENT...]",
	  { CLI_WORD_PROGRAM, CLI_WORD_PROGRAM },
	  1,
	  -1,
	  "run a command inside an engine's cgroup",
	  OPTIONS(run_options),
	  .run = cmd_run },
	{ "attach",
	  "ENGINE PID...",
	  { CLI_WORD_ENGINE, CLI_WORD_PID },
	  2,
	  -1,
	  "move running processes into an engine's cgroup",
	  .run = cmd_attach },
	{ "set",
	  "ENGINE KEY=VALUE...",
	  { CLI_WORD_ENGINE, CLI_WORD_SETTING },
	  2,
	  -1,
	  "change an engine's bounds until the next reload",
	  .run = cmd_set },
	{ "simulate",
	  "SCENARIO...",
	  { CLI_WORD_FILE, CLI_WORD_FILE },
	  1,
	  -1,
	  "try the law on hosts in miniature; needs no daemon",
	  OPTIONS(simulate_options),
	  .run = cmd_simulate },
	{ "record",
	  "FILE",
	  { CLI_WORD_FILE },
	  1,
	  1,
	  "record what the daemon sees and decides",
	  OPTIONS(record_options),
	  .run = cmd_record },
	{ "replay",
	  "FILE",
	  { CLI_WORD_FILE },
	  1,
	  1,
	  "decide a recording again: the same, or by other rules",
	  OPTIONS(replay_options),
	  .run = cmd_replay },
};
const int cli_commands_count = ARRAY_SIZE(cli_commands);

const struct cli_command *cli_command_find(const char *name)
{
	for (int i = 0; i < cli_commands_count; i++)
		if (!strcmp(cli_commands[i].name, name))
			return &cli_commands[i];
	return NULL;
}

const char *cli_value(const struct cli *cli, const char *option)
{
	for (int i = 0; i < cli->command->options; i++)
		if (!strcmp(cli->command->option[i].name, option))
			return cli->value[i];
	return NULL;
}

static void print_option(const struct cli_option *o, FILE *out)
{
	char left[40];
	int n = 0;

	if (o->letter)
		n = snprintf(left, sizeof(left), "-%c, ", o->letter);
	else
		n = snprintf(left, sizeof(left), "    ");
	snprintf(left + n, sizeof(left) - (size_t)n, "--%s%s%s", o->name, o->value ? " " : "",
		 o->value ? o->value : "");
	fprintf(out, "  %-22s %s\n", left, o->what);
}

static void print_globals(FILE *out)
{
	fputs("\nOptions of every command:\n", out);
	for (int i = 0; i < cli_globals_count; i++)
		print_option(&cli_globals[i], out);
}

void cli_print_usage(FILE *out)
{
	fputs("Usage: barostat [OPTION...] [COMMAND [ARGUMENT...]]\n\n"
	      "See and steer how barostatd divides memory between database engines.\n\n"
	      "Commands:\n",
	      out);
	for (int i = 0; i < cli_commands_count; i++) {
		const struct cli_command *c = &cli_commands[i];
		char left[40];

		snprintf(left, sizeof(left), "%s%s%s", c->name, *c->synopsis ? " " : "",
			 *c->synopsis == '-' ? "..." : c->synopsis);
		fprintf(out, "  %-24s %s\n", left, c->what);
	}
	print_globals(out);
	fputs("\nExit status: 0 done, 1 failed, 2 wrong usage, 3 no daemon.\n"
	      "barostat COMMAND --help says more; so do barostat(1) and barostatd(8).\n",
	      out);
}

void cli_print_command_usage(const struct cli_command *c, FILE *out)
{
	fprintf(out, "Usage: barostat %s%s%s%s\n\n%c%s.\n", c->name,
		c->options ? " [OPTION...]" : "", *c->synopsis ? " " : "", c->synopsis,
		c->what[0] >= 'a' && c->what[0] <= 'z' ? c->what[0] - 32 : c->what[0], c->what + 1);
	if (c->options)
		fputs("\nOptions:\n", out);
	for (int i = 0; i < c->options; i++)
		print_option(&c->option[i], out);
	print_globals(out);
}

static void print_option_row(const char *command, const struct cli_option *o)
{
	printf("option\t%s\t%s\t%c\t%s\t%s\n", command, o->name, o->letter ? o->letter : '-',
	       o->value ? o->value : "-", o->what);
}

int cli_print_table(void)
{
	for (int i = 0; i < cli_globals_count; i++)
		print_option_row("-", &cli_globals[i]);
	for (int i = 0; i < cli_commands_count; i++) {
		const struct cli_command *c = &cli_commands[i];

		printf("command\t%s\t%s\t%s\n", c->name, *c->synopsis ? c->synopsis : "-", c->what);
		for (int j = 0; j < c->options; j++)
			print_option_row(c->name, &c->option[j]);
	}
	return CLI_OK;
}
