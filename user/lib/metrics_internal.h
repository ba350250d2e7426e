/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the metrics share, and how an object of the library registers its own. Never
 * installed. */
#ifndef BAROSTAT_LIB_METRICS_INTERNAL_H
#define BAROSTAT_LIB_METRICS_INTERNAL_H

#include <stdbool.h>

#include "include/barostat/metrics.h"

/* One metric, with its own copies of the caller's texts. */
struct metric {
	struct baro_metric does;
	uint64_t id; /* in the order of registration, from 1 */
	uint32_t readers; /* exports that are reading it now */
	char name[BARO_METRIC_NAME_BYTES];
	char label[BARO_METRIC_LABEL_BYTES];
	char help[];
};

/*
 * Walks over all metrics while they come and go: by name and label, or in the order of their
 * registration. *at is NULL before the first call, and what was visited last after it; until the
 * next call, or metrics_walk_end(), it cannot go.
 */
enum metrics_order { METRICS_BY_NAME, METRICS_BY_AGE };
bool metrics_walk(struct baro_metrics *m, enum metrics_order order, struct metric **at);
void metrics_walk_end(struct baro_metrics *m, struct metric *at);

/* The value of a counter or a gauge. */
uint64_t metric_value(const struct metric *metric);

/* A consistent look at a histogram: its buckets, whose sum is the count. */
uint64_t histogram_look(const struct baro_histogram *h, uint64_t ret_bucket[BARO_HISTOGRAM_BUCKETS],
			uint64_t *ret_sum);
/* The highest value of a bucket; the last one's is UINT64_MAX. */
uint64_t histogram_bound(const struct baro_histogram *h, uint32_t bucket);
uint64_t histogram_quantile(const struct baro_histogram *h,
			    const uint64_t bucket[BARO_HISTOGRAM_BUCKETS], uint64_t count,
			    uint32_t ppm);

/* Metrics that are fields of what an object's baro_..._read() gives: `read` finds the one at offset
 * `which`. Registers all or none. */
struct metric_field {
	const char *name, *help;
	uint32_t kind, unit, flags;
	uint32_t offset;
};
int metrics_add_fields(struct baro_metrics *m, const struct metric_field *field, size_t fields,
		       const char *label, uint64_t (*read)(void *arg, uint32_t which),
		       void *object);

/* The same with another owner than the object; and they go again. */
int metrics_add_fields_of(struct baro_metrics *m, const struct metric_field *field, size_t fields,
			  const char *label, uint64_t (*read)(void *arg, uint32_t which),
			  void *object, const void *owner);
void metrics_drop_fields(struct baro_metrics *m, const struct metric_field *field, size_t fields,
			 const char *label);

/*
 * An owner that registers more as time goes by. `gone` is called, without a lock, when its metrics
 * are removed or all are freed, before any of them is: then it registers nothing there any more.
 */
struct metrics_watch {
	struct metrics_watch *next;
	const void *owner;
	void (*gone)(struct metrics_watch *watch);
};
void metrics_watch(struct baro_metrics *m, struct metrics_watch *watch);
/* Takes it back. False: `gone` has been called, or is going to be. */
bool metrics_unwatch(struct baro_metrics *m, struct metrics_watch *watch);

/* An engine's budget among the metrics of who has it. */
struct baro_budget;
int budget_add_metrics_of(struct baro_budget *budget, struct baro_metrics *m, const char *label,
			  const void *owner);
void budget_drop_metrics(struct baro_metrics *m, const char *label);

/* Of a field with 32 bits, beside its offset. */
#define METRIC_NARROW UINT32_C(0x80000000)
/* A field of `struct type`; the rest are the members of struct metric_field. */
#define METRIC_OF(type, member)                                                                    \
	((uint32_t)offsetof(struct type, member) |                                                 \
	 (sizeof(((struct type *)0)->member) == sizeof(uint32_t) ? METRIC_NARROW : 0))
#define METRIC_FIELDS(array) (array), sizeof(array) / sizeof((array)[0])

/* The field at an offset of a struct of counts. */
static inline uint64_t metric_field_of(const void *counts, uint32_t offset)
{
	const char *at = (const char *)counts + (offset & ~METRIC_NARROW);

	return offset & METRIC_NARROW ? *(const uint32_t *)at : *(const uint64_t *)at;
}

#endif
