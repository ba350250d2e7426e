/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "user/cli/replay.h"
#include "user/common/cleanup.h"
#include "user/common/units.h"

enum kind { KIND_POLICY, KIND_SHARE, KIND_PERCENT, KIND_WEIGHT };

static const struct known {
	const char *name;
	enum replay_key key;
	enum kind kind;
	bool of_engine;
} known[] = {
	{ "policy", REPLAY_POLICY, KIND_POLICY, false },
	{ "gamma", REPLAY_GAMMA, KIND_PERCENT, false },
	{ "ceiling", REPLAY_CEILING, KIND_SHARE, false },
	{ "reserve", REPLAY_RESERVE, KIND_SHARE, false },
	{ "burst", REPLAY_BURST, KIND_SHARE, false },
	{ "min", REPLAY_MIN, KIND_SHARE, true },
	{ "max", REPLAY_MAX, KIND_SHARE, true },
	{ "weight", REPLAY_WEIGHT, KIND_WEIGHT, true },
	{ "stall_target", REPLAY_STALL_TARGET, KIND_PERCENT, true },
};

const char replay_settings_allowed[] = "policy, gamma, ceiling, reserve, burst, and ENGINE.min, "
				       "ENGINE.max, ENGINE.weight, ENGINE.stall_target";

static int parse_value(enum kind kind, const char *text, struct replay_setting *s)
{
	int r;

	switch (kind) {
	case KIND_POLICY:
		r = policy_from_name(text);
		s->value = r < 0 ? 0 : (uint64_t)r;
		return r < 0 ? -EINVAL : 0;
	case KIND_PERCENT:
		return units_parse_percent(text, &s->value);
	case KIND_WEIGHT:
		r = units_parse_u64(text, &s->value);
		return r == 0 && (s->value < 1 || s->value > 10000) ? -EINVAL : r;
	case KIND_SHARE:
		break;
	}
	s->percent = strchr(text, '%') != NULL;
	return s->percent ? units_parse_percent(text, &s->value)
			  : units_parse_size(text, &s->value);
}

int replay_parse_setting(const char *text, struct replay_setting *ret)
{
	struct replay_setting s = { 0 };
	const char *equals = strchr(text, '='), *name = text;
	size_t n;

	if (!equals)
		return -ENOENT;
	for (const char *p = text; p < equals; p++)
		if (*p == '.')
			name = p + 1;
	n = (size_t)(equals - name);
	if (name > text && (size_t)(name - text) <= sizeof(s.engine))
		memcpy(s.engine, text, (size_t)(name - text) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strlen(known[i].name) != n || strncmp(known[i].name, name, n) != 0 ||
		    known[i].of_engine != (s.engine[0] != '\0'))
			continue;
		s.key = known[i].key;
		if (parse_value(known[i].kind, equals + 1, &s) < 0)
			return -EINVAL;
		*ret = s;
		return 0;
	}
	return -ENOENT;
}
