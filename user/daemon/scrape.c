/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/scrape.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "user/common/clock.h"
#include "user/common/units.h"
#include "user/daemon/demand_socket.h"
#include "user/daemon/scrape_internal.h"

/* What an engine says of itself, with whose it is. */
struct said {
	char engine[CONFIG_NAME_MAX];
	struct demand_metric metric;
};

enum part { PART_HOST, PART_ENGINES, PART_SAID, PART_END };

struct scrape {
	const struct daemon *daemon;
	uint64_t now_ns;

	enum part part; /* what comes next ... */
	uint32_t family, slot; /* ... and which of it */
	struct said *said;
	size_t saids, next;

	struct scrape_text out;
	size_t taken; /* of out */
};

/* ---- text ------------------------------------------------------------------------------------ */

/* A step writes far less than there is room for; what were more would be cut at a line's end. */
void scrape_put(struct scrape_text *t, const char *fmt, ...)
{
	size_t left = sizeof(t->text) - t->bytes;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->text + t->bytes, left, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->bytes += min_u64((uint64_t)n, left - 1);
}

void scrape_head(struct scrape_text *t, const char *name, const char *type, const char *help)
{
	if (help)
		scrape_put(t, "# HELP %s %s\n", name, help);
	scrape_put(t, "# TYPE %s %s\n", name, type);
}

void scrape_quote(struct scrape_text *t, const char *value)
{
	size_t n;

	scrape_put(t, "\"");
	while (*value) {
		n = strcspn(value, "\"\\");
		scrape_put(t, "%.*s", (int)n, value);
		value += n;
		if (*value)
			scrape_put(t, "\\%c", *value++);
	}
	scrape_put(t, "\"");
}

void scrape_value(struct scrape_text *t, enum scrape_unit unit, uint64_t value)
{
	switch (unit) {
	case SCRAPE_NS:
		scrape_put(t, " %.15g\n", (double)value / (double)NS_PER_S);
		break;
	case SCRAPE_PPM:
		scrape_put(t, " %.15g\n", (double)value / (double)PPM);
		break;
	default:
		scrape_put(t, " %" PRIu64 "\n", value);
		break;
	}
}

/* ---- what engines say of themselves ---------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct said *x = a, *y = b;
	int r = strcmp(x->metric.name, y->metric.name);

	if (!r)
		r = strcmp(x->engine, y->engine);
	return r ? r : strcmp(x->metric.label, y->metric.label);
}

static bool keep(struct scrape *s, const struct engine *e, const struct demand_metrics *sum)
{
	struct said *more = reallocarray(s->said, s->saids + sum->metrics, sizeof(*more));

	if (!more)
		return false;
	s->said = more;
	for (uint32_t i = 0; i < sum->metrics; i++) {
		struct said *one = &s->said[s->saids++];

		memcpy(one->engine, e->name, sizeof(one->engine));
		one->metric = sum->metric[i];
	}
	return true;
}

/* One name is one kind of thing in all of the text: that of the first engine that has it. */
static void drop_contradictions(struct scrape *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->saids; i++) {
		const struct demand_metric *m = &s->said[i].metric;
		const struct demand_metric *last = kept ? &s->said[kept - 1].metric : NULL;

		if (last && !strcmp(last->name, m->name) &&
		    (last->kind != m->kind || last->unit != m->unit))
			continue;
		s->said[kept++] = s->said[i];
	}
	s->saids = kept;
}

static bool hear_all(struct scrape *s)
{
	const struct daemon *d = s->daemon;

	for_each_engine (d, e) {
		struct demand_metrics sum = { .metrics = 0 };

		demand_collect_metrics(d->demand, e->slot, &sum);
		if (sum.metrics && !keep(s, e, &sum))
			return false;
	}
	if (s->saids)
		qsort(s->said, s->saids, sizeof(*s->said), by_name);
	drop_contradictions(s);
	return true;
}

static void put_said(struct scrape_text *t, const struct said *one, const char *suffix,
		     const char *quantile, enum scrape_unit unit, uint64_t value)
{
	const struct demand_metric *m = &one->metric;

	scrape_put(t, "%s%s{engine=", m->name, suffix);
	scrape_quote(t, one->engine);
	if (m->label[0]) {
		scrape_put(t, ",name=");
		scrape_quote(t, m->label);
	}
	scrape_put(t, "%s}", quantile);
	if (demand_metric_is_no_limit(m))
		scrape_put(t, " +Inf\n");
	else
		scrape_value(t, unit, value);
}

static void said_step(struct scrape *s)
{
	static const enum scrape_unit units[] = {
		[BARO_DEMAND_UNIT_PLAIN] = SCRAPE_PLAIN,
		[BARO_DEMAND_UNIT_BYTES] = SCRAPE_BYTES,
		[BARO_DEMAND_UNIT_NS] = SCRAPE_NS,
		[BARO_DEMAND_UNIT_PPM] = SCRAPE_PPM,
	};
	const struct said *one = &s->said[s->next];
	const struct demand_metric *m = &one->metric;
	enum scrape_unit unit = units[m->unit];

	if (!s->next || strcmp(one[-1].metric.name, m->name) != 0)
		scrape_head(&s->out, m->name, demand_metric_kind_name(m->kind), NULL);
	if (m->kind == DEMAND_SUMMARY) {
		put_said(&s->out, one, "", ",quantile=\"0.5\"", unit, m->p50);
		put_said(&s->out, one, "", ",quantile=\"0.99\"", unit, m->p99);
		put_said(&s->out, one, "_sum", "", unit, m->sum);
		put_said(&s->out, one, "_count", "", SCRAPE_PLAIN, m->value);
	} else {
		put_said(&s->out, one, "", "", unit, m->value);
	}
	s->next++;
}

/* ---- in order -------------------------------------------------------------------------------- */

static void engine_step(struct scrape *s)
{
	const struct daemon *d = s->daemon;

	if (!s->slot)
		scrape_engine_head(&s->out, s->family);
	/* an engine that is removed while the text is made is in a part of it */
	if (s->slot < d->slots_used && d->engine[s->slot].status != ENGINE_FREE)
		scrape_engine(&s->out, d, &d->engine[s->slot], s->family);
	if (++s->slot < d->slots_used)
		return;
	s->slot = 0;
	s->family++;
}

/* Writes what comes next; it may be nothing. */
static void step(struct scrape *s)
{
	switch (s->part) {
	case PART_HOST:
		scrape_host(&s->out, s->daemon, s->family++, s->now_ns);
		if (s->family < scrape_host_families())
			return;
		break;
	case PART_ENGINES:
		engine_step(s);
		if (s->family < scrape_engine_families())
			return;
		break;
	default:
		if (s->next < s->saids)
			said_step(s);
		if (s->next < s->saids)
			return;
		break;
	}
	s->part++;
	s->family = 0;
}

struct scrape *scrape_begin(const struct daemon *d)
{
	struct scrape *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->daemon = d;
	s->now_ns = clock_now_ns();
	if (hear_all(s))
		return s;
	scrape_end(s);
	return NULL;
}

void scrape_end(struct scrape *s)
{
	if (!s)
		return;
	free(s->said);
	free(s);
}

size_t scrape_read(struct scrape *s, char *buf, size_t size)
{
	size_t n = 0;

	while (n < size) {
		size_t more = min_u64(s->out.bytes - s->taken, size - n);

		memcpy(buf + n, s->out.text + s->taken, more);
		n += more;
		s->taken += more;
		if (s->taken < s->out.bytes)
			break;
		s->out.bytes = s->taken = 0;
		if (s->part == PART_END)
			break;
		step(s);
	}
	return n;
}
