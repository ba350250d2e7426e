/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop: a timer ticks, events only make a tick come early. It holds no policy: it calls the
 * stages in order and knows when.
 */
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
#include "user/daemon/page_writer.h"
#include "user/daemon/sensors.h"

#define EVENTS_PER_WAIT 64
#define SLOTS_SPARE     64 /* for engines that a reload adds */
#define HOUSEKEEPING_NS NS_PER_S
#define URGENT_LEAST_NS (2 * NS_PER_MS) /* between two early ticks for one engine */
#define FDS_PER_ENGINE  16
#define GRANTABLE_BYTES (1 * MIB)

const char *rung_name(enum rung rung)
{
	static const char *const names[] = { "full", "tracepoints", "hybrid", "files", "observe" };

	return names[rung];
}

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

/* ---- one tick -------------------------------------------------------------------------------- */

static void housekeeping(struct daemon *d, uint64_t now_ns)
{
	if (d->housekept_ns && now_ns - d->housekept_ns < HOUSEKEEPING_NS)
		return;
	d->housekept_ns = now_ns;
	for_each_engine (d, e)
		if (e->status == ENGINE_WAITING)
			engine_try_activate(d, e, now_ns);
	parent_verify(d);
	control_expire(d->control, now_ns);
}

static void estimate_engine(struct daemon *d, const struct engine *e, uint64_t now_ns)
{
	/* Soft targets are protection: what was given is the target, not the loose cap. */
	uint64_t given = e->soft ? d->decision[e->slot].target_bytes
				 : min_u64(e->actual.bytes[CG_LIMIT_MAX], d->ceiling_bytes);

	if (e->status == ENGINE_ACTIVE)
		estimate_update(&d->estimate[e->slot], &d->params, &d->law_engine[e->slot],
				&d->sample[e->slot], given, now_ns);
}

/*
 * Every engine that could be helped at once is armed to report its next stall onset. When there
 * is nothing to give, an early tick could do nothing, so none is asked for: this bounds wake-ups.
 */
static void arm_engines(struct daemon *d)
{
	uint64_t targets = 0, idle = 0, total;

	for_each_engine (d, e) {
		if (e->status != ENGINE_ACTIVE)
			continue;
		targets = sat_add_u64(targets, d->decision[e->slot].target_bytes);
		idle = sat_add_u64(idle, d->estimate[e->slot].idle_bytes);
	}
	total = d->ceiling_bytes - min_u64(d->params.reserve_bytes, d->ceiling_bytes);
	if (sat_add_u64(sat_sub_u64(total, targets), idle) < GRANTABLE_BYTES)
		return;
	for_each_engine (d, e)
		if (e->status == ENGINE_ACTIVE && !e->manual && !d->decision[e->slot].stream &&
		    d->decision[e->slot].target_bytes < e->conf->max_bytes)
			sensors_arm(d->sensors, e->slot);
}

void daemon_tick(struct daemon *d, uint32_t urgent_slot)
{
	uint64_t now_ns = clock_now_ns();

	if (urgent_slot == LAW_NO_ENGINE) {
		housekeeping(d, now_ns);
		sample_all(d, now_ns);
		engines_refresh_law(d);
		for_each_engine (d, e)
			estimate_engine(d, e, now_ns);
		d->last_tick_ns = now_ns;
	} else {
		struct engine *e = &d->engine[urgent_slot];

		e->urgent_ns = now_ns;
		sample_one(d, e, now_ns);
		engines_refresh_law(d);
		estimate_engine(d, e, now_ns);
		d->cost.urgent_ticks++;
	}
	policy_decide(d->law_state, &d->params, d->law_engine, d->sample, d->estimate,
		      d->slots_used, urgent_slot, now_ns, d->workspace, d->decision);
	act_all(d, now_ns);
	publish_all(d, now_ns);
	arm_engines(d);
	cost_note_tick(&d->cost, now_ns, clock_now_ns());
	if (d->state_dirty)
		state_save(d);
}

static void tick_early(struct daemon *d, uint32_t slot)
{
	struct engine *e;

	if (slot >= d->slots_used)
		return;
	e = &d->engine[slot];
	if (e->status == ENGINE_ACTIVE && clock_now_ns() - e->urgent_ns >= URGENT_LEAST_NS)
		daemon_tick(d, slot);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void sensor_event(void *arg, const struct sensor_event *event)
{
	struct daemon *d = arg;
	struct engine *e;

	if (event->slot >= d->slots_used)
		return;
	e = &d->engine[event->slot];
	switch (event->kind) {
	case SENSOR_EVENT_STALL_ONSET:
		tick_early(d, event->slot);
		break;
	case SENSOR_EVENT_OOM_VICTIM:
		log_warn("engine=%s event=oom_kill pid=%u", e->name, event->pid);
		break;
	case SENSOR_EVENT_CGROUP_GONE:
		if (e->node && cg_node_id(e->node) == event->cgroup_id)
			engine_lost(d, e);
		break;
	case SENSOR_EVENT_CGROUP_NEW:
		log_debug("engine=%s event=child_cgroup id=%llu", e->name,
			  (unsigned long long)event->cgroup_id);
		break;
	}
}

static void signal_event(struct daemon *d)
{
	struct signalfd_siginfo info;

	while (read(d->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			d->reload = true;
		else
			d->stop = true;
	}
}

static void drain(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0) {
		/* EAGAIN: nothing there, which is what draining is for. */
	}
}

static void psi_event(struct daemon *d, uint32_t slot, uint32_t events)
{
	struct engine *e = slot < d->slots_used ? &d->engine[slot] : NULL;

	if (!e || e->psi_fd < 0)
		return;
	if (events & EPOLLERR) { /* the cgroup was removed */
		epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, e->psi_fd, NULL);
		close(e->psi_fd);
		e->psi_fd = -1;
	}
	tick_early(d, slot);
}

static bool dispatch(struct daemon *d, const struct epoll_event *ev)
{
	switch (LOOP_KIND(ev->data.u64)) {
	case LOOP_TIMER:
		drain(d->timer_fd);
		return true;
	case LOOP_SIGNAL:
		signal_event(d);
		break;
	case LOOP_SENSORS:
		sensors_drain(d->sensors, sensor_event, d);
		break;
	case LOOP_ACTED:
		/* A shrink landed: what it freed can be handed on without waiting for the timer. */
		drain(d->acted_fd);
		act_all(d, clock_now_ns());
		break;
	case LOOP_PSI:
		psi_event(d, LOOP_ID(ev->data.u64), ev->events);
		break;
	case LOOP_CONTROL:
		control_accept(d->control);
		break;
	case LOOP_CLIENT:
		control_client(d->control, LOOP_ID(ev->data.u64), ev->events);
		break;
	}
	return false;
}

static int set_timer(struct daemon *d)
{
	uint64_t ns = d->config->interval_ns;
	struct itimerspec it = { .it_interval = { .tv_sec = (time_t)(ns / NS_PER_S),
						  .tv_nsec = (long)(ns % NS_PER_S) } };

	it.it_value = it.it_interval;
	return timerfd_settime(d->timer_fd, 0, &it, NULL) < 0 ? -errno : 0;
}

int daemon_reload(struct daemon *d, char *ret_why, size_t why_size)
{
	struct config *fresh = NULL, *old = d->config;
	char *text = NULL;
	size_t size = 0;
	FILE *complaints = open_memstream(&text, &size);
	int r = -ENOMEM;

	if (complaints) {
		r = config_load(d->config_path, d->ram_bytes, complaints, &fresh);
		fclose(complaints);
	}
	if (r == 0 &&
	    (strcmp(fresh->page, old->page) != 0 || strcmp(fresh->socket, old->socket) != 0 ||
	     strcmp(fresh->parent, old->parent) != 0)) {
		snprintf(ret_why, why_size,
			 "page, socket and parent cannot change while running; "
			 "restart the daemon for that");
		r = -EINVAL;
	} else if (r < 0) {
		snprintf(ret_why, why_size, "%s", text && text[0] ? text : strerror(-r));
	}
	free(text);
	if (r == 0) {
		d->config = fresh;
		r = engines_apply_config(d);
		if (r < 0) {
			snprintf(ret_why, why_size,
				 "%u engines do not fit the %u slots this daemon started with; "
				 "restart it for that",
				 fresh->engines, d->capacity);
			d->config = old;
		}
	}
	if (r < 0) {
		config_free(fresh);
		log_err("event=reload_refused detail=\"%s\" kept=\"the old configuration\"",
			ret_why);
		return r;
	}
	config_free(old);
	log_set_level((enum log_level)d->config->log_level);
	parent_open(d);
	engines_refresh_law(d);
	set_timer(d);
	d->housekept_ns = 0;
	log_info("event=reloaded engines=%u", d->config->engines);
	return 0;
}

int daemon_run(struct daemon *d)
{
	struct epoll_event ev[EVENTS_PER_WAIT];
	char why[1024];

	daemon_tick(d, LAW_NO_ENGINE);
	notify_systemd("READY=1\nSTATUS=steering");
	while (!d->stop) {
		int n = epoll_wait(d->epoll_fd, ev, EVENTS_PER_WAIT, -1);
		bool tick = false;

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++)
			tick |= dispatch(d, &ev[i]);
		if (d->reload) {
			d->reload = false;
			notify_systemd("RELOADING=1");
			daemon_reload(d, why, sizeof(why));
			notify_systemd("READY=1");
		}
		if (tick && !d->stop)
			daemon_tick(d, LAW_NO_ENGINE);
	}
	notify_systemd("STOPPING=1");
	return 0;
}

/* ---- set up and tear down -------------------------------------------------------------------- */

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
	return r == 0 ? set_timer(d) : r;
}

static int alloc_slots(struct daemon *d)
{
	uint32_t n = (d->config->engines + SLOTS_SPARE + 63) & ~63u;

	if (n > LAW_ENGINES_MAX)
		n = LAW_ENGINES_MAX;
	d->capacity = n;
	d->engine = calloc(n, sizeof(*d->engine));
	d->law_engine = calloc(n, sizeof(*d->law_engine));
	d->sample = calloc(n, sizeof(*d->sample));
	d->estimate = calloc(n, sizeof(*d->estimate));
	d->decision = calloc(n, sizeof(*d->decision));
	d->law_state = calloc(1, sizeof(*d->law_state));
	d->workspace = calloc(1, law_workspace_bytes(n));
	if (!d->engine || !d->law_engine || !d->sample || !d->estimate || !d->decision ||
	    !d->law_state || !d->workspace)
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
	state_load(d);
	parent_open(d);
	choose_walk_root(d);
	engines_refresh_law(d);
	d->rung = find_rung(d);
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
	control_close(d->control);
	sensors_close(d->sensors);
	page_writer_close(d->page, false);
	cost_close(&d->cost);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(d->engine);
	free(d->law_engine);
	free(d->sample);
	free(d->estimate);
	free(d->decision);
	free(d->law_state);
	free(d->workspace);
}
