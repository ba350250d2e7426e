/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an engine tells the daemon: the demand page, and the socket over which it gets one.
 *
 * An engine connects to the engine socket (SOCK_SEQPACKET) and says nothing: the kernel tells the
 * daemon who it is. It receives one struct baro_welcome with two descriptors: the pressure page,
 * read-only, and a demand page of its own, 4 KiB of sealed memory. From then on it stores into that
 * page; the connection only says that it lives. <barostat/client.h> does all this;
 * docs/demand-protocol.md is the same byte by byte, for other languages.
 *
 *	struct baro_demand *mine;	// the second descriptor, mapped shared and writable
 *	struct baro_welcome hello;
 *
 *	if (receive(connection, &hello, sizeof(hello), &mine) == 0 &&
 *	    hello.magic == BARO_WELCOME_MAGIC && hello.abi_major == BARO_DEMAND_ABI_MAJOR &&
 *	    !hello.error && mine->magic == BARO_DEMAND_MAGIC) {
 *		__atomic_store_n(&mine->reclaimable_bytes, cache_bytes(), __ATOMIC_RELAXED);
 *		__atomic_store_n(&mine->heartbeat_ns, now_ns, __ATOMIC_RELEASE); // every few seconds
 *	}
 *
 * Units: bytes, ns of CLOCK_MONOTONIC. The daemon trusts nothing of this: it copies the page once a
 * tick, checks every value against what it knows itself, and ignores what cannot be true.
 */
#ifndef BAROSTAT_DEMAND_H
#define BAROSTAT_DEMAND_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BARO_ENGINE_SOCKET_PATH "/run/barostat/engine.sock" /* BAROSTAT_ENGINE_SOCKET overrides */
#define BARO_DEMAND_MAGIC       UINT64_C(0x444e4d444f524142) /* "BARODMND" in memory */
#define BARO_WELCOME_MAGIC      UINT64_C(0x434c45574f524142) /* "BAROWELC" in the message */
#define BARO_DEMAND_ABI_MAJOR   1
#define BARO_DEMAND_ABI_MINOR   1
#define BARO_DEMAND_PAGE_BYTES  4096

/* Since 1.1: the table of metrics. */
#define BARO_DEMAND_METRICS            48
#define BARO_DEMAND_METRIC_NAME_BYTES  40
#define BARO_DEMAND_METRIC_LABEL_BYTES 20

/* What the engine is doing; it corrects what the daemon would guess. */
enum baro_hint {
	BARO_HINT_AUTO = 0, /* no opinion */
	BARO_HINT_BULK_INGEST = 1, /* writes once and does not read back: cache earns nothing */
	BARO_HINT_QUERY_HEAVY = 2, /* reads again what it read: never taken for a stream */
	BARO_HINT_MIXED = 3,
	BARO_HINT_MEMORY_CONSTRAINED = 4, /* content with little: gets nothing beyond its needs */
};

/* One line of the table of metrics is one number; a distribution takes four. */
enum baro_demand_metric_kind {
	BARO_DEMAND_METRIC_NONE = 0, /* the line is unused */
	BARO_DEMAND_METRIC_COUNTER = 1,
	BARO_DEMAND_METRIC_GAUGE = 2,
	BARO_DEMAND_METRIC_COUNT = 3, /* of a distribution: how many values, ... */
	BARO_DEMAND_METRIC_SUM = 4, /* ... their sum, ... */
	BARO_DEMAND_METRIC_P50 = 5, /* ... median, ... */
	BARO_DEMAND_METRIC_P99 = 6, /* ... and 99th percentile */
};

enum baro_demand_metric_unit {
	BARO_DEMAND_UNIT_PLAIN = 0,
	BARO_DEMAND_UNIT_BYTES = 1,
	BARO_DEMAND_UNIT_NS = 2,
	BARO_DEMAND_UNIT_PPM = 3,
};

/* Since 1.1. 72 bytes. */
struct baro_demand_metric {
	char name[BARO_DEMAND_METRIC_NAME_BYTES]; /* NUL-padded, at least one NUL */
	char label[BARO_DEMAND_METRIC_LABEL_BYTES]; /* the same, may be empty */
	uint16_t kind; /* enum baro_demand_metric_kind */
	uint16_t unit; /* enum baro_demand_metric_unit */
	uint64_t value;
};

/*
 * The demand page. The daemon fills the first 64 bytes once and never reads them; the rest is the
 * engine's. Every field may be stored by itself (one aligned store); fields that belong together
 * are stored while seq is odd. 0 in a field says nothing.
 */
struct baro_demand {
	uint64_t magic;
	uint16_t abi_major;
	uint16_t abi_minor;
	uint32_t page_bytes; /* 4096 */
	uint64_t reserved0[6];

	uint32_t seq; /* odd while fields that belong together are being written */
	uint32_t hint; /* enum baro_hint */
	uint64_t heartbeat_ns; /* the engine lives; older than heartbeat_within_ns: ignored */
	uint64_t accounted_bytes; /* what it counts itself as using */
	uint64_t reclaimable_bytes; /* of that, what it could give back on request */
	uint64_t wanted_bytes; /* what it could make use of in all */
	uint64_t ack_epoch; /* the last grant epoch it has acted on */
	uint64_t reserved1[2];

	uint32_t metrics_seq; /* odd while the table of metrics is being written */
	uint32_t metrics_count; /* lines in use, from the first on */
	uint64_t metrics_ns; /* when they were written; 0: never */
	uint64_t reserved2[6];
	struct baro_demand_metric metric[BARO_DEMAND_METRICS];

	uint64_t reserved3[56];
};

/* The one message of the daemon, with two descriptors when error is 0. */
struct baro_welcome {
	uint64_t magic;
	uint16_t abi_major;
	uint16_t abi_minor;
	uint32_t message_bytes; /* 256; a later version may send more */
	uint32_t
	    error; /* 0, or why not: 2 not in an engine, 13 not its user, 16 too many clients */
	uint32_t slot; /* of the pressure page */
	uint32_t incarnation; /* of that slot */
	uint32_t reserved0;
	uint64_t cgroup_id; /* of the engine's memory cgroup */
	uint64_t heartbeat_within_ns; /* how often it must show that it lives */
	uint64_t reserved1[2];

	char engine[64]; /* its name, NUL-padded */
	char detail[128]; /* one sentence, when error is not 0 */
};

#ifdef __cplusplus
}
#endif

#endif
