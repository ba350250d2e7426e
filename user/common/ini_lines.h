/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INI text as events, for readers that name the line of everything they do not like. libinih
 * splits lines into keys and values and is fed line by line, because by itself it cuts section
 * names at 49 bytes and lines at 199, joins indented lines to the value above, and reports only
 * the first line it could not read.
 */
#ifndef BAROSTAT_COMMON_INI_LINES_H
#define BAROSTAT_COMMON_INI_LINES_H

#include <stddef.h>
#include <stdint.h>

/* Room for the longest legal value, its key and a comment. */
#define INI_LINE_BYTES_MAX 1023

/* Lines count from 1. Keys before the first section and below a header that could not be read are
 * not handed out. Texts belong to the reader and are valid during the call. */
struct ini_events {
	const char *sections; /* "[daemon] and [engine NAME]", for complaints */
	const char *section_first; /* "[daemon] or [engine NAME] first" */
	/* `header` is what stands between the brackets, trimmed; it may be changed. */
	void (*section)(void *arg, uint32_t line, char *header);
	void (*key)(void *arg, uint32_t line, const char *name, const char *value);
	/* What is wrong and what is allowed, in one sentence. */
	void (*complain)(void *arg, uint32_t line, const char *what);
	void *arg;
};

/* 0 also when it complained; -ENOMEM. Not thread-safe: libinih's options are of the process. */
int ini_read_lines(const struct ini_events *events, const char *text, size_t bytes);

#endif
