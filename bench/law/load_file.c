/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kinds that lean on the page cache with nothing between: random pages of a mapped file, a scan
 * that goes round and round, and a stream of writes that nobody reads again.
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/law/load.h"

#define PAGE       4096u
#define SCAN_CALL  (64u << 10)
#define WRITE_CALL (1u << 20)
#define WORK_STEPS                                                                                 \
	100 /* a lookup's worth of work beside the page, about a quarter of a microsecond */

struct file {
	int fd;
	const volatile uint8_t *map; /* of the whole file, load_map only */
	uint64_t size, bytes, offset, sum;
	char buffer[WRITE_CALL];
};

static void file_fill(const char *path, uint64_t bytes)
{
	static char buffer[WRITE_CALL];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	for (uint64_t done = 0; fd >= 0 && done < bytes; done += sizeof(buffer)) {
		/* random, so that no file system stores less than it is told */
		for (size_t i = 0; i < sizeof(buffer); i += 256)
			if (getrandom(buffer + i, 256, 0) != 256)
				err(1, "getrandom");
		if (write(fd, buffer, sizeof(buffer)) != (ssize_t)sizeof(buffer))
			err(1, "%s", path);
	}
	if (fd < 0 || fsync(fd) < 0 || close(fd) < 0)
		err(1, "%s", path);
}

static struct file *file_open(const char *path, int flags)
{
	struct file *f = calloc(1, sizeof(*f));
	struct stat st;

	if (!f)
		errx(1, "out of memory");
	f->fd = open(path, flags | O_CLOEXEC, 0644);
	if (f->fd < 0 || fstat(f->fd, &st) < 0)
		err(1, "%s", path);
	f->size = (uint64_t)st.st_size;
	return f;
}

static void *map_open(const char *path)
{
	struct file *f = file_open(path, O_RDONLY);
	void *map = mmap(NULL, f->size, PROT_READ, MAP_SHARED, f->fd, 0);

	if (map == MAP_FAILED || madvise(map, f->size, MADV_RANDOM) < 0)
		err(1, "%s: mmap", path);
	f->map = map;
	return f;
}

static void *scan_open(const char *path)
{
	return file_open(path, O_RDONLY);
}

static void *write_open(const char *path)
{
	struct file *f = file_open(path, O_WRONLY | O_CREAT);

	memset(f->buffer, 0x5a, sizeof(f->buffer));
	return f;
}

/* What is to be read must be there; what is to be written may grow. */
static void read_resize(void *self, uint64_t bytes)
{
	struct file *f = self;

	if (bytes > f->size)
		errx(1, "the file has %llu bytes, the phase wants %llu",
		     (unsigned long long)f->size, (unsigned long long)bytes);
	f->bytes = bytes;
}

static void write_resize(void *self, uint64_t bytes)
{
	((struct file *)self)->bytes = bytes;
}

static int map_op(void *self, uint64_t random)
{
	struct file *f = self;

	f->sum += f->map[load_below(random, f->bytes / PAGE) * PAGE];
	for (int i = 0; i < WORK_STEPS; i++)
		f->sum = f->sum * 6364136223846793005u + 1;
	return 0;
}

static int scan_op(void *self, uint64_t random)
{
	struct file *f = self;

	if (f->offset + SCAN_CALL > f->bytes)
		f->offset = 0;
	if (pread(f->fd, f->buffer, SCAN_CALL, (off_t)f->offset) <= 0)
		err(1, "scan");
	f->offset += SCAN_CALL;
	return 0;
}

static int write_op(void *self, uint64_t random)
{
	struct file *f = self;

	if (f->offset + WRITE_CALL > f->bytes)
		f->offset = 0;
	if (pwrite(f->fd, f->buffer, WRITE_CALL, (off_t)f->offset) != (ssize_t)WRITE_CALL)
		err(1, "write");
	f->offset += WRITE_CALL;
	return 0;
}

const struct load_kind load_map = {
	.name = "map",
	.what = "a random page of a mapped file, and a little work",
	.fill = file_fill,
	.open = map_open,
	.resize = read_resize,
	.op = map_op,
};

const struct load_kind load_loop = {
	.name = "loop",
	.what = "the next 64 KB of a file, from its begin again after its end",
	.fill = file_fill,
	.open = scan_open,
	.resize = read_resize,
	.op = scan_op,
};

const struct load_kind load_write = {
	.name = "write",
	.what = "a megabyte written behind the last one",
	.open = write_open,
	.resize = write_resize,
	.op = write_op,
};
