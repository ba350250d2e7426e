/* SPDX-License-Identifier: BSD-2-Clause */
/* What the daemon opens before its first tick, in order, and closes after its last. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "user/common/clock.h"
#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/actuator.h"
#include "user/daemon/daemon.h"
#include "user/daemon/demand_socket.h"
#include "user/daemon/metrics_http.h"
#include "user/daemon/page_writer.h"
#include "user/daemon/record.h"
#include "user/daemon/sensors.h"

#define SLOTS_SPARE    64 /* for engines that a reload adds */
#define FDS_PER_ENGINE 16

static enum rung find_rung(const struct daemon *d)
{
	const struct sensor_state *s = sensors_describe(d->sensors);
	bool fentry = false, any = false;

	for (int i = 0; i < SENSOR_COUNT; i++) {
		any |= s[i].variant != SENSOR_OFF;
		fentry |= s[i].variant == SENSOR_FENTRY;
	}
	if (d->dry_run || !d->abilities->writable)
		return RUNG_OBSERVE;
	if (!any)
		return RUNG_FILES;
	if (d->abilities->kind == CG_KIND_HYBRID)
		return RUNG_HYBRID;
	return fentry ? RUNG_FULL : RUNG_TRACEPOINTS;
}

int daemon_set_timer(struct daemon *d, uint64_t interval_ns)
{
	struct itimerspec it = { .it_interval = { .tv_sec = (time_t)(interval_ns / NS_PER_S),
						  .tv_nsec = (long)(interval_ns % NS_PER_S) } };

	if (interval_ns == d->timer_ns)
		return 0;
	d->timer_ns = interval_ns;
	it.it_value = it.it_interval;
	return timerfd_settime(d->timer_fd, 0, &it, NULL) < 0 ? -errno : 0;
}

static int watch_fd(struct daemon *d, int fd, uint64_t kind, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.u64 = kind };

	return epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static int open_loop(struct daemon *d)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	d->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	d->acted_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->epoll_fd < 0 || d->timer_fd < 0 || d->signal_fd < 0 || d->acted_fd < 0)
		return -errno;
	r = watch_fd(d, d->timer_fd, LOOP_TIMER, EPOLLIN);
	if (r == 0)
		r = watch_fd(d, d->signal_fd, LOOP_SIGNAL, EPOLLIN);
	if (r == 0)
		r = watch_fd(d, d->acted_fd, LOOP_ACTED, EPOLLIN);
	return r == 0 ? daemon_set_timer(d, d->config->interval_ns) : r;
}

static int alloc_slots(struct daemon *d)
{
	uint32_t n = (d->config->engines + SLOTS_SPARE + 63) & ~63u;

	if (n > LAW_ENGINES_MAX)
		n = LAW_ENGINES_MAX;
	d->capacity = n;
	d->engine = calloc(n, sizeof(*d->engine));
	d->law_engine = calloc(n, sizeof(*d->law_engine));
	d->reading = calloc(n, sizeof(*d->reading));
	d->sample = calloc(n, sizeof(*d->sample));
	d->given_bytes = calloc(n, sizeof(*d->given_bytes));
	d->estimate = calloc(n, sizeof(*d->estimate));
	d->decision = calloc(n, sizeof(*d->decision));
	d->law_state = calloc(1, sizeof(*d->law_state));
	d->workspace = calloc(1, law_workspace_bytes(n));
	if (!d->engine || !d->law_engine || !d->reading || !d->sample || !d->given_bytes ||
	    !d->estimate || !d->decision || !d->law_state || !d->workspace)
		return -ENOMEM;
	return 0;
}

static void raise_fd_limit(uint32_t engines)
{
	struct rlimit lim;
	rlim_t want = (rlim_t)engines * FDS_PER_ENGINE + 1024;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur >= want)
		return;
	lim.rlim_cur = want;
	if (lim.rlim_max < want)
		lim.rlim_max = want;
	if (setrlimit(RLIMIT_NOFILE, &lim) < 0) {
		/* Without CAP_SYS_RESOURCE only up to the hard limit. */
		getrlimit(RLIMIT_NOFILE, &lim);
		lim.rlim_cur = lim.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &lim);
		if (lim.rlim_max < want)
			log_warn("event=fd_limit have=%llu want=%llu detail=\"some engines may "
				 "stay unseen\"",
				 (unsigned long long)lim.rlim_max, (unsigned long long)want);
	}
}

static int open_sensors(struct daemon *d)
{
	struct sensors_options options = {
		.size = sizeof(options),
		.slots = d->capacity,
		.no_bpf = !d->config->bpf,
		.hybrid = d->abilities->kind == CG_KIND_HYBRID,
		.ceiling_bytes = d->config->ceiling_bytes,
		.left_out = d->config->reuse ? 0 : 1u << SENSOR_REUSE,
	};
	const struct sensor_state *s;
	int r = sensors_open(&options, &d->sensors);

	if (r < 0)
		return r;
	s = sensors_describe(d->sensors);
	for (int i = 0; i < SENSOR_COUNT; i++)
		if (s[i].variant == SENSOR_OFF)
			log_info("event=sensor_off sensor=%s reason=\"%s\"", s[i].name, s[i].why);
	if (sensors_event_fd(d->sensors) >= 0)
		return watch_fd(d, sensors_event_fd(d->sensors), LOOP_SENSORS, EPOLLIN);
	return 0;
}

static int open_page(struct daemon *d)
{
	static const char *const words[] = { "created", "adopted", "replaced" };
	enum page_origin origin;
	int r = page_writer_open(d->config->page, d->capacity, (mode_t)d->config->page_mode,
				 &d->page, &origin);

	if (r == -EBUSY)
		log_err("event=page_busy page=%s detail=\"another barostatd publishes there; stop "
			"it, or give this one a page of its own\"",
			d->config->page);
	else if (r < 0)
		log_err("event=page_failed page=%s error=\"%s\" detail=\"its directory must exist "
			"or be creatable, and have room\"",
			d->config->page, strerror(-r));
	else
		log_info("event=page page=%s slots=%u %s", d->config->page, d->capacity,
			 words[origin]);
	return r;
}

/* Without it engines are steered all the same: they only cannot say anything. */
static void open_demand(struct daemon *d)
{
	int r = demand_socket_open(d, &d->demand);

	if (r < 0)
		log_warn("event=engine_socket_failed socket=%s error=\"%s\" detail=\"engines can "
			 "read their pressure but declare nothing\", ignoring",
			 d->config->engine_socket, strerror(-r));
}

/* The walk starts at the lowest directory that is above all engines. */
static void choose_walk_root(struct daemon *d)
{
	size_t n = strlen(d->config->parent);
	bool all = d->parent != NULL;

	for (uint32_t i = 0; i < d->config->engines && all; i++) {
		const char *path = d->config->engine[i].cgroup;

		all = !strncmp(path, d->config->parent, n) && path[n] == '/';
	}
	if (all)
		d->walk_fd = fcntl(cg_node_dirfd(d->parent), F_DUPFD_CLOEXEC, 3);
	else
		d->walk_fd = open(d->abilities->memory_mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* All cgroups that the first tick will make, in one writing of the state file. */
static void note_intentions(struct daemon *d)
{
	const char *parent = d->config->parent;

	if (parent[0] && !d->dry_run && !cg_exists(d->backend, parent))
		origin_intend(d, &d->parent_origin);
	for_each_engine (d, e)
		if (engine_is_made_by_us(d, e) && !cg_exists(d->backend, e->conf->cgroup))
			origin_intend(d, &e->origin);
	if (d->state_dirty)
		state_save(d);
}

int daemon_init(struct daemon *d)
{
	int r;

	d->epoll_fd = d->timer_fd = d->signal_fd = d->acted_fd = d->walk_fd = -1;
	d->started_ns = clock_now_ns();
	raise_fd_limit(d->config->engines);
	cost_open(&d->cost);
	r = alloc_slots(d);
	if (r == 0)
		r = open_loop(d);
	/* The page's lock is what tells a second daemon to leave before it touches a cgroup. */
	if (r == 0)
		r = open_page(d);
	if (r == 0)
		r = control_open(d, &d->control);
	if (r == 0)
		r = open_sensors(d);
	if (r == 0)
		r = actuator_open(d->capacity, d->abilities->kind, d->acted_fd, &d->actuator);
	if (r == 0)
		r = engines_apply_config(d);
	if (r < 0)
		return r;
	open_demand(d);
	metrics_http_open(d, &d->metrics);
	state_load(d);
	note_intentions(d);
	parent_open(d);
	choose_walk_root(d);
	engines_refresh_law(d);
	d->rung = find_rung(d);
	if (!d->config->engines)
		log_warn(
		    "event=no_engines detail=\"the configuration names none: nothing to do until "
		    "a reload\"");
	d->initialised = true;
	log_info("event=started rung=%s policy=%s engines=%u ceiling=%llu interval_ms=%llu",
		 rung_name(d->rung), policy_name(d->config->policy), d->config->engines,
		 (unsigned long long)d->ceiling_bytes,
		 (unsigned long long)(d->config->interval_ns / NS_PER_MS));
	return 0;
}

void daemon_fini(struct daemon *d)
{
	int fds[] = { d->epoll_fd, d->timer_fd, d->signal_fd, d->acted_fd, d->walk_fd };

	if (d->initialised) {
		engines_restore(d);
		if (!d->dry_run)
			unlink(d->config->state);
	}
	actuator_close(d->actuator);
	metrics_http_close(d->metrics);
	demand_socket_close(d->demand);
	record_stop_all(d);
	control_close(d->control);
	sensors_close(d->sensors);
	page_writer_close(d->page, false);
	cost_close(&d->cost);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(d->engine);
	free(d->law_engine);
	free(d->reading);
	free(d->sample);
	free(d->given_bytes);
	free(d->estimate);
	free(d->decision);
	free(d->law_state);
	free(d->workspace);
}
