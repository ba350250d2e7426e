/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decisions in words and as JSON: the daemon says those it makes, `barostat replay` those that were
 * recorded. Every number said stands in the decision.
 */
#ifndef BAROSTAT_DAEMON_DECISION_WORDS_H
#define BAROSTAT_DAEMON_DECISION_WORDS_H

#include <jansson.h>
#include <stddef.h>

#include "user/daemon/history.h"

/* How a sentence begins: "2s ago", and "For 2s its target has stayed" for what did not move. */
struct decision_when {
	const char *moved, *stayed;
};

#define DECISION_WORDS_BYTES 512

/*
 * One sentence: what, by which inputs, and in brackets reason, policy and what held it. `peer` is
 * the name of the main donor or receiver, NULL for none. Returns buf.
 */
char *decision_words(const struct history_decision *h, const struct decision_when *when,
		     const char *peer, char *buf, size_t size);

/* The fields of docs/control.md's Decision but for age_ms; the caller's. NULL: out of memory. */
json_t *decision_json(const struct history_decision *h, const char *peer);

/* "min", "max" ... of one bit of enum law_clamp by its number, NULL past the last. */
const char *decision_clamp_name(unsigned int bit);

#endif
