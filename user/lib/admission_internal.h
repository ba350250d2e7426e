/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of admission share.
 *
 * One lock per database. It is held for nanoseconds, never over a system call or a callback, and
 * guards everything but what is marked otherwise: with it, accounting is plain arithmetic, and a
 * permit is handed to a waiter in the same instant in which it is given back. Words that are read
 * without it, for the quick refusal and by readers, are stored with set() and read with get().
 */
#ifndef BAROSTAT_LIB_ADMISSION_INTERNAL_H
#define BAROSTAT_LIB_ADMISSION_INTERNAL_H

#include <stddef.h>

#include <barostat/admission.h>

#include "user/lib/clock.h"
#include "user/lib/lock.h"
#include "user/lib/spread.h"

#define PPM         1000000u
#define NS_PER_MS   1000000ull
#define NS_PER_S    1000000000ull
#define PERMITS_MAX 65536u /* the slot's index is the low 16 bits of a permit's id */

#define TEND_EVERY_NS   (5 * NS_PER_MS) /* readers' signals are looked at so often at most */
#define CLIENT_EVERY_NS (100 * NS_PER_MS) /* the pace of the daemon */
#define READERS_STAY_NS (100 * NS_PER_MS) /* readers count as there after their last read */
#define PAUSE_MAX_NS    NS_PER_S /* no write gives way for longer at a time */
#define BUDGET_RETRY_NS (100 * NS_PER_MS)
/* One in so many permits is timed when nothing else needs the clock: more of those that are held
 * for long, which come more rarely and mind it less. */
#define CLOCK_EVERY_SHORT 256
#define CLOCK_EVERY_LONG  16
#define HOLD_LONG_NS      (20 * UINT64_C(1000))
#define MISSED_MAX        8 /* turns of the first in the queue: then all it needs is kept for it */
#define CRUMBS            1024 /* make up the memory: what needs no more than one is small */
#define READ_SHARDS       16

#define get(word)        __atomic_load_n((word), __ATOMIC_RELAXED)
#define set(word, value) __atomic_store_n((word), (value), __ATOMIC_RELAXED)

/* What jobs are counted as. */
enum counted { WRITES, BATCHES, INDEXES, COUNTED };

/* What a job needs, or lacks. */
enum need {
	NEED_WRITES = 1u << WRITES,
	NEED_BATCHES = 1u << BATCHES,
	NEED_INDEX = 1u << INDEXES,
	NEED_WORKERS = 8,
	NEED_MEMORY = 16,
	NEED_ORDER = 32,
	NEED_TIME = 64, /* throttled when lacking */
	NEED_BUDGET = 128, /* outside; lacking only while it is tight there */
	NEED_LARGE = 256, /* more than a crumb of memory: waited for, and never lacking itself */
	NEED_BY_ALL = NEED_WRITES | NEED_MEMORY | NEED_BUDGET, /* by whoever wants a permit */
};

/* A database's bound, or a collection's. */
struct bound {
	uint32_t used[COUNTED]; /* set() */
	uint32_t limit[COUNTED]; /* in force; set() */
	uint64_t used_bytes; /* set() */
	uint64_t crumb_bytes; /* of those, by jobs that are not NEED_LARGE */
	uint64_t limit_bytes; /* in force; set() */
	uint64_t max_bytes; /* configured: what does not fit it never fits; set() */
	uint64_t peak_bytes;
	uint32_t waited_for; /* needs for which somebody in the queue comes first; set() */
};

/* Saturating sums and products: UINT64_MAX is more than there ever is. */
static inline uint64_t add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t mul(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* value x ppm, rounded up; beyond 64 bits about as much. */
static inline uint64_t part(uint64_t value, uint32_t ppm)
{
	uint64_t product;

	if (__builtin_mul_overflow(value, (uint64_t)ppm, &product) ||
	    __builtin_add_overflow(product, (uint64_t)PPM - 1, &product))
		return mul(value / PPM + 1, ppm);
	return product / PPM;
}

/* ---- a job, as what it needs (admission_cost.c) ---------------------------------------------- */

struct demand {
	uint32_t need;
	uint32_t kind, flags;
	uint32_t workers_max; /* 1 for what is no batch */
	uint32_t chunk_min, chunk_max; /* for what is no batch, all its records */
	uint64_t records, payload_bytes;
	uint64_t held_bytes; /* whatever workers and chunk are */
	uint64_t worker_bytes; /* for each worker */
	uint64_t record_bytes; /* for each record of each worker's chunk */
	uint64_t floor_bytes; /* with one worker and the smallest chunk */
	uint64_t deadline_ns;
	struct baro_cancel *cancel;
};

/* -EINVAL. chunk_min is what the mode has. */
int demand_of(const struct baro_cost_model *m, const struct baro_job *job, uint32_t chunk_min,
	      uint64_t crumb_max_bytes, struct demand *ret);

uint64_t demand_bytes(const struct demand *d, uint64_t workers, uint64_t chunk);

/* Workers and chunk within the wishes, such that the job fits available_bytes: smaller chunks
 * first, then fewer workers. False when it does not fit even so; outputs are set then, too, to the
 * least. */
bool demand_fit(const struct demand *d, uint64_t available_bytes, uint32_t workers, uint32_t chunk,
		uint32_t *ret_workers, uint32_t *ret_chunk);

static inline bool is_cancelled(const struct baro_cancel *cancel)
{
	return cancel && __atomic_load_n(&cancel->fired, __ATOMIC_ACQUIRE);
}

static inline bool is_batch(uint32_t need)
{
	return need & NEED_WORKERS;
}

/* ---- pace: how much of their time writes may use (admission_pace.c, pure) -------------------- */

struct pace {
	uint32_t share_ppm; /* PPM: all of it */
	uint32_t share_min_ppm;
	uint64_t until_ns; /* nobody begins before; 0: anybody may */
};

/* After so many reads, so many of them slower than they may be. */
void pace_adjust(struct pace *p, uint64_t reads, uint64_t slow);
/* Nobody reads. */
void pace_relax(struct pace *p);
/* A job, or a chunk, has used so much time. */
void pace_charge(struct pace *p, uint64_t used_ns, uint64_t now_ns);

/* ---- readers --------------------------------------------------------------------------------- */

/* A cache line's worth of counters for some of the threads; all without the lock. */
struct read_shard {
	uint64_t begun, ended; /* announced */
	uint64_t reported, slow;
	struct spread quiet, busy; /* latencies while nobody writes, and while somebody does */
} __attribute__((aligned(64)));

/* ---- the database ---------------------------------------------------------------------------- */

struct slot {
	uint64_t id; /* of the permit that is out; 0: free */
	uint64_t next_id; /* of the next one; the low bits are the index */
	struct baro_collection *collection;
	struct baro_cancel *cancel;
	uint64_t bytes, payload_bytes, records;
	uint32_t need;
	uint8_t mode, kind; /* kind: not filled in when plain */
	bool fixed; /* neither workers nor chunk change */
	bool plain; /* taken at once; what follows is not filled in */

	uint64_t began_ns; /* 0: not timed */
	uint64_t since_ns; /* begin, or the last step */
	uint64_t floor_bytes, worker_bytes, record_bytes;
	uint64_t budget_bytes, cookie; /* reserved outside */
	uint32_t workers, workers_max; /* workers: 0 for what is no batch */
	uint32_t chunk_min, chunk_max;
	struct slot *next_free;
} __attribute__((aligned(64)));

enum waiter_state { ASLEEP, LOOK, ADMITTED, TURNED_AWAY };

/* On the stack of who waits; in the queue while ASLEEP or LOOK. */
struct waiter {
	struct waiter *before, *after;
	struct baro_collection *collection;
	const struct demand *demand;
	struct baro_cancel *cancel;
	struct baro_permit *permit; /* filled when admitted */
	uint64_t since_ns; /* it waits; 0: it does not yet */
	uint64_t until_ns; /* it sleeps until then unless woken */
	uint64_t now_ns; /* when it was admitted; 0: not timed */
	uint32_t lacking; /* all the time since its last turn; of the collection << 16 */
	uint32_t missed; /* turns: what had been lacking was there, and something else was not */
	uint32_t state; /* written with the lock held, and with release */
	int error; /* when turned away */
	bool pauses; /* has a permit, and only gives way */
	bool again; /* has been admitted before, but not outside */
};

enum refusal {
	REFUSED_QUEUE,
	REFUSED_MEMORY,
	REFUSED_THROTTLED,
	REFUSED_CONCURRENCY,
	REFUSALS,
};

struct baro_collection {
	struct baro_admission *admission;
	struct baro_collection *next;
	struct bound own;
	struct baro_collection_options options;
	uint64_t next_order; /* set() */
	uint64_t granted;
	uint64_t refused[REFUSALS]; /* atomic, without the lock */
	uint64_t look; /* the look at the queue that own.waited_for is of; set() */
	uint64_t record_ns; /* what a record of a batch took lately; 0: not known */
	uint32_t queued;
	bool ordered; /* an ordered job runs */
	char name[64];
};

struct baro_admission {
	/* What every permit touches is together, and readers' counters are elsewhere. */
	struct lock lock;
	bool stopped;
	bool gate; /* an emergency: set() */
	bool critical; /* nobody beyond the limits, not even alone */
	bool busy; /* somebody has written lately: reads_end_quiet(); set(), readers clear it */
	bool has_budget, has_client;
	bool careful; /* any of those, or somebody waits: nothing is done at once; set() */
	struct bound all;
	/* A plain record takes payload x factor + fixed, without an index and with one; a factor of
	 * 0: the model is not so simple. */
	uint64_t plain_factor, plain_fixed_bytes[2];
	uint64_t crumb_max_bytes; /* set() */
	struct slot *slot, *free_slot;
	uint32_t mode, clock_every_mask;
	struct waiter *first, *last;
	uint64_t grants; /* set() */
	uint64_t granted[BARO_JOB_KINDS];
	struct baro_admission_done done[BARO_MODES];

	struct pace pace; /* until_ns: set() */
	uint64_t budget_until_ns; /* nobody asks outside before; 0 */
	uint32_t asking_outside; /* admitted inside, and not yet outside */
	bool budget_tight; /* somebody waits for room there: one asks at a time */
	uint64_t look; /* at the queue; set() */
	uint32_t queued, queue_limit; /* set() */
	uint32_t workers, workers_limit; /* set() */
	uint32_t worker_jobs, queued_batches; /* jobs with workers, running and waiting */
	uint64_t retry_ns; /* about how long until one of those that run ends; set() */
	uint32_t chunk_min; /* set() */

	struct baro_admission_options options;
	struct baro_admission_limits base, now; /* of the mode and the options; in force */
	struct baro_cost_model model;
	struct baro_admission_budget budget;
	struct baro_collection *collections;
	uint64_t hold_ns; /* how long jobs hold their permits */
	struct {
		struct baro_pressure seen;
		uint32_t level, score_ppm;
		uint64_t until_ns; /* forgotten then; 0: nothing is known; set() */
		uint64_t observed, excursions[5];
	} pressure;
	uint64_t client_ns; /* the next look at the client: atomic, without the lock */
	uint64_t tend_ns; /* the next look at the readers; set() */
	uint64_t reads_seen, slow_seen, readers_until_ns;
	uint64_t bound_due_ns; /* the next new bound for reads: atomic, without the lock */
	uint64_t read_p99_ns; /* as in `now`; set() */
	uint32_t read_slowdown_ppm;
	bool readers; /* there are some */

	uint64_t mode_since_ns;
	uint32_t queued_peak;
	uint64_t throttled, released_again, cut;
	uint64_t refused[REFUSALS]; /* by collections that are closed */
	uint64_t waited, timed_out, cancelled, never_fits; /* atomic, without the lock */
	struct spread wait; /* without the lock */
	struct spread workers_chosen, chunk_chosen;

	/* Readers, without the lock. */
	uint64_t read_bound_ns
	    __attribute__((aligned(64))); /* slower is too slow; 0: none; set() */
	uint64_t idle_grants, idle_since_ns; /* when `grants` was seen to stand still */
	struct read_shard shard[READ_SHARDS];
};

/* ---- admission_queue.c: with the lock held --------------------------------------------------- */

/* What a job lacks, in the database and in its collection. */
struct lack {
	uint32_t all, own;
};

#define WAKES 16

/* Whom to wake when the lock is no longer held. */
struct wakes {
	unsigned int count;
	bool more; /* the queue is to be looked at again */
	const uint32_t *word[WAKES];
};

/* Not by an initializer, which would clear all the words, at the cost of a whole permit. */
static inline void wakes_init(struct wakes *w)
{
	w->count = 0;
	w->more = false;
}

/* Not even alone, whatever is given back. */
static inline bool queue_never_fits(const struct baro_admission *a, const struct baro_collection *c,
				    const struct demand *d)
{
	return d->floor_bytes > least(get(&a->all.max_bytes), get(&c->own.max_bytes));
}

struct lack queue_lack(struct baro_admission *a, const struct baro_collection *c,
		       const struct demand *d);
/* Of it, what the clock gives. */
uint32_t queue_time_lack(struct baro_admission *a, uint32_t need);
/* What others wait for, and this one needs. */
struct lack queue_ahead(const struct baro_admission *a, const struct baro_collection *c,
			uint32_t need);
/* What it lacks is not to be taken by who comes later. */
void queue_wait_for(struct baro_admission *a, struct waiter *w, struct lack lack);
void queue_join(struct baro_admission *a, struct waiter *w);
void queue_leave(struct baro_admission *a, struct waiter *w);
/* Admits who can be admitted; to be followed by admission_unlock(). */
void queue_look_through(struct baro_admission *a, struct wakes *wakes);
static inline void queue_look(struct baro_admission *a, struct wakes *wakes)
{
	if (a->first || a->all.waited_for)
		queue_look_through(a, wakes);
}
/* Turns away those with that token, or all. True: there are more, again after an unlock. */
bool queue_turn_away(struct baro_admission *a, const struct baro_cancel *cancel, int error,
		     struct wakes *wakes);
/* Until when the first may sleep: somebody has to keep the time. */
uint64_t queue_timer(const struct baro_admission *a, const struct waiter *w);

/* Sleeps until admitted (0) or turned away (-errno). It gives the lock. */
int queue_sleep(struct baro_admission *a, struct waiter *w, uint64_t deadline_ns,
		struct wakes *wakes);

/* With the lock held, when any of what makes it careful may have changed. */
static inline void admission_note_careful(struct baro_admission *a)
{
	set(&a->careful, a->stopped || a->gate || a->has_budget || a->pace.share_ppm < PPM ||
			     a->pace.until_ns || a->first);
}

/* Gives the lock and wakes, and looks again where one look was not enough. */
void admission_unlock(struct baro_admission *a, struct wakes *wakes);

/* ---- admission_refusal.c --------------------------------------------------------------------- */

/* Counts the refusal and says why; the layer and the resource follow from what is lacking. */
int admission_refuse(struct baro_admission *a, struct baro_collection *c, struct lack lack,
		     uint64_t floor_bytes, int error, struct baro_admission_refusal *ret);

/* ---- admission_pressure.c -------------------------------------------------------------------- */

/* What is left of a limit at such a score. */
uint32_t pressure_scale_ppm(uint32_t score_ppm);

/* Limits in force, from everything that moves them; with the lock held. */
void admission_apply_limits(struct baro_admission *a);
void admission_apply_own(const struct baro_admission *a, struct baro_collection *c);

/* What is due by the clock: pressure, readers. Without the lock. */
void admission_tend(struct baro_admission *a, uint64_t now_ns);

/* ---- admission_reads.c: without the lock ----------------------------------------------------- */

struct reads {
	uint64_t active, reported, slow;
};

/* Over all shards. */
struct reads reads_sum(const struct baro_admission *a);
/* Adds up latencies, of busy times or of quiet ones. */
void reads_merge(const struct baro_admission *a, bool busy, struct spread *into);
/* With the lock held: somebody writes after a quiet time. */
void reads_end_quiet(struct baro_admission *a);
/* How readers fare, and what follows for writes; every TEND_EVERY_NS at most. */
void reads_tend(struct baro_admission *a, uint64_t now_ns);

#include "user/lib/admission_permit.h"

#endif
