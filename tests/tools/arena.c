/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the memory of arenas is, on a machine of several nodes. For each node a thread of that node
 * opens arenas, and a thread of another node than the arena's is the first to touch what is
 * allocated from them. Threads that open one on a node by its number, or want to be pinned, may run
 * everywhere before.
 *
 *   arena: a line "KIND opened-on N arena-on N touched-on M pages ON-NODE-0 ON-NODE-1 ... stays-on
 *          N" for each, of where the opener may run afterwards (-1: on several)
 */
#include <errno.h>
#include <inttypes.h>
#include <numa.h>
#include <numaif.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/barostat/arena.h"
#include "user/common/units.h"

#define BLOCK_BYTES ((size_t)64 * 1024)
#define BLOCKS      128
#define PAGE        4096
#define PAGES       (BLOCKS * BLOCK_BYTES / PAGE)
#define NODES_MAX   8

struct
try {
	const char *kind;
	struct baro_arena_options options;
	int opener, toucher; /* nodes */
	struct baro_arena *arena;
	char *block[BLOCKS];
	uint32_t node;
	int stays_on;
};

static void give_up(const char *what)
{
	fprintf(stderr, "arena: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The only node this thread may run on, or -1. */
static int only_node(void)
{
	struct bitmask *nodes = numa_get_run_node_mask();
	int only = -1;

	if (!nodes)
		give_up("run node mask");
	for (int i = 0; i <= numa_max_node() && numa_bitmask_weight(nodes) == 1; i++)
		if (numa_bitmask_isbitset(nodes, (unsigned int)i))
			only = i;
	numa_bitmask_free(nodes);
	return only;
}

static void *open_on_node(void *arg)
{
	struct try *t = arg;
	struct baro_arena_counts c;

	if (numa_run_on_node(t->opener) < 0)
		give_up("run on node");
	if (t->options.flags & (BARO_ARENA_NODE | BARO_ARENA_PIN) && numa_run_on_node(-1) < 0)
		give_up("run anywhere");
	errno = -baro_arena_open(&t->options, &t->arena);
	if (errno)
		give_up("open");
	for (int i = 0; i < BLOCKS; i++)
		t->block[i] = baro_arena_alloc(t->arena, BLOCK_BYTES);
	if (baro_arena_read(t->arena, &c) < 0 || c.misplaced)
		give_up("misplaced");
	t->node = c.node;
	t->stays_on = only_node();
	return NULL;
}

static void *touch_on_node(void *arg)
{
	struct try *t = arg;

	if (numa_run_on_node(t->toucher) < 0)
		give_up("run on node");
	for (int i = 0; i < BLOCKS; i++)
		memset(t->block[i], i + 1, BLOCK_BYTES);
	return NULL;
}

static void run(void *(*body)(void *), struct try *t)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, t) || pthread_join(thread, NULL))
		give_up("thread");
}

/* Asks the kernel, page by page. */
static void print_pages(const struct try *t, int nodes)
{
	static void *page[PAGES];
	static int where[PAGES];
	uint64_t on[NODES_MAX] = { 0 };
	size_t n = 0;

	for (int i = 0; i < BLOCKS; i++)
		for (size_t at = 0; at < BLOCK_BYTES; at += PAGE)
			page[n++] = t->block[i] + at;
	if (move_pages(0, n, page, NULL, where, 0) < 0)
		give_up("move_pages");
	for (size_t i = 0; i < n; i++)
		if (where[i] >= 0 && where[i] < nodes)
			on[where[i]]++;
	printf("%s opened-on %d arena-on %" PRId32 " touched-on %d pages", t->kind, t->opener,
	       (int32_t)t->node, t->toucher);
	for (int i = 0; i < nodes; i++)
		printf(" %" PRIu64, on[i]);
	printf(" stays-on %d\n", t->stays_on);
}

int main(void)
{
	static const struct {
		const char *kind;
		uint32_t flags;
	} kinds[] = { { "here", 0 },
		      { "strict", BARO_ARENA_STRICT },
		      { "shared", BARO_ARENA_SHARED },
		      { "unbound", BARO_ARENA_UNBOUND },
		      { "pin", BARO_ARENA_PIN },
		      { "other-node", BARO_ARENA_NODE },
		      { "pin-other", BARO_ARENA_NODE | BARO_ARENA_PIN } };
	int nodes;

	if (numa_available() < 0)
		give_up("no nodes");
	nodes = numa_max_node() + 1;
	if (nodes > NODES_MAX)
		nodes = NODES_MAX;
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (int node = 0; node < nodes; node++) {
			int next = (node + 1) % nodes;
			struct try t = { .kind = kinds[k].kind,
					 .options = { .size = sizeof(t.options),
						      .flags = kinds[k].flags,
						      .node = (uint32_t)next },
					 .opener = node,
					 .toucher = next };

			run(open_on_node, &t);
			if (t.node == (uint32_t)next)
				t.toucher = node;
			run(touch_on_node, &t);
			print_pages(&t, nodes);
			baro_arena_close(t.arena);
		}
	return 0;
}
