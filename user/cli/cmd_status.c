/* SPDX-License-Identifier: BSD-2-Clause */
/* status: the host in three lines, then a line per engine. */
#include <inttypes.h>
#include <string.h>

#include "user/cli/client.h"
#include "user/cli/columns.h"
#include "user/cli/fields.h"
#include "user/cli/format.h"
#include "user/common/cleanup.h"

static void print_host(const json_t *s)
{
	const char *level = field_text(s, "level");
	const json_t *cost = json_object_get(s, "cost");
	uint64_t used = field_count(s, "usage_bytes"), ceiling = field_count(s, "ceiling_bytes");
	char a[FIELD_BYTES], b[FIELD_BYTES], c[FIELD_BYTES], d[FIELD_BYTES];

	printf("host     level %s%s%s, rung %s, policy %s, kernel %s%s\n",
	       style_begin(style_of_level(level)), level, style_end(style_of_level(level)),
	       field_text(s, "rung"), field_text(s, "policy"), field_text(s, "kernel"),
	       json_is_true(json_object_get(s, "dry_run")) ? ", DRY RUN: nothing is changed" : "");
	printf("memory   %s used of ceiling %s (%s), reserve %s\n", field_size(s, "usage_bytes", a),
	       field_size(s, "ceiling_bytes", b), percent_text(share_ppm(used, ceiling), c),
	       field_size(s, "reserve_bytes", d));
	printf("daemon   up %s, ", duration_text(field_count(s, "uptime_s"), a));
	printf("tick p50 %s p99 %s every %s ms, ", field_time_ns(cost, "tick_p50_ns", a),
	       field_time_ns(cost, "tick_p99_ns", b), field_number(s, "interval_ms", c));
	printf("%s of a core, %s\n\n", field_percent(cost, "cpu_ppm", a),
	       field_size(cost, "rss_bytes", b));
}

static void add_engine(struct columns *c, const json_t *e)
{
	const char *level = field_text(e, "level"), *state = field_text(e, "state");
	char buf[FIELD_BYTES];

	columns_add(c, STYLE_BOLD, field_text(e, "name"));
	columns_add(c, STYLE_PLAIN, field_text(e, "group"));
	columns_add(c, strcmp(state, "active") ? STYLE_WARNING : STYLE_PLAIN, state);
	columns_add(c, style_of_level(level), level);
	columns_add(c, STYLE_PLAIN, field_size(e, "usage_bytes", buf));
	columns_add(c, STYLE_PLAIN, field_size(e, "target_bytes", buf));
	columns_add(c, STYLE_PLAIN, field_limit(e, "limit_bytes", buf));
	columns_add(c, STYLE_PLAIN, field_size(e, "min_bytes", buf));
	columns_add(c, STYLE_PLAIN, field_size(e, "max_bytes", buf));
	columns_add(c, STYLE_PLAIN, field_percent(e, "stall_ppm", buf));
	columns_add(c, STYLE_PLAIN, field_number(e, "refaults_per_s", buf));
	columns_add(c, STYLE_DIM, field_text(e, "reason"));
}

static int print_status(const json_t *s, const json_t *engines)
{
	static const char *const heads[] = { "ENGINE",  "GROUP",  "STATE", "LEVEL", ">USAGE",
					     ">TARGET", ">LIMIT", ">MIN",  ">MAX",  ">STALL",
					     ">REF/S",  "REASON", NULL };
	_cleanup_columns_ struct columns *c = columns_new(heads);
	const json_t *e;
	size_t i;

	if (!c)
		return cli_fail(CLI_FAILED, "out of memory");
	print_host(s);
	if (!json_array_size(engines)) {
		printf("no engines: add [engine NAME] sections to %s\n", field_text(s, "config"));
		return CLI_OK;
	}
	json_array_foreach (engines, i, e)
		add_engine(c, e);
	columns_print(c, stdout);
	return CLI_OK;
}

int cmd_status(const struct cli *cli)
{
	_cleanup_json_ json_t *status = NULL;
	int r = client_ask_status(cli, &status);

	if (r)
		return r;
	if (cli->json)
		return print_json(status);
	return print_status(status, json_object_get(status, "engines"));
}
