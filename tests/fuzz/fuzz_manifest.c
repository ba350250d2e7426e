/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as a manifest: it is refused with a reason and nothing of it is registered, or what was
 * registered can be loaded, written, and is read back as the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/registry_manifest.h"

static void require(int truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

static int load(void *arg, const struct baro_index *index, void **ret_object, uint64_t *ret_bytes)
{
	(void)arg;
	(void)ret_bytes;
	require(*index->name && strlen(index->name) < BARO_INDEX_NAME_MAX, "a name");
	require(!index->path || strlen(index->path) < BARO_INDEX_PATH_MAX, "a path");
	*ret_object = NULL;
	return 0;
}

static void unload(void *arg, const struct baro_index *index, void *object)
{
	(void)arg;
	(void)index;
	(void)object;
}

static struct baro_registry *new_registry(void)
{
	const struct baro_registry_options options = {
		.size = sizeof(options), .load = load, .unload = unload, .indexes_max = 1000
	};
	struct baro_registry *r;

	require(baro_registry_open(&options, &r) == 0, "memory");
	return r;
}

static int read_text(struct baro_registry *r, const void *text, size_t n,
		     struct baro_registry_report *report)
{
	char why[BARO_REGISTRY_WHY_MAX] = "";
	FILE *f = fmemopen((void *)text, n, "r");
	int status;

	require(f != NULL, "a file");
	status = manifest_read(r, f, report, why, sizeof(why));
	require(status == 0 || (*why && strlen(why) < sizeof(why)), "a reason");
	require(status != 0 || !*why, "no complaint");
	fclose(f);
	return status;
}

static char *written(struct baro_registry *r, size_t *ret_n)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_n);

	require(f != NULL && manifest_write(r, f) == 0, "it can be written");
	fclose(f);
	return text;
}

/* Every index is found, and can be used. */
static void use_all(struct baro_registry *r)
{
	uint64_t id = 0, same;

	while (baro_registry_next(r, id, &id) == 0) {
		struct baro_index_info info;
		struct baro_pin pin;

		require(baro_registry_info(r, id, &info) == 0, "it is there");
		require(baro_registry_find(r, info.name, &same) == 0 && same == id, "it is found");
		require(baro_registry_get(r, id, 1, &pin) == 0, "it is loaded");
		baro_pin_release(&pin);
	}
	require(baro_registry_close(r) == 0, "it closes");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct baro_registry_report report = { 0 }, again_report = { 0 };
	struct baro_registry *r, *again;
	struct baro_registry_counts counts;
	char *text, *again_text;
	size_t again_n;

	if (!n)
		return 0;
	r = new_registry();
	if (read_text(r, data, n, &report) < 0) {
		baro_registry_count(r, &counts);
		require(counts.indexes == 0, "nothing of it is registered");
		baro_registry_close(r);
		return 0;
	}
	baro_registry_count(r, &counts);
	require(counts.indexes == report.added, "what was added is there");
	text = written(r, &n);
	again = new_registry();
	require(read_text(again, text, n, &again_report) == 0, "what was written is accepted");
	require(again_report.added == report.added && !again_report.known, "all of it");
	again_text = written(again, &again_n);
	require(n == again_n && !memcmp(text, again_text, n), "and reads back as the same");
	free(text);
	free(again_text);
	use_all(r);
	use_all(again);
	return 0;
}
