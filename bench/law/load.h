/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kinds of workload of bench/law/load share: each keeps what one operation of an engine
 * is; time, phases, pace and counting are load.c's.
 */
#ifndef BENCH_LAW_LOAD_H
#define BENCH_LAW_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_MIB   (UINT64_C(1) << 20)
#define LOAD_GONE  (-1) /* op(): the engine ended; its client stops counting, and says so */
#define LOAD_VALUE 1000 /* bytes of a row or value, where an engine stores such */

struct load_kind {
	const char *name;
	const char *what; /* what one operation is, for the usage */

	/* Makes what open() opens, of about `bytes`; NULL when an engine or a shell makes it. */
	void (*fill)(const char *path, uint64_t bytes);

	/* Opens, never fails: it ends the program with a message instead. */
	void *(*open)(const char *path);

	/* A phase begins that works on `bytes`; 0 = it idles, and what can be given back is. */
	void (*resize)(void *self, uint64_t bytes);

	/* One operation; `random` is fresh 64 bits. 0, or LOAD_GONE. */
	int (*op)(void *self, uint64_t random);

	bool steps_itself; /* op() is long and calls load_step() on its way */
};

extern const struct load_kind load_map, load_loop, load_write, load_rocksdb, load_sqlite,
    load_groupby, load_redis, load_postgres;

/*
 * One step of work is done: counts it, with the time since the last one, and prints what is due.
 * True when the phase is over, and op() must return soon. Not thread safe, nothing here is.
 */
bool load_step(void);

/* A number in [0, n), from fresh random bits, n > 0. */
static inline uint64_t load_below(uint64_t random, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)random * n) >> 64);
}

#endif
