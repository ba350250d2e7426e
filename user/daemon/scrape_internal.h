/* SPDX-License-Identifier: BSD-2-Clause */
/* Between scrape.c, which knows the order of things, and scrape_numbers.c, which knows them. */
#ifndef BAROSTAT_DAEMON_SCRAPE_INTERNAL_H
#define BAROSTAT_DAEMON_SCRAPE_INTERNAL_H

#include <stdbool.h>

#include "user/daemon/daemon.h"

/* What one step writes: the head of a family and the lines of one engine. */
struct scrape_text {
	char text[4096];
	size_t bytes;
};

void scrape_put(struct scrape_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void scrape_head(struct scrape_text *t, const char *name, const char *type, const char *help);
/* In quotes, with what is special in there escaped. */
void scrape_quote(struct scrape_text *t, const char *value);

enum scrape_unit { SCRAPE_PLAIN, SCRAPE_BYTES, SCRAPE_NS, SCRAPE_PPM };
/* " VALUE\n", in the unit of the name. */
void scrape_value(struct scrape_text *t, enum scrape_unit unit, uint64_t value);

/* How many families there are, and one of them; false when an engine has nothing to say there. */
uint32_t scrape_host_families(void);
void scrape_host(struct scrape_text *t, const struct daemon *d, uint32_t family, uint64_t now_ns);
uint32_t scrape_engine_families(void);
void scrape_engine_head(struct scrape_text *t, uint32_t family);
void scrape_engine(struct scrape_text *t, const struct daemon *d, const struct engine *e,
		   uint32_t family);

#endif
