/* SPDX-License-Identifier: BSD-2-Clause */
#include "user/cli/replay_report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "user/cli/client.h"
#include "user/cli/columns.h"
#include "user/cli/fields.h"
#include "user/cli/format.h"
#include "user/common/clock.h"
#include "user/common/units.h"
#include "user/daemon/decision_words.h"

static const char open_loop[] =
    "Open loop: the engines did what they did under the recorded limits; under others they would "
    "have reacted, and the recording does not know how.";
static const char *const ends[TRACE_END_COUNT] = { "asked", "slow", "stopped" };

/* ---- the decisions of one engine ------------------------------------------------------------- */

static const struct replay_law *told_law(const struct session *s)
{
	return &s->replay.law[s->settings ? 1 : 0];
}

/* Takes the oldest decision out of the history and says it. */
static int tell_oldest(struct session *s)
{
	const struct trace_image *image = &s->replay.image;
	const struct history_decision *h = history_decision_at(&s->told, s->told.decisions - 1);
	const char *peer = h->peer < image->n ? image->name[h->peer] : NULL;
	char at[16], moved[24], stayed[64], buf[DECISION_WORDS_BYTES];
	struct decision_when when = { .moved = moved, .stayed = stayed };
	uint64_t at_ms = (h->at_ns - s->replay.first_ns) / NS_PER_MS;
	json_t *one;

	s->told.decisions--;
	if (s->cli->json) {
		one = decision_json(h, peer);
		if (one && json_object_set_new(one, "at_ms", json_integer((json_int_t)at_ms)) < 0)
			return -ENOMEM;
	} else {
		snprintf(at, sizeof(at), "%" PRIu64 ".%02" PRIu64 "s", at_ms / 1000,
			 at_ms % 1000 / 10);
		snprintf(moved, sizeof(moved), "At %s", at);
		snprintf(stayed, sizeof(stayed), "From %s on its target stayed", at);
		one = json_string(decision_words(h, &when, peer, buf, sizeof(buf)));
	}
	return one && json_array_append_new(s->telling, one) == 0 ? 0 : -ENOMEM;
}

/* The newest two may still grow: see history_note_decision(). */
static int tell(struct session *s, uint32_t keep)
{
	int r = 0;

	while (r == 0 && s->told.decisions > keep)
		r = tell_oldest(s);
	return r;
}

int session_tell(struct session *s)
{
	const struct trace_image *image = &s->replay.image;
	const struct replay_law *law = told_law(s);
	const struct law_decision *decision = s->settings ? law->decision : image->decision;

	if (s->replay.ticks == 1)
		s->recorded_policy = image->params.policy;
	if (!s->engine)
		return 0;
	if (!s->telling)
		s->telling = json_array();
	if (!s->telling)
		return -ENOMEM;
	for (uint32_t i = 0; i < image->n; i++)
		if (image->engine[i].active && strcmp(image->name[i], s->engine) == 0)
			history_note_decision(&s->told, &law->params, &law->engine[i], &decision[i],
					      &law->estimate[i], &image->sample[i], image->now_ns);
	return tell(s, 2);
}

/* ---- what it comes to ------------------------------------------------------------------------ */

static void decision_text(const struct law_decision *d, char *buf, size_t n)
{
	char target[16];

	units_format_size(d->target_bytes, target, sizeof(target));
	snprintf(buf, n,
		 "%s (%" PRIu64 " bytes, reason %s, clamps 0x%x, gain %u ppm, loss %u ppm, "
		 "release %" PRIu64 ")",
		 target, d->target_bytes, policy_reason_name(d->reason), d->clamps, d->gain_ppm,
		 d->loss_ppm, d->release_bytes);
}

#define DIFFERENCE_BYTES 768

static void difference_text(const struct compare_difference *f, char *buf)
{
	uint64_t at_ms = f->at_ns / NS_PER_MS;
	char was[208], is[208];

	decision_text(&f->was, was, sizeof(was));
	decision_text(&f->is, is, sizeof(is));
	snprintf(buf, DIFFERENCE_BYTES,
		 "the first at tick %" PRIu64 " (%" PRIu64 ".%03" PRIu64 " s%s%s), engine %s: "
		 "recorded %s; now %s",
		 f->tick, at_ms / 1000, at_ms % 1000,
		 f->urgent == LAW_NO_ENGINE ? "" : ", early for ", f->urgent_engine, f->engine, was,
		 is);
}

static double seconds(const struct replay *r)
{
	return (double)(r->image.now_ns - r->first_ns) / 1e9;
}

static void print_trace(const struct session *s)
{
	const struct replay *r = &s->replay;

	printf("trace    %" PRIu64 " ticks in %.1f s, %" PRIu64
	       " of them early; %zu engine%s, policy %s, by barostat %.19s\n",
	       r->ticks, seconds(r), r->urgent_ticks, s->check.engines,
	       s->check.engines == 1 ? "" : "s", policy_name(s->recorded_policy),
	       s->file.header.program);
	if (r->ended && r->end == TRACE_END_SLOW)
		printf("         it ends early: its reader was too slow\n");
}

static void print_check(const struct session *s)
{
	const struct compare *c = &s->check;
	char text[DIFFERENCE_BYTES], line[DIFFERENCE_BYTES + 64];

	if (!c->different) {
		printf("replay   %" PRIu64 " decisions, all the same\n", c->decisions);
		return;
	}
	difference_text(&c->first, text);
	printf("replay   ");
	snprintf(line, sizeof(line), "%" PRIu64 " decisions, %" PRIu64 " differ, %s", c->decisions,
		 c->different, text);
	print_wrapped(line, 9, output_width() - 10, stdout);
}

static void add_row(struct columns *c, const struct compare_engine *e)
{
	char buf[FIELD_BYTES];
	const struct compare_side *sides[] = { &e->was, &e->is };

	columns_add(c, STYLE_BOLD, e->name);
	for (int i = 0; i < 2; i++)
		columns_add(c, STYLE_PLAIN,
			    units_format_size(compare_mean_bytes(sides[i], e), buf, sizeof(buf)));
	for (int i = 0; i < 2; i++)
		columns_add(c, STYLE_PLAIN,
			    units_format_size(sides[i]->moved_bytes, buf, sizeof(buf)));
	for (int i = 0; i < 2; i++) {
		snprintf(buf, sizeof(buf), "%u", sides[i]->reversals);
		columns_add(c, STYLE_PLAIN, buf);
	}
	snprintf(buf, sizeof(buf), "%" PRIu64, e->different);
	columns_add(c, STYLE_PLAIN, buf);
	snprintf(buf, sizeof(buf), "%" PRIu64, e->decisions);
	columns_add(c, STYLE_PLAIN, buf);
}

static int print_other(const struct session *s)
{
	static const char *const heads[] = { "ENGINE",     ">TARGET", ">NOW",    ">MOVED", ">NOW",
					     ">REVERSALS", ">NOW",    ">DIFFER", ">OF",    NULL };
	_cleanup_columns_ struct columns *c = columns_new(heads);
	const char *set = cli_value(s->cli, "set");

	if (!c)
		return cli_fail(CLI_FAILED, "out of memory");
	printf("now      policy %s%s%s\n\n", policy_name(s->replay.law[1].params.policy),
	       set ? ", " : "", set ? set : "");
	for (size_t i = 0; i < s->other.engines; i++)
		add_row(c, &s->other.engine[i]);
	columns_print(c, stdout);
	printf("\n");
	print_wrapped(open_loop, 0, output_width(), stdout);
	return CLI_OK;
}

static void print_told(const struct session *s)
{
	const json_t *one;
	size_t i;

	printf("\n");
	if (!json_array_size(s->telling))
		printf("  Its target never moved: nothing spoke for it.\n");
	json_array_foreach (s->telling, i, one) {
		printf("  ");
		print_wrapped(json_string_value(one), 4, output_width() - 4, stdout);
	}
}

/* ---- as JSON --------------------------------------------------------------------------------- */

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t)min_u64(v, INT64_MAX));
}

static json_t *side_json(const struct compare_side *s, const struct compare_engine *e)
{
	return json_pack("{s:o, s:o, s:o}", "mean_target_bytes", number(compare_mean_bytes(s, e)),
			 "moved_bytes", number(s->moved_bytes), "reversals", number(s->reversals));
}

static json_t *engines_json(const struct compare *c)
{
	json_t *a = json_array();

	for (size_t i = 0; i < c->engines; i++) {
		const struct compare_engine *e = &c->engine[i];

		json_array_append_new(
		    a, json_pack("{s:s, s:o, s:o, s:o, s:o}", "name", e->name, "decisions",
				 number(e->decisions), "different", number(e->different),
				 "recorded", side_json(&e->was, e), "now", side_json(&e->is, e)));
	}
	return a;
}

static json_t *decision_of(const struct law_decision *d)
{
	return json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "target_bytes",
			 number(d->target_bytes), "before_bytes", number(d->before_bytes), "reason",
			 policy_reason_name(d->reason), "clamps", number(d->clamps), "gain_ppm",
			 number(d->gain_ppm), "loss_ppm", number(d->loss_ppm), "release_bytes",
			 number(d->release_bytes));
}

static json_t *difference_json(const struct compare_difference *f)
{
	if (!f->found)
		return json_null();
	return json_pack("{s:o, s:o, s:s, s:o, s:o}", "tick", number(f->tick), "at_ms",
			 number(f->at_ns / NS_PER_MS), "engine", f->engine, "recorded",
			 decision_of(&f->was), "now", decision_of(&f->is));
}

static int print_all_json(struct session *s)
{
	const struct replay *r = &s->replay;
	_cleanup_json_ json_t *j = json_pack(
	    "{s:o, s:o, s:f, s:s?, s:b, s:s, s:s, s:o, s:o, s:o, s:b}", "ticks", number(r->ticks),
	    "urgent_ticks", number(r->urgent_ticks), "seconds", seconds(r), "end",
	    r->ended ? ends[r->end] : NULL, "complete", !s->broken, "recorded_policy",
	    policy_name(s->recorded_policy), "policy", policy_name(told_law(s)->params.policy),
	    "decisions", number(s->check.decisions), "different", number(s->check.different),
	    "first_difference", difference_json(&s->check.first), "open_loop", s->settings > 0);

	if (j)
		json_object_set_new(j, "engines",
				    engines_json(s->settings ? &s->other : &s->check));
	if (j && s->telling)
		json_object_set(j, "told", s->telling);
	return j ? print_json(j) : cli_fail(CLI_FAILED, "out of memory");
}

int session_report(struct session *s)
{
	int r = CLI_OK;

	if (tell(s, 0) < 0)
		return cli_fail(CLI_FAILED, "out of memory");
	if (s->cli->json) {
		r = print_all_json(s);
	} else {
		print_trace(s);
		print_check(s);
		if (s->settings)
			r = print_other(s);
		if (s->telling)
			print_told(s);
	}
	if (s->broken)
		cli_fail(CLI_OK, "%s: used up to tick %" PRIu64, s->file.why, s->replay.ticks);
	if (r)
		return r;
	return s->check.different ? CLI_FAILED : CLI_OK;
}

void session_fini(struct session *s)
{
	json_decref(s->telling);
	replay_plot_free(s->plot);
	compare_fini(&s->check);
	compare_fini(&s->other);
	replay_fini(&s->replay);
	trace_file_close(&s->file);
}
