/* SPDX-License-Identifier: BSD-2-Clause */
/* What explain and top's detail have in common. */
#ifndef BAROSTAT_CLI_EXPLAIN_H
#define BAROSTAT_CLI_EXPLAIN_H

#include <jansson.h>
#include <stddef.h>

/* "min,step", "-" for none. */
void decision_clamps(const json_t *decision, char *buf, size_t size);
/* The reason, "gain x3" when the decision stands for three moves. Returns buf. */
const char *decision_reason(const json_t *decision, char *buf, size_t size);

#endif
