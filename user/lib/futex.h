/* SPDX-License-Identifier: BSD-2-Clause */
/* Sleeping on a word until it changes, and waking who sleeps there. */
#ifndef BAROSTAT_LIB_FUTEX_H
#define BAROSTAT_LIB_FUTEX_H

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FUTEX_NEVER UINT64_MAX

/*
 * Sleeps while *word is `value`, until an absolute time of CLOCK_MONOTONIC. `scope` is
 * FUTEX_PRIVATE_FLAG, or 0 for memory that processes share, also where it is mapped read-only. It
 * may also return for no reason. FUTEX_WAIT_BITSET is the variant that takes an absolute time.
 */
static inline int futex_wait_until(const uint32_t *word, uint32_t value, uint64_t until_ns,
				   int scope)
{
	struct timespec ts = { .tv_sec = (time_t)(until_ns / 1000000000u),
			       .tv_nsec = (long)(until_ns % 1000000000u) };

	/* A time that far away would not fit the kernel's signed nanoseconds. */
	if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET | scope, value,
		    until_ns > INT64_MAX ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY) < 0)
		return -errno;
	return 0;
}

/* Wakes one. The word itself is not touched: it may already be gone. */
static inline void futex_wake_one(const uint32_t *word, int scope)
{
	syscall(SYS_futex, word, FUTEX_WAKE | scope, 1);
}

#endif
