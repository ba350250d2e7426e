/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The actuator over a directory that looks like cgroups: what is asked for last is what stands in
 * the end, whatever threads do in between; what cannot be freed is said and kills nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "cgroup/cgroup.h"
#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/common/units.h"
#include "user/daemon/actuator.h"

#define ENGINES 6

static char root[64];
static struct cg_backend *backend;
static struct actuator *actuator;

static void put(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	f = fopen(full, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static uint64_t get(unsigned int engine, const char *file)
{
	char path[128], buf[64];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/e%u/%s", root, engine, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, buf, sizeof(buf) - 1);
	assert_true(n > 0);
	buf[n] = '\0';
	return strncmp(buf, "max", 3) ? strtoull(buf, NULL, 10) : BYTES_NO_LIMIT;
}

static void set_usage(unsigned int engine, uint64_t bytes)
{
	char path[64], text[32];

	snprintf(path, sizeof(path), "e%u/memory.current", engine);
	snprintf(text, sizeof(text), "%llu\n", (unsigned long long)bytes);
	put(path, text);
}

static int set_up(void **state)
{
	struct cg_options options = { .size = sizeof(options) };
	const char *why = "";

	snprintf(root, sizeof(root), "/tmp/barostat-test-%d-XXXXXX", (int)getpid());
	assert_non_null(mkdtemp(root));
	put("cgroup.controllers", "memory\n");
	put("cgroup.subtree_control", "memory\n");
	put("cgroup.procs", "");
	options.cgroup_root = root;
	assert_int_equal(cg_backend_open(&options, &backend, &why), 0);
	assert_int_equal(actuator_open(ENGINES, CG_KIND_V2, -1, &actuator), 0);
	for (unsigned int i = 0; i < ENGINES; i++) {
		char name[8];
		struct cg_node *node;
		struct cg_limits limits;
		bool created;

		snprintf(name, sizeof(name), "e%u", i);
		assert_int_equal(cg_create(backend, name, &created), 0);
		assert_int_equal(cg_node_open(backend, name, &node), 0);
		assert_int_equal(cg_node_limits(node, &limits), 0);
		assert_int_equal(actuator_bind(actuator, i, node, &limits), 0);
	}
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	actuator_close(actuator);
	cg_backend_close(backend);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command); /* NOLINT(concurrency-mt-unsafe,bugprone-command-processor) */
}

static struct actuator_result result_of(uint32_t slot)
{
	struct actuator_result r;

	actuator_result(actuator, slot, &r);
	return r;
}

static void a_lowering_lands_and_is_read_back(void **state)
{
	set_usage(0, 10 * MIB);
	assert_int_equal(actuator_lower(actuator, 0, CG_LIMIT_MAX, 64 * MIB), 0);
	assert_true(actuator_settle(actuator, 5 * NS_PER_S));
	assert_int_equal(get(0, "memory.max"), 64 * MIB);
	assert_int_equal(result_of(0).actual[CG_LIMIT_MAX], 64 * MIB);
	assert_int_equal(result_of(0).error, 0);
	assert_false(result_of(0).busy);
}

static void what_cannot_be_freed_is_said_and_max_never_goes_below_usage(void **state)
{
	set_usage(0, 100 * MIB); /* nothing reclaims in a plain directory */
	assert_int_equal(actuator_lower(actuator, 0, CG_LIMIT_MAX, 32 * MIB), 0);
	assert_true(actuator_settle(actuator, 5 * NS_PER_S));
	assert_int_equal(result_of(0).error, -EBUSY);
	assert_true(get(0, "memory.max") >= 100 * MIB);
	/* Usage falls by itself: the next wish lands. */
	set_usage(0, 20 * MIB);
	assert_int_equal(actuator_lower(actuator, 0, CG_LIMIT_MAX, 32 * MIB), 0);
	assert_true(actuator_settle(actuator, 5 * NS_PER_S));
	assert_int_equal(get(0, "memory.max"), 32 * MIB);
	assert_int_equal(result_of(0).error, 0);
}

static void a_refusal_is_told_whatever_else_lands(void **state)
{
	uint64_t actual;

	for (int round = 0; round < 200; round++) {
		struct actuator_result r;

		set_usage(0, 100 * MIB);
		actuator_lower(actuator, 0, CG_LIMIT_HIGH, 32 * MIB);
		actuator_lower(actuator, 0, CG_LIMIT_MAX, 128 * MIB);
		do
			r = result_of(0);
		while (r.busy);
		assert_int_equal(get(0, "memory.max"), 128 * MIB);
		assert_int_equal(r.error, -EBUSY);
		assert_int_equal(r.refused, CG_LIMIT_HIGH);
		assert_int_equal(result_of(0).error, 0);
		assert_int_equal(actuator_raise(actuator, 0, CG_LIMIT_MAX, 512 * MIB, &actual), 0);
		assert_int_equal(actuator_raise(actuator, 0, CG_LIMIT_HIGH, 512 * MIB, &actual), 0);
	}
}

static void a_limit_that_is_no_whole_page_ends_too(void **state)
{
	set_usage(0, 0);
	assert_int_equal(actuator_lower(actuator, 0, CG_LIMIT_MAX, 5 * MIB + 17), 0);
	assert_true(actuator_settle(actuator, 5 * NS_PER_S));
	assert_in_range(get(0, "memory.max"), 5 * MIB, 5 * MIB + 4096);
}

static void what_is_taken_back_stays_where_somebody_else_put_it(void **state)
{
	uint64_t actual;

	set_usage(0, 0);
	for (unsigned int i = 0; i < 2000; i++) {
		uint64_t until_ns;

		assert_int_equal(actuator_raise(actuator, 0, CG_LIMIT_MAX, 64 * MIB, &actual), 0);
		put("e0/memory.max", "33554432\n");
		actuator_found(actuator, 0, CG_LIMIT_MAX, 32 * MIB);
		assert_int_equal(actuator_lower(actuator, 0, CG_LIMIT_MAX, 16 * MIB), 0);
		until_ns = clock_now_ns() + i % 100 * NS_PER_US;
		while (clock_now_ns() < until_ns)
			;
		actuator_withdraw(actuator, 0, CG_LIMIT_MAX);
		assert_true(actuator_settle(actuator, 5 * NS_PER_S));
		assert_true(get(0, "memory.max") <= 32 * MIB);
	}
}

static void the_last_wish_stands_after_any_schedule(void **state)
{
	uint64_t last[ENGINES], actual;
	unsigned int seed = 1;

	for (int round = 0; round < 30; round++) {
		for (unsigned int i = 0; i < ENGINES; i++)
			set_usage(i, 0);
		for (int step = 0; step < 100; step++) {
			uint32_t e = (uint32_t)rand_r(&seed) % ENGINES;
			uint64_t bytes = (uint64_t)(1 + rand_r(&seed) % 512) * MIB;

			if (bytes < result_of(e).actual[CG_LIMIT_MAX])
				assert_int_equal(actuator_lower(actuator, e, CG_LIMIT_MAX, bytes),
						 0);
			else
				assert_int_equal(
				    actuator_raise(actuator, e, CG_LIMIT_MAX, bytes, &actual), 0);
		}
		for (unsigned int i = 0; i < ENGINES; i++)
			actuator_lower(actuator, i, CG_LIMIT_MAX, 512 * MIB);
		assert_true(actuator_settle(actuator, 10 * NS_PER_S));
		for (unsigned int i = 0; i < ENGINES; i++) {
			uint64_t bytes = (uint64_t)(512 + rand_r(&seed) % 512) * MIB;

			actuator_lower(actuator, i, CG_LIMIT_MAX, MIB);
			assert_int_equal(actuator_raise(actuator, i, CG_LIMIT_MAX, bytes, &actual),
					 0);
			last[i] = bytes;
		}
		assert_true(actuator_settle(actuator, 10 * NS_PER_S));
		for (unsigned int i = 0; i < ENGINES; i++) {
			assert_int_equal(get(i, "memory.max"), last[i]);
			assert_int_equal(result_of(i).actual[CG_LIMIT_MAX], last[i]);
		}
	}
}

static void an_engine_may_leave_in_the_middle(void **state)
{
	for (uint32_t i = 0; i < ENGINES; i++) {
		set_usage(i, 0);
		actuator_lower(actuator, i, CG_LIMIT_MAX, MIB);
		if (i % 2)
			actuator_unbind(actuator, i, false);
		else
			actuator_unbind(actuator, i, true);
		actuator_unbind(actuator, i, false);
	}
	assert_true(actuator_settle(actuator, 5 * NS_PER_S));
}

/* A lowering of engine 0 whose thread stays inside its write until ret_fd is closed. */
static void lower_and_hold(uint64_t bytes, int *ret_fd)
{
	char path[128];
	struct timespec moment = { .tv_nsec = 50 * 1000 * 1000 };

	snprintf(path, sizeof(path), "%s/e0/memory.max", root);
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(*ret_fd >= 0);
	assert_int_equal(flock(*ret_fd, LOCK_EX), 0);
	assert_int_equal(actuator_lower(actuator, 0, CG_LIMIT_MAX, bytes), 0);
	nanosleep(&moment, NULL);
	assert_true(result_of(0).busy);
}

static void what_is_put_back_is_finished_after_its_engine_has_left(void **state)
{
	struct cg_node *node;
	uint64_t id;
	int fd;

	assert_int_equal(cg_node_open(backend, "e0", &node), 0);
	id = cg_node_id(node);
	cg_node_close(node);
	set_usage(0, 0);
	put("e0/memory.max", "268435456\n");
	actuator_found(actuator, 0, CG_LIMIT_MAX, 256 * MIB);
	lower_and_hold(128 * MIB, &fd);
	assert_false(actuator_is_retiring(actuator, id));
	actuator_unbind(actuator, 0, true);
	actuator_unbind(actuator, 0, true);
	assert_true(actuator_is_retiring(actuator, id));
	assert_false(actuator_settle(actuator, 20 * NS_PER_MS));
	close(fd);
	assert_true(actuator_settle(actuator, 5 * NS_PER_S));
	assert_int_equal(get(0, "memory.max"), 128 * MIB);
	assert_false(actuator_is_retiring(actuator, id));
}

static void what_is_given_up_with_its_engine_is_not(void **state)
{
	int fd;

	set_usage(0, 0);
	put("e0/memory.max", "268435456\n");
	actuator_found(actuator, 0, CG_LIMIT_MAX, 256 * MIB);
	lower_and_hold(128 * MIB, &fd);
	actuator_unbind(actuator, 0, false);
	assert_true(actuator_settle(actuator, 5 * NS_PER_S)); /* interrupted */
	close(fd);
	assert_int_equal(get(0, "memory.max"), 256 * MIB);
}

static void closing_does_not_wait_for_what_an_engine_has_left_behind(void **state)
{
	uint64_t before_ns;
	int fd;

	set_usage(0, 0);
	lower_and_hold(128 * MIB, &fd);
	actuator_unbind(actuator, 0, true);
	before_ns = clock_now_ns();
	actuator_close(actuator);
	assert_true(clock_now_ns() - before_ns < 5 * NS_PER_S);
	close(fd);
	actuator = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_lowering_lands_and_is_read_back, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
		    what_cannot_be_freed_is_said_and_max_never_goes_below_usage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_refusal_is_told_whatever_else_lands, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_limit_that_is_no_whole_page_ends_too, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_is_taken_back_stays_where_somebody_else_put_it,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_last_wish_stands_after_any_schedule, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_engine_may_leave_in_the_middle, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
		    what_is_put_back_is_finished_after_its_engine_has_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_given_up_with_its_engine_is_not, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
		    closing_does_not_wait_for_what_an_engine_has_left_behind, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
