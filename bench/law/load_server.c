/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients of engines that are servers: Redis over its unix socket, PostgreSQL by libpq. The server
 * is in the engine's cgroup, its client outside of it.
 */
#include <err.h>
#include <inttypes.h>
#include <postgresql/libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/law/load.h"

/* With Redis' header and jemalloc's size classes such a value takes a page. */
#define REDIS_VALUE    4000
#define REDIS_PER_KEY  4300 /* with key and table, measured */
#define PG_BYTES_A_ROW 157 /* of pgbench_accounts, its index included: 15 MB in 100,000 */

struct redis {
	int fd;
	uint64_t keys; /* the phase wants */
	uint64_t filled; /* have been set, in order */
	char value[REDIS_VALUE];
};

static void *redis_open(const char *path)
{
	struct redis *r = calloc(1, sizeof(*r));
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (!r)
		errx(1, "out of memory");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (r->fd < 0 || connect(r->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		err(1, "%s", path);
	memset(r->value, 'v', sizeof(r->value));
	return r;
}

/* Keys are only ever added: a phase on less reads less of them. */
static void redis_resize(void *self, uint64_t bytes)
{
	((struct redis *)self)->keys = bytes / REDIS_PER_KEY;
}

/* Reads an answer of `bytes`; a server that was killed hangs up. */
static int redis_answer(struct redis *r, size_t bytes)
{
	char buffer[REDIS_VALUE + 64];
	ssize_t n;

	for (size_t done = 0; done < bytes; done += (size_t)n) {
		n = read(r->fd, buffer + done, sizeof(buffer) - done);
		if (n <= 0)
			return LOAD_GONE;
		if (!done && buffer[0] == '-')
			errx(1, "Redis: %.*s", (int)n, buffer);
	}
	return 0;
}

static int redis_op(void *self, uint64_t random)
{
	struct redis *r = self;
	char request[REDIS_VALUE + 128];
	int n;

	if (r->filled < r->keys) {
		n = snprintf(request, sizeof(request),
			     "*3\r\n$3\r\nSET\r\n$16\r\n%016" PRIx64 "\r\n$%d\r\n%.*s\r\n",
			     r->filled, REDIS_VALUE, REDIS_VALUE, r->value);
		if (send(r->fd, request, (size_t)n, MSG_NOSIGNAL) != n)
			return LOAD_GONE;
		r->filled++;
		return redis_answer(r, strlen("+OK\r\n"));
	}
	n = snprintf(request, sizeof(request), "*2\r\n$3\r\nGET\r\n$16\r\n%016" PRIx64 "\r\n",
		     load_below(random, r->keys));
	if (send(r->fd, request, (size_t)n, MSG_NOSIGNAL) != n)
		return LOAD_GONE;
	return redis_answer(r, strlen("$4000\r\n") + REDIS_VALUE + strlen("\r\n"));
}

struct postgres {
	PGconn *connection;
	uint64_t rows;
};

static void *postgres_open(const char *path)
{
	struct postgres *p = calloc(1, sizeof(*p));
	const char *keys[] = { "host", "user", "dbname", NULL };
	const char *values[] = { path, "postgres", "postgres", NULL };
	PGresult *result;

	if (!p)
		errx(1, "out of memory");
	p->connection = PQconnectdbParams(keys, values, 0);
	result = PQprepare(p->connection, "one",
			   "SELECT abalance FROM pgbench_accounts WHERE aid = $1", 1, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		errx(1, "PostgreSQL: %s", PQerrorMessage(p->connection));
	PQclear(result);
	return p;
}

static void postgres_resize(void *self, uint64_t bytes)
{
	((struct postgres *)self)->rows = bytes / PG_BYTES_A_ROW;
}

static int postgres_op(void *self, uint64_t random)
{
	struct postgres *p = self;
	char aid[24];
	const char *values[] = { aid };
	PGresult *result;
	bool found;

	snprintf(aid, sizeof(aid), "%" PRIu64, load_below(random, p->rows) + 1);
	result = PQexecPrepared(p->connection, "one", 1, values, NULL, NULL, 0);
	found = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
	PQclear(result);
	if (PQstatus(p->connection) == CONNECTION_BAD)
		return LOAD_GONE;
	if (!found)
		errx(1, "PostgreSQL: row %s: %s", aid, PQerrorMessage(p->connection));
	return 0;
}

const struct load_kind load_redis = {
	.name = "redis",
	.what = "Redis: set of the next key until MB are there, then get of a random one",
	.open = redis_open,
	.resize = redis_resize,
	.op = redis_op,
};

const struct load_kind load_postgres = {
	.name = "postgres",
	.what = "PostgreSQL: a row of pgbench_accounts by random key",
	.open = postgres_open,
	.resize = postgres_resize,
	.op = postgres_op,
};
