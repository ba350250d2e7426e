// SPDX-License-Identifier: BSD-2-Clause
/*
 * A tiny store that asks before it writes: threads that insert, a batch in chunks beside them, and
 * a reader whose latency they mind. What was refused says why, and when to come again.
 *
 *	cc admission.c $(pkg-config --cflags --libs libbarostat) -lpthread -o admission &&
 *./admission
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <barostat/admission.h>

#define SLOTS   4096
#define INSERTS 20000
#define THREADS 4

static struct baro_admission *writes;
static struct baro_collection *docs;
static uint64_t store[SLOTS];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void put(uint64_t order)
{
	__atomic_store_n(&store[order % SLOTS], order, __ATOMIC_RELAXED);
}

/* One record at a time; it may wait 50 ms for its turn. */
static void *insert(void *unused)
{
	struct baro_job job;
	struct baro_permit permit;
	struct baro_admission_refusal why;
	char text[256];

	(void)unused;
	memset(&job, 0, sizeof(job));
	job.kind = BARO_JOB_INSERT;
	job.payload_bytes = sizeof(store[0]);
	for (int i = 0; i < INSERTS; i++) {
		job.deadline_ns = now_ns() + 50000000u;
		if (baro_permit_acquire(docs, &job, &permit, &why) < 0) {
			baro_admission_refusal_format(&why, text, sizeof(text));
			printf("not inserted: %s\n", text);
			continue;
		}
		put(permit.order);
		baro_permit_release(&permit);
	}
	return NULL;
}

/* A batch, by one worker, in chunks as large as admission says. */
static int load(uint64_t records)
{
	struct baro_job job;
	struct baro_permit permit;
	uint64_t done = 0;
	int r;

	memset(&job, 0, sizeof(job));
	job.kind = BARO_JOB_INSERT_BATCH;
	job.records = records;
	job.payload_bytes = records * sizeof(store[0]);
	job.workers_max = 1;
	job.deadline_ns = BARO_PAGE_NONE;
	r = baro_permit_acquire(docs, &job, &permit, NULL);
	while (r >= 0 && done < records) {
		uint64_t chunk = permit.chunk_records;

		for (uint64_t i = 0; i < chunk && done < records; i++)
			put(permit.order + done++);
		r = baro_permit_step(&permit, chunk, 0); /* may sleep: readers come first */
	}
	if (r < 0)
		baro_permit_fail(&permit);
	else
		baro_permit_release(&permit);
	return r;
}

static void read_some(int reads)
{
	volatile uint64_t sum = 0;

	for (int i = 0; i < reads; i++) {
		uint64_t begin = now_ns();

		baro_admission_read_begin(writes);
		sum += __atomic_load_n(&store[i % SLOTS], __ATOMIC_RELAXED);
		baro_admission_read_end(writes, true, now_ns() - begin);
	}
}

int main(void)
{
	struct baro_admission_stats s;
	pthread_t thread[THREADS];

	if (baro_admission_open(NULL, &writes) < 0 ||
	    baro_collection_open(writes, "docs", NULL, &docs) < 0)
		return 1;
	read_some(1000); /* nobody writes yet: so long a read should take */
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, insert, NULL))
			return 1;
	if (load(100000) < 0)
		return 1;
	read_some(100000);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	baro_admission_stats_read(writes, &s);
	printf(
	    "%s: %" PRIu64 " records in %" PRIu64 " jobs, %" PRIu64 " of them waited, p99 %" PRIu64
	    " ns; chunks of %" PRIu64 "; reads p99 %" PRIu64 " ns, beside writes %" PRIu64 " ns\n",
	    baro_admission_mode_name(s.mode), s.done[s.mode].records, s.done[s.mode].jobs, s.waited,
	    s.wait_ns.p99, s.batch_chunk.mean, s.read_quiet_ns.p99, s.read_during_writes_ns.p99);
	baro_admission_close(writes);
	return 0;
}
