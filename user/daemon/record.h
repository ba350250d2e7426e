/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recordings: every tick is written as bytes (trace.h) to whoever asked for it over the control
 * socket. All memory is had when a recording starts; a reader that is too slow loses its recording,
 * never the loop its time. Only the loop's thread calls these; all take a daemon without
 * recordings.
 */
#ifndef BAROSTAT_DAEMON_RECORD_H
#define BAROSTAT_DAEMON_RECORD_H

#include "user/daemon/daemon.h"
#include "user/daemon/law_tick.h"

/*
 * Starts to write to the descriptor, which is the recording's from then on: `reply`, then the trace
 * from the next tick on. The descriptor must be in d's epoll. -EBUSY: there are RECORDERS_MAX
 * already; -ENOMEM; -ENOBUFS: the engines' state does not fit. Then the descriptor is the caller's.
 */
int record_start(struct daemon *d, int fd, const char *reply);

/* Around law_tick(). */
void record_inputs(struct daemon *d, const struct law_host *h, uint32_t urgent, uint64_t now_ns);
void record_decisions(struct daemon *d, const struct law_host *h);
/* Sends what there is; once the tick has done what matters. */
void record_send(struct daemon *d);

/* The reader has room again, has asked for the end, or is gone. */
void record_event(struct daemon *d, uint32_t id, uint32_t events);
/* Ended, and not read to its end for too long. */
void record_expire(struct daemon *d, uint64_t now_ns);
void record_stop_all(struct daemon *d);

#endif
