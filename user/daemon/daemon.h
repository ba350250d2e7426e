/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the daemon knows, in one place: five stages work on it in turn on every tick,
 *
 *   sample -> estimate -> decide -> act -> publish
 *
 * one file each. Engines live in slots: the slot number is the index into every array here, into
 * the sensors' counters and into the pressure page, and stays the engine's for the daemon's life.
 * Only the loop's thread touches this struct; actuator threads see struct actuator (act.h) alone.
 */
#ifndef BAROSTAT_DAEMON_DAEMON_H
#define BAROSTAT_DAEMON_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "cgroup/cgroup.h"
#include "user/common/cleanup.h"
#include "user/daemon/backoff.h"
#include "user/daemon/config.h"
#include "user/daemon/cost.h"
#include "user/daemon/history.h"
#include "user/daemon/law_tick.h"
#include "user/daemon/level.h"
#include "user/daemon/limits.h"
#include "user/daemon/look.h"

struct actuator;
struct page_writer;
struct sensors;
struct sensor_reading;
struct control;
struct demand_socket;
struct recorder;
struct metrics_http;

#define RECORDERS_MAX 2

enum rung { RUNG_FULL, RUNG_TRACEPOINTS, RUNG_HYBRID, RUNG_FILES, RUNG_OBSERVE };

enum engine_status {
	ENGINE_FREE, /* the slot holds no engine */
	ENGINE_WAITING, /* configured, its cgroup does not exist (yet, or any more) */
	ENGINE_ACTIVE,
};

/* What was there before us, so that SIGTERM can put it back; survives kill -9 in the state file. */
struct engine_origin {
	bool known;
	bool created; /* the cgroup is ours to delete */
	uint64_t cgroup_id;
	struct cg_limits limits;
};

/* Writes that the kernel refused for another reason than that nothing came free. */
struct engine_failing {
	struct backoff lower[CG_LIMIT_COUNT], set[CG_LIMIT_COUNT];
};

struct engine {
	enum engine_status status;
	const struct config_engine *conf; /* owned by daemon.config */
	char name[CONFIG_NAME_MAX];
	uint32_t slot;
	uid_t user_uid; /* may open a demand page; (uid_t)-1: root only */
	struct cg_node *node; /* NULL unless active */
	struct engine_origin origin;
	bool said_waiting;
	bool was_active;

	bool below_ceiling; /* the parent's limit is the ceiling, and holds this engine */
	bool soft; /* targets are protection (memory.low) under the parent's ceiling */
	bool held_by_parent; /* no protection here, but the parent's limit is the ceiling */
	bool heap; /* and it is one that cannot be reclaimed: see limits_is_heap() */
	bool manual;
	uint64_t lent_bytes; /* of its limit or cap, above its target: see limits_lend() */
	uint64_t tried_until_ns; /* no more is lent before */
	uint64_t locked_bytes; /* its unevictable pages, as last read */
	struct cg_limits wanted; /* what act last asked for */
	struct cg_limits actual; /* what the kernel held when last read */
	uint64_t verify_due_ns; /* next reading of the limits */
	uint64_t moved_ns, strained_ns, pressure_ns; /* see sample.c */
	struct look look;

	/* PSI trigger descriptor, -1 when none */
	int psi_fd;

	/* pressure over windows, for the page */
	struct pressure_window window_memory, window_io;
	struct level_state level;
	struct freeze_watch freeze;
	uint64_t learned_floor_bytes, learned_until_ns; /* a limit write was refused here (EBUSY) */
	struct engine_failing failing;
	uint64_t grant_epoch, granted_bytes;
	uint64_t release_bytes, release_deadline_ns;
	uint64_t urgent_ns; /* last early tick */

	struct history history;
};

struct daemon {
	struct config *config;
	const char *config_path;
	bool dry_run;
	uint64_t ram_bytes; /* what a ceiling in percent refers to */
	uint64_t started_ns;
	bool initialised;
	uint64_t housekept_ns;

	struct cg_backend *backend;
	const struct cg_abilities *abilities;
	int walk_fd; /* directory above all engines, for the walk; owned when it is the root */
	struct cg_node *parent; /* common parent, NULL when it could not be made */
	struct engine_origin parent_origin;
	bool parent_ceiling; /* the parent's limit is the ceiling */
	bool parent_due; /* the ceiling could not be set yet */
	uint64_t parent_set_bytes; /* what we last set; 0: nothing */
	bool parent_manual; /* somebody else set its limit, lower or higher: respected */
	uint64_t ceiling_bytes; /* in force: config's, or the parent's foreign limit when lower */
	enum rung rung;

	struct sensors *sensors;
	struct actuator *actuator;
	struct page_writer *page;
	struct control *control;
	struct demand_socket *demand; /* NULL: engines can only read */
	struct recorder *recorder[RECORDERS_MAX]; /* NULL: none */
	struct metrics_http *metrics; /* NULL: off, or they cannot be fetched */

	uint32_t capacity; /* slots */
	uint32_t slots_used; /* 1 + highest slot in use */
	struct engine *engine; /* [capacity] */
	struct law_params params;
	struct law_engine *law_engine;
	struct sensor_reading *reading; /* what the sensors said last */
	struct law_sample *sample;
	uint64_t *given_bytes; /* what each engine had while it was sampled */
	struct law_estimate *estimate;
	struct law_decision *decision;
	struct law_state *law_state;
	struct law_workspace *workspace;

	uint64_t usage_bytes; /* of all engines */
	uint64_t lent_bytes, lent_ns; /* see limits_lend() */
	uint64_t samples; /* sampling rounds, for staggering */
	bool state_dirty; /* the state file must be written */
	struct level_state host_level;
	struct cost cost;

	struct law_watch_state watch;
	bool reuse_counting; /* the reuse sensor is on, and does not rest */
	struct law_pace_state pace;
	uint64_t timer_ns; /* the interval that the timer is set to */

	int epoll_fd, timer_fd, signal_fd, acted_fd;
	bool stop;
	bool reload;
};

#define for_each_engine(d, e)                                                                      \
	for (struct engine *e = (d)->engine; e < (d)->engine + (d)->slots_used; e++)               \
		if (e->status != ENGINE_FREE)

/* epoll data: what an event is about (high half) and which one (low half) */
#define LOOP_TIMER   (1ull << 32)
#define LOOP_SIGNAL  (2ull << 32)
#define LOOP_SENSORS (3ull << 32)
#define LOOP_ACTED   (4ull << 32)
#define LOOP_PSI     (5ull << 32)
#define LOOP_CONTROL (6ull << 32)
#define LOOP_CLIENT  (7ull << 32)
#define LOOP_ENGINES (8ull << 32)
#define LOOP_DEMAND  (9ull << 32)
#define LOOP_RECORD  (10ull << 32)
#define LOOP_METRICS (11ull << 32)
#define LOOP_KIND(u) ((u) & ~0xffffffffull)
#define LOOP_ID(u)   ((uint32_t)(u))

/* -- stages (one file each) -- */
void sample_all(struct daemon *d, uint64_t now_ns);
void sample_one(struct daemon *d, struct engine *e, uint64_t now_ns);
void act_all(struct daemon *d, uint64_t now_ns);
struct actuator_result;
/* Brings e->actual up to date with what the actuator has read back since it was last asked. */
void act_take_result(struct daemon *d, struct engine *e, struct actuator_result *ret);
void publish_all(struct daemon *d, uint64_t now_ns);

/* -- engines (engine.c) -- */
int engines_apply_config(struct daemon *d);
void engine_try_activate(struct daemon *d, struct engine *e, uint64_t now_ns);
void engine_lost(struct daemon *d, struct engine *e);
struct engine *engine_find(struct daemon *d, const char *name);
void engines_refresh_law(struct daemon *d);
void engine_follow_settings(struct daemon *d, struct engine *e);
void engine_mark_manual(struct daemon *d, struct engine *e, enum cg_limit which, uint64_t found);
/* finish: what is being lowered still is, to the limits that were there before. */
void engine_deactivate(struct daemon *d, struct engine *e, bool finish);
uint64_t engine_id_of(const struct engine *e);

/* "barostat" is above "barostat/pg", not above "barostat2/pg"; "" is above everything. */
bool engine_path_is_below(const char *path, const char *above);

/*
 * What we are about to make is written down before we make it: a crash in between leaves a cgroup
 * that the next daemon knows as ours. An intention has no cgroup id yet.
 */
void origin_intend(struct daemon *d, struct engine_origin *o);
bool origin_is_of(const struct engine_origin *o, uint64_t cgroup_id);
static inline enum limits_mode engine_mode(const struct engine *e)
{
	return e->soft ? LIMITS_SOFT : e->held_by_parent && e->heap ? LIMITS_BACKSTOP : LIMITS_HARD;
}

/* Below the common parent, whether its limit is the ceiling or not. */
bool engine_is_below_parent(const struct daemon *d, const struct engine *e);
bool engine_is_made_by_us(const struct daemon *d, const struct engine *e);

/* -- leaving (leave.c) -- */
void engine_leave(struct daemon *d, struct engine *e);
void engines_restore(struct daemon *d);

/* -- the common parent (parent.c) -- */
int parent_open(struct daemon *d);
void parent_verify(struct daemon *d);
void parent_restore(struct daemon *d);

/* -- state file (state.c) -- */
int state_load(struct daemon *d);
int state_save(struct daemon *d);

/* -- loop (loop.c) -- */
int daemon_run(struct daemon *d);
void daemon_tick(struct daemon *d, uint32_t urgent_slot);
struct law_host daemon_law_host(struct daemon *d);
int daemon_reload(struct daemon *d, char *ret_why, size_t why_size);
const char *rung_name(enum rung rung);

/* -- before and after (setup.c) -- */
int daemon_init(struct daemon *d);
void daemon_fini(struct daemon *d);
int daemon_set_timer(struct daemon *d, uint64_t interval_ns);

/* -- control socket (control.c) -- */
int control_open(struct daemon *d, struct control **ret);
void control_close(struct control *c);
void control_accept(struct control *c);
void control_client(struct control *c, uint32_t client, uint32_t events);
void control_expire(struct control *c, uint64_t now_ns); /* clients that neither ask nor read */

/* -- readiness (notify.c) -- */
int notify_systemd(const char *state);

#endif
