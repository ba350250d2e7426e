/* SPDX-License-Identifier: BSD-2-Clause */
/* explain: the daemon's sentences about one engine, and the decisions behind them. */
#include <inttypes.h>
#include <string.h>

#include "user/cli/client.h"
#include "user/cli/columns.h"
#include "user/cli/explain.h"
#include "user/cli/fields.h"
#include "user/cli/format.h"
#include "user/common/cleanup.h"

#define LABEL_COLUMNS 10

static void print_where_it_stands(const json_t *e)
{
	const char *level = field_text(e, "level");
	enum style style = style_of_level(level);
	char a[FIELD_BYTES], b[FIELD_BYTES], c[FIELD_BYTES], d[FIELD_BYTES];

	printf("%s%s%s  level %s%s%s, %s, group %s, cgroup %s\n", style_begin(STYLE_BOLD),
	       field_text(e, "name"), style_end(STYLE_BOLD), style_begin(style), level,
	       style_end(style), field_text(e, "state"), field_text(e, "group"),
	       field_text(e, "cgroup"));
	printf("%-*s%s used (anon %s, file %s, kernel %s)\n", LABEL_COLUMNS, "memory",
	       field_size(e, "usage_bytes", a), field_size(e, "anon_bytes", b),
	       field_size(e, "file_bytes", c), field_size(e, "kernel_bytes", d));
	printf("%-*s%s between min %s and max %s, limit in force %s (%s)\n", LABEL_COLUMNS,
	       "target", field_size(e, "target_bytes", a), field_size(e, "min_bytes", b),
	       field_size(e, "max_bytes", c), field_limit(e, "limit_bytes", d),
	       field_text(e, "mode"));
	printf("%-*s%s stalled (average %s), %s refaults/s, %s major faults/s\n", LABEL_COLUMNS,
	       "pressure", field_percent(e, "stall_ppm", a), field_percent(e, "stall_avg_ppm", b),
	       field_number(e, "refaults_per_s", c), field_number(e, "majfaults_per_s", d));
}

/* "refault 1204 x, half within 131us, 99 % within 4.2ms" */
static void print_waits(const json_t *waits)
{
	const char *cause, *label = "waits";
	const json_t *w;

	json_object_foreach ((json_t *)waits, cause, w) {
		char count[FIELD_BYTES], p50[FIELD_BYTES], p99[FIELD_BYTES];

		if (!field_count(w, "count"))
			continue;
		printf("%-*s%s %s x, half within %s, 99 %% within %s\n", LABEL_COLUMNS, label,
		       cause, field_number(w, "count", count), field_time_ns(w, "p50_ns", p50),
		       field_time_ns(w, "p99_ns", p99));
		label = "";
	}
}

static void print_words(const json_t *words)
{
	unsigned int width = output_width();
	const json_t *w;
	size_t i;

	json_array_foreach (words, i, w) {
		const char *text = json_string_value(w);

		if (!text)
			continue;
		printf("%s", i ? "  " : "\n  ");
		print_wrapped(text, 4, width > 100 ? 96 : width - 4, stdout);
	}
}

void decision_clamps(const json_t *decision, char *buf, size_t size)
{
	const json_t *clamps = json_object_get(decision, "clamps"), *v;
	size_t i, n = 0;

	snprintf(buf, size, "-");
	json_array_foreach (clamps, i, v) {
		int more = snprintf(buf + n, size - n, "%s%s", i ? "," : "",
				    json_is_string(v) ? json_string_value(v) : "?");

		if (more < 0 || (size_t)more >= size - n)
			return;
		n += (size_t)more;
	}
}

const char *decision_reason(const json_t *decision, char *buf, size_t size)
{
	uint64_t repeats = field_count(decision, "repeats");

	if (repeats)
		snprintf(buf, size, "%s x%" PRIu64, field_text(decision, "reason"), repeats + 1);
	else
		snprintf(buf, size, "%s", field_text(decision, "reason"));
	return buf;
}

static void add_decision(struct columns *c, const json_t *d)
{
	const json_t *inputs = json_object_get(d, "inputs");
	char buf[FIELD_BYTES], reason[48], clamps[128];

	columns_add(c, STYLE_DIM, age_text(field_count(d, "age_ms"), buf));
	columns_add(
	    c, STYLE_PLAIN,
	    change_text(field_count(d, "before_bytes"), field_count(d, "target_bytes"), buf));
	columns_add(c, STYLE_PLAIN, field_size(d, "target_bytes", buf));
	columns_add(c, STYLE_BOLD, decision_reason(d, reason, sizeof(reason)));
	columns_add(c, STYLE_PLAIN, field_text(d, "peer"));
	columns_add(c, STYLE_PLAIN, field_percent(d, "gain_ppm", buf));
	columns_add(c, STYLE_PLAIN, field_percent(d, "loss_ppm", buf));
	columns_add(c, STYLE_PLAIN, field_percent(inputs, "stall_ppm", buf));
	columns_add(c, STYLE_PLAIN, field_number(inputs, "refaults_per_s", buf));
	decision_clamps(d, clamps, sizeof(clamps));
	columns_add(c, STYLE_PLAIN, clamps);
}

static int print_decisions(const json_t *decisions)
{
	static const char *const heads[] = { "WHEN",   ">CHANGE", ">TARGET", "REASON",
					     "PEER",   ">GAIN",   ">LOSS",   ">STALL",
					     ">REF/S", "CLAMPS",  NULL };
	_cleanup_columns_ struct columns *c = columns_new(heads);
	const json_t *d;
	size_t i;

	if (!c)
		return cli_fail(CLI_FAILED, "out of memory");
	if (!json_array_size(decisions)) {
		printf("\nNo decisions yet.\n");
		return CLI_OK;
	}
	json_array_foreach (decisions, i, d)
		add_decision(c, d);
	printf("\nLast decisions, newest first:\n");
	columns_print(c, stdout);
	return CLI_OK;
}

/* "0.25", "1.5s", "12" or "3.5G"; "-" when it is not there. */
static const char *metric_value(const json_t *m, const char *field, char *buf)
{
	const json_t *v = json_object_get(m, field);

	if (!strcmp(field_text(m, "unit"), "bytes"))
		return field_size(m, field, buf);
	if (json_is_real(v))
		snprintf(buf, FIELD_BYTES, "%.6g%s", json_real_value(v),
			 strcmp(field_text(m, "unit"), "seconds") ? "" : "s");
	else
		field_number(m, field, buf);
	return buf;
}

static void add_metric(struct columns *c, const json_t *m)
{
	bool summary = json_object_get(m, "count") != NULL;
	char buf[FIELD_BYTES], a[FIELD_BYTES], b[FIELD_BYTES], text[3 * FIELD_BYTES + 16];

	columns_add(c, STYLE_BOLD, field_text(m, "name"));
	columns_add(c, STYLE_PLAIN, field_text(m, "label"));
	if (summary)
		snprintf(text, sizeof(text), "%s, half up to %s, 99%% to %s",
			 field_number(m, "count", buf), metric_value(m, "p50", a),
			 metric_value(m, "p99", b));
	columns_add(c, STYLE_PLAIN, summary ? text : metric_value(m, "value", buf));
}

/* What the engine says of itself, if it does. */
static int print_metrics(const json_t *metrics)
{
	static const char *const heads[] = { "METRIC", "LABEL", "VALUE", NULL };
	_cleanup_columns_ struct columns *c = NULL;
	const json_t *m;
	size_t i;

	if (!json_array_size(metrics))
		return CLI_OK;
	c = columns_new(heads);
	if (!c)
		return cli_fail(CLI_FAILED, "out of memory");
	json_array_foreach (metrics, i, m)
		add_metric(c, m);
	printf("\nThe engine's own metrics:\n");
	columns_print(c, stdout);
	return CLI_OK;
}

int cmd_explain(const struct cli *cli)
{
	_cleanup_json_ json_t *answer = NULL;
	int r = client_ask_once(
	    cli, json_pack("{s:s, s:s}", "cmd", "explain", "engine", cli->arg[0]), &answer);

	if (r)
		return r;
	if (!json_is_object(json_object_get(answer, "engine")))
		return cli_fail(CLI_FAILED, "the daemon's answer lacks \"engine\"");
	if (cli->json)
		return print_json(answer);
	print_where_it_stands(json_object_get(answer, "engine"));
	print_waits(json_object_get(json_object_get(answer, "engine"), "waits"));
	print_words(json_object_get(answer, "words"));
	r = print_decisions(json_object_get(answer, "decisions"));
	return r ? r : print_metrics(json_object_get(json_object_get(answer, "engine"), "metrics"));
}
