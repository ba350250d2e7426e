/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libcgroup, for the memory controller, in our error codes. Thread-safe (it is not: a lock is held
 * around it). Paths are relative to the mount of the memory controller that libcgroup finds first;
 * cg_lib_open() refuses (-EXDEV) when that is not the hierarchy in use.
 */
#ifndef BAROSTAT_CGROUP_LIBCG_H
#define BAROSTAT_CGROUP_LIBCG_H

#include <sys/types.h>

int cg_lib_open(int memory_fd);
/* Missing parents too. 0 when it exists already. */
int cg_lib_create(const char *path, int memory_fd);
/* Removes it if it has neither tasks nor children, else -EBUSY, on v1 too. */
int cg_lib_delete(const char *path, int memory_fd);
/* Moves a process on v2. On v1 it moves one thread only: not used there. */
int cg_lib_attach(const char *path, pid_t pid);

#endif
