/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text of cgroup files into numbers. Pure: no system calls, no allocation, no locale. Input is
 * (text, length) and need not end in NUL; any bytes are survived. 0 or -errno (-EINVAL: not what
 * the kernel writes, -ERANGE: a number beyond 64 bits); outputs untouched on failure.
 */
#ifndef BAROSTAT_CGROUP_PARSE_H
#define BAROSTAT_CGROUP_PARSE_H

#include "cgroup/cgroup.h"

/* A file of one number, or "max" (BYTES_NO_LIMIT), with or without a newline. */
int cg_parse_number(const char *text, size_t len, uint64_t *ret_value);

/* memory.stat. Unknown lines are skipped; fields that did not occur are 0 and set in `missing`. */
int cg_parse_stat_v2(const char *text, size_t len, struct cg_stat *ret);
int cg_parse_stat_v1(const char *text, size_t len, struct cg_stat *ret);

/* memory.events of v2. */
int cg_parse_events(const char *text, size_t len, struct cg_events *ret);

/* The value of one "key value" line. -ENOENT: no such line. */
int cg_parse_key(const char *text, size_t len, const char *key, uint64_t *ret_value);

/* A pressure file. A file without a `full` line (kernels before 5.13, cpu) gives full_ns = 0. */
int cg_parse_pressure(const char *text, size_t len, struct cg_pressure *ret);

/*
 * The path in /proc/PID/cgroup, without its leading slash: of the v1 hierarchy that has
 * `controller`, or of the unified one when controller is "". Returns the length.
 * -ENOENT: no such hierarchy; -ENAMETOOLONG: ret_path is too small; -EXDEV: the process lives
 * outside of our cgroup namespace.
 */
int cg_parse_proc_cgroup(const char *text, size_t len, const char *controller, char *ret_path,
			 size_t size);

/* The number of that hierarchy, which is also the kernel's hierarchy_id. -ENOENT. */
int cg_parse_hierarchy_id(const char *text, size_t len, const char *controller, uint32_t *ret_id);

/* Whether `word` is one of the space-separated words of the text (cgroup.controllers). */
bool cg_parse_has_word(const char *text, size_t len, const char *word);

/*
 * The PIDs of a piece of cgroup.procs: fills ret_pids from *inout_count on, up to max, and counts
 * on beyond it. Returns how many bytes were used up: a last line without newline is left for the
 * next piece.
 */
size_t cg_parse_pids(const char *text, size_t len, pid_t *ret_pids, size_t max,
		     size_t *inout_count);

#endif
