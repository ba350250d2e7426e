/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model check of transfers: the daemon's own act.c, limits.c, actuator.c and shrink.c over a model
 * of the kernel, in every order of steps up to a bound. Threads of the actuator are strands
 * (contexts that are switched by hand) which stop at every system call; between any two steps
 * engines grow, shrink, fill their caches, and the daemon may be killed. The kernel may refuse a
 * write, be interrupted in it, round it, free nothing, or take its time.
 *
 * At every instant: what the kernel has been told to guarantee fits the ceiling less the reserve,
 * usage fits the ceiling, no limit lands below what cannot be reclaimed, low <= high <= max, and
 * the daemon never takes its own writes for a stranger's.
 *
 * The search replays a prefix of choices and then takes the first choice everywhere; states that
 * were seen with as many steps left are not explored again. Live stack bytes of strands are part of
 * a state, so nothing is merged that could still differ.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "cgroup/ops.h"
#include "user/common/clock.h"
#include "user/common/log.h"
#include "user/common/units.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRANDS_IMPOSSIBLE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STRANDS_IMPOSSIBLE 1
#endif
#endif

#ifdef STRANDS_IMPOSSIBLE
int main(void)
{
	puts("1..1\nok 1 - transfer model # SKIP strands and sanitizers do not mix");
	return 0;
}
#else

#include "tests/unit/strand_support.h"

/* ---- the actuator, on strands ---- */

#define calloc(n, size)                arena_calloc(n, size)
#define free(p)                        ((void)(p))
#define pthread_create(t, attr, fn, a) strand_create(t, fn, a)
#define pthread_join(t, r)             ((void)0)
#define pthread_kill(t, sig)           ((void)0)
#define pthread_self()                 ((pthread_t)running)
#define pthread_sigmask(how, set, old) ((void)(set), (void)(old))
#define pthread_mutex_lock(m)          ((void)0)
#define pthread_mutex_unlock(m)        ((void)0)
#define pthread_cond_wait(c, m)        yield(STRAND_WAITING)
#define pthread_cond_signal(c)         ((void)0)
#define pthread_cond_broadcast(c)      ((void)0)
#define sigaction(sig, sa, old)        ((void)(sa))
#include "user/daemon/actuator.c" /* NOLINT(bugprone-suspicious-include) */
#undef calloc
#undef free
#include "cgroup/shrink.c" /* NOLINT(bugprone-suspicious-include) */

/* ---- faults that are put in, to see that they are found -------------------------------------- */

enum seeded { SOUND, ROOM_FROM_NOWHERE, WISH_TAKEN_FOR_FACT, BLIND_TO_USAGE };

static enum seeded seeded;

#include "user/daemon/limits.h"

static uint64_t seeded_room(uint64_t ceiling, uint64_t reserve, uint64_t claims)
{
	return limits_room(ceiling, seeded == ROOM_FROM_NOWHERE ? 0 : reserve, claims);
}

static void seeded_result(struct actuator *a, uint32_t slot, struct actuator_result *ret)
{
	const struct job *j = a->job[slot];

	actuator_result(a, slot, ret);
	for (int w = 0; w < CG_LIMIT_COUNT && seeded == WISH_TAKEN_FOR_FACT; w++) {
		if (!j->lowering[w])
			continue;
		ret->actual[w] = j->target[w];
		ret->touched[w] = true;
	}
}

#define limits_room(c, r, claims)  seeded_room(c, r, claims)
#define actuator_result(a, s, ret) seeded_result(a, s, ret)
#include "user/daemon/act.c" /* NOLINT(bugprone-suspicious-include) */
#undef limits_room
#undef actuator_result

/* ---- the world ------------------------------------------------------------------------------- */

#define ENGINES_MAX 3
#define UNIT        (16 * MIB)
#define CEILING     (8 * UNIT)
#define RESERVE     UNIT
#define TICK_NS     (1100 * NS_PER_MS) /* limits are read back in every one */

struct kernel {
	uint64_t limit[CG_LIMIT_COUNT];
	uint64_t anon, cache;
};

static struct world {
	struct kernel k[ENGINES_MAX];
	uint64_t before[ENGINES_MAX]; /* targets of the law */
	uint32_t faults, crashes; /* left */
	bool acted; /* a lowering ended: the loop will look */
} world;

static const struct shape {
	const char *name;
	enum cg_kind kind;
	bool soft;
	uint32_t engines;
	unsigned int depth;
} * shape;

static struct daemon host;
static struct engine engines[ENGINES_MAX];
static struct law_engine law_engines[ENGINES_MAX];
static struct law_sample samples[ENGINES_MAX];
static struct law_estimate estimates[ENGINES_MAX];
static struct law_decision decisions[ENGINES_MAX];
static struct cg_backend backend;
static struct {
	struct cg_node node;
	char path[8];
} nodes[ENGINES_MAX];
static uint64_t now_ns;

static unsigned int deeper; /* CHECK_MODEL_DEEPER: so many steps more, for a long run */
static const char *violated; /* the first one of this run */

static void require(bool truth, const char *what)
{
	if (!truth && !violated)
		violated = what;
}

static uint64_t usage(uint32_t i)
{
	return world.k[i].anon + world.k[i].cache;
}

static void look(void)
{
	uint64_t promised = 0, used = 0;

	for (uint32_t i = 0; i < shape->engines; i++) {
		const uint64_t *l = world.k[i].limit;

		promised += l[shape->soft ? CG_LIMIT_LOW : CG_LIMIT_MAX];
		used += usage(i);
		/* A write may land after the wish has changed; its thread puts that right, or,
		 * after a crash, the next tick whose writes succeed. Both do no harm. */
		if (shape->soft && world.crashes && !host.actuator->job[i]->result.busy)
			require(l[CG_LIMIT_MIN] <= l[CG_LIMIT_LOW] &&
				    l[CG_LIMIT_LOW] <= l[CG_LIMIT_HIGH] &&
				    l[CG_LIMIT_LOW] <= l[CG_LIMIT_MAX],
				"min <= low <= high, max");
	}
	require(promised <= CEILING - RESERVE, "the sum fits the ceiling less the reserve");
	require(used <= CEILING, "usage fits the ceiling");
}

/* ---- choices --------------------------------------------------------------------------------- */

#define TRAIL_MAX 128

static uint8_t trail[TRAIL_MAX], options[TRAIL_MAX];
static uint32_t trail_len, trail_at;

static uint32_t choose(uint32_t n)
{
	assert_in_range(n, 1, 255);
	assert_true(trail_at < TRAIL_MAX);
	if (trail_at == trail_len)
		trail[trail_len++] = 0;
	options[trail_at] = (uint8_t)n;
	return trail[trail_at++];
}

/* One of n outcomes, of which the first is the ordinary one, while there are faults left. */
static uint32_t outcome(uint32_t n)
{
	uint32_t o = world.faults ? choose(n) : 0;

	world.faults -= o != 0;
	return o;
}

/* ---- the kernel ------------------------------------------------------------------------------ */

static uint32_t index_of(const struct cg_node *n)
{
	return (uint32_t)n->id;
}

static void store_limit(struct kernel *k, enum cg_limit which, uint64_t bytes)
{
	if ((which == CG_LIMIT_HIGH || which == CG_LIMIT_MAX) && bytes < k->limit[which])
		require(bytes >= k->anon, "no limit lands below what cannot be reclaimed");
	k->limit[which] = bytes;
	look();
}

static void drop_above(struct kernel *k, uint64_t bytes)
{
	if (k->anon + k->cache > bytes)
		k->cache = bytes > k->anon ? bytes - k->anon : 0;
}

static int write_v2(struct kernel *k, enum cg_limit which, uint64_t bytes, uint64_t *ret_actual)
{
	uint32_t o = outcome(4);

	if (o == 3)
		return -EINTR; /* before anything was done */
	if (o == 2 && bytes != BYTES_NO_LIMIT)
		bytes += LAW_PAGE_BYTES; /* not what was asked for */
	store_limit(k, which, bytes);
	if (o != 1) /* 1: interrupted, the limit stands and usage with it */
		drop_above(k, bytes);
	*ret_actual = bytes;
	return 0;
}

static int write_v1(struct kernel *k, enum cg_limit which, uint64_t bytes, uint64_t *ret_actual)
{
	uint32_t o = outcome(3);

	if (k->anon > bytes || o == 1) {
		k->cache = 0;
		return -EBUSY;
	}
	if (o == 2)
		return -EINTR;
	drop_above(k, bytes);
	store_limit(k, which, bytes);
	*ret_actual = bytes;
	return 0;
}

static void enter(const struct cg_node *n, bool writes, enum cg_limit which, uint64_t bytes)
{
	struct strand *s = &strand[running];

	s->engine = index_of(n);
	s->writes = writes;
	s->which = which;
	s->bytes = bytes;
	yield(STRAND_IN_CALL);
	s->writes = false;
}

static int kernel_set_limit(struct cg_node *n, enum cg_limit which, enum cg_file via,
			    uint64_t bytes, uint64_t *ret_actual)
{
	struct kernel *k = &world.k[index_of(n)];

	if (running < 0) { /* a raise, by the loop: at once, or not at all */
		if (outcome(2))
			return -EIO;
		store_limit(k, which, bytes);
		*ret_actual = bytes;
		return 0;
	}
	enter(n, true, which, bytes);
	if (bytes >= k->limit[which]) { /* a repair */
		store_limit(k, which, bytes);
		*ret_actual = bytes;
		return 0;
	}
	return shape->kind == CG_KIND_HYBRID ? write_v1(k, which, bytes, ret_actual)
					     : write_v2(k, which, bytes, ret_actual);
}

static int kernel_reclaim(struct cg_node *n, uint64_t bytes, uint64_t *ret_freed)
{
	struct kernel *k = &world.k[index_of(n)];

	if (shape->kind == CG_KIND_HYBRID)
		return -EOPNOTSUPP;
	enter(n, false, CG_LIMIT_MAX, bytes);
	*ret_freed = outcome(2) ? 0 : min_u64(k->cache, bytes);
	k->cache -= *ret_freed;
	return 0;
}

static int kernel_stat(struct cg_node *n, struct cg_stat *ret)
{
	*ret = (struct cg_stat){ 0 };
	ret->value[CG_STAT_ANON] = seeded == BLIND_TO_USAGE ? 0 : world.k[index_of(n)].anon;
	return 0;
}

static int kernel_limit(struct cg_node *n, enum cg_limit which, enum cg_file via, uint64_t *ret)
{
	*ret = world.k[index_of(n)].limit[which];
	return 0;
}

static const struct cg_ops kernel_ops = {
	.stat = kernel_stat,
	.limit = kernel_limit,
	.set_limit = kernel_set_limit,
	.reclaim = kernel_reclaim,
};

int cg_node_read_u64(struct cg_node *n, unsigned int file, uint64_t *ret_value)
{
	*ret_value = seeded == BLIND_TO_USAGE ? 0 : usage(index_of(n));
	return 0;
}

int cg_node_limits(struct cg_node *n, struct cg_limits *ret_limits)
{
	memcpy(ret_limits->bytes, world.k[index_of(n)].limit, sizeof(ret_limits->bytes));
	return 0;
}

int cg_node_raise_limit(struct cg_node *n, enum cg_limit which, uint64_t bytes,
			uint64_t *ret_actual)
{
	if ((which == CG_LIMIT_HIGH || which == CG_LIMIT_MAX) &&
	    bytes < world.k[index_of(n)].limit[which])
		return -EINVAL;
	return kernel_set_limit(n, which, CG_FILE_RAISE, bytes, ret_actual);
}

void cg_node_close(struct cg_node *n)
{
}

/* ---- the daemon ------------------------------------------------------------------------------ */

void engine_lost(struct daemon *d, struct engine *e)
{
	require(false, "no engine is lost");
}

void engine_mark_manual(struct daemon *d, struct engine *e, enum cg_limit which, uint64_t found)
{
	require(false, "nobody else writes limits here");
}

/* As at start, and as after a crash: the limits that are found are adopted. */
static void daemon_start(void)
{
	arena_used = 0;
	strands = 0;
	world.acted = false;
	memset(engines, 0, sizeof(engines));
	memset(decisions, 0, sizeof(decisions));
	host = (struct daemon){ .engine = engines,
				.slots_used = shape->engines,
				.abilities = &backend.abilities,
				.law_engine = law_engines,
				.sample = samples,
				.estimate = estimates,
				.decision = decisions,
				.ceiling_bytes = CEILING };
	host.params.reserve_bytes = RESERVE;
	assert_int_equal(actuator_open(ENGINES_MAX, shape->kind, -1, &host.actuator), 0);
	if (!host.actuator)
		abort(); /* an assertion does not say so to an analyzer */
	for (uint32_t i = 0; i < shape->engines; i++) {
		struct engine *e = &engines[i];

		e->slot = i;
		e->status = ENGINE_ACTIVE;
		e->soft = shape->soft;
		snprintf(e->name, sizeof(e->name), "e%u", i);
		e->node = &nodes[i].node;
		e->origin.limits = (struct cg_limits){ { 0, 0, BYTES_NO_LIMIT, BYTES_NO_LIMIT } };
		memcpy(e->actual.bytes, world.k[i].limit, sizeof(e->actual.bytes));
		e->wanted = e->actual;
		world.before[i] = e->actual.bytes[shape->soft ? CG_LIMIT_LOW : CG_LIMIT_MAX];
		law_engines[i] = (struct law_engine){ .max_bytes = CEILING - RESERVE,
						      .weight = 100,
						      .active = true,
						      .hard = !shape->soft };
		assert_int_equal(actuator_bind(host.actuator, i, e->node, &e->actual), 0);
	}
}

/*
 * What stands for the law: any wish, cut to what the projection guarantees. At least what cannot be
 * reclaimed, together at most what there is; where that is impossible nothing grows.
 */
static void decide(uint32_t wish)
{
	static const uint8_t wishes[3][ENGINES_MAX] = { { 2, 4, 1 }, { 5, 1, 1 }, { 1, 6, 0 } };
	uint64_t left = CEILING - RESERVE, fixed = 0;

	for (uint32_t i = 0; i < shape->engines; i++)
		fixed += samples[i].unreclaimable_bytes;
	for (uint32_t i = 0; i < shape->engines; i++) {
		uint64_t floor = samples[i].unreclaimable_bytes, target;

		fixed -= floor;
		target = max_u64(wishes[wish][i] * UNIT, max_u64(floor, LAW_PAGE_BYTES));
		target = min_u64(target, max_u64(sat_sub_u64(left, fixed), floor));
		left = sat_sub_u64(left, target);
		decisions[i] = (struct law_decision){ .target_bytes = target,
						      .before_bytes = world.before[i] };
		world.before[i] = target;
	}
}

static void sample(void)
{
	for (uint32_t i = 0; i < shape->engines; i++)
		samples[i] = (struct law_sample){ .valid = LAW_VALID_USAGE | LAW_VALID_KINDS,
						  .usage_bytes = usage(i),
						  .anon_bytes = world.k[i].anon,
						  .unreclaimable_bytes = world.k[i].anon,
						  .file_bytes = world.k[i].cache };
}

/* ---- steps ----------------------------------------------------------------------------------- */

enum step_kind { TICK, ACTED, RUN, GROW, GIVE_BACK, FILL, CRASH };

struct step {
	enum step_kind kind;
	uint32_t which;
};

/* Its limit is about to be written: by then it grows by no more than the daemon allows for. */
static bool pinned(uint32_t engine)
{
	for (uint32_t i = 0; i < strands; i++)
		if (strand[i].state == STRAND_IN_CALL && strand[i].writes &&
		    strand[i].engine == engine)
			return true;
	return false;
}

/* The kernel lets an engine have another unit, if need be for its own cache. */
static bool can_have(uint32_t engine, bool for_cache)
{
	const struct kernel *k = &world.k[engine];
	uint64_t used = 0;
	bool recycles = !for_cache && k->cache >= UNIT;

	for (uint32_t i = 0; i < shape->engines; i++)
		used += usage(i);
	if (pinned(engine))
		return false;
	if (recycles)
		return true;
	return usage(engine) + UNIT <= min_u64(k->limit[CG_LIMIT_MAX], k->limit[CG_LIMIT_HIGH]) &&
	       (!shape->soft || used + UNIT <= CEILING);
}

static uint32_t list_steps(struct step *list)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < strands; i++)
		if (strand[i].state == STRAND_READY || strand[i].state == STRAND_IN_CALL ||
		    (strand[i].state == STRAND_WAITING && host.actuator->queued))
			list[n++] = (struct step){ RUN, i };
	if (world.acted)
		list[n++] = (struct step){ ACTED, 0 };
	for (uint32_t t = 0; t < 3; t++)
		list[n++] = (struct step){ TICK, t };
	for (uint32_t i = 0; i < shape->engines; i++) {
		if (can_have(i, false))
			list[n++] = (struct step){ GROW, i };
		if (world.k[i].anon >= UNIT)
			list[n++] = (struct step){ GIVE_BACK, i };
		if (can_have(i, true))
			list[n++] = (struct step){ FILL, i };
	}
	if (world.crashes)
		list[n++] = (struct step){ CRASH, 0 };
	return n;
}

static void crash(void)
{
	world.crashes--;
	/* What was inside the kernel may still land. */
	for (uint32_t i = 0; i < strands; i++) {
		const struct strand *s = &strand[i];
		struct kernel *k = &world.k[s->engine];

		if (s->state != STRAND_IN_CALL || !s->writes || !choose(2) ||
		    (shape->kind == CG_KIND_HYBRID && k->anon > s->bytes))
			continue;
		store_limit(k, s->which, s->bytes);
		drop_above(k, s->bytes);
	}
	daemon_start();
}

static bool told; /* print every step: for the way to a violation */

static void tell(const struct step *s)
{
	static const char *const names[] = { "tick",      "acted", "run",  "grow",
					     "give back", "fill",  "crash" };

	print_message("%s %u:", names[s->kind], s->which);
	for (uint32_t i = 0; i < shape->engines; i++)
		print_message(" [%.2f+%.2f low %.2f max %.2f]", (double)world.k[i].anon / UNIT,
			      (double)world.k[i].cache / UNIT,
			      (double)world.k[i].limit[CG_LIMIT_LOW] / UNIT,
			      (double)world.k[i].limit[CG_LIMIT_MAX] / UNIT);
	print_message("\n");
}

static void take(const struct step *s)
{
	struct kernel *k = &world.k[s->which];

	switch (s->kind) {
	case TICK:
		now_ns += TICK_NS;
		host.samples++;
		sample();
		decide(s->which);
		act_all(&host, now_ns);
		break;
	case ACTED:
		world.acted = false;
		act_all(&host, now_ns);
		break;
	case RUN:
		strand_run(s->which);
		world.acted |= strand[s->which].state == STRAND_WAITING;
		break;
	case GROW:
		if (k->cache >= UNIT)
			k->cache -= UNIT;
		k->anon += UNIT;
		break;
	case GIVE_BACK:
		k->anon -= UNIT;
		break;
	case FILL:
		k->cache += UNIT;
		break;
	case CRASH:
		crash();
		break;
	}
	look();
	if (told)
		tell(s);
}

/* ---- the search ------------------------------------------------------------------------------ */

#define SEEN_BITS 21
#define SEEN_SIZE (1u << SEEN_BITS)

static uint64_t seen[SEEN_SIZE];
static uint64_t runs, states;

static uint64_t mix(uint64_t h, const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint64_t word;

	for (; bytes >= sizeof(word); bytes -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		h = (h ^ word) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	return h;
}

static uint64_t mix_strand(uint64_t h, uint32_t i)
{
	const struct strand *s = &strand[i];
	size_t from = 0;
	uint64_t head[4] = { s->state, s->engine, (uint64_t)s->writes << 8 | s->which, s->bytes };

	h = mix(h, head, sizeof(head));
#ifdef __x86_64__
	/* Below the stack pointer nothing is alive; registers that calls preserve are. */
	from = (size_t)(s->context.uc_mcontext.gregs[REG_RSP] - (greg_t)stack[i]) & ~(size_t)7;
	h = mix(h, &s->context.uc_mcontext.gregs[REG_RBX], sizeof(greg_t));
	h = mix(h, &s->context.uc_mcontext.gregs[REG_RBP], sizeof(greg_t));
	h = mix(h, &s->context.uc_mcontext.gregs[REG_R12], 4 * sizeof(greg_t));
#endif
	return mix(h, stack[i] + from, STACK_SIZE - from);
}

/* Everything that decides about what can happen from here on. */
static uint64_t state_hash(unsigned int left)
{
	uint64_t rest[2] = { host.samples % shape->engines, strands };
	uint64_t h = mix(left + 1, &world, sizeof(world));

	h = mix(h, rest, sizeof(rest));
	h = mix(h, decisions, sizeof(decisions));
	h = mix(h, arena, arena_used);
	for (uint32_t i = 0; i < shape->engines; i++) {
		const struct engine *e = &engines[i];
		uint64_t own[3] = { e->learned_floor_bytes,
				    e->learned_until_ns > now_ns ? e->learned_until_ns - now_ns : 0,
				    e->manual };

		h = mix(h, &e->wanted, sizeof(e->wanted));
		h = mix(h, &e->actual, sizeof(e->actual));
		h = mix(h, &e->freeze, sizeof(e->freeze));
		h = mix(h, own, sizeof(own));
	}
	for (uint32_t i = 0; i < strands; i++)
		h = mix_strand(h, i);
	return h | 1;
}

/* True when this state was explored before with as many steps left. */
static bool known(unsigned int left)
{
	uint64_t h = state_hash(left);

	for (uint32_t i = 0; i < 64; i++) {
		uint64_t *slot = &seen[(h + i) & (SEEN_SIZE - 1)];

		if (*slot == h)
			return true;
		if (!*slot) {
			*slot = h;
			states++;
			return false;
		}
	}
	return false; /* full hereabouts: explored again, which costs time only */
}

static void world_init(void)
{
	static const uint8_t anon[ENGINES_MAX] = { 1, 1, 1 }, cache[ENGINES_MAX] = { 2, 3, 0 };
	static const uint8_t share[2][ENGINES_MAX] = { { 3, 4, 0 }, { 3, 3, 1 } };

	if (shape->engines < 2 || shape->engines > ENGINES_MAX)
		abort();
	memset(&world, 0, sizeof(world));
	world.faults = world.crashes = 1;
	now_ns = 1000 * NS_PER_S;
	for (uint32_t i = 0; i < shape->engines; i++) {
		uint64_t bytes = share[shape->engines - 2][i] * UNIT;
		struct kernel *k = &world.k[i];

		k->anon = anon[i] * UNIT / 2;
		k->cache = cache[i] * UNIT;
		k->limit[CG_LIMIT_HIGH] = BYTES_NO_LIMIT;
		k->limit[CG_LIMIT_MAX] = shape->soft ? BYTES_NO_LIMIT : bytes;
		k->limit[CG_LIMIT_LOW] = shape->soft ? bytes : 0;
		nodes[i].node = (struct cg_node){ .backend = &backend, .id = i };
	}
	backend.ops = &kernel_ops;
	backend.abilities.kind = backend.abilities.beneath = shape->kind;
	daemon_start();
}

static void run_once(uint32_t prefix)
{
	struct step list[16];

	runs++;
	violated = NULL;
	trail_at = 0;
	world_init();
	look();
	for (unsigned int left = shape->depth + deeper; left && !violated; left--) {
		/* Not on the way to where the last run branched off. */
		if (trail_at >= prefix && known(left))
			break;
		take(&list[choose(list_steps(list))]);
	}
}

/* The next run: the last choice that has an alternative left takes it. Returns its place + 1. */
static uint32_t next_trail(void)
{
	while (trail_len && trail[trail_len - 1] + 1 >= options[trail_len - 1])
		trail_len--;
	if (trail_len)
		trail[trail_len - 1]++;
	return trail_len;
}

/* What is violated first, or NULL after all has been explored. */
static const char *explore(const struct shape *what)
{
	uint64_t begin_ns = clock_now_ns();
	uint32_t prefix = 0;

	shape = what;
	runs = states = 0;
	trail_len = 0;
	memset(seen, 0, sizeof(seen));
	do {
		run_once(prefix);
		trail_len = trail_at;
	} while (!violated && (prefix = next_trail()));
	if (violated && seeded == SOUND) {
		told = true;
		run_once(UINT32_MAX);
		told = false;
	}
	print_message("%s: %llu states, %llu runs, %llu ms%s%s\n", what->name,
		      (unsigned long long)states, (unsigned long long)runs,
		      (unsigned long long)((clock_now_ns() - begin_ns) / NS_PER_MS),
		      violated ? ", violated: " : "", violated ? violated : "");
	return violated;
}

static const struct shape hard_v2 = { "hard limits, v2", CG_KIND_V2, false, 2, 7 };
static const struct shape hard_v1 = { "hard limits, v1", CG_KIND_HYBRID, false, 2, 7 };
static const struct shape soft_v2 = { "protection, v2", CG_KIND_V2, true, 2, 6 };
static const struct shape three = { "three engines, v2", CG_KIND_V2, false, 3, 6 };

static void all_holds(void **state)
{
	const struct shape *const shapes[] = { &hard_v2, &hard_v1, &soft_v2, &three };

	seeded = SOUND;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		const char *what = explore(shapes[i]);

		if (what)
			fail_msg("%s: not %s", shapes[i]->name, what);
		assert_true(states > 1000);
	}
}

static void room_from_nowhere_is_found(void **state)
{
	seeded = ROOM_FROM_NOWHERE;
	assert_non_null(explore(&hard_v2));
	assert_non_null(explore(&soft_v2));
}

static void a_wish_taken_for_a_fact_is_found(void **state)
{
	seeded = WISH_TAKEN_FOR_FACT;
	assert_non_null(explore(&hard_v2));
	assert_non_null(explore(&hard_v1));
}

static void a_limit_below_what_is_held_is_found(void **state)
{
	seeded = BLIND_TO_USAGE;
	assert_non_null(explore(&hard_v2));
}

static int set_up(void **state)
{
	const char *more = getenv("CHECK_MODEL_DEEPER"); /* NOLINT(concurrency-mt-unsafe) */

	deeper = more ? (unsigned int)strtoul(more, NULL, 10) : 0;
	log_set_level(LOG_LEVEL_ERR);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_holds),
		cmocka_unit_test(room_from_nowhere_is_found),
		cmocka_unit_test(a_wish_taken_for_a_fact_is_found),
		cmocka_unit_test(a_limit_below_what_is_held_is_found),
	};

	return cmocka_run_group_tests_name("transfer model", tests, set_up, NULL);
}
#endif
