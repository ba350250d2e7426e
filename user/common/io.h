/* SPDX-License-Identifier: BSD-2-Clause */
/* Small reads and writes of kernel text files by descriptor. All return 0 or a count, or -errno. */
#ifndef BAROSTAT_COMMON_IO_H
#define BAROSTAT_COMMON_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* pread from offset 0 into buf, NUL-terminated. Returns the length; -E2BIG when it did not fit. */
ssize_t io_pread_text(int fd, char *buf, size_t size);

/* A file that holds one number, or "max" (BYTES_NO_LIMIT). -EINVAL when it holds something else. */
int io_pread_u64(int fd, uint64_t *ret_value);

/* Writes the number ("max" for BYTES_NO_LIMIT) in one pwrite at offset 0. */
int io_pwrite_u64(int fd, uint64_t value);
int io_pwrite_text(int fd, const char *text);

/* Whole small file by path, relative to dirfd (AT_FDCWD for none), NUL-terminated. */
ssize_t io_read_file_at(int dirfd, const char *path, char *buf, size_t size);
int io_write_file_at(int dirfd, const char *path, const char *text);

#endif
