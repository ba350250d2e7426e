// SPDX-License-Identifier: BSD-2-Clause
/*
 * Without a daemon: what the cgroup's own files say. The lowest limit of the cgroup and of all
 * above it is what counts, as for the kernel. Clean cache is not pressure, so the level comes from
 * what cannot be dropped, as on the page.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/lib/client_internal.h"
#include "user/lib/clock.h"
#include "user/lib/page_internal.h"

#define PATH_BYTES 4352
#define STAT_BYTES 8192
#define V1_NONE    (UINT64_C(1) << 62) /* "no limit" of v1 is about 2^63, rounded to pages */

struct found {
	bool used;
	uint64_t usage_bytes, held_bytes, limit_bytes;
};

/* The kernel says ENODEV when a cgroup has just been removed. */
static int code_of(int error)
{
	return error == ENODEV ? -ENOENT : -error;
}

/* NUL-terminated. -ENOENT: there is no such file, or its cgroup has been removed. Any other error
 * says nothing about what would have been in it. */
static int read_text(const char *dir, const char *name, char *buf, size_t size)
{
	char path[PATH_BYTES];
	ssize_t len;
	int fd, r, n = snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return code_of(errno);
	len = read(fd, buf, size - 1);
	r = len > 0 ? 0 : code_of(len ? errno : ENODATA);
	close(fd);
	if (!r)
		buf[len] = '\0';
	return r;
}

/* Lowers *least_bytes, unless it reads "max" or v1's huge number, or there is no such file. */
static int read_limit(const char *dir, const char *name, uint64_t *least_bytes)
{
	char buf[32], *end;
	unsigned long long v;
	int r = read_text(dir, name, buf, sizeof(buf));

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	v = strtoull(buf, &end, 10);
	if (end != buf && v < V1_NONE && v < *least_bytes)
		*least_bytes = v;
	return 0;
}

/* One line "KEY VALUE" of memory.stat; 0 when it is not there. */
static uint64_t stat_value(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, key, len) && p[len] == ' ')
			return strtoull(p + len, NULL, 10);
		if (!*p)
			break;
	}
	return 0;
}

/* What is used of it, and held. -ENOENT: memory is not counted here. */
static int read_use(const char *dir, bool unified, struct found *f)
{
	char text[STAT_BYTES] = "";
	uint64_t usage_bytes;
	int r = read_text(dir, unified ? "memory.current" : "memory.usage_in_bytes", text,
			  sizeof(text));

	if (r < 0)
		return r;
	usage_bytes = strtoull(text, NULL, 10);
	r = read_text(dir, "memory.stat", text, sizeof(text));
	if (r < 0)
		return r;
	f->used = true;
	f->usage_bytes = usage_bytes;
	f->held_bytes = unified ? stat_value(text, "anon") + stat_value(text, "shmem") +
				      stat_value(text, "kernel")
				: stat_value(text, "total_rss") + stat_value(text, "total_shmem");
	return 0;
}

/* The usage is that of the nearest cgroup; it is measured by its own limit and those above it. */
static int look(void *arg, uint32_t hierarchy, const char *dir, uint64_t id)
{
	struct found *f = arg;
	int r = f->used ? 0 : read_use(dir, !hierarchy, f);

	if (r < 0)
		return r;
	if (hierarchy)
		r = read_limit(dir, "memory.limit_in_bytes", &f->limit_bytes);
	else
		r = read_limit(dir, "memory.max", &f->limit_bytes);
	if (!r && !hierarchy)
		r = read_limit(dir, "memory.high", &f->limit_bytes);
	return r < 0 ? r : -ENOENT; /* on to the next */
}

/* How much of the limit is held by what cannot be dropped: the score of who has no daemon. */
static uint32_t score_of(const struct found *f)
{
	if (f->limit_bytes == BARO_PAGE_NONE || !f->limit_bytes)
		return 0;
	if (f->held_bytes >= f->limit_bytes)
		return 1000000;
	return (uint32_t)((unsigned __int128)f->held_bytes * 1000000 / f->limit_bytes);
}

/* The thresholds of the page, without its hysteresis. */
static uint32_t level_of(const struct found *f)
{
	uint32_t percent = score_of(f) / 10000;

	return percent >= 95   ? BARO_LEVEL_EMERGENCY
	       : percent >= 85 ? BARO_LEVEL_CRITICAL
	       : percent >= 70 ? BARO_LEVEL_WARNING
			       : BARO_LEVEL_NORMAL;
}

int files_read(const char *cgroup_file, const char *mountinfo_file, struct baro_pressure *ret)
{
	struct found f = { .limit_bytes = BARO_PAGE_NONE };
	int r = self_walk(cgroup_file, mountinfo_file, look, &f);

	if (r != -ENOENT && r != -EAGAIN)
		return r;
	if (!f.used)
		return -ENOENT;
	*ret = (struct baro_pressure){
		.score_ppm = score_of(&f),
		.status = level_of(&f) | (uint64_t)BARO_SLOT_ACTIVE << 8,
		.updated_ns = lib_now_ns(),
		.budget_bytes = f.limit_bytes,
		.target_bytes = f.limit_bytes,
		.limit_bytes = f.limit_bytes,
		.usage_bytes = f.usage_bytes,
		.headroom_bytes = f.limit_bytes == BARO_PAGE_NONE ? BARO_PAGE_NONE
				  : f.limit_bytes > f.usage_bytes ? f.limit_bytes - f.usage_bytes
								  : 0,
		.time_to_ceiling_ns = BARO_PAGE_NONE,
	};
	return 0;
}
