/* SPDX-License-Identifier: BSD-2-Clause */
/* Pressure levels with hysteresis, PSI windows, and the memory.high watchdog: pure bookkeeping. */
#ifndef BAROSTAT_DAEMON_LEVEL_H
#define BAROSTAT_DAEMON_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

enum level { LEVEL_NORMAL, LEVEL_WARNING, LEVEL_CRITICAL, LEVEL_EMERGENCY };

/* Inclusive lower edges of warning, critical and emergency. */
#define LEVEL_UTIL_PPM                                                                             \
	{                                                                                          \
		700000, 850000, 950000                                                             \
	}
/* Stalled share of time that means the same, however low the utilisation. */
#define LEVEL_STALL_PPM                                                                            \
	{                                                                                          \
		50000, 200000, 500000                                                              \
	}
#define LEVEL_LEAVE_PPM 50000 /* how far below its edge the score must fall to leave a level */
#define LEVEL_LEAVE_NS  1000000000ull /* and for how long */

struct level_state {
	enum level level;
	uint32_t score_ppm; /* utilisation, or stall mapped onto its scale; whichever is higher */
	uint64_t below_since_ns; /* 0: not below */
};

/*
 * Rises at once, falls one edge at a time after the score stayed LEVEL_LEAVE_PPM below the edge
 * for LEVEL_LEAVE_NS. Both inputs are clamped to 0..1000000.
 */
void level_update(struct level_state *s, uint32_t util_ppm, uint32_t stall_ppm, uint64_t now_ns);
/* Stall share mapped piecewise linearly onto the utilisation scale, edge to edge. */
uint32_t level_score_of_stall(uint32_t stall_ppm);
const char *level_name(enum level level);

/* some/full shares over 1 s and 10 s from cumulative totals that are read at uneven times. */
#define PRESSURE_POINTS 12
struct pressure_window {
	struct pressure_point {
		uint64_t at_ns, some_ns, full_ns;
	} point[PRESSURE_POINTS]; /* ring, about one second apart */
	uint32_t head, filled;
	struct pressure_point now;
	uint32_t some_1s_ppm, full_1s_ppm, some_10s_ppm, full_10s_ppm;
};
void pressure_window_add(struct pressure_window *w, uint64_t some_ns, uint64_t full_ns,
			 uint64_t now_ns);

/*
 * memory.high without swap puts a task to sleep for as long as it stays above: nothing is ever
 * freed. The watchdog counts how long an engine is held like that.
 */
#define FREEZE_LIFT_NS  300000000ull /* lift the limit after this long */
#define FREEZE_SPARE_NS 5000000000ull /* and do not put it back for this long */
#define FREEZE_SOME_PPM 700000 /* stalled for more of the time than this: throttled */
struct freeze_watch {
	uint64_t since_ns; /* 0: not held */
	uint64_t spare_until_ns;
	uint64_t last_high_events, last_sample, last_reclaimed; /* as of the last sample */
	bool hit; /* since the sample before it the limit was met */
	bool fruitless; /* between the last two samples nothing was reclaimed */
	uint64_t lifts;
};

struct freeze_look {
	uint64_t sample; /* number of the last regular one: reclaimed_pages is no newer, and
			    high_events perhaps neither */
	uint64_t high_bytes, usage_bytes, unreclaimable_bytes;
	uint64_t high_events, reclaimed_pages; /* cumulative */
	uint32_t stall_ppm;
};

/* Whether the engine is held now: throttled at its limit, and what it has cannot be reclaimed, as
 * its kinds say or as reclaim has found. To be asked on every tick, and in between: without news
 * the answer stays. */
bool freeze_watch_held(struct freeze_watch *f, const struct freeze_look *look);

/* True when the limit must be lifted now. */
bool freeze_watch_update(struct freeze_watch *f, bool held, uint64_t now_ns);

#endif
