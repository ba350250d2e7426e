/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registry under many threads, with random schedules: one load for all who come first, nothing
 * unloaded under who uses it, names found while others come and go. Objects that are freed are
 * poisoned, and the sanitizers look on.
 */
#include "tests/unit/registry_support.h"

#include <stdio.h>

#define THREADS 4
#define INDEXES 24
#define ROUNDS  20000

static struct shelf s;
static uint64_t ids[INDEXES];

static int set_up(void **state)
{
	(void)state;
	shelf_open(&s, 0);
	for (int i = 0; i < INDEXES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "index number %d", i);
		ids[i] = shelf_add(&s, name, (uint64_t)i + 1);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	shelf_close(&s);
	return 0;
}

static void sometimes_yield(unsigned int *seed)
{
	if (rand_r(seed) % 8 == 0)
		sched_yield();
}

static unsigned int seed_of_thread(void)
{
	static unsigned int next;

	return __atomic_add_fetch(&next, 0x9e3779b9u, __ATOMIC_RELAXED);
}

/* ---- one load -------------------------------------------------------------------------------- */

static uint64_t arrived;

static int slow_load(struct shelf *shelf, const struct baro_index *index)
{
	/* until all others wait for it, or have at least come near */
	until(__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) == THREADS);
	for (int i = 0; i < 100; i++)
		sched_yield();
	return shelf->fail;
}

static void *first_use(void *arg)
{
	int *result = arg;

	__atomic_fetch_add(&arrived, 1, __ATOMIC_ACQ_REL);
	__atomic_fetch_add(result, shelf_use(&s, ids[0], 1), __ATOMIC_RELAXED);
	return NULL;
}

static void concurrent_first_uses_load_once(void **state)
{
	static void *(*const bodies[])(void *) = { first_use, first_use, first_use, first_use };

	s.in_load = slow_load;
	for (uint64_t round = 1; round <= 200; round++) {
		int result = 0;

		arrived = 0;
		run_together(bodies, THREADS, &result);
		assert_int_equal(result, 0);
		assert_int_equal(s.loads, round);
		assert_int_equal(shelf_info(&s, ids[0]).accesses, THREADS * round);
		assert_int_equal(shelf_info(&s, ids[0]).pins, 0);
		assert_int_equal(baro_registry_unload(s.registry, ids[0], NULL), 0);
	}
	assert_true(shelf_count(&s).waits > 0);
}

static void all_who_waited_have_the_error_of_the_one_load(void **state)
{
	static void *(*const bodies[])(void *) = { first_use, first_use, first_use, first_use };
	uint64_t failures = 0, shared = 0;

	s.in_load = slow_load;
	s.fail = -EIO;
	for (int round = 0; round < 200; round++) {
		int result = 0;

		arrived = 0;
		run_together(bodies, THREADS, &result);
		assert_int_equal(result, THREADS * -EIO);
		/* who comes when it has failed tries again; who waits does not */
		shared += shelf_count(&s).load_failures - failures < THREADS;
		failures = shelf_count(&s).load_failures;
		assert_int_equal(shelf_count(&s).by_state[BARO_INDEX_FAILED], 1);
	}
	assert_true(shared > 0);
	assert_int_equal(s.loads, 0);
	s.in_load = NULL;
	s.fail = 0;
	assert_int_equal(shelf_use(&s, ids[0], 1), 0);
	/* no block was lost */
	for (int i = 0; i < INDEXES; i++)
		assert_int_equal(shelf_use(&s, ids[i], 1), 0);
	assert_int_equal(s.registry->blocks, BLOCK_SLAB);
}

/* ---- pins against unloading ------------------------------------------------------------------ */

static uint64_t clock_ns;
static uint64_t uses;

static void *use_all(void *arg)
{
	unsigned int seed = seed_of_thread();
	struct baro_pin held[4] = { { 0 } };

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		/* a few are in use most of the time */
		int which = rand_r(&seed) % 3 ? rand_r(&seed) % 3 : rand_r(&seed) % INDEXES;
		uint64_t now = __atomic_add_fetch(&clock_ns, 1, __ATOMIC_RELAXED);
		struct baro_pin *pin = &held[rand_r(&seed) % 4];
		const struct book *book = pin->object;

		if (book)
			must(book->alive == BOOK_ALIVE);
		baro_pin_release(pin);
		must(baro_registry_get(s.registry, ids[which], now, pin) == 0);
		__atomic_fetch_add(&uses, 1, __ATOMIC_RELAXED);
		sometimes_yield(&seed);
		book = pin->object;
		must(book->alive == BOOK_ALIVE && book->id == ids[which]);
	}
	for (int i = 0; i < 4; i++)
		baro_pin_release(&held[i]);
	return NULL;
}

static bool done;

static void *unload_all_the_time(void *arg)
{
	unsigned int seed = seed_of_thread();

	(void)arg;
	while (!is_set(&done)) {
		uint64_t freed = 0, want = (uint64_t)rand_r(&seed) % 40 * KIB;
		struct baro_registry_counts n;
		int count, which;

		switch (rand_r(&seed) % 3) {
		case 0:
			count = baro_registry_unload_cold(s.registry, want, &freed);
			must(count == 0 || want > 0);
			must((count > 0) == (freed > 0));
			break;
		case 1:
			baro_registry_unload_idle(
			    s.registry, 5, __atomic_load_n(&clock_ns, __ATOMIC_RELAXED), &freed);
			break;
		default:
			/* those that are used most, mostly */
			which = rand_r(&seed) % (rand_r(&seed) % 4 ? 3 : INDEXES);
			count = baro_registry_unload(s.registry, ids[which], &freed);
			must(count == 0 || count == -EBUSY);
		}
		baro_registry_count(s.registry, &n);
		must(n.indexes == INDEXES);
		must(n.loaded_bytes <= KIB * INDEXES * (INDEXES + 1) / 2);
		sometimes_yield(&seed);
	}
	return NULL;
}

static void *use_to_the_end(void *arg)
{
	static void *(*const bodies[])(void *) = { use_all, use_all, use_all };

	run_together(bodies, 3, arg);
	set_flag(&done);
	return NULL;
}

static void nothing_is_unloaded_under_who_uses_it(void **state)
{
	static void *(*const bodies[])(void *) = { use_to_the_end, unload_all_the_time,
						   unload_all_the_time };
	struct baro_registry_counts n;
	uint64_t accesses = 0, loaded = 0;

	clock_ns = uses = 0;
	done = false;
	run_together(bodies, 3, NULL);
	n = shelf_count(&s);
	assert_int_equal(n.loads, s.loads);
	assert_int_equal(n.unloads, s.unloads);
	assert_int_equal(n.by_state[BARO_INDEX_LOADED], s.live);
	assert_int_equal(n.by_state[BARO_INDEX_LOADED] + n.by_state[BARO_INDEX_REGISTERED],
			 INDEXES);
	assert_int_equal(n.accesses, uses);
	for (int i = 0; i < INDEXES; i++) {
		struct baro_index_info info = shelf_info(&s, ids[i]);

		assert_int_equal(info.pins, 0);
		accesses += info.accesses;
		loaded += info.state == BARO_INDEX_LOADED ? info.bytes : 0;
	}
	assert_int_equal(accesses, uses);
	assert_int_equal(loaded, n.loaded_bytes);
	assert_true(n.unloads > 100);
}

static int fail_sometimes(struct shelf *shelf, const struct baro_index *index)
{
	static unsigned int calls;

	(void)index;
	sched_yield();
	return __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % 3 ? 0 : -EIO;
}

static void *use_what_fails(void *arg)
{
	unsigned int seed = seed_of_thread();

	(void)arg;
	for (int i = 0; i < ROUNDS / 4; i++) {
		int r = shelf_use(&s, ids[rand_r(&seed) % 4], (uint64_t)i);

		must(r == 0 || r == -EIO);
		sometimes_yield(&seed);
	}
	return NULL;
}

static void *use_what_fails_to_the_end(void *arg)
{
	static void *(*const bodies[])(void *) = { use_what_fails, use_what_fails, use_what_fails };

	run_together(bodies, 3, arg);
	set_flag(&done);
	return NULL;
}

static void loads_that_fail_are_tried_again_and_leave_nothing_behind(void **state)
{
	static void *(*const bodies[])(void *) = { use_what_fails_to_the_end, unload_all_the_time };
	struct baro_registry_counts n;

	s.in_load = fail_sometimes;
	done = false;
	run_together(bodies, 2, NULL);
	n = shelf_count(&s);
	assert_int_equal(n.loads, s.loads);
	assert_int_equal(n.by_state[BARO_INDEX_LOADED], s.live);
	assert_int_equal(n.by_state[BARO_INDEX_LOADING] + n.by_state[BARO_INDEX_UNLOADING], 0);
	assert_int_equal(s.registry->blocks, BLOCK_SLAB);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void *come_and_go(void *arg)
{
	unsigned int seed = seed_of_thread();
	uint64_t mine[64] = { 0 };
	char name[64];

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		int at = rand_r(&seed) % 64;
		struct baro_index_spec spec = { .name = name };

		if (mine[at]) {
			must(baro_registry_remove(s.registry, mine[at]) == 0);
			mine[at] = 0;
			continue;
		}
		/* of many lengths, so that blocks are used again for others */
		snprintf(name, sizeof(name), "%x-%.*s", rand_r(&seed), rand_r(&seed) % 40,
			 "........................................");
		if (baro_registry_add(s.registry, &spec, &mine[at]) < 0)
			mine[at] = 0;
	}
	return NULL;
}

static void *find_all(void *arg)
{
	unsigned int seed = seed_of_thread();

	(void)arg;
	while (!is_set(&done)) {
		int which = rand_r(&seed) % INDEXES;
		uint64_t id = 0;
		char name[32];

		snprintf(name, sizeof(name), "index number %d", which);
		must(baro_registry_find(s.registry, name, &id) == 0);
		must(id == ids[which]);
		must(baro_registry_find(s.registry, "index number x", &id) == -ENOENT);
	}
	return NULL;
}

static void *come_and_go_to_the_end(void *arg)
{
	static void *(*const bodies[])(void *) = { come_and_go, come_and_go };

	run_together(bodies, 2, arg);
	set_flag(&done);
	return NULL;
}

static void names_are_found_while_others_come_and_go(void **state)
{
	static void *(*const bodies[])(void *) = { come_and_go_to_the_end, find_all, find_all };

	done = false;
	run_together(bodies, 3, NULL);
}

int main(void)
{
#define REGISTRY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		REGISTRY_TEST(concurrent_first_uses_load_once),
		REGISTRY_TEST(all_who_waited_have_the_error_of_the_one_load),
		REGISTRY_TEST(nothing_is_unloaded_under_who_uses_it),
		REGISTRY_TEST(loads_that_fail_are_tried_again_and_leave_nothing_behind),
		REGISTRY_TEST(names_are_found_while_others_come_and_go),
	};

	return cmocka_run_group_tests_name("registry_stress", tests, NULL, NULL);
}
