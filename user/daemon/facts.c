/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/facts.h"

#include <sys/utsname.h>

#include "user/common/clock.h"
#include "user/common/units.h"
#include "user/daemon/decision_words.h"
#include "user/daemon/demand_socket.h"
#include "user/daemon/sensors.h"
#include "user/daemon/waits.h"

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t)min_u64(v, INT64_MAX));
}

/* A limit that is not set is null. */
static json_t *limit(uint64_t v)
{
	return v == BYTES_NO_LIMIT ? json_null() : number(v);
}

static void set(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, number(v));
}

static void set_limit(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, limit(v));
}

static void set_text(json_t *o, const char *key, const char *v)
{
	json_object_set_new(o, key, json_string(v));
}

static const char *state_name(const struct engine *e)
{
	if (e->status != ENGINE_ACTIVE)
		return e->was_active ? "gone" : "waiting";
	return e->manual ? "manual" : "active";
}

static void engine_memory(json_t *o, const struct daemon *d, const struct engine *e)
{
	const struct law_sample *s = &d->sample[e->slot];
	const struct law_decision *dec = &d->decision[e->slot];
	uint64_t low = e->actual.bytes[CG_LIMIT_LOW], high = e->actual.bytes[CG_LIMIT_HIGH];
	uint64_t max = e->actual.bytes[CG_LIMIT_MAX], in_force = limits_in_force(&e->actual);
	bool active = e->status == ENGINE_ACTIVE;

	set(o, "usage_bytes", s->usage_bytes);
	set(o, "anon_bytes", s->anon_bytes);
	set(o, "file_bytes", s->file_bytes);
	set(o, "shmem_bytes", s->shmem_bytes);
	set(o, "kernel_bytes", s->kernel_bytes);
	set(o, "dirty_bytes", s->dirty_bytes);
	set(o, "unreclaimable_bytes", s->unreclaimable_bytes);
	set_limit(o, "limit_bytes", active ? in_force : BYTES_NO_LIMIT);
	set(o, "target_bytes", active ? dec->target_bytes : 0);
	set(o, "low_bytes", active ? low : 0);
	set_limit(o, "high_bytes", active ? high : BYTES_NO_LIMIT);
	set_limit(o, "max_limit_bytes", active ? max : BYTES_NO_LIMIT);
	set(o, "min_bytes", e->conf->min_bytes);
	set_limit(o, "max_bytes", e->conf->max_bytes);
	set(o, "headroom_bytes", sat_sub_u64(min_u64(in_force, d->ceiling_bytes), s->usage_bytes));
	set(o, "release_bytes", e->release_bytes);
}

static void engine_rates(json_t *o, const struct daemon *d, const struct engine *e)
{
	const struct law_estimate *est = &d->estimate[e->slot];
	uint64_t left_ns = UINT64_MAX;
	json_t *causes = json_object();

	if (e->status == ENGINE_ACTIVE)
		left_ns =
		    limits_time_to(limits_in_force(&e->actual), d->sample[e->slot].usage_bytes,
				   est->usage_velocity_bytes_per_s);
	set(o, "stall_ppm", est->stall_ppm);
	set(o, "stall_avg_ppm", est->stall_avg_ppm);
	set(causes, "direct_reclaim", est->stall_cause_ns_per_s[STALL_DIRECT_RECLAIM]);
	set(causes, "high_throttle", est->stall_cause_ns_per_s[STALL_HIGH_THROTTLE]);
	set(causes, "refault", est->stall_cause_ns_per_s[STALL_REFAULT]);
	set(causes, "swap_in", est->stall_cause_ns_per_s[STALL_SWAP_IN]);
	json_object_set_new(o, "stall_ns_per_s", causes);
	set(o, "psi_memory_some_ppm", e->window_memory.some_1s_ppm);
	set(o, "psi_io_some_ppm", e->window_io.some_1s_ppm);
	set(o, "refaults_per_s", est->refaults_per_s);
	set(o, "faults_per_s", est->faults_per_s);
	set(o, "majfaults_per_s", est->majfaults_per_s);
	set(o, "evictions_per_s", est->evictions_per_s);
	set(o, "working_set_bytes", est->working_set_bytes);
	json_object_set_new(o, "velocity_bytes_per_s",
			    json_integer((json_int_t)est->usage_velocity_bytes_per_s));
	json_object_set_new(o, "time_to_ceiling_ms",
			    left_ns == UINT64_MAX ? json_null() : number(left_ns / NS_PER_MS));
}

static json_t *wait_of(const uint64_t *bins)
{
	struct waits w;
	json_t *o;

	waits_from_bins(bins, &w);
	if (!w.count)
		return json_null();
	o = json_object();
	set(o, "count", w.count);
	set(o, "p50_ns", w.p50_ns);
	set(o, "p99_ns", w.p99_ns);
	return o;
}

/* How long each wait took, since the engine came; null where there was none, or no sensor. */
static json_t *engine_waits(const struct sensor_reading *r)
{
	json_t *o = json_object();

	json_object_set_new(o, "direct_reclaim", wait_of(r->stall_latency[STALL_DIRECT_RECLAIM]));
	json_object_set_new(o, "high_throttle", wait_of(r->stall_latency[STALL_HIGH_THROTTLE]));
	json_object_set_new(o, "refault", wait_of(r->stall_latency[STALL_REFAULT]));
	json_object_set_new(o, "swap_in", wait_of(r->stall_latency[STALL_SWAP_IN]));
	json_object_set_new(o, "major_fault", wait_of(r->majfault_latency));
	return o;
}

static const char *hint_name(uint32_t hint)
{
	static const char *const names[LAW_HINT_COUNT] = { "auto", "bulk_ingest", "query_heavy",
							   "mixed", "memory_constrained" };

	return hint < LAW_HINT_COUNT ? names[hint] : "auto";
}

/* What its clients declare, as far as it is believed. */
static json_t *engine_demand(const struct law_demand *demand)
{
	json_t *o;

	if (!demand->clients)
		return json_null();
	o = json_object();
	set(o, "clients", demand->clients);
	set_text(o, "hint", hint_name(demand->hint));
	set(o, "accounted_bytes", demand->accounted_bytes);
	set(o, "reclaimable_bytes", demand->reclaimable_bytes);
	set(o, "wanted_bytes", demand->wanted_bytes);
	set(o, "ack_epoch", demand->ack_epoch);
	return o;
}

/* In the unit that the name says. */
static json_t *in_unit(uint32_t unit, uint64_t v)
{
	switch (unit) {
	case BARO_DEMAND_UNIT_NS:
		return json_real((double)v / (double)NS_PER_S);
	case BARO_DEMAND_UNIT_PPM:
		return json_real((double)v / (double)PPM);
	default:
		return number(v);
	}
}

static json_t *metric(const struct demand_metric *m)
{
	json_t *o = json_object();

	set_text(o, "name", m->name);
	set_text(o, "label", m->label);
	set_text(o, "kind", demand_metric_kind_name(m->kind));
	set_text(o, "unit", demand_unit_name(m->unit));
	if (m->kind != DEMAND_SUMMARY) {
		json_object_set_new(o, "value",
				    demand_metric_is_no_limit(m) ? json_null()
								 : in_unit(m->unit, m->value));
		return o;
	}
	set(o, "count", m->value);
	json_object_set_new(o, "sum", in_unit(m->unit, m->sum));
	json_object_set_new(o, "p50", in_unit(m->unit, m->p50));
	json_object_set_new(o, "p99", in_unit(m->unit, m->p99));
	return o;
}

/* What its clients say of themselves. */
static json_t *engine_metrics(const struct daemon *d, const struct engine *e)
{
	struct demand_metrics sum = { .metrics = 0 };
	json_t *all = json_array();

	demand_collect_metrics(d->demand, e->slot, &sum);
	for (uint32_t i = 0; i < sum.metrics; i++)
		json_array_append_new(all, metric(&sum.metric[i]));
	return all;
}

json_t *facts_engine(const struct daemon *d, const struct engine *e)
{
	static const char *const modes[] = {
		[LIMITS_HARD] = "hard",
		[LIMITS_SOFT] = "soft",
		[LIMITS_BACKSTOP] = "backstop",
	};
	bool active = e->status == ENGINE_ACTIVE;
	json_t *o = json_object();

	set_text(o, "name", e->name);
	set_text(o, "group", d->config->group[e->conf->group].name);
	set_text(o, "cgroup", e->conf->cgroup);
	set_text(o, "state", state_name(e));
	set_text(o, "mode", modes[engine_mode(e)]);
	set(o, "weight", e->conf->weight);
	set_text(o, "level", active ? level_name(e->level.level) : "unknown");
	set(o, "score_ppm", active ? e->level.score_ppm : 0);
	engine_memory(o, d, e);
	engine_rates(o, d, e);
	json_object_set_new(o, "waits", engine_waits(&d->reading[e->slot]));
	set(o, "oom_kills", d->sample[e->slot].oom_kills);
	set(o, "freezes_lifted", e->freeze.lifts);
	json_object_set_new(o, "demand", engine_demand(&d->sample[e->slot].demand));
	json_object_set_new(o, "metrics", engine_metrics(d, e));
	set(o, "grant_epoch", e->grant_epoch);
	json_object_set_new(o, "stream", json_boolean(active && d->decision[e->slot].stream));
	set_text(o, "reason",
		 policy_reason_name(active ? d->decision[e->slot].reason : LAW_REASON_INACTIVE));
	return o;
}

json_t *facts_cost(const struct daemon *d)
{
	json_t *o = json_object();

	set(o, "tick_p50_ns", d->cost.tick_p50_ns);
	set(o, "tick_p99_ns", d->cost.tick_p99_ns);
	set(o, "ticks", d->cost.ticks);
	set(o, "urgent_ticks", d->cost.urgent_ticks);
	set(o, "cpu_ppm", d->cost.cpu_ppm);
	set(o, "rss_bytes", d->cost.rss_bytes);
	set(o, "dropped_events", sensors_dropped(d->sensors));
	json_object_set_new(o, "reuse_counting", json_boolean(d->reuse_counting));
	return o;
}

static json_t *groups(const struct daemon *d)
{
	json_t *a = json_array();

	for (uint32_t g = 0; g < d->config->groups; g++) {
		const struct config_group *c = &d->config->group[g];
		uint64_t usage = 0, target = 0;
		json_t *o = json_object();

		for_each_engine (d, e) {
			if (e->conf->group != g || e->status != ENGINE_ACTIVE)
				continue;
			usage += d->sample[e->slot].usage_bytes;
			target += d->decision[e->slot].target_bytes;
		}
		set_text(o, "name", c->name);
		set(o, "min_bytes", c->min_bytes);
		set_limit(o, "max_bytes", c->max_bytes);
		set(o, "weight", c->weight);
		set(o, "usage_bytes", usage);
		set(o, "target_bytes", target);
		json_array_append_new(a, o);
	}
	return a;
}

json_t *facts_status(const struct daemon *d)
{
	json_t *o = json_object(), *engines = json_array();
	struct utsname uts;

	uname(&uts);
	set_text(o, "version", BAROSTAT_VERSION);
	set_text(o, "rung", rung_name(d->rung));
	set_text(o, "kernel", uts.release);
	set_text(o, "policy", policy_name(d->config->policy));
	json_object_set_new(o, "dry_run", json_boolean(d->dry_run));
	set(o, "uptime_s", (clock_now_ns() - d->started_ns) / NS_PER_S);
	set(o, "ceiling_bytes", d->ceiling_bytes);
	set(o, "reserve_bytes", d->params.reserve_bytes);
	set(o, "usage_bytes", d->usage_bytes);
	set(o, "interval_ms", d->config->interval_ns / NS_PER_MS);
	set_text(o, "page", d->config->page);
	set_text(o, "engine_socket", d->config->engine_socket);
	json_object_set_new(o, "metrics_at",
			    d->metrics ? json_string(d->config->metrics) : json_null());
	set_text(o, "config", d->config_path);
	set_text(o, "parent", d->config->parent);
	set_text(o, "level", level_name(d->host_level.level));
	json_object_set_new(o, "cost", facts_cost(d));
	json_object_set_new(o, "groups", groups(d));
	for_each_engine (d, e)
		json_array_append_new(engines, facts_engine(d, e));
	json_object_set_new(o, "engines", engines);
	return o;
}

json_t *facts_explain(const struct daemon *d, const struct engine *e)
{
	json_t *o = json_object(), *decisions = json_array();
	uint64_t now_ns = clock_now_ns();
	const struct history_decision *h;

	json_object_set_new(o, "engine", facts_engine(d, e));
	for (uint32_t i = 0; (h = history_decision_at(&e->history, i)); i++) {
		json_t *one = decision_json(h, explain_peer(d, h->peer));

		set(one, "age_ms", (now_ns - h->at_ns) / NS_PER_MS);
		json_array_append_new(decisions, one);
	}
	json_object_set_new(o, "decisions", decisions);
	json_object_set_new(o, "words", explain_words(d, e, now_ns));
	return o;
}

json_t *facts_history(const struct daemon *d, const struct engine *e)
{
	json_t *o = json_object(), *samples = json_array();

	set(o, "interval_ms", HISTORY_STEP_NS / NS_PER_MS);
	for (uint32_t i = e->history.samples; i-- > 0;) {
		const struct history_sample *s = history_sample_at(&e->history, i);
		json_t *one = json_object();

		set(one, "usage_bytes", s->usage_bytes);
		set(one, "target_bytes", s->target_bytes);
		set(one, "stall_ppm", s->stall_max_ppm);
		json_array_append_new(samples, one);
	}
	json_object_set_new(o, "samples", samples);
	return o;
}
