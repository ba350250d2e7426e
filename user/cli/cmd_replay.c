/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay: the decisions of a recording made again by this build's law, and compared; or made by
 * another policy, or under other settings.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "user/cli/replay_report.h"
#include "user/common/cleanup.h"

/* All of the file, as far as it is sound: -ENODATA at its end, -EBADMSG, -ENOMEM. */
static int run(struct session *s)
{
	int r = 0;

	while (r >= 0) {
		r = trace_file_read(&s->file, &s->replay);
		if (r != REPLAY_READ_TICK)
			continue;
		replay_step(&s->replay, &s->replay.law[0], NULL, 0);
		r = compare_tick(&s->check, &s->replay, &s->replay.law[0]);
		if (r == 0 && s->settings) {
			replay_step(&s->replay, &s->replay.law[1], s->setting, s->settings);
			r = compare_tick(&s->other, &s->replay, &s->replay.law[1]);
		}
		if (r == 0 && s->plot)
			r = replay_plot_tick(s->plot, &s->replay,
					     s->settings ? &s->replay.law[1] : NULL);
		if (r == 0)
			r = session_tell(s);
	}
	return r;
}

static int prepare(struct session *s, const char *path)
{
	uint32_t slots;
	int r = trace_file_open(&s->file, path);

	if (r < 0)
		return r;
	slots = s->file.header.slots;
	r = replay_init(&s->replay, slots, s->settings ? 2 : 1);
	if (r == 0)
		r = compare_init(&s->check, slots);
	if (r == 0)
		r = compare_init(&s->other, slots);
	if (r == 0 && cli_value(s->cli, "plot")) {
		s->plot = replay_plot_new(slots);
		r = s->plot ? 0 : -ENOMEM;
	}
	return r;
}

static int add_setting(struct session *s, const char *text)
{
	int r = -E2BIG;

	if (s->settings < ARRAY_SIZE(s->setting))
		r = replay_parse_setting(text, &s->setting[s->settings]);
	if (r == -ENOENT)
		return cli_fail(CLI_USAGE, "'%s' sets nothing a replay knows; allowed: %s", text,
				replay_settings_allowed);
	if (r == -E2BIG)
		return cli_fail(CLI_USAGE, "more than %zu settings", ARRAY_SIZE(s->setting));
	if (r < 0)
		return cli_fail(CLI_USAGE, "'%s' has a value that is not allowed", text);
	s->settings++;
	return CLI_OK;
}

/* --policy P and --set KEY=VALUE,KEY=VALUE */
static int read_settings(struct session *s)
{
	const char *policy = cli_value(s->cli, "policy"), *list = cli_value(s->cli, "set");
	_cleanup_free_ char *copy = list ? strdup(list) : NULL;
	char text[64], *rest = NULL;
	int r = CLI_OK;

	if (list && !copy)
		return cli_fail(CLI_FAILED, "out of memory");
	if (policy) {
		snprintf(text, sizeof(text), "policy=%.40s", policy);
		if (policy_from_name(policy) < 0)
			return cli_fail(CLI_USAGE, "there is no policy '%s'", policy);
		r = add_setting(s, text);
	}
	for (char *one = list ? strtok_r(copy, ",", &rest) : NULL; one && !r;
	     one = strtok_r(NULL, ",", &rest))
		r = add_setting(s, one);
	return r;
}

/* A setting of an engine that never was is a slip of the pen. */
static int check_names(const struct session *s)
{
	const struct compare *c = &s->check;

	for (size_t i = 0; i <= s->settings; i++) {
		const char *name = i < s->settings ? s->setting[i].engine : s->engine;
		bool known = !name || !*name;

		for (size_t e = 0; e < c->engines && !known; e++)
			known = strcmp(c->engine[e].name, name) == 0;
		if (!known)
			return cli_fail(CLI_FAILED, "no engine '%s' was active in %s", name,
					s->file.path);
	}
	return CLI_OK;
}

static int write_plot(const struct session *s)
{
	const char *path = cli_value(s->cli, "plot");
	FILE *out = fopen(path, "we");
	bool failed;

	if (!out)
		return cli_fail(CLI_FAILED, "cannot write %s: %s", path, strerror(errno));
	replay_plot_write(s->plot, out);
	failed = ferror(out);
	failed |= fclose(out) != 0;
	return failed ? cli_fail(CLI_FAILED, "cannot write %s", path) : CLI_OK;
}

static int conclude(struct session *s, int r)
{
	int status;

	if (r == -ENOMEM)
		return cli_fail(CLI_FAILED, "out of memory");
	if (r != -ENODATA && s->replay.ticks == 0)
		return cli_fail(CLI_FAILED, "%s", s->file.why);
	if (r != -ENODATA)
		s->broken = true;
	status = check_names(s);
	if (!status && s->plot)
		status = write_plot(s);
	return status ? status : session_report(s);
}

int cmd_replay(const struct cli *cli)
{
	struct session s = { .cli = cli, .engine = cli_value(cli, "engine") };
	int r = read_settings(&s);

	if (r)
		return r;
	r = prepare(&s, cli->arg[0]);
	if (r == 0)
		r = run(&s);
	r = conclude(&s, r);
	session_fini(&s);
	return r;
}
