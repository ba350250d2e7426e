/* SPDX-License-Identifier: BSD-2-Clause */
/* Memtables under many threads: nothing written is lost, no interval gets another's bytes. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/thread_support.h"
#include "user/lib/memtable_internal.h"

#define MIB      (UINT64_C(1) << 20)
#define WRITERS  4
#define WRITES   300000u
#define RECORDS  2000000u
#define UPDATERS 3

/* ---- the counter by processor ---------------------------------------------------------------- */

static struct percpu counter;

static void migrate(unsigned int *seed, const cpu_set_t *allowed)
{
	cpu_set_t one;
	int cpu;

	do {
		cpu = rand_r(seed) % CPU_SETSIZE;
	} while (!CPU_ISSET(cpu, allowed));
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	must(sched_setaffinity(0, sizeof(one), &one) == 0);
}

static void *add(void *arg)
{
	unsigned int seed = 1;
	cpu_set_t allowed;

	(void)arg;
	must(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
	for (uint32_t i = 1; i <= WRITES; i++) {
		percpu_add(&counter, i);
		if (i % 1000 == 0)
			migrate(&seed, &allowed);
	}
	return NULL;
}

static uint64_t alarms;

static void on_alarm(int signal)
{
	(void)signal;
	/* within a sequence of the thread it interrupts, now and then */
	percpu_add(&counter, 1);
	__atomic_fetch_add(&alarms, 1, __ATOMIC_RELAXED);
}

/* Threads are moved between processors and interrupted by a signal that adds as well. */
static void every_addition_counts(bool atomic)
{
	static void *(*const bodies[WRITERS])(void *) = { add, add, add, add };
	const struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART }, before;

	assert_int_equal(percpu_init(&counter, atomic), 0);
	alarms = 0;
	assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	run_together(bodies, WRITERS, NULL);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
	assert_int_equal(percpu_sum(&counter),
			 (uint64_t)WRITERS * WRITES / 2 * (WRITES + 1) + alarms);
	percpu_fini(&counter);
}

static void additions_by_processor_are_not_lost(void **state)
{
	every_addition_counts(false);
}

static void additions_without_rseq_are_not_lost(void **state)
{
	every_addition_counts(true);
}

static void a_processor_nobody_knew_of_counts_too(void **state)
{
	struct percpu late;

	assert_int_equal(percpu_init(&counter, false), 0);
	/* as if all had come after the counter was made */
	late = counter;
	late.line += late.owned;
	late.owned = 0;
	percpu_add(&late, 7);
	percpu_add(&late, UINT64_MAX);
	assert_int_equal(percpu_sum(&late), 6);
	assert_int_equal(percpu_sum(&counter), 6);
	percpu_fini(&counter);
}

/* ---- updaters -------------------------------------------------------------------------------- */

/*
 * Time is what is written: a nanosecond is a byte, so the rate is 1e9 bytes/s in every interval
 * that pairs its own bytes with its own time. All of it lasts a fraction of the time constant, so
 * that every interval weighs the same: what an updater sees too early is made good by the next, but
 * bytes that count twice, or never, show in the average.
 */
struct pace {
	struct baro_memtable *table;
	uint64_t clock_ns;
	bool done;
	uint64_t flushed;
};

static void *write_and_tick(void *arg)
{
	struct pace *p = arg;

	for (unsigned int i = 0; i < RECORDS; i++) {
		baro_memtable_record_write(p->table, 10);
		__atomic_fetch_add(&p->clock_ns, 10, __ATOMIC_RELAXED);
		if (i % 500 == 0) {
			uint64_t sealed = baro_memtable_rotate(p->table);

			__atomic_fetch_add(&p->flushed, sealed, __ATOMIC_RELAXED);
			baro_memtable_flushed(p->table, sealed);
		}
	}
	return NULL;
}

static void *update(void *arg)
{
	struct pace *p = arg;
	struct baro_memtable_stats s;
	unsigned int seed = (unsigned int)(uintptr_t)&s;

	while (!is_set(&p->done)) {
		uint64_t now = __atomic_load_n(&p->clock_ns, __ATOMIC_RELAXED);

		/* Late with what it knows, sometimes. */
		for (int i = rand_r(&seed) % 4; i > 0; i--)
			sched_yield();
		baro_memtable_update(p->table, now, NULL);
		baro_memtable_read(p->table, &s);
		must(s.target_bytes >= MIB && s.target_bytes <= 16 * MIB);
		must(s.target_bytes == s.flush_at_bytes);
	}
	return NULL;
}

static void *write_to_the_end(void *arg)
{
	static void *(*const bodies[WRITERS])(void *) = { write_and_tick, write_and_tick,
							  write_and_tick, write_and_tick };
	struct pace *p = arg;

	run_together(bodies, WRITERS, p);
	set_flag(&p->done);
	return NULL;
}

static void updaters_never_pair_ones_bytes_with_the_others_interval(void **state)
{
	static void *(*const bodies[UPDATERS + 1])(void *) = { update, update, update,
							       write_to_the_end };
	struct pace p = { .clock_ns = 1 };
	struct baro_memtable_stats s;
	struct baro_memtable_group_stats g;

	assert_int_equal(baro_memtable_open(NULL, NULL, &p.table), 0);
	baro_memtable_update(p.table, 1, NULL);
	run_together(bodies, UPDATERS + 1, &p);
	baro_memtable_update(p.table, p.clock_ns + 1, NULL);
	baro_memtable_read(p.table, &s);
	assert_int_equal(s.written_bytes, p.clock_ns - 1);
	assert_int_equal(s.written_bytes, s.held_bytes + p.flushed);
	assert_int_equal(s.sealed_bytes, 0);
	/* an update that comes late with its time counts bytes of the next one's, which makes up for it */
	assert_in_range(s.rate_bytes_per_s, 750000000, 1250000000);
	baro_memtable_group_read(p.table->group, &g);
	assert_true(g.updates > 0);
	baro_memtable_close(p.table);
}

/* ---- coming and going ------------------------------------------------------------------------ */

struct crowd {
	struct baro_memtable_group *group;
	uint64_t clock_ns;
	bool done;
};

static void *come_and_go(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < 300; i++) {
		struct baro_memtable *m[5];

		for (int k = 0; k < 5; k++)
			must(baro_memtable_open(NULL, c->group, &m[k]) == 0);
		for (int k = 0; k < 50; k++) {
			baro_memtable_record_write(m[k % 5], MIB);
			if (baro_memtable_should_flush(m[k % 5], baro_memtable_held(m[k % 5])))
				baro_memtable_flushed(m[k % 5], baro_memtable_rotate(m[k % 5]));
		}
		for (int k = 0; k < 5; k++)
			baro_memtable_close(m[k]);
	}
	return NULL;
}

static void *share(void *arg)
{
	struct crowd *c = arg;
	struct baro_memtable_group_stats s;

	while (!is_set(&c->done)) {
		uint64_t now = __atomic_add_fetch(&c->clock_ns, 1000000, __ATOMIC_RELAXED);

		baro_memtable_group_update(c->group, now, NULL);
		baro_memtable_group_read(c->group, &s);
		must(s.target_bytes <= s.budget_bytes);
		sched_yield();
	}
	return NULL;
}

static void *come_to_the_end(void *arg)
{
	static void *(*const bodies[])(void *) = { come_and_go, come_and_go };
	struct crowd *c = arg;

	run_together(bodies, 2, c);
	set_flag(&c->done);
	return NULL;
}

static void tables_come_and_go_while_the_group_is_shared_out(void **state)
{
	static void *(*const bodies[])(void *) = { share, share, come_to_the_end };
	struct crowd c = { 0 };

	assert_int_equal(baro_memtable_group_open(24 * MIB, &c.group), 0);
	run_together(bodies, 3, &c);
	assert_int_equal(baro_memtable_group_close(c.group), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(additions_by_processor_are_not_lost),
		cmocka_unit_test(additions_without_rseq_are_not_lost),
		cmocka_unit_test(a_processor_nobody_knew_of_counts_too),
		cmocka_unit_test(updaters_never_pair_ones_bytes_with_the_others_interval),
		cmocka_unit_test(tables_come_and_go_while_the_group_is_shared_out),
	};

	return cmocka_run_group_tests_name("memtable_stress", tests, NULL, NULL);
}
