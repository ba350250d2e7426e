/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mixed workload, an engine a process:
 *
 *   mixed fill vector|groupby PATH CEILING_MB        makes the data
 *   mixed vector|ingest|groupby PATH CEILING_MB BEGIN_US SECONDS managed|fixed RESULT
 *   mixed watch ...                                  see watch.c
 *
 * BEGIN_US is the instant of the realtime clock at which the work begins. Every 100 ms an engine
 * prints "elapsed_ms ops worst_ns"; its JSON goes to RESULT when it is done. Exit status: 0, or 3
 * when a result was wrong.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "bench/mixed/mixed.h"

#define EXIT_WRONG 3

static const struct kind {
	const char *name;
	int (*run)(struct engine *, FILE *);
} kinds[] = {
	{ "vector", vector_run },
	{ "ingest", ingest_run },
	{ "groupby", groupby_run },
};

static int usage(void)
{
	fprintf(stderr,
		"usage: mixed fill vector|groupby PATH CEILING_MB\n"
		"       mixed vector|ingest|groupby PATH CEILING_MB BEGIN_US SECONDS managed|fixed "
		"RESULT\n"
		"       mixed watch PAGE|- BEGIN_US INTERVAL_MS PARENT_USAGE NAME:PID:DIR...\n");
	return 2;
}

static uint64_t number(const char *text, uint64_t most)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (*end || !n || n > most)
		errx(2, "%s: a number from 1 to %llu", text, (unsigned long long)most);
	return n;
}

static int fill(const char *kind, const char *path, uint64_t ceiling_bytes)
{
	if (!strcmp(kind, "vector"))
		vector_fill(path, ceiling_bytes * 7 / 10);
	else if (!strcmp(kind, "groupby"))
		groupby_fill(path, groupby_groups(ceiling_bytes));
	else
		return usage();
	return 0;
}

static int run(const struct kind *kind, char **argv)
{
	struct engine e = {
		.name = kind->name,
		.path = argv[2],
		.ceiling_bytes = number(argv[3], 1 << 20) * MIB,
		.managed = !strcmp(argv[6], "managed"),
	};
	FILE *out;
	int wrong;

	setvbuf(stdout, NULL, _IOLBF, 0);
	e.begin_ns = clock_from_realtime_us(number(argv[4], UINT64_MAX));
	e.end_ns = e.begin_ns + number(argv[5], 86400) * NS_PER_S;
	out = fopen(argv[7], "we");
	if (!out)
		err(1, "%s", argv[7]);
	wrong = kind->run(&e, out);
	if (fclose(out))
		err(1, "%s", argv[7]);
	return wrong ? EXIT_WRONG : 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "fill"))
		return fill(argv[2], argv[3], number(argv[4], 1 << 20) * MIB);
	if (argc > 2 && !strcmp(argv[1], "watch"))
		return watch_run(argc - 2, argv + 2);
	for (size_t i = 0; argc == 8 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(argv[1], kinds[i].name))
			return run(&kinds[i], argv);
	return usage();
}
