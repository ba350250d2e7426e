/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loader: shared maps, one module per sensor, engines in and out of slots.
 *
 * Nothing the kernel refuses is an error here. A sensor that cannot be had is off with a reason,
 * and when there is no BPF at all, everything is.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/returning.h"
#include "user/common/cleanup.h"
#include "user/common/log.h"
#include "user/daemon/sensors_bpf_engines.h"
#include "user/daemon/sensors_bpf_load.h"

#define EVENT_RING_BYTES (64u << 10) /* 1600 events; rare ones only */
#define LANES_MAX        16u /* more would cost memory per slot and buy little: events are rare */
#define SLOTS_MAX        (1u << 20)

struct sensor_common { /* as in bpf/shared.bpf.h */
	uint64_t dropped;
};

static const struct sensor_module *const modules[SENSOR_COUNT] = {
	[SENSOR_WALK] = &sensor_walk,       [SENSOR_FAULTS] = &sensor_faults,
	[SENSOR_STALLS] = &sensor_stalls,   [SENSOR_REFAULTS] = &sensor_refaults,
	[SENSOR_RECLAIM] = &sensor_reclaim, [SENSOR_OOM] = &sensor_oom,
	[SENSOR_REUSE] = &sensor_reuse,     [SENSOR_CHILDREN] = &sensor_children,
};

struct sensors {
	struct sensors_options options;
	struct sensor_ctx ctx;
	struct sensor_state state[SENSOR_COUNT];
	void *private[SENSOR_COUNT]; /* of modules that are on */
	struct engine_set *engines; /* NULL: no BPF at all */
	struct ring_buffer *ring;
	sensors_event_fn event_fn; /* only during sensors_drain() */
	void *event_arg;
	uint64_t *armed; /* mapped, one word per slot */
	struct sensor_common *common; /* mapped */
	size_t armed_bytes, page_bytes;
};

static void sensors_closep(struct sensors **s)
{
	sensors_close(*s);
}

static bool env_is_set(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] && strcmp(value, "0") != 0;
}

static void all_off(struct sensors *s, const char *why)
{
	for (int i = 0; i < SENSOR_COUNT; i++) {
		s->state[i].variant = SENSOR_OFF;
		snprintf(s->state[i].why, sizeof(s->state[i].why), "%s", why);
	}
}

static uint32_t lanes_for_this_machine(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	uint32_t lanes = 1;

	while (lanes < LANES_MAX && (long)lanes < cpus)
		lanes *= 2;
	return lanes;
}

/* The memory controller's hierarchy number of /proc/cgroups; 0 (the unified tree) when absent. */
static int find_memory_hierarchy(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/cgroups", "re");
	char line[128];
	int hierarchy = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "memory %d", &hierarchy) == 1)
			break;
	}
	return hierarchy;
}

static int make_map(enum bpf_map_type type, const char *name, uint32_t key, uint32_t value,
		    uint32_t entries, uint32_t flags, int *ret_fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd = bpf_map_create(type, name, key, value, entries, &opts);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int map_memory(int fd, size_t bytes, void **ret)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

static int on_ring_event(void *arg, void *data, size_t size)
{
	struct sensors *s = arg;

	if (size >= sizeof(struct sensor_event))
		s->event_fn(s->event_arg, data);
	return 0;
}

/* The maps that all objects share. */
static int make_shared(struct sensors *s)
{
	struct sensor_ctx *c = &s->ctx;
	int err;

	err = engine_set_open(c->slots, &s->engines);
	if (err)
		return err;
	c->engines_fd = engine_set_fd(s->engines);
	err =
	    make_map(BPF_MAP_TYPE_RINGBUF, "baro_events", 0, 0, EVENT_RING_BYTES, 0, &c->events_fd);
	if (!err)
		err = make_map(BPF_MAP_TYPE_ARRAY, "baro_armed", 4, sizeof(uint64_t), c->slots,
			       BPF_F_MMAPABLE, &c->armed_fd);
	if (!err)
		err = make_map(BPF_MAP_TYPE_ARRAY, "baro_common", 4, sizeof(struct sensor_common),
			       1, BPF_F_MMAPABLE, &c->common_fd);
	if (!err)
		err = make_map(BPF_MAP_TYPE_ARRAY, "baro_returning", 4, sizeof(uint64_t),
			       1u << RETURNING_BITS, 0, &c->returning_fd);
	if (!err)
		err = map_memory(c->armed_fd, s->armed_bytes, (void **)&s->armed);
	if (!err)
		err = map_memory(c->common_fd, s->page_bytes, (void **)&s->common);
	if (err)
		return err;
	s->ring = ring_buffer__new(c->events_fd, on_ring_event, s, NULL);
	return s->ring ? 0 : -errno;
}

static void open_modules(struct sensors *s)
{
	struct fentry_verdict fentry = { 0 };

	if (s->options.no_fentry || env_is_set("BAROSTAT_NO_FENTRY")) {
		fentry.refused = true;
		snprintf(fentry.why, sizeof(fentry.why), "fentry switched off by %s",
			 s->options.no_fentry ? "option" : "BAROSTAT_NO_FENTRY");
	}
	for (int i = 0; i < SENSOR_COUNT; i++) {
		if (s->options.left_out & 1u << i)
			snprintf(s->state[i].why, sizeof(s->state[i].why),
				 "switched off by configuration");
		else
			sensor_climb(&s->ctx, modules[i], &fentry, &s->state[i], &s->private[i]);
	}
}

/* A reason why there can be no BPF here, or NULL. */
static const char *bpf_forbidden(const struct sensors *s)
{
	if (s->options.no_bpf)
		return "switched off by configuration";
	if (env_is_set("BAROSTAT_NO_BPF"))
		return "switched off by BAROSTAT_NO_BPF";
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		return "no /sys/kernel/btf/vmlinux: needs a kernel with CONFIG_DEBUG_INFO_BTF";
	return NULL;
}

int sensors_open(const struct sensors_options *options, struct sensors **ret)
{
	_cleanup_(sensors_closep) struct sensors *s = NULL;
	const char *forbidden;
	char why[160];
	int err;

	if (!options->slots || options->slots > SLOTS_MAX)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	memcpy(&s->options, options,
	       options->size < sizeof(*options) ? options->size : sizeof(*options));
	s->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	s->armed_bytes =
	    (options->slots * sizeof(uint64_t) + s->page_bytes - 1) / s->page_bytes * s->page_bytes;
	s->ctx = (struct sensor_ctx){
		.options = &s->options,
		.slots = options->slots,
		.lanes = lanes_for_this_machine(),
		.memory_hierarchy = options->hybrid ? find_memory_hierarchy() : 0,
		.engines_fd = -1,
		.events_fd = -1,
		.armed_fd = -1,
		.common_fd = -1,
		.returning_fd = -1,
	};
	for (int i = 0; i < SENSOR_COUNT; i++)
		s->state[i].name = modules[i]->name;

	sensor_listen();
	forbidden = bpf_forbidden(s);
	err = forbidden ? 0 : make_shared(s);
	if (err) {
		snprintf(why, sizeof(why), "kernel refuses BPF maps (%s)%s", strerrorname_np(-err),
			 err == -EPERM ? ": needs CAP_BPF and CAP_PERFMON" : "");
		forbidden = why;
	}
	if (forbidden) {
		engine_set_close(TAKE_PTR(s->engines));
		all_off(s, forbidden);
	} else {
		open_modules(s);
		malloc_trim(0); /* each object parsed the kernel's whole BTF: give that back */
	}
	*ret = TAKE_PTR(s);
	return 0;
}

void sensors_close(struct sensors *s)
{
	if (!s)
		return;
	for (int i = 0; i < SENSOR_COUNT; i++) {
		if (s->private[i])
			modules[i]->close(s->private[i]);
	}
	ring_buffer__free(s->ring);
	if (s->armed)
		munmap(s->armed, s->armed_bytes);
	if (s->common)
		munmap(s->common, s->page_bytes);
	engine_set_close(s->engines);
	cleanup_close(&s->ctx.events_fd);
	cleanup_close(&s->ctx.armed_fd);
	cleanup_close(&s->ctx.common_fd);
	cleanup_close(&s->ctx.returning_fd);
	free(s);
}

const struct sensor_state *sensors_describe(const struct sensors *s)
{
	return s->state;
}

int sensors_add(struct sensors *s, uint32_t slot, int memory_dirfd, uint64_t cgroup_id,
		uint64_t psi_id)
{
	struct sensor_target target = {
		.slot = slot,
		.cgroup_id = cgroup_id,
		.psi_id = psi_id,
		.memory_dirfd = memory_dirfd,
	};
	int err;

	if (slot >= s->ctx.slots)
		return -EINVAL;
	if (!s->engines)
		return 0;
	err = sensors_remove(s, slot);
	if (err)
		return err;
	for (int i = 0; i < SENSOR_COUNT; i++) {
		if (s->private[i])
			modules[i]->reset(s->private[i], slot);
	}
	err = engine_set_add(s->engines, slot, memory_dirfd, cgroup_id);
	for (int i = 0; !err && i < SENSOR_COUNT; i++) {
		if (s->private[i] && modules[i]->add)
			err = modules[i]->add(s->private[i], &target);
	}
	if (err)
		sensors_remove(s, slot);
	return err;
}

int sensors_remove(struct sensors *s, uint32_t slot)
{
	if (slot >= s->ctx.slots)
		return -EINVAL;
	if (!s->engines)
		return 0;
	s->armed[slot] = 0;
	for (int i = 0; i < SENSOR_COUNT; i++) {
		if (s->private[i] && modules[i]->remove)
			modules[i]->remove(s->private[i], slot);
	}
	return engine_set_remove(s->engines, slot);
}

int sensors_rest(struct sensors *s, enum sensor_id id, bool rest)
{
	if (id >= SENSOR_COUNT || !s->private[id] || !modules[id]->rest)
		return -EOPNOTSUPP;
	return modules[id]->rest(s->private[id], rest);
}

int sensors_walk(struct sensors *s, int memory_root_dirfd)
{
	if (!s->private[SENSOR_WALK])
		return 0;
	return sensor_walk.walk(s->private[SENSOR_WALK], memory_root_dirfd);
}

/* Without fentry, the kernel's own counters say whose pages were scanned and taken. */
static void reclaim_from_walk(struct sensor_reading *reading)
{
	if (!(reading->walk_valid & WALK_VMSTAT))
		return;
	reading->reclaim_scanned_pages = reading->pgscan;
	reading->reclaim_stolen_pages = reading->pgsteal;
}

int sensors_read(struct sensors *s, uint32_t slot, struct sensor_reading *reading)
{
	if (slot >= s->ctx.slots)
		return -EINVAL;
	reading->valid = 0;
	reading->moved = 0;
	reading->children = s->engines ? engine_set_scanned(s->engines, slot) : 0;
	for (int i = 0; i < SENSOR_COUNT; i++) {
		if (!s->private[i])
			continue;
		reading->valid |= 1u << i;
		modules[i]->read(s->private[i], slot, reading);
	}
	if (s->state[SENSOR_RECLAIM].variant != SENSOR_FENTRY)
		reclaim_from_walk(reading);
	return 0;
}

int sensors_event_fd(const struct sensors *s)
{
	bool any =
	    s->private[SENSOR_STALLS] || s->private[SENSOR_OOM] || s->private[SENSOR_CHILDREN];

	return s->ring && any ? ring_buffer__epoll_fd(s->ring) : -1;
}

int sensors_drain(struct sensors *s, sensors_event_fn fn, void *arg)
{
	int n;

	if (!s->ring)
		return 0;
	s->event_fn = fn;
	s->event_arg = arg;
	n = ring_buffer__consume(s->ring);
	s->event_fn = NULL;
	return n;
}

uint64_t sensors_dropped(const struct sensors *s)
{
	return s->common ? __atomic_load_n(&s->common->dropped, __ATOMIC_RELAXED) : 0;
}

void sensors_arm(struct sensors *s, uint32_t slot)
{
	if (s->armed && slot < s->ctx.slots)
		__atomic_store_n(&s->armed[slot], 1, __ATOMIC_RELEASE);
}
