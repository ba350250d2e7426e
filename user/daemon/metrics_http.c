/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/metrics_http.h"

#include <dlfcn.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/common/cleanup.h"
#include "user/common/log.h"
#include "user/daemon/config_endpoint.h"
#include "user/daemon/listen.h"
#include "user/daemon/scrape.h"

#define LIBRARY                 "libmicrohttpd.so.12"
#define CONNECTIONS_MAX         16u
#define CONNECTION_MEMORY_BYTES ((size_t)64 * 1024) /* of it, pieces of an answer */
#define CONNECTION_SILENT_S     10u
#define PIECE_BYTES             ((size_t)32 * 1024)
#define BACKLOG                 32

#define CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* What is used of the library, found when it is loaded. */
struct library {
	void *handle;
	__typeof__(&MHD_start_daemon) start_daemon;
	__typeof__(&MHD_stop_daemon) stop_daemon;
	__typeof__(&MHD_run) run;
	__typeof__(&MHD_get_timeout) get_timeout;
	__typeof__(&MHD_get_daemon_info) get_daemon_info;
	__typeof__(&MHD_queue_response) queue_response;
	__typeof__(&MHD_create_response_from_buffer) response_from_buffer;
	__typeof__(&MHD_create_response_from_callback) response_from_callback;
	__typeof__(&MHD_add_response_header) add_header;
	__typeof__(&MHD_destroy_response) destroy_response;
};

struct metrics_http {
	struct daemon *daemon;
	struct library lib;
	struct MHD_Daemon *http;
	int fd; /* listening; the library's once it has started */
	int again_fd; /* an eventfd: the library has more to do, but others come first */
	char at[CONFIG_PATH_MAX];
};

/* ---- the library ----------------------------------------------------------------------------- */

static int load_library(struct library *lib)
{
	const struct {
		const char *name;
		void **to;
	} symbol[] = {
		{ "MHD_start_daemon", (void **)&lib->start_daemon },
		{ "MHD_stop_daemon", (void **)&lib->stop_daemon },
		{ "MHD_run", (void **)&lib->run },
		{ "MHD_get_timeout", (void **)&lib->get_timeout },
		{ "MHD_get_daemon_info", (void **)&lib->get_daemon_info },
		{ "MHD_queue_response", (void **)&lib->queue_response },
		{ "MHD_create_response_from_buffer", (void **)&lib->response_from_buffer },
		{ "MHD_create_response_from_callback", (void **)&lib->response_from_callback },
		{ "MHD_add_response_header", (void **)&lib->add_header },
		{ "MHD_destroy_response", (void **)&lib->destroy_response },
	};

	lib->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!lib->handle)
		return -ELIBACC;
	for (size_t i = 0; i < ARRAY_SIZE(symbol); i++) {
		*symbol[i].to = dlsym(lib->handle, symbol[i].name);
		if (!*symbol[i].to)
			return -ELIBBAD;
	}
	return 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

static ssize_t next_piece(void *scrape, uint64_t position, char *buf, size_t size)
{
	size_t n = scrape_read(scrape, buf, size);

	return n ? (ssize_t)n : MHD_CONTENT_READER_END_OF_STREAM;
}

static void end_scrape(void *scrape)
{
	scrape_end(scrape);
}

static enum MHD_Result answer(struct metrics_http *m, struct MHD_Connection *connection,
			      unsigned int status, struct MHD_Response *response)
{
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	r = m->lib.add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
			      status == MHD_HTTP_OK ? CONTENT_TYPE : "text/plain");
	if (r == MHD_YES && status == MHD_HTTP_METHOD_NOT_ALLOWED)
		r = m->lib.add_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	if (r == MHD_YES)
		r = m->lib.queue_response(connection, status, response);
	m->lib.destroy_response(response); /* when it has been sent */
	return r;
}

static enum MHD_Result answer_text(struct metrics_http *m, struct MHD_Connection *connection,
				   unsigned int status, const char *text)
{
	return answer(
	    m, connection, status,
	    m->lib.response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result answer_metrics(struct metrics_http *m, struct MHD_Connection *connection)
{
	struct scrape *s = scrape_begin(m->daemon);
	struct MHD_Response *response =
	    s ? m->lib.response_from_callback(MHD_SIZE_UNKNOWN, PIECE_BYTES, next_piece, s,
					      end_scrape)
	      : NULL;

	if (!response) {
		scrape_end(s);
		return answer_text(m, connection, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory\n");
	}
	return answer(m, connection, MHD_HTTP_OK, response);
}

static enum MHD_Result request(void *arg, struct MHD_Connection *connection, const char *url,
			       const char *method, const char *version, const char *upload,
			       size_t *upload_bytes, void **state)
{
	struct metrics_http *m = arg;

	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer_text(m, connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
	/* At first only the headers are there; a body that should not be is read and forgotten. */
	if (!*state || *upload_bytes) {
		*state = m;
		*upload_bytes = 0;
		return MHD_YES;
	}
	if (!strcmp(url, "/metrics"))
		return answer_metrics(m, connection);
	if (!strcmp(url, "/"))
		return answer_text(m, connection, MHD_HTTP_OK, "barostatd: see /metrics\n");
	return answer_text(m, connection, MHD_HTTP_NOT_FOUND, "there is only /metrics\n");
}

/* ---- life ------------------------------------------------------------------------------------ */

static int listen_inet(const struct endpoint *e)
{
	_cleanup_close_ int fd =
	    socket(e->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	/* Without it nobody could listen for a minute after a restart. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (e->address.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&e->address, e->address_bytes) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int watch(struct metrics_http *m)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = LOOP_METRICS };
	const union MHD_DaemonInfo *info =
	    m->lib.get_daemon_info(m->http, MHD_DAEMON_INFO_EPOLL_FD);

	if (!info)
		return -EOPNOTSUPP;
	if (epoll_ctl(m->daemon->epoll_fd, EPOLL_CTL_ADD, info->epoll_fd, &ev) < 0)
		return -errno;
	m->again_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->again_fd < 0 || epoll_ctl(m->daemon->epoll_fd, EPOLL_CTL_ADD, m->again_fd, &ev) < 0)
		return -errno;
	return 0;
}

static int start(struct metrics_http *m, const struct endpoint *e)
{
	int r = load_library(&m->lib);

	if (r < 0)
		return r;
	m->fd = e->kind == ENDPOINT_LOCAL ? listen_at(m->at, SOCK_STREAM, BACKLOG) : listen_inet(e);
	if (m->fd < 0)
		return m->fd;
	m->http = m->lib.start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, request, m,
				      MHD_OPTION_LISTEN_SOCKET, m->fd, MHD_OPTION_CONNECTION_LIMIT,
				      CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
				      CONNECTION_SILENT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				      CONNECTION_MEMORY_BYTES, MHD_OPTION_END);
	return m->http ? watch(m) : -EIO;
}

static const char *why_not(int r)
{
	switch (r) {
	case -ELIBACC:
	case -ELIBBAD:
		return LIBRARY " cannot be loaded";
	case -EIO:
		return LIBRARY " does not start";
	default:
		return strerror(-r);
	}
}

void metrics_http_open(struct daemon *d, struct metrics_http **ret)
{
	struct metrics_http *m;
	struct endpoint e;
	const char *why = "";
	int r;

	*ret = NULL;
	if (endpoint_parse(d->config->metrics, &e, &why) < 0 || e.kind == ENDPOINT_NONE)
		return;
	m = calloc(1, sizeof(*m));
	r = m ? 0 : -ENOMEM;
	if (m) {
		m->daemon = d;
		m->fd = m->again_fd = -1;
		memcpy(m->at, d->config->metrics, sizeof(m->at));
		r = start(m, &e);
	}
	if (r < 0) {
		log_warn("event=metrics_failed at=%s error=\"%s\" detail=\"nobody can fetch them "
			 "until a reload\", ignoring",
			 d->config->metrics, why_not(r));
		metrics_http_close(m);
		return;
	}
	log_info("event=metrics at=%s", m->at);
	*ret = m;
}

void metrics_http_close(struct metrics_http *m)
{
	if (!m)
		return;
	if (m->http)
		m->lib.stop_daemon(m->http); /* closes what listens, and leaves epoll by that */
	else if (m->fd >= 0)
		close(m->fd);
	if (m->fd >= 0 && m->at[0] == '/')
		unlink(m->at);
	if (m->again_fd >= 0)
		close(m->again_fd);
	if (m->lib.handle)
		dlclose(m->lib.handle);
	free(m);
}

void metrics_http_follow(struct daemon *d, struct metrics_http **m)
{
	if (*m && !strcmp((*m)->at, d->config->metrics))
		return;
	metrics_http_close(*m);
	metrics_http_open(d, m);
}

void metrics_http_run(struct metrics_http *m)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;
	uint64_t count;

	if (!m)
		return;
	if (read(m->again_fd, &count, sizeof(count)) < 0) {
		/* EAGAIN: it was not that. */
	}
	m->lib.run(m->http);
	/* What is left is done in the loop's next turn, after whoever waits as well. */
	count = 1;
	if (m->lib.get_timeout(m->http, &timeout_ms) == MHD_YES && !timeout_ms &&
	    write(m->again_fd, &count, sizeof(count)) < 0) {
		/* EAGAIN: it is set already. */
	}
}
