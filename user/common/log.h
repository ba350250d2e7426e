/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's log: one line per fact on stderr, prefixed with the journal's priority ("<4>") when
 * stderr is not a terminal. Thread-safe. A call site that would flood says log_limited(): at most
 * one line per second there, and the next line that passes carries how many were suppressed.
 */
#ifndef BAROSTAT_COMMON_LOG_H
#define BAROSTAT_COMMON_LOG_H

#include <stdarg.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

struct log_site {
	uint64_t last_ns;
	uint64_t suppressed;
};

/* Lines above this level are dropped. Default: LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_write_limited(struct log_site *site, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_err(...)   log_write(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_limited(level, ...)                                                                    \
	do {                                                                                       \
		static struct log_site site_;                                                      \
		log_write_limited(&site_, level, __VA_ARGS__);                                     \
	} while (0)

#endif
