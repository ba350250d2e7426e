/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the sensors add to a minor page fault of an engine's task. Root.
 *
 *	build/bench/fault_cost [--json] [--rounds N] [--each]
 *
 * A worker in a cgroup that is an engine touches fresh anonymous memory, and the pages of a mapped
 * file that is all in the page cache. Cells: nothing attached, twice (their difference is what this
 * bench cannot tell apart); one sensor attached that never fires (attaching alone moves code
 * about); all default sensors; with --each every sensor by itself. Every round goes through all
 * cells in a shuffled order, opens and closes the sensors for each, settles, and takes the best of a
 * few passes. Shown: medians over rounds, and each cell's difference to "none" taken round by round.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "bench/added.h"
#include "cgroup/cgroup.h"
#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/daemon/sensors.h"

#define PAGE_BYTES   4096ul
#define AREA_BYTES   (16ul << 20)
#define PASSES       5
#define ROUNDS       40
#define ROUNDS_MAX   ADDED_ROUNDS_MAX
#define SETTLE_US    30000
#define ALL_LEFT_OUT ((1u << SENSOR_COUNT) - 1)
#define ONLY(id)     (ALL_LEFT_OUT & ~(1u << (id)))

enum kind { ANON, FILE_MAPPED, KINDS };

static const char *const kind_name[KINDS] = { "anon", "file" };

static const struct cell {
	const char *name;
	uint32_t left_out;
	bool each; /* with --each only */
} cells[] = {
	{ "none", ALL_LEFT_OUT, false },
	{ "none again", ALL_LEFT_OUT, false },
	{ "attached, idle", ONLY(SENSOR_OOM), false },
	{ "default sensors", 0, false },
	{ "walk", ONLY(SENSOR_WALK), true },
	{ "faults", ONLY(SENSOR_FAULTS), true },
	{ "stalls", ONLY(SENSOR_STALLS), true },
	{ "refaults", ONLY(SENSOR_REFAULTS), true },
	{ "reclaim", ONLY(SENSOR_RECLAIM), true },
	{ "reuse", ONLY(SENSOR_REUSE), true },
	{ "children", ONLY(SENSOR_CHILDREN), true },
};

#define CELLS ARRAY_SIZE(cells)

/* ns of one fault, x 1000: [cell][kind][round] */
static uint64_t cost[CELLS][KINDS][ROUNDS_MAX];

struct bench {
	struct cg_backend *backend;
	char cgroup[64];
	struct cg_node *node;
	bool hybrid;
	pid_t worker;
	int ask[2], answer[2];
};

static void die(const char *what, int err)
{
	fprintf(stderr, "fault_cost: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

/* -- the worker -- */

static long minor_faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

static uint64_t touch(int fd)
{
	uint64_t begin, ns, sum = 0;
	long faults;
	char *p = mmap(NULL, AREA_BYTES, fd < 0 ? PROT_READ | PROT_WRITE : PROT_READ,
		       fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die("mmap", errno);
	madvise(p, AREA_BYTES, MADV_NOHUGEPAGE);
	faults = minor_faults();
	begin = added_cpu_time_ns();
	for (size_t at = 0; at < AREA_BYTES; at += PAGE_BYTES) {
		if (fd < 0)
			*(volatile char *)(p + at) = 1;
		else
			sum += (uint64_t) * (volatile char *)(p + at);
	}
	ns = added_cpu_time_ns() - begin;
	faults = minor_faults() - faults;
	munmap(p, AREA_BYTES);
	return faults > 0 ? ns * 1000 / (uint64_t)faults : 0;
}

static int make_cached_file(void)
{
	FILE *f = tmpfile();
	static char page[PAGE_BYTES];

	if (!f)
		die("tmpfile", errno);
	for (size_t at = 0; at < AREA_BYTES; at += PAGE_BYTES) {
		page[0] = (char)at;
		if (fwrite(page, PAGE_BYTES, 1, f) != 1)
			die("tmpfile", errno);
	}
	fflush(f);
	return fileno(f);
}

static void work(struct bench *b)
{
	uint64_t best[KINDS];
	char command;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(b->ask[0], &command, 1) != 1) /* we are in the cgroup now */
		_exit(1);
	fd = make_cached_file();
	if (write(b->answer[1], &command, 1) != 1)
		_exit(1);
	while (read(b->ask[0], &command, 1) == 1) {
		for (int kind = 0; kind < KINDS; kind++) {
			best[kind] = UINT64_MAX;
			for (int pass = 0; pass < PASSES; pass++) {
				uint64_t c = touch(kind == ANON ? -1 : fd);

				best[kind] = c < best[kind] ? c : best[kind];
			}
		}
		if (write(b->answer[1], best, sizeof(best)) != sizeof(best))
			_exit(1);
	}
	_exit(0);
}

/* -- the bench -- */

static void setup(struct bench *b)
{
	struct cg_options options = { .size = sizeof(options) };
	const char *why = "";
	bool created;
	char byte = 0;
	int err = cg_backend_open(&options, &b->backend, &why);

	if (err)
		die(why, err);
	b->hybrid = cg_backend_abilities(b->backend)->kind == CG_KIND_HYBRID;
	snprintf(b->cgroup, sizeof(b->cgroup), "barostat-bench-faults-%d", getpid());
	err = cg_create(b->backend, b->cgroup, &created);
	if (!err)
		err = cg_node_open(b->backend, b->cgroup, &b->node);
	if (err)
		die(b->cgroup, err);
	if (pipe(b->ask) < 0 || pipe(b->answer) < 0)
		die("pipe", errno);
	b->worker = fork();
	if (b->worker == 0)
		work(b);
	err = b->worker < 0 ? -errno : cg_attach(b->backend, b->cgroup, b->worker);
	if (err)
		die("worker", err);
	if (write(b->ask[1], &byte, 1) != 1 || read(b->answer[0], &byte, 1) != 1)
		die("worker", EPIPE);
}

static void teardown(struct bench *b)
{
	int err = -EBUSY;

	kill(b->worker, SIGKILL);
	waitpid(b->worker, NULL, 0);
	cg_node_close(b->node);
	for (int i = 0; i < 100 && err == -EBUSY; i++) {
		err = cg_delete(b->backend, b->cgroup);
		if (err == -EBUSY)
			usleep(20000); /* the worker is still being taken apart */
	}
	if (err)
		fprintf(stderr, "fault_cost: %s stays behind: %s\n", b->cgroup, strerror(-err));
	cg_backend_close(b->backend);
}

static void measure(struct bench *b, size_t cell, unsigned int round)
{
	struct sensors_options options = {
		.size = sizeof(options),
		.slots = 16,
		.hybrid = b->hybrid,
		.ceiling_bytes = 1ull << 30,
		.left_out = cells[cell].left_out,
	};
	struct sensors *sensors;
	uint64_t best[KINDS];
	char byte = 0;
	int err = sensors_open(&options, &sensors);

	if (!err)
		err = sensors_add(sensors, 0, cg_node_dirfd(b->node), cg_node_id(b->node),
				  cg_node_psi_id(b->node));
	if (err)
		die("sensors", err);
	usleep(SETTLE_US);
	if (write(b->ask[1], &byte, 1) != 1 ||
	    read(b->answer[0], best, sizeof(best)) != sizeof(best))
		die("worker", EPIPE);
	sensors_close(sensors);
	for (int kind = 0; kind < KINDS; kind++)
		cost[cell][kind][round] = best[kind];
}

static struct added result_of(size_t cell, int kind, unsigned int rounds)
{
	return added_of(cost[cell][kind], cost[0][kind], rounds);
}

static void print_variants(json_t *ret_json)
{
	struct sensors_options options = { .size = sizeof(options), .slots = 1 };
	const struct sensor_state *state;
	struct sensors *sensors;

	if (sensors_open(&options, &sensors))
		return;
	state = sensors_describe(sensors);
	for (int i = 0; i < SENSOR_COUNT; i++) {
		if (ret_json)
			json_object_set_new(ret_json, state[i].name,
					    json_string(sensor_variant_name(state[i].variant)));
		else
			printf("%s%s: %s", i ? ", " : "sensors: ", state[i].name,
			       sensor_variant_name(state[i].variant));
	}
	if (!ret_json)
		putchar('\n');
	sensors_close(sensors);
}

static void print_table(unsigned int rounds, bool each)
{
	print_variants(NULL);
	printf("%-5s %-16s %9s %9s %19s %7s\n", "fault", "attached", "ns", "added ns", "quartiles",
	       "ratio");
	for (int kind = 0; kind < KINDS; kind++) {
		for (size_t c = 0; c < CELLS; c++) {
			struct added r = result_of(c, kind, rounds);

			if (!cells[c].each || each)
				printf("%-5s %-16s %9.1f %+9.1f %+9.1f %+9.1f %7.4f\n",
				       kind_name[kind], cells[c].name, r.ns, r.added_ns,
				       r.added_low_ns, r.added_high_ns, r.ratio);
		}
	}
}

static void print_json(unsigned int rounds, bool each)
{
	json_t *out = json_object(), *variants = json_object(), *rows = json_array();

	print_variants(variants);
	for (int kind = 0; kind < KINDS; kind++) {
		for (size_t c = 0; c < CELLS; c++) {
			struct added r = result_of(c, kind, rounds);

			if (!cells[c].each || each)
				json_array_append_new(
				    rows, json_pack("{s:s s:s s:f s:f s:f s:f s:f}", "fault",
						    kind_name[kind], "attached", cells[c].name,
						    "ns", r.ns, "added_ns", r.added_ns,
						    "added_low_ns", r.added_low_ns, "added_high_ns",
						    r.added_high_ns, "ratio", r.ratio));
		}
	}
	json_object_set_new(out, "bench", json_string("fault_cost"));
	json_object_set_new(out, "rounds", json_integer(rounds));
	json_object_set_new(out, "sensors", variants);
	json_object_set_new(out, "rows", rows);
	json_dumpf(out, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(out);
}

static void run(struct bench *b, unsigned int rounds, bool each)
{
	size_t order[CELLS], n = 0;

	for (size_t c = 0; c < CELLS; c++) {
		if (!cells[c].each || each)
			order[n++] = c;
	}
	srand(1);
	for (unsigned int round = 0; round < rounds; round++) {
		added_shuffle(order, n);
		for (size_t i = 0; i < n; i++)
			measure(b, order[i], round);
	}
}

int main(int argc, char **argv)
{
	struct bench b = { .worker = -1 };
	unsigned int rounds = ROUNDS;
	bool json = false, each = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (strcmp(argv[i], "--each") == 0)
			each = true;
		else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
			rounds = (unsigned int)atoi(argv[++i]);
		else
			rounds = 0;
	}
	if (!rounds || rounds > ROUNDS_MAX) {
		fputs("usage: fault_cost [--json] [--rounds N] [--each]\n", stderr);
		return 2;
	}
	setup(&b);
	run(&b, rounds, each);
	teardown(&b);
	if (json)
		print_json(rounds, each);
	else
		print_table(rounds, each);
	return 0;
}
