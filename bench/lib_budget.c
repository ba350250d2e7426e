// SPDX-License-Identifier: BSD-2-Clause
/*
 * What reserving and releasing costs, beside the algorithm that other governors use, which is
 * written anew in seed_budget.h. See rounds.h for how it is measured.
 *
 * The comparison with the seed's algorithm is of the least disturbed twentieth of the rounds of
 * either: what other programs do to a processor is no part of an algorithm, and takes more from one
 * that is bound by what it executes than from one that waits for its two locked instructions.
 *
 * Two threads that share nothing lose something to each other where two processors share a core;
 * rows of two threads are therefore compared with two on budgets in trees of their own.
 *
 *	build/bench/lib_budget [--json] [--rounds N]
 *
 * Exit status 1 when a figure is missed.
 */
#include "bench/rounds.h"
#include "bench/seed_budget.h"
#include "include/barostat/governor.h"

#define ROUNDS_WANTED 301
#define LOOPS         10000 /* some 50 us: as a rule nobody else runs in between */
#define BYTES         UINT64_C(4096)
#define LIMIT         (UINT64_C(1) << 30)

static struct {
	struct baro_budget *one, *exact, *apart[2], *layer[SEED_LAYERS], *leaf[2], *full, *busy;
	struct baro_governor *governor;
	struct baro_budget *engine[SEED_ENGINES];
	struct baro_reservation full_held, busy_held;
	struct seed_budget seed_one, seed_layer[SEED_LAYERS], seed_engine[SEED_ENGINES], seed_full,
	    seed_busy;
	bool went_wrong;
} m;

/* ---- rows ------------------------------------------------------------------------------------ */

/* A row whose operation adds to `bad` when it does not do what it should. */
#define ROW(name, operation)                                                                       \
	static void name(unsigned int n)                                                           \
	{                                                                                          \
		struct baro_reservation r;                                                         \
		struct baro_refusal why;                                                           \
		unsigned int bad = 0;                                                              \
                                                                                                   \
		(void)r, (void)why;                                                                \
		ROUNDS_LOOP(n, operation);                                                         \
		if (bad)                                                                           \
			m.went_wrong = true;                                                       \
	}

#define PAIR(budget)                                                                               \
	do {                                                                                       \
		bad += baro_budget_reserve((budget), BYTES, &r, NULL) != 0;                        \
		bad += baro_reservation_release(&r) != 0;                                          \
	} while (0)

ROW(run_one, PAIR(m.one))
ROW(run_exact, PAIR(m.exact))
ROW(run_apart, PAIR(m.apart[rounds_me]))
ROW(run_governor, PAIR(m.engine[i_ % SEED_ENGINES]))
ROW(run_engine, PAIR(m.engine[3]))
ROW(run_engines, PAIR(m.engine[rounds_me ? 1 : 5]))
ROW(run_layers, PAIR(m.layer[SEED_LAYERS - 1]))
ROW(run_leaves, PAIR(m.leaf[rounds_me]))
ROW(run_refused, bad += baro_budget_reserve(m.full, BYTES, &r, NULL) != -ENOMEM)
ROW(run_refused_why, bad += baro_budget_reserve(m.full, BYTES, &r, &why) != -ENOMEM)
ROW(run_level, bad += baro_budget_level(m.busy) != BARO_LEVEL_WARNING)
ROW(run_governor_level, bad += baro_governor_level(m.governor) != BARO_LEVEL_NORMAL)

#define SEED_PAIR(reserve, release)                                                                \
	do {                                                                                       \
		bad += !(reserve);                                                                 \
		__asm__ volatile("" ::: "memory");                                                 \
		release;                                                                           \
	} while (0)
#define SEED_GOVERNOR_PAIR(i)                                                                      \
	SEED_PAIR(seed_governor_reserve(m.seed_engine, (i), BYTES, LIMIT),                         \
		  seed_release(&m.seed_engine[i], BYTES))

ROW(run_seed_one, SEED_PAIR(seed_reserve(&m.seed_one, BYTES), seed_release(&m.seed_one, BYTES)))
ROW(run_seed_governor, SEED_GOVERNOR_PAIR(i_ % SEED_ENGINES))
ROW(run_seed_engine, SEED_GOVERNOR_PAIR(3))
ROW(run_seed_engines, SEED_GOVERNOR_PAIR(rounds_me ? 1 : 5))
ROW(run_seed_layers,
    SEED_PAIR(seed_layers_reserve(m.seed_layer, BYTES), seed_layers_release(m.seed_layer, BYTES)))
ROW(run_seed_refused, bad += seed_reserve(&m.seed_full, BYTES))
ROW(run_seed_level, bad += seed_level(&m.seed_busy) != BARO_LEVEL_WARNING)

enum row {
	ONE,
	GOVERNOR,
	ENGINE,
	LAYERED,
	LEAVES,
	APART,
	APART_2,
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
	SEED_ONE,
	SEED_GOVERNOR,
	SEED_LAYERED,
	SEED_ONE_2,
	SEED_ENGINE_2,
	SEED_ENGINES_2,
	SEED_LAYERED_2,
	SEED_REFUSED,
	SEED_LEVEL,
	ROWS
};

static struct rounds_row rows[ROWS] = {
	[ONE] = { "one", "one budget, reserve and release", run_one, LOOPS, 1, NULL },
	[GOVERNOR] = { "governor", "7 engines in turn", run_governor, LOOPS, 1, NULL },
	[ENGINE] = { "engine", "one of 7 engines", run_engine, LOOPS, 1, NULL },
	[LAYERED] = { "layers", "the lowest of four layers", run_layers, LOOPS, 1, NULL },
	[LEAVES] = { "leaf", "one of two budgets under three layers", run_leaves, LOOPS, 1, NULL },
	[APART] = { "apart", "one of two budgets in trees of their own", run_apart, LOOPS, 1,
		    NULL },
	[APART_2] = { "apart_2", "two threads that share nothing", run_apart, LOOPS, 2, NULL },
	[ONE_2] = { "one_2", "by two threads at once", run_one, LOOPS, 2, NULL },
	[ENGINE_2] = { "engine_2", "two threads, the same engine", run_engine, LOOPS, 2, NULL },
	[ENGINES_2] = { "engines_2", "two threads, different engines", run_engines, LOOPS, 2,
			NULL },
	[LAYERED_2] = { "layers_2", "two threads, four layers", run_layers, LOOPS, 2, NULL },
	[LEAVES_2] = { "leaves_2", "two threads, two budgets under three layers", run_leaves, LOOPS,
		       2, NULL },
	[EXACT] = { "exact", "BARO_BUDGET_EXACT, or near a limit", run_exact, LOOPS, 1, NULL },
	[REFUSED] = { "refused", "a full budget, no reason wanted", run_refused, LOOPS, 1, NULL },
	[REFUSED_WHY] = { "refused_why", "a full budget, with the reason", run_refused_why, LOOPS,
			  1, NULL },
	[LEVEL] = { "level", "baro_budget_level() at 75 %", run_level, LOOPS, 1, NULL },
	[GOVERNOR_LEVEL] = { "governor_level", "baro_governor_level()", run_governor_level, LOOPS,
			     1, NULL },
	[SEED_ONE] = { "seed_one", "one budget", run_seed_one, LOOPS, 1, NULL },
	[SEED_GOVERNOR] = { "seed_governor", "7 engines in turn", run_seed_governor, LOOPS, 1,
			    NULL },
	[SEED_LAYERED] = { "seed_layers", "four layers", run_seed_layers, LOOPS, 1, NULL },
	[SEED_ONE_2] = { "seed_one_2", "by two threads at once", run_seed_one, LOOPS, 2, NULL },
	[SEED_ENGINE_2] = { "seed_engine_2", "two threads, the same engine", run_seed_engine, LOOPS,
			    2, NULL },
	[SEED_ENGINES_2] = { "seed_engines_2", "two threads, different engines", run_seed_engines,
			     LOOPS, 2, NULL },
	[SEED_LAYERED_2] = { "seed_layers_2", "two threads, four layers", run_seed_layers, LOOPS, 2,
			     NULL },
	[SEED_REFUSED] = { "seed_refused", "a full budget", run_seed_refused, LOOPS, 1, NULL },
	[SEED_LEVEL] = { "seed_level", "the level", run_seed_level, LOOPS, 1, NULL },
};

/* ---- what is measured ------------------------------------------------------------------------ */

static void open_seeds(void)
{
	m.seed_one.limit = m.seed_full.limit = m.seed_busy.limit = LIMIT;
	m.seed_full.used = LIMIT;
	m.seed_busy.used = LIMIT / 4 * 3;
	for (int i = 0; i < SEED_LAYERS; i++)
		m.seed_layer[i].limit = LIMIT;
	for (int i = 0; i < SEED_ENGINES; i++)
		m.seed_engine[i].limit = LIMIT;
}

static int open_layers(void)
{
	static const char *const name[SEED_LAYERS] = { "global", "database", "tenant", "engine" };
	int r = 0;

	for (int i = 0; i < SEED_LAYERS && !r; i++)
		r = baro_budget_open(i ? m.layer[i - 1] : NULL, name[i], LIMIT, 0, &m.layer[i]);
	if (!r)
		r = baro_budget_open(m.layer[SEED_LAYERS - 2], "leaf0", LIMIT, 0, &m.leaf[0]);
	if (!r)
		r = baro_budget_open(m.layer[SEED_LAYERS - 2], "leaf1", LIMIT, 0, &m.leaf[1]);
	return r;
}

static int open_governor(void)
{
	int r = baro_governor_open(LIMIT, &m.governor);

	for (int i = 0; i < SEED_ENGINES && !r; i++) {
		char name[16];

		snprintf(name, sizeof(name), "engine%d", i);
		r = baro_governor_add(m.governor, NULL, name, 0, 0, LIMIT / SEED_ENGINES,
				      BARO_PAGE_NONE, &m.engine[i]);
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
		r = baro_budget_open(NULL, "apart0", LIMIT, 0, &m.apart[0]);
	if (!r)
		r = baro_budget_open(NULL, "apart1", LIMIT, 0, &m.apart[1]);
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
	baro_budget_close(m.apart[0]);
	baro_budget_close(m.apart[1]);
	baro_budget_close(m.leaf[0]);
	baro_budget_close(m.leaf[1]);
	for (int i = SEED_LAYERS; i--;)
		baro_budget_close(m.layer[i]);
	baro_governor_close(m.governor);
}

static double ratio(const struct rounds *r, enum row row, enum row of)
{
	return rounds_median_ns(r, row) / rounds_median_ns(r, of);
}

static int report(const struct rounds *r)
{
	const struct rounds_figure f[] = {
		{ "one budget, ns", rounds_median_ns(r, ONE), 8 },
		{ "one budget, times the seed's, undisturbed",
		  rounds_percent_ns(r, ONE, 5) / rounds_percent_ns(r, SEED_ONE, 5), 1 },
		{ "governor with 7 engines, ns", rounds_median_ns(r, GOVERNOR), 15 },
		{ "four layers, ns", rounds_median_ns(r, LAYERED), 60 },
		{ "two threads on two engines, times two apart", ratio(r, ENGINES_2, APART_2),
		  1.3 },
		{ "two threads on four layers, times two apart", ratio(r, LAYERED_2, APART_2), 2 },
		{ "two threads on two leaves, times two apart", ratio(r, LEAVES_2, APART_2), 2 },
	};

	return rounds_report(r, f, sizeof(f) / sizeof(f[0]));
}

int main(int argc, char **argv)
{
	struct rounds r = {
		.name = "lib_budget", .row = rows, .rows = ROWS, .rounds = ROUNDS_WANTED
	};
	int missed, err;

	if (rounds_parse(argc, argv, &r) < 0) {
		fprintf(stderr, "usage: lib_budget [--json] [--rounds N]\n");
		return 2;
	}
	open_seeds();
	err = open_budgets();
	if (err < 0) {
		fprintf(stderr, "lib_budget: nothing to measure: %s\n", strerrordesc_np(-err));
		return 1;
	}
	rounds_measure(&r);
	missed = report(&r);
	if (m.went_wrong)
		fprintf(stderr,
			"lib_budget: something was granted or refused that should not be\n");
	close_budgets();
	return missed || m.went_wrong;
}
