/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/level.h"

#include "user/common/clock.h"
#include "user/common/units.h"

static const uint32_t util_edge_ppm[] = LEVEL_UTIL_PPM;
static const uint32_t stall_edge_ppm[] = LEVEL_STALL_PPM;

const char *level_name(enum level level)
{
	static const char *const names[] = { "normal", "warning", "critical", "emergency" };

	return (unsigned int)level <= LEVEL_EMERGENCY ? names[level] : "unknown";
}

uint32_t level_score_of_stall(uint32_t stall_ppm)
{
	uint32_t lo_stall = 0, lo_util = 0;

	for (int i = 0; i <= 3; i++) {
		uint32_t hi_stall = i < 3 ? stall_edge_ppm[i] : (uint32_t)PPM;
		uint32_t hi_util = i < 3 ? util_edge_ppm[i] : (uint32_t)PPM;

		if (stall_ppm < hi_stall)
			return lo_util + (uint32_t)mul_div_u64(stall_ppm - lo_stall,
							       hi_util - lo_util,
							       hi_stall - lo_stall);
		lo_stall = hi_stall;
		lo_util = hi_util;
	}
	return PPM;
}

static enum level level_of_score(uint32_t score_ppm)
{
	enum level level = LEVEL_NORMAL;

	for (int i = 0; i < 3; i++)
		if (score_ppm >= util_edge_ppm[i])
			level = (enum level)(i + 1);
	return level;
}

void level_update(struct level_state *s, uint32_t util_ppm, uint32_t stall_ppm, uint64_t now_ns)
{
	uint32_t stall_score = level_score_of_stall((uint32_t)min_u64(stall_ppm, PPM));
	uint32_t score = (uint32_t)max_u64(min_u64(util_ppm, PPM), stall_score);
	enum level reached = level_of_score(score);

	s->score_ppm = score;
	if (reached >= s->level) {
		s->level = reached;
		s->below_since_ns = 0;
		return;
	}
	if (score + LEVEL_LEAVE_PPM >= util_edge_ppm[s->level - 1]) {
		s->below_since_ns = 0;
		return;
	}
	if (!s->below_since_ns)
		s->below_since_ns = now_ns ? now_ns : 1;
	else if (now_ns - s->below_since_ns >= LEVEL_LEAVE_NS) {
		s->level--;
		s->below_since_ns = now_ns;
	}
}

static uint32_t share_ppm(uint64_t then, uint64_t now, uint64_t dt_ns)
{
	if (!dt_ns || now <= then)
		return 0;
	return (uint32_t)min_u64(mul_div_u64(now - then, PPM, dt_ns), PPM);
}

void pressure_window_add(struct pressure_window *w, uint64_t some_ns, uint64_t full_ns,
			 uint64_t now_ns)
{
	const struct pressure_point *newest = &w->point[w->head], *old_1s = NULL, *old_10s = NULL;

	w->now = (struct pressure_point){ now_ns, some_ns, full_ns };
	/* The kernel's totals restart when a cgroup is made anew. */
	if (w->filled && (newest->some_ns > some_ns || newest->at_ns > now_ns))
		w->filled = 0;
	if (!w->filled || now_ns - newest->at_ns >= NS_PER_S) {
		w->head = (w->head + 1) % PRESSURE_POINTS;
		w->point[w->head] = w->now;
		if (w->filled < PRESSURE_POINTS)
			w->filled++;
	}
	for (uint32_t i = 0; i < w->filled; i++) {
		const struct pressure_point *p =
		    &w->point[(w->head + PRESSURE_POINTS - i) % PRESSURE_POINTS];
		uint64_t age_ns = now_ns - p->at_ns;

		if (age_ns < NS_PER_S / 2)
			continue;
		if (!old_1s)
			old_1s = p;
		if (age_ns <= 10 * NS_PER_S + NS_PER_S / 2)
			old_10s = p;
	}
	if (old_1s) {
		w->some_1s_ppm = share_ppm(old_1s->some_ns, some_ns, now_ns - old_1s->at_ns);
		w->full_1s_ppm = share_ppm(old_1s->full_ns, full_ns, now_ns - old_1s->at_ns);
	}
	if (old_10s) {
		w->some_10s_ppm = share_ppm(old_10s->some_ns, some_ns, now_ns - old_10s->at_ns);
		w->full_10s_ppm = share_ppm(old_10s->full_ns, full_ns, now_ns - old_10s->at_ns);
	}
}

bool freeze_watch_held(struct freeze_watch *f, const struct freeze_look *look)
{
	bool hit = look->high_events > f->last_high_events;

	if (f->last_sample != look->sample) {
		f->hit = hit;
		f->last_high_events = look->high_events;
		f->fruitless = f->last_sample && f->last_reclaimed == look->reclaimed_pages;
		f->last_sample = look->sample;
		f->last_reclaimed = look->reclaimed_pages;
	}
	/* A look in between has nothing newer to say, unless the count has moved. */
	f->hit |= hit;
	return (f->hit || look->stall_ppm > FREEZE_SOME_PPM) &&
	       look->high_bytes != BYTES_NO_LIMIT &&
	       look->usage_bytes >= look->high_bytes - look->high_bytes / 64 &&
	       (f->fruitless ||
		look->unreclaimable_bytes >= look->usage_bytes - look->usage_bytes / 16);
}

bool freeze_watch_update(struct freeze_watch *f, bool held, uint64_t now_ns)
{
	if (!held) {
		f->since_ns = 0;
		return false;
	}
	if (!f->since_ns)
		f->since_ns = now_ns;
	if (now_ns - f->since_ns < FREEZE_LIFT_NS)
		return false;
	f->since_ns = 0;
	f->spare_until_ns = now_ns + FREEZE_SPARE_NS;
	f->lifts++;
	return true;
}
