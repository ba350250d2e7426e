/* SPDX-License-Identifier: BSD-2-Clause */
/* Metrics on their way: from a registry onto a demand page, and what the daemon makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "include/barostat/metrics.h"
#include "tests/unit/thread_support.h"
#include "user/common/cleanup.h"
#include "user/daemon/demand.h"
#include "user/daemon/demand_metrics.h"
#include "user/lib/client_internal.h"

/* A client whose daemon is this test: its page is memory. */
struct pair {
	struct baro_client client;
	struct baro_demand page;
	struct baro_metrics *metrics;
};

static void open_pair(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	demand_init(&p->page);
	pthread_mutex_init(&p->client.lock, NULL);
	pthread_cond_init(&p->client.published, NULL);
	p->client.demand = &p->page;
	assert_int_equal(baro_metrics_new(&p->metrics), 0);
}

static void close_pair(struct pair *p)
{
	baro_metrics_free(p->metrics);
	pthread_cond_destroy(&p->client.published);
	pthread_mutex_destroy(&p->client.lock);
}

static void add_gauge(struct pair *p, const char *name, const char *label, const uint64_t *value)
{
	const struct baro_metric m = { .size = sizeof(m),
				       .name = name,
				       .label = label,
				       .kind = BARO_METRIC_GAUGE,
				       .value = value };

	assert_int_equal(baro_metrics_add(p->metrics, &m), 0);
}

static void add_histogram(struct pair *p, const char *name, const struct baro_histogram *h)
{
	const struct baro_metric m = { .size = sizeof(m),
				       .name = name,
				       .kind = BARO_METRIC_HISTOGRAM,
				       .unit = BARO_METRIC_NS,
				       .histogram = h };

	assert_int_equal(baro_metrics_add(p->metrics, &m), 0);
}

static struct demand_metrics shown(const struct pair *p)
{
	struct demand_metrics sum = { .metrics = 0 };
	struct demand_table t;

	if (demand_copy_table(&p->page, &t))
		demand_metrics_add(&sum, &t);
	return sum;
}

static const struct demand_metric *find(const struct demand_metrics *sum, const char *name,
					const char *label)
{
	for (uint32_t i = 0; i < sum->metrics; i++)
		if (!strcmp(sum->metric[i].name, name) && !strcmp(sum->metric[i].label, label))
			return &sum->metric[i];
	fail_msg("%s{%s} is not shown", name, label);
	return NULL;
}

/* ---- publishing ------------------------------------------------------------------------------ */

static void what_is_published_is_shown(void **state)
{
	struct baro_histogram h = { .shift = 0 };
	struct demand_metrics sum;
	struct pair p;
	uint64_t a = 7, b = UINT64_MAX;

	open_pair(&p);
	assert_int_equal(shown(&p).metrics, 0);
	add_gauge(&p, "db_b", NULL, &b);
	add_gauge(&p, "db_a", "x", &a);
	add_histogram(&p, "db_wait_seconds", &h);
	for (int i = 0; i < 100; i++)
		baro_histogram_add(&h, i < 98 ? 1000 : 1000000);
	assert_int_equal(baro_metrics_publish(p.metrics, &p.client), 6);
	sum = shown(&p);
	assert_int_equal(sum.metrics, 3);
	assert_int_equal(find(&sum, "db_a", "x")->value, 7);
	assert_int_equal(find(&sum, "db_b", "")->value, UINT64_MAX);
	assert_int_equal(find(&sum, "db_b", "")->kind, DEMAND_GAUGE);
	assert_int_equal(find(&sum, "db_wait_seconds", "")->kind, DEMAND_SUMMARY);
	assert_int_equal(find(&sum, "db_wait_seconds", "")->unit, BARO_DEMAND_UNIT_NS);
	assert_int_equal(find(&sum, "db_wait_seconds", "")->value, 100);
	assert_int_equal(find(&sum, "db_wait_seconds", "")->sum, 98 * 1000 + 2 * 1000000);
	assert_in_range(find(&sum, "db_wait_seconds", "")->p50, 513, 1024);
	assert_in_range(find(&sum, "db_wait_seconds", "")->p99, 524289, 1048576);
	/* Later values replace them. */
	a = 8;
	assert_int_equal(baro_metrics_publish(p.metrics, &p.client), 6);
	sum = shown(&p);
	assert_int_equal(find(&sum, "db_a", "x")->value, 8);
	close_pair(&p);
}

static void a_page_that_comes_later_gets_the_table_too(void **state)
{
	struct demand_metrics sum;
	struct pair p;
	uint64_t a = 7;

	open_pair(&p);
	p.client.demand = NULL;
	add_gauge(&p, "db_a", NULL, &a);
	assert_int_equal(baro_metrics_publish(p.metrics, &p.client), 1);
	p.client.demand = &p.page;
	client_say_table(&p.client);
	sum = shown(&p);
	assert_int_equal(find(&sum, "db_a", "")->value, 7);
	close_pair(&p);
}

static void a_daemon_of_minor_0_finds_its_page_as_it_was(void **state)
{
	struct baro_demand before;
	struct pair p;
	uint64_t a = 7;

	open_pair(&p);
	p.page.abi_minor = 0;
	before = p.page;
	add_gauge(&p, "db_a", NULL, &a);
	assert_int_equal(baro_metrics_publish(p.metrics, &p.client), 1);
	assert_memory_equal(&p.page, &before, sizeof(before));
	close_pair(&p);
}

static void who_came_first_is_published_when_there_is_no_room_for_all(void **state)
{
	struct baro_histogram h = { .shift = 0 };
	struct baro_metric local = { .size = sizeof(local),
				     .name = "aa_local",
				     .kind = BARO_METRIC_GAUGE,
				     .flags = BARO_METRIC_LOCAL };
	struct demand_metrics sum;
	uint64_t value = 1;
	struct pair p;

	open_pair(&p);
	local.value = &value;
	assert_int_equal(baro_metrics_add(p.metrics, &local), 0);
	for (int i = 0; i < BARO_DEMAND_METRICS - 3; i++) {
		char name[16];

		/* the later, the earlier in the alphabet */
		snprintf(name, sizeof(name), "m_%02d", 99 - i);
		add_gauge(&p, name, NULL, &value);
	}
	add_histogram(&p, "ab_seconds", &h); /* takes four lines, there are three */
	add_gauge(&p, "ac_fits", NULL, &value);
	assert_int_equal(baro_metrics_publish(p.metrics, &p.client), BARO_DEMAND_METRICS - 2);
	sum = shown(&p);
	assert_int_equal(sum.metrics, BARO_DEMAND_METRICS - 2);
	assert_non_null(find(&sum, "m_99", ""));
	assert_non_null(find(&sum, "ac_fits", ""));
	close_pair(&p);
}

static void metrics_of_a_client_are_published_until_they_are_taken_away(void **state)
{
	struct demand_metrics sum;
	struct pair p;
	uint64_t a = 7;

	open_pair(&p);
	add_gauge(&p, "db_a", NULL, &a);
	baro_client_set_metrics(&p.client, p.metrics);
	sum = shown(&p);
	assert_int_equal(find(&sum, "db_a", "")->value, 7);
	a = 8;
	client_publish(&p.client);
	sum = shown(&p);
	assert_int_equal(find(&sum, "db_a", "")->value, 8);
	baro_client_set_metrics(&p.client, NULL);
	a = 9;
	client_publish(&p.client);
	sum = shown(&p);
	assert_int_equal(find(&sum, "db_a", "")->value, 8);
	close_pair(&p);
}

static struct pair told;
static bool told_enough;

static void *say_often(void *arg)
{
	struct baro_demand_metric line[BARO_DEMAND_METRICS];

	memset(line, 0, sizeof(line));
	for (uint64_t k = 1; !is_set(&told_enough); k++) {
		for (int i = 0; i < BARO_DEMAND_METRICS; i++) {
			snprintf(line[i].name, sizeof(line[i].name), "db_%d", i);
			line[i].kind = BARO_DEMAND_METRIC_GAUGE;
			line[i].value = k;
		}
		client_say_metrics(&told.client, line, BARO_DEMAND_METRICS);
	}
	return NULL;
}

static void *copy_whole(void *arg)
{
	uint64_t until_ns = clock_now_ns() + 300 * NS_PER_MS, whole = 0;
	struct demand_table t;

	while (clock_now_ns() < until_ns || whole < 100) {
		if (!demand_copy_table(&told.page, &t))
			continue;
		whole++;
		must(t.lines == BARO_DEMAND_METRICS);
		for (uint32_t i = 1; i < t.lines; i++)
			must(t.line[i].value == t.line[0].value);
	}
	set_flag(&told_enough);
	return NULL;
}

static void a_copied_table_is_of_one_piece(void **state)
{
	void *(*const bodies[])(void *) = { say_often, copy_whole };

	open_pair(&told);
	run_together(bodies, ARRAY_SIZE(bodies), NULL);
	close_pair(&told);
}

struct slow {
	struct pair pair;
	bool inside, go, away;
};

static uint64_t read_slowly(void *arg, uint32_t which)
{
	struct slow *s = arg;

	set_flag(&s->inside);
	until(is_set(&s->go));
	must(!is_set(&s->away));
	return 1;
}

static void *publish_once(void *arg)
{
	client_publish(&((struct slow *)arg)->pair.client);
	return NULL;
}

static void *take_away_once(void *arg)
{
	struct slow *s = arg;

	baro_client_set_metrics(&s->pair.client, NULL);
	set_flag(&s->away);
	return NULL;
}

static void taking_the_metrics_away_waits_for_who_publishes_them(void **state)
{
	static struct slow s;
	const struct baro_metric slow = { .size = sizeof(slow),
					  .name = "db_slow",
					  .kind = BARO_METRIC_GAUGE,
					  .read = read_slowly,
					  .arg = &s };
	pthread_t publisher, taker;

	open_pair(&s.pair);
	assert_int_equal(baro_metrics_add(s.pair.metrics, &slow), 0);
	s.pair.client.metrics = s.pair.metrics;
	assert_int_equal(pthread_create(&publisher, NULL, publish_once, &s), 0);
	until(is_set(&s.inside));
	assert_int_equal(pthread_create(&taker, NULL, take_away_once, &s), 0);
	for (int i = 0; i < 1000; i++) { /* were it not waiting, it would be done by then */
		sched_yield();
		assert_false(is_set(&s.away));
	}
	set_flag(&s.go);
	pthread_join(publisher, NULL);
	pthread_join(taker, NULL);
	assert_true(s.away);
	close_pair(&s.pair);
}

struct race {
	struct pair pair;
	uint64_t value;
	bool stop;
};

static void *publish_often(void *arg)
{
	struct race *r = arg;

	for (int i = 0; i < 20000; i++) {
		__atomic_add_fetch(&r->value, 1, __ATOMIC_RELAXED);
		(void)baro_metrics_publish(r->pair.metrics, &r->pair.client);
	}
	set_flag(&r->stop);
	return NULL;
}

/* The sanitizer of threads would see a metric read after it was freed. */
static void *take_away_often(void *arg)
{
	struct race *r = arg;

	while (!is_set(&r->stop)) {
		struct baro_metrics *m;
		const struct baro_metric one = { .size = sizeof(one),
						 .name = "db_a",
						 .kind = BARO_METRIC_GAUGE,
						 .value = &r->value };

		must(baro_metrics_new(&m) == 0 && baro_metrics_add(m, &one) == 0);
		baro_client_set_metrics(&r->pair.client, m);
		baro_client_set_metrics(&r->pair.client, NULL);
		baro_metrics_free(m);
	}
	return NULL;
}

static void *heartbeat_often(void *arg)
{
	struct race *r = arg;

	while (!is_set(&r->stop))
		client_publish(&r->pair.client);
	return NULL;
}

static void *copy_often(void *arg)
{
	struct race *r = arg;
	struct demand_table t;

	while (!is_set(&r->stop)) {
		if (!demand_copy_table(&r->pair.page, &t))
			continue;
		must(t.lines == 1 || t.lines == 3);
		if (t.lines == 3) /* one piece: read one after the other by one publisher */
			must(t.line[0].value <= t.line[1].value &&
			     t.line[1].value <= t.line[2].value);
	}
	return NULL;
}

static void publishing_reading_and_leaving_do_not_disturb_each_other(void **state)
{
	void *(*const bodies[])(void *) = { publish_often, take_away_often, heartbeat_often,
					    copy_often };
	static struct race r;

	open_pair(&r.pair);
	add_gauge(&r.pair, "db_1", NULL, &r.value);
	add_gauge(&r.pair, "db_2", NULL, &r.value);
	add_gauge(&r.pair, "db_3", NULL, &r.value);
	run_together(bodies, ARRAY_SIZE(bodies), &r);
	close_pair(&r.pair);
}

/* ---- judging --------------------------------------------------------------------------------- */

static struct baro_demand_metric line(const char *name, const char *label, uint32_t kind,
				      uint64_t value)
{
	struct baro_demand_metric l = { .kind = (uint16_t)kind, .value = value };

	memcpy(l.name, name, strlen(name));
	memcpy(l.label, label, strlen(label));
	return l;
}

static uint32_t accepted(const struct baro_demand_metric *one)
{
	struct baro_demand page;
	struct demand_table t;

	demand_init(&page);
	page.metrics_ns = 1;
	page.metrics_count = 1;
	page.metric[0] = *one;
	assert_true(demand_copy_table(&page, &t));
	return t.lines;
}

static void lines_that_are_none_are_left_out(void **state)
{
	struct baro_demand_metric good = line("db_a", "x", BARO_DEMAND_METRIC_GAUGE, 1), l;

	assert_int_equal(accepted(&good), 1);
	l = good;
	memset(l.name, 'a', sizeof(l.name)); /* no end */
	assert_int_equal(accepted(&l), 0);
	l = good;
	l.name[20] = 'x'; /* something behind the end */
	assert_int_equal(accepted(&l), 0);
	l = good;
	memset(l.label, 'a', sizeof(l.label));
	assert_int_equal(accepted(&l), 0);
	l = line("", "", BARO_DEMAND_METRIC_GAUGE, 1);
	assert_int_equal(accepted(&l), 0);
	l = line("A", "", BARO_DEMAND_METRIC_GAUGE, 1);
	assert_int_equal(accepted(&l), 0);
	l = line("9a", "", BARO_DEMAND_METRIC_GAUGE, 1);
	assert_int_equal(accepted(&l), 0);
	l = line("a b", "", BARO_DEMAND_METRIC_GAUGE, 1);
	assert_int_equal(accepted(&l), 0);
	l = line("a", "\"}", BARO_DEMAND_METRIC_GAUGE, 1);
	assert_int_equal(accepted(&l), 0);
	l = line("a", "\x1b[31m", BARO_DEMAND_METRIC_GAUGE, 1);
	assert_int_equal(accepted(&l), 0);
	l = line("barostat_ceiling_bytes", "", BARO_DEMAND_METRIC_GAUGE, 1);
	assert_int_equal(accepted(&l), 0);
	l = good;
	l.kind = BARO_DEMAND_METRIC_NONE;
	assert_int_equal(accepted(&l), 0);
	l.kind = BARO_DEMAND_METRIC_P99 + 1;
	assert_int_equal(accepted(&l), 0);
	l = good;
	l.unit = BARO_DEMAND_UNIT_PPM + 1;
	assert_int_equal(accepted(&l), 0);
}

static void a_table_that_is_being_written_is_not_waited_for(void **state)
{
	struct demand_table t = { .lines = 9 };
	struct baro_demand page;

	demand_init(&page);
	assert_false(demand_copy_table(&page, &t));
	page.metrics_ns = 1;
	page.metrics_seq = 3;
	assert_false(demand_copy_table(&page, &t));
	assert_int_equal(t.lines, 9);
	page.metrics_seq = 4;
	page.metrics_count = UINT32_MAX;
	assert_true(demand_copy_table(&page, &t));
	assert_int_equal(t.lines, 0);
}

static void the_golden_table_reads_as_it_was_written(void **state)
{
	FILE *f = fopen("tests/fixtures/demand/v1.1.demand", "re");
	struct baro_demand page;
	struct demand_table t;

	if (!f)
		fail_msg("run from the top of the tree");
	assert_int_equal(fread(&page, 1, sizeof(page), f), sizeof(page));
	(void)fclose(f);
	assert_int_equal(page.metrics_ns, 136000042);
	assert_true(demand_copy_table(&page, &t));
	assert_int_equal(t.lines, BARO_DEMAND_METRICS);
	for (uint32_t i = 0; i < t.lines; i++) {
		char name[32], label[16];

		snprintf(name, sizeof(name), "golden_%u", i);
		snprintf(label, sizeof(label), "l%u", i);
		assert_string_equal(t.line[i].name, name);
		assert_string_equal(t.line[i].label, i ? label : "");
		assert_int_equal(t.line[i].kind, 1 + i % 6);
		assert_int_equal(t.line[i].unit, i % 4);
		assert_int_equal(t.line[i].value, i * 1000 + 42);
	}
	/* and a page of 1.0 has none */
	f = fopen("tests/fixtures/demand/v1.0.demand", "re");
	assert_non_null(f);
	assert_int_equal(fread(&page, 1, sizeof(page), f), sizeof(page));
	(void)fclose(f);
	assert_false(demand_copy_table(&page, &t));
}

/* ---- several clients ------------------------------------------------------------------------- */

static void clients_add_up_and_quantiles_are_the_highest(void **state)
{
	struct demand_metrics sum = { .metrics = 0 };
	struct demand_table t = { .lines = 6 };

	t.line[0] = line("db_x", "", BARO_DEMAND_METRIC_COUNT, 10);
	t.line[1] = line("db_x", "", BARO_DEMAND_METRIC_SUM, UINT64_MAX - 5);
	t.line[2] = line("db_x", "", BARO_DEMAND_METRIC_P50, 100);
	t.line[3] = line("db_x", "", BARO_DEMAND_METRIC_P99, 200);
	t.line[4] = line("db_a", "z", BARO_DEMAND_METRIC_COUNTER, 3);
	t.line[5] = line("db_a", "b", BARO_DEMAND_METRIC_COUNTER, 4);
	demand_metrics_add(&sum, &t);
	t.line[2].value = 50;
	t.line[3].value = 300;
	demand_metrics_add(&sum, &t);
	t.line[3].value = 250;
	demand_metrics_add(&sum, &t);
	assert_int_equal(sum.metrics, 3);
	assert_string_equal(sum.metric[0].label, "b");
	assert_int_equal(sum.metric[0].value, 12);
	assert_int_equal(sum.metric[1].value, 9);
	assert_int_equal(sum.metric[2].value, 30);
	assert_int_equal(sum.metric[2].sum, UINT64_MAX);
	assert_int_equal(sum.metric[2].p50, 100);
	assert_int_equal(sum.metric[2].p99, 300);
}

static void a_name_is_what_the_first_says_it_is(void **state)
{
	struct demand_metrics sum = { .metrics = 0 };
	struct demand_table t = { .lines = 1 };

	t.line[0] = line("db_x", "m", BARO_DEMAND_METRIC_GAUGE, 1);
	demand_metrics_add(&sum, &t);
	for (int i = 0; i < 3; i++) {
		static const char *const labels[] = { "", "m", "z" };

		t.line[0] = line("db_x", labels[i], BARO_DEMAND_METRIC_COUNTER, 5);
		demand_metrics_add(&sum, &t);
		t.line[0] = line("db_x", labels[i], BARO_DEMAND_METRIC_GAUGE, 5);
		t.line[0].unit = BARO_DEMAND_UNIT_BYTES;
		demand_metrics_add(&sum, &t);
		t.line[0] = line("db_x", labels[i], BARO_DEMAND_METRIC_COUNT, 5);
		demand_metrics_add(&sum, &t);
	}
	assert_int_equal(sum.metrics, 1);
	assert_int_equal(sum.metric[0].value, 1);
}

static void there_is_room_for_so_many_and_no_more(void **state)
{
	struct demand_metrics sum = { .metrics = 0 };
	struct demand_table t = { .lines = BARO_DEMAND_METRICS };

	for (int client = 0; client < 16; client++) {
		for (int i = 0; i < BARO_DEMAND_METRICS; i++) {
			char label[16];

			snprintf(label, sizeof(label), "%d.%d", client, i);
			t.line[i] = line("db_x", label, BARO_DEMAND_METRIC_GAUGE, 1);
		}
		demand_metrics_add(&sum, &t);
	}
	assert_int_equal(sum.metrics, DEMAND_METRICS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_published_is_shown),
		cmocka_unit_test(a_page_that_comes_later_gets_the_table_too),
		cmocka_unit_test(a_daemon_of_minor_0_finds_its_page_as_it_was),
		cmocka_unit_test(who_came_first_is_published_when_there_is_no_room_for_all),
		cmocka_unit_test(metrics_of_a_client_are_published_until_they_are_taken_away),
		cmocka_unit_test(a_copied_table_is_of_one_piece),
		cmocka_unit_test(taking_the_metrics_away_waits_for_who_publishes_them),
		cmocka_unit_test(publishing_reading_and_leaving_do_not_disturb_each_other),
		cmocka_unit_test(lines_that_are_none_are_left_out),
		cmocka_unit_test(a_table_that_is_being_written_is_not_waited_for),
		cmocka_unit_test(the_golden_table_reads_as_it_was_written),
		cmocka_unit_test(clients_add_up_and_quantiles_are_the_highest),
		cmocka_unit_test(a_name_is_what_the_first_says_it_is),
		cmocka_unit_test(there_is_room_for_so_many_and_no_more),
	};

	return cmocka_run_group_tests_name("demand metrics", tests, NULL, NULL);
}
