// SPDX-License-Identifier: BSD-2-Clause
/* Waiting on the page: woken by news, never past the timeout, never past the lease. */
#include "tests/unit/page_support.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define GIVE_UP_NS (20 * NS_PER_S)

struct waiter {
	const struct baro_page *page;
	uint32_t generation, seen;
	uint64_t timeout_ns;
	_Atomic pid_t tid;
	int result;
	pthread_t thread;
};

static void *wait_for_page(void *arg)
{
	struct waiter *me = arg;

	me->tid = (pid_t)syscall(SYS_gettid);
	me->result = baro_page_wait(me->page, me->generation, me->timeout_ns, &me->seen);
	return NULL;
}

/* Until the thread sleeps in the futex call: its wait channel says so. */
static void until_asleep(const struct waiter *w)
{
	uint64_t until = clock_now_ns() + GIVE_UP_NS;
	char path[64], text[512];

	while (clock_now_ns() < until) {
		ssize_t n;
		int fd;

		if (!w->tid)
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)w->tid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		close(fd);
		text[n > 0 ? n : 0] = '\0';
		if (atol(text) == SYS_futex)
			return;
	}
	fail_msg("the waiter never slept");
}

static void start(struct waiter *w, const struct baro_page *page, uint64_t timeout_ns)
{
	w->page = page;
	w->generation = baro_page_generation(page);
	w->seen = 0;
	w->timeout_ns = timeout_ns;
	w->tid = 0;
	assert_int_equal(pthread_create(&w->thread, NULL, wait_for_page, w), 0);
	until_asleep(w);
}

static void news_wakes_every_waiter(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 1, PAGE_CREATED);
	struct waiter waiter[4];
	struct baro_page *page;
	uint64_t before;

	page_assign(w, 0, "pg");
	page_commit(w, LEASE_NS);
	page = page_open_reader(d);
	for (int i = 0; i < 4; i++)
		start(&waiter[i], page, GIVE_UP_NS);
	page_update(w, 0, BARO_LEVEL_CRITICAL);
	before = clock_now_ns();
	assert_true(page_commit(w, LEASE_NS));
	for (int i = 0; i < 4; i++) {
		pthread_join(waiter[i].thread, NULL);
		assert_int_equal(waiter[i].result, 0);
		assert_int_equal(waiter[i].seen, waiter[i].generation + 1);
	}
	assert_true(clock_now_ns() - before < GIVE_UP_NS / 2);
	baro_page_close(page);
	page_writer_close(w, true);
}

static void a_moved_generation_is_seen_at_once(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 1, PAGE_CREATED);
	uint32_t generation, seen = 0;
	struct baro_page *page;

	page_commit(w, LEASE_NS);
	page = page_open_reader(d);
	generation = baro_page_generation(page);
	assert_int_equal(baro_page_wait(page, generation - 1, BARO_PAGE_NONE, &seen), 0);
	assert_int_equal(seen, generation);
	assert_int_equal(baro_page_wait(page, generation - 1, 0, NULL), 0);
	baro_page_close(page);
	page_writer_close(w, true);
}

static void nothing_new_times_out_in_time(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 1, PAGE_CREATED);
	uint32_t generation, seen = 12345;
	struct baro_page *page;
	uint64_t before;

	page_commit(w, LEASE_NS);
	page = page_open_reader(d);
	generation = baro_page_generation(page);
	assert_int_equal(baro_page_wait(page, generation, 0, &seen), -ETIMEDOUT);
	before = clock_now_ns();
	assert_int_equal(baro_page_wait(page, generation, 30 * NS_PER_MS, &seen), -ETIMEDOUT);
	assert_true(clock_now_ns() - before >= 30 * NS_PER_MS);
	assert_int_equal(seen, 12345);
	baro_page_close(page);
	page_writer_close(w, true);
}

static void the_end_of_the_lease_ends_a_wait_for_ever(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 1, PAGE_CREATED);
	uint64_t lease_ns = 50 * NS_PER_MS, before;
	struct baro_page *page = page_open_reader(d);

	assert_int_equal(baro_page_wait(page, baro_page_generation(page), 0, NULL), -ESTALE);
	before = clock_now_ns();
	page_commit(w, lease_ns);
	assert_int_equal(baro_page_wait(page, baro_page_generation(page), BARO_PAGE_NONE, NULL),
			 -ESTALE);
	assert_true(clock_now_ns() - before >= lease_ns);
	assert_true(clock_now_ns() - before < GIVE_UP_NS);
	/* News under a lease that has run out is no news. */
	assert_int_equal(baro_page_wait(page, baro_page_generation(page) - 1, 0, NULL), -ESTALE);
	baro_page_close(page);
	page_writer_close(w, true);
}

static void a_renewed_lease_keeps_waiters_waiting(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 1, PAGE_CREATED);
	uint64_t lease_ns = 1000 * NS_PER_MS, timeout_ns = 1200 * NS_PER_MS, before;
	struct waiter waiter;
	struct baro_page *page;

	page_commit(w, lease_ns);
	page = page_open_reader(d);
	before = clock_now_ns();
	start(&waiter, page, timeout_ns);
	/* One renewal before the first lease ends: far beyond the timeout. */
	assert_false(page_commit(w, LEASE_NS));
	pthread_join(waiter.thread, NULL);
	assert_int_equal(waiter.result, -ETIMEDOUT);
	assert_true(clock_now_ns() - before >= timeout_ns);
	baro_page_close(page);
	page_writer_close(w, true);
}

static void a_clean_stop_wakes_waiters(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 1, PAGE_CREATED);
	struct waiter waiter;
	struct baro_page *page;

	page_commit(w, LEASE_NS);
	page = page_open_reader(d);
	start(&waiter, page, BARO_PAGE_NONE);
	page_writer_close(w, false);
	pthread_join(waiter.thread, NULL);
	assert_int_equal(waiter.result, -ESTALE);
	baro_page_close(page);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void a_signal_interrupts(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 1, PAGE_CREATED);
	const struct sigaction act = { .sa_handler = on_signal };
	struct waiter waiter;
	struct baro_page *page;

	assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
	page_commit(w, LEASE_NS);
	page = page_open_reader(d);
	start(&waiter, page, BARO_PAGE_NONE);
	pthread_kill(waiter.thread, SIGUSR1);
	pthread_join(waiter.thread, NULL);
	assert_int_equal(waiter.result, -EINTR);
	baro_page_close(page);
	page_writer_close(w, true);
}

/* Another process, another mapping, no right to write: as engines are. */
static void an_unprivileged_process_is_woken(void **state)
{
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 1, PAGE_CREATED);
	uint64_t until = clock_now_ns() + GIVE_UP_NS;
	int status, ready[2];
	pid_t pid;
	char c;

	assert_int_equal(chmod(d->dir, 0755), 0);
	assert_int_equal(pipe(ready), 0);
	page_commit(w, LEASE_NS);
	pid = fork();
	if (!pid) {
		struct baro_page *page;
		uint32_t generation;

		if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		if (baro_page_open(d->path, &page) < 0)
			_exit(2);
		generation = baro_page_generation(page);
		if (write(ready[1], "r", 1) != 1)
			_exit(3);
		_exit(baro_page_wait(page, generation, GIVE_UP_NS, NULL) == 0 ? 0 : 4);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	page_assign(w, 0, "pg");
	page_commit(w, LEASE_NS);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(clock_now_ns() < until);
	close(ready[0]);
	close(ready[1]);
	page_writer_close(w, true);
}

int main(void)
{
#define WITH_DIR(f) cmocka_unit_test_setup_teardown(f, page_dir_setup, page_dir_teardown)
	const struct CMUnitTest tests[] = {
		WITH_DIR(news_wakes_every_waiter),
		WITH_DIR(a_moved_generation_is_seen_at_once),
		WITH_DIR(nothing_new_times_out_in_time),
		WITH_DIR(the_end_of_the_lease_ends_a_wait_for_ever),
		WITH_DIR(a_renewed_lease_keeps_waiters_waiting),
		WITH_DIR(a_clean_stop_wakes_waiters),
		WITH_DIR(a_signal_interrupts),
		WITH_DIR(an_unprivileged_process_is_woken),
	};

	/* A waiter that nobody wakes must end the test, not hang it. */
	alarm(100);
	return cmocka_run_group_tests_name("page wait", tests, NULL, NULL);
}
