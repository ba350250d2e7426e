// SPDX-License-Identifier: BSD-2-Clause
/* Unloading what is cold. */
#include <errno.h>

#include "user/lib/arith.h"
#include "user/lib/registry_internal.h"

#define BATCH 64 /* looked for at once, so that a pass over all of them unloads more than one */

/* An index that was loaded and not pinned when it was looked at. */
struct cold {
	uint64_t last_ns, word;
	uint32_t number;
};

/* The coldest so far, coldest first. */
struct coldest {
	struct cold cold[BATCH];
	uint32_t n;
};

static bool is_colder(const struct cold *a, const struct cold *b)
{
	return a->last_ns != b->last_ns ? a->last_ns < b->last_ns : a->number < b->number;
}

static void keep(struct coldest *c, const struct cold *one)
{
	uint32_t at = c->n;

	if (at == BATCH && !is_colder(one, &c->cold[--at]))
		return;
	for (; at > 0 && is_colder(one, &c->cold[at - 1]); at--)
		c->cold[at] = c->cold[at - 1];
	c->cold[at] = *one;
	if (c->n < BATCH)
		c->n++;
}

/* With the lock held: of those whose last use is no later than that. */
static void look_for_cold(const struct baro_registry *r, uint64_t until_ns, struct coldest *c)
{
	c->n = 0;
	for (uint32_t i = 0; i < r->blocks; i++) {
		uint32_t number = block_at(r, i)->entry;
		struct cold one;

		if (number == ENTRY_NONE)
			continue;
		one = (struct cold){ .word = entry_at(r, number)->word,
				     .number = number,
				     .last_ns = registry_last_ns(r, i) };
		if (word_state(one.word) == BARO_INDEX_LOADED && word_block(one.word) == i &&
		    one.last_ns <= until_ns && !registry_pins(r, i))
			keep(c, &one);
	}
}

/* With the lock held, which is let go for the callback: unless it was used meanwhile. */
static bool unload_cold(struct baro_registry *r, const struct cold *one, uint64_t *freed_bytes)
{
	uint64_t bytes = 0;

	if (entry_at(r, one->number)->word != one->word ||
	    registry_last_ns(r, word_block(one->word)) != one->last_ns ||
	    registry_unload_entry(r, one->number, &bytes) < 0)
		return false;
	*freed_bytes = lib_add(*freed_bytes, bytes);
	return true;
}

static int unload_until(struct baro_registry *r, uint64_t bytes, uint64_t until_ns,
			uint64_t *ret_freed_bytes)
{
	uint64_t freed = 0;
	int count = 0, before;
	struct coldest c;

	pthread_mutex_lock(&r->lock);
	do {
		before = count;
		look_for_cold(r, until_ns, &c);
		for (uint32_t i = 0; i < c.n && freed < bytes; i++)
			count += unload_cold(r, &c.cold[i], &freed);
	} while (freed < bytes && count > before);
	pthread_mutex_unlock(&r->lock);
	if (ret_freed_bytes)
		*ret_freed_bytes = freed;
	return count;
}

int baro_registry_unload_cold(struct baro_registry *r, uint64_t bytes, uint64_t *ret_freed_bytes)
{
	return unload_until(r, bytes, UINT64_MAX, ret_freed_bytes);
}

int baro_registry_unload_idle(struct baro_registry *r, uint64_t idle_ns, uint64_t now_ns,
			      uint64_t *ret_freed_bytes)
{
	if (idle_ns > now_ns) {
		if (ret_freed_bytes)
			*ret_freed_bytes = 0;
		return 0;
	}
	return unload_until(r, UINT64_MAX, now_ns - idle_ns, ret_freed_bytes);
}

int baro_registry_unload(struct baro_registry *r, uint64_t id, uint64_t *ret_freed_bytes)
{
	const struct registry_entry *e;
	uint64_t bytes = 0;
	int status = 0;

	pthread_mutex_lock(&r->lock);
	e = registry_entry_of(r, id);
	if (!e)
		status = -ENOENT;
	else if (word_state(e->word) == BARO_INDEX_LOADED)
		status = registry_unload_entry(r, (uint32_t)id, &bytes);
	else if (word_state(e->word) == BARO_INDEX_LOADING ||
		 word_state(e->word) == BARO_INDEX_UNLOADING)
		status = -EBUSY;
	pthread_mutex_unlock(&r->lock);
	if (!status && ret_freed_bytes)
		*ret_freed_bytes = bytes;
	return status;
}
