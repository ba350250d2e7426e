/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random hosts, plausible and absurd, whose ticks are recorded as the daemon does it and replayed
 * as `barostat replay` does it: the same decisions and the same memory, bit for bit. Then the same
 * recordings cut off and damaged at every byte.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "user/cli/replay_compare.h"
#include "user/common/frame.h"

#define SLOTS       6
#define TRACE_BYTES (1u << 20)
#define MIB         (1024ull * 1024)
#define MS          1000000ull

struct host {
	struct law_params params;
	struct law_engine engine[SLOTS];
	struct law_sample sample[SLOTS];
	uint64_t given_bytes[SLOTS];
	struct law_estimate estimate[SLOTS];
	struct law_state state;
	struct law_decision decision[SLOTS];
	char name[SLOTS][TRACE_NAME_BYTES];
	uint32_t n;
	uint64_t now_ns, rng;
	bool absurd;
	/* the recorder's side */
	struct trace_image image;
	struct law_engine image_engine[SLOTS];
	struct law_sample image_sample[SLOTS];
	uint64_t image_given[SLOTS], image_updated[SLOTS];
	struct law_decision image_decision[SLOTS];
	struct law_engine_state image_state[SLOTS];
	char image_name[SLOTS][TRACE_NAME_BYTES];
	uint8_t trace[TRACE_BYTES];
	size_t bytes;
	uint32_t sum;
};

static uint64_t rnd(struct host *h)
{
	uint64_t x = h->rng += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static uint64_t below(struct host *h, uint64_t end)
{
	return rnd(h) % end;
}

static uint64_t any(struct host *h, uint64_t sane)
{
	static const uint64_t extremes[] = { 0, 1, 1ull << 32, 1ull << 63, UINT64_MAX };

	if (!h->absurd || below(h, 5))
		return sane;
	return below(h, 2) ? rnd(h) : extremes[below(h, 5)];
}

static struct law_host view(struct host *h, struct law_workspace *workspace)
{
	return (struct law_host){ .n = h->n,
				  .params = &h->params,
				  .engine = h->engine,
				  .sample = h->sample,
				  .given_bytes = h->given_bytes,
				  .estimate = h->estimate,
				  .state = &h->state,
				  .workspace = workspace,
				  .decision = h->decision };
}

static struct host *host_new(uint64_t seed, bool absurd)
{
	struct host *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	h->rng = seed;
	h->absurd = absurd;
	h->n = 2;
	h->now_ns = 5000 * MS;
	h->image = (struct trace_image){ .slots = SLOTS,
					 .engine = h->image_engine,
					 .sample = h->image_sample,
					 .given_bytes = h->image_given,
					 .updated_ns = h->image_updated,
					 .decision = h->image_decision,
					 .state = h->image_state,
					 .name = h->image_name };
	h->params =
	    (struct law_params){ .ceiling_bytes = 1024 * MIB, .gamma_ppm = 1000000, .groups = 1 };
	h->params.group[0] = (struct law_group){ .max_bytes = 1024 * MIB, .weight = 100 };
	return h;
}

static void configure(struct host *h)
{
	h->params.policy = (enum law_policy)below(h, LAW_POLICY_COUNT);
	h->params.reserve_bytes = any(h, below(h, 64) * MIB);
	h->params.burst_bytes = any(h, below(h, 64) * MIB);
	h->params.ceiling_bytes = any(h, (512 + below(h, 2) * 512) * MIB);
}

/* An engine comes, goes, or comes back: what the daemon does then to the law's memory. */
static void turn_over(struct host *h, uint32_t i)
{
	struct law_engine *e = &h->engine[i];

	e->active = below(h, 4) > 0;
	e->min_bytes = any(h, below(h, 32) * MIB);
	e->max_bytes = any(h, 1024 * MIB);
	e->weight = (uint32_t)any(h, 1 + below(h, 300));
	e->manual = below(h, 8) == 0;
	e->manual_bytes = any(h, 64 * MIB);
	memset(&h->sample[i], 0, sizeof(h->sample[i]));
	memset(&h->estimate[i], 0, sizeof(h->estimate[i]));
	memset(&h->state.engine[i], 0, sizeof(h->state.engine[i]));
	h->state.engine[i].target_bytes = any(h, below(h, 2) * 128 * MIB);
	memset(h->name[i], 0, sizeof(h->name[i]));
	h->name[i][0] = (char)('a' + below(h, 26));
}

static void happen(struct host *h, uint32_t i)
{
	struct law_sample *s = &h->sample[i];
	uint64_t pages = below(h, 3000);

	s->valid = 0x1ff;
	s->ghost_sample_shift = (uint32_t)any(h, 4);
	s->usage_bytes = any(h, h->state.engine[i].target_bytes + below(h, 4) * MIB);
	s->file_bytes = s->usage_bytes / 2;
	s->unreclaimable_bytes = any(h, below(h, 3) ? 0 : s->usage_bytes / 3);
	s->evictions += pages;
	s->pgsteal += pages;
	s->refault_file = any(h, s->refault_file + pages / 2);
	s->ghost_refaults += pages / 32;
	s->distance[below(h, DISTANCE_BINS)] += any(h, pages / 32);
	s->stall_ns[STALL_REFAULT] += any(h, below(h, 100 * MS));
	s->psi_io_some_ns += any(h, below(h, 100 * MS));
	s->cpu_ns += any(h, below(h, 100 * MS));
	h->given_bytes[i] = any(h, h->state.engine[i].target_bytes);
}

static uint32_t change(struct host *h)
{
	uint32_t urgent = below(h, 6) ? LAW_NO_ENGINE : (uint32_t)below(h, h->n + 1);

	if (h->n < SLOTS && below(h, 8) == 0)
		h->n++;
	if (below(h, 8) == 0)
		configure(h);
	if (below(h, 8) == 0)
		turn_over(h, (uint32_t)below(h, h->n));
	for (uint32_t i = 0; i < h->n; i++)
		if (below(h, 4) && (urgent == LAW_NO_ENGINE || urgent == i))
			happen(h, i);
	h->now_ns += any(h, 20 * MS + below(h, 200 * MS));
	return urgent;
}

/* ---- writing --------------------------------------------------------------------------------- */

static struct trace_out frame_begin(struct host *h)
{
	return (struct trace_out){ .at = h->trace + h->bytes + FRAME_HEAD_BYTES,
				   .end = h->trace + TRACE_BYTES };
}

static void frame_end(struct host *h, const struct trace_out *o)
{
	uint8_t *frame = h->trace + h->bytes;

	assert_false(o->full);
	frame_seal(frame, (uint32_t)(o->at - frame - FRAME_HEAD_BYTES), &h->sum);
	h->bytes += (size_t)(o->at - frame);
}

static void record_state(struct host *h)
{
	struct law_host law = view(h, NULL);
	struct trace_out o = frame_begin(h);

	trace_put_state(&o, &h->image, &law);
	frame_end(h, &o);
}

static void record_tick(struct host *h, uint32_t urgent, bool lie)
{
	struct law_workspace *workspace = malloc(law_workspace_bytes(SLOTS));
	struct law_host law = view(h, workspace);
	struct trace_out o = frame_begin(h);

	assert_non_null(workspace);
	trace_put_inputs(&o, &h->image, &law, h->name, urgent, h->now_ns);
	law_tick(&law, urgent, h->now_ns);
	h->decision[0].target_bytes += lie ? LAW_PAGE_BYTES : 0;
	trace_put_decisions(&o, &h->image, &law);
	frame_end(h, &o);
	free(workspace);
}

static void record_end(struct host *h, enum trace_end why)
{
	struct trace_out o = frame_begin(h);

	trace_put_end(&o, why);
	frame_end(h, &o);
}

static struct host *recorded(uint64_t seed, bool absurd, int ticks)
{
	struct host *h = host_new(seed, absurd);

	for (uint32_t i = 0; i < h->n; i++)
		turn_over(h, i);
	/* a recording begins at any time */
	for (int t = 0; t < ticks / 4; t++) {
		struct law_workspace *workspace = malloc(law_workspace_bytes(SLOTS));
		uint32_t urgent = change(h);
		struct law_host law = view(h, workspace);

		law_tick(&law, urgent, h->now_ns);
		free(workspace);
	}
	record_state(h);
	for (int t = 0; t < ticks; t++)
		record_tick(h, change(h), false);
	record_end(h, TRACE_END_ASKED);
	return h;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Frames read before the first that is missing or damaged; `r` has run them all. */
static size_t replay_all(struct replay *r, struct compare *c, const uint8_t *trace, size_t bytes)
{
	size_t at = 0, frames = 0;
	uint32_t sum = 0;

	while (at < bytes) {
		ssize_t n = frame_check(trace + at, bytes - at, &sum);
		int what =
		    n > 0 ? replay_read(r, trace + at + FRAME_HEAD_BYTES, (size_t)n) : -EBADMSG;

		if (what < 0)
			break;
		if (what == REPLAY_READ_TICK) {
			replay_step(r, &r->law[0], NULL, 0);
			assert_int_equal(compare_tick(c, r, &r->law[0]), 0);
		}
		at += FRAME_HEAD_BYTES + (size_t)n;
		frames++;
	}
	return frames;
}

static void a_replay_decides_the_same_bit_for_bit(void **state)
{
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct host *h = recorded(seed, seed % 2, 60);
		struct replay r;
		struct compare c;

		assert_int_equal(replay_init(&r, SLOTS, 1), 0);
		assert_int_equal(compare_init(&c, SLOTS), 0);
		assert_int_equal(replay_all(&r, &c, h->trace, h->bytes), 62);
		assert_true(r.ended);
		assert_int_equal(r.end, TRACE_END_ASKED);
		assert_int_equal(c.different, 0);
		assert_true(c.decisions > 0);
		/* and all it remembers, which is what the next decisions come from */
		assert_memory_equal(r.law[0].state, &h->state, sizeof(h->state));
		assert_memory_equal(r.law[0].estimate, h->estimate, sizeof(h->estimate));
		assert_memory_equal(r.image.sample, h->sample, sizeof(h->sample));
		compare_fini(&c);
		replay_fini(&r);
		free(h);
	}
}

static void a_decision_that_the_law_does_not_make_is_found(void **state)
{
	struct host *h = host_new(7, false);
	struct replay r;
	struct compare c;

	turn_over(h, 0);
	h->engine[0].active = true;
	h->engine[0].manual = false;
	record_state(h);
	for (int t = 1; t <= 20; t++) {
		h->now_ns += 100 * MS;
		record_tick(h, LAW_NO_ENGINE, t == 13);
	}
	assert_int_equal(replay_init(&r, SLOTS, 1), 0);
	assert_int_equal(compare_init(&c, SLOTS), 0);
	replay_all(&r, &c, h->trace, h->bytes);
	assert_int_equal(c.different, 1);
	assert_int_equal(c.first.tick, 13);
	assert_int_equal(c.first.at_ns, 1200 * MS);
	assert_string_equal(c.first.engine, h->name[0]);
	assert_int_equal(c.first.was.target_bytes, c.first.is.target_bytes + LAW_PAGE_BYTES);
	compare_fini(&c);
	replay_fini(&r);
	free(h);
}

static void a_tick_without_news_is_a_few_bytes(void **state)
{
	struct host *h = recorded(3, false, 30);
	size_t before;

	record_tick(h, LAW_NO_ENGINE, false);
	before = h->bytes;
	for (int t = 0; t < 10; t++) {
		h->now_ns += 100 * MS;
		for (uint32_t i = 0; i < h->n; i++)
			h->engine[i].active = false;
		record_tick(h, LAW_NO_ENGINE, false);
	}
	before = h->bytes;
	h->now_ns += 100 * MS;
	record_tick(h, LAW_NO_ENGINE, false);
	assert_in_range(h->bytes - before, 1, FRAME_HEAD_BYTES + 16);
	free(h);
}

static void a_trace_cut_off_anywhere_is_read_up_to_its_last_whole_frame(void **state)
{
	struct host *h = recorded(11, true, 8);
	size_t whole = 0, frames = 0;
	uint32_t sum = 0;
	ssize_t n;

	for (size_t cut = 0; cut <= h->bytes; cut++) {
		struct replay r;
		struct compare c;

		if (cut >= whole + FRAME_HEAD_BYTES) {
			n = frame_check(h->trace + whole, cut - whole, &sum);
			assert_true(n >= 0);
			whole += n > 0 ? FRAME_HEAD_BYTES + (size_t)n : 0;
			frames += n > 0;
		}
		/* at the ends of frames, and a sample of the bytes between */
		if (cut != whole && cut % 37)
			continue;
		assert_int_equal(replay_init(&r, SLOTS, 1), 0);
		assert_int_equal(compare_init(&c, SLOTS), 0);
		assert_int_equal(replay_all(&r, &c, h->trace, cut), frames);
		assert_int_equal(r.ended, cut == h->bytes);
		assert_int_equal(c.different, 0);
		compare_fini(&c);
		replay_fini(&r);
	}
	assert_int_equal(frames, 10);
	free(h);
}

/* Without the sums to stop it: the decoder itself. */
static void a_payload_cut_off_anywhere_is_refused(void **state)
{
	struct host *h = recorded(12, true, 3);
	uint32_t sum = 0;
	struct replay r;

	assert_int_equal(replay_init(&r, SLOTS, 1), 0);
	for (size_t at = 0; at < h->bytes;) {
		size_t n = (size_t)frame_check(h->trace + at, h->bytes - at, &sum);
		const uint8_t *payload = h->trace + at + FRAME_HEAD_BYTES;

		for (size_t cut = 0; cut < n; cut++) {
			struct replay copy;

			assert_int_equal(replay_init(&copy, SLOTS, 1), 0);
			copy.begun = payload[0] != TRACE_STATE;
			/* never the bytes behind its end: a copy that ends there, for asan to see
			 */
			uint8_t *alone = malloc(cut ? cut : 1);

			memcpy(alone, payload, cut);
			assert_int_equal(replay_read(&copy, alone, cut), -EBADMSG);
			free(alone);
			replay_fini(&copy);
		}
		assert_true(replay_read(&r, payload, n) >= 0);
		at += FRAME_HEAD_BYTES + n;
	}
	replay_fini(&r);
	free(h);
}

static void a_damaged_byte_is_noticed_wherever_it_is(void **state)
{
	struct host *h = recorded(13, false, 6);
	struct replay r;
	struct compare c;

	for (size_t at = 0; at < h->bytes; at++) {
		uint8_t good = h->trace[at];
		uint32_t sum = 0;
		size_t frame = 0;
		ssize_t n = 1;

		h->trace[at] ^= (uint8_t)(1 + below(h, 255));
		while (frame < h->bytes && n > 0) {
			n = frame_check(h->trace + frame, h->bytes - frame, &sum);
			frame += n > 0 ? FRAME_HEAD_BYTES + (size_t)n : 0;
		}
		assert_true(n <= 0);
		assert_true(frame <= at);
		h->trace[at] = good;
	}
	assert_int_equal(replay_init(&r, SLOTS, 1), 0);
	assert_int_equal(compare_init(&c, SLOTS), 0);
	assert_int_equal(replay_all(&r, &c, h->trace, h->bytes), 8);
	compare_fini(&c);
	replay_fini(&r);
	free(h);
}

/* Whatever passes for a tick can be decided on: the sanitizers watch. */
static void damage_that_no_sum_sees_harms_nobody(void **state)
{
	for (uint64_t seed = 1; seed <= 400; seed++) {
		struct host *h = recorded(seed, seed % 2, 4);
		struct replay r;
		uint32_t sum = 0;

		assert_int_equal(replay_init(&r, SLOTS, 1), 0);
		for (size_t at = 0; at < h->bytes;) {
			size_t n = (size_t)frame_check(h->trace + at, h->bytes - at, &sum);
			uint8_t *payload = h->trace + at + FRAME_HEAD_BYTES;
			int what;

			if (at && below(h, 2))
				payload[1 + below(h, n - 1)] ^= (uint8_t)(1 << below(h, 8));
			what = replay_read(&r, payload, n);
			if (what < 0)
				break;
			if (what == REPLAY_READ_TICK)
				replay_step(&r, &r.law[0], NULL, 0);
			at += FRAME_HEAD_BYTES + n;
		}
		replay_fini(&r);
		free(h);
	}
}

static void a_frame_left_out_or_doubled_is_noticed(void **state)
{
	struct host *h = recorded(14, false, 4);
	uint32_t sum = 0, first;
	size_t one, two;

	one = FRAME_HEAD_BYTES + (size_t)frame_check(h->trace, h->bytes, &sum);
	first = sum;
	two = FRAME_HEAD_BYTES + (size_t)frame_check(h->trace + one, h->bytes - one, &sum);
	assert_true(frame_check(h->trace + one + two, h->bytes - one - two, &first) == -EBADMSG);
	assert_true(frame_check(h->trace + one, h->bytes - one, &sum) == -EBADMSG);
	free(h);
}

static void what_does_not_fit_is_said_and_nothing_is_written_past_the_end(void **state)
{
	struct host *h = recorded(15, true, 4);
	struct law_host law = view(h, NULL);
	uint8_t room[512];

	for (size_t size = 0; size < 400; size++) {
		struct trace_out o = { .at = room, .end = room + size };

		memset(room, 0xee, sizeof(room));
		memset(h->image_state, 0, sizeof(h->image_state));
		trace_put_state(&o, &h->image, &law);
		assert_true(o.full);
		assert_true(o.at <= o.end);
		for (size_t i = size; i < sizeof(room); i++)
			assert_int_equal(room[i], 0xee);
	}
	free(h);
}

static void what_the_law_may_not_be_called_with_is_refused(void **state)
{
	struct host *h = recorded(16, false, 4);
	struct replay r;
	struct trace_out o;
	uint8_t two = 2;
	size_t n;

	memset(h->image_state, 0, sizeof(h->image_state));
	h->estimate[0].memory.top = LAW_BUCKETS + 1;
	h->bytes = 0;
	o = frame_begin(h);
	trace_put_state(&o, &h->image,
			&(struct law_host){ .n = 2, .state = &h->state, .estimate = h->estimate });
	n = (size_t)(o.at - h->trace - FRAME_HEAD_BYTES);
	assert_int_equal(replay_init(&r, SLOTS, 1), 0);
	assert_int_equal(replay_read(&r, h->trace + FRAME_HEAD_BYTES, n), -EBADMSG);
	replay_fini(&r);

	memcpy(&h->engine[0].active, &two, 1);
	o = frame_begin(h);
	memset(h->image_engine, 0, sizeof(h->image_engine));
	trace_put_inputs(&o, &h->image,
			 &(struct law_host){ .n = 2,
					     .params = &h->params,
					     .engine = h->engine,
					     .sample = h->sample,
					     .given_bytes = h->given_bytes,
					     .state = &h->state,
					     .estimate = h->estimate },
			 h->name, LAW_NO_ENGINE, h->now_ns);
	*o.at++ = 0; /* no decisions */
	n = (size_t)(o.at - h->trace - FRAME_HEAD_BYTES);
	assert_int_equal(replay_init(&r, SLOTS, 1), 0);
	r.begun = true;
	assert_int_equal(replay_read(&r, h->trace + FRAME_HEAD_BYTES, n), -EBADMSG);
	replay_fini(&r);
	free(h);
}

static void a_name_without_an_end_is_refused(void **state)
{
	struct host *h = host_new(18, false);
	struct replay r;
	uint32_t sum = 0;
	ssize_t n;

	memset(h->name[1], 'x', sizeof(h->name[1]));
	record_tick(h, LAW_NO_ENGINE, false);
	n = frame_check(h->trace, h->bytes, &sum);
	assert_int_equal(replay_init(&r, SLOTS, 1), 0);
	r.begun = true;
	assert_int_equal(replay_read(&r, h->trace + FRAME_HEAD_BYTES, (size_t)n), -EBADMSG);
	replay_fini(&r);
	free(h);
}

static void decisions_are_compared_field_by_field(void **state)
{
	struct law_decision a = { .target_bytes = 1 }, b[] = { a, a, a, a, a, a, a, a, a, a };

	b[0].target_bytes = 2;
	b[1].before_bytes = 2;
	b[2].reason = LAW_REASON_GAIN;
	b[3].clamps = 2;
	b[4].peer = 2;
	b[5].gain_ppm = 2;
	b[6].loss_ppm = 2;
	b[7].stream = true;
	b[8].release_bytes = 2;
	b[9].release_by_ns = 2;
	assert_true(trace_same_decision(&a, &a));
	for (size_t i = 0; i < sizeof(b) / sizeof(b[0]); i++)
		assert_false(trace_same_decision(&a, &b[i]));
}

static void an_early_tick_estimates_that_engine_alone(void **state)
{
	struct host *h = host_new(19, false);

	h->engine[0] = h->engine[1] =
	    (struct law_engine){ .active = true, .max_bytes = 1024 * MIB, .weight = 100 };
	record_tick(h, 1, false);
	assert_int_equal(h->estimate[0].updates, 0);
	assert_int_equal(h->estimate[1].updates, 1);
	record_tick(h, LAW_NO_ENGINE, false);
	assert_int_equal(h->estimate[0].updates, 1);
	free(h);
}

static void settings_are_read_and_applied(void **state)
{
	static const char *const bad[] = { "gamma=2",     "weight=5",    "pg.gamma=1%",
					   "pg.weight=0", "policy=best", "pg.max=many" };
	static const char *const unknown[] = { "", "gamma", "colour=red", "=", ".max=1G" };
	struct host *h = recorded(17, false, 4);
	struct replay_setting s[3];
	struct replay r;
	uint32_t sum = 0;
	size_t at = 0;

	for (size_t i = 0; i < 6; i++)
		assert_true(replay_parse_setting(bad[i], &s[0]) < 0);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(replay_parse_setting(unknown[i], &s[0]), -ENOENT);
	assert_int_equal(replay_parse_setting("policy=static", &s[0]), 0);
	assert_int_equal(replay_parse_setting("reserve=25%", &s[1]), 0);
	assert_int_equal(replay_parse_setting("x.y.max=3M", &s[2]), 0);
	assert_string_equal(s[2].engine, "x.y");
	memset(s[2].engine, 0, sizeof(s[2].engine));
	s[2].engine[0] = h->name[0][0];
	assert_int_equal(replay_init(&r, SLOTS, 2), 0);
	while (r.ticks < 4) {
		size_t n = (size_t)frame_check(h->trace + at, h->bytes - at, &sum);

		assert_true(replay_read(&r, h->trace + at + FRAME_HEAD_BYTES, n) >= 0);
		at += FRAME_HEAD_BYTES + n;
		if (r.ticks)
			replay_step(&r, &r.law[1], s, 3);
	}
	assert_int_equal(r.law[1].params.policy, LAW_POLICY_STATIC);
	assert_int_equal(r.law[1].params.reserve_bytes, r.image.params.ceiling_bytes / 4);
	assert_int_equal(r.law[1].engine[0].max_bytes, 3 * MIB);
	replay_fini(&r);
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_replay_decides_the_same_bit_for_bit),
		cmocka_unit_test(a_decision_that_the_law_does_not_make_is_found),
		cmocka_unit_test(a_tick_without_news_is_a_few_bytes),
		cmocka_unit_test(a_trace_cut_off_anywhere_is_read_up_to_its_last_whole_frame),
		cmocka_unit_test(a_payload_cut_off_anywhere_is_refused),
		cmocka_unit_test(a_damaged_byte_is_noticed_wherever_it_is),
		cmocka_unit_test(damage_that_no_sum_sees_harms_nobody),
		cmocka_unit_test(a_frame_left_out_or_doubled_is_noticed),
		cmocka_unit_test(what_does_not_fit_is_said_and_nothing_is_written_past_the_end),
		cmocka_unit_test(what_the_law_may_not_be_called_with_is_refused),
		cmocka_unit_test(a_name_without_an_end_is_refused),
		cmocka_unit_test(decisions_are_compared_field_by_field),
		cmocka_unit_test(an_early_tick_estimates_that_engine_alone),
		cmocka_unit_test(settings_are_read_and_applied),
	};

	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
