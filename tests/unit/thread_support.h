/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests with threads of their own: cmocka's assertions are the main thread's alone. */
#ifndef BAROSTAT_TESTS_THREAD_SUPPORT_H
#define BAROSTAT_TESTS_THREAD_SUPPORT_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/common/clock.h"

#define GIVE_UP_NS (60 * NS_PER_S)

/* An assertion that any thread may make. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* Until the condition holds; a test that waits for ever says where. */
#define until(condition)                                                                           \
	do {                                                                                       \
		uint64_t until_ns_ = clock_now_ns() + GIVE_UP_NS;                                  \
		while (!(condition)) {                                                             \
			must(clock_now_ns() < until_ns_);                                          \
			sched_yield();                                                             \
		}                                                                                  \
	} while (0)

static inline bool is_set(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static inline void set_flag(bool *flag)
{
	__atomic_store_n(flag, true, __ATOMIC_RELEASE);
}

/* Runs all bodies at once, each with `arg`, to their end. */
static inline void run_together(void *(*const body[])(void *), size_t n, void *arg)
{
	pthread_t thread[16];

	must(n <= sizeof(thread) / sizeof(thread[0]));
	for (size_t i = 0; i < n; i++)
		must(pthread_create(&thread[i], NULL, body[i], arg) == 0);
	for (size_t i = 0; i < n; i++)
		must(pthread_join(thread[i], NULL) == 0);
}

#endif
