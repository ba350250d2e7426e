/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/sim/plot.h"

#include <math.h>

#define PANEL_WIDTH  520
#define AREA_HEIGHT  190
#define STALL_HEIGHT 110
#define LEFT         64
#define TOP          56
#define GAP          40
#define LINE_HEIGHT  18
#define POINTS_MAX   240

/* Told apart also by those who do not see all colours (Okabe and Ito), then their shades. */
static const char *const colours[SIM_ENGINES_MAX] = {
	"#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#999999",
	"#004a73", "#8f6300", "#00573f", "#803900", "#7a4864", "#2b6c8f", "#8f8828", "#555555",
};

struct frame {
	FILE *out;
	const struct sim_series *series;
	double left, top, height;
	uint32_t per_point; /* ticks */
};

static int left_of(uint32_t run)
{
	return LEFT + (int)run * (PANEL_WIDTH + LEFT + 16);
}

enum quantity { TARGET, USAGE, STALL };

static double value_at(const struct sim_series *s, uint32_t tick, uint32_t i, enum quantity q)
{
	const struct sim_point *p = &s->point[(size_t)tick * s->engines + i];

	return q == TARGET ? p->target : q == USAGE ? p->usage : p->stall;
}

/* The mean over the ticks of a point; with `stacked`, of the engines up to i together. */
static double mean(const struct frame *f, uint32_t point, uint32_t i, enum quantity q, bool stacked)
{
	uint32_t from = point * f->per_point, to = from + f->per_point;
	double sum = 0;

	if (to > f->series->ticks)
		to = f->series->ticks;
	for (uint32_t t = from; t < to; t++)
		for (uint32_t k = stacked ? 0 : i; k <= i; k++)
			sum += value_at(f->series, t, k, q);
	return sum / (to - from);
}

static uint32_t points_of(const struct frame *f)
{
	return (f->series->ticks + f->per_point - 1) / f->per_point;
}

static double x_of(const struct frame *f, double tick)
{
	return f->left + PANEL_WIDTH * tick / f->series->ticks;
}

static double y_of(const struct frame *f, double part)
{
	return f->top + f->height * (1 - fmin(part, 1));
}

/* -- axes -- */

static double grid_step(double span, double about)
{
	double step = pow(10, floor(log10(span / about)));
	double times = span / about / step;

	return step * (times > 5 ? 10 : times > 2 ? 5 : times > 1 ? 2 : 1);
}

static void draw_frame(const struct frame *f, const char *what)
{
	double seconds = f->series->ticks * f->series->tick_s, step = grid_step(seconds, 8);

	fprintf(f->out, "<text x=\"%.0f\" y=\"%.0f\">%s</text>\n", f->left, f->top - 6, what);
	for (int percent = 0; percent <= 100; percent += 25)
		fprintf(f->out,
			"<path d=\"M%.1f %.1fh%d\" class=\"grid\"/>"
			"<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%d%%</text>\n",
			f->left, y_of(f, percent / 100.0), PANEL_WIDTH, f->left - 6,
			y_of(f, percent / 100.0) + 4, percent);
	for (double s = 0; s <= seconds + 1e-9; s += step)
		fprintf(f->out,
			"<path d=\"M%.1f %.1fv%.0f\" class=\"grid\"/>"
			"<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g s</text>\n",
			x_of(f, s / f->series->tick_s), f->top, f->height,
			x_of(f, s / f->series->tick_s), f->top + f->height + 14, s);
}

/* -- data -- */

static void draw_area(const struct frame *f, uint32_t i, enum quantity q)
{
	uint32_t n = points_of(f);

	fputs("<path d=\"M", f->out);
	for (uint32_t p = 0; p < n; p++)
		fprintf(f->out, "%.1f %.1f ", x_of(f, p * f->per_point),
			y_of(f, mean(f, p, i, q, true)));
	for (uint32_t p = n; p-- > 0;)
		fprintf(f->out, "%.1f %.1f ", x_of(f, p * f->per_point),
			y_of(f, i ? mean(f, p, i - 1, q, true) : 0));
	fprintf(f->out, "z\" fill=\"%s\" fill-opacity=\".8\"/>\n", colours[i]);
}

static void draw_line(const struct frame *f, uint32_t i)
{
	fputs("<path d=\"M", f->out);
	for (uint32_t p = 0; p < points_of(f); p++)
		fprintf(f->out, "%.1f %.1f ", x_of(f, p * f->per_point),
			y_of(f, mean(f, p, i, STALL, false)));
	fprintf(f->out, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.3\"/>\n", colours[i]);
}

/* Three frames one below the other. Returns where the next thing may begin. */
static double draw_run(const struct sim_plot_run *run, double left, FILE *out)
{
	struct frame f = { .out = out,
			   .series = run->series,
			   .left = left,
			   .top = TOP + LINE_HEIGHT + 8,
			   .height = AREA_HEIGHT,
			   .per_point = run->series->ticks / POINTS_MAX + 1 };

	fprintf(
	    out,
	    "<text x=\"%.0f\" y=\"%d\" class=\"head\">%s: %.1f%% of the best fixed split</text>\n",
	    left, TOP, run->title, 100 * run->outcome->share);
	for (enum quantity q = TARGET; q <= USAGE; q++) {
		for (uint32_t i = 0; i < run->series->engines; i++)
			draw_area(&f, i, q);
		draw_frame(&f, q == TARGET ? "targets, of the ceiling" : "usage, of the ceiling");
		f.top += AREA_HEIGHT + GAP;
	}
	f.height = STALL_HEIGHT;
	draw_frame(&f, "stalled part of its threads' time");
	for (uint32_t i = 0; i < run->series->engines; i++)
		draw_line(&f, i);
	return f.top + STALL_HEIGHT + GAP;
}

/* A row for each engine: what it did, of what it does alone, in each run. */
static void draw_legend(const struct sim_scenario *scenario, const struct sim_plot_run *run,
			uint32_t runs, double top, FILE *out)
{
	for (uint32_t i = 0; i < scenario->engines; i++)
		for (uint32_t k = 0; k < runs; k++) {
			int left = left_of(k), y = (int)top + (int)i * LINE_HEIGHT;

			fprintf(out,
				"<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" "
				"fill=\"%s\"/><text x=\"%d\" y=\"%d\">%s: %.1f%% of what it "
				"does alone</text>\n",
				left, y - 10, colours[i], left + 18, y, scenario->engine[i].name,
				100 * run[k].outcome->result.n[i]);
		}
}

static void put_escaped(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (*text == '&' || *text == '<')
			fputs(*text == '&' ? "&amp;" : "&lt;", out);
		else
			fputc(*text, out);
	}
}

void sim_plot(const struct sim_scenario *scenario, const struct sim_plot_run *run, uint32_t runs,
	      FILE *out)
{
	int width = left_of(runs) - LEFT + 16;
	int height = TOP + LINE_HEIGHT + 8 + 2 * (AREA_HEIGHT + GAP) + STALL_HEIGHT + GAP +
		     (int)scenario->engines * LINE_HEIGHT + 8;
	double bottom = 0;

	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"11\">\n"
		"<style>.grid{stroke:#000;stroke-opacity:.12;fill:none}.head{font-size:13px;"
		"font-weight:bold}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
		"<text x=\"%d\" y=\"26\" font-size=\"16\">barostat simulate ",
		width, height, width, height, LEFT);
	put_escaped(scenario->name, out);
	fputs("</text>\n", out);
	for (uint32_t k = 0; k < runs; k++)
		bottom = draw_run(&run[k], left_of(k), out);
	draw_legend(scenario, run, runs, bottom, out);
	fputs("</svg>\n", out);
}
