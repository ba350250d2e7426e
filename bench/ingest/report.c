// SPDX-License-Identifier: BSD-2-Clause
/* What came out of the rounds: medians, ratios within a round, and the figures. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/ingest/ingest.h"

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, unsigned int n)
{
	qsort(v, n, sizeof(*v), by_size);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

enum what { P50, P99, SLOWDOWN, RECORDS };

static double value_of(const struct result *r, enum what what)
{
	switch (what) {
	case P50:
		return r->p50_us;
	case P99:
		return r->p99_us;
	case SLOWDOWN:
		return r->p99_us / r->quiet_p99_us;
	case RECORDS:
		break;
	}
	return r->records_per_s;
}

static double median_of(const struct bench *b, enum cell cell, enum what what)
{
	double v[ROUNDS_MAX];

	for (unsigned int i = 0; i < b->rounds; i++)
		v[i] = value_of(&b->result[cell][i], what);
	return median(v, b->rounds);
}

/* Of two cells of the same round, whatever else the machine did in that one. */
static double ratio_of(const struct bench *b, enum cell cell, enum cell to, enum what what)
{
	double v[ROUNDS_MAX];

	for (unsigned int i = 0; i < b->rounds; i++)
		v[i] = value_of(&b->result[cell][i], what) / value_of(&b->result[to][i], what);
	return median(v, b->rounds);
}

struct figure {
	const char *name;
	double value, bound;
	bool at_least;
};

static bool met(const struct figure *f)
{
	return f->at_least ? f->value >= f->bound : f->value <= f->bound;
}

static void print_table(const struct bench *b, const struct figure *f, unsigned int n)
{
	printf("%-12s %10s %10s %12s %12s\n", "cell", "p50 us", "p99 us", "x before", "records/s");
	for (unsigned int i = 0; i < CELLS; i++)
		printf("%-12s %10.0f %10.0f %12.2f %12.0f  %s\n", cells[i].name,
		       median_of(b, i, P50), median_of(b, i, P99), median_of(b, i, SLOWDOWN),
		       median_of(b, i, RECORDS), cells[i].what);
	for (unsigned int i = 0; i < n; i++)
		printf("%-52s %7.2f  (%s %.2f) %s\n", f[i].name, f[i].value,
		       f[i].at_least ? "at least" : "at most", f[i].bound,
		       met(&f[i]) ? "met" : "MISSED");
}

static void print_json(const struct bench *b, const struct figure *f, unsigned int n)
{
	FILE *out = fopen(b->json, "we");

	if (!out)
		err(1, "%s", b->json);
	fprintf(out, "{\"bench\":\"ingest\",\"rounds\":%u,\"seconds\":%u,\"cells\":{", b->rounds,
		b->seconds);
	for (unsigned int i = 0; i < CELLS; i++)
		fprintf(out,
			"%s\"%s\":{\"p50_us\":%.1f,\"p99_us\":%.1f,\"p99_of_before\":%.3f,"
			"\"records_per_s\":%.0f}",
			i ? "," : "", cells[i].name, median_of(b, i, P50), median_of(b, i, P99),
			median_of(b, i, SLOWDOWN), median_of(b, i, RECORDS));
	fprintf(out, "},\"figures\":[");
	for (unsigned int i = 0; i < n; i++)
		fprintf(out, "%s{\"name\":\"%s\",\"value\":%.3f,\"%s\":%.2f,\"met\":%s}",
			i ? "," : "", f[i].name, f[i].value, f[i].at_least ? "at_least" : "at_most",
			f[i].bound, met(&f[i]) ? "true" : "false");
	fprintf(out, "]}\n");
	if (fclose(out))
		err(1, "%s", b->json);
}

int report(const struct bench *b)
{
	const struct figure f[] = {
		{ "unmanaged, p99 of reads, times before", median_of(b, UNMANAGED, SLOWDOWN), 5,
		  true },
		{ "latency, p99 of reads, times before", median_of(b, LATENCY, SLOWDOWN), 1.5,
		  false },
		{ "bulk_ingest, records, of unmanaged",
		  ratio_of(b, BULK_INGEST, UNMANAGED, RECORDS), 0.95, true },
	};
	unsigned int n = sizeof(f) / sizeof(f[0]);

	print_table(b, f, n);
	if (b->json)
		print_json(b, f, n);
	if (!met(&f[0]))
		return 2;
	return met(&f[1]) && met(&f[2]) ? 0 : 1;
}
