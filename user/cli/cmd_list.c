/* SPDX-License-Identifier: BSD-2-Clause */
/* list: what is configured, a line per engine. */
#include "user/cli/client.h"
#include "user/cli/columns.h"
#include "user/cli/fields.h"
#include "user/common/cleanup.h"

static void add_engine(struct columns *c, const json_t *e)
{
	char buf[FIELD_BYTES];

	columns_add(c, STYLE_BOLD, field_text(e, "name"));
	columns_add(c, STYLE_PLAIN, field_text(e, "group"));
	columns_add(c, STYLE_PLAIN, field_text(e, "state"));
	columns_add(c, STYLE_PLAIN, field_number(e, "weight", buf));
	columns_add(c, STYLE_PLAIN, field_size(e, "min_bytes", buf));
	columns_add(c, STYLE_PLAIN, field_size(e, "max_bytes", buf));
	columns_add(c, STYLE_PLAIN, field_text(e, "mode"));
	columns_add(c, STYLE_PLAIN, field_text(e, "cgroup"));
}

int cmd_list(const struct cli *cli)
{
	static const char *const heads[] = { "ENGINE", "GROUP", "STATE",  ">WEIGHT", ">MIN",
					     ">MAX",   "MODE",  "CGROUP", NULL };
	_cleanup_columns_ struct columns *c = columns_new(heads);
	_cleanup_json_ json_t *status = NULL;
	const json_t *engines, *e;
	size_t i;
	int r = c ? client_ask_status(cli, &status) : cli_fail(CLI_FAILED, "out of memory");

	if (r)
		return r;
	engines = json_object_get(status, "engines");
	if (cli->json)
		return print_json(engines);
	json_array_foreach (engines, i, e)
		add_engine(c, e);
	columns_print(c, stdout);
	return CLI_OK;
}
