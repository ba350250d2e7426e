/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the pressure page share: a directory of their own, an open writer, a deadline.
 */
#ifndef BAROSTAT_TESTS_PAGE_SUPPORT_H
#define BAROSTAT_TESTS_PAGE_SUPPORT_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "include/barostat/page.h"
#include "user/common/clock.h"
#include "user/common/log.h"
#include "user/daemon/page_writer.h"
#include "user/lib/page_internal.h"

#define LEASE_NS (60 * NS_PER_S)

struct page_dir {
	char dir[PATH_MAX];
	char path[PATH_MAX + 16];
};

static inline void page_path(char *buf, size_t size, const char *path, const char *suffix)
{
	int n = snprintf(buf, size, "%s%s", path, suffix);

	assert_true(n > 0 && (size_t)n < size);
}

static inline int page_dir_setup(void **state)
{
	struct page_dir *d = calloc(1, sizeof(*d));
	const char *tmp = getenv("TMPDIR");

	if (!d)
		return -1;
	snprintf(d->dir, sizeof(d->dir), "%s/barostat-test-page-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(d->dir))
		return -1;
	page_path(d->path, sizeof(d->path), d->dir, "/pressure");
	/* Replacing a page is one line of the log, which is not what is tested. */
	log_set_level(LOG_LEVEL_ERR);
	*state = d;
	return 0;
}

static inline int page_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

/* All of it: a test that failed may have left more than it meant to. */
static inline int page_dir_teardown(void **state)
{
	struct page_dir *d = *state;

	nftw(d->dir, page_remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(d);
	return 0;
}

static inline struct page_writer *page_open_writer(const struct page_dir *d, uint32_t slots,
						   enum page_origin expected)
{
	struct page_writer *w = NULL;
	enum page_origin origin = PAGE_REPLACED;

	assert_int_equal(page_writer_open(d->path, slots, 0644, &w, &origin), 0);
	assert_int_equal(origin, expected);
	return w;
}

static inline void page_assign(struct page_writer *w, uint32_t i, const char *name)
{
	const struct page_slot_identity who = { .name = name, .cgroup_id = 100 + i };

	assert_int_equal(page_writer_assign(w, i, &who), 0);
}

static inline void page_update(struct page_writer *w, uint32_t i, enum baro_level level)
{
	const struct page_slot_values values = { .state = BARO_SLOT_ACTIVE, .level = level };

	page_writer_update(w, i, &values, clock_now_ns());
}

static inline bool page_commit(struct page_writer *w, uint64_t lease_ns)
{
	const struct page_header_values values = { .level = BARO_LEVEL_NORMAL };

	return page_writer_commit(w, &values, clock_now_ns(), lease_ns, false);
}

static inline struct baro_page *page_open_reader(const struct page_dir *d)
{
	struct baro_page *page = NULL;

	assert_int_equal(baro_page_open(d->path, &page), 0);
	return page;
}

/* Overwrites bytes of the page file, in place. */
static inline void page_poke(const struct page_dir *d, size_t offset, const void *bytes, size_t n)
{
	int fd = open(d->path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, (off_t)offset), n);
	close(fd);
}

#endif
