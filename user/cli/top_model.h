/* SPDX-License-Identifier: BSD-2-Clause */
/* What top knows: the daemon's last status and a short history of every engine. */
#ifndef BAROSTAT_CLI_TOP_MODEL_H
#define BAROSTAT_CLI_TOP_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/cli/chart.h"

#define TOP_HISTORY 256

enum top_sort {
	TOP_SORT_CONFIG,
	TOP_SORT_NAME,
	TOP_SORT_USAGE,
	TOP_SORT_TARGET,
	TOP_SORT_STALL,
	TOP_SORT_REFAULTS,
	TOP_SORT_COUNT
};

struct top_engine {
	char name[64], group[64], state[16], level[16], reason[24];
	uint64_t usage_bytes, target_bytes, limit_bytes; /* limit: CHART_NONE for none */
	uint64_t min_bytes, max_bytes;
	uint64_t stall_ppm, refaults_per_s;
	uint32_t order; /* in the daemon's list */
	bool seen; /* in the last status */
	unsigned int samples; /* how many of each history are there */
	uint64_t usage_history[TOP_HISTORY], target_history[TOP_HISTORY],
	    stall_history[TOP_HISTORY]; /* oldest first */
};

struct top_model {
	json_t *status; /* the last good one, NULL before */
	struct top_engine *engine; /* sorted */
	uint32_t engines;
	enum top_sort sort;
	bool reversed;
	bool filled; /* the histories were asked for */
};

/* -1 when there is no such key. */
int top_sort_from_name(const char *name);
const char *top_sort_name(enum top_sort sort);

/* Takes a reference. -ENOMEM: some engines are missing until the next time. */
int top_model_update(struct top_model *m, json_t *status);
void top_model_free(struct top_model *m);
void top_model_sort(struct top_model *m);
struct top_engine *top_model_find(const struct top_model *m, const char *name);

/* The daemon's answer to "history", resampled to one value per step of ours. */
void top_engine_fill(struct top_engine *e, const json_t *history, uint64_t step_ms);

#endif
