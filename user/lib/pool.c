// SPDX-License-Identifier: BSD-2-Clause
/* Pools under one budget: when shares move, and when memory is to be released. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/arith.h"
#include "user/lib/options.h"
#include "user/lib/pool_internal.h"

#define INTERVAL_NS     UINT64_C(5000000000)
#define COOLDOWN_NS     UINT64_C(30000000000)
#define PRESSURED_PPM   800000u
#define STEP_PPM        50000u
#define STEP_MIN_PPM    10000u /* less is not worth a move */
#define EVICTIONS_MANY  100
#define EVICTION_PPM    1000u /* what each of them adds: evictions / 1000 */
#define COOLDOWN_SHIFTS 4 /* the longest pause is 16 times the first */
/* So many cooldowns after the last move the next one is not against anything; and so many after the
 * last pause the next one is short again. */
#define FORGET_COOLDOWNS 20
#define CALM_COOLDOWNS   10
#define CGROUP_PPM       850000u /* of the score: level critical */

struct pool {
	char name[BARO_POOL_NAME_MAX];
	uint64_t budget_bytes; /* atomic */
	uint64_t used_bytes;
	uint64_t evictions, evictions_before; /* since ever: now, and at the last evaluation */
	uint32_t share_ppm;
	uint32_t pressure_ppm;
	int32_t last; /* +1: received, -1: gave in the last move it was part of */
};

struct baro_pools {
	pthread_mutex_t lock;
	uint32_t n;
	struct pool pool[BARO_POOLS_MAX];
	uint64_t budget_bytes, own_budget_bytes; /* in force; without the daemon */
	uint64_t interval_ns, cooldown_ns;
	uint32_t follow_ppm;
	uint32_t hint;
	uint32_t hint_weight[BARO_POOLS_HINTS][BARO_POOLS_MAX];
	uint32_t before_hint_ppm[BARO_POOLS_MAX];
	bool evaluated;
	uint64_t evaluated_ns;
	uint64_t moved_ns, cooldown_until_ns;
	uint32_t streak; /* reversals without much calm between them */
	uint64_t moves, reversals, releases;
};

/* ---- opening --------------------------------------------------------------------------------- */

static void share_out(struct baro_pools *p)
{
	uint64_t rest = p->budget_bytes;

	for (uint32_t i = p->n; i-- > 1;) {
		uint64_t part = lib_part_ppm(p->budget_bytes, p->pool[i].share_ppm);

		__atomic_store_n(&p->pool[i].budget_bytes, part, __ATOMIC_RELAXED);
		rest -= part;
	}
	__atomic_store_n(&p->pool[0].budget_bytes, rest, __ATOMIC_RELAXED);
}

static void set_shares(struct baro_pools *p, const uint32_t *ppm)
{
	for (uint32_t i = 0; i < p->n; i++)
		p->pool[i].share_ppm = ppm[i];
	share_out(p);
}

static int take_specs(struct baro_pools *p, const struct baro_pool_spec *spec, uint32_t n)
{
	uint32_t weight[BARO_POOLS_MAX], ppm[BARO_POOLS_MAX];

	if (n < 1 || n > BARO_POOLS_MAX)
		return -EINVAL;
	p->n = n;
	for (uint32_t i = 0; i < n; i++) {
		if (!spec[i].name || !*spec[i].name || strlen(spec[i].name) >= BARO_POOL_NAME_MAX)
			return -EINVAL;
		memcpy(p->pool[i].name, spec[i].name, strlen(spec[i].name) + 1);
		weight[i] = spec[i].share;
		for (uint32_t h = 0; h < BARO_POOLS_HINTS; h++)
			p->hint_weight[h][i] = spec[i].hint_share[h];
	}
	pool_shares(weight, n, ppm);
	set_shares(p, ppm);
	return 0;
}

static int take_options(struct baro_pools *p, const struct baro_pools_options *o)
{
	const struct baro_pool_spec two[] = {
		{ "cache", o->cache_ppm ? o->cache_ppm : 400000, { 0, 30, 60, 50, 25 } },
		{ "mmap", o->cache_ppm ? POOL_PPM - o->cache_ppm : 600000, { 0, 70, 40, 50, 75 } },
	};

	if (o->follow_ppm > POOL_PPM || o->cache_ppm > POOL_PPM || (!o->pool && o->pools))
		return -EINVAL;
	if (o->budget_bytes < BARO_POOLS_BYTES_MIN)
		return -ERANGE;
	p->budget_bytes = p->own_budget_bytes = o->budget_bytes;
	p->follow_ppm = o->follow_ppm;
	p->interval_ns = o->interval_ns ? o->interval_ns : INTERVAL_NS;
	p->cooldown_ns = o->cooldown_ns ? o->cooldown_ns : COOLDOWN_NS;
	return o->pool ? take_specs(p, o->pool, o->pools) : take_specs(p, two, 2);
}

int baro_pools_open(const struct baro_pools_options *options, struct baro_pools **ret_pools)
{
	struct baro_pools_options o;
	struct baro_pools *p;
	int r = options_take(&o, sizeof(o), sizeof(o), options);

	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	r = take_options(p, &o);
	if (r < 0) {
		free(p);
		return r;
	}
	pthread_mutex_init(&p->lock, NULL);
	*ret_pools = p;
	return 0;
}

void baro_pools_close(struct baro_pools *p)
{
	if (!p)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* ---- budget and hint ------------------------------------------------------------------------- */

uint64_t baro_pools_budget(const struct baro_pools *p, uint32_t pool)
{
	return pool < p->n ? __atomic_load_n(&p->pool[pool].budget_bytes, __ATOMIC_RELAXED) : 0;
}

static void set_budget(struct baro_pools *p, uint64_t bytes)
{
	if (bytes == p->budget_bytes)
		return;
	p->budget_bytes = bytes;
	share_out(p);
}

int baro_pools_set_budget(struct baro_pools *p, uint64_t budget_bytes)
{
	if (budget_bytes < BARO_POOLS_BYTES_MIN)
		return -ERANGE;
	pthread_mutex_lock(&p->lock);
	/* What is followed goes on until the next tick. */
	if (p->budget_bytes == p->own_budget_bytes || !p->follow_ppm)
		set_budget(p, budget_bytes);
	p->own_budget_bytes = budget_bytes;
	pthread_mutex_unlock(&p->lock);
	return 0;
}

/*
 * The daemon's budget, also when it is below what anybody would configure. A request to release may
 * leave the budget where it is until the bytes are there: what is asked back must not be filled
 * again meanwhile.
 */
static void follow(struct baro_pools *p, const struct baro_pressure *pressure)
{
	uint64_t bytes;

	if (!p->follow_ppm || !pressure)
		return;
	bytes = pressure->budget_bytes;
	if (bytes && bytes != BARO_PAGE_NONE && pressure->release_bytes)
		bytes = lib_max(
		    lib_min(bytes, lib_less(pressure->usage_bytes, pressure->release_bytes)), 1);
	set_budget(p, !bytes || bytes == BARO_PAGE_NONE ? p->own_budget_bytes
							: lib_part_ppm(bytes, p->follow_ppm));
}

int baro_pools_set_hint(struct baro_pools *p, uint32_t hint)
{
	uint32_t ppm[BARO_POOLS_MAX];
	uint64_t any = 0;

	if (hint >= BARO_POOLS_HINTS)
		return -EINVAL;
	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < p->n; i++) {
		any += p->hint_weight[hint][i];
		if (p->hint == BARO_HINT_AUTO)
			p->before_hint_ppm[i] = p->pool[i].share_ppm;
	}
	p->hint = hint;
	if (hint == BARO_HINT_AUTO) {
		set_shares(p, p->before_hint_ppm);
	} else if (any) {
		pool_shares(p->hint_weight[hint], p->n, ppm);
		set_shares(p, ppm);
	}
	pthread_mutex_unlock(&p->lock);
	return 0;
}

/* ---- a tick: with the lock held -------------------------------------------------------------- */

/* 0 .. 1000000 */
static uint32_t fill_ppm(uint64_t used_bytes, uint64_t budget_bytes)
{
	if (used_bytes >= budget_bytes)
		return used_bytes ? POOL_PPM : 0;
	return (uint32_t)((unsigned __int128)used_bytes * POOL_PPM / budget_bytes);
}

/* Evictions since the last evaluation, as many as they would be in one interval. */
static uint64_t evictions_per_interval(const struct baro_pools *p, const struct pool *pool,
				       uint64_t elapsed_ns)
{
	/* a counter that begins anew */
	uint64_t n = pool->evictions >= pool->evictions_before
			 ? pool->evictions - pool->evictions_before
			 : pool->evictions;

	if (!p->evaluated)
		return 0;
	n = (uint64_t)lib_min((uint64_t)((unsigned __int128)lib_min(n, UINT32_MAX) *
					 p->interval_ns / lib_max(elapsed_ns, 1)),
			      UINT32_MAX);
	return n;
}

/* Returns how many are pressured. */
static uint32_t measure(struct baro_pools *p, uint64_t now_ns)
{
	uint32_t pressured = 0;

	for (uint32_t i = 0; i < p->n; i++) {
		struct pool *pool = &p->pool[i];
		uint64_t n = evictions_per_interval(p, pool, now_ns - p->evaluated_ns);
		uint64_t ppm = fill_ppm(pool->used_bytes, pool->budget_bytes);

		if (n > EVICTIONS_MANY)
			ppm += n * EVICTION_PPM;
		pool->pressure_ppm = (uint32_t)lib_min(ppm, POOL_PPM);
		pool->evictions_before = pool->evictions;
		pressured += pool->pressure_ppm > PRESSURED_PPM;
	}
	p->evaluated = true;
	p->evaluated_ns = now_ns;
	return pressured;
}

static bool cgroup_is_pressured(const struct baro_pressure *pressure)
{
	return pressure && (BARO_STATUS_LEVEL(pressure->status) >= BARO_LEVEL_CRITICAL ||
			    pressure->score_ppm >= CGROUP_PPM);
}

static uint32_t share_max(const struct baro_pools *p)
{
	return POOL_PPM - (p->n - 1) * pool_share_min(p->n);
}

/* The most pressured pool that may still grow. */
static uint32_t find_receiver(const struct baro_pools *p)
{
	uint32_t found = BARO_POOLS_NO_POOL, most = PRESSURED_PPM;

	for (uint32_t i = 0; i < p->n; i++)
		if (p->pool[i].pressure_ppm > most &&
		    p->pool[i].share_ppm + STEP_MIN_PPM <= share_max(p)) {
			most = p->pool[i].pressure_ppm;
			found = i;
		}
	return found;
}

/* What a pool can give without having less than the least share; and of that, without being
 * pressured itself. */
static uint32_t to_least(const struct baro_pools *p, const struct pool *pool)
{
	return pool->share_ppm - pool_share_min(p->n);
}

static uint32_t to_pressure(const struct baro_pools *p, const struct pool *pool)
{
	/* the share of which what it uses is 80 % */
	unsigned __int128 ppm = (unsigned __int128)pool->used_bytes * POOL_PPM / PRESSURED_PPM *
				POOL_PPM / lib_max(p->budget_bytes, 1);

	return ppm + 1 >= pool->share_ppm ? 0 : pool->share_ppm - (uint32_t)ppm - 1;
}

/* Who gives, and how much at most; without anybody, why. */
static uint32_t find_donor(const struct baro_pools *p, uint32_t *ret_ppm, uint32_t *ret_reason)
{
	uint32_t found = BARO_POOLS_NO_POOL, reason = BARO_POOLS_BOUND;

	for (uint32_t i = 0; i < p->n; i++) {
		const struct pool *pool = &p->pool[i];
		uint32_t ppm = to_least(p, pool);

		if (pool->pressure_ppm > PRESSURED_PPM || ppm < STEP_MIN_PPM)
			continue;
		ppm = (uint32_t)lib_min(ppm, to_pressure(p, pool));
		if (ppm < STEP_MIN_PPM) {
			reason = BARO_POOLS_HYSTERESIS;
			continue;
		}
		if (found == BARO_POOLS_NO_POOL ||
		    pool->pressure_ppm < p->pool[found].pressure_ppm) {
			found = i;
			*ret_ppm = ppm;
		}
	}
	*ret_reason = reason;
	return found;
}

/* How many cooldowns lie between two times. */
static uint64_t cooldowns(const struct baro_pools *p, uint64_t from_ns, uint64_t to_ns)
{
	return lib_less(to_ns, from_ns) / p->cooldown_ns;
}

static uint64_t pause_ns(const struct baro_pools *p)
{
	uint32_t shift = (uint32_t)lib_min(p->streak - 1, COOLDOWN_SHIFTS);

	return p->cooldown_ns > UINT64_MAX >> shift ? UINT64_MAX : p->cooldown_ns << shift;
}

/* Back and forth is followed by pauses, each longer than the one before. */
static void note_direction(struct baro_pools *p, uint32_t from, uint32_t to, uint64_t now_ns)
{
	if (cooldowns(p, p->moved_ns, now_ns) >= FORGET_COOLDOWNS)
		for (uint32_t i = 0; i < p->n; i++)
			p->pool[i].last = 0;
	if (p->pool[to].last < 0 || p->pool[from].last > 0) {
		if (cooldowns(p, p->cooldown_until_ns, now_ns) >= CALM_COOLDOWNS)
			p->streak = 0;
		p->streak++;
		p->reversals++;
		p->cooldown_until_ns = lib_add(now_ns, pause_ns(p));
	}
	p->pool[to].last = 1;
	p->pool[from].last = -1;
	p->moved_ns = now_ns;
}

static struct baro_pools_action nothing(uint32_t reason)
{
	return (struct baro_pools_action){ .reason = reason,
					   .from = BARO_POOLS_NO_POOL,
					   .to = BARO_POOLS_NO_POOL };
}

static struct baro_pools_action release(struct baro_pools *p, uint32_t reason)
{
	struct baro_pools_action act = nothing(reason);

	act.verb = BARO_POOLS_RELEASE;
	act.release_bytes = lib_max(p->budget_bytes / 10, 1);
	p->releases++;
	return act;
}

static struct baro_pools_action move(struct baro_pools *p, uint64_t now_ns)
{
	uint32_t to = find_receiver(p), reason = BARO_POOLS_BOUND, ppm = 0, from;
	struct baro_pools_action act = nothing(BARO_POOLS_PRESSED);

	if (p->hint != BARO_HINT_AUTO)
		return nothing(BARO_POOLS_HINTED);
	if (now_ns < p->cooldown_until_ns)
		return nothing(BARO_POOLS_COOLDOWN);
	if (to == BARO_POOLS_NO_POOL)
		return nothing(reason);
	from = find_donor(p, &ppm, &reason);
	if (from == BARO_POOLS_NO_POOL)
		return nothing(reason);
	ppm = (uint32_t)lib_min(lib_min(ppm, STEP_PPM), share_max(p) - p->pool[to].share_ppm);
	p->pool[from].share_ppm -= ppm;
	p->pool[to].share_ppm += ppm;
	share_out(p);
	note_direction(p, from, to, now_ns);
	p->moves++;
	act.verb = BARO_POOLS_MOVED;
	act.from = from;
	act.to = to;
	act.moved_ppm = ppm;
	return act;
}

static struct baro_pools_action evaluate(struct baro_pools *p, uint64_t now_ns,
					 const struct baro_pressure *pressure)
{
	uint32_t pressured;

	if (p->evaluated && lib_less(now_ns, p->evaluated_ns) < p->interval_ns)
		return nothing(BARO_POOLS_EARLY);
	pressured = measure(p, now_ns);
	if (cgroup_is_pressured(pressure))
		return release(p, BARO_POOLS_CGROUP);
	if (pressured == p->n)
		return release(p, BARO_POOLS_FULL);
	return pressured ? move(p, now_ns) : nothing(BARO_POOLS_CALM);
}

void baro_pools_tick(struct baro_pools *p, uint64_t now_ns, const struct baro_pool_usage *usage,
		     const struct baro_pressure *pressure, struct baro_pools_action *ret_action)
{
	struct baro_pools_action act;

	pthread_mutex_lock(&p->lock);
	follow(p, pressure);
	for (uint32_t i = 0; i < p->n; i++) {
		p->pool[i].used_bytes = usage[i].used_bytes;
		p->pool[i].evictions = usage[i].evictions;
	}
	act = evaluate(p, now_ns, pressure);
	pthread_mutex_unlock(&p->lock);
	if (ret_action)
		*ret_action = act;
}

/* ---- reading --------------------------------------------------------------------------------- */

void baro_pools_read(struct baro_pools *p, struct baro_pools_state *ret_state)
{
	struct baro_pools_state s;

	pthread_mutex_lock(&p->lock);
	s = (struct baro_pools_state){ .budget_bytes = p->budget_bytes,
				       .moves = p->moves,
				       .reversals = p->reversals,
				       .releases = p->releases,
				       .cooldown_until_ns = p->cooldown_until_ns,
				       .hint = p->hint,
				       .pools = p->n };
	for (uint32_t i = 0; i < p->n; i++) {
		const struct pool *pool = &p->pool[i];

		s.pool[i] = (struct baro_pool_state){
			.budget_bytes = pool->budget_bytes,
			.used_bytes = pool->used_bytes,
			.over_bytes = lib_less(pool->used_bytes, pool->budget_bytes),
			.share_ppm = pool->share_ppm,
			.pressure_ppm = pool->pressure_ppm,
		};
		memcpy(s.pool[i].name, pool->name, sizeof(pool->name));
	}
	pthread_mutex_unlock(&p->lock);
	*ret_state = s;
}

const char *baro_pools_reason_name(uint32_t reason)
{
	static const char *const names[] = {
		[BARO_POOLS_CALM] = "calm",
		[BARO_POOLS_EARLY] = "early",
		[BARO_POOLS_PRESSED] = "pressed",
		[BARO_POOLS_FULL] = "full",
		[BARO_POOLS_CGROUP] = "cgroup",
		[BARO_POOLS_HINTED] = "hinted",
		[BARO_POOLS_COOLDOWN] = "cooldown",
		[BARO_POOLS_BOUND] = "bound",
		[BARO_POOLS_HYSTERESIS] = "hysteresis",
	};

	return reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "?";
}
