/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: one JSON object a line in, one out (docs/control.md). A client can neither
 * block the loop nor grow it: descriptors do not block, requests and clients are bounded, and one
 * that neither asks nor reads is dropped.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "user/common/clock.h"
#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/daemon.h"
#include "user/daemon/facts.h"
#include "user/daemon/listen.h"
#include "user/daemon/record.h"
#include "user/daemon/trace.h"

#define CLIENTS_MAX    64
#define REQUEST_MAX    (64 * 1024)
#define PIDS_MAX       4096
#define CLIENT_IDLE_NS (30 * NS_PER_S)

struct client {
	int fd; /* -1: free */
	uid_t uid;
	uint64_t active_ns;
	char *in; /* one request, grown up to REQUEST_MAX */
	size_t in_len, in_size;
	char *out; /* the reply that did not fit the socket yet */
	size_t out_len, out_sent;
};

struct control {
	struct daemon *daemon;
	int fd;
	char path[CONFIG_PATH_MAX];
	struct client client[CLIENTS_MAX];
};

/* ---- replies --------------------------------------------------------------------------------- */

static json_t *failure(const char *code, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static json_t *failure(const char *code, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return json_pack("{s:b, s:s, s:s}", "ok", 0, "error", text, "code", code);
}

static json_t *success(json_t *body)
{
	if (!body)
		return failure("failed", "out of memory");
	json_object_set_new(body, "ok", json_true());
	return body;
}

static json_t *no_engine(const struct daemon *d, const char *name)
{
	char known[512] = "";
	size_t n = 0;

	for_each_engine (d, e) {
		int len = snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "", e->name);

		if (len < 0 || n + (size_t)len >= sizeof(known))
			break;
		n += (size_t)len;
	}
	return failure("not_found", "no engine \"%s\"; there are: %s", name,
		       n ? known : "none configured");
}

/* ---- requests -------------------------------------------------------------------------------- */

static json_t *do_set(struct daemon *d, struct engine *e, json_t *request)
{
	const char *key, *value;
	char why[256];

	if (json_unpack(request, "{s:s, s:s}", "key", &key, "value", &value) < 0)
		return failure("usage", "set needs \"key\" and \"value\" as strings");
	if (config_set_engine(d->config, e->name, key, value, why, sizeof(why)) < 0)
		return failure("usage", "%s", why);
	e->manual = false; /* whoever sets an engine's bounds wants it steered again */
	engine_follow_settings(d, e);
	engines_refresh_law(d);
	log_info("engine=%s event=set %s=%s", e->name, key, value);
	return success(json_pack("{s:o}", "engine", facts_engine(d, e)));
}

/* Where an engine can watch its own stalls; NULL where the kernel does not tell. */
static json_t *pressure_file(const struct daemon *d, const struct engine *e)
{
	return d->abilities->has_psi
		   ? json_sprintf("%s/%s/memory.pressure", d->abilities->psi_mount, e->conf->cgroup)
		   : NULL;
}

static json_t *do_attach(struct daemon *d, struct engine *e, json_t *request)
{
	json_t *pids = json_object_get(request, "pids"), *pid;
	json_t *attached, *failed;
	size_t i;

	if (!json_is_array(pids) || !json_array_size(pids) || json_array_size(pids) > PIDS_MAX)
		return failure("usage", "attach needs \"pids\": an array of 1 to %d process ids",
			       PIDS_MAX);
	if (d->dry_run)
		return failure("failed", "this is a dry run: nothing is attached");
	if (e->status == ENGINE_WAITING)
		engine_try_activate(d, e, clock_now_ns());
	if (e->status != ENGINE_ACTIVE)
		return failure("failed", "engine \"%s\" has no cgroup now: %s does not exist",
			       e->name, e->conf->cgroup);
	attached = json_array();
	failed = json_array();
	json_array_foreach (pids, i, pid) {
		json_int_t p = json_integer_value(pid);
		int r = json_is_integer(pid) && p > 0 && p <= INT32_MAX
			    ? cg_attach(d->backend, e->conf->cgroup, (pid_t)p)
			    : -EINVAL;

		if (r == 0)
			json_array_append(attached, pid);
		else
			json_array_append_new(
			    failed, json_pack("{s:O, s:s}", "pid", pid, "error", strerror(-r)));
	}
	return success(json_pack("{s:o, s:o, s:o*}", "attached", attached, "failed", failed,
				 "pressure", pressure_file(d, e)));
}

static json_t *do_reload(struct daemon *d)
{
	char why[2048];

	if (daemon_reload(d, why, sizeof(why)) < 0)
		return failure("failed", "%s", why);
	return success(json_object());
}

/* On success the connection is the recording's, and there is nothing to answer any more. */
static json_t *do_record(struct daemon *d, struct client *c)
{
	char reply[128];
	int r;

	snprintf(reply, sizeof(reply), "{\"ok\":true,\"version\":%d,\"interval_ms\":%llu}\n",
		 TRACE_VERSION, (unsigned long long)(d->config->interval_ns / NS_PER_MS));
	r = record_start(d, c->fd, reply);
	if (r == -EBUSY)
		return failure("failed", "%d recordings are going on already, which is the most",
			       RECORDERS_MAX);
	if (r < 0)
		return failure("failed", "cannot record: %s", strerror(-r));
	c->fd = -1;
	return NULL;
}

enum needs { NEEDS_NOTHING = 0, NEEDS_ENGINE = 1, NEEDS_ROOT = 2 };

static const struct verb {
	const char *name;
	unsigned int needs;
} verbs[] = {
	{ "status", NEEDS_NOTHING },
	{ "doctor", NEEDS_NOTHING },
	{ "explain", NEEDS_ENGINE },
	{ "history", NEEDS_ENGINE },
	{ "set", NEEDS_ENGINE | NEEDS_ROOT },
	{ "attach", NEEDS_ENGINE | NEEDS_ROOT },
	{ "reload", NEEDS_ROOT },
	{ "record", NEEDS_ROOT },
};

static json_t *run_verb(struct daemon *d, const char *verb, struct engine *e, json_t *request,
			struct client *c)
{
	if (!strcmp(verb, "status"))
		return success(facts_status(d));
	if (!strcmp(verb, "doctor"))
		return success(facts_doctor(d));
	if (!strcmp(verb, "explain"))
		return success(facts_explain(d, e));
	if (!strcmp(verb, "history"))
		return success(facts_history(d, e));
	if (!strcmp(verb, "set"))
		return do_set(d, e, request);
	if (!strcmp(verb, "attach"))
		return do_attach(d, e, request);
	if (!strcmp(verb, "record"))
		return do_record(d, c);
	return do_reload(d);
}

static json_t *answer(struct daemon *d, struct client *c, const char *line)
{
	json_error_t error;
	json_t *request = json_loads(line, JSON_REJECT_DUPLICATES, &error), *reply = NULL;
	const char *cmd = json_string_value(json_object_get(request, "cmd"));
	const char *name = json_string_value(json_object_get(request, "engine"));
	struct engine *e = name ? engine_find(d, name) : NULL;
	const struct verb *v = NULL;

	for (size_t i = 0; cmd && i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, cmd))
			v = &verbs[i];
	if (!request)
		reply = failure("usage", "not a JSON object: %s", error.text);
	else if (!v)
		reply = failure("usage",
				"no command \"%s\"; allowed: status, doctor, explain, "
				"history, set, attach, reload, record",
				cmd ? cmd : "");
	else if (v->needs & NEEDS_ROOT && c->uid != 0 && c->uid != geteuid())
		reply = failure("denied", "%s changes things: only root may", cmd);
	else if (v->needs & NEEDS_ENGINE && !name)
		reply = failure("usage", "%s needs \"engine\"", cmd);
	else if (v->needs & NEEDS_ENGINE && !e)
		reply = no_engine(d, name);
	else
		reply = run_verb(d, v->name, e, request, c);
	json_decref(request);
	return reply;
}

/* ---- clients --------------------------------------------------------------------------------- */

static void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd); /* leaves epoll by itself */
	free(c->in);
	free(c->out);
	*c = (struct client){ .fd = -1 };
}

static void client_want(struct control *ctl, const struct client *c)
{
	struct epoll_event ev = { .events = c->out ? EPOLLOUT : EPOLLIN,
				  .data.u64 = LOOP_CLIENT | (uint32_t)(c - ctl->client) };

	epoll_ctl(ctl->daemon->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
}

/* False when the client is to be dropped. */
static bool client_flush(struct client *c)
{
	while (c->out) {
		ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		c->out_sent += (size_t)n;
		if (c->out_sent < c->out_len)
			continue;
		free(c->out);
		c->out = NULL;
	}
	return true;
}

static bool client_reply(struct client *c, json_t *reply)
{
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
	size_t n = text ? strlen(text) : 0;
	char *grown = text ? realloc(text, n + 2) : NULL;

	json_decref(reply);
	if (!grown) {
		free(text);
		return false;
	}
	grown[n] = '\n';
	grown[n + 1] = '\0';
	c->out = grown;
	c->out_len = n + 1;
	c->out_sent = 0;
	return client_flush(c);
}

/* Answers the first whole line that has come in. */
static bool client_serve(struct control *ctl, struct client *c)
{
	char *end;
	bool keep;

	while (!c->out && c->in_len && (end = memchr(c->in, '\n', c->in_len))) {
		size_t used = (size_t)(end - c->in) + 1;
		json_t *reply;

		*end = '\0';
		reply = answer(ctl->daemon, c, c->in);
		if (c->fd < 0)
			return false;
		keep = client_reply(c, reply);
		memmove(c->in, c->in + used, c->in_len - used);
		c->in_len -= used;
		if (!keep)
			return false;
	}
	return true;
}

static bool client_read(struct control *ctl, struct client *c)
{
	ssize_t n;

	if (c->in_len == c->in_size) {
		size_t size = c->in_size ? 2 * c->in_size : 1024;
		char *grown;

		if (size > REQUEST_MAX) {
			client_reply(
			    c, failure("usage", "a request has at most %d bytes", REQUEST_MAX));
			return false;
		}
		grown = realloc(c->in, size);
		if (!grown)
			return false;
		c->in = grown;
		c->in_size = size;
	}
	n = recv(c->fd, c->in + c->in_len, c->in_size - c->in_len, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	c->in_len += (size_t)n;
	return true;
}

void control_client(struct control *ctl, uint32_t id, uint32_t events)
{
	struct client *c;
	bool keep = true;

	if (id >= CLIENTS_MAX || ctl->client[id].fd < 0)
		return;
	c = &ctl->client[id];
	c->active_ns = clock_now_ns();
	if (events & EPOLLIN)
		keep = client_read(ctl, c);
	else if (events & EPOLLOUT)
		keep = client_flush(c);
	else if (events & (EPOLLHUP | EPOLLERR))
		keep = false;
	if (keep)
		keep = client_serve(ctl, c);
	if (keep)
		client_want(ctl, c);
	else
		client_close(c);
}

void control_expire(struct control *ctl, uint64_t now_ns)
{
	for (int i = 0; ctl && i < CLIENTS_MAX; i++)
		if (ctl->client[i].fd >= 0 && now_ns - ctl->client[i].active_ns > CLIENT_IDLE_NS)
			client_close(&ctl->client[i]);
}

void control_accept(struct control *ctl)
{
	int fd = accept4(ctl->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct epoll_event ev = { .events = EPOLLIN };
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		peer.uid = (uid_t)-1;
	for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &ctl->client[i];

		if (c->fd >= 0)
			continue;
		ev.data.u64 = LOOP_CLIENT | i;
		if (epoll_ctl(ctl->daemon->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
			break;
		c->fd = fd;
		c->uid = peer.uid;
		c->active_ns = clock_now_ns();
		return;
	}
	log_limited(LOG_LEVEL_WARN, "event=client_refused detail=\"%d clients are connected\"",
		    CLIENTS_MAX);
	close(fd);
}

/* ---- the socket ------------------------------------------------------------------------------ */

int control_open(struct daemon *d, struct control **ret)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = LOOP_CONTROL };
	struct control *ctl = calloc(1, sizeof(*ctl));
	int r;

	if (!ctl)
		return -ENOMEM;
	for (int i = 0; i < CLIENTS_MAX; i++)
		ctl->client[i].fd = -1;
	ctl->daemon = d;
	snprintf(ctl->path, sizeof(ctl->path), "%s", d->config->socket);
	ctl->fd = listen_at(ctl->path, SOCK_STREAM, CLIENTS_MAX);
	r = ctl->fd < 0 ? ctl->fd : 0;
	if (r == 0 && epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, ctl->fd, &ev) < 0)
		r = -errno;
	if (r < 0) {
		log_err("event=socket_failed socket=%s error=\"%s\"", ctl->path, strerror(-r));
		free(ctl);
		return r;
	}
	*ret = ctl;
	return 0;
}

void control_close(struct control *ctl)
{
	if (!ctl)
		return;
	for (int i = 0; i < CLIENTS_MAX; i++)
		client_close(&ctl->client[i]);
	close(ctl->fd);
	unlink(ctl->path);
	free(ctl);
}
