/* SPDX-License-Identifier: BSD-2-Clause */
/* What `barostat replay` prints of what it found. */
#ifndef BAROSTAT_CLI_REPLAY_REPORT_H
#define BAROSTAT_CLI_REPLAY_REPORT_H

#include <jansson.h>

#include "user/cli/cli.h"
#include "user/cli/replay_compare.h"
#include "user/cli/replay_plot.h"
#include "user/cli/trace_file.h"
#include "user/daemon/history.h"

struct session {
	const struct cli *cli;
	struct replay_setting setting[32];
	size_t settings; /* 0: nothing is otherwise */
	const char *engine; /* whose decisions are told, NULL for nobody's */
	struct trace_file file;
	bool broken; /* the file is sound only up to where file.why says */
	struct replay replay;
	struct compare check, other; /* against the law as it was; with the settings */
	struct replay_plot *plot; /* NULL: not wanted */
	struct history told; /* decisions of `engine` not told yet */
	json_t *telling; /* those told, for --json */
	enum law_policy recorded_policy; /* of the first tick */
};

/* Notes the tick's decision on s->engine, and tells those that are over. 0, -ENOMEM. */
int session_tell(struct session *s);
/* The exit status: 1 when the law as it was does not decide as it did. */
int session_report(struct session *s);
void session_fini(struct session *s);

#endif
