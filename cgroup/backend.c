/* SPDX-License-Identifier: BSD-2-Clause */
/* The public functions: arguments are checked here, the work is done by the backend's table. */
#include "cgroup/ops.h"

#include <errno.h>
#include <stdlib.h>

#include "cgroup/tree.h"
#include "user/common/cleanup.h"
#include "user/common/units.h"

static void cleanup_backend(struct cg_backend **b)
{
	cg_backend_close(*b);
}

int cg_backend_open(const struct cg_options *options, struct cg_backend **ret, const char **ret_why)
{
	_cleanup_(cleanup_backend) struct cg_backend *b = NULL;
	static const struct cg_options defaults = { .size = sizeof(defaults) };
	int r;

	if (!options)
		options = &defaults;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->memory_fd = b->psi_fd = -1;
	r = cg_detect(options, b, ret_why);
	if (r < 0)
		return r;
	if (options->dry_run)
		cg_null_wrap(b);
	*ret = TAKE_PTR(b);
	return 0;
}

void cg_backend_close(struct cg_backend *b)
{
	if (!b)
		return;
	cg_null_forget(b);
	if (b->psi_fd >= 0 && b->psi_fd != b->memory_fd)
		close(b->psi_fd);
	if (b->memory_fd >= 0)
		close(b->memory_fd);
	free(b);
}

const struct cg_abilities *cg_backend_abilities(const struct cg_backend *b)
{
	return &b->abilities;
}

/* -- life -- */

int cg_create(struct cg_backend *b, const char *path, bool *ret_created)
{
	int r = cg_path_check(path);

	if (r < 0)
		return r;
	if (!*path) {
		*ret_created = false;
		return 0;
	}
	return b->ops->create(b, path, ret_created);
}

int cg_delete(struct cg_backend *b, const char *path)
{
	int r = cg_path_check(path);

	if (r < 0)
		return r;
	return *path ? b->ops->delete (b, path) : -EBUSY;
}

int cg_attach(struct cg_backend *b, const char *path, pid_t pid)
{
	int r = cg_path_check(path);

	if (r < 0)
		return r;
	/* 0 would move the caller itself. */
	return pid > 0 ? b->ops->attach(b, path, pid) : -ESRCH;
}

int cg_path_of_pid(struct cg_backend *b, pid_t pid, char *ret_path, size_t size)
{
	return pid > 0 ? b->ops->path_of_pid(b, pid, ret_path, size) : -ESRCH;
}

bool cg_exists(struct cg_backend *b, const char *path)
{
	return cg_path_check(path) == 0 && cg_tree_exists(b->memory_fd, path);
}

/* -- in use -- */

int cg_node_open(struct cg_backend *b, const char *path, struct cg_node **ret)
{
	_cleanup_(cg_node_freep) struct cg_node *n = NULL;
	int r = cg_path_check(path);

	if (r < 0)
		return r;
	r = cg_node_new(b, path, &n);
	if (r < 0)
		return r;
	/* Only the root may lack it; elsewhere the controller is not enabled in the parent. */
	r = *path ? cg_node_fd(n, CG_FILE_USAGE) : 0;
	if (r < 0)
		return r;
	*ret = TAKE_PTR(n);
	return 0;
}

void cg_node_close(struct cg_node *n)
{
	cg_node_free(n);
}

const char *cg_node_path(const struct cg_node *n)
{
	return n->path;
}

uint64_t cg_node_id(const struct cg_node *n)
{
	return n->id;
}

uint64_t cg_node_psi_id(const struct cg_node *n)
{
	return n->psi_id;
}

int cg_node_dirfd(const struct cg_node *n)
{
	return n->dirfd;
}

int cg_node_usage(struct cg_node *n, uint64_t *ret_bytes)
{
	return cg_node_read_u64(n, CG_FILE_USAGE, ret_bytes);
}

int cg_node_limits(struct cg_node *n, struct cg_limits *ret_limits)
{
	struct cg_limits limits = {
		.bytes = { [CG_LIMIT_HIGH] = BYTES_NO_LIMIT, [CG_LIMIT_MAX] = BYTES_NO_LIMIT }
	};

	for (unsigned int i = 0; i < CG_LIMIT_COUNT; i++) {
		int r = n->backend->ops->limit(n, i, CG_FILE_READ, &limits.bytes[i]);

		if (r < 0 && r != -EOPNOTSUPP)
			return r;
	}
	*ret_limits = limits;
	return 0;
}

int cg_node_stat(struct cg_node *n, struct cg_stat *ret_stat)
{
	return n->backend->ops->stat(n, ret_stat);
}

int cg_node_events(struct cg_node *n, struct cg_events *ret_events)
{
	return n->backend->ops->events(n, ret_events);
}

int cg_node_populated(struct cg_node *n, bool *ret_populated)
{
	return n->backend->ops->populated(n, ret_populated);
}

int cg_node_pids(struct cg_node *n, pid_t *ret_pids, size_t max)
{
	return cg_tree_pids(n->dirfd, ret_pids, max);
}

int cg_node_set_limit(struct cg_node *n, enum cg_limit which, uint64_t bytes, uint64_t *ret_actual)
{
	return n->backend->ops->set_limit(n, which, CG_FILE_WRITE, bytes, ret_actual);
}

int cg_node_raise_limit(struct cg_node *n, enum cg_limit which, uint64_t bytes,
			uint64_t *ret_actual)
{
	uint64_t present;
	int r;

	/* A lower limit would reclaim here and now, which the caller must not wait for. */
	if (which == CG_LIMIT_HIGH || which == CG_LIMIT_MAX) {
		r = n->backend->ops->limit(n, which, CG_FILE_RAISE, &present);
		if (r < 0)
			return r;
		if (bytes < present && cg_page_floor(bytes) < present)
			return -EINVAL;
	}
	return n->backend->ops->set_limit(n, which, CG_FILE_RAISE, bytes, ret_actual);
}

int cg_node_reclaim(struct cg_node *n, uint64_t bytes, uint64_t *ret_freed)
{
	return n->backend->ops->reclaim(n, bytes, ret_freed);
}
