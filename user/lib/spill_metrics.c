// SPDX-License-Identifier: BSD-2-Clause
/* A controller's counts lie in its caller's memory, and are read there. */
#include "include/barostat/spill.h"
#include "user/lib/metrics_internal.h"

static const struct metric_field fields[] = {
	{ "baro_spill_begins_total", "How often spilling began.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, 0, offsetof(struct baro_spill, begins) },
	{ "baro_spill_restores_total", "How often spilling ended.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, offsetof(struct baro_spill, restores) },
	{ "baro_spill_spilled_bytes_total", "Written out.", BARO_METRIC_COUNTER, BARO_METRIC_BYTES,
	  0, offsetof(struct baro_spill, spilled_bytes) },
	{ "baro_spill_restored_bytes_total", "Read back.", BARO_METRIC_COUNTER, BARO_METRIC_BYTES,
	  0, offsetof(struct baro_spill, restored_bytes) },
};

static uint64_t read_field(void *spill, uint32_t offset)
{
	return __atomic_load_n((const uint64_t *)((const char *)spill + offset), __ATOMIC_RELAXED);
}

int baro_spill_add_metrics(struct baro_spill *spill, struct baro_metrics *metrics,
			   const char *label)
{
	return metrics_add_fields(metrics, METRIC_FIELDS(fields), label, read_field, spill);
}
