/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads pages of a file in an order whose reuse distances are known:
 *
 *   reread FILE BYTES loop|uniform ACCESSES read|readahead|map|write|anon [SEED [BLOCK]]
 *
 * loop: page 0, 1, .. n-1, 0, 1, ..: every access to a page comes n-1 other pages after the last.
 * uniform: each page with the same chance. No readahead, so an access is at most one page read in;
 * with `readahead` instead of `read` the kernel's own readahead is left on. `write` writes whole
 * pages over what is there, which reads nothing. `anon` is private memory that is filled first, and
 * FILE is not looked at. BLOCK bytes, when not those of a page, are what one system call reads; the
 * file then is so many blocks. Prints "accesses N elapsed_ns N".
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/common/clock.h"

#define PAGE      4096
#define BLOCK_MAX (4 << 20)

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

struct access_plan {
	int fd;
	const volatile char *map; /* NULL: by system call */
	bool writes;
	bool uniform;
	uint64_t pages, accesses, seed, block;
};

static void access_page(const struct access_plan *plan, uint64_t page)
{
	static char buffer[BLOCK_MAX];
	off_t at = (off_t)(page * plan->block);
	ssize_t n;

	if (plan->map) {
		(void)plan->map[at];
		return;
	}
	if (plan->writes)
		n = pwrite(plan->fd, buffer, plan->block, at);
	else
		n = pread(plan->fd, buffer, plan->block, at);
	if (n != (ssize_t)plan->block)
		err(1, "page %" PRIu64, page);
}

static void run(const struct access_plan *plan)
{
	uint64_t state = plan->seed ? plan->seed : 88172645463325252u;

	for (uint64_t i = 0; i < plan->accesses; i++)
		access_page(plan, (plan->uniform ? next_random(&state) : i) % plan->pages);
}

static void fill_anonymous(struct access_plan *plan)
{
	uint64_t *map = mmap(NULL, plan->pages * plan->block, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		err(1, "mmap");
	madvise(map, plan->pages * plan->block, MADV_NOHUGEPAGE);
	for (uint64_t i = 0; i < plan->pages * plan->block / sizeof(*map); i++)
		map[i] = i * 0x9e3779b97f4a7c15u; /* nothing that compresses to nothing */
	plan->map = (const volatile char *)map;
}

static void open_file(struct access_plan *plan, const char *path, const char *how)
{
	void *map;

	plan->fd = open(path, (plan->writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (plan->fd < 0)
		err(1, "%s", path);
	if (strcmp(how, "read") == 0)
		posix_fadvise(plan->fd, 0, 0, POSIX_FADV_RANDOM);
	if (strcmp(how, "map") != 0)
		return;
	map = mmap(NULL, plan->pages * plan->block, PROT_READ, MAP_SHARED, plan->fd, 0);
	if (map == MAP_FAILED || madvise(map, plan->pages * plan->block, MADV_RANDOM) < 0)
		err(1, "mmap");
	plan->map = map;
}

int main(int argc, char **argv)
{
	struct access_plan plan = { 0 };
	uint64_t began;

	if (argc < 6)
		errx(2, "usage: reread FILE BYTES loop|uniform ACCESSES "
			"read|readahead|map|write|anon [SEED [BLOCK]]");
	plan.block = argc > 7 ? strtoull(argv[7], NULL, 0) : PAGE;
	if (!plan.block || plan.block > BLOCK_MAX)
		errx(2, "blocks are of 1 to %d bytes", BLOCK_MAX);
	plan.pages = strtoull(argv[2], NULL, 0) / plan.block;
	plan.uniform = strcmp(argv[3], "uniform") == 0;
	plan.accesses = strtoull(argv[4], NULL, 0);
	plan.writes = strcmp(argv[5], "write") == 0;
	plan.seed = argc > 6 ? strtoull(argv[6], NULL, 0) : 0;
	if (!plan.pages)
		errx(2, "no page fits into %s bytes", argv[2]);
	if (strcmp(argv[5], "anon") == 0)
		fill_anonymous(&plan);
	else
		open_file(&plan, argv[1], argv[5]);
	began = clock_now_ns();
	run(&plan);
	printf("accesses %" PRIu64 " elapsed_ns %" PRIu64 "\n", plan.accesses,
	       clock_now_ns() - began);
	return 0;
}
