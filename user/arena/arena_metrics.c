// SPDX-License-Identifier: BSD-2-Clause
#include "include/barostat/metrics.h"
#include "user/arena/arena_internal.h"

static const struct {
	const char *name, *help;
	uint32_t kind, unit, flags;
	uint32_t offset; /* in struct baro_arena_counts */
} field[] = {
	{ "baro_arena_allocated_bytes", "Handed out from the arena.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, offsetof(struct baro_arena_counts, allocated_bytes) },
	{ "baro_arena_resident_bytes", "What the arena takes of memory.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, offsetof(struct baro_arena_counts, resident_bytes) },
	{ "baro_arena_dirty_bytes", "Free, and not yet given back.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, offsetof(struct baro_arena_counts, dirty_bytes) },
	{ "baro_arena_active_bytes", "In pages that hold what is handed out.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, BARO_METRIC_LOCAL, offsetof(struct baro_arena_counts, active_bytes) },
	{ "baro_arena_mapped_bytes", "Address space of the arena.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, BARO_METRIC_LOCAL, offsetof(struct baro_arena_counts, mapped_bytes) },
	{ "baro_arena_metadata_bytes", "What the arena needs itself.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, BARO_METRIC_LOCAL,
	  offsetof(struct baro_arena_counts, metadata_bytes) },
	{ "baro_arena_extents_total", "Extents got from the kernel.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, offsetof(struct baro_arena_counts, extents) },
	{ "baro_arena_misplaced_total", "Extents that could not be put on the node.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  offsetof(struct baro_arena_counts, misplaced) },
};

static uint64_t read_field(void *arena, uint32_t offset)
{
	struct baro_arena_counts c;

	return baro_arena_read(arena, &c) ? 0 : *(const uint64_t *)((const char *)&c + offset);
}

int baro_arena_add_metrics(struct baro_arena *arena, struct baro_metrics *metrics,
			   const char *label)
{
	for (size_t i = 0; i < sizeof(field) / sizeof(field[0]); i++) {
		const struct baro_metric one = {
			.size = sizeof(one),
			.name = field[i].name,
			.label = label,
			.help = field[i].help,
			.kind = field[i].kind,
			.unit = field[i].unit,
			.flags = field[i].flags,
			.which = field[i].offset,
			.read = read_field,
			.arg = arena,
			.owner = arena,
		};
		int error = baro_metrics_add(metrics, &one);

		if (error < 0) {
			if (i)
				(void)baro_metrics_remove(metrics, arena);
			return error;
		}
	}
	return 0;
}
