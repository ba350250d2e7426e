/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "user/common/cleanup.h"
#include "user/common/frame.h"

static int fault(struct trace_file *file, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int fault(struct trace_file *file, int error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(file->why, sizeof(file->why), fmt, args);
	va_end(args);
	return error;
}

static int read_all(struct trace_file *file)
{
	_cleanup_close_ int fd = open(file->path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t got = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	file->data = malloc((size_t)st.st_size + 1);
	if (!file->data)
		return -ENOMEM;
	while (got < (size_t)st.st_size) {
		ssize_t n = read(fd, file->data + got, (size_t)st.st_size - got);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	file->bytes = got;
	return 0;
}

/* The layout says what the sum over the declarations cannot: that this very build means the same.
 */
static bool same_layout(const struct trace_header *a, const struct trace_header *b)
{
	return a->params_bytes == b->params_bytes && a->engine_bytes == b->engine_bytes &&
	       a->sample_bytes == b->sample_bytes && a->estimate_bytes == b->estimate_bytes &&
	       a->memory_bytes == b->memory_bytes && a->decision_bytes == b->decision_bytes;
}

static int judge_header(struct trace_file *file)
{
	struct trace_header *h = &file->header, own;

	if (file->bytes < sizeof(*h) || memcmp(file->data, TRACE_MAGIC, sizeof(h->magic)) != 0)
		return fault(file, -EBADMSG, "%.200s is no trace of barostat record", file->path);
	memcpy(h, file->data, sizeof(*h));
	trace_header_init(&own, 0);
	if (h->byte_order != TRACE_BYTE_ORDER)
		return fault(file, -EBADMSG,
			     "%.200s was recorded on a machine of another byte order", file->path);
	if (h->version != TRACE_VERSION)
		return fault(file, -EBADMSG, "%.200s has format %u, this barostat reads format %u",
			     file->path, h->version, TRACE_VERSION);
	if (h->sum != frame_sum(h, offsetof(struct trace_header, sum), 0))
		return fault(file, -EBADMSG, "%.200s is damaged in its header", file->path);
	if (h->law_abi != own.law_abi || !same_layout(h, &own))
		return fault(file, -EBADMSG,
			     "%.160s was recorded by barostat %.19s with another control law "
			     "(%08x), this is %s (%08x): replay it with the barostat that recorded "
			     "it",
			     file->path, h->program, h->law_abi, own.program, own.law_abi);
	if (h->slots == 0 || h->slots > LAW_ENGINES_MAX)
		return fault(file, -EBADMSG, "%.200s has %u slots, more than there can be",
			     file->path, h->slots);
	file->at = sizeof(*h);
	file->sum = h->sum;
	return 0;
}

int trace_file_open(struct trace_file *file, const char *path)
{
	int r;

	*file = (struct trace_file){ .path = path };
	r = read_all(file);
	if (r < 0) {
		trace_file_close(file);
		return fault(file, r, "cannot read %.200s: %s", path, strerror(-r));
	}
	r = judge_header(file);
	if (r < 0)
		trace_file_close(file);
	return r;
}

void trace_file_close(struct trace_file *file)
{
	free(file->data);
	file->data = NULL;
}

int trace_file_read(struct trace_file *file, struct replay *replay)
{
	const uint8_t *at = file->data + file->at;
	ssize_t n;
	int r;

	if (file->at == file->bytes) {
		if (replay->ended)
			return -ENODATA;
		return fault(file, -EBADMSG, "%.200s is cut off at byte %zu", file->path, file->at);
	}
	n = frame_check(at, file->bytes - file->at, &file->sum);
	if (n == 0)
		return fault(file, -EBADMSG, "%.200s is cut off within a frame, at byte %zu",
			     file->path, file->at);
	r = n < 0 ? (int)n : replay_read(replay, at + FRAME_HEAD_BYTES, (size_t)n);
	if (r < 0)
		return fault(file, -EBADMSG, "%.200s is damaged at byte %zu", file->path, file->at);
	file->at += FRAME_HEAD_BYTES + (size_t)n;
	return r;
}
