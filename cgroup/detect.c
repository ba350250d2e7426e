/* SPDX-License-Identifier: BSD-2-Clause */
/* Which hierarchy carries memory, which carries pressure, and what can be done with them. */
#include "cgroup/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "cgroup/parse.h"
#include "cgroup/tree.h"
#include "user/common/cleanup.h"
#include "user/common/io.h"

#define MOUNTS "/proc/self/mounts"

static const char why_none[] =
    "no cgroup file system is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup";
static const char why_no_memory[] =
    "the cgroup2 tree has no memory controller: boot without cgroup_disable=memory, or mount "
    "the v1 one";
static const char why_fake[] = "the given cgroup root is not a hierarchy: it has neither a file "
			       "cgroup.controllers nor directories memory and unified";
static const char why_mounts[] = "the list of mounts cannot be read: is /proc mounted?";

static void cleanup_mntent(FILE **f)
{
	if (*f)
		endmntent(*f);
}

static bool has_magic(int fd, long magic)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (long)fs.f_type == magic;
}

static bool has_memory_controller(int dirfd)
{
	char buf[1024];
	ssize_t len = io_read_file_at(dirfd, "cgroup.controllers", buf, sizeof(buf));

	return len >= 0 && cg_parse_has_word(buf, (size_t)len, "memory");
}

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* What the mounts hold: descriptors, -1 when there is no such mount. */
struct mounts {
	int v1, v2;
	char v1_path[CG_PATH_MAX], v2_path[CG_PATH_MAX];
};

static void cleanup_mounts(struct mounts *m)
{
	cleanup_close(&m->v1);
	cleanup_close(&m->v2);
}

/* Takes a mount point if it really is what it says: a directory of a tmpfs takes mkdir as well. */
static void take_mount(const char *path, long magic, int *fd, char *ret_path)
{
	_cleanup_close_ int dir = open_dir(path);

	if (*fd >= 0 || dir < 0 || !has_magic(dir, magic) || strlen(path) >= CG_PATH_MAX)
		return;
	memcpy(ret_path, path, strlen(path) + 1);
	*fd = TAKE_FD(dir);
}

static int find_mounts(struct mounts *m)
{
	_cleanup_(cleanup_mntent) FILE *f = setmntent(MOUNTS, "re");
	struct mntent entry;
	char buf[4096];

	if (!f)
		return -errno;
	while (getmntent_r(f, &entry, buf, sizeof(buf))) {
		if (!strcmp(entry.mnt_type, "cgroup2"))
			take_mount(entry.mnt_dir, CGROUP2_SUPER_MAGIC, &m->v2, m->v2_path);
		else if (!strcmp(entry.mnt_type, "cgroup") && hasmntopt(&entry, "memory"))
			take_mount(entry.mnt_dir, CGROUP_SUPER_MAGIC, &m->v1, m->v1_path);
	}
	return 0;
}

/* A given root: ROOT/cgroup.controllers makes it v2, ROOT/memory and ROOT/unified hybrid. */
static int find_given(const char *root, struct mounts *m)
{
	_cleanup_close_ int fd = open_dir(root);

	if (fd < 0)
		return fd;
	if (faccessat(fd, "cgroup.controllers", F_OK, 0) == 0) {
		if (snprintf(m->v2_path, CG_PATH_MAX, "%s", root) >= CG_PATH_MAX)
			return -ENAMETOOLONG;
		m->v2 = TAKE_FD(fd);
		return 0;
	}
	if (snprintf(m->v1_path, CG_PATH_MAX, "%s/memory", root) >= CG_PATH_MAX ||
	    snprintf(m->v2_path, CG_PATH_MAX, "%s/unified", root) >= CG_PATH_MAX)
		return -ENAMETOOLONG;
	m->v1 = open_dir(m->v1_path);
	m->v2 = open_dir(m->v2_path);
	return m->v1 < 0 ? -ENOENT : 0;
}

static bool is_writable(int dirfd)
{
	struct statvfs fs;

	return fstatvfs(dirfd, &fs) == 0 && !(fs.f_flag & ST_RDONLY) &&
	       faccessat(dirfd, "cgroup.procs", W_OK, AT_EACCESS) == 0;
}

/* More than the head line. */
static bool swap_is_on(void)
{
	char buf[4096];
	ssize_t len = io_read_file_at(AT_FDCWD, "/proc/swaps", buf, sizeof(buf));
	const char *nl = len > 0 ? strchr(buf, '\n') : NULL;

	return len == -E2BIG || (nl && nl[1]);
}

/* Without CAP_SYS_RESOURCE only windows of whole 2 s are taken. The trigger goes with the fd. */
static bool takes_any_window(int psi_fd, bool fake)
{
	_cleanup_close_ int fd = -1;

	if (psi_fd < 0 || fake)
		return false;
	fd = openat(psi_fd, "memory.pressure", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 && io_pwrite_text(fd, "some 500000 500000") == 0;
}

/* Asking for nothing tells whether the argument is understood (6.12) or refused (6.1). */
static bool takes_swappiness(int memory_fd, const struct cg_options *options, bool fake)
{
	if (fake || options->dry_run)
		return false;
	return io_write_file_at(memory_fd, "memory.reclaim", "0 swappiness=60") == 0;
}

/* What the kernel calls the hierarchy of a v1 controller; 0 is the unified one. */
static uint32_t hierarchy_id(enum cg_kind kind)
{
	char buf[8192];
	ssize_t len = io_read_file_at(AT_FDCWD, "/proc/self/cgroup", buf, sizeof(buf));
	uint32_t id = 0;

	if (kind == CG_KIND_HYBRID && len > 0)
		cg_parse_hierarchy_id(buf, (size_t)len, "memory", &id);
	return id;
}

static void find_abilities(const struct cg_options *options, struct cg_backend *b)
{
	struct cg_abilities *a = &b->abilities;

	a->writable = is_writable(b->memory_fd);
	a->has_low = a->kind == CG_KIND_V2;
	a->has_reclaim =
	    a->kind == CG_KIND_V2 && faccessat(b->memory_fd, "memory.reclaim", F_OK, 0) == 0;
	a->reclaim_swappiness = a->has_reclaim && takes_swappiness(b->memory_fd, options, b->fake);
	a->has_psi = b->psi_fd >= 0 && faccessat(b->psi_fd, "memory.pressure", F_OK, 0) == 0;
	a->has_swap = swap_is_on();
	a->memory_hierarchy_id = hierarchy_id(a->kind);
	a->psi_any_window = a->has_psi && takes_any_window(b->psi_fd, b->fake);
}

static int choose(struct mounts *m, struct cg_backend *b, const char **ret_why)
{
	struct cg_abilities *a = &b->abilities;

	if (m->v1 >= 0) {
		a->kind = CG_KIND_HYBRID;
		b->ops = &cg_hybrid_ops;
		b->names = &cg_hybrid_names;
		memcpy(a->memory_mount, m->v1_path, CG_PATH_MAX);
		b->memory_fd = TAKE_FD(m->v1);
	} else if (m->v2 >= 0 && has_memory_controller(m->v2)) {
		a->kind = CG_KIND_V2;
		b->ops = &cg_v2_ops;
		b->names = &cg_v2_names;
		memcpy(a->memory_mount, m->v2_path, CG_PATH_MAX);
		b->memory_fd = b->psi_fd = TAKE_FD(m->v2);
		memcpy(a->psi_mount, m->v2_path, CG_PATH_MAX);
		return 0;
	} else {
		*ret_why = m->v2 >= 0 ? why_no_memory : why_none;
		return -ENOENT;
	}
	if (m->v2 >= 0) {
		memcpy(a->psi_mount, m->v2_path, CG_PATH_MAX);
		b->psi_fd = TAKE_FD(m->v2);
	}
	return 0;
}

int cg_detect(const struct cg_options *options, struct cg_backend *b, const char **ret_why)
{
	_cleanup_(cleanup_mounts) struct mounts m = { .v1 = -1, .v2 = -1 };
	int r;

	if (options->cgroup_root) {
		r = find_given(options->cgroup_root, &m);
		if (r < 0) {
			*ret_why = why_fake;
			return r;
		}
	} else {
		r = find_mounts(&m);
		if (r < 0) {
			*ret_why = why_mounts;
			return -ENOENT;
		}
	}
	r = choose(&m, b, ret_why);
	if (r < 0)
		return r;
	b->fake = !has_magic(b->memory_fd, b->abilities.kind == CG_KIND_V2 ? CGROUP2_SUPER_MAGIC
									   : CGROUP_SUPER_MAGIC);
	b->abilities.beneath = b->abilities.kind;
	find_abilities(options, b);
	return 0;
}
