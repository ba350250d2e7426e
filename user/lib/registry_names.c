// SPDX-License-Identifier: BSD-2-Clause
/*
 * Names: where they lie, how they are found, how they come and go.
 *
 * A name block is a word with two lengths (name in the low half, path in the high one), the name
 * and its NUL, the path and its NUL, each padded to whole words. Blocks are cut from chunks that
 * live as long as the registry, and keep their size when they are used again. So finding needs no
 * lock: whatever a reader sees of what changes under it is memory of that kind, read word by word,
 * and names_seq tells it afterwards whether to believe it. Adding changes nothing a reader could
 * trip over, and leaves names_seq alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/registry_internal.h"

#define TEXT_CHUNK_WORDS 8192u
#define BUCKETS_MIN      64u
#define FIND_TRIES       64
#define WALK_CHECK       64u /* steps between two looks at names_seq */
#define HASH_PRIME       UINT64_C(0x9e3779b97f4a7c15)
#define HASH_SECOND      UINT64_C(0xd6e8feb86659fd93)

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* ---- what may be a name ---------------------------------------------------------------------- */

/* The bytes of the UTF-8 sequence at `p`; 0: it is none. No overlong forms, no surrogates. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80         ? 1
		   : p[0] >> 5 == 0x6  ? 2
		   : p[0] >> 4 == 0xe  ? 3
		   : p[0] >> 3 == 0x1e ? 4
				       : 0;
	uint32_t code;

	if (n <= 1 || n > left)
		return n > left ? 0 : n;
	code = p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	return code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : n;
}

static int check_text(const char *text, size_t bytes, size_t max)
{
	const unsigned char *p = (const unsigned char *)text;

	if (bytes >= max)
		return -ENAMETOOLONG;
	for (size_t at = 0; at < bytes;) {
		size_t n = utf8_sequence(p + at, bytes - at);

		if (!n)
			return -EILSEQ;
		at += n;
	}
	return memchr(text, 0, bytes) ? -EILSEQ : 0;
}

int registry_check_name(const char *name, size_t bytes)
{
	return bytes ? check_text(name, bytes, BARO_INDEX_NAME_MAX) : -EINVAL;
}

int registry_check_path(const char *path, size_t bytes)
{
	return check_text(path, bytes, BARO_INDEX_PATH_MAX);
}

/* ---- words of names -------------------------------------------------------------------------- */

/* With at least one NUL. */
static size_t text_words(size_t bytes)
{
	return (bytes + 8) / 8;
}

static size_t block_words(const struct registry_item *item)
{
	return 1 + text_words(item->name_bytes) +
	       (item->path_bytes ? text_words(item->path_bytes) : 0);
}

static inline uint64_t whole_word(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

/* The last word of a text, of n < 8 bytes: zeros behind them. */
static inline uint64_t last_word(const char *at, size_t n)
{
	uint64_t word = 0;

	if (n >= 4) {
		uint32_t low, high;

		/* the two halves overlap */
		memcpy(&low, at, 4);
		memcpy(&high, at + n - 4, 4);
		return low | (uint64_t)high << 8 * (n - 4);
	}
	for (size_t k = 0; k < n; k++)
		word |= (uint64_t)(unsigned char)at[k] << 8 * k;
	return word;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* With a secret: names come from files, and should not be able to choose their bucket. Words are
 * multiplied independently of each other, each with a key of its own. */
static inline uint32_t hash_of(const struct baro_registry *r, const char *name, size_t bytes)
{
	uint64_t key = r->seed, h = bytes;

	for (size_t i = 0; i < bytes / 8; i++) {
		key += HASH_PRIME;
		h += fold(whole_word(name + 8 * i) ^ key, key + HASH_SECOND);
	}
	h += fold(last_word(name + bytes / 8 * 8, bytes % 8) ^ key, HASH_PRIME);
	h = fold(h ^ r->seed, HASH_SECOND);
	return (uint32_t)(h ^ h >> 32);
}

static inline bool name_is(const uint64_t *block, const char *name, size_t bytes)
{
	size_t whole = bytes / 8;

	if ((uint32_t)load(block++) != bytes)
		return false;
	for (size_t i = 0; i < whole; i++)
		if (load(block + i) != whole_word(name + 8 * i))
			return false;
	return load(block + whole) == last_word(name + 8 * whole, bytes % 8);
}

const char *registry_name_of(const struct registry_entry *e)
{
	return (const char *)(e->name + 1);
}

const char *registry_path_of(const struct registry_entry *e)
{
	uint64_t lengths = e->name[0];

	if (!(lengths >> 32))
		return NULL;
	return (const char *)(e->name + 1 + text_words((uint32_t)lengths));
}

/* ---- finding --------------------------------------------------------------------------------- */

static bool names_moved(const struct baro_registry *r, uint32_t seq)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&r->names_seq, __ATOMIC_RELAXED) != seq;
}

/* The id, or 0. What comes out while names move is to be thrown away. */
static uint64_t walk(const struct baro_registry *r, const char *name, size_t bytes, uint32_t hash,
		     uint32_t seq)
{
	const struct registry_buckets *b = __atomic_load_n(&r->buckets, __ATOMIC_ACQUIRE);
	uint32_t next = __atomic_load_n(&b->head[hash & b->mask], __ATOMIC_ACQUIRE), steps = 0;

	while (next) {
		const struct registry_entry *e = entry_at(r, next - 1);

		if (__atomic_load_n(&e->hash, __ATOMIC_RELAXED) == hash &&
		    name_is(__atomic_load_n(&e->name, __ATOMIC_ACQUIRE), name, bytes))
			return entry_id(entry_word(e), next - 1);
		next = __atomic_load_n(&e->next, __ATOMIC_ACQUIRE);
		if (++steps % WALK_CHECK == 0 && names_moved(r, seq))
			break;
	}
	return 0;
}

int registry_find(struct baro_registry *r, const char *name, size_t bytes, uint64_t *ret_id)
{
	uint32_t hash = hash_of(r, name, bytes);
	uint64_t id = 0;
	bool sure = false;

	for (int i = 0; i < FIND_TRIES && !sure; i++) {
		uint32_t seq = __atomic_load_n(&r->names_seq, __ATOMIC_ACQUIRE);

		if (seq & 1)
			continue;
		id = walk(r, name, bytes, hash, seq);
		sure = !names_moved(r, seq);
	}
	if (!sure) {
		pthread_mutex_lock(&r->lock);
		id = walk(r, name, bytes, hash, r->names_seq);
		pthread_mutex_unlock(&r->lock);
	}
	if (!id)
		return -ENOENT;
	*ret_id = id;
	return 0;
}

/* ---- room ------------------------------------------------------------------------------------ */

static void begin_move(struct baro_registry *r)
{
	__atomic_store_n(&r->names_seq, r->names_seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end_move(struct baro_registry *r)
{
	__atomic_store_n(&r->names_seq, r->names_seq + 1, __ATOMIC_RELEASE);
}

static void free_text(struct baro_registry *r, uint64_t *block, size_t words)
{
	uint64_t next;

	/* as a word: somebody may be reading it as one */
	memcpy(&next, &r->free_name[words], sizeof(next));
	store(&block[1], next);
	r->free_name[words] = block;
}

static int reserve_text(struct baro_registry *r, size_t words)
{
	size_t left = (size_t)(r->text_end - r->text_at);
	struct registry_text *chunk;

	if (words <= left)
		return 0;
	words = words > TEXT_CHUNK_WORDS ? words : TEXT_CHUNK_WORDS;
	chunk = malloc(sizeof(*chunk) + words * sizeof(uint64_t));
	if (!chunk)
		return -ENOMEM;
	/* what was left of the last one is as good as a block of that size */
	if (left >= 2 && left < NAME_WORDS)
		free_text(r, r->text_at, left);
	chunk->next = r->text;
	r->text = chunk;
	r->text_at = chunk->word;
	r->text_end = chunk->word + words;
	return 0;
}

static int reserve_entries(struct baro_registry *r, size_t n)
{
	size_t wanted = r->entries + (n > r->free_entries ? n - r->free_entries : 0);

	for (size_t i = r->entries / ENTRY_CHUNK; i * ENTRY_CHUNK < wanted; i++) {
		struct registry_entry *chunk;

		if (r->chunk[i])
			continue;
		chunk = aligned_alloc(64, ENTRY_CHUNK * sizeof(*chunk));
		if (!chunk)
			return -ENOMEM;
		memset(chunk, 0, ENTRY_CHUNK * sizeof(*chunk));
		for (uint32_t k = 0; k < ENTRY_CHUNK; k++)
			chunk[k].word = word_make(1, WORD_FREE, 0);
		__atomic_store_n(&r->chunk[i], chunk, __ATOMIC_RELEASE);
	}
	return 0;
}

static void insert(struct registry_buckets *b, struct registry_entry *e, uint32_t number)
{
	uint32_t *head = &b->head[e->hash & b->mask];

	__atomic_store_n(&e->next, *head, __ATOMIC_RELAXED);
	__atomic_store_n(head, number + 1, __ATOMIC_RELEASE);
}

int registry_reserve_buckets(struct baro_registry *r, size_t n)
{
	uint32_t count = BUCKETS_MIN;
	struct registry_buckets *b;

	while (count < n)
		count *= 2;
	if (r->buckets && count <= r->buckets->mask + 1)
		return 0;
	b = calloc(1, sizeof(*b) + count * sizeof(b->head[0]));
	if (!b)
		return -ENOMEM;
	b->mask = count - 1;
	b->retired = r->buckets;
	begin_move(r);
	for (uint32_t i = 0; i < r->entries; i++) {
		struct registry_entry *e = entry_at(r, i);

		if (word_state(e->word) != WORD_FREE)
			insert(b, e, i);
	}
	__atomic_store_n(&r->buckets, b, __ATOMIC_RELEASE);
	end_move(r);
	return 0;
}

void registry_free_names(struct baro_registry *r)
{
	while (r->text) {
		struct registry_text *next = r->text->next;

		free(r->text);
		r->text = next;
	}
	while (r->buckets) {
		struct registry_buckets *next = r->buckets->retired;

		free(r->buckets);
		r->buckets = next;
	}
}

/* ---- coming and going ------------------------------------------------------------------------ */

static uint64_t *take_text(struct baro_registry *r, size_t words)
{
	uint64_t *block = r->free_name[words];

	if (block) {
		uint64_t next = load(&block[1]);

		memcpy(&r->free_name[words], &next, sizeof(next));
		return block;
	}
	block = r->text_at;
	r->text_at += words;
	return block;
}

static void write_text(uint64_t *to, const char *text, size_t bytes)
{
	size_t whole = bytes / 8;

	for (size_t i = 0; i < whole; i++)
		store(&to[i], whole_word(text + 8 * i));
	store(&to[whole], last_word(text + 8 * whole, bytes % 8));
}

static uint32_t take_entry(struct baro_registry *r)
{
	uint32_t number;

	if (!r->free_entry)
		return r->entries++;
	number = r->free_entry - 1;
	r->free_entry = entry_at(r, number)->next;
	r->free_entries--;
	return number;
}

/* All that it takes has been reserved. */
static uint64_t add(struct baro_registry *r, const struct registry_item *item, uint32_t hash)
{
	uint32_t number = take_entry(r);
	struct registry_entry *e = entry_at(r, number);
	uint64_t *block = take_text(r, block_words(item));
	uint64_t word =
	    word_make(word_generation(e->word), BARO_INDEX_REGISTERED, item->warm ? WORD_WARM : 0);

	store(&block[0], (uint64_t)item->path_bytes << 32 | item->name_bytes);
	write_text(block + 1, item->name, item->name_bytes);
	if (item->path_bytes)
		write_text(block + 1 + text_words(item->name_bytes), item->path, item->path_bytes);
	__atomic_store_n(&e->name, block, __ATOMIC_RELEASE);
	__atomic_store_n(&e->hash, hash, __ATOMIC_RELAXED);
	e->bytes = item->bytes;
	e->tag = item->tag;
	e->accesses = item->accesses;
	e->last_ns = 0;
	e->loads = 0;
	e->error = 0;
	e->dir = item->dir;
	__atomic_store_n(&e->word, word, __ATOMIC_RELEASE);
	insert(r->buckets, e, number);
	count_add(&r->indexes, 1);
	count_add(&r->by_state[BARO_INDEX_REGISTERED], 1);
	return entry_id(word, number);
}

void registry_forget(struct baro_registry *r, uint32_t number)
{
	struct registry_entry *e = entry_at(r, number);
	struct registry_item size = { .name_bytes = (uint32_t)e->name[0],
				      .path_bytes = (uint32_t)(e->name[0] >> 32) };
	uint32_t *link = &r->buckets->head[e->hash & r->buckets->mask];
	uint32_t generation = word_generation(e->word) + 1;

	count_add(&r->indexes, -1);
	count_add(&r->by_state[word_state(e->word)], -1);
	begin_move(r);
	while (*link != number + 1)
		link = &entry_at(r, *link - 1)->next;
	__atomic_store_n(link, e->next, __ATOMIC_RELAXED);
	__atomic_store_n(&e->word, word_make(generation ? generation : 1, WORD_FREE, 0),
			 __ATOMIC_SEQ_CST);
	__atomic_store_n(&e->next, r->free_entry, __ATOMIC_RELAXED);
	end_move(r);
	r->free_entry = number + 1;
	r->free_entries++;
	free_text(r, e->name, block_words(&size));
}

static int reserve(struct baro_registry *r, const struct registry_item *item, size_t n)
{
	size_t fresh = 0, words = 0;
	int status;

	for (size_t i = 0; i < n; i++) {
		uint32_t hash = hash_of(r, item[i].name, item[i].name_bytes);

		if (walk(r, item[i].name, item[i].name_bytes, hash, r->names_seq))
			continue;
		fresh++;
		words += block_words(&item[i]);
	}
	if (fresh > r->indexes_max - r->indexes)
		return -ENOSPC;
	status = reserve_entries(r, fresh);
	if (!status)
		status = registry_reserve_buckets(r, r->indexes + fresh);
	return status < 0 ? status : reserve_text(r, words);
}

int registry_commit(struct baro_registry *r, const struct registry_item *item, size_t n,
		    struct baro_registry_report *report, uint64_t *ret_id)
{
	uint64_t id = 0;
	int status;

	pthread_mutex_lock(&r->lock);
	status = reserve(r, item, n);
	for (size_t i = 0; i < n && !status; i++) {
		uint32_t hash = hash_of(r, item[i].name, item[i].name_bytes);

		if (walk(r, item[i].name, item[i].name_bytes, hash, r->names_seq)) {
			report->known++;
			continue;
		}
		id = add(r, &item[i], hash);
		report->added++;
	}
	pthread_mutex_unlock(&r->lock);
	if (!status && id && ret_id)
		*ret_id = id;
	return status;
}
