/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory on the v1 hierarchy, pressure on the unified tree: every cgroup has a twin there. */
#include "cgroup/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cgroup/libcg.h"
#include "cgroup/parse.h"
#include "cgroup/tree.h"
#include "user/common/cleanup.h"
#include "user/common/io.h"
#include "user/common/units.h"

#define STAT_MAX 8192

const struct cg_names cg_hybrid_names = {
	.file = { [CG_FILE_USAGE] = "memory.usage_in_bytes",
		  [CG_FILE_STAT] = "memory.stat",
		  [CG_FILE_KERNEL] = "memory.kmem.usage_in_bytes",
		  [CG_FILE_EVENTS] = "memory.failcnt",
		  [CG_FILE_OOM] = "memory.oom_control" },
	.limit = { [CG_LIMIT_MAX] = "memory.limit_in_bytes" },
};

/* -- life -- */

/* libcgroup knows the unified tree only through the controllers that are left on it. */
static int make_twin(int psi_fd, const char *path)
{
	unsigned int existing = cg_tree_depth_existing(psi_fd, path);
	bool created;
	int r = cg_tree_make(psi_fd, path, &created);

	if (r < 0)
		cg_tree_unmake(psi_fd, path, existing);
	return r;
}

static int hybrid_create(struct cg_backend *b, const char *path, bool *ret_created)
{
	unsigned int existing = cg_tree_depth_existing(b->memory_fd, path);
	bool existed = cg_tree_exists(b->memory_fd, path);
	int r;

	if (b->fake)
		return cg_fake_create(b, path, ret_created);
	r = cg_lib_open(b->memory_fd);
	if (r < 0)
		return r;
	r = cg_lib_create(path, b->memory_fd);
	if (!r && b->psi_fd >= 0)
		r = make_twin(b->psi_fd, path);
	if (r < 0) {
		cg_tree_unmake(b->memory_fd, path, existing);
		return r;
	}
	*ret_created = !existed;
	return 0;
}

static int busy_dir(int dirfd)
{
	bool busy;
	int r = cg_tree_populated(dirfd, false, &busy);

	if (!r && !busy)
		r = cg_tree_has_children(dirfd, &busy);
	if (r < 0)
		return r;
	return busy ? -EBUSY : 0;
}

static int hybrid_delete(struct cg_backend *b, const char *path)
{
	_cleanup_(cg_node_freep) struct cg_node *n = NULL;
	int r;

	if (b->fake)
		return cg_fake_delete(b, path);
	r = cg_lib_open(b->memory_fd);
	if (r < 0)
		return r;
	r = cg_node_new(b, path, &n);
	if (r < 0)
		return r;
	r = busy_dir(n->dirfd);
	if (!r && n->psi_dirfd >= 0)
		r = busy_dir(n->psi_dirfd);
	if (r < 0)
		return r;
	/* The charge of its cache would stay on the parent. Best effort: it never blocks rmdir. */
	io_write_file_at(n->dirfd, "memory.force_empty", "0");
	r = cg_lib_delete(path, b->memory_fd);
	if (r < 0)
		return r;
	if (n->psi_dirfd >= 0 && unlinkat(b->psi_fd, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

static int move(int rootfd, const char *path, pid_t pid)
{
	char file[CG_PATH_MAX + 16], text[16];

	snprintf(file, sizeof(file), "%s%scgroup.procs", path, *path ? "/" : "");
	snprintf(text, sizeof(text), "%d", (int)pid);
	return io_write_file_at(rootfd, file, text);
}

/*
 * By hand: libcgroup writes the v1 file `tasks`, which moves one thread of the process, and does
 * not write the unified tree at all.
 */
static int hybrid_attach(struct cg_backend *b, const char *path, pid_t pid)
{
	int r;

	if (b->fake)
		return cg_fake_attach(b, path, pid);
	r = move(b->memory_fd, path, pid);
	if (r < 0 || b->psi_fd < 0)
		return r;
	r = move(b->psi_fd, path, pid);
	/* A cgroup that others made may have no twin: it is managed without its pressure. */
	return r == -ENOENT ? 0 : r;
}

static int hybrid_path_of_pid(struct cg_backend *b, pid_t pid, char *ret_path, size_t size)
{
	if (b->fake)
		return cg_fake_path_of_pid(b, pid, ret_path, size);
	return cg_path_in_proc(pid, "memory", ret_path, size);
}

/* -- in use -- */

static int hybrid_stat(struct cg_node *n, struct cg_stat *ret)
{
	char buf[STAT_MAX];
	ssize_t len = cg_node_read(n, CG_FILE_STAT, buf, sizeof(buf));
	struct cg_stat stat;
	uint64_t kernel;
	int r;

	if (len < 0)
		return (int)len;
	r = cg_parse_stat_v1(buf, (size_t)len, &stat);
	if (r < 0)
		return r;
	r = cg_node_read_u64(n, CG_FILE_KERNEL, &kernel);
	if (r < 0 && r != -EOPNOTSUPP)
		return r;
	if (!r) {
		stat.value[CG_STAT_KERNEL] = kernel;
		stat.missing &= ~(1u << CG_STAT_KERNEL);
	}
	*ret = stat;
	return 0;
}

static int hybrid_events(struct cg_node *n, struct cg_events *ret)
{
	struct cg_events e = { 0 };
	char buf[256];
	ssize_t len;
	int r;

	r = cg_node_read_u64(n, CG_FILE_EVENTS, &e.max);
	if (r < 0)
		return r;
	len = cg_node_read(n, CG_FILE_OOM, buf, sizeof(buf));
	if (len < 0)
		return (int)len;
	r = cg_parse_key(buf, (size_t)len, "oom_kill", &e.oom_kill);
	if (r < 0)
		return r;
	*ret = e;
	return 0;
}

/* "No limit" is the largest multiple of a page below 2^63. */
static int hybrid_limit(struct cg_node *n, enum cg_limit which, enum cg_file via,
			uint64_t *ret_bytes)
{
	uint64_t bytes;
	int r = cg_node_read_u64(n, via + which, &bytes);

	if (r < 0)
		return r;
	*ret_bytes = bytes >= cg_page_floor(INT64_MAX) ? BYTES_NO_LIMIT : bytes;
	return 0;
}

static int hybrid_set_limit(struct cg_node *n, enum cg_limit which, enum cg_file via,
			    uint64_t bytes, uint64_t *ret_actual)
{
	char text[32] = "-1";
	int r;

	if (bytes != BYTES_NO_LIMIT)
		snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	r = cg_node_write(n, via + which, text);
	if (r < 0)
		return r;
	return hybrid_limit(n, which, via, ret_actual);
}

static int hybrid_reclaim(struct cg_node *n, uint64_t bytes, uint64_t *ret_freed)
{
	return -EOPNOTSUPP;
}

static int hybrid_populated(struct cg_node *n, bool *ret)
{
	return cg_tree_populated(n->dirfd, true, ret);
}

const struct cg_ops cg_hybrid_ops = {
	.create = hybrid_create,
	.delete = hybrid_delete,
	.attach = hybrid_attach,
	.path_of_pid = hybrid_path_of_pid,
	.stat = hybrid_stat,
	.events = hybrid_events,
	.limit = hybrid_limit,
	.set_limit = hybrid_set_limit,
	.reclaim = hybrid_reclaim,
	.populated = hybrid_populated,
};
