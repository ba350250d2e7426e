/* SPDX-License-Identifier: BSD-2-Clause */
/* The registry of metrics: what may be in it, the text it makes, and who may come and go. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "include/barostat/metrics.h"
#include "tests/unit/thread_support.h"
#include "user/common/cleanup.h"
#include "user/lib/metrics_internal.h"

static uint64_t number = 42;

static struct baro_metrics *new_metrics(void)
{
	struct baro_metrics *m = NULL;

	must(baro_metrics_new(&m) == 0);
	return m;
}

static struct baro_metric metric(const char *name, uint32_t kind, uint32_t unit)
{
	return (struct baro_metric){ .size = sizeof(struct baro_metric),
				     .name = name,
				     .kind = kind,
				     .unit = unit,
				     .value = &number,
				     .owner = &number };
}

static int add(struct baro_metrics *m, const char *name, uint32_t kind, uint32_t unit)
{
	struct baro_metric one = metric(name, kind, unit);

	return baro_metrics_add(m, &one);
}

static char *text_of(struct baro_metrics *m)
{
	static char text[65536];
	size_t bytes = 0;

	assert_int_equal(baro_metrics_format(m, text, sizeof(text), &bytes), 0);
	assert_int_equal(strlen(text), bytes);
	return text;
}

/* ---- names ----------------------------------------------------------------------------------- */

static void names_end_in_their_unit_and_counters_in_total(void **state)
{
	static const struct {
		const char *name;
		uint32_t kind, unit;
		int expected;
	} t[] = {
		{ "db_hits_total", BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, 0 },
		{ "db_read_bytes_total", BARO_METRIC_COUNTER, BARO_METRIC_BYTES, 0 },
		{ "db_wait_seconds_total", BARO_METRIC_COUNTER, BARO_METRIC_NS, 0 },
		{ "db_open_files", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, 0 },
		{ "db_cache_bytes", BARO_METRIC_GAUGE, BARO_METRIC_BYTES, 0 },
		{ "db_hit_ratio", BARO_METRIC_GAUGE, BARO_METRIC_PPM, 0 },
		{ "db_hits", BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, -EINVAL },
		{ "db_hits_total", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, -EINVAL },
		{ "db_read_total", BARO_METRIC_COUNTER, BARO_METRIC_BYTES, -EINVAL },
		{ "db_total_bytes", BARO_METRIC_COUNTER, BARO_METRIC_BYTES, -EINVAL },
		{ "db_cache_bytes", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, -EINVAL },
		{ "db_cache_bytes", BARO_METRIC_GAUGE, BARO_METRIC_NS, -EINVAL },
		{ "db_wait_seconds_bytes", BARO_METRIC_GAUGE, BARO_METRIC_BYTES, -EINVAL },
		{ "_bytes", BARO_METRIC_GAUGE, BARO_METRIC_BYTES, -EINVAL },
		{ "", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, -EINVAL },
		{ "Hits", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, -EINVAL },
		{ "9hits", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, -EINVAL },
		{ "db-hits", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, -EINVAL },
		{ "db_hits{a=\"b\"}", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, -EINVAL },
		{ "db_hits\n", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, -EINVAL },
		/* the daemon's own */
		{ "barostat_ticks_total", BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, -EINVAL },
		{ "a23456789012345678901234567890123456789", BARO_METRIC_GAUGE, 0, 0 },
		{ "a234567890123456789012345678901234567890", BARO_METRIC_GAUGE, 0, -EINVAL },
		{ "db_kind", 0, BARO_METRIC_PLAIN, -EINVAL },
		{ "db_kind", BARO_METRIC_HISTOGRAM, BARO_METRIC_PLAIN, -EINVAL }, /* of what? */
		{ "db_kind", 4, BARO_METRIC_PLAIN, -EINVAL },
		{ "db_unit", BARO_METRIC_GAUGE, 4, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct baro_metrics *m = new_metrics();
		int r = add(m, t[i].name, t[i].kind, t[i].unit);

		if (r != t[i].expected)
			fail_msg("%s, kind %u, unit %u: %d", t[i].name, t[i].kind, t[i].unit, r);
		baro_metrics_free(m);
	}
}

static uint64_t read_number(void *arg, uint32_t which)
{
	return *(uint64_t *)arg + which;
}

static void there_is_exactly_one_source(void **state)
{
	struct baro_metrics *m = new_metrics();
	struct baro_histogram h = { .shift = 10 };
	struct baro_metric one = metric("db_x", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN);

	one.read = read_number;
	assert_int_equal(baro_metrics_add(m, &one), -EINVAL);
	one.read = NULL;
	one.value = NULL;
	assert_int_equal(baro_metrics_add(m, &one), -EINVAL);
	one.histogram = &h;
	assert_int_equal(baro_metrics_add(m, &one), -EINVAL);
	one.kind = BARO_METRIC_HISTOGRAM;
	h.shift = BARO_HISTOGRAM_SHIFT_MAX + 1;
	assert_int_equal(baro_metrics_add(m, &one), -EINVAL);
	h.shift = BARO_HISTOGRAM_SHIFT_MAX;
	one.name = "db_x_count";
	assert_int_equal(baro_metrics_add(m, &one), -EINVAL);
	one.name = "db_x";
	one.flags = 2;
	assert_int_equal(baro_metrics_add(m, &one), -EINVAL);
	one.flags = BARO_METRIC_LOCAL;
	one.size = 16;
	assert_int_equal(baro_metrics_add(m, &one), -EINVAL);
	one.size = sizeof(one);
	assert_int_equal(baro_metrics_add(m, &one), 0);
	baro_metrics_free(m);
	baro_metrics_free(NULL);
}

static void one_name_is_one_thing_under_many_labels(void **state)
{
	struct baro_metrics *m = new_metrics();
	struct baro_metric one = metric("db_x_bytes", BARO_METRIC_GAUGE, BARO_METRIC_BYTES);

	one.label = "b";
	assert_int_equal(baro_metrics_add(m, &one), 0);
	assert_int_equal(baro_metrics_add(m, &one), -EEXIST);
	one.label = "a";
	assert_int_equal(baro_metrics_add(m, &one), 0);
	one.label = NULL;
	assert_int_equal(baro_metrics_add(m, &one), 0);
	one.label = "";
	assert_int_equal(baro_metrics_add(m, &one), -EEXIST);
	/* what would have to be escaped is not there */
	one.label = "a \"label\"\n";
	assert_int_equal(baro_metrics_add(m, &one), 0);
	assert_non_null(strstr(text_of(m), "db_x_bytes{name=\"a__label__\"} 42\n"));
	one.label = "a__label__";
	assert_int_equal(baro_metrics_add(m, &one), -EEXIST);
	/* one that is too long is cut */
	one.label = "tenant/0123456789/a";
	assert_int_equal(baro_metrics_add(m, &one), 0);
	one.label = "tenant/0123456789/ab";
	assert_int_equal(baro_metrics_add(m, &one), -EEXIST);
	/* and another kind of thing needs another name, wherever it would come in the order */
	for (int i = 0; i < 3; i++) {
		static const char *const labels[] = { "0", "ab", "z" };

		one = metric("db_y", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN);
		one.label = "m";
		(void)baro_metrics_add(m, &one);
		one.kind = BARO_METRIC_HISTOGRAM;
		one.value = NULL;
		one.histogram = &(const struct baro_histogram){ .shift = 0 };
		one.label = labels[i];
		assert_int_equal(baro_metrics_add(m, &one), -EINVAL);
	}
	baro_metrics_free(m);
}

static void there_are_so_many_and_no_more(void **state)
{
	struct baro_metrics *m = new_metrics();
	struct baro_metric one = metric("db_x", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN);
	char label[16];

	one.label = label;
	for (int i = 0; i < BARO_METRICS_MAX; i++) {
		snprintf(label, sizeof(label), "%d", i);
		assert_int_equal(baro_metrics_add(m, &one), 0);
	}
	one.label = "more";
	assert_int_equal(baro_metrics_add(m, &one), -ENOSPC);
	assert_int_equal(baro_metrics_remove(m, &label), 0);
	assert_int_equal(baro_metrics_remove(m, &number), BARO_METRICS_MAX);
	assert_int_equal(baro_metrics_add(m, &one), 0);
	baro_metrics_free(m);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void the_text_is_what_prometheus_reads(void **state)
{
	struct baro_metrics *m = new_metrics();
	static uint64_t ns = 1500000000, ppm = 250000, zero;
	struct baro_metric one =
	    metric("db_wait_seconds_total", BARO_METRIC_COUNTER, BARO_METRIC_NS);

	one.value = &ns;
	one.help = "Waited, in all \\ and\nno more.";
	assert_int_equal(baro_metrics_add(m, &one), 0);
	one = metric("db_hit_ratio", BARO_METRIC_GAUGE, BARO_METRIC_PPM);
	one.value = &ppm;
	one.label = "disk";
	assert_int_equal(baro_metrics_add(m, &one), 0);
	one.label = "cache";
	one.value = &zero;
	one.help = "Share of hits.";
	assert_int_equal(baro_metrics_add(m, &one), 0);
	one = metric("db_a_bytes", BARO_METRIC_GAUGE, BARO_METRIC_BYTES);
	one.value = NULL;
	one.read = read_number;
	one.arg = &number;
	one.which = 3;
	assert_int_equal(baro_metrics_add(m, &one), 0);
	assert_string_equal(text_of(m),
			    "# TYPE db_a_bytes gauge\n"
			    "db_a_bytes 45\n"
			    "# HELP db_hit_ratio Share of hits.\n"
			    "# TYPE db_hit_ratio gauge\n"
			    "db_hit_ratio{name=\"cache\"} 0\n"
			    "db_hit_ratio{name=\"disk\"} 0.25\n"
			    "# HELP db_wait_seconds_total Waited, in all \\\\ and\\nno more.\n"
			    "# TYPE db_wait_seconds_total counter\n"
			    "db_wait_seconds_total 1.5\n");
	ns = UINT64_MAX;
	assert_non_null(strstr(text_of(m), "db_wait_seconds_total 18446744073.709551615\n"));
	/* that is a counter; in a gauge it is no limit */
	number = BARO_PAGE_NONE - 3;
	assert_non_null(strstr(text_of(m), "db_a_bytes +Inf\n"));
	number = 42;
	ns = 1;
	assert_non_null(strstr(text_of(m), "db_wait_seconds_total 0.000000001\n"));
	ns = 1000000000000;
	assert_non_null(strstr(text_of(m), "db_wait_seconds_total 1000\n"));
	baro_metrics_free(m);
}

static void a_histogram_is_cumulative(void **state)
{
	struct baro_metrics *m = new_metrics();
	struct baro_histogram h = { .shift = 10 };
	struct baro_metric one = metric("db_wait_seconds", BARO_METRIC_HISTOGRAM, BARO_METRIC_NS);
	char *text, *line;
	unsigned int lines = 0;

	one.value = NULL;
	one.histogram = &h;
	one.label = "q";
	assert_int_equal(baro_metrics_add(m, &one), 0);
	baro_histogram_add(&h, 0);
	baro_histogram_add(&h, 1024);
	baro_histogram_add(&h, 1025);
	baro_histogram_add(&h, UINT64_MAX / 2);
	text = text_of(m);
	assert_non_null(strstr(text, "# TYPE db_wait_seconds histogram\n"));
	assert_non_null(strstr(text, "db_wait_seconds_bucket{name=\"q\",le=\"0.000001024\"} 2\n"));
	assert_non_null(strstr(text, "db_wait_seconds_bucket{name=\"q\",le=\"0.000002048\"} 3\n"));
	assert_non_null(
	    strstr(text, "db_wait_seconds_bucket{name=\"q\",le=\"1099.511627776\"} 3\n"));
	assert_non_null(strstr(text, "db_wait_seconds_bucket{name=\"q\",le=\"+Inf\"} 4\n"));
	assert_non_null(strstr(text, "db_wait_seconds_sum{name=\"q\"} 9223372036.854777856\n"));
	assert_non_null(strstr(text, "db_wait_seconds_count{name=\"q\"} 4\n"));
	for (line = text; (line = strstr(line, "_bucket{")); line++)
		lines++;
	assert_int_equal(lines, BARO_HISTOGRAM_BUCKETS);
	baro_metrics_free(m);
}

static void what_does_not_fit_says_what_it_takes(void **state)
{
	struct baro_metrics *m = new_metrics();
	size_t bytes = 0, takes;
	char text[512];

	assert_int_equal(add(m, "db_a_bytes", BARO_METRIC_GAUGE, BARO_METRIC_BYTES), 0);
	assert_int_equal(add(m, "db_b_bytes", BARO_METRIC_GAUGE, BARO_METRIC_BYTES), 0);
	takes = strlen(text_of(m));
	for (size_t size = 0; size <= takes; size++) {
		char *exact = malloc(size ? size : 1); /* the sanitizer sees one byte too many */

		assert_int_equal(baro_metrics_format(m, exact, size, &bytes), -ENOBUFS);
		assert_int_equal(bytes, takes);
		free(exact);
	}
	assert_int_equal(baro_metrics_format(m, text, takes + 1, &bytes), 0);
	assert_string_equal(text, text_of(m));
	assert_int_equal(baro_metrics_format(m, NULL, 0, &bytes), -ENOBUFS);
	baro_metrics_free(m);
	m = new_metrics();
	assert_string_equal(text_of(m), "");
	baro_metrics_free(m);
}

/* ---- histograms ------------------------------------------------------------------------------ */

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The value of a rank lies in the bucket that is found: never off by more than a factor of two. */
static void quantiles_are_right_within_their_bucket(void **state)
{
	static uint64_t value[5000];
	struct baro_histogram h = { .shift = 4 };

	srandom(5);
	for (size_t i = 0; i < ARRAY_SIZE(value); i++) {
		value[i] = (uint64_t)random() >> (random() % 24);
		baro_histogram_add(&h, value[i]);
	}
	qsort(value, ARRAY_SIZE(value), sizeof(value[0]), compare_u64);
	for (uint32_t ppm = 0; ppm <= 1000000; ppm += 1000) {
		size_t rank = ((size_t)ppm * ARRAY_SIZE(value) + 999999) / 1000000;
		uint64_t truth = value[rank ? rank - 1 : 0];
		uint64_t found = baro_histogram_quantile(&h, ppm);

		if (found > 2 * truth + 16 || 2 * found + 16 < truth)
			fail_msg("%u ppm: %llu, not %llu", ppm, (unsigned long long)found,
				 (unsigned long long)truth);
	}
}

static void quantiles_of_few_values_are_those(void **state)
{
	struct baro_histogram h = { .shift = 0 };

	assert_int_equal(baro_histogram_quantile(&h, 500000), 0);
	baro_histogram_add(&h, 1024);
	assert_int_equal(baro_histogram_quantile(&h, 990000), 1024);
	assert_in_range(baro_histogram_quantile(&h, 1), 513, 1024);
	/* beyond the last bucket: at least its begin, and no guess */
	h = (struct baro_histogram){ .shift = 0 };
	baro_histogram_add(&h, UINT64_MAX);
	assert_int_equal(baro_histogram_quantile(&h, 500000), UINT64_C(1) << 30);
	assert_int_equal(baro_histogram_quantile(&h, UINT32_MAX), UINT64_C(1) << 30);
}

/* ---- coming and going ------------------------------------------------------------------------ */

struct guarded {
	struct baro_metrics *metrics;
	uint64_t *memory;
	bool inside, go, removed;
};

static uint64_t read_slowly(void *arg, uint32_t which)
{
	struct guarded *g = arg;

	set_flag(&g->inside);
	until(is_set(&g->go));
	must(!is_set(&g->removed));
	return *g->memory;
}

static void *format_once(void *arg)
{
	struct guarded *g = arg;
	char text[256];
	size_t bytes;

	must(baro_metrics_format(g->metrics, text, sizeof(text), &bytes) == 0);
	return NULL;
}

static void *remove_once(void *arg)
{
	struct guarded *g = arg;

	must(baro_metrics_remove(g->metrics, g) == 1);
	set_flag(&g->removed);
	free(g->memory);
	return NULL;
}

static void removing_waits_for_who_reads(void **state)
{
	struct guarded g = { .metrics = new_metrics(), .memory = calloc(1, 8) };
	const struct baro_metric one = { .size = sizeof(one),
					 .name = "db_slow",
					 .kind = BARO_METRIC_GAUGE,
					 .read = read_slowly,
					 .arg = &g,
					 .owner = &g };
	pthread_t reader, remover;

	assert_int_equal(baro_metrics_add(g.metrics, &one), 0);
	assert_int_equal(pthread_create(&reader, NULL, format_once, &g), 0);
	until(is_set(&g.inside));
	assert_int_equal(pthread_create(&remover, NULL, remove_once, &g), 0);
	/* Its name is free again before it is gone. */
	until(add(g.metrics, "db_slow", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN) == 0);
	set_flag(&g.go);
	pthread_join(reader, NULL);
	pthread_join(remover, NULL);
	assert_true(g.removed);
	baro_metrics_free(g.metrics);
}

static bool stop;

static void *come_and_go(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		uint64_t *memory = malloc(sizeof(*memory));
		struct baro_metric one = metric("db_guest", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN);
		char label[16];

		must(memory != NULL);
		*memory = 7;
		snprintf(label, sizeof(label), "g%d", i % 7);
		one.label = label;
		one.value = memory;
		one.owner = memory;
		must(baro_metrics_add(arg, &one) == 0);
		if (i % 3 == 0)
			sched_yield();
		must(baro_metrics_remove(arg, memory) == 1);
		free(memory);
	}
	set_flag(&stop);
	return NULL;
}

static void *format_often(void *arg)
{
	char text[4096];
	size_t bytes;

	while (!is_set(&stop)) {
		must(baro_metrics_format(arg, text, sizeof(text), &bytes) == 0);
		/* what stays is there each time, and once */
		must(strstr(text, "db_a 42\n") && strstr(text, "db_z 42\n"));
		must(strstr(strstr(text, "db_z 42\n") + 1, "db_z 42\n") == NULL);
		must(!strstr(text, "db_guest") || strstr(text, "} 7\n"));
	}
	return NULL;
}

static void what_stays_is_seen_while_others_come_and_go(void **state)
{
	struct baro_metrics *m = new_metrics();
	void *(*const bodies[])(void *) = { come_and_go, format_often, format_often };

	assert_int_equal(add(m, "db_a", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN), 0);
	assert_int_equal(add(m, "db_z", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN), 0);
	run_together(bodies, ARRAY_SIZE(bodies), m);
	baro_metrics_free(m);
}

static void of_an_object_s_metrics_all_or_none_are_registered(void **state)
{
	static const struct metric_field fields[] = {
		{ "db_one", "", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, 0, 1 },
		{ "db_two", "", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, 0, 2 },
		{ "db_two", "", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, 0, 3 },
	};
	struct baro_metrics *m = new_metrics();

	assert_int_equal(metrics_add_fields(m, fields, 2, "a", read_number, &number), 0);
	assert_int_equal(metrics_add_fields(m, fields, 3, NULL, read_number, &number), -EEXIST);
	assert_string_equal(text_of(m), "# TYPE db_one gauge\ndb_one{name=\"a\"} 43\n"
					"# TYPE db_two gauge\ndb_two{name=\"a\"} 44\n");
	baro_metrics_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_end_in_their_unit_and_counters_in_total),
		cmocka_unit_test(there_is_exactly_one_source),
		cmocka_unit_test(one_name_is_one_thing_under_many_labels),
		cmocka_unit_test(there_are_so_many_and_no_more),
		cmocka_unit_test(the_text_is_what_prometheus_reads),
		cmocka_unit_test(a_histogram_is_cumulative),
		cmocka_unit_test(what_does_not_fit_says_what_it_takes),
		cmocka_unit_test(quantiles_are_right_within_their_bucket),
		cmocka_unit_test(quantiles_of_few_values_are_those),
		cmocka_unit_test(removing_waits_for_who_reads),
		cmocka_unit_test(what_stays_is_seen_while_others_come_and_go),
		cmocka_unit_test(of_an_object_s_metrics_all_or_none_are_registered),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
