/* SPDX-License-Identifier: BSD-2-Clause */
/* Self-observation: what barostat itself costs, published beside what it measures. */
#ifndef BAROSTAT_DAEMON_COST_H
#define BAROSTAT_DAEMON_COST_H

#include <stdint.h>

#define COST_TICKS 256

struct cost {
	uint32_t tick_ns[COST_TICKS]; /* ring of durations */
	uint64_t ticks, urgent_ticks;
	uint32_t tick_p50_ns, tick_p99_ns; /* of the ring; refreshed once a second */
	uint64_t refreshed_ns, cpu_ns;
	uint32_t cpu_ppm; /* of one core, over the last second */
	uint64_t rss_bytes;
	int statm_fd;
};

void cost_open(struct cost *c);
void cost_close(struct cost *c);
void cost_note_tick(struct cost *c, uint64_t start_ns, uint64_t end_ns);

#endif
