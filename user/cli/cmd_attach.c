/* SPDX-License-Identifier: BSD-2-Clause */
/* attach: running processes into an engine's cgroup. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "user/cli/attach.h"
#include "user/cli/fields.h"
#include "user/common/units.h"

int attach_ask(struct client *client, const char *engine, json_t *pids, json_t **ret_answer)
{
	json_t *request =
	    json_pack("{s:s, s:s, s:o}", "cmd", "attach", "engine", engine, "pids", pids);
	_cleanup_json_ json_t *answer = NULL;
	int r = client_ask(client, request, &answer);

	if (r)
		return r;
	if (!json_is_array(json_object_get(answer, "attached")) ||
	    !json_is_array(json_object_get(answer, "failed"))) {
		snprintf(client->why, sizeof(client->why),
			 "the daemon's answer lacks \"attached\" or \"failed\"");
		return CLI_FAILED;
	}
	*ret_answer = TAKE_PTR(answer);
	return CLI_OK;
}

size_t attach_print_failed(const json_t *answer)
{
	const json_t *failed = json_object_get(answer, "failed"), *f;
	size_t i;

	json_array_foreach (failed, i, f)
		cli_fail(CLI_FAILED, "process %" JSON_INTEGER_FORMAT " was not moved: %s",
			 json_integer_value(json_object_get(f, "pid")), field_text(f, "error"));
	return json_array_size(failed);
}

/* NULL and *ret_bad when a word is no process id. */
static json_t *read_pids(char **word, int words, const char **ret_bad)
{
	json_t *pids = json_array();
	uint64_t pid;

	for (int i = 0; i < words; i++) {
		if (units_parse_u64(word[i], &pid) < 0 || !pid || pid > INT_MAX) {
			*ret_bad = word[i];
			json_decref(pids);
			return NULL;
		}
		json_array_append_new(pids, json_integer((json_int_t)pid));
	}
	return pids;
}

int cmd_attach(const struct cli *cli)
{
	_cleanup_json_ json_t *answer = NULL;
	const json_t *attached;
	const char *bad = "";
	struct client client;
	json_t *pids = read_pids(cli->arg + 1, cli->args - 1, &bad);
	size_t failed;
	int r;

	if (!pids)
		return cli_fail_usage(cli->command, "'%s' is not a process id", bad);
	r = client_connect(&client, cli->socket_path);
	if (r)
		json_decref(pids);
	else
		r = attach_ask(&client, cli->arg[0], pids, &answer);
	client_close(&client);
	if (r)
		return client_fail(&client, r);
	attached = json_object_get(answer, "attached");
	if (cli->json) {
		if (print_json(answer))
			return CLI_FAILED;
	} else if (json_array_size(attached)) {
		printf("%zu process%s moved into %s\n", json_array_size(attached),
		       json_array_size(attached) == 1 ? "" : "es", cli->arg[0]);
	}
	failed = attach_print_failed(answer);
	return failed ? CLI_FAILED : CLI_OK;
}
