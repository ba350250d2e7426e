/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as demand pages and as a welcome: what is believed stays within the bounds, however
 * many clients tell it, and what is shown of their metrics can be shown.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/common/units.h"
#include "user/daemon/demand.h"
#include "user/daemon/demand_metrics.h"
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

static void can_be_shown(const struct demand_metrics *sum)
{
	require(sum->metrics <= DEMAND_METRICS_MAX, "no more than there is room for");
	for (uint32_t i = 0; i < sum->metrics; i++) {
		const struct demand_metric *m = &sum->metric[i], *before = m - 1;

		require(memchr(m->name, 0, sizeof(m->name)) && *m->name, "a name, and its end");
		require(memchr(m->label, 0, sizeof(m->label)) != NULL, "labels have an end");
		for (const char *p = m->name; *p; p++)
			require((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_',
				"a name that Prometheus takes");
		require(!strpbrk(m->label, "\"\\\n"), "a label that needs no escape");
		require(m->unit <= BARO_DEMAND_UNIT_PPM && m->kind <= DEMAND_SUMMARY, "known");
		if (!i)
			continue;
		require(strcmp(before->name, m->name) < 0 ||
			    (!strcmp(before->name, m->name) && strcmp(before->label, m->label) < 0),
			"each once, in order");
		require(strcmp(before->name, m->name) != 0 ||
			    (before->kind == m->kind && before->unit == m->unit),
			"one name is one thing");
	}
}

/* The bytes as a table, twice: as one client's, and as another's after it. */
static void show(const uint8_t *data, size_t n)
{
	static struct demand_metrics sum;
	static struct baro_demand page;
	struct demand_table t;
	size_t bytes = n < sizeof(page.metric) ? n : sizeof(page.metric);

	memset(&page, 0, sizeof(page));
	sum.metrics = 0;
	page.metrics_ns = 1;
	page.metrics_count = n & 1 ? UINT32_MAX : (uint32_t)n / 64;
	memcpy(page.metric, data, bytes);
	for (int twice = 0; twice < 2; twice++) {
		require(demand_copy_table(&page, &t), "nobody writes it");
		demand_metrics_add(&sum, &t);
		can_be_shown(&sum);
	}
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
	show(data, n);
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
