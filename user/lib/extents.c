// SPDX-License-Identifier: BSD-2-Clause
#include "user/lib/extents.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define BITS 64

static bool bit(const uint64_t *map, uint64_t i)
{
	return map[i / BITS] >> (i % BITS) & 1;
}

static void set_bit(uint64_t *map, uint64_t i)
{
	map[i / BITS] |= UINT64_C(1) << (i % BITS);
}

static void clear_bit(uint64_t *map, uint64_t i)
{
	map[i / BITS] &= ~(UINT64_C(1) << (i % BITS));
}

/* The first index from `i` on whose bit is `wanted`, or `end`. Whole words at a time. */
static uint64_t next_bit(const uint64_t *map, uint64_t i, uint64_t end, bool wanted)
{
	while (i < end) {
		uint64_t word = (wanted ? map[i / BITS] : ~map[i / BITS]) >> (i % BITS);

		if (word) {
			i += (uint64_t)__builtin_ctzll(word);
			break;
		}
		i += BITS - i % BITS;
	}
	return i < end ? i : end;
}

int extents_init(struct extents *x, uint64_t pages)
{
	uint64_t words = (pages + BITS - 1) / BITS;
	uint64_t *maps = calloc(3 * words, sizeof(*maps));

	if (!maps)
		return -ENOMEM;
	*x = (struct extents){
		.taken = maps, .first = maps + words, .last = maps + 2 * words, .pages = pages
	};
	return 0;
}

void extents_fini(struct extents *x)
{
	free(x->taken);
	x->taken = NULL;
}

uint64_t extents_take(struct extents *x, uint64_t pages, uint64_t within)
{
	uint64_t begin = next_bit(x->taken, x->lowest, within, false);

	x->lowest = begin;
	while (pages <= within && begin <= within - pages) {
		uint64_t end = next_bit(x->taken, begin, begin + pages, true);

		if (end == begin + pages) {
			for (uint64_t i = begin; i < end; i++)
				set_bit(x->taken, i);
			set_bit(x->last, end - 1);
			return begin;
		}
		begin = next_bit(x->taken, end, within, false);
	}
	return EXTENTS_NONE;
}

void extents_begin(struct extents *x, uint64_t page)
{
	set_bit(x->first, page);
}

uint64_t extents_length(const struct extents *x, uint64_t page)
{
	if (page >= x->pages || !bit(x->first, page))
		return 0;
	return next_bit(x->last, page, x->pages, true) - page + 1;
}

uint64_t extents_end(struct extents *x, uint64_t page)
{
	uint64_t pages = extents_length(x, page);

	if (pages)
		clear_bit(x->first, page);
	return pages;
}

void extents_give(struct extents *x, uint64_t page, uint64_t pages)
{
	for (uint64_t i = page; i < page + pages; i++)
		clear_bit(x->taken, i);
	clear_bit(x->last, page + pages - 1);
	if (page < x->lowest)
		x->lowest = page;
}
