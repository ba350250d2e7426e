// SPDX-License-Identifier: BSD-2-Clause
/*
 * How much of their time writes may use while readers suffer: a share, found by trial. Every read
 * that took too long halves it, every read that did not lets it grow by so little that both are in
 * balance where SLOW_PPM of the reads are slow: half of the 1 % that p99 allows. It is a stochastic
 * approximation of a quantile (Robbins and Monro, 1951) on the logarithm of the share: no
 * histogram, no window, and one slow read is felt at once.
 */
#include "user/lib/admission_internal.h"

#define SLOW_PPM 5000 /* aimed at */
/* ln 2 x SLOW_PPM / (1 - SLOW_PPM): what a good read adds, as a part of the share */
#define GOOD_PPB       3483000
#define PPB            1000000000
#define HALVINGS_MAX   3 /* at a time: slow reads come in bursts of one cause */
#define GROWTH_AT_MOST 2 /* times, at a time */

static uint32_t bounded(const struct pace *p, uint64_t share_ppm)
{
	return (uint32_t)least(most(share_ppm, p->share_min_ppm), PPM);
}

void pace_adjust(struct pace *p, uint64_t reads, uint64_t slow)
{
	uint64_t share = p->share_ppm, good = reads > slow ? reads - slow : 0;
	uint64_t growth;

	share >>= least(slow, HALVINGS_MAX);
	/* never stuck, however small it is */
	growth = good < PPB / GOOD_PPB ? share * good * GOOD_PPB / PPB : share;
	share = least(share + growth, share * GROWTH_AT_MOST) + (good && !slow);
	p->share_ppm = bounded(p, share);
}

void pace_relax(struct pace *p)
{
	p->share_ppm = bounded(p, (uint64_t)p->share_ppm * 2 + 1);
}

void pace_charge(struct pace *p, uint64_t used_ns, uint64_t now_ns)
{
	uint64_t pause_ns, begin_ns = most(get(&p->until_ns), now_ns);

	if (p->share_ppm >= PPM)
		return;
	/* used / (used + pause) = share */
	used_ns = least(used_ns, PAUSE_MAX_NS);
	pause_ns = used_ns * (PPM - p->share_ppm) / most(p->share_ppm, 1);
	set(&p->until_ns, least(add(begin_ns, pause_ns), now_ns + PAUSE_MAX_NS));
}
