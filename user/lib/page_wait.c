// SPDX-License-Identifier: BSD-2-Clause
/* Waiting for the page to change, without ever outsleeping its lease. */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "user/lib/clock.h"
#include "user/lib/page_internal.h"

/* Sleeps while *word is `value`, until the absolute time. FUTEX_WAIT_BITSET is the variant that
 * takes one, and like FUTEX_WAIT it is content with a read-only mapping. */
static int futex_wait_until(const uint32_t *word, uint32_t value, uint64_t until_ns)
{
	struct timespec ts = { .tv_sec = (time_t)(until_ns / LIB_NS_PER_S),
			       .tv_nsec = (long)(until_ns % LIB_NS_PER_S) };

	if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, &ts, NULL, FUTEX_BITSET_MATCH_ANY) <
	    0)
		return -errno;
	return 0;
}

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
		/* A lease that never ends would not fit the kernel's signed seconds. */
		if (until_ns > INT64_MAX)
			until_ns = INT64_MAX;
		r = futex_wait_until(&header->generation, generation, until_ns);
		if (r < 0 && r != -EAGAIN && r != -ETIMEDOUT)
			return r;
	}
}
