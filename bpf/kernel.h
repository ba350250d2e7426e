/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The few kernel types the sensors read, by hand: libbpf moves every access to where the running
 * kernel keeps the field (CO-RE), so only names and types matter here, not offsets. Fields are
 * those of 6.1, 6.12 and 6.18; one that exists in some of them only is read behind
 * bpf_core_field_exists().
 *
 * In tp_btf, fentry and iterator programs follow these pointers with plain C loads. Each
 * BPF_CORE_READ() step is a call of ~50 ns; a plain load is an instruction.
 */
#ifndef BAROSTAT_BPF_KERNEL_H
#define BAROSTAT_BPF_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

/* From <linux/bpf.h>, which clang -target bpf does not find on a multiarch Debian. */
#define BPF_ANY                        0
#define BPF_NOEXIST                    1
#define BPF_F_NO_PREALLOC              (1u << 0)
#define BPF_F_MMAPABLE                 (1u << 10)
#define BPF_MAP_TYPE_HASH              1
#define BPF_MAP_TYPE_ARRAY             2
#define BPF_MAP_TYPE_PERCPU_HASH       5
#define BPF_MAP_TYPE_PERCPU_ARRAY      6
#define BPF_MAP_TYPE_LRU_HASH          9
#define BPF_MAP_TYPE_RINGBUF           27
#define BPF_MAP_TYPE_TASK_STORAGE      29
#define BPF_LOCAL_STORAGE_GET_F_CREATE 1

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Enumerators are for bpf_core_enum_value(), never for use as they stand. */
enum cgroup_subsys_id { memory_cgrp_id = 4 };
enum node_stat_item {
	NR_UNEVICTABLE = 1,
	WORKINGSET_REFAULT_ANON,
	WORKINGSET_REFAULT_FILE,
	NR_ANON_MAPPED,
	NR_FILE_MAPPED,
	NR_FILE_PAGES,
	NR_FILE_DIRTY,
	NR_WRITEBACK,
	NR_SHMEM,
};
enum memcg_stat_item { MEMCG_KMEM = 1, MEMCG_NR_STAT };
enum vm_event_item { PGSCAN_KHUGEPAGED = 1, PGSCAN_PROACTIVE };

struct kernfs_node {
	__u64 id; /* what user space sees as the directory's inode */
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup_root {
	int hierarchy_id; /* 0 is the unified tree */
};

struct psi_group {
	__u64
	    total[12]; /* [PSI_AVGS][NR_PSI_STATES - 1], ns; the order of states is in walk.bpf.c */
};

struct cgroup {
	struct cgroup_subsys_state self;
	int level;
	struct kernfs_node *kn;
	struct cgroup_subsys_state *subsys[14];
	struct cgroup_root *root;
	struct psi_group *psi;
};

struct css_set {
	struct cgroup_subsys_state *subsys[14];
	struct cgroup *dfl_cgrp;
};

typedef struct {
	long counter;
} atomic_long_t;

struct page_counter {
	atomic_long_t usage;
	unsigned long failcnt;
	unsigned long min;
	unsigned long low;
	unsigned long high;
	unsigned long max;
};

struct memcg_vmstats {
	long state[64];
	unsigned long events[64];
};

struct mem_cgroup {
	struct cgroup_subsys_state css;
	struct page_counter memory;
	union {
		struct page_counter swap;
		struct page_counter memsw;
	};
	struct page_counter kmem; /* only where v1 is built */
	struct memcg_vmstats *vmstats;
	atomic_long_t memory_events[9];
};

struct mm_struct;

struct reclaim_state;

struct task_io_accounting {
	__u64 syscr; /* CONFIG_TASK_XACCT: system calls that have read */
};

struct task_struct {
	unsigned in_iowait : 1;
	unsigned in_memstall : 1; /* CONFIG_PSI */
	struct reclaim_state *reclaim_state; /* not NULL: the task is reclaiming */
	int pid;
	int tgid;
	unsigned long min_flt;
	unsigned long maj_flt;
	struct mm_struct *mm;
	struct css_set *cgroups;
	unsigned int memcg_nr_pages_over_high;
	struct task_io_accounting ioac;
};

struct super_block {
	__u32 s_dev;
};

struct rw_semaphore {
	atomic_long_t owner; /* the writing task, with flags in the low bits */
};

struct inode {
	struct super_block *i_sb;
	unsigned long i_ino;
	__u32 i_generation;
	long long i_size;
	struct rw_semaphore i_rwsem;
};

enum mapping_flags { AS_EXITING = 4 };

struct address_space {
	struct inode *host;
	unsigned long flags;
};

struct file {
	struct address_space *f_mapping;
};

struct kiocb {
	struct file *ki_filp;
	long long ki_pos;
};

struct iov_iter;
struct pipe_inode_info;

typedef struct {
	unsigned long val;
} swp_entry_t;

/* Their numbers differ between kernels: by bpf_core_enum_value(). */
enum pageflags { PG_locked, PG_uptodate, PG_head, PG_swapbacked, PG_swapcache };

struct folio {
	unsigned long flags;
	struct address_space *mapping;
	unsigned long index;
	void *private;
	swp_entry_t swap; /* 6.12 and later; before that the entry is in private */
	unsigned long memcg_data;
	unsigned int _folio_nr_pages; /* of large folios, up to 6.12; then _nr_pages */
	unsigned int _nr_pages;
};

typedef struct {
	unsigned long f;
} memdesc_flags_t;

struct folio___memdesc { /* 6.18: flags in a struct of their own */
	memdesc_flags_t flags;
};

struct wait_queue_entry {
	unsigned int flags;
	void *private;
	void *func;
};

/* What a task that waits for a page has on its stack. */
struct wait_page_queue {
	struct folio *folio;
	int bit_nr;
	struct wait_queue_entry wait;
};

enum vm_fault_reason { VM_FAULT_MAJOR = 4 };

typedef struct {
	unsigned long pte;
} pte_t;

struct vm_fault {
	unsigned int flags;
	pte_t orig_pte;
};

struct reclaim_stat {
	unsigned nr_dirty;
};

struct scan_control;

struct lruvec {
	unsigned long anon_cost;
};

struct mem_cgroup_per_node {
	struct lruvec lruvec;
	struct mem_cgroup *memcg;
};

struct pt_regs { /* x86 */
	unsigned long orig_ax;
};

struct bio;
struct bpf_perf_event_data;

struct bpf_iter_meta {
	__u64 session_id;
	__u64 seq_num;
};

struct bpf_iter__cgroup {
	struct bpf_iter_meta *meta;
	struct cgroup *cgroup;
};

#pragma clang attribute pop

#endif
