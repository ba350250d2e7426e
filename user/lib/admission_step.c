// SPDX-License-Identifier: BSD-2-Clause
/*
 * Between two chunks: a batch's workers and chunks follow what there is. Every worker charges and
 * returns its own part, so that the sum is right whoever steps first.
 */
#include <errno.h>
#include <stddef.h>

#include "user/lib/admission_internal.h"

/* A record of a batch takes about so long: an eighth of what is new. */
static void learn_record(struct baro_collection *c, uint64_t records, uint64_t elapsed_ns)
{
	uint64_t sample_ns;

	if (!records || !elapsed_ns)
		return;
	sample_ns = most(least(elapsed_ns, NS_PER_S * 1000) / records, 1);
	c->record_ns = c->record_ns ? most((c->record_ns * 7 + sample_ns) / 8, 1) : sample_ns;
}

/* Bytes of one worker with such a chunk. */
static uint64_t worker_bytes(const struct slot *s, uint64_t chunk)
{
	return add(s->worker_bytes, mul(chunk, s->record_bytes));
}

/* So much more fits, here and outside, and nobody waits for memory. */
static bool has_room(const struct baro_admission *a, const struct slot *s, uint64_t bytes)
{
	const struct bound *own = &s->collection->own;

	if (a->has_budget && add(s->bytes, bytes) > s->budget_bytes)
		return false;
	if ((a->all.waited_for | queue_ahead(a, s->collection, UINT32_MAX).own) &
	    (NEED_MEMORY | NEED_LARGE))
		return false;
	return bytes <= bound_left(&a->all) && bytes <= bound_left(own);
}

/* The chunk this worker goes on with; `chunk` is what it had. */
static uint32_t next_chunk(struct baro_admission *a, struct slot *s, uint32_t chunk)
{
	uint32_t wish = permit_chunk_wish(a, s->collection, s->chunk_min, s->chunk_max);
	bool is_short = a->all.used_bytes > a->all.limit_bytes;
	uint64_t bytes;

	if (is_short)
		wish = s->chunk_min;
	if (wish <= chunk) {
		permit_give_bytes(a, s, mul(chunk - wish, s->record_bytes));
		return wish;
	}
	bytes = mul(wish - chunk, s->record_bytes);
	if (!has_room(a, s, bytes))
		return chunk;
	permit_take_bytes(a, s, bytes);
	return wish;
}

static bool has_too_many(const struct baro_admission *a, const struct slot *s, uint32_t wish)
{
	return s->workers > 1 && (s->workers > wish || a->workers > a->workers_limit);
}

static bool has_too_few(const struct baro_admission *a, const struct slot *s, uint32_t wish)
{
	return s->workers < wish && a->workers < a->workers_limit &&
	       !(a->all.waited_for & NEED_WORKERS);
}

/* With the lock held. */
static int adapt(struct baro_admission *a, struct slot *s, struct baro_permit *p)
{
	uint32_t chunk = (uint32_t)least(most(p->chunk_records, s->chunk_min), s->chunk_max);
	uint32_t wish = permit_workers_wish(a, s->workers_max, a->worker_jobs + a->queued_batches);
	int step = BARO_STEP_ON;

	if (has_too_many(a, s, wish)) {
		permit_give_bytes(a, s, worker_bytes(s, chunk));
		s->workers--;
		set(&a->workers, a->workers - 1);
		p->bytes = s->bytes;
		p->workers = s->workers;
		return BARO_STEP_END;
	}
	chunk = next_chunk(a, s, chunk);
	if (has_too_few(a, s, wish) && has_room(a, s, worker_bytes(s, chunk))) {
		permit_take_bytes(a, s, worker_bytes(s, chunk));
		s->workers++;
		set(&a->workers, a->workers + 1);
		step = BARO_STEP_MORE;
	}
	permit_chose(a, s->workers, chunk);
	p->bytes = s->bytes;
	p->workers = s->workers;
	p->chunk_records = chunk;
	return step;
}

/* Sleeps while writes are to give way; gives the lock. Who was told to end learns it here. */
static int give_way(struct baro_admission *a, struct slot *s, uint64_t now)
{
	const struct demand only_time = { .need = NEED_TIME };
	struct waiter w = {
		.collection = s->collection,
		.demand = &only_time,
		.cancel = s->cancel,
		.pauses = true,
	};
	struct wakes wakes;
	int r;

	wakes_init(&wakes);
	a->throttled++;
	queue_join(a, &w);
	/* those who wait may have become able to go on by what this step gave back */
	queue_look(a, &wakes);
	r = queue_sleep(a, &w, now + PAUSE_MAX_NS, &wakes);
	return r == -ETIMEDOUT ? 0 : r;
}

/* The time it gave way is not the time of its chunk. */
static void begin_chunk(struct baro_admission *a, const struct baro_permit *p)
{
	struct slot *s;

	lock_take(&a->lock);
	s = permit_slot(a, p->id);
	if (s)
		s->since_ns = lib_now_ns();
	lock_give(&a->lock);
}

/* With the lock held: what this chunk taught. */
static void take_in(struct baro_admission *a, struct slot *s, uint64_t records, uint64_t elapsed_ns,
		    uint64_t now)
{
	if (!elapsed_ns && s->began_ns)
		elapsed_ns = now - s->since_ns;
	if (!s->began_ns)
		s->began_ns = now;
	s->since_ns = now;
	if (is_batch(s->need))
		learn_record(s->collection, records, elapsed_ns);
	pace_charge(&a->pace, elapsed_ns, now);
}

int baro_permit_step(struct baro_permit *p, uint64_t records, uint64_t elapsed_ns)
{
	struct baro_admission *a = p->admission;
	struct wakes wakes;
	uint64_t now = lib_now_ns();
	int step = BARO_STEP_ON, r;
	struct slot *s;

	if (!a)
		return -EALREADY;
	wakes_init(&wakes);
	admission_tend(a, now);
	lock_take(&a->lock);
	s = permit_slot(a, p->id);
	r = !s ? -EALREADY : a->stopped ? -ESHUTDOWN : is_cancelled(s->cancel) ? -ECANCELED : 0;
	if (r < 0) {
		lock_give(&a->lock);
		return r;
	}
	take_in(a, s, records, elapsed_ns, now);
	if (!s->fixed)
		step = adapt(a, s, p);
	if (step == BARO_STEP_END || !(queue_time_lack(a, s->need) & NEED_TIME)) {
		queue_look(a, &wakes);
		admission_unlock(a, &wakes);
		return step;
	}
	r = give_way(a, s, now);
	begin_chunk(a, p);
	return r < 0 ? r : step;
}
