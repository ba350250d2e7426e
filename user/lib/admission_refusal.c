// SPDX-License-Identifier: BSD-2-Clause
/* Saying no: counted, explained, with a hint when to come again. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "user/lib/admission_internal.h"

#define RETRY_UNKNOWN_NS NS_PER_MS /* before any job has ended */
#define RETRY_MAX_NS     (10 * NS_PER_S)

static inline void count(uint64_t *word)
{
	__atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
}

static void count_refusal(struct baro_admission *a, struct baro_collection *c, int error)
{
	switch (error) {
	case -EBUSY:
		count(&c->refused[REFUSED_CONCURRENCY]);
		break;
	case -ENOBUFS:
		count(&c->refused[REFUSED_QUEUE]);
		break;
	case -EDQUOT:
		count(&c->refused[REFUSED_MEMORY]);
		break;
	case -EAGAIN:
		count(&c->refused[REFUSED_THROTTLED]);
		break;
	case -E2BIG:
		count(&a->never_fits);
		break;
	case -ETIMEDOUT:
		count(&a->timed_out);
		break;
	case -ECANCELED:
		count(&a->cancelled);
		break;
	default:
		break;
	}
}

/* ---- what was lacking ------------------------------------------------------------------------ */

/* The first that applies is named. */
static const struct {
	uint32_t need, resource;
} named[] = {
	{ NEED_TIME, BARO_RESOURCE_TIME },       { NEED_BUDGET, BARO_RESOURCE_MEMORY },
	{ NEED_MEMORY, BARO_RESOURCE_MEMORY },   { NEED_BATCHES, BARO_RESOURCE_BATCHES },
	{ NEED_INDEX, BARO_RESOURCE_INDEX },     { NEED_ORDER, BARO_RESOURCE_ORDER },
	{ NEED_WORKERS, BARO_RESOURCE_WORKERS }, { NEED_WRITES, BARO_RESOURCE_WRITES },
};

static void describe_bound(const struct bound *b, uint32_t need, uint64_t floor_bytes,
			   struct baro_admission_refusal *f)
{
	if (need == NEED_MEMORY) {
		f->asked = floor_bytes;
		f->held = get(&b->used_bytes);
		f->limit = get(&b->limit_bytes);
		return;
	}
	for (unsigned int i = 0; i < COUNTED; i++)
		if (need == 1u << i) {
			f->held = get(&b->used[i]);
			f->limit = get(&b->limit[i]);
		}
}

static uint32_t layer_of(const struct baro_admission *a, const struct baro_admission_refusal *f,
			 uint32_t need, bool own)
{
	if (need == NEED_TIME)
		return get(&a->gate) ? BARO_LAYER_HOST : BARO_LAYER_READERS;
	if (need == NEED_BUDGET)
		return BARO_LAYER_BUDGET;
	if (own)
		return BARO_LAYER_COLLECTION;
	/* the page has lowered what is in force */
	if (need == NEED_MEMORY && f->limit < get(&a->all.max_bytes))
		return BARO_LAYER_HOST;
	return BARO_LAYER_DATABASE;
}

static void describe_lack(struct baro_admission *a, struct baro_collection *c, struct lack lack,
			  uint64_t floor_bytes, struct baro_admission_refusal *f)
{
	size_t i = 0;
	uint32_t need;
	bool own;

	while (i < sizeof(named) / sizeof(named[0]) && !((lack.all | lack.own) & named[i].need))
		i++;
	if (i == sizeof(named) / sizeof(named[0]))
		return;
	need = named[i].need;
	own = lack.own & need;
	f->resource = named[i].resource;
	f->asked = need == NEED_BUDGET ? floor_bytes : 1;
	if (need == NEED_ORDER) {
		f->held = f->limit = 1;
	} else if (need == NEED_WORKERS) {
		f->held = get(&a->workers);
		f->limit = get(&a->workers_limit);
	} else {
		describe_bound(own ? &c->own : &a->all, need, floor_bytes, f);
	}
	f->layer = layer_of(a, f, need, own);
}

static void describe_never(const struct baro_admission *a, const struct baro_collection *c,
			   uint64_t floor_bytes, struct baro_admission_refusal *f)
{
	uint64_t all = get(&a->all.max_bytes), own = get(&c->own.max_bytes);

	f->layer = own < all ? BARO_LAYER_COLLECTION : BARO_LAYER_DATABASE;
	f->resource = BARO_RESOURCE_MEMORY;
	f->asked = floor_bytes;
	f->limit = least(all, own);
}

/* ---- when to come again ---------------------------------------------------------------------- */

static bool is_retryable(int error)
{
	return error == -ENOBUFS || error == -EDQUOT || error == -EAGAIN || error == -EBUSY ||
	       error == -ETIMEDOUT;
}

static uint64_t retry_after(const struct baro_admission *a, const struct baro_admission_refusal *f)
{
	uint64_t each = get(&a->retry_ns), until, now;

	if (f->layer == BARO_LAYER_HOST && f->resource == BARO_RESOURCE_TIME)
		return CLIENT_EVERY_NS;
	if (f->layer == BARO_LAYER_BUDGET)
		return BUDGET_RETRY_NS;
	if (f->layer == BARO_LAYER_READERS) {
		until = get(&a->pace.until_ns);
		now = lib_now_ns();
		return until > now ? until - now : 1;
	}
	/* those who wait come first */
	each = mul(each ? each : RETRY_UNKNOWN_NS, (uint64_t)get(&a->queued) + 1);
	return least(each, RETRY_MAX_NS);
}

int admission_refuse(struct baro_admission *a, struct baro_collection *c, struct lack lack,
		     uint64_t floor_bytes, int error, struct baro_admission_refusal *ret)
{
	struct baro_admission_refusal f = { .error = error };

	count_refusal(a, c, error);
	if (!ret)
		return error;
	if (error == -ENOBUFS) {
		f.layer = BARO_LAYER_DATABASE;
		f.resource = BARO_RESOURCE_QUEUE;
		f.asked = 1;
		f.held = get(&a->queued);
		f.limit = get(&a->queue_limit);
	} else if (error == -E2BIG) {
		describe_never(a, c, floor_bytes, &f);
	} else {
		describe_lack(a, c, lack, floor_bytes, &f);
	}
	f.retryable = is_retryable(error);
	f.retry_after_ns = f.retryable ? retry_after(a, &f) : 0;
	*ret = f;
	return error;
}

/* ---- words ----------------------------------------------------------------------------------- */

const char *baro_admission_strerror(int error)
{
	switch (error < 0 ? error : -error) {
	case 0:
		return "admitted";
	case -ENOBUFS:
		return "the queue is full";
	case -EDQUOT:
		return "the memory budget is exceeded";
	case -EAGAIN:
		return "ingestion is throttled";
	case -EBUSY:
		return "the concurrency limit is reached";
	case -E2BIG:
		return "the job can never fit the memory budget";
	case -ETIMEDOUT:
		return "the deadline passed while the job waited";
	case -ECANCELED:
		return "the job was cancelled";
	case -ESHUTDOWN:
		return "the database stops";
	case -EALREADY:
		return "the permit was released before";
	case -EINVAL:
		return "no such kind of job, flag, mode or number";
	case -EOVERFLOW:
		return "the order numbers of the collection are used up";
	case -ENOMEM:
		return "out of memory";
	default:
		return "an error that admission does not know";
	}
}

/* "12 MiB", "3 ms": whole numbers that are easily compared. */
static const char *scaled(char buf[static 32], uint64_t value, uint32_t base,
			  const char *const *unit, unsigned int units)
{
	unsigned int i = 0;

	while (i + 1 < units && value >= 10ull * base) {
		value /= base;
		i++;
	}
	snprintf(buf, 32, "%" PRIu64 " %s", value, unit[i]);
	return buf;
}

static const char *bytes_text(char buf[static 32], uint64_t bytes)
{
	static const char *const unit[] = { "bytes", "KiB", "MiB", "GiB" };

	return scaled(buf, bytes, 1024, unit, 4);
}

static const char *time_text(char buf[static 32], uint64_t ns)
{
	static const char *const unit[] = { "ns", "us", "ms", "s" };

	return scaled(buf, ns, 1000, unit, 4);
}

static const char *resource_text(uint32_t resource)
{
	static const char *const names[] = {
		[BARO_RESOURCE_WRITES] = "writes",         [BARO_RESOURCE_BATCHES] = "batches",
		[BARO_RESOURCE_INDEX] = "index mutations", [BARO_RESOURCE_WORKERS] = "workers",
		[BARO_RESOURCE_MEMORY] = "memory",         [BARO_RESOURCE_ORDER] = "ordered jobs",
		[BARO_RESOURCE_QUEUE] = "waiting jobs",
	};

	return resource < sizeof(names) / sizeof(names[0]) && names[resource] ? names[resource]
									      : "?";
}

static const char *layer_text(uint32_t layer)
{
	static const char *const names[] = {
		[BARO_LAYER_COLLECTION] = "the collection", [BARO_LAYER_DATABASE] = "the database",
		[BARO_LAYER_HOST] = "the host's pressure",  [BARO_LAYER_READERS] = "the readers",
		[BARO_LAYER_BUDGET] = "the outer budget",
	};

	return layer < sizeof(names) / sizeof(names[0]) && names[layer] ? names[layer] : "?";
}

/* ": 12 MiB asked, 60 MiB of 64 MiB held, limit of the collection" */
static void detail(const struct baro_admission_refusal *f, char *buf, size_t size)
{
	char asked[32], held[32], limit[32];

	buf[0] = '\0';
	if (f->resource == BARO_RESOURCE_NONE)
		return;
	if (f->resource == BARO_RESOURCE_TIME || f->layer == BARO_LAYER_BUDGET)
		snprintf(buf, size, ": by %s", layer_text(f->layer));
	else if (f->resource == BARO_RESOURCE_MEMORY)
		snprintf(buf, size, ": %s asked, %s of %s held, limit of %s",
			 bytes_text(asked, f->asked), bytes_text(held, f->held),
			 bytes_text(limit, f->limit), layer_text(f->layer));
	else
		snprintf(buf, size, ": %" PRIu64 " of %" PRIu64 " %s, limit of %s", f->held,
			 f->limit, resource_text(f->resource), layer_text(f->layer));
}

int baro_admission_refusal_format(const struct baro_admission_refusal *f, char *buf, size_t size)
{
	char what[192], when[32];

	detail(f, what, sizeof(what));
	if (!f->retryable)
		return snprintf(buf, size, "%s%s", baro_admission_strerror(f->error), what);
	return snprintf(buf, size, "%s%s; try again in %s", baro_admission_strerror(f->error), what,
			time_text(when, f->retry_after_ns));
}
