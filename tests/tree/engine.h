/* SPDX-License-Identifier: BSD-2-Clause */
/* What an engine has at hand where it calls the library: for the examples in the public headers. */
#ifndef TESTS_TREE_ENGINE_H
#define TESTS_TREE_ENGINE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <barostat/arena.h>
#include <barostat/barostat.h>

/* of the library, made elsewhere */
extern struct baro_client *client;
extern struct baro_metrics *metrics;
extern struct baro_overflow *region;
extern struct baro_registry *indexes;
extern struct baro_relief *relief;
extern struct baro_relief_options options;
extern struct baro_pressure now;

extern uint64_t now_ns, bytes, length, row_bytes, run_bytes, sorter_bytes, budget_bytes;
extern uint64_t wanted_bytes, freed_bytes;
extern int connection, running;
extern void *buffer, *record, *row, *sorted, *engine, *cache;
extern char buf[4096];

int try_later(uint64_t ns);
int give_up(const char *why);
void die(const char *why);
void insert(void *record, uint64_t order);
int receive(int socket, void *message, size_t message_bytes, struct baro_demand **ret_page);

uint64_t cache_bytes(void);
uint64_t cache_evictions(void);
void cache_free(uint64_t bytes);
void cache_limit(uint64_t bytes);
void cache_shrink_to(uint64_t bytes);
uint64_t mapped(void);
uint64_t skiplist_bytes(void);
void flush_to_disk(void);
bool work_to_do(void);
bool next_row(void);
void merge(void *run);
void write_runs(uint64_t bytes);
void read_runs(uint64_t bytes);
void search(void *index);
int map_index(void *arg, const struct baro_index *index, void **ret_object, uint64_t *ret_bytes);
void unmap_index(void *arg, const struct baro_index *index, void *object);

#endif
