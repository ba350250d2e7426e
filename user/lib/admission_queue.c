// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who waits, and for what. One queue per database, in the order of asking. A look at it goes from
 * the first to the last and admits everyone who lacks nothing and needs nothing that somebody
 * before him waits for; so a batch that waits for a place among the batches does not hold up a
 * single insert, but nobody overtakes him in what he waits for. What is waited for is remembered in
 * waited_for of the bounds, and newcomers keep to it, too.
 *
 * A permit is handed over here, with the lock held, by whoever gives something back: a waiter that
 * wakes has it already, and nobody can come between. Waiters live on their threads' stacks; once a
 * state other than ASLEEP or LOOK is stored a waiter may be gone, so of those to wake only the
 * address is kept. A wake at an address that means something else by then does no harm.
 *
 * Throttling ends by the clock, and nobody but the waiters is there to see it: the first in the
 * queue sleeps no longer than until something may change by itself.
 */
#include <errno.h>
#include <stddef.h>

#include "user/lib/admission_internal.h"

static uint32_t bound_lack(const struct bound *b, uint32_t need, uint64_t bytes, bool alone_may)
{
	uint64_t used = get(&b->used_bytes);
	uint32_t lack = 0;

	for (unsigned int i = 0; i < COUNTED; i++)
		if (need & (1u << i) && get(&b->used[i]) >= get(&b->limit[i]))
			lack |= 1u << i;
	if (need & NEED_MEMORY && add(used, bytes) > b->limit_bytes &&
	    !(alone_may && !used && bytes <= b->max_bytes))
		lack |= NEED_MEMORY;
	return lack;
}

/* Anything that the clock ends. The clock is asked only while there is. */
uint32_t queue_time_lack(struct baro_admission *a, uint32_t need)
{
	uint32_t lack = 0;
	uint64_t now;

	if (need & NEED_TIME && a->gate)
		lack |= NEED_TIME;
	if (!a->pace.until_ns && !a->budget_until_ns)
		return lack;
	now = lib_now_ns();
	if (a->pace.until_ns && a->pace.until_ns <= now) {
		set(&a->pace.until_ns, 0);
		admission_note_careful(a);
	}
	if (a->budget_until_ns <= now)
		a->budget_until_ns = 0;
	if (need & NEED_TIME && a->pace.until_ns)
		lack |= NEED_TIME;
	if (need & NEED_BUDGET && a->budget_until_ns)
		lack |= NEED_BUDGET;
	return lack;
}

struct lack queue_lack(struct baro_admission *a, const struct baro_collection *c,
		       const struct demand *d)
{
	bool alone_may = !a->critical || d->flags & BARO_JOB_ESSENTIAL;
	struct lack lack = {
		.all = bound_lack(&a->all, d->need, d->floor_bytes, alone_may),
		.own = bound_lack(&c->own, d->need, d->floor_bytes, true),
	};

	if (d->need & NEED_WORKERS && a->workers >= a->workers_limit)
		lack.all |= NEED_WORKERS;
	if (d->need & NEED_ORDER && c->ordered)
		lack.own |= NEED_ORDER;
	if (d->need & NEED_BUDGET && a->budget_tight && a->asking_outside)
		lack.all |= NEED_BUDGET;
	lack.all |= queue_time_lack(a, d->need);
	return lack;
}

/* What is kept from the large is memory. */
static uint32_t as_memory(uint32_t lack)
{
	return lack & NEED_LARGE ? (lack & ~(uint32_t)NEED_LARGE) | NEED_MEMORY : lack;
}

struct lack queue_ahead(const struct baro_admission *a, const struct baro_collection *c,
			uint32_t need)
{
	uint32_t all = need & get(&a->all.waited_for);
	/* what an earlier look left there means nothing any more */
	uint32_t own = get(&c->look) == get(&a->look) ? need & get(&c->own.waited_for) : 0;

	return (struct lack){ as_memory(all), as_memory(own) };
}

/* ---- the list -------------------------------------------------------------------------------- */

static void link_behind(struct baro_admission *a, struct waiter *w, struct waiter *before)
{
	w->before = before;
	w->after = before ? before->after : a->first;
	*(w->before ? &w->before->after : &a->first) = w;
	*(w->after ? &w->after->before : &a->last) = w;
	admission_note_careful(a);
}

/* Who pauses goes before all who wait: it holds what they wait for. Who comes again had waited
 * longest. */
static struct waiter *last_ahead(const struct baro_admission *a)
{
	struct waiter *w = a->first, *last = NULL;

	for (; w && (w->pauses || w->again); w = w->after)
		last = w;
	return last;
}

void queue_join(struct baro_admission *a, struct waiter *w)
{
	w->lacking = w->missed = 0;
	w->state = ASLEEP;
	link_behind(a, w, w->pauses || w->again ? last_ahead(a) : a->last);
	if (w->pauses)
		return;
	set(&a->queued, a->queued + 1);
	a->queued_peak = (uint32_t)most(a->queued_peak, a->queued);
	a->queued_batches += is_batch(w->demand->need);
	w->collection->queued++;
}

void queue_leave(struct baro_admission *a, struct waiter *w)
{
	*(w->before ? &w->before->after : &a->first) = w->after;
	*(w->after ? &w->after->before : &a->last) = w->before;
	admission_note_careful(a);
	if (w->pauses)
		return;
	set(&a->queued, a->queued - 1);
	a->queued_batches -= is_batch(w->demand->need);
	w->collection->queued--;
}

/* ---- looking --------------------------------------------------------------------------------- */

static void wake(struct wakes *wakes, struct waiter *w, enum waiter_state state)
{
	wakes->word[wakes->count++] = &w->state;
	__atomic_store_n(&w->state, (uint32_t)state, __ATOMIC_RELEASE);
}

/* Whose memory it waits for: that of all, or, while more than crumbs are in its way, of the large.
 */
static uint32_t kept_of(const struct bound *b, uint32_t lack, uint64_t floor_bytes)
{
	if (!(lack & NEED_MEMORY) ||
	    add(b->used_bytes - b->crumb_bytes, floor_bytes) <= b->limit_bytes)
		return lack;
	return (lack & ~(uint32_t)NEED_MEMORY) | NEED_LARGE;
}

void queue_wait_for(struct baro_admission *a, struct waiter *w, struct lack lack)
{
	struct baro_collection *c = w->collection;

	/* who must not begin yet has no use for a place either: essential jobs take it */
	if (lack.all & NEED_TIME)
		lack = (struct lack){ NEED_TIME, 0 };
	if (c->look != a->look) {
		set(&c->look, a->look);
		set(&c->own.waited_for, 0);
	}
	lack.all = kept_of(&a->all, lack.all, w->demand->floor_bytes);
	lack.own = kept_of(&c->own, lack.own, w->demand->floor_bytes);
	set(&c->own.waited_for, c->own.waited_for | lack.own);
	set(&a->all.waited_for, a->all.waited_for | lack.all);
}

/*
 * The first of those who wait. What it lacks is kept for it, but what it does not lack may be gone
 * by the time: that is a turn missed. After some of those everything it needs is kept, but what all
 * need: of that the next that is given back is its own anyway.
 */
static void keep_for_first(struct baro_admission *a, struct waiter *w, struct lack lack)
{
	struct baro_collection *c = w->collection;
	uint32_t lacking = lack.all | lack.own << 16;

	/* what the clock gives is no matter of turns */
	if (lack.all & (NEED_TIME | NEED_BUDGET))
		return;
	w->lacking &= lacking;
	if (!w->lacking) {
		w->lacking = lacking;
		w->missed++;
	}
	if (w->missed <= MISSED_MAX)
		return;
	set(&a->all.waited_for,
	    a->all.waited_for | (w->demand->need & (NEED_BATCHES | NEED_INDEX | NEED_WORKERS)));
	set(&c->own.waited_for, c->own.waited_for | w->demand->need);
}

static void turn_away(struct baro_admission *a, struct waiter *w, int error, struct wakes *wakes)
{
	queue_leave(a, w);
	w->error = error;
	wake(wakes, w, TURNED_AWAY);
}

/* True when it waits no more: admitted, let go on, or, since limits were lowered, never to be. */
static bool try_admit(struct baro_admission *a, struct waiter *w, bool first, struct wakes *wakes)
{
	struct lack lack = queue_lack(a, w->collection, w->demand);
	struct lack ahead = queue_ahead(a, w->collection, w->demand->need);

	if (queue_never_fits(a, w->collection, w->demand)) {
		turn_away(a, w, -E2BIG, wakes);
		return true;
	}
	if (lack.all | lack.own | ahead.all | ahead.own) {
		queue_wait_for(a, w, lack);
		if (first && !w->pauses)
			keep_for_first(a, w, lack);
		return false;
	}
	queue_leave(a, w);
	if (!w->pauses)
		permit_grant(a, w->collection, w->demand, w->permit);
	wake(wakes, w, ADMITTED);
	return true;
}

uint64_t queue_timer(const struct baro_admission *a, const struct waiter *w)
{
	uint64_t until = FUTEX_NEVER;

	if (w != a->first)
		return until;
	if (a->pace.until_ns)
		until = a->pace.until_ns;
	if (a->budget_until_ns)
		until = least(until, a->budget_until_ns);
	if (a->has_client)
		until = least(until, get(&a->client_ns));
	if (a->pressure.until_ns)
		until = least(until, a->pressure.until_ns);
	return until;
}

void queue_look_through(struct baro_admission *a, struct wakes *wakes)
{
	struct waiter *w = a->first, *after;
	bool first = true;

	set(&a->look, a->look + 1);
	set(&a->all.waited_for, 0);
	for (; w; w = after) {
		bool pauses = w->pauses;

		after = w->after;
		if (wakes->count == WAKES) {
			wakes->more = true;
			break;
		}
		if (try_admit(a, w, first, wakes))
			continue; /* it may be gone */
		first = first && pauses;
		/* who waits for what everybody needs has nobody behind who could be admitted */
		if (!pauses && a->all.waited_for & NEED_BY_ALL)
			break;
	}
	w = a->first;
	if (w && w->state == ASLEEP && w->until_ns > queue_timer(a, w)) {
		if (wakes->count < WAKES)
			wake(wakes, w, LOOK);
		else
			wakes->more = true;
	}
}

bool queue_turn_away(struct baro_admission *a, const struct baro_cancel *cancel, int error,
		     struct wakes *wakes)
{
	struct waiter *after;

	for (struct waiter *w = a->first; w; w = after) {
		after = w->after;
		if (cancel && w->cancel != cancel)
			continue;
		if (wakes->count == WAKES)
			return true;
		turn_away(a, w, error, wakes);
	}
	queue_look(a, wakes);
	return false;
}

void admission_unlock(struct baro_admission *a, struct wakes *wakes)
{
	for (;;) {
		bool more = wakes->more;

		lock_give(&a->lock);
		for (unsigned int i = 0; i < wakes->count; i++)
			futex_wake_one(wakes->word[i], FUTEX_PRIVATE_FLAG);
		wakes->count = 0;
		wakes->more = false;
		if (!more)
			return;
		lock_take(&a->lock);
		queue_look(a, wakes);
	}
}

/* ---- sleeping -------------------------------------------------------------------------------- */

static bool is_over(const struct waiter *w)
{
	return __atomic_load_n(&w->state, __ATOMIC_ACQUIRE) >= ADMITTED;
}

/* With the lock held; true when there is nothing more to wait for. */
static bool look_again(struct baro_admission *a, struct waiter *w, uint64_t now_ns,
		       uint64_t deadline_ns, struct wakes *wakes)
{
	if (is_over(w))
		return true;
	w->state = ASLEEP;
	if (now_ns >= deadline_ns) {
		queue_leave(a, w);
		w->error = -ETIMEDOUT;
		w->state = TURNED_AWAY;
		queue_look(a, wakes);
		return true;
	}
	queue_look(a, wakes);
	return is_over(w);
}

int queue_sleep(struct baro_admission *a, struct waiter *w, uint64_t deadline_ns,
		struct wakes *wakes)
{
	uint64_t now;

	for (;;) {
		w->until_ns = least(deadline_ns, queue_timer(a, w));
		admission_unlock(a, wakes);
		while (!is_over(w) && get(&w->state) == ASLEEP &&
		       futex_wait_until(&w->state, ASLEEP, w->until_ns, FUTEX_PRIVATE_FLAG) == 0)
			;
		if (is_over(w))
			break;
		now = lib_now_ns();
		admission_tend(a, now);
		lock_take(&a->lock);
		if (look_again(a, w, now, deadline_ns, wakes)) {
			admission_unlock(a, wakes);
			break;
		}
	}
	return w->state == ADMITTED ? 0 : w->error;
}
