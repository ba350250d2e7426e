// SPDX-License-Identifier: BSD-2-Clause
/* Publishing: slots and header under their seqlocks, and the wake-up. page_file.c has the file. */
#include "user/daemon/page_writer.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/daemon/page_file.h"

#define SLOT_WORDS (sizeof(struct baro_slot) / sizeof(uint64_t))

static void store_u32(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static void store_words(uint64_t *to, const uint64_t *from, size_t words)
{
	for (size_t i = 0; i < words; i++)
		__atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
}

/*
 * Odd before any data, even after all of it. The release fence, not a release store, is what keeps
 * the data behind the odd mark on machines that reorder stores. A lock that a killed writer left
 * odd stays odd until this writer has rewritten the record.
 */
static void seq_lock(uint32_t *seq)
{
	store_u32(seq, __atomic_load_n(seq, __ATOMIC_RELAXED) | 1);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void seq_unlock(uint32_t *seq)
{
	__atomic_store_n(seq, __atomic_load_n(seq, __ATOMIC_RELAXED) + 1, __ATOMIC_RELEASE);
}

/* seq shares its word with score_ppm, so word 0 is written in halves. */
static void slot_store(struct baro_slot *to, const struct baro_slot *from)
{
	seq_lock(&to->pressure.seq);
	store_u32(&to->pressure.score_ppm, from->pressure.score_ppm);
	store_words((uint64_t *)to + 1, (const uint64_t *)from + 1, SLOT_WORDS - 1);
	seq_unlock(&to->pressure.seq);
}

static uint64_t status_make(uint32_t level, uint32_t state, uint32_t flags, uint32_t incarnation)
{
	return (uint64_t)(level & 0xff) | (uint64_t)(state & 0xff) << 8 |
	       (uint64_t)(flags & 0xffff) << 16 | (uint64_t)incarnation << 32;
}

/* The slot as it is. Nobody else writes it, so plain loads are enough. */
static struct baro_slot *slot_at(const struct page_writer *w, uint32_t i)
{
	assert(i < w->slot_count);
	return &w->slot[i];
}

const struct baro_slot *page_writer_slot(const struct page_writer *w, uint32_t i)
{
	return slot_at(w, i);
}

int page_writer_reader(const struct page_writer *w)
{
	return w->reader_fd;
}

uint32_t page_writer_slots(const struct page_writer *w)
{
	return w->slot_count;
}

static void slot_clear(struct page_writer *w, uint32_t i)
{
	struct baro_slot *slot = slot_at(w, i), empty = { 0 };
	uint32_t incarnation = BARO_STATUS_INCARNATION(slot->pressure.status);

	/* A torn slot may carry anything: whoever reads it by an old reference must not. */
	if (slot->pressure.seq & 1)
		incarnation++;
	empty.pressure.status = status_make(0, BARO_SLOT_FREE, 0, incarnation);
	slot_store(slot, &empty);
}

void page_writer_repair(struct page_writer *w)
{
	for (uint32_t i = 0; i < w->slot_count; i++)
		if (w->slot[i].pressure.seq & 1)
			slot_clear(w, i);
	/* The lease of a header that was left half-written cannot be believed. */
	if (w->header->seq & 1) {
		uint64_t empty[(sizeof(*w->header) - PAGE_HEADER_COVERED) / 8] = { 0 };

		seq_lock(&w->header->seq);
		store_words((uint64_t *)w->header + PAGE_HEADER_COVERED / 8, empty,
			    sizeof(empty) / 8);
		seq_unlock(&w->header->seq);
	}
}

int page_writer_assign(struct page_writer *w, uint32_t i, const struct page_slot_identity *who)
{
	size_t len = strlen(who->name);
	struct baro_slot next;
	bool same;

	if (i >= w->slot_count || !len || len >= BARO_PAGE_NAME_MAX)
		return -EINVAL;
	next = *slot_at(w, i);
	same = BARO_STATUS_STATE(next.pressure.status) != BARO_SLOT_FREE &&
	       !strncmp(next.name, who->name, sizeof(next.name));
	if (!same) {
		uint32_t incarnation = BARO_STATUS_INCARNATION(next.pressure.status) + 1;

		memset(&next, 0, sizeof(next));
		memcpy(next.name, who->name, len);
		next.pressure.status =
		    status_make(BARO_LEVEL_UNKNOWN, BARO_SLOT_WAITING, 0, incarnation);
		next.pressure.limit_bytes = BARO_PAGE_NONE;
		next.pressure.time_to_ceiling_ns = BARO_PAGE_NONE;
		w->changed = true;
	}
	next.cgroup_id = who->cgroup_id;
	next.psi_cgroup_id = who->psi_cgroup_id;
	next.cgroup_hierarchy = who->cgroup_hierarchy;
	next.weight = who->weight;
	next.min_bytes = who->min_bytes;
	next.max_bytes = who->max_bytes;
	slot_store(slot_at(w, i), &next);
	w->assigned[i] = true;
	if (i >= w->slots_used)
		w->slots_used = i + 1;
	return 0;
}

void page_writer_free(struct page_writer *w, uint32_t i)
{
	if (BARO_STATUS_STATE(slot_at(w, i)->pressure.status) != BARO_SLOT_FREE) {
		slot_clear(w, i);
		w->changed = true;
	}
	w->assigned[i] = false;
}

/* What an engine would want to be woken for. */
static bool is_news(const struct baro_pressure *a, const struct baro_pressure *b)
{
	return (a->status & 0xffff) != (b->status & 0xffff) || a->budget_bytes != b->budget_bytes ||
	       a->release_bytes != b->release_bytes || a->grant_epoch != b->grant_epoch;
}

static void fill_pressure(struct baro_pressure *p, const struct page_slot_values *v,
			  uint64_t now_ns)
{
	p->status = status_make(v->level, v->state, v->flags, BARO_STATUS_INCARNATION(p->status));
	p->score_ppm = v->score_ppm;
	p->updated_ns = now_ns;
	p->budget_bytes = v->budget_bytes;
	p->target_bytes = v->target_bytes;
	p->limit_bytes = v->limit_bytes;
	p->usage_bytes = v->usage_bytes;
	p->headroom_bytes = v->headroom_bytes;
	p->release_bytes = v->release_bytes;
	p->release_by_ns = v->release_by_ns;
	p->grant_epoch = v->grant_epoch;
	p->time_to_ceiling_ns = v->time_to_ceiling_ns;
	p->velocity_bytes_per_s = (uint64_t)v->velocity_bytes_per_s;
	p->reason = v->reason;
	p->clamps = v->clamps;
	p->stall_ppm = v->stall_ppm;
	p->stall_avg_ppm = v->stall_avg_ppm;
}

static void fill_detail(struct baro_slot *s, const struct page_slot_values *v)
{
	s->ack_epoch = v->ack_epoch;
	s->anon_bytes = v->anon_bytes;
	s->file_bytes = v->file_bytes;
	s->shmem_bytes = v->shmem_bytes;
	s->kernel_bytes = v->kernel_bytes;
	s->dirty_bytes = v->dirty_bytes;
	s->swap_bytes = v->swap_bytes;
	s->unreclaimable_bytes = v->unreclaimable_bytes;
	s->working_set_bytes = v->working_set_bytes;
	s->low_bytes = v->low_bytes;
	s->high_bytes = v->high_bytes;
	s->hard_bytes = v->hard_bytes;
	s->psi_memory_some_1s_ppm = v->psi_memory_some_1s_ppm;
	s->psi_memory_full_1s_ppm = v->psi_memory_full_1s_ppm;
	s->psi_memory_some_10s_ppm = v->psi_memory_some_10s_ppm;
	s->psi_memory_full_10s_ppm = v->psi_memory_full_10s_ppm;
	s->psi_io_some_1s_ppm = v->psi_io_some_1s_ppm;
	s->psi_io_full_1s_ppm = v->psi_io_full_1s_ppm;
	s->psi_io_some_10s_ppm = v->psi_io_some_10s_ppm;
	s->psi_io_full_10s_ppm = v->psi_io_full_10s_ppm;
	s->oom_kills = v->oom_kills;
	memcpy(s->stall_ns_per_s, v->stall_ns_per_s, sizeof(s->stall_ns_per_s));
	s->refaults_per_s = v->refaults_per_s;
	s->faults_per_s = v->faults_per_s;
	s->majfaults_per_s = v->majfaults_per_s;
	s->evictions_per_s = v->evictions_per_s;
}

void page_writer_update(struct page_writer *w, uint32_t i, const struct page_slot_values *values,
			uint64_t now_ns)
{
	struct baro_slot *slot = slot_at(w, i), next = *slot;

	assert(w->assigned[i]);
	assert(values->state != BARO_SLOT_FREE);
	fill_pressure(&next.pressure, values, now_ns);
	fill_detail(&next, values);
	if (is_news(&slot->pressure, &next.pressure))
		w->changed = true;
	slot_store(slot, &next);
}

static void header_store(struct page_writer *w, const struct page_header_values *v, uint64_t now_ns,
			 uint64_t void_after_ns)
{
	struct baro_page_header next = {
		.boot_epoch = w->boot_epoch,
		.published_ns = now_ns,
		.void_after_ns = void_after_ns,
		.ceiling_bytes = v->ceiling_bytes,
		.reserve_bytes = v->reserve_bytes,
		.usage_bytes = v->usage_bytes,
		.level = v->level,
		.slots_used = w->slots_used,
		.ticks = w->ticks,
		.interval_ns = v->interval_ns,
		.daemon_pid = (uint32_t)getpid(),
		.rung = v->rung,
		.flags = v->flags,
		.score_ppm = v->score_ppm,
		.cost_tick_p50_ns = v->cost_tick_p50_ns,
		.cost_tick_p99_ns = v->cost_tick_p99_ns,
		.cost_rss_bytes = v->cost_rss_bytes,
		.cost_cpu_ppm = v->cost_cpu_ppm,
		.dropped_events = v->dropped_events,
	};

	seq_lock(&w->header->seq);
	store_words((uint64_t *)w->header + PAGE_HEADER_COVERED / 8,
		    (const uint64_t *)&next + PAGE_HEADER_COVERED / 8,
		    (sizeof(next) - PAGE_HEADER_COVERED) / 8);
	seq_unlock(&w->header->seq);
}

/* After everything else: who sees the new generation sees what it announces. */
void page_wake(struct baro_page_header *header)
{
	__atomic_store_n(&header->generation, header->generation + 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &header->generation, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Slots of the daemon before that this one has no engine for. */
static void free_unclaimed(struct page_writer *w)
{
	for (uint32_t i = 0; i < w->slots_used; i++)
		if (!w->assigned[i])
			page_writer_free(w, i);
}

bool page_writer_commit(struct page_writer *w, const struct page_header_values *values,
			uint64_t now_ns, uint64_t lease_ns, bool wake)
{
	uint64_t void_after_ns = now_ns + lease_ns < now_ns ? UINT64_MAX : now_ns + lease_ns;

	if (!w->ticks++)
		free_unclaimed(w);
	if (w->header->level != (uint32_t)values->level)
		w->changed = true;
	header_store(w, values, now_ns, void_after_ns);
	if (!wake && !w->changed && w->ticks > 1)
		return false;
	w->changed = false;
	page_wake(w->header);
	return true;
}
