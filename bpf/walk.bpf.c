// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * All engines' memory counters in one pass over the tree, without a program on any path of theirs:
 * an iterator over the cgroups below their common ancestor, which writes one record per engine into
 * a mapped array. (The iterator's own output would stop at 32 KB.)
 *
 * An engine at rest costs one short look: what is read first, its head, tells whether anything has
 * happened, and the rest of the record stays as it was. The head sees every charge, fault, reclaim
 * and wait; what it does not see (a limit that somebody wrote, cache that became dirty) is found
 * when the engine's turn comes, for LOOK_THROUGH engines of each walk are read whole.
 *
 * What is read where:
 * - page counters are exact at once; vmstats are as fresh as the last flush, which the loader
 *   brings about by reading a byte of the ancestor's memory.stat;
 * - vmstats.state[] and events[] are copied whole: their indexes differ between kernels and are not
 *   in BTF, so user space finds out which is which by comparing with memory.stat;
 * - PSI totals are those of the kernel's last averaging, up to 2 s old.
 */
#include "bpf/shared.bpf.h"
#include "bpf/walk.h"

uint64_t walk_number = 0; /* of the walk under way */
uint32_t look_from = 0; /* slots from here on are read whole */
struct walk_enums walk_enums = {};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct walk_record);
} records SEC(".maps");

/*
 * Whose cgroup came how far into the last walk: the next one comes by in the same order, and a look
 * at a neighbour in memory is cheaper than one into the hash. Void when engines come or go.
 */
struct step {
	uint64_t cgroup_id;
	uint32_t slot; /* NO_SLOT: no engine's own */
	uint32_t epoch;
};

uint32_t steps_epoch = 0;
const volatile uint32_t steps_max = 1;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct step);
} steps SEC(".maps");

enum { PSI_IO_SOME, PSI_IO_FULL, PSI_MEM_SOME, PSI_MEM_FULL };
enum { MEMCG_HIGH = 1, MEMCG_MAX = 2, MEMCG_OOM_KILL = 4 };

/*
 * From a css to its mem_cgroup is a cast the verifier does not follow (and 6.1 has no kfunc for
 * it), so these are probe reads; as few as possible.
 */
static __always_inline void record_counters(struct walk_record *r, struct mem_cgroup *memcg)
{
	long limits[3]; /* low, high, max: neighbours in struct page_counter */
	long usage, memsw;

	bpf_core_read(&usage, sizeof(usage), &memcg->memory.usage.counter);
	bpf_core_read(&memsw, sizeof(memsw), &memcg->memsw.usage.counter);
	r->usage_pages = usage;
	if (memory_hierarchy) {
		r->swap_pages = memsw > usage ? memsw - usage : 0;
		bpf_core_read(&r->failcnt, sizeof(r->failcnt), &memcg->memory.failcnt);
	} else {
		r->swap_pages = memsw; /* one union: on v2 it is the swap counter */
	}
	if (bpf_core_field_offset(memcg->memory.max) - bpf_core_field_offset(memcg->memory.low) ==
	    2 * sizeof(long)) {
		bpf_core_read(limits, sizeof(limits), &memcg->memory.low);
	} else {
		bpf_core_read(&limits[0], sizeof(long), &memcg->memory.low);
		bpf_core_read(&limits[1], sizeof(long), &memcg->memory.high);
		bpf_core_read(&limits[2], sizeof(long), &memcg->memory.max);
	}
	r->low_pages = limits[0];
	r->high_pages = limits[1];
	r->max_pages = limits[2];
	r->kernel_pages = 0;
	if (memory_hierarchy && bpf_core_field_exists(memcg->kmem))
		bpf_core_read(&r->kernel_pages, sizeof(long), &memcg->kmem.usage.counter);
	bpf_core_read(&r->events, sizeof(r->events), &memcg->memory_events);
}

static __always_inline void record_vmstats(struct walk_record *r, struct mem_cgroup *memcg)
{
	struct memcg_vmstats *vmstats = BPF_CORE_READ(memcg, vmstats);
	uint32_t state_bytes = bpf_core_field_size(vmstats->state);
	uint32_t event_bytes = bpf_core_field_size(vmstats->events);

	if (state_bytes > sizeof(r->vmstate) || event_bytes > sizeof(r->vmevents))
		return;
	r->vmstate_count = state_bytes / sizeof(long);
	r->vmevent_count = event_bytes / sizeof(long);
	bpf_core_read(r->vmstate, state_bytes, &vmstats->state);
	bpf_core_read(r->vmevents, event_bytes, &vmstats->events);
}

static __always_inline void record_psi(struct walk_record *r, struct psi_group *psi)
{
	if (!psi)
		return;
	r->psi_memory_some_ns = psi->total[PSI_MEM_SOME];
	r->psi_memory_full_ns = psi->total[PSI_MEM_FULL];
	r->psi_io_some_ns = psi->total[PSI_IO_SOME];
	r->psi_io_full_ns = psi->total[PSI_IO_FULL];
}

/* The events that faults and reclaim count are among the first, on every kernel. */
#define HEAD_EVENTS 16

/*
 * A sum that moves when anything happens to the engine: all of its parts but usage only grow, so
 * that no two of them make up for each other, and usage moves by charges, which faults and reads
 * bring.
 */
static __always_inline uint64_t head_of(struct mem_cgroup *memcg, struct psi_group *psi)
{
	struct memcg_vmstats *vmstats = BPF_CORE_READ(memcg, vmstats);
	uint32_t bytes = bpf_core_field_size(vmstats->events);
	uint64_t events[HEAD_EVENTS] = {}, head;
	long usage;

	bpf_core_read(&usage, sizeof(usage), &memcg->memory.usage.counter);
	bpf_core_read(events, bytes < sizeof(events) ? bytes : sizeof(events), &vmstats->events);
	head = (uint64_t)usage << 32;
	for (int i = 0; i < HEAD_EVENTS; i++)
		head += events[i];
	if (psi)
		head += psi->total[PSI_MEM_SOME] + psi->total[PSI_IO_SOME];
	return head;
}

static __noinline int record(struct cgroup *cg, uint32_t index)
{
	int memory = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	struct cgroup_subsys_state *css = cg->subsys[memory];
	struct walk_record *r = bpf_map_lookup_elem(&records, &index);
	uint64_t head;

	if (!css || !r)
		return 0;
	head = head_of((struct mem_cgroup *)css, cg->psi);
	if (head != r->head || !r->moved_number || index - 1 - look_from < LOOK_THROUGH ||
	    index == 0) {
		record_counters(r, (struct mem_cgroup *)css);
		record_vmstats(r, (struct mem_cgroup *)css);
		record_psi(r, cg->psi);
		r->head = head;
		r->moved_number = walk_number;
	}
	r->walk_number = walk_number;
	return 0;
}

/* The slot whose own cgroup this is, the walk's seq-th. */
static __always_inline uint32_t slot_of_step(uint64_t seq, uint64_t id)
{
	uint32_t index = seq < steps_max ? seq : steps_max - 1;
	struct step *step = bpf_map_lookup_elem(&steps, &index);
	struct engine_ref *ref;
	uint32_t slot;

	if (step && step->cgroup_id == id && step->epoch == steps_epoch)
		return step->slot;
	ref = bpf_map_lookup_elem(&engines, &id);
	slot = ref && ref->depth == 0 ? ref->slot : NO_SLOT;
	if (step) {
		step->cgroup_id = id;
		step->slot = slot;
		step->epoch = steps_epoch;
	}
	return slot;
}

#define NODE_STAT(item) bpf_core_enum_value(enum node_stat_item, item)

static __always_inline void note_enums(void)
{
	walk_enums.states = bpf_core_enum_value(enum memcg_stat_item, MEMCG_NR_STAT);
	walk_enums.anon = NODE_STAT(NR_ANON_MAPPED);
	walk_enums.file = NODE_STAT(NR_FILE_PAGES);
	walk_enums.shmem = NODE_STAT(NR_SHMEM);
	walk_enums.mapped = NODE_STAT(NR_FILE_MAPPED);
	walk_enums.dirty = NODE_STAT(NR_FILE_DIRTY);
	walk_enums.writeback = NODE_STAT(NR_WRITEBACK);
	walk_enums.unevictable = NODE_STAT(NR_UNEVICTABLE);
	walk_enums.refault_anon = NODE_STAT(WORKINGSET_REFAULT_ANON);
	walk_enums.refault_file = NODE_STAT(WORKINGSET_REFAULT_FILE);
	walk_enums.kernel = bpf_core_enum_value(enum memcg_stat_item, MEMCG_KMEM);
	walk_enums.reclaimers = 2 +
				bpf_core_enum_value_exists(enum vm_event_item, PGSCAN_KHUGEPAGED) +
				bpf_core_enum_value_exists(enum vm_event_item, PGSCAN_PROACTIVE);
}

SEC("iter/cgroup")
int BPF_PROG(walk, struct bpf_iter_meta *meta, struct cgroup *cg)
{
	uint32_t slot;

	if (!cg)
		return 0;
	if (meta->seq_num == 0) {
		note_enums();
		record(cg, 0); /* the ancestor's record comes before those of the engines */
	}
	slot = slot_of_step(meta->seq_num, cg->kn->id);
	if (slot != NO_SLOT)
		record(cg, slot + 1);
	return 0;
}
