/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the client share; never installed. */
#ifndef BAROSTAT_LIB_CLIENT_INTERNAL_H
#define BAROSTAT_LIB_CLIENT_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/barostat/client.h"

#define CLIENT_PATH_BYTES 108 /* of struct sockaddr_un */

/* A mapped page and our slot in it; lives as long as somebody reads through it. */
struct view {
	unsigned int users;
	struct baro_page *page;
	struct baro_slot_ref ref;
};

/* What we say, also while nobody listens. */
struct said {
	uint32_t hint;
	uint64_t heartbeat_ns, accounted_bytes, reclaimable_bytes, wanted_bytes, ack_epoch;
	uint64_t metrics_ns; /* 0: no table yet */
	uint32_t metrics; /* lines */
	struct baro_demand_metric metric[BARO_DEMAND_METRICS];
};

struct baro_client {
	pthread_mutex_t lock;
	struct view *view; /* NULL: no page */
	struct baro_demand *demand; /* NULL: the daemon does not hear us */
	struct said said;
	int error;
	uint64_t tend_ns; /* next look at the connection */
	struct baro_metrics *metrics; /* published as often; NULL: none */
	bool publishing;
	pthread_cond_t published;

	pthread_mutex_t tending;
	int fd; /* -1: none */
	bool greeted;
	uint64_t connected_ns;
	char path[CLIENT_PATH_BYTES];
};

/* Puts all of it but the table of metrics on the demand page, if there is one; with the lock held.
 */
void client_say(struct baro_client *c);
/* The same for the table, if there is one. */
void client_say_table(struct baro_client *c);
/* Sets one thing we say, and says it. */
void client_set(struct baro_client *c, uint64_t *field, uint64_t value);
/* Takes a table of so many lines, and says it. */
void client_say_metrics(struct baro_client *c, const struct baro_demand_metric *line, uint32_t n);

/* Publishes the metrics, if the client has any; no lock is held. */
void client_publish(struct baro_client *c);

/* What a welcome brings. */
struct link_grant {
	struct baro_page *page;
	struct baro_slot_ref ref;
	struct baro_demand *demand; /* mapped for writing */
};

/* A connection to whoever listens at `path`, which is root or ourselves. Does not block. */
int link_connect(const char *path);

/* Judges what was received. 0: it is a welcome with its two descriptors; otherwise -errno, which
 * for a refusal is the daemon's own. */
int link_judge_welcome(const void *message, size_t bytes, size_t descriptors,
		       struct baro_welcome *ret);

/* Takes the welcome from the connection. -EAGAIN: it has not come yet. */
int link_welcome(int fd, struct link_grant *ret);

/* Whether the daemon has closed the connection. */
bool link_is_hung_up(int fd);

/* What the cgroup's own files say; the two files of /proc are named for tests. */
int files_read(const char *cgroup_file, const char *mountinfo_file, struct baro_pressure *ret);

#endif
