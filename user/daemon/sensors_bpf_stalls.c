/* SPDX-License-Identifier: BSD-2-Clause */
/* The stalls sensor: the ledger of bpf/stalls.bpf.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/stalls.h"
#include "bpf/stalls.skel.h"

#include "user/common/cleanup.h"
#include "user/daemon/sensors_bpf.h"

struct stalls {
	struct stalls_bpf *bpf;
	struct sensor_counters counters;
};

static void stalls_close(void *private)
{
	struct stalls *s = private;

	if (!s)
		return;
	sensor_counters_unmap(&s->counters);
	stalls_bpf__destroy(s->bpf);
	free(s);
}

static void stalls_closep(struct stalls **s)
{
	stalls_close(*s);
}

static int stalls_open(const struct sensor_ctx *ctx, enum sensor_variant variant,
		       void **ret_private)
{
	_cleanup_(stalls_closep) struct stalls *s = calloc(1, sizeof(*s));
	struct sensor_ctx one_lane = *ctx; /* see bpf/stalls.h */
	int err;

	if (!s)
		return -ENOMEM;
	one_lane.lanes = 1;
	s->bpf = stalls_bpf__open();
	if (!s->bpf)
		return -errno;
	err = sensor_share(&one_lane, s->bpf->obj);
	if (!err)
		err = bpf_map__reuse_fd(s->bpf->maps.returning, ctx->returning_fd);
	if (!err)
		err = sensor_size_counters(&one_lane, s->bpf->maps.stall_counters);
	if (err)
		return err;
	sensor_pick_programs(s->bpf->obj, variant);
	if (variant == SENSOR_TRACEPOINT)
		sensor_note("no waits for zram, refault waits scaled up from samples");
	err = stalls_bpf__load(s->bpf);
	if (!err)
		err = sensor_counters_map(&one_lane, s->bpf->maps.stall_counters, &s->counters);
	if (!err)
		err = stalls_bpf__attach(s->bpf);
	if (err)
		return err;
	*ret_private = TAKE_PTR(s);
	return 0;
}

static void stalls_read(void *private, uint32_t slot, struct sensor_reading *reading)
{
	struct stalls *s = private;
	struct stall_counters c;

	sensor_counters_head(&s->counters, slot, 2 * STALL_CAUSES, c.stall_count);
	if (!memcmp(c.stall_count, reading->stall_count, sizeof(c.stall_count)) &&
	    !memcmp(c.stall_ns, reading->stall_ns, sizeof(c.stall_ns)))
		return;
	reading->moved |= 1u << SENSOR_STALLS;
	memcpy(reading->stall_count, c.stall_count, sizeof(c.stall_count));
	memcpy(reading->stall_ns, c.stall_ns, sizeof(c.stall_ns));
	sensor_counters_sum(&s->counters, slot, &c);
	memcpy(reading->stall_latency, c.stall_latency, sizeof(c.stall_latency));
}

static void stalls_reset(void *private, uint32_t slot)
{
	struct stalls *s = private;

	sensor_counters_reset(&s->counters, slot);
}

const struct sensor_module sensor_stalls = {
	.id = SENSOR_STALLS,
	.name = "stalls",
	.rungs = { SENSOR_FENTRY, SENSOR_TRACEPOINT, SENSOR_OFF },
	.open = stalls_open,
	.close = stalls_close,
	.read = stalls_read,
	.reset = stalls_reset,
};
