// SPDX-License-Identifier: BSD-2-Clause
#include "include/barostat/memtable.h"
#include "user/lib/metrics_internal.h"

static const struct metric_field fields[] = {
	{ "baro_memtable_group_target_bytes", "What all tables should hold.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_memtable_group_stats, target_bytes) },
	{ "baro_memtable_group_held_bytes", "Written since the last rotations.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_memtable_group_stats, held_bytes) },
	{ "baro_memtable_group_sealed_bytes", "Rotated, not yet flushed.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_memtable_group_stats, sealed_bytes) },
	{ "baro_memtable_group_over_bytes", "Held and sealed beyond the budget.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_memtable_group_stats, over_bytes) },
	{ "baro_memtable_group_budget_bytes", "The write budget.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_memtable_group_stats, budget_bytes) },
	{ "baro_memtable_group_wanted_bytes", "What they would hold without it.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_memtable_group_stats, wanted_bytes) },
	{ "baro_memtable_group_tables", "Tables in the group.", BARO_METRIC_GAUGE,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, METRIC_OF(baro_memtable_group_stats, tables) },
};

static uint64_t read_field(void *group, uint32_t offset)
{
	struct baro_memtable_group_stats now;

	baro_memtable_group_read(group, &now);
	return metric_field_of(&now, offset);
}

int baro_memtable_group_add_metrics(struct baro_memtable_group *group, struct baro_metrics *metrics,
				    const char *label)
{
	return metrics_add_fields(metrics, METRIC_FIELDS(fields), label, read_field, group);
}
