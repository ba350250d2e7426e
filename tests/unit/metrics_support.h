/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading what is exported, as whoever scrapes it does. */
#ifndef BAROSTAT_TESTS_METRICS_SUPPORT_H
#define BAROSTAT_TESTS_METRICS_SUPPORT_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "include/barostat/metrics.h"

static inline const char *metrics_text(struct baro_metrics *metrics)
{
	static char text[65536];
	size_t bytes;

	assert_int_equal(baro_metrics_format(metrics, text, sizeof(text), &bytes), 0);
	return text;
}

/* Has that line ("name value") in it. */
static inline bool metrics_say(struct baro_metrics *metrics, const char *line)
{
	const char *text = metrics_text(metrics);
	char whole[128];

	snprintf(whole, sizeof(whole), "\n%s\n", line);
	if (strstr(text, whole))
		return true;
	print_message("no \"%s\" in\n%s", line, text);
	return false;
}

/* What is to be exported under a name, label included; in the unit of where it comes from. */
struct metrics_row {
	const char *name;
	uint64_t value;
};

/* How many of its units are one of the name's. */
static inline double metrics_parts(const char *name)
{
	return strstr(name, "_seconds") ? 1e9 : strstr(name, "_ratio") ? 1e6 : 1;
}

static inline double metrics_value(struct baro_metrics *metrics, const char *name)
{
	const char *text = metrics_text(metrics), *at;
	char whole[96];

	snprintf(whole, sizeof(whole), "\n%s ", name);
	at = strstr(text, whole);
	if (!at) {
		fail_msg("no \"%s\" in\n%s", name, text);
		return 0;
	}
	return strtod(at + strlen(whole), NULL);
}

/* Every row is exported; no two are alike, so that none can stand for another. */
static inline void assert_exported(struct baro_metrics *metrics, const struct metrics_row *row,
				   size_t rows)
{
	for (size_t i = 0; i < rows; i++) {
		double is = metrics_value(metrics, row[i].name);
		double off = is * metrics_parts(row[i].name) - (double)row[i].value;

		if (off > 0.5 || off < -0.5)
			fail_msg("%s is %.9g, not %" PRIu64, row[i].name, is, row[i].value);
		for (size_t j = 0; j < i; j++)
			if (row[i].value == row[j].value)
				fail_msg("%s and %s are both %" PRIu64, row[i].name, row[j].name,
					 row[i].value);
	}
}

#endif
