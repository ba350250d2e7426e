/* SPDX-License-Identifier: BSD-2-Clause */
/* How many pages the refaults and reuse sensors remember, and which pages those are. Pure. */
#ifndef BAROSTAT_DAEMON_SENSORS_GHOSTS_H
#define BAROSTAT_DAEMON_SENSORS_GHOSTS_H

#include <stdint.h>

#define GHOST_WAYS        4u /* ghosts in a set; as in bpf/refaults.bpf.c */
#define GHOST_BYTES       16u
#define GHOST_SHIFT_MAX   16u /* more would overlap the bits that choose the set with the tag's */
#define GHOST_SHIFT_USUAL 4u
#define GHOST_SETS_MIN    64u
#define GHOST_SETS_MAX    (1u << 20) /* 64 MiB of kernel memory */
#define GHOSTS_ENOUGH     (1u << 15) /* 128 of them for each of the law's 128 buckets, twice */
#define GHOSTS_DEFAULT    (1u << 19) /* 8 MiB */

#define REUSE_ENOUGH (1u << 13) /* sampled pages: every access counts, not only what was evicted */

struct ghost_plan {
	uint32_t sample_shift; /* 1 in 2^shift pages leaves a ghost */
	uint32_t sets; /* power of two */
};

/*
 * The table remembers twice the ceiling: a miss-ratio curve is wanted up to there, and a ghost from
 * further away could not be bought back anyway. Following a page costs cache misses when it goes
 * and when it comes, so one in 16 is followed, more only below 1 GiB (all up to 64 MiB), where that
 * would be too few pages, and fewer only above 16 GiB, where they would not fit: 1 in 64 at 64 GiB.
 * The 200 sampled refaults in a window of 4 s which the control law asks for are then 800
 * refaults/s at 16 GiB (a slow disk) and 3,200 at 64 GiB. `entries`, when not 0, is the size of the
 * table, and as many pages are followed as fit.
 */
struct ghost_plan ghosts_plan(uint64_t ceiling_bytes, uint32_t entries, uint32_t page_bytes);

/*
 * The same for the pages whose accesses the reuse sensor follows; its sets have twice the ways, as a
 * loop over more pages than a set has ways would find none of them. One in 16 from 256 MiB on
 * (accesses cost a program run each, and far more of them come than refaults), all up to 16 MiB.
 */
struct ghost_plan reuse_plan(uint64_t ceiling_bytes, uint32_t entries, uint32_t page_bytes);

#endif
