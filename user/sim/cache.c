/* SPDX-License-Identifier: BSD-2-Clause */
/* LRU by intrusive list, and the sampled ghosts that turn a refault into a distance. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/sim/sim.h"

int sim_cache_init(struct sim_cache *c, uint32_t keys)
{
	memset(c, 0, sizeof(*c));
	c->keys = keys;
	c->prev = calloc(keys + 1, sizeof(*c->prev));
	c->next = calloc(keys + 1, sizeof(*c->next));
	c->seen = calloc(keys + 1, 1);
	c->accessed = calloc(keys + 1, sizeof(*c->accessed));
	c->ghost = calloc((size_t)SIM_GHOST_SETS * SIM_GHOST_WAYS, sizeof(*c->ghost));
	if (!c->prev || !c->next || !c->seen || !c->accessed || !c->ghost) {
		sim_cache_fini(c);
		return -ENOMEM;
	}
	c->prev[keys] = c->next[keys] = keys;
	return 0;
}

void sim_cache_fini(struct sim_cache *c)
{
	free(c->prev);
	free(c->next);
	free(c->seen);
	free(c->accessed);
	free(c->ghost);
	memset(c, 0, sizeof(*c));
}

static uint32_t hash_of(uint32_t key)
{
	uint32_t h = key * 0x9e3779b1u;

	h ^= h >> 15;
	h *= 0x85ebca77u;
	return h ^ (h >> 13);
}

static struct sim_ghost *ghost_set(const struct sim_cache *c, uint32_t key)
{
	return &c->ghost[(size_t)(hash_of(key) % SIM_GHOST_SETS) * SIM_GHOST_WAYS];
}

static void ghost_leave(struct sim_cache *c, uint32_t key)
{
	struct sim_ghost *set = ghost_set(c, key), *oldest = set;

	for (int i = 0; i < SIM_GHOST_WAYS; i++) {
		if (set[i].stamp != 0 && set[i].key == key) {
			oldest = &set[i];
			break;
		}
		if (set[i].stamp < oldest->stamp)
			oldest = &set[i];
	}
	*oldest = (struct sim_ghost){ .key = key, .stamp = c->evictions };
}

static void ghost_meet(struct sim_cache *c, uint32_t key)
{
	struct sim_ghost *set = ghost_set(c, key);

	for (int i = 0; i < SIM_GHOST_WAYS; i++) {
		if (set[i].stamp == 0 || set[i].key != key)
			continue;
		c->ghost_refaults++;
		c->distance[law_histogram_bin(c->evictions - set[i].stamp, DISTANCE_SUB_BINS,
					      DISTANCE_BINS)]++;
		set[i].stamp = 0;
		return;
	}
	c->ghost_unknown++;
}

/* As bpf/reuse.bpf.c. */
void sim_cache_accessed(struct sim_cache *c, uint32_t key)
{
	uint64_t then = c->accessed[key];
	unsigned int bin;

	if (c->rests)
		return;
	c->accesses++;
	if (then >> 1 == 0) {
		c->first_accesses++;
	} else if (then >> 1 > c->woken) {
		bin = law_histogram_bin(c->accesses - (then >> 1), REUSE_SUB_BINS, REUSE_BINS);
		c->reused[bin]++;
		c->missed[bin] += then & SIM_READ_IN;
	} else {
		c->beyond.accesses++;
		c->beyond.missed += then & SIM_READ_IN;
		c->beyond.looked += c->accesses - c->woken;
	}
	c->accessed[key] = c->accesses << 1;
}

void sim_cache_rest(struct sim_cache *c, bool rest)
{
	if (c->rests && !rest)
		c->woken = c->accesses;
	c->rests = rest;
}

void sim_cache_sample(const struct sim_cache *c, struct law_sample *s)
{
	s->pgsteal = s->evictions = c->evictions;
	s->ghost_refaults = c->ghost_refaults;
	s->ghost_unknown = c->ghost_unknown;
	memcpy(s->distance, c->distance, sizeof(s->distance));
	s->first_accesses = c->first_accesses;
	s->beyond = c->beyond;
	s->reuse_rests = c->rests;
	memcpy(s->reused, c->reused, sizeof(s->reused));
	memcpy(s->missed, c->missed, sizeof(s->missed));
}

void sim_cache_forget(struct sim_cache *c, uint32_t key)
{
	if (c->seen[key] != 2)
		return;
	c->seen[key] = 0;
	c->accessed[key] = 0;
}

static void unlink_key(struct sim_cache *c, uint32_t key)
{
	c->next[c->prev[key]] = c->next[key];
	c->prev[c->next[key]] = c->prev[key];
}

static void link_first(struct sim_cache *c, uint32_t key)
{
	uint32_t head = c->keys, first = c->next[head];

	c->next[key] = first;
	c->prev[key] = head;
	c->prev[first] = key;
	c->next[head] = key;
}

bool sim_cache_evict(struct sim_cache *c)
{
	uint32_t key = c->prev[c->keys];

	if (c->usage == 0)
		return false;
	unlink_key(c, key);
	c->seen[key] = 2;
	c->usage--;
	c->evictions++;
	ghost_leave(c, key);
	return true;
}

bool sim_cache_touch(struct sim_cache *c, uint32_t key)
{
	if (c->seen[key] != 1)
		return false;
	unlink_key(c, key);
	link_first(c, key);
	return true;
}

bool sim_cache_insert(struct sim_cache *c, uint32_t key)
{
	bool refault = c->seen[key] == 2;

	if (refault)
		ghost_meet(c, key);
	c->seen[key] = 1;
	if (!c->rests)
		c->accessed[key] |= SIM_READ_IN;
	link_first(c, key);
	c->usage++;
	return refault;
}
