/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/backoff.h"

#include "user/common/clock.h"
#include "user/common/units.h"

#define WAIT_FIRST_NS NS_PER_S
#define WAIT_MOST_NS  (60 * NS_PER_S)

bool backoff_holds(const struct backoff *b, uint64_t now_ns)
{
	return now_ns < b->until_ns;
}

void backoff_failed(struct backoff *b, int error, uint64_t now_ns)
{
	b->wait_ns = error == b->error ? min_u64(2 * b->wait_ns, WAIT_MOST_NS) : WAIT_FIRST_NS;
	b->error = error;
	b->until_ns = now_ns + b->wait_ns;
}
