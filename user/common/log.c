/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/common/log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "user/common/clock.h"

static enum log_level max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	__atomic_store_n(&max_level, level, __ATOMIC_RELAXED);
}

enum log_level log_get_level(void)
{
	return __atomic_load_n(&max_level, __ATOMIC_RELAXED);
}

/* One write(2) per line, so that lines of several threads do not mix. */
static void emit(enum log_level level, uint64_t suppressed, const char *fmt, va_list ap)
{
	static const char *const words[] = { [LOG_LEVEL_ERR] = "error: ",
					     [LOG_LEVEL_WARN] = "warning: ",
					     [LOG_LEVEL_INFO] = "",
					     [LOG_LEVEL_DEBUG] = "debug: " };
	int saved = errno;
	char line[1024];
	int room = (int)sizeof(line) - 2;
	int n, body;

	if (isatty(STDERR_FILENO))
		n = snprintf(line, (size_t)room, "%s", words[level] ? words[level] : "");
	else
		n = snprintf(line, (size_t)room, "<%d>", (int)level);
	errno = saved;
	body = vsnprintf(line + n, (size_t)(room - n), fmt, ap);
	if (body < 0)
		body = 0;
	n += body;
	if (n < room && suppressed)
		n += snprintf(line + n, (size_t)(room - n), " suppressed=%llu",
			      (unsigned long long)suppressed);
	if (n >= room)
		n = room - 1;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) < 0) {
		/* Nowhere left to say it. */
	}
	errno = saved;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > log_get_level())
		return;
	va_start(ap, fmt);
	emit(level, 0, fmt, ap);
	va_end(ap);
}

void log_write_limited(struct log_site *site, enum log_level level, const char *fmt, ...)
{
	uint64_t now_ns = clock_now_ns();
	uint64_t last_ns = __atomic_load_n(&site->last_ns, __ATOMIC_RELAXED);
	va_list ap;

	if (level > log_get_level())
		return;
	if ((last_ns && now_ns - last_ns < NS_PER_S) ||
	    !__atomic_compare_exchange_n(&site->last_ns, &last_ns, now_ns, 0, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED)) {
		__atomic_add_fetch(&site->suppressed, 1, __ATOMIC_RELAXED);
		return;
	}
	va_start(ap, fmt);
	emit(level, __atomic_exchange_n(&site->suppressed, 0, __ATOMIC_RELAXED), fmt, ap);
	va_end(ap);
}
