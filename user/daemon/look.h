/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When an engine's files are looked at: its cgroup's CPU time, and what else no sensor counts. Each
 * look costs several system calls, and most engines of a large host have nothing new in them.
 */
#ifndef BAROSTAT_DAEMON_LOOK_H
#define BAROSTAT_DAEMON_LOOK_H

#include <stdbool.h>
#include <stdint.h>

/* One engine's; all zero at first. Times are of CLOCK_MONOTONIC. */
struct look {
	uint64_t due_ns; /* at the latest */
	uint64_t reads_since_ns; /* its files, in every sample since then; 0: it does not */
	uint32_t looks; /* to come: it has stopped, and may have fallen asleep */
	bool quiet; /* it has hardly worked between the last two looks at its CPU time */
};

/* What a sample knows before any file is read. */
struct look_news {
	bool known; /* sensors tell what the files would */
	bool moved; /* its memory did something lately */
	bool counted; /* reads are: the sensor does not rest */
	bool reads; /* files since the sample before, hit or missed */
	uint32_t busy_ppm; /* how busy it is thought to be */
};

/* After every sample, also those that will not look. */
bool look_due(struct look *l, const struct look_news *news, uint64_t now_ns);
/* There was a look: the next is due in FILES_IDLE_NS at the latest. */
void look_done(struct look *l, uint64_t now_ns);
/* So much CPU time it took in so much time since the look before. */
void look_at_cpu(struct look *l, uint64_t cpu_ns, uint64_t window_ns);

#define FILES_IDLE_NS 1000000000ull /* how often the files of an idle engine are looked at */

#endif
