/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/cost.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/common/clock.h"
#include "user/common/io.h"
#include "user/common/units.h"

void cost_open(struct cost *c)
{
	memset(c, 0, sizeof(*c));
	c->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

void cost_close(struct cost *c)
{
	if (c->statm_fd >= 0)
		close(c->statm_fd);
	c->statm_fd = -1;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void refresh(struct cost *c, uint64_t now_ns)
{
	uint32_t sorted[COST_TICKS];
	uint64_t n = min_u64(c->ticks, COST_TICKS), cpu_ns;
	struct timespec ts;
	char text[128];
	char *rss;

	memcpy(sorted, c->tick_ns, n * sizeof(sorted[0]));
	qsort(sorted, n, sizeof(sorted[0]), by_value);
	c->tick_p50_ns = sorted[n / 2];
	c->tick_p99_ns = sorted[n * 99 / 100];
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	cpu_ns = (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
	if (c->refreshed_ns)
		c->cpu_ppm = (uint32_t)min_u64(
		    mul_div_u64(cpu_ns - c->cpu_ns, PPM, now_ns - c->refreshed_ns), UINT32_MAX);
	c->cpu_ns = cpu_ns;
	c->refreshed_ns = now_ns;
	if (c->statm_fd >= 0 && io_pread_text(c->statm_fd, text, sizeof(text)) > 0) {
		rss = strchr(text, ' ');
		if (rss)
			c->rss_bytes = strtoull(rss, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
	}
}

void cost_note_tick(struct cost *c, uint64_t start_ns, uint64_t end_ns)
{
	c->tick_ns[c->ticks++ % COST_TICKS] = (uint32_t)min_u64(end_ns - start_ns, UINT32_MAX);
	if (end_ns - c->refreshed_ns >= NS_PER_S)
		refresh(c, end_ns);
}
