/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/config_values.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "user/common/cleanup.h"
#include "user/common/log.h"
#include "user/common/units.h"

static int refuse(const char **ret_why, const char *why, int error)
{
	*ret_why = why;
	return error;
}

/* One of the table's words, -ENOENT. */
static int word_index(const char *const *words, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (!strcasecmp(words[i], text))
			return (int)i;
	return -ENOENT;
}

/* In the largest unit that loses nothing. */
static void print_units(uint64_t value, const uint64_t *unit, const char *const *suffix, size_t n,
			FILE *out)
{
	size_t i = 0;

	while (i + 1 < n && (!value || value % unit[i]))
		i++;
	fprintf(out, "%" PRIu64 "%s", value / unit[i], suffix[i]);
}

static void print_ppm(uint64_t ppm, FILE *out)
{
	fprintf(out, "%" PRIu64, ppm / 10000);
	if (ppm % 10000) {
		unsigned int digits = 4;
		uint64_t rest = ppm % 10000;

		for (; rest % 10 == 0; rest /= 10)
			digits--;
		fprintf(out, ".%0*" PRIu64, (int)digits, rest);
	}
	fputc('%', out);
}

int config_parse_size(const struct config_key *key, const char *text, void *field,
		      const char **ret_why)
{
	struct config_size *size = field, parsed = { .set = true };
	int r;

	parsed.relative = *text && text[strlen(text) - 1] == '%';
	r = parsed.relative ? units_parse_percent(text, &parsed.value)
			    : units_parse_size(text, &parsed.value);
	if (r == -ERANGE)
		return refuse(ret_why,
			      parsed.relative ? "is more than 100%" : "does not fit 64 bits", r);
	if (r < 0)
		return refuse(ret_why, "is not a size", r);
	*size = parsed;
	return 0;
}

void config_print_size(const struct config_key *key, const void *field, FILE *out)
{
	static const uint64_t unit[] = { GIB, MIB, KIB, 1 };
	static const char *const suffix[] = { "G", "M", "K", "" };
	const struct config_size *size = field;

	if (size->relative)
		print_ppm(size->value, out);
	else
		print_units(size->value, unit, suffix, ARRAY_SIZE(unit), out);
}

static int check_bounds(const struct config_key *key, uint64_t value, const char **ret_why)
{
	if (value < key->least)
		return refuse(ret_why, "is too small", -ERANGE);
	if (value > key->most)
		return refuse(ret_why, "is too large", -ERANGE);
	return 0;
}

int config_parse_time(const struct config_key *key, const char *text, void *field,
		      const char **ret_why)
{
	uint64_t ns;
	int r = units_parse_time(text, &ns);

	if (r == -ERANGE)
		return refuse(ret_why, "is too large", r);
	if (r < 0)
		return refuse(ret_why, "is not a time", r);
	r = check_bounds(key, ns, ret_why);
	if (!r)
		*(uint64_t *)field = ns;
	return r;
}

void config_print_time(const struct config_key *key, const void *field, FILE *out)
{
	static const uint64_t unit[] = { 1000000000, 1000000, 1000, 1 };
	static const char *const suffix[] = { "s", "ms", "us", "ns" };

	print_units(*(const uint64_t *)field, unit, suffix, ARRAY_SIZE(unit), out);
}

int config_parse_weight(const struct config_key *key, const char *text, void *field,
			const char **ret_why)
{
	uint64_t value;
	int r = units_parse_u64(text, &value);

	if (r == -ERANGE)
		return refuse(ret_why, "is too large", r);
	if (r < 0)
		return refuse(ret_why, "is not a whole number", r);
	r = check_bounds(key, value, ret_why);
	if (!r)
		*(uint32_t *)field = (uint32_t)value;
	return r;
}

void config_print_weight(const struct config_key *key, const void *field, FILE *out)
{
	fprintf(out, "%" PRIu32, *(const uint32_t *)field);
}

int config_parse_percent64(const struct config_key *key, const char *text, void *field,
			   const char **ret_why)
{
	uint64_t ppm;
	int r = units_parse_percent(text, &ppm);

	if (r == -ERANGE)
		return refuse(ret_why, "is more than 100%", r);
	if (r < 0)
		return refuse(ret_why, "is not a percentage", r);
	*(uint64_t *)field = ppm;
	return 0;
}

void config_print_percent64(const struct config_key *key, const void *field, FILE *out)
{
	print_ppm(*(const uint64_t *)field, out);
}

int config_parse_percent32(const struct config_key *key, const char *text, void *field,
			   const char **ret_why)
{
	uint64_t ppm = 0;
	int r = config_parse_percent64(key, text, &ppm, ret_why);

	if (!r)
		*(uint32_t *)field = (uint32_t)ppm;
	return r;
}

void config_print_percent32(const struct config_key *key, const void *field, FILE *out)
{
	print_ppm(*(const uint32_t *)field, out);
}

/* Components that would lead elsewhere than they say, or could not be written back as INI. */
static const char *path_fault(const char *path)
{
	if (strlen(path) >= CONFIG_PATH_MAX)
		return "is too long";
	if (strchr(path, ';'))
		return "contains ';'";
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			return "contains a control character";
	for (const char *p = path; *p; p += strspn(p, "/")) {
		size_t n = strcspn(p, "/");

		if ((n == 1 && *p == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return "contains '.' or '..' as a component";
		if (n > 255)
			return "has a component longer than 255 bytes";
		p += n;
		if (p[0] == '/' && p[1] == '/')
			return "contains '//'";
	}
	if (strlen(path) > 1 && path[strlen(path) - 1] == '/')
		return "ends in '/'";
	return NULL;
}

int config_parse_cgroup(const struct config_key *key, const char *text, void *field,
			const char **ret_why)
{
	const char *fault = NULL;

	if (!*text)
		fault = "is empty";
	else if (*text == '/')
		fault = "starts with '/'";
	else
		fault = path_fault(text);
	if (fault)
		return refuse(ret_why, fault, -EINVAL);
	memcpy(field, text, strlen(text) + 1);
	return 0;
}

void config_print_cgroup(const struct config_key *key, const void *field, FILE *out)
{
	fputs(field, out);
}

int config_parse_path(const struct config_key *key, const char *text, void *field,
		      const char **ret_why)
{
	const char *fault = NULL;

	if (*text != '/')
		fault = *text ? "is not an absolute path" : "is empty";
	else if (!text[1])
		fault = "is not a file";
	else
		fault = path_fault(text);
	if (!fault && key->most && strlen(text) > key->most)
		fault = "is too long";
	if (fault)
		return refuse(ret_why, fault, -EINVAL);
	memcpy(field, text, strlen(text) + 1);
	return 0;
}

void config_print_path(const struct config_key *key, const void *field, FILE *out)
{
	fputs(field, out);
}

int config_parse_name(const struct config_key *key, const char *text, void *field,
		      const char **ret_why)
{
	if (!config_name_valid(text))
		return refuse(ret_why, *text ? "is not a name" : "is empty", -EINVAL);
	memcpy(field, text, strlen(text) + 1);
	return 0;
}

void config_print_name(const struct config_key *key, const void *field, FILE *out)
{
	fputs(field, out);
}

int config_parse_octal(const struct config_key *key, const char *text, void *field,
		       const char **ret_why)
{
	uint32_t value = 0;
	size_t n = strlen(text);

	if (!n || n > 5 || strspn(text, "01234567") != n)
		return refuse(ret_why, "is not an octal mode", -EINVAL);
	for (const char *p = text; *p; p++)
		value = value * 8 + (uint32_t)(*p - '0');
	if (value & ~(uint32_t)key->most)
		return refuse(ret_why, "lets others than its owner write, or execute", -ERANGE);
	if (!(value & 0400))
		return refuse(ret_why, "does not let its owner read", -ERANGE);
	*(uint32_t *)field = value;
	return 0;
}

void config_print_octal(const struct config_key *key, const void *field, FILE *out)
{
	fprintf(out, "%04" PRIo32, *(const uint32_t *)field);
}

int config_parse_bool(const struct config_key *key, const char *text, void *field,
		      const char **ret_why)
{
	static const char *const words[] = { "no", "yes", "off", "on", "false", "true", "0", "1" };
	int i = word_index(words, ARRAY_SIZE(words), text);

	if (i < 0)
		return refuse(ret_why, "is neither yes nor no", -EINVAL);
	*(bool *)field = i & 1;
	return 0;
}

void config_print_bool(const struct config_key *key, const void *field, FILE *out)
{
	fputs(*(const bool *)field ? "yes" : "no", out);
}

/* The law's names, spelled again so that the configuration does not link the law. */
static_assert(LAW_POLICY_COUNT == 6, "a new policy needs its word here");
static const char *const policy_words[LAW_POLICY_COUNT] = {
	[LAW_POLICY_MARGINAL] = "marginal",         [LAW_POLICY_STATIC] = "static",
	[LAW_POLICY_PROPORTIONAL] = "proportional", [LAW_POLICY_SENPAI] = "senpai",
	[LAW_POLICY_IDLE_TAX] = "idle-tax",         [LAW_POLICY_PSI] = "psi",
};

int config_parse_policy(const struct config_key *key, const char *text, void *field,
			const char **ret_why)
{
	int i = word_index(policy_words, ARRAY_SIZE(policy_words), text);

	if (i < 0)
		return refuse(ret_why, "is not a policy", -EINVAL);
	*(enum law_policy *)field = (enum law_policy)i;
	return 0;
}

void config_print_policy(const struct config_key *key, const void *field, FILE *out)
{
	fputs(policy_words[*(const enum law_policy *)field], out);
}

static const char *const limit_words[] = {
	[CONFIG_LIMIT_SOFT] = "soft",
	[CONFIG_LIMIT_HARD] = "hard",
};

int config_parse_limit(const struct config_key *key, const char *text, void *field,
		       const char **ret_why)
{
	int i = word_index(limit_words, ARRAY_SIZE(limit_words), text);

	if (i < 0)
		return refuse(ret_why, "is not a kind of limit", -EINVAL);
	*(enum config_limit_mode *)field = (enum config_limit_mode)i;
	return 0;
}

void config_print_limit(const struct config_key *key, const void *field, FILE *out)
{
	fputs(limit_words[*(const enum config_limit_mode *)field], out);
}

static const struct {
	const char *word;
	int level;
} levels[] = { { "error", LOG_LEVEL_ERR },
	       { "warning", LOG_LEVEL_WARN },
	       { "info", LOG_LEVEL_INFO },
	       { "debug", LOG_LEVEL_DEBUG } };

int config_parse_log_level(const struct config_key *key, const char *text, void *field,
			   const char **ret_why)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (!strcasecmp(levels[i].word, text)) {
			*(int *)field = levels[i].level;
			return 0;
		}
	}
	return refuse(ret_why, "is not a level", -EINVAL);
}

void config_print_log_level(const struct config_key *key, const void *field, FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (levels[i].level == *(const int *)field)
			fputs(levels[i].word, out);
}
