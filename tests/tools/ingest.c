// SPDX-License-Identifier: BSD-2-Clause
/*
 * An engine on RocksDB that admits its writes by the library, to be killed in the middle:
 *
 *	ingest write DIR ACKS [JOBS]	until it is killed, or has written so many jobs
 *	ingest verify DIR ACKS
 *	ingest spoil DIR		loses what was done to a row, for the check of verify
 *
 * Four collections, whose keys are a letter and the order number that admission gave: "u" and "s",
 * in which several jobs run at once, batches and single records; "o", whose jobs are a stream and
 * ordered; and "m", whose jobs are ordered, too, and update or delete rows ("r" and a number, each
 * the next ones): the record says which job it was, and goes into one write with the rows. All the
 * while writes are throttled: readers complain, the host's pressure moves, memory is short, some
 * jobs give up waiting and some are cancelled. What was written is acknowledged by a line "LETTER
 * ORDER RUN JOB KIND" in ACKS, after RocksDB has said that it has it. The next run goes on behind
 * the highest number that is stored. Every now and then it says how much was throttled so far.
 *
 * verify opens the database anew and says "ok", how many jobs were acknowledged, and how many
 * records are there; or what is wrong: an acknowledged record that is gone or is another's, a
 * number given twice, a gap among the ordered, more missing among the others than ran at once, a
 * row that is not as the last job left it.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <barostat/admission.h>

#define RECORDS     10 /* of every batch */
#define ROWS        16 /* that are updated and deleted */
#define KEY_CHARS   17
#define VALUE_CHARS 64
#define WRITERS     6
#define WRITES_MAX  4
#define RUNS_MAX    64

struct engine {
	rocksdb_t *db;
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write;
	struct baro_admission *admission;
	struct baro_collection *collection[4]; /* as in letters */
	struct baro_cancel cancel;
	int acks;
	uint64_t run; /* another number each time */
	_Atomic uint64_t job, jobs_max;
	_Atomic bool stop;
};

enum { U, S, O, M };
static const char letters[] = "usom";

static uint64_t records_of(uint32_t kind)
{
	return kind < BARO_JOB_INSERT_BATCH ? 1 : RECORDS;
}

static bool deletes(uint32_t kind)
{
	return kind == BARO_JOB_DELETE || kind == BARO_JOB_DELETE_BATCH;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
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

static void key_of(char key[static KEY_CHARS + 1], char letter, uint64_t order)
{
	snprintf(key, KEY_CHARS + 1, "%c%016" PRIx64, letter, order);
}

static void value_of(char value[static VALUE_CHARS], uint64_t run, uint64_t job, uint32_t kind)
{
	memset(value, 0, VALUE_CHARS);
	snprintf(value, VALUE_CHARS, "%" PRIu64 " %" PRIu64 " %" PRIu32, run, job, kind);
}

/* ---- the database ---------------------------------------------------------------------------- */

static void open_db(struct engine *e, const char *path)
{
	rocksdb_options_t *o = rocksdb_options_create();
	char *error = NULL;

	rocksdb_options_set_create_if_missing(o, 1);
	rocksdb_options_set_info_log_level(o, 4);
	/* small: memtables are flushed, and files compacted, in the seconds that it runs */
	rocksdb_options_set_write_buffer_size(o, 256 << 10);
	e->db = rocksdb_open(o, path, &error);
	check(error, path);
	e->read = rocksdb_readoptions_create();
	e->write = rocksdb_writeoptions_create();
	rocksdb_options_destroy(o);
}

static void close_db(struct engine *e)
{
	rocksdb_readoptions_destroy(e->read);
	rocksdb_writeoptions_destroy(e->write);
	rocksdb_close(e->db);
}

/* One behind the highest number stored under that letter. */
static uint64_t next_order(struct engine *e, char letter)
{
	rocksdb_iterator_t *at = rocksdb_create_iterator(e->db, e->read);
	const char end[] = { (char)(letter + 1), '\0' };
	uint64_t order = 1;
	size_t length;

	rocksdb_iter_seek_for_prev(at, end, 1);
	if (rocksdb_iter_valid(at) && rocksdb_iter_key(at, &length)[0] == letter) {
		char key[KEY_CHARS + 1] = "";

		memcpy(key, rocksdb_iter_key(at, &length), KEY_CHARS);
		order = strtoull(key + 1, NULL, 16) + 1;
	}
	rocksdb_iter_destroy(at);
	return order;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* What an update or a delete does to the row behind its number. */
static void change_row(rocksdb_writebatch_t *batch, uint64_t order, uint32_t kind,
		       const char value[static VALUE_CHARS])
{
	char key[KEY_CHARS + 1];

	key_of(key, 'r', order % ROWS);
	if (deletes(kind))
		rocksdb_writebatch_delete(batch, key, KEY_CHARS);
	else
		rocksdb_writebatch_put(batch, key, KEY_CHARS, value, VALUE_CHARS);
}

/* Of the ordered: whoever may write finds what the one before has written. */
static void look_back(struct engine *e, char letter, uint64_t order)
{
	char key[KEY_CHARS + 1], *error = NULL, *found;
	size_t length;

	if (order == 1)
		return;
	key_of(key, letter, order - 1);
	found = rocksdb_get(e->db, e->read, key, KEY_CHARS, &length, &error);
	check(error, "get");
	if (!found)
		errx(1, "%s was overtaken", key);
	rocksdb_free(found);
}

static void write_job(struct engine *e, char letter, uint64_t order, uint32_t kind, uint64_t job)
{
	char key[KEY_CHARS + 1], value[VALUE_CHARS], line[128], *error = NULL;
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	int n;

	value_of(value, e->run, job, kind);
	for (uint64_t i = 0; i < records_of(kind); i++) {
		key_of(key, letter, order + i);
		rocksdb_writebatch_put(batch, key, KEY_CHARS, value, sizeof(value));
		if (letter == letters[M])
			change_row(batch, order + i, kind, value);
	}
	rocksdb_write(e->db, e->write, batch, &error);
	check(error, "write");
	rocksdb_writebatch_destroy(batch);
	n = snprintf(line, sizeof(line), "%c %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 "\n",
		     letter, order, e->run, job, kind);
	/* one write: a line is there as a whole, or not at all */
	if (write(e->acks, line, (size_t)n) != n)
		err(1, "acknowledgement");
}

static void *write_jobs(void *arg)
{
	static const uint32_t changes[] = { BARO_JOB_UPDATE, BARO_JOB_DELETE, BARO_JOB_UPDATE_BATCH,
					    BARO_JOB_DELETE_BATCH };
	struct engine *e = arg;
	uint64_t seed = (uint64_t)pthread_self() ^ e->run;

	while (!e->stop) {
		const uint32_t kinds[] = { [U] = BARO_JOB_INSERT_BATCH,
					   [S] = BARO_JOB_INSERT,
					   [O] = BARO_JOB_STREAM,
					   [M] = changes[next_random(&seed) % 4] };
		uint32_t to = next_random(&seed) % 4, kind = kinds[to];
		struct baro_job job = {
			.kind = kind,
			.flags = to == O || to == M ? BARO_JOB_ORDERED : 0,
			.records = records_of(kind),
			.payload_bytes = records_of(kind) * VALUE_CHARS,
			.deadline_ns = now_ns() + 1000000u + next_random(&seed) % 200000000u,
			.cancel = next_random(&seed) % 4 ? NULL : &e->cancel,
		};
		struct baro_permit permit;

		if (baro_permit_acquire(e->collection[to], &job, &permit, NULL) < 0)
			continue;
		/* work takes time, one job more than another: what is not ordered overtakes */
		usleep((useconds_t)(next_random(&seed) % 1000));
		if (job.flags & BARO_JOB_ORDERED)
			look_back(e, letters[to], permit.order);
		write_job(e, letters[to], permit.order, kind, ++e->job);
		baro_permit_step(&permit, job.records, 0);
		baro_permit_release(&permit);
		if (e->job >= e->jobs_max)
			e->stop = true;
	}
	return NULL;
}

static void say(struct engine *e, const char *when)
{
	struct baro_admission_stats s;

	baro_admission_stats_read(e->admission, &s);
	printf("%s jobs %" PRIu64 " throttled %" PRIu64 " waited %" PRIu64 " timed_out %" PRIu64
	       " cancelled %" PRIu64 " held %" PRIu64 "\n",
	       when, (uint64_t)e->job, s.throttled, s.waited, s.timed_out, s.cancelled,
	       s.reserved_bytes);
	fflush(stdout);
}

/* Whatever makes writes wait. */
static void *disturb(void *arg)
{
	struct engine *e = arg;
	uint64_t seed = e->run;

	for (int i = 0; !e->stop; i++) {
		struct timespec pause = { .tv_nsec = 1000000 };
		struct baro_pressure p = { .status = 1 + next_random(&seed) % 4,
					   .score_ppm = (uint32_t)(next_random(&seed) % 1000000),
					   .budget_bytes = BARO_PAGE_NONE };

		if (i % 16 == 0)
			say(e, "so far:");
		/* for a while every read is too slow for what is asked for, then none: writes go
		 * one by one, and together */
		for (int n = 0; n < 10; n++)
			baro_admission_read_end(e->admission, false, i & 32 ? 100 : 1000000);
		if (next_random(&seed) % 8 == 0)
			baro_admission_observe(e->admission, &p);
		if (next_random(&seed) % 8 == 0) {
			baro_admission_cancel(e->admission, &e->cancel);
			__atomic_store_n(&e->cancel.fired, 0, __ATOMIC_RELEASE);
		}
		nanosleep(&pause, NULL);
	}
	baro_admission_observe(e->admission, &(struct baro_pressure){ .status = 1 });
	return NULL;
}

static void open_admission(struct engine *e)
{
	struct baro_admission_options o = { .size = sizeof(o), .mode = BARO_MODE_LATENCY };
	struct baro_collection_options c = { .size = sizeof(c) };
	int r;

	o.limits.writes_max = WRITES_MAX;
	o.limits.batches_max = WRITES_MAX;
	o.limits.workers_max = WRITES_MAX;
	o.limits.memory_bytes = 20000; /* two or three jobs' worth */
	o.limits.read_p99_ns = 1000;
	o.limits.write_share_min_ppm = 300000;
	c.batches_max = WRITES_MAX;
	c.memory_bytes = 20000;
	r = baro_admission_open(&o, &e->admission);
	for (int i = 0; i < 4 && !r; i++) {
		const char name[] = { letters[i], '\0' };

		c.first_order = next_order(e, letters[i]);
		r = baro_collection_open(e->admission, name, &c, &e->collection[i]);
	}
	if (r)
		errx(1, "%s", baro_admission_strerror(r));
}

static int do_write(const char *dir, const char *acks, uint64_t jobs_max)
{
	struct engine e = { .jobs_max = jobs_max, .run = now_ns() };
	pthread_t thread[WRITERS + 1];

	e.acks = open(acks, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (e.acks < 0)
		err(1, "%s", acks);
	open_db(&e, dir);
	open_admission(&e);
	for (int i = 0; i <= WRITERS; i++)
		if (pthread_create(&thread[i], NULL, i < WRITERS ? write_jobs : disturb, &e))
			errx(1, "no thread");
	for (int i = 0; i <= WRITERS; i++)
		pthread_join(thread[i], NULL);
	say(&e, "in all:");
	baro_admission_close(e.admission);
	close_db(&e);
	close(e.acks);
	return 0;
}

/* ---- verifying ------------------------------------------------------------------------------- */

static void verify_record(struct engine *e, char letter, uint64_t order, const char *value)
{
	char key[KEY_CHARS + 1], *error = NULL, *found;
	size_t length;

	key_of(key, letter, order);
	found = rocksdb_get(e->db, e->read, key, KEY_CHARS, &length, &error);
	check(error, "get");
	if (!found)
		errx(1, "%s was acknowledged and is not there", key);
	if (length != VALUE_CHARS || memcmp(found, value, VALUE_CHARS) != 0)
		errx(1, "%s is of %s, and was acknowledged to %s", key, found, value);
	rocksdb_free(found);
}

static uint64_t verify_acks(struct engine *e, const char *path, uint64_t *ret_runs,
			    uint64_t *ret_records)
{
	uint64_t order, run, job, count = 0, run_before = 0;
	FILE *file = fopen(path, "re");
	uint32_t kind;
	char letter;

	if (!file)
		err(1, "%s", path);
	while (fscanf(file, " %c %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu32, &letter, &order,
		      &run, &job, &kind) == 5) {
		char value[VALUE_CHARS];

		value_of(value, run, job, kind);
		for (uint64_t i = 0; i < records_of(kind); i++)
			verify_record(e, letter, order + i, value);
		*ret_records += records_of(kind);
		*ret_runs += run != run_before;
		run_before = run;
		count++;
	}
	if (!feof(file))
		errx(1, "%s: not an acknowledgement", path);
	fclose(file);
	return count;
}

static uint32_t kind_in(const char *value)
{
	uint64_t run, job;
	uint32_t kind;

	if (sscanf(value, "%" SCNu64 " %" SCNu64 " %" SCNu32, &run, &job, &kind) != 3)
		errx(1, "no job's: %s", value);
	return kind;
}

/* Jobs are whole: as many records one after another as theirs have. */
static void verify_whole(rocksdb_iterator_t *at, char job[static VALUE_CHARS], uint64_t *left)
{
	size_t length;
	const char *value = rocksdb_iter_value(at, &length);

	if (length != VALUE_CHARS || (*left && memcmp(value, job, VALUE_CHARS) != 0))
		errx(1, "half a job: %s", job);
	memcpy(job, value, VALUE_CHARS);
	*left = (*left ? *left : records_of(kind_in(job))) - 1;
}

/* No number is missing that should be there. */
static uint64_t verify_numbers(struct engine *e, char letter, uint64_t runs)
{
	rocksdb_iterator_t *at = rocksdb_create_iterator(e->db, e->read);
	uint64_t expected = 1, missing = 0, count = 0, left = 0;
	uint64_t records = letter == letters[S] ? 1 : RECORDS;
	char job[VALUE_CHARS];
	size_t length;

	for (rocksdb_iter_seek(at, &letter, 1); rocksdb_iter_valid(at); rocksdb_iter_next(at)) {
		char key[KEY_CHARS + 1] = "";
		uint64_t order;

		memcpy(key, rocksdb_iter_key(at, &length), KEY_CHARS);
		if (key[0] != letter)
			break;
		order = strtoull(key + 1, NULL, 16);
		if (order != expected && left)
			errx(1, "%s: half a job", key);
		verify_whole(at, job, &left);
		missing += order - expected;
		expected = order + 1;
		count++;
	}
	rocksdb_iter_destroy(at);
	if (left)
		errx(1, "half a job: %s", job);
	if ((letter == letters[O] || letter == letters[M]) && missing)
		errx(1, "%" PRIu64 " numbers are missing among the ordered", missing);
	/* what ran as the process was killed, each time */
	if (missing > runs * WRITES_MAX * records)
		errx(1, "%" PRIu64 " numbers are missing", missing);
	return count;
}

static void verify_row(struct engine *e, uint64_t row, const char *expected)
{
	char key[KEY_CHARS + 1], *error = NULL, *found;
	bool there = *expected && !deletes(kind_in(expected));
	size_t length;

	key_of(key, 'r', row);
	found = rocksdb_get(e->db, e->read, key, KEY_CHARS, &length, &error);
	check(error, "get");
	if (there != (found != NULL) ||
	    (found && (length != VALUE_CHARS || memcmp(found, expected, VALUE_CHARS) != 0)))
		errx(1, "%s is not as %s left it", key, *expected ? expected : "nobody");
	rocksdb_free(found);
}

/* Every row is as the last job left it that changed it, acknowledged or not. */
static void verify_rows(struct engine *e)
{
	static char last[ROWS][VALUE_CHARS];
	rocksdb_iterator_t *at = rocksdb_create_iterator(e->db, e->read);
	uint64_t order = 1;
	size_t length;

	for (rocksdb_iter_seek(at, &letters[M], 1);
	     rocksdb_iter_valid(at) && *rocksdb_iter_key(at, &length) == letters[M];
	     rocksdb_iter_next(at))
		memcpy(last[order++ % ROWS], rocksdb_iter_value(at, &length), VALUE_CHARS);
	rocksdb_iter_destroy(at);
	for (uint64_t row = 0; row < ROWS; row++)
		verify_row(e, row, last[row]);
}

/* As if the last update or delete of a row had been lost. */
static int do_spoil(const char *dir)
{
	struct engine e = { .run = 0 };
	char key[KEY_CHARS + 1], value[VALUE_CHARS], *error = NULL, *found;
	size_t length;

	open_db(&e, dir);
	key_of(key, 'r', 0);
	value_of(value, 0, 0, BARO_JOB_UPDATE);
	found = rocksdb_get(e.db, e.read, key, KEY_CHARS, &length, &error);
	check(error, "get");
	if (found)
		rocksdb_delete(e.db, e.write, key, KEY_CHARS, &error);
	else
		rocksdb_put(e.db, e.write, key, KEY_CHARS, value, VALUE_CHARS, &error);
	check(error, "spoil");
	rocksdb_free(found);
	close_db(&e);
	return 0;
}

static int do_verify(const char *dir, const char *acks)
{
	struct engine e = { .run = 0 };
	uint64_t runs = 0, jobs, acknowledged = 0, records = 0;

	open_db(&e, dir);
	jobs = verify_acks(&e, acks, &runs, &acknowledged);
	if (runs > RUNS_MAX)
		errx(1, "%s: acknowledgements of %" PRIu64 " runs", acks, runs);
	for (int i = 0; i < 4; i++)
		records += verify_numbers(&e, letters[i], runs);
	if (records < acknowledged)
		errx(1, "a number was given twice: %" PRIu64 " jobs, %" PRIu64 " records", jobs,
		     records);
	verify_rows(&e);
	printf("ok jobs %" PRIu64 " records %" PRIu64 " runs %" PRIu64 "\n", jobs, records, runs);
	close_db(&e);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 4 && !strcmp(argv[1], "write"))
		return do_write(argv[2], argv[3],
				argc > 4 ? strtoull(argv[4], NULL, 10) : UINT64_MAX);
	if (argc == 4 && !strcmp(argv[1], "verify"))
		return do_verify(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "spoil"))
		return do_spoil(argv[2]);
	errx(2, "usage: ingest write DIR ACKS [JOBS] | verify DIR ACKS | spoil DIR");
}
