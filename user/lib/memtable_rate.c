// SPDX-License-Identifier: BSD-2-Clause
/* The arithmetic of memtable sizes: rates, damping, shares. Pure. */
#include <stddef.h>

#include "user/lib/arith.h"
#include "user/lib/memtable_internal.h"

#define PPM  1000000u
#define KNEE 700000u

double memtable_one_minus_exp(double x)
{
	int doublings = 0;
	double q;

	if (x > 40)
		return 1;
	for (; x > 0.0625; x /= 2)
		doublings++;
	/* x - x^2/2! + x^3/3! - ... , the next term is below 1e-13 */
	q = 1 - x * (1.0 / 6) * (1 - x * (1.0 / 7));
	q = 1 - x * (1.0 / 4) * (1 - x * (1.0 / 5) * q);
	q = x * (1 - x * (1.0 / 2) * (1 - x * (1.0 / 3) * q));
	/* 1 - e^-2y = (1 - e^-y)(2 - (1 - e^-y)) */
	while (doublings--)
		q *= 2 - q;
	return q;
}

static void fold(struct memtable_rate *r, double per_s, double part)
{
	r->sum += (per_s - r->sum) * part;
	r->weight += (1 - r->weight) * part;
	r->per_s = r->weight > 0 ? r->sum / r->weight : 0;
}

void memtable_rate_update(struct memtable_rate *r, uint64_t total, uint64_t now_ns, double per_tau,
			  uint64_t idle_ns)
{
	uint64_t bytes = total - r->total, ns;
	double per_s;

	if (!r->started) {
		*r = (struct memtable_rate){
			.total = total, .since_ns = now_ns, .seen_ns = now_ns, .started = true
		};
		return;
	}
	if (!bytes) {
		r->seen_ns = now_ns;
		r->idle = now_ns - r->since_ns >= idle_ns;
		return;
	}
	if (r->idle) {
		r->idle = false;
		r->waking = true;
		r->since_ns = r->seen_ns;
	}
	ns = now_ns - r->since_ns;
	if (r->waking && ns < RATE_BURST_NS)
		return;
	per_s = (double)bytes * 1e9 / (double)ns;
	if (ns <= RATE_GAP_BUFFERS * idle_ns || per_s >= r->per_s)
		fold(r, per_s, memtable_one_minus_exp((double)ns * per_tau));
	r->total = total;
	r->since_ns = r->seen_ns = now_ns;
	r->waking = false;
}

uint32_t baro_damping_ppm(uint32_t damping, uint32_t pressure_ppm)
{
	uint64_t p = pressure_ppm < PPM ? pressure_ppm : PPM;

	if (damping == BARO_DAMPING_KNEE)
		p = lib_less(p, KNEE);
	return (uint32_t)(PPM - (p * p + PPM / 2) / PPM);
}

/* ---- shares ---------------------------------------------------------------------------------- */

static void share_minima(struct memtable_share *s, size_t n, uint64_t budget_bytes,
			 unsigned __int128 sum)
{
	for (size_t i = 0; i < n; i++)
		s[i].target_bytes =
		    (uint64_t)((unsigned __int128)s[i].min_bytes * budget_bytes / sum);
}

static bool takes_part(const struct memtable_share *s, bool idle)
{
	return s->idle == idle && !s->full;
}

/* A table whose rate is not known yet counts like the slowest that there is. */
static double weight(const struct memtable_share *s)
{
	return s->rate > 1 ? s->rate : 1;
}

static double part_of(uint64_t whole, const struct memtable_share *s, double sum)
{
	return (double)whole * (weight(s) / sum);
}

/* One round: those who would get more than they want get that, and false is returned, as then
 * there is more for the others. */
static bool share_round(struct memtable_share *s, size_t n, bool idle, uint64_t *left)
{
	uint64_t whole = *left;
	double sum = 0;
	bool last = true;

	for (size_t i = 0; i < n; i++)
		sum += takes_part(&s[i], idle) ? weight(&s[i]) : 0;
	for (size_t i = 0; i < n && sum > 0; i++) {
		uint64_t room = s[i].wanted_bytes - s[i].target_bytes;

		if (!takes_part(&s[i], idle) || part_of(whole, &s[i], sum) < (double)room)
			continue;
		room = lib_min(room, *left);
		s[i].target_bytes += room;
		s[i].full = true;
		*left -= room;
		last = false;
	}
	for (size_t i = 0; i < n && last && sum > 0; i++) {
		uint64_t part;

		if (!takes_part(&s[i], idle))
			continue;
		part = (uint64_t)part_of(whole, &s[i], sum);
		part = lib_min(part, lib_min(*left, s[i].wanted_bytes - s[i].target_bytes));
		s[i].target_bytes += part;
		*left -= part;
	}
	return last;
}

void memtable_share_budget(struct memtable_share *s, size_t n, uint64_t budget_bytes)
{
	unsigned __int128 wanted = 0, minima = 0;
	uint64_t left;

	for (size_t i = 0; i < n; i++) {
		wanted += s[i].wanted_bytes;
		minima += s[i].min_bytes;
		s[i].target_bytes = s[i].wanted_bytes;
		s[i].full = false;
	}
	if (wanted <= budget_bytes)
		return;
	if (minima > budget_bytes) {
		share_minima(s, n, budget_bytes, minima);
		return;
	}
	for (size_t i = 0; i < n; i++)
		s[i].target_bytes = s[i].min_bytes;
	left = budget_bytes - (uint64_t)minima;
	while (!share_round(s, n, false, &left))
		;
	while (!share_round(s, n, true, &left))
		;
}
