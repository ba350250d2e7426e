/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/look.h"

#include "user/common/clock.h"
#include "user/common/units.h"

#define QUIET_PART    100 /* of the time at work, or less: asleep */
#define STOPPED_PART  4 /* of the time at work, or more: it was busy */
#define STOPPED_LOOKS 3 /* at whether it is asleep */
#define READS_ON_NS   NS_PER_S /* for so long in every sample, and its end is news */

/*
 * Who fits does nothing to its memory but read it. When that ends, too, who was busy may have fallen
 * asleep, and the look at its CPU time that says so must not be one over the second before.
 */
static void note_reads(struct look *l, const struct look_news *news, uint64_t now_ns)
{
	bool on = l->reads_since_ns > 0 && now_ns - l->reads_since_ns >= READS_ON_NS;

	if (!news->counted || news->reads)
		l->looks = 0;
	else if (on && news->busy_ppm > PPM / STOPPED_PART)
		l->looks = STOPPED_LOOKS;
	if (!news->counted || !news->reads)
		l->reads_since_ns = 0;
	else if (l->reads_since_ns == 0)
		l->reads_since_ns = now_ns;
}

bool look_due(struct look *l, const struct look_news *news, uint64_t now_ns)
{
	/* It has just fallen asleep: what it holds waits until that is known. */
	bool asleep = l->quiet && news->busy_ppm > PPM / QUIET_PART;

	note_reads(l, news, now_ns);
	return !news->known || now_ns >= l->due_ns || news->moved || l->looks > 0 || asleep;
}

void look_done(struct look *l, uint64_t now_ns)
{
	l->due_ns = now_ns + FILES_IDLE_NS;
	if (l->looks > 0)
		l->looks--;
}

void look_at_cpu(struct look *l, uint64_t cpu_ns, uint64_t window_ns)
{
	l->quiet = cpu_ns < window_ns / QUIET_PART;
}
