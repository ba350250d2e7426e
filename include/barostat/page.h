/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pressure page: what every engine of this host may use, and how hard memory presses on it.
 *
 * barostatd writes one file (/run/barostat/pressure); anyone who may read it maps it read-only.
 * A header, then one slot per engine, each with a seqlock of its own. docs/page-protocol.md says
 * the same byte by byte, for readers in other languages.
 *
 *	struct baro_page *page;
 *	struct baro_slot_ref self;
 *	struct baro_pressure now;
 *
 *	if (baro_page_open(NULL, &page) == 0 && baro_page_find_self(page, &self) == 0) {
 *		if (baro_page_level(&self) >= BARO_LEVEL_WARNING &&	// one load
 *		    baro_page_valid(page) &&				// the daemon lives
 *		    baro_page_read(&self, &now) == 0)			// consistent
 *			cache_shrink_to(now.budget_bytes);
 *	}
 *	baro_page_close(page);
 *
 * Units: bytes, ns of CLOCK_MONOTONIC, ppm (1000000 = all of the time). UINT64_MAX in a limit or a
 * time means "none" or "never".
 *
 * Threads: everything that takes a const page or a const reference may be called from any number
 * of threads at once. baro_page_close() must be the last call; references die with their page.
 *
 * Errors: functions return 0 (or a count) or -errno, and leave their ret_ outputs untouched when
 * they fail. The library never prints, exits, starts a thread or touches signals.
 */
#ifndef BAROSTAT_PAGE_H
#define BAROSTAT_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef BARO_API
#define BARO_API __attribute__((visibility("default")))
#endif

#define BARO_PAGE_PATH         "/run/barostat/pressure" /* default; BAROSTAT_PAGE overrides */
#define BARO_PAGE_MAGIC        UINT64_C(0x454741504f524142) /* "BAROPAGE" in the file */
#define BARO_PAGE_ABI_MAJOR    1 /* another major: a reader must refuse */
#define BARO_PAGE_ABI_MINOR    0 /* a higher minor only adds: a reader goes on */
#define BARO_PAGE_NAME_MAX     64 /* engine names, with the NUL */
#define BARO_PAGE_SLOTS_MAX    65536
#define BARO_PAGE_STALL_CAUSES 4
#define BARO_PAGE_NONE         UINT64_MAX /* no limit, never */

/* Utilisation and stall together, with hysteresis. Later versions may add higher values: compare
 * with >=. */
enum baro_level {
	BARO_LEVEL_UNKNOWN = 0, /* nothing known: free slot, engine without cgroup, slot reused */
	BARO_LEVEL_NORMAL = 1,
	BARO_LEVEL_WARNING = 2, /* from 70 %: start to spill, stop growing caches */
	BARO_LEVEL_CRITICAL = 3, /* from 85 %: spill or push back, refuse large work */
	BARO_LEVEL_EMERGENCY = 4, /* from 95 %: essential work only */
};

enum baro_slot_state {
	BARO_SLOT_FREE = 0,
	BARO_SLOT_ACTIVE = 1,
	BARO_SLOT_WAITING = 2, /* configured, its cgroup does not exist yet */
	BARO_SLOT_GONE = 3, /* its cgroup vanished */
	BARO_SLOT_MANUAL = 4, /* somebody else set its limit: published, not steered */
};

enum baro_slot_flag {
	BARO_SLOT_FLAG_HARD = 1, /* the target is enforced as a limit, not as protection */
	BARO_SLOT_FLAG_STREAM = 2, /* reads without reuse: kept small */
	BARO_SLOT_FLAG_AT_LIMIT = 4, /* usage touches the limit in force */
};

/* What the kernel of this host allows; see doctor. */
enum baro_rung {
	BARO_RUNG_UNKNOWN = 0,
	BARO_RUNG_FULL = 1,
	BARO_RUNG_TRACEPOINTS = 2,
	BARO_RUNG_HYBRID = 3,
	BARO_RUNG_FILES = 4,
	BARO_RUNG_OBSERVE = 5,
};

enum baro_page_flag {
	BARO_PAGE_DRY_RUN = 1, /* nothing is enforced: targets are what would be */
	BARO_PAGE_CAN_LOW = 2, /* protection (memory.low) is available */
	BARO_PAGE_CAN_RECLAIM = 4, /* memory.reclaim is available */
	BARO_PAGE_HAS_PSI = 8, /* the psi_ fields are measured */
	BARO_PAGE_HAS_LEDGER = 16, /* stall_ns_per_s is measured, by cause */
	BARO_PAGE_HAS_GHOSTS = 32, /* refault distances feed the law */
};

/* Index into stall_ns_per_s. */
enum baro_stall_cause {
	BARO_STALL_DIRECT_RECLAIM = 0,
	BARO_STALL_HIGH_THROTTLE = 1,
	BARO_STALL_REFAULT = 2,
	BARO_STALL_SWAP_IN = 3,
};

/* Why the target is what it is. */
enum baro_reason {
	BARO_REASON_NONE = 0, /* nothing worth moving memory for */
	BARO_REASON_START = 1,
	BARO_REASON_GAIN = 2, /* received: stalls here cost more than at the donor */
	BARO_REASON_DONATE = 3, /* gave: worth less here than there, or needed there at once */
	BARO_REASON_IDLE = 4, /* gave what it does not use */
	BARO_REASON_BURST = 5, /* received at once: memory was free, or it could not wait */
	BARO_REASON_STREAM = 6, /* kept small: reads without reuse */
	BARO_REASON_FLOOR = 7, /* raised to its minimum or to what cannot be reclaimed */
	BARO_REASON_CEILING = 8, /* scaled down, the sum did not fit */
	BARO_REASON_FILLING = 9, /* has not yet used what it has */
	BARO_REASON_HYSTERESIS = 10, /* the gain does not clearly exceed the loss */
	BARO_REASON_NOISE = 11, /* too few samples */
	BARO_REASON_MANUAL = 12, /* somebody else's limit is respected */
	BARO_REASON_OVERCOMMITTED = 13, /* floors exceed the ceiling: nothing grows */
	BARO_REASON_POLICY = 14, /* what another policy than marginal gave */
	BARO_REASON_INACTIVE = 15,
	BARO_REASON_TARGET = 16, /* received: stalled more than its stall target allows */
	BARO_REASON_ASK = 17, /* asked to give back what it declared reclaimable */
	BARO_REASON_TRIAL = 18, /* gave, or got, a little to see whether it is still needed */
	BARO_REASON_PHASES = 19, /* wants, but its need comes and goes too fast to be followed */
};

/* -- the file; offsets are fixed for ever, later versions only use what is reserved -- */

/* 256 bytes. The first line never changes while the file lives. `generation` stands alone; the
 * rest is covered by `seq`. */
struct baro_page_header {
	uint64_t magic;
	uint16_t abi_major;
	uint16_t abi_minor;
	uint32_t header_bytes; /* where slot 0 begins */
	uint32_t slot_bytes; /* stride of slots, at least 512 */
	uint32_t slot_count; /* capacity */
	uint64_t reserved0[5];

	uint32_t seq; /* odd while the header is being written */
	uint32_t generation; /* FUTEX_WAIT on it; moves when some engine has something to do */
	uint64_t boot_epoch; /* another number at every start of the daemon, never 0 */
	uint64_t published_ns;
	uint64_t void_after_ns; /* the lease: from then on nothing here may be believed */
	uint64_t ceiling_bytes;
	uint64_t reserve_bytes; /* of the ceiling, never handed out */
	uint64_t usage_bytes; /* of all engines together */
	uint32_t level; /* enum baro_level, of the host */
	uint32_t slots_used; /* slots from here on were never used */

	uint64_t ticks; /* publications by this daemon */
	uint64_t interval_ns; /* the regular pace of publications */
	uint32_t daemon_pid; /* in the daemon's pid namespace */
	uint32_t rung; /* enum baro_rung */
	uint32_t flags; /* enum baro_page_flag */
	uint32_t score_ppm; /* of the host */
	uint64_t cost_tick_p50_ns; /* what the daemon itself costs */
	uint64_t cost_tick_p99_ns;
	uint64_t cost_rss_bytes;
	uint32_t cost_cpu_ppm; /* of one core */
	uint32_t reserved1;
	uint64_t dropped_events;
	uint64_t reserved2[7];
};

/* 128 bytes: what an engine acts on. The first part of its slot. */
struct baro_pressure {
	uint32_t seq; /* odd while the slot is being written */
	uint32_t score_ppm; /* pressure: 0 none .. 1000000 nothing else gets done */
	uint64_t status; /* see BARO_STATUS_*: level, state, flags, incarnation in one load */
	uint64_t updated_ns;
	uint64_t budget_bytes; /* what the engine may use now: size caches by this */
	uint64_t target_bytes; /* what it should have; differs from budget during a transfer */
	uint64_t limit_bytes; /* the lowest limit in force, BARO_PAGE_NONE for none */
	uint64_t usage_bytes;
	uint64_t headroom_bytes; /* what it can still allocate before it presses */

	uint64_t release_bytes; /* to give back, 0 for nothing */
	uint64_t release_by_ns; /* by when; 0 when nothing is to be released */
	uint64_t grant_epoch; /* moves with every change of the budget */
	uint64_t time_to_ceiling_ns; /* until usage meets limit_bytes at this velocity */
	uint64_t velocity_bytes_per_s; /* two's complement: cast to int64_t */
	uint32_t reason; /* enum baro_reason */
	uint32_t clamps; /* bits of what bounded the target; 0: nothing */
	uint32_t stall_ppm; /* stalled share of time, last interval */
	uint32_t stall_avg_ppm; /* smoothed */
	uint64_t reserved0;
};

#define BARO_STATUS_LEVEL(status)       ((uint32_t)((status)&0xff))
#define BARO_STATUS_STATE(status)       ((uint32_t)(((status) >> 8) & 0xff))
#define BARO_STATUS_FLAGS(status)       ((uint32_t)(((status) >> 16) & 0xffff))
#define BARO_STATUS_INCARNATION(status) ((uint32_t)((status) >> 32))

/* 512 bytes. Everything is covered by pressure.seq. */
struct baro_slot {
	struct baro_pressure pressure;

	char name[BARO_PAGE_NAME_MAX]; /* NUL-padded */
	uint64_t cgroup_id; /* inode of the memory cgroup's directory; 0 when there is none */
	uint64_t psi_cgroup_id; /* the same on the unified tree */
	uint32_t cgroup_hierarchy; /* 0: unified (v2); else the number in /proc/PID/cgroup */
	uint32_t weight;
	uint64_t ack_epoch; /* last grant epoch the engine acknowledged; 0: never */
	uint64_t min_bytes; /* guaranteed by the operator */
	uint64_t max_bytes; /* allowed by the operator */
	uint64_t reserved1[2];

	uint64_t anon_bytes;
	uint64_t file_bytes; /* page cache, shmem included */
	uint64_t shmem_bytes;
	uint64_t kernel_bytes;
	uint64_t dirty_bytes; /* dirty and under writeback */
	uint64_t swap_bytes;
	uint64_t unreclaimable_bytes; /* anon without swap, shmem, kernel, locked */
	uint64_t working_set_bytes; /* the daemon's best guess */

	uint64_t low_bytes; /* limits in force, as the kernel reads them back */
	uint64_t high_bytes;
	uint64_t hard_bytes; /* memory.max, or memory.limit_in_bytes */
	uint32_t psi_memory_some_1s_ppm;
	uint32_t psi_memory_full_1s_ppm;
	uint32_t psi_memory_some_10s_ppm;
	uint32_t psi_memory_full_10s_ppm;
	uint32_t psi_io_some_1s_ppm;
	uint32_t psi_io_full_1s_ppm;
	uint32_t psi_io_some_10s_ppm;
	uint32_t psi_io_full_10s_ppm;
	uint64_t oom_kills;

	uint64_t stall_ns_per_s[BARO_PAGE_STALL_CAUSES]; /* summed over tasks: may exceed 1e9 */
	uint64_t refaults_per_s;
	uint64_t faults_per_s;
	uint64_t majfaults_per_s;
	uint64_t evictions_per_s;
	uint64_t reserved2[8];
};

/* -- reading -- */

struct baro_page; /* a mapped page */

/* An engine's slot. Plain data: copy it freely. Once the slot is given to another engine the
 * incarnation differs, and reads through this reference say so instead of showing a stranger. */
struct baro_slot_ref {
	const struct baro_slot *slot;
	uint32_t incarnation;
	uint32_t index;
};

/*
 * Maps the page at `path`; NULL means $BAROSTAT_PAGE, or BARO_PAGE_PATH when that is not set.
 * A page whose lease has run out opens all the same: see baro_page_valid().
 *  -ENOENT, -EACCES, ...	as open(2): no daemon ever ran here, or reading is not allowed
 *  -EINVAL		not a regular file
 *  -EPERM		owned by neither root nor the caller, or writable by others: it could be
 *			truncated under the reader, or lie
 *  -EBADMSG		not a pressure page (magic)
 *  -EPROTONOSUPPORT	another major version
 *  -EPROTO		sizes in the header make no sense
 *  -ENODATA		shorter than its header says (truncated)
 *  -ENOMEM
 */
BARO_API int baro_page_open(const char *path, struct baro_page **ret_page);

/* Unmaps it. NULL is fine. */
BARO_API void baro_page_close(struct baro_page *page);

/* One sentence, without a dot, for what baro_page_open() returned. Static text. */
BARO_API const char *baro_page_strerror(int err);

/* True while the lease holds: the daemon has published lately. Costs one clock_gettime(). When it
 * is false, fall back to what the engine did before it knew barostat. */
BARO_API bool baro_page_valid(const struct baro_page *page);

/* The same for a CLOCK_MONOTONIC time the caller has at hand. */
BARO_API bool baro_page_valid_at(const struct baro_page *page, uint64_t now_ns);

/* 1 when the path now names another file, and the page should be closed and opened again; 0 when
 * it is the same; -errno of stat(2). Costs a system call: ask when the lease has run out. */
BARO_API int baro_page_replaced(const struct baro_page *page);

/* A consistent copy of the header. -EAGAIN: the writer did not finish within some microseconds
 * (it may have been killed in the middle). */
BARO_API int baro_page_read_header(const struct baro_page *page,
				   struct baro_page_header *ret_header);

/* How many slots to look at: those at this index and beyond were never used. */
BARO_API uint32_t baro_page_slots(const struct baro_page *page);

/* The slot at an index. -ENOENT: no such slot, or it is free. -EAGAIN. */
BARO_API int baro_page_slot(const struct baro_page *page, uint32_t index,
			    struct baro_slot_ref *ret_ref);

/* The engine of that name. -ENOENT: none. -EAGAIN: not found, but a slot could not be read. */
BARO_API int baro_page_find(const struct baro_page *page, const char *name,
			    struct baro_slot_ref *ret_ref);

/* The engine whose cgroup the calling process is in, or in whose children it is; by
 * /proc/self/cgroup and the mounted cgroup file systems. -ENOENT: none. -EAGAIN as above. -EMFILE,
 * -ENOMEM, -EIO, ...: these could not be read, so it is not known. */
BARO_API int baro_page_find_self(const struct baro_page *page, struct baro_slot_ref *ret_ref);

/*
 * The engine's level, enum baro_level: one load, under a nanosecond. BARO_LEVEL_UNKNOWN when the
 * slot went to another engine. It does not look at the lease; ask baro_page_valid() now and then.
 */
static inline uint32_t baro_page_level(const struct baro_slot_ref *ref)
{
	uint64_t status = __atomic_load_n(&ref->slot->pressure.status, __ATOMIC_RELAXED);

	return BARO_STATUS_INCARNATION(status) == ref->incarnation ? BARO_STATUS_LEVEL(status)
								   : (uint32_t)BARO_LEVEL_UNKNOWN;
}

/* What the engine acts on, consistent, in some nanoseconds. -ENOENT: the slot went to another
 * engine or is free: find it again. -EAGAIN: as baro_page_read_header(). */
BARO_API int baro_page_read(const struct baro_slot_ref *ref, struct baro_pressure *ret_pressure);

/* The whole slot, the same way. The name is NUL-terminated, whatever the file says. */
BARO_API int baro_page_read_slot(const struct baro_slot_ref *ref, struct baro_slot *ret_slot);

/* The generation to hand to baro_page_wait(): take it first, then read slots, then wait. */
BARO_API uint32_t baro_page_generation(const struct baro_page *page);

/*
 * Sleeps until the generation is no longer `generation`; returns at once when it is not. On
 * success *ret_generation (may be NULL) is the new one. BARO_PAGE_NONE as timeout waits for ever,
 * and still returns when the daemon dies.
 *  -ETIMEDOUT	nothing moved in time, and the lease holds
 *  -ESTALE	the lease has run out: the daemon is gone, or was stopped
 *  -EINTR	a signal came
 *  -ENOSYS, -EPERM, ...	futex(2) is not to be had: look at the page now and then
 */
BARO_API int baro_page_wait(const struct baro_page *page, uint32_t generation, uint64_t timeout_ns,
			    uint32_t *ret_generation);

/* Words for the codes: "warning", "manual", "gain", "hybrid", "swap_in"; "?" for unknown ones. */
BARO_API const char *baro_level_name(uint32_t level);
BARO_API const char *baro_slot_state_name(uint32_t state);
BARO_API const char *baro_reason_name(uint32_t reason);
BARO_API const char *baro_rung_name(uint32_t rung);
BARO_API const char *baro_stall_cause_name(uint32_t cause);

#ifdef __cplusplus
}
#endif

#endif
