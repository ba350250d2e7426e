/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as the payloads of a trace, without the sums that would stop them: what is taken for a
 * tick is decided on by the law as it was and by one under other settings. The input is cut into
 * payloads by two bytes of length before each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/replay_compare.h"

#define SLOTS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "broken: %s\n", what);
	abort();
}

static void decide(struct replay *r, struct compare *c)
{
	struct replay_setting other[] = {
		{ .key = REPLAY_POLICY, .value = r->ticks % LAW_POLICY_COUNT },
		{ .key = REPLAY_RESERVE, .percent = true, .value = 250000 },
	};

	require(r->image.n <= SLOTS, "no slot past the header's");
	for (uint32_t i = 0; i < r->image.n; i++)
		require(memchr(r->image.name[i], '\0', TRACE_NAME_BYTES) != NULL, "names end");
	replay_step(r, &r->law[0], NULL, 0);
	replay_step(r, &r->law[1], other, 2);
	require(compare_tick(c, r, &r->law[0]) == 0, "a tick is compared");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct replay r;
	struct compare c;

	require(replay_init(&r, SLOTS, 2) == 0, "memory");
	require(compare_init(&c, SLOTS) == 0, "memory");
	while (size > 2) {
		size_t n = (size_t)data[0] | (size_t)data[1] << 8;
		int what;

		data += 2;
		size -= 2;
		n = n < size ? n : size;
		what = replay_read(&r, data, n);
		if (what < 0)
			break;
		if (what == REPLAY_READ_TICK)
			decide(&r, &c);
		data += n;
		size -= n;
	}
	compare_fini(&c);
	replay_fini(&r);
	return 0;
}
