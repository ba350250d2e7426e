// SPDX-License-Identifier: BSD-2-Clause
/*
 * A bulk load beside point readers, on RocksDB in one process: what the load does to the readers
 * when nothing holds it back, and what admission makes of it in each of its modes.
 *
 *	build/bench/ingest/ingest [--rounds N] [--seconds N] [--json FILE] DIR
 *
 * Every round runs every cell, in an order shuffled anew, each on a fresh copy of the same database
 * (hard links, a RocksDB checkpoint). Readers come at a fixed pace and count from when they were
 * due, so that who waits for a processor is seen to wait. A cell first reads for as long as it will
 * with nobody writing: what that took is what its reads under writes are measured against, and what
 * admission learns the readers' pace from, for itself. The cell in which nobody ever writes shows
 * how far two such halves of a cell lie apart.
 *
 * Figures, medians over rounds: in mode latency the p99 of reads is at most 1.5 times that before
 * the writes, where without admission it is more than 5 times; in mode bulk_ingest
 * at least 95 % of the records are written that are written without admission. Exit status 1 when
 * one is missed, 2 when the unmanaged load was too weak to tell.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include "bench/ingest/ingest.h"
#include "include/barostat/admission.h"

#define NS_PER_S      UINT64_C(1000000000)
#define KEYS          100000 /* that are there to be read */
#define KEY_CHARS     17
#define VALUE_BYTES   400
#define CACHE_BYTES   (128u << 20) /* all of them fit */
#define READERS       2
#define READS_PER_S   500 /* each */
#define WRITERS       4
#define JOB_RECORDS   8000 /* a permit's worth */
#define WRITE_AT_ONCE 1000 /* records in a batch, when nobody says how many */
#define SETTLE_S      1

const struct cell_kind cells[CELLS] = {
	[QUIET] = { "quiet", "nobody writes", false, false, 0 },
	[UNMANAGED] = { "unmanaged", "4 writers, nothing holds them back", true, false, 0 },
	[LATENCY] = { "latency", "the same, admission in mode latency", true, true,
		      BARO_MODE_LATENCY },
	[BALANCED] = { "balanced", "the same in mode balanced", true, true, BARO_MODE_BALANCED },
	[BULK_INGEST] = { "bulk_ingest", "the same in mode bulk_ingest", true, true,
			  BARO_MODE_BULK_INGEST },
};

/* One cell while it runs. */
struct run {
	rocksdb_t *db;
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write;
	struct baro_admission *admission; /* NULL: unmanaged */
	struct baro_collection *docs;
	uint64_t quiet_ns, measure_ns, end_ns; /* from when: quiet, writes, nothing */
	_Atomic uint64_t next_key, written; /* written: while it is measured */
};

/* Of a cell: with nobody writing, and with those who write in it. */
enum part { BEFORE, DURING, PARTS };

struct reader {
	struct run *run;
	unsigned int index;
	struct latencies {
		uint64_t *ns;
		size_t count, room;
	} part[PARTS];
	pthread_t thread;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec t = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * UINT64_C(0x2545f4914f6cdd1d) >> 11;
}

static void check(char *error, const char *what)
{
	if (error)
		errx(1, "RocksDB: %s: %s", what, error);
}

/* ---- the database ---------------------------------------------------------------------------- */

static rocksdb_options_t *options(void)
{
	rocksdb_options_t *o = rocksdb_options_create();
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_block_cache(table, rocksdb_cache_create_lru(CACHE_BYTES));
	rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom(10));
	rocksdb_options_set_block_based_table_factory(o, table);
	rocksdb_options_set_compression(o, rocksdb_no_compression);
	rocksdb_options_set_create_if_missing(o, 1);
	rocksdb_options_set_write_buffer_size(o, 16 << 20);
	rocksdb_options_set_max_background_jobs(o, 2);
	rocksdb_options_set_info_log_level(o, 4);
	return o;
}

/* Keys are scattered, as a hash's are: what is loaded lands between what is read. */
static void key_of(char key[static KEY_CHARS + 1], uint64_t n)
{
	snprintf(key, KEY_CHARS + 1, "%016" PRIx64 "k", n * UINT64_C(0x9e3779b97f4a7c15));
}

static void fill(const char *path)
{
	rocksdb_writeoptions_t *write = rocksdb_writeoptions_create();
	rocksdb_options_t *o = options();
	char key[KEY_CHARS + 1], value[VALUE_BYTES], *error = NULL;
	rocksdb_t *db = rocksdb_open(o, path, &error);

	check(error, path);
	rocksdb_writeoptions_disable_WAL(write, 1);
	memset(value, 'v', sizeof(value));
	for (uint64_t i = 0; i < KEYS; i++) {
		key_of(key, i);
		rocksdb_put(db, write, key, KEY_CHARS, value, sizeof(value), &error);
		check(error, "put");
	}
	rocksdb_compact_range(db, NULL, 0, NULL, 0);
	rocksdb_close(db);
	rocksdb_writeoptions_destroy(write);
	rocksdb_options_destroy(o);
}

/* A copy to work on: the files are links. */
static void copy(const char *from, const char *to)
{
	rocksdb_checkpoint_t *checkpoint;
	rocksdb_options_t *o = options();
	char *error = NULL;
	rocksdb_t *db = rocksdb_open(o, from, &error);

	check(error, from);
	checkpoint = rocksdb_checkpoint_object_create(db, &error);
	check(error, "checkpoint");
	rocksdb_checkpoint_create(checkpoint, to, 0, &error);
	check(error, to);
	rocksdb_checkpoint_object_destroy(checkpoint);
	rocksdb_close(db);
	rocksdb_options_destroy(o);
}

/* ---- readers --------------------------------------------------------------------------------- */

static void read_one(struct run *run, uint64_t random)
{
	char key[KEY_CHARS + 1], *error = NULL, *value;
	size_t bytes;

	key_of(key, random % KEYS);
	value = rocksdb_get(run->db, run->read, key, KEY_CHARS, &bytes, &error);
	check(error, "get");
	if (!value)
		errx(1, "RocksDB: a key is gone");
	rocksdb_free(value);
}

static void note(struct latencies *l, uint64_t ns)
{
	if (l->count < l->room)
		l->ns[l->count++] = ns;
}

static void *reader_main(void *arg)
{
	struct reader *me = arg;
	struct run *run = me->run;
	uint64_t seed = 99991 + me->index;
	uint64_t due = now_ns();

	prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
	while (due < run->end_ns) {
		uint64_t took;

		/* not all at the same instants, nor in step with anything */
		due += NS_PER_S / READS_PER_S / 2 + next_random(&seed) % (NS_PER_S / READS_PER_S);
		sleep_until(due);
		if (run->admission)
			baro_admission_read_begin(run->admission);
		read_one(run, next_random(&seed));
		took = now_ns() - due;
		if (run->admission)
			baro_admission_read_end(run->admission, true, took);
		if (due >= run->quiet_ns)
			note(&me->part[due < run->measure_ns ? BEFORE : DURING], took);
	}
	return NULL;
}

/* ---- writers --------------------------------------------------------------------------------- */

static void write_records(struct run *run, rocksdb_writebatch_t *batch, uint32_t records)
{
	uint64_t first = KEYS + atomic_fetch_add(&run->next_key, records);
	char key[KEY_CHARS + 1], value[VALUE_BYTES], *error = NULL;

	memset(value, 'w', sizeof(value));
	rocksdb_writebatch_clear(batch);
	for (uint32_t i = 0; i < records; i++) {
		key_of(key, first + i);
		rocksdb_writebatch_put(batch, key, KEY_CHARS, value, sizeof(value));
	}
	rocksdb_write(run->db, run->write, batch, &error);
	check(error, "write");
	run->written += records;
}

/* A job: in chunks as large as admission says, with a word after each. */
static void write_managed(struct run *run, rocksdb_writebatch_t *batch)
{
	const struct baro_job job = {
		.kind = BARO_JOB_STREAM,
		.flags = BARO_JOB_SOURCED,
		.records = JOB_RECORDS,
		.payload_bytes = (uint64_t)JOB_RECORDS * (KEY_CHARS + VALUE_BYTES),
		.workers_max = 1,
		.chunk_records_max = WRITE_AT_ONCE,
		.deadline_ns = run->end_ns,
	};
	struct baro_permit permit;
	uint32_t left = JOB_RECORDS;

	if (baro_permit_acquire(run->docs, &job, &permit, NULL) < 0)
		return;
	while (left && now_ns() < run->end_ns) {
		uint32_t chunk = left < permit.chunk_records ? left : permit.chunk_records;
		uint64_t begin = now_ns();

		write_records(run, batch, chunk);
		left -= chunk;
		if (baro_permit_step(&permit, chunk, now_ns() - begin) < 0)
			break;
	}
	baro_permit_release(&permit);
}

static void *writer_main(void *arg)
{
	struct run *run = arg;
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();

	sleep_until(run->measure_ns);
	while (now_ns() < run->end_ns) {
		if (run->admission)
			write_managed(run, batch);
		else
			write_records(run, batch, WRITE_AT_ONCE);
	}
	rocksdb_writebatch_destroy(batch);
	return NULL;
}

/* ---- cells ----------------------------------------------------------------------------------- */

static void open_admission(struct run *run, uint32_t mode)
{
	struct baro_admission_options o = { .size = sizeof(o), .mode = mode };
	/* the only collection there is may have all of it */
	struct baro_collection_options c = { .size = sizeof(c), .batches_max = 1000 };

	if (baro_admission_open(&o, &run->admission) < 0 ||
	    baro_collection_open(run->admission, "docs", &c, &run->docs) < 0)
		errx(1, "no admission");
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Of all readers, in one part of the cell. */
static void quantiles(struct reader *reader, enum part part, double *ret_p50_us, double *ret_p99_us)
{
	size_t count = 0, p50, p99;
	uint64_t *all;

	for (int i = 0; i < READERS; i++)
		count += reader[i].part[part].count;
	all = calloc(count + 1, sizeof(*all));
	if (!all || !count)
		errx(1, "no reads");
	count = 0;
	for (int i = 0; i < READERS; i++) {
		const struct latencies *l = &reader[i].part[part];

		memcpy(all + count, l->ns, l->count * sizeof(*all));
		count += l->count;
	}
	qsort(all, count, sizeof(*all), by_value);
	p50 = count / 2;
	p99 = count * 99 / 100;
	*ret_p50_us = (double)all[p50] / 1000;
	*ret_p99_us = (double)all[p99] / 1000;
	free(all);
}

static void start(pthread_t *thread, void *(*thread_main)(void *), void *arg)
{
	if (pthread_create(thread, NULL, thread_main, arg))
		errx(1, "no thread");
}

static struct result run_threads(const struct bench *b, enum cell cell, struct run *run)
{
	struct reader reader[READERS];
	pthread_t writer[WRITERS];
	struct result result;
	double p50_us;

	run->quiet_ns = now_ns() + SETTLE_S * NS_PER_S;
	run->measure_ns = run->quiet_ns + b->seconds * NS_PER_S;
	run->end_ns = run->measure_ns + b->seconds * NS_PER_S;
	for (unsigned int i = 0; i < READERS; i++) {
		reader[i] = (struct reader){ .run = run, .index = i };
		for (int part = 0; part < PARTS; part++) {
			struct latencies *l = &reader[i].part[part];

			l->room = (size_t)b->seconds * READS_PER_S * 2;
			l->ns = calloc(l->room, sizeof(*l->ns));
			if (!l->ns)
				errx(1, "out of memory");
		}
		start(&reader[i].thread, reader_main, &reader[i]);
	}
	for (int i = 0; cells[cell].writes && i < WRITERS; i++)
		start(&writer[i], writer_main, run);
	for (int i = 0; i < READERS; i++)
		pthread_join(reader[i].thread, NULL);
	for (int i = 0; cells[cell].writes && i < WRITERS; i++)
		pthread_join(writer[i], NULL);
	quantiles(reader, BEFORE, &p50_us, &result.quiet_p99_us);
	quantiles(reader, DURING, &result.p50_us, &result.p99_us);
	result.records_per_s = (double)run->written / b->seconds;
	for (int i = 0; i < READERS; i++)
		for (int part = 0; part < PARTS; part++)
			free(reader[i].part[part].ns);
	return result;
}

static void say_signals(const char *name, struct baro_admission *a)
{
	struct baro_admission_stats s;

	baro_admission_stats_read(a, &s);
	fprintf(stderr,
		"  %s: reads held to %" PRIu64 " us, share %.1f %%, chunks of %" PRIu64
		", throttled %" PRIu64 "\n",
		name, s.read_p99_bound_ns / 1000, s.write_share_ppm / 1e4, s.batch_chunk.mean,
		s.throttled);
}

static struct result run_cell(const struct bench *b, enum cell cell)
{
	struct run run = { .next_key = 0 };
	char from[4096], path[4096], *error = NULL;
	rocksdb_options_t *o = options();
	struct result result;

	snprintf(from, sizeof(from), "%s/base", b->dir);
	snprintf(path, sizeof(path), "%s/copy", b->dir);
	copy(from, path);
	run.db = rocksdb_open(o, path, &error);
	check(error, path);
	run.read = rocksdb_readoptions_create();
	run.write = rocksdb_writeoptions_create();
	for (uint64_t i = 0; i < KEYS; i++)
		read_one(&run, i); /* all are in the cache when it begins */
	if (cells[cell].managed)
		open_admission(&run, cells[cell].mode);
	result = run_threads(b, cell, &run);
	if (run.admission)
		say_signals(cells[cell].name, run.admission);
	baro_admission_close(run.admission);
	rocksdb_close(run.db);
	rocksdb_readoptions_destroy(run.read);
	rocksdb_writeoptions_destroy(run.write);
	rocksdb_destroy_db(o, path, &error);
	check(error, path);
	rocksdb_options_destroy(o);
	return result;
}

static void measure(struct bench *b)
{
	enum cell order[CELLS];
	char path[4096];

	snprintf(path, sizeof(path), "%s/base", b->dir);
	fill(path);
	for (unsigned int i = 0; i < CELLS; i++)
		order[i] = (enum cell)i;
	for (unsigned int round = 0; round < b->rounds; round++) {
		for (unsigned int i = CELLS - 1; i > 0; i--) {
			unsigned int j = (unsigned int)random() % (i + 1);
			enum cell swap = order[i];

			order[i] = order[j];
			order[j] = swap;
		}
		for (unsigned int i = 0; i < CELLS; i++) {
			struct result *r = &b->result[order[i]][round];

			*r = run_cell(b, order[i]);
			fprintf(
			    stderr,
			    "round %u %-11s p50 %7.0f us, p99 %7.0f us (before %5.0f us), %8.0f records/s\n",
			    round + 1, cells[order[i]].name, r->p50_us, r->p99_us, r->quiet_p99_us,
			    r->records_per_s);
		}
	}
}

static unsigned int number(const char *text, unsigned int most)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || !n || n > most)
		errx(2, "%s: a number from 1 to %u", text, most);
	return (unsigned int)n;
}

int main(int argc, char **argv)
{
	static struct bench b = { .rounds = 5, .seconds = 4 };

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
			b.rounds = number(argv[++i], ROUNDS_MAX);
		else if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
			b.seconds = number(argv[++i], 3600);
		else if (!strcmp(argv[i], "--json") && i + 1 < argc)
			b.json = argv[++i];
		else if (argv[i][0] != '-' && !b.dir)
			b.dir = argv[i];
		else
			b.dir = NULL, i = argc;
	}
	if (!b.dir)
		errx(2, "usage: ingest [--rounds N] [--seconds N] [--json FILE] DIR");
	measure(&b);
	return report(&b);
}
