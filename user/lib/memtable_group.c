// SPDX-License-Identifier: BSD-2-Clause
/* Many memtables under one write budget; one that is alone is a group of one without a budget. */
#include <errno.h>
#include <stdlib.h>

#include "user/lib/arith.h"
#include "user/lib/memtable_internal.h"

#define PPM 1000000u

int baro_memtable_group_open(uint64_t budget_bytes, struct baro_memtable_group **ret_group)
{
	struct baro_memtable_group *g;

	if (!budget_bytes)
		return -EINVAL;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->budget_bytes = budget_bytes;
	*ret_group = g;
	return 0;
}

int baro_memtable_group_close(struct baro_memtable_group *g)
{
	if (!g)
		return 0;
	if (g->tables)
		return -EBUSY;
	free(g->table);
	free(g->share);
	free(g->held_bytes);
	free(g);
	return 0;
}

int baro_memtable_group_set_budget(struct baro_memtable_group *g, uint64_t budget_bytes)
{
	if (!budget_bytes)
		return -EINVAL;
	lock_take(&g->lock);
	g->budget_bytes = budget_bytes;
	lock_give(&g->lock);
	return 0;
}

static int resize(void **array, size_t count, size_t each)
{
	void *p = reallocarray(*array, count, each);

	if (!p)
		return -ENOMEM;
	*array = p;
	return 0;
}

static int make_room(struct baro_memtable_group *g)
{
	size_t room = g->room ? 2 * g->room : 1;

	if (g->tables < g->room)
		return 0;
	if (resize((void **)&g->table, room, sizeof(void *)) < 0 ||
	    resize((void **)&g->share, room, sizeof(*g->share)) < 0 ||
	    resize((void **)&g->held_bytes, room, sizeof(*g->held_bytes)) < 0)
		return -ENOMEM;
	g->room = room;
	return 0;
}

/* ---- shares and turns ------------------------------------------------------------------------ */

/* Does not write, or has not been seen writing yet. */
static bool is_quiet(const struct baro_memtable *m)
{
	return m->rate.idle || m->rate.weight <= 0;
}

static void set_targets(struct baro_memtable_group *g)
{
	uint64_t wanted = 0, target = 0;

	for (size_t i = 0; i < g->tables; i++) {
		const struct baro_memtable *m = g->table[i];

		g->share[i] = (struct memtable_share){ .min_bytes = m->options.min_bytes,
						       .wanted_bytes = m->wanted_bytes,
						       .rate = m->rate.per_s,
						       .idle = is_quiet(m) };
		wanted = lib_add(wanted, m->wanted_bytes);
	}
	memtable_share_budget(g->share, g->tables, g->budget_bytes);
	for (size_t i = 0; i < g->tables; i++) {
		target += g->share[i].target_bytes;
		__atomic_store_n(&g->table[i]->target_bytes, g->share[i].target_bytes,
				 __ATOMIC_RELAXED);
	}
	g->wanted_bytes = wanted;
	g->target_bytes = target;
}

struct sums {
	uint64_t held, sealed;
	uint64_t kept; /* of what is held, and of minima that are not: not to be lent */
	double rate; /* of those who write */
};

static struct sums sum_up(struct baro_memtable_group *g)
{
	struct sums s = { 0 };

	for (size_t i = 0; i < g->tables; i++) {
		const struct baro_memtable *m = g->table[i];

		g->held_bytes[i] = baro_memtable_held(m);
		s.held = lib_add(s.held, g->held_bytes[i]);
		s.sealed = lib_add(s.sealed, m->sealed_bytes);
		s.kept = lib_add(s.kept, lib_max(g->held_bytes[i], m->options.min_bytes));
		s.rate += is_quiet(m) ? 0 : m->rate.per_s;
	}
	return s;
}

/* What is being flushed already will be gone soon. */
static bool is_over(const struct baro_memtable_group *g, const struct sums *s)
{
	return lib_add(s->held, s->sealed) > g->budget_bytes && s->sealed < s->held;
}

/* The largest of those over their targets. */
static struct baro_memtable *largest(const struct baro_memtable_group *g)
{
	struct baro_memtable *found = NULL;
	uint64_t most = 0;

	for (size_t i = 0; i < g->tables; i++)
		if (g->held_bytes[i] > g->share[i].target_bytes && g->held_bytes[i] > most) {
			most = g->held_bytes[i];
			found = g->table[i];
		}
	return found;
}

/*
 * How far each may grow until the next update. What nobody uses is lent by rate; minima are not
 * lent, they must be there for who begins to write. Whose turn it is not may grow by its minimum
 * in any case, also while the group is over: asking all at once would not free memory sooner.
 * Nobody grows beyond what it wants by itself.
 */
static void set_flush_at(struct baro_memtable_group *g, const struct sums *s,
			 const struct baro_memtable *turn)
{
	uint64_t spare = lib_less(g->budget_bytes, lib_add(s->kept, s->sealed));

	spare = lib_min(spare, INT64_MAX); /* a double can hold it, and a share of it comes back */
	for (size_t i = 0; i < g->tables; i++) {
		const struct memtable_share *share = &g->share[i];
		struct baro_memtable *m = g->table[i];
		uint64_t at = share->target_bytes, more = share->min_bytes;

		if (!turn && !share->idle && s->rate > 0)
			more = lib_max(more, (uint64_t)((double)spare * (share->rate / s->rate)));
		if (m != turn)
			at = lib_min(m->wanted_bytes, lib_max(at, lib_add(g->held_bytes[i], more)));
		__atomic_store_n(&m->flush_at_bytes, lib_max(at, 1), __ATOMIC_RELAXED);
	}
}

/* Without a budget there is nothing to share. */
static void allot_wanted(struct baro_memtable_group *g)
{
	uint64_t wanted = 0;

	for (size_t i = 0; i < g->tables; i++) {
		struct baro_memtable *m = g->table[i];

		wanted = lib_add(wanted, m->wanted_bytes);
		__atomic_store_n(&m->target_bytes, m->wanted_bytes, __ATOMIC_RELAXED);
		__atomic_store_n(&m->flush_at_bytes, m->wanted_bytes, __ATOMIC_RELAXED);
	}
	g->wanted_bytes = g->target_bytes = wanted;
}

static struct baro_memtable *allot(struct baro_memtable_group *g)
{
	struct baro_memtable *turn = NULL;
	struct sums s;

	if (g->budget_bytes == BARO_PAGE_NONE) {
		allot_wanted(g);
		return NULL;
	}
	set_targets(g);
	s = sum_up(g);
	if (is_over(g, &s))
		turn = largest(g);
	set_flush_at(g, &s, turn);
	return turn;
}

int memtable_group_join(struct baro_memtable_group *g, struct baro_memtable *m)
{
	int r = make_room(g);

	if (r < 0)
		return r;
	m->group = g;
	m->wanted_bytes = memtable_wanted(m, 0);
	g->table[g->tables++] = m;
	allot(g);
	return 0;
}

void memtable_group_leave(struct baro_memtable_group *g, struct baro_memtable *m)
{
	size_t i = 0;

	while (g->table[i] != m)
		i++;
	g->tables--;
	for (; i < g->tables; i++)
		g->table[i] = g->table[i + 1];
	allot(g);
}

struct baro_memtable *baro_memtable_group_update(struct baro_memtable_group *g, uint64_t now_ns,
						 const struct baro_pressure *pressure)
{
	uint32_t score = pressure ? (uint32_t)lib_min(pressure->score_ppm, PPM) : 0;
	struct baro_memtable *turn = NULL;

	/* Bytes and interval are taken by one: who comes meanwhile leaves his bytes to the next. */
	if (!lock_try(&g->lock)) {
		__atomic_fetch_add(&g->updates_skipped, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	if (g->updated && now_ns <= g->now_ns) {
		__atomic_fetch_add(&g->updates_skipped, 1, __ATOMIC_RELAXED);
	} else {
		for (size_t i = 0; i < g->tables; i++) {
			struct baro_memtable *m = g->table[i];

			memtable_rate_update(&m->rate, percpu_sum(&m->written), now_ns, m->per_tau,
					     m->options.buffer_ns);
			m->pressure_ppm = score;
			m->wanted_bytes = memtable_wanted(m, score);
		}
		g->now_ns = now_ns;
		g->updated = true;
		g->updates++;
		turn = allot(g);
	}
	lock_give(&g->lock);
	return turn;
}

void baro_memtable_group_read(struct baro_memtable_group *g,
			      struct baro_memtable_group_stats *ret_stats)
{
	struct sums s;

	lock_take(&g->lock);
	s = sum_up(g);
	*ret_stats = (struct baro_memtable_group_stats){
		.budget_bytes = g->budget_bytes,
		.target_bytes = g->target_bytes,
		.wanted_bytes = g->wanted_bytes,
		.held_bytes = s.held,
		.sealed_bytes = s.sealed,
		.over_bytes = lib_less(lib_add(s.held, s.sealed), g->budget_bytes),
		.updates = g->updates,
		.updates_skipped = __atomic_load_n(&g->updates_skipped, __ATOMIC_RELAXED),
		.tables = (uint32_t)g->tables,
	};
	lock_give(&g->lock);
}
