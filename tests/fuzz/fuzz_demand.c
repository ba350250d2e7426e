/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as demand pages and as a welcome: what is believed stays within the bounds, however
 * many clients tell it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/common/units.h"
#include "user/daemon/demand.h"
#include "user/lib/client_internal.h"

static void require(int truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

static void within(const struct law_demand *d, const struct demand_bounds *b)
{
	require(d->hint < LAW_HINT_COUNT, "a known hint");
	require(d->accounted_bytes <= b->usage_bytes, "accounted within usage");
	require(d->reclaimable_bytes <= b->usage_bytes, "reclaimable within usage");
	require(d->wanted_bytes <= b->max_bytes, "wanted within the maximum");
	require(d->ack_epoch <= b->grant_epoch, "no acknowledgement of tomorrow");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct law_demand sum = { 0 };
	struct demand_bounds b;
	struct baro_welcome w;

	if (link_judge_welcome(data, n, n % 4, &w) == 0) {
		require(!w.error && n % 4 == 2, "a welcome is no refusal and brings two");
		require(memchr(w.engine, 0, sizeof(w.engine)) != NULL, "names have an end");
	}
	if (n < sizeof(b))
		return 0;
	memcpy(&b, data, sizeof(b));
	/* The part that counts, again and again. */
	for (size_t at = sizeof(b); at + 64 <= n; at += 64) {
		static _Alignas(64) struct baro_demand page;
		struct demand_values v;
		struct law_demand one;

		memcpy(&page.seq, data + at, 64);
		if (!demand_copy(&page, &v) || !demand_check(&v, &b, &one))
			continue;
		within(&one, &b);
		demand_add(&sum, &one, &b);
		within(&sum, &b);
	}
	return 0;
}
