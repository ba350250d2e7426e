/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The stall ledger: how long tasks of an engine waited for memory, by cause.
 *
 *  direct reclaim   the task freed pages itself, for a charge above a limit or on an empty host
 *  high throttle    the kernel put it to sleep above memory.high
 *  refault          it waited for a page of a file which had been evicted (bpf/returning.bpf.h
 * knows) swap-in          it waited for anonymous memory
 *
 * A stall within a stall counts once, for the inner cause: reclaim within a swap-in is reclaim.
 * Reading a page for the first time is no stall of memory, and is not counted.
 *
 * Nothing here runs on a minor fault. With fentry nothing runs on a context switch either; with
 * tracepoints a switch costs two tests of two bits.
 */
#include "bpf/returning.bpf.h"
#include "bpf/stalls.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct stall_counters);
} stall_counters SEC(".maps");

/* ---- what a task is waiting for -------------------------------------------------------------- */

/*
 * Direct mapped by pid: no lock, no allocation, nothing to fail. Of two tasks that share an entry
 * and wait at once the first goes uncounted.
 */
#define TASKS 8192

struct task_stall {
	uint32_t pid;
	uint32_t slot;
	uint64_t reclaim_since_ns;
	uint64_t wait_since_ns;
	uint64_t swap_since_ns;
	uint64_t inner_ns; /* counted for another cause since swap_since_ns */
	uint32_t cause; /* of the wait */
	uint32_t weight_shift;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TASKS);
	__type(key, uint32_t);
	__type(value, struct task_stall);
} tasks SEC(".maps");

static __always_inline struct task_stall *entry_of(uint32_t pid)
{
	uint32_t key = pid & (TASKS - 1);

	return bpf_map_lookup_elem(&tasks, &key);
}

/* NULL: nothing is known of the task. */
static __always_inline struct task_stall *stall_of(uint32_t pid)
{
	struct task_stall *stall = entry_of(pid);

	return stall && stall->pid == pid ? stall : NULL;
}

static __always_inline struct task_stall *begin_stall(uint32_t pid, uint32_t slot)
{
	struct task_stall *stall = entry_of(pid);

	if (!stall)
		return NULL;
	if (stall->pid != pid) {
		stall->pid = pid;
		stall->reclaim_since_ns = 0;
		stall->wait_since_ns = 0;
		stall->swap_since_ns = 0;
	}
	stall->slot = slot;
	return stall;
}

static __always_inline void book(uint32_t slot, uint32_t cause, uint64_t ns, uint32_t weight_shift)
{
	struct stall_counters *c = bpf_map_lookup_elem(&stall_counters, &slot);
	uint64_t weight = 1ull << (weight_shift & RETURNING_WEIGHT);

	if (!c || cause >= STALL_CAUSES)
		return;
	count(c->stall_latency[cause][latency_bin(ns) & (LATENCY_BINS - 1)], weight);
	count(c->stall_ns[cause], ns * weight);
	count(c->stall_count[cause], weight);
}

static __always_inline uint32_t current_pid(void)
{
	return (uint32_t)bpf_get_current_pid_tgid();
}

/* ---- direct reclaim -------------------------------------------------------------------------- */

static __always_inline void reclaim_begins(bool at_own_limit)
{
	uint32_t slot = slot_of_current();
	struct task_stall *stall;

	if (slot == NO_SLOT)
		return;
	stall = begin_stall(current_pid(), slot);
	if (stall)
		stall->reclaim_since_ns = bpf_ktime_get_ns();
	if (at_own_limit)
		report_onset(slot, STALL_DIRECT_RECLAIM);
}

static __always_inline void reclaim_ends(void)
{
	struct task_stall *stall = stall_of(current_pid());
	uint64_t ns;

	if (!stall || !stall->reclaim_since_ns)
		return;
	ns = bpf_ktime_get_ns() - stall->reclaim_since_ns;
	stall->reclaim_since_ns = 0;
	stall->inner_ns += ns;
	book(stall->slot, STALL_DIRECT_RECLAIM, ns, 0);
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int BPF_PROG(memcg_reclaim_begins)
{
	reclaim_begins(true);
	return 0;
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_end")
int BPF_PROG(memcg_reclaim_ends)
{
	reclaim_ends();
	return 0;
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int BPF_PROG(direct_reclaim_begins)
{
	reclaim_begins(false);
	return 0;
}

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int BPF_PROG(direct_reclaim_ends)
{
	reclaim_ends();
	return 0;
}

/* ---- waiting for a page
 * -------------------------------------------------------------------------- */

/*
 * Which page? No hook of the kernel says it (folio_wait_bit_common cannot be attached to), but the
 * waiting task has it on its stack, in a struct wait_page_queue; and as the calls between that
 * function and this program are always the same, it is always at the same depth above the
 * program's context. The depth is found once by looking for it, then known.
 */
struct stack_words {
	uint64_t folio;
	uint64_t bit_nr; /* the low half */
	uint64_t wait_flags; /* the low half */
	uint64_t wait_private; /* the waiting task */
	uint64_t wait_func; /* kernel text */
	uint64_t wait_next, wait_prev; /* it is queued */
};

#define WORDS       (sizeof(struct stack_words) / sizeof(uint64_t))
#define STACK_WORDS 160 /* how far to look */

struct stack_copy {
	uint64_t word[STACK_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct stack_copy);
} stack_copy SEC(".maps");

static uint64_t known_depth; /* bytes; 0: not yet */

static __always_inline bool layout_is_known(void)
{
	return bpf_core_field_offset(struct wait_page_queue, folio) == 0 &&
	       bpf_core_field_offset(struct wait_page_queue, bit_nr) == 8 &&
	       bpf_core_field_offset(struct wait_page_queue, wait.private) == 24 &&
	       bpf_core_field_offset(struct wait_page_queue, wait.func) == 32;
}

/* A place on the task's kernel stack, as the plain number the verifier lets one calculate with. */
static __always_inline uint64_t stack_at(void *ctx)
{
	uint64_t number = 0;
	void *volatile pointer = ctx;

	bpf_probe_read_kernel(&number, sizeof(number), (const void *)&pointer);
	return number;
}

static __always_inline bool is_kernel_pointer(uint64_t p)
{
	return p >> 47 == 0x1ffff;
}

static __always_inline bool looks_right(const struct stack_words *w, uint64_t task)
{
	return w->wait_private == task && (uint32_t)w->bit_nr < 64 &&
	       (uint32_t)w->wait_flags < 64 && is_kernel_pointer(w->folio) && !(w->folio & 63) &&
	       w->wait_func >= 0xffffffff80000000ull && is_kernel_pointer(w->wait_next) &&
	       is_kernel_pointer(w->wait_prev);
}

static __always_inline bool look_at_depth(uint64_t ctx, uint64_t depth, uint64_t task,
					  struct stack_words *ret)
{
	return !bpf_probe_read_kernel(ret, sizeof(*ret), (void *)(ctx + depth)) &&
	       looks_right(ret, task);
}

static __always_inline uint64_t search_stack(uint64_t ctx, uint64_t task)
{
	uint32_t zero = 0;
	struct stack_copy *copy = bpf_map_lookup_elem(&stack_copy, &zero);

	if (!copy || bpf_probe_read_kernel(copy, sizeof(*copy), (void *)ctx))
		return 0;
	for (uint32_t i = 0; i < STACK_WORDS - WORDS; i++) {
		if (looks_right((struct stack_words *)&copy->word[i], task))
			return i * sizeof(uint64_t);
	}
	return 0;
}

/*
 * -> the folio the current task is about to wait for, as a number; 0 when it waits for another
 * thing (other input or output). Once the depth is known only few such waits are searched, in case
 * there are two ways down.
 */
static __always_inline uint64_t awaited_folio(uint64_t ctx, struct task_struct *task)
{
	uint64_t depth = known_depth;
	struct stack_words words;

	if (!layout_is_known())
		return 0;
	if (!depth || !look_at_depth(ctx, depth, (uint64_t)task, &words)) {
		if (depth && bpf_get_prandom_u32() & 15)
			return 0;
		depth = search_stack(ctx, (uint64_t)task);
		if (!depth || !look_at_depth(ctx, depth, (uint64_t)task, &words))
			return 0;
		known_depth = depth;
	}
	return (uint32_t)words.bit_nr == 0 ? words.folio
					   : 0; /* PG_locked: waits for it to be read */
}

static __always_inline uint64_t name_of_folio_number(struct folio *folio)
{
	struct inode *inode = BPF_CORE_READ(folio, mapping, host);

	return page_name(file_name(BPF_CORE_READ(inode, i_sb, s_dev), BPF_CORE_READ(inode, i_ino),
				   BPF_CORE_READ(inode, i_generation)),
			 BPF_CORE_READ(folio, index));
}

static __always_inline bool is_in_memstall(struct task_struct *task)
{
	return bpf_core_field_exists(task->in_memstall) &&
	       BPF_CORE_READ_BITFIELD(task, in_memstall);
}

/* -> cause of waiting for this folio; STALL_CAUSES when memory is not to blame. */
static __always_inline uint32_t blame(struct folio *folio, struct task_struct *task,
				      uint32_t *ret_weight_shift)
{
	unsigned long swap = page_flag(PG_swapbacked) | page_flag(PG_swapcache);
	unsigned long flags = 0;

	*ret_weight_shift = 0;
	bpf_probe_read_kernel(&flags, sizeof(flags), folio); /* first of the struct, everywhere */
	if (flags & page_flag(PG_uptodate))
		return STALL_CAUSES; /* locked for another reason */
	if ((flags & swap) == swap)
		return STALL_SWAP_IN;
	/* The kernel's own word for a page that was in the working set when it was evicted. */
	if (is_in_memstall(task))
		return STALL_REFAULT;
	if (is_returning(name_of_folio_number(folio), ret_weight_shift))
		return STALL_REFAULT;
	return STALL_CAUSES;
}

static __always_inline void wait_begins(void *ctx, struct task_struct *task)
{
	uint32_t slot, cause, weight_shift, pid = task->pid;
	struct task_stall *stall;
	uint64_t folio;

	if (task->reclaim_state)
		return; /* the wait is reclaim's */
	folio = awaited_folio(stack_at(ctx), task);
	if (!folio)
		return;
	cause = blame((struct folio *)folio, task, &weight_shift);
	if (cause == STALL_CAUSES)
		return;
	slot = slot_of_task(task);
	if (slot == NO_SLOT)
		return;
	stall = begin_stall(pid, slot);
	if (!stall || stall->swap_since_ns)
		return; /* the wait is part of the swap-in */
	stall->cause = cause;
	stall->weight_shift = weight_shift;
	stall->wait_since_ns = bpf_ktime_get_ns();
}

static __always_inline void throttle_begins(struct task_struct *task)
{
	uint32_t slot = slot_of_task(task);
	struct task_stall *stall;

	if (slot == NO_SLOT)
		return;
	stall = begin_stall(task->pid, slot);
	if (!stall)
		return;
	stall->cause = STALL_HIGH_THROTTLE;
	stall->weight_shift = 0;
	stall->wait_since_ns = bpf_ktime_get_ns();
	report_onset(slot, STALL_HIGH_THROTTLE);
}

static __always_inline void wait_ends(uint32_t pid)
{
	struct task_stall *stall = stall_of(pid);
	uint64_t ns;

	if (!stall || !stall->wait_since_ns)
		return;
	ns = bpf_ktime_get_ns() - stall->wait_since_ns;
	stall->wait_since_ns = 0;
	stall->inner_ns += ns;
	book(stall->slot, stall->cause, ns, stall->weight_shift);
}

/* A sleep of a task in memstall that neither reclaims nor waits for input: memory.high. */
static __always_inline bool is_throttled(struct task_struct *task)
{
	return is_in_memstall(task) && !task->reclaim_state;
}

SEC("fentry/io_schedule")
int BPF_PROG(wait_begins_fentry)
{
	wait_begins(ctx, bpf_get_current_task_btf());
	return 0;
}

SEC("fexit/io_schedule")
int BPF_PROG(wait_ends_fentry)
{
	wait_ends(current_pid());
	return 0;
}

SEC("fentry/schedule_timeout_killable")
int BPF_PROG(throttle_begins_fentry)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (is_throttled(task))
		throttle_begins(task);
	return 0;
}

SEC("fexit/schedule_timeout_killable")
int BPF_PROG(throttle_ends_fentry)
{
	wait_ends(current_pid());
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switch_tp, bool preempted, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	/* io_schedule() has not cleared in_iowait yet when its task runs again. */
	if (BPF_CORE_READ_BITFIELD(next, in_iowait) || is_in_memstall(next))
		wait_ends(next->pid);
	if (preempted || !prev_state)
		return 0;
	if (BPF_CORE_READ_BITFIELD(prev, in_iowait))
		wait_begins(ctx, prev);
	else if (is_throttled(prev))
		throttle_begins(prev);
	return 0;
}

/* ---- swap-in
 * -------------------------------------------------------------------------------------- */

/*
 * With fentry the whole of a swap fault is timed, which counts compressed memory too: zram does its
 * work in the faulting task and nobody waits. With tracepoints a wait for a page of the swap cache
 * is a swap-in, so a disk is seen and zram is not.
 */
SEC("fentry/do_swap_page")
int BPF_PROG(swap_begins_fentry)
{
	uint32_t slot = slot_of_current();
	struct task_stall *stall;

	if (slot == NO_SLOT)
		return 0;
	stall = begin_stall(current_pid(), slot);
	if (!stall)
		return 0;
	stall->inner_ns = 0;
	stall->swap_since_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("fexit/do_swap_page")
int BPF_PROG(swap_ends_fentry, struct vm_fault *vmf, unsigned int ret)
{
	struct task_stall *stall = stall_of(current_pid());
	uint64_t ns;

	if (!stall || !stall->swap_since_ns)
		return 0;
	ns = bpf_ktime_get_ns() - stall->swap_since_ns;
	stall->swap_since_ns = 0;
	if (ret & bpf_core_enum_value(enum vm_fault_reason, VM_FAULT_MAJOR))
		book(stall->slot, STALL_SWAP_IN, ns > stall->inner_ns ? ns - stall->inner_ns : 0,
		     0);
	return 0;
}
