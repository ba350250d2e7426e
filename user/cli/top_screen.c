/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/top_screen.h"

/* ncurses' wide functions, but not its macros named like ours. */
#define NCURSES_NOMACROS
#include <errno.h>
#include <ncurses.h>
#include <stdlib.h>
#include <unistd.h>

static bool colours;

static void start_colours(void)
{
	const char *no = getenv("NO_COLOR");

	colours = !(no && *no) && has_colors();
	if (!colours)
		return;
	start_color();
	use_default_colors();
	init_pair(STYLE_GOOD, COLOR_GREEN, -1);
	init_pair(STYLE_WARNING, COLOR_YELLOW, -1);
	init_pair(STYLE_CRITICAL, COLOR_RED, -1);
	init_pair(STYLE_EMERGENCY, COLOR_WHITE, COLOR_RED);
	init_pair(STYLE_TARGET, COLOR_CYAN, -1);
	init_pair(STYLE_LIMIT, COLOR_MAGENTA, -1);
}

int top_screen_open(void)
{
	SCREEN *screen;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return -ENOTTY;
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return -ENOTTY;
	set_term(screen);
	start_colours();
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	/* Esc alone is a key: do not wait a second for the rest of a sequence. */
	set_escdelay(25);
	curs_set(0);
	return 0;
}

void top_screen_close(void)
{
	endwin();
}

void top_screen_size(int *ret_rows, int *ret_columns)
{
	getmaxyx(stdscr, *ret_rows, *ret_columns);
}

static attr_t attributes_of(const struct canvas_cell *cell)
{
	static const attr_t plain[STYLE_COUNT] = {
		[STYLE_DIM] = A_DIM,
		[STYLE_BOLD] = A_BOLD,
		[STYLE_CRITICAL] = A_BOLD,
		[STYLE_EMERGENCY] = A_BOLD,
		[STYLE_TARGET] = A_BOLD,
		[STYLE_LIMIT] = A_BOLD,
		[STYLE_HEAD] = A_BOLD | A_UNDERLINE,
	};
	attr_t a = plain[cell->style];

	if (cell->style == STYLE_EMERGENCY && !colours)
		a |= A_REVERSE;
	return cell->reverse ? a | A_REVERSE : a;
}

static bool has_pair(uint8_t style)
{
	return colours &&
	       (style == STYLE_GOOD || style == STYLE_WARNING || style == STYLE_CRITICAL ||
		style == STYLE_EMERGENCY || style == STYLE_TARGET || style == STYLE_LIMIT);
}

void top_screen_show(const struct canvas *c)
{
	erase();
	for (int row = 0; row < c->rows; row++) {
		for (int i = 0; i < c->columns; i++) {
			const struct canvas_cell *cell = &c->cell[row * c->columns + i];
			wchar_t text[2] = { cell->c, 0 };
			cchar_t what;

			if (cell->c == L' ' && !cell->reverse && cell->style == STYLE_PLAIN)
				continue;
			setcchar(&what, text, attributes_of(cell),
				 has_pair(cell->style) ? cell->style : 0, NULL);
			mvadd_wch(row, i, &what);
		}
	}
	refresh();
}

enum top_key top_screen_wait(uint64_t timeout_ms, char *ret_letter)
{
	int key;

	timeout(timeout_ms > 60000 ? 60000 : (int)timeout_ms);
	errno = 0;
	key = getch();
	switch (key) {
	case ERR:
		/* Without a timeout having passed: the other side hung up. */
		return errno == EIO || errno == EBADF ? TOP_KEY_CLOSED : TOP_KEY_NONE;
	case KEY_RESIZE:
		return TOP_KEY_RESIZE;
	case KEY_UP:
	case 'k':
		return TOP_KEY_UP;
	case KEY_DOWN:
	case 'j':
		return TOP_KEY_DOWN;
	case KEY_PPAGE:
		return TOP_KEY_PAGE_UP;
	case KEY_NPAGE:
		return TOP_KEY_PAGE_DOWN;
	case KEY_ENTER:
	case '\r':
	case '\n':
		return TOP_KEY_ENTER;
	case 27:
	case KEY_BACKSPACE:
	case 127:
		return TOP_KEY_BACK;
	default:
		*ret_letter = key > 0 && key < 128 ? (char)key : 0;
		return TOP_KEY_OTHER;
	}
}
