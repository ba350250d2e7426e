// SPDX-License-Identifier: BSD-2-Clause
/*
 * An engine that only says what it can do about its memory: the library decides when, in which
 * order and for how much, and tells the daemon.
 *
 *	cc relief.c $(pkg-config --cflags --libs libbarostat) -o relief
 *	barostat run --engine NAME -- ./relief MIB [TURNS]
 *
 * It fills a cache of MIB blocks of 1 MiB and follows its pressure: one line per turn, TURNS of
 * them. From level critical on it refuses large jobs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <barostat/relief.h>

#define BLOCK_BYTES ((size_t)1 << 20)

struct cache {
	char **block;
	size_t blocks;
};

static uint64_t cache_bytes(void *arg)
{
	const struct cache *c = arg;

	return (uint64_t)c->blocks * BLOCK_BYTES;
}

/* Whole blocks, to the kernel and not to the heap. */
static int64_t cache_shrink(void *arg, uint64_t want_bytes, uint64_t deadline_ns)
{
	struct cache *c = arg;
	uint64_t freed = 0;

	(void)deadline_ns;
	for (; c->blocks && freed < want_bytes; freed += BLOCK_BYTES)
		munmap(c->block[--c->blocks], BLOCK_BYTES);
	return (int64_t)freed;
}

static int cache_fill(struct cache *c, size_t blocks)
{
	c->block = calloc(blocks + 1, sizeof(*c->block));
	for (; c->block && c->blocks < blocks; c->blocks++) {
		void *p = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return -1;
		c->block[c->blocks] = p;
		memset(p, 1, BLOCK_BYTES);
	}
	return c->block ? 0 : -1;
}

static void refuse_large_jobs(void *arg, uint32_t level)
{
	*(int *)arg = 1;
	printf("%s: large jobs are refused\n", baro_level_name(level));
}

static void take_large_jobs(void *arg, uint32_t level)
{
	*(int *)arg = 0;
	printf("%s: large jobs are taken again\n", baro_level_name(level));
}

static void follow(struct baro_relief *relief, struct cache *cache, long turns)
{
	struct baro_relief_outcome o;

	while (turns-- && baro_relief_follow(relief, BARO_PAGE_NONE, &o) == 0) {
		printf("wanted %" PRIu64 " freed %" PRIu64 " cache %" PRIu64 " ack %" PRIu64 "\n",
		       o.wanted_bytes, o.freed_bytes, cache_bytes(cache), o.ack_epoch);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	long turns = argc > 2 ? strtol(argv[2], NULL, 10) : -1;
	struct cache cache = { NULL, 0 };
	int refusing = 0;
	struct baro_relief_options options = { .size = sizeof(options) };
	const struct baro_relief_action shrink = {
		.size = sizeof(shrink),
		.name = "cache",
		.cost = 10,
		.from_level = BARO_LEVEL_WARNING,
		.available = cache_bytes,
		.release = cache_shrink,
		.arg = &cache,
	};
	const struct baro_relief_action refuse = {
		.size = sizeof(refuse),
		.name = "large_jobs",
		.cost = 1,
		.from_level = BARO_LEVEL_CRITICAL,
		.engage = refuse_large_jobs,
		.relax = take_large_jobs,
		.arg = &refusing,
	};
	struct baro_relief *relief;

	if (cache_fill(&cache, argc > 1 ? strtoul(argv[1], NULL, 10) : 64) < 0 ||
	    baro_client_open(NULL, &options.client) < 0)
		return 1;
	if (baro_relief_new(&options, &relief) == 0) {
		if (baro_relief_add(relief, &shrink, NULL) == 0 &&
		    baro_relief_add(relief, &refuse, NULL) == 0)
			follow(relief, &cache, turns);
		baro_relief_free(relief);
	}
	baro_client_close(options.client);
	free(cache.block);
	return 0;
}
