// SPDX-License-Identifier: BSD-2-Clause
/*
 * What asking for admission costs, beside the algorithm it replaces: a counting semaphore behind a
 * mutex, with a queue of waiters that are each signalled by a condition of their own; it counts
 * jobs, and nothing else. And handing a permit to a waiter, beside a bare futex wake: two threads
 * that do nothing but wake each other.
 *
 * All in one interleaved run: every round measures every row, in an order shuffled anew; medians
 * over rounds. Times are of the thread's CPU clock, and of the process's where threads wake each
 * other: those run on one processor, so that what is counted is work, not the way between
 * processors, nor what others do meanwhile.
 *
 *	build/bench/lib_admission [--json] [--rounds N]
 *
 * Exit status 1 when a figure is missed.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/semaphore.h"
#include "include/barostat/admission.h"
#include "user/common/clock.h"
#include "user/lib/futex.h"

#define ROUNDS_DEFAULT 41
#define ROUNDS_MAX     10001
#define CROWD          16

enum row {
	PAIR,
	SEED_PAIR,
	BATCH,
	REFUSED,
	REFUSED_WHY,
	SEED_REFUSED,
	READ,
	HANDOFF,
	SEED_HANDOFF,
	FUTEX,
	CROWDED,
	SEED_CROWDED,
	ROWS,
};

static const struct {
	const char *name, *what;
	unsigned int loops; /* by each thread */
	unsigned int threads; /* 0: the one that measures */
} rows[ROWS] = {
	[PAIR] = { "acquire_release", "a single write: limits, bytes, order number, signals",
		   200000, 0 },
	[SEED_PAIR] = { "semaphore_pair", "the semaphore: one count", 200000, 0 },
	[BATCH] = { "batch", "a batch: workers and chunk, too", 50000, 0 },
	[REFUSED] = { "refused", "full: refused at once", 200000, 0 },
	[REFUSED_WHY] = { "refused_why", "the same, with the reason and when to retry", 100000, 0 },
	[SEED_REFUSED] = { "semaphore_refused", "the semaphore, its queue full", 200000, 0 },
	[READ] = { "read", "a read announced and reported", 100000, 0 },
	[HANDOFF] = { "handoff", "a permit from one thread to another and back", 4000, 2 },
	[SEED_HANDOFF] = { "semaphore_handoff", "the same through the semaphore", 4000, 2 },
	[FUTEX] = { "futex_handoff", "a bare futex wake from one thread to another and back", 4000,
		    2 },
	[CROWDED] = { "crowd_16", "16 threads on one permit, first come first served", 500, CROWD },
	[SEED_CROWDED] = { "semaphore_crowd_16", "the same through the semaphore", 500, CROWD },
};

/* ---- rows ------------------------------------------------------------------------------------ */

struct bench {
	/* with room for many, for one that is held, for one, and two with one that is handed on */
	struct baro_admission *free, *full, *crowd, *one[2];
	struct baro_collection *free_docs, *full_docs, *crowd_docs, *one_docs[2];
	struct baro_permit permit[2];
	struct seed seed_free, seed_full, seed_crowd, seed_one[2];
	uint32_t turn[2]; /* whose it is, for bare futexes */
	uint64_t *sample[ROWS]; /* ps per operation, one per round */
	unsigned int rounds;
};

static const struct baro_job insert = { .kind = BARO_JOB_INSERT, .payload_bytes = 1000 };
static const struct baro_job patient = { .kind = BARO_JOB_INSERT,
					 .payload_bytes = 1000,
					 .deadline_ns = BARO_PAGE_NONE };
static const struct baro_job batch = { .kind = BARO_JOB_INSERT_BATCH,
				       .records = 1000,
				       .payload_bytes = 1000000 };

/* Keeps the compiler from doing a loop's work once. */
#define AGAIN() __asm__ volatile("" ::: "memory")

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "lib_admission: %s\n", what);
	exit(1);
}

static void pair(struct baro_collection *c, const struct baro_job *job)
{
	struct baro_permit p;

	must(baro_permit_acquire(c, job, &p, NULL) == 0, "not admitted");
	baro_permit_release(&p);
}

/*
 * Two threads and two places, both taken: the first gives back the second's, and waits for its own;
 * the second waits for its own, and gives back the first's.
 */
static void hand_over(struct bench *b, unsigned int me)
{
	if (!me)
		baro_permit_release(&b->permit[1]);
	must(baro_permit_acquire(b->one_docs[me], &patient, &b->permit[me], NULL) == 0,
	     "not admitted");
	if (me)
		baro_permit_release(&b->permit[0]);
}

static void hand_over_seed(struct bench *b, unsigned int me)
{
	if (!me)
		seed_release(&b->seed_one[1]);
	must(seed_acquire(&b->seed_one[me]) == 0, "not admitted");
	if (me)
		seed_release(&b->seed_one[0]);
}

static void wake_other(struct bench *b, unsigned int me)
{
	__atomic_store_n(&b->turn[!me], 1, __ATOMIC_RELEASE);
	futex_wake_one(&b->turn[!me], FUTEX_PRIVATE_FLAG);
}

/* The same with nothing but two words. */
static void hand_over_bare(struct bench *b, unsigned int me)
{
	if (!me)
		wake_other(b, me);
	while (__atomic_load_n(&b->turn[me], __ATOMIC_ACQUIRE) == 0)
		futex_wait_until(&b->turn[me], 0, FUTEX_NEVER, FUTEX_PRIVATE_FLAG);
	__atomic_store_n(&b->turn[me], 0, __ATOMIC_RELAXED);
	if (me)
		wake_other(b, me);
}

static void run_loop(struct bench *b, enum row row, unsigned int me, unsigned int n)
{
	struct baro_admission_refusal why;
	struct baro_permit p;
	int sum = 0;

	for (unsigned int i = 0; i < n; i++) {
		switch (row) {
		case PAIR:
			pair(b->free_docs, &insert);
			break;
		case BATCH:
			pair(b->free_docs, &batch);
			break;
		case REFUSED:
			sum += baro_permit_acquire(b->full_docs, &insert, &p, NULL);
			break;
		case REFUSED_WHY:
			sum += baro_permit_acquire(b->full_docs, &insert, &p, &why);
			break;
		case READ:
			baro_admission_read_begin(b->free);
			baro_admission_read_end(b->free, true, 1000 + i % 1000);
			break;
		case SEED_PAIR:
			sum += seed_acquire(&b->seed_free);
			seed_release(&b->seed_free);
			break;
		case SEED_REFUSED:
			sum += seed_acquire(&b->seed_full);
			break;
		case HANDOFF:
			hand_over(b, me);
			break;
		case SEED_HANDOFF:
			hand_over_seed(b, me);
			break;
		case CROWDED:
			must(baro_permit_acquire(b->crowd_docs, &patient, &p, NULL) == 0,
			     "not admitted");
			sched_yield();
			baro_permit_release(&p);
			break;
		case SEED_CROWDED:
			sum += seed_acquire(&b->seed_crowd);
			sched_yield();
			seed_release(&b->seed_crowd);
			break;
		case FUTEX:
			hand_over_bare(b, me);
			break;
		case ROWS:
			break;
		}
		AGAIN();
	}
	__asm__ volatile("" ::"r"(sum));
}

static uint64_t cpu_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t time_alone(struct bench *b, enum row row)
{
	uint64_t begin;

	run_loop(b, row, 0, rows[row].loops / 10);
	begin = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
	run_loop(b, row, 0, rows[row].loops);
	return (cpu_ns(CLOCK_THREAD_CPUTIME_ID) - begin) * 1000 / rows[row].loops;
}

/* ---- threads that wake each other ------------------------------------------------------------ */

struct crew {
	struct bench *bench;
	enum row row;
	pthread_barrier_t start, end;
};

struct member {
	struct crew *crew;
	unsigned int me;
	pthread_t thread;
};

static void *member_main(void *arg)
{
	struct member *m = arg;

	pthread_barrier_wait(&m->crew->start);
	run_loop(m->crew->bench, m->crew->row, m->me, rows[m->crew->row].loops);
	pthread_barrier_wait(&m->crew->end);
	return NULL;
}

static uint64_t time_crew(struct bench *b, enum row row)
{
	struct crew crew = { .bench = b, .row = row };
	unsigned int n = rows[row].threads ? rows[row].threads : 1;
	struct member member[CROWD];
	uint64_t begin, took;

	pthread_barrier_init(&crew.start, NULL, n + 1);
	pthread_barrier_init(&crew.end, NULL, n + 1);
	for (unsigned int i = 0; i < n; i++) {
		member[i] = (struct member){ .crew = &crew, .me = i };
		must(pthread_create(&member[i].thread, NULL, member_main, &member[i]) == 0,
		     "no thread");
	}
	begin = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
	pthread_barrier_wait(&crew.start);
	pthread_barrier_wait(&crew.end);
	took = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - begin;
	for (unsigned int i = 0; i < n; i++)
		pthread_join(member[i].thread, NULL);
	pthread_barrier_destroy(&crew.start);
	pthread_barrier_destroy(&crew.end);
	return took * 1000 / n / rows[row].loops;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void measure(struct bench *b)
{
	enum row order[ROWS];

	for (unsigned int i = 0; i < ROWS; i++)
		order[i] = (enum row)i;
	for (unsigned int round = 0; round < b->rounds; round++) {
		for (unsigned int i = ROWS - 1; i > 0; i--) {
			unsigned int j = (unsigned int)random() % (i + 1);
			enum row swap = order[i];

			order[i] = order[j];
			order[j] = swap;
		}
		for (unsigned int i = 0; i < ROWS; i++)
			b->sample[order[i]][round] = rows[order[i]].threads
							 ? time_crew(b, order[i])
							 : time_alone(b, order[i]);
	}
	for (unsigned int i = 0; i < ROWS; i++)
		qsort(b->sample[i], b->rounds, sizeof(uint64_t), by_value);
}

static double tenth_ns(const struct bench *b, unsigned int row, unsigned int tenths)
{
	unsigned int at = b->rounds * tenths / 10;

	return (double)b->sample[row][at] / 1000;
}

static double median_ns(const struct bench *b, unsigned int row)
{
	return tenth_ns(b, row, 5);
}

/* ---- what came out --------------------------------------------------------------------------- */

struct figure {
	const char *name;
	double value, bound; /* at most */
};

static bool met(const struct figure *f)
{
	return f->value <= f->bound;
}

static int print_table(const struct bench *b, const struct figure *f, unsigned int n)
{
	int missed = 0;

	printf("%-20s %12s %12s %12s\n", "row", "median ns", "p10 ns", "p90 ns");
	for (unsigned int i = 0; i < ROWS; i++)
		printf("%-20s %12.1f %12.1f %12.1f  %s\n", rows[i].name, median_ns(b, i),
		       tenth_ns(b, i, 1), tenth_ns(b, i, 9), rows[i].what);
	for (unsigned int i = 0; i < n; i++) {
		printf("%-52s %8.2f  (at most %.2f) %s\n", f[i].name, f[i].value, f[i].bound,
		       met(&f[i]) ? "met" : "MISSED");
		missed += !met(&f[i]);
	}
	return missed;
}

static int print_json(const struct bench *b, const struct figure *f, unsigned int n)
{
	int missed = 0;

	printf("{\"bench\":\"lib_admission\",\"rounds\":%u,\"rows\":{", b->rounds);
	for (unsigned int i = 0; i < ROWS; i++)
		printf("%s\"%s\":{\"median_ns\":%.3f,\"p10_ns\":%.3f,\"p90_ns\":%.3f}",
		       i ? "," : "", rows[i].name, median_ns(b, i), tenth_ns(b, i, 1),
		       tenth_ns(b, i, 9));
	printf("},\"figures\":[");
	for (unsigned int i = 0; i < n; i++) {
		printf("%s{\"name\":\"%s\",\"value\":%.3f,\"at_most\":%.2f,\"met\":%s}",
		       i ? "," : "", f[i].name, f[i].value, f[i].bound,
		       met(&f[i]) ? "true" : "false");
		missed += !met(&f[i]);
	}
	printf("]}\n");
	return missed;
}

static int report(const struct bench *b, bool json)
{
	const struct figure f[] = {
		{ "acquire and release, ns", median_ns(b, PAIR), 30 },
		{ "refusal, ns", median_ns(b, REFUSED), 8 },
		{ "hand-off, times a bare futex wake", median_ns(b, HANDOFF) / median_ns(b, FUTEX),
		  1.1 },
		{ "16 on one permit, times the semaphore",
		  median_ns(b, CROWDED) / median_ns(b, SEED_CROWDED), 1 },
	};
	unsigned int n = sizeof(f) / sizeof(f[0]);

	return (json ? print_json : print_table)(b, f, n) ? 1 : 0;
}

static int parse(int argc, char **argv, struct bench *b, bool *ret_json)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			*ret_json = true;
		else if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
			b->rounds = (unsigned int)strtoul(argv[++i], NULL, 10);
		else
			return -EINVAL;
	}
	return b->rounds && b->rounds <= ROUNDS_MAX ? 0 : -EINVAL;
}

static void open_with(uint32_t writes_max, uint32_t queue_max, struct baro_admission **ret_a,
		      struct baro_collection **ret_c)
{
	struct baro_admission_options o = { .size = sizeof(o) };

	o.limits.writes_max = writes_max;
	o.limits.queue_max = queue_max;
	must(baro_admission_open(&o, ret_a) == 0, "cannot open");
	must(baro_collection_open(*ret_a, "docs", NULL, ret_c) == 0, "cannot open a collection");
}

/* Threads inherit it: who wakes whom is then a matter of one processor. */
static void stay_here(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	CPU_ZERO(&set);
	CPU_SET(cpu < 0 ? 0 : cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set) == 0, "cannot stay on one processor");
}

static void open_all(struct bench *b)
{
	open_with(16, 16, &b->free, &b->free_docs);
	open_with(1, BARO_QUEUE_NONE, &b->full, &b->full_docs);
	open_with(1, CROWD, &b->crowd, &b->crowd_docs);
	seed_init(&b->seed_free, 16, 16);
	seed_init(&b->seed_full, 1, 0);
	seed_init(&b->seed_crowd, 1, CROWD);
	for (int i = 0; i < 2; i++) {
		open_with(1, CROWD, &b->one[i], &b->one_docs[i]);
		seed_init(&b->seed_one[i], 1, CROWD);
		must(baro_permit_acquire(b->one_docs[i], &insert, &b->permit[i], NULL) == 0 &&
			 seed_acquire(&b->seed_one[i]) == 0,
		     "not admitted");
	}
	must(seed_acquire(&b->seed_full) == 0, "not admitted");
}

static void close_all(struct bench *b)
{
	for (int i = 0; i < 2; i++) {
		baro_permit_release(&b->permit[i]);
		baro_admission_close(b->one[i]);
	}
	baro_admission_close(b->free);
	baro_admission_close(b->full);
	baro_admission_close(b->crowd);
}

int main(int argc, char **argv)
{
	static uint64_t samples[ROWS][ROUNDS_MAX];
	struct bench b = { .rounds = ROUNDS_DEFAULT };
	struct baro_permit held;
	bool json = false;
	int r;

	if (parse(argc, argv, &b, &json) < 0) {
		fprintf(stderr, "usage: lib_admission [--json] [--rounds N]\n");
		return 2;
	}
	for (unsigned int i = 0; i < ROWS; i++)
		b.sample[i] = samples[i];
	stay_here();
	open_all(&b);
	must(baro_permit_acquire(b.full_docs, &insert, &held, NULL) == 0, "not admitted");
	measure(&b);
	r = report(&b, json);
	baro_permit_release(&held);
	close_all(&b);
	return r;
}
