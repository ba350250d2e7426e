// SPDX-License-Identifier: BSD-2-Clause
/*
 * The client object. Two locks: `lock` guards what readers and setters touch, is held for
 * nanoseconds, and never over a system call; `tending` is held by whoever looks after the
 * connection, and nobody waits for it.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "user/lib/client_internal.h"
#include "user/lib/clock.h"
#include "user/lib/page_internal.h"

#define NS_PER_S       LIB_NS_PER_S
#define TEND_EVERY_NS  NS_PER_S
#define OPEN_WAIT_MS   1000
#define WELCOME_NS     (5 * NS_PER_S) /* who has not answered by then is asked anew */
#define FILES_EVERY_NS (NS_PER_S / 4) /* nothing wakes us when a file changes */

/* ---- views ----------------------------------------------------------------------------------- */

static struct view *view_new(struct baro_page *page, const struct baro_slot_ref *ref)
{
	struct view *v = malloc(sizeof(*v));

	if (v)
		*v = (struct view){ .users = 1, .page = page, .ref = *ref };
	return v;
}

/* The view in use, held for the caller; NULL for none. */
static struct view *view_get(struct baro_client *c)
{
	struct view *v;

	pthread_mutex_lock(&c->lock);
	v = c->view;
	if (v)
		v->users++;
	pthread_mutex_unlock(&c->lock);
	return v;
}

static void view_put(struct baro_client *c, struct view *v)
{
	bool last;

	if (!v)
		return;
	pthread_mutex_lock(&c->lock);
	last = !--v->users;
	pthread_mutex_unlock(&c->lock);
	if (!last)
		return;
	baro_page_close(v->page);
	free(v);
}

static void view_set(struct baro_client *c, struct view *v)
{
	struct view *old;

	pthread_mutex_lock(&c->lock);
	old = c->view;
	c->view = v;
	pthread_mutex_unlock(&c->lock);
	view_put(c, old);
}

/* Our slot is still ours and the daemon lives. */
static bool view_holds(const struct view *v, uint64_t now)
{
	return v && baro_page_valid_at(v->page, now) &&
	       baro_page_level(&v->ref) != (uint32_t)BARO_LEVEL_UNKNOWN;
}

/* ---- the connection: with `tending` held ----------------------------------------------------- */

static void set_error(struct baro_client *c, int error)
{
	pthread_mutex_lock(&c->lock);
	c->error = error;
	pthread_mutex_unlock(&c->lock);
}

static void swap_demand(struct baro_client *c, struct baro_demand *demand)
{
	struct baro_demand *old;

	pthread_mutex_lock(&c->lock);
	old = c->demand;
	c->demand = demand;
	client_say(c);
	client_say_table(c);
	pthread_mutex_unlock(&c->lock);
	if (old)
		munmap(old, sizeof(*old));
}

static void hang_up(struct baro_client *c, int error)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->greeted = false;
	swap_demand(c, NULL);
	set_error(c, error);
}

static void take_welcome(struct baro_client *c, uint64_t now)
{
	struct link_grant g;
	struct view *v;
	int r = link_welcome(c->fd, &g);

	if (r == -EAGAIN) {
		if (now - c->connected_ns > WELCOME_NS)
			hang_up(c, -ETIMEDOUT);
		return;
	}
	if (r < 0) {
		hang_up(c, r);
		return;
	}
	v = view_new(g.page, &g.ref);
	if (!v) {
		baro_page_close(g.page);
		munmap(g.demand, sizeof(*g.demand));
		hang_up(c, -ENOMEM);
		return;
	}
	c->greeted = true;
	view_set(c, v);
	swap_demand(c, g.demand);
	set_error(c, 0);
}

/* The page by its path, while the daemon does not hear us. */
static void open_page(struct baro_client *c)
{
	struct baro_page *page;
	struct baro_slot_ref ref;
	struct view *v;

	if (baro_page_open(NULL, &page) < 0)
		return;
	v = baro_page_find_self(page, &ref) < 0 ? NULL : view_new(page, &ref);
	if (v)
		view_set(c, v);
	else
		baro_page_close(page);
}

static void tend_locked(struct baro_client *c, uint64_t now)
{
	struct view *v;

	if (c->fd >= 0 && c->greeted && link_is_hung_up(c->fd))
		hang_up(c, -ECONNRESET);
	if (c->fd < 0) {
		int fd = link_connect(c->path);

		if (fd < 0) {
			set_error(c, fd);
		} else {
			c->fd = fd;
			c->connected_ns = now;
		}
	}
	if (c->fd >= 0 && !c->greeted)
		take_welcome(c, now);
	if (c->greeted)
		return;
	v = view_get(c);
	if (!view_holds(v, now))
		open_page(c);
	view_put(c, v);
}

/* Looks after the connection when it is time, unless somebody else is at it. */
static void tend(struct baro_client *c, uint64_t now)
{
	bool due;

	pthread_mutex_lock(&c->lock);
	due = now >= c->tend_ns;
	if (due)
		c->tend_ns = now + TEND_EVERY_NS;
	pthread_mutex_unlock(&c->lock);
	if (!due)
		return;
	client_publish(c);
	if (pthread_mutex_trylock(&c->tending))
		return;
	tend_locked(c, now);
	pthread_mutex_unlock(&c->tending);
}

void baro_client_heartbeat(struct baro_client *c)
{
	uint64_t now = lib_now_ns();

	client_set(c, &c->said.heartbeat_ns, now);
	tend(c, now);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* The daemon answers within a tick; a stopped one must not stop its engines. */
static void await_welcome(struct baro_client *c)
{
	uint64_t until_ns = lib_now_ns() + (uint64_t)OPEN_WAIT_MS * (NS_PER_S / 1000), now;

	while (c->fd >= 0 && !c->greeted && (now = lib_now_ns()) < until_ns) {
		struct pollfd p = { .fd = c->fd, .events = POLLIN };

		if (poll(&p, 1, (int)((until_ns - now) / (NS_PER_S / 1000)) + 1) < 0 &&
		    errno != EINTR)
			return;
		take_welcome(c, lib_now_ns());
	}
}

int baro_client_open(const char *path, struct baro_client **ret_client)
{
	struct baro_client *c;

	if (!path)
		path = secure_getenv("BAROSTAT_ENGINE_SOCKET");
	if (!path || !*path)
		path = BARO_ENGINE_SOCKET_PATH;
	if (strlen(path) >= CLIENT_PATH_BYTES)
		return -ENAMETOOLONG;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->tending, NULL);
	pthread_cond_init(&c->published, NULL);
	memcpy(c->path, path, strlen(path) + 1);
	c->fd = -1;
	baro_client_heartbeat(c);
	await_welcome(c);
	*ret_client = c;
	return 0;
}

void baro_client_close(struct baro_client *c)
{
	if (!c)
		return;
	hang_up(c, 0);
	view_set(c, NULL);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->tending);
	pthread_cond_destroy(&c->published);
	free(c);
}

uint32_t baro_client_source(struct baro_client *c)
{
	struct view *v = view_get(c);
	uint32_t source = BARO_SOURCE_FILES;

	if (view_holds(v, lib_now_ns())) {
		pthread_mutex_lock(&c->lock);
		source = c->demand ? BARO_SOURCE_DAEMON : BARO_SOURCE_PAGE;
		pthread_mutex_unlock(&c->lock);
	}
	view_put(c, v);
	return source;
}

int baro_client_error(struct baro_client *c)
{
	int error;

	pthread_mutex_lock(&c->lock);
	error = c->demand ? 0 : c->error;
	pthread_mutex_unlock(&c->lock);
	return error;
}

const char *baro_source_name(uint32_t source)
{
	static const char *const names[] = { "?", "files", "page", "daemon" };

	return source < sizeof(names) / sizeof(names[0]) ? names[source] : "?";
}

/* ---- reading and waiting --------------------------------------------------------------------- */

static int read_view(struct view *v, uint64_t now, struct baro_pressure *ret)
{
	int r = view_holds(v, now) ? baro_page_read(&v->ref, ret) : -ENOENT;

	if (r == -ENOENT)
		r = files_read("/proc/self/cgroup", "/proc/self/mountinfo", ret);
	return r;
}

int baro_client_read(struct baro_client *c, struct baro_pressure *ret_pressure)
{
	struct view *v = view_get(c);
	uint64_t now = lib_now_ns();
	int r;

	if (!view_holds(v, now)) {
		view_put(c, v);
		tend(c, now);
		v = view_get(c);
	}
	r = read_view(v, now, ret_pressure);
	view_put(c, v);
	return r;
}

/* What an engine would act on. */
static bool is_news(const struct baro_pressure *a, const struct baro_pressure *b)
{
	return (a->status & 0xffff) != (b->status & 0xffff) || a->budget_bytes != b->budget_bytes ||
	       a->release_bytes != b->release_bytes || a->grant_epoch != b->grant_epoch;
}

static int pause_for(uint64_t ns)
{
	struct timespec ts = { .tv_sec = (time_t)(ns / NS_PER_S),
			       .tv_nsec = (long)(ns % NS_PER_S) };

	return nanosleep(&ts, NULL) < 0 ? -errno : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Until the view changes, or long enough for the heartbeat and the connection. */
static int sleep_on(struct view *v, uint32_t generation, uint64_t now, uint64_t rest_ns)
{
	int r;

	if (!view_holds(v, now))
		return pause_for(least(rest_ns, FILES_EVERY_NS));
	r = baro_page_wait(v->page, generation, least(rest_ns, TEND_EVERY_NS), NULL);
	if (!r || r == -EINTR || r == -ETIMEDOUT || r == -ESTALE)
		return r == -EINTR ? r : 0;
	/* The kernel would not let us sleep on it: it is looked at instead, now and then. */
	return pause_for(least(rest_ns, FILES_EVERY_NS));
}

int baro_client_wait(struct baro_client *c, struct baro_pressure *seen, uint64_t timeout_ns)
{
	uint64_t now = lib_now_ns();
	uint64_t deadline_ns = now + timeout_ns < now ? UINT64_MAX : now + timeout_ns;

	for (;; now = lib_now_ns()) {
		struct baro_pressure present;
		struct view *v;
		uint32_t generation;
		int r;

		baro_client_heartbeat(c);
		v = view_get(c);
		generation = v ? baro_page_generation(v->page) : 0;
		r = read_view(v, now, &present);
		if (!r && is_news(seen, &present)) {
			view_put(c, v);
			*seen = present;
			return 0;
		}
		if (now >= deadline_ns)
			r = -ETIMEDOUT;
		else
			r = sleep_on(v, generation, now, deadline_ns - now);
		view_put(c, v);
		if (r < 0)
			return r;
	}
}
