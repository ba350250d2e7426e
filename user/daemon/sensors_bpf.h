/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the loader (sensors_bpf.c) and the sensors: one module per sensor, one file
 * sensors_bpf_<name>.c each, around the skeleton of bpf/<name>.bpf.c.
 *
 * The loader owns the maps that all objects share, climbs down the rungs a module offers until one
 * loads and attaches, and turns what the kernel said on the way into sensor_state.why. A module
 * opens one rung at a time, and reads its counters. Reading makes no system call.
 */
#ifndef BAROSTAT_DAEMON_SENSORS_BPF_H
#define BAROSTAT_DAEMON_SENSORS_BPF_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "user/daemon/sensors.h"

struct sensor_ctx {
	const struct sensors_options *options;
	uint32_t slots;
	uint32_t lanes; /* copies of each slot's counters: power of two, at least 1 */
	int memory_hierarchy; /* kernel's number of the memory hierarchy: 0 on v2 */
	int engines_fd, events_fd, armed_fd, common_fd; /* shared maps, see bpf/shared.bpf.h */
	int returning_fd; /* from the refaults sensor to the stalls sensor: bpf/returning.bpf.h */
};

struct sensor_target {
	uint32_t slot;
	uint64_t cgroup_id; /* of the memory hierarchy */
	uint64_t psi_id; /* of the unified tree; equal on v2; 0: none */
	int memory_dirfd; /* valid during the call only */
};

struct sensor_module {
	enum sensor_id id;
	const char *name;
	/* Best first, ended by SENSOR_OFF. The loader leaves fentry out where it cannot work. */
	enum sensor_variant rungs[3];
	/*
	 * Opens, loads and attaches one rung. -errno when the kernel refuses (the loader then tries
	 * the next), with nothing left behind. Do not log: sensor_note() what a person should know.
	 */
	int (*open)(const struct sensor_ctx *ctx, enum sensor_variant variant, void **ret_private);
	void (*close)(void *private);
	/* Brings the sensor's own fields of a reading up to date; who has more than a few of them
	 * sets its bit of `moved` when one is another now. */
	void (*read)(void *private, uint32_t slot, struct sensor_reading *reading);
	/* Counters of the slot to 0; no program counts into the slot at that time. */
	void (*reset)(void *private, uint32_t slot);
	/* Optional: an engine comes to a slot, or leaves it. */
	int (*add)(void *private, const struct sensor_target *target);
	void (*remove)(void *private, uint32_t slot);
	/* Optional: what sensors_rest() does. */
	int (*rest)(void *private, bool rest);
	/* Optional: what sensors_walk() does. */
	int (*walk)(void *private, int memory_root_dirfd);
};

extern const struct sensor_module sensor_walk, sensor_faults, sensor_stalls, sensor_refaults,
    sensor_reuse, sensor_reclaim, sensor_oom, sensor_children;

/*
 * Gives an opened, not yet loaded object the shared maps, and sets `lanes`, `slots` and
 * `memory_hierarchy` of shared.bpf.h. Call it between <skeleton>__open() and <skeleton>__load().
 */
int sensor_share(const struct sensor_ctx *ctx, struct bpf_object *obj);

/* Makes a map [slots][lanes] long. Between open and load. */
int sensor_size_counters(const struct sensor_ctx *ctx, struct bpf_map *map);

/* Without a ceiling in the options, what a host has: the most an engine can have. */
uint64_t sensor_ceiling_bytes(const struct sensor_ctx *ctx);

/* Of all programs only those whose name ends in "_fentry" ("_tp" for SENSOR_TRACEPOINT) or that
 * carry neither suffix are loaded; their twins are not. Between open and load. */
void sensor_pick_programs(struct bpf_object *obj, enum sensor_variant variant);

/* Whether the running kernel has this function in its BTF (so that fentry could attach). */
bool sensor_kernel_has(const char *function);

/* A sentence for sensor_state.why of the rung being opened; the last one stays. */
void sensor_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * A BPF_F_MMAPABLE array in our memory. The kernel puts all pages of such a mapping into a process
 * at once, and the array is as long as there may be engines. So it is mapped piece by piece, as
 * slots come into use; what is not mapped yet reads as zeros.
 */
struct sensor_memory {
	char *base; /* NULL: none */
	size_t bytes;
	int fd; /* the map's, not owned */
	bool *mapped; /* per piece */
};

int sensor_memory_open(const struct bpf_map *map, size_t bytes, struct sensor_memory *ret);
void sensor_memory_close(struct sensor_memory *m);
/* Makes a range real. When the kernel refuses, it stays zeros. */
void sensor_memory_need(struct sensor_memory *m, size_t offset, size_t bytes);

/* Counters: structs of uint64_t, [slot][lane]. */
struct sensor_counters {
	struct sensor_memory memory;
	size_t value_bytes; /* of one struct, a multiple of 8 */
	uint32_t slots, lanes;
};

int sensor_counters_map(const struct sensor_ctx *ctx, const struct bpf_map *map,
			struct sensor_counters *ret);
void sensor_counters_unmap(struct sensor_counters *c);
/* Sums the lanes of a slot into a struct of the same layout. Zeros before the first reset. */
void sensor_counters_sum(const struct sensor_counters *c, uint32_t slot, void *ret_value);
/* The same of the first `words` alone: the counters in front of the histograms. */
void sensor_counters_head(const struct sensor_counters *c, uint32_t slot, size_t words,
			  uint64_t *ret_value);
/* The first lane's struct of a slot, to write what is not a counter; after reset only. */
void *sensor_counters_at(const struct sensor_counters *c, uint32_t slot);
void sensor_counters_reset(struct sensor_counters *c, uint32_t slot);

#endif
