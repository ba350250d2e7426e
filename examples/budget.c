// SPDX-License-Identifier: BSD-2-Clause
/*
 * Two engines of one process under one ceiling: <barostat/budget.h> and <barostat/governor.h>.
 *
 *	cc budget.c $(pkg-config --cflags --libs libbarostat) -o budget
 *	./budget [SECONDS]
 *
 * "ingest" sleeps, "query" wants more than its share. Once a second the governor looks where the
 * ceiling is now (the daemon's, or the cgroup's own limits), compares what is reserved with what is
 * resident, and moves memory to where it is wanted. One line per second.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <barostat/client.h>
#include <barostat/governor.h>

#define MIB UINT64_C(1048576)

struct piece {
	struct baro_reservation held; /* as long as the memory */
	char *memory;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Permission first, then the memory. */
static int piece_get(struct baro_budget *engine, size_t bytes, struct piece *p)
{
	struct baro_refusal why;
	char words[BARO_REFUSAL_WORDS_MAX];

	if (baro_budget_reserve(engine, bytes, &p->held, &why) < 0) {
		printf("  %s\n", baro_refusal_words(&why, words, sizeof(words)));
		return -1;
	}
	p->memory = malloc(bytes);
	if (!p->memory) {
		baro_reservation_release(&p->held);
		return -1;
	}
	memset(p->memory, 1, bytes);
	return 0;
}

/* The memory first, then the permission. */
static void piece_put(struct piece *p)
{
	free(p->memory);
	baro_reservation_release(&p->held);
}

static void tend(struct baro_governor *gov, struct baro_client *client)
{
	struct baro_pressure pressure;
	uint64_t rss;

	if (baro_client_read(client, &pressure) == 0)
		baro_governor_follow(gov, &pressure);
	if (baro_rss_read(&rss) == 0)
		baro_governor_reconcile(gov, rss, now_ns());
	baro_governor_rebalance(gov, now_ns());
}

static void show(struct baro_governor *gov)
{
	struct baro_engine_stats engine[2];
	struct baro_governor_stats all;
	size_t n = baro_governor_list(gov, engine, 2);

	baro_governor_read(gov, &all);
	printf("%s, %" PRIu64 " MiB reserved, drift %s", baro_level_name(all.level),
	       all.used_bytes / MIB, baro_drift_name(all.drift));
	for (size_t i = 0; i < n; i++)
		printf("; %s %" PRIu64 " of %" PRIu64 " MiB", engine[i].name,
		       engine[i].used_bytes / MIB, engine[i].limit_bytes / MIB);
	printf("\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 6;
	struct piece piece[64];
	struct baro_budget *ingest, *query;
	struct baro_governor *gov;
	struct baro_client *client;
	size_t pieces = 0;

	if (baro_client_open(NULL, &client) < 0 || baro_governor_open(64 * MIB, &gov) < 0 ||
	    baro_governor_add(gov, NULL, "ingest", 0, 4 * MIB, 32 * MIB, BARO_PAGE_NONE, &ingest) <
		0 ||
	    baro_governor_add(gov, NULL, "query", 0, 4 * MIB, 32 * MIB, BARO_PAGE_NONE, &query) < 0)
		return 1;
	for (int s = 0; s < seconds; s++) {
		while (pieces < 64 && piece_get(query, MIB, &piece[pieces]) == 0)
			pieces++;
		tend(gov, client);
		show(gov);
		sleep(1);
	}
	while (pieces)
		piece_put(&piece[--pieces]);
	baro_client_close(client);
	return baro_governor_close(gov) < 0; /* nothing was forgotten */
}
