/* SPDX-License-Identifier: BSD-2-Clause */
/* All of libbarostat. Each header also stands alone. */
#ifndef BAROSTAT_BAROSTAT_H
#define BAROSTAT_BAROSTAT_H

#include <barostat/client.h>
#include <barostat/demand.h>
#include <barostat/memtable.h>
#include <barostat/page.h>
#include <barostat/pool.h>
#include <barostat/registry.h>

#endif
