// SPDX-License-Identifier: BSD-2-Clause
#include "include/barostat/registry.h"
#include "user/lib/metrics_internal.h"

static const struct metric_field fields[] = {
	{ "baro_registry_indexes", "Registered.", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, 0,
	  METRIC_OF(baro_registry_counts, indexes) },
	{ "baro_registry_loaded", "Of them, loaded.", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, 0,
	  METRIC_OF(baro_registry_counts, by_state[BARO_INDEX_LOADED]) },
	{ "baro_registry_failed", "Of them, whose last load failed.", BARO_METRIC_GAUGE,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_registry_counts, by_state[BARO_INDEX_FAILED]) },
	{ "baro_registry_loaded_bytes", "What the loaded ones take.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_registry_counts, loaded_bytes) },
	{ "baro_registry_loads_total", "Loads.", BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, 0,
	  METRIC_OF(baro_registry_counts, loads) },
	{ "baro_registry_load_failures_total", "Loads that failed.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, METRIC_OF(baro_registry_counts, load_failures) },
	{ "baro_registry_unloads_total", "Unloads.", BARO_METRIC_COUNTER, BARO_METRIC_PLAIN,
	  BARO_METRIC_LOCAL, METRIC_OF(baro_registry_counts, unloads) },
	{ "baro_registry_accesses_total", "Gets that handed one out.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, METRIC_OF(baro_registry_counts, accesses) },
	{ "baro_registry_waits_total", "Gets that waited for a load or an unload.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_registry_counts, waits) },
};

static uint64_t read_field(void *registry, uint32_t offset)
{
	struct baro_registry_counts now;

	baro_registry_count(registry, &now);
	return metric_field_of(&now, offset);
}

int baro_registry_add_metrics(struct baro_registry *registry, struct baro_metrics *metrics,
			      const char *label)
{
	return metrics_add_fields(metrics, METRIC_FIELDS(fields), label, read_field, registry);
}
