// SPDX-License-Identifier: BSD-2-Clause
/* The page reader against the golden page, and against files that are not what they should be. */
#include "tests/unit/page_support.h"

#include <sys/sysmacros.h>

#include "user/daemon/law.h"
#include "user/lib/page_layout.h"

#define GOLDEN        "tests/fixtures/page/v1.0.page"
#define GOLDEN_BYTES  2304
#define P8(offset)    ((uint64_t)(offset)*1000000 + 42)
#define P4(offset)    ((uint32_t)(offset)*1000 + 42)
#define SLOT_AT(i)    (256 + (size_t)(i)*512)
#define FIELD(f)      offsetof(struct baro_page_header, f)
#define SLOT_FIELD(f) offsetof(struct baro_slot, f)

static void read_golden(uint8_t *bytes)
{
	int fd = open(GOLDEN, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail_msg("run from the top of the tree: %s: %m", GOLDEN);
	assert_int_equal(read(fd, bytes, GOLDEN_BYTES), GOLDEN_BYTES);
	close(fd);
}

/* A private copy of the first n bytes: the tree's may be group-writable, which is refused. */
static void put_golden(const struct page_dir *d, size_t n, mode_t mode)
{
	uint8_t bytes[GOLDEN_BYTES];
	int fd = open(d->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	read_golden(bytes);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int try_open(const struct page_dir *d)
{
	struct baro_page *page = NULL;
	int r = baro_page_open(d->path, &page);

	if (r)
		assert_null(page);
	baro_page_close(page);
	return r;
}

static void golden_header_is_read(void **state)
{
	struct page_dir *d = *state;
	struct baro_page_header h;
	struct baro_page *page;

	put_golden(d, GOLDEN_BYTES, 0644);
	page = page_open_reader(d);
	assert_int_equal(baro_page_read_header(page, &h), 0);
	assert_memory_equal(&h.magic, "BAROPAGE", 8);
	assert_int_equal(h.slot_count, 4);
	assert_int_equal(h.boot_epoch, 4711);
	assert_int_equal(h.published_ns, P8(80));
	assert_int_equal(h.void_after_ns, P8(88));
	assert_int_equal(h.ceiling_bytes, P8(96));
	assert_int_equal(h.reserve_bytes, P8(104));
	assert_int_equal(h.usage_bytes, P8(112));
	assert_int_equal(h.level, BARO_LEVEL_WARNING);
	assert_int_equal(h.slots_used, 3);
	assert_int_equal(h.interval_ns, P8(136));
	assert_int_equal(h.rung, BARO_RUNG_HYBRID);
	assert_int_equal(h.flags, BARO_PAGE_DRY_RUN | BARO_PAGE_HAS_PSI);
	assert_int_equal(h.score_ppm, P4(156));
	assert_int_equal(h.cost_cpu_ppm, P4(184));
	assert_int_equal(h.dropped_events, P8(192));
	assert_int_equal(baro_page_slots(page), 3);
	assert_int_equal(baro_page_generation(page), 1);
	baro_page_close(page);
}

static void golden_slot_is_read(void **state)
{
	struct page_dir *d = *state;
	struct baro_pressure hot;
	struct baro_slot_ref ref;
	struct baro_slot slot;
	struct baro_page *page;

	put_golden(d, GOLDEN_BYTES, 0644);
	page = page_open_reader(d);
	assert_int_equal(baro_page_find(page, "pg", &ref), 0);
	assert_int_equal(ref.index, 0);
	assert_int_equal(ref.incarnation, 7);
	assert_int_equal(baro_page_level(&ref), BARO_LEVEL_WARNING);
	assert_int_equal(baro_page_read(&ref, &hot), 0);
	assert_int_equal(BARO_STATUS_STATE(hot.status), BARO_SLOT_ACTIVE);
	assert_int_equal(BARO_STATUS_FLAGS(hot.status),
			 BARO_SLOT_FLAG_HARD | BARO_SLOT_FLAG_AT_LIMIT);
	assert_int_equal(hot.score_ppm, P4(4));
	assert_int_equal(hot.budget_bytes, P8(24));
	assert_int_equal(hot.headroom_bytes, P8(56));
	assert_int_equal(hot.release_bytes, P8(64));
	assert_int_equal(hot.stall_avg_ppm, P4(116));
	assert_int_equal(baro_page_read_slot(&ref, &slot), 0);
	assert_memory_equal(&slot.pressure, &hot, sizeof(hot));
	assert_int_equal(slot.cgroup_id, P8(192));
	assert_int_equal(slot.cgroup_hierarchy, 4);
	assert_int_equal(slot.max_bytes, P8(232));
	assert_int_equal(slot.anon_bytes, P8(256));
	assert_int_equal(slot.working_set_bytes, P8(312));
	assert_int_equal(slot.psi_memory_some_1s_ppm, P4(344));
	assert_int_equal(slot.psi_io_full_10s_ppm, P4(372));
	assert_int_equal(slot.stall_ns_per_s[BARO_STALL_SWAP_IN], P8(408));
	assert_int_equal(slot.evictions_per_s, P8(440));
	baro_page_close(page);
}

static void extreme_values_survive(void **state)
{
	struct page_dir *d = *state;
	struct baro_slot_ref ref;
	struct baro_slot slot;
	struct baro_page *page;

	put_golden(d, GOLDEN_BYTES, 0644);
	page = page_open_reader(d);
	assert_int_equal(baro_page_slot(page, 1, &ref), 0);
	assert_int_equal(baro_page_read_slot(&ref, &slot), 0);
	assert_int_equal(strlen(slot.name), 63);
	assert_true(slot.pressure.limit_bytes == BARO_PAGE_NONE);
	assert_int_equal((int64_t)slot.pressure.velocity_bytes_per_s, -5);
	assert_int_equal(BARO_STATUS_STATE(slot.pressure.status), BARO_SLOT_MANUAL);
	baro_page_close(page);
}

static void free_and_unused_slots_are_not_found(void **state)
{
	struct page_dir *d = *state;
	struct baro_slot_ref ref = { .index = 77 };
	struct baro_page *page;

	put_golden(d, GOLDEN_BYTES, 0644);
	page = page_open_reader(d);
	assert_int_equal(baro_page_slot(page, 2, &ref), -ENOENT);
	assert_int_equal(baro_page_slot(page, 3, &ref), -ENOENT);
	assert_int_equal(baro_page_slot(page, UINT32_MAX, &ref), -ENOENT);
	assert_int_equal(baro_page_find(page, "", &ref), -ENOENT);
	assert_int_equal(baro_page_find(page, "p", &ref), -ENOENT);
	assert_int_equal(baro_page_find(page, "pgx", &ref), -ENOENT);
	assert_int_equal(ref.index, 77);
	baro_page_close(page);
}

/* The writer, given the golden values, writes the golden bytes. */
static void writer_reproduces_the_golden_page(void **state)
{
	static const struct page_slot_values pg = {
		.state = BARO_SLOT_ACTIVE,
		.level = BARO_LEVEL_WARNING,
		.flags = 5,
		.score_ppm = P4(4),
		.reason = BARO_REASON_GAIN,
		.clamps = 1,
		.stall_ppm = P4(112),
		.stall_avg_ppm = P4(116),
		.budget_bytes = P8(24),
		.target_bytes = P8(32),
		.limit_bytes = P8(40),
		.usage_bytes = P8(48),
		.headroom_bytes = P8(56),
		.release_bytes = P8(64),
		.release_by_ns = P8(72),
		.grant_epoch = P8(80),
		.time_to_ceiling_ns = P8(88),
		.velocity_bytes_per_s = P8(96),
		.ack_epoch = P8(216),
		.anon_bytes = P8(256),
		.file_bytes = P8(264),
		.shmem_bytes = P8(272),
		.kernel_bytes = P8(280),
		.dirty_bytes = P8(288),
		.swap_bytes = P8(296),
		.unreclaimable_bytes = P8(304),
		.working_set_bytes = P8(312),
		.low_bytes = P8(320),
		.high_bytes = P8(328),
		.hard_bytes = P8(336),
		.psi_memory_some_1s_ppm = P4(344),
		.psi_memory_full_1s_ppm = P4(348),
		.psi_memory_some_10s_ppm = P4(352),
		.psi_memory_full_10s_ppm = P4(356),
		.psi_io_some_1s_ppm = P4(360),
		.psi_io_full_1s_ppm = P4(364),
		.psi_io_some_10s_ppm = P4(368),
		.psi_io_full_10s_ppm = P4(372),
		.oom_kills = P8(376),
		.stall_ns_per_s = { P8(384), P8(392), P8(400), P8(408) },
		.refaults_per_s = P8(416),
		.faults_per_s = P8(424),
		.majfaults_per_s = P8(432),
		.evictions_per_s = P8(440),
	};
	static const struct page_header_values header = {
		.ceiling_bytes = P8(96),
		.reserve_bytes = P8(104),
		.usage_bytes = P8(112),
		.level = BARO_LEVEL_WARNING,
		.score_ppm = P4(156),
		.rung = BARO_RUNG_HYBRID,
		.flags = 9,
		.interval_ns = P8(136),
		.cost_tick_p50_ns = P8(160),
		.cost_tick_p99_ns = P8(168),
		.cost_rss_bytes = P8(176),
		.cost_cpu_ppm = P4(184),
		.dropped_events = P8(192),
	};
	const struct page_slot_identity who = { .name = "pg",
						.cgroup_id = P8(192),
						.psi_cgroup_id = P8(200),
						.cgroup_hierarchy = 4,
						.weight = P4(212),
						.min_bytes = P8(224),
						.max_bytes = P8(232) };
	uint8_t golden[GOLDEN_BYTES], written[GOLDEN_BYTES];
	struct page_dir *d = *state;
	struct page_writer *w = page_open_writer(d, 4, PAGE_CREATED);
	int fd;

	/* Six other engines had the slot before: the golden incarnation is 7. */
	for (int i = 0; i < 6; i++)
		page_assign(w, 0, i % 2 ? "a" : "b");
	assert_int_equal(page_writer_assign(w, 0, &who), 0);
	page_writer_update(w, 0, &pg, P8(16));
	page_assign(w, 2, "used once");
	page_writer_commit(w, &header, P8(80), P8(88) - P8(80), false);
	fd = open(d->path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, written, sizeof(written)), sizeof(written));
	close(fd);
	page_writer_close(w, true);

	read_golden(golden);
	/* What is the writer's own business: its epoch and pid, and how often it wrote. */
	memcpy(golden + FIELD(boot_epoch), written + FIELD(boot_epoch), 8);
	memcpy(golden + FIELD(daemon_pid), written + FIELD(daemon_pid), 4);
	memcpy(golden + SLOT_AT(0), written + SLOT_AT(0), 4);
	assert_memory_equal(written, golden, SLOT_AT(1));
}

static void not_a_page_is_refused(void **state)
{
	struct page_dir *d = *state;

	assert_int_equal(try_open(d), -ENOENT);
	put_golden(d, GOLDEN_BYTES, 0644);
	page_poke(d, 0, "b", 1);
	assert_int_equal(try_open(d), -EBADMSG);
	unlink(d->path);
	assert_int_equal(mkdir(d->path, 0755), 0);
	assert_int_equal(try_open(d), -EINVAL);
	rmdir(d->path);
	assert_int_equal(mkfifo(d->path, 0644), 0);
	assert_int_equal(try_open(d), -EINVAL);
	unlink(d->path);
	assert_int_equal(symlink("/dev/zero", d->path), 0);
	assert_int_equal(try_open(d), -EINVAL);
}

static void a_page_others_can_write_is_refused(void **state)
{
	struct page_dir *d = *state;

	put_golden(d, GOLDEN_BYTES, 0664);
	assert_int_equal(try_open(d), -EPERM);
	chmod(d->path, 0646);
	assert_int_equal(try_open(d), -EPERM);
	chmod(d->path, 0644);
	assert_int_equal(try_open(d), 0);
	if (geteuid() != 0)
		return; /* only root can give a file away */
	assert_int_equal(chown(d->path, 65534, 65534), 0);
	assert_int_equal(try_open(d), -EPERM);
}

static void another_version_is_told_apart(void **state)
{
	struct page_dir *d = *state;
	const uint16_t major = 2, minor = 9;

	put_golden(d, GOLDEN_BYTES, 0644);
	page_poke(d, FIELD(abi_minor), &minor, 2);
	assert_int_equal(try_open(d), 0);
	page_poke(d, FIELD(abi_major), &major, 2);
	assert_int_equal(try_open(d), -EPROTONOSUPPORT);
}

static void every_truncation_is_refused(void **state)
{
	struct page_dir *d = *state;

	for (size_t n = 0; n < GOLDEN_BYTES; n++) {
		put_golden(d, n, 0644);
		assert_int_equal(try_open(d), -ENODATA);
	}
}

static void sizes_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		size_t offset;
		uint32_t value;
		int expected;
	} cases[] = {
		{ FIELD(header_bytes), 0, -EPROTO },
		{ FIELD(header_bytes), 192, -EPROTO },
		{ FIELD(header_bytes), 257, -EPROTO },
		{ FIELD(header_bytes), UINT32_MAX - 63, -EPROTO },
		{ FIELD(header_bytes), 320, -ENODATA },
		{ FIELD(slot_bytes), 0, -EPROTO },
		{ FIELD(slot_bytes), 448, -EPROTO },
		{ FIELD(slot_bytes), 520, -EPROTO },
		{ FIELD(slot_bytes), UINT32_MAX - 63, -EPROTO },
		{ FIELD(slot_bytes), 576, -ENODATA },
		{ FIELD(slot_count), 0, -EPROTO },
		{ FIELD(slot_count), 5, -ENODATA },
		{ FIELD(slot_count), 65536, -ENODATA },
		{ FIELD(slot_count), 65537, -EPROTO },
		{ FIELD(slot_count), UINT32_MAX, -EPROTO },
	};
	struct page_dir *d = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_golden(d, GOLDEN_BYTES, 0644);
		page_poke(d, cases[i].offset, &cases[i].value, 4);
		assert_int_equal(try_open(d), cases[i].expected);
	}
}

/* A later minor version may have longer records: strides come from the file. */
static void longer_records_are_read(void **state)
{
	struct page_dir *d = *state;
	const uint32_t slot_bytes = 1024, slot_count = 2;
	uint8_t golden[GOLDEN_BYTES];
	struct baro_slot_ref ref;
	struct baro_page *page;

	put_golden(d, GOLDEN_BYTES, 0644);
	read_golden(golden);
	page_poke(d, FIELD(slot_bytes), &slot_bytes, 4);
	page_poke(d, FIELD(slot_count), &slot_count, 4);
	page_poke(d, 256 + 1024, golden + SLOT_AT(0), 512);
	page_poke(d, 256 + 1024 + 128, "third", 5);
	page = page_open_reader(d);
	assert_int_equal(baro_page_slots(page), 2);
	assert_int_equal(baro_page_find(page, "third", &ref), 0);
	assert_int_equal(ref.index, 1);
	baro_page_close(page);
}

static void the_environment_names_the_page(void **state)
{
	struct page_dir *d = *state;
	struct baro_page *page = NULL;

	put_golden(d, GOLDEN_BYTES, 0644);
	/* NOLINTBEGIN(concurrency-mt-unsafe): one thread */
	setenv("BAROSTAT_PAGE", d->path, 1);
	assert_int_equal(baro_page_open(NULL, &page), 0);
	baro_page_close(page);
	setenv("BAROSTAT_PAGE", "/nonexistent/page", 1);
	assert_int_equal(baro_page_open(NULL, &page), -ENOENT);
	unsetenv("BAROSTAT_PAGE");
	/* NOLINTEND(concurrency-mt-unsafe) */
}

static void a_name_without_end_is_cut(void **state)
{
	struct page_dir *d = *state;
	struct baro_slot_ref ref;
	struct baro_slot slot;
	struct baro_page *page;

	put_golden(d, GOLDEN_BYTES, 0644);
	page_poke(d, SLOT_AT(1) + SLOT_FIELD(name) + 63, "x", 1);
	page = page_open_reader(d);
	assert_int_equal(baro_page_slot(page, 1, &ref), 0);
	assert_int_equal(baro_page_read_slot(&ref, &slot), 0);
	assert_int_equal(strlen(slot.name), 63);
	baro_page_close(page);
}

static void codes_have_words(void **state)
{
	assert_string_equal(baro_level_name(BARO_LEVEL_EMERGENCY), "emergency");
	assert_string_equal(baro_slot_state_name(BARO_SLOT_MANUAL), "manual");
	assert_string_equal(baro_rung_name(BARO_RUNG_OBSERVE), "observe");
	assert_string_equal(baro_stall_cause_name(BARO_STALL_SWAP_IN), "swap_in");
	assert_string_equal(baro_level_name(5), "?");
	assert_string_equal(baro_reason_name(UINT32_MAX), "?");
	for (int err = 0; err < 200; err++)
		assert_non_null(baro_page_strerror(-err));
	assert_string_not_equal(baro_page_strerror(-ENODATA), baro_page_strerror(-EBADMSG));
}

/* The daemon publishes enum law_reason as it is: the two must stay the same. */
static void reasons_are_the_law_s(void **state)
{
	for (uint32_t i = 0; i < LAW_REASON_COUNT; i++)
		assert_string_equal(baro_reason_name(i), policy_reason_name((enum law_reason)i));
}

int main(void)
{
#define WITH_DIR(f) cmocka_unit_test_setup_teardown(f, page_dir_setup, page_dir_teardown)
	const struct CMUnitTest tests[] = {
		WITH_DIR(golden_header_is_read),
		WITH_DIR(golden_slot_is_read),
		WITH_DIR(extreme_values_survive),
		WITH_DIR(free_and_unused_slots_are_not_found),
		WITH_DIR(writer_reproduces_the_golden_page),
		WITH_DIR(not_a_page_is_refused),
		WITH_DIR(a_page_others_can_write_is_refused),
		WITH_DIR(another_version_is_told_apart),
		WITH_DIR(every_truncation_is_refused),
		WITH_DIR(sizes_that_make_no_sense_are_refused),
		WITH_DIR(longer_records_are_read),
		WITH_DIR(the_environment_names_the_page),
		WITH_DIR(a_name_without_end_is_cut),
		cmocka_unit_test(codes_have_words),
		cmocka_unit_test(reasons_are_the_law_s),
	};

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
