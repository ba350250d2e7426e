/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An engine at a shell's disposal: commands on stdin, one line of answer each.
 *
 *   engine [SOCKET]
 *   hint N | want BYTES | reclaimable BYTES | account BYTES | ack EPOCH | ack now | beat
 *   read | wait MS | source | anon MIB | free MIB
 *   metrics N: from now on, a gauge and a counter of N and a histogram with one value of N ms more
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "include/barostat/client.h"
#include "include/barostat/metrics.h"
#include "user/common/cleanup.h"
#include "user/common/units.h"

#define BLOCKS_MAX 4096

static struct baro_pressure seen;
static void *block[BLOCKS_MAX];
static size_t blocks;

static void print(const struct baro_pressure *p)
{
	printf("level=%s budget=%" PRIu64 " target=%" PRIu64 " usage=%" PRIu64 " release=%" PRIu64
	       " epoch=%" PRIu64 " limit=%" PRIu64 "\n",
	       baro_level_name(BARO_STATUS_LEVEL(p->status)), p->budget_bytes, p->target_bytes,
	       p->usage_bytes, p->release_bytes, p->grant_epoch, p->limit_bytes);
}

static void resize(size_t want)
{
	for (; blocks > want; blocks--)
		munmap(block[blocks - 1], MIB);
	for (; blocks < want && blocks < BLOCKS_MAX; blocks++) {
		block[blocks] =
		    mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (block[blocks] == MAP_FAILED)
			return;
		memset(block[blocks], 1, MIB);
	}
}

static void answer(int r)
{
	if (r < 0)
		printf("error %d\n", -r);
	else
		puts("ok");
}

static uint64_t metrics_value;
static struct baro_histogram metrics_waits = { .shift = 16 };
static struct baro_metrics *metrics;

static int register_metrics(void)
{
	struct baro_metric m = { .size = sizeof(m),
				 .name = "test_held_bytes",
				 .label = "pool",
				 .kind = BARO_METRIC_GAUGE,
				 .unit = BARO_METRIC_BYTES,
				 .value = &metrics_value };
	int r = baro_metrics_new(&metrics);

	if (r == 0)
		r = baro_metrics_add(metrics, &m);
	m.name = "test_jobs_total";
	m.label = NULL;
	m.kind = BARO_METRIC_COUNTER;
	m.unit = BARO_METRIC_PLAIN;
	if (r == 0)
		r = baro_metrics_add(metrics, &m);
	m.name = "test_wait_seconds";
	m.kind = BARO_METRIC_HISTOGRAM;
	m.unit = BARO_METRIC_NS;
	m.value = NULL;
	m.histogram = &metrics_waits;
	return r == 0 ? baro_metrics_add(metrics, &m) : r;
}

static int set_metrics(struct baro_client *c, uint64_t n)
{
	int r = metrics ? 0 : register_metrics();

	metrics_value = n;
	baro_histogram_add(&metrics_waits, n * 1000000);
	if (r == 0)
		baro_client_set_metrics(c, metrics);
	return r;
}

static void obey(struct baro_client *c, const char *word, const char *arg)
{
	uint64_t n = strtoull(arg, NULL, 10);
	struct baro_pressure now;
	int r = 0;

	if (!strcmp(word, "hint")) {
		baro_client_set_hint(c, (uint32_t)n);
	} else if (!strcmp(word, "want")) {
		baro_client_set_wanted(c, n);
	} else if (!strcmp(word, "reclaimable")) {
		baro_client_set_reclaimable(c, n);
	} else if (!strcmp(word, "account")) {
		baro_client_set_accounted(c, n);
	} else if (!strcmp(word, "ack")) {
		baro_client_acknowledge(c, strcmp(arg, "now") ? n : seen.grant_epoch);
	} else if (!strcmp(word, "metrics")) {
		r = set_metrics(c, n);
	} else if (!strcmp(word, "beat")) {
		baro_client_heartbeat(c);
	} else if (!strcmp(word, "anon")) {
		resize(n);
	} else if (!strcmp(word, "source")) {
		printf("%s %d\n", baro_source_name(baro_client_source(c)), -baro_client_error(c));
		return;
	} else if (!strcmp(word, "read")) {
		r = baro_client_read(c, &now);
		if (r == 0) {
			print(&now);
			return;
		}
	} else if (!strcmp(word, "wait")) {
		r = baro_client_wait(c, &seen, n * 1000000);
		if (r == 0) {
			print(&seen);
			return;
		}
	} else {
		r = -1;
	}
	answer(r);
}

int main(int argc, char **argv)
{
	struct baro_client *c;
	char line[256], word[32], arg[64];
	int r = baro_client_open(argc > 1 ? argv[1] : NULL, &c);

	if (r < 0) {
		answer(r);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("open");
	while (fgets(line, sizeof(line), stdin)) {
		arg[0] = '\0';
		if (sscanf(line, "%31s %63s", word, arg) >= 1)
			obey(c, word, arg);
	}
	baro_client_close(c);
	resize(0);
	return 0;
}
