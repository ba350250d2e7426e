// SPDX-License-Identifier: BSD-2-Clause
/*
 * The registry of metrics: sorted by name and label, so that an export finds what belongs together
 * in one place. It is read without the lock; who removes waits for who reads.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "user/lib/metrics_internal.h"
#include "user/lib/options.h"

struct baro_metrics {
	pthread_mutex_t lock; /* never held over a callback */
	pthread_cond_t left; /* a reader has gone on */
	struct metric *metric[BARO_METRICS_MAX]; /* [metrics] */
	uint32_t metrics;
	uint64_t last_id;
	struct metrics_watch *watches;
};

static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
static const char of_label[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/-";

int baro_metrics_new(struct baro_metrics **ret_metrics)
{
	struct baro_metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->left, NULL);
	*ret_metrics = m;
	return 0;
}

/* ---- who has to know when they go ------------------------------------------------------------ */

void metrics_watch(struct baro_metrics *m, struct metrics_watch *watch)
{
	pthread_mutex_lock(&m->lock);
	watch->next = m->watches;
	m->watches = watch;
	pthread_mutex_unlock(&m->lock);
}

bool metrics_unwatch(struct baro_metrics *m, struct metrics_watch *watch)
{
	struct metrics_watch **link = &m->watches;
	bool found;

	pthread_mutex_lock(&m->lock);
	while (*link && *link != watch)
		link = &(*link)->next;
	found = *link;
	if (found)
		*link = watch->next;
	pthread_mutex_unlock(&m->lock);
	return found;
}

/* Takes out one, of that owner or (NULL) of any. */
static struct metrics_watch *take_watch(struct baro_metrics *m, const void *owner)
{
	struct metrics_watch **link = &m->watches, *watch;

	pthread_mutex_lock(&m->lock);
	while (*link && owner && (*link)->owner != owner)
		link = &(*link)->next;
	watch = *link;
	if (watch)
		*link = watch->next;
	pthread_mutex_unlock(&m->lock);
	return watch;
}

static void tell_gone(struct baro_metrics *m, const void *owner)
{
	struct metrics_watch *watch;

	while ((watch = take_watch(m, owner)))
		watch->gone(watch);
}

void baro_metrics_free(struct baro_metrics *m)
{
	if (!m)
		return;
	tell_gone(m, NULL);
	for (uint32_t i = 0; i < m->metrics; i++)
		free(m->metric[i]);
	pthread_cond_destroy(&m->left);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

const char *baro_metric_kind_name(uint32_t kind)
{
	static const char *const names[] = { "?", "counter", "gauge", "histogram" };

	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}

/* ---- what may be registered ------------------------------------------------------------------ */

/* The end of a name, which is *ret_n long, is cut off when it is there. */
static bool strip(const char *name, size_t *ret_n, const char *end)
{
	size_t n = strlen(end);

	if (*ret_n <= n || memcmp(name + *ret_n - n, end, n) != 0)
		return false;
	*ret_n -= n;
	return true;
}

/* _total for counters and for nothing else, and before that the unit, and no other one. */
static bool name_fits(const char *name, uint32_t kind, uint32_t unit)
{
	static const char *const ends[] = {
		[BARO_METRIC_BYTES] = "_bytes",
		[BARO_METRIC_NS] = "_seconds",
		[BARO_METRIC_PPM] = "_ratio",
	};
	size_t n = strlen(name);

	if (strip(name, &n, "_total") != (kind == BARO_METRIC_COUNTER))
		return false;
	if (kind == BARO_METRIC_HISTOGRAM &&
	    (strip(name, &n, "_count") || strip(name, &n, "_sum") || strip(name, &n, "_bucket")))
		return false;
	for (uint32_t u = BARO_METRIC_BYTES; u <= BARO_METRIC_PPM; u++)
		if (strip(name, &n, ends[u]) != (unit == u))
			return false;
	return true;
}

static bool name_is_good(const char *name)
{
	size_t n = name ? strlen(name) : 0;

	return n && n < BARO_METRIC_NAME_BYTES && *name >= 'a' && *name <= 'z' &&
	       strspn(name, lower) == n && strncmp(name, "barostat_", 9) != 0;
}

static bool source_is_good(const struct baro_metric *d)
{
	if (d->kind == BARO_METRIC_HISTOGRAM)
		return d->histogram && !d->value && !d->read &&
		       d->histogram->shift <= BARO_HISTOGRAM_SHIFT_MAX;
	return !d->histogram && !d->value != !d->read;
}

static bool is_good(const struct baro_metric *d)
{
	return name_is_good(d->name) && d->kind >= BARO_METRIC_COUNTER &&
	       d->kind <= BARO_METRIC_HISTOGRAM && d->unit <= BARO_METRIC_PPM &&
	       name_fits(d->name, d->kind, d->unit) && source_is_good(d) &&
	       !(d->flags & ~(uint32_t)BARO_METRIC_LOCAL);
}

/* ---- coming and going ------------------------------------------------------------------------ */

static size_t cut(const char *text, size_t size)
{
	size_t n = text ? strlen(text) : 0;

	return n < size ? n : size - 1;
}

/* What nobody needs to escape; `ret` is zeros. */
static void copy_label(char ret[BARO_METRIC_LABEL_BYTES], const char *label)
{
	size_t n = cut(label, BARO_METRIC_LABEL_BYTES);

	for (size_t i = 0; i < n; i++)
		ret[i] = (char)(strchr(of_label, label[i]) ? label[i] : '_');
}

static struct metric *make(const struct baro_metric *does)
{
	size_t help = cut(does->help, BARO_METRIC_HELP_BYTES);
	struct metric *one = calloc(1, sizeof(*one) + help + 1);

	if (!one)
		return NULL;
	one->does = *does;
	memcpy(one->name, does->name, strlen(does->name));
	copy_label(one->label, does->label);
	if (help)
		memcpy(one->help, does->help, help);
	one->does.name = one->does.label = one->does.help = NULL; /* the caller's */
	return one;
}

static int compare(const struct metric *a, const struct metric *b)
{
	int r = strcmp(a->name, b->name);

	return r ? r : strcmp(a->label, b->label);
}

/* With the lock held: how many come before. */
static uint32_t place_of(const struct baro_metrics *m, const struct metric *one)
{
	uint32_t from = 0, to = m->metrics;

	while (from < to) {
		uint32_t middle = from + (to - from) / 2;

		if (compare(m->metric[middle], one) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* With the lock held: the neighbour has the same name as another thing. */
static bool contradicts(const struct metric *neighbour, const struct metric *one)
{
	return !strcmp(neighbour->name, one->name) &&
	       (neighbour->does.kind != one->does.kind || neighbour->does.unit != one->does.unit);
}

static int insert(struct baro_metrics *m, struct metric *one)
{
	uint32_t at = place_of(m, one);

	if (at < m->metrics && !compare(m->metric[at], one))
		return -EEXIST;
	if ((at < m->metrics && contradicts(m->metric[at], one)) ||
	    (at > 0 && contradicts(m->metric[at - 1], one)))
		return -EINVAL;
	if (m->metrics == BARO_METRICS_MAX)
		return -ENOSPC;
	for (uint32_t i = m->metrics++; i > at; i--)
		m->metric[i] = m->metric[i - 1];
	m->metric[at] = one;
	one->id = ++m->last_id;
	return 0;
}

int baro_metrics_add(struct baro_metrics *m, const struct baro_metric *metric)
{
	struct baro_metric does;
	struct metric *one;
	int error = options_take(&does, sizeof(does), sizeof(does), metric);

	if (error < 0 || !is_good(&does))
		return -EINVAL;
	one = make(&does);
	if (!one)
		return -ENOMEM;
	pthread_mutex_lock(&m->lock);
	error = insert(m, one);
	pthread_mutex_unlock(&m->lock);
	if (error < 0)
		free(one);
	return error;
}

/* With the lock held. Whoever reads it now goes on from its name. */
static void take_out(struct baro_metrics *m, uint32_t at)
{
	struct metric *one = m->metric[at];

	m->metrics--;
	for (uint32_t i = at; i < m->metrics; i++)
		m->metric[i] = m->metric[i + 1];
	while (one->readers)
		pthread_cond_wait(&m->left, &m->lock);
	free(one);
}

int baro_metrics_remove(struct baro_metrics *m, const void *owner)
{
	int removed = 0;

	if (owner)
		tell_gone(m, owner);
	pthread_mutex_lock(&m->lock);
	for (uint32_t i = 0; i < m->metrics;) {
		if (m->metric[i]->does.owner != owner) {
			i++;
			continue;
		}
		take_out(m, i);
		removed++;
		i = 0; /* others may have come or gone while we waited */
	}
	pthread_mutex_unlock(&m->lock);
	return removed;
}

/* The metric of that name and label goes. */
static void drop(struct baro_metrics *m, const struct metric_field *field, const char *label)
{
	struct metric same = { .id = 0 };
	uint32_t at;

	memcpy(same.name, field->name, strlen(field->name));
	copy_label(same.label, label);
	pthread_mutex_lock(&m->lock);
	at = place_of(m, &same);
	if (at < m->metrics && !compare(m->metric[at], &same))
		take_out(m, at);
	pthread_mutex_unlock(&m->lock);
}

void metrics_drop_fields(struct baro_metrics *m, const struct metric_field *field, size_t fields,
			 const char *label)
{
	while (fields-- > 0)
		drop(m, &field[fields], label);
}

int metrics_add_fields_of(struct baro_metrics *m, const struct metric_field *field, size_t fields,
			  const char *label, uint64_t (*read)(void *arg, uint32_t which),
			  void *object, const void *owner)
{
	for (size_t i = 0; i < fields; i++) {
		const struct baro_metric one = {
			.size = sizeof(one),
			.name = field[i].name,
			.label = label,
			.help = field[i].help,
			.kind = field[i].kind,
			.unit = field[i].unit,
			.flags = field[i].flags,
			.which = field[i].offset,
			.read = read,
			.arg = object,
			.owner = owner,
		};
		int error = baro_metrics_add(m, &one);

		if (error < 0) {
			metrics_drop_fields(m, field, i, label);
			return error;
		}
	}
	return 0;
}

int metrics_add_fields(struct baro_metrics *m, const struct metric_field *field, size_t fields,
		       const char *label, uint64_t (*read)(void *arg, uint32_t which), void *object)
{
	return metrics_add_fields_of(m, field, fields, label, read, object, object);
}

/* ---- walking --------------------------------------------------------------------------------- */

static struct metric *oldest_after(const struct baro_metrics *m, uint64_t id)
{
	struct metric *oldest = NULL;

	for (uint32_t i = 0; i < m->metrics; i++)
		if (m->metric[i]->id > id && (!oldest || m->metric[i]->id < oldest->id))
			oldest = m->metric[i];
	return oldest;
}

static struct metric *named_after(const struct baro_metrics *m, const struct metric *last)
{
	uint32_t at = last ? place_of(m, last) : 0;

	/* what was visited last may have been removed, and another one have come in its place */
	if (last && at < m->metrics && !compare(m->metric[at], last))
		at++;
	return at < m->metrics ? m->metric[at] : NULL;
}

static void leave(struct baro_metrics *m, struct metric *at)
{
	if (!at)
		return;
	at->readers--;
	pthread_cond_broadcast(&m->left);
}

bool metrics_walk(struct baro_metrics *m, enum metrics_order order, struct metric **at)
{
	struct metric *last = *at;

	pthread_mutex_lock(&m->lock);
	*at =
	    order == METRICS_BY_NAME ? named_after(m, last) : oldest_after(m, last ? last->id : 0);
	if (*at)
		(*at)->readers++;
	leave(m, last);
	pthread_mutex_unlock(&m->lock);
	return *at != NULL;
}

void metrics_walk_end(struct baro_metrics *m, struct metric *at)
{
	pthread_mutex_lock(&m->lock);
	leave(m, at);
	pthread_mutex_unlock(&m->lock);
}

uint64_t metric_value(const struct metric *metric)
{
	const struct baro_metric *d = &metric->does;

	return d->read ? d->read(d->arg, d->which) : __atomic_load_n(d->value, __ATOMIC_RELAXED);
}
