/* SPDX-License-Identifier: BSD-2-Clause */
/* The sensors of a build without BPF (make BPF=0): all off, the daemon runs on the files rung. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/daemon/sensors.h"

#define WHY "built without BPF: build with BPF=1 (needs clang and bpftool)"

struct sensors {
	uint32_t slots;
};

static const struct sensor_state all_off[SENSOR_COUNT] = {
	[SENSOR_WALK] = { "walk", SENSOR_OFF, WHY },
	[SENSOR_FAULTS] = { "faults", SENSOR_OFF, WHY },
	[SENSOR_STALLS] = { "stalls", SENSOR_OFF, WHY },
	[SENSOR_REFAULTS] = { "refaults", SENSOR_OFF, WHY },
	[SENSOR_RECLAIM] = { "reclaim", SENSOR_OFF, WHY },
	[SENSOR_OOM] = { "oom", SENSOR_OFF, WHY },
	[SENSOR_REUSE] = { "reuse", SENSOR_OFF, WHY },
	[SENSOR_CHILDREN] = { "children", SENSOR_OFF, WHY },
};

int sensors_open(const struct sensors_options *options, struct sensors **ret)
{
	struct sensors *s;

	if (!options->slots)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->slots = options->slots;
	*ret = s;
	return 0;
}

void sensors_close(struct sensors *s)
{
	free(s);
}

const struct sensor_state *sensors_describe(const struct sensors *s)
{
	return all_off;
}

int sensors_add(struct sensors *s, uint32_t slot, int memory_dirfd, uint64_t cgroup_id,
		uint64_t psi_id)
{
	return slot < s->slots ? 0 : -EINVAL;
}

int sensors_remove(struct sensors *s, uint32_t slot)
{
	return slot < s->slots ? 0 : -EINVAL;
}

int sensors_rest(struct sensors *s, enum sensor_id id, bool rest)
{
	return -EOPNOTSUPP;
}

int sensors_walk(struct sensors *s, int memory_root_dirfd)
{
	return 0;
}

int sensors_read(struct sensors *s, uint32_t slot, struct sensor_reading *reading)
{
	if (slot >= s->slots)
		return -EINVAL;
	memset(reading, 0, sizeof(*reading));
	return 0;
}

int sensors_event_fd(const struct sensors *s)
{
	return -1;
}

int sensors_drain(struct sensors *s, sensors_event_fn fn, void *arg)
{
	return 0;
}

uint64_t sensors_dropped(const struct sensors *s)
{
	return 0;
}

void sensors_arm(struct sensors *s, uint32_t slot)
{
}
