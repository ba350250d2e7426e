/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Refaults and how far away they were. Every page an engine loses moves the engine's eviction
 * clock; a sampled page leaves a ghost with the clock's time. When the page comes back, the clock
 * tells how many other pages went in between: that many more pages of memory would have kept it.
 *
 * A ghost is four words in a cache line shared by four ghosts: one line per eviction or refault,
 * no lock, no allocation, and a bound that holds. (An LRU hash takes two locks and five lines, and
 * throws away the oldest of a batch on some CPU rather than the oldest.) When a set is full the
 * oldest of the four goes, whosever it is.
 */
#include "bpf/refaults.h"
#include "bpf/returning.bpf.h"

/* Set before load: 1 in 2^sample_shift pages is followed; the number of sets is a power of two. */
const volatile uint32_t sample_shift = 0;
const volatile uint32_t ghost_sets = 1;

#define WAYS 4

/* In a stamp: the eviction clock, and below it the time of leaving in units of 16 jiffies. */
#define STAMP_AGE_BITS 20
#define STAMP_AGE      ((1ull << STAMP_AGE_BITS) - 1)

struct ghost {
	uint64_t tag;
	uint64_t stamp;
};

struct ghost_set {
	struct ghost way[WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* so that it begins on a page, and a set is one line */
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct ghost_set);
} ghosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct refault_counters);
} refault_counters SEC(".maps");

/*
 * Reclaim takes pages of one cgroup by the dozen, and the way from a page to its slot is three
 * probe reads and a hash. So the last answer is kept per CPU, for two jiffies: a cgroup that is
 * freed and another made at the same address in that time would be a page or two in a wrong slot.
 */
struct last_slot {
	uint64_t memcg_and_slot; /* one word, so that a preempted program sees no mixture */
	uint64_t jiffies;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct last_slot);
} last_slot SEC(".maps");

#define LAST_SLOT_BITS 20

static __always_inline uint32_t cached_slot_of_folio(struct folio *folio)
{
	uint64_t memcg = (folio->memcg_data >> 6) << LAST_SLOT_BITS;
	uint32_t zero = 0, none = (1u << LAST_SLOT_BITS) - 1, slot;
	struct last_slot *last = bpf_map_lookup_elem(&last_slot, &zero);
	uint64_t now = bpf_jiffies64();

	if (!last)
		return NO_SLOT;
	slot = last->memcg_and_slot & none;
	if ((last->memcg_and_slot & ~(uint64_t)none) == memcg && now - last->jiffies < 2)
		return slot == none ? NO_SLOT : slot;
	slot = slot_of_folio(folio);
	last->memcg_and_slot = memcg | (slot & none);
	last->jiffies = now;
	return slot;
}

static __always_inline bool is_swapcache(struct folio *folio)
{
	unsigned long both = page_flag(PG_swapbacked) | page_flag(PG_swapcache);

	return (flags_of(folio) & both) == both;
}

/* No file has this name; the index is then the swap entry. */
#define SWAP_NAME 0x5377617053776170ull

static __always_inline uint64_t name_of(struct folio *folio, uint64_t *ret_index)
{
	if (is_swapcache(folio)) {
		*ret_index = 0; /* a pointer to the verifier, in some kernels: no plain load */
		if (bpf_core_field_exists(folio->swap))
			bpf_probe_read_kernel(ret_index, sizeof(long), &folio->swap);
		else
			bpf_probe_read_kernel(ret_index, sizeof(long), &folio->private);
		return SWAP_NAME;
	}
	*ret_index = folio->index;
	return inode_name(folio->mapping->host);
}

/*
 * A page that comes from a fast device is read into a folio which is not in the swap cache and does
 * not know its entry yet. The fault that brings it does: kept here by pid while it lasts.
 */
#define SWAPPING_TASKS 8192

struct swap_fault {
	uint64_t pid;
	uint64_t entry; /* as folio->swap has it */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SWAPPING_TASKS);
	__type(key, uint32_t);
	__type(value, struct swap_fault);
} swap_faults SEC(".maps");

static __always_inline struct swap_fault *swap_fault_of(uint32_t pid)
{
	uint32_t key = pid & (SWAPPING_TASKS - 1);

	return bpf_map_lookup_elem(&swap_faults, &key);
}

/* Type in the upper 5 bits of the pte and the offset inverted; in the entry at 58 and plain. */
static __always_inline uint64_t swap_entry_of_pte(uint64_t pte)
{
	return (pte >> 59) << 58 | (~pte << 5) >> 14;
}

/* A large folio begins at a multiple of its size. 0: not known. */
static __always_inline uint64_t faulting_swap_entry(uint32_t pages)
{
	uint32_t pid = bpf_get_current_pid_tgid();
	struct swap_fault *fault = swap_fault_of(pid);

	return fault && fault->pid == pid ? fault->entry & ~(uint64_t)(pages - 1) : 0;
}

static __always_inline bool is_sampled(uint64_t page)
{
	return !(page & ((1ull << sample_shift) - 1));
}

static __always_inline struct ghost_set *set_of(uint64_t page)
{
	uint32_t key = (page >> sample_shift) & (ghost_sets - 1);

	return bpf_map_lookup_elem(&ghosts, &key);
}

/* One pass over the pages of a folio; most have one. */
struct pass {
	uint64_t name; /* of the file */
	uint64_t index; /* of the first page */
	uint64_t clock;
	uint32_t slot;
	bool known_refault; /* the kernel had a shadow entry: this is not a first read */
	bool overwritten; /* not read at all */
	bool first_is_back;
};

static __always_inline struct refault_counters *counters_of_slot(uint32_t slot)
{
	return bpf_map_lookup_elem(&refault_counters, &slot);
}

static __always_inline void leave_ghost(struct pass *pass, uint64_t page)
{
	struct refault_counters *counters = counters_of_slot(pass->slot);
	struct ghost_set *set = set_of(page);
	uint64_t now = (bpf_jiffies64() >> 4) & STAMP_AGE, oldest = 0, tag;
	uint32_t victim = 0;

	if (!set || !counters)
		return;
	tag = tag_of(page, pass->slot, counters->generation);
	for (uint32_t i = 0; i < WAYS; i++) {
		uint64_t age = 1 + ((now - set->way[i].stamp) & STAMP_AGE);

		if (!set->way[i].tag)
			age = STAMP_AGE + 2;
		if (set->way[i].tag == tag)
			age = STAMP_AGE + 3;
		if (age > oldest) {
			oldest = age;
			victim = i;
		}
	}
	/* The tag last: who reads in between finds nothing rather than a wrong clock. */
	set->way[victim & (WAYS - 1)].tag = 0;
	set->way[victim & (WAYS - 1)].stamp = pass->clock << STAMP_AGE_BITS | now;
	set->way[victim & (WAYS - 1)].tag = tag;
	count(counters->ghost_evictions, 1);
}

static long leave(uint32_t i, void *ctx)
{
	struct pass *pass = ctx;
	uint64_t page = page_name(pass->name, pass->index + i);

	if (is_sampled(page))
		leave_ghost(pass, page);
	return 0;
}

static __always_inline void evicted(struct folio *folio)
{
	struct refault_counters *counters;
	struct pass pass = {};
	uint32_t pages;

	pass.slot = cached_slot_of_folio(folio);
	counters = pass.slot == NO_SLOT ? NULL : counters_of_slot(pass.slot);
	if (!counters)
		return;
	pages = pages_of(folio);
	pass.name = name_of(folio, &pass.index);
	pass.clock = __sync_fetch_and_add(&counters->evictions, pages) + pages;
	if (pages == 1)
		leave(0, &pass);
	else
		bpf_loop(pages, leave, &pass, 0);
}

enum meeting { MET_NOTHING, MET_OWN, MET_OTHER };

/* The ghost of a page, which is then gone: the page is in memory again. */
static __always_inline enum meeting meet_ghost(uint64_t page, uint64_t own_tag, uint64_t *ret_clock)
{
	struct ghost_set *set = set_of(page);

	if (!set)
		return MET_NOTHING;
	for (uint32_t i = 0; i < WAYS; i++) {
		uint64_t tag = set->way[i].tag;

		if (!tag || (tag ^ own_tag) >> 32)
			continue;
		*ret_clock = set->way[i].stamp >> STAMP_AGE_BITS;
		set->way[i].tag = 0;
		return tag == own_tag ? MET_OWN : MET_OTHER;
	}
	return MET_NOTHING;
}

/*
 * A ghost left by another engine, or by an earlier engine of this slot, says nothing about what
 * memory would bring to this one: unknown. -> whether the page had been evicted from this engine.
 */
static __always_inline bool come_back(struct pass *pass, uint64_t page)
{
	struct refault_counters *counters = counters_of_slot(pass->slot);
	uint64_t then = 0, now;
	enum meeting met;

	if (!counters)
		return false;
	met = meet_ghost(page, tag_of(page, pass->slot, counters->generation), &then);
	if (pass->overwritten)
		return false;
	if (met == MET_OTHER || (met == MET_NOTHING && pass->known_refault))
		count(counters->ghost_unknown, 1);
	if (met != MET_OWN)
		return false;
	now = counters->evictions;
	count(counters->ghost_distance[distance_bin(now > then ? now - then : 0)], 1);
	count(counters->ghost_refaults, 1);
	return true;
}

static long arrive(uint32_t i, void *ctx)
{
	struct pass *pass = ctx;
	uint64_t page = page_name(pass->name, pass->index + i);

	if (is_sampled(page) && come_back(pass, page) && i == 0)
		pass->first_is_back = true;
	return 0;
}

static __always_inline void arrived(struct folio *folio, struct pass *pass)
{
	uint32_t pages = pages_of(folio);

	if (pages == 1 && !is_sampled(page_name(pass->name, pass->index)))
		return;
	pass->slot = cached_slot_of_folio(folio);
	if (pass->slot == NO_SLOT)
		return;
	pass->overwritten = !pass->known_refault && is_writing(folio);
	if (pages == 1)
		arrive(0, pass);
	else
		bpf_loop(pages, arrive, pass, 0);
}

/* ---- with fentry: the kernel says itself what was evicted and what is a refault
 * ------------------ */

SEC("fentry/workingset_eviction")
int BPF_PROG(workingset_eviction_fentry, struct folio *folio, struct mem_cgroup *target)
{
	evicted(folio);
	return 0;
}

SEC("fentry/workingset_refault")
int BPF_PROG(workingset_refault_fentry, struct folio *folio, void *shadow)
{
	struct pass pass = { .known_refault = true };

	if (!folio->mapping && !is_swapcache(folio)) {
		pass.name = SWAP_NAME;
		pass.index = faulting_swap_entry(pages_of(folio));
		arrived(folio, &pass);
		return 0;
	}
	pass.name = name_of(folio, &pass.index);
	note_returning(page_name(pass.name, pass.index), 0);
	arrived(folio, &pass);
	return 0;
}

SEC("fentry/do_swap_page")
int BPF_PROG(swap_fault_fentry, struct vm_fault *vmf)
{
	uint32_t pid = bpf_get_current_pid_tgid();
	struct swap_fault *fault = swap_fault_of(pid);

	if (fault) {
		fault->pid = pid;
		fault->entry = swap_entry_of_pte(vmf->orig_pte.pte);
	}
	return 0;
}

/* ---- with tracepoints: files only. What leaves the page cache while its task reclaims was
 * evicted; - what finds its ghost when it is added is a refault. A refault whose ghost is gone is
 * not seen. */

SEC("tp_btf/mm_filemap_delete_from_page_cache")
int BPF_PROG(filemap_delete_tp, struct folio *folio)
{
	unsigned long exiting = 1ul << bpf_core_enum_value(enum mapping_flags, AS_EXITING);

	if (!bpf_get_current_task_btf()->reclaim_state)
		return 0;
	/* The inode shrinker drops whole files, and shared memory goes to swap under another name.
	 */
	if (flags_of(folio) & page_flag(PG_swapbacked) || folio->mapping->flags & exiting)
		return 0;
	evicted(folio);
	return 0;
}

SEC("tp_btf/mm_filemap_add_to_page_cache")
int BPF_PROG(filemap_add_tp, struct folio *folio)
{
	struct pass pass = {};

	pass.name = name_of(folio, &pass.index);
	arrived(folio, &pass);
	if (pass.first_is_back)
		note_returning(page_name(pass.name, pass.index), sample_shift);
	return 0;
}
