/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One scrape: all the daemon knows of itself and its engines, and what engines say of themselves,
 * as text for Prometheus (docs/metrics.md), in pieces: the text of a thousand engines is long, and
 * ticks go on in between. What is of the daemon is read as a piece is made; what engines say is
 * copied when the scrape begins.
 */
#ifndef BAROSTAT_DAEMON_SCRAPE_H
#define BAROSTAT_DAEMON_SCRAPE_H

#include <stddef.h>

#include "user/daemon/daemon.h"

struct scrape;

/* NULL: no memory. */
struct scrape *scrape_begin(const struct daemon *d);
void scrape_end(struct scrape *s);

/* The next piece of at most `size` bytes; 0 at the end. */
size_t scrape_read(struct scrape *s, char *buf, size_t size);

#endif
