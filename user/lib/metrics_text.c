// SPDX-License-Identifier: BSD-2-Clause
/* Metrics as text, version 0.0.4 of Prometheus' format. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "user/lib/metrics_internal.h"

#define VALUE_BYTES 48

/* What does not fit is only counted. */
struct text {
	char *buf;
	size_t size, bytes;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *fmt, ...)
{
	size_t left = t->bytes < t->size ? t->size - t->bytes : 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(left ? t->buf + t->bytes : NULL, left, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->bytes += (size_t)n;
}

/* A whole number of parts of one, as a decimal fraction without zeros at its end. */
static void fraction(char *buf, uint64_t value, uint64_t parts, int digits)
{
	int n = snprintf(buf, VALUE_BYTES, "%" PRIu64 ".%0*" PRIu64, value / parts, digits,
			 value % parts);

	while (n > 1 && buf[n - 1] == '0')
		buf[--n] = '\0';
	if (n > 0 && buf[n - 1] == '.')
		buf[n - 1] = '\0';
}

static const char *in_unit(char buf[VALUE_BYTES], uint32_t unit, uint64_t value)
{
	if (unit == BARO_METRIC_NS)
		fraction(buf, value, 1000000000, 9);
	else if (unit == BARO_METRIC_PPM)
		fraction(buf, value, 1000000, 6);
	else
		snprintf(buf, VALUE_BYTES, "%" PRIu64, value);
	return buf;
}

/* Help is free text: what would end the line is written as the format wants it. */
static void put_head(struct text *t, const struct metric *m)
{
	if (m->help[0]) {
		put(t, "# HELP %s ", m->name);
		for (const char *p = m->help; *p; p++)
			if (*p == '\n')
				put(t, "\\n");
			else if (*p == '\\')
				put(t, "\\\\");
			else
				put(t, "%c", *p);
		put(t, "\n");
	}
	put(t, "# TYPE %s %s\n", m->name, baro_metric_kind_name(m->does.kind));
}

/* "name_suffix{name="label",more} value"; the characters of labels need no escapes. */
static void put_line(struct text *t, const struct metric *m, const char *suffix, const char *more,
		     const char *value)
{
	put(t, "%s%s", m->name, suffix);
	if (m->label[0])
		put(t, "{name=\"%s\"%s%s}", m->label, *more ? "," : "", more);
	else if (*more)
		put(t, "{%s}", more);
	put(t, " %s\n", value);
}

static void put_histogram(struct text *t, const struct metric *m)
{
	const struct baro_histogram *h = m->does.histogram;
	uint64_t bucket[BARO_HISTOGRAM_BUCKETS], sum, so_far = 0;
	uint64_t count = histogram_look(h, bucket, &sum);
	char value[VALUE_BYTES], bound[VALUE_BYTES], more[VALUE_BYTES + 8];

	for (uint32_t i = 0; i < BARO_HISTOGRAM_BUCKETS - 1; i++) {
		so_far += bucket[i];
		snprintf(more, sizeof(more), "le=\"%s\"",
			 in_unit(bound, m->does.unit, histogram_bound(h, i)));
		put_line(t, m, "_bucket", more, in_unit(value, BARO_METRIC_PLAIN, so_far));
	}
	put_line(t, m, "_bucket", "le=\"+Inf\"", in_unit(value, BARO_METRIC_PLAIN, count));
	put_line(t, m, "_sum", "", in_unit(value, m->does.unit, sum));
	put_line(t, m, "_count", "", in_unit(value, BARO_METRIC_PLAIN, count));
}

/* Of a counter or a gauge; a gauge of bytes or time may have no limit. */
static const char *value_of(char buf[VALUE_BYTES], const struct metric *m)
{
	uint64_t value = metric_value(m);

	if (value == BARO_PAGE_NONE && m->does.kind == BARO_METRIC_GAUGE &&
	    m->does.unit != BARO_METRIC_PLAIN)
		return "+Inf";
	return in_unit(buf, m->does.unit, value);
}

int baro_metrics_format(struct baro_metrics *metrics, char *buf, size_t size, size_t *ret_bytes)
{
	struct text t = { .buf = buf, .size = size };
	char last[BARO_METRIC_NAME_BYTES] = "", value[VALUE_BYTES];
	struct metric *m = NULL;

	if (size)
		buf[0] = '\0';
	while (metrics_walk(metrics, METRICS_BY_NAME, &m)) {
		if (strcmp(last, m->name) != 0)
			put_head(&t, m);
		memcpy(last, m->name, sizeof(last));
		if (m->does.kind == BARO_METRIC_HISTOGRAM)
			put_histogram(&t, m);
		else
			put_line(&t, m, "", "", value_of(value, m));
	}
	*ret_bytes = t.bytes;
	return t.bytes < size ? 0 : -ENOBUFS;
}
