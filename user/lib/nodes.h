/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's memory nodes, as far as this process may use them: from /sys, without libnuma. */
#ifndef BAROSTAT_LIB_NODES_H
#define BAROSTAT_LIB_NODES_H

#include <stdint.h>

#define NODES_MAX     64u
#define NODE_CPUS_MAX 4096u

struct nodes {
	uint32_t count;
	uint32_t cpus; /* how many of `of_cpu` are known */
	uint32_t id[NODES_MAX]; /* as in /sys/devices/system/node/nodeID */
	uint64_t bytes[NODES_MAX];
	uint8_t near[NODES_MAX]
		    [NODES_MAX]; /* indices, from the nearest, which is the node itself */
	uint8_t of_cpu[NODE_CPUS_MAX]; /* indices */
};

/*
 * Reads the nodes that have memory and are among the Mems_allowed_list of a /proc/PID/status; of
 * processors of other nodes, the nearest one. Nodes beyond NODES_MAX are left out. Where there is
 * no such directory (a kernel without NUMA), or none that we may see, one node. -ENOMEM, -EMFILE,
 * -ENFILE, -EIO, ...: what is there could not be read.
 */
int nodes_read(const char *dir, const char *status_file, struct nodes **ret_nodes);

/* The index of the caller's node. */
uint32_t nodes_here(const struct nodes *nodes);

/* The index of a node by its number; -ENODEV. */
int nodes_index(const struct nodes *nodes, uint32_t id, uint32_t *ret_index);

#endif
