/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The walk's record of one cgroup, between bpf/walk.bpf.c and its loader alone. */
#ifndef BAROSTAT_BPF_WALK_H
#define BAROSTAT_BPF_WALK_H

#include "bpf/wire.h"

#define WALK_STATES_MAX 64 /* 50 on 6.1, 38 on 6.12, 40 on 6.18 */
#define WALK_EVENTS_MAX 48 /* 15, 22, 31 */
#define LOOK_THROUGH    64u /* slots of a walk that are read whole, whatever their head says */

/*
 * Where a kernel with plain (not compact) indexes keeps its counters, and what else its enums tell:
 * enum values of the running kernel, by CO-RE.
 */
struct walk_enums {
	uint32_t states; /* MEMCG_NR_STAT: equal to vmstate_count when indexes are plain */
	uint32_t anon, file, shmem, mapped, dirty, writeback, unevictable, refault_anon;
	uint32_t refault_file, kernel;
	uint32_t reclaimers; /* kinds of pgscan and of pgsteal: kswapd, direct, khugepaged, ... */
};

struct walk_record {
	uint64_t walk_number; /* of the last walk that was here; 0: none yet */
	uint64_t moved_number; /* of the last walk that wrote the rest */
	uint64_t head; /* see walk.bpf.c */
	uint64_t usage_pages, low_pages, high_pages, max_pages, swap_pages, kernel_pages;
	uint64_t failcnt; /* v1 */
	uint64_t events[9]; /* enum memcg_memory_event */
	uint64_t psi_memory_some_ns, psi_memory_full_ns, psi_io_some_ns, psi_io_full_ns;
	uint32_t vmstate_count, vmevent_count; /* how many this kernel has; 0: more than fit */
	uint64_t vmstate[WALK_STATES_MAX];
	uint64_t vmevents[WALK_EVENTS_MAX];
};

#endif
