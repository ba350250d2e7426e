// SPDX-License-Identifier: BSD-2-Clause
/*
 * A kernel that no longer lets us call credit in, as after a process has forbidden itself
 * membarrier(2): what is granted fits all the same, and as soon as it can be had again, so is what
 * fits granted.
 */
#include "tests/unit/budget_support.h"

#include "tests/unit/fault_support.h"

#define UNIT  UINT64_C(4096)
#define LIMIT (UINT64_C(1) << 30)

/* Reserves and releases until credit is out. */
static void heat(struct baro_budget *b)
{
	struct baro_reservation r;

	for (unsigned int i = 0; i < 2 * BUDGET_HOT_OPS; i++) {
		assert_int_equal(baro_budget_reserve(b, UNIT, &r, NULL), 0);
		assert_int_equal(baro_reservation_release(&r), 0);
	}
}

static uint64_t slack(struct baro_budget *b)
{
	return stats_of(b).slack_bytes;
}

static int reserve_unfenced(struct baro_budget *b, uint64_t bytes, struct baro_reservation *r,
			    struct baro_refusal *why)
{
	int error;

	fault_arm_of("syscall", EPERM, 0);
	error = baro_budget_reserve(b, bytes, r, why);
	/* where there is no rseq, there is nothing to wait for */
	assert_int_equal(fault_disarm(), b->stripes.percpu);
	return error;
}

static void what_cannot_be_called_in_is_refused_and_nothing_is_granted_twice(void **state)
{
	struct baro_budget *top = open_top(*state, "top", LIMIT, 0);
	struct baro_budget *a = open_below(top, "a", LIMIT), *b = open_below(top, "b", LIMIT);
	const bool refuses = a->stripes.percpu;
	struct baro_reservation r = { 0 }, rest = { 0 };
	struct baro_refusal why;
	uint64_t lost;

	heat(a);
	lost = stripes_sum(&a->stripes);
	assert_true(lost > 0);
	if (reserve_unfenced(b, LIMIT, &r, &why) < 0) {
		assert_true(refuses);
		assert_string_equal(why.layer, "top");
		/* what is said of it is true */
		assert_int_equal(why.used_bytes, 0);
		assert_int_equal(why.left_bytes, LIMIT);
		assert_int_equal(baro_budget_used(top), 0);
		/* all but what lies there can be had, and not by `a` a second time */
		assert_int_equal(baro_budget_reserve(b, LIMIT - lost, &r, NULL), 0);
		assert_int_equal(reserve_unfenced(a, UNIT, &rest, &why), -ENOMEM);
		assert_int_equal(baro_budget_used(top), LIMIT - lost);
		/* until the kernel does it again */
		assert_int_equal(baro_budget_reserve(a, lost, &rest, NULL), 0);
		assert_int_equal(slack(top), 0);
		assert_int_equal(baro_reservation_release(&rest), 0);
	}
	assert_int_equal(baro_budget_reserve(a, LIMIT, &rest, &why), -ENOMEM);
	assert_int_equal(baro_reservation_release(&r), 0);
	close_all(a);
	close_all(b);
	close_all(top);
}

static void a_lowered_limit_holds_although_credit_lies_about(void **state)
{
	struct baro_budget *top = open_top(*state, "top", LIMIT, 0);
	struct baro_budget *a = open_below(top, "a", LIMIT);
	struct baro_reservation r;

	heat(a);
	assert_true(stripes_sum(&a->stripes) > 0);
	fault_arm_of("syscall", EPERM, 0);
	assert_int_equal(baro_budget_set_limit(top, 0), 0);
	assert_int_equal(fault_disarm(), a->stripes.percpu);
	for (int i = 0; i < 100; i++)
		assert_int_equal(baro_budget_reserve(a, UNIT, &r, NULL), -ENOMEM);
	assert_int_equal(baro_budget_used(top), 0);
	assert_int_equal(baro_budget_set_limit(top, LIMIT), 0);
	assert_int_equal(baro_budget_reserve(a, LIMIT, &r, NULL), 0);
	assert_int_equal(baro_reservation_release(&r), 0);
	close_all(a);
	close_all(top);
}

static void no_more_credit_is_handed_out_until_it_can_be_called_in(void **state)
{
	struct baro_budget *top = open_top(*state, "top", LIMIT, 0);
	struct baro_budget *a = open_below(top, "a", LIMIT), *b = open_below(top, "b", LIMIT);
	struct baro_reservation r;

	heat(a);
	if (reserve_unfenced(b, LIMIT, &r, NULL) == 0) {
		assert_int_equal(baro_reservation_release(&r), 0);
	} else {
		heat(b);
		assert_int_equal(slack(b), 0);
		assert_int_equal(baro_budget_reserve(b, LIMIT, &r, NULL), 0);
		assert_int_equal(baro_reservation_release(&r), 0);
	}
	heat(b);
	assert_true(slack(b) > 0);
	close_all(a);
	close_all(b);
	close_all(top);
}

static void budgets_close_without_the_kernel(void **state)
{
	struct baro_budget *top = open_top(*state, "top", LIMIT, 0);
	struct baro_budget *a = open_below(top, "a", LIMIT);
	const bool percpu = a->stripes.percpu;
	struct baro_reservation r;

	assert_int_equal(baro_budget_reserve(a, UNIT, &r, NULL), 0);
	heat(a);
	fault_arm_of("syscall", EPERM, 0);
	assert_int_equal(baro_budget_close(top), -EBUSY); /* another is below it */
	assert_int_equal(baro_budget_close(a), -EBUSY); /* something is reserved */
	assert_int_equal(fault_disarm(), percpu);
	assert_int_equal(baro_reservation_release(&r), 0);
	close_all(a);
	close_all(top);
	/* and with credit */
	top = open_top(*state, "top", LIMIT, 0);
	a = open_below(top, "a", LIMIT);
	heat(a);
	fault_arm_of("syscall", EPERM, 0);
	close_all(a);
	assert_int_equal(fault_disarm(), percpu);
	assert_int_equal(slack(top), 0);
	close_all(top);
	top = open_top(*state, "top", LIMIT, 0);
	a = open_below(top, "a", LIMIT);
	heat(a);
	fault_arm_of("syscall", EPERM, 0);
	assert_int_equal(budget_close_tree(top), 0);
	assert_int_equal(fault_disarm(), percpu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_EVERY_WAY(what_cannot_be_called_in_is_refused_and_nothing_is_granted_twice),
		IN_EVERY_WAY(a_lowered_limit_holds_although_credit_lies_about),
		IN_EVERY_WAY(no_more_credit_is_handed_out_until_it_can_be_called_in),
		IN_EVERY_WAY(budgets_close_without_the_kernel),
	};

	return cmocka_run_group_tests_name("budget faults", tests, NULL, NULL);
}
