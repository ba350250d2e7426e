// SPDX-License-Identifier: BSD-2-Clause
/* A governor and its metrics when an allocation fails, each of them once: all or none. */
#include "tests/unit/fault_support.h"

#include "include/barostat/governor.h"
#include "tests/unit/metrics_support.h"

#define GIB (UINT64_C(1) << 30)

/* How many metrics there are. */
static unsigned int lines_of(struct baro_metrics *metrics)
{
	unsigned int lines = 0;

	for (const char *at = metrics_text(metrics); *at; at++)
		lines += *at == '\n' && at[1] != '#';
	return lines;
}

static void come_with_metrics(struct baro_governor *g, struct baro_metrics *m,
			      struct baro_metrics *other)
{
	struct baro_budget *engine = NULL;
	unsigned int before;
	int error = baro_governor_add(g, NULL, "early", 0, 0, 1, GIB, &engine);

	if (!error)
		error = baro_governor_add_metrics(g, m, NULL);
	if (!error) {
		assert_non_null(strstr(metrics_text(m), "early"));
		error = baro_governor_add_metrics(g, other, NULL);
	} else {
		assert_string_equal(metrics_text(m), "");
	}
	assert_int_equal(error, error ? -ENOMEM : 0);
	if (error) {
		assert_string_equal(metrics_text(other), "");
		return;
	}
	before = lines_of(m);
	assert_int_equal(lines_of(other), before);
	error = baro_governor_add(g, NULL, "late", 0, 0, 1, GIB, &engine);
	assert_int_equal(error, error ? -ENOMEM : 0);
	assert_int_equal(baro_governor_find(g, "late") != NULL, !error);
	assert_int_equal(lines_of(m) > before, !error);
	assert_int_equal(lines_of(other), lines_of(m));
	/* and it can be tried again */
	if (error)
		assert_int_equal(baro_governor_add(g, NULL, "late", 0, 0, 1, GIB, &engine), 0);
	assert_true(lines_of(m) > before);
}

static void open_with_metrics(void)
{
	struct baro_metrics *m = NULL, *other = NULL;
	struct baro_governor *g = NULL;

	if (!baro_metrics_new(&m) && !baro_metrics_new(&other) && !baro_governor_open(GIB, &g))
		come_with_metrics(g, m, other);
	baro_metrics_free(m);
	baro_metrics_free(other);
	assert_int_equal(baro_governor_close(g), 0);
}

static void engines_and_their_metrics_are_there_or_they_are_not(void **state)
{
	with_every_fault(open_with_metrics, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engines_and_their_metrics_are_there_or_they_are_not),
	};

	return cmocka_run_group_tests_name("governor_faults", tests, NULL, NULL);
}
