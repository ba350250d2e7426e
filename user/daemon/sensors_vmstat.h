/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of the kernel's vmstats counters is which. The indexes of memcg_vmstats.state[] and
 * events[] differ between kernels and builds and are not in BTF. So a layout is proposed from what
 * the enums tell, and believed only once all of its counters have agreed with memory.stat of the
 * same cgroup.
 */
#ifndef BAROSTAT_DAEMON_SENSORS_VMSTAT_H
#define BAROSTAT_DAEMON_SENSORS_VMSTAT_H

#include <stdbool.h>

#include "bpf/walk.h"

enum vmstat_state {
	VMSTAT_ANON,
	VMSTAT_FILE,
	VMSTAT_SHMEM,
	VMSTAT_MAPPED,
	VMSTAT_DIRTY,
	VMSTAT_WRITEBACK,
	VMSTAT_UNEVICTABLE,
	VMSTAT_REFAULT_ANON,
	VMSTAT_REFAULT_FILE,
	VMSTAT_KERNEL,
	VMSTAT_STATES
};

struct vmstat_layout {
	uint32_t state[VMSTAT_STATES]; /* indexes into walk_record.vmstate */
	uint32_t pgscan, pgsteal; /* first of `reclaimers` indexes each, in walk_record.vmevents */
	uint32_t reclaimers;
	uint32_t pgfault, pgmajfault;
};

/*
 * memory.stat before and after the record was taken. 0 and *ret when a layout agrees with them;
 * -EAGAIN when the cgroup moved in between or shows too little to tell; -ENOENT when the text and
 * every proposed layout contradict each other.
 */
int vmstat_match(const struct walk_record *record, const struct walk_enums *enums,
		 const char *stat_before, const char *stat_after, struct vmstat_layout *ret);

/* Sum of a run of event counters. */
uint64_t vmstat_sum(const struct walk_record *record, uint32_t first, uint32_t count);

#endif
