// SPDX-License-Identifier: BSD-2-Clause
/*
 * The outer budget of an admission, where it is one of ours. A permit is released once, so a
 * reservation needs no seal of its own: where the bytes were taken is the cookie.
 */
#include "include/barostat/admission.h"
#include "user/lib/budget_internal.h"

static int reserve(void *ctx, uint64_t bytes, uint64_t *ret_cookie)
{
	struct baro_budget *from;
	int r = budget_hold(ctx, bytes, &from);

	if (!r)
		*ret_cookie = (uintptr_t)from;
	return r;
}

static void release(void *ctx, uint64_t bytes, uint64_t cookie)
{
	(void)ctx;
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): a cookie is 64 bits of ours */
	budget_unhold((struct baro_budget *)(uintptr_t)cookie, bytes);
}

struct baro_admission_budget baro_admission_budget_of(struct baro_budget *budget)
{
	return (struct baro_admission_budget){ reserve, release, budget };
}
