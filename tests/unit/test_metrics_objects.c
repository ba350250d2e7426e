/* SPDX-License-Identifier: BSD-2-Clause */
/* The metrics of the library's objects: docs/metrics.md has them all, and they say what is so. */
#include <errno.h>
#include <inttypes.h>

#include "include/barostat/barostat.h"
#include "tests/unit/doc_support.h"
#include "tests/unit/metrics_support.h"
#include "tests/unit/page_support.h"
#include "tests/unit/thread_support.h"
#include "user/common/cleanup.h"
#include "user/common/units.h"
#include "user/lib/metrics_internal.h"

#define DOC "docs/metrics.md"

struct objects {
	struct baro_metrics *metrics;
	struct baro_overflow *region;
	struct baro_relief *relief;
	struct baro_spill spill;
	struct baro_governor *governor;
	struct baro_budget *budget;
	struct baro_admission *admission;
	struct baro_memtable_group *memtables;
	struct baro_pools *pools;
	struct baro_registry *registry;
	uint64_t held_bytes;
};

static int64_t release(void *arg, uint64_t want_bytes, uint64_t deadline_ns)
{
	struct objects *o = arg;
	uint64_t bytes = min_u64(want_bytes, o->held_bytes);

	o->held_bytes -= bytes;
	return (int64_t)bytes;
}

static void engage(void *arg, uint32_t level)
{
}

static int load(void *arg, const struct baro_index *index, void **ret_object, uint64_t *ret_bytes)
{
	*ret_object = arg;
	*ret_bytes = 1000;
	return 0;
}

static void unload(void *arg, const struct baro_index *index, void *object)
{
}

/* What others of the library have. */
static void open_others(struct objects *o)
{
	const struct baro_pools_options pools = { .size = sizeof(pools),
						  .budget_bytes = 100 * MIB };
	const struct baro_registry_options indexes = {
		.size = sizeof(indexes), .load = load, .unload = unload, .arg = o
	};

	assert_int_equal(baro_governor_open(GIB, &o->governor), 0);
	assert_int_equal(baro_budget_open(NULL, "the whole", GIB, 0, &o->budget), 0);
	assert_int_equal(baro_admission_open(NULL, &o->admission), 0);
	assert_int_equal(baro_memtable_group_open(BARO_PAGE_NONE, &o->memtables), 0);
	assert_int_equal(baro_pools_open(&pools, &o->pools), 0);
	assert_int_equal(baro_registry_open(&indexes, &o->registry), 0);
	assert_int_equal(baro_governor_add_metrics(o->governor, o->metrics, NULL), 0);
	assert_int_equal(baro_budget_add_metrics(o->budget, o->metrics, NULL), 0);
	assert_int_equal(baro_admission_add_metrics(o->admission, o->metrics, NULL), 0);
	assert_int_equal(baro_memtable_group_add_metrics(o->memtables, o->metrics, NULL), 0);
	assert_int_equal(baro_pools_add_metrics(o->pools, o->metrics, NULL), 0);
	assert_int_equal(baro_registry_add_metrics(o->registry, o->metrics, NULL), 0);
}

static void open_objects(struct objects *o, const char *dir)
{
	const struct baro_overflow_options options = { .size = sizeof(options),
						       .dir = dir,
						       .flags = BARO_OVERFLOW_ALLOW_MEMORY };
	const struct baro_relief_options none = { .size = sizeof(none) };
	const struct baro_relief_action action = { .size = sizeof(action),
						   .name = "cache",
						   .from_level = BARO_LEVEL_WARNING,
						   .release = release,
						   .engage = engage,
						   .arg = o };

	memset(o, 0, sizeof(*o));
	assert_int_equal(baro_metrics_new(&o->metrics), 0);
	assert_int_equal(baro_overflow_open(&options, &o->region), 0);
	assert_int_equal(baro_spill_init(&o->spill, NULL), 0);
	assert_int_equal(baro_relief_new(&none, &o->relief), 0);
	assert_int_equal(baro_relief_add(o->relief, &action, NULL), 0);
	assert_int_equal(baro_overflow_add_metrics(o->region, o->metrics, NULL), 0);
	assert_int_equal(baro_relief_add_metrics(o->relief, o->metrics, NULL), 0);
	assert_int_equal(baro_spill_add_metrics(&o->spill, o->metrics, "sort"), 0);
	open_others(o);
}

static void close_objects(struct objects *o)
{
	baro_metrics_free(o->metrics);
	baro_overflow_close(o->region);
	baro_relief_free(o->relief);
	assert_int_equal(baro_governor_close(o->governor), 0);
	assert_int_equal(baro_budget_close(o->budget), 0);
	baro_admission_close(o->admission);
	assert_int_equal(baro_memtable_group_close(o->memtables), 0);
	baro_pools_close(o->pools);
	assert_int_equal(baro_registry_close(o->registry), 0);
}

/* The rows of the document in their order, which is that of the registry. */
static void the_document_has_them_all(void **state)
{
	struct page_dir *d = *state;
	FILE *f = doc_section(DOC, "Library");
	char line[512], name[64], kind[16], where[16], meaning[128];
	struct metric *m = NULL;
	struct objects o;
	unsigned int rows = 0;
	char last[sizeof(name)] = "";

	open_objects(&o, d->dir);
	while (doc_next_line(f, line, sizeof(line))) {
		if (sscanf(line, "| %63[a-z0-9_] | %15[a-z] | %15[a-z] | %127[^|] |", name, kind,
			   where, meaning) != 4 ||
		    !strcmp(name, "metric"))
			continue;
		do /* one row for all pools */
			assert_true(metrics_walk(o.metrics, METRICS_BY_NAME, &m));
		while (!strcmp(m->name, last));
		memcpy(last, m->name, sizeof(m->name));
		assert_string_equal(name, m->name);
		assert_string_equal(kind, baro_metric_kind_name(m->does.kind));
		assert_string_equal(where, m->does.flags & BARO_METRIC_LOCAL ? "local" : "page");
		meaning[strlen(meaning) - 1] = '\0'; /* a blank */
		assert_string_equal(meaning, m->help);
		rows++;
	}
	assert_true(rows > 10);
	assert_false(metrics_walk(o.metrics, METRICS_BY_NAME, &m));
	(void)fclose(f);
	close_objects(&o);
}

static bool says(struct objects *o, const char *line)
{
	return metrics_say(o->metrics, line);
}

static void they_say_what_is_so(void **state)
{
	struct page_dir *d = *state;
	struct baro_pressure p = { .status = BARO_LEVEL_EMERGENCY,
				   .score_ppm = 960000,
				   .updated_ns = 1,
				   .budget_bytes = 1000000,
				   .usage_bytes = 1000000 };
	struct objects o;
	void *memory;

	open_objects(&o, d->dir);
	assert_true(says(&o, "baro_overflow_used_bytes 0"));
	assert_int_equal(baro_overflow_alloc(o.region, 8192, &memory), 0);
	assert_int_equal(baro_overflow_free(o.region, &o), -EINVAL);
	assert_true(says(&o, "baro_overflow_used_bytes 8192"));
	assert_true(says(&o, "baro_overflow_max_bytes 1073741824"));
	assert_true(says(&o, "baro_overflow_live 1"));
	assert_true(says(&o, "baro_overflow_bad_frees_total 1"));
	(void)baro_spill_by_use(&o.spill, 95, 100);
	baro_spill_note_spilled(&o.spill, 20);
	assert_true(says(&o, "baro_spill_begins_total{name=\"sort\"} 1"));
	assert_true(says(&o, "baro_spill_spilled_bytes_total{name=\"sort\"} 20"));
	o.held_bytes = 1000;
	assert_int_equal(baro_relief_run(o.relief, &p, 2, NULL), 0);
	assert_true(says(&o, "baro_relief_runs_total 1"));
	assert_true(says(&o, "baro_relief_passes_total 1"));
	assert_true(says(&o, "baro_relief_freed_bytes_total 1000"));
	assert_true(says(&o, "baro_relief_action_freed_bytes_total{name=\"cache\"} 1000"));
	assert_true(says(&o, "baro_relief_action_engaged{name=\"cache\"} 1"));
	assert_true(says(&o, "baro_relief_action_calls_total{name=\"cache\"} 1"));
	close_objects(&o);
}

static void what_others_of_the_library_say_is_so(void **state)
{
	struct page_dir *d = *state;
	struct baro_reservation held;
	struct baro_index_spec index = { .name = "i" };
	struct baro_pin pin;
	struct objects o;

	open_objects(&o, d->dir);
	assert_true(says(&o, "baro_budget_limit_bytes{name=\"the_whole\"} 1073741824"));
	assert_int_equal(baro_budget_reserve(o.budget, 4096, &held, NULL), 0);
	assert_true(says(&o, "baro_budget_used_bytes{name=\"the_whole\"} 4096"));
	baro_reservation_release(&held);
	assert_true(says(&o, "baro_budget_used_bytes{name=\"the_whole\"} 0"));
	assert_true(says(&o, "baro_governor_limit_bytes 1073741824"));
	assert_true(says(&o, "baro_governor_level 1"));
	assert_true(says(&o, "baro_admission_granted_total 0"));
	assert_true(says(&o, "baro_admission_write_share_ratio 1"));
	assert_true(says(&o, "baro_memtable_group_budget_bytes +Inf"));
	assert_true(says(&o, "baro_pools_budget_bytes 104857600"));
	assert_true(says(&o, "baro_pool_share_ratio{name=\"cache\"} 0.4"));
	assert_true(says(&o, "baro_pool_share_ratio{name=\"mmap\"} 0.6"));
	assert_true(says(&o, "baro_pool_budget_bytes{name=\"mmap\"} 62914560"));
	assert_int_equal(baro_registry_add(o.registry, &index, NULL), 0);
	assert_int_equal(baro_registry_get_named(o.registry, "i", 1, &pin), 0);
	baro_pin_release(&pin);
	assert_true(says(&o, "baro_registry_indexes 1"));
	assert_true(says(&o, "baro_registry_loaded 1"));
	assert_true(says(&o, "baro_registry_loaded_bytes 1000"));
	close_objects(&o);
}

static void an_object_that_goes_takes_its_metrics_with_it(void **state)
{
	struct page_dir *d = *state;
	struct objects o;
	char text[16384];
	size_t bytes;

	open_objects(&o, d->dir);
	/* a second one of a kind needs a label */
	assert_int_equal(baro_overflow_add_metrics(o.region, o.metrics, NULL), -EEXIST);
	assert_int_equal(baro_overflow_add_metrics(o.region, o.metrics, "join"), 0);
	assert_int_equal(baro_relief_add_metrics(o.relief, o.metrics, "b"), 0);
	assert_true(says(&o, "baro_relief_action_calls_total{name=\"b.cache\"} 0"));
	assert_true(baro_metrics_remove(o.metrics, o.region) > 2);
	assert_true(baro_metrics_remove(o.metrics, o.relief) > 2);
	assert_true(baro_metrics_remove(o.metrics, &o.spill) > 2);
	assert_true(baro_metrics_remove(o.metrics, o.governor) > 2);
	assert_true(baro_metrics_remove(o.metrics, o.budget) > 2);
	assert_true(baro_metrics_remove(o.metrics, o.admission) > 2);
	assert_true(baro_metrics_remove(o.metrics, o.memtables) > 2);
	assert_true(baro_metrics_remove(o.metrics, o.pools) > 8);
	assert_true(baro_metrics_remove(o.metrics, o.registry) > 2);
	assert_int_equal(baro_metrics_format(o.metrics, text, sizeof(text), &bytes), 0);
	assert_string_equal(text, "");
	close_objects(&o);
}

/* ---- the engines of a governor --------------------------------------------------------------- */

static void add_engine(struct baro_governor *g, const char *name, int error)
{
	struct baro_budget *engine;

	assert_int_equal(baro_governor_add(g, NULL, name, 0, 0, MIB, MIB, &engine), error);
}

static void remove_engine(struct baro_governor *g, const char *name)
{
	assert_int_equal(baro_governor_remove(g, baro_governor_find(g, name)), 0);
}

static bool has_engine(struct baro_metrics *m, const char *label)
{
	char line[80];

	snprintf(line, sizeof(line), "\nbaro_budget_used_bytes{name=\"%s\"} 0\n", label);
	return strstr(metrics_text(m), line);
}

static void a_governors_metrics_have_its_engines_as_they_come_and_go(void **state)
{
	struct baro_metrics *m, *other;
	struct baro_reservation held;
	struct baro_governor *g;

	assert_int_equal(baro_metrics_new(&m), 0);
	assert_int_equal(baro_metrics_new(&other), 0);
	assert_int_equal(baro_governor_open(GIB, &g), 0);
	add_engine(g, "early", 0);
	assert_int_equal(baro_governor_add_metrics(g, m, NULL), 0);
	assert_int_equal(baro_governor_add_metrics(g, other, "db"), 0);
	add_engine(g, "late", 0);
	assert_true(has_engine(m, "early") && has_engine(m, "late"));
	assert_true(has_engine(other, "db.early") && has_engine(other, "db.late"));
	assert_int_equal(baro_budget_reserve(baro_governor_find(g, "late"), 4096, &held, NULL), 0);
	assert_true(metrics_say(m, "baro_budget_used_bytes{name=\"late\"} 4096"));
	assert_true(metrics_say(other, "baro_budget_used_bytes{name=\"db.late\"} 4096"));
	/* who stays keeps them */
	assert_int_equal(baro_governor_remove(g, baro_governor_find(g, "late")), -EBUSY);
	assert_true(metrics_say(m, "baro_budget_used_bytes{name=\"late\"} 4096"));
	baro_reservation_release(&held);
	remove_engine(g, "late");
	assert_false(has_engine(m, "late") || has_engine(other, "db.late"));
	assert_null(strstr(metrics_text(m), "late"));
	assert_true(has_engine(m, "early"));
	/* what was removed does not come back with an engine; the other goes on */
	assert_true(baro_metrics_remove(m, g) > 8);
	assert_string_equal(metrics_text(m), "");
	add_engine(g, "late", 0);
	assert_string_equal(metrics_text(m), "");
	assert_true(has_engine(other, "db.late"));
	assert_int_equal(baro_governor_add_metrics(g, m, NULL), 0);
	assert_true(has_engine(m, "late"));
	/* either may go first */
	baro_metrics_free(other);
	add_engine(g, "last", 0);
	assert_true(has_engine(m, "last"));
	assert_true(baro_metrics_remove(m, g) > 8);
	assert_int_equal(baro_governor_close(g), 0);
	baro_metrics_free(m);
}

static void a_governors_metrics_are_all_there_or_none(void **state)
{
	static uint64_t number;
	const struct baro_metric taken = { .size = sizeof(taken),
					   .name = "baro_budget_used_bytes",
					   .label = "second",
					   .kind = BARO_METRIC_GAUGE,
					   .unit = BARO_METRIC_BYTES,
					   .owner = &number,
					   .value = &number };
	struct baro_metrics *m, *other;
	struct baro_governor *g;

	assert_int_equal(baro_metrics_new(&m), 0);
	assert_int_equal(baro_metrics_new(&other), 0);
	assert_int_equal(baro_metrics_add(m, &taken), 0);
	assert_int_equal(baro_governor_open(GIB, &g), 0);
	add_engine(g, "first", 0);
	add_engine(g, "second", 0);
	assert_int_equal(baro_governor_add_metrics(g, m, NULL), -EEXIST);
	assert_null(strstr(metrics_text(m), "governor"));
	assert_false(has_engine(m, "first"));
	remove_engine(g, "second");
	assert_int_equal(baro_governor_add_metrics(g, m, NULL), 0);
	assert_int_equal(baro_governor_add_metrics(g, other, NULL), 0);
	/* an engine that cannot be in one is nowhere */
	add_engine(g, "second", -EEXIST);
	assert_null(baro_governor_find(g, "second"));
	assert_false(has_engine(other, "second"));
	assert_int_equal(baro_metrics_remove(m, &number), 1);
	add_engine(g, "second", 0);
	assert_true(has_engine(m, "second") && has_engine(other, "second"));
	baro_metrics_free(m);
	baro_metrics_free(other);
	assert_int_equal(baro_governor_close(g), 0);
}

struct fair {
	struct baro_governor *governor;
	struct baro_metrics *metrics;
	bool over;
};

static void *come_and_go(void *arg)
{
	struct fair *f = arg;

	for (int i = 0; i < 300; i++) {
		struct baro_budget *engine;

		must(baro_governor_add(f->governor, NULL, "guest", 0, 0, MIB, MIB, &engine) == 0);
		must(baro_governor_remove(f->governor, engine) == 0);
	}
	set_flag(&f->over);
	return NULL;
}

static void *scrape(void *arg)
{
	struct fair *f = arg;
	char text[16384];
	size_t bytes;

	while (!is_set(&f->over))
		must(baro_metrics_format(f->metrics, text, sizeof(text), &bytes) == 0);
	return NULL;
}

static void *register_again(void *arg)
{
	struct fair *f = arg;

	while (!is_set(&f->over)) {
		must(baro_governor_add_metrics(f->governor, f->metrics, "again") == 0);
		must(baro_metrics_remove(f->metrics, f->governor) > 8);
	}
	return NULL;
}

static void engines_come_and_go_while_they_are_read(void **state)
{
	void *(*const body[])(void *) = { come_and_go, scrape, register_again };
	struct fair f = { .over = false };

	assert_int_equal(baro_metrics_new(&f.metrics), 0);
	assert_int_equal(baro_governor_open(GIB, &f.governor), 0);
	run_together(body, 3, &f);
	assert_string_equal(metrics_text(f.metrics), "");
	assert_int_equal(baro_governor_close(f.governor), 0);
	baro_metrics_free(f.metrics);
}

/* What is published of one of each fits the page. */
static void what_is_not_local_fits_the_page(void **state)
{
	struct page_dir *d = *state;
	struct metric *m = NULL;
	struct objects o;
	uint32_t lines = 0;

	open_objects(&o, d->dir);
	while (metrics_walk(o.metrics, METRICS_BY_AGE, &m))
		if (!(m->does.flags & BARO_METRIC_LOCAL))
			lines += m->does.kind == BARO_METRIC_HISTOGRAM ? 4 : 1;
	assert_in_range(lines, 1, BARO_DEMAND_METRICS);
	close_objects(&o);
}

#define T(test) cmocka_unit_test_setup_teardown(test, page_dir_setup, page_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_document_has_them_all),
		T(they_say_what_is_so),
		T(what_others_of_the_library_say_is_so),
		T(an_object_that_goes_takes_its_metrics_with_it),
		T(what_is_not_local_fits_the_page),
		cmocka_unit_test(a_governors_metrics_have_its_engines_as_they_come_and_go),
		cmocka_unit_test(a_governors_metrics_are_all_there_or_none),
		cmocka_unit_test(engines_come_and_go_while_they_are_read),
	};

	return cmocka_run_group_tests_name("metrics of objects", tests, NULL, NULL);
}
