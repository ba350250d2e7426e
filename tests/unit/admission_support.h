/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of admission share: opening with named limits, threads that ask and wait, and
 * waiting for a condition instead of a time. */
#ifndef BAROSTAT_TESTS_ADMISSION_SUPPORT_H
#define BAROSTAT_TESTS_ADMISSION_SUPPORT_H

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "include/barostat/admission.h"
#include "user/lib/admission_internal.h"

#define KIB     UINT64_C(1024)
#define MIB     (UINT64_C(1) << 20)
#define GIVE_UP (60 * NS_PER_S)

/* Everything may run but what a test bounds: nothing of the mode gets in its way. */
static inline struct baro_admission_limits wide_limits(void)
{
	return (struct baro_admission_limits){
		.writes_max = 64,
		.batches_max = 32,
		.index_max = 32,
		.workers_max = 64,
		.queue_max = 64,
		.chunk_records = 100,
		.chunk_records_min = 10,
		.workers_beside_reads = 64,
		.memory_bytes = 1024 * MIB,
		.chunk_target_ns = NS_PER_S,
		.read_slowdown_ppm = BARO_READS_UNPROTECTED,
		.write_share_min_ppm = 1000,
	};
}

/* Costs that are easily added up: the payload, and nothing else but for index and quantising. */
static inline struct baro_cost_model simple_model(void)
{
	return (struct baro_cost_model){ .record_bytes = 1 };
}

static inline struct baro_admission *open_with(const struct baro_admission_limits *limits)
{
	struct baro_admission_options o = { .size = sizeof(o), .limits = *limits, .cpus = 4 };
	struct baro_admission *a = NULL;

	assert_int_equal(baro_admission_open(&o, &a), 0);
	return a;
}

/* Bounded by the database alone. */
static inline struct baro_collection *open_collection(struct baro_admission *a)
{
	struct baro_collection_options o = {
		.size = sizeof(o),
		.writes_max = 1000,
		.batches_max = 1000,
		.index_max = 1000,
		.memory_bytes = UINT64_MAX / 2,
	};
	struct baro_collection *c = NULL;

	assert_int_equal(baro_collection_open(a, "docs", &o, &c), 0);
	return c;
}

static inline struct baro_admission_stats stats_of(struct baro_admission *a)
{
	struct baro_admission_stats s;

	baro_admission_stats_read(a, &s);
	return s;
}

/* Nothing is out, nobody waits: every byte and every worker came back. */
static inline void assert_idle(struct baro_admission *a)
{
	struct baro_admission_stats s = stats_of(a);

	assert_int_equal(s.writes, 0);
	assert_int_equal(s.batches, 0);
	assert_int_equal(s.index_jobs, 0);
	assert_int_equal(s.workers, 0);
	assert_int_equal(s.queued, 0);
	assert_int_equal(s.reserved_bytes, 0);
}

static inline void until_queued(struct baro_admission *a, uint32_t count)
{
	uint64_t until = lib_now_ns() + GIVE_UP;

	while (stats_of(a).queued != count) {
		assert_true(lib_now_ns() < until);
		sched_yield();
	}
}

/* A thread that asks once. */
struct asker {
	struct baro_collection *collection;
	struct baro_job job;
	struct baro_permit permit;
	struct baro_admission_refusal why;
	int result;
	pthread_t thread;
};

static inline void *ask_once(void *arg)
{
	struct asker *me = arg;

	me->result = baro_permit_acquire(me->collection, &me->job, &me->permit, &me->why);
	return NULL;
}

static inline void start_asking(struct asker *me, struct baro_collection *c,
				const struct baro_job *job)
{
	me->collection = c;
	me->job = *job;
	assert_int_equal(pthread_create(&me->thread, NULL, ask_once, me), 0);
}

/* Starts, and comes back when it stands in the queue. */
static inline void queue_up(struct asker *me, struct baro_collection *c, const struct baro_job *job)
{
	uint32_t before = stats_of(c->admission).queued;

	start_asking(me, c, job);
	until_queued(c->admission, before + 1);
}

static inline int answer(struct asker *me)
{
	pthread_join(me->thread, NULL);
	return me->result;
}

static inline struct baro_permit acquire(struct baro_collection *c, const struct baro_job *job)
{
	struct baro_permit p = { 0 };

	assert_int_equal(baro_permit_acquire(c, job, &p, NULL), 0);
	return p;
}

/* Pressure as a page has it. */
static inline struct baro_pressure pressure_of(uint32_t level, uint32_t score_ppm, uint64_t budget)
{
	return (struct baro_pressure){
		.status = level | (uint64_t)BARO_SLOT_ACTIVE << 8,
		.score_ppm = score_ppm,
		.budget_bytes = budget,
		.headroom_bytes = BARO_PAGE_NONE,
	};
}

static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * UINT64_C(0x2545f4914f6cdd1d) >> 11;
}

#endif
