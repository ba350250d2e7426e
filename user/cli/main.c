/* SPDX-License-Identifier: BSD-2-Clause */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/cli.h"

int main(int argc, char **argv)
{
	struct cli cli;
	int status;

	setlocale(LC_CTYPE, "");
	if (argc > 1 && !strcmp(argv[1], "__complete"))
		return cli_complete(argc - 2, argv + 2);
	if (argc > 1 && !strcmp(argv[1], "__table"))
		return cli_print_table();
	status = cli_parse(argc, argv, &cli);
	if (status >= 0)
		return status;
	status = cli.command->run(&cli);
	free(cli.arg);
	/* Output that did not arrive is a failure: /dev/full, a closed pipe. */
	if (fflush(stdout) || ferror(stdout))
		return cli_fail(CLI_FAILED, "cannot write the output");
	return status;
}
