/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as BAROSTAT_MEMORY_BUDGET and BAROSTAT_CACHE_RATIO (two lines): they are refused with
 * one printable sentence and change nothing, or pools can be opened with them.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/pool_internal.h"

static void require(int truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

static void check_pools(const struct baro_pools_options *o)
{
	struct baro_pools *pools;

	require(o->budget_bytes >= BARO_POOLS_BYTES_MIN && o->budget_bytes <= INT64_MAX, "budget");
	require(o->cache_ppm >= 1 && o->cache_ppm <= POOL_PPM, "ratio");
	require(baro_pools_open(o, &pools) == 0, "what was taken can be used");
	require(baro_pools_budget(pools, 0) >= o->budget_bytes / 5 &&
		    baro_pools_budget(pools, 1) >= o->budget_bytes / 5,
		"a fifth for each");
	require(baro_pools_budget(pools, 0) + baro_pools_budget(pools, 1) == o->budget_bytes,
		"all of it");
	baro_pools_close(pools);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct baro_pools_options o = { .size = sizeof(o),
					.budget_bytes = 1 << 30,
					.cache_ppm = 1 };
	const struct baro_pools_options before = o;
	char why[BARO_POOLS_WHY_MAX] = "", *budget = malloc(n + 1), *ratio;

	require(budget != NULL, "memory");
	memcpy(budget, data, n);
	budget[n] = '\0';
	ratio = strchr(budget, '\n');
	if (ratio)
		*ratio++ = '\0';
	setenv("BAROSTAT_MEMORY_BUDGET", budget, 1);
	setenv("BAROSTAT_CACHE_RATIO", ratio ? ratio : "", 1);
	if (baro_pools_env(&o, why, sizeof(why)) < 0) {
		require(!memcmp(&o, &before, sizeof(o)), "options are as they were");
		require(*why && strlen(why) < sizeof(why) - 1, "a whole sentence");
		for (const char *p = why; *p; p++)
			require(isprint((unsigned char)*p), "a printable sentence");
	} else {
		require(!*why, "no complaint");
		check_pools(&o);
	}
	free(budget);
	return 0;
}
