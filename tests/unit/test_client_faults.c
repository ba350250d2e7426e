// SPDX-License-Identifier: BSD-2-Clause
/*
 * The client when an allocation or a system call fails, each of them once and with each errno: that
 * errno is told, or the next best source is read; what is not known is never taken for calm; no
 * descriptor stays open; and when it is tried again the daemon hears us.
 */
#include "tests/unit/page_support.h"

#include <sys/resource.h>
#include <sys/un.h>

#include "include/barostat/client.h"
#include "tests/unit/fault_support.h"
#include "user/common/cleanup.h"
#include "user/common/units.h"
#include "user/daemon/demand.h"
#include "user/lib/client_internal.h"

static struct page_dir *d;
static struct page_writer *w;
static char cgroup_file[PATH_MAX + 32], mounts_file[PATH_MAX + 32];

struct self {
	uint32_t hierarchy;
	uint64_t id;
};

static int take_first(void *arg, uint32_t hierarchy, const char *dir, uint64_t id)
{
	*(struct self *)arg = (struct self){ hierarchy, id };
	return 0;
}

/* A page on which the engine is this process's own cgroup, where it has one. */
static int set_up(void **state)
{
	struct page_slot_identity who = { .name = "self", .cgroup_id = 1 };
	struct self self;
	int r = page_dir_setup(state);

	if (r < 0)
		return r;
	d = *state;
	if (!self_walk("/proc/self/cgroup", "/proc/self/mountinfo", take_first, &self)) {
		who.cgroup_id = self.id;
		who.cgroup_hierarchy = self.hierarchy;
	}
	w = page_open_writer(d, 1, PAGE_CREATED);
	assert_int_equal(page_writer_assign(w, 0, &who), 0);
	page_update(w, 0, BARO_LEVEL_WARNING);
	page_commit(w, LEASE_NS);
	return 0;
}

static int tear_down(void **state)
{
	page_writer_close(w, true);
	return page_dir_teardown(state);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void put(const char *name, const char *text)
{
	char path[PATH_MAX + 64];
	FILE *f;

	page_path(path, sizeof(path), d->dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void put_dir(const char *name)
{
	char path[PATH_MAX + 64];

	page_path(path, sizeof(path), d->dir, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

/*
 * An engine that holds 72 MiB of its 100, in a group that holds 190 of its 200: a warning. Whoever
 * overlooks the engine's limit sees calm, whoever measures the group by it an emergency.
 */
static int set_up_files(void **state)
{
	char text[2 * PATH_MAX];
	int r = page_dir_setup(state);

	if (r < 0)
		return r;
	d = *state;
	put_dir("/db");
	put_dir("/db/pg");
	put("/db/memory.max", "209715200\n");
	put("/db/memory.high", "max\n");
	put("/db/memory.current", "204472320\n");
	put("/db/memory.stat", "anon 199229440\nfile 0\nkernel 0\nshmem 0\n");
	put("/db/pg/memory.max", "104857600\n");
	put("/db/pg/memory.high", "max\n");
	put("/db/pg/memory.current", "99614720\n");
	put("/db/pg/memory.stat", "anon 75497472\nfile 24117248\nkernel 0\nshmem 0\n");
	put("/cgroup", "0::/db/pg\n");
	snprintf(text, sizeof(text), "30 20 0:26 / %s rw - cgroup2 cgroup2 rw\n", d->dir);
	put("/mounts", text);
	page_path(cgroup_file, sizeof(cgroup_file), d->dir, "/cgroup");
	page_path(mounts_file, sizeof(mounts_file), d->dir, "/mounts");
	return 0;
}

static const struct baro_pressure untouched = { .status = 99, .usage_bytes = 1 };

/* The same on v1. */
static void make_v1(void)
{
	char text[2 * PATH_MAX];

	put("/db/memory.limit_in_bytes", "209715200\n");
	put("/db/memory.usage_in_bytes", "204472320\n");
	put("/db/memory.stat", "total_rss 199229440\ntotal_shmem 0\n");
	put("/db/pg/memory.limit_in_bytes", "104857600\n");
	put("/db/pg/memory.usage_in_bytes", "99614720\n");
	put("/db/pg/memory.stat", "total_rss 75497472\ntotal_shmem 0\n");
	put("/cgroup", "4:memory:/db/pg\n");
	snprintf(text, sizeof(text), "30 20 0:26 / %s rw - cgroup cgroup rw,memory\n", d->dir);
	put("/mounts", text);
}

static void read_files(void)
{
	struct baro_pressure p = untouched;
	int before = fault_descriptors();
	int r = files_read(cgroup_file, mounts_file, &p);

	assert_int_equal(fault_descriptors(), before);
	assert_int_equal(r, fault_came ? -fault_error : 0);
	if (r < 0) {
		assert_memory_equal(&p, &untouched, sizeof(p));
		return;
	}
	assert_int_equal(p.limit_bytes, 100 * MIB);
	assert_int_equal(p.usage_bytes, 95 * MIB);
	assert_int_equal(p.score_ppm, 720000);
	assert_int_equal(BARO_STATUS_LEVEL(p.status), BARO_LEVEL_WARNING);
}

static void fail_every_file(int files)
{
	static const int errors[] = { EMFILE, ENFILE, ENOMEM, EIO, EACCES, EINTR };

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		with_every_fault_of("open", errors[i], read_files, files);
		with_every_fault_of("read", errors[i], read_files, files);
		with_every_fault_of("fopen", errors[i], read_files, 2);
		with_every_fault_of("getline", errors[i], read_files, 4);
		/* what we may not see is passed over */
		if (errors[i] != EACCES)
			with_every_fault_of("stat", errors[i], read_files, 2);
	}
}

static void a_file_that_cannot_be_read_is_neither_calm_nor_an_emergency(void **state)
{
	fail_every_file(6); /* of the cgroup four, of the one above it two */
}

static void a_file_of_v1_that_cannot_be_read_is_neither_calm_nor_an_emergency(void **state)
{
	make_v1();
	fail_every_file(4);
}

/* The engine's by its own limit or by that of the group; or the group's by the group's. */
static void read_what_is_left(void)
{
	struct baro_pressure p = untouched;

	assert_int_equal(files_read(cgroup_file, mounts_file, &p), 0);
	if (p.usage_bytes == 190 * MIB + 5 * MIB) {
		assert_int_equal(p.limit_bytes, 200 * MIB);
		assert_int_equal(p.score_ppm, 950000);
	} else {
		assert_int_equal(p.usage_bytes, 95 * MIB);
		assert_true(p.limit_bytes == 100 * MIB || p.limit_bytes == 200 * MIB ||
			    p.limit_bytes == BARO_PAGE_NONE);
		assert_true(p.limit_bytes == 100 * MIB || fault_came);
	}
}

static void a_cgroup_that_is_removed_meanwhile_is_not_there(void **state)
{
	with_every_fault_of("open", ENOENT, read_what_is_left, 6);
	with_every_fault_of("open", ENODEV, read_what_is_left, 6);
	with_every_fault_of("read", ENODEV, read_what_is_left, 6);
}

static void the_usage_above_is_measured_by_the_limit_above(void **state)
{
	struct baro_pressure p;

	fault_arm_of("open", ENODEV, 0);
	assert_int_equal(files_read(cgroup_file, mounts_file, &p), 0);
	assert_true(fault_disarm());
	assert_int_equal(p.usage_bytes, 195 * MIB);
	assert_int_equal(p.limit_bytes, 200 * MIB);
}

static void an_empty_file_says_nothing(void **state)
{
	struct baro_pressure p = untouched;

	put("/db/pg/memory.max", "");
	assert_int_equal(files_read(cgroup_file, mounts_file, &p), -ENODATA);
	put("/db/pg/memory.max", "104857600\n");
	put("/db/pg/memory.stat", "");
	assert_int_equal(files_read(cgroup_file, mounts_file, &p), -ENODATA);
	assert_memory_equal(&p, &untouched, sizeof(p));
}

/* ---- the connection -------------------------------------------------------------------------- */

static struct baro_demand *map(int fd)
{
	struct baro_demand *page =
	    mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_true(page != MAP_FAILED);
	return page;
}

static int make_demand(unsigned int seals)
{
	int fd = memfd_create("demand", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct baro_demand *page;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, BARO_DEMAND_PAGE_BYTES), 0);
	page = map(fd);
	demand_init(page);
	munmap(page, sizeof(*page));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* As the daemon would; false: nobody is there any more. The demand page's descriptor is closed. */
static bool send_welcome(int to, int demand)
{
	struct baro_welcome welcome = {
		.magic = BARO_WELCOME_MAGIC,
		.abi_major = BARO_DEMAND_ABI_MAJOR,
		.message_bytes = sizeof(welcome),
		.incarnation = BARO_STATUS_INCARNATION(page_writer_slot(w, 0)->pressure.status),
		.heartbeat_within_ns = DEMAND_HEARTBEAT_WITHIN_NS,
	};
	const int fds[] = { page_writer_reader(w), demand };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(fds))];
	} control = { 0 };
	struct iovec iov = { .iov_base = &welcome, .iov_len = sizeof(welcome) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	ssize_t sent;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(c), fds, sizeof(fds));
	sent = sendmsg(to, &msg, MSG_NOSIGNAL);
	assert_true(sent == sizeof(welcome) || (sent < 0 && errno == EPIPE));
	close(demand);
	return sent > 0;
}

static int daemon_socket = -1, daemon_client = -1;
static unsigned int daemon_answers;

static void hang_up(void)
{
	if (daemon_client >= 0)
		close(daemon_client);
	daemon_client = -1;
}

/* Who has connected is sent a welcome; the faults are the client's alone. */
static void answer(void)
{
	long armed = fault_left;
	int fd;

	fault_left = -1;
	while ((fd = accept4(daemon_socket, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		hang_up();
		daemon_client = fd;
		daemon_answers += send_welcome(fd, make_demand(F_SEAL_SHRINK | F_SEAL_GROW));
	}
	fault_left = armed;
}

static struct sockaddr_un daemon_address(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	page_path(addr.sun_path, sizeof(addr.sun_path), d->dir, "/engine.sock");
	return addr;
}

static int set_up_daemon(void **state)
{
	struct sockaddr_un addr;
	int r = set_up(state);

	if (r < 0)
		return r;
	addr = daemon_address();
	daemon_socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(daemon_socket >= 0);
	assert_int_equal(bind(daemon_socket, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(daemon_socket, 8), 0);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
	assert_int_equal(setenv("BAROSTAT_PAGE", "/nonexistent/page", 1), 0);
	daemon_answers = 0;
	return 0;
}

static int tear_down_daemon(void **state)
{
	fault_connected = fault_polls = NULL;
	hang_up();
	close(daemon_socket);
	return tear_down(state);
}

static void connect_once(void)
{
	struct sockaddr_un addr = daemon_address();
	int before = fault_descriptors();
	int fd = link_connect(addr.sun_path);

	assert_true(fault_came ? fd == -fault_error : fd >= 0);
	assert_int_equal(fault_descriptors(), before + (fd >= 0));
	if (fd >= 0)
		close(fd);
	fd = accept4(daemon_socket, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
}

static void a_connection_is_there_or_it_is_told_why_not(void **state)
{
	static const struct {
		const char *name;
		int error;
	} faults[] = {
		{ "socket", EMFILE },    { "socket", ENFILE },     { "socket", ENOMEM },
		{ "socket", ENOBUFS },   { "socket", EACCES },     { "socket", EAFNOSUPPORT },
		{ "connect", ENOENT },   { "connect", EACCES },    { "connect", ECONNREFUSED },
		{ "connect", EAGAIN },   { "connect", EINTR },     { "connect", EPROTOTYPE },
		{ "getsockopt", EBADF }, { "getsockopt", ENOMEM },
	};

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		with_every_fault_of(faults[i].name, faults[i].error, connect_once, 1);
}

static void close_grant(struct link_grant *g)
{
	baro_page_close(g->page);
	munmap(g->demand, sizeof(*g->demand));
}

static void take_welcome_once(void)
{
	const struct link_grant nothing = { .ref = { .index = 77 } };
	struct link_grant g = nothing;
	long armed = fault_left;
	int pair[2], before, r;

	fault_left = -1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_true(send_welcome(pair[0], make_demand(F_SEAL_SHRINK)));
	before = fault_descriptors();
	fault_left = armed;
	r = link_welcome(pair[1], &g);
	assert_int_equal(fault_descriptors(), before);
	assert_int_equal(r, !fault_came ? 0 : fault_error == EINTR ? -EAGAIN : -fault_error);
	if (r < 0)
		assert_memory_equal(&g, &nothing, sizeof(g));
	else
		close_grant(&g);
	/* the descriptors are not lost with a message that could not be taken yet */
	if (r < 0 && !strcmp(fault_only, "recvmsg")) {
		assert_int_equal(link_welcome(pair[1], &g), 0);
		close_grant(&g);
	}
	close(pair[0]);
	close(pair[1]);
}

static void a_welcome_is_taken_whole_or_its_descriptors_are_closed(void **state)
{
	static const struct {
		const char *name;
		int error, calls;
	} faults[] = {
		{ "recvmsg", EAGAIN, 1 },  { "recvmsg", EINTR, 1 },      { "recvmsg", ENOMEM, 1 },
		{ "recvmsg", ENOBUFS, 1 }, { "recvmsg", ECONNRESET, 1 }, { "fstat", EIO, 2 },
		{ "fstat", ENOMEM, 2 },    { "fstat", EBADF, 2 },        { "pread", EIO, 1 },
		{ "malloc", ENOMEM, 1 },   { "mmap", ENOMEM, 2 },        { "mmap", EACCES, 2 },
		{ "mmap", EPERM, 2 },      { "mmap", EAGAIN, 2 },        { "fcntl", EBADF, 1 },
		{ "fcntl", EPERM, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		with_every_fault_of(faults[i].name, faults[i].error, take_welcome_once,
				    faults[i].calls);
}

static int welcome_with(int demand)
{
	struct link_grant g;
	int pair[2], before, r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_true(send_welcome(pair[0], demand));
	before = fault_descriptors();
	r = link_welcome(pair[1], &g);
	assert_int_equal(fault_descriptors(), before);
	if (!r)
		close_grant(&g);
	close(pair[0]);
	close(pair[1]);
	return r;
}

/* Its bytes could be cut off while we write to them: a signal that kills. */
static void a_demand_page_that_can_shrink_is_not_taken(void **state)
{
	char path[PATH_MAX + 64];
	struct baro_demand page;
	int fd;

	page_path(path, sizeof(path), d->dir, "/demand");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	memset(&page, 0, sizeof(page));
	demand_init(&page);
	assert_int_equal(write(fd, &page, sizeof(page)), sizeof(page));
	assert_int_equal(welcome_with(fd), -EPROTO); /* a file system without seals */
	assert_int_equal(welcome_with(make_demand(F_SEAL_GROW)), -EPROTO);
	assert_int_equal(welcome_with(make_demand(F_SEAL_SHRINK)), 0);
}

static void a_process_without_room_for_descriptors_is_told_so(void **state)
{
	struct rlimit before, now;
	struct link_grant g;
	int pair[2];

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (int room = 0; room < 2; room++) {
		int next, r;

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
		assert_true(send_welcome(pair[0], make_demand(F_SEAL_SHRINK)));
		next = dup(pair[0]);
		close(next);
		now = before;
		now.rlim_cur = (rlim_t)next + (rlim_t)room;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
		r = link_welcome(pair[1], &g);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		assert_int_equal(r, -EMFILE);
		/* also the one that did fit was closed */
		assert_int_equal(dup(pair[0]), next);
		close(next);
		close(pair[0]);
		close(pair[1]);
	}
}

/* ---- the client ------------------------------------------------------------------------------ */

/* Looks after the connection now, not within a second. */
static void tend_now(struct baro_client *c)
{
	c->tend_ns = 0;
	baro_client_heartbeat(c);
}

static void assert_heard(struct baro_client *c)
{
	struct baro_pressure p;

	assert_int_equal(baro_client_source(c), BARO_SOURCE_DAEMON);
	assert_int_equal(baro_client_error(c), 0);
	assert_int_equal(baro_client_read(c, &p), 0);
	assert_int_equal(BARO_STATUS_LEVEL(p.status), BARO_LEVEL_WARNING);
}

/* Whether the page was all that was missing, or a part of the connection. */
static void assert_told(struct baro_client *c)
{
	int error = baro_client_error(c);

	if (baro_client_source(c) == BARO_SOURCE_DAEMON) {
		assert_int_equal(error, 0);
		return;
	}
	assert_true(fault_came);
	assert_int_equal(baro_client_source(c), BARO_SOURCE_FILES);
	/* 0: the welcome has not come yet */
	assert_true(error == -ENOMEM || error == -EMFILE || error == -EIO || error == -EBADF ||
		    error == -ENOBUFS || error == -ECONNREFUSED || error == 0);
}

static void open_client(void)
{
	struct sockaddr_un addr = daemon_address();
	struct baro_client *c = NULL;
	int before, r;

	hang_up();
	before = fault_descriptors();
	r = baro_client_open(addr.sun_path, &c);
	if (r < 0) {
		assert_true(fault_came);
		assert_int_equal(r, -ENOMEM);
		assert_null(c);
	} else {
		assert_told(c);
		fault_left = -1;
		tend_now(c);
		answer();
		tend_now(c);
		assert_heard(c);
		baro_client_close(c);
	}
	hang_up();
	assert_int_equal(fault_descriptors(), before);
}

static void a_client_opens_without_what_fails_and_gets_it_later(void **state)
{
	/* calloc; socket, connect, getsockopt; recvmsg; page; view; demand page */
	fault_connected = answer;
	with_every_fault(open_client, 13);
	/* the answer comes while we wait for it */
	fault_connected = NULL;
	fault_polls = answer;
	with_every_fault(open_client, 15);
}

static void a_welcome_that_cannot_be_kept_is_asked_for_again(void **state)
{
	struct sockaddr_un addr = daemon_address();
	struct baro_client *c;
	int before = fault_descriptors();

	fault_connected = answer;
	/* of the page, and of the view of it */
	for (long n = 0; n < 2; n++) {
		fault_arm_of("malloc", ENOMEM, n);
		assert_int_equal(baro_client_open(addr.sun_path, &c), 0);
		assert_true(fault_disarm());
		assert_int_equal(baro_client_error(c), -ENOMEM);
		hang_up();
		assert_int_equal(fault_descriptors(), before);
		tend_now(c);
		assert_heard(c);
		baro_client_close(c);
		hang_up();
		assert_int_equal(fault_descriptors(), before);
	}
}

static void interrupted_or_idle_the_connection_is_kept_and_otherwise_made_anew(void **state)
{
	static const int kept[] = { EAGAIN, EINTR },
			 lost[] = { ECONNRESET, ENOMEM, ENOBUFS, EBADF };
	struct sockaddr_un addr = daemon_address();
	struct baro_client *c;
	int before = fault_descriptors();

	fault_connected = answer;
	assert_int_equal(baro_client_open(addr.sun_path, &c), 0);
	for (size_t i = 0; i < ARRAY_SIZE(kept) + ARRAY_SIZE(lost); i++) {
		bool keeps = i < ARRAY_SIZE(kept);

		fault_arm_of("recv", keeps ? kept[i] : lost[i - ARRAY_SIZE(kept)], 0);
		tend_now(c);
		assert_true(fault_disarm());
		assert_heard(c);
		assert_int_equal(daemon_answers, keeps ? 1 : i - ARRAY_SIZE(kept) + 2);
	}
	baro_client_close(c);
	hang_up();
	assert_int_equal(fault_descriptors(), before);
}

static void a_wait_that_the_kernel_refuses_looks_now_and_then_instead(void **state)
{
	struct sockaddr_un addr = daemon_address();
	struct baro_pressure seen;
	struct baro_client *c;

	fault_connected = answer;
	assert_int_equal(baro_client_open(addr.sun_path, &c), 0);
	assert_int_equal(baro_client_read(c, &seen), 0);
	fault_pauses = 0;
	fault_arm_of("syscall", ENOSYS, 0);
	assert_int_equal(baro_client_wait(c, &seen, 1000000), -ETIMEDOUT);
	assert_true(fault_disarm());
	assert_true(fault_pauses > 0);
	fault_arm_of("syscall", EINTR, 0);
	assert_int_equal(baro_client_wait(c, &seen, 1000000), -EINTR);
	assert_true(fault_disarm());
	baro_client_close(c);
}

/* ---- no daemon ------------------------------------------------------------------------------- */

static void open_without_daemon(void)
{
	struct baro_client *c = NULL;
	struct baro_pressure p;
	int before = fault_descriptors();
	int r = baro_client_open("/nonexistent/engine.sock", &c);

	if (r < 0) {
		assert_true(fault_came);
		assert_int_equal(r, -ENOMEM);
		assert_null(c);
		return;
	}
	assert_true(baro_client_error(c) < 0);
	assert_true(fault_came || baro_client_source(c) == BARO_SOURCE_PAGE);
	assert_int_equal(fault_descriptors(), before);
	fault_left = -1;
	tend_now(c);
	assert_int_equal(baro_client_error(c), -ENOENT);
	assert_int_equal(baro_client_source(c), BARO_SOURCE_PAGE);
	assert_int_equal(baro_client_read(c, &p), 0);
	assert_int_equal(BARO_STATUS_LEVEL(p.status), BARO_LEVEL_WARNING);
	baro_client_close(c);
	assert_int_equal(fault_descriptors(), before);
}

static void the_page_is_found_again_when_what_failed_no_longer_does(void **state)
{
	struct self self;

	if (self_walk("/proc/self/cgroup", "/proc/self/mountinfo", take_first, &self) < 0) {
		print_message("no cgroup of our own is to be seen here\n");
		skip();
		return;
	}
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
	assert_int_equal(setenv("BAROSTAT_PAGE", d->path, 1), 0);
	/* calloc; socket, connect; open, fstat, pread, malloc, mmap; two files of /proc; view */
	with_every_fault(open_without_daemon, 13);
}

/* What is read when everything else has failed fails, too. */
static void a_client_without_any_source_is_told_so(void **state)
{
	struct baro_pressure p = untouched;
	struct baro_client *c;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
	assert_int_equal(setenv("BAROSTAT_PAGE", "/nonexistent/page", 1), 0);
	assert_int_equal(baro_client_open("/nonexistent/engine.sock", &c), 0);
	fault_arm_of("fopen", EMFILE, 0);
	assert_int_equal(baro_client_read(c, &p), -EMFILE);
	assert_true(fault_disarm());
	assert_memory_equal(&p, &untouched, sizeof(p));
	baro_client_close(c);
}

int main(void)
{
#define FILES(f)  cmocka_unit_test_setup_teardown(f, set_up_files, page_dir_teardown)
#define DAEMON(f) cmocka_unit_test_setup_teardown(f, set_up_daemon, tear_down_daemon)
#define PAGE(f)   cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		FILES(a_file_that_cannot_be_read_is_neither_calm_nor_an_emergency),
		FILES(a_file_of_v1_that_cannot_be_read_is_neither_calm_nor_an_emergency),
		FILES(a_cgroup_that_is_removed_meanwhile_is_not_there),
		FILES(the_usage_above_is_measured_by_the_limit_above),
		FILES(an_empty_file_says_nothing),
		DAEMON(a_connection_is_there_or_it_is_told_why_not),
		DAEMON(a_welcome_is_taken_whole_or_its_descriptors_are_closed),
		DAEMON(a_demand_page_that_can_shrink_is_not_taken),
		DAEMON(a_process_without_room_for_descriptors_is_told_so),
		DAEMON(a_client_opens_without_what_fails_and_gets_it_later),
		DAEMON(a_welcome_that_cannot_be_kept_is_asked_for_again),
		DAEMON(interrupted_or_idle_the_connection_is_kept_and_otherwise_made_anew),
		DAEMON(a_wait_that_the_kernel_refuses_looks_now_and_then_instead),
		PAGE(the_page_is_found_again_when_what_failed_no_longer_does),
		PAGE(a_client_without_any_source_is_told_so),
	};

	return cmocka_run_group_tests_name("client faults", tests, NULL, NULL);
}
