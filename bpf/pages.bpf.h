/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the sensors that follow pages have in common: whose a folio is, how large, how far away. */
#ifndef BAROSTAT_BPF_PAGES_BPF_H
#define BAROSTAT_BPF_PAGES_BPF_H

#include "bpf/returning.bpf.h"

#define LARGEST_FOLIO 4096 /* pages looked at in one folio; 512 is the largest there is on x86 */
#define PAGE_SHIFT    12

/*
 * Reclaim takes pages of one cgroup by the dozen, and the way from a page to its slot is three
 * probe reads and a hash. So the last answer is kept per CPU, for two jiffies: a cgroup that is
 * freed and another made at the same address in that time would be a page or two in a wrong slot.
 */
struct last_slot {
	uint64_t memcg_and_slot; /* one word, so that a preempted program sees no mixture */
	uint64_t jiffies;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct last_slot);
} last_slot SEC(".maps");

#define LAST_SLOT_BITS 20

static __always_inline uint32_t cached_slot_of_folio(struct folio *folio)
{
	uint64_t memcg = (folio->memcg_data >> 6) << LAST_SLOT_BITS;
	uint32_t zero = 0, none = (1u << LAST_SLOT_BITS) - 1, slot;
	struct last_slot *last = bpf_map_lookup_elem(&last_slot, &zero);
	uint64_t now = bpf_jiffies64();

	if (!last)
		return NO_SLOT;
	slot = last->memcg_and_slot & none;
	if ((last->memcg_and_slot & ~(uint64_t)none) == memcg && now - last->jiffies < 2)
		return slot == none ? NO_SLOT : slot;
	slot = slot_of_folio(folio);
	last->memcg_and_slot = memcg | (slot & none);
	last->jiffies = now;
	return slot;
}

static __always_inline uint32_t pages_of(struct folio *folio)
{
	uint32_t pages;

	if (!(flags_of(folio) & page_flag(PG_head)))
		return 1;
	if (bpf_core_field_exists(folio->_folio_nr_pages))
		pages = folio->_folio_nr_pages;
	else if (bpf_core_field_exists(folio->_nr_pages))
		pages = folio->_nr_pages;
	else
		pages = 1;
	return pages && pages <= LARGEST_FOLIO ? pages : 1;
}

/* Of anything but 0. */
static __always_inline uint32_t floor_log2(uint64_t n)
{
	uint32_t e = 0;

	if (n >> 32)
		e += 32, n >>= 32;
	if (n >> 16)
		e += 16, n >>= 16;
	if (n >> 8)
		e += 8, n >>= 8;
	if (n >> 4)
		e += 4, n >>= 4;
	if (n >> 2)
		e += 2, n >>= 2;
	return e + (n >> 1);
}

/* Bins of wire.h: 1 << sub_shift linear ones per octave. */
static __always_inline uint32_t bin_of(uint64_t n, uint32_t sub_shift, uint32_t bins)
{
	uint64_t subs = 1ull << sub_shift;
	uint32_t e, bin;

	if (n < subs)
		return n;
	e = floor_log2(n);
	bin = (e - sub_shift + 1) * subs + ((n >> (e - sub_shift)) & (subs - 1));
	return bin < bins ? bin : bins - 1;
}

static __always_inline uint32_t distance_bin(uint64_t distance)
{
	return bin_of(distance, __builtin_ctz(DISTANCE_SUB_BINS), DISTANCE_BINS);
}

static __always_inline uint32_t reuse_bin(uint64_t accesses)
{
	return bin_of(accesses, __builtin_ctz(REUSE_SUB_BINS), REUSE_BINS);
}

/*
 * A buffered write makes pages without reading them and holds the inode's lock, which a read never
 * holds alone. What is written over need not have been kept.
 */
static __always_inline bool is_writing(struct folio *folio)
{
	return (folio->mapping->host->i_rwsem.owner.counter & ~7l) ==
	       (long)bpf_get_current_task_btf();
}

#endif
