/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/common/cleanup.h"
#include "user/daemon/sensors_vmstat.h"

#define PAGE_BYTES 4096ull

struct field {
	const char *v2, *v1; /* the line of memory.stat; NULL: has none there */
	bool bytes; /* the text is in bytes, the counter in pages */
};

static const struct field state_field[VMSTAT_STATES] = {
	[VMSTAT_ANON] = { "anon", "total_rss", true },
	[VMSTAT_FILE] = { "file", "total_cache", true },
	[VMSTAT_SHMEM] = { "shmem", "total_shmem", true },
	[VMSTAT_MAPPED] = { "file_mapped", "total_mapped_file", true },
	[VMSTAT_DIRTY] = { "file_dirty", "total_dirty", true },
	[VMSTAT_WRITEBACK] = { "file_writeback", "total_writeback", true },
	[VMSTAT_UNEVICTABLE] = { "unevictable", "total_unevictable", true },
	[VMSTAT_REFAULT_ANON] = { "workingset_refault_anon", "total_workingset_refault_anon",
				  false },
	[VMSTAT_REFAULT_FILE] = { "workingset_refault_file", "total_workingset_refault_file",
				  false },
	[VMSTAT_KERNEL] = { "kernel", NULL, true },
};

static const struct field pgfault_field = { "pgfault", "total_pgfault", false };
static const struct field pgmajfault_field = { "pgmajfault", "total_pgmajfault", false };
static const struct field pgscan_field = { "pgscan", NULL, false };
static const struct field pgsteal_field = { "pgsteal", NULL, false };

/* Value of the line "NAME VALUE"; false when there is none. */
static bool find(const char *text, const char *name, uint64_t *ret_value)
{
	size_t n = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (strncmp(line, name, n) == 0 && line[n] == ' ') {
			*ret_value = strtoull(line + n + 1, NULL, 10);
			return true;
		}
	}
	return false;
}

enum verdict { AGREES, MOVED, CONTRADICTS, ABSENT };

/* The text's two readings of a field against a counter. */
static enum verdict compare(const struct field *f, bool v1, const char *before, const char *after,
			    uint64_t counter)
{
	const char *name = v1 ? f->v1 : f->v2;
	uint64_t a, b;

	if (!name || !find(before, name, &a) || !find(after, name, &b))
		return ABSENT;
	if (a != b)
		return MOVED;
	return a == (f->bytes ? counter * PAGE_BYTES : counter) ? AGREES : CONTRADICTS;
}

/*
 * 6.12 and later keep the counters in the order of memcg_node_stat_items[] and memcg_stat_items[]
 * (mm/memcontrol.c), numbered through; the head of the one and the tail of the other are fixed.
 */
static void propose_compact_states(uint32_t count, struct vmstat_layout *layout)
{
	static const uint32_t head[VMSTAT_STATES] = {
		[VMSTAT_UNEVICTABLE] = 4, [VMSTAT_REFAULT_ANON] = 7, [VMSTAT_REFAULT_FILE] = 8,
		[VMSTAT_ANON] = 14,       [VMSTAT_MAPPED] = 15,      [VMSTAT_FILE] = 16,
		[VMSTAT_DIRTY] = 17,      [VMSTAT_WRITEBACK] = 18,   [VMSTAT_SHMEM] = 19,
	};

	memcpy(layout->state, head, sizeof(head));
	layout->state[VMSTAT_KERNEL] = count - 3; /* before zswap's two */
}

static void propose_plain_states(const struct walk_enums *e, struct vmstat_layout *layout)
{
	const uint32_t plain[VMSTAT_STATES] = {
		[VMSTAT_ANON] = e->anon,
		[VMSTAT_FILE] = e->file,
		[VMSTAT_SHMEM] = e->shmem,
		[VMSTAT_MAPPED] = e->mapped,
		[VMSTAT_DIRTY] = e->dirty,
		[VMSTAT_WRITEBACK] = e->writeback,
		[VMSTAT_UNEVICTABLE] = e->unevictable,
		[VMSTAT_REFAULT_ANON] = e->refault_anon,
		[VMSTAT_REFAULT_FILE] = e->refault_file,
		[VMSTAT_KERNEL] = e->kernel,
	};

	memcpy(layout->state, plain, sizeof(plain));
}

static int match_states(const struct walk_record *record, bool v1, const char *before,
			const char *after, const struct vmstat_layout *layout)
{
	bool moved = false;

	for (int i = 0; i < VMSTAT_STATES; i++) {
		if (layout->state[i] >= record->vmstate_count)
			return -ENOENT;
		switch (compare(&state_field[i], v1, before, after,
				record->vmstate[layout->state[i]])) {
		case CONTRADICTS:
			return -ENOENT;
		case MOVED:
			moved = true;
			break;
		case AGREES:
		case ABSENT:
			break;
		}
	}
	if (moved || !record->vmstate[layout->state[VMSTAT_ANON]] ||
	    !record->vmstate[layout->state[VMSTAT_FILE]])
		return -EAGAIN; /* zeros agree with anything */
	return 0;
}

/*
 * The events are: none, two or four of paging in and out; then all pgscan_*, all pgsteal_*,
 * pgfault, pgmajfault. v1 files do not show pgscan and pgsteal; there pgfault and pgmajfault vouch
 * for them.
 */
static int match_events(const struct walk_record *record, bool v1, const char *before,
			const char *after, struct vmstat_layout *layout)
{
	int err = -ENOENT;

	for (uint32_t first = 0; first <= 4; first += 2) {
		uint32_t kinds = layout->reclaimers;
		uint32_t fault = first + 2 * kinds;
		enum verdict v[4];

		if (fault + 1 >= record->vmevent_count)
			break;
		v[0] = compare(&pgfault_field, v1, before, after, record->vmevents[fault]);
		v[1] = compare(&pgmajfault_field, v1, before, after, record->vmevents[fault + 1]);
		v[2] = compare(&pgscan_field, v1, before, after, vmstat_sum(record, first, kinds));
		v[3] = compare(&pgsteal_field, v1, before, after,
			       vmstat_sum(record, first + kinds, kinds));
		if (v[0] == MOVED || v[1] == MOVED || v[2] == MOVED || v[3] == MOVED)
			return -EAGAIN;
		if (v[0] != AGREES || v[1] != AGREES || v[2] == CONTRADICTS || v[3] == CONTRADICTS)
			continue;
		if (!record->vmevents[fault])
			return -EAGAIN;
		layout->pgscan = first;
		layout->pgsteal = first + kinds;
		layout->pgfault = fault;
		layout->pgmajfault = fault + 1;
		return 0;
	}
	return err;
}

int vmstat_match(const struct walk_record *record, const struct walk_enums *enums,
		 const char *stat_before, const char *stat_after, struct vmstat_layout *ret)
{
	struct vmstat_layout layout = { .reclaimers = enums->reclaimers };
	uint64_t ignored;
	bool v1 = find(stat_before, "total_rss", &ignored);
	int states, events;

	if (record->vmstate_count < 24 || record->vmstate_count > WALK_STATES_MAX ||
	    record->vmevent_count > WALK_EVENTS_MAX)
		return -ENOENT;
	if (record->vmstate_count == enums->states)
		propose_plain_states(enums, &layout);
	else
		propose_compact_states(record->vmstate_count, &layout);
	states = match_states(record, v1, stat_before, stat_after, &layout);
	if (states == -ENOENT)
		return -ENOENT;
	events = match_events(record, v1, stat_before, stat_after, &layout);
	if (events)
		return events;
	if (states)
		return states;
	*ret = layout;
	return 0;
}

uint64_t vmstat_sum(const struct walk_record *record, uint32_t first, uint32_t count)
{
	uint64_t sum = 0;

	for (uint32_t i = first; i < first + count && i < WALK_EVENTS_MAX; i++)
		sum += record->vmevents[i];
	return sum;
}
