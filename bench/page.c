// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a look at the pressure page costs, beside asking the kernel: pread of an open
 * memory.pressure and memory.stat of a cgroup made for this and removed again (reading a
 * memory.pressure this fast ruins its totals, so it must be nobody's). All in one interleaved run:
 * every round measures every row, in an order shuffled anew; medians over rounds. Times are of the
 * thread's CPU clock: what others do with the processor meanwhile does not count.
 *
 *	build/bench/page [--json] [--rounds N] [--cgroup PRESSURE_FILE STAT_FILE]
 *
 * Exit status 1 when a figure is missed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "include/barostat/page.h"
#include "user/common/clock.h"
#include "user/daemon/page_writer.h"

#define ROUNDS_DEFAULT 101
#define ROUNDS_MAX     10001
#define SLOTS          1000

enum row { LEVEL, READ, READ_SLOT, VALID, UPDATE, PSI, STAT, ROWS };

static const struct {
	const char *name, *what;
	unsigned int loops;
} rows[ROWS] = {
	[LEVEL] = { "level", "baro_page_level()", 1000000 },
	[READ] = { "read", "baro_page_read(): consistent, what an engine acts on", 200000 },
	[READ_SLOT] = { "read_slot", "baro_page_read_slot(): consistent, everything", 100000 },
	[VALID] = { "valid", "baro_page_valid(): the lease, with the clock", 100000 },
	[UPDATE] = { "update", "page_writer_update(): the daemon's side", 50000 },
	[PSI] = { "pread_memory_pressure", "pread of an open memory.pressure", 2000 },
	[STAT] = { "pread_memory_stat", "pread of an open memory.stat", 1000 },
};

struct bench {
	char dir[64], page_path[96];
	char cgroup[2][PATH_MAX]; /* made by us: unified, v1 memory; "" for none */
	int fd[ROWS]; /* of PSI and STAT */
	struct page_writer *writer;
	struct baro_page *page;
	struct baro_slot_ref ref;
	uint64_t *sample[ROWS]; /* ps per operation, one per round */
	unsigned int rounds;
};

/* Keeps the compiler from doing a loop's work once. */
#define AGAIN() __asm__ volatile("" ::: "memory")

static inline __attribute__((always_inline)) void run_loop(struct bench *b, enum row row,
							   unsigned int n)
{
	static const struct page_slot_values values = { .state = BARO_SLOT_ACTIVE,
							.level = BARO_LEVEL_WARNING };
	struct baro_pressure hot;
	struct baro_slot slot;
	char text[16384];
	uint32_t sink = 0;

	/* Unrolled, so that the loop itself does not count among the nanoseconds. */
#pragma GCC unroll 8
	for (unsigned int i = 0; i < n; i++) {
		switch (row) {
		case LEVEL:
			sink |= baro_page_level(&b->ref);
			break;
		case READ:
			sink |= (uint32_t)baro_page_read(&b->ref, &hot);
			break;
		case READ_SLOT:
			sink |= (uint32_t)baro_page_read_slot(&b->ref, &slot);
			break;
		case VALID:
			sink |= baro_page_valid(b->page);
			break;
		case UPDATE:
			page_writer_update(b->writer, b->ref.index, &values, i);
			break;
		case PSI:
		case STAT:
			sink |= (uint32_t)pread(b->fd[row], text, sizeof(text), 0);
			break;
		case ROWS:
			break;
		}
		AGAIN();
	}
	__asm__ volatile("" ::"r"(sink));
}

/* A loop of its own per row: the switch is folded away. */
static void run_row(struct bench *b, enum row row, unsigned int n)
{
	switch (row) {
#define ROW(r)                                                                                     \
	case r:                                                                                    \
		run_loop(b, r, n);                                                                 \
		break;
		ROW(LEVEL)
		ROW(READ)
		ROW(READ_SLOT)
		ROW(VALID)
		ROW(UPDATE)
		ROW(PSI)
		ROW(STAT)
	case ROWS:
		break;
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void measure(struct bench *b)
{
	enum row order[ROWS];

	for (unsigned int i = 0; i < ROWS; i++)
		order[i] = (enum row)i;
	for (unsigned int round = 0; round < b->rounds; round++) {
		for (unsigned int i = ROWS - 1; i > 0; i--) {
			unsigned int j = (unsigned int)random() % (i + 1);
			enum row swap = order[i];

			order[i] = order[j];
			order[j] = swap;
		}
		for (unsigned int i = 0; i < ROWS; i++) {
			enum row row = order[i];
			uint64_t begin;

			if (b->fd[row] < 0)
				continue;
			run_row(b, row, rows[row].loops / 10);
			begin = cpu_ns();
			run_row(b, row, rows[row].loops);
			b->sample[row][round] = (cpu_ns() - begin) * 1000 / rows[row].loops;
		}
	}
	for (unsigned int i = 0; i < ROWS; i++)
		qsort(b->sample[i], b->rounds, sizeof(uint64_t), by_value);
}

static double tenth_ns(const struct bench *b, unsigned int row, unsigned int tenths)
{
	unsigned int at = b->rounds * tenths / 10;

	return (double)b->sample[row][at] / 1000;
}

static double median_ns(const struct bench *b, unsigned int row)
{
	return tenth_ns(b, row, 5);
}

/* -- a cgroup that is nobody else's -- */

static bool is_fs(const char *path, long magic)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == magic;
}

static void enter(const char *dir)
{
	char path[PATH_MAX + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		fprintf(stderr, "page: cannot enter %s: %m, ignoring\n", dir);
	if (fd >= 0)
		close(fd);
}

static int make_cgroup(const char *root, long magic, char *ret_dir, size_t size)
{
	if (!is_fs(root, magic))
		return -ENOENT;
	snprintf(ret_dir, size, "%s/barostat-bench-page-%d", root, (int)getpid());
	if (mkdir(ret_dir, 0755) < 0) {
		ret_dir[0] = '\0';
		return -errno;
	}
	return 0;
}

static int open_in(const char *dir, const char *file)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void open_cgroup_files(struct bench *b)
{
	const char *unified = is_fs("/sys/fs/cgroup", CGROUP2_SUPER_MAGIC)
				  ? "/sys/fs/cgroup"
				  : "/sys/fs/cgroup/unified";

	if (make_cgroup(unified, CGROUP2_SUPER_MAGIC, b->cgroup[0], PATH_MAX) == 0) {
		b->fd[PSI] = open_in(b->cgroup[0], "memory.pressure");
		b->fd[STAT] = open_in(b->cgroup[0], "memory.stat");
	}
	if (b->fd[STAT] < 0 &&
	    make_cgroup("/sys/fs/cgroup/memory", CGROUP_SUPER_MAGIC, b->cgroup[1], PATH_MAX) == 0)
		b->fd[STAT] = open_in(b->cgroup[1], "memory.stat");
	/* With a member, as the cgroup of an engine has. */
	for (int i = 0; i < 2; i++)
		if (b->cgroup[i][0])
			enter(b->cgroup[i]);
}

static void leave_cgroups(struct bench *b)
{
	for (int i = 0; i < 2; i++) {
		char *dir = b->cgroup[i], parent[PATH_MAX];

		if (!dir[0])
			continue;
		snprintf(parent, sizeof(parent), "%s", dir);
		*strrchr(parent, '/') = '\0';
		enter(parent);
		if (rmdir(dir) < 0)
			fprintf(stderr, "page: cannot remove %s: %m\n", dir);
	}
}

/* -- the page -- */

static int open_page(struct bench *b)
{
	const struct page_slot_identity who = { .name = "bench" };
	const struct page_slot_values values = { .state = BARO_SLOT_ACTIVE,
						 .level = BARO_LEVEL_WARNING };
	const struct page_header_values header = { .level = BARO_LEVEL_NORMAL };
	enum page_origin origin;
	uint64_t now = clock_now_ns();
	int r;

	snprintf(b->dir, sizeof(b->dir), "/tmp/barostat-bench-page-XXXXXX");
	if (!mkdtemp(b->dir))
		return -errno;
	snprintf(b->page_path, sizeof(b->page_path), "%s/pressure", b->dir);
	r = page_writer_open(b->page_path, SLOTS, 0644, &b->writer, &origin);
	if (r < 0)
		return r;
	r = page_writer_assign(b->writer, SLOTS / 2, &who);
	if (r < 0)
		return r;
	page_writer_update(b->writer, SLOTS / 2, &values, now);
	page_writer_commit(b->writer, &header, now, 3600 * NS_PER_S, false);
	r = baro_page_open(b->page_path, &b->page);
	return r < 0 ? r : baro_page_find(b->page, "bench", &b->ref);
}

static void close_page(struct bench *b)
{
	char lock[128];

	baro_page_close(b->page);
	page_writer_close(b->writer, true);
	snprintf(lock, sizeof(lock), "%s.lock", b->page_path);
	unlink(b->page_path);
	unlink(lock);
	rmdir(b->dir);
}

/* -- what came out -- */

struct figure {
	const char *name;
	double value, bound;
	bool at_least;
};

static bool met(const struct figure *f)
{
	return f->at_least ? f->value >= f->bound : f->value <= f->bound;
}

static int print_table(const struct bench *b, const struct figure *f, unsigned int n)
{
	int missed = 0;

	printf("%-24s %12s %12s %12s\n", "row", "median ns", "p10 ns", "p90 ns");
	for (unsigned int i = 0; i < ROWS; i++) {
		if (b->fd[i] < 0)
			printf("%-24s %12s  no such file here\n", rows[i].name, "-");
		else
			printf("%-24s %12.2f %12.2f %12.2f  %s\n", rows[i].name, median_ns(b, i),
			       tenth_ns(b, i, 1), tenth_ns(b, i, 9), rows[i].what);
	}
	for (unsigned int i = 0; i < n; i++) {
		printf("%-42s %10.2f  (%s %.0f) %s\n", f[i].name, f[i].value,
		       f[i].at_least ? "at least" : "at most", f[i].bound,
		       met(&f[i]) ? "met" : "MISSED");
		missed += !met(&f[i]);
	}
	return missed;
}

static int print_json(const struct bench *b, const struct figure *f, unsigned int n)
{
	const char *comma = "";
	int missed = 0;

	printf("{\"bench\":\"page\",\"rounds\":%u,\"rows\":{", b->rounds);
	for (unsigned int i = 0; i < ROWS; i++) {
		if (b->fd[i] < 0)
			continue;
		printf("%s\"%s\":{\"median_ns\":%.3f,\"p10_ns\":%.3f,\"p90_ns\":%.3f}", comma,
		       rows[i].name, median_ns(b, i), tenth_ns(b, i, 1), tenth_ns(b, i, 9));
		comma = ",";
	}
	printf("},\"figures\":[");
	for (unsigned int i = 0; i < n; i++) {
		printf("%s{\"name\":\"%s\",\"value\":%.3f,\"%s\":%.0f,\"met\":%s}", i ? "," : "",
		       f[i].name, f[i].value, f[i].at_least ? "at_least" : "at_most", f[i].bound,
		       met(&f[i]) ? "true" : "false");
		missed += !met(&f[i]);
	}
	printf("]}\n");
	return missed;
}

static int report(const struct bench *b, bool json)
{
	struct figure f[3] = {
		{ "level read, ns", median_ns(b, LEVEL), 1, false },
		{ "consistent slot read, ns", median_ns(b, READ), 10, false },
	};
	unsigned int n = 2;

	if (b->fd[PSI] >= 0)
		f[n++] = (struct figure){ "consistent read, times cheaper than PSI",
					  median_ns(b, PSI) / median_ns(b, READ), 100, true };
	return (json ? print_json : print_table)(b, f, n) ? 1 : 0;
}

static int parse(int argc, char **argv, struct bench *b, bool *ret_json)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json")) {
			*ret_json = true;
		} else if (!strcmp(argv[i], "--rounds") && i + 1 < argc) {
			b->rounds = (unsigned int)strtoul(argv[++i], NULL, 10);
		} else if (!strcmp(argv[i], "--cgroup") && i + 2 < argc) {
			b->fd[PSI] = open(argv[++i], O_RDONLY | O_CLOEXEC);
			b->fd[STAT] = open(argv[++i], O_RDONLY | O_CLOEXEC);
		} else {
			return -EINVAL;
		}
	}
	return b->rounds && b->rounds <= ROUNDS_MAX ? 0 : -EINVAL;
}

static int run(struct bench *b, bool json)
{
	static uint64_t samples[ROWS][ROUNDS_MAX];
	int r = open_page(b);

	if (r < 0) {
		fprintf(stderr, "page: no page to measure: %s\n", strerrordesc_np(-r));
		return 1;
	}
	for (unsigned int i = 0; i < ROWS; i++)
		b->sample[i] = samples[i];
	measure(b);
	return report(b, json);
}

int main(int argc, char **argv)
{
	struct bench b = { .rounds = ROUNDS_DEFAULT };
	bool json = false;
	int r;

	b.fd[PSI] = b.fd[STAT] = -1;
	if (parse(argc, argv, &b, &json) < 0) {
		fprintf(stderr, "usage: page [--json] [--rounds N] "
				"[--cgroup PRESSURE_FILE STAT_FILE]\n");
		return 2;
	}
	if (b.fd[PSI] < 0)
		open_cgroup_files(&b);
	if (b.fd[PSI] < 0)
		fprintf(stderr, "page: no memory.pressure to compare with: no right to make a "
				"cgroup, or no PSI\n");
	r = run(&b, json);
	close_page(&b);
	leave_cgroups(&b);
	return r;
}
