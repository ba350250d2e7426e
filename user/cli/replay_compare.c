/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/replay_compare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/common/clock.h"

#define REVERSAL_NS (15 * NS_PER_S)

int compare_init(struct compare *c, uint32_t slots)
{
	*c = (struct compare){ .of_slot = calloc(slots, sizeof(*c->of_slot)) };
	return c->of_slot ? 0 : -ENOMEM;
}

void compare_fini(struct compare *c)
{
	free(c->engine);
	free(c->of_slot);
	*c = (struct compare){ 0 };
}

/* A slot that another engine has taken over is another engine. */
static struct compare_engine *engine_of(struct compare *c, const struct replay *r, uint32_t slot)
{
	const char *name = r->image.name[slot];
	struct compare_engine *more,
	    *e = c->of_slot[slot] ? &c->engine[c->of_slot[slot] - 1] : NULL;

	if (e && strcmp(e->name, name) == 0)
		return e;
	if (!c->engine || c->engines == c->room) {
		more = realloc(c->engine, (2 * c->room + 8) * sizeof(*more));
		if (!more)
			return NULL;
		c->engine = more;
		c->room = 2 * c->room + 8;
	}
	e = &c->engine[c->engines++];
	*e = (struct compare_engine){ 0 };
	memcpy(e->name, name, sizeof(e->name));
	c->of_slot[slot] = c->engines;
	return e;
}

/* How long the target of the tick before has held; then the one of this tick. */
static void add(struct compare_side *s, const struct law_decision *d, uint64_t held_ns,
		uint64_t now_ns)
{
	int way = (d->target_bytes > d->before_bytes) - (d->target_bytes < d->before_bytes);

	s->byte_ns += (unsigned __int128)s->target_bytes * held_ns;
	s->target_bytes = d->target_bytes;
	if (!way || d->before_bytes == 0)
		return;
	s->moved_bytes +=
	    way > 0 ? d->target_bytes - d->before_bytes : d->before_bytes - d->target_bytes;
	s->reversals += s->direction == -way && now_ns - s->moved_ns < REVERSAL_NS;
	s->direction = way;
	s->moved_ns = now_ns;
}

static void note_first(struct compare_difference *f, const struct replay *r, uint32_t slot,
		       const struct law_decision *is)
{
	const struct trace_image *image = &r->image;

	if (f->found)
		return;
	*f = (struct compare_difference){
		.found = true,
		.tick = r->ticks,
		.at_ns = image->now_ns - r->first_ns,
		.urgent = image->urgent,
		.was = image->decision[slot],
		.is = *is,
	};
	memcpy(f->engine, image->name[slot], sizeof(f->engine));
	if (image->urgent < image->n)
		memcpy(f->urgent_engine, image->name[image->urgent], sizeof(f->urgent_engine));
}

int compare_tick(struct compare *c, const struct replay *r, const struct replay_law *law)
{
	const struct trace_image *image = &r->image;

	for (uint32_t i = 0; i < image->n; i++) {
		const struct law_decision *was = &image->decision[i], *is = &law->decision[i];
		bool same = trace_same_decision(was, is);
		struct compare_engine *e;
		uint64_t held_ns;

		if (!same)
			note_first(&c->first, r, i, is);
		c->different += !same;
		c->decisions += image->engine[i].active || !same;
		if (!image->engine[i].active)
			continue;
		e = engine_of(c, r, i);
		if (!e)
			return -ENOMEM;
		held_ns = e->decisions ? image->now_ns - e->seen_ns : 0;
		e->active_ns += held_ns;
		add(&e->was, was, held_ns, image->now_ns);
		add(&e->is, is, held_ns, image->now_ns);
		e->seen_ns = image->now_ns;
		e->decisions++;
		e->different += was->target_bytes != is->target_bytes;
	}
	return 0;
}

uint64_t compare_mean_bytes(const struct compare_side *s, const struct compare_engine *e)
{
	return e->active_ns ? (uint64_t)(s->byte_ns / e->active_ns) : s->target_bytes;
}
