/* SPDX-License-Identifier: BSD-2-Clause */
/* A table of groups in partitions: chained, in blocks, rehashed as it grows. */
#include <assert.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/mixed/groups.h"
#include "bench/mixed/mixed.h"

#define HEADS_MIN 1024u

static_assert(sizeof(struct group) == 256, "blocks are whole pages");

/* Reserved before it is touched. */
static bool reserve(struct groups *t, struct partition *p, uint64_t bytes)
{
	int r = 0;

	if (t->budget && !baro_reservation_bytes(&p->held))
		r = baro_budget_reserve(t->budget, bytes, &p->held, NULL);
	else if (t->budget)
		r = baro_reservation_resize(&p->held, baro_reservation_bytes(&p->held) + bytes,
					    NULL);
	if (r == 0)
		__atomic_add_fetch(&t->bytes, bytes, __ATOMIC_RELAXED);
	return r == 0;
}

static void unreserve(struct groups *t, struct partition *p, uint64_t bytes)
{
	if (t->budget)
		must(baro_reservation_resize(&p->held, baro_reservation_bytes(&p->held) - bytes,
					     NULL),
		     "reservation");
	__atomic_sub_fetch(&t->bytes, bytes, __ATOMIC_RELAXED);
}

static uint32_t slot_of(const struct partition *p, uint64_t key)
{
	return (uint32_t)mix(key) & (p->heads - 1);
}

/* Twice as many chains. */
static bool grow_heads(struct groups *t, struct partition *p)
{
	uint32_t heads = p->heads ? p->heads * 2 : HEADS_MIN;
	uint64_t old_bytes = (uint64_t)p->heads * sizeof(uint32_t);

	if (!reserve(t, p, (uint64_t)heads * sizeof(uint32_t)))
		return false;
	if (p->head)
		munmap(p->head, old_bytes);
	p->head = anonymous((uint64_t)heads * sizeof(uint32_t));
	p->heads = heads;
	unreserve(t, p, old_bytes);
	for (uint32_t i = 0; i < p->groups; i++) {
		struct group *g = groups_at(p, i);
		uint32_t *head = &p->head[slot_of(p, g->key)];

		g->next = *head;
		*head = i + 1;
	}
	return true;
}

static bool grow_blocks(struct groups *t, struct partition *p)
{
	if (p->blocks == p->block_room) {
		p->block_room = p->block_room ? p->block_room * 2 : 64;
		p->block = reallocarray(p->block, p->block_room, sizeof(struct group *));
		if (!p->block)
			errx(1, "out of memory");
	}
	if (!reserve(t, p, GROUPS_BLOCK_BYTES))
		return false;
	p->block[p->blocks++] = anonymous(GROUPS_BLOCK_BYTES);
	return true;
}

static struct group *add(struct groups *t, struct partition *p, uint64_t key)
{
	struct group *g;
	uint32_t *head;

	if (p->groups >= p->heads && !grow_heads(t, p))
		return NULL;
	if (p->groups == p->blocks * GROUPS_BLOCK_GROUPS && !grow_blocks(t, p))
		return NULL;
	g = groups_at(p, p->groups++);
	head = &p->head[slot_of(p, key)];
	*g = (struct group){ .key = key, .min = UINT64_MAX, .next = *head };
	*head = p->groups;
	return g;
}

struct group *groups_get(struct groups *t, uint64_t key)
{
	struct partition *p = &t->partition[groups_partition_of(key)];

	if (p->heads)
		for (uint32_t i = p->head[slot_of(p, key)]; i; i = groups_at(p, i - 1)->next)
			if (groups_at(p, i - 1)->key == key)
				return groups_at(p, i - 1);
	return add(t, p, key);
}

/* Where a value falls in the sketch, and the run of zeros of its hash. */
void group_add(struct group *g, uint64_t value)
{
	uint64_t h = mix(value + 1);
	uint8_t *sketch = &g->sketch[(h >> 32) % GROUPS_SKETCH];
	uint8_t zeros = (uint8_t)__builtin_ctz((uint32_t)h | UINT32_C(0x80000000));

	g->count++;
	g->sum += value;
	if (value < g->min)
		g->min = value;
	if (value > g->max)
		g->max = value;
	if (*sketch < zeros + 1)
		*sketch = (uint8_t)(zeros + 1);
}

void group_merge(struct group *g, const struct group *other)
{
	g->count += other->count;
	g->sum += other->sum;
	if (other->min < g->min)
		g->min = other->min;
	if (other->max > g->max)
		g->max = other->max;
	for (int i = 0; i < GROUPS_SKETCH; i++)
		if (other->sketch[i] > g->sketch[i])
			g->sketch[i] = other->sketch[i];
}

uint64_t groups_clear(struct groups *t, uint32_t partition)
{
	struct partition *p = &t->partition[partition];
	uint64_t bytes = (uint64_t)p->heads * sizeof(uint32_t);

	for (uint32_t i = 0; i < p->blocks; i++)
		munmap(p->block[i], GROUPS_BLOCK_BYTES);
	bytes += p->blocks * GROUPS_BLOCK_BYTES;
	if (p->head)
		munmap(p->head, (uint64_t)p->heads * sizeof(uint32_t));
	free(p->block);
	if (t->budget && baro_reservation_bytes(&p->held))
		must(baro_reservation_release(&p->held), "reservation");
	__atomic_sub_fetch(&t->bytes, bytes, __ATOMIC_RELAXED);
	*p = (struct partition){ .groups = 0 };
	return bytes;
}

uint32_t groups_largest(const struct groups *t)
{
	uint32_t largest = 0;

	for (uint32_t i = 1; i < GROUPS_PARTITIONS; i++)
		if (t->partition[i].groups > t->partition[largest].groups)
			largest = i;
	return largest;
}
