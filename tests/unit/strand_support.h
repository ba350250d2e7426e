/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strands: threads that are switched by hand, for tests that choose every interleaving. A strand
 * runs until it yields; what it allocates comes from an arena that is forgotten in one go, so that
 * the same choices give the same addresses.
 */
#ifndef BAROSTAT_TESTS_STRAND_SUPPORT_H
#define BAROSTAT_TESTS_STRAND_SUPPORT_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <cmocka.h>

#include "cgroup/cgroup.h"

#define STRANDS_MAX 8
#define STACK_SIZE  ((size_t)32 * 1024)
#define ARENA_SIZE  ((size_t)32 * 1024)

enum strand_state { STRAND_NONE, STRAND_READY, STRAND_WAITING, STRAND_IN_CALL };

struct strand {
	ucontext_t context;
	enum strand_state state;
	uint32_t engine; /* of the system call it is in */
	bool writes; /* a limit */
	uint64_t bytes;
	enum cg_limit which;
};

static struct strand strand[STRANDS_MAX];
static char stack[STRANDS_MAX][STACK_SIZE] __attribute__((aligned(64)));
static uint32_t strands;
static int running = -1;
static ucontext_t loop_context;
static void *(*strand_main)(void *);
static void *strand_arg;

static char arena[ARENA_SIZE] __attribute__((aligned(64)));
static size_t arena_used;

static void *arena_calloc(size_t n, size_t size)
{
	void *p = arena + arena_used;

	assert_true(n * size <= ARENA_SIZE - arena_used);
	arena_used += (n * size + 63) & ~(size_t)63;
	return memset(p, 0, n * size);
}

static void yield(enum strand_state state)
{
	int me = running;

	strand[me].state = state;
	running = -1;
	swapcontext(&strand[me].context, &loop_context);
}

static void trampoline(void)
{
	strand_main(strand_arg);
}

static int strand_create(pthread_t *ret, void *(*fn)(void *), void *arg)
{
	struct strand *s = &strand[strands];

	assert_true(strands < STRANDS_MAX);
	memset(stack[strands], 0, STACK_SIZE);
	memset(s, 0, sizeof(*s));
	getcontext(&s->context);
	s->context.uc_stack.ss_sp = stack[strands];
	s->context.uc_stack.ss_size = STACK_SIZE;
	s->context.uc_link = &loop_context;
	makecontext(&s->context, trampoline, 0);
	strand_main = fn;
	strand_arg = arg;
	s->state = STRAND_READY;
	*ret = strands++;
	return 0;
}

static void strand_run(uint32_t i)
{
	running = (int)i;
	strand[i].state = STRAND_READY;
	swapcontext(&loop_context, &strand[i].context);
	running = -1;
}

#endif
