// SPDX-License-Identifier: BSD-2-Clause
/*
 * Damaged pages. Whatever the bytes are, a reader refuses the page or stays within it: the page is
 * laid against a page of memory that may not be touched, and every way of reading is tried.
 * BAROSTAT_FUZZ_SEED and BAROSTAT_FUZZ_ROUNDS change what is tried.
 */
#include "tests/unit/page_support.h"

#include <sys/mman.h>

#define GOLDEN       "tests/fixtures/page/v1.0.page"
#define GOLDEN_BYTES 2304
#define ROOM         (1u << 16)

static uint64_t random_state;

static uint64_t rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name); /* NOLINT(concurrency-mt-unsafe): one thread */

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Sizes near what is allowed, so that many damaged pages pass the first checks. */
static uint32_t odd_size(void)
{
	static const uint32_t sizes[] = { 0,   1,     4,     64,    128,         256,
					  320, 512,   576,   1024,  2048,        4096,
					  4,   65536, 65537, 65472, 0xffffffc0u, UINT32_MAX };

	return sizes[rnd() % (sizeof(sizes) / sizeof(sizes[0]))];
}

static size_t damage(uint8_t *bytes)
{
	size_t n = GOLDEN_BYTES;

	for (uint64_t i = rnd() % 4; i > 0; i--) {
		uint32_t size = odd_size();

		memcpy(bytes + 12 + 4 * (rnd() % 3), &size, 4);
	}
	if (rnd() % 2) {
		uint32_t used = rnd() % 2 ? odd_size() : (uint32_t)(rnd() % 6);

		memcpy(bytes + 124, &used, 4);
	}
	for (uint64_t i = rnd() % 8; i > 0; i--)
		bytes[rnd() % GOLDEN_BYTES] = (uint8_t)rnd();
	/* Names without an end. */
	if (rnd() % 4 == 0)
		memset(bytes + 256 + 512 * (rnd() % 4) + 128, 'x', 64);
	if (rnd() % 8 == 0)
		n = rnd() % (GOLDEN_BYTES + 1);
	return n;
}

static void read_everything(const struct baro_page *page)
{
	struct baro_page_header header;
	struct baro_slot_ref ref;
	struct baro_pressure hot;
	struct baro_slot slot;
	uint32_t slots = baro_page_slots(page);

	(void)baro_page_read_header(page, &header);
	(void)baro_page_valid(page);
	(void)baro_page_wait(page, baro_page_generation(page), 0, NULL);
	assert_true(slots <= page->slot_count);
	for (uint32_t i = 0; i <= slots; i++) {
		if (baro_page_slot(page, i, &ref) < 0)
			continue;
		assert_true(i < slots);
		(void)baro_page_level(&ref);
		(void)baro_page_read(&ref, &hot);
		if (!baro_page_read_slot(&ref, &slot))
			assert_true(strnlen(slot.name, sizeof(slot.name)) < sizeof(slot.name));
	}
	(void)baro_page_find(page, "xyz", &ref);
	(void)page_find_self(page, "/proc/self/cgroup", "/proc/self/mountinfo", &ref);
}

/* As map_page() does it, but up against the forbidden page. */
static bool read_against_the_wall(uint8_t *wall, const uint8_t *bytes, size_t n)
{
	struct baro_page_header h;
	struct baro_page page = { 0 };

	if (page_check(bytes, n < sizeof(h) ? n : sizeof(h), n) < 0)
		return false;
	memcpy(&h, bytes, sizeof(h));
	page.header_bytes = h.header_bytes;
	page.slot_bytes = h.slot_bytes;
	page.slot_count = h.slot_count;
	page.map_bytes = h.header_bytes + (size_t)h.slot_count * h.slot_bytes;
	assert_true(page.map_bytes <= n);
	page.base = wall - page.map_bytes;
	memcpy(wall - page.map_bytes, bytes, page.map_bytes);
	read_everything(&page);
	return true;
}

static void damaged_pages_never_lead_out_of_the_page(void **state)
{
	uint64_t rounds = setting("BAROSTAT_FUZZ_ROUNDS", 20000), accepted = 0;
	uint8_t golden[GOLDEN_BYTES], bytes[GOLDEN_BYTES];
	int fd = open(GOLDEN, O_RDONLY | O_CLOEXEC);
	uint8_t *room;

	(void)state;
	if (fd < 0)
		fail_msg("run from the top of the tree: %s: %m", GOLDEN);
	assert_int_equal(read(fd, golden, sizeof(golden)), sizeof(golden));
	close(fd);
	room = mmap(NULL, ROOM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(room != MAP_FAILED);
	assert_int_equal(mprotect(room + ROOM, 4096, PROT_NONE), 0);
	random_state = setting("BAROSTAT_FUZZ_SEED", 0x5eed);
	for (uint64_t i = 0; i < rounds; i++) {
		memcpy(bytes, golden, sizeof(bytes));
		accepted += read_against_the_wall(room + ROOM, bytes, damage(bytes));
	}
	munmap(room, ROOM + 4096);
	print_message("%llu of %llu damaged pages were read\n", (unsigned long long)accepted,
		      (unsigned long long)rounds);
	/* Both kinds must occur, or nothing was tried. */
	assert_true(accepted > rounds / 20 && accepted < rounds);
}

/* The same through the file system, up to and including the mapping. */
static void damaged_files_are_refused_or_read(void **state)
{
	uint64_t rounds = setting("BAROSTAT_FUZZ_ROUNDS", 20000) / 20;
	uint8_t golden[GOLDEN_BYTES], bytes[GOLDEN_BYTES];
	int fd = open(GOLDEN, O_RDONLY | O_CLOEXEC);
	struct page_dir *d = *state;

	assert_true(fd >= 0);
	assert_int_equal(read(fd, golden, sizeof(golden)), sizeof(golden));
	close(fd);
	random_state = setting("BAROSTAT_FUZZ_SEED", 0x5eed) + 1;
	for (uint64_t i = 0; i < rounds; i++) {
		struct baro_page *page = NULL;
		size_t n;

		memcpy(bytes, golden, sizeof(bytes));
		n = damage(bytes);
		fd = open(d->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		assert_int_equal(write(fd, bytes, n), n);
		close(fd);
		if (baro_page_open(d->path, &page) == 0)
			read_everything(page);
		baro_page_close(page);
	}
}

/* And the writer: it adopts or replaces, and what it then publishes can be read. */
static void a_writer_recovers_from_damaged_files(void **state)
{
	uint64_t rounds = setting("BAROSTAT_FUZZ_ROUNDS", 20000) / 20;
	uint8_t golden[GOLDEN_BYTES], bytes[GOLDEN_BYTES];
	int fd = open(GOLDEN, O_RDONLY | O_CLOEXEC);
	struct page_dir *d = *state;

	assert_true(fd >= 0);
	assert_int_equal(read(fd, golden, sizeof(golden)), sizeof(golden));
	close(fd);
	random_state = setting("BAROSTAT_FUZZ_SEED", 0x5eed) + 2;
	for (uint64_t i = 0; i < rounds; i++) {
		enum page_origin origin;
		struct baro_slot_ref ref;
		struct page_writer *w;
		struct baro_page *page;
		size_t n;

		memcpy(bytes, golden, sizeof(bytes));
		n = damage(bytes);
		fd = open(d->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		assert_int_equal(write(fd, bytes, n), n);
		close(fd);
		assert_int_equal(page_writer_open(d->path, 4, 0644, &w, &origin), 0);
		page_assign(w, 1, "second");
		page_update(w, 1, BARO_LEVEL_WARNING);
		page_commit(w, LEASE_NS);
		page = page_open_reader(d);
		assert_true(baro_page_valid(page));
		assert_int_equal(baro_page_find(page, "second", &ref), 0);
		assert_int_equal(ref.index, 1);
		assert_int_equal(baro_page_level(&ref), BARO_LEVEL_WARNING);
		/* Every other slot was freed. */
		for (uint32_t other = 0; other < 4; other++)
			if (other != 1)
				assert_int_equal(baro_page_slot(page, other, &ref), -ENOENT);
		baro_page_close(page);
		page_writer_close(w, true);
	}
}

int main(void)
{
#define WITH_DIR(f) cmocka_unit_test_setup_teardown(f, page_dir_setup, page_dir_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damaged_pages_never_lead_out_of_the_page),
		WITH_DIR(damaged_files_are_refused_or_read),
		WITH_DIR(a_writer_recovers_from_damaged_files),
	};

	return cmocka_run_group_tests_name("page fuzz", tests, NULL, NULL);
}
