/* SPDX-License-Identifier: BSD-2-Clause */
/* Moving processes into an engine's cgroup, by the daemon. */
#ifndef BAROSTAT_CLI_ATTACH_H
#define BAROSTAT_CLI_ATTACH_H

#include "user/cli/client.h"

/* Asks for it; `pids` is stolen. CLI_OK: *ret_answer has "attached" and "failed" arrays. */
int attach_ask(struct client *client, const char *engine, json_t *pids, json_t **ret_answer);
/* Says on stderr what could not be moved. The number of such processes. */
size_t attach_print_failed(const json_t *answer);

#endif
