// SPDX-License-Identifier: BSD-2-Clause
/* Admission that follows the pressure page by a client: nobody hands anything in. */
#include <sys/wait.h>

#include "tests/unit/admission_support.h"
#include "tests/unit/page_support.h"
#include "tests/unit/thread_support.h"

struct self {
	uint32_t hierarchy;
	uint64_t id;
};

static int take_first(void *arg, uint32_t hierarchy, const char *dir, uint64_t id)
{
	*(struct self *)arg = (struct self){ hierarchy, id };
	return 0;
}

/* A page on which this process's own cgroup is the engine, and a client that reads it. */
struct world {
	struct page_dir *dir;
	struct page_writer *writer;
	struct baro_client *client;
	struct baro_admission *admission;
	struct baro_collection *docs;
};

static void publish(struct world *w, enum baro_level level, uint32_t score_ppm, uint64_t budget)
{
	const struct page_slot_values values = { .state = BARO_SLOT_ACTIVE,
						 .level = level,
						 .score_ppm = score_ppm,
						 .budget_bytes = budget,
						 .headroom_bytes = budget };

	page_writer_update(w->writer, 0, &values, clock_now_ns());
	page_commit(w->writer, LEASE_NS);
}

/* Ends the test as skipped where this machine shows a process no cgroup of its own. */
static void build_world(struct page_dir *dir, struct world *w)
{
	struct baro_admission_options o = { .size = sizeof(o), .cpus = 4, .sharers = 2 };
	struct page_slot_identity who = { .name = "self" };
	struct self self = { .id = 0 };

	*w = (struct world){ .dir = dir };
	if (self_walk("/proc/self/cgroup", "/proc/self/mountinfo", take_first, &self) < 0) {
		print_message("no cgroup of our own is to be seen here\n");
		skip();
	}
	who.cgroup_id = self.id;
	who.cgroup_hierarchy = self.hierarchy;
	w->writer = page_open_writer(dir, 2, PAGE_CREATED);
	assert_int_equal(page_writer_assign(w->writer, 0, &who), 0);
	publish(w, BARO_LEVEL_NORMAL, 100000, 800 * MIB);
	/* NOLINTBEGIN(concurrency-mt-unsafe): one thread yet */
	assert_int_equal(setenv("BAROSTAT_PAGE", dir->path, 1), 0);
	assert_int_equal(setenv("BAROSTAT_ENGINE_SOCKET", "/nonexistent/engine.sock", 1), 0);
	/* NOLINTEND(concurrency-mt-unsafe) */
	assert_int_equal(baro_client_open(NULL, &w->client), 0);
	o.client = w->client;
	assert_int_equal(baro_admission_open(&o, &w->admission), 0);
	w->docs = open_collection(w->admission);
}

static void end_world(struct world *w)
{
	baro_admission_close(w->admission);
	baro_client_close(w->client);
	page_writer_close(w->writer, true);
}

static void look_now(struct world *w)
{
	w->admission->client_ns = 0;
	admission_tend(w->admission, lib_now_ns());
}

static void the_pages_budget_and_level_bound_what_is_admitted(void **state)
{
	const struct baro_job insert = { .payload_bytes = 10 };
	struct baro_admission_limits now;
	struct baro_admission_refusal why;
	struct baro_permit p;
	struct world w;

	build_world(*state, &w);
	/* the budget is the page's: an eighth of it is for writes */
	assert_int_equal(stats_of(w.admission).level, BARO_LEVEL_NORMAL);
	baro_admission_limits_now(w.admission, &now);
	assert_int_equal(now.memory_bytes, 100 * MIB);
	/* a tenth of it is left: each of two has half of that, at most */
	publish(&w, BARO_LEVEL_CRITICAL, 900000, 800 * MIB);
	look_now(&w);
	baro_admission_limits_now(w.admission, &now);
	assert_true(now.memory_bytes <= 40 * MIB);
	assert_int_equal(now.batches_max, 1);
	publish(&w, BARO_LEVEL_EMERGENCY, 990000, 800 * MIB);
	look_now(&w);
	assert_int_equal(baro_permit_acquire(w.docs, &insert, &p, &why), -EAGAIN);
	assert_int_equal(why.layer, BARO_LAYER_HOST);
	assert_idle(w.admission);
	end_world(&w);
}

static void who_waits_sees_by_itself_that_the_emergency_is_over(void **state)
{
	const struct baro_job patient = { .payload_bytes = 10, .deadline_ns = BARO_PAGE_NONE };
	struct asker waiter[3];
	struct world w;

	build_world(*state, &w);
	publish(&w, BARO_LEVEL_EMERGENCY, 990000, 800 * MIB);
	look_now(&w);
	for (int i = 0; i < 3; i++)
		queue_up(&waiter[i], w.docs, &patient);
	publish(&w, BARO_LEVEL_NORMAL, 100000, 800 * MIB);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(answer(&waiter[i]), 0);
		baro_permit_release(&waiter[i].permit);
	}
	assert_idle(w.admission);
	end_world(&w);
}

/* The host is calm and the engine is not, then the other way round, with a neighbour in between. */
static void what_counts_is_the_own_slot_and_not_the_host(void **state)
{
	static const struct {
		enum baro_level host, own, other;
		uint32_t host_ppm, own_ppm, other_ppm;
	} row[] = {
		{ BARO_LEVEL_NORMAL, BARO_LEVEL_CRITICAL, BARO_LEVEL_WARNING, 110000, 900000,
		  720000 },
		{ BARO_LEVEL_EMERGENCY, BARO_LEVEL_NORMAL, BARO_LEVEL_CRITICAL, 970000, 120000,
		  880000 },
	};
	const struct page_slot_identity neighbour = { .name = "other", .cgroup_id = 1 };
	struct baro_admission_limits now;
	struct baro_pressure p;
	struct world w;

	build_world(*state, &w);
	assert_int_equal(page_writer_assign(w.writer, 1, &neighbour), 0);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const struct page_header_values host = { .level = row[i].host,
							 .score_ppm = row[i].host_ppm };
		const struct page_slot_values other = { .state = BARO_SLOT_ACTIVE,
							.level = row[i].other,
							.score_ppm = row[i].other_ppm,
							.budget_bytes = 8 * MIB };

		publish(&w, row[i].own, row[i].own_ppm, 800 * MIB);
		page_writer_update(w.writer, 1, &other, clock_now_ns());
		page_writer_commit(w.writer, &host, clock_now_ns(), LEASE_NS, false);
		assert_int_equal(baro_client_source(w.client), BARO_SOURCE_PAGE);
		assert_int_equal(baro_client_read(w.client, &p), 0);
		assert_int_equal(p.score_ppm, row[i].own_ppm);
		assert_int_equal(BARO_STATUS_LEVEL(p.status), row[i].own);
		assert_int_equal(p.budget_bytes, 800 * MIB);
		look_now(&w);
		assert_int_equal(stats_of(w.admission).level, row[i].own);
		baro_admission_limits_now(w.admission, &now);
		assert_true((now.memory_bytes < 100 * MIB) == (row[i].own_ppm > 800000));
	}
	end_world(&w);
}

/* ---- several processes in one cgroup --------------------------------------------------------- */

/* Takes all it gets, tells how much that is, and holds it until it is told to end. */
static void take_all(int told_fd, int end_fd)
{
	const struct baro_job job = { .cost_bytes = 3 * MIB };
	struct baro_admission_options o = {
		.size = sizeof(o), .limits = wide_limits(), .cpus = 4, .sharers = 2
	};
	struct baro_admission *a;
	struct baro_collection *c;
	struct baro_client *client;
	struct baro_permit p[500];
	uint64_t bytes = 0;
	int n = 0, error;
	char end;

	o.limits.writes_max = 500;
	o.limits.memory_bytes = 4096 * MIB;
	must(baro_client_open(NULL, &client) == 0);
	o.client = client;
	must(baro_admission_open(&o, &a) == 0);
	c = open_collection(a);
	while ((error = baro_permit_acquire(c, &job, &p[n], NULL)) == 0)
		bytes += p[n++].bytes;
	must(error == -EDQUOT);
	must(write(told_fd, &bytes, sizeof(bytes)) == sizeof(bytes));
	must(read(end_fd, &end, 1) == 0);
	while (n > 0)
		must(baro_permit_release(&p[--n]) == 0);
	baro_admission_close(a);
	baro_client_close(client);
	_exit(0);
}

/* What two processes have together, at the same time. */
static uint64_t taken_by_two(void)
{
	int told[2], end[2], status;
	uint64_t bytes, sum = 0;
	pid_t child[2];

	assert_int_equal(pipe(told), 0);
	assert_int_equal(pipe(end), 0);
	for (int i = 0; i < 2; i++) {
		child[i] = fork();
		assert_true(child[i] >= 0);
		if (child[i])
			continue;
		close(end[1]);
		take_all(told[1], end[0]);
	}
	close(told[1]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(read(told[0], &bytes, sizeof(bytes)), sizeof(bytes));
		assert_true(bytes > 0);
		sum += bytes;
	}
	close(end[1]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(waitpid(child[i], &status, 0), child[i]);
		assert_int_equal(status, 0);
	}
	close(told[0]);
	close(end[0]);
	return sum;
}

static void processes_that_follow_one_page_stay_within_its_budget_together(void **state)
{
	static const struct {
		enum baro_level level;
		uint32_t score_ppm;
		uint64_t left_bytes; /* of 800 MiB */
	} row[] = { { BARO_LEVEL_NORMAL, 500000, 400 * MIB },
		    { BARO_LEVEL_WARNING, 750000, 200 * MIB },
		    { BARO_LEVEL_CRITICAL, 900000, 80 * MIB } };
	struct world w;

	build_world(*state, &w);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		uint64_t sum;

		publish(&w, row[i].level, row[i].score_ppm, 800 * MIB);
		sum = taken_by_two();
		assert_in_range(sum, row[i].left_bytes / 2, row[i].left_bytes);
	}
	end_world(&w);
}

/* Whoever never waits is refused at once, every time: asking must be enough to see the end of it. */
static void who_never_waits_sees_that_the_emergency_is_over(void **state)
{
	const struct baro_job insert = { .payload_bytes = 10 };
	uint64_t until = lib_now_ns() + GIVE_UP;
	struct baro_permit p;
	struct world w;
	int r;

	build_world(*state, &w);
	publish(&w, BARO_LEVEL_EMERGENCY, 990000, 800 * MIB);
	look_now(&w);
	assert_int_equal(baro_permit_acquire(w.docs, &insert, &p, NULL), -EAGAIN);
	publish(&w, BARO_LEVEL_NORMAL, 100000, 800 * MIB);
	while ((r = baro_permit_acquire(w.docs, &insert, &p, NULL)) == -EAGAIN) {
		assert_true(lib_now_ns() < until);
		usleep(1000);
	}
	assert_int_equal(r, 0);
	baro_permit_release(&p);
	end_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_pages_budget_and_level_bound_what_is_admitted,
						page_dir_setup, page_dir_teardown),
		cmocka_unit_test_setup_teardown(who_waits_sees_by_itself_that_the_emergency_is_over,
						page_dir_setup, page_dir_teardown),
		cmocka_unit_test_setup_teardown(who_never_waits_sees_that_the_emergency_is_over,
						page_dir_setup, page_dir_teardown),
		cmocka_unit_test_setup_teardown(what_counts_is_the_own_slot_and_not_the_host,
						page_dir_setup, page_dir_teardown),
		cmocka_unit_test_setup_teardown(
		    processes_that_follow_one_page_stay_within_its_budget_together, page_dir_setup,
		    page_dir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
