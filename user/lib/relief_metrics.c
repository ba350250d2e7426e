// SPDX-License-Identifier: BSD-2-Clause
/* The relief's counts, and those of each action that is registered when they are. */
#include <stdio.h>

#include "user/lib/metrics_internal.h"
#include "user/lib/relief_internal.h"

#define COUNTER(member, named, what, of, how)                                                      \
	{                                                                                          \
		named, what, BARO_METRIC_COUNTER, of, how,                                         \
		    offsetof(struct baro_relief_counts, member)                                    \
	}

static const struct metric_field fields[] = {
	COUNTER(requests, "baro_relief_requests_total", "Requests of the daemon.",
		BARO_METRIC_PLAIN, 0),
	COUNTER(requests_met, "baro_relief_requests_met_total", "Requests met in full.",
		BARO_METRIC_PLAIN, 0),
	COUNTER(requests_short, "baro_relief_requests_short_total",
		"Requests met in part, or not in time.", BARO_METRIC_PLAIN, 0),
	COUNTER(passes, "baro_relief_passes_total", "Passes for a level.", BARO_METRIC_PLAIN, 0),
	COUNTER(freed_bytes, "baro_relief_freed_bytes_total", "Freed by all actions.",
		BARO_METRIC_BYTES, 0),
	COUNTER(passes_unseen, "baro_relief_passes_unseen_total",
		"Passes whose bytes the usage did not show.", BARO_METRIC_PLAIN, 0),
	COUNTER(runs, "baro_relief_runs_total", "Runs.", BARO_METRIC_PLAIN, BARO_METRIC_LOCAL),
	COUNTER(acknowledged, "baro_relief_acknowledged_total", "Epochs acknowledged.",
		BARO_METRIC_PLAIN, BARO_METRIC_LOCAL),
};

/* Which of an action's metrics; a metric is known by ACTIONS_OF x its action's id and this. */
enum of_action {
	ACTION_CALLS,
	ACTION_FREED,
	ACTION_FAILED,
	ACTION_LATE,
	ACTION_ENGAGED,
	ACTIONS_OF
};

static const struct metric_field action_fields[] = {
	{ "baro_relief_action_freed_bytes_total", "Freed by the action.", BARO_METRIC_COUNTER,
	  BARO_METRIC_BYTES, 0, ACTION_FREED },
	{ "baro_relief_action_engaged", "1 while the action is engaged.", BARO_METRIC_GAUGE,
	  BARO_METRIC_PLAIN, 0, ACTION_ENGAGED },
	{ "baro_relief_action_calls_total", "Calls of the action's release.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, ACTION_CALLS },
	{ "baro_relief_action_failed_total", "Calls that failed.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, ACTION_FAILED },
	{ "baro_relief_action_late_total", "Requests it would have been too late for.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, ACTION_LATE },
};

#define ACTION_FIELDS (sizeof(action_fields) / sizeof(action_fields[0]))

static uint64_t read_field(void *relief, uint32_t offset)
{
	struct baro_relief_counts counts;

	baro_relief_read(relief, &counts);
	return metric_field_of(&counts, offset);
}

/* 0 for an action that was removed. */
static uint64_t read_action(void *relief, uint32_t which)
{
	struct baro_relief_action_counts c = { 0 };

	(void)baro_relief_read_action(relief, which / ACTIONS_OF, &c);
	switch (which % ACTIONS_OF) {
	case ACTION_CALLS:
		return c.calls;
	case ACTION_FREED:
		return c.freed_bytes;
	case ACTION_FAILED:
		return c.failed;
	case ACTION_LATE:
		return c.late;
	default:
		return c.engaged;
	}
}

static int add_action(struct baro_relief *r, struct baro_metrics *metrics, const char *label,
		      const struct action *a)
{
	struct metric_field field[ACTION_FIELDS];
	char name[BARO_RELIEF_NAME_BYTES + BARO_METRIC_LABEL_BYTES];

	for (size_t i = 0; i < ACTION_FIELDS; i++) {
		field[i] = action_fields[i];
		field[i].offset += ACTIONS_OF * a->id;
	}
	snprintf(name, sizeof(name), "%.*s%s%s", BARO_METRIC_LABEL_BYTES, label ? label : "",
		 label ? "." : "", a->name);
	return metrics_add_fields(metrics, field, ACTION_FIELDS, name, read_action, r);
}

int baro_relief_add_metrics(struct baro_relief *r, struct baro_metrics *metrics, const char *label)
{
	struct action action[BARO_RELIEF_ACTIONS_MAX];
	uint32_t n;
	int error = metrics_add_fields(metrics, METRIC_FIELDS(fields), label, read_field, r);

	if (error < 0)
		return error;
	pthread_mutex_lock(&r->lock);
	n = r->actions;
	for (uint32_t i = 0; i < n; i++)
		action[i] = r->action[i];
	pthread_mutex_unlock(&r->lock);
	for (uint32_t i = 0; i < n && !error; i++)
		error = add_action(r, metrics, label, &action[i]);
	if (error < 0)
		(void)baro_metrics_remove(metrics, r);
	return error;
}
