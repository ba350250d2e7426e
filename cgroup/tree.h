/* SPDX-License-Identifier: BSD-2-Clause */
/* Directories of a cgroup tree: who lives in them, making and removing them by hand. */
#ifndef BAROSTAT_CGROUP_TREE_H
#define BAROSTAT_CGROUP_TREE_H

#include <dirent.h>

#include "cgroup/cgroup.h"

#define CG_DEPTH_MAX 32 /* levels walked below a cgroup */

bool cg_tree_exists(int rootfd, const char *path);

/* Child directories, one name per call; NULL at the end. */
DIR *cg_tree_list(int dirfd);
const char *cg_tree_next_child(DIR *d);
/* Whether any process is in the directory or, with `deep`, below it. */
int cg_tree_populated(int dirfd, bool deep, bool *ret_populated);
int cg_tree_has_children(int dirfd, bool *ret_has);
/* PIDs in the directory and below it; see cg_node_pids(). */
int cg_tree_pids(int dirfd, pid_t *ret_pids, size_t max);

/* Calls `each` for every proper ancestor of path from the root ("") down; stops at an error. */
int cg_tree_each_ancestor(const char *path, int (*each)(const char *ancestor, void *arg),
			  void *arg);
/* How many leading components of path exist already. */
unsigned int cg_tree_depth_existing(int rootfd, const char *path);
/* Makes path and its missing parents. *ret_created: the last component is new. */
int cg_tree_make(int rootfd, const char *path, bool *ret_created);
/* Removes the empty directories of path from its end up to, not including, the first `keep`. */
void cg_tree_unmake(int rootfd, const char *path, unsigned int keep);

#endif
