// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Major faults and how long they take, at no cost to minor ones.
 *
 * The end of a major fault is the kernel's own software event page-faults-maj, counted when the
 * fault completes: nothing of it is on the path of a minor fault. The start is the first thing a
 * major fault does that is slow anyway:
 *   file pages:  a folio enters the page cache (mm_filemap_add_to_page_cache);
 *   swapped pages:  do_swap_page is entered (fentry), or I/O is queued (block_bio_queue).
 * The two are known to be of one fault because the task's fault counters did not move in between.
 *
 * Accuracy. The count is that of task->maj_flt: pgmajfault of memory.stat, plus faults that slept
 * for a page somebody else was already reading, less those of get_user_pages() (mlock, O_DIRECT).
 * The time misses what comes before the start, about 1 us. A fault whose start was not seen is
 * counted without a time: waits for another's read; faults taken inside a system call (file pages);
 * on the tracepoint rung zswap hits, and zram before 6.3, which is read past the block layer. So
 * sum(latency[]) <= count, and majfault_ns belongs to latency[].
 */
#include "bpf/shared.bpf.h"

struct fault_counters {
	uint64_t count;
	uint64_t ns;
	uint64_t latency[LATENCY_BINS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct fault_counters);
} counters SEC(".maps");

struct fault_start {
	uint64_t time_ns;
	uint64_t faults; /* the task had completed so many by then */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct fault_start);
} starts SEC(".maps");

/* Whether the kernel was entered by an exception of user mode, not by a system call. */
static __always_inline bool is_in_user_fault(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	return (long)regs->orig_ax == -1;
}

static __always_inline int begin(struct task_struct *task)
{
	uint64_t faults = task->min_flt + task->maj_flt;
	struct fault_start *start;

	if (slot_of_task(task) == NO_SLOT)
		return 0;
	start = bpf_task_storage_get(&starts, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	/* Readahead adds many folios; the first one of this fault is the start. */
	if (!start || (start->time_ns && start->faults == faults))
		return 0;
	start->time_ns = bpf_ktime_get_ns();
	start->faults = faults;
	return 0;
}

SEC("tp_btf/mm_filemap_add_to_page_cache")
int BPF_PROG(on_page_added)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return is_in_user_fault(task) ? begin(task) : 0;
}

SEC("fentry/do_swap_page")
int BPF_PROG(on_swap_in_fentry)
{
	return begin(bpf_get_current_task_btf());
}

SEC("tp_btf/block_bio_queue")
int BPF_PROG(on_io_tp)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return is_in_user_fault(task) ? begin(task) : 0;
}

SEC("perf_event")
int on_major_fault(struct bpf_perf_event_data *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	uint32_t slot = slot_of_task(task);
	struct fault_counters *c;
	struct fault_start *start;
	uint64_t ns;

	if (slot == NO_SLOT)
		return 0;
	c = counters_of(counters, slot);
	if (!c)
		return 0;
	count(c->count, 1);
	start = bpf_task_storage_get(&starts, task, NULL, 0);
	if (!start || !start->time_ns)
		return 0;
	/* This fault is in maj_flt already. */
	if (start->faults + 1 == task->min_flt + task->maj_flt) {
		ns = bpf_ktime_get_ns() - start->time_ns;
		count(c->latency[latency_bin(ns) & (LATENCY_BINS - 1)], 1);
		count(c->ns, ns);
	}
	start->time_ns = 0;
	return 0;
}
