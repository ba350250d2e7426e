/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/sensors_ghosts.h"

static uint32_t round_up_pow2(uint64_t n, uint32_t min, uint32_t max)
{
	uint32_t p = min;

	while (p < n && p < max)
		p *= 2;
	return p;
}

struct ghost_plan ghosts_plan(uint64_t ceiling_bytes, uint32_t entries, uint32_t page_bytes)
{
	uint64_t remembered = ceiling_bytes / page_bytes * 2;
	struct ghost_plan plan = { 0 };
	uint64_t most;

	most =
	    (uint64_t)GHOST_WAYS * round_up_pow2((entries ? entries : GHOSTS_DEFAULT) / GHOST_WAYS,
						 GHOST_SETS_MIN, GHOST_SETS_MAX);
	while (plan.sample_shift < GHOST_SHIFT_MAX && remembered >> plan.sample_shift > most)
		plan.sample_shift++;
	plan.sets = round_up_pow2((remembered >> plan.sample_shift) / GHOST_WAYS, GHOST_SETS_MIN,
				  (uint32_t)(most / GHOST_WAYS));
	return plan;
}
