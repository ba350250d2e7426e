// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * OOM victims, by the cgroup the victim is in: once per process that the OOM killer kills, as
 * memory.events counts oom_kill. mark_victim also fires for a task that was exiting anyway and is
 * only let through to memory reserves; the fentry variant does not count those.
 */
#include "bpf/shared.bpf.h"

struct oom_counters {
	uint64_t kills;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct oom_counters);
} counters SEC(".maps");

static __always_inline int victim(struct task_struct *task)
{
	uint64_t id = memory_cgroup_id(task);
	uint32_t slot = slot_of_cgroup_id(id);
	struct oom_counters *c;

	if (slot == NO_SLOT)
		return 0;
	c = counters_of(counters, slot);
	if (c)
		count(c->kills, 1);
	report(SENSOR_EVENT_OOM_VICTIM, slot, id, task->tgid, 0);
	return 0;
}

SEC("fentry/__oom_kill_process")
int BPF_PROG(victim_fentry, struct task_struct *task)
{
	return victim(task);
}

SEC("tp_btf/mark_victim")
int BPF_PROG(victim_tp, struct task_struct *task)
{
	return victim(task);
}
