// SPDX-License-Identifier: BSD-2-Clause
/* The host's pressure, and the limits in force that follow from it. */
#include "user/lib/admission_internal.h"

#define SCORE_FREE_PPM 700000 /* up to here nothing is taken away: the edge of warning */
#define SCORE_FULL_PPM 950000 /* the edge of emergency */
#define SCALE_LEAST    (PPM / 8) /* there */

/* Where a level begins, for a source that knows no score. */
static const uint32_t edge_ppm[] = {
	[BARO_LEVEL_UNKNOWN] = 0,        [BARO_LEVEL_NORMAL] = 0,
	[BARO_LEVEL_WARNING] = 700000,   [BARO_LEVEL_CRITICAL] = 850000,
	[BARO_LEVEL_EMERGENCY] = 950000,
};

uint32_t pressure_scale_ppm(uint32_t score_ppm)
{
	if (score_ppm <= SCORE_FREE_PPM)
		return PPM;
	if (score_ppm >= SCORE_FULL_PPM)
		return SCALE_LEAST;
	return PPM - (uint32_t)((uint64_t)(score_ppm - SCORE_FREE_PPM) * (PPM - SCALE_LEAST) /
				(SCORE_FULL_PPM - SCORE_FREE_PPM));
}

/* ---- limits in force ------------------------------------------------------------------------- */

static uint32_t scaled(uint32_t limit, uint32_t scale_ppm)
{
	return (uint32_t)most((uint64_t)limit * scale_ppm / PPM, 1);
}

static uint64_t memory_now(const struct baro_admission *a, uint32_t scale_ppm)
{
	uint64_t bytes = a->base.memory_bytes, budget = a->pressure.seen.budget_bytes, room;

	if (scale_ppm < PPM)
		bytes = part(bytes, scale_ppm);
	if (!a->pressure.until_ns || budget == BARO_PAGE_NONE || !budget)
		return bytes;
	room = part(budget, PPM - a->pressure.score_ppm) / most(a->options.sharers, 1);
	return least(bytes, room);
}

/* What the mode gives, and what the options say instead. */
static void find_base(struct baro_admission *a)
{
	const struct baro_admission_limits *o = &a->options.limits;
	struct baro_admission_limits b;
	uint64_t budget = a->options.budget_bytes;

	if (!budget && a->pressure.until_ns && a->pressure.seen.budget_bytes != BARO_PAGE_NONE)
		budget = a->pressure.seen.budget_bytes;
	baro_admission_limits_of(a->mode, a->options.cpus, budget, &b);
#define TAKE(field) b.field = o->field ? o->field : b.field
	TAKE(writes_max);
	TAKE(batches_max);
	TAKE(index_max);
	TAKE(workers_max);
	TAKE(queue_max);
	TAKE(chunk_records);
	TAKE(chunk_records_min);
	TAKE(workers_beside_reads);
	TAKE(memory_bytes);
	TAKE(chunk_target_ns);
	TAKE(read_p99_ns);
	TAKE(read_slowdown_ppm);
	TAKE(write_share_min_ppm);
#undef TAKE
	b.writes_max = (uint32_t)least(b.writes_max, a->options.permits_max);
	b.chunk_records_min = (uint32_t)least(b.chunk_records_min, b.chunk_records);
	b.write_share_min_ppm = (uint32_t)least(b.write_share_min_ppm, PPM);
	a->base = b;
}

void admission_apply_own(const struct baro_admission *a, struct baro_collection *c)
{
	const struct baro_collection_options *o = &c->options;
	const struct baro_admission_limits *b = &a->base;
	uint64_t bytes = o->memory_bytes ? o->memory_bytes : b->memory_bytes / 2;

	set(&c->own.limit[WRITES], o->writes_max ? o->writes_max : b->writes_max);
	set(&c->own.limit[BATCHES],
	    o->batches_max ? o->batches_max : (uint32_t)most(b->batches_max / 2, 1));
	set(&c->own.limit[INDEXES],
	    o->index_max ? o->index_max : (uint32_t)most(b->index_max / 2, 1));
	set(&c->own.max_bytes, bytes);
	set(&c->own.limit_bytes, bytes);
}

void admission_apply_limits(struct baro_admission *a)
{
	uint32_t scale = pressure_scale_ppm(a->pressure.score_ppm);
	struct baro_admission_limits n;

	find_base(a);
	n = a->base;
	set(&a->gate, a->pressure.level >= BARO_LEVEL_EMERGENCY);
	a->critical = a->pressure.level >= BARO_LEVEL_CRITICAL;
	n.writes_max = scaled(n.writes_max, scale);
	n.batches_max = a->critical ? 1 : scaled(n.batches_max, scale);
	n.index_max = scaled(n.index_max, scale);
	n.workers_max = scaled(n.workers_max, scale);
	if (a->readers)
		n.workers_max = (uint32_t)least(n.workers_max, n.workers_beside_reads);
	n.chunk_records = (uint32_t)most(scaled(n.chunk_records, scale), n.chunk_records_min);
	n.memory_bytes = memory_now(a, scale);
	a->now = n;

	set(&a->all.limit[WRITES], n.writes_max);
	set(&a->all.limit[BATCHES], n.batches_max);
	set(&a->all.limit[INDEXES], n.index_max);
	set(&a->all.limit_bytes, n.memory_bytes);
	set(&a->crumb_max_bytes, n.memory_bytes / CRUMBS);
	set(&a->all.max_bytes, a->base.memory_bytes);
	set(&a->workers_limit, n.workers_max);
	set(&a->queue_limit, n.queue_max == BARO_QUEUE_NONE ? 0 : n.queue_max);
	set(&a->chunk_min, n.chunk_records_min);
	set(&a->read_p99_ns, n.read_p99_ns);
	set(&a->read_slowdown_ppm, n.read_slowdown_ppm);
	a->pace.share_min_ppm = n.write_share_min_ppm;
	a->pace.share_ppm = (uint32_t)most(a->pace.share_ppm, n.write_share_min_ppm);
	admission_note_careful(a);
	for (struct baro_collection *c = a->collections; c; c = c->next)
		admission_apply_own(a, c);
}

/* ---- pressure -------------------------------------------------------------------------------- */

struct edge {
	uint32_t before, level;
	uint64_t excursions;
};

/* With the lock held. Every way up counts, whatever was seen before. */
static struct edge set_level(struct baro_admission *a, uint32_t level)
{
	uint32_t before = a->pressure.level;

	level = (uint32_t)least(level, BARO_LEVEL_EMERGENCY);
	for (uint32_t i = before + 1; i <= level; i++)
		a->pressure.excursions[i]++;
	a->pressure.level = level;
	return (struct edge){ before, level, a->pressure.excursions[level] };
}

/* Without the lock. */
static void tell(const struct baro_admission *a, struct edge e)
{
	if (e.before != e.level && a->options.on_level)
		a->options.on_level(a->options.level_ctx, e.before, e.level, e.excursions);
}

void baro_admission_observe(struct baro_admission *a, const struct baro_pressure *pressure)
{
	struct wakes wakes;
	uint64_t now = lib_now_ns();
	struct edge edge;

	wakes_init(&wakes);
	lock_take(&a->lock);
	a->pressure.seen = *pressure;
	a->pressure.observed++;
	set(&a->pressure.until_ns, add(now, a->options.pressure_ttl_ns));
	edge = set_level(a, BARO_STATUS_LEVEL(pressure->status));
	a->pressure.score_ppm =
	    (uint32_t)least(most(pressure->score_ppm, edge_ppm[edge.level]), PPM);
	admission_apply_limits(a);
	queue_look(a, &wakes);
	admission_unlock(a, &wakes);
	tell(a, edge);
}

/* Nobody has said anything for long: what was said then is no reason any more. */
static void forget(struct baro_admission *a, uint64_t now_ns)
{
	struct wakes wakes;
	struct edge edge = { 0, 0, 0 };

	wakes_init(&wakes);
	lock_take(&a->lock);
	if (a->pressure.until_ns && now_ns >= a->pressure.until_ns) {
		edge = set_level(a, BARO_LEVEL_UNKNOWN);
		a->pressure.score_ppm = 0;
		set(&a->pressure.until_ns, 0);
		admission_apply_limits(a);
		queue_look(a, &wakes);
	}
	admission_unlock(a, &wakes);
	tell(a, edge);
}

static void read_client(struct baro_admission *a, uint64_t now_ns)
{
	struct baro_pressure pressure;
	uint64_t due_ns = get(&a->client_ns);

	if (now_ns < due_ns ||
	    !__atomic_compare_exchange_n(&a->client_ns, &due_ns, now_ns + CLIENT_EVERY_NS, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	if (baro_client_read(a->options.client, &pressure) == 0)
		baro_admission_observe(a, &pressure);
}

void admission_tend(struct baro_admission *a, uint64_t now_ns)
{
	uint64_t until_ns;

	if (a->has_client)
		read_client(a, now_ns);
	until_ns = get(&a->pressure.until_ns);
	if (until_ns && now_ns >= until_ns)
		forget(a, now_ns);
	reads_tend(a, now_ns);
}
