/* SPDX-License-Identifier: BSD-2-Clause */
/* Cgroups made and removed below engines (bpf/children.bpf.c). */
#include <errno.h>
#include <stdlib.h>

#include "bpf/children.skel.h"
#include "user/common/cleanup.h"
#include "user/daemon/sensors_bpf.h"

struct children_counters { /* as in bpf/children.bpf.c */
	uint64_t made, removed;
};

struct children {
	struct children_bpf *skel;
	struct sensor_counters counters;
};

static void children_close(void *private)
{
	struct children *p = private;

	if (!p)
		return;
	sensor_counters_unmap(&p->counters);
	children_bpf__destroy(p->skel);
	free(p);
}

static void children_closep(struct children **p)
{
	children_close(*p);
}

static int children_open(const struct sensor_ctx *ctx, enum sensor_variant variant,
			 void **ret_private)
{
	_cleanup_(children_closep) struct children *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->skel = children_bpf__open();
	if (!p->skel)
		return -errno;
	err = sensor_share(ctx, p->skel->obj);
	if (!err)
		err = sensor_size_counters(ctx, p->skel->maps.counters);
	if (!err)
		err = children_bpf__load(p->skel);
	if (!err)
		err = children_bpf__attach(p->skel);
	if (!err)
		err = sensor_counters_map(ctx, p->skel->maps.counters, &p->counters);
	if (err)
		return err;
	*ret_private = TAKE_PTR(p);
	return 0;
}

static void children_read(void *private, uint32_t slot, struct sensor_reading *reading)
{
	const struct children *p = private;
	struct children_counters sum;

	sensor_counters_sum(&p->counters, slot, &sum);
	/* On top of those that were there when the engine came, which the loader has put in. */
	reading->children += (uint32_t)(sum.made - sum.removed);
}

static void children_reset(void *private, uint32_t slot)
{
	struct children *p = private;

	sensor_counters_reset(&p->counters, slot);
}

const struct sensor_module sensor_children = {
	.id = SENSOR_CHILDREN,
	.name = "children",
	.rungs = { SENSOR_TRACEPOINT },
	.open = children_open,
	.close = children_close,
	.read = children_read,
	.reset = children_reset,
};
