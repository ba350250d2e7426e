/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel-side sensors as the sampler sees them: open once, one slot per engine, cumulative
 * counters read from mapped memory, rare events from a ring buffer.
 *
 * Every sensor is probed on its own (fentry, then tracepoint, then none) and none of them can
 * stop the daemon: sensors_open() succeeds with everything off. What is on, by which variant and
 * what was refused is in sensors_describe().
 *
 * One thread (the loop) uses a struct sensors.
 */
#ifndef BAROSTAT_DAEMON_SENSORS_H
#define BAROSTAT_DAEMON_SENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/wire.h"

struct sensors;

enum sensor_id {
	SENSOR_WALK, /* cgroup iterator: usage, limits, vmstats, PSI of all engines in one call */
	SENSOR_FAULTS, /* major-fault latency (counts come from memory.stat or the walk) */
	SENSOR_STALLS, /* the stall ledger by cause */
	SENSOR_REFAULTS, /* ghosts: refault-distance histogram */
	SENSOR_RECLAIM, /* reclaim scanned/stolen by whom */
	SENSOR_OOM, /* OOM victims */
	SENSOR_REUSE, /* reuse times of pages, hit or missed */
	SENSOR_CHILDREN, /* cgroups made and removed below engines */
	SENSOR_COUNT
};

enum sensor_variant { SENSOR_OFF, SENSOR_FENTRY, SENSOR_TRACEPOINT, SENSOR_ITER };

/* "fentry" */
static inline const char *sensor_variant_name(enum sensor_variant variant)
{
	static const char *const name[] = {
		[SENSOR_OFF] = "off",
		[SENSOR_FENTRY] = "fentry",
		[SENSOR_TRACEPOINT] = "tracepoint",
		[SENSOR_ITER] = "iterator",
	};

	return name[variant];
}

struct sensor_state {
	const char *name; /* "faults", "stalls", ... */
	enum sensor_variant variant;
	char why[160]; /* when OFF or on a lower rung: what the kernel said and what would bring it
			*/
};

struct sensors_options {
	size_t size; /* of this struct */
	uint32_t slots; /* capacity; counters are sized to it before load */
	bool no_bpf; /* files rung: load nothing (also forced by BAROSTAT_NO_BPF=1) */
	bool no_fentry; /* tracepoint rung forced, for tests (also BAROSTAT_NO_FENTRY=1) */
	bool hybrid; /* memory cgroup ids are of the v1 hierarchy */
	uint32_t ghost_entries; /* 0: default from the ceiling */
	uint64_t ceiling_bytes; /* sizes the ghost table and picks the sampling rate */
	uint32_t left_out; /* 1 << enum sensor_id: not to be loaded */
};

int sensors_open(const struct sensors_options *options, struct sensors **ret);
void sensors_close(struct sensors *s);
/* SENSOR_COUNT entries, owned by s. */
const struct sensor_state *sensors_describe(const struct sensors *s);

/*
 * An engine comes: its memory cgroup (open directory of the memory hierarchy, and id) counts into
 * `slot`, with every cgroup already below it; later children are followed by the kernel side.
 * Counters of the slot start at 0.
 */
int sensors_add(struct sensors *s, uint32_t slot, int memory_dirfd, uint64_t cgroup_id,
		uint64_t psi_id);
int sensors_remove(struct sensors *s, uint32_t slot);

/*
 * A sensor that rests costs the engines nothing and counts nothing: its counters, and what it is
 * known to be (sensors_describe()), stay. Only SENSOR_REUSE can; -EOPNOTSUPP of another one, and of
 * one that is off. When the kernel refuses to let it begin again it goes on resting. Takes
 * 0.1 to 0.2 ms (tracepoint rung).
 */
int sensors_rest(struct sensors *s, enum sensor_id id, bool rest);

/*
 * Starts the walk over all engines (one system call sequence; does nothing when the walk is off).
 * After it sensors_read() of every slot is from the same instant.
 */
int sensors_walk(struct sensors *s, int memory_root_dirfd);

/*
 * Brings a reading of a slot up to date. It is zeroed when the engine comes to the slot and handed
 * in again each time: what has not moved since is not read again. Costs no system call.
 */
int sensors_read(struct sensors *s, uint32_t slot, struct sensor_reading *reading);

/* Epoll-able descriptor of the ring buffer; -1 when there are no events. */
int sensors_event_fd(const struct sensors *s);
typedef void (*sensors_event_fn)(void *arg, const struct sensor_event *event);
/* Drains the ring; returns how many events, or -errno. */
int sensors_drain(struct sensors *s, sensors_event_fn fn, void *arg);
/* Events lost because the ring was full, ever. */
uint64_t sensors_dropped(const struct sensors *s);

/*
 * A slot reports the next stall onset (entry into direct reclaim at its limit, memory.high
 * throttle) with one event and is then silent until armed again: this is what bounds wake-ups.
 */
void sensors_arm(struct sensors *s, uint32_t slot);

#endif
