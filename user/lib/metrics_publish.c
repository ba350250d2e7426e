// SPDX-License-Identifier: BSD-2-Clause
/* Metrics onto the demand page: a table of so many lines, one number each. */
#include <assert.h>
#include <string.h>

#include "user/lib/client_internal.h"
#include "user/lib/metrics_internal.h"

static_assert((int)BARO_METRIC_COUNTER == BARO_DEMAND_METRIC_COUNTER &&
		  (int)BARO_METRIC_GAUGE == BARO_DEMAND_METRIC_GAUGE,
	      "kinds of single numbers are the page's");
static_assert((int)BARO_METRIC_BYTES == BARO_DEMAND_UNIT_BYTES &&
		  (int)BARO_METRIC_NS == BARO_DEMAND_UNIT_NS &&
		  (int)BARO_METRIC_PPM == BARO_DEMAND_UNIT_PPM,
	      "units are the page's");

struct lines {
	struct baro_demand_metric line[BARO_DEMAND_METRICS];
	uint32_t used;
};

static void add_line(struct lines *to, const struct metric *m, uint32_t kind, uint32_t unit,
		     uint64_t value)
{
	struct baro_demand_metric *line = &to->line[to->used++];

	memcpy(line->name, m->name, sizeof(line->name));
	memcpy(line->label, m->label, sizeof(line->label));
	line->kind = (uint16_t)kind;
	line->unit = (uint16_t)unit;
	line->value = value;
}

static void add_histogram(struct lines *to, const struct metric *m)
{
	const struct baro_histogram *h = m->does.histogram;
	uint64_t bucket[BARO_HISTOGRAM_BUCKETS], sum;
	uint64_t count = histogram_look(h, bucket, &sum);
	uint32_t unit = m->does.unit;

	add_line(to, m, BARO_DEMAND_METRIC_COUNT, BARO_DEMAND_UNIT_PLAIN, count);
	add_line(to, m, BARO_DEMAND_METRIC_SUM, unit, sum);
	add_line(to, m, BARO_DEMAND_METRIC_P50, unit, histogram_quantile(h, bucket, count, 500000));
	add_line(to, m, BARO_DEMAND_METRIC_P99, unit, histogram_quantile(h, bucket, count, 990000));
}

int baro_metrics_publish(struct baro_metrics *metrics, struct baro_client *client)
{
	struct lines lines = { .used = 0 };
	struct metric *m = NULL;

	while (lines.used < BARO_DEMAND_METRICS && metrics_walk(metrics, METRICS_BY_AGE, &m)) {
		uint32_t takes = m->does.kind == BARO_METRIC_HISTOGRAM ? 4 : 1;

		if (m->does.flags & BARO_METRIC_LOCAL || lines.used + takes > BARO_DEMAND_METRICS)
			continue;
		if (takes > 1)
			add_histogram(&lines, m);
		else
			add_line(&lines, m, m->does.kind, m->does.unit, metric_value(m));
	}
	metrics_walk_end(metrics, m);
	client_say_metrics(client, lines.line, lines.used);
	return (int)lines.used;
}
