/* SPDX-License-Identifier: BSD-2-Clause */
/* Where an engine stands, and its last decisions, in words. */
#include <stdio.h>

#include "user/common/clock.h"
#include "user/common/units.h"
#include "user/daemon/decision_words.h"
#include "user/daemon/facts.h"

#define WORDS_MAX 6

const char *explain_peer(const struct daemon *d, uint32_t peer)
{
	if (peer >= d->slots_used || d->engine[peer].status == ENGINE_FREE)
		return NULL;
	return d->engine[peer].name;
}

static json_t *present(const struct daemon *d, const struct engine *e)
{
	const struct law_estimate *est = &d->estimate[e->slot];
	uint64_t cap = e->actual.bytes[CG_LIMIT_HIGH], limit = limits_in_force(&e->actual);
	char usage[16], target[16], more[16], also[48] = "", buf[CONFIG_PATH_MAX + 64];
	static const char *const modes[] = {
		[LIMITS_HARD] = "limited to",
		[LIMITS_SOFT] = "protected up to",
		[LIMITS_BACKSTOP] = "meant to keep to",
	};
	const char *mode = modes[engine_mode(e)];
	/* its maximum may leave room for less than it may have */
	uint64_t lent = engine_mode(e) == LIMITS_HARD
			    ? min_u64(e->lent_bytes, sat_sub_u64(e->actual.bytes[CG_LIMIT_MAX],
								 d->decision[e->slot].target_bytes))
			    : 0;

	if (e->status != ENGINE_ACTIVE) {
		snprintf(buf, sizeof(buf), "Its cgroup %s does not exist%s.", e->conf->cgroup,
			 e->was_active ? " any more" : " yet");
		return json_string(buf);
	}
	units_format_size(d->sample[e->slot].usage_bytes, usage, sizeof(usage));
	units_format_size(d->decision[e->slot].target_bytes, target, sizeof(target));
	if (e->soft && limit != BYTES_NO_LIMIT) {
		units_format_size(limit, more, sizeof(more));
		snprintf(also, sizeof(also), " and %s %s",
			 limit == cap ? "capped at" : "limited to", more);
	} else if (lent) {
		units_format_size(lent, more, sizeof(more));
		snprintf(also, sizeof(also), " and the %s that nobody uses", more);
	}
	snprintf(buf, sizeof(buf),
		 "It uses %s and is %s %s%s; it is stalled %.1f %% of the time, at level %s.",
		 usage, mode, target, also, est->stall_avg_ppm / 1e4, level_name(e->level.level));
	return json_string(buf);
}

json_t *explain_words(const struct daemon *d, const struct engine *e, uint64_t now_ns)
{
	const struct history_decision *h;
	json_t *words = json_array();

	json_array_append_new(words, present(d, e));
	for (uint32_t i = 0; i < WORDS_MAX && (h = history_decision_at(&e->history, i)); i++) {
		uint64_t age_ns = now_ns - h->at_ns;
		char age[16], ago[24], stayed[48], buf[DECISION_WORDS_BYTES];
		struct decision_when when = { .moved = ago, .stayed = stayed };

		units_format_time(age_ns >= NS_PER_S ? age_ns / NS_PER_S * NS_PER_S
						     : age_ns / NS_PER_MS * NS_PER_MS,
				  age, sizeof(age));
		snprintf(ago, sizeof(ago), "%s ago", age);
		snprintf(stayed, sizeof(stayed), "For %s its target has stayed", age);
		decision_words(h, &when, explain_peer(d, h->peer), buf, sizeof(buf));
		json_array_append_new(words, json_string(buf));
	}
	return words;
}
