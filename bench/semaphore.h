/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What admission replaces, for comparison: a counting semaphore behind a mutex, with a bounded
 * queue of waiters, first come first served, each signalled by a condition of its own.
 */
#ifndef BENCH_SEMAPHORE_H
#define BENCH_SEMAPHORE_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct seed_waiter {
	struct seed_waiter *next;
	pthread_cond_t called;
	bool has;
};

struct seed {
	pthread_mutex_t lock;
	unsigned int used, limit, queued, queue_max;
	struct seed_waiter *first, **last;
};

static inline void seed_init(struct seed *s, unsigned int limit, unsigned int queue_max)
{
	*s = (struct seed){ .limit = limit, .queue_max = queue_max };
	pthread_mutex_init(&s->lock, NULL);
	s->last = &s->first;
}

static __attribute__((noinline)) int seed_acquire(struct seed *s)
{
	struct seed_waiter me = { .next = NULL };

	pthread_mutex_lock(&s->lock);
	if (s->used < s->limit && !s->first) {
		s->used++;
		pthread_mutex_unlock(&s->lock);
		return 0;
	}
	if (s->queued >= s->queue_max) {
		pthread_mutex_unlock(&s->lock);
		return -EBUSY;
	}
	pthread_cond_init(&me.called, NULL);
	*s->last = &me;
	s->last = &me.next;
	s->queued++;
	while (!me.has)
		pthread_cond_wait(&me.called, &s->lock);
	pthread_mutex_unlock(&s->lock);
	pthread_cond_destroy(&me.called);
	return 0;
}

static __attribute__((noinline)) void seed_release(struct seed *s)
{
	struct seed_waiter *w;

	pthread_mutex_lock(&s->lock);
	w = s->first;
	if (w) {
		s->first = w->next;
		if (!s->first)
			s->last = &s->first;
		s->queued--;
		w->has = true;
		pthread_cond_signal(&w->called);
	} else {
		s->used--;
	}
	pthread_mutex_unlock(&s->lock);
}

#endif
