/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * doctor: what the daemon found, plus what can be seen without it: whether it answers, and whether
 * its page is alive. Without a daemon it prints the latter and exits with 3.
 */
#include <inttypes.h>
#include <string.h>

#include "include/barostat/page.h"
#include "user/cli/client.h"
#include "user/cli/columns.h"
#include "user/cli/fields.h"
#include "user/cli/format.h"
#include "user/cli/page_view.h"
#include "user/common/cleanup.h"

#define START_REMEDY "systemctl start barostatd, or: barostatd --config /etc/barostat/barostat.conf"

static json_t *check(const char *name, const char *state, const char *detail, const char *remedy)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "name", name, "state", state, "detail", detail,
			 "remedy", remedy);
}

static json_t *check_page(const char *path)
{
	_cleanup_(page_view_close) struct page_view view = { 0 };
	char detail[160], age[FIELD_BYTES];
	int r = page_view_open(path, &view);

	if (r < 0)
		return check("pressure page", "missing", baro_page_strerror(r),
			     r == -ENOENT ? START_REMEDY : "remove the file and restart barostatd");
	if (!view.valid) {
		snprintf(detail, sizeof(detail), "its lease ran out %s: readers fall back",
			 age_text(view.void_since_ns / 1000000, age));
		return check("pressure page", "degraded", detail, START_REMEDY);
	}
	snprintf(detail, sizeof(detail), "%s, %u of %u slots used", view.path,
		 view.header.slots_used, view.header.slot_count);
	return check("pressure page", "ok", detail, "");
}

static enum style style_of_state(const char *state)
{
	return !strcmp(state, "ok")        ? STYLE_GOOD
	       : !strcmp(state, "missing") ? STYLE_CRITICAL
					   : STYLE_WARNING;
}

static void print_checks(const json_t *checks)
{
	unsigned int width = output_width();
	const json_t *v;
	size_t i;

	json_array_foreach (checks, i, v) {
		const char *state = field_text(v, "state"), *remedy = field_text(v, "remedy");
		enum style style = style_of_state(state);

		printf("%s%-8s%s  %-20s  ", style_begin(style), state, style_end(style),
		       field_text(v, "name"));
		print_wrapped(field_text(v, "detail"), 32, width - 32, stdout);
		if (strcmp(state, "ok") != 0 && strcmp(remedy, "-") != 0) {
			printf("%32s", "remedy: ");
			print_wrapped(remedy, 32, width - 32, stdout);
		}
	}
}

static void print_sensors(const json_t *sensors)
{
	static const char *const heads[] = { "SENSOR", "VARIANT", "WHY", NULL };
	_cleanup_columns_ struct columns *c = columns_new(heads);
	const json_t *v;
	size_t i;

	if (!c || !json_array_size(sensors))
		return;
	json_array_foreach (sensors, i, v) {
		columns_add(c, STYLE_BOLD, field_text(v, "name"));
		columns_add(c, STYLE_PLAIN, field_text(v, "variant"));
		columns_add(c, STYLE_DIM, field_text(v, "why"));
	}
	putchar('\n');
	columns_print(c, stdout);
}

static void print_cost(const json_t *cost)
{
	char a[FIELD_BYTES], b[FIELD_BYTES], c[FIELD_BYTES], d[FIELD_BYTES], e[FIELD_BYTES];

	if (!json_is_object(cost))
		return;
	printf("\ncost      tick p50 %s p99 %s, %s of a core, %s resident, %s events dropped\n",
	       field_time_ns(cost, "tick_p50_ns", a), field_time_ns(cost, "tick_p99_ns", b),
	       field_percent(cost, "cpu_ppm", c), field_size(cost, "rss_bytes", d),
	       field_number(cost, "dropped_events", e));
}

/* Puts what was seen from outside first. */
static int add_outside(const struct cli *cli, json_t *report, const struct client *client, int r)
{
	json_t *checks = json_object_get(report, "checks");
	const char *page = cli->page_path;

	if (!page)
		page = json_string_value(json_object_get(report, "page"));
	if (!json_is_array(checks)) {
		checks = json_array();
		json_object_set_new(report, "checks", checks);
	}
	json_array_insert_new(checks, 0, check_page(page));
	return json_array_insert_new(checks, 0,
				     r ? check("daemon", "missing", client->why, START_REMEDY)
				       : check("daemon", "ok", cli->socket_path, ""));
}

int cmd_doctor(const struct cli *cli)
{
	_cleanup_json_ json_t *report = NULL;
	struct client client;
	int r = client_connect(&client, cli->socket_path);

	if (!r)
		r = client_ask(&client, json_pack("{s:s}", "cmd", "doctor"), &report);
	client_close(&client);
	if (!report)
		report = json_pack("{s:n}", "rung");
	if (!report || add_outside(cli, report, &client, r) < 0)
		return cli_fail(CLI_FAILED, "out of memory");
	if (cli->json)
		return print_json(report) ? CLI_FAILED : r;
	printf("rung      %s%s%s, kernel %s\n\n", style_begin(STYLE_BOLD),
	       field_text(report, "rung"), style_end(STYLE_BOLD), field_text(report, "kernel"));
	print_checks(json_object_get(report, "checks"));
	print_sensors(json_object_get(report, "sensors"));
	print_cost(json_object_get(report, "cost"));
	return r ? client_fail(&client, r) : CLI_OK;
}
