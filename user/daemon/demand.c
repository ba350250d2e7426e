/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/demand.h"

#include <string.h>

#include "user/common/units.h"

void demand_init(struct baro_demand *page)
{
	memset(page, 0, sizeof(*page));
	page->magic = BARO_DEMAND_MAGIC;
	page->abi_major = BARO_DEMAND_ABI_MAJOR;
	page->abi_minor = BARO_DEMAND_ABI_MINOR;
	page->page_bytes = BARO_DEMAND_PAGE_BYTES;
}

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

bool demand_copy(const struct baro_demand *page, struct demand_values *ret)
{
	uint32_t begin = __atomic_load_n(&page->seq, __ATOMIC_ACQUIRE);
	struct demand_values v = {
		.hint = __atomic_load_n(&page->hint, __ATOMIC_RELAXED),
		.heartbeat_ns = load(&page->heartbeat_ns),
		.accounted_bytes = load(&page->accounted_bytes),
		.reclaimable_bytes = load(&page->reclaimable_bytes),
		.wanted_bytes = load(&page->wanted_bytes),
		.ack_epoch = load(&page->ack_epoch),
	};

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if ((begin & 1) || __atomic_load_n(&page->seq, __ATOMIC_RELAXED) != begin)
		return false;
	*ret = v;
	return true;
}

bool demand_is_heard(const struct demand_values *v, uint64_t now_ns)
{
	return v->heartbeat_ns && v->heartbeat_ns <= now_ns &&
	       now_ns - v->heartbeat_ns <= DEMAND_HEARTBEAT_WITHIN_NS;
}

bool demand_check(const struct demand_values *v, const struct demand_bounds *b,
		  struct law_demand *ret)
{
	if (!demand_is_heard(v, b->now_ns))
		return false;
	*ret = (struct law_demand){
		.clients = 1,
		.hint = v->hint < LAW_HINT_COUNT ? v->hint : LAW_HINT_AUTO,
		.accounted_bytes = min_u64(v->accounted_bytes, b->usage_bytes),
		.reclaimable_bytes = min_u64(v->reclaimable_bytes, b->usage_bytes),
		.wanted_bytes = min_u64(v->wanted_bytes, b->max_bytes),
		.ack_epoch = v->ack_epoch <= b->grant_epoch ? v->ack_epoch : 0,
		.grant_epoch = b->grant_epoch,
	};
	return true;
}

static uint64_t add_within(uint64_t a, uint64_t b, uint64_t most)
{
	return min_u64(sat_add_u64(a, b), most);
}

void demand_add(struct law_demand *sum, const struct law_demand *one, const struct demand_bounds *b)
{
	if (!sum->clients) {
		*sum = *one;
		return;
	}
	sum->clients += one->clients;
	if (sum->hint != one->hint)
		sum->hint = LAW_HINT_MIXED;
	sum->accounted_bytes =
	    add_within(sum->accounted_bytes, one->accounted_bytes, b->usage_bytes);
	sum->reclaimable_bytes =
	    add_within(sum->reclaimable_bytes, one->reclaimable_bytes, b->usage_bytes);
	if (sum->wanted_bytes)
		sum->wanted_bytes = one->wanted_bytes ? add_within(sum->wanted_bytes,
								   one->wanted_bytes, b->max_bytes)
						      : 0;
	sum->ack_epoch = min_u64(sum->ack_epoch, one->ack_epoch);
}
