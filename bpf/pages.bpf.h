/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the sensors that follow pages have in common: the name of a page, a hash of what it holds; how
 * it is known again; how large a folio is; which bin a distance belongs to. No maps: an object gets
 * all that its headers define.
 */
#ifndef BAROSTAT_BPF_PAGES_BPF_H
#define BAROSTAT_BPF_PAGES_BPF_H

#include "bpf/shared.bpf.h"

#define LARGEST_FOLIO 4096 /* pages looked at in one folio; 512 is the largest there is on x86 */
#define PAGE_SHIFT    12

/* For a folio that is an argument of the program. */
static __always_inline unsigned long flags_of(struct folio *folio)
{
	struct folio___memdesc *newer = (void *)folio;

	if (bpf_core_field_exists(newer->flags.f))
		return newer->flags.f;
	return folio->flags;
}

#define page_flag(name) (1ul << bpf_core_enum_value(enum pageflags, name))

static __always_inline uint64_t mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15ull;
	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9ull;
	h ^= h >> 32;
	return h;
}

/*
 * The file, not the in-memory inode: it may be dropped and read again between eviction and
 * refault. The generation tells a new file from a deleted one that had the same number, which log
 * structured engines make by the minute.
 */
static __always_inline uint64_t file_name(uint32_t device, uint64_t ino, uint32_t generation)
{
	return mix(ino ^ (uint64_t)device << 32) ^ (uint64_t)generation << 8;
}

static __always_inline uint64_t page_name(uint64_t file, uint64_t index)
{
	return mix(file + index * 0xd6e8feb86659fd93ull);
}

static __always_inline uint64_t inode_name(struct inode *inode)
{
	return file_name(inode->i_sb->s_dev, inode->i_ino, inode->i_generation);
}

/* In the tag of a page that is remembered: its name's high half, the slot's generation, the slot. 0:
 * free. */
#define TAG_SLOT_BITS  20
#define TAG_GENERATION 0xfffu

static __always_inline uint64_t tag_of(uint64_t page, uint32_t slot, uint64_t generation)
{
	return (page & ~0xffffffffull) | (generation & TAG_GENERATION) << TAG_SLOT_BITS | slot;
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
