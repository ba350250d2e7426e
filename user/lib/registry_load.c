// SPDX-License-Identifier: BSD-2-Clause
/*
 * Loading and unloading, each without the lock, and what keeps them from meeting a getter.
 *
 * A getter counts itself in and then looks whether the entry still says what it said: loaded, in
 * this block. Who unloads first makes the entry say otherwise, and then counts. Both are
 * sequentially consistent, so one of the two sees the other: either the getter takes its count
 * back, or the index stays.
 *
 * Counts only ever grow, but for a getter that takes one back that it has just made. Gets are read
 * after puts, so that what is between the two is never less than what is pinned.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/arith.h"
#include "user/lib/registry_internal.h"

/* ---- blocks ---------------------------------------------------------------------------------- */

static int add_slab(struct baro_registry *r)
{
	struct registry_slab *slab;
	size_t bytes = sizeof(*slab) + (size_t)r->lanes * BLOCK_SLAB * sizeof(slab->lane[0]);

	slab = aligned_alloc(64, (bytes + 63) / 64 * 64);
	if (!slab)
		return -ENOMEM;
	memset(slab, 0, bytes);
	for (uint32_t i = BLOCK_SLAB; i-- > 0;) {
		slab->block[i].entry = ENTRY_NONE;
		slab->block[i].next_free = r->free_block;
		r->free_block = r->blocks + i + 1;
	}
	__atomic_store_n(&r->slab[r->blocks / BLOCK_SLAB], slab, __ATOMIC_RELEASE);
	r->blocks += BLOCK_SLAB;
	return 0;
}

int registry_block_take(struct baro_registry *r, uint32_t *ret_block)
{
	int status = r->free_block ? 0 : add_slab(r);

	if (status < 0)
		return status;
	*ret_block = r->free_block - 1;
	r->free_block = block_at(r, *ret_block)->next_free;
	return 0;
}

void registry_block_free(struct baro_registry *r, uint32_t block)
{
	struct registry_block *b = block_at(r, block);

	b->object = NULL;
	b->entry = ENTRY_NONE;
	b->next_free = r->free_block;
	r->free_block = block + 1;
}

uint64_t registry_puts(const struct baro_registry *r, uint32_t block)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < r->lanes; i++)
		sum += __atomic_load_n(&lane_at(r, block, i)->puts, __ATOMIC_SEQ_CST);
	return sum;
}

uint64_t registry_gets(const struct baro_registry *r, uint32_t block)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < r->lanes; i++)
		sum += __atomic_load_n(&lane_at(r, block, i)->gets, __ATOMIC_SEQ_CST);
	return sum;
}

uint64_t registry_pins(const struct baro_registry *r, uint32_t block)
{
	uint64_t puts = registry_puts(r, block);

	return registry_gets(r, block) - puts;
}

uint64_t registry_last_ns(const struct baro_registry *r, uint32_t block)
{
	uint64_t last = 0;

	for (uint32_t i = 0; i < r->lanes; i++)
		last = lib_max(last,
			       __atomic_load_n(&lane_at(r, block, i)->last_ns, __ATOMIC_RELAXED));
	return last;
}

/* What an earlier index of this block left behind is not this one's last use. */
static void forget_last_use(const struct baro_registry *r, uint32_t block)
{
	for (uint32_t i = 0; i < r->lanes; i++)
		__atomic_store_n(&lane_at(r, block, i)->last_ns, 0, __ATOMIC_RELAXED);
}

/* ---- loading --------------------------------------------------------------------------------- */

static pthread_cond_t *turn_of(struct baro_registry *r, uint32_t number)
{
	return &r->turn[number % TURNS];
}

void registry_set_state(struct baro_registry *r, struct registry_entry *e, uint32_t state,
			uint32_t block_and_one)
{
	count_add(&r->by_state[word_state(e->word)], -1);
	count_add(&r->by_state[state], 1);
	__atomic_store_n(&e->word, word_make(word_generation(e->word), state, block_and_one),
			 __ATOMIC_SEQ_CST);
}

void registry_describe(const struct baro_registry *r, const struct registry_entry *e,
		       uint32_t number, char *path, struct baro_index *ret_index)
{
	*ret_index = (struct baro_index){ .id = entry_id(e->word, number),
					  .name = registry_name_of(e),
					  .path = registry_path_of(e),
					  .bytes = e->bytes,
					  .tag = e->tag };
	if (e->dir) {
		const struct registry_dir *dir = r->dir[e->dir - 1];

		/* it was measured when it was registered */
		snprintf(path, BARO_INDEX_PATH_MAX, "%s/%s", dir->path,
			 ret_index->name + strlen(dir->prefix));
		ret_index->path = path;
	}
}

/* With the lock held; lets it go meanwhile. */
static int call_load(struct baro_registry *r, struct registry_entry *e, uint32_t number,
		     void **ret_object, uint64_t *ret_bytes)
{
	char path[BARO_INDEX_PATH_MAX];
	struct baro_index index;
	int status;

	registry_describe(r, e, number, path, &index);
	pthread_mutex_unlock(&r->lock);
	status = r->options.load(r->options.arg, &index, ret_object, ret_bytes);
	pthread_mutex_lock(&r->lock);
	return status < 0 ? status : 0;
}

static void end_load(struct baro_registry *r, struct registry_entry *e, uint32_t number,
		     uint32_t block, int status)
{
	struct registry_block *b = block_at(r, block);

	b->ended = true;
	b->error = status;
	e->error = (int16_t)(status < INT16_MIN ? -EIO : status);
	if (status < 0) {
		count_add(&r->load_failures, 1);
		registry_set_state(r, e, BARO_INDEX_FAILED, 0);
		if (!b->waiters)
			registry_block_free(r, block);
	} else {
		count_add(&r->loads, 1);
		count_add(&r->loaded_bytes, b->bytes);
		e->loads++;
		registry_set_state(r, e, BARO_INDEX_LOADED, block + 1);
	}
	pthread_cond_broadcast(turn_of(r, number));
}

/* With the lock held: loads it, and pins it before anybody else can see it loaded. */
static int load(struct baro_registry *r, struct registry_entry *e, uint32_t number, uint64_t now_ns,
		struct baro_pin *ret_pin)
{
	struct registry_lane *lane;
	struct registry_block *b;
	uint64_t bytes = 0;
	void *object = NULL;
	uint32_t block;
	int status = registry_block_take(r, &block);

	if (status < 0)
		return status;
	b = block_at(r, block);
	*b = (struct registry_block){ .owner = pthread_self(), .entry = number };
	registry_set_state(r, e, BARO_INDEX_LOADING, block + 1);
	status = call_load(r, e, number, &object, &bytes);
	if (!status) {
		b->object = object;
		b->bytes = bytes ? bytes : e->bytes ? e->bytes : PAGE_BYTES;
		b->puts_before = registry_puts(r, block);
		forget_last_use(r, block);
		lane = lane_at(r, block, cpu_here() & (r->lanes - 1));
		__atomic_fetch_add(&lane->gets, 1, __ATOMIC_SEQ_CST);
		__atomic_store_n(&lane->last_ns, now_ns, __ATOMIC_RELAXED);
		percpu_add(&r->accesses, 1);
		*ret_pin = (struct baro_pin){ object, lane };
	}
	end_load(r, e, number, block, status);
	return status;
}

/* With the lock held: until the load of another ends. Its error, or 1: look again. */
static int await_load(struct baro_registry *r, uint32_t number, uint32_t block)
{
	struct registry_block *b = block_at(r, block);
	int status;

	count_add(&r->waits, 1);
	b->waiters++;
	while (!b->ended)
		pthread_cond_wait(turn_of(r, number), &r->lock);
	status = b->error;
	if (!--b->waiters && status < 0)
		registry_block_free(r, block);
	return status < 0 ? status : 1;
}

static int load_or_wait(struct baro_registry *r, uint64_t id, uint64_t now_ns,
			struct baro_pin *ret_pin)
{
	struct registry_entry *e = registry_entry_of(r, id);
	uint32_t number = (uint32_t)id;

	if (!e)
		return -ENOENT;
	switch (word_state(e->word)) {
	case BARO_INDEX_LOADED:
		return 1;
	case BARO_INDEX_LOADING:
		if (pthread_equal(block_at(r, word_block(e->word))->owner, pthread_self()))
			return -EDEADLK;
		return await_load(r, number, word_block(e->word));
	case BARO_INDEX_UNLOADING:
		if (pthread_equal(block_at(r, word_block(e->word))->owner, pthread_self()))
			return -EDEADLK;
		count_add(&r->waits, 1);
		pthread_cond_wait(turn_of(r, number), &r->lock);
		return 1;
	default:
		return load(r, e, number, now_ns, ret_pin);
	}
}

int registry_load(struct baro_registry *r, uint64_t id, uint64_t now_ns, struct baro_pin *ret_pin)
{
	int status;

	pthread_mutex_lock(&r->lock);
	status = load_or_wait(r, id, now_ns, ret_pin);
	pthread_mutex_unlock(&r->lock);
	return status;
}

/* ---- unloading ------------------------------------------------------------------------------- */

static void call_unload(struct baro_registry *r, struct registry_entry *e, uint32_t number,
			void *object)
{
	char path[BARO_INDEX_PATH_MAX];
	struct baro_index index;

	registry_describe(r, e, number, path, &index);
	pthread_mutex_unlock(&r->lock);
	r->options.unload(r->options.arg, &index, object);
	pthread_mutex_lock(&r->lock);
}

int registry_unload_entry(struct baro_registry *r, uint32_t number, uint64_t *ret_freed_bytes)
{
	struct registry_entry *e = entry_at(r, number);
	uint32_t block = word_block(e->word);
	struct registry_block *b = block_at(r, block);

	registry_set_state(r, e, BARO_INDEX_UNLOADING, block + 1);
	if (b->waiters || registry_pins(r, block)) {
		registry_set_state(r, e, BARO_INDEX_LOADED, block + 1);
		return -EBUSY;
	}
	b->owner = pthread_self();
	call_unload(r, e, number, b->object);
	*ret_freed_bytes = b->bytes;
	/* as many as were given back, now that none is out; gets may have one more for a moment */
	e->accesses += registry_puts(r, block) - b->puts_before;
	e->last_ns = registry_last_ns(r, block);
	count_add(&r->loaded_bytes, -b->bytes);
	count_add(&r->unloads, 1);
	registry_set_state(r, e, BARO_INDEX_REGISTERED, 0);
	registry_block_free(r, block);
	pthread_cond_broadcast(turn_of(r, number));
	return 0;
}
