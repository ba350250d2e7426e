/* SPDX-License-Identifier: BSD-2-Clause */
/* The reuse sensor: how soon pages are read again, hit or missed, of bpf/reuse.bpf.c. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/reuse.h"
#include "bpf/reuse.skel.h"

#include "user/common/cleanup.h"
#include "user/daemon/sensors_bpf.h"
#include "user/daemon/sensors_ghosts.h"

#define HEAD_WORDS (offsetof(struct reuse_counters, generation) / sizeof(uint64_t))

struct reuse {
	struct reuse_bpf *bpf;
	struct sensor_counters counters;
	uint32_t sample_shift;
	uint32_t slots_used;
	bool resting;
};

static void reuse_close(void *private)
{
	struct reuse *r = private;

	if (!r)
		return;
	sensor_counters_unmap(&r->counters);
	reuse_bpf__destroy(r->bpf);
	free(r);
}

static void reuse_closep(struct reuse **r)
{
	reuse_close(*r);
}

static int prepare(struct reuse *r, const struct sensor_ctx *ctx, enum sensor_variant variant)
{
	uint32_t page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	struct ghost_plan plan =
	    reuse_plan(sensor_ceiling_bytes(ctx), ctx->options->ghost_entries, page_bytes);
	int err;

	err = sensor_share(ctx, r->bpf->obj);
	if (!err)
		err = bpf_map__set_max_entries(r->bpf->maps.touched, plan.sets);
	if (!err)
		err = sensor_size_counters(ctx, r->bpf->maps.reuse_counters);
	if (err)
		return err;
	r->sample_shift = plan.sample_shift;
	r->bpf->rodata->sample_shift = plan.sample_shift;
	r->bpf->rodata->touched_sets = plan.sets;
	sensor_pick_programs(r->bpf->obj, variant);
	if (variant == SENSOR_FENTRY && !sensor_kernel_has("filemap_splice_read"))
		bpf_program__set_autoload(r->bpf->progs.filemap_splice_read_fentry, false);
	return 0;
}

static int reuse_open(const struct sensor_ctx *ctx, enum sensor_variant variant, void **ret_private)
{
	_cleanup_(reuse_closep) struct reuse *r = calloc(1, sizeof(*r));
	/* A clock must be one number, not one per CPU; and what is counted here is rare. */
	struct sensor_ctx one_lane = *ctx;
	int err;

	if (!r)
		return -ENOMEM;
	one_lane.lanes = 1;
	r->bpf = reuse_bpf__open();
	if (!r->bpf)
		return -errno;
	err = prepare(r, &one_lane, variant);
	if (!err)
		err = reuse_bpf__load(r->bpf);
	if (!err)
		err = sensor_counters_map(&one_lane, r->bpf->maps.reuse_counters, &r->counters);
	if (!err)
		err = reuse_bpf__attach(r->bpf);
	if (err)
		return err;
	*ret_private = TAKE_PTR(r);
	return 0;
}

static void reuse_read(void *private, uint32_t slot, struct sensor_reading *reading)
{
	struct reuse *r = private;
	struct reuse_counters c;

	reading->reuse_sample_shift = r->sample_shift;
	sensor_counters_head(&r->counters, slot, HEAD_WORDS, &c.accesses);
	if (c.accesses == reading->accesses && c.late_misses == reading->late_misses)
		return;
	reading->moved |= 1u << SENSOR_REUSE;
	reading->accesses = c.accesses;
	reading->first_accesses = c.first;
	reading->beyond = c.beyond;
	reading->late_misses = c.late_misses;
	sensor_counters_sum(&r->counters, slot, &c);
	memcpy(reading->reused, c.reused, sizeof(c.reused));
	memcpy(reading->missed, c.missed, sizeof(c.missed));
}

/* The generation goes on: what the engine that had this slot before has read is a stranger's. */
static void reuse_reset(void *private, uint32_t slot)
{
	struct reuse *r = private;
	struct reuse_counters c;
	struct reuse_counters *live = sensor_counters_at(&r->counters, slot);

	sensor_counters_sum(&r->counters, slot, &c);
	sensor_counters_reset(&r->counters, slot);
	live->generation = c.generation + 1;
	r->slots_used = slot < r->slots_used ? r->slots_used : slot + 1;
}

static int reuse_rest(void *private, bool rest)
{
	struct reuse *r = private;
	int err = 0;

	if (rest == r->resting)
		return 0;
	if (rest) {
		reuse_bpf__detach(r->bpf);
	} else {
		for (uint32_t slot = 0; slot < r->slots_used; slot++) {
			struct reuse_counters *live = sensor_counters_at(&r->counters, slot);

			if (live->clock > 0)
				live->woken = live->clock;
		}
		err = reuse_bpf__attach(r->bpf);
	}
	if (err)
		reuse_bpf__detach(r->bpf); /* half of it */
	else
		r->resting = rest;
	return err;
}

const struct sensor_module sensor_reuse = {
	.id = SENSOR_REUSE,
	.name = "reuse",
	.rungs = { SENSOR_FENTRY, SENSOR_TRACEPOINT, SENSOR_OFF },
	.open = reuse_open,
	.close = reuse_close,
	.read = reuse_read,
	.reset = reuse_reset,
	.rest = reuse_rest,
};
