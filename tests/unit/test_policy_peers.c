/* SPDX-License-Identifier: BSD-2-Clause */
/* The laws of others, each by the figures of its own description. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "user/daemon/law_internal.h"

#define MIB     (1024ull * 1024)
#define CEILING (1000 * MIB)
#define STEP    (CEILING / 50)
#define N       2

/* Estimates and samples are written by the tests themselves: these laws read little of them. */
struct host {
	struct law_params params;
	struct law_engine engine[N];
	struct law_sample sample[N];
	struct law_estimate estimate[N];
	struct law_decision decision[N];
	struct law_state state;
	struct law_workspace *workspace;
	uint64_t io_stall_ppm[N], memory_stall_ppm[N];
	bool claims[N];
	uint32_t active_percent[N]; /* of usage */
	uint64_t now_ns;
};

static struct host *host_new(enum law_policy policy, uint64_t first, uint64_t second)
{
	struct host *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	h->params = (struct law_params){
		.policy = policy, .ceiling_bytes = CEILING, .gamma_ppm = LAW_PPM, .groups = 1
	};
	h->params.group[0] = (struct law_group){ .max_bytes = CEILING, .weight = 100 };
	h->workspace = malloc(law_workspace_bytes(N));
	assert_non_null(h->workspace);
	h->now_ns = 1000 * LAW_S;
	for (uint32_t i = 0; i < N; i++) {
		h->engine[i] =
		    (struct law_engine){ .max_bytes = CEILING, .weight = 100, .active = true };
		h->sample[i].valid = (1u << 9) - 1;
		h->active_percent[i] = 100;
	}
	h->state.engine[0].target_bytes = first;
	h->state.engine[1].target_bytes = second;
	return h;
}

static void host_free(struct host *h)
{
	free(h->workspace);
	free(h);
}

static void tick(struct host *h)
{
	uint64_t dt_us = 250000;

	h->now_ns += dt_us * 1000;
	for (uint32_t i = 0; i < N; i++) {
		struct law_sample *s = &h->sample[i];

		s->usage_bytes = s->file_bytes = h->state.engine[i].target_bytes;
		s->psi_io_some_ns += h->io_stall_ppm[i] * dt_us / 1000;
		s->psi_memory_some_ns += h->memory_stall_ppm[i] * dt_us / 1000;
		h->estimate[i].evictions_per_s = h->claims[i] ? 1000 : 0;
		h->estimate[i].working_set_bytes = s->usage_bytes * h->active_percent[i] / 100;
	}
	policy_decide(&h->state, &h->params, h->engine, h->sample, h->estimate, N, LAW_NO_ENGINE,
		      h->now_ns, h->workspace, h->decision);
}

static void seconds(struct host *h, int count)
{
	for (int i = 0; i < 4 * count; i++)
		tick(h);
}

static uint64_t target(const struct host *h, uint32_t i)
{
	return h->decision[i].target_bytes;
}

static void near(uint64_t value, uint64_t expected, uint64_t slack)
{
	assert_in_range(value, expected - slack, expected + slack);
}

static void senpai_tightens_a_calm_engine_by_one_per_cent_in_six_seconds(void **state)
{
	struct host *h = host_new(LAW_POLICY_SENPAI, 400 * MIB, 100 * MIB);

	seconds(h, 6);
	assert_int_equal(target(h, 0), 400 * MIB);
	tick(h);
	near(target(h, 0), 396 * MIB, 8192);
	near(target(h, 1), 99 * MIB, 8192);
	assert_int_equal(h->decision[0].reason, LAW_REASON_POLICY);
	tick(h);
	assert_int_equal(h->decision[0].reason, LAW_REASON_NONE);
	host_free(h);
}

static void senpai_tightens_less_when_the_pressure_is_as_aimed_at(void **state)
{
	struct host *h = host_new(LAW_POLICY_SENPAI, 400 * MIB, 100 * MIB);

	h->memory_stall_ppm[0] = 10000 / 6;
	seconds(h, 6);
	tick(h);
	near(target(h, 0), 400 * MIB - 400 * MIB / 10000, 16384);
	host_free(h);
}

static void senpai_relaxes_with_the_square_of_the_excess(void **state)
{
	struct host *h = host_new(LAW_POLICY_SENPAI, 100 * MIB, 200 * MIB);

	h->memory_stall_ppm[0] = 100000; /* ten times what is aimed at, in a second */
	h->io_stall_ppm[1] = 200000; /* twenty times */
	seconds(h, 1);
	assert_int_equal(target(h, 0), 100 * MIB);
	tick(h);
	near(target(h, 0), 125 * MIB, 8192);
	near(target(h, 1), 400 * MIB, 8192);
	host_free(h);
}

static void senpai_knows_no_ceiling_but_is_held_to_it(void **state)
{
	struct host *h = host_new(LAW_POLICY_SENPAI, 500 * MIB, 400 * MIB);

	h->io_stall_ppm[0] = h->io_stall_ppm[1] = 500000;
	for (int i = 0; i < 200; i++) {
		tick(h);
		assert_true(target(h, 0) + target(h, 1) <= CEILING);
	}
	near(target(h, 0), 500 * MIB, 8192);
	host_free(h);
}

static void senpai_leaves_a_floor(void **state)
{
	struct host *h = host_new(LAW_POLICY_SENPAI, 500 * MIB, 400 * MIB);

	h->engine[0].min_bytes = 450 * MIB;
	seconds(h, 3600);
	assert_int_equal(target(h, 0), 450 * MIB);
	near(target(h, 1), CEILING / 64, MIB);
	host_free(h);
}

static void idle_pages_are_taxed_fourfold(void **state)
{
	struct host *h = host_new(LAW_POLICY_IDLE_TAX, 500 * MIB, 500 * MIB);

	h->claims[0] = true;
	h->active_percent[1] = 0;
	seconds(h, 60);
	near(target(h, 0), 800 * MIB, STEP);
	near(target(h, 1), 200 * MIB, STEP);
	assert_int_equal(h->decision[0].reason, LAW_REASON_NONE); /* and rests there */
	host_free(h);
}

static void active_pages_are_divided_by_weight(void **state)
{
	struct host *h = host_new(LAW_POLICY_IDLE_TAX, 200 * MIB, 800 * MIB);

	h->claims[0] = h->claims[1] = true;
	h->engine[0].weight = 300;
	tick(h);
	near(target(h, 0), 200 * MIB + STEP, 8192);
	assert_int_equal(h->decision[0].peer, 1);
	seconds(h, 60);
	near(target(h, 0), 750 * MIB, STEP);
	host_free(h);
}

static void the_tax_is_levied_only_when_somebody_claims(void **state)
{
	struct host *h = host_new(LAW_POLICY_IDLE_TAX, 200 * MIB, 800 * MIB);

	h->active_percent[1] = 0;
	seconds(h, 60);
	assert_int_equal(target(h, 0), 200 * MIB);
	assert_int_equal(target(h, 1), 800 * MIB);
	host_free(h);
}

static void pressure_is_levelled_a_fiftieth_at_a_time(void **state)
{
	struct host *h = host_new(LAW_POLICY_PSI, 500 * MIB, 500 * MIB);

	h->io_stall_ppm[0] = 300000;
	h->memory_stall_ppm[1] = 100000;
	tick(h); /* the first look */
	assert_int_equal(target(h, 0), 500 * MIB);
	tick(h);
	near(target(h, 0), 500 * MIB + STEP, 8192);
	near(target(h, 1), 500 * MIB - STEP, 8192);
	assert_int_equal(h->decision[0].reason, LAW_REASON_POLICY);
	h->memory_stall_ppm[1] = 300000;
	tick(h);
	assert_int_equal(h->decision[0].reason, LAW_REASON_NONE);
	h->memory_stall_ppm[1] = 400000;
	tick(h);
	near(target(h, 1), 500 * MIB, 8192);
	host_free(h);
}

static void pressure_takes_nobody_below_the_floor(void **state)
{
	struct host *h = host_new(LAW_POLICY_PSI, 500 * MIB, 500 * MIB);

	h->io_stall_ppm[0] = 300000;
	seconds(h, 60);
	near(target(h, 1), CEILING / 64, 8192);
	near(target(h, 0), CEILING - CEILING / 64, 8192);
	host_free(h);
}

static void newcomers_share_as_under_the_default_law(void **state)
{
	static const enum law_policy peers[] = { LAW_POLICY_SENPAI, LAW_POLICY_IDLE_TAX,
						 LAW_POLICY_PSI };

	for (unsigned int i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		struct host *h = host_new(peers[i], 0, 0);

		tick(h);
		assert_int_equal(h->decision[0].reason, LAW_REASON_START);
		near(target(h, 0), 500 * MIB, 8192);
		host_free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(senpai_tightens_a_calm_engine_by_one_per_cent_in_six_seconds),
		cmocka_unit_test(senpai_tightens_less_when_the_pressure_is_as_aimed_at),
		cmocka_unit_test(senpai_relaxes_with_the_square_of_the_excess),
		cmocka_unit_test(senpai_knows_no_ceiling_but_is_held_to_it),
		cmocka_unit_test(senpai_leaves_a_floor),
		cmocka_unit_test(idle_pages_are_taxed_fourfold),
		cmocka_unit_test(active_pages_are_divided_by_weight),
		cmocka_unit_test(the_tax_is_levied_only_when_somebody_claims),
		cmocka_unit_test(pressure_is_levelled_a_fiftieth_at_a_time),
		cmocka_unit_test(pressure_takes_nobody_below_the_floor),
		cmocka_unit_test(newcomers_share_as_under_the_default_law),
	};

	return cmocka_run_group_tests_name("the policies of others", tests, NULL, NULL);
}
