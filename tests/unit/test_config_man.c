/* SPDX-License-Identifier: BSD-2-Clause */
/* barostat.conf(5) and the table of keys say the same: every key, its default, what is allowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "user/common/cleanup.h"
#include "user/daemon/config.h"

#define PAGE "docs/man/barostat.conf.5"

/* The page with its lines joined by blanks, apostrophes plain. */
static char *read_page(void)
{
	_cleanup_fclose_ FILE *f = fopen(PAGE, "r");
	char *text = NULL, *p;
	size_t n = 0;

	if (!f)
		fail_msg("%s cannot be read (run from the top of the tree)", PAGE);
	assert_true(getdelim(&text, &n, 0, f) > 0);
	while ((p = strstr(text, "\\(aq"))) {
		*p = '\'';
		memmove(p + 1, p + 4, strlen(p + 4) + 1);
	}
	for (p = text; *p; p++)
		if (*p == '\n')
			*p = ' ';
	return text;
}

/* Everything between the head of the section and the next. */
static char *section_of(const char *page, const char *section)
{
	char head[64];
	const char *start, *end;

	snprintf(head, sizeof(head), ".Ss The [%s%s] section", section,
		 strcmp(section, "daemon") ? " NAME" : "");
	start = strstr(page, head);
	if (!start) {
		fail_msg("%s has no \"%s\"", PAGE, head);
		return NULL;
	}
	end = strstr(start, " .El ");
	assert_non_null(end);
	return strndup(start, (size_t)(end - start));
}

static void check_row(const char *page, char *row)
{
	char *rest = row, *section = strsep(&rest, "\t"), *key = strsep(&rest, "\t");
	char *fallback = strsep(&rest, "\t"), *allowed = rest, head[64], tail[512];
	_cleanup_free_ char *text = section_of(page, section);
	const char *entry, *end, *found;

	snprintf(head, sizeof(head), " .It Cm %s No = ", key);
	entry = strstr(text, head);
	if (!entry) {
		fail_msg("%s: [%s] lacks %s", PAGE, section, key);
		return;
	}
	end = strstr(entry + 1, " .It ");
	snprintf(tail, sizeof(tail), " Default: %s. Allowed: %s.", fallback, allowed);
	found = strstr(entry, tail);
	if (!found || (end && found > end))
		fail_msg("%s: [%s] %s does not end with \"%s\"", PAGE, section, key, tail);
}

static char *print_table(void)
{
	char *table = NULL;
	size_t n;
	FILE *f = open_memstream(&table, &n);

	config_print_keys(f);
	fclose(f);
	return table;
}

static unsigned int check_rows(const char *page)
{
	_cleanup_free_ char *table = print_table();
	char *rest = table, *row;
	unsigned int rows = 0;

	while ((row = strsep(&rest, "\n")) && *row) {
		check_row(page, row);
		rows++;
	}
	return rows;
}

static void test_page_and_table_agree(void **state)
{
	_cleanup_free_ char *page = read_page();
	unsigned int rows = check_rows(page), entries = 0;

	for (const char *p = page; (p = strstr(p, " .It Cm ")); p++)
		entries++;
	assert_true(rows > 20);
	/* Nothing in the page that is not in the table. */
	assert_int_equal(entries, rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_page_and_table_agree) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
