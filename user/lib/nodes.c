// SPDX-License-Identifier: BSD-2-Clause
/* Which node has which processors, how much memory, and how far it is from the others. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/lib/cpu.h"
#include "user/lib/nodes.h"

#define PATH_BYTES 512
#define TEXT_BYTES 16384
#define KB_BYTES   UINT64_C(1024)
#define FAR        255u /* a distance that is not said */

/* A set of numbers below NODE_CPUS_MAX. */
struct set {
	uint64_t bits[NODE_CPUS_MAX / 64];
};

static bool has(const struct set *s, uint32_t n)
{
	return n < NODE_CPUS_MAX && s->bits[n / 64] >> n % 64 & 1;
}

/* Where it is read from. */
struct source {
	const char *dir;
	char *text; /* TEXT_BYTES: what was read last, NUL-terminated */
	int error; /* the first; what was read then and since is not all there is */
};

/* It is not there, or hidden from us, or its node has just been removed. */
static bool is_not_said(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ENODEV || error == EACCES ||
	       error == EPERM;
}

static bool fail_to_read(struct source *s, int error)
{
	if (!s->error && !is_not_said(error))
		s->error = -error;
	*s->text = '\0';
	return false;
}

/* False when there is nothing. */
static bool read_text(struct source *s, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error;
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return fail_to_read(s, errno);
	while (len < TEXT_BYTES - 1 && (n = read(fd, s->text + len, TEXT_BYTES - 1 - len)) > 0)
		len += (size_t)n;
	error = errno;
	close(fd);
	if (n < 0)
		return fail_to_read(s, error);
	s->text[len] = '\0';
	return len > 0;
}

static bool read_node_text(struct source *s, uint32_t id, const char *name)
{
	char path[PATH_BYTES];
	int n = snprintf(path, sizeof(path), "%s/node%u/%s", s->dir, id, name);

	return n > 0 && (size_t)n < sizeof(path) && read_text(s, path);
}

/* "0-3,8" and a newline or the end. What is too high is left out, what is malformed ends it. */
static void parse_set(const char *p, struct set *ret)
{
	memset(ret, 0, sizeof(*ret));
	while (*p >= '0' && *p <= '9') {
		char *end;
		unsigned long from = strtoul(p, &end, 10), to = from;

		if (*end == '-')
			to = strtoul(end + 1, &end, 10);
		for (unsigned long n = from; n <= to && n < NODE_CPUS_MAX; n++)
			ret->bits[n / 64] |= UINT64_C(1) << n % 64;
		if (*end != ',')
			return;
		p = end + 1;
	}
}

static void read_set(struct source *s, const char *name, struct set *ret)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	parse_set(read_text(s, path) ? s->text : "", ret);
}

/* Which nodes' memory the process may use; all, when that is not said. */
static void read_allowed(struct source *s, const char *status_file, struct set *ret)
{
	static const char key[] = "Mems_allowed_list:";
	const char *line = read_text(s, status_file) ? strstr(s->text, key) : NULL;

	memset(ret, 0xff, sizeof(*ret));
	if (line)
		parse_set(line + strlen(key) + strspn(line + strlen(key), " \t"), ret);
}

/* "Node 0 MemTotal:  8131556 kB" */
static uint64_t node_bytes(struct source *s, uint32_t id)
{
	const char *at = read_node_text(s, id, "meminfo") ? strstr(s->text, "MemTotal:") : NULL;

	return at ? strtoull(at + strlen("MemTotal:"), NULL, 10) * KB_BYTES : 0;
}

/* How far the node `to` is: the numbers in its distance file are those of the nodes online. */
static void node_distances(struct source *s, uint32_t from, const struct set *online,
			   uint8_t *ret_by_id)
{
	char *p = s->text, *end;

	memset(ret_by_id, FAR, NODE_CPUS_MAX);
	if (!read_node_text(s, from, "distance"))
		return;
	for (uint32_t id = 0; id < NODE_CPUS_MAX; id++, p = end) {
		unsigned long d;

		end = p;
		if (!has(online, id))
			continue;
		d = strtoul(p, &end, 10);
		if (end == p)
			return;
		ret_by_id[id] = (uint8_t)(d < FAR ? d : FAR);
	}
}

/* Fills near[] of one node: itself, then by distance, then by number. */
static void sort_near(struct nodes *n, uint32_t from, const uint8_t *by_id)
{
	uint8_t *near = n->near[from];

	for (uint32_t i = 0; i < n->count; i++) {
		uint32_t d = i == from ? 0 : by_id[n->id[i]], at = i;

		while (at && d < (near[at - 1] == from ? 0 : by_id[n->id[near[at - 1]]])) {
			near[at] = near[at - 1];
			at--;
		}
		near[at] = (uint8_t)i;
	}
}

/* The processors of node `id`, which has memory of its own or stands for `index`. */
static void take_cpus(struct nodes *n, struct source *s, uint32_t id, uint32_t index)
{
	struct set cpus;

	if (!read_node_text(s, id, "cpulist"))
		return;
	parse_set(s->text, &cpus);
	for (uint32_t cpu = 0; cpu < NODE_CPUS_MAX; cpu++) {
		if (!has(&cpus, cpu))
			continue;
		n->of_cpu[cpu] = (uint8_t)index;
		if (n->cpus <= cpu)
			n->cpus = cpu + 1;
	}
}

/* The usable node that is nearest to one that is not. */
static uint32_t stand_in(const struct nodes *n, const uint8_t *by_id)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < n->count; i++)
		if (by_id[n->id[i]] < by_id[n->id[best]])
			best = i;
	return best;
}

static void read_nodes(struct nodes *n, struct source *s, const char *status_file)
{
	struct set online, memory, allowed;
	uint8_t by_id[NODE_CPUS_MAX];

	read_set(s, "online", &online);
	read_set(s, "has_memory", &memory);
	read_allowed(s, status_file, &allowed);
	for (uint32_t id = 0; id < NODE_CPUS_MAX && n->count < NODES_MAX; id++) {
		if (!has(&online, id) || !has(&memory, id) || !has(&allowed, id))
			continue;
		n->bytes[n->count] = node_bytes(s, id);
		if (n->bytes[n->count])
			n->id[n->count++] = id;
	}
	for (uint32_t i = 0, id = 0; id < NODE_CPUS_MAX && n->count; id++) {
		if (!has(&online, id))
			continue;
		node_distances(s, id, &online, by_id);
		if (i < n->count && n->id[i] == id) {
			sort_near(n, i, by_id);
			take_cpus(n, s, id, i++);
		} else {
			take_cpus(n, s, id, stand_in(n, by_id));
		}
	}
}

int nodes_read(const char *dir, const char *status_file, struct nodes **ret_nodes)
{
	struct source s = { .dir = dir, .text = malloc(TEXT_BYTES) };
	struct nodes *n = calloc(1, sizeof(*n));

	if (!n || !s.text)
		s.error = -ENOMEM;
	else
		read_nodes(n, &s, status_file);
	free(s.text);
	if (s.error) {
		free(n);
		return s.error;
	}
	if (!n->count) {
		n->count = 1;
		n->bytes[0] = 1; /* all there is */
	}
	*ret_nodes = n;
	return 0;
}

uint32_t nodes_here(const struct nodes *nodes)
{
	uint32_t cpu = cpu_here();

	return cpu < nodes->cpus ? nodes->of_cpu[cpu] : 0;
}

int nodes_index(const struct nodes *nodes, uint32_t id, uint32_t *ret_index)
{
	for (uint32_t i = 0; i < nodes->count; i++) {
		if (nodes->id[i] == id) {
			*ret_index = i;
			return 0;
		}
	}
	return -ENODEV;
}
