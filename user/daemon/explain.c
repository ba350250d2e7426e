/* SPDX-License-Identifier: BSD-2-Clause */
/* Decisions in words. Every number said here stands in the decision or in the estimate. */
#include <stdio.h>

#include "user/common/clock.h"
#include "user/common/units.h"
#include "user/daemon/facts.h"

#define WORDS_MAX 6

struct sizes {
	char before[16], after[16], moved[16], usage[16], age[16];
};

static const char *peer_name(const struct daemon *d, uint32_t peer)
{
	if (peer >= d->slots_used || d->engine[peer].status == ENGINE_FREE)
		return "the others";
	return d->engine[peer].name;
}

static void move_words(const struct daemon *d, const struct engine *e,
		       const struct history_decision *h, const struct sizes *z, char *buf, size_t n)
{
	const char *peer = peer_name(d, h->peer);
	double stall = h->stall_ppm / 1e4, gain = h->gain_ppm / 1e4, loss = h->loss_ppm / 1e4;

	switch (h->reason) {
	case LAW_REASON_GAIN:
		snprintf(buf, n,
			 "%s ago it got %s (%s to %s) from %s: it was stalled %.1f %% of the time "
			 "with %llu refaults a second; expected to save %.2f %% here and to cost "
			 "%.2f %% there.",
			 z->age, z->moved, z->before, z->after, peer, stall,
			 (unsigned long long)h->refaults_per_s, gain, loss);
		break;
	case LAW_REASON_TARGET:
		snprintf(buf, n,
			 "%s ago it got %s (%s to %s) from %s: it was stalled %.1f %% of the time, "
			 "more than its stall target of %.1f %% allows.",
			 z->age, z->moved, z->before, z->after, peer, stall,
			 (double)e->conf->stall_target_ppm / 1e4);
		break;
	case LAW_REASON_DONATE:
		snprintf(buf, n,
			 "%s ago it gave %s (%s to %s) to %s, where it was worth more: %.2f %% of "
			 "stall saved there against %.2f %% here.",
			 z->age, z->moved, z->before, z->after, peer, gain, loss);
		break;
	case LAW_REASON_BURST:
		snprintf(buf, n,
			 "%s ago it got %s at once (%s to %s): its demand jumped to %s and memory "
			 "was free.",
			 z->age, z->moved, z->before, z->after, z->usage);
		break;
	case LAW_REASON_IDLE:
		snprintf(buf, n, "%s ago %s it did not use was lent out (%s to %s).", z->age,
			 z->moved, z->before, z->after);
		break;
	case LAW_REASON_STREAM:
		snprintf(buf, n,
			 "%s ago it was kept at %s (from %s): it reads or writes without reuse, so "
			 "more memory would save it nothing.",
			 z->age, z->after, z->before);
		break;
	case LAW_REASON_START:
		snprintf(buf, n, "%s ago it started with %s, its share until more is known.",
			 z->age, z->after);
		break;
	default:
		snprintf(buf, n, "%s ago its target went from %s to %s: %s.", z->age, z->before,
			 z->after, policy_reason_name(h->reason));
		break;
	}
}

static void still_words(const struct history_decision *h, const struct sizes *z, char *buf,
			size_t n)
{
	const char *why = policy_reason_name(h->reason);

	switch (h->reason) {
	case LAW_REASON_FILLING:
		why = "it has not yet used what it was given";
		break;
	case LAW_REASON_HYSTERESIS:
		why = "what it would gain does not clearly exceed what the others would lose";
		break;
	case LAW_REASON_NOISE:
		why = "too few samples speak for a move";
		break;
	case LAW_REASON_MANUAL:
		why = "somebody else set its limit, which is respected";
		break;
	case LAW_REASON_OVERCOMMITTED:
		why = "minima and memory that cannot be reclaimed exceed the ceiling";
		break;
	case LAW_REASON_NONE:
		why = "nothing stalls enough to be worth moving memory for";
		break;
	default:
		break;
	}
	snprintf(buf, n, "For %s its target has stayed at %s: %s.", z->age, z->after, why);
}

static json_t *present(const struct daemon *d, const struct engine *e)
{
	const struct law_estimate *est = &d->estimate[e->slot];
	char usage[16], target[16], buf[CONFIG_PATH_MAX + 64];
	const char *mode = e->soft ? "protected up to" : "limited to";

	if (e->status != ENGINE_ACTIVE) {
		snprintf(buf, sizeof(buf), "Its cgroup %s does not exist%s.", e->conf->cgroup,
			 e->was_active ? " any more" : " yet");
		return json_string(buf);
	}
	units_format_size(d->sample[e->slot].usage_bytes, usage, sizeof(usage));
	units_format_size(d->decision[e->slot].target_bytes, target, sizeof(target));
	snprintf(buf, sizeof(buf),
		 "It uses %s and is %s %s; it is stalled %.1f %% of the time, at level %s.", usage,
		 mode, target, est->stall_avg_ppm / 1e4, level_name(e->level.level));
	return json_string(buf);
}

json_t *explain_words(const struct daemon *d, const struct engine *e, uint64_t now_ns)
{
	const struct history_decision *h;
	json_t *words = json_array();
	char buf[512];

	json_array_append_new(words, present(d, e));
	for (uint32_t i = 0; i < WORDS_MAX && (h = history_decision_at(&e->history, i)); i++) {
		uint64_t moved = h->target_bytes > h->before_bytes
				     ? h->target_bytes - h->before_bytes
				     : h->before_bytes - h->target_bytes;
		uint64_t age_ns = now_ns - h->at_ns;
		struct sizes z;

		units_format_size(h->before_bytes, z.before, sizeof(z.before));
		units_format_size(h->target_bytes, z.after, sizeof(z.after));
		units_format_size(moved, z.moved, sizeof(z.moved));
		units_format_size(h->usage_bytes, z.usage, sizeof(z.usage));
		units_format_time(age_ns >= NS_PER_S ? age_ns / NS_PER_S * NS_PER_S
						     : age_ns / NS_PER_MS * NS_PER_MS,
				  z.age, sizeof(z.age));
		if (moved)
			move_words(d, e, h, &z, buf, sizeof(buf));
		else
			still_words(h, &z, buf, sizeof(buf));
		json_array_append_new(words, json_string(buf));
	}
	return words;
}
