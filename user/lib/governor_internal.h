/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the governor share; never installed. */
#ifndef BAROSTAT_LIB_GOVERNOR_INTERNAL_H
#define BAROSTAT_LIB_GOVERNOR_INTERNAL_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "include/barostat/governor.h"
#include "user/lib/drift.h"
#include "user/lib/governor_law.h"

struct engine {
	struct baro_budget *budget;
	struct law_engine law;
	uint64_t moves;
};

/* Metrics that have the governor's, and those of each engine. */
struct governor_export;

struct baro_governor {
	pthread_mutex_t lock;
	struct governor_export *exports;
	struct baro_budget *top;
	struct engine *engine;
	struct law_engine *work; /* of one group, while the law looks at it */
	size_t count, room; /* engines, and places for them */

	uint64_t ceiling_bytes, followed_bytes;
	uint64_t asked_limit_bytes; /* what a request to release leaves */
	uint64_t asked_bytes, asked_epoch;
	uint32_t share_ppm;
	uint32_t followed_level; /* read without the lock */
	struct drift drift;
	uint64_t rss_bytes, withheld_bytes;
	uint64_t moves, moved_bytes;
};

/* With the lock held: brings everything to what bounds it now. */
int governor_apply(struct baro_governor *g);

/* With the lock held: an engine that comes has metrics wherever the governor has, or nowhere; one
 * that goes takes them along. */
int governor_export_engine(struct baro_governor *g, struct baro_budget *engine);
void governor_unexport_engine(struct baro_governor *g, const struct baro_budget *engine);

/* Registers no more engines anywhere; the governor is closed. */
void governor_unexport(struct baro_governor *g);

#endif
