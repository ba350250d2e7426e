/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the two halves of the reuse sensor. */
#ifndef BAROSTAT_BPF_REUSE_H
#define BAROSTAT_BPF_REUSE_H

#include "bpf/wire.h"

/* Per slot, not per CPU: a clock must be one number, and all of this is sampled. */
struct reuse_counters {
	uint64_t accesses; /* as many as are in the histogram, in `first` or in `beyond` */
	uint64_t first; /* accesses to pages not known */
	struct reuse_beyond beyond;
	uint64_t late_misses; /* added to what missed after their access had been counted */
	uint64_t generation; /* of the slot: what an earlier engine read is a stranger's */
	uint64_t clock; /* ahead of `accesses` while one is being counted */
	uint64_t woken; /* the clock when the sensor last began again to count */
	uint64_t unused[7]; /* the histograms begin on a line of their own */
	uint64_t reused[REUSE_BINS]; /* accesses by reuse time */
	uint64_t missed[REUSE_BINS]; /* those of them whose page had been read in since */
};

#endif
