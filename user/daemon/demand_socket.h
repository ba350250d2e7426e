/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine socket: who connects from an engine's cgroup and as its user gets the pressure page
 * and a demand page. Clients are bounded in all and per engine, never waited for, and never asked:
 * what they say stands in their pages. One thread (the loop) uses it.
 */
#ifndef BAROSTAT_DAEMON_DEMAND_SOCKET_H
#define BAROSTAT_DAEMON_DEMAND_SOCKET_H

#include <stdint.h>

#include "user/daemon/daemon.h"
#include "user/daemon/demand_metrics.h"

#define DEMAND_CLIENTS_MAX            1024
#define DEMAND_CLIENTS_PER_ENGINE_MAX 16

struct demand_socket;

/* Listens at the configured path. A daemon whose engines cannot speak still steers: the caller may
 * go on without. The errors of listen_at(), -ENOMEM. */
int demand_socket_open(struct daemon *d, struct demand_socket **ret);
void demand_socket_close(struct demand_socket *s);

/* Events of the listening socket and of a client. */
void demand_socket_accept(struct demand_socket *s);
void demand_socket_event(struct demand_socket *s, uint32_t client);

/* Reads every page into the samples of the engines; after the samples were taken. */
void demand_collect(struct demand_socket *s, uint64_t now_ns);

/* What the engine's clients that live say of themselves; all of it is added to *sum. NULL as socket
 * is fine. */
void demand_collect_metrics(const struct demand_socket *s, uint32_t slot,
			    struct demand_metrics *sum);

/* The slot is no longer that engine's: its clients are sent away (and may come again). */
void demand_drop(struct demand_socket *s, uint32_t slot);

#endif
