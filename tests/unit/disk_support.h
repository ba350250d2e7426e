/* SPDX-License-Identifier: BSD-2-Clause */
/* Disks that are full: a file system of some bytes, in a mount namespace of the calling process's
 * own. Call it in a child. */
#ifndef BAROSTAT_TESTS_DISK_SUPPORT_H
#define BAROSTAT_TESTS_DISK_SUPPORT_H

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define DISK_REFUSED 77 /* exit status of a child that may not mount */

static inline bool disk_put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* Root makes a mount namespace at once; others need a user namespace in which they are somebody. */
static inline bool disk_enter_namespace(void)
{
	char uid[64], gid[64];

	if (geteuid() == 0)
		return unshare(CLONE_NEWNS) == 0;
	snprintf(uid, sizeof(uid), "%u %u 1", geteuid(), geteuid());
	snprintf(gid, sizeof(gid), "%u %u 1", getegid(), getegid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
	       disk_put("/proc/self/setgroups", "deny") && disk_put("/proc/self/uid_map", uid) &&
	       disk_put("/proc/self/gid_map", gid);
}

/* A tmpfs of that size ("size=64k") over the directory. */
static inline bool disk_mount_small(const char *dir, const char *size)
{
	return disk_enter_namespace() && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", dir, "tmpfs", 0, size) == 0;
}

/* Runs it in a child: its exit status, or minus the signal that ended it. */
static inline int disk_run(int (*body)(void *), void *arg)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(body(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* Skips the test when the child was refused. */
static inline void disk_skip_unless_mounted(int status)
{
	if (status != DISK_REFUSED)
		return;
	print_message("SKIP: no right to mount a tmpfs in a namespace\n");
	skip();
}

#endif
