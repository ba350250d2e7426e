// SPDX-License-Identifier: BSD-2-Clause
/*
 * Budgets when a system call fails. A kernel that no longer lets us call credit in, as after a
 * process has forbidden itself membarrier(2): what is granted fits all the same, and as soon as it
 * can be had again, so is what fits granted. What cannot be read of the machine is told, unless
 * there is another way to know it.
 */
#include "tests/unit/budget_support.h"

#include "tests/unit/fault_support.h"
#include "user/common/cleanup.h"
#include "user/lib/nodes.h"
#include "user/lib/rss.h"

#define UNIT  UINT64_C(4096)
#define LIMIT (UINT64_C(1) << 30)

/* Reserves and releases until credit is out. */
static void heat(struct baro_budget *b)
{
	struct baro_reservation r;

	for (unsigned int i = 0; i < 2 * BUDGET_HOT_OPS; i++) {
		assert_int_equal(baro_budget_reserve(b, UNIT, &r, NULL), 0);
		assert_int_equal(baro_reservation_release(&r), 0);
	}
}

static uint64_t slack(struct baro_budget *b)
{
	return stats_of(b).slack_bytes;
}

static int reserve_unfenced(struct baro_budget *b, uint64_t bytes, struct baro_reservation *r,
			    struct baro_refusal *why)
{
	int error;

	fault_arm_of("syscall", EPERM, 0);
	error = baro_budget_reserve(b, bytes, r, why);
	/* where there is no rseq, there is nothing to wait for */
	assert_int_equal(fault_disarm(), b->stripes.percpu);
	return error;
}

static void what_cannot_be_called_in_is_refused_and_nothing_is_granted_twice(void **state)
{
	struct baro_budget *top = open_top(*state, "top", LIMIT, 0);
	struct baro_budget *a = open_below(top, "a", LIMIT), *b = open_below(top, "b", LIMIT);
	const bool refuses = a->stripes.percpu;
	struct baro_reservation r = { 0 }, rest = { 0 };
	struct baro_refusal why;
	uint64_t lost;

	heat(a);
	lost = stripes_sum(&a->stripes);
	assert_true(lost > 0);
	if (reserve_unfenced(b, LIMIT, &r, &why) < 0) {
		assert_true(refuses);
		assert_string_equal(why.layer, "top");
		/* what is said of it is true */
		assert_int_equal(why.used_bytes, 0);
		assert_int_equal(why.left_bytes, LIMIT);
		assert_int_equal(baro_budget_used(top), 0);
		/* all but what lies there can be had, and not by `a` a second time */
		assert_int_equal(baro_budget_reserve(b, LIMIT - lost, &r, NULL), 0);
		assert_int_equal(reserve_unfenced(a, UNIT, &rest, &why), -ENOMEM);
		assert_int_equal(baro_budget_used(top), LIMIT - lost);
		/* until the kernel does it again */
		assert_int_equal(baro_budget_reserve(a, lost, &rest, NULL), 0);
		assert_int_equal(slack(top), 0);
		assert_int_equal(baro_reservation_release(&rest), 0);
	}
	assert_int_equal(baro_budget_reserve(a, LIMIT, &rest, &why), -ENOMEM);
	assert_int_equal(baro_reservation_release(&r), 0);
	close_all(a);
	close_all(b);
	close_all(top);
}

static void a_lowered_limit_holds_although_credit_lies_about(void **state)
{
	struct baro_budget *top = open_top(*state, "top", LIMIT, 0);
	struct baro_budget *a = open_below(top, "a", LIMIT);
	struct baro_reservation r;

	heat(a);
	assert_true(stripes_sum(&a->stripes) > 0);
	fault_arm_of("syscall", EPERM, 0);
	assert_int_equal(baro_budget_set_limit(top, 0), 0);
	assert_int_equal(fault_disarm(), a->stripes.percpu);
	for (int i = 0; i < 100; i++)
		assert_int_equal(baro_budget_reserve(a, UNIT, &r, NULL), -ENOMEM);
	assert_int_equal(baro_budget_used(top), 0);
	assert_int_equal(baro_budget_set_limit(top, LIMIT), 0);
	assert_int_equal(baro_budget_reserve(a, LIMIT, &r, NULL), 0);
	assert_int_equal(baro_reservation_release(&r), 0);
	close_all(a);
	close_all(top);
}

static void no_more_credit_is_handed_out_until_it_can_be_called_in(void **state)
{
	struct baro_budget *top = open_top(*state, "top", LIMIT, 0);
	struct baro_budget *a = open_below(top, "a", LIMIT), *b = open_below(top, "b", LIMIT);
	struct baro_reservation r;

	heat(a);
	if (reserve_unfenced(b, LIMIT, &r, NULL) == 0) {
		assert_int_equal(baro_reservation_release(&r), 0);
	} else {
		heat(b);
		assert_int_equal(slack(b), 0);
		assert_int_equal(baro_budget_reserve(b, LIMIT, &r, NULL), 0);
		assert_int_equal(baro_reservation_release(&r), 0);
	}
	heat(b);
	assert_true(slack(b) > 0);
	close_all(a);
	close_all(b);
	close_all(top);
}

static void budgets_close_without_the_kernel(void **state)
{
	struct baro_budget *top = open_top(*state, "top", LIMIT, 0);
	struct baro_budget *a = open_below(top, "a", LIMIT);
	const bool percpu = a->stripes.percpu;
	struct baro_reservation r;

	assert_int_equal(baro_budget_reserve(a, UNIT, &r, NULL), 0);
	heat(a);
	fault_arm_of("syscall", EPERM, 0);
	assert_int_equal(baro_budget_close(top), -EBUSY); /* another is below it */
	assert_int_equal(baro_budget_close(a), -EBUSY); /* something is reserved */
	assert_int_equal(fault_disarm(), percpu);
	assert_int_equal(baro_reservation_release(&r), 0);
	close_all(a);
	close_all(top);
	/* and with credit */
	top = open_top(*state, "top", LIMIT, 0);
	a = open_below(top, "a", LIMIT);
	heat(a);
	fault_arm_of("syscall", EPERM, 0);
	close_all(a);
	assert_int_equal(fault_disarm(), percpu);
	assert_int_equal(slack(top), 0);
	close_all(top);
	top = open_top(*state, "top", LIMIT, 0);
	a = open_below(top, "a", LIMIT);
	heat(a);
	fault_arm_of("syscall", EPERM, 0);
	assert_int_equal(budget_close_tree(top), 0);
	assert_int_equal(fault_disarm(), percpu);
}

/* ---- what is read of the machine ------------------------------------------------------------- */

static const int errors[] = { EMFILE, ENFILE, ENOMEM, EIO, EINTR };

static char dir[PATH_MAX / 2], status_file[PATH_MAX];

static void put(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void put_node(const char *name, const char *cpulist, const char *distance)
{
	static const char *const file[] = { "meminfo", "cpulist", "distance" };
	const char *const text[] = { "Node 0 MemTotal:  1024 kB\n", cpulist, distance };
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(mkdir(path, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(file); i++) {
		snprintf(path, sizeof(path), "%s/%s", name, file[i]);
		put(path, text[i]);
	}
}

static int make_machine(void **state)
{
	if (dir_make("nodes", dir, sizeof(dir)) < 0)
		return -1;
	snprintf(status_file, sizeof(status_file), "%s/status", dir);
	put("status", "Name:\tx\nMems_allowed_list:\t0-1\nRssAnon:\t4 kB\nRssShmem:\t1 kB\n");
	put("online", "0-1\n");
	put("has_memory", "0-1\n");
	put_node("node0", "0-1\n", "10 20\n");
	put_node("node1", "2-3\n", "20 10\n");
	return 0;
}

static int remove_machine(void **state)
{
	return dir_remove(dir);
}

static void read_nodes_once(void)
{
	struct nodes *n = NULL;
	int before = fault_descriptors(), r = nodes_read(dir, status_file, &n);

	assert_int_equal(fault_descriptors(), before);
	assert_int_equal(r, fault_came ? -fault_error : 0);
	assert_true((r == 0) == (n != NULL));
	if (n) {
		assert_int_equal(n->count, 2);
		assert_int_equal(n->cpus, 4);
		assert_int_equal(n->of_cpu[2], 1);
	}
	free(n);
}

/* Not that the machine has one node less, or other processors. */
static void a_node_that_cannot_be_read_is_told(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		with_every_fault_of("open", errors[i], read_nodes_once, 9);
		with_every_fault_of("read", errors[i], read_nodes_once, 18); /* and the end */
	}
	with_every_fault_of("malloc", ENOMEM, read_nodes_once, 1);
	with_every_fault_of("calloc", ENOMEM, read_nodes_once, 1);
}

static void read_what_there_is(void)
{
	struct nodes *n = NULL;

	assert_int_equal(nodes_read(dir, status_file, &n), 0);
	assert_in_range(n->count, 1, 2);
	free(n);
}

static void nodes_that_are_not_there_or_hidden_are_left_out(void **state)
{
	static const int hidden[] = { ENOENT, ENOTDIR, EACCES, EPERM };

	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		with_every_fault_of("open", hidden[i], read_what_there_is, 7);
	with_every_fault_of("read", ENODEV, read_what_there_is, 7);
}

static void open_by_node(void)
{
	struct baro_budget *top = NULL, *b = NULL;
	int before = fault_descriptors();
	int r = baro_budget_open(NULL, "top", 10, BARO_BUDGET_PER_NODE, &top);

	assert_true((r == 0) == (top != NULL));
	if (!r)
		r = baro_budget_open(top, "b", 10, 0, &b);
	/* the machine may have one node, and then there is nothing below it */
	if (!r)
		close_all(b);
	if (r == -EINVAL)
		r = 0;
	assert_true(r == 0 || (fault_came && (r == -ENOMEM || r == -EMFILE || r == -EIO)));
	close_all(top);
	assert_int_equal(fault_descriptors(), before);
}

static void a_budget_by_node_opens_whole_or_not_at_all(void **state)
{
	with_every_fault(open_by_node, 6);
}

static void count_stripes(void)
{
	int before = fault_descriptors();
	uint32_t n = stripes_wanted();

	assert_int_equal(fault_descriptors(), before);
	if (fault_came)
		assert_int_equal(n, sysconf(_SC_NPROCESSORS_CONF));
	else
		assert_true(n >= (uint32_t)sysconf(_SC_NPROCESSORS_ONLN));
}

static void there_is_a_stripe_per_processor_though_nobody_says_how_many(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		with_every_fault_of("open", errors[i], count_stripes, 1);
		with_every_fault_of("read", errors[i], count_stripes, 1);
	}
	with_every_fault_of("open", ENOENT, count_stripes, 1);
}

static void read_rss(void)
{
	uint64_t bytes = 7;
	int before = fault_descriptors(), r = rss_read(status_file, &bytes);

	assert_int_equal(fault_descriptors(), before);
	assert_int_equal(r, fault_came ? -fault_error : 0);
	assert_int_equal(bytes, r ? 7 : 5 * 1024);
}

static void resident_bytes_that_cannot_be_read_are_told(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		with_every_fault_of("open", errors[i], read_rss, 1);
		with_every_fault_of("read", errors[i], read_rss, 1);
	}
}

int main(void)
{
#define MACHINE(f) cmocka_unit_test_setup_teardown(f, make_machine, remove_machine)
	const struct CMUnitTest tests[] = {
		IN_EVERY_WAY(what_cannot_be_called_in_is_refused_and_nothing_is_granted_twice),
		IN_EVERY_WAY(a_lowered_limit_holds_although_credit_lies_about),
		IN_EVERY_WAY(no_more_credit_is_handed_out_until_it_can_be_called_in),
		IN_EVERY_WAY(budgets_close_without_the_kernel),
		MACHINE(a_node_that_cannot_be_read_is_told),
		MACHINE(nodes_that_are_not_there_or_hidden_are_left_out),
		cmocka_unit_test(a_budget_by_node_opens_whole_or_not_at_all),
		cmocka_unit_test(there_is_a_stripe_per_processor_though_nobody_says_how_many),
		MACHINE(resident_bytes_that_cannot_be_read_are_told),
	};

	return cmocka_run_group_tests_name("budget faults", tests, NULL, NULL);
}
