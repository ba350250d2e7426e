// SPDX-License-Identifier: BSD-2-Clause
/*
 * A sort that keeps to a budget: it spills sorted runs to a file the kernel can write out, and
 * merges them in the end.
 *
 *	cc spill.c $(pkg-config --cflags --libs libbarostat) -o spill
 *	./spill NUMBERS BUDGET_KIB
 *
 * The budget is counted here; an engine would take budget_bytes of its pressure.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <barostat/overflow.h>
#include <barostat/spill.h>

#define RUNS_MAX 1024

struct sorter {
	struct baro_overflow *region;
	struct baro_spill spill;
	uint64_t budget_bytes;
	uint32_t *row; /* in memory, and as many as the budget allows */
	size_t rows;
	struct run {
		uint32_t *row;
		size_t rows, next;
	} run[RUNS_MAX];
	size_t runs;
};

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* What is in memory becomes a sorted run; where there is no room for it, that is an error. */
static int spill_rows(struct sorter *s)
{
	size_t bytes = s->rows * sizeof(*s->row);
	void *to;

	if (s->runs == RUNS_MAX || baro_overflow_alloc(s->region, bytes, &to) < 0)
		return -1;
	qsort(s->row, s->rows, sizeof(*s->row), compare);
	memcpy(to, s->row, bytes);
	s->run[s->runs].row = to;
	s->run[s->runs].next = 0;
	s->run[s->runs++].rows = s->rows;
	baro_spill_note_spilled(&s->spill, bytes);
	s->rows = 0;
	return baro_overflow_evict(s->region, to) < 0 ? -1 : 0;
}

static int sort_in(struct sorter *s, uint32_t row)
{
	uint64_t used_bytes = (s->rows + 1) * sizeof(*s->row);

	s->row[s->rows++] = row;
	return baro_spill_by_use(&s->spill, used_bytes, s->budget_bytes) == BARO_SPILL_OUT
		   ? spill_rows(s)
		   : 0;
}

/* The least of all runs, or NULL at the end. */
static const uint32_t *next_of(struct sorter *s)
{
	struct run *least = NULL;
	size_t i;

	for (i = 0; i < s->runs; i++) {
		struct run *r = &s->run[i];

		if (r->next < r->rows && (!least || r->row[r->next] < least->row[least->next]))
			least = r;
	}
	return least ? &least->row[least->next++] : NULL;
}

static int sort(struct sorter *s, size_t numbers)
{
	struct baro_overflow_counts c;
	const uint32_t *row;
	uint32_t x = 1, before = 0;
	size_t i, sorted = 0;

	for (i = 0; i < numbers; i++, x = x * 1664525 + 1013904223)
		if (sort_in(s, x) < 0)
			return -1;
	if (s->rows && spill_rows(s) < 0)
		return -1;
	for (; (row = next_of(s)) && *row >= before; before = *row)
		sorted++;
	baro_overflow_read(s->region, &c);
	printf("%zu of %zu numbers sorted in %zu runs, %" PRIu64 " bytes in the file\n", sorted,
	       numbers, s->runs, c.file_bytes);
	return sorted == numbers ? 0 : -1;
}

int main(int argc, char **argv)
{
	size_t numbers = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
	static struct sorter s;
	int r = 1;

	s.budget_bytes = (argc > 2 ? strtoul(argv[2], NULL, 10) : 1024) << 10;
	s.row = malloc(s.budget_bytes + sizeof(*s.row));
	if (s.row && s.budget_bytes && baro_spill_init(&s.spill, NULL) == 0 &&
	    baro_overflow_open(NULL, &s.region) == 0) {
		r = sort(&s, numbers) < 0;
		if (r)
			fprintf(stderr, "spill: no room left for another run\n");
		baro_overflow_close(s.region);
	}
	free(s.row);
	return r;
}
