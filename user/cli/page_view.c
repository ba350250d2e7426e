/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/page_view.h"

#include <stdlib.h>

#include "user/common/clock.h"

const char *page_view_path(const char *path)
{
	if (!path)
		path = getenv("BAROSTAT_PAGE");
	return path && *path ? path : BARO_PAGE_PATH;
}

int page_view_open(const char *path, struct page_view *ret_view)
{
	struct page_view view = { .path = page_view_path(path) };
	int r;

	r = baro_page_open(view.path, &view.page);
	if (r < 0)
		return r;
	r = baro_page_read_header(view.page, &view.header);
	if (r < 0) {
		baro_page_close(view.page);
		return r;
	}
	view.now_ns = clock_now_ns();
	view.valid = baro_page_valid_at(view.page, view.now_ns);
	if (!view.valid && view.now_ns > view.header.void_after_ns)
		view.void_since_ns = view.now_ns - view.header.void_after_ns;
	*ret_view = view;
	return 0;
}

void page_view_close(struct page_view *view)
{
	baro_page_close(view->page);
	view->page = NULL;
}
