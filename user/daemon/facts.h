/* SPDX-License-Identifier: BSD-2-Clause */
/* What the daemon says of itself, as JSON: the bodies of docs/control.md. Callers own the result;
 * NULL when memory ran out. */
#ifndef BAROSTAT_DAEMON_FACTS_H
#define BAROSTAT_DAEMON_FACTS_H

#include <jansson.h>

#include "user/daemon/daemon.h"

json_t *facts_status(const struct daemon *d);
json_t *facts_engine(const struct daemon *d, const struct engine *e);
json_t *facts_explain(const struct daemon *d, const struct engine *e);
json_t *facts_history(const struct daemon *d, const struct engine *e);
json_t *facts_doctor(const struct daemon *d);
json_t *facts_cost(const struct daemon *d);

/* One sentence per line of thought, newest first; the numbers stand in facts_explain(). */
json_t *explain_words(const struct daemon *d, const struct engine *e, uint64_t now_ns);
/* The name of a decision's peer, NULL for none. */
const char *explain_peer(const struct daemon *d, uint32_t peer);

#endif
