/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/demand_metrics.h"

#include <string.h>

#include "user/common/cleanup.h"
#include "user/common/units.h"

#define WORDS_PER_LINE (sizeof(struct baro_demand_metric) / sizeof(uint64_t))
#define TRIES          3 /* a table is written in a fraction of a microsecond */

const char *demand_metric_kind_name(enum demand_metric_kind kind)
{
	static const char *const names[] = { "counter", "gauge", "summary" };

	return names[kind];
}

const char *demand_unit_name(uint32_t unit)
{
	static const char *const names[] = { "", "bytes", "seconds", "ratio" };

	return unit < ARRAY_SIZE(names) ? names[unit] : "";
}

bool demand_metric_is_no_limit(const struct demand_metric *m)
{
	return m->kind == DEMAND_GAUGE && m->unit != BARO_DEMAND_UNIT_PLAIN &&
	       m->value == UINT64_MAX;
}

/* ---- judging --------------------------------------------------------------------------------- */

/* Only of these characters, with a NUL, and nothing behind it. */
static bool is_text(const char *text, size_t size, const char *of)
{
	size_t n = strnlen(text, size);

	if (n == size || strspn(text, of) != n)
		return false;
	for (size_t i = n; i < size; i++)
		if (text[i])
			return false;
	return true;
}

static bool line_is_good(const struct baro_demand_metric *line)
{
	static const char name[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
	static const char label[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/-";

	return is_text(line->name, sizeof(line->name), name) && line->name[0] >= 'a' &&
	       line->name[0] <= 'z' && is_text(line->label, sizeof(line->label), label) &&
	       strncmp(line->name, "barostat_", strlen("barostat_")) != 0 && /* ours */
	       line->kind >= BARO_DEMAND_METRIC_COUNTER && line->kind <= BARO_DEMAND_METRIC_P99 &&
	       line->unit <= BARO_DEMAND_UNIT_PPM;
}

static bool copy_once(const struct baro_demand *page, struct demand_table *t)
{
	uint32_t begin = __atomic_load_n(&page->metrics_seq, __ATOMIC_ACQUIRE);
	uint64_t *to = (uint64_t *)t->line;
	const uint64_t *from = (const uint64_t *)page->metric;

	t->lines = (uint32_t)min_u64(__atomic_load_n(&page->metrics_count, __ATOMIC_RELAXED),
				     BARO_DEMAND_METRICS);
	for (size_t i = 0; i < t->lines * WORDS_PER_LINE; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return !(begin & 1) && __atomic_load_n(&page->metrics_seq, __ATOMIC_RELAXED) == begin;
}

bool demand_copy_table(const struct baro_demand *page, struct demand_table *ret)
{
	struct demand_table t;
	uint32_t good = 0;
	int tries = 0;

	if (!__atomic_load_n(&page->metrics_ns, __ATOMIC_RELAXED))
		return false;
	while (!copy_once(page, &t))
		if (++tries == TRIES)
			return false;
	for (uint32_t i = 0; i < t.lines; i++)
		if (line_is_good(&t.line[i]))
			t.line[good++] = t.line[i];
	t.lines = good;
	*ret = t;
	return true;
}

/* ---- adding up ------------------------------------------------------------------------------- */

static enum demand_metric_kind kind_of(const struct baro_demand_metric *line)
{
	return line->kind == BARO_DEMAND_METRIC_COUNTER ? DEMAND_COUNTER
	       : line->kind == BARO_DEMAND_METRIC_GAUGE ? DEMAND_GAUGE
							: DEMAND_SUMMARY;
}

static int compare(const struct demand_metric *m, const struct baro_demand_metric *line)
{
	int r = strcmp(m->name, line->name);

	return r ? r : strcmp(m->label, line->label);
}

/* How many come before the line. */
static uint32_t place_of(const struct demand_metrics *sum, const struct baro_demand_metric *line)
{
	uint32_t from = 0, to = sum->metrics;

	while (from < to) {
		uint32_t middle = from + (to - from) / 2;

		if (compare(&sum->metric[middle], line) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* Its name is used for another thing; the unit of a summary's count says nothing. */
static bool contradicts(const struct demand_metric *m, const struct baro_demand_metric *line)
{
	return !strcmp(m->name, line->name) &&
	       (m->kind != kind_of(line) ||
		(m->unit != line->unit && line->kind != BARO_DEMAND_METRIC_COUNT));
}

/* The metric of a line, made if need be; NULL when the line is left out. */
static struct demand_metric *metric_of(struct demand_metrics *sum,
				       const struct baro_demand_metric *line)
{
	uint32_t at = place_of(sum, line);
	struct demand_metric *m = &sum->metric[at];

	if ((at < sum->metrics && contradicts(m, line)) || (at > 0 && contradicts(m - 1, line)))
		return NULL;
	if (at < sum->metrics && !compare(m, line))
		return m;
	/* a summary begins with its sum, so that its unit is known */
	if (sum->metrics == DEMAND_METRICS_MAX || line->kind == BARO_DEMAND_METRIC_COUNT)
		return NULL;
	memmove(m + 1, m, (sum->metrics - at) * sizeof(*m));
	sum->metrics++;
	*m = (struct demand_metric){ .kind = kind_of(line), .unit = line->unit };
	memcpy(m->name, line->name, sizeof(m->name));
	memcpy(m->label, line->label, sizeof(m->label));
	return m;
}

static void add_line(struct demand_metrics *sum, const struct baro_demand_metric *line)
{
	struct demand_metric *m = metric_of(sum, line);

	if (!m)
		return;
	switch (line->kind) {
	case BARO_DEMAND_METRIC_SUM:
		m->sum = sat_add_u64(m->sum, line->value);
		break;
	case BARO_DEMAND_METRIC_P50:
		m->p50 = max_u64(m->p50, line->value);
		break;
	case BARO_DEMAND_METRIC_P99:
		m->p99 = max_u64(m->p99, line->value);
		break;
	default:
		m->value = sat_add_u64(m->value, line->value);
		break;
	}
}

void demand_metrics_add(struct demand_metrics *sum, const struct demand_table *one)
{
	for (uint32_t i = 0; i < one->lines; i++)
		if (one->line[i].kind != BARO_DEMAND_METRIC_COUNT)
			add_line(sum, &one->line[i]);
	for (uint32_t i = 0; i < one->lines; i++)
		if (one->line[i].kind == BARO_DEMAND_METRIC_COUNT)
			add_line(sum, &one->line[i]);
}
