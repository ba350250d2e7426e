// SPDX-License-Identifier: BSD-2-Clause
/* The page's file over its life: made, adopted, replaced, locked, left in the middle of a write. */
#include "tests/unit/disk_support.h"
#include "tests/unit/page_support.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define GIVE_UP_S 20

static uint64_t epoch_of(const struct baro_page *page)
{
	struct baro_page_header h;

	assert_int_equal(baro_page_read_header(page, &h), 0);
	return h.boot_epoch;
}

static void a_new_page_is_void_until_published(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 8, PAGE_CREATED);
	struct baro_page *page = page_open_reader(d);
	struct stat st;

	assert_false(baro_page_valid(page));
	assert_int_equal(baro_page_slots(page), 0);
	assert_int_equal(epoch_of(page), 0);
	assert_true(page_commit(w, LEASE_NS));
	assert_true(baro_page_valid(page));
	assert_int_not_equal(epoch_of(page), 0);
	assert_int_equal(stat(d->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(st.st_size, 256 + 8 * 512);
	assert_true(st.st_blocks * 512 >= st.st_size);
	baro_page_close(page);
	page_writer_close(w, true);
}

static void the_directory_is_made_but_not_its_parents(void **state)
{
	struct page_dir *d = *state, sub = { 0 };
	enum page_origin origin;
	struct page_writer *w;

	page_path(sub.path, sizeof(sub.path), d->path, "/no/such");
	assert_int_equal(page_writer_open(sub.path, 1, 0644, &w, &origin), -ENOENT);
	page_path(sub.path, sizeof(sub.path), d->path, "/pressure");
	w = page_open_writer(&sub, 1, PAGE_CREATED);
	page_writer_close(w, true);
	unlink(sub.path);
	page_path(sub.path, sizeof(sub.path), d->path, "/pressure.lock");
	unlink(sub.path);
	rmdir(d->path);
}

static void bad_arguments_are_refused(void **state)
{
	struct page_dir *d = *state;
	enum page_origin origin;
	struct page_writer *w;
	char path[PATH_MAX + 8];

	assert_int_equal(page_writer_open(d->path, 0, 0644, &w, &origin), -EINVAL);
	assert_int_equal(page_writer_open(d->path, 65537, 0644, &w, &origin), -EINVAL);
	assert_int_equal(page_writer_open(d->path, 1, 0664, &w, &origin), -EINVAL);
	assert_int_equal(page_writer_open(d->path, 1, 0646, &w, &origin), -EINVAL);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(page_writer_open(path, 1, 0644, &w, &origin), -ENAMETOOLONG);
	assert_int_equal(mkdir(d->path, 0755), 0);
	assert_int_equal(page_writer_open(d->path, 1, 0644, &w, &origin), -EINVAL);
	rmdir(d->path);

	w = page_open_writer(d, 2, PAGE_CREATED);
	memset(path, 'x', BARO_PAGE_NAME_MAX);
	path[BARO_PAGE_NAME_MAX] = '\0';
	assert_int_equal(page_writer_assign(w, 2, &(struct page_slot_identity){ .name = "a" }),
			 -EINVAL);
	assert_int_equal(page_writer_assign(w, 0, &(struct page_slot_identity){ .name = "" }),
			 -EINVAL);
	assert_int_equal(page_writer_assign(w, 0, &(struct page_slot_identity){ .name = path }),
			 -EINVAL);
	path[BARO_PAGE_NAME_MAX - 1] = '\0';
	assert_int_equal(page_writer_assign(w, 0, &(struct page_slot_identity){ .name = path }), 0);
	page_writer_close(w, true);
}

static void a_second_daemon_is_refused(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 4, PAGE_CREATED), *second = NULL;
	enum page_origin origin;
	pid_t pid;
	int status;

	assert_int_equal(page_writer_open(d->path, 4, 0644, &second, &origin), -EBUSY);
	assert_null(second);
	/* The lock is the daemon's life: it goes when the process dies, however it dies. */
	page_writer_close(w, true);
	pid = fork();
	if (!pid) {
		if (page_writer_open(d->path, 4, 0644, &w, &origin) == 0)
			raise(SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	page_writer_close(page_open_writer(d, 4, PAGE_ADOPTED), true);
}

static void readers_go_on_when_the_next_daemon_adopts(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 4, PAGE_CREATED);
	struct baro_slot_ref pg, redis, ignored;
	struct baro_pressure hot;
	struct baro_page *page;
	uint64_t epoch;

	page_assign(w, 0, "pg");
	page_assign(w, 1, "redis");
	page_update(w, 0, BARO_LEVEL_WARNING);
	page_update(w, 1, BARO_LEVEL_NORMAL);
	page_commit(w, LEASE_NS);
	page = page_open_reader(d);
	epoch = epoch_of(page);
	assert_int_equal(baro_page_find(page, "pg", &pg), 0);
	assert_int_equal(baro_page_find(page, "redis", &redis), 0);
	page_writer_close(w, true);

	/* Fewer slots asked for than there are: still the same page. */
	w = page_open_writer(d, 2, PAGE_ADOPTED);
	assert_int_equal(page_writer_slots(w), 4);
	assert_int_equal(epoch_of(page), epoch);
	assert_int_equal(baro_page_level(&pg), BARO_LEVEL_WARNING);
	page_assign(w, 0, "pg");
	assert_int_equal(baro_page_level(&pg), BARO_LEVEL_WARNING);
	page_update(w, 0, BARO_LEVEL_CRITICAL);
	page_commit(w, LEASE_NS);
	assert_int_equal(baro_page_replaced(page), 0);
	assert_true(epoch_of(page) != epoch);
	assert_int_equal(baro_page_level(&pg), BARO_LEVEL_CRITICAL);
	assert_int_equal(baro_page_read(&pg, &hot), 0);
	/* The new daemon has no engine of that name: its slot was freed by the first commit. */
	assert_int_equal(baro_page_read(&redis, &hot), -ENOENT);
	assert_int_equal(baro_page_find(page, "redis", &ignored), -ENOENT);
	page_writer_close(w, true);
	baro_page_close(page);
}

static void a_reused_slot_is_nobody_s_to_old_readers(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 1, PAGE_CREATED);
	struct baro_pressure hot = { .budget_bytes = 5 };
	struct baro_slot_ref ref;
	struct baro_slot slot;
	struct baro_page *page;

	page_assign(w, 0, "old");
	page_update(w, 0, BARO_LEVEL_CRITICAL);
	page_commit(w, LEASE_NS);
	page = page_open_reader(d);
	assert_int_equal(baro_page_find(page, "old", &ref), 0);
	page_assign(w, 0, "new");
	page_update(w, 0, BARO_LEVEL_EMERGENCY);
	assert_int_equal(baro_page_level(&ref), BARO_LEVEL_UNKNOWN);
	assert_int_equal(baro_page_read(&ref, &hot), -ENOENT);
	assert_int_equal(baro_page_read_slot(&ref, &slot), -ENOENT);
	assert_int_equal(hot.budget_bytes, 5);
	assert_int_equal(baro_page_find(page, "new", &ref), 0);
	assert_int_equal(baro_page_level(&ref), BARO_LEVEL_EMERGENCY);
	page_writer_free(w, 0);
	assert_int_equal(baro_page_level(&ref), BARO_LEVEL_UNKNOWN);
	assert_int_equal(baro_page_read(&ref, &hot), -ENOENT);
	page_writer_close(w, true);
	baro_page_close(page);
}

/* The reader keeps the old file, sees that it is void, and finds the new one by the path. */
static void replaced(struct page_dir *d, struct baro_page *page, uint32_t slots)
{
	struct page_writer *w = page_open_writer(d, slots, PAGE_REPLACED);
	struct baro_page *next;

	page_commit(w, LEASE_NS);
	assert_int_equal(baro_page_replaced(page), 1);
	next = page_open_reader(d);
	assert_true(baro_page_valid(next));
	assert_int_equal(baro_page_replaced(next), 0);
	baro_page_close(next);
	page_writer_close(w, true);
}

static void a_page_with_too_few_slots_is_replaced_and_retired(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 2, PAGE_CREATED);
	struct baro_page *page;
	uint32_t generation;

	page_commit(w, LEASE_NS);
	page_writer_close(w, true);
	page = page_open_reader(d);
	generation = baro_page_generation(page);
	assert_true(baro_page_valid(page));
	replaced(d, page, 3);
	assert_false(baro_page_valid(page));
	assert_int_not_equal(baro_page_generation(page), generation);
	baro_page_close(page);
}

static void another_version_is_replaced_and_not_touched(void **state)
{
	static const struct {
		size_t offset;
		uint16_t value;
	} cases[] = { { 0, 0x2121 }, { 8, 2 }, { 10, 1 }, { 16, 1024 } };
	struct page_dir *d = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct page_writer *w;
		struct baro_page *page;
		enum page_origin origin;

		assert_int_equal(page_writer_open(d->path, 2, 0644, &w, &origin), 0);
		page_assign(w, 0, "pg");
		page_commit(w, LEASE_NS);
		page_writer_close(w, true);
		page = page_open_reader(d);
		page_poke(d, cases[i].offset, &cases[i].value, 2);
		replaced(d, page, 2);
		/* We do not know that file's layout, so we did not write to it. */
		assert_true(baro_page_valid(page));
		assert_int_equal(baro_page_slots(page), 1);
		baro_page_close(page);
	}
}

static void anything_else_at_the_path_is_replaced(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 2, PAGE_CREATED);

	page_writer_close(w, true);
	assert_int_equal(truncate(d->path, 300), 0);
	page_writer_close(page_open_writer(d, 2, PAGE_REPLACED), true);
	assert_int_equal(truncate(d->path, 0), 0);
	page_writer_close(page_open_writer(d, 2, PAGE_REPLACED), true);
	assert_int_equal(chmod(d->path, 0666), 0);
	page_writer_close(page_open_writer(d, 2, PAGE_REPLACED), true);
	unlink(d->path);
	assert_int_equal(mkfifo(d->path, 0644), 0);
	page_writer_close(page_open_writer(d, 2, PAGE_REPLACED), true);
	unlink(d->path);
	/* A link is not followed: its target is somebody else's. */
	assert_int_equal(symlink("/etc/hostname", d->path), 0);
	page_writer_close(page_open_writer(d, 2, PAGE_REPLACED), true);
	page_writer_close(page_open_writer(d, 2, PAGE_ADOPTED), true);
}

static void what_a_killed_daemon_left_half_made_is_no_obstacle(void **state)
{
	struct page_dir *d = *state;
	char half[PATH_MAX + 32];
	int fd;

	page_path(half, sizeof(half), d->path, ".new");
	fd = open(half, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "half", 4), 4);
	close(fd);
	page_writer_close(page_open_writer(d, 2, PAGE_CREATED), true);
	assert_int_equal(access(half, F_OK), -1);
}

static void a_clean_stop_ends_the_lease_at_once(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 2, PAGE_CREATED);
	struct baro_page *page;
	uint32_t generation;

	page_commit(w, LEASE_NS);
	page = page_open_reader(d);
	generation = baro_page_generation(page);
	page_writer_close(w, false);
	assert_false(baro_page_valid(page));
	assert_int_not_equal(baro_page_generation(page), generation);
	baro_page_close(page);
}

static void only_news_moves_the_generation(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 2, PAGE_CREATED);
	struct page_slot_values v = { .state = BARO_SLOT_ACTIVE, .level = BARO_LEVEL_NORMAL };
	const struct page_header_values hot = { .level = BARO_LEVEL_CRITICAL };

	page_assign(w, 0, "pg");
	page_writer_update(w, 0, &v, 1);
	assert_true(page_commit(w, LEASE_NS));
	v.usage_bytes++;
	v.stall_ppm++;
	page_writer_update(w, 0, &v, 2);
	assert_false(page_commit(w, LEASE_NS));
	v.level = BARO_LEVEL_WARNING;
	page_writer_update(w, 0, &v, 3);
	assert_true(page_commit(w, LEASE_NS));
	v.budget_bytes++;
	page_writer_update(w, 0, &v, 4);
	assert_true(page_commit(w, LEASE_NS));
	v.release_bytes++;
	page_writer_update(w, 0, &v, 5);
	assert_true(page_commit(w, LEASE_NS));
	v.grant_epoch++;
	page_writer_update(w, 0, &v, 6);
	assert_true(page_commit(w, LEASE_NS));
	v.state = BARO_SLOT_GONE;
	page_writer_update(w, 0, &v, 7);
	assert_true(page_commit(w, LEASE_NS));
	assert_false(page_commit(w, LEASE_NS));
	page_writer_free(w, 0);
	assert_true(page_commit(w, LEASE_NS));
	page_writer_free(w, 0);
	assert_false(page_commit(w, LEASE_NS));
	assert_true(page_writer_commit(w, &hot, 8, LEASE_NS, false));
	assert_false(page_writer_commit(w, &hot, 9, LEASE_NS, false));
	assert_true(page_writer_commit(w, &hot, 10, LEASE_NS, true));
	page_writer_close(w, true);
}

static void a_lease_that_would_overflow_lasts_for_ever(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 2, PAGE_CREATED);
	struct baro_page *page = page_open_reader(d);

	page_commit(w, UINT64_MAX);
	assert_true(baro_page_valid(page));
	baro_page_close(page);
	page_writer_close(w, true);
}

/* -- death in the middle of a write -- */

static void write_without_end(const char *path)
{
	struct page_slot_values v = { .state = BARO_SLOT_ACTIVE, .level = BARO_LEVEL_NORMAL };
	const struct page_slot_identity who = { .name = "pg" };
	const struct page_header_values header = { .level = BARO_LEVEL_NORMAL };
	enum page_origin origin;
	struct page_writer *w;

	if (page_writer_open(path, 1, 0644, &w, &origin) < 0 || page_writer_assign(w, 0, &who) < 0)
		_exit(1);
	page_writer_commit(w, &header, clock_now_ns(), LEASE_NS, true);
	for (;; v.usage_bytes++) {
		v.anon_bytes = v.evictions_per_s = v.usage_bytes;
		page_writer_update(w, 0, &v, v.usage_bytes);
	}
}

/* Runs a writer until it has written for a while, and kills it wherever it is. */
static void kill_a_writer(const struct page_dir *d, const struct baro_page *page)
{
	const struct baro_slot *slot = (const struct baro_slot *)(page->base + 256);
	uint32_t before = __atomic_load_n(&slot->pressure.seq, __ATOMIC_RELAXED);
	uint64_t until = clock_now_ns() + GIVE_UP_S * NS_PER_S;
	int status;
	pid_t pid = fork();

	if (!pid)
		write_without_end(d->path);
	while (__atomic_load_n(&slot->pressure.seq, __ATOMIC_RELAXED) - before < 1000 &&
	       clock_now_ns() < until)
		sched_yield();
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void sigkill_in_the_middle_of_a_write_is_survived(void **state)
{
	struct page_dir *d = *state;
	uint64_t until = clock_now_ns() + GIVE_UP_S * NS_PER_S;
	struct baro_slot_ref ref = { .index = 7 };
	struct baro_page *page;
	struct baro_slot slot;
	bool torn = false;

	page_writer_close(page_open_writer(d, 1, PAGE_CREATED), true);
	page = page_open_reader(d);
	/* About every second kill finds the writer between the odd and the even mark. */
	while (!torn && clock_now_ns() < until) {
		int r;

		kill_a_writer(d, page);
		r = baro_page_find(page, "pg", &ref);
		torn = r == -EAGAIN;
		if (torn)
			break;
		assert_int_equal(r, 0);
		assert_int_equal(baro_page_read_slot(&ref, &slot), 0);
		assert_int_equal(slot.anon_bytes, slot.pressure.usage_bytes);
		assert_int_equal(slot.evictions_per_s, slot.pressure.usage_bytes);
	}
	assert_true(torn);
	assert_int_equal(baro_page_slot(page, 0, &ref), 0);
	assert_int_equal(baro_page_read_slot(&ref, &slot), -EAGAIN);

	/* The next daemon repairs it, for those who have it mapped. */
	struct page_writer *w = page_open_writer(d, 1, PAGE_ADOPTED);

	assert_int_equal(baro_page_read_slot(&ref, &slot), -ENOENT);
	page_assign(w, 0, "pg");
	page_update(w, 0, BARO_LEVEL_WARNING);
	page_commit(w, LEASE_NS);
	assert_int_equal(baro_page_find(page, "pg", &ref), 0);
	assert_int_equal(baro_page_read_slot(&ref, &slot), 0);
	assert_int_equal(slot.anon_bytes, 0);
	page_writer_close(w, true);
	baro_page_close(page);
}

static void a_torn_header_is_repaired_as_void(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 1, PAGE_CREATED);
	const uint32_t odd = 7;
	struct baro_page_header h;
	struct baro_page *page;

	page_commit(w, LEASE_NS);
	page_writer_close(w, true);
	page = page_open_reader(d);
	page_poke(d, 64, &odd, 4);
	assert_int_equal(baro_page_read_header(page, &h), -EAGAIN);
	w = page_open_writer(d, 1, PAGE_ADOPTED);
	assert_int_equal(baro_page_read_header(page, &h), 0);
	assert_false(baro_page_valid(page));
	page_commit(w, LEASE_NS);
	assert_true(baro_page_valid(page));
	page_writer_close(w, true);
	baro_page_close(page);
}

/* -- no room: in a mount namespace of its own, with a tmpfs of a few pages over the directory -- */

static int in_small_tmpfs(void *arg)
{
	const struct page_dir *d = arg;
	char new_path[PATH_MAX + 32];
	enum page_origin origin;
	struct page_writer *w = NULL;

	if (!disk_mount_small(d->dir, "size=64k"))
		return DISK_REFUSED;
	if (page_writer_open(d->path, 1000, 0644, &w, &origin) != -ENOSPC || w)
		return 1;
	/* Nothing half-made is left, neither under the page's name nor under another. */
	page_path(new_path, sizeof(new_path), d->path, ".new");
	if (access(d->path, F_OK) == 0 || access(new_path, F_OK) == 0)
		return 2;
	if (page_writer_open(d->path, 10, 0644, &w, &origin) != 0)
		return 3;
	page_writer_close(w, true);
	/* A sparse page is filled on adoption, or refused: never a SIGBUS later. */
	if (truncate(d->path, 0) < 0 || truncate(d->path, 256 + 10 * 512) < 0)
		return 4;
	if (mount(NULL, d->dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		return 5;
	return page_writer_open(d->path, 10, 0644, &w, &origin) == -EROFS ? 0 : 6;
}

static void a_full_or_read_only_run_is_a_clean_error(void **state)
{
	int status = disk_run(in_small_tmpfs, *state);

	disk_skip_unless_mounted(status);
	assert_int_equal(status, 0);
}

int main(void)
{
#define WITH_DIR(f) cmocka_unit_test_setup_teardown(f, page_dir_setup, page_dir_teardown)
	const struct CMUnitTest tests[] = {
		WITH_DIR(a_new_page_is_void_until_published),
		WITH_DIR(the_directory_is_made_but_not_its_parents),
		WITH_DIR(bad_arguments_are_refused),
		WITH_DIR(a_second_daemon_is_refused),
		WITH_DIR(readers_go_on_when_the_next_daemon_adopts),
		WITH_DIR(a_reused_slot_is_nobody_s_to_old_readers),
		WITH_DIR(a_page_with_too_few_slots_is_replaced_and_retired),
		WITH_DIR(another_version_is_replaced_and_not_touched),
		WITH_DIR(anything_else_at_the_path_is_replaced),
		WITH_DIR(what_a_killed_daemon_left_half_made_is_no_obstacle),
		WITH_DIR(a_clean_stop_ends_the_lease_at_once),
		WITH_DIR(only_news_moves_the_generation),
		WITH_DIR(a_lease_that_would_overflow_lasts_for_ever),
		WITH_DIR(sigkill_in_the_middle_of_a_write_is_survived),
		WITH_DIR(a_torn_header_is_repaired_as_void),
		WITH_DIR(a_full_or_read_only_run_is_a_clean_error),
	};

	return cmocka_run_group_tests_name("page writer", tests, NULL, NULL);
}
