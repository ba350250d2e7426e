/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lock of one word, for critical sections of some nanoseconds: two atomic operations when nobody
 * else is there, where a pthread_mutex_t makes two calls besides. All zeros at first.
 *
 * The word is 0 when free, 1 when held, 2 when held and somebody may sleep for it (U. Drepper,
 * "Futexes are tricky").
 */
#ifndef BAROSTAT_LIB_LOCK_H
#define BAROSTAT_LIB_LOCK_H

#include <stdbool.h>

#include "user/lib/futex.h"

struct lock {
	uint32_t word;
};

static inline bool lock_try(struct lock *l)
{
	uint32_t is_free = 0;

	return __atomic_compare_exchange_n(&l->word, &is_free, 1, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

/* Waits for it: some tries, then asleep. */
void lock_contended(struct lock *l);

static inline void lock_take(struct lock *l)
{
	if (__builtin_expect(!lock_try(l), 0))
		lock_contended(l);
}

static inline void lock_give(struct lock *l)
{
	if (__builtin_expect(__atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE) == 2, 0))
		futex_wake_one(&l->word, FUTEX_PRIVATE_FLAG);
}

#endif
