// SPDX-License-Identifier: BSD-2-Clause
/*
 * Readers: they count in shards of their own, and never take the lock. Whoever keeps the time for
 * writes looks at the sums now and then: pace_adjust() turns them into the share of their time that
 * writes may use.
 *
 * What is slow is known by the quiet times: what 99 % of reads took while nobody wrote. The library
 * finds them by itself: readers see when for a second nothing was admitted. Before enough of them
 * are known, eight times the median must do, which writes disturb less than the slowest hundredth.
 */
#include <pthread.h>

#include "user/lib/admission_internal.h"

#define QUIET_AFTER_NS  NS_PER_S
#define KNOWN_AT        200 /* reads, that a quantile means something */
#define FORGET_AT       65536
#define BOUND_EVERY_NS  (100 * NS_PER_MS)
#define MEDIANS         8
#define IDLE_EVERY_MASK 63u /* reads of a shard */

static struct read_shard *my_shard(struct baro_admission *a)
{
	/* Threads are megabytes apart: spread what tells them apart over the word. */
	uint64_t mix = (uint64_t)pthread_self() * UINT64_C(0x9e3779b97f4a7c15);

	return &a->shard[mix >> 60];
}

_Static_assert(READ_SHARDS == 16, "the shard is four bits of the hash");

void baro_admission_read_begin(struct baro_admission *a)
{
	__atomic_fetch_add(&my_shard(a)->begun, 1, __ATOMIC_RELAXED);
}

/* Nothing was admitted since the last look, and that is a while ago. */
static void look_for_quiet(struct baro_admission *a)
{
	uint64_t grants = get(&a->grants), now = lib_now_ns();

	if (!get(&a->busy))
		return;
	if (grants != get(&a->idle_grants) || get(&a->all.used[WRITES])) {
		set(&a->idle_grants, grants);
		set(&a->idle_since_ns, now);
		return;
	}
	if (now - get(&a->idle_since_ns) < QUIET_AFTER_NS)
		return;
	__atomic_store_n(&a->busy, false, __ATOMIC_SEQ_CST);
	/* somebody was admitted in between, and found it already set */
	if (__atomic_load_n(&a->grants, __ATOMIC_SEQ_CST) != grants)
		set(&a->busy, true);
}

void baro_admission_read_end(struct baro_admission *a, bool begun, uint64_t latency_ns)
{
	struct read_shard *s = my_shard(a);
	uint64_t bound_ns = get(&a->read_bound_ns);

	if (begun)
		__atomic_fetch_add(&s->ended, 1, __ATOMIC_RELAXED);
	if (!latency_ns)
		return;
	spread_add(get(&a->busy) ? &s->busy : &s->quiet, latency_ns);
	if (bound_ns && latency_ns > bound_ns)
		__atomic_fetch_add(&s->slow, 1, __ATOMIC_RELAXED);
	if (!(__atomic_fetch_add(&s->reported, 1, __ATOMIC_RELAXED) & IDLE_EVERY_MASK))
		look_for_quiet(a);
}

struct reads reads_sum(const struct baro_admission *a)
{
	struct reads r = { 0, 0, 0 };
	uint64_t begun = 0, ended = 0;

	for (unsigned int i = 0; i < READ_SHARDS; i++) {
		ended += get(&a->shard[i].ended);
		r.reported += get(&a->shard[i].reported);
		r.slow += get(&a->shard[i].slow);
	}
	/* after the ends, so that none counts without its begin */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	for (unsigned int i = 0; i < READ_SHARDS; i++)
		begun += get(&a->shard[i].begun);
	r.active = begun > ended ? begun - ended : 0;
	return r;
}

void reads_merge(const struct baro_admission *a, bool busy, struct spread *into)
{
	for (unsigned int i = 0; i < READ_SHARDS; i++)
		spread_merge(into, busy ? &a->shard[i].busy : &a->shard[i].quiet);
}

/* Without the lock: what is too slow, by what was seen; 0 when that says nothing. */
static uint64_t learned_bound(struct baro_admission *a, uint32_t slowdown_ppm)
{
	struct spread seen = { .sum = 0 };
	uint64_t count;

	reads_merge(a, false, &seen);
	count = spread_count(&seen);
	if (count > FORGET_AT)
		for (unsigned int i = 0; i < READ_SHARDS; i++)
			spread_halve(&a->shard[i].quiet);
	if (count >= KNOWN_AT)
		return part(spread_quantile(&seen, 990000), slowdown_ppm);
	reads_merge(a, true, &seen);
	return spread_count(&seen) >= KNOWN_AT ? MEDIANS * spread_quantile(&seen, 500000) : 0;
}

static bool is_protecting(const struct baro_admission_limits *l)
{
	return l->read_p99_ns || l->read_slowdown_ppm != BARO_READS_UNPROTECTED;
}

/* Without the lock: the bound that reads are held to from now on. */
static void renew_bound(struct baro_admission *a, uint64_t now_ns)
{
	uint64_t due_ns = get(&a->bound_due_ns), bound_ns = get(&a->read_p99_ns);
	uint32_t slowdown_ppm = get(&a->read_slowdown_ppm);

	if (now_ns < due_ns ||
	    !__atomic_compare_exchange_n(&a->bound_due_ns, &due_ns, now_ns + BOUND_EVERY_NS, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	if (!bound_ns && slowdown_ppm != BARO_READS_UNPROTECTED && reads_sum(a).reported)
		bound_ns = learned_bound(a, slowdown_ppm);
	set(&a->read_bound_ns, bound_ns);
}

/* Writes that come among readers begin with the least, and grow from there: the other way round,
 * readers would pay for finding out. */
void reads_end_quiet(struct baro_admission *a)
{
	struct reads r = reads_sum(a);

	set(&a->busy, true);
	if (!is_protecting(&a->now) || (r.reported == a->reads_seen && !r.active))
		return;
	a->pace.share_ppm = a->pace.share_min_ppm;
	admission_note_careful(a);
}

/* With the lock held. */
static void look(struct baro_admission *a, uint64_t now_ns)
{
	struct reads r = reads_sum(a);
	uint64_t reads = r.reported - a->reads_seen, slow = r.slow - a->slow_seen;
	bool were = a->readers;

	a->reads_seen = r.reported;
	a->slow_seen = r.slow;
	if (reads || r.active)
		a->readers_until_ns = now_ns + READERS_STAY_NS;
	a->readers = now_ns < a->readers_until_ns;
	if (!is_protecting(&a->now))
		a->pace.share_ppm = PPM;
	else if (reads)
		pace_adjust(&a->pace, reads, slow);
	else if (!a->readers)
		pace_relax(&a->pace);
	if (a->pace.share_ppm == PPM)
		set(&a->pace.until_ns, 0);
	if (were != a->readers)
		admission_apply_limits(a);
	admission_note_careful(a);
}

void reads_tend(struct baro_admission *a, uint64_t now_ns)
{
	struct wakes wakes;

	wakes_init(&wakes);
	if (now_ns < get(&a->tend_ns))
		return;
	renew_bound(a, now_ns);
	lock_take(&a->lock);
	if (now_ns >= a->tend_ns) {
		set(&a->tend_ns, now_ns + TEND_EVERY_NS);
		look(a, now_ns);
		queue_look(a, &wakes);
	}
	admission_unlock(a, &wakes);
}
