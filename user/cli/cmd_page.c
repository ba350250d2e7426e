/* SPDX-License-Identifier: BSD-2-Clause */
/* page: what engines read, straight from the shared memory; needs no daemon. */
#include <inttypes.h>
#include <string.h>

#include "user/cli/client.h"
#include "user/cli/columns.h"
#include "user/cli/fields.h"
#include "user/cli/format.h"
#include "user/cli/page_json.h"
#include "user/cli/page_view.h"
#include "user/common/units.h"

static void print_header(const struct page_view *v)
{
	const struct baro_page_header *h = &v->header;
	const char *level = baro_level_name(h->level);
	char a[FIELD_BYTES], b[FIELD_BYTES], c[FIELD_BYTES];

	printf("page      %s, ABI %u.%u, %u of %u slots used, pid %u, %" PRIu64 " ticks\n", v->path,
	       h->abi_major, h->abi_minor, h->slots_used, h->slot_count, h->daemon_pid, h->ticks);
	printf("host      level %s%s%s, rung %s, score %s%s\n", style_begin(style_of_level(level)),
	       level, style_end(style_of_level(level)), baro_rung_name(h->rung),
	       percent_text(h->score_ppm, a),
	       h->flags & BARO_PAGE_DRY_RUN ? ", dry run: targets are what would be" : "");
	printf("memory    %s used of ceiling %s, reserve %s\n",
	       units_format_size(h->usage_bytes, a, sizeof(a)),
	       units_format_size(h->ceiling_bytes, b, sizeof(b)),
	       units_format_size(h->reserve_bytes, c, sizeof(c)));
	if (v->valid)
		printf("lease     holds for %s\n",
		       units_format_time(h->void_after_ns - v->now_ns, a, sizeof(a)));
	else
		printf("lease     %sran out %s%s: nothing here may be believed\n",
		       style_begin(STYLE_CRITICAL), age_text(v->void_since_ns / 1000000, a),
		       style_end(STYLE_CRITICAL));
}

static void add_size(struct columns *c, uint64_t bytes)
{
	char buf[FIELD_BYTES];

	columns_add(c, STYLE_PLAIN, units_format_size(bytes, buf, sizeof(buf)));
}

static void add_slot(struct columns *c, uint32_t index, const struct baro_slot *s)
{
	const struct baro_pressure *p = &s->pressure;
	const char *level = baro_level_name(BARO_STATUS_LEVEL(p->status));
	char buf[FIELD_BYTES];

	columns_add(c, STYLE_DIM, number_text(index, buf));
	columns_add(c, STYLE_BOLD, s->name);
	columns_add(c, STYLE_PLAIN, baro_slot_state_name(BARO_STATUS_STATE(p->status)));
	columns_add(c, style_of_level(level), level);
	columns_add(c, STYLE_PLAIN, percent_text(p->score_ppm, buf));
	add_size(c, p->budget_bytes);
	add_size(c, p->target_bytes);
	add_size(c, p->usage_bytes);
	add_size(c, p->headroom_bytes);
	add_size(c, p->limit_bytes);
	add_size(c, p->release_bytes);
	columns_add(c, STYLE_PLAIN, percent_text(p->stall_ppm, buf));
	columns_add(c, STYLE_DIM, baro_reason_name(p->reason));
}

/* A slot that is being written all the time is skipped, and said so. */
static int print_slots(const struct page_view *v)
{
	static const char *const heads[] = { ">SLOT",    "ENGINE",  "STATE",  "LEVEL",     ">SCORE",
					     ">BUDGET",  ">TARGET", ">USAGE", ">HEADROOM", ">LIMIT",
					     ">RELEASE", ">STALL",  "REASON", NULL };
	_cleanup_columns_ struct columns *c = columns_new(heads);
	uint32_t n = baro_page_slots(v->page);
	struct baro_slot_ref ref;
	struct baro_slot slot;
	int status = CLI_OK;

	if (!c)
		return cli_fail(CLI_FAILED, "out of memory");
	for (uint32_t i = 0; i < n; i++) {
		int r = baro_page_slot(v->page, i, &ref);

		if (!r)
			r = baro_page_read_slot(&ref, &slot);
		if (!r)
			add_slot(c, i, &slot);
		else if (r != -ENOENT)
			status =
			    cli_fail(CLI_FAILED, "slot %u cannot be read: %s", i, strerror(-r));
	}
	putchar('\n');
	columns_print(c, stdout);
	return status;
}

static int print_one(const struct page_view *v, const char *name, bool json)
{
	_cleanup_json_ json_t *object = NULL;
	struct baro_slot_ref ref;
	struct baro_slot slot;
	const char *key;
	json_t *value;
	int r = baro_page_find(v->page, name, &ref);

	if (!r)
		r = baro_page_read_slot(&ref, &slot);
	if (r == -ENOENT)
		return cli_fail(CLI_FAILED, "there is no engine '%s' in the page", name);
	if (r < 0)
		return cli_fail(CLI_FAILED, "slot of '%s' cannot be read: %s", name, strerror(-r));
	object = page_slot_json(ref.index, &slot);
	if (json)
		return print_json(object);
	json_object_foreach (object, key, value) {
		_cleanup_free_ char *text = page_field_text(key, value);

		printf("%-26s %s\n", key, text ? text : "?");
	}
	return CLI_OK;
}

int cmd_page(const struct cli *cli)
{
	_cleanup_(page_view_close) struct page_view view = { 0 };
	int r = page_view_open(cli->page_path, &view);

	if (r < 0)
		return cli_fail(r == -ENOENT ? CLI_NO_DAEMON : CLI_FAILED, "%s: %s",
				page_view_path(cli->page_path), baro_page_strerror(r));
	if (!view.valid && (cli->json || cli->args))
		fprintf(stderr, "barostat: the lease of %s has run out: no daemon keeps it\n",
			view.path);
	if (cli->args)
		return print_one(&view, cli->arg[0], cli->json);
	if (cli->json) {
		_cleanup_json_ json_t *object = page_json(&view);

		return print_json(object);
	}
	print_header(&view);
	return print_slots(&view);
}
