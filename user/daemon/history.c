/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/history.h"

#include "user/common/clock.h"
#include "user/common/units.h"

static int direction(uint64_t before, uint64_t after)
{
	return (after > before) - (after < before);
}

static bool continues(const struct history_decision *h, enum law_policy policy,
		      const struct law_decision *d, uint64_t now_ns)
{
	/* a gift that was weighed is another thing than one that could not wait */
	return h->reason == d->reason && h->policy == policy && h->peer == d->peer &&
	       (h->gain_ppm == 0) == (d->gain_ppm == 0) && now_ns - h->at_ns < NS_PER_S &&
	       direction(h->before_bytes, h->target_bytes) ==
		   direction(d->before_bytes, d->target_bytes);
}

/* Between two moves one entry is enough for standing still: the latest reason, since when. */
static bool stands_still_again(const struct history *h, const struct law_decision *d)
{
	const struct history_decision *newest = &h->decision[h->decision_head];

	return h->decisions && d->target_bytes == d->before_bytes &&
	       newest->target_bytes == newest->before_bytes;
}

bool history_note_decision(struct history *h, const struct law_params *params,
			   const struct law_engine *engine, const struct law_decision *decision,
			   const struct law_estimate *estimate, const struct law_sample *sample,
			   uint64_t now_ns)
{
	struct history_decision *newest = &h->decision[h->decision_head];
	uint64_t before = decision->before_bytes, at_ns = now_ns;
	enum law_policy policy = params->policy;
	bool moved = decision->target_bytes != decision->before_bytes, fresh = false;
	uint32_t repeats = 0;

	/* Steps of one move with a tick's rest between them are one move. */
	if (moved && h->decisions > 1 && newest->target_bytes == newest->before_bytes &&
	    continues(history_decision_at(h, 1), policy, decision, now_ns)) {
		h->decision_head = (h->decision_head + HISTORY_DECISIONS - 1) % HISTORY_DECISIONS;
		h->decisions--;
		newest = &h->decision[h->decision_head];
	}
	if (!moved && h->decisions && newest->reason == decision->reason &&
	    newest->policy == policy)
		return false;
	if (!moved && !h->decisions && decision->reason == LAW_REASON_NONE)
		return false;
	if (stands_still_again(h, decision)) {
		at_ns = newest->at_ns;
		before = newest->before_bytes;
	} else if (h->decisions && moved && continues(newest, policy, decision, now_ns)) {
		before = newest->before_bytes;
		repeats = newest->repeats + 1;
	} else {
		h->decision_head = (h->decision_head + 1) % HISTORY_DECISIONS;
		if (h->decisions < HISTORY_DECISIONS)
			h->decisions++;
		fresh = moved;
	}
	h->decision[h->decision_head] = (struct history_decision){
		.at_ns = at_ns,
		.before_bytes = before,
		.target_bytes = decision->target_bytes,
		.usage_bytes = sample->usage_bytes,
		.unreclaimable_bytes = sample->unreclaimable_bytes,
		.refaults_per_s = estimate->refaults_per_s,
		.velocity_bytes_per_s = estimate->usage_velocity_bytes_per_s,
		.stall_ppm = estimate->stall_avg_ppm,
		.stall_target_ppm = engine->stall_target_ppm,
		.gain_ppm = decision->gain_ppm,
		.loss_ppm = decision->loss_ppm,
		.clamps = decision->clamps,
		.peer = decision->peer,
		.repeats = repeats,
		.reason = decision->reason,
		.policy = policy,
	};
	return fresh;
}

void history_note_sample(struct history *h, uint64_t usage_bytes, uint64_t target_bytes,
			 uint32_t stall_ppm, uint64_t now_ns)
{
	struct history_sample *s = &h->sample[h->sample_head];

	if (h->samples && now_ns - h->sample_at_ns < HISTORY_STEP_NS) {
		s->usage_bytes = usage_bytes;
		s->target_bytes = target_bytes;
		s->stall_ppm = stall_ppm;
		s->stall_max_ppm = (uint32_t)max_u64(s->stall_max_ppm, stall_ppm);
		return;
	}
	h->sample_at_ns = now_ns;
	h->sample_head = (h->sample_head + 1) % HISTORY_SAMPLES;
	if (h->samples < HISTORY_SAMPLES)
		h->samples++;
	h->sample[h->sample_head] =
	    (struct history_sample){ usage_bytes, target_bytes, stall_ppm, stall_ppm };
}

const struct history_decision *history_decision_at(const struct history *h, uint32_t i)
{
	if (i >= h->decisions)
		return NULL;
	return &h->decision[(h->decision_head + HISTORY_DECISIONS - i) % HISTORY_DECISIONS];
}

const struct history_sample *history_sample_at(const struct history *h, uint32_t i)
{
	if (i >= h->samples)
		return NULL;
	return &h->sample[(h->sample_head + HISTORY_SAMPLES - i) % HISTORY_SAMPLES];
}
