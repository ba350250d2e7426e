// SPDX-License-Identifier: BSD-2-Clause
/* Asking for a permit, and giving it back. */
#include <errno.h>

#include "user/lib/admission_internal.h"

#define ORDER_SHIFT 62 /* numbers end there: below 2^64 by more than all who wait can take */
#define HOLD_SHIFT  3 /* an eighth of what is new */

/* ---- the outer budget ------------------------------------------------------------------------ */

/* With the lock held: down to the least it can do with. False when that is what it has. */
static bool cut_to_floor(struct baro_admission *a, struct slot *s, struct baro_permit *p)
{
	if (s->bytes <= s->floor_bytes)
		return false;
	permit_give_bytes(a, s, s->bytes - s->floor_bytes);
	if (is_batch(s->need)) {
		set(&a->workers, a->workers - (s->workers - 1));
		s->workers = p->workers = 1;
		p->chunk_records = s->chunk_min;
		a->cut++;
	}
	p->bytes = s->bytes;
	return true;
}

/* Asks outside for what was admitted inside; only then it is a permit. Otherwise nothing is held
 * any more, and -EDQUOT; when it is going to wait, others ask no more for a while, and then one at
 * a time: there is no telling who would come first. */
static int reserve_outside(struct baro_admission *a, struct baro_permit *p, bool waits)
{
	struct wakes wakes;
	struct slot *s;
	bool again;
	int r;

	wakes_init(&wakes);
	do {
		uint64_t cookie = 0;

		r = a->budget.reserve(a->budget.ctx, p->bytes, &cookie);
		lock_take(&a->lock);
		s = permit_slot(a, p->id);
		again = r < 0 && cut_to_floor(a, s, p);
		if (r >= 0) {
			s->budget_bytes = p->bytes;
			s->cookie = cookie;
			p->order = permit_take_order(s);
		} else if (!again) {
			a->granted[s->kind]--;
			s->collection->granted--;
			permit_give_back(a, s);
			a->budget_tight |= waits;
			if (waits)
				a->budget_until_ns = lib_now_ns() + BUDGET_RETRY_NS;
		}
		/* who is going to wait keeps others from asking until it stands in the queue */
		a->asking_outside -= !again && !(r < 0 && waits);
		a->budget_tight = a->budget_tight && (a->first || a->asking_outside);
		queue_look(a, &wakes);
		admission_unlock(a, &wakes);
	} while (again);
	return r < 0 ? -EDQUOT : 0;
}

void baro_admission_kick(struct baro_admission *a)
{
	struct wakes wakes;

	wakes_init(&wakes);
	lock_take(&a->lock);
	a->budget_until_ns = 0;
	queue_look(a, &wakes);
	admission_unlock(a, &wakes);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static int error_of(uint32_t lack)
{
	if (lack & NEED_TIME)
		return -EAGAIN;
	if (lack & (NEED_MEMORY | NEED_BUDGET))
		return -EDQUOT;
	return -EBUSY;
}

/* With the lock held: why it may not wait, or 0. */
static int may_wait(const struct baro_admission *a, const struct waiter *w, uint32_t lack)
{
	const struct demand *d = w->demand;

	if (a->stopped)
		return -ESHUTDOWN;
	if (is_cancelled(d->cancel))
		return -ECANCELED;
	if (!d->deadline_ns)
		return error_of(lack);
	if (w->since_ns >= d->deadline_ns)
		return -ETIMEDOUT;
	return a->queued >= a->queue_limit && !w->again ? -ENOBUFS : 0;
}

/* Admits it, or lets it wait until it is, or says why not. */
static int ask(struct baro_admission *a, struct waiter *w, struct baro_admission_refusal *ret)
{
	struct baro_collection *c = w->collection;
	const struct demand *d = w->demand;
	struct wakes wakes;
	struct lack lack, ahead = { 0, 0 };
	int r;

	wakes_init(&wakes);
	lock_take(&a->lock);
	a->asking_outside -= w->again;
	lack = queue_lack(a, c, d);
	if (!w->again && a->first)
		ahead = queue_ahead(a, c, d->need);
	lack.all |= ahead.all;
	lack.own |= ahead.own;
	if (__builtin_expect(!(lack.all | lack.own) && !a->stopped, 1)) {
		permit_grant(a, c, d, w->permit);
		w->now_ns = permit_slot(a, w->permit->id)->began_ns;
		lock_give(&a->lock);
		return 0;
	}
	if (!w->since_ns)
		w->since_ns = lib_now_ns();
	a->throttled += !w->again && lack.all & NEED_TIME;
	r = may_wait(a, w, lack.all | lack.own);
	if (r < 0) {
		lock_give(&a->lock);
		return admission_refuse(a, c, lack, d->floor_bytes, r, ret);
	}
	queue_join(a, w);
	queue_wait_for(a, w, lack);
	r = queue_sleep(a, w, d->deadline_ns, &wakes);
	w->now_ns = lib_now_ns();
	return r < 0 ? admission_refuse(a, c, lack, d->floor_bytes, r, ret) : 0;
}

/* Again and again, while it is admitted inside and not outside, in the place it had. */
static int ask_outside(struct baro_admission *a, struct waiter *w,
		       struct baro_admission_refusal *ret)
{
	bool waits = w->demand->deadline_ns;
	int r = reserve_outside(a, w->permit, waits);

	while (r < 0 && waits) {
		w->again = true;
		r = ask(a, w, ret);
		if (r < 0)
			return r;
		r = reserve_outside(a, w->permit, waits);
	}
	if (r < 0)
		return admission_refuse(a, w->collection, (struct lack){ NEED_BUDGET, 0 },
					w->demand->floor_bytes, r, ret);
	return 0;
}

static void note_wait(struct baro_admission *a, const struct waiter *w)
{
	__atomic_fetch_add(&a->waited, 1, __ATOMIC_RELAXED);
	spread_add(&a->wait, w->now_ns > w->since_ns ? w->now_ns - w->since_ns : 0);
}

/* ---- at once --------------------------------------------------------------------------------- */

/* A single record that needs nothing special, while nobody waits and there is nothing to be careful
 * about: most of what is asked. The same as the long way, without what it would not use. */
static inline bool is_plain(const struct baro_admission *a, const struct baro_job *job)
{
	const uint32_t plain_flags = BARO_JOB_INDEXED | BARO_JOB_ESSENTIAL;

	return job->kind <= BARO_JOB_DELETE && !(job->flags & ~plain_flags) &&
	       !(job->records >> 1 | job->cost_bytes) && a->plain_factor;
}

/* As demand_of() has it; false when it does not fit 64 bits. */
static inline bool plain_bytes(const struct baro_admission *a, const struct baro_job *job,
			       uint64_t *ret_bytes)
{
	uint64_t fixed = a->plain_fixed_bytes[job->flags & BARO_JOB_INDEXED];

	return !__builtin_mul_overflow(job->payload_bytes, a->plain_factor, ret_bytes) &&
	       !__builtin_add_overflow(*ret_bytes, fixed, ret_bytes);
}

static inline uint32_t plain_need(const struct baro_admission *a, const struct baro_job *job,
				  uint64_t bytes)
{
	uint32_t need = NEED_BY_ALL;

	if (bytes > a->crumb_max_bytes)
		need |= NEED_LARGE;
	if (job->flags & BARO_JOB_INDEXED)
		need |= NEED_INDEX;
	if (!(job->flags & BARO_JOB_ESSENTIAL))
		need |= NEED_TIME;
	return need;
}

/* By what can be read without the lock. */
static inline bool is_full(const struct bound *b, bool indexed)
{
	return get(&b->used[WRITES]) >= get(&b->limit[WRITES]) ||
	       (indexed && get(&b->used[INDEXES]) >= get(&b->limit[INDEXES]));
}

static inline uint32_t full_of(const struct bound *b, bool indexed)
{
	uint32_t lack = get(&b->used[WRITES]) >= get(&b->limit[WRITES]) ? NEED_WRITES : 0;

	if (indexed && get(&b->used[INDEXES]) >= get(&b->limit[INDEXES]))
		lack |= NEED_INDEX;
	return lack;
}

static inline bool fits(const struct bound *b, uint64_t bytes)
{
	return b->used_bytes <= b->limit_bytes && bytes <= b->limit_bytes - b->used_bytes;
}

static inline void plain_count(struct bound *b, bool indexed, uint32_t by)
{
	set(&b->used[WRITES], b->used[WRITES] + by);
	if (indexed)
		set(&b->used[INDEXES], b->used[INDEXES] + by);
}

/* With the lock held. Samples go the long way, which looks at the clock, and so does the first
 * after a quiet time. */
static inline bool is_free(const struct baro_admission *a, const struct baro_collection *c,
			   bool indexed, uint64_t bytes)
{
	return !a->careful && get(&a->busy) && !is_full(&a->all, indexed) &&
	       !is_full(&c->own, indexed) && fits(&a->all, bytes) && fits(&c->own, bytes) &&
	       !permit_is_sample(a) && !(c->next_order >> ORDER_SHIFT);
}

static inline void grant_plain(struct baro_admission *a, struct baro_collection *c,
			       const struct baro_job *job, uint64_t bytes,
			       struct baro_permit *ret_permit)
{
	bool indexed = job->flags & BARO_JOB_INDEXED;
	struct slot *s = permit_new(a, c);
	uint64_t order = c->next_order;

	s->cancel = job->cancel;
	s->bytes = bytes;
	s->payload_bytes = job->payload_bytes;
	s->records = 1;
	s->need = plain_need(a, job, bytes);
	s->fixed = s->plain = true;
	s->began_ns = 0;
	plain_count(&a->all, indexed, 1);
	plain_count(&c->own, indexed, 1);
	bound_take_bytes(&a->all, s->need, bytes);
	bound_take_bytes(&c->own, s->need, bytes);
	permit_note(a, c, job->kind);
	set(&c->next_order, order + 1);
	ret_permit->admission = a;
	ret_permit->id = s->id;
	ret_permit->order = order;
	ret_permit->bytes = bytes;
	ret_permit->workers = ret_permit->chunk_records = 1;
}

static inline bool acquire_at_once(struct baro_admission *a, struct baro_collection *c,
				   const struct baro_job *job, uint64_t bytes,
				   struct baro_permit *ret_permit)
{
	bool is_had;

	lock_take(&a->lock);
	is_had = is_free(a, c, job->flags & BARO_JOB_INDEXED, bytes);
	if (__builtin_expect(is_had, 1))
		grant_plain(a, c, job, bytes, ret_permit);
	lock_give(&a->lock);
	return is_had;
}

/* Full, and it does not wait. What never fits, and what is throttled, is said the long way. */
static inline bool is_refused_at_once(const struct baro_admission *a,
				      const struct baro_collection *c, const struct baro_job *job,
				      uint64_t bytes)
{
	return !job->deadline_ns && !get(&a->careful) && bytes <= get(&a->all.max_bytes) &&
	       bytes <= get(&c->own.max_bytes);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static __attribute__((noinline)) int
acquire_long_way(struct baro_admission *a, struct baro_collection *c, const struct baro_job *job,
		 struct baro_permit *ret_permit, struct baro_admission_refusal *ret_refusal)
{
	struct baro_permit permit = { .admission = a };
	struct demand d;
	struct waiter w;
	int r = demand_of(&a->model, job, get(&a->chunk_min), get(&a->crumb_max_bytes), &d);

	if (r < 0)
		return r;
	if (get(&c->next_order) >> ORDER_SHIFT)
		return -EOVERFLOW;
	if (queue_never_fits(a, c, &d))
		return admission_refuse(a, c, (struct lack){ NEED_MEMORY, 0 }, d.floor_bytes,
					-E2BIG, ret_refusal);
	w.collection = c;
	w.demand = &d;
	w.permit = &permit;
	w.cancel = d.cancel;
	w.since_ns = w.until_ns = w.now_ns = 0;
	w.pauses = w.again = false;
	r = ask(a, &w, ret_refusal);
	if (!r && a->has_budget)
		r = ask_outside(a, &w, ret_refusal);
	if (!r && w.since_ns)
		note_wait(a, &w);
	if (!r)
		*ret_permit = permit;
	/* who is always refused at once must learn all the same that it is over */
	if (w.now_ns || w.since_ns)
		admission_tend(a, w.now_ns ? w.now_ns : w.since_ns);
	return r;
}

int baro_permit_acquire(struct baro_collection *c, const struct baro_job *job,
			struct baro_permit *ret_permit, struct baro_admission_refusal *ret_refusal)
{
	struct baro_admission *a = c->admission;
	uint64_t bytes;

	if (__builtin_expect(is_plain(a, job) && plain_bytes(a, job, &bytes), 1)) {
		bool indexed = job->flags & BARO_JOB_INDEXED;

		if (__builtin_expect(!is_full(&a->all, indexed) && !is_full(&c->own, indexed), 1)) {
			if (acquire_at_once(a, c, job, bytes, ret_permit))
				return 0;
		} else if (is_refused_at_once(a, c, job, bytes)) {
			if (ret_refusal)
				return admission_refuse(a, c,
							(struct lack){ full_of(&a->all, indexed),
								       full_of(&c->own, indexed) },
							bytes, -EBUSY, ret_refusal);
			__atomic_fetch_add(&c->refused[REFUSED_CONCURRENCY], 1, __ATOMIC_RELAXED);
			return -EBUSY;
		}
	}
	return acquire_long_way(a, c, job, ret_permit, ret_refusal);
}

/* ---- giving back ----------------------------------------------------------------------------- */

/* How long jobs hold their permits, and so how long until one of them ends. */
static void learn_hold(struct baro_admission *a, uint64_t held_ns)
{
	if (!a->hold_ns)
		a->hold_ns = held_ns;
	else
		a->hold_ns = (a->hold_ns * ((1u << HOLD_SHIFT) - 1) + held_ns) >> HOLD_SHIFT;
	set(&a->retry_ns, most(a->hold_ns / a->all.limit[WRITES], 1));
	a->clock_every_mask =
	    (a->hold_ns < HOLD_LONG_NS ? CLOCK_EVERY_SHORT : CLOCK_EVERY_LONG) - 1;
}

static uint64_t learn_from(struct baro_admission *a, const struct slot *s)
{
	uint64_t now;

	if (!s->began_ns)
		return 0;
	now = lib_now_ns();
	learn_hold(a, now - s->began_ns);
	pace_charge(&a->pace, now - s->since_ns, now);
	return now;
}

static inline void count_done(struct baro_admission *a, const struct slot *s, bool failed)
{
	struct baro_admission_done *done = &a->done[s->mode];

	done->failed += failed;
	if (failed)
		return;
	done->jobs++;
	done->records += s->records;
	done->payload_bytes += s->payload_bytes;
}

/* With the lock held, given and taken again: whoever else has the same permit comes too late. */
static void release_outside(struct baro_admission *a, struct slot *s)
{
	uint64_t bytes = s->budget_bytes, cookie = s->cookie;

	s->id = 0;
	lock_give(&a->lock);
	a->budget.release(a->budget.ctx, bytes, cookie);
	lock_take(&a->lock);
	a->budget_until_ns = 0;
}

/* Nobody waits, and nothing was timed. */
static inline void give_back_plain(struct baro_admission *a, struct slot *s)
{
	struct baro_collection *c = s->collection;

	bound_give_bytes(&a->all, s->need, s->bytes);
	bound_give_bytes(&c->own, s->need, s->bytes);
	plain_count(&a->all, s->need & NEED_INDEX, UINT32_MAX);
	plain_count(&c->own, s->need & NEED_INDEX, UINT32_MAX);
	permit_free(a, s);
}

/* With the lock held, which it gives. */
static int give_back_long_way(struct baro_admission *a, struct slot *s, bool failed)
{
	struct wakes wakes;
	uint64_t now;

	wakes_init(&wakes);
	if (a->has_budget)
		release_outside(a, s);
	now = learn_from(a, s);
	count_done(a, s, failed);
	permit_give_back(a, s);
	queue_look(a, &wakes);
	admission_unlock(a, &wakes);
	if (now)
		admission_tend(a, now);
	return 0;
}

static inline int give_back(const struct baro_permit *p, bool failed)
{
	struct baro_admission *a = p ? p->admission : NULL;
	struct slot *s;

	if (!a || !p->id)
		return 0;
	lock_take(&a->lock);
	s = permit_slot(a, p->id);
	if (!s) {
		a->released_again++;
		lock_give(&a->lock);
		return -EALREADY;
	}
	if (!s->plain || s->began_ns || a->careful)
		return give_back_long_way(a, s, failed);
	count_done(a, s, failed);
	give_back_plain(a, s);
	lock_give(&a->lock);
	return 0;
}

int baro_permit_release(const struct baro_permit *permit)
{
	return give_back(permit, false);
}

int baro_permit_fail(const struct baro_permit *permit)
{
	return give_back(permit, true);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

/* Those who ask look at the token with the lock held, so that this finds who looked before. */
void baro_admission_cancel(struct baro_admission *a, struct baro_cancel *cancel)
{
	struct wakes wakes;
	bool more;

	wakes_init(&wakes);
	__atomic_store_n(&cancel->fired, 1, __ATOMIC_RELEASE);
	do {
		lock_take(&a->lock);
		more = queue_turn_away(a, cancel, -ECANCELED, &wakes);
		admission_unlock(a, &wakes);
	} while (more);
}

void baro_admission_stop(struct baro_admission *a)
{
	struct wakes wakes;
	bool more;

	wakes_init(&wakes);
	do {
		lock_take(&a->lock);
		a->stopped = true;
		admission_note_careful(a);
		more = queue_turn_away(a, NULL, -ESHUTDOWN, &wakes);
		admission_unlock(a, &wakes);
	} while (more);
}
