/* SPDX-License-Identifier: BSD-2-Clause */
/* All of libbarostat. Each header also stands alone. */
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
