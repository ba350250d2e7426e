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
#define WORK_MAX_NS        (1000 * LAW_S)
#define KAPPA_MIN          (LAW_ONE / 500)
#define MISS_CPU_MAX_NS    50000ull /* a fault, a read and the eviction that makes room */
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
}

/* How busy the engine is when it is not stalled. Unknown CPU time counts as busy. */
static void kappa_update(struct law_estimate *e, const struct law_work *work)
{
	struct law_memory *m = &e->memory;
	uint64_t stall = law_fraction(m->work_cure_ns, m->work_dt_ns);
	uint64_t free_share = law_max(law_less(LAW_ONE, stall), LAW_ONE / 50);
	uint64_t cpu =
	    law_fraction(law_less(m->work_cpu_ns, law_miss_ns(m, m->work_refaults)), m->work_dt_ns);

	m->kappa_now = LAW_ONE;
	if (work->known) {
		cpu = law_min(cpu << 16, 1ull << 52) / m->parallelism_16;
		m->kappa_now = law_min((cpu << LAW_ONE_SHIFT) / free_share, LAW_ONE);
	}
	m->kappa = law_ewma(m->kappa, m->kappa_now, law_alpha(m->work_dt_ns, TAU_KAPPA_NS));
	m->kappa = law_max(m->kappa, KAPPA_MIN);
	e->busy_ppm = (m->kappa * LAW_PPM) >> LAW_ONE_SHIFT;
}

void law_work_update(struct law_estimate *e, const struct law_work *work, bool enough)
{
	struct law_memory *m = &e->memory;

	m->work_cure_ns += law_part(law_min(work->dt_ns, WORK_MAX_NS), m->interval_stall << 12);
	if (!enough)
		return;
	kappa_update(e, work);
	if (work->known)
		misses_update(m);
	m->work_dt_ns = m->work_cpu_ns = m->work_wait_ns = m->work_cure_ns = 0;
	m->work_system_ns = m->work_refaults = 0;
}
