/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the memtable sizer share; never installed. */
#ifndef BAROSTAT_LIB_MEMTABLE_INTERNAL_H
#define BAROSTAT_LIB_MEMTABLE_INTERNAL_H

#include "include/barostat/memtable.h"
#include "user/lib/lock.h"
#include "user/lib/percpu.h"

/* Without an update for so many buffer times nobody knows when the bytes came. */
#define RATE_GAP_BUFFERS 10
/* The first interval after an idle time is no shorter than this, so that a burst is the same rate
 * however soon it is seen: as long as alpha = 0.1 stands for, see BARO_MEMTABLE_TAU_NS. */
#define RATE_BURST_NS UINT64_C(100000000)

/*
 * What is written per second, while something is written. Pure: time and totals come from the
 * caller, who lets no time be before the one before.
 *
 * An interval ends with the first update that sees bytes, so that updates between two writes
 * change nothing. `sum` and `weight` are exponential averages of the rate and of 1: their ratio
 * knows a constant rate from the first interval on, and is the same however time is cut up.
 */
struct memtable_rate {
	double sum, weight;
	double per_s; /* what comes out: sum / weight */
	uint64_t total; /* bytes when the open interval began */
	uint64_t since_ns; /* when it began */
	uint64_t seen_ns; /* last update */
	bool started;
	bool idle; /* nothing written for idle_ns */
	bool waking; /* the open interval is the first one after that */
};

/* per_tau is 1 / tau in ns: a multiplication costs a fifth of a division. */
void memtable_rate_update(struct memtable_rate *r, uint64_t total, uint64_t now_ns, double per_tau,
			  uint64_t idle_ns);

/* 1 - e^-x for x >= 0, within 1e-12. */
double memtable_one_minus_exp(double x);

/* One table's part in the sharing of a budget. */
struct memtable_share {
	uint64_t min_bytes, wanted_bytes; /* min <= wanted */
	double rate;
	bool idle;
	bool full; /* has what it wants */
	uint64_t target_bytes; /* out */
};

/*
 * Targets whose sum is at most the budget and none of which is above what is wanted. Everybody
 * gets the minimum, or where even that is too much the same part of it; the rest goes by rate,
 * first to those who write.
 */
void memtable_share_budget(struct memtable_share *s, size_t n, uint64_t budget_bytes);

struct baro_memtable {
	uint64_t flush_at_bytes; /* the first word: read by baro_memtable_should_flush() */
	struct percpu written;
	uint8_t unused[64 - sizeof(uint64_t) - sizeof(struct percpu)];

	/* From here on nobody looks who only writes. With the group's lock held, but for those that
	 * are atomic. */
	uint64_t rotated_total; /* atomic: written when it was last rotated */
	struct baro_memtable_group *group;
	struct baro_memtable_options options; /* with the defaults filled in */
	double per_tau; /* 1 / tau_ns */
	double buffer_s;
	struct memtable_rate rate;
	uint64_t sealed_bytes;
	uint64_t wanted_bytes, target_bytes; /* targets are atomic: update returns them */
	uint64_t rotations;
	uint32_t pressure_ppm;
	bool alone; /* its group is its own */
};

struct baro_memtable_group {
	struct lock lock;
	uint64_t budget_bytes;
	struct baro_memtable **table;
	struct memtable_share *share; /* as many */
	uint64_t *held_bytes; /* as many: at the last update */
	size_t tables, room;
	uint64_t now_ns; /* of the last update */
	bool updated;
	uint64_t target_bytes, wanted_bytes; /* sums of the last update */
	uint64_t updates, updates_skipped; /* skipped: atomic */
};

/* With the group's lock held: a target for a table that has none yet, and its place. -ENOMEM. */
int memtable_group_join(struct baro_memtable_group *g, struct baro_memtable *m);
void memtable_group_leave(struct baro_memtable_group *g, struct baro_memtable *m);

/* What it wants by its rate, or by its base while that is unknown. */
uint64_t memtable_wanted(const struct baro_memtable *m, uint32_t pressure_ppm);

#endif
