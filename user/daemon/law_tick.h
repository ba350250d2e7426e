/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One tick of the law, whole: who is estimated, then what is decided. The daemon, and whoever runs
 * a recording of it again, go through here, so that the order of things cannot differ.
 */
#ifndef BAROSTAT_DAEMON_LAW_TICK_H
#define BAROSTAT_DAEMON_LAW_TICK_H

#include "user/daemon/law.h"

/* Everything the law sees and keeps. Arrays of n or more, owned by the caller. */
struct law_host {
	uint32_t n;
	/* in */
	const struct law_params *params;
	const struct law_engine *engine;
	const struct law_sample *sample;
	const uint64_t *given_bytes; /* what each engine had while it was sampled */
	/* kept */
	struct law_estimate *estimate;
	struct law_state *state;
	struct law_workspace *workspace;
	/* out */
	struct law_decision *decision;
};

/*
 * A regular tick (`urgent` is LAW_NO_ENGINE) estimates every active engine, an early one that
 * engine alone, if it is active: nobody else was sampled. Pure.
 */
void law_tick(const struct law_host *h, uint32_t urgent, uint64_t now_ns);

#endif
