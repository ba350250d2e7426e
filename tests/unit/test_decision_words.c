/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/policy_host.h"
#include "user/daemon/decision_words.h"

static const struct decision_when when = { "2s ago", "For 2s its target has stayed" };

static struct history_decision decision(enum law_reason reason, uint64_t before, uint64_t after)
{
	return (struct history_decision){
		.before_bytes = before,
		.target_bytes = after,
		.usage_bytes = 77 * MIB,
		.unreclaimable_bytes = 33 * MIB,
		.refaults_per_s = 4321,
		.velocity_bytes_per_s = -5,
		.stall_ppm = 125000,
		.gain_ppm = 91000,
		.loss_ppm = 2000,
		.peer = LAW_NO_ENGINE,
		.reason = reason,
		.policy = LAW_POLICY_PROPORTIONAL,
	};
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" lacks \"%s\"", text, part);
}

static void every_decision_says_its_reason_its_policy_and_its_clamps(void **state)
{
	char buf[DECISION_WORDS_BYTES], grounds[64];

	for (int r = 0; r < LAW_REASON_COUNT; r++) {
		for (int way = -1; way <= 1; way++) {
			struct history_decision h = decision((enum law_reason)r, 100 * MIB,
							     (uint64_t)(100 + 10 * way) * MIB);

			snprintf(grounds, sizeof(grounds), " [%s; proportional policy].",
				 policy_reason_name(h.reason));
			has(decision_words(&h, &when, NULL, buf, sizeof(buf)), grounds);
			has(buf, way ? "2s ago" : "For 2s its target has stayed at 100M");
			h.clamps = LAW_CLAMP_MAX | LAW_CLAMP_STEP;
			has(decision_words(&h, &when, NULL, buf, sizeof(buf)),
			    "proportional policy; held by max, step].");
		}
	}
}

static void a_move_is_told_with_what_it_was_decided_by(void **state)
{
	struct history_decision h = decision(LAW_REASON_GAIN, 100 * MIB, 116 * MIB);
	char buf[DECISION_WORDS_BYTES];

	assert_string_equal(
	    decision_words(&h, &when, "rocks", buf, sizeof(buf)),
	    "2s ago it got 16M (100M to 116M) from rocks: it was stalled 12.5 % of "
	    "the time with 4321 refaults a second; expected to save 9.10 % here and "
	    "to cost 0.20 % there [gain; proportional policy].");
	h = decision(LAW_REASON_TARGET, 20 * MIB, 33 * MIB);
	h.stall_target_ppm = 50000;
	has(decision_words(&h, &when, NULL, buf, sizeof(buf)), "stall target of 5.0 % allows");
	h = decision(LAW_REASON_TRIAL, 100 * MIB, 97 * MIB);
	has(decision_words(&h, &when, "rocks", buf, sizeof(buf)),
	    "2s ago it gave 3M (100M to 97M) to rocks on trial, to see whether it still needs what it "
	    "has");
	h = decision(LAW_REASON_TRIAL, 97 * MIB, 100 * MIB);
	has(decision_words(&h, &when, "rocks", buf, sizeof(buf)),
	    "2s ago it got 3M (97M to 100M) that is on trial at rocks");
	h = decision(LAW_REASON_FLOOR, 20 * MIB, 33 * MIB);
	has(decision_words(&h, &when, NULL, buf, sizeof(buf)), "the 33M that cannot be reclaimed");
	h = decision(LAW_REASON_NOISE, 20 * MIB, 20 * MIB);
	has(decision_words(&h, &when, NULL, buf, sizeof(buf)),
	    "at 20M: too few samples speak for a move; 77M in use, stalled 12.5 % of the time");
	h = decision(LAW_REASON_NONE, 20 * MIB, 20 * MIB);
	has(decision_words(&h, &when, NULL, buf, sizeof(buf)), "no move would end more stalls");
	h.stall_ppm = 9999;
	has(decision_words(&h, &when, NULL, buf, sizeof(buf)), "nothing stalls enough");
	h = decision(LAW_REASON_PHASES, 20 * MIB, 20 * MIB);
	has(decision_words(&h, &when, NULL, buf, sizeof(buf)), "comes and goes too fast");
}

/* What is said of the law's own last decision on engine i, whose peer is called so. */
static const char *words_of(const struct host *h, uint32_t i, const char *peer)
{
	static struct history history;
	static char buf[DECISION_WORDS_BYTES];
	const struct history_decision *last;

	memset(&history, 0, sizeof(history));
	history_note_decision(&history, &h->params, &h->engine[i], &h->decision[i], &h->estimate[i],
			      &h->sample[i], h->now_ns);
	last = history_decision_at(&history, 0);
	assert_non_null(last);
	return decision_words(last, &when, last->peer == LAW_NO_ENGINE ? NULL : peer, buf,
			      sizeof(buf));
}

static void a_donor_is_told_what_was_gained_and_lost(void **state)
{
	struct host *h = host_new(2);
	char gain[32];
	const char *said;

	h->thrash_pages[0] = 8 * BUCKET / LAW_PAGE_BYTES;
	until(h, 0, LAW_REASON_GAIN);
	snprintf(gain, sizeof(gain), "worth more: %.2f %% of", h->decision[0].gain_ppm / 1e4);
	said = words_of(h, 1, "pg");
	has(said, " to pg, where it was ");
	has(said, gain);
	if (strstr(said, " 0.00 % of stall saved"))
		fail_msg("nothing was gained: %s", said);
	host_free(h);
}

static void nothing_is_called_free_that_was_taken(void **state)
{
	for (int urgent = 0; urgent < 2; urgent++) {
		struct host *h = host_new(2);
		const char *said;

		h->heap[0] = true;
		h->sample[0].usage_bytes = 100 * MIB;
		h->thrash_pages[1] = 8 * BUCKET / LAW_PAGE_BYTES;
		ticks(h, 200);
		h->sample[0].usage_bytes = target(h, 0);
		h->urgent = urgent ? 0 : LAW_NO_ENGINE;
		tick(h);
		said = words_of(h, 1, "heap");
		has(said, " to heap, which could not do without [donate; ");
		said = words_of(h, 0, "cache");
		has(said, ") from cache: its demand jumped to ");
		has(said, " and could not wait [burst; ");
		host_free(h);
	}
}

static void what_was_free_is_called_free(void **state)
{
	struct host *h = host_new(2);

	h->fills[1] = true;
	h->sample[1].usage_bytes = 10 * MIB;
	ticks(h, 5);
	h->urgent = 0;
	tick(h);
	has(words_of(h, 0, "pg"), " and memory was free or unused [burst; ");
	h->decision[0].reason = LAW_REASON_GAIN;
	has(words_of(h, 0, "pg"), ") from what was free: it was stalled ");
	host_free(h);
}

static void words_stay_within_their_buffer(void **state)
{
	struct history_decision h = decision(LAW_REASON_GAIN, 100 * MIB, 116 * MIB);
	char buf[DECISION_WORDS_BYTES + 1];

	h.clamps = UINT32_MAX;
	for (size_t n = 1; n <= DECISION_WORDS_BYTES; n++) {
		memset(buf, 'x', sizeof(buf));
		decision_words(&h, &when,
			       "an-engine-with-a-name-of-sixty-three-bytes-is-what-may-be", buf, n);
		assert_non_null(memchr(buf, '\0', n));
		assert_int_equal(buf[n], 'x');
	}
	/* all clamps at once fit what callers have */
	has(buf, "step, wanted].");
}

static void json_has_every_input(void **state)
{
	static const char *const inputs[] = { "usage_bytes", "stall_ppm", "refaults_per_s",
					      "unreclaimable_bytes", "velocity_bytes_per_s" };
	static const json_int_t values[] = { 77 * MIB, 125000, 4321, 33 * MIB, -5 };
	struct history_decision h = decision(LAW_REASON_DONATE, 100 * MIB, 90 * MIB);
	json_t *j, *in;

	h.clamps = LAW_CLAMP_GROUP_MAX;
	j = decision_json(&h, "pg");
	assert_non_null(j);
	in = json_object_get(j, "inputs");
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_int_equal(json_integer_value(json_object_get(in, inputs[i])), values[i]);
	assert_string_equal(json_string_value(json_object_get(j, "reason")), "donate");
	assert_string_equal(json_string_value(json_object_get(j, "policy")), "proportional");
	assert_string_equal(json_string_value(json_object_get(j, "peer")), "pg");
	assert_string_equal(json_string_value(json_array_get(json_object_get(j, "clamps"), 0)),
			    "group_max");
	json_decref(j);
	j = decision_json(&h, NULL);
	assert_true(json_is_null(json_object_get(j, "peer")));
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_decision_says_its_reason_its_policy_and_its_clamps),
		cmocka_unit_test(a_move_is_told_with_what_it_was_decided_by),
		cmocka_unit_test(a_donor_is_told_what_was_gained_and_lost),
		cmocka_unit_test(nothing_is_called_free_that_was_taken),
		cmocka_unit_test(what_was_free_is_called_free),
		cmocka_unit_test(words_stay_within_their_buffer),
		cmocka_unit_test(json_has_every_input),
	};

	return cmocka_run_group_tests_name("decision words", tests, NULL, NULL);
}
