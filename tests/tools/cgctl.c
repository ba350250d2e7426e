/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The functions of cgroup/cgroup.h as commands, so that tests can try each against real cgroups.
 * Prints facts as key=value; an error is printed by name (EBUSY) and makes the exit status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cgroup/cgroup.h"
#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/common/units.h"

static struct cg_backend *backend;

static const char *const limit_names[CG_LIMIT_COUNT] = { "min", "low", "high", "max" };
static const char *const stat_names[CG_STAT_COUNT] = {
	"anon",           "file",    "shmem",       "file_mapped",  "file_dirty",
	"file_writeback", "kernel",  "unevictable", "swap",         "active_file",
	"inactive_file",  "pgfault", "pgmajfault",  "refault_anon", "refault_file",
	"pgscan",         "pgsteal"
};

static int fail(int r)
{
	fflush(stdout); /* facts first */
	fprintf(stderr, "cgctl: %s\n", strerrorname_np(-r));
	return 1;
}

static uint64_t bytes_arg(const char *text)
{
	uint64_t bytes;

	if (!strcmp(text, "max"))
		return BYTES_NO_LIMIT;
	if (units_parse_size(text, &bytes) < 0) {
		fprintf(stderr, "cgctl: %s is not a size\n", text);
		exit(2);
	}
	return bytes;
}

static enum cg_limit limit_arg(const char *text)
{
	for (unsigned int i = 0; i < CG_LIMIT_COUNT; i++)
		if (!strcmp(text, limit_names[i]))
			return i;
	fprintf(stderr, "cgctl: %s is not a limit\n", text);
	exit(2);
}

static void print_bytes(const char *key, uint64_t bytes)
{
	if (bytes == BYTES_NO_LIMIT)
		printf("%s=max\n", key);
	else
		printf("%s=%" PRIu64 "\n", key, bytes);
}

static void cleanup_node(struct cg_node **n)
{
	cg_node_close(*n);
}

#define _cleanup_node_ _cleanup_(cleanup_node)

/* -- commands -- */

static int cmd_abilities(char **argv)
{
	static const char *const kinds[] = { "v2", "hybrid", "null" };
	const struct cg_abilities *a = cg_backend_abilities(backend);

	printf("kind=%s\nbeneath=%s\nwritable=%d\nhas_low=%d\nhas_reclaim=%d\n", kinds[a->kind],
	       kinds[a->beneath], a->writable, a->has_low, a->has_reclaim);
	printf("reclaim_swappiness=%d\nhas_psi=%d\nhas_swap=%d\npsi_any_window=%d\n",
	       a->reclaim_swappiness, a->has_psi, a->has_swap, a->psi_any_window);
	printf("hierarchy_id=%u\nmemory_mount=%s\npsi_mount=%s\n", a->memory_hierarchy_id,
	       a->memory_mount, a->psi_mount);
	return 0;
}

static int cmd_create(char **argv)
{
	bool created;
	int r = cg_create(backend, argv[0], &created);

	if (!r)
		printf("created=%d\n", created);
	return r;
}

static int cmd_delete(char **argv)
{
	return cg_delete(backend, argv[0]);
}

static int cmd_attach(char **argv)
{
	return cg_attach(backend, argv[0], atoi(argv[1]));
}

static int cmd_path(char **argv)
{
	char path[CG_PATH_MAX];
	int r = cg_path_of_pid(backend, atoi(argv[0]), path, sizeof(path));

	if (r >= 0)
		printf("path=%s\n", path);
	return r;
}

static int cmd_exists(char **argv)
{
	printf("exists=%d\n", cg_exists(backend, argv[0]));
	return 0;
}

static int show_sizes(struct cg_node *n)
{
	struct cg_limits limits = { 0 };
	uint64_t usage = 0;
	int r = cg_node_usage(n, &usage);

	if (!r)
		r = cg_node_limits(n, &limits);
	if (r < 0)
		return r;
	print_bytes("usage", usage);
	for (unsigned int i = 0; i < CG_LIMIT_COUNT; i++)
		print_bytes(limit_names[i], limits.bytes[i]);
	return 0;
}

static int show_stat(struct cg_node *n)
{
	struct cg_stat stat;
	int r = cg_node_stat(n, &stat);

	if (r < 0)
		return r;
	for (unsigned int i = 0; i < CG_STAT_COUNT; i++)
		if (!(stat.missing & (1u << i)))
			printf("stat.%s=%" PRIu64 "\n", stat_names[i], stat.value[i]);
	return 0;
}

static int show_events(struct cg_node *n)
{
	struct cg_events e;
	struct cg_pressure p;
	struct cg_cpu cpu;
	int r = cg_node_events(n, &e);

	if (r < 0)
		return r;
	printf("events.low=%" PRIu64 "\nevents.high=%" PRIu64 "\nevents.max=%" PRIu64
	       "\nevents.oom=%" PRIu64 "\nevents.oom_kill=%" PRIu64 "\n",
	       e.low, e.high, e.max, e.oom, e.oom_kill);
	r = cg_node_pressure(n, CG_PRESSURE_MEMORY, &p);
	if (r < 0)
		return r;
	printf("memory.some_ns=%" PRIu64 "\nmemory.full_ns=%" PRIu64 "\n", p.some_ns, p.full_ns);
	r = cg_node_pressure(n, CG_PRESSURE_IO, &p);
	if (r < 0)
		return r;
	printf("io.some_ns=%" PRIu64 "\nio.full_ns=%" PRIu64 "\n", p.some_ns, p.full_ns);
	r = cg_node_cpu(n, &cpu);
	if (!r)
		printf("cpu_ns=%" PRIu64 "\ncpu_system_ns=%" PRIu64 "\n", cpu.all_ns,
		       cpu.system_ns);
	return r;
}

static int show_members(struct cg_node *n)
{
	pid_t pids[64];
	bool populated;
	int r = cg_node_populated(n, &populated);

	if (r < 0)
		return r;
	printf("populated=%d\n", populated);
	r = cg_node_pids(n, pids, ARRAY_SIZE(pids));
	if (r < 0)
		return r;
	printf("pid_count=%d\npids=", r);
	for (int i = 0; i < r && i < (int)ARRAY_SIZE(pids); i++)
		printf("%s%d", i ? "," : "", pids[i]);
	printf("\nid=%" PRIu64 "\npsi_id=%" PRIu64 "\n", cg_node_id(n), cg_node_psi_id(n));
	return 0;
}

static int cmd_show(char **argv)
{
	_cleanup_node_ struct cg_node *n = NULL;
	int r = cg_node_open(backend, argv[0], &n);

	if (!r)
		r = show_sizes(n);
	if (!r)
		r = show_stat(n);
	if (!r)
		r = show_events(n);
	if (!r)
		r = show_members(n);
	return r;
}

static int write_limit(char **argv,
		       int (*write)(struct cg_node *, enum cg_limit, uint64_t, uint64_t *))
{
	_cleanup_node_ struct cg_node *n = NULL;
	uint64_t actual = 0;
	int r = cg_node_open(backend, argv[0], &n);

	if (!r)
		r = write(n, limit_arg(argv[1]), bytes_arg(argv[2]), &actual);
	if (r < 0)
		return r;
	print_bytes("actual", actual);
	return show_sizes(n);
}

static int cmd_set(char **argv)
{
	return write_limit(argv, cg_node_set_limit);
}

static int cmd_raise(char **argv)
{
	return write_limit(argv, cg_node_raise_limit);
}

static int cmd_reclaim(char **argv)
{
	_cleanup_node_ struct cg_node *n = NULL;
	uint64_t freed;
	int r = cg_node_open(backend, argv[0], &n);

	if (!r)
		r = cg_node_reclaim(n, bytes_arg(argv[1]), &freed);
	if (!r)
		print_bytes("freed", freed);
	return r;
}

/* PATH WHICH TARGET BITE FLOOR: steps until the target or floor is the limit. */
static int cmd_shrink(char **argv)
{
	_cleanup_node_ struct cg_node *n = NULL;
	enum cg_limit which = limit_arg(argv[1]);
	uint64_t target = bytes_arg(argv[2]), bite = bytes_arg(argv[3]), floor = bytes_arg(argv[4]);
	uint64_t before, after, actual = BYTES_NO_LIMIT, largest = 0, longest_ns = 0;
	unsigned int steps = 0;
	int r = cg_node_open(backend, argv[0], &n);

	while (!r && actual > max_u64(target, floor) && steps < 10000) {
		uint64_t start_ns = clock_now_ns();

		r = cg_node_usage(n, &before);
		if (!r)
			r = cg_node_shrink_step(n, which, target, bite, floor, &actual);
		longest_ns = max_u64(longest_ns, clock_now_ns() - start_ns);
		if (!r)
			r = cg_node_usage(n, &after);
		if (!r)
			largest = max_u64(largest, sat_sub_u64(before, after));
		steps++;
	}
	printf("steps=%u\nlargest_bite=%" PRIu64 "\nlongest_us=%" PRIu64 "\n", steps, largest,
	       longest_ns / 1000);
	if (n)
		show_sizes(n);
	return r;
}

/* PATH THRESHOLD_US WINDOW_US WAIT_MS: says when the trigger is armed, then whether it fired. */
static int cmd_trigger(char **argv)
{
	_cleanup_node_ struct cg_node *n = NULL;
	_cleanup_close_ int fd = -1;
	uint64_t window_us;
	struct pollfd p = { .events = POLLPRI };
	int r = cg_node_open(backend, argv[0], &n);

	if (r < 0)
		return r;
	fd = cg_node_psi_trigger(n, CG_PRESSURE_MEMORY, strtoull(argv[1], NULL, 10),
				 strtoull(argv[2], NULL, 10), &window_us);
	if (fd < 0)
		return fd;
	printf("window_us=%" PRIu64 "\n", window_us);
	fflush(stdout);
	p.fd = fd;
	r = poll(&p, 1, atoi(argv[3]));
	printf("fired=%d\ngone=%d\n", r > 0 && (p.revents & POLLPRI),
	       r > 0 && (p.revents & POLLERR));
	return r < 0 ? -errno : 0;
}

/* Expects every operation on an open node to say that its cgroup is gone. */
static int expect_gone(struct cg_node *n, const char *when)
{
	struct cg_limits limits;
	struct cg_stat stat;
	struct cg_events events;
	struct cg_pressure pressure;
	struct cg_cpu cpu;
	uint64_t v;
	bool b;
	const struct {
		const char *what;
		int r;
	} ops[] = {
		{ "usage", cg_node_usage(n, &v) },
		{ "limits", cg_node_limits(n, &limits) },
		{ "stat", cg_node_stat(n, &stat) },
		{ "events", cg_node_events(n, &events) },
		{ "pressure", cg_node_pressure(n, CG_PRESSURE_MEMORY, &pressure) },
		{ "cpu", cg_node_cpu(n, &cpu) },
		{ "populated", cg_node_populated(n, &b) },
		{ "pids", cg_node_pids(n, NULL, 0) },
		{ "set", cg_node_set_limit(n, CG_LIMIT_MAX, 64 * MIB, &v) },
		{ "raise", cg_node_raise_limit(n, CG_LIMIT_MAX, BYTES_NO_LIMIT, &v) },
		{ "shrink", cg_node_shrink_step(n, CG_LIMIT_MAX, MIB, MIB, 0, &v) },
		{ "trigger", cg_node_psi_trigger(n, CG_PRESSURE_MEMORY, 100000, 2000000, &v) },
	};
	int bad = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (ops[i].r != -ENODEV) {
			printf("%s %s: %s\n", when, ops[i].what,
			       ops[i].r < 0 ? strerrorname_np(-ops[i].r) : "ok");
			bad++;
		}
	return bad ? -EPROTO : 0;
}

/* PATH (made and removed here): one node that was in use, one that was only opened. */
static int cmd_vanish(char **argv)
{
	_cleanup_node_ struct cg_node *used = NULL, *fresh = NULL;
	uint64_t v;
	bool created;
	int r = cg_create(backend, argv[0], &created);

	if (!r)
		r = cg_node_open(backend, argv[0], &used);
	if (!r)
		r = cg_node_open(backend, argv[0], &fresh);
	if (!r)
		r = show_sizes(used) ?: show_stat(used) ?: show_events(used) ?: show_members(used);
	if (!r)
		r = cg_node_set_limit(used, CG_LIMIT_MAX, 64 * MIB, &v);
	if (!r)
		r = cg_node_raise_limit(used, CG_LIMIT_MAX, 128 * MIB, &v);
	if (!r)
		r = cg_delete(backend, argv[0]);
	if (!r)
		r = expect_gone(used, "used") ?: expect_gone(fresh, "fresh");
	/* A namesake is another cgroup: the old nodes stay gone. */
	if (!r)
		r = cg_create(backend, argv[0], &created);
	if (!r)
		r = expect_gone(used, "used, namesake") ?: expect_gone(fresh, "fresh, namesake");
	return r ?: cg_delete(backend, argv[0]);
}

struct stuck {
	struct cg_node *node;
	enum cg_limit which;
	uint64_t bytes, start_ns, end_ns;
	int r;
	bool started, ended;
};

static void *shrink_thread(void *arg)
{
	struct stuck *s = arg;
	uint64_t actual;

	s->start_ns = clock_now_ns();
	__atomic_store_n(&s->started, true, __ATOMIC_RELEASE);
	s->r = cg_node_set_limit(s->node, s->which, s->bytes, &actual);
	s->end_ns = clock_now_ns();
	__atomic_store_n(&s->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

#define RAISE_FOR_NS   (NS_PER_S / 2)
#define RAISE_PAUSE_US 100
#define RAISES_KEPT    4096

struct span {
	uint64_t start_ns, end_ns;
};

/* How many raises began in the second half of the shrink and were through before it was. */
static unsigned int raises_inside(const struct span *spans, unsigned int n, uint64_t start_ns,
				  uint64_t end_ns)
{
	uint64_t half_ns = start_ns + (end_ns - start_ns) / 2;
	unsigned int inside = 0;

	for (unsigned int i = 0; i < n; i++)
		inside += spans[i].start_ns >= half_ns && spans[i].end_ns < end_ns;
	return inside;
}

/*
 * PATH WHICH LOW HIGH: raises to HIGH again and again while another thread shrinks to LOW, and
 * leaves that thread where it is, if need be in the kernel.
 */
static int cmd_raise_while_shrinking(char **argv)
{
	_cleanup_node_ struct cg_node *n = NULL;
	struct stuck s = { .which = limit_arg(argv[1]), .bytes = bytes_arg(argv[2]) };
	static struct span spans[RAISES_KEPT];
	uint64_t high = bytes_arg(argv[3]), actual, usage, now_ns;
	unsigned int raises = 0;
	pthread_t thread;
	int r = cg_node_open(backend, argv[0], &n);

	if (r < 0)
		return r;
	s.node = n;
	r = -pthread_create(&thread, NULL, shrink_thread, &s);
	if (r < 0)
		return r;
	while (!__atomic_load_n(&s.started, __ATOMIC_ACQUIRE))
		sched_yield();
	do {
		struct span *span = &spans[raises % RAISES_KEPT];

		span->start_ns = clock_now_ns();
		r = cg_node_raise_limit(n, s.which, high, &actual) ?: cg_node_usage(n, &usage);
		span->end_ns = now_ns = clock_now_ns();
		raises++;
		usleep(RAISE_PAUSE_US); /* or a lock between the two would never be the other's */
	} while (!r && !__atomic_load_n(&s.ended, __ATOMIC_ACQUIRE) &&
		 now_ns - s.start_ns < RAISE_FOR_NS);
	if (!__atomic_load_n(&s.ended, __ATOMIC_ACQUIRE)) {
		printf("shrink=running\n");
	} else {
		printf("shrink=%s\nshrink_us=%" PRIu64 "\n", s.r ? strerrorname_np(-s.r) : "ok",
		       (s.end_ns - s.start_ns) / 1000);
		now_ns = s.end_ns;
	}
	printf("raises=%u\nraises_inside=%u\n", raises,
	       raises_inside(spans, min_u64(raises, RAISES_KEPT), s.start_ns, now_ns + 1));
	fflush(stdout);
	_exit(r ? fail(r) : 0);
}

/* PATH N: how long one read of each file takes, ns, smallest of N rounds of 200. */
static int cmd_cost(char **argv)
{
	_cleanup_node_ struct cg_node *n = NULL;
	static const char *const names[] = { "usage", "limits", "stat", "events", "pressure" };
	uint64_t best[ARRAY_SIZE(names)], v;
	struct cg_limits limits;
	struct cg_stat stat;
	struct cg_events events;
	struct cg_pressure pressure;
	int rounds = atoi(argv[1]), r = cg_node_open(backend, argv[0], &n);

	memset(best, 0xff, sizeof(best));
	for (int round = 0; !r && round < rounds; round++) {
		for (size_t what = 0; what < ARRAY_SIZE(names); what++) {
			uint64_t start_ns = clock_now_ns();

			for (int i = 0; !r && i < 200; i++)
				r = what == 0   ? cg_node_usage(n, &v)
				    : what == 1 ? cg_node_limits(n, &limits)
				    : what == 2 ? cg_node_stat(n, &stat)
				    : what == 3
					? cg_node_events(n, &events)
					: cg_node_pressure(n, CG_PRESSURE_MEMORY, &pressure);
			best[what] = min_u64(best[what], (clock_now_ns() - start_ns) / 200);
		}
	}
	for (size_t what = 0; !r && what < ARRAY_SIZE(names); what++)
		printf("%s_ns=%" PRIu64 "\n", names[what], best[what]);
	return r;
}

/* -- memory to work on; needs no hierarchy -- */

static void __attribute__((noreturn)) announce_and_wait(void)
{
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

/* PATH COMMAND ARG...: becomes the command, inside the cgroup. */
static int cmd_run(char **argv)
{
	int r = cg_attach(backend, argv[0], getpid());

	if (r < 0)
		return r;
	execvp(argv[1], argv + 1);
	return -errno;
}

static void *sleep_thread(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* COUNT: a process of so many threads more. */
static int cmd_hog_threads(char **argv)
{
	pthread_t thread;

	for (int i = atoi(argv[0]); i > 0; i--) {
		int r = -pthread_create(&thread, NULL, sleep_thread, NULL);

		if (r < 0)
			return r;
	}
	announce_and_wait();
}

static int cmd_hog_anon(char **argv)
{
	size_t size = bytes_arg(argv[0]);
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	memset(p, 0x5a, size);
	announce_and_wait();
}

/* FILE BYTES: writes it, waits until it is clean, and leaves it in the page cache. */
static int cmd_hog_file(char **argv)
{
	_cleanup_close_ int fd = open(argv[0], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	static char chunk[MIB];
	uint64_t size = bytes_arg(argv[1]);

	if (fd < 0)
		return -errno;
	memset(chunk, 0x5a, sizeof(chunk));
	for (uint64_t done = 0; done < size; done += sizeof(chunk))
		if (write(fd, chunk, sizeof(chunk)) < 0)
			return -errno;
	if (fsync(fd) < 0)
		return -errno;
	announce_and_wait();
}

/* FILE BYTES: reads all of the mapping over and over, so that its pages are always wanted. */
static int cmd_hog_hot_file(char **argv)
{
	_cleanup_close_ int fd = open(argv[0], O_RDONLY | O_CLOEXEC);
	size_t size = bytes_arg(argv[1]);
	volatile char *p;

	if (fd < 0)
		return -errno;
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	for (bool first = true;; first = false) {
		for (size_t i = 0; i < size; i += 4096)
			(void)p[i];
		if (first)
			puts("ready");
		fflush(stdout);
	}
}

static const struct command {
	const char *name;
	int args; /* negative: at least so many */
	bool needs_backend;
	int (*run)(char **argv);
} commands[] = {
	{ "abilities", 0, true, cmd_abilities },
	{ "create", 1, true, cmd_create },
	{ "delete", 1, true, cmd_delete },
	{ "attach", 2, true, cmd_attach },
	{ "path", 1, true, cmd_path },
	{ "exists", 1, true, cmd_exists },
	{ "show", 1, true, cmd_show },
	{ "set", 3, true, cmd_set },
	{ "raise", 3, true, cmd_raise },
	{ "reclaim", 2, true, cmd_reclaim },
	{ "shrink", 5, true, cmd_shrink },
	{ "trigger", 4, true, cmd_trigger },
	{ "vanish", 1, true, cmd_vanish },
	{ "raise-while-shrinking", 4, true, cmd_raise_while_shrinking },
	{ "cost", 2, true, cmd_cost },
	{ "run", -2, true, cmd_run },
	{ "hog-threads", 1, false, cmd_hog_threads },
	{ "hog-anon", 1, false, cmd_hog_anon },
	{ "hog-file", 2, false, cmd_hog_file },
	{ "hog-hot-file", 2, false, cmd_hog_hot_file },
};

static int run(const struct command *c, const struct cg_options *options, char **argv)
{
	const char *why = NULL;
	int r;

	if (c->needs_backend) {
		r = cg_backend_open(options, &backend, &why);
		if (r < 0) {
			fprintf(stderr, "cgctl: %s\n", why ? why : "");
			return fail(r);
		}
	}
	r = c->run(argv);
	cg_backend_close(backend);
	return r < 0 ? fail(r) : 0;
}

static bool fits(int wanted, int given)
{
	return wanted < 0 ? given >= -wanted : given == wanted;
}

int main(int argc, char **argv)
{
	struct cg_options options = { .size = sizeof(options) };
	int i = 1;

	for (; i < argc && !strncmp(argv[i], "--", 2); i++) {
		if (!strcmp(argv[i], "--dry-run"))
			options.dry_run = true;
		else if (!strcmp(argv[i], "--root") && i + 1 < argc)
			options.cgroup_root = argv[++i];
	}
	for (size_t c = 0; i < argc && c < ARRAY_SIZE(commands); c++)
		if (!strcmp(argv[i], commands[c].name) && fits(commands[c].args, argc - i - 1))
			return run(&commands[c], &options, argv + i + 1);
	fprintf(stderr, "usage: cgctl [--dry-run] [--root DIR] COMMAND ARG...\n");
	for (size_t c = 0; c < ARRAY_SIZE(commands); c++)
		fprintf(stderr, "  %s (%d%s arguments)\n", commands[c].name, abs(commands[c].args),
			commands[c].args < 0 ? " or more" : "");
	return 2;
}
