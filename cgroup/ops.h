/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to cgroup/: what a backend is made of.
 *
 * backend.c checks arguments and calls the table of the backend; node.c owns the descriptors of a
 * node; v2.c, hybrid.c and null.c are the tables. Every operation follows the contract of the
 * public function of the same name in cgroup.h.
 */
#ifndef BAROSTAT_CGROUP_OPS_H
#define BAROSTAT_CGROUP_OPS_H

#include <unistd.h>

#include "cgroup/cgroup.h"

/* Files of a node. Reader, writer and raiser of one limit have descriptors of their own, because
 * the kernel holds a mutex per open file for as long as a write reclaims. */
enum cg_file {
	CG_FILE_USAGE,
	CG_FILE_STAT,
	CG_FILE_SWAP, /* v2: memory.stat has no swapped bytes */
	CG_FILE_KERNEL, /* v1: memory.stat has no kernel bytes */
	CG_FILE_EVENTS,
	CG_FILE_OOM, /* v1: memory.oom_control */
	CG_FILE_POPULATED,
	CG_FILE_RECLAIM,
	CG_FILE_CPU, /* from here to CG_FILE_READ: on the tree that has pressure */
	CG_FILE_PRESSURE, /* + enum cg_pressure_kind */
	CG_FILE_READ = CG_FILE_PRESSURE + CG_PRESSURE_COUNT, /* + enum cg_limit */
	CG_FILE_WRITE = CG_FILE_READ + CG_LIMIT_COUNT, /* + enum cg_limit */
	CG_FILE_RAISE = CG_FILE_WRITE + CG_LIMIT_COUNT, /* + enum cg_limit */
	CG_FILE_COUNT = CG_FILE_RAISE + CG_LIMIT_COUNT
};

/* Names of the files in one kind of hierarchy; NULL where it has no such file. The files of the
 * unified tree are the same everywhere, and the three descriptors of a limit share one name. */
struct cg_names {
	const char *file[CG_FILE_CPU];
	const char *limit[CG_LIMIT_COUNT];
};

struct cg_ops {
	int (*create)(struct cg_backend *b, const char *path, bool *ret_created);
	int (*delete)(struct cg_backend *b, const char *path);
	int (*attach)(struct cg_backend *b, const char *path, pid_t pid);
	int (*path_of_pid)(struct cg_backend *b, pid_t pid, char *ret_path, size_t size);
	int (*stat)(struct cg_node *n, struct cg_stat *ret);
	int (*events)(struct cg_node *n, struct cg_events *ret);
	int (*limit)(struct cg_node *n, enum cg_limit which, enum cg_file via, uint64_t *ret_bytes);
	int (*set_limit)(struct cg_node *n, enum cg_limit which, enum cg_file via, uint64_t bytes,
			 uint64_t *ret_actual);
	int (*reclaim)(struct cg_node *n, uint64_t bytes, uint64_t *ret_freed);
	int (*populated)(struct cg_node *n, bool *ret);
};

extern const struct cg_ops cg_v2_ops, cg_hybrid_ops, cg_null_ops;
extern const struct cg_names cg_v2_names, cg_hybrid_names;

struct cg_backend {
	const struct cg_ops *ops;
	const struct cg_ops *beneath; /* null backend: the table it reads through; else NULL */
	const struct cg_names *names;
	struct cg_abilities abilities;
	int memory_fd, psi_fd; /* the mounts; psi_fd: the same number on v2, -1 for none */
	bool fake; /* a plain directory tree in the place of a hierarchy */
	struct cg_made *made; /* null backend: cgroups it would have made */
};

struct cg_node {
	struct cg_backend *backend;
	uint64_t id, psi_id;
	int dirfd, psi_dirfd; /* psi_dirfd: -1 when there is none */
	int fd[CG_FILE_COUNT]; /* CG_FD_*; opened at first use, by whichever thread comes first */
	/* null backend: what would have been written; `held` says which entries count */
	uint64_t limit_bytes[CG_LIMIT_COUNT];
	uint32_t held;
	char path[];
};

#define CG_FD_UNOPENED (-1)
#define CG_FD_ABSENT   (-2) /* this hierarchy has no such file */

/* -- detect.c -- */
int cg_detect(const struct cg_options *options, struct cg_backend *b, const char **ret_why);

/* -- node.c -- */
int cg_node_new(struct cg_backend *b, const char *path, struct cg_node **ret);
void cg_node_free(struct cg_node *n);
/* The descriptor of a file, opened if need be. -ENODEV, -EOPNOTSUPP, or open's errno. */
int cg_node_fd(struct cg_node *n, unsigned int file);
/* One read of the whole file, NUL-terminated. Returns the length; -E2BIG when it does not fit. */
ssize_t cg_node_read(struct cg_node *n, unsigned int file, char *buf, size_t size);
int cg_node_read_u64(struct cg_node *n, unsigned int file, uint64_t *ret_value);
/* What a failed open in a node's directory means: -ENODEV, -EOPNOTSUPP, or the errno. */
int cg_node_missing(int dirfd, int open_errno);
int cg_node_write(struct cg_node *n, unsigned int file, const char *text);

/* -- null.c -- */
/* From now on the backend writes nothing. */
void cg_null_wrap(struct cg_backend *b);
void cg_null_forget(struct cg_backend *b);

/* -- fake.c: the same life of cgroups in a plain directory tree -- */
int cg_fake_create(struct cg_backend *b, const char *path, bool *ret_created);
int cg_fake_delete(struct cg_backend *b, const char *path);
int cg_fake_attach(struct cg_backend *b, const char *path, pid_t pid);
/* Whole file, like one read and one write of a kernel file: never half of what another writes. */
ssize_t cg_fake_read(int fd, char *buf, size_t size);
int cg_fake_write(int fd, const char *text);
int cg_fake_path_of_pid(struct cg_backend *b, pid_t pid, char *ret_path, size_t size);

/* -- path.c -- */
/* -EINVAL, -ENAMETOOLONG: a path that could leave the hierarchy or is not in normal form. */
int cg_path_check(const char *path);
/* The path of a process in the v1 hierarchy of a controller, or on the unified tree (""). */
int cg_path_in_proc(pid_t pid, const char *controller, char *ret_path, size_t size);

static inline uint64_t cg_page_floor(uint64_t bytes)
{
	return bytes & ~((uint64_t)sysconf(_SC_PAGESIZE) - 1);
}

static inline void cg_node_freep(struct cg_node **n)
{
	cg_node_free(*n);
}

#endif
