// SPDX-License-Identifier: BSD-2-Clause
/*
 * Memory that is not to be had: the file under test is compiled into this program once more, with
 * allocators that fail when told to.
 */
#include <stdlib.h>

static long allowed = -1; /* allocations until one fails; -1: none does */

static int spend(void)
{
	return allowed < 0 ? 1 : allowed-- > 0;
}

static void *failing_calloc(size_t count, size_t size)
{
	return spend() ? calloc(count, size) : NULL;
}

static void *failing_aligned_alloc(size_t alignment, size_t size)
{
	return spend() ? aligned_alloc(alignment, size) : NULL;
}

#define calloc        failing_calloc
#define aligned_alloc failing_aligned_alloc
/* NOLINTNEXTLINE(bugprone-suspicious-include): that it is compiled here is the point */
#include "user/lib/admission.c"
#undef calloc
#undef aligned_alloc

#include "tests/unit/admission_support.h"

static void opening_fails_cleanly_at_every_allocation(void **state)
{
	struct baro_admission *a = NULL;
	long n;

	for (n = 0;; n++) {
		allowed = n;
		if (baro_admission_open(NULL, &a) == 0)
			break;
		allowed = -1;
		assert_null(a);
	}
	allowed = -1;
	assert_int_equal(n, 2);
	baro_admission_close(a);
}

static struct baro_admission *opened(void)
{
	struct baro_admission *a;

	if (baro_admission_open(NULL, &a) < 0)
		abort();
	return a;
}

static void a_collection_that_cannot_be_opened_leaves_the_others(void **state)
{
	const struct baro_job insert = { .payload_bytes = 10 };
	struct baro_admission *a = opened();
	struct baro_collection *c = NULL, *d;
	struct baro_permit p;

	d = open_collection(a);
	allowed = 0;
	assert_int_equal(baro_collection_open(a, "docs", NULL, &c), -ENOMEM);
	assert_null(c);
	/* asking, waiting and stepping need no memory at all */
	p = acquire(d, &insert);
	assert_int_equal(baro_permit_release(&p), 0);
	allowed = -1;
	assert_int_equal(baro_collection_open(a, "docs", NULL, &c), 0);
	assert_idle(a);
	baro_admission_close(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opening_fails_cleanly_at_every_allocation),
		cmocka_unit_test(a_collection_that_cannot_be_opened_leaves_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
