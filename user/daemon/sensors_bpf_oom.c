/* SPDX-License-Identifier: BSD-2-Clause */
/* OOM victims of engines (bpf/oom.bpf.c). */
#include <errno.h>
#include <stdlib.h>

#include "bpf/oom.skel.h"
#include "user/common/cleanup.h"
#include "user/daemon/sensors_bpf.h"

struct oom_counters { /* as in bpf/oom.bpf.c */
	uint64_t kills;
};

struct oom {
	struct oom_bpf *skel;
	struct sensor_counters counters;
};

static void oom_close(void *private)
{
	struct oom *p = private;

	if (!p)
		return;
	sensor_counters_unmap(&p->counters);
	oom_bpf__destroy(p->skel);
	free(p);
}

static void oom_closep(struct oom **p)
{
	oom_close(*p);
}

static int oom_open(const struct sensor_ctx *ctx, enum sensor_variant variant, void **ret_private)
{
	_cleanup_(oom_closep) struct oom *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->skel = oom_bpf__open();
	if (!p->skel)
		return -errno;
	sensor_pick_programs(p->skel->obj, variant);
	err = sensor_share(ctx, p->skel->obj);
	if (!err)
		err = sensor_size_counters(ctx, p->skel->maps.counters);
	if (!err)
		err = oom_bpf__load(p->skel);
	if (!err)
		err = oom_bpf__attach(p->skel);
	if (!err)
		err = sensor_counters_map(ctx, p->skel->maps.counters, &p->counters);
	if (err)
		return err;
	*ret_private = TAKE_PTR(p);
	return 0;
}

static void oom_read(void *private, uint32_t slot, struct sensor_reading *reading)
{
	const struct oom *p = private;
	struct oom_counters sum;

	sensor_counters_sum(&p->counters, slot, &sum);
	reading->oom_kills = sum.kills;
}

static void oom_reset(void *private, uint32_t slot)
{
	struct oom *p = private;

	sensor_counters_reset(&p->counters, slot);
}

const struct sensor_module sensor_oom = {
	.id = SENSOR_OOM,
	.name = "oom",
	.rungs = { SENSOR_FENTRY, SENSOR_TRACEPOINT },
	.open = oom_open,
	.close = oom_close,
	.read = oom_read,
	.reset = oom_reset,
};
