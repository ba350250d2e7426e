// SPDX-License-Identifier: BSD-2-Clause
/* Memory nodes: what /sys says about them, and budgets that count by node. */
#include "tests/unit/budget_support.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>

/* ---- a machine made of files ----------------------------------------------------------------- */

struct machine {
	char dir[PATH_MAX / 2], status[PATH_MAX];
};

static void put(const struct machine *m, const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", m->dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void put_node(const struct machine *m, uint32_t id, const char *cpus, uint64_t mib,
		     const char *distance)
{
	char name[64], text[128], path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/node%u", m->dir, id);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(name, sizeof(name), "node%u/cpulist", id);
	put(m, name, cpus);
	snprintf(name, sizeof(name), "node%u/distance", id);
	put(m, name, distance);
	snprintf(name, sizeof(name), "node%u/meminfo", id);
	snprintf(text, sizeof(text), "Node %u MemTotal:       %llu kB\nNode %u MemFree:  1 kB\n",
		 id, (unsigned long long)mib * 1024, id);
	put(m, name, text);
}

static int machine_setup(void **state)
{
	struct machine *m = calloc(1, sizeof(*m));
	const char *tmp = getenv("TMPDIR");

	if (!m)
		return -1;
	snprintf(m->dir, sizeof(m->dir), "%s/barostat-test-nodes-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(m->dir))
		return -1;
	snprintf(m->status, sizeof(m->status), "%s/status", m->dir);
	*state = m;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static int machine_teardown(void **state)
{
	struct machine *m = *state;
	int r = nftw(m->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);

	free(m);
	return r;
}

static struct nodes *read_machine(const struct machine *m)
{
	struct nodes *n = NULL;

	assert_int_equal(nodes_read(m->dir, m->status, &n), 0);
	assert_non_null(n);
	return n;
}

static void nodes_are_read_with_memory_processors_and_distances(void **state)
{
	const struct machine *m = *state;
	uint32_t index = 99;
	struct nodes *n;

	put(m, "online", "0,2-3\n");
	put(m, "has_memory", "0,2-3\n");
	put_node(m, 0, "0-1\n", 1000, "10 40 20\n");
	put_node(m, 2, "2,5\n", 3000, "40 10 30\n");
	put_node(m, 3, "3-4\n", 500, "20 30 10\n");
	n = read_machine(m);
	assert_int_equal(n->count, 3);
	assert_int_equal(n->id[1], 2);
	assert_int_equal(n->bytes[1], 3000 * MIB);
	assert_int_equal(n->cpus, 6);
	assert_int_equal(n->of_cpu[1], 0);
	assert_int_equal(n->of_cpu[4], 2);
	assert_int_equal(n->of_cpu[5], 1);
	/* From the nearest, and the first is the node itself. */
	assert_memory_equal(n->near[0], ((uint8_t[]){ 0, 2, 1 }), 3);
	assert_memory_equal(n->near[1], ((uint8_t[]){ 1, 2, 0 }), 3);
	assert_memory_equal(n->near[2], ((uint8_t[]){ 2, 0, 1 }), 3);
	assert_int_equal(nodes_index(n, 3, &index), 0);
	assert_int_equal(index, 2);
	assert_int_equal(nodes_index(n, 1, &index), -ENODEV);
	assert_int_equal(index, 2);
	assert_true(nodes_here(n) < 3);
	free(n);
}

static void a_node_that_is_not_allowed_is_left_out(void **state)
{
	const struct machine *m = *state;
	struct nodes *n;

	put(m, "online", "0-2");
	put(m, "has_memory", "0-1");
	put(m, "status", "Name:\tx\nMems_allowed:\t3\nMems_allowed_list:\t1-2\nThreads: 1\n");
	put_node(m, 0, "0\n", 1000, "10 20 30\n");
	put_node(m, 1, "1\n", 1000, "20 10 15\n");
	put_node(m, 2, "2-3\n", 0, "30 15 10\n"); /* processors without memory */
	n = read_machine(m);
	assert_int_equal(n->count, 1);
	assert_int_equal(n->id[0], 1);
	for (int cpu = 0; cpu < 4; cpu++)
		assert_int_equal(n->of_cpu[cpu], 0);
	free(n);
}

static void processors_without_memory_use_the_nearest_node(void **state)
{
	const struct machine *m = *state;
	struct nodes *n;

	put(m, "online", "0-2");
	put(m, "has_memory", "0,2");
	put_node(m, 0, "0\n", 1000, "10 20 30\n");
	put_node(m, 1, "1\n", 0, "20 10 15\n");
	put_node(m, 2, "2\n", 1000, "30 15 10\n");
	n = read_machine(m);
	assert_int_equal(n->count, 2);
	assert_int_equal(n->of_cpu[0], 0);
	assert_int_equal(n->of_cpu[1], 1);
	assert_int_equal(n->of_cpu[2], 1);
	free(n);
}

static void without_nodes_there_is_one(void **state)
{
	const struct machine *m = *state;
	struct nodes *n;

	n = read_machine(m);
	assert_int_equal(n->count, 1);
	assert_int_equal(nodes_here(n), 0);
	free(n);
	assert_int_equal(nodes_read("/nonexistent", "/nonexistent", &n), 0);
	assert_int_equal(n->count, 1);
	free(n);
}

static void nonsense_in_the_files_is_survived(void **state)
{
	static const char *const list[] = { "-",   "0-", "4294967295", "0-99999999999999999999",
					    "3-1", "x",  "0,,1" };
	const struct machine *m = *state;

	put_node(m, 0, "0-4294967295\n", 100, "x y");
	put_node(m, 1, ",,,", 100, "99999999999999999999999");
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct nodes *n;

		put(m, "online", list[i]);
		put(m, "has_memory", list[i]);
		put(m, "status", list[i]);
		n = read_machine(m);
		assert_true(n->count >= 1 && n->count <= NODES_MAX);
		assert_true(nodes_here(n) < n->count);
		free(n);
	}
}

static void this_machine_s_nodes_are_read(void **state)
{
	struct nodes *n;
	uint64_t bytes = 0;

	(void)state;
	assert_int_equal(nodes_read("/sys/devices/system/node", "/proc/self/status", &n), 0);
	for (uint32_t i = 0; i < n->count; i++) {
		assert_int_equal(n->near[i][0], i);
		bytes += n->bytes[i];
	}
	assert_true(bytes > 0);
	assert_true(nodes_here(n) < n->count);
	free(n);
}

/* ---- budgets by node ------------------------------------------------------------------------- */

/* Two nodes, 4 and 7, of which the second has three times the memory; every processor is of the
 * node of that index. */
static struct baro_budget *open_by_node(const struct budget_setup *way, uint32_t here,
					uint64_t limit)
{
	struct budget_setup setup = *way;
	struct nodes *n = calloc(1, sizeof(*n));
	struct baro_budget *b = NULL;

	assert_non_null(n);
	*n = (struct nodes){ .count = 2,
			     .cpus = NODE_CPUS_MAX,
			     .id = { 4, 7 },
			     .bytes = { GIB, 3 * GIB },
			     .near = { { 0, 1 }, { 1, 0 } } };
	memset(n->of_cpu, (int)here, sizeof(n->of_cpu));
	setup.nodes = n;
	assert_int_equal(budget_open_tree("b", limit, BARO_BUDGET_PER_NODE, &setup, &b), 0);
	return b;
}

static uint64_t on_node(struct baro_budget *b, int index)
{
	struct baro_budget_stats s[3];

	assert_int_equal(baro_budget_list(b, s, 3), 3);
	assert_string_equal(s[1].name, "node4");
	assert_string_equal(s[2].name, "node7");
	assert_int_equal(s[1].node, 4);
	assert_int_equal(s[0].node, BARO_NODE_NONE);
	assert_int_equal(s[0].used_bytes, s[1].used_bytes + s[2].used_bytes);
	return s[1 + index].used_bytes;
}

static void memory_is_counted_on_the_caller_s_node_while_its_share_lasts(void **state)
{
	struct baro_budget *b = open_by_node(*state, 0, 4000);
	struct baro_reservation r[5], no;
	struct baro_refusal why;

	/* The share of the first node is 1000. */
	assert_int_equal(baro_budget_reserve(b, 600, &r[0], NULL), 0);
	assert_int_equal(baro_reservation_node(&r[0]), 4);
	assert_int_equal(baro_budget_reserve(b, 600, &r[1], NULL), 0);
	assert_int_equal(baro_reservation_node(&r[1]), 7);
	assert_int_equal(baro_budget_reserve(b, 400, &r[2], NULL), 0);
	assert_int_equal(baro_reservation_node(&r[2]), 4);
	assert_int_equal(on_node(b, 0), 1000);
	/* Shares do not refuse: 2400 fit neither, but they fit the limit. */
	assert_int_equal(baro_budget_reserve(b, 2400, &r[3], NULL), 0);
	assert_int_equal(on_node(b, 0) + on_node(b, 1), 4000);
	assert_int_equal(baro_budget_reserve(b, 1, &no, &why), -ENOMEM);
	assert_string_equal(why.layer, "b");
	assert_int_equal(why.limit_bytes, 4000);
	for (int i = 0; i < 4; i++)
		assert_int_equal(baro_reservation_release(&r[i]), 0);
	assert_int_equal(on_node(b, 0), 0);
	assert_int_equal(on_node(b, 1), 0);
	close_all(b);
}

static void a_node_may_be_named(void **state)
{
	struct baro_budget *b = open_by_node(*state, 1, 4000);
	struct baro_reservation r, plain;
	struct baro_budget *other;

	assert_int_equal(baro_budget_reserve_on(b, 5, 10, &r, NULL), -ENODEV);
	assert_int_equal(baro_budget_reserve_on(b, 4, 3000, &r, NULL), 0);
	assert_int_equal(baro_reservation_node(&r), 4);
	assert_int_equal(on_node(b, 0), 3000);
	assert_int_equal(baro_reservation_resize(&r, 3500, NULL), 0);
	assert_int_equal(on_node(b, 0), 3500);
	baro_reservation_release(&r);
	assert_int_equal(baro_budget_reserve_on(b, BARO_NODE_LOCAL, 10, &r, NULL), 0);
	assert_int_equal(baro_reservation_node(&r), 7);
	baro_reservation_release(&r);
	close_all(b);
	/* To others it says nothing. */
	other = open_top(*state, "plain", 100, 0);
	assert_int_equal(baro_budget_reserve_on(other, 5, 10, &plain, NULL), 0);
	assert_int_equal(baro_reservation_node(&plain), BARO_NODE_NONE);
	baro_reservation_release(&plain);
	close_all(other);
}

static void shares_follow_the_limit(void **state)
{
	struct baro_budget *b = open_by_node(*state, 0, 4000);
	struct baro_reservation r[2];

	assert_int_equal(baro_budget_set_limit(b, 400), 0);
	assert_int_equal(baro_budget_reserve(b, 101, &r[0], NULL), 0);
	assert_int_equal(baro_reservation_node(&r[0]), 7);
	assert_int_equal(baro_budget_set_limit(b, NONE), 0);
	assert_int_equal(baro_budget_reserve(b, GIB, &r[1], NULL), 0);
	assert_int_equal(baro_reservation_node(&r[1]), 4);
	baro_reservation_release(&r[0]);
	baro_reservation_release(&r[1]);
	close_all(b);
}

static void credit_lies_with_the_nodes(void **state)
{
	struct baro_budget *b = open_by_node(*state, 1, GIB);
	struct baro_reservation r, all;

	for (int i = 0; i < 500; i++) {
		assert_int_equal(baro_budget_reserve(b, 4096, &r, NULL), 0);
		assert_int_equal(baro_reservation_node(&r), 7);
		assert_int_equal(baro_reservation_release(&r), 0);
	}
	assert_true(stats_of(b).slack_bytes > 0);
	assert_int_equal(on_node(b, 1), 0);
	assert_int_equal(baro_budget_reserve_on(b, 4, GIB, &all, NULL), 0);
	baro_reservation_release(&all);
	close_all(b);
}

static void nothing_is_opened_below_a_budget_by_node(void **state)
{
	struct baro_budget *b = open_by_node(*state, 0, GIB), *below;
	struct baro_reservation r;

	assert_int_equal(baro_budget_open(b, "below", 1, 0, &below), -EINVAL);
	assert_int_equal(baro_budget_open(b->shard[0], "below", 1, 0, &below), -EINVAL);
	assert_int_equal(baro_budget_reserve(b, 1, &r, NULL), 0);
	assert_int_equal(baro_budget_close(b), -EBUSY);
	baro_reservation_release(&r);
	close_all(b);
}

static void a_child_may_be_by_node(void **state)
{
	struct baro_budget *by_node = open_by_node(*state, 0, GIB), *top, *child;
	struct baro_reservation r;

	/* The tree has its nodes from its top. */
	close_all(by_node);
	top = open_top(*state, "top", GIB, 0);
	assert_int_equal(baro_budget_open(top, "child", GIB, BARO_BUDGET_PER_NODE, &child), 0);
	assert_int_equal(baro_budget_reserve(child, 1, &r, NULL), 0);
	/* One node costs nothing: the budget is its own. */
	if (child->tree->nodes->count == 1) {
		assert_null(child->shard);
		assert_ptr_equal(r.budget, child);
	} else {
		assert_int_not_equal(baro_reservation_node(&r), BARO_NODE_NONE);
	}
	baro_reservation_release(&r);
	close_all(child);
	close_all(top);
}

int main(void)
{
#define WITH_MACHINE(f) cmocka_unit_test_setup_teardown(f, machine_setup, machine_teardown)
	const struct CMUnitTest tests[] = {
		WITH_MACHINE(nodes_are_read_with_memory_processors_and_distances),
		WITH_MACHINE(a_node_that_is_not_allowed_is_left_out),
		WITH_MACHINE(processors_without_memory_use_the_nearest_node),
		WITH_MACHINE(without_nodes_there_is_one),
		WITH_MACHINE(nonsense_in_the_files_is_survived),
		cmocka_unit_test(this_machine_s_nodes_are_read),
		IN_EVERY_WAY(memory_is_counted_on_the_caller_s_node_while_its_share_lasts),
		IN_EVERY_WAY(a_node_may_be_named),
		IN_EVERY_WAY(shares_follow_the_limit),
		IN_EVERY_WAY(credit_lies_with_the_nodes),
		IN_EVERY_WAY(nothing_is_opened_below_a_budget_by_node),
		IN_EVERY_WAY(a_child_may_be_by_node),
	};

	return cmocka_run_group_tests_name("budget nodes", tests, NULL, NULL);
}
