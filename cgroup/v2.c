/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory and pressure on the unified tree. */
#include "cgroup/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cgroup/libcg.h"
#include "cgroup/parse.h"
#include "cgroup/tree.h"
#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/common/io.h"
#include "user/common/units.h"

#define STAT_MAX           8192 /* 6.12 writes 2 KiB */
#define SHED_BITE_BYTES    (32 * MIB)
#define SHED_DEADLINE_NS   (3 * NS_PER_S)
#define SHED_TRIES_IN_VAIN 2

const struct cg_names cg_v2_names = {
	.file = { [CG_FILE_USAGE] = "memory.current",
		  [CG_FILE_STAT] = "memory.stat",
		  [CG_FILE_SWAP] = "memory.swap.current",
		  [CG_FILE_EVENTS] = "memory.events",
		  [CG_FILE_POPULATED] = "cgroup.events",
		  [CG_FILE_RECLAIM] = "memory.reclaim" },
	.limit = { [CG_LIMIT_MIN] = "memory.min",
		   [CG_LIMIT_LOW] = "memory.low",
		   [CG_LIMIT_HIGH] = "memory.high",
		   [CG_LIMIT_MAX] = "memory.max" },
};

/* -- life -- */

static int file_has_memory(int dirfd, const char *file)
{
	char buf[1024];
	ssize_t len = io_read_file_at(dirfd, file, buf, sizeof(buf));

	return len < 0 ? (int)len : cg_parse_has_word(buf, (size_t)len, "memory");
}

/*
 * libcgroup enables controllers on the levels that it makes itself, but not on the root, and
 * without them the new cgroup has no memory files. Levels that do not exist yet are left to it.
 */
static int enable_memory(const char *ancestor, void *arg)
{
	const struct cg_backend *b = arg;
	_cleanup_close_ int dirfd =
	    openat(b->memory_fd, *ancestor ? ancestor : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (dirfd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = file_has_memory(dirfd, "cgroup.subtree_control");
	if (r != 0)
		return r < 0 ? r : 0;
	return io_write_file_at(dirfd, "cgroup.subtree_control", "+memory");
}

static int make(struct cg_backend *b, const char *path)
{
	char file[CG_PATH_MAX + 16];
	int r;

	r = cg_tree_each_ancestor(path, enable_memory, b);
	if (r < 0)
		return r;
	r = cg_lib_create(path, b->memory_fd);
	if (r < 0)
		return r;
	/* It reports success for a cgroup without the controller. */
	snprintf(file, sizeof(file), "%s/memory.max", path);
	return faccessat(b->memory_fd, file, F_OK, 0) == 0 ? 0 : -EOPNOTSUPP;
}

static int v2_create(struct cg_backend *b, const char *path, bool *ret_created)
{
	unsigned int existing = cg_tree_depth_existing(b->memory_fd, path);
	bool existed = cg_tree_exists(b->memory_fd, path);
	int r;

	if (b->fake)
		return cg_fake_create(b, path, ret_created);
	r = cg_lib_open(b->memory_fd);
	if (r < 0)
		return r;
	r = make(b, path);
	if (r < 0) {
		cg_tree_unmake(b->memory_fd, path, existing);
		return r;
	}
	*ret_created = !existed;
	return 0;
}

/* Asks once; *ret_freed is what usage says, whatever the kernel says. */
static int v2_reclaim(struct cg_node *n, uint64_t bytes, uint64_t *ret_freed)
{
	uint64_t before, after;
	char text[32];
	int r, w;

	r = cg_node_read_u64(n, CG_FILE_USAGE, &before);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	/* -EAGAIN: less than asked was freed, which may still be most of it. */
	w = cg_node_write(n, CG_FILE_RECLAIM, text);
	if (w < 0 && w != -EAGAIN)
		return w;
	r = cg_node_read_u64(n, CG_FILE_USAGE, &after);
	if (r < 0)
		return r;
	*ret_freed = sat_sub_u64(before, after);
	return 0;
}

/* Empties the cache of a cgroup nobody lives in, so that its charge does not stay on the parent. */
static void shed_cache(struct cg_node *n)
{
	uint64_t end_ns = clock_now_ns() + SHED_DEADLINE_NS;
	unsigned int in_vain = 0;
	uint64_t usage, freed;

	while (in_vain < SHED_TRIES_IN_VAIN && clock_now_ns() < end_ns) {
		if (cg_node_read_u64(n, CG_FILE_USAGE, &usage) < 0 || !usage ||
		    v2_reclaim(n, min_u64(usage, SHED_BITE_BYTES), &freed) < 0)
			return;
		in_vain = freed ? 0 : in_vain + 1;
	}
}

static int v2_populated(struct cg_node *n, bool *ret)
{
	char buf[256];
	ssize_t len =
	    n->backend->fake ? -EOPNOTSUPP : cg_node_read(n, CG_FILE_POPULATED, buf, sizeof(buf));
	uint64_t v;
	int r;

	/* The root has no such file, and nobody keeps that of a plain tree up to date. */
	if (len == -EOPNOTSUPP)
		return cg_tree_populated(n->dirfd, true, ret);
	if (len < 0)
		return (int)len;
	r = cg_parse_key(buf, (size_t)len, "populated", &v);
	if (r < 0)
		return r;
	*ret = v != 0;
	return 0;
}

static int v2_delete(struct cg_backend *b, const char *path)
{
	_cleanup_(cg_node_freep) struct cg_node *n = NULL;
	bool busy;
	int r;

	if (b->fake)
		return cg_fake_delete(b, path);
	r = cg_lib_open(b->memory_fd);
	if (r < 0)
		return r;
	r = cg_node_new(b, path, &n);
	if (r < 0)
		return r;
	r = v2_populated(n, &busy);
	if (r < 0 || busy)
		return r < 0 ? r : -EBUSY;
	r = cg_tree_has_children(n->dirfd, &busy);
	if (r < 0 || busy)
		return r < 0 ? r : -EBUSY;
	shed_cache(n);
	return cg_lib_delete(path, b->memory_fd);
}

/* libcgroup has no name for the root. */
static int move_to_root(const struct cg_backend *b, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	return io_write_file_at(b->memory_fd, "cgroup.procs", text);
}

static int v2_attach(struct cg_backend *b, const char *path, pid_t pid)
{
	int r;

	if (b->fake)
		return cg_fake_attach(b, path, pid);
	if (!*path)
		return move_to_root(b, pid);
	r = cg_lib_open(b->memory_fd);
	if (r < 0)
		return r;
	r = cg_lib_attach(path, pid);
	/* libcgroup's code for this is one of its codes for a missing mount. */
	return r < 0 && !cg_tree_exists(b->memory_fd, path) ? -ENOENT : r;
}

static int v2_path_of_pid(struct cg_backend *b, pid_t pid, char *ret_path, size_t size)
{
	if (b->fake)
		return cg_fake_path_of_pid(b, pid, ret_path, size);
	return cg_path_in_proc(pid, "", ret_path, size);
}

/* -- in use -- */

static int v2_stat(struct cg_node *n, struct cg_stat *ret)
{
	char buf[STAT_MAX];
	ssize_t len = cg_node_read(n, CG_FILE_STAT, buf, sizeof(buf));
	struct cg_stat stat;
	uint64_t swap = 0;
	int r;

	if (len < 0)
		return (int)len;
	r = cg_parse_stat_v2(buf, (size_t)len, &stat);
	if (r < 0)
		return r;
	r = n->backend->abilities.has_swap ? cg_node_read_u64(n, CG_FILE_SWAP, &swap) : 0;
	if (r < 0 && r != -EOPNOTSUPP)
		return r;
	if (!r) {
		stat.value[CG_STAT_SWAP] = swap;
		stat.missing &= ~(1u << CG_STAT_SWAP);
	}
	*ret = stat;
	return 0;
}

static int v2_events(struct cg_node *n, struct cg_events *ret)
{
	char buf[512];
	ssize_t len = cg_node_read(n, CG_FILE_EVENTS, buf, sizeof(buf));

	return len < 0 ? (int)len : cg_parse_events(buf, (size_t)len, ret);
}

static int v2_limit(struct cg_node *n, enum cg_limit which, enum cg_file via, uint64_t *ret_bytes)
{
	return cg_node_read_u64(n, via + which, ret_bytes);
}

static int v2_set_limit(struct cg_node *n, enum cg_limit which, enum cg_file via, uint64_t bytes,
			uint64_t *ret_actual)
{
	char text[32] = "max";
	int r;

	if (bytes != BYTES_NO_LIMIT)
		snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	r = cg_node_write(n, via + which, text);
	if (r < 0)
		return r;
	return v2_limit(n, which, via, ret_actual);
}

const struct cg_ops cg_v2_ops = {
	.create = v2_create,
	.delete = v2_delete,
	.attach = v2_attach,
	.path_of_pid = v2_path_of_pid,
	.stat = v2_stat,
	.events = v2_events,
	.limit = v2_limit,
	.set_limit = v2_set_limit,
	.reclaim = v2_reclaim,
	.populated = v2_populated,
};
