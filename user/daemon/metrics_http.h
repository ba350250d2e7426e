/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Metrics over HTTP: GET /metrics at the configured endpoint. It is the loop that serves, between
 * ticks and in pieces: no thread, and nothing of it in a tick but a look at timeouts once a second.
 * Connections are bounded in number, memory and time.
 *
 * libmicrohttpd is loaded only when metrics are on: with what it needs in turn it would cost every
 * daemon 2.8 MB of locked memory.
 */
#ifndef BAROSTAT_DAEMON_METRICS_HTTP_H
#define BAROSTAT_DAEMON_METRICS_HTTP_H

#include <stdint.h>

#include "user/daemon/daemon.h"

struct metrics_http;

/*
 * Listens where the configuration says. *ret is NULL when it says off, and when it cannot be had:
 * that is said in the log, and the daemon does without.
 */
void metrics_http_open(struct daemon *d, struct metrics_http **ret);
void metrics_http_close(struct metrics_http *m);

/* After a reload: opens, closes or moves what is configured otherwise now. */
void metrics_http_follow(struct daemon *d, struct metrics_http **m);

/* Something came, or it is time to look for who has been silent for too long. NULL is fine. */
void metrics_http_run(struct metrics_http *m);

#endif
