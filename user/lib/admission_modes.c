// SPDX-License-Identifier: BSD-2-Clause
/* What the modes give, and their names. */
#include <errno.h>
#include <string.h>

#include "user/lib/admission_internal.h"

#define BUDGET_UNKNOWN_BYTES (UINT64_C(1) << 30)

static uint32_t at_least(uint64_t value, uint32_t bound)
{
	return (uint32_t)least(most(value, bound), UINT32_MAX / 2);
}

static struct baro_admission_limits latency(uint64_t cpus, uint64_t budget_bytes)
{
	return (struct baro_admission_limits){
		.writes_max = at_least(2 * cpus, 4),
		.batches_max = 1,
		.index_max = 1,
		.workers_max = at_least(cpus / 4, 1),
		.queue_max = 32,
		.chunk_records = 64,
		.chunk_records_min = 8,
		.workers_beside_reads = 1,
		.memory_bytes = budget_bytes / 16,
		.chunk_target_ns = NS_PER_MS,
		.read_slowdown_ppm = 1250000,
		.write_share_min_ppm = 10000,
	};
}

static struct baro_admission_limits balanced(uint64_t cpus, uint64_t budget_bytes)
{
	return (struct baro_admission_limits){
		.writes_max = at_least(4 * cpus, 8),
		.batches_max = at_least(cpus / 2, 2),
		.index_max = at_least(cpus / 2, 1),
		.workers_max = at_least(cpus / 2, 1),
		.queue_max = 128,
		.chunk_records = 512,
		.chunk_records_min = 32,
		.workers_beside_reads = at_least(cpus / 4, 1),
		.memory_bytes = budget_bytes / 8,
		.chunk_target_ns = 10 * NS_PER_MS,
		.read_slowdown_ppm = 2000000,
		.write_share_min_ppm = 200000,
	};
}

static struct baro_admission_limits bulk_ingest(uint64_t cpus, uint64_t budget_bytes)
{
	return (struct baro_admission_limits){
		.writes_max = at_least(8 * cpus, 16),
		.batches_max = at_least(2 * cpus, 4),
		.index_max = at_least(cpus, 1),
		/* a worker that waits for the disk leaves its processor to another */
		.workers_max = at_least(2 * cpus, 2),
		.queue_max = 512,
		.chunk_records = 4096,
		.chunk_records_min = 256,
		.workers_beside_reads = at_least(2 * cpus, 2),
		.memory_bytes = budget_bytes / 4,
		.chunk_target_ns = 50 * NS_PER_MS,
		.read_slowdown_ppm = BARO_READS_UNPROTECTED,
		.write_share_min_ppm = PPM,
	};
}

void baro_admission_limits_of(uint32_t mode, uint32_t cpus, uint64_t budget_bytes,
			      struct baro_admission_limits *ret_limits)
{
	uint64_t n = cpus ? cpus : 1;
	uint64_t budget = budget_bytes ? budget_bytes : BUDGET_UNKNOWN_BYTES;

	*ret_limits = mode == BARO_MODE_LATENCY       ? latency(n, budget)
		      : mode == BARO_MODE_BULK_INGEST ? bulk_ingest(n, budget)
						      : balanced(n, budget);
}

static const char *const mode_names[BARO_MODES] = {
	[BARO_MODE_BALANCED] = "balanced",
	[BARO_MODE_LATENCY] = "latency",
	[BARO_MODE_BULK_INGEST] = "bulk_ingest",
};

const char *baro_admission_mode_name(uint32_t mode)
{
	return mode < BARO_MODES ? mode_names[mode] : "?";
}

int baro_admission_mode_parse(const char *name, uint32_t *ret_mode)
{
	for (uint32_t i = 0; i < BARO_MODES; i++)
		if (!strcmp(name, mode_names[i])) {
			*ret_mode = i;
			return 0;
		}
	return -EINVAL;
}
