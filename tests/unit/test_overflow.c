/* SPDX-License-Identifier: BSD-2-Clause */
/* The overflow region: what it hands out, what it takes back, and disks that are full. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "tests/unit/disk_support.h"
#include "tests/unit/page_support.h"
#include "tests/unit/thread_support.h"

#include "include/barostat/overflow.h"
#include "user/common/cleanup.h"
#include "user/common/units.h"

#define PAGE 4096

/* ---- system calls that fail when told to ----------------------------------------------------- */

static struct {
	int after; /* so many of its calls that succeed; -1: it never fails */
	int error;
	int times; /* then it fails so often */
	int punch_error, tmpfile_error;
} fail = { .after = -1 };

/* In place of libc's. */
int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
	int error = 0;

	if (mode & FALLOC_FL_PUNCH_HOLE)
		error = fail.punch_error;
	else if (fail.after >= 0 && fail.after-- == 0 && fail.times-- > 0) {
		fail.after = fail.times ? 0 : -1;
		error = fail.error;
	}
	if (error) {
		errno = error;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, offset, bytes);
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if ((flags & O_TMPFILE) == O_TMPFILE && fail.tmpfile_error) {
		errno = fail.tmpfile_error;
		return -1;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static void fail_promises(int after, int error, int times)
{
	fail.after = after;
	fail.error = error;
	fail.times = times;
}

/* ---- what the tests share -------------------------------------------------------------------- */

static struct baro_overflow *open_at(const char *dir, uint64_t initial_bytes, uint64_t max_bytes)
{
	const struct baro_overflow_options o = { .size = sizeof(o),
						 .dir = dir,
						 .initial_bytes = initial_bytes,
						 .max_bytes = max_bytes,
						 .flags = BARO_OVERFLOW_ALLOW_MEMORY };
	struct baro_overflow *region = NULL;

	must(baro_overflow_open(&o, &region) == 0);
	return region;
}

static struct baro_overflow *open_small(void **state)
{
	const struct page_dir *d = *state;

	return open_at(d->dir, 16 * PAGE, 64 * PAGE);
}

static char *alloc(struct baro_overflow *o, uint64_t bytes)
{
	void *p = NULL;

	assert_int_equal(baro_overflow_alloc(o, bytes, &p), 0);
	assert_non_null(p);
	return p;
}

static struct baro_overflow_counts counts(struct baro_overflow *o)
{
	struct baro_overflow_counts c;

	baro_overflow_read(o, &c);
	return c;
}

static int reset(void **state)
{
	memset(&fail, 0, sizeof(fail));
	fail.after = -1;
	return page_dir_setup(state);
}

/* ---- allocating ------------------------------------------------------------------------------ */

static void it_begins_with_64_mib_and_may_grow_to_1_gib(void **state)
{
	const struct page_dir *d = *state;
	struct baro_overflow *o = open_at(d->dir, 0, 0);

	assert_int_equal(counts(o).capacity_bytes, 64 * MIB);
	assert_int_equal(counts(o).max_bytes, GIB);
	assert_int_equal(counts(o).file_bytes, 0);
	baro_overflow_close(o);
	o = open_at(d->dir, 2 * GIB, 0);
	assert_int_equal(counts(o).max_bytes, 2 * GIB);
	baro_overflow_close(o);
	o = open_at(d->dir, 0, MIB);
	assert_int_equal(counts(o).capacity_bytes, MIB);
	baro_overflow_close(o);
	baro_overflow_close(NULL);
}

static void it_doubles_as_it_is_needed_and_nothing_moves(void **state)
{
	struct baro_overflow *o = open_small(state);
	char *a = alloc(o, 10 * PAGE), *b;
	void *c = NULL;

	a[0] = 'a';
	assert_int_equal(counts(o).capacity_bytes, 16 * PAGE);
	b = alloc(o, 40 * PAGE); /* 10 + 40 fit the 64 of two doublings */
	memset(b, 'b', 40 * PAGE);
	assert_int_equal(counts(o).capacity_bytes, 64 * PAGE);
	assert_int_equal(counts(o).grown, 2);
	assert_ptr_equal(b, a + 10 * PAGE);
	assert_int_equal(a[0], 'a');
	assert_int_equal(baro_overflow_alloc(o, 15 * PAGE, &c), -ENOBUFS);
	assert_int_equal(baro_overflow_alloc(o, UINT64_MAX, &c), -ENOBUFS);
	assert_null(c);
	assert_int_equal(counts(o).refused_full, 2);
	(void)alloc(o, 14 * PAGE);
	assert_int_equal(counts(o).used_bytes, 64 * PAGE);
	assert_int_equal(counts(o).live, 3);
	baro_overflow_close(o);
}

static void what_is_freed_is_used_again(void **state)
{
	struct baro_overflow *o = open_small(state);
	char *a = alloc(o, 3 * PAGE), *b = alloc(o, 1), *c = alloc(o, 2 * PAGE);

	assert_int_equal(baro_overflow_size(o, b), PAGE);
	assert_int_equal(baro_overflow_free(o, a), 3 * PAGE);
	assert_ptr_equal(alloc(o, 2 * PAGE + 1), a);
	assert_int_equal(baro_overflow_free(o, b), PAGE);
	assert_ptr_equal(alloc(o, PAGE), b);
	assert_int_equal(baro_overflow_free(o, c), 2 * PAGE);
	assert_int_equal(counts(o).used_bytes, 4 * PAGE);
	assert_int_equal(counts(o).peak_bytes, 6 * PAGE);
	assert_int_equal(counts(o).allocations, 5);
	assert_int_equal(counts(o).frees, 3);
	baro_overflow_close(o);
}

static void what_is_freed_goes_back_to_the_file_system(void **state)
{
	const struct page_dir *d = *state;
	struct baro_overflow *o = open_at(d->dir, 0, 0);
	char *a = alloc(o, 8 * MIB), *b = alloc(o, 8 * MIB);

	/* before anything was written */
	assert_in_range(counts(o).file_bytes, 16 * MIB, 17 * MIB);
	memset(a, 1, 8 * MIB);
	memset(b, 2, 8 * MIB);
	assert_int_equal(baro_overflow_free(o, a), 8 * MIB);
	assert_in_range(counts(o).file_bytes, 8 * MIB, 9 * MIB);
	assert_int_equal(b[8 * MIB - 1], 2);
	assert_int_equal(baro_overflow_free(o, b), 8 * MIB);
	assert_in_range(counts(o).file_bytes, 0, MIB / 8); /* the tree of extents at most */
	baro_overflow_close(o);
}

static void the_file_has_no_name(void **state)
{
	const struct page_dir *d = *state;

	/* also where the file system does not know nameless files */
	for (int with = 0; with < 2; with++) {
		struct baro_overflow *o;

		fail.tmpfile_error = with ? 0 : EOPNOTSUPP;
		o = open_small(state);
		(void)alloc(o, PAGE);
		assert_int_equal(rmdir(d->dir), 0); /* it is empty */
		memset(alloc(o, PAGE), 1, PAGE);
		baro_overflow_close(o);
		assert_int_equal(mkdir(d->dir, 0700), 0);
	}
}

static void what_is_no_allocation_cannot_be_freed(void **state)
{
	struct baro_overflow *o = open_small(state);
	char *a = alloc(o, 4 * PAGE), *b = alloc(o, PAGE), here;

	memset(b, 'b', PAGE);
	assert_int_equal(baro_overflow_free(o, NULL), 0);
	assert_int_equal(counts(o).bad_frees, 0);
	assert_int_equal(baro_overflow_free(o, a + 1), -EINVAL);
	assert_int_equal(baro_overflow_free(o, a + PAGE), -EINVAL);
	assert_int_equal(baro_overflow_free(o, a + 5 * PAGE), -EINVAL);
	assert_int_equal(baro_overflow_free(o, a - PAGE), -EINVAL);
	assert_int_equal(baro_overflow_free(o, a + 64 * PAGE), -EINVAL);
	assert_int_equal(baro_overflow_free(o, &here), -EINVAL);
	assert_int_equal(baro_overflow_free(o, a), 4 * PAGE);
	assert_int_equal(baro_overflow_free(o, a), -EINVAL);
	assert_int_equal(baro_overflow_size(o, a), -EINVAL);
	assert_int_equal(baro_overflow_evict(o, a), -EINVAL);
	assert_int_equal(counts(o).bad_frees, 7);
	assert_int_equal(counts(o).used_bytes, PAGE);
	assert_int_equal(b[PAGE - 1], 'b');
	baro_overflow_close(o);
}

static void what_is_evicted_leaves_memory_and_comes_back(void **state)
{
	const struct page_dir *d = *state;
	struct baro_overflow *o = open_at(d->dir, 0, 0);
	unsigned char there[1024];
	char *a = alloc(o, 4 * MIB);
	size_t resident = 0;
	struct statfs fs;

	assert_int_equal(statfs(d->dir, &fs), 0);
	if (fs.f_type == TMPFS_MAGIC)
		skip();
	for (size_t i = 0; i < 4 * MIB; i++)
		a[i] = (char)(i * 7 / 5);
	assert_int_equal(baro_overflow_evict(o, a), 4 * MIB);
	assert_int_equal(mincore(a, 4 * MIB, there), 0);
	for (size_t i = 0; i < ARRAY_SIZE(there); i++)
		resident += there[i] & 1;
	assert_int_equal(resident, 0);
	for (size_t i = 0; i < 4 * MIB; i++)
		if (a[i] != (char)(i * 7 / 5))
			fail_msg("byte %zu is another one", i);
	baro_overflow_close(o);
}

static void options_that_make_no_sense_are_refused(void **state)
{
	const struct page_dir *d = *state;
	char missing[PATH_MAX + 32];
	const struct baro_overflow_options bad[] = {
		{ .size = 8 },
		{ .size = sizeof(bad[0]), .initial_bytes = 2 * MIB, .max_bytes = MIB },
		{ .size = sizeof(bad[0]), .max_bytes = BARO_OVERFLOW_LARGEST_BYTES + 1 },
		{ .size = sizeof(bad[0]), .max_bytes = UINT64_MAX },
		{ .size = sizeof(bad[0]), .flags = 2 },
	};
	struct baro_overflow_options o = { .size = sizeof(o), .dir = missing };
	struct baro_overflow *region = NULL;
	void *p = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(baro_overflow_open(&bad[i], &region), -EINVAL);
	page_path(missing, sizeof(missing), d->dir, "/missing");
	assert_int_equal(baro_overflow_open(&o, &region), -ENOENT);
	assert_null(region);
	region = open_small(state);
	assert_int_equal(baro_overflow_alloc(region, 0, &p), -EINVAL);
	baro_overflow_close(region);
}

static void memory_is_no_place_to_spill_to_unless_it_is_allowed(void **state)
{
	struct baro_overflow_options o = { .size = sizeof(o), .dir = "/dev/shm" };
	struct baro_overflow *region = NULL;
	struct statfs fs;

	if (statfs(o.dir, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		skip();
	assert_int_equal(baro_overflow_open(&o, &region), -EMEDIUMTYPE);
	o.flags = BARO_OVERFLOW_ALLOW_MEMORY;
	assert_int_equal(baro_overflow_open(&o, &region), 0);
	baro_overflow_close(region);
}

/* ---- disks that are full --------------------------------------------------------------------- */

static void a_promise_that_fails_in_the_middle_leaves_nothing_behind(void **state)
{
	static const int errors[] = { ENOSPC, EDQUOT, EIO };
	const struct page_dir *d = *state;
	struct baro_overflow *o = open_at(d->dir, 0, 0);
	void *p = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		fail_promises(2, errors[i], 1);
		assert_int_equal(baro_overflow_alloc(o, 40 * MIB, &p), -errors[i]);
		assert_null(p);
		assert_in_range(counts(o).file_bytes, 0, MIB / 8);
		assert_int_equal(counts(o).used_bytes, 0);
		assert_int_equal(counts(o).refused_disk, i + 1);
	}
	assert_int_equal(counts(o).peak_bytes, 0);
	memset(alloc(o, 40 * MIB), 1, 40 * MIB);
	baro_overflow_close(o);
}

static void signals_do_not_spoil_a_promise(void **state)
{
	struct baro_overflow *o = open_small(state);

	fail_promises(0, EINTR, 5);
	memset(alloc(o, 3 * PAGE), 1, 3 * PAGE);
	assert_int_equal(fail.times, 0);
	baro_overflow_close(o);
}

static void a_file_system_that_promises_nothing_is_refused(void **state)
{
	const struct page_dir *d = *state;
	const struct baro_overflow_options options = { .size = sizeof(options), .dir = d->dir };
	struct baro_overflow *o = NULL;

	fail_promises(0, EOPNOTSUPP, 1);
	assert_int_equal(baro_overflow_open(&options, &o), -EOPNOTSUPP);
	assert_null(o);
	/* but not one that is full now */
	fail_promises(0, ENOSPC, 1);
	assert_int_equal(baro_overflow_open(&options, &o), 0);
	baro_overflow_close(o);
}

static void blocks_that_do_not_go_back_are_counted_and_used_again(void **state)
{
	struct baro_overflow *o = open_small(state);
	char *a = alloc(o, PAGE);

	fail.punch_error = EOPNOTSUPP;
	assert_int_equal(baro_overflow_free(o, a), PAGE);
	assert_int_equal(counts(o).unpunched, 1);
	assert_int_equal(counts(o).used_bytes, 0);
	assert_ptr_equal(alloc(o, PAGE), a);
	baro_overflow_close(o);
}

static int meet_the_size_limit(void *dir)
{
	struct rlimit limit = { .rlim_cur = 8 * PAGE, .rlim_max = 8 * PAGE };
	struct baro_overflow *o = open_at(dir, 16 * PAGE, 64 * PAGE);
	void *p = NULL, *q = NULL;

	must(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	must(baro_overflow_alloc(o, 9 * PAGE, &q) == -EFBIG);
	must(baro_overflow_alloc(o, 8 * PAGE, &p) == 0);
	memset(p, 1, 8 * PAGE);
	must(baro_overflow_alloc(o, 1, &q) == -EFBIG && !q);
	must(counts(o).refused_disk == 2 && counts(o).used_bytes == 8 * PAGE);
	baro_overflow_close(o);
	return 0;
}

static void a_file_size_limit_is_an_error_and_no_signal(void **state)
{
	struct page_dir *d = *state;

	assert_int_equal(disk_run(meet_the_size_limit, d->dir), 0);
}

#define DISK_BYTES (4 * MIB)

/* What happens to whoever maps a file and hopes. */
static int hope(void *dir)
{
	char *p;
	int fd;

	if (!disk_mount_small(dir, "size=4m"))
		return DISK_REFUSED;
	fd = open(dir, O_TMPFILE | O_RDWR, 0600);
	must(fd >= 0 && ftruncate(fd, 2 * DISK_BYTES) == 0);
	p = mmap(NULL, 2 * DISK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED);
	signal(SIGBUS, SIG_DFL);
	memset(p, 1, 2 * DISK_BYTES);
	return 0;
}

static int fill_the_disk(void *dir)
{
	struct baro_overflow *o;
	void *p[64];
	int n = 0, r;

	if (!disk_mount_small(dir, "size=4m"))
		return DISK_REFUSED;
	signal(SIGBUS, SIG_DFL);
	o = open_at(dir, 0, 0);
	while ((r = baro_overflow_alloc(o, 100000, &p[n])) == 0)
		n++;
	must(r == -ENOSPC && n >= 38);
	must(counts(o).refused_disk == 1);
	for (int i = 0; i < n; i++)
		memset(p[i], i, 100000);
	for (int i = 0; i < n; i++)
		must(((char *)p[i])[99999] == (char)i);
	/* Room that comes back can be had again. */
	must(baro_overflow_free(o, p[0]) > 0 && baro_overflow_free(o, p[1]) > 0);
	must(baro_overflow_alloc(o, 100000, &p[0]) == 0);
	memset(p[0], 1, 100000);
	must(baro_overflow_alloc(o, 2 * MIB, &p[1]) == -ENOSPC);
	/* and what could not be had in full was not had in part */
	must(baro_overflow_alloc(o, 100000, &p[1]) == 0);
	baro_overflow_close(o);
	return 0;
}

static void a_full_disk_is_an_error_and_no_signal(void **state)
{
	struct page_dir *d = *state;
	int r = disk_run(hope, d->dir);

	disk_skip_unless_mounted(r);
	assert_int_equal(r, -SIGBUS); /* the disk is as small as it should be */
	assert_int_equal(disk_run(fill_the_disk, d->dir), 0);
}

/* ---- processes and threads ------------------------------------------------------------------- */

static char *of_the_parent;

static int touch_the_parent_s(void *arg)
{
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	*of_the_parent = 'c';
	return 0;
}

static void a_child_does_not_have_its_parent_s_region(void **state)
{
	struct baro_overflow *o = open_small(state);

	of_the_parent = alloc(o, PAGE);
	*of_the_parent = 'p';
	assert_int_equal(disk_run(touch_the_parent_s, NULL), -SIGSEGV);
	assert_int_equal(*of_the_parent, 'p');
	baro_overflow_close(o);
}

#define SLOTS  8
#define ROUNDS 1500

struct worker {
	struct baro_overflow *region;
	unsigned int ids;
};

/* Marks all it gets as its own, and finds it so when it gives it back. */
static void *allocate_and_free(void *arg)
{
	struct worker *w = arg;
	unsigned int id = __atomic_add_fetch(&w->ids, 1, __ATOMIC_RELAXED), seed = id;
	uint64_t *p[SLOTS] = { NULL }, words[SLOTS];
	void *q;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t s = (uint32_t)rand_r(&seed) % SLOTS;

		if (p[s]) {
			for (uint64_t k = 0; k < words[s]; k += 256)
				must(p[s][k] == id * 1000u + s);
			must(baro_overflow_free(w->region, p[s]) == (int64_t)(words[s] * 8));
			p[s] = NULL;
			continue;
		}
		words[s] = (1 + (uint64_t)rand_r(&seed) % 16) * PAGE / 8;
		if (baro_overflow_alloc(w->region, words[s] * 8, &q) < 0)
			continue; /* the others have it all */
		p[s] = q;
		for (uint64_t k = 0; k < words[s]; k += 256)
			p[s][k] = id * 1000u + s;
	}
	for (uint32_t s = 0; s < SLOTS; s++)
		must(baro_overflow_free(w->region, p[s]) >= 0);
	return NULL;
}

static void threads_never_get_the_same_page(void **state)
{
	const struct page_dir *d = *state;
	struct worker w = { .region = open_at(d->dir, 16 * PAGE, 160 * PAGE) };
	void *(*const bodies[])(void *) = { allocate_and_free, allocate_and_free, allocate_and_free,
					    allocate_and_free };
	struct baro_overflow_counts c;

	run_together(bodies, ARRAY_SIZE(bodies), &w);
	c = counts(w.region);
	assert_int_equal(c.used_bytes, 0);
	assert_int_equal(c.live, 0);
	assert_int_equal(c.allocations, c.frees);
	assert_int_equal(c.bad_frees, 0);
	assert_true(c.allocations > ROUNDS);
	baro_overflow_close(w.region);
}

struct once {
	struct baro_overflow *region;
	void *memory;
	int64_t freed;
};

static void *free_it(void *arg)
{
	struct once *o = arg;
	int64_t r = baro_overflow_free(o->region, o->memory);

	if (r >= 0)
		__atomic_add_fetch(&o->freed, r, __ATOMIC_RELAXED);
	else
		must(r == -EINVAL);
	return NULL;
}

static void of_many_who_free_the_same_one_does(void **state)
{
	void *(*const bodies[])(void *) = { free_it, free_it, free_it };
	struct once o = { .region = open_small(state) };

	for (int i = 0; i < 100; i++) {
		o.memory = alloc(o.region, 2 * PAGE);
		o.freed = 0;
		run_together(bodies, ARRAY_SIZE(bodies), &o);
		assert_int_equal(o.freed, 2 * PAGE);
	}
	assert_int_equal(counts(o.region).bad_frees, 200);
	baro_overflow_close(o.region);
}

#define T(test) cmocka_unit_test_setup_teardown(test, reset, page_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_begins_with_64_mib_and_may_grow_to_1_gib),
		T(it_doubles_as_it_is_needed_and_nothing_moves),
		T(what_is_freed_is_used_again),
		T(what_is_freed_goes_back_to_the_file_system),
		T(the_file_has_no_name),
		T(what_is_no_allocation_cannot_be_freed),
		T(what_is_evicted_leaves_memory_and_comes_back),
		T(options_that_make_no_sense_are_refused),
		T(memory_is_no_place_to_spill_to_unless_it_is_allowed),
		T(a_promise_that_fails_in_the_middle_leaves_nothing_behind),
		T(signals_do_not_spoil_a_promise),
		T(a_file_system_that_promises_nothing_is_refused),
		T(blocks_that_do_not_go_back_are_counted_and_used_again),
		T(a_file_size_limit_is_an_error_and_no_signal),
		T(a_full_disk_is_an_error_and_no_signal),
		T(a_child_does_not_have_its_parent_s_region),
		T(threads_never_get_the_same_page),
		T(of_many_who_free_the_same_one_does),
	};

	return cmocka_run_group_tests_name("overflow", tests, NULL, NULL);
}
