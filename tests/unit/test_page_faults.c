// SPDX-License-Identifier: BSD-2-Clause
/*
 * The page reader when an allocation or a system call fails, each of them once and with each errno:
 * that errno is told, nothing is handed out, no descriptor stays open, and it works afterwards.
 */
#include "tests/unit/page_support.h"

#include "tests/unit/fault_support.h"
#include "user/common/cleanup.h"

static struct page_dir *d;
static struct page_writer *w;
static char cgroup_file[PATH_MAX + 32], mounts_file[PATH_MAX + 32];

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static uint64_t make_dir(const char *below)
{
	char path[PATH_MAX + 64];
	struct stat st;

	page_path(path, sizeof(path), d->dir, below);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void assign(uint32_t slot, const char *name, uint64_t cgroup_id)
{
	const struct page_slot_identity who = { .name = name, .cgroup_id = cgroup_id };

	assert_int_equal(page_writer_assign(w, slot, &who), 0);
}

/* A page with two engines; this process is in the first of them, by a made-up /proc. */
static int set_up(void **state)
{
	char text[2 * PATH_MAX];
	int r = page_dir_setup(state);

	if (r < 0)
		return r;
	d = *state;
	page_path(cgroup_file, sizeof(cgroup_file), d->path, ".cgroup");
	page_path(mounts_file, sizeof(mounts_file), d->path, ".mounts");
	put(cgroup_file, "0::/db/pg\n");
	snprintf(text, sizeof(text),
		 "22 1 0:21 / /proc rw - proc proc rw\n26 1 0:25 / %s rw - cgroup2 cgroup2 rw\n",
		 d->dir);
	put(mounts_file, text);
	w = page_open_writer(d, 4, PAGE_CREATED);
	assign(1, "db", make_dir("/db"));
	assign(0, "pg", make_dir("/db/pg"));
	page_commit(w, LEASE_NS);
	return 0;
}

static int tear_down(void **state)
{
	page_writer_close(w, true);
	return page_dir_teardown(state);
}

/* Whether it failed as it was to. */
static bool failed(int r)
{
	assert_int_equal(r, fault_came ? -fault_error : 0);
	return r < 0;
}

static void open_page(void)
{
	struct baro_page *page = NULL;
	int before = fault_descriptors();

	assert_true(failed(baro_page_open(d->path, &page)) == !page);
	assert_int_equal(fault_descriptors(), before);
	baro_page_close(page);
}

static void a_page_is_opened_or_it_is_told_why_not(void **state)
{
	static const struct {
		const char *name;
		int error;
	} faults[] = {
		{ "open", ENOENT }, { "open", EACCES },   { "open", EMFILE }, { "open", ENFILE },
		{ "open", ENOMEM }, { "open", ELOOP },    { "fstat", EIO },   { "fstat", ENOMEM },
		{ "pread", EIO },   { "malloc", ENOMEM }, { "mmap", ENOMEM }, { "mmap", EAGAIN },
		{ "mmap", EPERM },  { "mmap", ENODEV },
	};

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		with_every_fault_of(faults[i].name, faults[i].error, open_page, 1);
}

static struct baro_page *page;

static void look_for_another(void)
{
	int r = baro_page_replaced(page);

	assert_int_equal(r, fault_came ? -fault_error : 0);
}

static void whether_the_page_was_replaced_is_known_or_it_is_told_why_not(void **state)
{
	static const int errors[] = { ENOENT, EACCES, ENOMEM, EIO, ELOOP };

	page = page_open_reader(d);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		with_every_fault_of("stat", errors[i], look_for_another, 1);
	baro_page_close(page);
}

static void find_self(void)
{
	const struct baro_slot_ref none = { .index = 77 };
	struct baro_slot_ref ref = none;
	int before = fault_descriptors(), r;

	r = page_find_self(page, cgroup_file, mounts_file, &ref);
	assert_int_equal(fault_descriptors(), before);
	/* and nobody else's engine instead */
	assert_int_equal(ref.index, failed(r) ? none.index : 0);
}

static void no_other_engine_is_taken_for_one_s_own_when_something_cannot_be_read(void **state)
{
	static const struct {
		const char *name;
		int error, calls;
	} faults[] = {
		{ "fopen", EMFILE, 2 }, { "fopen", ENFILE, 2 }, { "fopen", ENOMEM, 2 },
		{ "fopen", EACCES, 2 }, { "fopen", ENOENT, 2 }, { "getline", ENOMEM, 2 },
		{ "getline", EIO, 2 },  { "stat", ENOMEM, 1 },  { "stat", EIO, 1 },
		{ "stat", ELOOP, 1 },
	};

	page = page_open_reader(d);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		with_every_fault_of(faults[i].name, faults[i].error, find_self, faults[i].calls);
	baro_page_close(page);
}

/* What is gone, or hidden from us, is passed over on the way up. */
static void the_engine_above_counts_when_the_own_cgroup_is_gone(void **state)
{
	static const int errors[] = { ENOENT, ENODEV, ENOTDIR, EACCES };
	struct baro_slot_ref ref;

	page = page_open_reader(d);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		fault_arm_of("stat", errors[i], 0);
		assert_int_equal(page_find_self(page, cgroup_file, mounts_file, &ref), 0);
		assert_true(fault_disarm());
		assert_int_equal(ref.index, 1);
	}
	baro_page_close(page);
}

/* A file whose reading fails in the middle, as that of a process which is gone: a directory. */
static void what_cannot_be_read_is_not_the_end_of_the_file(void **state)
{
	struct baro_slot_ref ref;

	page = page_open_reader(d);
	assert_int_equal(page_find_self(page, d->dir, mounts_file, &ref), -EISDIR);
	assert_int_equal(page_find_self(page, cgroup_file, d->dir, &ref), -EISDIR);
	baro_page_close(page);
}

static int wait_for_a_moment(int error)
{
	uint32_t seen = baro_page_generation(page), generation = seen - 1;
	int r;

	fault_arm_of("syscall", error, 0);
	r = baro_page_wait(page, seen, 1000000, &generation);
	assert_true(fault_disarm());
	assert_int_equal(generation, seen - 1);
	return r;
}

static void a_wait_that_the_kernel_refuses_is_told_and_one_for_nothing_goes_on(void **state)
{
	static const int told[] = { EINTR, ENOSYS, EPERM, ENOMEM, EFAULT, EINVAL };

	page = page_open_reader(d);
	for (size_t i = 0; i < ARRAY_SIZE(told); i++)
		assert_int_equal(wait_for_a_moment(told[i]), -told[i]);
	assert_int_equal(wait_for_a_moment(EAGAIN), -ETIMEDOUT);
	assert_int_equal(wait_for_a_moment(ETIMEDOUT), -ETIMEDOUT);
	baro_page_close(page);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_page_is_opened_or_it_is_told_why_not),
		T(whether_the_page_was_replaced_is_known_or_it_is_told_why_not),
		T(no_other_engine_is_taken_for_one_s_own_when_something_cannot_be_read),
		T(the_engine_above_counts_when_the_own_cgroup_is_gone),
		T(what_cannot_be_read_is_not_the_end_of_the_file),
		T(a_wait_that_the_kernel_refuses_is_told_and_one_for_nothing_goes_on),
	};

	return cmocka_run_group_tests_name("page faults", tests, NULL, NULL);
}
