/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What engines say on their demand pages (include/barostat/demand.h), and how much of it is
 * believed. Pure but for reading the page: no clock, no allocation, no log.
 *
 * The writer of a page may be broken, hostile or dead in the middle of a store, so a page is copied
 * once, without waiting, and everything after works on the copy.
 */
#ifndef BAROSTAT_DAEMON_DEMAND_H
#define BAROSTAT_DAEMON_DEMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "include/barostat/demand.h"
#include "user/daemon/law.h"

/* How often an engine must show that it lives: an engine that holds its breath for longer is not
 * worth waiting for. */
#define DEMAND_HEARTBEAT_WITHIN_NS 10000000000ull

/* A page as it was copied. */
struct demand_values {
	uint32_t hint;
	uint64_t heartbeat_ns;
	uint64_t accounted_bytes, reclaimable_bytes, wanted_bytes;
	uint64_t ack_epoch;
};

/* What the daemon knows itself. */
struct demand_bounds {
	uint64_t now_ns;
	uint64_t usage_bytes; /* of the engine's cgroup */
	uint64_t max_bytes; /* of the engine */
	uint64_t grant_epoch; /* that the engine's slot shows */
};

/* The identity of a new page; the rest is 0 and says nothing. */
void demand_init(struct baro_demand *page);

/* One copy. False, and *ret untouched, when fields that belong together are being written: what was
 * copied before is then the best there is. */
bool demand_copy(const struct baro_demand *page, struct demand_values *ret);

/* Whether a client lives: its heartbeat is neither too old nor from the future. */
bool demand_is_heard(const struct demand_values *v, uint64_t now_ns);

/*
 * Judges one client's values. False: it is not heard (no heartbeat yet, one that is too old or from
 * the future). Otherwise *ret is one client's demand within the bounds: amounts are cut to usage or
 * maximum, an unknown hint is no hint, an epoch that was never granted is no acknowledgement.
 */
bool demand_check(const struct demand_values *v, const struct demand_bounds *b,
		  struct law_demand *ret);

/*
 * Adds one more client to the demand of an engine. Amounts add up, within the bounds again; wanted
 * counts only when every client says one, an acknowledgement only when every client gave it.
 */
void demand_add(struct law_demand *sum, const struct law_demand *one,
		const struct demand_bounds *b);

#endif
