/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stream through the page cache that nobody reads again:
 *
 *   stream write|read FILE BYTES [MB_PER_S [SECONDS]]
 *
 * Goes through the first BYTES of FILE from front to back, again and again, with 1 MB calls; BYTES
 * well above the memory at hand make every pass a new one. MB_PER_S 0 = as fast as it can. Each
 * 100 ms prints "elapsed_ms bytes" (bytes in that interval), line by line.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/common/clock.h"

#define CALL_BYTES  (1u << 20)
#define INTERVAL_NS UINT64_C(100000000)

static char buffer[CALL_BYTES];

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *end)
		errx(2, "not a number: %s", text);
	return n;
}

/* Sleeps until `done` bytes are due at the pace; does nothing without a pace. */
static void keep_pace(uint64_t begin_ns, uint64_t done, uint64_t bytes_per_s)
{
	uint64_t due_ns;
	struct timespec t;

	if (!bytes_per_s)
		return;
	due_ns = begin_ns + (uint64_t)((double)done / (double)bytes_per_s * (double)NS_PER_S);
	t.tv_sec = (time_t)(due_ns / NS_PER_S);
	t.tv_nsec = (long)(due_ns % NS_PER_S);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

int main(int argc, char **argv)
{
	uint64_t bytes, bytes_per_s, begin_ns, next_ns, end_ns, now, offset = 0, done = 0, part = 0;
	bool writing;
	int fd;

	if (argc < 4 || argc > 6 || (strcmp(argv[1], "write") != 0 && strcmp(argv[1], "read") != 0))
		errx(2, "usage: stream write|read FILE BYTES [MB_PER_S [SECONDS]]");
	writing = !strcmp(argv[1], "write");
	bytes = number(argv[3]) / CALL_BYTES * CALL_BYTES;
	bytes_per_s = argc > 4 ? number(argv[4]) * 1000000 : 0;
	if (!bytes)
		errx(2, "BYTES: at least %u", CALL_BYTES);
	fd = open(argv[2], writing ? O_WRONLY | O_CREAT | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		err(1, "%s", argv[2]);
	memset(buffer, 0x5a, sizeof(buffer));
	setvbuf(stdout, NULL, _IOLBF, 0);
	begin_ns = clock_now_ns();
	next_ns = begin_ns + INTERVAL_NS;
	end_ns = argc > 5 ? begin_ns + number(argv[5]) * NS_PER_S : UINT64_MAX;
	do {
		ssize_t n = writing ? pwrite(fd, buffer, CALL_BYTES, (off_t)offset)
				    : pread(fd, buffer, CALL_BYTES, (off_t)offset);

		if (n <= 0)
			err(1, "%s at %" PRIu64, argv[2], offset);
		offset = (offset + (uint64_t)n) % bytes;
		done += (uint64_t)n;
		part += (uint64_t)n;
		keep_pace(begin_ns, done, bytes_per_s);
		now = clock_now_ns();
		if (now < next_ns)
			continue;
		printf("%" PRIu64 " %" PRIu64 "\n", (uint64_t)((now - begin_ns) / NS_PER_MS), part);
		part = 0;
		next_ns += INTERVAL_NS;
	} while (now < end_ns);
	return 0;
}
