// SPDX-License-Identifier: BSD-2-Clause
#include "include/barostat/overflow.h"
#include "user/lib/metrics_internal.h"

#define COUNTER(member, named, what, of, how)                                                      \
	{                                                                                          \
		named, what, BARO_METRIC_COUNTER, of, how,                                         \
		    offsetof(struct baro_overflow_counts, member)                                  \
	}
#define GAUGE(member, named, what, of, how)                                                        \
	{                                                                                          \
		named, what, BARO_METRIC_GAUGE, of, how,                                           \
		    offsetof(struct baro_overflow_counts, member)                                  \
	}

static const struct metric_field fields[] = {
	GAUGE(used_bytes, "baro_overflow_used_bytes", "Allocated from the overflow region.",
	      BARO_METRIC_BYTES, 0),
	GAUGE(peak_bytes, "baro_overflow_peak_bytes", "The most that was ever allocated.",
	      BARO_METRIC_BYTES, 0),
	GAUGE(file_bytes, "baro_overflow_file_bytes", "What its file occupies on the disk.",
	      BARO_METRIC_BYTES, 0),
	GAUGE(capacity_bytes, "baro_overflow_capacity_bytes", "What the region has grown to.",
	      BARO_METRIC_BYTES, BARO_METRIC_LOCAL),
	GAUGE(max_bytes, "baro_overflow_max_bytes", "What it may grow to.", BARO_METRIC_BYTES,
	      BARO_METRIC_LOCAL),
	GAUGE(live, "baro_overflow_live", "Allocations that are not freed.", BARO_METRIC_PLAIN,
	      BARO_METRIC_LOCAL),
	COUNTER(refused_full, "baro_overflow_refused_full_total",
		"Allocations refused because the region is full.", BARO_METRIC_PLAIN, 0),
	COUNTER(refused_disk, "baro_overflow_refused_disk_total",
		"Allocations refused by the file system, a quota or a limit.", BARO_METRIC_PLAIN,
		0),
	COUNTER(bad_frees, "baro_overflow_bad_frees_total",
		"Frees of what was no allocation, or freed before.", BARO_METRIC_PLAIN, 0),
	COUNTER(allocations, "baro_overflow_allocations_total", "Allocations ever made.",
		BARO_METRIC_PLAIN, BARO_METRIC_LOCAL),
	COUNTER(frees, "baro_overflow_frees_total", "Allocations ever freed.", BARO_METRIC_PLAIN,
		BARO_METRIC_LOCAL),
	COUNTER(grown, "baro_overflow_grown_total", "How often the region has doubled.",
		BARO_METRIC_PLAIN, BARO_METRIC_LOCAL),
	COUNTER(unpunched, "baro_overflow_unpunched_total",
		"Frees whose blocks the file system did not take back.", BARO_METRIC_PLAIN,
		BARO_METRIC_LOCAL),
};

static uint64_t read_field(void *region, uint32_t offset)
{
	struct baro_overflow_counts counts;

	baro_overflow_read(region, &counts);
	return metric_field_of(&counts, offset);
}

int baro_overflow_add_metrics(struct baro_overflow *region, struct baro_metrics *metrics,
			      const char *label)
{
	return metrics_add_fields(metrics, METRIC_FIELDS(fields), label, read_field, region);
}
