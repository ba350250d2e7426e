/* SPDX-License-Identifier: BSD-2-Clause */
/* The demand page: its layout, copies of it, and how much of what it says is believed. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "tests/unit/doc_support.h"
#include "user/common/clock.h"
#include "user/common/units.h"
#include "user/daemon/demand.h"
#include "user/lib/client_internal.h"
#include "user/lib/demand_layout.h"

#define DOC      "docs/demand-protocol.md"
#define FIXTURES "tests/fixtures/demand/"
#define NOW_NS   (100 * NS_PER_S)

static const struct demand_bounds bounds = {
	.now_ns = NOW_NS, .usage_bytes = 100 * MIB, .max_bytes = 400 * MIB, .grant_epoch = 7
};

/* ---- layout ---------------------------------------------------------------------------------- */

static const struct doc_field page_fields[] = { DEMAND_PAGE_LAYOUT(DOC_FIELD) };
static const struct doc_field metric_fields[] = { DEMAND_METRIC_LAYOUT(DOC_FIELD) };
static const struct doc_field welcome_fields[] = { DEMAND_WELCOME_LAYOUT(DOC_FIELD) };

static void tables_are_the_structs(void **state)
{
	doc_check_section(DOC, "Demand page", page_fields,
			  sizeof(page_fields) / sizeof(page_fields[0]), sizeof(struct baro_demand));
	doc_check_section(DOC, "Metric", metric_fields,
			  sizeof(metric_fields) / sizeof(metric_fields[0]),
			  sizeof(struct baro_demand_metric));
	doc_check_section(DOC, "Welcome", welcome_fields,
			  sizeof(welcome_fields) / sizeof(welcome_fields[0]),
			  sizeof(struct baro_welcome));
}

static void hints_are_the_law_s(void **state)
{
	assert_int_equal(LAW_HINT_AUTO, BARO_HINT_AUTO);
	assert_int_equal(LAW_HINT_BULK_INGEST, BARO_HINT_BULK_INGEST);
	assert_int_equal(LAW_HINT_QUERY_HEAVY, BARO_HINT_QUERY_HEAVY);
	assert_int_equal(LAW_HINT_MIXED, BARO_HINT_MIXED);
	assert_int_equal(LAW_HINT_MEMORY_CONSTRAINED, BARO_HINT_MEMORY_CONSTRAINED);
}

static void read_fixture(const char *path, void *buf, size_t size)
{
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	assert_int_equal(fread(buf, 1, size, f), size);
	assert_int_equal(fgetc(f), EOF);
	(void)fclose(f);
}

static void golden_values(const char *path, struct baro_demand *page)
{
	struct demand_values v;

	read_fixture(path, page, sizeof(*page));
	assert_true(demand_copy(page, &v));
	assert_int_equal(v.hint, 2);
	assert_int_equal(v.heartbeat_ns, 72000042);
	assert_int_equal(v.accounted_bytes, 80000042);
	assert_int_equal(v.reclaimable_bytes, 88000042);
	assert_int_equal(v.wanted_bytes, 96000042);
	assert_int_equal(v.ack_epoch, 104000042);
}

static void golden_pages_read_as_they_were_written(void **state)
{
	struct baro_demand page, fresh;

	golden_values(FIXTURES "v1.0.demand", &page);
	golden_values(FIXTURES "v1.1.demand", &page);
	/* And a new page has the same identity. */
	demand_init(&fresh);
	assert_memory_equal(&fresh, &page, 64);
}

static void the_golden_welcome_is_taken(void **state)
{
	struct baro_welcome bytes, w;

	read_fixture(FIXTURES "v1.0.welcome", &bytes, sizeof(bytes));
	assert_int_equal(link_judge_welcome(&bytes, sizeof(bytes), 2, &w), 0);
	assert_int_equal(w.slot, 20042);
	assert_int_equal(w.incarnation, 24042);
	assert_int_equal(w.cgroup_id, 32000042);
	assert_string_equal(w.engine, "pg");
}

static void no_other_welcome_is_taken(void **state)
{
	struct baro_welcome good, w, out;

	read_fixture(FIXTURES "v1.0.welcome", &good, sizeof(good));
	assert_int_equal(link_judge_welcome(&good, sizeof(good) - 1, 2, &out), -EPROTO);
	assert_int_equal(link_judge_welcome(&good, sizeof(good), 1, &out), -EPROTO);
	assert_int_equal(link_judge_welcome(&good, sizeof(good), 3, &out), -EPROTO);
	w = good;
	w.magic++;
	assert_int_equal(link_judge_welcome(&w, sizeof(w), 2, &out), -EPROTO);
	w = good;
	w.abi_major = 2;
	assert_int_equal(link_judge_welcome(&w, sizeof(w), 2, &out), -EPROTONOSUPPORT);
	w = good;
	w.error = EACCES;
	assert_int_equal(link_judge_welcome(&w, sizeof(w), 0, &out), -EACCES);
	w.error = UINT32_MAX;
	assert_int_equal(link_judge_welcome(&w, sizeof(w), 0, &out), -EPROTO);
	/* A later minor version may say more. */
	w = good;
	w.abi_minor = 3;
	w.message_bytes = 512;
	assert_int_equal(link_judge_welcome(&w, sizeof(w), 2, &out), 0);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void a_page_that_is_being_written_is_not_waited_for(void **state)
{
	struct demand_values v = { .wanted_bytes = 1 };
	struct baro_demand page;

	demand_init(&page);
	page.wanted_bytes = 2;
	page.seq = 3;
	assert_false(demand_copy(&page, &v));
	assert_int_equal(v.wanted_bytes, 1);
	page.seq = 4;
	assert_true(demand_copy(&page, &v));
	assert_int_equal(v.wanted_bytes, 2);
}

static struct baro_demand shared;
static bool stop;

static void *write_pairs(void *arg)
{
	for (uint64_t i = 1; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
		uint32_t seq = shared.seq | 1;

		__atomic_store_n(&shared.seq, seq, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_RELEASE);
		__atomic_store_n(&shared.accounted_bytes, i, __ATOMIC_RELAXED);
		__atomic_store_n(&shared.ack_epoch, i, __ATOMIC_RELAXED);
		__atomic_store_n(&shared.seq, seq + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void a_copy_is_of_one_piece(void **state)
{
	uint64_t until_ns = clock_now_ns() + 200 * NS_PER_MS, whole = 0;
	struct demand_values v;
	pthread_t writer;

	assert_int_equal(pthread_create(&writer, NULL, write_pairs, NULL), 0);
	while (clock_now_ns() < until_ns || !whole) {
		if (!demand_copy(&shared, &v))
			continue;
		whole++;
		assert_int_equal(v.accounted_bytes, v.ack_epoch);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(writer, NULL);
}

/* ---- lies ------------------------------------------------------------------------------------ */

static struct demand_values honest(void)
{
	return (struct demand_values){ .hint = LAW_HINT_MIXED,
				       .heartbeat_ns = NOW_NS - NS_PER_S,
				       .accounted_bytes = 90 * MIB,
				       .reclaimable_bytes = 40 * MIB,
				       .wanted_bytes = 200 * MIB,
				       .ack_epoch = 7 };
}

static void what_can_be_true_is_believed(void **state)
{
	struct demand_values v = honest();
	struct law_demand d;

	assert_true(demand_check(&v, &bounds, &d));
	assert_int_equal(d.clients, 1);
	assert_int_equal(d.hint, LAW_HINT_MIXED);
	assert_int_equal(d.accounted_bytes, 90 * MIB);
	assert_int_equal(d.reclaimable_bytes, 40 * MIB);
	assert_int_equal(d.wanted_bytes, 200 * MIB);
	assert_int_equal(d.ack_epoch, 7);
	assert_int_equal(d.grant_epoch, 7);
}

static void who_does_not_live_is_not_heard(void **state)
{
	struct demand_values v = honest();
	struct law_demand d;

	v.heartbeat_ns = 0;
	assert_false(demand_check(&v, &bounds, &d));
	v.heartbeat_ns = NOW_NS + 1;
	assert_false(demand_check(&v, &bounds, &d));
	v.heartbeat_ns = UINT64_MAX;
	assert_false(demand_check(&v, &bounds, &d));
	v.heartbeat_ns = NOW_NS - DEMAND_HEARTBEAT_WITHIN_NS - 1;
	assert_false(demand_check(&v, &bounds, &d));
	v.heartbeat_ns++;
	assert_true(demand_check(&v, &bounds, &d));
}

static void amounts_that_cannot_be_are_cut(void **state)
{
	struct demand_values v = honest();
	struct law_demand d;

	v.accounted_bytes = v.reclaimable_bytes = v.wanted_bytes = UINT64_MAX;
	assert_true(demand_check(&v, &bounds, &d));
	assert_int_equal(d.accounted_bytes, bounds.usage_bytes);
	assert_int_equal(d.reclaimable_bytes, bounds.usage_bytes);
	assert_int_equal(d.wanted_bytes, bounds.max_bytes);
}

static void an_unknown_hint_and_an_epoch_of_tomorrow_are_nothing(void **state)
{
	struct demand_values v = honest();
	struct law_demand d;

	v.hint = LAW_HINT_COUNT;
	v.ack_epoch = bounds.grant_epoch + 1;
	assert_true(demand_check(&v, &bounds, &d));
	assert_int_equal(d.hint, LAW_HINT_AUTO);
	assert_int_equal(d.ack_epoch, 0);
}

static void clients_add_up_within_the_same_bounds(void **state)
{
	struct law_demand sum = { 0 }, a, b;
	struct demand_values v = honest();

	assert_true(demand_check(&v, &bounds, &a));
	v.ack_epoch = 5;
	v.hint = LAW_HINT_QUERY_HEAVY;
	v.wanted_bytes = 300 * MIB;
	assert_true(demand_check(&v, &bounds, &b));
	demand_add(&sum, &a, &bounds);
	assert_memory_equal(&sum, &a, sizeof(sum));
	demand_add(&sum, &b, &bounds);
	assert_int_equal(sum.clients, 2);
	assert_int_equal(sum.hint, LAW_HINT_MIXED);
	assert_int_equal(sum.accounted_bytes, 100 * MIB);
	assert_int_equal(sum.reclaimable_bytes, 80 * MIB);
	assert_int_equal(sum.wanted_bytes, 400 * MIB);
	assert_int_equal(sum.ack_epoch, 5);
	/* One that does not say what it wants leaves the sum unknown, in either order. */
	b.wanted_bytes = 0;
	demand_add(&sum, &b, &bounds);
	assert_int_equal(sum.wanted_bytes, 0);
	demand_add(&sum, &a, &bounds);
	assert_int_equal(sum.wanted_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_the_structs),
		cmocka_unit_test(hints_are_the_law_s),
		cmocka_unit_test(golden_pages_read_as_they_were_written),
		cmocka_unit_test(the_golden_welcome_is_taken),
		cmocka_unit_test(no_other_welcome_is_taken),
		cmocka_unit_test(a_page_that_is_being_written_is_not_waited_for),
		cmocka_unit_test(a_copy_is_of_one_piece),
		cmocka_unit_test(what_can_be_true_is_believed),
		cmocka_unit_test(who_does_not_live_is_not_heard),
		cmocka_unit_test(amounts_that_cannot_be_are_cut),
		cmocka_unit_test(an_unknown_hint_and_an_epoch_of_tomorrow_are_nothing),
		cmocka_unit_test(clients_add_up_within_the_same_bounds),
	};

	return cmocka_run_group_tests_name("demand", tests, NULL, NULL);
}
