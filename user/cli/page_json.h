/* SPDX-License-Identifier: BSD-2-Clause */
/* The pressure page as JSON, with the names of include/barostat/page.h; "none" and "never" are
 * null. The caller owns what is returned; NULL when there is no memory. */
#ifndef BAROSTAT_CLI_PAGE_JSON_H
#define BAROSTAT_CLI_PAGE_JSON_H

#include <jansson.h>

#include "user/cli/page_view.h"

json_t *page_json(const struct page_view *view);
json_t *page_slot_json(uint32_t index, const struct baro_slot *slot);

/* A value of the above for people, by the unit its key ends in. */
char *page_field_text(const char *key, const json_t *value);

#endif
