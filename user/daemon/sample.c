/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stage 1, sample: every signal of every engine into struct law_sample, by the cheapest way that
 * is exact here: the kernel-side walk (one pass for all engines), mapped BPF counters (no system
 * call), and pread of files that are already open. Files that cost microseconds are read in turn:
 * FRESH_PER_ROUND engines a round, so that a tick's cost is bounded at any number of engines, and
 * of these only such as may have news (look.h).
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "user/common/clock.h"
#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/daemon.h"
#include "user/daemon/sensors.h"

#define CACHE_LINE_BYTES  64
#define FRESH_PER_ROUND   64
#define PRESSURE_IDLE_NS  (5 * NS_PER_S) /* the same of PSI, when nothing moved since */
#define PRESSURE_LEAST_NS (20 * NS_PER_MS) /* reading PSI more often than 5 ms destroys it */
#define STRAIN_LASTS_NS   (500 * NS_PER_MS) /* a wait is counted when it begins, or when it ends */

static void from_walk(const struct sensor_reading *r, struct engine *e, struct law_sample *s)
{
	if (r->walk_valid & WALK_USAGE)
		s->valid |= LAW_VALID_USAGE;
	if (r->walk_valid & WALK_VMSTAT) {
		e->locked_bytes = r->unevictable_bytes;
		s->anon_bytes = r->anon_bytes;
		s->file_bytes = r->file_bytes;
		s->file_mapped_bytes = r->file_mapped_bytes;
		s->shmem_bytes = r->shmem_bytes;
		s->kernel_bytes = r->kernel_bytes;
		s->dirty_bytes = r->file_dirty_bytes + r->file_writeback_bytes;
		s->refault_anon = r->refault_anon;
		s->refault_file = r->refault_file;
		s->pgfault = r->pgfault;
		s->pgmajfault = r->pgmajfault;
		s->pgscan = r->pgscan;
		s->pgsteal = r->pgsteal;
		s->valid |= LAW_VALID_KINDS | LAW_VALID_REFAULTS | LAW_VALID_FAULTS;
	}
	if (r->walk_valid & WALK_PSI) {
		s->psi_memory_some_ns = r->psi_memory_some_ns;
		s->psi_memory_full_ns = r->psi_memory_full_ns;
		s->psi_io_some_ns = r->psi_io_some_ns;
		s->psi_io_full_ns = r->psi_io_full_ns;
		s->valid |= LAW_VALID_PSI_MEMORY | LAW_VALID_PSI_IO;
	}
	if (r->walk_valid & WALK_EVENTS) {
		s->limit_hits = r->events_high + r->events_max;
		s->oom_kills = r->events_oom_kill;
	}
}

static void from_counters(const struct sensor_reading *r, struct law_sample *s)
{
	if (r->valid & (1u << SENSOR_STALLS)) {
		memcpy(s->stall_ns, r->stall_ns, sizeof(s->stall_ns));
		memcpy(s->stall_count, r->stall_count, sizeof(s->stall_count));
		s->valid |= LAW_VALID_LEDGER;
	}
	if (r->valid & (1u << SENSOR_REFAULTS)) {
		if (r->moved & (1u << SENSOR_REFAULTS))
			memcpy(s->distance, r->ghost_distance, sizeof(s->distance));
		s->evictions = r->evictions;
		s->ghost_refaults = r->ghost_refaults;
		s->ghost_unknown = r->ghost_unknown;
		s->ghost_sample_shift = r->ghost_sample_shift;
		s->valid |= LAW_VALID_DISTANCES;
	}
	if (r->valid & (1u << SENSOR_REUSE)) {
		if (r->moved & (1u << SENSOR_REUSE)) {
			memcpy(s->reused, r->reused, sizeof(s->reused));
			memcpy(s->missed, r->missed, sizeof(s->missed));
		}
		s->first_accesses = r->first_accesses;
		s->beyond = r->beyond;
		s->reuse_sample_shift = r->reuse_sample_shift;
		s->valid |= LAW_VALID_REUSE;
	}
	if (r->valid & (1u << SENSOR_FAULTS)) {
		s->majfault_ns = r->majfault_ns;
		s->majfault_count = r->majfault_count;
	}
	if (r->valid & (1u << SENSOR_OOM) && r->oom_kills > s->oom_kills)
		s->oom_kills = r->oom_kills;
	/* A task that reclaims for its own charge has met its limit: the same fact as failcnt. */
	if (r->valid & (1u << SENSOR_RECLAIM))
		s->limit_hits = r->direct_reclaims;
}

/* Whether events come from the kernel side, so that memory.events need not be read. */
static bool events_known(const struct sensor_reading *r)
{
	const uint32_t both = (1u << SENSOR_RECLAIM) | (1u << SENSOR_OOM);

	return (r->walk_valid & WALK_EVENTS) || (r->valid & both) == both;
}

/* What moves when tasks of an engine have waited for memory: only then has PSI anything new. */
struct strain {
	uint64_t count[7 + STALL_CAUSES];
};

static struct strain strain_of(const struct law_sample *s)
{
	struct strain strain = { { s->refault_file, s->refault_anon, s->evictions, s->pgscan,
				   s->limit_hits, s->pgmajfault, s->majfault_count } };

	memcpy(&strain.count[7], s->stall_count, sizeof(s->stall_count));
	return strain;
}

static void note_strain(struct engine *e, const struct strain *before, const struct law_sample *s,
			uint64_t now_ns)
{
	struct strain after = strain_of(s);

	if (memcmp(before, &after, sizeof(after)) != 0)
		e->strained_ns = now_ns;
}

static void from_stat(const struct cg_stat *st, struct engine *e, struct law_sample *s)
{
	e->locked_bytes = st->value[CG_STAT_UNEVICTABLE];
	s->anon_bytes = st->value[CG_STAT_ANON];
	s->file_bytes = st->value[CG_STAT_FILE];
	s->file_mapped_bytes = st->value[CG_STAT_FILE_MAPPED];
	s->shmem_bytes = st->value[CG_STAT_SHMEM];
	s->kernel_bytes = st->value[CG_STAT_KERNEL];
	s->dirty_bytes = st->value[CG_STAT_FILE_DIRTY] + st->value[CG_STAT_FILE_WRITEBACK];
	s->refault_anon = st->value[CG_STAT_REFAULT_ANON];
	s->refault_file = st->value[CG_STAT_REFAULT_FILE];
	s->pgfault = st->value[CG_STAT_PGFAULT];
	s->pgmajfault = st->value[CG_STAT_PGMAJFAULT];
	s->pgscan = st->value[CG_STAT_PGSCAN];
	s->pgsteal = st->value[CG_STAT_PGSTEAL];
	s->valid |= LAW_VALID_KINDS | LAW_VALID_FAULTS;
	if (!(st->missing & (1u << CG_STAT_REFAULT_FILE)))
		s->valid |= LAW_VALID_REFAULTS;
}

/* Anonymous memory counts as unreclaimable without swap; shmem needs swap as well. Locked pages do
 * in any case: they are those same ones for the most part, so the larger counts, not the sum. A
 * refused limit write (EBUSY) teaches a floor that no counter shows. */
static void set_unreclaimable(const struct daemon *d, const struct engine *e, struct law_sample *s,
			      uint64_t now_ns)
{
	uint64_t stays = e->locked_bytes;

	if (!d->abilities->has_swap)
		stays = max_u64(stays, s->anon_bytes + s->shmem_bytes);
	stays += s->kernel_bytes;
	if (now_ns < e->learned_until_ns)
		stays = max_u64(stays, e->learned_floor_bytes);
	s->unreclaimable_bytes = min_u64(stays, s->usage_bytes);
}

/* PSI of tasks that had nothing to wait for is what it was. */
static uint64_t pressure_pace_ns(const struct engine *e, uint64_t now_ns)
{
	if (now_ns - e->strained_ns < STRAIN_LASTS_NS)
		return PRESSURE_LEAST_NS;
	return now_ns - e->moved_ns < FILES_IDLE_NS ? FILES_IDLE_NS : PRESSURE_IDLE_NS;
}

static void read_pressure(struct engine *e, struct law_sample *s, uint64_t now_ns)
{
	struct cg_pressure pressure;

	if (now_ns - e->pressure_ns >= pressure_pace_ns(e, now_ns)) {
		e->pressure_ns = now_ns;
		if (cg_node_pressure(e->node, CG_PRESSURE_MEMORY, &pressure) == 0) {
			s->psi_memory_some_ns = pressure.some_ns;
			s->psi_memory_full_ns = pressure.full_ns;
			s->valid |= LAW_VALID_PSI_MEMORY;
		}
		if (cg_node_pressure(e->node, CG_PRESSURE_IO, &pressure) == 0) {
			s->psi_io_some_ns = pressure.some_ns;
			s->psi_io_full_ns = pressure.full_ns;
			s->valid |= LAW_VALID_PSI_IO;
		}
	}
	pressure_window_add(&e->window_memory, s->psi_memory_some_ns, s->psi_memory_full_ns,
			    now_ns);
	pressure_window_add(&e->window_io, s->psi_io_some_ns, s->psi_io_full_ns, now_ns);
}

static int read_files(struct engine *e, struct law_sample *s, const struct strain *before,
		      bool stat_known, bool events_are, uint64_t now_ns)
{
	struct cg_events events;
	struct cg_stat stat;
	struct cg_cpu cpu;
	int r;

	if (!stat_known) {
		r = cg_node_stat(e->node, &stat);
		if (r < 0)
			return r;
		from_stat(&stat, e, s);
	}
	if (!events_are) {
		r = cg_node_events(e->node, &events);
		if (r == -ENODEV)
			return r;
		if (r == 0) {
			s->limit_hits = events.high + events.max;
			s->oom_kills = max_u64(s->oom_kills, events.oom_kill);
		}
	}
	if (cg_node_cpu(e->node, &cpu) == 0) {
		look_at_cpu(&e->look, cpu.all_ns - s->cpu_ns, now_ns - s->cpu_at_ns);
		s->cpu_ns = cpu.all_ns;
		s->cpu_system_ns = cpu.system_ns;
		s->cpu_at_ns = now_ns;
		s->valid |= LAW_VALID_CPU;
	}
	note_strain(e, before, s, now_ns);
	read_pressure(e, s, now_ns);
	return 0;
}

/* The engine's own counters; what is not read this time keeps its last value (all cumulative). */
static int sample_engine(struct daemon *d, struct engine *e, bool fresh, bool early,
			 uint64_t now_ns)
{
	struct law_sample *s = &d->sample[e->slot];
	uint64_t usage = s->usage_bytes, pgfault = s->pgfault;
	struct strain before = strain_of(s);
	struct sensor_reading *reading = &d->reading[e->slot];
	struct look_news news;
	bool walked;
	int r;

	if (sensors_read(d->sensors, e->slot, reading) == 0) {
		if (reading->moved & (1u << SENSOR_WALK))
			from_walk(reading, e, s);
		from_counters(reading, s);
		s->reuse_rests = !d->reuse_counting;
	}
	/* an early tick may have found another usage in the meantime */
	if (reading->walk_valid & WALK_USAGE)
		s->usage_bytes = reading->usage_bytes;
	walked = reading->walk_valid & WALK_VMSTAT;
	note_strain(e, &before, s, now_ns);
	/* An engine whose memory did nothing since the last sample has no news in its files. */
	news = (struct look_news){
		.known = walked && events_known(reading),
		.moved = now_ns - e->strained_ns < STRAIN_LASTS_NS || s->usage_bytes != usage ||
			 s->pgfault != pgfault,
		.counted = d->reuse_counting,
		.reads = (reading->moved & (1u << SENSOR_REUSE)) != 0,
		.busy_ppm = d->estimate[e->slot].busy_ppm,
	};
	if (news.moved)
		e->moved_ns = now_ns;
	/* Between walks a reading carries the last walk's usage: an early tick wants it now. */
	if (early || !(reading->walk_valid & WALK_USAGE)) {
		r = cg_node_usage(e->node, &usage);
		if (r < 0)
			return r;
		s->usage_bytes = usage;
		s->valid |= LAW_VALID_USAGE;
	}
	if (look_due(&e->look, &news, now_ns) && fresh) {
		look_done(&e->look, now_ns);
		r = read_files(e, s, &before, walked, events_known(reading), now_ns);
		if (r < 0)
			return r;
	}
	set_unreclaimable(d, e, s, now_ns);
	return 0;
}

static void sample_checked(struct daemon *d, struct engine *e, bool fresh, bool early,
			   uint64_t now_ns)
{
	int r = sample_engine(d, e, fresh, early, now_ns);

	if (r == -ENODEV || r == -ENOENT)
		engine_lost(d, e);
	else if (r < 0)
		log_limited(LOG_LEVEL_WARN, "engine=%s event=sample_failed error=\"%s\", ignoring",
			    e->name, strerror(-r));
}

void sample_one(struct daemon *d, struct engine *e, uint64_t now_ns)
{
	sample_checked(d, e, true, true, now_ns);
}

/* With many engines their data have left the processor's cache since the last tick. */
static void fetch_ahead(const struct daemon *d, const struct engine *e)
{
	const uint32_t slot = e->slot + 2;

	if (slot >= d->slots_used)
		return;
	for (size_t at = 0; at < offsetof(struct law_sample, distance); at += CACHE_LINE_BYTES)
		__builtin_prefetch((const char *)&d->sample[slot] + at);
	__builtin_prefetch(&d->sample[slot].cpu_ns);
	__builtin_prefetch(&d->reading[slot]);
	__builtin_prefetch(&d->reading[slot].stall_count);
	__builtin_prefetch(&d->reading[slot].evictions);
	__builtin_prefetch(&d->reading[slot].reclaim_scanned_pages);
	__builtin_prefetch(&d->reading[slot].events_high);
}

void sample_all(struct daemon *d, uint64_t now_ns)
{
	uint32_t active = 0, start, i = 0;

	for_each_engine (d, e)
		active += e->status == ENGINE_ACTIVE;
	if (active)
		sensors_walk(d->sensors, d->walk_fd);
	start = active > FRESH_PER_ROUND ? (uint32_t)(d->samples * FRESH_PER_ROUND % active) : 0;
	d->usage_bytes = 0;
	for_each_engine (d, e) {
		bool fresh;

		if (e->status != ENGINE_ACTIVE)
			continue;
		/* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): this one is active */
		fresh = (i + active - start) % active < FRESH_PER_ROUND;
		i++;
		fetch_ahead(d, e);
		sample_checked(d, e, fresh, false, now_ns);
		if (e->status == ENGINE_ACTIVE)
			d->usage_bytes += d->sample[e->slot].usage_bytes;
	}
	d->samples++;
}
