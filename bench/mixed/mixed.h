/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the three engines of the mixed workload share: how each follows its memory through
 * libbarostat, and how it tells what it did. What an engine is, is in its own file.
 */
#ifndef BENCH_MIXED_H
#define BENCH_MIXED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <barostat/client.h>
#include <barostat/metrics.h>
#include <barostat/relief.h>

#define MIB       (UINT64_C(1) << 20)
#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/* One run of one engine. */
struct engine {
	const char *name;
	const char *path; /* its data */
	uint64_t ceiling_bytes; /* of all engines: what an engine wants is a part of it */
	bool managed; /* false: sizes are fixed, and nobody is asked */
	uint64_t begin_ns, end_ns; /* CLOCK_MONOTONIC */

	/* Called by the follower ten times a second with what the engine may use now, and once
	 * before the first operation. */
	void (*apply)(void *self, const struct baro_pressure *now, uint64_t now_ns);
	void *self;

	struct baro_client *client;
	struct baro_relief *relief;
	struct baro_metrics *metrics;
	uint32_t source_last; /* enum baro_source, at the last look */
	uint64_t budget_first_bytes, budget_least_bytes, budget_most_bytes;
	pthread_t follower;
	_Atomic bool ended;

	/* operations: the one thread that counts them */
	uint64_t ops, last_ns, interval_ops, interval_end_ns, interval_worst_ns;
	struct baro_histogram latency;
};

/* Opens the client and the relief, unless the engine is unmanaged. */
void engine_open(struct engine *e);

/* How much the engine could use in all. */
void engine_want(struct engine *e, uint64_t bytes);

/* An action that frees bytes on request and from this level on, landing_ns after it returns; not
 * called when unmanaged. */
void engine_relief(struct engine *e, const char *name, uint32_t cost, uint32_t from_level,
		   uint64_t landing_ns, uint64_t (*available)(void *),
		   int64_t (*release)(void *, uint64_t, uint64_t));

/* Reads the pressure once and starts the follower; then waits for the begin. */
void engine_begin(struct engine *e);

/* One operation has ended, which took so long; a line per 100 ms on stdout. True: time is over. */
bool engine_step(struct engine *e, uint64_t took_ns);

/* No more operations, and nothing is applied or released any more. */
void engine_end(struct engine *e);

/* Closes what engine_open() opened, when nothing uses it any more. */
void engine_close(struct engine *e);

/* Writes the members that every engine has, without the braces. */
void engine_report(struct engine *e, FILE *out);

/* The engines: run until the end and write one JSON object. 0, or 1 when a result was wrong. */
int vector_run(struct engine *e, FILE *out);
int ingest_run(struct engine *e, FILE *out);
int groupby_run(struct engine *e, FILE *out);

/* Their data, where they need some: of about so many bytes at this path. */
void vector_fill(const char *path, uint64_t bytes);
void groupby_fill(const char *path, uint64_t groups);
uint64_t groupby_groups(uint64_t ceiling_bytes);

/* Samples usage and budgets until it is killed. */
int watch_run(int argc, char **argv);

uint64_t clock_now_ns(void);
uint64_t clock_from_realtime_us(uint64_t us); /* that instant, of CLOCK_MONOTONIC */
void clock_sleep_until(uint64_t ns);
void must(int error, const char *what); /* ends the program unless error >= 0 */
void *anonymous(uint64_t bytes); /* memory straight from the kernel; ends the program */

/* 64 bits that depend on every bit of x. */
static inline uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static inline uint64_t next_random(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return mix(*state);
}

#endif
