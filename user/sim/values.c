/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/sim/values.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "user/common/units.h"

static int wrong(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -1;
}

/* A plain decimal number: no sign, no exponent, no "inf". NULL, or where it ends. */
static const char *decimal(const char *text, double *ret_value)
{
	size_t n = strspn(text, "0123456789"), dot = text[n] == '.';
	size_t digits = n + (dot ? strspn(text + n + 1, "0123456789") : 0);
	char buf[32];

	if (digits == 0 || digits + dot >= sizeof(buf))
		return NULL;
	memcpy(buf, text, digits + dot);
	buf[digits + dot] = 0;
	*ret_value = strtod(buf, NULL);
	return text + digits + dot;
}

static const char *percent(const char *text, double *ret_part)
{
	double value;
	const char *end = decimal(text, &value);

	if (!end || *end != '%')
		return NULL;
	*ret_part = value / 100;
	return end + 1;
}

static bool within(const struct sim_key *key, double value)
{
	return value >= key->least && value <= key->most;
}

SIM_VALUE(share)
{
	double part;
	const char *end = percent(text, &part);

	if (!end || *end)
		return wrong(ret_why, "is not a percentage");
	if (!within(key, part))
		return wrong(ret_why, "is out of range");
	*(double *)field = part;
	return 0;
}

SIM_VALUE(ppm)
{
	uint64_t ppm;

	if (units_parse_percent(text, &ppm) < 0)
		return wrong(ret_why, "is not a percentage in range");
	*(uint64_t *)field = ppm;
	return 0;
}

SIM_VALUE(number)
{
	double value;
	const char *end = decimal(text, &value);

	if (!end || *end)
		return wrong(ret_why, "is not a number");
	if (!within(key, value))
		return wrong(ret_why, "is out of range");
	*(double *)field = value;
	return 0;
}

SIM_VALUE(count)
{
	uint64_t value;

	if (units_parse_u64(text, &value) < 0)
		return wrong(ret_why, "is not a whole number");
	if (!within(key, (double)value))
		return wrong(ret_why, "is out of range");
	*(uint32_t *)field = (uint32_t)value;
	return 0;
}

SIM_VALUE(seed)
{
	uint64_t value;

	if (units_parse_u64(text, &value) < 0)
		return wrong(ret_why, "is not a whole number");
	*(uint64_t *)field = value;
	return 0;
}

SIM_VALUE(grain)
{
	uint64_t value;

	if (units_parse_u64(text, &value) < 0 || value > SIM_GRAIN_MAX ||
	    __builtin_popcountll(value) != 1)
		return wrong(ret_why, "is no grain");
	*(uint32_t *)field = (uint32_t)value;
	return 0;
}

SIM_VALUE(ns)
{
	uint64_t ns;

	if (units_parse_time(text, &ns) < 0)
		return wrong(ret_why, "is not a time");
	if (!within(key, (double)ns))
		return wrong(ret_why, "is out of range");
	*(uint64_t *)field = ns;
	return 0;
}

SIM_VALUE(seconds)
{
	uint64_t ns;

	if (units_parse_time(text, &ns) < 0)
		return wrong(ret_why, "is not a time");
	if (!within(key, (double)ns / SIM_S))
		return wrong(ret_why, "is out of range");
	*(double *)field = (double)ns / SIM_S;
	return 0;
}

SIM_VALUE(tick)
{
	uint64_t ns;

	if (sim_parse_ns(key, scenario, text, &ns, ret_why) < 0)
		return -1;
	if (ns % SIM_MS)
		return wrong(ret_why, "is not whole milliseconds");
	*(uint64_t *)field = ns;
	return 0;
}

SIM_VALUE(word)
{
	for (unsigned int i = 0; key->words[i]; i++) {
		if (strcmp(key->words[i], text) != 0)
			continue;
		*(unsigned int *)field = i;
		return 0;
	}
	return wrong(ret_why, "is not known");
}

SIM_VALUE(flag)
{
	unsigned int i;

	if (sim_parse_word(key, scenario, text, &i, ret_why) < 0)
		return -1;
	*(bool *)field = i;
	return 0;
}

SIM_VALUE(policy)
{
	struct sim_options *o = field;
	int policy = policy_from_name(text);

	if (policy < 0 && strcmp(text, "best") != 0)
		return wrong(ret_why, "is not known");
	o->best = policy < 0;
	o->policy = policy < 0 ? LAW_POLICY_MARGINAL : (enum law_policy)policy;
	return 0;
}

SIM_VALUE(turn)
{
	uint32_t *turn = field; /* followed by `turns` */
	char *end;
	unsigned long at, of;

	at = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
	if (at == 0 || strncmp(end, " of ", 4) != 0 || !isdigit((unsigned char)end[4]))
		return wrong(ret_why, "is not a turn");
	of = strtoul(end + 4, &end, 10);
	if (*end || at > of || of > SIM_ENGINES_MAX)
		return wrong(ret_why, "is not a turn");
	turn[0] = (uint32_t)at - 1;
	turn[1] = (uint32_t)of;
	return 0;
}

/* -- lists -- */

/* Cuts the next element off a list, and blanks off the element. NULL at the end. */
static char *next_element(char **list, char separator)
{
	char *begin = *list, *end;

	if (!begin)
		return NULL;
	end = strchr(begin, separator);
	*list = end ? end + 1 : NULL;
	if (end)
		*end = 0;
	else
		end = begin + strlen(begin);
	begin += strspn(begin, " \t");
	while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = 0;
	return begin;
}

static char *next_word(char **text)
{
	char *word = *text + strspn(*text, " \t");
	size_t n = strcspn(word, " \t");

	if (n == 0)
		return NULL;
	*text = word + n + (word[n] != 0);
	word[n] = 0;
	return word;
}

static bool read_sizes(struct sim_part *part, const char *text)
{
	const double least = .001, most = 4;
	const char *end = text ? percent(text, &part->size) : NULL;

	if (end && *end == '/' && part->pattern != SIM_ZIPF) {
		end = percent(end + 1, &part->other_size);
		if (!end || part->other_size < least || part->other_size > most)
			return false;
	}
	return end && !*end && part->size >= least && part->size <= most;
}

static bool read_skew(struct sim_part *part, const char *text)
{
	const char *end = text ? decimal(text, &part->skew) : NULL;

	return end && !*end && part->skew <= 4;
}

/* Only its name: it is read when all is known to hold together. */
static bool read_file(struct sim_part *part, const char *name)
{
	if (!name || strlen(name) >= sizeof(part->file))
		return false;
	memcpy(part->file, name, strlen(name));
	return true;
}

/* "zipf 0.9 60%", with "80%" before it or not. */
static bool read_part(struct sim_part *part, char *text)
{
	char *word = next_word(&text);
	const char *end;

	part->share = SIM_UNSAID;
	if (word && isdigit((unsigned char)*word)) {
		end = percent(word, &part->share);
		if (!end || *end || part->share <= 0 || part->share > 1)
			return false;
		word = next_word(&text);
	}
	if (!word)
		return false;
	part->pattern = !strcmp(word, "zipf")      ? SIM_ZIPF
			: !strcmp(word, "uniform") ? SIM_UNIFORM
			: !strcmp(word, "loop")    ? SIM_LOOP
			: !strcmp(word, "stream")  ? SIM_STREAM
			: !strcmp(word, "trace")   ? SIM_TRACE
						   : SIM_NOTHING;
	if (part->pattern == SIM_NOTHING)
		return false;
	if (part->pattern == SIM_TRACE)
		return read_file(part, next_word(&text)) && !next_word(&text);
	if (part->pattern == SIM_ZIPF && !read_skew(part, next_word(&text)))
		return false;
	if (part->pattern != SIM_STREAM && !read_sizes(part, next_word(&text)))
		return false;
	return !next_word(&text);
}

SIM_VALUE(reads)
{
	struct sim_part part[SIM_PARTS_MAX] = { 0 };
	char buf[256], *list = buf, *element;
	double sum = 0;
	int n = 0;

	if (strlen(text) >= sizeof(buf))
		return wrong(ret_why, "is too long");
	memcpy(buf, text, strlen(text) + 1);
	while ((element = next_element(&list, ','))) {
		if (n == SIM_PARTS_MAX)
			return wrong(ret_why, "has too many parts");
		if (!read_part(&part[n], element))
			return wrong(ret_why, "cannot be understood");
		if (part[n].share == SIM_UNSAID && (n > 0 || list))
			return wrong(ret_why, "does not say the share of each part");
		sum += part[n++].share;
	}
	if (n == 1)
		part[0].share = sum = 1;
	if (fabs(sum - 1) > 1e-6)
		return wrong(ret_why, "has shares that do not make 100%");
	memcpy(field, part, sizeof(part));
	return 0;
}

SIM_VALUE(engines)
{
	double share[SIM_ENGINES_MAX];
	char buf[512], *list = buf, *element;

	for (int i = 0; i < SIM_ENGINES_MAX; i++)
		share[i] = SIM_UNSAID;
	if (strlen(text) >= sizeof(buf))
		return wrong(ret_why, "is too long");
	memcpy(buf, text, strlen(text) + 1);
	while ((element = next_element(&list, ','))) {
		const char *name = next_word(&element), *value = next_word(&element);
		int i = name ? sim_engine_find(scenario, name) : -1;

		if (i < 0)
			return wrong(ret_why, "names an engine that no section above describes");
		if (!value || next_word(&element) ||
		    sim_parse_share(key, scenario, value, &share[i], ret_why) < 0)
			return wrong(ret_why, "is not a list of engines and percentages");
	}
	memcpy(field, share, sizeof(share));
	return 0;
}
