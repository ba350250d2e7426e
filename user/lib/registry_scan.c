// SPDX-License-Identifier: BSD-2-Clause
/* Registering what is below a directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/lib/options.h"
#include "user/lib/registry_internal.h"

#define DEPTH_DEFAULT 8

struct scan {
	const struct baro_registry_dir *options;
	struct baro_registry_report *report;
	struct registry_batch batch;
	size_t indexes_max;
	size_t dir_bytes, prefix_bytes;
	uint32_t depth;
	/* prefix and path below the directory: a name, as far as it is known */
	char name[BARO_INDEX_NAME_MAX];
	size_t name_bytes;
};

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_dots(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t bytes = strlen(name), end = suffix ? strlen(suffix) : 0;

	return !end || (bytes > end && !strcmp(name + bytes - end, suffix));
}

static int take_file(struct scan *s, uint64_t bytes)
{
	const struct registry_item item = { .name = s->name,
					    .name_bytes = (uint32_t)s->name_bytes,
					    .bytes = bytes,
					    .tag = s->options->tag };

	if (registry_check_name(s->name, s->name_bytes) < 0 ||
	    s->dir_bytes + 1 + s->name_bytes - s->prefix_bytes >= BARO_INDEX_PATH_MAX) {
		s->report->skipped++;
		return 0;
	}
	if (s->batch.n >= s->indexes_max)
		return -ENOSPC;
	return registry_batch_add(&s->batch, &item);
}

static int scan_dir(struct scan *s, int fd);

static int enter_dir(struct scan *s, int parent, const char *name)
{
	int fd, status;

	if (s->depth == s->options->depth_max) {
		s->report->too_deep++;
		return 0;
	}
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			return -errno;
		s->report->skipped++;
		return 0;
	}
	s->depth++;
	status = scan_dir(s, fd);
	s->depth--;
	close(fd);
	return status;
}

/* One entry of a directory, whose own name is in s->name already. */
static int take_entry(struct scan *s, int fd, const char *name)
{
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		/* it may be gone by now */
		s->report->skipped += errno != ENOENT;
		return 0;
	}
	if (S_ISDIR(st.st_mode))
		return enter_dir(s, fd, name);
	if (!S_ISREG(st.st_mode) || !has_suffix(name, s->options->suffix))
		return 0;
	return take_file(s, (uint64_t)st.st_size);
}

/* With the entry's name behind the ones above it. */
static int with_name(struct scan *s, int fd, const char *name)
{
	size_t before = s->name_bytes, bytes = strlen(name);
	bool slash = before > s->prefix_bytes;
	int status;

	if (before + slash + bytes >= sizeof(s->name)) {
		s->report->skipped++;
		return 0;
	}
	if (slash)
		s->name[before] = '/';
	memcpy(s->name + before + slash, name, bytes + 1);
	s->name_bytes = before + slash + bytes;
	status = take_entry(s, fd, name);
	s->name_bytes = before;
	return status;
}

/* In the order of names; which directories a failure has to do with is not told. */
static int scan_dir(struct scan *s, int fd)
{
	struct dirent **list = NULL;
	int n = scandirat(fd, ".", &list, not_dots, by_name), status = 0;

	if (n < 0) {
		if (errno == ENOMEM || !s->depth)
			return -errno;
		s->report->skipped++;
		return 0;
	}
	for (int i = 0; i < n; i++) {
		if (!status)
			status = with_name(s, fd, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return status;
}

static int take_options(const struct baro_registry_dir *given, struct baro_registry_dir *ret)
{
	struct baro_registry_dir o = { .size = sizeof(o) };
	int status = given ? options_take(&o, sizeof(o), sizeof(o), given) : 0;

	if (!status && o.depth_max > BARO_REGISTRY_DEPTH_MAX)
		status = -EINVAL;
	if (status < 0)
		return status;
	if (!o.depth_max)
		o.depth_max = DEPTH_DEFAULT;
	if (!o.prefix)
		o.prefix = "";
	*ret = o;
	return 0;
}

static int scan(struct scan *s, const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), status;

	if (fd < 0)
		return -errno;
	memcpy(s->name, s->options->prefix, s->prefix_bytes);
	s->name_bytes = s->prefix_bytes;
	status = scan_dir(s, fd);
	close(fd);
	return status;
}

/* What was found is in the directory's own entry, so that it does not carry the path itself. */
static int commit(struct baro_registry *r, struct scan *s, const char *dir)
{
	int number = s->batch.n ? registry_dir_number(r, dir, s->options->prefix) : 0;

	if (number < 0)
		return number;
	for (size_t i = 0; i < s->batch.n; i++)
		s->batch.item[i].dir = (uint16_t)number;
	return registry_commit(r, s->batch.item, s->batch.n, s->report, NULL);
}

int baro_registry_add_dir(struct baro_registry *r, const char *dir,
			  const struct baro_registry_dir *options,
			  struct baro_registry_report *ret_report)
{
	struct baro_registry_report report = { 0 };
	struct baro_registry_dir o;
	struct scan s = { .options = &o,
			  .report = &report,
			  .indexes_max = r->indexes_max,
			  .dir_bytes = strlen(dir) };
	int status = take_options(options, &o);

	if (!status)
		status = registry_check_path(dir, s.dir_bytes);
	if (!status && *o.prefix)
		status = registry_check_name(o.prefix, strlen(o.prefix));
	if (status < 0)
		return status;
	s.prefix_bytes = strlen(o.prefix);
	status = scan(&s, dir);
	if (!status)
		status = commit(r, &s, dir);
	registry_batch_free(&s.batch);
	if (!status && ret_report)
		*ret_report = report;
	return status;
}
