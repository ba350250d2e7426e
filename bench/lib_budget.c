// SPDX-License-Identifier: BSD-2-Clause
/*
 * What reserving and releasing costs, beside the algorithm that the memory governors of database
 * engines use: a compare-and-swap on a counter, another for its peak, a subtraction to release;
 * once per layer; and for a ceiling over engines, the sum of all counters. Written anew here, for
 * this comparison, and measured in the same run: every round measures every row, in an order
 * shuffled anew; medians over rounds. Times are of the thread's CPU clock. The comparison with the
 * anchor is of the least disturbed twentieth of the rounds of either: what other programs do to a
 * processor is no part of an algorithm, and takes more from one that is bound by what it executes
 * than from one that waits for its two locked instructions.
 *
 * Rows with two threads measure one while the other does the same on another processor; a sample
 * counts when the other kept up, and is repeated when it did not.
 *
 *	build/bench/lib_budget [--json] [--rounds N]
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

#include "include/barostat/governor.h"
#include "user/common/clock.h"

#define ROUNDS_DEFAULT 301
#define ROUNDS_MAX     10001
#define LOOPS          10000u /* some 50 us: as a rule nobody else runs in between */
#define CHUNK          256u
#define TRIES          20 /* for a sample with a partner that keeps up */
#define ENGINES        7
#define LAYERS         4
#define BYTES          UINT64_C(4096)
#define LIMIT          (UINT64_C(1) << 30)

/* ---- the anchor ------------------------------------------------------------------------------ */

struct anchor {
	uint64_t used, peak, limit, rejections;
} __attribute__((aligned(128)));

static __attribute__((noinline)) bool anchor_reserve(struct anchor *a, uint64_t bytes)
{
	uint64_t used = __atomic_load_n(&a->used, __ATOMIC_RELAXED), peak;

	do {
		if (used + bytes > a->limit) {
			__atomic_fetch_add(&a->rejections, 1, __ATOMIC_RELAXED);
			return false;
		}
	} while (!__atomic_compare_exchange_n(&a->used, &used, used + bytes, true, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	peak = __atomic_load_n(&a->peak, __ATOMIC_RELAXED);
	while (used + bytes > peak &&
	       !__atomic_compare_exchange_n(&a->peak, &peak, used + bytes, true, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
	return true;
}

static __attribute__((noinline)) void anchor_release(struct anchor *a, uint64_t bytes)
{
	__atomic_fetch_sub(&a->used, bytes, __ATOMIC_ACQ_REL);
}

static __attribute__((noinline)) uint32_t anchor_level(const struct anchor *a)
{
	uint64_t used = __atomic_load_n(&a->used, __ATOMIC_RELAXED);
	uint64_t percent = a->limit ? used * 100 / a->limit : 100;

	return BARO_LEVEL_NORMAL + (percent >= 70) + (percent >= 85) + (percent >= 95);
}

/* The engine's own, and then the ceiling over the sum of all. */
static __attribute__((noinline)) bool anchor_governor_reserve(struct anchor *engine, unsigned int i,
							      uint64_t bytes)
{
	uint64_t sum = 0;

	if (!anchor_reserve(&engine[i], bytes))
		return false;
	for (unsigned int k = 0; k < ENGINES; k++)
		sum += __atomic_load_n(&engine[k].used, __ATOMIC_RELAXED);
	if (sum <= LIMIT)
		return true;
	anchor_release(&engine[i], bytes);
	return false;
}

static __attribute__((noinline)) bool anchor_layers_reserve(struct anchor *layer, uint64_t bytes)
{
	for (int i = 0; i < LAYERS; i++) {
		if (anchor_reserve(&layer[i], bytes))
			continue;
		while (i--)
			anchor_release(&layer[i], bytes);
		return false;
	}
	return true;
}

static __attribute__((noinline)) void anchor_layers_release(struct anchor *layer, uint64_t bytes)
{
	for (int i = LAYERS; i--;)
		anchor_release(&layer[i], bytes);
}

/* ---- what is measured ------------------------------------------------------------------------ */

static struct {
	struct baro_budget *one, *exact, *layer[LAYERS], *leaf[2], *full, *busy;
	struct baro_governor *governor;
	struct baro_budget *engine[ENGINES];
	struct baro_reservation full_held, busy_held;
	struct anchor a_one, a_layer[LAYERS], a_engine[ENGINES], a_full, a_busy;
} m;

/* Keeps the compiler from doing a loop's work once. */
#define AGAIN() __asm__ volatile("" ::: "memory")

/* One loop per row; `me` is 0, or 1 in the other thread. Returns how often something went wrong. */
#define LOOP(name, body)                                                                           \
	static uint32_t name(unsigned int me, unsigned int n)                                      \
	{                                                                                          \
		struct baro_reservation r;                                                         \
		struct baro_refusal why;                                                           \
		uint32_t bad = 0;                                                                  \
                                                                                                   \
		(void)me, (void)r, (void)why;                                                      \
		for (unsigned int i = 0; i < n; i++) {                                             \
			body;                                                                      \
			AGAIN();                                                                   \
		}                                                                                  \
		return bad;                                                                        \
	}

#define PAIR(budget)                                                                               \
	do {                                                                                       \
		bad += baro_budget_reserve((budget), BYTES, &r, NULL) != 0;                        \
		bad += baro_reservation_release(&r) != 0;                                          \
	} while (0)

LOOP(run_one, PAIR(m.one))
LOOP(run_exact, PAIR(m.exact))
LOOP(run_governor, PAIR(m.engine[i % ENGINES]))
LOOP(run_engine, PAIR(m.engine[3]))
LOOP(run_engines, PAIR(m.engine[me ? 1 : 5]))
LOOP(run_layers, PAIR(m.layer[LAYERS - 1]))
LOOP(run_leaves, PAIR(m.leaf[me]))
LOOP(run_refused, bad += baro_budget_reserve(m.full, BYTES, &r, NULL) != -ENOMEM)
LOOP(run_refused_why, bad += baro_budget_reserve(m.full, BYTES, &r, &why) != -ENOMEM)
LOOP(run_level, bad += baro_budget_level(m.busy) != BARO_LEVEL_WARNING)
LOOP(run_governor_level, bad += baro_governor_level(m.governor) != BARO_LEVEL_NORMAL)

#define ANCHOR_PAIR(reserve, release)                                                              \
	do {                                                                                       \
		bad += !(reserve);                                                                 \
		AGAIN();                                                                           \
		release;                                                                           \
	} while (0)

LOOP(anchor_one, ANCHOR_PAIR(anchor_reserve(&m.a_one, BYTES), anchor_release(&m.a_one, BYTES)))
LOOP(anchor_governor, ANCHOR_PAIR(anchor_governor_reserve(m.a_engine, i % ENGINES, BYTES),
				  anchor_release(&m.a_engine[i % ENGINES], BYTES)))
LOOP(anchor_engine, ANCHOR_PAIR(anchor_governor_reserve(m.a_engine, 3, BYTES),
				anchor_release(&m.a_engine[3], BYTES)))
LOOP(anchor_engines, ANCHOR_PAIR(anchor_governor_reserve(m.a_engine, me ? 1 : 5, BYTES),
				 anchor_release(&m.a_engine[me ? 1 : 5], BYTES)))
LOOP(anchor_layers,
     ANCHOR_PAIR(anchor_layers_reserve(m.a_layer, BYTES), anchor_layers_release(m.a_layer, BYTES)))
LOOP(anchor_refused, bad += anchor_reserve(&m.a_full, BYTES))
LOOP(anchor_busy_level, bad += anchor_level(&m.a_busy) != BARO_LEVEL_WARNING)

enum row {
	ONE,
	GOVERNOR,
	ENGINE,
	LAYERED,
	LEAVES,
	ONE_2,
	ENGINE_2,
	ENGINES_2,
	LAYERED_2,
	LEAVES_2,
	EXACT,
	REFUSED,
	REFUSED_WHY,
	LEVEL,
	GOVERNOR_LEVEL,
	ANCHOR_ONE,
	ANCHOR_GOVERNOR,
	ANCHOR_LAYERED,
	ANCHOR_ONE_2,
	ANCHOR_ENGINE_2,
	ANCHOR_ENGINES_2,
	ANCHOR_LAYERED_2,
	ANCHOR_REFUSED,
	ANCHOR_LEVEL,
	ROWS
};

static const struct {
	const char *name, *what;
	uint32_t (*run)(unsigned int me, unsigned int n);
	unsigned int threads;
} rows[ROWS] = {
	[ONE] = { "one", "one budget, reserve and release", run_one, 1 },
	[GOVERNOR] = { "governor", "7 engines in turn, reserve and release", run_governor, 1 },
	[ENGINE] = { "engine", "one of 7 engines", run_engine, 1 },
	[LAYERED] = { "layers", "the lowest of four layers", run_layers, 1 },
	[LEAVES] = { "leaf", "one of two budgets under three layers", run_leaves, 1 },
	[ONE_2] = { "one_2", "two threads, one budget", run_one, 2 },
	[ENGINE_2] = { "engine_2", "two threads, the same engine", run_engine, 2 },
	[ENGINES_2] = { "engines_2", "two threads, different engines", run_engines, 2 },
	[LAYERED_2] = { "layers_2", "two threads, the lowest of four layers", run_layers, 2 },
	[LEAVES_2] = { "leaves_2", "two threads, two budgets under three layers", run_leaves, 2 },
	[EXACT] = { "exact", "a budget with BARO_BUDGET_EXACT, or near its limit", run_exact, 1 },
	[REFUSED] = { "refused", "a full budget, no reason wanted", run_refused, 1 },
	[REFUSED_WHY] = { "refused_why", "a full budget, with the reason", run_refused_why, 1 },
	[LEVEL] = { "level", "baro_budget_level() at 75 %", run_level, 1 },
	[GOVERNOR_LEVEL] = { "governor_level", "baro_governor_level()", run_governor_level, 1 },
	[ANCHOR_ONE] = { "anchor_one", "anchor: one budget", anchor_one, 1 },
	[ANCHOR_GOVERNOR] = { "anchor_governor", "anchor: 7 engines in turn", anchor_governor, 1 },
	[ANCHOR_LAYERED] = { "anchor_layers", "anchor: four layers", anchor_layers, 1 },
	[ANCHOR_ONE_2] = { "anchor_one_2", "anchor: two threads, one budget", anchor_one, 2 },
	[ANCHOR_ENGINE_2] = { "anchor_engine_2", "anchor: two threads, the same engine",
			      anchor_engine, 2 },
	[ANCHOR_ENGINES_2] = { "anchor_engines_2", "anchor: two threads, different engines",
			       anchor_engines, 2 },
	[ANCHOR_LAYERED_2] = { "anchor_layers_2", "anchor: two threads, four layers", anchor_layers,
			       2 },
	[ANCHOR_REFUSED] = { "anchor_refused", "anchor: a full budget", anchor_refused, 1 },
	[ANCHOR_LEVEL] = { "anchor_level", "anchor: the level", anchor_busy_level, 1 },
};

/* ---- the other thread ------------------------------------------------------------------------ */

static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool exists, quit;
	uint32_t (*run)(unsigned int me, unsigned int n); /* NULL: sleep */
	_Atomic uint64_t loops;
	_Atomic bool stop, running;
	_Atomic uint32_t bad;
} other = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };

static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		fprintf(stderr, "lib_budget: cannot stay on processor %d: %m, ignoring\n", cpu);
}

static void *other_main(void *arg)
{
	pin_to(*(const int *)arg);
	pthread_mutex_lock(&other.lock);
	while (!other.quit) {
		if (!other.run) {
			pthread_cond_wait(&other.wake, &other.lock);
			continue;
		}
		pthread_mutex_unlock(&other.lock);
		other.running = true;
		while (!other.stop) {
			other.bad += other.run(1, CHUNK);
			other.loops += CHUNK;
		}
		pthread_mutex_lock(&other.lock);
		other.run = NULL;
		other.running = false;
	}
	pthread_mutex_unlock(&other.lock);
	return NULL;
}

static void other_begin(uint32_t (*run)(unsigned int me, unsigned int n))
{
	pthread_mutex_lock(&other.lock);
	other.stop = false;
	other.run = run;
	pthread_cond_signal(&other.wake);
	pthread_mutex_unlock(&other.lock);
	while (!other.running)
		sched_yield();
}

static void other_end(void)
{
	other.stop = true;
	while (other.running)
		sched_yield();
}

/* A second processor to itself, when this process may use two. */
static void other_open(void)
{
	static int cpu[2];
	cpu_set_t set;
	int n = 0;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return;
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set))
			cpu[n++] = i;
	if (n < 2)
		return;
	pin_to(cpu[0]);
	other.exists = pthread_create(&other.thread, NULL, other_main, &cpu[1]) == 0;
}

static void other_close(void)
{
	if (!other.exists)
		return;
	pthread_mutex_lock(&other.lock);
	other.quit = true;
	pthread_cond_signal(&other.wake);
	pthread_mutex_unlock(&other.lock);
	pthread_join(other.thread, NULL);
}

/* ---- measuring ------------------------------------------------------------------------------- */

struct bench {
	unsigned int rounds;
	uint64_t *sample[ROWS]; /* ps per operation */
	unsigned int count[ROWS];
	uint32_t bad;
};

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t time_row(struct bench *b, enum row row)
{
	uint64_t begin;

	b->bad += rows[row].run(0, LOOPS / 10);
	begin = cpu_ns();
	b->bad += rows[row].run(0, LOOPS);
	return (cpu_ns() - begin) * 1000 / LOOPS;
}

static void sample_row(struct bench *b, enum row row)
{
	for (int i = 0; i < TRIES; i++) {
		uint64_t loops = other.loops, ps;

		if (rows[row].threads == 2)
			other_begin(rows[row].run);
		ps = time_row(b, row);
		if (rows[row].threads == 2)
			other_end();
		if (rows[row].threads == 2 && other.loops - loops < LOOPS / 2)
			continue;
		b->sample[row][b->count[row]++] = ps;
		return;
	}
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
			if (rows[order[i]].threads == 1 || other.exists)
				sample_row(b, order[i]);
	}
	for (unsigned int i = 0; i < ROWS; i++)
		qsort(b->sample[i], b->count[i], sizeof(uint64_t), by_value);
	b->bad += other.bad;
}

static double percentile_ns(const struct bench *b, unsigned int row, unsigned int percent)
{
	unsigned int at = b->count[row] * percent / 100;

	return (double)b->sample[row][at] / 1000;
}

static double median_ns(const struct bench *b, unsigned int row)
{
	return percentile_ns(b, row, 50);
}

/* ---- what came out --------------------------------------------------------------------------- */

struct figure {
	const char *name;
	double value, at_most;
};

static int print_table(const struct bench *b, const struct figure *f, unsigned int n)
{
	int missed = 0;

	printf("%-18s %10s %10s %10s\n", "row", "median ns", "p10 ns", "p90 ns");
	for (unsigned int i = 0; i < ROWS; i++) {
		if (!b->count[i])
			printf("%-18s %10s  no second processor was free\n", rows[i].name, "-");
		else
			printf("%-18s %10.2f %10.2f %10.2f  %s\n", rows[i].name, median_ns(b, i),
			       percentile_ns(b, i, 10), percentile_ns(b, i, 90), rows[i].what);
	}
	for (unsigned int i = 0; i < n; i++) {
		bool met = f[i].value <= f[i].at_most;

		printf("%-50s %8.2f  (at most %.1f) %s\n", f[i].name, f[i].value, f[i].at_most,
		       met ? "met" : "MISSED");
		missed += !met;
	}
	return missed;
}

static int print_json(const struct bench *b, const struct figure *f, unsigned int n)
{
	const char *comma = "";
	int missed = 0;

	printf("{\"bench\":\"lib_budget\",\"rounds\":%u,\"rows\":{", b->rounds);
	for (unsigned int i = 0; i < ROWS; i++) {
		if (!b->count[i])
			continue;
		printf("%s\"%s\":{\"median_ns\":%.3f,\"p10_ns\":%.3f,\"p90_ns\":%.3f}", comma,
		       rows[i].name, median_ns(b, i), percentile_ns(b, i, 10),
		       percentile_ns(b, i, 90));
		comma = ",";
	}
	printf("},\"figures\":[");
	for (unsigned int i = 0; i < n; i++) {
		bool met = f[i].value <= f[i].at_most;

		printf("%s{\"name\":\"%s\",\"value\":%.3f,\"at_most\":%.1f,\"met\":%s}",
		       i ? "," : "", f[i].name, f[i].value, f[i].at_most, met ? "true" : "false");
		missed += !met;
	}
	printf("]}\n");
	return missed;
}

static double ratio(const struct bench *b, enum row row, enum row of)
{
	return median_ns(b, row) / median_ns(b, of);
}

static int report(const struct bench *b, bool json)
{
	struct figure f[8] = {
		{ "one budget, ns", median_ns(b, ONE), 8 },
		{ "one budget, times the anchor's, undisturbed",
		  percentile_ns(b, ONE, 5) / percentile_ns(b, ANCHOR_ONE, 5), 1 },
		{ "governor with 7 engines, ns", median_ns(b, GOVERNOR), 15 },
		{ "four layers, ns", median_ns(b, LAYERED), 60 },
	};
	unsigned int n = 4;

	if (b->bad)
		fprintf(stderr, "lib_budget: %u operations did not do what they should\n", b->bad);
	if (b->count[ENGINES_2])
		f[n++] = (struct figure){ "two threads on two engines, times one thread",
					  ratio(b, ENGINES_2, ENGINE), 1.3 };
	if (b->count[LAYERED_2])
		f[n++] = (struct figure){ "two threads on four layers, times one thread",
					  ratio(b, LAYERED_2, LAYERED), 2 };
	if (b->count[LEAVES_2])
		f[n++] = (struct figure){ "two threads on two leaves, times one thread",
					  ratio(b, LEAVES_2, LEAVES), 2 };
	return (json ? print_json : print_table)(b, f, n) || b->bad ? 1 : 0;
}

/* ---- what it is measured on ------------------------------------------------------------------ */

static void open_anchors(void)
{
	m.a_one.limit = m.a_full.limit = m.a_busy.limit = LIMIT;
	m.a_full.used = LIMIT;
	m.a_busy.used = LIMIT / 4 * 3;
	for (int i = 0; i < LAYERS; i++)
		m.a_layer[i].limit = LIMIT;
	for (int i = 0; i < ENGINES; i++)
		m.a_engine[i].limit = LIMIT;
}

static int open_layers(void)
{
	static const char *const name[LAYERS] = { "global", "database", "tenant", "engine" };
	int r = 0;

	for (int i = 0; i < LAYERS && !r; i++)
		r = baro_budget_open(i ? m.layer[i - 1] : NULL, name[i], LIMIT, 0, &m.layer[i]);
	if (!r)
		r = baro_budget_open(m.layer[LAYERS - 2], "leaf0", LIMIT, 0, &m.leaf[0]);
	if (!r)
		r = baro_budget_open(m.layer[LAYERS - 2], "leaf1", LIMIT, 0, &m.leaf[1]);
	return r;
}

static int open_governor(void)
{
	int r = baro_governor_open(LIMIT, &m.governor);

	for (int i = 0; i < ENGINES && !r; i++) {
		char name[16];

		snprintf(name, sizeof(name), "engine%d", i);
		r = baro_governor_add(m.governor, NULL, name, 0, 0, LIMIT / ENGINES, BARO_PAGE_NONE,
				      &m.engine[i]);
	}
	return r;
}

static int open_budgets(void)
{
	int r = baro_budget_open(NULL, "one", LIMIT, 0, &m.one);

	if (!r)
		r = baro_budget_open(NULL, "exact", LIMIT, BARO_BUDGET_EXACT, &m.exact);
	if (!r)
		r = baro_budget_open(NULL, "full", LIMIT, 0, &m.full);
	if (!r)
		r = baro_budget_reserve(m.full, LIMIT, &m.full_held, NULL);
	if (!r)
		r = baro_budget_open(NULL, "busy", LIMIT, 0, &m.busy);
	if (!r)
		r = baro_budget_reserve(m.busy, LIMIT / 4 * 3, &m.busy_held, NULL);
	if (!r)
		r = open_layers();
	return r ? r : open_governor();
}

static void close_budgets(void)
{
	baro_reservation_release(&m.full_held);
	baro_reservation_release(&m.busy_held);
	baro_budget_close(m.one);
	baro_budget_close(m.exact);
	baro_budget_close(m.full);
	baro_budget_close(m.busy);
	baro_budget_close(m.leaf[0]);
	baro_budget_close(m.leaf[1]);
	for (int i = LAYERS; i--;)
		baro_budget_close(m.layer[i]);
	baro_governor_close(m.governor);
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

int main(int argc, char **argv)
{
	static uint64_t samples[ROWS][ROUNDS_MAX];
	struct bench b = { .rounds = ROUNDS_DEFAULT };
	bool json = false;
	int r;

	if (parse(argc, argv, &b, &json) < 0) {
		fprintf(stderr, "usage: lib_budget [--json] [--rounds N]\n");
		return 2;
	}
	for (unsigned int i = 0; i < ROWS; i++)
		b.sample[i] = samples[i];
	open_anchors();
	r = open_budgets();
	if (r < 0) {
		fprintf(stderr, "lib_budget: nothing to measure: %s\n", strerrordesc_np(-r));
		return 1;
	}
	other_open();
	measure(&b);
	other_close();
	r = report(&b, json);
	close_budgets();
	return r;
}
