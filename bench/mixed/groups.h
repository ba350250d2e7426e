/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table of groups for GROUP BY, in partitions by the hash of the key, so that it can be spilled
 * one partition at a time and merged the same way. Its memory comes from the kernel in blocks and
 * goes back to it with the partition.
 */
#ifndef BENCH_MIXED_GROUPS_H
#define BENCH_MIXED_GROUPS_H

#include <stdbool.h>
#include <stdint.h>

#include <barostat/budget.h>

#define GROUPS_PARTITIONS   64
#define GROUPS_SKETCH       200 /* registers of a sketch of the distinct values */
#define GROUPS_BLOCK_GROUPS 256
#define GROUPS_BLOCK_BYTES  (GROUPS_BLOCK_GROUPS * sizeof(struct group))

/* The state of one group's aggregates: count, sum, min, max, count distinct (a sketch). */
struct group {
	uint64_t key;
	uint64_t count, sum, min, max;
	uint32_t next; /* in its chain, + 1; 0: none */
	uint32_t reserved0;
	uint8_t sketch[GROUPS_SKETCH];
	uint64_t reserved1;
};

struct partition {
	struct group **block;
	uint32_t *head; /* + 1; 0: none */
	uint32_t groups, blocks, block_room, heads;
	struct baro_reservation held; /* of its blocks and heads, when there is a budget */
};

struct groups {
	struct partition partition[GROUPS_PARTITIONS];
	struct baro_budget *budget; /* NULL: none is asked */
	uint64_t bytes; /* of all partitions; the owner's thread writes it */
};

static inline uint32_t groups_partition_of(uint64_t key)
{
	return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 58);
}

void group_add(struct group *g, uint64_t value);

/*
 * The group of that key, made when there is none; NULL: the budget has no room for it.
 */
struct group *groups_get(struct groups *t, uint64_t key);

/* Adds what another state of the same group has. */
void group_merge(struct group *g, const struct group *other);

/* The i-th group of a partition, i < partition[p].groups. */
static inline struct group *groups_at(const struct partition *p, uint32_t i)
{
	return &p->block[i / GROUPS_BLOCK_GROUPS][i % GROUPS_BLOCK_GROUPS];
}

/* Gives a partition's memory back to the kernel; returns how much that was. */
uint64_t groups_clear(struct groups *t, uint32_t partition);

/* The partition with the most groups. */
uint32_t groups_largest(const struct groups *t);

#endif
