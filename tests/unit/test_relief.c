/* SPDX-License-Identifier: BSD-2-Clause */
/* From pressure to action: what is called, in which order, for how much, and how often. */
#include "tests/unit/relief_support.h"

/* ---- requests -------------------------------------------------------------------------------- */

static void a_request_is_met_by_the_cheapest_first(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { 0 }, b = { 0 }, c = { 0 };
	struct baro_pressure p = request(100 * MIB, NOW_NS + 2 * NS_PER_S, NOW_NS);
	struct baro_relief_outcome o;

	add_thing(r, &c, "c", BARO_LEVEL_WARNING, 30, GIB);
	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 10, 60 * MIB);
	add_thing(r, &b, "b", BARO_RELIEF_ON_REQUEST, 20, GIB);
	o = run(r, &p, NOW_NS);
	assert_string_equal(log_text, "+a +b ");
	assert_int_equal(a.wanted_bytes, 60 * MIB);
	assert_int_equal(b.wanted_bytes, 40 * MIB);
	assert_int_equal(b.deadline_ns, NOW_NS + 2 * NS_PER_S);
	assert_int_equal(o.wanted_bytes, 100 * MIB);
	assert_int_equal(o.freed_bytes, 100 * MIB);
	assert_int_equal(o.calls, 2);
	assert_int_equal(o.ack_epoch, 2);
	assert_int_equal(counts(r).requests, 1);
	assert_int_equal(counts(r).requests_met, 1);
	baro_relief_free(r);
}

static void equals_go_in_the_order_of_their_registration(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { 0 }, b = { 0 }, c = { 0 };
	struct baro_pressure p = request(30, NOW_NS + NS_PER_S, NOW_NS);

	add_thing(r, &b, "b", BARO_RELIEF_ON_REQUEST, 5, 10);
	add_thing(r, &a, "a", BARO_RELIEF_ON_REQUEST, 5, 10);
	add_thing(r, &c, "c", BARO_RELIEF_ON_REQUEST, 4, 10);
	(void)run(r, &p, NOW_NS);
	assert_string_equal(log_text, "+c +b +a ");
	baro_relief_free(r);
}

static void the_same_request_is_not_answered_twice(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { 0 };
	struct baro_pressure p = request(100 * MIB, NOW_NS + 2 * NS_PER_S, NOW_NS);
	struct baro_relief_outcome o;

	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 1, GIB);
	(void)run(r, &p, NOW_NS);
	/* The page goes on to show it: as it was, and with what is left of it. */
	p.updated_ns += NS_PER_S / 10;
	o = run(r, &p, NOW_NS + NS_PER_S / 10);
	assert_int_equal(o.calls, 0);
	assert_int_equal(o.ack_epoch, 0);
	p.release_bytes = 30 * MIB;
	(void)run(r, &p, NOW_NS + NS_PER_S / 5);
	assert_int_equal(a.calls, 1);
	assert_int_equal(counts(r).requests, 1);
	/* The next one has another deadline. */
	p.release_by_ns += 5 * NS_PER_S;
	(void)run(r, &p, NOW_NS + NS_PER_S / 4);
	assert_int_equal(a.calls, 2);
	assert_int_equal(a.wanted_bytes, 30 * MIB);
	assert_int_equal(counts(r).requests, 2);
	baro_relief_free(r);
}

static void a_request_that_grows_is_answered_for_what_it_grew_by(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { 0 };
	struct baro_pressure p = request(100 * MIB, NOW_NS + 2 * NS_PER_S, NOW_NS);

	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 1, GIB);
	(void)run(r, &p, NOW_NS);
	p.release_bytes = 120 * MIB;
	(void)run(r, &p, NOW_NS + 1);
	assert_int_equal(a.calls, 2);
	assert_int_equal(a.wanted_bytes, 20 * MIB);
	assert_int_equal(GIB - a.held_bytes, 120 * MIB);
	baro_relief_free(r);
}

static void what_others_freed_of_a_request_is_not_freed_again(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing busy = { .error = -EAGAIN };
	struct baro_pressure p = request(100 * MIB, NOW_NS + 2 * NS_PER_S, NOW_NS);

	add_thing(r, &busy, "a", BARO_LEVEL_WARNING, 1, GIB);
	(void)run(r, &p, NOW_NS);
	busy.error = 0;
	p.release_bytes = 10 * MIB;
	(void)run(r, &p, NOW_NS + 1);
	assert_int_equal(busy.wanted_bytes, 10 * MIB);
	baro_relief_free(r);
}

static void what_would_be_late_is_left_out(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing slow = { .name = "slow", .held_bytes = GIB }, fast = { 0 };
	struct baro_relief_action a = action_of(&slow, BARO_LEVEL_WARNING, 1);
	struct baro_pressure p = request(100 * MIB, NOW_NS + 2 * NS_PER_S, NOW_NS);

	a.typical_ns = NS_PER_S;
	a.landing_ns = NS_PER_S + 1;
	add(r, &slow, &a);
	add_thing(r, &fast, "fast", BARO_LEVEL_WARNING, 2, 60 * MIB);
	(void)run(r, &p, NOW_NS);
	assert_string_equal(log_text, "+fast ");
	assert_int_equal(counts_of(&slow).late, 1);
	/* Nothing else can be done in time, so the daemon is told. */
	assert_int_equal(counts(r).requests_short, 1);
	assert_int_equal(counts(r).acknowledged, 1);
	/* And it is said once per request, not once per run. */
	(void)run(r, &p, NOW_NS + 1);
	assert_int_equal(counts_of(&slow).late, 1);
	/* With more time it is the cheaper one. */
	p.release_by_ns = NOW_NS + 10 * NS_PER_S;
	(void)run(r, &p, NOW_NS + 2);
	assert_int_equal(slow.calls, 1);
	assert_int_equal(fast.calls, 1);
	baro_relief_free(r);
}

static void who_is_busy_is_asked_again_before_the_deadline(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { .error = -EAGAIN };
	struct baro_pressure p = request(MIB, NOW_NS + NS_PER_S, NOW_NS);
	struct baro_relief_outcome o;

	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 1, GIB);
	o = run(r, &p, NOW_NS);
	assert_int_equal(o.ack_epoch, 0);
	assert_in_range(o.again_ns, NOW_NS, NOW_NS + NS_PER_S - 1);
	a.error = 0;
	o = run(r, &p, NOW_NS + 1);
	assert_int_equal(o.freed_bytes, MIB);
	assert_int_equal(o.ack_epoch, 2);
	assert_int_equal(counts_of(&a).busy, 1);
	assert_int_equal(counts_of(&a).calls, 2);
	baro_relief_free(r);
}

static void who_gave_its_part_is_not_asked_again_while_another_is_busy(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { .chunk_bytes = 10 * MIB }, b = { .error = -EAGAIN };
	struct baro_pressure p = request(100 * MIB, NOW_NS + NS_PER_S, NOW_NS);

	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 1, GIB);
	add_thing(r, &b, "b", BARO_LEVEL_WARNING, 2, GIB);
	(void)run(r, &p, NOW_NS);
	b.error = 0;
	(void)run(r, &p, NOW_NS + 1);
	assert_string_equal(log_text, "+a +b +b ");
	assert_int_equal(b.wanted_bytes, 90 * MIB);
	baro_relief_free(r);
}

static void who_fails_is_passed_over_and_counted(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { .error = -EIO }, b = { 0 };
	struct baro_pressure p = request(MIB, NOW_NS + NS_PER_S, NOW_NS);
	struct baro_relief_outcome o;

	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 1, GIB);
	add_thing(r, &b, "b", BARO_LEVEL_WARNING, 2, GIB);
	o = run(r, &p, NOW_NS);
	assert_string_equal(log_text, "+a +b ");
	assert_int_equal(o.freed_bytes, MIB);
	assert_int_equal(counts_of(&a).failed, 1);
	assert_int_equal(counts_of(&a).freed_bytes, 0);
	baro_relief_free(r);
}

static void an_epoch_is_acknowledged_when_what_was_freed_has_landed(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing t = { .name = "flush", .held_bytes = GIB };
	struct baro_relief_action a = action_of(&t, BARO_LEVEL_WARNING, 1);
	struct baro_pressure p = request(MIB, NOW_NS + 2 * NS_PER_S, NOW_NS);
	struct baro_relief_outcome o;

	a.landing_ns = NS_PER_S;
	add(r, &t, &a);
	o = run(r, &p, NOW_NS);
	assert_int_equal(o.freed_bytes, MIB);
	assert_int_equal(o.ack_epoch, 0);
	assert_in_range(o.again_ns, NOW_NS + NS_PER_S, NOW_NS + 2 * NS_PER_S);
	o = run(r, &p, o.again_ns);
	assert_int_equal(o.ack_epoch, 2);
	assert_int_equal(t.calls, 1);
	baro_relief_free(r);
}

static void a_new_budget_without_a_request_is_acknowledged_once(void **state)
{
	struct baro_relief *r = new_relief();
	struct baro_pressure p = pressure(BARO_LEVEL_NORMAL, 100000, NOW_NS);

	assert_int_equal(run(r, &p, NOW_NS).ack_epoch, 1);
	assert_int_equal(run(r, &p, NOW_NS + 1).ack_epoch, 0);
	p.grant_epoch = 7;
	assert_int_equal(run(r, &p, NOW_NS + 2).ack_epoch, 7);
	baro_relief_free(r);
}

static void what_only_an_emergency_justifies_answers_requests_only_then(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { 0 };
	struct baro_pressure p = request(MIB, NOW_NS + NS_PER_S, NOW_NS);

	add_thing(r, &a, "a", BARO_LEVEL_EMERGENCY, 1, GIB);
	(void)run(r, &p, NOW_NS);
	assert_int_equal(a.calls, 0);
	p = request(MIB, NOW_NS + 2 * NS_PER_S, NOW_NS);
	p.status = BARO_LEVEL_EMERGENCY;
	p.budget_bytes = BARO_PAGE_NONE; /* nothing to be done for the level itself */
	(void)run(r, &p, NOW_NS);
	assert_int_equal(a.calls, 1);
	baro_relief_free(r);
}

static void an_overdue_request_is_worked_off_like_a_level(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { .chunk_bytes = 10 * MIB };
	struct baro_pressure p = request(100 * MIB, NOW_NS - 1, NOW_NS);

	add_thing(r, &a, "a", BARO_RELIEF_ON_REQUEST, 1, GIB);
	(void)run(r, &p, NOW_NS);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.deadline_ns, BARO_PAGE_NONE);
	p.updated_ns = NOW_NS + NS_PER_S / 2;
	(void)run(r, &p, NOW_NS + NS_PER_S / 2);
	assert_int_equal(a.calls, 1);
	p.updated_ns = NOW_NS + 2 * NS_PER_S;
	p.usage_bytes -= 10 * MIB;
	(void)run(r, &p, NOW_NS + 2 * NS_PER_S);
	assert_int_equal(a.calls, 2);
	assert_int_equal(counts(r).passes, 2);
	baro_relief_free(r);
}

/* ---- levels ---------------------------------------------------------------------------------- */

static void an_action_frees_what_it_takes_to_leave_its_level(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing cheap = { 0 }, dear = { 0 }, last = { 0 };
	struct baro_pressure p = pressure(BARO_LEVEL_EMERGENCY, 960000, NOW_NS);
	const uint64_t part = GIB / 1000000;

	/* 31 % of the budget down to normal, 16 % out of critical, 6 % out of the emergency. */
	add_thing(r, &cheap, "c", BARO_LEVEL_WARNING, 1, part * 40000);
	add_thing(r, &dear, "d", BARO_LEVEL_CRITICAL, 2, part * 5000);
	add_thing(r, &last, "l", BARO_LEVEL_EMERGENCY, 3, GIB);
	(void)run(r, &p, NOW_NS);
	assert_string_equal(log_text, "+c +d +l ");
	assert_int_equal(cheap.wanted_bytes, part * 40000);
	assert_int_equal(dear.wanted_bytes, part * 5000);
	/* (96 - 90) % less 4.5 %, rounding aside */
	assert_in_range(last.wanted_bytes, part * 15000 - MIB, part * 15000 + MIB);
	assert_int_equal(last.deadline_ns, BARO_PAGE_NONE);
	baro_relief_free(r);
}

static void a_level_below_an_action_s_own_leaves_it_alone(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { 0 }, b = { 0 };
	struct baro_pressure p = pressure(BARO_LEVEL_WARNING, 800000, NOW_NS);

	add_thing(r, &a, "a", BARO_LEVEL_CRITICAL, 1, GIB);
	add_thing(r, &b, "b", BARO_RELIEF_ON_REQUEST, 2, GIB);
	(void)run(r, &p, NOW_NS);
	assert_string_equal(log_text, "");
	baro_relief_free(r);
}

static void without_a_score_the_level_s_edge_stands_for_it(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { 0 };
	struct baro_pressure p = pressure(BARO_LEVEL_CRITICAL, 0, NOW_NS);

	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 1, GIB);
	(void)run(r, &p, NOW_NS);
	assert_in_range(a.wanted_bytes, GIB / 5 - MIB, GIB / 5 + MIB);
	baro_relief_free(r);
}

static void without_a_budget_no_level_asks_for_bytes(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { 0 };
	struct baro_pressure p = pressure(BARO_LEVEL_EMERGENCY, 990000, NOW_NS);

	p.budget_bytes = BARO_PAGE_NONE;
	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 1, GIB);
	(void)run(r, &p, NOW_NS);
	assert_int_equal(a.calls, 0);
	baro_relief_free(r);
}

static void a_pass_is_not_repeated_before_the_page_can_show_it(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { .chunk_bytes = MIB };
	struct baro_pressure p = pressure(BARO_LEVEL_WARNING, 720000, NOW_NS);
	struct baro_relief_outcome o;

	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 1, GIB);
	o = run(r, &p, NOW_NS);
	assert_int_equal(a.calls, 1);
	assert_in_range(o.again_ns, NOW_NS + NS_PER_S, NOW_NS + 2 * NS_PER_S);
	/* settled, but the page is the same: a daemon that sleeps */
	(void)run(r, &p, NOW_NS + 5 * NS_PER_S);
	assert_int_equal(a.calls, 1);
	p.updated_ns = NOW_NS + 5 * NS_PER_S;
	(void)run(r, &p, NOW_NS + 5 * NS_PER_S);
	assert_int_equal(a.calls, 2);
	baro_relief_free(r);
}

static void a_higher_level_is_answered_at_once(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { .chunk_bytes = MIB };
	struct baro_pressure p = pressure(BARO_LEVEL_WARNING, 720000, NOW_NS);

	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 1, GIB);
	(void)run(r, &p, NOW_NS);
	p = pressure(BARO_LEVEL_CRITICAL, 860000, NOW_NS + NS_PER_S / 10);
	(void)run(r, &p, NOW_NS + NS_PER_S / 10);
	assert_int_equal(a.calls, 2);
	baro_relief_free(r);
}

/* When the caches' memory stays with the allocator, freeing on and on would end with no cache and
 * no memory. */
static void passes_that_usage_does_not_show_become_rarer(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { .chunk_bytes = MIB };
	uint64_t now_ns = NOW_NS;

	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 1, GIB);
	for (int s = 0; s < 120; s++, now_ns += NS_PER_S / 2) {
		struct baro_pressure p = pressure(BARO_LEVEL_WARNING, 720000, now_ns);

		(void)run(r, &p, now_ns);
	}
	/* In 60 s: not 60, but one each 8 s in the end. */
	assert_in_range(a.calls, 8, 12);
	assert_int_equal(counts(r).passes_unseen, a.calls - 1);
	baro_relief_free(r);
}

static void passes_that_usage_shows_go_on_at_their_pace(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { .chunk_bytes = MIB };
	uint64_t now_ns = NOW_NS;

	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 1, GIB);
	for (int s = 0; s < 40; s++, now_ns += NS_PER_S / 2) {
		struct baro_pressure p = pressure(BARO_LEVEL_WARNING, 720000, now_ns);

		p.usage_bytes = GIB - a.calls * MIB;
		(void)run(r, &p, now_ns);
	}
	assert_in_range(a.calls, 13, 20);
	assert_int_equal(counts(r).passes_unseen, 0);
	baro_relief_free(r);
}

static void engaging_and_relaxing_follow_the_level(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing t = { .name = "refuse" };
	struct baro_relief_action a = action_of(&t, BARO_LEVEL_CRITICAL, 1);
	struct baro_pressure p = pressure(BARO_LEVEL_CRITICAL, 860000, NOW_NS);
	struct baro_relief_outcome o;

	a.available = NULL;
	a.release = NULL;
	a.engage = thing_engage;
	add(r, &t, &a);
	o = run(r, &p, NOW_NS);
	assert_int_equal(t.engaged, 1);
	assert_int_equal(t.level, BARO_LEVEL_CRITICAL);
	assert_int_equal(o.engaged, 1);
	/* not again at the same level, but at another one */
	(void)run(r, &p, NOW_NS + 1);
	assert_int_equal(t.engaged, 1);
	p.status = BARO_LEVEL_EMERGENCY;
	(void)run(r, &p, NOW_NS + 2);
	assert_int_equal(t.engaged, 2);
	assert_int_equal(t.level, BARO_LEVEL_EMERGENCY);
	assert_int_equal(counts_of(&t).engagements, 1);
	/* below its level, but not for long enough */
	p.status = BARO_LEVEL_WARNING;
	o = run(r, &p, NOW_NS + 3);
	assert_int_equal(t.relaxed, 0);
	assert_int_equal(o.engaged, 1);
	assert_true(o.again_ns <= NOW_NS + 3 + NS_PER_S);
	/* back again in between: the time starts anew */
	p.status = BARO_LEVEL_CRITICAL;
	(void)run(r, &p, NOW_NS + 4);
	p.status = BARO_LEVEL_WARNING;
	(void)run(r, &p, NOW_NS + NS_PER_S);
	(void)run(r, &p, NOW_NS + 2 * NS_PER_S - NS_PER_S / 2);
	assert_int_equal(t.relaxed, 0);
	o = run(r, &p, NOW_NS + 2 * NS_PER_S);
	assert_int_equal(t.relaxed, 1);
	assert_int_equal(t.level, BARO_LEVEL_WARNING);
	assert_int_equal(o.engaged, 0);
	(void)run(r, &p, NOW_NS + 9 * NS_PER_S);
	assert_int_equal(t.relaxed, 1);
	assert_int_equal(counts_of(&t).relaxations, 1);
	baro_relief_free(r);
}

static void what_was_freed_is_relaxed_in_the_opposite_order(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { 0 }, b = { 0 }, c = { 0 };
	struct baro_pressure p = request(20, NOW_NS + NS_PER_S, NOW_NS);

	add_thing(r, &a, "a", BARO_LEVEL_WARNING, 1, 10);
	add_thing(r, &b, "b", BARO_LEVEL_WARNING, 2, 10);
	add_thing(r, &c, "c", BARO_LEVEL_WARNING, 3, 10);
	(void)run(r, &p, NOW_NS);
	p = pressure(BARO_LEVEL_NORMAL, 0, NOW_NS + 2 * NS_PER_S);
	(void)run(r, &p, NOW_NS + 2 * NS_PER_S);
	assert_string_equal(log_text, "+a +b -b -a ");
	baro_relief_free(r);
}

static void a_daemon_that_is_gone_relaxes_everything(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing t = { .name = "refuse" };
	struct baro_relief_action a = action_of(&t, BARO_LEVEL_CRITICAL, 1);
	struct baro_pressure p = pressure(BARO_LEVEL_CRITICAL, 860000, NOW_NS);

	a.engage = thing_engage;
	add(r, &t, &a);
	(void)run(r, &p, NOW_NS);
	assert_int_equal(t.engaged, 1);
	p = (struct baro_pressure){ .status = BARO_LEVEL_UNKNOWN };
	(void)run(r, &p, NOW_NS + 1);
	(void)run(r, &p, NOW_NS + 2 * NS_PER_S);
	assert_int_equal(t.relaxed, 1);
	baro_relief_free(r);
}

static void levels_that_are_not_known_yet_are_emergencies(void **state)
{
	struct baro_relief *r = new_relief();
	struct thing a = { 0 };
	struct baro_pressure p = pressure(200, 990000, NOW_NS);

	add_thing(r, &a, "a", BARO_LEVEL_EMERGENCY, 1, GIB);
	(void)run(r, &p, NOW_NS);
	assert_int_equal(a.calls, 1);
	baro_relief_free(r);
}

static void what_was_asked_back_is_not_filled_again_at_once(void **state)
{
	const struct baro_relief_options options = { .size = sizeof(options),
						     .hold_ns = 5 * NS_PER_S };
	struct baro_pressure calm = pressure(BARO_LEVEL_NORMAL, 0, 0), asked;
	struct baro_relief *r;

	assert_int_equal(baro_relief_new(&options, &r), 0);
	assert_int_equal(baro_relief_budget(r, &calm, NS_PER_S), GIB);
	asked = request(GIB / 4, 3 * NS_PER_S, NS_PER_S);
	assert_int_equal(baro_relief_budget(r, &asked, NS_PER_S), GIB / 4 * 3);
	/* shown again while the usage falls: it is the same request */
	asked.usage_bytes = GIB / 8 * 7;
	assert_int_equal(baro_relief_budget(r, &asked, 2 * NS_PER_S), GIB / 4 * 3);
	/* half of it is done and not landed yet; then it is asked for more */
	asked.release_bytes = GIB / 8;
	asked.usage_bytes = GIB;
	assert_int_equal(baro_relief_budget(r, &asked, 2 * NS_PER_S), GIB / 4 * 3);
	asked.release_bytes = GIB / 2;
	assert_int_equal(baro_relief_budget(r, &asked, 2 * NS_PER_S), GIB / 2);
	/* over, and kept in mind; a budget that is lower counts all the same */
	assert_int_equal(baro_relief_budget(r, &calm, 7 * NS_PER_S - 1), GIB / 2);
	calm.budget_bytes = GIB / 4;
	assert_int_equal(baro_relief_budget(r, &calm, 7 * NS_PER_S - 1), GIB / 4);
	calm.budget_bytes = BARO_PAGE_NONE;
	assert_int_equal(baro_relief_budget(r, &calm, 7 * NS_PER_S), BARO_PAGE_NONE);
	/* the next request begins anew, and more than is used leaves nothing */
	asked = request(GIB / 4, 10 * NS_PER_S, 8 * NS_PER_S);
	assert_int_equal(baro_relief_budget(r, &asked, 8 * NS_PER_S), GIB / 4 * 3);
	asked = request(2 * GIB, 20 * NS_PER_S, 18 * NS_PER_S);
	assert_int_equal(baro_relief_budget(r, &asked, 18 * NS_PER_S), 0);
	baro_relief_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_met_by_the_cheapest_first),
		cmocka_unit_test(equals_go_in_the_order_of_their_registration),
		cmocka_unit_test(the_same_request_is_not_answered_twice),
		cmocka_unit_test(a_request_that_grows_is_answered_for_what_it_grew_by),
		cmocka_unit_test(what_others_freed_of_a_request_is_not_freed_again),
		cmocka_unit_test(what_would_be_late_is_left_out),
		cmocka_unit_test(who_is_busy_is_asked_again_before_the_deadline),
		cmocka_unit_test(who_gave_its_part_is_not_asked_again_while_another_is_busy),
		cmocka_unit_test(who_fails_is_passed_over_and_counted),
		cmocka_unit_test(an_epoch_is_acknowledged_when_what_was_freed_has_landed),
		cmocka_unit_test(a_new_budget_without_a_request_is_acknowledged_once),
		cmocka_unit_test(what_only_an_emergency_justifies_answers_requests_only_then),
		cmocka_unit_test(an_overdue_request_is_worked_off_like_a_level),
		cmocka_unit_test(an_action_frees_what_it_takes_to_leave_its_level),
		cmocka_unit_test(a_level_below_an_action_s_own_leaves_it_alone),
		cmocka_unit_test(without_a_score_the_level_s_edge_stands_for_it),
		cmocka_unit_test(without_a_budget_no_level_asks_for_bytes),
		cmocka_unit_test(a_pass_is_not_repeated_before_the_page_can_show_it),
		cmocka_unit_test(a_higher_level_is_answered_at_once),
		cmocka_unit_test(passes_that_usage_does_not_show_become_rarer),
		cmocka_unit_test(passes_that_usage_shows_go_on_at_their_pace),
		cmocka_unit_test(engaging_and_relaxing_follow_the_level),
		cmocka_unit_test(what_was_freed_is_relaxed_in_the_opposite_order),
		cmocka_unit_test(a_daemon_that_is_gone_relaxes_everything),
		cmocka_unit_test(what_was_asked_back_is_not_filled_again_at_once),
		cmocka_unit_test(levels_that_are_not_known_yet_are_emergencies),
	};

	return cmocka_run_group_tests_name("relief", tests, NULL, NULL);
}
