/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Engines come and go: their cgroups are made or found, adopted after a crash, watched for
 * strangers' writes. How they are put back as they were is in leave.c.
 */
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/epoll.h>

#include "user/common/clock.h"
#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/actuator.h"
#include "user/daemon/daemon.h"
#include "user/daemon/demand_socket.h"
#include "user/daemon/page_writer.h"
#include "user/daemon/sensors.h"

#define PSI_TRIGGERS_MAX 256
#define PSI_THRESHOLD_US 25000
#define PSI_WINDOW_US    500000

struct engine *engine_find(struct daemon *d, const char *name)
{
	for_each_engine (d, e)
		if (!strcmp(e->name, name))
			return e;
	return NULL;
}

uint64_t engine_id_of(const struct engine *e)
{
	return e->node ? cg_node_id(e->node) : 0;
}

/* "barostat" is above "barostat/pg", not above "barostat2/pg"; "" is above everything. */
bool engine_path_is_below(const char *path, const char *above)
{
	size_t n = strlen(above);

	return !n || (!strncmp(path, above, n) && path[n] == '/');
}

static void tell_page(struct daemon *d, struct engine *e)
{
	struct page_slot_identity who = {
		.name = e->name,
		.cgroup_id = engine_id_of(e),
		.psi_cgroup_id = e->node ? cg_node_psi_id(e->node) : 0,
		.cgroup_hierarchy = d->abilities->memory_hierarchy_id,
		.weight = e->conf->weight,
		.min_bytes = e->conf->min_bytes,
		.max_bytes = e->conf->max_bytes,
	};
	int r = page_writer_assign(d->page, e->slot, &who);

	if (r < 0) {
		log_warn("engine=%s event=page_slot_refused error=\"%s\", ignoring", e->name,
			 strerror(-r));
		return;
	}
	/* Goes on from the daemon before, so that an old acknowledgement stays an old one. */
	e->grant_epoch =
	    max_u64(e->grant_epoch, page_writer_slot(d->page, e->slot)->pressure.grant_epoch);
}

/* What the operator said, as the law wants it. */
void engines_refresh_law(struct daemon *d)
{
	struct law_params *p = &d->params;

	p->policy = d->config->policy;
	p->ceiling_bytes = d->ceiling_bytes;
	p->reserve_bytes = min_u64(d->config->reserve_bytes, d->ceiling_bytes);
	p->burst_bytes = min_u64(d->config->burst_bytes, d->ceiling_bytes - p->reserve_bytes);
	p->gamma_ppm = d->config->gamma_ppm;
	p->groups = d->config->groups;
	for (uint32_t g = 0; g < p->groups; g++) {
		const struct config_group *c = &d->config->group[g];

		p->group[g] = (struct law_group){ .min_bytes = c->min_bytes,
						  .max_bytes = c->max_bytes,
						  .weight = c->weight };
	}
	for (uint32_t i = 0; i < d->slots_used; i++) {
		const struct engine *e = &d->engine[i];
		struct law_engine *l = &d->law_engine[i];

		if (e->status == ENGINE_FREE) {
			memset(l, 0, sizeof(*l));
			continue;
		}
		*l = (struct law_engine){
			.min_bytes = e->conf->min_bytes,
			.max_bytes = e->conf->max_bytes,
			.weight = e->conf->weight,
			.group = e->conf->group,
			.stall_target_ppm = (uint32_t)e->conf->stall_target_ppm,
			.active = e->status == ENGINE_ACTIVE,
			.manual = e->manual,
			.manual_bytes = limits_claim(engine_mode(e), true, &e->actual, 0,
						     d->sample[i].usage_bytes, 0),
			.hard = engine_mode(e) == LIMITS_HARD,
		};
	}
}

/* ---- activation ------------------------------------------------------------------------------ */

static void watch_pressure(struct daemon *d, struct engine *e)
{
	struct epoll_event ev = { .events = EPOLLPRI, .data.u64 = LOOP_PSI | e->slot };
	uint64_t window_us;
	int fd;

	e->psi_fd = -1;
	if (!d->abilities->has_psi || e->slot >= PSI_TRIGGERS_MAX)
		return;
	fd = cg_node_psi_trigger(e->node, CG_PRESSURE_MEMORY, PSI_THRESHOLD_US, PSI_WINDOW_US,
				 &window_us);
	if (fd < 0) {
		log_debug("engine=%s event=psi_trigger_refused error=\"%s\", ignoring", e->name,
			  strerror(-fd));
		return;
	}
	if (epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		close(fd);
		return;
	}
	e->psi_fd = fd;
}

bool engine_is_below_parent(const struct daemon *d, const struct engine *e)
{
	return d->parent && engine_path_is_below(e->conf->cgroup, cg_node_path(d->parent));
}

/* Soft targets need memory.low and the ceiling on a parent above the engine. */
static void choose_mode(struct daemon *d, struct engine *e)
{
	bool below = d->parent_ceiling && engine_is_below_parent(d, e);
	bool can = below && d->abilities->has_low;

	e->below_ceiling = below;
	e->soft = can && e->conf->limit == CONFIG_LIMIT_SOFT;
	e->held_by_parent = below && !can && e->conf->limit == CONFIG_LIMIT_SOFT;
	e->heap &= e->soft || e->held_by_parent;
	if (!can && e->conf->limit_given && e->conf->limit == CONFIG_LIMIT_SOFT)
		log_warn("engine=%s event=soft_unavailable detail=\"%s\"", e->name,
			 d->abilities->has_low
			     ? "its cgroup is not below a parent that holds the ceiling"
			     : "this hierarchy has no memory.low");
}

/* The operator has set its bounds, or how they are enforced. */
void engine_follow_settings(struct daemon *d, struct engine *e)
{
	if (e->status == ENGINE_ACTIVE)
		choose_mode(d, e);
	tell_page(d, e);
}

void origin_intend(struct daemon *d, struct engine_origin *o)
{
	*o = (struct engine_origin){
		.known = true,
		.created = true,
		.limits = { { 0, 0, BYTES_NO_LIMIT, BYTES_NO_LIMIT } },
	};
	d->state_dirty = true;
}

bool origin_is_of(const struct engine_origin *o, uint64_t cgroup_id)
{
	return o->known && (o->cgroup_id == cgroup_id || (o->created && o->cgroup_id == 0));
}

/*
 * The limits found in a cgroup: ours from before a crash when the state file knows the cgroup,
 * otherwise the operator's, to be restored one day. The target starts where the limit stands.
 */
static void adopt_limits(struct daemon *d, struct engine *e, bool created)
{
	struct law_engine_state *ls = &d->law_state->engine[e->slot];
	bool ours = origin_is_of(&e->origin, engine_id_of(e));
	uint64_t held, usage;

	memset(ls, 0, sizeof(*ls));
	if (ours && e->origin.cgroup_id == 0) {
		e->origin.cgroup_id = engine_id_of(e);
		d->state_dirty = true;
	}
	if (!ours) {
		e->origin = (struct engine_origin){ .known = true,
						    .created = created,
						    .cgroup_id = engine_id_of(e),
						    .limits = e->actual };
		d->state_dirty = true;
	}
	held = e->actual.bytes[e->soft ? CG_LIMIT_LOW : CG_LIMIT_MAX];
	if (held == BYTES_NO_LIMIT) /* just made, or not got round to: nothing to go on with */
		held = 0;
	/* It may have been a backstop, which says nothing about the target. */
	if (held && e->held_by_parent && cg_node_usage(e->node, &usage) == 0)
		held = min_u64(held, sat_add_u64(usage, max_u64(usage / 4, 8 * MIB)));
	if (ours && held) {
		ls->target_bytes = held;
		log_info("engine=%s event=adopted target=%llu", e->name, (unsigned long long)held);
	} else if (e->conf->initial_bytes) {
		ls->target_bytes = e->conf->initial_bytes;
	}
	e->wanted = e->actual;
}

/* Whether a target under the parent's ceiling is a limit or has a backstop above it shows only once
 * it is known what the engine holds; it may change. */
static const char *mode_word(const struct engine *e)
{
	return e->soft ? "soft" : e->held_by_parent ? "below_parent" : "hard";
}

static int activate(struct daemon *d, struct engine *e, bool created, uint64_t now_ns)
{
	struct cg_node *node;
	int r;

	r = cg_node_open(d->backend, e->conf->cgroup, &node);
	if (r < 0)
		return r;
	/* What another engine found here is still being put back. */
	r = actuator_is_retiring(d->actuator, cg_node_id(node)) ? -EAGAIN : 0;
	if (r == 0)
		r = cg_node_limits(node, &e->actual);
	if (r == 0)
		r = actuator_bind(d->actuator, e->slot, node, &e->actual);
	if (r < 0) {
		cg_node_close(node);
		return r;
	}
	e->node = node;
	e->status = ENGINE_ACTIVE;
	e->was_active = true;
	e->said_waiting = false;
	e->heap = false;
	e->locked_bytes = 0;
	memset(&e->failing, 0, sizeof(e->failing));
	choose_mode(d, e);
	adopt_limits(d, e, created);
	memset(&d->decision[e->slot], 0, sizeof(d->decision[0]));
	memset(&d->reading[e->slot], 0, sizeof(d->reading[0]));
	r = sensors_add(d->sensors, e->slot, cg_node_dirfd(node), cg_node_id(node),
			cg_node_psi_id(node));
	if (r < 0)
		log_warn("engine=%s event=sensors_refused error=\"%s\", ignoring", e->name,
			 strerror(-r));
	watch_pressure(d, e);
	memset(&d->sample[e->slot], 0, sizeof(d->sample[0]));
	memset(&d->estimate[e->slot], 0, sizeof(d->estimate[0]));
	memset(&e->window_memory, 0, sizeof(e->window_memory));
	memset(&e->window_io, 0, sizeof(e->window_io));
	e->verify_due_ns = now_ns + NS_PER_S;
	e->look = (struct look){ 0 };
	e->moved_ns = e->strained_ns = e->pressure_ns = 0;
	tell_page(d, e);
	log_info("engine=%s event=active cgroup=%s id=%llu mode=%s created=%d", e->name,
		 e->conf->cgroup, (unsigned long long)cg_node_id(node), mode_word(e),
		 e->origin.created);
	return 0;
}

bool engine_is_made_by_us(const struct daemon *d, const struct engine *e)
{
	return !e->conf->cgroup_given && !d->dry_run && d->abilities->writable;
}

static const char *waiting_reason(int r)
{
	switch (r) {
	case -ENOENT:
		return "it does not exist yet";
	case -EOPNOTSUPP: /* v2: the cgroup is there, its memory files are not */
		return "it has no memory controller: its parent's cgroup.subtree_control lacks "
		       "+memory";
	case -EAGAIN:
		return "its limits are still being put back";
	default:
		return strerror(-r);
	}
}

void engine_try_activate(struct daemon *d, struct engine *e, uint64_t now_ns)
{
	bool created = false;
	int r = 0;

	if (!cg_exists(d->backend, e->conf->cgroup)) {
		/* A cgroup the operator named is somebody's (a service, a container): wait for it.
		 */
		r = -ENOENT;
		if (engine_is_made_by_us(d, e)) {
			if (!e->origin.known) {
				origin_intend(d, &e->origin);
				state_save(d);
			}
			r = cg_create(d->backend, e->conf->cgroup, &created);
		}
	}
	if (r == 0)
		r = activate(d, e, created, now_ns);
	if (r == 0 || e->said_waiting)
		return;
	e->said_waiting = true;
	tell_page(d, e);
	log_info("engine=%s event=waiting cgroup=%s reason=\"%s\"", e->name, e->conf->cgroup,
		 waiting_reason(r));
}

void engine_deactivate(struct daemon *d, struct engine *e, bool finish)
{
	if (e->psi_fd >= 0) {
		epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, e->psi_fd, NULL);
		close(e->psi_fd);
		e->psi_fd = -1;
	}
	demand_drop(d->demand, e->slot);
	sensors_remove(d->sensors, e->slot);
	actuator_unbind(d->actuator, e->slot, finish);
	/* which has the node now, and closes it */
	e->node = NULL;
	e->status = ENGINE_WAITING;
	e->manual = false;
	e->grant_epoch++;
	memset(&d->law_state->engine[e->slot], 0, sizeof(d->law_state->engine[0]));
	memset(&d->sample[e->slot], 0, sizeof(d->sample[0]));
}

void engine_lost(struct daemon *d, struct engine *e)
{
	if (e->status != ENGINE_ACTIVE)
		return;
	log_info("engine=%s event=gone cgroup=%s", e->name, e->conf->cgroup);
	engine_deactivate(d, e, false);
	e->origin = (struct engine_origin){ .known = false };
	e->said_waiting = true; /* it has just been said */
	d->state_dirty = true;
	tell_page(d, e);
}

void engine_mark_manual(struct daemon *d, struct engine *e, enum cg_limit which, uint64_t found)
{
	char a[16], b[16];

	if (e->manual)
		return;
	e->manual = true;
	log_warn("engine=%s event=manual limit=%s found=%s ours=%s detail=\"somebody else set it: "
		 "hands off until reload\"",
		 e->name, limits_name(which), units_format_size(found, a, sizeof(a)),
		 units_format_size(e->wanted.bytes[which], b, sizeof(b)));
}

/* ---- configuration to slots ------------------------------------------------------------------ */

/* Asked of the user database now, at start and reload: it may be far away, and the loop must not
 * wait for it when an engine connects. */
static void resolve_user(struct engine *e)
{
	const struct passwd *pw;

	e->user_uid = (uid_t)-1;
	if (!e->conf->user[0])
		return;
	pw = getpwnam(e->conf->user);
	if (pw)
		e->user_uid = pw->pw_uid;
	else
		log_warn("engine=%s event=no_such_user user=%s detail=\"only root may open its "
			 "demand page\", ignoring",
			 e->name, e->conf->user);
}

static struct engine *free_slot(struct daemon *d)
{
	for (uint32_t i = 0; i < d->capacity; i++)
		if (d->engine[i].status == ENGINE_FREE)
			return &d->engine[i];
	return NULL;
}

static void drop_engine(struct daemon *d, struct engine *e)
{
	engine_leave(d, e);
	log_info("engine=%s event=removed", e->name);
	page_writer_free(d->page, e->slot);
	e->status = ENGINE_FREE;
	d->state_dirty = true;
}

/*
 * Makes the slots follow d->config: engines that are new get a slot, engines that are gone are
 * put back as they were, the rest learn their new numbers. On failure nothing was changed.
 */
int engines_apply_config(struct daemon *d)
{
	const struct config *c = d->config;
	uint32_t room = 0, fresh = 0;

	for (uint32_t i = 0; i < d->capacity; i++) {
		const struct engine *e = &d->engine[i];

		room += e->status == ENGINE_FREE || config_find_engine(c, e->name) < 0;
	}
	for (uint32_t i = 0; i < c->engines; i++)
		fresh += !engine_find(d, c->engine[i].name);
	if (fresh > room)
		return -ENOSPC;
	for_each_engine (d, e) {
		int i = config_find_engine(c, e->name);

		if (i >= 0 && !strcmp(c->engine[i].cgroup, e->conf->cgroup)) {
			e->conf = &c->engine[i];
			e->manual = false; /* a reload takes engines back from manual */
			memset(&e->failing, 0, sizeof(e->failing));
			resolve_user(e);
			engine_follow_settings(d, e);
		} else {
			drop_engine(d, e); /* reads the old configuration, which still stands */
		}
	}
	for (uint32_t i = 0; i < c->engines; i++) {
		struct engine *e = engine_find(d, c->engine[i].name);

		if (e)
			continue;
		e = free_slot(d);
		memset(e, 0, sizeof(*e));
		e->slot = (uint32_t)(e - d->engine);
		e->status = ENGINE_WAITING;
		e->conf = &c->engine[i];
		e->psi_fd = -1;
		memcpy(e->name, e->conf->name, sizeof(e->name));
		resolve_user(e);
		if (e->slot >= d->slots_used)
			d->slots_used = e->slot + 1;
	}
	return 0;
}
