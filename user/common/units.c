/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/common/units.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "user/common/cleanup.h"

/* A decimal number in millionths: "1.5" -> 1500000, so that no float decides about bytes. */
static int parse_decimal(const char *text, unsigned __int128 *ret_millionths, const char **ret_end)
{
	unsigned __int128 v = 0;
	const char *p = text;
	unsigned int digits = 0, scale = 1000000;

	for (; isdigit((unsigned char)*p); p++, digits++) {
		v = v * 10 + (unsigned int)(*p - '0');
		if (v > UINT64_MAX)
			return -ERANGE;
	}
	v *= 1000000;
	if (*p == '.') {
		for (p++; isdigit((unsigned char)*p); p++, digits++) {
			scale /= 10;
			v += (unsigned __int128)scale * (unsigned int)(*p - '0');
		}
	}
	if (!digits)
		return -EINVAL;
	*ret_millionths = v;
	*ret_end = p;
	return 0;
}

static int scale_u64(unsigned __int128 millionths, uint64_t factor, uint64_t *ret)
{
	unsigned __int128 v;

	if (millionths > ((unsigned __int128)-1) / factor)
		return -ERANGE;
	v = millionths * factor / 1000000;
	if (v >= UINT64_MAX)
		return -ERANGE;
	*ret = (uint64_t)v;
	return 0;
}

int units_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char suffixes[] = "KMGTP";
	unsigned __int128 v;
	const char *p, *s;
	int r;

	r = parse_decimal(text, &v, &p);
	if (r < 0)
		return r;
	if (!*p || !strcasecmp(p, "B"))
		return v % 1000000 ? -EINVAL : scale_u64(v, 1, ret_bytes);
	s = strchr(suffixes, toupper((unsigned char)*p));
	if (!s || (p[1] && strcasecmp(p + 1, "B") != 0 && strcasecmp(p + 1, "iB") != 0))
		return -EINVAL;
	return scale_u64(v, 1ull << (10 * (s - suffixes + 1)), ret_bytes);
}

int units_parse_percent(const char *text, uint64_t *ret_ppm)
{
	unsigned __int128 v;
	const char *p;
	int r;

	r = parse_decimal(text, &v, &p);
	if (r < 0)
		return r;
	if (strcmp(p, "%") != 0)
		return -EINVAL;
	if (v > (unsigned __int128)100 * 1000000)
		return -ERANGE;
	*ret_ppm = (uint64_t)(v / 100);
	return 0;
}

int units_parse_time(const char *text, uint64_t *ret_ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = { { "ns", 1 },
		      { "us", 1000 },
		      { "ms", 1000000 },
		      { "s", 1000000000 },
		      { "m", 60000000000 },
		      { "min", 60000000000 },
		      { "h", 3600000000000 },
		      { "sec", 1000000000 } };
	unsigned __int128 v;
	const char *p;
	int r;

	r = parse_decimal(text, &v, &p);
	if (r < 0)
		return r;
	if (!*p && !v) {
		*ret_ns = 0;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (!strcmp(p, units[i].unit))
			return scale_u64(v, units[i].ns, ret_ns);
	return -EINVAL;
}

int units_parse_u64(const char *text, uint64_t *ret_value)
{
	unsigned __int128 v;
	const char *p;
	int r;

	if (strchr(text, '.'))
		return -EINVAL;
	r = parse_decimal(text, &v, &p);
	if (r < 0)
		return r;
	if (*p)
		return -EINVAL;
	v /= 1000000;
	*ret_value = (uint64_t)v;
	return 0;
}

char *units_format_size(uint64_t bytes, char *buf, size_t size)
{
	static const char suffixes[] = "BKMGTPE";
	uint64_t unit = 1;
	int i = 0;

	if (bytes == BYTES_NO_LIMIT) {
		snprintf(buf, size, "none");
		return buf;
	}
	while (i < 6 && bytes / unit >= 1024) {
		unit <<= 10;
		i++;
	}
	if (!i)
		snprintf(buf, size, "%lluB", (unsigned long long)bytes);
	else if (bytes / unit >= 100 || bytes % unit == 0)
		snprintf(buf, size, "%llu%c", (unsigned long long)(bytes / unit), suffixes[i]);
	else
		snprintf(buf, size, "%llu.%llu%c", (unsigned long long)(bytes / unit),
			 (unsigned long long)(bytes % unit * 10 / unit), suffixes[i]);
	return buf;
}

char *units_format_time(uint64_t ns, char *buf, size_t size)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = { { "s", 1000000000 }, { "ms", 1000000 }, { "us", 1000 }, { "ns", 1 } };

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		uint64_t u = units[i].ns;

		if (ns < u && u > 1)
			continue;
		if (ns / u >= 100 || ns % u == 0)
			snprintf(buf, size, "%llu%s", (unsigned long long)(ns / u), units[i].unit);
		else
			snprintf(buf, size, "%llu.%llu%s", (unsigned long long)(ns / u),
				 (unsigned long long)(ns % u * 10 / u), units[i].unit);
		break;
	}
	return buf;
}
