/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/top_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/fields.h"

static const char *const sort_names[TOP_SORT_COUNT] = {
	[TOP_SORT_CONFIG] = "config", [TOP_SORT_NAME] = "name",   [TOP_SORT_USAGE] = "usage",
	[TOP_SORT_TARGET] = "target", [TOP_SORT_STALL] = "stall", [TOP_SORT_REFAULTS] = "refaults",
};

int top_sort_from_name(const char *name)
{
	for (int i = 0; i < TOP_SORT_COUNT; i++)
		if (!strcmp(sort_names[i], name))
			return i;
	return -1;
}

const char *top_sort_name(enum top_sort sort)
{
	return sort_names[sort];
}

struct top_engine *top_model_find(const struct top_model *m, const char *name)
{
	for (uint32_t i = 0; i < m->engines; i++)
		if (!strcmp(m->engine[i].name, name))
			return &m->engine[i];
	return NULL;
}

static struct top_engine *add(struct top_model *m, const char *name)
{
	struct top_engine *e = reallocarray(m->engine, m->engines + 1, sizeof(*e));

	if (!e)
		return NULL;
	m->engine = e;
	e += m->engines++;
	memset(e, 0, sizeof(*e));
	snprintf(e->name, sizeof(e->name), "%s", name);
	return e;
}

static void push(uint64_t *history, unsigned int samples, uint64_t value)
{
	if (samples == TOP_HISTORY)
		memmove(history, history + 1, (TOP_HISTORY - 1) * sizeof(*history));
	history[samples == TOP_HISTORY ? TOP_HISTORY - 1 : samples] = value;
}

static void take_history(struct top_engine *e, uint64_t usage, uint64_t target, uint64_t stall)
{
	push(e->usage_history, e->samples, usage);
	push(e->target_history, e->samples, target);
	push(e->stall_history, e->samples, stall);
	if (e->samples < TOP_HISTORY)
		e->samples++;
}

static void take(struct top_engine *e, const json_t *j, uint32_t order)
{
	e->seen = true;
	e->order = order;
	snprintf(e->group, sizeof(e->group), "%s", field_text(j, "group"));
	snprintf(e->state, sizeof(e->state), "%s", field_text(j, "state"));
	snprintf(e->level, sizeof(e->level), "%s", field_text(j, "level"));
	snprintf(e->reason, sizeof(e->reason), "%s", field_text(j, "reason"));
	e->usage_bytes = field_count(j, "usage_bytes");
	e->target_bytes = field_count(j, "target_bytes");
	if (!field_u64(j, "limit_bytes", &e->limit_bytes))
		e->limit_bytes = CHART_NONE;
	e->min_bytes = field_count(j, "min_bytes");
	e->max_bytes = field_count(j, "max_bytes");
	e->stall_ppm = field_count(j, "stall_ppm");
	e->refaults_per_s = field_count(j, "refaults_per_s");
	take_history(e, e->usage_bytes, e->target_bytes, e->stall_ppm);
}

static void drop_unseen(struct top_model *m)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < m->engines; i++)
		if (m->engine[i].seen)
			m->engine[kept++] = m->engine[i];
	m->engines = kept;
}

int top_model_update(struct top_model *m, json_t *status)
{
	const json_t *engines = json_object_get(status, "engines"), *j;
	size_t i;
	int r = 0;

	for (uint32_t k = 0; k < m->engines; k++)
		m->engine[k].seen = false;
	json_array_foreach (engines, i, j) {
		const char *name = field_text(j, "name");
		struct top_engine *e = top_model_find(m, name);

		if (!e)
			e = add(m, name);
		if (e)
			take(e, j, (uint32_t)i);
		else
			r = -ENOMEM;
	}
	drop_unseen(m);
	json_incref(status);
	json_decref(m->status);
	m->status = status;
	top_model_sort(m);
	return r;
}

void top_model_free(struct top_model *m)
{
	json_decref(m->status);
	free(m->engine);
	m->status = NULL;
	m->engine = NULL;
}

static uint64_t sort_value(const struct top_engine *e, enum top_sort sort)
{
	switch (sort) {
	case TOP_SORT_USAGE:
		return e->usage_bytes;
	case TOP_SORT_TARGET:
		return e->target_bytes;
	case TOP_SORT_STALL:
		return e->stall_ppm;
	case TOP_SORT_REFAULTS:
		return e->refaults_per_s;
	default:
		return 0;
	}
}

/* Names and the configured order upwards, quantities downwards; ties in the configured order. */
static int compare(const void *a, const void *b, void *model)
{
	const struct top_engine *x = a, *y = b;
	const struct top_model *m = model;
	uint64_t vx = sort_value(x, m->sort), vy = sort_value(y, m->sort);
	int r = m->sort == TOP_SORT_NAME ? strcmp(x->name, y->name) : (vx < vy) - (vx > vy);

	if (!r)
		r = (x->order > y->order) - (x->order < y->order);
	return m->reversed ? -r : r;
}

void top_model_sort(struct top_model *m)
{
	if (m->engines)
		qsort_r(m->engine, m->engines, sizeof(*m->engine), compare, m);
}

void top_engine_fill(struct top_engine *e, const json_t *history, uint64_t step_ms)
{
	const json_t *samples = json_object_get(history, "samples");
	uint64_t interval_ms = field_count(history, "interval_ms");
	size_t n = json_array_size(samples), steps;

	if (!n || !interval_ms || !step_ms)
		return;
	steps = (n - 1) * interval_ms / step_ms + 1;
	if (steps > TOP_HISTORY)
		steps = TOP_HISTORY;
	e->samples = 0;
	for (size_t k = steps; k-- > 0;) {
		const json_t *s = json_array_get(samples, n - 1 - k * step_ms / interval_ms);

		take_history(e, field_count(s, "usage_bytes"), field_count(s, "target_bytes"),
			     field_count(s, "stall_ppm"));
	}
}
