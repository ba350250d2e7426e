/* SPDX-License-Identifier: BSD-2-Clause */
/* A directory of a test's own, and all of it gone afterwards. */
#ifndef BAROSTAT_TESTS_DIR_SUPPORT_H
#define BAROSTAT_TESTS_DIR_SUPPORT_H

#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes one with `name` in its name, and writes its path to ret_dir; 0 or -1. */
static inline int dir_make(const char *name, char *ret_dir, size_t bytes)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(ret_dir, bytes, "%s/barostat-test-%s-XXXXXX", tmp ? tmp : "/tmp", name);
	return mkdtemp(ret_dir) ? 0 : -1;
}

static inline int dir_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline int dir_remove(const char *dir)
{
	return nftw(dir, dir_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* How many entries a directory has; -1 when it cannot be read. */
static inline int dir_entries(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	if (!d)
		return -1;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

#endif
