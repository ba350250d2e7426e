/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as a configuration: it is refused with complaints, or it keeps its promises and what it
 * prints is read back as the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/common/units.h"
#include "user/daemon/config_internal.h"

#define RAM (100 * GIB)

static void require(int truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

static struct config *read_text(const char *text, size_t n, struct config_complaints *to)
{
	struct config *c = config_new();

	to->config = c;
	config_read_lines(c, 0, text, n, to);
	config_check_daemon(c, RAM, to);
	config_check_shares(c, to);
	if (!to->count)
		return c;
	config_free(c);
	return NULL;
}

static void check_engine(const struct config *c, const struct config_engine *e)
{
	uint64_t most = c->ceiling_bytes - c->reserve_bytes;

	require(e->min_bytes % 4096 == 0 && e->max_bytes % 4096 == 0, "whole pages");
	require(e->min_bytes <= e->max_bytes && e->max_bytes <= most, "min <= max <= ceiling");
	require(!e->initial_bytes ||
		    (e->initial_bytes >= e->min_bytes && e->initial_bytes <= e->max_bytes),
		"initial within bounds");
	require(e->weight >= 1 && e->weight <= 10000, "weight");
	require(e->group < c->groups, "group");
	require(config_name_valid(e->name), "name");
	require(*e->cgroup && *e->cgroup != '/' && !strstr(e->cgroup, "/../"), "cgroup");
}

static void check_whole(const struct config *c)
{
	uint64_t sum = 0;

	require(c->ceiling_bytes <= RAM, "ceiling within RAM");
	require(c->reserve_bytes + c->burst_bytes < c->ceiling_bytes, "something is left");
	require(c->interval_ns >= 10 * 1000000ull && c->lease_ns >= 2 * c->interval_ns, "times");
	for (uint32_t i = 0; i < c->engines; i++) {
		check_engine(c, &c->engine[i]);
		sum += c->engine[i].min_bytes;
	}
	require(sum <= c->ceiling_bytes - c->reserve_bytes, "sum of minima");
}

static char *printed(const struct config *c, size_t *ret_n)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_n);

	config_print(c, f);
	fclose(f);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct config_complaints to = { 0 }, again_to = { 0 };
	struct config *c = read_text((const char *)data, n, &to), *again;
	char *text, *again_text;

	if (!c)
		return 0;
	check_whole(c);
	text = printed(c, &n);
	again_to.out = stderr;
	again = read_text(text, n, &again_to);
	require(again != NULL, "what was printed is accepted");
	check_whole(again);
	again_text = printed(again, &n);
	require(!strcmp(text, again_text), "what was printed reads back as the same");
	free(text);
	free(again_text);
	config_free(c);
	config_free(again);
	return 0;
}
