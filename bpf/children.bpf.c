// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Cgroups below engines, as they come and go. A new one counts into the slot of its parent from the
 * moment mkdir() returns. A removed one keeps counting until the kernel releases it: its pages may
 * outlive its directory for long.
 */
#include "bpf/shared.bpf.h"

struct children_counters {
	uint64_t made;
	uint64_t removed;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct children_counters);
} counters SEC(".maps");

/* Ids are per hierarchy, and small ones collide between hierarchies. */
static __always_inline bool is_of_memory(struct cgroup *cg)
{
	return cg->root->hierarchy_id == memory_hierarchy;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_mkdir, struct cgroup *cg)
{
	uint64_t id = cg->kn->id, parent_id;
	struct engine_ref *parent, child;
	struct children_counters *c;

	if (!is_of_memory(cg) || !cg->self.parent)
		return 0;
	parent_id = cg->self.parent->cgroup->kn->id;
	parent = bpf_map_lookup_elem(&engines, &parent_id);
	if (!parent)
		return 0;
	child.slot = parent->slot;
	child.depth = parent->depth + 1;
	/* The scan that user space makes when an engine comes may have been here first. */
	if (bpf_map_update_elem(&engines, &id, &child, BPF_NOEXIST) == 0) {
		c = counters_of(counters, child.slot);
		if (c)
			count(c->made, 1);
	}
	report(SENSOR_EVENT_CGROUP_NEW, child.slot, id, 0, 0);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(on_rmdir, struct cgroup *cg)
{
	uint64_t id = cg->kn->id;
	struct children_counters *c;
	struct engine_ref *ref;

	if (!is_of_memory(cg))
		return 0;
	ref = bpf_map_lookup_elem(&engines, &id);
	if (!ref)
		return 0;
	if (ref->depth == 0) {
		report(SENSOR_EVENT_CGROUP_GONE, ref->slot, id, 0, 0);
		return 0;
	}
	c = counters_of(counters, ref->slot);
	if (c)
		count(c->removed, 1);
	return 0;
}

/* The last page and task are gone. The engine's own entry is user space's to remove. */
SEC("tp_btf/cgroup_release")
int BPF_PROG(on_release, struct cgroup *cg)
{
	uint64_t id = cg->kn->id;
	struct engine_ref *ref;

	if (!is_of_memory(cg))
		return 0;
	ref = bpf_map_lookup_elem(&engines, &id);
	if (ref && ref->depth)
		bpf_map_delete_elem(&engines, &id);
	return 0;
}
