// SPDX-License-Identifier: BSD-2-Clause
/* Sizes and ratios from the environment, and what is wrong with them. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "user/lib/pool_internal.h"

#define BUDGET_VARIABLE "BAROSTAT_MEMORY_BUDGET"
#define RATIO_VARIABLE  "BAROSTAT_CACHE_RATIO"
#define MILLION         1000000u
#define SHOWN_MAX       40 /* of a value that is no good */

/* "12", "1.5", ".5" in millionths, further digits cut off; at most 2^64 of them whole. */
static int parse_number(const char *text, unsigned __int128 *ret_millionths, const char **ret_rest)
{
	size_t whole = strspn(text, "0123456789"), part = 0;
	unsigned __int128 v = 0;
	uint32_t unit = MILLION;

	if (text[whole] == '.')
		part = strspn(text + whole + 1, "0123456789");
	if (!whole && !part)
		return -EINVAL;
	for (size_t i = 0; i < whole; i++) {
		v = v * 10 + (unsigned int)(text[i] - '0');
		if (v > UINT64_MAX)
			return -ERANGE;
	}
	v *= MILLION;
	for (size_t i = 0; i < part; i++)
		v += (unsigned __int128)(unsigned int)(text[whole + 1 + i] - '0') * (unit /= 10);
	*ret_millionths = v;
	*ret_rest = text + whole + (text[whole] == '.' ? part + 1 : 0);
	return 0;
}

/* How far a suffix shifts: "", "B" 0; "K", "KB", "KiB" 10; ... -EINVAL. */
static int suffix_shift(const char *suffix)
{
	static const char letters[] = "KMGTP";
	const char *at;

	if (!*suffix || !strcasecmp(suffix, "B"))
		return 0;
	at = strchr(letters, toupper((unsigned char)*suffix));
	if (!at ||
	    (suffix[1] && strcasecmp(suffix + 1, "B") != 0 && strcasecmp(suffix + 1, "iB") != 0))
		return -EINVAL;
	return (int)(at - letters + 1) * 10;
}

int pool_parse_bytes(const char *text, uint64_t *ret_bytes)
{
	unsigned __int128 v = 0;
	const char *rest = NULL;
	int r = parse_number(text, &v, &rest), shift;

	/* What follows too many digits is not looked at. */
	if (r < 0)
		return r;
	shift = suffix_shift(rest);
	if (shift < 0)
		return shift;
	/* below 2^84 before, so nothing is shifted out that the bound would let pass */
	if (v >> (127 - shift))
		return -ERANGE;
	v = (v << shift) / MILLION;
	if (v < BARO_POOLS_BYTES_MIN || v > INT64_MAX)
		return -ERANGE;
	*ret_bytes = (uint64_t)v;
	return 0;
}

int pool_parse_ratio(const char *text, uint32_t *ret_ppm)
{
	unsigned __int128 v = 0;
	const char *rest = NULL;
	int r = parse_number(text, &v, &rest);

	if (r < 0)
		return r;
	if (!strcmp(rest, "%"))
		v /= 100;
	else if (*rest)
		return -EINVAL;
	if (v > POOL_PPM)
		return -ERANGE;
	*ret_ppm = (uint32_t)v;
	return 0;
}

void pool_env_words(const char *variable, const char *text, int err, char *ret_why,
		    size_t why_bytes)
{
	bool ratio = !strcmp(variable, RATIO_VARIABLE);
	char shown[SHOWN_MAX + 4];
	size_t n = 0;
	const char *what;

	for (; text[n] && n < SHOWN_MAX; n++)
		shown[n] = isprint((unsigned char)text[n]) ? text[n] : '?';
	memcpy(shown + n, text[n] ? "..." : "", text[n] ? 4 : 1);
	if (ratio && err == -ERANGE)
		what = "is more than all; for 40 percent say 0.4 or 40%";
	else if (ratio)
		what = "is no ratio; say for instance 0.4 or 40%";
	else if (err == -ERANGE && *text && strspn(text, "0123456789.") == strlen(text))
		what = "is out of range, which is 1M to 8191P; is a suffix missing, as in 512M?";
	else if (err == -ERANGE)
		what = "is out of range, which is 1M to 8191P";
	else
		what = "is no size; say for instance 512M or 8G (K M G T P, of 1024)";
	snprintf(ret_why, why_bytes, "%s=\"%s\" %s", variable, shown, what);
}

int baro_pools_env(struct baro_pools_options *options, char *ret_why, size_t why_bytes)
{
	const char *budget = secure_getenv(BUDGET_VARIABLE), *ratio = secure_getenv(RATIO_VARIABLE);
	uint64_t bytes = options->budget_bytes;
	uint32_t ppm = options->cache_ppm;
	int r = 0;

	if (budget && *budget) {
		r = pool_parse_bytes(budget, &bytes);
		if (r < 0)
			pool_env_words(BUDGET_VARIABLE, budget, r, ret_why, why_bytes);
	}
	if (!r && ratio && *ratio) {
		r = pool_parse_ratio(ratio, &ppm);
		if (r < 0)
			pool_env_words(RATIO_VARIABLE, ratio, r, ret_why, why_bytes);
		else if (!ppm)
			ppm = 1; /* none, where 0 is the default */
	}
	if (r < 0)
		return r;
	options->budget_bytes = bytes;
	options->cache_ppm = ppm;
	return 0;
}
