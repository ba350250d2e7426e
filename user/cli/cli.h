/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line tool. One table (table.c) lists every command and option: parsing, usage,
 * completion and the checks of the man page all read it.
 */
#ifndef BAROSTAT_CLI_CLI_H
#define BAROSTAT_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NO_DAEMON = 3,
};

#define CLI_SOCKET "/run/barostat/control.sock"

/* What an argument or an option's value is, for completion. */
enum cli_word {
	CLI_WORD_NONE,
	CLI_WORD_ENGINE,
	CLI_WORD_COMMAND, /* a command of ours */
	CLI_WORD_FILE,
	CLI_WORD_USER,
	CLI_WORD_PID,
	CLI_WORD_SETTING, /* KEY=VALUE */
	CLI_WORD_PROGRAM, /* a program and its arguments */
	CLI_WORD_SORT,
	CLI_WORD_POLICY,
	CLI_WORD_POLICY_OR_BEST,
	CLI_WORD_ACTUATOR,
	CLI_WORD_SENSORS,
};

struct cli_option {
	const char *name; /* without "--" */
	char letter; /* or 0 */
	const char *value; /* "PATH", NULL for a flag */
	enum cli_word word;
	const char *what;
};

#define CLI_OPTIONS_MAX 16

/* What the options of the command said: value[i] belongs to command->option[i]; a flag that was
 * given is "". */
struct cli {
	const char *socket_path;
	const char *page_path; /* NULL: the library's default */
	bool json;
	const struct cli_command *command;
	const char *value[CLI_OPTIONS_MAX];
	char **arg; /* NULL-terminated */
	int args;
};

struct cli_command {
	const char *name;
	const char *synopsis; /* of its arguments, options aside */
	enum cli_word word[2]; /* what its first and all further arguments are */
	int least, most; /* arguments; most -1: any number */
	const char *what;
	const struct cli_option *option;
	int options;
	int (*run)(const struct cli *cli);
};

extern const struct cli_command cli_commands[];
extern const int cli_commands_count;
extern const struct cli_option cli_globals[];
extern const int cli_globals_count;

const struct cli_command *cli_command_find(const char *name);
/* The value of the command's option, NULL when it was not given. */
const char *cli_value(const struct cli *cli, const char *option);

/* "barostat: ..." on stderr, one line. Returns `code`. */
int cli_fail(enum cli_exit code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same, and how to get help. Returns CLI_USAGE. */
int cli_fail_usage(const struct cli_command *command, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void cli_print_usage(FILE *out);
void cli_print_command_usage(const struct cli_command *command, FILE *out);

/*
 * Reads the command line. Returns -1 when the command should run, else the exit status: --help
 * and --version were answered, or something was wrong and said so.
 */
int cli_parse(int argc, char **argv, struct cli *ret_cli);

/* `barostat __complete INDEX WORD...`, for the bash completion; `barostat __table`, for tests. */
int cli_complete(int argc, char **argv);
int cli_print_table(void);

int cmd_status(const struct cli *cli);
int cmd_list(const struct cli *cli);
int cmd_top(const struct cli *cli);
int cmd_explain(const struct cli *cli);
int cmd_doctor(const struct cli *cli);
int cmd_page(const struct cli *cli);
int cmd_run(const struct cli *cli);
int cmd_attach(const struct cli *cli);
int cmd_set(const struct cli *cli);
int cmd_simulate(const struct cli *cli);
int cmd_record(const struct cli *cli);
int cmd_replay(const struct cli *cli);

#endif
