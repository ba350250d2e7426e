/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of cgroups: "a/b", relative to the mount, no leading slash; the root is "". */
#include "cgroup/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cgroup/parse.h"
#include "user/common/io.h"

int cg_path_check(const char *path)
{
	const char *p = path;

	if (strlen(path) >= CG_PATH_MAX)
		return -ENAMETOOLONG;
	if (strpbrk(path, "\n\r"))
		return -EINVAL;
	if (!*path)
		return 0;
	for (;;) {
		size_t len = strcspn(p, "/");

		if (!len || (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
			return -EINVAL;
		if (!p[len])
			return 0;
		p += len + 1;
	}
}

bool cg_path_is_ancestor(const char *ancestor, const char *path)
{
	size_t len = strlen(ancestor);

	if (!len)
		return *path != '\0';
	return !strncmp(ancestor, path, len) && path[len] == '/';
}

int cg_path_in_proc(pid_t pid, const char *controller, char *ret_path, size_t size)
{
	static const char gone[] = " (deleted)";
	char file[32], text[8192], path[CG_PATH_MAX];
	ssize_t len;
	int r;

	snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
	len = io_read_file_at(AT_FDCWD, file, text, sizeof(text));
	if (len < 0)
		return len == -ENOENT ? -ESRCH : (int)len;
	r = cg_parse_proc_cgroup(text, (size_t)len, controller, path, sizeof(path));
	if (r < 0)
		return r;
	/* Only what is left of a process, a zombie, stays in a cgroup that was removed. */
	if ((size_t)r >= sizeof(gone) - 1 && !strcmp(path + r - (sizeof(gone) - 1), gone))
		return -ESRCH;
	if ((size_t)r >= size)
		return -ENAMETOOLONG;
	memcpy(ret_path, path, (size_t)r + 1);
	return r;
}
