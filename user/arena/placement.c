// SPDX-License-Identifier: BSD-2-Clause
/*
 * NUMA nodes: which one, whether there is a choice, and the policy of memory. Of libnuma only the
 * system calls: the rest of it ends the process when it has no memory for an answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <numaif.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/arena/arena_internal.h"

#define BITS       (8 * sizeof(unsigned long))
#define CPU_SETS   8 /* of 1024 */
#define PATH_BYTES 512
#ifndef NODE_DIR
#define NODE_DIR "/sys/devices/system/node"
#endif

/* The nodes this process may have memory on. */
struct allowed {
	unsigned long mask[NODES_MAX / BITS];
};

/* False: a kernel without nodes, or one that does not let us ask (and then not place either). */
static bool read_allowed(struct allowed *ret)
{
	memset(ret, 0, sizeof(*ret));
	return get_mempolicy(NULL, ret->mask, NODES_MAX, NULL, MPOL_F_MEMS_ALLOWED) == 0;
}

static bool is_allowed(const struct allowed *a, uint32_t node)
{
	return node < NODES_MAX && a->mask[node / BITS] >> node % BITS & 1;
}

/* More than one; otherwise there is nothing to place. */
static bool has_choice(const struct allowed *a)
{
	int nodes = 0;

	for (size_t i = 0; i < NODES_MAX / BITS; i++)
		nodes += __builtin_popcountl(a->mask[i]);
	return nodes > 1;
}

static uint32_t node_here(void)
{
	unsigned int node;

	return getcpu(NULL, &node) < 0 ? 0 : node;
}

int placement_choose(const struct baro_arena_options *options, struct placement *ret)
{
	const bool named = options->flags & BARO_ARENA_NODE;
	struct placement p = { .node = BARO_ARENA_NO_NODE };
	struct allowed allowed;
	uint32_t node;

	if (options->flags & BARO_ARENA_UNBOUND) {
		*ret = p;
		return 0;
	}
	if (!read_allowed(&allowed)) { /* it has memory all the same */
		if (named && options->node)
			return -ENODEV;
		*ret = p;
		return 0;
	}
	node = named ? options->node : node_here();
	if (is_allowed(&allowed, node))
		p.node = node;
	else if (named) /* a processor's node may have no memory, or none for us */
		return -ENODEV;
	if (p.node != BARO_ARENA_NO_NODE && has_choice(&allowed)) {
		p.policy = options->flags & BARO_ARENA_STRICT ? MPOL_BIND : MPOL_PREFERRED;
		p.mask[p.node / BITS] = 1ul << (p.node % BITS);
	}
	*ret = p;
	return 0;
}

bool placement_apply(const struct placement *p, void *memory, size_t bytes)
{
	/* MPOL_DEFAULT (0): there is no choice */
	return !p->policy || mbind(memory, bytes, p->policy, p->mask, NODES_MAX, 0) == 0;
}

/* "0-3,8-11" and a newline. What is too high for the set is left out. */
static void parse_cpus(const char *p, cpu_set_t *set, size_t bytes)
{
	while (*p >= '0' && *p <= '9') {
		char *end;
		unsigned long from = strtoul(p, &end, 10), to = from;

		if (*end == '-')
			to = strtoul(end + 1, &end, 10);
		for (unsigned long n = from; n <= to && n < 8 * bytes; n++)
			CPU_SET_S(n, bytes, set);
		if (*end != ',')
			return;
		p = end + 1;
	}
}

static int read_cpus(uint32_t node, cpu_set_t *set, size_t bytes)
{
	char path[PATH_BYTES], list[4096];
	ssize_t len;
	int fd, error;

	snprintf(path, sizeof(path), "%s/node%u/cpulist", NODE_DIR, node);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = read(fd, list, sizeof(list) - 1);
	error = len < 0 ? -errno : 0;
	close(fd);
	if (error)
		return error;
	list[len] = '\0';
	parse_cpus(list, set, bytes);
	return 0;
}

int placement_pin(const struct placement *p)
{
	cpu_set_t cpus[CPU_SETS];
	int error;

	if (p->node == BARO_ARENA_NO_NODE)
		return 0;
	memset(cpus, 0, sizeof(cpus));
	error = read_cpus(p->node, cpus, sizeof(cpus));
	if (error)
		return error;
	return sched_setaffinity(0, sizeof(cpus), cpus) < 0 ? -errno : 0;
}
