/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limit writes that may reclaim, off the loop.
 *
 * Lowering a limit below usage makes the writer reclaim, for milliseconds or for many seconds when
 * the owner faults its pages back in. So lowering goes to a small pool of threads, one engine per
 * thread at a time, in bounded bites, and the loop only ever looks at results. Raising never
 * reclaims and is done at once by the caller, also while a thread is stuck in a lowering of the
 * same engine: the thread is interrupted and repairs what it may have overwritten.
 *
 * All functions are called from one thread (the loop).
 */
#ifndef BAROSTAT_DAEMON_ACTUATOR_H
#define BAROSTAT_DAEMON_ACTUATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "cgroup/cgroup.h"

#define ACTUATOR_THREADS_MAX   32
#define ACTUATOR_BITE_BYTES    (8ull << 20) /* v2; a larger step frees up to twice what was asked */
#define ACTUATOR_BITE_V1_BYTES (32ull << 20) /* v1 frees exactly what was asked */

struct actuator;

struct actuator_result {
	bool busy; /* a thread is at it, or it waits for one */
	int error; /* of a lowering since actuator_result() last said that the slot was not busy: 0,
		      -EBUSY when the kernel could not free enough, or why it could not be written
		      at all */
	enum cg_limit refused; /* which one, with an error */
	uint64_t actual[CG_LIMIT_COUNT]; /* as last read back; only where touched is set */
	bool touched[CG_LIMIT_COUNT]; /* since actuator_result() was last called */
};

/* wake_fd (an eventfd, may be -1) is written when a lowering ended. */
int actuator_open(uint32_t capacity, enum cg_kind kind, int wake_fd, struct actuator **ret);
/* Interrupts what is under way and joins the threads. */
void actuator_close(struct actuator *a);

/* The engine in `slot` is now `node`, owned by the actuator from here on unless this fails
 * (-ENOMEM). */
int actuator_bind(struct actuator *a, uint32_t slot, struct cg_node *node,
		  const struct cg_limits *actual);
/* Forgets the slot; the node is closed as soon as no thread uses it. Does not wait. With `finish`
 * what is to be lowered still is, and what could not be is said in the log. */
void actuator_unbind(struct actuator *a, uint32_t slot, bool finish);
/* Whether that is still under way in this cgroup: its limits are not what they will be. */
bool actuator_is_retiring(struct actuator *a, uint64_t cgroup_id);

/* Brings a limit down to `bytes` in bites, soon. Replaces an earlier wish for the same limit. */
int actuator_lower(struct actuator *a, uint32_t slot, enum cg_limit which, uint64_t bytes);
/* A lowering of this limit that is under way is no longer wished for: the limit stays, or is put
 * back, where it was last read. */
void actuator_withdraw(struct actuator *a, uint32_t slot, enum cg_limit which);
/* Raises now; *ret_actual is what the kernel holds. Cancels a lowering of the same limit. */
int actuator_raise(struct actuator *a, uint32_t slot, enum cg_limit which, uint64_t bytes,
		   uint64_t *ret_actual);
/* Somebody else has moved the limit: from now on it was last read at `bytes`. Not while the slot is
 * busy. */
void actuator_found(struct actuator *a, uint32_t slot, enum cg_limit which, uint64_t bytes);
void actuator_result(struct actuator *a, uint32_t slot, struct actuator_result *ret);
/* Once it is not, it stays so until the next actuator_lower(). */
bool actuator_busy(struct actuator *a, uint32_t slot);
/* Waits until nothing is under way, at most timeout_ns: for SIGTERM only. */
bool actuator_settle(struct actuator *a, uint64_t timeout_ns);

#endif
