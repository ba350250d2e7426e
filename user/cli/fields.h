/* SPDX-License-Identifier: BSD-2-Clause */
/* Fields of the daemon's answers. A field that is missing or of another type reads as "not there":
 * an older daemon says less, and a newer one more. */
#ifndef BAROSTAT_CLI_FIELDS_H
#define BAROSTAT_CLI_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* "-" when it is not there. */
const char *field_text(const json_t *object, const char *name);
/* Negative numbers and null are not there, too. */
bool field_u64(const json_t *object, const char *name, uint64_t *ret_value);
/* 0 when it is not there. */
uint64_t field_count(const json_t *object, const char *name);

/* As people read them; "-" when it is not there. All return buf. */
#define FIELD_BYTES 24
char *field_size(const json_t *object, const char *name, char *buf);
/* Where null means there is no limit: "none". */
char *field_limit(const json_t *object, const char *name, char *buf);
char *field_percent(const json_t *object, const char *name, char *buf); /* from ppm */
char *field_number(const json_t *object, const char *name, char *buf);
char *field_time_ns(const json_t *object, const char *name, char *buf);

/* 140000 ppm is "14.0%". */
char *percent_text(uint64_t ppm, char *buf);
/* 1234567 is "1.2M", 12040 "12040". */
char *number_text(uint64_t value, char *buf);

/* Prints it in the style of --json: indented on a terminal, else on one line. Owns nothing. */
int print_json(const json_t *value);

#endif
