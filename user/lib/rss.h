/* SPDX-License-Identifier: BSD-2-Clause */
/* baro_rss_read() with the file named, for tests. */
#ifndef BAROSTAT_LIB_RSS_H
#define BAROSTAT_LIB_RSS_H

#include <stdbool.h>
#include <stdint.h>

#include "include/barostat/governor.h"

int rss_read(const char *status_file, uint64_t *ret_rss_bytes);

#endif
