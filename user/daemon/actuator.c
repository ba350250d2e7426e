/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/actuator.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/common/clock.h"
#include "user/common/log.h"
#include "user/common/units.h"

#define STACK_BYTES      ((size_t)128 * 1024)
#define INTERRUPT_SIGNAL SIGUSR1
/* So many bites in a row may free nothing before a lowering is given up until the next wish. */
#define FRUITLESS_MAX 3

enum job_state { JOB_IDLE, JOB_QUEUED, JOB_RUNNING };

struct job {
	struct cg_node *node;
	enum job_state state;
	bool lowering[CG_LIMIT_COUNT];
	bool writing[CG_LIMIT_COUNT]; /* a thread is inside the kernel with it */
	bool verify[CG_LIMIT_COUNT]; /* raised while a write was under way: look again, repair */
	uint64_t target[CG_LIMIT_COUNT];
	uint64_t raises[CG_LIMIT_COUNT]; /* how often: tells a stale reading from a fresh one */
	pthread_t thread; /* when running */
	struct job *next_orphan; /* its slot has been forgotten, but there is work left in it */
	bool orphan;
	struct actuator_result result;
};

struct actuator {
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	struct job **job; /* by slot; allocated at bind, so that an orphan can outlive its slot */
	struct job **queue; /* ring */
	struct job *orphans;
	uint32_t slots, orphan_count;
	uint32_t capacity, queue_head, queued, threads, waiting, running;
	pthread_t thread[ACTUATOR_THREADS_MAX];
	enum cg_kind kind;
	uint64_t bite_bytes;
	int wake_fd;
	bool stop;
};

/* The signal's only purpose is to make a blocking write return early. */
static void interrupted(int sig)
{
}

static void job_free(struct job *j)
{
	cg_node_close(j->node);
	free(j);
}

/* With the lock held. */
static void orphan_free(struct actuator *a, struct job *j)
{
	struct job **at = &a->orphans;

	while (*at != j)
		at = &(*at)->next_orphan;
	*at = j->next_orphan;
	a->orphan_count--;
	job_free(j);
}

static bool job_has_work(const struct job *j)
{
	for (int w = 0; w < CG_LIMIT_COUNT; w++)
		if (j->lowering[w] || j->verify[w])
			return true;
	return false;
}

/* With the lock held; drops it around system calls. */
static void lower(struct actuator *a, struct job *j, enum cg_limit which)
{
	unsigned int fruitless = 0;

	while (j->lowering[which] && !a->stop) {
		uint64_t target = j->target[which], before = j->result.actual[which];
		uint64_t actual = before, raises = j->raises[which];
		int r;

		j->writing[which] = true;
		pthread_mutex_unlock(&a->lock);
		r = cg_node_shrink_step(j->node, which, target, a->bite_bytes, 0, &actual);
		pthread_mutex_lock(&a->lock);
		j->writing[which] = false;
		if (r == -EINTR)
			continue;
		/* On v2 the owner may have been faster than the reclaim: try again. v1 says it once
		 * and for all, and has dropped the owner's whole cache in the attempt. */
		if (r == -EBUSY && a->kind != CG_KIND_HYBRID && ++fruitless < FRUITLESS_MAX)
			continue;
		if (!j->lowering[which]) {
			/* Raised meanwhile: what was read back is the raiser's business. */
			j->verify[which] = true;
			return;
		}
		/* Raised and lowered again meanwhile: which write landed last is not known. */
		if (raises != j->raises[which])
			continue;
		/* The wish went up while a write for the earlier one was under way. Nothing is told
		 * before that is put right: what is told may be given to another. */
		if (r == 0 && actual < j->target[which]) {
			j->lowering[which] = false;
			j->verify[which] = true;
			return;
		}
		if (r == 0) {
			fruitless = 0;
			j->result.actual[which] = actual;
			j->result.touched[which] = true;
		}
		if (r < 0 || actual <= j->target[which] || actual == before) {
			/* Another limit that lands makes no refusal undone. */
			if (r < 0 || j->result.refused == which) {
				j->result.error = r;
				j->result.refused = which;
			}
			j->lowering[which] = false;
		}
	}
}

/* A limit that already stands higher is told as it is: lowering it is another matter. */
static int raise_now(struct cg_node *node, enum cg_limit which, uint64_t bytes,
		     uint64_t *ret_actual)
{
	struct cg_limits present;
	int r = cg_node_raise_limit(node, which, bytes, ret_actual);

	if (r != -EINVAL)
		return r;
	r = cg_node_limits(node, &present);
	if (r == 0)
		*ret_actual = present.bytes[which];
	return r;
}

/* A raise overlapped with one of our writes: whichever landed last, the target must stand. */
static void repair(struct actuator *a, struct job *j, enum cg_limit which)
{
	uint64_t target = j->target[which], raises = j->raises[which], actual;
	int r;

	j->verify[which] = false;
	j->writing[which] = true;
	pthread_mutex_unlock(&a->lock);
	r = raise_now(j->node, which, target, &actual);
	pthread_mutex_lock(&a->lock);
	j->writing[which] = false;
	if (r == 0 && raises == j->raises[which]) {
		j->result.actual[which] = actual;
		j->result.touched[which] = true;
	}
}

/* Nobody asks for the result of an orphan. */
static void tell_unfinished(const struct job *j)
{
	int r = j->result.error;

	if (r < 0 && r != -ENODEV && r != -ENOENT)
		log_warn("event=restore_incomplete cgroup=%s wanted=%llu error=\"%s\", ignoring",
			 cg_node_path(j->node), (unsigned long long)j->target[j->result.refused],
			 strerror(-r));
}

static void run_job(struct actuator *a, struct job *j)
{
	j->state = JOB_RUNNING;
	j->thread = pthread_self();
	a->running++;
	while (!a->stop && job_has_work(j)) {
		for (int w = 0; w < CG_LIMIT_COUNT; w++) {
			if (j->lowering[w])
				lower(a, j, (enum cg_limit)w);
			if (j->verify[w])
				repair(a, j, (enum cg_limit)w);
		}
	}
	a->running--;
	j->state = JOB_IDLE;
	j->result.busy = false;
	if (j->orphan) { /* nobody else knows of it */
		tell_unfinished(j);
		orphan_free(a, j);
	}
}

static void *worker(void *arg)
{
	struct actuator *a = arg;

	pthread_mutex_lock(&a->lock);
	while (!a->stop) {
		struct job *j;
		uint64_t one = 1;

		if (!a->queued) {
			if (!a->running)
				pthread_cond_broadcast(&a->idle);
			a->waiting++;
			pthread_cond_wait(&a->work, &a->lock);
			a->waiting--;
			continue;
		}
		j = a->queue[a->queue_head];
		a->queue_head = (a->queue_head + 1) % a->capacity;
		a->queued--;
		run_job(a, j);
		if (a->wake_fd >= 0 && write(a->wake_fd, &one, sizeof(one)) < 0) {
			/* The counter is full: the loop has been woken already. */
		}
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

static int start_thread(struct actuator *a)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int r;

	/* Threads take no signal but the interrupt; the loop's signalfd has the rest. */
	sigfillset(&all);
	sigdelset(&all, INTERRUPT_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = -pthread_create(&a->thread[a->threads], &attr, worker, a);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		a->threads++;
	return r;
}

int actuator_open(uint32_t capacity, enum cg_kind kind, int wake_fd, struct actuator **ret)
{
	struct sigaction sa = { .sa_handler = interrupted };
	struct actuator *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->job = calloc(capacity, sizeof(struct job *));
	/* Orphans, no more than there are slots, may stand in the queue beside their successors. */
	a->queue = calloc(2 * (size_t)capacity, sizeof(struct job *));
	if (!a->job || !a->queue) {
		free((void *)a->job);
		free((void *)a->queue);
		free(a);
		return -ENOMEM;
	}
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->work, NULL);
	pthread_cond_init(&a->idle, NULL);
	a->slots = capacity;
	a->capacity = 2 * capacity;
	a->kind = kind;
	a->bite_bytes = kind == CG_KIND_HYBRID ? ACTUATOR_BITE_V1_BYTES : ACTUATOR_BITE_BYTES;
	a->wake_fd = wake_fd;
	sigaction(INTERRUPT_SIGNAL, &sa, NULL);
	*ret = a;
	return 0;
}

static void interrupt(const struct job *j)
{
	if (j->state == JOB_RUNNING)
		pthread_kill(j->thread, INTERRUPT_SIGNAL);
}

void actuator_close(struct actuator *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	for (uint32_t i = 0; i < a->slots; i++)
		if (a->job[i])
			interrupt(a->job[i]);
	for (const struct job *j = a->orphans; j; j = j->next_orphan)
		interrupt(j);
	pthread_cond_broadcast(&a->work);
	pthread_mutex_unlock(&a->lock);
	for (uint32_t i = 0; i < a->threads; i++)
		pthread_join(a->thread[i], NULL);
	while (a->orphans)
		orphan_free(a, a->orphans);
	for (uint32_t i = 0; i < a->slots; i++)
		if (a->job[i])
			job_free(a->job[i]);
	pthread_cond_destroy(&a->work);
	pthread_cond_destroy(&a->idle);
	pthread_mutex_destroy(&a->lock);
	free((void *)a->job);
	free((void *)a->queue);
	free(a);
}

int actuator_bind(struct actuator *a, uint32_t slot, struct cg_node *node,
		  const struct cg_limits *actual)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->node = node;
	memcpy(j->result.actual, actual->bytes, sizeof(j->result.actual));
	a->job[slot] = j;
	return 0;
}

/* With the lock held. */
static void dequeue(struct actuator *a, const struct job *j)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < a->queued; i++) {
		struct job *other = a->queue[(a->queue_head + i) % a->capacity];

		if (other != j)
			a->queue[(a->queue_head + kept++) % a->capacity] = other;
	}
	a->queued = kept;
}

void actuator_unbind(struct actuator *a, uint32_t slot, bool finish)
{
	struct job *j = a->job[slot];

	if (!j)
		return;
	a->job[slot] = NULL;
	pthread_mutex_lock(&a->lock);
	if (!finish || a->orphan_count >= a->slots) {
		memset(j->lowering, 0, sizeof(j->lowering));
		memset(j->verify, 0, sizeof(j->verify));
		interrupt(j);
		if (j->state == JOB_QUEUED) {
			dequeue(a, j);
			j->state = JOB_IDLE;
		}
	}
	if (j->state == JOB_IDLE) {
		job_free(j);
	} else { /* run_job() frees it */
		j->orphan = true;
		j->next_orphan = a->orphans;
		a->orphans = j;
		a->orphan_count++;
	}
	pthread_mutex_unlock(&a->lock);
}

bool actuator_is_retiring(struct actuator *a, uint64_t cgroup_id)
{
	bool found = false;

	pthread_mutex_lock(&a->lock);
	for (const struct job *j = a->orphans; j && !found; j = j->next_orphan)
		found = cg_node_id(j->node) == cgroup_id;
	pthread_mutex_unlock(&a->lock);
	return found;
}

int actuator_lower(struct actuator *a, uint32_t slot, enum cg_limit which, uint64_t bytes)
{
	struct job *j = a->job[slot];
	int r = 0;

	pthread_mutex_lock(&a->lock);
	j->target[which] = bytes;
	j->lowering[which] = true;
	j->verify[which] = false;
	if (j->state == JOB_IDLE) {
		if (a->waiting <= a->queued && a->threads < ACTUATOR_THREADS_MAX)
			r = start_thread(a);
		if (r < 0 && !a->threads) {
			j->lowering[which] = false;
			pthread_mutex_unlock(&a->lock);
			return r;
		}
		j->state = JOB_QUEUED;
		j->result.busy = true;
		a->queue[(a->queue_head + a->queued++) % a->capacity] = j;
		pthread_cond_signal(&a->work);
	}
	pthread_mutex_unlock(&a->lock);
	return 0;
}

void actuator_withdraw(struct actuator *a, uint32_t slot, enum cg_limit which)
{
	struct job *j = a->job[slot];

	pthread_mutex_lock(&a->lock);
	if (j->lowering[which]) {
		j->lowering[which] = false;
		j->target[which] = j->result.actual[which];
		j->verify[which] = j->writing[which];
	}
	pthread_mutex_unlock(&a->lock);
}

int actuator_raise(struct actuator *a, uint32_t slot, enum cg_limit which, uint64_t bytes,
		   uint64_t *ret_actual)
{
	struct job *j = a->job[slot];
	int r;

	pthread_mutex_lock(&a->lock);
	j->target[which] = bytes;
	j->lowering[which] = false;
	j->raises[which]++;
	/* Only a write of this very limit can land on top of ours. */
	if (j->writing[which]) {
		j->verify[which] = true;
		pthread_kill(j->thread, INTERRUPT_SIGNAL);
	}
	pthread_mutex_unlock(&a->lock);
	r = raise_now(j->node, which, bytes, ret_actual);
	pthread_mutex_lock(&a->lock);
	if (r < 0) {
		/* What was refused must not be made up for by a repair later on, when the room
		 * for it may have gone to another: the limit stays what it was. */
		j->target[which] = j->result.actual[which];
	} else {
		j->result.actual[which] = *ret_actual;
		j->result.touched[which] = true;
		if (j->result.refused == which)
			j->result.error = 0;
		j->raises[which]++;
	}
	pthread_mutex_unlock(&a->lock);
	return r;
}

void actuator_found(struct actuator *a, uint32_t slot, enum cg_limit which, uint64_t bytes)
{
	pthread_mutex_lock(&a->lock);
	a->job[slot]->result.actual[which] = bytes;
	pthread_mutex_unlock(&a->lock);
}

void actuator_result(struct actuator *a, uint32_t slot, struct actuator_result *ret)
{
	pthread_mutex_lock(&a->lock);
	*ret = a->job[slot]->result;
	/* Told once: what is read back later, by whomever, is newer. */
	memset(a->job[slot]->result.touched, 0, sizeof(ret->touched));
	/* While a thread is at it, nobody listens to it yet. */
	if (!ret->busy)
		a->job[slot]->result.error = 0;
	pthread_mutex_unlock(&a->lock);
}

bool actuator_busy(struct actuator *a, uint32_t slot)
{
	bool busy;

	pthread_mutex_lock(&a->lock);
	busy = a->job[slot]->result.busy;
	pthread_mutex_unlock(&a->lock);
	return busy;
}

bool actuator_settle(struct actuator *a, uint64_t timeout_ns)
{
	struct timespec until;
	bool settled;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	timeout_ns += (uint64_t)until.tv_nsec;
	until.tv_sec += (time_t)(timeout_ns / NS_PER_S);
	until.tv_nsec = (long)(timeout_ns % NS_PER_S);
	pthread_mutex_lock(&a->lock);
	while ((a->queued || a->running) && r == 0)
		r = pthread_cond_timedwait(&a->idle, &a->lock, &until);
	settled = !a->queued && !a->running;
	pthread_mutex_unlock(&a->lock);
	return settled;
}
