/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers and sentences for people. */
#ifndef BAROSTAT_CLI_FORMAT_H
#define BAROSTAT_CLI_FORMAT_H

#include <stdint.h>
#include <stdio.h>

/* part / whole in ppm, 0 when there is no whole. */
uint64_t share_ppm(uint64_t part, uint64_t whole);
/* "3d 2h", "5m 12s", "8s". Returns buf (FIELD_BYTES). */
char *duration_text(uint64_t seconds, char *buf);
/* "2.1 s ago", "5 min ago". Returns buf (FIELD_BYTES). */
char *age_text(uint64_t age_ms, char *buf);
/* "+96M", "-1.5G", "=". Returns buf (FIELD_BYTES). */
char *change_text(uint64_t before_bytes, uint64_t now_bytes, char *buf);
/* The width of the terminal stdout is, or 80; at least 40. */
unsigned int output_width(void);
/* Breaks the text at blanks to the width; later lines are indented by `indent`. */
void print_wrapped(const char *text, unsigned int indent, unsigned int width, FILE *out);

#endif
