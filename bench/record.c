/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a recording costs the loop, and how much it writes: the daemon's own functions around
 * law_tick(), a reader that reads, engines whose counters all move on every tick (busy) or not at
 * all (idle). Medians. No root, no cgroups.
 *
 *	build/bench/record [--json] [--rounds N] [ENGINES...]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/common/clock.h"
#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/record.h"

#define ROUNDS 400

struct result {
	uint64_t start_ns, tick_ns; /* to begin a recording; of a tick, what recording adds */
	uint64_t start_bytes, tick_bytes;
};

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

static int host_open(struct daemon *d, uint32_t engines)
{
	*d = (struct daemon){ .capacity = engines, .slots_used = engines };
	d->engine = calloc(engines, sizeof(*d->engine));
	d->law_engine = calloc(engines, sizeof(*d->law_engine));
	d->sample = calloc(engines, sizeof(*d->sample));
	d->given_bytes = calloc(engines, sizeof(*d->given_bytes));
	d->estimate = calloc(engines, sizeof(*d->estimate));
	d->decision = calloc(engines, sizeof(*d->decision));
	d->law_state = calloc(1, sizeof(*d->law_state));
	d->workspace = calloc(1, law_workspace_bytes(engines));
	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	d->params = (struct law_params){
		.ceiling_bytes = 64 * GIB, .burst_bytes = GIB, .gamma_ppm = 1000000, .groups = 1
	};
	d->params.group[0] = (struct law_group){ .max_bytes = 64 * GIB, .weight = 100 };
	if (!d->engine || !d->law_engine || !d->sample || !d->given_bytes || !d->estimate ||
	    !d->decision || !d->law_state || !d->workspace || d->epoll_fd < 0)
		return -1;
	for (uint32_t i = 0; i < engines; i++) {
		d->law_engine[i] =
		    (struct law_engine){ .active = true, .max_bytes = 64 * GIB, .weight = 100 };
		snprintf(d->engine[i].name, sizeof(d->engine[i].name), "engine-%u", i);
	}
	return 0;
}

static void host_close(struct daemon *d)
{
	record_stop_all(d);
	close(d->epoll_fd);
	free(d->engine);
	free(d->law_engine);
	free(d->sample);
	free(d->given_bytes);
	free(d->estimate);
	free(d->decision);
	free(d->law_state);
	free(d->workspace);
}

/* A thrashing file engine: everything that a sensor counts goes on, four distances are seen. */
static void work(struct daemon *d, uint64_t round)
{
	for (uint32_t i = 0; i < d->slots_used; i++) {
		struct law_sample *s = &d->sample[i];
		uint64_t n = 200 + (round * 7919 + i * 104729ull) % 900;

		s->valid = 0x1ff;
		s->ghost_sample_shift = 4;
		s->usage_bytes = d->decision[i].target_bytes - n * 4096 % (8 * MIB);
		s->file_bytes = s->usage_bytes - 64 * MIB;
		s->anon_bytes = 60 * MIB + n * 4096;
		s->refault_file += n;
		s->pgfault += 5 * n;
		s->pgscan += 3 * n;
		s->pgsteal += n;
		s->evictions += n;
		s->ghost_refaults += n / 16;
		s->psi_memory_some_ns += n * 3000;
		s->psi_io_some_ns += n * 20000;
		s->psi_io_full_ns += n * 9000;
		s->stall_ns[STALL_REFAULT] += n * 21000;
		s->stall_count[STALL_REFAULT] += n;
		s->cpu_ns += n * 30000;
		for (uint64_t k = 0; k < 4; k++)
			s->distance[(40 + n % 9 + 5 * k) % DISTANCE_BINS] += n / 64;
	}
}

static uint64_t drain(int fd)
{
	static char data[1 << 20];
	uint64_t bytes = 0;
	ssize_t n;

	while ((n = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		bytes += (uint64_t)n;
	return bytes;
}

/* Everything that waits, the daemon's buffer included. */
static uint64_t drain_all(struct daemon *d, int fd)
{
	uint64_t bytes = 0, more;

	while ((more = drain(fd)) > 0) {
		bytes += more;
		record_send(d);
	}
	return bytes;
}

static uint64_t one_tick(struct daemon *d, uint64_t now_ns)
{
	struct law_host law = daemon_law_host(d);
	uint64_t began_ns = clock_now_ns(), took_ns;

	record_inputs(d, &law, LAW_NO_ENGINE, now_ns);
	took_ns = clock_now_ns() - began_ns;
	law_tick(&law, LAW_NO_ENGINE, now_ns);
	began_ns = clock_now_ns();
	record_decisions(d, &law);
	record_send(d);
	return took_ns + clock_now_ns() - began_ns;
}

static int bench(uint32_t engines, bool busy, unsigned int rounds, struct result *ret)
{
	uint64_t *ns = calloc(rounds, sizeof(*ns)), *bytes = calloc(rounds, sizeof(*bytes));
	struct epoll_event ev = { .events = EPOLLIN };
	uint64_t now_ns = NS_PER_S, began_ns;
	struct daemon d;
	int pair[2], r = -1;

	if (!ns || !bytes || host_open(&d, engines) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
	    epoll_ctl(d.epoll_fd, EPOLL_CTL_ADD, pair[0], &ev) < 0) {
		perror("record");
		exit(1);
	}
	for (uint64_t round = 0; round < 20; round++) {
		work(&d, round);
		one_tick(&d, now_ns += 100 * NS_PER_MS);
	}
	began_ns = clock_now_ns();
	r = record_start(&d, pair[0], "");
	ret->start_ns = clock_now_ns() - began_ns;
	ret->start_bytes = drain_all(&d, pair[1]);
	for (unsigned int i = 0; i <= rounds && r == 0; i++) {
		uint64_t took_ns, got;

		if (busy)
			work(&d, 20 + i);
		took_ns = one_tick(&d, now_ns += 100 * NS_PER_MS);
		got = drain_all(&d, pair[1]);
		if (i == 0) { /* the first says everything */
			ret->start_bytes += got;
			continue;
		}
		ns[i - 1] = took_ns;
		bytes[i - 1] = got;
	}
	ret->tick_ns = median(ns, rounds);
	ret->tick_bytes = median(bytes, rounds);
	host_close(&d);
	close(pair[1]);
	free(ns);
	free(bytes);
	return r;
}

static void print_row(uint32_t engines, bool busy, const struct result *m, bool json, bool first)
{
	if (json)
		printf("%s{\"engines\":%u,\"busy\":%s,\"start_ns\":%llu,\"start_bytes\":%llu,"
		       "\"tick_ns\":%llu,\"tick_bytes\":%llu}",
		       first ? "" : ",", engines, busy ? "true" : "false",
		       (unsigned long long)m->start_ns, (unsigned long long)m->start_bytes,
		       (unsigned long long)m->tick_ns, (unsigned long long)m->tick_bytes);
	else
		printf("%8u %5s %10.1f %12llu %10.1f %12llu\n", engines, busy ? "busy" : "idle",
		       (double)m->start_ns / 1e3, (unsigned long long)m->start_bytes,
		       (double)m->tick_ns / 1e3, (unsigned long long)m->tick_bytes);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned int counts[16] = { 1, 10, 100, 1000 }, n = 4, given = 0, rounds = ROUNDS;
	bool json = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
			rounds = (unsigned int)atoi(argv[++i]);
		else if (given < 16 && atoi(argv[i]) > 0 && atoi(argv[i]) <= LAW_ENGINES_MAX)
			counts[given++] = (unsigned int)atoi(argv[i]);
		else
			return 2;
	}
	if (!rounds)
		return 2;
	if (given)
		n = given;
	log_set_level(LOG_LEVEL_ERR);
	if (json)
		printf("{\"bench\":\"record\",\"rounds\":%u,\"rows\":[", rounds);
	else
		printf("us and bytes, median of %u rounds\n%8s %5s %10s %12s %10s %12s\n", rounds,
		       "engines", "", "start", "start bytes", "tick", "tick bytes");
	for (unsigned int i = 0; i < 2 * n; i++) {
		struct result m;

		if (bench(counts[i / 2], i % 2, rounds, &m) < 0)
			return 1;
		print_row(counts[i / 2], i % 2, &m, json, i == 0);
	}
	if (json)
		printf("]}\n");
	return 0;
}
