/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two files of the page writer share. */
#ifndef BAROSTAT_DAEMON_PAGE_FILE_H
#define BAROSTAT_DAEMON_PAGE_FILE_H

#include <stddef.h>

#include "user/daemon/page_writer.h"

/* From here to its end the header is covered by its seqlock. */
#define PAGE_HEADER_COVERED offsetof(struct baro_page_header, boot_epoch)

struct page_writer {
	struct baro_page_header *header; /* start of the mapping */
	struct baro_slot *slot;
	size_t map_bytes;
	uint32_t slot_count;
	uint32_t slots_used;
	int lock_fd;
	int reader_fd; /* the same file, read-only: to hand to readers */
	uint64_t boot_epoch;
	uint64_t ticks;
	bool changed; /* something engines should be woken for, since the last commit */
	bool assigned[]; /* by this daemon; slot_count of them */
};

/* Frees slots and voids a header that a killed writer left half-written. */
void page_writer_repair(struct page_writer *w);

/* Moves the generation and wakes everyone who waits on it. */
void page_wake(struct baro_page_header *header);

#endif
