/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/record.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "user/common/clock.h"
#include "user/common/frame.h"
#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/trace.h"

#define BUFFER_BYTES          (1 * MIB)
#define BUFFER_BYTES_PER_SLOT (16 * KIB) /* all there is to say of one at first, and some ticks */
#define END_BYTES             64 /* kept free for the last frame */
#define UNREAD_NS             (30 * NS_PER_S)

struct recorder {
	int fd;
	uint32_t id;
	struct trace_image image;
	char (*name)[TRACE_NAME_BYTES]; /* as they are now */
	uint8_t *buffer;
	size_t size, from, to; /* not sent yet: [from, to) */
	struct trace_out out; /* the frame in progress, behind `to` */
	uint32_t sum;
	bool ended;
	uint64_t ended_ns;
	uint64_t ticks, bytes;
};

static void image_free(struct trace_image *i)
{
	free(i->engine);
	free(i->sample);
	free(i->given_bytes);
	free(i->decision);
	free(i->name);
	free(i->state);
	free(i->updated_ns);
}

static int image_alloc(struct trace_image *i, uint32_t slots)
{
	i->slots = slots;
	i->engine = calloc(slots, sizeof(*i->engine));
	i->sample = calloc(slots, sizeof(*i->sample));
	i->given_bytes = calloc(slots, sizeof(*i->given_bytes));
	i->decision = calloc(slots, sizeof(*i->decision));
	i->name = calloc(slots, sizeof(*i->name));
	i->state = calloc(slots, sizeof(*i->state));
	i->updated_ns = calloc(slots, sizeof(*i->updated_ns));
	if (!i->engine || !i->sample || !i->given_bytes || !i->decision || !i->name || !i->state ||
	    !i->updated_ns)
		return -ENOMEM;
	return 0;
}

static void recorder_free(struct recorder *r)
{
	if (!r)
		return;
	image_free(&r->image);
	free(r->name);
	free(r->buffer);
	free(r);
}

static int recorder_new(const struct daemon *d, struct recorder **ret)
{
	struct recorder *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->size = BUFFER_BYTES + d->capacity * BUFFER_BYTES_PER_SLOT;
	r->buffer = malloc(r->size);
	r->name = calloc(d->capacity, sizeof(*r->name));
	if (!r->buffer || !r->name || image_alloc(&r->image, d->capacity) < 0) {
		recorder_free(r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

static void recorder_close(struct daemon *d, struct recorder *r)
{
	log_info("event=record_closed ticks=%llu bytes=%llu", (unsigned long long)r->ticks,
		 (unsigned long long)r->bytes);
	close(r->fd); /* leaves epoll by itself */
	d->recorder[r->id] = NULL;
	recorder_free(r);
}

/* ---- the buffer ------------------------------------------------------------------------------ */

static void append(struct recorder *r, const void *data, size_t bytes)
{
	memcpy(r->buffer + r->to, data, bytes);
	r->to += bytes;
}

static void frame_begin(struct recorder *r, size_t spare)
{
	r->out = (struct trace_out){ .at = r->buffer + r->to + FRAME_HEAD_BYTES,
				     .end = r->buffer + r->size - spare };
	r->out.full = r->out.at > r->out.end;
}

static void frame_end(struct recorder *r)
{
	uint8_t *frame = r->buffer + r->to;
	size_t bytes = (size_t)(r->out.at - frame);

	frame_seal(frame, (uint32_t)(bytes - FRAME_HEAD_BYTES), &r->sum);
	r->to += bytes;
}

/* What was sent makes room at the front; moved seldom, so that a byte is moved about once. */
static void make_room(struct recorder *r)
{
	if (r->from < r->to && r->from < r->size / 2)
		return;
	memmove(r->buffer, r->buffer + r->from, r->to - r->from);
	r->to -= r->from;
	r->from = 0;
}

static void end(struct recorder *r, enum trace_end why, uint64_t now_ns)
{
	if (r->ended)
		return;
	r->ended = true;
	r->ended_ns = now_ns;
	frame_begin(r, 0);
	trace_put_end(&r->out, why);
	frame_end(r);
}

static void watch(struct daemon *d, const struct recorder *r, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.u64 = LOOP_RECORD | r->id };

	epoll_ctl(d->epoll_fd, EPOLL_CTL_MOD, r->fd, &ev);
}

/* False when the recording is over, and the recorder gone. */
static bool flush(struct daemon *d, struct recorder *r)
{
	while (r->from < r->to) {
		ssize_t n =
		    send(r->fd, r->buffer + r->from, r->to - r->from, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			watch(d, r, r->ended ? EPOLLOUT : EPOLLIN | EPOLLOUT);
			return true;
		}
		if (n < 0) {
			recorder_close(d, r);
			return false;
		}
		r->from += (size_t)n;
		r->bytes += (size_t)n;
	}
	r->from = r->to = 0;
	if (r->ended) {
		recorder_close(d, r);
		return false;
	}
	return true;
}

static void put_header(struct recorder *r)
{
	struct trace_header header;

	trace_header_init(&header, r->image.slots);
	header.sum = frame_sum(&header, offsetof(struct trace_header, sum), 0);
	append(r, &header, sizeof(header));
	r->sum = header.sum;
}

int record_start(struct daemon *d, int fd, const char *reply)
{
	struct law_host h = daemon_law_host(d);
	struct recorder *r;
	uint32_t id = 0;
	int err;

	while (id < RECORDERS_MAX && d->recorder[id])
		id++;
	if (id == RECORDERS_MAX)
		return -EBUSY;
	err = recorder_new(d, &r);
	if (err < 0)
		return err;
	r->fd = fd;
	r->id = id;
	append(r, reply, strlen(reply));
	put_header(r);
	frame_begin(r, END_BYTES);
	trace_put_state(&r->out, &r->image, &h);
	if (r->out.full) {
		recorder_free(r);
		return -ENOBUFS;
	}
	frame_end(r);
	d->recorder[id] = r;
	watch(d, r, EPOLLIN);
	log_info("event=record_started slots=%u buffer=%zu", d->slots_used, r->size);
	flush(d, r);
	return 0;
}

/* ---- from the loop --------------------------------------------------------------------------- */

#define for_each_recorder(d, r)                                                                    \
	for (uint32_t r##_i = 0; r##_i < RECORDERS_MAX; r##_i++)                                   \
		for (struct recorder *r = (d)->recorder[r##_i]; r; r = NULL)

static void take_names(struct recorder *r, const struct daemon *d, uint32_t n)
{
	static_assert(sizeof(d->engine[0].name) == sizeof(r->name[0]), "a name is a name");
	for (uint32_t i = 0; i < n; i++)
		memcpy(r->name[i], d->engine[i].name, sizeof(r->name[i]));
}

void record_inputs(struct daemon *d, const struct law_host *h, uint32_t urgent, uint64_t now_ns)
{
	for_each_recorder(d, r)
	{
		if (r->ended)
			continue;
		make_room(r);
		take_names(r, d, h->n);
		frame_begin(r, END_BYTES);
		trace_put_inputs(&r->out, &r->image, h, r->name, urgent, now_ns);
	}
}

void record_decisions(struct daemon *d, const struct law_host *h)
{
	for_each_recorder(d, r)
	{
		if (r->ended)
			continue;
		trace_put_decisions(&r->out, &r->image, h);
		if (!r->out.full) {
			frame_end(r);
			r->ticks++;
			continue;
		}
		log_warn("event=record_ended ticks=%llu detail=\"the reader was too slow: %zu "
			 "bytes wait for it\"",
			 (unsigned long long)r->ticks, r->to - r->from);
		end(r, TRACE_END_SLOW, r->image.now_ns);
	}
}

void record_send(struct daemon *d)
{
	for_each_recorder(d, r) flush(d, r);
}

void record_event(struct daemon *d, uint32_t id, uint32_t events)
{
	struct recorder *r = id < RECORDERS_MAX ? d->recorder[id] : NULL;
	char word[64];
	ssize_t n;

	if (!r)
		return;
	if (events & (EPOLLHUP | EPOLLERR)) {
		recorder_close(d, r);
		return;
	}
	if (events & EPOLLIN) {
		n = recv(r->fd, word, sizeof(word), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			end(r, TRACE_END_ASKED, clock_now_ns());
	}
	if (flush(d, r) && r->from == r->to)
		watch(d, r, EPOLLIN);
}

void record_expire(struct daemon *d, uint64_t now_ns)
{
	for_each_recorder(d, r) if (r->ended && now_ns > r->ended_ns + UNREAD_NS)
	    recorder_close(d, r);
}

void record_stop_all(struct daemon *d)
{
	for_each_recorder(d, r)
	{
		end(r, TRACE_END_STOPPED, clock_now_ns());
		if (flush(d, r))
			recorder_close(d, r);
	}
}
