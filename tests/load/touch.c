/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Touches memory in a way whose counts are known by construction.
 *
 *   touch [--cgroup DIR]... anon BYTES         one minor fault per page (no huge pages)
 *   touch [--cgroup DIR]... file PATH PAGES    maps PATH, which it first drops from the page cache,
 *                                              and reads PAGES pages far apart, without readahead:
 *                                              one major fault each
 *   touch [--cgroup DIR]... read PATH PAGES    the same pages by pread: no fault at all
 *
 * Prints {"touched":..,"minflt":..,"majflt":..} (of the touching alone), then holds what it has
 * until its stdin ends; on SIGUSR1 it touches its anonymous memory once more. --cgroup: first moves
 * itself there.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096ul

static void die(const char *what)
{
	fprintf(stderr, "touch: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void enter(const char *dir)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	f = fopen(path, "w");
	if (!f || fprintf(f, "%d\n", getpid()) < 0 || fclose(f) != 0)
		die(path);
}

static char *anon;
static size_t anon_bytes;

static unsigned long touch_anon_again(void)
{
	for (size_t at = 0; at < anon_bytes; at += PAGE)
		anon[at] = (char)(1 + at / PAGE % 127);
	return anon_bytes / PAGE;
}

static unsigned long touch_anon(size_t bytes)
{
	anon = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (anon == MAP_FAILED)
		die("mmap");
	anon_bytes = bytes;
	madvise(anon, bytes, MADV_NOHUGEPAGE);
	return touch_anon_again();
}

/* Does nothing itself: it interrupts the read() of main(). */
static void on_usr1(int signal_number)
{
}

static int open_cold(const char *path, unsigned long pages, size_t *ret_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	if ((unsigned long)st.st_size / PAGE < pages) {
		errno = ERANGE;
		die(path);
	}
	if (fdatasync(fd) < 0 || (errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)) != 0)
		die(path);
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	*ret_bytes = (size_t)st.st_size;
	return fd;
}

static unsigned long touch_file(const char *path, unsigned long pages)
{
	volatile uint64_t sum = 0;
	size_t bytes, step;
	int fd = open_cold(path, pages, &bytes);
	char *p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die("mmap");
	madvise(p, bytes, MADV_RANDOM);
	step = bytes / PAGE / pages * PAGE;
	for (unsigned long i = 0; i < pages; i++)
		sum += (uint64_t)p[i * step];
	return pages;
}

static unsigned long read_file(const char *path, unsigned long pages)
{
	size_t bytes, step;
	int fd = open_cold(path, pages, &bytes);
	char buf[PAGE];

	step = bytes / PAGE / pages * PAGE;
	for (unsigned long i = 0; i < pages; i++) {
		if (pread(fd, buf, PAGE, (off_t)(i * step)) < 0)
			die(path);
	}
	return pages;
}

int main(int argc, char **argv)
{
	const struct sigaction usr1 = { .sa_handler = on_usr1 }; /* no SA_RESTART */
	struct rusage before, after;
	unsigned long touched;
	char buf[64];
	ssize_t n;

	while (argc > 2 && strcmp(argv[1], "--cgroup") == 0) {
		enter(argv[2]);
		argc -= 2;
		argv += 2;
	}
	sigaction(SIGUSR1, &usr1, NULL);
	getrusage(RUSAGE_SELF, &before);
	if (argc == 3 && strcmp(argv[1], "anon") == 0) {
		touched = touch_anon(strtoul(argv[2], NULL, 10));
	} else if (argc == 4 && strcmp(argv[1], "file") == 0) {
		touched = touch_file(argv[2], strtoul(argv[3], NULL, 10));
	} else if (argc == 4 && strcmp(argv[1], "read") == 0) {
		touched = read_file(argv[2], strtoul(argv[3], NULL, 10));
	} else {
		fputs(
		    "usage: touch [--cgroup DIR]... anon BYTES | file PATH PAGES | read PATH PAGES\n",
		    stderr);
		return 2;
	}
	getrusage(RUSAGE_SELF, &after);
	printf("{\"touched\":%lu,\"minflt\":%ld,\"majflt\":%ld}\n", touched,
	       after.ru_minflt - before.ru_minflt, after.ru_majflt - before.ru_majflt);
	fflush(stdout);
	while ((n = read(STDIN_FILENO, buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR)) {
		if (n < 0)
			touch_anon_again();
	}
	return 0;
}
