/* SPDX-License-Identifier: BSD-2-Clause */
/* Sanitizers do not look into assembly: what has a portable way beside an assembly one takes it
 * under them. */
#ifndef BAROSTAT_LIB_PORTABLE_H
#define BAROSTAT_LIB_PORTABLE_H

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define LIB_PORTABLE 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define LIB_PORTABLE 1
#endif
#endif

#endif
