/* SPDX-License-Identifier: BSD-2-Clause */
/* Engines are put back as they were when they, or the daemon, leave in an orderly way. */
#include <errno.h>
#include <string.h>

#include "user/common/clock.h"
#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/actuator.h"
#include "user/daemon/daemon.h"

#define RESTORE_TIMEOUT_NS (3 * NS_PER_S)

static void restore_limits(struct daemon *d, struct engine *e)
{
	static const enum cg_limit order[] = { CG_LIMIT_MIN, CG_LIMIT_LOW, CG_LIMIT_MAX,
					       CG_LIMIT_HIGH };
	struct actuator_result now;

	/* A stranger's limits are not ours to undo. */
	if (!e->origin.known || e->manual || d->dry_run)
		return;
	/* What steering still wants is not wanted any more; only then is what stands known. */
	for (int w = 0; w < CG_LIMIT_COUNT; w++)
		actuator_withdraw(d->actuator, e->slot, (enum cg_limit)w);
	act_take_result(d, e, &now);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		enum cg_limit w = order[i];
		uint64_t back = e->origin.limits.bytes[w], actual;

		if (back == e->actual.bytes[w])
			continue;
		if (back > e->actual.bytes[w] || w < CG_LIMIT_HIGH)
			actuator_raise(d->actuator, e->slot, w, back, &actual);
		else
			actuator_lower(d->actuator, e->slot, w, back);
	}
}

static void delete_created(struct daemon *d, const struct engine *e)
{
	int r;

	if (!e->origin.created || d->dry_run)
		return;
	r = cg_delete(d->backend, e->conf->cgroup);
	if (r == -EBUSY)
		log_info("engine=%s event=cgroup_kept reason=\"processes are still in it\"",
			 e->name);
	else if (r < 0 && r != -ENOENT)
		log_warn("engine=%s event=cgroup_kept error=\"%s\", ignoring", e->name,
			 strerror(-r));
}

/* One engine leaves: what takes its time is finished off the loop. */
void engine_leave(struct daemon *d, struct engine *e)
{
	if (e->status != ENGINE_ACTIVE)
		return;
	restore_limits(d, e);
	engine_deactivate(d, e, true);
	delete_created(d, e);
}

/* All leave, and the daemon after them: what takes its time is waited for. */
void engines_restore(struct daemon *d)
{
	for_each_engine (d, e)
		if (e->status == ENGINE_ACTIVE)
			restore_limits(d, e);
	if (!actuator_settle(d->actuator, RESTORE_TIMEOUT_NS))
		log_warn("event=restore_incomplete detail=\"a limit below usage could not be put "
			 "back in time\", ignoring");
	for_each_engine (d, e) {
		if (e->status != ENGINE_ACTIVE)
			continue;
		engine_deactivate(d, e, false);
		delete_created(d, e);
	}
	parent_restore(d);
}
