// SPDX-License-Identifier: BSD-2-Clause
/* Stripes alone: no byte is lost or made, while credit is called in and handed out all the time. */
#include "tests/unit/budget_support.h"

#include <pthread.h>
#include <stdatomic.h>

#define STRIPES 4
#define CAP     UINT64_C(1000)
#define THREADS 2
#define ROUNDS  1000000u

struct arena {
	struct stripes s;
	struct stripe at[STRIPES];
	_Atomic bool done;
	_Atomic uint64_t ops;
	_Atomic uint64_t store; /* what is not in stripes, nor in hands */
};

static void arena_init(struct arena *a, const struct budget_setup *way)
{
	memset(a, 0, sizeof(*a));
	stripes_init(&a->s, a->at, STRIPES, !way->portable && stripes_percpu_usable());
}

static void a_shut_stripe_neither_gives_nor_takes(void **state)
{
	struct arena a;

	arena_init(&a, *state);
	assert_false(stripe_take(&a.s, 1));
	assert_false(stripe_put(&a.s, 1));
	stripes_open(&a.s, CAP);
	assert_false(stripe_take(&a.s, 1));
	assert_true(stripe_put(&a.s, 10));
	assert_int_equal(stripes_sum(&a.s), 10);
	assert_int_equal(stripes_cap_bytes(&a.s), CAP);
	stripes_bar(&a.s);
	assert_true(stripes_fence(&a.s));
	assert_false(stripe_put(&a.s, 1));
	assert_int_equal(stripes_sweep(&a.s), 10);
	assert_false(stripe_take(&a.s, 1));
	assert_int_equal(stripes_sum(&a.s), 0);
}

/* When the kernel refuses the fence. */
static void a_stripe_that_stays_barred_keeps_what_is_in_it_for_the_next_time(void **state)
{
	struct arena a;

	arena_init(&a, *state);
	stripes_open(&a.s, CAP);
	assert_true(stripe_put(&a.s, 10));
	stripes_bar(&a.s);
	stripes_bar(&a.s);
	assert_int_equal(stripes_sum(&a.s), 10);
	assert_false(a.s.percpu && stripe_take(&a.s, 1));
	assert_false(stripe_put(&a.s, 1));
	assert_int_equal(stripes_sweep(&a.s), 10);
	stripes_open(&a.s, CAP);
	assert_true(stripe_put(&a.s, 10));
	assert_true(stripe_take(&a.s, 10));
}

static void a_stripe_holds_its_cap_and_no_more(void **state)
{
	static const uint64_t much[] = { CAP + 1, UINT64_C(1) << 48, UINT64_C(1) << 62 };
	struct arena a;

	arena_init(&a, *state);
	for (int opening = 0; opening < 3; opening++) {
		stripes_open(&a.s, CAP);
		for (int i = 0; i < 3; i++) {
			assert_false(stripe_put(&a.s, much[i]));
			assert_false(stripe_take(&a.s, much[i]));
		}
		assert_false(stripe_take(&a.s, UINT64_MAX));
		assert_int_equal(stripes_sum(&a.s), 0);
		assert_true(stripe_put(&a.s, CAP));
		/* Another processor's is another stripe: then that one is full after this. */
		(void)stripe_put(&a.s, CAP);
		assert_true(stripes_sum(&a.s) <= CAP * STRIPES);
		assert_true(stripe_take(&a.s, CAP) || stripes_sum(&a.s) > 0);
		stripes_bar(&a.s);
		(void)stripes_sweep(&a.s);
	}
}

static uint64_t take_from_store(struct arena *a, uint64_t bytes)
{
	uint64_t store = a->store;

	do {
		if (bytes > store)
			return 0;
	} while (!atomic_compare_exchange_weak(&a->store, &store, store - bytes));
	return bytes;
}

static void *hammer(void *arg)
{
	struct arena *a = arg;
	uint64_t ops = 0;

	while (!a->done) {
		uint64_t bytes = 1 + ops++ % 16;

		if (!stripe_take(&a->s, bytes))
			bytes = take_from_store(a, bytes);
		if (bytes && !stripe_put(&a->s, bytes))
			a->store += bytes;
	}
	a->ops += ops;
	return NULL;
}

static void spin(uint32_t times)
{
	for (volatile uint32_t i = times; i; i--)
		;
}

static void nothing_is_lost_while_credit_is_called_in(void **state)
{
	pthread_t thread[THREADS];
	struct arena a;

	arena_init(&a, *state);
	a.store = 100000;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, hammer, &a), 0);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		stripes_open(&a.s, CAP - round % 500);
		spin(round % 64);
		stripes_bar(&a.s);
		assert_true(stripes_fence(&a.s));
		/* Whoever was thrown out begins again, finds it shut, and must not touch a thing.
		 */
		spin(round * 7 % 512);
		a.store += stripes_sweep(&a.s);
	}
	a.done = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(stripes_sum(&a.s), 0);
	assert_int_equal(a.store, 100000);
	assert_true(a.ops > 0);
}

int main(void)
{
#define WITH_AND_WITHOUT(f)                                                                        \
	{ #f, f, NULL, NULL, (void *)&ways[0] },                                                   \
	{                                                                                          \
#f ", without rseq", f, NULL, NULL, (void *)&ways[1]                               \
	}
	const struct CMUnitTest tests[] = {
		WITH_AND_WITHOUT(a_shut_stripe_neither_gives_nor_takes),
		WITH_AND_WITHOUT(a_stripe_that_stays_barred_keeps_what_is_in_it_for_the_next_time),
		WITH_AND_WITHOUT(a_stripe_holds_its_cap_and_no_more),
		WITH_AND_WITHOUT(nothing_is_lost_while_credit_is_called_in),
	};

	return cmocka_run_group_tests_name("stripe", tests, NULL, NULL);
}
