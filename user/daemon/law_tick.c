/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/law_tick.h"

void law_tick(const struct law_host *h, uint32_t urgent, uint64_t now_ns)
{
	for (uint32_t i = 0; i < h->n; i++)
		if (h->engine[i].active && (urgent == LAW_NO_ENGINE || urgent == i))
			estimate_update(&h->estimate[i], h->params, &h->engine[i], &h->sample[i],
					h->given_bytes[i], now_ns);
	policy_decide(h->state, h->params, h->engine, h->sample, h->estimate, h->n, urgent, now_ns,
		      h->workspace, h->decision);
}
