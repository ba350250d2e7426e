/* SPDX-License-Identifier: BSD-2-Clause */
/* A replay as a picture: for each engine what it used, its target as recorded, and as it is now. */
#ifndef BAROSTAT_CLI_REPLAY_PLOT_H
#define BAROSTAT_CLI_REPLAY_PLOT_H

#include <stdio.h>

#include "user/cli/replay.h"

struct replay_plot;

/* NULL: out of memory. */
struct replay_plot *replay_plot_new(uint32_t slots);
void replay_plot_free(struct replay_plot *p);

/* The tick that was read last; `law` decided it anew, NULL when nothing did. 0, -ENOMEM. */
int replay_plot_tick(struct replay_plot *p, const struct replay *r, const struct replay_law *law);

/* Writes an SVG. Errors show in ferror(out). */
void replay_plot_write(const struct replay_plot *p, FILE *out);

#endif
