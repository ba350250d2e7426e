/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The utility curve of one engine: curve[b] is the stall per second of undisturbed work
 * that would disappear if the engine's memory reached through bucket b, a 128th of the ceiling.
 *
 * Where reuse times are known all of it is drawn from them (law_reuse.c). Else buckets outside the
 * present size are observed: a refault at distance d (pages evicted in between) of an engine that
 * stood at size `base` would have been a hit at base + d. Buckets inside cannot be observed, they
 * hit; they are remembered and slowly forgotten, by busy time, so that an idle engine forgets
 * nothing.
 */
#include "user/daemon/law_internal.h"

#define TAU_OBSERVE_NS      (3750 * LAW_MS) /* 1/16 at 250 ms */
#define TAU_ATTACK_NS       (1083 * LAW_MS) /* 3/16 at 250 ms */
#define ATTACK_SAMPLES      16 /* in 250 ms */
#define ATTACK_WINDOW_NS    (250 * LAW_MS)
#define HALF_LIFE_MIN_NS    (11 * LAW_S)
#define HALF_LIFE_MAX_NS    (600 * LAW_S)
#define HALF_LIFE_FILLS     4 /* times the time to fill the ceiling */
#define FORGET_STEPS        64 /* per half-life */
#define FORGET_STEP_32      4248701965ull /* 2^(-1/64) in 1/2^32 */
#define DOUBT_REFAULTS      48 /* expected, before it is judged */
#define DOUBT_PART          8 /* less than this part of them, and it is not believed */
#define DOUBT_STEPS         128 /* of forgetting, then: to a quarter */
#define HEADROOM_TAU_NS     (5770 * LAW_MS) /* half-life 4 s */
#define REACH_JUDGE_BUCKETS 3
#define ANON_TAU_NS         (167 * LAW_MS) /* 0.6 at 250 ms */
#define ANON_CALM_NS        (2372 * LAW_MS) /* 0.9 per 250 ms */

/* One fold: the curve's view of the engine, in pages and 1/2^20. */
struct fold {
	uint64_t window_ns;
	uint64_t bucket; /* pages */
	uint64_t base; /* pages */
	uint64_t base_bucket, usage_bucket; /* index, LAW_BUCKETS at most */
	uint64_t work_ns; /* task time in which the engine neither waited nor idled */
	uint64_t observed_all; /* without distances: also what no size within the ceiling ends */
	uint64_t observed_above;
	uint64_t observed_top; /* buckets at and above have seen nothing */
	uint64_t observed[LAW_BUCKETS];
};

static uint64_t bucket_of(const struct law_estimate *e, uint64_t bytes)
{
	return law_min(bytes / e->bucket_bytes, LAW_BUCKETS);
}

uint64_t law_spread(uint64_t curve[LAW_BUCKETS], uint64_t bucket_pages, uint64_t from, uint64_t to,
		    uint64_t amount)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): a bucket is a page at least */
	uint64_t first = from / bucket_pages;
	uint64_t last = (to - 1) / bucket_pages;
	uint64_t span = to - from;
	uint64_t whole, edge;

	if (first >= LAW_BUCKETS || amount == 0)
		return 0;
	if (first == last) {
		curve[first] += amount;
		return first + 1;
	}
	edge = (first + 1) * bucket_pages - from;
	curve[first] += law_part(amount, law_ratio_32(edge, span));
	whole = law_part(amount, law_ratio_32(bucket_pages, span));
	for (uint64_t b = first + 1; b < last && b < LAW_BUCKETS; b++)
		curve[b] += whole;
	if (last < LAW_BUCKETS) {
		edge = to - last * bucket_pages;
		curve[last] += law_part(amount, law_ratio_32(edge, span));
	}
	return law_min(last + 1, LAW_BUCKETS);
}

static void fold_spread(struct fold *f, uint64_t from, uint64_t to, uint64_t amount)
{
	f->observed_top =
	    law_max(f->observed_top, law_spread(f->observed, f->bucket, from, to, amount));
}

static void fold_bin(struct fold *f, unsigned int bin, uint64_t amount)
{
	uint64_t lo = bin, hi = bin + 1;

	if (bin >= DISTANCE_SUB_BINS) {
		unsigned int octave = bin / DISTANCE_SUB_BINS - 1;

		lo = (uint64_t)(DISTANCE_SUB_BINS + bin % DISTANCE_SUB_BINS) << octave;
		hi = lo + (1ull << octave);
	}
	if (hi <= f->bucket) { /* nearer than the curve can tell */
		lo = 0;
		hi = f->bucket;
	}
	fold_spread(f, f->base + lo, f->base + hi, amount);
}

static void fold_distances(struct fold *f, struct law_estimate *e, const struct law_sample *is)
{
	uint32_t shift = law_min(is->ghost_sample_shift, 30);

	for (unsigned int i = 0; i < DISTANCE_BINS; i++) {
		uint64_t refaults = law_delta(is->distance[i], e->last.distance[i]);

		if (refaults == 0)
			continue;
		refaults = law_min(refaults, (1ull << 36) >> shift) << shift;
		fold_bin(f, i, law_fraction(refaults * e->refault_cost_ns, f->work_ns));
	}
	memcpy(e->last.distance, is->distance, sizeof(is->distance));
}

uint64_t law_stall_per_work(uint64_t share)
{
	share = law_min(share, LAW_ONE);
	return law_fraction(share, law_max(LAW_ONE - share, LAW_ONE / 50));
}

/*
 * Without distances: how far does the need reach? A guess, corrected by what growth has done to
 * the stall: the line through then and now says where it would end.
 */
static void reach_judge(struct law_estimate *e, uint64_t ceiling_bytes, uint64_t now_ns)
{
	struct law_memory *m = &e->memory;
	uint64_t stall = law_stall_per_work(m->refault_stall);
	uint64_t grown = law_less(e->base_bytes, m->anchor_base_bytes);
	uint64_t reach;

	if (m->reach_bytes == 0)
		m->reach_bytes = law_max(ceiling_bytes / 8, e->bucket_bytes);
	if (m->anchor_ns == 0 || e->base_bytes < m->anchor_base_bytes ||
	    stall > m->anchor_stall + m->anchor_stall / 4)
		grown = 0;
	else if (grown < REACH_JUDGE_BUCKETS * e->bucket_bytes ||
		 now_ns - m->anchor_ns < TAU_OBSERVE_NS)
		return;
	if (grown > 0) {
		reach = 2 * m->reach_bytes; /* it grew, and that cured nothing */
		if (stall < m->anchor_stall - m->anchor_stall / 16)
			reach = law_part(law_min(grown, LAW_BYTES_CAP),
					 law_ratio_32(stall, 8 * (m->anchor_stall - stall))) *
				8;
		m->reach_bytes = law_clamp(reach, 2 * e->bucket_bytes,
					   2 * law_min(ceiling_bytes, LAW_BYTES_CAP));
	}
	m->anchor_base_bytes = e->base_bytes;
	m->anchor_stall = stall;
	m->anchor_ns = now_ns;
}

static void fold_reach(struct fold *f, struct law_estimate *e, const struct law_params *params,
		       uint64_t now_ns)
{
	struct law_memory *m = &e->memory;
	uint64_t stall = law_stall_per_work(m->refault_stall);

	if (m->fold_samples == 0)
		return;
	reach_judge(e, params->ceiling_bytes, now_ns);
	f->observed_all = law_fraction(stall, m->kappa);
	fold_spread(f, f->base, f->base + law_max(law_pages(m->reach_bytes), 1), f->observed_all);
}

/* x * 2^(-steps / FORGET_STEPS), for every bucket below `end`. */
static void curve_forget(struct law_estimate *e, uint64_t end, uint64_t steps)
{
	uint64_t factor = 1ull << 32;
	uint64_t halves = law_min(steps / FORGET_STEPS, 31);

	for (uint64_t i = 0; i < steps % FORGET_STEPS; i++)
		factor = law_part(factor, FORGET_STEP_32);
	factor >>= halves;
	for (uint64_t b = 0; b < end; b++)
		e->curve[b] = (uint32_t)law_part(e->curve[b], factor);
}

static uint64_t half_life_ns(const struct law_estimate *e, uint64_t ceiling_bytes)
{
	uint64_t pages = HALF_LIFE_FILLS * law_pages(ceiling_bytes);
	uint64_t rate = e->memory.inflow_peak_per_s;

	if (rate == 0)
		return HALF_LIFE_MAX_NS;
	return law_clamp(law_time(pages, rate), HALF_LIFE_MIN_NS, HALF_LIFE_MAX_NS);
}

static void curve_age(struct law_estimate *e, const struct fold *f, const struct law_params *params)
{
	struct law_memory *m = &e->memory;
	uint64_t step_ns = half_life_ns(e, params->ceiling_bytes) / FORGET_STEPS;

	m->forget_ns += law_part(f->window_ns, m->kappa_now << 12);
	if (m->forget_ns < step_ns)
		return;
	curve_forget(e, law_min(law_max(f->base_bucket, f->usage_bucket), m->top),
		     m->forget_ns / step_ns);
	m->forget_ns %= step_ns;
}

/* How fast to learn: fast when much more is seen than remembered, slowly from an idle engine. */
static uint64_t observe_alpha(const struct law_estimate *e, const struct fold *f)
{
	const struct law_memory *m = &e->memory;
	uint64_t slow = law_alpha(f->window_ns, TAU_OBSERVE_NS);
	uint64_t alpha = slow;

	if (m->kappa_now == 0 && m->fold_samples == 0)
		return 0;
	if (f->observed_above > 2ull * m->above &&
	    m->fold_samples * ATTACK_WINDOW_NS >= ATTACK_SAMPLES * f->window_ns)
		alpha = law_alpha(f->window_ns, TAU_ATTACK_NS);
	alpha = (alpha * law_min(4 * m->kappa, LAW_ONE)) >> LAW_ONE_SHIFT;
	return law_max(alpha, slow / 6);
}

/* An amount of the curve as refaults in this fold, with 4 fractional bits. */
static uint64_t refaults_4_of(const struct law_estimate *e, const struct fold *f, uint64_t amount)
{
	uint64_t stall_ns = law_part(f->work_ns, law_min(amount, 1ull << 26) << 6) << 6;

	return (stall_ns << 4) / e->refault_cost_ns;
}

/* Whether buckets that lay inside a moment ago, when they were only remembered, lie outside now. */
static bool has_claims(struct law_memory *m, const struct fold *f, uint64_t now_ns)
{
	if (f->base_bucket < m->base_bucket) {
		if (law_less(now_ns, m->claim_ns) > LAW_CLAIM_NS ||
		    m->claim_top <= f->base_bucket) {
			m->claim_top = m->base_bucket;
			m->claim_expected_4 = m->claim_seen_4 = 0;
		}
		m->claim_ns = now_ns;
	}
	m->base_bucket = (uint32_t)f->base_bucket;
	return law_less(now_ns, m->claim_ns) <= LAW_CLAIM_NS &&
	       m->claim_top > law_max(f->base_bucket, f->usage_bucket);
}

/*
 * Where far less comes back for what has just been taken than was remembered, nothing of what is
 * remembered is believed. Who is at rest is expected to ask for nothing.
 */
static void curve_doubt(struct law_estimate *e, const struct fold *f, uint64_t now_ns)
{
	struct law_memory *m = &e->memory;
	uint64_t claimed = 0;

	if (!has_claims(m, f, now_ns))
		return;
	for (uint64_t b = law_max(f->base_bucket, f->usage_bucket); b < m->claim_top; b++)
		claimed += e->curve[b];
	claimed = claimed * law_min(m->kappa_now, m->kappa) / law_max(m->kappa, 1);
	m->claim_expected_4 += refaults_4_of(e, f, claimed);
	m->claim_seen_4 += law_min(m->fold_refaults, 1ull << 40) << 4;
	if (m->claim_expected_4 < DOUBT_REFAULTS << 4)
		return;
	if (m->claim_seen_4 < m->claim_expected_4 / DOUBT_PART) {
		curve_forget(e, m->top, DOUBT_STEPS);
		m->doubts++;
	}
	m->claim_expected_4 = m->claim_seen_4 = 0;
}

static void curve_observe(struct law_estimate *e, const struct fold *f)
{
	uint64_t alpha = observe_alpha(e, f);
	uint64_t top = law_max(e->memory.top, f->observed_top);
	uint64_t far = law_min(law_less(f->observed_all, f->observed_above), LAW_STALL_MAX);

	e->memory.far = (uint32_t)law_ewma(e->memory.far, far, alpha);
	for (uint64_t b = f->base_bucket; b < top; b++) {
		uint64_t seen = law_min(f->observed[b], UINT32_MAX);

		/* inside the present usage only need is seen, never its absence */
		if (b >= f->usage_bucket || seen > e->curve[b])
			e->curve[b] = (uint32_t)law_ewma(e->curve[b], seen, alpha);
	}
}

/* What the planner needs to choose candidates without walking every curve. */
static void curve_summarise(struct law_estimate *e, const struct fold *f,
			    const struct law_sample *is, uint64_t limit_bytes)
{
	struct law_memory *m = &e->memory;
	uint64_t limit_bucket = bucket_of(e, limit_bytes);
	uint64_t above = 0, reached = 0, boundary = 0, hull = 0;
	uint32_t top = 0, end = (uint32_t)law_max(m->top, f->observed_top);

	for (uint32_t b = 0; b < end; b++) {
		if (e->curve[b] == 0)
			continue;
		top = b + 1;
		if (b >= f->base_bucket)
			above += e->curve[b];
		if (b >= f->base_bucket && b < f->base_bucket + 3)
			boundary += e->curve[b];
		if (b >= limit_bucket) {
			reached += e->curve[b];
			if (b == limit_bucket && m->reuse_known) /* part of it, it has */
				reached -= law_part(
				    e->curve[b],
				    law_ratio_32(limit_bytes % e->bucket_bytes, e->bucket_bytes));
			hull = law_max(hull, reached / (b - limit_bucket + 1));
		}
	}
	m->top = top;
	m->above = (uint32_t)law_min(above, UINT32_MAX);
	m->hull = (uint32_t)law_min(hull, UINT32_MAX);
	m->outside = (uint32_t)law_min(reached + m->far, LAW_STALL_MAX);
	m->boundary = (uint32_t)law_min(boundary / 3, UINT32_MAX);
	/* what is just inside is seen itself, or it will soon be used */
	if (m->reuse_known ||
	    law_less(limit_bytes, is->usage_bytes) > law_margin(limit_bytes, e->bucket_bytes))
		m->boundary = 0;
}

/* Task time of the window in which the engine neither waited nor idled. */
static uint64_t work_in(const struct law_memory *m, uint64_t window_ns, uint64_t stall,
			uint64_t busy)
{
	uint64_t task_ns = law_task_ns(m, window_ns);

	return law_part(law_part(task_ns, (LAW_ONE - stall) << 12), busy << 12);
}

static bool reuse_fold(struct fold *f, struct law_estimate *e, const struct law_params *params,
		       const struct law_sample *is)
{
	struct law_memory *m = &e->memory;
	uint64_t stall = law_min(law_fraction(m->fold_cure_ns, f->window_ns), LAW_ONE);
	bool known = m->reuse_known;
	uint64_t folded_ns;

	m->reuse_known = law_reuse_speaks(is);
	if (!m->reuse_known)
		return false;
	law_phases_pass(&m->phases, f->window_ns);
	if (!known) {
		law_reuse_start(e, is);
		return true;
	}
	folded_ns =
	    law_reuse_fold(e, is, f->window_ns, work_in(m, f->window_ns, stall, m->kappa_now));
	if (folded_ns > 0) {
		law_reuse_curve(e, is, f->base, folded_ns);
		law_phases_fold(e, params->gamma_ppm, folded_ns);
	}
	return true;
}

static void ghosts_fold(struct fold *f, struct law_estimate *e, const struct law_params *params,
			uint64_t now_ns)
{
	struct law_memory *m = &e->memory;

	for (uint64_t b = f->base_bucket; b < f->observed_top; b++)
		f->observed_above += f->observed[b];
	if (m->top > 0)
		curve_age(e, f, params);
	if (m->distances_known && m->top > 0)
		curve_doubt(e, f, now_ns);
	if (m->top > 0 || f->observed_above > 0)
		curve_observe(e, f);
}

static void file_fold(struct fold *f, struct law_estimate *e, const struct law_params *params,
		      const struct law_sample *is, uint64_t now_ns)
{
	struct law_memory *m = &e->memory;
	bool distances = (is->valid & LAW_VALID_DISTANCES) != 0;
	bool reuse = reuse_fold(f, e, params, is);

	f->work_ns = law_max(work_in(m, f->window_ns, m->refault_stall, m->kappa), 1);
	if (distances && (!m->distances_known || reuse))
		memcpy(e->last.distance, is->distance, sizeof(is->distance));
	else if (distances && m->fold_samples > 0)
		fold_distances(f, e, is);
	else if (!distances && !reuse)
		fold_reach(f, e, params, now_ns);
	m->distances_known = distances;
	if (!reuse)
		ghosts_fold(f, e, params, now_ns);
}

/*
 * An engine that cannot be reclaimed says what it needs by stalling at its limit: the demand is
 * taken to be as large as the last jump, doubling, or as its remembered peak.
 */
static void anon_fold(struct fold *f, struct law_estimate *e, const struct law_params *params,
		      const struct law_sample *is, uint64_t limit_bytes)
{
	struct law_memory *m = &e->memory;
	uint64_t ceiling = law_min(params->ceiling_bytes, LAW_BYTES_CAP);
	uint64_t usage = law_min(is->usage_bytes, LAW_BYTES_CAP);
	uint64_t alpha = law_alpha(f->window_ns, ANON_TAU_NS);
	uint64_t first = law_max(ceiling / 25, e->bucket_bytes);
	uint64_t limit_bucket = bucket_of(e, limit_bytes);
	uint64_t jump;

	m->reuse_known = false;
	m->anon_step_bytes = law_max(m->anon_step_bytes, first);
	e->base_bytes = law_max(usage, limit_bytes);
	f->base_bucket = bucket_of(e, e->base_bytes);
	if (m->fold_stall > 0 && usage + e->bucket_bytes > limit_bytes) {
		jump = law_max(m->anon_step_bytes, law_less(m->anon_peak_bytes, limit_bytes));
		f->base = law_pages(e->base_bytes);
		fold_spread(f, f->base, f->base + law_pages_up(jump),
			    law_stall_per_work(law_max(m->interval_stall, m->refault_stall)));
		m->anon_step_bytes = law_min(2 * m->anon_step_bytes, law_max(ceiling / 4, first));
	} else {
		m->anon_step_bytes = law_max(
		    first, law_ewma(m->anon_step_bytes, 0, law_alpha(f->window_ns, ANON_CALM_NS)));
	}
	m->anon_peak_bytes = law_max(
	    law_held(usage, is->unreclaimable_bytes),
	    law_ewma(m->anon_peak_bytes, 0, law_alpha(f->window_ns, 3 * half_life_ns(e, ceiling))));
	m->kappa = m->kappa_now = LAW_ONE;
	if (m->top > 0)
		curve_age(e, f, params);
	for (uint64_t b = f->base_bucket; b < LAW_BUCKETS; b++)
		e->curve[b] =
		    (uint32_t)law_ewma(e->curve[b], law_min(f->observed[b], UINT32_MAX), alpha);
	/* headroom that was asked for and is not used is given back soon */
	alpha = law_alpha(f->window_ns, HEADROOM_TAU_NS);
	for (uint64_t b = f->usage_bucket + 1; b < limit_bucket; b++)
		e->curve[b] = (uint32_t)law_ewma(e->curve[b], 0, alpha);
}

void law_curve_update(struct law_estimate *e, const struct law_params *params,
		      const struct law_sample *is, uint64_t limit_bytes, uint64_t now_ns)
{
	struct law_memory *m = &e->memory;
	uint64_t usage = law_min(is->usage_bytes, LAW_BYTES_CAP);
	struct fold f;

	if (law_less(now_ns, m->folded_ns) < LAW_FOLD_NS)
		return;
	memset(&f, 0, sizeof(f));
	f.window_ns = law_min(now_ns - m->folded_ns, 1000 * LAW_S);
	if (m->fold_evictions > 0)
		e->base_bytes = usage;
	f.bucket = e->bucket_bytes / LAW_PAGE_BYTES;
	f.base = law_pages(e->base_bytes);
	f.base_bucket = bucket_of(e, e->base_bytes);
	f.usage_bucket = bucket_of(e, usage);
	if (m->heap)
		anon_fold(&f, e, params, is, limit_bytes);
	else
		file_fold(&f, e, params, is, now_ns);
	if (m->top > 0 || f.observed_top > 0)
		curve_summarise(e, &f, is, limit_bytes);
	m->folded_ns = now_ns;
	m->fold_samples = 0;
	m->fold_refaults = 0;
	m->fold_stall = 0;
	m->fold_evictions = 0;
	m->fold_cure_ns = 0;
}
