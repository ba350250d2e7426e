/* SPDX-License-Identifier: BSD-2-Clause */
/* How long an engine's tasks waited for memory, from the latency histograms of the sensors. */
#ifndef BAROSTAT_DAEMON_WAITS_H
#define BAROSTAT_DAEMON_WAITS_H

#include <stdint.h>

#include "user/daemon/sensors.h"

struct waits {
	uint64_t count; /* since the engine came */
	uint64_t p50_ns, p99_ns; /* within a factor of two; 0 when there were none */
};

/* From LATENCY_BINS bins, each [2^b, 2^(b+1)) ns; quantiles are interpolated within theirs. */
void waits_from_bins(const uint64_t *bins, struct waits *ret);

#endif
