// SPDX-License-Identifier: BSD-2-Clause
/* Two marks and what lies between them. The owner alone writes; others may look at the counts, so
 * what they look at is stored in one piece. */
#include <assert.h>
#include <errno.h>

#include "include/barostat/spill.h"
#include "user/lib/arith.h"
#include "user/lib/options.h"

static_assert(sizeof(struct baro_spill) == 128, "controllers of two threads share no line");

#define FULL_PPM 1000000u

static uint32_t or_else(uint32_t given, uint32_t fallback)
{
	return given ? given : fallback;
}

/* Where nothing changes as long as the use stays there. */
static void set_range(struct baro_spill *s)
{
	switch (s->state) {
	case BARO_SPILL_OUT:
		s->low_bytes = s->restore_bytes + 1;
		s->span_bytes = UINT64_MAX - s->low_bytes;
		break;
	case BARO_SPILL_BACK:
		s->low_bytes = 0;
		s->span_bytes = s->restore_bytes;
		break;
	default: /* between the marks, where there is room when one is in this state */
		s->low_bytes = s->restore_bytes + 1;
		s->span_bytes = s->begin_bytes - 1 - s->low_bytes;
		break;
	}
}

static void count(uint64_t *word, uint64_t more)
{
	__atomic_store_n(word, lib_add(*word, more), __ATOMIC_RELAXED);
}

static void enter(struct baro_spill *s, uint32_t state)
{
	if (state == BARO_SPILL_OUT && s->state != BARO_SPILL_OUT)
		count(&s->begins, 1);
	if (state != BARO_SPILL_OUT && s->state == BARO_SPILL_OUT)
		count(&s->restores, 1);
	__atomic_store_n(&s->state, state, __ATOMIC_RELAXED);
}

int baro_spill_init(struct baro_spill *spill, const struct baro_spill_options *options)
{
	struct baro_spill_options o = { .size = sizeof(o) };
	struct baro_spill s = { .state = BARO_SPILL_HOLD };
	int error = options ? options_take(&o, sizeof(o), sizeof(o), options) : 0;

	if (error < 0)
		return error;
	s.begin_ppm = or_else(o.begin_ppm, BARO_SPILL_BEGIN_PPM);
	s.restore_ppm = or_else(o.restore_ppm, BARO_SPILL_RESTORE_PPM);
	s.begin_level = or_else(o.begin_level, BARO_LEVEL_CRITICAL);
	s.restore_level = or_else(o.restore_level, BARO_LEVEL_NORMAL);
	if (s.begin_ppm > FULL_PPM || s.restore_ppm >= s.begin_ppm ||
	    s.begin_level > BARO_LEVEL_EMERGENCY || s.restore_level >= s.begin_level)
		return -EINVAL;
	(void)baro_spill_turn(&s, 0, BARO_PAGE_NONE);
	*spill = s;
	return 0;
}

static void set_marks(struct baro_spill *s, uint64_t budget_bytes)
{
	uint64_t begin = lib_part_ppm(budget_bytes, s->begin_ppm);

	/* rounded so that use x 1000000 >= budget x ppm is use >= mark, without a product */
	if (budget_bytes % FULL_PPM * s->begin_ppm % FULL_PPM)
		begin++;
	s->budget_bytes = budget_bytes;
	s->begin_bytes = begin;
	s->restore_bytes = lib_part_ppm(budget_bytes, s->restore_ppm);
}

uint32_t baro_spill_turn(struct baro_spill *s, uint64_t used_bytes, uint64_t budget_bytes)
{
	if (budget_bytes != s->budget_bytes || !s->begin_bytes)
		set_marks(s, budget_bytes);
	if (used_bytes >= s->begin_bytes)
		enter(s, BARO_SPILL_OUT);
	else if (used_bytes <= s->restore_bytes)
		enter(s, BARO_SPILL_BACK);
	else if (s->state == BARO_SPILL_BACK)
		enter(s, BARO_SPILL_HOLD);
	set_range(s);
	return s->state;
}

uint32_t baro_spill_by_level(struct baro_spill *s, uint32_t level)
{
	if (level >= s->begin_level)
		enter(s, BARO_SPILL_OUT);
	else if (level != BARO_LEVEL_UNKNOWN && level <= s->restore_level)
		enter(s, BARO_SPILL_BACK);
	else if (level != BARO_LEVEL_UNKNOWN && s->state == BARO_SPILL_BACK)
		enter(s, BARO_SPILL_HOLD);
	return s->state;
}

void baro_spill_note_spilled(struct baro_spill *s, uint64_t bytes)
{
	count(&s->spilled_bytes, bytes);
}

void baro_spill_note_restored(struct baro_spill *s, uint64_t bytes)
{
	count(&s->restored_bytes, bytes);
}

void baro_spill_read(const struct baro_spill *s, struct baro_spill_counts *ret_counts)
{
	*ret_counts = (struct baro_spill_counts){
		.begins = __atomic_load_n(&s->begins, __ATOMIC_RELAXED),
		.restores = __atomic_load_n(&s->restores, __ATOMIC_RELAXED),
		.spilled_bytes = __atomic_load_n(&s->spilled_bytes, __ATOMIC_RELAXED),
		.restored_bytes = __atomic_load_n(&s->restored_bytes, __ATOMIC_RELAXED),
		.state = __atomic_load_n(&s->state, __ATOMIC_RELAXED),
	};
}
