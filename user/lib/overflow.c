// SPDX-License-Identifier: BSD-2-Clause
/*
 * The overflow region: one sparse file mapped once, at its largest. What is taken is decided under
 * the lock; the file system is asked without it, while the pages belong to whoever asks: nobody can
 * get them before their blocks are there, or again before these are gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "include/barostat/overflow.h"
#include "user/lib/arith.h"
#include "user/lib/extents.h"
#include "user/lib/options.h"

/* So much at a time: a signal begins the call that it interrupts anew. */
#define FALLOCATE_AT_ONCE (UINT64_C(16) << 20)

struct baro_overflow {
	pthread_mutex_t lock;
	struct extents extents;
	uint64_t capacity; /* pages */
	struct baro_overflow_counts counts; /* what follows from the rest is filled in when read */

	int fd;
	char *base;
	uint64_t page_bytes;
};

/* ---- the file -------------------------------------------------------------------------------- */

static int open_named(const char *dir)
{
	char path[PATH_MAX];
	int fd, n = snprintf(path, sizeof(path), "%s/barostat-overflow-XXXXXX", dir);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)unlink(path);
	return fd;
}

static int open_nameless(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);

	if (fd >= 0)
		return fd;
	/* Not every file system has them; a kernel that does not know them takes it for a
	 * directory. */
	return errno == EOPNOTSUPP || errno == EISDIR ? open_named(dir) : -errno;
}

/* Where a block that was promised may still need another one when it is written. */
static int forbid_copies(int fd)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return -EOPNOTSUPP;
	flags |= FS_NOCOW_FL;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 ? -EOPNOTSUPP : 0;
}

static int check_file_system(int fd, uint32_t flags)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	if ((fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) &&
	    !(flags & BARO_OVERFLOW_ALLOW_MEMORY))
		return -EMEDIUMTYPE;
	return fs.f_type == BTRFS_SUPER_MAGIC ? forbid_copies(fd) : 0;
}

static int punch(const struct baro_overflow *o, uint64_t offset, uint64_t bytes)
{
	int r;

	do {
		r = fallocate(o->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			      (off_t)bytes);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* Beyond its limit the kernel would not only refuse, but also send SIGXFSZ. */
static bool is_beyond_limit(uint64_t end)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	       end > limit.rlim_cur;
}

/* Blocks for all of it, or for none. */
static int promise(const struct baro_overflow *o, uint64_t offset, uint64_t bytes)
{
	int error = is_beyond_limit(offset + bytes) ? -EFBIG : 0;
	uint64_t done = 0;

	while (!error && done < bytes) {
		uint64_t now = lib_min(bytes - done, FALLOCATE_AT_ONCE);

		if (fallocate(o->fd, 0, (off_t)(offset + done), (off_t)now) == 0)
			done += now;
		else if (errno != EINTR)
			error = -errno;
	}
	/* also what the call that failed may have got */
	if (error)
		(void)punch(o, offset, bytes);
	return error;
}

/* Whether it can promise blocks at all. That there is no room now is no reason not to open. */
static int try_promise(const struct baro_overflow *o)
{
	int error = promise(o, 0, o->page_bytes);

	if (!error)
		(void)punch(o, 0, o->page_bytes);
	return error == -EOPNOTSUPP || error == -ENOSYS || error == -EINVAL ? -EOPNOTSUPP : 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int take_options(struct baro_overflow_options *o, const struct baro_overflow_options *given,
			uint64_t page_bytes)
{
	int error = given ? options_take(o, sizeof(*o), sizeof(*o), given) : 0;

	if (error < 0)
		return error;
	if (!o->dir)
		o->dir = BARO_OVERFLOW_DIR;
	if (!o->initial_bytes)
		o->initial_bytes = o->max_bytes ? lib_min(o->max_bytes, BARO_OVERFLOW_INITIAL_BYTES)
						: BARO_OVERFLOW_INITIAL_BYTES;
	if (!o->max_bytes)
		o->max_bytes = lib_max(o->initial_bytes, BARO_OVERFLOW_MAX_BYTES);
	if (o->initial_bytes > o->max_bytes || o->max_bytes > BARO_OVERFLOW_LARGEST_BYTES ||
	    o->flags & ~(uint32_t)BARO_OVERFLOW_ALLOW_MEMORY)
		return -EINVAL;
	o->initial_bytes = (o->initial_bytes + page_bytes - 1) / page_bytes * page_bytes;
	o->max_bytes = (o->max_bytes + page_bytes - 1) / page_bytes * page_bytes;
	return 0;
}

static int map_file(struct baro_overflow *o, uint64_t max_bytes)
{
	void *base =
	    mmap(NULL, max_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, o->fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	o->base = base;
	/* A child would write into its parent's; and none of it is worth a core file. */
	(void)madvise(base, max_bytes, MADV_DONTFORK);
	(void)madvise(base, max_bytes, MADV_DONTDUMP);
	return 0;
}

int baro_overflow_open(const struct baro_overflow_options *options,
		       struct baro_overflow **ret_region)
{
	struct baro_overflow_options given = { .size = sizeof(given) };
	const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	int error = take_options(&given, options, page_bytes);
	struct baro_overflow *o;

	if (error < 0)
		return error;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	pthread_mutex_init(&o->lock, NULL);
	o->page_bytes = page_bytes;
	o->capacity = given.initial_bytes / page_bytes;
	o->fd = open_nameless(given.dir);
	error = o->fd < 0 ? o->fd : check_file_system(o->fd, given.flags);
	if (!error)
		error = try_promise(o);
	if (!error)
		error = extents_init(&o->extents, given.max_bytes / page_bytes);
	if (!error)
		error = map_file(o, given.max_bytes);
	if (error < 0) {
		baro_overflow_close(o);
		return error;
	}
	*ret_region = o;
	return 0;
}

void baro_overflow_close(struct baro_overflow *o)
{
	if (!o)
		return;
	if (o->base)
		munmap(o->base, o->extents.pages * o->page_bytes);
	if (o->fd >= 0)
		close(o->fd);
	extents_fini(&o->extents);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

/* ---- allocating ------------------------------------------------------------------------------ */

/* With the lock held: the region grows as far as it takes. */
static uint64_t take(struct baro_overflow *o, uint64_t pages)
{
	uint64_t page = extents_take(&o->extents, pages, o->capacity);

	while (page == EXTENTS_NONE && o->capacity < o->extents.pages) {
		o->capacity = lib_min(2 * o->capacity, o->extents.pages);
		o->counts.grown++;
		page = extents_take(&o->extents, pages, o->capacity);
	}
	if (page == EXTENTS_NONE)
		o->counts.refused_full++;
	else
		o->counts.used_bytes += pages * o->page_bytes;
	return page;
}

static void give(struct baro_overflow *o, uint64_t page, uint64_t pages)
{
	extents_give(&o->extents, page, pages);
	o->counts.used_bytes -= pages * o->page_bytes;
}

int baro_overflow_alloc(struct baro_overflow *o, uint64_t bytes, void **ret_memory)
{
	uint64_t pages = bytes / o->page_bytes + (bytes % o->page_bytes != 0), page;
	int error;

	if (!bytes)
		return -EINVAL;
	pthread_mutex_lock(&o->lock);
	page = take(o, pages);
	pthread_mutex_unlock(&o->lock);
	if (page == EXTENTS_NONE)
		return -ENOBUFS;
	error = promise(o, page * o->page_bytes, pages * o->page_bytes);
	pthread_mutex_lock(&o->lock);
	if (error) {
		give(o, page, pages);
		o->counts.refused_disk++;
	} else {
		extents_begin(&o->extents, page);
		o->counts.allocations++;
		o->counts.live++;
		o->counts.peak_bytes = lib_max(o->counts.peak_bytes, o->counts.used_bytes);
	}
	pthread_mutex_unlock(&o->lock);
	if (error)
		return error;
	*ret_memory = o->base + page * o->page_bytes;
	return 0;
}

/* The number of the page that begins at an address; of none when it is not one of ours. */
static uint64_t page_at(const struct baro_overflow *o, const void *memory)
{
	uint64_t offset = (uint64_t)((uintptr_t)memory - (uintptr_t)o->base);

	return offset % o->page_bytes ? EXTENTS_NONE : offset / o->page_bytes;
}

int64_t baro_overflow_free(struct baro_overflow *o, void *memory)
{
	uint64_t page = page_at(o, memory), pages;
	int error;

	if (!memory)
		return 0;
	pthread_mutex_lock(&o->lock);
	pages = extents_end(&o->extents, page);
	o->counts.bad_frees += !pages;
	pthread_mutex_unlock(&o->lock);
	if (!pages)
		return -EINVAL;
	error = punch(o, page * o->page_bytes, pages * o->page_bytes);
	pthread_mutex_lock(&o->lock);
	give(o, page, pages);
	o->counts.frees++;
	o->counts.live--;
	o->counts.unpunched += error < 0;
	pthread_mutex_unlock(&o->lock);
	return (int64_t)(pages * o->page_bytes);
}

int64_t baro_overflow_size(struct baro_overflow *o, const void *memory)
{
	uint64_t pages;

	pthread_mutex_lock(&o->lock);
	pages = extents_length(&o->extents, page_at(o, memory));
	pthread_mutex_unlock(&o->lock);
	return pages ? (int64_t)(pages * o->page_bytes) : -EINVAL;
}

int64_t baro_overflow_evict(struct baro_overflow *o, void *memory)
{
	const unsigned int all =
	    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
	int64_t bytes = baro_overflow_size(o, memory);
	off_t offset = (off_t)((char *)memory - o->base);

	if (bytes < 0)
		return bytes;
	/* Clean pages alone can be dropped. The file is gone with us, so nothing has to last. */
	if (sync_file_range(o->fd, offset, bytes, all) < 0 ||
	    madvise(memory, (size_t)bytes, MADV_DONTNEED) < 0)
		return -errno;
	(void)posix_fadvise(o->fd, offset, bytes, POSIX_FADV_DONTNEED);
	return bytes;
}

void baro_overflow_read(struct baro_overflow *o, struct baro_overflow_counts *ret_counts)
{
	struct baro_overflow_counts c;
	struct stat st;

	pthread_mutex_lock(&o->lock);
	c = o->counts;
	c.capacity_bytes = o->capacity * o->page_bytes;
	c.max_bytes = o->extents.pages * o->page_bytes;
	pthread_mutex_unlock(&o->lock);
	c.file_bytes = fstat(o->fd, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
	*ret_counts = c;
}
