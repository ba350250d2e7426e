/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/common/suggest.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

#define WORD_MAX 63

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int m = a < b ? a : b;

	return m < c ? m : c;
}

static int same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

unsigned int suggest_distance(const char *a, const char *b)
{
	/* Three rows are enough: a swap of neighbours looks two rows back. */
	unsigned int row[3][WORD_MAX + 1];
	size_t la = strnlen(a, WORD_MAX + 1), lb = strnlen(b, WORD_MAX + 1);

	if (la > WORD_MAX || lb > WORD_MAX)
		return UINT_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned int *now = row[i % 3], *up = row[(i - 1) % 3];

		now[0] = (unsigned int)i;
		for (size_t j = 1; j <= lb; j++) {
			now[j] =
			    min3(up[j] + 1, now[j - 1] + 1, up[j - 1] + !same(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				now[j] = min3(now[j], row[(i - 2) % 3][j - 2] + 1, UINT_MAX);
		}
	}
	return row[la % 3][lb];
}

unsigned int suggest_limit(const char *word)
{
	size_t n = strnlen(word, WORD_MAX);

	return n < 6 ? (n < 3 ? 1 : 2) : (unsigned int)(n / 3);
}

void suggest_consider(const char *word, const char *candidate, const char **best,
		      unsigned int *best_distance)
{
	unsigned int d = suggest_distance(word, candidate);

	if (d < *best_distance) {
		*best_distance = d;
		*best = candidate;
	}
}
