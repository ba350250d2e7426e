/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as a pressure page: it is refused, or every way of reading stays within it. The page is
 * a heap block of exactly its size, so that the address sanitizer sees one byte too far.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/page_internal.h"

static void require(int truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

static void read_slots(const struct baro_page *page)
{
	uint32_t slots = baro_page_slots(page);

	require(slots <= page->slot_count, "no more slots in use than there are");
	for (uint32_t i = 0; i <= slots; i++) {
		struct baro_slot_ref ref;
		struct baro_pressure hot;
		struct baro_slot slot;

		if (baro_page_slot(page, i, &ref) < 0)
			continue;
		(void)baro_page_level(&ref);
		if (baro_page_read_slot(&ref, &slot) < 0)
			continue;
		require(memchr(slot.name, 0, sizeof(slot.name)) != NULL, "names have an end");
		require(baro_page_read(&ref, &hot) == 0 && !memcmp(&hot, &slot, sizeof(hot)),
			"both ways of reading agree");
		require(slot.name[0] == 0 || baro_page_find(page, slot.name, &ref) == 0,
			"what was read is found by its name");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct baro_page_header h;
	struct baro_page page = { 0 };
	uint8_t *block;

	if (page_check(data, n < sizeof(h) ? n : sizeof(h), n) < 0)
		return 0;
	memcpy(&h, data, sizeof(h));
	page.header_bytes = h.header_bytes;
	page.slot_bytes = h.slot_bytes;
	page.slot_count = h.slot_count;
	page.map_bytes = h.header_bytes + (size_t)h.slot_count * h.slot_bytes;
	require(page.map_bytes <= n, "an accepted page lies within its file");
	block = aligned_alloc(64, page.map_bytes);
	require(block != NULL, "memory");
	memcpy(block, data, page.map_bytes);
	page.base = block;
	(void)baro_page_read_header(&page, &h);
	(void)baro_page_wait(&page, baro_page_generation(&page), 0, NULL);
	read_slots(&page);
	free(block);
	return 0;
}
