/* SPDX-License-Identifier: BSD-2-Clause */
/* The pressure page as the CLI looks at it: opened, its header read, its lease judged. */
#ifndef BAROSTAT_CLI_PAGE_VIEW_H
#define BAROSTAT_CLI_PAGE_VIEW_H

#include <errno.h>

#include "include/barostat/page.h"

struct page_view {
	struct baro_page *page; /* NULL: not open */
	const char *path;
	struct baro_page_header header;
	bool valid; /* the lease holds */
	uint64_t now_ns;
	uint64_t void_since_ns; /* how long ago it ran out */
};

/* `path`, or where the library looks when it is NULL. */
const char *page_view_path(const char *path);
/* `path` as above. 0 or -errno for baro_page_strerror(). */
int page_view_open(const char *path, struct page_view *ret_view);
void page_view_close(struct page_view *view);

#endif
