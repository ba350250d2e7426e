// SPDX-License-Identifier: BSD-2-Clause
/* Waiting for the page to change, without ever outsleeping its lease. */
#include <errno.h>
#include <time.h>

#include "user/lib/clock.h"
#include "user/lib/futex.h"
#include "user/lib/page_internal.h"

int baro_page_wait(const struct baro_page *page, uint32_t generation, uint64_t timeout_ns,
		   uint32_t *ret_generation)
{
	const struct baro_page_header *header = (const struct baro_page_header *)page->base;
	uint64_t now = lib_now_ns();
	uint64_t deadline_ns = now + timeout_ns < now ? UINT64_MAX : now + timeout_ns;

	for (;; now = lib_now_ns()) {
		uint64_t void_after_ns, until_ns;
		uint32_t seen = baro_page_generation(page);
		int r;

		void_after_ns = __atomic_load_n(&header->void_after_ns, __ATOMIC_RELAXED);
		if (now >= void_after_ns)
			return -ESTALE;
		if (seen != generation) {
			if (ret_generation)
				*ret_generation = seen;
			return 0;
		}
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		until_ns = deadline_ns < void_after_ns ? deadline_ns : void_after_ns;
		r = futex_wait_until(&header->generation, generation, until_ns, 0);
		if (r < 0 && r != -EAGAIN && r != -ETIMEDOUT)
			return r;
	}
}
