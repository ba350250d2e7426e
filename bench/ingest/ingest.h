/* SPDX-License-Identifier: BSD-2-Clause */
/* What was measured, between who measures and who reports. */
#ifndef BENCH_INGEST_H
#define BENCH_INGEST_H

#include <stdbool.h>
#include <stdint.h>

#define ROUNDS_MAX 99

enum cell { QUIET, UNMANAGED, LATENCY, BALANCED, BULK_INGEST, CELLS };

extern const struct cell_kind {
	const char *name, *what;
	bool writes, managed;
	uint32_t mode; /* enum baro_admission_mode */
} cells[CELLS];

struct result {
	double p50_us, p99_us, records_per_s;
	double quiet_p99_us; /* of the same cell, right before anybody wrote */
};

struct bench {
	const char *dir, *json;
	unsigned int rounds, seconds;
	struct result result[CELLS][ROUNDS_MAX];
};

/* Prints the table, and writes the JSON where it is wanted. The exit status. */
int report(const struct bench *b);

#endif
