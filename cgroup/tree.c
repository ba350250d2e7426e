/* SPDX-License-Identifier: BSD-2-Clause */
#include "cgroup/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup/parse.h"
#include "user/common/cleanup.h"

static int open_dir(int rootfd, const char *path)
{
	int fd = openat(rootfd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

bool cg_tree_exists(int rootfd, const char *path)
{
	struct stat st;

	return fstatat(rootfd, *path ? path : ".", &st, 0) == 0 && S_ISDIR(st.st_mode);
}

/* Child directories of a directory, one per call. The stream owns a copy of the descriptor. */
DIR *cg_tree_list(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d;

	if (fd < 0)
		return NULL;
	d = fdopendir(fd);
	if (!d)
		close(fd);
	return d;
}

const char *cg_tree_next_child(DIR *d)
{
	const struct dirent *e;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): each caller has a stream of its own */
	while ((e = readdir(d)))
		if (e->d_type == DT_DIR && strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0)
			return e->d_name;
	return NULL;
}

int cg_tree_has_children(int dirfd, bool *ret_has)
{
	_cleanup_closedir_ DIR *d = cg_tree_list(dirfd);

	if (!d)
		return -errno;
	*ret_has = cg_tree_next_child(d) != NULL;
	return 0;
}

static int has_procs(int dirfd, bool *ret_has)
{
	_cleanup_close_ int fd = openat(dirfd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char c;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	n = pread(fd, &c, 1, 0);
	/* A threaded cgroup does not list its processes; its domain does. */
	if (n < 0 && errno != EOPNOTSUPP)
		return -errno;
	*ret_has = n > 0;
	return 0;
}

static int populated_below(int dirfd, unsigned int depth, bool *ret_populated)
{
	_cleanup_closedir_ DIR *d = NULL;
	const char *name;
	int r;

	r = has_procs(dirfd, ret_populated);
	if (r < 0 || *ret_populated || !depth)
		return r;
	d = cg_tree_list(dirfd);
	if (!d)
		return -errno;
	while ((name = cg_tree_next_child(d))) {
		_cleanup_close_ int fd = open_dir(dirfd, name);

		if (fd < 0)
			continue; /* gone since it was listed */
		r = populated_below(fd, depth - 1, ret_populated);
		if (r < 0 && r != -ENODEV)
			return r;
		if (*ret_populated)
			return 0;
	}
	return 0;
}

int cg_tree_populated(int dirfd, bool deep, bool *ret_populated)
{
	bool populated = false;
	int r = populated_below(dirfd, deep ? CG_DEPTH_MAX : 0, &populated);

	if (r < 0)
		return r;
	*ret_populated = populated;
	return 0;
}

static int pids_here(int dirfd, pid_t *ret_pids, size_t max, size_t *inout_count)
{
	_cleanup_close_ int fd = openat(dirfd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char buf[4096];
	size_t have = 0;

	if (fd < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	for (;;) {
		ssize_t n = read(fd, buf + have, sizeof(buf) - have);
		size_t used;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EOPNOTSUPP ? 0 : -errno;
		if (n == 0)
			return 0;
		have += (size_t)n;
		used = cg_parse_pids(buf, have, ret_pids, max, inout_count);
		have -= used;
		if (have == sizeof(buf))
			return -EINVAL; /* one line fills the buffer: not a list of PIDs */
		memmove(buf, buf + used, have);
	}
}

static int pids_below(int dirfd, unsigned int depth, pid_t *ret_pids, size_t max,
		      size_t *inout_count)
{
	_cleanup_closedir_ DIR *d = NULL;
	const char *name;
	int r;

	r = pids_here(dirfd, ret_pids, max, inout_count);
	if (r < 0 || !depth)
		return r;
	d = cg_tree_list(dirfd);
	if (!d)
		return -errno;
	while ((name = cg_tree_next_child(d))) {
		_cleanup_close_ int fd = open_dir(dirfd, name);

		if (fd < 0)
			continue;
		r = pids_below(fd, depth - 1, ret_pids, max, inout_count);
		if (r < 0 && r != -ENODEV)
			return r;
	}
	return 0;
}

int cg_tree_pids(int dirfd, pid_t *ret_pids, size_t max)
{
	size_t count = 0;
	int r = pids_below(dirfd, CG_DEPTH_MAX, ret_pids, max, &count);

	return r < 0 ? r : (int)count;
}

int cg_tree_each_ancestor(const char *path, int (*each)(const char *ancestor, void *arg), void *arg)
{
	char prefix[CG_PATH_MAX] = "";
	const char *slash = path;
	int r;

	if (!*path)
		return 0;
	r = each("", arg);
	while (r >= 0 && (slash = strchr(slash, '/'))) {
		memcpy(prefix, path, (size_t)(slash - path));
		prefix[slash - path] = '\0';
		r = each(prefix, arg);
		slash++;
	}
	return r < 0 ? r : 0;
}

struct depth {
	int rootfd;
	unsigned int existing;
};

static int count_existing(const char *ancestor, void *arg)
{
	struct depth *d = arg;

	if (*ancestor && cg_tree_exists(d->rootfd, ancestor))
		d->existing++;
	return 0;
}

unsigned int cg_tree_depth_existing(int rootfd, const char *path)
{
	struct depth d = { .rootfd = rootfd };

	cg_tree_each_ancestor(path, count_existing, &d);
	return d.existing + (*path && cg_tree_exists(rootfd, path));
}

static int make_one(const char *path, void *arg)
{
	const int *rootfd = arg;

	if (!*path || mkdirat(*rootfd, path, 0755) == 0 || errno == EEXIST)
		return 0;
	return -errno;
}

int cg_tree_make(int rootfd, const char *path, bool *ret_created)
{
	int r = cg_tree_each_ancestor(path, make_one, &rootfd);

	if (r < 0)
		return r;
	if (!*path) {
		*ret_created = false;
		return 0;
	}
	if (mkdirat(rootfd, path, 0755) == 0) {
		*ret_created = true;
		return 0;
	}
	if (errno != EEXIST)
		return -errno;
	*ret_created = false;
	return 0;
}

void cg_tree_unmake(int rootfd, const char *path, unsigned int keep)
{
	char prefix[CG_PATH_MAX];
	unsigned int depth = 1;
	char *slash;

	if (!*path)
		return;
	memcpy(prefix, path, strlen(path) + 1);
	for (const char *p = prefix; *p; p++)
		depth += *p == '/';
	for (; depth > keep; depth--) {
		if (unlinkat(rootfd, prefix, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return;
		slash = strrchr(prefix, '/');
		if (!slash)
			return;
		*slash = '\0';
	}
}
