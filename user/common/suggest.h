/* SPDX-License-Identifier: BSD-2-Clause */
/* "Did you mean": the nearest of the known words to one that is not known. */
#ifndef BAROSTAT_COMMON_SUGGEST_H
#define BAROSTAT_COMMON_SUGGEST_H

#include <stddef.h>

/* Insertions, deletions, replacements and swaps of neighbours between two words; words longer than
 * 63 bytes count as infinitely far (UINT_MAX). */
unsigned int suggest_distance(const char *a, const char *b);

/* Near enough to be a slip of the fingers: at most a third of the word's length, at least 1. */
unsigned int suggest_limit(const char *word);

/* Keeps the nearer of *best and candidate. Start with *best = NULL and *best_distance =
 * suggest_limit(word) + 1; at the end *best is NULL when nothing was near enough. */
void suggest_consider(const char *word, const char *candidate, const char **best,
		      unsigned int *best_distance);

#endif
