/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Watches transfers between engines, as fast as it can read, for what may never be:
 *
 *	transfers PAGE PARENT CEILING BOUND LIMIT NAME...
 *
 * PARENT is the directory of the common parent, the engines NAME... are its children. LIMIT is the
 * file whose sum over the engines stays within BOUND, or "none". Then one command a line on stdin,
 * each answered with a line:
 *
 *	pause	somebody else is about to write limits: their sum is not judged	-> "paused"
 *	judge	wait until the sum is within the bound, and judge it from there on	-> "judging"
 *
 *	end	as the end of stdin
 *
 * It begins as after "pause". At the end of stdin it prints what it has seen; exit status 1 when
 * something was above its bound. What it looks at:
 *
 * The sum of limits. They cannot be read at one instant. But when all of them, read twice, were the
 * same both times, then all of them stood like this between the two rounds, unless one went away
 * and came back to the very byte meanwhile. What was not the same is no sample, but is not let pass
 * either: between two rounds that were quick, each limit was as it was read before or after, so the
 * lower of the two is the least it can have been, and these least ones must fit as well.
 *
 * What the parent uses: the kernel's own high-water mark, which misses no instant, and what is read.
 * The kernel charges first and compares then, so what is read may for a moment contain a charge that
 * is about to be refused. It is above the ceiling when it stays there.
 *
 * Targets, by the pressure page: their sum, when all come from one publication, and each within
 * the operator's bounds that stood when it was decided.
 */
#include <barostat/page.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/common/clock.h"
#include "user/common/io.h"
#include "user/common/units.h"

#define ENGINES_MAX     16
#define ROUNDS_PER_LOOK 256 /* at stdin */
#define QUICK_NS        (100 * NS_PER_US) /* two rounds: too short for two changes of one limit */
#define SPECULATIVE_NS  (20 * NS_PER_MS)
#define TOLD_MAX        10 /* violations in full */

enum state { PAUSED, SETTLING, JUDGING };

struct engine {
	const char *name;
	int fd;
	uint64_t limit, before; /* of this round and the one before */
	struct baro_slot slot; /* as last published */
	uint64_t min_bytes, max_bytes, bounds_ns; /* the operator's, and the publication they were
						     first seen with */
};

struct watch {
	const char *page_path;
	struct baro_page *page;
	struct engine engine[ENGINES_MAX];
	uint32_t engines;
	int usage_fd, peak_fd;
	uint64_t ceiling, bound;
	bool limits; /* their sum is looked at */
	enum state state;

	uint64_t begin_ns, round_ns, before_ns; /* when this round and the last began; 0: none */
	uint64_t rounds, samples, unstable, changes, moved_bytes, largest_sum;
	uint64_t published_ns, ticks_seen, ticks, boot_epoch, daemons, publications, target_changes,
	    largest_targets;
	uint64_t speculative, highest_usage;
	uint64_t violations, told, told_sum;
};

static uint64_t number(const char *text)
{
	uint64_t n;

	if (units_parse_u64(text, &n) < 0)
		errx(2, "not a number: %s", text);
	return n;
}

static int open_in(const char *dir, const char *name, const char *file)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%s", dir, name, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		err(1, "%s", path);
	return fd;
}

static uint64_t read_number(int fd)
{
	uint64_t value;
	int r = io_pread_u64(fd, &value);

	if (r < 0)
		errx(1, "a file of a cgroup: %s", strerrordesc_np(-r));
	return value;
}

/* ---- what is said ---------------------------------------------------------------------------- */

static bool begin_violation(struct watch *w, const char *what, uint64_t sum, uint64_t bound)
{
	/* The same sum for a thousand samples is told once. */
	if (w->violations++ && sum == w->told_sum)
		return false;
	w->told_sum = sum;
	if (w->told++ >= TOLD_MAX)
		return false;
	printf("VIOLATION at %.6f s: %s: %" PRIu64 " bytes, bound %" PRIu64,
	       (double)(clock_now_ns() - w->begin_ns) / (double)NS_PER_S, what, sum, bound);
	return true;
}

static void tell_limits(struct watch *w, const char *what, uint64_t sum)
{
	if (!begin_violation(w, what, sum, w->bound))
		return;
	for (uint32_t i = 0; i < w->engines; i++)
		printf(", %s %" PRIu64 " (before %" PRIu64 ", %s)", w->engine[i].name,
		       w->engine[i].limit, w->engine[i].before,
		       baro_slot_state_name(BARO_STATUS_STATE(w->engine[i].slot.pressure.status)));
	puts("");
}

static void tell_targets(struct watch *w, const char *what, uint64_t sum, uint64_t bound)
{
	if (!begin_violation(w, what, sum, bound))
		return;
	for (uint32_t i = 0; i < w->engines; i++) {
		const struct baro_slot *s = &w->engine[i].slot;

		printf(", %s %" PRIu64 " in %" PRIu64 "..%" PRIu64 " unreclaimable %" PRIu64
		       " (%s, %s)",
		       s->name, s->pressure.target_bytes, s->min_bytes, s->max_bytes,
		       s->unreclaimable_bytes,
		       baro_slot_state_name(BARO_STATUS_STATE(s->pressure.status)),
		       baro_reason_name(s->pressure.reason));
	}
	puts("");
}

static void report(const struct watch *w)
{
	if (w->limits)
		printf("%" PRIu64 " samples of all limits (%" PRIu64 " more not stable) in %" PRIu64
		       " rounds; %" PRIu64 " limit writes seen, %" PRIu64
		       " MiB moved; largest sum %" PRIu64 " of %" PRIu64 " bytes\n",
		       w->samples, w->unstable, w->rounds, w->changes,
		       (uint64_t)(w->moved_bytes / MIB), w->largest_sum, w->bound);
	printf("%" PRIu64 " of %" PRIu64 " publications by %" PRIu64 " daemons, %" PRIu64
	       " targets changed; largest sum of targets %" PRIu64 " of %" PRIu64 " bytes\n",
	       w->publications, w->ticks, w->daemons, w->target_changes, w->largest_targets,
	       w->bound);
	printf("%" PRIu64 " samples of usage, the highest %" PRIu64 ", of the kernel's own %" PRIu64
	       ", ceiling %" PRIu64 "; %" PRIu64 " with a charge that was then refused\n",
	       w->rounds, w->highest_usage, w->peak_fd < 0 ? 0 : read_number(w->peak_fd),
	       w->ceiling, w->speculative);
	printf("%" PRIu64 " violations\n", w->violations);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void judge_stable(struct watch *w, uint64_t sum)
{
	if (w->state == SETTLING && sum <= w->bound) {
		w->state = JUDGING;
		puts("judging");
	}
	if (w->state != JUDGING)
		return;
	w->samples++;
	w->largest_sum = max_u64(w->largest_sum, sum);
	if (sum > w->bound)
		tell_limits(w, "sum of limits", sum);
}

static void judge_limits(struct watch *w)
{
	uint64_t sum = 0, least = 0, end_ns = clock_now_ns();
	bool stable = true;

	for (uint32_t i = 0; i < w->engines; i++) {
		const struct engine *e = &w->engine[i];

		stable &= e->limit == e->before;
		sum = sat_add_u64(sum, e->limit);
		least = sat_add_u64(least, min_u64(e->limit, e->before));
		if (w->state != JUDGING)
			continue;
		w->changes += e->limit != e->before;
		w->moved_bytes += sat_sub_u64(e->limit, e->before);
	}
	if (stable) {
		judge_stable(w, sum);
		return;
	}
	w->unstable++;
	if (w->state == JUDGING && end_ns - w->before_ns <= QUICK_NS && least > w->bound)
		tell_limits(w, "sum of the least that limits can have been", least);
}

static void look_at_limits(struct watch *w)
{
	w->before_ns = w->round_ns;
	w->round_ns = clock_now_ns();
	for (uint32_t i = 0; i < w->engines; i++) {
		struct engine *e = &w->engine[i];

		e->before = e->limit;
		e->limit = read_number(e->fd);
	}
	if (w->before_ns && w->state != PAUSED)
		judge_limits(w);
}

/* ---- usage ----------------------------------------------------------------------------------- */

static void look_at_usage(struct watch *w)
{
	uint64_t usage = read_number(w->usage_fd), since_ns;

	if (usage > w->ceiling) {
		w->speculative++;
		since_ns = clock_now_ns();
		while (usage > w->ceiling && clock_now_ns() - since_ns < SPECULATIVE_NS)
			usage = min_u64(usage, read_number(w->usage_fd));
	}
	w->highest_usage = max_u64(w->highest_usage, usage);
	if (usage > w->ceiling && begin_violation(w, "usage of the parent", usage, w->ceiling))
		puts("");
}

/* ---- targets --------------------------------------------------------------------------------- */

static void open_page(struct watch *w)
{
	int r;

	baro_page_close(w->page);
	r = baro_page_open(w->page_path, &w->page);
	if (r < 0)
		errx(1, "%s: %s", w->page_path, baro_page_strerror(r));
}

/* All slots from the publication at `published_ns`; false when another is under way. */
static bool read_slots(struct watch *w, uint64_t published_ns)
{
	for (uint32_t i = 0; i < w->engines; i++) {
		struct baro_slot_ref ref;
		struct baro_slot slot;

		if (baro_page_find(w->page, w->engine[i].name, &ref) < 0 ||
		    baro_page_read_slot(&ref, &slot) < 0 ||
		    slot.pressure.updated_ns != published_ns)
			return false;
		w->target_changes +=
		    slot.pressure.target_bytes != w->engine[i].slot.pressure.target_bytes;
		w->engine[i].slot = slot;
	}
	return true;
}

static void judge_target(struct watch *w, struct engine *e, uint64_t published_ns)
{
	const struct baro_pressure *p = &e->slot.pressure;

	if (e->min_bytes != e->slot.min_bytes || e->max_bytes != e->slot.max_bytes) {
		e->min_bytes = e->slot.min_bytes;
		e->max_bytes = e->slot.max_bytes;
		e->bounds_ns = published_ns;
	}
	/* Bounds are said at once, and decided by from the next tick on. */
	if (BARO_STATUS_STATE(p->status) != BARO_SLOT_ACTIVE || e->bounds_ns == published_ns)
		return;
	if (p->target_bytes > e->max_bytes)
		tell_targets(w, "target above its max", p->target_bytes, e->max_bytes);
	if (p->target_bytes < e->min_bytes && p->reason != BARO_REASON_OVERCOMMITTED)
		tell_targets(w, "target below its min", p->target_bytes, e->min_bytes);
}

static void look_at_targets(struct watch *w)
{
	struct baro_page_header header;
	uint64_t sum = 0;

	if (baro_page_read_header(w->page, &header) < 0 || !header.published_ns ||
	    header.published_ns == w->published_ns)
		return;
	if (header.boot_epoch != w->boot_epoch) {
		w->boot_epoch = header.boot_epoch;
		w->daemons++;
		w->ticks_seen = 0;
	}
	w->ticks += header.ticks - w->ticks_seen;
	w->ticks_seen = header.ticks;
	w->published_ns = header.published_ns;
	if (!read_slots(w, header.published_ns))
		return;
	w->publications++;
	for (uint32_t i = 0; i < w->engines; i++) {
		sum = sat_add_u64(sum, w->engine[i].slot.pressure.target_bytes);
		judge_target(w, &w->engine[i], header.published_ns);
	}
	w->largest_targets = max_u64(w->largest_targets, sum);
	if (sum > w->bound)
		tell_targets(w, "sum of targets", sum, w->bound);
}

/* ---- commands -------------------------------------------------------------------------------- */

/* False at the end of stdin. Lines are short and written whole. */
static bool obey(struct watch *w)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[64];
	ssize_t n;

	if (poll(&p, 1, 0) <= 0)
		return true;
	n = read(STDIN_FILENO, line, sizeof(line) - 1);
	if (n <= 0)
		return false;
	line[n] = '\0';
	if (!strcmp(line, "end\n"))
		return false;
	if (!strcmp(line, "pause\n")) {
		w->state = PAUSED;
		puts("paused");
	} else if (!strcmp(line, "judge\n")) {
		w->state = SETTLING;
		w->round_ns = 0; /* the round before is from another time */
	} else {
		printf("error what: %s", line);
	}
	return true;
}

int main(int argc, char **argv)
{
	struct watch w = { .begin_ns = clock_now_ns() };
	const char *parent;

	if (argc < 7 || argc > 6 + ENGINES_MAX)
		errx(2, "usage: transfers PAGE PARENT CEILING BOUND LIMIT|none NAME...");
	setvbuf(stdout, NULL, _IOLBF, 0);
	w.page_path = argv[1];
	parent = argv[2];
	w.ceiling = number(argv[3]);
	w.bound = number(argv[4]);
	w.limits = strcmp(argv[5], "none") != 0;
	for (int i = 6; i < argc; i++) {
		struct engine *e = &w.engine[w.engines++];

		e->name = argv[i];
		e->fd = w.limits ? open_in(parent, e->name, argv[5]) : -1;
		if (w.limits && e->fd < 0)
			errx(1, "%s has no %s", e->name, argv[5]);
	}
	w.usage_fd = open_in(parent, ".", "memory.current");
	w.peak_fd = open_in(parent, ".", "memory.peak");
	if (w.usage_fd < 0) {
		w.usage_fd = open_in(parent, ".", "memory.usage_in_bytes");
		w.peak_fd = open_in(parent, ".", "memory.max_usage_in_bytes");
	}
	if (w.usage_fd < 0)
		errx(1, "%s does not say what it uses", parent);
	open_page(&w);
	for (; w.rounds % ROUNDS_PER_LOOK || obey(&w); w.rounds++) {
		if (w.limits)
			look_at_limits(&w);
		else if (w.state == SETTLING)
			judge_stable(&w, 0);
		look_at_usage(&w);
		look_at_targets(&w);
		if (w.rounds % ROUNDS_PER_LOOK == 0 && baro_page_replaced(w.page) == 1)
			open_page(&w);
	}
	/* A forced charge can lift it by pages, but then it was there. */
	if (w.peak_fd >= 0 && read_number(w.peak_fd) > w.ceiling &&
	    begin_violation(&w, "the kernel's own high-water mark of the parent",
			    read_number(w.peak_fd), w.ceiling))
		puts("");
	report(&w);
	baro_page_close(w.page);
	return w.violations ? 1 : 0;
}
