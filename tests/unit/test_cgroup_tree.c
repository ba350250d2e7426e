/* SPDX-License-Identifier: BSD-2-Clause */
/* The backends over plain directory trees: everything that needs no kernel to be right or wrong. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgroup/cgroup.h"
#include "user/common/cleanup.h"
#include "user/common/io.h"
#include "user/common/units.h"

#define NO_SUCH_PID 0x3fffffff /* above the kernel's largest pid_max */
#define V2_USAGE    41938944
#define V1_USAGE    41906176
#define LIMIT       41943040

static char root[64];

static int shell(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return system(cmd); /* NOLINT: fixed commands on our own directory */
}

static int make_root(void **state)
{
	snprintf(root, sizeof(root), "/tmp/barostat-test-%d-XXXXXX", (int)getpid());
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	return shell("rm -rf %s", root);
}

static int make_v2(void **state)
{
	return make_root(state) ?: shell("cp -r tests/fixtures/cgroup/tree-v2/. %s", root);
}

static int make_hybrid(void **state)
{
	return make_root(state) ?: shell("cp -r tests/fixtures/cgroup/tree-hybrid/. %s", root);
}

static void cleanup_backend(struct cg_backend **b)
{
	cg_backend_close(*b);
}

static void cleanup_node(struct cg_node **n)
{
	cg_node_close(*n);
}

#define _cleanup_backend_ _cleanup_(cleanup_backend)
#define _cleanup_node_    _cleanup_(cleanup_node)

static struct cg_backend *open_root(bool dry_run)
{
	const struct cg_options options = { .size = sizeof(options),
					    .dry_run = dry_run,
					    .cgroup_root = root };
	struct cg_backend *b = NULL;
	const char *why = "";

	if (cg_backend_open(&options, &b, &why) < 0)
		fail_msg("%s: %s", root, why);
	return b;
}

static struct cg_node *open_node(struct cg_backend *b, const char *path)
{
	struct cg_node *n = NULL;

	assert_int_equal(cg_node_open(b, path, &n), 0);
	return n;
}

static void write_file(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	f = fopen(full, "we");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void assert_file(const char *path, const char *text)
{
	char full[256], buf[4096];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	assert_true(io_read_file_at(AT_FDCWD, full, buf, sizeof(buf)) >= 0);
	assert_string_equal(buf, text);
}

/* -- which hierarchy -- */

static void a_v2_root_is_v2(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	const struct cg_abilities *a = cg_backend_abilities(b);

	assert_int_equal(a->kind, CG_KIND_V2);
	assert_int_equal(a->beneath, CG_KIND_V2);
	assert_true(a->writable && a->has_low && a->has_reclaim && a->has_psi);
	assert_false(a->psi_any_window);
	assert_int_equal(a->memory_hierarchy_id, 0);
	assert_string_equal(a->memory_mount, root);
	assert_string_equal(a->psi_mount, root);
}

static void memory_and_unified_are_hybrid(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	const struct cg_abilities *a = cg_backend_abilities(b);
	char mount[128];

	assert_int_equal(a->kind, CG_KIND_HYBRID);
	assert_true(a->writable && a->has_psi);
	assert_false(a->has_low || a->has_reclaim);
	snprintf(mount, sizeof(mount), "%s/memory", root);
	assert_string_equal(a->memory_mount, mount);
	snprintf(mount, sizeof(mount), "%s/unified", root);
	assert_string_equal(a->psi_mount, mount);
}

static void hybrid_lives_without_a_unified_tree(void **state)
{
	_cleanup_backend_ struct cg_backend *b = NULL;
	_cleanup_node_ struct cg_node *n = NULL;
	struct cg_pressure p;
	uint64_t v;
	struct cg_cpu cpu;

	shell("rm -r %s/unified", root);
	b = open_root(false);
	assert_false(cg_backend_abilities(b)->has_psi);
	n = open_node(b, "barostat/pg");
	assert_int_equal(cg_node_psi_id(n), 0);
	assert_int_equal(cg_node_usage(n, &v), 0);
	assert_int_equal(cg_node_pressure(n, CG_PRESSURE_MEMORY, &p), -EOPNOTSUPP);
	assert_int_equal(cg_node_cpu(n, &cpu), -EOPNOTSUPP);
	assert_int_equal(cg_node_psi_trigger(n, CG_PRESSURE_MEMORY, 1, 2, &v), -EOPNOTSUPP);
}

static void a_plain_directory_is_refused(void **state)
{
	const struct cg_options options = { .size = sizeof(options), .cgroup_root = root };
	const struct cg_options nowhere = { .size = sizeof(nowhere),
					    .cgroup_root = "/nonexistent" };
	struct cg_backend *b = (void *)1;
	const char *why = NULL;

	assert_int_equal(cg_backend_open(&options, &b, &why), -ENOENT);
	assert_non_null(strstr(why, "cgroup.controllers"));
	why = NULL;
	assert_int_equal(cg_backend_open(&nowhere, &b, &why), -ENOENT);
	assert_non_null(why);
	assert_ptr_equal(b, (void *)1);
}

static void v2_without_memory_is_refused(void **state)
{
	const struct cg_options options = { .size = sizeof(options), .cgroup_root = root };
	struct cg_backend *b = NULL;
	const char *why = NULL;

	write_file("cgroup.controllers", "cpu io memoryless\n");
	assert_int_equal(cg_backend_open(&options, &b, &why), -ENOENT);
	assert_non_null(strstr(why, "no memory controller"));
}

/* -- names -- */

static void paths_cannot_leave_the_hierarchy(void **state)
{
	static const char *const bad[] = { "/a",     "a/", "a//b",  "..",   "../a", "a/..",
					   "a/../b", ".",  "a/./b", "a\nb", "/",    "a/.." };
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	struct cg_node *n = NULL;
	char longest[CG_PATH_MAX + 1];
	bool created;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(cg_create(b, bad[i], &created), -EINVAL);
		assert_int_equal(cg_delete(b, bad[i]), -EINVAL);
		assert_int_equal(cg_attach(b, bad[i], getpid()), -EINVAL);
		assert_int_equal(cg_node_open(b, bad[i], &n), -EINVAL);
		assert_false(cg_exists(b, bad[i]));
	}
	memset(longest, 'x', sizeof(longest) - 1);
	longest[CG_PATH_MAX] = '\0';
	assert_int_equal(cg_create(b, longest, &created), -ENAMETOOLONG);
	assert_null(n);
	assert_true(cg_exists(b, "barostat/pg"));
	assert_true(cg_exists(b, ""));
	assert_false(cg_exists(b, "barostat/pg/memory.max"));
	assert_int_equal(cg_node_open(b, "barostat/none", &n), -ENOENT);
	assert_int_equal(cg_node_open(b, "barostat/pg/memory.max", &n), -ENOENT);
	assert_int_equal(cg_delete(b, ""), -EBUSY);
}

static void nested_engines_are_seen(void **state)
{
	assert_true(cg_path_is_ancestor("a", "a/b"));
	assert_true(cg_path_is_ancestor("a", "a/b/c"));
	assert_true(cg_path_is_ancestor("", "a"));
	assert_false(cg_path_is_ancestor("a", "a"));
	assert_false(cg_path_is_ancestor("a", "ab"));
	assert_false(cg_path_is_ancestor("a/b", "a"));
	assert_false(cg_path_is_ancestor("", ""));
}

/* -- reading -- */

static void v2_is_read(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *n = open_node(b, "barostat/pg");
	struct cg_limits limits;
	struct cg_stat stat;
	struct cg_events events;
	struct cg_pressure pressure;
	struct stat st;
	uint64_t v;
	struct cg_cpu cpu;

	assert_int_equal(cg_node_usage(n, &v), 0);
	assert_int_equal(v, V2_USAGE);
	assert_int_equal(cg_node_limits(n, &limits), 0);
	assert_int_equal(limits.bytes[CG_LIMIT_MIN], 0);
	assert_int_equal(limits.bytes[CG_LIMIT_LOW], 0);
	assert_true(limits.bytes[CG_LIMIT_HIGH] == BYTES_NO_LIMIT);
	assert_int_equal(limits.bytes[CG_LIMIT_MAX], LIMIT);
	assert_int_equal(cg_node_stat(n, &stat), 0);
	assert_int_equal(stat.value[CG_STAT_ANON], 22261760);
	assert_int_equal(cg_node_events(n, &events), 0);
	assert_int_equal(events.max, 49);
	assert_int_equal(cg_node_pressure(n, CG_PRESSURE_MEMORY, &pressure), 0);
	assert_int_equal(pressure.some_ns, 14548000);
	assert_int_equal(cg_node_pressure(n, CG_PRESSURE_IO, &pressure), 0);
	assert_int_equal(cg_node_cpu(n, &cpu), 0);
	assert_true(cpu.all_ns > 0 && cpu.all_ns % 1000 == 0);
	assert_true(cpu.system_ns > 0 && cpu.system_ns < cpu.all_ns);
	assert_int_equal(fstat(cg_node_dirfd(n), &st), 0);
	assert_int_equal(cg_node_id(n), st.st_ino);
	assert_int_equal(cg_node_psi_id(n), st.st_ino);
	assert_string_equal(cg_node_path(n), "barostat/pg");
}

static void hybrid_is_read(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *n = open_node(b, "barostat/pg");
	_cleanup_node_ struct cg_node *parent = open_node(b, "barostat");
	struct cg_limits limits;
	struct cg_stat stat;
	struct cg_events events;
	struct cg_pressure pressure;
	uint64_t v;

	assert_int_equal(cg_node_usage(n, &v), 0);
	assert_int_equal(v, V1_USAGE);
	assert_int_equal(cg_node_limits(n, &limits), 0);
	assert_int_equal(limits.bytes[CG_LIMIT_LOW], 0);
	assert_true(limits.bytes[CG_LIMIT_HIGH] == BYTES_NO_LIMIT);
	assert_int_equal(limits.bytes[CG_LIMIT_MAX], LIMIT);
	/* v1 has a number for "no limit" */
	assert_int_equal(cg_node_limits(parent, &limits), 0);
	assert_true(limits.bytes[CG_LIMIT_MAX] == BYTES_NO_LIMIT);
	assert_int_equal(cg_node_stat(n, &stat), 0);
	assert_int_equal(stat.value[CG_STAT_KERNEL], 704512);
	assert_int_equal(stat.missing, 1u << CG_STAT_PGSCAN | 1u << CG_STAT_PGSTEAL);
	assert_int_equal(cg_node_events(n, &events), 0);
	assert_int_equal(events.max, 22);
	assert_int_equal(cg_node_pressure(n, CG_PRESSURE_MEMORY, &pressure), 0);
	assert_int_equal(pressure.full_ns, 10011000);
	assert_true(cg_node_psi_id(n) != 0 && cg_node_psi_id(n) != cg_node_id(n));
}

static void v1_without_kernel_accounting_says_so(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *n = open_node(b, "barostat/pg");
	struct cg_stat stat;

	shell("rm %s/memory/barostat/pg/memory.kmem.usage_in_bytes", root);
	assert_int_equal(cg_node_stat(n, &stat), 0);
	assert_true(stat.missing & 1u << CG_STAT_KERNEL);
	assert_int_equal(stat.value[CG_STAT_KERNEL], 0);
}

static void the_root_has_no_limits(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *n = open_node(b, "");
	struct cg_limits limits;
	uint64_t v;

	assert_int_equal(cg_node_limits(n, &limits), 0);
	assert_int_equal(limits.bytes[CG_LIMIT_LOW], 0);
	assert_true(limits.bytes[CG_LIMIT_MAX] == BYTES_NO_LIMIT);
	assert_int_equal(cg_node_usage(n, &v), -EOPNOTSUPP);
	assert_int_equal(cg_node_set_limit(n, CG_LIMIT_MAX, MIB, &v), -EOPNOTSUPP);
}

static void a_cgroup_without_the_controller_is_no_engine(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	struct cg_node *n = NULL;

	shell("rm %s/barostat/pg/memory.*", root);
	assert_int_equal(cg_node_open(b, "barostat/pg", &n), -EOPNOTSUPP);
	assert_null(n);
}

static void a_vanished_cgroup_says_so(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *used = open_node(b, "barostat/pg");
	_cleanup_node_ struct cg_node *fresh = open_node(b, "barostat/pg");
	struct cg_limits limits;
	struct cg_events events;
	uint64_t v = 42;

	assert_int_equal(cg_node_limits(used, &limits), 0);
	assert_int_equal(cg_node_set_limit(used, CG_LIMIT_MAX, 10 * MIB, &v), 0);
	v = 42;
	shell("rm -r %s/barostat/pg", root);
	assert_int_equal(cg_node_usage(used, &v), -ENODEV);
	assert_int_equal(cg_node_limits(used, &limits), -ENODEV);
	assert_int_equal(cg_node_set_limit(used, CG_LIMIT_MAX, MIB, &v), -ENODEV);
	assert_int_equal(cg_node_usage(fresh, &v), -ENODEV);
	assert_int_equal(cg_node_events(fresh, &events), -ENODEV);
	assert_int_equal(cg_node_raise_limit(fresh, CG_LIMIT_MAX, GIB, &v), -ENODEV);
	assert_int_equal(v, 42);
}

static void garbage_in_a_file_is_an_error(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *n = open_node(b, "barostat/pg");
	struct cg_limits limits = { .bytes = { 42 } };
	struct cg_stat stat;
	uint64_t v = 42;

	write_file("barostat/pg/memory.current", "many\n");
	assert_int_equal(cg_node_usage(n, &v), -EINVAL);
	write_file("barostat/pg/memory.current", "");
	assert_int_equal(cg_node_usage(n, &v), -EINVAL);
	write_file("barostat/pg/memory.current",
		   "11111111111111111111111111111111111111111111111111111111111111111111111\n");
	assert_int_equal(cg_node_usage(n, &v), -E2BIG);
	assert_int_equal(v, 42);
	write_file("barostat/pg/memory.max", "?\n");
	assert_int_equal(cg_node_limits(n, &limits), -EINVAL);
	assert_int_equal(limits.bytes[0], 42);
	shell("head -c 20000 /dev/zero > %s/barostat/pg/memory.stat", root);
	assert_int_equal(cg_node_stat(n, &stat), -E2BIG);
}

static void members_are_counted_below_too(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *n = open_node(b, "barostat");
	pid_t pids[2] = { 0 };
	bool populated = true;

	assert_int_equal(cg_node_populated(n, &populated), 0);
	assert_false(populated);
	assert_int_equal(cg_node_pids(n, pids, 2), 0);
	write_file("barostat/pg/cgroup.procs", "11\n12\n13\n");
	assert_int_equal(cg_node_populated(n, &populated), 0);
	assert_true(populated);
	assert_int_equal(cg_node_pids(n, pids, 2), 3);
	assert_int_equal(pids[0], 11);
	assert_int_equal(pids[1], 12);
	/* More than one buffer of them. */
	shell("seq 1000000 1002999 > %s/barostat/pg/cgroup.procs", root);
	assert_int_equal(cg_node_pids(n, NULL, 0), 3000);
}

/* -- limits -- */

static void limits_are_written_and_read_back(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *n = open_node(b, "barostat/pg");
	struct cg_limits limits;
	uint64_t v;

	assert_int_equal(cg_node_set_limit(n, CG_LIMIT_LOW, 8 * MIB, &v), 0);
	assert_int_equal(v, 8 * MIB);
	assert_file("barostat/pg/memory.low", "8388608");
	/* Shorter than what was there. */
	assert_int_equal(cg_node_set_limit(n, CG_LIMIT_LOW, 0, &v), 0);
	assert_file("barostat/pg/memory.low", "0");
	assert_int_equal(cg_node_raise_limit(n, CG_LIMIT_MAX, GIB, &v), 0);
	assert_int_equal(v, GIB);
	assert_int_equal(cg_node_raise_limit(n, CG_LIMIT_MAX, GIB - 1, &v), -EINVAL);
	assert_file("barostat/pg/memory.max", "1073741824");
	assert_int_equal(cg_node_raise_limit(n, CG_LIMIT_MAX, BYTES_NO_LIMIT, &v), 0);
	assert_true(v == BYTES_NO_LIMIT);
	assert_file("barostat/pg/memory.max", "max");
	assert_int_equal(cg_node_raise_limit(n, CG_LIMIT_MAX, BYTES_NO_LIMIT, &v), 0);
	assert_int_equal(cg_node_limits(n, &limits), 0);
	assert_true(limits.bytes[CG_LIMIT_MAX] == BYTES_NO_LIMIT);
}

static void v1_has_one_limit(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *n = open_node(b, "barostat/pg");
	uint64_t v = 42;

	assert_int_equal(cg_node_set_limit(n, CG_LIMIT_LOW, MIB, &v), -EOPNOTSUPP);
	assert_int_equal(cg_node_set_limit(n, CG_LIMIT_HIGH, MIB, &v), -EOPNOTSUPP);
	assert_int_equal(cg_node_raise_limit(n, CG_LIMIT_MIN, MIB, &v), -EOPNOTSUPP);
	assert_int_equal(cg_node_reclaim(n, MIB, &v), -EOPNOTSUPP);
	assert_int_equal(v, 42);
	assert_int_equal(cg_node_set_limit(n, CG_LIMIT_MAX, 8 * MIB, &v), 0);
	assert_int_equal(v, 8 * MIB);
	assert_file("memory/barostat/pg/memory.limit_in_bytes", "8388608");
	assert_int_equal(cg_node_raise_limit(n, CG_LIMIT_MAX, GIB, &v), 0);
}

/* -- shrinking -- */

static void a_limit_never_goes_below_what_could_not_be_freed(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *n = open_node(b, "barostat/pg");
	uint64_t v = 42;

	/* Reclaim frees nothing in a plain tree: usage is as far as it goes. */
	assert_int_equal(cg_node_shrink_step(n, CG_LIMIT_HIGH, MIB, 8 * MIB, 0, &v), 0);
	assert_int_equal(v, V2_USAGE);
	assert_file("barostat/pg/memory.reclaim", "8388608");
	v = 42;
	assert_int_equal(cg_node_shrink_step(n, CG_LIMIT_HIGH, MIB, 8 * MIB, 0, &v), -EBUSY);
	assert_int_equal(v, 42);
	assert_file("barostat/pg/memory.high", "41938944");
}

static void a_limit_above_usage_falls_without_reclaim(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *n = open_node(b, "barostat/pg");
	uint64_t v;

	/* From "max" to a target above usage: at once, whatever the bite. */
	assert_int_equal(cg_node_shrink_step(n, CG_LIMIT_HIGH, 64 * MIB + 1, 4096, 0, &v), 0);
	assert_int_equal(v, 64 * MIB + 4096);
	assert_file("barostat/pg/memory.reclaim", "");
	/* There already, or asked for more: nothing happens. */
	assert_int_equal(cg_node_shrink_step(n, CG_LIMIT_HIGH, 64 * MIB + 1, 4096, 0, &v), 0);
	assert_int_equal(cg_node_shrink_step(n, CG_LIMIT_HIGH, GIB, 4096, 0, &v), 0);
	assert_int_equal(v, 64 * MIB + 4096);
	/* The floor counts like the target. */
	assert_int_equal(cg_node_shrink_step(n, CG_LIMIT_HIGH, 0, 4096, 60 * MIB, &v), 0);
	assert_int_equal(v, 60 * MIB);
	assert_int_equal(cg_node_shrink_step(n, CG_LIMIT_HIGH, 0, 0, 0, &v), -EINVAL);
	assert_int_equal(cg_node_shrink_step(n, CG_LIMIT_HIGH, 0, 4095, 0, &v), -EINVAL);
}

static void protections_fall_at_once(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *n = open_node(b, "barostat/pg");
	uint64_t v;

	assert_int_equal(cg_node_set_limit(n, CG_LIMIT_LOW, GIB, &v), 0);
	assert_int_equal(cg_node_shrink_step(n, CG_LIMIT_LOW, MIB, 4096, 512 * MIB, &v), 0);
	assert_int_equal(v, MIB);
}

static void v1_shrinks_bite_by_bite_to_the_floor(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *n = open_node(b, "barostat/pg");
	const uint64_t floor = 30 * MIB;
	uint64_t v, usage = V1_USAGE;
	char text[32];

	assert_int_equal(cg_node_shrink_step(n, CG_LIMIT_MAX, MIB, 4 * MIB, floor, &v), 0);
	assert_int_equal(v, usage - 4 * MIB);
	/* The kernel would have brought usage down with it. */
	for (unsigned int steps = 0; v > floor; steps++) {
		uint64_t before = v;

		assert_true(steps < 10);
		snprintf(text, sizeof(text), "%llu\n", (unsigned long long)v);
		write_file("memory/barostat/pg/memory.usage_in_bytes", text);
		assert_int_equal(cg_node_shrink_step(n, CG_LIMIT_MAX, MIB, 4 * MIB, floor, &v), 0);
		assert_true(v < before && before - v <= 4 * MIB && v >= floor);
	}
	assert_int_equal(cg_node_shrink_step(n, CG_LIMIT_MAX, MIB, 4 * MIB, floor, &v), 0);
	assert_int_equal(v, floor);
}

/* The floor of the caller may be older than the owner's memory. */
static void a_limit_stays_above_what_is_unreclaimable_now(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *n = open_node(b, "barostat/pg");
	bool swap = cg_backend_abilities(b)->has_swap;
	const uint64_t anon = 22265856;
	uint64_t v = LIMIT;
	int r = 0;

	for (unsigned int steps = 0; !r && steps < 100; steps++)
		r = cg_node_shrink_step(n, CG_LIMIT_MAX, 4096, 4 * MIB, 0, &v);
	assert_int_equal(r, -EBUSY);
	assert_int_equal(v, swap ? MIB : anon + MIB);
	/* Locked memory stays even where swap is on. */
	assert_int_equal(cg_node_raise_limit(n, CG_LIMIT_MAX, LIMIT, &v), 0);
	write_file("memory/barostat/pg/memory.stat",
		   "total_rss 0\ntotal_shmem 0\ntotal_unevictable 20971520\n");
	assert_int_equal(cg_node_shrink_step(n, CG_LIMIT_MAX, 4096, 32 * MIB, 0, &v), 0);
	assert_int_equal(v, 21 * MIB);
}

/* -- the dry run -- */

static void a_dry_run_remembers_and_writes_nothing(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(true);
	_cleanup_node_ struct cg_node *n = open_node(b, "barostat/pg");
	_cleanup_node_ struct cg_node *other = open_node(b, "barostat");
	struct cg_limits limits;
	uint64_t v;
	bool created;

	assert_int_equal(cg_backend_abilities(b)->kind, CG_KIND_NULL);
	assert_int_equal(cg_backend_abilities(b)->beneath, CG_KIND_V2);
	shell("cp -r %s %s.before", root, root);
	assert_int_equal(cg_node_set_limit(n, CG_LIMIT_LOW, 8 * MIB + 1, &v), 0);
	assert_int_equal(v, 8 * MIB);
	assert_int_equal(cg_node_raise_limit(n, CG_LIMIT_MAX, GIB, &v), 0);
	assert_int_equal(cg_node_raise_limit(n, CG_LIMIT_MAX, GIB - 4096, &v), -EINVAL);
	assert_int_equal(cg_node_reclaim(n, MIB, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(cg_node_limits(n, &limits), 0);
	assert_int_equal(limits.bytes[CG_LIMIT_LOW], 8 * MIB);
	assert_int_equal(limits.bytes[CG_LIMIT_MAX], GIB);
	assert_true(limits.bytes[CG_LIMIT_HIGH] == BYTES_NO_LIMIT);
	assert_int_equal(cg_node_limits(other, &limits), 0);
	assert_int_equal(limits.bytes[CG_LIMIT_LOW], 0);
	assert_int_equal(cg_node_usage(n, &v), 0);
	assert_int_equal(v, V2_USAGE);
	/* Shrinks take their course as if the memory came free. */
	for (unsigned int steps = 0; steps < 40 && v > 30 * MIB; steps++)
		assert_int_equal(cg_node_shrink_step(n, CG_LIMIT_MAX, MIB, 4 * MIB, 30 * MIB, &v),
				 0);
	assert_int_equal(v, 30 * MIB);
	assert_int_equal(cg_create(b, "barostat/new/deep", &created), 0);
	assert_true(created);
	assert_int_equal(cg_attach(b, "barostat/pg", getpid()), 0);
	assert_int_equal(cg_delete(b, "barostat/pg"), 0);
	assert_int_equal(shell("diff -r %s %s.before", root, root), 0);
	shell("rm -r %s.before", root);
}

static void a_dry_run_refuses_what_the_kernel_would(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(true);
	struct cg_node *n = NULL;
	bool created;

	assert_int_equal(cg_node_open(b, "barostat/none", &n), -ENOENT);
	assert_int_equal(cg_attach(b, "barostat/none", getpid()), -ENOENT);
	assert_int_equal(cg_attach(b, "barostat/pg", NO_SUCH_PID), -ESRCH);
	assert_int_equal(cg_attach(b, "barostat/pg", 0), -ESRCH);
	assert_int_equal(cg_delete(b, "barostat/none"), -ENOENT);
	assert_int_equal(cg_delete(b, "barostat"), -EBUSY); /* has a child */
	write_file("barostat/pg/cgroup.procs", "1\n");
	assert_int_equal(cg_delete(b, "barostat/pg"), -EBUSY);
	assert_int_equal(cg_create(b, "barostat/pg/x", &created), -EBUSY);
	/* What it would have made can be used, and is gone after it was removed. */
	assert_int_equal(cg_create(b, "barostat/none", &created), 0);
	assert_true(created);
	assert_int_equal(cg_create(b, "barostat/none", &created), 0);
	assert_false(created);
	assert_int_equal(cg_attach(b, "barostat/none", getpid()), 0);
	assert_int_equal(cg_node_open(b, "barostat/none", &n), -ENOENT);
	assert_int_equal(cg_delete(b, "barostat/none"), 0);
	assert_int_equal(cg_delete(b, "barostat/none"), -ENOENT);
	assert_int_equal(cg_create(b, "barostat/pg", &created), 0);
	assert_false(created);
}

static void a_dry_run_of_v1_has_one_limit(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(true);
	_cleanup_node_ struct cg_node *n = open_node(b, "barostat/pg");
	uint64_t v;

	assert_int_equal(cg_backend_abilities(b)->beneath, CG_KIND_HYBRID);
	assert_int_equal(cg_node_set_limit(n, CG_LIMIT_LOW, MIB, &v), -EOPNOTSUPP);
	assert_int_equal(cg_node_reclaim(n, MIB, &v), -EOPNOTSUPP);
	assert_int_equal(cg_node_set_limit(n, CG_LIMIT_MAX, MIB, &v), 0);
	assert_file("memory/barostat/pg/memory.limit_in_bytes", "41943040\n");
}

/* -- the life of cgroups without a kernel -- */

static void cgroups_live_in_a_plain_tree(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	_cleanup_node_ struct cg_node *n = NULL;
	struct cg_limits limits;
	struct cg_stat stat;
	struct cg_events events;
	struct cg_pressure pressure;
	char path[CG_PATH_MAX];
	bool created = false;
	uint64_t v;
	struct cg_cpu cpu;

	assert_int_equal(cg_path_of_pid(b, getpid(), path, sizeof(path)), 0);
	assert_string_equal(path, "");
	assert_int_equal(cg_create(b, "new/deep", &created), 0);
	assert_true(created);
	assert_int_equal(cg_create(b, "new/deep", &created), 0);
	assert_false(created);
	n = open_node(b, "new/deep");
	assert_int_equal(cg_node_usage(n, &v), 0);
	assert_int_equal(cg_node_limits(n, &limits), 0);
	assert_true(limits.bytes[CG_LIMIT_MAX] == BYTES_NO_LIMIT);
	assert_int_equal(cg_node_stat(n, &stat), 0);
	assert_int_equal(stat.value[CG_STAT_ANON], 0);
	assert_int_equal(stat.missing & (1u << CG_STAT_ANON | 1u << CG_STAT_FILE), 0);
	assert_int_equal(cg_node_events(n, &events), 0);
	assert_int_equal(cg_node_pressure(n, CG_PRESSURE_IO, &pressure), 0);
	assert_int_equal(cg_node_cpu(n, &cpu), 0);
	assert_int_equal(cg_attach(b, "new/deep", NO_SUCH_PID), -ESRCH);
	assert_int_equal(cg_attach(b, "new/none", getpid()), -ENOENT);
	assert_int_equal(cg_attach(b, "new/deep", getpid()), 0);
	assert_int_equal(cg_path_of_pid(b, getpid(), path, sizeof(path)), 8);
	assert_string_equal(path, "new/deep");
	assert_int_equal(cg_path_of_pid(b, getpid(), path, 8), -ENAMETOOLONG);
	assert_int_equal(cg_path_of_pid(b, NO_SUCH_PID, path, sizeof(path)), -ESRCH);
	assert_int_equal(cg_delete(b, "new/deep"), -EBUSY);
	/* One cgroup at a time. */
	assert_int_equal(cg_attach(b, "barostat/pg", getpid()), 0);
	assert_int_equal(cg_path_of_pid(b, getpid(), path, sizeof(path)), 11);
	assert_int_equal(cg_delete(b, "new"), -EBUSY);
	assert_int_equal(cg_delete(b, "new/deep"), 0);
	assert_int_equal(cg_delete(b, "new"), 0);
	assert_int_equal(cg_delete(b, "new"), -ENOENT);
	assert_false(cg_exists(b, "new"));
	assert_int_equal(cg_node_usage(n, &v), -ENODEV);
}

/* -- threads: descriptors are opened by whoever comes first -- */

struct racer {
	struct cg_node **nodes;
	pthread_barrier_t *barrier;
	int bad;
};

#define RACE_NODES 200

static void *race(void *arg)
{
	struct racer *r = arg;
	struct cg_limits limits;
	struct cg_stat stat;
	uint64_t v;

	for (size_t i = 0; i < RACE_NODES; i++) {
		pthread_barrier_wait(r->barrier);
		r->bad |= cg_node_usage(r->nodes[i], &v) || v != V2_USAGE;
		r->bad |=
		    cg_node_limits(r->nodes[i], &limits) || limits.bytes[CG_LIMIT_MAX] != LIMIT;
		r->bad |= cg_node_stat(r->nodes[i], &stat);
		r->bad |= cg_node_raise_limit(r->nodes[i], CG_LIMIT_LOW, 0, &v);
	}
	return NULL;
}

static unsigned int open_descriptors(void)
{
	_cleanup_closedir_ DIR *d = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(d);
	while (readdir(d))
		count++;
	return count;
}

static void two_threads_may_read_one_node(void **state)
{
	_cleanup_backend_ struct cg_backend *b = open_root(false);
	struct cg_node *nodes[RACE_NODES];
	pthread_barrier_t barrier;
	struct racer racers[2] = { { nodes, &barrier, 0 }, { nodes, &barrier, 0 } };
	pthread_t threads[2];
	unsigned int before = open_descriptors();

	for (size_t i = 0; i < RACE_NODES; i++)
		nodes[i] = open_node(b, "barostat/pg");
	pthread_barrier_init(&barrier, NULL, 2);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(racers[0].bad | racers[1].bad, 0);
	for (size_t i = 0; i < RACE_NODES; i++)
		cg_node_close(nodes[i]);
	assert_int_equal(open_descriptors(), before);
}

#define V2(test)     cmocka_unit_test_setup_teardown(test, make_v2, remove_root)
#define HYBRID(test) cmocka_unit_test_setup_teardown(test, make_hybrid, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		V2(a_v2_root_is_v2),
		HYBRID(memory_and_unified_are_hybrid),
		HYBRID(hybrid_lives_without_a_unified_tree),
		cmocka_unit_test_setup_teardown(a_plain_directory_is_refused, make_root,
						remove_root),
		V2(v2_without_memory_is_refused),
		V2(paths_cannot_leave_the_hierarchy),
		cmocka_unit_test(nested_engines_are_seen),
		V2(v2_is_read),
		HYBRID(hybrid_is_read),
		HYBRID(v1_without_kernel_accounting_says_so),
		V2(the_root_has_no_limits),
		V2(a_cgroup_without_the_controller_is_no_engine),
		V2(a_vanished_cgroup_says_so),
		V2(garbage_in_a_file_is_an_error),
		V2(members_are_counted_below_too),
		V2(limits_are_written_and_read_back),
		HYBRID(v1_has_one_limit),
		V2(a_limit_never_goes_below_what_could_not_be_freed),
		V2(a_limit_above_usage_falls_without_reclaim),
		V2(protections_fall_at_once),
		HYBRID(v1_shrinks_bite_by_bite_to_the_floor),
		HYBRID(a_limit_stays_above_what_is_unreclaimable_now),
		V2(a_dry_run_remembers_and_writes_nothing),
		V2(a_dry_run_refuses_what_the_kernel_would),
		HYBRID(a_dry_run_of_v1_has_one_limit),
		V2(cgroups_live_in_a_plain_tree),
		HYBRID(cgroups_live_in_a_plain_tree),
		V2(two_threads_may_read_one_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
