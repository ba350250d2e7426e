// SPDX-License-Identifier: BSD-2-Clause
/* All pools together, and each by its name. */
#include <stdio.h>

#include "include/barostat/pool.h"
#include "user/lib/metrics_internal.h"

static const struct metric_field fields[] = {
	{ "baro_pools_budget_bytes", "The budget of all pools.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_pools_state, budget_bytes) },
	{ "baro_pools_moves_total", "Moves between pools.", BARO_METRIC_COUNTER, BARO_METRIC_PLAIN,
	  BARO_METRIC_LOCAL, METRIC_OF(baro_pools_state, moves) },
	{ "baro_pools_reversals_total", "Moves against the one before.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, METRIC_OF(baro_pools_state, reversals) },
	{ "baro_pools_releases_total", "Calls to release memory.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, METRIC_OF(baro_pools_state, releases) },
};

static const struct metric_field pool_fields[] = {
	{ "baro_pool_budget_bytes", "The budget of the pool.", BARO_METRIC_GAUGE, BARO_METRIC_BYTES,
	  0, METRIC_OF(baro_pool_state, budget_bytes) },
	{ "baro_pool_used_bytes", "Used by the pool, at the last tick.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_pool_state, used_bytes) },
	{ "baro_pool_over_bytes", "Used beyond its budget.", BARO_METRIC_GAUGE, BARO_METRIC_BYTES,
	  BARO_METRIC_LOCAL, METRIC_OF(baro_pool_state, over_bytes) },
	{ "baro_pool_share_ratio", "Its share of the budget.", BARO_METRIC_GAUGE, BARO_METRIC_PPM,
	  BARO_METRIC_LOCAL, METRIC_OF(baro_pool_state, share_ppm) },
	{ "baro_pool_pressure_ratio", "Its pressure, at the last tick.", BARO_METRIC_GAUGE,
	  BARO_METRIC_PPM, BARO_METRIC_LOCAL, METRIC_OF(baro_pool_state, pressure_ppm) },
};

#define POOL_FIELDS (sizeof(pool_fields) / sizeof(pool_fields[0]))
/* A pool's number beside the offset of its field. */
#define POOL_SHIFT 16

static uint64_t read_field(void *pools, uint32_t offset)
{
	struct baro_pools_state now;

	baro_pools_read(pools, &now);
	return metric_field_of(&now, offset);
}

static uint64_t read_pool(void *pools, uint32_t which)
{
	const uint32_t offset = which & (METRIC_NARROW | ((UINT32_C(1) << POOL_SHIFT) - 1));
	const uint32_t pool = (which & ~METRIC_NARROW) >> POOL_SHIFT;
	struct baro_pools_state now;

	baro_pools_read(pools, &now);
	return pool < now.pools ? metric_field_of(&now.pool[pool], offset) : 0;
}

static int add_pool(struct baro_pools *pools, struct baro_metrics *metrics, const char *label,
		    const struct baro_pools_state *now, uint32_t pool)
{
	char name[BARO_POOL_NAME_MAX + BARO_METRIC_LABEL_BYTES + 1];
	struct metric_field field[POOL_FIELDS];

	for (size_t i = 0; i < POOL_FIELDS; i++) {
		field[i] = pool_fields[i];
		field[i].offset |= pool << POOL_SHIFT;
	}
	snprintf(name, sizeof(name), "%.*s%s%s", BARO_METRIC_LABEL_BYTES, label ? label : "",
		 label ? "." : "", now->pool[pool].name);
	return metrics_add_fields(metrics, field, POOL_FIELDS, name, read_pool, pools);
}

int baro_pools_add_metrics(struct baro_pools *pools, struct baro_metrics *metrics,
			   const char *label)
{
	int error = metrics_add_fields(metrics, METRIC_FIELDS(fields), label, read_field, pools);
	struct baro_pools_state now;

	if (error < 0)
		return error;
	baro_pools_read(pools, &now);
	for (uint32_t i = 0; i < now.pools && !error; i++)
		error = add_pool(pools, metrics, label, &now, i);
	if (error < 0)
		(void)baro_metrics_remove(metrics, pools);
	return error;
}
