/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An engine that fits, idles, and then suddenly needs more than its limit; beside it, outside its
 * cgroup, a clock that sees when the kernel first had to reclaim and when the limit first rose:
 *
 *   step_reader FILE BASE_BYTES STEP_BYTES LIMIT_FILE EVENTS_FILE PROCS_FILE...
 *
 * The child enters the cgroups of the PROCS_FILEs, reads BASE_BYTES of FILE, idles for IDLE_MS and
 * then reads on to STEP_BYTES, again and again. LIMIT_FILE holds the limit in bytes, EVENTS_FILE
 * how often it was met (a number, or v2's lines with "max N"). Prints "reaction_ns N", from the
 * first time the limit was met after the step to the first reading of a higher limit, or "ahead"
 * when it rose before it was met; exit status 1 when nothing rose within TIMEOUT_MS, 3 when the
 * limit was never met.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "user/common/clock.h"

#define CALL_BYTES (256u << 10)
#define IDLE_MS    400
#define TIMEOUT_MS 2000
#define POLL_NS    200000l

static void sleep_ns(long ns)
{
	struct timespec t = { .tv_sec = ns / (long)NS_PER_S, .tv_nsec = ns % (long)NS_PER_S };

	nanosleep(&t, NULL);
}

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

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(2, "%s", path);
	return fd;
}

/* The number in a one-number file, or after "max " in a file of lines; "max" alone is no limit. */
static uint64_t read_number(int fd, bool lines)
{
	char text[512];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	const char *at = text;

	if (n <= 0)
		err(2, "cannot read a limit or its events");
	text[n] = 0;
	if (lines) {
		at = strstr(text, "max ");
		if (!at)
			errx(2, "no line \"max N\" among the events");
		at += strlen("max ");
	} else if (!strncmp(text, "max", 3)) {
		return UINT64_MAX;
	}
	return strtoull(at, NULL, 10);
}

static void enter(char **procs, int n)
{
	for (int i = 0; i < n; i++) {
		FILE *f = fopen(procs[i], "w");

		if (!f || fprintf(f, "%d\n", (int)getpid()) < 0 || fclose(f) != 0)
			err(2, "%s", procs[i]);
	}
}

static void read_range(int fd, uint64_t from, uint64_t to)
{
	static char buffer[CALL_BYTES];

	for (uint64_t at = from; at < to; at += CALL_BYTES)
		if (pread(fd, buffer, CALL_BYTES, (off_t)at) < 0)
			err(2, "read");
}

static void be_engine(const char *path, uint64_t base, uint64_t step, _Atomic bool *stepped)
{
	int fd = open_file(path);

	/* no readahead, which may be megabytes: what is read is what is charged */
	if (posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) != 0)
		errx(2, "%s: no advice taken", path);
	read_range(fd, 0, base);
	sleep_ns(IDLE_MS * (long)NS_PER_MS);
	read_range(fd, 0, base);
	atomic_store(stepped, true);
	/* its clock looks at limit and events now, and must do so before they can change */
	sleep_ns(2 * (long)NS_PER_MS);
	for (;;)
		read_range(fd, 0, step);
}

/*
 * How long from the first meeting of the limit after the step to its first raise. What changed
 * between two looks is taken to have changed right after the first: the answer errs upwards.
 */
static int watch(int limit_fd, int events_fd, bool lines, const _Atomic bool *stepped)
{
	uint64_t limit, events, onset_ns = 0, now = clock_now_ns(), last;
	uint64_t until_ns = now + TIMEOUT_MS * NS_PER_MS;

	while (!atomic_load(stepped))
		sleep_ns(POLL_NS);
	limit = read_number(limit_fd, false);
	events = read_number(events_fd, lines);
	while (last = now, now = clock_now_ns(), now < until_ns) {
		bool raised = read_number(limit_fd, false) > limit;

		if (!onset_ns && read_number(events_fd, lines) != events)
			onset_ns = last;
		if (raised && !onset_ns) {
			puts("ahead"); /* of the stall, by growth alone */
			return 0;
		}
		if (raised) {
			printf("reaction_ns %" PRIu64 "\n", clock_now_ns() - onset_ns);
			return 0;
		}
		sleep_ns(POLL_NS);
	}
	return onset_ns ? 1 : 3;
}

int main(int argc, char **argv)
{
	struct sched_param first = { .sched_priority = 1 };
	_Atomic bool *stepped;
	int limit_fd, events_fd, status;
	pid_t child;

	if (argc < 7)
		errx(2, "usage: step_reader FILE BASE_BYTES STEP_BYTES LIMIT_FILE EVENTS_FILE "
			"PROCS_FILE...");
	stepped =
	    mmap(NULL, sizeof(*stepped), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stepped == MAP_FAILED)
		err(2, "mmap");
	limit_fd = open_file(argv[4]);
	events_fd = open_file(argv[5]);
	child = fork();
	if (child < 0)
		err(2, "fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		enter(argv + 6, argc - 6);
		be_engine(argv[1], number(argv[2]), number(argv[3]), stepped);
	}
	/* The clock must not wait behind what it measures; without the right it may. */
	sched_setscheduler(0, SCHED_FIFO, &first);
	status = watch(limit_fd, events_fd, strstr(argv[5], "events") != NULL, stepped);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return status;
}
