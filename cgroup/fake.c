/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of cgroups in a plain directory tree, so that a daemon and its tests can run without
 * root: a new directory gets the files that the kernel would show, empty and unlimited.
 */
#include "cgroup/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "cgroup/tree.h"
#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/common/io.h"

#define PROCS_MAX 16384

#define EMPTY_WAIT_NS (NS_PER_MS / 2)
#define EMPTY_TRIES   20

struct fake_file {
	const char *name, *text;
};

#define FAKE_PRESSURE                                                                              \
	"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"                                         \
	"full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"

static const struct fake_file v2_files[] = {
	{ "cgroup.controllers", "memory\n" },
	{ "cgroup.subtree_control", "" },
	{ "cgroup.events", "populated 0\nfrozen 0\n" },
	{ "memory.current", "0\n" },
	{ "memory.swap.current", "0\n" },
	{ "memory.min", "0\n" },
	{ "memory.low", "0\n" },
	{ "memory.high", "max\n" },
	{ "memory.max", "max\n" },
	{ "memory.reclaim", "" },
	{ "memory.stat",
	  "anon 0\nfile 0\nkernel 0\nshmem 0\nfile_mapped 0\nfile_dirty 0\nfile_writeback 0\n"
	  "inactive_file 0\nactive_file 0\nunevictable 0\nworkingset_refault_anon 0\n"
	  "workingset_refault_file 0\npgscan 0\npgsteal 0\npgfault 0\npgmajfault 0\n" },
	{ "memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n" },
	{ "cpu.stat", "usage_usec 0\nuser_usec 0\nsystem_usec 0\n" },
	{ "memory.pressure", FAKE_PRESSURE },
	{ "io.pressure", FAKE_PRESSURE },
	{ "cgroup.procs", "" },
};

static const struct fake_file v1_files[] = {
	{ "memory.usage_in_bytes", "0\n" },
	{ "memory.kmem.usage_in_bytes", "0\n" },
	{ "memory.limit_in_bytes", "9223372036854771712\n" },
	{ "memory.failcnt", "0\n" },
	{ "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n" },
	{ "memory.stat",
	  "total_cache 0\ntotal_rss 0\ntotal_shmem 0\ntotal_mapped_file 0\ntotal_dirty 0\n"
	  "total_writeback 0\ntotal_workingset_refault_anon 0\ntotal_workingset_refault_file 0\n"
	  "total_swap 0\ntotal_pgfault 0\ntotal_pgmajfault 0\ntotal_inactive_file 0\n"
	  "total_active_file 0\ntotal_unevictable 0\n" },
	{ "cgroup.procs", "" },
};

static const struct fake_file twin_files[] = {
	{ "cgroup.events", "populated 0\nfrozen 0\n" },
	{ "cpu.stat", "usage_usec 0\nuser_usec 0\nsystem_usec 0\n" },
	{ "memory.pressure", FAKE_PRESSURE },
	{ "io.pressure", FAKE_PRESSURE },
	{ "cgroup.procs", "" },
};

/* One of the one or two trees of a backend. */
struct fake_tree {
	int rootfd;
	const struct fake_file *files;
	size_t count;
};

static size_t trees_of(const struct cg_backend *b, struct fake_tree ret[2])
{
	if (b->abilities.beneath == CG_KIND_V2) {
		ret[0] = (struct fake_tree){ b->memory_fd, v2_files, ARRAY_SIZE(v2_files) };
		return 1;
	}
	ret[0] = (struct fake_tree){ b->memory_fd, v1_files, ARRAY_SIZE(v1_files) };
	ret[1] = (struct fake_tree){ b->psi_fd, twin_files, ARRAY_SIZE(twin_files) };
	return b->psi_fd >= 0 ? 2 : 1;
}

static int open_dir(int rootfd, const char *path)
{
	int fd = openat(rootfd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* What is there already stays as it is. */
static int fill(const char *path, void *arg)
{
	const struct fake_tree *t = arg;
	_cleanup_close_ int dirfd = open_dir(t->rootfd, path);

	if (dirfd < 0)
		return dirfd;
	if (!*path)
		return 0; /* the root is the tester's */
	for (size_t i = 0; i < t->count; i++) {
		_cleanup_close_ int fd =
		    openat(dirfd, t->files[i].name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		int r;

		if (fd < 0 && errno == EEXIST)
			continue;
		r = fd < 0 ? -errno : io_pwrite_text(fd, t->files[i].text);
		if (r < 0)
			return r;
	}
	return 0;
}

int cg_fake_create(struct cg_backend *b, const char *path, bool *ret_created)
{
	struct fake_tree trees[2];
	size_t count = trees_of(b, trees);
	bool created[2];

	for (size_t i = 0; i < count; i++) {
		int r = cg_tree_make(trees[i].rootfd, path, &created[i]);

		if (!r)
			r = cg_tree_each_ancestor(path, fill, &trees[i]);
		if (!r)
			r = fill(path, &trees[i]);
		if (r < 0)
			return r;
	}
	*ret_created = created[0];
	return 0;
}

static int refuse_busy(int dirfd)
{
	bool busy;
	int r = cg_tree_populated(dirfd, false, &busy);

	if (!r && !busy)
		r = cg_tree_has_children(dirfd, &busy);
	if (r < 0)
		return r;
	return busy ? -EBUSY : 0;
}

int cg_fake_delete(struct cg_backend *b, const char *path)
{
	struct fake_tree trees[2];
	size_t count = trees_of(b, trees);

	for (size_t i = 0; i < count; i++) {
		_cleanup_close_ int dirfd = open_dir(trees[i].rootfd, path);
		int r = dirfd < 0 ? dirfd : refuse_busy(dirfd);

		if (r < 0)
			return r;
		for (size_t f = 0; f < trees[i].count; f++)
			unlinkat(dirfd, trees[i].files[f].name, 0);
		if (unlinkat(trees[i].rootfd, path, AT_REMOVEDIR) < 0)
			return -errno;
	}
	return 0;
}

/* cgroup.procs without the process, and with it again at the end if wanted. */
static int rewrite_procs(int dirfd, pid_t pid, bool with)
{
	_cleanup_close_ int fd = openat(dirfd, "cgroup.procs", O_RDWR | O_CLOEXEC);
	char text[PROCS_MAX], kept[PROCS_MAX + 16];
	char *save = NULL, *word;
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = io_pread_text(fd, text, PROCS_MAX);
	if (n < 0)
		return (int)n;
	for (word = strtok_r(text, "\n", &save); word; word = strtok_r(NULL, "\n", &save))
		if (strtol(word, NULL, 10) != pid)
			len += (size_t)sprintf(kept + len, "%s\n", word);
	if (with)
		len += (size_t)sprintf(kept + len, "%d\n", (int)pid);
	kept[len] = '\0';
	if (ftruncate(fd, 0) < 0)
		return -errno;
	return io_pwrite_text(fd, kept);
}

static int lists_pid(int dirfd, pid_t pid)
{
	char text[PROCS_MAX];
	char *save = NULL, *word;
	ssize_t n;

	n = io_read_file_at(dirfd, "cgroup.procs", text, PROCS_MAX);
	if (n < 0)
		return n == -ENOENT ? 0 : (int)n;
	for (word = strtok_r(text, "\n", &save); word; word = strtok_r(NULL, "\n", &save))
		if (strtol(word, NULL, 10) == pid)
			return 1;
	return 0;
}

/* Grows `path` (CG_PATH_MAX bytes) to the cgroup that lists the process. 1: found; 0: nowhere. */
static int find_pid(int dirfd, pid_t pid, char *path, unsigned int depth)
{
	_cleanup_closedir_ DIR *d = NULL;
	size_t len = strlen(path);
	const char *name;
	int r;

	r = lists_pid(dirfd, pid);
	if (r != 0 || !depth)
		return r;
	d = cg_tree_list(dirfd);
	if (!d)
		return -errno;
	while ((name = cg_tree_next_child(d))) {
		_cleanup_close_ int child = open_dir(dirfd, name);

		if (child < 0 || len + strlen(name) + 2 > CG_PATH_MAX)
			continue;
		sprintf(path + len, "%s%s", len ? "/" : "", name);
		r = find_pid(child, pid, path, depth - 1);
		if (r != 0)
			return r;
		path[len] = '\0';
	}
	return 0;
}

int cg_fake_attach(struct cg_backend *b, const char *path, pid_t pid)
{
	struct fake_tree trees[2];
	size_t count = trees_of(b, trees);

	if (kill(pid, 0) < 0 && errno == ESRCH)
		return -ESRCH;
	for (size_t i = 0; i < count; i++) {
		_cleanup_close_ int to = open_dir(trees[i].rootfd, path), from = -1;
		char present[CG_PATH_MAX] = "";
		int r;

		if (to < 0)
			return to;
		r = find_pid(trees[i].rootfd, pid, present, CG_DEPTH_MAX);
		if (r > 0) {
			from = open_dir(trees[i].rootfd, present);
			r = from < 0 ? from : rewrite_procs(from, pid, false);
		}
		if (!r)
			r = rewrite_procs(to, pid, true);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A process that no file lists is in the root, as everywhere. */
int cg_fake_path_of_pid(struct cg_backend *b, pid_t pid, char *ret_path, size_t size)
{
	char path[CG_PATH_MAX] = "";
	int r;

	if (kill(pid, 0) < 0 && errno == ESRCH)
		return -ESRCH;
	r = find_pid(b->memory_fd, pid, path, CG_DEPTH_MAX);
	if (r < 0)
		return r;
	if (strlen(path) >= size)
		return -ENAMETOOLONG;
	memcpy(ret_path, path, strlen(path) + 1);
	return (int)strlen(path);
}

/* The kernel answers -ENODEV for a removed cgroup; here the descriptor would go on working. */
static int refuse_removed(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_nlink ? 0 : -ENODEV;
}

/* For tests: chmod a-w is a write that the kernel refuses, to root and after the opening, too. */
static int refuse_write(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_mode & 0222 ? 0 : -EACCES;
}

static ssize_t read_locked(int fd, char *buf, size_t size)
{
	ssize_t len;

	if (flock(fd, LOCK_SH) < 0)
		return -errno;
	len = io_pread_text(fd, buf, size);
	flock(fd, LOCK_UN);
	return len;
}

ssize_t cg_fake_read(int fd, char *buf, size_t size)
{
	const struct timespec wait = { .tv_nsec = EMPTY_WAIT_NS };
	int r = refuse_removed(fd);
	ssize_t len = 0;

	/* A shell that writes `echo 1 > file` empties it first, and knows nothing of the lock. */
	for (unsigned int i = 0; !r && !len && i < EMPTY_TRIES; i++) {
		if (i)
			nanosleep(&wait, NULL);
		len = read_locked(fd, buf, size);
	}
	return r < 0 ? r : len;
}

int cg_fake_write(int fd, const char *text)
{
	int r = refuse_removed(fd);

	if (r == 0)
		r = refuse_write(fd);
	if (r < 0)
		return r;
	if (flock(fd, LOCK_EX) < 0)
		return -errno;
	r = ftruncate(fd, 0) < 0 ? -errno : io_pwrite_text(fd, text);
	flock(fd, LOCK_UN);
	return r;
}
