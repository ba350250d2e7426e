/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads pages of a file in an order whose reuse distances are known:
 *
 *   reread FILE BYTES loop|uniform ACCESSES read|map|write [SEED]
 *
 * loop: page 0, 1, .. n-1, 0, 1, ..: every access to a page comes n-1 other pages after the last.
 * uniform: each page with the same chance. No readahead, so an access is at most one page read in;
 * with `readahead` instead of `read` the kernel's own readahead is left on. `write` writes whole
 * pages over what is there, which reads nothing. Prints "accesses N elapsed_ns N".
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
#include <time.h>
#include <unistd.h>

#define PAGE 4096

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

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
	uint64_t pages, accesses, seed;
};

static void access_page(const struct access_plan *plan, uint64_t page)
{
	char buffer[PAGE] = { 0 };
	ssize_t n;

	if (plan->map) {
		(void)plan->map[page * PAGE];
		return;
	}
	if (plan->writes)
		n = pwrite(plan->fd, buffer, PAGE, (off_t)(page * PAGE));
	else
		n = pread(plan->fd, buffer, PAGE, (off_t)(page * PAGE));
	if (n != PAGE)
		err(1, "page %" PRIu64, page);
}

static void run(const struct access_plan *plan)
{
	uint64_t state = plan->seed ? plan->seed : 88172645463325252u;

	for (uint64_t i = 0; i < plan->accesses; i++)
		access_page(plan, (plan->uniform ? next_random(&state) : i) % plan->pages);
}

int main(int argc, char **argv)
{
	struct access_plan plan = { 0 };
	uint64_t bytes, began;
	void *map;

	if (argc < 6)
		errx(
		    2,
		    "usage: reread FILE BYTES loop|uniform ACCESSES read|readahead|map|write [SEED]");
	bytes = strtoull(argv[2], NULL, 0);
	plan.pages = bytes / PAGE;
	plan.uniform = strcmp(argv[3], "uniform") == 0;
	plan.accesses = strtoull(argv[4], NULL, 0);
	plan.writes = strcmp(argv[5], "write") == 0;
	plan.seed = argc > 6 ? strtoull(argv[6], NULL, 0) : 0;
	plan.fd = open(argv[1], (plan.writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (plan.fd < 0 || !plan.pages)
		err(1, "%s", argv[1]);
	if (strcmp(argv[5], "read") == 0)
		posix_fadvise(plan.fd, 0, 0, POSIX_FADV_RANDOM);
	if (strcmp(argv[5], "map") == 0) {
		map = mmap(NULL, plan.pages * PAGE, PROT_READ, MAP_SHARED, plan.fd, 0);
		if (map == MAP_FAILED || madvise(map, plan.pages * PAGE, MADV_RANDOM) < 0)
			err(1, "mmap");
		plan.map = map;
	}
	began = now_ns();
	run(&plan);
	printf("accesses %" PRIu64 " elapsed_ns %" PRIu64 "\n", plan.accesses, now_ns() - began);
	return 0;
}
