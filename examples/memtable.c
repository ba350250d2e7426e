// SPDX-License-Identifier: BSD-2-Clause
/*
 * Two column families under one write budget: each table is as large as its writes and the pressure
 * on this engine make it, and the two together stay within the budget.
 *
 *	cc memtable.c $(pkg-config --cflags --libs libbarostat) -o memtable
 *	./memtable [BUDGET_MIB [SECONDS]]
 *
 * One writes four times as fast as the other. Every flush is a line.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <barostat/client.h>
#include <barostat/memtable.h>

#define SECOND_NS UINT64_C(1000000000)
#define STEP_NS   (SECOND_NS / 20)

struct family {
	const char *name;
	uint64_t bytes_per_s;
	struct baro_memtable *table;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

static void write_to(struct family *f, uint64_t bytes)
{
	uint64_t sealed;

	baro_memtable_record_write(f->table, bytes);
	if (!baro_memtable_should_flush(f->table, baro_memtable_held(f->table)))
		return;
	sealed = baro_memtable_rotate(f->table);
	/* here an engine writes it to disk, and frees it */
	printf("%s: flushed %" PRIu64 " KiB\n", f->name, sealed >> 10);
	baro_memtable_flushed(f->table, sealed);
}

int main(int argc, char **argv)
{
	uint64_t budget = (argc > 1 ? strtoull(argv[1], NULL, 10) : 16) << 20, end;
	struct family family[] = { { "slow", 4 << 20, NULL }, { "fast", 16 << 20, NULL } };
	const struct timespec step = { 0, (long)STEP_NS };
	struct baro_memtable_group *group;
	struct baro_client *client;
	struct baro_pressure now;

	if (baro_client_open(NULL, &client) < 0 || baro_memtable_group_open(budget, &group) < 0)
		return 1;
	for (int i = 0; i < 2; i++)
		if (baro_memtable_open(NULL, group, &family[i].table) < 0)
			return 1;
	end = now_ns() + (argc > 2 ? strtoull(argv[2], NULL, 10) : 5) * SECOND_NS;
	while (now_ns() < end) {
		for (int i = 0; i < 2; i++)
			write_to(&family[i], family[i].bytes_per_s / 20);
		memset(&now, 0, sizeof(now)); /* no pressure where it cannot be read */
		baro_client_read(client, &now);
		baro_memtable_group_update(group, now_ns(), &now);
		nanosleep(&step, NULL);
	}
	for (int i = 0; i < 2; i++)
		baro_memtable_close(family[i].table);
	baro_memtable_group_close(group);
	baro_client_close(client);
	return 0;
}
