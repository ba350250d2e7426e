/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the page reader share; never installed. */
#ifndef BAROSTAT_LIB_PAGE_INTERNAL_H
#define BAROSTAT_LIB_PAGE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/barostat/page.h"

/*
 * A mapped page. The sizes were checked against the file when it was opened and are never read
 * from the file again: what the file says later cannot lead a reader out of its mapping.
 */
struct baro_page {
	const uint8_t *base;
	size_t map_bytes;
	uint32_t header_bytes;
	uint32_t slot_bytes;
	uint32_t slot_count;
	dev_t dev;
	ino_t ino;
	char path[];
};

/*
 * Judges the first `have_bytes` bytes of a file of `file_bytes` bytes. 0 when header and all slots
 * lie within the file and this version can read them; otherwise the errors of baro_page_open().
 */
int page_check(const void *start, size_t have_bytes, uint64_t file_bytes);

/* baro_page_find_self() with the two files of /proc named, for tests. */
int page_find_self(const struct baro_page *page, const char *cgroup_file,
		   const char *mountinfo_file, struct baro_slot_ref *ret_ref);

/*
 * The words of a seqlocked record are copied one by one with relaxed atomics: a copy that races
 * with the writer is then merely stale, and thrown away, never undefined. `words` must be constant
 * so that the loop unrolls.
 */
static inline __attribute__((always_inline)) void
page_copy_words(uint64_t *to, const uint64_t *from, size_t words)
{
	for (size_t i = 0; i < words; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

#endif
