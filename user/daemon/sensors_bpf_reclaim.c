/* SPDX-License-Identifier: BSD-2-Clause */
/* Reclaim of and by engines (bpf/reclaim.bpf.c). */
#include <errno.h>
#include <stdlib.h>

#include "bpf/reclaim.skel.h"
#include "user/common/cleanup.h"
#include "user/daemon/sensors_bpf.h"

struct reclaim_counters { /* as in bpf/reclaim.bpf.c */
	uint64_t scanned, stolen; /* fentry only */
	uint64_t direct;
};

struct reclaim {
	struct reclaim_bpf *skel;
	struct sensor_counters counters;
};

static void reclaim_close(void *private)
{
	struct reclaim *p = private;

	if (!p)
		return;
	sensor_counters_unmap(&p->counters);
	reclaim_bpf__destroy(p->skel);
	free(p);
}

static void reclaim_closep(struct reclaim **p)
{
	reclaim_close(*p);
}

static int reclaim_open(const struct sensor_ctx *ctx, enum sensor_variant variant,
			void **ret_private)
{
	_cleanup_(reclaim_closep) struct reclaim *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->skel = reclaim_bpf__open();
	if (!p->skel)
		return -errno;
	sensor_pick_programs(p->skel->obj, variant);
	if (variant == SENSOR_FENTRY && !sensor_kernel_has("shrink_one")) {
		bpf_program__set_autoload(p->skel->progs.begin_one_fentry, false);
		bpf_program__set_autoload(p->skel->progs.end_one_fentry, false);
	}
	err = sensor_share(ctx, p->skel->obj);
	if (!err)
		err = sensor_size_counters(ctx, p->skel->maps.counters);
	if (!err)
		err = reclaim_bpf__load(p->skel);
	if (!err)
		err = reclaim_bpf__attach(p->skel);
	if (!err)
		err = sensor_counters_map(ctx, p->skel->maps.counters, &p->counters);
	if (err)
		return err;
	*ret_private = TAKE_PTR(p);
	return 0;
}

static void reclaim_read(void *private, uint32_t slot, struct sensor_reading *reading)
{
	const struct reclaim *p = private;
	struct reclaim_counters sum;

	sensor_counters_sum(&p->counters, slot, &sum);
	reading->reclaim_scanned_pages = sum.scanned;
	reading->reclaim_stolen_pages = sum.stolen;
	reading->direct_reclaims = sum.direct;
}

static void reclaim_reset(void *private, uint32_t slot)
{
	struct reclaim *p = private;

	sensor_counters_reset(&p->counters, slot);
}

const struct sensor_module sensor_reclaim = {
	.id = SENSOR_RECLAIM,
	.name = "reclaim",
	.rungs = { SENSOR_FENTRY, SENSOR_TRACEPOINT },
	.open = reclaim_open,
	.close = reclaim_close,
	.read = reclaim_read,
	.reset = reclaim_reset,
};
