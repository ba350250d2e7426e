/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What every sensor's kernel side has in common: the maps that all of them share, and the way from
 * a task or a folio to the engine it belongs to.
 *
 * The loader makes each shared map once and gives every object the same one, so the sizes here are
 * placeholders. An engine is a slot number; the slot is found by the id of the MEMORY cgroup (its
 * kernfs id), which serves v2 and hybrid alike. Children of an engine are in the same hash.
 */
#ifndef BAROSTAT_BPF_SHARED_BPF_H
#define BAROSTAT_BPF_SHARED_BPF_H

#include "bpf/kernel.h"
#include "bpf/wire.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define NO_SLOT 0xffffffffu

/* Set by the loader before load. Copies of each slot's counters: a power of two. */
const volatile uint32_t lanes = 1;
const volatile uint32_t slots = 1;
/* cgroup_root.hierarchy_id of the memory controller: 0 on v2. */
const volatile int memory_hierarchy = 0;

/* memory cgroup id -> engine */
struct engine_ref {
	uint32_t slot;
	uint32_t depth; /* 0: the engine's own cgroup; 1 and more: below it */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, uint64_t);
	__type(value, struct engine_ref);
} engines SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

/* One word per slot: 1 = the next stall onset is reported, then 0. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint64_t);
} armed SEC(".maps");

struct sensor_common {
	uint64_t dropped; /* events that found the ring full */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct sensor_common);
} common SEC(".maps");

static __always_inline uint32_t slot_of_cgroup_id(uint64_t id)
{
	struct engine_ref *ref = bpf_map_lookup_elem(&engines, &id);

	return ref ? ref->slot : NO_SLOT;
}

/* Plain loads: for tp_btf, fentry and iterator programs, and tasks the verifier knows the type of.
 */
static __always_inline uint64_t memory_cgroup_id(struct task_struct *task)
{
	int memory = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);

	return task->cgroups->subsys[memory]->cgroup->kn->id;
}

static __always_inline uint32_t slot_of_task(struct task_struct *task)
{
	return slot_of_cgroup_id(memory_cgroup_id(task));
}

static __always_inline uint32_t slot_of_current(void)
{
	return slot_of_task(bpf_get_current_task_btf());
}

/* For a mem_cgroup that is an argument of a tp_btf or fentry program. */
static __always_inline uint32_t slot_of_memcg(struct mem_cgroup *memcg)
{
	return slot_of_cgroup_id(memcg->css.cgroup->kn->id);
}

/*
 * The engine a folio is charged to. folio->memcg_data is a number to the verifier, so from there on
 * it is probe reads (three): use it where a page is evicted or read in, not on every fault.
 * Low bits of memcg_data are flags; slab and other kernel pages carry something else behind them.
 */
#define MEMCG_DATA_FLAGS 7ul

static __always_inline uint32_t slot_of_folio(struct folio *folio)
{
	unsigned long data = folio->memcg_data;
	struct mem_cgroup *memcg = (struct mem_cgroup *)(data & ~MEMCG_DATA_FLAGS);

	if (!memcg || data & MEMCG_DATA_FLAGS)
		return NO_SLOT;
	return slot_of_cgroup_id(BPF_CORE_READ(memcg, css.cgroup, kn, id));
}

/*
 * Counters are arrays [slot][lane] of structs of uint64_t. A lane is shared by several CPUs on big
 * machines, and a task may be preempted inside a program: always add with count(). Histograms come
 * behind the counters they break down and are added to before them: who saw those stand still need
 * not look at the histogram.
 */
#define counters_of(map, slot)                                                                     \
	({                                                                                         \
		uint32_t key_ = (slot)*lanes + (bpf_get_smp_processor_id() & (lanes - 1));         \
		bpf_map_lookup_elem(&(map), &key_);                                                \
	})

#define count(counter, n) ((void)__sync_fetch_and_add(&(counter), (n)))

/* floor(log2(v)) of a latency, capped to the last bin; 0 for 0. */
static __always_inline uint32_t latency_bin(uint64_t ns)
{
	uint32_t bin = 0;

	if (ns >> 32)
		return LATENCY_BINS - 1;
	if (ns >> 16)
		bin += 16, ns >>= 16;
	if (ns >> 8)
		bin += 8, ns >>= 8;
	if (ns >> 4)
		bin += 4, ns >>= 4;
	if (ns >> 2)
		bin += 2, ns >>= 2;
	return bin + (ns >> 1 ? 1 : 0);
}

static __always_inline void report(uint32_t kind, uint32_t slot, uint64_t cgroup_id, uint32_t pid,
				   uint32_t cause)
{
	struct sensor_event event = {
		.kind = kind,
		.slot = slot,
		.time_ns = bpf_ktime_get_ns(),
		.cgroup_id = cgroup_id,
		.pid = pid,
		.cause = cause,
	};
	uint32_t zero = 0;
	struct sensor_common *c;

	if (bpf_ringbuf_output(&events, &event, sizeof(event), 0) == 0)
		return;
	c = bpf_map_lookup_elem(&common, &zero);
	if (c)
		count(c->dropped, 1);
}

/* One event per arming: call at the onset of a stall of an engine's own task. */
static __always_inline void report_onset(uint32_t slot, uint32_t cause)
{
	uint64_t *armed_word = bpf_map_lookup_elem(&armed, &slot);

	/* Look before the exchange: the line stays shared while nobody waits for an event. */
	if (!armed_word || !*armed_word || !__sync_val_compare_and_swap(armed_word, 1, 0))
		return;
	report(SENSOR_EVENT_STALL_ONSET, slot, memory_cgroup_id(bpf_get_current_task_btf()),
	       bpf_get_current_pid_tgid() >> 32, cause);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#endif
