/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows that are measured in one interleaved run: every round measures every row, in an order
 * shuffled anew; medians over rounds. Times are of the thread's CPU clock: what others do with the
 * processor meanwhile does not count. A row of several threads is run by all at once, each on a
 * processor of its own where there are as many; its time is the mean of theirs, and a sample in
 * which one of them did not keep up is taken anew.
 */
#ifndef BAROSTAT_BENCH_ROUNDS_H
#define BAROSTAT_BENCH_ROUNDS_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS_DEFAULT 41
#define ROUNDS_MAX     10001

struct rounds_row {
	const char *name, *what;
	void (*run)(unsigned int n); /* so many operations */
	unsigned int loops; /* by each thread, in one round */
	unsigned int threads; /* at most ROUNDS_THREADS_MAX */
	uint64_t *ps; /* per operation, one per round; sorted at the end */
};

struct rounds_figure {
	const char *name;
	double value, bound; /* at most */
};

struct rounds {
	const char *name;
	struct rounds_row *row;
	unsigned int rows, rounds;
	bool json;
};

/* The body of a row. Unrolled, so that the loop itself does not count among the nanoseconds; the
 * compiler must not do its work only once. */
#define ROUNDS_LOOP(n, statement)                                                                  \
	do {                                                                                       \
		_Pragma("GCC unroll 8") for (unsigned int i_ = 0; i_ < (n); i_++)                  \
		{                                                                                  \
			statement;                                                                 \
			__asm__ volatile("" ::: "memory");                                         \
		}                                                                                  \
	} while (0)

static inline int rounds_parse(int argc, char **argv, struct rounds *r)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			r->json = true;
		else if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
			r->rounds = (unsigned int)strtoul(argv[++i], NULL, 10);
		else
			return -EINVAL;
	}
	return r->rounds && r->rounds <= ROUNDS_MAX ? 0 : -EINVAL;
}

static inline uint64_t rounds_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t rounds_time_ps(const struct rounds_row *row)
{
	uint64_t begin;

	row->run(row->loops / 10);
	begin = rounds_cpu_ns();
	row->run(row->loops);
	return (rounds_cpu_ns() - begin) * 1000 / row->loops;
}

/* Which of the threads of a row runs it, from 0 on. */
static __thread unsigned int rounds_me;

#define ROUNDS_THREADS_MAX 8
#define ROUNDS_CHUNK       256u /* operations between two looks at the other threads */
#define ROUNDS_TRIES       20 /* for a sample in which all kept up */

struct rounds_team {
	const struct rounds_row *row;
	pthread_barrier_t start;
	uint64_t ops[ROUNDS_THREADS_MAX][16]; /* a counter each, far apart */
	unsigned int done;
};

struct rounds_member {
	struct rounds_team *team;
	pthread_t thread;
	unsigned int which;
	bool kept_up; /* the others did at least half as much each meanwhile, on average */
	uint64_t ps;
};

/* The which-th of the processors it may use. */
static inline void rounds_pin(unsigned int which)
{
	cpu_set_t allowed, one;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return;
	which %= (unsigned int)CPU_COUNT(&allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || which-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		(void)sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

static inline uint64_t rounds_ops_of_others(const struct rounds_team *t, unsigned int me)
{
	uint64_t ops = 0;

	for (unsigned int i = 0; i < t->row->threads; i++)
		ops += i == me ? 0 : __atomic_load_n(&t->ops[i][0], __ATOMIC_RELAXED);
	return ops;
}

/* Returns how much the others did meanwhile. */
static inline uint64_t rounds_run_beside(struct rounds_team *t, unsigned int me, unsigned int n)
{
	uint64_t before = rounds_ops_of_others(t, me);

	for (unsigned int i = 0; i < n; i += ROUNDS_CHUNK) {
		unsigned int chunk = n - i < ROUNDS_CHUNK ? n - i : ROUNDS_CHUNK;

		t->row->run(chunk);
		__atomic_store_n(&t->ops[me][0], t->ops[me][0] + chunk, __ATOMIC_RELAXED);
	}
	return rounds_ops_of_others(t, me) - before;
}

/* Goes on until the others are measured, too. */
static inline void *rounds_member_run(void *arg)
{
	struct rounds_member *m = arg;
	struct rounds_team *t = m->team;
	unsigned int loops = t->row->loops, others = t->row->threads - 1;
	uint64_t begin;

	rounds_pin(m->which);
	rounds_me = m->which;
	pthread_barrier_wait(&t->start);
	(void)rounds_run_beside(t, m->which, loops / 10);
	begin = rounds_cpu_ns();
	m->kept_up = rounds_run_beside(t, m->which, loops) >= (uint64_t)others * (loops / 2);
	m->ps = (rounds_cpu_ns() - begin) * 1000 / loops;
	__atomic_add_fetch(&t->done, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&t->done, __ATOMIC_ACQUIRE) <= others)
		(void)rounds_run_beside(t, m->which, 1);
	return NULL;
}

/* One sample; false when they did not really run at once. */
static inline bool rounds_try_all(const struct rounds_row *row, uint64_t *ret_ps)
{
	struct rounds_team team = { .row = row };
	struct rounds_member member[ROUNDS_THREADS_MAX];
	bool kept_up = true;
	uint64_t ps = 0;

	pthread_barrier_init(&team.start, NULL, row->threads);
	for (unsigned int i = 0; i < row->threads; i++) {
		member[i] = (struct rounds_member){ .team = &team, .which = i };
		if (pthread_create(&member[i].thread, NULL, rounds_member_run, &member[i]) != 0)
			abort();
	}
	for (unsigned int i = 0; i < row->threads; i++) {
		pthread_join(member[i].thread, NULL);
		ps += member[i].ps;
		kept_up = kept_up && member[i].kept_up;
	}
	pthread_barrier_destroy(&team.start);
	*ret_ps = ps / row->threads;
	return kept_up;
}

/* With fewer processors, or on a busy machine, whatever comes of the last try. */
static inline uint64_t rounds_time_all_ps(const struct rounds_row *row)
{
	cpu_set_t allowed;
	uint64_t ps = 0;
	int tries = ROUNDS_TRIES;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0 ||
	    (unsigned int)CPU_COUNT(&allowed) < row->threads)
		tries = 1;
	while (tries-- > 0 && !rounds_try_all(row, &ps))
		;
	return ps;
}

static inline int rounds_by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static inline void rounds_measure(struct rounds *r)
{
	struct rounds_row *order[64];

	for (unsigned int i = 0; i < r->rows; i++) {
		order[i] = &r->row[i];
		r->row[i].ps = calloc(r->rounds, sizeof(uint64_t));
		if (!r->row[i].ps)
			abort();
	}
	for (unsigned int round = 0; round < r->rounds; round++) {
		for (unsigned int i = r->rows - 1; i > 0; i--) {
			unsigned int k = (unsigned int)random() % (i + 1);
			struct rounds_row *swap = order[i];

			order[i] = order[k];
			order[k] = swap;
		}
		for (unsigned int i = 0; i < r->rows; i++)
			order[i]->ps[round] = order[i]->threads > 1 ? rounds_time_all_ps(order[i])
								    : rounds_time_ps(order[i]);
	}
	for (unsigned int i = 0; i < r->rows; i++)
		qsort(r->row[i].ps, r->rounds, sizeof(uint64_t), rounds_by_value);
}

static inline double rounds_percent_ns(const struct rounds *r, unsigned int row,
				       unsigned int percent)
{
	unsigned int at = r->rounds * percent / 100;

	return (double)r->row[row].ps[at] / 1000;
}

static inline double rounds_tenth_ns(const struct rounds *r, unsigned int row, unsigned int tenths)
{
	return rounds_percent_ns(r, row, tenths * 10);
}

static inline double rounds_median_ns(const struct rounds *r, unsigned int row)
{
	return rounds_tenth_ns(r, row, 5);
}

static inline bool rounds_met(const struct rounds_figure *f)
{
	return f->value <= f->bound;
}

static inline void rounds_print_json(const struct rounds *r, const struct rounds_figure *f,
				     unsigned int n)
{
	printf("{\"bench\":\"%s\",\"rounds\":%u,\"rows\":{", r->name, r->rounds);
	for (unsigned int i = 0; i < r->rows; i++)
		printf("%s\"%s\":{\"median_ns\":%.3f,\"p10_ns\":%.3f,\"p90_ns\":%.3f}",
		       i ? "," : "", r->row[i].name, rounds_median_ns(r, i),
		       rounds_tenth_ns(r, i, 1), rounds_tenth_ns(r, i, 9));
	printf("},\"figures\":[");
	for (unsigned int i = 0; i < n; i++)
		printf("%s{\"name\":\"%s\",\"value\":%.3f,\"at_most\":%.2f,\"met\":%s}",
		       i ? "," : "", f[i].name, f[i].value, f[i].bound,
		       rounds_met(&f[i]) ? "true" : "false");
	printf("]}\n");
}

static inline void rounds_print_table(const struct rounds *r, const struct rounds_figure *f,
				      unsigned int n)
{
	printf("%-26s %10s %10s %10s\n", "row", "median ns", "p10 ns", "p90 ns");
	for (unsigned int i = 0; i < r->rows; i++)
		printf("%-26s %10.2f %10.2f %10.2f  %s\n", r->row[i].name, rounds_median_ns(r, i),
		       rounds_tenth_ns(r, i, 1), rounds_tenth_ns(r, i, 9), r->row[i].what);
	for (unsigned int i = 0; i < n; i++)
		printf("%-56s %8.2f  (at most %.2f) %s\n", f[i].name, f[i].value, f[i].bound,
		       rounds_met(&f[i]) ? "met" : "MISSED");
}

/* Prints all of it; 1 when a figure is missed. */
static inline int rounds_report(const struct rounds *r, const struct rounds_figure *f,
				unsigned int n)
{
	int missed = 0;

	(r->json ? rounds_print_json : rounds_print_table)(r, f, n);
	for (unsigned int i = 0; i < n; i++)
		missed += !rounds_met(&f[i]);
	for (unsigned int i = 0; i < r->rows; i++)
		free(r->row[i].ps);
	return missed ? 1 : 0;
}

#endif
