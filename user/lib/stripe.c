// SPDX-License-Identifier: BSD-2-Clause
/* Opening, shutting and reading stripes; what this machine allows. */
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/lib/stripe.h"

/* The highest number in a list such as "0-3,8-11", and one; 0 when it is none. */
static uint32_t list_end(const char *list)
{
	unsigned long last = 0;
	char *end = NULL;

	for (const char *p = list; *p >= '0' && *p <= '9'; p = end) {
		last = strtoul(p, &end, 10);
		if (*end == '-' || *end == ',')
			end++;
	}
	return end && last < UINT32_MAX ? (uint32_t)last + 1 : 0;
}

uint32_t stripes_wanted(void)
{
	char list[4096];
	int fd = open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, list, sizeof(list) - 1);
	uint32_t count;

	if (fd >= 0)
		close(fd);
	list[len > 0 ? len : 0] = '\0';
	count = list_end(list);
	if (!count) {
		long configured = sysconf(_SC_NPROCESSORS_CONF);

		count = configured > 0 ? (uint32_t)configured : 1;
	}
	return count < STRIPES_MAX ? count : STRIPES_MAX;
}

#ifdef LIB_RSEQ
static bool fence(int command)
{
	return syscall(SYS_membarrier, command, 0, 0) == 0;
}

bool stripes_percpu_usable(void)
{
	return __rseq_size && fence(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ) &&
	       fence(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
}
#else
bool stripes_percpu_usable(void)
{
	return false;
}
#endif

void stripes_init(struct stripes *s, struct stripe *at, uint32_t count, bool percpu)
{
	*s = (struct stripes){ .at = at, .count = count, .percpu = percpu };
#ifdef LIB_RSEQ
	s->rseq_offset = __rseq_offset;
#endif
	for (uint32_t i = 0; i < count; i++)
		at[i] = (struct stripe){ 0 };
}

static bool take_cas(struct stripes *s, uint64_t bytes)
{
	struct stripe *me = stripe_here(s);
	uint64_t word = __atomic_load_n(&me->word, __ATOMIC_RELAXED);

	do {
		if ((word & STRIPE_CREDIT_MASK) < bytes || !word)
			return false;
	} while (!__atomic_compare_exchange_n(&me->word, &word, word - bytes, true,
					      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return true;
}

static bool put_cas(struct stripes *s, uint64_t bytes)
{
	uint64_t cap = __atomic_load_n(&s->cap_word, __ATOMIC_ACQUIRE);
	struct stripe *me = stripe_here(s);
	uint64_t word = __atomic_load_n(&me->word, __ATOMIC_RELAXED);

	if (!cap || bytes > STRIPE_CREDIT_MASK)
		return false;
	do {
		if ((word ^ cap) >> STRIPE_CREDIT_BITS || word + bytes > cap)
			return false;
	} while (!__atomic_compare_exchange_n(&me->word, &word, word + bytes, true,
					      __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	return true;
}

bool stripe_take(struct stripes *s, uint64_t bytes)
{
	return s->percpu ? stripe_take_fast(s, s->at, bytes) : take_cas(s, bytes);
}

bool stripe_put(struct stripes *s, uint64_t bytes)
{
	return s->percpu ? stripe_put_fast(s, s->at, bytes) : put_cas(s, bytes);
}

void stripes_open(struct stripes *s, uint64_t cap_bytes)
{
	uint64_t tag = 0;

	if (!s->percpu) {
		s->generation = s->generation == UINT16_MAX ? 1 : (uint16_t)(s->generation + 1);
		tag = (uint64_t)s->generation << STRIPE_CREDIT_BITS;
		for (uint32_t i = 0; i < s->count; i++)
			__atomic_store_n(&s->at[i].word, tag, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&s->cap_word, tag | cap_bytes, __ATOMIC_RELEASE);
	if (s->percpu)
		__atomic_store_n(&s->gate, s->count, __ATOMIC_RELEASE);
}

void stripes_bar(struct stripes *s)
{
	__atomic_store_n(&s->gate, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->cap_word, 0, __ATOMIC_SEQ_CST);
}

bool stripes_fence(const struct stripes *s)
{
#ifdef LIB_RSEQ
	if (s->percpu)
		return fence(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
#else
	(void)s;
#endif
	return true;
}

uint64_t stripes_sweep(struct stripes *s)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < s->count; i++)
		sum +=
		    __atomic_exchange_n(&s->at[i].word, 0, __ATOMIC_ACQ_REL) & STRIPE_CREDIT_MASK;
	return sum;
}

uint64_t stripes_sum(const struct stripes *s)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < s->count; i++)
		sum += __atomic_load_n(&s->at[i].word, __ATOMIC_ACQUIRE) & STRIPE_CREDIT_MASK;
	return sum;
}

uint64_t stripes_rejections(const struct stripes *s)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < s->count; i++)
		sum += __atomic_load_n(&s->at[i].rejections, __ATOMIC_RELAXED);
	return sum;
}
