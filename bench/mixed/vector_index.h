/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index of the vector engine: an inverted file. Vectors around a centre are one list, contiguous
 * in the file and a whole number of pages; a search looks into the lists of the nearest centres.
 *
 * Beside it, PATH.truth has queries with what they must find: the true neighbours, by comparing with
 * every vector, and those in the lists that a search looks into. Both were computed as the file was
 * made, from memory that was never under pressure.
 */
#ifndef BENCH_MIXED_VECTOR_INDEX_H
#define BENCH_MIXED_VECTOR_INDEX_H

#include <stddef.h>
#include <stdint.h>

#define DIMENSIONS   64
#define VECTOR_BYTES (DIMENSIONS * sizeof(float))
#define LIST_VECTORS 1024
#define LIST_BYTES   (LIST_VECTORS * VECTOR_BYTES)
#define PROBES       4 /* lists that a search looks into */
#define NEIGHBOURS   10
#define TRUTHS       128

struct neighbour {
	float distance;
	uint32_t id;
};

/* The nearest so far, nearest first; among equals the lower id. */
struct nearest {
	struct neighbour of[NEIGHBOURS];
	uint32_t count;
};

struct truth {
	float query[DIMENSIONS];
	uint32_t true_id[NEIGHBOURS];
	uint32_t found_id[NEIGHBOURS];
};

struct index_header {
	uint64_t lists;
	uint64_t seed;
};

/* The centre of a list: it is computed, not stored. */
void index_centre(uint64_t seed, uint32_t list, float *ret_centre);

/* A query near a list's centre. */
void index_query(uint64_t seed, uint32_t list, uint64_t *random, float *ret_query);

/* The lists of the PROBES nearest centres, of `lists` in all. */
void index_probe(const float *centres, uint32_t lists, const float *query,
		 uint32_t ret_list[PROBES]);

/* Compares with every vector of a list, the first of which has this id. */
void index_scan(const float *vectors, uint32_t first_id, const float *query, struct nearest *best);

float index_distance(const float *a, const float *b);

#endif
