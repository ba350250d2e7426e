/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Pages on their way back. The refaults sensor sees that a page which had been evicted is being
 * read again and leaves a note; the stalls sensor sees a task wait for a page and looks whether
 * there is a note. So both need the same name for a page: a hash of what it holds.
 */
#ifndef BAROSTAT_BPF_RETURNING_BPF_H
#define BAROSTAT_BPF_RETURNING_BPF_H

#include "bpf/returning.h"
#include "bpf/shared.bpf.h"

/*
 * Direct mapped, overwritten by the next page of the same index: a note is of use for the
 * milliseconds of one read. A word is the page's name with the weight of its waits in the low bits.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << RETURNING_BITS);
	__type(key, uint32_t);
	__type(value, uint64_t);
} returning SEC(".maps");

#define RETURNING_WEIGHT 31ull

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

static __always_inline void note_returning(uint64_t page, uint32_t weight_shift)
{
	uint32_t key = page >> (64 - RETURNING_BITS);
	uint64_t *word = bpf_map_lookup_elem(&returning, &key);

	if (word)
		*word = (page & ~RETURNING_WEIGHT) | weight_shift;
}

/* Whether the page is coming back; a wait for it then counts 1 << ret_weight_shift times. */
static __always_inline bool is_returning(uint64_t page, uint32_t *ret_weight_shift)
{
	uint32_t key = page >> (64 - RETURNING_BITS);
	uint64_t *word = bpf_map_lookup_elem(&returning, &key);
	uint64_t found;

	if (!word)
		return false;
	found = *word;
	if ((found ^ page) & ~RETURNING_WEIGHT)
		return false;
	*ret_weight_shift = found & RETURNING_WEIGHT;
	return true;
}

/* For a folio that is an argument of the program. */
static __always_inline unsigned long flags_of(struct folio *folio)
{
	struct folio___memdesc *newer = (void *)folio;

	if (bpf_core_field_exists(newer->flags.f))
		return newer->flags.f;
	return folio->flags;
}

#define page_flag(name) (1ul << bpf_core_enum_value(enum pageflags, name))

#endif
