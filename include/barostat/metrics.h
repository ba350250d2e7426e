/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers an operator wants to see: counters, gauges and histograms of the engine and of the
 * library's objects, as text for Prometheus, and through the daemon in `barostat status --json`.
 *
 *	static uint64_t hits;
 *	const struct baro_metric m = { .size = sizeof(m), .name = "mydb_hits_total",
 *				       .help = "Reads that hit the cache.", .kind = BARO_METRIC_COUNTER,
 *				       .value = &hits, .owner = &hits };
 *
 *	baro_metrics_new(&metrics);
 *	baro_metrics_add(metrics, &m);
 *	baro_overflow_add_metrics(region, metrics, "sort");	// an object of the library
 *	baro_client_set_metrics(client, metrics);		// to the daemon, once a second
 *	baro_metrics_format(metrics, buf, sizeof(buf), &bytes);	// for an endpoint of one's own
 *
 * Nothing is paid where a number changes: it is read when somebody asks, by pointer or by callback.
 * Names follow the conventions of Prometheus: they end in the unit (_bytes, _seconds, _ratio), and
 * those of counters in _total after that; registering another name fails. Several metrics may have
 * one name, and differ in their label, which is exported as name{name="label"}. BARO_PAGE_NONE in
 * a gauge of bytes or ns is no limit, and exported as +Inf. docs/metrics.md has the names of the
 * library's own.
 *
 * Threads: everything but baro_metrics_free() may be called from any number of threads at once.
 * Callbacks are called without a lock, from several threads at once if several export.
 *
 * Errors: 0 (or a count) or -errno; outputs are untouched on failure unless said otherwise.
 */
#ifndef BAROSTAT_METRICS_H
#define BAROSTAT_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include <barostat/demand.h>
#include <barostat/page.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BARO_METRICS_MAX         16384 /* of one registry */
#define BARO_METRIC_NAME_BYTES   BARO_DEMAND_METRIC_NAME_BYTES /* with the NUL */
#define BARO_METRIC_LABEL_BYTES  BARO_DEMAND_METRIC_LABEL_BYTES
#define BARO_METRIC_HELP_BYTES   256
#define BARO_HISTOGRAM_BUCKETS   32
#define BARO_HISTOGRAM_SHIFT_MAX 32

struct baro_client;
struct baro_metrics;

/*
 * How values are distributed, in powers of two: bucket i counts values up to 2^(shift + i), the
 * last one all above, too. Owned by the caller; zeros are an empty one. With values in ns a shift
 * of 10 reaches from 1 us to 2200 s, with bytes one of 12 from a page to 8 TiB.
 */
struct baro_histogram {
	uint64_t bucket[BARO_HISTOGRAM_BUCKETS];
	uint64_t sum;
	uint32_t shift; /* up to BARO_HISTOGRAM_SHIFT_MAX; set once, before the first value */
	uint32_t reserved0;
};

enum baro_metric_kind {
	BARO_METRIC_COUNTER = 1, /* only grows */
	BARO_METRIC_GAUGE = 2,
	BARO_METRIC_HISTOGRAM = 3,
};

/* What the value counts; it is exported in the unit of the name. */
enum baro_metric_unit {
	BARO_METRIC_PLAIN = 0, /* things */
	BARO_METRIC_BYTES = 1, /* name: _bytes */
	BARO_METRIC_NS = 2, /* name: _seconds */
	BARO_METRIC_PPM = 3, /* name: _ratio */
};

enum baro_metric_flag {
	BARO_METRIC_LOCAL = 1, /* not to the daemon, whose table has little room */
};

/* Exactly one of value, read and histogram is there; the last for histograms. */
struct baro_metric {
	size_t size; /* sizeof(struct baro_metric) */
	const char *name; /* a-z 0-9 _, from a letter on, not barostat_...; copied */
	/* NULL: none. Copied, and cut where it is too long; what is not A-Z a-z 0-9 . _ : / - is
	 * written as _. */
	const char *label;
	const char *help; /* one line; copied, and cut */
	uint32_t kind; /* enum baro_metric_kind */
	uint32_t unit; /* enum baro_metric_unit */
	uint32_t flags; /* enum baro_metric_flag */
	uint32_t which; /* for read */
	const uint64_t *value; /* read with one load */
	uint64_t (*read)(void *arg, uint32_t which);
	const struct baro_histogram *histogram;
	void *arg; /* for read */
	const void *owner; /* whose it is: see baro_metrics_remove() */
};

/* -ENOMEM. */
BARO_API int baro_metrics_new(struct baro_metrics **ret_metrics);

/* The last call, and no client has it any more. Objects that are still registered stay as they
 * are. NULL is fine. */
BARO_API void baro_metrics_free(struct baro_metrics *metrics);

/*
 * Registers a metric, which stays until it is removed.
 *  -EINVAL	a name that does not fit kind and unit, or is there with others; nothing, or too
 *		much, to read from
 *  -EEXIST	name and label are there
 *  -ENOSPC	there are BARO_METRICS_MAX
 *  -ENOMEM
 */
BARO_API int baro_metrics_add(struct baro_metrics *metrics, const struct baro_metric *metric);

/* Forgets all metrics of that owner and returns how many. When it returns none of them is being
 * read any more, so what they read from may be destroyed. Not from a callback. */
BARO_API int baro_metrics_remove(struct baro_metrics *metrics, const void *owner);

/*
 * Writes all of them as text, version 0.0.4 of Prometheus' format, with a NUL that *ret_bytes does
 * not count.
 *  -ENOBUFS	it does not fit; *ret_bytes is what it takes, as things are now
 */
BARO_API int baro_metrics_format(struct baro_metrics *metrics, char *buf, size_t size,
				 size_t *ret_bytes);

/*
 * Puts the values of now on the client's demand page, in the order of registration, and returns how
 * many lines of its table they take (a histogram takes four: count, sum, median, 99th percentile).
 * What does not fit its BARO_DEMAND_METRICS lines is left out. The daemon need not be there.
 */
BARO_API int baro_metrics_publish(struct baro_metrics *metrics, struct baro_client *client);

/* From any number of threads. */
BARO_API void baro_histogram_add(struct baro_histogram *histogram, uint64_t value);

/* Below which `ppm` of the values lie, interpolated within its bucket; 0 when there are none. */
BARO_API uint64_t baro_histogram_quantile(const struct baro_histogram *histogram, uint32_t ppm);

/* "counter", "gauge", "histogram"; "?" for unknown ones. */
BARO_API const char *baro_metric_kind_name(uint32_t kind);

#ifdef __cplusplus
}
#endif

#endif
