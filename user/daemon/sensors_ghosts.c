/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/sensors_ghosts.h"

static uint32_t round_up_pow2(uint64_t n, uint32_t min, uint32_t max)
{
	uint32_t p = min;

	while (p < n && p < max)
		p *= 2;
	return p;
}

static uint64_t table_of(uint64_t entries)
{
	return (uint64_t)GHOST_WAYS *
	       round_up_pow2(entries / GHOST_WAYS, GHOST_SETS_MIN, GHOST_SETS_MAX);
}

static struct ghost_plan plan_for(uint64_t ceiling_bytes, uint32_t entries, uint32_t page_bytes,
				  uint32_t enough)
{
	uint64_t remembered = ceiling_bytes / page_bytes * 2;
	uint64_t most = table_of(entries ? entries : GHOSTS_DEFAULT);
	uint32_t shift = 0;

	while (!entries && shift < GHOST_SHIFT_USUAL && remembered >> shift > enough)
		shift++;
	while (shift < GHOST_SHIFT_MAX && remembered >> shift > most)
		shift++;
	return (struct ghost_plan){
		.sample_shift = shift,
		.sets = round_up_pow2((remembered >> shift) / GHOST_WAYS, GHOST_SETS_MIN,
				      (uint32_t)(most / GHOST_WAYS)),
	};
}

struct ghost_plan ghosts_plan(uint64_t ceiling_bytes, uint32_t entries, uint32_t page_bytes)
{
	return plan_for(ceiling_bytes, entries, page_bytes, GHOSTS_ENOUGH);
}

struct ghost_plan reuse_plan(uint64_t ceiling_bytes, uint32_t entries, uint32_t page_bytes)
{
	return plan_for(ceiling_bytes, entries, page_bytes, REUSE_ENOUGH);
}
