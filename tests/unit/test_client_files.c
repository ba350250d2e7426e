/* SPDX-License-Identifier: BSD-2-Clause */
/* What an engine without a daemon reads of its own cgroup's files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/dir_support.h"
#include "user/lib/client_internal.h"

#define MIB (1ull << 20)

static char top[PATH_MAX / 2];

static void put(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* A unified tree at `top` with this process in /engine. */
static int set_up(void **state)
{
	char text[PATH_MAX];

	(void)state;
	if (dir_make("files", top, sizeof(top)) < 0)
		return -1;
	snprintf(text, sizeof(text), "%s/engine", top);
	if (mkdir(text, 0755) < 0)
		return -1;
	put("cgroup", "0::/engine\n");
	snprintf(text, sizeof(text), "30 20 0:26 / %s rw - cgroup2 cgroup2 rw\n", top);
	put("mountinfo", text);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return dir_remove(top);
}

static struct baro_pressure read_now(void)
{
	char cgroup[PATH_MAX], mountinfo[PATH_MAX];
	struct baro_pressure p = { 0 };

	snprintf(cgroup, sizeof(cgroup), "%s/cgroup", top);
	snprintf(mountinfo, sizeof(mountinfo), "%s/mountinfo", top);
	assert_int_equal(files_read(cgroup, mountinfo, &p), 0);
	return p;
}

static void the_score_is_how_much_of_the_limit_cannot_be_dropped(void **state)
{
	struct baro_pressure p;

	put("engine/memory.max", "104857600\n");
	put("engine/memory.high", "max\n");
	put("engine/memory.current", "94371840\n");
	put("engine/memory.stat", "anon 41943040\nfile 41943040\nkernel 5242880\nshmem 5242880\n");
	p = read_now();
	assert_int_equal(p.limit_bytes, 100 * MIB);
	assert_int_equal(p.usage_bytes, 90 * MIB);
	/* 50 MiB of 100: clean cache is not pressure */
	assert_int_equal(p.score_ppm, 500000);
	assert_int_equal(BARO_STATUS_LEVEL(p.status), BARO_LEVEL_NORMAL);
	put("engine/memory.stat", "anon 99614720\nfile 0\nkernel 0\nshmem 0\n");
	p = read_now();
	assert_int_equal(p.score_ppm, 950000);
	assert_int_equal(BARO_STATUS_LEVEL(p.status), BARO_LEVEL_EMERGENCY);
	/* more than the limit, as after the limit has gone down */
	put("engine/memory.stat", "anon 199614720\nfile 0\nkernel 0\nshmem 0\n");
	assert_int_equal(read_now().score_ppm, 1000000);
}

static void without_a_limit_there_is_no_score(void **state)
{
	struct baro_pressure p;

	put("engine/memory.max", "max\n");
	put("engine/memory.high", "max\n");
	put("engine/memory.current", "94371840\n");
	put("engine/memory.stat", "anon 94371840\n");
	p = read_now();
	assert_int_equal(p.score_ppm, 0);
	assert_true(p.limit_bytes == BARO_PAGE_NONE);
	assert_int_equal(BARO_STATUS_LEVEL(p.status), BARO_LEVEL_NORMAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_score_is_how_much_of_the_limit_cannot_be_dropped),
		cmocka_unit_test(without_a_limit_there_is_no_score),
	};

	return cmocka_run_group_tests_name("client_files", tests, set_up, tear_down);
}
