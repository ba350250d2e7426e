/* SPDX-License-Identifier: BSD-2-Clause */
/* A run as a picture. */
#ifndef BAROSTAT_SIM_PLOT_H
#define BAROSTAT_SIM_PLOT_H

#include "user/sim/sim.h"

struct sim_plot_run {
	const char *title; /* the policy; plain text */
	const struct sim_series *series;
	const struct sim_outcome *outcome;
};

/*
 * Writes an SVG to `out`: for each run, side by side, targets and usage as stacked areas over time
 * and stalls as lines. Errors show in ferror(out).
 */
void sim_plot(const struct sim_scenario *scenario, const struct sim_plot_run *run, uint32_t runs,
	      FILE *out);

#endif
