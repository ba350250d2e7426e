/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the pools share; never installed. */
#ifndef BAROSTAT_LIB_POOL_INTERNAL_H
#define BAROSTAT_LIB_POOL_INTERNAL_H

#include "include/barostat/pool.h"

#define POOL_PPM 1000000u

/* The least share of one of n pools: 20 % of two. */
uint32_t pool_share_min(uint32_t n);

/* Shares in ppm by weight, none below the least one; their sum is 1000000. Without any weight all
 * are alike. */
void pool_shares(const uint32_t *weight, uint32_t n, uint32_t *ret_ppm);

/* The values of the environment. -EINVAL, -ERANGE. */
int pool_parse_bytes(const char *text, uint64_t *ret_bytes);
int pool_parse_ratio(const char *text, uint32_t *ret_ppm);

/* Why `text` is no good as `variable`: a sentence. */
void pool_env_words(const char *variable, const char *text, int err, char *ret_why,
		    size_t why_bytes);

#endif
