/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A recording run again: the trace's frames one by one, and laws that are given the same inputs.
 * Nothing is read or written here, so that the same functions serve `barostat replay` and the
 * fuzzer. The images are the trace's; a law's memory is its own.
 */
#ifndef BAROSTAT_CLI_REPLAY_H
#define BAROSTAT_CLI_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "user/daemon/trace.h"

/* A law at work: its parameters and what it remembers. */
struct replay_law {
	struct law_params params;
	struct law_engine *engine;
	struct law_estimate *estimate;
	struct law_state *state;
	struct law_workspace *workspace;
	struct law_decision *decision;
};

enum replay_key {
	REPLAY_POLICY,
	REPLAY_GAMMA,
	REPLAY_CEILING,
	REPLAY_RESERVE,
	REPLAY_BURST,
	REPLAY_MIN, /* of an engine, as those below */
	REPLAY_MAX,
	REPLAY_WEIGHT,
	REPLAY_STALL_TARGET,
};

/* What is otherwise than it was recorded. */
struct replay_setting {
	enum replay_key key;
	bool percent; /* value is ppm of the ceiling */
	uint64_t value;
	char engine[TRACE_NAME_BYTES]; /* "" for what is of the host */
};

struct replay {
	struct trace_image image; /* the tick that was read last */
	struct replay_law law[2]; /* as it was; with other settings */
	uint32_t laws;
	bool begun; /* the state has been read */
	bool ended;
	enum trace_end end;
	uint64_t first_ns, ticks, urgent_ticks;
};

enum replay_read {
	REPLAY_READ_STATE,
	REPLAY_READ_TICK,
	REPLAY_READ_END,
};

/* `laws` is 1 or 2. 0, -ENOMEM. */
int replay_init(struct replay *r, uint32_t slots, uint32_t laws);
void replay_fini(struct replay *r);

/*
 * One frame's payload. enum replay_read, or -EBADMSG: it is none, or is out of place; then nothing
 * further can be read.
 */
int replay_read(struct replay *r, const uint8_t *payload, size_t bytes);

/* Lets a law decide on the tick that was read last: law->decision. */
void replay_step(const struct replay *r, struct replay_law *law,
		 const struct replay_setting *setting, size_t settings);

/*
 * "gamma=0%", "pg.max=2G". 0; -ENOENT: no such key; -EINVAL: the value. `engine`, the part before
 * the last dot, is not looked up.
 */
int replay_parse_setting(const char *text, struct replay_setting *ret);
/* What may be set, for messages. */
extern const char replay_settings_allowed[];

#endif
