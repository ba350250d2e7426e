/* SPDX-License-Identifier: BSD-2-Clause */
/* One request to the daemon, one answer: docs/control.md. */
#ifndef BAROSTAT_CLI_CLIENT_H
#define BAROSTAT_CLI_CLIENT_H

#include <jansson.h>
#include <stdint.h>

#include "user/cli/cli.h"
#include "user/common/cleanup.h"

#define _cleanup_json_ _cleanup_(cleanup_json)

static inline void cleanup_json(json_t **j)
{
	json_decref(*j);
}

struct client {
	int fd; /* -1: not connected */
	const char *path;
	uint64_t answer_ns; /* for a whole exchange; 5 s unless changed after connecting */
	char why[256]; /* what went wrong, one sentence */
};

/* CLI_OK, CLI_NO_DAEMON, or another exit status with client->why; nothing is printed. */
int client_connect(struct client *client, const char *path);
void client_close(struct client *client);

/*
 * Sends the request (stolen) and reads the answer within a deadline. CLI_OK: *ret_answer is the
 * object without its "ok", owned by the caller. Otherwise the exit status and client->why.
 * The connection can be used again after CLI_OK and after an answer that refused (then
 * client->fd is still open).
 */
int client_ask(struct client *client, json_t *request, json_t **ret_answer);

/* Connect, ask, close; says what went wrong on stderr. */
int client_ask_once(const struct cli *cli, json_t *request, json_t **ret_answer);

/* The whole status; its "engines" is sure to be an array of objects. */
int client_ask_status(const struct cli *cli, json_t **ret_status);
/* Is it an array of objects, as "engines" has to be? */
int client_check_engines(struct client *client, const json_t *status);

/* What to do when there is no daemon, as a sentence for stderr. */
int client_fail(const struct client *client, int status);

#endif
