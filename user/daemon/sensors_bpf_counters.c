/* SPDX-License-Identifier: BSD-2-Clause */
/* Per-slot counters in mapped memory: written by BPF programs, read without a system call. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "user/common/log.h"
#include "user/daemon/sensors_bpf.h"

#define PIECE_BYTES (32u << 10) /* a multiple of any page size in use on x86 */
#define AHEAD       2 /* slots */

int sensor_memory_open(const struct bpf_map *map, size_t bytes, struct sensor_memory *ret)
{
	struct sensor_memory m = { .fd = bpf_map__fd(map) };

	m.bytes = (bytes + PIECE_BYTES - 1) / PIECE_BYTES * PIECE_BYTES;
	m.mapped = calloc(m.bytes / PIECE_BYTES, sizeof(bool));
	if (!m.mapped)
		return -ENOMEM;
	m.base = mmap(NULL, m.bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m.base == MAP_FAILED) {
		free(m.mapped);
		return -errno;
	}
	*ret = m;
	return 0;
}

void sensor_memory_close(struct sensor_memory *m)
{
	if (m->base)
		munmap(m->base, m->bytes);
	free(m->mapped);
	*m = (struct sensor_memory){ .fd = -1 };
}

static size_t map_bytes(int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);
	size_t page = 4096;

	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		return 0;
	return (((size_t)info.value_size + 7) / 8 * 8 * info.max_entries + page - 1) / page * page;
}

static void map_piece(struct sensor_memory *m, size_t piece)
{
	size_t offset = piece * PIECE_BYTES, end = map_bytes(m->fd);
	size_t bytes = end > offset ? end - offset : 0;

	if (bytes > PIECE_BYTES)
		bytes = PIECE_BYTES;
	if (!bytes || mmap(m->base + offset, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			   m->fd, (off_t)offset) == MAP_FAILED) {
		log_warn("sensor counters cannot be mapped: %m: they stay 0, ignoring");
		return;
	}
	m->mapped[piece] = true;
}

void sensor_memory_need(struct sensor_memory *m, size_t offset, size_t bytes)
{
	for (size_t piece = offset / PIECE_BYTES; piece * PIECE_BYTES < offset + bytes; piece++) {
		if (!m->mapped[piece])
			map_piece(m, piece);
	}
}

int sensor_counters_map(const struct sensor_ctx *ctx, const struct bpf_map *map,
			struct sensor_counters *ret)
{
	struct sensor_counters c = {
		.value_bytes = bpf_map__value_size(map),
		.slots = ctx->slots,
		.lanes = ctx->lanes,
	};
	int err;

	if (c.value_bytes % sizeof(uint64_t))
		return -EINVAL;
	err = sensor_memory_open(map, c.value_bytes * c.slots * c.lanes, &c.memory);
	if (err)
		return err;
	*ret = c;
	return 0;
}

void sensor_counters_unmap(struct sensor_counters *c)
{
	sensor_memory_close(&c->memory);
}

static size_t slot_bytes(const struct sensor_counters *c)
{
	return c->value_bytes * c->lanes;
}

void *sensor_counters_at(const struct sensor_counters *c, uint32_t slot)
{
	return c->memory.base + slot * slot_bytes(c);
}

void sensor_counters_head(const struct sensor_counters *c, uint32_t slot, size_t words,
			  uint64_t *ret_value)
{
	const uint64_t *counter = sensor_counters_at(c, slot);
	size_t stride = c->value_bytes / sizeof(uint64_t);

	/* slots are read in turn, and far apart in memory: what comes next is on its way by then */
	__builtin_prefetch((const char *)counter + AHEAD * slot_bytes(c));
	if (c->lanes > 1)
		__builtin_prefetch((const char *)counter + AHEAD * slot_bytes(c) + c->value_bytes);
	memset(ret_value, 0, words * sizeof(uint64_t));
	for (uint32_t lane = 0; lane < c->lanes; lane++, counter += stride) {
		for (size_t i = 0; i < words; i++)
			ret_value[i] += __atomic_load_n(&counter[i], __ATOMIC_RELAXED);
	}
	/* who adds to a histogram adds to its counter afterwards: look in the other order */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

void sensor_counters_sum(const struct sensor_counters *c, uint32_t slot, void *ret_value)
{
	sensor_counters_head(c, slot, c->value_bytes / sizeof(uint64_t), ret_value);
}

void sensor_counters_reset(struct sensor_counters *c, uint32_t slot)
{
	sensor_memory_need(&c->memory, slot * slot_bytes(c), slot_bytes(c));
	memset(sensor_counters_at(c, slot), 0, slot_bytes(c));
}
