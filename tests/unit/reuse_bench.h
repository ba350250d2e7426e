/* SPDX-License-Identifier: BSD-2-Clause */
/* One engine that reads through an LRU, and what its reuse times tell. */
#ifndef TESTS_REUSE_BENCH_H
#define TESTS_REUSE_BENCH_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "user/daemon/law_internal.h"
#include "user/sim/sim.h"

#define CEILING (16384 * LAW_PAGE_BYTES)
#define BUCKET  128u /* pages */
#define START   (1000 * LAW_S)
#define TICK_NS (100 * LAW_MS)
#define HIT_NS  10000ull
#define MISS_NS 150000ull /* what is taken for it until it is known */
#define KEYS    32768u
#define ALL     0x3ffu

static const struct law_params params = { .ceiling_bytes = CEILING, .gamma_ppm = 1000000 };
static const struct law_engine engine = { .max_bytes = CEILING, .weight = 100, .active = true };

/* Draws the next key. */
typedef uint32_t (*reads)(uint64_t *rng, uint32_t *cursor);

/* One engine that reads through an LRU of so many pages, and what is thought of it. */
struct bench {
	struct sim_cache cache;
	uint64_t rng;
	uint32_t cursor, pages;
	uint32_t stale; /* that nobody reads, and the kernel keeps */
	uint64_t accesses, misses;
	struct law_sample s;
	struct law_estimate e;
	uint64_t now_ns;
	/* the sensor rests when law_watch() lets it */
	bool may_rest;
	bool moving; /* as if the law moved memory at every tick */
	struct law_watch_state watch;
	struct law_engine_state moves;
	uint32_t ticks, watched;
	uint64_t think_ns; /* after each access */
};

static inline uint32_t below(uint64_t *rng, uint32_t end)
{
	*rng = *rng * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((*rng >> 33) % end);
}

static inline uint32_t uniform_4000(uint64_t *rng, uint32_t *cursor)
{
	(void)cursor;
	return below(rng, 4000);
}

static inline uint32_t uniform_1000(uint64_t *rng, uint32_t *cursor)
{
	(void)cursor;
	return below(rng, 1000);
}

static inline uint32_t next_of(uint32_t *cursor, uint32_t pages)
{
	*cursor = *cursor + 1 >= pages ? 0 : *cursor + 1;
	return *cursor;
}

static inline uint32_t loop_6000(uint64_t *rng, uint32_t *cursor)
{
	(void)rng;
	return next_of(cursor, 6000);
}

static inline uint32_t loop_5700(uint64_t *rng, uint32_t *cursor)
{
	(void)rng;
	return next_of(cursor, 5700);
}

static inline uint32_t loop_30000(uint64_t *rng, uint32_t *cursor)
{
	(void)rng;
	return next_of(cursor, 30000);
}

/* Three quarters to 500 pages, the rest to 8000 others. */
static inline uint32_t hot_and_cold(uint64_t *rng, uint32_t *cursor)
{
	(void)cursor;
	return below(rng, 4) > 0 ? below(rng, 500) : 500 + below(rng, 8000);
}

static inline void begin(struct bench *b, uint32_t pages)
{
	memset(b, 0, sizeof(*b));
	assert_int_equal(sim_cache_init(&b->cache, KEYS), 0);
	b->rng = 42;
	b->pages = pages;
	b->now_ns = START;
	b->s.valid = ALL;
	estimate_update(&b->e, &params, &engine, &b->s, pages * LAW_PAGE_BYTES, b->now_ns);
}

static inline void end(struct bench *b)
{
	sim_cache_fini(&b->cache);
}

static inline void access(struct bench *b, uint32_t key)
{
	b->accesses++;
	if (!sim_cache_touch(&b->cache, key)) {
		b->misses++;
		if (b->cache.usage >= b->pages)
			sim_cache_evict(&b->cache);
		b->s.refault_file += sim_cache_insert(&b->cache, key);
		b->s.stall_ns[STALL_REFAULT] += MISS_NS;
		b->now_ns += MISS_NS;
	}
	sim_cache_accessed(&b->cache, key);
	b->s.cpu_ns += HIT_NS;
	b->now_ns += HIT_NS + b->think_ns;
}

static inline void watch(struct bench *b)
{
	bool watched;

	if (b->moving)
		b->moves.last_move_ns = b->now_ns;
	watched = law_watch(&b->watch, &b->moves, &engine, &b->e, 1, b->now_ns);
	sim_cache_rest(&b->cache, b->may_rest && !watched);
	b->ticks++;
	b->watched += watched;
}

static inline void sample(struct bench *b)
{
	b->s.usage_bytes = b->s.file_bytes = (b->cache.usage + b->stale) * LAW_PAGE_BYTES;
	sim_cache_sample(&b->cache, &b->s);
	estimate_update(&b->e, &params, &engine, &b->s, (b->pages + b->stale) * LAW_PAGE_BYTES,
			b->now_ns);
	watch(b);
}

static inline void run(struct bench *b, reads next, uint64_t ns)
{
	uint64_t until_ns = b->now_ns + ns;

	while (b->now_ns < until_ns) {
		uint64_t tick_ns = b->now_ns + TICK_NS;

		while (b->now_ns < tick_ns)
			access(b, next(&b->rng, &b->cursor));
		sample(b);
	}
}

/* Stall per work with so many pages, by the curve. */
static inline double predicted(const struct law_estimate *e, uint32_t pages)
{
	uint64_t sum = e->memory.far;

	for (uint32_t i = pages / BUCKET; i < LAW_BUCKETS; i++)
		sum += e->curve[i];
	return (double)sum / (double)LAW_ONE;
}

/* What an LRU of so many pages stalls, per work. */
static inline double measured(reads next, uint32_t pages)
{
	struct bench b;
	double stall;

	begin(&b, pages);
	run(&b, next, 20 * LAW_S);
	b.accesses = b.misses = 0;
	run(&b, next, 20 * LAW_S);
	stall = (double)(b.misses * MISS_NS) / (double)(b.accesses * HIT_NS);
	end(&b);
	return stall;
}

static inline void resize(struct bench *b, uint32_t pages)
{
	b->pages = pages;
	while (b->cache.usage > pages)
		sim_cache_evict(&b->cache);
}

/* Within a tenth, or within a tenth of a stall per work: 15 is all there is to see. */
static inline void assert_close(double is, double should)
{
	double slack = should * .1 > .1 ? should * .1 : .1;

	if (is < should - slack || is > should + slack)
		fail_msg("%.3f stall per work predicted, %.3f measured", is, should);
}

#endif
