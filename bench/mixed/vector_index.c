/* SPDX-License-Identifier: BSD-2-Clause */
/* Making an index of vectors with the answers to some queries, and searching one list of it. */
#include <assert.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/mixed/mixed.h"
#include "bench/mixed/vector_index.h"

#define SEED   UINT64_C(20011)
#define SPREAD 1.3f /* of vectors around their centre: neighbours in other lists are common */

typedef float lanes __attribute__((vector_size(16), aligned(4), may_alias));

/* In [-1, 1), the sum of four: bell-shaped. */
static float noise(uint64_t *random)
{
	uint64_t r = next_random(random);
	int sum = 0;

	for (int i = 0; i < 4; i++)
		sum += (int)(uint16_t)(r >> (16 * i));
	return (float)(sum - 2 * 65535) / (2 * 65535.0f);
}

void index_centre(uint64_t seed, uint32_t list, float *ret_centre)
{
	uint64_t random = mix(seed + list);

	for (int i = 0; i < DIMENSIONS; i++)
		ret_centre[i] = noise(&random);
}

static void near_centre(const float *centre, uint64_t *random, float *ret_vector)
{
	for (int i = 0; i < DIMENSIONS; i++)
		ret_vector[i] = centre[i] + SPREAD * noise(random);
}

void index_query(uint64_t seed, uint32_t list, uint64_t *random, float *ret_query)
{
	float centre[DIMENSIONS];

	index_centre(seed, list, centre);
	near_centre(centre, random, ret_query);
}

float index_distance(const float *a, const float *b)
{
	lanes sum0 = { 0 }, sum1 = { 0 };

	for (int i = 0; i < DIMENSIONS; i += 8) {
		lanes d0 = *(const lanes *)(a + i) - *(const lanes *)(b + i);
		lanes d1 = *(const lanes *)(a + i + 4) - *(const lanes *)(b + i + 4);

		sum0 += d0 * d0;
		sum1 += d1 * d1;
	}
	sum0 += sum1;
	return (sum0[0] + sum0[1]) + (sum0[2] + sum0[3]);
}

static bool nearer(const struct neighbour *a, const struct neighbour *b)
{
	return a->distance < b->distance || (a->distance == b->distance && a->id < b->id);
}

static void note(struct nearest *best, float distance, uint32_t id)
{
	struct neighbour n = { distance, id };
	uint32_t i = best->count < NEIGHBOURS ? best->count++ : NEIGHBOURS - 1;

	for (; i && nearer(&n, &best->of[i - 1]); i--)
		best->of[i] = best->of[i - 1];
	best->of[i] = n;
}

void index_scan(const float *vectors, uint32_t first_id, const float *query, struct nearest *best)
{
	for (uint32_t i = 0; i < LIST_VECTORS; i++) {
		float d = index_distance(vectors + (size_t)i * DIMENSIONS, query);

		if (best->count < NEIGHBOURS || d <= best->of[NEIGHBOURS - 1].distance)
			note(best, d, first_id + i);
	}
}

void index_probe(const float *centres, uint32_t lists, const float *query,
		 uint32_t ret_list[PROBES])
{
	struct nearest best = { .count = 0 };

	static_assert(PROBES <= NEIGHBOURS, "the nearest centres are found like vectors");
	for (uint32_t i = 0; i < lists; i++) {
		float d = index_distance(centres + (size_t)i * DIMENSIONS, query);

		if (best.count < PROBES || d < best.of[PROBES - 1].distance)
			note(&best, d, i);
	}
	for (uint32_t i = 0; i < PROBES; i++)
		ret_list[i] = best.of[i].id;
}

/* ---- making ---------------------------------------------------------------------------------- */

struct question {
	float query[DIMENSIONS];
	uint32_t list[PROBES];
	struct nearest all, probed;
};

static bool looks_into(const struct question *q, uint32_t list)
{
	for (int i = 0; i < PROBES; i++)
		if (q->list[i] == list)
			return true;
	return false;
}

static void answer(struct question *q, const float *vectors, uint32_t list)
{
	for (int i = 0; i < TRUTHS; i++) {
		index_scan(vectors, list * LIST_VECTORS, q[i].query, &q[i].all);
		if (looks_into(&q[i], list))
			index_scan(vectors, list * LIST_VECTORS, q[i].query, &q[i].probed);
	}
}

static void write_or_die(FILE *out, const void *data, size_t bytes, const char *path)
{
	if (fwrite(data, 1, bytes, out) != bytes)
		err(1, "%s", path);
}

static void write_truth(const char *path, const struct index_header *h, const struct question *q)
{
	char name[4096];
	FILE *out;

	snprintf(name, sizeof(name), "%s.truth", path);
	out = fopen(name, "we");
	if (!out)
		err(1, "%s", name);
	write_or_die(out, h, sizeof(*h), name);
	for (int i = 0; i < TRUTHS; i++) {
		struct truth t;

		memcpy(t.query, q[i].query, sizeof(t.query));
		for (int k = 0; k < NEIGHBOURS; k++) {
			t.true_id[k] = q[i].all.of[k].id;
			t.found_id[k] = q[i].probed.of[k].id;
		}
		write_or_die(out, &t, sizeof(t), name);
	}
	if (fclose(out))
		err(1, "%s", name);
}

/* Questions to every part of the index. */
static void ask(struct question *q, const struct index_header *h)
{
	float *centres = calloc(h->lists, VECTOR_BYTES);
	uint64_t random = mix(h->seed + 1);

	if (!centres)
		errx(1, "out of memory");
	for (uint32_t i = 0; i < h->lists; i++)
		index_centre(h->seed, i, centres + (size_t)i * DIMENSIONS);
	for (uint32_t i = 0; i < TRUTHS; i++) {
		index_query(h->seed, (uint32_t)(i * h->lists / TRUTHS), &random, q[i].query);
		index_probe(centres, (uint32_t)h->lists, q[i].query, q[i].list);
	}
	free(centres);
}

void vector_fill(const char *path, uint64_t bytes)
{
	const struct index_header header = { .lists = bytes / LIST_BYTES + 1, .seed = SEED };
	struct question *q = calloc(TRUTHS, sizeof(*q));
	float *vectors = malloc(LIST_BYTES), centre[DIMENSIONS];
	uint64_t random = mix(SEED + 2);
	FILE *out = fopen(path, "we");

	if (!out)
		err(1, "%s", path);
	if (!q || !vectors)
		errx(1, "out of memory");
	ask(q, &header);
	for (uint32_t list = 0; list < header.lists; list++) {
		index_centre(header.seed, list, centre);
		for (uint32_t i = 0; i < LIST_VECTORS; i++)
			near_centre(centre, &random, vectors + (size_t)i * DIMENSIONS);
		answer(q, vectors, list);
		write_or_die(out, vectors, LIST_BYTES, path);
	}
	if (fclose(out))
		err(1, "%s", path);
	write_truth(path, &header, q);
	free(vectors);
	free(q);
}
