/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One engine's work for the benches of the law:
 *
 *   load fill KIND PATH MB            makes the data, where the kind needs some
 *   load KIND PATH BEGIN_US PHASE...  works; PHASE = SECONDS:MB[:OPS_PER_S]
 *
 * A phase works on MB of the data, as fast as it can or at a pace; MB = 0 idles. BEGIN_US is the
 * instant of the realtime clock, in microseconds, at which the first phase begins, so that the
 * engines of a run and who watches them count from the same zero.
 *
 * Every 100 ms it prints "elapsed_ms ops queued_us LATENCY:COUNT...": operations ended in that
 * interval; how long of it this thread stood ready without a processor, which other work costs and
 * memory has no part in; and the operations by latency, each LATENCY the upper bound in
 * nanoseconds of a quarter of an octave. When the engine is gone it prints "gone" and exits with 3.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/law/load.h"

#define NS_PER_S    UINT64_C(1000000000)
#define NS_PER_MS   UINT64_C(1000000)
#define NS_PER_US   UINT64_C(1000)
#define INTERVAL_NS (100 * NS_PER_MS)
#define BINS        (64 * 4)
#define PHASES_MAX  64
#define EXIT_GONE   3

struct phase {
	uint64_t ns;
	uint64_t bytes;
	uint64_t ops_per_s; /* 0: as fast as it can */
};

static const struct load_kind *const kinds[] = {
	&load_map,    &load_loop,    &load_write, &load_rocksdb,
	&load_sqlite, &load_groupby, &load_redis, &load_postgres,
};

static uint64_t begin_ns, phase_end_ns, interval_end_ns, step_ns; /* CLOCK_MONOTONIC */
static uint64_t bin[BINS], ops, queued_before_ns;
static int sched_fd = -1;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec t = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* Nanoseconds this process has waited for a processor; 0 where the kernel does not say. */
static uint64_t queued_ns(void)
{
	char text[128];
	ssize_t n = sched_fd < 0 ? -1 : pread(sched_fd, text, sizeof(text) - 1, 0);
	uint64_t ran, queued;

	if (n <= 0)
		return 0;
	text[n] = 0;
	return sscanf(text, "%" SCNu64 " %" SCNu64, &ran, &queued) == 2 ? queued : 0;
}

/* Four bins to the octave. */
static unsigned int bin_of(uint64_t ns)
{
	unsigned int octave = 63 - (unsigned int)__builtin_clzll(ns | 4);

	return octave * 4 + (unsigned int)((ns >> (octave - 2)) & 3);
}

static uint64_t bin_upper_ns(unsigned int i)
{
	return (UINT64_C(1) << (i / 4)) / 4 * (4 + i % 4 + 1);
}

static void print_interval(uint64_t now)
{
	uint64_t queued = queued_ns();

	printf("%" PRIu64 " %" PRIu64 " %" PRIu64, (now - begin_ns) / NS_PER_MS, ops,
	       (queued - queued_before_ns) / NS_PER_US);
	for (unsigned int i = 0; i < BINS; i++)
		if (bin[i])
			printf(" %" PRIu64 ":%" PRIu64, bin_upper_ns(i), bin[i]);
	printf("\n");
	memset(bin, 0, sizeof(bin));
	ops = 0;
	queued_before_ns = queued;
	interval_end_ns = now - (now - begin_ns) % INTERVAL_NS + INTERVAL_NS;
}

bool load_step(void)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	bin[bin_of(now - step_ns)]++;
	ops++;
	step_ns = now;
	if (now >= interval_end_ns)
		print_interval(now);
	return now >= phase_end_ns;
}

/* Nothing is done until `until`, but the lines go on. */
static void idle(uint64_t until)
{
	while (interval_end_ns <= until) {
		sleep_until(interval_end_ns);
		print_interval(clock_ns(CLOCK_MONOTONIC));
	}
	sleep_until(until);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static int work(const struct load_kind *kind, void *self, const struct phase *phase)
{
	static uint64_t state = UINT64_C(88172645463325252);
	uint64_t due_ns = clock_ns(CLOCK_MONOTONIC);
	bool over = false;

	while (!over) {
		if (phase->ops_per_s) {
			idle(due_ns < phase_end_ns ? due_ns : phase_end_ns);
			due_ns += NS_PER_S / phase->ops_per_s;
		}
		step_ns = clock_ns(CLOCK_MONOTONIC);
		if (kind->op(self, next_random(&state)) == LOAD_GONE)
			return LOAD_GONE;
		over = kind->steps_itself ? clock_ns(CLOCK_MONOTONIC) >= phase_end_ns : load_step();
	}
	return 0;
}

static int run(const struct load_kind *kind, void *self, const struct phase *phase, int phases)
{
	phase_end_ns = begin_ns;
	for (int i = 0; i < phases; i++) {
		phase_end_ns += phase[i].ns;
		kind->resize(self, phase[i].bytes);
		if (!phase[i].bytes)
			idle(phase_end_ns);
		else if (work(kind, self, &phase[i]) == LOAD_GONE)
			return LOAD_GONE;
	}
	return 0;
}

static double number(const char *text, char **ret_end)
{
	double n = strtod(text, ret_end);

	if (*ret_end == text || !(n >= 0))
		errx(2, "not a number: %s", text);
	return n;
}

static struct phase parse_phase(const char *text)
{
	struct phase phase = { 0 };
	char *end;

	phase.ns = (uint64_t)(number(text, &end) * (double)NS_PER_S);
	if (*end++ != ':')
		errx(2, "%s: a phase is SECONDS:MB[:OPS_PER_S]", text);
	phase.bytes = (uint64_t)(number(end, &end) * (double)LOAD_MIB);
	if (*end == ':')
		phase.ops_per_s = (uint64_t)number(end + 1, &end);
	if (*end)
		errx(2, "%s: a phase is SECONDS:MB[:OPS_PER_S]", text);
	return phase;
}

static const struct load_kind *find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	errx(2, "no kind %s", name);
}

static void usage(void)
{
	fprintf(stderr, "usage: load KIND PATH BEGIN_US SECONDS:MB[:OPS_PER_S]...\n"
			"       load fill KIND PATH MB\n\nkinds, and what an operation is:\n");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		fprintf(stderr, "  %-9s %s\n", kinds[i]->name, kinds[i]->what);
	exit(2);
}

static void wait_for_begin(const char *text)
{
	uint64_t begin_us = strtoull(text, NULL, 10), now_us;

	now_us = clock_ns(CLOCK_REALTIME) / NS_PER_US;
	begin_ns = clock_ns(CLOCK_MONOTONIC);
	if (begin_us > now_us)
		begin_ns += (begin_us - now_us) * NS_PER_US;
	else
		begin_ns -= (now_us - begin_us) * NS_PER_US;
	sleep_until(begin_ns);
	interval_end_ns = begin_ns + INTERVAL_NS;
}

int main(int argc, char **argv)
{
	struct phase phase[PHASES_MAX];
	const struct load_kind *kind;
	void *self;
	char *end;

	if (argc == 5 && !strcmp(argv[1], "fill")) {
		kind = find_kind(argv[2]);
		if (kind->fill)
			kind->fill(argv[3], (uint64_t)number(argv[4], &end) * LOAD_MIB);
		return 0;
	}
	if (argc < 5 || argc > 4 + PHASES_MAX)
		usage();
	kind = find_kind(argv[1]);
	for (int i = 4; i < argc; i++)
		phase[i - 4] = parse_phase(argv[i]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	self = kind->open(argv[2]);
	sched_fd = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
	queued_before_ns = queued_ns();
	wait_for_begin(argv[3]);
	if (run(kind, self, phase, argc - 4) == LOAD_GONE) {
		puts("gone");
		return EXIT_GONE;
	}
	print_interval(clock_ns(CLOCK_MONOTONIC));
	return 0;
}
