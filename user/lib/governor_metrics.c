// SPDX-License-Identifier: BSD-2-Clause
#include "include/barostat/governor.h"
#include "user/lib/metrics_internal.h"

static const struct metric_field fields[] = {
	{ "baro_governor_limit_bytes", "What is admitted for all engines.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_governor_stats, limit_bytes) },
	{ "baro_governor_used_bytes", "Reserved by all engines.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_governor_stats, used_bytes) },
	{ "baro_governor_rss_bytes", "Resident, when it was last compared.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_governor_stats, rss_bytes) },
	{ "baro_governor_withheld_bytes", "Not admitted because of untracked memory.",
	  BARO_METRIC_GAUGE, BARO_METRIC_BYTES, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_governor_stats, withheld_bytes) },
	{ "baro_governor_drift_events_total", "How often reserved and resident drifted apart.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, 0, METRIC_OF(baro_governor_stats, drift_events) },
	{ "baro_governor_moves_total", "Moves of limits between engines.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, METRIC_OF(baro_governor_stats, moves) },
	{ "baro_governor_moved_bytes_total", "What engines got by them.", BARO_METRIC_COUNTER,
	  BARO_METRIC_BYTES, BARO_METRIC_LOCAL, METRIC_OF(baro_governor_stats, moved_bytes) },
	{ "baro_governor_level", "0 unknown, 1 normal, 2 warning, 3 critical, 4 emergency.",
	  BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, 0, METRIC_OF(baro_governor_stats, level) },
};

static uint64_t read_field(void *governor, uint32_t offset)
{
	struct baro_governor_stats now;

	baro_governor_read(governor, &now);
	return metric_field_of(&now, offset);
}

int baro_governor_add_metrics(struct baro_governor *governor, struct baro_metrics *metrics,
			      const char *label)
{
	return metrics_add_fields(metrics, METRIC_FIELDS(fields), label, read_field, governor);
}
