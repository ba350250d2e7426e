/* SPDX-License-Identifier: BSD-2-Clause */
/* What the unified tree knows of a node: pressure, its triggers, CPU time. */
#include "cgroup/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "cgroup/parse.h"
#include "user/common/cleanup.h"
#include "user/common/clock.h"
#include "user/common/io.h"
#include "user/common/units.h"

#define WINDOW_STEP_US 2000000ull /* what an unprivileged trigger must be a multiple of */
#define WINDOW_MAX_US  10000000ull

int cg_node_pressure(struct cg_node *n, enum cg_pressure_kind kind, struct cg_pressure *ret)
{
	char buf[256];
	ssize_t len = cg_node_read(n, CG_FILE_PRESSURE + kind, buf, sizeof(buf));

	return len < 0 ? (int)len : cg_parse_pressure(buf, (size_t)len, ret);
}

int cg_node_cpu(struct cg_node *n, struct cg_cpu *ret)
{
	char buf[1024];
	ssize_t len = cg_node_read(n, CG_FILE_CPU, buf, sizeof(buf));
	uint64_t all_us, system_us = 0;
	int r;

	if (len < 0)
		return (int)len;
	r = cg_parse_key(buf, (size_t)len, "usage_usec", &all_us);
	if (r == 0)
		r = cg_parse_key(buf, (size_t)len, "system_usec", &system_us);
	if (r < 0)
		return r == -ENOENT ? -EINVAL : r;
	*ret = (struct cg_cpu){ all_us * NS_PER_US, system_us * NS_PER_US };
	return 0;
}

static int arm(int fd, uint64_t threshold_us, uint64_t window_us)
{
	char text[64];

	snprintf(text, sizeof(text), "some %llu %llu", (unsigned long long)threshold_us,
		 (unsigned long long)window_us);
	return io_pwrite_text(fd, text);
}

/* The next window that needs no capability. */
static uint64_t unprivileged_window_us(uint64_t window_us)
{
	uint64_t steps = window_us / WINDOW_STEP_US + (window_us % WINDOW_STEP_US != 0);

	return clamp_u64(steps * WINDOW_STEP_US, WINDOW_STEP_US, WINDOW_MAX_US);
}

int cg_node_psi_trigger(struct cg_node *n, enum cg_pressure_kind kind, uint64_t threshold_us,
			uint64_t window_us, uint64_t *ret_window_us)
{
	static const char *const names[CG_PRESSURE_COUNT] = { "memory.pressure", "io.pressure" };
	_cleanup_close_ int fd = -1;
	uint64_t wide_us;
	int r;

	if (!threshold_us || threshold_us > window_us)
		return -EINVAL;
	/* A plain file cannot be polled, and would keep what is written to it. */
	if (n->psi_dirfd < 0 || n->backend->fake)
		return -EOPNOTSUPP;
	fd = openat(n->psi_dirfd, names[kind], O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return cg_node_missing(n->psi_dirfd, errno);
	r = arm(fd, threshold_us, window_us);
	wide_us = unprivileged_window_us(window_us);
	if (r == -EINVAL && wide_us != window_us) {
		r = arm(fd, max_u64(mul_div_u64(threshold_us, wide_us, window_us), 1), wide_us);
		window_us = wide_us;
	}
	if (r < 0)
		return r;
	*ret_window_us = window_us;
	return TAKE_FD(fd);
}
