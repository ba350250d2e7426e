/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failures on order: the n-th of all allocations and system calls the library makes fails, and only
 * that one. For programs named test_*_faults, which the Makefile links with --wrap for each of the
 * functions below; what libc and other libraries do inside themselves is not touched.
 */
#ifndef BAROSTAT_TESTS_FAULT_SUPPORT_H
#define BAROSTAT_TESTS_FAULT_SUPPORT_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <cmocka.h>

static long fault_left = -1;
static bool fault_came;

/* The n-th from now on, counted from 0. */
static inline void fault_arm(long n)
{
	fault_left = n;
	fault_came = false;
}

/* Whether it came. */
static inline bool fault_disarm(void)
{
	fault_left = -1;
	return fault_came;
}

static inline bool fault_here(int error)
{
	if (fault_left < 0 || fault_left-- > 0)
		return false;
	fault_came = true;
	errno = error;
	return true;
}

/* Does it with the first call failing, then with the second, until none is left that could. */
static inline void with_every_fault(void (*once)(void), long at_least)
{
	long n = 0;

	do {
		fault_arm(n++);
		once();
	} while (fault_disarm());
	/* the last round was without a fault */
	assert_true(n > at_least);
}

/* FAULT(what it returns, name, what it returns on failure, errno, (declaration), (call)) */
#define FAULT(type, name, failure, error, parameters, arguments)                                   \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		return fault_here(error) ? (failure) : __real_##name arguments;                    \
	}

FAULT(void *, malloc, NULL, ENOMEM, (size_t n), (n))
FAULT(void *, calloc, NULL, ENOMEM, (size_t n, size_t each), (n, each))
FAULT(void *, aligned_alloc, NULL, ENOMEM, (size_t align, size_t n), (align, n))
FAULT(void *, reallocarray, NULL, ENOMEM, (void *p, size_t n, size_t each), (p, n, each))
FAULT(char *, strdup, NULL, ENOMEM, (const char *text), (text))
FAULT(char *, strndup, NULL, ENOMEM, (const char *text, size_t n), (text, n))
FAULT(int, mkostemp, -1, EACCES, (char *path, int flags), (path, flags))
FAULT(FILE *, fdopen, NULL, ENOMEM, (int fd, const char *mode), (fd, mode))
FAULT(int, fflush, EOF, ENOSPC, (FILE * f), (f))
FAULT(int, fstat, -1, EIO, (int fd, struct stat *st), (fd, st))
FAULT(int, fstatat, -1, EIO, (int fd, const char *path, struct stat *st, int flags),
      (fd, path, st, flags))
FAULT(int, scandirat, -1, EIO,
      (int fd, const char *path, struct dirent ***list, int (*filter)(const struct dirent *),
       int (*order)(const struct dirent **, const struct dirent **)),
      (fd, path, list, filter, order))

FAULT(int, fstatfs, -1, EIO, (int fd, struct statfs *st), (fd, st))
FAULT(int, fallocate, -1, EIO, (int fd, int mode, off_t offset, off_t bytes),
      (fd, mode, offset, bytes))
FAULT(void *, mmap, MAP_FAILED, ENOMEM,
      (void *at, size_t bytes, int prot, int flags, int fd, off_t offset),
      (at, bytes, prot, flags, fd, offset))
FAULT(int, madvise, -1, ENOMEM, (void *at, size_t bytes, int advice), (at, bytes, advice))
FAULT(int, sync_file_range, -1, EIO, (int fd, off_t offset, off_t bytes, unsigned int flags),
      (fd, offset, bytes, flags))

/* How often something was brought to the disk, in all and before the last renaming. */
static unsigned int fault_syncs, fault_syncs_before_rename;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	fault_syncs++;
	return fault_here(EIO) ? -1 : __real_fsync(fd);
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
	fault_syncs_before_rename = fault_syncs;
	return fault_here(EIO) ? -1 : __real_rename(from, to);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return fault_here(EMFILE) ? -1 : __real_open(path, flags, mode);
}

/* Without a mode: the library creates no file by it. */

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
	return fault_here(EACCES) ? -1 : __real_openat(dir, path, flags);
}

#endif
