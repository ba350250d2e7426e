/* SPDX-License-Identifier: BSD-2-Clause */
/* What the engines of the mixed workload share: following, pacing, counting. */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench/mixed/mixed.h"

#define INTERVAL_NS   (100 * NS_PER_MS)
#define LATENCY_SHIFT 10 /* from 1 us on */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t clock_from_realtime_us(uint64_t us)
{
	return clock_now_ns() + us * 1000 - clock_ns(CLOCK_REALTIME);
}

void clock_sleep_until(uint64_t ns)
{
	struct timespec t = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

void must(int error, const char *what)
{
	if (error < 0)
		errx(1, "%s: %s", what, strerror(-error));
}

void *anonymous(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "%" PRIu64 " bytes", bytes);
	return p;
}

/* ---- following ------------------------------------------------------------------------------- */

void engine_open(struct engine *e)
{
	struct baro_relief_options options = { .size = sizeof(options) };

	e->latency.shift = LATENCY_SHIFT;
	e->budget_least_bytes = UINT64_MAX;
	if (!e->managed)
		return;
	must(baro_client_open(NULL, &e->client), "client");
	options.client = e->client;
	must(baro_relief_new(&options, &e->relief), "relief");
	must(baro_metrics_new(&e->metrics), "metrics");
}

void engine_want(struct engine *e, uint64_t bytes)
{
	if (e->client)
		baro_client_set_wanted(e->client, bytes);
}

void engine_relief(struct engine *e, const char *name, uint32_t cost, uint32_t from_level,
		   uint64_t landing_ns, uint64_t (*available)(void *),
		   int64_t (*release)(void *, uint64_t, uint64_t))
{
	const struct baro_relief_action action = {
		.size = sizeof(action),
		.name = name,
		.cost = cost,
		.from_level = from_level,
		.landing_ns = landing_ns,
		.available = available,
		.release = release,
		.arg = e->self,
	};

	if (e->relief)
		must(baro_relief_add(e->relief, &action, NULL), name);
}

static void apply(struct engine *e)
{
	uint64_t now_ns = clock_now_ns();
	struct baro_pressure now;

	if (baro_client_read(e->client, &now) < 0 || now.budget_bytes == BARO_PAGE_NONE)
		return; /* in the middle of a restart; what was known goes on */
	e->source_last = baro_client_source(e->client);
	if (!e->budget_first_bytes)
		e->budget_first_bytes = now.budget_bytes;
	if (now.budget_bytes < e->budget_least_bytes)
		e->budget_least_bytes = now.budget_bytes;
	if (now.budget_bytes > e->budget_most_bytes)
		e->budget_most_bytes = now.budget_bytes;
	now.budget_bytes = baro_relief_budget(e->relief, &now, now_ns);
	e->apply(e->self, &now, now_ns);
}

static void *follow(void *arg)
{
	struct engine *e = arg;

	while (!e->ended) {
		int r = baro_relief_follow(e->relief, INTERVAL_NS, NULL);

		if (r < 0 && r != -ETIMEDOUT && r != -EINTR && r != -EAGAIN && r != -ENOENT)
			must(r, "follow");
		apply(e);
	}
	return NULL;
}

void engine_begin(struct engine *e)
{
	if (e->managed) {
		must(baro_relief_add_metrics(e->relief, e->metrics, NULL), "metrics");
		baro_client_set_metrics(e->client, e->metrics);
		apply(e);
		if (!e->budget_first_bytes)
			errx(1, "%s: no budget: neither a daemon nor a limit of its cgroup",
			     e->name);
		if (pthread_create(&e->follower, NULL, follow, e))
			errx(1, "no thread");
	}
	clock_sleep_until(e->begin_ns);
	e->interval_end_ns = e->begin_ns + INTERVAL_NS;
}

void engine_end(struct engine *e)
{
	e->ended = true;
	if (e->managed)
		pthread_join(e->follower, NULL);
}

void engine_close(struct engine *e)
{
	if (!e->managed)
		return;
	baro_client_set_metrics(e->client, NULL);
	baro_metrics_free(e->metrics);
	baro_relief_free(e->relief);
	baro_client_close(e->client);
}

/* ---- counting -------------------------------------------------------------------------------- */

bool engine_step(struct engine *e, uint64_t took_ns)
{
	uint64_t now = clock_now_ns();

	baro_histogram_add(&e->latency, took_ns);
	e->ops++;
	e->last_ns = now;
	e->interval_ops++;
	if (took_ns > e->interval_worst_ns)
		e->interval_worst_ns = took_ns;
	if (now >= e->interval_end_ns) {
		printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", (now - e->begin_ns) / NS_PER_MS,
		       e->interval_ops, e->interval_worst_ns);
		e->interval_ops = e->interval_worst_ns = 0;
		e->interval_end_ns = now - (now - e->begin_ns) % INTERVAL_NS + INTERVAL_NS;
	}
	return now >= e->end_ns;
}

void engine_report(struct engine *e, FILE *out)
{
	double seconds = (double)(e->last_ns - e->begin_ns) / (double)NS_PER_S;

	fprintf(out,
		"\"name\":\"%s\",\"managed\":%s,\"ops\":%" PRIu64
		",\"ops_per_s\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f",
		e->name, e->managed ? "true" : "false", e->ops,
		e->ops ? (double)e->ops / seconds : 0,
		(double)baro_histogram_quantile(&e->latency, 500000) / 1000,
		(double)baro_histogram_quantile(&e->latency, 990000) / 1000);
	if (e->managed)
		fprintf(out,
			",\"source\":\"%s\",\"budget_first_bytes\":%" PRIu64
			",\"budget_least_bytes\":%" PRIu64 ",\"budget_most_bytes\":%" PRIu64,
			baro_source_name(e->source_last), e->budget_first_bytes,
			e->budget_least_bytes, e->budget_most_bytes);
}
