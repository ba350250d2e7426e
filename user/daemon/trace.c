/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/trace.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define WORD         sizeof(uint64_t)
#define STATE_HEAD   offsetof(struct law_state, engine)
#define VARINT_BYTES 10
#define WORDS_OF(t)  static_assert(sizeof(t) % WORD == 0, #t " is made of whole words")

WORDS_OF(struct law_params);
WORDS_OF(struct law_engine);
WORDS_OF(struct law_sample);
WORDS_OF(struct law_estimate);
WORDS_OF(struct law_engine_state);
WORDS_OF(struct law_decision);
static_assert(STATE_HEAD % WORD == 0, "the head of law_state is made of whole words");
static_assert(sizeof(struct trace_header) == 72, "the header of a trace never changes its size");

void trace_header_init(struct trace_header *h, uint32_t slots)
{
	*h = (struct trace_header){
		.magic = TRACE_MAGIC,
		.byte_order = TRACE_BYTE_ORDER,
		.version = TRACE_VERSION,
		.law_abi = BAROSTAT_LAW_ABI,
		.params_bytes = sizeof(struct law_params),
		.engine_bytes = sizeof(struct law_engine),
		.sample_bytes = sizeof(struct law_sample),
		.estimate_bytes = sizeof(struct law_estimate),
		.memory_bytes = sizeof(struct law_engine_state),
		.decision_bytes = sizeof(struct law_decision),
		.slots = slots,
		.program = BAROSTAT_VERSION,
	};
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void put(struct trace_out *o, uint64_t v)
{
	uint8_t *at = o->at;

	if (o->full || o->end - at < VARINT_BYTES) {
		o->full = true;
		return;
	}
	for (; v >= 0x80; v >>= 7)
		*at++ = (uint8_t)(v | 0x80);
	*at++ = (uint8_t)v;
	o->at = at;
}

static uint64_t get(struct trace_in *in)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; shift < 64 && in->at < in->end && !in->bad; shift += 7) {
		uint64_t byte = *in->at++;

		v |= (byte & 0x7f) << shift;
		if (byte < 0x80)
			return v;
	}
	in->bad = true;
	return 0;
}

/* Small whatever the sign: 0, -1, 1, -2 are 0, 1, 2, 3. Wraps, so any two words have a difference.
 */
static uint64_t zigzag(uint64_t difference)
{
	return (difference << 1) ^ (0 - (difference >> 63));
}

static uint64_t unzigzag(uint64_t v)
{
	return (v >> 1) ^ (0 - (v & 1));
}

/* ---- words and lists ------------------------------------------------------------------------- */

/*
 * What differs: for each word its distance from the one before, from 1, and by how much; then 0.
 * Makes `then` like `now`.
 */
static void put_words(struct trace_out *o, const void *now, void *then, size_t bytes)
{
	size_t last = 0;

	for (size_t i = 0; i < bytes / WORD; i++) {
		uint64_t is, was;

		memcpy(&is, (const char *)now + i * WORD, WORD);
		memcpy(&was, (const char *)then + i * WORD, WORD);
		if (is == was)
			continue;
		put(o, i + 1 - last);
		put(o, zigzag(is - was));
		last = i + 1;
	}
	put(o, 0);
	memcpy(then, now, bytes);
}

static void get_words(struct trace_in *in, void *image, size_t bytes)
{
	size_t next = 0;

	for (uint64_t skip = get(in); skip; skip = get(in)) {
		uint64_t word;

		if (skip > bytes / WORD - next) {
			in->bad = true;
			return;
		}
		next += skip;
		memcpy(&word, (char *)image + (next - 1) * WORD, WORD);
		word += unzigzag(get(in));
		memcpy((char *)image + (next - 1) * WORD, &word, WORD);
	}
}

/* The same a level up: items that differ by their distance, then their words; then 0. */
static void put_list(struct trace_out *o, const void *now, void *then, uint32_t n, size_t bytes)
{
	uint32_t last = 0;

	for (uint32_t i = 0; i < n; i++) {
		const char *is = (const char *)now + i * bytes;
		char *was = (char *)then + i * bytes;

		if (memcmp(is, was, bytes) == 0)
			continue;
		put(o, i + 1 - last);
		put_words(o, is, was, bytes);
		last = i + 1;
	}
	put(o, 0);
}

/* The next item of a list, or UINT32_MAX at its end. */
static uint32_t get_index(struct trace_in *in, uint32_t *next, uint32_t n)
{
	uint64_t skip = get(in);

	if (skip == 0)
		return UINT32_MAX;
	if (skip > n - *next) {
		in->bad = true;
		return UINT32_MAX;
	}
	*next += (uint32_t)skip;
	return *next - 1;
}

static void get_list(struct trace_in *in, void *image, uint32_t n, size_t bytes)
{
	uint32_t next = 0, i;

	while ((i = get_index(in, &next, n)) != UINT32_MAX)
		get_words(in, (char *)image + i * bytes, bytes);
}

/* ---- what the law may be called with --------------------------------------------------------- */

static bool is_bool(const void *at)
{
	unsigned char byte;

	memcpy(&byte, at, 1);
	return byte <= 1;
}

static bool sound_engine(const struct law_engine *e)
{
	return is_bool(&e->active) && is_bool(&e->manual) && is_bool(&e->hard);
}

static bool sound_estimate(const struct law_estimate *e)
{
	return is_bool(&e->streaming) && is_bool(&e->at_limit) && is_bool(&e->filling) &&
	       is_bool(&e->memory.heap) && is_bool(&e->memory.distances_known) &&
	       is_bool(&e->memory.reuse_known) && e->memory.top <= LAW_BUCKETS;
}

static bool sound_tick(const struct trace_image *image)
{
	for (uint32_t i = 0; i < image->n; i++)
		if (!sound_engine(&image->engine[i]) || !is_bool(&image->decision[i].stream) ||
		    image->name[i][TRACE_NAME_BYTES - 1])
			return false;
	return true;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void remember(struct trace_image *image, const struct law_host *h)
{
	for (uint32_t i = 0; i < h->n; i++) {
		image->state[i] = h->state->engine[i];
		image->updated_ns[i] = h->estimate[i].updated_ns;
	}
}

/* From zeros: the estimate of a slot is large and mostly so. */
static void put_estimate(struct trace_out *o, const struct law_estimate *estimate)
{
	struct law_estimate zeros;

	memset(&zeros, 0, sizeof(zeros));
	put_words(o, estimate, &zeros, sizeof(zeros));
}

void trace_put_state(struct trace_out *o, struct trace_image *image, const struct law_host *h)
{
	char head[STATE_HEAD] = { 0 };

	put(o, TRACE_STATE);
	put(o, h->n);
	put_words(o, h->state, head, STATE_HEAD);
	put_list(o, h->state->engine, image->state, h->n, sizeof(image->state[0]));
	for (uint32_t i = 0; i < h->n; i++)
		put_estimate(o, &h->estimate[i]);
	remember(image, h);
}

bool trace_get_state(struct trace_in *in, const struct trace_image *image, struct law_state *state,
		     struct law_estimate *estimate)
{
	uint64_t n;

	if (get(in) != TRACE_STATE)
		return false;
	n = get(in);
	if (n > image->slots)
		return false;
	get_words(in, state, STATE_HEAD);
	get_list(in, state->engine, (uint32_t)n, sizeof(state->engine[0]));
	for (uint32_t i = 0; i < n; i++) {
		get_words(in, &estimate[i], sizeof(estimate[i]));
		if (!sound_estimate(&estimate[i]))
			return false;
	}
	return !in->bad && in->at == in->end;
}

/* Engines whose memory others have set since the last tick; the whole of it, not the change. */
static void put_restarts(struct trace_out *o, const struct trace_image *image,
			 const struct law_host *h)
{
	struct law_engine_state zeros;
	uint32_t last = 0;

	for (uint32_t i = 0; i < h->n; i++) {
		const struct law_engine_state *s = &h->state->engine[i];
		unsigned int what = 0;

		if (memcmp(s, &image->state[i], sizeof(*s)) != 0)
			what |= TRACE_RESTART_STATE;
		if (h->estimate[i].updated_ns != image->updated_ns[i])
			what |= TRACE_RESTART_ESTIMATE;
		if (!what)
			continue;
		put(o, i + 1 - last);
		put(o, what);
		last = i + 1;
		memset(&zeros, 0, sizeof(zeros));
		if (what & TRACE_RESTART_STATE)
			put_words(o, s, &zeros, sizeof(zeros));
	}
	put(o, 0);
}

static void get_restarts(struct trace_in *in, struct trace_image *image)
{
	uint32_t next = 0, i;

	memset(image->restarts, 0, image->slots);
	while ((i = get_index(in, &next, image->n)) != UINT32_MAX) {
		image->restarts[i] = get(in) & (TRACE_RESTART_STATE | TRACE_RESTART_ESTIMATE);
		if (!(image->restarts[i] & TRACE_RESTART_STATE))
			continue;
		memset(&image->state[i], 0, sizeof(image->state[i]));
		get_words(in, &image->state[i], sizeof(image->state[i]));
	}
}

void trace_put_inputs(struct trace_out *o, struct trace_image *image, const struct law_host *h,
		      const char (*name)[TRACE_NAME_BYTES], uint32_t urgent, uint64_t now_ns)
{
	put(o, TRACE_TICK);
	put(o, (uint32_t)(urgent + 1)); /* 0: a regular tick */
	put(o, zigzag(now_ns - image->now_ns));
	put(o, h->n);
	put_words(o, h->params, &image->params, sizeof(image->params));
	put_list(o, name, image->name, h->n, sizeof(image->name[0]));
	put_list(o, h->engine, image->engine, h->n, sizeof(image->engine[0]));
	put_restarts(o, image, h);
	put_list(o, h->sample, image->sample, h->n, sizeof(image->sample[0]));
	put_list(o, h->given_bytes, image->given_bytes, h->n, sizeof(image->given_bytes[0]));
	image->now_ns = now_ns;
}

void trace_put_decisions(struct trace_out *o, struct trace_image *image, const struct law_host *h)
{
	put_list(o, h->decision, image->decision, h->n, sizeof(image->decision[0]));
	remember(image, h);
}

bool trace_get_tick(struct trace_in *in, struct trace_image *image)
{
	uint64_t n;

	if (get(in) != TRACE_TICK)
		return false;
	image->urgent = (uint32_t)get(in) - 1;
	image->now_ns += unzigzag(get(in));
	n = get(in);
	if (n > image->slots)
		return false;
	image->n = (uint32_t)n;
	get_words(in, &image->params, sizeof(image->params));
	get_list(in, image->name, image->n, sizeof(image->name[0]));
	get_list(in, image->engine, image->n, sizeof(image->engine[0]));
	get_restarts(in, image);
	get_list(in, image->sample, image->n, sizeof(image->sample[0]));
	get_list(in, image->given_bytes, image->n, sizeof(image->given_bytes[0]));
	get_list(in, image->decision, image->n, sizeof(image->decision[0]));
	return !in->bad && in->at == in->end && sound_tick(image);
}

void trace_restart(const struct trace_image *image, struct law_state *state,
		   struct law_estimate *estimate)
{
	for (uint32_t i = 0; i < image->n; i++) {
		if (image->restarts[i] & TRACE_RESTART_STATE)
			state->engine[i] = image->state[i];
		if (image->restarts[i] & TRACE_RESTART_ESTIMATE)
			memset(&estimate[i], 0, sizeof(estimate[i]));
	}
}

void trace_put_end(struct trace_out *o, enum trace_end why)
{
	put(o, TRACE_END);
	put(o, why);
}

bool trace_get_end(struct trace_in *in, enum trace_end *ret_why)
{
	uint64_t why;

	if (get(in) != TRACE_END)
		return false;
	why = get(in);
	if (in->bad || in->at != in->end || why >= TRACE_END_COUNT)
		return false;
	*ret_why = (enum trace_end)why;
	return true;
}

bool trace_same_decision(const struct law_decision *a, const struct law_decision *b)
{
	/* a field that is added is one to compare */
	static_assert(sizeof(*a) == 56, "struct law_decision is as it is compared here");
	return a->target_bytes == b->target_bytes && a->before_bytes == b->before_bytes &&
	       a->release_bytes == b->release_bytes && a->release_by_ns == b->release_by_ns &&
	       a->reason == b->reason && a->clamps == b->clamps && a->peer == b->peer &&
	       a->gain_ppm == b->gain_ppm && a->loss_ppm == b->loss_ppm && a->stream == b->stream;
}
