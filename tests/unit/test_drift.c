// SPDX-License-Identifier: BSD-2-Clause
/* Decay by elapsed time, and the drift between accounted and resident bytes. */
#include "tests/unit/budget_support.h"

#include <fcntl.h>
#include <math.h>

#include "include/barostat/governor.h"
#include "user/lib/decay.h"
#include "user/lib/drift.h"
#include "user/lib/rss.h"

#define HALF (5 * NS_PER_S)
#define NOW  (1000 * NS_PER_S)

static void decay_is_two_to_the_minus_elapsed(void **state)
{
	uint64_t random = 3;

	(void)state;
	assert_int_equal(decay_q30(0, HALF), DECAY_ONE);
	assert_int_equal(decay_q30(HALF, HALF), DECAY_ONE / 2);
	assert_int_equal(decay_q30(UINT64_MAX, HALF), 0);
	assert_int_equal(decay_q30(UINT64_MAX, 1), 0);
	for (int i = 0; i < 20000; i++) {
		uint64_t elapsed = next_random(&random) % (i % 2 ? 40 * HALF : HALF / 100);
		double want = exp2(-(double)elapsed / (double)HALF);
		double have = (double)decay_q30(elapsed, HALF) / (double)DECAY_ONE;

		assert_true(fabs(want - have) < 3e-7);
	}
}

/* What the seeds' moving averages got wrong. */
static void how_often_one_asks_makes_no_difference(void **state)
{
	(void)state;
	for (uint64_t step = NS_PER_S / 1000; step <= 4 * NS_PER_S; step *= 4) {
		struct drift d = { 0 };
		uint64_t now = NOW;

		drift_sample(&d, GIB, 0, GIB, now);
		for (; now + step <= NOW + 16 * NS_PER_S;)
			drift_sample(&d, GIB, 0, GIB, now += step);
		/* 2^-3.2 of it are still to come. */
		if (now == NOW + 16 * NS_PER_S)
			assert_true(llabs(d.smooth_bytes - (int64_t)(GIB - GIB * 0.108818820)) <
				    (long long)(GIB / 1000));
	}
}

static void one_sample_is_no_drift(void **state)
{
	struct drift d = { 0 };

	(void)state;
	drift_sample(&d, 100 * GIB, 0, GIB, NOW);
	assert_int_equal(d.smooth_bytes, 0);
	assert_int_equal(d.state, BARO_DRIFT_NONE);
	assert_int_equal(d.now_bytes, 100 * GIB);
	/* Nor is one after a long time more than all before. */
	drift_sample(&d, 0, 0, GIB, NOW + NS_PER_S);
	drift_sample(&d, 2 * MIB, 0, GIB, NOW + 29 * NS_PER_S);
	assert_true(d.smooth_bytes <= (int64_t)MIB + 1);
	/* Time that stands still or runs back moves nothing. */
	for (int i = 0; i < 100; i++)
		drift_sample(&d, 100 * GIB, 0, GIB, NOW + (uint64_t)(i % 3) * NS_PER_S);
	assert_true(d.smooth_bytes <= (int64_t)MIB + 1);
}

static uint64_t sample_for(struct drift *d, uint64_t rss, uint64_t accounted, uint64_t seconds,
			   uint64_t now)
{
	for (uint64_t s = 0; s < seconds; s++)
		drift_sample(d, rss, accounted, GIB, now += NS_PER_S);
	return now;
}

static void a_lasting_drift_is_found_and_its_end_too(void **state)
{
	struct drift d = { 0 };
	uint64_t now;

	(void)state;
	/* Allocators' overhead is none. */
	now = sample_for(&d, 500 * MIB, 485 * MIB, 60, NOW);
	assert_int_equal(d.state, BARO_DRIFT_NONE);
	assert_int_equal(drift_effective(&d, GIB), 0);
	/* 5 % of the scale is one. */
	now = sample_for(&d, 500 * MIB, 440 * MIB, 60, now);
	assert_int_equal(d.state, BARO_DRIFT_UNTRACKED);
	assert_int_equal(d.events, 1);
	assert_true(drift_effective(&d, GIB) > (int64_t)(35 * MIB));
	assert_true(drift_effective(&d, GIB) < (int64_t)(40 * MIB));
	/* Until it is half of that. */
	now = sample_for(&d, 500 * MIB, 470 * MIB, 60, now);
	assert_int_equal(d.state, BARO_DRIFT_UNTRACKED);
	now = sample_for(&d, 500 * MIB, 480 * MIB, 60, now);
	assert_int_equal(d.state, BARO_DRIFT_NONE);
	now = sample_for(&d, 100 * MIB, 480 * MIB, 60, now);
	assert_int_equal(d.state, BARO_DRIFT_OVERCOUNTED);
	assert_true(drift_effective(&d, GIB) < -(int64_t)(350 * MIB));
	assert_int_equal(d.events, 2);
	/* From one side to the other goes through none. */
	now = sample_for(&d, GIB, 0, 60, now);
	assert_int_equal(d.state, BARO_DRIFT_UNTRACKED);
	assert_int_equal(d.events, 3);
	(void)now;
}

static void a_drift_nobody_confirms_is_forgotten(void **state)
{
	struct drift d = { 0 };
	uint64_t now;

	(void)state;
	assert_false(drift_expire(&d, NOW));
	now = sample_for(&d, GIB, 0, 60, NOW);
	assert_false(drift_expire(&d, now + 30 * NS_PER_S));
	assert_false(drift_expire(&d, 0));
	assert_true(drift_expire(&d, now + 31 * NS_PER_S));
	assert_int_equal(d.state, BARO_DRIFT_NONE);
	assert_int_equal(d.smooth_bytes, 0);
	assert_false(drift_expire(&d, now + 62 * NS_PER_S));
}

static void any_figures_are_survived(void **state)
{
	struct drift d = { 0 };
	uint64_t random = 5;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint64_t scale = next_random(&random) >> (next_random(&random) % 64);

		drift_sample(&d, next_random(&random) >> (next_random(&random) % 64),
			     next_random(&random) >> (next_random(&random) % 64), scale,
			     next_random(&random) >> (next_random(&random) % 64));
		assert_true(d.smooth_bytes <= (INT64_C(1) << 62));
		assert_true(d.smooth_bytes >= -(INT64_C(1) << 62));
		assert_true(llabs(drift_effective(&d, scale)) <= llabs(d.smooth_bytes));
		assert_true(d.state <= BARO_DRIFT_OVERCOUNTED);
	}
}

/* ---- resident bytes -------------------------------------------------------------------------- */

static int read_status(const char *text, uint64_t *ret)
{
	char path[] = "/tmp/barostat-test-rss-XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	r = rss_read(path, ret);
	unlink(path);
	return r;
}

static void resident_bytes_are_those_no_file_backs(void **state)
{
	uint64_t bytes = 7;

	(void)state;
	assert_int_equal(read_status("Name:\tRssAnon: 5\nVmRSS:\t   9 kB\nRssAnon:\t  100 kB\n"
				     "RssFile:\t 50 kB\nRssShmem:\t 20 kB\n",
				     &bytes),
			 0);
	assert_int_equal(bytes, 120 * 1024);
	bytes = 7;
	assert_int_equal(read_status("Name:\tx\nRssAnon:\t  100 kB\n", &bytes), -ENODATA);
	assert_int_equal(read_status("Name:\tx\nRssAnon:\tx kB\nRssShmem:\t1 kB\n", &bytes),
			 -ENODATA);
	assert_int_equal(
	    read_status("Name:\tx\nRssAnon:\t99999999999999999999 kB\nRssShmem:\t1 kB\n", &bytes),
	    -ENODATA);
	assert_int_equal(rss_read("/nonexistent", &bytes), -ENOENT);
	assert_int_equal(bytes, 7);
}

static void this_process_s_resident_bytes_follow_its_memory(void **state)
{
	const size_t more = 32 * MIB;
	uint64_t before, after;
	volatile char *p = malloc(more);

	(void)state;
	assert_non_null(p);
	assert_int_equal(baro_rss_read(&before), 0);
	for (size_t i = 0; i < more; i += 4096)
		p[i] = 1;
	assert_int_equal(baro_rss_read(&after), 0);
	assert_true(after >= before + more / 2);
	free((void *)p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decay_is_two_to_the_minus_elapsed),
		cmocka_unit_test(how_often_one_asks_makes_no_difference),
		cmocka_unit_test(one_sample_is_no_drift),
		cmocka_unit_test(a_lasting_drift_is_found_and_its_end_too),
		cmocka_unit_test(a_drift_nobody_confirms_is_forgotten),
		cmocka_unit_test(any_figures_are_survived),
		cmocka_unit_test(resident_bytes_are_those_no_file_backs),
		cmocka_unit_test(this_process_s_resident_bytes_follow_its_memory),
	};

	return cmocka_run_group_tests_name("drift", tests, NULL, NULL);
}
