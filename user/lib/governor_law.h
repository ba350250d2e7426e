/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who gets how much of a ceiling: plain data in, plain data out, no clock, no lock, no memory.
 *
 * An engine has a minimum that nobody takes, an own share that it can call back, and a maximum.
 * What it has beyond its own share is lent to it. Its limit in force is the wanted one, or what it
 * uses while that is more. After every call the limits in force sum up to at most the ceiling, or
 * to less than before where what is used does not allow that yet.
 */
#ifndef BAROSTAT_LIB_GOVERNOR_LAW_H
#define BAROSTAT_LIB_GOVERNOR_LAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More than any machine has; sums of as many engines as there may be do not wrap. Whatever is more
 * is no limit. */
#define LAW_BYTES_MAX (UINT64_C(1) << 52)

struct law_engine {
	/* What its owner said. */
	uint64_t min_bytes, own_bytes, max_bytes;
	/* What is, and what was since the last call. */
	uint64_t used_bytes;
	uint64_t peak_bytes; /* the most used */
	uint64_t wanted_bytes; /* the largest reservation it was refused; 0: none */
	/* Moved by the law. */
	uint64_t limit_bytes;

	/* Kept from call to call. */
	bool hungry, idle, gave, got;
	uint32_t reluctance; /* how often it took back soon what it gave */
	uint64_t idle_since_ns, gave_ns, got_ns;

	/* Of one call. */
	uint64_t want_bytes, surplus_bytes;
};

/* Brings the limits down to the ceiling: lent bytes first, then what is not used, each in
 * proportion; and where that is not enough, below what is used, down to the minima: such a limit
 * goes down as memory is released. */
void law_fit(struct law_engine *engine, size_t count, uint64_t ceiling_bytes);

/* law_fit(), and then memory from those that have been idle to those that want more. */
void law_rebalance(struct law_engine *engine, size_t count, uint64_t ceiling_bytes,
		   uint64_t now_ns);

#endif
