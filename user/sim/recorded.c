/* SPDX-License-Identifier: BSD-2-Clause */
/* Recorded accesses: files of page numbers, loaded once, and thinned out for a coarser grain. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "user/common/cleanup.h"
#include "user/sim/scenario.h"

#define ALLOWED                                                                                    \
	"one page number a line, decimal or 0x and hexadecimal, and comments after '#', plain or " \
	"gzip"
#define LINE_BYTES 256
#define HOT_PART   64 /* so many pages at most are read more than one of so many times each */

static struct sim_trace *traces;

void sim_trace_free(void)
{
	while (traces) {
		struct sim_trace *t = traces;

		traces = t->next;
		free(t->path);
		free(t->key);
		free(t);
	}
}

static struct sim_trace *trace_find(const char *path, uint32_t grain)
{
	struct sim_trace *t = traces;

	while (t && (t->grain != grain || strcmp(t->path, path) != 0))
		t = t->next;
	return t;
}

static struct sim_trace *trace_add(const char *path, uint32_t grain, uint32_t *key,
				   uint32_t accesses, uint32_t pages)
{
	struct sim_trace *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct sim_trace){ traces, strdup(path), grain, accesses, pages, key };
	if (!t->path) {
		free(t);
		return NULL;
	}
	return traces = t;
}

static uint32_t hash_of(uint64_t x)
{
	return (uint32_t)(sim_mix(x) >> 16);
}

/* -- the file -- */

struct reader {
	struct sim_complaints to;
	uint32_t line;
	uint32_t *key;
	uint32_t accesses, room;
	/* page numbers by hash: sparse ones get keys in order of first appearance */
	struct slot {
		uint64_t page;
		uint32_t key1; /* key + 1, 0: free */
	} * slot;
	uint32_t slots, pages;
};

static struct slot *slot_of(const struct reader *r, uint64_t page)
{
	uint32_t i = hash_of(page) & (r->slots - 1);

	while (r->slot[i].key1 && r->slot[i].page != page)
		i = (i + 1) & (r->slots - 1);
	return &r->slot[i];
}

static int slots_double(struct reader *r)
{
	struct slot *old = r->slot, *end = old + r->slots;
	uint32_t slots = r->slots ? 2 * r->slots : 4096;
	struct slot *slot = calloc(slots, sizeof(*slot));

	if (!slot)
		return -ENOMEM;
	r->slot = slot;
	r->slots = slots;
	for (struct slot *s = old; s < end; s++)
		if (s->key1)
			*slot_of(r, s->page) = *s;
	free(old);
	return 0;
}

static int access_add(struct reader *r, uint64_t page)
{
	struct slot *s;

	if (r->accesses == SIM_TRACE_ACCESSES_MAX) {
		sim_complain(&r->to, r->line, "one page number too many; allowed: at most %u",
			     SIM_TRACE_ACCESSES_MAX);
		return -E2BIG;
	}
	if (r->accesses == r->room) {
		uint32_t room = r->room ? 2 * r->room : 4096;
		uint32_t *key = reallocarray(r->key, room, sizeof(*key));

		if (!key)
			return -ENOMEM;
		r->key = key;
		r->room = room;
	}
	if (r->pages >= r->slots / 2 && slots_double(r) < 0)
		return -ENOMEM;
	s = slot_of(r, page);
	if (!s->key1) {
		if (r->pages == SIM_TRACE_PAGES_MAX) {
			sim_complain(&r->to, r->line,
				     "one page too many; allowed: at most %u different ones",
				     SIM_TRACE_PAGES_MAX);
			return -E2BIG;
		}
		*s = (struct slot){ page, ++r->pages };
	}
	r->key[r->accesses++] = s->key1 - 1;
	return 0;
}

/* False: it is not a page number. */
static bool page_number(const char *text, uint64_t *ret_page)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hex ? text + 2 : text;
	char *end;

	if (hex ? !isxdigit((unsigned char)*digits) : !isdigit((unsigned char)*digits))
		return false;
	errno = 0;
	*ret_page = strtoull(digits, &end, hex ? 16 : 10);
	return errno == 0 && !*end;
}

static int take_line(struct reader *r, char *line)
{
	uint64_t page;
	size_t n;

	line += strspn(line, " \t");
	n = strcspn(line, "#");
	while (n > 0 && isspace((unsigned char)line[n - 1]))
		n--;
	line[n] = 0;
	if (n == 0)
		return 0;
	if (page_number(line, &page))
		return access_add(r, page);
	for (char *p = line; *p; p++)
		if (!isprint((unsigned char)*p))
			*p = '?';
	sim_complain(&r->to, r->line, "'%.40s%s' is not a page number; allowed: " ALLOWED, line,
		     n > 40 ? "..." : "");
	return -EINVAL;
}

/* What does not fit is cut off: part of a comment, or of what is no number anyway. */
static int read_lines(struct reader *r, gzFile in)
{
	char line[LINE_BYTES];
	bool begins = true;
	int rc = 0;

	while (rc == 0 && gzgets(in, line, sizeof(line))) {
		bool begun = begins;

		begins = strlen(line) < sizeof(line) - 1 || line[sizeof(line) - 2] == '\n';
		if (!begun)
			continue;
		r->line++;
		rc = take_line(r, line);
	}
	return rc;
}

static const char *read_failure(gzFile in)
{
	int rc = Z_OK;
	const char *what = gzerror(in, &rc);

	if (rc == Z_OK || rc == Z_STREAM_END)
		return NULL;
	return rc == Z_ERRNO ? strerror(errno) : what;
}

/* NULL when it complained; `line` is of the engine, in the file that `to` is about. */
static const struct sim_trace *trace_load(const char *path, const struct sim_spec *spec,
					  uint32_t line, struct sim_complaints *to)
{
	struct reader r = { .to = { .out = to->out, .where = path } };
	struct sim_trace *t = trace_find(path, 1);
	const char *failure = NULL;
	gzFile in;
	int rc;

	if (t)
		return t;
	in = gzopen(path, "re");
	if (!in) {
		sim_complain(to, line, "[engine %s] trace %s cannot be read: %s; allowed: " ALLOWED,
			     spec->name, path, strerror(errno));
		return NULL;
	}
	rc = read_lines(&r, in);
	if (rc == 0)
		failure = read_failure(in);
	if (failure)
		sim_complain(&r.to, r.line, "cannot be read: %s; allowed: " ALLOWED, failure);
	else if (rc == 0 && !r.accesses)
		sim_complain(&r.to, 0, "has no page number in it; allowed: " ALLOWED);
	if (rc == 0 && !r.to.count)
		t = trace_add(path, 1, r.key, r.accesses, r.pages);
	if (!t && !r.to.count)
		sim_complain(&r.to, 0, "%s", strerror(ENOMEM));
	if (!t)
		free(r.key);
	free(r.slot);
	gzclose(in);
	to->count += r.to.count;
	return t;
}

bool sim_traces_load(struct sim_scenario *s, const char *scenario_path, struct sim_complaints *to)
{
	const char *base = strrchr(scenario_path, '/');
	int dir = base ? (int)(base + 1 - scenario_path) : 0;
	unsigned int before = to->count;
	char path[4096];

	for (uint32_t i = 0; i < s->engines; i++)
		for (struct sim_part *p = s->engine[i].part; p < s->engine[i].part + SIM_PARTS_MAX;
		     p++) {
			if (p->pattern != SIM_TRACE)
				continue;
			snprintf(path, sizeof(path), "%.*s%s", *p->file == '/' ? 0 : dir,
				 scenario_path, p->file);
			p->trace = trace_load(path, &s->engine[i], s->engine_line[i], to);
		}
	return to->count == before;
}

/* -- a coarser grain -- */

struct ranked {
	uint32_t reads, key;
};

static int more_reads(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->reads != y->reads)
		return x->reads < y->reads ? 1 : -1;
	return x->key < y->key ? -1 : x->key > y->key;
}

/*
 * One page stands for `grain` that are read about as often, with its own reads: whoever reads few
 * pages or many, in turn or at random, has the same hit rate in a cache so many times smaller.
 * Those that matter by themselves, like the root of a tree, stay with one of `grain` reads each.
 */
static uint32_t choose(const struct sim_trace *t, uint32_t grain, struct ranked *by_reads,
		       uint32_t *new_key, uint32_t *ret_hot)
{
	uint32_t hot = 0, cold, pages;

	for (uint32_t k = 0; k < t->pages; k++)
		by_reads[k] = (struct ranked){ .key = k };
	for (uint32_t i = 0; i < t->accesses; i++)
		by_reads[t->key[i]].reads++;
	qsort(by_reads, t->pages, sizeof(*by_reads), more_reads);
	for (; hot < t->pages && by_reads[hot].reads > t->accesses / HOT_PART; hot++) {
		if (by_reads[hot].reads < 4 * grain) /* a trace too short to divide reads */
			break;
		new_key[by_reads[hot].key] = hot;
	}
	*ret_hot = pages = hot;
	cold = t->pages - hot;
	for (uint32_t from = 0; from < cold; from += grain) {
		uint32_t n = cold - from < grain ? cold - from : grain;
		uint32_t chosen = hash_of(from + 1ull) % n;

		for (uint32_t i = 0; i < n; i++)
			new_key[by_reads[hot + from + i].key] = i == chosen ? pages : UINT32_MAX;
		pages++;
	}
	return pages;
}

const struct sim_trace *sim_trace_coarse(const struct sim_trace *t, uint32_t grain)
{
	const struct sim_trace *known;
	_cleanup_free_ struct ranked *by_reads = NULL;
	_cleanup_free_ uint32_t *new_key = NULL, *key = NULL;
	uint32_t pages, hot, n = 0, seen[HOT_PART] = { 0 };

	if (grain <= 1)
		return t;
	known = trace_find(t->path, grain);
	if (known)
		return known;
	by_reads = calloc(t->pages, sizeof(*by_reads));
	new_key = calloc(t->pages, sizeof(*new_key));
	key = calloc(t->accesses, sizeof(*key));
	if (!by_reads || !new_key || !key)
		return NULL;
	pages = choose(t, grain, by_reads, new_key, &hot);
	for (uint32_t i = 0; i < t->accesses; i++) {
		uint32_t k = new_key[t->key[i]];

		if (k == UINT32_MAX || (k < hot && seen[k]++ % grain))
			continue;
		key[n++] = k;
	}
	known = trace_add(t->path, grain, key, n, pages);
	if (known)
		(void)TAKE_PTR(key);
	return known;
}
