// SPDX-License-Identifier: BSD-2-Clause
#include "user/lib/percpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CPUS_MAX   4096u
#define SHARED_MAX 32u

static uint32_t cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_CONF);

	return n < 1 ? 1 : n > (long)CPUS_MAX ? CPUS_MAX : (uint32_t)n;
}

uint32_t percpu_lines_wanted(uint32_t most)
{
	uint32_t lines = 1, n = cpus();

	while (lines < n && lines < most)
		lines *= 2;
	return lines;
}

static bool registered(void)
{
#ifdef LIB_RSEQ
	return __rseq_size != 0;
#else
	return false;
#endif
}

int percpu_init(struct percpu *p, bool atomic)
{
	struct percpu made = { .shared = 1 };
	size_t bytes;

	if (!atomic && registered())
		made.owned = cpus();
	else
		made.shared = percpu_lines_wanted(SHARED_MAX);
#ifdef LIB_RSEQ
	made.rseq_offset = __rseq_offset;
#endif
	bytes = (made.owned + made.shared) * sizeof(struct percpu_line);
	made.line = aligned_alloc(sizeof(struct percpu_line), bytes);
	if (!made.line)
		return -ENOMEM;
	memset(made.line, 0, bytes);
	*p = made;
	return 0;
}

void percpu_fini(struct percpu *p)
{
	free(p->line);
	p->line = NULL;
}

uint64_t percpu_sum(const struct percpu *p)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < p->owned + p->shared; i++)
		sum += __atomic_load_n(&p->line[i].count, __ATOMIC_RELAXED);
	return sum;
}
