/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the two halves of the refaults sensor. */
#ifndef BAROSTAT_BPF_REFAULTS_H
#define BAROSTAT_BPF_REFAULTS_H

#include "bpf/wire.h"

/* Per slot, not per CPU: a clock must be one number, and the rest is sampled and so rare. */
struct refault_counters {
	uint64_t evictions; /* the clock: base pages */
	uint64_t generation; /* of the slot: ghosts of an earlier engine are strangers */
	uint64_t ghost_evictions;
	uint64_t ghost_refaults;
	uint64_t ghost_unknown;
	uint64_t unused[3]; /* the histogram begins on a line of its own */
	uint64_t ghost_distance[DISTANCE_BINS];
};

#endif
