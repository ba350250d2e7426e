// SPDX-License-Identifier: BSD-2-Clause
#include "user/lib/spread.h"

#define PPM 1000000u

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

void spread_merge(struct spread *into, const struct spread *from)
{
	for (unsigned int i = 0; i < SPREAD_BINS; i++)
		into->bin[i] += load(&from->bin[i]);
	into->sum += load(&from->sum);
}

uint64_t spread_count(const struct spread *s)
{
	uint64_t count = 0;

	for (unsigned int i = 0; i < SPREAD_BINS; i++)
		count += load(&s->bin[i]);
	return count;
}

uint64_t spread_quantile(const struct spread *s, uint32_t ppm)
{
	uint64_t count = spread_count(s), seen = 0, rank;

	if (!count)
		return 0;
	/* the first value below which lie at least so many; counts are far below 2^44 */
	rank = (count * ppm + PPM - 1) / PPM;
	for (unsigned int i = 0; i < SPREAD_BINS; i++) {
		seen += load(&s->bin[i]);
		if (seen >= rank && seen)
			return spread_value(i);
	}
	return spread_max(s);
}

uint64_t spread_max(const struct spread *s)
{
	for (unsigned int i = SPREAD_BINS; i-- > 0;)
		if (load(&s->bin[i]))
			return spread_value(i);
	return 0;
}

void spread_halve(struct spread *s)
{
	for (unsigned int i = 0; i < SPREAD_BINS; i++)
		__atomic_fetch_sub(&s->bin[i], load(&s->bin[i]) / 2, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&s->sum, load(&s->sum) / 2, __ATOMIC_RELAXED);
}
