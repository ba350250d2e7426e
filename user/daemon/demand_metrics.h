/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The metrics on engines' demand pages, and how much of them is believed. Like demand.h pure but
 * for reading the page, and read only when somebody asks: a tick does not look at them.
 *
 * The writer of a page may be anyone: what is copied is judged line by line, what is not a name, a
 * label, a kind or a unit is left out, and numbers are only shown.
 */
#ifndef BAROSTAT_DAEMON_DEMAND_METRICS_H
#define BAROSTAT_DAEMON_DEMAND_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/barostat/demand.h"

#define DEMAND_METRICS_MAX 192 /* of one engine, over all its clients */

/* A table as it was copied, judged: only good lines are left. */
struct demand_table {
	uint32_t lines;
	struct baro_demand_metric line[BARO_DEMAND_METRICS];
};

enum demand_metric_kind { DEMAND_COUNTER, DEMAND_GAUGE, DEMAND_SUMMARY };

struct demand_metric {
	char name[BARO_DEMAND_METRIC_NAME_BYTES];
	char label[BARO_DEMAND_METRIC_LABEL_BYTES];
	enum demand_metric_kind kind;
	uint32_t unit; /* enum baro_demand_metric_unit; of a summary's sum and quantiles */
	uint64_t value; /* of a summary: count */
	uint64_t sum, p50, p99; /* of a summary */
};

/* Of one engine: sorted by name and label, each once. */
struct demand_metrics {
	uint32_t metrics;
	struct demand_metric metric[DEMAND_METRICS_MAX];
};

/* Copies the table of a page and judges it. False, and *ret untouched, when it is being written, or
 * none was written yet. */
bool demand_copy_table(const struct baro_demand *page, struct demand_table *ret);

/*
 * Adds one client's table: numbers of the same name and label add up, quantiles are the highest. A
 * line whose name another client, or an earlier line, used for another kind or unit is left out,
 * and so is what does not fit.
 */
void demand_metrics_add(struct demand_metrics *sum, const struct demand_table *one);

/* A gauge of bytes or time that says "none". */
bool demand_metric_is_no_limit(const struct demand_metric *m);

const char *demand_metric_kind_name(enum demand_metric_kind kind);
/* "", "bytes", "seconds", "ratio" */
const char *demand_unit_name(uint32_t unit);

#endif
