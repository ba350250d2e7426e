/* SPDX-License-Identifier: BSD-2-Clause */
/* What is exported of the daemon and of each engine: tables of names, and where their numbers are.
 * docs/metrics.md has the same names; a test compares them. */
#include <inttypes.h>
#include <sys/utsname.h>

#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/common/units.h"
#include "user/daemon/config_endpoint.h"
#include "user/daemon/scrape_internal.h"
#include "user/daemon/sensors.h"

#define COUNTER "counter"
#define GAUGE   "gauge"

/* ---- the daemon ------------------------------------------------------------------------------ */

static uint64_t host_ceiling(const struct daemon *d, uint64_t now_ns)
{
	return d->ceiling_bytes;
}

static uint64_t host_reserve(const struct daemon *d, uint64_t now_ns)
{
	return d->params.reserve_bytes;
}

static uint64_t host_usage(const struct daemon *d, uint64_t now_ns)
{
	return d->usage_bytes;
}

static uint64_t host_level(const struct daemon *d, uint64_t now_ns)
{
	return 1 + (uint64_t)d->host_level.level;
}

static uint64_t host_score(const struct daemon *d, uint64_t now_ns)
{
	return d->host_level.score_ppm;
}

static uint64_t host_dry_run(const struct daemon *d, uint64_t now_ns)
{
	return d->dry_run;
}

static uint64_t host_interval(const struct daemon *d, uint64_t now_ns)
{
	return d->config->interval_ns;
}

static uint64_t host_uptime(const struct daemon *d, uint64_t now_ns)
{
	return sat_sub_u64(now_ns, d->started_ns);
}

static uint64_t host_ticks(const struct daemon *d, uint64_t now_ns)
{
	return d->cost.ticks;
}

static uint64_t host_urgent_ticks(const struct daemon *d, uint64_t now_ns)
{
	return d->cost.urgent_ticks;
}

static uint64_t host_tick_p50(const struct daemon *d, uint64_t now_ns)
{
	return d->cost.tick_p50_ns;
}

static uint64_t host_tick_p99(const struct daemon *d, uint64_t now_ns)
{
	return d->cost.tick_p99_ns;
}

static uint64_t host_cpu(const struct daemon *d, uint64_t now_ns)
{
	return d->cost.cpu_ppm;
}

static uint64_t host_rss(const struct daemon *d, uint64_t now_ns)
{
	return d->cost.rss_bytes;
}

static uint64_t host_dropped(const struct daemon *d, uint64_t now_ns)
{
	return sensors_dropped(d->sensors);
}

static uint64_t host_reuse_counting(const struct daemon *d, uint64_t now_ns)
{
	return d->reuse_counting;
}

static const struct {
	const char *name, *type, *help;
	enum scrape_unit unit;
	uint64_t (*of)(const struct daemon *d, uint64_t now_ns); /* NULL: the line with labels */
} host[] = {
	{ "barostat_info", GAUGE, "Always 1; what runs where, in its labels.", SCRAPE_PLAIN, NULL },
	{ "barostat_ceiling_bytes", GAUGE, "What all engines together may use.", SCRAPE_BYTES,
	  host_ceiling },
	{ "barostat_reserve_bytes", GAUGE, "Of the ceiling, never handed out.", SCRAPE_BYTES,
	  host_reserve },
	{ "barostat_usage_bytes", GAUGE, "Used by all engines together.", SCRAPE_BYTES,
	  host_usage },
	{ "barostat_level", GAUGE, "Of the host: 1 normal, 2 warning, 3 critical, 4 emergency.",
	  SCRAPE_PLAIN, host_level },
	{ "barostat_score_ratio", GAUGE, "Pressure of the host as one number.", SCRAPE_PPM,
	  host_score },
	{ "barostat_dry_run", GAUGE, "1 when nothing is changed.", SCRAPE_PLAIN, host_dry_run },
	{ "barostat_interval_seconds", GAUGE, "Between two regular ticks.", SCRAPE_NS,
	  host_interval },
	{ "barostat_uptime_seconds", GAUGE, "Of the daemon.", SCRAPE_NS, host_uptime },
	{ "barostat_ticks_total", COUNTER, "Ticks.", SCRAPE_PLAIN, host_ticks },
	{ "barostat_urgent_ticks_total", COUNTER, "Ticks that a stall brought forward.",
	  SCRAPE_PLAIN, host_urgent_ticks },
	{ "barostat_tick_p50_seconds", GAUGE, "Time of a tick, median.", SCRAPE_NS, host_tick_p50 },
	{ "barostat_tick_p99_seconds", GAUGE, "Time of a tick, 99th percentile.", SCRAPE_NS,
	  host_tick_p99 },
	{ "barostat_cpu_ratio", GAUGE, "Of one core, used by the daemon.", SCRAPE_PPM, host_cpu },
	{ "barostat_rss_bytes", GAUGE, "Resident memory of the daemon.", SCRAPE_BYTES, host_rss },
	{ "barostat_dropped_events_total", COUNTER, "Lost from the BPF ring buffer.", SCRAPE_PLAIN,
	  host_dropped },
	{ "barostat_reuse_counting", GAUGE,
	  "1 while reuse times are counted, 0 while that sensor rests or is off.", SCRAPE_PLAIN,
	  host_reuse_counting },
};

static void put_label(struct scrape_text *t, const char *before, const char *name,
		      const char *value)
{
	scrape_put(t, "%s%s=", before, name);
	scrape_quote(t, value);
}

static void host_info(struct scrape_text *t, const struct daemon *d)
{
	struct utsname uts;

	uname(&uts);
	put_label(t, "{", "version", BAROSTAT_VERSION);
	put_label(t, ",", "rung", rung_name(d->rung));
	put_label(t, ",", "policy", policy_name(d->config->policy));
	put_label(t, ",", "kernel", uts.release);
	scrape_put(t, "} 1\n");
}

uint32_t scrape_host_families(void)
{
	return ARRAY_SIZE(host);
}

void scrape_host(struct scrape_text *t, const struct daemon *d, uint32_t family, uint64_t now_ns)
{
	scrape_head(t, host[family].name, host[family].type, host[family].help);
	scrape_put(t, "%s", host[family].name);
	if (host[family].of)
		scrape_value(t, host[family].unit, host[family].of(d, now_ns));
	else
		host_info(t, d);
}

/* ---- engines --------------------------------------------------------------------------------- */

/* The struct that has the number. */
enum from { FROM_SAMPLE, FROM_ESTIMATE, FROM_DECISION, FROM_ENGINE, FROM_CONFIG, FROM_NOWHERE };

/* What has a line of its own making. */
enum special {
	NOTHING_SPECIAL,
	SPECIAL_INFO,
	SPECIAL_ACTIVE,
	SPECIAL_LEVEL,
	SPECIAL_CAUSES,
	SPECIAL_LIMIT,
	SPECIAL_VELOCITY
};

struct engine_family {
	const char *name, *type, *help;
	enum scrape_unit unit;
	enum from from;
	size_t offset, bytes;
	enum special special;
};

#define AT(where, type, member)                                                                    \
	.from = (where), .offset = offsetof(struct type, member),                                  \
	.bytes = sizeof(((struct type *)0)->member)
#define SAMPLE(member)   AT(FROM_SAMPLE, law_sample, member)
#define ESTIMATE(member) AT(FROM_ESTIMATE, law_estimate, member)
#define DECISION(member) AT(FROM_DECISION, law_decision, member)
#define ENGINE(member)   AT(FROM_ENGINE, engine, member)
#define CONFIG(member)   AT(FROM_CONFIG, config_engine, member)
#define SPECIAL(what)    .from = FROM_NOWHERE, .special = (what)

static const struct engine_family engine_family[] = {
	{ "barostat_engine_info", GAUGE, "Always 1; what the engine is, in its labels.",
	  SCRAPE_PLAIN, SPECIAL(SPECIAL_INFO) },
	{ "barostat_engine_active", GAUGE, "1 while its cgroup is there.", SCRAPE_PLAIN,
	  SPECIAL(SPECIAL_ACTIVE) },
	{ "barostat_engine_level", GAUGE,
	  "0 unknown, 1 normal, 2 warning, 3 critical, 4 emergency.", SCRAPE_PLAIN,
	  SPECIAL(SPECIAL_LEVEL) },
	{ "barostat_engine_score_ratio", GAUGE, "Pressure as one number.", SCRAPE_PPM,
	  ENGINE(level.score_ppm) },
	{ "barostat_engine_usage_bytes", GAUGE, "Used.", SCRAPE_BYTES, SAMPLE(usage_bytes) },
	{ "barostat_engine_anon_bytes", GAUGE, "Of that, anonymous.", SCRAPE_BYTES,
	  SAMPLE(anon_bytes) },
	{ "barostat_engine_file_bytes", GAUGE, "Of that, page cache.", SCRAPE_BYTES,
	  SAMPLE(file_bytes) },
	{ "barostat_engine_shmem_bytes", GAUGE, "Of that, shared memory.", SCRAPE_BYTES,
	  SAMPLE(shmem_bytes) },
	{ "barostat_engine_kernel_bytes", GAUGE, "Of that, the kernel's.", SCRAPE_BYTES,
	  SAMPLE(kernel_bytes) },
	{ "barostat_engine_dirty_bytes", GAUGE, "Dirty and under writeback.", SCRAPE_BYTES,
	  SAMPLE(dirty_bytes) },
	{ "barostat_engine_unreclaimable_bytes", GAUGE,
	  "Anonymous without swap, shared, kernel, locked.", SCRAPE_BYTES,
	  SAMPLE(unreclaimable_bytes) },
	{ "barostat_engine_working_set_bytes", GAUGE, "The daemon's best guess.", SCRAPE_BYTES,
	  ESTIMATE(working_set_bytes) },
	{ "barostat_engine_target_bytes", GAUGE, "What it should have.", SCRAPE_BYTES,
	  DECISION(target_bytes) },
	{ "barostat_engine_limit_bytes", GAUGE, "The lowest limit in force; absent without one.",
	  SCRAPE_BYTES, SPECIAL(SPECIAL_LIMIT) },
	{ "barostat_engine_low_bytes", GAUGE, "Protection in force.", SCRAPE_BYTES,
	  ENGINE(actual.bytes[CG_LIMIT_LOW]) },
	{ "barostat_engine_min_bytes", GAUGE, "Guaranteed by the operator.", SCRAPE_BYTES,
	  CONFIG(min_bytes) },
	{ "barostat_engine_max_bytes", GAUGE, "Allowed by the operator.", SCRAPE_BYTES,
	  CONFIG(max_bytes) },
	{ "barostat_engine_release_bytes", GAUGE, "To give back.", SCRAPE_BYTES,
	  ENGINE(release_bytes) },
	{ "barostat_engine_weight", GAUGE, "What its stalled time is worth; 100 is normal.",
	  SCRAPE_PLAIN, CONFIG(weight) },
	{ "barostat_engine_stall_ratio", GAUGE, "Stalled share of time, last interval.", SCRAPE_PPM,
	  ESTIMATE(stall_ppm) },
	{ "barostat_engine_stall_avg_ratio", GAUGE, "The same, smoothed.", SCRAPE_PPM,
	  ESTIMATE(stall_avg_ppm) },
	{ "barostat_engine_stalled_tasks", GAUGE, "Tasks stalled at once, on average, by cause.",
	  SCRAPE_NS, SPECIAL(SPECIAL_CAUSES) },
	{ "barostat_engine_psi_memory_some_ratio", GAUGE, "PSI, some, over a second.", SCRAPE_PPM,
	  ENGINE(window_memory.some_1s_ppm) },
	{ "barostat_engine_psi_io_some_ratio", GAUGE, "PSI, some, over a second.", SCRAPE_PPM,
	  ENGINE(window_io.some_1s_ppm) },
	{ "barostat_engine_refaults_per_second", GAUGE, "Pages that came back after eviction.",
	  SCRAPE_PLAIN, ESTIMATE(refaults_per_s) },
	{ "barostat_engine_faults_per_second", GAUGE, "Page faults.", SCRAPE_PLAIN,
	  ESTIMATE(faults_per_s) },
	{ "barostat_engine_majfaults_per_second", GAUGE, "Major page faults.", SCRAPE_PLAIN,
	  ESTIMATE(majfaults_per_s) },
	{ "barostat_engine_evictions_per_second", GAUGE, "Pages evicted.", SCRAPE_PLAIN,
	  ESTIMATE(evictions_per_s) },
	{ "barostat_engine_velocity_bytes_per_second", GAUGE, "How fast usage grows.", SCRAPE_PLAIN,
	  SPECIAL(SPECIAL_VELOCITY) },
	{ "barostat_engine_oom_kills_total", COUNTER, "Killed for want of memory.", SCRAPE_PLAIN,
	  SAMPLE(oom_kills) },
	{ "barostat_engine_freezes_lifted_total", COUNTER,
	  "Times the watchdog raised memory.high for it.", SCRAPE_PLAIN, ENGINE(freeze.lifts) },
	{ "barostat_engine_clients", GAUGE, "Clients that declare what they use.", SCRAPE_PLAIN,
	  SAMPLE(demand.clients) },
	{ "barostat_engine_accounted_bytes", GAUGE, "What its clients count as used.", SCRAPE_BYTES,
	  SAMPLE(demand.accounted_bytes) },
	{ "barostat_engine_reclaimable_bytes", GAUGE, "What its clients could give back.",
	  SCRAPE_BYTES, SAMPLE(demand.reclaimable_bytes) },
	{ "barostat_engine_wanted_bytes", GAUGE, "What its clients could make use of.",
	  SCRAPE_BYTES, SAMPLE(demand.wanted_bytes) },
	{ "barostat_engine_grants_total", COUNTER, "Moves with its budget, and with requests.",
	  SCRAPE_PLAIN, ENGINE(grant_epoch) },
};

uint32_t scrape_engine_families(void)
{
	return ARRAY_SIZE(engine_family);
}

void scrape_engine_head(struct scrape_text *t, uint32_t family)
{
	const struct engine_family *f = &engine_family[family];

	scrape_head(t, f->name, f->type, f->help);
}

static uint64_t number_of(const struct engine_family *f, const struct daemon *d,
			  const struct engine *e)
{
	const void *const bases[] = {
		[FROM_SAMPLE] = &d->sample[e->slot],
		[FROM_ESTIMATE] = &d->estimate[e->slot],
		[FROM_DECISION] = &d->decision[e->slot],
		[FROM_ENGINE] = e,
		[FROM_CONFIG] = e->conf,
	};
	const char *at = (const char *)bases[f->from] + f->offset;

	return f->bytes == sizeof(uint32_t) ? *(const uint32_t *)at : *(const uint64_t *)at;
}

static void put_engine(struct scrape_text *t, const struct engine_family *f, const struct engine *e)
{
	scrape_put(t, "%s{engine=", f->name);
	scrape_quote(t, e->name);
}

static void engine_info(struct scrape_text *t, const struct engine_family *f,
			const struct daemon *d, const struct engine *e)
{
	bool active = e->status == ENGINE_ACTIVE;

	put_engine(t, f, e);
	put_label(t, ",", "group", d->config->group[e->conf->group].name);
	put_label(t, ",", "cgroup", e->conf->cgroup);
	put_label(t, ",", "reason",
		  policy_reason_name(active ? d->decision[e->slot].reason : LAW_REASON_INACTIVE));
	scrape_put(t, "} 1\n");
}

static void engine_causes(struct scrape_text *t, const struct engine_family *f,
			  const struct daemon *d, const struct engine *e)
{
	static const char *const names[STALL_CAUSES] = {
		[STALL_DIRECT_RECLAIM] = "direct_reclaim",
		[STALL_HIGH_THROTTLE] = "high_throttle",
		[STALL_REFAULT] = "refault",
		[STALL_SWAP_IN] = "swap_in",
	};

	for (int c = 0; c < STALL_CAUSES; c++) {
		put_engine(t, f, e);
		put_label(t, ",", "cause", names[c]);
		scrape_put(t, "}");
		scrape_value(t, f->unit, d->estimate[e->slot].stall_cause_ns_per_s[c]);
	}
}

/* False: there is no such number. */
static bool special_number(const struct engine_family *f, const struct engine *e, uint64_t *ret)
{
	bool active = e->status == ENGINE_ACTIVE;

	switch (f->special) {
	case SPECIAL_ACTIVE:
		*ret = active;
		return true;
	case SPECIAL_LEVEL:
		*ret = active ? 1 + (uint64_t)e->level.level : 0;
		return true;
	default: /* SPECIAL_LIMIT */
		*ret = min_u64(e->actual.bytes[CG_LIMIT_HIGH], e->actual.bytes[CG_LIMIT_MAX]);
		return active && *ret != BYTES_NO_LIMIT;
	}
}

void scrape_engine(struct scrape_text *t, const struct daemon *d, const struct engine *e,
		   uint32_t family)
{
	const struct engine_family *f = &engine_family[family];
	uint64_t value;

	switch (f->special) {
	case SPECIAL_INFO:
		engine_info(t, f, d, e);
		return;
	case SPECIAL_CAUSES:
		engine_causes(t, f, d, e);
		return;
	case SPECIAL_VELOCITY:
		put_engine(t, f, e);
		scrape_put(t, "} %" PRId64 "\n", d->estimate[e->slot].usage_velocity_bytes_per_s);
		return;
	case NOTHING_SPECIAL:
		value = number_of(f, d, e);
		break;
	default:
		if (!special_number(f, e, &value))
			return;
		break;
	}
	put_engine(t, f, e);
	scrape_put(t, "}");
	scrape_value(t, f->unit, value);
}
