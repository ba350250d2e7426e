/* SPDX-License-Identifier: BSD-2-Clause */
/* Engines that replay recorded accesses: what is read from files, and what it comes to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/unit/dir_support.h"
#include "user/sim/scenario.h"

#define HEAD "[scenario]\nlength = 20s\nmeasured_from = 5s\n"

static char complaints[4096];
static char dir[PATH_MAX / 2];
static struct sim_scenario scenario;

static FILE *create(const char *name)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	return f;
}

static void put(const char *name, const char *text, size_t bytes)
{
	FILE *f = create(name);

	fwrite(text, 1, bytes, f);
	assert_int_equal(fclose(f), 0);
}

/* A scenario that stands in the directory of the traces. */
static bool load(const char *text)
{
	FILE *out = fmemopen(complaints, sizeof(complaints), "w");
	struct sim_complaints to = { .out = out, .where = "s.ini" };
	char path[PATH_MAX];
	bool ok;

	/* another file of the same name is another trace */
	sim_oracle_free();
	sim_trace_free();
	memset(complaints, 0, sizeof(complaints));
	snprintf(path, sizeof(path), "%s/s.ini", dir);
	assert_true(sim_scenario_parse("s", text, strlen(text), &to, &scenario));
	ok = sim_traces_load(&scenario, path, &to);
	fclose(out);
	assert_int_equal(ok, to.count == 0);
	return ok;
}

static const struct sim_trace *accept_bytes(const char *text, size_t bytes)
{
	put("t", text, bytes);
	if (!load(HEAD "[engine a]\nreads = trace t\n"))
		fail_msg("refused: %s", complaints);
	return scenario.engine[0].part[0].trace;
}

static const struct sim_trace *accept(const char *text)
{
	return accept_bytes(text, strlen(text));
}

static void refuse_bytes(const char *text, size_t bytes, const char *complaint)
{
	char whole[PATH_MAX];

	put("t", text, bytes);
	assert_false(load(HEAD "[engine a]\nreads = trace t\n"));
	snprintf(whole, sizeof(whole), "%s/t%s", dir, complaint);
	if (strncmp(complaints, whole, strlen(whole)) != 0)
		fail_msg("not '%s': %s", whole, complaints);
	assert_ptr_equal(strchr(complaints, '\n'), complaints + strlen(complaints) - 1);
	assert_non_null(strstr(complaints, "; allowed: "));
}

static void refuse(const char *text, const char *complaint)
{
	refuse_bytes(text, strlen(text), complaint);
}

static void pages_get_keys_in_order_of_appearance(void **state)
{
	const struct sim_trace *t =
	    accept("# comment\n\n 900\n0x10 \t# another\r\n18446744073709551615"
		   "\n16\n0900\n \n7");
	const uint32_t keys[] = { 0, 1, 2, 1, 0, 3 };

	assert_int_equal(t->accesses, 6);
	assert_int_equal(t->pages, 4);
	assert_memory_equal(t->key, keys, sizeof(keys));
}

static void many_sparse_pages_and_long_comments_are_read(void **state)
{
	FILE *f = create("t");
	const struct sim_trace *t;

	for (uint64_t i = 0; i < 40000; i++)
		fprintf(f, "0x%llx\n", (unsigned long long)(i % 20000 * 0x9e3779b97f4a7c15ull));
	fprintf(f, "#%0*d\n5 #%0*d\n", 3000, 0, 252, 0);
	fclose(f);
	assert_true(load(HEAD "[engine a]\nreads = trace t\n"));
	t = scenario.engine[0].part[0].trace;
	assert_int_equal(t->accesses, 40001);
	assert_int_equal(t->pages, 20001);
	for (uint32_t i = 0; i < 40000; i++)
		assert_int_equal(t->key[i], i % 20000);
}

static void gzip_is_read_and_a_cut_one_refused(void **state)
{
	char path[PATH_MAX], bytes[4096];
	gzFile gz;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/t.gz", dir);
	gz = gzopen(path, "w");
	for (int i = 0; i < 1000; i++)
		gzprintf(gz, "%d\n", i * 7);
	gzclose(gz);
	assert_true(load(HEAD "[engine a]\nreads = trace t.gz\n"));
	assert_int_equal(scenario.engine[0].part[0].trace->pages, 1000);
	f = fopen(path, "re");
	n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	assert_true(n > 100 && n < sizeof(bytes));
	put("t", bytes, n - 20);
	assert_false(load(HEAD "[engine a]\nreads = trace t\n"));
	assert_non_null(strstr(complaints, "cannot be read: "));
}

static void what_is_wrong_is_said_with_file_and_line(void **state)
{
	refuse("1\n2 # two\n\nabc\n5\nd\n", ":4: 'abc' is not a page number; allowed: one page ");
	refuse("-5\n", ":1: '-5' is not a page number");
	refuse("5 6\n", ":1: '5 6' is not a page number");
	refuse("0x\n", ":1: '0x' is not a page number");
	refuse("0x-1\n", ":1: '0x-1' is not a page number");
	refuse("1.5\n", ":1: '1.5' is not a page number");
	refuse("18446744073709551616\n", ":1: '18446744073709551616' is not a page number");
	refuse_bytes("1\n\033[2J\0\n", 8, ":2: '?[2J' is not a page number");
	refuse("# nothing\n\n", ": has no page number in it; allowed: ");
	refuse("", ": has no page number in it; allowed: ");
	refuse("1\n5000000000000000000000000000000000000000000000000000000\n",
	       ":2: '5000000000000000000000000000000000000000...' is not a page number");
}

static void a_missing_file_is_said_with_the_engine(void **state)
{
	char said[PATH_MAX];

	assert_false(
	    load(HEAD "[engine a]\nreads = trace none\n[engine b]\nreads = trace /none/x\n"));
	snprintf(said, sizeof(said),
		 "s.ini:4: [engine a] trace %s/none cannot be read: No such file or directory; "
		 "allowed: one page number a line",
		 dir);
	assert_non_null(strstr(complaints, said));
	/* an absolute one is taken as it is */
	assert_non_null(strstr(complaints, "s.ini:6: [engine b] trace /none/x cannot be read: "));
	assert_false(load(HEAD "[engine a]\nreads = trace .\n"));
	assert_non_null(strstr(complaints, "cannot be read: Is a directory; allowed: "));
}

static void there_may_be_only_so_many(void **state)
{
	FILE *f = create("t");

	for (uint32_t i = 0; i <= SIM_TRACE_PAGES_MAX; i++)
		fprintf(f, "%u\n", i);
	fclose(f);
	assert_false(load(HEAD "[engine a]\nreads = trace t\n"));
	assert_non_null(
	    strstr(complaints, "/t:4194305: one page too many; allowed: at most 4194304"));
	f = create("t");
	for (uint32_t i = 0; i <= SIM_TRACE_ACCESSES_MAX; i++)
		fwrite("7\n", 2, 1, f);
	fclose(f);
	assert_false(load(HEAD "[engine a]\nreads = trace t\n"));
	assert_non_null(
	    strstr(complaints, "/t:16777217: one page number too many; allowed: at most "));
}

static void a_file_is_loaded_once(void **state)
{
	const struct sim_trace *t;

	put("t", "1\n2\n", 4);
	assert_true(load(HEAD "[engine a]\nreads = trace t\n[engine b]\nreads = 50% trace t, "
			      "50% trace t\n"));
	t = scenario.engine[0].part[0].trace;
	assert_ptr_equal(t, scenario.engine[1].part[0].trace);
	assert_ptr_equal(t, scenario.engine[1].part[1].trace);
	assert_ptr_equal(t, sim_trace_coarse(t, 1));
	assert_ptr_equal(sim_trace_coarse(t, 4), sim_trace_coarse(t, 4));
}

static void one_that_was_not_loaded_is_not_run(void **state)
{
	const char *text = HEAD "[engine a]\nreads = trace t\n";
	struct sim_options options = SIM_OPTIONS;
	struct sim_complaints to = { .where = "s" };
	struct sim_result r;

	assert_true(sim_scenario_parse("s", text, strlen(text), &to, &scenario));
	assert_int_equal(sim_run(&scenario, &options, NULL, &r, NULL), -ENOENT);
}

/* -- what it comes to -- */

static void put_loop(uint32_t pages)
{
	FILE *f = create("loop");

	for (uint32_t i = 0; i < pages; i++)
		fprintf(f, "%u\n", 64 * i);
	fclose(f);
}

/* The same host with a loop that is drawn, and with one that is recorded. */
static void run_both(const struct sim_options *options, const char *drawn, const char *recorded,
		     struct sim_result *loop, struct sim_result *trace)
{
	assert_true(load(drawn));
	assert_int_equal(sim_run(&scenario, options, NULL, loop, NULL), 0);
	assert_true(load(recorded));
	assert_int_equal(sim_run(&scenario, options, NULL, trace, NULL), 0);
}

static void a_recorded_loop_is_a_loop(void **state)
{
	struct sim_options options = SIM_OPTIONS;
	struct sim_result loop, trace;

	put_loop(SIM_CEILING_PAGES / 2);
	for (options.grain = 1; options.grain <= SIM_GRAIN_MAX; options.grain *= 4) {
		run_both(&options,
			 HEAD "[engine a]\nreads = loop 50%\n[engine b]\n"
			      "reads = uniform 80%\n",
			 HEAD "[engine a]\nreads = trace loop\nreadahead = 4\n[engine b]\n"
			      "reads = uniform 80%\n",
			 &loop, &trace);
		for (int i = 0; i < 2; i++) {
			assert_true(fabs(loop.n[i] - trace.n[i]) < .01);
			assert_true(fabs(loop.target_end[i] - trace.target_end[i]) < .001);
		}
		assert_true(loop.n[0] > .9);
	}
}

static void a_part_among_others_is_a_loop_too(void **state)
{
	struct sim_options options = SIM_OPTIONS;
	struct sim_result loop, trace;

	options.grain = 4;
	put_loop(SIM_CEILING_PAGES / 4);
	run_both(&options,
		 HEAD "[engine a]\nreads = 60% loop 25%, 40% zipf 0.9 80%\n[engine b]\n"
		      "reads = uniform 80%\n",
		 HEAD "[engine a]\nreads = 60% trace loop, 40% zipf 0.9 80%\n[engine b]\n"
		      "reads = uniform 80%\n",
		 &loop, &trace);
	for (int i = 0; i < 2; i++)
		assert_true(fabs(loop.n[i] - trace.n[i]) < .02);
}

/* Half of it hits in ten pages and half of it misses, for longer than is measured of others. */
static void what_it_does_alone_is_of_all_of_it(void **state)
{
	FILE *f = create("t");
	double alone;

	for (int i = 0; i < 100000; i++)
		fprintf(f, "%d\n", i % 10);
	for (int i = 0; i < 100000; i++)
		fprintf(f, "%d\n", i % 10000);
	fclose(f);
	assert_true(load(HEAD "[engine a]\nreads = trace t\n"));
	alone = sim_throughput(&scenario.engine[0], 0, 5000, 1);
	assert_true(fabs(alone * (10e-6 + 150e-6 / 2) / 2 - 1) < .01);
	alone = sim_throughput(&scenario.engine[0], 0, 10000, 1);
	assert_true(fabs(alone * 10e-6 / 2 - 1) < .01);
}

/* A tree's root and leaves of very different heat, all over the file. */
static void a_coarser_grain_is_the_same_engine(void **state)
{
	struct sim_rng rng = { 5 };
	FILE *f = create("t");

	for (int i = 0; i < 200000; i++) {
		uint64_t rank = (uint64_t)pow(12000, sim_uniform(&rng));

		fprintf(f, "1\n0x%x\n", (uint32_t)rank * 0x9e3779b1u);
	}
	fclose(f);
	assert_true(load(HEAD "[engine a]\nreads = trace t\n"));
	for (uint32_t grain = 4; grain <= SIM_GRAIN_MAX; grain *= 2)
		for (uint32_t pages = 1024; pages <= 8192; pages *= 2) {
			double fine = sim_throughput(&scenario.engine[0], 0, pages, 1);
			double coarse =
			    sim_throughput(&scenario.engine[0], 0, pages / grain, grain);

			/* an operation is `grain` times as long */
			if (fabs(coarse * grain / fine - 1) > .08)
				fail_msg("%u pages at grain %u: %.3f", pages, grain,
					 coarse * grain / fine);
		}
}

static void one_that_is_too_small_for_the_grain_is_something(void **state)
{
	const struct sim_trace *t = accept("1\n2\n3\n2\n");

	for (uint32_t grain = 2; grain <= SIM_GRAIN_MAX; grain *= 2) {
		const struct sim_trace *coarse = sim_trace_coarse(t, grain);

		assert_true(coarse->accesses >= 1 && coarse->pages >= 1 && coarse->pages <= 2);
		for (uint32_t i = 0; i < coarse->accesses; i++)
			assert_true(coarse->key[i] < coarse->pages);
	}
}

static int setup(void **state)
{
	return dir_make("scenario", dir, sizeof(dir));
}

static int teardown(void **state)
{
	sim_oracle_free();
	sim_alias_free();
	sim_trace_free();
	return dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_get_keys_in_order_of_appearance),
		cmocka_unit_test(many_sparse_pages_and_long_comments_are_read),
		cmocka_unit_test(gzip_is_read_and_a_cut_one_refused),
		cmocka_unit_test(what_is_wrong_is_said_with_file_and_line),
		cmocka_unit_test(a_missing_file_is_said_with_the_engine),
		cmocka_unit_test(there_may_be_only_so_many),
		cmocka_unit_test(a_file_is_loaded_once),
		cmocka_unit_test(one_that_was_not_loaded_is_not_run),
		cmocka_unit_test(a_recorded_loop_is_a_loop),
		cmocka_unit_test(a_part_among_others_is_a_loop_too),
		cmocka_unit_test(what_it_does_alone_is_of_all_of_it),
		cmocka_unit_test(a_coarser_grain_is_the_same_engine),
		cmocka_unit_test(one_that_is_too_small_for_the_grain_is_something),
	};

	return cmocka_run_group_tests_name("recorded accesses", tests, setup, teardown);
}
