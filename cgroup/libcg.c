/* SPDX-License-Identifier: BSD-2-Clause */
/* The only file that knows libcgroup. Its error codes end here. */
#include "cgroup/libcg.h"

#include <errno.h>
#include <fcntl.h>
#include <libcgroup.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cgroup/tree.h"
#include "user/common/cleanup.h"

#define CONTROLLER "memory"

/* libcgroup keeps its mount table and its last errno in globals. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool initialized;

static void cleanup_cgroup(struct cgroup **g)
{
	cgroup_free(g);
}

static void cleanup_unlock(pthread_mutex_t **m)
{
	pthread_mutex_unlock(*m);
}

#define LOCKED                                                                                     \
	_cleanup_(cleanup_unlock) __attribute__((unused)) pthread_mutex_t *locked_ = &lock;        \
	pthread_mutex_lock(&lock)

static int translate(int code)
{
	switch (code) {
	case 0:
		return 0;
	case ECGOTHER:
		/* Only this code makes the last errno mean anything: success does not clear it. */
		return cgroup_get_last_errno() > 0 ? -cgroup_get_last_errno() : -EIO;
	case ECGROUPNOTEXIST:
		return -ENOENT;
	case ECGROUPNOTMOUNTED:
	case ECGROUPSUBSYSNOTMOUNTED:
	case ECGROUPNOTCREATED:
		return -ENODEV;
	case ECGROUPNOTOWNER:
	case ECGROUPNOTALLOWED:
		return -EPERM;
	case ECGINVAL:
		return -EINVAL;
	case ECGNONEMPTY:
		return -EBUSY;
	default:
		return -EIO;
	}
}

static int init_locked(void)
{
	int r;

	if (initialized)
		return 0;
	r = translate(cgroup_init());
	if (r < 0)
		return r;
	initialized = true;
	return 0;
}

int cg_lib_open(int memory_fd)
{
	_cleanup_free_ char *mount = NULL;
	struct stat theirs, ours;
	int r;
	LOCKED;

	r = init_locked();
	if (r < 0)
		return r;
	r = translate(cgroup_get_subsys_mount_point(CONTROLLER, &mount));
	if (r < 0)
		return r;
	if (stat(mount, &theirs) < 0 || fstat(memory_fd, &ours) < 0)
		return -errno;
	return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino ? 0 : -EXDEV;
}

static int describe(const char *path, struct cgroup **ret)
{
	_cleanup_(cleanup_cgroup) struct cgroup *g = cgroup_new_cgroup(path);

	if (!g || !cgroup_add_controller(g, CONTROLLER))
		return -ENOMEM;
	*ret = TAKE_PTR(g);
	return 0;
}

int cg_lib_create(const char *path, int memory_fd)
{
	_cleanup_(cleanup_cgroup) struct cgroup *g = NULL;
	bool created;
	int r;
	LOCKED;

	r = init_locked();
	if (r < 0)
		return r;
	r = describe(path, &g);
	if (r < 0)
		return r;
	r = cgroup_create_cgroup(g, 1);
	/* Its word for whatever mkdir said: ask mkdir. */
	if (r == ECGROUPNOTALLOWED)
		return cg_tree_make(memory_fd, path, &created);
	return translate(r);
}

int cg_lib_delete(const char *path, int memory_fd)
{
	_cleanup_(cleanup_cgroup) struct cgroup *g = NULL;
	int r;
	LOCKED;

	r = init_locked();
	if (r < 0)
		return r;
	r = describe(path, &g);
	if (r < 0)
		return r;
	/*
	 * Without this flag a populated v1 cgroup is removed and its tasks land in the parent,
	 * where no limit holds them. With it the kernel's own refusal is reported as success.
	 */
	r = translate(cgroup_delete_cgroup_ext(g, CGFLAG_DELETE_EMPTY_ONLY));
	if (r < 0)
		return r;
	return faccessat(memory_fd, path, F_OK, 0) == 0 ? -EBUSY : 0;
}

int cg_lib_attach(const char *path, pid_t pid)
{
	_cleanup_(cleanup_cgroup) struct cgroup *g = NULL;
	int r;
	LOCKED;

	r = init_locked();
	if (r < 0)
		return r;
	r = describe(path, &g);
	if (r < 0)
		return r;
	return translate(cgroup_attach_task_pid(g, pid));
}
