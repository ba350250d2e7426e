/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "user/cli/cli.h"
#include "user/common/units.h"

const char *field_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text && *text ? text : "-";
}

bool field_u64(const json_t *object, const char *name, uint64_t *ret_value)
{
	const json_t *v = json_object_get(object, name);
	double d = json_number_value(v);

	if (!json_is_number(v) || d < 0 || d >= 18446744073709551616.0)
		return false;
	*ret_value = json_is_integer(v) ? (uint64_t)json_integer_value(v) : (uint64_t)d;
	return true;
}

uint64_t field_count(const json_t *object, const char *name)
{
	uint64_t v = 0;

	field_u64(object, name, &v);
	return v;
}

static char *nothing(char *buf)
{
	return memcpy(buf, "-", 2);
}

char *field_size(const json_t *object, const char *name, char *buf)
{
	uint64_t v;

	return field_u64(object, name, &v) ? units_format_size(v, buf, FIELD_BYTES) : nothing(buf);
}

char *field_limit(const json_t *object, const char *name, char *buf)
{
	if (json_is_null(json_object_get(object, name)))
		return memcpy(buf, "none", 5);
	return field_size(object, name, buf);
}

char *percent_text(uint64_t ppm, char *buf)
{
	if (!ppm)
		memcpy(buf, "0%", 3);
	else if (ppm >= 1000000)
		snprintf(buf, FIELD_BYTES, "%" PRIu64 "%%", ppm / 10000);
	else
		snprintf(buf, FIELD_BYTES, "%" PRIu64 ".%" PRIu64 "%%", ppm / 10000,
			 ppm % 10000 / 1000);
	return buf;
}

char *number_text(uint64_t value, char *buf)
{
	static const char suffixes[] = "kMGTPE";
	uint64_t unit = 1;
	int i = -1;

	if (value < 100000) {
		snprintf(buf, FIELD_BYTES, "%" PRIu64, value);
		return buf;
	}
	for (; value / unit >= 1000; i++)
		unit *= 1000;
	if (value / unit >= 100)
		snprintf(buf, FIELD_BYTES, "%" PRIu64 "%c", value / unit, suffixes[i]);
	else
		snprintf(buf, FIELD_BYTES, "%" PRIu64 ".%" PRIu64 "%c", value / unit,
			 value % unit * 10 / unit, suffixes[i]);
	return buf;
}

char *field_percent(const json_t *object, const char *name, char *buf)
{
	uint64_t v;

	return field_u64(object, name, &v) ? percent_text(v, buf) : nothing(buf);
}

char *field_number(const json_t *object, const char *name, char *buf)
{
	uint64_t v;

	return field_u64(object, name, &v) ? number_text(v, buf) : nothing(buf);
}

char *field_time_ns(const json_t *object, const char *name, char *buf)
{
	uint64_t v;

	return field_u64(object, name, &v) ? units_format_time(v, buf, FIELD_BYTES) : nothing(buf);
}

int print_json(const json_t *value)
{
	size_t flags = JSON_ENCODE_ANY | (isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT);

	if (json_dumpf(value, stdout, flags) < 0 || putchar('\n') == EOF)
		return CLI_FAILED;
	return CLI_OK;
}
