/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the registry share; never installed.
 *
 * Entries: one per index, 64 bytes, in chunks that never move and live as long as the registry.
 * Blocks: one per index that is loaded, being loaded or being unloaded, in slabs that live as long
 * as the registry too: a getter may touch the counters of a block that is somebody else's by then.
 *
 * Locks: `lock` guards everything but what is said to be atomic, is held for short times, and never
 * over a callback.
 */
#ifndef BAROSTAT_LIB_REGISTRY_INTERNAL_H
#define BAROSTAT_LIB_REGISTRY_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "include/barostat/registry.h"
#include "user/lib/percpu.h"

#define ENTRY_CHUNK 1024u /* entries */
#define BLOCK_SLAB  64u /* blocks */
#define LANES_MAX   32u /* counters per block */
#define TURNS       16u /* conditions that waiters spread over */
#define INDEXES_MAX (UINT32_C(1) << 20) /* by default */
#define NAME_WORDS  (2 + (BARO_INDEX_NAME_MAX + BARO_INDEX_PATH_MAX) / 8 + 2)
#define PAGE_BYTES  4096u
#define ENTRY_NONE  UINT32_MAX

/* An entry's word: state in bits 0-2, block and one in bits 3-31, generation in bits 32-63. */
#define WORD_STATE_BITS 3
#define WORD_FREE       7u /* a state: no index */
#define WORD_WARM       1u /* in place of the block where there is none: loaded before a restart */

struct registry_entry {
	uint64_t word; /* atomic */
	uint64_t *name; /* atomic; see registry_names.c */
	uint64_t bytes; /* expected */
	uint64_t tag;
	uint64_t accesses; /* before it was last loaded */
	uint64_t last_ns; /* as it was last unloaded */
	uint32_t hash; /* atomic */
	uint32_t next; /* atomic; in its bucket, or of the free ones: and one, 0 ends it */
	uint32_t loads;
	int16_t error;
	uint16_t dir; /* and one; 0: none */
};

/* What a getter writes: once per block and lane. Never reset, only counted on: see above. */
struct registry_lane {
	uint64_t gets, puts; /* atomic; pinned are gets - puts, over all lanes */
	uint64_t last_ns; /* atomic */
	uint64_t unused;
};

struct registry_block {
	void *object;
	uint64_t bytes;
	uint64_t puts_before; /* of all lanes, when it was loaded */
	pthread_t owner; /* who loads or unloads */
	uint32_t entry;
	uint32_t next_free; /* and one */
	uint32_t waiters; /* for the load to end; the last one frees a block of a failed load */
	int32_t error; /* of the load */
	bool ended;
};

struct registry_slab {
	struct registry_block block[BLOCK_SLAB];
	/* [lane][block]: no two lanes share a cache line */
	struct registry_lane lane[] __attribute__((aligned(64)));
};

struct registry_buckets {
	struct registry_buckets *retired; /* readers may still be in it */
	uint32_t mask;
	uint32_t head[]; /* atomic; entries and one */
};

struct registry_dir {
	char *path;
	char *prefix;
};

struct registry_text { /* a chunk of names */
	struct registry_text *next;
	uint64_t word[];
};

struct baro_registry {
	/* read by getters, written when something grows */
	struct registry_entry **chunk; /* atomic pointers */
	struct registry_slab **slab; /* atomic pointers */
	struct registry_buckets *buckets; /* atomic */
	uint64_t seed;
	struct percpu accesses;
	uint32_t lanes; /* a power of two */
	uint32_t indexes_max;
	uint32_t names_seq; /* atomic; odd while names are taken away or move */

	pthread_mutex_t lock __attribute__((aligned(64)));
	pthread_cond_t turn[TURNS];
	struct baro_registry_options options;

	uint32_t entries; /* ever used: from here on entries are fresh */
	uint32_t free_entry, free_entries; /* used before: the first, and one; how many */
	uint32_t blocks, free_block;
	struct registry_text *text;
	uint64_t *text_at, *text_end; /* of the newest chunk */
	uint64_t *free_name[NAME_WORDS]; /* by size */
	struct registry_dir **dir; /* each lives as long as the registry */
	uint32_t dirs;

	/* atomic: read without the lock */
	uint64_t indexes;
	uint64_t by_state[BARO_INDEX_STATES];
	uint64_t loaded_bytes, loads, load_failures, unloads, waits;
};

/* ---- words and entries ----------------------------------------------------------------------- */

static inline uint32_t word_state(uint64_t word)
{
	return (uint32_t)word & ((1u << WORD_STATE_BITS) - 1);
}

/* Of a state that has one. */
static inline uint32_t word_block(uint64_t word)
{
	return ((uint32_t)word >> WORD_STATE_BITS) - 1;
}

/* Of a registered one. */
static inline bool word_is_warm(uint64_t word)
{
	return word_block(word) + 1 == WORD_WARM;
}

static inline uint32_t word_generation(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static inline uint64_t word_make(uint32_t generation, uint32_t state, uint32_t block_and_one)
{
	return (uint64_t)generation << 32 | block_and_one << WORD_STATE_BITS | state;
}

static inline uint64_t entry_word(const struct registry_entry *e)
{
	return __atomic_load_n(&e->word, __ATOMIC_SEQ_CST);
}

/* An id is generation and number; generations begin with 1. */
static inline uint64_t entry_id(uint64_t word, uint32_t number)
{
	return (uint64_t)word_generation(word) << 32 | number;
}

/* NULL for a number that was never used. */
static inline struct registry_entry *entry_at(const struct baro_registry *r, uint32_t number)
{
	struct registry_entry *chunk;

	if (number >= r->indexes_max)
		return NULL;
	chunk = __atomic_load_n(&r->chunk[number / ENTRY_CHUNK], __ATOMIC_ACQUIRE);
	return chunk ? &chunk[number % ENTRY_CHUNK] : NULL;
}

static inline struct registry_slab *slab_of(const struct baro_registry *r, uint32_t block)
{
	return __atomic_load_n(&r->slab[block / BLOCK_SLAB], __ATOMIC_ACQUIRE);
}

static inline struct registry_block *block_at(const struct baro_registry *r, uint32_t block)
{
	return &slab_of(r, block)->block[block % BLOCK_SLAB];
}

static inline struct registry_lane *lane_at(const struct baro_registry *r, uint32_t block,
					    uint32_t lane)
{
	return &slab_of(r, block)->lane[lane * BLOCK_SLAB + block % BLOCK_SLAB];
}

static inline void count_add(uint64_t *count, uint64_t n)
{
	__atomic_fetch_add(count, n, __ATOMIC_RELAXED);
}

/* With the lock held: the entry of an id, or NULL. */
struct registry_entry *registry_entry_of(const struct baro_registry *r, uint64_t id);

/* With the lock held: from one state to another, counted. */
void registry_set_state(struct baro_registry *r, struct registry_entry *e, uint32_t state,
			uint32_t block_and_one);

/* ---- names (registry_names.c): with the lock held, unless said otherwise --------------------- */

/* What is to be registered. Lengths are without the NUL. */
struct registry_item {
	const char *name, *path;
	uint32_t name_bytes, path_bytes; /* path_bytes 0: none */
	uint64_t bytes, tag, accesses;
	uint16_t dir;
	bool warm;
};

/* Without the lock. 0, -EINVAL, -EILSEQ, -ENAMETOOLONG. */
int registry_check_name(const char *name, size_t bytes);
int registry_check_path(const char *path, size_t bytes);

/* Without the lock: 0 and the id, or -ENOENT. */
int registry_find(struct baro_registry *r, const char *name, size_t bytes, uint64_t *ret_id);

/* Registers n checked items, all or none: those whose names are known are counted, and left. Takes
 * the lock itself. ret_id, which may be NULL, is the last one's. -ENOSPC, -ENOMEM. */
int registry_commit(struct baro_registry *r, const struct registry_item *item, size_t n,
		    struct baro_registry_report *report, uint64_t *ret_id);

/* Takes an entry out, and gives it another generation. */
void registry_forget(struct baro_registry *r, uint32_t number);

/* Room for n names to be found quickly; called once before anything is looked for. -ENOMEM */
int registry_reserve_buckets(struct baro_registry *r, size_t n);

const char *registry_name_of(const struct registry_entry *e);
/* NULL: it has none of its own. */
const char *registry_path_of(const struct registry_entry *e);
void registry_free_names(struct baro_registry *r);

/* ---- many at once (registry_batch.c) --------------------------------------------------------- */

/* Items with their texts, to be committed together. All zeros at first. */
struct registry_batch {
	struct registry_item *item;
	size_t n, room;
	struct registry_batch_text *text;
};

/* A copy of it, texts included. -ENOMEM */
int registry_batch_add(struct registry_batch *b, const struct registry_item *item);
void registry_batch_free(struct registry_batch *b);

/* The number and one of a directory with that prefix, which is added when it is not there. Takes
 * the lock itself. -ENOSPC, -ENOMEM. */
int registry_dir_number(struct baro_registry *r, const char *path, const char *prefix);

/* ---- loading (registry_load.c): with the lock held ------------------------------------------- */

/* -ENOMEM */
int registry_block_take(struct baro_registry *r, uint32_t *ret_block);
void registry_block_free(struct baro_registry *r, uint32_t block);
uint64_t registry_gets(const struct baro_registry *r, uint32_t block);
uint64_t registry_puts(const struct baro_registry *r, uint32_t block);
uint64_t registry_last_ns(const struct baro_registry *r, uint32_t block);
/* Exactly none when it is 0 and the entry says UNLOADING; otherwise of about now. */
uint64_t registry_pins(const struct baro_registry *r, uint32_t block);

/* The index as callbacks see it; `path` has room for BARO_INDEX_PATH_MAX. */
void registry_describe(const struct baro_registry *r, const struct registry_entry *e,
		       uint32_t number, char *path, struct baro_index *ret_index);

/* Loads it or waits for it. Called without the lock. 0: pinned. 1: it was loaded by another, look
 * again. */
int registry_load(struct baro_registry *r, uint64_t id, uint64_t now_ns, struct baro_pin *ret_pin);

/* Unloads a loaded one. The lock is let go for the callback, and held again at the end. -EBUSY */
int registry_unload_entry(struct baro_registry *r, uint32_t number, uint64_t *ret_freed_bytes);

/* Hands out what is loaded, by the word that says so: counts itself in, and then looks whether it
 * still says it. False: it does not, and nothing has changed. See registry_load.c. */
static inline bool registry_pin(struct baro_registry *r, const struct registry_entry *e,
				uint64_t word, uint64_t now_ns, struct baro_pin *ret_pin)
{
	struct registry_slab *slab = slab_of(r, word_block(word));
	uint32_t at = word_block(word) % BLOCK_SLAB;
	struct registry_lane *lane = &slab->lane[(cpu_here() & (r->lanes - 1)) * BLOCK_SLAB + at];

	__atomic_fetch_add(&lane->gets, 1, __ATOMIC_SEQ_CST);
	if (entry_word(e) != word) {
		__atomic_fetch_sub(&lane->gets, 1, __ATOMIC_SEQ_CST);
		return false;
	}
	if (__atomic_load_n(&lane->last_ns, __ATOMIC_RELAXED) < now_ns)
		__atomic_store_n(&lane->last_ns, now_ns, __ATOMIC_RELAXED);
	percpu_add(&r->accesses, 1);
	ret_pin->object = slab->block[at].object;
	ret_pin->lane = lane;
	return true;
}

#endif
