/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---------------------------------------------------------------------------------- */

static bool alloc_image(struct trace_image *i, uint32_t slots)
{
	i->slots = slots;
	i->engine = calloc(slots, sizeof(*i->engine));
	i->sample = calloc(slots, sizeof(*i->sample));
	i->given_bytes = calloc(slots, sizeof(*i->given_bytes));
	i->decision = calloc(slots, sizeof(*i->decision));
	i->name = calloc(slots, sizeof(*i->name));
	i->state = calloc(slots, sizeof(*i->state));
	i->restarts = calloc(slots, sizeof(*i->restarts));
	return i->engine && i->sample && i->given_bytes && i->decision && i->name && i->state &&
	       i->restarts;
}

static bool alloc_law(struct replay_law *l, uint32_t slots)
{
	l->engine = calloc(slots, sizeof(*l->engine));
	l->estimate = calloc(slots, sizeof(*l->estimate));
	l->state = calloc(1, sizeof(*l->state));
	l->workspace = calloc(1, law_workspace_bytes(slots));
	l->decision = calloc(slots, sizeof(*l->decision));
	return l->engine && l->estimate && l->state && l->workspace && l->decision;
}

int replay_init(struct replay *r, uint32_t slots, uint32_t laws)
{
	bool all;

	*r = (struct replay){ .laws = laws };
	all = alloc_image(&r->image, slots);
	for (uint32_t i = 0; i < laws; i++)
		all = alloc_law(&r->law[i], slots) && all;
	if (all)
		return 0;
	replay_fini(r);
	return -ENOMEM;
}

void replay_fini(struct replay *r)
{
	free(r->image.engine);
	free(r->image.sample);
	free(r->image.given_bytes);
	free(r->image.decision);
	free(r->image.name);
	free(r->image.state);
	free(r->image.restarts);
	for (uint32_t i = 0; i < r->laws; i++) {
		free(r->law[i].engine);
		free(r->law[i].estimate);
		free(r->law[i].state);
		free(r->law[i].workspace);
		free(r->law[i].decision);
	}
	*r = (struct replay){ 0 };
}

/* ---- frames ---------------------------------------------------------------------------------- */

static int read_state(struct replay *r, struct trace_in *in)
{
	struct replay_law *first = &r->law[0];

	if (r->begun || !trace_get_state(in, &r->image, first->state, first->estimate))
		return -EBADMSG;
	r->begun = true;
	for (uint32_t i = 1; i < r->laws; i++) {
		*r->law[i].state = *first->state;
		memcpy(r->law[i].estimate, first->estimate,
		       r->image.slots * sizeof(*first->estimate));
	}
	return REPLAY_READ_STATE;
}

static int read_tick(struct replay *r, struct trace_in *in)
{
	if (!trace_get_tick(in, &r->image))
		return -EBADMSG;
	if (r->ticks == 0)
		r->first_ns = r->image.now_ns;
	r->ticks++;
	r->urgent_ticks += r->image.urgent != LAW_NO_ENGINE;
	for (uint32_t i = 0; i < r->laws; i++)
		trace_restart(&r->image, r->law[i].state, r->law[i].estimate);
	return REPLAY_READ_TICK;
}

int replay_read(struct replay *r, const uint8_t *payload, size_t bytes)
{
	struct trace_in in = { .at = payload, .end = payload + bytes };

	if (bytes == 0 || r->ended)
		return -EBADMSG;
	if (payload[0] == TRACE_STATE)
		return read_state(r, &in);
	if (payload[0] == TRACE_TICK && r->begun)
		return read_tick(r, &in);
	if (!trace_get_end(&in, &r->end))
		return -EBADMSG;
	r->ended = true;
	return REPLAY_READ_END;
}

/* ---- the law --------------------------------------------------------------------------------- */

static uint64_t part_of(uint64_t ppm, uint64_t whole)
{
	uint64_t pages = whole / LAW_PAGE_BYTES;

	return (pages / 1000000 * ppm + pages % 1000000 * ppm / 1000000) * LAW_PAGE_BYTES;
}

static void set_host(struct law_params *p, const struct replay_setting *s, uint64_t value)
{
	switch (s->key) {
	case REPLAY_POLICY:
		p->policy = (enum law_policy)value;
		break;
	case REPLAY_GAMMA:
		p->gamma_ppm = (uint32_t)value;
		break;
	case REPLAY_CEILING:
		p->ceiling_bytes = value;
		break;
	case REPLAY_RESERVE:
		p->reserve_bytes = value;
		break;
	case REPLAY_BURST:
		p->burst_bytes = value;
		break;
	default:
		break;
	}
}

static void set_engine(struct law_engine *e, const struct replay_setting *s, uint64_t value)
{
	switch (s->key) {
	case REPLAY_MIN:
		e->min_bytes = value;
		break;
	case REPLAY_MAX:
		e->max_bytes = value;
		break;
	case REPLAY_WEIGHT:
		e->weight = (uint32_t)value;
		break;
	case REPLAY_STALL_TARGET:
		e->stall_target_ppm = (uint32_t)value;
		break;
	default:
		break;
	}
}

static void set(const struct replay *r, struct replay_law *law, const struct replay_setting *s)
{
	uint64_t value = s->percent ? part_of(s->value, r->image.params.ceiling_bytes) : s->value;

	if (!s->engine[0])
		set_host(&law->params, s, value);
	for (uint32_t i = 0; i < r->image.n && s->engine[0]; i++)
		if (strcmp(r->image.name[i], s->engine) == 0)
			set_engine(&law->engine[i], s, value);
}

void replay_step(const struct replay *r, struct replay_law *law,
		 const struct replay_setting *setting, size_t settings)
{
	const struct trace_image *image = &r->image;
	struct law_host host = {
		.n = image->n,
		.params = &law->params,
		.engine = law->engine,
		.sample = image->sample,
		.given_bytes = image->given_bytes,
		.estimate = law->estimate,
		.state = law->state,
		.workspace = law->workspace,
		.decision = law->decision,
	};

	law->params = image->params;
	memcpy(law->engine, image->engine, image->n * sizeof(*law->engine));
	for (size_t i = 0; i < settings; i++)
		set(r, law, &setting[i]);
	law_tick(&host, image->urgent, image->now_ns);
}
