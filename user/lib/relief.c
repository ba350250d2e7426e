// SPDX-License-Identifier: BSD-2-Clause
/* The table of actions: registered and forgotten by anyone, walked by whoever runs; and the turn of
 * an engine's own thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/arith.h"
#include "user/lib/clock.h"
#include "user/lib/options.h"
#include "user/lib/relief_internal.h"

#define HOLD_NS (3 * LIB_NS_PER_S)

int baro_relief_new(const struct baro_relief_options *options, struct baro_relief **ret_relief)
{
	struct baro_relief_options o;
	struct baro_relief *r;
	int error = options_take(&o, sizeof(o), sizeof(o), options);

	if (error < 0)
		return error;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->left, NULL);
	r->client = o.client;
	r->settle_ns = o.settle_ns ? o.settle_ns : LIB_NS_PER_S;
	r->relax_after_ns = o.relax_after_ns ? o.relax_after_ns : LIB_NS_PER_S;
	r->hold_ns = o.hold_ns ? o.hold_ns : HOLD_NS;
	r->again_ns = BARO_PAGE_NONE;
	*ret_relief = r;
	return 0;
}

void baro_relief_free(struct baro_relief *r)
{
	if (!r)
		return;
	pthread_cond_destroy(&r->left);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* ---- coming and going ------------------------------------------------------------------------ */

static bool name_is_good(const char *name)
{
	size_t n = name ? strlen(name) : 0;

	return n && n < BARO_RELIEF_NAME_BYTES && name[0] >= 'a' && name[0] <= 'z' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

static bool level_is_good(uint32_t level)
{
	return level == BARO_RELIEF_ON_REQUEST ||
	       (level >= BARO_LEVEL_WARNING && level <= BARO_LEVEL_EMERGENCY);
}

/* With the lock held. */
static struct action *find(struct baro_relief *r, uint32_t id)
{
	for (uint32_t i = 0; i < r->actions; i++)
		if (r->action[i].id == id)
			return &r->action[i];
	return NULL;
}

static int insert(struct baro_relief *r, const struct baro_relief_action *does, uint32_t *ret_id)
{
	uint32_t at = 0;
	struct action *a;

	for (uint32_t i = 0; i < r->actions; i++)
		if (!strcmp(r->action[i].name, does->name))
			return -EEXIST;
	if (r->actions == BARO_RELIEF_ACTIONS_MAX)
		return -ENOSPC;
	while (at < r->actions && r->action[at].does.cost <= does->cost)
		at++;
	a = &r->action[at];
	memmove(a + 1, a, (r->actions - at) * sizeof(*a));
	*a = (struct action){ .does = *does };
	memcpy(a->name, does->name, strlen(does->name) + 1);
	a->does.name = NULL; /* the caller's */
	/* Numbers are not used again while a relief lives: 2^32 registrations are out of reach. */
	a->id = ++r->last_id;
	r->actions++;
	*ret_id = a->id;
	return 0;
}

int baro_relief_add(struct baro_relief *r, const struct baro_relief_action *action,
		    uint32_t *ret_id)
{
	struct baro_relief_action does;
	uint32_t id;
	int error = options_take(&does, sizeof(does), sizeof(does), action);

	if (error < 0)
		return error;
	if (!name_is_good(does.name) || !level_is_good(does.from_level) ||
	    (!does.release && !does.engage))
		return -EINVAL;
	pthread_mutex_lock(&r->lock);
	error = insert(r, &does, &id);
	pthread_mutex_unlock(&r->lock);
	if (error < 0)
		return error;
	if (ret_id)
		*ret_id = id;
	return 0;
}

int baro_relief_remove(struct baro_relief *r, uint32_t id)
{
	struct action *a;

	pthread_mutex_lock(&r->lock);
	a = find(r, id);
	if (a) {
		r->actions--;
		memmove(a, a + 1, (size_t)(&r->action[r->actions] - a) * sizeof(*a));
		while (r->calling == id && !pthread_equal(r->runner, pthread_self()))
			pthread_cond_wait(&r->left, &r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return a ? 0 : -ENOENT;
}

/* ---- walking --------------------------------------------------------------------------------- */

/* Whether the walk has yet to come to an action: by its place in the order, for the table may have
 * changed since the last step. */
static bool is_ahead(const struct relief_place *place, const struct action *a)
{
	bool greater;

	if (!place->begun)
		return true;
	greater = a->does.cost != place->cost ? a->does.cost > place->cost : a->id > place->id;
	return a->id != place->id && greater != place->backwards;
}

bool relief_enter(struct baro_relief *r, struct relief_place *place, struct action *ret)
{
	const struct action *next = NULL;

	pthread_mutex_lock(&r->lock);
	for (uint32_t i = 0; i < r->actions && !next; i++) {
		const struct action *a = &r->action[place->backwards ? r->actions - 1 - i : i];

		if (is_ahead(place, a))
			next = a;
	}
	if (next) {
		*ret = *next;
		place->begun = true;
		place->cost = next->does.cost;
		place->id = next->id;
		r->calling = next->id;
	}
	pthread_mutex_unlock(&r->lock);
	return next != NULL;
}

void relief_leave(struct baro_relief *r, const struct action *action)
{
	struct action *a;

	pthread_mutex_lock(&r->lock);
	a = find(r, action->id);
	if (a)
		*a = *action;
	r->calling = 0;
	pthread_cond_broadcast(&r->left);
	pthread_mutex_unlock(&r->lock);
}

/* ---- reading --------------------------------------------------------------------------------- */

void baro_relief_read(struct baro_relief *r, struct baro_relief_counts *ret_counts)
{
	pthread_mutex_lock(&r->lock);
	*ret_counts = r->counts;
	pthread_mutex_unlock(&r->lock);
}

int baro_relief_read_action(struct baro_relief *r, uint32_t id,
			    struct baro_relief_action_counts *ret_counts)
{
	const struct action *a;

	pthread_mutex_lock(&r->lock);
	a = find(r, id);
	if (a)
		*ret_counts = a->counts;
	pthread_mutex_unlock(&r->lock);
	return a ? 0 : -ENOENT;
}

/* ---- the engine's own thread ----------------------------------------------------------------- */

/* Whoever follows has `seen` to itself. */
static int begin_following(struct baro_relief *r, uint64_t *ret_due_ns)
{
	int error = 0;

	pthread_mutex_lock(&r->lock);
	if (r->following || r->running)
		error = -EBUSY;
	else
		r->following = true;
	*ret_due_ns = r->again_ns;
	pthread_mutex_unlock(&r->lock);
	return error;
}

static void end_following(struct baro_relief *r)
{
	pthread_mutex_lock(&r->lock);
	r->following = false;
	pthread_mutex_unlock(&r->lock);
}

int baro_relief_follow(struct baro_relief *r, uint64_t timeout_ns,
		       struct baro_relief_outcome *ret_outcome)
{
	uint64_t now_ns = lib_now_ns(), until_ns = lib_add(now_ns, timeout_ns), due_ns;
	int error = r->client ? begin_following(r, &due_ns) : -EINVAL;

	if (error < 0)
		return error;
	error = baro_client_wait(r->client, &r->seen, lib_less(lib_min(until_ns, due_ns), now_ns));
	now_ns = lib_now_ns();
	if (error == -ETIMEDOUT && now_ns >= due_ns)
		error = baro_client_read(r->client, &r->seen);
	if (!error)
		error = baro_relief_run(r, &r->seen, now_ns, ret_outcome);
	end_following(r);
	return error;
}

/* ---- what may be filled ---------------------------------------------------------------------- */

/* A request that is shown again is the same one, which the usage has followed down since. One that
 * changes while it is open never leaves more: what was freed of it may not have landed yet. */
static void hold_down(struct hold *h, const struct baro_pressure *p)
{
	uint64_t left_bytes =
	    p->usage_bytes > p->release_bytes ? p->usage_bytes - p->release_bytes : 0;

	if (p->release_by_ns != h->release_by_ns ||
	    (p->release_bytes != h->release_bytes && left_bytes < h->down_to_bytes))
		h->down_to_bytes = left_bytes;
}

uint64_t baro_relief_budget(struct baro_relief *r, const struct baro_pressure *p, uint64_t now_ns)
{
	uint64_t budget_bytes = p->budget_bytes;
	struct hold *h = &r->hold;

	pthread_mutex_lock(&r->lock);
	if (p->release_bytes) {
		hold_down(h, p);
		h->release_bytes = p->release_bytes;
		h->release_by_ns = p->release_by_ns;
		h->until_ns = lib_add(now_ns, r->hold_ns);
	}
	if (now_ns < h->until_ns && h->down_to_bytes < budget_bytes)
		budget_bytes = h->down_to_bytes;
	pthread_mutex_unlock(&r->lock);
	return budget_bytes;
}
