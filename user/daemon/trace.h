/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the law saw, and what it decided, as bytes: docs/trace.md. Both sides keep an image of the
 * last tick, and only what differs from it travels. Structs are looked at as 64-bit words, so a new
 * field of law.h needs nothing here; that both sides mean the same struct is what law_abi is for.
 *
 * Pure: no allocation, no clock, no I/O. Decoding takes any bytes: it stays within the arrays and
 * gives back nothing the law may not be called with.
 */
#ifndef BAROSTAT_DAEMON_TRACE_H
#define BAROSTAT_DAEMON_TRACE_H

#include "user/daemon/law_tick.h"

#define TRACE_MAGIC      "barotrc\n"
#define TRACE_VERSION    1
#define TRACE_BYTE_ORDER 0x01020304u
#define TRACE_NAME_BYTES 64

/* At the beginning of the file, in the byte order of the machine that wrote it. */
struct trace_header {
	char magic[8];
	uint32_t byte_order;
	uint32_t version; /* of this format */
	uint32_t law_abi; /* a sum over the declarations of law.h and wire.h */
	uint32_t params_bytes, engine_bytes, sample_bytes, estimate_bytes, memory_bytes,
	    decision_bytes;
	uint32_t slots; /* no slot is as high as this; at most LAW_ENGINES_MAX */
	char program[20]; /* version of barostat, with its NUL */
	uint32_t sum; /* CRC-32 of all before it; the first frame's goes on from it */
};

/* First byte of a frame. */
enum trace_kind {
	TRACE_STATE = 'S', /* estimates and state; the first frame, and no other */
	TRACE_TICK = 'T',
	TRACE_END = 'E', /* the last frame: the recording was ended, not cut off */
};

enum trace_end {
	TRACE_END_ASKED,
	TRACE_END_SLOW, /* the reader was too slow: ticks after this one are missing */
	TRACE_END_STOPPED, /* the daemon ended */
	TRACE_END_COUNT
};

/* Writes into the caller's bytes; past their end nothing but `full` is written. */
struct trace_out {
	uint8_t *at, *end;
	bool full;
};

/* Reads the caller's bytes; once `bad`, everything reads as 0. */
struct trace_in {
	const uint8_t *at, *end;
	bool bad;
};

/* One tick as it was. Arrays of `slots`, caller-owned, zeros at first. */
struct trace_image {
	uint32_t slots;
	uint32_t n;
	uint32_t urgent;
	uint64_t now_ns;
	struct law_params params;
	struct law_engine *engine;
	struct law_sample *sample;
	uint64_t *given_bytes;
	struct law_decision *decision;
	char (*name)[TRACE_NAME_BYTES];
	/*
	 * Writer: the law's memory as the last tick left it, so that what others did to it since
	 * (an engine that came or went) is seen. Reader: the memory an engine begins this tick
	 * with, where restarts[] has TRACE_RESTART_STATE.
	 */
	struct law_engine_state *state;
	uint64_t *updated_ns; /* writer: the same for estimates, which others only make zero */
	uint8_t *restarts; /* reader: what begins anew in this tick */
};

#define TRACE_RESTART_STATE    1u
#define TRACE_RESTART_ESTIMATE 2u

/* Everything but the sum at its end. */
void trace_header_init(struct trace_header *h, uint32_t slots);

/* -- writing; each puts the payload of a frame, or a part of it -- */

/* The law's memory between two ticks. Sets the image's view of it. */
void trace_put_state(struct trace_out *o, struct trace_image *image, const struct law_host *h);
/* Before law_tick(): what it will see. `name` has h->n entries, zeros after each name's end. */
void trace_put_inputs(struct trace_out *o, struct trace_image *image, const struct law_host *h,
		      const char (*name)[TRACE_NAME_BYTES], uint32_t urgent, uint64_t now_ns);
/* After it, in the same frame: what came of it. */
void trace_put_decisions(struct trace_out *o, struct trace_image *image, const struct law_host *h);
void trace_put_end(struct trace_out *o, enum trace_end why);

/* -- reading a payload, its first byte included; false: these bytes are none of ours -- */

/* `estimate` has image->slots elements. */
bool trace_get_state(struct trace_in *in, const struct trace_image *image, struct law_state *state,
		     struct law_estimate *estimate);
bool trace_get_tick(struct trace_in *in, struct trace_image *image);
bool trace_get_end(struct trace_in *in, enum trace_end *ret_why);

/* Makes the law's memory what it was before the image's tick began. */
void trace_restart(const struct trace_image *image, struct law_state *state,
		   struct law_estimate *estimate);

bool trace_same_decision(const struct law_decision *a, const struct law_decision *b);

#endif
