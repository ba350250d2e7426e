/* SPDX-License-Identifier: BSD-2-Clause */
/* How many ghosts the refaults sensor keeps, and which pages leave one. Pure. */
#ifndef BAROSTAT_DAEMON_SENSORS_GHOSTS_H
#define BAROSTAT_DAEMON_SENSORS_GHOSTS_H

#include <stdint.h>

#define GHOST_WAYS      4u /* ghosts in a set; as in bpf/refaults.bpf.c */
#define GHOST_BYTES     16u
#define GHOST_SHIFT_MAX 16u /* more would overlap the bits that choose the set with the tag's */
#define GHOST_SETS_MIN  64u
#define GHOST_SETS_MAX  (1u << 20) /* 64 MiB of kernel memory */
#define GHOSTS_DEFAULT  (1u << 19) /* 8 MiB */

struct ghost_plan {
	uint32_t sample_shift; /* 1 in 2^shift pages leaves a ghost */
	uint32_t sets; /* power of two */
};

/*
 * The table remembers twice the ceiling: a miss-ratio curve is wanted up to there, and a ghost from
 * further away could not be bought back anyway. Within that, as many pages are followed as fit:
 * `entries` ghosts (0: GHOSTS_DEFAULT). 8 MiB follow every page up to 1 GiB, 1 in 16 up to 16 GiB,
 * 1 in 256 up to 256 GiB. 200 sampled refaults in a window of 4 s, which the control law asks for,
 * are then 800 refaults/s at 16 GiB (a slow disk) and 3,200 at 64 GiB.
 */
struct ghost_plan ghosts_plan(uint64_t ceiling_bytes, uint32_t entries, uint32_t page_bytes);

#endif
