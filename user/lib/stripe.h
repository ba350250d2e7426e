/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Credit by processor: bytes drawn from a budget beforehand, so that taking and putting back touch
 * one cache line that no other processor writes.
 *
 * On x86-64 with restartable sequences (rseq, which glibc registers for every thread) taking is a
 * load, a subtraction and a store, without a lock prefix: the kernel sends a thread that is
 * interrupted in between back to its beginning. Elsewhere, and under sanitizers, it is a
 * compare-and-swap on the stripe of the processor the thread happens to be on.
 *
 * Calling credit in ("shutting"): whoever holds the owner's lock bars the stripes, which makes both
 * take and put fail; stripes_fence() then makes sure that nobody is in the middle of either
 * (membarrier restarts the sequences of all processors); from then on nobody else writes the
 * stripes, and they can be swept. Without rseq there is nothing to wait for: words carry the
 * generation of the opening they belong to, so a compare-and-swap of an earlier one fails.
 */
#ifndef BAROSTAT_LIB_STRIPE_H
#define BAROSTAT_LIB_STRIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/lib/cpu.h"

/* Two lines: processors fetch the neighbour of a line with it. */
#define STRIPE_BYTES 128
#define STRIPES_MAX  8192u /* what kernels are built for at most */
/* A word is 16 bits of generation and 48 of credit; with rseq the generation stays 0. */
#define STRIPE_CREDIT_BITS 48
#define STRIPE_CREDIT_MASK ((UINT64_C(1) << STRIPE_CREDIT_BITS) - 1)

struct stripe {
	uint64_t word; /* the credit; 0 while shut */
	uint64_t rejections;
} __attribute__((aligned(STRIPE_BYTES)));

/* Read by everybody, written when it is opened and shut. */
struct stripes {
	uint64_t cap_word; /* the most a stripe may hold, with the generation; 0: shut */
	struct stripe *at;
	int64_t rseq_offset; /* of the thread's rseq area, from the thread pointer */
	uint32_t gate; /* with rseq and open: count; else 0, and no processor passes */
	uint32_t count;
	uint16_t generation; /* of the last opening */
	bool percpu; /* with rseq */
};

/* How many there should be: one per processor this machine may ever have, up to STRIPES_MAX. */
uint32_t stripes_wanted(void);
/* Whether rseq and the fence that goes with it can be used here. */
bool stripes_percpu_usable(void);

void stripes_init(struct stripes *s, struct stripe *at, uint32_t count, bool percpu);

/* With the owner's lock held: */
void stripes_open(struct stripes *s, uint64_t cap_bytes);
/* From now on nothing is put, and with rseq nothing taken. May be barred again. */
void stripes_bar(struct stripes *s);
/* After barring, once for any number of stripes. False: the kernel refuses; nothing may be swept,
 * unless it is known otherwise that nobody is in the middle of it. */
bool stripes_fence(const struct stripes *s);
/* After the fence: all credit, which is gone from the stripes then. */
uint64_t stripes_sweep(struct stripes *s);

/* What lies in the stripes: of one instant when nobody takes or puts. */
uint64_t stripes_sum(const struct stripes *s);
uint64_t stripes_rejections(const struct stripes *s);

/* Takes credit of this processor. False: shut, or not enough here. */
bool stripe_take(struct stripes *s, uint64_t bytes);
/* Puts it back. False: shut, or this stripe would hold more than its cap. */
bool stripe_put(struct stripes *s, uint64_t bytes);

static inline uint64_t stripes_cap_bytes(const struct stripes *s)
{
	return __atomic_load_n(&s->cap_word, __ATOMIC_RELAXED) & STRIPE_CREDIT_MASK;
}

/* The stripe of the processor we are on, more or less. */
static inline struct stripe *stripe_here(const struct stripes *s)
{
	uint32_t cpu = cpu_here();

	return &s->at[cpu < s->count ? cpu : 0];
}

static inline void stripe_reject(struct stripes *s)
{
	__atomic_fetch_add(&stripe_here(s)->rejections, 1, __ATOMIC_RELAXED);
}

/* ---- with rseq ------------------------------------------------------------------------------- */

#ifdef LIB_RSEQ
/*
 * A restartable sequence from 1: to 2:, of which the last instruction is the only store. The kernel
 * finds its bounds through the pointer in the thread's rseq area (offset 8; offset 4 is the number
 * of the processor), and resumes an interrupted one at 4:, which begins again. The pointer is
 * cleared afterwards: it must not outlive the library.
 *
 * The gate is loaded before the word. The other way round a sequence that begins while the stripe
 * is barred could load the word before it is swept, find the gate open for the next time, and bring
 * back what was called in.
 */
#define STRIPE_SEQ_BEGIN                                                                           \
	".pushsection __rseq_cs, \"aw\"\n\t"                                                       \
	".balign 32\n\t"                                                                           \
	"3:\n\t"                                                                                   \
	".long 0, 0\n\t"                                                                           \
	".quad 1f, 2f - 1f, 4f\n\t"                                                                \
	".popsection\n\t"                                                                          \
	"leaq 3b(%%rip), %%rax\n\t"                                                                \
	"movq %%rax, %%fs:8(%[rseq])\n\t"                                                          \
	"1:\n\t"                                                                                   \
	"movl %%fs:4(%[rseq]), %%eax\n\t"                                                          \
	"cmpl %[gate], %%eax\n\t"                                                                  \
	"jae %l[no]\n\t"                                                                           \
	"shll $7, %%eax\n\t"                                                                       \
	"movq (%[at], %%rax), %%r10\n\t"
#define STRIPE_SEQ_END                                                                             \
	"movq %%r10, (%[at], %%rax)\n\t"                                                           \
	"2:\n\t"                                                                                   \
	"movq $0, %%fs:8(%[rseq])\n\t"                                                             \
	".pushsection __rseq_failure, \"ax\"\n\t"                                                  \
	".byte 0x0f, 0xb9, 0x3d\n\t" /* ud1 with the signature as its displacement */              \
	".long %c[signature]\n\t"                                                                  \
	"4:\n\t"                                                                                   \
	"jmp %l[again]\n\t"                                                                        \
	".popsection\n\t"
#define STRIPE_SEQ_OPERANDS                                                                        \
	[rseq] "r"(s->rseq_offset), [gate] "m"(s->gate), [at] "r"(at), [cap] "m"(s->cap_word),     \
	    [bytes] "r"(bytes), [signature] "i"(RSEQ_SIG)

_Static_assert(sizeof(struct stripe) == 1 << 7, "the sequences shift by 7");
_Static_assert(offsetof(struct stripe, word) == 0, "the sequences use offset 0");

static inline void stripe_leave(const struct stripes *s)
{
	__asm__ volatile("movq $0, %%fs:8(%0)" ::"r"(s->rseq_offset) : "memory");
}

static inline __attribute__((always_inline)) bool
stripe_take_rseq(struct stripes *s, struct stripe *at, uint64_t bytes)
{
again:
	__asm__ goto(STRIPE_SEQ_BEGIN "subq %[bytes], %%r10\n\t"
				      "jb %l[no]\n\t" STRIPE_SEQ_END
		     :
		     : STRIPE_SEQ_OPERANDS
		     : "rax", "r10", "memory", "cc"
		     : again, no);
	return true;
no:
	stripe_leave(s);
	return false;
}

static inline __attribute__((always_inline)) bool stripe_put_rseq(struct stripes *s,
								  struct stripe *at, uint64_t bytes)
{
again:
	/* No wrap: bytes are at most 2^63, a word is below 2^48. */
	__asm__ goto(STRIPE_SEQ_BEGIN "addq %[bytes], %%r10\n\t"
				      "cmpq %[cap], %%r10\n\t"
				      "ja %l[no]\n\t" STRIPE_SEQ_END
		     :
		     : STRIPE_SEQ_OPERANDS
		     : "rax", "r10", "memory", "cc"
		     : again, no);
	return true;
no:
	stripe_leave(s);
	return false;
}
#endif

/*
 * The two calls as far as they cost nothing: inlined, and false also where there is no rseq. Then
 * ask stripe_take() or stripe_put(), which are not: they would cost their caller registers. `at` is
 * s->at, which the caller may know without loading it.
 */
static inline __attribute__((always_inline)) bool
stripe_take_fast(struct stripes *s, struct stripe *at, uint64_t bytes)
{
#ifdef LIB_RSEQ
	return __builtin_expect(stripe_take_rseq(s, at, bytes), 1);
#else
	(void)s, (void)at, (void)bytes;
	return false;
#endif
}

static inline __attribute__((always_inline)) bool stripe_put_fast(struct stripes *s,
								  struct stripe *at, uint64_t bytes)
{
#ifdef LIB_RSEQ
	return __builtin_expect(stripe_put_rseq(s, at, bytes), 1);
#else
	(void)s, (void)at, (void)bytes;
	return false;
#endif
}

#endif
