// SPDX-License-Identifier: BSD-2-Clause
#include "user/lib/lock.h"

#define SPINS 64

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

void lock_contended(struct lock *l)
{
	for (int i = 0; i < SPINS; i++) {
		relax();
		if (__atomic_load_n(&l->word, __ATOMIC_RELAXED) == 0 && lock_try(l))
			return;
	}
	while (__atomic_exchange_n(&l->word, 2, __ATOMIC_ACQUIRE) != 0)
		futex_wait_until(&l->word, 2, FUTEX_NEVER, FUTEX_PRIVATE_FLAG);
}
