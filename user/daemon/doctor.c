/* SPDX-License-Identifier: BSD-2-Clause */
/* One line for each thing this kernel lacks, and what would bring it. */
#include <stdio.h>
#include <sys/utsname.h>

#include "user/common/units.h"
#include "user/daemon/facts.h"
#include "user/daemon/sensors.h"

static void check(json_t *checks, const char *name, const char *state, const char *detail,
		  const char *remedy)
{
	json_array_append_new(checks, json_pack("{s:s, s:s, s:s, s:s}", "name", name, "state",
						state, "detail", detail, "remedy", remedy));
}

static void check_hierarchy(json_t *checks, const struct daemon *d)
{
	const struct cg_abilities *a = d->abilities;

	if (a->memory_hierarchy_id)
		check(checks, "hierarchy", "degraded",
		      "the memory controller is on cgroup v1: targets are hard limits, there is no "
		      "protection",
		      "boot with systemd.unified_cgroup_hierarchy=1");
	else
		check(checks, "hierarchy", "ok", "memory is on cgroup v2", "");
	if (!a->writable)
		check(checks, "limits", "missing", "no right to write limits: observing only",
		      "run barostatd as root on a writable cgroup file system");
	else if (d->dry_run)
		check(checks, "limits", "degraded", "--dry-run: decisions are made, not written",
		      "start barostatd without --dry-run");
	else
		check(checks, "limits", "ok", "limits can be written", "");
}

static void check_reclaim(json_t *checks, const struct daemon *d)
{
	const struct cg_abilities *a = d->abilities;

	if (a->has_reclaim)
		check(checks, "reclaim", "ok", "memory.reclaim takes back in bounded bites", "");
	else
		check(checks, "reclaim", "degraded",
		      "no memory.reclaim: limits are lowered in small steps instead",
		      "cgroup v2 on Linux 5.19 or newer");
	if (a->has_swap)
		check(checks, "swap", "ok", "anonymous memory can be reclaimed", "");
	else
		check(checks, "swap", "degraded",
		      "no swap: anonymous memory counts as unreclaimable and is never squeezed",
		      "swap or zram, if anonymous memory is to be lent as well");
}

static void check_pressure(json_t *checks, const struct daemon *d)
{
	const struct cg_abilities *a = d->abilities;

	if (!a->has_psi)
		check(checks, "psi", "missing",
		      "no per-cgroup pressure files: stalls are seen by BPF and refaults only",
		      "boot with psi=1, on hybrid with the unified tree mounted");
	else if (!a->psi_any_window)
		check(checks, "psi", "degraded",
		      "pressure triggers need a 2 s window here: early wake-ups come from BPF",
		      "CAP_SYS_RESOURCE for barostatd");
	else
		check(checks, "psi", "ok", "per-cgroup pressure totals and fast triggers", "");
}

static void check_ceiling(json_t *checks, const struct daemon *d)
{
	if (!d->parent)
		return;
	if (!d->parent_ceiling && d->parent_manual)
		check(checks, "ceiling", "degraded",
		      "somebody else raised the parent's limit: only the sum of limits holds the "
		      "ceiling",
		      "set the parent's limit to the ceiling, or let barostatd do it by a reload");
	else if (!d->parent_ceiling)
		check(
		    checks, "ceiling", "degraded",
		    "the parent's limit could not be set: only the sum of limits holds the ceiling",
		    "free memory in the parent, or raise the ceiling");
	else if (d->parent_manual)
		check(checks, "ceiling", "degraded",
		      "the parent's limit is somebody else's and below the configured ceiling: it "
		      "is the ceiling in force",
		      "raise the parent's limit, or lower the ceiling");
}

static void check_layout(json_t *checks, const struct daemon *d)
{
	uint32_t outside = 0, waiting = 0, manual = 0, active = 0;
	char detail[160];

	for_each_engine (d, e) {
		active += e->status == ENGINE_ACTIVE;
		waiting += e->status == ENGINE_WAITING;
		manual += e->manual;
		outside += e->status == ENGINE_ACTIVE && !e->soft && d->abilities->has_low &&
			   e->conf->limit == CONFIG_LIMIT_SOFT && !engine_is_below_parent(d, e);
	}
	snprintf(detail, sizeof(detail), "%u active, %u waiting for their cgroup, %u manual",
		 active, waiting, manual);
	check(checks, "engines", waiting || manual ? "degraded" : "ok", detail,
	      waiting  ? "start the engines, or correct cgroup = in the configuration"
	      : manual ? "barostat set or a reload takes a manual engine back"
		       : "");
	if (outside) {
		snprintf(detail, sizeof(detail),
			 "%u engines are not below a common parent: they get hard limits", outside);
		check(checks, "layout", "degraded", detail,
		      "put them into one slice and name it with parent =");
	}
	check_ceiling(checks, d);
}

json_t *facts_doctor(const struct daemon *d)
{
	json_t *o = json_object(), *checks = json_array(), *sensors = json_array();
	const struct sensor_state *s = sensors_describe(d->sensors);
	struct utsname uts;

	uname(&uts);
	check_hierarchy(checks, d);
	check_reclaim(checks, d);
	check_pressure(checks, d);
	check_layout(checks, d);
	for (int i = 0; i < SENSOR_COUNT; i++)
		json_array_append_new(
		    sensors, json_pack("{s:s, s:s, s:s}", "name", s[i].name, "variant",
				       sensor_variant_name(s[i].variant), "why", s[i].why));
	json_object_set_new(o, "rung", json_string(rung_name(d->rung)));
	json_object_set_new(o, "kernel", json_string(uts.release));
	json_object_set_new(o, "page", json_string(d->config->page));
	json_object_set_new(o, "checks", checks);
	json_object_set_new(o, "sensors", sensors);
	json_object_set_new(o, "cost", facts_cost(d));
	return o;
}
