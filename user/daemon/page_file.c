// SPDX-License-Identifier: BSD-2-Clause
/* The page's file: lock, adopt or replace, map. A file that readers may have mapped is never
 * truncated or rewritten from the start; it is adopted as it is or replaced by rename. */
#include "user/daemon/page_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/common/log.h"

static size_t page_bytes(uint32_t slots)
{
	return sizeof(struct baro_page_header) + (size_t)slots * sizeof(struct baro_slot);
}

static int path_with(char *buf, size_t size, const char *path, const char *suffix)
{
	int n = snprintf(buf, size, "%s%s", path, suffix);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* Only the last directory: a missing /run is not ours to make. */
static int make_directory(const char *path)
{
	char dir[PATH_MAX];
	char *slash;
	int r = path_with(dir, sizeof(dir), path, "");

	if (r < 0)
		return r;
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

/* Held until the writer is closed or dies; the file itself stays, removing it would race. */
static int take_lock(const char *path, int *ret_fd)
{
	char lock_path[PATH_MAX];
	_cleanup_close_ int fd = -1;
	int r = path_with(lock_path, sizeof(lock_path), path, ".lock");

	if (r < 0)
		return r;
	fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* NULL with errno. */
static void *map_file(int fd, size_t bytes)
{
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);

	return base == MAP_FAILED ? NULL : base;
}

/* Readers of a page that is about to be replaced learn it at once instead of at the lease's end. */
static void retire(int fd, uint32_t slots)
{
	void *base = map_file(fd, page_bytes(slots));

	if (!base)
		return;
	__atomic_store_n(&((struct baro_page_header *)base)->void_after_ns, 0, __ATOMIC_RELAXED);
	page_wake(base);
	munmap(base, page_bytes(slots));
}

/* Why the file at fd cannot be gone on with; NULL when it can. */
static const char *judge(int fd, uint32_t slots, uint32_t *ret_slots)
{
	struct baro_page_header h;
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "not a regular file";
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return "someone else could have written it";
	memset(&h, 0, sizeof(h));
	if (pread(fd, &h, sizeof(h), 0) < 0)
		return "it cannot be read";
	if (h.magic != BARO_PAGE_MAGIC)
		return "it is not a pressure page";
	/* Readers bear with later minor versions; a writer must know every byte. */
	if (h.abi_major != BARO_PAGE_ABI_MAJOR || h.abi_minor != BARO_PAGE_ABI_MINOR ||
	    h.header_bytes != sizeof(h) || h.slot_bytes != sizeof(struct baro_slot))
		return "it is of another version";
	if (!h.slot_count || h.slot_count > BARO_PAGE_SLOTS_MAX ||
	    (uint64_t)st.st_size < page_bytes(h.slot_count))
		return "it is truncated";
	if (h.slot_count < slots) {
		retire(fd, h.slot_count);
		return "it has too few slots";
	}
	*ret_slots = h.slot_count;
	return NULL;
}

/* 0 with *ret_fd set: go on with this file. 0 with it untouched: make a new one. */
static int try_adopt(const char *path, uint32_t slots, mode_t mode, int *ret_fd,
		     uint32_t *ret_slots, enum page_origin *ret_origin)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	uint32_t found = 0;
	const char *why;
	int r;

	if (fd < 0 && errno == ENOENT) {
		*ret_origin = PAGE_CREATED;
		return 0;
	}
	if (fd < 0 && errno == EISDIR)
		return -EINVAL;
	if (fd < 0 && (errno == EROFS || errno == EMFILE || errno == ENFILE))
		return -errno;
	why = fd < 0 ? strerrordesc_np(errno) : judge(fd, slots, &found);
	if (why) {
		log_warn("page path=%s replaced why=\"%s\"", path, why);
		*ret_origin = PAGE_REPLACED;
		return 0;
	}
	/* It may be sparse: a hole filled later, when /run is full, would be a SIGBUS. */
	r = posix_fallocate(fd, 0, (off_t)page_bytes(found));
	if (r)
		return -r;
	if (fchmod(fd, mode) < 0)
		return -errno;
	*ret_origin = PAGE_ADOPTED;
	*ret_slots = found;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int fill_new(int fd, uint32_t slots, mode_t mode)
{
	struct baro_page_header h = {
		.magic = BARO_PAGE_MAGIC,
		.abi_major = BARO_PAGE_ABI_MAJOR,
		.abi_minor = BARO_PAGE_ABI_MINOR,
		.header_bytes = sizeof(struct baro_page_header),
		.slot_bytes = sizeof(struct baro_slot),
		.slot_count = slots,
	};
	ssize_t n;
	int r = posix_fallocate(fd, 0, (off_t)page_bytes(slots));

	if (r)
		return -r;
	n = pwrite(fd, &h, sizeof(h), 0);
	if (n != sizeof(h))
		return n < 0 ? -errno : -EIO;
	return fchmod(fd, mode) < 0 ? -errno : 0;
}

/* Complete before it has its name: nobody ever opens half a page. */
static int create(const char *path, uint32_t slots, mode_t mode, int *ret_fd)
{
	char new_path[PATH_MAX];
	_cleanup_close_ int fd = -1;
	int r = path_with(new_path, sizeof(new_path), path, ".new");

	if (r < 0)
		return r;
	/* A daemon that was killed here left it; the lock says that it is nobody's now. */
	if (unlink(new_path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = fill_new(fd, slots, mode);
	if (!r && rename(new_path, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(new_path);
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static uint64_t new_epoch(uint64_t before)
{
	uint64_t epoch = 0;

	/* Random, because the wall clock may step back between two starts. */
	if (getrandom(&epoch, sizeof(epoch), GRND_NONBLOCK) != sizeof(epoch))
		epoch = clock_now_ns();
	while (!epoch || epoch == before)
		epoch++;
	return epoch;
}

/* Opened through the descriptor, not by the path: that may name another file by now. */
static int open_for_readers(int fd)
{
	char self[32];
	int r;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	r = open(self, O_RDONLY | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

static int attach(int fd, uint32_t slots, struct page_writer **ret)
{
	struct page_writer *w = calloc(1, sizeof(*w) + slots * sizeof(w->assigned[0]));
	void *base;

	if (!w)
		return -ENOMEM;
	base = map_file(fd, page_bytes(slots));
	if (!base) {
		int r = -errno;

		free(w);
		return r;
	}
	w->header = base;
	w->slot = (struct baro_slot *)(w->header + 1);
	w->map_bytes = page_bytes(slots);
	w->slot_count = slots;
	w->lock_fd = -1;
	w->reader_fd = open_for_readers(fd);
	w->boot_epoch = new_epoch(w->header->boot_epoch);
	page_writer_repair(w);
	/* Not what the header says: it may have been half-written. */
	for (uint32_t i = 0; i < slots; i++)
		if (w->slot[i].pressure.status)
			w->slots_used = i + 1;
	*ret = w;
	return 0;
}

int page_writer_open(const char *path, uint32_t slots, mode_t mode, struct page_writer **ret,
		     enum page_origin *ret_origin)
{
	_cleanup_close_ int lock_fd = -1, fd = -1;
	enum page_origin origin = PAGE_CREATED;
	struct page_writer *w = NULL;
	int r;

	/* Readers refuse a page that others may write. */
	if (!slots || slots > BARO_PAGE_SLOTS_MAX || (mode & (S_IWGRP | S_IWOTH)))
		return -EINVAL;
	r = make_directory(path);
	if (r < 0)
		return r;
	r = take_lock(path, &lock_fd);
	if (r < 0)
		return r;
	r = try_adopt(path, slots, mode, &fd, &slots, &origin);
	if (!r && fd < 0)
		r = create(path, slots, mode, &fd);
	if (!r)
		r = attach(fd, slots, &w);
	if (!w)
		return r;
	w->lock_fd = TAKE_FD(lock_fd);
	*ret = w;
	*ret_origin = origin;
	return 0;
}

void page_writer_close(struct page_writer *w, bool leave_stale)
{
	if (!w)
		return;
	if (!leave_stale) {
		__atomic_store_n(&w->header->void_after_ns, 0, __ATOMIC_RELAXED);
		page_wake(w->header);
	}
	munmap(w->header, w->map_bytes);
	close(w->lock_fd);
	if (w->reader_fd >= 0)
		close(w->reader_fd);
	free(w);
}
