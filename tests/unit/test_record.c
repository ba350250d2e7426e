/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's side of a recording, at one end of a socket pair: what a reader gets that reads,
 * that does not, that asks for the end, and that goes away.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "user/cli/replay_compare.h"
#include "user/common/clock.h"
#include "user/common/frame.h"
#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/record.h"

#define SLOTS 64
#define REPLY "{\"ok\":true}\n"

struct host {
	struct daemon d;
	int reader; /* our end, -1: closed */
	uint64_t now_ns, rng;
	uint8_t *got;
	size_t bytes, room;
};

static uint64_t rnd(struct host *h)
{
	h->rng = h->rng * 6364136223846793005ull + 1442695040888963407ull;
	return h->rng >> 16;
}

static int setup(void **state)
{
	struct host *h = calloc(1, sizeof(*h));
	struct daemon *d = &h->d;

	log_set_level(LOG_LEVEL_ERR);
	h->reader = -1;
	h->now_ns = NS_PER_S;
	d->capacity = d->slots_used = SLOTS;
	d->engine = calloc(SLOTS, sizeof(*d->engine));
	d->law_engine = calloc(SLOTS, sizeof(*d->law_engine));
	d->sample = calloc(SLOTS, sizeof(*d->sample));
	d->given_bytes = calloc(SLOTS, sizeof(*d->given_bytes));
	d->estimate = calloc(SLOTS, sizeof(*d->estimate));
	d->decision = calloc(SLOTS, sizeof(*d->decision));
	d->law_state = calloc(1, sizeof(*d->law_state));
	d->workspace = calloc(1, law_workspace_bytes(SLOTS));
	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	d->params = (struct law_params){ .ceiling_bytes = 8 * GIB, .groups = 1 };
	d->params.group[0] = (struct law_group){ .max_bytes = 8 * GIB, .weight = 100 };
	for (uint32_t i = 0; i < SLOTS; i++) {
		d->law_engine[i] =
		    (struct law_engine){ .active = true, .max_bytes = 8 * GIB, .weight = 100 };
		snprintf(d->engine[i].name, sizeof(d->engine[i].name), "e%u", i);
	}
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct host *h = *state;
	struct daemon *d = &h->d;

	record_stop_all(d);
	if (h->reader >= 0)
		close(h->reader);
	close(d->epoll_fd);
	free(d->engine);
	free(d->law_engine);
	free(d->sample);
	free(d->given_bytes);
	free(d->estimate);
	free(d->decision);
	free(d->law_state);
	free(d->workspace);
	free(h->got);
	free(h);
	return 0;
}

/* A connection as control.c hands it over; returns what record_start() does. */
static int start(struct host *h, int *ret_reader)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int pair[2], r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(epoll_ctl(h->d.epoll_fd, EPOLL_CTL_ADD, pair[0], &ev), 0);
	r = record_start(&h->d, pair[0], REPLY);
	if (r < 0) {
		close(pair[0]);
		close(pair[1]);
		return r;
	}
	*ret_reader = pair[1];
	return 0;
}

/* One tick with news in every word of every sample; how long the recording of it took. */
static uint64_t tick(struct host *h)
{
	struct daemon *d = &h->d;
	struct law_host law = daemon_law_host(d);
	uint64_t began_ns, took_ns;

	h->now_ns += 10 * NS_PER_MS;
	for (uint32_t i = 0; i < law.n; i++) {
		uint64_t *word = (uint64_t *)&d->sample[i];

		for (size_t w = 0; w < sizeof(d->sample[i]) / sizeof(*word); w++)
			word[w] += rnd(h) & 0xffff;
	}
	began_ns = clock_now_ns();
	record_inputs(d, &law, LAW_NO_ENGINE, h->now_ns);
	took_ns = clock_now_ns() - began_ns;
	law_tick(&law, LAW_NO_ENGINE, h->now_ns);
	began_ns = clock_now_ns();
	record_decisions(d, &law);
	record_send(d);
	return took_ns + clock_now_ns() - began_ns;
}

/* What the loop does with what epoll says, until there is nothing to do. */
static void events(struct host *h)
{
	struct epoll_event ev;

	/* what goes on and on would keep the loop busy for nothing */
	for (int i = 0; epoll_wait(h->d.epoll_fd, &ev, 1, 0) == 1; i++) {
		assert_in_range(i, 0, 99);
		assert_int_equal(LOOP_KIND(ev.data.u64), LOOP_RECORD);
		record_event(&h->d, LOOP_ID(ev.data.u64), ev.events);
	}
}

/* Reads what there is, about as much as that; true at the end of the stream. */
static bool read_up_to(struct host *h, size_t most)
{
	for (size_t end = h->bytes + most;;) {
		ssize_t n;

		if (h->room - h->bytes < 65536) {
			h->room += 4 * MIB;
			h->got = realloc(h->got, h->room);
			assert_non_null(h->got);
		}
		n = recv(h->reader, h->got + h->bytes, min_u64(65536, end - h->bytes),
			 MSG_DONTWAIT);
		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		if (n <= 0)
			return n == 0;
		h->bytes += (size_t)n;
		if (h->bytes >= end)
			return false;
	}
}

static bool read_some(struct host *h)
{
	return read_up_to(h, SIZE_MAX / 2);
}

static void read_to_the_end(struct host *h)
{
	while (!read_some(h))
		events(h);
}

/* The stream is a reply and a sound trace that replays; returns how it ended. */
static enum trace_end judge(struct host *h, uint64_t *ret_ticks)
{
	const uint8_t *at = h->got + strlen(REPLY), *end = h->got + h->bytes;
	struct trace_header header;
	enum trace_end why;
	struct compare c;
	struct replay r;
	uint32_t sum;

	assert_true(h->bytes > strlen(REPLY) + sizeof(header));
	assert_memory_equal(h->got, REPLY, strlen(REPLY));
	memcpy(&header, at, sizeof(header));
	at += sizeof(header);
	sum = header.sum;
	assert_int_equal(frame_sum(&header, offsetof(struct trace_header, sum), 0), sum);
	assert_int_equal(replay_init(&r, header.slots, 1), 0);
	assert_int_equal(compare_init(&c, header.slots), 0);
	while (at < end) {
		ssize_t n = frame_check(at, (size_t)(end - at), &sum);

		assert_true(n > 0);
		if (replay_read(&r, at + FRAME_HEAD_BYTES, (size_t)n) == REPLAY_READ_TICK) {
			replay_step(&r, &r.law[0], NULL, 0);
			assert_int_equal(compare_tick(&c, &r, &r.law[0]), 0);
		}
		at += FRAME_HEAD_BYTES + n;
	}
	assert_true(r.ended);
	assert_int_equal(c.different, 0);
	assert_string_equal(r.image.name[SLOTS - 1], "e63");
	*ret_ticks = r.ticks;
	why = r.end;
	compare_fini(&c);
	replay_fini(&r);
	return why;
}

/* The same without a replay: the frames are sound, and the last says how it ended. */
static enum trace_end last_frame(const struct host *h)
{
	const uint8_t *at = h->got + strlen(REPLY), *end = h->got + h->bytes;
	enum trace_end why = TRACE_END_COUNT;
	struct trace_header header;

	memcpy(&header, at, sizeof(header));
	at += sizeof(header);
	while (at < end) {
		ssize_t n = frame_check(at, (size_t)(end - at), &header.sum);
		struct trace_in in = { .at = at + FRAME_HEAD_BYTES,
				       .end = at + FRAME_HEAD_BYTES + n };

		assert_true(n > 0);
		assert_int_equal(why, TRACE_END_COUNT);
		trace_get_end(&in, &why);
		at += FRAME_HEAD_BYTES + n;
	}
	return why;
}

static void a_reader_that_reads_gets_every_tick(void **state)
{
	struct host *h = *state;
	uint64_t ticks;

	tick(h); /* a recording begins at any time */
	assert_int_equal(start(h, &h->reader), 0);
	for (int t = 0; t < 200; t++) {
		tick(h);
		events(h);
		assert_false(read_some(h));
	}
	shutdown(h->reader, SHUT_WR);
	events(h);
	read_to_the_end(h);
	assert_int_equal(judge(h, &ticks), TRACE_END_ASKED);
	assert_int_equal(ticks, 200);
	assert_null(h->d.recorder[0]);
}

static void a_reader_that_does_not_read_loses_its_recording_not_our_time(void **state)
{
	struct host *h = *state;
	uint64_t ticks, worst_ns = 0;

	assert_int_equal(start(h, &h->reader), 0);
	for (int t = 0; t < 400; t++) {
		uint64_t took_ns = tick(h);

		events(h);
		worst_ns = max_u64(worst_ns, took_ns);
	}
	/* a write that waited for the reader would wait for ever; the bound is for a busy machine
	 */
	assert_true(worst_ns < NS_PER_S);
	assert_non_null(h->d.recorder[0]);
	read_to_the_end(h);
	assert_int_equal(judge(h, &ticks), TRACE_END_SLOW);
	assert_in_range(ticks, 10, 399);
	assert_null(h->d.recorder[0]);
}

static void a_reader_that_lags_behind_gets_every_tick(void **state)
{
	struct host *h = *state;
	uint64_t ticks;

	assert_int_equal(start(h, &h->reader), 0);
	/* many times what the buffer holds goes through it, and it is never empty */
	for (int t = 0; t < 100; t++) {
		tick(h);
		events(h);
		assert_false(read_up_to(h, t < 6 ? 1 : 180000));
	}
	assert_false(read_some(h));
	events(h);
	assert_false(read_some(h));
	events(h);
	shutdown(h->reader, SHUT_WR);
	read_to_the_end(h);
	assert_int_equal(judge(h, &ticks), TRACE_END_ASKED);
	assert_int_equal(ticks, 100);
	assert_true(h->bytes > 3 * MIB);
}

/* However little is left, the frame that says it fits. */
static void a_recording_of_small_ticks_ends_as_well(void **state)
{
	struct host *h = *state;

	h->d.capacity = h->d.slots_used = 1;
	/* ticks of some 300 bytes, and what is left behind the last goes down by 9 each time */
	for (size_t lead = 0; lead < 36; lead++) {
		struct law_host law = daemon_law_host(&h->d);

		for (size_t i = 0; i < 3 * lead; i++)
			h->d.sample[0].distance[i] += 1 << 20; /* three bytes more each */
		h->bytes = 0;
		assert_int_equal(start(h, &h->reader), 0);
		for (int t = 0; t < 6000; t++) {
			for (int i = 0; i < DISTANCE_BINS; i++)
				h->d.sample[0].distance[i]++;
			h->now_ns += NS_PER_MS;
			record_inputs(&h->d, &law, LAW_NO_ENGINE, h->now_ns);
			record_decisions(&h->d, &law);
		}
		record_send(&h->d);
		read_to_the_end(h);
		close(h->reader);
		h->reader = -1;
		assert_int_equal(last_frame(h), TRACE_END_SLOW);
	}
}

static void what_was_asked_to_end_and_is_not_read_is_dropped_in_time(void **state)
{
	struct host *h = *state;

	assert_int_equal(start(h, &h->reader), 0);
	for (int t = 0; t < 7; t++)
		tick(h);
	shutdown(h->reader, SHUT_WR);
	events(h);
	assert_non_null(h->d.recorder[0]);
	record_expire(&h->d, clock_now_ns() + 20 * NS_PER_S);
	assert_non_null(h->d.recorder[0]);
	record_expire(&h->d, clock_now_ns() + 40 * NS_PER_S);
	assert_null(h->d.recorder[0]);
}

static void a_reader_that_goes_away_is_forgotten(void **state)
{
	struct host *h = *state;

	assert_int_equal(start(h, &h->reader), 0);
	tick(h);
	close(h->reader);
	h->reader = -1;
	tick(h);
	events(h);
	assert_null(h->d.recorder[0]);
	tick(h);
}

static void two_record_at_a_time_and_no_more(void **state)
{
	struct host *h = *state;
	int second = -1, third = -1;
	uint64_t ticks;

	assert_int_equal(start(h, &h->reader), 0);
	tick(h);
	assert_int_equal(start(h, &second), 0);
	assert_int_equal(start(h, &third), -EBUSY);
	tick(h);
	close(second);
	events(h);
	tick(h);
	assert_int_equal(start(h, &third), 0);
	close(third);
	events(h);
	/* the first is whole, whatever became of the others */
	shutdown(h->reader, SHUT_WR);
	events(h);
	read_to_the_end(h);
	assert_int_equal(judge(h, &ticks), TRACE_END_ASKED);
	assert_int_equal(ticks, 3);
}

static void the_daemon_s_end_ends_a_recording(void **state)
{
	struct host *h = *state;
	uint64_t ticks;

	assert_int_equal(start(h, &h->reader), 0);
	tick(h);
	assert_false(read_some(h));
	record_stop_all(&h->d);
	read_to_the_end(h);
	assert_int_equal(judge(h, &ticks), TRACE_END_STOPPED);
	assert_int_equal(ticks, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(a_reader_that_reads_gets_every_tick),
		TEST(a_reader_that_does_not_read_loses_its_recording_not_our_time),
		TEST(a_reader_that_lags_behind_gets_every_tick),
		TEST(a_recording_of_small_ticks_ends_as_well),
		TEST(what_was_asked_to_end_and_is_not_read_is_dropped_in_time),
		TEST(a_reader_that_goes_away_is_forgotten),
		TEST(two_record_at_a_time_and_no_more),
		TEST(the_daemon_s_end_ends_a_recording),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
