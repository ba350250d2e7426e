/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/look.h"

#include "user/common/clock.h"
#include "user/common/units.h"

#define QUIET_PART       100 /* of the time at work, or less: asleep */
#define STOPPED_PART     4 /* of the time at work, or more: it was busy */
#define STOPPED_LOOKS_NS (300 * NS_PER_MS) /* for so long it is looked at whether it is asleep */

/*
 * Who fits does nothing to its memory but read it. When that ends, too, who was busy may have fallen
 * asleep, and the look at its CPU time that says so must not be one over the second before.
 */
static bool has_stopped(struct look *l, const struct look_news *news, uint64_t now_ns)
{
	if (l->reads && !news->reads && news->busy_ppm > PPM / STOPPED_PART)
		l->stopped_ns = now_ns;
	l->reads = news->reads;
	return !news->reads && l->stopped_ns > 0 && now_ns - l->stopped_ns < STOPPED_LOOKS_NS;
}

bool look_due(struct look *l, const struct look_news *news, uint64_t now_ns)
{
	bool stopped = has_stopped(l, news, now_ns);
	/* It has just fallen asleep: what it holds waits until that is known. */
	bool asleep = l->quiet && news->busy_ppm > PPM / QUIET_PART;

	return !news->known || now_ns >= l->due_ns || news->moved || stopped || asleep;
}

void look_done(struct look *l, uint64_t now_ns)
{
	l->due_ns = now_ns + FILES_IDLE_NS;
}

void look_at_cpu(struct look *l, uint64_t cpu_ns, uint64_t window_ns)
{
	l->quiet = cpu_ns < window_ns / QUIET_PART;
}
