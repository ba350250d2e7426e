/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What failed is tried again after 1 s, and after twice as long each time it fails again for the
 * same reason, up to 60 s. Pure.
 */
#ifndef BAROSTAT_DAEMON_BACKOFF_H
#define BAROSTAT_DAEMON_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: nothing failed. */
struct backoff {
	int error; /* the last one, negative */
	uint64_t wait_ns, until_ns;
};

bool backoff_holds(const struct backoff *b, uint64_t now_ns);
void backoff_failed(struct backoff *b, int error, uint64_t now_ns);

#endif
