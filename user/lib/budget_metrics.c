// SPDX-License-Identifier: BSD-2-Clause
#include "include/barostat/budget.h"
#include "user/lib/metrics_internal.h"

static const struct metric_field fields[] = {
	{ "baro_budget_used_bytes", "Reserved in the layer.", BARO_METRIC_GAUGE, BARO_METRIC_BYTES,
	  0, METRIC_OF(baro_budget_stats, used_bytes) },
	{ "baro_budget_limit_bytes", "Limit of the layer, in force.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_budget_stats, limit_bytes) },
	{ "baro_budget_peak_bytes", "The most that was ever reserved.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, BARO_METRIC_LOCAL, METRIC_OF(baro_budget_stats, peak_bytes) },
	{ "baro_budget_rejections_total", "Reservations that the layer refused.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, 0, METRIC_OF(baro_budget_stats, rejections) },
	{ "baro_budget_over_releases_total", "Releases of what was not held.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, METRIC_OF(baro_budget_stats, over_releases) },
	{ "baro_budget_level", "0 unknown, 1 normal, 2 warning, 3 critical, 4 emergency.",
	  BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_budget_stats, level) },
	{ "baro_budget_warnings_total", "How often warning was reached from below.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_budget_stats, warnings) },
	{ "baro_budget_criticals_total", "How often critical was reached from below.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_budget_stats, criticals) },
	{ "baro_budget_emergencies_total", "How often emergency was reached from below.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_budget_stats, emergencies) },
};

static uint64_t read_field(void *budget, uint32_t offset)
{
	struct baro_budget_stats now;

	baro_budget_read(budget, &now);
	return metric_field_of(&now, offset);
}

int budget_add_metrics_of(struct baro_budget *budget, struct baro_metrics *metrics,
			  const char *label, const void *owner)
{
	return metrics_add_fields_of(metrics, METRIC_FIELDS(fields), label, read_field, budget,
				     owner);
}

void budget_drop_metrics(struct baro_metrics *metrics, const char *label)
{
	metrics_drop_fields(metrics, METRIC_FIELDS(fields), label);
}

int baro_budget_add_metrics(struct baro_budget *budget, struct baro_metrics *metrics,
			    const char *label)
{
	struct baro_budget_stats now;

	/* a layer has a name of its own */
	baro_budget_read(budget, &now);
	return budget_add_metrics_of(budget, metrics, label ? label : now.name, budget);
}
