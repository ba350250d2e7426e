// SPDX-License-Identifier: BSD-2-Clause
/*
 * A key-value store in memory that pushes back: a put asks whether it may run now and whether there
 * is room for what it brings, and is told why not, or when to come again. Where memory presses on
 * this engine there is less room, and in an emergency no put at all; get and delete go on.
 *
 *	cc kv.c $(pkg-config --cflags --libs libbarostat) -lpthread -o kv
 *	barostat run --engine NAME -- ./kv [BUDGET_BYTES] < commands
 *
 * Commands, one a line: put KEY VALUE, get KEY, delete KEY. How much may be used goes to stderr.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <barostat/admission.h>
#include <barostat/budget.h>

#define BUCKETS 1024
#define WAIT_NS UINT64_C(50000000) /* a put may wait so long for its turn */

struct entry {
	struct entry *next;
	struct baro_reservation held; /* as long as the entry */
	char *value; /* behind the key */
	char key[];
};

static struct entry *bucket[BUCKETS];
static uint64_t budget_bytes = 64 << 20;
static struct baro_budget *room;
static struct baro_collection *entries;
static struct baro_client *client;
static int stopping;

/* What points to the entry, or would. */
static struct entry **find(const char *key)
{
	uint32_t hash = 2166136261u;
	struct entry **at;

	for (const char *c = key; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	for (at = &bucket[hash % BUCKETS]; *at && strcmp((*at)->key, key) != 0; at = &(*at)->next)
		;
	return at;
}

/* The memory first, then the permission. False: there was nothing. */
static bool drop(struct entry **at)
{
	struct entry *e = *at;
	struct baro_reservation held;

	if (!e)
		return false;
	*at = e->next;
	baro_reservation_move(&e->held, &held);
	free(e);
	baro_reservation_release(&held);
	return true;
}

/* Permission first, then the memory; what was there goes only when the new is there. */
static bool insert(const char *key, const char *value, struct baro_refusal *ret_why)
{
	size_t key_bytes = strlen(key) + 1, value_bytes = strlen(value) + 1;
	size_t bytes = sizeof(struct entry) + key_bytes + value_bytes;
	struct entry **at = find(key), *e;
	struct baro_reservation held;

	if (baro_budget_reserve(room, bytes, &held, ret_why) < 0)
		return false;
	e = malloc(bytes);
	if (!e) {
		baro_reservation_release(&held);
		return false;
	}
	baro_reservation_move(&held, &e->held);
	memcpy(e->key, key, key_bytes);
	e->value = memcpy(e->key + key_bytes, value, value_bytes);
	drop(at);
	e->next = *at;
	*at = e;
	return true;
}

static void put(const char *key, const char *value)
{
	char words[BARO_REFUSAL_WORDS_MAX];
	struct baro_admission_refusal later;
	struct baro_refusal full;
	struct baro_permit permit;
	struct baro_job job;
	struct timespec now;

	memset(&job, 0, sizeof(job));
	memset(&full, 0, sizeof(full));
	clock_gettime(CLOCK_MONOTONIC, &now);
	job.kind = BARO_JOB_INSERT;
	job.payload_bytes = strlen(key) + strlen(value);
	job.cost_bytes = job.payload_bytes; /* no buffers, no log: only the line */
	job.deadline_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + WAIT_NS;
	if (baro_permit_acquire(entries, &job, &permit, &later) < 0) {
		baro_admission_refusal_format(&later, words, sizeof(words));
		printf("refused: %s\n", words);
	} else if (!insert(key, value, &full)) {
		baro_permit_fail(&permit);
		printf("refused: %s\n", full.requested_bytes
					    ? baro_refusal_words(&full, words, sizeof(words))
					    : "no memory");
	} else {
		baro_permit_release(&permit);
		printf("stored\n");
	}
}

static const char *get(const char *key)
{
	const struct entry *e = *find(key);

	return e ? e->value : "no such key";
}

static void obey(char *line)
{
	const char *verb = strtok(line, " \n"), *key = strtok(NULL, " \n");
	const char *value = strtok(NULL, "\n");

	if (value && !strcmp(verb, "put"))
		put(key, value);
	else if (key && !value && !strcmp(verb, "get"))
		printf("%s\n", get(key));
	else if (key && !value && !strcmp(verb, "delete"))
		printf("%s\n", drop(find(key)) ? "deleted" : "no such key");
	else
		printf("put KEY VALUE, get KEY or delete KEY\n");
	fflush(stdout);
}

/* The store may hold what the engine may use, and no more than its own budget. */
static void *follow(void *unused)
{
	struct baro_pressure now;

	(void)unused;
	memset(&now, 0, sizeof(now));
	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
		if (baro_client_wait(client, &now, WAIT_NS) < 0)
			continue;
		baro_budget_set_limit(room, now.budget_bytes < budget_bytes ? now.budget_bytes
									    : budget_bytes);
		baro_client_acknowledge(client, now.grant_epoch);
		fprintf(stderr, "%s: %" PRIu64 " bytes\n",
			baro_level_name(BARO_STATUS_LEVEL(now.status)), now.budget_bytes);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct baro_admission_options options;
	struct baro_admission *writes;
	pthread_t thread;
	size_t size = 0;
	char *line = NULL;

	if (argc > 1)
		budget_bytes = strtoull(argv[1], NULL, 10);
	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	if (baro_client_open(NULL, &client) < 0)
		return 1;
	options.client = client; /* admission looks at the pressure by itself */
	if (baro_budget_open(NULL, "kv", budget_bytes, 0, &room) < 0 ||
	    baro_admission_open(&options, &writes) < 0 ||
	    baro_collection_open(writes, "entries", NULL, &entries) < 0 ||
	    pthread_create(&thread, NULL, follow, NULL))
		return 1;
	while (getline(&line, &size, stdin) > 0) {
		obey(line);
		baro_client_set_accounted(client, baro_budget_used(room));
	}
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	free(line);
	for (int i = 0; i < BUCKETS; i++)
		while (drop(&bucket[i]))
			;
	baro_admission_close(writes);
	baro_client_close(client);
	return baro_budget_close(room) < 0; /* nothing was forgotten */
}
