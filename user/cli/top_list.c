/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's head and the list of engines. */
#include <string.h>

#include "user/cli/fields.h"
#include "user/cli/format.h"
#include "user/cli/top_view.h"
#include "user/common/units.h"

/* Columns of the list, laid out for a width; 0 columns wide: not shown. */
struct layout {
	int name, level, usage, target, bar, stall, stall_spark, refaults, usage_spark, reason;
};

enum style top_bar_style(const char *level)
{
	enum style style = style_of_level(level);

	return style == STYLE_EMERGENCY ? STYLE_CRITICAL : style;
}

static int label(struct canvas *c, int row, int column, const char *name)
{
	return canvas_text(c, row, column, STYLE_DIM, "%s ", name);
}

static void draw_host_memory(struct canvas *c, const json_t *s, int row)
{
	uint64_t used = field_count(s, "usage_bytes"), ceiling = field_count(s, "ceiling_bytes");
	uint64_t reserve = field_count(s, "reserve_bytes");
	struct chart_bar bar = {
		.scale = ceiling,
		.usage = used,
		.target = CHART_NONE,
		.limit = sat_sub_u64(ceiling, reserve),
		.style = top_bar_style(field_text(s, "level")),
	};
	int columns = c->columns / 3, at = label(c, row, 0, "memory  ");
	char a[FIELD_BYTES], b[FIELD_BYTES], d[FIELD_BYTES], e[FIELD_BYTES];

	chart_bar(c, row, at, columns, &bar);
	at = canvas_text(c, row, at + columns + 1, STYLE_BOLD, "%s of %s",
			 units_format_size(used, a, sizeof(a)),
			 units_format_size(ceiling, b, sizeof(b)));
	canvas_text(c, row, at, STYLE_PLAIN, "  %s  reserve %s",
		    percent_text(share_ppm(used, ceiling), d),
		    units_format_size(reserve, e, sizeof(e)));
}

int top_draw_host(struct canvas *c, const struct top_view *v)
{
	const json_t *s = v->model.status, *cost = json_object_get(s, "cost");
	const char *level = field_text(s, "level");
	char a[FIELD_BYTES], b[FIELD_BYTES], d[FIELD_BYTES], e[FIELD_BYTES];
	int at = canvas_text(c, 0, 0, STYLE_BOLD, "barostat  ");

	at = canvas_text(c, 0, at, style_of_level(level), "%s", level);
	at = label(c, 0, at + 2, "rung");
	at = canvas_text(c, 0, at, STYLE_PLAIN, "%s  ", field_text(s, "rung"));
	at = label(c, 0, at, "policy");
	at = canvas_text(c, 0, at, STYLE_PLAIN, "%s  ", field_text(s, "policy"));
	at = label(c, 0, at, "up");
	at = canvas_text(c, 0, at, STYLE_PLAIN, "%s  ",
			 duration_text(field_count(s, "uptime_s"), a));
	if (json_is_true(json_object_get(s, "dry_run")))
		at = canvas_text(c, 0, at, STYLE_WARNING, "DRY RUN  ");
	if (v->paused)
		canvas_text(c, 0, at, STYLE_WARNING, "PAUSED");
	draw_host_memory(c, s, 1);
	at = label(c, 2, 0, "daemon  ");
	canvas_text(c, 2, at, STYLE_PLAIN, "tick %s (p99 %s)  %s of a core  %s",
		    field_time_ns(cost, "tick_p50_ns", a), field_time_ns(cost, "tick_p99_ns", b),
		    field_percent(cost, "cpu_ppm", d), field_size(cost, "rss_bytes", e));
	if (*v->trouble) {
		canvas_text(c, 3, 0, STYLE_CRITICAL, "%s", v->trouble);
		return 4;
	}
	return 3;
}

static int longest_name(const struct top_model *m)
{
	size_t n = 6;

	for (uint32_t i = 0; i < m->engines; i++)
		if (strlen(m->engine[i].name) > n)
			n = strlen(m->engine[i].name);
	return n > 20 ? 20 : (int)n;
}

/* What does not fit is left out: first the history of usage, then the reason, then stalls'. */
static struct layout lay_out(const struct top_model *m, int width)
{
	struct layout l = { .name = longest_name(m),
			    .level = 9,
			    .usage = 6,
			    .target = 6,
			    .stall = 6,
			    .refaults = 7 };
	int used = l.name + l.level + l.usage + l.target + l.stall + l.refaults + 6;
	int left = width - used;

	if (left >= 13 + 1 + 16)
		l.reason = 13;
	left -= l.reason ? l.reason + 1 : 0;
	if (left >= 16 + 1 + 12)
		l.stall_spark = left >= 66 ? 24 : 12;
	left -= l.stall_spark ? l.stall_spark + 1 : 0;
	if (left >= 20 + 1 + 16)
		l.usage_spark = left >= 50 ? 24 : 16;
	left -= l.usage_spark ? l.usage_spark + 1 : 0;
	l.bar = left < 0 ? 0 : left;
	return l;
}

static void head(struct canvas *c, int row, int *at, int width, bool right, const char *text)
{
	if (!width)
		return;
	if (right)
		canvas_right(c, row, *at + width, STYLE_HEAD, text);
	else
		canvas_text(c, row, *at, STYLE_HEAD, "%.*s", width, text);
	*at += width + 1;
}

static void draw_heads(struct canvas *c, int row, const struct layout *l)
{
	int at = 0;

	head(c, row, &at, l->name, false, "ENGINE");
	head(c, row, &at, l->level, false, "LEVEL");
	head(c, row, &at, l->usage, true, "USAGE");
	head(c, row, &at, l->target, true, "TARGET");
	head(c, row, &at, l->bar, false, "MEMORY");
	head(c, row, &at, l->usage_spark, false, "USAGE BEFORE");
	head(c, row, &at, l->stall, true, "STALL");
	head(c, row, &at, l->stall_spark, false, "STALL BEFORE");
	head(c, row, &at, l->refaults, true, "REF/S");
	head(c, row, &at, l->reason, false, "REASON");
}

/* One scale for all bars, so that they can be compared. */
static uint64_t common_scale(const struct top_model *m)
{
	uint64_t ceiling = field_count(m->status, "ceiling_bytes"), scale = 1;

	for (uint32_t i = 0; i < m->engines; i++) {
		const struct top_engine *e = &m->engine[i];

		scale = max_u64(scale, max_u64(e->usage_bytes, e->target_bytes));
		if (e->limit_bytes <= ceiling)
			scale = max_u64(scale, e->limit_bytes);
	}
	return scale;
}

static void right_text(struct canvas *c, int row, int *at, int width, enum style style,
		       const char *text)
{
	canvas_right(c, row, *at + width, style, text);
	*at += width + 1;
}

static enum style stall_style(uint64_t ppm)
{
	return ppm >= 200000 ? STYLE_CRITICAL : ppm >= 50000 ? STYLE_WARNING : STYLE_PLAIN;
}

static uint64_t series_max(const uint64_t *v, unsigned int n, uint64_t least)
{
	for (unsigned int i = 0; i < n; i++)
		least = max_u64(least, v[i]);
	return least;
}

static void draw_sparks(struct canvas *c, int row, int at, int width, enum style style,
			const uint64_t *value, unsigned int samples, uint64_t least_scale)
{
	struct chart_series s = { value, samples };
	unsigned int shown = samples < (unsigned int)width ? samples : (unsigned int)width;

	chart_spark(c, row, at, width, style, &s,
		    series_max(value + samples - shown, shown, least_scale));
}

static void draw_engine(struct canvas *c, int row, const struct layout *l,
			const struct top_engine *e, uint64_t scale)
{
	struct chart_bar bar = { scale, e->usage_bytes, e->target_bytes, e->limit_bytes,
				 top_bar_style(e->level) };
	char buf[FIELD_BYTES];
	int at = 0;

	canvas_text(c, row, at, STYLE_BOLD, "%.*s", l->name, e->name);
	at += l->name + 1;
	if (strcmp(e->state, "active") != 0)
		canvas_text(c, row, at, STYLE_WARNING, "%.*s", l->level, e->state);
	else
		canvas_text(c, row, at, style_of_level(e->level), "%.*s", l->level, e->level);
	at += l->level + 1;
	right_text(c, row, &at, l->usage, STYLE_PLAIN,
		   units_format_size(e->usage_bytes, buf, sizeof(buf)));
	right_text(c, row, &at, l->target, STYLE_TARGET,
		   units_format_size(e->target_bytes, buf, sizeof(buf)));
	if (l->bar)
		chart_bar(c, row, at, l->bar, &bar);
	at += l->bar ? l->bar + 1 : 0;
	if (l->usage_spark)
		draw_sparks(c, row, at, l->usage_spark, STYLE_PLAIN, e->usage_history, e->samples,
			    1);
	at += l->usage_spark ? l->usage_spark + 1 : 0;
	right_text(c, row, &at, l->stall, stall_style(e->stall_ppm),
		   percent_text(e->stall_ppm, buf));
	if (l->stall_spark)
		draw_sparks(c, row, at, l->stall_spark, stall_style(e->stall_ppm), e->stall_history,
			    e->samples, 50000);
	at += l->stall_spark ? l->stall_spark + 1 : 0;
	right_text(c, row, &at, l->refaults, STYLE_PLAIN, number_text(e->refaults_per_s, buf));
	if (l->reason)
		canvas_text(c, row, at, STYLE_DIM, "%.*s", l->reason, e->reason);
}

static void draw_legend(struct canvas *c, const struct top_view *v, int row)
{
	int at = canvas_text(c, row, 0, STYLE_PLAIN, "%s usage  ", c->utf8 ? "█" : "#");

	at = canvas_text(c, row, at, STYLE_TARGET, "%s", c->utf8 ? "┃" : "|");
	at = canvas_text(c, row, at, STYLE_PLAIN, " target  ");
	at = canvas_text(c, row, at, STYLE_LIMIT, "%s", c->utf8 ? "▐" : "]");
	at = canvas_text(c, row, at, STYLE_PLAIN, " limit");
	if (!v->interactive)
		return;
	canvas_text(c, row, at + 3, STYLE_DIM,
		    "s sort: %s%s  r reverse  Enter detail  space pause  q quit",
		    top_sort_name(v->model.sort), v->model.reversed ? " (reversed)" : "");
}

int top_list_rows(const struct top_view *v)
{
	return TOP_HEAD_ROWS + (*v->trouble != 0) + (int)v->model.engines + 2;
}

/* Keeps the selection on its engine, and the list's window around the selection. */
static void keep_in_view(struct top_view *v, int rows)
{
	const struct top_engine *e = top_model_find(&v->model, v->selected_name);
	int n = (int)v->model.engines;

	if (e)
		v->selected = (int)(e - v->model.engine);
	if (v->selected >= n)
		v->selected = n - 1;
	if (v->selected < 0)
		v->selected = 0;
	if (n)
		snprintf(v->selected_name, sizeof(v->selected_name), "%s",
			 v->model.engine[v->selected].name);
	if (v->scroll > v->selected)
		v->scroll = v->selected;
	if (v->scroll < v->selected - rows + 1)
		v->scroll = v->selected - rows + 1;
	if (v->scroll > n - rows)
		v->scroll = n - rows;
	if (v->scroll < 0)
		v->scroll = 0;
}

void top_draw_list(struct canvas *c, struct top_view *v, int row)
{
	struct layout l = lay_out(&v->model, c->columns);
	uint64_t scale = common_scale(&v->model);
	int rows, n = (int)v->model.engines;

	draw_heads(c, ++row, &l);
	row++;
	rows = c->rows - row - 2;
	if (rows < 1)
		rows = 1;
	keep_in_view(v, rows);
	for (int i = 0; i < rows && v->scroll + i < n; i++) {
		draw_engine(c, row + i, &l, &v->model.engine[v->scroll + i], scale);
		if (v->interactive && v->scroll + i == v->selected)
			canvas_reverse_row(c, row + i);
	}
	if (!n)
		canvas_text(c, row, 0, STYLE_WARNING,
			    "no engines: add [engine NAME] sections to %s",
			    field_text(v->model.status, "config"));
	if (n > rows)
		canvas_text(c, row + rows, 0, STYLE_DIM, "%d to %d of %d engines", v->scroll + 1,
			    v->scroll + rows, n);
	draw_legend(c, v, c->rows - 1);
}

void top_draw(struct canvas *c, struct top_view *v)
{
	int row;

	if (!v->model.status)
		return;
	row = top_draw_host(c, v);
	if (*v->detail)
		top_draw_detail(c, v, row);
	else
		top_draw_list(c, v, row);
}
