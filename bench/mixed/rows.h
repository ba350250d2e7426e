/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rows that GROUP BY groups, in a SQLite database, and what is known of them by construction.
 */
#ifndef BENCH_MIXED_ROWS_H
#define BENCH_MIXED_ROWS_H

#include <sqlite3.h>
#include <stdint.h>

#define ROWS_PER_GROUP 4

/* The value of the turn-th row of a group, turn < ROWS_PER_GROUP. */
uint64_t rows_value(uint64_t group, uint64_t turn);

/* These end the program with a message instead of failing. */
sqlite3 *rows_open(const char *path);
void rows_sql(sqlite3 *db, const char *text);
sqlite3_stmt *rows_prepare(sqlite3 *db, const char *text);

#endif
