/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "user/common/clock.h"
#include "user/common/units.h"
#include "user/daemon/history.h"

static void note(struct history *h, uint64_t before, uint64_t after, enum law_reason reason,
		 uint64_t at_ns)
{
	static struct law_estimate estimate;
	static struct law_sample sample;
	static struct law_params params;
	static struct law_engine engine;
	struct law_decision d = { .before_bytes = before,
				  .target_bytes = after,
				  .reason = reason,
				  .peer = LAW_NO_ENGINE };

	history_note_decision(h, &params, &engine, &d, &estimate, &sample, at_ns);
}

static void steps_of_one_move_are_one_entry(void **state)
{
	static struct history h;
	uint64_t t = NS_PER_S;

	memset(&h, 0, sizeof(h));
	for (uint64_t i = 0; i < 5; i++)
		note(&h, (100 + i) * MIB, (101 + i) * MIB, LAW_REASON_GAIN, t += 100 * NS_PER_MS);
	assert_int_equal(h.decisions, 1);
	assert_int_equal(history_decision_at(&h, 0)->before_bytes, 100 * MIB);
	assert_int_equal(history_decision_at(&h, 0)->target_bytes, 105 * MIB);
	assert_int_equal(history_decision_at(&h, 0)->repeats, 4);
	/* A tick's rest in between does not end a move. */
	note(&h, 105 * MIB, 105 * MIB, LAW_REASON_NONE, t += 50 * NS_PER_MS);
	note(&h, 105 * MIB, 106 * MIB, LAW_REASON_GAIN, t += 50 * NS_PER_MS);
	assert_int_equal(h.decisions, 1);
	assert_int_equal(history_decision_at(&h, 0)->target_bytes, 106 * MIB);
	/* The other way, and after a pause, are entries of their own. */
	note(&h, 106 * MIB, 104 * MIB, LAW_REASON_GAIN, t += 100 * NS_PER_MS);
	note(&h, 104 * MIB, 103 * MIB, LAW_REASON_GAIN, t += 2 * NS_PER_S);
	assert_int_equal(h.decisions, 3);
	assert_null(history_decision_at(&h, 3));
}

static void standing_still_is_noted_once(void **state)
{
	static struct history h;
	uint64_t t = NS_PER_S;

	memset(&h, 0, sizeof(h));
	for (int i = 0; i < 100; i++)
		note(&h, MIB, MIB, LAW_REASON_HYSTERESIS, t += NS_PER_S);
	assert_int_equal(h.decisions, 1);
	/* Another reason for it replaces the first, so that moves are not pushed out of the ring.
	 */
	note(&h, MIB, MIB, LAW_REASON_NONE, t += NS_PER_S);
	assert_int_equal(h.decisions, 1);
	assert_int_equal(history_decision_at(&h, 0)->reason, LAW_REASON_NONE);
	assert_int_equal(history_decision_at(&h, 0)->at_ns, 2 * NS_PER_S);
	note(&h, MIB, 2 * MIB, LAW_REASON_GAIN, t += NS_PER_S);
	note(&h, 2 * MIB, 2 * MIB, LAW_REASON_FILLING, t += NS_PER_S);
	assert_int_equal(h.decisions, 3);
}

static void the_ring_keeps_the_newest(void **state)
{
	static struct history h;
	uint64_t t = NS_PER_S;

	memset(&h, 0, sizeof(h));
	for (uint64_t i = 1; i <= 2 * HISTORY_DECISIONS + 3; i++)
		note(&h, i * MIB, (i % 2 ? 200 : 300) * MIB, LAW_REASON_GAIN, t += 2 * NS_PER_S);
	assert_int_equal(h.decisions, HISTORY_DECISIONS);
	for (uint32_t i = 0; i < HISTORY_DECISIONS; i++)
		assert_int_equal(history_decision_at(&h, i)->before_bytes,
				 (2 * HISTORY_DECISIONS + 3 - i) * MIB);
}

static void a_second_of_samples_is_one_point_with_its_worst_stall(void **state)
{
	static struct history h;
	uint64_t t = NS_PER_S;

	memset(&h, 0, sizeof(h));
	for (uint32_t i = 0; i < 10; i++)
		history_note_sample(&h, i, 0, i == 4 ? 900000 : 10, t + i * 100 * NS_PER_MS);
	history_note_sample(&h, 77, 0, 10, t + NS_PER_S);
	assert_int_equal(h.samples, 2);
	assert_int_equal(history_sample_at(&h, 1)->stall_max_ppm, 900000);
	assert_int_equal(history_sample_at(&h, 1)->usage_bytes, 9);
	assert_int_equal(history_sample_at(&h, 0)->usage_bytes, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_of_one_move_are_one_entry),
		cmocka_unit_test(standing_still_is_noted_once),
		cmocka_unit_test(the_ring_keeps_the_newest),
		cmocka_unit_test(a_second_of_samples_is_one_point_with_its_worst_stall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
