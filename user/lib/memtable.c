// SPDX-License-Identifier: BSD-2-Clause
/* One memtable: its options, what is written to it, what it wants. Sharing: memtable_group.c. */
#include <errno.h>
#include <stdlib.h>

#include "user/lib/arith.h"
#include "user/lib/memtable_internal.h"
#include "user/lib/options.h"

#define BUFFER_NS_MAX UINT64_C(3600000000000)

_Static_assert(offsetof(struct baro_memtable, flush_at_bytes) == 0, "should_flush reads it");
_Static_assert(offsetof(struct baro_memtable, rotated_total) == 64, "writers have their own line");

/* a x 4 without wrapping */
static uint64_t times_four(uint64_t a)
{
	return a > UINT64_MAX / 4 ? UINT64_MAX : a * 4;
}

static int take_options(const struct baro_memtable_options *given,
			struct baro_memtable_options *ret)
{
	struct baro_memtable_options o = { .size = sizeof(o) };
	int r = given ? options_take(&o, sizeof(o), sizeof(o), given) : 0;

	if (r < 0)
		return r;
	if (!o.base_bytes)
		o.base_bytes = BARO_MEMTABLE_BASE_BYTES;
	if (!o.min_bytes)
		o.min_bytes = lib_max(o.base_bytes / 4, 1);
	if (!o.max_bytes)
		o.max_bytes = times_four(o.base_bytes);
	if (!o.buffer_ns)
		o.buffer_ns = BARO_MEMTABLE_BUFFER_NS;
	if (!o.tau_ns)
		o.tau_ns = BARO_MEMTABLE_TAU_NS;
	if (o.min_bytes > o.base_bytes || o.base_bytes > o.max_bytes ||
	    o.buffer_ns > BUFFER_NS_MAX || o.damping > BARO_DAMPING_KNEE)
		return -EINVAL;
	*ret = o;
	return 0;
}

uint64_t memtable_wanted(const struct baro_memtable *m, uint32_t pressure_ppm)
{
	const struct baro_memtable_options *o = &m->options;
	double bytes = m->rate.weight > 0 ? m->rate.per_s * m->buffer_s : (double)o->base_bytes;

	bytes *= baro_damping_ppm(o->damping, pressure_ppm) * 1e-6;
	if (bytes <= (double)o->min_bytes)
		return o->min_bytes;
	return bytes >= (double)o->max_bytes ? o->max_bytes : (uint64_t)bytes;
}

int baro_memtable_open(const struct baro_memtable_options *options,
		       struct baro_memtable_group *group, struct baro_memtable **ret_table)
{
	struct baro_memtable_options o = { 0 };
	struct baro_memtable_group *own = NULL;
	struct baro_memtable *m;
	int r = take_options(options, &o);

	if (r < 0)
		return r;
	m = aligned_alloc(64, (sizeof(*m) + 63) / 64 * 64);
	if (!m)
		return -ENOMEM;
	*m = (struct baro_memtable){ .options = o,
				     .alone = !group,
				     .per_tau = 1 / (double)o.tau_ns,
				     .buffer_s = (double)o.buffer_ns / 1e9 };
	r = percpu_init(&m->written, false);
	if (!r && !group) {
		r = baro_memtable_group_open(BARO_PAGE_NONE, &own);
		group = own;
	}
	if (!r) {
		lock_take(&group->lock);
		r = memtable_group_join(group, m);
		lock_give(&group->lock);
	}
	if (r < 0) {
		baro_memtable_group_close(own);
		percpu_fini(&m->written);
		free(m);
		return r;
	}
	*ret_table = m;
	return 0;
}

void baro_memtable_close(struct baro_memtable *m)
{
	struct baro_memtable_group *group;

	if (!m)
		return;
	group = m->group;
	lock_take(&group->lock);
	memtable_group_leave(group, m);
	lock_give(&group->lock);
	if (m->alone)
		baro_memtable_group_close(group);
	percpu_fini(&m->written);
	free(m);
}

/* Of some instructions, which should not lie in two lines of the cache. */
__attribute__((aligned(64))) void baro_memtable_record_write(struct baro_memtable *m,
							     uint64_t bytes)
{
	percpu_add(&m->written, bytes);
}

/* The mark first: what is added to the sum meanwhile only adds. */
uint64_t baro_memtable_held(const struct baro_memtable *m)
{
	uint64_t rotated = __atomic_load_n(&m->rotated_total, __ATOMIC_ACQUIRE);

	return percpu_sum(&m->written) - rotated;
}

uint64_t baro_memtable_rotate(struct baro_memtable *m)
{
	uint64_t total, held;

	lock_take(&m->group->lock);
	total = percpu_sum(&m->written);
	held = total - m->rotated_total;
	__atomic_store_n(&m->rotated_total, total, __ATOMIC_RELEASE);
	m->sealed_bytes = lib_add(m->sealed_bytes, held);
	m->rotations++;
	lock_give(&m->group->lock);
	return held;
}

void baro_memtable_flushed(struct baro_memtable *m, uint64_t bytes)
{
	lock_take(&m->group->lock);
	m->sealed_bytes = lib_less(m->sealed_bytes, bytes);
	lock_give(&m->group->lock);
}

uint64_t baro_memtable_update(struct baro_memtable *m, uint64_t now_ns,
			      const struct baro_pressure *pressure)
{
	baro_memtable_group_update(m->group, now_ns, pressure);
	return __atomic_load_n(&m->target_bytes, __ATOMIC_RELAXED);
}

void baro_memtable_read(struct baro_memtable *m, struct baro_memtable_stats *ret_stats)
{
	lock_take(&m->group->lock);
	*ret_stats = (struct baro_memtable_stats){
		.written_bytes = percpu_sum(&m->written),
		.held_bytes = baro_memtable_held(m),
		.sealed_bytes = m->sealed_bytes,
		.rate_bytes_per_s = (uint64_t)m->rate.per_s,
		.wanted_bytes = m->wanted_bytes,
		.target_bytes = m->target_bytes,
		.flush_at_bytes = m->flush_at_bytes,
		.rotations = m->rotations,
		.pressure_ppm = m->pressure_ppm,
		.idle = m->rate.idle,
	};
	lock_give(&m->group->lock);
}

void *baro_memtable_arg(const struct baro_memtable *m)
{
	return m->options.arg;
}
