// SPDX-License-Identifier: BSD-2-Clause
/* What a job will hold, and how it is cut to what there is. Plain arithmetic, saturating. */
#include <errno.h>

#include "user/lib/admission_internal.h"

#define RECORDS_MAX (UINT64_C(1) << 40)

#define ALL_FLAGS                                                                                  \
	(BARO_JOB_INDEXED | BARO_JOB_QUANTISED | BARO_JOB_ORDERED | BARO_JOB_SOURCED |             \
	 BARO_JOB_FIXED | BARO_JOB_ESSENTIAL)

static const uint32_t need_of_kind[BARO_JOB_KINDS] = {
	[BARO_JOB_INSERT] = NEED_BY_ALL,
	[BARO_JOB_UPDATE] = NEED_BY_ALL,
	[BARO_JOB_DELETE] = NEED_BY_ALL,
	[BARO_JOB_INSERT_BATCH] = NEED_BY_ALL | NEED_BATCHES | NEED_WORKERS,
	[BARO_JOB_UPDATE_BATCH] = NEED_BY_ALL | NEED_BATCHES | NEED_WORKERS,
	[BARO_JOB_DELETE_BATCH] = NEED_BY_ALL | NEED_BATCHES | NEED_WORKERS,
	[BARO_JOB_STREAM] = NEED_BY_ALL | NEED_BATCHES | NEED_WORKERS,
	[BARO_JOB_INDEX_BUILD] = NEED_BY_ALL | NEED_INDEX | NEED_WORKERS,
};

void baro_cost_model_default(struct baro_cost_model *ret_model)
{
	*ret_model = (struct baro_cost_model){
		.buffer_ppm = PPM,
		.write_path_ppm = 2 * PPM,
		.quantise_ppm = PPM / 4,
		.record_bytes = 64,
		.index_record_bytes = 512,
		.index_worker_bytes = UINT64_C(64) << 10,
		.quantise_worker_bytes = UINT64_C(64) << 10,
	};
}

/* The parts of the estimate for one worker, and for one record of its chunk. */
struct parts {
	uint64_t record; /* payload of one */
	uint64_t buffer, index, write_path, quantise; /* a record */
	uint64_t index_worker, quantise_worker;
};

static inline struct parts parts_of(const struct baro_cost_model *m, const struct baro_job *job)
{
	struct parts p = { .record = job->payload_bytes };

	if (job->records > 1)
		p.record =
		    job->payload_bytes / job->records + (job->payload_bytes % job->records != 0);
	p.buffer = add(part(p.record, m->buffer_ppm), m->record_bytes);
	p.write_path = part(p.record, m->write_path_ppm);
	if (job->flags & BARO_JOB_INDEXED || job->kind == BARO_JOB_INDEX_BUILD) {
		p.index = m->index_record_bytes;
		p.index_worker = m->index_worker_bytes;
	}
	if (job->flags & BARO_JOB_QUANTISED) {
		p.quantise = part(p.record, m->quantise_ppm);
		p.quantise_worker = m->quantise_worker_bytes;
	}
	return p;
}

void baro_cost_estimate(const struct baro_cost_model *model, const struct baro_job *job,
			uint32_t workers, uint64_t chunk_records, struct baro_cost *ret_cost)
{
	struct parts p = parts_of(model, job);
	uint64_t w = workers ? workers : 1;
	uint64_t c = chunk_records ? chunk_records : most(job->records, 1);
	struct baro_cost cost = {
		.payload_bytes = job->flags & BARO_JOB_SOURCED ? 0 : job->payload_bytes,
		.buffer_bytes = mul(w, mul(c, p.buffer)),
		.index_bytes = mul(w, add(p.index_worker, mul(c, p.index))),
		.write_path_bytes = mul(w, mul(c, p.write_path)),
		.quantise_bytes = mul(w, add(p.quantise_worker, mul(c, p.quantise))),
	};

	cost.total_bytes =
	    add(add(cost.payload_bytes, cost.buffer_bytes),
		add(cost.index_bytes, add(cost.write_path_bytes, cost.quantise_bytes)));
	*ret_cost = cost;
}

static inline uint32_t need_of(const struct baro_job *job)
{
	uint32_t need = need_of_kind[job->kind];

	if (job->flags & BARO_JOB_INDEXED)
		need |= NEED_INDEX;
	if (job->flags & BARO_JOB_ORDERED)
		need |= NEED_ORDER;
	if (!(job->flags & BARO_JOB_ESSENTIAL))
		need |= NEED_TIME;
	return need;
}

/* Chunks within what mode, caller and number of records allow; a caller's bound comes first. */
static void chunks_of(const struct baro_job *job, uint32_t chunk_min, struct demand *d)
{
	uint32_t most_records = (uint32_t)least(d->records, UINT32_MAX);

	d->chunk_max = job->chunk_records_max
			   ? (uint32_t)least(job->chunk_records_max, most_records)
			   : most_records;
	d->chunk_min = (uint32_t)least(chunk_min, d->chunk_max);
	d->workers_max = job->workers_max ? job->workers_max : UINT32_MAX;
}

uint64_t demand_bytes(const struct demand *d, uint64_t workers, uint64_t chunk)
{
	return add(d->held_bytes, mul(workers, add(d->worker_bytes, mul(chunk, d->record_bytes))));
}

static void bytes_of(const struct baro_cost_model *m, const struct baro_job *job, struct demand *d)
{
	struct parts p;

	d->held_bytes = d->worker_bytes = d->record_bytes = 0;
	if (job->cost_bytes) {
		d->held_bytes = job->cost_bytes;
		return;
	}
	p = parts_of(m, job);
	if (!(job->flags & BARO_JOB_SOURCED))
		d->held_bytes = job->payload_bytes;
	d->worker_bytes = add(p.index_worker, p.quantise_worker);
	d->record_bytes = add(add(p.buffer, p.write_path), add(p.index, p.quantise));
}

int demand_of(const struct baro_cost_model *m, const struct baro_job *job, uint32_t chunk_min,
	      uint64_t crumb_max_bytes, struct demand *d)
{
	if (job->kind >= BARO_JOB_KINDS || job->flags & ~(uint32_t)ALL_FLAGS)
		return -EINVAL;
	if (job->records > (is_batch(need_of_kind[job->kind]) ? RECORDS_MAX : UINT32_MAX))
		return -EINVAL;
	d->need = need_of(job);
	d->kind = job->kind;
	d->flags = job->flags;
	d->records = job->records ? job->records : 1;
	d->payload_bytes = job->payload_bytes;
	d->workers_max = 1;
	d->deadline_ns = job->deadline_ns;
	d->cancel = job->cancel;
	if (is_batch(d->need))
		chunks_of(job, chunk_min, d);
	else
		d->chunk_min = d->chunk_max = (uint32_t)d->records;
	bytes_of(m, job, d);
	d->floor_bytes = demand_bytes(d, 1, d->chunk_min);
	/* a batch may take more than its least */
	if (is_batch(d->need) || d->floor_bytes > crumb_max_bytes)
		d->need |= NEED_LARGE;
	return 0;
}

/* The largest chunk with so many workers; below chunk_min when there is none. */
static uint64_t largest_chunk(const struct demand *d, uint64_t available, uint64_t workers)
{
	uint64_t each;

	if (available < d->held_bytes)
		return 0;
	each = (available - d->held_bytes) / workers;
	if (each < d->worker_bytes)
		return 0;
	return d->record_bytes ? (each - d->worker_bytes) / d->record_bytes : UINT32_MAX;
}

bool demand_fit(const struct demand *d, uint64_t available_bytes, uint32_t workers, uint32_t chunk,
		uint32_t *ret_workers, uint32_t *ret_chunk)
{
	uint64_t each = add(d->worker_bytes, mul(d->chunk_min, d->record_bytes));
	uint64_t w = workers, c;

	/* as many workers as there is room for with the smallest chunk */
	if (demand_bytes(d, w, d->chunk_min) > available_bytes)
		w = available_bytes < d->held_bytes || !each
			? 0
			: least(w, (available_bytes - d->held_bytes) / each);
	*ret_workers = w ? (uint32_t)w : 1;
	c = w ? largest_chunk(d, available_bytes, w) : 0;
	*ret_chunk = (uint32_t)least(most(c, d->chunk_min), most(chunk, d->chunk_min));
	return w > 0;
}
