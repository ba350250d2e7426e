/* SPDX-License-Identifier: BSD-2-Clause */
/* Unloading: the coldest first, to a number of bytes or by age, and never what is pinned. */
#include "tests/unit/registry_support.h"

#include <stdio.h>

static struct shelf s;

static int set_up(void **state)
{
	(void)state;
	shelf_open(&s, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	shelf_close(&s);
	return 0;
}

static bool is_loaded(uint64_t id)
{
	return shelf_info(&s, id).state == BARO_INDEX_LOADED;
}

/* n indexes of 1 KiB, loaded at 1, 2, ... */
static void load_many(uint64_t *id, int n)
{
	for (int i = 0; i < n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%d", i);
		id[i] = shelf_add(&s, name, 1);
		assert_int_equal(shelf_use(&s, id[i], (uint64_t)i + 1), 0);
	}
}

/* The seed unloaded everything for one byte, and said that it had freed none. */
static void one_byte_unloads_one_index_and_says_what_it_freed(void **state)
{
	uint64_t id[5], freed = 77;

	load_many(id, 5);
	assert_int_equal(baro_registry_unload_cold(s.registry, 1, &freed), 1);
	assert_int_equal(freed, KIB);
	assert_false(is_loaded(id[0]));
	for (int i = 1; i < 5; i++)
		assert_true(is_loaded(id[i]));
	assert_int_equal(shelf_count(&s).loaded_bytes, 4 * KIB);
}

static void nothing_unloads_nothing(void **state)
{
	uint64_t id[2], freed = 77;

	load_many(id, 2);
	assert_int_equal(baro_registry_unload_cold(s.registry, 0, &freed), 0);
	assert_int_equal(freed, 0);
	assert_int_equal(s.unloads, 0);
	assert_int_equal(baro_registry_unload_cold(s.registry, 0, NULL), 0);
}

static void the_coldest_go_until_there_is_enough(void **state)
{
	uint64_t id[5], freed;

	load_many(id, 5);
	/* used again: the order is 1 3 4 0 2 */
	assert_int_equal(shelf_use(&s, id[0], 10), 0);
	assert_int_equal(shelf_use(&s, id[2], 11), 0);
	assert_int_equal(baro_registry_unload_cold(s.registry, 2 * KIB + 1, &freed), 3);
	assert_int_equal(freed, 3 * KIB);
	assert_true(is_loaded(id[0]) && is_loaded(id[2]));
	assert_int_equal(baro_registry_unload_cold(s.registry, KIB, &freed), 1);
	assert_true(is_loaded(id[2]));
	/* more than there is */
	assert_int_equal(baro_registry_unload_cold(s.registry, UINT64_MAX, &freed), 1);
	assert_int_equal(freed, KIB);
	assert_int_equal(baro_registry_unload_cold(s.registry, UINT64_MAX, &freed), 0);
	assert_int_equal(freed, 0);
}

static void equally_cold_go_in_the_order_of_registration(void **state)
{
	uint64_t a = shelf_add(&s, "a", 1), b = shelf_add(&s, "b", 1), c = shelf_add(&s, "c", 1);

	assert_int_equal(shelf_use(&s, c, 5), 0);
	assert_int_equal(shelf_use(&s, b, 5), 0);
	assert_int_equal(shelf_use(&s, a, 5), 0);
	assert_int_equal(baro_registry_unload_cold(s.registry, 1, NULL), 1);
	assert_false(is_loaded(a));
	assert_int_equal(baro_registry_unload_cold(s.registry, 1, NULL), 1);
	assert_false(is_loaded(b));
}

/* Larger than one look, in any order of last use. */
static void a_thousand_go_in_order(void **state)
{
	enum { N = 1000 };
	static uint64_t id[N], at[N];
	uint64_t freed;

	load_many(id, N);
	for (int i = 0; i < N; i++)
		at[i] = (uint64_t)i;
	for (int i = N - 1; i > 0; i--) {
		int k = (int)(random() % (i + 1));
		uint64_t swap = at[i];

		at[i] = at[k];
		at[k] = swap;
	}
	for (int i = 0; i < N; i++)
		assert_int_equal(shelf_use(&s, id[i], 10000 + at[i]), 0);
	assert_int_equal(baro_registry_unload_cold(s.registry, 700 * KIB, &freed), 700);
	assert_int_equal(freed, 700 * KIB);
	for (int i = 0; i < N; i++)
		assert_int_equal(is_loaded(id[i]), at[i] >= 700);
}

/* The seed handed out pointers that could be freed under the caller. */
static void what_is_pinned_stays(void **state)
{
	uint64_t id[3], freed;
	struct baro_pin pin, again;

	load_many(id, 3);
	assert_int_equal(baro_registry_get(s.registry, id[0], 5, &pin), 0);
	assert_int_equal(baro_registry_get(s.registry, id[0], 5, &again), 0);
	assert_int_equal(baro_registry_unload_cold(s.registry, UINT64_MAX, &freed), 2);
	assert_int_equal(freed, 2 * KIB);
	assert_int_equal(baro_registry_unload_idle(s.registry, 0, 1000, &freed), 0);
	assert_int_equal(baro_registry_unload(s.registry, id[0], &freed), -EBUSY);
	assert_int_equal(baro_registry_remove(s.registry, id[0]), -EBUSY);
	assert_int_equal(freed, 0);
	assert_int_equal(((struct book *)pin.object)->alive, BOOK_ALIVE);
	baro_pin_release(&pin);
	assert_int_equal(baro_registry_unload(s.registry, id[0], &freed), -EBUSY);
	assert_int_equal(shelf_count(&s).by_state[BARO_INDEX_LOADED], 1);
	baro_pin_release(&again);
	assert_int_equal(baro_registry_unload(s.registry, id[0], &freed), 0);
	assert_int_equal(freed, KIB);
	assert_int_equal(baro_registry_unload(s.registry, id[0], &freed), 0);
	assert_int_equal(freed, 0);
}

/* The two orders in which a getter and an unload can meet, step by step. */
static void a_getter_and_an_unload_see_each_other(void **state)
{
	uint64_t a = shelf_add(&s, "a", 1), freed;
	struct registry_entry *e = entry_at(s.registry, (uint32_t)a);
	struct registry_lane *lane;
	struct baro_pin pin;
	uint64_t word;

	assert_int_equal(shelf_use(&s, a, 1), 0);
	word = entry_word(e);
	lane = lane_at(s.registry, word_block(word), 0);
	/* counted in before the unload: it stays, and the getter finds it as it was */
	lane->gets++;
	assert_int_equal(baro_registry_unload(s.registry, a, &freed), -EBUSY);
	assert_true(entry_word(e) == word);
	lane->puts++;
	/* unloaded first: the getter takes its count back */
	assert_int_equal(baro_registry_unload(s.registry, a, &freed), 0);
	assert_false(registry_pin(s.registry, e, word, 2, &pin));
	assert_int_equal(registry_pins(s.registry, word_block(word)), 0);
	/* also when it has been loaded again meanwhile, elsewhere, and the block is another's */
	assert_int_equal(shelf_use(&s, shelf_add(&s, "b", 1), 3), 0);
	assert_int_equal(shelf_use(&s, a, 4), 0);
	assert_true(word_block(entry_word(e)) != word_block(word));
	assert_false(registry_pin(s.registry, e, word, 5, &pin));
	assert_int_equal(registry_pins(s.registry, word_block(word)), 0);
	assert_int_equal(shelf_info(&s, a).last_ns, 4);
}

static void idle_ones_go_by_age(void **state)
{
	uint64_t id[6], freed;

	load_many(id, 6);
	assert_int_equal(baro_registry_unload_idle(s.registry, 10, 9, &freed), 0);
	assert_int_equal(freed, 0);
	/* at 9, the first three have been idle for 6 and more */
	assert_int_equal(baro_registry_unload_idle(s.registry, 6, 9, &freed), 3);
	assert_int_equal(freed, 3 * KIB);
	assert_false(is_loaded(id[2]));
	assert_true(is_loaded(id[3]));
	assert_int_equal(baro_registry_unload_idle(s.registry, 6, 9, NULL), 0);
	assert_int_equal(baro_registry_unload_idle(s.registry, 0, 9, &freed), 3);
}

/* The block of one that was unloaded is another's next: its last use must not be inherited. */
static void an_index_is_as_old_as_its_own_last_use(void **state)
{
	uint64_t a = shelf_add(&s, "a", 1), b = shelf_add(&s, "b", 1);

	assert_int_equal(shelf_use(&s, a, 1000), 0);
	/* by threads on all processors */
	for (uint32_t i = 0; i < s.registry->lanes; i++)
		lane_at(s.registry, 0, i)->last_ns = 1000;
	assert_int_equal(baro_registry_unload(s.registry, a, NULL), 0);
	assert_int_equal(shelf_info(&s, a).last_ns, 1000);
	assert_int_equal(shelf_use(&s, b, 5), 0);
	assert_int_equal(shelf_info(&s, b).last_ns, 5);
	assert_int_equal(shelf_info(&s, b).accesses, 1);
	assert_int_equal(baro_registry_unload_idle(s.registry, 10, 100, NULL), 1);
}

/* One that is got between the look and its turn is not cold any more. */
static uint64_t saved;

static void use_the_other(struct shelf *shelf, const struct baro_index *index)
{
	if (!strcmp(index->name, "0"))
		must(shelf_use(shelf, saved, 100) == 0);
}

static void who_is_used_meanwhile_is_spared(void **state)
{
	uint64_t id[3], freed;

	load_many(id, 3);
	saved = id[1];
	s.in_unload = use_the_other;
	assert_int_equal(baro_registry_unload_cold(s.registry, 2 * KIB, &freed), 2);
	assert_true(is_loaded(id[1]));
	assert_false(is_loaded(id[2]));
}

static void an_index_that_says_nothing_counts_too(void **state)
{
	const struct baro_index_spec spec[] = { { .name = "a" }, { .name = "b" } };
	uint64_t id[2], freed;

	s.nothing_said = true;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(baro_registry_add(s.registry, &spec[i], &id[i]), 0);
		assert_int_equal(shelf_use(&s, id[i], 1), 0);
	}
	assert_int_equal(baro_registry_unload_cold(s.registry, 1, &freed), 1);
	assert_int_equal(freed, 4096);
}

int main(void)
{
#define REGISTRY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		REGISTRY_TEST(one_byte_unloads_one_index_and_says_what_it_freed),
		REGISTRY_TEST(nothing_unloads_nothing),
		REGISTRY_TEST(the_coldest_go_until_there_is_enough),
		REGISTRY_TEST(equally_cold_go_in_the_order_of_registration),
		REGISTRY_TEST(a_thousand_go_in_order),
		REGISTRY_TEST(what_is_pinned_stays),
		REGISTRY_TEST(a_getter_and_an_unload_see_each_other),
		REGISTRY_TEST(idle_ones_go_by_age),
		REGISTRY_TEST(an_index_is_as_old_as_its_own_last_use),
		REGISTRY_TEST(who_is_used_meanwhile_is_spared),
		REGISTRY_TEST(an_index_that_says_nothing_counts_too),
	};

	return cmocka_run_group_tests_name("registry_unload", tests, NULL, NULL);
}
