/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage 5, publish: the pressure page, levels, history. */
#include <string.h>

#include "user/common/clock.h"
#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/cost.h"
#include "user/daemon/daemon.h"
#include "user/daemon/page_writer.h"
#include "user/daemon/sensors.h"

/*
 * Clean page cache is not pressure: a file engine that fills its budget is healthy until it
 * stalls. So utilisation is what cannot be dropped, against what the engine may have.
 */
static uint32_t utilisation_ppm(const struct daemon *d, const struct engine *e)
{
	const struct law_sample *s = &d->sample[e->slot];
	uint64_t held = s->anon_bytes + s->shmem_bytes + s->kernel_bytes + s->dirty_bytes;
	uint64_t budget = min_u64(limits_in_force(&e->actual),
				  max_u64(d->decision[e->slot].target_bytes, LAW_PAGE_BYTES));

	if (!(s->valid & LAW_VALID_KINDS))
		held = s->usage_bytes;
	return (uint32_t)min_u64(mul_div_u64(held, PPM, max_u64(budget, 1)), PPM);
}

static void slot_kinds(const struct law_sample *s, struct page_slot_values *v)
{
	v->usage_bytes = s->usage_bytes;
	v->anon_bytes = s->anon_bytes;
	v->file_bytes = s->file_bytes;
	v->shmem_bytes = s->shmem_bytes;
	v->kernel_bytes = s->kernel_bytes;
	v->dirty_bytes = s->dirty_bytes;
	v->unreclaimable_bytes = s->unreclaimable_bytes;
	v->oom_kills = s->oom_kills;
	v->ack_epoch = s->demand.ack_epoch;
}

static void slot_rates(const struct law_estimate *est, struct page_slot_values *v)
{
	v->stall_ppm = est->stall_ppm;
	v->stall_avg_ppm = est->stall_avg_ppm;
	v->velocity_bytes_per_s = est->usage_velocity_bytes_per_s;
	v->refaults_per_s = est->refaults_per_s;
	v->faults_per_s = est->faults_per_s;
	v->majfaults_per_s = est->majfaults_per_s;
	v->evictions_per_s = est->evictions_per_s;
	v->working_set_bytes = est->working_set_bytes;
	for (int c = 0; c < STALL_CAUSES; c++)
		v->stall_ns_per_s[c] = est->stall_cause_ns_per_s[c];
}

static void slot_pressure(const struct engine *e, struct page_slot_values *v)
{
	v->psi_memory_some_1s_ppm = e->window_memory.some_1s_ppm;
	v->psi_memory_full_1s_ppm = e->window_memory.full_1s_ppm;
	v->psi_memory_some_10s_ppm = e->window_memory.some_10s_ppm;
	v->psi_memory_full_10s_ppm = e->window_memory.full_10s_ppm;
	v->psi_io_some_1s_ppm = e->window_io.some_1s_ppm;
	v->psi_io_full_1s_ppm = e->window_io.full_1s_ppm;
	v->psi_io_some_10s_ppm = e->window_io.some_10s_ppm;
	v->psi_io_full_10s_ppm = e->window_io.full_10s_ppm;
}

static void slot_limits(const struct daemon *d, struct engine *e, struct page_slot_values *v)
{
	const struct law_decision *dec = &d->decision[e->slot];
	uint64_t limit = limits_in_force(&e->actual);

	v->target_bytes = dec->target_bytes;
	/* During a transfer the kernel still holds the old limit: never promise more than it. */
	v->budget_bytes =
	    engine_mode(e) != LIMITS_HARD ? dec->target_bytes : min_u64(dec->target_bytes, limit);
	v->limit_bytes = limit;
	v->low_bytes = e->actual.bytes[CG_LIMIT_LOW];
	v->high_bytes = e->actual.bytes[CG_LIMIT_HIGH];
	v->hard_bytes = e->actual.bytes[CG_LIMIT_MAX];
	/* Of the kernel's limit: what the estimate knows is the target, which may be far below. */
	v->time_to_ceiling_ns = limits_time_to(limit, v->usage_bytes, v->velocity_bytes_per_s);
	v->headroom_bytes = sat_sub_u64(min_u64(limit, d->ceiling_bytes), v->usage_bytes);
	v->release_bytes = e->release_bytes;
	v->release_by_ns = e->release_deadline_ns;
	if (e->granted_bytes != v->budget_bytes) {
		e->granted_bytes = v->budget_bytes;
		e->grant_epoch++;
	}
	v->grant_epoch = e->grant_epoch;
}

/* One line as a move begins; its further steps are in `barostat explain`. */
static void log_move(const struct daemon *d, const struct engine *e)
{
	const struct law_decision *dec = &d->decision[e->slot];
	const struct law_estimate *est = &d->estimate[e->slot];
	const char *peer = dec->peer < d->slots_used ? d->engine[dec->peer].name : "-";

	log_info("engine=%s event=target reason=%s from=%llu to=%llu peer=%s usage=%llu "
		 "stall_ppm=%u refaults_per_s=%llu gain_ppm=%u loss_ppm=%u clamps=0x%x",
		 e->name, policy_reason_name(dec->reason), (unsigned long long)dec->before_bytes,
		 (unsigned long long)dec->target_bytes, peer,
		 (unsigned long long)d->sample[e->slot].usage_bytes, est->stall_avg_ppm,
		 (unsigned long long)est->refaults_per_s, dec->gain_ppm, dec->loss_ppm,
		 dec->clamps);
}

/* Within one step of the law. */
static bool touches_limit(const struct engine *e, const struct law_estimate *est,
			  uint64_t usage_bytes)
{
	uint64_t limit = limits_in_force(&e->actual);

	return limit != BYTES_NO_LIMIT && sat_sub_u64(limit, usage_bytes) <= est->bucket_bytes;
}

static void publish_engine(struct daemon *d, struct engine *e, uint64_t now_ns)
{
	const struct law_estimate *est = &d->estimate[e->slot];
	const struct law_sample *s = &d->sample[e->slot];
	const struct law_decision *dec = &d->decision[e->slot];
	struct page_slot_values v;

	memset(&v, 0, sizeof(v));
	if (e->status != ENGINE_ACTIVE) {
		v.state = e->was_active ? BARO_SLOT_GONE : BARO_SLOT_WAITING;
		v.level = BARO_LEVEL_UNKNOWN;
		v.reason = BARO_REASON_INACTIVE;
		v.limit_bytes = v.high_bytes = v.hard_bytes = BARO_PAGE_NONE;
		v.time_to_ceiling_ns = BARO_PAGE_NONE;
		page_writer_update(d->page, e->slot, &v, now_ns);
		return;
	}
	level_update(&e->level, utilisation_ppm(d, e), est->stall_avg_ppm, now_ns);
	slot_kinds(s, &v);
	slot_rates(est, &v);
	slot_pressure(e, &v);
	slot_limits(d, e, &v);
	v.state = e->manual ? BARO_SLOT_MANUAL : BARO_SLOT_ACTIVE;
	v.level = (enum baro_level)(BARO_LEVEL_NORMAL + e->level.level);
	v.score_ppm = e->level.score_ppm;
	v.flags = (engine_mode(e) != LIMITS_HARD ? 0u : BARO_SLOT_FLAG_HARD) |
		  (dec->stream ? BARO_SLOT_FLAG_STREAM : 0u) |
		  (touches_limit(e, est, s->usage_bytes) ? BARO_SLOT_FLAG_AT_LIMIT : 0u);
	v.reason = dec->reason;
	v.clamps = dec->clamps;
	page_writer_update(d->page, e->slot, &v, now_ns);
	if (history_note_decision(&e->history, &d->params, &d->law_engine[e->slot], dec, est, s,
				  now_ns))
		log_move(d, e);
	history_note_sample(&e->history, s->usage_bytes, dec->target_bytes, est->stall_ppm, now_ns);
}

static uint32_t page_flags(const struct daemon *d)
{
	const struct sensor_state *sensor = sensors_describe(d->sensors);

	return (d->dry_run ? BARO_PAGE_DRY_RUN : 0u) |
	       (d->abilities->has_low ? BARO_PAGE_CAN_LOW : 0u) |
	       (d->abilities->has_reclaim ? BARO_PAGE_CAN_RECLAIM : 0u) |
	       (d->abilities->has_psi ? BARO_PAGE_HAS_PSI : 0u) |
	       (sensor[SENSOR_STALLS].variant != SENSOR_OFF ? BARO_PAGE_HAS_LEDGER : 0u) |
	       (sensor[SENSOR_REFAULTS].variant != SENSOR_OFF ? BARO_PAGE_HAS_GHOSTS : 0u);
}

void publish_all(struct daemon *d, uint64_t now_ns)
{
	uint64_t held = 0;
	uint32_t stall_ppm = 0;
	struct page_header_values h;

	for_each_engine (d, e) {
		const struct law_sample *s = &d->sample[e->slot];

		publish_engine(d, e, now_ns);
		if (e->status != ENGINE_ACTIVE)
			continue;
		held += s->unreclaimable_bytes + s->dirty_bytes;
		stall_ppm = (uint32_t)max_u64(stall_ppm, d->estimate[e->slot].stall_avg_ppm);
	}
	level_update(&d->host_level,
		     (uint32_t)min_u64(mul_div_u64(held, PPM, max_u64(d->ceiling_bytes, 1)), PPM),
		     stall_ppm, now_ns);
	h = (struct page_header_values){
		.ceiling_bytes = d->ceiling_bytes,
		.reserve_bytes = d->params.reserve_bytes,
		.usage_bytes = d->usage_bytes,
		.level = (enum baro_level)(BARO_LEVEL_NORMAL + d->host_level.level),
		.score_ppm = d->host_level.score_ppm,
		.rung = (enum baro_rung)(BARO_RUNG_FULL + d->rung),
		.flags = page_flags(d),
		.interval_ns = d->config->interval_ns,
		.cost_tick_p50_ns = d->cost.tick_p50_ns,
		.cost_tick_p99_ns = d->cost.tick_p99_ns,
		.cost_rss_bytes = d->cost.rss_bytes,
		.cost_cpu_ppm = d->cost.cpu_ppm,
		.dropped_events = sensors_dropped(d->sensors),
	};
	page_writer_commit(d->page, &h, now_ns, d->config->lease_ns, false);
}
