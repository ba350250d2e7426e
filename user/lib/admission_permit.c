// SPDX-License-Identifier: BSD-2-Clause
/*
 * The table of permits: what is handed out, and what is given back. It is made once; a permit's id
 * holds its entry's index and a number that no other permit has, so that one that was given back
 * is known, whoever has the entry by then. All with the lock held.
 */
#include "user/lib/admission_internal.h"

void permit_take_bytes(struct baro_admission *a, struct slot *s, uint64_t bytes)
{
	s->bytes = add(s->bytes, bytes);
	bound_take_bytes(&a->all, s->need, bytes);
	bound_take_bytes(&s->collection->own, s->need, bytes);
}

void permit_give_bytes(struct baro_admission *a, struct slot *s, uint64_t bytes)
{
	/* never more than it has, whatever the caller made of its copy */
	bytes = least(bytes, s->bytes);
	s->bytes -= bytes;
	bound_give_bytes(&a->all, s->need, bytes);
	bound_give_bytes(&s->collection->own, s->need, bytes);
}

/* ---- plans ----------------------------------------------------------------------------------- */

uint32_t permit_workers_wish(const struct baro_admission *a, uint32_t workers_max, uint32_t jobs)
{
	uint64_t share = a->workers_limit / most(jobs, 1);

	return (uint32_t)least(most(share, 1), workers_max);
}

uint32_t permit_chunk_wish(const struct baro_admission *a, const struct baro_collection *c,
			   uint32_t chunk_min, uint32_t chunk_max)
{
	uint64_t wish = a->now.chunk_records;

	if (c->record_ns)
		wish = least(wish, a->now.chunk_target_ns / c->record_ns);
	return (uint32_t)least(most(wish, chunk_min), chunk_max);
}

void permit_chose(struct baro_admission *a, uint32_t workers, uint32_t chunk)
{
	spread_add(&a->workers_chosen, workers);
	spread_add(&a->chunk_chosen, chunk);
}

/* How many workers a batch begins with, and how large a chunk. */
static void plan_batch(struct baro_admission *a, const struct baro_collection *c,
		       const struct demand *d, struct slot *s, uint32_t *ret_chunk)
{
	uint64_t left = least(bound_left(&a->all), bound_left(&c->own));
	uint32_t chunk = permit_chunk_wish(a, c, d->chunk_min, d->chunk_max), workers;
	/* who cannot give workers back leaves room for as many batches as there may be */
	uint32_t jobs =
	    d->flags & BARO_JOB_FIXED ? a->now.batches_max : a->worker_jobs + a->queued_batches + 1;

	workers = permit_workers_wish(a, d->workers_max, jobs);
	workers = (uint32_t)least(workers, a->workers_limit - a->workers);
	/* nor more workers than chunks */
	workers = (uint32_t)least(workers, most(d->records / most(chunk, 1), 1));
	demand_fit(d, left, workers, chunk, &s->workers, ret_chunk);
	if (s->workers < workers || *ret_chunk < chunk)
		a->cut++;
	permit_chose(a, s->workers, *ret_chunk);
	s->bytes = demand_bytes(d, s->workers, *ret_chunk);
	set(&a->workers, a->workers + s->workers);
	a->worker_jobs++;
}

/* ---- in and out ------------------------------------------------------------------------------ */

static void fill_slot(struct slot *s, const struct demand *d)
{
	s->cancel = d->cancel;
	s->bytes = d->floor_bytes;
	s->payload_bytes = d->payload_bytes;
	s->records = d->records;
	s->need = d->need;
	s->fixed = !is_batch(d->need) || d->flags & BARO_JOB_FIXED;
	s->plain = false;
	s->floor_bytes = d->floor_bytes;
	s->worker_bytes = d->worker_bytes;
	s->record_bytes = d->record_bytes;
	s->budget_bytes = 0;
	s->workers = 0;
	s->workers_max = d->workers_max;
	s->chunk_min = d->chunk_min;
	s->chunk_max = d->chunk_max;
}

void permit_grant(struct baro_admission *a, struct baro_collection *c, const struct demand *d,
		  struct baro_permit *ret_permit)
{
	struct slot *s = permit_new(a, c);
	uint32_t chunk = d->chunk_max;

	fill_slot(s, d);
	if (is_batch(d->need))
		plan_batch(a, c, d, s, &chunk);
	if (!get(&a->busy))
		reads_end_quiet(a);
	/* who gives way must know how long he took; otherwise a sample is enough */
	s->began_ns = a->pace.share_ppm < PPM || permit_is_sample(a) ? lib_now_ns() : 0;
	s->since_ns = s->began_ns;
	permit_count(a, s, d->kind);
	if (s->need & NEED_ORDER)
		c->ordered = true;
	ret_permit->admission = a;
	ret_permit->id = s->id;
	/* with an outer budget it is no permit yet */
	a->asking_outside += a->has_budget;
	ret_permit->order = a->has_budget ? 0 : permit_take_order(s);
	ret_permit->bytes = s->bytes;
	ret_permit->workers = s->workers ? s->workers : 1;
	ret_permit->chunk_records = chunk;
}

void permit_give_back(struct baro_admission *a, struct slot *s)
{
	permit_give_bytes(a, s, s->bytes);
	bound_count(&a->all, s->need, UINT32_MAX);
	bound_count(&s->collection->own, s->need, UINT32_MAX);
	if (is_batch(s->need)) {
		set(&a->workers, a->workers - s->workers);
		a->worker_jobs--;
	}
	if (s->need & NEED_ORDER)
		s->collection->ordered = false;
	permit_free(a, s);
}
