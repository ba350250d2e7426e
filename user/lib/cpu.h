/* SPDX-License-Identifier: BSD-2-Clause */
/* Which processor the caller is on: a load where glibc has registered restartable sequences. */
#ifndef BAROSTAT_LIB_CPU_H
#define BAROSTAT_LIB_CPU_H

#include <sched.h>
#include <stdint.h>

#include "user/lib/portable.h"

#if defined(__x86_64__) && defined(__LP64__) && !defined(LIB_PORTABLE) && defined(__has_include)
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define LIB_RSEQ 1 /* and sequences are written for this processor */
#endif
#endif

/* 0 when it is not known. */
static inline uint32_t cpu_here(void)
{
	int cpu;
#ifdef LIB_RSEQ
	/* cpu_id: negative when this thread is not registered */
	__asm__ volatile("movl %%fs:4(%1), %0" : "=r"(cpu) : "r"(__rseq_offset));
	if (__builtin_expect(cpu >= 0, 1))
		return (uint32_t)cpu;
#endif
	cpu = sched_getcpu();
	return cpu < 0 ? 0 : (uint32_t)cpu;
}

#endif
