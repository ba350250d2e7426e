/* SPDX-License-Identifier: BSD-2-Clause */
/* Registering a whole data directory. */
#include "tests/unit/registry_support.h"
#include "tests/unit/dir_support.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shelf s;
static char top[PATH_MAX / 2];

static int set_up(void **state)
{
	(void)state;
	if (dir_make("registry", top, sizeof(top)) < 0)
		return -1;
	shelf_open(&s, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	shelf_close(&s);
	return dir_remove(top);
}

static const char *below_top(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

static void make_dir(const char *name)
{
	assert_int_equal(mkdir(below_top(name), 0755), 0);
}

static void make_file(const char *name, size_t bytes)
{
	FILE *f = fopen(below_top(name), "we");

	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), (off_t)bytes), 0);
	assert_int_equal(fclose(f), 0);
}

static struct baro_registry_report add_dir(const struct baro_registry_dir *options)
{
	struct baro_registry_report report;

	assert_int_equal(baro_registry_add_dir(s.registry, top, options, &report), 0);
	return report;
}

#define assert_report(got, added_, known_, skipped_, too_deep_)                                    \
	do {                                                                                       \
		const struct baro_registry_report r_ = (got);                                      \
		assert_int_equal(r_.added, added_);                                                \
		assert_int_equal(r_.known, known_);                                                \
		assert_int_equal(r_.skipped, skipped_);                                            \
		assert_int_equal(r_.too_deep, too_deep_);                                          \
	} while (0)

/* All names, in the order of registration, with a space behind each. */
static const char *names(void)
{
	static char all[4096];
	size_t at = 0;
	uint64_t id = 0;

	all[0] = '\0';
	while (baro_registry_next(s.registry, id, &id) == 0)
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%s ", shelf_info(&s, id).name);
	return all;
}

static int note_path(struct shelf *shelf, const struct baro_index *index)
{
	snprintf(shelf->last_path, sizeof(shelf->last_path), "%s", index->path);
	return 0;
}

static void files_are_registered_in_the_order_of_their_names(void **state)
{
	uint64_t id;

	make_file("b", 10);
	make_file("B", 20);
	make_dir("a");
	make_file("a/z", 30);
	make_file("a/10", 40);
	make_file("a/9", 50);
	make_dir("c");
	make_dir("c/empty");
	make_file("\xc3\xa4", 60);
	assert_report(add_dir(NULL), 6, 0, 0, 0);
	assert_string_equal(names(), "B a/10 a/9 a/z b \xc3\xa4 ");
	assert_int_equal(baro_registry_find(s.registry, "a/10", &id), 0);
	assert_int_equal(shelf_info(&s, id).bytes, 40);
	s.in_load = note_path;
	assert_int_equal(shelf_use(&s, id, 1), 0);
	assert_string_equal(s.last_path, below_top("a/10"));
	/* once more is nothing new */
	assert_report(add_dir(NULL), 0, 6, 0, 0);
	assert_int_equal(s.registry->dirs, 1);
}

static void suffix_prefix_and_tag_are_what_they_say(void **state)
{
	const struct baro_registry_dir options = {
		.size = sizeof(options), .suffix = ".idx", .prefix = "orders/", .tag = 42
	};
	uint64_t id;

	make_file("1.idx", 1);
	make_file("1.dat", 1);
	make_file(".idx", 1);
	make_dir("2024.idx");
	make_file("2024.idx/7.idx", 9);
	assert_report(add_dir(&options), 2, 0, 0, 0);
	assert_string_equal(names(), "orders/1.idx orders/2024.idx/7.idx ");
	assert_int_equal(baro_registry_find(s.registry, "orders/2024.idx/7.idx", &id), 0);
	assert_int_equal(shelf_info(&s, id).tag, 42);
	s.in_load = note_path;
	assert_int_equal(shelf_use(&s, id, 1), 0);
	assert_string_equal(s.last_path, below_top("2024.idx/7.idx"));
	/* the same files under other names are other indexes */
	assert_int_equal(add_dir(NULL).added, 4);
	assert_int_equal(s.registry->dirs, 2);
}

static void links_are_not_followed(void **state)
{
	make_dir("d");
	make_file("d/x", 1);
	assert_int_equal(symlink(".", below_top("d/self")), 0);
	assert_int_equal(symlink(top, below_top("d/up")), 0);
	assert_int_equal(symlink("d/x", below_top("link")), 0);
	assert_int_equal(symlink("nowhere", below_top("dangling")), 0);
	assert_int_equal(mkfifo(below_top("fifo"), 0600), 0);
	assert_report(add_dir(NULL), 1, 0, 0, 0);
	assert_string_equal(names(), "d/x ");
}

static void depth_is_bounded(void **state)
{
	struct baro_registry_dir options = { .size = sizeof(options), .depth_max = 2 };
	char path[256] = "";

	for (int i = 0; i < 12; i++) {
		size_t n = strlen(path);

		snprintf(path + n, sizeof(path) - n, "%sd%d", i ? "/" : "", i);
		make_dir(path);
		n = strlen(path);
		snprintf(path + n, sizeof(path) - n, "/f");
		make_file(path, 1);
		path[n] = '\0';
	}
	assert_report(add_dir(&options), 2, 0, 0, 1);
	assert_string_equal(names(), "d0/d1/f d0/f ");
	/* 8 by default */
	assert_report(add_dir(NULL), 6, 2, 0, 1);
	options.depth_max = BARO_REGISTRY_DEPTH_MAX;
	assert_report(add_dir(&options), 4, 8, 0, 0);
	options.depth_max++;
	assert_int_equal(baro_registry_add_dir(s.registry, top, &options, NULL), -EINVAL);
}

static void what_cannot_be_a_name_is_skipped(void **state)
{
	char deep[200];

	make_file("good", 1);
	make_file("\xff.idx", 1);
	memset(deep, 'd', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	/* four of these fit in a name, six do not */
	if (chdir(top) < 0)
		fail();
	for (int i = 0; i < 6; i++) {
		FILE *f;

		assert_int_equal(mkdir(deep, 0755), 0);
		assert_int_equal(chdir(deep), 0);
		f = fopen("f", "we");
		assert_non_null(f);
		assert_int_equal(fclose(f), 0);
	}
	assert_int_equal(chdir("/"), 0);
	/* the file of bytes, and the sixth directory */
	assert_report(add_dir(NULL), 6, 0, 2, 0);
}

static void a_directory_that_cannot_be_read_is_skipped(void **state)
{
	const uid_t me = geteuid();

	make_dir("closed");
	make_file("closed/x", 1);
	make_file("y", 1);
	assert_int_equal(chmod(top, 0755), 0);
	assert_int_equal(chmod(below_top("closed"), 0), 0);
	/* root reads everything */
	if (me == 0)
		assert_int_equal(seteuid(65534), 0);
	assert_report(add_dir(NULL), 1, 0, 1, 0);
	assert_int_equal(seteuid(me), 0);
	assert_int_equal(chmod(below_top("closed"), 0755), 0);
}

static void all_or_none_are_registered(void **state)
{
	struct shelf few;
	struct baro_registry_report report = { .added = 77 };

	make_file("a", 1);
	make_file("b", 1);
	make_file("c", 1);
	shelf_open(&few, 2);
	assert_int_equal(baro_registry_add_dir(few.registry, top, NULL, &report), -ENOSPC);
	assert_int_equal(report.added, 77);
	assert_int_equal(shelf_count(&few).indexes, 0);
	shelf_add(&few, "x", 1);
	unlink(below_top("c"));
	assert_int_equal(baro_registry_add_dir(few.registry, top, NULL, &report), -ENOSPC);
	assert_int_equal(shelf_count(&few).indexes, 1);
	shelf_close(&few);
}

static void a_directory_that_is_none_is_an_error(void **state)
{
	const struct baro_registry_dir bad = { .size = 8 },
				       odd = { .size = sizeof(odd), .prefix = "\xff" };
	char longest[BARO_INDEX_PATH_MAX + 1];

	make_file("file", 1);
	assert_int_equal(baro_registry_add_dir(s.registry, below_top("none"), NULL, NULL), -ENOENT);
	assert_int_equal(baro_registry_add_dir(s.registry, below_top("file"), NULL, NULL),
			 -ENOTDIR);
	assert_int_equal(baro_registry_add_dir(s.registry, top, &bad, NULL), -EINVAL);
	assert_int_equal(baro_registry_add_dir(s.registry, top, &odd, NULL), -EILSEQ);
	assert_int_equal(baro_registry_add_dir(s.registry, "/\xff", NULL, NULL), -EILSEQ);
	memset(longest, '/', sizeof(longest));
	longest[BARO_INDEX_PATH_MAX] = '\0';
	assert_int_equal(baro_registry_add_dir(s.registry, longest, NULL, NULL), -ENAMETOOLONG);
	assert_int_equal(shelf_count(&s).indexes, 0);
	/* an empty one is none */
	unlink(below_top("file"));
	assert_report(add_dir(NULL), 0, 0, 0, 0);
}

int main(void)
{
#define REGISTRY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		REGISTRY_TEST(files_are_registered_in_the_order_of_their_names),
		REGISTRY_TEST(suffix_prefix_and_tag_are_what_they_say),
		REGISTRY_TEST(links_are_not_followed),
		REGISTRY_TEST(depth_is_bounded),
		REGISTRY_TEST(what_cannot_be_a_name_is_skipped),
		REGISTRY_TEST(a_directory_that_cannot_be_read_is_skipped),
		REGISTRY_TEST(all_or_none_are_registered),
		REGISTRY_TEST(a_directory_that_is_none_is_an_error),
	};

	return cmocka_run_group_tests_name("registry_dir", tests, NULL, NULL);
}
