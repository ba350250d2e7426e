/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Relief, overflow and metrics when an allocation or a system call fails, each of them once: the
 * error is told or makes no difference, nothing is half done, and everything works afterwards.
 */
#include "tests/unit/page_support.h"

#include <linux/magic.h>

#include "include/barostat/barostat.h"
#include "tests/unit/fault_support.h"
#include "user/common/cleanup.h"

#define PAGE 4096

static const char *dir;

static bool is_told(int error)
{
	return error == -ENOMEM || error == -EIO || error == -EMFILE || error == -EACCES;
}

static struct baro_overflow *open_region(void)
{
	const struct baro_overflow_options options = { .size = sizeof(options),
						       .dir = dir,
						       .initial_bytes = 8 * PAGE,
						       .max_bytes = 16 * PAGE,
						       .flags = BARO_OVERFLOW_ALLOW_MEMORY };
	struct baro_overflow *o = NULL;
	int r = baro_overflow_open(&options, &o);

	assert_true(r == 0 || (fault_came && is_told(r)));
	assert_true((r == 0) == (o != NULL));
	return o;
}

static void open_and_close(void)
{
	struct baro_overflow *o = open_region();
	void *p = NULL;
	int r;

	if (!o)
		return;
	r = baro_overflow_alloc(o, PAGE, &p);
	assert_true(r == 0 || (fault_came && is_told(r)));
	if (p)
		memset(p, 1, PAGE);
	baro_overflow_close(o);
}

static void a_region_is_there_or_it_is_not(void **state)
{
	with_every_fault(open_and_close, 6);
}

/* Where there are no files without a name, it has one for a moment. */
static void a_region_of_a_file_with_a_name_is_there_or_it_is_not(void **state)
{
	static const int none[] = { EOPNOTSUPP, EISDIR },
			 told[] = { EACCES, ENOSPC, EROFS, EMFILE };
	const struct baro_overflow_options options = { .size = sizeof(options),
						       .dir = dir,
						       .flags = BARO_OVERFLOW_ALLOW_MEMORY };
	struct baro_overflow *o = NULL;
	int before = fault_descriptors();

	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		fault_tmpfile = none[i];
		with_every_fault(open_and_close, 6);
		for (size_t k = 0; k < ARRAY_SIZE(told); k++) {
			fault_arm_of("mkostemp", told[k], 0);
			assert_int_equal(baro_overflow_open(&options, &o), -told[k]);
			assert_true(fault_disarm());
		}
	}
	/* another reason than that there are none is told as it is */
	fault_tmpfile = ENOSPC;
	assert_int_equal(baro_overflow_open(&options, &o), -ENOSPC);
	fault_tmpfile = 0;
	assert_null(o);
	assert_int_equal(dir_entries(dir), 0);
	assert_int_equal(fault_descriptors(), before);
}

/* Where a block that was promised is another one when it is written, unless that is forbidden. */
static void a_file_system_that_goes_on_copying_is_not_used(void **state)
{
	static const int errors[] = { ENOTTY, EPERM, EINVAL, EOPNOTSUPP };
	const struct baro_overflow_options options = { .size = sizeof(options), .dir = dir };
	struct baro_overflow *o = NULL;
	int before = fault_descriptors();

	fault_file_system = BTRFS_SUPER_MAGIC;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		for (long n = 0; n < 2; n++) {
			fault_arm_of("ioctl", errors[i], n);
			assert_int_equal(baro_overflow_open(&options, &o), -EOPNOTSUPP);
			assert_true(fault_disarm());
		}
	}
	assert_null(o);
	assert_int_equal(fault_descriptors(), before);
	assert_int_equal(baro_overflow_open(&options, &o), 0);
	baro_overflow_close(o);
	fault_file_system = 0;
}

static void allocate_evict_and_free(void)
{
	struct baro_overflow_counts c;
	struct baro_overflow *o;
	long armed = fault_left;
	void *p = NULL;
	int64_t r;

	fault_disarm();
	o = open_region();
	assert_non_null(o);
	fault_arm(armed);
	r = baro_overflow_alloc(o, 2 * PAGE, &p);
	assert_true(r == 0 || (fault_came && is_told((int)r)));
	assert_true((r == 0) == (p != NULL));
	if (p) {
		memset(p, 7, 2 * PAGE);
		r = baro_overflow_evict(o, p);
		assert_true(r == 2 * PAGE || (fault_came && is_told((int)r)));
		assert_int_equal(((char *)p)[2 * PAGE - 1], 7);
		assert_int_equal(baro_overflow_free(o, p), 2 * PAGE);
	}
	baro_overflow_read(o, &c);
	assert_int_equal(c.used_bytes, 0);
	assert_int_equal(c.live, 0);
	armed = fault_left;
	if (!fault_came)
		fault_left = -1;
	/* and all of it can be had */
	assert_int_equal(baro_overflow_alloc(o, 16 * PAGE, &p), 0);
	memset(p, 1, 16 * PAGE);
	fault_left = armed;
	baro_overflow_close(o);
}

static void what_fails_in_between_loses_no_page(void **state)
{
	with_every_fault(allocate_evict_and_free, 4);
}

static int64_t release(void *arg, uint64_t want_bytes, uint64_t deadline_ns)
{
	return (int64_t)want_bytes;
}

static void use_relief_and_metrics(void)
{
	const struct baro_relief_options none = { .size = sizeof(none) };
	const struct baro_relief_action action = { .size = sizeof(action),
						   .name = "cache",
						   .release = release };
	const struct baro_pressure p = { .status = BARO_LEVEL_NORMAL,
					 .updated_ns = 1,
					 .release_bytes = 5,
					 .release_by_ns = 1000000000 };
	struct baro_relief *relief = NULL;
	struct baro_metrics *metrics = NULL;
	struct baro_relief_outcome out;
	char text[8192];
	size_t bytes;
	int r = baro_relief_new(&none, &relief);

	assert_true(r == 0 || (fault_came && r == -ENOMEM && !relief));
	if (r == 0) {
		assert_int_equal(baro_relief_add(relief, &action, NULL), 0);
		assert_int_equal(baro_relief_run(relief, &p, 2, &out), 0);
		assert_int_equal(out.freed_bytes, 5);
	}
	r = baro_metrics_new(&metrics);
	assert_true(r == 0 || (fault_came && r == -ENOMEM && !metrics));
	if (relief && metrics) {
		r = baro_relief_add_metrics(relief, metrics, NULL);
		assert_true(r == 0 || (fault_came && r == -ENOMEM));
		assert_int_equal(baro_metrics_format(metrics, text, sizeof(text), &bytes), 0);
		/* all or none */
		assert_true(r == 0 ? bytes > 100 : bytes == 0);
	}
	baro_metrics_free(metrics);
	baro_relief_free(relief);
}

static void relief_and_metrics_tell_and_leave_nothing_half_done(void **state)
{
	with_every_fault(use_relief_and_metrics, 14);
}

static int set_up(void **state)
{
	int r = page_dir_setup(state);

	dir = ((struct page_dir *)*state)->dir;
	return r;
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, page_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_region_is_there_or_it_is_not),
		T(a_region_of_a_file_with_a_name_is_there_or_it_is_not),
		T(a_file_system_that_goes_on_copying_is_not_used),
		T(what_fails_in_between_loses_no_page),
		T(relief_and_metrics_tell_and_leave_nothing_half_done),
	};

	return cmocka_run_group_tests_name("relief faults", tests, NULL, NULL);
}
