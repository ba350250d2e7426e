/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an engine's CPU time says: how many tasks work at once, how busy they are, and what a miss
 * costs in the kernel beside the wait for the disk. Where a disk is fast, that is most of it.
 */
#include "user/daemon/law_internal.h"

#define TAU_KAPPA_NS       (375 * LAW_MS)
#define TAU_PARALLELISM_NS (16 * LAW_S)
#define TAU_SYSTEM_NS      (4 * LAW_S)
#define TAU_MISS_NS        (1750 * LAW_MS)
#define TAU_DUTY_NS        (60 * LAW_S)
#define DUTY_LEAST         (LAW_ONE / 100) /* of the time at work or waiting: awake */
#define WORK_MAX_NS        (1000 * LAW_S)
#define KAPPA_MIN          (LAW_ONE / 500)
#define LITTLE_TO_LOSE     4 /* times kappa is all that an engine can lose */
#define MISS_CPU_MAX_NS    50000ull /* a fault, a read and the eviction that makes room */
#define WORK_LEAST         16 /* of its CPU time is work, however much its misses take */
#define MISS_FEW           100 /* refaults that cannot take this part of the time */

/* The most tasks that ran or waited at once, slowly forgotten: what a stall is a share of. */
static void parallelism_update(struct law_memory *m)
{
	uint64_t tasks =
	    law_fraction(m->work_cpu_ns + m->work_wait_ns, m->work_dt_ns) >> (LAW_ONE_SHIFT - 16);

	tasks = law_max(tasks, 1 << 16);
	if (tasks >= m->parallelism_16)
		m->parallelism_16 = tasks;
	else
		m->parallelism_16 = law_ewma(m->parallelism_16, tasks,
					     law_alpha(m->work_dt_ns, TAU_PARALLELISM_NS));
}

/*
 * CPU time comes later than the rest where reading it costs more than it is worth, then for all the
 * time since; and a few milliseconds of it are as coarse as the kernel's clock tick.
 */
bool law_work_gather(struct law_memory *m, const struct law_work *work)
{
	m->work_dt_ns += law_min(work->dt_ns, WORK_MAX_NS);
	m->work_wait_ns += law_min(work->wait_ns, WORK_MAX_NS);
	m->work_cpu_ns += law_min(work->cpu_ns, WORK_MAX_NS);
	m->work_system_ns += law_min(work->system_ns, WORK_MAX_NS);
	m->work_refaults += law_min(work->refaults, LAW_COUNT_CAP);
	if (m->work_dt_ns < LAW_FOLD_NS || (work->known && !work->read))
		return false;
	parallelism_update(m);
	return true;
}

/*
 * An engine spends a part of its CPU time in the kernel whether it misses or not: that is learnt
 * while nothing refaults. What it spends beyond that part, while much does, is the misses'.
 */
static void misses_update(struct law_memory *m)
{
	uint64_t cpu_ns = law_max(m->work_cpu_ns, m->work_system_ns);
	uint64_t user_ns = cpu_ns - m->work_system_ns, usual_ns, each_ns, share;

	if (cpu_ns < m->work_dt_ns / MISS_FEW)
		return;
	if (law_min(m->work_refaults, LAW_COUNT_CAP) * MISS_CPU_MAX_NS < m->work_dt_ns / MISS_FEW) {
		m->system_share = law_ewma(m->system_share, law_fraction(m->work_system_ns, cpu_ns),
					   law_alpha(m->work_dt_ns, TAU_SYSTEM_NS));
		return;
	}
	share = law_min(m->system_share, LAW_ONE - LAW_ONE / 50);
	usual_ns = law_min(user_ns, 1ull << 40) * share / (LAW_ONE - share);
	each_ns = law_less(m->work_system_ns, usual_ns) / m->work_refaults;
	m->miss_cpu_ns = law_ewma(m->miss_cpu_ns, law_min(each_ns, MISS_CPU_MAX_NS),
				  law_alpha(m->work_dt_ns, TAU_MISS_NS));
	/* what was learnt of another load cannot be more than all there is now */
	m->miss_cpu_ns = law_min(m->miss_cpu_ns, cpu_ns / m->work_refaults);
}

/* The part of its time that an engine is awake, lately. */
static void duty_update(struct law_memory *m, bool awake)
{
	m->duty = law_ewma(m->duty, awake ? LAW_ONE : 0, law_alpha(m->work_dt_ns, m->duty_age_ns));
	m->duty_age_ns = law_min(m->duty_age_ns + m->work_dt_ns, TAU_DUTY_NS);
}

/*
 * How busy the engine is when it does not wait for memory: what it works, of that and the time that
 * none of its tasks worked or waited. Taken from the idle time and not from what is left beside the
 * waits, for who waits nearly all the time leaves no more than the error of these. Unknown CPU time
 * counts as busy.
 */
static void kappa_update(struct law_estimate *e, const struct law_work *work)
{
	struct law_memory *m = &e->memory;
	uint64_t stall = law_fraction(m->work_cure_ns, m->work_dt_ns);
	uint64_t miss_ns = law_miss_ns(m, m->work_refaults);
	uint64_t all_ns = law_task_ns(m, m->work_dt_ns);
	uint64_t wait_ns =
	    law_max(m->work_wait_ns, law_less(law_part(all_ns, stall << 12), miss_ns));
	uint64_t idle_ns = law_less(all_ns, m->work_cpu_ns + wait_ns);
	uint64_t works_ns = law_max(law_less(m->work_cpu_ns, miss_ns), m->work_cpu_ns / WORK_LEAST);

	m->kappa_now = LAW_ONE;
	if (work->known && works_ns + idle_ns > 0)
		m->kappa_now = law_fraction(works_ns, works_ns + idle_ns);
	m->kappa = law_ewma(m->kappa, m->kappa_now, law_alpha(m->work_dt_ns, TAU_KAPPA_NS));
	m->kappa = law_max(m->kappa, KAPPA_MIN);
	e->busy_ppm = (m->kappa * LAW_PPM) >> LAW_ONE_SHIFT;
	duty_update(m, m->kappa_now >= DUTY_LEAST || stall >= DUTY_LEAST);
}

void law_work_update(struct law_estimate *e, const struct law_work *work, bool enough)
{
	struct law_memory *m = &e->memory;

	m->work_cure_ns += law_part(law_min(work->dt_ns, WORK_MAX_NS), m->interval_stall << 12);
	if (!enough)
		return;
	if (work->known)
		misses_update(m);
	kappa_update(e, work);
	m->work_dt_ns = m->work_cpu_ns = m->work_wait_ns = m->work_cure_ns = 0;
	m->work_system_ns = m->work_refaults = 0;
}

uint64_t law_cost_of(const struct law_memory *m, uint64_t stall, uint32_t gamma_ppm)
{
	return law_min(law_cost(stall, gamma_ppm), LITTLE_TO_LOSE * m->kappa);
}
