// SPDX-License-Identifier: BSD-2-Clause
/*
 * Follows an engine's pressure: one line now and one whenever it has something to do.
 *
 *	cc watch.c $(pkg-config --cflags --libs libbarostat) -o watch
 *	./watch [ENGINE [LINES]]
 *
 * Without ENGINE, or with "-", it is the engine whose cgroup this process is in: so would an engine
 * do it, and shrink its caches to the budget instead of printing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <barostat/page.h>

#define SECOND_NS UINT64_C(1000000000)

static int print(const struct baro_slot_ref *engine)
{
	struct baro_pressure now;
	int r = baro_page_read(engine, &now);

	if (r < 0)
		return r;
	printf("%s: budget %" PRIu64 " usage %" PRIu64 " release %" PRIu64 " (%s)\n",
	       baro_level_name(BARO_STATUS_LEVEL(now.status)), now.budget_bytes, now.usage_bytes,
	       now.release_bytes, baro_reason_name(now.reason));
	fflush(stdout);
	return 0;
}

/* Nothing new for a minute is no error: wait on. */
static int wait_for_news(const struct baro_page *page, uint32_t generation)
{
	int r;

	do {
		r = baro_page_wait(page, generation, 60 * SECOND_NS, NULL);
	} while (r == -ETIMEDOUT);
	return r;
}

static int follow(const struct baro_page *page, const struct baro_slot_ref *engine, long lines)
{
	for (;;) {
		/* Before reading: what changes from here on ends the wait. */
		uint32_t generation = baro_page_generation(page);
		int r = print(engine);

		if (r < 0 || --lines <= 0)
			return r;
		r = wait_for_news(page, generation);
		if (r < 0)
			return r;
	}
}

int main(int argc, char **argv)
{
	struct baro_page *page;
	struct baro_slot_ref engine;
	int r = baro_page_open(NULL, &page);

	if (r < 0) {
		fprintf(stderr, "watch: %s\n", baro_page_strerror(r));
		return 3;
	}
	if (argc > 1 && strcmp(argv[1], "-") != 0)
		r = baro_page_find(page, argv[1], &engine);
	else
		r = baro_page_find_self(page, &engine);
	if (!r && !baro_page_valid(page))
		r = -ESTALE;
	if (!r)
		r = follow(page, &engine, argc > 2 ? strtol(argv[2], NULL, 10) : INT32_MAX);
	if (r < 0)
		fprintf(stderr, "watch: %s\n",
			r == -ENOENT ? "no such engine on the page" : baro_page_strerror(r));
	baro_page_close(page);
	return r < 0 ? 1 : 0;
}
