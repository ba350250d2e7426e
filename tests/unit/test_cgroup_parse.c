/* SPDX-License-Identifier: BSD-2-Clause */
/* The parsers of cgroup files, against what real kernels wrote and against what none would. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cgroup/parse.h"
#include "user/common/cleanup.h"
#include "user/common/io.h"
#include "user/common/units.h"

#define FIXTURES "tests/fixtures/cgroup/"

static size_t fixture(const char *path, char *buf, size_t size)
{
	ssize_t len = io_read_file_at(AT_FDCWD, path, buf, size);

	if (len < 0)
		fail_msg("%s: %s (run from the top of the tree)", path, strerror((int)-len));
	return (size_t)len;
}

static void stat_of_6_12(void **state)
{
	char buf[8192];
	size_t len = fixture(FIXTURES "v2-6.12/memory.stat", buf, sizeof(buf));
	struct cg_stat s;

	assert_int_equal(cg_parse_stat_v2(buf, len, &s), 0);
	assert_int_equal(s.missing, 1u << CG_STAT_SWAP);
	assert_int_equal(s.value[CG_STAT_ANON], 22261760);
	assert_int_equal(s.value[CG_STAT_FILE], 18632704);
	assert_int_equal(s.value[CG_STAT_KERNEL], 778240);
	assert_int_equal(s.value[CG_STAT_FILE_DIRTY], 8192);
	assert_int_equal(s.value[CG_STAT_INACTIVE_FILE], 18620416);
	assert_int_equal(s.value[CG_STAT_ACTIVE_FILE], 8192);
	assert_int_equal(s.value[CG_STAT_PGSCAN], 3136);
	assert_int_equal(s.value[CG_STAT_PGSTEAL], 3134);
	assert_int_equal(s.value[CG_STAT_PGFAULT], 404);
	assert_int_equal(s.value[CG_STAT_PGMAJFAULT], 0);
}

static void stat_of_6_1(void **state)
{
	char buf[8192];
	size_t len = fixture(FIXTURES "v2-6.1/memory.stat", buf, sizeof(buf));
	struct cg_stat s;

	assert_int_equal(cg_parse_stat_v2(buf, len, &s), 0);
	assert_int_equal(s.missing, 1u << CG_STAT_SWAP);
	assert_int_equal(s.value[CG_STAT_ANON], 22269952);
	assert_int_equal(s.value[CG_STAT_FILE], 18628608);
	assert_int_equal(s.value[CG_STAT_KERNEL], 770048);
	assert_int_equal(s.value[CG_STAT_PGFAULT], 917);
	assert_int_equal(s.value[CG_STAT_PGSTEAL], 3136);
}

static void stat_of_v1(void **state)
{
	char buf[8192];
	size_t len = fixture(FIXTURES "v1-6.18/memory.stat", buf, sizeof(buf));
	struct cg_stat s;

	assert_int_equal(cg_parse_stat_v1(buf, len, &s), 0);
	assert_int_equal(s.missing,
			 1u << CG_STAT_KERNEL | 1u << CG_STAT_PGSCAN | 1u << CG_STAT_PGSTEAL);
	assert_int_equal(s.value[CG_STAT_ANON], 22265856);
	assert_int_equal(s.value[CG_STAT_FILE], 18874368);
	assert_int_equal(s.value[CG_STAT_INACTIVE_FILE], 18874368);
	assert_int_equal(s.value[CG_STAT_PGFAULT], 5512);
}

static int stat_v1(const char *text, struct cg_stat *ret)
{
	return cg_parse_stat_v1(text, strlen(text), ret);
}

static int stat_v2(const char *text, struct cg_stat *ret)
{
	return cg_parse_stat_v2(text, strlen(text), ret);
}

static void v1_counts_the_children(void **state)
{
	struct cg_stat s;

	/* The local half comes first and must not win. */
	assert_int_equal(stat_v1("cache 1\nrss 2\ntotal_cache 10\ntotal_rss 20\n", &s), 0);
	assert_int_equal(s.value[CG_STAT_FILE], 10);
	assert_int_equal(s.value[CG_STAT_ANON], 20);
	assert_int_equal(stat_v1("cache 1\nrss 2\n", &s), 0);
	assert_int_equal(s.missing, (1u << CG_STAT_COUNT) - 1);
	assert_int_equal(s.value[CG_STAT_FILE], 0);
}

static void every_field_has_its_line(void **state)
{
	static const char *const v2[CG_STAT_COUNT] = {
		[CG_STAT_ANON] = "anon",
		[CG_STAT_FILE] = "file",
		[CG_STAT_SHMEM] = "shmem",
		[CG_STAT_FILE_MAPPED] = "file_mapped",
		[CG_STAT_FILE_DIRTY] = "file_dirty",
		[CG_STAT_FILE_WRITEBACK] = "file_writeback",
		[CG_STAT_KERNEL] = "kernel",
		[CG_STAT_UNEVICTABLE] = "unevictable",
		[CG_STAT_ACTIVE_FILE] = "active_file",
		[CG_STAT_INACTIVE_FILE] = "inactive_file",
		[CG_STAT_PGFAULT] = "pgfault",
		[CG_STAT_PGMAJFAULT] = "pgmajfault",
		[CG_STAT_REFAULT_ANON] = "workingset_refault_anon",
		[CG_STAT_REFAULT_FILE] = "workingset_refault_file",
		[CG_STAT_PGSCAN] = "pgscan",
		[CG_STAT_PGSTEAL] = "pgsteal",
	};
	static const char *const v1[CG_STAT_COUNT] = {
		[CG_STAT_ANON] = "total_rss",
		[CG_STAT_FILE] = "total_cache",
		[CG_STAT_SHMEM] = "total_shmem",
		[CG_STAT_FILE_MAPPED] = "total_mapped_file",
		[CG_STAT_FILE_DIRTY] = "total_dirty",
		[CG_STAT_FILE_WRITEBACK] = "total_writeback",
		[CG_STAT_UNEVICTABLE] = "total_unevictable",
		[CG_STAT_SWAP] = "total_swap",
		[CG_STAT_ACTIVE_FILE] = "total_active_file",
		[CG_STAT_INACTIVE_FILE] = "total_inactive_file",
		[CG_STAT_PGFAULT] = "total_pgfault",
		[CG_STAT_PGMAJFAULT] = "total_pgmajfault",
		[CG_STAT_REFAULT_ANON] = "total_workingset_refault_anon",
		[CG_STAT_REFAULT_FILE] = "total_workingset_refault_file",
	};
	struct cg_stat s;
	char line[64];

	for (unsigned int i = 0; i < CG_STAT_COUNT; i++) {
		for (unsigned int version = 1; version <= 2; version++) {
			const char *key = version == 1 ? v1[i] : v2[i];

			if (!key)
				continue;
			snprintf(line, sizeof(line), "%s 7\n", key);
			assert_int_equal(version == 1 ? stat_v1(line, &s) : stat_v2(line, &s), 0);
			assert_int_equal(s.missing, ((1u << CG_STAT_COUNT) - 1) & ~(1u << i));
			assert_int_equal(s.value[i], 7);
		}
	}
}

static void stat_refuses_what_no_kernel_writes(void **state)
{
	struct cg_stat s = { .missing = 42 };

	assert_int_equal(stat_v2("anon x\n", &s), -EINVAL);
	assert_int_equal(stat_v2("anon -1\n", &s), -EINVAL);
	assert_int_equal(stat_v2("anon 1 2\n", &s), -EINVAL);
	assert_int_equal(stat_v2("anon \n", &s), -EINVAL);
	assert_int_equal(stat_v2("anon 18446744073709551616\n", &s), -ERANGE);
	assert_int_equal(s.missing, 42);
	/* Lines of later kernels are none of our business, whatever they hold. */
	assert_int_equal(stat_v2("anonymous x\n\n \nanon\nanon_x 1\nanon 18446744073709551615", &s),
			 0);
	assert_true(s.value[CG_STAT_ANON] == UINT64_MAX);
}

static int number(const char *text, uint64_t *ret)
{
	return cg_parse_number(text, strlen(text), ret);
}

static void numbers(void **state)
{
	uint64_t v = 1;

	assert_int_equal(number("0\n", &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(number("18446744073709551615", &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(number("max\n", &v), 0);
	assert_true(v == BYTES_NO_LIMIT);
	v = 42;
	assert_int_equal(number("18446744073709551616\n", &v), -ERANGE);
	assert_int_equal(number("99999999999999999999999\n", &v), -ERANGE);
	assert_int_equal(number("", &v), -EINVAL);
	assert_int_equal(number("\n", &v), -EINVAL);
	assert_int_equal(number("-1\n", &v), -EINVAL);
	assert_int_equal(number("1\n\n", &v), -EINVAL);
	assert_int_equal(number("1 \n", &v), -EINVAL);
	assert_int_equal(number("maximum", &v), -EINVAL);
	assert_int_equal(number("ma", &v), -EINVAL);
	assert_int_equal(v, 42);
	/* Length counts, not NUL. */
	assert_int_equal(cg_parse_number("123456", 3, &v), 0);
	assert_int_equal(v, 123);
}

static void events(void **state)
{
	char buf[512];
	size_t len = fixture(FIXTURES "v2-6.12/memory.events", buf, sizeof(buf));
	struct cg_events e = { .oom = 42 };
	static const char full[] = "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n";
	static const char partial[] = "low 1\nhigh 2\nmax 3\noom 4\noom_group_kill 6\n";

	assert_int_equal(cg_parse_events(partial, strlen(partial), &e), -EINVAL);
	assert_int_equal(e.oom, 42);
	assert_int_equal(cg_parse_events(full, strlen(full), &e), 0);
	assert_int_equal(e.low, 1);
	assert_int_equal(e.high, 2);
	assert_int_equal(e.max, 3);
	assert_int_equal(e.oom, 4);
	assert_int_equal(e.oom_kill, 5);
	assert_int_equal(cg_parse_events(buf, len, &e), 0);
	assert_int_equal(e.max, 49);
}

static void keys(void **state)
{
	static const char text[] = "oom_kill_disable 0\nunder_oom 1\noom_kill 9\nend 3";
	uint64_t v = 42;

	assert_int_equal(cg_parse_key(text, strlen(text), "oom_kill", &v), 0);
	assert_int_equal(v, 9);
	assert_int_equal(cg_parse_key(text, strlen(text), "end", &v), 0);
	assert_int_equal(v, 3);
	assert_int_equal(cg_parse_key(text, strlen(text), "oom", &v), -ENOENT);
	assert_int_equal(cg_parse_key("", 0, "oom", &v), -ENOENT);
	assert_int_equal(v, 3);
}

static int pressure(const char *text, struct cg_pressure *ret)
{
	return cg_parse_pressure(text, strlen(text), ret);
}

static void pressures(void **state)
{
	char buf[512];
	size_t len = fixture(FIXTURES "v1-6.18/memory.pressure", buf, sizeof(buf));
	struct cg_pressure p = { .some_ns = 42 };

	assert_int_equal(pressure("full avg10=0.00 total=1\n", &p), -EINVAL);
	assert_int_equal(pressure("some avg10=0.00\n", &p), -EINVAL);
	assert_int_equal(pressure("some total=\n", &p), -EINVAL);
	assert_int_equal(pressure("some total=1x\n", &p), -EINVAL);
	assert_int_equal(pressure("some total=18446744073709551\n"
				  "full total=18446744073709552000\n",
				  &p),
			 -ERANGE);
	assert_int_equal(pressure("", &p), -EINVAL);
	assert_int_equal(p.some_ns, 42);
	assert_int_equal(cg_parse_pressure(buf, len, &p), 0);
	assert_int_equal(p.some_ns, 10011000);
	assert_int_equal(p.full_ns, 10011000);
	assert_int_equal(pressure("some avg10=1.00 avg60=0.00 avg300=0.00 total=7\n", &p), 0);
	assert_int_equal(p.some_ns, 7000);
	assert_int_equal(p.full_ns, 0);
}

static int proc_path(const char *text, const char *controller, char *ret, size_t size)
{
	return cg_parse_proc_cgroup(text, strlen(text), controller, ret, size);
}

static void proc_cgroups(void **state)
{
	char buf[4096], path[CG_PATH_MAX] = "x", small[10] = "x";
	size_t len = fixture(FIXTURES "v1-6.18/proc-cgroup", buf, sizeof(buf));
	uint32_t id = 42;

	assert_int_equal(cg_parse_proc_cgroup(buf, len, "memory", path, sizeof(path)), 11);
	assert_string_equal(path, "barostat/pg");
	assert_int_equal(cg_parse_hierarchy_id(buf, len, "memory", &id), 0);
	assert_int_equal(id, 4);
	assert_int_equal(cg_parse_proc_cgroup(buf, len, "cpu", path, sizeof(path)), 0);
	assert_string_equal(path, "");
	len = fixture(FIXTURES "v2-6.12/proc-cgroup", buf, sizeof(buf));
	assert_int_equal(cg_parse_proc_cgroup(buf, len, "", path, sizeof(path)), 11);
	assert_string_equal(path, "barostat/pg");
	assert_int_equal(cg_parse_proc_cgroup(buf, len, "memory", path, sizeof(path)), -ENOENT);
	assert_int_equal(cg_parse_hierarchy_id(buf, len, "memory", &id), -ENOENT);
	/* A list of controllers, a path with colons, names that only resemble. */
	assert_int_equal(proc_path("3:memoryx,xmemory:/a\n2:cpu,memory,io:/b:c/d\n0::/e\n",
				   "memory", path, sizeof(path)),
			 5);
	assert_string_equal(path, "b:c/d");
	assert_int_equal(proc_path("0::/barostat/pg\n", "", small, sizeof(small)), -ENAMETOOLONG);
	assert_string_equal(small, "x");
	assert_int_equal(proc_path("0::/123456789\n", "", small, sizeof(small)), 9);
	assert_int_equal(proc_path("0::/../x\n", "", path, sizeof(path)), -EXDEV);
	assert_int_equal(proc_path("0::/..\n", "", path, sizeof(path)), -EXDEV);
	assert_int_equal(proc_path("0::/..x\n", "", path, sizeof(path)), 3);
	assert_int_equal(proc_path("0::relative\n", "", path, sizeof(path)), -EINVAL);
	assert_int_equal(proc_path("0::", "", path, sizeof(path)), -EINVAL);
	assert_int_equal(proc_path("0\n:\n::\n", "", path, sizeof(path)), -EINVAL);
	assert_int_equal(proc_path("", "", path, sizeof(path)), -ENOENT);
}

static void words(void **state)
{
	static const char text[] = "cpuset cpu io memory\n";

	assert_true(cg_parse_has_word(text, strlen(text), "memory"));
	assert_true(cg_parse_has_word(text, strlen(text), "cpuset"));
	assert_false(cg_parse_has_word(text, strlen(text), "mem"));
	assert_false(cg_parse_has_word(text, strlen(text), "memory2"));
	assert_false(cg_parse_has_word("", 0, "memory"));
	assert_true(cg_parse_has_word("memory", 6, "memory"));
}

static void pids_come_in_pieces(void **state)
{
	pid_t pids[3] = { 0 };
	size_t count = 0;

	assert_int_equal(cg_parse_pids("1\n22\n33", 7, pids, 3, &count), 5);
	assert_int_equal(count, 2);
	assert_int_equal(cg_parse_pids("333\n4444\n", 9, pids, 3, &count), 9);
	assert_int_equal(count, 4); /* counted beyond what fits */
	assert_int_equal(pids[0], 1);
	assert_int_equal(pids[1], 22);
	assert_int_equal(pids[2], 333);
	/* 0: of a PID namespace out of sight. */
	assert_int_equal(cg_parse_pids("0\nx\n\n99999999999\n", 17, pids, 3, &count), 17);
	assert_int_equal(count, 4);
}

/* Every parser over every prefix of real text with bytes broken at random: under the sanitizers
 * this is what catches a read beyond the end, since the buffer is exactly as long as the text. */
static void survives_any_bytes(void **state)
{
	static const char *const files[] = {
		FIXTURES "v2-6.12/memory.stat",       FIXTURES "v1-6.18/memory.stat",
		FIXTURES "v2-6.12/memory.events",     FIXTURES "v2-6.12/memory.pressure",
		FIXTURES "v1-6.18/proc-cgroup",       FIXTURES "v2-6.12/cgroup.controllers",
		FIXTURES "v1-6.18/memory.oom_control"
	};
	uint64_t seed = 1;

	for (size_t f = 0; f < ARRAY_SIZE(files); f++) {
		char buf[8192];
		size_t len = fixture(files[f], buf, sizeof(buf));

		for (size_t cut = 0; cut <= len; cut += 1 + cut / 200) {
			_cleanup_free_ char *text = malloc(cut ? cut : 1);
			struct cg_stat s;
			struct cg_events e;
			struct cg_pressure p;
			char path[16];
			pid_t pids[4];
			uint64_t v;
			uint32_t id;
			size_t count = 0;

			memcpy(text, buf, cut);
			for (int i = 0; i < 3 && cut; i++) {
				seed = seed * 6364136223846793005ull + 1442695040888963407ull;
				text[(seed >> 33) % cut] = (char)(seed >> 56);
			}
			cg_parse_stat_v2(text, cut, &s);
			cg_parse_stat_v1(text, cut, &s);
			cg_parse_events(text, cut, &e);
			cg_parse_pressure(text, cut, &p);
			cg_parse_key(text, cut, "oom_kill", &v);
			cg_parse_number(text, cut, &v);
			cg_parse_has_word(text, cut, "memory");
			cg_parse_hierarchy_id(text, cut, "memory", &id);
			if (cg_parse_proc_cgroup(text, cut, "memory", path, sizeof(path)) >= 0)
				assert_true(strlen(path) < sizeof(path));
			assert_true(cg_parse_pids(text, cut, pids, 4, &count) <= cut);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stat_of_6_12),
		cmocka_unit_test(stat_of_6_1),
		cmocka_unit_test(stat_of_v1),
		cmocka_unit_test(v1_counts_the_children),
		cmocka_unit_test(every_field_has_its_line),
		cmocka_unit_test(stat_refuses_what_no_kernel_writes),
		cmocka_unit_test(numbers),
		cmocka_unit_test(events),
		cmocka_unit_test(keys),
		cmocka_unit_test(pressures),
		cmocka_unit_test(proc_cgroups),
		cmocka_unit_test(words),
		cmocka_unit_test(pids_come_in_pieces),
		cmocka_unit_test(survives_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
