/* SPDX-License-Identifier: BSD-2-Clause */
/* One engine: its memory and its stalls over time, its numbers, and why. */
#include <string.h>

#include "user/cli/explain.h"
#include "user/cli/fields.h"
#include "user/cli/format.h"
#include "user/cli/top_view.h"
#include "user/common/units.h"

#define LABEL 8 /* columns left of a graph */

static uint64_t highest(const struct chart_series *a, const struct chart_series *b, int columns)
{
	uint64_t most = 1;

	for (int k = 0; k < 2; k++) {
		const struct chart_series *s = k ? b : a;

		for (unsigned int i = 0; i < s->count && i < (unsigned int)columns; i++)
			most = max_u64(most, s->value[s->count - 1 - i]);
	}
	return most;
}

static void draw_graph(struct canvas *c, int row, int rows, enum style style,
		       const struct chart_series *s, const struct chart_series *line,
		       uint64_t scale, const char *top)
{
	canvas_right(c, row, LABEL - 1, STYLE_DIM, top);
	canvas_right(c, row + rows - 1, LABEL - 1, STYLE_DIM, "0");
	for (int i = 0; i < rows; i++)
		canvas_put(c, row + i, LABEL - 1, STYLE_DIM, c->utf8 ? L'┤' : L'|');
	chart_graph(c, row, LABEL, rows, c->columns - LABEL, style, s, line, scale);
}

static int draw_graphs(struct canvas *c, const struct top_engine *e, int row, int rows)
{
	struct chart_series usage = { e->usage_history, e->samples };
	struct chart_series target = { e->target_history, e->samples };
	struct chart_series stall = { e->stall_history, e->samples }, none = { 0 };
	int columns = c->columns - LABEL, upper = (rows * 3 + 4) / 5, lower = rows - upper;
	char buf[FIELD_BYTES];
	uint64_t scale;

	if (columns < 8)
		return row;
	scale = highest(&usage, &target, columns);
	canvas_text(c, row, LABEL, STYLE_DIM, "usage, with %s target", c->utf8 ? "─" : "-");
	draw_graph(c, row + 1, upper, top_bar_style(e->level), &usage, &target, scale,
		   units_format_size(scale, buf, sizeof(buf)));
	row += upper + 1;
	scale = max_u64(highest(&stall, &none, columns), 10000);
	canvas_text(c, row, LABEL, STYLE_DIM, "stalled time");
	draw_graph(c, row + 1, lower, STYLE_WARNING, &stall, &none, scale,
		   percent_text(scale, buf));
	return row + 1 + lower;
}

static int draw_numbers(struct canvas *c, const json_t *e, int row)
{
	char a[FIELD_BYTES], b[FIELD_BYTES], d[FIELD_BYTES], f[FIELD_BYTES];

	canvas_text(c, row++, 0, STYLE_PLAIN, "usage %s (anon %s, file %s, kernel %s)",
		    field_size(e, "usage_bytes", a), field_size(e, "anon_bytes", b),
		    field_size(e, "file_bytes", d), field_size(e, "kernel_bytes", f));
	canvas_text(c, row++, 0, STYLE_PLAIN, "target %s of min %s to max %s, limit in force %s",
		    field_size(e, "target_bytes", a), field_size(e, "min_bytes", b),
		    field_size(e, "max_bytes", d), field_limit(e, "limit_bytes", f));
	canvas_text(c, row++, 0, STYLE_PLAIN,
		    "stalled %s (average %s), %s refaults/s, %s major faults/s",
		    field_percent(e, "stall_ppm", a), field_percent(e, "stall_avg_ppm", b),
		    field_number(e, "refaults_per_s", d), field_number(e, "majfaults_per_s", f));
	return row;
}

/* Breaks at blanks. Returns the row behind the text. */
static int draw_wrapped(struct canvas *c, int row, int indent, enum style style, const char *text)
{
	int at = indent;

	for (const char *p = text + strspn(text, " "); *p; p += strspn(p, " ")) {
		int n = (int)strcspn(p, " ");

		if (at > indent && at + n > c->columns) {
			row++;
			at = indent + 2;
		}
		at = canvas_text(c, row, at, style, "%.*s", n, p) + 1;
		p += n;
	}
	return row + 1;
}

static int draw_words(struct canvas *c, const json_t *words, int row)
{
	const json_t *w;
	size_t i;

	json_array_foreach (words, i, w)
		if (json_is_string(w))
			row = draw_wrapped(c, row, 0, STYLE_PLAIN, json_string_value(w));
	return row;
}

static void draw_decisions(struct canvas *c, const json_t *decisions, int row, int end)
{
	char a[FIELD_BYTES], b[FIELD_BYTES], d[FIELD_BYTES], e[FIELD_BYTES], clamps[128],
	    reason[48];
	const json_t *v;
	size_t i;

	json_array_foreach (decisions, i, v) {
		if (row >= end)
			return;
		decision_clamps(v, clamps, sizeof(clamps));
		canvas_text(
		    c, row++, 0, STYLE_DIM,
		    "%12s  %7s to %-6s %-13s %-12s gain %s  loss "
		    "%s  %s%s",
		    age_text(field_count(v, "age_ms"), a),
		    change_text(field_count(v, "before_bytes"), field_count(v, "target_bytes"), b),
		    field_size(v, "target_bytes", d), decision_reason(v, reason, sizeof(reason)),
		    field_text(v, "peer"), field_percent(v, "gain_ppm", e),
		    field_percent(v, "loss_ppm", (char[FIELD_BYTES]){ 0 }),
		    *clamps == '-' ? "" : "held by ", *clamps == '-' ? "" : clamps);
	}
}

static void draw_title(struct canvas *c, const struct top_engine *e, int row)
{
	int at = canvas_text(c, row, 0, STYLE_BOLD, "%s", e->name);

	at = canvas_text(c, row, at + 2, style_of_level(e->level), "%s", e->level);
	canvas_text(c, row, at + 2, STYLE_PLAIN, "%s  group %s  reason %s", e->state, e->group,
		    e->reason);
}

void top_draw_detail(struct canvas *c, struct top_view *v, int row)
{
	const struct top_engine *e = top_model_find(&v->model, v->detail);
	const json_t *engine = json_object_get(v->explain, "engine");
	int graph_rows = (c->rows - row) * 2 / 5;

	row++;
	if (!e) {
		canvas_text(c, row, 0, STYLE_WARNING, "there is no engine '%s' any more",
			    v->detail);
	} else {
		draw_title(c, e, row++);
		row = draw_graphs(c, e, row, graph_rows < 4 ? 4 : graph_rows) + 1;
		if (engine)
			row = draw_numbers(c, engine, row) + 1;
		row = draw_words(c, json_object_get(v->explain, "words"), row) + 1;
		draw_decisions(c, json_object_get(v->explain, "decisions"), row, c->rows - 1);
	}
	if (!v->interactive)
		return;
	canvas_clear_row(c, c->rows - 1);
	canvas_text(c, c->rows - 1, 0, STYLE_DIM,
		    "Esc back  up/down other engine  space "
		    "pause  q quit");
}
