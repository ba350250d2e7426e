/* SPDX-License-Identifier: BSD-2-Clause */
/* The manifest: what is saved comes back, and what is damaged is refused whole, with a reason. */
#include "tests/unit/registry_support.h"
#include "tests/unit/dir_support.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shelf s;
static char top[PATH_MAX / 2], manifest[PATH_MAX];
static char why[BARO_REGISTRY_WHY_MAX];

static int set_up(void **state)
{
	(void)state;
	if (dir_make("manifest", top, sizeof(top)) < 0)
		return -1;
	snprintf(manifest, sizeof(manifest), "%s/manifest", top);
	shelf_open(&s, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	shelf_close(&s);
	return dir_remove(top);
}

static void write_manifest(const char *text, size_t bytes)
{
	FILE *f = fopen(manifest, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, bytes, f), bytes);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(manifest, 0644), 0);
}

static char *read_manifest(size_t *ret_bytes)
{
	static char text[1 << 20];
	FILE *f = fopen(manifest, "re");

	assert_non_null(f);
	*ret_bytes = fread(text, 1, sizeof(text) - 1, f);
	text[*ret_bytes] = '\0';
	assert_int_equal(fclose(f), 0);
	return text;
}

static int restore(struct baro_registry_report *report)
{
	return baro_registry_restore(s.registry, manifest, report, why, sizeof(why));
}

/* ---- there and back -------------------------------------------------------------------------- */

static int note_path(struct shelf *shelf, const struct baro_index *index)
{
	snprintf(shelf->last_path, sizeof(shelf->last_path), "%s",
		 index->path ? index->path : "(none)");
	return 0;
}

static void assert_same_indexes(struct shelf *a, struct shelf *b)
{
	uint64_t i = 0, k = 0;

	while (baro_registry_next(a->registry, i, &i) == 0) {
		struct baro_index_info x = shelf_info(a, i), y;

		assert_int_equal(baro_registry_next(b->registry, k, &k), 0);
		y = shelf_info(b, k);
		assert_string_equal(x.name, y.name);
		assert_true(x.bytes == y.bytes && x.tag == y.tag && x.accesses == y.accesses);
		assert_int_equal(y.state, BARO_INDEX_REGISTERED);
		assert_int_equal(y.warm, x.state == BARO_INDEX_LOADED);
		/* the same file */
		a->in_load = b->in_load = note_path;
		assert_int_equal(baro_registry_unload(a->registry, i, NULL), 0);
		assert_int_equal(shelf_use(a, i, 1), 0);
		assert_int_equal(shelf_use(b, k, 1), 0);
		assert_string_equal(a->last_path, b->last_path);
	}
	assert_int_equal(baro_registry_next(b->registry, k, &k), -ENOENT);
}

static void what_is_saved_comes_back(void **state)
{
	const struct baro_index_spec odd = { .name = "\"quoted\"\n\xe2\x82\xac",
					     .path = "/\\/\t",
					     .bytes = INT64_MAX,
					     .tag = UINT64_MAX };
	const struct baro_registry_dir options = { .size = sizeof(options),
						   .prefix = "p/",
						   .suffix = "f" };
	struct baro_registry_report report;
	struct shelf again;
	uint64_t a = shelf_add(&s, "a", 3), b = shelf_add(&s, "b", 4);
	char path[PATH_MAX];
	FILE *f;

	assert_int_equal(baro_registry_add(s.registry, &odd, NULL), 0);
	snprintf(path, sizeof(path), "%s/ff", top);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(baro_registry_add_dir(s.registry, top, &options, &report), 0);
	assert_int_equal(report.added, 1);
	for (int i = 0; i < 5; i++)
		assert_int_equal(shelf_use(&s, a, 1), 0);
	assert_int_equal(baro_registry_remove(s.registry, b), 0);
	assert_int_equal(baro_registry_save(s.registry, manifest), 0);
	shelf_open(&again, 0);
	assert_int_equal(baro_registry_restore(again.registry, manifest, &report, why, sizeof(why)),
			 0);
	assert_int_equal(report.added, 3);
	assert_int_equal(report.known, 0);
	assert_same_indexes(&s, &again);
	/* a second time they are known */
	assert_int_equal(baro_registry_restore(again.registry, manifest, &report, NULL, 0), 0);
	assert_int_equal(report.known, 3);
	shelf_close(&again);
}

static void a_hundred_thousand_come_back(void **state)
{
	enum { N = 100000 };
	struct shelf again;
	struct baro_registry_report report;
	char name[64];
	uint64_t id;

	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "tenant-%d/index-%d", i % 100, i);
		shelf_add(&s, name, (uint64_t)i);
	}
	assert_int_equal(baro_registry_save(s.registry, manifest), 0);
	shelf_open(&again, 0);
	assert_int_equal(baro_registry_restore(again.registry, manifest, &report, why, sizeof(why)),
			 0);
	assert_int_equal(report.added, N);
	for (int i = 0; i < N; i += 997) {
		snprintf(name, sizeof(name), "tenant-%d/index-%d", i % 100, i);
		assert_int_equal(baro_registry_find(again.registry, name, &id), 0);
		assert_int_equal(shelf_info(&again, id).tag, i);
	}
	shelf_close(&again);
}

static void an_empty_registry_comes_back_empty(void **state)
{
	size_t bytes;

	assert_int_equal(baro_registry_save(s.registry, manifest), 0);
	assert_string_equal(read_manifest(&bytes),
			    "{\"barostat_registry\":1}\n{\"end\":true,\"indexes\":0}\n");
	assert_int_equal(restore(NULL), 0);
	assert_int_equal(shelf_count(&s).indexes, 0);
}

static void saving_replaces_the_file_at_once_and_leaves_nothing_beside_it(void **state)
{
	struct stat before, after;

	shelf_add(&s, "a", 1);
	assert_int_equal(baro_registry_save(s.registry, manifest), 0);
	assert_int_equal(stat(manifest, &before), 0);
	shelf_add(&s, "b", 1);
	assert_int_equal(baro_registry_save(s.registry, manifest), 0);
	assert_int_equal(stat(manifest, &after), 0);
	/* another file: whoever read the old one still has it whole */
	assert_true(before.st_ino != after.st_ino);
	assert_int_equal(dir_entries(top), 1);
}

static void a_place_that_cannot_be_written_is_an_error(void **state)
{
	char nowhere[PATH_MAX + 8];

	snprintf(nowhere, sizeof(nowhere), "%s/none/manifest", top);
	assert_int_equal(baro_registry_save(s.registry, nowhere), -ENOENT);
	/* a directory is in its place */
	assert_int_equal(mkdir(manifest, 0755), 0);
	assert_int_equal(baro_registry_save(s.registry, manifest), -EISDIR);
	assert_int_equal(dir_entries(top), 1);
	assert_int_equal(rmdir(manifest), 0);
	assert_int_equal(baro_registry_save(s.registry, "/dev/full/x"), -ENOTDIR);
}

static void a_registry_at_work_can_be_saved(void **state)
{
	struct baro_pin pin;
	struct shelf again;
	uint64_t a = shelf_add(&s, "a", 1);

	assert_int_equal(baro_registry_get(s.registry, a, 1, &pin), 0);
	assert_int_equal(baro_registry_save(s.registry, manifest), 0);
	baro_pin_release(&pin);
	shelf_open(&again, 0);
	assert_int_equal(baro_registry_restore(again.registry, manifest, NULL, why, sizeof(why)),
			 0);
	assert_int_equal(baro_registry_find(again.registry, "a", &a), 0);
	assert_int_equal(shelf_info(&again, a).warm, 1);
	/* also over a start in which nobody came to load it */
	assert_int_equal(baro_registry_save(again.registry, manifest), 0);
	shelf_close(&again);
	shelf_open(&again, 0);
	assert_int_equal(baro_registry_restore(again.registry, manifest, NULL, why, sizeof(why)),
			 0);
	assert_int_equal(baro_registry_find(again.registry, "a", &a), 0);
	assert_int_equal(shelf_info(&again, a).warm, 1);
	/* until it is loaded */
	assert_int_equal(shelf_use(&again, a, 1), 0);
	assert_int_equal(shelf_info(&again, a).warm, 0);
	assert_int_equal(baro_registry_unload(again.registry, a, NULL), 0);
	assert_int_equal(shelf_info(&again, a).warm, 0);
	assert_int_equal(shelf_info(&again, a).accesses, 2);
	shelf_close(&again);
}

/* ---- what is no manifest --------------------------------------------------------------------- */

#define HEAD "{\"barostat_registry\":1}\n"
#define END0 "{\"end\":true,\"indexes\":0}\n"
#define END1 "{\"end\":true,\"indexes\":1}\n"
#define A    "{\"name\":\"a\",\"bytes\":1}\n"

static const struct {
	const char *text;
	int error;
	const char *why; /* how it begins */
} damaged[] = {
	{ "", -ENODATA, "line 1: the file is empty" },
	{ "\n", -EBADMSG, "line 1: an empty line" },
	{ "hello\n", -EBADMSG, "line 1: not JSON: " },
	{ "[]\n", -EBADMSG, "line 1: not a JSON object" },
	{ "{}\n", -EBADMSG, "line 1: this is no manifest of a registry" },
	{ "{\"barostat_registry\":\"1\"}\n", -EBADMSG, "line 1: this is no manifest" },
	{ "{\"barostat_registry\":2}\n", -EPROTONOSUPPORT,
	  "line 1: version 2, where this library knows 1" },
	{ "{\"barostat_registry\":-1}\n" END0, -EPROTONOSUPPORT, "line 1: version -1" },
	{ "{\"barostat_registry\":1}", -ENODATA, "line 1: the file ends in the middle of it" },
	{ HEAD, -ENODATA, "line 2: the file ends here, and its end is missing" },
	{ HEAD A, -ENODATA, "line 3: the file ends here" },
	{ HEAD A "{\"end\":true,\"indexes\":1", -ENODATA, "line 3: the file ends in the middle" },
	{ HEAD A END0, -EBADMSG, "line 3: 1 indexes came before the end, which says other" },
	{ HEAD END1, -EBADMSG, "line 2: 0 indexes came before the end" },
	{ HEAD "{\"end\":true}\n", -EBADMSG, "line 2: 0 indexes came" },
	{ HEAD END0 A, -EBADMSG, "line 3: something comes after the end" },
	{ HEAD HEAD END0, -EBADMSG, "line 2: neither an index nor a directory nor the end" },
	{ HEAD "{\"name\":\"a\"}\n" END1, -EBADMSG, "line 2: Object item not found: bytes" },
	{ HEAD "{\"name\":5,\"bytes\":1}\n" END1, -EBADMSG,
	  "line 2: Expected string, got integer" },
	{ HEAD "{\"name\":\"a\",\"bytes\":\"1\"}\n" END1, -EBADMSG, "line 2: Expected integer" },
	{ HEAD "{\"name\":\"a\",\"bytes\":1.5}\n" END1, -EBADMSG, "line 2: Expected integer" },
	{ HEAD "{\"name\":\"a\",\"bytes\":-1}\n" END1, -EBADMSG, "line 2: a number below 0" },
	{ HEAD "{\"name\":\"a\",\"bytes\":1,\"accesses\":-1}\n" END1, -EBADMSG,
	  "line 2: a number below 0" },
	{ HEAD "{\"name\":\"a\",\"bytes\":99999999999999999999}\n" END1, -EBADMSG,
	  "line 2: not JSON: too big integer" },
	{ HEAD "{\"name\":\"\",\"bytes\":1}\n" END1, -EBADMSG, "line 2: a name that no index" },
	{ HEAD "{\"name\":\"a\\u0000b\",\"bytes\":1}\n" END1, -EBADMSG, "line 2: not JSON: " },
	{ HEAD "{\"name\":\"\xff\",\"bytes\":1}\n" END1, -EBADMSG, "line 2: not JSON: " },
	{ HEAD "{\"name\":\"a\",\"name\":\"b\",\"bytes\":1}\n" END1, -EBADMSG,
	  "line 2: not JSON: duplicate object key" },
	{ HEAD "{\"name\":\"a\",\"bytes\":1,\"dir\":1}\n" END1, -EBADMSG,
	  "line 2: it is in directory 1, which there is not" },
	{ HEAD "{\"name\":\"a\",\"bytes\":1,\"dir\":-1}\n" END1, -EBADMSG,
	  "line 2: it is in directory -1, which there is not" },
	{ HEAD "{\"dir\":2,\"path\":\"/\",\"prefix\":\"\"}\n" END0, -EBADMSG,
	  "line 2: directory 2 is out of turn" },
	{ HEAD "{\"dir\":1,\"path\":\"\",\"prefix\":\"\"}\n" END0, -EBADMSG,
	  "line 2: a path or prefix that no directory can have" },
	{ HEAD "{\"dir\":1,\"path\":\"/\"}\n" END0, -EBADMSG,
	  "line 2: Object item not found: prefix" },
	{ HEAD
	  "{\"dir\":1,\"path\":\"/\",\"prefix\":\"p/\"}\n{\"name\":\"a\",\"bytes\":1,\"dir\":1}\n" END1,
	  -EBADMSG, "line 3: a name that its directory cannot have" },
	{ HEAD
	  "{\"dir\":1,\"path\":\"/\",\"prefix\":\"p/\"}\n{\"name\":\"p/\",\"bytes\":1,\"dir\":1}\n" END1,
	  -EBADMSG, "line 3: a name that its directory cannot have" },
	{ HEAD "{\"dir\":1,\"path\":\"/\",\"prefix\":\"\"}\n"
	       "{\"name\":\"a\",\"bytes\":1,\"dir\":1,\"path\":\"/x\"}\n" END1,
	  -EBADMSG, "line 3: it is in directory 1, which there is not" },
};

static void what_is_damaged_is_refused_with_its_reason(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		struct baro_registry_report report = { .added = 77 };

		write_manifest(damaged[i].text, strlen(damaged[i].text));
		why[0] = '\0';
		if (restore(&report) != damaged[i].error ||
		    strncmp(why, damaged[i].why, strlen(damaged[i].why)) != 0)
			fail_msg("case %zu: %s", i, why);
		/* and nothing of it is registered */
		assert_int_equal(shelf_count(&s).indexes, 0);
		assert_int_equal(report.added, 77);
	}
}

/* Cut anywhere it is refused, and nothing of it is taken. */
static void what_is_cut_anywhere_is_refused(void **state)
{
	struct shelf source;
	size_t bytes;
	char *text;

	shelf_open(&source, 0);
	shelf_add(&source, "first", 1);
	shelf_add(&source, "second", 2);
	assert_int_equal(baro_registry_add_dir(source.registry, top, NULL, NULL), 0);
	assert_int_equal(baro_registry_save(source.registry, manifest), 0);
	shelf_close(&source);
	text = strdup(read_manifest(&bytes));
	assert_non_null(text);
	for (size_t n = 0; n < bytes; n++) {
		write_manifest(text, n);
		assert_int_equal(restore(NULL), -ENODATA);
		assert_int_equal(shelf_count(&s).indexes, 0);
	}
	write_manifest(text, bytes);
	assert_int_equal(restore(NULL), 0);
	assert_int_equal(shelf_count(&s).indexes, 2);
	free(text);
}

static void a_line_without_an_end_is_not_read_for_ever(void **state)
{
	size_t bytes = 1 << 20;
	char *text = malloc(bytes);

	assert_non_null(text);
	memset(text, ' ', bytes);
	memcpy(text, HEAD, sizeof(HEAD) - 1);
	write_manifest(text, bytes);
	assert_int_equal(restore(NULL), -EBADMSG);
	assert_string_equal(why, "line 2: longer than any line of a manifest");
	memset(text, '[', bytes);
	write_manifest(text, 60000);
	assert_int_equal(restore(NULL), -ENODATA);
	text[60000] = '\n';
	write_manifest(text, 60001);
	assert_int_equal(restore(NULL), -EBADMSG);
	free(text);
}

static void what_a_later_version_adds_is_passed_over(void **state)
{
	static const char text[] = "{\"barostat_registry\":1,\"written_by\":\"barostat 9\"}\n"
				   "{\"name\":\"a\",\"bytes\":1,\"colour\":[1,{\"x\":2}]}\n"
				   "{\"end\":true,\"indexes\":1,\"sum\":77}\n";

	write_manifest(text, sizeof(text) - 1);
	assert_int_equal(restore(NULL), 0);
	assert_int_equal(shelf_count(&s).indexes, 1);
}

static void known_indexes_stay_as_they_are(void **state)
{
	static const char text[] = HEAD "{\"name\":\"a\",\"bytes\":1000,\"tag\":9}\n"
					"{\"name\":\"b\",\"bytes\":1}\n"
					"{\"name\":\"b\",\"bytes\":2}\n"
					"{\"end\":true,\"indexes\":3}\n";
	uint64_t a = shelf_add(&s, "a", 5);
	struct baro_registry_report report;

	write_manifest(text, sizeof(text) - 1);
	assert_int_equal(restore(&report), 0);
	assert_int_equal(report.added, 1);
	assert_int_equal(report.known, 2);
	assert_int_equal(shelf_info(&s, a).tag, 5);
}

static void more_than_the_registry_takes_is_none(void **state)
{
	static const char text[] =
	    HEAD "{\"name\":\"a\",\"bytes\":1}\n{\"name\":\"b\",\"bytes\":1}\n"
		 "{\"end\":true,\"indexes\":2}\n";
	struct shelf few;

	write_manifest(text, sizeof(text) - 1);
	shelf_open(&few, 2);
	shelf_add(&few, "x", 1);
	assert_int_equal(baro_registry_restore(few.registry, manifest, NULL, why, sizeof(why)),
			 -ENOSPC);
	assert_int_equal(shelf_count(&few).indexes, 1);
	shelf_close(&few);
	shelf_open(&few, 1);
	assert_int_equal(baro_registry_restore(few.registry, manifest, NULL, why, sizeof(why)),
			 -ENOSPC);
	assert_string_equal(why, "line 3: more indexes than the registry can take");
	shelf_close(&few);
}

static void a_file_that_could_be_somebody_else_s_is_not_believed(void **state)
{
	write_manifest(HEAD END0, strlen(HEAD END0));
	assert_int_equal(chmod(manifest, 0664), 0);
	assert_int_equal(restore(NULL), -EPERM);
	assert_string_equal(why, "it is not ours alone: it belongs to another user, or others may "
				 "write it");
	assert_int_equal(chmod(manifest, 0644), 0);
	assert_int_equal(restore(NULL), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(manifest, 65534, 65534), 0);
		assert_int_equal(restore(NULL), -EPERM);
	}
	assert_int_equal(unlink(manifest), 0);
	assert_int_equal(restore(NULL), -ENOENT);
	assert_string_equal(why, "No such file or directory");
	assert_int_equal(mkfifo(manifest, 0600), 0);
	assert_int_equal(restore(NULL), -EINVAL);
	assert_string_equal(why, "it is not a regular file");
	assert_int_equal(unlink(manifest), 0);
	assert_int_equal(mkdir(manifest, 0700), 0);
	assert_int_equal(restore(NULL), -EINVAL);
}

static void a_saved_file_is_one_that_is_believed(void **state)
{
	mode_t before = umask(0);

	assert_int_equal(baro_registry_save(s.registry, manifest), 0);
	umask(before);
	assert_int_equal(restore(NULL), 0);
}

int main(void)
{
#define REGISTRY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		REGISTRY_TEST(what_is_saved_comes_back),
		REGISTRY_TEST(a_hundred_thousand_come_back),
		REGISTRY_TEST(an_empty_registry_comes_back_empty),
		REGISTRY_TEST(saving_replaces_the_file_at_once_and_leaves_nothing_beside_it),
		REGISTRY_TEST(a_place_that_cannot_be_written_is_an_error),
		REGISTRY_TEST(a_registry_at_work_can_be_saved),
		REGISTRY_TEST(what_is_damaged_is_refused_with_its_reason),
		REGISTRY_TEST(what_is_cut_anywhere_is_refused),
		REGISTRY_TEST(a_line_without_an_end_is_not_read_for_ever),
		REGISTRY_TEST(what_a_later_version_adds_is_passed_over),
		REGISTRY_TEST(known_indexes_stay_as_they_are),
		REGISTRY_TEST(more_than_the_registry_takes_is_none),
		REGISTRY_TEST(a_file_that_could_be_somebody_else_s_is_not_believed),
		REGISTRY_TEST(a_saved_file_is_one_that_is_believed),
	};

	return cmocka_run_group_tests_name("registry_manifest", tests, NULL, NULL);
}
