// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Reclaim: how often an engine's own tasks have to reclaim, and how many of the engine's pages were
 * scanned and taken, by whomever (its own tasks, kswapd, a limit write from outside).
 *
 * The tracepoint that has the page numbers does not say whose list was shrunk. The fentry variant
 * learns that from the enclosing function's lruvec. Without fentry the loader takes the kernel's
 * own pgscan and pgsteal from the walk, which are the same facts.
 */
#include "bpf/shared.bpf.h"

struct reclaim_counters {
	uint64_t scanned, stolen; /* pages */
	uint64_t direct;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct reclaim_counters);
} counters SEC(".maps");

/* Whose list this task is shrinking: slot + 1; 0 none. Tasks that reclaim are few. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, uint32_t);
} shrinking SEC(".maps");

static __always_inline int direct_reclaim(void)
{
	uint32_t slot = slot_of_current();
	struct reclaim_counters *c;

	if (slot == NO_SLOT)
		return 0;
	c = counters_of(counters, slot);
	if (c)
		count(c->direct, 1);
	return 0;
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int BPF_PROG(on_limit_reclaim)
{
	return direct_reclaim();
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int BPF_PROG(on_direct_reclaim)
{
	return direct_reclaim();
}

static __always_inline uint32_t slot_of_lruvec(struct lruvec *lruvec)
{
	struct mem_cgroup_per_node *node =
	    (void *)lruvec - bpf_core_field_offset(struct mem_cgroup_per_node, lruvec);

	return slot_of_cgroup_id(BPF_CORE_READ(node, memcg, css.cgroup, kn, id));
}

static __always_inline int begin_shrinking(struct lruvec *lruvec)
{
	uint32_t slot = slot_of_lruvec(lruvec);
	struct task_struct *task = bpf_get_current_task_btf();
	uint32_t *mark;

	if (slot == NO_SLOT)
		return 0;
	mark = bpf_task_storage_get(&shrinking, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (mark)
		*mark = slot + 1;
	return 0;
}

static __always_inline int end_shrinking(void)
{
	uint32_t *mark = bpf_task_storage_get(&shrinking, bpf_get_current_task_btf(), NULL, 0);

	if (mark)
		*mark = 0;
	return 0;
}

SEC("fentry/shrink_lruvec")
int BPF_PROG(begin_lruvec_fentry, struct lruvec *lruvec)
{
	return begin_shrinking(lruvec);
}

SEC("fexit/shrink_lruvec")
int BPF_PROG(end_lruvec_fentry)
{
	return end_shrinking();
}

/* MGLRU under global pressure comes this way instead. */
SEC("fentry/shrink_one")
int BPF_PROG(begin_one_fentry, struct lruvec *lruvec)
{
	return begin_shrinking(lruvec);
}

SEC("fexit/shrink_one")
int BPF_PROG(end_one_fentry)
{
	return end_shrinking();
}

SEC("tp_btf/mm_vmscan_lru_shrink_inactive")
int BPF_PROG(on_shrunk_fentry, int nid, unsigned long scanned, unsigned long reclaimed)
{
	uint32_t *mark = bpf_task_storage_get(&shrinking, bpf_get_current_task_btf(), NULL, 0);
	struct reclaim_counters *c;

	if (!mark || !*mark)
		return 0;
	c = counters_of(counters, *mark - 1);
	if (!c)
		return 0;
	count(c->scanned, scanned);
	count(c->stolen, reclaimed);
	return 0;
}
