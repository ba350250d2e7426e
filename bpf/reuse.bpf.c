/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reuse times: of a sampled page of the page cache, how many accesses of its engine to sampled
 * pages lie between one access and the next, whether or not the page was evicted in between. From
 * their distribution follows how much memory each part of the accesses needs, also below the
 * present size, where ghosts see nothing: what hits does not come back.
 *
 * An access is a page that read() copies from. A mapped page is touched without the kernel, and
 * direct I/O passes the page cache by: neither is seen here. A write is no access either; what it
 * makes in the page cache counts from the first read() on.
 */
#include "bpf/pages.bpf.h"
#include "bpf/reuse.h"

/* Set before load: 1 in 2^sample_shift pages is followed; the number of sets is a power of two. */
const volatile uint32_t sample_shift = 0;
const volatile uint32_t touched_sets = 1;

#define WAYS 8 /* two lines: with 4, one set in seven overflows when the table is half full */

/*
 * In a stamp: the slot's clock at the last access, the time of it in units of 16 jiffies, the bin it
 * was counted in, and flags. One word, so that whoever reads it has all of one access.
 */
#define STAMP_CLOCK_SHIFT 28
#define STAMP_CLOCK       ((1ull << 36) - 1)
#define STAMP_TIME_SHIFT  10
#define STAMP_TIME        ((1ull << 18) - 1)
#define STAMP_BIN_SHIFT   2
#define STAMP_BIN         (REUSE_BINS - 1) /* REUSE_BINS is a power of two */
#define BEYOND            0ull /* a bin that no reuse time has: the least is 1 */
#define STAMP_SETTLED     2ull /* it was a miss, or the first: no (further) miss to be counted */
#define STAMP_READ_IN     1ull /* the page has come from the disk since */

struct touched {
	uint64_t tag;
	uint64_t stamp;
};

struct touched_set {
	struct touched way[WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* so that it begins on a page, and a set on a line */
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct touched_set);
} touched SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct reuse_counters);
} reuse_counters SEC(".maps");

/*
 * Pages of a file in groups of 2^sample_shift: one of each group is sampled, which one is as good as
 * random. So a read() of a page costs one look at its group, and one of many pages a look per group,
 * not per page; a file of one page is sampled as seldom as a page of a large one.
 */
static __always_inline uint64_t sampled_page(uint64_t ino, uint64_t group)
{
	uint64_t h = (ino << 32 ^ ino >> 32 ^ group) * 0x9e3779b97f4a7c15ull;

	if (!sample_shift)
		return group;
	h = (h ^ h >> 32) * 0xbf58476d1ce4e5b9ull;
	return group << sample_shift | h >> (64 - sample_shift);
}

/* Consecutive pages of a file, and what those sampled among them have in common. */
struct pass {
	uint64_t ino;
	uint64_t file; /* its name */
	uint64_t first, last; /* pages */
	uint32_t slot;
};

static __always_inline struct touched_set *set_of(uint64_t page)
{
	uint32_t key = page & (touched_sets - 1);

	return bpf_map_lookup_elem(&touched, &key);
}

/* The one that nobody has read for longest goes, whosever it is. The tag last: who looks in between
 * finds nothing rather than another page's stamp. */
static __always_inline void remember(struct touched_set *set, uint64_t tag, uint64_t stamp)
{
	uint64_t oldest = 0;
	uint32_t victim = 0;

	for (uint32_t i = 0; i < WAYS; i++) {
		uint64_t then = set->way[i].stamp >> STAMP_TIME_SHIFT;
		uint64_t age = 1 + (((stamp >> STAMP_TIME_SHIFT) - then) & STAMP_TIME);

		if (!set->way[i].tag)
			age = STAMP_TIME + 2;
		if (age > oldest) {
			oldest = age;
			victim = i;
		}
	}
	set->way[victim & (WAYS - 1)].tag = 0;
	set->way[victim & (WAYS - 1)].stamp = stamp;
	set->way[victim & (WAYS - 1)].tag = tag;
}

static __always_inline uint64_t stamp_at(uint64_t clock)
{
	return clock << STAMP_CLOCK_SHIFT | (bpf_jiffies64() >> 4 & STAMP_TIME) << STAMP_TIME_SHIFT;
}

/* At least 1: another processor may have counted an access since our clock was taken. */
static __always_inline uint64_t reuse_time(uint64_t clock, uint64_t stamp)
{
	uint64_t t = (clock - (stamp >> STAMP_CLOCK_SHIFT)) & STAMP_CLOCK;

	return t && t <= STAMP_CLOCK / 2 ? t : 1;
}

/*
 * The bin of an access; BEYOND: the page was last read before the sensor rested. What was done
 * meanwhile is not known, so the reuse time is longer than what has been counted since, and no more
 * can be said.
 */
static __always_inline uint64_t bin_of_access(uint64_t clock, uint64_t stamp, uint64_t woken)
{
	uint64_t t = reuse_time(clock, stamp);

	return t >= clock - woken ? BEYOND : reuse_bin(t) & STAMP_BIN;
}

static __always_inline void count_miss(struct reuse_counters *counters, uint64_t bin)
{
	if (bin == BEYOND)
		count(counters->beyond.missed, 1);
	else
		count(counters->missed[bin & STAMP_BIN], 1);
}

/* Whoever exchanges the stamp has the mark that the page was read in: a miss is counted once. */
static __always_inline bool reaccessed(struct touched_set *set, uint64_t tag, uint64_t clock,
				       struct reuse_counters *counters)
{
	uint64_t stamp = stamp_at(clock);

	for (uint32_t i = 0; i < WAYS; i++) {
		uint64_t then, bin;

		if (set->way[i].tag != tag)
			continue;
		bin = bin_of_access(clock, set->way[i].stamp, counters->woken);
		then = __sync_lock_test_and_set(&set->way[i].stamp, stamp | bin << STAMP_BIN_SHIFT);
		if (then & STAMP_READ_IN) {
			__sync_fetch_and_or(&set->way[i].stamp, STAMP_SETTLED);
			count_miss(counters, bin);
		}
		if (bin == BEYOND) {
			count(counters->beyond.accesses, 1);
			count(counters->beyond.looked, clock - counters->woken);
		} else {
			count(counters->reused[bin], 1);
		}
		return true;
	}
	return false;
}

static __always_inline void accessed(uint64_t page, uint32_t slot)
{
	struct reuse_counters *counters = bpf_map_lookup_elem(&reuse_counters, &slot);
	struct touched_set *set = set_of(page);
	uint64_t tag, clock;

	if (!counters || !set)
		return;
	tag = tag_of(page, slot, counters->generation);
	clock = __sync_fetch_and_add(&counters->clock, 1) + 1;
	if (!reaccessed(set, tag, clock, counters)) {
		count(counters->first, 1);
		remember(set, tag, stamp_at(clock) | STAMP_SETTLED);
	}
	count(counters->accesses, 1);
}

static long access_group(uint32_t i, void *ctx)
{
	struct pass *pass = ctx;
	uint64_t index = sampled_page(pass->ino, (pass->first >> sample_shift) + i);

	if (index >= pass->first && index <= pass->last)
		accessed(page_name(pass->file, index), pass->slot);
	return 0;
}

/* How many groups have a page in the pass. A bound, and more than one read() can ask for. */
#define GROUPS_MAX (1u << 20)

static __always_inline uint32_t groups_of(const struct pass *pass)
{
	uint64_t groups = (pass->last >> sample_shift) - (pass->first >> sample_shift) + 1;

	return groups < GROUPS_MAX ? groups : GROUPS_MAX;
}

/* Whether none of these pages is sampled, as far as that is told by a look at one group: it is what
 * nearly every read() of a page or two costs. */
static __always_inline bool is_unsampled(uint64_t ino, uint64_t first, uint64_t last)
{
	uint64_t group = first >> sample_shift, index;

	if (last >> sample_shift != group)
		return false;
	index = sampled_page(ino, group);
	return index < first || index > last;
}

static __always_inline void access_pages(struct pass *pass)
{
	uint32_t groups = groups_of(pass);

	if (groups == 1)
		access_group(0, pass);
	else
		bpf_loop(groups, access_group, pass, 0);
}

static __always_inline bool begin_pass(struct pass *ret_pass, struct inode *inode, uint64_t first,
				       uint64_t last)
{
	ret_pass->slot = slot_of_current();
	if (ret_pass->slot == NO_SLOT)
		return false;
	ret_pass->ino = inode->i_ino;
	ret_pass->file = inode_name(inode);
	ret_pass->first = first;
	ret_pass->last = last;
	return true;
}

/* ---- with fentry: every read() at its end, when all it needed has been read in */

static __always_inline void has_read(struct inode *inode, int64_t end, int64_t bytes)
{
	uint64_t first = (uint64_t)(end - bytes) >> PAGE_SHIFT;
	uint64_t last = (uint64_t)(end - 1) >> PAGE_SHIFT;
	struct pass pass;

	if (bytes <= 0 || is_unsampled(inode->i_ino, first, last))
		return;
	if (begin_pass(&pass, inode, first, last))
		access_pages(&pass);
}

SEC("fexit/filemap_read")
int BPF_PROG(filemap_read_fentry, struct kiocb *iocb, struct iov_iter *iter, int64_t already,
	     int64_t bytes)
{
	has_read(iocb->ki_filp->f_mapping->host, iocb->ki_pos, bytes - already);
	return 0;
}

/* sendfile() and splice(), where they do not go through filemap_read() */
SEC("fexit/filemap_splice_read")
int BPF_PROG(filemap_splice_read_fentry, struct file *file, int64_t *position,
	     struct pipe_inode_info *pipe, uint64_t asked, unsigned int flags, int64_t bytes)
{
	int64_t end = 0;

	bpf_probe_read_kernel(&end, sizeof(end), position);
	has_read(file->f_mapping->host, end, bytes);
	return 0;
}

/*
 * ---- with a tracepoint (6.10 and later): before read() copies a batch of pages
 *
 * It is told where the batch begins and where the whole read() ends, not how far the batch reaches:
 * to the first page that is not in memory, at most 31 folios. So the first call counts all of the
 * read(), and those that follow are known by what is kept here. What is read in meanwhile was a miss
 * of the access already counted.
 */
#define READERS 1024

struct reader {
	uint64_t file;
	uint64_t first, last;
	uint64_t
	    reads; /* system calls that the task had finished; 0 where the kernel does not count */
	uint32_t tid; /* 0: none */
	uint32_t slot;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, READERS);
	__type(key, uint32_t);
	__type(value, struct reader);
} readers SEC(".maps");

static __always_inline uint64_t finished_reads(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return bpf_core_field_exists(task->ioac.syscr) ? task->ioac.syscr : 0;
}

/* Direct mapped: another task with the same low bits makes us count a page of a read() twice. */
static __always_inline struct reader *reader_of(uint32_t tid)
{
	uint32_t key = tid & (READERS - 1);

	return bpf_map_lookup_elem(&readers, &key);
}

/* Whether pages [first, ...] of this file are of a read() of ours that has been counted. */
static __always_inline bool is_counted(const struct reader *reader, uint32_t tid, uint64_t file,
				       uint64_t first)
{
	return reader->tid == tid && reader->file == file && first > reader->first &&
	       first <= reader->last && reader->reads == finished_reads();
}

static __always_inline bool goes_on(const struct pass *pass)
{
	uint32_t tid = bpf_get_current_pid_tgid();
	struct reader *reader = reader_of(tid);

	if (!reader)
		return false;
	if (reader->last == pass->last && is_counted(reader, tid, pass->file, pass->first))
		return true;
	if (pass->first == pass->last)
		return false;
	reader->tid = 0;
	reader->file = pass->file;
	reader->first = pass->first;
	reader->last = pass->last;
	reader->reads = finished_reads();
	reader->slot = pass->slot;
	reader->tid = tid;
	return false;
}

SEC("tp_btf/mm_filemap_get_pages")
int BPF_PROG(filemap_get_pages_tp, struct address_space *mapping, unsigned long first,
	     unsigned long last)
{
	struct inode *inode = mapping->host;
	struct pass pass;

	if (last > first) { /* a read() may ask for more than there is */
		uint64_t end = (uint64_t)(inode->i_size - 1) >> PAGE_SHIFT;

		if (last > end)
			last = end > first ? end : first;
	}
	if (is_unsampled(inode->i_ino, first, last))
		return 0;
	if (begin_pass(&pass, inode, first, last) && !goes_on(&pass))
		access_pages(&pass);
	return 0;
}

/* ---- with both: what comes from the disk, so that the access that follows was a miss */

static __always_inline void missed_late(struct reuse_counters *counters, uint64_t *stamp)
{
	uint64_t was = __sync_fetch_and_or(stamp, STAMP_SETTLED);

	if (was & STAMP_SETTLED)
		return;
	count_miss(counters, was >> STAMP_BIN_SHIFT & STAMP_BIN);
	count(counters->late_misses, 1);
}

/* `reader` is who reads the page and has been counted, or NULL. */
static __always_inline void arrived(uint64_t page, const struct reader *reader)
{
	uint32_t slot = reader ? reader->slot : NO_SLOT;
	struct reuse_counters *counters = bpf_map_lookup_elem(&reuse_counters, &slot);
	uint64_t own = counters ? tag_of(page, slot, counters->generation) : 0;
	struct touched_set *set = set_of(page);

	if (!set)
		return;
	for (uint32_t i = 0; i < WAYS; i++) {
		uint64_t tag = set->way[i].tag;

		if (!tag || (tag ^ page) >> 32)
			continue;
		if (counters && tag == own)
			missed_late(counters, &set->way[i].stamp);
		else
			__sync_fetch_and_or(&set->way[i].stamp, STAMP_READ_IN);
	}
}

static long arrive_group(uint32_t i, void *ctx)
{
	struct pass *pass = ctx;
	uint64_t index = sampled_page(pass->ino, (pass->first >> sample_shift) + i);
	uint32_t tid = bpf_get_current_pid_tgid();
	struct reader *reader = reader_of(tid);

	if (index < pass->first || index > pass->last)
		return 0;
	if (reader && !is_counted(reader, tid, pass->file, index))
		reader = NULL;
	arrived(page_name(pass->file, index), reader);
	return 0;
}

SEC("tp_btf/mm_filemap_add_to_page_cache")
int BPF_PROG(filemap_add, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	uint64_t first = folio->index, last = first + pages_of(folio) - 1;
	struct pass pass = {};
	uint32_t groups;

	if (is_unsampled(inode->i_ino, first, last) || flags_of(folio) & page_flag(PG_swapbacked) ||
	    is_writing(folio))
		return 0;
	pass.ino = inode->i_ino;
	pass.file = inode_name(inode);
	pass.first = first;
	pass.last = last;
	groups = groups_of(&pass);
	if (groups == 1)
		arrive_group(0, &pass);
	else
		bpf_loop(groups, arrive_group, &pass, 0);
	return 0;
}
