/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From counters to rates: what happened to one engine since its last sample, and what it says about
 * its memory. The curve of benefit is law_curve.c's; this file feeds it.
 *
 * All constants are in time, not in samples: intervals from 10 ms to seconds give the same
 * estimate.
 */
#include "user/daemon/law_internal.h"

#define TAU_RATE_NS        (1750 * LAW_MS) /* 1/8 at 250 ms */
#define TAU_NOW_NS         (300 * LAW_MS) /* of what is new */
#define TAU_USUAL_NS       (5 * LAW_S) /* of what is old */
#define TAU_RISE_NS        (100 * LAW_MS) /* of usage that grows faster than before */
#define TAU_SAMPLES_NS     (3750 * LAW_MS)
#define TAU_INFLOW_PEAK_NS (600 * LAW_S)
#define RATE_SHIFT         12
#define STALL_SHARE_MAX    (LAW_ONE * 98 / 100)
/* PSI totals may be up to 2 s old and then jump: what exceeds the interval is carried over. */
#define PSI_CARRY_MAX_NS   (2 * LAW_S)
#define DEFAULT_COST_NS    150000ull
#define COST_REFAULTS      1ull /* a second */
#define COST_MIN_NS        1000ull
#define COST_MAX_NS        20000000ull
#define STREAM_AFTER_NS    (3 * LAW_S)
#define STREAM_TURNOVER_S  32 /* it evicts what it holds within so long */
#define IDLE_KAPPA         (LAW_ONE / 100)
#define TAU_BURST_NS       (8 * LAW_S)
#define BURST_SOON_NS      LAW_S /* who was back so soon is waited for ... */
#define BURST_WAIT         4 /* ... so many times as long */
#define BURST_BELOW_MAX_NS (1000 * LAW_S)
#define SYSTEM_FIRST       (LAW_ONE / 4) /* of CPU time in the kernel, until it is known */
#define BURST_PART         4 /* lower by this part is gone, higher by it is growing */

/* What happened between two samples. */
struct interval {
	uint64_t dt_ns;
	uint32_t valid; /* measured at both ends */
	uint64_t refaults; /* pages */
	uint64_t samples; /* refaults whose distance is known, or as good as */
	uint64_t evictions, inflow; /* pages */
	bool evictions_known;
	uint64_t cure_ns; /* task time waited for what more memory would have cured */
	uint64_t wait_ns; /* task time waited for memory, all causes */
	uint64_t psi_memory_ns, psi_io_ns; /* wall time; io: the part that refaults explain */
	uint64_t psi_some_ns; /* memory, some */
	struct law_work work; /* CPU time */
};

static bool has(const struct interval *iv, uint32_t bit)
{
	return (iv->valid & bit) != 0;
}

/*
 * (some + full) / 2 estimates the share of task time that is stalled whatever the number of tasks
 * is: exact for one and two, close for more.
 */
static uint64_t psi_mean(uint64_t some_ns, uint64_t full_ns)
{
	return (law_min(some_ns, 1ull << 60) + law_min(full_ns, law_min(some_ns, 1ull << 60))) / 2;
}

/* At most dt of stall fits into dt; the rest waits for the next interval. */
static uint64_t psi_spread(uint64_t *carry_ns, uint64_t delta_ns, uint64_t dt_ns)
{
	uint64_t all = *carry_ns + law_min(delta_ns, PSI_CARRY_MAX_NS + dt_ns);
	uint64_t now = law_min(all, dt_ns);

	*carry_ns = law_min(all - now, PSI_CARRY_MAX_NS);
	return now;
}

static void interval_pages(struct interval *iv, const struct law_sample *was,
			   const struct law_sample *is)
{
	uint32_t shift = law_min(is->ghost_sample_shift, 30);
	uint64_t hits = law_delta(is->limit_hits, was->limit_hits);
	uint64_t ghosts = 0;

	if (has(iv, LAW_VALID_REFAULTS)) {
		iv->refaults = law_delta(is->refault_file, was->refault_file) +
			       law_delta(is->refault_anon, was->refault_anon);
		iv->samples = iv->refaults;
		iv->evictions = law_delta(is->pgsteal, was->pgsteal);
	}
	if (has(iv, LAW_VALID_DISTANCES)) {
		iv->samples = law_delta(is->ghost_refaults, was->ghost_refaults);
		ghosts = iv->samples + law_delta(is->ghost_unknown, was->ghost_unknown);
		ghosts = law_min(ghosts, LAW_COUNT_CAP >> shift) << shift;
		if (!has(iv, LAW_VALID_REFAULTS))
			iv->refaults = ghosts;
		iv->evictions = law_max(iv->evictions, law_delta(is->evictions, was->evictions));
	}
	/*
	 * Without a count of evictions (v1 without BPF): at least one page went per charge that
	 * failed, and one per page that came back while usage did not grow. What share of the reads
	 * were refaults cannot be judged from these.
	 */
	iv->evictions_known = iv->evictions > 0;
	if (!iv->evictions_known && is->file_bytes > is->shmem_bytes)
		iv->evictions = hits;
	if (iv->evictions < iv->refaults && is->usage_bytes <= was->usage_bytes)
		iv->evictions = iv->refaults;
	iv->inflow = iv->evictions + law_pages(law_less(is->usage_bytes, was->usage_bytes));
}

static void interval_measure(struct law_memory *m, const struct law_sample *was,
			     const struct law_sample *is, uint64_t dt_ns, struct interval *ret)
{
	struct interval iv = { .dt_ns = dt_ns, .valid = was->valid & is->valid };
	uint64_t some, full, reclaim_ns = 0;

	interval_pages(&iv, was, is);
	if (has(&iv, LAW_VALID_LEDGER)) {
		iv.cure_ns = law_delta(is->stall_ns[STALL_REFAULT], was->stall_ns[STALL_REFAULT]) +
			     law_delta(is->stall_ns[STALL_SWAP_IN], was->stall_ns[STALL_SWAP_IN]);
		for (int i = 0; i < STALL_CAUSES; i++)
			iv.wait_ns += law_delta(is->stall_ns[i], was->stall_ns[i]);
		/* who reclaims is at work: its CPU time tells of that already */
		reclaim_ns = law_delta(is->stall_ns[STALL_DIRECT_RECLAIM],
				       was->stall_ns[STALL_DIRECT_RECLAIM]);
	}
	if (has(&iv, LAW_VALID_PSI_MEMORY)) {
		some = law_delta(is->psi_memory_some_ns, was->psi_memory_some_ns);
		full = law_delta(is->psi_memory_full_ns, was->psi_memory_full_ns);
		iv.psi_memory_ns = psi_spread(&m->psi_carry_memory_ns, psi_mean(some, full), dt_ns);
	}
	if (has(&iv, LAW_VALID_PSI_IO)) {
		some = law_delta(is->psi_io_some_ns, was->psi_io_some_ns);
		full = law_delta(is->psi_io_full_ns, was->psi_io_full_ns);
		iv.psi_io_ns = psi_spread(&m->psi_carry_io_ns, psi_mean(some, full), dt_ns);
	}
	if (has(&iv, LAW_VALID_CPU)) {
		iv.work.cpu_ns = law_delta(is->cpu_ns, was->cpu_ns);
		iv.work.system_ns = law_delta(is->cpu_system_ns, was->cpu_system_ns);
		iv.work.read = is->cpu_at_ns == 0 || is->cpu_at_ns != was->cpu_at_ns;
	}
	iv.work.known = has(&iv, LAW_VALID_CPU);
	iv.work.dt_ns = dt_ns;
	iv.work.wait_ns = law_less(iv.wait_ns, reclaim_ns);
	iv.work.refaults = iv.refaults;
	*ret = iv;
}

/* Which part of what came in had been there before: reads that memory would have saved. */
static uint64_t refault_share(const struct law_memory *m)
{
	uint64_t inflow = law_max(m->known_evictions_12, law_max(m->refaults_12, m->majfaults_12));

	return m->refaults_12 == 0 ? 0 : law_fraction(m->refaults_12, inflow);
}

static void rate_update(uint64_t *rate_12, uint64_t count, uint64_t dt_ns)
{
	*rate_12 =
	    law_ewma(*rate_12, law_rate(count, dt_ns) << RATE_SHIFT, law_alpha(dt_ns, TAU_RATE_NS));
}

static void faults_update(struct law_estimate *e, const struct interval *iv,
			  const struct law_sample *is)
{
	uint64_t faults = law_delta(is->pgfault, e->last.pgfault);

	if (!has(iv, LAW_VALID_FAULTS))
		return;
	e->faults_per_s = law_ewma(e->faults_per_s, law_rate(faults, iv->dt_ns),
				   law_alpha(iv->dt_ns, TAU_RATE_NS));
	rate_update(&e->memory.majfaults_12, law_delta(is->pgmajfault, e->last.pgmajfault),
		    iv->dt_ns);
	e->majfaults_per_s = e->memory.majfaults_12 >> RATE_SHIFT;
}

static void rates_update(struct law_estimate *e, const struct interval *iv)
{
	struct law_memory *m = &e->memory;
	uint64_t inflow = law_rate(iv->inflow, iv->dt_ns);
	uint64_t samples = law_min(law_rate(iv->samples, iv->dt_ns), LAW_COUNT_CAP >> 8) << 8;
	uint64_t tau = inflow > m->inflow_peak_per_s ? TAU_RATE_NS : TAU_INFLOW_PEAK_NS;

	rate_update(&m->refaults_12, iv->refaults, iv->dt_ns);
	rate_update(&m->evictions_12, iv->evictions, iv->dt_ns);
	rate_update(&m->known_evictions_12, iv->evictions_known ? iv->evictions : 0, iv->dt_ns);
	e->refaults_per_s = m->refaults_12 >> RATE_SHIFT;
	e->evictions_per_s = m->evictions_12 >> RATE_SHIFT;
	m->samples_per_s_8 =
	    law_ewma(m->samples_per_s_8, samples, law_alpha(iv->dt_ns, TAU_SAMPLES_NS));
	m->inflow_peak_per_s = law_ewma(m->inflow_peak_per_s, inflow, law_alpha(iv->dt_ns, tau));
}

/* Evicting, or reading back, enough for it to matter. */
static bool turns_over(const struct law_estimate *e, uint64_t pages_per_s)
{
	return pages_per_s > law_pages(e->bucket_bytes) / 64 + 8;
}

/*
 * A heap says what it needs by waiting. A database with shared buffers and a page cache that turns
 * over is none, however little of it can be reclaimed: its waits are judged by what comes back.
 */
static void heap_update(struct law_estimate *e, const struct law_sample *is)
{
	uint64_t pages_12 = law_max(e->memory.known_evictions_12, e->memory.refaults_12);

	e->memory.heap = law_mostly_anon(is) && !turns_over(e, pages_12 >> RATE_SHIFT);
}

/*
 * A heap that comes and goes faster than others could fill what it leaves: what it had is kept for
 * it as long as it may be expected back.
 */
static void bursts_update(struct law_memory *m, const struct law_sample *is, uint64_t dt_ns)
{
	uint64_t held = law_min(law_min(is->unreclaimable_bytes, is->usage_bytes), LAW_BYTES_CAP);
	uint64_t height =
	    law_max(held, law_ewma(m->burst_bytes, held, law_alpha(dt_ns, TAU_BURST_NS)));

	m->burst_bytes = height;
	if (held < height - height / BURST_PART) {
		m->burst_below_ns = law_min(m->burst_below_ns + law_min(dt_ns, BURST_BELOW_MAX_NS),
					    BURST_BELOW_MAX_NS);
		return;
	}
	if (m->burst_below_ns > 0) {
		m->burst_was_bytes = height;
		m->burst_wait_ns =
		    m->burst_below_ns <= BURST_SOON_NS ? BURST_WAIT * m->burst_below_ns : 0;
	} else if (law_less(height, m->burst_was_bytes) > m->burst_was_bytes / BURST_PART) {
		m->burst_wait_ns = 0; /* it is growing */
	}
	m->burst_below_ns = 0;
}

static void stall_update(struct law_estimate *e, const struct interval *iv)
{
	struct law_memory *m = &e->memory;
	uint64_t alpha = law_alpha(iv->dt_ns, TAU_RATE_NS);
	uint64_t task_ns = law_task_ns(m, iv->dt_ns);
	uint64_t reuse = refault_share(m);
	uint64_t psi = law_fraction(iv->psi_memory_ns, iv->dt_ns);
	uint64_t io = (law_fraction(iv->psi_io_ns, iv->dt_ns) * reuse) >> LAW_ONE_SHIFT;
	uint64_t cure = law_fraction(iv->cure_ns, task_ns);
	uint64_t all = law_fraction(iv->wait_ns, task_ns);

	all = law_min(law_max(all, law_max(psi, io)), LAW_ONE);
	/* a file engine that waits in reclaim but reuses nothing is not cured by memory */
	cure = law_max(cure, io);
	if (!m->heap)
		cure += law_fraction(law_miss_ns(m, iv->refaults), task_ns);
	cure = law_max(cure, m->heap ? all : (psi * reuse) >> LAW_ONE_SHIFT);
	cure = law_min(cure, STALL_SHARE_MAX);
	m->interval_stall = cure;
	m->refault_stall = law_ewma(m->refault_stall, cure, alpha);
	m->stall_now = law_ewma(m->stall_now, cure, law_alpha(iv->dt_ns, TAU_NOW_NS));
	m->stall_usual = law_ewma(m->stall_usual, cure, law_alpha(iv->dt_ns, TAU_USUAL_NS));
	m->fold_stall |= cure;
	e->stall_ppm = (uint32_t)((all * LAW_PPM) >> LAW_ONE_SHIFT);
	e->stall_avg_ppm = (uint32_t)law_ewma(e->stall_avg_ppm, e->stall_ppm, alpha);
	e->stall_ns_per_s = law_ewma(e->stall_ns_per_s, law_rate(iv->wait_ns, iv->dt_ns), alpha);
}

static void cost_update(struct law_estimate *e)
{
	/* task seconds per second, over refaults per second */
	uint64_t stall_ns_per_s =
	    (e->memory.refault_stall * (e->memory.parallelism_16 >> 6) >> 10) * (LAW_S >> 6) >> 14;

	/* of few it cannot be told: it is what it was */
	if (e->memory.refaults_12 >= COST_REFAULTS << RATE_SHIFT)
		e->refault_cost_ns =
		    law_clamp((law_min(stall_ns_per_s, UINT64_MAX >> RATE_SHIFT) << RATE_SHIFT) /
				  e->memory.refaults_12,
			      COST_MIN_NS, COST_MAX_NS);
}

static int64_t velocity_of(uint64_t is, uint64_t was, uint64_t dt_ns)
{
	if (is >= was)
		return (int64_t)law_rate(law_min(is - was, LAW_COUNT_CAP), dt_ns);
	return -(int64_t)law_rate(law_min(was - is, LAW_COUNT_CAP), dt_ns);
}

static void usage_update(struct law_estimate *e, const struct interval *iv,
			 const struct law_sample *is, uint64_t limit_bytes)
{
	int64_t velocity = velocity_of(is->usage_bytes, e->last.usage_bytes, iv->dt_ns);
	/* a rise is believed sooner than its end: what grows meets its limit within moments */
	uint64_t tau_ns = velocity > e->usage_velocity_bytes_per_s ? TAU_RISE_NS : TAU_RATE_NS;
	int64_t alpha = (int64_t)law_alpha(iv->dt_ns, tau_ns);
	uint64_t room = law_less(limit_bytes, is->usage_bytes);
	uint64_t step = e->bucket_bytes;

	e->usage_velocity_bytes_per_s +=
	    (velocity - e->usage_velocity_bytes_per_s) / 65536 * alpha +
	    (velocity - e->usage_velocity_bytes_per_s) % 65536 * alpha / 65536;
	e->at_limit = limit_bytes > 0 && room <= step;
	e->filling = limit_bytes > 0 && room > law_margin(limit_bytes, step);
	e->time_to_ceiling_ns = UINT64_MAX;
	if (room == 0)
		e->time_to_ceiling_ns = 0;
	else if (e->usage_velocity_bytes_per_s > 0)
		e->time_to_ceiling_ns = law_time(room, (uint64_t)e->usage_velocity_bytes_per_s);
}

/* Whether memory within reach saves, or would save, one per cent of its time. */
static bool reuses(const struct law_estimate *e)
{
	uint64_t worth = e->memory.reuse_known ? law_reuse_worth(e) : e->memory.above;

	return (worth * e->memory.kappa >> LAW_ONE_SHIFT) > LAW_ONE / 100;
}

/*
 * A stream takes memory and never comes back to it, or comes back from farther away than the
 * ceiling is: evictions go on, and no size within reach would save one per cent of its time.
 */
static void stream_update(struct law_estimate *e, const struct interval *iv,
			  const struct law_sample *is)
{
	struct law_memory *m = &e->memory;
	bool moving = turns_over(e, e->evictions_per_s) &&
		      e->evictions_per_s > law_pages(is->usage_bytes) / STREAM_TURNOVER_S;
	bool returns =
	    (iv->valid & LAW_VALID_DISTANCES) == 0 && e->refaults_per_s > e->evictions_per_s / 16;

	if (moving && !returns && !m->heap && has(iv, LAW_VALID_REFAULTS | LAW_VALID_DISTANCES) &&
	    !reuses(e))
		m->stream_ns = law_min(m->stream_ns + iv->dt_ns, 2 * STREAM_AFTER_NS);
	else if (moving)
		m->stream_ns = law_less(m->stream_ns, 4 * iv->dt_ns);
	else
		m->stream_ns = law_less(m->stream_ns, iv->dt_ns / 2);
	e->streaming = e->streaming ? m->stream_ns > 0 : m->stream_ns >= STREAM_AFTER_NS;
	/* The engine knows better, as long as what it does is not the contrary of what it says. */
	if (is->demand.hint == LAW_HINT_QUERY_HEAVY)
		e->streaming = false;
	else if (is->demand.hint == LAW_HINT_BULK_INGEST && !m->heap && !returns && !reuses(e))
		e->streaming = true;
}

/* How much it uses to some purpose, and how much it would need for there to be no stall. */
static void sets_update(struct law_estimate *e, const struct law_sample *is, uint64_t limit_bytes)
{
	struct law_memory *m = &e->memory;
	uint64_t fixed = law_min(is->unreclaimable_bytes, is->usage_bytes);
	uint64_t window = (m->samples_per_s_8 * (TAU_SAMPLES_NS / LAW_MS)) / 1000 >> 8;

	e->idle_bytes = law_less(limit_bytes, is->usage_bytes);
	e->working_set_bytes = is->usage_bytes;
	if (e->streaming) {
		e->working_set_bytes = law_min(fixed + 2 * e->bucket_bytes, is->usage_bytes);
		e->idle_bytes += is->usage_bytes - e->working_set_bytes;
	} else if (m->kappa < IDLE_KAPPA && m->refault_stall == 0) {
		e->working_set_bytes = fixed;
		e->idle_bytes += is->usage_bytes - fixed;
	} else if (m->reuse_known) {
		e->working_set_bytes = law_max(fixed, law_reuse_needs(e));
		e->idle_bytes += law_less(is->usage_bytes, e->working_set_bytes);
	} else if (m->above > 0) {
		e->working_set_bytes = law_max(is->usage_bytes, (uint64_t)m->top * e->bucket_bytes);
	}
	/* 1 - 3/sqrt(n): at nine samples none, at 900 nine tenths */
	e->confidence_ppm = 0;
	if (window > 9)
		e->confidence_ppm =
		    (uint32_t)(LAW_PPM -
			       3 * LAW_PPM * 256 / law_sqrt(law_min(window, 1ull << 40) << 16));
}

static void estimate_start(struct law_estimate *e, const struct law_params *params,
			   const struct law_sample *sample, uint64_t now_ns)
{
	*e = (struct law_estimate){
		.refault_cost_ns = DEFAULT_COST_NS,
		.time_to_ceiling_ns = UINT64_MAX,
		.bucket_bytes = law_bucket_bytes(params->ceiling_bytes),
		.base_bytes = law_min(sample->usage_bytes, LAW_BYTES_CAP),
		.busy_ppm = LAW_PPM,
		.memory = { .parallelism_16 = 1 << 16,
			    .kappa = LAW_ONE,
			    .folded_ns = now_ns,
			    .system_share = SYSTEM_FIRST },
		.last = *sample,
	};
	e->memory.distances_known = (sample->valid & LAW_VALID_DISTANCES) != 0;
}

static void estimate_remember(struct law_estimate *e, const struct law_sample *sample,
			      uint64_t now_ns)
{
	law_copy_but_histograms(&e->last, sample);
	e->updated_ns = now_ns;
	if (e->updates < UINT32_MAX)
		e->updates++;
}

void estimate_update(struct law_estimate *e, const struct law_params *params,
		     const struct law_engine *engine, const struct law_sample *sample,
		     uint64_t limit_bytes, uint64_t now_ns)
{
	struct interval iv;
	uint64_t dt_ns;
	bool enough;

	if (e->updates == 0 || now_ns < e->updated_ns ||
	    e->bucket_bytes != law_bucket_bytes(params->ceiling_bytes)) {
		estimate_start(e, params, sample, now_ns);
		estimate_remember(e, sample, now_ns);
		return;
	}
	dt_ns = now_ns - e->updated_ns;
	if (dt_ns == 0)
		return;
	limit_bytes = law_min(limit_bytes, LAW_BYTES_CAP);
	e->dt_ns = dt_ns;
	interval_measure(&e->memory, &e->last, sample, dt_ns, &iv);
	rates_update(e, &iv);
	faults_update(e, &iv, sample);
	enough = law_work_gather(&e->memory, &iv.work);
	heap_update(e, sample);
	bursts_update(&e->memory, sample, dt_ns);
	stall_update(e, &iv);
	cost_update(e);
	law_work_update(e, &iv.work, enough);
	usage_update(e, &iv, sample, limit_bytes);
	e->memory.fold_samples += iv.samples;
	e->memory.fold_refaults += iv.refaults;
	e->memory.fold_evictions += iv.evictions;
	e->memory.fold_cure_ns +=
	    law_part(law_min(dt_ns, 1000 * LAW_S), e->memory.interval_stall << 12);
	law_curve_update(e, params, sample, limit_bytes, now_ns);
	stream_update(e, &iv, sample);
	sets_update(e, sample, limit_bytes);
	estimate_remember(e, sample, now_ns);
}
