/* SPDX-License-Identifier: BSD-2-Clause */
/* What was decided against what would be: engine by engine, over all ticks of a recording. */
#ifndef BAROSTAT_CLI_REPLAY_COMPARE_H
#define BAROSTAT_CLI_REPLAY_COMPARE_H

#include "user/cli/replay.h"

/* One law's decisions on one engine. */
struct compare_side {
	unsigned __int128 byte_ns; /* target times how long it held */
	uint64_t target_bytes; /* the last */
	uint64_t moved_bytes; /* up and down together */
	uint32_t reversals; /* moves within 15 s of one the other way */
	int direction;
	uint64_t moved_ns;
};

struct compare_engine {
	char name[TRACE_NAME_BYTES];
	uint64_t active_ns, seen_ns;
	uint64_t decisions,
	    different; /* while it was active; targets that differ by a byte count */
	struct compare_side was, is;
};

struct compare_difference {
	bool found;
	uint64_t tick; /* from 1 */
	uint64_t at_ns;
	uint32_t urgent;
	char engine[TRACE_NAME_BYTES], urgent_engine[TRACE_NAME_BYTES];
	struct law_decision was, is;
};

struct compare {
	struct compare_engine *engine; /* in the order they were met */
	size_t engines, room;
	size_t *of_slot; /* index + 1 into engine, 0: none yet */
	uint64_t decisions, different;
	struct compare_difference first;
};

/* 0, -ENOMEM. */
int compare_init(struct compare *c, uint32_t slots);
void compare_fini(struct compare *c);
/* The tick that was read last, as recorded against as `law` decided it. 0, -ENOMEM. */
int compare_tick(struct compare *c, const struct replay *r, const struct replay_law *law);
uint64_t compare_mean_bytes(const struct compare_side *s, const struct compare_engine *e);

#endif
