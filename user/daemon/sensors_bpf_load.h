/* SPDX-License-Identifier: BSD-2-Clause */
/* The loader's own half of loading: what modules do not see. */
#ifndef BAROSTAT_DAEMON_SENSORS_BPF_LOAD_H
#define BAROSTAT_DAEMON_SENSORS_BPF_LOAD_H

#include "user/daemon/sensors_bpf.h"

/* Whether fentry as such is out of the question here, and why: found out once, used for all. */
struct fentry_verdict {
	bool refused;
	char why[160];
};

/* libbpf's messages go to log_debug() from here on, and their gist into sensor_state.why. */
void sensor_listen(void);

/* Opens the best rung of a module that works. Fills state->variant and state->why. */
void sensor_climb(const struct sensor_ctx *ctx, const struct sensor_module *module,
		  struct fentry_verdict *fentry, struct sensor_state *state, void **ret_private);

#endif
