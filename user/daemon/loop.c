/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop: a timer ticks, events only make a tick come early. It holds no policy: it calls the
 * stages in order and knows when.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "user/common/clock.h"
#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/daemon.h"
#include "user/daemon/demand_socket.h"
#include "user/daemon/metrics_http.h"
#include "user/daemon/record.h"
#include "user/daemon/sensors.h"

#define EVENTS_PER_WAIT 64
#define HOUSEKEEPING_NS NS_PER_S
#define URGENT_LEAST_NS (2 * NS_PER_MS) /* between two early ticks for one engine */
#define GRANTABLE_BYTES (1 * MIB)

const char *rung_name(enum rung rung)
{
	static const char *const names[] = { "full", "tracepoints", "hybrid", "files", "observe" };

	return names[rung];
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
	record_expire(d, now_ns);
	metrics_http_run(d->metrics); /* who has been silent for too long */
}

static void note_given(struct daemon *d)
{
	for_each_engine (d, e)
		d->given_bytes[e->slot] =
		    limits_given(engine_mode(e), &e->actual, d->decision[e->slot].target_bytes,
				 e->lent_bytes, d->ceiling_bytes);
}

struct law_host daemon_law_host(struct daemon *d)
{
	return (struct law_host){
		.n = d->slots_used,
		.params = &d->params,
		.engine = d->law_engine,
		.sample = d->sample,
		.given_bytes = d->given_bytes,
		.estimate = d->estimate,
		.state = d->law_state,
		.workspace = d->workspace,
		.decision = d->decision,
	};
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

/*
 * An early tick only ends a slack pace: were the timer set by each of them, a storm of stalls would
 * put off the regular ticks for ever.
 */
static void set_pace(struct daemon *d, bool urgent, uint64_t now_ns)
{
	const struct law_pace_bounds bounds = { .least_ns = d->config->interval_min_ns,
						.regular_ns = d->config->interval_ns,
						.most_ns = d->config->interval_max_ns };
	uint64_t pace_ns = law_pace(&d->pace, &bounds, d->law_engine, d->estimate, d->decision,
				    d->slots_used, now_ns);

	if (!urgent || d->timer_ns > d->config->interval_ns)
		daemon_set_timer(d, pace_ns);
}

/* The sensor that costs reads most rests while nobody needs it; a kernel that will not have it back
 * is asked again next time. */
static void set_watch(struct daemon *d, uint64_t now_ns)
{
	bool watch = law_watch(&d->watch, d->law_state->engine, d->law_engine, d->estimate,
			       d->slots_used, now_ns);
	int r = sensors_rest(d->sensors, SENSOR_REUSE, !watch);

	d->reuse_counting = watch && r == 0;
	if (r < 0 && r != -EOPNOTSUPP)
		log_limited(LOG_LEVEL_WARN, "sensor=reuse event=rest_failed error=\"%s\", ignoring",
			    strerror(-r));
}

void daemon_tick(struct daemon *d, uint32_t urgent_slot)
{
	uint64_t now_ns = clock_now_ns();
	struct law_host law;

	if (urgent_slot == LAW_NO_ENGINE) {
		housekeeping(d, now_ns);
		sample_all(d, now_ns);
		demand_collect(d->demand, now_ns);
	} else {
		d->engine[urgent_slot].urgent_ns = now_ns;
		sample_one(d, &d->engine[urgent_slot], now_ns);
		d->cost.urgent_ticks++;
	}
	engines_refresh_law(d);
	note_given(d);
	law = daemon_law_host(d);
	record_inputs(d, &law, urgent_slot, now_ns);
	law_tick(&law, urgent_slot, now_ns);
	set_watch(d, now_ns);
	record_decisions(d, &law);
	act_all(d, now_ns);
	publish_all(d, now_ns);
	arm_engines(d);
	record_send(d);
	set_pace(d, urgent_slot != LAW_NO_ENGINE, now_ns);
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
	case LOOP_ENGINES:
		demand_socket_accept(d->demand);
		break;
	case LOOP_DEMAND:
		demand_socket_event(d->demand, LOOP_ID(ev->data.u64));
		break;
	case LOOP_METRICS:
		metrics_http_run(d->metrics);
		break;
	case LOOP_RECORD:
		record_event(d, LOOP_ID(ev->data.u64), ev->events);
		break;
	}
	return false;
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
	     strcmp(fresh->engine_socket, old->engine_socket) != 0 ||
	     strcmp(fresh->parent, old->parent) != 0 || fresh->bpf != old->bpf ||
	     fresh->reuse != old->reuse)) {
		snprintf(ret_why, why_size,
			 "page, socket, engine_socket, parent, bpf and reuse cannot change while "
			 "running; restart the daemon for that");
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
	metrics_http_follow(d, &d->metrics);
	parent_open(d);
	engines_refresh_law(d);
	daemon_set_timer(d, d->config->interval_ns);
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
