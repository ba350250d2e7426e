/* SPDX-License-Identifier: BSD-2-Clause */
/* How long what failed is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>

#include "user/common/clock.h"
#include "user/daemon/backoff.h"

static void nothing_is_held_back_that_has_not_failed(void **state)
{
	const struct backoff b = { 0 };

	assert_false(backoff_holds(&b, 0));
	assert_false(backoff_holds(&b, UINT64_MAX));
}

static void the_wait_doubles_up_to_a_minute(void **state)
{
	static const uint64_t waits_s[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };
	struct backoff b = { 0 };
	uint64_t now_ns = 7 * NS_PER_S;

	for (size_t i = 0; i < sizeof(waits_s) / sizeof(waits_s[0]); i++) {
		backoff_failed(&b, -EIO, now_ns);
		assert_true(backoff_holds(&b, now_ns + waits_s[i] * NS_PER_S - 1));
		now_ns += waits_s[i] * NS_PER_S;
		assert_false(backoff_holds(&b, now_ns));
	}
}

static void another_reason_begins_anew(void **state)
{
	struct backoff b = { 0 };

	for (int i = 0; i < 5; i++)
		backoff_failed(&b, -EIO, 0);
	backoff_failed(&b, -EACCES, 0);
	assert_true(backoff_holds(&b, NS_PER_S - 1));
	assert_false(backoff_holds(&b, NS_PER_S));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_held_back_that_has_not_failed),
		cmocka_unit_test(the_wait_doubles_up_to_a_minute),
		cmocka_unit_test(another_reason_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
