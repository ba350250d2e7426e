/* SPDX-License-Identifier: BSD-2-Clause */
/* The two directions of the manifest; never installed. The format: registry_manifest.c. */
#ifndef BAROSTAT_LIB_REGISTRY_MANIFEST_H
#define BAROSTAT_LIB_REGISTRY_MANIFEST_H

#include <stdio.h>

#include "user/lib/registry_internal.h"

#define MANIFEST_FORMAT_KEY     "barostat_registry"
#define MANIFEST_FORMAT_VERSION 1

int manifest_write(struct baro_registry *r, FILE *f);

/* baro_registry_restore() of an open file. */
int manifest_read(struct baro_registry *r, FILE *f, struct baro_registry_report *report,
		  char *ret_why, size_t why_bytes);

#endif
