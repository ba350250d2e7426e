// SPDX-License-Identifier: BSD-2-Clause
/* Databases and their collections: opening, closing, and what may be changed while they live. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/lib/admission_internal.h"

#define PERMITS_DEFAULT 1024
#define TTL_DEFAULT_NS  (10 * NS_PER_S)
#define ORDER_MAX       (UINT64_C(1) << 62)
#define CPU_SETS        8 /* of 1024: a kernel built for more than there is room for refuses */

/* Those this process may use; where it may not ask, those that are there. */
static uint32_t cpus_allowed(void)
{
	cpu_set_t set[CPU_SETS];
	long online;

	if (sched_getaffinity(0, sizeof(set), set) == 0 && CPU_COUNT_S(sizeof(set), set) > 0)
		return (uint32_t)CPU_COUNT_S(sizeof(set), set);
	online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? (uint32_t)online : 1;
}

static int check_options(const struct baro_admission_options *o)
{
	if (o->size != sizeof(*o) || o->mode >= BARO_MODES || o->permits_max > PERMITS_MAX)
		return -EINVAL;
	/* half a budget is none */
	return !o->budget.reserve == !o->budget.release ? 0 : -EINVAL;
}

/* Numbers where zeros stood. */
static void complete(struct baro_admission *a)
{
	struct baro_admission_options *o = &a->options;
	static const struct baro_cost_model none;

	o->cpus = o->cpus ? o->cpus : cpus_allowed();
	o->permits_max = o->permits_max ? o->permits_max : PERMITS_DEFAULT;
	o->pressure_ttl_ns = o->pressure_ttl_ns ? o->pressure_ttl_ns : TTL_DEFAULT_NS;
	a->mode = o->mode;
	a->clock_every_mask = CLOCK_EVERY_LONG - 1;
	a->budget = o->budget;
	a->has_budget = o->budget.reserve;
	a->has_client = o->client;
	a->model = o->model;
	if (!memcmp(&o->model, &none, sizeof(none)))
		baro_cost_model_default(&a->model);
}

/* Where copies are whole numbers, the estimate of a single record is a product. */
static void find_plain(struct baro_admission *a)
{
	const struct baro_cost_model *m = &a->model;

	if (m->buffer_ppm % PPM == 0 && m->write_path_ppm % PPM == 0)
		a->plain_factor = UINT64_C(1) + m->buffer_ppm / PPM + m->write_path_ppm / PPM;
	a->plain_fixed_bytes[0] = m->record_bytes;
	a->plain_fixed_bytes[1] =
	    add(m->record_bytes, add(m->index_record_bytes, m->index_worker_bytes));
}

static void free_all(struct baro_admission *a)
{
	struct baro_collection *next;

	for (struct baro_collection *c = a->collections; c; c = next) {
		next = c->next;
		free(c);
	}
	free(a->slot);
	free(a);
}

static int make_table(struct baro_admission *a)
{
	uint32_t count = a->options.permits_max;
	size_t bytes = count * sizeof(*a->slot);

	a->slot = aligned_alloc(_Alignof(struct slot), bytes);
	if (!a->slot)
		return -ENOMEM;
	memset(a->slot, 0, bytes);
	for (uint32_t i = count; i-- > 0;) {
		a->slot[i].next_id = (UINT64_C(1) << INDEX_BITS) + i;
		a->slot[i].next_free = a->free_slot;
		a->free_slot = &a->slot[i];
	}
	return 0;
}

int baro_admission_open(const struct baro_admission_options *options,
			struct baro_admission **ret_admission)
{
	static const struct baro_admission_options defaults = { .size = sizeof(defaults) };
	struct baro_admission *a;
	int r = check_options(options ? options : &defaults);

	if (r < 0)
		return r;
	a = aligned_alloc(_Alignof(struct baro_admission), sizeof(*a));
	if (!a)
		return -ENOMEM;
	memset(a, 0, sizeof(*a));
	a->options = options ? *options : defaults;
	complete(a);
	find_plain(a);
	if (make_table(a) < 0) {
		free_all(a);
		return -ENOMEM;
	}
	a->pace.share_ppm = PPM;
	a->mode_since_ns = lib_now_ns();
	admission_apply_limits(a);
	if (a->has_client)
		admission_tend(a, a->mode_since_ns);
	*ret_admission = a;
	return 0;
}

void baro_admission_close(struct baro_admission *a)
{
	if (a)
		free_all(a);
}

/* With the lock held. */
static void end_mode(struct baro_admission *a)
{
	uint64_t now = lib_now_ns();

	a->done[a->mode].ns += now - a->mode_since_ns;
	a->mode_since_ns = now;
}

int baro_admission_set_mode(struct baro_admission *a, uint32_t mode)
{
	struct wakes wakes;

	wakes_init(&wakes);
	if (mode >= BARO_MODES)
		return -EINVAL;
	lock_take(&a->lock);
	end_mode(a);
	a->mode = mode;
	/* readers' bounds are others: what they suffered under the old ones says nothing */
	a->pace.share_ppm = PPM;
	set(&a->pace.until_ns, 0);
	admission_apply_limits(a);
	set(&a->bound_due_ns, 0);
	queue_look(a, &wakes);
	admission_unlock(a, &wakes);
	return 0;
}

void baro_admission_set_limits(struct baro_admission *a, const struct baro_admission_limits *limits)
{
	struct wakes wakes;

	wakes_init(&wakes);
	lock_take(&a->lock);
	a->options.limits = *limits;
	admission_apply_limits(a);
	set(&a->bound_due_ns, 0);
	queue_look(a, &wakes);
	admission_unlock(a, &wakes);
}

void baro_admission_limits_now(struct baro_admission *a, struct baro_admission_limits *ret_limits)
{
	lock_take(&a->lock);
	*ret_limits = a->now;
	lock_give(&a->lock);
}

/* ---- collections ----------------------------------------------------------------------------- */

int baro_collection_open(struct baro_admission *a, const char *name,
			 const struct baro_collection_options *options,
			 struct baro_collection **ret_collection)
{
	static const struct baro_collection_options defaults = { .size = sizeof(defaults) };
	const struct baro_collection_options *o = options ? options : &defaults;
	struct baro_collection *c;

	if (o->size != sizeof(*o) || o->first_order > ORDER_MAX || !name)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->admission = a;
	c->options = *o;
	c->next_order = o->first_order ? o->first_order : 1;
	strncpy(c->name, name, sizeof(c->name) - 1);
	lock_take(&a->lock);
	admission_apply_own(a, c);
	c->next = a->collections;
	a->collections = c;
	lock_give(&a->lock);
	*ret_collection = c;
	return 0;
}

int baro_collection_set_limits(struct baro_collection *c,
			       const struct baro_collection_options *options)
{
	struct baro_admission *a = c->admission;
	struct wakes wakes;

	if (options->size != sizeof(*options))
		return -EINVAL;
	wakes_init(&wakes);
	lock_take(&a->lock);
	c->options = *options;
	admission_apply_own(a, c);
	queue_look(a, &wakes);
	admission_unlock(a, &wakes);
	return 0;
}

int baro_collection_close(struct baro_collection *c)
{
	struct baro_admission *a = c->admission;
	struct baro_collection **at = &a->collections;

	lock_take(&a->lock);
	if (c->own.used[WRITES] || c->queued) {
		lock_give(&a->lock);
		return -EBUSY;
	}
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	/* what it refused is not forgotten */
	for (unsigned int i = 0; i < REFUSALS; i++)
		a->refused[i] += get(&c->refused[i]);
	lock_give(&a->lock);
	free(c);
	return 0;
}
