/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding out which of the kernel's vmstats is which, on records in the order of three kernels. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "user/daemon/sensors_vmstat.h"

#define PAGE_BYTES 4096ull

/* Values, all different, in pages or events. */
enum {
	ANON = 1001,
	FILE_PAGES = 2002,
	SHMEM = 303,
	MAPPED = 404,
	DIRTY = 55,
	WRITEBACK = 6,
	UNEVICTABLE = 7,
	REFAULT_ANON = 808,
	REFAULT_FILE = 909,
	KERNEL = 110,
	PGFAULT = 123456,
	PGMAJFAULT = 789
};

struct kernel {
	struct walk_record record;
	struct walk_enums enums;
	char text[1024];
	uint64_t pgscan, pgsteal;
};

static void put_states(struct walk_record *r, const uint32_t *index)
{
	static const uint64_t value[VMSTAT_STATES] = {
		[VMSTAT_ANON] = ANON,
		[VMSTAT_FILE] = FILE_PAGES,
		[VMSTAT_SHMEM] = SHMEM,
		[VMSTAT_MAPPED] = MAPPED,
		[VMSTAT_DIRTY] = DIRTY,
		[VMSTAT_WRITEBACK] = WRITEBACK,
		[VMSTAT_UNEVICTABLE] = UNEVICTABLE,
		[VMSTAT_REFAULT_ANON] = REFAULT_ANON,
		[VMSTAT_REFAULT_FILE] = REFAULT_FILE,
		[VMSTAT_KERNEL] = KERNEL,
	};

	for (int i = 0; i < WALK_STATES_MAX; i++)
		r->vmstate[i] = 1000000 + (uint64_t)i; /* what nobody asks for */
	for (int i = 0; i < VMSTAT_STATES; i++)
		r->vmstate[index[i]] = value[i];
}

static void put_events(struct kernel *k, uint32_t first, uint32_t kinds)
{
	for (uint32_t i = 0; i < WALK_EVENTS_MAX; i++)
		k->record.vmevents[i] = 2000000 + i;
	for (uint32_t i = 0; i < kinds; i++) {
		k->record.vmevents[first + i] = 10 + i;
		k->record.vmevents[first + kinds + i] = 5 + i;
		k->pgscan += 10 + i;
		k->pgsteal += 5 + i;
	}
	k->record.vmevents[first + 2 * kinds] = PGFAULT;
	k->record.vmevents[first + 2 * kinds + 1] = PGMAJFAULT;
	k->enums.reclaimers = kinds;
}

static void print_v2(struct kernel *k)
{
	snprintf(
	    k->text, sizeof(k->text),
	    "anon %llu\nfile %llu\nkernel %llu\nshmem %llu\nfile_mapped %llu\nfile_dirty %llu\n"
	    "file_writeback %llu\nunevictable %llu\npgscan %llu\npgsteal %llu\npgfault %d\n"
	    "pgmajfault %d\nworkingset_refault_anon %d\nworkingset_refault_file %d\n",
	    ANON * PAGE_BYTES, FILE_PAGES * PAGE_BYTES, KERNEL * PAGE_BYTES, SHMEM * PAGE_BYTES,
	    MAPPED * PAGE_BYTES, DIRTY * PAGE_BYTES, WRITEBACK * PAGE_BYTES,
	    UNEVICTABLE * PAGE_BYTES, (unsigned long long)k->pgscan, (unsigned long long)k->pgsteal,
	    PGFAULT, PGMAJFAULT, REFAULT_ANON, REFAULT_FILE);
}

static void print_v1(struct kernel *k)
{
	snprintf(
	    k->text, sizeof(k->text),
	    "cache 1\nrss 2\ntotal_cache %llu\ntotal_rss %llu\ntotal_rss_huge 0\n"
	    "total_shmem %llu\ntotal_mapped_file %llu\ntotal_dirty %llu\ntotal_writeback %llu\n"
	    "total_workingset_refault_anon %d\ntotal_workingset_refault_file %d\n"
	    "total_pgfault %d\ntotal_pgmajfault %d\ntotal_unevictable %llu\n",
	    FILE_PAGES * PAGE_BYTES, ANON * PAGE_BYTES, SHMEM * PAGE_BYTES, MAPPED * PAGE_BYTES,
	    DIRTY * PAGE_BYTES, WRITEBACK * PAGE_BYTES, REFAULT_ANON, REFAULT_FILE, PGFAULT,
	    PGMAJFAULT, UNEVICTABLE * PAGE_BYTES);
}

/* state[] by the enums themselves. */
static struct kernel kernel_6_1(void)
{
	static const uint32_t index[VMSTAT_STATES] = {
		[VMSTAT_ANON] = 17,       [VMSTAT_FILE] = 19,         [VMSTAT_SHMEM] = 23,
		[VMSTAT_MAPPED] = 18,     [VMSTAT_DIRTY] = 20,        [VMSTAT_WRITEBACK] = 21,
		[VMSTAT_UNEVICTABLE] = 4, [VMSTAT_REFAULT_ANON] = 10, [VMSTAT_REFAULT_FILE] = 11,
		[VMSTAT_KERNEL] = 47,
	};
	struct kernel k = {
		.record = { .vmstate_count = 50, .vmevent_count = 15 },
		.enums = { .states = 50,
			   .anon = 17,
			   .file = 19,
			   .shmem = 23,
			   .mapped = 18,
			   .dirty = 20,
			   .writeback = 21,
			   .unevictable = 4,
			   .refault_anon = 10,
			   .refault_file = 11,
			   .kernel = 47 },
	};

	put_states(&k.record, index);
	put_events(&k, 2, 2);
	print_v2(&k);
	return k;
}

/* Compact indexes; `count` states, MEMCG_KMEM third from the end. */
static struct kernel compact(uint32_t count, uint32_t first, uint32_t kinds)
{
	const uint32_t index[VMSTAT_STATES] = {
		[VMSTAT_ANON] = 14,          [VMSTAT_FILE] = 16,        [VMSTAT_SHMEM] = 19,
		[VMSTAT_MAPPED] = 15,        [VMSTAT_DIRTY] = 17,       [VMSTAT_WRITEBACK] = 18,
		[VMSTAT_UNEVICTABLE] = 4,    [VMSTAT_REFAULT_ANON] = 7, [VMSTAT_REFAULT_FILE] = 8,
		[VMSTAT_KERNEL] = count - 3,
	};
	struct kernel k = {
		.record = { .vmstate_count = count, .vmevent_count = 31 },
		.enums = { .states = 58, .anon = 17 },
	};

	put_states(&k.record, index);
	put_events(&k, first, kinds);
	return k;
}

static struct kernel kernel_6_12(void)
{
	struct kernel k = compact(38, 0, 3);

	print_v2(&k);
	return k;
}

static struct kernel kernel_6_18_v1(void)
{
	struct kernel k = compact(40, 4, 4);

	print_v1(&k);
	return k;
}

static int match(const struct kernel *k, struct vmstat_layout *ret)
{
	return vmstat_match(&k->record, &k->enums, k->text, k->text, ret);
}

static void check_layout(const struct kernel *k)
{
	struct vmstat_layout l;

	assert_int_equal(match(k, &l), 0);
	assert_int_equal(k->record.vmstate[l.state[VMSTAT_ANON]], ANON);
	assert_int_equal(k->record.vmstate[l.state[VMSTAT_FILE]], FILE_PAGES);
	assert_int_equal(k->record.vmstate[l.state[VMSTAT_SHMEM]], SHMEM);
	assert_int_equal(k->record.vmstate[l.state[VMSTAT_KERNEL]], KERNEL);
	assert_int_equal(k->record.vmstate[l.state[VMSTAT_REFAULT_FILE]], REFAULT_FILE);
	assert_int_equal(k->record.vmevents[l.pgfault], PGFAULT);
	assert_int_equal(k->record.vmevents[l.pgmajfault], PGMAJFAULT);
	assert_int_equal(vmstat_sum(&k->record, l.pgscan, l.reclaimers), k->pgscan);
	assert_int_equal(vmstat_sum(&k->record, l.pgsteal, l.reclaimers), k->pgsteal);
}

static void the_order_of_each_kernel_is_found(void **state)
{
	struct kernel k = kernel_6_1();

	check_layout(&k);
	k = kernel_6_12();
	check_layout(&k);
	k = kernel_6_18_v1();
	check_layout(&k);
}

static void an_order_nobody_has_seen_is_refused(void **state)
{
	struct kernel k = kernel_6_12();
	struct vmstat_layout l;

	k.record.vmstate[14] = FILE_PAGES;
	k.record.vmstate[16] = ANON;
	assert_int_equal(match(&k, &l), -ENOENT);

	k = kernel_6_12();
	k.record.vmstate[8] = REFAULT_FILE + 1;
	assert_int_equal(match(&k, &l), -ENOENT);

	k = kernel_6_12();
	k.record.vmevents[6] = PGMAJFAULT;
	k.record.vmevents[7] = PGFAULT;
	assert_int_equal(match(&k, &l), -ENOENT);

	k = kernel_6_12(); /* pgscan of the file has one kind more than we know */
	k.record.vmevents[0]++;
	assert_int_equal(match(&k, &l), -ENOENT);
}

static void a_cgroup_with_too_little_in_it_decides_nothing(void **state)
{
	struct kernel k = kernel_6_12();
	struct vmstat_layout l;
	char *line = strstr(k.text, "anon ");

	k.record.vmstate[14] = 0;
	/* "anon N..." becomes "anon 0", and the rest of N a line that nobody knows */
	memset(line + 5, 'x', 6);
	line[5] = '0';
	line[6] = '\n';
	assert_int_equal(match(&k, &l), -EAGAIN);
}

static void a_cgroup_that_moves_decides_nothing(void **state)
{
	struct kernel before = kernel_6_12(), after = before;
	struct vmstat_layout l;

	assert_int_equal(vmstat_match(&before.record, &before.enums, before.text, before.text, &l),
			 0);
	memcpy(strstr(after.text, "pgfault ") + 8, "223456", 6);
	assert_int_equal(vmstat_match(&before.record, &before.enums, before.text, after.text, &l),
			 -EAGAIN);
}

static void counts_that_do_not_fit_are_refused(void **state)
{
	struct kernel k = kernel_6_12();
	struct vmstat_layout l;

	k.record.vmstate_count = 0;
	assert_int_equal(match(&k, &l), -ENOENT);
	k.record.vmstate_count = WALK_STATES_MAX + 1;
	assert_int_equal(match(&k, &l), -ENOENT);
	k = kernel_6_12();
	k.record.vmevent_count = 6;
	assert_int_equal(match(&k, &l), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_order_of_each_kernel_is_found),
		cmocka_unit_test(an_order_nobody_has_seen_is_refused),
		cmocka_unit_test(a_cgroup_with_too_little_in_it_decides_nothing),
		cmocka_unit_test(a_cgroup_that_moves_decides_nothing),
		cmocka_unit_test(counts_that_do_not_fit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
