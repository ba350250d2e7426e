/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opens the sensors without the daemon, for tests: each CGROUP-DIR is an engine, in the slots from
 * 0 on. Then one command per line on stdin, one line of JSON per command on stdout: state what is
 * on, by which variant, and why not read             walk, then the readings of all slots, and the
 * events since the last read arm SLOT         the next stall onset of the slot makes an event
 *   remove SLOT      the engine leaves
 *   add SLOT DIR     an engine comes
 *   rest reuse, wake reuse   it counts nothing, or goes on; ns that it took
 *   cost N           N walks and readings of all slots: ns of one
 *   rss              VmRSS in kB
 * Options: --walk-root DIR (default: the parent of the first CGROUP-DIR), --slots N, --hybrid,
 * --ceiling BYTES and --ghosts N, which size the ghost table.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/daemon/sensors.h"

#define SLOTS_MAX 8192

struct dump {
	struct sensors *sensors;
	uint32_t slots;
	bool used[SLOTS_MAX];
	struct sensor_reading
	    reading[SLOTS_MAX]; /* kept from one to the next, as the daemon does */
	int walk_root_fd;
	json_t *events;
};

static const char *const event_name[] = { "stall-onset", "oom-victim", "cgroup-gone",
					  "cgroup-new" };
static const char *const cause_name[] = { "direct_reclaim", "high_throttle", "refault", "swap_in" };

static json_t *array_of(const uint64_t *values, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, json_integer((json_int_t)values[i]));
	return a;
}

/* Without the zeros at the end: of long ones. */
static json_t *head_of(const uint64_t *values, size_t n)
{
	while (n && !values[n - 1])
		n--;
	return array_of(values, n);
}

static void on_event(void *arg, const struct sensor_event *e)
{
	struct dump *d = arg;

	json_array_append_new(
	    d->events, json_pack("{s:s s:i s:I s:I s:i s:i}", "kind", event_name[e->kind], "slot",
				 e->slot, "time_ns", (json_int_t)e->time_ns, "cgroup_id",
				 (json_int_t)e->cgroup_id, "pid", e->pid, "cause", e->cause));
}

static json_t *state(const struct dump *d)
{
	const struct sensor_state *s = sensors_describe(d->sensors);
	json_t *o = json_object();

	for (int i = 0; i < SENSOR_COUNT; i++)
		json_object_set_new(o, s[i].name,
				    json_pack("{s:s s:s}", "variant",
					      sensor_variant_name(s[i].variant), "why", s[i].why));
	return o;
}

static json_t *stalls(const struct sensor_reading *r)
{
	json_t *o = json_object();

	for (int i = 0; i < STALL_CAUSES; i++)
		json_object_set_new(o, cause_name[i],
				    json_pack("{s:I s:I s:o}", "count",
					      (json_int_t)r->stall_count[i], "ns",
					      (json_int_t)r->stall_ns[i], "latency",
					      array_of(r->stall_latency[i], LATENCY_BINS)));
	return o;
}

static json_t *reading(const struct sensor_reading *r)
{
	json_t *o = json_object();

#define PUT(field) json_object_set_new(o, #field, json_integer((json_int_t)r->field))
	PUT(valid), PUT(walk_valid), PUT(children);
	PUT(majfault_count), PUT(majfault_ns);
	PUT(evictions), PUT(ghost_sample_shift), PUT(ghost_evictions), PUT(ghost_refaults);
	PUT(ghost_unknown);
	PUT(accesses), PUT(first_accesses), PUT(reuse_sample_shift);
	PUT(reclaim_scanned_pages), PUT(reclaim_stolen_pages), PUT(direct_reclaims);
	PUT(oom_kills);
	PUT(usage_bytes), PUT(max_bytes), PUT(high_bytes), PUT(low_bytes), PUT(swap_bytes);
	PUT(anon_bytes), PUT(file_bytes), PUT(shmem_bytes), PUT(file_mapped_bytes);
	PUT(file_dirty_bytes), PUT(file_writeback_bytes), PUT(kernel_bytes);
	PUT(unevictable_bytes);
	PUT(pgfault), PUT(pgmajfault), PUT(refault_anon), PUT(refault_file), PUT(pgscan);
	PUT(pgsteal);
	PUT(psi_memory_some_ns), PUT(psi_memory_full_ns), PUT(psi_io_some_ns);
	PUT(psi_io_full_ns);
	PUT(events_high), PUT(events_max), PUT(events_oom_kill);
#undef PUT
	json_object_set_new(o, "majfault_latency", array_of(r->majfault_latency, LATENCY_BINS));
	json_object_set_new(o, "stalls", stalls(r));
	json_object_set_new(o, "ghost_distance", array_of(r->ghost_distance, DISTANCE_BINS));
	json_object_set_new(o, "reused", head_of(r->reused, REUSE_BINS));
	json_object_set_new(o, "beyond",
			    json_pack("{s:I s:I s:I}", "accesses", (json_int_t)r->beyond.accesses,
				      "missed", (json_int_t)r->beyond.missed, "looked",
				      (json_int_t)r->beyond.looked));
	json_object_set_new(o, "missed", head_of(r->missed, REUSE_BINS));
	return o;
}

static json_t *read_all(struct dump *d)
{
	json_t *o = json_object(), *slots = json_object();
	char key[16];

	json_object_set_new(o, "walk", json_integer(sensors_walk(d->sensors, d->walk_root_fd)));
	for (uint32_t i = 0; i < d->slots; i++) {
		if (!d->used[i])
			continue;
		sensors_read(d->sensors, i, &d->reading[i]);
		snprintf(key, sizeof(key), "%u", i);
		json_object_set_new(slots, key, reading(&d->reading[i]));
	}
	d->events = json_array();
	sensors_drain(d->sensors, on_event, d);
	json_object_set_new(o, "slots", slots);
	json_object_set_new(o, "events", d->events);
	json_object_set_new(o, "dropped", json_integer((json_int_t)sensors_dropped(d->sensors)));
	return o;
}

static json_t *add(struct dump *d, uint32_t slot, const char *dir)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int err;

	if (fd < 0 || fstat(fd, &st) < 0)
		return json_pack("{s:i}", "error", -errno);
	if (slot < SLOTS_MAX)
		memset(&d->reading[slot], 0, sizeof(d->reading[slot]));
	err = sensors_add(d->sensors, slot, fd, st.st_ino, st.st_ino);
	if (!err)
		d->used[slot] = true;
	return json_pack("{s:i s:I}", "error", err, "cgroup_id", (json_int_t)st.st_ino);
}

static json_t *rest(struct dump *d, bool rests)
{
	uint64_t begin = clock_now_ns();
	int err = sensors_rest(d->sensors, SENSOR_REUSE, rests);

	return json_pack("{s:i, s:I}", "error", err, "ns", (json_int_t)(clock_now_ns() - begin));
}

static json_t *cost(struct dump *d, uint32_t rounds)
{
	uint64_t best_walk = UINT64_MAX, best_read = UINT64_MAX, engines = 0;

	for (uint32_t round = 0; round < rounds; round++) {
		uint64_t begin = clock_now_ns(), walked, done;

		sensors_walk(d->sensors, d->walk_root_fd);
		walked = clock_now_ns();
		engines = 0;
		for (uint32_t i = 0; i < d->slots; i++) {
			if (d->used[i]) {
				sensors_read(d->sensors, i, &d->reading[i]);
				engines++;
			}
		}
		done = clock_now_ns();
		best_walk = walked - begin < best_walk ? walked - begin : best_walk;
		best_read = done - walked < best_read ? done - walked : best_read;
	}
	return json_pack("{s:I s:I s:I}", "engines", (json_int_t)engines, "walk_ns",
			 (json_int_t)best_walk, "read_ns", (json_int_t)best_read);
}

static json_t *rss(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kb = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmRSS: %ld", &kb) == 1)
			break;
	}
	return json_pack("{s:I}", "rss_kb", (json_int_t)kb);
}

static json_t *obey(struct dump *d, const char *line)
{
	char dir[4096];
	uint32_t n;

	if (strcmp(line, "state\n") == 0)
		return state(d);
	if (strcmp(line, "read\n") == 0)
		return read_all(d);
	if (strcmp(line, "rss\n") == 0)
		return rss();
	if (sscanf(line, "cost %u", &n) == 1)
		return cost(d, n);
	if (sscanf(line, "add %u %4095s", &n, dir) == 2 && n < d->slots)
		return add(d, n, dir);
	if (sscanf(line, "remove %u", &n) == 1 && n < d->slots) {
		d->used[n] = false;
		return json_pack("{s:i}", "error", sensors_remove(d->sensors, n));
	}
	if (strcmp(line, "rest reuse\n") == 0 || strcmp(line, "wake reuse\n") == 0)
		return rest(d, line[0] == 'r');
	if (sscanf(line, "arm %u", &n) == 1 && n < d->slots) {
		sensors_arm(d->sensors, n);
		return json_pack("{s:i}", "error", 0);
	}
	return json_pack("{s:s}", "error", "unknown command");
}

static int usage(void)
{
	fputs("usage: sensor_dump [--walk-root DIR] [--slots N] [--hybrid] CGROUP-DIR...\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct sensors_options options = { .size = sizeof(options), .slots = 16 };
	static struct dump d = { .walk_root_fd = -1 };
	const char *walk_root = NULL;
	char line[4200], parent[4096];
	int first, err;

	for (first = 1; first < argc && argv[first][0] == '-'; first++) {
		if (strcmp(argv[first], "--hybrid") == 0)
			options.hybrid = true;
		else if (strcmp(argv[first], "--walk-root") == 0 && first + 1 < argc)
			walk_root = argv[++first];
		else if (strcmp(argv[first], "--slots") == 0 && first + 1 < argc)
			options.slots = (uint32_t)atoi(argv[++first]);
		else if (strcmp(argv[first], "--ceiling") == 0 && first + 1 < argc)
			options.ceiling_bytes = strtoull(argv[++first], NULL, 0);
		else if (strcmp(argv[first], "--ghosts") == 0 && first + 1 < argc)
			options.ghost_entries = (uint32_t)atoi(argv[++first]);
		else
			return usage();
	}
	if (first >= argc || !options.slots || options.slots > SLOTS_MAX ||
	    (uint32_t)(argc - first) > options.slots)
		return usage();
	snprintf(parent, sizeof(parent), "%s", argv[first]);
	d.walk_root_fd = open(walk_root ? walk_root : dirname(parent), O_RDONLY | O_DIRECTORY);
	if (!options.ceiling_bytes)
		options.ceiling_bytes = 1ull << 30;
	d.slots = options.slots;
	err = sensors_open(&options, &d.sensors);
	if (err) {
		fprintf(stderr, "sensors_open: %s\n", strerror(-err));
		return 1;
	}
	for (int i = first; i < argc; i++) {
		json_t *o = add(&d, (uint32_t)(i - first), argv[i]);

		err = (int)json_integer_value(json_object_get(o, "error"));
		json_decref(o);
		if (err) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-err));
			return 1;
		}
	}
	while (fgets(line, sizeof(line), stdin)) {
		json_t *o = obey(&d, line);

		json_dumpf(o, stdout, JSON_COMPACT);
		putchar('\n');
		fflush(stdout);
		json_decref(o);
	}
	sensors_close(d.sensors);
	return 0;
}
