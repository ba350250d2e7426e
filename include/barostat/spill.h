/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When to spill, and when to take back what was spilled: one small struct per thread, which costs
 * a comparison to ask.
 *
 *	struct baro_spill spill;	// of this thread
 *
 *	baro_spill_init(&spill, NULL);
 *	while (next_row()) {
 *		switch (baro_spill_by_use(&spill, sorter_bytes, budget_bytes)) {
 *		case BARO_SPILL_OUT:  write_runs(baro_spill_excess(&spill, sorter_bytes)); break;
 *		case BARO_SPILL_BACK: read_runs(baro_spill_room(&spill, sorter_bytes)); break;
 *		}
 *	}
 *
 * Spilling begins when what is used reaches 90 % of the budget, and goes on until it is down to
 * 75 %; from there on what was spilled may come back, but not beyond the 75 % again. In between
 * nothing moves: neither out, on the way up, nor back, on the way down, so that a use that swings
 * around one mark does not write and read the same bytes over and over. Both marks belong to their
 * upper or lower side (use >= begin, use <= restore), and can be set.
 *
 * The use may be that of a budget the caller counts, or the score or the level of its slot on the
 * pressure page: one controller follows one of them.
 *
 * Threads: a controller belongs to one thread; baro_spill_read() may be called from any.
 */
#ifndef BAROSTAT_SPILL_H
#define BAROSTAT_SPILL_H

#include <stddef.h>
#include <stdint.h>

#include <barostat/page.h>

#ifdef __cplusplus
extern "C" {
#endif

struct baro_metrics;

#define BARO_SPILL_BEGIN_PPM   900000 /* of the budget; defaults */
#define BARO_SPILL_RESTORE_PPM 750000

/* What to do now. */
enum baro_spill_state {
	BARO_SPILL_HOLD =
	    0, /* neither: keep new things in memory, leave spilled ones where they are */
	BARO_SPILL_OUT = 1, /* spill */
	BARO_SPILL_BACK = 2, /* take back what was spilled, if anything was */
};

struct baro_spill_options {
	size_t size; /* sizeof(struct baro_spill_options) */
	uint32_t begin_ppm; /* up to 1000000; 0: 900000 */
	uint32_t restore_ppm; /* below begin_ppm; 0: 750000 */
	uint32_t begin_level; /* enum baro_level; 0: BARO_LEVEL_CRITICAL, whose edge is 85 % */
	uint32_t restore_level; /* below begin_level; 0: BARO_LEVEL_NORMAL, below 70 % */
};

/* 128 bytes: two cache lines, so that the controllers of two threads in one array do not disturb
 * each other. All of it is the library's. */
struct baro_spill {
	uint64_t budget_bytes; /* what the marks were computed for */
	uint64_t low_bytes, span_bytes; /* a use from low to low + span changes nothing */
	uint64_t begin_bytes, restore_bytes;
	uint32_t state; /* enum baro_spill_state */
	uint32_t begin_ppm, restore_ppm;
	uint32_t begin_level, restore_level;
	uint32_t reserved0;
	uint64_t begins, restores, spilled_bytes, restored_bytes;
	uint64_t reserved1[4];
};

struct baro_spill_counts {
	uint64_t begins; /* how often spilling began ... */
	uint64_t restores; /* ... and ended */
	uint64_t spilled_bytes, restored_bytes; /* as noted by the caller */
	uint32_t state; /* enum baro_spill_state, when last asked */
	uint32_t reserved0;
};

/* NULL as options: the defaults. -EINVAL: marks or levels in the wrong order or out of range, or
 * options of no known size; the controller is untouched. There is nothing to destroy. */
BARO_API int baro_spill_init(struct baro_spill *spill, const struct baro_spill_options *options);

/* What baro_spill_by_use() does when something changes. */
BARO_API uint32_t baro_spill_turn(struct baro_spill *spill, uint64_t used_bytes,
				  uint64_t budget_bytes);

/*
 * What to do when so much of the budget is used: enum baro_spill_state. Against a budget of 0
 * everything spills, against one of BARO_PAGE_NONE nothing does. The budget may be another one at
 * every call.
 */
static inline uint32_t baro_spill_by_use(struct baro_spill *spill, uint64_t used_bytes,
					 uint64_t budget_bytes)
{
	if (budget_bytes == spill->budget_bytes &&
	    used_bytes - spill->low_bytes <= spill->span_bytes)
		return spill->state;
	return baro_spill_turn(spill, used_bytes, budget_bytes);
}

/* The same for score_ppm of struct baro_pressure. */
static inline uint32_t baro_spill_by_score(struct baro_spill *spill, uint32_t score_ppm)
{
	return baro_spill_by_use(spill, score_ppm, 1000000);
}

/* The same for a level, as baro_page_level() returns it: one load for each question. UNKNOWN
 * changes nothing. */
BARO_API uint32_t baro_spill_by_level(struct baro_spill *spill, uint32_t level);

/* How many bytes to spill, to be down to where spilling ends; 0 unless the last answer was OUT.
 * For budgets: the last call was baro_spill_by_use(). */
static inline uint64_t baro_spill_excess(const struct baro_spill *spill, uint64_t used_bytes)
{
	return spill->state == BARO_SPILL_OUT && used_bytes > spill->restore_bytes
		   ? used_bytes - spill->restore_bytes
		   : 0;
}

/* How many bytes may come back; 0 unless the last answer was BACK. */
static inline uint64_t baro_spill_room(const struct baro_spill *spill, uint64_t used_bytes)
{
	return spill->state == BARO_SPILL_BACK && used_bytes < spill->restore_bytes
		   ? spill->restore_bytes - used_bytes
		   : 0;
}

/* For the counts: so much was written out, or read back. */
BARO_API void baro_spill_note_spilled(struct baro_spill *spill, uint64_t bytes);
BARO_API void baro_spill_note_restored(struct baro_spill *spill, uint64_t bytes);

/* From any thread; each count is right by itself. */
BARO_API void baro_spill_read(const struct baro_spill *spill, struct baro_spill_counts *ret_counts);

/*
 * Registers the counts (docs/metrics.md) under a label, which tells several controllers apart;
 * NULL: none. Their owner is the spill: baro_metrics_remove(metrics, spill) before it goes. All or
 * none: the errors of baro_metrics_add().
 */
BARO_API int baro_spill_add_metrics(struct baro_spill *spill, struct baro_metrics *metrics,
				    const char *label);

#ifdef __cplusplus
}
#endif

#endif
