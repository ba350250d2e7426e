// SPDX-License-Identifier: BSD-2-Clause
/* Opening, checking and reading the pressure page. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/lib/clock.h"
#include "user/lib/page_internal.h"
#include "user/lib/page_layout.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the page is little-endian; this reader copies it as it is"
#endif

#define ASSERT_FIELD(type, field, offset, bytes)                                                   \
	static_assert(offsetof(struct type, field) == (offset), #field " moved");                  \
	static_assert(sizeof(((struct type *)0)->field) == (bytes), #field " changed size");
PAGE_HEADER_LAYOUT(ASSERT_FIELD)
PAGE_SLOT_LAYOUT(ASSERT_FIELD)
static_assert(sizeof(struct baro_page_header) == 256, "header grew");
static_assert(sizeof(struct baro_pressure) == 128, "the hot part is two cache lines");
static_assert(sizeof(struct baro_slot) == 512, "slot grew");

#define LINE_BYTES     64 /* records begin and end on cache lines */
#define SLOT_BYTES_MAX 65536
/* A write takes well below a microsecond; a writer that was preempted in the middle of one is gone
 * for longer than any reader should spin. */
#define READ_TRIES 256

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static const struct baro_page_header *header_of(const struct baro_page *page)
{
	return (const struct baro_page_header *)page->base;
}

int page_check(const void *start, size_t have_bytes, uint64_t file_bytes)
{
	struct baro_page_header h;
	size_t n = have_bytes < sizeof(h) ? have_bytes : sizeof(h);

	memset(&h, 0, sizeof(h));
	memcpy(&h, start, n);
	if (n < offsetof(struct baro_page_header, header_bytes))
		return n >= sizeof(h.magic) && h.magic != BARO_PAGE_MAGIC ? -EBADMSG : -ENODATA;
	if (h.magic != BARO_PAGE_MAGIC)
		return -EBADMSG;
	if (h.abi_major != BARO_PAGE_ABI_MAJOR)
		return -EPROTONOSUPPORT;
	if (n < sizeof(h))
		return -ENODATA;
	if (h.header_bytes < sizeof(h) || h.header_bytes > SLOT_BYTES_MAX ||
	    h.header_bytes % LINE_BYTES)
		return -EPROTO;
	if (h.slot_bytes < sizeof(struct baro_slot) || h.slot_bytes > SLOT_BYTES_MAX ||
	    h.slot_bytes % LINE_BYTES)
		return -EPROTO;
	if (!h.slot_count || h.slot_count > BARO_PAGE_SLOTS_MAX)
		return -EPROTO;
	if (file_bytes < h.header_bytes + (uint64_t)h.slot_count * h.slot_bytes)
		return -ENODATA;
	return 0;
}

/* The identity of the header by pread: a page that is cut short must not be touched by memory. */
static int read_identity(int fd, uint64_t file_bytes, struct baro_page_header *ret_header)
{
	struct baro_page_header h;
	ssize_t n = pread(fd, &h, sizeof(h), 0);
	int r;

	if (n < 0)
		return -errno;
	r = page_check(&h, (size_t)n, file_bytes);
	if (!r)
		*ret_header = h;
	return r;
}

int page_map(int fd, const char *path, struct baro_page **ret_page)
{
	struct baro_page_header h = { 0 };
	struct baro_page *page;
	struct stat st;
	void *base;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return -EPERM;
	r = read_identity(fd, (uint64_t)st.st_size, &h);
	if (r < 0)
		return r;
	page = malloc(sizeof(*page) + strlen(path) + 1);
	if (!page)
		return -ENOMEM;
	page->header_bytes = h.header_bytes;
	page->slot_bytes = h.slot_bytes;
	page->slot_count = h.slot_count;
	page->map_bytes = h.header_bytes + (size_t)h.slot_count * h.slot_bytes;
	page->dev = st.st_dev;
	page->ino = st.st_ino;
	memcpy(page->path, path, strlen(path) + 1);
	base = mmap(NULL, page->map_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (base == MAP_FAILED) {
		r = -errno;
		free(page);
		return r;
	}
	page->base = base;
	*ret_page = page;
	return 0;
}

int baro_page_open(const char *path, struct baro_page **ret_page)
{
	int fd, r;

	if (!path)
		path = secure_getenv("BAROSTAT_PAGE");
	if (!path || !*path)
		path = BARO_PAGE_PATH;
	/* Not blocking: somebody may have put a FIFO there. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	r = page_map(fd, path, ret_page);
	close(fd);
	return r;
}

void baro_page_close(struct baro_page *page)
{
	if (!page)
		return;
	munmap((void *)page->base, page->map_bytes);
	free(page);
}

int baro_page_replaced(const struct baro_page *page)
{
	struct stat st;

	if (stat(page->path, &st) < 0)
		return -errno;
	return st.st_dev != page->dev || st.st_ino != page->ino;
}

bool baro_page_valid_at(const struct baro_page *page, uint64_t now)
{
	return now < __atomic_load_n(&header_of(page)->void_after_ns, __ATOMIC_RELAXED);
}

bool baro_page_valid(const struct baro_page *page)
{
	return baro_page_valid_at(page, lib_now_ns());
}

uint32_t baro_page_generation(const struct baro_page *page)
{
	return __atomic_load_n(&header_of(page)->generation, __ATOMIC_ACQUIRE);
}

uint32_t baro_page_slots(const struct baro_page *page)
{
	uint32_t used = __atomic_load_n(&header_of(page)->slots_used, __ATOMIC_RELAXED);

	return used < page->slot_count ? used : page->slot_count;
}

/* -- consistent copies: see "reading" in docs/page-protocol.md -- */

static inline uint32_t seq_begin(const uint32_t *seq)
{
	return __atomic_load_n(seq, __ATOMIC_ACQUIRE);
}

/* Whether what was copied since seq_begin() is of one piece. */
static inline bool seq_holds(const uint32_t *seq, uint32_t begin)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(seq, __ATOMIC_RELAXED) == begin && !(begin & 1);
}

static inline int judge_status(const struct baro_slot_ref *ref, uint64_t status)
{
	if (BARO_STATUS_INCARNATION(status) != ref->incarnation ||
	    BARO_STATUS_STATE(status) == BARO_SLOT_FREE)
		return -ENOENT;
	return 0;
}

int baro_page_read(const struct baro_slot_ref *ref, struct baro_pressure *ret_pressure)
{
	const struct baro_pressure *from = &ref->slot->pressure;

	for (int i = 0; i < READ_TRIES; i++) {
		uint32_t begin = seq_begin(&from->seq);
		struct page_line first = page_load_line(from);
		struct page_line second = page_load_line((const uint8_t *)from + LINE_BYTES);

		if (seq_holds(&from->seq, begin)) {
			uint64_t status;
			int r;

			memcpy(&status, (uint8_t *)&first + offsetof(struct baro_pressure, status),
			       sizeof(status));
			r = judge_status(ref, status);
			if (r < 0)
				return r;
			memcpy(ret_pressure, &first, LINE_BYTES);
			memcpy((uint8_t *)ret_pressure + LINE_BYTES, &second, LINE_BYTES);
			return 0;
		}
		relax();
	}
	return -EAGAIN;
}

/* Copies a whole record of `lines` cache lines; true when the copy is of one piece. */
static bool copy_record(void *to, const void *from, const uint32_t *seq, size_t lines)
{
	struct page_line *line = to;
	uint32_t begin = seq_begin(seq);

	for (size_t i = 0; i < lines; i++)
		line[i] = page_load_line((const uint8_t *)from + i * LINE_BYTES);
	return seq_holds(seq, begin);
}

int baro_page_read_slot(const struct baro_slot_ref *ref, struct baro_slot *ret_slot)
{
	union {
		struct baro_slot slot;
		struct page_line line[sizeof(struct baro_slot) / LINE_BYTES];
	} copy;

	for (int i = 0; i < READ_TRIES; i++) {
		if (copy_record(&copy, ref->slot, &ref->slot->pressure.seq,
				sizeof(copy) / LINE_BYTES)) {
			int r = judge_status(ref, copy.slot.pressure.status);

			if (!r) {
				copy.slot.name[sizeof(copy.slot.name) - 1] = '\0';
				*ret_slot = copy.slot;
			}
			return r;
		}
		relax();
	}
	return -EAGAIN;
}

int baro_page_read_header(const struct baro_page *page, struct baro_page_header *ret_header)
{
	union {
		struct baro_page_header header;
		struct page_line line[sizeof(struct baro_page_header) / LINE_BYTES];
	} copy;

	for (int i = 0; i < READ_TRIES; i++) {
		if (copy_record(&copy, page->base, &header_of(page)->seq,
				sizeof(copy) / LINE_BYTES)) {
			*ret_header = copy.header;
			return 0;
		}
		relax();
	}
	return -EAGAIN;
}

int baro_page_slot(const struct baro_page *page, uint32_t index, struct baro_slot_ref *ret_ref)
{
	const struct baro_slot *slot;
	uint64_t status;

	if (index >= baro_page_slots(page))
		return -ENOENT;
	slot = (const struct baro_slot *)(page->base + page->header_bytes +
					  (size_t)index * page->slot_bytes);
	status = __atomic_load_n(&slot->pressure.status, __ATOMIC_RELAXED);
	if (BARO_STATUS_STATE(status) == BARO_SLOT_FREE)
		return -ENOENT;
	*ret_ref = (struct baro_slot_ref){ slot, BARO_STATUS_INCARNATION(status), index };
	return 0;
}

int baro_page_find(const struct baro_page *page, const char *name, struct baro_slot_ref *ret_ref)
{
	uint32_t slots = baro_page_slots(page);
	int missed = -ENOENT;

	for (uint32_t i = 0; i < slots; i++) {
		struct baro_slot_ref ref;
		struct baro_slot slot;
		int r = baro_page_slot(page, i, &ref);

		if (!r)
			r = baro_page_read_slot(&ref, &slot);
		if (r == -EAGAIN)
			missed = r;
		if (r < 0 || strcmp(slot.name, name) != 0)
			continue;
		*ret_ref = ref;
		return 0;
	}
	return missed;
}
