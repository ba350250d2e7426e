/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/replay_plot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/common/units.h"

#define POINTS     1024 /* per engine; when there are more, every other one goes */
#define WIDTH      920
#define LEFT       70
#define RIGHT      20
#define PANEL      130 /* height, its title included */
#define TITLE      26
#define HEAD       34
#define PANELS_MAX 64

enum line { USED, WAS, IS, LINES };

static const struct {
	const char *what, *style;
} lines[LINES] = {
	[USED] = { "used", "fill:#cfd8dc;stroke:none" },
	[WAS] = { "target recorded", "fill:none;stroke:#1565c0;stroke-width:1.5" },
	[IS] = { "target now", "fill:none;stroke:#e65100;stroke-width:1.5" },
};

struct point {
	uint64_t at_ns, bytes[LINES];
};

struct panel {
	char name[TRACE_NAME_BYTES];
	struct point point[POINTS];
	uint32_t points;
	uint64_t stride, skipped; /* one tick in `stride` is kept */
	uint64_t most_bytes;
};

struct replay_plot {
	struct panel *panel[PANELS_MAX];
	uint32_t panels;
	uint32_t *of_slot; /* index + 1 */
	uint64_t end_ns;
	bool both;
};

struct replay_plot *replay_plot_new(uint32_t slots)
{
	struct replay_plot *p = calloc(1, sizeof(*p));

	if (p)
		p->of_slot = calloc(slots, sizeof(*p->of_slot));
	if (p && !p->of_slot) {
		free(p);
		p = NULL;
	}
	return p;
}

void replay_plot_free(struct replay_plot *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->panels; i++)
		free(p->panel[i]);
	free(p->of_slot);
	free(p);
}

/* -ENOSPC: it gets none, there are enough. */
static int panel_of(struct replay_plot *p, const struct replay *r, uint32_t slot,
		    struct panel **ret)
{
	const char *name = r->image.name[slot];
	struct panel *panel = p->of_slot[slot] ? p->panel[p->of_slot[slot] - 1] : NULL;

	if (!panel || strcmp(panel->name, name) != 0) {
		if (p->panels == PANELS_MAX)
			return -ENOSPC;
		panel = calloc(1, sizeof(*panel));
		if (!panel)
			return -ENOMEM;
		memcpy(panel->name, name, sizeof(panel->name));
		panel->stride = 1;
		p->panel[p->panels++] = panel;
		p->of_slot[slot] = p->panels;
	}
	*ret = panel;
	return 0;
}

static void thin_out(struct panel *panel)
{
	for (size_t i = 0; i < POINTS / 2; i++)
		panel->point[i] = panel->point[2 * i];
	panel->points = POINTS / 2;
	panel->stride *= 2;
}

int replay_plot_tick(struct replay_plot *p, const struct replay *r, const struct replay_law *law)
{
	const struct trace_image *image = &r->image;

	p->end_ns = image->now_ns - r->first_ns;
	p->both = law != NULL;
	for (uint32_t i = 0; i < image->n; i++) {
		struct point point = { .at_ns = p->end_ns };
		struct panel *panel;
		int err;

		if (!image->engine[i].active)
			continue;
		err = panel_of(p, r, i, &panel);
		if (err == -ENOMEM)
			return err;
		if (err < 0 || panel->skipped++ % panel->stride)
			continue;
		point.bytes[USED] = image->sample[i].usage_bytes;
		point.bytes[WAS] = image->decision[i].target_bytes;
		point.bytes[IS] = law ? law->decision[i].target_bytes : 0;
		for (int l = 0; l < LINES; l++)
			panel->most_bytes = max_u64(panel->most_bytes, point.bytes[l]);
		if (panel->points == POINTS)
			thin_out(panel);
		panel->point[panel->points++] = point;
	}
	return 0;
}

/* ---- drawing --------------------------------------------------------------------------------- */

static double x_of(const struct replay_plot *p, uint64_t at_ns)
{
	return LEFT + (double)at_ns / (double)max_u64(p->end_ns, 1) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct panel *panel, uint64_t bytes, double bottom)
{
	return bottom - (double)bytes / (double)max_u64(panel->most_bytes, 1) * (PANEL - TITLE);
}

/* Targets and usage stay until the next tick: steps. */
static void draw_line(const struct replay_plot *p, const struct panel *panel, enum line line,
		      double bottom, FILE *out)
{
	fprintf(out, "<path style=\"%s\" d=\"", lines[line].style);
	for (uint32_t i = 0; i < panel->points; i++) {
		const struct point *at = &panel->point[i];
		double x = x_of(p, at->at_ns), y = y_of(panel, at->bytes[line], bottom);

		if (i == 0 && line == USED)
			fprintf(out, "M%.1f %.1fV%.1f", x, bottom, y);
		else if (i == 0)
			fprintf(out, "M%.1f %.1f", x, y);
		else
			fprintf(out, "H%.1fV%.1f", x, y);
	}
	if (panel->points && line == USED)
		fprintf(out, "V%.1fZ", bottom);
	fputs("\"/>\n", out);
}

static void draw_text(const char *text, FILE *out)
{
	for (const char *c = text; *c; c++)
		fputc((*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') ||
			      (*c >= 'a' && *c <= 'z') || strchr(" ._-", *c)
			  ? *c
			  : '?',
		      out);
}

static void draw_panel(const struct replay_plot *p, const struct panel *panel, double top,
		       FILE *out)
{
	double bottom = top + PANEL - 4;
	char most[16];

	fprintf(out, "<text x=\"%d\" y=\"%.0f\" font-weight=\"bold\">", LEFT, top + 16);
	draw_text(panel->name, out);
	fprintf(out,
		"</text>\n<path stroke=\"#90a4ae\" d=\"M%d %.1fH%d\"/>\n"
		"<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">%s</text>\n"
		"<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">0</text>\n",
		LEFT, bottom, WIDTH - RIGHT, LEFT - 6, top + TITLE + 4,
		units_format_size(panel->most_bytes, most, sizeof(most)), LEFT - 6, bottom);
	for (enum line l = USED; l < LINES; l++)
		if (l != IS || p->both)
			draw_line(p, panel, l, bottom, out);
}

static void draw_legend(const struct replay_plot *p, FILE *out)
{
	int x = LEFT;

	for (enum line l = USED; l < LINES; l++) {
		if (l == IS && !p->both)
			continue;
		fprintf(out,
			"<path style=\"%s\" d=\"M%d 20h24%s\"/><text x=\"%d\" y=\"20\">%s</text>\n",
			lines[l].style, x, l == USED ? "v-10h-24z" : "", x + 30, lines[l].what);
		x += 170;
	}
	fprintf(out, "<text x=\"%d\" y=\"20\" text-anchor=\"end\">%.1f s</text>\n", WIDTH - RIGHT,
		(double)p->end_ns / 1e9);
}

void replay_plot_write(const struct replay_plot *p, FILE *out)
{
	int height = HEAD + (int)p->panels * PANEL + 10;

	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
		WIDTH, height, WIDTH, height);
	draw_legend(p, out);
	for (uint32_t i = 0; i < p->panels; i++)
		draw_panel(p, p->panel[i], HEAD + (double)i * PANEL, out);
	fputs("</svg>\n", out);
}
