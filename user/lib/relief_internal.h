/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the relief share; never installed. */
#ifndef BAROSTAT_LIB_RELIEF_INTERNAL_H
#define BAROSTAT_LIB_RELIEF_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "include/barostat/relief.h"

/* One action. Its state is changed by the running thread alone, on a copy that is written back. */
struct action {
	struct baro_relief_action does;
	char name[BARO_RELIEF_NAME_BYTES];
	uint32_t id;
	uint32_t engaged_level; /* 0: not engaged */
	uint64_t used_ns; /* last release that is not relaxed yet; 0: none */
	uint64_t served; /* the last request it answered, by its number */
	struct baro_relief_action_counts counts;
};

/* What the daemon asked for last. */
struct request {
	uint64_t number; /* counts requests and their growth */
	uint64_t by_ns; /* 0: none */
	uint64_t shown_bytes; /* release_bytes when last seen */
	uint64_t asked_bytes, freed_bytes; /* of this request, in all */
	bool open; /* not yet answered */
};

/* What a request left the engine, for as long as that is kept in mind; with the lock held. */
struct hold {
	uint64_t release_bytes, release_by_ns; /* of the request, as last seen */
	uint64_t down_to_bytes, until_ns;
};

/* The last pass for a level. */
struct pass {
	uint64_t at_ns; /* 0: none at this level */
	uint64_t due_ns; /* the next one, unless the level rises */
	uint64_t usage_bytes, freed_bytes; /* then */
	uint32_t level;
	uint32_t slowed; /* how often settle_ns is doubled */
	bool judged; /* whether the usage has shown it */
};

struct baro_relief {
	pthread_mutex_t lock; /* never held over a callback */
	pthread_cond_t left; /* a callback has returned */
	struct action action[BARO_RELIEF_ACTIONS_MAX]; /* [actions], by cost, then by id */
	uint32_t actions;
	uint32_t last_id;
	uint32_t calling; /* id of the action whose callbacks are being called; 0: none */
	bool running, following;
	pthread_t runner; /* while running */
	struct baro_relief_counts counts;
	uint64_t hold_ns;
	struct hold hold;

	/* of the running thread, or of whoever creates and frees */
	struct baro_client *client;
	uint64_t settle_ns, relax_after_ns;
	struct request request;
	struct pass pass;
	uint64_t below_since_ns[BARO_LEVEL_EMERGENCY + 1]; /* [level]; 0: not below it */
	uint64_t landing_ns; /* when all that was freed will be free */
	uint64_t acked_epoch;
	uint64_t again_ns; /* of the last run, for follow */
	struct baro_pressure seen; /* by follow */
};

/* Where a walk over the actions is; they may come and go meanwhile. */
struct relief_place {
	bool backwards;
	bool begun;
	uint32_t cost, id;
};

/*
 * The next action of the walk, as a copy; until relief_leave() it counts as being called, which
 * keeps baro_relief_remove() waiting. False at the end.
 */
bool relief_enter(struct baro_relief *relief, struct relief_place *place, struct action *ret);
/* Writes what the callbacks changed back, unless the action was removed meanwhile. */
void relief_leave(struct baro_relief *relief, const struct action *action);

#endif
