/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What barostat asks of a memory cgroup hierarchy, behind one small interface.
 *
 * Three backends: v2 (memory and PSI on the unified tree), hybrid (memory on v1, PSI on the unified
 * tree) and null (reads through a real backend, writes nothing: --dry-run and the observe rung).
 * A cgroup is named by its path relative to the mount of the memory hierarchy ("barostat/pg",
 * "system.slice/postgresql.service"), without a leading slash; the root is "".
 *
 * A node holds the files that are used on every tick already open. Reading never allocates. Every
 * function returns 0 (or a count) or -errno; outputs are untouched on failure. -ENODEV means that
 * the cgroup is gone, -EOPNOTSUPP that this hierarchy has no such file.
 *
 * Threads: reads of a node may run in one thread while another thread writes limits of it; two
 * writers of one node must be serialised by the caller, except cg_node_raise_limit(), which uses
 * descriptors of its own so that it never waits behind a write that is busy reclaiming.
 */
#ifndef BAROSTAT_CGROUP_CGROUP_H
#define BAROSTAT_CGROUP_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CG_PATH_MAX 512

enum cg_kind { CG_KIND_V2, CG_KIND_HYBRID, CG_KIND_NULL };

enum cg_limit {
	CG_LIMIT_MIN, /* v2 memory.min; hybrid: -EOPNOTSUPP */
	CG_LIMIT_LOW, /* v2 memory.low; hybrid: -EOPNOTSUPP */
	CG_LIMIT_HIGH, /* v2 memory.high; hybrid: -EOPNOTSUPP */
	CG_LIMIT_MAX, /* v2 memory.max; hybrid: memory.limit_in_bytes */
	CG_LIMIT_COUNT
};

enum cg_pressure_kind { CG_PRESSURE_MEMORY, CG_PRESSURE_IO, CG_PRESSURE_COUNT };

/* All in bytes. BYTES_NO_LIMIT where the kernel says "max"; absent limits: min/low 0, high max. */
struct cg_limits {
	uint64_t bytes[CG_LIMIT_COUNT];
};

/*
 * memory.stat in one vocabulary, hierarchical (children included). Bytes and cumulative counts
 * (pages or events, as the kernel counts them). Fields this kernel does not have are 0 and their
 * bit in `missing` is set (1 << index of the field in enum order of cg_stat_field).
 */
enum cg_stat_field {
	CG_STAT_ANON, /* bytes */
	CG_STAT_FILE, /* bytes, shmem included as on v2 (v1 "cache") */
	CG_STAT_SHMEM, /* bytes */
	CG_STAT_FILE_MAPPED, /* bytes */
	CG_STAT_FILE_DIRTY, /* bytes */
	CG_STAT_FILE_WRITEBACK, /* bytes */
	CG_STAT_KERNEL, /* bytes (v1: memory.kmem.usage_in_bytes where it exists) */
	CG_STAT_UNEVICTABLE, /* bytes */
	CG_STAT_SWAP, /* bytes */
	CG_STAT_ACTIVE_FILE, /* bytes */
	CG_STAT_INACTIVE_FILE, /* bytes */
	CG_STAT_PGFAULT, /* events, major included */
	CG_STAT_PGMAJFAULT, /* events */
	CG_STAT_REFAULT_ANON, /* pages */
	CG_STAT_REFAULT_FILE, /* pages */
	CG_STAT_PGSCAN, /* pages; v1 lacks it */
	CG_STAT_PGSTEAL, /* pages; v1 lacks it */
	CG_STAT_COUNT
};

struct cg_stat {
	uint64_t value[CG_STAT_COUNT];
	uint32_t missing; /* bit mask over enum cg_stat_field */
};

/* Cumulative. v1: max is memory.failcnt, oom_kill from memory.oom_control; others 0. */
struct cg_events {
	uint64_t low, high, max, oom, oom_kill;
};

/* PSI totals in ns (the file's microseconds x 1000), cumulative. */
struct cg_pressure {
	uint64_t some_ns, full_ns;
};

struct cg_backend;
struct cg_node;

/* What a hierarchy can do; filled by cg_backend_open(), shown by doctor. */
struct cg_abilities {
	enum cg_kind kind;
	enum cg_kind beneath; /* null: what it reads through; else the same as kind */
	bool writable; /* limits can be written */
	bool has_low; /* soft mode is possible */
	bool has_reclaim; /* memory.reclaim exists */
	bool reclaim_swappiness; /* memory.reclaim takes swappiness= (6.12) */
	bool has_psi; /* per-cgroup pressure files */
	bool has_swap; /* swap is on, so that anonymous memory can be reclaimed */
	bool psi_any_window; /* PSI triggers with windows shorter than 2 s are accepted */
	uint32_t memory_hierarchy_id; /* 0 on v2; the number in /proc/PID/cgroup on hybrid */
	char memory_mount[CG_PATH_MAX]; /* e.g. /sys/fs/cgroup or /sys/fs/cgroup/memory */
	char psi_mount[CG_PATH_MAX]; /* unified tree; "" when none */
};

struct cg_options {
	size_t size; /* of this struct, for growth */
	bool dry_run; /* wrap into the null backend */
	/*
	 * For tests: a plain directory instead of what /proc/self/mounts says; NULL normally.
	 * DIR/cgroup.controllers makes it a v2 tree, DIR/memory and DIR/unified a hybrid one.
	 */
	const char *cgroup_root;
};

/*
 * Finds the memory hierarchy (by statfs magic and /proc/self/mounts, never by mere existence of
 * files: a tmpfs takes mkdir and echo as well). -ENOENT: no memory controller anywhere; *ret_why
 * (static text) says in one sentence what is missing and what would bring it.
 */
int cg_backend_open(const struct cg_options *options, struct cg_backend **ret,
		    const char **ret_why);
void cg_backend_close(struct cg_backend *b);
const struct cg_abilities *cg_backend_abilities(const struct cg_backend *b);

/* -- life of a cgroup (libcgroup underneath; both trees on hybrid) -- */

/* Makes the cgroup and its missing parents, controllers enabled on the way. *ret_created tells
 * whether the last component is new. -EBUSY: a parent has processes of its own. */
int cg_create(struct cg_backend *b, const char *path, bool *ret_created);
/* Removes an EMPTY cgroup: reclaims its cache first so that no charge is left on the parent.
 * -EBUSY when it still has tasks or children (on v1 too, where the kernel would move them). */
int cg_delete(struct cg_backend *b, const char *path);
/* Moves a process (all its threads) into the cgroup, in both trees on hybrid. -ESRCH, -ENOENT. */
int cg_attach(struct cg_backend *b, const char *path, pid_t pid);
/* The memory cgroup path of a process. Returns the length. */
int cg_path_of_pid(struct cg_backend *b, pid_t pid, char *ret_path, size_t size);
bool cg_exists(struct cg_backend *b, const char *path);
/* Whether `path` lies below `ancestor` (and is not it): an engine nested in another. */
bool cg_path_is_ancestor(const char *ancestor, const char *path);

/* -- a cgroup in use -- */

int cg_node_open(struct cg_backend *b, const char *path, struct cg_node **ret);
void cg_node_close(struct cg_node *n);
const char *cg_node_path(const struct cg_node *n);
uint64_t cg_node_id(const struct cg_node *n); /* inode of the memory cgroup directory = kn->id */
uint64_t cg_node_psi_id(const struct cg_node *n); /* inode on the unified tree; 0 when none */
int cg_node_dirfd(const struct cg_node *n); /* of the memory hierarchy; owned by the node */

int cg_node_usage(struct cg_node *n, uint64_t *ret_bytes);
int cg_node_limits(struct cg_node *n, struct cg_limits *ret_limits);
int cg_node_stat(struct cg_node *n, struct cg_stat *ret_stat);
int cg_node_events(struct cg_node *n, struct cg_events *ret_events);
int cg_node_pressure(struct cg_node *n, enum cg_pressure_kind kind, struct cg_pressure *ret);
/* CPU time of the tasks, cumulative ns: in all, and the part of it spent in the kernel. */
struct cg_cpu {
	uint64_t all_ns, system_ns;
};

/* cpu.stat usage_usec and system_usec of the unified tree (it is there without the cpu controller
 * too). -EOPNOTSUPP where there is none. */
int cg_node_cpu(struct cg_node *n, struct cg_cpu *ret);
/* Whether any process is in the cgroup or below it. */
int cg_node_populated(struct cg_node *n, bool *ret_populated);
/* PIDs directly in it and below; returns how many there are, fills at most max. */
int cg_node_pids(struct cg_node *n, pid_t *ret_pids, size_t max);

/*
 * Writes a limit and reads back what the kernel holds (page-rounded): *ret_actual. May block for
 * as long as the kernel reclaims (v2 high/max, v1 limit): call it from an actuator thread when the
 * new value is below usage. A signal ends it early: then 0 with *ret_actual = the new value and
 * usage still above (v2), or -EINTR/-EBUSY with the old limit unchanged (v1).
 */
int cg_node_set_limit(struct cg_node *n, enum cg_limit which, uint64_t bytes, uint64_t *ret_actual);
/* The same for a high or max that is not below the present one (-EINVAL when it is), and for any
 * min or low: never reclaims, never waits behind cg_node_set_limit() of another thread. */
int cg_node_raise_limit(struct cg_node *n, enum cg_limit which, uint64_t bytes,
			uint64_t *ret_actual);
/*
 * Asks the kernel to reclaim about `bytes` from this cgroup (v2 memory.reclaim; v1: no such thing,
 * -EOPNOTSUPP). Callers use bites of at most 8 MiB. *ret_freed is usage before minus after, so
 * -EAGAIN from the kernel ("less than asked") is not an error here.
 */
int cg_node_reclaim(struct cg_node *n, uint64_t bytes, uint64_t *ret_freed);

/*
 * One step of a shrink: lowers the limit so far that at most bite_bytes must be reclaimed for it,
 * and never below max(target_bytes, floor_bytes), where the floor is what cannot be reclaimed plus
 * headroom. Call it again until *ret_actual is there. Where memory.reclaim exists the memory is
 * freed through it first and the limit then follows usage, so that the write of the limit has next
 * to nothing left to do: it neither blocks nor makes the kernel kill for want of reclaimable
 * memory. On v1 the limit itself reclaims, the bite. Neither goes below what memory.stat says is
 * unreclaimable at that moment and 1 MiB, however old the caller's floor is. Protections (min,
 * low) go down at once.
 * -EBUSY: nothing could be freed, the old limit stands (a v1 kernel may have dropped cache for it).
 */
int cg_node_shrink_step(struct cg_node *n, enum cg_limit which, uint64_t target_bytes,
			uint64_t bite_bytes, uint64_t floor_bytes, uint64_t *ret_actual);

/*
 * A PSI trigger as an epoll-able descriptor (EPOLLPRI): `some` stall of threshold_us within
 * window_us. When the kernel refuses the window for want of CAP_SYS_RESOURCE, 2 s is tried with
 * the threshold scaled; *ret_window_us says what is in force. The caller closes the descriptor.
 */
int cg_node_psi_trigger(struct cg_node *n, enum cg_pressure_kind kind, uint64_t threshold_us,
			uint64_t window_us, uint64_t *ret_window_us);

#endif
