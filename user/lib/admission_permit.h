/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of admission_internal.h that counts permits; that includes it, and nobody else does. */
#ifndef BAROSTAT_LIB_ADMISSION_PERMIT_H
#define BAROSTAT_LIB_ADMISSION_PERMIT_H

/* ---- permits: with the lock held (admission_permit.c) ---------------------------------------- */

#define INDEX_BITS 16
#define INDEX_MASK ((UINT64_C(1) << INDEX_BITS) - 1)

/* The slot of a permit that is out, or NULL. */
static inline struct slot *permit_slot(const struct baro_admission *a, uint64_t id)
{
	uint64_t index = id & INDEX_MASK;
	struct slot *s = &a->slot[index];

	return index < a->options.permits_max && s->id == id && id ? s : NULL;
}

static inline struct slot *permit_new(struct baro_admission *a, struct baro_collection *c)
{
	struct slot *s = a->free_slot;

	a->free_slot = s->next_free;
	s->id = s->next_id;
	s->next_id = s->id + (UINT64_C(1) << INDEX_BITS);
	s->collection = c;
	s->mode = (uint8_t)a->mode;
	return s;
}

static inline void permit_free(struct baro_admission *a, struct slot *s)
{
	s->id = 0;
	s->next_free = a->free_slot;
	a->free_slot = s;
}

/* Whether the next permit is one of those that are timed. */
static inline bool permit_is_sample(const struct baro_admission *a)
{
	return !((uint32_t)(a->grants + 1) & a->clock_every_mask);
}

/* One more by 1, one less by UINT32_MAX. */
static inline void bound_count(struct bound *b, uint32_t need, uint32_t by)
{
	set(&b->used[WRITES], b->used[WRITES] + by);
	if (need & NEED_BATCHES)
		set(&b->used[BATCHES], b->used[BATCHES] + by);
	if (need & NEED_INDEX)
		set(&b->used[INDEXES], b->used[INDEXES] + by);
}

static inline void bound_take_bytes(struct bound *b, uint32_t need, uint64_t bytes)
{
	uint64_t used = add(b->used_bytes, bytes);

	set(&b->used_bytes, used);
	if (!(need & NEED_LARGE))
		b->crumb_bytes += bytes;
	if (used > b->peak_bytes)
		b->peak_bytes = used;
}

static inline void bound_give_bytes(struct bound *b, uint32_t need, uint64_t bytes)
{
	set(&b->used_bytes, b->used_bytes - bytes);
	if (!(need & NEED_LARGE))
		b->crumb_bytes -= bytes;
}

static inline uint64_t bound_left(const struct bound *b)
{
	return b->limit_bytes > b->used_bytes ? b->limit_bytes - b->used_bytes : 0;
}

/* The numbers of its records. */
static inline uint64_t permit_take_order(struct slot *s)
{
	uint64_t order = s->collection->next_order;

	set(&s->collection->next_order, order + s->records);
	return order;
}

static inline void permit_note(struct baro_admission *a, struct baro_collection *c, uint32_t kind)
{
	set(&a->grants, a->grants + 1);
	a->granted[kind]++;
	c->granted++;
}

static inline void permit_count(struct baro_admission *a, struct slot *s, uint32_t kind)
{
	struct baro_collection *c = s->collection;

	s->kind = (uint8_t)kind;
	bound_count(&a->all, s->need, 1);
	bound_count(&c->own, s->need, 1);
	bound_take_bytes(&a->all, s->need, s->bytes);
	bound_take_bytes(&c->own, s->need, s->bytes);
	permit_note(a, c, kind);
}

void permit_grant(struct baro_admission *a, struct baro_collection *c, const struct demand *d,
		  struct baro_permit *ret_permit);
void permit_give_back(struct baro_admission *a, struct slot *s);
void permit_take_bytes(struct baro_admission *a, struct slot *s, uint64_t bytes);
void permit_give_bytes(struct baro_admission *a, struct slot *s, uint64_t bytes);
/* How many workers a batch should have when so many jobs share them, and how large its chunks
 * should be. */
uint32_t permit_workers_wish(const struct baro_admission *a, uint32_t workers_max, uint32_t jobs);
uint32_t permit_chunk_wish(const struct baro_admission *a, const struct baro_collection *c,
			   uint32_t chunk_min, uint32_t chunk_max);
void permit_chose(struct baro_admission *a, uint32_t workers, uint32_t chunk);

#endif
