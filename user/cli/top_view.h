/* SPDX-License-Identifier: BSD-2-Clause */
/* What top shows, drawn on a canvas. */
#ifndef BAROSTAT_CLI_TOP_VIEW_H
#define BAROSTAT_CLI_TOP_VIEW_H

#include "user/cli/top_model.h"

struct top_view {
	struct top_model model;
	char detail[64]; /* the engine shown alone, "" for the list */
	json_t *explain; /* of that engine, NULL before the first answer */
	char selected_name[64]; /* the engine, wherever sorting puts it */
	int selected, scroll; /* row in the list */
	bool interactive; /* a selection and keys are shown */
	bool paused;
	bool help;
	char trouble[256]; /* what the daemon or we have to say, "" for nothing */
	uint64_t delay_ms;
};

#define TOP_HEAD_ROWS 5 /* of the list: the host, a blank row and the columns' heads */

/* Rows the list wants without a terminal. */
int top_list_rows(const struct top_view *v);
void top_draw(struct canvas *c, struct top_view *v);

/* Between the files of the view alone. */
int top_draw_host(struct canvas *c, const struct top_view *v);
void top_draw_list(struct canvas *c, struct top_view *v, int row);
void top_draw_detail(struct canvas *c, struct top_view *v, int row);
enum style top_bar_style(const char *level);

#endif
