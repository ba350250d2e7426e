/* SPDX-License-Identifier: BSD-2-Clause */
/* What must hold together, once every line has been read. Sizes become bytes here. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "user/common/cleanup.h"
#include "user/common/suggest.h"
#include "user/common/units.h"
#include "user/daemon/config_endpoint.h"
#include "user/daemon/config_internal.h"

#define CEILING_LEAST   MIB
#define SOCKET_PATH_MAX 108 /* of struct sockaddr_un, with the NUL */

/* A size in a complaint: exact, and as people say it. */
struct shown {
	char text[48];
};

static struct shown show(uint64_t bytes)
{
	static const char suffixes[] = "KMGTP";
	struct shown s;
	char human[16];
	uint64_t v = bytes;
	int i = -1;

	for (; v && v % KIB == 0 && i < 4; i++)
		v /= KIB;
	if (bytes == UINT64_MAX)
		snprintf(s.text, sizeof(s.text), "more than 64 bits can say");
	else if (v < 100000)
		snprintf(s.text, sizeof(s.text), "%" PRIu64 "%.1s", v, i < 0 ? "B" : &suffixes[i]);
	else
		snprintf(s.text, sizeof(s.text), "%" PRIu64 " bytes (%s)", bytes,
			 units_format_size(bytes, human, sizeof(human)));
	return s;
}

#define SHOW(bytes) show(bytes).text

static uint64_t align_down(uint64_t bytes)
{
	return bytes & ~(LAW_PAGE_BYTES - 1);
}

static uint64_t align_up(uint64_t bytes)
{
	return align_down(sat_add_u64(bytes, LAW_PAGE_BYTES - 1));
}

static uint64_t resolve(const struct config_size *size, uint64_t whole_bytes)
{
	return size->relative ? mul_div_u64(whole_bytes, size->value, PPM) : size->value;
}

static struct config_where first_said(struct config_where a, struct config_where b)
{
	return a.line ? a : b;
}

static void check_ceiling(struct config *c, uint64_t ram_bytes, struct config_complaints *to)
{
	uint64_t ceiling = align_down(resolve(&c->ceiling, ram_bytes));
	struct config_where where = first_said(c->ceiling.where, c->where);

	if (ceiling > ram_bytes)
		config_complain(to, where,
				"[daemon] ceiling %s is more than the %s there are; allowed: at "
				"most that, or a percentage",
				SHOW(ceiling), SHOW(ram_bytes));
	if (ceiling < CEILING_LEAST)
		config_complain(to, where, "[daemon] ceiling %s is too small; allowed: 1M or more",
				SHOW(ceiling));
	/* 0: nothing that depends on it can be judged. */
	c->ceiling_bytes = ceiling < CEILING_LEAST ? 0 : ceiling;
}

/* Reserve and burst: parts of the ceiling that leave something to divide. */
static void check_reserves(struct config *c, struct config_complaints *to)
{
	uint64_t rest;

	if (!c->ceiling_bytes)
		return;
	c->reserve_bytes = align_up(resolve(&c->reserve, c->ceiling_bytes));
	if (c->reserve_bytes >= c->ceiling_bytes)
		config_complain(to, first_said(c->reserve.where, c->where),
				"[daemon] reserve %s leaves nothing of the ceiling %s; allowed: "
				"less than the ceiling",
				SHOW(c->reserve_bytes), SHOW(c->ceiling_bytes));
	rest = align_down(sat_sub_u64(c->ceiling_bytes, c->reserve_bytes));
	c->burst_bytes = align_up(resolve(&c->burst, c->ceiling_bytes));
	if (rest && c->burst_bytes >= rest)
		config_complain(to, first_said(c->burst.where, c->where),
				"[daemon] burst %s leaves nothing of the ceiling less reserve, %s; "
				"allowed: less than that",
				SHOW(c->burst_bytes), SHOW(rest));
}

/* Beside the control socket, unless it is said elsewhere. */
static void place_engine_socket(struct config *c, struct config_complaints *to)
{
	const char *slash = strrchr(c->socket, '/');
	size_t dir = slash ? (size_t)(slash - c->socket) + 1 : 0;

	if (c->engine_socket[0])
		return;
	if (dir + sizeof("engine.sock") > SOCKET_PATH_MAX)
		config_complain(to, first_said(c->socket_where, c->where),
				"[daemon] engine_socket would be too long beside the control "
				"socket; allowed: say one of at most 107 bytes");
	else
		snprintf(c->engine_socket, sizeof(c->engine_socket), "%.*sengine.sock", (int)dir,
			 c->socket);
}

static void check_files(const struct config *c, struct config_complaints *to)
{
	const struct {
		const char *key, *path;
		struct config_where where;
	} file[] = {
		{ "page", c->page, c->page_where },
		{ "socket", c->socket, c->socket_where },
		{ "engine_socket", c->engine_socket, c->engine_socket_where },
		{ "state", c->state, c->state_where },
		{ "metrics", c->metrics, c->metrics_where },
	};

	for (size_t i = 0; i < ARRAY_SIZE(file); i++)
		for (size_t j = i + 1; j < ARRAY_SIZE(file); j++)
			if (!strcmp(file[i].path, file[j].path))
				config_complain(to, first_said(file[j].where, file[i].where),
						"[daemon] %s is the same file as %s; allowed: a "
						"path of its own",
						file[j].key, file[i].key);
}

/* What engines use is nobody's business but this machine's, unless it is said twice. */
static void check_metrics(const struct config *c, struct config_complaints *to)
{
	const char *why = "";
	struct endpoint e;

	if (endpoint_parse(c->metrics, &e, &why) == 0 && !e.loopback && !c->metrics_remote)
		config_complain(
		    to, first_said(c->metrics_where, c->where),
		    "[daemon] metrics = %s can be reached from other machines; allowed: "
		    "a loopback address, or metrics_remote = yes beside it",
		    c->metrics);
}

/* The longest pace by default: a thaw (0.5 s) must not be late for the calm before it. */
#define INTERVAL_SLACK_NS 400000000

/* The pace and the lease: min <= interval <= max <= lease / 2. */
static void check_times(struct config *c, struct config_complaints *to)
{
	char interval[16];

	units_format_time(c->interval_ns, interval, sizeof(interval));
	if (!c->lease_ns)
		c->lease_ns = max_u64(10 * c->interval_ns, 1000000000);
	if (c->lease_ns < 2 * c->interval_ns)
		config_complain(to, first_said(c->lease_where, c->where),
				"[daemon] lease is shorter than two intervals of %s; allowed: at "
				"least twice the interval",
				interval);
	if (!c->interval_min_ns)
		c->interval_min_ns = min_u64(max_u64(c->interval_ns / 4, 10000000), c->interval_ns);
	if (c->interval_min_ns > c->interval_ns)
		config_complain(to, first_said(c->interval_min_where, c->where),
				"[daemon] interval_min exceeds the interval of %s; allowed: at "
				"most the interval",
				interval);
	if (!c->interval_max_ns)
		c->interval_max_ns = max_u64(
		    min_u64(min_u64(4 * c->interval_ns, INTERVAL_SLACK_NS), c->lease_ns / 2),
		    c->interval_ns);
	else if (c->interval_max_ns < c->interval_ns || c->interval_max_ns > c->lease_ns / 2)
		config_complain(to, first_said(c->interval_max_where, c->where),
				"[daemon] interval_max is not between the interval of %s and half "
				"the lease; allowed: at least the interval, at most half the lease",
				interval);
}

void config_check_daemon(struct config *c, uint64_t ram_bytes, struct config_complaints *to)
{
	check_ceiling(c, ram_bytes, to);
	check_reserves(c, to);
	place_engine_socket(c, to);
	check_metrics(c, to);
	check_files(c, to);
	check_times(c, to);
}

/* min and max of a group or an engine; what is left of them in whole pages. */
static void check_bounds(const char *section, const char *name, const struct config_size *min,
			 const struct config_size *max, uint64_t ceiling, uint64_t capacity,
			 uint64_t *ret_min, uint64_t *ret_max, struct config_complaints *to)
{
	uint64_t lo = resolve(min, ceiling), hi = resolve(max, ceiling);
	struct config_where where = first_said(max->where, min->where);

	if (hi < lo)
		config_complain(to, where,
				"[%s %s] max %s is below min %s; allowed: max from min upwards",
				section, name, SHOW(hi), SHOW(lo));
	else if (hi < LAW_PAGE_BYTES)
		config_complain(to, where,
				"[%s %s] max %s is less than a page; allowed: 4096 or more",
				section, name, SHOW(hi));
	else if (align_down(hi) < align_up(lo))
		config_complain(to, where,
				"[%s %s] no whole page of 4096 bytes lies between min %s and max "
				"%s; allowed: sizes at least a page apart, or whole pages",
				section, name, SHOW(lo), SHOW(hi));
	*ret_min = align_up(lo);
	*ret_max = min_u64(align_down(hi), capacity);
}

static void check_initial(const struct config *c, struct config_engine *e,
			  struct config_complaints *to)
{
	uint64_t bytes = resolve(&e->initial, c->ceiling_bytes);

	e->initial_bytes = 0;
	if (!e->initial.set)
		return;
	if (bytes < resolve(&e->min, c->ceiling_bytes) ||
	    bytes > resolve(&e->max, c->ceiling_bytes))
		config_complain(to, e->initial.where,
				"[engine %s] initial %s is not between min and max; allowed: %s to "
				"%s",
				e->name, SHOW(bytes), SHOW(e->min_bytes), SHOW(e->max_bytes));
	e->initial_bytes =
	    clamp_u64(align_down(bytes), e->min_bytes, max_u64(e->min_bytes, e->max_bytes));
}

static void check_group_of(const struct config *c, struct config_engine *e,
			   struct config_complaints *to)
{
	unsigned int distance = suggest_limit(e->group_name) + 1;
	const struct config_group *g = config_group_find(c, e->group_name);
	const char *best = NULL;

	if (g) {
		e->group = (uint32_t)(g - c->group);
		return;
	}
	for (uint32_t i = 1; i < c->groups; i++)
		suggest_consider(e->group_name, c->group[i].name, &best, &distance);
	config_complain(to, e->group_where,
			"[engine %s] there is no group '%s'%s%s%s; allowed: a group with a [group "
			"NAME] section",
			e->name, e->group_name, best ? ", did you mean '" : "", best ? best : "",
			best ? "'?" : "");
	e->group = 0;
}

/* Groups' minima first, then each engine's on top of what its group has already. */
static void check_sums(const struct config *c, uint64_t capacity, struct config_complaints *to)
{
	uint64_t sum[CONFIG_GROUPS_MAX] = { 0 }, total = 0;
	bool said[CONFIG_GROUPS_MAX] = { false };
	struct config_where where = { 0 };
	bool over = false;

	for (uint32_t i = 0; i < c->groups; i++) {
		total = sat_add_u64(total, c->group[i].min_bytes);
		if (total > capacity && !over) {
			over = true;
			where = c->group[i].min.where;
		}
	}
	for (uint32_t i = 0; i < c->engines; i++) {
		const struct config_engine *e = &c->engine[i];
		const struct config_group *g = &c->group[e->group];
		uint64_t before = max_u64(sum[e->group], g->min_bytes);

		sum[e->group] = sat_add_u64(sum[e->group], e->min_bytes);
		total = sat_add_u64(total, max_u64(sum[e->group], g->min_bytes) - before);
		if (total > capacity && !over) {
			over = true;
			where = first_said(e->min.where, e->where);
		}
		if (e->group && g->max.set && sum[e->group] > g->max_bytes && !said[e->group]) {
			said[e->group] = true;
			config_complain(to, first_said(e->min.where, e->where),
					"[engine %s] the minima of group '%s' add up to %s with "
					"this one; allowed: at most the group's max, %s",
					e->name, g->name, SHOW(sum[e->group]), SHOW(g->max_bytes));
		}
	}
	if (over)
		config_complain(to, where,
				"the minima of all groups and engines add up to %s, over the "
				"ceiling less reserve from here on; allowed: at most %s",
				SHOW(total), SHOW(capacity));
}

/* Order of paths in which everything below a cgroup follows it directly: '/' before all else. */
static int path_compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (*a == *b)
		return 0;
	if (*a == '/' || *b == '/')
		return !*b ? 1 : !*a ? -1 : *a == '/' ? -1 : 1;
	return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static int by_cgroup(const void *a, const void *b)
{
	const struct config_engine *x = *(const struct config_engine *const *)a;
	const struct config_engine *y = *(const struct config_engine *const *)b;
	int r = path_compare(x->cgroup, y->cgroup);

	return r ? r : (x > y) - (x < y);
}

/* Is `path` the same cgroup as `above` or below it? */
static bool path_within(const char *path, const char *above)
{
	size_t n = strlen(above);

	return !strncmp(path, above, n) && (!path[n] || path[n] == '/');
}

static void complain_cgroup(const struct config_engine *top, const struct config_engine *e,
			    struct config_complaints *to)
{
	bool same = !strcmp(top->cgroup, e->cgroup);

	config_complain(to, first_said(e->cgroup_where, e->where),
			"[engine %s] cgroup %s %s engine %s%s%s; allowed: a cgroup of its own, "
			"neither in nor above another engine's",
			e->name, e->cgroup, same ? "belongs already to" : "lies in the cgroup of",
			top->name, same ? "" : ", ", same ? "" : top->cgroup);
}

static void check_cgroups(struct config *c, struct config_complaints *to)
{
	_cleanup_free_ const struct config_engine **order = NULL;
	const struct config_engine *top = NULL;

	/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
	order = calloc(c->engines + 1, sizeof(*order));
	if (!order) {
		config_complain(to, c->where, "%s", strerror(ENOMEM));
		return;
	}
	for (uint32_t i = 0; i < c->engines; i++) {
		const struct config_engine *e = order[i] = &c->engine[i];

		if (path_within(c->parent, e->cgroup))
			config_complain(to, first_said(e->cgroup_where, e->where),
					"[engine %s] cgroup %s contains the common parent %s; "
					"allowed: a cgroup below or beside it",
					e->name, e->cgroup, c->parent);
	}
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
	qsort(order, c->engines, sizeof(*order), by_cgroup);
	for (uint32_t i = 0; i < c->engines; i++) {
		if (top && path_within(order[i]->cgroup, top->cgroup))
			complain_cgroup(top, order[i], to);
		else
			top = order[i];
	}
}

static void place_engine(const struct config *c, struct config_engine *e,
			 struct config_complaints *to)
{
	size_t room = sizeof(e->cgroup);

	if (e->cgroup_given)
		return;
	if (strlen(c->parent) + 1 + strlen(e->name) >= room) {
		config_complain(to, e->where,
				"[engine %s] PARENT/NAME is too long; allowed: at most 511 bytes",
				e->name);
		return;
	}
	snprintf(e->cgroup, room, "%.*s/%s", (int)(room - sizeof(e->name) - 1), c->parent, e->name);
}

static void check_sizes(struct config *c, uint64_t capacity, struct config_complaints *to)
{
	for (uint32_t i = 0; i < c->groups; i++) {
		struct config_group *g = &c->group[i];

		check_bounds("group", g->name, &g->min, &g->max, c->ceiling_bytes, capacity,
			     &g->min_bytes, &g->max_bytes, to);
	}
	for (uint32_t i = 0; i < c->engines; i++) {
		struct config_engine *e = &c->engine[i];

		check_bounds("engine", e->name, &e->min, &e->max, c->ceiling_bytes, capacity,
			     &e->min_bytes, &e->max_bytes, to);
		check_initial(c, e, to);
	}
	check_sums(c, capacity, to);
}

void config_check_shares(struct config *c, struct config_complaints *to)
{
	uint64_t capacity = align_down(sat_sub_u64(c->ceiling_bytes, c->reserve_bytes));

	for (uint32_t i = 0; i < c->engines; i++) {
		check_group_of(c, &c->engine[i], to);
		place_engine(c, &c->engine[i], to);
	}
	if (capacity)
		check_sizes(c, capacity, to);
	check_cgroups(c, to);
}
