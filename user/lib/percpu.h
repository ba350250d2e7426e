/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A counter with a cache line per processor: adding touches no line that another processor writes.
 *
 * On x86-64 with restartable sequences (rseq, which glibc registers for every thread) an addition
 * has no lock prefix: the kernel sends a thread that is interrupted within the sequence back to its
 * beginning. A thread that is not registered, or runs on a processor beyond those counted when the
 * counter was made, adds to a line of its own kind, atomically. Elsewhere, and under sanitizers,
 * every addition is atomic, on the line of the processor the thread happens to be on.
 */
#ifndef BAROSTAT_LIB_PERCPU_H
#define BAROSTAT_LIB_PERCPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/cpu.h"

struct percpu_line {
	uint64_t count;
	uint64_t unused[7];
} __attribute__((aligned(64)));

struct percpu {
	struct percpu_line *line;
	uint32_t owned; /* lines that only the thread on that processor writes; 0 without rseq */
	uint32_t shared; /* lines after those, added to atomically; a power of two */
	int64_t rseq_offset; /* of the thread's rseq area, from the thread pointer */
};

/* Counts from 0. `atomic` does without rseq, for tests. -ENOMEM. */
int percpu_init(struct percpu *p, bool atomic);
void percpu_fini(struct percpu *p);

/* Everything added so far, modulo 2^64; of one instant when nobody adds. */
uint64_t percpu_sum(const struct percpu *p);

/* How many lines a power of two of shared ones should have here, at most `most`. */
uint32_t percpu_lines_wanted(uint32_t most);

static inline void percpu_add_shared(const struct percpu *p, uint64_t n)
{
	uint32_t i = p->shared > 1 ? cpu_here() & (p->shared - 1) : 0;

	__atomic_fetch_add(&p->line[p->owned + i].count, n, __ATOMIC_RELAXED);
}

#ifdef LIB_RSEQ
_Static_assert(sizeof(struct percpu_line) == 1 << 6, "the sequence shifts by 6");
_Static_assert(offsetof(struct percpu_line, count) == 0, "the sequence uses offset 0");

/*
 * The restartable sequence lies between 1: and 2:, and its last instruction is its only store. The
 * kernel finds its bounds by the pointer in the thread's rseq area (offset 8; offset 4 is the
 * number of the processor), clears that pointer when it interrupts the thread anywhere else, and
 * resumes an interrupted sequence at 4:. So the pointer is looked at within the sequence, and
 * stored only where it is not there any more: a store less in most additions.
 *
 * A pointer that is left behind must not outlive what it points to: the shared library is linked
 * so that it is never unloaded (-z nodelete).
 */
static inline __attribute__((always_inline)) void percpu_add(const struct percpu *p, uint64_t n)
{
	__asm__ goto(".pushsection __rseq_cs, \"aw\"\n\t"
		     ".balign 32\n\t"
		     "3:\n\t"
		     ".long 0, 0\n\t"
		     ".quad 1f, 2f - 1f, 4f\n\t"
		     ".popsection\n\t"
		     "5:\n\t"
		     "leaq 3b(%%rip), %%rax\n\t"
		     "1:\n\t"
		     "cmpq %%rax, %%fs:8(%[rseq])\n\t"
		     "jne 6f\n\t"
		     "movl %%fs:4(%[rseq]), %%eax\n\t"
		     "cmpl %[owned], %%eax\n\t"
		     "jae %l[shared]\n\t"
		     "shlq $6, %%rax\n\t"
		     "addq %[line], %%rax\n\t"
		     "addq %[n], (%%rax)\n\t"
		     "2:\n\t"
		     ".pushsection __rseq_failure, \"ax\"\n\t"
		     ".byte 0x0f, 0xb9, 0x3d\n\t" /* ud1, its displacement is the signature */
		     ".long %c[signature]\n\t"
		     "4:\n\t"
		     "jmp 5b\n\t"
		     "6:\n\t"
		     "movq %%rax, %%fs:8(%[rseq])\n\t"
		     "jmp 5b\n\t"
		     ".popsection\n\t"
		     :
		     : [rseq] "r"(p->rseq_offset), [owned] "m"(p->owned), [line] "r"(p->line),
		       [n] "r"(n), [signature] "i"(RSEQ_SIG)
		     : "rax", "memory", "cc"
		     : shared);
	return;
shared:
	percpu_add_shared(p, n);
}
#else
static inline void percpu_add(const struct percpu *p, uint64_t n)
{
	percpu_add_shared(p, n);
}
#endif

#endif
