// SPDX-License-Identifier: BSD-2-Clause
/*
 * Arenas when something is not to be had: the files under test are compiled into this program once
 * more, over a jemalloc and a machine of two nodes that are made up and fail when told to. What was
 * made before the failure is gone after it.
 */
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/fault_support.h"
#include "tests/unit/thread_support.h"
#include "user/common/cleanup.h"

static char node_dir[256];
static int pin(pid_t thread, size_t bytes, const cpu_set_t *set);

#define NODE_DIR          node_dir
#define sched_setaffinity pin
/* NOLINTBEGIN(bugprone-suspicious-include): that they are compiled here is the point */
#include "user/arena/arena.c"
#include "user/arena/placement.c"
/* NOLINTEND(bugprone-suspicious-include) */
#undef sched_setaffinity

/* ---- a jemalloc ------------------------------------------------------------------------------ */

#define ARENA 7u
#define CACHE 3u

static int arenas, caches, pinned, placed;
static char extent[4096] __attribute__((aligned(4096)));
static extent_hooks_t *hooks;

static void *own_alloc(extent_hooks_t *h, void *at, size_t bytes, size_t alignment, bool *zero,
		       bool *commit, unsigned int index)
{
	assert_int_equal(index, ARENA);
	return fault_of("extent", ENOMEM) ? NULL : extent;
}

static extent_hooks_t own = { .alloc = own_alloc };

static bool is(const char *name, const char *what)
{
	char whole[NAME_BYTES];

	snprintf(whole, sizeof(whole), "arena.%u.%s", ARENA, what);
	return strcmp(name, whole) == 0;
}

int mallctl(const char *name, void *ret, size_t *ret_size, void *set, size_t size)
{
	if (fault_of(name, EAGAIN))
		return errno;
	if (!strcmp(name, "arena.0.extent_hooks")) {
		*(extent_hooks_t **)ret = &own;
	} else if (!strcmp(name, "arenas.create")) {
		hooks = *(extent_hooks_t **)set;
		*(unsigned int *)ret = ARENA;
		arenas++;
	} else if (is(name, "destroy")) {
		arenas--;
	} else if (!strcmp(name, "tcache.create")) {
		*(unsigned int *)ret = CACHE;
		caches++;
	} else if (!strcmp(name, "tcache.destroy")) {
		assert_int_equal(*(unsigned int *)set, CACHE);
		caches--;
	} else if (!is(name, "dirty_decay_ms") && !is(name, "muzzy_decay_ms") &&
		   strcmp(name, "epoch") != 0 && strcmp(name, "tcache.flush") != 0 &&
		   !is(name, "reset") && !is(name, "purge")) {
		return ENOENT;
	}
	return 0;
}

void *mallocx(size_t bytes, int flags)
{
	bool zero = false, commit = false;

	return hooks->alloc(hooks, NULL, bytes, 1, &zero, &commit, ARENA);
}

void *rallocx(void *memory, size_t bytes, int flags)
{
	return mallocx(bytes, flags);
}

void dallocx(void *memory, int flags)
{
	assert_ptr_equal(memory, extent);
}

/* ---- a machine ------------------------------------------------------------------------------- */

long get_mempolicy(int *mode, unsigned long *mask, unsigned long nodes, void *at,
		   unsigned int flags)
{
	if (fault_of("get_mempolicy", ENOSYS))
		return -1;
	assert_int_equal(flags, MPOL_F_MEMS_ALLOWED);
	mask[0] = 3;
	return 0;
}

long mbind(void *at, unsigned long bytes, int mode, const unsigned long *mask, unsigned long nodes,
	   unsigned int flags)
{
	assert_ptr_equal(at, extent);
	assert_int_equal(mask[0], 2);
	if (fault_of("mbind", EPERM))
		return -1;
	placed++;
	return 0;
}

/* The processors of the second node are these. */
static int pin(pid_t thread, size_t bytes, const cpu_set_t *set)
{
	static const size_t cpus[] = { 2, 3, 8191 };

	assert_int_equal(CPU_COUNT_S(bytes, set), ARRAY_SIZE(cpus));
	for (size_t i = 0; i < ARRAY_SIZE(cpus); i++)
		assert_true(CPU_ISSET_S(cpus[i], bytes, set));
	if (fault_of("sched_setaffinity", EINVAL))
		return -1;
	pinned++;
	return 0;
}

static int make_machine(void **state)
{
	char path[PATH_BYTES];
	FILE *f;

	if (dir_make("arena", node_dir, sizeof(node_dir)) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/node1", node_dir);
	if (mkdir(path, 0755) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/node1/cpulist", node_dir);
	f = fopen(path, "we");
	return f && fputs("2-3,8191-9000\n", f) >= 0 && fclose(f) == 0 ? 0 : -1;
}

static int remove_machine(void **state)
{
	return dir_remove(node_dir);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static const struct baro_arena_options on_node_1 = {
	.size = sizeof(on_node_1),
	.flags = BARO_ARENA_NODE | BARO_ARENA_PIN,
	.node = 1,
	.decay_ms = 100,
};

static int set_up(void **state)
{
	arenas = caches = pinned = placed = 0;
	return 0;
}

static bool is_told(int error)
{
	return error == -ENOMEM || error == -EAGAIN || error == -EINVAL || error == -ENODEV ||
	       error == -EMFILE || error == -EIO;
}

static void open_and_close(void)
{
	struct baro_arena *a = NULL;
	int before = pinned, r = baro_arena_open(&on_node_1, &a);

	assert_int_equal(arenas, r ? 0 : 1);
	assert_int_equal(caches, r ? 0 : 1);
	assert_true((r == 0) == (a != NULL));
	assert_true(r == 0 || (fault_came && is_told(r)));
	/* a thread without an arena stays where it was */
	assert_true(pinned == before || r == 0);
	fault_left = -1;
	baro_arena_close(a);
	assert_int_equal(arenas, 0);
	assert_int_equal(caches, 0);
}

static void an_arena_opens_whole_or_not_at_all(void **state)
{
	/* calloc; nodes; hooks, arena, twice decay, cache; file, twice, and pin */
	with_every_fault(open_and_close, 10);
}

static int open_failing(const char *name, int error)
{
	struct baro_arena *a = NULL;
	int r;

	fault_arm_of(name, error, 0);
	r = baro_arena_open(&on_node_1, &a);
	assert_true(fault_disarm());
	assert_true((r == 0) == (a != NULL));
	baro_arena_close(a);
	return r;
}

static void what_is_missing_is_told_by_the_names_of_the_header(void **state)
{
	static const struct {
		const char *name;
		int error, told;
	} faults[] = {
		{ "calloc", ENOMEM, -ENOMEM },
		{ "arena.0.extent_hooks", ENOENT, -ENOMEM },
		{ "arenas.create", EAGAIN, -EAGAIN },
		{ "arenas.create", ENOMEM, -ENOMEM },
		{ "arena.7.dirty_decay_ms", EFAULT, -EINVAL },
		{ "arena.7.muzzy_decay_ms", EFAULT, -EINVAL },
		{ "tcache.create", EFAULT, -EAGAIN },
		{ "tcache.create", EAGAIN, -EAGAIN },
		{ "open", EMFILE, -EMFILE },
		{ "open", ENOENT, -ENOENT },
		{ "read", EIO, -EIO },
		{ "sched_setaffinity", EINVAL, -EINVAL },
		{ "sched_setaffinity", EPERM, -EPERM },
		/* such a kernel has one node, whose number is 0 */
		{ "get_mempolicy", ENOSYS, -ENODEV },
		{ "get_mempolicy", EPERM, -ENODEV },
	};

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		if (open_failing(faults[i].name, faults[i].error) != faults[i].told)
			fail_msg("%s: %s", faults[i].name, strerrorname_np(faults[i].error));
		assert_int_equal(arenas, 0);
		assert_int_equal(caches, 0);
	}
}

static struct baro_arena *open_arena(const struct baro_arena_options *options)
{
	struct baro_arena *a = NULL;

	must(baro_arena_open(options, &a) == 0 && a);
	return a;
}

static struct baro_arena_counts counts(struct baro_arena *a)
{
	struct baro_arena_counts c;

	assert_int_equal(baro_arena_read(a, &c), 0);
	return c;
}

static void memory_that_could_not_be_placed_is_memory_and_is_counted(void **state)
{
	static const int errors[] = { EPERM, ENOMEM, EINVAL, EIO, ENOSYS };
	struct baro_arena *a = open_arena(&on_node_1);

	assert_ptr_equal(baro_arena_alloc(a, 100), extent);
	assert_int_equal(placed, 1);
	assert_int_equal(counts(a).misplaced, 0);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		fault_arm_of("mbind", errors[i], 0);
		assert_ptr_equal(baro_arena_alloc(a, 100), extent);
		assert_true(fault_disarm());
		assert_int_equal(placed, 1);
		assert_int_equal(counts(a).misplaced, i + 1);
		assert_int_equal(counts(a).extents, i + 2);
	}
	baro_arena_close(a);
}

static void no_memory_is_null_and_nothing_is_counted(void **state)
{
	struct baro_arena *a = open_arena(&on_node_1);
	void *(*const alloc[])(struct baro_arena *, size_t) = { baro_arena_alloc,
								baro_arena_alloc_zero };

	for (size_t i = 0; i < ARRAY_SIZE(alloc); i++) {
		fault_arm_of("extent", ENOMEM, 0);
		assert_null(alloc[i](a, 100));
		assert_true(fault_disarm());
	}
	fault_arm_of("extent", ENOMEM, 0);
	assert_null(baro_arena_alloc_aligned(a, 100, 64));
	fault_arm_of("extent", ENOMEM, 0);
	assert_null(baro_arena_realloc(a, extent, 100));
	assert_true(fault_disarm());
	assert_int_equal(counts(a).extents, 0);
	assert_int_equal(placed, 0);
	assert_ptr_equal(baro_arena_alloc(a, 100), extent);
	baro_arena_free(a, extent);
	baro_arena_close(a);
}

static void what_the_allocator_cannot_do_is_told(void **state)
{
	const struct baro_arena_counts none = { .extents = 77 };
	struct baro_arena_counts c = none;
	struct baro_arena *a = open_arena(&on_node_1);

	fault_arm_of("epoch", EAGAIN, 0);
	assert_int_equal(baro_arena_read(a, &c), -EAGAIN);
	assert_true(fault_disarm());
	fault_arm_of("epoch", EAGAIN, 0);
	assert_int_equal(baro_arena_read_all(&c), -EAGAIN);
	assert_true(fault_disarm());
	assert_memory_equal(&c, &none, sizeof(c));
	fault_arm_of("arena.7.purge", EFAULT, 0);
	assert_int_equal(baro_arena_purge(a), -EFAULT);
	assert_true(fault_disarm());
	fault_arm_of("arena.7.reset", EFAULT, 0);
	assert_int_equal(baro_arena_reset(a), -EFAULT);
	assert_true(fault_disarm());
	baro_arena_close(a);
}

/* A process that may not ask where its memory is to be has memory all the same. */
static void without_nodes_an_arena_is_on_none(void **state)
{
	struct baro_arena_options o = { .size = sizeof(o), .flags = BARO_ARENA_STRICT };

	for (int i = 0; i < 2; i++) {
		struct baro_arena *a;

		fault_arm_of("get_mempolicy", i ? EPERM : ENOSYS, 0);
		a = open_arena(&o);
		assert_true(fault_disarm());
		assert_int_equal(counts(a).node, BARO_ARENA_NO_NODE);
		assert_ptr_equal(baro_arena_alloc(a, 100), extent);
		assert_int_equal(counts(a).misplaced, 0);
		baro_arena_close(a);
		o.flags |= BARO_ARENA_NODE; /* 0 */
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		T(an_arena_opens_whole_or_not_at_all),
		T(what_is_missing_is_told_by_the_names_of_the_header),
		T(memory_that_could_not_be_placed_is_memory_and_is_counted),
		T(no_memory_is_null_and_nothing_is_counted),
		T(what_the_allocator_cannot_do_is_told),
		T(without_nodes_an_arena_is_on_none),
	};

	return cmocka_run_group_tests_name("arena faults", tests, make_machine, remove_machine);
}
