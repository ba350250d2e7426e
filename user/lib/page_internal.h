/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the page reader share; never installed. */
#ifndef BAROSTAT_LIB_PAGE_INTERNAL_H
#define BAROSTAT_LIB_PAGE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/barostat/page.h"
#include "user/lib/portable.h"

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

/* Maps an open page; the descriptor stays the caller's. `path` is what baro_page_replaced() will
 * look at. The errors of baro_page_open(). */
int page_map(int fd, const char *path, struct baro_page **ret_page);

/*
 * Calls visit() for the directories of the caller's cgroups and all above them, nearest first, in
 * the unified hierarchy (0) and in that of the memory controller. It goes on by returning -ENOENT,
 * or -EAGAIN, which is remembered and returned in the end; 0 and any other error end the walk and
 * are what it returns. -ENOENT: nobody ended it. Else -errno: /proc or a directory could not be
 * read, so that what was not visited may be there all the same.
 */
typedef int (*self_visit)(void *arg, uint32_t hierarchy, const char *dir, uint64_t id);
int self_walk(const char *cgroup_file, const char *mountinfo_file, self_visit visit, void *arg);

/* baro_page_find_self() with the two files of /proc named, for tests. */
int page_find_self(const struct baro_page *page, const char *cgroup_file,
		   const char *mountinfo_file, struct baro_slot_ref *ret_ref);

/*
 * A cache line of a seqlocked record, copied in pieces that each are loaded once: a copy that races
 * with the writer is then merely stale, and thrown away, never undefined. On x86-64 a line is four
 * registers, so that a reader can hold what it read until it knows that it may hand it out;
 * sanitizers do not look into assembly and get the portable way.
 */
#if defined(__x86_64__) && !defined(LIB_PORTABLE)
typedef uint64_t page_chunk __attribute__((vector_size(16), may_alias));

static inline __attribute__((always_inline)) page_chunk page_load_chunk(const page_chunk *from)
{
	page_chunk chunk;

	__asm__ volatile("movdqa %1, %0" : "=x"(chunk) : "m"(*from));
	return chunk;
}
#else
typedef struct __attribute__((may_alias, aligned(16))) {
	uint64_t word[2];
} page_chunk;

static inline __attribute__((always_inline)) page_chunk page_load_chunk(const page_chunk *from)
{
	return (page_chunk){ { __atomic_load_n(&from->word[0], __ATOMIC_RELAXED),
			       __atomic_load_n(&from->word[1], __ATOMIC_RELAXED) } };
}
#endif

struct page_line {
	page_chunk chunk[4];
};

static inline __attribute__((always_inline)) struct page_line page_load_line(const void *from)
{
	const page_chunk *chunk = from;

	return (struct page_line){ { page_load_chunk(chunk), page_load_chunk(chunk + 1),
				     page_load_chunk(chunk + 2), page_load_chunk(chunk + 3) } };
}

#endif
