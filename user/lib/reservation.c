// SPDX-License-Identifier: BSD-2-Clause
/*
 * Reservations: what a caller holds, once. The seal is the reservation's own address, and whoever
 * works on one takes it away first, in one step: a second release finds none, a copy's does not
 * fit, and of two threads that release the same one only one succeeds.
 */
#include <errno.h>

#include "user/lib/budget_internal.h"

static inline __attribute__((always_inline)) void *take_seal(struct baro_reservation *r)
{
	return __atomic_exchange_n(&r->seal, NULL, __ATOMIC_ACQUIRE);
}

static inline void put_seal(struct baro_reservation *r)
{
	__atomic_store_n(&r->seal, r, __ATOMIC_RELEASE);
}

/* The seal that was found is not the reservation's own: counts that, and says what it is. */
static __attribute__((noinline)) int misused(const struct baro_reservation *r, const void *found)
{
	if (!r->budget)
		return -EINVAL;
	__atomic_fetch_add(&r->budget->over_releases, 1, __ATOMIC_RELAXED);
	return found ? -EINVAL : -EALREADY;
}

static inline __attribute__((always_inline)) int claim(struct baro_reservation *r)
{
	const void *found = take_seal(r);

	return __builtin_expect(found == r, 1) ? 0 : misused(r, found);
}

static inline void set_bytes(struct baro_reservation *r, uint64_t bytes)
{
	__atomic_store_n(&r->bytes, bytes, __ATOMIC_RELAXED);
}

static inline void fill(struct baro_reservation *r, struct baro_budget *b, uint64_t bytes)
{
	r->budget = b;
	set_bytes(r, bytes);
	put_seal(r);
}

/* ---- reserving ------------------------------------------------------------------------------- */

/* The nearest shard whose node's share has room for it; the nearest of all when none has. */
static struct baro_budget *nearest_with_room(const struct baro_budget *b, uint64_t bytes)
{
	const struct nodes *n = b->tree->nodes;
	uint32_t here = nodes_here(n);

	for (uint32_t i = 0; i < n->count; i++) {
		struct baro_budget *s = b->shard[n->near[here][i]];
		int64_t drawn = BUDGET_BYTES_MAX - BUDGET_LOAD(s->room);
		int64_t left = BUDGET_LOAD(s->share) - drawn;

		if (left > 0 && bytes <= (uint64_t)left)
			return s;
	}
	return b->shard[here];
}

static int reserve_from(struct baro_budget *b, uint64_t bytes, struct baro_reservation *ret,
			struct baro_refusal *ret_refusal)
{
	int r = budget_draw(b, bytes, ret_refusal);

	if (!r)
		fill(ret, b, bytes);
	return r;
}

/* A budget by node has no credit of its own: its nodes have. */
static int reserve_by_node(struct baro_budget *b, uint64_t bytes, struct baro_reservation *ret,
			   struct baro_refusal *ret_refusal)
{
	struct baro_budget *near = b->shard[nodes_here(b->tree->nodes)];

	if (!stripe_take(&near->stripes, bytes))
		return reserve_from(nearest_with_room(b, bytes), bytes, ret, ret_refusal);
	fill(ret, near, bytes);
	return 0;
}

/* What the stripe of this processor could not give. */
static __attribute__((noinline)) int reserve_slowly(struct baro_budget *b, uint64_t bytes,
						    struct baro_reservation *ret,
						    struct baro_refusal *ret_refusal)
{
	struct budget_no no;

	if (budget_is_full(b, budget_need_of(bytes), &no))
		return budget_refuse(b, &no, bytes, ret_refusal);
	return (b->shard ? reserve_by_node : reserve_from)(b, bytes, ret, ret_refusal);
}

int baro_budget_reserve(struct baro_budget *b, uint64_t bytes, struct baro_reservation *ret,
			struct baro_refusal *ret_refusal)
{
	if (!stripe_take_fast(&b->stripes, b->stripe, bytes))
		return reserve_slowly(b, bytes, ret, ret_refusal);
	fill(ret, b, bytes);
	return 0;
}

int baro_budget_reserve_on(struct baro_budget *b, uint32_t node, uint64_t bytes,
			   struct baro_reservation *ret, struct baro_refusal *ret_refusal)
{
	uint32_t index;
	int r;

	if (!b->shard || node == BARO_NODE_LOCAL)
		return baro_budget_reserve(b, bytes, ret, ret_refusal);
	r = nodes_index(b->tree->nodes, node, &index);
	return r < 0 ? r : reserve_from(b->shard[index], bytes, ret, ret_refusal);
}

int budget_hold(struct baro_budget *b, uint64_t bytes, struct baro_budget **ret_from)
{
	struct baro_reservation held;
	int r = baro_budget_reserve(b, bytes, &held, NULL);

	if (!r)
		*ret_from = held.budget;
	return r;
}

/* ---- what is held ---------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) int give(struct baro_budget *b, uint64_t bytes)
{
	return stripe_put_fast(&b->stripes, b->stripe, bytes) ? 0 : budget_return(b, bytes);
}

void budget_unhold(struct baro_budget *from, uint64_t bytes)
{
	give(from, bytes);
}

int baro_reservation_release(struct baro_reservation *r)
{
	const void *found = take_seal(r);

	if (__builtin_expect(found != r, 0))
		return misused(r, found);
	return give(r->budget, r->bytes);
}

static int grow(struct baro_budget *b, uint64_t bytes, struct baro_refusal *ret_refusal)
{
	return stripe_take_fast(&b->stripes, b->stripe, bytes) ? 0
							       : budget_draw(b, bytes, ret_refusal);
}

int baro_reservation_resize(struct baro_reservation *r, uint64_t bytes,
			    struct baro_refusal *ret_refusal)
{
	int err = claim(r);

	if (err < 0)
		return err;
	if (bytes > r->bytes)
		err = grow(r->budget, bytes - r->bytes, ret_refusal);
	else if (bytes < r->bytes)
		err = give(r->budget, r->bytes - bytes);
	if (!err)
		set_bytes(r, bytes);
	put_seal(r);
	return err;
}

int baro_reservation_split(struct baro_reservation *r, uint64_t bytes,
			   struct baro_reservation *ret_part)
{
	int err = r == ret_part ? -EINVAL : claim(r);

	if (err < 0)
		return err;
	if (bytes <= r->bytes) {
		set_bytes(r, r->bytes - bytes);
		fill(ret_part, r->budget, bytes);
	} else {
		err = -ERANGE;
	}
	put_seal(r);
	return err;
}

int baro_reservation_merge(struct baro_reservation *r, struct baro_reservation *part)
{
	int err = r == part ? -EXDEV : claim(r);

	if (err < 0)
		return err;
	err = claim(part);
	if (!err && part->budget != r->budget) {
		put_seal(part);
		err = -EXDEV;
	}
	if (!err)
		set_bytes(r, r->bytes + part->bytes);
	put_seal(r);
	return err;
}

int baro_reservation_move(struct baro_reservation *from, struct baro_reservation *ret_to)
{
	int err = claim(from);

	if (!err)
		fill(ret_to, from->budget, from->bytes);
	return err;
}

uint64_t baro_reservation_bytes(const struct baro_reservation *r)
{
	return __atomic_load_n(&r->seal, __ATOMIC_RELAXED) == (const void *)r
		   ? __atomic_load_n(&r->bytes, __ATOMIC_RELAXED)
		   : 0;
}

uint32_t baro_reservation_node(const struct baro_reservation *r)
{
	return r->budget ? r->budget->node : BARO_NODE_NONE;
}
