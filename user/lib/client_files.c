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

/* NUL-terminated; the length, or 0 when there is nothing. */
static size_t read_text(const char *dir, const char *name, char *buf, size_t size)
{
	char path[PATH_BYTES];
	ssize_t len;
	int fd, n = snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	len = read(fd, buf, size - 1);
	close(fd);
	buf[len > 0 ? len : 0] = '\0';
	return len > 0 ? (size_t)len : 0;
}

/* BARO_PAGE_NONE for "max", for v1's huge number, and when there is no such file. */
static uint64_t read_limit(const char *dir, const char *name)
{
	char buf[32], *end;
	unsigned long long v;

	if (!read_text(dir, name, buf, sizeof(buf)))
		return BARO_PAGE_NONE;
	v = strtoull(buf, &end, 10);
	return end == buf || v >= V1_NONE ? BARO_PAGE_NONE : v;
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

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int look(void *arg, uint32_t hierarchy, const char *dir, uint64_t id)
{
	const char *const usage_name = hierarchy ? "memory.usage_in_bytes" : "memory.current";
	struct found *f = arg;
	char text[STAT_BYTES];
	uint64_t limit;

	limit = hierarchy ? read_limit(dir, "memory.limit_in_bytes")
			  : least(read_limit(dir, "memory.max"), read_limit(dir, "memory.high"));
	f->limit_bytes = least(f->limit_bytes, limit);
	if (!f->used && read_text(dir, usage_name, text, sizeof(text))) {
		f->used = true;
		f->usage_bytes = strtoull(text, NULL, 10);
		if (read_text(dir, "memory.stat", text, sizeof(text)))
			f->held_bytes =
			    hierarchy
				? stat_value(text, "total_rss") + stat_value(text, "total_shmem")
				: stat_value(text, "anon") + stat_value(text, "shmem") +
				      stat_value(text, "kernel");
	}
	return -ENOENT; /* on to the next */
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
