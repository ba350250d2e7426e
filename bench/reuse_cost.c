/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the reuse sensor adds to a read() that finds all in the page cache. Root.
 *
 *	build/bench/reuse_cost [--json] [--rounds N] [--ceiling BYTES]
 *
 * A process reads blocks of 4, 8 and 64 KiB of a file, in random order. Cells: nothing attached,
 * twice (their difference is what this bench cannot tell apart); one sensor attached that never
 * fires (attaching alone moves code about); the reuse sensor with the process outside all engines,
 * and in one. Every round goes through all cells in a shuffled order, opens and closes the sensors
 * for each, settles, and takes the best of a few passes. Shown: medians over rounds, and each
 * cell's difference to "none" taken round by round. The ceiling (1 GiB) decides how many pages are
 * followed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "bench/added.h"
#include "cgroup/cgroup.h"
#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/daemon/sensors.h"

#define FILE_BYTES   (16u << 20)
#define PASS_BYTES   (32u << 20)
#define PASSES       5
#define ROUNDS       40
#define SETTLE_US    30000
#define ALL_LEFT_OUT ((1u << SENSOR_COUNT) - 1)
#define ONLY(id)     (ALL_LEFT_OUT & ~(1u << (id)))

static const uint32_t block_bytes[] = { 4096, 8192, 65536 };

#define BLOCKS ARRAY_SIZE(block_bytes)

static const struct cell {
	const char *name;
	uint32_t left_out;
	bool outside; /* no cgroup is an engine */
} cells[] = {
	{ "none", ALL_LEFT_OUT, false },
	{ "none again", ALL_LEFT_OUT, false },
	{ "attached, idle", ONLY(SENSOR_OOM), false },
	{ "reuse, outside", ONLY(SENSOR_REUSE), true },
	{ "reuse, engine", ONLY(SENSOR_REUSE), false },
};

#define CELLS ARRAY_SIZE(cells)

/* ns of one read, x 1000: [cell][block][round] */
static uint64_t cost[CELLS][BLOCKS][ADDED_ROUNDS_MAX];

struct bench {
	struct cg_backend *backend;
	char cgroup[64];
	struct cg_node *node;
	bool hybrid, json;
	unsigned int rounds;
	uint64_t ceiling_bytes;
	int fd; /* of the file */
	uint32_t sample_shift;
	const char *variant; /* of the reuse sensor */
};

static void die(const char *what, int err)
{
	fprintf(stderr, "reuse_cost: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

static int make_cached_file(void)
{
	static char buffer[65536];
	FILE *f = tmpfile();

	if (!f)
		die("tmpfile", errno);
	for (uint32_t at = 0; at < FILE_BYTES; at += sizeof(buffer)) {
		if (fwrite(buffer, sizeof(buffer), 1, f) != 1)
			die("tmpfile", errno);
	}
	fflush(f);
	return fileno(f);
}

/* ns x 1000 of one read */
static uint64_t read_blocks(int fd, uint32_t bytes)
{
	static char buffer[65536];
	uint32_t reads = PASS_BYTES / bytes, random = 1;
	uint64_t begin = added_cpu_time_ns();

	for (uint32_t i = 0; i < reads; i++) {
		random = random * 1664525 + 1013904223;
		if (pread(fd, buffer, bytes, (random >> 8) % (FILE_BYTES / bytes) * (off_t)bytes) !=
		    (ssize_t)bytes)
			die("pread", errno);
	}
	return (added_cpu_time_ns() - begin) * 1000 / reads;
}

static void measure(struct bench *b, size_t cell, unsigned int round)
{
	struct sensors_options options = {
		.size = sizeof(options),
		.slots = 16,
		.hybrid = b->hybrid,
		.ceiling_bytes = b->ceiling_bytes,
		.left_out = cells[cell].left_out,
	};
	struct sensor_reading reading = { 0 };
	struct sensors *sensors;
	int err = sensors_open(&options, &sensors);

	if (!err && !cells[cell].outside)
		err = sensors_add(sensors, 0, cg_node_dirfd(b->node), cg_node_id(b->node),
				  cg_node_psi_id(b->node));
	if (err)
		die("sensors", err);
	usleep(SETTLE_US);
	for (size_t block = 0; block < BLOCKS; block++) {
		uint64_t best = UINT64_MAX;

		for (int pass = 0; pass < PASSES; pass++) {
			uint64_t c = read_blocks(b->fd, block_bytes[block]);

			best = c < best ? c : best;
		}
		cost[cell][block][round] = best;
	}
	if (cell == CELLS - 1 && !sensors_read(sensors, 0, &reading)) {
		b->sample_shift = reading.reuse_sample_shift;
		b->variant = sensor_variant_name(sensors_describe(sensors)[SENSOR_REUSE].variant);
	}
	sensors_close(sensors);
}

static void run(struct bench *b)
{
	size_t order[CELLS];

	for (size_t c = 0; c < CELLS; c++)
		order[c] = c;
	srand(1);
	for (unsigned int round = 0; round < b->rounds; round++) {
		added_shuffle(order, CELLS);
		for (size_t i = 0; i < CELLS; i++)
			measure(b, order[i], round);
	}
}

static void print_table(const struct bench *b)
{
	printf("reuse: %s, 1 page in %u followed\n", b->variant, 1u << b->sample_shift);
	printf("%6s %-16s %9s %9s %19s %7s\n", "bytes", "attached", "ns", "added ns", "quartiles",
	       "ratio");
	for (size_t block = 0; block < BLOCKS; block++) {
		for (size_t c = 0; c < CELLS; c++) {
			struct added a = added_of(cost[c][block], cost[0][block], b->rounds);

			printf("%6u %-16s %9.1f %+9.1f %+9.1f %+9.1f %7.4f\n", block_bytes[block],
			       cells[c].name, a.ns, a.added_ns, a.added_low_ns, a.added_high_ns,
			       a.ratio);
		}
	}
}

static void print_json(const struct bench *b)
{
	json_t *out, *rows = json_array();

	for (size_t block = 0; block < BLOCKS; block++) {
		for (size_t c = 0; c < CELLS; c++) {
			struct added a = added_of(cost[c][block], cost[0][block], b->rounds);

			json_array_append_new(
			    rows,
			    json_pack("{s:i s:s s:f s:f s:f s:f s:f}", "bytes",
				      (int)block_bytes[block], "attached", cells[c].name, "ns",
				      a.ns, "added_ns", a.added_ns, "added_low_ns", a.added_low_ns,
				      "added_high_ns", a.added_high_ns, "ratio", a.ratio));
		}
	}
	out = json_pack("{s:s s:i s:s s:i s:o}", "bench", "reuse_cost", "rounds", (int)b->rounds,
			"variant", b->variant, "sample_shift", (int)b->sample_shift, "rows", rows);
	json_dumpf(out, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(out);
}

/* All of the bench is in a child, which ends: so its cgroup can be removed. */
static void work(struct bench *b, int go_on)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(go_on, &byte, 1) != 1) /* we are in the cgroup now */
		exit(1);
	b->fd = make_cached_file();
	run(b);
	if (b->json)
		print_json(b);
	else
		print_table(b);
	exit(0);
}

static void make_cgroup(struct bench *b)
{
	struct cg_options options = { .size = sizeof(options) };
	const char *why = "";
	bool created;
	int err = cg_backend_open(&options, &b->backend, &why);

	if (err)
		die(why, err);
	b->hybrid = cg_backend_abilities(b->backend)->kind == CG_KIND_HYBRID;
	snprintf(b->cgroup, sizeof(b->cgroup), "barostat-bench-reuse-%d", getpid());
	err = cg_create(b->backend, b->cgroup, &created);
	if (!err)
		err = cg_node_open(b->backend, b->cgroup, &b->node);
	if (err)
		die(b->cgroup, err);
}

static void remove_cgroup(struct bench *b)
{
	int err = -EBUSY;

	cg_node_close(b->node);
	for (int i = 0; i < 100 && err == -EBUSY; i++) {
		err = cg_delete(b->backend, b->cgroup);
		if (err == -EBUSY)
			usleep(20000); /* the child is still being taken apart */
	}
	if (err)
		fprintf(stderr, "reuse_cost: %s stays behind: %s\n", b->cgroup, strerror(-err));
	cg_backend_close(b->backend);
}

static bool parse(int argc, char **argv, struct bench *b)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			b->json = true;
		else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
			b->rounds = (unsigned int)atoi(argv[++i]);
		else if (strcmp(argv[i], "--ceiling") == 0 && i + 1 < argc)
			b->ceiling_bytes = strtoull(argv[++i], NULL, 0);
		else
			return false;
	}
	return b->rounds && b->rounds <= ADDED_ROUNDS_MAX && b->ceiling_bytes;
}

int main(int argc, char **argv)
{
	struct bench b = { .rounds = ROUNDS, .ceiling_bytes = 1ull << 30 };
	int go_on[2], status = 0, err;
	pid_t child;

	if (!parse(argc, argv, &b)) {
		fputs("usage: reuse_cost [--json] [--rounds N] [--ceiling BYTES]\n", stderr);
		return 2;
	}
	make_cgroup(&b);
	if (pipe(go_on) < 0)
		die("pipe", errno);
	child = fork();
	if (child == 0)
		work(&b, go_on[0]);
	err = child < 0 ? -errno : cg_attach(b.backend, b.cgroup, child);
	if (!err && write(go_on[1], "", 1) != 1)
		err = -errno;
	if (err && child > 0)
		kill(child, SIGKILL);
	if (child > 0)
		waitpid(child, &status, 0);
	remove_cgroup(&b);
	if (err)
		die("child", err);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
