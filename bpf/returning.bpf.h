/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Pages on their way back. The refaults sensor sees that a page which had been evicted is being
 * read again and leaves a note; the stalls sensor sees a task wait for a page and looks whether
 * there is a note.
 */
#ifndef BAROSTAT_BPF_RETURNING_BPF_H
#define BAROSTAT_BPF_RETURNING_BPF_H

#include "bpf/pages.bpf.h"
#include "bpf/returning.h"

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

#endif
