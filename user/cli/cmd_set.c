/* SPDX-License-Identifier: BSD-2-Clause */
/* set: one engine's bounds, one request per KEY=VALUE, in order; the first refusal ends it. */
#include <inttypes.h>
#include <string.h>

#include "user/cli/client.h"
#include "user/cli/fields.h"
#include "user/common/cleanup.h"

static void print_engine(const json_t *e)
{
	char a[FIELD_BYTES], b[FIELD_BYTES], c[FIELD_BYTES], d[FIELD_BYTES];

	printf("%s: min %s, max %s, weight %s, mode %s, target %s\n", field_text(e, "name"),
	       field_size(e, "min_bytes", a), field_size(e, "max_bytes", b),
	       field_number(e, "weight", c), field_text(e, "mode"),
	       field_size(e, "target_bytes", d));
}

static json_t *request(const char *engine, const char *setting)
{
	const char *equals = strchr(setting, '=');

	return json_pack("{s:s, s:s, s:s%, s:s}", "cmd", "set", "engine", engine, "key", setting,
			 (size_t)(equals - setting), "value", equals + 1);
}

int cmd_set(const struct cli *cli)
{
	_cleanup_json_ json_t *answer = NULL;
	struct client client;
	int r;

	for (int i = 1; i < cli->args; i++)
		if (!strchr(cli->arg[i], '=') || *cli->arg[i] == '=')
			return cli_fail_usage(cli->command, "'%s' is not KEY=VALUE", cli->arg[i]);
	r = client_connect(&client, cli->socket_path);
	for (int i = 1; !r && i < cli->args; i++) {
		json_decref(answer);
		answer = NULL;
		r = client_ask(&client, request(cli->arg[0], cli->arg[i]), &answer);
		if (r && i > 1)
			fprintf(stderr, "barostat: %s and what stands before it was set\n",
				cli->arg[i - 1]);
	}
	client_close(&client);
	if (r)
		return client_fail(&client, r);
	if (!json_is_object(json_object_get(answer, "engine")))
		return cli_fail(CLI_FAILED, "the daemon's answer lacks \"engine\"");
	if (cli->json)
		return print_json(answer);
	print_engine(json_object_get(answer, "engine"));
	return CLI_OK;
}
