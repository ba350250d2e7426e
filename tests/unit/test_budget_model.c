// SPDX-License-Identifier: BSD-2-Clause
/*
 * Random trees and random operations, beside a model that adds everything up anew each time: what
 * is granted, refused and by whom, what is used, what is left, and the level must be the same.
 */
#include "tests/unit/budget_support.h"

#define BUDGETS_MAX 12
#define HELD_MAX    200
#define TREES       60
#define STEPS       3000

struct entry {
	struct baro_budget *budget;
	int parent; /* -1: the top */
	uint64_t limit, peak, rejections;
	bool open;
};

struct piece {
	struct baro_reservation r;
	int entry; /* -1: nothing */
	uint64_t bytes;
};

struct model {
	struct entry entry[BUDGETS_MAX];
	struct piece held[HELD_MAX];
	uint64_t random, over_releases;
	const struct budget_setup *way;
	bool exact;
};

static uint64_t dice(struct model *m, uint64_t sides)
{
	return next_random(&m->random) % sides;
}

static bool is_under(const struct model *m, int e, int top)
{
	while (e >= 0 && e != top)
		e = m->entry[e].parent;
	return e == top;
}

static uint64_t used(const struct model *m, int top)
{
	uint64_t sum = 0;

	for (int i = 0; i < HELD_MAX; i++)
		if (m->held[i].entry >= 0 && is_under(m, m->held[i].entry, top))
			sum += m->held[i].bytes;
	return sum;
}

/* What a limit really is: without one, 2^62. */
static uint64_t bound(const struct entry *e)
{
	return e->limit == NONE ? BUDGET_BYTES_MAX : e->limit;
}

/* The lowest layer without room; -1: it fits. */
static int refuses(const struct model *m, int e, uint64_t bytes)
{
	for (; e >= 0; e = m->entry[e].parent) {
		uint64_t u = used(m, e), limit = bound(&m->entry[e]);

		if (bytes && (u >= limit || bytes > limit - u))
			return e;
	}
	return -1;
}

static void note_peaks(struct model *m, int e)
{
	for (; e >= 0; e = m->entry[e].parent) {
		uint64_t u = used(m, e);

		if (u > m->entry[e].peak)
			m->entry[e].peak = u;
	}
}

static void check_refusal(struct model *m, int e, int by, uint64_t bytes,
			  const struct baro_refusal *why)
{
	const struct entry *layer = &m->entry[by];
	uint64_t u = used(m, by);

	m->entry[by].rejections++;
	assert_string_equal(why->layer, layer->budget->name);
	assert_string_equal(why->asked, m->entry[e].budget->name);
	assert_int_equal(why->requested_bytes, bytes);
	assert_int_equal(why->used_bytes, u);
	assert_int_equal(why->limit_bytes, layer->limit);
	assert_int_equal(why->left_bytes, u < bound(layer) ? bound(layer) - u : 0);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int random_entry(struct model *m)
{
	int e;

	do
		e = (int)dice(m, BUDGETS_MAX);
	while (!m->entry[e].open);
	return e;
}

/* Small as a rule, so that credit is used; sometimes as much as there is, or too much. */
static uint64_t random_bytes(struct model *m)
{
	switch (dice(m, 8)) {
	case 0:
		return dice(m, UINT64_C(1) << 24);
	case 1:
		return dice(m, 2) ? next_random(&m->random) : dice(m, UINT64_C(1) << 30);
	default:
		return dice(m, 2000);
	}
}

static void step_reserve(struct model *m, struct piece *p)
{
	int e = random_entry(m), by;
	uint64_t bytes = random_bytes(m);
	struct baro_refusal why;
	int r;

	if (p->entry >= 0)
		return;
	/* Exactly what is left must fit, too. */
	if (!dice(m, 20))
		bytes = stats_of(m->entry[e].budget).left_bytes + dice(m, 2);
	by = refuses(m, e, bytes);
	r = baro_budget_reserve(m->entry[e].budget, bytes, &p->r, &why);
	assert_int_equal(r, by < 0 ? 0 : -ENOMEM);
	if (by < 0) {
		p->entry = e;
		p->bytes = bytes;
		note_peaks(m, e);
	} else {
		check_refusal(m, e, by, bytes, &why);
	}
}

static void step_resize(struct model *m, struct piece *p)
{
	uint64_t bytes = random_bytes(m);
	struct baro_refusal why;
	int by, r;

	if (p->entry < 0)
		return;
	by = bytes > p->bytes ? refuses(m, p->entry, bytes - p->bytes) : -1;
	r = baro_reservation_resize(&p->r, bytes, &why);
	assert_int_equal(r, by < 0 ? 0 : -ENOMEM);
	if (by < 0) {
		p->bytes = bytes;
		note_peaks(m, p->entry);
	} else {
		check_refusal(m, p->entry, by, bytes - p->bytes, &why);
	}
	assert_int_equal(baro_reservation_bytes(&p->r), p->bytes);
}

static void step_release(struct model *m, struct piece *p)
{
	int r = baro_reservation_release(&p->r);

	if (p->entry >= 0) {
		assert_int_equal(r, 0);
		p->entry = -1;
		p->bytes = 0;
	} else {
		assert_int_equal(r, p->r.budget ? -EALREADY : -EINVAL);
	}
}

static void step_split(struct model *m, struct piece *p, struct piece *q)
{
	uint64_t bytes = dice(m, 3000);

	if (p->entry < 0 || q->entry >= 0)
		return;
	assert_int_equal(baro_reservation_split(&p->r, bytes, &q->r),
			 bytes > p->bytes ? -ERANGE : 0);
	if (bytes > p->bytes)
		return;
	p->bytes -= bytes;
	q->bytes = bytes;
	q->entry = p->entry;
}

static void step_merge(struct model *m, struct piece *p, struct piece *q)
{
	int r;

	if (p->entry < 0 || q->entry < 0)
		return;
	r = baro_reservation_merge(&p->r, &q->r);
	assert_int_equal(r, p == q || p->entry != q->entry ? -EXDEV : 0);
	if (r)
		return;
	p->bytes += q->bytes;
	q->bytes = 0;
	q->entry = -1;
}

static void step_move(struct piece *p, struct piece *q)
{
	if (p->entry < 0 || q->entry >= 0)
		return;
	assert_int_equal(baro_reservation_move(&p->r, &q->r), 0);
	q->bytes = p->bytes;
	q->entry = p->entry;
	p->bytes = 0;
	p->entry = -1;
}

static uint64_t random_limit(struct model *m)
{
	static const uint64_t sizes[] = { 5000, 100000, 10 * MIB, 64 * MIB, GIB };

	return dice(m, 12) ? dice(m, sizes[dice(m, 5)]) + 1 : dice(m, 3) ? NONE : 0;
}

static void step_limit(struct model *m)
{
	int e = random_entry(m);
	int r;

	m->entry[e].limit = random_limit(m);
	r = baro_budget_set_limit(m->entry[e].budget, m->entry[e].limit);
	assert_int_equal(r, used(m, e) > m->entry[e].limit);
}

static void open_entry(struct model *m, int e, int parent)
{
	struct entry *n = &m->entry[e];
	char name[16];

	*n = (struct entry){ .parent = parent, .limit = random_limit(m), .open = true };
	snprintf(name, sizeof(name), "b%d", e);
	if (parent < 0)
		n->budget = open_top(m->way, name, n->limit, m->exact ? BARO_BUDGET_EXACT : 0);
	else
		n->budget = open_below(m->entry[parent].budget, name, n->limit);
}

static bool has_children(const struct model *m, int e)
{
	for (int i = 0; i < BUDGETS_MAX; i++)
		if (m->entry[i].open && m->entry[i].parent == e)
			return true;
	return false;
}

static bool is_held(const struct model *m, int e)
{
	for (int i = 0; i < HELD_MAX; i++)
		if (m->held[i].entry == e)
			return true;
	return false;
}

/* Opens what is closed, closes what may be. */
static void step_tree(struct model *m)
{
	int e = 1 + (int)dice(m, BUDGETS_MAX - 1);
	struct entry *n = &m->entry[e];

	if (!n->open) {
		open_entry(m, e, random_entry(m));
	} else if (has_children(m, e) || used(m, e)) {
		assert_int_equal(baro_budget_close(n->budget), -EBUSY);
	} else if (!is_held(m, e)) {
		close_all(n->budget);
		n->open = false;
	}
}

static void step(struct model *m)
{
	struct piece *p = &m->held[dice(m, HELD_MAX)], *q = &m->held[dice(m, HELD_MAX)];

	switch (dice(m, 16)) {
	case 0:
		step_limit(m);
		break;
	case 1:
		step_tree(m);
		break;
	case 2:
		step_split(m, p, q);
		break;
	case 3:
		step_merge(m, p, q);
		break;
	case 4:
		step_move(p, q);
		break;
	case 5:
	case 6:
		step_resize(m, p);
		break;
	case 7:
	case 8:
	case 9:
		step_release(m, p);
		break;
	default:
		step_reserve(m, p);
	}
}

/* ---- what must hold after each --------------------------------------------------------------- */

static uint32_t level(uint64_t u, uint64_t limit)
{
	unsigned __int128 scaled = (unsigned __int128)u * 100, full = limit;

	if (limit == NONE || !u)
		return BARO_LEVEL_NORMAL;
	return BARO_LEVEL_NORMAL + (scaled >= 70 * full) + (scaled >= 85 * full) +
	       (scaled >= 95 * full);
}

static void check_entry(const struct model *m, int e)
{
	const struct entry *n = &m->entry[e];
	struct baro_budget_stats s = stats_of(n->budget);
	uint64_t u = used(m, e);

	assert_int_equal(s.used_bytes, u);
	assert_int_equal(s.wanted_limit_bytes, n->limit);
	assert_int_equal(s.limit_bytes, u > n->limit ? u : n->limit);
	assert_int_equal(s.level, level(u, n->limit));
	assert_int_equal(baro_budget_level(n->budget), s.level);
	assert_int_equal(s.rejections, n->rejections);
	assert_true(s.peak_bytes >= n->peak);
	if (m->exact) {
		assert_int_equal(s.peak_bytes, n->peak);
		assert_int_equal(s.slack_bytes, 0);
	}
}

static void check(const struct model *m)
{
	for (int e = 0; e < BUDGETS_MAX; e++)
		if (m->entry[e].open)
			check_entry(m, e);
}

static void close_model(struct model *m)
{
	bool again = true;

	for (int i = 0; i < HELD_MAX; i++)
		if (m->held[i].entry >= 0)
			step_release(m, &m->held[i]);
	check(m);
	while (again) {
		again = false;
		for (int e = BUDGETS_MAX; e--;) {
			if (!m->entry[e].open || has_children(m, e))
				continue;
			close_all(m->entry[e].budget);
			m->entry[e].open = false;
			again = true;
		}
	}
}

static void run(const struct budget_setup *way, bool exact)
{
	for (uint64_t seed = 1; seed <= TREES; seed++) {
		struct model m = { .random = seed * 0x9e3779b97f4a7c15u,
				   .way = way,
				   .exact = exact };

		for (int i = 0; i < HELD_MAX; i++)
			m.held[i].entry = -1;
		open_entry(&m, 0, -1);
		for (int e = 1; e < BUDGETS_MAX; e++)
			if (dice(&m, 4))
				open_entry(&m, e, random_entry(&m));
		for (int i = 0; i < STEPS; i++) {
			step(&m);
			if (i % 16 == 0)
				check(&m);
		}
		close_model(&m);
	}
}

static void a_tree_with_credit_does_as_the_model(void **state)
{
	run(*state, false);
}

static void an_exact_tree_does_as_the_model(void **state)
{
	run(*state, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_EVERY_WAY(a_tree_with_credit_does_as_the_model),
		IN_EVERY_WAY(an_exact_tree_does_as_the_model),
	};

	return cmocka_run_group_tests_name("budget model", tests, NULL, NULL);
}
