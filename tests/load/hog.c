/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An engine stand-in whose memory is known: it obeys lines on stdin and answers each with one line.
 *
 *	anon SIZE	touch SIZE more MiB of anonymous memory		-> "anon TOTAL"
 *	free		give all anonymous memory back			-> "anon 0"
 *	grow SIZE SECONDS  touch up to SIZE more MiB for as long, page by page
 *							-> "grow MIB LONGEST_MS ALL_MS"
 *	lock FILE	map FILE and lock it in memory			-> "lock BYTES"
 *	cache FILE	read FILE through to fill the page cache	-> "cache BYTES"
 *	loop FILE	keep reading random pages of FILE (mmap) until "stop"; -> "loop"
 *	read FILE	the same, by read()				-> "read"
 *	stop		-> "stop READS"
 *	quit
 *
 * LONGEST_MS is the longest pause between two pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/common/clock.h"

#define MIB         (1ull << 20)
#define PAGE        4096ull
#define REGIONS_MAX 4096

static void *region[REGIONS_MAX];
static size_t region_bytes[REGIONS_MAX];
static unsigned int regions;
static bool looping;
static uint64_t reads;

static void anon(uint64_t mib)
{
	static uint64_t total;
	char *p;

	if (!mib) {
		while (regions > 0) {
			regions--;
			munmap(region[regions], region_bytes[regions]);
		}
		total = 0;
	} else if (regions < REGIONS_MAX) {
		p = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
		if (p == MAP_FAILED) {
			printf("error %s\n", strerror(errno));
			return;
		}
		for (uint64_t i = 0; i < mib * MIB; i += PAGE)
			p[i] = 1;
		region[regions] = p;
		region_bytes[regions++] = mib * MIB;
		total += mib;
	}
	printf("anon %llu\n", (unsigned long long)total);
}

/* Keeps what it has touched, also when time is up before all is. */
static void grow(uint64_t mib, uint64_t seconds)
{
	uint64_t begin_ns, last_ns, now, at = 0, longest_ns = 0;
	char *p = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		printf("error %s\n", strerror(errno));
		return;
	}
	madvise(p, mib * MIB, MADV_NOHUGEPAGE);
	begin_ns = last_ns = clock_now_ns();
	while (at < mib * MIB && last_ns - begin_ns < seconds * NS_PER_S) {
		p[at] = 1;
		at += PAGE;
		now = clock_now_ns();
		if (now - last_ns > longest_ns)
			longest_ns = now - last_ns;
		last_ns = now;
	}
	printf("grow %llu %llu %llu\n", (unsigned long long)(at / MIB),
	       (unsigned long long)(longest_ns / NS_PER_MS),
	       (unsigned long long)((last_ns - begin_ns) / NS_PER_MS));
}

static void lock_file(const char *path)
{
	struct stat st;
	void *p = MAP_FAILED;
	int fd = open(path, O_RDONLY);

	if (fd >= 0 && fstat(fd, &st) == 0)
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED || mlock(p, (size_t)st.st_size) < 0)
		printf("error %s\n", strerror(errno));
	else
		printf("lock %llu\n", (unsigned long long)st.st_size);
	if (fd >= 0)
		close(fd);
}

static void cache(const char *path)
{
	static char buf[1 << 16];
	uint64_t bytes = 0;
	ssize_t n = 0;
	int fd = open(path, O_RDONLY);

	while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0)
		bytes += (uint64_t)n;
	if (fd < 0 || n < 0)
		printf("error %s\n", strerror(errno));
	else
		printf("cache %llu\n", (unsigned long long)bytes);
	if (fd >= 0)
		close(fd);
}

static uint64_t random_page(uint64_t *seed, uint64_t bytes)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed % (bytes / PAGE) * PAGE;
}

static bool goes_on(void)
{
	return __atomic_load_n(&looping, __ATOMIC_RELAXED);
}

static void *read_randomly(void *arg)
{
	uint64_t seed = 88172645463325252ull;
	char page[PAGE];
	struct stat st;
	int fd = open(arg, O_RDONLY);

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	while (goes_on() &&
	       pread(fd, page, PAGE, (off_t)random_page(&seed, (uint64_t)st.st_size)) > 0)
		__atomic_add_fetch(&reads, 1, __ATOMIC_RELAXED);
	close(fd);
	return NULL;
}

static void *touch_randomly(void *arg)
{
	const char *path = arg;
	uint64_t seed = 88172645463325252ull;
	struct stat st;
	const volatile char *p;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return NULL;
	madvise((void *)p, (size_t)st.st_size, MADV_RANDOM);
	while (goes_on()) {
		(void)p[random_page(&seed, (uint64_t)st.st_size)];
		__atomic_add_fetch(&reads, 1, __ATOMIC_RELAXED);
	}
	munmap((void *)p, (size_t)st.st_size);
	return NULL;
}

static pthread_t start(void *(*how)(void *), char *path)
{
	pthread_t reader = 0;

	looping = true;
	reads = 0;
	pthread_create(&reader, NULL, how, path);
	return reader;
}

int main(void)
{
	char line[4096], path[4000];
	unsigned long long n, seconds;
	pthread_t reader = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "anon %llu", &n) == 1) {
			anon(n);
		} else if (sscanf(line, "grow %llu %llu", &n, &seconds) == 2) {
			grow(n, seconds);
		} else if (sscanf(line, "lock %3999s", path) == 1) {
			lock_file(path);
		} else if (!strcmp(line, "free\n")) {
			anon(0);
		} else if (sscanf(line, "cache %3999s", path) == 1) {
			cache(path);
		} else if (sscanf(line, "loop %3999s", path) == 1 && !looping) {
			reader = start(touch_randomly, path);
			puts("loop");
		} else if (sscanf(line, "read %3999s", path) == 1 && !looping) {
			reader = start(read_randomly, path);
			puts("read");
		} else if (!strcmp(line, "stop\n") && looping) {
			__atomic_store_n(&looping, false, __ATOMIC_RELAXED);
			pthread_join(reader, NULL);
			printf("stop %llu\n", (unsigned long long)reads);
		} else if (!strcmp(line, "quit\n")) {
			break;
		} else {
			printf("error what: %s", line);
		}
	}
	return 0;
}
