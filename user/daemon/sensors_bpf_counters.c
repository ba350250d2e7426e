/* SPDX-License-Identifier: BSD-2-Clause */
/* Per-slot counters in mapped memory: written by BPF programs, read without a system call. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/daemon/sensors_bpf.h"

int sensor_counters_map(const struct sensor_ctx *ctx, const struct bpf_map *map,
			struct sensor_counters *ret)
{
	struct sensor_counters c = {
		.value_bytes = bpf_map__value_size(map),
		.slots = ctx->slots,
		.lanes = ctx->lanes,
	};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (c.value_bytes % sizeof(uint64_t))
		return -EINVAL;
	c.map_bytes = (c.value_bytes * c.slots * c.lanes + page - 1) / page * page;
	c.base = mmap(NULL, c.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (c.base == MAP_FAILED)
		return -errno;
	*ret = c;
	return 0;
}

void sensor_counters_unmap(struct sensor_counters *c)
{
	if (c->base)
		munmap(c->base, c->map_bytes);
	c->base = NULL;
}

static uint64_t *lane_of(const struct sensor_counters *c, uint32_t slot, uint32_t lane)
{
	return (uint64_t *)((char *)c->base + ((size_t)slot * c->lanes + lane) * c->value_bytes);
}

void sensor_counters_sum(const struct sensor_counters *c, uint32_t slot, void *ret_value)
{
	size_t words = c->value_bytes / sizeof(uint64_t);
	uint64_t *sum = ret_value;

	memset(sum, 0, c->value_bytes);
	for (uint32_t lane = 0; lane < c->lanes; lane++) {
		uint64_t *counter = lane_of(c, slot, lane);

		for (size_t i = 0; i < words; i++)
			sum[i] += __atomic_load_n(&counter[i], __ATOMIC_RELAXED);
	}
}

void sensor_counters_reset(struct sensor_counters *c, uint32_t slot)
{
	memset(lane_of(c, slot, 0), 0, c->value_bytes * c->lanes);
}
