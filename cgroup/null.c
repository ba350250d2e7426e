/* SPDX-License-Identifier: BSD-2-Clause */
/* The dry run: reads through the real backend, remembers what it would have written. */
#include "cgroup/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup/tree.h"
#include "user/common/cleanup.h"
#include "user/common/units.h"

/* A cgroup that would exist by now. */
struct cg_made {
	struct cg_made *next;
	char path[];
};

static struct cg_made **find_made(struct cg_backend *b, const char *path)
{
	struct cg_made **m = &b->made;

	while (*m && strcmp((*m)->path, path) != 0)
		m = &(*m)->next;
	return m;
}

static int remember_made(struct cg_backend *b, const char *path)
{
	struct cg_made *m = malloc(sizeof(*m) + strlen(path) + 1);

	if (!m)
		return -ENOMEM;
	memcpy(m->path, path, strlen(path) + 1);
	m->next = b->made;
	b->made = m;
	return 0;
}

void cg_null_forget(struct cg_backend *b)
{
	while (b->made) {
		struct cg_made *m = b->made;

		b->made = m->next;
		free(m);
	}
}

/* On v2 a cgroup with processes of its own cannot enable a controller for its children. */
static int refuse_populated_parent(const char *ancestor, void *arg)
{
	const struct cg_backend *b = arg;
	_cleanup_close_ int fd = -1;
	bool populated;
	int r;

	if (!*ancestor)
		return 0;
	fd = openat(b->memory_fd, ancestor, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = cg_tree_populated(fd, false, &populated);
	if (r < 0)
		return r;
	return populated ? -EBUSY : 0;
}

static int null_create(struct cg_backend *b, const char *path, bool *ret_created)
{
	bool created = !cg_tree_exists(b->memory_fd, path) && !*find_made(b, path);
	int r;

	if (created && b->abilities.beneath == CG_KIND_V2) {
		r = cg_tree_each_ancestor(path, refuse_populated_parent, b);
		if (r < 0)
			return r;
	}
	if (created) {
		r = remember_made(b, path);
		if (r < 0)
			return r;
	}
	*ret_created = created;
	return 0;
}

static int null_delete(struct cg_backend *b, const char *path)
{
	_cleanup_close_ int fd = -1;
	struct cg_made **m = find_made(b, path), *gone = *m;
	bool busy;
	int r;

	if (gone) {
		*m = gone->next;
		free(gone);
		return 0;
	}
	fd = openat(b->memory_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = cg_tree_populated(fd, false, &busy);
	if (!r && !busy)
		r = cg_tree_has_children(fd, &busy);
	if (r < 0)
		return r;
	return busy ? -EBUSY : 0;
}

static int null_attach(struct cg_backend *b, const char *path, pid_t pid)
{
	if (!cg_tree_exists(b->memory_fd, path) && !*find_made(b, path))
		return -ENOENT;
	/* -EPERM means that it exists. */
	return kill(pid, 0) < 0 && errno == ESRCH ? -ESRCH : 0;
}

static int null_path_of_pid(struct cg_backend *b, pid_t pid, char *ret_path, size_t size)
{
	return b->beneath->path_of_pid(b, pid, ret_path, size);
}

static int null_stat(struct cg_node *n, struct cg_stat *ret)
{
	return n->backend->beneath->stat(n, ret);
}

static int null_events(struct cg_node *n, struct cg_events *ret)
{
	return n->backend->beneath->events(n, ret);
}

static int null_populated(struct cg_node *n, bool *ret)
{
	return n->backend->beneath->populated(n, ret);
}

static int null_limit(struct cg_node *n, enum cg_limit which, enum cg_file via, uint64_t *ret_bytes)
{
	uint64_t bytes;
	/* Also when remembered: the cgroup may have vanished. */
	int r = n->backend->beneath->limit(n, which, CG_FILE_READ, &bytes);

	if (r < 0)
		return r;
	if (__atomic_load_n(&n->held, __ATOMIC_ACQUIRE) & (1u << which))
		bytes = __atomic_load_n(&n->limit_bytes[which], __ATOMIC_RELAXED);
	*ret_bytes = bytes;
	return 0;
}

static int null_set_limit(struct cg_node *n, enum cg_limit which, enum cg_file via, uint64_t bytes,
			  uint64_t *ret_actual)
{
	uint64_t present;
	int r = null_limit(n, which, via, &present);

	if (r < 0)
		return r;
	if (bytes != BYTES_NO_LIMIT)
		bytes = cg_page_floor(bytes);
	__atomic_store_n(&n->limit_bytes[which], bytes, __ATOMIC_RELAXED);
	__atomic_fetch_or(&n->held, 1u << which, __ATOMIC_RELEASE);
	*ret_actual = bytes;
	return 0;
}

static int null_reclaim(struct cg_node *n, uint64_t bytes, uint64_t *ret_freed)
{
	uint64_t usage;
	int r;

	if (!n->backend->abilities.has_reclaim)
		return -EOPNOTSUPP;
	r = cg_node_read_u64(n, CG_FILE_USAGE, &usage);
	if (r < 0)
		return r;
	*ret_freed = 0;
	return 0;
}

const struct cg_ops cg_null_ops = {
	.create = null_create,
	.delete = null_delete,
	.attach = null_attach,
	.path_of_pid = null_path_of_pid,
	.stat = null_stat,
	.events = null_events,
	.limit = null_limit,
	.set_limit = null_set_limit,
	.reclaim = null_reclaim,
	.populated = null_populated,
};

void cg_null_wrap(struct cg_backend *b)
{
	b->beneath = b->ops;
	b->ops = &cg_null_ops;
	b->abilities.kind = CG_KIND_NULL;
}
