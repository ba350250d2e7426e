/* SPDX-License-Identifier: BSD-2-Clause */
/* The runs of one `barostat simulate`, and how they are told. */
#ifndef BAROSTAT_CLI_SIMULATE_H
#define BAROSTAT_CLI_SIMULATE_H

#include "user/cli/client.h"
#include "user/cli/columns.h"
#include "user/sim/scenario.h"

struct simulate {
	bool check;
	uint32_t seeds;
	int broken; /* bounds */
	uint64_t best_ns, run_ns; /* spent on best fixed splits, and on runs */
	double simulated_s;
	struct columns *rows;
	json_t *runs;
	double share[2], least; /* sums of shares where nothing changes, and where something does */
	uint32_t count[2];
};

int simulate_begin(struct simulate *s);
void simulate_add(struct simulate *s, const struct sim_scenario *scenario, const char *label,
		  const struct sim_options *options, const struct sim_outcome *outcome);
/* The table, or JSON. CLI_OK or CLI_FAILED. */
int simulate_print(const struct simulate *s, bool json);
void simulate_end(struct simulate *s);

#endif
