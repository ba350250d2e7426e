/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "user/common/cleanup.h"
#include "user/common/units.h"

ssize_t io_pread_text(int fd, char *buf, size_t size)
{
	size_t n = 0;

	while (n < size - 1) {
		ssize_t r = pread(fd, buf + n, size - 1 - n, (off_t)n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0) {
			buf[n] = '\0';
			return (ssize_t)n;
		}
		n += (size_t)r;
	}
	buf[n] = '\0';
	return -E2BIG;
}

int io_pread_u64(int fd, uint64_t *ret_value)
{
	char buf[64];
	ssize_t n;

	/* One read is enough: the kernel's one-number files never split. */
	do {
		n = pread(fd, buf, sizeof(buf) - 1, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	if (n > 0 && buf[n - 1] == '\n')
		buf[n - 1] = '\0';
	if (!strcmp(buf, "max")) {
		*ret_value = BYTES_NO_LIMIT;
		return 0;
	}
	return units_parse_u64(buf, ret_value);
}

int io_pwrite_text(int fd, const char *text)
{
	size_t len = strlen(text);
	ssize_t n = pwrite(fd, text, len, 0);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

int io_pwrite_u64(int fd, uint64_t value)
{
	char buf[32];

	if (value == BYTES_NO_LIMIT)
		return io_pwrite_text(fd, "max");
	snprintf(buf, sizeof(buf), "%llu", (unsigned long long)value);
	return io_pwrite_text(fd, buf);
}

ssize_t io_read_file_at(int dirfd, const char *path, char *buf, size_t size)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return io_pread_text(fd, buf, size);
}

int io_write_file_at(int dirfd, const char *path, const char *text)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return io_pwrite_text(fd, text);
}
