/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Admission: every mutation of a database asks before its heavy work how much of it may run now.
 *
 * Two layers. Outside: how many jobs run at once, how much write memory they hold, who waits, for
 * how long. Inside: how many workers one batch may use, and how many records one of its chunks
 * has; both move while the batch runs. A database is bounded, and each of its collections is.
 * Readers say how long they took; in the modes that protect them, writes give way.
 *
 *	struct baro_admission *writes;
 *	struct baro_collection *docs;
 *	struct baro_job job = { .kind = BARO_JOB_INSERT, .payload_bytes = length };
 *	struct baro_permit permit;
 *	struct baro_admission_refusal why;
 *
 *	baro_admission_open(NULL, &writes);			// mode balanced, careful limits
 *	baro_collection_open(writes, "docs", NULL, &docs);
 *	job.deadline_ns = now_ns + 50000000;			// 0: do not wait
 *	if (baro_permit_acquire(docs, &job, &permit, &why) < 0)
 *		return try_later(why.retry_after_ns);
 *	insert(record, permit.order);
 *	baro_permit_release(&permit);				// whatever became of the insert
 *
 * Units: bytes, ns of CLOCK_MONOTONIC, ppm. BARO_PAGE_NONE in a limit, a deadline or a budget means
 * "none" or "never".
 *
 * Threads: everything may be called from any number of threads at once, but opening and closing the
 * same object. Callbacks are called from the caller's thread, and never under a lock. The library
 * starts no thread: who waits keeps the time for all who wait.
 *
 * Errors: 0 (or what is said) or -errno. These are the answers of admission; the first four come
 * with a hint when to try again:
 *  -ENOBUFS	the queue is full
 *  -EDQUOT	the memory budget is exceeded: what the job needs is held by others now
 *  -EAGAIN	ingestion is throttled: readers or the host's memory come first
 *  -EBUSY	the concurrency limit is reached
 *  -E2BIG	final: the job can never fit, not even alone, with one worker and the smallest chunk
 *  -ETIMEDOUT	the deadline passed while it waited
 *  -ECANCELED	it was cancelled while it waited
 *  -ESHUTDOWN	the database stops: baro_admission_stop()
 */
#ifndef BAROSTAT_ADMISSION_H
#define BAROSTAT_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <barostat/client.h>
#include <barostat/page.h>

#ifdef __cplusplus
extern "C" {
#endif

struct baro_budget;
struct baro_metrics;

struct baro_admission; /* a database */
struct baro_collection; /* one of its collections */

/* ---- modes and limits ------------------------------------------------------------------------ */

/* What the database is for just now. It can be changed at any time. */
enum baro_admission_mode {
	BARO_MODE_BALANCED = 0, /* the default */
	BARO_MODE_LATENCY = 1, /* readers first: few writes at once, small chunks, a short queue */
	BARO_MODE_BULK_INGEST = 2, /* writes first: every processor, large chunks, a long queue */
	BARO_MODES = 3,
};

/*
 * Limits of a database. 0 means what the mode gives, see baro_admission_limits_of().
 *
 * The first four, and memory_bytes, are upper bounds of what is held at once; pressure and readers
 * lower what is in force, never below one.
 */
struct baro_admission_limits {
	uint32_t writes_max; /* jobs of every kind */
	uint32_t batches_max; /* of those, batches and chunks of a stream */
	uint32_t index_max; /* of those, jobs that mutate an index */
	uint32_t workers_max; /* of all batches together */
	uint32_t queue_max; /* jobs that wait; BARO_QUEUE_NONE: nobody waits */
	uint32_t chunk_records; /* what a chunk has when nothing is against it */
	uint32_t chunk_records_min; /* and below which no batch is cut */
	uint32_t workers_beside_reads; /* of all batches while there are readers */
	uint64_t memory_bytes; /* held by all jobs, by estimate */
	uint64_t chunk_target_ns; /* how long a chunk should take: the readers' longest wait */
	/* Read priority. Writes are slowed until no more than 1 % of reads take longer than this:
	 * a time, or 0 for read_slowdown_ppm of what the same 99 % took while nobody wrote. */
	uint64_t read_p99_ns;
	uint32_t read_slowdown_ppm; /* 1250000: a quarter slower. BARO_READS_UNPROTECTED: any */
	uint32_t write_share_min_ppm; /* of their time, that writes keep whatever readers suffer */
};

#define BARO_QUEUE_NONE        UINT32_MAX
#define BARO_READS_UNPROTECTED UINT32_MAX

/*
 * What a mode gives on a machine of `cpus` processors to a database that may use budget_bytes in
 * all (0: unknown, 1 GiB is taken):
 *
 *			latency		balanced	bulk_ingest
 *  writes_max		2 cpus, >= 4	4 cpus, >= 8	8 cpus, >= 16
 *  batches_max		1		cpus / 2, >= 2	2 cpus, >= 4
 *  index_max		1		cpus / 2, >= 1	cpus
 *  workers_max		cpus / 4, >= 1	cpus / 2, >= 1	2 cpus
 *  beside reads	1		cpus / 4, >= 1	2 cpus
 *  queue_max		32		128		512
 *  memory_bytes	budget / 16	budget / 8	budget / 4
 *  chunk (smallest)	64 (8)		512 (32)	4096 (256)
 *  chunk_target	1 ms		10 ms		50 ms
 *  read p99		x 1.25		x 2		any
 *  writes keep		1 %		20 %		all
 */
BARO_API void baro_admission_limits_of(uint32_t mode, uint32_t cpus, uint64_t budget_bytes,
				       struct baro_admission_limits *ret_limits);

/* "balanced", "latency", "bulk_ingest"; "?" for unknown ones. */
BARO_API const char *baro_admission_mode_name(uint32_t mode);

/* The mode of that name. -EINVAL: there is none. */
BARO_API int baro_admission_mode_parse(const char *name, uint32_t *ret_mode);

/* ---- what a job costs ------------------------------------------------------------------------ */

enum baro_job_kind {
	BARO_JOB_INSERT = 0,
	BARO_JOB_UPDATE = 1,
	BARO_JOB_DELETE = 2,
	BARO_JOB_INSERT_BATCH = 3, /* from here on: with workers and chunks */
	BARO_JOB_UPDATE_BATCH = 4,
	BARO_JOB_DELETE_BATCH = 5,
	BARO_JOB_STREAM = 6, /* a chunk of a stream, through the same door as any batch */
	BARO_JOB_INDEX_BUILD = 7, /* counts among index mutations, not among batches */
	BARO_JOB_KINDS = 8,
};

enum baro_job_flag {
	BARO_JOB_INDEXED = 1, /* mutates an index: it counts, and its working memory does */
	BARO_JOB_QUANTISED = 2, /* quantises what it writes */
	BARO_JOB_ORDERED = 4, /* one at a time in its collection, in the order of their asking */
	BARO_JOB_SOURCED =
	    8, /* reads its records chunk by chunk: the payload is never held whole */
	BARO_JOB_FIXED =
	    16, /* does not call baro_permit_step(): keeps workers and chunk as given */
	BARO_JOB_ESSENTIAL =
	    32, /* goes on under throttling and in an emergency; limits still hold */
};

/* Cancels every job that names it. All zeros at first; the caller's, and alive while jobs name it.
 * Fired with baro_admission_cancel(); what is fired stays fired. */
struct baro_cancel {
	uint32_t fired;
};

/* What is asked. Everything that is 0 has a meaning, so name only what matters. */
struct baro_job {
	uint32_t kind; /* enum baro_job_kind */
	uint32_t flags; /* enum baro_job_flag */
	uint64_t records; /* 0: one */
	uint64_t payload_bytes; /* of all records together */
	uint64_t cost_bytes; /* what it will hold, if the caller knows better; 0: estimate it */
	uint32_t workers_max; /* the caller's own bound; 0: none */
	uint32_t chunk_records_max; /* the caller's own bound; 0: none */
	uint64_t deadline_ns; /* how long it may wait; 0: not at all; BARO_PAGE_NONE: for ever */
	struct baro_cancel *cancel; /* may be NULL */
};

/*
 * What is taken for the estimate. With w workers, chunks of c records and r = payload / records:
 *
 *   payload       records x r, nothing for SOURCED jobs (their chunks are in the buffers)
 *   buffers       w x c x (r x buffer_ppm + record_bytes)
 *   index         w x (index_worker_bytes + c x index_record_bytes)	INDEXED, INDEX_BUILD
 *   write path    w x c x r x write_path_ppm
 *   quantisation  w x (quantise_worker_bytes + c x r x quantise_ppm)	QUANTISED
 */
struct baro_cost_model {
	uint32_t buffer_ppm; /* copies of a record in a worker's buffers; 1000000 is one */
	uint32_t write_path_ppm; /* copies in log and memtable on their way */
	uint32_t quantise_ppm; /* size of a quantised record, of the record */
	uint32_t record_bytes; /* beyond its payload: headers, keys, nodes */
	uint64_t index_record_bytes;
	uint64_t index_worker_bytes; /* candidate lists, visited sets */
	uint64_t quantise_worker_bytes; /* code books, training samples */
};

/* One copy in buffers, two on the write path, 64 bytes a record; an index takes 512 bytes a record
 * and 64 KiB a worker, quantising a quarter of a record and 64 KiB a worker. */
BARO_API void baro_cost_model_default(struct baro_cost_model *ret_model);

struct baro_cost {
	uint64_t payload_bytes, buffer_bytes, index_bytes, write_path_bytes, quantise_bytes;
	uint64_t total_bytes; /* UINT64_MAX when it does not fit 64 bits, as any of them */
};

/* The estimate for given workers and chunk (0: one worker, all records in one chunk). */
BARO_API void baro_cost_estimate(const struct baro_cost_model *model, const struct baro_job *job,
				 uint32_t workers, uint64_t chunk_records,
				 struct baro_cost *ret_cost);

/* ---- a database ------------------------------------------------------------------------------ */

/*
 * A budget outside, asked for every job beside memory_bytes, so that a governor's engines may share
 * one ceiling. reserve() returns 0 or -errno (then the job waits or gets -EDQUOT) and may leave 64
 * bits of its own in *ret_cookie, which release() gets back; both with the bytes. Never called
 * under a lock; release() exactly once for what reserve() granted. When room appears there by
 * itself, baro_admission_kick() tells those who wait; they look again every 100 ms at the latest.
 */
struct baro_admission_budget {
	int (*reserve)(void *ctx, uint64_t bytes, uint64_t *ret_cookie);
	void (*release)(void *ctx, uint64_t bytes, uint64_t cookie);
	void *ctx;
};

/* A budget of <barostat/budget.h>, and so every layer above it, as the one outside. It must outlive
 * the admission. */
BARO_API struct baro_admission_budget baro_admission_budget_of(struct baro_budget *budget);

struct baro_admission_options {
	size_t size; /* of this struct */
	uint32_t mode; /* enum baro_admission_mode */
	uint32_t cpus; /* 0: those this process may use */
	uint64_t budget_bytes; /* what the database may use in all; 0: the client's budget */
	struct baro_admission_limits limits; /* zeros: what the mode gives, also after set_mode() */
	struct baro_cost_model model; /* all zeros: the default */
	struct baro_admission_budget budget; /* zeros: none */

	/* Where pressure comes from: it is read every 100 ms by whoever asks. NULL: whoever knows
	 * hands it in with baro_admission_observe(). Must outlive the admission. */
	struct baro_client *client;
	uint32_t sharers; /* processes in this cgroup that admit writes by themselves; 0: one */
	uint64_t pressure_ttl_ns; /* pressure handed in is forgotten after it; 0: 10 s */

	/* Every change of the level, also one that came before; `excursions` counts how often
	 * this level was reached from below. From the thread that saw it. May be NULL. */
	void (*on_level)(void *ctx, uint32_t before, uint32_t level, uint64_t excursions);
	void *level_ctx;

	uint32_t permits_max; /* writes_max is never more; 0: 1024, at most 65536 */
};

/*
 * NULL as options takes every default.
 *  -EINVAL	options of another size than any version had, a mode or number that is none
 *  -ENOMEM
 */
BARO_API int baro_admission_open(const struct baro_admission_options *options,
				 struct baro_admission **ret_admission);

/* The last call, with all permits released and nobody waiting; closes its collections, too. NULL
 * is fine. */
BARO_API void baro_admission_close(struct baro_admission *admission);

/* Everybody who waits or asks from now on gets -ESHUTDOWN. Permits stay valid until released. */
BARO_API void baro_admission_stop(struct baro_admission *admission);

/* -EINVAL: no such mode. Takes effect at once for who asks, for who holds at its next step. */
BARO_API int baro_admission_set_mode(struct baro_admission *admission, uint32_t mode);

/* Other limits, zeros as in the options. What is held beyond a lower limit stays until released. */
BARO_API void baro_admission_set_limits(struct baro_admission *admission,
					const struct baro_admission_limits *limits);

/* What is in force now, after mode, pressure and readers. */
BARO_API void baro_admission_limits_now(struct baro_admission *admission,
					struct baro_admission_limits *ret_limits);

/*
 * The engine's pressure. With score s (0 .. 1, at least the edge of the level; a page's slot):
 *
 *   scale = 1 to s = 0.70, then falling in a line to 1/8 at 0.95
 *   writes, batches, workers, chunk: scale x limit, at least 1; from critical on one batch
 *   memory: scale x limit, at most budget x (1 - s) / sharers: the page's figure bounds each of the
 *	processes that share a cgroup, so that together they stay below the engine's budget
 *   a job that does not fit what is left below critical may run alone; from critical on it waits
 *   emergency: only ESSENTIAL jobs are admitted, and may run alone, too
 */
BARO_API void baro_admission_observe(struct baro_admission *admission,
				     const struct baro_pressure *pressure);

/* Those who wait look again at the outer budget. */
BARO_API void baro_admission_kick(struct baro_admission *admission);

/* ---- collections ----------------------------------------------------------------------------- */

/* Bounds within the database's; 0: half of the database's, at least one; writes: all of them. */
struct baro_collection_options {
	size_t size; /* of this struct */
	uint32_t writes_max, batches_max, index_max;
	uint64_t memory_bytes;
	uint64_t first_order; /* 0: 1. After reopening: one more than the highest stored */
};

/*
 * The name (copied, at most 63 bytes are kept) is for messages.
 *  -EINVAL, -ENOMEM
 */
BARO_API int baro_collection_open(struct baro_admission *admission, const char *name,
				  const struct baro_collection_options *options,
				  struct baro_collection **ret_collection);

/*
 * Other bounds, zeros as in the options; first_order is not looked at. What is held beyond a lower
 * bound stays until released; who waits is let in at once where a higher one allows it.
 *  -EINVAL	options of another size than any version had
 */
BARO_API int baro_collection_set_limits(struct baro_collection *collection,
					const struct baro_collection_options *options);

/* -EBUSY: permits are out, or somebody waits; it stays open. */
BARO_API int baro_collection_close(struct baro_collection *collection);

/* ---- permits --------------------------------------------------------------------------------- */

/*
 * The right to work, once. Plain data: copies are the same permit, and it does not matter which of
 * them is released. A permit released again is counted, and changes nothing.
 */
struct baro_permit {
	struct baro_admission *admission;
	uint64_t id; /* 0: none */
	uint64_t order; /* of its first record in the collection, the rest follow: no two alike */
	uint64_t bytes; /* reserved */
	uint32_t workers; /* to begin with */
	uint32_t chunk_records; /* that one worker takes at a time */
};

/* Whose bound refused. */
enum baro_admission_layer {
	BARO_LAYER_NONE = 0,
	BARO_LAYER_COLLECTION = 1,
	BARO_LAYER_DATABASE = 2,
	BARO_LAYER_HOST = 3, /* the pressure page */
	BARO_LAYER_READERS = 4,
	BARO_LAYER_BUDGET = 5, /* outside */
};

/* Of what there was not enough. */
enum baro_admission_resource {
	BARO_RESOURCE_NONE = 0,
	BARO_RESOURCE_WRITES = 1,
	BARO_RESOURCE_BATCHES = 2,
	BARO_RESOURCE_INDEX = 3,
	BARO_RESOURCE_WORKERS = 4,
	BARO_RESOURCE_MEMORY = 5,
	BARO_RESOURCE_ORDER = 6, /* another ordered job of this collection runs */
	BARO_RESOURCE_TIME = 7, /* throttled */
	BARO_RESOURCE_QUEUE = 8,
};

struct baro_admission_refusal {
	int32_t error; /* what the call returned */
	uint32_t layer, resource;
	uint32_t retryable; /* 1: later it may well be admitted */
	uint64_t asked, held,
	    limit; /* of the resource; for memory: bytes, the least it could do with */
	uint64_t retry_after_ns; /* a hint: from now on; 0 when not retryable */
};

/*
 * Asks, and waits when the job may. On success *ret_permit is a permit that must be released; on
 * failure it is untouched, and *ret_refusal (may be NULL) says why, also for deadline and cancel.
 *
 * Who comes later does not overtake who waits for the same thing. So jobs that need the same are
 * admitted in the order of their asking; an insert passes a batch that waits for a place among the
 * batches; and what needs less than a thousandth of the memory passes a job that waits for a lot of
 * it, unless it is such crumbs that are in its way. The first of the queue starves never: when it
 * has missed some turns, because other things were gone by the time, all it needs is kept for it.
 *
 * A batch gets its share of the workers (all of them when it is alone) and a chunk by mode,
 * pressure and how long records took lately; when memory is short, first smaller chunks, then
 * fewer workers, and only when one worker with the smallest chunk does not fit does it wait.
 *  the errors above; and
 *  -EINVAL	no such kind or flag; more than 2^40 records, or 2^32 - 1 in what is no batch
 *  -EOVERFLOW	the collection's order numbers have come to 2^62
 */
BARO_API int baro_permit_acquire(struct baro_collection *collection, const struct baro_job *job,
				 struct baro_permit *ret_permit,
				 struct baro_admission_refusal *ret_refusal);

/* The work is done. NULL, and a permit of zeros, are fine. -EALREADY: it was released before. */
BARO_API int baro_permit_release(const struct baro_permit *permit);

/* The same for work that failed or was given up: counted as such. */
BARO_API int baro_permit_fail(const struct baro_permit *permit);

/* What a worker does after a chunk. */
enum baro_step {
	BARO_STEP_ON = 0, /* takes the next chunk, of permit->chunk_records */
	BARO_STEP_END = 1, /* ends: its share has gone to others */
	BARO_STEP_MORE = 2, /* takes the next chunk, and starts one more worker: it is paid for */
};

/*
 * Called by every worker after each of its chunks: tells how many records that were and how long
 * they took (0 ns: not known, it is taken from call to call), learns the size of the next chunk,
 * and gives way to readers by sleeping as long as the mode wants: a second at most, and not once it
 * is cancelled.
 * chunk_records and bytes of *permit (the worker's own copy) are set anew. When memory has become
 * short chunks shrink at once. With an outer budget a batch grows no further than what was reserved
 * there for it in the beginning.
 *  enum baro_step
 *  -ECANCELED, -ESHUTDOWN	end the work; the permit is still to be released
 *  -EALREADY	it has been released
 */
BARO_API int baro_permit_step(struct baro_permit *permit, uint64_t records, uint64_t elapsed_ns);

/* Fires: who waits with it returns -ECANCELED, and so does who will. Once for every database whose
 * jobs name it. A job that was admitted in the same instant stays admitted. */
BARO_API void baro_admission_cancel(struct baro_admission *admission, struct baro_cancel *cancel);

/* One sentence, without a dot, for an error of this header. Static text. */
BARO_API const char *baro_admission_strerror(int error);

/*
 * The whole refusal in words, as "the memory budget is exceeded: 12 MiB asked, 60 of 64 MiB held,
 * limit of the collection; try again in 3 ms". Returns as snprintf(3).
 */
BARO_API int baro_admission_refusal_format(const struct baro_admission_refusal *refusal, char *buf,
					   size_t size);

/* ---- readers --------------------------------------------------------------------------------- */

/* A read begins and ends; latency_ns = 0 says nothing about how long it took. Some nanoseconds
 * each, no lock. A reader that only reports calls read_end() alone with begun = false. */
BARO_API void baro_admission_read_begin(struct baro_admission *admission);
BARO_API void baro_admission_read_end(struct baro_admission *admission, bool begun,
				      uint64_t latency_ns);

/* ---- signals --------------------------------------------------------------------------------- */

struct baro_admission_spread {
	uint64_t count, mean, p50, p99, max;
};

struct baro_admission_done {
	uint64_t jobs, failed, records, payload_bytes;
	uint64_t ns; /* how long the mode has been on */
};

struct baro_admission_stats {
	uint32_t mode, level; /* enum baro_admission_mode, enum baro_level */
	uint32_t writes, batches, index_jobs, workers; /* active now */
	uint32_t queued, queued_peak;
	uint32_t readers; /* reads that have begun and not ended */
	uint32_t write_share_ppm; /* of their time, that writes may use; 1000000: unthrottled */
	uint64_t reserved_bytes, reserved_peak_bytes;

	uint64_t granted[BARO_JOB_KINDS];
	uint64_t waited; /* of those, not at once */
	uint64_t refused_queue_full, refused_memory, refused_throttled, refused_concurrency;
	uint64_t refused_never_fits, timed_out, cancelled;
	uint64_t throttled; /* jobs and chunks that had to wait or go for readers or pressure */
	uint64_t released_again; /* permits that had been released before */
	uint64_t cut; /* batches that got a smaller chunk or fewer workers for want of memory */

	struct baro_admission_spread wait_ns; /* of all granted jobs; at once is 0 */
	struct baro_admission_spread batch_workers, batch_chunk; /* chosen per batch and step */
	struct baro_admission_spread read_quiet_ns, read_during_writes_ns;
	uint64_t read_p99_bound_ns; /* what is held to now; 0: nothing */

	struct baro_admission_done done[BARO_MODES]; /* throughput by mode */
	uint64_t observed; /* how often pressure was seen */
	uint64_t excursions[5]; /* by enum baro_level: how often reached from below */
	uint64_t reserved[8];
};

/* A consistent snapshot of the counters; the values of a spread are within 7 %. */
BARO_API void baro_admission_stats_read(struct baro_admission *admission,
					struct baro_admission_stats *ret_stats);

struct baro_collection_stats {
	uint32_t writes, batches, index_jobs, queued;
	uint64_t reserved_bytes, reserved_peak_bytes;
	uint64_t granted, refused;
	uint64_t next_order;
	uint64_t reserved[4];
};

/* The same of one collection. */
BARO_API void baro_collection_stats_read(struct baro_collection *collection,
					 struct baro_collection_stats *ret_stats);

/*
 * Registers the counts (docs/metrics.md) under a label, which tells several admissions apart; NULL:
 * none. Their owner is the admission: baro_metrics_remove(metrics, admission) before it goes. All or
 * none: the errors of baro_metrics_add().
 */
BARO_API int baro_admission_add_metrics(struct baro_admission *admission,
					struct baro_metrics *metrics, const char *label);

#ifdef __cplusplus
}
#endif

#endif
