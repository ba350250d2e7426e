/* SPDX-License-Identifier: BSD-2-Clause */
/* All of libbarostat. Each header also stands alone. */
#ifndef BAROSTAT_BAROSTAT_H
#define BAROSTAT_BAROSTAT_H

#include <barostat/budget.h>
#include <barostat/client.h>
#include <barostat/demand.h>
#include <barostat/governor.h>
#include <barostat/page.h>

#endif
