/* SPDX-License-Identifier: BSD-2-Clause */
/* The refaults sensor: evictions, ghosts and refault distances of bpf/refaults.bpf.c. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/refaults.h"
#include "bpf/refaults.skel.h"

#include "user/common/cleanup.h"
#include "user/daemon/sensors_bpf.h"
#include "user/daemon/sensors_ghosts.h"

#define HEAD_WORDS (offsetof(struct refault_counters, unused) / sizeof(uint64_t))

struct refaults {
	struct refaults_bpf *bpf;
	struct sensor_counters counters;
	uint32_t sample_shift;
};

static void refaults_close(void *private)
{
	struct refaults *r = private;

	if (!r)
		return;
	sensor_counters_unmap(&r->counters);
	refaults_bpf__destroy(r->bpf);
	free(r);
}

static void refaults_closep(struct refaults **r)
{
	refaults_close(*r);
}

static int prepare(struct refaults *r, const struct sensor_ctx *ctx, enum sensor_variant variant)
{
	uint32_t page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	struct ghost_plan plan =
	    ghosts_plan(sensor_ceiling_bytes(ctx), ctx->options->ghost_entries, page_bytes);
	int err;

	err = sensor_share(ctx, r->bpf->obj);
	if (!err)
		err = bpf_map__reuse_fd(r->bpf->maps.returning, ctx->returning_fd);
	if (!err)
		err = bpf_map__set_max_entries(r->bpf->maps.ghosts, plan.sets);
	if (!err)
		err = sensor_size_counters(ctx, r->bpf->maps.refault_counters);
	if (err)
		return err;
	r->sample_shift = plan.sample_shift;
	r->bpf->rodata->sample_shift = plan.sample_shift;
	r->bpf->rodata->ghost_sets = plan.sets;
	sensor_pick_programs(r->bpf->obj, variant);
	if (variant == SENSOR_TRACEPOINT)
		sensor_note("files only, and a refault is seen while its ghost is kept");
	return 0;
}

static int refaults_open(const struct sensor_ctx *ctx, enum sensor_variant variant,
			 void **ret_private)
{
	_cleanup_(refaults_closep) struct refaults *r = calloc(1, sizeof(*r));
	/* A clock must be one number, not one per CPU; and what is counted here is rare. */
	struct sensor_ctx one_lane = *ctx;
	int err;

	if (!r)
		return -ENOMEM;
	one_lane.lanes = 1;
	r->bpf = refaults_bpf__open();
	if (!r->bpf)
		return -errno;
	err = prepare(r, &one_lane, variant);
	if (!err)
		err = refaults_bpf__load(r->bpf);
	if (!err)
		err = sensor_counters_map(&one_lane, r->bpf->maps.refault_counters, &r->counters);
	if (!err)
		err = refaults_bpf__attach(r->bpf);
	if (err)
		return err;
	*ret_private = TAKE_PTR(r);
	return 0;
}

static void refaults_read(void *private, uint32_t slot, struct sensor_reading *reading)
{
	struct refaults *r = private;
	struct refault_counters c;

	reading->ghost_sample_shift = r->sample_shift;
	sensor_counters_head(&r->counters, slot, HEAD_WORDS, &c.evictions);
	if (c.evictions == reading->evictions && c.ghost_evictions == reading->ghost_evictions &&
	    c.ghost_refaults == reading->ghost_refaults &&
	    c.ghost_unknown == reading->ghost_unknown)
		return;
	reading->moved |= 1u << SENSOR_REFAULTS;
	reading->evictions = c.evictions;
	reading->ghost_evictions = c.ghost_evictions;
	reading->ghost_unknown = c.ghost_unknown;
	if (c.ghost_refaults == reading->ghost_refaults)
		return;
	reading->ghost_refaults = c.ghost_refaults;
	sensor_counters_sum(&r->counters, slot, &c);
	memcpy(reading->ghost_distance, c.ghost_distance, sizeof(c.ghost_distance));
}

/* The generation goes on: ghosts of the engine that had this slot before are strangers. */
static void refaults_reset(void *private, uint32_t slot)
{
	struct refaults *r = private;
	struct refault_counters c;
	struct refault_counters *live = sensor_counters_at(&r->counters, slot);

	sensor_counters_sum(&r->counters, slot, &c);
	sensor_counters_reset(&r->counters, slot);
	live->generation = c.generation + 1;
}

const struct sensor_module sensor_refaults = {
	.id = SENSOR_REFAULTS,
	.name = "refaults",
	.rungs = { SENSOR_FENTRY, SENSOR_TRACEPOINT, SENSOR_OFF },
	.open = refaults_open,
	.close = refaults_close,
	.read = refaults_read,
	.reset = refaults_reset,
};
