// SPDX-License-Identifier: BSD-2-Clause
#include "include/barostat/admission.h"
#include "user/lib/arith.h"
#include "user/lib/metrics_internal.h"

#define GRANTED UINT32_MAX /* of all kinds together */

static const struct metric_field fields[] = {
	{ "baro_admission_granted_total", "Jobs granted.", BARO_METRIC_COUNTER, BARO_METRIC_PLAIN,
	  0, GRANTED },
	{ "baro_admission_waited_total", "Of them, not at once.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, 0, METRIC_OF(baro_admission_stats, waited) },
	{ "baro_admission_refused_queue_full_total", "Refused: the queue was full.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_admission_stats, refused_queue_full) },
	{ "baro_admission_refused_memory_total", "Refused: no memory.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, 0, METRIC_OF(baro_admission_stats, refused_memory) },
	{ "baro_admission_refused_throttled_total", "Refused: ingestion is throttled.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_admission_stats, refused_throttled) },
	{ "baro_admission_refused_limit_total", "Refused: too many at once.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_admission_stats, refused_concurrency) },
	{ "baro_admission_refused_final_total", "Refused: can never fit.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_admission_stats, refused_never_fits) },
	{ "baro_admission_timed_out_total", "Waited until their deadline.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, METRIC_OF(baro_admission_stats, timed_out) },
	{ "baro_admission_cancelled_total", "Cancelled while they waited.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, METRIC_OF(baro_admission_stats, cancelled) },
	{ "baro_admission_throttled_total", "Held up for readers or pressure.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, METRIC_OF(baro_admission_stats, throttled) },
	{ "baro_admission_cut_total", "Batches made smaller for want of memory.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_admission_stats, cut) },
	{ "baro_admission_released_again_total", "Permits released twice.", BARO_METRIC_COUNTER,
	  BARO_METRIC_PLAIN, BARO_METRIC_LOCAL, METRIC_OF(baro_admission_stats, released_again) },
	{ "baro_admission_queued", "Waiting now.", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN, 0,
	  METRIC_OF(baro_admission_stats, queued) },
	{ "baro_admission_writes", "Writes active now.", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN,
	  BARO_METRIC_LOCAL, METRIC_OF(baro_admission_stats, writes) },
	{ "baro_admission_batches", "Batches active now.", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN,
	  BARO_METRIC_LOCAL, METRIC_OF(baro_admission_stats, batches) },
	{ "baro_admission_workers", "Workers active now.", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN,
	  BARO_METRIC_LOCAL, METRIC_OF(baro_admission_stats, workers) },
	{ "baro_admission_readers", "Reads active now.", BARO_METRIC_GAUGE, BARO_METRIC_PLAIN,
	  BARO_METRIC_LOCAL, METRIC_OF(baro_admission_stats, readers) },
	{ "baro_admission_write_share_ratio", "Of readers' time, that writes may use.",
	  BARO_METRIC_GAUGE, BARO_METRIC_PPM, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_admission_stats, write_share_ppm) },
	{ "baro_admission_reserved_bytes", "Write memory reserved.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, 0, METRIC_OF(baro_admission_stats, reserved_bytes) },
	{ "baro_admission_reserved_peak_bytes", "The most that ever was.", BARO_METRIC_GAUGE,
	  BARO_METRIC_BYTES, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_admission_stats, reserved_peak_bytes) },
	{ "baro_admission_wait_p50_seconds", "Wait for a grant, median.", BARO_METRIC_GAUGE,
	  BARO_METRIC_NS, BARO_METRIC_LOCAL, METRIC_OF(baro_admission_stats, wait_ns.p50) },
	{ "baro_admission_wait_p99_seconds", "Wait for a grant, 99th percentile.",
	  BARO_METRIC_GAUGE, BARO_METRIC_NS, 0, METRIC_OF(baro_admission_stats, wait_ns.p99) },
	{ "baro_admission_warnings_total", "How often warning was reached from below.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_admission_stats, excursions[BARO_LEVEL_WARNING]) },
	{ "baro_admission_criticals_total", "How often critical was reached from below.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_admission_stats, excursions[BARO_LEVEL_CRITICAL]) },
	{ "baro_admission_emergencies_total", "How often emergency was reached from below.",
	  BARO_METRIC_COUNTER, BARO_METRIC_PLAIN, BARO_METRIC_LOCAL,
	  METRIC_OF(baro_admission_stats, excursions[BARO_LEVEL_EMERGENCY]) },
};

static uint64_t granted(const struct baro_admission_stats *now)
{
	uint64_t sum = 0;

	for (int i = 0; i < BARO_JOB_KINDS; i++)
		sum = lib_add(sum, now->granted[i]);
	return sum;
}

static uint64_t read_field(void *admission, uint32_t offset)
{
	struct baro_admission_stats now;

	baro_admission_stats_read(admission, &now);
	return offset == GRANTED ? granted(&now) : metric_field_of(&now, offset);
}

int baro_admission_add_metrics(struct baro_admission *admission, struct baro_metrics *metrics,
			       const char *label)
{
	return metrics_add_fields(metrics, METRIC_FIELDS(fields), label, read_field, admission);
}
