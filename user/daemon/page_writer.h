/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writing side of the pressure page (include/barostat/page.h, docs/page-protocol.md).
 *
 * A tick is: page_writer_update() for each engine that has news, then one page_writer_commit().
 * Nothing after page_writer_open() allocates, and nothing but the wake-up in commit is a system
 * call. One thread uses a writer.
 */
#ifndef BAROSTAT_DAEMON_PAGE_WRITER_H
#define BAROSTAT_DAEMON_PAGE_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/barostat/page.h"

struct page_writer;

enum page_origin {
	PAGE_CREATED, /* there was none */
	PAGE_ADOPTED, /* the file of the daemon before: readers' mappings go on */
	PAGE_REPLACED, /* there was one we could not go on with: readers must open again */
};

/* What the daemon knows of an engine; the fields of struct baro_slot without its bookkeeping.
 * BARO_PAGE_NONE in limits that are not set and in time_to_ceiling_ns for never. */
struct page_slot_values {
	enum baro_slot_state state;
	enum baro_level level;
	uint32_t flags; /* enum baro_slot_flag */
	uint32_t score_ppm;
	uint32_t reason; /* enum baro_reason; enum law_reason has the same numbers */
	uint32_t clamps; /* enum law_clamp */
	uint32_t stall_ppm, stall_avg_ppm;
	uint64_t budget_bytes, target_bytes, limit_bytes, usage_bytes, headroom_bytes;
	uint64_t release_bytes, release_by_ns;
	uint64_t grant_epoch;
	uint64_t time_to_ceiling_ns;
	int64_t velocity_bytes_per_s;
	uint64_t ack_epoch;
	uint64_t anon_bytes, file_bytes, shmem_bytes, kernel_bytes, dirty_bytes, swap_bytes;
	uint64_t unreclaimable_bytes, working_set_bytes;
	uint64_t low_bytes, high_bytes, hard_bytes;
	uint32_t psi_memory_some_1s_ppm, psi_memory_full_1s_ppm;
	uint32_t psi_memory_some_10s_ppm, psi_memory_full_10s_ppm;
	uint32_t psi_io_some_1s_ppm, psi_io_full_1s_ppm;
	uint32_t psi_io_some_10s_ppm, psi_io_full_10s_ppm;
	uint64_t oom_kills;
	uint64_t stall_ns_per_s[BARO_PAGE_STALL_CAUSES]; /* in the order of enum stall_cause */
	uint64_t refaults_per_s, faults_per_s, majfaults_per_s, evictions_per_s;
};

/* Who the slot belongs to. */
struct page_slot_identity {
	const char *name; /* shorter than BARO_PAGE_NAME_MAX */
	uint64_t cgroup_id; /* 0 while the cgroup does not exist */
	uint64_t psi_cgroup_id;
	uint32_t cgroup_hierarchy; /* 0 on v2; the v1 memory hierarchy's number on hybrid */
	uint32_t weight;
	uint64_t min_bytes, max_bytes;
};

struct page_header_values {
	uint64_t ceiling_bytes, reserve_bytes, usage_bytes;
	enum baro_level level;
	uint32_t score_ppm;
	enum baro_rung rung;
	uint32_t flags; /* enum baro_page_flag */
	uint64_t interval_ns;
	uint64_t cost_tick_p50_ns, cost_tick_p99_ns, cost_rss_bytes;
	uint32_t cost_cpu_ppm;
	uint64_t dropped_events;
};

/*
 * Opens the page for writing, for at least `slots` engines. Its directory is made when only that
 * is missing (mode 0755); the file gets exactly `mode` (0644: every local user may read it). A
 * page of the same version with enough slots is adopted in place, with the slots it has, until
 * the first commit frees those that were not assigned again; any other file is replaced by
 * rename, never truncated, and one line of the log says why.
 *  -EBUSY	another daemon holds this page (PATH.lock)
 *  -ENOSPC	no room for it: every byte is allocated here, so that no later write can fail
 *  -ENOENT, -EACCES, -EROFS, ...	the directory is not there or not writable
 *  -EINVAL	slots is 0 or above BARO_PAGE_SLOTS_MAX, mode lets others write (readers refuse
 *		such a page), or the path is a directory
 *  -ENAMETOOLONG, -ENOMEM
 */
int page_writer_open(const char *path, uint32_t slots, mode_t mode, struct page_writer **ret,
		     enum page_origin *ret_origin);

/*
 * Closes it; the file stays, so that the next daemon can adopt it. `leave_stale`: the lease is left
 * to run out by itself (exec, tests of crashes). Otherwise it ends now and all waiters are woken
 * to see that. NULL is fine.
 */
void page_writer_close(struct page_writer *w, bool leave_stale);

/* A read-only descriptor of the page, for handing on (SCM_RIGHTS); owned by the writer. -errno when
 * there is none (no /proc). */
int page_writer_reader(const struct page_writer *w);

/* How many slots there are; at least what was asked for. */
uint32_t page_writer_slots(const struct page_writer *w);

/* The slot as published, for the writing thread alone: no seqlock is needed there. */
const struct baro_slot *page_writer_slot(const struct page_writer *w, uint32_t i);

/*
 * Gives slot i to an engine, or tells new facts about the engine that has it. References held by
 * readers stay good as long as the name stays the same, across restarts too; another name is
 * another incarnation, with all values 0 until the next update.
 *  -EINVAL	no such slot, or the name is empty or too long
 */
int page_writer_assign(struct page_writer *w, uint32_t i, const struct page_slot_identity *who);

/* Publishes an engine's values. The slot must be assigned. */
void page_writer_update(struct page_writer *w, uint32_t i, const struct page_slot_values *values,
			uint64_t now_ns);

/* The slot is nobody's: readers get -ENOENT. Free slots may be freed again. */
void page_writer_free(struct page_writer *w, uint32_t i);

/*
 * Publishes the header with a lease of lease_ns from now, and, when `wake` or when since the last
 * commit the host's level, some engine's level, state, budget, release request or grant epoch
 * changed or a slot changed hands, moves the generation and wakes all waiters. Returns whether it
 * woke.
 */
bool page_writer_commit(struct page_writer *w, const struct page_header_values *values,
			uint64_t now_ns, uint64_t lease_ns, bool wake);

#endif
