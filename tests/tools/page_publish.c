// SPDX-License-Identifier: BSD-2-Clause
/*
 * A pressure page without a daemon: publishes what it is told on stdin, answers each line with "ok"
 * or the error, and dies at the end of stdin as a killed daemon would, without a word to readers.
 *
 *	page_publish PATH [SLOTS]
 *	engine NAME [CGROUP_DIR HIERARCHY]	give NAME the next slot, or new facts
 *	level NAME LEVEL BUDGET_BYTES		publish: LEVEL 1..4
 *	free NAME
 *	commit LEASE_MS				publish the header
 *	stop					an orderly end
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "user/common/clock.h"
#include "user/daemon/page_writer.h"

#define SLOTS_MAX 64

static char names[SLOTS_MAX][BARO_PAGE_NAME_MAX];

/* The slot of that name, or the first that has none. */
static uint32_t slot_of(const char *name, uint32_t slots)
{
	for (uint32_t i = 0; i < slots; i++)
		if (!names[i][0] || !strcmp(names[i], name))
			return i;
	return slots;
}

static int engine(struct page_writer *w, uint32_t slots, const char *name, const char *dir,
		  uint32_t hierarchy)
{
	struct page_slot_identity who = { .name = name, .cgroup_hierarchy = hierarchy };
	uint32_t i = slot_of(name, slots);
	struct stat st;
	int r;

	if (dir[0] && stat(dir, &st) < 0)
		return -errno;
	if (dir[0])
		who.cgroup_id = st.st_ino;
	r = i < slots ? page_writer_assign(w, i, &who) : -ENOSPC;
	if (!r)
		snprintf(names[i], sizeof(names[i]), "%s", name);
	return r;
}

static int level(struct page_writer *w, uint32_t slots, const char *name, unsigned int level,
		 uint64_t budget_bytes)
{
	const struct page_slot_values v = { .state = BARO_SLOT_ACTIVE,
					    .level = (enum baro_level)level,
					    .budget_bytes = budget_bytes,
					    .target_bytes = budget_bytes,
					    .limit_bytes = BARO_PAGE_NONE,
					    .time_to_ceiling_ns = BARO_PAGE_NONE };
	uint32_t i = slot_of(name, slots);

	if (i == slots || !names[i][0])
		return -ENOENT;
	page_writer_update(w, i, &v, clock_now_ns());
	return 0;
}

static int obey(struct page_writer *w, uint32_t slots, const char *line)
{
	const struct page_header_values header = { .level = BARO_LEVEL_NORMAL,
						   .rung = BARO_RUNG_OBSERVE,
						   .ceiling_bytes = 1u << 30,
						   .interval_ns = 100 * NS_PER_MS };
	char name[BARO_PAGE_NAME_MAX] = "", dir[4096] = "";
	unsigned int number = 0;
	uint64_t value = 0;

	if (sscanf(line, "engine %63s %4095s %u", name, dir, &number) >= 1)
		return engine(w, slots, name, dir, number);
	if (sscanf(line, "level %63s %u %" SCNu64, name, &number, &value) == 3)
		return level(w, slots, name, number, value);
	if (sscanf(line, "free %63s", name) == 1) {
		page_writer_free(w, slot_of(name, slots));
		return 0;
	}
	if (sscanf(line, "commit %" SCNu64, &value) != 1)
		return -EINVAL;
	page_writer_commit(w, &header, clock_now_ns(), value * NS_PER_MS, false);
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t slots = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 8;
	enum page_origin origin;
	struct page_writer *w = NULL;
	char line[8192];
	int r;

	if (argc < 2 || slots > SLOTS_MAX)
		return 2;
	r = page_writer_open(argv[1], slots, 0644, &w, &origin);
	if (r < 0) {
		fprintf(stderr, "page_publish: %s: %s\n", argv[1], strerrordesc_np(-r));
		return 1;
	}
	setlinebuf(stdout);
	puts(origin == PAGE_CREATED ? "created" : origin == PAGE_ADOPTED ? "adopted" : "replaced");
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "stop\n")) {
			page_writer_close(w, false);
			puts("ok");
			return 0;
		}
		r = obey(w, slots, line);
		puts(r < 0 ? strerrordesc_np(-r) : "ok");
	}
	_Exit(1);
}
