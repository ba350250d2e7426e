/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time series into RocksDB, at a pace: batches of points of many series, each asked for at the door
 * of admission; beside them a reader that looks at windows of what was written.
 *
 * The budget is two pools, what is being written and the block cache. Of the first, the sizer of
 * memtables makes when to flush, and what is neither flushed nor free pushes writers back; the
 * second is the capacity of the cache. RocksDB's write buffer manager is the outermost bound: from C
 * it can only be set as the database is opened.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <rocksdb/c.h>
#include <stdlib.h>
#include <string.h>

#include <barostat/admission.h>
#include <barostat/governor.h>
#include <barostat/memtable.h>
#include <barostat/pool.h>

#include "bench/mixed/mixed.h"
#include "bench/mixed/points.h"

#define BATCH        500
#define PACE_BYTES_S (10 * MIB)
#define WINDOW       50 /* points that a reader looks at */
#define READS_PER_S  200
#define FOLLOW_PPM   600000 /* of the budget for the pools; the rest is files, filters, the log */
#define TABLE_MIN    (1 * MIB)
#define FLUSH_SLACK  2 /* RocksDB would seal a table by itself only long after our word */
#define LANDING_NS   (500 * NS_PER_MS) /* of a flush */
#define OVERHEAD_PPM 1300000 /* a point in a memtable, of its bytes */

enum pool { POOL_WRITES, POOL_CACHE, POOLS };

struct ingest {
	struct engine *engine;
	rocksdb_t *db;
	rocksdb_cache_t *cache;
	rocksdb_writeoptions_t *write;
	rocksdb_readoptions_t *read;
	rocksdb_flushoptions_t *flush;
	struct baro_pools *pools;
	struct baro_memtable_group *group;
	struct baro_memtable *table;
	struct baro_admission *admission;
	struct baro_collection *points;
	struct baro_governor *governor;
	struct baro_budget *budget;
	_Atomic uint64_t written; /* points; the n-th is of series n % SERIES at time n / SERIES */
	_Atomic uint64_t reads, read_wrong;
	uint64_t flushes, refused, found, wrong, table_peak_bytes, cache_peak_bytes;
	uint64_t writes_fixed_bytes, cache_fixed_bytes; /* when unmanaged */
};

/* ---- the database ---------------------------------------------------------------------------- */

static uint64_t writes_max(const struct ingest *g)
{
	return g->engine->managed ? g->engine->ceiling_bytes / 2 : g->writes_fixed_bytes;
}

static void open_database(struct ingest *g)
{
	rocksdb_options_t *o = rocksdb_options_create();
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
	char *error = NULL;

	g->cache = rocksdb_cache_create_lru(g->engine->managed ? MIB : g->cache_fixed_bytes);
	rocksdb_block_based_options_set_block_cache(table, g->cache);
	rocksdb_block_based_options_set_block_size(table, 16 << 10);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
	rocksdb_options_set_block_based_table_factory(o, table);
	rocksdb_options_set_compression(o, rocksdb_no_compression);
	rocksdb_options_set_create_if_missing(o, 1);
	rocksdb_options_set_max_background_jobs(o, 2);
	rocksdb_options_set_use_direct_io_for_flush_and_compaction(o, 1);
	rocksdb_options_set_info_log_level(o, 4);
	rocksdb_options_set_db_write_buffer_size(o, writes_max(g));
	rocksdb_options_set_write_buffer_size(o, writes_max(g) / FLUSH_SLACK);
	rocksdb_options_set_arena_block_size(o, 256 << 10); /* by mmap, and back by munmap */
	rocksdb_options_set_max_write_buffer_number(o, 4);
	g->db = rocksdb_open(o, g->engine->path, &error);
	rocks_must(error, g->engine->path);
	rocksdb_options_destroy(o);
	rocksdb_block_based_options_destroy(table);
	g->write = rocksdb_writeoptions_create();
	g->read = rocksdb_readoptions_create();
	g->flush = rocksdb_flushoptions_create();
	rocksdb_flushoptions_set_wait(g->flush, 0);
}

static uint64_t property(const struct ingest *g, const char *name)
{
	uint64_t value = 0;

	if (rocksdb_property_int(g->db, name, &value))
		errx(1, "RocksDB has no property %s", name);
	return value;
}

/* Seals what is being written; RocksDB flushes it on a thread of its own. */
static void flush(struct ingest *g)
{
	char *error = NULL;

	baro_memtable_rotate(g->table);
	rocksdb_flush(g->db, g->flush, &error);
	rocks_must(error, "flush");
	g->flushes++;
}

/* ---- what it may use ------------------------------------------------------------------------- */

/* What the sizer believes to be sealed, and RocksDB holds no longer, is flushed. */
static void account_flushed(struct ingest *g)
{
	uint64_t active = property(g, "rocksdb.cur-size-active-mem-table");
	uint64_t all = property(g, "rocksdb.cur-size-all-mem-tables");
	uint64_t sealed = all > active ? all - active : 0;
	struct baro_memtable_stats s;

	baro_memtable_read(g->table, &s);
	if (s.sealed_bytes > sealed)
		baro_memtable_flushed(g->table, s.sealed_bytes - sealed);
}

static void ingest_apply(void *self, const struct baro_pressure *now, uint64_t now_ns)
{
	struct ingest *g = self;
	uint64_t tables = property(g, "rocksdb.size-all-mem-tables"),
		 cached = rocksdb_cache_get_usage(g->cache);
	const struct baro_pool_usage usage[POOLS] = { { tables, 0 }, { cached, 0 } };
	uint64_t cache_before = baro_pools_budget(g->pools, POOL_CACHE);

	baro_pools_tick(g->pools, now_ns, usage, now, NULL);
	baro_memtable_group_set_budget(g->group, baro_pools_budget(g->pools, POOL_WRITES));
	account_flushed(g);
	if (baro_memtable_group_update(g->group, now_ns, now))
		flush(g);
	rocksdb_cache_set_capacity(g->cache, baro_pools_budget(g->pools, POOL_CACHE));
	if (baro_pools_budget(g->pools, POOL_CACHE) < cache_before)
		malloc_trim(
		    0); /* what the cache dropped is the allocator's, not yet the kernel's */
	/* writers may have in flight what the tables leave of their pool */
	baro_governor_follow(g->governor, now);
	baro_governor_set_ceiling(g->governor, baro_pools_budget(g->pools, POOL_WRITES));
	baro_client_set_accounted(g->engine->client, tables + cached);
	g->table_peak_bytes = tables > g->table_peak_bytes ? tables : g->table_peak_bytes;
	g->cache_peak_bytes = cached > g->cache_peak_bytes ? cached : g->cache_peak_bytes;
}

static uint64_t cache_bytes(void *self)
{
	return rocksdb_cache_get_usage(((struct ingest *)self)->cache);
}

static int64_t release_cache(void *self, uint64_t want_bytes, uint64_t deadline_ns)
{
	struct ingest *g = self;
	uint64_t before = rocksdb_cache_get_usage(g->cache), after;

	rocksdb_cache_set_capacity(g->cache, before > want_bytes ? before - want_bytes : 0);
	malloc_trim(0);
	after = rocksdb_cache_get_usage(g->cache);
	return before > after ? (int64_t)(before - after) : 0;
}

static uint64_t table_bytes(void *self)
{
	return property(self, "rocksdb.cur-size-active-mem-table");
}

static int64_t release_table(void *self, uint64_t want_bytes, uint64_t deadline_ns)
{
	uint64_t bytes = table_bytes(self);

	if (bytes < TABLE_MIN)
		return -EAGAIN;
	flush(self);
	return (int64_t)bytes; /* on the way: see landing_ns */
}

/* ---- writing and reading --------------------------------------------------------------------- */

static void write_batch(struct ingest *g, rocksdb_writebatch_t *batch)
{
	uint64_t first = g->written;
	char key[KEY_BYTES], value[VALUE_BYTES], *error = NULL;

	rocksdb_writebatch_clear(batch);
	for (uint64_t n = first; n < first + BATCH; n++) {
		point_key(key, n);
		point_value(value, n);
		rocksdb_writebatch_put(batch, key, sizeof(key), value, sizeof(value));
	}
	rocksdb_write(g->db, g->write, batch, &error);
	rocks_must(error, "write");
	g->written = first + BATCH;
}

/* Until it may: a refusal says when to try again. What is refused when time is over is not written. */
static void write_admitted(struct ingest *g, rocksdb_writebatch_t *batch)
{
	struct baro_job job = { .kind = BARO_JOB_INSERT_BATCH,
				.flags = BARO_JOB_FIXED,
				.records = BATCH,
				.payload_bytes = BATCH * POINT_BYTES,
				.workers_max = 1,
				.deadline_ns = clock_now_ns() + NS_PER_S };
	struct baro_admission_refusal why;
	struct baro_permit permit;

	while (baro_permit_acquire(g->points, &job, &permit, &why) < 0) {
		g->refused++;
		if (why.error == -E2BIG)
			errx(1, "a batch can never be admitted");
		job.deadline_ns = clock_now_ns() + why.retry_after_ns + NS_PER_MS;
		clock_sleep_until(job.deadline_ns);
		if (job.deadline_ns >= g->engine->end_ns)
			return;
		job.deadline_ns += NS_PER_S;
	}
	write_batch(g, batch);
	must(baro_permit_release(&permit), "permit");
	baro_memtable_record_write(g->table,
				   (uint64_t)BATCH * POINT_BYTES * OVERHEAD_PPM / 1000000);
	if (baro_memtable_should_flush(g->table, baro_memtable_held(g->table)))
		flush(g);
}

static void *read_windows(void *arg)
{
	struct ingest *g = arg;
	uint64_t random = 11, due = g->engine->begin_ns;

	while (due += NS_PER_S / READS_PER_S, due < g->engine->end_ns) {
		uint64_t written, begin_ns;

		clock_sleep_until(due);
		written = g->written;
		if (written <= SERIES * WINDOW)
			continue;
		begin_ns = clock_now_ns();
		if (!points_window(g->db, g->read,
				   next_random(&random) % (written - SERIES * WINDOW), WINDOW))
			g->read_wrong++;
		g->reads++;
		if (g->admission)
			baro_admission_read_end(g->admission, false, clock_now_ns() - begin_ns);
	}
	return NULL;
}

static void work(struct ingest *g)
{
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	uint64_t due = g->engine->begin_ns, now;

	do {
		due += NS_PER_S * BATCH * POINT_BYTES / PACE_BYTES_S;
		clock_sleep_until(due);
		now = clock_now_ns();
		if (now - due > NS_PER_S)
			due = now; /* what was missed is not made up for */
		if (g->admission)
			write_admitted(g, batch);
		else
			write_batch(g, batch);
	} while (!engine_step(g->engine, clock_now_ns() - due));
	rocksdb_writebatch_destroy(batch);
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void open_managed(struct ingest *g)
{
	const struct baro_pool_spec pool[POOLS] = {
		[POOL_WRITES] = { .name = "writes", .share = 60 },
		[POOL_CACHE] = { .name = "block_cache", .share = 40 },
	};
	const struct baro_pools_options pools = { .size = sizeof(pools),
						  .budget_bytes = g->engine->ceiling_bytes / 8,
						  .pool = pool,
						  .pools = POOLS,
						  .follow_ppm = FOLLOW_PPM };
	const struct baro_memtable_options table = { .size = sizeof(table),
						     .base_bytes = 4 * TABLE_MIN,
						     .min_bytes = TABLE_MIN,
						     .max_bytes = writes_max(g) / FLUSH_SLACK };
	struct baro_admission_options admission = {
		.size = sizeof(admission),
		.client = g->engine->client,
	};

	must(baro_pools_open(&pools, &g->pools), "pools");
	must(baro_memtable_group_open(pools.budget_bytes, &g->group), "memtables");
	must(baro_memtable_open(&table, g->group, &g->table), "memtable");
	must(baro_governor_open(pools.budget_bytes, &g->governor), "governor");
	must(baro_governor_add(g->governor, NULL, "writes", 0, 0, BARO_PAGE_NONE, BARO_PAGE_NONE,
			       &g->budget),
	     "governor");
	/* a permit's bytes are held by the governor's engine meanwhile */
	admission.budget = baro_admission_budget_of(g->budget);
	must(baro_admission_open(&admission, &g->admission), "admission");
	must(baro_collection_open(g->admission, "points", NULL, &g->points), "points");
}

static void close_managed(struct ingest *g)
{
	baro_admission_close(g->admission);
	baro_memtable_close(g->table);
	baro_memtable_group_close(g->group);
	must(baro_governor_close(g->governor), "governor");
	baro_pools_close(g->pools);
}

static void close_database(struct ingest *g)
{
	rocksdb_close(g->db);
	rocksdb_cache_destroy(g->cache);
	rocksdb_writeoptions_destroy(g->write);
	rocksdb_readoptions_destroy(g->read);
	rocksdb_flushoptions_destroy(g->flush);
}

static bool right(const struct ingest *g)
{
	return g->written && g->found == g->written && !g->wrong && !g->read_wrong;
}

static void report(struct ingest *g, FILE *out)
{
	fprintf(out, "{");
	engine_report(g->engine, out);
	fprintf(out,
		",\"right\":%s,\"written\":%" PRIu64 ",\"found\":%" PRIu64 ",\"wrong\":%" PRIu64
		",\"reads\":%" PRIu64 ",\"read_wrong\":%" PRIu64 ",\"refused\":%" PRIu64
		",\"flushes\":%" PRIu64 ",\"tables_peak_bytes\":%" PRIu64
		",\"cache_peak_bytes\":%" PRIu64 "}\n",
		right(g) ? "true" : "false", (uint64_t)g->written, g->found, g->wrong,
		(uint64_t)g->reads, (uint64_t)g->read_wrong, g->refused, g->flushes,
		g->table_peak_bytes, g->cache_peak_bytes);
}

int ingest_run(struct engine *e, FILE *out)
{
	static struct ingest g;
	pthread_t reader;

	/* what is freed goes back to the kernel, where others can have it */
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	g.engine = e;
	g.writes_fixed_bytes = e->ceiling_bytes * 3 / 10;
	g.cache_fixed_bytes = e->ceiling_bytes * 2 / 10;
	e->self = &g;
	e->apply = ingest_apply;
	open_database(&g);
	engine_open(e);
	if (e->managed)
		open_managed(&g);
	engine_want(e, e->ceiling_bytes / 2);
	engine_relief(e, "block_cache", 10, BARO_LEVEL_CRITICAL, 0, cache_bytes, release_cache);
	engine_relief(e, "memtable", 20, BARO_LEVEL_CRITICAL, LANDING_NS, table_bytes,
		      release_table);
	engine_begin(e);
	if (pthread_create(&reader, NULL, read_windows, &g))
		errx(1, "no thread");
	work(&g);
	pthread_join(reader, NULL);
	engine_end(e);
	if (e->managed)
		close_managed(&g);
	engine_close(e);
	close_database(&g);
	open_database(&g);
	points_verify(g.db, g.written, &g.found, &g.wrong);
	report(&g, out);
	close_database(&g);
	return !right(&g);
}
