/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The referee of the mixed workload: samples what engines use, and what they were told they may, at
 * the same instant, until it is killed.
 *
 *   mixed watch PAGE|- BEGIN_US INTERVAL_MS PARENT_DIR NAME:PID...
 *
 * PAGE is the pressure page; with "-", or when an engine has no slot on it, the limit of its cgroup
 * PARENT_DIR/NAME stands for the budget. One line per engine and sample:
 *
 *   elapsed_ms NAME usage rss budget limit release level
 *
 * and one "elapsed_ms total usage rss ceiling": usage as the kernel charges it, to the cgroup or to
 * the parent; rss as /proc has it, of the process or of all; ceiling is the parent's limit.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <barostat/page.h>

#include "bench/mixed/mixed.h"

#define ENGINES_MAX 8
#define NO_LIMIT    (UINT64_C(1) << 60)

struct watched {
	char name[32];
	int usage_fd, limit_fd, rss_fd;
	uint64_t usage, rss, budget, limit, release;
	uint32_t level;
};

static int open_in(const char *dir, const char *name, const char *v2, const char *v1)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%s", dir, name, v2);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		snprintf(path, sizeof(path), "%s/%s/%s", dir, name, v1);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

/* The number in the given column of a file, 0 on; 0 when it is gone, UINT64_MAX for "max". */
static uint64_t read_number(int fd, int column)
{
	char text[256], *p = text;
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = 0;
	while (column-- && (p = strchr(p, ' ')))
		p++;
	if (!p)
		return 0;
	return strncmp(p, "max", 3) ? strtoull(p, NULL, 10) : UINT64_MAX;
}

static uint64_t read_limit(int fd)
{
	uint64_t limit = read_number(fd, 0);

	return limit > NO_LIMIT ? 0 : limit;
}

static void open_cgroup(struct watched *w, const char *parent)
{
	w->usage_fd = open_in(parent, w->name, "memory.current", "memory.usage_in_bytes");
	w->limit_fd = open_in(parent, w->name, "memory.max", "memory.limit_in_bytes");
	w->rss_fd = -1;
}

static void open_engine(struct watched *w, const char *parent, const char *text)
{
	const char *colon = strchr(text, ':');
	char path[64];

	if (!colon || (size_t)(colon - text) >= sizeof(w->name))
		errx(2, "%s: NAME:PID", text);
	snprintf(w->name, sizeof(w->name), "%.*s", (int)(colon - text), text);
	open_cgroup(w, parent);
	snprintf(path, sizeof(path), "/proc/%ld/statm", strtol(colon + 1, NULL, 10));
	w->rss_fd = open(path, O_RDONLY | O_CLOEXEC); /* -1: it is gone already */
}

static void sample(struct watched *w, const struct baro_page *page)
{
	struct baro_slot_ref ref;
	struct baro_pressure now;

	w->usage = read_number(w->usage_fd, 0);
	w->rss = read_number(w->rss_fd, 1) * (uint64_t)sysconf(_SC_PAGESIZE);
	w->limit = read_limit(w->limit_fd);
	w->budget = w->limit;
	w->release = w->level = 0;
	if (page && baro_page_find(page, w->name, &ref) == 0 && baro_page_read(&ref, &now) == 0) {
		w->budget = now.budget_bytes == BARO_PAGE_NONE ? 0 : now.budget_bytes;
		w->release = now.release_bytes;
		w->level = BARO_STATUS_LEVEL(now.status);
	}
}

static void print(const struct watched *w, int engines, const struct watched *total, uint64_t ms)
{
	uint64_t rss = 0;

	for (int i = 0; i < engines; i++) {
		printf("%" PRIu64 "\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
		       "\t%" PRIu64 "\t%" PRIu32 "\n",
		       ms, w[i].name, w[i].usage, w[i].rss, w[i].budget, w[i].limit, w[i].release,
		       w[i].level);
		rss += w[i].rss;
	}
	printf("%" PRIu64 "\ttotal\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", ms, total->usage, rss,
	       total->limit);
}

int watch_run(int argc, char **argv)
{
	static struct watched w[ENGINES_MAX], total;
	struct baro_page *page = NULL;
	int engines = argc - 4, r;
	uint64_t begin_ns, interval_ns;

	if (engines < 1 || engines > ENGINES_MAX)
		errx(2, "usage: mixed watch PAGE|- BEGIN_US INTERVAL_MS PARENT_DIR NAME:PID...");
	r = strcmp(argv[0], "-") ? baro_page_open(argv[0], &page) : 0;
	if (r < 0)
		errx(1, "%s: %s", argv[0], baro_page_strerror(r));
	begin_ns = clock_from_realtime_us(strtoull(argv[1], NULL, 10));
	interval_ns = strtoull(argv[2], NULL, 10) * NS_PER_MS;
	if (!interval_ns)
		errx(2, "%s: an interval in milliseconds", argv[2]);
	strcpy(total.name, ".");
	open_cgroup(&total, argv[3]);
	for (int i = 0; i < engines; i++)
		open_engine(&w[i], argv[3], argv[i + 4]);
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	for (uint64_t at = begin_ns;; at += interval_ns) {
		clock_sleep_until(at);
		for (int i = 0; i < engines; i++)
			sample(&w[i], page);
		sample(&total, NULL);
		print(w, engines, &total, (clock_now_ns() - begin_ns) / NS_PER_MS);
		fflush(stdout);
	}
}
