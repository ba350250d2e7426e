/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RocksDB, random gets. Its own block cache is tiny: what holds the data is the page cache, as for
 * any engine that leans on the kernel. Keys were put in order, so the first N are a file's begin.
 */
#include <err.h>
#include <inttypes.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/law/load.h"

#define KEY_CHARS   16
#define BLOCK_CACHE (256u << 10)

struct rocks {
	rocksdb_t *db;
	rocksdb_readoptions_t *read;
	uint64_t keys;
};

static void check(char *error, const char *what)
{
	if (error)
		errx(1, "RocksDB: %s: %s", what, error);
}

static rocksdb_options_t *options(void)
{
	rocksdb_options_t *o = rocksdb_options_create();
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_block_size(table, 4096);
	rocksdb_block_based_options_set_block_cache(table, rocksdb_cache_create_lru(BLOCK_CACHE));
	rocksdb_options_set_block_based_table_factory(o, table);
	rocksdb_options_set_compression(o, rocksdb_no_compression);
	rocksdb_options_set_create_if_missing(o, 1);
	rocksdb_options_set_write_buffer_size(o, 8 << 20);
	rocksdb_options_set_info_log_level(o, 4);
	return o;
}

static void key_of(char key[static KEY_CHARS + 1], uint64_t n)
{
	snprintf(key, KEY_CHARS + 1, "%016" PRIx64, n);
}

static void rocks_fill(const char *path, uint64_t bytes)
{
	rocksdb_writeoptions_t *write = rocksdb_writeoptions_create();
	char key[KEY_CHARS + 1], value[LOAD_VALUE], *error = NULL;
	rocksdb_t *db = rocksdb_open(options(), path, &error);

	check(error, path);
	rocksdb_writeoptions_disable_WAL(write, 1);
	memset(value, 'v', sizeof(value));
	for (uint64_t i = 0; i < bytes / LOAD_VALUE; i++) {
		key_of(key, i);
		rocksdb_put(db, write, key, KEY_CHARS, value, sizeof(value), &error);
		check(error, "put");
	}
	rocksdb_compact_range(db, NULL, 0, NULL, 0);
	rocksdb_close(db);
}

static void *rocks_open(const char *path)
{
	struct rocks *r = calloc(1, sizeof(*r));
	char *error = NULL;

	if (!r)
		errx(1, "out of memory");
	r->db = rocksdb_open_for_read_only(options(), path, 0, &error);
	check(error, path);
	r->read = rocksdb_readoptions_create();
	return r;
}

static void rocks_resize(void *self, uint64_t bytes)
{
	((struct rocks *)self)->keys = bytes / LOAD_VALUE;
}

static int rocks_op(void *self, uint64_t random)
{
	struct rocks *r = self;
	char key[KEY_CHARS + 1], *error = NULL, *value;
	size_t bytes;

	key_of(key, load_below(random, r->keys));
	value = rocksdb_get(r->db, r->read, key, KEY_CHARS, &bytes, &error);
	check(error, "get");
	if (!value)
		errx(1, "RocksDB: key %s is not there: filled with less than the phase wants", key);
	rocksdb_free(value);
	return 0;
}

const struct load_kind load_rocksdb = {
	.name = "rocksdb",
	.what = "RocksDB: get of a random key",
	.fill = rocks_fill,
	.open = rocks_open,
	.resize = rocks_resize,
	.op = rocks_op,
};
