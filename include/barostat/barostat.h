/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All of libbarostat: an engine that knows what it may use, counts what it holds, and asks before
 * it writes. Each header also stands alone, and has the rest.
 *
 *	struct baro_admission_options ingest = { .size = sizeof(ingest) };
 *	struct baro_admission *writes;
 *	struct baro_budget *room;
 *	struct baro_pressure now = { 0 };
 *
 *	baro_client_open(NULL, &ingest.client);			// the daemon, or the cgroup's limits
 *	baro_admission_open(&ingest, &writes);			// asked by what writes
 *	baro_budget_open(NULL, "engine", BARO_PAGE_NONE, 0, &room);	// by what takes memory
 *	while (baro_client_wait(ingest.client, &now, BARO_PAGE_NONE) == 0) {	// in a thread
 *		baro_budget_set_limit(room, now.budget_bytes);
 *		cache_shrink_to(now.budget_bytes);
 *		baro_client_acknowledge(ingest.client, now.grant_epoch);
 *	}
 */
#ifndef BAROSTAT_BAROSTAT_H
#define BAROSTAT_BAROSTAT_H

#include <barostat/admission.h>
#include <barostat/budget.h>
#include <barostat/client.h>
#include <barostat/demand.h>
#include <barostat/governor.h>
#include <barostat/memtable.h>
#include <barostat/metrics.h>
#include <barostat/overflow.h>
#include <barostat/page.h>
#include <barostat/pool.h>
#include <barostat/registry.h>
#include <barostat/relief.h>
#include <barostat/spill.h>

#endif
