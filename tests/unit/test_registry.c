/* SPDX-License-Identifier: BSD-2-Clause */
/* The registry: what is registered, loaded by its first use, handed out and counted. */
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

/* ---- registering ----------------------------------------------------------------------------- */

static void a_registered_index_is_found_and_not_loaded(void **state)
{
	uint64_t a = shelf_add(&s, "a", 10), b = shelf_add(&s, "users/by_mail", 20), id = 0;
	struct baro_index_info info;

	assert_true(a != 0 && b != 0 && a != b);
	assert_int_equal(baro_registry_find(s.registry, "users/by_mail", &id), 0);
	assert_int_equal(id, b);
	assert_int_equal(baro_registry_find(s.registry, "users/by_mai", &id), -ENOENT);
	assert_int_equal(baro_registry_find(s.registry, "", &id), -ENOENT);
	assert_int_equal(id, b);
	info = shelf_info(&s, b);
	assert_string_equal(info.name, "users/by_mail");
	assert_int_equal(info.state, BARO_INDEX_REGISTERED);
	assert_int_equal(info.bytes, 7);
	assert_int_equal(info.tag, 20);
	assert_int_equal(info.loads + info.accesses + info.pins + info.last_ns, 0);
	assert_int_equal(s.loads, 0);
	assert_int_equal(shelf_count(&s).indexes, 2);
}

static void a_name_is_registered_once(void **state)
{
	const struct baro_index_spec again = { .name = "a", .tag = 99 };
	uint64_t a = shelf_add(&s, "a", 1), id = 5;

	assert_int_equal(baro_registry_add(s.registry, &again, &id), -EEXIST);
	assert_int_equal(id, 5);
	assert_int_equal(shelf_info(&s, a).tag, 1);
	assert_int_equal(shelf_count(&s).indexes, 1);
}

static void names_that_no_manifest_could_hold_are_refused(void **state)
{
	static const struct {
		const char *name;
		int error;
	} cases[] = {
		{ NULL, -EINVAL },
		{ "", -EINVAL },
		{ "\xff", -EILSEQ },
		{ "a\xc3", -EILSEQ },
		{ "\xc0\x80", -EILSEQ }, /* overlong */
		{ "\xe0\x80\x80", -EILSEQ },
		{ "\xf0\x80\x80\x80", -EILSEQ },
		{ "\xed\xa0\x80", -EILSEQ }, /* a surrogate */
		{ "\xf4\x90\x80\x80", -EILSEQ }, /* beyond the last character */
		{ "\xe2\x82", -EILSEQ },
		{ "\x80", -EILSEQ },
		{ "gr\xc3\xbc\xc3\x9f"
		  "e \xe2\x82\xac \xf0\x9f\x98\x80",
		  0 },
		{ "line\nfeed", 0 },
	};
	char longest[BARO_INDEX_NAME_MAX + 1];
	struct baro_index_spec spec = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		spec.name = cases[i].name;
		assert_int_equal(baro_registry_add(s.registry, &spec, NULL), cases[i].error);
	}
	memset(longest, 'x', sizeof(longest));
	longest[BARO_INDEX_NAME_MAX] = '\0';
	spec.name = longest;
	assert_int_equal(baro_registry_add(s.registry, &spec, NULL), -ENAMETOOLONG);
	longest[BARO_INDEX_NAME_MAX - 1] = '\0';
	assert_int_equal(baro_registry_add(s.registry, &spec, NULL), 0);
	spec.name = "path";
	spec.path = "/\xff";
	assert_int_equal(baro_registry_add(s.registry, &spec, NULL), -EILSEQ);
	assert_int_equal(shelf_count(&s).indexes, 3);
}

static void ids_of_removed_indexes_are_not_given_out_again(void **state)
{
	uint64_t a = shelf_add(&s, "a", 1), b, id;
	struct baro_index_info info;
	struct baro_pin pin;

	assert_int_equal(shelf_use(&s, a, 1), 0);
	assert_int_equal(baro_registry_remove(s.registry, a), 0);
	assert_int_equal(s.unloads, 1);
	assert_int_equal(baro_registry_find(s.registry, "a", &id), -ENOENT);
	b = shelf_add(&s, "b", 1);
	/* the same place, another id */
	assert_int_equal((uint32_t)a, (uint32_t)b);
	assert_true(a != b);
	assert_int_equal(baro_registry_get(s.registry, a, 1, &pin), -ENOENT);
	assert_int_equal(baro_registry_info(s.registry, a, &info), -ENOENT);
	assert_int_equal(baro_registry_remove(s.registry, a), -ENOENT);
	assert_int_equal(baro_registry_unload(s.registry, a, NULL), -ENOENT);
	assert_int_equal(baro_registry_set_bytes(s.registry, a, 1), -ENOENT);
	assert_int_equal(shelf_use(&s, b, 1), 0);
	for (uint64_t i = 0; i < 64; i++) {
		uint64_t none = UINT64_C(1) << i;

		if (none != b)
			assert_int_equal(baro_registry_get(s.registry, none, 1, &pin), -ENOENT);
	}
}

static void names_come_and_go_without_taking_more_and_more(void **state)
{
	char name[64];
	uint64_t *text_at = NULL;

	for (int i = 0; i < 30000; i++) {
		uint64_t id;

		snprintf(name, sizeof(name), "partition-%08d", i);
		id = shelf_add(&s, name, 1);
		assert_string_equal(shelf_info(&s, id).name, name);
		assert_int_equal(baro_registry_remove(s.registry, id), 0);
		if (i == 0)
			text_at = s.registry->text_at;
	}
	assert_ptr_equal(s.registry->text_at, text_at);
	assert_int_equal(s.registry->entries, 1);
}

static void there_are_no_more_than_the_most(void **state)
{
	struct shelf few;
	struct baro_index_spec spec = { .name = "c" };
	uint64_t a;

	shelf_open(&few, 2);
	a = shelf_add(&few, "a", 1);
	shelf_add(&few, "b", 1);
	assert_int_equal(baro_registry_add(few.registry, &spec, NULL), -ENOSPC);
	spec.name = "b";
	assert_int_equal(baro_registry_add(few.registry, &spec, NULL), -EEXIST);
	assert_int_equal(baro_registry_remove(few.registry, a), 0);
	shelf_add(&few, "c", 1);
	shelf_close(&few);
}

static void all_are_visited_in_the_order_of_registration(void **state)
{
	char name[16];
	uint64_t ids[3000], id = 0;

	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		ids[i] = shelf_add(&s, name, 1);
	}
	assert_int_equal(baro_registry_remove(s.registry, ids[1]), 0);
	for (int i = 0; i < 3000; i++) {
		if (i == 1)
			continue;
		assert_int_equal(baro_registry_next(s.registry, id, &id), 0);
		assert_int_equal(id, ids[i]);
	}
	assert_int_equal(baro_registry_next(s.registry, id, &id), -ENOENT);
	/* and each is found */
	for (int i = 2; i < 3000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(baro_registry_find(s.registry, name, &id), 0);
		assert_int_equal(id, ids[i]);
	}
}

/* ---- loading --------------------------------------------------------------------------------- */

static void the_first_use_loads_and_the_next_does_not(void **state)
{
	uint64_t a = shelf_add(&s, "a", 10);
	struct baro_pin pin, other;

	assert_int_equal(baro_registry_get_loaded(s.registry, a, 1, &pin), -EAGAIN);
	assert_int_equal(baro_registry_get(s.registry, a, 100, &pin), 0);
	assert_int_equal(baro_registry_get_named(s.registry, "a", 50, &other), 0);
	assert_ptr_equal(pin.object, other.object);
	assert_int_equal(s.loads, 1);
	assert_int_equal(shelf_info(&s, a).state, BARO_INDEX_LOADED);
	assert_int_equal(shelf_info(&s, a).pins, 2);
	assert_int_equal(shelf_info(&s, a).accesses, 2);
	assert_int_equal(shelf_info(&s, a).bytes, 10 * KIB);
	/* a clock that is behind does not make it older */
	assert_int_equal(shelf_info(&s, a).last_ns, 100);
	baro_pin_release(&pin);
	assert_null(pin.object);
	/* once is enough */
	baro_pin_release(&pin);
	baro_pin_release(&pin);
	assert_int_equal(shelf_info(&s, a).pins, 1);
	baro_pin_release(&other);
	assert_int_equal(shelf_info(&s, a).pins, 0);
	assert_int_equal(baro_registry_get_loaded(s.registry, a, 200, &pin), 0);
	baro_pin_release(&pin);
	assert_int_equal(baro_registry_get_named(s.registry, "b", 1, &pin), -ENOENT);
}

static void counts_are_kept_as_things_happen(void **state)
{
	uint64_t a = shelf_add(&s, "a", 10), b = shelf_add(&s, "b", 20), c = shelf_add(&s, "c", 1);
	struct baro_registry_counts n;
	uint64_t freed;

	for (int i = 0; i < 5; i++)
		assert_int_equal(shelf_use(&s, a, 1), 0);
	assert_int_equal(shelf_use(&s, b, 2), 0);
	s.fail = -EIO;
	assert_int_equal(shelf_use(&s, c, 3), -EIO);
	n = shelf_count(&s);
	assert_int_equal(n.indexes, 3);
	assert_int_equal(n.by_state[BARO_INDEX_REGISTERED], 0);
	assert_int_equal(n.by_state[BARO_INDEX_LOADED], 2);
	assert_int_equal(n.by_state[BARO_INDEX_FAILED], 1);
	assert_int_equal(n.by_state[BARO_INDEX_LOADING] + n.by_state[BARO_INDEX_UNLOADING], 0);
	assert_int_equal(n.loaded_bytes, 30 * KIB);
	assert_int_equal(n.loads, 2);
	assert_int_equal(n.load_failures, 1);
	assert_int_equal(n.accesses, 6);
	assert_int_equal(baro_registry_unload(s.registry, a, &freed), 0);
	assert_int_equal(freed, 10 * KIB);
	n = shelf_count(&s);
	assert_int_equal(n.unloads, 1);
	assert_int_equal(n.by_state[BARO_INDEX_REGISTERED], 1);
	assert_int_equal(n.loaded_bytes, 20 * KIB);
	/* what an index was used before it was unloaded is not forgotten */
	assert_int_equal(shelf_info(&s, a).accesses, 5);
	assert_int_equal(shelf_info(&s, a).last_ns, 1);
	s.fail = 0;
	assert_int_equal(shelf_use(&s, a, 9), 0);
	assert_int_equal(shelf_info(&s, a).accesses, 6);
	assert_int_equal(shelf_info(&s, a).loads, 2);
	assert_int_equal(baro_registry_remove(s.registry, c), 0);
	assert_int_equal(shelf_count(&s).by_state[BARO_INDEX_FAILED], 0);
	assert_int_equal(shelf_count(&s).indexes, 2);
}

static void a_failed_load_is_told_and_can_be_tried_again(void **state)
{
	uint64_t a = shelf_add(&s, "a", 10);

	s.fail = -EIO;
	assert_int_equal(shelf_use(&s, a, 1), -EIO);
	assert_int_equal(shelf_info(&s, a).state, BARO_INDEX_FAILED);
	assert_int_equal(shelf_info(&s, a).error, -EIO);
	s.fail = -ENOSPC;
	assert_int_equal(shelf_use(&s, a, 1), -ENOSPC);
	assert_int_equal(shelf_info(&s, a).error, -ENOSPC);
	s.fail = 0;
	assert_int_equal(shelf_use(&s, a, 1), 0);
	assert_int_equal(shelf_info(&s, a).state, BARO_INDEX_LOADED);
	assert_int_equal(shelf_info(&s, a).error, 0);
	assert_int_equal(shelf_info(&s, a).loads, 1);
	s.fail = -0x7fffffff;
	assert_int_equal(baro_registry_unload(s.registry, a, NULL), 0);
	assert_int_equal(shelf_use(&s, a, 1), -0x7fffffff);
	assert_int_equal(shelf_info(&s, a).error, -EIO);
	s.fail = 0;
}

static void what_it_takes_is_said_by_load_or_expected_or_a_page(void **state)
{
	const struct baro_index_spec unknown = { .name = "unknown" },
				     known = { .name = "known", .bytes = 300 };
	uint64_t a, b;

	assert_int_equal(baro_registry_add(s.registry, &unknown, &a), 0);
	assert_int_equal(baro_registry_add(s.registry, &known, &b), 0);
	s.nothing_said = true;
	assert_int_equal(shelf_use(&s, a, 1), 0);
	assert_int_equal(shelf_use(&s, b, 1), 0);
	assert_int_equal(shelf_count(&s).loaded_bytes, 4096 + 300);
	assert_int_equal(baro_registry_set_bytes(s.registry, b, 5000), 0);
	assert_int_equal(shelf_count(&s).loaded_bytes, 4096 + 5000);
	assert_int_equal(baro_registry_set_bytes(s.registry, b, 0), 0);
	assert_int_equal(shelf_count(&s).loaded_bytes, 4096 + 1);
	assert_int_equal(baro_registry_unload(s.registry, b, NULL), 0);
	assert_int_equal(baro_registry_set_bytes(s.registry, b, 5), -EAGAIN);
	assert_int_equal(shelf_count(&s).loaded_bytes, 4096);
}

static int note_where(struct shelf *shelf, const struct baro_index *index)
{
	snprintf(shelf->last_name, sizeof(shelf->last_name), "%s", index->name);
	snprintf(shelf->last_path, sizeof(shelf->last_path), "%s",
		 index->path ? index->path : "(none)");
	return 0;
}

static void load_sees_what_was_registered(void **state)
{
	const struct baro_index_spec spec = {
		.name = "12345678", .path = "/somewhere/else", .bytes = 5, .tag = 3
	};
	uint64_t a, b = shelf_add(&s, "1234567", 1);

	assert_int_equal(baro_registry_add(s.registry, &spec, &a), 0);
	s.in_load = note_where;
	assert_int_equal(shelf_use(&s, a, 1), 0);
	assert_string_equal(s.last_name, "12345678");
	assert_string_equal(s.last_path, "/somewhere/else");
	assert_int_equal(shelf_use(&s, b, 1), 0);
	assert_string_equal(s.last_name, "1234567");
	assert_string_equal(s.last_path, "(none)");
}

/* ---- callbacks are under no lock ------------------------------------------------------------- */

static int load_another(struct shelf *shelf, const struct baro_index *index)
{
	struct baro_registry_counts counts;
	const struct baro_index_spec spec = { .name = "made by load" };
	struct baro_pin pin;
	uint64_t freed = 0;

	if (strcmp(index->name, "outer") != 0)
		return 0;
	/* everything goes, for other indexes */
	baro_registry_count(shelf->registry, &counts);
	must(counts.by_state[BARO_INDEX_LOADING] == 1);
	must(baro_registry_get_named(shelf->registry, "inner", 5, &pin) == 0);
	must(baro_registry_unload_cold(shelf->registry, 1, &freed) == 0);
	baro_pin_release(&pin);
	must(baro_registry_add(shelf->registry, &spec, NULL) == 0);
	must(baro_registry_unload_cold(shelf->registry, 1, &freed) == 1);
	/* this one would wait for itself */
	must(baro_registry_get(shelf->registry, index->id, 5, &pin) == -EDEADLK);
	must(baro_registry_get_loaded(shelf->registry, index->id, 5, &pin) == -EAGAIN);
	must(baro_registry_remove(shelf->registry, index->id) == -EBUSY);
	must(baro_registry_unload(shelf->registry, index->id, &freed) == -EBUSY);
	must(baro_registry_close(shelf->registry) == -EBUSY);
	return 0;
}

/* The seed called back under its lock: a load that used the registry hung. */
static void load_may_use_the_registry(void **state)
{
	uint64_t outer = shelf_add(&s, "outer", 1), inner = shelf_add(&s, "inner", 1);

	s.in_load = load_another;
	assert_int_equal(shelf_use(&s, outer, 1), 0);
	assert_int_equal(shelf_info(&s, inner).state, BARO_INDEX_REGISTERED);
	assert_int_equal(shelf_count(&s).indexes, 3);
}

static void use_another(struct shelf *shelf, const struct baro_index *index)
{
	struct baro_pin pin;
	uint64_t freed;

	if (strcmp(index->name, "outer") != 0)
		return;
	must(baro_registry_get_named(shelf->registry, "inner", 7, &pin) == 0);
	baro_pin_release(&pin);
	must(baro_registry_get(shelf->registry, index->id, 7, &pin) == -EDEADLK);
	must(baro_registry_unload(shelf->registry, index->id, &freed) == -EBUSY);
	must(baro_registry_remove(shelf->registry, index->id) == -EBUSY);
}

static void unload_may_use_the_registry(void **state)
{
	uint64_t outer = shelf_add(&s, "outer", 1), inner = shelf_add(&s, "inner", 1), freed;

	assert_int_equal(shelf_use(&s, outer, 1), 0);
	s.in_unload = use_another;
	assert_int_equal(baro_registry_unload(s.registry, outer, &freed), 0);
	assert_int_equal(shelf_info(&s, inner).state, BARO_INDEX_LOADED);
}

static int count_in_load(struct shelf *shelf, const struct baro_index *index)
{
	struct baro_registry_counts n;
	struct baro_index_info info;

	baro_registry_count(shelf->registry, &n);
	must(n.by_state[BARO_INDEX_LOADING] == 1 && n.by_state[BARO_INDEX_REGISTERED] == 1);
	must(n.by_state[BARO_INDEX_LOADED] == 1 && n.by_state[BARO_INDEX_UNLOADING] == 0);
	must(n.indexes == 3 && n.loaded_bytes == 20 * KIB && n.loads == 1);
	must(baro_registry_info(shelf->registry, index->id, &info) == 0);
	must(info.state == BARO_INDEX_LOADING && info.loads == 0);
	shelf->got++;
	return 0;
}

static void count_in_unload(struct shelf *shelf, const struct baro_index *index)
{
	struct baro_registry_counts n;
	struct baro_index_info info;

	baro_registry_count(shelf->registry, &n);
	must(n.by_state[BARO_INDEX_UNLOADING] == 1 && n.by_state[BARO_INDEX_REGISTERED] == 1);
	must(n.by_state[BARO_INDEX_LOADED] == 1 && n.by_state[BARO_INDEX_LOADING] == 0);
	/* until it is over it takes what it took */
	must(n.indexes == 3 && n.loaded_bytes == 30 * KIB && n.unloads == 0);
	must(baro_registry_info(shelf->registry, index->id, &info) == 0);
	must(info.state == BARO_INDEX_UNLOADING && info.bytes == 10 * KIB && info.pins == 0);
	shelf->got++;
}

static void what_is_underway_is_counted_as_such(void **state)
{
	uint64_t a = shelf_add(&s, "a", 10), b = shelf_add(&s, "b", 20), freed;

	shelf_add(&s, "c", 30);
	assert_int_equal(shelf_use(&s, b, 1), 0);
	s.in_load = count_in_load;
	assert_int_equal(shelf_use(&s, a, 2), 0);
	assert_int_equal(s.got, 1);
	s.in_load = NULL;
	s.in_unload = count_in_unload;
	assert_int_equal(baro_registry_unload(s.registry, a, &freed), 0);
	assert_int_equal(s.got, 2);
	assert_int_equal(freed, 10 * KIB);
	s.in_unload = NULL;
	assert_int_equal(shelf_count(&s).by_state[BARO_INDEX_UNLOADING], 0);
	assert_int_equal(shelf_count(&s).by_state[BARO_INDEX_REGISTERED], 2);
}

/* An unload that stays in its callback until it is let go. */
static struct {
	bool begun, go_on;
	uint64_t id;
} latch;

static void stay_in_unload(struct shelf *shelf, const struct baro_index *index)
{
	set_flag(&latch.begun);
	until(is_set(&latch.go_on));
}

static void *unload_it(void *arg)
{
	must(baro_registry_unload(s.registry, latch.id, NULL) == 0);
	return NULL;
}

static void *get_it(void *arg)
{
	struct book *book;
	struct baro_pin pin;

	until(is_set(&latch.begun));
	must(baro_registry_get_loaded(s.registry, latch.id, 2, &pin) == -EAGAIN);
	must(baro_registry_get(s.registry, latch.id, 2, &pin) == 0);
	/* not what was there before */
	book = pin.object;
	must(is_set(&latch.go_on) && book->alive == BOOK_ALIVE);
	must(__atomic_load_n(&s.unloads, __ATOMIC_RELAXED) == 1);
	must(__atomic_load_n(&s.loads, __ATOMIC_RELAXED) == 2);
	baro_pin_release(&pin);
	return NULL;
}

static void *let_go_who_waits(void *arg)
{
	until(shelf_count(&s).waits == 1);
	must(shelf_count(&s).by_state[BARO_INDEX_UNLOADING] == 1);
	must(__atomic_load_n(&s.loads, __ATOMIC_RELAXED) == 1);
	set_flag(&latch.go_on);
	return NULL;
}

static void a_get_waits_for_an_unload_and_loads_anew(void **state)
{
	void *(*const body[])(void *) = { unload_it, get_it, let_go_who_waits };

	memset(&latch, 0, sizeof(latch));
	latch.id = shelf_add(&s, "a", 1);
	assert_int_equal(shelf_use(&s, latch.id, 1), 0);
	s.in_unload = stay_in_unload;
	run_together(body, 3, NULL);
	s.in_unload = NULL;
	assert_int_equal(shelf_count(&s).waits, 1);
	assert_int_equal(shelf_info(&s, latch.id).state, BARO_INDEX_LOADED);
	assert_int_equal(shelf_info(&s, latch.id).loads, 2);
}

/* ---- what it costs --------------------------------------------------------------------------- */

static struct baro_registry_counts counted;
static bool has_counted;

static void *count_once(void *arg)
{
	baro_registry_count(s.registry, &counted);
	set_flag(&has_counted);
	return NULL;
}

/* The seed went through all indexes under its lock: 3 ms for 100,000. */
static void counting_waits_for_nobody(void **state)
{
	uint64_t a = shelf_add(&s, "a", 10);
	pthread_t thread;

	shelf_add(&s, "b", 20);
	assert_int_equal(shelf_use(&s, a, 1), 0);
	pthread_mutex_lock(&s.registry->lock);
	assert_int_equal(pthread_create(&thread, NULL, count_once, NULL), 0);
	until(is_set(&has_counted));
	pthread_mutex_unlock(&s.registry->lock);
	pthread_join(thread, NULL);
	assert_int_equal(counted.indexes, 2);
	assert_int_equal(counted.by_state[BARO_INDEX_LOADED], 1);
	assert_int_equal(counted.by_state[BARO_INDEX_REGISTERED], 1);
	assert_int_equal(counted.loaded_bytes, 10 * KIB);
	assert_int_equal(counted.loads, 1);
	assert_int_equal(counted.accesses, 1);
}

/* Everything but the characters of the name, right after the table has grown. */
static void an_index_takes_a_hundred_bytes_and_its_name(void **state)
{
	const uint64_t n = 65537;
	const uint64_t chunks = (n + ENTRY_CHUNK - 1) / ENTRY_CHUNK;
	uint64_t bytes = chunks * (ENTRY_CHUNK * sizeof(struct registry_entry) + sizeof(void *));
	char name[16];

	for (uint64_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%08x", (unsigned int)i);
		shelf_add(&s, name, 1);
	}
	bytes += n * sizeof(uint64_t) *
		 (uint64_t)(entry_at(s.registry, 1)->name - entry_at(s.registry, 0)->name);
	for (struct registry_buckets *b = s.registry->buckets; b; b = b->retired)
		bytes += sizeof(*b) + (b->mask + UINT64_C(1)) * sizeof(b->head[0]);
	assert_true(s.registry->buckets->mask >= n - 1);
	assert_in_range(bytes / n, sizeof(struct registry_entry), 100 + strlen("01234567"));
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void options_that_make_no_sense_are_refused(void **state)
{
	const size_t size = sizeof(struct baro_registry_options);
	const struct baro_registry_options bad[] = {
		{ .size = 8, .load = shelf_load, .unload = shelf_unload },
		{ .size = size, .unload = shelf_unload },
		{ .size = size, .load = shelf_load },
		{ .size = size,
		  .load = shelf_load,
		  .unload = shelf_unload,
		  .indexes_max = BARO_REGISTRY_MAX + 1 },
	};
	struct baro_registry *r = (void *)&r;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(baro_registry_open(&bad[i], &r), -EINVAL);
		assert_ptr_equal(r, &r);
	}
	assert_int_equal(baro_registry_close(NULL), 0);
}

static void a_registry_in_use_does_not_close(void **state)
{
	struct shelf busy;
	struct baro_pin pin;
	uint64_t a, b;

	shelf_open(&busy, 0);
	a = shelf_add(&busy, "a", 1);
	b = shelf_add(&busy, "b", 1);
	assert_int_equal(shelf_use(&busy, a, 1), 0);
	assert_int_equal(baro_registry_get(busy.registry, b, 1, &pin), 0);
	assert_int_equal(baro_registry_close(busy.registry), -EBUSY);
	assert_int_equal(busy.live, 2);
	baro_pin_release(&pin);
	shelf_close(&busy);
}

static void states_have_names(void **state)
{
	assert_string_equal(baro_index_state_name(BARO_INDEX_REGISTERED), "registered");
	assert_string_equal(baro_index_state_name(BARO_INDEX_LOADING), "loading");
	assert_string_equal(baro_index_state_name(BARO_INDEX_LOADED), "loaded");
	assert_string_equal(baro_index_state_name(BARO_INDEX_UNLOADING), "unloading");
	assert_string_equal(baro_index_state_name(BARO_INDEX_FAILED), "failed");
	assert_string_equal(baro_index_state_name(BARO_INDEX_STATES), "?");
	assert_string_equal(baro_index_state_name(UINT32_MAX), "?");
}

int main(void)
{
#define REGISTRY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		REGISTRY_TEST(a_registered_index_is_found_and_not_loaded),
		REGISTRY_TEST(a_name_is_registered_once),
		REGISTRY_TEST(names_that_no_manifest_could_hold_are_refused),
		REGISTRY_TEST(ids_of_removed_indexes_are_not_given_out_again),
		REGISTRY_TEST(names_come_and_go_without_taking_more_and_more),
		REGISTRY_TEST(there_are_no_more_than_the_most),
		REGISTRY_TEST(all_are_visited_in_the_order_of_registration),
		REGISTRY_TEST(the_first_use_loads_and_the_next_does_not),
		REGISTRY_TEST(counts_are_kept_as_things_happen),
		REGISTRY_TEST(a_failed_load_is_told_and_can_be_tried_again),
		REGISTRY_TEST(what_it_takes_is_said_by_load_or_expected_or_a_page),
		REGISTRY_TEST(load_sees_what_was_registered),
		REGISTRY_TEST(load_may_use_the_registry),
		REGISTRY_TEST(unload_may_use_the_registry),
		REGISTRY_TEST(what_is_underway_is_counted_as_such),
		REGISTRY_TEST(a_get_waits_for_an_unload_and_loads_anew),
		REGISTRY_TEST(counting_waits_for_nobody),
		REGISTRY_TEST(an_index_takes_a_hundred_bytes_and_its_name),
		REGISTRY_TEST(options_that_make_no_sense_are_refused),
		REGISTRY_TEST(a_registry_in_use_does_not_close),
		REGISTRY_TEST(states_have_names),
	};

	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
