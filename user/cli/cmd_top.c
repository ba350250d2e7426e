/* SPDX-License-Identifier: BSD-2-Clause */
/* top: ask, draw, wait for a key. */
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/client.h"
#include "user/cli/fields.h"
#include "user/cli/format.h"
#include "user/cli/top_screen.h"
#include "user/cli/top_view.h"
#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/common/units.h"

#define PAGE_ROWS     10 /* of the page keys */
#define HISTORIES_MAX 64 /* engines whose history is asked for at the start */
#define DELAY_LEAST   (50 * NS_PER_MS)
#define DELAY_MOST    (60 * NS_PER_S)
#define PRINTED_ROWS  36 /* of the detail without a terminal */

struct top {
	const struct cli *cli;
	struct client client;
	struct top_view view;
	struct canvas canvas;
	uint64_t frames; /* to print, 0: interactive */
};

static void cleanup_top(struct top *t)
{
	client_close(&t->client);
	top_model_free(&t->view.model);
	json_decref(t->view.explain);
	canvas_free(&t->canvas);
}

static void ask_histories(struct top *t)
{
	struct top_model *m = &t->view.model;

	m->filled = true;
	for (uint32_t i = 0; i < m->engines && i < HISTORIES_MAX; i++) {
		_cleanup_json_ json_t *history = NULL;
		json_t *request =
		    json_pack("{s:s, s:s}", "cmd", "history", "engine", m->engine[i].name);

		if (client_ask(&t->client, request, &history) == CLI_OK)
			top_engine_fill(&m->engine[i], history, t->view.delay_ms);
		if (t->client.fd < 0)
			return;
	}
}

static void ask_explain(struct top *t)
{
	json_t *request = json_pack("{s:s, s:s}", "cmd", "explain", "engine", t->view.detail);
	json_t *answer = NULL;

	if (client_ask(&t->client, request, &answer))
		return;
	json_decref(t->view.explain);
	t->view.explain = answer;
}

/* One look. On failure view.trouble says why, and what was known stays on the screen. */
static int look(struct top *t)
{
	_cleanup_json_ json_t *status = NULL;
	int r = CLI_OK;

	if (t->client.fd < 0)
		r = client_connect(&t->client, t->cli->socket_path);
	/* A screen must not stand still as long as a command may wait. */
	t->client.answer_ns = NS_PER_S;
	if (!r)
		r = client_ask(&t->client, json_pack("{s:s}", "cmd", "status"), &status);
	if (!r)
		r = client_check_engines(&t->client, status);
	if (r) {
		client_close(&t->client);
		snprintf(t->view.trouble, sizeof(t->view.trouble), "%.200s", t->client.why);
		return r;
	}
	*t->view.trouble = 0;
	top_model_update(&t->view.model, status);
	if (!t->view.model.filled)
		ask_histories(t);
	if (*t->view.detail && t->client.fd >= 0)
		ask_explain(t);
	return CLI_OK;
}

static void move_selection(struct top_view *v, int by)
{
	const struct top_engine *e = top_model_find(&v->model, v->selected_name);
	int n = (int)v->model.engines;

	/* Sorting may have moved it since the list was drawn. */
	if (e)
		v->selected = (int)(e - v->model.engine);
	v->selected += by;
	if (v->selected >= n)
		v->selected = n - 1;
	if (v->selected < 0)
		v->selected = 0;
	if (!n)
		return;
	snprintf(v->selected_name, sizeof(v->selected_name), "%s",
		 v->model.engine[v->selected].name);
	if (*v->detail)
		snprintf(v->detail, sizeof(v->detail), "%s", v->selected_name);
}

static void leave_detail(struct top_view *v)
{
	*v->detail = 0;
	json_decref(v->explain);
	v->explain = NULL;
}

static void enter_detail(struct top_view *v)
{
	if (*v->detail)
		leave_detail(v);
	else if (v->model.engines)
		snprintf(v->detail, sizeof(v->detail), "%s", v->model.engine[v->selected].name);
}

static void next_sort(struct top_view *v)
{
	v->model.sort = (v->model.sort + 1) % TOP_SORT_COUNT;
	top_model_sort(&v->model);
}

/* False: quit. *ret_look: what is shown now is not known yet. */
static bool take_letter(struct top_view *v, char letter, bool *ret_look)
{
	switch (letter) {
	case 'q':
	case 'Q':
		return false;
	case 's':
		next_sort(v);
		break;
	case 'r':
		v->model.reversed = !v->model.reversed;
		top_model_sort(&v->model);
		break;
	case ' ':
	case 'p':
		v->paused = !v->paused;
		*ret_look = !v->paused;
		break;
	}
	return true;
}

static bool take_key(struct top_view *v, enum top_key key, char letter, bool *ret_look)
{
	char before[sizeof(v->detail)];

	memcpy(before, v->detail, sizeof(before));
	switch (key) {
	case TOP_KEY_UP:
		move_selection(v, -1);
		break;
	case TOP_KEY_DOWN:
		move_selection(v, 1);
		break;
	case TOP_KEY_PAGE_UP:
		move_selection(v, -PAGE_ROWS);
		break;
	case TOP_KEY_PAGE_DOWN:
		move_selection(v, PAGE_ROWS);
		break;
	case TOP_KEY_ENTER:
		enter_detail(v);
		break;
	case TOP_KEY_BACK:
		leave_detail(v);
		break;
	case TOP_KEY_CLOSED:
		return false;
	case TOP_KEY_OTHER:
		return take_letter(v, letter, ret_look);
	default:
		break;
	}
	if (*v->detail && strcmp(before, v->detail) != 0)
		*ret_look = true;
	return true;
}

static int draw_on_screen(struct top *t)
{
	int rows, columns;

	top_screen_size(&rows, &columns);
	if (canvas_resize(&t->canvas, rows, columns) < 0)
		return CLI_FAILED;
	top_draw(&t->canvas, &t->view);
	top_screen_show(&t->canvas);
	return CLI_OK;
}

static int watch(struct top *t)
{
	uint64_t delay_ns = t->view.delay_ms * NS_PER_MS, next_ns = clock_now_ns() + delay_ns;
	bool going = true;
	int r = CLI_OK;

	t->view.interactive = true;
	while (going && !r) {
		uint64_t now = clock_now_ns();
		bool again = now >= next_ns && !t->view.paused;
		char letter = 0;
		enum top_key key;

		if (again) {
			look(t);
			now = clock_now_ns();
			next_ns = now + delay_ns;
		}
		r = draw_on_screen(t);
		if (r)
			break;
		key = top_screen_wait(t->view.paused  ? 60000
				      : next_ns > now ? (next_ns - now) / NS_PER_MS + 1
						      : 1,
				      &letter);
		again = false;
		going = take_key(&t->view, key, letter, &again);
		if (again)
			next_ns = 0;
	}
	return r;
}

static int print_frame(struct top *t)
{
	const char *columns = getenv("COLUMNS");
	uint64_t width;
	int rows = *t->view.detail ? PRINTED_ROWS : top_list_rows(&t->view);

	if (!columns || units_parse_u64(columns, &width) < 0 || width < 40 || width > 1000)
		width = output_width() > 80 ? output_width() : 100;
	if (canvas_resize(&t->canvas, rows, (int)width) < 0)
		return CLI_FAILED;
	top_draw(&t->canvas, &t->view);
	canvas_print(&t->canvas, stdout);
	return fflush(stdout) ? CLI_FAILED : CLI_OK;
}

static int print_frames(struct top *t)
{
	for (uint64_t i = 0;; i++) {
		int r = t->cli->json ? print_json(t->view.model.status) : print_frame(t);

		if (r || i + 1 == t->frames)
			return r;
		poll(NULL, 0, (int)t->view.delay_ms);
		r = look(t);
		if (r)
			return client_fail(&t->client, r);
		if (!t->cli->json)
			putchar('\n');
	}
}

/* -1 to go on, else the exit status. */
static int read_options(const struct cli *cli, struct top *t)
{
	const char *delay = cli_value(cli, "delay"), *sort = cli_value(cli, "sort");
	const char *batch = cli_value(cli, "batch"), *engine = cli_value(cli, "engine");
	uint64_t ns = 500 * NS_PER_MS;
	int key = sort ? top_sort_from_name(sort) : 0;

	if (delay && (units_parse_time(delay, &ns) < 0 || ns < DELAY_LEAST || ns > DELAY_MOST))
		return cli_fail_usage(cli->command, "'%s' is not a time from 50ms to 60s", delay);
	if (key < 0)
		return cli_fail_usage(cli->command,
				      "cannot sort by '%s', only by config, name, "
				      "usage, target, stall or refaults",
				      sort);
	if (batch && (units_parse_u64(batch, &t->frames) < 0 || !t->frames))
		return cli_fail_usage(cli->command, "'%s' is not a number of frames", batch);
	if (cli_value(cli, "once"))
		t->frames = 1;
	if (cli->json && !t->frames)
		return cli_fail_usage(cli->command, "--json needs --once or --batch N");
	t->view.delay_ms = ns / NS_PER_MS;
	t->view.model.sort = (enum top_sort)key;
	t->canvas.utf8 = canvas_utf8_locale() && !cli_value(cli, "ascii");
	snprintf(t->view.detail, sizeof(t->view.detail), "%s", engine ? engine : "");
	return -1;
}

int cmd_top(const struct cli *cli)
{
	_cleanup_(cleanup_top) struct top t = { .cli = cli, .client.fd = -1 };
	int r = read_options(cli, &t);

	if (r >= 0)
		return r;
	r = look(&t);
	if (r)
		return client_fail(&t.client, r);
	if (*t.view.detail && !top_model_find(&t.view.model, t.view.detail))
		return cli_fail(CLI_FAILED, "there is no engine '%s'", t.view.detail);
	if (t.frames)
		return print_frames(&t);
	if (top_screen_open() < 0)
		return cli_fail_usage(cli->command, "top needs a terminal; without one, say --once "
						    "or --batch N");
	r = watch(&t);
	top_screen_close();
	return r ? cli_fail(CLI_FAILED, "out of memory") : CLI_OK;
}
