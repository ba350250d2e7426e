/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SELECT g, count(v), sum(v), min(v), max(v), count(DISTINCT v) FROM rows GROUP BY g, again and again:
 * rows come from SQLite, the groups are ours. When their table fills its budget, or memory is asked
 * back, the largest partitions go to an overflow region; in the end each partition is read back,
 * merged, and every one of its groups compared with what is known by construction.
 */
#include <assert.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <barostat/governor.h>
#include <barostat/overflow.h>
#include <barostat/spill.h>

#include "bench/mixed/groups.h"
#include "bench/mixed/mixed.h"
#include "bench/mixed/rows.h"

#define SHARE_PPM      650000 /* of the engine's budget for groups; the rest for runs in flight */
#define RUNS_MAX       8192
#define ROOM_WITHIN_NS (60 * NS_PER_S)
#define CHECK_EVERY    4096 /* rows between two looks at the budget */
#define SQLITE_CACHE   (4 * MIB)

/* A partition that was spilled. */
struct run {
	void *memory;
	uint32_t groups, partition;
};

struct groupby {
	struct engine *engine;
	sqlite3 *db;
	uint64_t groups_expected;
	struct groups table;
	struct baro_governor *governor;
	struct baro_budget *budget;
	struct baro_overflow *overflow;
	struct baro_spill spill;
	struct run run[RUNS_MAX];
	uint32_t runs;
	uint64_t queries, rows, wrong, groups_checked, spilled_bytes, spills;

	/* asked by the follower, done by the worker */
	pthread_mutex_t lock;
	pthread_cond_t answered;
	_Atomic uint64_t asked_bytes;
	uint64_t answered_bytes;
	bool scanning;
};

/* ---- spilling -------------------------------------------------------------------------------- */

static uint64_t spill_one(struct groupby *q, uint32_t partition)
{
	struct partition *p = &q->table.partition[partition];
	struct run *run = &q->run[q->runs];
	struct group *to;

	if (q->runs == RUNS_MAX)
		errx(1, "more than %d runs", RUNS_MAX);
	must(baro_overflow_alloc(q->overflow, p->groups * sizeof(struct group), &run->memory),
	     "overflow");
	to = run->memory;
	for (uint32_t i = 0; i < p->groups; i++)
		to[i] = *groups_at(p, i);
	run->groups = p->groups;
	run->partition = partition;
	q->runs++;
	must((int)(baro_overflow_evict(q->overflow, run->memory) >> 20), "overflow");
	q->spills++;
	q->spilled_bytes += run->groups * sizeof(struct group);
	baro_spill_note_spilled(&q->spill, run->groups * sizeof(struct group));
	return groups_clear(&q->table, partition);
}

/* The largest first, until so much is free or nothing is left. */
static uint64_t spill_bytes(struct groupby *q, uint64_t bytes)
{
	uint64_t freed = 0;

	while (freed < bytes) {
		uint32_t largest = groups_largest(&q->table);

		if (!q->table.partition[largest].groups)
			break;
		freed += spill_one(q, largest);
	}
	return freed;
}

static uint64_t budget_of(struct groupby *q)
{
	struct baro_budget_stats s;

	baro_budget_read(q->budget, &s);
	return s.wanted_limit_bytes;
}

static void answer(struct groupby *q, uint64_t freed)
{
	pthread_mutex_lock(&q->lock);
	q->answered_bytes += freed;
	q->asked_bytes = 0;
	pthread_cond_broadcast(&q->answered);
	pthread_mutex_unlock(&q->lock);
}

static void answer_follower(struct groupby *q)
{
	answer(q, spill_bytes(q, q->asked_bytes));
}

/* Nothing is left to spill, and still there is no room: while memory is asked back, none is given.
 * That passes; what is needed is one partition. */
static void wait_for_room(struct groupby *q, uint64_t *since_ns)
{
	uint64_t now_ns = clock_now_ns();

	if (!*since_ns)
		*since_ns = now_ns;
	if (now_ns - *since_ns > ROOM_WITHIN_NS)
		errx(1, "the budget has no room for one partition");
	answer(q, 0);
	clock_sleep_until(now_ns + 5 * NS_PER_MS);
}

static void look(struct groupby *q)
{
	uint64_t used = q->table.bytes;

	if (!q->governor)
		return;
	if (q->asked_bytes)
		answer_follower(q);
	if (baro_spill_by_use(&q->spill, used, budget_of(q)) == BARO_SPILL_OUT)
		spill_bytes(q, baro_spill_excess(&q->spill, used));
}

/* ---- the query ------------------------------------------------------------------------------- */

static struct group *get(struct groupby *q, uint64_t key, bool may_spill)
{
	struct group *g = groups_get(&q->table, key);
	uint64_t since_ns = 0;

	while (!g) { /* refused */
		if (!may_spill || !spill_bytes(q, 1))
			wait_for_room(q, &since_ns);
		g = groups_get(&q->table, key);
	}
	return g;
}

/* False: time is over, and the query is given up. */
static bool scan(struct groupby *q)
{
	sqlite3_stmt *rows = rows_prepare(q->db, "SELECT g, v FROM rows");
	uint64_t n = 0, begin_ns = clock_now_ns();
	bool over = false;

	while (!over && sqlite3_step(rows) == SQLITE_ROW) {
		group_add(get(q, (uint64_t)sqlite3_column_int64(rows, 0), true),
			  (uint64_t)sqlite3_column_int64(rows, 1));
		if (++n % CHECK_EVERY)
			continue;
		look(q);
		q->rows += CHECK_EVERY;
		/* there is one whole query, at least */
		over = engine_step(q->engine, clock_now_ns() - begin_ns) && q->queries;
		begin_ns = clock_now_ns();
	}
	sqlite3_finalize(rows);
	return !over;
}

static void check_group(struct groupby *q, const struct group *g)
{
	struct group want = { .key = g->key, .min = UINT64_MAX };

	for (uint64_t turn = 0; turn < ROWS_PER_GROUP; turn++)
		group_add(&want, rows_value(g->key, turn));
	q->groups_checked++;
	if (g->key >= q->groups_expected || g->count != want.count || g->sum != want.sum ||
	    g->min != want.min || g->max != want.max ||
	    memcmp(g->sketch, want.sketch, sizeof(want.sketch)) != 0)
		q->wrong++;
}

/* Reads the runs of a partition back, one after the other, into what is in memory. */
static void merge(struct groupby *q, uint32_t partition)
{
	for (uint32_t i = 0; i < q->runs; i++) {
		const struct group *from = q->run[i].memory;

		if (q->run[i].partition != partition)
			continue;
		for (uint32_t k = 0; k < q->run[i].groups; k++)
			group_merge(get(q, from[k].key, false), &from[k]);
		baro_spill_note_restored(&q->spill, q->run[i].groups * sizeof(struct group));
		must((int)(baro_overflow_free(q->overflow, q->run[i].memory) >> 20), "overflow");
		q->run[i].groups = 0;
		q->run[i].partition = GROUPS_PARTITIONS;
	}
}

/* What is in memory of partitions that have runs goes out first: then any partition fits. */
static void finish(struct groupby *q)
{
	uint64_t found = 0;

	if (q->runs)
		for (uint32_t p = 0; p < GROUPS_PARTITIONS; p++)
			if (q->table.partition[p].groups)
				spill_one(q, p);
	for (uint32_t p = 0; p < GROUPS_PARTITIONS; p++) {
		struct partition *part = &q->table.partition[p];

		merge(q, p);
		for (uint32_t i = 0; i < part->groups; i++)
			check_group(q, groups_at(part, i));
		found += part->groups;
		groups_clear(&q->table, p);
		if (q->asked_bytes)
			answer_follower(q);
	}
	q->runs = 0;
	q->queries++;
	if (found != q->groups_expected)
		q->wrong++;
}

static void forget(struct groupby *q)
{
	for (uint32_t i = 0; i < q->runs; i++)
		baro_overflow_free(q->overflow, q->run[i].memory);
	for (uint32_t p = 0; p < GROUPS_PARTITIONS; p++)
		groups_clear(&q->table, p);
	q->runs = 0;
}

static void scanning(struct groupby *q, bool on)
{
	pthread_mutex_lock(&q->lock);
	q->scanning = on;
	if (!on) {
		q->asked_bytes = 0;
		pthread_cond_broadcast(&q->answered);
	}
	pthread_mutex_unlock(&q->lock);
}

/* ---- following ------------------------------------------------------------------------------- */

static void groupby_apply(void *self, const struct baro_pressure *now, uint64_t now_ns)
{
	struct groupby *q = self;
	uint64_t rss;

	baro_governor_follow(q->governor, now);
	if (baro_rss_read(&rss) == 0)
		baro_governor_reconcile(q->governor, rss, now_ns);
	baro_governor_rebalance(q->governor, now_ns);
	baro_client_set_accounted(q->engine->client, baro_budget_used(q->budget));
}

static uint64_t available(void *self)
{
	return __atomic_load_n(&((struct groupby *)self)->table.bytes, __ATOMIC_RELAXED);
}

/* The table belongs to the worker: it is asked, and waited for. */
static int64_t release(void *self, uint64_t want_bytes, uint64_t deadline_ns)
{
	struct groupby *q = self;
	uint64_t until_ns = clock_now_ns() + NS_PER_S;
	struct timespec until;
	int64_t freed;

	if (deadline_ns < until_ns)
		until_ns = deadline_ns;
	until = (struct timespec){ .tv_sec = (time_t)(until_ns / NS_PER_S),
				   .tv_nsec = (long)(until_ns % NS_PER_S) };
	pthread_mutex_lock(&q->lock);
	q->answered_bytes = 0;
	q->asked_bytes = q->scanning ? want_bytes : 0;
	while (q->asked_bytes &&
	       pthread_cond_clockwait(&q->answered, &q->lock, CLOCK_MONOTONIC, &until) == 0)
		;
	q->asked_bytes = 0;
	freed = (int64_t)q->answered_bytes;
	pthread_mutex_unlock(&q->lock);
	return freed ? freed : -EAGAIN;
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void open_all(struct groupby *q)
{
	const struct baro_overflow_options options = { .size = sizeof(options),
						       .dir = ".",
						       .max_bytes = 4 * q->engine->ceiling_bytes };
	char pragma[64];

	q->groups_expected = groupby_groups(q->engine->ceiling_bytes);
	q->db = rows_open(q->engine->path);
	snprintf(pragma, sizeof(pragma), "PRAGMA cache_size=-%u",
		 (unsigned int)(SQLITE_CACHE >> 10));
	rows_sql(q->db, pragma);
	if (!q->engine->managed)
		return;
	must(baro_overflow_open(&options, &q->overflow), "overflow");
	must(baro_spill_init(&q->spill, NULL), "spill");
	must(baro_governor_open(q->engine->ceiling_bytes, &q->governor), "governor");
	must(baro_governor_set_share(q->governor, SHARE_PPM), "governor");
	must(baro_governor_add(q->governor, NULL, "groups", 0, 0, q->engine->ceiling_bytes,
			       q->engine->ceiling_bytes, &q->budget),
	     "governor");
	q->table.budget = q->budget;
}

static void report(struct groupby *q, FILE *out)
{
	fprintf(out, "{");
	engine_report(q->engine, out);
	fprintf(out,
		",\"right\":%s,\"queries\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"groups\":%" PRIu64
		",\"checked\":%" PRIu64 ",\"wrong\":%" PRIu64 ",\"spills\":%" PRIu64
		",\"spilled_bytes\":%" PRIu64 "}\n",
		q->queries && !q->wrong ? "true" : "false", q->queries, q->rows, q->groups_expected,
		q->groups_checked, q->wrong, q->spills, q->spilled_bytes);
}

int groupby_run(struct engine *e, FILE *out)
{
	static struct groupby q = { .lock = PTHREAD_MUTEX_INITIALIZER,
				    .answered = PTHREAD_COND_INITIALIZER };

	q.engine = e;
	e->self = &q;
	e->apply = groupby_apply;
	open_all(&q);
	engine_open(e);
	engine_want(e, e->ceiling_bytes * 9 / 10);
	engine_relief(e, "groups", 10, BARO_LEVEL_CRITICAL, 0, available, release);
	if (e->managed) {
		must(baro_spill_add_metrics(&q.spill, e->metrics, "groups"), "metrics");
		must(baro_overflow_add_metrics(q.overflow, e->metrics, "groups"), "metrics");
	}
	engine_begin(e);
	scanning(&q, true);
	while (scan(&q))
		finish(&q);
	scanning(&q, false);
	forget(&q);
	engine_end(e);
	report(&q, out);
	engine_close(e);
	baro_governor_close(q.governor);
	baro_overflow_close(q.overflow);
	sqlite3_close(q.db);
	return !q.queries || q.wrong;
}
