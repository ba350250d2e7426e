/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "user/common/cleanup.h"
#include "user/common/log.h"
#include "user/daemon/sensors_bpf_engines.h"

#define CGROUPS_PER_SLOT 64u
#define CGROUPS_MIN      4096u
#define CGROUPS_MAX      (1u << 20)
#define REMOVE_BATCH     512u /* more than ever share a bucket of the hash */
#define SCAN_DEPTH_MAX   32 /* an open descriptor per level */

struct engine_ref { /* as in bpf/shared.bpf.h */
	uint32_t slot;
	uint32_t depth;
};

struct engine_slot {
	uint64_t cgroup_id; /* of the engine; 0: the slot is free */
	uint32_t scanned; /* cgroups found below it when it came */
};

struct engine_set {
	int fd;
	uint32_t slots;
	struct engine_slot slot[];
};

int engine_set_open(uint32_t slots, struct engine_set **ret)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	uint64_t entries = (uint64_t)slots * CGROUPS_PER_SLOT;
	_cleanup_free_ struct engine_set *set =
	    calloc(1, sizeof(*set) + slots * sizeof(set->slot[0]));

	if (!set)
		return -ENOMEM;
	entries = entries < CGROUPS_MIN   ? CGROUPS_MIN
		  : entries > CGROUPS_MAX ? CGROUPS_MAX
					  : entries;
	set->slots = slots;
	set->fd = bpf_map_create(BPF_MAP_TYPE_HASH, "baro_engines", sizeof(uint64_t),
				 sizeof(struct engine_ref), (uint32_t)entries, &opts);
	if (set->fd < 0)
		return -errno;
	*ret = TAKE_PTR(set);
	return 0;
}

void engine_set_close(struct engine_set *set)
{
	if (!set)
		return;
	close(set->fd);
	free(set);
}

int engine_set_fd(const struct engine_set *set)
{
	return set->fd;
}

/*
 * Adds what is below dirfd. A cgroup is entered into the hash before its directory is read: one
 * made below it in the meantime is seen by the kernel side, by this scan, or by both, never by
 * none.
 */
static int scan(struct engine_set *set, uint32_t slot, int dirfd, uint32_t depth)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(dir))) {
		struct engine_ref ref = { .slot = slot, .depth = depth };
		uint64_t id = entry->d_ino; /* kernfs: the cgroup's id */
		_cleanup_close_ int child = -1;
		int err;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (bpf_map_update_elem(set->fd, &id, &ref, BPF_NOEXIST) == 0)
			set->slot[slot].scanned++;
		else if (errno != EEXIST)
			log_limited(LOG_LEVEL_WARN,
				    "cgroup %s: not counted into its engine: %m, ignoring",
				    entry->d_name);
		if (depth >= SCAN_DEPTH_MAX)
			continue;
		child = openat(fd, entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (child < 0)
			continue; /* removed since */
		err = scan(set, slot, child, depth + 1);
		if (err)
			return err;
	}
	return 0;
}

int engine_set_add(struct engine_set *set, uint32_t slot, int dirfd, uint64_t cgroup_id)
{
	struct engine_ref ref = { .slot = slot, .depth = 0 };

	/* BPF_NOEXIST: one cgroup cannot be two engines, nor part of another one. */
	if (bpf_map_update_elem(set->fd, &cgroup_id, &ref, BPF_NOEXIST) < 0)
		return -errno;
	set->slot[slot] = (struct engine_slot){ .cgroup_id = cgroup_id };
	return scan(set, slot, dirfd, 1);
}

/*
 * By batches of a few system calls: there may be thousands of engines, with children. The engine's
 * own entry goes first, so that the kernel side takes no new child in while this looks for them.
 */
int engine_set_remove(struct engine_set *set, uint32_t slot)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	struct engine_ref refs[REMOVE_BATCH];
	uint64_t ids[REMOVE_BATCH];
	uint32_t count, cursor = 0;
	bool first = true;
	int err;

	if (!set->slot[slot].cgroup_id)
		return 0;
	bpf_map_delete_elem(set->fd, &set->slot[slot].cgroup_id);
	set->slot[slot] = (struct engine_slot){ 0 };
	do {
		count = REMOVE_BATCH;
		err = bpf_map_lookup_batch(set->fd, first ? NULL : &cursor, &cursor, ids, refs,
					   &count, &opts) < 0
			  ? -errno
			  : 0;
		first = false;
		if (err && err != -ENOENT)
			return err;
		for (uint32_t i = 0; i < count; i++) {
			if (refs[i].slot == slot)
				bpf_map_delete_elem(set->fd, &ids[i]);
		}
	} while (!err);
	return 0;
}

uint32_t engine_set_scanned(const struct engine_set *set, uint32_t slot)
{
	return set->slot[slot].scanned;
}
