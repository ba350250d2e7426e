/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that is only remembered to be needed, given away to see. */
#include "tests/unit/policy_host.h"

/* Engine i reads a set of that many buckets, all of it alike: it misses what it has no room for. */
static void reads_a_set(struct host *h, uint32_t i, uint64_t buckets)
{
	uint64_t set = buckets * BUCKET, has = h->state.engine[i].target_bytes;

	h->thrash_pages[i] = 0;
	if (has >= set)
		return;
	h->thrash_pages[i] = 2 * (set - has) / LAW_PAGE_BYTES;
	h->near_and_far[i] = 7;
	h->refaults_per_s[i] = 4000 * (set - has) / set;
}

/* Seconds until engine 1 has `buckets`, at most 30; counts how often engine 0 was on trial. */
static unsigned int changes_hands(struct host *h, uint64_t sets[2], uint64_t buckets,
				  unsigned int *ret_trials)
{
	*ret_trials = 0;
	for (unsigned int t = 0; t < 300; t++) {
		for (uint32_t i = 0; i < 2; i++)
			reads_a_set(h, i, sets[i]);
		tick(h);
		*ret_trials += h->decision[0].reason == LAW_REASON_TRIAL &&
			       h->decision[0].target_bytes < h->decision[0].before_bytes;
		if (target(h, 1) >= buckets * BUCKET)
			return t / 10;
	}
	return 30;
}

/* A third engine may hold a part that is not to be divided. */
static struct host *host_with_a_set_that_fits(uint64_t sets[2], uint64_t others_buckets)
{
	struct host *h = host_new(others_buckets > 0 ? 3 : 2);

	if (others_buckets > 0) {
		h->engine[2].manual = true;
		h->engine[2].manual_bytes = others_buckets * BUCKET;
	}
	for (int t = 0; t < 300; t++) {
		for (uint32_t i = 0; i < 2; i++)
			reads_a_set(h, i, sets[i]);
		tick(h);
	}
	assert_true(target(h, 0) >= sets[0] * BUCKET);
	return h;
}

static void a_set_that_has_become_smaller_is_found_out(void **state)
{
	uint64_t sets[2] = { 90, 10 };
	struct host *h = host_with_a_set_that_fits(sets, 0);
	unsigned int trials;

	sets[0] = 10;
	sets[1] = 90;
	assert_in_range(changes_hands(h, sets, 88, &trials), 0, 9);
	assert_in_range(trials, 1, 3);
	host_free(h);
}

/* However much every bit of it was worth: of a small set, that is a great deal. */
static void a_dear_set_that_has_become_smaller_is_found_out(void **state)
{
	uint64_t sets[2] = { 12, 4 };
	struct host *h = host_with_a_set_that_fits(sets, 110);
	unsigned int trials;

	for (int b = 0; b < 13; b++)
		h->estimate[0].curve[b] = LAW_ONE / 10;
	sets[0] = 4;
	sets[1] = 12;
	assert_in_range(changes_hands(h, sets, 11, &trials), 0, 19);
	assert_in_range(trials, 1, 3);
	host_free(h);
}

/* Trials of engine 0 in 25 s in which each bucket of its set is remembered to be worth so much. */
static unsigned int trials_of_a_set_worth(uint64_t each)
{
	uint64_t sets[2] = { 12, 4 };
	struct host *h = host_with_a_set_that_fits(sets, 110);
	unsigned int trials = 0;

	sets[1] = 12;
	for (unsigned int t = 0; t < 250; t++) {
		for (uint32_t i = 0; i < 2; i++)
			reads_a_set(h, i, sets[i]);
		for (int b = 0; b < 13; b++)
			h->estimate[0].curve[b] = (uint32_t)each;
		tick(h);
		trials += h->decision[0].reason == LAW_REASON_TRIAL &&
			  h->decision[0].target_bytes < h->decision[0].before_bytes;
	}
	host_free(h);
	return trials;
}

static void no_more_is_risked_than_there_is_to_gain(void **state)
{
	assert_in_range(trials_of_a_set_worth(LAW_ONE / 10), 1, 4);
	assert_int_equal(trials_of_a_set_worth(LAW_ONE), 0);
}

/* Where misses are cheap a stall takes seconds to rise: that is news too. */
static void a_need_that_comes_by_and_by_is_followed_soon(void **state)
{
	uint64_t sets[2] = { 12, 4 };
	struct host *h = host_with_a_set_that_fits(sets, 110);
	unsigned int tried = 0;

	sets[1] = 12;
	h->state.jump_ns = 1;
	h->state.engine[0].trial = (struct law_trial_state){ 0 };
	for (unsigned int t = 1; t <= 100 && tried == 0; t++) {
		for (uint32_t i = 0; i < 2; i++)
			reads_a_set(h, i, sets[i]);
		/* of the half of the time that the host makes it wait */
		h->sample[1].stall_ns[STALL_REFAULT] -= 50 * LAW_MS * (50 - law_min(t, 50)) / 50;
		for (int b = 0; b < 13; b++)
			h->estimate[0].curve[b] = LAW_ONE / 10;
		tick(h);
		if (h->decision[0].reason == LAW_REASON_TRIAL)
			tried = t;
	}
	assert_in_range(tried, 1, 60);
	host_free(h);
}

/* Both need what there is for one: the trial fails, the memory comes back, and none follows soon. */
static void who_still_needs_its_set_keeps_it(void **state)
{
	uint64_t sets[2] = { 90, 10 };
	struct host *h = host_with_a_set_that_fits(sets, 0);
	unsigned int trials;

	sets[1] = 90;
	assert_int_equal(changes_hands(h, sets, 60, &trials), 30);
	assert_in_range(trials, 1, 2);
	assert_true(target(h, 0) >= 85 * BUCKET);
	host_free(h);
}

static void a_minimum_is_not_tried(void **state)
{
	uint64_t sets[2] = { 90, 10 };
	struct host *h = host_with_a_set_that_fits(sets, 0);
	unsigned int trials;

	h->engine[0].min_bytes = target(h, 0);
	sets[0] = 10;
	sets[1] = 90;
	changes_hands(h, sets, 60, &trials);
	assert_int_equal(trials, 0);
	host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_that_has_become_smaller_is_found_out),
		cmocka_unit_test(a_dear_set_that_has_become_smaller_is_found_out),
		cmocka_unit_test(no_more_is_risked_than_there_is_to_gain),
		cmocka_unit_test(a_need_that_comes_by_and_by_is_followed_soon),
		cmocka_unit_test(who_still_needs_its_set_keeps_it),
		cmocka_unit_test(a_minimum_is_not_tried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
