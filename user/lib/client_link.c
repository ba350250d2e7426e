// SPDX-License-Identifier: BSD-2-Clause
/* The engine socket, as an engine sees it: see docs/demand-protocol.md. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "user/lib/client_internal.h"
#include "user/lib/demand_layout.h"
#include "user/lib/page_internal.h"

#define ASSERT_FIELD(type, field, offset, bytes)                                                   \
	static_assert(offsetof(struct type, field) == (offset), #field " moved");                  \
	static_assert(sizeof(((struct type *)0)->field) == (bytes), #field " changed size");
DEMAND_PAGE_LAYOUT(ASSERT_FIELD)
DEMAND_METRIC_LAYOUT(ASSERT_FIELD)
DEMAND_WELCOME_LAYOUT(ASSERT_FIELD)
static_assert(sizeof(struct baro_demand) == BARO_DEMAND_PAGE_BYTES, "one page");
static_assert(sizeof(struct baro_demand_metric) == 72, "a line grew");
static_assert(sizeof(struct baro_welcome) == 256, "welcome grew");

#define DESCRIPTORS     2
#define DESCRIPTORS_MAX 8 /* room for what a stranger may send, so that it can be closed */
#define MESSAGE_MAX     4096

int link_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	if (peer.uid != 0 && peer.uid != geteuid()) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

bool link_is_hung_up(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

int link_judge_welcome(const void *message, size_t bytes, size_t descriptors,
		       struct baro_welcome *ret)
{
	struct baro_welcome w;

	if (bytes < sizeof(w))
		return -EPROTO;
	memcpy(&w, message, sizeof(w));
	if (w.magic != BARO_WELCOME_MAGIC || w.message_bytes < sizeof(w))
		return -EPROTO;
	if (w.abi_major != BARO_DEMAND_ABI_MAJOR)
		return -EPROTONOSUPPORT;
	if (w.error)
		return w.error < 4096 ? -(int)w.error : -EPROTO;
	if (descriptors != DESCRIPTORS || !w.heartbeat_within_ns)
		return -EPROTO;
	w.engine[sizeof(w.engine) - 1] = '\0';
	w.detail[sizeof(w.detail) - 1] = '\0';
	*ret = w;
	return 0;
}

static int map_demand(int fd, struct baro_demand **ret)
{
	struct baro_demand *demand;
	struct stat st;
	int seals;

	/* Another size could be cut under us; so could what cannot be sealed. */
	if (fstat(fd, &st) < 0)
		return -errno;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0)
		return errno == EINVAL ? -EPROTO : -errno;
	if (st.st_size != BARO_DEMAND_PAGE_BYTES || !(seals & F_SEAL_SHRINK))
		return -EPROTO;
	demand = mmap(NULL, sizeof(*demand), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (demand == MAP_FAILED)
		return -errno;
	if (demand->magic != BARO_DEMAND_MAGIC || demand->abi_major != BARO_DEMAND_ABI_MAJOR) {
		munmap(demand, sizeof(*demand));
		return -EPROTO;
	}
	*ret = demand;
	return 0;
}

static int take(const struct baro_welcome *w, const int fds[DESCRIPTORS], struct link_grant *ret)
{
	struct link_grant g = { 0 };
	int r = page_map(fds[0], "", &g.page);

	if (r < 0)
		return r;
	r = baro_page_slot(g.page, w->slot, &g.ref);
	if (!r && g.ref.incarnation != w->incarnation)
		r = -EPROTO;
	if (!r)
		r = map_demand(fds[1], &g.demand);
	if (r < 0) {
		baro_page_close(g.page);
		return r;
	}
	*ret = g;
	return 0;
}

/* All that came with the message, so that none is left open. */
static size_t descriptors_of(struct msghdr *msg, int fds[DESCRIPTORS_MAX])
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count && n < DESCRIPTORS_MAX; i++)
			memcpy(&fds[n++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return n;
}

int link_welcome(int fd, struct link_grant *ret)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
	} control;
	char message[MESSAGE_MAX];
	struct iovec iov = { .iov_base = message, .iov_len = sizeof(message) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	int fds[DESCRIPTORS_MAX] = { -1, -1 }, r;
	struct baro_welcome w = { 0 };
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	size_t count;

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (n == 0)
		return -ECONNRESET;
	count = descriptors_of(&msg, fds);
	r = link_judge_welcome(message, (size_t)n, count, &w);
	/* The kernel leaves out the descriptors that this process has no room for. */
	if (r == -EPROTO && msg.msg_flags & MSG_CTRUNC && count < DESCRIPTORS)
		r = -EMFILE;
	if (!r)
		r = take(&w, fds, ret);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	return r;
}
