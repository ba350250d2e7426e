/* SPDX-License-Identifier: BSD-2-Clause */
/* The rows that GROUP BY groups. */
#include <err.h>

#include "bench/mixed/groups.h"
#include "bench/mixed/mixed.h"
#include "bench/mixed/rows.h"

#define WINDOWS 16

struct shape {
	uint64_t window, stride; /* groups of a window; from one row's group to the next one's */
};

uint64_t groupby_groups(uint64_t ceiling_bytes)
{
	uint64_t groups = ceiling_bytes * 8 / 10 / sizeof(struct group);

	return groups - groups % WINDOWS;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	return b ? gcd(b, a % b) : a;
}

/* In the order of the rows, groups come in none: one is far from the next within its window. */
static uint64_t stride_of(uint64_t window)
{
	uint64_t stride = UINT64_C(2654435761) % window;

	while (gcd(stride, window) != 1)
		stride++;
	return stride;
}

/*
 * Rows are as data often is, almost in the order of what it is grouped by: those of a window of
 * groups lie together, and within it each group is met once before any is met again.
 */
static uint64_t row_of(const struct shape *s, uint64_t row, uint64_t *ret_turn)
{
	uint64_t rows = s->window * ROWS_PER_GROUP, in = row % rows;

	*ret_turn = in / s->window;
	return row / rows * s->window + in % s->window * s->stride % s->window;
}

/* From group and turn, so that the rows of a group are known without searching for them. */
uint64_t rows_value(uint64_t group, uint64_t turn)
{
	return mix(group * ROWS_PER_GROUP + turn) % 1000000;
}

void rows_sql(sqlite3 *db, const char *text)
{
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		errx(1, "SQLite: %s: %s", text, sqlite3_errmsg(db));
}

sqlite3 *rows_open(const char *path)
{
	sqlite3 *db;

	if (sqlite3_open(path, &db) != SQLITE_OK)
		errx(1, "SQLite: %s", path);
	return db;
}

sqlite3_stmt *rows_prepare(sqlite3 *db, const char *text)
{
	sqlite3_stmt *s;

	if (sqlite3_prepare_v2(db, text, -1, &s, NULL) != SQLITE_OK)
		errx(1, "SQLite: %s: %s", text, sqlite3_errmsg(db));
	return s;
}

void groupby_fill(const char *path, uint64_t groups)
{
	const struct shape shape = { groups / WINDOWS, stride_of(groups / WINDOWS) };
	sqlite3 *db = rows_open(path);
	sqlite3_stmt *insert;

	rows_sql(db,
		 "PRAGMA journal_mode=off; PRAGMA synchronous=off; CREATE TABLE rows(g, v); BEGIN");
	insert = rows_prepare(db, "INSERT INTO rows VALUES (?, ?)");
	for (uint64_t row = 0; row < groups * ROWS_PER_GROUP; row++) {
		uint64_t turn, group = row_of(&shape, row, &turn);

		sqlite3_bind_int64(insert, 1, (sqlite3_int64)group);
		sqlite3_bind_int64(insert, 2, (sqlite3_int64)rows_value(group, turn));
		if (sqlite3_step(insert) != SQLITE_DONE)
			errx(1, "SQLite: %s", sqlite3_errmsg(db));
		sqlite3_reset(insert);
	}
	sqlite3_finalize(insert);
	rows_sql(db, "COMMIT");
	sqlite3_close(db);
}
