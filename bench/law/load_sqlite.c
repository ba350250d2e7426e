/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SQLite, twice: rows by random key out of a file that the page cache holds, and a GROUP BY whose
 * groups are all kept in anonymous memory, built up and given back query after query.
 */
#include <err.h>
#include <malloc.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/law/load.h"

#define GROUP_BYTES    1060 /* what a group of 1000 bytes takes, measured */
#define STEPS_PER_CALL 500 /* of SQLite's machine, some ten microseconds */

struct lite {
	sqlite3 *db;
	sqlite3_stmt *statement;
	uint64_t rows;
};

static void check(struct lite *l, int code, const char *what)
{
	if (code != SQLITE_OK && code != SQLITE_DONE)
		errx(1, "SQLite: %s: %s", what, sqlite3_errmsg(l->db));
}

static void run(struct lite *l, const char *sql)
{
	check(l, sqlite3_exec(l->db, sql, NULL, NULL, NULL), sql);
}

static void lite_fill(const char *path, uint64_t bytes)
{
	struct lite l = { 0 };

	check(&l, sqlite3_open(path, &l.db), path);
	run(&l, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;"
		"CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)");
	check(&l,
	      sqlite3_prepare_v2(l.db, "INSERT INTO t VALUES (?, randomblob(?))", -1, &l.statement,
				 NULL),
	      "prepare");
	for (uint64_t i = 0; i < bytes / LOAD_VALUE; i++) {
		sqlite3_bind_int64(l.statement, 1, (sqlite3_int64)i);
		sqlite3_bind_int(l.statement, 2, LOAD_VALUE);
		check(&l, sqlite3_step(l.statement), "insert");
		sqlite3_reset(l.statement);
	}
	sqlite3_finalize(l.statement);
	run(&l, "COMMIT");
	sqlite3_close(l.db);
}

static struct lite *lite_new(const char *path, int flags)
{
	struct lite *l = calloc(1, sizeof(*l));

	if (!l)
		errx(1, "out of memory");
	check(l, sqlite3_open_v2(path, &l->db, flags, NULL), path);
	return l;
}

static void *lite_open(const char *path)
{
	struct lite *l = lite_new(path, SQLITE_OPEN_READONLY);

	/* its own cache holds little but the inner nodes; one reader, so no locks to take */
	run(l, "PRAGMA cache_size = 64; PRAGMA mmap_size = 0; PRAGMA locking_mode = EXCLUSIVE");
	check(l, sqlite3_prepare_v2(l->db, "SELECT v FROM t WHERE id = ?", -1, &l->statement, NULL),
	      "prepare");
	return l;
}

static void lite_resize(void *self, uint64_t bytes)
{
	((struct lite *)self)->rows = bytes / LOAD_VALUE;
}

static int lite_op(void *self, uint64_t random)
{
	struct lite *l = self;

	sqlite3_bind_int64(l->statement, 1, (sqlite3_int64)load_below(random, l->rows));
	if (sqlite3_step(l->statement) != SQLITE_ROW)
		errx(1, "SQLite: no such row: filled with less than the phase wants (%s)",
		     sqlite3_errmsg(l->db));
	sqlite3_reset(l->statement);
	return 0;
}

/* On the way through a query; nonzero interrupts it, as a user's cancel would. */
static int on_progress(void *unused)
{
	return load_step();
}

static void *groupby_open(const char *path)
{
	struct lite *l = lite_new(":memory:", SQLITE_OPEN_READWRITE);

	/* the table of groups stays in memory, however large */
	run(l, "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1000000");
	sqlite3_progress_handler(l->db, STEPS_PER_CALL, on_progress, NULL);
	return l;
}

static void groupby_resize(void *self, uint64_t bytes)
{
	((struct lite *)self)->rows = bytes / GROUP_BYTES;
}

static int groupby_op(void *self, uint64_t random)
{
	struct lite *l = self;
	char sql[256];
	int code;

	snprintf(sql, sizeof(sql),
		 "WITH RECURSIVE r(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM r LIMIT %llu) "
		 "SELECT count(*) FROM (SELECT x * 7919 %% %llu AS k, max(randomblob(1000)) FROM r "
		 "GROUP BY k ORDER BY 2)",
		 (unsigned long long)l->rows, (unsigned long long)l->rows);
	code = sqlite3_exec(l->db, sql, NULL, NULL, NULL);
	if (code != SQLITE_INTERRUPT)
		check(l, code, "GROUP BY");
	sqlite3_db_release_memory(l->db);
	malloc_trim(0);
	return 0;
}

const struct load_kind load_sqlite = {
	.name = "sqlite",
	.what = "SQLite: a row by random key",
	.fill = lite_fill,
	.open = lite_open,
	.resize = lite_resize,
	.op = lite_op,
};

const struct load_kind load_groupby = {
	.name = "groupby",
	.what = "SQLite: a few steps of a GROUP BY that takes MB of anonymous memory",
	.open = groupby_open,
	.resize = groupby_resize,
	.op = groupby_op,
	.steps_itself = true,
};
