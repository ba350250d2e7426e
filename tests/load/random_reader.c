/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads random pages of a mapped file as fast as it can, for ever or for a while:
 *
 *   random_reader FILE [SECONDS]
 *
 * A read touches a page and then works a little (WORK_STEPS), as a lookup would, so that its speed
 * is bound by the processor and by misses, not by what others do to the memory bus. No readahead: a
 * page that is not cached costs one read from the disk. Each 100 ms prints "elapsed_ms reads
 * queued_us misses": reads in that interval, how long of it the reader stood ready without a
 * processor, which on a busy machine is what other work costs and memory has no part in, and how
 * many reads had to wait for the disk.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/common/clock.h"

#define PAGE           4096
#define READS_PER_LOOK 16 /* at the clock */
#define WORK_STEPS     100 /* about a quarter of a microsecond */
#define INTERVAL_NS    UINT64_C(100000000)

/* Nanoseconds this process has waited for a processor; 0 where the kernel does not say. */
static uint64_t queued_ns(int fd)
{
	char text[128];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	uint64_t ran, queued;

	if (n <= 0)
		return 0;
	text[n] = 0;
	return sscanf(text, "%" SCNu64 " %" SCNu64, &ran, &queued) == 2 ? queued : 0;
}

static uint64_t major_faults(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) < 0)
		err(1, "getrusage");
	return (uint64_t)usage.ru_majflt;
}

static uint64_t next_random(uint64_t state)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^ (state << 17);
}

static const volatile uint8_t *map_file(const char *path, uint64_t *ret_pages)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(1, "%s", path);
	if (st.st_size < PAGE)
		errx(1, "%s: smaller than a page", path);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || madvise(map, (size_t)st.st_size, MADV_RANDOM) < 0)
		err(1, "%s: mmap", path);
	close(fd);
	*ret_pages = (uint64_t)st.st_size / PAGE;
	return map;
}

int main(int argc, char **argv)
{
	uint64_t pages, begin_ns, next_ns, now, end_ns, state = 88172645463325252ull, reads = 0;
	uint64_t queued, queued_before, misses, misses_before;
	const volatile uint8_t *map;
	int sched_fd;

	if (argc < 2 || argc > 3)
		errx(2, "usage: random_reader FILE [SECONDS]");
	map = map_file(argv[1], &pages);
	setvbuf(stdout, NULL, _IOLBF, 0);
	sched_fd = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
	queued_before = queued_ns(sched_fd);
	misses_before = major_faults();
	begin_ns = clock_now_ns();
	next_ns = begin_ns + INTERVAL_NS;
	end_ns = argc == 3 ? begin_ns + strtoull(argv[2], NULL, 10) * NS_PER_S : UINT64_MAX;
	do {
		for (int i = 0; i < READS_PER_LOOK; i++) {
			state += map[(state >> 16) % pages * PAGE];
			for (int step = 0; step < WORK_STEPS; step++)
				state = next_random(state);
		}
		reads += READS_PER_LOOK;
		now = clock_now_ns();
		if (now < next_ns)
			continue;
		queued = queued_ns(sched_fd);
		misses = major_faults();
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
		       (uint64_t)((now - begin_ns) / NS_PER_MS), reads,
		       (queued - queued_before) / 1000, misses - misses_before);
		queued_before = queued;
		misses_before = misses;
		reads = 0;
		next_ns += INTERVAL_NS;
	} while (now < end_ns);
	return 0;
}
