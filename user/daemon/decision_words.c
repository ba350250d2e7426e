/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/daemon/decision_words.h"

#include <stdio.h>
#include <string.h>

#include "user/common/cleanup.h"
#include "user/common/units.h"

#define STALLED_PPM 10000 /* of the time: somebody will ask why nothing is done about it */

/* A decision's numbers as they are said. */
struct said {
	char before[16], after[16], moved[16], usage[16], fixed[16];
	double stall, allowed, gain, loss; /* per cent */
	unsigned long long refaults_per_s;
};

const char *decision_clamp_name(unsigned int bit)
{
	static const char *const names[] = { "min",       "max",     "unreclaimable", "group_min",
					     "group_max", "ceiling", "step",          "wanted" };

	return bit < ARRAY_SIZE(names) ? names[bit] : NULL;
}

static uint64_t moved_bytes(const struct history_decision *h)
{
	return h->target_bytes > h->before_bytes ? h->target_bytes - h->before_bytes
						 : h->before_bytes - h->target_bytes;
}

static void say(const struct history_decision *h, struct said *s)
{
	units_format_size(h->before_bytes, s->before, sizeof(s->before));
	units_format_size(h->target_bytes, s->after, sizeof(s->after));
	units_format_size(moved_bytes(h), s->moved, sizeof(s->moved));
	units_format_size(h->usage_bytes, s->usage, sizeof(s->usage));
	units_format_size(h->unreclaimable_bytes, s->fixed, sizeof(s->fixed));
	s->stall = h->stall_ppm / 1e4;
	s->allowed = h->stall_target_ppm / 1e4;
	s->gain = h->gain_ppm / 1e4;
	s->loss = h->loss_ppm / 1e4;
	s->refaults_per_s = h->refaults_per_s;
}

static int move_words(const struct history_decision *h, const struct said *s, const char *when,
		      const char *peer, char *buf, size_t n)
{
	/* whose cache was taken for who could not wait */
	bool taken = h->peer != LAW_NO_ENGINE;
	const char *from = taken ? " from " : "", *whom = taken ? peer : "";

	switch (h->reason) {
	case LAW_REASON_GAIN:
		return snprintf(buf, n,
				"%s it got %s (%s to %s) from %s: it was stalled %.1f %% of the "
				"time with %llu refaults a second; expected to save %.2f %% here "
				"and to cost %.2f %% there",
				when, s->moved, s->before, s->after, peer, s->stall,
				s->refaults_per_s, s->gain, s->loss);
	case LAW_REASON_TARGET:
		return snprintf(buf, n,
				"%s it got %s (%s to %s) from %s: it was stalled %.1f %% of the "
				"time, more than its stall target of %.1f %% allows",
				when, s->moved, s->before, s->after, peer, s->stall, s->allowed);
	case LAW_REASON_DONATE:
		if (h->gain_ppm == 0) /* what is weighed has one: this could not wait */
			return snprintf(buf, n,
					"%s it gave %s (%s to %s) to %s, which could not do "
					"without",
					when, s->moved, s->before, s->after, peer);
		return snprintf(buf, n,
				"%s it gave %s (%s to %s) to %s, where it was worth more: %.2f %% "
				"of stall saved there against %.2f %% here",
				when, s->moved, s->before, s->after, peer, s->gain, s->loss);
	case LAW_REASON_TRIAL:
		return h->target_bytes < h->before_bytes
			   ? snprintf(buf, n,
				      "%s it gave %s (%s to %s) to %s on trial, to see whether "
				      "it still needs what it has",
				      when, s->moved, s->before, s->after, peer)
			   : snprintf(buf, n, "%s it got %s (%s to %s) that is on trial at %s",
				      when, s->moved, s->before, s->after, peer);
	case LAW_REASON_BURST:
		return snprintf(buf, n,
				"%s it got %s at once (%s to %s)%s%s: its demand jumped to %s "
				"and %s",
				when, s->moved, s->before, s->after, from, whom, s->usage,
				taken ? "could not wait" : "memory was free or unused");
	case LAW_REASON_FLOOR:
		return snprintf(buf, n,
				"%s it was raised by %s (%s to %s)%s%s to what it must have: "
				"its minimum, or the %s that cannot be reclaimed",
				when, s->moved, s->before, s->after, from, whom, s->fixed);
	case LAW_REASON_IDLE:
		return snprintf(buf, n, "%s %s it did not use was lent out (%s to %s): it used %s",
				when, s->moved, s->before, s->after, s->usage);
	case LAW_REASON_STREAM:
		return snprintf(buf, n,
				"%s it was kept at %s (from %s): it reads or writes without reuse, "
				"so more memory would save it nothing",
				when, s->after, s->before);
	case LAW_REASON_START:
		return snprintf(buf, n, "%s it started with %s, its share until more is known",
				when, s->after);
	case LAW_REASON_CEILING:
		return snprintf(buf, n,
				"%s it was scaled down by %s (%s to %s): the sum did not fit under "
				"the ceiling",
				when, s->moved, s->before, s->after);
	default:
		return snprintf(buf, n, "%s its target went from %s to %s, %s in use", when,
				s->before, s->after, s->usage);
	}
}

static const char *why_it_stays(const struct history_decision *h)
{
	switch (h->reason) {
	case LAW_REASON_FILLING:
		return "it has not yet used what it was given";
	case LAW_REASON_HYSTERESIS:
		return "what it would gain does not clearly exceed what the others would lose";
	case LAW_REASON_NOISE:
		return "too few samples speak for a move";
	case LAW_REASON_MANUAL:
		return "somebody else set its limit, which is respected";
	case LAW_REASON_OVERCOMMITTED:
		return "minima and memory that cannot be reclaimed exceed the ceiling";
	case LAW_REASON_ASK:
		return "it is asked to give back what it declared it could";
	case LAW_REASON_PHASES:
		return "its need comes and goes too fast to be followed, and this serves its "
		       "phases best in the mean";
	case LAW_REASON_POLICY:
		return "that is its share";
	default:
		return h->stall_ppm < STALLED_PPM
			   ? "nothing stalls enough to be worth moving memory for"
			   : "no move would end more stalls than it would begin";
	}
}

/* What is behind it in one word each, for scripts and for the curious. */
static void add_grounds(const struct history_decision *h, char *buf, size_t n)
{
	const char *name, *before = "; held by ";
	int len = snprintf(buf, n, " [%s; %s policy", policy_reason_name(h->reason),
			   policy_name(h->policy));

	for (unsigned int i = 0; (name = decision_clamp_name(i)) && len > 0 && (size_t)len < n;
	     i++) {
		if (!(h->clamps & (1u << i)))
			continue;
		len += snprintf(buf + len, n - (size_t)len, "%s%s", before, name);
		before = ", ";
	}
	if (len > 0 && (size_t)len < n)
		snprintf(buf + len, n - (size_t)len, "].");
}

char *decision_words(const struct history_decision *h, const struct decision_when *when,
		     const char *peer, char *buf, size_t size)
{
	struct said s;
	int len;

	say(h, &s);
	if (!peer) /* none, or one that has left since */
		peer = h->peer == LAW_NO_ENGINE && h->target_bytes > h->before_bytes
			   ? "what was free"
			   : "the others";
	if (moved_bytes(h))
		len = move_words(h, &s, when->moved, peer, buf, size);
	else
		len = snprintf(buf, size, "%s at %s: %s; %s in use, stalled %.1f %% of the time",
			       when->stayed, s.after, why_it_stays(h), s.usage, s.stall);
	if (len > 0 && (size_t)len < size)
		add_grounds(h, buf + len, size - (size_t)len);
	return buf;
}

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t)min_u64(v, INT64_MAX));
}

json_t *decision_json(const struct history_decision *h, const char *peer)
{
	json_t *clamps = json_array();
	const char *name;

	for (unsigned int i = 0; (name = decision_clamp_name(i)); i++)
		if (h->clamps & (1u << i))
			json_array_append_new(clamps, json_string(name));
	return json_pack(
	    "{s:s, s:o, s:o, s:s?, s:o, s:o, s:o, s:o, s:s, s:{s:o, s:o, s:o, s:o, s:I}}", "reason",
	    policy_reason_name(h->reason), "before_bytes", number(h->before_bytes), "target_bytes",
	    number(h->target_bytes), "peer", peer, "gain_ppm", number(h->gain_ppm), "loss_ppm",
	    number(h->loss_ppm), "repeats", number(h->repeats), "clamps", clamps, "policy",
	    policy_name(h->policy), "inputs", "usage_bytes", number(h->usage_bytes), "stall_ppm",
	    number(h->stall_ppm), "refaults_per_s", number(h->refaults_per_s),
	    "unreclaimable_bytes", number(h->unreclaimable_bytes), "velocity_bytes_per_s",
	    (json_int_t)h->velocity_bytes_per_s);
}
