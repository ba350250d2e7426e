/* SPDX-License-Identifier: BSD-2-Clause */
/* A trace on disk: its header judged, its frames one after the other as long as they are sound. */
#ifndef BAROSTAT_CLI_TRACE_FILE_H
#define BAROSTAT_CLI_TRACE_FILE_H

#include "user/cli/replay.h"

struct trace_file {
	const char *path;
	uint8_t *data;
	size_t bytes, at;
	uint32_t sum;
	struct trace_header header;
	char why[320]; /* one sentence, when something is wrong */
};

#define _cleanup_trace_file_ _cleanup_(trace_file_close)

/* -errno, -EBADMSG for what is no trace or one of another law; file->why says so. */
int trace_file_open(struct trace_file *file, const char *path);
void trace_file_close(struct trace_file *file);

/*
 * The next frame, into the replay: enum replay_read; -ENODATA: the file is over; -EBADMSG: it is
 * cut off or damaged here, file->why says which; what was read before is sound.
 */
int trace_file_read(struct trace_file *file, struct replay *replay);

#endif
