// SPDX-License-Identifier: BSD-2-Clause
/*
 * A cache that gives memory back when it is asked, and says so: the loop of <barostat/client.h>.
 *
 *	cc cache.c $(pkg-config --cflags --libs libbarostat) -o cache
 *	barostat run --engine NAME -- ./cache MIB [NEWS]
 *
 * It fills MIB blocks of 1 MiB, then follows its pressure: one line per news, NEWS of them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <barostat/client.h>

#define BLOCK_BYTES ((size_t)1 << 20)

static char **block;
static size_t blocks;

static uint64_t cache_bytes(void)
{
	return (uint64_t)blocks * BLOCK_BYTES;
}

static int cache_fill(size_t count)
{
	block = calloc(count + 1, sizeof(*block));
	for (; block && blocks < count; blocks++) {
		void *p = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return -1;
		block[blocks] = p;
		memset(p, 1, BLOCK_BYTES);
	}
	return block ? 0 : -1;
}

/* At least so much, block by block: to the kernel, not to the heap. */
static void cache_free(uint64_t bytes)
{
	for (uint64_t freed = 0; blocks && freed < bytes; freed += BLOCK_BYTES)
		munmap(block[--blocks], BLOCK_BYTES);
}

static void cache_limit(uint64_t budget_bytes)
{
	if (cache_bytes() > budget_bytes)
		cache_free(cache_bytes() - budget_bytes);
}

static void follow(struct baro_client *client, long news)
{
	struct baro_pressure now;

	memset(&now, 0, sizeof(now));
	while (news-- && baro_client_wait(client, &now, BARO_PAGE_NONE) == 0) {
		if (now.release_bytes)
			cache_free(now.release_bytes);
		cache_limit(now.budget_bytes);
		baro_client_set_reclaimable(client, cache_bytes());
		baro_client_acknowledge(client, now.grant_epoch);
		printf("%s: budget %" PRIu64 " release %" PRIu64 " cache %" PRIu64 "\n",
		       baro_source_name(baro_client_source(client)), now.budget_bytes,
		       now.release_bytes, cache_bytes());
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;
	long news = argc > 2 ? strtol(argv[2], NULL, 10) : -1;
	struct baro_client *client;

	if (cache_fill(mib) < 0 || baro_client_open(NULL, &client) < 0)
		return 1;
	baro_client_set_reclaimable(client, cache_bytes());
	follow(client, news);
	baro_client_close(client);
	free(block);
	return 0;
}
