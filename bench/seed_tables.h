/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The algorithms that memtable.h, pool.h and registry.h are measured beside, written from their
 * description: a write counter and a sizer that reads the host's memory, a coordinator of two
 * pools, and a registry behind one lock. Nothing more than it takes to have their costs.
 */
#ifndef BAROSTAT_BENCH_SEED_TABLES_H
#define BAROSTAT_BENCH_SEED_TABLES_H

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- memtable sizer -------------------------------------------------------------------------- */

struct seed_sizer {
	uint64_t written; /* atomic, of all threads */
	uint64_t target; /* atomic */
	uint64_t last_written;
	double last_s, rate;
};

static __attribute__((noinline)) void seed_record_write(struct seed_sizer *s, uint64_t bytes)
{
	__atomic_fetch_add(&s->written, bytes, __ATOMIC_RELAXED);
}

static inline bool seed_should_flush(const struct seed_sizer *s, uint64_t size)
{
	return size >= __atomic_load_n(&s->target, __ATOMIC_RELAXED);
}

static uint64_t seed_meminfo_kib(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* Of the whole host. */
static double seed_pressure(void)
{
	char text[4096];
	int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	uint64_t total;

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	total = seed_meminfo_kib(text, "MemTotal:");
	return total ? 1 - (double)seed_meminfo_kib(text, "MemAvailable:") / (double)total : 0;
}

/* alpha = 0.1 with every call, by the wall clock. */
static __attribute__((noinline)) void seed_update(struct seed_sizer *s, double pressure)
{
	uint64_t written = __atomic_load_n(&s->written, __ATOMIC_RELAXED);
	struct timespec ts;
	double now, target;

	clock_gettime(CLOCK_REALTIME, &ts);
	now = (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
	if (now > s->last_s)
		s->rate +=
		    0.1 * ((double)(written - s->last_written) / (now - s->last_s) - s->rate);
	s->last_written = written;
	s->last_s = now;
	target = s->rate;
	if (pressure > 0.7)
		target *= 1 - (pressure - 0.7) * (pressure - 0.7);
	target = target < 1 << 20 ? 1 << 20 : target > 16 << 20 ? 16 << 20 : target;
	__atomic_store_n(&s->target, (uint64_t)target, __ATOMIC_RELAXED);
}

/* ---- registry -------------------------------------------------------------------------------- */

struct seed_index {
	struct seed_index *next; /* in its bucket */
	uint64_t hash;
	void *object;
	int state; /* 2: loaded */
	uint64_t bytes, loads, accesses;
	struct timespec last;
	char name[48];
};

struct seed_registry {
	pthread_mutex_t lock;
	struct seed_index **bucket;
	size_t buckets, indexes;
};

static uint64_t seed_hash(const char *name)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(1099511628211);
	return h;
}

static struct seed_index *seed_find(const struct seed_registry *r, const char *name)
{
	uint64_t h = seed_hash(name);
	struct seed_index *i = r->bucket[h % r->buckets];

	while (i && (i->hash != h || strcmp(i->name, name) != 0))
		i = i->next;
	return i;
}

/* A bare pointer comes back. */
static __attribute__((noinline)) void *seed_get(struct seed_registry *r, const char *name)
{
	struct seed_index *i;
	void *object;

	pthread_mutex_lock(&r->lock);
	i = seed_find(r, name);
	i->accesses++;
	clock_gettime(CLOCK_MONOTONIC, &i->last);
	object = i->object;
	pthread_mutex_unlock(&r->lock);
	return object;
}

static __attribute__((noinline)) size_t seed_loaded_count(struct seed_registry *r)
{
	size_t n = 0;

	pthread_mutex_lock(&r->lock);
	for (size_t b = 0; b < r->buckets; b++)
		for (const struct seed_index *i = r->bucket[b]; i; i = i->next)
			n += i->state == 2;
	pthread_mutex_unlock(&r->lock);
	return n;
}

static uint64_t seed_loaded_bytes(struct seed_registry *r)
{
	uint64_t bytes = 0;

	pthread_mutex_lock(&r->lock);
	for (size_t b = 0; b < r->buckets; b++)
		for (const struct seed_index *i = r->bucket[b]; i; i = i->next)
			bytes += i->state == 2 ? i->bytes : 0;
	pthread_mutex_unlock(&r->lock);
	return bytes;
}

static void seed_add(struct seed_registry *r, const char *name, bool loaded)
{
	struct seed_index *i = calloc(1, sizeof(*i));

	if (!i)
		abort();
	snprintf(i->name, sizeof(i->name), "%s", name);
	i->hash = seed_hash(name);
	i->state = loaded ? 2 : 0;
	i->object = i;
	i->bytes = 1 << 20;
	pthread_mutex_lock(&r->lock);
	i->next = r->bucket[i->hash % r->buckets];
	r->bucket[i->hash % r->buckets] = i;
	r->indexes++;
	pthread_mutex_unlock(&r->lock);
}

/* A table of hashes that doubles when it holds as many as it has buckets. */
static void seed_grow(struct seed_registry *r)
{
	size_t buckets = 2 * r->buckets;
	struct seed_index **bucket = calloc(buckets, sizeof(*bucket));

	if (!bucket)
		abort();
	for (size_t b = 0; b < r->buckets; b++)
		while (r->bucket[b]) {
			struct seed_index *i = r->bucket[b];

			r->bucket[b] = i->next;
			i->next = bucket[i->hash % buckets];
			bucket[i->hash % buckets] = i;
		}
	free(r->bucket);
	r->bucket = bucket;
	r->buckets = buckets;
}

/* Under the lock: is it there; if not a node with its text, and room for it. */
static __attribute__((noinline)) bool seed_register(struct seed_registry *r, const char *name)
{
	struct seed_index *i;

	pthread_mutex_lock(&r->lock);
	if (seed_find(r, name)) {
		pthread_mutex_unlock(&r->lock);
		return false;
	}
	i = calloc(1, sizeof(*i));
	if (!i)
		abort();
	memcpy(i->name, name, strnlen(name, sizeof(i->name) - 1));
	i->hash = seed_hash(name);
	i->bytes = 1 << 20;
	if (r->indexes == r->buckets)
		seed_grow(r);
	i->next = r->bucket[i->hash % r->buckets];
	r->bucket[i->hash % r->buckets] = i;
	r->indexes++;
	pthread_mutex_unlock(&r->lock);
	return true;
}

static void seed_open(struct seed_registry *r, size_t buckets)
{
	*r = (struct seed_registry){ .buckets = buckets };
	pthread_mutex_init(&r->lock, NULL);
	r->bucket = calloc(buckets, sizeof(struct seed_index *));
	if (!r->bucket)
		abort();
}

static void seed_close(struct seed_registry *r)
{
	for (size_t b = 0; b < r->buckets; b++)
		while (r->bucket[b]) {
			struct seed_index *next = r->bucket[b]->next;

			free(r->bucket[b]);
			r->bucket[b] = next;
		}
	free(r->bucket);
}

/* ---- coordinator ----------------------------------------------------------------------------- */

struct seed_pools {
	pthread_mutex_t lock;
	struct seed_registry *registry; /* its loaded indexes are what is mapped */
	uint64_t budget, cache_used;
	double cache_ratio;
	unsigned int moves;
};

static __attribute__((noinline)) void seed_tick(struct seed_pools *p)
{
	double cache, mapped;

	pthread_mutex_lock(&p->lock);
	cache = (double)p->cache_used / ((double)p->budget * p->cache_ratio);
	mapped =
	    (double)seed_loaded_bytes(p->registry) / ((double)p->budget * (1 - p->cache_ratio));
	if (cache > 0.8 && mapped <= 0.8 && p->cache_ratio < 0.8) {
		p->cache_ratio += 0.05;
		p->moves++;
	} else if (mapped > 0.8 && cache <= 0.8 && p->cache_ratio > 0.2) {
		p->cache_ratio -= 0.05;
		p->moves++;
	}
	pthread_mutex_unlock(&p->lock);
}

#endif
