/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Follows the targets on a pressure page: every 100 ms, and for each engine, a line "elapsed_ms
 * NAME target_bytes", until the daemon is gone.
 *
 *   targets PAGE BEGIN_US      elapsed since this instant of the realtime clock, in microseconds
 *
 * A limit in a cgroup is not always the target: it may be protection, or a backstop far above.
 */
#include <barostat/page.h>
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define INTERVAL_NS 100000000l

static int64_t elapsed_ms(int64_t begin_us)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000 - begin_us) / 1000;
}

static void print_all(const struct baro_page *page, int64_t at_ms)
{
	struct baro_slot_ref ref;
	struct baro_slot slot;

	for (uint32_t i = 0; i < baro_page_slots(page); i++)
		if (baro_page_slot(page, i, &ref) == 0 && baro_page_read_slot(&ref, &slot) == 0)
			printf("%" PRId64 "\t%s\t%" PRIu64 "\n", at_ms, slot.name,
			       slot.pressure.target_bytes);
}

int main(int argc, char **argv)
{
	struct timespec interval = { .tv_nsec = INTERVAL_NS };
	struct baro_page *page;
	int r;

	if (argc != 3)
		errx(2, "usage: targets PAGE BEGIN_US");
	r = baro_page_open(argv[1], &page);
	if (r < 0)
		errx(1, "%s: %s", argv[1], baro_page_strerror(r));
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (baro_page_valid(page)) {
		print_all(page, elapsed_ms(strtoll(argv[2], NULL, 10)));
		nanosleep(&interval, NULL);
	}
	baro_page_close(page);
	return 0;
}
