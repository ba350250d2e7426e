// SPDX-License-Identifier: BSD-2-Clause
/* See drift.h; what is done with it is in governor.c, and in words in <barostat/governor.h>. */
#include "include/barostat/governor.h"
#include "user/lib/clock.h"
#include "user/lib/decay.h"
#include "user/lib/drift.h"

#define HALF_NS   (5 * LIB_NS_PER_S)
#define EXPIRE_NS (30 * LIB_NS_PER_S)
#define BYTES_MAX (INT64_C(1) << 62)
#define FLOOR     (INT64_C(1) << 20) /* less is never a drift */
#define TOLERATED 50 /* scale / 50: 2 % */
#define SHOWN     20 /* scale / 20: 5 % is a drift ... */
#define GONE      40 /* ... until it is back below half of that */

static int64_t bounded(uint64_t bytes)
{
	return bytes > (uint64_t)BYTES_MAX ? BYTES_MAX : (int64_t)bytes;
}

static int64_t mark(uint64_t scale_bytes, int64_t divisor)
{
	int64_t m = bounded(scale_bytes) / divisor;

	return m > FLOOR ? m : FLOOR;
}

static int64_t size_of(int64_t bytes)
{
	return bytes < 0 ? -bytes : bytes;
}

static void judge(struct drift *d, uint64_t scale_bytes, uint64_t now_ns)
{
	uint32_t side = d->smooth_bytes > 0 ? BARO_DRIFT_UNTRACKED : BARO_DRIFT_OVERCOUNTED;
	uint32_t state = d->state;

	if (size_of(d->smooth_bytes) >= mark(scale_bytes, SHOWN))
		state = side;
	else if (state != side || size_of(d->smooth_bytes) < mark(scale_bytes, GONE))
		state = BARO_DRIFT_NONE;
	if (state == d->state)
		return;
	d->events += state != BARO_DRIFT_NONE;
	d->state = state;
	d->since_ns = now_ns;
}

void drift_sample(struct drift *d, uint64_t rss_bytes, uint64_t accounted_bytes,
		  uint64_t scale_bytes, uint64_t now_ns)
{
	uint64_t elapsed = d->known && now_ns > d->at_ns ? now_ns - d->at_ns : 0;
	uint64_t left;

	d->now_bytes = bounded(rss_bytes) - bounded(accounted_bytes);
	if (!d->known) {
		/* From nothing: one sample is no drift. */
		d->known = true;
		d->smooth_bytes = 0;
		d->since_ns = now_ns;
	}
	/* However long nobody asked: one sample never counts more than all before it. */
	left = decay_q30(elapsed < HALF_NS ? elapsed : HALF_NS, HALF_NS);
	d->smooth_bytes = (int64_t)(((__int128)d->smooth_bytes * (int64_t)left +
				     (__int128)d->now_bytes * (int64_t)(DECAY_ONE - left)) /
				    (int64_t)DECAY_ONE);
	if (now_ns > d->at_ns || !d->at_ns)
		d->at_ns = now_ns;
	judge(d, scale_bytes, now_ns);
}

bool drift_expire(struct drift *d, uint64_t now_ns)
{
	if (!d->known || now_ns < d->at_ns || now_ns - d->at_ns <= EXPIRE_NS)
		return false;
	d->known = false;
	d->smooth_bytes = d->now_bytes = 0;
	if (d->state != BARO_DRIFT_NONE)
		d->since_ns = now_ns;
	d->state = BARO_DRIFT_NONE;
	return true;
}

int64_t drift_effective(const struct drift *d, uint64_t scale_bytes)
{
	int64_t tolerated = mark(scale_bytes, TOLERATED);

	if (d->smooth_bytes > tolerated)
		return d->smooth_bytes - tolerated;
	if (d->smooth_bytes < -tolerated)
		return d->smooth_bytes + tolerated;
	return 0;
}
