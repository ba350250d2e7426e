/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which pages of a region are taken, and where allocations begin and end: three bits a page, whose
 * memory is bounded when it is made. No locks, no system calls but calloc. Never installed.
 */
#ifndef BAROSTAT_LIB_EXTENTS_H
#define BAROSTAT_LIB_EXTENTS_H

#include <stdint.h>

#define EXTENTS_NONE UINT64_MAX

struct extents {
	uint64_t *taken; /* the page belongs to an allocation, or to one beginning or ending */
	uint64_t *first, *last; /* of an allocation; `first` is what makes it one */
	uint64_t pages; /* how many there are */
	uint64_t lowest; /* no page below is free */
};

/* -ENOMEM. */
int extents_init(struct extents *x, uint64_t pages);
void extents_fini(struct extents *x);

/* Takes the lowest run of `pages` free pages that ends within the first `within`; EXTENTS_NONE.
 * Nobody can end it before extents_begin(). */
uint64_t extents_take(struct extents *x, uint64_t pages, uint64_t within);

/* What was taken from this page on is an allocation. */
void extents_begin(struct extents *x, uint64_t page);

/* How many pages the allocation has that begins at this page; 0: none does. */
uint64_t extents_length(const struct extents *x, uint64_t page);

/* It is an allocation no more, though its pages stay taken; its length, 0: it is none. */
uint64_t extents_end(struct extents *x, uint64_t page);

/* The pages of an ended allocation, or of one that never began, are free. */
void extents_give(struct extents *x, uint64_t page, uint64_t pages);

#endif
