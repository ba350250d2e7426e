/* SPDX-License-Identifier: BSD-2-Clause */
/* The terminal, through ncurses. The one file that includes <ncurses.h> is top_screen.c. */
#ifndef BAROSTAT_CLI_TOP_SCREEN_H
#define BAROSTAT_CLI_TOP_SCREEN_H

#include <stdint.h>

#include "user/cli/canvas.h"

enum top_key {
	TOP_KEY_NONE, /* time is up */
	TOP_KEY_RESIZE,
	TOP_KEY_UP,
	TOP_KEY_DOWN,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_ENTER,
	TOP_KEY_BACK,
	TOP_KEY_OTHER, /* ret_letter says which */
	TOP_KEY_CLOSED, /* the terminal went away */
};

/* 0, or -ENOTTY: stdout or stdin is no terminal curses can use. */
int top_screen_open(void);
void top_screen_close(void);
void top_screen_size(int *ret_rows, int *ret_columns);
void top_screen_show(const struct canvas *c);
enum top_key top_screen_wait(uint64_t timeout_ms, char *ret_letter);

#endif
