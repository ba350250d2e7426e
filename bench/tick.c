/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a tick costs, stage by stage, at 1, 10, 100 and 1000 engines, beside reading the same facts
 * by open, read, close. Real cgroups (made here, removed here), real sensors, the daemon's own
 * stages; both sides interleaved round by round, medians of the thread's CPU time. Root.
 *
 *	build/bench/tick [--json] [--rounds N] [ENGINES...]
 *
 * Each number of engines is measured with all of them at rest, with a tenth and with all of them at
 * work: a process in each that is at work gets and gives back memory between any two ticks.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/common/clock.h"
#include "user/common/io.h"
#include "user/common/log.h"
#include "user/daemon/daemon.h"

#define ROUNDS     200
#define WORK_BYTES (32u << 12) /* of an engine at work, between two ticks */

static const unsigned int busy_percent[] = { 0, 10, 100 };

enum stage { SAMPLE, ESTIMATE, DECIDE, ACT, PUBLISH, WHOLE, BY_FILES, STAGES };

static const char *const stage_name[STAGES] = { "sample",  "estimate", "decide",         "act",
						"publish", "tick",     "open_read_close" };
static char dir[] = "/tmp/barostat-bench-XXXXXX";

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t median(uint64_t *v, unsigned int n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

/* What a tool without any of this would do for the same facts. */
static void read_by_files(const struct daemon *d)
{
	static const char *const v2[] = { "memory.current", "memory.stat", "memory.events",
					  "memory.max" };
	static const char *const v1[] = { "memory.usage_in_bytes", "memory.stat", "memory.failcnt",
					  "memory.limit_in_bytes" };
	static const char *const psi[] = { "memory.pressure", "io.pressure" };
	const struct cg_abilities *a = d->abilities;
	const char *const *files = a->memory_hierarchy_id ? v1 : v2;
	char path[3 * CONFIG_PATH_MAX], buf[16384];

	for_each_engine (d, e) {
		for (int i = 0; i < 4; i++) {
			snprintf(path, sizeof(path), "%s/%s/%s", a->memory_mount, e->conf->cgroup,
				 files[i]);
			io_read_file_at(AT_FDCWD, path, buf, sizeof(buf));
		}
		for (int i = 0; i < 2 && a->has_psi; i++) {
			snprintf(path, sizeof(path), "%s/%s/%s", a->psi_mount, e->conf->cgroup,
				 psi[i]);
			io_read_file_at(AT_FDCWD, path, buf, sizeof(buf));
		}
	}
}

/* The thread's own time: what others do with the processor meanwhile does not count. */
static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Since *at, which becomes now. */
static uint64_t lap(uint64_t *at)
{
	uint64_t then = *at;

	*at = cpu_ns();
	return *at - then;
}

static void one_round(struct daemon *d, uint64_t t[STAGES])
{
	uint64_t now_ns = clock_now_ns(), begin = cpu_ns(), at = begin;

	sample_all(d, now_ns);
	t[SAMPLE] = lap(&at);
	engines_refresh_law(d);
	for_each_engine (d, e)
		estimate_update(&d->estimate[e->slot], &d->params, &d->law_engine[e->slot],
				&d->sample[e->slot], d->decision[e->slot].target_bytes, now_ns);
	t[ESTIMATE] = lap(&at);
	policy_decide(d->law_state, &d->params, d->law_engine, d->sample, d->estimate,
		      d->slots_used, LAW_NO_ENGINE, now_ns, d->workspace, d->decision);
	t[DECIDE] = lap(&at);
	act_all(d, now_ns);
	t[ACT] = lap(&at);
	publish_all(d, now_ns);
	t[PUBLISH] = lap(&at);
	t[WHOLE] = at - begin;
	read_by_files(d);
	t[BY_FILES] = lap(&at);
}

static int write_config(const char *path, unsigned int engines)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return -errno;
	fprintf(f,
		"[daemon]\nceiling = 4G\nparent = barostat-bench-%d\npage = %s/pressure\n"
		"socket = %s/sock\nstate = %s/state\nlog_level = warning\n",
		(int)getpid(), dir, dir, dir);
	for (unsigned int i = 0; i < engines; i++)
		fprintf(f, "[engine e%u]\n", i);
	return fclose(f);
}

/* The processes in the engines: whoever is at work does it once each time `round` moves on. */
static struct herd {
	uint32_t round, done;
} * herd;
static pid_t resident[CONFIG_ENGINES_MAX];
static unsigned int residents, at_work;

static void work_for_ever(void)
{
	char *memory =
	    mmap(NULL, WORK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t seen = __atomic_load_n(&herd->round, __ATOMIC_ACQUIRE);

	raise(SIGSTOP);
	while (memory != MAP_FAILED) {
		syscall(SYS_futex, &herd->round, FUTEX_WAIT, seen, NULL, NULL, 0);
		if (__atomic_load_n(&herd->round, __ATOMIC_ACQUIRE) == seen)
			continue;
		seen++;
		for (size_t i = 0; i < WORK_BYTES; i += 4096)
			memory[i] = 1;
		madvise(memory, WORK_BYTES, MADV_DONTNEED);
		__atomic_fetch_add(&herd->done, 1, __ATOMIC_RELEASE);
	}
}

static void everybody_works(void)
{
	herd->done = 0;
	__atomic_fetch_add(&herd->round, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &herd->round, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	while (__atomic_load_n(&herd->done, __ATOMIC_ACQUIRE) < at_work)
		usleep(1000);
}

/* Touches memory of every kind, in amounts that tell the kinds apart. */
static void touch_all_kinds(const char *file)
{
	static const size_t anon = 3 << 20, shared = 5 << 18, mapped = 96 << 10;
	char *a = mmap(NULL, anon, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *s = mmap(NULL, shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = open(file, O_RDWR | O_CLOEXEC);
	char *m = mmap(NULL, mapped, PROT_READ, MAP_SHARED, fd, 0);

	for (size_t i = 0; a != MAP_FAILED && i < anon; i += 4096)
		a[i] = 1;
	for (size_t i = 0; s != MAP_FAILED && i < shared; i += 4096)
		s[i] = 1;
	for (size_t i = 0; m != MAP_FAILED && i < mapped; i += 4096)
		a[i] = m[i];
}

/* A process in the engine: leaves some cache behind, and stays if it is the first or at work. */
static pid_t inhabit(struct daemon *d, const struct engine *e, bool works)
{
	static char data[128 * 1024];
	char path[sizeof(dir) + 32];
	pid_t pid = fork();
	int fd;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	cg_attach(d->backend, e->conf->cgroup, getpid());
	snprintf(path, sizeof(path), "%s/data.%u", dir, e->slot);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	memset(data, (int)e->slot, sizeof(data));
	if (fd < 0 || write(fd, data, sizeof(data)) < 0)
		_exit(1);
	close(fd);
	if (e->slot == 0)
		touch_all_kinds(path);
	if (works)
		work_for_ever();
	if (e->slot == 0) {
		raise(SIGSTOP);
		pause();
	}
	_exit(0);
}

/* Those at work lie evenly between the others. */
static void populate(struct daemon *d, unsigned int percent)
{
	unsigned int n = 0;

	residents = at_work = 0;
	for_each_engine (d, e) {
		bool works = (n + 1) * percent / 100 > n * percent / 100;
		pid_t pid = inhabit(d, e, works);
		int status;

		n++;
		if (pid <= 0)
			continue;
		waitpid(pid, &status, WUNTRACED);
		if (!WIFSTOPPED(status))
			continue;
		resident[residents++] = pid;
		at_work += works;
		if (works)
			kill(pid, SIGCONT);
	}
}

static void depopulate(void)
{
	for (unsigned int i = 0; i < residents; i++) {
		kill(resident[i], SIGKILL);
		waitpid(resident[i], NULL, 0);
	}
	residents = 0;
}

static int open_daemon(struct daemon *d, unsigned int engines, unsigned int percent)
{
	struct cg_options options = { .size = sizeof(options) };
	static char path[sizeof(dir) + 16];
	const char *why = "";
	int r;

	snprintf(path, sizeof(path), "%s/conf", dir);
	if (write_config(path, engines) < 0)
		return -EIO;
	memset(d, 0, sizeof(*d));
	d->config_path = path;
	d->ram_bytes = 8ull << 30;
	r = config_load(path, d->ram_bytes, stderr, &d->config);
	if (r < 0)
		return r;
	r = cg_backend_open(&options, &d->backend, &why);
	if (r < 0) {
		fprintf(stderr, "tick: %s\n", why);
		return r;
	}
	d->abilities = cg_backend_abilities(d->backend);
	log_set_level(LOG_LEVEL_WARN);
	r = daemon_init(d);
	if (r == 0) {
		daemon_tick(d, LAW_NO_ENGINE); /* makes the cgroups */
		populate(d, percent);
	}
	return r;
}

static void close_daemon(struct daemon *d)
{
	static const char *const files[] = { "conf", "pressure", "pressure.lock" };
	char path[sizeof(dir) + 32];

	for (uint32_t i = 0; i < d->slots_used; i++) {
		snprintf(path, sizeof(path), "%s/data.%u", dir, i);
		unlink(path);
	}
	depopulate();
	daemon_fini(d);
	cg_backend_close(d->backend);
	config_free(d->config);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
}

static void print_row(unsigned int engines, const uint64_t m[STAGES], bool json, bool first)
{
	if (json) {
		printf("%s{\"engines\":%u,\"at_work\":%u", first ? "" : ",", engines, at_work);
		for (int s = 0; s < STAGES; s++)
			printf(",\"%s_ns\":%llu", stage_name[s], (unsigned long long)m[s]);
		printf("}");
	} else {
		printf("%8u %8u", engines, at_work);
		for (int s = 0; s < BY_FILES; s++)
			printf(" %9.1f", (double)m[s] / 1e3);
		printf(" %15.1f %9.2f %11.1fx\n", (double)m[BY_FILES] / 1e3,
		       (double)m[WHOLE] / 1e3 / engines, (double)m[BY_FILES] / (double)m[SAMPLE]);
	}
	fflush(stdout);
}

static int bench(unsigned int engines, unsigned int percent, unsigned int rounds, bool json,
		 bool first)
{
	static struct daemon d;
	uint64_t *t[STAGES], m[STAGES], one[STAGES];
	int r = open_daemon(&d, engines, percent);

	if (r < 0) {
		fprintf(stderr, "tick: %s\n", strerror(-r));
		return r;
	}
	if (engines >= 1000)
		rounds = rounds / 4 + 1;
	for (int s = 0; s < STAGES; s++)
		t[s] = calloc(rounds, sizeof(uint64_t));
	for (unsigned int i = 0; i < rounds; i++) {
		everybody_works();
		one_round(&d, one);
		for (int s = 0; s < STAGES; s++)
			t[s][i] = one[s];
		usleep(2000);
	}
	for (int s = 0; s < STAGES; s++) {
		m[s] = median(t[s], rounds);
		free(t[s]);
	}
	print_row(engines, m, json, first);
	close_daemon(&d);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int counts[16] = { 1, 10, 100, 1000 }, n = 4, given = 0, rounds = ROUNDS;
	bool json = false;
	int r = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
			rounds = (unsigned int)atoi(argv[++i]);
		else if (given < 16 && atoi(argv[i]) > 0)
			counts[given++] = (unsigned int)atoi(argv[i]);
		else
			return 2;
	}
	if (!rounds)
		return 2;
	if (given)
		n = given;
	if (!mkdtemp(dir))
		return 1;
	herd = mmap(NULL, sizeof(*herd), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (herd == MAP_FAILED)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	if (json)
		printf("{\"bench\":\"tick\",\"rounds\":%u,\"rows\":[", rounds);
	else
		printf(
		    "us of CPU time, median of %u rounds\n%8s %8s %9s %9s %9s %9s %9s %9s %15s %9s %12s\n",
		    rounds, "engines", "at work", "sample", "estimate", "decide", "act", "publish",
		    "tick", "open/read/close", "us/engine", "files:sample");
	for (unsigned int i = 0; i < n * 3 && r == 0; i++)
		/* a tenth of a few is none */
		if (counts[i / 3] * busy_percent[i % 3] >= 100 || i % 3 == 0)
			r = bench(counts[i / 3], busy_percent[i % 3], rounds, json, i == 0);
	if (json)
		printf("]}\n");
	rmdir(dir);
	return r < 0 ? 1 : 0;
}
