/* SPDX-License-Identifier: BSD-2-Clause */
/* Documents against structs: tables "| offset | bytes | field |" in a section "## TITLE". */
#ifndef BAROSTAT_TESTS_DOC_SUPPORT_H
#define BAROSTAT_TESTS_DOC_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct doc_field {
	const char *name;
	size_t offset, bytes;
};

/* For the layout tables of user/lib: from the compiler, not from the table's own numbers. */
#define DOC_FIELD(type, member, at, size)                                                          \
	{ #member, offsetof(struct type, member), sizeof(((struct type *)0)->member) },

/* The lines of the section one by one; the stream stands behind its heading. */
static inline FILE *doc_section(const char *doc, const char *title)
{
	FILE *f = fopen(doc, "re");
	char line[512];

	if (!f)
		fail_msg("run from the top of the tree: %s: %m", doc);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "## ", 3) && !strncmp(line + 3, title, strlen(title)))
			return f;
	fail_msg("%s has no section %s", doc, title);
	return NULL;
}

static inline bool doc_next_line(FILE *f, char *line, int size)
{
	return fgets(line, size, f) && strncmp(line, "## ", 3) != 0;
}

static inline void doc_check_section(const char *doc, const char *title,
				     const struct doc_field *fields, size_t n, size_t total)
{
	FILE *f = doc_section(doc, title);
	size_t row = 0, end = 0;
	char line[512];

	while (doc_next_line(f, line, sizeof(line))) {
		size_t offset, bytes;
		char name[64];

		if (sscanf(line, "| %zu | %zu | %63[a-z0-9_.] |", &offset, &bytes, name) != 3)
			continue;
		if (row == n)
			fail_msg("%s: a row too many: %s", title, line);
		assert_string_equal(name, fields[row].name);
		if (offset != fields[row].offset || bytes != fields[row].bytes)
			fail_msg("%s is at %zu, %zu bytes, but the document says: %s", name,
				 fields[row].offset, fields[row].bytes, line);
		/* Without gaps: padding the compiler put in would go undocumented. */
		assert_int_equal(offset, end);
		end = offset + bytes;
		row++;
	}
	assert_int_equal(row, n);
	assert_int_equal(end, total);
	(void)fclose(f);
}

#endif
