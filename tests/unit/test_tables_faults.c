/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memtables, pools and registry when an allocation or a system call fails, each of them once: the
 * error is told, nothing is half done, nothing is lost, and everything works when it is tried
 * again.
 */
#include "tests/unit/registry_support.h"

#include <jansson.h>
#include <unistd.h>

#include "tests/unit/dir_support.h"
#include "tests/unit/fault_support.h"
#include "user/lib/memtable_internal.h"
#include "user/lib/pool_internal.h"
#include "user/lib/registry_manifest.h"

static char top[PATH_MAX / 2], data[PATH_MAX], manifest[PATH_MAX];

static void *json_alloc(size_t n)
{
	return fault_here(ENOMEM) ? NULL : __real_malloc(n);
}

static void make_file(const char *dir, const char *name)
{
	char path[2 * PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	static const char *const names[] = { "a", "b", "c" };
	char below[PATH_MAX + 8];

	(void)state;
	if (dir_make("faults", top, sizeof(top)) < 0)
		return -1;
	snprintf(data, sizeof(data), "%s/data", top);
	snprintf(below, sizeof(below), "%s/below", data);
	snprintf(manifest, sizeof(manifest), "%s/manifest", top);
	if (mkdir(data, 0755) < 0 || mkdir(below, 0755) < 0)
		return -1;
	for (int i = 0; i < 3; i++) {
		make_file(data, names[i]);
		make_file(below, names[i]);
	}
	json_set_alloc_funcs(json_alloc, free);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return dir_remove(top);
}

static bool is_told(int error)
{
	return error == -ENOMEM || error == -EIO || error == -EACCES || error == -EMFILE ||
	       error == -ENOSPC;
}

/* What was done while a call could fail: it was told if one did. */
#define assert_told(error)                                                                         \
	do {                                                                                       \
		const int error_ = (error);                                                        \
		assert_true(fault_came ? is_told(error_) : error_ == 0);                           \
	} while (0)

/* ---- memtables and pools --------------------------------------------------------------------- */

static void open_memtables(void)
{
	struct baro_memtable_group *g = NULL;
	struct baro_memtable *m[5] = { NULL }, *alone = NULL;
	struct baro_memtable_group_stats stats;
	int r = baro_memtable_open(NULL, NULL, &alone);

	assert_told(r);
	assert_true((r == 0) == (alone != NULL));
	if (!r)
		r = baro_memtable_group_open(1 << 20, &g);
	for (int i = 0; i < 5 && !r; i++) {
		r = baro_memtable_open(NULL, g, &m[i]);
		assert_true((r == 0) == (m[i] != NULL));
		baro_memtable_group_read(g, &stats);
		assert_int_equal(stats.tables, i + !r);
	}
	assert_told(r);
	for (int i = 0; i < 5; i++)
		baro_memtable_close(m[i]);
	assert_int_equal(baro_memtable_group_close(g), 0);
	baro_memtable_close(alone);
}

static void what_a_memtable_needs_is_there_or_it_is_not_opened(void **state)
{
	with_every_fault(open_memtables, 15);
}

static void open_pools(void)
{
	const struct baro_pools_options options = { .size = sizeof(options),
						    .budget_bytes = 1 << 30 };
	struct baro_pools *p = NULL;

	assert_told(baro_pools_open(&options, &p));
	baro_pools_close(p);
}

static void what_pools_need_is_there_or_they_are_not_opened(void **state)
{
	with_every_fault(open_pools, 1);
}

/* ---- registry -------------------------------------------------------------------------------- */

static struct shelf s;

static int try_open(void)
{
	const struct baro_registry_options options = {
		.size = sizeof(options), .load = shelf_load, .unload = shelf_unload, .arg = &s
	};

	s = (struct shelf){ 0 };
	return baro_registry_open(&options, &s.registry);
}

static void open_registry(void)
{
	assert_told(try_open());
	assert_int_equal(baro_registry_close(s.registry), 0);
}

static void a_registry_opens_or_it_does_not(void **state)
{
	with_every_fault(open_registry, 4);
}

static int add_number(int i)
{
	char name[32];
	struct baro_index_spec spec = { .name = name };

	snprintf(name, sizeof(name), "%d", i);
	return baro_registry_add(s.registry, &spec, NULL);
}

/* Enough for a second chunk of entries, more buckets and a second chunk of text. */
static void add_many(void)
{
	int r = 0, i;

	for (i = 0; i < 4000 && !r; i++)
		r = add_number(i);
	assert_told(r);
	assert_int_equal(shelf_count(&s).indexes, r ? i - 1 : i);
	fault_arm(-1);
	fault_came = r < 0;
	/* it goes on where it stopped */
	for (i = r ? i - 1 : i; i < 4000; i++)
		assert_int_equal(add_number(i), 0);
	for (i = 0; i < 4000; i++)
		assert_int_equal(add_number(i), -EEXIST);
	assert_int_equal(baro_registry_close(s.registry), 0);
	s.registry = NULL;
}

static void open_and_add_many(void)
{
	long n = fault_left;

	fault_disarm();
	assert_int_equal(try_open(), 0);
	fault_arm(n);
	add_many();
}

static void registering_stops_where_memory_ends_and_goes_on_from_there(void **state)
{
	with_every_fault(open_and_add_many, 8);
}

static void add_data(void)
{
	struct baro_registry_report report = { .added = 99 };
	int r = baro_registry_add_dir(s.registry, data, NULL, &report);
	uint64_t n = shelf_count(&s).indexes;

	if (r < 0) {
		assert_told(r);
		assert_int_equal(n, 0);
		assert_int_equal(report.added, 99);
	} else {
		/* what could not be looked at was skipped, and that is told */
		assert_int_equal(report.added, n);
		assert_true(n == 6 || (fault_came && report.skipped == 1));
	}
	fault_left = -1;
	assert_int_equal(baro_registry_add_dir(s.registry, data, NULL, &report), 0);
	assert_int_equal(shelf_count(&s).indexes, 6);
	assert_int_equal(baro_registry_close(s.registry), 0);
}

static void open_and_add_data(void)
{
	long n = fault_left;

	fault_disarm();
	assert_int_equal(try_open(), 0);
	fault_arm(n);
	add_data();
}

static void all_of_a_directory_is_registered_or_none_of_it(void **state)
{
	with_every_fault(open_and_add_data, 15);
}

static void a_load_without_memory_leaves_the_index_as_it_was(void **state)
{
	uint64_t id;
	struct baro_pin pin;

	assert_int_equal(try_open(), 0);
	id = shelf_add(&s, "a", 1);
	/* the first load makes room for what is loaded; the second allocation is the shelf's own */
	fault_arm(0);
	assert_int_equal(baro_registry_get(s.registry, id, 1, &pin), -ENOMEM);
	assert_true(fault_disarm());
	assert_int_equal(shelf_info(&s, id).state, BARO_INDEX_REGISTERED);
	assert_int_equal(s.loads, 0);
	assert_int_equal(shelf_use(&s, id, 1), 0);
	assert_int_equal(baro_registry_close(s.registry), 0);
}

/* ---- manifest -------------------------------------------------------------------------------- */

static uint64_t indexes_in_manifest(void)
{
	struct shelf reader;
	char why[BARO_REGISTRY_WHY_MAX];
	uint64_t n;

	shelf_open(&reader, 0);
	assert_int_equal(baro_registry_restore(reader.registry, manifest, NULL, why, sizeof(why)),
			 0);
	n = shelf_count(&reader).indexes;
	shelf_close(&reader);
	return n;
}

static void save(void)
{
	long n = fault_left;
	int r;

	fault_disarm();
	assert_int_equal(try_open(), 0);
	assert_int_equal(baro_registry_save(s.registry, manifest), 0);
	assert_int_equal(baro_registry_add_dir(s.registry, data, NULL, NULL), 0);
	shelf_add(&s, "one more", 1);
	fault_arm(n);
	r = baro_registry_save(s.registry, manifest);
	assert_told(r);
	fault_left = -1;
	/* the old one or the new one, whole, and nothing beside it */
	n = (long)indexes_in_manifest();
	assert_true(n == 7 || (r < 0 && n == 0));
	assert_int_equal(dir_entries(top), 2);
	assert_int_equal(baro_registry_close(s.registry), 0);
}

static void a_manifest_is_the_old_one_or_the_new_one(void **state)
{
	with_every_fault(save, 40);
}

static void restore(void)
{
	struct baro_registry_report report;
	char why[BARO_REGISTRY_WHY_MAX] = "";
	long n = fault_left;
	int r;

	fault_disarm();
	assert_int_equal(try_open(), 0);
	fault_arm(n);
	r = baro_registry_restore(s.registry, manifest, NULL, why, sizeof(why));
	/* jansson can do without some of what it asks for: then it must all be right */
	assert_true(r == 0 || (fault_came && is_told(r)));
	assert_int_equal(shelf_count(&s).indexes, r < 0 ? 0 : 7);
	assert_true((r < 0) == (*why != '\0'));
	fault_left = -1;
	assert_int_equal(baro_registry_restore(s.registry, manifest, &report, why, sizeof(why)), 0);
	assert_int_equal(report.known, r < 0 ? 0 : 7);
	assert_int_equal(shelf_count(&s).indexes, 7);
	assert_int_equal(baro_registry_close(s.registry), 0);
}

static void a_manifest_is_restored_or_it_is_not(void **state)
{
	/* of what the test before left */
	with_every_fault(restore, 40);
}

static void a_manifest_is_on_the_disk_before_it_is_in_its_place(void **state)
{
	assert_int_equal(try_open(), 0);
	fault_syncs = 0;
	assert_int_equal(baro_registry_save(s.registry, manifest), 0);
	/* the file, and afterwards its directory */
	assert_int_equal(fault_syncs_before_rename, 1);
	assert_int_equal(fault_syncs, 2);
	assert_int_equal(baro_registry_close(s.registry), 0);
}

static void a_full_disk_is_told(void **state)
{
	FILE *f = fopen("/dev/full", "we");

	assert_non_null(f);
	assert_int_equal(setvbuf(f, NULL, _IONBF, 0), 0);
	assert_int_equal(try_open(), 0);
	shelf_add(&s, "a", 1);
	assert_int_equal(manifest_write(s.registry, f), -ENOSPC);
	assert_int_equal(baro_registry_close(s.registry), 0);
	(void)fclose(f);
}

/* The first lines, and then a disk that cannot be read. */
struct broken {
	const char *text;
	size_t left;
};

static ssize_t read_broken(void *cookie, char *to, size_t bytes)
{
	struct broken *b = cookie;
	size_t n = bytes < b->left ? bytes : b->left;

	if (!n) {
		errno = EIO;
		return -1;
	}
	memcpy(to, b->text, n);
	b->text += n;
	b->left -= n;
	return (ssize_t)n;
}

static void a_disk_that_cannot_be_read_is_told_and_nothing_is_registered(void **state)
{
	const cookie_io_functions_t io = { .read = read_broken };
	struct baro_registry_report report;
	char why[BARO_REGISTRY_WHY_MAX];
	static char text[4096];
	FILE *f = fmemopen(text, sizeof(text), "we");
	size_t whole;

	assert_int_equal(try_open(), 0);
	shelf_add(&s, "a", 1);
	shelf_add(&s, "b", 1);
	assert_int_equal(manifest_write(s.registry, f), 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(baro_registry_close(s.registry), 0);
	whole = strlen(text);
	assert_int_equal(try_open(), 0);
	for (size_t n = 0; n <= whole; n++) {
		struct broken b = { text, n };

		f = fopencookie(&b, "r", io);
		assert_non_null(f);
		*why = '\0';
		assert_int_equal(manifest_read(s.registry, f, &report, why, sizeof(why)), -EIO);
		assert_non_null(strstr(why, "cannot be read: Input/output error"));
		assert_int_equal(fclose(f), 0);
		assert_int_equal(shelf_count(&s).indexes, 0);
	}
	assert_int_equal(baro_registry_close(s.registry), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_memtable_needs_is_there_or_it_is_not_opened),
		cmocka_unit_test(what_pools_need_is_there_or_they_are_not_opened),
		cmocka_unit_test(a_registry_opens_or_it_does_not),
		cmocka_unit_test(registering_stops_where_memory_ends_and_goes_on_from_there),
		cmocka_unit_test(all_of_a_directory_is_registered_or_none_of_it),
		cmocka_unit_test(a_load_without_memory_leaves_the_index_as_it_was),
		cmocka_unit_test(a_manifest_is_the_old_one_or_the_new_one),
		cmocka_unit_test(a_manifest_is_restored_or_it_is_not),
		cmocka_unit_test(a_manifest_is_on_the_disk_before_it_is_in_its_place),
		cmocka_unit_test(a_full_disk_is_told),
		cmocka_unit_test(a_disk_that_cannot_be_read_is_told_and_nothing_is_registered),
	};

	return cmocka_run_group_tests_name("tables_faults", tests, set_up, tear_down);
}
