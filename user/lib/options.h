/* SPDX-License-Identifier: BSD-2-Clause */
/* Options whose first member is their own size: an older caller's are shorter than ours, a newer
 * one's longer. Never installed. */
#ifndef BAROSTAT_LIB_OPTIONS_H
#define BAROSTAT_LIB_OPTIONS_H

#include <errno.h>
#include <stddef.h>
#include <string.h>

/*
 * Copies what the caller knows of `known` bytes; the rest of *ret is 0, which is every option's
 * default. -EINVAL: shorter than the first version of the struct (`least`), or it sets something
 * that this version does not know.
 */
static inline int options_take(void *ret, size_t known, size_t least, const void *given)
{
	const unsigned char *bytes = (const unsigned char *)given;
	size_t size = *(const size_t *)given;

	if (size < least || size > 4096)
		return -EINVAL;
	for (size_t i = known; i < size; i++)
		if (bytes[i])
			return -EINVAL;
	memset(ret, 0, known);
	memcpy(ret, given, size < known ? size : known);
	return 0;
}

#endif
