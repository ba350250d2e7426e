/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk: all engines' cgroup counters by one pass of an iterator (bpf/walk.bpf.c).
 *
 * The pass starts at the engines' common ancestor. A byte of the ancestor's memory.stat is read
 * first: that makes the kernel flush the counters of everything below it, on every kernel alike.
 * While the layout of vmstats is unknown the whole text is read, before and after, to find it out.
 *
 * Not from here: PSI on hybrid, which is another tree; there WALK_PSI stays off.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/walk.h"
#include "bpf/walk.skel.h"
#include "user/common/cleanup.h"
#include "user/common/io.h"
#include "user/common/log.h"
#include "user/common/units.h"
#include "user/daemon/sensors_bpf.h"
#include "user/daemon/sensors_vmstat.h"

#define STAT_TEXT_BYTES    16384
#define CONTRADICTIONS_MAX 5 /* stable readings that no layout explains, then it is given up */
#define RETRY_EAGER        50 /* walks at which matching is tried every time */
#define RETRY_LAZY         64 /* then at every so many-th */
#define PAGE_BYTES         4096ull
#define STEPS_SPARE        256 /* cgroups of the walk that are no engine's own, remembered */

enum layout_state { LAYOUT_UNKNOWN, LAYOUT_KNOWN, LAYOUT_GIVEN_UP };

struct walk {
	struct walk_bpf *skel;
	struct sensor_memory records; /* one per slot, and the ancestor's */
	uint32_t slots, slots_used;
	bool v1;
	/* the ancestor of the last walk */
	dev_t ancestor_dev;
	ino_t ancestor_ino;
	int stat_fd;
	struct bpf_link *link;
	/* vmstats */
	bool looked_above; /* the layout was sought in the whole hierarchy, once */
	enum layout_state layout_state;
	uint32_t contradictions;
	struct vmstat_layout layout;
	char *before, *after; /* memory.stat; freed once the layout is known */
};

static void walk_close(void *private)
{
	struct walk *w = private;

	if (!w)
		return;
	bpf_link__destroy(w->link);
	sensor_memory_close(&w->records);
	walk_bpf__destroy(w->skel);
	cleanup_close(&w->stat_fd);
	free(w->before);
	free(w->after);
	free(w);
}

static void walk_closep(struct walk **w)
{
	walk_close(*w);
}

/* The ancestor's record is the first: that of slot n is at n + 1. */
static struct walk_record *record_of(const struct walk *w, uint32_t index)
{
	return (struct walk_record *)w->records.base + index;
}

static int map_records(struct walk *w)
{
	int err = sensor_memory_open(w->skel->maps.records,
				     (w->slots + 1) * sizeof(struct walk_record), &w->records);

	if (!err)
		sensor_memory_need(&w->records, 0, sizeof(struct walk_record));
	return err;
}

static int walk_open(const struct sensor_ctx *ctx, enum sensor_variant variant, void **ret_private)
{
	_cleanup_(walk_closep) struct walk *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->stat_fd = -1;
	w->slots = ctx->slots;
	w->v1 = ctx->memory_hierarchy != 0;
	w->before = malloc(STAT_TEXT_BYTES);
	w->after = malloc(STAT_TEXT_BYTES);
	if (!w->before || !w->after)
		return -ENOMEM;
	w->skel = walk_bpf__open();
	if (!w->skel)
		return -errno;
	w->skel->rodata->steps_max = ctx->slots + STEPS_SPARE;
	err = sensor_share(ctx, w->skel->obj);
	if (!err)
		err = bpf_map__set_max_entries(w->skel->maps.records, ctx->slots + 1);
	if (!err)
		err = bpf_map__set_max_entries(w->skel->maps.steps, ctx->slots + STEPS_SPARE);
	if (!err)
		err = walk_bpf__load(w->skel);
	if (!err)
		err = map_records(w);
	if (err)
		return err;
	if (w->v1)
		sensor_note(
		    "PSI is on the unified tree, which the memory walk does not visit: read "
		    "it from the files");
	*ret_private = TAKE_PTR(w);
	return 0;
}

/* Points the iterator at another ancestor. Kept as long as the same directory is given. */
static int set_ancestor(struct walk *w, int dirfd, enum bpf_cgroup_iter_order order)
{
	union bpf_iter_link_info info = {
		.cgroup = { .order = order, .cgroup_fd = (uint32_t)dirfd },
	};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	_cleanup_close_ int stat_fd = -1;
	struct bpf_link *link;
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return -errno;
	if (w->link && st.st_dev == w->ancestor_dev && st.st_ino == w->ancestor_ino)
		return 0;
	stat_fd = openat(dirfd, "memory.stat", O_RDONLY | O_CLOEXEC);
	if (stat_fd < 0)
		return -errno;
	link = bpf_program__attach_iter(w->skel->progs.walk, &opts);
	if (!link)
		return -errno;
	bpf_link__destroy(w->link);
	cleanup_close(&w->stat_fd);
	w->link = link;
	w->stat_fd = TAKE_FD(stat_fd);
	w->ancestor_dev = st.st_dev;
	w->ancestor_ino = st.st_ino;
	return 0;
}

static int pass(struct walk *w)
{
	_cleanup_close_ int fd = bpf_iter_create(bpf_link__fd(w->link));
	char nothing[16];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, nothing, sizeof(nothing));
	} while (n > 0 || (n < 0 && errno == EAGAIN));
	return n < 0 ? -errno : 0;
}

static bool is_matching_due(const struct walk *w)
{
	uint64_t n = w->skel->bss->walk_number;

	return w->layout_state == LAYOUT_UNKNOWN && (n < RETRY_EAGER || n % RETRY_LAZY == 0);
}

static void match_layout(struct walk *w)
{
	const struct walk_record *record = record_of(w, 0);
	int err;

	if (record->walk_number != w->skel->bss->walk_number)
		return;
	err = vmstat_match(record, &w->skel->bss->walk_enums, w->before, w->after, &w->layout);
	if (err == -ENOENT && ++w->contradictions >= CONTRADICTIONS_MAX) {
		w->layout_state = LAYOUT_GIVEN_UP;
		log_info(
		    "walk: this kernel keeps vmstats in an order unknown to us: memory.stat is "
		    "read instead");
	} else if (err == 0) {
		w->layout_state = LAYOUT_KNOWN;
		log_debug("walk: vmstats matched: anon=state[%u] pgfault=events[%u]",
			  w->layout.state[VMSTAT_ANON], w->layout.pgfault);
	}
	if (w->layout_state != LAYOUT_UNKNOWN) {
		free(TAKE_PTR(w->before));
		free(TAKE_PTR(w->after));
	}
}

/* The highest cgroup of this hierarchy that is visible from here. */
static int open_highest(int dirfd)
{
	_cleanup_close_ int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat here, above;

	while (fd >= 0 && fstat(fd, &here) == 0) {
		int up = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (up < 0 || fstat(up, &above) < 0 || above.st_dev != here.st_dev ||
		    above.st_ino == here.st_ino || faccessat(up, "memory.stat", R_OK, 0) < 0) {
			cleanup_close(&up);
			break;
		}
		close(fd);
		fd = up;
	}
	return TAKE_FD(fd);
}

/* One pass; while the layout is unknown, with the whole text on both sides of it. */
static int pass_and_match(struct walk *w)
{
	bool matching;
	char byte;
	int err;

	w->skel->bss->walk_number++;
	matching = is_matching_due(w);
	if (matching)
		matching = io_pread_text(w->stat_fd, w->before, STAT_TEXT_BYTES) > 0;
	else if (pread(w->stat_fd, &byte, 1, 0) < 0)
		return -errno;
	err = pass(w);
	if (err)
		return err;
	if (matching && io_pread_text(w->stat_fd, w->after, STAT_TEXT_BYTES) > 0)
		match_layout(w);
	return 0;
}

/*
 * Engines that have not begun show nothing that a layout could be told by, and until it is known
 * their files are read one by one. The hierarchy as a whole has memory of every kind in use.
 */
static void look_above(struct walk *w, int dirfd)
{
	_cleanup_close_ int highest = open_highest(dirfd);

	w->looked_above = true;
	if (highest < 0 || set_ancestor(w, highest, BPF_CGROUP_ITER_SELF_ONLY) < 0)
		return;
	for (int i = 0; i < CONTRADICTIONS_MAX - 1 && w->layout_state == LAYOUT_UNKNOWN; i++)
		pass_and_match(w);
	w->contradictions = 0; /* the root's own peculiarities prove nothing */
}

/* Another LOOK_THROUGH slots' turn to be read whole. */
static void turn(struct walk *w)
{
	uint32_t next = w->skel->bss->look_from + LOOK_THROUGH;

	w->skel->bss->look_from = next < w->slots_used ? next : 0;
}

static int walk_walk(void *private, int memory_root_dirfd)
{
	struct walk *w = private;
	int err;

	if (!w->looked_above)
		look_above(w, memory_root_dirfd);
	err = set_ancestor(w, memory_root_dirfd, BPF_CGROUP_ITER_DESCENDANTS_PRE);
	if (!err)
		err = pass_and_match(w);
	turn(w);
	return err;
}

static uint64_t pages_to_bytes(uint64_t pages)
{
	return pages >= (uint64_t)INT64_MAX / PAGE_BYTES ? BYTES_NO_LIMIT : pages * PAGE_BYTES;
}

static void read_vmstats(const struct walk *w, const struct walk_record *r,
			 struct sensor_reading *reading)
{
	const uint32_t *index = w->layout.state;

	/* A counter may be seen below zero for a moment, between the per-CPU parts of a flush. */
#define STATE(field) ((int64_t)r->vmstate[index[field]] < 0 ? 0 : r->vmstate[index[field]])
	reading->anon_bytes = STATE(VMSTAT_ANON) * PAGE_BYTES;
	reading->file_bytes = STATE(VMSTAT_FILE) * PAGE_BYTES;
	reading->shmem_bytes = STATE(VMSTAT_SHMEM) * PAGE_BYTES;
	reading->file_mapped_bytes = STATE(VMSTAT_MAPPED) * PAGE_BYTES;
	reading->file_dirty_bytes = STATE(VMSTAT_DIRTY) * PAGE_BYTES;
	reading->file_writeback_bytes = STATE(VMSTAT_WRITEBACK) * PAGE_BYTES;
	reading->unevictable_bytes = STATE(VMSTAT_UNEVICTABLE) * PAGE_BYTES;
	reading->kernel_bytes = (w->v1 ? r->kernel_pages : STATE(VMSTAT_KERNEL)) * PAGE_BYTES;
	reading->refault_anon = STATE(VMSTAT_REFAULT_ANON);
	reading->refault_file = STATE(VMSTAT_REFAULT_FILE);
#undef STATE
	reading->pgfault = r->vmevents[w->layout.pgfault];
	reading->pgmajfault = r->vmevents[w->layout.pgmajfault];
	reading->pgscan = vmstat_sum(r, w->layout.pgscan, w->layout.reclaimers);
	reading->pgsteal = vmstat_sum(r, w->layout.pgsteal, w->layout.reclaimers);
	reading->walk_valid |= WALK_VMSTAT;
}

static void walk_read(void *private, uint32_t slot, struct sensor_reading *reading)
{
	const struct walk *w = private;
	const struct walk_record *r = record_of(w, slot + 1);

	__builtin_prefetch(r + 2);
	if (!r->walk_number || r->walk_number != w->skel->bss->walk_number) {
		/* not reached: not below the ancestor, or gone */
		reading->valid &= ~(1u << SENSOR_WALK);
		reading->walk_valid = 0;
		reading->walk_moved = 0;
		return;
	}
	if (r->moved_number == reading->walk_moved &&
	    (w->layout_state != LAYOUT_KNOWN || reading->walk_valid & WALK_VMSTAT))
		return;
	reading->moved |= 1u << SENSOR_WALK;
	reading->walk_moved = r->moved_number;
	reading->usage_bytes = pages_to_bytes(r->usage_pages);
	reading->max_bytes = pages_to_bytes(r->max_pages);
	reading->high_bytes = pages_to_bytes(r->high_pages);
	reading->low_bytes = pages_to_bytes(r->low_pages);
	reading->swap_bytes = pages_to_bytes(r->swap_pages);
	reading->events_high = r->events[1];
	reading->events_max = w->v1 ? r->failcnt : r->events[2];
	reading->events_oom_kill = r->events[4];
	reading->walk_valid = WALK_USAGE | WALK_EVENTS;
	if (!w->v1) {
		reading->psi_memory_some_ns = r->psi_memory_some_ns;
		reading->psi_memory_full_ns = r->psi_memory_full_ns;
		reading->psi_io_some_ns = r->psi_io_some_ns;
		reading->psi_io_full_ns = r->psi_io_full_ns;
		reading->walk_valid |= WALK_PSI;
	}
	if (w->layout_state == LAYOUT_KNOWN)
		read_vmstats(w, r, reading);
}

static void walk_reset(void *private, uint32_t slot)
{
	struct walk *w = private;

	sensor_memory_need(&w->records, (slot + 1) * sizeof(struct walk_record),
			   sizeof(struct walk_record));
	memset(record_of(w, slot + 1), 0, sizeof(struct walk_record));
	w->skel->bss->steps_epoch++;
	if (slot >= w->slots_used)
		w->slots_used = slot + 1;
}

static void walk_remove(void *private, uint32_t slot)
{
	struct walk *w = private;

	w->skel->bss->steps_epoch++;
}

const struct sensor_module sensor_walk = {
	.id = SENSOR_WALK,
	.name = "walk",
	.rungs = { SENSOR_ITER },
	.open = walk_open,
	.close = walk_close,
	.read = walk_read,
	.reset = walk_reset,
	.remove = walk_remove,
	.walk = walk_walk,
};
