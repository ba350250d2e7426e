/* SPDX-License-Identifier: BSD-2-Clause */
/* The descriptors of a node: opened at first use, kept until the node is closed. */
#include "cgroup/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup/parse.h"
#include "user/common/cleanup.h"
#include "user/common/io.h"

static const char *const unified_names[] = {
	[0] = "cpu.stat",
	[1 + CG_PRESSURE_MEMORY] = "memory.pressure",
	[1 + CG_PRESSURE_IO] = "io.pressure",
};

static const char *file_name(const struct cg_names *names, unsigned int file)
{
	if (file < CG_FILE_CPU)
		return names->file[file];
	if (file < CG_FILE_READ)
		return unified_names[file - CG_FILE_CPU];
	return names->limit[(file - CG_FILE_READ) % CG_LIMIT_COUNT];
}

static int file_flags(unsigned int file)
{
	if (file == CG_FILE_RECLAIM)
		return O_WRONLY | O_CLOEXEC;
	return (file >= CG_FILE_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC;
}

/* A removed directory keeps answering, but has no entries any more. */
static bool dir_is_gone(int dirfd)
{
	struct stat st;

	return (fstat(dirfd, &st) == 0 && st.st_nlink == 0) ||
	       (faccessat(dirfd, "cgroup.procs", F_OK, 0) < 0 && errno == ENOENT);
}

int cg_node_missing(int dirfd, int open_errno)
{
	if (open_errno != ENOENT)
		return -open_errno;
	return dir_is_gone(dirfd) ? -ENODEV : -EOPNOTSUPP;
}

static int open_file(struct cg_node *n, unsigned int file)
{
	bool unified = file >= CG_FILE_CPU && file < CG_FILE_READ;
	int dirfd = unified ? n->psi_dirfd : n->dirfd;
	const char *name = file_name(n->backend->names, file);
	int fd;

	if (!name || dirfd < 0)
		return -EOPNOTSUPP;
	fd = openat(dirfd, name, file_flags(file));
	return fd >= 0 ? fd : cg_node_missing(dirfd, errno);
}

int cg_node_fd(struct cg_node *n, unsigned int file)
{
	int fd = __atomic_load_n(&n->fd[file], __ATOMIC_ACQUIRE);
	int unopened = CG_FD_UNOPENED;

	if (fd >= 0)
		return fd;
	if (fd == CG_FD_ABSENT)
		return -EOPNOTSUPP;
	fd = open_file(n, file);
	if (fd < 0 && fd != -EOPNOTSUPP)
		return fd;
	/* Two threads may come here at once: the first one's descriptor counts. */
	if (__atomic_compare_exchange_n(&n->fd[file], &unopened, fd < 0 ? CG_FD_ABSENT : fd, false,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return fd;
	if (fd >= 0)
		close(fd);
	return unopened >= 0 ? unopened : -EOPNOTSUPP;
}

ssize_t cg_node_read(struct cg_node *n, unsigned int file, char *buf, size_t size)
{
	int fd = cg_node_fd(n, file);
	ssize_t len;

	if (fd < 0)
		return fd;
	if (n->backend->fake)
		return cg_fake_read(fd, buf, size);
	/* One read is enough: each of these files is one record for the kernel. */
	do {
		len = pread(fd, buf, size - 1, 0);
	} while (len < 0 && errno == EINTR);
	if (len < 0)
		return -errno;
	if ((size_t)len == size - 1)
		return -E2BIG;
	buf[len] = '\0';
	return len;
}

int cg_node_read_u64(struct cg_node *n, unsigned int file, uint64_t *ret_value)
{
	char buf[32];
	ssize_t len = cg_node_read(n, file, buf, sizeof(buf));

	if (len < 0)
		return (int)len;
	return cg_parse_number(buf, (size_t)len, ret_value);
}

int cg_node_write(struct cg_node *n, unsigned int file, const char *text)
{
	int fd = cg_node_fd(n, file);

	if (fd < 0)
		return fd;
	return n->backend->fake ? cg_fake_write(fd, text) : io_pwrite_text(fd, text);
}

/* The twin on the unified tree; having none, or being it ourselves (v2), is not an error. */
static int open_psi_dir(const struct cg_backend *b, const char *path, int *ret_fd)
{
	int fd;

	if (b->psi_fd < 0 || b->psi_fd == b->memory_fd) {
		*ret_fd = -1;
		return 0;
	}
	fd = openat(b->psi_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int cg_node_new(struct cg_backend *b, const char *path, struct cg_node **ret)
{
	_cleanup_close_ int dirfd = -1, psi_dirfd = -1;
	_cleanup_free_ struct cg_node *n = NULL;
	struct stat st, psi_st = { 0 };
	int r;

	dirfd = openat(b->memory_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	if (fstat(dirfd, &st) < 0)
		return -errno;
	r = open_psi_dir(b, path, &psi_dirfd);
	if (r < 0)
		return r;
	if (psi_dirfd >= 0 && fstat(psi_dirfd, &psi_st) < 0)
		return -errno;
	n = calloc(1, sizeof(*n) + strlen(path) + 1);
	if (!n)
		return -ENOMEM;
	n->backend = b;
	n->id = st.st_ino;
	n->psi_id = psi_st.st_ino;
	for (size_t i = 0; i < CG_FILE_COUNT; i++)
		n->fd[i] = CG_FD_UNOPENED;
	memcpy(n->path, path, strlen(path) + 1);
	n->dirfd = TAKE_FD(dirfd);
	n->psi_dirfd = TAKE_FD(psi_dirfd);
	if (b->psi_fd == b->memory_fd) {
		n->psi_dirfd = n->dirfd;
		n->psi_id = n->id;
	}
	*ret = TAKE_PTR(n);
	return 0;
}

void cg_node_free(struct cg_node *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < CG_FILE_COUNT; i++)
		if (n->fd[i] >= 0)
			close(n->fd[i]);
	if (n->psi_dirfd >= 0 && n->psi_dirfd != n->dirfd)
		close(n->psi_dirfd);
	if (n->dirfd >= 0)
		close(n->dirfd);
	free(n);
}
