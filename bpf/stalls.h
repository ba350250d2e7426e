/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the two halves of the stalls sensor. */
#ifndef BAROSTAT_BPF_STALLS_H
#define BAROSTAT_BPF_STALLS_H

#include "bpf/wire.h"

/* Per slot, not per CPU: a stall is a thousand times dearer than an atomic add, and a reader has
 * one cache line per four bins to fetch instead of one per CPU and four bins. */
struct stall_counters {
	uint64_t stall_count[STALL_CAUSES];
	uint64_t stall_ns[STALL_CAUSES];
	uint64_t stall_latency[STALL_CAUSES][LATENCY_BINS];
};

#endif
