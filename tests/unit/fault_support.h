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
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/dir_support.h"

static long fault_left = -1;
static bool fault_came;
static const char *fault_only; /* the one function that fails; NULL: all do */
static int fault_error; /* and its errno; 0: one that fits */

/* The n-th from now on, counted from 0. */
static inline void fault_arm(long n)
{
	fault_left = n;
	fault_came = false;
}

/* The n-th of one function's calls, by one errno. */
static inline void fault_arm_of(const char *name, int error, long n)
{
	fault_only = name;
	fault_error = error;
	fault_arm(n);
}

/* Whether it came. */
static inline bool fault_disarm(void)
{
	fault_left = -1;
	fault_only = NULL;
	fault_error = 0;
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

static inline bool fault_of(const char *name, int error)
{
	if (fault_only && strcmp(fault_only, name) != 0)
		return false;
	return fault_here(fault_error ? fault_error : error);
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

/* The same with one function failing, by one errno. */
static inline void with_every_fault_of(const char *name, int error, void (*once)(void),
				       long at_least)
{
	long n = 0;

	do {
		fault_arm_of(name, error, n++);
		once();
	} while (fault_disarm());
	assert_true(n > at_least);
}

/* How many descriptors are open. */
static inline int fault_descriptors(void)
{
	return dir_entries("/proc/self/fd") - 1; /* that of the directory itself */
}

/* FAULT(what it returns, name, what it returns on failure, errno, (declaration), (call)) */
#define FAULT(type, name, failure, error, parameters, arguments)                                   \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		return fault_of(#name, error) ? (failure) : __real_##name arguments;               \
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

static long fault_file_system; /* what every file is on, and its ioctls work; 0: what it is */

int __real_fstatfs(int fd, struct statfs *st);
int __wrap_fstatfs(int fd, struct statfs *st);
int __wrap_fstatfs(int fd, struct statfs *st)
{
	int r = fault_of("fstatfs", EIO) ? -1 : __real_fstatfs(fd, st);

	if (!r && fault_file_system)
		st->f_type = fault_file_system;
	return r;
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (fault_of("ioctl", ENOTTY))
		return -1;
	return fault_file_system ? 0 : __real_ioctl(fd, request, arg);
}

FAULT(int, fallocate, -1, EIO, (int fd, int mode, off_t offset, off_t bytes),
      (fd, mode, offset, bytes))
FAULT(void *, mmap, MAP_FAILED, ENOMEM,
      (void *at, size_t bytes, int prot, int flags, int fd, off_t offset),
      (at, bytes, prot, flags, fd, offset))
FAULT(int, madvise, -1, ENOMEM, (void *at, size_t bytes, int advice), (at, bytes, advice))
FAULT(int, sync_file_range, -1, EIO, (int fd, off_t offset, off_t bytes, unsigned int flags),
      (fd, offset, bytes, flags))

FAULT(FILE *, fopen, NULL, EMFILE, (const char *path, const char *mode), (path, mode))
FAULT(ssize_t, getline, -1, ENOMEM, (char **line, size_t *n, FILE *f), (line, n, f))

/* What getline() is to the compiler. */
ssize_t __real___getdelim(char **line, size_t *n, int delimiter, FILE *f);
ssize_t __wrap___getdelim(char **line, size_t *n, int delimiter, FILE *f);
ssize_t __wrap___getdelim(char **line, size_t *n, int delimiter, FILE *f)
{
	return fault_of("getline", ENOMEM) ? -1 : __real___getdelim(line, n, delimiter, f);
}

FAULT(ssize_t, read, -1, EIO, (int fd, void *to, size_t n), (fd, to, n))
FAULT(ssize_t, pread, -1, EIO, (int fd, void *to, size_t n, off_t offset), (fd, to, n, offset))
FAULT(int, stat, -1, EIO, (const char *path, struct stat *st), (path, st))
FAULT(int, socket, -1, EMFILE, (int domain, int type, int protocol), (domain, type, protocol))
FAULT(int, getsockopt, -1, ENOBUFS, (int fd, int level, int name, void *value, socklen_t *n),
      (fd, level, name, value, n))
FAULT(ssize_t, recv, -1, ECONNRESET, (int fd, void *to, size_t n, int flags), (fd, to, n, flags))
FAULT(ssize_t, recvmsg, -1, ENOMEM, (int fd, struct msghdr *msg, int flags), (fd, msg, flags))

/* Called where the other side could have done something meanwhile. */
static void (*fault_connected)(void), (*fault_polls)(void);

int __real_connect(int fd, const struct sockaddr *addr, socklen_t n);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t n);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t n)
{
	int r = fault_of("connect", ECONNREFUSED) ? -1 : __real_connect(fd, addr, n);

	if (!r && fault_connected)
		fault_connected();
	return r;
}

int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	if (fault_polls)
		fault_polls();
	return fault_of("poll", ENOMEM) ? -1 : __real_poll(fds, n, timeout_ms);
}

/* How often somebody slept. */
static unsigned int fault_pauses;

int __real_nanosleep(const struct timespec *time, struct timespec *rest);
int __wrap_nanosleep(const struct timespec *time, struct timespec *rest);
int __wrap_nanosleep(const struct timespec *time, struct timespec *rest)
{
	fault_pauses++;
	return fault_of("nanosleep", EINTR) ? -1 : __real_nanosleep(time, rest);
}

/* How often something was brought to the disk, in all and before the last renaming. */
static unsigned int fault_syncs, fault_syncs_before_rename;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	fault_syncs++;
	return fault_of("fsync", EIO) ? -1 : __real_fsync(fd);
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
	fault_syncs_before_rename = fault_syncs;
	return fault_of("rename", EIO) ? -1 : __real_rename(from, to);
}

static int fault_tmpfile; /* errno of every O_TMPFILE; 0: they work */

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
	if (fault_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = fault_tmpfile;
		return -1;
	}
	return fault_of("open", EMFILE) ? -1 : __real_open(path, flags, mode);
}

/* Without a mode: the library creates no file by it. */

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
	return fault_of("openat", EACCES) ? -1 : __real_openat(dir, path, flags);
}

/* One argument or none; of a type that fits in a long. */
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
	va_list ap;
	long arg;

	va_start(ap, command);
	arg = va_arg(ap, long);
	va_end(ap);
	return fault_of("fcntl", EBADF) ? -1 : __real_fcntl(fd, command, arg);
}

/* Futexes and fences. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	long arg[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	return fault_of("syscall", ENOSYS)
		   ? -1
		   : __real_syscall(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

#endif
