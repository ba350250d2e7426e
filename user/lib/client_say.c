// SPDX-License-Identifier: BSD-2-Clause
/* What a client says: on its demand page, and again on every page it gets after that. */
#include <string.h>

#include "include/barostat/metrics.h"
#include "user/lib/client_internal.h"
#include "user/lib/clock.h"

static void store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

void client_say(struct baro_client *c)
{
	struct baro_demand *d = c->demand;
	uint32_t seq;

	if (!d)
		return;
	seq = __atomic_load_n(&d->seq, __ATOMIC_RELAXED) | 1;
	__atomic_store_n(&d->seq, seq, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&d->hint, c->said.hint, __ATOMIC_RELAXED);
	store(&d->heartbeat_ns, c->said.heartbeat_ns);
	store(&d->accounted_bytes, c->said.accounted_bytes);
	store(&d->reclaimable_bytes, c->said.reclaimable_bytes);
	store(&d->wanted_bytes, c->said.wanted_bytes);
	store(&d->ack_epoch, c->said.ack_epoch);
	__atomic_store_n(&d->seq, seq + 1, __ATOMIC_RELEASE);
}

void baro_client_set_hint(struct baro_client *c, uint32_t hint)
{
	pthread_mutex_lock(&c->lock);
	c->said.hint = hint;
	client_say(c);
	pthread_mutex_unlock(&c->lock);
}

void client_set(struct baro_client *c, uint64_t *field, uint64_t value)
{
	pthread_mutex_lock(&c->lock);
	*field = value;
	client_say(c);
	pthread_mutex_unlock(&c->lock);
}

void baro_client_set_wanted(struct baro_client *c, uint64_t bytes)
{
	client_set(c, &c->said.wanted_bytes, bytes);
}

void baro_client_set_reclaimable(struct baro_client *c, uint64_t bytes)
{
	client_set(c, &c->said.reclaimable_bytes, bytes);
}

void baro_client_set_accounted(struct baro_client *c, uint64_t bytes)
{
	client_set(c, &c->said.accounted_bytes, bytes);
}

void baro_client_acknowledge(struct baro_client *c, uint64_t grant_epoch)
{
	client_set(c, &c->said.ack_epoch, grant_epoch);
}

/* ---- the table of metrics -------------------------------------------------------------------- */

void client_say_table(struct baro_client *c)
{
	const uint64_t *from = (const uint64_t *)c->said.metric;
	struct baro_demand *d = c->demand;
	uint64_t *to;
	uint32_t seq;

	/* a daemon of 1.0 does not look there */
	if (!d || !c->said.metrics_ns || d->abi_minor < 1)
		return;
	to = (uint64_t *)d->metric;
	seq = __atomic_load_n(&d->metrics_seq, __ATOMIC_RELAXED) | 1;
	__atomic_store_n(&d->metrics_seq, seq, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&d->metrics_count, c->said.metrics, __ATOMIC_RELAXED);
	store(&d->metrics_ns, c->said.metrics_ns);
	for (size_t i = 0; i < c->said.metrics * sizeof(*d->metric) / sizeof(*to); i++)
		store(&to[i], from[i]);
	__atomic_store_n(&d->metrics_seq, seq + 1, __ATOMIC_RELEASE);
}

void client_say_metrics(struct baro_client *c, const struct baro_demand_metric *line, uint32_t n)
{
	uint64_t now_ns = lib_now_ns();

	pthread_mutex_lock(&c->lock);
	memcpy(c->said.metric, line, n * sizeof(*line));
	c->said.metrics = n;
	c->said.metrics_ns = now_ns;
	client_say_table(c);
	pthread_mutex_unlock(&c->lock);
}

/* One at a time, so that who takes the metrics away can wait for it. */
void client_publish(struct baro_client *c)
{
	struct baro_metrics *m;

	pthread_mutex_lock(&c->lock);
	m = c->publishing ? NULL : c->metrics;
	c->publishing |= m != NULL;
	pthread_mutex_unlock(&c->lock);
	if (!m)
		return;
	(void)baro_metrics_publish(m, c);
	pthread_mutex_lock(&c->lock);
	c->publishing = false;
	pthread_cond_broadcast(&c->published);
	pthread_mutex_unlock(&c->lock);
}

void baro_client_set_metrics(struct baro_client *c, struct baro_metrics *metrics)
{
	pthread_mutex_lock(&c->lock);
	while (c->publishing)
		pthread_cond_wait(&c->published, &c->lock);
	c->metrics = metrics;
	pthread_mutex_unlock(&c->lock);
	client_publish(c);
}
