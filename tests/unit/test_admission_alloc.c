// SPDX-License-Identifier: BSD-2-Clause
/*
 * Memory that is not to be had: the file under test is compiled into this program once more, with
 * allocators that fail when told to.
 */
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

static uint32_t kernel_cpus; /* that it is built for; 0: it does not tell */

/* Every third is ours. */
static int told_affinity(pid_t pid, size_t bytes, cpu_set_t *set)
{
	if (!kernel_cpus || bytes * 8 < kernel_cpus) {
		errno = kernel_cpus ? EINVAL : EPERM;
		return -1;
	}
	memset(set, 0, bytes);
	for (uint32_t i = 0; i < kernel_cpus; i += 3)
		CPU_SET_S(i, bytes, set);
	return 0;
}

#define sched_getaffinity told_affinity
#define calloc            failing_calloc
#define aligned_alloc     failing_aligned_alloc
/* NOLINTNEXTLINE(bugprone-suspicious-include): that it is compiled here is the point */
#include "user/lib/admission.c"
#undef sched_getaffinity
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

static uint32_t cpus_on(uint32_t cpus)
{
	struct baro_admission *a;
	uint32_t found;

	kernel_cpus = cpus;
	a = opened();
	found = a->options.cpus;
	baro_admission_close(a);
	return found;
}

static void as_many_processors_are_found_as_a_kernel_has(void **state)
{
	assert_int_equal(cpus_on(3), 1);
	assert_int_equal(cpus_on(1024), 342);
	assert_int_equal(cpus_on(8192), 2731);
	/* not told, or more than any kernel is built for: those that are there */
	assert_int_equal(cpus_on(0), sysconf(_SC_NPROCESSORS_ONLN));
	assert_int_equal(cpus_on(1 << 20), sysconf(_SC_NPROCESSORS_ONLN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opening_fails_cleanly_at_every_allocation),
		cmocka_unit_test(as_many_processors_are_found_as_a_kernel_has),
		cmocka_unit_test(a_collection_that_cannot_be_opened_leaves_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
