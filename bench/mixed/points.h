/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The points that are ingested: the n-th is of series n % SERIES at time n / SERIES, and its value
 * says so in every byte.
 */
#ifndef BENCH_MIXED_POINTS_H
#define BENCH_MIXED_POINTS_H

#include <rocksdb/c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERIES      1000
#define KEY_BYTES   12 /* of a series, and its time: in order */
#define VALUE_BYTES 100
#define POINT_BYTES (KEY_BYTES + VALUE_BYTES)

/* Ends the program when RocksDB says there is an error. */
void rocks_must(char *error, const char *what);

void point_key(char key[KEY_BYTES], uint64_t n);
void point_value(char value[VALUE_BYTES], uint64_t n);

/* Whether this is the n-th point. */
bool point_is(const char *key, size_t key_bytes, const char *value, size_t value_bytes, uint64_t n);

/* Reads so many points of a series, from the n-th point on; false: one is missing or wrong. */
bool points_window(rocksdb_t *db, const rocksdb_readoptions_t *read, uint64_t n,
		   unsigned int count);

/* Reads all there is. Every point that was written is there once, and nothing else, when as many are
 * found as were written and none is wrong. */
void points_verify(rocksdb_t *db, uint64_t written, uint64_t *ret_found, uint64_t *ret_wrong);

#endif
