/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/demand_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/common/clock.h"
#include "user/common/log.h"
#include "user/daemon/demand.h"
#include "user/daemon/listen.h"
#include "user/daemon/page_writer.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define ACCEPTS_MAX 16 /* per event, so that a flood of connections cannot hold the loop */
#define SEALS       (F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

struct demand_client {
	int fd; /* -1: free */
	uint32_t slot;
	pid_t pid;
	struct baro_demand *page;
	struct demand_values values; /* the last whole copy */
};

struct demand_socket {
	struct daemon *daemon;
	int fd;
	uint32_t top; /* clients from here on are free */
	char path[CONFIG_PATH_MAX];
	struct demand_client client[DEMAND_CLIENTS_MAX];
};

/* ---- who it is ------------------------------------------------------------------------------- */

struct peer {
	struct ucred cred;
	struct engine *engine; /* NULL when refused */
	uint32_t error;
	const char *detail;
};

static void refuse(struct peer *p, int error, const char *detail)
{
	p->engine = NULL;
	p->error = (uint32_t)error;
	p->detail = detail;
}

static struct engine *engine_above(struct daemon *d, const char *path)
{
	for_each_engine (d, e)
		if (e->status == ENGINE_ACTIVE &&
		    (!strcmp(path, e->conf->cgroup) || engine_path_is_below(path, e->conf->cgroup)))
			return e;
	return NULL;
}

/* Its end is closed: the number it had may be another process's by now. */
static bool has_left(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) != 0;
}

static uint32_t clients_of(const struct demand_socket *s, uint32_t slot)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->top; i++)
		n += s->client[i].fd >= 0 && s->client[i].slot == slot;
	return n;
}

static void identify(struct demand_socket *s, int fd, struct peer *p)
{
	struct daemon *d = s->daemon;
	socklen_t size = sizeof(p->cred);
	char path[CG_PATH_MAX];
	uid_t uid;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &p->cred, &size) < 0 || p->cred.pid <= 0 ||
	    cg_path_of_pid(d->backend, p->cred.pid, path, sizeof(path)) < 0 || has_left(fd)) {
		refuse(p, ENOENT, "the daemon cannot see this process");
		return;
	}
	uid = p->cred.uid;
	p->engine = engine_above(d, path);
	if (!p->engine)
		refuse(p, ENOENT, "this process is in no engine's cgroup");
	else if (uid != 0 && uid != geteuid() && uid != p->engine->user_uid)
		refuse(p, EACCES, "only root and the engine's user may open its demand page");
	else if (clients_of(s, p->engine->slot) >= DEMAND_CLIENTS_PER_ENGINE_MAX)
		refuse(p, EBUSY, "the engine has as many clients as it may");
}

/* ---- what it gets ---------------------------------------------------------------------------- */

/* The size is sealed, so that reading the page can never fault; its contents are the client's. */
static int make_page(struct baro_demand **ret_page, int *ret_fd)
{
	const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	_cleanup_close_ int fd = memfd_create("barostat-demand", flags | MFD_NOEXEC_SEAL);
	struct baro_demand first, *page;

	if (fd < 0 && errno == EINVAL) /* before 6.3 */
		fd = memfd_create("barostat-demand", flags);
	if (fd < 0)
		return -errno;
	demand_init(&first);
	if (pwrite(fd, &first, sizeof(first), 0) != sizeof(first))
		return errno ? -errno : -EIO;
	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	page = mmap(NULL, sizeof(*page), PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	*ret_page = page;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int send_welcome(int to, const struct baro_welcome *w, const int fds[2])
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)w, .iov_len = sizeof(*w) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fds) {
		struct cmsghdr *c;

		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(2 * sizeof(int));
		memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
	}
	return sendmsg(to, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*w) ? 0 : -errno;
}

static void fill_welcome(const struct daemon *d, const struct peer *p, struct baro_welcome *w)
{
	*w = (struct baro_welcome){
		.magic = BARO_WELCOME_MAGIC,
		.abi_major = BARO_DEMAND_ABI_MAJOR,
		.abi_minor = BARO_DEMAND_ABI_MINOR,
		.message_bytes = sizeof(*w),
		.error = p->error,
		.heartbeat_within_ns = DEMAND_HEARTBEAT_WITHIN_NS,
	};
	if (p->error || !p->engine) {
		snprintf(w->detail, sizeof(w->detail), "%s", p->detail);
		return;
	}
	w->slot = p->engine->slot;
	w->incarnation =
	    BARO_STATUS_INCARNATION(page_writer_slot(d->page, p->engine->slot)->pressure.status);
	w->cgroup_id = engine_id_of(p->engine);
	memcpy(w->engine, p->engine->name, sizeof(w->engine));
}

/* ---- clients --------------------------------------------------------------------------------- */

static void client_close(struct demand_socket *s, struct demand_client *c)
{
	close(c->fd); /* leaves epoll by itself */
	munmap(c->page, sizeof(*c->page));
	*c = (struct demand_client){ .fd = -1 };
	while (s->top && s->client[s->top - 1].fd < 0)
		s->top--;
}

static struct demand_client *free_client(struct demand_socket *s)
{
	for (uint32_t i = 0; i < DEMAND_CLIENTS_MAX; i++)
		if (s->client[i].fd < 0)
			return &s->client[i];
	return NULL;
}

/* On success the client owns `fd`. */
static int admit(struct demand_socket *s, int fd, const struct peer *p)
{
	struct demand_client *c = free_client(s);
	uint32_t id = c ? (uint32_t)(c - s->client) : 0;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP, .data.u64 = LOOP_DEMAND | id };
	int page_fd = page_writer_reader(s->daemon->page); /* the writer's own */
	_cleanup_close_ int demand_fd = -1;
	struct baro_demand *page = NULL;
	struct baro_welcome w;
	int r;

	if (!c)
		return -EBUSY;
	r = page_fd < 0 ? page_fd : make_page(&page, &demand_fd);
	if (r < 0)
		return r;
	fill_welcome(s->daemon, p, &w);
	r = send_welcome(fd, &w, (const int[2]){ page_fd, demand_fd });
	if (r == 0 && epoll_ctl(s->daemon->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		r = -errno;
	if (r < 0) {
		munmap(page, sizeof(*page));
		return r;
	}
	*c = (struct demand_client){
		.fd = fd, .slot = p->engine->slot, .pid = p->cred.pid, .page = page
	};
	if (id >= s->top)
		s->top = id + 1;
	log_debug("engine=%s event=client pid=%d", p->engine->name, (int)p->cred.pid);
	return 0;
}

static void greet(struct demand_socket *s, int fd)
{
	struct peer p = { 0 };
	struct baro_welcome w;
	int r;

	identify(s, fd, &p);
	if (p.engine) {
		r = admit(s, fd, &p);
		if (r == 0)
			return;
		refuse(&p, -r,
		       r == -EBUSY ? "the daemon has as many clients as it may"
				   : "the daemon could not make a demand page");
	}
	log_limited(LOG_LEVEL_WARN, "event=client_refused pid=%d uid=%d detail=\"%s\"",
		    (int)p.cred.pid, (int)p.cred.uid, p.detail);
	fill_welcome(s->daemon, &p, &w);
	(void)send_welcome(fd, &w, NULL);
	close(fd);
}

void demand_socket_accept(struct demand_socket *s)
{
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		greet(s, fd);
	}
}

/* A client says nothing: it has left, or it talks out of turn and has to leave. */
void demand_socket_event(struct demand_socket *s, uint32_t id)
{
	struct demand_client *c;

	if (id >= DEMAND_CLIENTS_MAX || s->client[id].fd < 0)
		return;
	c = &s->client[id];
	log_debug("engine=%s event=client_left pid=%d", s->daemon->engine[c->slot].name,
		  (int)c->pid);
	client_close(s, c);
}

void demand_drop(struct demand_socket *s, uint32_t slot)
{
	for (uint32_t i = 0; s && i < s->top; i++)
		if (s->client[i].fd >= 0 && s->client[i].slot == slot)
			client_close(s, &s->client[i]);
}

void demand_collect(struct demand_socket *s, uint64_t now_ns)
{
	struct daemon *d = s ? s->daemon : NULL;

	if (!s)
		return;
	for_each_engine (d, e)
		memset(&d->sample[e->slot].demand, 0, sizeof(struct law_demand));
	for (uint32_t i = 0; i < s->top; i++) {
		struct demand_client *c = &s->client[i];
		const struct engine *e = &d->engine[c->slot];
		struct law_sample *sample = &d->sample[c->slot];
		struct demand_bounds b;
		struct law_demand one;

		if (c->fd < 0 || e->status != ENGINE_ACTIVE)
			continue;
		b = (struct demand_bounds){ .now_ns = now_ns,
					    .usage_bytes = sample->usage_bytes,
					    .max_bytes = e->conf->max_bytes,
					    .grant_epoch = e->grant_epoch };
		(void)demand_copy(c->page, &c->values);
		if (demand_check(&c->values, &b, &one))
			demand_add(&sample->demand, &one, &b);
	}
}

void demand_collect_metrics(const struct demand_socket *s, uint32_t slot,
			    struct demand_metrics *sum)
{
	struct demand_table t;

	for (uint32_t i = 0; s && i < s->top; i++) {
		const struct demand_client *c = &s->client[i];
		struct demand_values v = c->values;

		if (c->fd < 0 || c->slot != slot)
			continue;
		/* It may have shown that it lives since the tick; then the time is taken. */
		(void)demand_copy(c->page, &v);
		if (demand_is_heard(&v, clock_now_ns()) && demand_copy_table(c->page, &t))
			demand_metrics_add(sum, &t);
	}
}

/* ---- the socket ------------------------------------------------------------------------------ */

int demand_socket_open(struct daemon *d, struct demand_socket **ret)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = LOOP_ENGINES };
	struct demand_socket *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return -ENOMEM;
	s->daemon = d;
	for (uint32_t i = 0; i < DEMAND_CLIENTS_MAX; i++)
		s->client[i].fd = -1;
	snprintf(s->path, sizeof(s->path), "%s", d->config->engine_socket);
	s->fd = listen_at(s->path, SOCK_SEQPACKET, 64);
	if (s->fd < 0) {
		r = s->fd;
	} else if (epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, s->fd, &ev) < 0) {
		r = -errno;
		close(s->fd);
		unlink(s->path);
	}
	if (r < 0) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void demand_socket_close(struct demand_socket *s)
{
	if (!s)
		return;
	while (s->top)
		client_close(s, &s->client[s->top - 1]);
	close(s->fd);
	unlink(s->path);
	free(s);
}
