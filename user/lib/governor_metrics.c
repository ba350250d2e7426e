// SPDX-License-Identifier: BSD-2-Clause
/* The governor's counts, and those of each engine while it is there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/lib/budget_internal.h"
#include "user/lib/governor_internal.h"
#include "user/lib/metrics_internal.h"

static const struct metric_field fields[] = {
	{ "baro_governor_limit_bytes", "What is admitted for all engines.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_governor_stats, limit_bytes) },
	{ "baro_governor_used_bytes", "Reserved by all engines.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_governor_stats, used_bytes) },
	{ "baro_governor_rss_bytes", "Resident, when it was last compared.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_governor_stats, rss_bytes) },
	{ "baro_governor_withheld_bytes", "Not admitted because of untracked memory.",
	  BARO_METRIC_GAUGE, BARO_METRIC_BYTES, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_governor_stats, withheld_bytes) },
	{ "baro_governor_drift_events_total", "How often reserved and resident drifted apart.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, 0, METRIC_OF(baro_governor_stats, drift_events) },
	{ "baro_governor_moves_total", "Moves of limits between engines.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, METRIC_OF(baro_governor_stats, moves) },
	{ "baro_governor_moved_bytes_total", "What engines got by them.", BARO_METRIC_COUNTER,
	  BARO_METRIC_BYTES, BARO_METRIC_LOCAL, METRIC_OF(baro_governor_stats, moved_bytes) },
	{ "baro_governor_level", "0 unknown, 1 normal, 2 warning, 3 critical, 4 emergency.",
	  BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, 0, METRIC_OF(baro_governor_stats, level) },
	{ "baro_governor_warnings_total", "How often warning was reached from below.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_governor_stats, warnings) },
	{ "baro_governor_criticals_total", "How often critical was reached from below.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_governor_stats, criticals) },
	{ "baro_governor_emergencies_total", "How often emergency was reached from below.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_governor_stats, emergencies) },
};

static uint64_t read_field(void *governor, uint32_t offset)
{
	struct baro_governor_stats now;

	baro_governor_read(governor, &now);
	return metric_field_of(&now, offset);
}

/* ---- the engines' ---------------------------------------------------------------------------- */

struct governor_export {
	struct metrics_watch watch; /* first: its owner's is the governor */
	struct governor_export *next;
	struct baro_governor *governor;
	struct baro_metrics *metrics;
	bool labelled;
	char label[BARO_METRIC_LABEL_BYTES];
};

struct engine_label {
	char text[BARO_METRIC_LABEL_BYTES + 1 + BARO_BUDGET_NAME_MAX];
};

static struct engine_label label_of(const struct governor_export *x,
				    const struct baro_budget *engine)
{
	struct engine_label label;

	snprintf(label.text, sizeof(label.text), "%s%s%s", x->label, x->labelled ? "." : "",
		 engine->name);
	return label;
}

static int add_engine(const struct governor_export *x, struct baro_budget *engine)
{
	return budget_add_metrics_of(engine, x->metrics, label_of(x, engine).text, x->governor);
}

/* Who reads them now holds the tree's lock at most, never the governor's: it may be waited for. */
static void drop_engine(const struct governor_export *x, const struct baro_budget *engine)
{
	budget_drop_metrics(x->metrics, label_of(x, engine).text);
}

int governor_export_engine(struct baro_governor *g, struct baro_budget *engine)
{
	int error = 0;

	for (struct governor_export *x = g->exports; x && !error; x = x->next) {
		error = add_engine(x, engine);
		if (error < 0)
			for (struct governor_export *y = g->exports; y != x; y = y->next)
				drop_engine(y, engine);
	}
	return error;
}

void governor_unexport_engine(struct baro_governor *g, const struct baro_budget *engine)
{
	for (struct governor_export *x = g->exports; x; x = x->next)
		drop_engine(x, engine);
}

static void unlink_export(struct baro_governor *g, struct governor_export *x)
{
	struct governor_export **link = &g->exports;

	while (*link != x)
		link = &(*link)->next;
	*link = x->next;
}

static void gone(struct metrics_watch *watch)
{
	struct governor_export *x = (struct governor_export *)watch;

	pthread_mutex_lock(&x->governor->lock);
	unlink_export(x->governor, x);
	pthread_mutex_unlock(&x->governor->lock);
	free(x);
}

void governor_unexport(struct baro_governor *g)
{
	while (g->exports) {
		struct governor_export *x = g->exports;

		g->exports = x->next;
		(void)metrics_unwatch(x->metrics, &x->watch);
		free(x);
	}
}

static int add_engines(struct baro_governor *g, struct governor_export *x)
{
	int error = 0;

	pthread_mutex_lock(&g->lock);
	for (size_t i = 0; i < g->count && !error; i++) {
		error = add_engine(x, g->engine[i].budget);
		while (error < 0 && i > 0)
			drop_engine(x, g->engine[--i].budget);
	}
	if (!error) {
		x->next = g->exports;
		g->exports = x;
		metrics_watch(x->metrics, &x->watch);
	}
	pthread_mutex_unlock(&g->lock);
	return error;
}

static struct governor_export *new_export(struct baro_governor *g, struct baro_metrics *metrics,
					  const char *label)
{
	struct governor_export *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->watch = (struct metrics_watch){ .owner = g, .gone = gone };
	x->governor = g;
	x->metrics = metrics;
	x->labelled = label;
	snprintf(x->label, sizeof(x->label), "%s", label ? label : "");
	return x;
}

int baro_governor_add_metrics(struct baro_governor *g, struct baro_metrics *metrics,
			      const char *label)
{
	struct governor_export *x = new_export(g, metrics, label);
	int error =
	    x ? metrics_add_fields(metrics, METRIC_FIELDS(fields), label, read_field, g) : -ENOMEM;

	if (!error) {
		error = add_engines(g, x);
		if (error < 0)
			metrics_drop_fields(metrics, METRIC_FIELDS(fields), label);
	}
	if (error < 0)
		free(x);
	return error;
}
