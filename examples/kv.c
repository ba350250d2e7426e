// SPDX-License-Identifier: BSD-2-Clause
/*
 * A key-value store in memory that pushes back: a put asks whether it may run now, and whether there
 * is room for what it brings, and is told why not, or when to come again. Where memory presses there
 * is less room, and in an emergency no put at all; get and delete go on.
 *
 *	cc kv.c $(pkg-config --cflags --libs libbarostat) -o kv
 *	barostat run --engine NAME -- ./kv [BUDGET_BYTES] < commands
 *
 * Commands, one a line: put KEY VALUE, get KEY, delete KEY.
 */
#define _GNU_SOURCE
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <barostat/admission.h>
#include <barostat/budget.h>

struct pair {
	struct baro_reservation held; /* as long as the entry */
	char *value; /* behind the key */
	char key[];
};

static void *entries;
static struct baro_budget *room;
static struct baro_collection *writes;

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

/* The memory first, then what was reserved for it. */
static void drop(void *entry)
{
	struct baro_reservation held;

	baro_reservation_move(&((struct pair *)entry)->held, &held);
	free(entry);
	baro_reservation_release(&held);
}

static void put(struct pair *e, size_t bytes)
{
	struct baro_job job = { .kind = BARO_JOB_INSERT, .cost_bytes = bytes };
	struct baro_admission_refusal later;
	char words[BARO_REFUSAL_WORDS_MAX];
	struct baro_permit permit;
	struct baro_refusal full;
	struct pair **at, *old = NULL;

	if (baro_permit_acquire(writes, &job, &permit, &later) < 0) {
		baro_admission_refusal_format(&later, words, sizeof(words));
		printf("refused: %s\n", words);
		free(e);
	} else if (baro_budget_reserve(room, bytes, &e->held, &full) < 0) {
		printf("refused: %s\n", baro_refusal_words(&full, words, sizeof(words)));
		baro_permit_fail(&permit);
		free(e);
	} else if ((at = tsearch(e, &entries, by_key)) != NULL) {
		if (*at != e)
			old = *at, *at = e;
		baro_permit_release(&permit);
		printf("stored\n");
		if (old)
			drop(old);
	}
}

static void obey(char *line)
{
	const char *verb = strtok(line, " \n"), *key = strtok(NULL, " \n"),
		   *value = strtok(NULL, "\n");
	size_t bytes =
	    sizeof(struct pair) + strlen(key ? key : "") + strlen(value ? value : "") + 2;
	struct pair *e = calloc(1, bytes), **at;

	if (!e || !key || !value != !!strcmp(verb, "put") ||
	    (!value && strcmp(verb, "get") != 0 && strcmp(verb, "delete") != 0)) {
		printf("put KEY VALUE, get KEY or delete KEY\n");
		free(e);
		return;
	}
	e->value = stpcpy(e->key, key) + 1;
	if (value) {
		memcpy(e->value, value, strlen(value) + 1);
		put(e, bytes);
		return;
	}
	at = tfind(e, &entries, by_key);
	printf("%s\n", !at ? "no such key" : *verb == 'g' ? (*at)->value : "deleted");
	if (at && *verb == 'd') {
		struct pair *found = *at;

		tdelete(found, &entries, by_key);
		drop(found);
	}
	free(e);
}

int main(int argc, char **argv)
{
	const uint64_t own_bytes = argc > 1 ? strtoull(argv[1], NULL, 10) : 64 << 20;
	struct baro_admission_options options = { .size = sizeof(options) };
	struct baro_admission *admission;
	struct baro_pressure now;
	char *line = NULL;
	size_t size = 0;

	if (baro_client_open(NULL, &options.client) < 0 ||
	    baro_budget_open(NULL, "kv", own_bytes, 0, &room) < 0 ||
	    baro_admission_open(&options, &admission) < 0 ||
	    baro_collection_open(admission, "entries", NULL, &writes) < 0)
		return 1;
	while (getline(&line, &size, stdin) > 0) {
		/* what the engine may use, in nanoseconds; admission looks at the level by itself */
		if (baro_client_read(options.client, &now) == 0) {
			baro_budget_set_limit(room, now.budget_bytes < own_bytes ? now.budget_bytes
										 : own_bytes);
			baro_client_acknowledge(options.client, now.grant_epoch);
		}
		obey(line);
		fflush(stdout);
	}
	free(line);
	tdestroy(entries, drop);
	baro_admission_close(admission);
	baro_client_close(options.client);
	return baro_budget_close(room) < 0; /* nothing was forgotten */
}
