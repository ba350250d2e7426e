/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as a file of a cgroup or of /proc: every parser returns, reads nothing beyond the end,
 * and keeps its promises about what it gives back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

static void check_stat(int r, const struct cg_stat *s)
{
	if (r < 0)
		return;
	require(s->missing < 1u << CG_STAT_COUNT, "missing names fields only");
	for (unsigned int i = 0; i < CG_STAT_COUNT; i++)
		require(!(s->missing & 1u << i) || !s->value[i], "what is missing is 0");
}

static void check_path(const char *text, size_t size, const char *controller, size_t room)
{
	char path[64] = "untouched";
	int r = cg_parse_proc_cgroup(text, size, controller, path, room);

	if (r < 0)
		require(!strcmp(path, "untouched"), "a failure leaves the path alone");
	else
		require((size_t)r < room && path[r] == '\0', "a path fits and ends");
}

/* A list cut anywhere gives the same PIDs as the list in one piece. */
static void check_pids(const char *text, size_t size, size_t cut)
{
	pid_t whole[8] = { 0 }, pieces[8] = { 0 };
	size_t whole_count = 0, piece_count = 0, used;

	cg_parse_pids(text, size, whole, 8, &whole_count);
	used = cg_parse_pids(text, cut, pieces, 8, &piece_count);
	require(used <= cut, "no more is used than there is");
	cg_parse_pids(text + used, size - used, pieces, 8, &piece_count);
	require(whole_count == piece_count && !memcmp(whole, pieces, sizeof(whole)),
		"pieces give what the whole gives");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct cg_stat stat;
	struct cg_events events;
	struct cg_pressure pressure;
	uint64_t v;
	uint32_t id;

	check_stat(cg_parse_stat_v2(text, size, &stat), &stat);
	check_stat(cg_parse_stat_v1(text, size, &stat), &stat);
	cg_parse_events(text, size, &events);
	cg_parse_pressure(text, size, &pressure);
	cg_parse_number(text, size, &v);
	cg_parse_key(text, size, "oom_kill", &v);
	cg_parse_has_word(text, size, "memory");
	cg_parse_hierarchy_id(text, size, "memory", &id);
	check_path(text, size, "memory", 64);
	check_path(text, size, "", 12);
	check_pids(text, size, size ? data[0] % (size + 1) : 0);
	return 0;
}
