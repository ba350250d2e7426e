/* SPDX-License-Identifier: BSD-2-Clause */
/* The points that are ingested. */
#include <endian.h>
#include <err.h>
#include <string.h>

#include "bench/mixed/mixed.h"
#include "bench/mixed/points.h"

void rocks_must(char *error, const char *what)
{
	if (error)
		errx(1, "RocksDB: %s: %s", what, error);
}

void point_key(char key[KEY_BYTES], uint64_t n)
{
	uint32_t series = htobe32((uint32_t)(n % SERIES));
	uint64_t time = htobe64(n / SERIES);

	memcpy(key, &series, sizeof(series));
	memcpy(key + sizeof(series), &time, sizeof(time));
}

static uint64_t point_of_key(const char *key)
{
	uint32_t series;
	uint64_t time;

	memcpy(&series, key, sizeof(series));
	memcpy(&time, key + sizeof(series), sizeof(time));
	return be64toh(time) * SERIES + be32toh(series);
}

void point_value(char value[VALUE_BYTES], uint64_t n)
{
	uint64_t x = n;

	for (int i = 0; i < VALUE_BYTES; i += 4) {
		uint32_t part = (uint32_t)mix(x++ + 77);

		memcpy(value + i, &part, sizeof(part));
	}
}

bool point_is(const char *key, size_t key_bytes, const char *value, size_t value_bytes, uint64_t n)
{
	char want[VALUE_BYTES];

	point_value(want, n);
	return key_bytes == KEY_BYTES && point_of_key(key) == n && value_bytes == VALUE_BYTES &&
	       !memcmp(value, want, VALUE_BYTES);
}

/* Where the iterator stands is the n-th point. */
static bool stands_at(rocksdb_iterator_t *it, uint64_t n)
{
	size_t key_bytes = 0, value_bytes = 0;
	const char *key, *value;

	if (!rocksdb_iter_valid(it))
		return false;
	key = rocksdb_iter_key(it, &key_bytes);
	value = rocksdb_iter_value(it, &value_bytes);
	return point_is(key, key_bytes, value, value_bytes, n);
}

bool points_window(rocksdb_t *db, const rocksdb_readoptions_t *read, uint64_t n, unsigned int count)
{
	rocksdb_iterator_t *it = rocksdb_create_iterator(db, read);
	char key[KEY_BYTES];
	bool right = true;

	point_key(key, n);
	rocksdb_iter_seek(it, key, sizeof(key));
	for (unsigned int i = 0; right && i < count; i++, n += SERIES) {
		right = stands_at(it, n);
		if (right)
			rocksdb_iter_next(it);
	}
	rocksdb_iter_destroy(it);
	return right;
}

void points_verify(rocksdb_t *db, uint64_t written, uint64_t *ret_found, uint64_t *ret_wrong)
{
	rocksdb_readoptions_t *read = rocksdb_readoptions_create();
	uint64_t found = 0, wrong = 0;
	rocksdb_iterator_t *it;

	rocksdb_readoptions_set_fill_cache(read, 0);
	it = rocksdb_create_iterator(db, read);
	for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
		size_t key_bytes = 0;
		const char *key = rocksdb_iter_key(it, &key_bytes);
		uint64_t n = key_bytes == KEY_BYTES ? point_of_key(key) : UINT64_MAX;

		found++;
		wrong += n >= written || !stands_at(it, n);
	}
	rocksdb_iter_destroy(it);
	rocksdb_readoptions_destroy(read);
	*ret_found = found;
	*ret_wrong = wrong;
}
