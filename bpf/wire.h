/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Types shared by the kernel side (bpf/) and the daemon's loader (user/daemon/sensors*). Included
 * by both compilers, so: fixed-width types, explicit padding. Kept in step by the dependency files
 * of both compilers. All counters are cumulative since the slot was added.
 */
#ifndef BAROSTAT_BPF_WIRE_H
#define BAROSTAT_BPF_WIRE_H

#ifndef __bpf__
#include <stdint.h>
#else
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef long long int64_t;
#endif

/* Why a task of the engine waited for memory. */
enum stall_cause {
	STALL_DIRECT_RECLAIM, /* the task reclaimed for its own charge or allocation */
	STALL_HIGH_THROTTLE, /* put to sleep above memory.high */
	STALL_REFAULT, /* waited for a page that had been evicted */
	STALL_SWAP_IN, /* waited for anonymous memory to come back */
	STALL_CAUSES
};

#define LATENCY_BINS 32 /* bin b counts [2^b, 2^(b+1)) ns */

/*
 * Refault distances in pages, 4 linear sub-bins per octave: distance d < 4 is bin d; otherwise with
 * e = floor(log2 d), bin = (e - 1) * 4 + ((d >> (e - 2)) & 3). 128 bins reach 2^33 pages.
 */
#define DISTANCE_SUB_BINS 4
#define DISTANCE_BINS     128

/*
 * Reuse times in sampled accesses, the same with 8 sub-bins: t < 8 is bin t; otherwise (e - 2) * 8 +
 * ((t >> (e - 3)) & 7). 256 bins reach 2^34; a power of two, for bpf/reuse.bpf.c masks with it.
 */
#define REUSE_SUB_BINS 8
#define REUSE_BINS     256

/*
 * Accesses to pages that were last read before the sensor rested. Of their reuse times it is known
 * that they are longer than what it has counted since.
 */
struct reuse_beyond {
	uint64_t accesses;
	uint64_t missed; /* those of them whose page had been read in since */
	uint64_t looked; /* how much it had counted since at each, in accesses, summed */
};

/* One slot, summed over CPUs: what sensors_read() brings up to date. `valid` and `moved` have bits
 * (1 << enum sensor_id). */
struct sensor_reading {
	uint32_t valid;
	uint32_t moved; /* what is new since the reading before, of sensors with much to copy */
	uint64_t walk_moved; /* the walk that the walk's part is of, see walk.h */
	uint32_t reuse_sample_shift;
	uint32_t ghost_sample_shift; /* 1 in 2^shift pages is followed */
	/* faults */
	uint64_t majfault_count;
	uint64_t majfault_ns;
	uint64_t majfault_latency[LATENCY_BINS];
	/* stalls */
	uint64_t stall_count[STALL_CAUSES];
	uint64_t stall_ns[STALL_CAUSES];
	uint64_t stall_latency[STALL_CAUSES][LATENCY_BINS];
	/* refaults (sampled numbers: multiply by 1 << ghost_sample_shift) */
	uint64_t evictions; /* all evicted pages of the engine, not sampled: the eviction clock */
	uint64_t ghost_evictions; /* sampled evictions that left a ghost */
	uint64_t ghost_refaults; /* sampled refaults whose ghost was found */
	uint64_t ghost_unknown; /* sampled refaults whose ghost was gone, or of another engine */
	uint64_t ghost_distance[DISTANCE_BINS];
	/* reuse (sampled numbers, times as well: multiply by 1 << reuse_sample_shift) */
	uint64_t accesses; /* pages that read() copied from the page cache */
	uint64_t first_accesses; /* those of them that were not known */
	struct reuse_beyond beyond;
	uint64_t late_misses; /* of no meaning but that `missed` has moved */
	uint64_t reused[REUSE_BINS]; /* the others, by reuse time */
	uint64_t missed[REUSE_BINS]; /* those of these that had been read in since */
	/* reclaim */
	uint64_t reclaim_scanned_pages, reclaim_stolen_pages; /* by whom ever, from this engine */
	uint64_t direct_reclaims; /* times a task of the engine went into direct reclaim */
	/* oom */
	uint64_t oom_kills;
	/* walk: absolute values and kernel counters of the memory cgroup, children included */
	uint64_t usage_bytes, max_bytes, high_bytes, low_bytes, swap_bytes;
	uint64_t anon_bytes, file_bytes, shmem_bytes, file_mapped_bytes, file_dirty_bytes;
	uint64_t file_writeback_bytes, kernel_bytes, unevictable_bytes;
	uint64_t pgfault, pgmajfault, refault_anon, refault_file, pgscan, pgsteal;
	uint64_t psi_memory_some_ns, psi_memory_full_ns, psi_io_some_ns, psi_io_full_ns;
	uint64_t events_high, events_max, events_oom_kill;
	uint32_t walk_valid; /* which of the walk's groups are exact here, WALK_* */
	uint32_t children; /* cgroups below the engine's that count into this slot */
};

#define WALK_USAGE  1u
#define WALK_VMSTAT 2u
#define WALK_PSI    4u
#define WALK_EVENTS 8u

enum sensor_event_kind {
	SENSOR_EVENT_STALL_ONSET, /* armed slot met its limit */
	SENSOR_EVENT_OOM_VICTIM,
	SENSOR_EVENT_CGROUP_GONE, /* the engine's own cgroup was removed */
	SENSOR_EVENT_CGROUP_NEW, /* a cgroup appeared below an engine */
};

struct sensor_event {
	uint32_t kind; /* enum sensor_event_kind */
	uint32_t slot;
	uint64_t time_ns; /* CLOCK_MONOTONIC (bpf_ktime_get_ns) */
	uint64_t cgroup_id;
	uint32_t pid;
	uint32_t cause; /* enum stall_cause, for STALL_ONSET */
};

#endif
