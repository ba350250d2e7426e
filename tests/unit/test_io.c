/* SPDX-License-Identifier: BSD-2-Clause */
/* Small reads and writes by descriptor, and the owning locals they rely on. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "user/common/cleanup.h"
#include "user/common/io.h"
#include "user/common/units.h"

static char path[32];
static int fd = -1;

static int make_file(void **state)
{
	snprintf(path, sizeof(path), "/tmp/barostat-test-io-XXXXXX");
	fd = mkostemp(path, O_CLOEXEC);
	return fd < 0 ? -1 : 0;
}

static int remove_file(void **state)
{
	close(fd);
	return unlink(path);
}

static void put(const char *text)
{
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
}

static void text_is_read_from_the_start_each_time(void **state)
{
	char buf[16];

	put("some text");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(io_pread_text(fd, buf, sizeof(buf)), 9);
		assert_string_equal(buf, "some text");
	}
	put("");
	assert_int_equal(io_pread_text(fd, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
}

static void text_that_does_not_fit_says_so(void **state)
{
	char buf[8];

	put("1234567");
	/* It fills the buffer: whether more follows is not known. */
	assert_int_equal(io_pread_text(fd, buf, sizeof(buf)), -E2BIG);
	assert_string_equal(buf, "1234567");
	put("123456");
	assert_int_equal(io_pread_text(fd, buf, sizeof(buf)), 6);
}

static void numbers_are_read(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint64_t value;
	} cases[] = {
		{ "0", 0, 0 },
		{ "123\n", 0, 123 },
		{ "max\n", 0, BYTES_NO_LIMIT },
		{ "max", 0, BYTES_NO_LIMIT },
		{ "18446744073709551615\n", 0, UINT64_MAX },
		{ "18446744073709551616\n", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "\n", -EINVAL, 0 },
		{ "x\n", -EINVAL, 0 },
		{ "1 2\n", -EINVAL, 0 },
		{ "-1\n", -EINVAL, 0 },
		/* longer than any number */
		{ "1111111111111111111111111111111111111111111111111111111111111111111111\n",
		  -ERANGE, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t v = 42;

		put(cases[i].text);
		assert_int_equal(io_pread_u64(fd, &v), cases[i].r);
		assert_true(v == (cases[i].r ? 42 : cases[i].value));
	}
}

static void numbers_are_written_as_the_kernel_wants_them(void **state)
{
	char buf[32];

	put("");
	assert_int_equal(io_pwrite_u64(fd, BYTES_NO_LIMIT), 0);
	io_pread_text(fd, buf, sizeof(buf));
	assert_string_equal(buf, "max");
	assert_int_equal(io_pwrite_u64(fd, 123456789), 0);
	io_pread_text(fd, buf, sizeof(buf));
	assert_string_equal(buf, "123456789");
}

static void errors_are_the_systems(void **state)
{
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	_cleanup_close_ int dir = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char buf[8];
	uint64_t v = 42;

	assert_true(full >= 0 && dir >= 0);
	assert_int_equal(io_pwrite_text(full, "x"), -ENOSPC);
	assert_int_equal(io_pread_text(dir, buf, sizeof(buf)), -EISDIR);
	assert_int_equal(io_pread_u64(dir, &v), -EISDIR);
	assert_int_equal(io_pread_u64(-1, &v), -EBADF);
	assert_int_equal(v, 42);
	assert_int_equal(io_read_file_at(AT_FDCWD, "/nonexistent", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(io_write_file_at(dir, "barostat-test-none", "x"), -ENOENT);
}

static void files_are_found_relative_to_a_directory(void **state)
{
	_cleanup_close_ int dir = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char buf[8];

	put("");
	assert_int_equal(io_write_file_at(dir, path + 5, "abc"), 0);
	assert_int_equal(io_read_file_at(dir, path + 5, buf, sizeof(buf)), 3);
	assert_string_equal(buf, "abc");
}

static int leave_scope_with_open_file(void)
{
	_cleanup_close_ int local = open("/dev/null", O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = strdup("freed here");

	assert_non_null(text);
	return local; /* NOLINT(clang-analyzer-unix.Malloc): the analyzer knows no cleanup */
}

static int hand_on(void)
{
	_cleanup_close_ int local = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return TAKE_FD(local);
}

static char *hand_on_text(void)
{
	_cleanup_free_ char *text = strdup("handed on");

	return TAKE_PTR(text);
}

static void owning_locals_end_with_their_scope(void **state)
{
	_cleanup_free_ char *text = NULL;
	int closed = leave_scope_with_open_file();
	int kept;

	assert_true(closed >= 0);
	assert_int_equal(fcntl(closed, F_GETFD), -1);
	kept = hand_on();
	assert_true(fcntl(kept, F_GETFD) >= 0);
	close(kept);
	text = hand_on_text();
	assert_string_equal(text, "handed on");
} /* NOLINT(clang-analyzer-unix.Malloc) */

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, make_file, remove_file)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FILE(text_is_read_from_the_start_each_time),
		WITH_FILE(text_that_does_not_fit_says_so),
		WITH_FILE(numbers_are_read),
		WITH_FILE(numbers_are_written_as_the_kernel_wants_them),
		cmocka_unit_test(errors_are_the_systems),
		WITH_FILE(files_are_found_relative_to_a_directory),
		cmocka_unit_test(owning_locals_end_with_their_scope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
