// SPDX-License-Identifier: BSD-2-Clause
/* What admission shows of itself. */
#include <string.h>

#include "user/lib/admission_internal.h"

static struct baro_admission_spread shown(const struct spread *s)
{
	uint64_t count = spread_count(s);

	return (struct baro_admission_spread){
		.count = count,
		.mean = count ? get(&s->sum) / count : 0,
		.p50 = spread_quantile(s, 500000),
		.p99 = spread_quantile(s, 990000),
		.max = spread_max(s),
	};
}

static struct baro_admission_spread shown_reads(const struct baro_admission *a, bool busy)
{
	struct spread sum = { .sum = 0 };

	reads_merge(a, busy, &sum);
	return shown(&sum);
}

/* Most are admitted at once, and only counted: they waited for nothing. */
static struct baro_admission_spread shown_waits(const struct baro_admission *a, uint64_t granted)
{
	struct spread sum = { .sum = 0 };
	uint64_t waited;

	spread_merge(&sum, &a->wait);
	waited = spread_count(&sum);
	if (granted > waited)
		sum.bin[0] += granted - waited;
	return shown(&sum);
}

/* With the lock held. */
static void fill_counters(struct baro_admission *a, struct baro_admission_stats *s)
{
	uint64_t refused[REFUSALS];

	for (unsigned int i = 0; i < REFUSALS; i++) {
		refused[i] = a->refused[i];
		for (const struct baro_collection *c = a->collections; c; c = c->next)
			refused[i] += get(&c->refused[i]);
	}
	memcpy(s->granted, a->granted, sizeof(s->granted));
	memcpy(s->excursions, a->pressure.excursions, sizeof(s->excursions));
	memcpy(s->done, a->done, sizeof(s->done));
	s->done[a->mode].ns += lib_now_ns() - a->mode_since_ns;
	s->waited = get(&a->waited);
	s->refused_queue_full = refused[REFUSED_QUEUE];
	s->refused_memory = refused[REFUSED_MEMORY];
	s->refused_throttled = refused[REFUSED_THROTTLED];
	s->refused_concurrency = refused[REFUSED_CONCURRENCY];
	s->refused_never_fits = get(&a->never_fits);
	s->timed_out = get(&a->timed_out);
	s->cancelled = get(&a->cancelled);
	s->throttled = a->throttled;
	s->released_again = a->released_again;
	s->cut = a->cut;
	s->observed = a->pressure.observed;
}

void baro_admission_stats_read(struct baro_admission *a, struct baro_admission_stats *ret_stats)
{
	struct baro_admission_stats s = { .read_p99_bound_ns = get(&a->read_bound_ns) };
	uint64_t granted = 0;

	lock_take(&a->lock);
	s.mode = a->mode;
	s.level = a->pressure.level;
	s.writes = a->all.used[WRITES];
	s.batches = a->all.used[BATCHES];
	s.index_jobs = a->all.used[INDEXES];
	s.workers = a->workers;
	s.queued = a->queued;
	s.queued_peak = a->queued_peak;
	s.write_share_ppm = a->pace.share_ppm;
	s.reserved_bytes = a->all.used_bytes;
	s.reserved_peak_bytes = a->all.peak_bytes;
	fill_counters(a, &s);
	lock_give(&a->lock);
	for (unsigned int i = 0; i < BARO_JOB_KINDS; i++)
		granted += s.granted[i];
	s.readers = (uint32_t)least(reads_sum(a).active, UINT32_MAX);
	s.wait_ns = shown_waits(a, granted);
	s.batch_workers = shown(&a->workers_chosen);
	s.batch_chunk = shown(&a->chunk_chosen);
	s.read_quiet_ns = shown_reads(a, false);
	s.read_during_writes_ns = shown_reads(a, true);
	*ret_stats = s;
}

void baro_collection_stats_read(struct baro_collection *c, struct baro_collection_stats *ret_stats)
{
	struct baro_admission *a = c->admission;
	struct baro_collection_stats s = { .refused = 0 };

	lock_take(&a->lock);
	s.writes = c->own.used[WRITES];
	s.batches = c->own.used[BATCHES];
	s.index_jobs = c->own.used[INDEXES];
	s.queued = c->queued;
	s.reserved_bytes = c->own.used_bytes;
	s.reserved_peak_bytes = c->own.peak_bytes;
	s.granted = c->granted;
	for (unsigned int i = 0; i < REFUSALS; i++)
		s.refused += get(&c->refused[i]);
	s.next_order = c->next_order;
	lock_give(&a->lock);
	*ret_stats = s;
}
