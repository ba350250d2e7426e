/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "user/common/cleanup.h"
#include "user/common/clock.h"

#define ANSWER_NS        (5 * NS_PER_S) /* for a whole exchange */
#define ANSWER_BYTES_MAX (32u << 20)

static int fault(struct client *client, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int fault(struct client *client, int status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(client->why, sizeof(client->why), fmt, args);
	va_end(args);
	return status;
}

/* Waits for `events` until the deadline. 0, -ETIMEDOUT, -errno. */
static int wait_for(int fd, short events, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t now = clock_now_ns();
		struct pollfd p = { .fd = fd, .events = events };
		int r;

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		r = poll(&p, 1, (int)((deadline_ns - now) / NS_PER_MS) + 1);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

static int connect_failed(struct client *client, int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
	case ENOTDIR:
		return fault(client, CLI_NO_DAEMON, "no daemon answers at %.160s: %s", client->path,
			     strerror(error));
	case EAGAIN:
		return fault(client, CLI_FAILED,
			     "the daemon at %.160s is busy: it did not accept "
			     "a connection within 5 s",
			     client->path);
	default:
		return fault(client, CLI_FAILED, "cannot connect to %.160s: %s", client->path,
			     strerror(error));
	}
}

int client_connect(struct client *client, const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	uint64_t deadline_ns = clock_now_ns() + ANSWER_NS;
	_cleanup_close_ int fd = -1;

	*client = (struct client){ .fd = -1, .path = path, .answer_ns = ANSWER_NS };
	if (!*path || strlen(path) >= sizeof(name.sun_path))
		return fault(client, CLI_USAGE, "a socket's path has 1 to %zu bytes, not %zu",
			     sizeof(name.sun_path) - 1, strlen(path));
	memcpy(name.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fault(client, CLI_FAILED, "cannot make a socket: %s", strerror(errno));
	while (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0) {
		/* A full backlog: the kernel offers nothing to wait on. */
		if (errno != EAGAIN || clock_now_ns() >= deadline_ns)
			return connect_failed(client, errno);
		poll(NULL, 0, 10);
	}
	client->fd = TAKE_FD(fd);
	return CLI_OK;
}

void client_close(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

static int broken(struct client *client, int error, const char *when)
{
	client_close(client);
	if (error == -ETIMEDOUT)
		return fault(client, CLI_FAILED, "the daemon did not answer within %u s",
			     (unsigned int)(client->answer_ns / NS_PER_S));
	return fault(client, CLI_FAILED, "the connection broke %s: %s", when, strerror(-error));
}

static int send_line(struct client *client, const char *text, size_t n, uint64_t deadline_ns)
{
	while (n) {
		ssize_t sent = send(client->fd, text, n, MSG_NOSIGNAL);
		int r;

		if (sent >= 0) {
			text += sent;
			n -= (size_t)sent;
			continue;
		}
		r = errno == EAGAIN  ? wait_for(client->fd, POLLOUT, deadline_ns)
		    : errno == EINTR ? 0
				     : -errno;
		if (r < 0)
			return broken(client, r, "before the question was asked");
	}
	return CLI_OK;
}

/* One line, without its newline. */
static int read_line(struct client *client, uint64_t deadline_ns, char **ret_text, size_t *ret_n)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0, room = 0;

	for (;;) {
		ssize_t got;
		char *eol;
		int r;

		if (n == room) {
			char *more = realloc(text, room ? 2 * room : 16384);

			if (!more)
				return broken(client, -ENOMEM, "within the answer");
			text = more;
			room = room ? 2 * room : 16384;
		}
		r = wait_for(client->fd, POLLIN, deadline_ns);
		if (r < 0)
			return broken(client, r, "within the answer");
		/* What follows the line is not the answer's: a recording may begin there. */
		got = recv(client->fd, text + n, room - n, MSG_PEEK);
		if (got > 0) {
			eol = memchr(text + n, '\n', (size_t)got);
			got = recv(client->fd, text + n,
				   eol ? (size_t)(eol - text) - n + 1 : (size_t)got, 0);
		}
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got < 0)
			return broken(client, -errno, "within the answer");
		if (!got) {
			client_close(client);
			return fault(client, CLI_FAILED, "%s",
				     n ? "the daemon's answer ended within a line"
				       : "the daemon closed the connection without an answer");
		}
		eol = memchr(text + n, '\n', (size_t)got);
		n += (size_t)got;
		if (eol) {
			*ret_n = (size_t)(eol - text);
			*ret_text = TAKE_PTR(text);
			return CLI_OK;
		}
		if (n > ANSWER_BYTES_MAX) {
			client_close(client);
			return fault(client, CLI_FAILED, "the daemon's answer is longer than 32M");
		}
	}
}

/* {"ok": false}: what the daemon says, and the exit status it means. */
static int refused(struct client *client, const json_t *answer)
{
	const char *error = json_string_value(json_object_get(answer, "error"));
	const char *code = json_string_value(json_object_get(answer, "code"));

	if (!error)
		return fault(client, CLI_FAILED, "the daemon refused without saying why");
	return fault(client, code && !strcmp(code, "usage") ? CLI_USAGE : CLI_FAILED, "%s%s", error,
		     code && !strcmp(code, "denied") ? " (try as root)" : "");
}

static int understand(struct client *client, const char *text, size_t n, json_t **ret_answer)
{
	json_error_t error;
	json_t *answer = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error), *ok;
	int r;

	ok = json_object_get(answer, "ok");
	if (!json_is_boolean(ok)) {
		client_close(client);
		json_decref(answer);
		return fault(client, CLI_FAILED, "the daemon's answer is not understood: %s",
			     answer ? "it is no object with \"ok\"" : error.text);
	}
	if (json_is_false(ok)) {
		r = refused(client, answer);
		json_decref(answer);
		return r;
	}
	json_object_del(answer, "ok");
	*ret_answer = answer;
	return CLI_OK;
}

int client_ask(struct client *client, json_t *request, json_t **ret_answer)
{
	uint64_t deadline_ns = clock_now_ns() + client->answer_ns;
	_cleanup_json_ json_t *owned = request;
	_cleanup_free_ char *line = NULL, *text = NULL;
	size_t n;
	int r;

	line = json_dumps(owned, JSON_COMPACT);
	if (!line)
		return fault(client, CLI_USAGE, "an argument is not UTF-8 text");
	n = strlen(line);
	line[n] = '\n'; /* in the place of the NUL */
	r = send_line(client, line, n + 1, deadline_ns);
	if (r)
		return r;
	r = read_line(client, deadline_ns, &text, &n);
	return r ? r : understand(client, text, n, ret_answer);
}

int client_fail(const struct client *client, int status)
{
	cli_fail(status, "%s", client->why);
	if (status == CLI_NO_DAEMON)
		fprintf(stderr,
			"Start it with 'systemctl start barostatd' or 'barostatd --config FILE'; "
			"if it listens elsewhere, say --socket PATH.\n");
	return status;
}

int client_ask_once(const struct cli *cli, json_t *request, json_t **ret_answer)
{
	struct client client;
	int r = client_connect(&client, cli->socket_path);

	if (r)
		json_decref(request);
	else
		r = client_ask(&client, request, ret_answer);
	client_close(&client);
	return r ? client_fail(&client, r) : CLI_OK;
}

int client_check_engines(struct client *client, const json_t *status)
{
	const json_t *engines = json_object_get(status, "engines"), *e;
	size_t i;

	json_array_foreach (engines, i, e)
		if (!json_is_object(e))
			engines = NULL;
	if (json_is_array(engines))
		return CLI_OK;
	return fault(client, CLI_FAILED, "the daemon's answer lacks \"engines\"");
}

int client_ask_status(const struct cli *cli, json_t **ret_status)
{
	_cleanup_json_ json_t *status = NULL;
	struct client client;
	int r = client_connect(&client, cli->socket_path);

	if (!r)
		r = client_ask(&client, json_pack("{s:s}", "cmd", "status"), &status);
	if (!r)
		r = client_check_engines(&client, status);
	client_close(&client);
	if (r)
		return client_fail(&client, r);
	*ret_status = TAKE_PTR(status);
	return CLI_OK;
}
