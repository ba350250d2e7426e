/* SPDX-License-Identifier: BSD-2-Clause */
/* What `explain` and `top` look back on: the last decisions and a minute of samples per engine. */
#ifndef BAROSTAT_DAEMON_HISTORY_H
#define BAROSTAT_DAEMON_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "user/daemon/law.h"

#define HISTORY_DECISIONS 32
#define HISTORY_SAMPLES   60
#define HISTORY_STEP_NS   1000000000ull

struct history_decision {
	uint64_t at_ns;
	uint64_t before_bytes, target_bytes;
	uint64_t usage_bytes, unreclaimable_bytes, refaults_per_s;
	int64_t velocity_bytes_per_s;
	uint32_t stall_ppm, stall_target_ppm, gain_ppm, loss_ppm, clamps, peer, repeats;
	enum law_reason reason;
	enum law_policy policy; /* the law it was made by */
};

struct history_sample {
	uint64_t usage_bytes, target_bytes;
	uint32_t stall_ppm, stall_max_ppm;
};

struct history {
	struct history_decision decision[HISTORY_DECISIONS]; /* ring, newest at decision_head */
	uint32_t decision_head, decisions;
	struct history_sample sample[HISTORY_SAMPLES]; /* ring, newest at sample_head */
	uint32_t sample_head, samples;
	uint64_t sample_at_ns;
};

/*
 * Keeps a decision when it moved the target or its reason changed. The same reason moving on in
 * the same direction within a second is folded into one entry (repeats); between two moves one
 * entry says that it stood still, with the latest reason. Returns whether a new move began.
 */
bool history_note_decision(struct history *h, const struct law_params *params,
			   const struct law_engine *engine, const struct law_decision *decision,
			   const struct law_estimate *estimate, const struct law_sample *sample,
			   uint64_t now_ns);
void history_note_sample(struct history *h, uint64_t usage_bytes, uint64_t target_bytes,
			 uint32_t stall_ppm, uint64_t now_ns);
/* i = 0 is the newest; NULL past the end. */
const struct history_decision *history_decision_at(const struct history *h, uint32_t i);
const struct history_sample *history_sample_at(const struct history *h, uint32_t i);

#endif
