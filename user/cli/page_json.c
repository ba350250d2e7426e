/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/page_json.h"

#include <inttypes.h>
#include <string.h>

#include "user/cli/fields.h"
#include "user/common/cleanup.h"
#include "user/common/units.h"

/* JSON integers are signed here; what does not fit is none, never or nonsense: null. */
static json_t *number(uint64_t v)
{
	return v > INT64_MAX ? json_null() : json_integer((json_int_t)v);
}

static void set(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, number(v));
}

static void set_text(json_t *o, const char *key, const char *text)
{
	json_object_set_new(o, key, json_string(text));
}

static json_t *flag_names(uint32_t flags, const char *const *name, unsigned int n)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < n; i++)
		if (flags & (1u << i))
			json_array_append_new(list, json_string(name[i]));
	return list;
}

static json_t *header_json(const struct page_view *v)
{
	static const char *const flag[] = { "dry_run", "can_low",    "can_reclaim",
					    "has_psi", "has_ledger", "has_ghosts" };
	const struct baro_page_header *h = &v->header;
	json_t *o = json_object();

	set_text(o, "path", v->path);
	json_object_set_new(o, "valid", json_boolean(v->valid));
	set(o, "void_since_ns", v->void_since_ns);
	set(o, "abi_major", h->abi_major);
	set(o, "abi_minor", h->abi_minor);
	set(o, "slot_count", h->slot_count);
	set(o, "slots_used", h->slots_used);
	/* An identity, not a quantity: as text it keeps all its bits in every JSON reader. */
	{
		char epoch[24];

		snprintf(epoch, sizeof(epoch), "%016" PRIx64, h->boot_epoch);
		set_text(o, "boot_epoch", epoch);
	}
	set(o, "generation", baro_page_generation(v->page));
	set(o, "published_ns", h->published_ns);
	set(o, "void_after_ns", h->void_after_ns);
	set(o, "ceiling_bytes", h->ceiling_bytes);
	set(o, "reserve_bytes", h->reserve_bytes);
	set(o, "usage_bytes", h->usage_bytes);
	set_text(o, "level", baro_level_name(h->level));
	set_text(o, "rung", baro_rung_name(h->rung));
	set(o, "score_ppm", h->score_ppm);
	json_object_set_new(o, "flags", flag_names(h->flags, flag, ARRAY_SIZE(flag)));
	set(o, "ticks", h->ticks);
	set(o, "interval_ns", h->interval_ns);
	set(o, "daemon_pid", h->daemon_pid);
	set(o, "cost_tick_p50_ns", h->cost_tick_p50_ns);
	set(o, "cost_tick_p99_ns", h->cost_tick_p99_ns);
	set(o, "cost_rss_bytes", h->cost_rss_bytes);
	set(o, "cost_cpu_ppm", h->cost_cpu_ppm);
	set(o, "dropped_events", h->dropped_events);
	return o;
}

static void set_pressure(json_t *o, const struct baro_pressure *p)
{
	static const char *const flag[] = { "hard", "stream", "at_limit" };

	set_text(o, "state", baro_slot_state_name(BARO_STATUS_STATE(p->status)));
	set_text(o, "level", baro_level_name(BARO_STATUS_LEVEL(p->status)));
	json_object_set_new(o, "flags",
			    flag_names(BARO_STATUS_FLAGS(p->status), flag, ARRAY_SIZE(flag)));
	set(o, "incarnation", BARO_STATUS_INCARNATION(p->status));
	set(o, "score_ppm", p->score_ppm);
	set(o, "updated_ns", p->updated_ns);
	set(o, "budget_bytes", p->budget_bytes);
	set(o, "target_bytes", p->target_bytes);
	set(o, "limit_bytes", p->limit_bytes);
	set(o, "usage_bytes", p->usage_bytes);
	set(o, "headroom_bytes", p->headroom_bytes);
	set(o, "release_bytes", p->release_bytes);
	set(o, "release_by_ns", p->release_by_ns);
	set(o, "grant_epoch", p->grant_epoch);
	set(o, "time_to_ceiling_ns", p->time_to_ceiling_ns);
	json_object_set_new(o, "velocity_bytes_per_s",
			    json_integer((json_int_t)p->velocity_bytes_per_s));
	set_text(o, "reason", baro_reason_name(p->reason));
	set(o, "clamps", p->clamps);
	set(o, "stall_ppm", p->stall_ppm);
	set(o, "stall_avg_ppm", p->stall_avg_ppm);
}

static void set_memory(json_t *o, const struct baro_slot *s)
{
	set(o, "anon_bytes", s->anon_bytes);
	set(o, "file_bytes", s->file_bytes);
	set(o, "shmem_bytes", s->shmem_bytes);
	set(o, "kernel_bytes", s->kernel_bytes);
	set(o, "dirty_bytes", s->dirty_bytes);
	set(o, "swap_bytes", s->swap_bytes);
	set(o, "unreclaimable_bytes", s->unreclaimable_bytes);
	set(o, "working_set_bytes", s->working_set_bytes);
	set(o, "low_bytes", s->low_bytes);
	set(o, "high_bytes", s->high_bytes);
	set(o, "hard_bytes", s->hard_bytes);
}

static void set_stalls(json_t *o, const struct baro_slot *s)
{
	json_t *stalls = json_object();

	set(o, "psi_memory_some_1s_ppm", s->psi_memory_some_1s_ppm);
	set(o, "psi_memory_full_1s_ppm", s->psi_memory_full_1s_ppm);
	set(o, "psi_memory_some_10s_ppm", s->psi_memory_some_10s_ppm);
	set(o, "psi_memory_full_10s_ppm", s->psi_memory_full_10s_ppm);
	set(o, "psi_io_some_1s_ppm", s->psi_io_some_1s_ppm);
	set(o, "psi_io_full_1s_ppm", s->psi_io_full_1s_ppm);
	set(o, "psi_io_some_10s_ppm", s->psi_io_some_10s_ppm);
	set(o, "psi_io_full_10s_ppm", s->psi_io_full_10s_ppm);
	set(o, "oom_kills", s->oom_kills);
	for (uint32_t i = 0; i < BARO_PAGE_STALL_CAUSES; i++)
		set(stalls, baro_stall_cause_name(i), s->stall_ns_per_s[i]);
	json_object_set_new(o, "stall_ns_per_s", stalls);
	set(o, "refaults_per_s", s->refaults_per_s);
	set(o, "faults_per_s", s->faults_per_s);
	set(o, "majfaults_per_s", s->majfaults_per_s);
	set(o, "evictions_per_s", s->evictions_per_s);
}

json_t *page_slot_json(uint32_t index, const struct baro_slot *s)
{
	json_t *o = json_object();

	set_text(o, "name", s->name);
	set(o, "slot", index);
	set(o, "cgroup_id", s->cgroup_id);
	set(o, "weight", s->weight);
	set(o, "min_bytes", s->min_bytes);
	set(o, "max_bytes", s->max_bytes);
	set_pressure(o, &s->pressure);
	set(o, "ack_epoch", s->ack_epoch);
	set_memory(o, s);
	set_stalls(o, s);
	return o;
}

json_t *page_json(const struct page_view *view)
{
	json_t *o = header_json(view), *slots = json_array();
	struct baro_slot_ref ref;
	struct baro_slot slot;

	for (uint32_t i = 0; i < baro_page_slots(view->page); i++)
		if (!baro_page_slot(view->page, i, &ref) && !baro_page_read_slot(&ref, &slot))
			json_array_append_new(slots, page_slot_json(i, &slot));
	json_object_set_new(o, "engines", slots);
	return o;
}

static bool ends_in(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

char *page_field_text(const char *key, const json_t *value)
{
	char buf[FIELD_BYTES] = "";
	uint64_t v = (uint64_t)json_integer_value(value);

	if (json_is_null(value))
		return strdup(ends_in(key, "_ns") ? "never" : "none");
	if (json_is_string(value))
		return strdup(json_string_value(value));
	if (!json_is_integer(value))
		return json_dumps(value, JSON_COMPACT);
	if (ends_in(key, "_bytes"))
		units_format_size(v, buf, sizeof(buf));
	else if (ends_in(key, "_ppm"))
		percent_text(v, buf);
	else
		snprintf(buf, sizeof(buf), "%" PRId64, (int64_t)json_integer_value(value));
	return strdup(buf);
}
