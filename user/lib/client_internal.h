/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the client share; never installed. */
#ifndef BAROSTAT_LIB_CLIENT_INTERNAL_H
#define BAROSTAT_LIB_CLIENT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/barostat/client.h"

/* What a welcome brings. */
struct link_grant {
	struct baro_page *page;
	struct baro_slot_ref ref;
	struct baro_demand *demand; /* mapped for writing */
};

/* A connection to whoever listens at `path`, which is root or ourselves. Does not block. */
int link_connect(const char *path);

/* Judges what was received. 0: it is a welcome with its two descriptors; otherwise -errno, which
 * for a refusal is the daemon's own. */
int link_judge_welcome(const void *message, size_t bytes, size_t descriptors,
		       struct baro_welcome *ret);

/* Takes the welcome from the connection. -EAGAIN: it has not come yet. */
int link_welcome(int fd, struct link_grant *ret);

/* Whether the daemon has closed the connection. */
bool link_is_hung_up(int fd);

/* What the cgroup's own files say; the two files of /proc are named for tests. */
int files_read(const char *cgroup_file, const char *mountinfo_file, struct baro_pressure *ret);

#endif
